/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What pairs_libc and pairs_random share: each worker removes a random one of its own intervals and
 * inserts it again with a new range, without a pause. config.population intervals are in the map,
 * but for the one that each worker has out; every worker owns as many as any other, or one less.
 *
 * A shape turns 32 random bits into a range. It is a constant where this is inlined.
 *
 * Cost, without the map's: 3 to 5 ns a pair: two lines of the worker's own (itself, the slot), one
 * random number.
 */
#ifndef CLV_PAIRS_H
#define CLV_PAIRS_H

#include <errno.h>

#include "../../lib/error.h"
#include "workload.h"

typedef struct clv_range clv_pairs_shape(uint32_t random);

static inline int clv_pairs_open(struct clv_run *run, uint64_t pages, struct cleave_error *error)
{
	const struct clv_run_config *config = &run->config;
	if (config->think_given && config->think_ns)
		return clv_error(error, -EINVAL, "no time to think in this workload: %s",
				 config->workload);
	if (config->other_lock_ns)
		return clv_error(error, -EINVAL, "no other lock in this workload: %s",
				 config->workload);
	if (config->population < config->threads || config->population > UINT32_MAX)
		return clv_error(error, -EINVAL,
				 "population %llu is not between one a thread, %u, and 2^32: %s",
				 (unsigned long long)config->population, config->threads,
				 config->workload);
	run->maps = 1;
	run->last_page = pages - 1;
	run->walk_pages = pages;
	for (unsigned i = 0; i < config->threads; i++)
		run->worker[i]->held.count = config->population / config->threads +
					     (i < config->population % config->threads);
	return 0;
}

static inline __attribute__((always_inline)) int clv_pairs_step(struct clv_worker *worker,
								clv_pairs_shape *shape)
{
	if (clv_walk_is_due(worker))
		return clv_worker_walk(worker);

	struct cleave_map *map = worker->run->map[0];
	uint64_t random = clv_random(&worker->random);
	struct clv_slot *slot = &worker->held.slot[clv_scale((uint32_t)random, worker->held.count)];
	const struct cleave_op removal = { .kind = CLEAVE_REMOVE, .entry = slot->entry };
	int code = clv_worker_apply(worker, map, &removal, 1);
	if (__builtin_expect(code, 0))
		return code;
	clv_slot_empty(worker, map, slot);
	worker->done.removes++;

	struct clv_range range = shape((uint32_t)(random >> 32));
	if (!clv_slot_ready(worker, slot))
		return -ENOMEM;
	const struct cleave_op insert = { CLEAVE_INSERT, slot->entry, NULL, range.start,
					  range.last };
	code = clv_worker_apply(worker, map, &insert, 1);
	if (__builtin_expect(code, 0))
		return code;
	slot->range = range;
	worker->done.inserts++;
	clv_walks_owe(worker, 2);
	return 0;
}

#endif
