// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A NUMA-aware reader-writer lock, "rwcohort.PREFERENCE.LOCK.DOMAIN": writers take a cohort lock
 * (cohort.LOCK.DOMAIN), readers are counted for each NUMA node. "rwcohort" is
 * rwcohort.writer.mcs.node.
 *
 *     writers    how many want it or have it (not of `neutral`)
 *     count      one a node, on a line of its own: readers that came in there and have not left
 *     cohort     whose holder is the only writer
 *
 * writer     A reader counts itself, then looks at `writers`: 0, and it is in; else it takes itself back
 *            and waits for 0. A writer adds itself, takes the cohort lock, and waits for each count to
 *            be 0. Readers starve while writers follow each other.
 * neutral    A reader takes the cohort lock, as a writer would, counts itself and releases it; a
 *            writer keeps it and waits for each count to be 0. As fair as the cohort lock, of which
 *            readers then pay the whole price.
 *
 * Invariants: a counted reader that saw `writers` at 0, or was counted under the cohort lock, is
 * inside; a writer is inside only after it has seen each count at 0, behind its addition to `writers`
 * and under the cohort lock. The count and `writers` are written and then the other is read,
 * sequentially consistent: one of the two sees the other (Dekker).
 *
 * Spinning. Cost: a reader 2 atomics on its node's line; a writer the cohort lock, an atomic on a line
 * that all writers write, and a read of each node's count.
 *
 * Memory: the cohort lock's, and a line a node.
 * Source: Calciu, Dice, Lev, Luchangco, Marathe and Shavit, "NUMA-Aware Reader-Writer Locks", PPoPP
 * 2013: C-RW-WP and C-RW-NP. Where it differs: theirs has no count of writers, but asks the cohort lock.
 */
#include <errno.h>
#include <string.h>

#include "env.h"
#include "error.h"
#include "locks/lock.h"
#include "shim/mark.h"
#include "thread.h"

extern const struct clv_lock_type clv_lock_cohort;

struct count {
	_Alignas(CLV_CACHE_LINE) uint32_t readers;
};

struct rwcohort {
	struct count *count; /* [nodes] */
	void *cohort;
	unsigned nodes;
	bool neutral;
	_Alignas(CLV_CACHE_LINE) uint32_t writers;
};

/* In the hold of a reader. */
enum { NODE_WORD = 0 };

static void give_back(struct rwcohort *lock)
{
	clv_free(lock->count, lock->nodes * sizeof(*lock->count));
	clv_free(lock->cohort, clv_lock_cohort.size_bytes);
}

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
	lock->cohort = clv_alloc(clv_lock_cohort.size_bytes, CLV_CACHE_LINE, -1);
	int code = lock->count && lock->cohort ?
			   clv_lock_cohort.init(lock->cohort, env, &rest, error) :
			   clv_error(error, -ENOMEM, "lock rwcohort: out of memory");
	if (code) {
		give_back(lock);
		return code;
	}
	clv_name(lock->count, lock->nodes * sizeof(*lock->count), sizeof(*lock->count),
		 "rwcohort's count", -1, count_fields);
	return 0;
}

static void fini(void *at)
{
	struct rwcohort *lock = at;

	clv_lock_cohort.fini(lock->cohort);
	give_back(lock);
}

static size_t memory(const void *at)
{
	const struct rwcohort *lock = at;

	return lock->nodes * sizeof(*lock->count) + CLV_CACHE_LINE +
	       clv_lock_cohort.memory(lock->cohort);
}

/* ---- readers ---- */

static uint32_t *own_count(const struct rwcohort *lock, const struct clv_hold *hold)
{
	const struct clv_topology *topology = hold->thread->env->topology;

	return &lock->count[topology->cpu[hold->thread->cpu].node].readers;
}

static void count_in(uint32_t *readers)
{
	/* Sequentially consistent: partner is the addition to `writers`, in acquire. */
	__atomic_fetch_add(readers, 1, __ATOMIC_SEQ_CST);
}

static void count_out(uint32_t *readers)
{
	/* Release: partner is the load in someone_inside. */
	__atomic_fetch_sub(readers, 1, __ATOMIC_RELEASE);
}

static uint32_t writers_of(const struct rwcohort *lock)
{
	/* As count_in; and acquire: partner is the release in `release`. */
	return __atomic_load_n(&lock->writers, __ATOMIC_SEQ_CST);
}

static bool enter(struct rwcohort *lock, struct clv_hold *hold)
{
	uint32_t *readers = own_count(lock, hold);

	/* The thread may be on another node when it leaves. */
	hold->state[NODE_WORD] = (uintptr_t)readers;
	count_in(readers);
	if (!writers_of(lock))
		return true;
	count_out(readers);
	return false;
}

static void acquire_shared(void *at, struct clv_hold *hold)
{
	struct rwcohort *lock = at;

	if (lock->neutral) {
		uint32_t *readers = own_count(lock, hold);

		clv_lock_cohort.acquire(lock->cohort, hold);
		count_in(readers);
		clv_lock_cohort.release(lock->cohort, hold);
		hold->state[NODE_WORD] = (uintptr_t)readers;
		return;
	}
	while (!enter(lock, hold)) {
		while (writers_of(lock))
			clv_pause();
	}
}

/* Of a neutral one, too: it fails if anybody has or wants the cohort lock. */
static bool try_acquire_shared(void *at, struct clv_hold *hold)
{
	struct rwcohort *lock = at;

	if (!lock->neutral)
		return enter(lock, hold);
	uint32_t *readers = own_count(lock, hold);

	if (!clv_lock_cohort.try_acquire(lock->cohort, hold))
		return false;
	count_in(readers);
	clv_lock_cohort.release(lock->cohort, hold);
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
	/* Partners: count_in, which saw `writers` or is seen here; acquire: count_out. */
	return __atomic_load_n(&count->readers, __ATOMIC_SEQ_CST);
}

static void leave(struct rwcohort *lock)
{
	/* Release: partner is writers_of. */
	if (!lock->neutral)
		__atomic_fetch_sub(&lock->writers, 1, __ATOMIC_RELEASE);
}

static void acquire(void *at, struct clv_hold *hold)
{
	struct rwcohort *lock = at;

	if (!lock->neutral)
		__atomic_fetch_add(&lock->writers, 1, __ATOMIC_SEQ_CST);
	clv_lock_cohort.acquire(lock->cohort, hold);
	for (unsigned i = 0; i < lock->nodes; i++) {
		while (someone_inside(&lock->count[i]))
			clv_pause();
	}
}

static void release(void *at, struct clv_hold *hold)
{
	struct rwcohort *lock = at;

	leave(lock);
	clv_lock_cohort.release(lock->cohort, hold);
}

static bool try_acquire(void *at, struct clv_hold *hold)
{
	struct rwcohort *lock = at;

	if (!lock->neutral)
		__atomic_fetch_add(&lock->writers, 1, __ATOMIC_SEQ_CST);
	if (!clv_lock_cohort.try_acquire(lock->cohort, hold)) {
		leave(lock);
		return false;
	}
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
	{ offsetof(struct rwcohort, writers), "writers" },
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
