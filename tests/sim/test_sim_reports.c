// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Code under test that cannot go on, or never ends: it is said in one line which CPU does what, and
 * more can be had. Nothing here hangs if it works.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../harness/machine/sim/internal.h"
#include "../../lib/thread.h"
#include "rig.h"

TestSuite(sim_reports, .init = rig_open, .fini = rig_close);

static uint64_t *lock[2];
static struct cleave_thread *thread[2];
static char report[1000];

static void make_locks(void)
{
	for (int i = 0; i < 2; i++) {
		lock[i] = (uint64_t *)(void *)rig_lines(1, NODE_0);
		thread[i] = (struct cleave_thread *)(void *)rig_lines(16, NODE_0);
		clv_sim_name(lock[i], LINE, 0, "toy_lock", i, NULL);
	}
}

static bool try_lock(uint64_t *word)
{
	clv_sim_atomic(word, 8);
	bool was_free = !*word;
	*word = 1;
	return was_free;
}

static void acquire(unsigned i)
{
	clv_sim_mark(CLV_MARK_ASK, lock[i]);
	while (!try_lock(lock[i])) {
		while (get_word(lock[i]))
			clv_sim_pause();
	}
	clv_sim_mark(CLV_MARK_GOT, lock[i]);
}

static void acquire_or_park(unsigned i, unsigned self)
{
	clv_sim_mark(CLV_MARK_ASK, lock[i]);
	while (!try_lock(lock[i]))
		clv_sim_park(thread[self], UINT64_MAX);
	clv_sim_mark(CLV_MARK_GOT, lock[i]);
}

static void first_0_then_1(void)
{
	at(100 * US);
	acquire(0);
	at(200 * US);
	acquire(1);
}

static void first_1_then_0(void)
{
	at(100 * US);
	acquire(1);
	at(200 * US);
	acquire(0);
}

static void parking_0_then_1(void)
{
	at(100 * US);
	acquire_or_park(0, 0);
	at(200 * US);
	acquire_or_park(1, 0);
}

static void parking_1_then_0(void)
{
	at(100 * US);
	acquire_or_park(1, 1);
	at(200 * US);
	acquire_or_park(0, 1);
}

/* One line, in which these words are. */
static void expect_line(const char *text, const char *const *word)
{
	cr_assert(text[0] && !strchr(text, '\n'), "not one line: %s", text);
	for (; *word; word++)
		cr_assert(strstr(text, *word), "no '%s' in: %s", *word, text);
}
#define EXPECT_LINE(text, ...) \
	expect_line(text, (const char *const[]){ __VA_ARGS__, NULL })

/* The two CPUs' lines. */
static void expect_report(const char *how)
{
	size_t bytes = clv_sim_report_waiters(report, sizeof(report));
	cr_assert_eq(bytes, strlen(report));
	char *second = strchr(report, '\n');
	cr_assert(second, "%s", report);
	*second++ = '\0';
	cr_assert_eq(strchr(second, '\n'), second + strlen(second) - 1, "two lines: %s", second);
	second[strlen(second) - 1] = '\0';
	EXPECT_LINE(report, "CPU 0 ", how, "waiting for toy_lock 1", "which CPU 4 has");
	EXPECT_LINE(second, "CPU 4 ", how, "waiting for toy_lock 0", "which CPU 0 has");
}

Test(sim_reports, two_locks_in_opposite_order)
{
	make_locks();
	cr_assert_eq(TRY({ 0, first_0_then_1 }, { SAME_NODE, first_1_then_0 }), -EDEADLK);
	EXPECT_LINE(rig_error.text, "nobody can go on", "CPU 0", "toy_lock 1");
	expect_report("spins");
}

Test(sim_reports, two_sleeping_locks_in_opposite_order)
{
	make_locks();
	cr_assert_eq(TRY({ 0, parking_0_then_1 }, { SAME_NODE, parking_1_then_0 }), -EDEADLK);
	EXPECT_LINE(rig_error.text, "nobody can go on", "CPU 0", "toy_lock 1");
	expect_report("is parked");
}

/* Cut short, and still ended; the length is told. */
Test(sim_reports, report_with_little_room)
{
	make_locks();
	cr_assert_eq(TRY({ 0, first_0_then_1 }, { SAME_NODE, first_1_then_0 }), -EDEADLK);
	size_t bytes = clv_sim_report_waiters(report, sizeof(report));
	for (size_t room = 1; room < 100; room++) {
		char little[100];
		memset(little, '#', sizeof(little));
		cr_assert_eq(clv_sim_report_waiters(little, room), bytes, "%zu", room);
		cr_assert_eq(strlen(little), room - 1);
		cr_assert(!memcmp(little, report, room - 1));
	}
}

static void wait_for_nobody(void)
{
	while (!get_word(lock[0]))
		clv_sim_pause();
}

/* One CPU alone; no lock was asked for, and the line that it looks at has a name all the same. */
Test(sim_reports, waiting_for_nobody)
{
	make_locks();
	cr_assert_eq(TRY({ 3, wait_for_nobody }), -EDEADLK);
	EXPECT_LINE(rig_error.text, "nobody can go on", "CPU 3 spins", "toy_lock");
}

static void never_pause(void)
{
	while (!get_word(lock[0]))
		;
}

static void never_pause_atomic(void)
{
	while (!try_lock(lock[0]))
		;
}

static void busy(void)
{
	at(100 * US);
	acquire(1);
	at(1000000 * US);
}

Test(sim_reports, loop_without_pause)
{
	void (*const body[])(void) = { never_pause, never_pause_atomic };
	for (unsigned i = 0; i < 2; i++) {
		rig_close();
		rig_open();
		make_locks();
		*lock[0] = i;
		cr_assert_eq(TRY({ 5, body[i] }, { 0, busy }), -ELOOP);
		EXPECT_LINE(rig_error.text, "CPU 5 spins without clv_pause", "toy_lock");
		rig_close();
		rig_open();
		make_locks();
		*lock[0] = i;
		cr_assert_eq(TRY({ 5, body[i] }), -ELOOP, "and alone");
	}
}

static void never_end(void)
{
	while (!get_word(lock[0]))
		clv_sim_pause_bounded();
}

/* A livelock in which everyone pauses: the number of steps ends it, also of a CPU by itself. */
Test(sim_reports, no_end_after_so_many_steps)
{
	rig_config.steps_max = 100000;
	for (unsigned alone = 0; alone < 2; alone++) {
		rig_close();
		rig_open();
		make_locks();
		cr_assert_eq(alone ? TRY({ 5, never_end }) :
				     TRY({ 5, never_end }, { 8, never_end }), -ELOOP);
		EXPECT_LINE(rig_error.text, "no end after 100000 steps", "CPU 5");
	}
}

static uint64_t of_the_host;

static void write_outside(void)
{
	at(100 * US);
	clv_sim_store(&of_the_host, 8);
}

static void swap_outside(void)
{
	at(100 * US);
	clv_sim_atomic(&of_the_host, 8);
}

Test(sim_reports, write_to_the_hosts_memory)
{
	void (*const body[])(void) = { write_outside, swap_outside };
	char address[32];
	snprintf(address, sizeof(address), "%p", (void *)&of_the_host);
	for (unsigned i = 0; i < 2; i++) {
		rig_close();
		rig_open();
		cr_assert_eq(TRY({ 5, body[i] }), -EFAULT);
		EXPECT_LINE(rig_error.text, address, "CPU 5");
	}
}

static void read_outside(void)
{
	clv_sim_load(&of_the_host, 8);
}

Test(sim_reports, read_of_the_hosts_memory_is_counted)
{
	RUN({ 5, read_outside });
	cr_assert_eq(clv_sim_counts()->outside, 1);
}

/* ---- misuse ---- */

static void nothing(void)
{
}

Test(sim_reports, cpus_that_are_not_there_or_taken)
{
	cr_assert_eq(TRY({ 32, nothing }), -EINVAL);
	EXPECT_LINE(rig_error.text, "32");
	rig_close();
	rig_open();
	cr_assert_eq(TRY({ 3, nothing }, { 3, nothing }), -EINVAL);
	EXPECT_LINE(rig_error.text, "3");
}

Test(sim_reports, one_at_a_time)
{
	struct cleave_error error = { "" };
	cr_assert_eq(clv_sim_open(&rig_config, &error), -EBUSY);
	EXPECT_LINE(error.text, "one is running already");
	make_locks();
	RUN({ 0, nothing });
}

/* After any of these the next simulation starts afresh. */
Test(sim_reports, open_again_after_a_failure)
{
	make_locks();
	uint64_t *before = lock[0];
	cr_assert_eq(TRY({ 0, first_0_then_1 }, { SAME_NODE, first_1_then_0 }), -EDEADLK);
	rig_close();
	rig_open();
	make_locks();
	cr_assert_eq(lock[0], before);
	cr_assert_eq(*lock[0], 0);
	RUN({ 0, first_0_then_1 });
	cr_assert_eq(clv_sim_counts()->atomics, 2);
	cr_assert_eq(clv_sim_report_waiters(report, sizeof(report)), 0);
}
