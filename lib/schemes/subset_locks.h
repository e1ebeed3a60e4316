/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A lock for each subset, for the schemes that have them: a batch takes those of the subsets that it
 * touches, once each, in ascending order whatever the order of its ops, and holds them to its end; a
 * full stop takes all, ascending. Deadlock: every path takes locks of one map in ascending order.
 */
#ifndef CLV_SUBSET_LOCKS_H
#define CLV_SUBSET_LOCKS_H

#include <errno.h>
#include <string.h>

#include "scheme.h"

/* Locks that a batch can hold without having asked for memory. */
#define CLV_HOLDS_ON_STACK 8

/* Room for the batch's holds, where the stack has none; in priv[1]. Returns: 0, -ENOMEM. */
static inline int clv_subset_locks_prepare(struct cleave_map *map, struct cleave_thread *thread,
					   struct cleave_batch *batch)
{
	unsigned most = batch->count < map->partition.subsets ? batch->count :
								 map->partition.subsets;
	if (most <= CLV_HOLDS_ON_STACK)
		return 0;
	batch->priv[1] = clv_map_take_holds(thread, most);
	return batch->priv[1] ? 0 : -ENOMEM;
}

static inline void clv_subset_locks_settle(struct cleave_map *map, struct cleave_thread *thread,
					   struct cleave_batch *batch)
{
	(void)map;
	if (batch->priv[1])
		clv_map_give_holds(thread, batch->priv[1]);
}

/* The subsets that the batch touches, ascending, each once. Returns: how many. */
static inline unsigned clv_subsets_of(const struct cleave_batch *batch, uint32_t *subset)
{
	unsigned count = 0;
	for (unsigned i = 0; i < batch->count; i++) {
		uint32_t wanted = batch->ops[i].entry->subset;
		unsigned at = count;
		while (at && subset[at - 1] > wanted)
			at--;
		if (at && subset[at - 1] == wanted)
			continue;
		memmove(subset + at + 1, subset + at, (count - at) * sizeof(*subset));
		subset[at] = wanted;
		count++;
	}
	return count;
}

/* What a commit does while it holds the locks: clv_map_apply_locked, and what a scheme adds. */
typedef void clv_apply_fn(struct cleave_map *map, struct cleave_thread *thread,
			  struct cleave_batch *batch);

static inline void clv_subset_locks_commit_one(const struct clv_map_lock *lock,
					       struct cleave_map *map,
					       struct cleave_thread *thread,
					       struct cleave_batch *batch, clv_apply_fn *apply)
{
	uint32_t subset = batch->ops[0].entry->subset;
	struct clv_hold hold;
	clv_map_acquire_exclusive(lock, subset, thread, &hold);
	apply(map, thread, batch);
	clv_map_release_exclusive(lock, subset, &hold);
}

static inline void clv_subset_locks_commit_several(const struct clv_map_lock *lock,
						   struct cleave_map *map,
						   struct cleave_thread *thread,
						   struct cleave_batch *batch, clv_apply_fn *apply)
{
	uint32_t subset[CLEAVE_BATCH_MAX];
	struct clv_hold on_stack[CLV_HOLDS_ON_STACK];
	struct clv_hold_set *set = batch->priv[1];
	struct clv_hold *hold = set ? set->hold : on_stack;
	unsigned count = clv_subsets_of(batch, subset);

	for (unsigned i = 0; i < count; i++)
		clv_map_acquire_exclusive(lock, subset[i], thread, &hold[i]);
	apply(map, thread, batch);
	for (unsigned i = count; i-- > 0;)
		clv_map_release_exclusive(lock, subset[i], &hold[i]);
}

static inline void clv_subset_locks_commit_by(const struct clv_map_lock *lock,
					      struct cleave_map *map,
					      struct cleave_thread *thread,
					      struct cleave_batch *batch, clv_apply_fn *apply)
{
	if (batch->count == 1)
		clv_subset_locks_commit_one(lock, map, thread, batch, apply);
	else
		clv_subset_locks_commit_several(lock, map, thread, batch, apply);
}

static inline void clv_subset_locks_commit(const struct clv_map_lock *lock, struct cleave_map *map,
					   struct cleave_thread *thread, struct cleave_batch *batch)
{
	clv_subset_locks_commit_by(lock, map, thread, batch, clv_map_apply_locked);
}

/*
 * Walk the subsets that the locks are of, each under its own alone: from lock `begin` on, round to the
 * one before it. Lock 0 is subset `first`'s. Returns: as cleave_walk.
 */
static inline int clv_subset_locks_walk(const struct clv_map_lock *lock, unsigned first,
					unsigned begin, struct cleave_map *map,
					struct cleave_thread *thread, uint64_t start, uint64_t last,
					unsigned flags, cleave_visit_fn *visit, void *arg)
{
	unsigned i = begin;

	for (unsigned left = lock->count; left--; i = i + 1 < lock->count ? i + 1 : 0) {
		struct clv_hold hold;
		int code = clv_map_acquire(lock, i, CLEAVE_SHARED, flags, thread, &hold);
		if (code)
			return code;
		code = clv_map_walk_locked(map, thread, first + i, start, last, visit, arg);
		clv_map_release(lock, i, CLEAVE_SHARED, &hold);
		if (code)
			return code;
	}
	return 0;
}

#endif
