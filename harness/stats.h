/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef CLV_STATS_H
#define CLV_STATS_H

#include <stddef.h>

/*
 * Median of n samples and an interval that holds the true median with at least 95 % confidence,
 * whatever the distribution: order statistics at binomial ranks. With fewer than 6 samples no two
 * order statistics do; `confidence` then is what the whole range has, below 0.95; of
 * one sample it is 0, and low and high say nothing.
 */
struct clv_interval {
	double median, low, high;
	double confidence;
};

/* pre: n > 0. Sorts a copy. Returns: 0; -ENOMEM. */
int clv_stats_median(const double *sample, size_t n, struct clv_interval *interval);

/* Jain's fairness index: 1 when all are equal, 1/n when one has all; 1 when all are 0. */
double clv_stats_jain(const double *share, size_t n);

#endif
