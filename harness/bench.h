/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The line between the driver and the measured code. Behind it: maps, workloads, the one worker
 * loop, the oracle counts. The driver (main, options, Google Benchmark, JSON) calls the measured
 * code through struct clv_bench alone, since a simulated machine brings a second build of it,
 * instrumented, with a table of its own.
 */
#ifndef CLV_BENCH_H
#define CLV_BENCH_H

#include <stdlib.h>

#include <cleave/cleave.h>

#include "../lib/design.h"
#include "histogram.h"

struct clv_schedule;
struct clv_run;

/* What one repetition is given. Plain data, outlives the run. */
struct clv_run_config {
	const char *design;   /* a design string */
	const char *workload; /* a name from clv_workload_at */
	const struct clv_schedule *schedule; /* `exec`: what is replayed */
	const char *topology; /* as cleave_env_options */
	unsigned threads;
	const int *cpu; /* [threads], system numbers */
	uint64_t seed;
	uint64_t population; /* at rest; `exec`: of libc.so.6, the threads' own included */
	bool think_given;
	unsigned sample_every;	/* time one of so many operations, seeded; 0: none */
	uint64_t think_ns;	/* `exec`: mean gap; not given: the schedule's own */
	double walks;		/* share of operations that are walks, 0 <= walks < 1 */
	uint64_t other_lock_ns; /* `exec`: a second global lock, held so long an exec; 0: none */
	double migrate; /* `exec`: share of execs at which a copy goes on on another CPU, 0 to 1 */
	const struct clv_course_config *course; /* NULL: the load is even, no time series */
};

/* A load that changes with time: outside of [from_ns, to_ns) of the window only `quiet` threads run. */
struct clv_storm {
	uint64_t from_ns, to_ns; /* to_ns 0: there is none */
	unsigned quiet;
};

/* What a run over time is asked for. Plain data, outlives the run. */
struct clv_course_config {
	struct clv_storm storm;
	uint64_t window_ns; /* of exactly this length */
	uint64_t every_ns; /* cut it into slices of this length, the last may be shorter; 0: do not */
};

/* The phases of a run: the machine moves the word, workers read it between two operations. */
enum clv_phase { CLV_PHASE_WARM, CLV_PHASE_MEASURE, CLV_PHASE_STOP };

struct clv_worker_counts {
	uint64_t ops;	/* inserts, removes, changes */
	uint64_t walks; /* apart from ops */
	uint64_t batches; /* calls into a map: batches committed, and walks */
	uint64_t visits;
	uint64_t execs;
	uint64_t moves; /* execs at which a copy came from another worker: see config.migrate */
	uint64_t elapsed_ns; /* of the measured window, by this worker's clock */
};

/* What all workers have done so far, warm-up included. */
struct clv_progress {
	uint64_t ops, batches, execs, walks; /* as in clv_worker_counts */
	uint64_t least_execs; /* of a worker */
	bool begun; /* all workers have */
};

/*
 * What a simulated machine knows of a slice of the window: sums over its CPUs and locks, as struct
 * clv_account has them.
 */
struct clv_slice_exact {
	bool filled;
	uint64_t outside_ps, wait_ps, handover_ps, inside_ps; /* time of all CPUs */
	uint64_t acquisitions;
	uint64_t holds, hold_ps, hold_longest_ps; /* that ended in the slice */
	uint64_t lock_waits, lock_wait_ps; /* exclusive: from asked to free */
	uint64_t allocated_bytes; /* at its end, of the whole simulation */
};

/*
 * A slice of the window. An operation, batch or walk counts where it ended, by the clock of the
 * worker that did it.
 */
struct clv_slice {
	uint64_t ops, execs, batches, walks;
	/* The longest that a walk waited, for all of its locks together: all walks are timed. */
	uint64_t walk_wait_longest_ns;
	uint64_t sampled, sampled_wait_ns, sampled_hold_ns; /* as in struct clv_run_result */
	struct clv_slice_exact exact;
};

/* A run over time. One block, to free(). */
struct clv_course {
	uint64_t every_ns, window_ns;
	unsigned slices; /* that are over; fewer than asked for where the run was cut short */
	struct clv_slice slice[];
};

/* pre: every_ns > 0. */
static inline uint64_t clv_course_slices(uint64_t window_ns, uint64_t every_ns)
{
	return window_ns / every_ns + (window_ns % every_ns > 0);
}

/* How long slice i is. pre: i < clv_course_slices. */
static inline uint64_t clv_course_slice_ns(uint64_t window_ns, uint64_t every_ns, uint64_t i)
{
	uint64_t left_ns = window_ns - i * every_ns;
	return left_ns < every_ns ? left_ns : every_ns;
}

/* NULL: 0. */
static inline size_t clv_course_bytes(const struct clv_course *course)
{
	return course ? sizeof(*course) + course->slices * sizeof(*course->slice) : 0;
}

/* A change of phase that a map reported, struct cleave_phase as a copy. */
struct clv_phase_change {
	int64_t at_ns; /* of the window; before it: negative */
	unsigned map;
	char name[24], reason[160];
	uint64_t asked, failed;
	double per_s;
	uint32_t cpu, subsets;
};

/* What one repetition gave. `worker` is [threads], the driver's to free. */
struct clv_run_result {
	bool valid;
	char why[240]; /* if not */
	char design[CLV_DESIGN_BYTES]; /* canonical */
	unsigned keeps;
	unsigned subsets;
	struct clv_worker_counts *worker;
	/* Of sampled operations in the window, all workers: sums, and the batch latencies. */
	uint64_t sampled, sampled_wait_ns, sampled_hold_ns, sampled_ns;
	uint64_t clock_ns; /* what a reading of the clock costs: already taken off the sums */
	/* Of a batch, sampled, and not of a walk; the driver's to free(), as is `worker`. */
	struct clv_histogram *latency;
	/* How much the oracle count covers: all ops, warm-up included. Of a sink: none. */
	uint64_t checked_ops;
	uint64_t intervals, map_bytes; /* at the end of the window, all maps */
	struct clv_course *course; /* the driver's to free(); NULL: none was asked for */
	/* What the maps remember of theirs, in the order of time, the driver's to free(); and of how
	 * many. NULL: there was none. */
	struct clv_phase_change *change;
	unsigned changes, changes_in_all;
};

static inline void clv_run_result_fini(struct clv_run_result *result)
{
	free(result->worker);
	free(result->latency);
	free(result->course);
	free(result->change);
	result->worker = NULL;
	result->latency = NULL;
	result->course = NULL;
	result->change = NULL;
}

struct clv_workload_info {
	const char *name;
	const char *summary;
	bool needs_schedule;
};

struct clv_bench {
	/*
	 * Make the maps, put the standing population in, prepare the workers' state; not timed.
	 * Returns: 0; negative errno with a line in error.
	 */
	int (*open)(struct clv_run **run, const struct clv_run_config *config,
		    struct cleave_error *error);
	/* The word that the machine moves through enum clv_phase, atomically. */
	uint32_t *(*phase)(struct clv_run *run);
	/*
	 * Where the machine writes clv_now_ns of the window's begin, atomically, before it moves the
	 * phase there. 0 until then.
	 */
	uint64_t *(*origin)(struct clv_run *run);
	/* One worker, on its CPU, from start to CLV_PHASE_STOP. `arg` is the run. */
	void (*body)(void *arg, unsigned worker);
	/*
	 * `arg` is the run. Threads: none of its workers runs meanwhile, so a simulated machine's
	 * between two steps alone.
	 */
	void (*progress)(void *arg, struct clv_progress *out);
	/*
	 * The changes of phase so far, as in struct clv_run_result, to free(). `arg` is the run.
	 * Returns: 0; -ENOMEM.
	 */
	int (*changes)(void *arg, struct clv_phase_change **change, unsigned *changes,
		       unsigned *changes_in_all);
	/*
	 * All workers have ended: check the run (oracle counts, validate, conservation) and fill in
	 * the result. A failed check is valid = false with the reason. Returns: 0; -ENOMEM.
	 */
	int (*finish)(struct clv_run *run, struct clv_run_result *result);
	void (*close)(struct clv_run *run);
	const struct clv_workload_info *(*workload_at)(unsigned i);
};

extern const struct clv_bench clv_bench_native;

#endif
