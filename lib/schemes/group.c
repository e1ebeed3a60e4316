// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Updaters hold the map's lock (the design's first) together, as one writer, and each the lock of the
 * subsets that it touches (the second). Walks and shared holds take the first shared, holds exclusive.
 *
 *     map's lock        held exclusive by a group of updaters   |  shared by walks
 *     subsets' locks      [ A ] [ B ] [   ] [ C ]               |    not needed
 *
 *     word     members, how many are in | admitted, since it was opened | open
 *     gate     a mutex: who finds no open group, and is about to open one
 *
 * An updater joins an open group by one compare-and-swap. If there is none, or it is full (ADMITTED_MAX),
 * or a walk waits, it goes to the gate; whoever is first there acquires the map's lock, and opens a group
 * with itself in it; those behind find it open. The last to leave releases the map's lock, which is
 * not always who acquired it: locks that have an owner cannot be the first.
 *
 * Invariants: a group has members exactly while the map's lock is held exclusive for it; it is opened
 * under the gate by who has acquired the map's lock; nobody joins after it was empty. Two groups may
 * follow so closely that the next is waiting for the map's lock while the last leaves: so there are two
 * holds, used in turn. A lock is free before its release has returned, which may still need the hold
 * (rwsem to wake, a cohort lock to give its domain's back): the group after the next waits for that.
 * Nobody measures these holds, so that `timed` says that one is in use.
 *
 * Keeps all guarantees that the structure keeps: whoever walks has the map's lock, and so is without
 * updaters; updaters exclude each other by subset, as under `each`.
 *
 * Fairness: a group is closed for a waiting walk, and after ADMITTED_MAX updates; then it is the map's
 * lock's. Cost: two atomics on one line that all updaters write, which is what limits it.
 * Memory: 6 lines, with the gate's, and the locks.
 *
 * Deadlock: gate, map's lock, subsets ascending. A member waits for subsets' locks only, whose holders
 * are members.
 * Source: a maintainer's sketch, linux-mm, April 2026; room synchronisation (Blelloch, Cheng and
 * Gibbons, SPAA 2001) for the group.
 */
#include <errno.h>

#include "../error.h"
#include "subset_locks.h"

enum { ADMITTED_MAX = 1024 };

#define MEMBER ((uint64_t)1 << 32)
#define ADMITTED ((uint64_t)1 << 1)
#define ADMITTED_LIMIT (ADMITTED_MAX * ADMITTED)
#define OPEN ((uint64_t)1)
#define ADMITTED_OF(word) ((word) & (MEMBER - ADMITTED))

extern const struct clv_lock_type clv_lock_mutex;

struct group_state {
	struct clv_map_lock map_lock; /* first: see clv_scheme_init_state */
	struct clv_map_lock subset;
	void *gate;
	struct clv_hold hold[2];
	_Alignas(CLV_CACHE_LINE) uint64_t word;
	unsigned turn; /* whose hold the group's is; of who opens and who leaves last */
	_Alignas(CLV_CACHE_LINE) uint32_t walks_waiting;
};

static struct group_state *state_of(const struct cleave_map *map)
{
	return map->scheme_state;
}

static unsigned keeps(const struct cleave_map *map)
{
	(void)map;
	return CLEAVE_KEEPS_ALL;
}

static void fini(struct cleave_map *map)
{
	struct group_state *state = state_of(map);

	clv_free(state->gate, clv_lock_mutex.size_bytes);
	clv_map_lock_fini(&state->subset);
	clv_scheme_fini_state(map, sizeof(*state));
}

static int init(struct cleave_map *map, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	const struct clv_lock_type *type = map->design.lock[0].type;
	if (type->flags & CLV_LOCK_OWNED)
		return clv_error(error, -ENOTSUP,
				 "scheme group: who acquired lock %s has to release it: it cannot "
				 "be the first",
				 type->name);
	int code = clv_scheme_init_state(map, sizeof(struct group_state), args, 1, error);
	if (code)
		return code;
	struct group_state *state = state_of(map);
	unsigned subsets = map->partition.subsets;
	state->gate = clv_alloc(clv_lock_mutex.size_bytes, CLV_CACHE_LINE, -1);
	if (state->gate) {
		clv_name(state->gate, clv_lock_mutex.size_bytes, 0, "group's gate", -1,
			 clv_lock_mutex.fields);
		code = clv_map_lock_make(&state->subset, map, &map->design.lock[1], subsets,
					 subsets > 1, error);
		if (!code)
			return 0;
	} else {
		code = clv_error(error, -ENOMEM, "scheme group: out of memory");
	}
	clv_free(state->gate, clv_lock_mutex.size_bytes);
	clv_scheme_fini_state(map, sizeof(*state));
	return code;
}

/* ---- the group ---- */

static bool join(struct group_state *state)
{
	uint64_t word = __atomic_load_n(&state->word, __ATOMIC_RELAXED);

	/* Holds: nobody has joined a group that was full, closed or empty. */
	while (word & OPEN && ADMITTED_OF(word) < ADMITTED_LIMIT &&
	       !__atomic_load_n(&state->walks_waiting, __ATOMIC_RELAXED)) {
		/* Acquire: partner is the release in open, and with it the map's lock's. */
		if (__atomic_compare_exchange_n(&state->word, &word, word + MEMBER + ADMITTED, true,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

/* pre: the gate is held. */
static void open_locked(struct group_state *state, struct cleave_thread *thread)
{
	struct clv_hold *hold = &state->hold[!state->turn];

	/* Acquire: partner is the release in leave. */
	while (__atomic_load_n(&hold->timed, __ATOMIC_ACQUIRE))
		clv_pause();
	__atomic_store_n(&hold->timed, true, __ATOMIC_RELAXED);
	hold->thread = thread;
	state->map_lock.type->acquire(state->map_lock.at[0], hold);
	/* The last group has left: turn is nobody's else. */
	state->turn = !state->turn;
	/* Release: partner is join. */
	__atomic_store_n(&state->word, OPEN + MEMBER + ADMITTED, __ATOMIC_RELEASE);
}

static void enter(struct group_state *state, struct cleave_thread *thread)
{
	if (join(state))
		return;
	struct clv_hold gate = { .thread = thread };
	uint64_t asked_ns = thread->times ? clv_now_ns() : 0;

	/* To a simulated machine, a wait; the map's lock has no one CPU that holds it. */
	clv_mark(CLV_MARK_ASK, state);
	clv_lock_mutex.acquire(state->gate, &gate);
	if (!join(state))
		open_locked(state, thread);
	clv_lock_mutex.release(state->gate, &gate);
	clv_mark(CLV_MARK_FAILED, state);
	if (thread->times)
		clv_map_count_wait(thread, clv_now_ns() - asked_ns);
}

static void leave(struct group_state *state, struct cleave_thread *thread)
{
	uint64_t word = __atomic_load_n(&state->word, __ATOMIC_RELAXED), rest;

	/* Release, and acquire for the last: what members did is before the map's lock's release. */
	do {
		rest = word - MEMBER;
		if (rest < MEMBER)
			rest = 0;
	} while (!__atomic_compare_exchange_n(&state->word, &word, rest, true, __ATOMIC_ACQ_REL,
					      __ATOMIC_RELAXED));
	if (rest)
		return;
	struct clv_hold *hold = &state->hold[state->turn];

	/* A lock may take this for the thread that is calling: it would not wake that. */
	hold->thread = thread;
	state->map_lock.type->release(state->map_lock.at[0], hold);
	/* Release: partner is open_locked. */
	__atomic_store_n(&hold->timed, false, __ATOMIC_RELEASE);
}

static void commit(struct cleave_map *map, struct cleave_thread *thread, struct cleave_batch *batch)
{
	struct group_state *state = state_of(map);

	enter(state, thread);
	clv_subset_locks_commit(&state->subset, map, thread, batch);
	leave(state, thread);
}

/* ---- walks and holds ---- */

static int acquire_map(struct group_state *state, struct cleave_thread *thread,
		       enum cleave_hold_mode mode, unsigned flags, struct clv_hold *hold)
{
	__atomic_fetch_add(&state->walks_waiting, 1, __ATOMIC_RELAXED);
	int code = clv_map_acquire(&state->map_lock, 0, mode, flags, thread, hold);
	__atomic_fetch_sub(&state->walks_waiting, 1, __ATOMIC_RELAXED);
	return code;
}

static int walk(struct cleave_map *map, struct cleave_thread *thread, uint64_t start, uint64_t last,
		unsigned flags, cleave_visit_fn *visit, void *arg)
{
	if (map->structure->flags & CLEAVE_WALKS_UNLOCKED)
		return clv_map_walk_locked(map, thread, CLEAVE_ALL_SUBSETS, start, last, visit, arg);
	struct group_state *state = state_of(map);
	struct clv_hold hold;
	int code = acquire_map(state, thread, CLEAVE_SHARED, flags, &hold);
	if (code)
		return code;
	code = clv_map_walk_locked(map, thread, CLEAVE_ALL_SUBSETS, start, last, visit, arg);
	clv_map_release(&state->map_lock, 0, CLEAVE_SHARED, &hold);
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
	return acquire_map(state_of(map), thread, mode, flags, holds);
}

static void release_all(struct cleave_map *map, struct cleave_thread *thread,
			enum cleave_hold_mode mode, struct clv_hold *holds)
{
	(void)thread;
	clv_map_release(&state_of(map)->map_lock, 0, mode, holds);
}

static size_t memory(const struct cleave_map *map)
{
	const struct group_state *state = state_of(map);

	return sizeof(*state) + CLV_CACHE_LINE + clv_map_lock_memory(&state->map_lock) +
	       clv_map_lock_memory(&state->subset);
}

const struct clv_scheme clv_scheme_group = {
	.name = "group",
	.summary = "updaters hold the first lock together, as one writer, and a lock each subset; "
		   "walks take the first shared; keeps C1-C8",
	.source = "a maintainer's sketch, linux-mm, April 2026",
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
