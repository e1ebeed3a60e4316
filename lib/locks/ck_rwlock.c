// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Concurrency Kit's plain reader-writer spinlock: a writer word, and a count of readers.
 *
 * Writers are preferred: once one has the writer word, no reader enters until it is done, and
 * readers wait while writers follow each other. Among writers it is unfair: whoever swaps the word
 * first has it, and each waiting one keeps swapping, so that the line never rests. Readers that
 * enter while a writer comes take their count back and wait. No bound on overtaking in any mode. A
 * try by a writer that meets readers takes the writer word for a moment: other tries can fail
 * because of it.
 *
 * Spinning. More threads than CPUs: throughput drops to what the holder's time slices allow, since
 * waiters burn theirs, but a waiter without a CPU holds up nobody.
 *
 * 8 bytes an instance, both words in one line.
 * Source: CK ck_rwlock.h. The two fences below are ours: CK orders a read section's loads only, and
 * this lock's contract orders stores too (a walk's visitor may write). They cost nothing on x86-64.
 */
#include "atomic/ck_layer.h"

#include <ck_rwlock.h>

#include "locks/lock.h"

static void acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_rwlock_write_lock(lock);
}

static void release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_rwlock_write_unlock(lock);
}

static bool try_acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	return ck_rwlock_write_trylock(lock);
}

static void acquire_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_rwlock_read_lock(lock);
	/* Partner: the fence in ck_rwlock_write_unlock. */
	ck_pr_fence_acquire();
}

static void release_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	/* Partner: the fence at the end of ck_rwlock_write_lock and ck_rwlock_write_trylock. */
	ck_pr_fence_release();
	ck_rwlock_read_unlock(lock);
}

static bool try_acquire_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	return ck_rwlock_read_trylock(lock);
}

static const struct cleave_field fields[] = {
	{ offsetof(ck_rwlock_t, writer), "writer" },
	{ offsetof(ck_rwlock_t, n_readers), "readers" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_ck_rwlock = {
	.name = "ck_rwlock",
	.summary = "spinning, unfair; writers preferred, who can starve readers",
	.source = "Concurrency Kit ck_rwlock",
	.flags = CLV_LOCK_SPINS,
	.size_bytes = sizeof(ck_rwlock_t),
	.acquire = acquire,
	.release = release,
	.try_acquire = try_acquire,
	.acquire_shared = acquire_shared,
	.release_shared = release_shared,
	.try_acquire_shared = try_acquire_shared,
	.fields = fields,
};
