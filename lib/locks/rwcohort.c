// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A NUMA-aware reader-writer lock, "rwcohort.PREFERENCE.LOCK.DOMAIN": writers take a cohort lock
 * (cohort.LOCK.DOMAIN), readers are counted for each NUMA node. "rwcohort" is
 * rwcohort.writer.mcs.node.
 *
 *     count      one a node, on a line of its own: readers that came in there and have not left
 *     cohort     whose holder is the only writer
 *
 * writer     A reader counts itself, then looks whether the cohort lock is free: if so it is in, else
 *            it takes itself back and waits until it is. A writer takes the cohort lock, and waits for
 *            each count to be 0. Readers starve while writers follow each other.
 * neutral    A reader takes the cohort lock, as a writer would, counts itself and releases it; a
 *            writer keeps it and waits for each count to be 0. As fair as the cohort lock, of which
 *            readers then pay the whole price.
 *
 * Invariants: a counted reader that saw the cohort lock free, or was counted under it, is inside; a
 * writer is inside only after it has seen each count at 0, under the cohort lock. A reader writes its
 * count and then reads the cohort lock's global word, a writer writes that word and then reads the
 * counts, sequentially consistent: one of the two sees the other (Dekker). Of writers that hand the
 * cohort lock on within a domain the first wrote the word, and it stays written for those behind.
 *
 * Spinning. Fairness among writers: the cohort lock's. Cost: a reader 2 atomics on its node's line, and
 * a read of the global word; a writer the cohort lock, and a read of each node's count. All writers
 * write no line but the global lock's, and that once in a row of hand-overs.
 *
 * Memory: 48 bytes, the cohort lock's lines, and a line a node: 49 lines beside the instance for 12
 * nodes, 157 with its writers by 48 L3s.
 * Source: Calciu, Dice, Lev, Luchangco, Marathe and Shavit, "NUMA-Aware Reader-Writer Locks", PPoPP
 * 2013: C-RW-WP and C-RW-NP.
 */
#include <errno.h>
#include <string.h>

#include "env.h"
#include "error.h"
#include "locks/cohort.h"
#include "shim/mark.h"
#include "thread.h"

struct count {
	_Alignas(CLV_CACHE_LINE) uint32_t readers;
};

struct rwcohort {
	struct count *count; /* [nodes] */
	struct clv_cohort cohort;
	unsigned nodes;
	bool neutral;
};

/* In the hold of a reader. */
enum { NODE_WORD = 0 };

static int init(void *at, struct cleave_env *env, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	static const struct cleave_field count_fields[] = { { 0, "readers" }, { 0, NULL } };
	struct rwcohort *lock = at;
	struct clv_lock_args rest = { .count = args->count ? args->count - 1 : 0 };
	const char *preference = args->count ? args->arg[0] : "writer";

	memcpy(rest.arg, args->arg + 1, rest.count * sizeof(*rest.arg));
	lock->neutral = !strcmp(preference, "neutral");
	if (!lock->neutral && strcmp(preference, "writer"))
		return clv_error(error, -EINVAL, "lock rwcohort: writer or neutral, not '%s'",
				 preference);
	lock->nodes = env->topology->nodes;
	lock->count = clv_alloc(lock->nodes * sizeof(*lock->count), CLV_CACHE_LINE, -1);
	int code = lock->count ? clv_lock_cohort.init(&lock->cohort, env, &rest, error) :
				 clv_error(error, -ENOMEM, "lock rwcohort: out of memory");
	if (code) {
		clv_free(lock->count, lock->nodes * sizeof(*lock->count));
		return code;
	}
	clv_name(lock->count, lock->nodes * sizeof(*lock->count), sizeof(*lock->count),
		 "rwcohort's count", -1, count_fields);
	return 0;
}

static void fini(void *at)
{
	struct rwcohort *lock = at;

	clv_lock_cohort.fini(&lock->cohort);
	clv_free(lock->count, lock->nodes * sizeof(*lock->count));
}

static size_t memory(const void *at)
{
	const struct rwcohort *lock = at;

	return lock->nodes * sizeof(*lock->count) + clv_lock_cohort.memory(&lock->cohort);
}

/* ---- readers ---- */

static uint32_t *own_count(const struct rwcohort *lock, const struct clv_hold *hold)
{
	return &lock->count[hold->thread->node].readers;
}

static void count_in(uint32_t *readers)
{
	/* Sequentially consistent: partner is the cohort lock's, in acquire. */
	__atomic_fetch_add(readers, 1, __ATOMIC_SEQ_CST);
}

static void count_out(uint32_t *readers)
{
	/* Release: partner is the load in someone_inside. */
	__atomic_fetch_sub(readers, 1, __ATOMIC_RELEASE);
}

static inline bool enter(struct rwcohort *lock, struct clv_hold *hold)
{
	uint32_t *readers = own_count(lock, hold);

	/* The thread may be on another node when it leaves. */
	hold->state[NODE_WORD] = (uintptr_t)readers;
	count_in(readers);
	if (!clv_cohort_is_held(&lock->cohort))
		return true;
	count_out(readers);
	return false;
}

/* Out of line, as the next: alone, a reader of a lock that is not neutral comes to neither. */
static __attribute__((noinline)) void wait_shared(struct rwcohort *lock, struct clv_hold *hold)
{
	do {
		while (clv_cohort_is_held(&lock->cohort))
			clv_pause();
	} while (!enter(lock, hold));
}

static __attribute__((noinline)) void acquire_neutral(struct rwcohort *lock, struct clv_hold *hold)
{
	uint32_t *readers = own_count(lock, hold);

	clv_lock_cohort.acquire(&lock->cohort, hold);
	count_in(readers);
	clv_lock_cohort.release(&lock->cohort, hold);
	hold->state[NODE_WORD] = (uintptr_t)readers;
}

static void acquire_shared(void *at, struct clv_hold *hold)
{
	struct rwcohort *lock = at;

	if (lock->neutral)
		acquire_neutral(lock, hold);
	else if (!enter(lock, hold))
		wait_shared(lock, hold);
}

/* Of a neutral one, too: it fails if anybody has or wants the cohort lock. */
static bool try_acquire_shared(void *at, struct clv_hold *hold)
{
	struct rwcohort *lock = at;

	if (!lock->neutral)
		return enter(lock, hold);
	uint32_t *readers = own_count(lock, hold);

	if (!clv_lock_cohort.try_acquire(&lock->cohort, hold))
		return false;
	count_in(readers);
	clv_lock_cohort.release(&lock->cohort, hold);
	hold->state[NODE_WORD] = (uintptr_t)readers;
	return true;
}

static void release_shared(void *at, struct clv_hold *hold)
{
	(void)at;
	count_out((uint32_t *)hold->state[NODE_WORD]);
}

/* ---- writers ---- */

static bool someone_inside(const struct count *count)
{
	/* Partners: count_in, whose reader saw the cohort lock held or is seen here; acquire: count_out. */
	return __atomic_load_n(&count->readers, __ATOMIC_SEQ_CST);
}

static void acquire(void *at, struct clv_hold *hold)
{
	struct rwcohort *lock = at;

	clv_lock_cohort.acquire(&lock->cohort, hold);
	/* The cohort lock's read-modify-write before the counts' loads. Partner: count_in. */
	ck_pr_fence_atomic_load();
	for (unsigned i = 0; i < lock->nodes; i++) {
		while (someone_inside(&lock->count[i]))
			clv_pause();
	}
}

static void release(void *at, struct clv_hold *hold)
{
	struct rwcohort *lock = at;

	clv_lock_cohort.release(&lock->cohort, hold);
}

static bool try_acquire(void *at, struct clv_hold *hold)
{
	struct rwcohort *lock = at;

	if (!clv_lock_cohort.try_acquire(&lock->cohort, hold))
		return false;
	ck_pr_fence_atomic_load(); /* as above */
	for (unsigned i = 0; i < lock->nodes; i++) {
		if (someone_inside(&lock->count[i])) {
			release(lock, hold);
			return false;
		}
	}
	return true;
}

static const struct cleave_field fields[] = {
	{ offsetof(struct rwcohort, count), "where the counts are" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_rwcohort = {
	.name = "rwcohort",
	.summary = "spinning; rwcohort.PREFERENCE.LOCK.DOMAIN: writers by a cohort lock, readers "
		   "counted by NUMA node; writers preferred, or neutral",
	.source = "Calciu and others, PPoPP 2013",
	.flags = CLV_LOCK_SPINS,
	.size_bytes = sizeof(struct rwcohort),
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
