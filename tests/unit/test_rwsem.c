// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The rwsem look-alike, rule by rule (the list at the head of lib/locks/rwsem.c), on a machine that
 * the test owns: fast paths and optimistic spinning. Queue: test_rwsem_queue.c.
 */
#include "rwsem_actors.h"

TestSuite(rwsem, .init = fresh, .fini = fake_end_all);

/* ---- fast paths ---- */

Test(rwsem, writer_takes_a_free_lock_without_waiting)
{
	struct clv_hold hold = {.thread = fake_start(NULL, NULL)};

	fake_clock_ns = 1;
	for (unsigned i = 0; i < 3; i++) {
		RWSEM.acquire(lock, &hold);
		cr_assert_eq(word(), WRITER);
		RWSEM.release(lock, &hold);
		cr_assert_eq(word(), 0);
	}
	cr_assert_eq(fake_now_ns, 0, "it looked at the clock");
}

Test(rwsem, readers_share)
{
	struct clv_hold a = {.thread = fake_start(NULL, NULL)};
	struct clv_hold b = {.thread = fake_start(NULL, NULL)};

	RWSEM.acquire_shared(lock, &a);
	RWSEM.acquire_shared(lock, &b);
	cr_assert_eq(word(), 2 * READER);
	RWSEM.release_shared(lock, &a);
	RWSEM.release_shared(lock, &b);
	cr_assert_eq(word(), 0);
}

Test(rwsem, writer_excludes)
{
	struct actor owner, other, guest;

	inside(writer(&owner));
	spins(writer(&other));
	sleeps(reader(&guest));
	cr_assert(!other.inside && !guest.inside);
	lets_go(&owner);
	cr_assert(got_ready(&guest), "granted by the release");
	cr_assert_eq(word(), READER);
	spins(&other);
	inside(&guest);
	spins(&other);
	lets_go(&guest);
	inside(&other);
	lets_go(&other);
	cr_assert_eq(word(), 0);
}

Test(rwsem, tries)
{
	const struct clv_lock_type *type = &RWSEM;
	struct clv_hold a = {.thread = fake_start(NULL, NULL)};
	struct clv_hold b = {.thread = fake_start(NULL, NULL)};
	struct actor queued;

	cr_assert(type->try_acquire(lock, &a));
	cr_assert(!type->try_acquire(lock, &b));
	cr_assert(!type->try_acquire_shared(lock, &b));
	cr_assert_eq(word(), WRITER, "a failed try leaves nothing behind");
	type->release(lock, &a);

	cr_assert(type->try_acquire_shared(lock, &a));
	cr_assert(type->try_acquire_shared(lock, &b));
	type->release_shared(lock, &b);
	cr_assert(!type->try_acquire(lock, &b));

	fake_pause_ns = 1000;
	sleeps(writer(&queued));
	cr_assert_eq(word(), READER | WAITERS);
	cr_assert(!type->try_acquire_shared(lock, &b), "no try past those who sleep");
	type->release_shared(lock, &a);
	cr_assert_eq(word(), WAITERS);
	cr_assert(!type->try_acquire_shared(lock, &b));
	cr_assert(!type->try_acquire(lock, &b));
	inside(&queued);
	lets_go(&queued);
	cr_assert_eq(word(), 0);
}

/* ---- optimistic spinning ---- */

Test(rwsem, spinner_stops_when_the_owner_sleeps)
{
	struct actor owner, spinner;

	inside(writer(&owner));
	spins(writer(&spinner));
	fake_set_off_cpu(owner.thread, true);
	sleeps(&spinner);
	cr_assert_eq(word(), WRITER | WAITERS);
	lets_go(&owner);
	inside(&spinner);
}

Test(rwsem, nobody_spins_on_an_owner_that_sleeps)
{
	struct actor owner, spinner, other;

	inside(writer(&owner));
	spins(writer(&spinner));
	fake_set_off_cpu(owner.thread, true);
	sleeps(writer(&other)); /* though the spinner has not found out yet */
	cr_assert_eq(fake_counts(other.thread)->pauses, 0);
}

Test(rwsem, spinner_goes_on_with_the_next_owner)
{
	struct actor owner, next, spinner;

	inside(writer(&owner));
	spins(writer(&spinner));
	lets_go(&owner);
	inside(writer(&next)); /* nobody sleeps, so by the fast path */
	spins(&spinner);
	lets_go(&next);
	inside(&spinner);
	cr_assert_eq(fake_counts(spinner.thread)->parks, 0);
}

Test(rwsem, only_the_head_of_the_spinners_watches_the_owner)
{
	struct actor owner, head, second, third;

	inside(writer(&owner));
	spins(writer(&head));
	cr_assert_geq(fake_counts(owner.thread)->watched, 100);

	fake_step(writer(&second)->thread);
	fake_step(writer(&third)->thread);
	unsigned watched = fake_counts(owner.thread)->watched;
	spins(&second);
	spins(&third);
	cr_assert_eq(fake_counts(owner.thread)->watched, watched);
	cr_assert_geq(fake_counts(head.thread)->watched, 100, "by the second");
	cr_assert_geq(fake_counts(second.thread)->watched, 100, "by the third");

	/* In order of arrival, and nobody slept. */
	lets_go(&owner);
	spins(&third);
	spins(&second);
	inside(&head);
	spins(&third);
	spins(&second);
	lets_go(&head);
	spins(&third);
	inside(&second);
	spins(&third);
	lets_go(&second);
	inside(&third);
	lets_go(&third);
	cr_assert_eq(word(), 0);
}

Test(rwsem, spinner_leaves_from_the_middle)
{
	struct actor owner, head, middle, last;

	inside(writer(&owner));
	spins(writer(&head));
	spins(writer(&middle));
	spins(writer(&last));
	fake_set_off_cpu(head.thread, true);
	sleeps(&middle);
	fake_set_off_cpu(head.thread, false);
	spins(&last);
	unsigned watched = fake_counts(head.thread)->watched;
	spins(&last);
	cr_assert_geq(fake_counts(head.thread)->watched, watched + 100, "it is next now");

	lets_go(&owner);
	inside(&head);
	spins(&last);
	lets_go(&head);
	inside(&last);
	cr_assert_eq(fake_counts(last.thread)->parks, 0);
	lets_go(&last);
	inside(&middle);
	lets_go(&middle);
	cr_assert_eq(word(), 0);
}

/* ---- spinning on readers ---- */

static void among_readers(unsigned readers, uint64_t patience_ns)
{
	enum { READERS_MAX = 64, PAUSE_NS = 10, TURNS_PER_CLOCK = 16 };
	static struct actor reading[READERS_MAX];
	struct actor spinner, late;

	fresh();
	fake_pause_ns = PAUSE_NS;
	for (unsigned i = 0; i < readers; i++)
		inside(reader(&reading[i]));
	uint64_t start_ns = fake_now_ns;
	sleeps(writer(&spinner));
	uint64_t spun_ns = fake_now_ns - start_ns;
	cr_assert_gt(spun_ns, patience_ns, "%u readers", readers);
	cr_assert_leq(spun_ns, patience_ns + (TURNS_PER_CLOCK + 1) * PAUSE_NS, "%u readers",
		      readers);

	sleeps(writer(&late));
	cr_assert_eq(fake_counts(late.thread)->pauses, 0, "it spun on a marked lock");

	for (unsigned i = 0; i < readers; i++)
		lets_go(&reading[i]);
	inside(&spinner);
	lets_go(&spinner);
	inside(&late);
	lets_go(&late);
	cr_assert_eq(word(), 0);
}

Test(rwsem, spinning_on_readers_is_limited)
{
	among_readers(1, 10500);
	among_readers(2, 11000);
	among_readers(10, 15000);
	among_readers(29, 24500);
	among_readers(30, 25000);
	among_readers(31, 25000);
	among_readers(64, 25000);
}

Test(rwsem, the_mark_ends_the_spinning_of_others)
{
	struct actor reading, first, second;

	fake_pause_ns = 100;
	inside(reader(&reading));
	spins(writer(&first)); /* 100 turns of 100 ns: not at its limit yet */
	fake_step(writer(&second)->thread);
	sleeps(&first);
	fake_step(second.thread); /* from its turn to the mark */
	cr_assert_eq(fake_state(second.thread), FAKE_PARKED);
}

Test(rwsem, the_mark_goes_with_the_last_reader)
{
	struct actor reading, sleeper, again, spinner;

	fake_pause_ns = 1000;
	inside(reader(&reading));
	sleeps(writer(&sleeper));
	lets_go(&reading);
	inside(reader(&again)); /* stolen before the sleeper is back */
	cr_assert_eq(fake_step(writer(&spinner)->thread), FAKE_PAUSED);
}

Test(rwsem, the_mark_goes_with_a_writer)
{
	struct actor reading, sleeper, thief, spinner;

	fake_pause_ns = 1000;
	inside(reader(&reading));
	sleeps(writer(&sleeper));
	lets_go(&reading);
	inside(writer(&thief));
	spins(writer(&spinner));
}

Test(rwsem, each_reader_phase_is_timed_anew)
{
	struct actor reading, between, again, spinner;

	fake_pause_ns = 90;
	inside(reader(&reading));
	spins(writer(&spinner)); /* 9 us of 10.5 */
	lets_go(&reading);
	inside(writer(&between));
	spins(&spinner);
	/* Seen between the release's two writes: no owner, and still not free. */
	fake_step_atomic(between.thread);
	fake_step_atomic(between.thread);
	cr_assert_eq(word(), WRITER);
	fake_step(spinner.thread);
	between.inside = true;
	lets_go(&between);
	inside(reader(&again));
	spins(&spinner); /* 18 us of spinning on readers */
	lets_go(&again);
	inside(&spinner);
}
