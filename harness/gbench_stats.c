// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The aggregates of repetitions that Google Benchmark has in its JSON. The library's own functions
 * are not in its header, and its one-pass standard deviation cancels when the spread is small.
 */
#include "gbench_plan.h"

#include <math.h>

static double mean(const double *sorted, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += sorted[i];
	return sum / (double)n;
}

static double median(const double *sorted, size_t n)
{
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* Of a sample: over n - 1. */
static double stddev(const double *sorted, size_t n)
{
	double centre = mean(sorted, n), sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (sorted[i] - centre) * (sorted[i] - centre);
	return sqrt(sum / (double)(n - 1));
}

/* Coefficient of variation. Not finite if the mean is 0 and the values are not. */
static double cv(const double *sorted, size_t n)
{
	double spread = stddev(sorted, n);

	return spread == 0 ? 0 : spread / mean(sorted, n);
}

const struct clv_gbench_statistic clv_gbench_statistics[CLV_GBENCH_STATISTICS] = {
	{ "mean", mean, false },
	{ "median", median, false },
	{ "stddev", stddev, false },
	{ "cv", cv, true },
};
