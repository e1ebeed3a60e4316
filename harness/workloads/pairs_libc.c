// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Pairs over the five ranges that every process has of libc.so.6 at rest: the file reverse map's
 * skew. At the start each range is held as often as any other; from then on each insert draws one.
 */
#include "pairs.h"
#include "pairs_shapes.h"

static int open(struct clv_run *run, struct cleave_error *error)
{
	return clv_pairs_open(run, CLV_PAIRS_LIBC_PAGES, error);
}

static struct clv_range initial(const struct clv_worker *worker, enum clv_holding holding,
				uint64_t slot, unsigned *map)
{
	(void)holding; /* there are no others */
	*map = 0;
	/* Workers start at different ranges, so that few intervals a worker are even, too. */
	return clv_pairs_at_rest[(slot + worker->index) % CLV_PAIRS_LIBC_RANGES];
}

static int step(struct clv_worker *worker)
{
	return clv_pairs_step(worker, clv_pairs_libc_range);
}

const struct clv_workload clv_workload_pairs_libc = {
	.info = {
		.name = "pairs-libc",
		.summary = "remove and insert again, over the five ranges of libc.so.6",
	},
	.needs = CLEAVE_C5_COMPLETE_AND_SINGLE,
	.open = open,
	.initial = initial,
	.step = step,
};
