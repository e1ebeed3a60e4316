// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Big-reader lock: a reader-writer spinlock for each CPU. A reader takes its own CPU's, a writer takes
 * all, ascending.
 *
 *     CPU      0      1      2      3
 *            [ r ]  [   ]  [ r ]  [   ]      readers: own line only
 *            [ w ]->[ w ]->[ w ]->[ w ]      a writer: every line
 *
 * Spinning. Each of the locks is a ck_rwlock and as unfair as that: writers keep readers out. A writer
 * that waits on one CPU's readers holds those below it, whose readers wait with it.
 *
 * Cost: a reader 2 atomics on its own CPU's line; a writer 2 on each CPU's line, so that it is some
 * hundred times a plain lock's on a big machine. 64 bytes a CPU and lock.
 *
 * Where it differs: Concurrency Kit's ck_brlock links a record of each reading thread into a list that
 * writers go through; this is the older form, which needs no registration.
 * Source: Linux 2.4 include/linux/brlock.h (Molnar, Miller); lib/locks/ck_rwlock.c.
 */
#include <errno.h>

#include "env.h"
#include "error.h"
#include "locks/lock.h"
#include "shim/mark.h"
#include "thread.h"

extern const struct clv_lock_type clv_lock_ck_rwlock;

struct part {
	_Alignas(CLV_CACHE_LINE) unsigned char lock[CLV_CACHE_LINE];
};

struct brlock {
	struct part *part; /* [cpus] */
	unsigned cpus;
};

static int init(void *at, struct cleave_env *env, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	struct brlock *lock = at;

	if (args->count)
		return clv_error(error, -EINVAL, "lock brlock: it takes no argument, not '%s'",
				 args->arg[0]);
	lock->cpus = env->topology->cpus;
	lock->part = clv_alloc(lock->cpus * sizeof(*lock->part), CLV_CACHE_LINE, -1);
	if (!lock->part)
		return clv_error(error, -ENOMEM, "lock brlock: out of memory");
	clv_name(lock->part, lock->cpus * sizeof(*lock->part), sizeof(*lock->part), "brlock part",
		 -1, clv_lock_ck_rwlock.fields);
	return 0;
}

static void fini(void *at)
{
	struct brlock *lock = at;

	clv_free(lock->part, lock->cpus * sizeof(*lock->part));
}

static size_t memory(const void *at)
{
	const struct brlock *lock = at;

	return lock->cpus * sizeof(*lock->part);
}

static void *own_part(const struct brlock *lock, struct clv_hold *hold)
{
	/* The thread may be on another CPU when it releases. */
	hold->state[0] = hold->thread->cpu;
	return lock->part[hold->state[0]].lock;
}

static void acquire_shared(void *at, struct clv_hold *hold)
{
	clv_lock_ck_rwlock.acquire_shared(own_part(at, hold), hold);
}

static bool try_acquire_shared(void *at, struct clv_hold *hold)
{
	return clv_lock_ck_rwlock.try_acquire_shared(own_part(at, hold), hold);
}

static void release_shared(void *at, struct clv_hold *hold)
{
	struct brlock *lock = at;

	clv_lock_ck_rwlock.release_shared(lock->part[hold->state[0]].lock, hold);
}

static void release_first(struct brlock *lock, struct clv_hold *hold, unsigned count)
{
	while (count--)
		clv_lock_ck_rwlock.release(lock->part[count].lock, hold);
}

static void acquire(void *at, struct clv_hold *hold)
{
	struct brlock *lock = at;

	for (unsigned i = 0; i < lock->cpus; i++)
		clv_lock_ck_rwlock.acquire(lock->part[i].lock, hold);
}

static void release(void *at, struct clv_hold *hold)
{
	struct brlock *lock = at;

	release_first(lock, hold, lock->cpus);
}

static bool try_acquire(void *at, struct clv_hold *hold)
{
	struct brlock *lock = at;

	for (unsigned i = 0; i < lock->cpus; i++) {
		if (!clv_lock_ck_rwlock.try_acquire(lock->part[i].lock, hold)) {
			release_first(lock, hold, i);
			return false;
		}
	}
	return true;
}

static const struct cleave_field fields[] = {
	{ offsetof(struct brlock, part), "where the parts are" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_brlock = {
	.name = "brlock",
	.summary = "spinning, unfair; a reader-writer lock for each CPU: readers take their own, "
		   "writers all",
	.source = "Linux 2.4 brlock, over Concurrency Kit ck_rwlock",
	.flags = CLV_LOCK_SPINS,
	.size_bytes = sizeof(struct brlock),
	.init = init,
	.fini = fini,
	.memory = memory,
	.acquire = acquire,
	.release = release,
	.try_acquire = try_acquire,
	.acquire_shared = acquire_shared,
	.release_shared = release_shared,
	.try_acquire_shared = try_acquire_shared,
	.fields = fields,
};
