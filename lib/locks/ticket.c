// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Ticket lock: a waiter draws a number and spins until it is called.
 *
 * FIFO, exclusive only, spinning. All waiters read the one word that release writes, so every
 * hand-over takes the line to each of them. A try takes it only if nobody holds it or waits.
 *
 * More threads than CPUs: it collapses. The number that is called may belong to a thread without a
 * CPU, and nobody else can go on; the waiters use up their time slices meanwhile.
 *
 * CK has two forms. On x86-64 both counters are halves of one 32-bit word: 4 bytes an instance, and
 * at most 65,535 threads may wait; elsewhere they are two words, 8 bytes, without a try.
 *
 * Where it differs from CK on x86-64: release is a store and no atomic, as in Linux's ticket locks.
 * Source: Mellor-Crummey and Scott, ACM TOCS 9(1), 1991, section 2.2; CK spinlock/ticket.h.
 */
#include "atomic/ck_layer.h"

#include <ck_spinlock.h>

#include "locks/lock.h"
#include "locks/ticket.h"

static void acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_spinlock_ticket_lock(lock);
}

static void release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	clv_ticket_release(lock);
}

#ifdef CK_F_SPINLOCK_TICKET_TRYLOCK
static bool try_acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	return ck_spinlock_ticket_trylock(lock);
}
#endif

static const struct cleave_field fields[] = {
	{ 0, "next, position" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_ticket = {
	.name = "ticket",
	.summary = "spinning, FIFO, exclusive only; all waiters spin on one line",
	.source = "Mellor-Crummey and Scott 1991; Concurrency Kit ck_spinlock_ticket",
	.flags = CLV_LOCK_SPINS | CLV_LOCK_FIFO,
	.size_bytes = sizeof(ck_spinlock_ticket_t),
	.acquire = acquire,
	.release = release,
#ifdef CK_F_SPINLOCK_TICKET_TRYLOCK
	.try_acquire = try_acquire,
#endif
	.fields = fields,
};
