/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Programs without maps, by which the simulated machine is judged: built natively, where they are
 * timed, and for the simulated machine. As with struct clv_bench, the driver knows the table alone.
 */
#ifndef CLV_CASES_H
#define CLV_CASES_H

#include "../bench.h"

enum clv_case {
	CLV_CASE_ADD,	     /* all add to one word */
	CLV_CASE_CHASE_ONE,  /* one thread follows pointers through nodes of one line */
	CLV_CASE_CHASE_TWO,  /* the same, nodes of two lines, both read */
	CLV_CASE_MULTIPLY_MCS, /* Fetch&Multiply under an MCS lock, then local work */
	CLV_CASE_MULTIPLY_FLAT, /* by flat combining */
	CLV_CASE_MULTIPLY_CC,   /* by CC-Synch */
	CLV_CASE_MULTIPLY_H,    /* by H-Synch */
};

struct clv_case_config {
	enum clv_case which;
	unsigned threads;
	const unsigned *cluster; /* [threads]: who shares a queue, H-Synch; NULL: all */
	unsigned clusters;
	size_t bytes; /* of a chase */
	unsigned work; /* iterations of local work, fewer than that */
	unsigned help; /* operations that one thread applies for others in a row */
	uint64_t seed;
};

struct clv_validate {
	/* Returns: 0; -ENOMEM with a line in error. */
	int (*open)(void **state, const struct clv_case_config *config,
		    struct cleave_error *error);
	/* As in struct clv_bench; an operation counts as an exec, too. */
	uint32_t *(*phase)(void *state);
	void (*body)(void *state, unsigned worker);
	void (*progress)(void *state, struct clv_progress *out);
	/* After the run. ns: summed over threads, of the window. Returns: false: the result is
	 * wrong. */
	bool (*finish)(void *state, double *ops_per_s);
	void (*close)(void *state);
};

extern const struct clv_validate clv_validate_native, clv_validate_simulated;

#endif
