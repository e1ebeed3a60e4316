/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Rounds of measuring, and which of them count. No clock and no threads here. The rules, fixed
 * before anything is measured:
 *
 *  - a round counts only if the reference latencies before and after it are as clv_estimate_steady
 *    has it, and none of its threads waited for a CPU for more than CLV_STOLEN_SHARE of the time;
 *  - where the largest reference of those is more than CLV_MODES_RATIO times the smallest, the
 *    machine was in two modes, and the rounds are told apart at the geometric mean of the two.
 */
#ifndef CLV_SERIES_H
#define CLV_SERIES_H

#include <stdbool.h>
#include <stddef.h>

#define CLV_STOLEN_SHARE 0.02
#define CLV_MODES_RATIO 2.0

/* One round of one row. Times in ns. */
struct clv_round {
	double before, after; /* references; 0, both: none is needed */
	double value;	      /* operations a second */
	double stolen;	      /* largest share of the time that a thread was ready and not running */
	double *cost;	      /* what else was measured; the caller's */
};

bool clv_round_counts(const struct clv_round *round);

/* Between near and far of the references of those that count; 0: there is one mode. */
double clv_rounds_split(const struct clv_round *round, size_t n);

enum clv_mode { CLV_MODE_NEAR, CLV_MODE_FAR, CLV_MODES };
/* `split`: of clv_rounds_split. All are near where it is 0. */
enum clv_mode clv_round_mode(const struct clv_round *round, double split);

/* Of |errors|, as shares. n 0: both 0. */
struct clv_errors {
	double median, worst;
};
struct clv_errors clv_errors_of(const double *error, size_t n);

#endif
