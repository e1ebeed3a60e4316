/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What our locks are measured against. References: others' form of the same lock, as one would
 * write it in a program that has no choice of locks: Concurrency Kit's own functions, or glibc's.
 * Floors: the least that a lock of one word does, by whether its waiters sleep.
 *
 * Each reference can be had in two ways: behind the same table of functions as ours, so that a call
 * is no difference; and inlined into the loop that repeats it, as CK's own regressions have it.
 */
#ifndef CLV_MEASURE_LOCK_REFERENCE_H
#define CLV_MEASURE_LOCK_REFERENCE_H

#include "locks/lock.h"

/* How a lock is taken; what is measured is that and the release. */
enum clv_lock_mode {
	CLV_LOCK_EXCLUSIVE,
	CLV_LOCK_TRY,
	CLV_LOCK_SHARED,
	CLV_LOCK_TRY_SHARED,
	CLV_LOCK_MODES,
};

typedef void clv_lock_take(void *lock, struct clv_hold *hold);
typedef bool clv_lock_try(void *lock, struct clv_hold *hold);

/* One way to take and release. All NULL: the lock has none. `take` or `try_take`, the other is NULL. */
struct clv_lock_calls {
	clv_lock_take *take;
	clv_lock_try *try_take;
	clv_lock_take *release;
};

struct clv_lock_calls clv_lock_calls_of(const struct clv_lock_type *type, enum clv_lock_mode mode);

struct clv_lock_reference {
	struct clv_lock_type type;
	/* Take and release so many times. NULL where type has no such mode. */
	void (*inlined[CLV_LOCK_MODES])(void *lock, struct clv_hold *hold, unsigned times);
};

/* lock_reference_ck.c, lock_reference_cohort.c */
extern const struct clv_lock_reference clv_reference_ticket, clv_reference_mcs, clv_reference_clh,
	clv_reference_rwlock, clv_reference_pflock, clv_reference_tflock, clv_reference_brlock;
extern const struct clv_lock_reference clv_reference_cohort_mcs, clv_reference_cohort_ticket,
	clv_reference_rwcohort, clv_reference_rwcohort_neutral;

/*
 * The floors, as one word. Of locks that spin: a compare-and-swap and a store; not shared. Of locks
 * that sleep: a compare-and-swap (shared: an addition) and an atomic, by which who releases sees
 * who sleeps. What has its readers write elsewhere, as BRAVO has, can be below that.
 */
extern const struct clv_lock_reference clv_reference_floor, clv_reference_sleeper;

/* Of locks like `type`. NULL: of what is no lock. */
const struct clv_lock_reference *clv_lock_floor_of(const struct clv_lock_type *type);

/*
 * Of the lock that is written so, "cohort.ticket.l3": that of the longest beginning that is known; of
 * others, that of what does the same. NULL: of what is no lock.
 */
const struct clv_lock_reference *clv_lock_reference_of(const char *lock,
						       const struct clv_lock_type *type);

/*
 * The loop. Where the functions are constants it is of the references' `inlined`, and they are part of
 * it; else each turn is two indirect calls.
 */
static inline __attribute__((always_inline)) void
clv_lock_repeat(struct clv_lock_calls calls, void *lock, struct clv_hold *hold, unsigned times)
{
	if (calls.take) {
		for (unsigned i = 0; i < times; i++) {
			calls.take(lock, hold);
			calls.release(lock, hold);
		}
	} else {
		for (unsigned i = 0; i < times; i++) {
			if (calls.try_take(lock, hold))
				calls.release(lock, hold);
		}
	}
}

#endif
