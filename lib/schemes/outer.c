// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A lock for each subset (the design's second) under one outer lock (its first), which says who needs
 * the map as a whole. An update takes the outer lock shared, then those of the subsets that it
 * touches, exclusive and ascending. A walk and a hold take the outer lock exclusive and nothing else:
 *
 *             update                      walk, hold
 *     outer   shared  o o o o o           exclusive  X
 *     subset  excl.   X X . X .           none, since no update is inside
 *
 * Keeps all guarantees that the structure keeps: whoever walks is alone. Two walks exclude each
 * other, as do two shared holds.
 *
 * Cost: an update writes the outer lock's count of readers, one line that every CPU writes, unless
 * the outer lock counts them apart; a walk is one acquisition, however many subsets there are.
 *
 * Deadlock: outer before subset, subsets ascending; across maps the order is the caller's.
 * Source: linux-mm discussion of April 2026: who still needs the whole set takes an outer lock.
 */
#include <errno.h>

#include "subset_locks.h"

struct outer_state {
	struct clv_map_lock outer; /* first: see clv_scheme_init_state */
	struct clv_map_lock subset;
};

static struct outer_state *state_of(const struct cleave_map *map)
{
	return map->scheme_state;
}

static unsigned keeps(const struct cleave_map *map)
{
	(void)map;
	return CLEAVE_KEEPS_ALL;
}

static int init(struct cleave_map *map, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	int code = clv_scheme_init_state(map, sizeof(struct outer_state), args, 1, error);
	if (code)
		return code;
	unsigned subsets = map->partition.subsets;
	code = clv_map_lock_make(&state_of(map)->subset, map, &map->design.lock[1], subsets,
				 subsets > 1, error);
	if (code)
		clv_scheme_fini_state(map, sizeof(struct outer_state));
	return code;
}

static void fini(struct cleave_map *map)
{
	clv_map_lock_fini(&state_of(map)->subset);
	clv_scheme_fini_state(map, sizeof(struct outer_state));
}

static void commit(struct cleave_map *map, struct cleave_thread *thread, struct cleave_batch *batch)
{
	const struct outer_state *state = state_of(map);
	struct clv_hold hold;
	clv_map_acquire(&state->outer, 0, CLEAVE_SHARED, 0, thread, &hold);
	clv_subset_locks_commit(&state->subset, map, thread, batch);
	clv_map_release(&state->outer, 0, CLEAVE_SHARED, &hold);
}

static int walk(struct cleave_map *map, struct cleave_thread *thread, uint64_t start, uint64_t last,
		unsigned flags, cleave_visit_fn *visit, void *arg)
{
	if (map->structure->flags & CLEAVE_WALKS_UNLOCKED)
		return clv_map_walk_locked(map, thread, CLEAVE_ALL_SUBSETS, start, last, visit, arg);
	struct clv_hold hold;
	int code = clv_map_acquire(&state_of(map)->outer, 0, CLEAVE_EXCLUSIVE, flags, thread, &hold);
	if (code)
		return code;
	code = clv_map_walk_locked(map, thread, CLEAVE_ALL_SUBSETS, start, last, visit, arg);
	clv_map_release(&state_of(map)->outer, 0, CLEAVE_EXCLUSIVE, &hold);
	return code;
}

static unsigned hold_count(const struct cleave_map *map)
{
	(void)map;
	return 1;
}

static int hold_all(struct cleave_map *map, struct cleave_thread *thread,
		    enum cleave_hold_mode mode, unsigned flags, struct clv_hold *holds)
{
	(void)mode;
	return clv_map_acquire(&state_of(map)->outer, 0, CLEAVE_EXCLUSIVE, flags, thread, holds);
}

static void release_all(struct cleave_map *map, struct cleave_thread *thread,
			enum cleave_hold_mode mode, struct clv_hold *holds)
{
	(void)thread;
	(void)mode;
	clv_map_release(&state_of(map)->outer, 0, CLEAVE_EXCLUSIVE, holds);
}

static size_t memory(const struct cleave_map *map)
{
	const struct outer_state *state = state_of(map);
	return sizeof(*state) + clv_map_lock_memory(&state->outer) +
	       clv_map_lock_memory(&state->subset);
}

const struct clv_scheme clv_scheme_outer = {
	.name = "outer",
	.summary = "a lock for each subset under an outer one, which updates take shared, walks and "
		   "holds exclusive; keeps C1-C8",
	.source = "linux-mm discussion of April 2026: an outer lock for who needs the whole set",
	.locks = CLV_SCHEME_TWO_LOCKS,
	.keeps = keeps,
	.init = init,
	.fini = fini,
	.prepare = clv_subset_locks_prepare,
	.settle = clv_subset_locks_settle,
	.commit = commit,
	.walk = walk,
	.hold_count = hold_count,
	.hold = hold_all,
	.release = release_all,
	.memory = memory,
};
