/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The line between the driver and the measured code. Behind it: maps, workloads, the one worker
 * loop, the oracle counts. The driver (main, options, Google Benchmark, JSON) calls the measured
 * code through struct clv_bench alone, since a simulated machine brings a second build of it,
 * instrumented, with a table of its own.
 */
#ifndef CLV_BENCH_H
#define CLV_BENCH_H

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
	uint64_t think_ns;	/* `exec`: mean gap; not given: the schedule's own */
	double walks;		/* share of operations that are walks, 0 <= walks < 1 */
	uint64_t other_lock_ns; /* `exec`: a second global lock, held so long an exec; 0: none */
	double migrate; /* `exec`: share of execs at which a copy goes on on another CPU, 0 to 1 */
	unsigned sample_every;	/* time one of so many operations, seeded; 0: none */
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
};

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
	/* One worker, on its CPU, from start to CLV_PHASE_STOP. `arg` is the run. */
	void (*body)(void *arg, unsigned worker);
	/*
	 * `arg` is the run. Threads: none of its workers runs meanwhile, so a simulated machine's
	 * between two steps alone.
	 */
	void (*progress)(void *arg, struct clv_progress *out);
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
