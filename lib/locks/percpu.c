// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A reader-writer lock whose readers are counted per CPU, after Linux's percpu_rw_semaphore.
 *
 *     block      1 while a writer is inside or waits for readers to leave
 *     count      one a CPU, on a line of its own: readers that came in there and have not left
 *     inner      an rwsem: writers hold it, readers that meet a writer wait on it
 *
 * A reader adds itself to its CPU's count, then looks at `block`: 0, and it is in, having written no
 * line that another CPU writes. If not, it takes itself back, waits for the rwsem, shared, and counts
 * itself while it holds that. A writer takes the rwsem, sets `block`, and waits for each count to be
 * seen at 0; it spins a little and then sleeps, and who leaves while `block` is set wakes it.
 *
 * Invariants: whoever is counted and saw `block` at 0, or was counted under the rwsem, is inside; a
 * writer is inside only after it has seen each count at 0 behind its store to `block`. Both the count
 * and `block` are written and then the other is read, sequentially consistent: one of the two sees
 * the other (Dekker).
 *
 * Sleeping. Fairness: writers come first, as in the rwsem among themselves; a reader waits for one
 * writer at least, if it meets any. Cost: a reader 2 atomics on its own CPU's line; a writer reads all
 * counts, of which every one that a reader has written meanwhile is another CPU's line.
 *
 * Where it differs from Linux: there a reader's increment is no atomic and has no fence unless a
 * writer was there lately (rcu_sync); a program has no RCU that would tell it so. Linux's counts are 4
 * bytes in its per-CPU memory, here they have a line each.
 *
 * Memory: 32 bytes, the rwsem's line, and a line a CPU: 24 KiB a lock for 384 CPUs.
 *
 * Source: Linux kernel/locking/percpu-rwsem.c (Nesterov; Zijlstra 2020).
 */
#include <errno.h>

#include "env.h"
#include "error.h"
#include "locks/lock.h"
#include "shim/mark.h"
#include "thread.h"

/* Some us: about what it costs to sleep and be woken. */
#define SPIN_TURNS 100

extern const struct clv_lock_type clv_lock_rwsem;

struct count {
	_Alignas(CLV_CACHE_LINE) uint32_t readers;
};

struct percpu {
	uint32_t block;
	unsigned cpus;
	struct count *count; /* [cpus] */
	void *inner;
	struct cleave_thread *writer; /* whom to wake; meaningless while block is 0 */
};

static void release_inner(struct percpu *lock)
{
	clv_free(lock->inner, clv_lock_rwsem.size_bytes);
	clv_free(lock->count, lock->cpus * sizeof(*lock->count));
}

static int init(void *at, struct cleave_env *env, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	static const struct cleave_field count_fields[] = { { 0, "readers" }, { 0, NULL } };
	struct percpu *lock = at;

	if (args->count)
		return clv_error(error, -EINVAL, "lock percpu: it takes no argument, not '%s'",
				 args->arg[0]);
	lock->cpus = env->topology->cpus;
	lock->count = clv_alloc(lock->cpus * sizeof(*lock->count), CLV_CACHE_LINE, -1);
	lock->inner = clv_alloc(clv_lock_rwsem.size_bytes, CLV_CACHE_LINE, -1);
	if (!lock->count || !lock->inner) {
		release_inner(lock);
		return clv_error(error, -ENOMEM, "lock percpu: out of memory");
	}
	clv_name(lock->count, lock->cpus * sizeof(*lock->count), sizeof(*lock->count),
		 "percpu count", -1, count_fields);
	clv_name(lock->inner, clv_lock_rwsem.size_bytes, 0, "percpu's rwsem", -1,
		 clv_lock_rwsem.fields);
	return 0;
}

static void fini(void *at)
{
	release_inner(at);
}

static size_t memory(const void *at)
{
	const struct percpu *lock = at;

	return lock->cpus * sizeof(*lock->count) + CLV_CACHE_LINE;
}

/* ---- readers ---- */

static void count_in(uint32_t *readers)
{
	/* Sequentially consistent: partner is `block`, in block and acquire. */
	__atomic_fetch_add(readers, 1, __ATOMIC_SEQ_CST);
}

static bool is_blocked(const struct percpu *lock)
{
	/* As above; and acquire: partner is the release of `block` in release. */
	return __atomic_load_n(&lock->block, __ATOMIC_SEQ_CST);
}

static void count_out(struct percpu *lock, uint32_t *readers)
{
	/* And release: partner is the load in someone_inside. */
	__atomic_fetch_sub(readers, 1, __ATOMIC_SEQ_CST);
	if (!is_blocked(lock))
		return;
	/* Written before `block`, and handles live on: at worst somebody wakes for nothing. */
	struct cleave_thread *writer = __atomic_load_n(&lock->writer, __ATOMIC_ACQUIRE);
	if (writer)
		clv_wake(writer);
}

static bool enter(struct percpu *lock, struct clv_hold *hold)
{
	uint32_t *readers = &lock->count[hold->thread->cpu].readers;

	/* The thread may be on another CPU when it leaves. */
	hold->state[0] = (uintptr_t)readers;
	count_in(readers);
	if (!is_blocked(lock))
		return true;
	count_out(lock, readers);
	return false;
}

static void acquire_shared(void *at, struct clv_hold *hold)
{
	struct percpu *lock = at;
	struct clv_hold inner = { .thread = hold->thread };

	if (enter(lock, hold))
		return;
	clv_lock_rwsem.acquire_shared(lock->inner, &inner);
	count_in((uint32_t *)hold->state[0]);
	clv_lock_rwsem.release_shared(lock->inner, &inner);
}

static bool try_acquire_shared(void *at, struct clv_hold *hold)
{
	return enter(at, hold);
}

static void release_shared(void *at, struct clv_hold *hold)
{
	count_out(at, (uint32_t *)hold->state[0]);
}

/* ---- writers, who hold the rwsem ---- */

static bool someone_inside(const struct count *count)
{
	/* Partners: count_in, which saw `block` or is seen here; acquire, of count_out's release. */
	return __atomic_load_n(&count->readers, __ATOMIC_SEQ_CST);
}

static void block(struct percpu *lock, struct cleave_thread *self)
{
	__atomic_store_n(&lock->writer, self, __ATOMIC_RELEASE);
	__atomic_store_n(&lock->block, 1, __ATOMIC_SEQ_CST);
}

static void unblock(struct percpu *lock)
{
	/* Release: partner is is_blocked, for readers that then are in without the rwsem. */
	__atomic_store_n(&lock->block, 0, __ATOMIC_RELEASE);
}

static void acquire(void *at, struct clv_hold *hold)
{
	struct percpu *lock = at;

	clv_lock_rwsem.acquire(lock->inner, hold);
	block(lock, hold->thread);
	for (unsigned i = 0; i < lock->cpus; i++) {
		for (unsigned turn = 0; someone_inside(&lock->count[i]); turn++) {
			if (turn < SPIN_TURNS)
				clv_pause_bounded();
			else
				clv_park(hold->thread, CLV_FOREVER);
		}
	}
}

static void release(void *at, struct clv_hold *hold)
{
	struct percpu *lock = at;

	unblock(lock);
	clv_lock_rwsem.release(lock->inner, hold);
}

static bool try_acquire(void *at, struct clv_hold *hold)
{
	struct percpu *lock = at;

	if (!clv_lock_rwsem.try_acquire(lock->inner, hold))
		return false;
	block(lock, hold->thread);
	for (unsigned i = 0; i < lock->cpus; i++) {
		if (someone_inside(&lock->count[i])) {
			release(lock, hold);
			return false;
		}
	}
	return true;
}

static const struct cleave_field fields[] = {
	{ offsetof(struct percpu, block), "block" },
	{ offsetof(struct percpu, cpus), "where the counts are" },
	{ offsetof(struct percpu, writer), "writer" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_percpu = {
	.name = "percpu",
	.summary = "sleeping; readers counted per CPU, writers wait for every count; writers first",
	.source = "Linux kernel/locking/percpu-rwsem.c",
	.flags = CLV_LOCK_SLEEPS,
	.size_bytes = sizeof(struct percpu),
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
