// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>

#include "rig.h"

#define BY_DISTANCE(core, l3, node, package, remote) \
	{ core * NS, l3 * NS, node * NS, package * NS, remote * NS }

struct clv_costs rig_costs = {
	.l1_bytes = 4 * LINE, .l1_ways = 2,
	.l2_bytes = 8 * LINE, .l2_ways = 2,
	.l3_bytes = 16 * LINE, .l3_ways = 4,
	.l1_ps = 2 * NS, .l2_ps = 11 * NS, .l3_ps = 31 * NS,
	.memory_ps = BY_DISTANCE(0, 0, 101, 211, 307),
	.read_ps = BY_DISTANCE(13, 43, 97, 151, 257),
	.write_ps = BY_DISTANCE(17, 47, 103, 157, 263),
	.upgrade_ps = BY_DISTANCE(5, 41, 89, 149, 251),
	.request_percent = 50,
	.atomic_overlaps = 1,
	.invalidate_ps = 7 * NS,
	.share_ps = 19 * NS,
	.home_ps = 3 * NS,
	.block_ps = 71 * NS,
	.access_ps = 1 * NS,
	.mispredict_ps = 61 * NS,
	.atomic_ps = 23 * NS,
	.fence_ps = 29 * NS,
	.pause_ps = 37 * NS,
	.clock_ps = 53 * NS,
	.outstanding = 3,
	.window = 8,
	.store_buffer = 4,
	.smt_percent = 150,
	.park_ps = 701 * NS,
	.wake_ps = 503 * NS,
	.wake_latency_ps = 1009 * NS,
	.alloc_ps = 59 * NS,
};

struct clv_sim_config rig_config = { .policy = CLV_POLICY_CLOCK, .seed = 1 };
struct cleave_error rig_error;

static struct clv_topology *topology;
static const struct actor *actors_now;

void rig_open(void)
{
	struct cleave_error error = { "" };
	int code = clv_topology_load(&topology, RIG_TOPOLOGY, &error);
	rig_config.topology = topology;
	rig_config.costs = &rig_costs;
	if (!code)
		code = clv_sim_open(&rig_config, &error);
	if (code) { /* perhaps before the test, where Criterion's assertions do not work */
		fprintf(stderr, "%s\n", error.text);
		abort();
	}
}

void rig_close(void)
{
	clv_sim_close();
	clv_topology_free(topology);
	topology = NULL;
}

char *rig_lines(unsigned lines, int node)
{
	/* A page's start: no two blocks share a line, and set 0 is the first line's. */
	char *at = clv_sim_alloc((size_t)lines * LINE, 4096, node);
	cr_assert(at);
	return at;
}

static void body(void *arg, unsigned thread)
{
	(void)arg;
	actors_now[thread].does();
}

int rig_try(const struct actor *actor, unsigned actors)
{
	unsigned cpu[32];
	cr_assert_leq(actors, 32);
	for (unsigned i = 0; i < actors; i++)
		cpu[i] = actor[i].cpu;
	actors_now = actor;
	const struct clv_sim_run run = { .threads = actors, .cpu_index = cpu, .body = body };
	rig_error.text[0] = '\0';
	return clv_sim_run(&run, &rig_error);
}

void rig_run(const struct actor *actor, unsigned actors)
{
	int code = rig_try(actor, actors);
	cr_assert_eq(code, 0, "%d: %s", code, rig_error.text);
}

void at(uint64_t ps)
{
	uint64_t now = clv_sim_settle();
	clv_sim_compute(ps - now); /* late: so far off that every number shows it */
}

uint64_t load_takes(const void *line)
{
	uint64_t from = clv_sim_settle();
	clv_sim_load(line, 8);
	return clv_sim_settle() - from;
}

uint64_t store_takes(const void *line)
{
	uint64_t from = clv_sim_settle();
	clv_sim_store(line, 8);
	return clv_sim_settle() - from;
}

uint64_t atomic_takes(const void *line)
{
	uint64_t from = clv_sim_settle();
	clv_sim_atomic(line, 8);
	return clv_sim_settle() - from;
}

void put_word(uint64_t *word, uint64_t value)
{
	clv_sim_store(word, 8);
	*word = value;
}

uint64_t get_word(const uint64_t *word)
{
	clv_sim_load(word, 8);
	return *word;
}

void expect_ns(const char *file, int line, const char *what, uint64_t got_ps, uint64_t want_ns)
{
	cr_assert_eq(got_ps, want_ns * NS, "%s:%d: %s is %" PRIu64 ".%03" PRIu64 " ns, not %" PRIu64,
		     file, line, what, got_ps / NS, got_ps % NS, want_ns);
}
