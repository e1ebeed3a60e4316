/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the rwsems share, whose spinners queue in one way or another: see the head of rwsem.c for the
 * word, the invariants and the rules. A part of each of their files.
 */
#ifndef CLV_RWSEM_CORE_H
#define CLV_RWSEM_CORE_H

#include "locks/lock.h"
#include "locks/osq.h"
#include "locks/wait_lock.h"
#include "thread.h"

#define WRITER ((uint64_t)1 << 0)
#define WAITERS ((uint64_t)1 << 1)
#define HANDOFF ((uint64_t)1 << 2)
#define READER_SHIFT 8
#define READER ((uint64_t)1 << READER_SHIFT)
#define READERS (~(READER - 1))
#define HELD (WRITER | READERS)
#define READER_OWNED ((uintptr_t)1 << 0)
#define DO_NOT_SPIN ((uintptr_t)1 << 1)
#define OWNER_FLAGS (READER_OWNED | DO_NOT_SPIN)

#define HANDOFF_AFTER_NS UINT64_C(4000000) /* RWSEM_WAIT_TIMEOUT */
#define GRANTED_AT_ONCE_MAX 256		   /* MAX_READERS_WAKEUP */
/* rwsem_rspin_threshold: 10 us, and half a us for each of up to 30 readers: 25 us. */
#define SPIN_ON_READERS_NS 10000
#define SPIN_PER_READER_NS 500
#define SPIN_READERS_MAX 30
#define TURNS_PER_CLOCK 16 /* rwsem_optimistic_spin */

struct waiter {
	struct waiter *prev, *next;
	struct cleave_thread *thread;
	uint64_t patient_until_ns;
	bool reader;
	bool handoff; /* set the bit, or had it set for it */
	uint32_t granted; /* readers: the lock is theirs, and so is this memory */
};

struct rwsem {
	uint64_t word;
	uintptr_t owner;
	struct clv_osq spinners;
	struct clv_wait_lock wait_lock;
	struct waiter *first, *last; /* under wait_lock */
};

_Static_assert(sizeof(struct rwsem) == 56, "one cache line, and what the head of this file says");
_Static_assert(_Alignof(struct cleave_thread) > OWNER_FLAGS, "flags share a word with the pointer");

/* ---- the wait queue, first in first out ---- */

static void append_locked(struct rwsem *sem, struct waiter *waiter)
{
	waiter->next = NULL;
	waiter->prev = sem->last;
	*(sem->last ? &sem->last->next : &sem->first) = waiter;
	sem->last = waiter;
}

static void unlink_locked(struct rwsem *sem, struct waiter *waiter)
{
	*(waiter->prev ? &waiter->prev->next : &sem->first) = waiter->next;
	*(waiter->next ? &waiter->next->prev : &sem->last) = waiter->prev;
}

/* ---- the owner ---- */

static struct cleave_thread *owner_thread(uintptr_t owner)
{
	return (struct cleave_thread *)(owner & ~OWNER_FLAGS);
}

static void own(struct rwsem *sem, struct cleave_thread *self)
{
	/* Release: partner is the acquire in watch and may_spin, which look into the handle. */
	__atomic_store_n(&sem->owner, (uintptr_t)self, __ATOMIC_RELEASE);
}

/*
 * pre: `reader` is in the count for good, so no writer is inside. Not atomic against a spinner that
 * sets the mark at the same time, nor need it be: the mark may be lost.
 */
static void own_shared(struct rwsem *sem, struct cleave_thread *reader)
{
	uintptr_t kept = __atomic_load_n(&sem->owner, __ATOMIC_RELAXED) & DO_NOT_SPIN;

	__atomic_store_n(&sem->owner, (uintptr_t)reader | READER_OWNED | kept, __ATOMIC_RELAXED);
}

/* Unless a writer has come meanwhile. */
static void mark(struct rwsem *sem)
{
	uintptr_t owner = __atomic_load_n(&sem->owner, __ATOMIC_RELAXED);

	while ((owner & OWNER_FLAGS) == READER_OWNED &&
	       !__atomic_compare_exchange_n(&sem->owner, &owner, owner | DO_NOT_SPIN, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static void unmark(struct rwsem *sem)
{
	if (__atomic_load_n(&sem->owner, __ATOMIC_RELAXED) & DO_NOT_SPIN)
		__atomic_fetch_and(&sem->owner, ~DO_NOT_SPIN, __ATOMIC_RELAXED);
}

enum ownership { BY_NOBODY, BY_WRITER, BY_READERS, NOT_TO_SPIN_ON };

static enum ownership ownership(uintptr_t owner)
{
	if (owner & DO_NOT_SPIN)
		return NOT_TO_SPIN_ON;
	if (owner & READER_OWNED)
		return BY_READERS;
	return owner ? BY_WRITER : BY_NOBODY;
}

/*
 * As long as one writer has it and runs, wait.
 * Returns: what comes after that; NOT_TO_SPIN_ON also if that writer stopped running.
 */
static enum ownership watch(struct rwsem *sem)
{
	/* Acquire: partner is own. */
	uintptr_t seen = __atomic_load_n(&sem->owner, __ATOMIC_ACQUIRE);
	if (ownership(seen) != BY_WRITER)
		return ownership(seen);
	while (clv_is_running(owner_thread(seen))) {
		clv_pause();
		uintptr_t now = __atomic_load_n(&sem->owner, __ATOMIC_RELAXED);
		if (now != seen)
			return ownership(now);
	}
	return NOT_TO_SPIN_ON;
}

/* ---- waking ---- */

/* Whom to wake once wait_lock is dropped. Readers are linked by `next`, not granted yet. */
struct picked {
	struct waiter *readers;
	struct cleave_thread *writer;
};

enum pick {
	PICK_ANY,
	PICK_READERS,	   /* not a writer: readers are inside */
	PICK_READERS_HELD, /* the same, and the caller is one of them: no writer can come */
};

/* Grant readers from the head on. pre: the first is one, and no writer is inside, nor can come. */
static void grant_locked(struct rwsem *sem, uint64_t counted, struct picked *picked)
{
	struct waiter **link = &picked->readers;
	uint64_t granted = 0;
	for (struct waiter *waiter = sem->first, *next; waiter && granted < GRANTED_AT_ONCE_MAX;
	     waiter = next) {
		next = waiter->next;
		if (!waiter->reader)
			continue;
		unlink_locked(sem, waiter);
		*link = waiter;
		link = &waiter->next;
		granted++;
	}
	*link = NULL;

	/* `handoff` has done its work once a reader is in; the bits change under wait_lock only. */
	uint64_t change = granted * READER - counted;
	change -= __atomic_load_n(&sem->word, __ATOMIC_RELAXED) & HANDOFF;
	if (!sem->first)
		change -= WAITERS;
	/*
	 * Relaxed, as are the other changes of the count on behalf of sleepers: each gets its
	 * acquire from `granted`, whose setter has seen the last writer's release; pick_locked.
	 */
	__atomic_fetch_add(&sem->word, change, __ATOMIC_RELAXED);
}

static void pick_locked(struct rwsem *sem, enum pick pick, struct picked *picked)
{
	struct waiter *first = sem->first;
	uint64_t counted = 0;

	if (!first)
		return;
	if (!first->reader) {
		if (pick == PICK_ANY)
			picked->writer = first->thread;
		return;
	}

	if (pick != PICK_READERS_HELD) {
		/*
		 * A writer can steal up to here. With one reader counted it cannot.
		 * Acquire: partner is the release of the last writer, for the reader it stands for.
		 */
		counted = READER;
		uint64_t word = __atomic_fetch_add(&sem->word, counted, __ATOMIC_ACQUIRE);
		if (word & WRITER) {
			if (clv_now_ns() > first->patient_until_ns) {
				first->handoff = true;
				counted -= ~word & HANDOFF;
			}
			__atomic_fetch_sub(&sem->word, counted, __ATOMIC_RELAXED);
			return;
		}
		own_shared(sem, first->thread);
	}
	grant_locked(sem, counted, picked);
}

/* After the caller has queued, `word` being what it then saw. */
static void pick_if_open_locked(struct rwsem *sem, uint64_t word, struct picked *picked)
{
	if (word & WRITER)
		return;
	if (!(word & READERS))
		unmark(sem);
	pick_locked(sem, word & READERS ? PICK_READERS : PICK_ANY, picked);
}

/* pre: wait_lock not held. A picked writer may be past it, and ended: its handle is still there. */
static void wake(const struct picked *picked, struct cleave_thread *self)
{
	if (picked->writer)
		clv_wake(picked->writer);
	for (struct waiter *waiter = picked->readers; waiter;) {
		struct waiter *next = waiter->next;
		struct cleave_thread *thread = waiter->thread;
		/* Release: partner is the acquire in acquire_shared_slow. `waiter` is gone now. */
		__atomic_store_n(&waiter->granted, 1, __ATOMIC_RELEASE);
		if (thread != self)
			clv_wake(thread);
		waiter = next;
	}
}

static void wake_head(struct rwsem *sem, struct cleave_thread *self, enum pick pick)
{
	struct picked picked = {0};

	clv_wait_lock_take(&sem->wait_lock, self);
	pick_locked(sem, pick, &picked);
	clv_wait_lock_release(&sem->wait_lock);
	wake(&picked, self);
}

/* ---- exclusive ---- */

static bool try_acquire(void *lock, struct clv_hold *hold)
{
	struct rwsem *sem = lock;
	uint64_t free = 0;
	/* Acquire: partners are the releases in release and release_shared. */
	if (!__atomic_compare_exchange_n(&sem->word, &free, WRITER, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		return false;
	own(sem, hold->thread);
	return true;
}

static bool may_spin(struct rwsem *sem)
{
	/* Acquire: partner is own. */
	uintptr_t owner = __atomic_load_n(&sem->owner, __ATOMIC_ACQUIRE);
	enum ownership by = ownership(owner);

	return by == BY_WRITER ? clv_is_running(owner_thread(owner)) : by != NOT_TO_SPIN_ON;
}

static bool steal(struct rwsem *sem, struct cleave_thread *self)
{
	uint64_t word = __atomic_load_n(&sem->word, __ATOMIC_RELAXED);

	while (!(word & (HELD | HANDOFF))) {
		/* Acquire: as in try_acquire. */
		if (__atomic_compare_exchange_n(&sem->word, &word, word | WRITER, false,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			own(sem, self);
			return true;
		}
	}
	return false;
}

static uint64_t readers_limit_ns(struct rwsem *sem)
{
	uint64_t readers = __atomic_load_n(&sem->word, __ATOMIC_RELAXED) >> READER_SHIFT;
	if (readers > SPIN_READERS_MAX)
		readers = SPIN_READERS_MAX;
	return clv_now_ns() + SPIN_ON_READERS_NS + readers * SPIN_PER_READER_NS;
}

/* pre: the one of the spinners that watches. Returns: has it? */
static bool spin_in_front(struct rwsem *sem, struct cleave_thread *self)
{
	enum ownership before = BY_NOBODY;
	uint64_t limit_ns = 0;
	unsigned turn = 0;

	for (;;) {
		enum ownership by = watch(sem);
		if (by == NOT_TO_SPIN_ON)
			return false;
		/* Also among readers, whose flag stays behind when they have gone. */
		if (steal(sem, self))
			return true;
		if (by == BY_READERS) {
			if (before != BY_READERS) {
				limit_ns = readers_limit_ns(sem);
				turn = 0;
			} else if (++turn % TURNS_PER_CLOCK == 0 && clv_now_ns() > limit_ns) {
				mark(sem);
				return false;
			}
		}
		before = by;
		if (by == BY_READERS) /* it counts its turns */
			clv_pause_bounded();
		else
			clv_pause();
	}
}

/* A try of a queued writer, not always the first. Returns: has it, and is out of the queue? */
static bool try_queued_locked(struct rwsem *sem, struct waiter *waiter)
{
	struct waiter *first = sem->first;
	uint64_t word = __atomic_load_n(&sem->word, __ATOMIC_RELAXED);

	for (;;) {
		uint64_t want = word;
		if ((word & HANDOFF) && first->handoff && waiter != first)
			return false;
		if (word & HELD) {
			if ((word & HANDOFF) || clv_now_ns() <= waiter->patient_until_ns)
				return false;
			want |= HANDOFF;
		} else {
			want = (want | WRITER) & ~HANDOFF;
			if (sem->first == sem->last)
				want &= ~WAITERS;
		}
		/* Acquire: as in try_acquire. */
		if (!__atomic_compare_exchange_n(&sem->word, &word, want, false, __ATOMIC_ACQUIRE,
						 __ATOMIC_RELAXED))
			continue;
		if (want & HANDOFF) {
			first->handoff = true;
			return false;
		}
		unlink_locked(sem, waiter);
		own(sem, waiter->thread);
		return true;
	}
}

static void wait_exclusive(struct rwsem *sem, struct cleave_thread *self)
{
	struct waiter waiter = { .thread = self,
				 .patient_until_ns = clv_now_ns() + HANDOFF_AFTER_NS };
	struct picked picked = {0};

	clv_wait_lock_take(&sem->wait_lock, self);
	append_locked(sem, &waiter);
	if (sem->first == &waiter) {
		/* Either the owner's release sees this, and wakes; or the try below sees it free. */
		__atomic_fetch_or(&sem->word, WAITERS, __ATOMIC_RELAXED);
	} else {
		pick_if_open_locked(sem, __atomic_load_n(&sem->word, __ATOMIC_RELAXED), &picked);
		if (picked.readers || picked.writer) {
			clv_wait_lock_release(&sem->wait_lock);
			wake(&picked, self);
			clv_wait_lock_take(&sem->wait_lock, self);
		}
	}
	while (!try_queued_locked(sem, &waiter)) {
		bool handoff = waiter.handoff;
		clv_wait_lock_release(&sem->wait_lock);
		/*
		 * About to be free: its owner has gone, or goes while it runs. It may be free
		 * already, and what watch has read since its last pause says nothing of that: no
		 * pause that rests until something read is written.
		 */
		if (handoff && watch(sem) == BY_NOBODY)
			clv_pause_bounded();
		else
			clv_park(self, CLV_FOREVER);
		clv_wait_lock_take(&sem->wait_lock, self);
	}
	clv_wait_lock_release(&sem->wait_lock);
}

static void release(void *lock, struct clv_hold *hold)
{
	struct rwsem *sem = lock;
	__atomic_store_n(&sem->owner, 0, __ATOMIC_RELAXED);
	/* Release: partners are the acquires in whatever takes the word next. */
	if (__atomic_fetch_sub(&sem->word, WRITER, __ATOMIC_RELEASE) & WAITERS)
		wake_head(sem, hold->thread, PICK_ANY);
}

/* ---- shared ---- */

static bool try_acquire_shared(void *lock, struct clv_hold *hold)
{
	struct rwsem *sem = lock;
	uint64_t word = __atomic_load_n(&sem->word, __ATOMIC_RELAXED);
	while (!(word & (WRITER | WAITERS | HANDOFF))) {
		/* Acquire: partner is the release in release. */
		if (__atomic_compare_exchange_n(&sem->word, &word, word + READER, false,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			own_shared(sem, hold->thread);
			return true;
		}
	}
	return false;
}

/* `word` is the one in which the caller's count is the newest. */
static void acquire_shared_slow(struct rwsem *sem, struct cleave_thread *self, uint64_t word)
{
	bool alone = word >> READER_SHIFT == 1;
	/* Readers one after the other must not keep it from those who sleep. */
	bool among_readers = !alone && !(word & WRITER) &&
			     (__atomic_load_n(&sem->owner, __ATOMIC_RELAXED) & READER_OWNED);
	if (!among_readers && !(word & (WRITER | HANDOFF))) {
		own_shared(sem, self);
		if (alone && (word & WAITERS))
			wake_head(sem, self, PICK_READERS_HELD);
		return;
	}

	struct waiter waiter = { .thread = self,
				 .patient_until_ns = clv_now_ns() + HANDOFF_AFTER_NS,
				 .reader = true };
	struct picked picked = {0};
	uint64_t change = -READER;

	clv_wait_lock_take(&sem->wait_lock, self);
	if (!sem->first) {
		/* Acquire: partner is the release in release. Our count is still there. */
		if (!(__atomic_load_n(&sem->word, __ATOMIC_ACQUIRE) & WRITER)) {
			clv_wait_lock_release(&sem->wait_lock);
			own_shared(sem, self);
			return;
		}
		change += WAITERS;
	}
	append_locked(sem, &waiter);
	word = __atomic_add_fetch(&sem->word, change, __ATOMIC_RELAXED);
	pick_if_open_locked(sem, word, &picked);
	clv_wait_lock_release(&sem->wait_lock);
	wake(&picked, self);

	/* Acquire: partner is the release store in wake. */
	while (!__atomic_load_n(&waiter.granted, __ATOMIC_ACQUIRE))
		clv_park(self, CLV_FOREVER);
}

static void acquire_shared(void *lock, struct clv_hold *hold)
{
	struct rwsem *sem = lock;
	/* Acquire: partner is the release in release. */
	uint64_t word = __atomic_add_fetch(&sem->word, READER, __ATOMIC_ACQUIRE);

	if (word & (WRITER | WAITERS | HANDOFF))
		acquire_shared_slow(sem, hold->thread, word);
	else
		own_shared(sem, hold->thread);
}

static void release_shared(void *lock, struct clv_hold *hold)
{
	struct rwsem *sem = lock;
	/* Release: partners are the acquires of the writers. */
	uint64_t word = __atomic_sub_fetch(&sem->word, READER, __ATOMIC_RELEASE);

	if ((word & (HELD | WAITERS)) == WAITERS) {
		unmark(sem);
		wake_head(sem, hold->thread, PICK_ANY);
	}
}

#endif
