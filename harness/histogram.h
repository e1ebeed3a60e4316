/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Log-linear histogram of ns values (after HdrHistogram): every power of two is cut into 2^6 equal
 * buckets, so that a value is known to within 1.6 %. Two histograms add up exactly.
 */
#ifndef CLV_HISTOGRAM_H
#define CLV_HISTOGRAM_H

#include <stdint.h>

#define CLV_HISTOGRAM_SUB_BITS 6
#define CLV_HISTOGRAM_BUCKETS ((64 - CLV_HISTOGRAM_SUB_BITS + 1) << CLV_HISTOGRAM_SUB_BITS)

/* All zero is empty. */
struct clv_histogram {
	uint64_t count;
	uint64_t max; /* exact */
	uint64_t bucket[CLV_HISTOGRAM_BUCKETS];
};

void clv_histogram_add(struct clv_histogram *histogram, uint64_t value);
void clv_histogram_merge(struct clv_histogram *into, const struct clv_histogram *from);

/*
 * Least value that at least `share` of all values do not exceed, up to the bucket's width: the upper
 * bound of its bucket, never above max. pre: count > 0, 0 < share <= 1.
 */
uint64_t clv_histogram_quantile(const struct clv_histogram *histogram, double share);

#endif
