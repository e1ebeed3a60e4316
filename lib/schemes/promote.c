// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * One subset and one lock for as long as that does; once commits contend for it, one of each for
 * every subset of the partition as well; and back to one lock when it has become quiet.
 *
 *     subset      0          1     2     3   ..  N      0: what was inserted while whole
 *     object     [ ]        [ ]   [ ]   [ ]     [ ]     1..N: the partition's; made with their
 *     lock        o          o     o     o       o      locks at the first promotion, not before
 *
 *     whole       o guards   all of them                new entries go to 0
 *     split       o          o     o     o       o      each guards its own; new ones go to 1 + s,
 *                                                     copies and children to their source's
 *
 *     WHOLE -> WANTED -> MAKING -> READY -> SPLIT -> WHOLE, the second time WHOLE -> READY -> SPLIT
 *
 * All but SPLIT are "whole". No entry ever moves to another subset (C7), and none has to leave
 * before the map can fall back. What changes is which lock guards objects 1..N, by one store under
 * lock 0, exclusive. To SPLIT, that is all: lock 0 has guarded them, and the commit that has it
 * gives them away. Back, who has it then takes each of the others once: whoever got one before may
 * have seen SPLIT, and has left; whoever gets it afterwards sees that it is whole. Until then lock
 * 0, which is to guard them, is held.
 *
 * So who holds lock 0 knows that the mode stays either SPLIT or not; and who holds lock k > 0 and
 * has seen SPLIT under it has object k until he lets go. A commit chooses its locks by what the
 * mode seems to be, looks again under them, and if they do not guard what it touches, lets go and
 * begins anew; lock 0 always guards subset 0. A batch that was prepared to go into subset k > 0
 * goes there in whatever mode it is committed.
 *
 * Walks take lock 0, shared, and look: if it is whole, that is all; else they take one more at a
 * time, as under `span`: what spans subsets has lock 0 too, exclusive, so that no coverage is lost
 * to a walk (C3), which keeps lock 0 until it is over. Holds take all, ascending. Keeps all
 * guarantees that the structure keeps.
 *
 * When, by promote.256.128.25, the default: about one in 9 of a thread's commits is looked at, the
 * others pay for counting down. While whole it tries lock 0 first, and 32 such are a window; if a
 * quarter of the tries failed, it is time to split. (Also if walks were in the way: split, a commit
 * waits for that part of a walk which is in its subset.) While split, one in 32 of them counts, on
 * a line of the map's, and if commits come so slowly that holds as long as the shortest, one after
 * the other, would fill 1/128 of the time, in two windows running, it is time to fall back. Walks
 * that may wait look at the clock too, in case no commit comes. Holds of one lock are longer, on
 * 384 CPUs some twenty times: by how much, it cannot know. If it splits again before 8 times as
 * long as the quiet windows took, it asks for twice as many. Of one subset there is nothing to
 * split. promote.2.0.0 always changes, for tests.
 *
 * Memory: objects and locks 1..N come from the prepare of the first thread that sees WANTED, on
 * their subsets' nodes, under no lock. If there is none, it stays whole, says so once, and tries
 * again after another such window. They stay until the map is closed, since cleave_empty reads
 * objects without a lock. Until then a map takes a pointer a subset and some lines more than under
 * scheme `one`. Structures of one object for all subsets are made with N + 1 of these at once.
 *
 * Cost: whole, a commit takes one lock, and in two of a window's looks reads the clock twice under
 * it. Split, a commit of one op takes one lock, and reads the mode twice, which nobody writes; in
 * subset 0, where copies and children of what was inserted while whole go too, it waits for walks.
 * Who falls back takes N + 1. Whole anew, a walk looks at N more objects, empty or not.
 *
 * Fairness, preference, and how waiters wait: the lock's, which must have a try.
 * Deadlock: locks ascending, also by who falls back, after a commit or a walk.
 * Source: cleave. Changing the protocol while it runs: reactive locks (Lim and Agarwal, ASPLOS
 * 1994), which leave one of two locks invalid; here both are valid, and differ in what they guard.
 */
#include <errno.h>
#include <string.h>

#include "../env.h"
#include "../error.h"
#include "phase_log.h"
#include "subset_locks.h"
#include "windows.h"

enum { WINDOW = 256, FRACTION = 128, SHARE = 25, LOOKS_MOST = 32 };

enum mode { WHOLE, WANTED, MAKING, READY, SPLIT };

struct parts {
	struct clv_map_lock lock; /* [k] is subset 1 + k's */
	struct clv_quiet quiet;	  /* begins and ends under lock 0 */
};

struct promote_state {
	struct clv_map_lock whole; /* lock 0; first: see clv_scheme_init_state */
	uint32_t mode;
	unsigned fraction;
	unsigned period;     /* of a thread's commits, one in so many is looked at */
	unsigned looks;	     /* these are a window while whole, and one of them counts while split */
	struct parts *parts; /* until READY, the maker's */
	uint32_t unmade;     /* how often there was no memory for them; the maker's */
	uint64_t opened_ns;
	_Alignas(CLV_CACHE_LINE) struct clv_busy busy; /* under lock 0 */
	struct clv_seen decided;  /* the window that wanted a split; also the maker's, as the log */
	struct clv_phase_log log;
};

static struct promote_state *state_of(const struct cleave_map *map)
{
	return map->scheme_state;
}

/* Acquire: partner is the release in set_mode, so that who sees SPLIT sees the parts. */
static inline enum mode mode_of(const struct promote_state *state)
{
	return __atomic_load_n(&state->mode, __ATOMIC_ACQUIRE);
}

static inline void set_mode(struct promote_state *state, enum mode mode)
{
	__atomic_store_n(&state->mode, mode, __ATOMIC_RELEASE);
}

static unsigned keeps(const struct cleave_map *map)
{
	(void)map;
	return CLEAVE_KEEPS_ALL;
}

/* ---- opening and closing ---- */

static int init(struct cleave_map *map, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	const struct clv_lock_type *type = map->design.lock[0].type;
	const struct clv_lock_args none = { 0 };
	unsigned window = WINDOW, fraction = FRACTION, share = SHARE;

	if (args->count > 3 || !clv_scheme_number(args, 0, 2, 65536, &window) ||
	    !clv_scheme_number(args, 1, 0, 65536, &fraction) ||
	    !clv_scheme_number(args, 2, 0, 100, &share))
		return clv_error(error, -EINVAL,
				 "scheme promote: promote.WINDOW.FRACTION.SHARE: 2 to 65536 commits, "
				 "0 to 65536, 0 to 100 %%; not '%s'",
				 args->arg[args->count - 1]);
	if (!type->try_acquire)
		return clv_error(error, -ENOTSUP,
				 "scheme promote: it tries its lock, and lock %s cannot be tried",
				 type->name);
	int code = clv_scheme_init_state(map, sizeof(struct promote_state), &none, 1, error);
	if (code)
		return code;
	struct promote_state *state = state_of(map);
	state->fraction = fraction;
	state->looks = window < LOOKS_MOST ? window : LOOKS_MOST;
	/* Odd: a thread that inserts and removes in turn is seen at both. */
	state->period = (window / state->looks) | 1;
	state->busy.looks = state->looks;
	state->busy.share = share;
	state->opened_ns = clv_now_ns();
	return 0;
}

static void fini(struct cleave_map *map)
{
	struct promote_state *state = state_of(map);

	if (state->parts)
		clv_map_lock_fini(&state->parts->lock);
	clv_free(state->parts, sizeof(struct parts));
	clv_phase_log_fini(&state->log);
	clv_scheme_fini_state(map, sizeof(*state));
}

static size_t memory(const struct cleave_map *map)
{
	const struct promote_state *state = state_of(map);
	size_t bytes = sizeof(*state) + clv_map_lock_memory(&state->whole) +
		       clv_phase_log_bytes(&state->log);

	if (state->parts)
		bytes += sizeof(struct parts) + clv_map_lock_memory(&state->parts->lock);
	return bytes;
}

/* ---- what changed ---- */

/* Commits, of one that counts while split. */
static unsigned stands_for(const struct promote_state *state)
{
	return state->looks * state->period;
}

/*
 * pre: lock 0 is held exclusive, or the mode is MAKING and the thread the maker: nobody at lock 0
 * changes anything then. `commits`: what one that was asked is for.
 */
static void record(struct promote_state *state, const struct cleave_thread *thread,
		   const char *name, const char *reason, const struct clv_seen *why,
		   unsigned commits, unsigned subsets)
{
	const struct cleave_phase phase = {
		.at_ns = clv_now_ns(),
		.name = name,
		.reason = reason,
		.asked = why->asked,
		.failed = why->failed,
		.per_s = clv_seen_per_s(why) * commits,
		.cpu = thread->env->topology->cpu[thread->cpu].os,
		.subsets = subsets,
	};
	clv_phase_log_add(&state->log, &phase);
}

static unsigned phases(const struct cleave_map *map, struct cleave_phase *phase, unsigned most)
{
	const struct promote_state *state = state_of(map);
	const struct cleave_phase opened = {
		.at_ns = state->opened_ns, .name = "whole", .reason = "it was opened", .subsets = 1
	};
	return clv_phase_log_read(&state->log, &opened, phase, most);
}

/* ---- to split ---- */

static int make_parts(struct cleave_map *map, struct promote_state *state)
{
	unsigned subsets = map->partition.subsets;

	if (clv_phase_log_make(&state->log))
		return -ENOMEM;
	struct parts *parts = clv_alloc(sizeof(*parts), CLV_CACHE_LINE, -1);
	if (!parts)
		return -ENOMEM;
	clv_name(parts, sizeof(*parts), 0, "promote: parts", -1, NULL);
	int code = clv_map_lock_make(&parts->lock, map, &map->design.lock[0], subsets, true, NULL);
	if (!code && map->structure->kind == CLEAVE_SEQUENTIAL) {
		code = clv_map_create_objects(map, map->subsets, NULL);
		if (code)
			clv_map_lock_fini(&parts->lock);
	}
	if (code)
		clv_free(parts, sizeof(struct parts));
	else
		state->parts = parts;
	return code;
}

static __attribute__((noinline)) void make(struct cleave_map *map,
						 const struct cleave_thread *thread)
{
	struct promote_state *state = state_of(map);
	uint32_t wanted = WANTED;

	/* Acquire: partner is set_mode in look_locked. */
	if (!__atomic_compare_exchange_n(&state->mode, &wanted, MAKING, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		return;
	bool made = !make_parts(map, state);
	if (!made && state->log.at && !state->unmade++)
		record(state, thread, "whole", "there is no memory for the subsets",
		       &state->decided, state->period, 1);
	set_mode(state, made ? READY : WHOLE);
}

/* pre: lock 0 is held exclusive, and READY; what the caller does under it is done. */
static __attribute__((noinline)) void split_locked(struct cleave_map *map,
							 const struct cleave_thread *thread)
{
	struct promote_state *state = state_of(map);
	const struct clv_seen *decided = &state->decided;

	clv_quiet_begin(&state->parts->quiet,
			(uint64_t)CLV_QUIET_LOOKS * stands_for(state) * state->fraction,
			decided->held_ns);
	record(state, thread, "split", "too many commits found the lock taken by another", decided,
	       state->period, map->partition.subsets);
	set_mode(state, SPLIT);
}

/* A commit that was looked at. pre: lock 0 is held exclusive, since got_ns; it is not SPLIT. */
static void look_locked(struct cleave_map *map, bool failed, uint64_t got_ns)
{
	struct promote_state *state = state_of(map);
	struct clv_seen seen;

	if (!clv_busy_look(&state->busy, failed, got_ns, &seen) || mode_of(state) != WHOLE ||
	    map->subsets == 1)
		return;
	state->decided = seen;
	set_mode(state, state->parts ? READY : WANTED);
}

/* ---- and back ---- */

static __attribute__((noinline)) void fall_back(struct cleave_map *map,
						struct cleave_thread *thread)
{
	struct promote_state *state = state_of(map);
	struct parts *parts = state->parts;
	struct clv_hold hold;

	clv_map_acquire_exclusive(&state->whole, 0, thread, &hold);
	if (mode_of(state) == SPLIT) {
		const struct clv_seen seen = clv_quiet_seen(&parts->quiet);
		record(state, thread, "whole", "commits were few for a lock", &seen, stands_for(state), 1);
		clv_quiet_end(&parts->quiet);
		state->busy.now = (struct clv_seen){ 0 };
		set_mode(state, WHOLE);
		for (unsigned k = 0; k < parts->lock.count; k++) {
			struct clv_hold last;
			clv_map_acquire_exclusive(&parts->lock, k, thread, &last);
			clv_map_release_exclusive(&parts->lock, k, &last);
		}
	}
	clv_map_release_exclusive(&state->whole, 0, &hold);
}

/* pre: SPLIT was seen; the thread holds no lock of the map, and may wait for them. */
static __attribute__((noinline)) void look_if_quiet(struct cleave_map *map,
						    struct cleave_thread *thread, bool commit,
						    uint64_t held_ns)
{
	if (clv_quiet_look(&state_of(map)->parts->quiet, commit, held_ns))
		fall_back(map, thread);
}

/* ---- updates ---- */

static int prepare(struct cleave_map *map, struct cleave_thread *thread, struct cleave_batch *batch)
{
	struct promote_state *state = state_of(map);
	enum mode mode = mode_of(state);

	if (__builtin_expect(mode == WANTED, 0))
		make(map, thread);
	for (unsigned i = 0; i < batch->count; i++) {
		const struct cleave_op *op = &batch->ops[i];
		/* The partition's has been written already. */
		if (op->kind == CLEAVE_INSERT)
			op->entry->subset = mode == SPLIT ? 1 + op->entry->subset : 0;
		else if (clv_op_has_source(op))
			op->entry->subset = op->source->subset;
	}
	/* Those that it touches, and lock 0. */
	unsigned most = batch->count < map->subsets ? batch->count + 1 : map->subsets;
	if (most <= CLV_HOLDS_ON_STACK)
		return 0;
	batch->priv[1] = clv_map_take_holds(thread, most);
	return batch->priv[1] ? 0 : -ENOMEM;
}

static inline void acquire(const struct promote_state *state, uint32_t subset,
			   struct cleave_thread *thread, struct clv_hold *hold)
{
	if (subset)
		clv_map_acquire_exclusive(&state->parts->lock, subset - 1, thread, hold);
	else
		clv_map_acquire_exclusive(&state->whole, 0, thread, hold);
}

static inline void release(const struct promote_state *state, uint32_t subset,
			   struct clv_hold *hold)
{
	if (subset)
		clv_map_release_exclusive(&state->parts->lock, subset - 1, hold);
	else
		clv_map_release_exclusive(&state->whole, 0, hold);
}

/* Is it time to look at a commit of this thread? */
static inline bool in_turn(const struct promote_state *state, struct cleave_thread *thread)
{
	if (__builtin_expect(thread->unwatched > 0, 1)) {
		thread->unwatched--;
		return false;
	}
	/* Drawn, so that threads which begin together are not looked at together. */
	thread->unwatched = (unsigned)(cleave_random(thread) % (2 * state->period - 1));
	return true;
}

/* pre: SPLIT was seen. Returns: false, with nothing done, if it is no more. */
static inline bool commit_split(struct cleave_map *map, struct cleave_thread *thread,
				struct cleave_batch *batch, const uint32_t *subset, unsigned count,
				bool look, struct clv_hold *hold)
{
	const struct promote_state *state = state_of(map);
	/* Drawn, not counted down: what the thread does in other maps would bias that. */
	bool counts = __builtin_expect(look, 0) && !(cleave_random(thread) % state->looks);
	uint64_t got_ns = 0, held_ns = 0;

	for (unsigned i = 0; i < count; i++)
		acquire(state, subset[i], thread, &hold[i]);
	bool split = mode_of(state) == SPLIT;
	if (__builtin_expect(counts, 0))
		got_ns = clv_now_ns();
	if (split)
		clv_map_apply_locked(map, thread, batch);
	if (__builtin_expect(counts, 0))
		held_ns = clv_now_ns() - got_ns;
	for (unsigned i = count; i-- > 0;)
		release(state, subset[i], &hold[i]);
	if (__builtin_expect(counts, 0) && split)
		look_if_quiet(map, thread, true, held_ns);
	return split;
}

/* `beyond`: it touches other subsets than 0. Returns: false, with nothing done, if it is split. */
static inline bool commit_whole(struct cleave_map *map, struct cleave_thread *thread,
				struct cleave_batch *batch, bool beyond, bool look,
				struct clv_hold *hold)
{
	struct promote_state *state = state_of(map);
	uint64_t got_ns = 0, held_ns = 0;
	bool failed = false;

	if (__builtin_expect(look, 0))
		failed = clv_map_acquire(&state->whole, 0, CLEAVE_EXCLUSIVE, CLEAVE_TRY, thread,
					 hold);
	if (!look || failed)
		clv_map_acquire_exclusive(&state->whole, 0, thread, hold);
	enum mode mode = mode_of(state);
	bool mine = mode != SPLIT || !beyond;
	/* In subset 0 of what is split it counts as those of the others do. */
	bool counts = look && mine && mode == SPLIT && !(cleave_random(thread) % state->looks);
	if (__builtin_expect(counts, 0) || (look && clv_busy_reads(&state->busy)))
		got_ns = clv_now_ns();
	if (mine) {
		clv_map_apply_locked(map, thread, batch);
		if (look && mode != SPLIT)
			look_locked(map, failed, got_ns);
		/* The batch is done: from here on the subsets are their locks'. */
		if (__builtin_expect(mode != WHOLE, 0) && mode_of(state) == READY)
			split_locked(map, thread);
	}
	if (__builtin_expect(counts, 0))
		held_ns = clv_now_ns() - got_ns;
	clv_map_release_exclusive(&state->whole, 0, hold);
	if (__builtin_expect(counts, 0))
		look_if_quiet(map, thread, true, held_ns);
	return mine;
}

static inline __attribute__((always_inline)) void
commit_in(struct cleave_map *map, struct cleave_thread *thread, struct cleave_batch *batch,
	  const uint32_t *subset, unsigned count, struct clv_hold *hold)
{
	const struct promote_state *state = state_of(map);
	bool look = in_turn(state, thread), beyond = subset[count - 1], done;

	do {
		if (beyond && mode_of(state) == SPLIT)
			done = commit_split(map, thread, batch, subset, count, look, hold);
		else
			done = commit_whole(map, thread, batch, beyond, look, hold);
	} while (!done);
}

static __attribute__((noinline)) void commit_several(struct cleave_map *map,
						     struct cleave_thread *thread,
						     struct cleave_batch *batch)
{
	uint32_t subset[CLEAVE_BATCH_MAX + 1];
	struct clv_hold on_stack[CLV_HOLDS_ON_STACK];
	struct clv_hold_set *set = batch->priv[1];
	unsigned count = clv_subsets_of(batch, subset);

	/* What spans subsets waits for walks: they have lock 0. */
	if (count > 1 && subset[0]) {
		memmove(subset + 1, subset, count++ * sizeof(*subset));
		subset[0] = 0;
	}
	commit_in(map, thread, batch, subset, count, set ? set->hold : on_stack);
}

static void commit(struct cleave_map *map, struct cleave_thread *thread, struct cleave_batch *batch)
{
	uint32_t subset = batch->ops[0].entry->subset;
	struct clv_hold hold;

	if (batch->count == 1)
		commit_in(map, thread, batch, &subset, 1, &hold);
	else
		commit_several(map, thread, batch);
}

/* ---- walks and holds ---- */

/* pre: lock 0 is held shared, and it is split: so it stays. */
static int walk_parts(struct cleave_map *map, struct cleave_thread *thread, uint64_t start,
		      uint64_t last, unsigned flags, cleave_visit_fn *visit, void *arg)
{
	unsigned begin = clv_partition_first(&map->partition, thread->cpu);

	return clv_subset_locks_walk(&state_of(map)->parts->lock, 1, begin, map, thread, start, last,
				     flags, visit, arg);
}

static int walk(struct cleave_map *map, struct cleave_thread *thread, uint64_t start, uint64_t last,
		unsigned flags, cleave_visit_fn *visit, void *arg)
{
	if (map->structure->flags & CLEAVE_WALKS_UNLOCKED)
		return clv_map_walk_locked(map, thread, CLEAVE_ALL_SUBSETS, start, last, visit, arg);
	struct promote_state *state = state_of(map);
	bool split = false;
	struct clv_hold hold;

	int code = clv_map_acquire(&state->whole, 0, CLEAVE_SHARED, flags, thread, &hold);
	if (!code) {
		split = mode_of(state) == SPLIT;
		code = clv_map_walk_locked(map, thread, split ? 0 : CLEAVE_ALL_SUBSETS, start, last,
					   visit, arg);
		if (split && !code)
			code = walk_parts(map, thread, start, last, flags, visit, arg);
		clv_map_release(&state->whole, 0, CLEAVE_SHARED, &hold);
	}
	if (split && !(flags & CLEAVE_TRY))
		look_if_quiet(map, thread, false, 0);
	return code;
}

static void release_first(const struct promote_state *state, enum cleave_hold_mode mode,
			  struct clv_hold *holds, unsigned held)
{
	for (unsigned i = held; i-- > 1;)
		clv_map_release(&state->parts->lock, i - 1, mode, &holds[i]);
	clv_map_release(&state->whole, 0, mode, &holds[0]);
}

/* Lock 0 in holds[0]; if it is split, the others. Returns: 0; -EBUSY, -ENOTSUP, none held. */
static int acquire_all(const struct cleave_map *map, struct cleave_thread *thread,
		       enum cleave_hold_mode mode, unsigned flags, struct clv_hold *holds)
{
	const struct promote_state *state = state_of(map);
	int code = clv_map_acquire(&state->whole, 0, mode, flags, thread, &holds[0]);
	unsigned held = 1;

	if (code || mode_of(state) != SPLIT)
		return code;
	while (!code && held < map->subsets) {
		code = clv_map_acquire(&state->parts->lock, held - 1, mode, flags, thread,
				       &holds[held]);
		held += !code;
	}
	if (code)
		release_first(state, mode, holds, held);
	return code;
}

static unsigned hold_count(const struct cleave_map *map)
{
	return map->subsets;
}

static int hold_all(struct cleave_map *map, struct cleave_thread *thread,
		    enum cleave_hold_mode mode, unsigned flags, struct clv_hold *holds)
{
	return acquire_all(map, thread, mode, flags, holds);
}

static void release_all(struct cleave_map *map, struct cleave_thread *thread,
			enum cleave_hold_mode mode, struct clv_hold *holds)
{
	struct promote_state *state = state_of(map);

	(void)thread;
	/* As it was when it was taken: lock 0 is held. */
	release_first(state, mode, holds, mode_of(state) == SPLIT ? map->subsets : 1);
}

const struct clv_scheme clv_scheme_promote = {
	.name = "promote",
	.summary = "one subset and lock; one of each for every subset once commits contend, and back "
		   "when it is quiet (promote.WINDOW.FRACTION.SHARE); keeps C1-C8",
	.source = "cleave",
	.locks = CLV_SCHEME_ONE_LOCK,
	.starts_whole = true,
	.keeps = keeps,
	.init = init,
	.fini = fini,
	.prepare = prepare,
	.settle = clv_subset_locks_settle,
	.commit = commit,
	.walk = walk,
	.hold_count = hold_count,
	.hold = hold_all,
	.release = release_all,
	.memory = memory,
	.phases = phases,
};
