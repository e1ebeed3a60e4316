// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Which rounds of a validation count, how they are told apart, and errors: on made-up series. */
#include <criterion/criterion.h>
#include <math.h>

#include "../../harness/validate/series.h"

static struct clv_round round_of(double before, double after, double value, double stolen)
{
	return (struct clv_round){ .before = before, .after = after, .value = value,
				   .stolen = stolen };
}

static bool close_to(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

/* The larger of two references at most a fifth above the smaller, whichever comes first. */
Test(series, reference_that_moved_drops_the_round)
{
	struct clv_round steady = round_of(20, 24, 1e6, 0), up = round_of(20, 24.1, 1e6, 0);
	struct clv_round down = round_of(24.1, 20, 1e6, 0), flip = round_of(22, 125, 1e6, 0);
	cr_assert(clv_round_counts(&steady));
	cr_assert_not(clv_round_counts(&up));
	cr_assert_not(clv_round_counts(&down));
	cr_assert_not(clv_round_counts(&flip));
}

/* One that could not be taken is not "none needed". */
Test(series, one_reference_alone_does_not_count)
{
	struct clv_round first = round_of(22, 0, 1e6, 0), last = round_of(0, 22, 1e6, 0);
	cr_assert_not(clv_round_counts(&first));
	cr_assert_not(clv_round_counts(&last));
}

Test(series, without_references_all_with_a_value_count)
{
	struct clv_round good = round_of(0, 0, 1e6, 0), none = round_of(0, 0, 0, 0);
	cr_assert(clv_round_counts(&good));
	cr_assert_not(clv_round_counts(&none));
}

Test(series, stolen_time_drops_the_round)
{
	struct clv_round little = round_of(22, 22, 1e6, CLV_STOLEN_SHARE);
	struct clv_round much = round_of(22, 22, 1e6, CLV_STOLEN_SHARE * 1.01);
	cr_assert(clv_round_counts(&little));
	cr_assert_not(clv_round_counts(&much));
}

Test(series, one_mode_is_not_split)
{
	const struct clv_round rounds[] = { round_of(22, 22, 1, 0), round_of(44, 44, 1, 0) };
	cr_assert_eq(clv_rounds_split(rounds, 2), 0);
	cr_assert_eq(clv_rounds_split(rounds, 0), 0);
	cr_assert_eq(clv_round_mode(&rounds[1], 0), CLV_MODE_NEAR);
}

Test(series, two_modes_are_split_at_the_geometric_mean)
{
	const struct clv_round rounds[] = {
		round_of(25, 25, 1, 0), round_of(100, 100, 1, 0), round_of(49, 49, 1, 0),
		round_of(52, 52, 1, 0),
	};
	static const enum clv_mode mode[] = { CLV_MODE_NEAR, CLV_MODE_FAR, CLV_MODE_NEAR,
					      CLV_MODE_FAR };
	double split = clv_rounds_split(rounds, 4);
	cr_assert(close_to(split, 50), "%f", split);
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(clv_round_mode(&rounds[i], split), mode[i], "%u", i);
}

/* What does not count says nothing of the modes. */
Test(series, dropped_rounds_do_not_split)
{
	const struct clv_round rounds[] = { round_of(22, 22, 1, 0), round_of(125, 125, 1, 0.5),
					    round_of(60, 125, 1, 0), round_of(0, 0, 0, 0) };
	cr_assert_eq(clv_rounds_split(rounds, 4), 0);
}

/* Rows without references have one mode, not one of latency 0. */
Test(series, no_reference_is_no_mode)
{
	const struct clv_round rounds[] = { round_of(0, 0, 1, 0), round_of(0, 0, 2, 0) };
	cr_assert_eq(clv_rounds_split(rounds, 2), 0);
}

Test(series, errors_are_by_size)
{
	const double odd[] = { -0.5, 0.1, 0.2 }, even[] = { 0.1, -0.3, 0.2, -0.9 };
	struct clv_errors errors = clv_errors_of(odd, 3);
	cr_assert(close_to(errors.median, 0.2) && close_to(errors.worst, 0.5));
	errors = clv_errors_of(even, 4);
	cr_assert(close_to(errors.median, 0.25) && close_to(errors.worst, 0.9));
	errors = clv_errors_of(NULL, 0);
	cr_assert(errors.median == 0 && errors.worst == 0);
}
