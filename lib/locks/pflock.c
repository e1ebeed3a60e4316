// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Phase-fair reader-writer spinlock: phases of readers and of one writer take turns.
 *
 * A reader that finds a writer inside or waiting for readers to leave waits for that one writer and
 * no other; then it enters, with all who waited. Writers are FIFO among themselves and wait for the
 * readers of one phase. So neither side starves the other. Readers write one word on entry and one
 * on exit, all four words in one line.
 *
 * Spinning. More threads than CPUs: it collapses as ticket does, by the writers' queue and by
 * readers that have the phase but no CPU.
 *
 * A try for readers is ours: CK's entry made conditional. There is none for writers: having drawn a
 * ticket, one cannot give it back once another is drawn behind it, nor let a phase pass unused,
 * because readers tell phases apart by the ticket's low bit only.
 *
 * Where it differs from CK: a writer that leaves calls the next by a store and no atomic, since the
 * count of writers gone is the holder's alone to write.
 *
 * 16 bytes an instance.
 * Source: Brandenburg and Anderson, Real-Time Systems 46(1), 2010; CK ck_pflock.h.
 */
#include "atomic/ck_layer.h"

#include <ck_pflock.h>

#include "locks/lock.h"

static void acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_pflock_write_lock(lock);
}

static void release(void *lock, struct clv_hold *hold)
{
	struct ck_pflock *pflock = lock;

	(void)hold;
	ck_pr_fence_unlock();
	/* The phase is the readers' now. Release: partner is a reader's load of the bits. */
	ck_pr_and_32(&pflock->rin, CK_PFLOCK_LSB);
	/* And behind it the next writer, who sets them, is called: partner is its load of wout. */
	ck_pr_fence_atomic_store();
	ck_pr_store_32(&pflock->wout, ck_pr_load_32(&pflock->wout) + 1);
}

static void acquire_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_pflock_read_lock(lock);
}

static void release_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_pflock_read_unlock(lock);
}

/* It tries again while other readers alone have changed the word under it. */
static bool try_acquire_shared(void *lock, struct clv_hold *hold)
{
	struct ck_pflock *pflock = lock;
	uint32_t seen = ck_pr_load_32(&pflock->rin);

	(void)hold;
	while (!(seen & CK_PFLOCK_WBITS)) {
		if (ck_pr_cas_32_value(&pflock->rin, seen, seen + CK_PFLOCK_RINC, &seen)) {
			/* Partner: the fence in release. */
			ck_pr_fence_lock();
			return true;
		}
	}
	return false;
}

static const struct cleave_field fields[] = {
	{ offsetof(ck_pflock_t, rin), "readers in" },
	{ offsetof(ck_pflock_t, rout), "readers out" },
	{ offsetof(ck_pflock_t, win), "writers in" },
	{ offsetof(ck_pflock_t, wout), "writers out" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_pflock = {
	.name = "pflock",
	.summary = "spinning, phase-fair: readers and writers take turns; writers FIFO",
	.source = "Brandenburg and Anderson 2010; Concurrency Kit ck_pflock",
	.flags = CLV_LOCK_SPINS | CLV_LOCK_FIFO,
	.size_bytes = sizeof(ck_pflock_t),
	.acquire = acquire,
	.release = release,
	.acquire_shared = acquire_shared,
	.release_shared = release_shared,
	.try_acquire_shared = try_acquire_shared,
	.fields = fields,
};
