/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The ranges of pairs_libc and pairs_random: 32 random bits each. */
#ifndef CLV_PAIRS_SHAPES_H
#define CLV_PAIRS_SHAPES_H

#include "../worker.h"

/* What section 15 of data/execl-schedule.txt leaves of libc.so.6. */
static const struct clv_range clv_pairs_at_rest[] = {
	{ 0, 37 }, { 38, 379 }, { 380, 462 }, { 463, 466 }, { 467, 468 },
};
enum {
	CLV_PAIRS_LIBC_RANGES = sizeof(clv_pairs_at_rest) / sizeof(clv_pairs_at_rest[0]),
	CLV_PAIRS_LIBC_PAGES = 469,
	CLV_PAIRS_RANDOM_PAGES = 1 << 20,
	CLV_PAIRS_RANDOM_LENGTH_BITS = 9,
};

static inline struct clv_range clv_pairs_libc_range(uint32_t random)
{
	return clv_pairs_at_rest[clv_scale(random, CLV_PAIRS_LIBC_RANGES)];
}

/* 1 to 512 pages, anywhere in 2^20. */
static inline struct clv_range clv_pairs_random_range(uint32_t random)
{
	const uint32_t mask = (1u << CLV_PAIRS_RANDOM_LENGTH_BITS) - 1;
	uint32_t length = 1 + (random & mask);
	/* The other 23 bits, as the upper ones of 32. */
	uint32_t start =
		(uint32_t)clv_scale(random & ~mask, CLV_PAIRS_RANDOM_PAGES - length + 1);
	return (struct clv_range){ start, start + length - 1 };
}

#endif
