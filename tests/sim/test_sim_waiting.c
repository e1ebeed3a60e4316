// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Waiting: CPUs that spin are taken out until what they read is written, parked ones until they are
 * woken, and both go on at the time at which they would have seen it.
 */
#include "../../lib/thread.h"
#include "rig.h"

TestSuite(sim_waiting, .init = rig_open, .fini = rig_close);

static uint64_t *flag, *other;
static uint64_t seen, turns, took[8];

static void lines(void)
{
	flag = (uint64_t *)(void *)rig_lines(1, NODE_0);
	other = (uint64_t *)(void *)rig_lines(1, NODE_0);
	turns = 0;
}

static void store_at(uint64_t us, uint64_t *word, uint64_t value)
{
	at(us * US);
	put_word(word, value);
}

static void set_at_200(void)
{
	store_at(200, flag, 1);
}

/* ---- spinning ---- */

static void spin(void)
{
	at(100 * US);
	while (!get_word(flag)) {
		turns++;
		clv_sim_pause();
	}
	seen = clv_sim_settle();
}

/*
 * CPU 4's first look comes from memory, 101, and its first pause is over at 138. From there on a
 * turn is a hit and a pause, 2 + 37. CPU 0 asks for the line at 200 us + 1 and has it 103 later.
 * CPU 4 misses it with the first turn after it was asked for, at 100 us + 138 + 2561 * 39 =
 * 200.017 us. It waits for the line, and reads it for 97.
 */
Test(sim_waiting, spinner_goes_on_with_its_next_turn)
{
	lines();
	RUN({ 0, set_at_200 }, { SAME_NODE, spin });
	EXPECT_NS(seen, 200000 + 104 + 97);
	cr_assert_lt(turns, 10, "taken out, not simulated: %" PRIu64 " turns", turns);
}

static void work_then_spin(void)
{
	at(60 * US);
	get_word(other);
	clv_sim_pause_bounded();
	spin();
}

/* The same: what the CPU did before is no part of a turn. */
Test(sim_waiting, work_before_the_loop_is_no_turn)
{
	lines();
	RUN({ 0, set_at_200 }, { SAME_NODE, work_then_spin });
	EXPECT_NS(seen, 200000 + 104 + 97);
}

static void set_in_two_steps(void)
{
	store_at(150, flag + 1, 1); /* the same line */
	store_at(200, flag, 1);
}

/*
 * Woken for nothing, and as if it had looked all the time: CPU 0 asks for the line at 150.001 us;
 * the turn at 100 us + 138 + 1279 * 39 = 150.019 misses it, has it at 150.104 + 97 and is over 37
 * later, at 150.238; then turns are 39 again. The second store finds a copy at CPU 4 and has one
 * itself: an upgrade, at 200.001 + 89. The turn at 150.238 + 1276 * 39 = 200.002 misses it.
 */
Test(sim_waiting, spinner_that_was_woken_for_nothing)
{
	lines();
	RUN({ 0, set_in_two_steps }, { SAME_NODE, spin });
	EXPECT_NS(seen, 200000 + 90 + 97);
}

static void set_other_before(void)
{
	store_at(150, other, 1);
	store_at(200, flag, 1);
}

Test(sim_waiting, store_to_another_line_wakes_nobody)
{
	lines();
	RUN({ 0, set_at_200 }, { SAME_NODE, spin });
	uint64_t alone = seen, turns_alone = turns;
	rig_close();
	rig_open();
	lines();
	RUN({ 0, set_other_before }, { SAME_NODE, spin });
	cr_assert_eq(turns, turns_alone);
	cr_assert_eq(seen, alone);
}

/* Two lines in one turn: either wakes. */
static void spin_on_two(void)
{
	at(100 * US);
	while (!get_word(flag) && !get_word(other)) {
		turns++;
		clv_sim_pause();
	}
	seen = clv_sim_settle();
}

static void set_other_at_200(void)
{
	store_at(200, other, 1);
}

Test(sim_waiting, any_line_of_the_turn_wakes)
{
	void (*const setter[])(void) = { set_at_200, set_other_at_200 };
	for (unsigned i = 0; i < 2; i++) {
		rig_close();
		rig_open();
		lines();
		RUN({ 0, setter[i] }, { SAME_NODE, spin_on_two });
		cr_assert(seen > 200 * US && seen < 201 * US, "%u: %" PRIu64, i, seen);
		cr_assert_lt(turns, 10);
	}
}

static void look_long(void)
{
	at(100 * US);
	while (!get_word(flag)) {
		clv_sim_compute(1 * US);
		clv_sim_pause();
	}
	seen = clv_sim_settle();
}

static void set_in_between(void)
{
	at(100 * US + 500 * NS);
	put_word(flag, 1);
}

/* Written between the look and the pause: that pause must not be for ever. */
Test(sim_waiting, write_before_the_pause_is_not_missed)
{
	lines();
	RUN({ 0, set_in_between }, { SAME_NODE, look_long });
	/* Compute ends at 1001, the pause at 1038; the line is CPU 0's since 604. */
	EXPECT_NS(seen, 100000 + 1 + 1000 + 37 + 97);
}

static void look_at_other_field(void)
{
	at(100 * US);
	while (!get_word(flag)) {
		clv_sim_compute(1 * US);
		get_word(flag + 1);
		clv_sim_pause();
	}
	seen = clv_sim_settle();
}

/* Nor if the new version of the line has been read since, at another word. */
Test(sim_waiting, later_read_of_the_line_hides_no_write)
{
	lines();
	RUN({ 0, set_in_between }, { SAME_NODE, look_at_other_field });
	cr_assert_lt(seen, 102 * US);
}

static void spin_by_atomic(void)
{
	at(100 * US);
	for (;;) {
		clv_sim_atomic(flag, 8);
		if (*flag)
			break;
		turns++;
		clv_sim_pause();
	}
	seen = clv_sim_settle();
}

/*
 * A turn that writes is never taken out. It is 1 + 23 + 37, after the first one's 1 + 101 + 23 +
 * 37: up to 200 us, 1 and (100000 - 162) / 61 = 1636.7 turns end; one or two more see the line go
 * and come back.
 */
Test(sim_waiting, turn_with_an_atomic_is_simulated)
{
	lines();
	RUN({ 0, set_at_200 }, { SAME_NODE, spin_by_atomic });
	cr_assert(turns >= 1637 && turns <= 1639, "%" PRIu64, turns);
}

static void spin_bounded(void)
{
	at(100 * US);
	while (!get_word(flag)) {
		turns++;
		clv_sim_pause_bounded();
	}
	seen = clv_sim_settle();
}

static void spin_by_clock(void)
{
	at(100 * US);
	while (!get_word(flag) && clv_sim_now_ns() < 180000) {
		turns++;
		clv_sim_pause();
	}
	seen = clv_sim_settle();
}

/*
 * Who counts or looks at the time goes on: turn by turn, and sees it when one taken out does. While
 * the write's request is on its way, one more turn may see the old value.
 */
Test(sim_waiting, bounded_turn_is_simulated)
{
	lines();
	RUN({ 0, set_at_200 }, { SAME_NODE, spin_bounded });
	cr_assert(turns >= 2562 && turns <= 2563, "%" PRIu64, turns);
	EXPECT_NS(seen, 200000 + 104 + 97);

	rig_close();
	rig_open();
	lines();
	RUN({ 0, set_at_200 }, { SAME_NODE, spin_by_clock });
	cr_assert(seen >= 180 * US && seen < 181 * US, "%" PRIu64, seen);
}

/* ---- parking ---- */

static struct cleave_thread *sleeper;
static bool woken[3];

static void make_sleeper(void)
{
	cr_assert_lt(sizeof(*sleeper), 4096);
	sleeper = (struct cleave_thread *)(void *)rig_lines(16, NODE_0);
}

static void own_parker(void)
{
	clv_sim_atomic(&sleeper->parker.state, 4);
}

static void park_for_a_while(void)
{
	own_parker();
	at(100 * US);
	woken[0] = clv_sim_park(sleeper, 5000);
	took[0] = clv_sim_settle() - 100 * US;
	woken[1] = clv_sim_park(sleeper, 0);
	took[1] = clv_sim_settle() - 100 * US;
}

/*
 * An atomic on the word, 24; a store to another of the line, 1; the CPU is given up, 701. From
 * there the time-out counts. Then the same store and atomic, 1 + 24.
 */
Test(sim_waiting, park_times_out)
{
	make_sleeper();
	RUN({ 0, park_for_a_while });
	cr_assert(!woken[0] && !woken[1]);
	EXPECT_NS(took[0], 24 + 1 + 701 + 5000 + 1 + 24);
	EXPECT_NS(took[1], 2 * (24 + 1 + 701 + 1 + 24) + 5000);
}

static void park_for_ever(void)
{
	own_parker();
	at(100 * US);
	woken[0] = clv_sim_park(sleeper, UINT64_MAX);
	took[0] = clv_sim_settle();
	woken[1] = clv_sim_park(sleeper, 1000); /* that wake has been used up */
}

static uint64_t timeout_ns;

static void park_for_long(void)
{
	own_parker();
	at(100 * US);
	woken[0] = clv_sim_park(sleeper, timeout_ns);
	took[0] = clv_sim_settle();
}

static void wake_at_200(void)
{
	at(200 * US);
	clv_sim_wake(sleeper);
	took[1] = clv_sim_settle();
}

/*
 * The waker, CPU 4: its atomic takes the parker's line from CPU 0, 1 + 103 + 23, the call 503.
 * The sleeper is back 1009 later; its store has the line after 1 + 103, and the atomic, which is
 * issued meanwhile and is behind the store, is done 23 after that.
 */
Test(sim_waiting, wake_ends_a_park)
{
	static const uint64_t timeout[] = { UINT64_C(86400) * 1000000000, (UINT64_C(1) << 54) / 1000 + 1,
					    UINT64_MAX / 1000 - 1, UINT64_MAX - 1 };
	for (unsigned i = 0; i < 1 + sizeof(timeout) / sizeof(timeout[0]); i++) {
		rig_close();
		rig_open();
		make_sleeper();
		timeout_ns = i ? timeout[i - 1] : 0;
		RUN({ 0, i ? park_for_long : park_for_ever }, { SAME_NODE, wake_at_200 });
		EXPECT_NS(took[1], 200000 + 127 + 503);
		EXPECT_NS(took[0], 200000 + 127 + 503 + 1009 + 1 + 103 + 23);
		cr_assert(woken[0] && !woken[1]);
	}
}

static void wake_at_50(void)
{
	at(50 * US);
	clv_sim_wake(sleeper);
	took[1] = clv_sim_settle();
}

static void park_at_100(void)
{
	at(100 * US);
	woken[0] = clv_sim_park(sleeper, UINT64_MAX);
	took[0] = clv_sim_settle();
	woken[1] = clv_sim_park(sleeper, 1000);
}

/* A wake that came first is remembered: the park is its atomic, and nobody was woken for 503. */
Test(sim_waiting, wake_before_the_park)
{
	make_sleeper();
	RUN({ 0, park_at_100 }, { SAME_NODE, wake_at_50 });
	EXPECT_NS(took[1], 50000 + 1 + 101 + 23);
	EXPECT_NS(took[0], 100000 + 1 + 103 + 23);
	cr_assert(woken[0] && !woken[1]);
}

static void wake_while_giving_up(void)
{
	at(100 * US + 300 * NS);
	clv_sim_wake(sleeper);
}

/* In the middle of the 701 of giving up. */
Test(sim_waiting, wake_meets_the_park)
{
	make_sleeper();
	RUN({ 0, park_for_ever }, { SAME_NODE, wake_while_giving_up });
	cr_assert(woken[0]);
	cr_assert_lt(took[0], 105 * US);
}
