/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Google Benchmark for C. One benchmark is one point of a comparison, say a design at a number of
 * threads; its function runs one repetition with pinned threads of its own and sets the time.
 *
 *	clv_gbench_init();
 *	clv_gbench_register("rb_vma/one:rwsem/threads:8", repetition, &point, &bench);
 *	clv_gbench_repetitions(bench, 10);
 *	clv_gbench_manual_time(bench);
 *	clv_gbench_order(CLV_GBENCH_SHUFFLED_ROUNDS, seed);
 *	clv_gbench_run(NULL, report, NULL);
 *	clv_gbench_json(&text, &size);
 *	clv_gbench_shutdown();
 *
 *	static void repetition(struct clv_gbench_state *state, void *ctx)
 *	{
 *		while (clv_gbench_keep_running(state)) {
 *			...
 *			clv_gbench_set_seconds(state, measured);
 *		}
 *		if (!valid)
 *			clv_gbench_error(state, "lost %u intervals", lost);
 *	}
 *
 * Invariants
 *  - A repetition that failed has no number: not in the report, not in the JSON, and then its
 *    benchmark has no aggregates either, which would be those of the lucky repetitions.
 *  - Repetitions of one benchmark run in ascending order, under every clv_gbench_order.
 *  - Nothing is read from the command line or the environment, and nothing is printed.
 *  - No C++ exception leaves this module.
 *
 * How it differs from the library (1.7.1)
 *  - The library's own interleaving draws its order from std::random_device, which cannot be
 *    seeded, and reports a benchmark only after its last repetition. Here each repetition is
 *    registered as an instance of its own, in the order wanted; indices, "repeats:" in the name
 *    and aggregates are put in again, so that the JSON is what the library would have written.
 *  - A number of iterations is always given, so a function runs once a repetition.
 *  - Process CPU time is measured, since the threads are the function's own. cpu_time covers what
 *    lies between the first and the last clv_gbench_keep_running: set up and check outside.
 *  - The entry of a failed repetition: see clv_gbench_json.
 *  - The library aborts on several wrong uses (a loop left early, tuples of arguments of different
 *    lengths). These are caught before it sees them.
 *
 * Threads: the library's registry is one a process, and so is this module: all functions are called
 * by one thread at a time, those that take a state by the thread that the function was called on,
 * which is the one in clv_gbench_run. Pinning it in a function leaks out of it.
 *
 * Errors: negative errno, with a line in clv_gbench_why(). Every function but those that say
 * otherwise returns -EPERM before clv_gbench_init, -EBUSY from inside clv_gbench_run, and -ENOMEM.
 */
#ifndef CLV_GBENCH_H
#define CLV_GBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct clv_gbench;	 /* a registered benchmark */
struct clv_gbench_state; /* one repetition, while its function runs */

typedef void clv_gbench_fn(struct clv_gbench_state *state, void *ctx);

enum clv_gbench_unit {
	CLV_GBENCH_NS,
	CLV_GBENCH_US,
	CLV_GBENCH_MS,
	CLV_GBENCH_S,
};

/* The order in which the repetitions of several benchmarks run. */
enum clv_gbench_order {
	CLV_GBENCH_GROUPED, /* all repetitions of one, then of the next: the library's own */
	CLV_GBENCH_ROUNDS,  /* repetition 0 of each, then repetition 1 of each, ... */
	CLV_GBENCH_SHUFFLED_ROUNDS, /* rounds, each in an order of its own drawn from the seed */
};

/*
 * What is done to a counter before it is reported. There is no average over threads: the library
 * would divide by its own number of threads, which is always 1 here.
 */
enum clv_gbench_counter_flags {
	CLV_GBENCH_RATE = 1 << 0,      /* divided by the seconds of the repetition */
	CLV_GBENCH_INVARIANT = 1 << 1, /* of each iteration: multiplied by the iterations */
	CLV_GBENCH_AVERAGE = 1 << 2,   /* divided by the iterations */
	CLV_GBENCH_INVERT = 1 << 3,    /* last of all: 1 / value */
};

struct clv_gbench_counter_value {
	const char *name;
	double value; /* after the flags; always finite */
	unsigned flags;
};

/* One line of the report. Valid during the callback only. */
struct clv_gbench_report {
	const char *name;     /* of this entry: run_name, then "_mean" and the like */
	const char *run_name; /* of the benchmark, with arguments and modifiers */
	struct clv_gbench *bench;
	void *ctx; /* as registered */
	const char *aggregate_name; /* mean, median, stddev, cv; NULL if this is a repetition */
	int repetition_index;	    /* from 0; -1 for an aggregate */
	int repetitions;
	int64_t iterations; /* of an aggregate: how many repetitions it is over */
	double real_time;   /* per iteration, in `unit`; of cv, a ratio; NaN after an error */
	double cpu_time;    /* of all threads of the process, likewise */
	enum clv_gbench_unit unit;
	const char *unit_name; /* "ns", "us", "ms", "s" */
	const struct clv_gbench_counter_value *counter;
	size_t counters;   /* 0 after an error */
	const char *label; /* "" if none */
	bool error;
	const char *error_message; /* "" if none */
};

/* Returns: 0; anything else to stop: no function is called after it. */
typedef int clv_gbench_report_fn(const struct clv_gbench_report *report, void *ctx);

/*
 * Start the library, with an argument vector made here: every flag has its default, whatever the
 * environment says.
 * Returns: 0.
 * Errors: -EBUSY if it is started; -ENOTSUP if the library knows not all of these flags.
 */
int clv_gbench_init(void);

/*
 * Drop all benchmarks, context, results and the order; handles are invalid after it. A fresh start
 * without another clv_gbench_init.
 * Returns: 0.
 */
int clv_gbench_clear(void);

/*
 * clv_gbench_clear, and free what the library holds. clv_gbench_init may follow.
 * Returns: 0.
 */
int clv_gbench_shutdown(void);

/*
 * The line that goes with the last error returned; "" if none was. Valid until the next call.
 * Errors: none.
 */
const char *clv_gbench_why(void);

/*
 * The library's version at build time, such as "1.7.1": the library cannot tell it at run time.
 * Errors: none.
 */
const char *clv_gbench_version(void);

/*
 * Add a benchmark: one repetition on one iteration, in nanoseconds of real time, until told
 * otherwise. `ctx` is the caller's and lives until clv_gbench_clear.
 * Returns: 0, and the handle, valid until clv_gbench_clear.
 * Errors: -EINVAL if the name is empty, longer than 512 bytes, or holds a control character or
 * invalid UTF-8; -EEXIST if it is taken.
 */
int clv_gbench_register(const char *name, clv_gbench_fn *fn, void *ctx, struct clv_gbench **bench);

/*
 * Have the benchmark run with these arguments too; each tuple added is a point with repetitions of
 * its own. Without any, it runs once without arguments.
 * Returns: 0.
 * Errors: -EINVAL if n is 0, or not as in an earlier tuple or in the names; -EEXIST if it is there.
 */
int clv_gbench_add_args(struct clv_gbench *bench, const int64_t *arg, size_t n);

/*
 * Names of the arguments: "threads" makes "/threads:8" of "/8".
 * Returns: 0.
 * Errors: -EINVAL if a name is bad as in clv_gbench_register, or n is not that of the tuples.
 */
int clv_gbench_arg_names(struct clv_gbench *bench, const char *const *name, size_t n);

/* Iterations of the loop in each repetition. Returns: 0. Errors: -EINVAL if n < 1. */
int clv_gbench_iterations(struct clv_gbench *bench, int64_t n);

/* Returns: 0. Errors: -EINVAL if n < 1. */
int clv_gbench_repetitions(struct clv_gbench *bench, int n);

/* The unit in which times are reported. Returns: 0. Errors: -EINVAL. */
int clv_gbench_unit(struct clv_gbench *bench, enum clv_gbench_unit unit);

/*
 * The function tells the time of each iteration with clv_gbench_set_seconds; one that did not has
 * failed.
 * Returns: 0.
 */
int clv_gbench_manual_time(struct clv_gbench *bench);

/*
 * How many threads the function uses: reported as "threads", and nothing else. The library starts
 * none and divides nothing by it.
 * Returns: 0. Errors: -EINVAL if n < 1.
 */
int clv_gbench_threads(struct clv_gbench *bench, int n);

/* Returns: 0. Errors: -EINVAL. `seed` is for CLV_GBENCH_SHUFFLED_ROUNDS. */
int clv_gbench_order(enum clv_gbench_order order, uint64_t seed);

/*
 * A key and a string in the "context" of the JSON; a key given again has its value replaced.
 * Returns: 0.
 * Errors: -EINVAL if key or value is bad as in clv_gbench_register (but a value may be empty and of
 * any length), or the key is one that the library writes itself.
 */
int clv_gbench_context(const char *key, const char *value);

/*
 * Run the benchmarks whose name the filter matches: a regular expression (ECMAScript, found
 * anywhere in the name), a leading '-' for those that it does not match, NULL or "" for all. The
 * name has arguments and modifiers ("/iterations:1/process_time/manual_time") but not "repeats:".
 * `report`, if not NULL, is called after each repetition, and after the last one of a benchmark for
 * its aggregates if there is more than one and all are valid. Results of earlier runs are dropped.
 * Returns: how many points ran (a benchmark is one, or one for each tuple of arguments).
 * Errors: -ENOENT if the filter matches nothing, or nothing is registered; -EINVAL if it is no
 * regular expression; -ECANCELED if `report` asked to stop: what ran before it is kept.
 * A repetition that failed is not an error of the run: see struct clv_gbench_report.
 */
int clv_gbench_run(const char *filter, clv_gbench_report_fn *report, void *ctx);

/*
 * The results of the last run as one JSON document in the library's standard form, whatever order
 * the repetitions ran in: benchmarks in the order registered, repetitions ascending, then
 * aggregates. A failed repetition is an entry with "error_occurred" and "error_message", with a
 * "repetition_index", and without any number measured. So that readers that take a time from every
 * repetition (compare.py does) pass over it, its run type is "aggregate" and its name ends in
 * "_error", as the library does for fits ("_BigO"), which have no time either.
 * Returns: 0, with a string to free(), its length in *size if that is not NULL.
 * Errors: -ENODATA if nothing ran.
 */
int clv_gbench_json(char **text, size_t *size);

/* What follows is for functions, with the state that they were given: never -EPERM or -EBUSY. */

/*
 * The condition of the loop: true as often as there are iterations; false after an error. Time
 * starts at the first call. A function that returns before it was false has failed.
 * Errors: none.
 */
bool clv_gbench_keep_running(struct clv_gbench_state *state);

/*
 * The time of this iteration, once in each, after clv_gbench_manual_time. Wall or simulated.
 * Returns: 0. Errors: -EINVAL if it is not finite or not above 0, or the time is not manual.
 */
int clv_gbench_set_seconds(struct clv_gbench_state *state, double seconds);

/*
 * Set a counter. One whose reported value is not finite, a rate over no time for one, is left out.
 * Returns: 0.
 * Errors: -EINVAL if the name is bad as in clv_gbench_register or is a key of the library's own, a
 * flag is unknown or the value not finite.
 */
int clv_gbench_counter(struct clv_gbench_state *state, const char *name, double value,
		       unsigned flags);

/* Returns: 0. Errors: -EINVAL if the text holds a control character or invalid UTF-8. */
int clv_gbench_label(struct clv_gbench_state *state, const char *text);

/*
 * This repetition failed, or is skipped (the library has one word for both): it has no number. The
 * first message counts; of its bytes those that JSON cannot hold become '?', and 512 are kept.
 * Errors: none.
 */
void clv_gbench_error(struct clv_gbench_state *state, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Argument i of the tuple. Returns: 0. Errors: -ERANGE if there is none. */
int clv_gbench_arg(const struct clv_gbench_state *state, size_t i, int64_t *value);

/* The index of this repetition, from 0. Errors: none. */
int clv_gbench_repetition(const struct clv_gbench_state *state);

/* How many iterations the loop has. Errors: none. */
int64_t clv_gbench_iteration_count(const struct clv_gbench_state *state);

#ifdef __cplusplus
}
#endif

#endif
