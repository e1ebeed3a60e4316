// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "shape.h"

#include <errno.h>
#include <stdlib.h>

#include "../workloads/pairs_shapes.h"

enum { PLACE_PAGES = 16 };

static const struct clv_shape shapes[] = {
	{ "A", "libc", "libc.so.6's five ranges", false },
	{ "B", "random", "1 to 512 pages anywhere in 2^20", false },
	{ "D", "disjoint", "ranges that do not overlap", true },
};

const struct clv_shape *clv_shape_at(unsigned i)
{
	return i < sizeof(shapes) / sizeof(shapes[0]) ? &shapes[i] : NULL;
}

static uint32_t draw(struct clv_ranges *ranges, uint32_t limit)
{
	return (uint32_t)clv_scale((uint32_t)(clv_random(&ranges->random) >> 32), limit);
}

static struct clv_range range_in_place(struct clv_ranges *ranges, uint32_t place)
{
	uint32_t start = draw(ranges, PLACE_PAGES);
	uint32_t more = draw(ranges, PLACE_PAGES - start);
	start += place * PLACE_PAGES;
	return (struct clv_range){ start, start + more };
}

/* Half of the places, and which half is as random as which is whose. */
static int make_places(struct clv_ranges *ranges)
{
	uint32_t count = ranges->count;
	ranges->place = calloc(count, sizeof(*ranges->place));
	ranges->spare = calloc(count, sizeof(*ranges->spare));
	if (!ranges->place || !ranges->spare)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		ranges->place[i] = 2 * i;
		ranges->spare[i] = 2 * i + 1;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint32_t other = draw(ranges, count), taken = ranges->place[i];
		ranges->place[i] = ranges->spare[other];
		ranges->spare[other] = taken;
	}
	return 0;
}

int clv_ranges_make(struct clv_ranges *ranges, const struct clv_shape *shape, uint32_t count,
		    uint64_t seed)
{
	*ranges = (struct clv_ranges){ .shape = shape, .count = count, .random = seed };
	ranges->range = calloc(count, sizeof(*ranges->range));
	if (!ranges->range || (shape->disjoint && make_places(ranges))) {
		clv_ranges_fini(ranges);
		return -ENOMEM;
	}
	ranges->pages = shape->disjoint ? (uint64_t)2 * count * PLACE_PAGES :
			shape == &shapes[0] ? CLV_PAIRS_LIBC_PAGES : CLV_PAIRS_RANDOM_PAGES;
	for (uint32_t i = 0; i < count; i++) {
		if (shape->disjoint)
			ranges->range[i] = range_in_place(ranges, ranges->place[i]);
		else if (shape == &shapes[0]) /* each as often as any other */
			ranges->range[i] = clv_pairs_at_rest[i % CLV_PAIRS_LIBC_RANGES];
		else
			ranges->range[i] = clv_pairs_random_range((uint32_t)clv_random(
				&ranges->random));
	}
	return 0;
}

void clv_ranges_fini(struct clv_ranges *ranges)
{
	free(ranges->range);
	free(ranges->place);
	free(ranges->spare);
}

uint32_t clv_ranges_move(struct clv_ranges *ranges)
{
	uint64_t random = clv_random(&ranges->random);
	uint32_t i = (uint32_t)clv_scale((uint32_t)random, ranges->count);
	if (ranges->shape->disjoint) {
		uint32_t other = draw(ranges, ranges->count), left = ranges->place[i];
		ranges->place[i] = ranges->spare[other];
		ranges->spare[other] = left;
		ranges->range[i] = range_in_place(ranges, ranges->place[i]);
	} else if (ranges->shape == &shapes[0]) {
		ranges->range[i] = clv_pairs_libc_range((uint32_t)(random >> 32));
	} else {
		ranges->range[i] = clv_pairs_random_range((uint32_t)(random >> 32));
	}
	return i;
}

uint32_t *clv_ranges_cover(const struct clv_ranges *ranges)
{
	/* First where they begin and where they are over, as differences. */
	uint32_t *cover = calloc(ranges->pages + 1, sizeof(*cover));
	for (uint32_t i = 0; cover && i < ranges->count; i++) {
		cover[ranges->range[i].start]++;
		cover[ranges->range[i].last + 1]--;
	}
	for (uint64_t page = 1; cover && page < ranges->pages; page++)
		cover[page] += cover[page - 1];
	return cover;
}
