// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * One lock over all subsets. An update takes it exclusive, a walk and a shared hold take it shared.
 * With one subset it is the kernel's i_mmap and i_mmap_rwsem; with a subset a node it is the
 * "sibling trees" patch, which splits the tree and keeps the lock.
 *
 * Keeps all guarantees that the structure keeps: nothing ever happens between two ops of a batch.
 * Over a structure whose walks need no lock, walks take none, and what they keep is the
 * structure's to say.
 *
 * Source: Linux mm/rmap.c, mm/mmap.c, include/linux/fs.h (i_mmap_lock_write, i_mmap_lock_read).
 */
#include "scheme.h"

static unsigned keeps(const struct cleave_map *map)
{
	(void)map;
	return CLEAVE_KEEPS_ALL;
}

static struct clv_map_lock *lock_of(const struct cleave_map *map)
{
	return map->scheme_state;
}

static void commit(struct cleave_map *map, struct cleave_thread *thread, struct cleave_batch *batch)
{
	struct clv_hold hold;
	clv_map_acquire_exclusive(lock_of(map), 0, thread, &hold);
	clv_map_apply_locked(map, thread, batch);
	clv_map_release_exclusive(lock_of(map), 0, &hold);
}

static int walk(struct cleave_map *map, struct cleave_thread *thread, uint64_t start, uint64_t last,
		unsigned flags, cleave_visit_fn *visit, void *arg)
{
	if (map->structure->flags & CLEAVE_WALKS_UNLOCKED)
		return clv_map_walk_locked(map, thread, CLEAVE_ALL_SUBSETS, start, last, visit, arg);
	struct clv_hold hold;
	int code = clv_map_acquire(lock_of(map), 0, CLEAVE_SHARED, flags, thread, &hold);
	if (code)
		return code;
	code = clv_map_walk_locked(map, thread, CLEAVE_ALL_SUBSETS, start, last, visit, arg);
	clv_map_release(lock_of(map), 0, CLEAVE_SHARED, &hold);
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
	return clv_map_acquire(lock_of(map), 0, mode, flags, thread, holds);
}

static void release_all(struct cleave_map *map, struct cleave_thread *thread,
			enum cleave_hold_mode mode, struct clv_hold *holds)
{
	(void)thread;
	clv_map_release(lock_of(map), 0, mode, holds);
}

static int init(struct cleave_map *map, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	return clv_scheme_init_state(map, sizeof(struct clv_map_lock), args, 1, error);
}

static void fini(struct cleave_map *map)
{
	clv_scheme_fini_state(map, sizeof(struct clv_map_lock));
}

static size_t memory(const struct cleave_map *map)
{
	return sizeof(struct clv_map_lock) + clv_map_lock_memory(lock_of(map));
}

const struct clv_scheme clv_scheme_one = {
	.name = "one",
	.summary = "one lock over all subsets; keeps C1-C8",
	.source = "Linux i_mmap_rwsem",
	.locks = CLV_SCHEME_ONE_LOCK,
	.keeps = keeps,
	.init = init,
	.fini = fini,
	.commit = commit,
	.walk = walk,
	.hold_count = hold_count,
	.hold = hold_all,
	.release = release_all,
	.memory = memory,
};
