// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What the oracle count finds, shown by structures that lie; entries of designs that defer; and
 * what is refused before a run begins.
 */
#include "workload_runs.h"

/* A way to lie about one visit in a while; counted over the process. */
enum lie { MISSES, VISITS_TWICE, INVENTS, IGNORES_RANGE, MISSES_STABS };
static enum lie lie;
static unsigned visits_left;
static struct cleave_interval invented;

struct lying {
	cleave_visit_fn *visit;
	void *arg;
};

static int lying_visit(struct cleave_entry *entry, void *arg)
{
	struct lying *lying = arg;
	if (visits_left && --visits_left)
		return lying->visit(entry, lying->arg);
	if (lie == MISSES || lie == MISSES_STABS)
		return 0;
	int code = lying->visit(entry, lying->arg);
	if (!code && lie == VISITS_TWICE)
		code = lying->visit(entry, lying->arg);
	if (!code && lie == INVENTS) {
		invented.entry = *entry; /* else the map's own check notices */
		code = lying->visit(&invented.entry, lying->arg);
	}
	return code;
}

static int lying_walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		      uint64_t last, cleave_visit_fn *visit, void *arg)
{
	struct lying lying = { visit, arg };
	visits_left = 3;
	if (lie == IGNORES_RANGE && last - start < 1000) {
		start = 0;
		last = UINT64_MAX;
	}
	if (lie == IGNORES_RANGE || (lie == MISSES_STABS && start != last))
		return cleave_brute_array.walk(self, thread, subset, start, last, visit, arg);
	return cleave_brute_array.walk(self, thread, subset, start, last, lying_visit, &lying);
}

static void wide_bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	cleave_brute_array.bounds(entry, start, last);
	++*last;
}

static bool always_empty(const void *self)
{
	(void)self;
	return true;
}

static const char *unwell(void *self)
{
	(void)self;
	return "out of sorts";
}

static int prepares_left;

static int failing_prepare(void *self, struct cleave_thread *thread, const struct cleave_op *ops,
			   unsigned count, void **reserve)
{
	if (prepares_left && !--prepares_left)
		return -ENOMEM;
	return cleave_brute_array.prepare(self, thread, ops, count, reserve);
}

/* The run must be void, and say this. */
static void caught(const char *design, const char *workload, double walks, const char *what)
{
	struct clv_run_config config = config_for(design, workload, 1);
	config.walks = walks;
	config.population = 20;
	struct clv_run_result result = run_threads(&config, 60);
	cr_assert_not(result.valid, "%s: passed", what);
	cr_assert(strstr(result.why, what), "`%s` is not in: %s", what, result.why);
	free_result(&result);
}

Test(workload_check, lies_are_caught)
{
	static struct cleave_structure liar, wide, hollow, sick, poor;
	liar = wide = hollow = sick = poor = cleave_brute_array;
	liar.walk = lying_walk;
	wide.bounds = wide_bounds;
	hollow.empty = always_empty;
	sick.validate = unwell;
	poor.prepare = failing_prepare;
	add_structure(&liar, "liar");
	add_structure(&wide, "wide");
	add_structure(&hollow, "hollow");
	add_structure(&sick, "sick");
	add_structure(&poor, "poor");
	const char *const workloads[] = { "pairs-libc", "exec" };
	for (unsigned i = 0; i < 2; i++) {
		const char *workload = workloads[i];
		lie = MISSES;
		caught("liar/one:none", workload, 0, "are held, and");
		lie = VISITS_TWICE;
		caught("liar/one:none", workload, 0, "is visited twice");
		lie = INVENTS;
		caught("liar/one:none", workload, 0, "nobody holds");
		lie = IGNORES_RANGE;
		caught("liar/one:none", workload, 0, "visits what it should not");
		caught("liar/one:none", workload, 0.2, "such visits");
		lie = MISSES_STABS;
		caught("liar/one:none", workload, 0, "misses [");
		caught("wide/one:none", workload, 0, "its owner made it");
		caught("hollow/one:none", workload, 0, "said to be empty");
		caught("sick/one:none", workload, 0, "out of sorts");
		prepares_left = 100;
		caught("poor/one:none", workload, 0, "Cannot allocate memory");
	}
}

/* A workload that forgets an interval: then counts no longer agree. */
Test(workload_check, conservation)
{
	struct clv_run_config config = config_for("brute_array/one:none", "pairs-libc", 1);
	struct clv_run *run = opened(&config);
	struct clv_run_result result;
	run->worker[0]->done.inserts++;
	finish_and_close(run, &result);
	cr_assert_not(result.valid);
	cr_assert(strstr(result.why, "200 intervals, but"), "%s", result.why);
	free_result(&result);
}

/* ---- designs that defer ---- */

enum { REMOVED_MAX = 1000 };
static struct cleave_entry *removed[REMOVED_MAX];
static unsigned removed_count;

static void noting_remove(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	cleave_brute_array.remove(self, update, entry);
	if (removed_count < REMOVED_MAX)
		removed[removed_count++] = entry;
}

/* How many of the worker's entries were removed since removed_count was 0. */
static unsigned used_again(const struct clv_worker *worker)
{
	unsigned again = 0;
	for (uint64_t i = 0; i < worker->held.count; i++) {
		for (unsigned j = 0; j < removed_count; j++)
			again += removed[j] == worker->held.slot[i].entry;
	}
	return again;
}

/* Someone is inside a walk: what the worker removes meanwhile must stay as it is. */
static int step_meanwhile(struct cleave_entry *entry, void *arg)
{
	struct clv_worker *worker = arg;
	(void)entry;
	for (unsigned i = 0; i < 300; i++) {
		cr_assert_eq(worker->run->workload->step(worker), 0);
		cr_assert_eq(used_again(worker), 0, "%s: step %u", worker->run->config.workload, i);
	}
	return 1;
}

Test(workload_check, deferred_entries)
{
	static struct cleave_structure deferring;
	deferring = cleave_brute_array;
	deferring.flags |= CLEAVE_DEFERS | CLEAVE_WALKS_UNLOCKED;
	deferring.remove = noting_remove;
	add_structure(&deferring, "deferring");
	for (unsigned i = 0; clv_workload_at(i); i++) {
		/* No walks: the array cannot have them unlocked, whatever it says. */
		struct clv_run_config config =
			config_for("deferring@node/one:rwsem", clv_workload_at(i)->info.name, 2);
		struct clv_run_result result = run_threads(&config, 1500);
		check_result(&config, &result);
		free_result(&result);

		config.design = "deferring/one:none";
		config.threads = 1;
		struct clv_run *run = opened(&config);
		struct clv_worker *worker = run->worker[0];
		struct cleave_thread *other;
		begin_worker(worker);
		cr_assert_eq(cleave_thread_begin(&other, run->env, 1), 0);
		removed_count = 0;
		cr_assert_eq(cleave_walk(run->map[run->walk_map], other, 0, UINT32_MAX, 0,
					 step_meanwhile, worker), 1);
		/* The walk is over: they come back. */
		for (unsigned steps = 0; !used_again(worker); steps++) {
			cr_assert_lt(steps, 100000);
			cr_assert_eq(run->workload->step(worker), 0);
		}
		cleave_thread_end(other);
		end_worker(worker);
		finish_and_close(run, &result);
		cr_assert(result.valid, "%s", result.why);
		free_result(&result);
	}
}

/* ---- what cannot be run ---- */

static void refused(const struct clv_run_config *config, int wanted, const char *what)
{
	struct clv_run *run = NULL;
	struct cleave_error error = { "" };
	cr_assert_eq(clv_bench_native.open(&run, config, &error), wanted, "%s: %s", config->design,
		     error.text);
	cr_assert(strstr(error.text, what), "`%s` is not in: %s", what, error.text);
}

Test(workload_check, configurations_are_refused)
{
	struct clv_run_config good = config_for("rb_interval/one:mutex", "exec", 4), bad;
	bad = good;
	bad.workload = "nothing";
	refused(&bad, -ENOENT, "nothing");
	bad = good;
	bad.design = "rb_nothing/one";
	refused(&bad, -EINVAL, "rb_nothing");
	bad = good;
	bad.schedule = NULL;
	refused(&bad, -EINVAL, "no schedule");
	bad = good;
	bad.population = 19;
	refused(&bad, -EINVAL, "population 19");
	bad = good;
	bad.design = "rb_interval/one:none";
	refused(&bad, -EINVAL, "one thread");
	bad = good;
	bad.threads = 0;
	refused(&bad, -EINVAL, "no threads");
	bad = good;
	bad.walks = 1;
	refused(&bad, -EINVAL, "walks");
	bad = good;
	bad.walks = -0.5;
	refused(&bad, -EINVAL, "walks");
	bad = good;
	bad.cpu = (const int[]){ 0, 1, 2, 4 };
	refused(&bad, -ERANGE, "4");
	bad = good;
	bad.topology = "nonsense";
	refused(&bad, -EINVAL, "nonsense");

	good.workload = bad.workload = "pairs-random";
	bad = good;
	bad.population = 3;
	refused(&bad, -EINVAL, "population 3");
	bad = good;
	bad.think_ns = 10;
	refused(&bad, -EINVAL, "think");
	bad = good;
	bad.other_lock_ns = 10;
	refused(&bad, -EINVAL, "other lock");

	static struct cleave_structure small, sloppy;
	small = sloppy = cleave_brute_array;
	small.last_max = 1000;
	sloppy.keeps &= ~CLEAVE_C5_COMPLETE_AND_SINGLE;
	add_structure(&small, "small");
	add_structure(&sloppy, "sloppy");
	bad = good;
	bad.design = "small/one:mutex";
	refused(&bad, -ENOTSUP, "1048575");
	bad.design = "sloppy/one:mutex";
	refused(&bad, -ENOTSUP, "C5");
}
