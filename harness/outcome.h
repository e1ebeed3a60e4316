/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Runs on a simulated machine, beforehand and side by side: each repetition of each point in a
 * process of its own (pool.h), its outcome kept for Google Benchmark's turn (runner.c). A run is a
 * function of point and seed alone, so that neither how many processes there are nor which ends
 * first shows in anything but the host's time.
 */
#ifndef CLV_OUTCOME_H
#define CLV_OUTCOME_H

#include "runner.h"

/* Of one repetition. */
struct clv_outcome {
	int code; /* negative: there is no result, but a reason */
	char why[240];
	struct clv_run_result result;
	struct clv_simulated_report report;
	double host_s;
};
void clv_outcome_fini(struct clv_outcome *outcome);

/*
 * Run them all: outcome [points * repetitions], a point's repetitions together, to free() each.
 * Returns: 0, whatever the runs came to; -ENOMEM, or what starting processes failed with.
 */
int clv_outcomes_make(struct clv_outcome **outcome, const struct clv_point *point, size_t points,
		      clv_runner_progress *progress, struct cleave_error *error);

#endif
