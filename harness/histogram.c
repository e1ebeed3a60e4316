// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Shape, with 6 bits: bucket[0..63] are the values 0 to 63; then 64 buckets for each power of two
 * from 2^6 on, the ones of 2^e each 2^(e-6) wide. Adding is a count of leading zeros, a shift and
 * two increments, no loop and no division. One writer; merging and reading are for when he is done.
 */
#include "histogram.h"

#include <math.h>

#define SUB_BUCKETS (1u << CLV_HISTOGRAM_SUB_BITS)

static unsigned bucket_of(uint64_t value)
{
	if (value < SUB_BUCKETS)
		return (unsigned)value;
	unsigned exponent = 63 - (unsigned)__builtin_clzll(value);
	unsigned shift = exponent - CLV_HISTOGRAM_SUB_BITS;
	return (shift << CLV_HISTOGRAM_SUB_BITS) + (unsigned)(value >> shift);
}

/* The largest value that falls into the bucket. */
static uint64_t bucket_last(unsigned bucket)
{
	if (bucket < SUB_BUCKETS)
		return bucket;
	unsigned shift = (bucket >> CLV_HISTOGRAM_SUB_BITS) - 1;
	uint64_t sub = bucket - (shift << CLV_HISTOGRAM_SUB_BITS);
	/* 128 << 57 wraps to 0 for the last bucket, whose last value is 2^64 - 1. */
	return ((sub + 1) << shift) - 1;
}

void clv_histogram_add(struct clv_histogram *histogram, uint64_t value)
{
	histogram->count++;
	histogram->bucket[bucket_of(value)]++;
	if (value > histogram->max)
		histogram->max = value;
}

void clv_histogram_merge(struct clv_histogram *into, const struct clv_histogram *from)
{
	into->count += from->count;
	if (from->max > into->max)
		into->max = from->max;
	for (unsigned i = 0; i < CLV_HISTOGRAM_BUCKETS; i++)
		into->bucket[i] += from->bucket[i];
}

uint64_t clv_histogram_quantile(const struct clv_histogram *histogram, double share)
{
	/* 0.07 * 100 is above 7 in binary; a product that is so near a whole one means it. */
	double wanted = ceil(share * (double)histogram->count * (1 - 1e-12));
	uint64_t rank = wanted < 1 ? 1 : (uint64_t)wanted;
	uint64_t seen = 0;
	for (unsigned i = 0; i < CLV_HISTOGRAM_BUCKETS; i++) {
		seen += histogram->bucket[i];
		if (seen >= rank) {
			uint64_t last = bucket_last(i);
			return last < histogram->max ? last : histogram->max;
		}
	}
	return histogram->max;
}
