/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The rwsem look-alike under test, and threads that take it, stop inside, and let go when they are
 * run again. Where a rule cannot be seen from outside, tests look at the lock's word: it is the
 * first of the instance, and its layout is documented at the head of lib/locks/rwsem.c.
 */
#ifndef CLV_RWSEM_ACTORS_H
#define CLV_RWSEM_ACTORS_H

#include <criterion/criterion.h>
#include <string.h>

#include "fake_shim.h"
#include "locks/lock.h"
#include "rwsem_kind.h"
#include "thread.h"

enum { WRITER = 1, WAITERS = 2, HANDOFF = 4, READER = 256 };
enum { MS = 1000000, HANDOFF_AFTER_NS = 4 * MS };

struct actor {
	struct clv_hold hold;
	struct cleave_thread *thread;
	bool inside;
};

static inline uint64_t word(void)
{
	uint64_t value;

	memcpy(&value, lock, sizeof(value));
	return value;
}

static inline void fresh(void)
{
	cr_assert(make_fresh());
}

static inline void write_and_wait(struct cleave_thread *self, void *arg)
{
	struct actor *actor = arg;

	actor->hold.thread = self;
	RWSEM.acquire(lock, &actor->hold);
	actor->inside = true;
	fake_stop();
	actor->inside = false;
	RWSEM.release(lock, &actor->hold);
}

static inline void read_and_wait(struct cleave_thread *self, void *arg)
{
	struct actor *actor = arg;

	actor->hold.thread = self;
	RWSEM.acquire_shared(lock, &actor->hold);
	actor->inside = true;
	fake_stop();
	actor->inside = false;
	RWSEM.release_shared(lock, &actor->hold);
}

static inline struct actor *writer(struct actor *actor)
{
	*actor = (struct actor){0};
	actor->thread = fake_start(write_and_wait, actor);
	return actor;
}

static inline struct actor *reader(struct actor *actor)
{
	*actor = (struct actor){0};
	actor->thread = fake_start(read_and_wait, actor);
	return actor;
}

/* It gets in, without sleeping. */
static inline struct actor *inside(struct actor *actor)
{
	fake_run(actor->thread);
	cr_assert(actor->inside, "thread %u did not get in", actor->thread->id);
	return actor;
}

static inline void sleeps(struct actor *actor)
{
	cr_assert_eq(fake_run(actor->thread), FAKE_PARKED, "thread %u", actor->thread->id);
	cr_assert(!actor->inside);
}

static inline void spins(struct actor *actor)
{
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(fake_step(actor->thread), FAKE_PAUSED, "thread %u, turn %u",
			     actor->thread->id, i);
}

static inline void lets_go(struct actor *actor)
{
	cr_assert(actor->inside);
	cr_assert_eq(fake_run(actor->thread), FAKE_ENDED, "thread %u", actor->thread->id);
}

static inline unsigned woken(const struct actor *actor)
{
	return fake_counts(actor->thread)->woken;
}

static inline bool got_ready(const struct actor *actor)
{
	return fake_state(actor->thread) == FAKE_READY;
}

/* A queued writer behind an owner that does not run. */
static inline void queue_behind_sleeper(struct actor *owner, struct actor *queued)
{
	inside(writer(owner));
	fake_set_off_cpu(owner->thread, true);
	sleeps(writer(queued));
	cr_assert_eq(word(), WRITER | WAITERS);
}

/* Up to where a release has freed the word, and woken nobody yet. */
static inline void lets_go_halfway(struct actor *owner)
{
	while (word() & WRITER)
		cr_assert_eq(fake_step_atomic(owner->thread), FAKE_AT_POINT);
}

#endif
