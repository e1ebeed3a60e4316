// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Which reference is whose; glibc's locks, and the floors. */
#include "lock_reference.h"

#include <pthread.h>
#include <string.h>

struct clv_lock_calls clv_lock_calls_of(const struct clv_lock_type *type, enum clv_lock_mode mode)
{
	static const struct clv_lock_calls none;
	switch (mode) {
	case CLV_LOCK_EXCLUSIVE:
		return (struct clv_lock_calls){ .take = type->acquire, .release = type->release };
	case CLV_LOCK_TRY:
		return type->try_acquire ?
			       (struct clv_lock_calls){ .try_take = type->try_acquire,
							.release = type->release } : none;
	case CLV_LOCK_SHARED:
		return type->acquire_shared ?
			       (struct clv_lock_calls){ .take = type->acquire_shared,
							.release = type->release_shared } : none;
	default:
		return type->try_acquire_shared ?
			       (struct clv_lock_calls){ .try_take = type->try_acquire_shared,
							.release = type->release_shared } : none;
	}
}

#define INLINED static inline __attribute__((always_inline))

/* ---- the floor ---- */

/* Acquire: partner is the release in floor_release. */
INLINED bool floor_try(void *lock, struct clv_hold *hold)
{
	uint32_t free = 0;
	(void)hold;
	return __atomic_compare_exchange_n((uint32_t *)lock, &free, 1, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

INLINED void floor_acquire(void *lock, struct clv_hold *hold)
{
	while (!floor_try(lock, hold))
		clv_pause();
}

INLINED void floor_release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	__atomic_store_n((uint32_t *)lock, 0, __ATOMIC_RELEASE);
}

static void floor_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = { .take = floor_acquire, .release = floor_release };
	clv_lock_repeat(calls, lock, hold, times);
}

static void floor_try_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = { .try_take = floor_try, .release = floor_release };
	clv_lock_repeat(calls, lock, hold, times);
}

const struct clv_lock_reference clv_reference_floor = {
	.type = {
		.name = "floor",
		.summary = "one compare-and-swap and one store, unfair",
		.flags = CLV_LOCK_SPINS,
		.size_bytes = sizeof(uint32_t),
		.acquire = floor_acquire,
		.release = floor_release,
		.try_acquire = floor_try,
	},
	.inlined = { [CLV_LOCK_EXCLUSIVE] = floor_inlined, [CLV_LOCK_TRY] = floor_try_inlined },
};

/* ---- the floor of locks that sleep ---- */

enum { WRITER = 1, WAITERS = 2, READER = 4 };

/*
 * Nobody comes here in what is measured: so it is told in the word that somebody waits, and waited
 * without sleeping. Acquire: partners are the releases below.
 */
static __attribute__((noinline, cold)) void sleeper_wait(uint32_t *word, uint32_t wanted)
{
	uint32_t against = wanted == WRITER ? ~(uint32_t)WAITERS : WRITER;
	for (;;) {
		uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
		if (seen & against) {
			__atomic_fetch_or(word, WAITERS, __ATOMIC_RELAXED);
			clv_pause();
		} else if (__atomic_compare_exchange_n(word, &seen, seen + wanted, false,
						       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			return;
		}
	}
}

static __attribute__((noinline, cold)) void sleeper_wake(uint32_t *word)
{
	__atomic_fetch_and(word, ~(uint32_t)WAITERS, __ATOMIC_RELAXED);
}

/* Acquire: partners are the releases below. */
INLINED bool sleeper_try(void *lock, struct clv_hold *hold)
{
	uint32_t free = 0;
	(void)hold;
	return __atomic_compare_exchange_n((uint32_t *)lock, &free, WRITER, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

INLINED void sleeper_acquire(void *lock, struct clv_hold *hold)
{
	if (!sleeper_try(lock, hold))
		sleeper_wait(lock, WRITER);
}

INLINED void sleeper_release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	if (__atomic_fetch_sub((uint32_t *)lock, WRITER, __ATOMIC_RELEASE) & WAITERS)
		sleeper_wake(lock);
}

INLINED void sleeper_release_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	if (__atomic_fetch_sub((uint32_t *)lock, READER, __ATOMIC_RELEASE) & WAITERS)
		sleeper_wake(lock);
}

/* Acquire: partner is the release in sleeper_release. */
INLINED bool sleeper_try_shared(void *lock, struct clv_hold *hold)
{
	if (!(__atomic_fetch_add((uint32_t *)lock, READER, __ATOMIC_ACQUIRE) & WRITER))
		return true;
	sleeper_release_shared(lock, hold);
	return false;
}

INLINED void sleeper_acquire_shared(void *lock, struct clv_hold *hold)
{
	if (!sleeper_try_shared(lock, hold))
		sleeper_wait(lock, READER);
}

const struct clv_lock_reference clv_reference_sleeper = {
	.type = {
		.name = "floor of sleepers",
		.summary = "one atomic each way, the second of which sees who sleeps; unfair",
		.flags = CLV_LOCK_SLEEPS,
		.size_bytes = sizeof(uint32_t),
		.acquire = sleeper_acquire,
		.release = sleeper_release,
		.try_acquire = sleeper_try,
		.acquire_shared = sleeper_acquire_shared,
		.release_shared = sleeper_release_shared,
		.try_acquire_shared = sleeper_try_shared,
	},
};

const struct clv_lock_reference *clv_lock_floor_of(const struct clv_lock_type *type)
{
	if (type->flags & CLV_LOCK_ONE_THREAD)
		return NULL;
	return type->flags & CLV_LOCK_SLEEPS ? &clv_reference_sleeper : &clv_reference_floor;
}

/* ---- pthread_mutex ---- */

INLINED void mutex_acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	pthread_mutex_lock(lock);
}

INLINED void mutex_release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	pthread_mutex_unlock(lock);
}

INLINED bool mutex_try(void *lock, struct clv_hold *hold)
{
	(void)hold;
	return !pthread_mutex_trylock(lock);
}

static int mutex_init(void *lock, struct cleave_env *env, const struct clv_lock_args *args,
		      struct cleave_error *error)
{
	(void)env, (void)args, (void)error;
	return -pthread_mutex_init(lock, NULL);
}

static void mutex_fini(void *lock)
{
	pthread_mutex_destroy(lock);
}

static void mutex_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = { .take = mutex_acquire, .release = mutex_release };
	clv_lock_repeat(calls, lock, hold, times);
}

static void mutex_try_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = { .try_take = mutex_try, .release = mutex_release };
	clv_lock_repeat(calls, lock, hold, times);
}

static const struct clv_lock_reference mutex = {
	.type = {
		.name = "pthread_mutex",
		.summary = "of default attributes",
		.flags = CLV_LOCK_SLEEPS,
		.size_bytes = sizeof(pthread_mutex_t),
		.init = mutex_init,
		.fini = mutex_fini,
		.acquire = mutex_acquire,
		.release = mutex_release,
		.try_acquire = mutex_try,
	},
	.inlined = { [CLV_LOCK_EXCLUSIVE] = mutex_inlined, [CLV_LOCK_TRY] = mutex_try_inlined },
};

/* ---- pthread_rwlock ---- */

INLINED void rwlock_acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	pthread_rwlock_wrlock(lock);
}

INLINED void rwlock_release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	pthread_rwlock_unlock(lock);
}

INLINED bool rwlock_try(void *lock, struct clv_hold *hold)
{
	(void)hold;
	return !pthread_rwlock_trywrlock(lock);
}

INLINED void rwlock_acquire_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	pthread_rwlock_rdlock(lock);
}

INLINED bool rwlock_try_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	return !pthread_rwlock_tryrdlock(lock);
}

static int rwlock_init(void *lock, struct cleave_env *env, const struct clv_lock_args *args,
		       struct cleave_error *error)
{
	(void)env, (void)args, (void)error;
	return -pthread_rwlock_init(lock, NULL);
}

static void rwlock_fini(void *lock)
{
	pthread_rwlock_destroy(lock);
}

static void rwlock_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = { .take = rwlock_acquire, .release = rwlock_release };
	clv_lock_repeat(calls, lock, hold, times);
}

static void rwlock_try_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = { .try_take = rwlock_try, .release = rwlock_release };
	clv_lock_repeat(calls, lock, hold, times);
}

static void rwlock_shared_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = { .take = rwlock_acquire_shared,
					      .release = rwlock_release };
	clv_lock_repeat(calls, lock, hold, times);
}

static void rwlock_try_shared_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = { .try_take = rwlock_try_shared,
					      .release = rwlock_release };
	clv_lock_repeat(calls, lock, hold, times);
}

static const struct clv_lock_reference rwlock = {
	.type = {
		.name = "pthread_rwlock",
		.summary = "of default attributes",
		.flags = CLV_LOCK_SLEEPS,
		.size_bytes = sizeof(pthread_rwlock_t),
		.init = rwlock_init,
		.fini = rwlock_fini,
		.acquire = rwlock_acquire,
		.release = rwlock_release,
		.try_acquire = rwlock_try,
		.acquire_shared = rwlock_acquire_shared,
		.release_shared = rwlock_release,
		.try_acquire_shared = rwlock_try_shared,
	},
	.inlined = { rwlock_inlined, rwlock_try_inlined, rwlock_shared_inlined,
		     rwlock_try_shared_inlined },
};

/* ---- whose ---- */

static const struct {
	const char *lock;
	const struct clv_lock_reference *reference;
} known[] = {
	{ "ticket", &clv_reference_ticket },
	{ "mcs", &clv_reference_mcs },
	{ "clh", &clv_reference_clh },
	{ "cna", &clv_reference_mcs }, /* which its paper says it equals, alone */
	{ "ck_rwlock", &clv_reference_rwlock },
	{ "pflock", &clv_reference_pflock },
	{ "tflock", &clv_reference_tflock },
	{ "brlock", &clv_reference_brlock },
	{ "cohort", &clv_reference_cohort_mcs },
	{ "cohort.ticket", &clv_reference_cohort_ticket },
	{ "rwcohort", &clv_reference_rwcohort },
	{ "rwcohort.neutral", &clv_reference_rwcohort_neutral },
};

/* Is `lock` `name`, or that with arguments? */
static bool begins(const char *lock, const char *name)
{
	size_t length = strlen(name);
	return !strncmp(lock, name, length) && (!lock[length] || lock[length] == '.');
}

const struct clv_lock_reference *clv_lock_reference_of(const char *lock,
						       const struct clv_lock_type *type)
{
	const struct clv_lock_reference *found = NULL;
	size_t longest = 0;
	if (type->flags & CLV_LOCK_ONE_THREAD)
		return NULL;
	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		size_t length = strlen(known[i].lock);
		if (length > longest && begins(lock, known[i].lock)) {
			found = known[i].reference;
			longest = length;
		}
	}
	if (found)
		return found;
	if (type->flags & CLV_LOCK_SLEEPS)
		return type->acquire_shared ? &rwlock : &mutex;
	return type->acquire_shared ? &clv_reference_rwlock : &clv_reference_floor;
}
