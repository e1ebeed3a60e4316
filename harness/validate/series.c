// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "series.h"

#include <math.h>
#include <stdlib.h>

#include "../calibrate/estimate.h"

static double reference(const struct clv_round *round)
{
	return (round->before + round->after) / 2;
}

bool clv_round_counts(const struct clv_round *round)
{
	if (!(round->value > 0) || round->stolen > CLV_STOLEN_SHARE)
		return false;
	if (round->before == 0 && round->after == 0)
		return true;
	return clv_estimate_steady(round->before, round->after);
}

double clv_rounds_split(const struct clv_round *round, size_t n)
{
	double least = 0, most = 0;
	for (size_t i = 0; i < n; i++) {
		if (!clv_round_counts(&round[i]) || reference(&round[i]) <= 0)
			continue;
		double at = reference(&round[i]);
		least = least == 0 || at < least ? at : least;
		most = at > most ? at : most;
	}
	return most > CLV_MODES_RATIO * least ? sqrt(least * most) : 0;
}

enum clv_mode clv_round_mode(const struct clv_round *round, double split)
{
	return split > 0 && reference(round) > split ? CLV_MODE_FAR : CLV_MODE_NEAR;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

struct clv_errors clv_errors_of(const double *error, size_t n)
{
	struct clv_errors errors = { 0, 0 };
	double *size = n ? malloc(n * sizeof(*size)) : NULL;
	if (!size)
		return errors;
	for (size_t i = 0; i < n; i++)
		size[i] = fabs(error[i]);
	qsort(size, n, sizeof(*size), by_size);
	errors.worst = size[n - 1];
	errors.median = n % 2 ? size[n / 2] : (size[n / 2 - 1] + size[n / 2]) / 2;
	free(size);
	return errors;
}
