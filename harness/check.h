/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The oracle count: do the maps hold, after a run, just what the workers remember having put in?
 */
#ifndef CLV_CHECK_H
#define CLV_CHECK_H

#include "worker.h"

/*
 * pre: all workers have ended. Sets result->valid, why, intervals. Returns: 0; -ENOMEM.
 *
 * What is checked, of every map: a walk over everything visits each held interval once, with the
 * bounds that its owner gave it, and no other (C5); walks of some random pages visit exactly what
 * overlaps them; cleave_empty agrees; cleave_validate agrees. Of all maps together: intervals at
 * the start + inserts - removes = intervals now. And of the run: no worker failed, no walk visited
 * what does not overlap its page. A sink is excused from all that needs intervals.
 */
int clv_check_run(struct clv_run *run, struct clv_run_result *result);

#endif
