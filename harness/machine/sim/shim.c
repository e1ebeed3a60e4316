// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The shim (lib/shim/shim.h) on the simulated machine: what the instrumented code's calls of it
 * are made to call by simulated.sh, clv_park being clv_sim_park there. Outside simulated CPUs they
 * do what a machine with one thread would.
 *
 * A CPU that pauses in a loop which since the last pause has read some lines, all unchanged, and
 * has neither written nor looked at the time, would do the same again until one of them changes:
 * it is taken out and woken by the next write to any. Compared are counts of writes, not values: a
 * write between the read and the pause must not be missed. Only from its second such turn on, which
 * the first has brought everything to L1 for, is it known how long a turn takes. A loop that counts its turns has to say
 * so by clv_pause_bounded: it is never taken out.
 */
#include "core.h"

#include "../../../lib/thread.h"

enum { EMPTY, TOKEN, ASLEEP };

#define PS_PER_NS UINT64_C(1000)

/* ---- pausing ---- */

static void begin_turn(struct clv_vcpu *cpu)
{
	cpu->reads = 0;
	cpu->wrote = false;
	cpu->bounded = false;
	cpu->bare = 0;
}

static bool nothing_new(const struct clv_vcpu *cpu)
{
	if (!cpu->reads || cpu->reads > CLV_SPIN_LINES || cpu->wrote || cpu->bounded)
		return false;
	for (unsigned i = 0; i < cpu->reads; i++) {
		if (clv_line_at(cpu->read_line[i])->stamp != cpu->read_stamp[i])
			return false;
	}
	return true;
}

/* Before, for the same? */
static bool is_second_turn(struct clv_vcpu *cpu)
{
	bool second = cpu->quiet_reads == cpu->reads && cpu->quiet_line == cpu->read_line[0];
	cpu->quiet_reads = cpu->reads;
	cpu->quiet_line = cpu->read_line[0];
	return second || !clv_sim.charged;
}

static void spin(struct clv_vcpu *cpu)
{
	unsigned id = cpu->index * 8 + 1;
	for (unsigned i = 0; i < cpu->reads; i++) {
		struct clv_line *line = clv_line_at(cpu->read_line[i]);
		cpu->wait[i] = (struct clv_wait){ cpu->read_line[i], 0, line->waiter };
		if (line->waiter)
			clv_sim.cpu[(line->waiter - 1) / 8].wait[(line->waiter - 1) % 8].prev =
				(uint16_t)(id + i);
		line->waiter = (uint16_t)(id + i);
	}
	cpu->waits = cpu->reads;
	clv_engine_wait(CLV_CPU_SPINNING, CLV_NEVER);
}

void clv_sim_pause(void)
{
	struct clv_vcpu *cpu = clv_sim_current;
	if (!cpu)
		return;
	clv_core_strict(cpu);
	cpu->clock = clv_max(cpu->clock, cpu->loads_done) + clv_sim.costs.pause_ps;
	cpu->period_ps = cpu->clock - cpu->paused_ps;
	if (!nothing_new(cpu)) {
		cpu->quiet_reads = 0;
		if (clv_sim.config.policy == CLV_POLICY_PCT)
			clv_policy_pause(cpu); /* in its loop it tries something: others first */
	} else if (is_second_turn(cpu)) {
		spin(cpu);
		cpu->roused = true;
		cpu->quiet_reads = 0;
	}
	cpu->paused_ps = cpu->clock;
	begin_turn(cpu);
}

void clv_sim_pause_bounded(void)
{
	struct clv_vcpu *cpu = clv_sim_current;
	if (!cpu)
		return;
	if (!clv_sim.charged)
		clv_policy_turn(cpu);
	clv_core_strict(cpu);
	cpu->clock = clv_max(cpu->clock, cpu->loads_done) + clv_sim.costs.pause_ps;
	cpu->paused_ps = cpu->clock;
	cpu->quiet_reads = 0;
	begin_turn(cpu);
}

void clv_sim_pause_until(uint64_t until_ns)
{
	struct clv_vcpu *cpu = clv_sim_current;
	if (!cpu)
		return;
	clv_sim_pause_bounded();
	cpu->clock = clv_max(cpu->clock, until_ns * PS_PER_NS);
	if (!clv_sim.charged)
		return;
	cpu->paused_ps = cpu->clock;
}

/* ---- time ---- */

uint64_t clv_sim_now_ns(void)
{
	struct clv_vcpu *cpu = clv_sim_current;
	if (!cpu)
		return (clv_sim.outside_ps += clv_sim.costs.clock_ps) / PS_PER_NS;
	cpu->bounded = true;
	cpu->clock += clv_sim.costs.clock_ps;
	return clv_sim.charged ? cpu->clock / PS_PER_NS : clv_policy_now_ns();
}

int clv_sim_cpu_now(void)
{
	return clv_sim_current ? (int)clv_sim.topology->cpu[clv_sim_current->index].os : -1;
}

/* ---- parking: as lib/shim/linux.c, with the same words and the same accesses to them ---- */

bool clv_sim_park(struct cleave_thread *self, uint64_t timeout_ns)
{
	struct clv_vcpu *cpu = clv_sim_current;
	struct clv_parker *parker = &self->parker;
	if (!cpu)
		return true;
	begin_turn(cpu);
	clv_core_atomic(cpu, &parker->state);
	if (parker->state == TOKEN) {
		parker->state = EMPTY;
		return true;
	}
	parker->state = ASLEEP;
	parker->machine = cpu;
	clv_core_store(cpu, &parker->parked);
	parker->parked = 1;
	clv_core_serialise(cpu); /* a system call */
	cpu->clock += clv_sim.costs.park_ps;
	/* A wake may have come in between. */
	bool woken = parker->state == TOKEN;
	if (!woken) {
		uint64_t until = CLV_NEVER;
		if (timeout_ns < CLV_NEVER / PS_PER_NS / 2)
			until = cpu->clock + timeout_ns * PS_PER_NS;
		clv_engine_wait(CLV_CPU_PARKED, until);
		woken = cpu->woken;
	}
	parker->machine = NULL;
	clv_core_store(cpu, &parker->parked);
	parker->parked = 0;
	clv_core_atomic(cpu, &parker->state);
	clv_core_serialise(cpu);
	woken |= parker->state == TOKEN;
	parker->state = EMPTY;
	begin_turn(cpu);
	return woken;
}

void clv_sim_wake(struct cleave_thread *thread)
{
	struct clv_vcpu *cpu = clv_sim_current;
	struct clv_parker *parker = &thread->parker;
	if (!cpu)
		return;
	clv_core_atomic(cpu, &parker->state);
	bool asleep = parker->state == ASLEEP;
	parker->state = TOKEN;
	struct clv_vcpu *sleeper = parker->machine;
	if (!asleep || !sleeper)
		return;
	clv_core_serialise(cpu);
	cpu->clock += clv_sim.costs.wake_ps;
	if (sleeper->state == CLV_CPU_PARKED)
		clv_engine_ready(sleeper, cpu->clock + clv_sim.costs.wake_latency_ps);
}

bool clv_sim_is_running(const struct cleave_thread *thread)
{
	struct clv_vcpu *cpu = clv_sim_current;
	if (cpu) {
		clv_sim.counts.loads++;
		clv_core_load(cpu, &thread->parker.parked, 4);
	}
	return !thread->parker.parked;
}

/* ---- marks ---- */

void clv_sim_mark(enum clv_mark mark, const void *lock)
{
	struct clv_vcpu *cpu = clv_sim_current;
	if (!cpu)
		return;
	if (mark == CLV_MARK_GOT || mark == CLV_MARK_GOT_SHARED)
		cpu->bare = 0;
	clv_account_mark(cpu, mark, lock);
	if (clv_sim.config.timeline)
		clv_timeline_mark(cpu->index, mark, lock, cpu->account.since_ps);
}
