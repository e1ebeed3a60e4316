/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * From rounds of a probe to a number. No clock and no threads here.
 */
#ifndef CLV_ESTIMATE_H
#define CLV_ESTIMATE_H

#include <stdbool.h>
#include <stddef.h>

#include "../stats.h"

struct clv_estimate {
	struct clv_interval value; /* of the rounds kept */
	double low90, high90;	   /* the middle nine tenths of them lie between these */
	size_t rounds;		   /* kept */
	size_t dropped;
	bool referenced; /* there were references by which to drop */
	size_t sets; /* of rounds, such as pairs of CPUs, whose medians `value` is the median of */
};

/*
 * The rule, fixed before anything is measured: a reference is taken before and after each round,
 * and the round counts only if the larger is at most this much above the smaller.
 */
#define CLV_STEADY_SHARE 0.2
bool clv_estimate_steady(double before, double after);

/*
 * `before` and `after`: [n], or both NULL where there is no reference and all rounds count.
 * Returns: 0; -ENOMEM; -EAGAIN if no round is left, with `dropped` set.
 */
int clv_estimate_make(struct clv_estimate *estimate, const double *value, const double *before,
		      const double *after, size_t n);

/*
 * Of several sets, such as pairs of CPUs: each counts the same. Those without rounds count as
 * dropped alone. Returns: as clv_estimate_make.
 */
int clv_estimate_combine(struct clv_estimate *estimate, const struct clv_estimate *part, size_t n);

#endif
