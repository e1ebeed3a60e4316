// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Median with a confidence interval that assumes nothing of the distribution but that samples are
 * independent (David and Nagaraja, "Order Statistics", 3rd ed., 2003, §7.1): the true median lies
 * between the r-th smallest and the r-th largest of n samples unless fewer than r of them fell on
 * one side of it, which for a fair coin has the probability 2 * P(Binomial(n, 1/2) < r).
 */
#include "stats.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CONFIDENCE 0.95

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* P(Binomial(n, 1/2) = k); through logarithms, since 0.5^n is 0 in a double for n over 1,074. */
static double coin(size_t n, size_t k)
{
	double m = (double)n, j = (double)k;
	return exp(lgamma(m + 1) - lgamma(j + 1) - lgamma(m - j + 1) - m * M_LN2);
}

/* The largest rank, from 1, whose interval still has CONFIDENCE; 1 if none has. */
static size_t interval_rank(size_t n, double *confidence)
{
	double outside = 2 * coin(n, 0);
	size_t rank = 1;
	while (rank + 1 <= (n + 1) / 2) {
		double wider = outside + 2 * coin(n, rank);
		if (1 - wider < CONFIDENCE)
			break;
		outside = wider;
		rank++;
	}
	*confidence = outside < 1 ? 1 - outside : 0;
	return rank;
}

int clv_stats_median(const double *sample, size_t n, struct clv_interval *interval)
{
	double *sorted = malloc(n * sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, sample, n * sizeof(*sorted));
	qsort(sorted, n, sizeof(*sorted), compare);
	interval->median = n % 2 ? sorted[n / 2] : sorted[n / 2 - 1] / 2 + sorted[n / 2] / 2;
	size_t rank = interval_rank(n, &interval->confidence);
	interval->low = sorted[rank - 1];
	interval->high = sorted[n - rank];
	free(sorted);
	return 0;
}

double clv_stats_jain(const double *share, size_t n)
{
	double sum = 0, squares = 0;
	for (size_t i = 0; i < n; i++) {
		sum += share[i];
		squares += share[i] * share[i];
	}
	return squares > 0 ? sum * sum / ((double)n * squares) : 1;
}
