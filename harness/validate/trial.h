/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Runs on simulated machines, many beside each other, each with a model of its own: what all parts
 * of the validation are made of.
 */
#ifndef CLV_TRIAL_H
#define CLV_TRIAL_H

#include "cases.h"
#include "../runner.h"

enum { CLV_TRIAL_CHANGES = 24 };

/* Of the model: set to `value`, or multiplied by it. */
struct clv_tweak {
	const char *parameter; /* lives as long as the trial */
	double value;
	bool factor;
};

struct clv_trial {
	/* given; strings outlive it */
	const char *machine;
	struct clv_tweak tweak[CLV_TRIAL_CHANGES];
	unsigned tweaks;
	const char *design; /* string or name; NULL: the case below */
	struct clv_case_config program;
	const char *workload, *placement;
	const struct clv_schedule *schedule;
	unsigned threads;
	int64_t think_ns; /* CLV_THINK_RECORDED */
	uint64_t population, other_lock_ns, seed, warm_ns, window_ns, budget;
	double migrate;

	/* found */
	int code; /* negative: refused or failed, and why */
	char why[160];
	double ops_per_s, execs_per_s;
	double hold_ns, handover_ns; /* of an exclusive acquisition, means */
	double far_share, wait_share; /* of transfers, beyond the node; of the time */
	double transfers; /* of lines, an acquisition */
	uint64_t acquisitions;
	double half_width, host_s;
	bool is_short;
};

/* exec at `threads` with 6,000 intervals and no time to think, 20 ms, seed 1: to be varied. */
struct clv_trial clv_trial_exec(const char *machine, const char *design, unsigned threads,
				const struct clv_schedule *schedule);
/* A program without maps. */
struct clv_trial clv_trial_case(const char *machine, enum clv_case which, unsigned threads);

/* One field of all that a variation, a structure with an array of them, consists of. */
#define CLV_TRIALS_SET(made, field, to) \
	for (unsigned d_ = 0; \
	     (made) && d_ < sizeof((made)->trial) / sizeof((made)->trial[0]); d_++) \
	(made)->trial[d_].field = (to)

/* How exec's load is varied, one by one: the name, NULL for no more; and that in trial[trials]. */
const char *clv_load_name(unsigned i);
void clv_load_set(unsigned i, struct clv_trial *trial, unsigned trials);

/* Returns: false: too many. */
bool clv_trial_tweak(struct clv_trial *trial, const char *parameter, double value, bool factor);

/*
 * Run them all, `jobs` at once. Returns: 0, whatever they came to; negative errno with a line in
 * error if processes could not be made.
 */
int clv_trials_run(struct clv_trial *trial, unsigned trials, unsigned jobs, const char *what,
		   struct cleave_error *error);

#endif
