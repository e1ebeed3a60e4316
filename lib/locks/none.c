// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * No lock, for maps that one thread uses at a time: what a design costs without synchronisation.
 *
 * It orders nothing and never waits; a try never fails. With assertions (no NDEBUG) a count of who
 * is inside catches an overlap that a lock would have kept apart. The count is relaxed, so that the
 * thread sanitizer still sees the races that it stands for.
 *
 * 4 bytes an instance. Of fairness, preference or a source there is nothing to say.
 */
#include <assert.h>

#include "locks/lock.h"

/* `inside` counts readers in its low half; a writer is the bit above them. */
#define WRITER ((uint32_t)1 << 16)

struct none {
	uint32_t inside;
};

static void enter(struct none *none, uint32_t change, uint32_t excluded)
{
#ifdef NDEBUG
	(void)none, (void)change, (void)excluded;
#else
	uint32_t before = __atomic_fetch_add(&none->inside, change, __ATOMIC_RELAXED);
	assert(!(before & excluded) && "lock none: used by two threads at a time");
#endif
}

static void leave(struct none *none, uint32_t change)
{
#ifdef NDEBUG
	(void)none, (void)change;
#else
	uint32_t before = __atomic_fetch_sub(&none->inside, change, __ATOMIC_RELAXED);
	assert(before >= change && "lock none: released by who does not hold it");
#endif
}

static void acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	enter(lock, WRITER, ~(uint32_t)0);
}

static void release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	leave(lock, WRITER);
}

static bool try_acquire(void *lock, struct clv_hold *hold)
{
	acquire(lock, hold);
	return true;
}

static void acquire_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	enter(lock, 1, ~(WRITER - 1));
}

static void release_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	leave(lock, 1);
}

static bool try_acquire_shared(void *lock, struct clv_hold *hold)
{
	acquire_shared(lock, hold);
	return true;
}

static const struct cleave_field fields[] = {
	{ offsetof(struct none, inside), "inside" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_none = {
	.name = "none",
	.summary = "no lock: one thread at a time",
	.source = "none",
	.flags = CLV_LOCK_ONE_THREAD,
	.size_bytes = sizeof(struct none),
	.acquire = acquire,
	.release = release,
	.try_acquire = try_acquire,
	.acquire_shared = acquire_shared,
	.release_shared = release_shared,
	.try_acquire_shared = try_acquire_shared,
	.fields = fields,
};
