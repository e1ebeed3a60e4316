// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A sleeping mutex of ours: short spinning while the owner runs, then a queue of parked waiters.
 *
 *     word    63 ................ 2 |   1    |  0
 *             owner, 0: free        | queued | list
 *     first ---next--> waiter ---next--> waiter <--- last      (in the waiters' holds)
 *
 * Invariants:
 *  - `queued` is set exactly if the list is not empty, but for who has `list`.
 *  - `list` guards the list. It is set only while the lock is owned, and then nobody else changes
 *    the word: an owner releases, and a waiter queues, only when `list` is clear, and nobody takes
 *    an owned lock. So whoever has it puts it back with a plain store.
 *  - A waiter leaves the list only by taking the lock. So a release that finds `queued` finds a
 *    first waiter, and its handle may be woken after the lock is gone.
 *
 * No wake-up is lost: a waiter parks only after it has seen the lock owned while it was in the
 * list. That owner's release comes later, finds `queued`, and wakes the first waiter, whose parker
 * remembers it until the next park. If somebody takes the lock before the first waiter does, the
 * same holds of that owner.
 *
 * Fairness: none is promised. A release frees the lock and wakes the first waiter only (no herd);
 * whoever comes by meanwhile takes it (barging), and the first waiter stays first. Sleepers among
 * themselves are FIFO but for parks that return for no reason. No bound on overtaking.
 *
 * Waiting: up to SPIN_TURNS pauses as long as the owner is not known to sleep, by who arrives and
 * again by who was woken. More threads than CPUs: waiters sleep; a holder of `list` that loses its
 * CPU within those few instructions holds up the others until it is back.
 *
 * Cost: a lock that nobody wants is one compare-and-swap each way. 24 bytes an instance, one line.
 * Exclusive only. Source: the shape, owner in the word and a first waiter that can be overtaken,
 * is Linux's kernel/locking/mutex.c; differs: the bit `list` for a spinlock, no hand-off, no OSQ.
 */
#include <assert.h>

#include "locks/lock.h"
#include "thread.h"

#define LIST ((uintptr_t)1 << 0)
#define QUEUED ((uintptr_t)1 << 1)
#define OWNER (~(LIST | QUEUED))

/* Some us: about what it costs to sleep and be woken, so that spinning at most doubles a wait. */
#define SPIN_TURNS 100

struct waiter {
	struct waiter *prev, *next;
	struct cleave_thread *thread;
};

struct mutex {
	uintptr_t word;
	struct waiter *first, *last; /* under LIST */
};

_Static_assert(_Alignof(struct cleave_thread) > (LIST | QUEUED), "flags share a word with it");
_Static_assert(sizeof(struct waiter) <= sizeof(((struct clv_hold *)0)->state),
	       "a waiter lives in its hold");

static void append_locked(struct mutex *mutex, struct waiter *waiter)
{
	waiter->next = NULL;
	waiter->prev = mutex->last;
	*(mutex->last ? &mutex->last->next : &mutex->first) = waiter;
	mutex->last = waiter;
}

static void unlink_locked(struct mutex *mutex, struct waiter *waiter)
{
	*(waiter->prev ? &waiter->prev->next : &mutex->first) = waiter->next;
	*(waiter->next ? &waiter->next->prev : &mutex->last) = waiter->prev;
}

/*
 * Acquire: partners are the releases in `release` (what the lock guards) and in unlock_list.
 * Release: partner is the acquire in spin, which looks into the handle named by the word.
 */
static bool swap(struct mutex *mutex, uintptr_t from, uintptr_t to)
{
	return __atomic_compare_exchange_n(&mutex->word, &from, to, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

/* pre: LIST is the caller's. Release: partner is the acquire in swap, of LIST or of the lock. */
static void unlock_list(struct mutex *mutex, uintptr_t word)
{
	__atomic_store_n(&mutex->word, word, __ATOMIC_RELEASE);
}

/* Returns: the word, free if it became so within SPIN_TURNS while the owner was running. */
static uintptr_t spin(const struct mutex *mutex)
{
	for (unsigned turn = 0;; turn++) {
		/* Acquire: partner is the release in swap, by the owner. */
		uintptr_t word = __atomic_load_n(&mutex->word, __ATOMIC_ACQUIRE);
		if (!(word & OWNER) || turn == SPIN_TURNS ||
		    !clv_is_running((struct cleave_thread *)(word & OWNER)))
			return word;
		clv_pause_bounded();
	}
}

/* Returns: true if it took the lock instead. */
static bool queue_or_take(struct mutex *mutex, struct waiter *waiter)
{
	uintptr_t self = (uintptr_t)waiter->thread;

	for (uintptr_t word = spin(mutex);;
	     word = __atomic_load_n(&mutex->word, __ATOMIC_RELAXED)) {
		if (!(word & OWNER)) {
			if (swap(mutex, word, word | self))
				return true;
		} else if (word & LIST) {
			clv_pause();
		} else if (swap(mutex, word, word | LIST)) {
			append_locked(mutex, waiter);
			unlock_list(mutex, word | QUEUED);
			return false;
		}
	}
}

static void acquire_slow(struct mutex *mutex, struct clv_hold *hold)
{
	struct waiter *waiter = (struct waiter *)(void *)hold->state;
	uintptr_t self = (uintptr_t)hold->thread;

	waiter->thread = hold->thread;
	if (queue_or_take(mutex, waiter))
		return;
	for (;;) {
		uintptr_t word = __atomic_load_n(&mutex->word, __ATOMIC_RELAXED);
		if (word & OWNER) {
			clv_park(hold->thread, CLV_FOREVER);
			spin(mutex);
		} else if (swap(mutex, word, word | self | LIST)) {
			unlink_locked(mutex, waiter);
			unlock_list(mutex, self | (mutex->first ? QUEUED : 0));
			return;
		}
	}
}

static void acquire(void *lock, struct clv_hold *hold)
{
	if (!swap(lock, 0, (uintptr_t)hold->thread))
		acquire_slow(lock, hold);
}

static bool try_acquire(void *lock, struct clv_hold *hold)
{
	struct mutex *mutex = lock;
	uintptr_t word = __atomic_load_n(&mutex->word, __ATOMIC_RELAXED);

	while (!(word & OWNER)) {
		if (swap(mutex, word, word | (uintptr_t)hold->thread))
			return true;
		word = __atomic_load_n(&mutex->word, __ATOMIC_RELAXED);
	}
	return false;
}

static void release(void *lock, struct clv_hold *hold)
{
	struct mutex *mutex = lock;
	uintptr_t self = (uintptr_t)hold->thread;

	if (swap(mutex, self, 0))
		return;
	/* Somebody has queued, or is about to, and cannot leave before this thread releases. */
	for (;;) {
		uintptr_t word = __atomic_load_n(&mutex->word, __ATOMIC_RELAXED);
		assert((word & OWNER) == self && "lock mutex: released by who does not hold it");
		if (word & LIST)
			clv_pause();
		else if (swap(mutex, word, word | LIST))
			break;
	}
	struct cleave_thread *first = mutex->first->thread;
	unlock_list(mutex, QUEUED);
	clv_wake(first);
}

static const struct cleave_field fields[] = {
	{ offsetof(struct mutex, word), "word" },
	{ offsetof(struct mutex, first), "first" },
	{ offsetof(struct mutex, last), "last" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_mutex = {
	.name = "mutex",
	.summary = "sleeping, exclusive only; spins shortly while the owner runs; "
		   "unfair (barging), wakes one at a time",
	.source = "after the shape of Linux kernel/locking/mutex.c",
	.flags = CLV_LOCK_SLEEPS | CLV_LOCK_OWNED,
	.size_bytes = sizeof(struct mutex),
	.acquire = acquire,
	.release = release,
	.try_acquire = try_acquire,
	.fields = fields,
};
