// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "harness/stats.h"

/* Samples 1 to n in some other order, so that a value is its rank. */
static struct clv_interval of_ranks(size_t n)
{
	struct clv_interval interval;
	double *sample = calloc(n, sizeof(*sample));
	cr_assert(sample);
	size_t stride = n % 7 ? 7 : 11; /* coprime with n, as tested */
	for (size_t i = 0; i < n; i++)
		sample[i] = (double)(i * stride % n + 1);
	cr_assert_eq(clv_stats_median(sample, n, &interval), 0);
	free(sample);
	return interval;
}

/* Ranks and coverage from the tables for a binomial with p = 1/2. */
Test(stats, ranks_of_the_interval)
{
	static const struct {
		size_t n;
		double low, high, confidence;
	} known[] = {
		{ 1, 1, 1, 0 },		{ 2, 1, 2, 0.5 },	{ 5, 1, 5, 0.9375 },
		{ 6, 1, 6, 0.96875 },	{ 7, 1, 7, 0.984375 },	{ 8, 1, 8, 0.9921875 },
		{ 9, 2, 8, 0.9609375 }, { 10, 2, 9, 0.978516 }, { 15, 4, 12, 0.964844 },
		{ 20, 6, 15, 0.958611 }, { 30, 10, 21, 0.957226 }, { 50, 18, 33, 0.967161 },
		{ 100, 40, 61, 0.964800 },
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct clv_interval got = of_ranks(known[i].n);
		cr_assert_eq(got.low, known[i].low, "n %zu: %g", known[i].n, got.low);
		cr_assert_eq(got.high, known[i].high, "n %zu: %g", known[i].n, got.high);
		cr_assert(fabs(got.confidence - known[i].confidence) < 1e-6, "n %zu: %.9f",
			  known[i].n, got.confidence);
		cr_assert_eq(got.median, (double)(known[i].n + 1) / 2, "n %zu", known[i].n);
	}
}

/* Beyond the range of 0.5^n: the normal approximation is good there, to a rank. */
Test(stats, many_samples)
{
	struct clv_interval got = of_ranks(10000);
	cr_assert(fabs(got.low - (5000 - 1.95996 * 50)) <= 1.5, "%g", got.low);
	cr_assert_eq(got.low + got.high, 10001);
	cr_assert(got.confidence >= 0.95 && got.confidence < 0.952, "%g", got.confidence);
}

Test(stats, samples_stay_as_they_are)
{
	double sample[] = { 3, -1, 2 };
	struct clv_interval got;
	cr_assert_eq(clv_stats_median(sample, 3, &got), 0);
	cr_assert_eq(got.median, 2);
	cr_assert(sample[0] == 3 && sample[1] == -1 && sample[2] == 2);
}

Test(stats, jain)
{
	const double equal[] = { 4, 4, 4, 4 }, one[] = { 0, 7, 0, 0 }, none[] = { 0, 0 };
	const double mixed[] = { 1, 2, 3 };
	cr_assert_eq(clv_stats_jain(equal, 4), 1);
	cr_assert_eq(clv_stats_jain(one, 4), 0.25);
	cr_assert_eq(clv_stats_jain(none, 2), 1);
	cr_assert(fabs(clv_stats_jain(mixed, 3) - 36.0 / 42) < 1e-12);
}
