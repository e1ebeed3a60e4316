// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Our mutex on a machine that the test owns. By script: who is woken, who may overtake, how long an
 * arrival spins. By search: no schedule leaves anybody asleep, two inside, or anything in its list:
 * small scenarios under every schedule with a few preemptions. What could be lost is the wake-up
 * between a release and a waiter that queues, one that is overtaken, and one that takes the lock
 * from the middle of the list because its park returned for no reason.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "fake_shim.h"
#include "locks/lock.h"
#include "thread.h"

extern const struct clv_lock_type clv_lock_mutex;

enum { US = 1000 };

static _Alignas(CLV_CACHE_LINE) unsigned char lock[CLV_CACHE_LINE];
static unsigned inside, gave_up, passed;

/* ---- by script ---- */

struct actor {
	struct clv_hold hold;
	struct cleave_thread *thread;
	bool inside;
};

static void hold_until_told(struct cleave_thread *self, void *arg)
{
	struct actor *actor = arg;

	actor->hold.thread = self;
	clv_lock_mutex.acquire(lock, &actor->hold);
	actor->inside = true;
	fake_stop();
	actor->inside = false;
	clv_lock_mutex.release(lock, &actor->hold);
}

/* One that holds it, and waiters that have gone to sleep in this order. */
static void start_actors(struct actor *actors, unsigned count)
{
	memset(lock, 0, sizeof(lock));
	for (unsigned i = 0; i < count; i++) {
		actors[i] = (struct actor){ 0 };
		actors[i].thread = fake_start(hold_until_told, &actors[i]);
		cr_assert_eq(fake_run(actors[i].thread), i ? FAKE_PARKED : FAKE_STOPPED);
	}
	cr_assert(actors[0].inside);
}

static void let_go(struct actor *actor)
{
	cr_assert(actor->inside);
	cr_assert_eq(fake_run(actor->thread), FAKE_ENDED);
}

static void fit(void)
{
	cr_assert_leq(clv_lock_mutex.size_bytes, sizeof(lock));
	fake_pause_ns = US;
}

TestSuite(mutex, .init = fit, .timeout = 60);

Test(mutex, wakes_one_at_a_time_in_order)
{
	static struct actor actors[4];

	start_actors(actors, 4);
	for (unsigned i = 1; i < 4; i++) {
		let_go(&actors[i - 1]);
		for (unsigned j = 1; j < 4; j++)
			cr_assert_eq(fake_counts(actors[j].thread)->woken, j <= i,
				     "waiter %u, release %u", j, i);
		cr_assert_eq(fake_run(actors[i].thread), FAKE_STOPPED);
		cr_assert(actors[i].inside);
	}
	let_go(&actors[3]);
	fake_end_all();
}

Test(mutex, is_free_to_who_comes_by)
{
	static struct actor actors[3], passer_by;

	start_actors(actors, 3);
	let_go(&actors[0]);
	passer_by.thread = fake_start(hold_until_told, &passer_by);
	cr_assert_eq(fake_run(passer_by.thread), FAKE_STOPPED);
	cr_assert(passer_by.inside);

	/* The first waiter stays first. */
	cr_assert_eq(fake_run(actors[1].thread), FAKE_PARKED);
	let_go(&passer_by);
	cr_assert_eq(fake_counts(actors[1].thread)->woken, 2);
	cr_assert_eq(fake_counts(actors[2].thread)->woken, 0);
	cr_assert_eq(fake_run(actors[1].thread), FAKE_STOPPED);
	let_go(&actors[1]);
	cr_assert_eq(fake_run(actors[2].thread), FAKE_STOPPED);
	let_go(&actors[2]);
	fake_end_all();
}

Test(mutex, spins_only_while_the_owner_runs)
{
	static struct actor actors[3];

	start_actors(actors, 2);
	unsigned pauses = fake_counts(actors[1].thread)->pauses;
	cr_assert_gt(pauses, 0);
	cr_assert_leq(pauses, 100);

	fake_set_off_cpu(actors[0].thread, true);
	actors[2].thread = fake_start(hold_until_told, &actors[2]);
	cr_assert_eq(fake_run(actors[2].thread), FAKE_PARKED);
	cr_assert_eq(fake_counts(actors[2].thread)->pauses, 0);
	fake_end_all();
}

/* ---- by search ---- */

/* One letter an acquisition: w, or W for a try. */
static void use_lock(struct cleave_thread *self, void *arg)
{
	struct clv_hold hold = { .thread = self };

	for (const char *at = arg; *at; at++) {
		if (*at == 'w') {
			clv_lock_mutex.acquire(lock, &hold);
		} else if (!clv_lock_mutex.try_acquire(lock, &hold)) {
			gave_up++;
			continue;
		}
		if (inside++)
			fake_fail("two inside");
		fake_point();
		inside--;
		passed++;
		clv_lock_mutex.release(lock, &hold);
	}
}

static void start_users(void *arg)
{
	char *(*scripts)[4] = arg;

	memset(lock, 0, sizeof(lock));
	passed = gave_up = 0;
	for (unsigned i = 0; i < 4 && (*scripts)[i]; i++)
		fake_start(use_lock, (*scripts)[i]);
}

static void check_users(void *arg)
{
	char *(*scripts)[4] = arg;
	unsigned expected = 0;

	for (unsigned i = 0; i < 4 && (*scripts)[i]; i++)
		expected += (unsigned)strlen((*scripts)[i]);
	if (passed + gave_up != expected)
		fake_fail("%u passed and %u gave up of %u", passed, gave_up, expected);
	for (unsigned i = 0; i < clv_lock_mutex.size_bytes; i++) {
		if (lock[i])
			fake_fail("byte %u of the lock ends as %x", i, lock[i]);
	}
}

static void search(char *a, char *b, char *c, char *d, struct fake_limits limits)
{
	char *scripts[4] = { a, b, c, d };
	unsigned long schedules = fake_explore(&limits, start_users, check_users, &scripts);

	fprintf(stderr, "mutex %s %s %s %s: %lu schedules\n", a, b, c ? c : "", d ? d : "",
		schedules);
	cr_assert_gt(schedules, 1);
	fake_end_all();
}

TestSuite(mutex_search, .init = fit, .timeout = 600);

Test(mutex_search, spinners)
{
	struct fake_limits limits = { .preemptions = 4 };

	search("ww", "w", NULL, NULL, limits);
	search("wW", "Ww", NULL, NULL, limits);
	limits.preemptions = 3;
	search("w", "w", "w", NULL, limits);
}

/* The owner is off its CPU when looked at, so that waiters queue. */
Test(mutex_search, sleepers)
{
	struct fake_limits limits = { .preemptions = 3, .off_cpu = 2 };

	search("ww", "ww", NULL, NULL, limits);
	search("w", "w", "w", NULL, limits);
	search("ww", "w", "w", NULL, limits);
	search("w", "w", "W", NULL, limits);
	limits.preemptions = 2;
	search("w", "w", "w", "w", limits);
}

Test(mutex_search, stray_wakes)
{
	struct fake_limits limits = { .preemptions = 2, .off_cpu = 3, .stray_wakes = 2 };

	search("ww", "w", NULL, NULL, limits);
	search("w", "w", "w", NULL, limits);
	search("w", "w", "w", "w", (struct fake_limits){
		.preemptions = 1, .off_cpu = 3, .stray_wakes = 2 });
}
