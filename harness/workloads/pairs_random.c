// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Pairs over ranges that are spread out: 1 to 512 pages, anywhere in 2^20.
 */
#include "pairs.h"
#include "pairs_shapes.h"

static int open(struct clv_run *run, struct cleave_error *error)
{
	return clv_pairs_open(run, CLV_PAIRS_RANDOM_PAGES, error);
}

static struct clv_range initial(const struct clv_worker *worker, enum clv_holding holding,
				uint64_t slot, unsigned *map)
{
	(void)holding; /* there are no others */
	*map = 0;
	uint64_t state = clv_seed(worker->run->config.seed, CLV_STREAM_POPULATION, worker->index);
	state += slot;
	return clv_pairs_random_range((uint32_t)clv_random(&state));
}

static int step(struct clv_worker *worker)
{
	return clv_pairs_step(worker, clv_pairs_random_range);
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
