// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Concurrency Kit's locks as its own regressions use them: their functions and nothing around them.
 * Zeroed memory is free, but for clh, which begins with a node, and brlock, which has a reader's
 * record for each CPU, as if a thread on each had registered.
 */
#include "atomic/ck_layer.h"

#include <errno.h>

#include <ck_brlock.h>
#include <ck_pflock.h>
#include <ck_rwlock.h>
#include <ck_spinlock.h>
#include <ck_tflock.h>

#include "env.h"
#include "lock_reference.h"

#define INLINED static inline __attribute__((always_inline))

/* ---- ck_spinlock_ticket ---- */

INLINED void ticket_acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_spinlock_ticket_lock(lock);
}

INLINED void ticket_release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_spinlock_ticket_unlock(lock);
}

INLINED bool ticket_try(void *lock, struct clv_hold *hold)
{
	(void)hold;
	return ck_spinlock_ticket_trylock(lock);
}

static void ticket_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = ticket_acquire,
		.release = ticket_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

static void ticket_try_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.try_take = ticket_try,
		.release = ticket_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

const struct clv_lock_reference clv_reference_ticket = {
	.type = {
		.name = "ck_spinlock_ticket",
		.summary = "Concurrency Kit's",
		.flags = CLV_LOCK_SPINS | CLV_LOCK_FIFO,
		.size_bytes = sizeof(ck_spinlock_ticket_t),
		.acquire = ticket_acquire,
		.release = ticket_release,
		.try_acquire = ticket_try,
	},
	.inlined = {
		[CLV_LOCK_EXCLUSIVE] = ticket_inlined,
		[CLV_LOCK_TRY] = ticket_try_inlined,
	},
};

/* ---- ck_spinlock_mcs ---- */

INLINED void mcs_acquire(void *lock, struct clv_hold *hold)
{
	ck_spinlock_mcs_lock(lock, (void *)hold->state);
}

INLINED void mcs_release(void *lock, struct clv_hold *hold)
{
	ck_spinlock_mcs_unlock(lock, (void *)hold->state);
}

INLINED bool mcs_try(void *lock, struct clv_hold *hold)
{
	return ck_spinlock_mcs_trylock(lock, (void *)hold->state);
}

static void mcs_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = mcs_acquire,
		.release = mcs_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

static void mcs_try_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.try_take = mcs_try,
		.release = mcs_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

const struct clv_lock_reference clv_reference_mcs = {
	.type = {
		.name = "ck_spinlock_mcs",
		.summary = "Concurrency Kit's",
		.flags = CLV_LOCK_SPINS | CLV_LOCK_FIFO,
		.size_bytes = sizeof(ck_spinlock_mcs_t),
		.acquire = mcs_acquire,
		.release = mcs_release,
		.try_acquire = mcs_try,
	},
	.inlined = {
		[CLV_LOCK_EXCLUSIVE] = mcs_inlined,
		[CLV_LOCK_TRY] = mcs_try_inlined,
	},
};

/* ---- ck_spinlock_clh ---- */

/* The one thread's node is where its lock is: it has no other. */
struct clh {
	ck_spinlock_clh_t *queue;
	_Alignas(CLV_CACHE_LINE) ck_spinlock_clh_t *own;
	struct {
		_Alignas(CLV_CACHE_LINE) ck_spinlock_clh_t node;
	} room[2];
};

static int clh_init(void *at, struct cleave_env *env, const struct clv_lock_args *args,
		    struct cleave_error *error)
{
	struct clh *clh = at;
	(void)env, (void)args, (void)error;
	ck_spinlock_clh_init(&clh->queue, &clh->room[0].node);
	clh->own = &clh->room[1].node;
	return 0;
}

INLINED void clh_acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_spinlock_clh_lock(&((struct clh *)lock)->queue, ((struct clh *)lock)->own);
}

INLINED void clh_release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_spinlock_clh_unlock(&((struct clh *)lock)->own);
}

static void clh_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = clh_acquire,
		.release = clh_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

const struct clv_lock_reference clv_reference_clh = {
	.type = {
		.name = "ck_spinlock_clh",
		.summary = "Concurrency Kit's",
		.flags = CLV_LOCK_SPINS | CLV_LOCK_FIFO,
		.size_bytes = sizeof(struct clh),
		.init = clh_init,
		.acquire = clh_acquire,
		.release = clh_release,
	},
	.inlined = {
		[CLV_LOCK_EXCLUSIVE] = clh_inlined,
	},
};

/* ---- ck_rwlock ---- */

INLINED void rwlock_acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_rwlock_write_lock(lock);
}

INLINED void rwlock_release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_rwlock_write_unlock(lock);
}

INLINED bool rwlock_try(void *lock, struct clv_hold *hold)
{
	(void)hold;
	return ck_rwlock_write_trylock(lock);
}

INLINED void rwlock_acquire_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_rwlock_read_lock(lock);
}

INLINED void rwlock_release_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_rwlock_read_unlock(lock);
}

INLINED bool rwlock_try_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	return ck_rwlock_read_trylock(lock);
}

static void rwlock_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = rwlock_acquire,
		.release = rwlock_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

static void rwlock_try_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.try_take = rwlock_try,
		.release = rwlock_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

static void rwlock_shared_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = rwlock_acquire_shared,
		.release = rwlock_release_shared,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

static void rwlock_try_shared_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.try_take = rwlock_try_shared,
		.release = rwlock_release_shared,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

const struct clv_lock_reference clv_reference_rwlock = {
	.type = {
		.name = "ck_rwlock",
		.summary = "Concurrency Kit's",
		.flags = CLV_LOCK_SPINS,
		.size_bytes = sizeof(ck_rwlock_t),
		.acquire = rwlock_acquire,
		.release = rwlock_release,
		.try_acquire = rwlock_try,
		.acquire_shared = rwlock_acquire_shared,
		.release_shared = rwlock_release_shared,
		.try_acquire_shared = rwlock_try_shared,
	},
	.inlined = {
		[CLV_LOCK_EXCLUSIVE] = rwlock_inlined,
		[CLV_LOCK_TRY] = rwlock_try_inlined,
		[CLV_LOCK_SHARED] = rwlock_shared_inlined,
		[CLV_LOCK_TRY_SHARED] = rwlock_try_shared_inlined,
	},
};

/* ---- ck_pflock ---- */

INLINED void pflock_acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_pflock_write_lock(lock);
}

INLINED void pflock_release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_pflock_write_unlock(lock);
}

INLINED void pflock_acquire_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_pflock_read_lock(lock);
}

INLINED void pflock_release_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_pflock_read_unlock(lock);
}

static void pflock_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = pflock_acquire,
		.release = pflock_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

static void pflock_shared_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = pflock_acquire_shared,
		.release = pflock_release_shared,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

const struct clv_lock_reference clv_reference_pflock = {
	.type = {
		.name = "ck_pflock",
		.summary = "Concurrency Kit's",
		.flags = CLV_LOCK_SPINS | CLV_LOCK_FIFO,
		.size_bytes = sizeof(ck_pflock_t),
		.acquire = pflock_acquire,
		.release = pflock_release,
		.acquire_shared = pflock_acquire_shared,
		.release_shared = pflock_release_shared,
	},
	.inlined = {
		[CLV_LOCK_EXCLUSIVE] = pflock_inlined,
		[CLV_LOCK_SHARED] = pflock_shared_inlined,
	},
};

/* ---- ck_tflock ---- */

INLINED void tflock_acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_tflock_ticket_write_lock(lock);
}

INLINED void tflock_release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_tflock_ticket_write_unlock(lock);
}

INLINED void tflock_acquire_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_tflock_ticket_read_lock(lock);
}

INLINED void tflock_release_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_tflock_ticket_read_unlock(lock);
}

static void tflock_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = tflock_acquire,
		.release = tflock_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

static void tflock_shared_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = tflock_acquire_shared,
		.release = tflock_release_shared,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

const struct clv_lock_reference clv_reference_tflock = {
	.type = {
		.name = "ck_tflock",
		.summary = "Concurrency Kit's",
		.flags = CLV_LOCK_SPINS | CLV_LOCK_FIFO,
		.size_bytes = sizeof(ck_tflock_ticket_t),
		.acquire = tflock_acquire,
		.release = tflock_release,
		.acquire_shared = tflock_acquire_shared,
		.release_shared = tflock_release_shared,
	},
	.inlined = {
		[CLV_LOCK_EXCLUSIVE] = tflock_inlined,
		[CLV_LOCK_SHARED] = tflock_shared_inlined,
	},
};

/* ---- ck_brlock ---- */

struct brlock {
	ck_brlock_t lock;
	unsigned readers;
	struct reader {
		_Alignas(CLV_CACHE_LINE) ck_brlock_reader_t record;
	} *reader; /* [readers] */
};

static int brlock_init(void *at, struct cleave_env *env, const struct clv_lock_args *args,
		       struct cleave_error *error)
{
	struct brlock *brlock = at;
	(void)args, (void)error;
	brlock->readers = env->topology->cpus;
	brlock->reader = clv_alloc(brlock->readers * sizeof(*brlock->reader), CLV_CACHE_LINE, -1);
	if (!brlock->reader)
		return -ENOMEM;
	for (unsigned i = 0; i < brlock->readers; i++)
		ck_brlock_read_register(&brlock->lock, &brlock->reader[i].record);
	return 0;
}

static void brlock_fini(void *at)
{
	struct brlock *brlock = at;
	clv_free(brlock->reader, brlock->readers * sizeof(*brlock->reader));
}

static size_t brlock_memory(const void *at)
{
	const struct brlock *brlock = at;
	return brlock->readers * sizeof(*brlock->reader);
}

INLINED ck_brlock_reader_t *own_reader(const struct brlock *brlock)
{
	return &brlock->reader[0].record;
}

INLINED void brlock_acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_brlock_write_lock(&((struct brlock *)lock)->lock);
}

INLINED void brlock_release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_brlock_write_unlock(&((struct brlock *)lock)->lock);
}

INLINED bool brlock_try(void *lock, struct clv_hold *hold)
{
	(void)hold;
	return ck_brlock_write_trylock(&((struct brlock *)lock)->lock, 1);
}

INLINED void brlock_acquire_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_brlock_read_lock(&((struct brlock *)lock)->lock, own_reader(lock));
}

INLINED void brlock_release_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_brlock_read_unlock(own_reader(lock));
}

INLINED bool brlock_try_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	return ck_brlock_read_trylock(&((struct brlock *)lock)->lock, own_reader(lock), 1);
}

static void brlock_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = brlock_acquire,
		.release = brlock_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

static void brlock_try_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.try_take = brlock_try,
		.release = brlock_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

static void brlock_shared_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = brlock_acquire_shared,
		.release = brlock_release_shared,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

static void brlock_try_shared_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.try_take = brlock_try_shared,
		.release = brlock_release_shared,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

const struct clv_lock_reference clv_reference_brlock = {
	.type = {
		.name = "ck_brlock",
		.summary = "Concurrency Kit's",
		.flags = CLV_LOCK_SPINS,
		.size_bytes = sizeof(struct brlock),
		.init = brlock_init,
		.fini = brlock_fini,
		.memory = brlock_memory,
		.acquire = brlock_acquire,
		.release = brlock_release,
		.try_acquire = brlock_try,
		.acquire_shared = brlock_acquire_shared,
		.release_shared = brlock_release_shared,
		.try_acquire_shared = brlock_try_shared,
	},
	.inlined = {
		[CLV_LOCK_EXCLUSIVE] = brlock_inlined,
		[CLV_LOCK_TRY] = brlock_try_inlined,
		[CLV_LOCK_SHARED] = brlock_shared_inlined,
		[CLV_LOCK_TRY_SHARED] = brlock_try_shared_inlined,
	},
};
