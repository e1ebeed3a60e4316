// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "estimate.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool clv_estimate_steady(double before, double after)
{
	double smaller = before < after ? before : after;
	double larger = before < after ? after : before;
	return larger <= smaller * (1 + CLV_STEADY_SHARE);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Sorts. pre: n > 0. */
static int summarise(struct clv_estimate *estimate, double *kept, size_t n)
{
	int status = clv_stats_median(kept, n, &estimate->value);
	if (status)
		return status;
	qsort(kept, n, sizeof(*kept), compare);
	estimate->low90 = kept[n / 20];
	estimate->high90 = kept[n - 1 - n / 20];
	return 0;
}

int clv_estimate_make(struct clv_estimate *estimate, const double *value, const double *before,
		      const double *after, size_t n)
{
	*estimate = (struct clv_estimate) { .sets = 1, .referenced = before != NULL };
	if (!n)
		return -EAGAIN;
	double *kept = malloc(n * sizeof(*kept));
	if (!kept)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!before || clv_estimate_steady(before[i], after[i]))
			kept[estimate->rounds++] = value[i];
	}
	estimate->dropped = n - estimate->rounds;
	int status = estimate->rounds ? summarise(estimate, kept, estimate->rounds) : -EAGAIN;
	free(kept);
	return status;
}

int clv_estimate_combine(struct clv_estimate *estimate, const struct clv_estimate *part, size_t n)
{
	size_t used = 0;
	const struct clv_estimate *last = NULL;

	*estimate = (struct clv_estimate) { .sets = 0 };
	double *median = malloc((n + 1) * sizeof(*median));
	if (!median)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		estimate->rounds += part[i].rounds;
		estimate->dropped += part[i].dropped;
		estimate->referenced |= part[i].referenced;
		if (!part[i].rounds)
			continue;
		median[used++] = part[i].value.median;
		if (!last || part[i].low90 < estimate->low90)
			estimate->low90 = part[i].low90;
		if (!last || part[i].high90 > estimate->high90)
			estimate->high90 = part[i].high90;
		last = &part[i];
	}
	estimate->sets = used;
	int status = used ? 0 : -EAGAIN;
	if (used == 1)
		estimate->value = last->value;
	else if (used)
		status = clv_stats_median(median, used, &estimate->value);
	free(median);
	return status;
}

/* ---- least squares ---- */

/*
 * Solve for the unknowns in `set` alone, by the normal equations and elimination with pivots; the
 * others become 0. Returns: false if they are not determined.
 */
static bool solve(const double *matrix, const double *right, size_t rows, size_t unknowns,
		  unsigned set, double *x)
{
	double equation[CLV_NNLS_UNKNOWNS][CLV_NNLS_UNKNOWNS + 1] = { { 0 } };
	size_t column[CLV_NNLS_UNKNOWNS], n = 0;

	for (size_t j = 0; j < unknowns; j++) {
		x[j] = 0;
		if (set & 1u << j)
			column[n++] = j;
	}
	for (size_t r = 0; r < rows; r++) {
		const double *row = matrix + r * unknowns;
		for (size_t i = 0; i < n; i++) {
			for (size_t j = 0; j < n; j++)
				equation[i][j] += row[column[i]] * row[column[j]];
			equation[i][n] += row[column[i]] * right[r];
		}
	}
	for (size_t i = 0; i < n; i++) {
		size_t pivot = i;
		double scale = equation[i][i];
		for (size_t r = i + 1; r < n; r++) {
			if (fabs(equation[r][i]) > fabs(equation[pivot][i]))
				pivot = r;
		}
		if (!(fabs(equation[pivot][i]) > 1e-12 * fabs(scale)) || equation[pivot][i] == 0)
			return false;
		for (size_t j = 0; j <= n; j++) {
			double moved = equation[i][j];
			equation[i][j] = equation[pivot][j];
			equation[pivot][j] = moved;
		}
		for (size_t r = 0; r < n; r++) {
			double factor = r == i ? 0 : equation[r][i] / equation[i][i];
			for (size_t j = i; j <= n; j++)
				equation[r][j] -= factor * equation[i][j];
		}
	}
	for (size_t i = 0; i < n; i++)
		x[column[i]] = equation[i][n] / equation[i][i];
	return true;
}

static double squares(const double *matrix, const double *right, size_t rows, size_t unknowns,
		      const double *x)
{
	double sum = 0;
	for (size_t r = 0; r < rows; r++) {
		double off = -right[r];
		for (size_t j = 0; j < unknowns; j++)
			off += matrix[r * unknowns + j] * x[j];
		sum += off * off;
	}
	return sum;
}

int clv_nnls(const double *matrix, const double *right, size_t rows, size_t unknowns, double *x)
{
	double best = INFINITY, tried[CLV_NNLS_UNKNOWNS];

	if (!unknowns || unknowns > CLV_NNLS_UNKNOWNS || rows < unknowns)
		return -EINVAL;
	const unsigned all = (1u << unknowns) - 1;
	if (!solve(matrix, right, rows, unknowns, all, tried))
		return -EINVAL;
	for (unsigned set = 0; set <= all; set++) {
		bool allowed = solve(matrix, right, rows, unknowns, set, tried);
		for (size_t j = 0; j < unknowns; j++)
			allowed = allowed && tried[j] >= 0;
		double sum = allowed ? squares(matrix, right, rows, unknowns, tried) : INFINITY;
		if (sum < best) {
			best = sum;
			memcpy(x, tried, unknowns * sizeof(*x));
		}
	}
	return best < INFINITY ? 0 : -EINVAL;
}
