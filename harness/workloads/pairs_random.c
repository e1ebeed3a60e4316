// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Pairs over ranges that are spread out: 1 to 512 pages, anywhere in 2^20.
 */
#include "pairs.h"

#define PAGES (1u << 20)
#define LENGTH_BITS 9

static struct clv_range shape(uint32_t random)
{
	uint32_t length = 1 + (random & ((1u << LENGTH_BITS) - 1));
	/* The other 23 bits, as the upper ones of 32. */
	uint32_t start = (uint32_t)clv_scale(random & ~((1u << LENGTH_BITS) - 1),
					     PAGES - length + 1);
	return (struct clv_range){ start, start + length - 1 };
}

static int open(struct clv_run *run, struct cleave_error *error)
{
	return clv_pairs_open(run, PAGES, error);
}

static struct clv_range initial(const struct clv_worker *worker, enum clv_holding holding,
				uint64_t slot, unsigned *map)
{
	(void)holding; /* there are no others */
	*map = 0;
	uint64_t state = clv_seed(worker->run->config.seed, CLV_STREAM_POPULATION, worker->index);
	state += slot;
	return shape((uint32_t)clv_random(&state));
}

static int step(struct clv_worker *worker)
{
	return clv_pairs_step(worker, shape);
}

const struct clv_workload clv_workload_pairs_random = {
	.info = {
		.name = "pairs-random",
		.summary = "remove and insert again, over random ranges of 1 to 512 pages in 2^20",
	},
	.needs = CLEAVE_C5_COMPLETE_AND_SINGLE,
	.open = open,
	.initial = initial,
	.step = step,
};
