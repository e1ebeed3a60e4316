/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Runs a case under many schedules, in processes of its own, so that a crash, a loop without end or
 * a failed assertion is a failure found, with a seed like any other.
 *
 * Schedule k has the seed `seed` + k; all that is random in it comes from that. The failure with the
 * lowest seed is reported, however many processes there are.
 */
#ifndef CLV_EXPLORE_RUN_H
#define CLV_EXPLORE_RUN_H

#include "explore.h"

/* BOTH: a seed's parity says which, even random. */
enum clv_explore_policy { CLV_EXPLORE_RANDOM, CLV_EXPLORE_PCT, CLV_EXPLORE_BOTH };

/* "random", "pct", "both"; NULL behind them. */
const char *clv_explore_policy_name(unsigned policy);

struct clv_explore_plan {
	struct clv_explore_config config; /* its seed is each schedule's */
	enum clv_explore_policy policy;
	uint64_t seed, schedules;
	unsigned processes; /* 0: one a CPU */
};

struct clv_explore_result {
	uint64_t schedules; /* up to and with the one that failed */
	uint64_t steps;	    /* accesses of all these; after a failure 0: some ran beyond it */
	uint64_t longest;   /* likewise: of the schedule that had most */
	double seconds;
	bool failed;
	/* Of the failure. */
	uint64_t seed;
	uint64_t failed_steps; /* 0: it hung */
	enum clv_explore_policy policy; /* random or pct */
	char why[240];
	char waiting[1024]; /* who waits for what, a line each, or "" */
};

/*
 * The simulation and the table's environment. One at a time in a process.
 * Returns: 0; negative errno with a line in error.
 */
int clv_explore_open(const struct clv_explore *table, struct cleave_error *error);
/*
 * From here to close: a byte for each of the code's, set where one of its basic blocks was run by a
 * body, in any schedule. pre: open. Returns: NULL, no memory.
 */
uint8_t *clv_explore_note_reached(size_t *bytes);
/* Returns: as table->look. pre: open. */
int clv_explore_look(const struct clv_explore_config *config, char canonical[CLV_DESIGN_BYTES],
		     struct cleave_error *error);
/* pre: clv_explore_look of it returned 0. Returns: 0 also if a schedule failed; negative errno. */
int clv_explore_run(const struct clv_explore_plan *plan, struct clv_explore_result *result,
		    struct cleave_error *error);
void clv_explore_close(void);

#endif
