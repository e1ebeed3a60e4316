// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What one core does with its accesses: what overlaps, what waits for what. See core.h for the
 * rules. Lines are on the other package (a load 307), and a home takes any number of requests.
 */
#include <errno.h>
#include <string.h>

#include "rig.h"

static char *line, *other, *near;
static uint64_t took[8];

static void open_wide(void)
{
	rig_costs.home_ps = 0;
	rig_open();
	line = rig_lines(64, NODE_2);
	other = rig_lines(64, NODE_2);
	near = rig_lines(4, NODE_0);
}

TestSuite(sim_core, .init = open_wide, .fini = rig_close);

static void reopen(void)
{
	rig_close();
	open_wide();
}

static void *nth(unsigned i)
{
	return line + (size_t)i * LINE;
}

static void own(const void *at)
{
	clv_sim_store(at, 8);
	clv_sim_settle();
}

/* ---- loads ---- */

static void overlapping_loads(void)
{
	uint64_t from = clv_sim_settle();
	clv_sim_load(nth(0), 8);
	clv_sim_load(nth(1), 8);
	took[0] = clv_sim_now_ps() - from; /* not waited for */
	took[1] = clv_sim_settle() - from;
	from = clv_sim_settle();
	for (unsigned i = 2; i < 6; i++)
		clv_sim_load(nth(i), 8);
	took[2] = clv_sim_settle() - from;
}

Test(sim_core, misses_overlap_up_to_outstanding)
{
	RUN({ 0, overlapping_loads });
	EXPECT_NS(took[0], 2);
	EXPECT_NS(took[1], 1 + 307);
	/* Issued at 0, 1, 2; the fourth when the first is done. */
	EXPECT_NS(took[2], 307 + 307);
}

static void run_ahead(void)
{
	own(near);
	uint64_t from = clv_sim_settle();
	clv_sim_load(nth(0), 8);
	for (unsigned i = 0; i < 8; i++)
		clv_sim_load(near, 8);
	took[1] = clv_sim_now_ps() - from;
	clv_sim_load(near, 8);
	took[2] = clv_sim_now_ps() - from;
}

static void run_ahead_less(void)
{
	own(near);
	uint64_t from = clv_sim_settle();
	clv_sim_load(nth(0), 8);
	for (unsigned i = 0; i < 7; i++)
		clv_sim_load(near, 8);
	took[0] = clv_sim_now_ps() - from;
}

/* 8 accesses may be issued beyond one that is not done; the ninth waits for it. */
Test(sim_core, accesses_run_ahead_up_to_window)
{
	RUN({ 0, run_ahead_less });
	EXPECT_NS(took[0], 1 + 7);
	reopen();
	RUN({ 0, run_ahead });
	EXPECT_NS(took[1], 307);
	EXPECT_NS(took[2], 307 + 1);
}

static void load_while_on_its_way(void)
{
	uint64_t from = clv_sim_settle();
	clv_sim_load(nth(0), 8);
	clv_sim_load((char *)nth(0) + 8, 8);
	took[0] = clv_sim_settle() - from;
}

/* The other word of a line that is on its way is there when the line is, and a hit later. */
Test(sim_core, line_on_its_way)
{
	RUN({ 0, load_while_on_its_way });
	EXPECT_NS(took[0], 307 + 2);
}

/* ---- dependence ---- */

static void chase(void)
{
	uint64_t from = clv_sim_settle();
	clv_sim_load(nth(0), 8); /* points to other */
	clv_sim_load(other, 8);	 /* points to other + 16 lines */
	clv_sim_load(other + 16 * LINE, 8);
	took[0] = clv_sim_settle() - from;
}

Test(sim_core, pointer_chase_is_serial)
{
	*(char **)nth(0) = other;
	*(char **)other = other + 16 * LINE;
	RUN({ 0, chase });
	EXPECT_NS(took[0], 3 * 307);
}

static void two_lines_of_a_node(void)
{
	uint64_t from = clv_sim_settle();
	clv_sim_load(nth(0), 8);
	clv_sim_load(other, 8);
	clv_sim_load(other + LINE, 8);
	took[0] = clv_sim_settle() - from;
}

/* Both come from the one pointer: both are issued when it is there. */
Test(sim_core, two_lines_of_a_node_overlap)
{
	*(char **)nth(0) = other;
	RUN({ 0, two_lines_of_a_node });
	EXPECT_NS(took[0], 307 + 307);
}

static void unrelated(void)
{
	uint64_t from = clv_sim_settle();
	clv_sim_load(nth(0), 8);
	clv_sim_load(other + 16 * LINE, 8);
	took[0] = clv_sim_settle() - from;
}

/* Further from the pointer's target than a member is: not by it. */
Test(sim_core, address_out_of_reach_does_not_depend)
{
	*(char **)nth(0) = other;
	RUN({ 0, unrelated });
	EXPECT_NS(took[0], 1 + 307);
}

static void index_chase(void)
{
	uint64_t from = clv_sim_settle();
	clv_sim_load(nth(0), 4);
	clv_sim_load(other, 4);
	took[0] = clv_sim_settle() - from;
	from = clv_sim_settle();
	clv_sim_load(nth(2), 8); /* a pointer to other + 32 lines, that is waited for */
	clv_sim_settle();
	took[1] = clv_sim_settle() - from;
	from = clv_sim_settle();
	clv_sim_load(nth(4), 4);
	clv_sim_load(other + 32 * LINE, 8);
	took[2] = clv_sim_settle() - from;
}

/* No pointer explains the second address: it comes from the index. A pointer that does, may. */
Test(sim_core, index_chase_is_serial)
{
	*(char **)nth(2) = other + 32 * LINE;
	RUN({ 0, index_chase });
	EXPECT_NS(took[0], 307 + 307);
	EXPECT_NS(took[1], 307);
	EXPECT_NS(took[2], 1 + 307);
}

/* ---- stores ---- */

static void stores(void)
{
	uint64_t from = clv_sim_settle();
	for (unsigned i = 0; i < 4; i++) {
		clv_sim_store(nth(i), 8);
		took[i] = clv_sim_now_ps() - from;
	}
	clv_sim_store(nth(4), 8);
	took[4] = clv_sim_now_ps() - from;
	took[5] = clv_sim_settle() - from;
}

/* Four entries hold four stores; the fifth waits for the first, issued at 1 and done 307 later. */
Test(sim_core, store_buffer)
{
	rig_costs.outstanding = 16;
	reopen();
	RUN({ 0, stores });
	EXPECT_NS(took[0], 1);
	EXPECT_NS(took[1], 2);
	EXPECT_NS(took[2], 3);
	EXPECT_NS(took[3], 4);
	EXPECT_NS(took[4], 1 + 307 + 1);
	EXPECT_NS(took[5], 1 + 307 + 1 + 307);
}

static void fenced(void)
{
	own(near);
	uint64_t from = clv_sim_settle();
	clv_sim_store(nth(0), 8); /* done at 1 + 307 */
	clv_sim_store(near, 8);	  /* its line is there, but the buffer empties in order */
	took[0] = clv_sim_now_ps() - from;
	clv_sim_fence();
	took[1] = clv_sim_settle() - from;
	from = clv_sim_settle();
	clv_sim_fence();
	took[2] = clv_sim_settle() - from;
	from = clv_sim_settle();
	clv_sim_store(nth(1), 8);
	clv_sim_atomic(near, 8); /* of an owned line: behind the store */
	took[3] = clv_sim_now_ps() - from;
	took[4] = clv_sim_settle() - from;
	from = clv_sim_settle();
	clv_sim_atomic(near, 8);
	clv_sim_load(nth(2), 8); /* goes on beside it */
	clv_sim_atomic(near, 8); /* behind both */
	took[5] = clv_sim_now_ps() - from;
	took[6] = clv_sim_settle() - from;
	from = clv_sim_settle();
	clv_sim_load(nth(3), 8);
	clv_sim_atomic(nth(4), 8); /* has to fetch its line: behind the load, too */
	took[7] = clv_sim_now_ps() - from;
}

Test(sim_core, fence_and_atomic_wait)
{
	RUN({ 0, fenced });
	EXPECT_NS(took[0], 2);
	EXPECT_NS(took[1], 1 + 307 + 1 + 29); /* one behind the other: an access_ps between */
	EXPECT_NS(took[2], 29);
	EXPECT_NS(took[3], 2);
	EXPECT_NS(took[4], 1 + 307 + 23);
	EXPECT_NS(took[5], 3);
	EXPECT_NS(took[6], 1 + 307 + 23);
	EXPECT_NS(took[7], 307 + 1 + 307 + 23);
}

static void load_behind_atomic(void)
{
	uint64_t from = clv_sim_settle();
	clv_sim_atomic(nth(0), 8);
	clv_sim_load(nth(1), 8);
	took[0] = clv_sim_settle() - from;
}

Test(sim_core, load_waits_for_atomic)
{
	RUN({ 0, load_behind_atomic });
	EXPECT_NS(took[0], 1 + 307 + 23 + 307);
}

static char *flag;

static void slow_then_release(void)
{
	own(near);
	at(200 * US);
	clv_sim_store(nth(0), 8);
	clv_sim_store(flag, 8);
}

static void take_flag(void)
{
	at(200 * US + 10 * NS);
	took[0] = load_takes(flag) + 10 * NS;
}

/*
 * A store becomes visible in order. The flag is CPU 0's own, and stored at 2; but the store before
 * it is done at 1 + 307, so it is at 309 that others can have the flag: 97 later, 4 has.
 */
static void own_flag_then_release(void)
{
	own(flag);
	slow_then_release();
}

Test(sim_core, stores_become_visible_in_order)
{
	flag = rig_lines(1, NODE_0);
	RUN({ 0, own_flag_then_release }, { SAME_NODE, take_flag });
	EXPECT_NS(took[0], 1 + 307 + 1 + 97);
}

/* ---- SMT ---- */

static void four_hits(void)
{
	own(near);
	at(200 * US);
	for (unsigned i = 0; i < 4; i++)
		clv_sim_load(near, 8);
	took[0] = clv_sim_now_ps() - 200 * US;
}

static void busy_until_300(void)
{
	at(300 * US);
	clv_sim_load(other, 8);
}

static void alone_until_300(void)
{
	at(300 * US);
	clv_sim_load(other, 8);
}

/* Issue beside a busy sibling takes 150 % of 1; beside another core's CPU, 100. */
Test(sim_core, busy_sibling_slows_down)
{
	RUN({ 0, four_hits }, { SIBLING, busy_until_300 });
	EXPECT_NS(took[0], 4 + 2);
	reopen();
	RUN({ 0, four_hits }, { SAME_L3, alone_until_300 });
	EXPECT_NS(took[0], 4);
}

static void spin_until_300(void)
{
	while (!get_word((uint64_t *)(void *)other))
		clv_sim_pause();
}

static void stop_it_at_300(void)
{
	at(300 * US);
	put_word((uint64_t *)(void *)other, 1);
}

/* One that spins rests between two looks. */
Test(sim_core, spinning_sibling_does_not_slow_down)
{
	RUN({ 0, four_hits }, { SIBLING, spin_until_300 }, { SAME_NODE, stop_it_at_300 });
	EXPECT_NS(took[0], 4);
}

/* ---- the rest ---- */

static void small_things(void)
{
	uint64_t from = clv_sim_settle();
	clv_sim_pause();
	took[0] = clv_sim_now_ps() - from;
	clv_sim_pause_bounded();
	took[1] = clv_sim_now_ps() - from;
	clv_sim_load(nth(0), 8);
	clv_sim_pause_bounded(); /* waits for it: a turn's condition is decided before the next */
	took[2] = clv_sim_now_ps() - from;
	from = clv_sim_settle();
	uint64_t ns = clv_sim_now_ns();
	took[3] = clv_sim_now_ps() - from;
	took[4] = ns * NS - from;
	clv_sim_pause_until(400000);
	took[5] = clv_sim_now_ps();
	clv_sim_pause_until(1); /* over: a pause all the same */
	took[6] = clv_sim_now_ps();
}

Test(sim_core, pauses_and_time)
{
	RUN({ 0, small_things });
	EXPECT_NS(took[0], 37);
	EXPECT_NS(took[1], 2 * 37);
	EXPECT_NS(took[2], 2 * 37 + 307 + 37);
	EXPECT_NS(took[3], 53);
	cr_assert(took[4] <= 53 * NS && took[4] > 52 * NS, "whole ns: %" PRIu64, took[4]);
	EXPECT_NS(took[5], 400000);
	EXPECT_NS(took[6], 400000 + 37);
}

static void allocate(void)
{
	uint64_t from = clv_sim_settle();
	void *block = clv_sim_alloc(64, 64, NODE_1);
	took[0] = clv_sim_now_ps() - from;
	took[1] = load_takes(block);
}

Test(sim_core, allocation)
{
	RUN({ 0, allocate });
	EXPECT_NS(took[0], 59);
	EXPECT_NS(took[1], 211);
}

/* ---- what cannot be simulated ---- */

/* The rings of a CPU are of fixed size: a machine that needs longer ones is refused. */
Test(sim_core, costs_out_of_bounds)
{
	struct clv_costs good = rig_costs;
	static const struct {
		size_t at;
		uint64_t value;
	} wrong[] = {
		{ offsetof(struct clv_costs, window), 0 },
		{ offsetof(struct clv_costs, window), 257 },
		{ offsetof(struct clv_costs, outstanding), 0 },
		{ offsetof(struct clv_costs, outstanding), 65 },
		{ offsetof(struct clv_costs, store_buffer), 0 },
		{ offsetof(struct clv_costs, store_buffer), 129 },
	};
	rig_close();
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct clv_topology *topology;
		struct cleave_error error = { "" };
		cr_assert_eq(clv_topology_load(&topology, RIG_TOPOLOGY, &error), 0);
		struct clv_costs costs = good;
		*(uint64_t *)((char *)&costs + wrong[i].at) = wrong[i].value;
		struct clv_sim_config config = { .topology = topology, .costs = &costs };
		cr_assert_eq(clv_sim_open(&config, &error), -EINVAL, "%u", i);
		cr_assert(error.text[0] && !strchr(error.text, '\n'), "%s", error.text);
		clv_topology_free(topology);
	}
	open_wide();
}
