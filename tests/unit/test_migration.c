// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Copies that go on on another CPU: nothing is lost on the way, what a copy made elsewhere is
 * removed from the new CPU and as often as was asked, and without migration nothing is different.
 */
#include "thread.h"
#include "workload_runs.h"

enum { WORKERS = 4, OLD_IMAGE = 15 }; /* sections 19 to 21 remove it */

/* ---- a structure that notes who removes what from where ---- */

static uint64_t told, removes, foreign;

static void tell(uint64_t kind, uint64_t start, uint64_t last)
{
	told = clv_seed(told ^ kind, CLV_STREAM_CHECK, (unsigned)start) ^ last;
}

static void noting_insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
			  struct cleave_entry *source, uint64_t start, uint64_t last)
{
	tell((source ? 1 : 2) + 8 * entry->subset, start, last);
	cleave_brute_array.insert(self, update, entry, source, start, last);
}

static void noting_remove(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	uint64_t start, last;
	cleave_brute_array.bounds(entry, &start, &last);
	tell(3 + 8 * entry->subset, start, last);
	removes++;
	foreign += entry->subset != update->thread->cpu; /* @cpu1 */
	cleave_brute_array.remove(self, update, entry);
}

static int noting_walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		       uint64_t last, cleave_visit_fn *visit, void *arg)
{
	tell(4, start, last);
	return cleave_brute_array.walk(self, thread, subset, start, last, visit, arg);
}

static void add_structures(void)
{
	static struct cleave_structure noting, telling, deferring;
	noting = telling = deferring = cleave_brute_array;
	noting.insert = telling.insert = noting_insert;
	noting.remove = telling.remove = noting_remove;
	telling.walk = noting_walk;
	deferring.flags |= CLEAVE_DEFERS | CLEAVE_WALKS_UNLOCKED;
	add_structure(&noting, "noting");
	add_structure(&telling, "telling");
	add_structure(&deferring, "deferring");
}

TestSuite(migration, .init = add_structures);

/* ---- with threads ---- */

Test(migration, is_valid)
{
	static const char *const designs[] = {
		"rb_interval@cpu1/each:rwsem", "rb_vma/one:mutex", "deferring@node/one:rwsem",
	};
	static const double shares[] = { 0, 0.25, 1 };
	static const unsigned counts[] = { 1, 2, 3, 8 };
	for (unsigned at = 0; at < 4; at++) {
		unsigned threads = counts[at];
		for (unsigned i = 0; i < 9; i++) {
			struct clv_run_config config = config_for(designs[i % 3], "exec", threads);
			config.migrate = shares[i / 3];
			if (threads == 1 && config.migrate > 0)
				continue;
			config.walks = i % 3 < 2 && threads < 4 ? 0.2 : 0;
			struct clv_run_result result = run_threads(&config, 400);
			check_result(&config, &result);
			for (unsigned j = 0; j < threads; j++) {
				cr_assert_leq(result.worker[j].moves, result.worker[j].execs + 1);
				cr_assert(config.migrate > 0 || !result.worker[j].moves);
			}
			free_result(&result);
		}
	}
}

/* ---- step by step, in the test's own thread ---- */

static struct clv_run *opened_with(const char *design, double migrate, uint64_t seed)
{
	struct clv_run_config config = config_for(design, "exec", WORKERS);
	config.migrate = migrate;
	config.seed = seed;
	struct clv_run *run = opened(&config);
	for (unsigned i = 0; i < WORKERS; i++)
		begin_worker(run->worker[i]);
	told = removes = foreign = 0;
	return run;
}

static void step_all(struct clv_run *run, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++)
		cr_assert_eq(run->workload->step(run->worker[i % WORKERS]), 0);
}

static struct clv_done sum(const struct clv_run *run)
{
	struct clv_done sum = { 0 };
	for (unsigned i = 0; i < WORKERS; i++) {
		sum.execs += run->worker[i]->done.execs;
		sum.moves += run->worker[i]->done.moves;
		sum.inserts += run->worker[i]->done.inserts;
		sum.removes += run->worker[i]->done.removes;
	}
	return sum;
}

static void end_valid(struct clv_run *run)
{
	struct clv_run_result result;
	for (unsigned i = 0; i < WORKERS; i++)
		end_worker(run->worker[i]);
	finish_and_close(run, &result);
	cr_assert(result.valid, "%s", result.why);
	free_result(&result);
}

/* Of the removals, those of old images that were made on another CPU, and no others. */
Test(migration, removes_from_where_it_was_made)
{
	static const double shares[] = { 0, 0.1, 0.25, 0.5, 1 };
	uint64_t before = 0;
	for (unsigned i = 0; i < 5; i++) {
		struct clv_run *run = opened_with("noting@cpu1/each:mutex", shares[i], 7);
		step_all(run, WORKERS * 33 * 100);
		struct clv_done done = sum(run);
		double share = (double)done.moves / (double)done.execs;
		cr_assert_eq(done.execs, WORKERS * 100);
		cr_assert_eq(removes, done.removes);
		cr_assert_eq(foreign, done.moves * OLD_IMAGE, "%llu of %llu moves",
			     (unsigned long long)foreign, (unsigned long long)done.moves);
		cr_assert(share >= shares[i] * 0.75 && share <= shares[i] * 1.35, "%g, not %g",
			  share, shares[i]);
		cr_assert(!i || foreign > before, "a larger share moves more");
		before = foreign;
		end_valid(run);
	}
}

/* Each bundle is in one place, and goes everywhere. */
Test(migration, bundles_are_neither_lost_nor_doubled)
{
	struct clv_run *run = opened_with("rb_interval@node/each:rwsem", 1, 3);
	const unsigned char *all[2 * WORKERS];
	unsigned seen[2 * WORKERS] = { 0 };
	for (unsigned i = 0; i < WORKERS; i++) {
		all[i] = run->worker[i]->held.entries;
		all[WORKERS + i] = run->mailbox[i].bundle->held.entries;
	}
	for (unsigned turn = 0; turn < 33 * 200; turn++) {
		unsigned found = 0;
		step_all(run, WORKERS);
		for (unsigned i = 0; i < 2 * WORKERS; i++) {
			for (unsigned j = 0; j < WORKERS; j++) {
				const struct clv_worker *worker = run->worker[j];
				const struct clv_bundle *bundle = run->mailbox[j].bundle;
				found += worker->held.entries == all[i];
				found += bundle->held.entries == all[i];
				cr_assert_neq(bundle->state, worker->state);
				cr_assert_neq(bundle, worker->bundle);
				if (worker->held.entries == all[i])
					seen[i] |= 1u << j;
			}
		}
		cr_assert_eq(found, 2 * WORKERS);
	}
	for (unsigned i = 0; i < 2 * WORKERS; i++)
		cr_assert_eq(seen[i], (1u << WORKERS) - 1, "bundle %u", i);
	end_valid(run);
}

static int count(struct cleave_entry *entry, void *arg)
{
	(void)entry;
	++*(uint64_t *)arg;
	return 0;
}

static uint64_t count_libc(struct clv_run *run)
{
	uint64_t intervals = 0;
	cr_assert_eq(cleave_walk(run->map[run->walk_map], run->worker[0]->thread, 0, UINT32_MAX, 0,
				 count, &intervals), 0);
	return intervals;
}

/* With all copies at rest, those between CPUs included, the population is in libc's map. */
Test(migration, population_counts_who_rests_between)
{
	for (uint64_t population = 40; population < 56; population++) {
		struct clv_run_config config = config_for("rb_interval@node/each:rwsem", "exec", 4);
		config.migrate = 1;
		config.population = population;
		struct clv_run *run = opened(&config);
		for (unsigned i = 0; i < WORKERS; i++)
			begin_worker(run->worker[i]);
		cr_assert_eq(count_libc(run), population - 5 * WORKERS);
		for (unsigned exec = 0; exec < 3; exec++) {
			step_all(run, WORKERS * 15);
			cr_assert_eq(count_libc(run), population);
			step_all(run, WORKERS * 18);
			cr_assert_eq(count_libc(run), population - 5 * WORKERS);
		}
		end_valid(run);
	}
}

/* ---- seeds ---- */

static uint64_t stream(double migrate, uint64_t seed)
{
	struct clv_run *run = opened_with("telling@cpu1/each:mutex", migrate, seed);
	for (unsigned i = 0; i < WORKERS; i++)
		run->worker[i]->walk_due = UINT64_C(20) << 32;
	step_all(run, 5000);
	uint64_t result = told;
	end_valid(run);
	return result;
}

Test(migration, follows_the_seed)
{
	uint64_t first = stream(0.5, 1);
	cr_assert_eq(stream(0.5, 1), first);
	cr_assert_neq(stream(0.5, 2), first);
	cr_assert_neq(stream(0, 1), first);
}

/* The number is of the version before there was migration. */
Test(migration, without_it_all_is_as_it_was)
{
	struct clv_run_config config = config_for("telling/one:none", "exec", 1);
	config.seed = 1;
	config.walks = 0.2;
	told = 0;
	struct clv_run *run = opened(&config);
	cr_assert_null(run->mailbox);
	begin_worker(run->worker[0]);
	for (unsigned i = 0; i < 500; i++)
		cr_assert_eq(run->workload->step(run->worker[0]), 0);
	end_worker(run->worker[0]);
	clv_bench_native.close(run);
	cr_assert_eq(told, 0xc57a710e02797145u, "%llx", (unsigned long long)told);
}

/* ---- what cannot be ---- */

Test(migration, is_refused)
{
	static const struct {
		const char *workload;
		unsigned threads;
		double migrate;
		uint64_t population;
		const char *what;
	} bad[] = {
		{ "exec", 4, -0.1, 200, "-0.1" },
		{ "exec", 4, 1.01, 200, "1.01" },
		{ "exec", 4, 0.0 / 0.0, 200, "nan" },
		{ "exec", 1, 0.5, 200, "2 threads" },
		{ "exec", 4, 0.5, 39, "population 39" },
		{ "pairs-libc", 4, 0.5, 200, "nothing migrates" },
	};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct clv_run_config config =
			config_for("rb_interval/one:mutex", bad[i].workload, bad[i].threads);
		struct clv_run *run = NULL;
		struct cleave_error error = { "" };
		config.migrate = bad[i].migrate;
		config.population = bad[i].population;
		cr_assert_eq(clv_bench_native.open(&run, &config, &error), -EINVAL, "%u", i);
		cr_assert(strstr(error.text, bad[i].what), "%s", error.text);
	}
}
