// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Concurrency Kit's cohort locks, over its MCS and ticket locks, and its reader-writer cohort locks
 * over the former, put together as in its regressions: one cohort, and the lock over all.
 */
#include "atomic/ck_layer.h"

#include <ck_cohort.h>
#include <ck_rwcohort.h>
#include <ck_spinlock.h>

#include "lock_reference.h"

#define INLINED static inline __attribute__((always_inline))

/* Like ours; CK's own default is 10. Nobody waits here. */
enum { PASS_LIMIT = 64 };

INLINED void mcs_lock(void *lock, void *context)
{
	ck_spinlock_mcs_lock(lock, context);
}

INLINED void mcs_unlock(void *lock, void *context)
{
	ck_spinlock_mcs_unlock(lock, context);
}

INLINED bool mcs_locked(void *lock, void *context)
{
	(void)context;
	return ck_spinlock_mcs_locked(lock);
}

INLINED bool mcs_trylock(void *lock, void *context)
{
	return ck_spinlock_mcs_trylock(lock, context);
}

INLINED void ticket_lock(void *lock, void *context)
{
	(void)context;
	ck_spinlock_ticket_lock(lock);
}

INLINED void ticket_unlock(void *lock, void *context)
{
	(void)context;
	ck_spinlock_ticket_unlock(lock);
}

INLINED bool ticket_locked(void *lock, void *context)
{
	(void)context;
	return ck_spinlock_ticket_locked(lock);
}

INLINED bool ticket_trylock(void *lock, void *context)
{
	(void)context;
	return ck_spinlock_ticket_trylock(lock);
}

CK_COHORT_TRYLOCK_PROTOTYPE(mcs, mcs_lock, mcs_unlock, mcs_locked, mcs_trylock, mcs_lock,
			    mcs_unlock, mcs_locked, mcs_trylock)
CK_COHORT_TRYLOCK_PROTOTYPE(ticket, ticket_lock, ticket_unlock, ticket_locked, ticket_trylock,
			    ticket_lock, ticket_unlock, ticket_locked, ticket_trylock)
CK_RWCOHORT_WP_PROTOTYPE(mcs)
CK_RWCOHORT_NEUTRAL_PROTOTYPE(mcs)

/* Each part on a line of its own. */
struct cohort {
	_Alignas(CLV_CACHE_LINE) unsigned char global[CLV_CACHE_LINE];
	unsigned char local[CLV_CACHE_LINE];
	CK_COHORT_INSTANCE(mcs) mcs;
	_Alignas(CLV_CACHE_LINE) CK_COHORT_INSTANCE(ticket) ticket;
	_Alignas(CLV_CACHE_LINE) CK_RWCOHORT_WP_INSTANCE(mcs) writer;
	CK_RWCOHORT_NEUTRAL_INSTANCE(mcs) neutral;
};

static int init(void *at, struct cleave_env *env, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	struct cohort *cohort = at;
	(void)env, (void)args, (void)error;
	CK_COHORT_INIT(mcs, &cohort->mcs, cohort->global, cohort->local, PASS_LIMIT);
	CK_COHORT_INIT(ticket, &cohort->ticket, cohort->global, cohort->local, PASS_LIMIT);
	CK_RWCOHORT_WP_INIT(mcs, &cohort->writer, CK_RWCOHORT_WP_DEFAULT_WAIT_LIMIT);
	CK_RWCOHORT_NEUTRAL_INIT(mcs, &cohort->neutral);
	return 0;
}

/* Both contexts are the thread's: no lock is handed on here. */
INLINED void *global_context(struct clv_hold *hold)
{
	return &hold->state[2];
}

INLINED void *local_context(struct clv_hold *hold)
{
	return &hold->state[0];
}

/* ---- ck_cohort over mcs ---- */

INLINED void cohort_mcs_acquire(void *lock, struct clv_hold *hold)
{
	struct cohort *cohort = lock;
	CK_COHORT_LOCK(mcs, &cohort->mcs,
			global_context(hold), local_context(hold));
}

INLINED void cohort_mcs_release(void *lock, struct clv_hold *hold)
{
	struct cohort *cohort = lock;
	CK_COHORT_UNLOCK(mcs, &cohort->mcs,
			global_context(hold), local_context(hold));
}

INLINED bool cohort_mcs_try(void *lock, struct clv_hold *hold)
{
	struct cohort *cohort = lock;
	return CK_COHORT_TRYLOCK(mcs, &cohort->mcs, global_context(hold),
				 local_context(hold), local_context(hold));
}

static void cohort_mcs_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = cohort_mcs_acquire,
		.release = cohort_mcs_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

static void cohort_mcs_try_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.try_take = cohort_mcs_try,
		.release = cohort_mcs_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

const struct clv_lock_reference clv_reference_cohort_mcs = {
	.type = {
		.name = "ck_cohort, mcs",
		.summary = "Concurrency Kit's",
		.flags = CLV_LOCK_SPINS,
		.size_bytes = sizeof(struct cohort),
		.init = init,
		.acquire = cohort_mcs_acquire,
		.release = cohort_mcs_release,
		.try_acquire = cohort_mcs_try,
	},
	.inlined = {
		[CLV_LOCK_EXCLUSIVE] = cohort_mcs_inlined,
		[CLV_LOCK_TRY] = cohort_mcs_try_inlined,
	},
};

/* ---- ck_cohort over ticket ---- */

INLINED void cohort_ticket_acquire(void *lock, struct clv_hold *hold)
{
	struct cohort *cohort = lock;
	CK_COHORT_LOCK(ticket, &cohort->ticket,
			global_context(hold), local_context(hold));
}

INLINED void cohort_ticket_release(void *lock, struct clv_hold *hold)
{
	struct cohort *cohort = lock;
	CK_COHORT_UNLOCK(ticket, &cohort->ticket,
			global_context(hold), local_context(hold));
}

INLINED bool cohort_ticket_try(void *lock, struct clv_hold *hold)
{
	struct cohort *cohort = lock;
	return CK_COHORT_TRYLOCK(ticket, &cohort->ticket, global_context(hold),
				 local_context(hold), local_context(hold));
}

static void cohort_ticket_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = cohort_ticket_acquire,
		.release = cohort_ticket_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

static void cohort_ticket_try_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.try_take = cohort_ticket_try,
		.release = cohort_ticket_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

const struct clv_lock_reference clv_reference_cohort_ticket = {
	.type = {
		.name = "ck_cohort, ticket",
		.summary = "Concurrency Kit's",
		.flags = CLV_LOCK_SPINS,
		.size_bytes = sizeof(struct cohort),
		.init = init,
		.acquire = cohort_ticket_acquire,
		.release = cohort_ticket_release,
		.try_acquire = cohort_ticket_try,
	},
	.inlined = {
		[CLV_LOCK_EXCLUSIVE] = cohort_ticket_inlined,
		[CLV_LOCK_TRY] = cohort_ticket_try_inlined,
	},
};

/* ---- ck_rwcohort, writer, over mcs ---- */

INLINED void rwcohort_acquire(void *lock, struct clv_hold *hold)
{
	struct cohort *cohort = lock;
	CK_RWCOHORT_WP_WRITE_LOCK(mcs, &cohort->writer, &cohort->mcs,
				global_context(hold), local_context(hold));
}

INLINED void rwcohort_release(void *lock, struct clv_hold *hold)
{
	struct cohort *cohort = lock;
	CK_RWCOHORT_WP_WRITE_UNLOCK(mcs, &cohort->writer, &cohort->mcs,
				global_context(hold), local_context(hold));
}

INLINED void rwcohort_acquire_shared(void *lock, struct clv_hold *hold)
{
	struct cohort *cohort = lock;
	CK_RWCOHORT_WP_READ_LOCK(mcs, &cohort->writer, &cohort->mcs,
				global_context(hold), local_context(hold));
}

INLINED void rwcohort_release_shared(void *lock, struct clv_hold *hold)
{
	struct cohort *cohort = lock;
	(void)hold;
	CK_RWCOHORT_WP_READ_UNLOCK(mcs, &cohort->writer, &cohort->mcs,
				global_context(hold), local_context(hold));
}

static void rwcohort_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = rwcohort_acquire,
		.release = rwcohort_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

static void rwcohort_shared_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = rwcohort_acquire_shared,
		.release = rwcohort_release_shared,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

const struct clv_lock_reference clv_reference_rwcohort = {
	.type = {
		.name = "ck_rwcohort, writer",
		.summary = "Concurrency Kit's",
		.flags = CLV_LOCK_SPINS,
		.size_bytes = sizeof(struct cohort),
		.init = init,
		.acquire = rwcohort_acquire,
		.release = rwcohort_release,
		.acquire_shared = rwcohort_acquire_shared,
		.release_shared = rwcohort_release_shared,
	},
	.inlined = {
		[CLV_LOCK_EXCLUSIVE] = rwcohort_inlined,
		[CLV_LOCK_SHARED] = rwcohort_shared_inlined,
	},
};

/* ---- ck_rwcohort, neutral, over mcs ---- */

INLINED void rwcohort_neutral_acquire(void *lock, struct clv_hold *hold)
{
	struct cohort *cohort = lock;
	CK_RWCOHORT_NEUTRAL_WRITE_LOCK(mcs, &cohort->neutral, &cohort->mcs,
				global_context(hold), local_context(hold));
}

INLINED void rwcohort_neutral_release(void *lock, struct clv_hold *hold)
{
	struct cohort *cohort = lock;
	CK_RWCOHORT_NEUTRAL_WRITE_UNLOCK(mcs, &cohort->neutral, &cohort->mcs,
				global_context(hold), local_context(hold));
}

INLINED void rwcohort_neutral_acquire_shared(void *lock, struct clv_hold *hold)
{
	struct cohort *cohort = lock;
	CK_RWCOHORT_NEUTRAL_READ_LOCK(mcs, &cohort->neutral, &cohort->mcs,
				global_context(hold), local_context(hold));
}

INLINED void rwcohort_neutral_release_shared(void *lock, struct clv_hold *hold)
{
	struct cohort *cohort = lock;
	(void)hold;
	CK_RWCOHORT_NEUTRAL_READ_UNLOCK(mcs, &cohort->neutral, &cohort->mcs,
				global_context(hold), local_context(hold));
}

static void rwcohort_neutral_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = rwcohort_neutral_acquire,
		.release = rwcohort_neutral_release,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

static void rwcohort_neutral_shared_inlined(void *lock, struct clv_hold *hold, unsigned times)
{
	const struct clv_lock_calls calls = {
		.take = rwcohort_neutral_acquire_shared,
		.release = rwcohort_neutral_release_shared,
	};
	clv_lock_repeat(calls, lock, hold, times);
}

const struct clv_lock_reference clv_reference_rwcohort_neutral = {
	.type = {
		.name = "ck_rwcohort, neutral",
		.summary = "Concurrency Kit's",
		.flags = CLV_LOCK_SPINS,
		.size_bytes = sizeof(struct cohort),
		.init = init,
		.acquire = rwcohort_neutral_acquire,
		.release = rwcohort_neutral_release,
		.acquire_shared = rwcohort_neutral_acquire_shared,
		.release_shared = rwcohort_neutral_release_shared,
	},
	.inlined = {
		[CLV_LOCK_EXCLUSIVE] = rwcohort_neutral_inlined,
		[CLV_LOCK_SHARED] = rwcohort_neutral_shared_inlined,
	},
};
