/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A run over time: what each worker did in each slice of the window, and the maps' changes of phase.
 * Each worker counts on lines of its own, between two steps, and reads the clock once for each step
 * in which a batch or a walk ended; they are summed up when all have ended. Runs without a time
 * series do not come by here.
 */
#ifndef CLV_COURSE_H
#define CLV_COURSE_H

#include "worker.h"

/* As many lines as one would read; each worker has so many slices. */
#define CLV_SLICES_MAX 10000u

struct clv_worker_course {
	struct clv_done seen; /* up to the last step that was counted */
	struct clv_sampled seen_samples;
	struct clv_slice slice[]; /* [clv_course_slices] */
};

/* The workload's, with or without a storm, and around it what counts. */
int (*clv_course_step_of(const struct clv_run *run))(struct clv_worker *worker);

/* Refuses slices that are none, too many or longer than the window, and storms outside of it. */
int clv_course_check(const struct clv_run_config *config, const struct clv_workload *workload,
		     struct cleave_error *error);
/* Returns: 0; -ENOMEM. */
int clv_course_begin(struct clv_worker *worker);
void clv_course_end(struct clv_worker *worker);

/* All have ended: the sum over the workers. Returns: NULL: out of memory. */
struct clv_course *clv_course_sum(const struct clv_run *run);

/* As clv_bench.changes. */
int clv_course_changes(void *run, struct clv_phase_change **change, unsigned *changes,
		       unsigned *changes_in_all);

#endif
