// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The C library's reader-writer lock of default attributes, as a program gets it that does not
 * choose.
 *
 * glibc's default kind is PTHREAD_RWLOCK_PREFER_READER_NP: a reader enters whenever no writer is
 * inside, past any number of waiting writers. Readers that overlap without a gap starve writers,
 * with no bound. Writers do not hand it to each other: one is woken, whoever comes by first has it.
 * Readers count themselves in one word that all of them write.
 *
 * Everybody sleeps in the kernel, outside the shim: on the host alone, and a thread in it counts as
 * running (clv_is_running). More threads than CPUs: waiters sleep.
 *
 * The holder releases: glibc tells by the caller's thread id whether it holds it exclusive.
 *
 * 56 bytes an instance on x86-64.
 * Source: POSIX.1-2008 pthread_rwlock_wrlock; glibc nptl/pthread_rwlock_common.c.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "error.h"
#include "locks/lock.h"

static int init(void *lock, struct cleave_env *env, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	(void)env;
	if (args->count)
		return clv_error(error, -EINVAL,
				 "lock pthread_rwlock: it takes no argument, not '%s'", args->arg[0]);
	int code = pthread_rwlock_init(lock, NULL);
	return code ? clv_error(error, -code, "lock pthread_rwlock: cannot be made") : 0;
}

static void fini(void *lock)
{
	pthread_rwlock_destroy(lock);
}

static void acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	/* EDEADLK: the caller has it already. Going on would let it corrupt the map. */
	if (pthread_rwlock_wrlock(lock))
		abort();
}

static void acquire_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	/* EAGAIN: 2^29 readers; EDEADLK: the caller has it exclusive. */
	if (pthread_rwlock_rdlock(lock))
		abort();
}

static void release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	pthread_rwlock_unlock(lock);
}

static bool try_acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	return !pthread_rwlock_trywrlock(lock);
}

static bool try_acquire_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	return !pthread_rwlock_tryrdlock(lock);
}

const struct clv_lock_type clv_lock_pthread_rwlock = {
	.name = "pthread_rwlock",
	.summary = "sleeping; readers preferred, who can starve writers (glibc's default kind)",
	.source = "POSIX pthread_rwlock_t of default attributes",
	.flags = CLV_LOCK_SLEEPS | CLV_LOCK_HOST_ONLY | CLV_LOCK_OWNED,
	.size_bytes = sizeof(pthread_rwlock_t),
	.init = init,
	.fini = fini,
	.acquire = acquire,
	.release = release,
	.try_acquire = try_acquire,
	.acquire_shared = acquire_shared,
	.release_shared = release,
	.try_acquire_shared = try_acquire_shared,
};
