/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The ranges that structures are measured over. A and B are those of the workloads pairs-libc and
 * pairs-random; D is for structures that hold no overlaps.
 */
#ifndef CLV_MEASURE_SHAPE_H
#define CLV_MEASURE_SHAPE_H

#include "../range.h"

struct clv_shape {
	const char *letter, *name, *what;
	bool disjoint;
};
/* The i-th; NULL behind the last. */
const struct clv_shape *clv_shape_at(unsigned i);

/* Ranges of `count` intervals, changing one at a time. */
struct clv_ranges {
	const struct clv_shape *shape;
	uint32_t count;
	uint64_t pages; /* all are below it */
	uint64_t random;
	struct clv_range *range; /* [count]: what each has now */
	/* Of D: places of PLACE_PAGES pages, twice as many as intervals. */
	uint32_t *place; /* [count]: whose it is */
	uint32_t *spare; /* [count] */
};

/* Returns: 0; -ENOMEM. */
int clv_ranges_make(struct clv_ranges *ranges, const struct clv_shape *shape, uint32_t count,
		    uint64_t seed);
void clv_ranges_fini(struct clv_ranges *ranges);

/* Give a random one another range. Returns: which. */
uint32_t clv_ranges_move(struct clv_ranges *ranges);

/* How many cover each page, to free(), [ranges->pages]; NULL: out of memory. */
uint32_t *clv_ranges_cover(const struct clv_ranges *ranges);

#endif
