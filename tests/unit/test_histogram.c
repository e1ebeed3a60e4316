// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <criterion/criterion.h>
#include <stdlib.h>

#include "harness/histogram.h"

/* What is asked of it: the value at that rank, or more by at most 1/64, and never more than max. */
static void check_quantile(const struct clv_histogram *histogram, const uint64_t *sorted, size_t n,
			   double share, size_t rank)
{
	uint64_t exact = sorted[rank - 1];
	uint64_t got = clv_histogram_quantile(histogram, share);
	cr_assert(got >= exact && got - exact <= exact / 64, "share %g of %zu: %llu for %llu",
		  share, n, (unsigned long long)got, (unsigned long long)exact);
	cr_assert(got <= histogram->max);
}

Test(histogram, small_values_are_exact)
{
	struct clv_histogram h = { 0 };
	for (uint64_t value = 0; value < 128; value++)
		clv_histogram_add(&h, value);
	cr_assert_eq(h.count, 128);
	cr_assert_eq(h.max, 127);
	for (unsigned rank = 1; rank <= 128; rank++)
		cr_assert_eq(clv_histogram_quantile(&h, rank / 128.0), rank - 1, "rank %u", rank);
}

/* One value on each side of every boundary between buckets that are powers of two apart. */
Test(histogram, every_power_of_two)
{
	for (unsigned e = 0; e < 64; e++) {
		uint64_t values[] = { (UINT64_C(1) << e) - 1, UINT64_C(1) << e,
				      (UINT64_C(1) << e) + (UINT64_C(1) << e) / 3 };
		for (unsigned i = 0; i < 3; i++) {
			struct clv_histogram h = { 0 };
			clv_histogram_add(&h, values[i]);
			clv_histogram_add(&h, UINT64_MAX);
			check_quantile(&h, &values[i], 1, 0.5, 1);
			cr_assert_eq(clv_histogram_quantile(&h, 1), UINT64_MAX);
		}
	}
}

Test(histogram, max_bounds_quantiles)
{
	struct clv_histogram h = { 0 };
	clv_histogram_add(&h, 1000001);
	cr_assert_eq(clv_histogram_quantile(&h, 0.5), 1000001);
	cr_assert_eq(clv_histogram_quantile(&h, 0.999), 1000001);
}

/* 0.07 * 100 is 7.000000000000001 in binary: the rank is 7 all the same. */
Test(histogram, ranks_of_decimal_shares)
{
	struct clv_histogram h = { 0 };
	for (uint64_t value = 1; value <= 100; value++)
		clv_histogram_add(&h, value);
	for (unsigned percent = 1; percent <= 100; percent++)
		cr_assert_eq(clv_histogram_quantile(&h, percent * 0.01), percent, "%u %%", percent);
	cr_assert_eq(clv_histogram_quantile(&h, 0.001), 1);
	cr_assert_eq(clv_histogram_quantile(&h, 0.991), 100);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

Test(histogram, random_values_and_merging)
{
	enum { N = 10007 };
	static uint64_t value[N];
	struct clv_histogram whole = { 0 }, part[3] = { { 0 } }, merged = { 0 };
	uint64_t state = 1;
	for (size_t i = 0; i < N; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		value[i] = state >> (state >> 58);
		clv_histogram_add(&whole, value[i]);
		clv_histogram_add(&part[i % 3], value[i]);
	}
	for (unsigned i = 0; i < 3; i++)
		clv_histogram_merge(&merged, &part[i]);
	cr_assert_arr_eq(&merged, &whole, sizeof(whole));
	qsort(value, N, sizeof(value[0]), compare);
	cr_assert_eq(whole.max, value[N - 1]);
	for (size_t rank = 1; rank <= N; rank += 13)
		check_quantile(&whole, value, N, (double)rank / N, rank);
}
