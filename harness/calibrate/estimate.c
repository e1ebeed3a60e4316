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
