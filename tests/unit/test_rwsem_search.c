// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * No schedule leaves anybody asleep, or two inside that exclude each other: small scenarios of the
 * rwsem look-alike and of its spinners' queue under every schedule with a few preemptions. What
 * could be lost here is a wake-up: between a release and a waiter that queues, a reader's count
 * that is taken back, a grant and a theft, a spinner that gives up and one that lets go.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "fake_shim.h"
#include "locks/lock.h"
#include "locks/osq.h"
#include "rwsem_kind.h"
#include "thread.h"

enum { US = 1000, MS = 1000 * US };

static struct clv_osq queue;
static unsigned writers_inside, readers_inside, gave_up, passed;

/* One letter an acquisition: w, r, or W and R for tries. */
static void use_lock(struct cleave_thread *self, void *arg)
{
	struct clv_hold hold = {.thread = self};

	for (const char *at = arg; *at; at++) {
		bool shared = *at == 'r' || *at == 'R';
		if (*at == 'w') {
			RWSEM.acquire(lock, &hold);
		} else if (*at == 'r') {
			RWSEM.acquire_shared(lock, &hold);
		} else if (shared ? !RWSEM.try_acquire_shared(lock, &hold)
				  : !RWSEM.try_acquire(lock, &hold)) {
			gave_up++;
			continue;
		}
		*(shared ? &readers_inside : &writers_inside) += 1;
		if (writers_inside > 1 || (writers_inside && readers_inside))
			fake_fail("%u writers and %u readers inside", writers_inside,
				  readers_inside);
		fake_point();
		*(shared ? &readers_inside : &writers_inside) -= 1;
		passed++;
		if (shared)
			RWSEM.release_shared(lock, &hold);
		else
			RWSEM.release(lock, &hold);
	}
}

static void start_users(void *arg)
{
	char *(*scripts)[4] = arg;

	if (!make_fresh())
		fake_fail("no lock");
	passed = gave_up = 0;
	for (unsigned i = 0; i < 4 && (*scripts)[i]; i++)
		/* On one node two of them, or three. */
		fake_start(use_lock, (*scripts)[i])->cpu = i == 1;
}

static void check_users(void *arg)
{
	char *(*scripts)[4] = arg;
	unsigned expected = 0;
	uint64_t word;

	for (unsigned i = 0; i < 4 && (*scripts)[i]; i++)
		expected += (unsigned)strlen((*scripts)[i]);
	if (passed + gave_up != expected)
		fake_fail("%u passed and %u gave up of %u", passed, gave_up, expected);
	memcpy(&word, lock, sizeof(word));
	if (word)
		fake_fail("the word ends as %llx", (unsigned long long)word);
	/* Behind the owner, a hint that stays: no spinner, no wait lock, no waiter. */
	for (unsigned i = 16; i < RWSEM_BYTES; i++)
		if (lock[i])
			fake_fail("byte %u of the lock ends as %x", i, lock[i]);
}

static void search_lock(char *a, char *b, char *c, char *d, struct fake_limits limits)
{
	char *scripts[4] = {a, b, c, d};
	unsigned long schedules = fake_explore(&limits, start_users, check_users, &scripts);

	fprintf(stderr, "%s %s %s %s: %lu schedules\n", a, b ? b : "", c ? c : "", d ? d : "",
		schedules);
	cr_assert_gt(schedules, 1);
	cr_assert(!limits.schedules || schedules <= limits.schedules);
	fake_end_all();
}

static void spin_briefly(void)
{
	fake_pause_ns = US;
}

/* Any look at the clock finds that 5 ms have passed: every second try sets handoff. */
static void hurry(void)
{
	fake_pause_ns = US;
	fake_clock_ns = 5 * MS;
}

TestSuite(rwsem_search, .init = spin_briefly, .timeout = 600);
TestSuite(rwsem_search_handoff, .init = hurry, .timeout = 600);

Test(rwsem_search, pairs)
{
	struct fake_limits limits = {.preemptions = 4, .off_cpu = 1};

	search_lock("ww", "w", NULL, NULL, limits);
	search_lock("w", "r", NULL, NULL, limits);
	search_lock("wr", "rw", NULL, NULL, limits);
	search_lock("wW", "rR", NULL, NULL, limits);
}

Test(rwsem_search, triples)
{
	struct fake_limits limits = {.preemptions = 3, .off_cpu = 1};

	search_lock("w", "w", "w", NULL, limits);
	search_lock("w", "w", "r", NULL, limits);
	search_lock("w", "r", "r", NULL, limits);
}

Test(rwsem_search, sleepers)
{
	/* Nobody spins on anybody, if that is wished: all go through the queue. */
	struct fake_limits limits = {.preemptions = 2, .off_cpu = 3, .stray_wakes = 1};

	search_lock("w", "w", "r", NULL, limits);
	search_lock("w", "r", "r", NULL, limits);
	search_lock("w", "w", "r", "r", limits);
}

Test(rwsem_search_handoff, triples)
{
	struct fake_limits limits = {.preemptions = 2, .off_cpu = 2};

	search_lock("w", "w", "w", NULL, limits);
	search_lock("w", "w", "r", NULL, limits);
	search_lock("ww", "w", "r", NULL, limits);
	search_lock("w", "w", "r", "r", limits);
}

/* ---- the spinners' queue by itself ---- */

static struct clv_osq closed; /* its head never exits, and does not run */
static struct cleave_thread *closed_head;

static void close_queue(void)
{
	closed.tail = NULL;
	closed_head = fake_start(NULL, NULL);
	clv_osq_enter(&closed, closed_head, CLV_OSQ_STAY);
	fake_set_off_cpu(closed_head, true);
}

static bool take_turn(struct clv_osq *at, struct cleave_thread *self)
{
	if (!clv_osq_enter(at, self, CLV_OSQ_MAY_LEAVE)) {
		gave_up++;
		return false;
	}
	if (writers_inside++)
		fake_fail("two at the head of the spinners' queue");
	fake_point();
	writers_inside--;
	passed++;
	clv_osq_exit(at, self);
	return true;
}

static void take_turns(struct cleave_thread *self, void *arg)
{
	for (unsigned rounds = *(unsigned *)arg; rounds; rounds--)
		take_turn(&queue, self);
}

static void take_turn_then_leave(struct cleave_thread *self, void *arg)
{
	(void)arg;
	take_turn(&queue, self);
	if (take_turn(&closed, self))
		fake_fail("past a head that never exits");
}

static void start_turns(void *arg)
{
	passed = gave_up = 0;
	for (unsigned i = 0; i < 3; i++)
		fake_start(take_turns, arg);
}

static unsigned gave_up_most;

static void check_turns(void *arg)
{
	if (passed + gave_up != 3 * *(unsigned *)arg || queue.tail)
		fake_fail("%u passed, %u gave up, tail %p", passed, gave_up, (void *)queue.tail);
	if (gave_up > gave_up_most)
		gave_up_most = gave_up;
}

Test(rwsem_search, spinners_that_leave)
{
	unsigned rounds = 1;
	struct fake_limits limits = {.preemptions = 3, .off_cpu = 2};

	unsigned long once = fake_explore(&limits, start_turns, check_turns, &rounds);
	cr_assert_eq(gave_up_most, 2);

	/* Nodes are used again while their old neighbours still leave. */
	rounds = 2;
	limits.preemptions = 2;
	unsigned long twice = fake_explore(&limits, start_turns, check_turns, &rounds);
	fprintf(stderr, "spinners: %lu and %lu schedules\n", once, twice);
	fake_end_all();
}

static void leave_closed(struct cleave_thread *self, void *arg)
{
	(void)arg;
	if (take_turn(&closed, self))
		fake_fail("past a head that never exits");
}

static void start_leavers(void *arg)
{
	passed = gave_up = 0;
	close_queue();
	for (unsigned i = 0; i < *(unsigned *)arg; i++)
		fake_start(leave_closed, NULL);
}

static void check_leavers(void *arg)
{
	if (gave_up != *(unsigned *)arg || closed.tail != &closed_head->osq)
		fake_fail("%u gave up, tail %p", gave_up, (void *)closed.tail);
	clv_osq_exit(&closed, closed_head);
	if (closed.tail)
		fake_fail("not empty in the end");
}

/* Neighbours that leave at once, all behind one that never lets go: each finds its way out. */
Test(rwsem_search, spinners_that_leave_together)
{
	unsigned leavers = 2;
	struct fake_limits limits = {.preemptions = 4, .off_cpu = 1};

	unsigned long two = fake_explore(&limits, start_leavers, check_leavers, &leavers);
	leavers = 3;
	limits.preemptions = 3;
	unsigned long three = fake_explore(&limits, start_leavers, check_leavers, &leavers);
	fprintf(stderr, "leavers: %lu and %lu schedules\n", two, three);
	fake_end_all();
}

static void start_movers(void *arg)
{
	(void)arg;
	passed = gave_up = 0;
	close_queue();
	for (unsigned i = 0; i < 3; i++)
		fake_start(take_turn_then_leave, NULL);
}

static void check_movers(void *arg)
{
	(void)arg;
	if (passed + gave_up != 6 || queue.tail || closed.tail != &closed_head->osq)
		fake_fail("%u passed, %u gave up, tail %p", passed, gave_up, (void *)queue.tail);
}

/* A node is in its next queue while a neighbour from the last one is still on its way out. */
Test(rwsem_search, spinners_that_go_to_another_queue)
{
	struct fake_limits limits = {.preemptions = 2, .off_cpu = 1};
	unsigned long schedules = fake_explore(&limits, start_movers, check_movers, NULL);

	fprintf(stderr, "movers: %lu schedules\n", schedules);
	fake_end_all();
}
