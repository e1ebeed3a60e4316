// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A lock for each subset. A batch takes those of the subsets that it touches, once each, in
 * ascending order whatever the order of its ops, and holds them to its end. Two kinds of walk:
 *
 * each            A full stop: every lock, ascending, shared, all held until the walk is over. Keeps
 *                 all guarantees. Cost: one acquisition a subset, and updates wait for the whole
 *                 walk.
 * each.handover   One subset at a time, its lock taken and dropped. Keeps all but C3: a batch that
 *                 moves coverage of a page from one subset to another (two neighbours, mapped by
 *                 CPUs of different subsets, that merge) is seen before by the one subset and after
 *                 by the other. A piece, copy or child is in its source's subset, so C1, C2 and
 *                 splits hold, and an interval keeps its subset, so it is visited once (C5).
 *
 * A hold of the map is a full stop under both. Across maps the order of locks is the caller's.
 */
#include <errno.h>
#include <string.h>

#include "../error.h"
#include "subset_locks.h"

struct each_state {
	struct clv_map_lock lock; /* first: see clv_scheme_init_state */
	bool handover;
};

static struct each_state *state_of(const struct cleave_map *map)
{
	return map->scheme_state;
}

static unsigned keeps(const struct cleave_map *map)
{
	return state_of(map)->handover ? CLEAVE_KEEPS_ALL & ~(unsigned)CLEAVE_C3_COVERAGE :
					 CLEAVE_KEEPS_ALL;
}

static int init(struct cleave_map *map, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	bool handover = args->count == 1 && !strcmp(args->arg[0], "handover");
	if (args->count && !handover)
		return clv_error(error, -EINVAL,
				 "scheme each: unknown argument '%s'; known: handover",
				 args->arg[args->count - 1]);
	const struct clv_lock_args none = { 0 };
	int code = clv_scheme_init_state(map, sizeof(struct each_state), &none,
					 map->partition.subsets, error);
	if (!code)
		state_of(map)->handover = handover;
	return code;
}

static void fini(struct cleave_map *map)
{
	clv_scheme_fini_state(map, sizeof(struct each_state));
}

static void commit(struct cleave_map *map, struct cleave_thread *thread, struct cleave_batch *batch)
{
	clv_subset_locks_commit(&state_of(map)->lock, map, thread, batch);
}

static unsigned hold_count(const struct cleave_map *map)
{
	return map->partition.subsets;
}

static void release_first(struct cleave_map *map, enum cleave_hold_mode mode,
			  struct clv_hold *holds, unsigned count)
{
	for (unsigned i = count; i-- > 0;)
		clv_map_release(&state_of(map)->lock, i, mode, &holds[i]);
}

static int hold_all(struct cleave_map *map, struct cleave_thread *thread,
		    enum cleave_hold_mode mode, unsigned flags, struct clv_hold *holds)
{
	for (unsigned i = 0; i < map->partition.subsets; i++) {
		int code = clv_map_acquire(&state_of(map)->lock, i, mode, flags, thread, &holds[i]);
		if (code) {
			release_first(map, mode, holds, i);
			return code;
		}
	}
	return 0;
}

static void release_all(struct cleave_map *map, struct cleave_thread *thread,
			enum cleave_hold_mode mode, struct clv_hold *holds)
{
	(void)thread;
	release_first(map, mode, holds, map->partition.subsets);
}

static int walk_stopped(struct cleave_map *map, struct cleave_thread *thread, uint64_t start,
			uint64_t last, unsigned flags, cleave_visit_fn *visit, void *arg)
{
	struct clv_hold_set *set = clv_map_take_holds(thread, map->partition.subsets);
	if (!set)
		return -ENOMEM;
	int code = hold_all(map, thread, CLEAVE_SHARED, flags, set->hold);
	if (!code) {
		code = clv_map_walk_locked(map, thread, CLEAVE_ALL_SUBSETS, start, last, visit, arg);
		release_all(map, thread, CLEAVE_SHARED, set->hold);
	}
	clv_map_give_holds(thread, set);
	return code;
}

static int walk_handover(struct cleave_map *map, struct cleave_thread *thread, uint64_t start,
			 uint64_t last, unsigned flags, cleave_visit_fn *visit, void *arg)
{
	return clv_subset_locks_walk(&state_of(map)->lock, 0, 0, map, thread, start, last, flags,
				     visit, arg);
}

static int walk(struct cleave_map *map, struct cleave_thread *thread, uint64_t start, uint64_t last,
		unsigned flags, cleave_visit_fn *visit, void *arg)
{
	if (map->structure->flags & CLEAVE_WALKS_UNLOCKED)
		return clv_map_walk_locked(map, thread, CLEAVE_ALL_SUBSETS, start, last, visit, arg);
	if (state_of(map)->handover)
		return walk_handover(map, thread, start, last, flags, visit, arg);
	return walk_stopped(map, thread, start, last, flags, visit, arg);
}

static size_t memory(const struct cleave_map *map)
{
	return sizeof(struct each_state) + clv_map_lock_memory(&state_of(map)->lock);
}

const struct clv_scheme clv_scheme_each = {
	.name = "each",
	.summary = "a lock for each subset; a walk is a full stop and keeps C1-C8, or "
		   "each.handover: one subset at a time, keeps all but C3",
	.source = "linux-mm discussion of April 2026: decentralised locking",
	.locks = CLV_SCHEME_ONE_LOCK,
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
