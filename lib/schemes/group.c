// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Updaters hold the map's lock (the design's first) together, as one writer, and each the lock of
 * the subsets that it touches (the second). Walks and shared holds take the first shared, holds
 * exclusive.
 *
 *     map's lock        held exclusive by a group of updaters   |  shared by walks
 *     subsets' locks      [ A ] [ B ] [   ] [ C ]               |    not needed
 *
 *     word     63 ... 32 | 31 ... 1 |  0
 *              members   | walks    | open       walks: how many wait
 *     gate     a mutex: who finds no open group, and is about to open one
 *
 * An updater has its subsets' locks, then adds itself to the members. If the group was open and no
 * walk waited, it is in. If not, it takes itself off and goes to the gate; whoever is first there
 * acquires the map's lock, and opens a group with itself in it; those behind find it open. Whoever
 * takes the last off makes an open group a closed one, and if nobody has come meanwhile, releases
 * the map's lock, which is not always who acquired it: locks that have an owner cannot be the
 * first.
 *
 * Invariants: `open` is set exactly while the map's lock is held exclusive for a group, but for
 * between its acquisition and opening, and between closing and its release. It is set under the
 * gate by who has acquired the map's lock, and cleared by a compare-and-swap from a word without
 * members. Who came too late is in the count until it takes itself off, which it does before it waits
 * for anything. Two groups may follow so closely that the next is waiting for
 * the map's lock while the last is released: so there are two holds, used in turn. A lock is free
 * before its release has returned, which may still need the hold (rwsem to wake, a cohort lock to
 * give its domain's back): the group after the next waits for that. Nobody measures these holds, so
 * that `timed` says that one is in use.
 *
 * Keeps all guarantees that the structure keeps: whoever walks has the map's lock, and so is
 * without updaters; updaters exclude each other by subset, as under `each`.
 *
 * Fairness: nobody joins while a walk waits, so that a group opened beside one has one member; then
 * it is the map's lock's; a try that fails is a walk for so long. Among updaters it is the gate's:
 * unfair. Who acquired the map's lock may have left: an rwsem's spinners watch the wrong thread.
 * Cost: two additions to one line that the updaters of all subsets write, which is what limits it;
 * group_stays has one a subset. Memory: 5 lines, with the gate's, and the locks.
 *
 * Deadlock: subsets ascending, gate, map's lock. A member has all its locks, and waits for nobody;
 * who has the map's lock for a walk waits for neither gate nor subset. The second lock is held by
 * who sleeps for the first: a spinning second lock makes all behind it spin for so long.
 * Source: a maintainer's sketch, linux-mm, April 2026; room synchronisation (Blelloch, Cheng and
 * Gibbons, SPAA 2001) for the group.
 */
#include <errno.h>

#include "../error.h"
#include "subset_locks.h"

#define OPEN ((uint64_t)1)
#define WALK ((uint64_t)1 << 1)
#define MEMBER ((uint64_t)1 << 32)
#define WALKS_OF(word) ((word) & (MEMBER - WALK))
#define MEMBERS_OF(word) ((word) >> 32)

extern const struct clv_lock_type clv_lock_mutex;

struct group_state {
	struct clv_map_lock map_lock; /* first: see clv_scheme_init_state */
	struct clv_map_lock subset;
	void *gate;
	struct clv_hold hold[2];
	_Alignas(CLV_CACHE_LINE) uint64_t word;
	unsigned turn; /* whose hold the group's is; of who opens and who closes */
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

static bool may_join(uint64_t word)
{
	return word & OPEN && !WALKS_OF(word);
}

/* Takes one off the members. The last closes the group, and releases the map's lock. */
static void quit(struct group_state *state, struct cleave_thread *thread)
{
	/* Release, and acquire for the last: members' work is before the map's lock's release. */
	uint64_t word = __atomic_sub_fetch(&state->word, MEMBER, __ATOMIC_ACQ_REL);

	do {
		/* Of several that see none, as some came and went, one succeeds. */
		if (MEMBERS_OF(word) || !(word & OPEN))
			return;
	} while (!__atomic_compare_exchange_n(&state->word, &word, word & ~OPEN, false,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	struct clv_hold *hold = &state->hold[state->turn];

	/* A lock may take this for the thread that is calling: it would not wake that. */
	hold->thread = thread;
	state->map_lock.type->release(state->map_lock.at[0], hold);
	/* Release: partner is open_locked. */
	__atomic_store_n(&hold->timed, false, __ATOMIC_RELEASE);
}

static bool join(struct group_state *state, struct cleave_thread *thread)
{
	/* Acquire: partner is the release in open_locked, and with it the map's lock's. */
	if (may_join(__atomic_fetch_add(&state->word, MEMBER, __ATOMIC_ACQUIRE)))
		return true;
	quit(state, thread);
	return false;
}

/* pre: the gate is held. */
static void open_locked(struct group_state *state, struct cleave_thread *thread)
{
	struct clv_hold *hold = &state->hold[!state->turn];

	/* Acquire: partner is the release in quit. */
	while (__atomic_load_n(&hold->timed, __ATOMIC_ACQUIRE))
		clv_pause();
	__atomic_store_n(&hold->timed, true, __ATOMIC_RELAXED);
	hold->thread = thread;
	state->map_lock.type->acquire(state->map_lock.at[0], hold);
	/* The last group is closed: turn is nobody's else. */
	state->turn = !state->turn;
	/* Release: partner is join. */
	__atomic_fetch_add(&state->word, OPEN + MEMBER, __ATOMIC_RELEASE);
}

static void enter(struct group_state *state, struct cleave_thread *thread)
{
	if (join(state, thread))
		return;
	struct clv_hold gate = { .thread = thread };
	uint64_t asked_ns = thread->times ? clv_now_ns() : 0;

	/* To a simulated machine, a wait; the map's lock has no one CPU that holds it. */
	clv_mark(CLV_MARK_ASK, state);
	clv_lock_mutex.acquire(state->gate, &gate);
	if (!may_join(__atomic_load_n(&state->word, __ATOMIC_RELAXED)) || !join(state, thread))
		open_locked(state, thread);
	clv_lock_mutex.release(state->gate, &gate);
	clv_mark(CLV_MARK_FAILED, state);
	if (thread->times)
		clv_map_count_wait(thread, clv_now_ns() - asked_ns);
}

static void apply_in_group(struct cleave_map *map, struct cleave_thread *thread,
			   struct cleave_batch *batch)
{
	struct group_state *state = state_of(map);

	enter(state, thread);
	clv_map_apply_locked(map, thread, batch);
	quit(state, thread);
}

static void commit(struct cleave_map *map, struct cleave_thread *thread, struct cleave_batch *batch)
{
	clv_subset_locks_commit_by(&state_of(map)->subset, map, thread, batch, apply_in_group);
}

/* ---- walks and holds ---- */

static int acquire_map(struct group_state *state, struct cleave_thread *thread,
		       enum cleave_hold_mode mode, unsigned flags, struct clv_hold *hold)
{
	__atomic_fetch_add(&state->word, WALK, __ATOMIC_RELAXED);
	int code = clv_map_acquire(&state->map_lock, 0, mode, flags, thread, hold);
	__atomic_fetch_sub(&state->word, WALK, __ATOMIC_RELAXED);
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
