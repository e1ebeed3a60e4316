/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A simulated machine: struct clv_machine over the engine in sim/.
 *
 * A run is done when its estimate is good. After the warm-up (two execs of every worker where
 * there are execs, and warm_ns at least) the window opens. It closes when it has been long enough,
 * has 3 execs of every worker or 100,000 acquisitions in all, and the 95 % interval of the
 * throughput over its batches is within 3 % to each side, asked each time that the window has
 * doubled; or when the budget is used up, also for the warm-up: then the run is `short`. Long
 * enough is window_ns: with 20 ms, five times what the rwsem waits before it hands over. Where
 * nobody waits for longer than a thousandth of that, twenty times the longest wait is, and 0.1 ms at
 * least. The budget counts accesses and not host time, so that the same input gives the same output
 * on a busy machine.
 *
 * Of a run over time (plan.fixed) the warm-up is warm_ns from when all have begun, and the window window_ns, whatever is known
 * by then, unless the budget is used up before.
 */
#ifndef CLV_MACHINE_SIMULATED_H
#define CLV_MACHINE_SIMULATED_H

#include "machine.h"
#include "model.h"
#include "sim/account.h"

enum { CLV_REPORT_LINES = 12 };

/* What a simulated machine knows of a run beyond the bench's own counts. Plain data. */
struct clv_simulated_report {
	bool filled;
	bool is_short;
	double half_width;     /* of the 95 % interval, over the mean; < 0: too few batches */
	uint64_t virtual_ps;   /* the window */
	uint64_t window_ops, window_accesses; /* in it, of all threads; walks are operations here */
	uint64_t accesses, blocks, switches;  /* of all the run */
	struct clv_account account;
	unsigned lines;
	struct clv_account_line line[CLV_REPORT_LINES];
};

struct clv_simulated_options {
	uint64_t budget;      /* accesses a run; 0: CLV_BUDGET */
	uint64_t run_ahead_ps;
	const char *timeline; /* file to write the last run's to; NULL: none */
};
#define CLV_BUDGET UINT64_C(600000000)
#define CLV_RUN_AHEAD_PS UINT64_C(20000)

/* `name`: as clv_model_load takes it. Returns: 0; what that returns; -ENOMEM. */
int clv_machine_open_simulated(struct clv_machine **machine, const char *name,
			       struct cleave_error *error);

/* pre: machine->simulated. Before a run. */
void clv_simulated_configure(struct clv_machine *machine,
			     const struct clv_simulated_options *options);
struct clv_model *clv_simulated_model(struct clv_machine *machine);

#endif
