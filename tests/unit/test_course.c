// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Runs over time: what ends in a slice of the window counts there, and outside of the window
 * nowhere; in a storm copies come and go, and leave nothing behind.
 */
#include "workload_runs.h"

#include <criterion/redirect.h>

#include "harness/cli.h"
#include "harness/course.h"
#include "harness/storm.h"

enum { EVERY_NS = 1000, WINDOW_NS = 3500, SLICES = 4 };

static struct clv_course_config course = { .window_ns = WINDOW_NS, .every_ns = EVERY_NS };

static void add_structures(void)
{
	static struct cleave_structure deferring;
	deferring = cleave_brute_array;
	deferring.flags |= CLEAVE_DEFERS | CLEAVE_WALKS_UNLOCKED;
	add_structure(&deferring, "deferring");
}

TestSuite(course, .init = add_structures);

Test(course, slices)
{
	static const struct {
		uint64_t window_ns, every_ns, slices, last_ns;
	} is[] = {
		{ 10, 10, 1, 10 }, { 10, 3, 4, 1 }, { 9, 3, 3, 3 }, { 10, 1, 10, 1 }, { 10, 9, 2, 1 },
		{ UINT64_MAX, UINT64_MAX / 2 + 1, 2, UINT64_MAX / 2 },
	};
	for (unsigned i = 0; i < sizeof(is) / sizeof(is[0]); i++) {
		uint64_t slices = clv_course_slices(is[i].window_ns, is[i].every_ns), sum_ns = 0;
		cr_assert_eq(slices, is[i].slices, "%u", i);
		for (uint64_t k = 0; k < slices; k++)
			sum_ns += clv_course_slice_ns(is[i].window_ns, is[i].every_ns, k);
		cr_assert_eq(sum_ns, is[i].window_ns, "%u", i);
		cr_assert_eq(clv_course_slice_ns(is[i].window_ns, is[i].every_ns, slices - 1),
			     is[i].last_ns, "%u", i);
	}
}

/* A step of one worker at a time of the window, which may be before it. */
static void step_at(struct clv_run *run, struct clv_worker *worker, int64_t at_ns)
{
	now_ns = (uint64_t)((int64_t)run->origin_ns + at_ns);
	cr_assert_eq(clv_course_step_of(run)(worker), 0);
}

Test(course, counts_where_it_ends)
{
	struct clv_run_config config = config_for("rb_interval/one:mutex", "pairs-libc", 1);
	config.course = &course;
	struct clv_run *run = opened(&config);
	struct clv_worker *worker = run->worker[0];
	begin_worker(worker);
	own_clock = true;
	step_at(run, worker, 12345); /* the window has not begun */
	run->origin_ns = 1000000;
	static const int64_t at_ns[] = { -1, 0, 1, 999, 1000, 2999, 3499, 3500, 4000, 100000 };
	static const uint64_t steps[SLICES] = { 3, 1, 1, 1 };
	for (unsigned i = 0; i < sizeof(at_ns) / sizeof(at_ns[0]); i++)
		step_at(run, worker, at_ns[i]);
	own_clock = false;
	struct clv_course *sum = clv_course_sum(run);
	cr_assert_eq(sum->slices, SLICES);
	cr_assert_eq(clv_course_bytes(sum), sizeof(*sum) + SLICES * sizeof(sum->slice[0]));
	for (unsigned i = 0; i < SLICES; i++) {
		cr_assert_eq(sum->slice[i].ops, 2 * steps[i], "slice %u: %llu", i,
			     (unsigned long long)sum->slice[i].ops);
		cr_assert_eq(sum->slice[i].batches, 2 * steps[i]);
		cr_assert_eq(sum->slice[i].walks, 0);
		cr_assert_not(sum->slice[i].exact.filled);
	}
	cr_assert_eq(worker->done.removes, 11);
	free(sum);
	end_worker(worker);
	clv_bench_native.close(run);
}

static int slow_walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		     uint64_t last, cleave_visit_fn *visit, void *arg)
{
	now_ns += 700;
	return cleave_brute_array.walk(self, thread, subset, start, last, visit, arg);
}

Test(course, walks_are_all_timed)
{
	static struct cleave_structure slow;
	slow = cleave_brute_array;
	slow.walk = slow_walk;
	add_structure(&slow, "slow");
	struct clv_run_config config = config_for("slow/one:mutex", "pairs-libc", 1);
	config.course = &course;
	config.walks = 0.5;
	struct clv_run *run = opened(&config);
	struct clv_worker *worker = run->worker[0];
	begin_worker(worker);
	own_clock = true;
	run->origin_ns = 1000000;
	while (worker->done.walks < 3)
		step_at(run, worker, 500); /* a walk takes it beyond the slice's end */
	own_clock = false;
	struct clv_course *sum = clv_course_sum(run);
	cr_assert_eq(sum->slice[0].walks, 0);
	cr_assert_gt(sum->slice[0].ops, 0);
	cr_assert_eq(sum->slice[1].walks, 3);
	cr_assert_eq(sum->slice[1].ops, 0);
	cr_assert_eq(sum->slice[1].walk_wait_longest_ns, 0, "nobody had the lock");
	free(sum);
	end_worker(worker);
	clv_bench_native.close(run);
}

struct holder {
	struct clv_run *run;
	struct cleave_hold *hold;
	bool held;
};

/* Until the worker has begun to walk, and a moment more. */
static void *hold_a_while(void *arg)
{
	struct holder *holder = arg;
	struct clv_worker *worker = holder->run->worker[0];
	struct cleave_thread *thread;
	uint64_t walks = worker->done.walks;
	cr_assert_eq(cleave_thread_begin(&thread, holder->run->env, 1), 0);
	cr_assert_eq(cleave_hold_begin(holder->run->map[0], thread, CLEAVE_EXCLUSIVE, 0,
				       &holder->hold), 0);
	__atomic_store_n(&holder->held, true, __ATOMIC_RELEASE);
	while (__atomic_load_n(&worker->done.walks, __ATOMIC_RELAXED) == walks)
		sched_yield();
	uint64_t until_ns = __real_clv_now_ns() + 1000000;
	while (__real_clv_now_ns() < until_ns)
		sched_yield();
	cleave_hold_end(holder->hold);
	cleave_thread_end(thread);
	return NULL;
}

/* Returns: the longest wait of a walk that began while another thread held the map. */
static uint64_t wait_of_a_walk(struct clv_run *run)
{
	struct clv_worker *worker = run->worker[0];
	struct holder holder = { .run = run };
	pthread_t thread;
	cr_assert_eq(pthread_create(&thread, NULL, hold_a_while, &holder), 0);
	while (!__atomic_load_n(&holder.held, __ATOMIC_ACQUIRE))
		sched_yield();
	worker->walk_due = UINT64_C(1) << 32;
	cr_assert_eq(clv_course_step_of(run)(worker), 0);
	pthread_join(thread, NULL);
	struct clv_course *sum = clv_course_sum(run);
	uint64_t longest_ns = sum->slice[0].walk_wait_longest_ns;
	cr_assert_eq(sum->slice[0].walks, worker->done.walks);
	free(sum);
	return longest_ns;
}

Test(course, a_walk_that_waits_is_seen)
{
	static const struct clv_course_config day = {
		.window_ns = 86400000000000, .every_ns = 86400000000000,
	};
	struct clv_run_config config = config_for("rb_interval/one:mutex", "pairs-libc", 1);
	config.course = &day;
	struct clv_run *run = opened(&config);
	begin_worker(run->worker[0]);
	run->origin_ns = __real_clv_now_ns();
	/* Whoever has no CPU before the lock is free again has not waited for it. */
	uint64_t longest_ns = 0;
	for (unsigned i = 0; i < 100 && !longest_ns; i++)
		longest_ns = wait_of_a_walk(run);
	cr_assert_gt(longest_ns, 0);
	end_worker(run->worker[0]);
	clv_bench_native.close(run);
}

/*
 * With threads: of a window that all of the run is in, no slice but the first has anything. A worker
 * may count a step of before it sees that the window is open, and does not miss one behind that.
 */
Test(course, slices_of_threads)
{
	static const struct clv_course_config day = {
		.window_ns = 86400000000000, .every_ns = 3600000000000,
	};
	struct clv_run_config config = config_for("rb_vma@node/each:rwsem", "exec", 3);
	config.course = &day;
	config.walks = 0.2;
	config.think_ns = 0;
	struct clv_run_result result = run_threads(&config, 300);
	check_result(&config, &result);
	uint64_t ops = 0, walks = 0, execs = 0;
	for (unsigned i = 0; i < 3; i++) {
		ops += result.worker[i].ops;
		walks += result.worker[i].walks;
		execs += result.worker[i].execs;
	}
	const struct clv_slice *slice = result.course->slice;
	cr_assert_eq(result.course->slices, 24);
	cr_assert(slice[0].ops >= ops && slice[0].ops <= result.checked_ops);
	cr_assert_geq(slice[0].walks, walks);
	cr_assert_geq(slice[0].execs, execs);
	cr_assert_gt(slice[0].sampled, 0);
	for (unsigned i = 1; i < 24; i++)
		cr_assert_eq(slice[i].batches, 0);
	cr_assert_eq(result.changes_in_all, 0);
	cr_assert_null(result.change);
	free_result(&result);
}

/* ---- storms ---- */

static uint64_t count_held(const struct clv_worker *worker)
{
	uint64_t count = 0;
	for (uint64_t i = 0; i < worker->held.count; i++)
		count += !clv_range_is_none(worker->held.slot[i].range);
	return count;
}

static void copies_come_and_go(const char *design)
{
	static const struct clv_course_config storm = {
		.window_ns = 1000000, .storm = { 200000, 600000, 1 },
	};
	struct clv_run_config config = config_for(design, "exec", 2);
	config.think_ns = 500;
	struct clv_run *calm = opened(&config);
	uint64_t a_copy = count_held(calm->worker[1]), at_start = calm->at_start;
	cr_assert_gt(a_copy, 0);
	clv_bench_native.close(calm);

	config.course = &storm;
	struct clv_run *run = opened(&config);
	struct clv_worker *quiet = run->worker[0], *other = run->worker[1];
	cr_assert_eq(run->at_start, at_start - a_copy);
	cr_assert_eq(count_held(quiet), a_copy);
	cr_assert_eq(count_held(other), 0);
	begin_worker(quiet);
	begin_worker(other);
	own_clock = true;
	step_at(run, other, 300000); /* the window has not begun */
	run->origin_ns = 5000000;
	step_at(run, other, -1);
	step_at(run, other, 199999);
	cr_assert_eq(other->done.batches, 0);
	uint64_t execs = 0, first_ns = 0, last_ns = 0;
	for (int64_t at_ns = 200000; at_ns < 1000000; at_ns += 100) {
		uint64_t batches = other->done.batches;
		step_at(run, other, at_ns);
		step_at(run, quiet, at_ns);
		if (other->done.batches == batches)
			continue;
		first_ns = first_ns ? first_ns : (uint64_t)at_ns;
		last_ns = (uint64_t)at_ns;
		if (batches == 0)
			cr_assert_leq(other->done.inserts, a_copy);
		execs = other->done.execs;
	}
	own_clock = false;
	/* One exec is the mean gap of 500 ns times the sections. */
	uint64_t exec_ns = 500 * schedule->sections;
	cr_assert_geq(first_ns, 200000);
	cr_assert_leq(first_ns, 200000 + exec_ns);
	cr_assert_geq(last_ns, 600000);
	cr_assert_leq(last_ns, 600000 + 5 * exec_ns);
	cr_assert_gt(execs, 3);
	cr_assert_eq(count_held(other), 0, "it has exited");
	cr_assert_eq(other->done.inserts, other->done.removes);
	cr_assert_gt(quiet->done.execs, execs);
	end_worker(quiet);
	end_worker(other);
	struct clv_run_result result;
	finish_and_close(run, &result);
	cr_assert(result.valid, "%s: %s", design, result.why);
	cr_assert_null(result.course);
	free_result(&result);
}

Test(course, copies_come_and_go_with_the_storm)
{
	copies_come_and_go("rb_vma/one:rwsem");
	copies_come_and_go("rb_interval@cpu1/each:mutex");
	copies_come_and_go("deferring/one:mutex");
}

static void refused(const struct clv_run_config *config, const char *what)
{
	struct clv_run *run = NULL;
	struct cleave_error error = { "" };
	cr_assert_eq(clv_bench_native.open(&run, config, &error), -EINVAL, "%s", what);
	cr_assert(strstr(error.text, what), "`%s` is not in: %s", what, error.text);
}

Test(course, what_makes_no_sense_is_refused)
{
	struct clv_course_config asked = { .window_ns = 1000000, .storm = { 1000, 2000, 2 } };
	struct clv_run_config config = config_for("rb_interval/one:mutex", "exec", 4);
	config.course = &asked;
	clv_bench_native.close(opened(&config));
	for (unsigned quiet = 0; quiet < 6; quiet++) {
		asked.storm.quiet = quiet;
		if (quiet < 1 || quiet > 3)
			refused(&config, "of 4 threads");
	}
	asked.storm.quiet = 2;
	asked.storm.to_ns = 1000001;
	refused(&config, "not within the window of 1 ms");
	asked.storm.to_ns = 1000;
	refused(&config, "not within the window");
	asked.storm.to_ns = 1000000;
	config.migrate = 0.5;
	refused(&config, "migration");
	config.migrate = 0;
	config.workload = "pairs-libc";
	refused(&config, "do not pause");
	asked.storm.to_ns = 0;
	clv_bench_native.close(opened(&config));
	asked.every_ns = 1000001;
	refused(&config, "longer than the window");
	asked.every_ns = 99;
	refused(&config, "more than 10000 slices");
	asked.every_ns = 100;
	clv_bench_native.close(opened(&config));
}

Test(course, storms_are_read)
{
	static const struct {
		const char *text;
		struct clv_storm storm;
	} is[] = {
		{ "5-15", { 5000000, 15000000, 1 } }, { "5-15:8", { 5000000, 15000000, 8 } },
		{ "0-0.5:383", { 0, 500000, 383 } }, { "0.001-600000", { 1000, 600000000000, 1 } },
	};
	struct clv_storm storm;
	for (unsigned i = 0; i < sizeof(is) / sizeof(is[0]); i++) {
		cr_assert_eq(clv_storm_parse("--storm", is[i].text, &storm), 0, "%s", is[i].text);
		cr_assert_eq(storm.from_ns, is[i].storm.from_ns, "%s", is[i].text);
		cr_assert_eq(storm.to_ns, is[i].storm.to_ns, "%s", is[i].text);
		cr_assert_eq(storm.quiet, is[i].storm.quiet, "%s", is[i].text);
	}
}

Test(course, storms_that_are_none)
{
	static const char *const bad[] = {
		"", "5", "-", "5-", "-5", "5-5", "15-5", "5:8", "5:8-9", "5-15:", "5-15:0", "5-15:-1",
		"5-15:8:9", "5-15-20", "a-b", "1e1-2e1", "5-600001", " 5-15", "5-15 ", "5-15:8.5",
		"5-0x9", "1.2.3-5", "5-99999999999999999999999999999999999999999999999",
	};
	cr_redirect_stderr();
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct clv_storm storm = { 7, 7, 7 };
		cr_assert_eq(clv_storm_parse("--storm", bad[i], &storm), CLV_CLI_REPORTED, "%s",
			     bad[i]);
		cr_assert_eq(storm.from_ns + storm.to_ns + storm.quiet, 21, "%s", bad[i]);
	}
}
