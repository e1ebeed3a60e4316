// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What workloads do: designs run them and keep what they are told; the recording is followed
 * section by section; gaps, populations and streams are what was asked for.
 */
#include <stdio.h>

#include "workload_runs.h"

Test(workloads, every_workload_over_some_designs)
{
	static const char *const designs[] = {
		"brute_array/one:rwsem", "rb_interval/one:mutex", "rb_vma@node/each:rwsem",
		"rb_vma@hash3/one:pthread_rwlock",
	};
	for (unsigned i = 0; clv_workload_at(i); i++) {
		for (unsigned j = 0; j < sizeof(designs) / sizeof(designs[0]); j++) {
			for (unsigned threads = 1; threads <= 2; threads++) {
				struct clv_run_config config = config_for(
					designs[j], clv_workload_at(i)->info.name, threads);
				config.walks = threads == 2 ? 0.25 : 0;
				struct clv_run_result result = run_threads(&config, 400);
				check_result(&config, &result);
				cr_assert_str_eq(result.design, designs[j]);
				cr_assert_geq(result.map_bytes, 1);
				free_result(&result);
			}
		}
	}
}

Test(workloads, population_stays)
{
	struct clv_run_config config = config_for("rb_interval/one:rwsem", "pairs-libc", 3);
	config.population = 100;
	struct clv_run_result result = run_threads(&config, 50);
	check_result(&config, &result);
	cr_assert_eq(result.intervals, 100);
	free_result(&result);
}

Test(workloads, other_lock_and_gaps)
{
	struct clv_run_config config = config_for("rb_interval/one:rwsem", "exec", 2);
	config.other_lock_ns = 1000;
	config.think_ns = 100;
	struct clv_run_result result = run_threads(&config, 300);
	check_result(&config, &result);
	cr_assert_gt(result.worker[0].execs, 0);
	free_result(&result);
}

/* Valid for what a sink is; nothing of it was checked. */
Test(workloads, sink)
{
	for (unsigned i = 0; clv_workload_at(i); i++) {
		struct clv_run_config config =
			config_for("null_sink/one:none", clv_workload_at(i)->info.name, 1);
		config.walks = 0.1;
		struct clv_run_result result = run_threads(&config, 100);
		cr_assert(result.valid, "%s", result.why);
		cr_assert_gt(result.worker[0].ops, 0);
		cr_assert_eq(result.worker[0].visits, 0);
		cr_assert_eq(result.checked_ops, 0);
		cr_assert_eq(result.intervals, 0);
		free_result(&result);
	}
}

/* ---- step by step, in the test's own thread ---- */

struct listed {
	const struct cleave_map *map;
	unsigned count;
	unsigned subset_count[2];
	struct clv_range range[512];
};

static int list(struct cleave_entry *entry, void *arg)
{
	struct listed *listed = arg;
	uint64_t start, last;
	cleave_bounds(listed->map, entry, &start, &last);
	cr_assert_lt(listed->count, 512);
	listed->range[listed->count++] = (struct clv_range){ (uint32_t)start, (uint32_t)last };
	listed->subset_count[entry->subset & 1]++;
	return 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct clv_range *x = a, *y = b;
	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (x->last > y->last) - (x->last < y->last);
}

static struct listed list_map(struct clv_run *run, struct cleave_thread *thread, unsigned map)
{
	struct listed listed = { .map = run->map[map] };
	cr_assert_eq(cleave_walk(run->map[map], thread, 0, UINT32_MAX, 0, list, &listed), 0);
	qsort(listed.range, listed.count, sizeof(listed.range[0]), compare_ranges);
	return listed;
}

/* The I and R of one section's text on a multiset, in the simplest way. */
static void replay_text(const char *line, struct listed *set)
{
	for (const char *at = line; *at != '\n'; at++) {
		struct clv_range range;
		char op;
		if (*at != ' ' || sscanf(at, " %c:%u-%u", &op, &range.start, &range.last) != 3)
			continue;
		if (op == 'I') {
			set->range[set->count++] = range;
			continue;
		}
		unsigned i = 0;
		while (compare_ranges(&set->range[i], &range))
			i++;
		set->range[i] = set->range[--set->count];
	}
	qsort(set->range, set->count, sizeof(set->range[0]), compare_ranges);
}

/* After every section, each map holds what the recording's own I and R leave there. */
Test(workloads, exec_follows_the_recording)
{
	static struct listed set[4];
	struct clv_run_config config = config_for("rb_vma/one:none", "exec", 1);
	config.population = 5; /* the copy's own: nothing stands */
	struct clv_run *run = opened(&config);
	struct clv_worker *worker = run->worker[0];
	const char *text = strndup(clv_execl_schedule_text, clv_execl_schedule_bytes);
	begin_worker(worker);
	for (unsigned i = 0; i < 4; i++)
		set[i] = list_map(run, worker->thread, i);
	for (unsigned cycle = 0; cycle < 3; cycle++) {
		for (unsigned section = 0; section < 33; section++) {
			char start[16];
			snprintf(start, sizeof(start), "\n%u ", section + 1);
			unsigned file = schedule->section[section].file;
			replay_text(strstr(strstr(text, start), schedule->file[file].name),
				    &set[file]);
			cr_assert_eq(run->workload->step(worker), 0);
			for (unsigned i = 0; i < 4; i++) {
				struct listed now = list_map(run, worker->thread, i);
				cr_assert_eq(now.count, set[i].count, "section %u map %u: %u, %u",
					     section + 1, i, now.count, set[i].count);
				cr_assert_arr_eq(now.range, set[i].range,
						 now.count * sizeof(now.range[0]),
						 "section %u map %u", section + 1, i);
			}
		}
		cr_assert_eq(worker->done.execs, cycle + 1);
		cr_assert_eq(worker->done.inserts, 22 * (cycle + 1));
		cr_assert_eq(worker->done.removes, 22 * (cycle + 1));
		cr_assert_eq(worker->done.changes, 11 * (cycle + 1));
	}
	end_worker(worker);
	struct clv_run_result result;
	finish_and_close(run, &result);
	cr_assert(result.valid, "%s", result.why);
	cr_assert_eq(result.checked_ops, 3 * 55);
	cr_assert_eq(result.intervals, 8);
	free_result(&result);
	free((char *)text);
}

/* With all copies at rest, the population is in libc's map, and from both nodes. */
Test(workloads, exec_population)
{
	struct clv_run_config config = config_for("rb_interval@node/each:rwsem", "exec", 4);
	for (config.population = 20; config.population < 60; config.population++) {
		struct clv_run *run = opened(&config);
		for (unsigned i = 0; i < 4; i++) {
			begin_worker(run->worker[i]);
			/* Section 15 leaves libc.so.6 as it is at rest. */
			for (unsigned section = 0; section < 15; section++)
				cr_assert_eq(run->workload->step(run->worker[i]), 0);
		}
		struct listed libc = list_map(run, run->worker[0]->thread, 1);
		cr_assert_eq(libc.count, config.population);
		unsigned a = libc.subset_count[0], b = libc.subset_count[1];
		cr_assert(a <= b + 5 && b <= a + 5, "%u and %u", a, b);
		for (unsigned i = 0; i < 4; i++)
			end_worker(run->worker[i]);
		struct clv_run_result result;
		finish_and_close(run, &result);
		cr_assert(result.valid, "%s", result.why);
		free_result(&result);
	}
}

/* Totals of all workers between two steps, and the slowest's execs. */
Test(workloads, progress)
{
	struct clv_run_config config = config_for("rb_interval@node/each:rwsem", "exec", 3);
	struct clv_progress progress;
	struct clv_run *run = opened(&config);
	clv_bench_native.progress(run, &progress);
	cr_assert_eq(progress.ops + progress.batches + progress.execs + progress.walks +
		     progress.least_execs, 0);
	for (unsigned i = 0; i < 3; i++) {
		begin_worker(run->worker[i]);
		run->worker[i]->walk_due = (uint64_t)i << 32;
		for (unsigned j = 0; j < 33 * (i + 1) + i; j++)
			cr_assert_eq(run->workload->step(run->worker[i]), 0);
		end_worker(run->worker[i]);
		clv_bench_native.progress(run, &progress);
		cr_assert_eq(progress.least_execs, i < 2 ? 0 : 1);
	}
	cr_assert_eq(progress.execs, 1 + 2 + 3);
	cr_assert_eq(progress.ops, progress.execs * 55);
	cr_assert_eq(progress.walks, 0 + 1 + 2);
	cr_assert_eq(progress.batches, progress.execs * 33 + progress.walks);
	clv_bench_native.close(run);
}

/* Where a copy is when it does a section, by a clock that only the gaps move. */
static void check_gaps(bool think_given, uint64_t think_ns, uint64_t wanted_ns)
{
	struct clv_run_config config = config_for("rb_interval/one:none", "exec", 1);
	config.think_given = think_given;
	config.think_ns = think_ns;
	struct clv_run *run = opened(&config);
	struct clv_worker *worker = run->worker[0];
	double scale = (double)wanted_ns / (double)schedule->cycle_ns;
	begin_worker(worker);
	own_clock = true;
	while (!worker->done.execs) /* the first sections go without a gap */
		now_ns += !run->workload->step(worker) ? 1000000 : 0;
	uint64_t cycle_ns = 0;
	for (unsigned section = 0; section < 33; section++) {
		double exact = (double)schedule->section[section].gap_ns * scale;
		uint64_t batches = worker->done.batches, ns = (uint64_t)exact - 1;
		cr_assert_eq(run->workload->step(worker), 0); /* the gap begins */
		now_ns += ns;
		cr_assert_eq(run->workload->step(worker), 0);
		cr_assert_eq(worker->done.batches, batches, "section %u is early", section + 1);
		for (; worker->done.batches == batches; ns++, now_ns++)
			cr_assert_eq(run->workload->step(worker), 0);
		ns--, now_ns--; /* the step that did it was taken before */
		cr_assert(ns < exact + 1, "section %u: %llu, not %g", section + 1,
			  (unsigned long long)ns, exact);
		cycle_ns += ns;
	}
	own_clock = false;
	cr_assert_eq(cycle_ns, wanted_ns);
	end_worker(worker);
	clv_bench_native.close(run);
}

Test(workloads, gaps_as_recorded_and_scaled)
{
	check_gaps(false, 0, 443200);
	check_gaps(true, 1000, 33000);
	check_gaps(true, 50001, 1650033);
}

/* Without samples nobody reads the clock but at the window's two ends. */
Test(workloads, no_clock_unless_sampled)
{
	for (unsigned i = 0; clv_workload_at(i); i++) {
		struct clv_run_config config =
			config_for("rb_interval/one:mutex", clv_workload_at(i)->info.name, 1);
		config.sample_every = 0;
		config.walks = 0.1;
		clock_reads = 0;
		struct clv_run_result result = run_threads(&config, 300);
		cr_assert(result.valid, "%s", result.why);
		cr_assert_eq(clock_reads, 2);
		cr_assert_eq(result.sampled, 0);
		cr_assert_eq(result.latency->count, 0);
		free_result(&result);
	}
}

/* ---- seeds ---- */

/* What the structure is told, in order, as one number. */
static uint64_t told;

static void tell(uint64_t kind, uint64_t start, uint64_t last)
{
	told = clv_seed(told ^ kind, CLV_STREAM_CHECK, (unsigned)start) ^ last;
}

static void telling_insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
			   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	tell(source ? 1 : 2, start, last);
	cleave_brute_array.insert(self, update, entry, source, start, last);
}

static void telling_remove(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	uint64_t start, last;
	cleave_brute_array.bounds(entry, &start, &last);
	tell(3, start, last);
	cleave_brute_array.remove(self, update, entry);
}

static int telling_walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
			uint64_t last, cleave_visit_fn *visit, void *arg)
{
	tell(4, start, last);
	return cleave_brute_array.walk(self, thread, subset, start, last, visit, arg);
}

/* Equal seeds do the same in the same number of steps; another seed does something else. */
static uint64_t stream(const char *workload, uint64_t seed, unsigned sample_every)
{
	struct clv_run_config config = config_for("telling/one:none", workload, 1);
	config.seed = seed;
	config.walks = 0.2;
	config.sample_every = sample_every;
	told = 0;
	struct clv_run *run = opened(&config);
	struct clv_worker *worker = run->worker[0];
	begin_worker(worker);
	worker->until_sample = sample_every ? 1 : UINT64_MAX;
	for (unsigned i = 0; i < 500; i++)
		cr_assert_eq(run->workload->step(worker), 0);
	end_worker(worker);
	clv_bench_native.close(run);
	return told;
}

Test(workloads, streams_follow_the_seed)
{
	static struct cleave_structure telling;
	telling = cleave_brute_array;
	telling.insert = telling_insert;
	telling.remove = telling_remove;
	telling.walk = telling_walk;
	add_structure(&telling, "telling");
	for (unsigned i = 0; clv_workload_at(i); i++) {
		const char *workload = clv_workload_at(i)->info.name;
		uint64_t first = stream(workload, 1, 0);
		cr_assert_eq(stream(workload, 1, 0), first, "%s", workload);
		cr_assert_eq(stream(workload, 1, 2), first, "%s: sampling changes it", workload);
		cr_assert_neq(stream(workload, 2, 0), first, "%s", workload);
	}
}

static uint64_t rolled;

/* Workers alone remove; who fills the maps does not. */
static void rolling_remove(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	if (!rolled)
		rolled = cleave_random(update->thread);
	cleave_brute_array.remove(self, update, entry);
}

/* A structure's own random numbers follow the seed as well, in the worker loop. */
Test(workloads, the_library_is_seeded)
{
	static struct cleave_structure rolling;
	uint64_t found[3];
	rolling = cleave_brute_array;
	rolling.remove = rolling_remove;
	add_structure(&rolling, "rolling");
	for (unsigned i = 0; i < 3; i++) {
		struct clv_run_config config = config_for("rolling/one:mutex", "pairs-libc", 1);
		config.seed = i < 2 ? 5 : 6;
		rolled = 0;
		struct clv_run_result result = run_threads(&config, 50);
		free_result(&result);
		found[i] = rolled;
	}
	cr_assert_eq(found[0], found[1]);
	cr_assert_neq(found[0], found[2]);
}
