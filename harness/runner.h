/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Runs points (a design at a number of threads) on a machine: repetitions interleaved over all
 * points by Google Benchmark, each validated; gathers what they gave.
 */
#ifndef CLV_RUNNER_H
#define CLV_RUNNER_H

#include <stddef.h>

#include "findings.h"
#include "machine/machine.h"
#include "machine/simulated.h"
#include "stats.h"

/* A parameter of the model, as the file has it and as it is now. */
struct clv_change {
	const char *parameter;
	double was, value;
};

/* What all points of one run share. Strings outlive it. */
struct clv_settings {
	struct clv_machine *machine;
	const char *workload;
	const char *schedule_name; /* where the schedule is from; NULL: the workload has none */
	const struct clv_schedule *schedule;
	const char *placement;
	uint64_t seed;
	unsigned repetitions;
	uint64_t warm_ns, window_ns;
	unsigned sample_every;
	uint64_t population;
	double walks;
	uint64_t other_lock_ns;
	double migrate;
	const struct clv_course_config *course; /* NULL: as struct clv_run_config has it */
	/* Of a simulated machine. The last repetition writes the timeline. */
	struct clv_simulated_options simulated;
	unsigned jobs; /* processes at once */
	const struct clv_change *change;
	unsigned changes;
};

/* Is there a storm? Then most threads run in a part of the window alone. */
bool clv_settings_storm(const struct clv_settings *settings);

/* The samples of one measure, [repetitions done]. */
struct clv_samples {
	double *value;
	struct clv_interval interval; /* set by clv_runner_run */
};

struct clv_point {
	/* given */
	char name[96];	  /* "" unless run by name */
	char design[CLV_DESIGN_BYTES]; /* canonical */
	unsigned threads;
	bool think_given; /* else the schedule's own gaps */
	uint64_t think_ns;
	bool oversubscribed; /* threads > cpus */
	unsigned cpus;	     /* that the threads run on */
	unsigned *cpu_index; /* [threads] */
	int *cpu_os;	     /* [threads] */

	/* found */
	bool valid;
	char why[240];
	unsigned done; /* repetitions */
	unsigned missed; /* windows that not all threads reached, and that were run again */
	unsigned keeps;
	unsigned subsets;
	struct clv_samples ops_per_s, execs_per_s, walks_per_s, jain;
	bool has_execs, has_walks;
	/*
	 * Operations a second divided by those of the first point of its kind (same threads, same
	 * think time) in the same round: what was run side by side is compared side by side.
	 */
	struct clv_samples ratio;
	const struct clv_point *ratio_to; /* NULL: it is the first, or one of the two is not valid */
	/* sums over repetitions */
	double thread_ns, batches, execs, moves;
	uint64_t sampled, sampled_ns, sampled_wait_ns, sampled_hold_ns;
	uint64_t checked_ops;
	uint64_t clock_ns; /* of the last repetition */
	double bytes_per_interval; /* of the last repetition; 0: no interval */
	struct clv_histogram *latency;
	struct clv_findings *findings; /* of a simulated machine; else NULL */
	/* Of the last repetition, as struct clv_run_result has them. */
	struct clv_course *course;
	struct clv_phase_change *change;
	unsigned changes, changes_in_all;

	const struct clv_settings *settings;
};

/* What makes a point. `think_ns`: CLV_THINK_RECORDED for the schedule's own gaps. */
struct clv_point_spec {
	const char *name; /* "" unless run by name */
	const char *design;
	unsigned threads;
	int64_t think_ns;
};
#define CLV_THINK_RECORDED (-1)

/*
 * Places the threads and allocates what the point needs. Returns: 0; -ENOMEM, or as
 * clv_placement_make. `fini` also after a failure.
 */
int clv_point_init(struct clv_point *point, const struct clv_settings *settings,
		   const struct clv_point_spec *spec, struct cleave_error *error);
/*
 * Open what a repetition would, and close it. Returns: 0; what cannot be run as asked, -EINVAL or
 * -ENOTSUP; -ENOMEM; with a line in error. Cost: that of filling the maps.
 */
int clv_point_check(const struct clv_point *point, struct cleave_error *error);
/* Same threads and same think time: rows of one table. */
bool clv_point_comparable(const struct clv_point *a, const struct clv_point *b);
void clv_point_fini(struct clv_point *point);

/* Shares of the threads' time, from the sampled operations; false: none were sampled. */
struct clv_time_share {
	double wait, inside, outside;
	bool scaled; /* the samples came to more than all of the time */
};
bool clv_point_time_share(const struct clv_point *point, struct clv_time_share *share);

/* What a repetition is given. Points into point and settings. */
struct clv_run_config clv_point_config(const struct clv_point *point, uint64_t repetition);
/*
 * One run, on fresh maps. report: NULL, or what a simulated machine fills in. Returns: 0 with a
 * result, valid or not; negative errno with a line in error.
 */
int clv_point_run(const struct clv_point *point, uint64_t repetition,
		  struct clv_run_result *result, struct clv_simulated_report *report,
		  struct cleave_error *error);

/* The point whose turn it is, the share done, and how long it will take; left_s < 0: unknown. */
typedef void clv_runner_progress(const struct clv_point *point, double done, double left_s);

/*
 * Run them all; on a simulated machine settings->jobs at once (outcome.h). `progress`, if not NULL,
 * is called now and then. A point that fails its validation, or whose threads could not be bound, is
 * not valid and has no number; that is not an error of the run. Returns: 0, with Google Benchmark's
 * JSON in *json, to free(); negative errno with a line in error.
 */
int clv_runner_run(struct clv_settings *settings, struct clv_point *point, size_t points,
		   clv_runner_progress *progress, char **json, size_t *json_bytes,
		   struct cleave_error *error);

#endif
