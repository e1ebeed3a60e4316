// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Nothing of the instrumented code escapes the engine and nothing is charged twice: of code with
 * known accesses it sees just these.
 */
#include <errno.h>
#include <string.h>

#include "known.h"
#include "rig.h"

TestSuite(sim_known, .init = rig_open, .fini = rig_close);

static const struct known_case *subject;
static void *room;

static void run_subject(void)
{
	subject->run(room);
}

#define EXPECT_COUNT(what, want) \
	cr_expect_eq(clv_sim_counts()->what, want, "%s: %s: %" PRIu64 ", not %u", subject->name, \
		     #what, (uint64_t)clv_sim_counts()->what, (unsigned)(want))

Test(sim_known, every_access_is_seen_once)
{
	for (subject = known_cases; subject->name; subject++) {
		rig_close();
		rig_open();
		room = rig_lines(KNOWN_ROOM / LINE, NODE_0);
		RUN({ 0, run_subject });
		EXPECT_COUNT(loads, subject->loads);
		EXPECT_COUNT(stores, subject->stores);
		EXPECT_COUNT(atomics, subject->atomics);
		EXPECT_COUNT(fences, subject->fences);
		EXPECT_COUNT(ranges, subject->ranges);
		EXPECT_COUNT(range_bytes, subject->range_bytes);
		EXPECT_COUNT(outside, 0);
		cr_expect_gt(clv_sim_counts()->blocks, 0, "%s", subject->name);
	}
}

static const struct known_case *find(const char *name)
{
	for (const struct known_case *at = known_cases; at->name; at++) {
		if (!strcmp(at->name, name))
			return at;
	}
	cr_assert_fail("%s", name);
	return NULL;
}

/* Outside a run the calls do what they stand for: what code leaves in the room is the same. */
Test(sim_known, same_effect_outside_a_run)
{
	static const char *const names[] = { "loop", "copy_memory", "set_memory", "atomic_64",
					     "arithmetic_32", "atomic_128", "compare_exchange",
					     "packed", "bit_field" };
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		subject = find(names[i]);
		rig_close();
		rig_open();
		room = rig_lines(KNOWN_ROOM / LINE, NODE_0);
		RUN({ 0, run_subject });
		void *outside = rig_lines(KNOWN_ROOM / LINE, NODE_0);
		uint64_t steps = clv_sim_counts()->loads;
		subject->run(outside);
		cr_assert_eq(clv_sim_counts()->loads, steps);
		cr_assert(!memcmp(room, outside, KNOWN_ROOM), "%s", subject->name);
		static const char none[KNOWN_ROOM];
		cr_assert(memcmp(room, none, KNOWN_ROOM) || !strcmp(names[i], "copy_memory"), "%s",
			  subject->name);
	}
}

/* A loop that nothing can end is not waited for. */
Test(sim_known, a_loop_without_an_access_is_named)
{
	subject = &known_endless;
	room = rig_lines(KNOWN_ROOM / LINE, NODE_0);
	cr_assert_eq(TRY({ 0, run_subject }), -ELOOP);
	cr_assert(strstr(rig_error.text, "CPU 0 loops without an access"), "%s", rig_error.text);
}
