// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * CLH queue lock: each waiter spins on the node of the one before it, and release writes the
 * releaser's own.
 *
 *     tail -------------------------------------------v
 *     holder's node <--spins-- waiter's <--spins-- waiter's
 *
 * Its node outlives a hold: the next in the queue reads it after the release. So it is in no hold, and
 * changes owners. A thread handle has one node and a free lock has one, its tail's:
 *
 *     acquire    the thread's node becomes the tail; the one that was it, the thread's, once it
 *                has waited there
 *     release    the holder's node says so, and is the lock's: its tail, or the next one's to take
 *
 * Invariants: a node is in one place: some thread's `clh`, or the queue of one lock. Each queue is as
 * many nodes as there are waiters, and one more. Who waits has none of its own and has not yet its
 * predecessor's; a thread waits for one lock at a time, so that one node a handle does for any number
 * of holds. A thread writes to a node that it took over only after it has seen it released, and then
 * nobody else reads it.
 *
 * FIFO, exclusive only, spinning. A hand-over moves one line whatever the number of waiters; release is
 * a store, and alone a thread pays for one atomic, where MCS has two. But a node's memory is near to
 * whoever began with it: after some turns that is anybody, and a waiter may spin on a line whose home is
 * another NUMA node's. Where caches are coherent it spins in its own.
 *
 * No try. It would swap itself in behind the tail's node only if that one is released; but between
 * its look and its compare-and-swap the node may have been taken over, freed with another lock, or come
 * back to this tail, held. Uses counted beside the pointer would take a swap of 16 bytes in every
 * acquire, and to claim released nodes by compare-and-swap a second atomic, which is what MCS costs.
 *
 * More threads than CPUs: it collapses, as MCS does.
 *
 * Memory: 8 bytes an instance and a line for its node; and a line for each thread handle, which it has
 * from its beginning, whether there are such locks or not, since nothing is allocated to take a lock. A
 * node is freed by who has it in the end: a lock's by its fini, a handle's when the environment closes.
 *
 * Where it differs: the original's thread takes its predecessor's node over at release, and has to keep
 * both until then; here it does so when it has the lock, and the hold keeps its own, as in Scott,
 * "Shared-Memory Synchronization" (2013), section 4.3, where the lock keeps it.
 * Source: Craig, TR 93-02-02, University of Washington, 1993; Magnusson, Landin and Hagersten, "Queue
 * Locks on Cache Coherent Multiprocessors", IPPS 1994.
 */
#include "clh.h"

#include <errno.h>

#include "error.h"
#include "locks/lock.h"
#include "thread.h"

struct clh {
	struct clv_clh_node *tail;
};

static int init(void *at, struct cleave_env *env, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	struct clh *lock = at;

	(void)env;
	if (args->count)
		return clv_error(error, -EINVAL, "lock clh: takes no argument, not '%s'",
				 args->arg[0]);
	lock->tail = clv_clh_node_make(-1);
	return lock->tail ? 0 : clv_error(error, -ENOMEM, "lock clh: out of memory");
}

static void fini(void *at)
{
	struct clh *lock = at;

	clv_clh_node_free(lock->tail);
}

static size_t memory(const void *lock)
{
	(void)lock;
	return sizeof(struct clv_clh_node);
}

static void acquire(void *at, struct clv_hold *hold)
{
	struct clh *lock = at;
	struct clv_clh_node *self = hold->thread->clh;

	__atomic_store_n(&self->held, 1, __ATOMIC_RELAXED);
	/* Release and acquire: partners are each other. Who spins on `self` must find it held. */
	struct clv_clh_node *before = __atomic_exchange_n(&lock->tail, self, __ATOMIC_ACQ_REL);

	hold->state[0] = (uintptr_t)self;
	/* Acquire: partner is release. */
	while (__atomic_load_n(&before->held, __ATOMIC_ACQUIRE))
		clv_pause();
	hold->thread->clh = before;
}

static void release(void *at, struct clv_hold *hold)
{
	struct clv_clh_node *self = (struct clv_clh_node *)hold->state[0];

	(void)at;
	/* Release: partner is the spinning in acquire. The node is not ours from here on. */
	__atomic_store_n(&self->held, 0, __ATOMIC_RELEASE);
}

static const struct cleave_field fields[] = {
	{ 0, "tail" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_clh = {
	.name = "clh",
	.summary = "spinning, FIFO, exclusive only; each waiter spins on the line of the one before it",
	.source = "Craig 1993; Magnusson, Landin and Hagersten 1994",
	.flags = CLV_LOCK_SPINS | CLV_LOCK_FIFO,
	.size_bytes = sizeof(struct clh),
	.init = init,
	.fini = fini,
	.memory = memory,
	.acquire = acquire,
	.release = release,
	.fields = fields,
};
