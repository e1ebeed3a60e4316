/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The lock inside a sleeping lock, over its queue of sleepers; held for a look at that queue, never
 * across a wake or a sleep. A word and a queue of spinners that nobody leaves: a free one is taken
 * by one compare-and-swap, and of those that wait only the first watches the word. That is how
 * Linux's qspinlock behaves (kernel/locking/qspinlock.c), but for its pending bit, which is room
 * for one more watcher beside the queue. Newcomers do not pass the queue.
 *
 * Its spinners use the same node of their thread as the optimistic ones: whoever takes it is in no
 * osq.
 */
#ifndef CLV_WAIT_LOCK_H
#define CLV_WAIT_LOCK_H

#include "locks/osq.h"
#include "shim/shim.h"

/* Zeroed is free. */
struct clv_wait_lock {
	uint32_t held;
	struct clv_osq queue;
};

static inline bool clv_wait_lock_try(struct clv_wait_lock *lock)
{
	uint32_t held = 0;

	/* Acquire: partner is the release store in clv_wait_lock_release. */
	return !__atomic_load_n(&lock->held, __ATOMIC_RELAXED) &&
	       __atomic_compare_exchange_n(&lock->held, &held, 1, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static inline void clv_wait_lock_take(struct clv_wait_lock *lock, struct cleave_thread *self)
{
	if (!__atomic_load_n(&lock->queue.tail, __ATOMIC_RELAXED) && clv_wait_lock_try(lock))
		return;
	clv_osq_enter(&lock->queue, self, CLV_OSQ_STAY);
	while (!clv_wait_lock_try(lock))
		clv_pause();
	clv_osq_exit(&lock->queue, self);
}

static inline void clv_wait_lock_release(struct clv_wait_lock *lock)
{
	/* Release: partner is clv_wait_lock_try. */
	__atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}

#endif
