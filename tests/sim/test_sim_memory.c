// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Where a line comes from and what that costs: caches, distances, upgrades, queues. Every expected
 * number is worked out beside it from the rules in model.h, core.h and coherence.c.
 *
 * A load is issued at once and done the latency later. A store or atomic is issued access_ps later,
 * which is 1 ns here.
 */
#include "rig.h"

TestSuite(sim_memory, .init = rig_open, .fini = rig_close);

static char *line;
static uint64_t took[8];

static void *nth(unsigned i)
{
	return line + (size_t)i * LINE;
}

/* ---- one CPU ---- */

static void load_once_and_again(void)
{
	took[0] = load_takes(line);
	took[1] = load_takes(line);
	took[2] = load_takes(line + 56);
}

Test(sim_memory, from_memory_then_from_l1)
{
	static const struct {
		int home;
		unsigned ns;
	} expected[] = { { NODE_0, 101 }, { NODE_1, 211 }, { NODE_2, 307 }, { NODE_3, 307 },
			 { NO_NODE, 101 /* whoever touches it first is on node 0 */ } };
	for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		if (i) {
			rig_close();
			rig_open();
		}
		line = rig_lines(1, expected[i].home);
		RUN({ 0, load_once_and_again });
		EXPECT_NS(took[0], expected[i].ns);
		EXPECT_NS(took[1], 2);
		EXPECT_NS(took[2], 2);
	}
}

static void touch(unsigned i)
{
	clv_sim_load(nth(i), 8);
	clv_sim_settle();
}

static void lose_line(void)
{
	/* L1 has 2 sets of 2: lines 2 and 6 push 0 out. In L2, of 4 sets, they are in set 2. */
	touch(0);
	touch(2);
	touch(6);
	took[0] = load_takes(nth(0));
	/* 4 and 8 are in 0's set in L2 as well, which has 2 ways; in L3 it has 4. */
	touch(4);
	touch(8);
	took[1] = load_takes(nth(0));
	/* And four others in its set of L3 push it out altogether. */
	touch(4);
	touch(8);
	touch(12);
	touch(16);
	took[2] = load_takes(nth(0));
}

Test(sim_memory, each_level_of_caches)
{
	line = rig_lines(17, NODE_0);
	RUN({ 0, lose_line });
	EXPECT_NS(took[0], 11);
	EXPECT_NS(took[1], 31);
	EXPECT_NS(took[2], 101);
}

static void twelve_lines(void)
{
	for (unsigned round = 0; round < 3; round++) {
		took[round] = 0;
		for (unsigned i = 0; i < 12; i++)
			took[round] += load_takes(nth(i)) == 101 * NS;
	}
}

/* An L3 of 3 sets of 4: as many lines as it is large, whatever sets they are given. */
Test(sim_memory, l3_whose_sets_are_no_power_of_two)
{
	rig_costs.l3_bytes = 12 * LINE;
	rig_close();
	rig_open();
	line = rig_lines(12, NODE_0);
	RUN({ 0, twelve_lines });
	cr_assert_eq(took[0], 12);
	cr_assert_eq(took[1] + took[2], 0, "%" PRIu64 " and %" PRIu64 " from memory", took[1], took[2]);
}

static void write_alone(void)
{
	took[0] = store_takes(nth(0));	/* fetched from memory to be written */
	took[1] = store_takes(nth(0));
	touch(1);
	took[2] = store_takes(nth(1));	/* read alone: exclusive, nobody to ask */
	took[3] = atomic_takes(nth(0)); /* owned */
	took[4] = atomic_takes(nth(2));
}

Test(sim_memory, writes_with_nobody_else)
{
	line = rig_lines(3, NODE_1);
	RUN({ 0, write_alone });
	EXPECT_NS(took[0], 1 + 211);
	EXPECT_NS(took[1], 1);
	EXPECT_NS(took[2], 1);
	EXPECT_NS(took[3], 1 + 23);
	EXPECT_NS(took[4], 1 + 211 + 23);
}

/* ---- two CPUs, one line ---- */

static void store_early(void)
{
	at(100 * US);
	clv_sim_store(line, 8);
}

static void load_late(void)
{
	at(200 * US);
	took[0] = load_takes(line);
	took[1] = load_takes(line);
}

static void store_late(void)
{
	at(200 * US);
	took[0] = store_takes(line);
	took[1] = store_takes(line);
}

static void atomic_late(void)
{
	at(200 * US);
	took[0] = atomic_takes(line);
}

/*
 * CPU 0 gets what `owner` has modified. The distance is the largest of those between the two and
 * the home, but for an owner in CPU 0's own L3, which is asked first; a sibling's is in its own L1.
 */
static const struct {
	unsigned owner;
	int home;
	unsigned read_ns, write_ns;
} modified[] = {
	{ SIBLING, NODE_0, 13, 17 },	 { SIBLING, NODE_2, 13, 17 },
	{ SAME_L3, NODE_0, 43, 47 },	 { SAME_L3, NODE_2, 43, 47 },
	{ SAME_NODE, NODE_0, 97, 103 },	 { SAME_NODE, NODE_1, 151, 157 },
	{ SAME_NODE, NODE_2, 257, 263 }, { SAME_PACKAGE, NODE_0, 151, 157 },
	{ SAME_PACKAGE, NODE_1, 151, 157 }, { SAME_PACKAGE, NODE_3, 257, 263 },
	{ REMOTE, NODE_0, 257, 263 },	 { REMOTE, NODE_2, 257, 263 },
};
enum { MODIFIED = sizeof(modified) / sizeof(modified[0]) };

Test(sim_memory, modified_line_is_read)
{
	for (unsigned i = 0; i < MODIFIED; i++) {
		rig_close();
		rig_open();
		line = rig_lines(1, modified[i].home);
		RUN({ 0, load_late }, { modified[i].owner, store_early });
		cr_log_info("owner %u, home %d", modified[i].owner, modified[i].home);
		EXPECT_NS(took[0], modified[i].read_ns);
		EXPECT_NS(took[1], 2);
	}
}

Test(sim_memory, modified_line_is_written)
{
	for (unsigned i = 0; i < MODIFIED; i++) {
		rig_close();
		rig_open();
		line = rig_lines(1, modified[i].home);
		RUN({ 0, store_late }, { modified[i].owner, store_early });
		EXPECT_NS(took[0], 1 + modified[i].write_ns);
		EXPECT_NS(took[1], 1);

		rig_close();
		rig_open();
		line = rig_lines(1, modified[i].home);
		RUN({ 0, atomic_late }, { modified[i].owner, store_early });
		EXPECT_NS(took[0], 1 + modified[i].write_ns + 23);
	}
}

static void load_early(void)
{
	at(100 * US);
	clv_sim_load(line, 8);
}

/* Read by CPU 0 second, so that both have it and nobody owns it; then written by CPU 0. */
static void share_then_store(void)
{
	at(150 * US);
	clv_sim_load(line, 8);
	store_late();
}

/* Not read by CPU 0, but clean in the other's cache: without a copy, write_ps. */
Test(sim_memory, clean_copies_are_taken_away)
{
	static const struct {
		unsigned other;
		int home;
		unsigned upgrade_ns, write_ns;
	} expected[] = {
		/* The farthest copy in the same L3 (model.c); wherever the home. */
		{ SAME_L3, NODE_0, 41, 47 },
		/* The farthest copy, or the home. */
		{ SAME_NODE, NODE_0, 89, 103 },	  { SAME_NODE, NODE_1, 149, 157 },
		{ SAME_NODE, NODE_2, 251, 263 },  { SAME_PACKAGE, NODE_0, 149, 157 },
		{ SAME_PACKAGE, NODE_2, 251, 263 }, { REMOTE, NODE_0, 251, 263 },
	};
	for (unsigned i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
		rig_close();
		rig_open();
		line = rig_lines(1, expected[i].home);
		RUN({ 0, share_then_store }, { expected[i].other, load_early });
		EXPECT_NS(took[0], 1 + expected[i].upgrade_ns);
		EXPECT_NS(took[1], 1);

		rig_close();
		rig_open();
		line = rig_lines(1, expected[i].home);
		RUN({ 0, store_late }, { expected[i].other, load_early });
		EXPECT_NS(took[0], 1 + expected[i].write_ns);
	}
}

static void load_at_110(void)
{
	at(110 * US);
	clv_sim_load(line, 8);
}

static void load_at_120(void)
{
	at(120 * US);
	clv_sim_load(line, 8);
}

static void load_at_300(void)
{
	at(300 * US);
	took[2] = load_takes(line);
}

static void load_at_100_and_400(void)
{
	load_early();
	at(400 * US);
	took[3] = load_takes(line);
}

/* Three others have it: the first costs the distance of the farthest, two more 7 each. */
Test(sim_memory, three_sharers_and_a_writer)
{
	line = rig_lines(1, NODE_0);
	RUN({ 0, share_then_store }, { SAME_NODE, load_early }, { SAME_PACKAGE, load_at_110 },
	    { REMOTE, load_at_120 });
	EXPECT_NS(took[0], 1 + 251 + 2 * 7);

	rig_close();
	rig_open();
	line = rig_lines(1, NODE_0);
	RUN({ 0, store_late }, { SAME_NODE, load_early }, { SAME_PACKAGE, load_at_110 },
	    { REMOTE, load_at_120 });
	EXPECT_NS(took[0], 1 + 263 + 2 * 7);
}

/* What was taken away is gone: modified at 200 us, read back at 300; then both have it. */
Test(sim_memory, who_lost_a_copy_fetches_it)
{
	line = rig_lines(1, NODE_0);
	RUN({ 0, share_then_store }, { SAME_NODE, load_at_300 }, { 6, load_at_100_and_400 });
	EXPECT_NS(took[0], 1 + 89);
	EXPECT_NS(took[2], 97);
	EXPECT_NS(took[3], 31); /* 4 and 6 share an L3 */
}

static void store_early_load_at_300(void)
{
	store_early();
	at(300 * US);
	took[3] = load_takes(line);
}

static void load_then_store(void)
{
	load_late();
	took[2] = store_takes(line);
	at(400 * US);
	took[4] = store_takes(line);
}

/*
 * Where a dirty read takes the line away, 0's store right after it is free, and 4 has to fetch it
 * anew. That read finds a line which 0 has written again: taken away in turn; so 0 writes it as one
 * without a copy. Where both keep a copy: an upgrade, a dirty read, an upgrade.
 */
Test(sim_memory, dirty_read_may_take_the_line)
{
	for (unsigned takes = 0; takes < 2; takes++) {
		rig_costs.read_takes[CLV_DIST_NODE] = takes;
		rig_close();
		rig_open();
		line = rig_lines(1, NODE_0);
		RUN({ 0, load_then_store }, { SAME_NODE, store_early_load_at_300 });
		EXPECT_NS(took[0], 97);
		EXPECT_NS(took[2], takes ? 1 : 1 + 89);
		EXPECT_NS(took[3], 97);
		EXPECT_NS(took[4], 1 + (takes ? 103 : 89));
	}
}

/* ---- queues ---- */

static uint64_t done[3];

#define WRITER(i) \
	static void writer_##i(void) \
	{ \
		at(200 * US + i * NS); \
		clv_sim_store(line, 8); \
		done[i] = clv_sim_settle() - 200 * US; \
	}
WRITER(0)
WRITER(1)
WRITER(2)

/*
 * CPU 4 has modified it. Asked for by CPU 0 at 0, by 8 at 1 and by 16 at 2: each begins when the
 * line has arrived at the one before, and pays its distance to that one.
 */
Test(sim_memory, transfers_of_a_line_queue)
{
	line = rig_lines(1, NODE_0);
	RUN({ 0, writer_0 }, { SAME_PACKAGE, writer_1 }, { SAME_NODE, store_early });
	EXPECT_NS(done[0], 1 + 103);
	EXPECT_NS(done[1], 104 + 157);

	rig_close();
	rig_open();
	line = rig_lines(1, NODE_0);
	RUN({ 0, writer_0 }, { SAME_PACKAGE, writer_1 }, { REMOTE, writer_2 },
	    { SAME_NODE, store_early });
	EXPECT_NS(done[0], 1 + 103);
	EXPECT_NS(done[1], 104 + 157);
	EXPECT_NS(done[2], 104 + 157 + 263);
}

#define READER(i) \
	static void reader_##i(void) \
	{ \
		at(200 * US + i * NS); \
		done[i] = load_takes(nth(0)) + i * NS; \
	}
READER(0)
READER(1)
READER(2)

/*
 * Clean at CPU 0 and its home node 0. 4 reads at 0: 97 from CPU 0. The line serves one every 19:
 * 8, at 1, begins at 19, 151 from the package; 16, at 2, at 38, 257 from the other one.
 */
Test(sim_memory, many_readers_of_one_line)
{
	line = rig_lines(1, NODE_0);
	RUN({ 0, load_early }, { SAME_NODE, reader_0 }, { SAME_PACKAGE, reader_1 },
	    { REMOTE, reader_2 });
	EXPECT_NS(done[0], 97);
	EXPECT_NS(done[1], 19 + 151);
	EXPECT_NS(done[2], 38 + 257);
}

static char *other;

static void load_other(void)
{
	at(200 * US + 1 * NS);
	done[1] = load_takes(other) + 1 * NS;
}

static void load_other_early(void)
{
	at(100 * US);
	clv_sim_load(other, 8);
}

/* Two lines of one home, asked for at 0 and 1: its directory takes a request every 3. */
Test(sim_memory, requests_queue_at_their_home)
{
	line = rig_lines(1, NODE_0);
	other = rig_lines(1, NODE_0);
	RUN({ 0, reader_0 }, { SAME_NODE, load_other });
	EXPECT_NS(done[0], 101);
	EXPECT_NS(done[1], 3 + 101);
}

/* 4 reads from a home of its own; and within an L3 nobody passes a home. */
Test(sim_memory, other_requests_do_not_queue)
{
	line = rig_lines(1, NODE_0);
	other = rig_lines(1, NODE_1);
	RUN({ 0, reader_0 }, { SAME_NODE, load_other });
	EXPECT_NS(done[0], 101);
	EXPECT_NS(done[1], 1 + 211);

	rig_close();
	rig_open();
	line = rig_lines(1, NODE_0);
	other = rig_lines(1, NODE_0);
	RUN({ 0, reader_0 }, { SAME_L3, load_other }, { SIBLING, load_other_early });
	EXPECT_NS(done[0], 101);
	EXPECT_NS(done[1], 1 + 31);
}
