// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * No lock: the structure synchronises itself. Ops of a batch are applied one after the other, each
 * as atomic as the structure makes it.
 *
 * Keeps what the structure keeps, but for C3, since a walk may come between two ops of a batch, and
 * C6, since there is nothing to hold: whoever has to stop a map wants another scheme.
 */
#include "scheme.h"

#include <errno.h>

#include "../error.h"

static unsigned keeps(const struct cleave_map *map)
{
	(void)map;
	return CLEAVE_KEEPS_ALL &
	       ~(unsigned)(CLEAVE_C3_COVERAGE | CLEAVE_C6_LONG_HOLDS);
}

static int init(struct cleave_map *map, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	(void)map;
	if (args->count)
		return clv_error(error, -EINVAL, "scheme free: it takes no argument, not '%s'",
				 args->arg[0]);
	return 0;
}

static void fini(struct cleave_map *map)
{
	(void)map;
}

static void commit(struct cleave_map *map, struct cleave_thread *thread, struct cleave_batch *batch)
{
	clv_map_apply_locked(map, thread, batch);
}

static int walk(struct cleave_map *map, struct cleave_thread *thread, uint64_t start, uint64_t last,
		unsigned flags, cleave_visit_fn *visit, void *arg)
{
	(void)flags; /* it never waits for a lock */
	return clv_map_walk_locked(map, thread, CLEAVE_ALL_SUBSETS, start, last, visit, arg);
}

static unsigned hold_count(const struct cleave_map *map)
{
	(void)map;
	return 0;
}

static size_t memory(const struct cleave_map *map)
{
	(void)map;
	return 0;
}

const struct clv_scheme clv_scheme_free = {
	.name = "free",
	.summary = "no lock: the structure synchronises itself; keeps what it keeps but C3 and C6",
	.source = "none",
	.locks = CLV_SCHEME_NO_LOCK,
	.keeps = keeps,
	.init = init,
	.fini = fini,
	.commit = commit,
	.walk = walk,
	.hold_count = hold_count,
	.memory = memory,
};
