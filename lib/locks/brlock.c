// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Big-reader lock: a reader-writer lock for each CPU. A reader takes its own CPU's, a writer takes all,
 * ascending.
 *
 *     CPU      0      1      2      3
 *            [ r ]  [   ]  [ r ]  [   ]      readers: own line only
 *            [ w ]->[ w ]->[ w ]->[ w ]      a writer: every line
 *
 *     part     owner | own | others | writer
 *              `own` counts the owner's readers, and is written by the owner alone; `others` those of
 *              threads that come by on that CPU; `writer`: 1, a writer has it or waits for them
 *
 * A reader counts itself, then looks at `writer`: 0, and it is in; else it takes itself back and waits
 * for 0. A writer sets `writer` from 0 to 1, then waits until both counts are 0. Whoever first comes by
 * on a CPU owns that part for as long as the lock lives: where threads stay on their CPUs, a reader
 * enters by one exchange and leaves by one store.
 *
 * Invariants: of each part, a reader that is counted and saw `writer` at 0 is inside; a writer has it
 * only after it has set `writer` and then seen both counts at 0. A count and `writer` are written and
 * then the other is read, sequentially consistent: one of the two sees the other (Dekker). `owner` is
 * written once. A thread handle outlives its thread and may begin another, which then owns what the
 * handle owned: nothing is counted then. Who acquires shared releases itself.
 *
 * Spinning, unfair: a part's writer keeps readers out, and among writers whoever swaps first is next. A
 * writer that waits on one CPU's readers holds the parts below it, whose readers wait with it.
 *
 * Cost: a reader an atomic and a store, or two atomics, on its own CPU's line; a writer an atomic and a
 * store on each CPU's line, so that it is some hundred times a plain lock's on a big machine.
 * Memory: 16 bytes, and a line a CPU: 24 KiB a lock for 384 CPUs.
 *
 * Where it differs: Concurrency Kit's ck_brlock has one word for writers, which every reader reads: a
 * writer's every acquisition takes it from all CPUs, that then ask for it one after the other, and here
 * a reader waits from when the writer has come to its own part. Its readers register, each a record in
 * a list. Linux's are alone on their CPU while they read, and need no owner.
 * Source: Linux 2.4 include/linux/brlock.h (Molnar, Miller); CK ck_brlock.h for a reader's count.
 */
#include <errno.h>

#include "env.h"
#include "error.h"
#include "locks/lock.h"
#include "shim/mark.h"
#include "thread.h"

struct part {
	_Alignas(CLV_CACHE_LINE) struct cleave_thread *owner;
	uint32_t own, others, writer;
};

struct brlock {
	struct part *part; /* [cpus] */
	unsigned cpus;
};

static int init(void *at, struct cleave_env *env, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	static const struct cleave_field part_fields[] = {
		{ offsetof(struct part, owner), "owner" },
		{ offsetof(struct part, own), "readers" },
		{ offsetof(struct part, writer), "writer" },
		{ 0, NULL },
	};
	struct brlock *lock = at;

	if (args->count)
		return clv_error(error, -EINVAL, "lock brlock: it takes no argument, not '%s'",
				 args->arg[0]);
	lock->cpus = env->topology->cpus;
	lock->part = clv_alloc(lock->cpus * sizeof(*lock->part), CLV_CACHE_LINE, -1);
	if (!lock->part)
		return clv_error(error, -ENOMEM, "lock brlock: out of memory");
	clv_name(lock->part, lock->cpus * sizeof(*lock->part), sizeof(*lock->part), "brlock part",
		 -1, part_fields);
	return 0;
}

static void fini(void *at)
{
	struct brlock *lock = at;

	clv_free(lock->part, lock->cpus * sizeof(*lock->part));
}

static size_t memory(const void *at)
{
	const struct brlock *lock = at;

	return lock->cpus * sizeof(*lock->part);
}

/* ---- readers ---- */

/* Relaxed: only the pointer is looked at, and to a thread only its own makes a difference. */
static bool owns(struct part *part, struct cleave_thread *thread)
{
	struct cleave_thread *owner = __atomic_load_n(&part->owner, __ATOMIC_RELAXED);

	return owner == thread ||
	       (!owner && __atomic_compare_exchange_n(&part->owner, &owner, thread, false,
						      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

/* pre: the caller is the owner, so that nobody writes it meanwhile. */
static uint32_t own_of(const struct part *part)
{
	return __atomic_load_n(&part->own, __ATOMIC_RELAXED);
}

static void count_in(struct part *part, struct cleave_thread *thread)
{
	/* Sequentially consistent, both: partner is `writer`, in set_writer. */
	if (owns(part, thread))
		__atomic_exchange_n(&part->own, own_of(part) + 1, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_add(&part->others, 1, __ATOMIC_SEQ_CST);
}

static void count_out(struct part *part, struct cleave_thread *thread)
{
	/* Release, both: partners are the loads in someone_inside. */
	if (__atomic_load_n(&part->owner, __ATOMIC_RELAXED) == thread)
		__atomic_store_n(&part->own, own_of(part) - 1, __ATOMIC_RELEASE);
	else
		__atomic_fetch_sub(&part->others, 1, __ATOMIC_RELEASE);
}

static bool has_writer(const struct part *part)
{
	/* As count_in; and acquire: partner is the release in release_first. */
	return __atomic_load_n(&part->writer, __ATOMIC_SEQ_CST);
}

static inline bool enter(struct brlock *lock, struct clv_hold *hold)
{
	struct part *part = &lock->part[hold->thread->cpu];

	/* The thread may be on another CPU when it releases. */
	hold->state[0] = (uintptr_t)part;
	count_in(part, hold->thread);
	return !has_writer(part);
}

/* Out of line: alone, nobody comes here. */
static __attribute__((noinline)) void wait_shared(struct brlock *lock, struct clv_hold *hold)
{
	struct part *part = (struct part *)hold->state[0];

	do {
		count_out(part, hold->thread);
		while (has_writer(part))
			clv_pause();
	} while (!enter(lock, hold));
}

static void acquire_shared(void *at, struct clv_hold *hold)
{
	if (!enter(at, hold))
		wait_shared(at, hold);
}

static bool try_acquire_shared(void *at, struct clv_hold *hold)
{
	if (enter(at, hold))
		return true;
	count_out((struct part *)hold->state[0], hold->thread);
	return false;
}

static void release_shared(void *at, struct clv_hold *hold)
{
	(void)at;
	count_out((struct part *)hold->state[0], hold->thread);
}

/* ---- writers ---- */

static bool set_writer(struct part *part)
{
	/* Partners: has_writer, and of the writer before, the release in release_first. */
	return !__atomic_load_n(&part->writer, __ATOMIC_RELAXED) &&
	       !__atomic_exchange_n(&part->writer, 1, __ATOMIC_SEQ_CST);
}

static bool someone_inside(const struct part *part)
{
	/* Partners: count_in, whose reader saw `writer` or is seen here; acquire: count_out. */
	return __atomic_load_n(&part->own, __ATOMIC_SEQ_CST) |
	       __atomic_load_n(&part->others, __ATOMIC_SEQ_CST);
}

static void release_first(struct brlock *lock, unsigned count)
{
	/* Release: partners are has_writer and set_writer. */
	while (count--)
		__atomic_store_n(&lock->part[count].writer, 0, __ATOMIC_RELEASE);
}

static void acquire(void *at, struct clv_hold *hold)
{
	struct brlock *lock = at;

	(void)hold;
	for (unsigned i = 0; i < lock->cpus; i++) {
		while (!set_writer(&lock->part[i]))
			clv_pause();
		while (someone_inside(&lock->part[i]))
			clv_pause();
	}
}

static void release(void *at, struct clv_hold *hold)
{
	struct brlock *lock = at;

	(void)hold;
	release_first(lock, lock->cpus);
}

static bool try_acquire(void *at, struct clv_hold *hold)
{
	struct brlock *lock = at;

	(void)hold;
	for (unsigned i = 0; i < lock->cpus; i++) {
		struct part *part = &lock->part[i];
		bool set = set_writer(part);

		if (!set || someone_inside(part)) {
			release_first(lock, i + set);
			return false;
		}
	}
	return true;
}

static const struct cleave_field fields[] = {
	{ offsetof(struct brlock, part), "where the parts are" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_brlock = {
	.name = "brlock",
	.summary = "spinning, unfair; a reader-writer lock for each CPU: readers take their own, "
		   "writers all",
	.source = "Linux 2.4 brlock; Concurrency Kit ck_brlock",
	.flags = CLV_LOCK_SPINS,
	.size_bytes = sizeof(struct brlock),
	.init = init,
	.fini = fini,
	.memory = memory,
	.acquire = acquire,
	.release = release,
	.try_acquire = try_acquire,
	.acquire_shared = acquire_shared,
	.release_shared = release_shared,
	.try_acquire_shared = try_acquire_shared,
	.fields = fields,
};
