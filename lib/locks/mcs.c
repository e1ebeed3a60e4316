// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * MCS queue lock: each waiter spins on a node of its own, and release writes the next one's.
 *
 *     tail ------------------------------v
 *     holder's node --next--> waiter --next--> waiter
 *
 * FIFO, exclusive only, spinning. A hand-over moves one line whatever the number of waiters. The
 * node is in the hold (16 of its bytes), so that a thread can have many of these locks at once. A
 * try takes it only if nobody holds it or waits.
 *
 * More threads than CPUs: it collapses. The next in the queue may be without a CPU, and nobody else
 * can go on.
 *
 * 8 bytes an instance: the queue's tail.
 * Source: Mellor-Crummey and Scott, ACM TOCS 9(1), 1991, section 2.4; CK spinlock/mcs.h.
 */
#include "atomic/ck_layer.h"

#include <ck_spinlock.h>

#include "locks/lock.h"

_Static_assert(sizeof(ck_spinlock_mcs_context_t) <= sizeof(((struct clv_hold *)0)->state),
	       "the node lives in the hold");
_Static_assert(_Alignof(ck_spinlock_mcs_context_t) <= _Alignof(uintptr_t), "as above");

static ck_spinlock_mcs_context_t *node(struct clv_hold *hold)
{
	return (ck_spinlock_mcs_context_t *)(void *)hold->state;
}

static void acquire(void *lock, struct clv_hold *hold)
{
	ck_spinlock_mcs_lock(lock, node(hold));
}

static void release(void *lock, struct clv_hold *hold)
{
	ck_spinlock_mcs_unlock(lock, node(hold));
}

static bool try_acquire(void *lock, struct clv_hold *hold)
{
	return ck_spinlock_mcs_trylock(lock, node(hold));
}

static const struct cleave_field fields[] = {
	{ 0, "tail" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_mcs = {
	.name = "mcs",
	.summary = "spinning, FIFO, exclusive only; each waiter spins on a line of its own",
	.source = "Mellor-Crummey and Scott 1991; Concurrency Kit ck_spinlock_mcs",
	.flags = CLV_LOCK_SPINS | CLV_LOCK_FIFO,
	.size_bytes = sizeof(ck_spinlock_mcs_t),
	.acquire = acquire,
	.release = release,
	.try_acquire = try_acquire,
	.fields = fields,
};
