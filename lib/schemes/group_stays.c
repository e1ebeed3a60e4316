// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * As `group`, but a group stays until a walk needs the map, and its members are not counted: each
 * subset has a seat, on a line of its own, that the holder of the subset's lock sits down in.
 *
 *     phase         CLOSED -> OPENING -> PASSING -> OPEN -> CLOSED
 *                                                   OPEN -> PASSING -> OPEN or CLOSED      (a try)
 *     seats         EMPTY, IN, AWAITED (in; a closer sleeps for it), WAITING, ASLEEP (for a group)
 *     map's lock    held exclusive for the group  |  shared by walks
 *
 * An update has its subsets' locks, and so the seat of one of them. It writes IN there, then looks
 * at `phase`: OPEN, and it is a member, having written no line that another subset's updates write.
 * If not, it leaves the seat. Who finds CLOSED makes it OPENING, and acquires the map's lock for
 * all; who finds OPENING writes WAITING, and looks again. The opener makes each WAITING an IN
 * (PASSING), and only then is the group open. A walk or hold that finds it open makes it CLOSED,
 * waits for each seat to be seen without a member, and releases the map's lock for the group. The
 * last thing an update does is the same, if a walk waits: so a group opened beside a waiting walk
 * is closed by its first member to leave.
 *
 * Invariants
 *  - While somebody is in who saw OPEN after writing IN, or was made IN in PASSING, the map's lock
 *    is held exclusive for its group.
 *  - A seat is written by who holds its subset's lock; but WAITING and ASLEEP to IN by the opener,
 *    in PASSING, and IN to AWAITED by the closer.
 *  - Who makes CLOSED an OPENING is not WAITING: else it might be in by another's group, which is
 *    closed meanwhile and waits for it, while it waits for that group's lock.
 *  - Who made OPEN to CLOSED is the one closer until it has released the map's lock, which the next
 *    group needs; so there is one opener and one closer, of two groups at most, and two holds in
 *    turn. A lock is free before its release has returned, which may still need the hold (rwsem to
 *    wake, a cohort lock to give its domain's back): the group after the next waits for that.
 *    Nobody measures these holds, so that `timed` says that one is in use.
 *  - PASSING is left without waiting for anybody: who meets it looks again.
 * Each write and look below is sequentially consistent: one of the two sees the other (Dekker).
 *     joins    seat IN, then phase            closes   phase CLOSED, then seats
 *     waits    seat WAITING, then phase       opens    phase PASSING, then seats
 *     walks    walks_waiting, then phase      opens    phase OPEN, then walks_waiting
 *
 * Keeps all guarantees that the structure keeps: whoever walks has the map's lock, and so is
 * without members; updaters exclude each other by subset, as under `each`.
 *
 * Waiting: a member waits for nobody. For an opener, and for a seat to be left: some turns, then
 * asleep. Updates wait holding their subsets' locks; those behind wait as these do.
 * Fairness: all who are WAITING when a group opens are in it, so that an update waits for one turn
 * of the map's lock; and a walk for one group, of a batch a subset and those that come while it is
 * closed, each time that the map's lock prefers an updater. A try looks at the seats, and closes a
 * group only if it finds all without a member: updates that never pause make it fail for good.
 *
 * Cost: an update two atomics on its subset's line and a look at `phase`'s, which only walks
 * change; an opening and a closing look at every seat, and the opener wakes all that sleep, one
 * after the other.
 * Memory: 5 lines, one a subset, and the locks.
 *
 * Deadlock: subsets ascending, then the map's lock. Who has the map's lock for a walk waits for no
 * subset, who closes has no seat, and members wait for nobody. The second lock is held by who
 * sleeps for the first: a spinning second lock makes all behind it spin for so long.
 * Source: as `group`; that it stays is biased locking (Russell and Detlefs, OOPSLA 2006); a seat is
 * what a count is in a per-CPU rwsem, lib/locks/percpu.c.
 */
#include <errno.h>

#include "../error.h"
#include "subset_locks.h"

/* Some us: about what it costs to sleep and be woken. */
#define SPIN_TURNS 100

enum phase { CLOSED, OPENING, PASSING, OPEN };
enum sitting { EMPTY, IN, AWAITED, WAITING, ASLEEP };

struct seat {
	_Alignas(CLV_CACHE_LINE) uint32_t sitting;
	struct cleave_thread *thread; /* whom to wake; of who was ASLEEP */
	struct seat *next;	      /* that the opener wakes after this; its own */
};

struct stays_state {
	struct clv_map_lock map_lock; /* first: see clv_scheme_init_state */
	struct clv_map_lock subset;
	struct seat *seat; /* [subsets] */
	struct clv_hold hold[2];
	unsigned turn; /* whose hold the group's is; of the opener and the closer */
	struct cleave_thread *closer;
	_Alignas(CLV_CACHE_LINE) uint32_t phase;
	uint32_t walks_waiting;
};

static struct stays_state *state_of(const struct cleave_map *map)
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
	struct stays_state *state = state_of(map);

	/* The last group has not been closed: an error for a lock that minds. */
	if (state->phase == OPEN)
		state->map_lock.type->release(state->map_lock.at[0], &state->hold[state->turn]);
	clv_free(state->seat, map->partition.subsets * sizeof(*state->seat));
	clv_map_lock_fini(&state->subset);
	clv_scheme_fini_state(map, sizeof(*state));
}

static int init(struct cleave_map *map, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	static const struct cleave_field seat_fields[] = { { 0, "sitting" }, { 0, NULL } };
	const struct clv_lock_type *type = map->design.lock[0].type;
	unsigned subsets = map->partition.subsets;

	if (type->flags & CLV_LOCK_OWNED)
		return clv_error(error, -ENOTSUP,
				 "scheme group_stays: who acquired lock %s has to release it: it "
				 "cannot be the first",
				 type->name);
	int code = clv_scheme_init_state(map, sizeof(struct stays_state), args, 1, error);
	if (code)
		return code;
	struct stays_state *state = state_of(map);
	state->seat = clv_alloc(subsets * sizeof(*state->seat), CLV_CACHE_LINE, -1);
	if (state->seat) {
		clv_name(state->seat, subsets * sizeof(*state->seat), sizeof(*state->seat),
			 "group's seat", -1, seat_fields);
		code = clv_map_lock_make(&state->subset, map, &map->design.lock[1], subsets,
					 subsets > 1, error);
		if (!code)
			return 0;
	} else {
		code = clv_error(error, -ENOMEM, "scheme group_stays: out of memory");
	}
	clv_free(state->seat, subsets * sizeof(*state->seat));
	clv_scheme_fini_state(map, sizeof(*state));
	return code;
}

/* ---- phase and seats ---- */

static uint32_t phase_of(const struct stays_state *state)
{
	/* Acquire, too: partner is the store of OPEN in open_group; and so, the map's lock's. */
	return __atomic_load_n(&state->phase, __ATOMIC_SEQ_CST);
}

static bool change_phase(struct stays_state *state, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&state->phase, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

static uint32_t sitting_in(const struct seat *seat)
{
	/* Acquire, too: partners are sit, by a member that left, and the grant in open_group. */
	return __atomic_load_n(&seat->sitting, __ATOMIC_SEQ_CST);
}

static bool is_in(uint32_t sitting)
{
	return sitting == IN || sitting == AWAITED;
}

static bool change_seat(struct seat *seat, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&seat->sitting, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

/* pre: the subset's lock is held, and the seat is not WAITING or ASLEEP. */
static void sit(struct stays_state *state, struct seat *seat, uint32_t how)
{
	if (__atomic_exchange_n(&seat->sitting, how, __ATOMIC_SEQ_CST) != AWAITED)
		return;
	/* Written before AWAITED, and handles live on: at worst somebody wakes for nothing. */
	clv_wake(__atomic_load_n(&state->closer, __ATOMIC_RELAXED));
}

/* ---- opening: by an update ---- */

/* All who wait are in. Returns: those of them that sleep, linked. */
static struct seat *grant(struct stays_state *state)
{
	struct seat *asleep = NULL;

	for (unsigned i = 0; i < state->subset.count; i++) {
		struct seat *seat = &state->seat[i];
		uint32_t sitting = sitting_in(seat);

		if (sitting == WAITING && change_seat(seat, WAITING, IN))
			continue;
		/* Who waits goes to sleep, but does not wake, meanwhile. */
		if (sitting >= WAITING && change_seat(seat, ASLEEP, IN)) {
			seat->next = asleep;
			asleep = seat;
		}
	}
	return asleep;
}

/* pre: phase is OPENING by the caller, whose seat is EMPTY. */
static void open_group(struct stays_state *state, struct seat *seat, struct cleave_thread *thread)
{
	struct clv_hold *hold = &state->hold[!state->turn];

	/* Acquire: partner is the release in close_locked. */
	while (__atomic_load_n(&hold->timed, __ATOMIC_ACQUIRE))
		clv_pause();
	__atomic_store_n(&hold->timed, true, __ATOMIC_RELAXED);
	hold->thread = thread;
	state->map_lock.type->acquire(state->map_lock.at[0], hold);
	/* The last group is closed: turn is nobody's else. */
	state->turn = !state->turn;
	sit(state, seat, IN);
	__atomic_store_n(&state->phase, PASSING, __ATOMIC_SEQ_CST);
	struct seat *asleep = grant(state);
	__atomic_store_n(&state->phase, OPEN, __ATOMIC_SEQ_CST);
	/* The caller is in: no other opener writes `next`. */
	for (; asleep; asleep = asleep->next)
		clv_wake(__atomic_load_n(&asleep->thread, __ATOMIC_RELAXED));
}

/* Until an opener has made it IN; one is on its way. */
static void await_grant(struct seat *seat, struct cleave_thread *thread)
{
	for (unsigned turn = 0; turn < SPIN_TURNS; turn++) {
		if (is_in(sitting_in(seat)))
			return;
		clv_pause_bounded();
	}
	__atomic_store_n(&seat->thread, thread, __ATOMIC_RELAXED);
	if (!change_seat(seat, WAITING, ASLEEP))
		return;
	while (!is_in(sitting_in(seat)))
		clv_park(thread, CLV_FOREVER);
}

/* Returns: sat down in time? */
static bool join(struct stays_state *state, struct seat *seat)
{
	sit(state, seat, IN);
	if (__builtin_expect(phase_of(state) == OPEN, 1))
		return true;
	sit(state, seat, EMPTY);
	return false;
}

/* Returns: was granted? If not, there is no opener any more. */
static bool wait_for_opener(struct stays_state *state, struct seat *seat,
			    struct cleave_thread *thread)
{
	sit(state, seat, WAITING);
	/* Whoever is OPENING still has to look at the seats. */
	if (phase_of(state) != OPENING)
		return !change_seat(seat, WAITING, EMPTY);
	await_grant(seat, thread);
	return true;
}

static void wait_for_group(struct stays_state *state, struct seat *seat,
			   struct cleave_thread *thread)
{
	for (;;) {
		switch (phase_of(state)) {
		case OPEN:
			if (join(state, seat))
				return;
			break;
		case PASSING:
			clv_pause();
			break;
		case OPENING:
			if (wait_for_opener(state, seat, thread))
				return;
			break;
		default:
			/* Its seat is EMPTY: it cannot have been granted meanwhile. */
			if (change_phase(state, CLOSED, OPENING)) {
				open_group(state, seat, thread);
				return;
			}
		}
	}
}

static void enter(struct stays_state *state, struct seat *seat, struct cleave_thread *thread)
{
	if (join(state, seat))
		return;
	uint64_t asked_ns = thread->times ? clv_now_ns() : 0;

	/* To a simulated machine, a wait; the map's lock has no one CPU that holds it. */
	clv_mark(CLV_MARK_ASK, state);
	wait_for_group(state, seat, thread);
	clv_mark(CLV_MARK_FAILED, state);
	if (thread->times)
		clv_map_count_wait(thread, clv_now_ns() - asked_ns);
}

/* ---- closing: by who wants the map for itself ---- */

static void await_leaving(struct seat *seat, struct cleave_thread *thread)
{
	for (unsigned turn = 0; is_in(sitting_in(seat)); turn++) {
		if (turn < SPIN_TURNS)
			clv_pause_bounded();
		else if (sitting_in(seat) == AWAITED || change_seat(seat, IN, AWAITED))
			clv_park(thread, CLV_FOREVER);
	}
}

/* pre: phase is CLOSED by the caller, and each seat was seen without a member since then. */
static void close_locked(struct stays_state *state, struct cleave_thread *thread)
{
	struct clv_hold *hold = &state->hold[state->turn];

	/* A lock may take this for the thread that is calling: it would not wake that. */
	hold->thread = thread;
	state->map_lock.type->release(state->map_lock.at[0], hold);
	/* Release: partner is open_group. */
	__atomic_store_n(&hold->timed, false, __ATOMIC_RELEASE);
}

/* pre: phase is CLOSED by the caller. */
static void await_members(struct stays_state *state, struct cleave_thread *thread)
{
	uint64_t asked_ns = thread->times ? clv_now_ns() : 0;

	/* Relaxed: partner is sit, ordered by AWAITED. */
	__atomic_store_n(&state->closer, thread, __ATOMIC_RELAXED);
	clv_mark(CLV_MARK_ASK, state);
	for (unsigned i = 0; i < state->subset.count; i++)
		await_leaving(&state->seat[i], thread);
	clv_mark(CLV_MARK_FAILED, state);
	if (thread->times)
		clv_map_count_wait(thread, clv_now_ns() - asked_ns);
}

static void close_group(struct stays_state *state, struct cleave_thread *thread)
{
	uint32_t phase;

	while ((phase = phase_of(state)) >= PASSING) {
		if (phase == PASSING) {
			clv_pause();
		} else if (change_phase(state, OPEN, CLOSED)) {
			await_members(state, thread);
			close_locked(state, thread);
			return;
		}
	}
}

/* Without waiting for anybody: if no seat is taken. */
static void try_close_group(struct stays_state *state, struct cleave_thread *thread)
{
	if (!change_phase(state, OPEN, PASSING))
		return;
	for (unsigned i = 0; i < state->subset.count; i++) {
		if (is_in(sitting_in(&state->seat[i]))) {
			__atomic_store_n(&state->phase, OPEN, __ATOMIC_SEQ_CST);
			return;
		}
	}
	__atomic_store_n(&state->phase, CLOSED, __ATOMIC_SEQ_CST);
	close_locked(state, thread);
}

/* ---- updates ---- */

static void apply_in_group(struct cleave_map *map, struct cleave_thread *thread,
			   struct cleave_batch *batch)
{
	struct stays_state *state = state_of(map);
	struct seat *seat = &state->seat[batch->ops[0].entry->subset];

	enter(state, seat, thread);
	clv_map_apply_locked(map, thread, batch);
	sit(state, seat, EMPTY);
}

static void commit(struct cleave_map *map, struct cleave_thread *thread, struct cleave_batch *batch)
{
	struct stays_state *state = state_of(map);

	clv_subset_locks_commit_by(&state->subset, map, thread, batch, apply_in_group);
	if (__builtin_expect(__atomic_load_n(&state->walks_waiting, __ATOMIC_SEQ_CST) != 0, 0))
		close_group(state, thread);
}

/* ---- walks and holds ---- */

static int acquire_map(struct stays_state *state, struct cleave_thread *thread,
		       enum cleave_hold_mode mode, unsigned flags, struct clv_hold *hold)
{
	if (flags & CLEAVE_TRY) {
		try_close_group(state, thread);
		return clv_map_acquire(&state->map_lock, 0, mode, flags, thread, hold);
	}
	__atomic_fetch_add(&state->walks_waiting, 1, __ATOMIC_SEQ_CST);
	close_group(state, thread);
	int code = clv_map_acquire(&state->map_lock, 0, mode, flags, thread, hold);
	__atomic_fetch_sub(&state->walks_waiting, 1, __ATOMIC_SEQ_CST);
	return code;
}

static int walk(struct cleave_map *map, struct cleave_thread *thread, uint64_t start, uint64_t last,
		unsigned flags, cleave_visit_fn *visit, void *arg)
{
	if (map->structure->flags & CLEAVE_WALKS_UNLOCKED)
		return clv_map_walk_locked(map, thread, CLEAVE_ALL_SUBSETS, start, last, visit, arg);
	struct stays_state *state = state_of(map);
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
	const struct stays_state *state = state_of(map);

	return sizeof(*state) + map->partition.subsets * sizeof(*state->seat) +
	       clv_map_lock_memory(&state->map_lock) + clv_map_lock_memory(&state->subset);
}

const struct clv_scheme clv_scheme_group_stays = {
	.name = "group_stays",
	.summary = "as group, which stays until a walk needs the map; members told by subset; "
		   "keeps C1-C8",
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
