// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The C library's mutex of default attributes, as a program gets it that does not choose.
 *
 * glibc: one futex word, taken by one compare-and-swap; who does not get it sleeps in the kernel at
 * once, without spinning. Release wakes one sleeper and does not hand over, so whoever comes by
 * first has it: unfair, no bound on overtaking. No shared mode.
 *
 * It waits outside the shim: on the host alone, and a thread in it counts as running
 * (clv_is_running). More threads than CPUs: waiters sleep and cost nothing.
 *
 * 40 bytes an instance on x86-64.
 * Source: POSIX.1-2008 pthread_mutex_lock; glibc nptl/pthread_mutex_lock.c.
 */
#include <errno.h>
#include <pthread.h>

#include "error.h"
#include "locks/lock.h"

static int init(void *lock, struct cleave_env *env, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	(void)env;
	if (args->count)
		return clv_error(error, -EINVAL,
				 "lock pthread_mutex: it takes no argument, not '%s'", args->arg[0]);
	int code = pthread_mutex_init(lock, NULL);
	return code ? clv_error(error, -code, "lock pthread_mutex: cannot be made") : 0;
}

static void fini(void *lock)
{
	pthread_mutex_destroy(lock);
}

static void acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	pthread_mutex_lock(lock);
}

static void release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	pthread_mutex_unlock(lock);
}

static bool try_acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	return !pthread_mutex_trylock(lock);
}

const struct clv_lock_type clv_lock_pthread_mutex = {
	.name = "pthread_mutex",
	.summary = "sleeping, without spinning; unfair: whoever comes by first",
	.source = "POSIX pthread_mutex_t of default attributes",
	.flags = CLV_LOCK_SLEEPS | CLV_LOCK_HOST_ONLY | CLV_LOCK_OWNED,
	.size_bytes = sizeof(pthread_mutex_t),
	.init = init,
	.fini = fini,
	.acquire = acquire,
	.release = release,
	.try_acquire = try_acquire,
};
