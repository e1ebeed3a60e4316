// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The rwsem look-alike, rule by rule, on a machine that the test owns: its queue of sleepers, who
 * is woken, who may steal, and handoff. Fast paths and spinning: test_rwsem.c.
 */
#include "rwsem_actors.h"

TestSuite(rwsem_queue, .init = fresh, .fini = fake_end_all);

/* ---- writers: stealing, handoff ---- */

Test(rwsem_queue, writer_is_woken_alone_and_overtaken)
{
	struct actor owner, first, second, thief;

	queue_behind_sleeper(&owner, &first);
	sleeps(writer(&second));
	lets_go(&owner);
	cr_assert(got_ready(&first));
	cr_assert_eq(woken(&second), 0);
	cr_assert_eq(word(), WAITERS, "woken without ownership");

	inside(writer(&thief));
	sleeps(&first);
	lets_go(&thief);
	cr_assert_eq(woken(&first), 2);
	cr_assert_eq(woken(&second), 0);
	inside(&first);
	spins(writer(&thief));
	cr_assert_geq(fake_counts(first.thread)->watched, 100, "it is the owner");
	fake_set_off_cpu(first.thread, true);
	sleeps(&thief);
	lets_go(&first);
	cr_assert_eq(woken(&second), 1);
	inside(&second);
	lets_go(&second);
	inside(&thief);
	cr_assert_eq(word(), WRITER, "the queue is empty");
	lets_go(&thief);
}

/* The head has waited for that long when it finds the lock stolen. Returns: does it set handoff? */
static bool hands_off_after(uint64_t waited_ns)
{
	struct actor owner, head, thief;

	fresh();
	queue_behind_sleeper(&owner, &head);
	fake_now_ns += waited_ns;
	cr_assert_eq(word(), WRITER | WAITERS, "a sleeper sets nothing");
	lets_go(&owner);
	inside(writer(&thief));
	bool set = fake_step(head.thread) == FAKE_PAUSED;
	cr_assert_eq(!!(word() & HANDOFF), set, "one that set it watches a running owner");
	cr_assert_eq(fake_state(head.thread), set ? FAKE_PAUSED : FAKE_PARKED);
	lets_go(&thief);
	if (!set)
		inside(writer(&thief));
	else
		spins(writer(&thief)); /* it is free, but not for this one */
	return set;
}

Test(rwsem_queue, handoff_after_4_ms_and_not_before)
{
	cr_assert(!hands_off_after(0));
	cr_assert(!hands_off_after(HANDOFF_AFTER_NS - 1));
	cr_assert(!hands_off_after(HANDOFF_AFTER_NS));
	cr_assert(hands_off_after(HANDOFF_AFTER_NS + 1));
	cr_assert(hands_off_after(100 * HANDOFF_AFTER_NS));
}

Test(rwsem_queue, handoff_stops_everybody_else)
{
	struct actor owner, head, second, thief, spinner, guest;

	queue_behind_sleeper(&owner, &head);
	sleeps(writer(&second));
	fake_now_ns += HANDOFF_AFTER_NS + 1;
	lets_go(&owner);
	inside(writer(&thief));
	fake_step(head.thread);
	lets_go(&thief);
	cr_assert_eq(word(), WAITERS | HANDOFF, "free, and promised");

	spins(writer(&spinner));
	sleeps(reader(&guest));
	/* The second is first to look, and yields. */
	clv_wake(second.thread);
	sleeps(&second);

	inside(&head);
	cr_assert_eq(word(), WRITER | WAITERS, "handoff ends when it is honoured");
	lets_go(&head);
	inside(&spinner); /* stealing is allowed again */
	lets_go(&spinner);
	inside(&second);
	lets_go(&second);
	inside(&guest);
	lets_go(&guest);
	cr_assert_eq(word(), 0);
}

Test(rwsem_queue, head_with_handoff_sleeps_when_the_owner_does)
{
	struct actor owner, head, thief;

	queue_behind_sleeper(&owner, &head);
	fake_now_ns += HANDOFF_AFTER_NS + 1;
	lets_go(&owner);
	inside(writer(&thief));
	spins(&head);
	fake_set_off_cpu(thief.thread, true);
	sleeps(&head);
	lets_go(&thief);
	inside(&head);
}

Test(rwsem_queue, reader_at_the_head_asks_for_handoff)
{
	for (int late = 0; late < 2; late++) {
		struct actor owner, guest, thief, next;

		fresh();
		inside(writer(&owner));
		sleeps(reader(&guest));
		fake_now_ns += HANDOFF_AFTER_NS + late;
		lets_go_halfway(&owner);
		inside(writer(&thief));
		owner.inside = true;
		lets_go(&owner);
		cr_assert_eq(word(), WRITER | WAITERS | (late ? HANDOFF : 0), "late %d", late);
		cr_assert_eq(woken(&guest), 0);
		lets_go_halfway(&thief);
		if (late)
			spins(writer(&next));
		thief.inside = true;
		lets_go(&thief);
		cr_assert_eq(word(), READER, "granted, handoff over, nobody queued");
		inside(&guest);
	}
}

/* ---- readers ---- */

Test(rwsem_queue, reader_steals_past_a_sleeping_writer)
{
	struct actor owner, queued, guest;

	queue_behind_sleeper(&owner, &queued);
	lets_go(&owner);
	inside(reader(&guest));
	cr_assert_eq(word(), READER | WAITERS);
	sleeps(&queued);
	lets_go(&guest);
	inside(&queued);
}

Test(rwsem_queue, reader_does_not_join_readers_past_a_sleeper)
{
	struct actor reading, queued, guest;

	fake_pause_ns = 1000;
	inside(reader(&reading));
	sleeps(writer(&queued));
	sleeps(reader(&guest));
	cr_assert_eq(word(), READER | WAITERS, "it took its count back");
	cr_assert_eq(fake_counts(guest.thread)->pauses, 0, "readers do not spin");
	lets_go(&reading);
	inside(&queued);
	lets_go(&queued);
	inside(&guest);
	lets_go(&guest);
	cr_assert_eq(word(), 0);
}

Test(rwsem_queue, reader_alone_steals_though_the_last_owner_was_a_reader)
{
	struct actor reading, queued, guest;

	fake_pause_ns = 1000;
	inside(reader(&reading));
	sleeps(writer(&queued));
	lets_go(&reading);
	inside(reader(&guest));
}

Test(rwsem_queue, first_reader_that_steals_lets_in_the_queue)
{
	struct actor owner, queued[2], guest;

	inside(writer(&owner));
	sleeps(reader(&queued[0]));
	sleeps(reader(&queued[1]));
	lets_go_halfway(&owner);
	inside(reader(&guest));
	cr_assert_eq(word(), 3 * READER);
	cr_assert(got_ready(&queued[0]) && got_ready(&queued[1]));
	owner.inside = true;
	lets_go(&owner);
	cr_assert_eq(word(), 3 * READER, "there was nobody left to wake");
}

Test(rwsem_queue, reader_that_steals_wakes_no_writer)
{
	struct actor owner, head, behind, guest;

	queue_behind_sleeper(&owner, &head);
	sleeps(reader(&behind));
	lets_go_halfway(&owner);
	inside(reader(&guest));
	cr_assert_eq(woken(&head), 0);
	cr_assert_eq(woken(&behind), 0);
	cr_assert_eq(word(), READER | WAITERS);
}

Test(rwsem_queue, readers_are_let_in_together_past_writers)
{
	struct actor owner, r[3], w[2];

	inside(writer(&owner));
	fake_set_off_cpu(owner.thread, true);
	sleeps(reader(&r[0]));
	sleeps(writer(&w[0]));
	sleeps(reader(&r[1]));
	sleeps(writer(&w[1]));
	sleeps(reader(&r[2]));
	lets_go(&owner);
	cr_assert_eq(word(), 3 * READER | WAITERS);
	for (int i = 0; i < 3; i++)
		cr_assert(got_ready(&r[i]), "reader %d", i);
	cr_assert(!woken(&w[0]) && !woken(&w[1]));
	for (int i = 0; i < 3; i++)
		inside(&r[i]);
	for (int i = 0; i < 3; i++)
		lets_go(&r[i]);
	inside(&w[0]);
	lets_go(&w[0]);
	inside(&w[1]);
	lets_go(&w[1]);
	cr_assert_eq(word(), 0);
}

static unsigned woken_under_wait_lock;

/* After the words of the head comment: word, owner, spinners, then the wait lock. */
static void look_at_wait_lock(struct cleave_thread *thread)
{
	uint32_t held;

	(void)thread;
	memcpy(&held, lock + 24, sizeof(held));
	woken_under_wait_lock += held;
}

Test(rwsem_queue, at_most_256_readers_are_let_in_at_once)
{
	enum { BEFORE = 100, BEHIND = 200, ALL = BEFORE + BEHIND, AT_ONCE = 256 };
	static struct actor r[ALL];
	struct actor owner, between;

	inside(writer(&owner));
	fake_set_off_cpu(owner.thread, true);
	for (int i = 0; i < BEFORE; i++)
		sleeps(reader(&r[i]));
	sleeps(writer(&between));
	for (int i = BEFORE; i < ALL; i++)
		sleeps(reader(&r[i]));
	fake_on_wake = look_at_wait_lock;
	lets_go(&owner);
	cr_assert_eq(word(), AT_ONCE * READER | WAITERS);
	for (int i = 0; i < ALL; i++)
		cr_assert_eq(got_ready(&r[i]), i < AT_ONCE, "reader %d", i);
	for (int i = 0; i < AT_ONCE; i++) {
		inside(&r[i]);
		lets_go(&r[i]);
	}
	cr_assert_eq(woken(&between), 1);
	inside(&between);
	lets_go(&between);
	cr_assert_eq(word(), (ALL - AT_ONCE) * READER);
	for (int i = AT_ONCE; i < ALL; i++) {
		inside(&r[i]);
		lets_go(&r[i]);
	}
	cr_assert_eq(word(), 0);
	cr_assert_eq(woken_under_wait_lock, 0);
}

Test(rwsem_queue, writer_that_queues_lets_in_readers_at_the_head)
{
	enum { ALL = 300, AT_ONCE = 256 };
	static struct actor r[ALL];
	struct actor owner, late;

	inside(writer(&owner));
	for (int i = 0; i < ALL; i++)
		sleeps(reader(&r[i]));
	lets_go(&owner);
	cr_assert_eq(word(), AT_ONCE * READER | WAITERS);
	fake_pause_ns = 1000;
	sleeps(writer(&late));
	cr_assert_eq(word(), ALL * READER | WAITERS);
	cr_assert(got_ready(&r[ALL - 1]));
}

/* Who takes its count back does what the last release could not. */
Test(rwsem_queue, reader_that_queues_wakes_the_head)
{
	struct actor reading, queued, guest, again, spinner;

	fake_pause_ns = 1000;
	inside(reader(&reading));
	sleeps(writer(&queued));
	/* The guest counts itself, and is about to queue: the lock looks read-held for a while. */
	reader(&guest);
	while (word() != (2 * READER | WAITERS))
		cr_assert_eq(fake_step_atomic(guest.thread), FAKE_AT_POINT);
	fake_step_atomic(guest.thread); /* has looked at the owner: readers */
	lets_go(&reading);
	cr_assert_eq(woken(&queued), 0);
	sleeps(&guest);
	cr_assert_eq(woken(&queued), 1);

	/* And takes off the mark. */
	inside(reader(&again));
	cr_assert_eq(fake_step(writer(&spinner)->thread), FAKE_PAUSED);
	sleeps(&queued);
}
