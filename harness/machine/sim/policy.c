// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Schedules to explore, in place of clocks: before every access of a CPU the policy says who does
 * the next one. Nothing costs anything; a CPU that spins or is parked is out until what it waits
 * for has happened, one with a time-out may go on at any moment, which is rare unless nobody else
 * can.
 *
 * random   with a probability drawn for the schedule, 1/2 to 1/64, someone else.
 * pct      priorities at random; the highest that can, runs; at `changes` accesses, drawn among
 *          about `steps`, the one that runs becomes the lowest. Finds a bug that needs d ordering
 *          constraints with probability 1 / (n * steps^(d-1)) at least. A CPU that pauses, and is
 *          not taken out, goes to the bottom, or its loop would never end; of these pauses every
 *          64th may end a sleep that has a limit.
 *          Source: Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010.
 *
 * A lock that counts its turns and then sleeps would nearly never sleep, as others go on with each
 * turn. So in every fourth schedule a CPU does short turns of a loop that counts them (clv_pause_bounded)
 * in one go, up to more than any lock counts.
 *
 * Time goes by with accesses, at a pace drawn for the schedule, 10 ns to 10 us each: limits of time
 * are reached in some schedules and not in others.
 *
 * All of it is drawn from the seed, so that a schedule is replayed by running its seed again.
 */
#include "internal.h"

enum {
	TURNS_MAX = 2048,
	SHORT_TURN = 32, /* accesses */
	PAUSES_PER_TIMEOUT = 64,
};

static unsigned rarely; /* one of 2^rarely */
static uint64_t access_ns;
static unsigned patience; /* bounded turns */
static unsigned pauses;   /* of all that went to the bottom */

void clv_policy_begin(void)
{
	const struct clv_sim_config *config = &clv_sim.config;
	rarely = 1 + (unsigned)(clv_engine_random() % 6);
	clv_sim.lowest = 1u << 30;
	for (unsigned i = 0; i < clv_sim.cpus; i++)
		clv_sim.cpu[i].priority = clv_sim.lowest + 1 + (uint32_t)(clv_engine_random() >> 34);
	unsigned changes = config->changes;
	if (changes > sizeof(clv_sim.change_at) / sizeof(clv_sim.change_at[0]))
		changes = sizeof(clv_sim.change_at) / sizeof(clv_sim.change_at[0]);
	clv_sim.config.changes = changes;
	for (unsigned i = 0; i < changes; i++)
		clv_sim.change_at[i] = clv_engine_random() % (config->steps ? config->steps : 1);
	static const uint64_t paces[] = { 10, 100, 1000, 10000 };
	access_ns = paces[clv_engine_random() % 4];
	patience = clv_engine_random() % 4 ? 1 : TURNS_MAX;
	pauses = 0;
}

uint64_t clv_policy_now_ns(void)
{
	return clv_sim.counts.steps * access_ns;
}

void clv_policy_demote(struct clv_vcpu *cpu)
{
	cpu->priority = clv_sim.lowest--;
}

void clv_policy_pause(struct clv_vcpu *cpu)
{
	pauses++;
	clv_policy_demote(cpu);
}

void clv_policy_turn(struct clv_vcpu *cpu)
{
	bool is_short = clv_sim.counts.steps - cpu->turn_step < SHORT_TURN;
	cpu->turn_step = clv_sim.counts.steps;
	if (is_short && ++cpu->turns < patience)
		return;
	cpu->turns = 0;
	clv_policy_pause(cpu);
}

/* Between two of its turns in one go. */
static bool is_turning(const struct clv_vcpu *cpu)
{
	return cpu->turns && clv_sim.counts.steps - cpu->turn_step < SHORT_TURN;
}

static bool could_run(const struct clv_vcpu *cpu, bool patient)
{
	return cpu->state == CLV_CPU_READY || !patient;
}

/* Of the set and perhaps self, those that are ready; all, if none is. */
static struct clv_vcpu *pick_random(struct clv_vcpu *self, bool self_can)
{
	unsigned ready = self_can;
	for (unsigned i = 0; i < clv_sim.heap_count; i++)
		ready += clv_sim.heap[i]->state == CLV_CPU_READY;
	/* Time-outs do happen, too. */
	bool patient = ready && clv_engine_random() % 512;
	unsigned all = ready;
	if (!patient)
		all = clv_sim.heap_count + self_can;
	if (!all)
		return NULL;
	unsigned which = (unsigned)(clv_engine_random() % all);
	for (unsigned i = 0; i < clv_sim.heap_count; i++) {
		if (could_run(clv_sim.heap[i], patient) && !which--)
			return clv_sim.heap[i];
	}
	return self;
}

static struct clv_vcpu *pick_highest(struct clv_vcpu *self, bool self_can)
{
	struct clv_vcpu *best = self_can ? self : NULL;
	/* Who spins by writing is ready for as long as it waits, perhaps for one who sleeps. */
	unsigned first = pauses >= PAUSES_PER_TIMEOUT;
	pauses = first ? 0 : pauses;
	for (unsigned pass = first; pass < 2; pass++) {
		for (unsigned i = 0; i < clv_sim.heap_count; i++) {
			struct clv_vcpu *cpu = clv_sim.heap[i];
			if (could_run(cpu, !pass) && (!best || cpu->priority > best->priority))
				best = cpu;
		}
		if (best)
			return best;
	}
	return NULL;
}

struct clv_vcpu *clv_policy_next(struct clv_vcpu *self, bool self_can)
{
	if (clv_sim.config.policy == CLV_POLICY_RANDOM) {
		if (self_can && (is_turning(self) || clv_engine_random() >> (64 - rarely)))
			return self;
		return pick_random(self, self_can);
	}
	for (unsigned i = 0; i < clv_sim.config.changes; i++) {
		if (self && clv_sim.change_at[i] == clv_sim.counts.steps)
			clv_policy_demote(self);
	}
	return pick_highest(self, self_can);
}
