// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A request for a line that another core has takes half of its cost to get there: until then that
 * core goes on with the line, and then it waits.
 */
#include "rig.h"

TestSuite(sim_way, .init = rig_open, .fini = rig_close);

enum { TIMES = 4096 };

static uint64_t *word;
static uint64_t end_ps[TIMES], took, seen;
static unsigned done;

static void lines(void)
{
	word = (uint64_t *)(void *)rig_lines(1, NODE_0);
	done = 0;
	took = seen = 0;
}

/* One atomic behind the other from 90 us on, up to 110 us. */
static void keep_adding(void)
{
	at(90 * US);
	while (done < TIMES) {
		clv_sim_atomic(word, 8);
		++*word;
		end_ps[done] = clv_sim_settle();
		if (end_ps[done++] >= 110 * US)
			break;
	}
}

static void ask_at_100(void)
{
	at(100 * US);
	took = atomic_takes(word);
}

static void look_at_100(void)
{
	at(100 * US);
	seen = get_word(word);
	took = clv_sim_settle() - 100 * US;
}

/* The end of the last of the owner's accesses before the longest time without one. */
static uint64_t before_the_gap(uint64_t *gap_ps)
{
	unsigned at_gap = 1;
	for (unsigned i = 1; i < done; i++) {
		if (end_ps[i] - end_ps[i - 1] > end_ps[at_gap] - end_ps[at_gap - 1])
			at_gap = i;
	}
	*gap_ps = end_ps[at_gap] - end_ps[at_gap - 1];
	return end_ps[at_gap - 1];
}

/* Half of the way from the end of the access that was under way; and one more may be then. */
static void expect_loss_at(uint64_t way_ps)
{
	uint64_t gap_ps, last_ps = before_the_gap(&gap_ps), half_ps = 100 * US + way_ps / 2;
	uint64_t one_ps = rig_costs.atomic_ps + 2 * rig_costs.access_ps;
	cr_assert(last_ps + one_ps >= half_ps && last_ps <= half_ps + 2 * one_ps,
		  "lost after %" PRIu64 " ps, half of the way is %" PRIu64, last_ps - 100 * US,
		  way_ps / 2);
	cr_assert_gt(gap_ps, way_ps, "%" PRIu64, gap_ps);
}

Test(sim_way, owner_goes_on_until_a_write_request_arrives)
{
	lines();
	RUN({ 0, keep_adding }, { SAME_NODE, ask_at_100 });
	expect_loss_at(rig_costs.write_ps[CLV_DIST_NODE]);
	cr_assert(took >= rig_costs.write_ps[CLV_DIST_NODE], "%" PRIu64, took);

	rig_close();
	rig_open();
	lines();
	RUN({ 0, keep_adding }, { REMOTE, ask_at_100 });
	expect_loss_at(rig_costs.write_ps[CLV_DIST_REMOTE]);
}

/* What a load sees is what is there when its request arrives. */
Test(sim_way, load_sees_what_was_written_while_it_asked)
{
	lines();
	RUN({ 0, keep_adding }, { REMOTE, look_at_100 });
	uint64_t half_ps = 100 * US + rig_costs.read_ps[CLV_DIST_REMOTE] / 2;
	unsigned before = 0;
	while (before < done && end_ps[before] <= half_ps)
		before++;
	cr_assert(seen + 1 >= before && seen <= before + 2, "%" PRIu64 " of %u", seen, before);
}

/* Nobody to ask: nothing changes. */
Test(sim_way, memory_is_read_as_before)
{
	lines();
	RUN({ REMOTE, look_at_100 });
	EXPECT_NS(took, (rig_costs.memory_ps[CLV_DIST_REMOTE] + 0) / NS);
}
