// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A lock for each subset (the design's second), of which a walk holds one at a time, and one lock
 * (the first) between walks and those few batches that touch several subsets:
 *
 *                batch in one subset   batch that spans subsets   walk          hold
 *     first      -                     exclusive  X               shared  s     as the hold
 *     subsets    . X . . .             . X . X .                  . . s . .     all of them
 *
 * Keeps all guarantees. Who goes from subset to subset and lets go of each can lose the coverage
 * that one batch keeps (C3) in one way only: the batch takes an interval out of a subset that the
 * walk has yet to come to, and puts what covers its pages into one that it has passed. Such a batch
 * touches two subsets, so it waits until no walk is under way, and walks wait for it. Whatever else
 * happens in one subset happens before or after the walk's visit there: a child is in its parent's
 * subset (C1), a piece or moved copy in its source's (C2), and an interval keeps its subset (C5,
 * C7).
 *
 * A walk is no snapshot of the map: of two batches, one after the other in two subsets, it can see
 * the second and not the first, and so miss a page that first one and then the other of two
 * intervals covered. C1 to C8 ask for none: who maps a page anew does so under a lock of the page's,
 * or after having looked at what the walk does (truncation: the file's size). `each` gives one.
 *
 * Cost: an update, one lock, as under `each`, and it waits for that part of a walk which is in its
 * own subset; a walk, one acquisition a subset and one of the first. It begins at the subset of its
 * own CPU: walks that come together would else queue at the first subset, and go on in a row. A batch
 * that spans waits for all walks. The first lock is taken by walks alone but for those: locks whose
 * readers do not meet (percpu, brlock) suit it.
 * Memory: those of `each`, and the first lock.
 *
 * Deadlock: the first before subsets, subsets ascending; across maps the order is the caller's.
 * Source: ours; for the kernel's lists of locks that a walk passes along, lock coupling (Bayer and
 * Schkolnick, 1977).
 */
#include <errno.h>

#include "subset_locks.h"

struct span_state {
	struct clv_map_lock spanning; /* first: see clv_scheme_init_state */
	struct clv_map_lock subset;
};

static struct span_state *state_of(const struct cleave_map *map)
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
	int code = clv_scheme_init_state(map, sizeof(struct span_state), args, 1, error);
	if (code)
		return code;
	unsigned subsets = map->partition.subsets;
	code = clv_map_lock_make(&state_of(map)->subset, map, &map->design.lock[1], subsets,
				 subsets > 1, error);
	if (code)
		clv_scheme_fini_state(map, sizeof(struct span_state));
	return code;
}

static void fini(struct cleave_map *map)
{
	clv_map_lock_fini(&state_of(map)->subset);
	clv_scheme_fini_state(map, sizeof(struct span_state));
}

/* ---- updates ---- */

static bool spans(const struct cleave_batch *batch)
{
	for (unsigned i = 1; i < batch->count; i++) {
		if (batch->ops[i].entry->subset != batch->ops[0].entry->subset)
			return true;
	}
	return false;
}

static void commit(struct cleave_map *map, struct cleave_thread *thread, struct cleave_batch *batch)
{
	struct span_state *state = state_of(map);
	if (__builtin_expect(!spans(batch), 1)) {
		clv_subset_locks_commit_one(&state->subset, map, thread, batch,
					    clv_map_apply_locked);
		return;
	}
	struct clv_hold spanning;
	clv_map_acquire_exclusive(&state->spanning, 0, thread, &spanning);
	clv_subset_locks_commit(&state->subset, map, thread, batch);
	clv_map_release_exclusive(&state->spanning, 0, &spanning);
}

/* ---- walks ---- */

static int walk(struct cleave_map *map, struct cleave_thread *thread, uint64_t start, uint64_t last,
		unsigned flags, cleave_visit_fn *visit, void *arg)
{
	if (map->structure->flags & CLEAVE_WALKS_UNLOCKED)
		return clv_map_walk_locked(map, thread, CLEAVE_ALL_SUBSETS, start, last, visit, arg);
	const struct clv_map_lock *spanning = &state_of(map)->spanning;
	unsigned begin = clv_partition_first(&map->partition, thread->cpu);
	struct clv_hold hold;
	int code = clv_map_acquire(spanning, 0, CLEAVE_SHARED, flags, thread, &hold);
	if (code)
		return code;
	code = clv_subset_locks_walk(&state_of(map)->subset, 0, begin, map, thread, start, last, flags,
				     visit, arg);
	clv_map_release(spanning, 0, CLEAVE_SHARED, &hold);
	return code;
}

/* ---- holds: the first lock, then every subset's ---- */

static unsigned hold_count(const struct cleave_map *map)
{
	return 1 + map->partition.subsets;
}

static void release_first(struct cleave_map *map, enum cleave_hold_mode mode,
			  struct clv_hold *holds, unsigned subsets)
{
	struct span_state *state = state_of(map);
	for (unsigned i = subsets; i-- > 0;)
		clv_map_release(&state->subset, i, mode, &holds[1 + i]);
	clv_map_release(&state->spanning, 0, mode, &holds[0]);
}

/* The first lock too: a walk may be between two subsets, and a batch under the hold may span them. */
static int hold_all(struct cleave_map *map, struct cleave_thread *thread,
		    enum cleave_hold_mode mode, unsigned flags, struct clv_hold *holds)
{
	struct span_state *state = state_of(map);
	int code = clv_map_acquire(&state->spanning, 0, mode, flags, thread, &holds[0]);
	if (code)
		return code;
	for (unsigned i = 0; i < map->partition.subsets; i++) {
		code = clv_map_acquire(&state->subset, i, mode, flags, thread, &holds[1 + i]);
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

static size_t memory(const struct cleave_map *map)
{
	const struct span_state *state = state_of(map);
	return sizeof(*state) + clv_map_lock_memory(&state->spanning) +
	       clv_map_lock_memory(&state->subset);
}

const struct clv_scheme clv_scheme_span = {
	.name = "span",
	.summary = "a lock for each subset, which walks take one at a time; batches that span subsets "
		   "take the first lock against walks; keeps C1-C8",
	.source = "ours",
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
