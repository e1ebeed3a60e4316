// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Who runs next. Every simulated CPU has a clock; the one furthest behind runs, until its clock is
 * past the next one's. A binary heap holds those that could run, by (clock, number), and those that
 * wait with a time-out, by that. Under a policy that explores schedules the same array is a set, and
 * policy.c chooses from it.
 *
 * The scheduler runs on the stack of the fiber that gives up the CPU, and switches straight to the
 * next one.
 */
#include "core.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../lib/error.h"

struct clv_sim clv_sim;
struct clv_vcpu *clv_sim_current;
uint64_t clv_sim_limit_ps, clv_sim_ahead_ps;

void clv_predictor_reset(void);

/* Bodies begin within it, at random: copies of a program do not start in step. */
#define START_WITHIN_PS UINT64_C(20000000)

#define STEP_AT_LEAST_PS UINT64_C(1000000)

enum { KEY_BITS = 10, CPUS_MAX = 1 << KEY_BITS };

uint64_t clv_engine_random(void)
{
	/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
	uint64_t z = clv_sim.random += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* ---- the heap ---- */

static bool is_ordered(void)
{
	return clv_sim.config.policy == CLV_POLICY_CLOCK;
}

static void place(struct clv_vcpu *cpu, unsigned at)
{
	clv_sim.heap[at] = cpu;
	cpu->place = at + 1;
}

static void sift_up(struct clv_vcpu *cpu, unsigned at)
{
	while (at && clv_sim.heap[(at - 1) / 2]->key > cpu->key) {
		place(clv_sim.heap[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	place(cpu, at);
}

static void sift_down(struct clv_vcpu *cpu, unsigned at)
{
	unsigned count = clv_sim.heap_count;
	for (unsigned child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count &&
		    clv_sim.heap[child + 1]->key < clv_sim.heap[child]->key)
			child++;
		if (clv_sim.heap[child]->key >= cpu->key)
			break;
		place(clv_sim.heap[child], at);
	}
	place(cpu, at);
}

static void insert(struct clv_vcpu *cpu, uint64_t at_ps)
{
	cpu->key = at_ps << KEY_BITS | cpu->index;
	if (is_ordered())
		sift_up(cpu, clv_sim.heap_count++);
	else
		place(cpu, clv_sim.heap_count++);
}

static void take_out(struct clv_vcpu *cpu)
{
	unsigned at = cpu->place - 1;
	struct clv_vcpu *last = clv_sim.heap[--clv_sim.heap_count];
	cpu->place = 0;
	if (last == cpu)
		return;
	if (!is_ordered())
		place(last, at);
	else if (at && clv_sim.heap[(at - 1) / 2]->key > last->key)
		sift_up(last, at);
	else
		sift_down(last, at);
}

/* ---- limits ---- */

static void lower_limit(uint64_t to_ps)
{
	if (to_ps < clv_sim_limit_ps) {
		clv_sim_limit_ps = to_ps;
		clv_sim_ahead_ps = clv_max(to_ps, to_ps + clv_sim.config.run_ahead_ps);
	}
}

static void set_limit(void)
{
	clv_sim_limit_ps = CLV_NEVER - 1;
	clv_sim_ahead_ps = CLV_NEVER - 1;
	if (!is_ordered()) {
		clv_sim_limit_ps = clv_sim_ahead_ps = 0;
		return;
	}
	if (clv_sim.heap_count)
		lower_limit(clv_sim.heap[0]->key >> KEY_BITS);
	if (clv_sim.tick_ps != CLV_NEVER)
		lower_limit(clv_sim.tick_ps);
	if (clv_sim.config.steps_max) /* also a CPU with nobody beside it takes steps */
		lower_limit(clv_sim_current->clock + STEP_AT_LEAST_PS);
}

/* ---- switching ---- */

/* Someone's time-out is over: it goes on. */
static void time_out(struct clv_vcpu *cpu)
{
	clv_spin_unlink(cpu);
	cpu->timed = false;
	cpu->woken = false;
	cpu->state = CLV_CPU_READY;
	cpu->clock = clv_max(cpu->clock, cpu->key >> KEY_BITS);
	clv_engine_activity(cpu);
}

static void switch_to(struct clv_vcpu *self, struct clv_vcpu *next)
{
	if (next->state != CLV_CPU_READY)
		time_out(next);
	clv_sim_current = next;
	set_limit();
	if (next == self)
		return;
	clv_sim.counts.switches++;
	clv_fiber_switch(&self->context, next, NULL);
}

static void do_ticks(uint64_t now_ps)
{
	struct clv_vcpu *self = clv_sim_current;
	clv_sim_current = NULL; /* what it calls may be instrumented, and is nobody's */
	while (clv_sim.tick_ps <= now_ps)
		clv_sim.tick_ps = clv_sim.run->tick(clv_sim.run->tick_arg, clv_sim.tick_ps);
	clv_sim_current = self;
}

static struct clv_vcpu *pick(struct clv_vcpu *self, bool self_can)
{
	if (!is_ordered())
		return clv_policy_next(self, self_can);
	struct clv_vcpu *next = clv_sim.heap_count ? clv_sim.heap[0] : NULL;
	uint64_t key = self_can ? self->clock << KEY_BITS | self->index : CLV_NEVER;
	if (next && next->key < key)
		key = next->key;
	else
		next = self_can ? self : NULL;
	if (next && clv_sim.tick_ps <= key >> KEY_BITS)
		do_ticks(key >> KEY_BITS);
	return next;
}

void clv_engine_yield(void)
{
	struct clv_vcpu *self = clv_sim_current;
	if (++clv_sim.counts.steps == clv_sim.config.steps_max)
		clv_engine_fail(-ELOOP, "no end after %llu steps",
				(unsigned long long)clv_sim.config.steps_max);
	struct clv_vcpu *next = pick(self, true);
	if (next == self) {
		set_limit();
		return;
	}
	if (is_ordered()) { /* one sift instead of two */
		self->key = self->clock << KEY_BITS | self->index;
		next->place = 0;
		sift_down(self, 0);
	} else {
		take_out(next);
		insert(self, self->clock);
	}
	switch_to(self, next);
}

static void go_on_without(struct clv_vcpu *self)
{
	struct clv_vcpu *next = pick(self, false);
	if (!next)
		clv_engine_fail(-EDEADLK, "nobody can go on");
	take_out(next);
	switch_to(self, next);
}

void clv_engine_wait(enum clv_vcpu_state state, uint64_t until_ps)
{
	struct clv_vcpu *self = clv_sim_current;
	self->state = state;
	self->woken = false;
	self->timed = until_ps <= CLV_NEVER >> KEY_BITS; /* else in five hours and more: never */
	clv_engine_activity(self);
	if (self->timed)
		insert(self, until_ps);
	go_on_without(self);
}

void clv_engine_ready(struct clv_vcpu *cpu, uint64_t at_ps)
{
	if (cpu->timed)
		take_out(cpu);
	cpu->timed = false;
	cpu->woken = true;
	if (cpu->state == CLV_CPU_SPINNING && cpu->period_ps && at_ps > cpu->clock) {
		/* It looks once a turn. */
		uint64_t turns = (at_ps - cpu->clock + cpu->period_ps - 1) / cpu->period_ps;
		cpu->clock += turns * cpu->period_ps;
	}
	cpu->state = CLV_CPU_READY;
	cpu->clock = clv_max(cpu->clock, at_ps);
	clv_engine_activity(cpu);
	insert(cpu, cpu->clock);
	if (is_ordered())
		lower_limit(cpu->clock);
}

/* ---- SMT ---- */

static bool is_busy(const struct clv_vcpu *cpu)
{
	return cpu->state == CLV_CPU_READY;
}

static void set_pace(struct clv_vcpu *cpu)
{
	bool beside = false;
	for (struct clv_vcpu *other = cpu->sibling; other != cpu; other = other->sibling)
		beside |= is_busy(other);
	uint64_t percent = beside ? clv_sim.costs.smt_percent : 100;
	cpu->block_ps = clv_sim.costs.block_ps * percent / 100;
	cpu->access_ps = clv_sim.costs.access_ps * percent / 100;
}

/* The CPU has begun or ceased to be busy: that is felt beside it. */
void clv_engine_activity(struct clv_vcpu *cpu)
{
	for (struct clv_vcpu *other = cpu->sibling; other != cpu; other = other->sibling)
		set_pace(other);
}

/* ---- failing ---- */

static int failed_code;

void clv_engine_fail(int code, const char *format, ...)
{
	va_list args;
	char text[160], first[160] = "";
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	failed_code = code;
	clv_sim_report_waiters(first, sizeof(first));
	first[strcspn(first, "\n")] = '\0';
	clv_error(clv_sim.error, code, "%s%s%.150s", text, first[0] ? ": " : "", first);
	struct clv_vcpu *self = clv_sim_current;
	clv_sim_current = NULL;
	clv_fiber_switch(&self->context, NULL, clv_sim.main_context);
	__builtin_unreachable();
}

void clv_core_bare(struct clv_vcpu *cpu, const void *at)
{
	char name[96];
	if (clv_sim.config.may_spin_bare) {
		cpu->bare = 0;
		return;
	}
	clv_arena_describe(clv_line_of(at), (uint8_t)(1u << (((uintptr_t)at >> 3) & 7)), name,
			   sizeof(name));
	clv_engine_fail(-ELOOP, "CPU %u spins without clv_pause, reading %s",
			clv_sim.topology->cpu[cpu->index].os, name);
}

void clv_core_idle(struct clv_vcpu *cpu)
{
	const struct clv_sim_counts *counts = &clv_sim.counts;
	uint64_t accesses = counts->loads + counts->stores + counts->atomics + counts->ranges;
	if (accesses == clv_sim.accesses_seen)
		clv_engine_fail(-ELOOP, "CPU %u loops without an access: does it wait for what it has "
					"read once? It has to read again, and to pause",
				clv_sim.topology->cpu[cpu->index].os);
	clv_sim.accesses_seen = accesses;
}

void clv_core_astray(const void *at)
{
	clv_engine_fail(-EFAULT, "a simulated CPU writes memory that is not the simulation's: %p "
				 "(a stack of the host's, or what malloc gave?)", at);
}

static const char *lock_name(const void *lock, char *out, size_t bytes)
{
	uint32_t line = clv_line_of(lock);
	const struct clv_arena_name *name = line ? clv_arena_name_of(line) : NULL;
	if (name && name->index >= 0)
		snprintf(out, bytes, "%s %d", name->name, name->index);
	else
		snprintf(out, bytes, "%s", name ? name->name : "lock");
	return out;
}

/* One CPU's line. */
static int report_waiter(const struct clv_vcpu *cpu, char *out, size_t bytes)
{
	int holder;
	char room[64];
	const void *lock = clv_account_asked(cpu, &holder);
	unsigned os = clv_sim.topology->cpu[cpu->index].os;
	const char *how = cpu->state == CLV_CPU_PARKED ? "is parked" :
			  cpu->state == CLV_CPU_SPINNING ? "spins" : "runs";
	int used = snprintf(out, bytes, "CPU %u %s", os, how);
	size_t at = used > 0 && (size_t)used < bytes ? (size_t)used : bytes;
	if (lock) {
		used += snprintf(out + at, bytes - at, " waiting for %s",
				 lock_name(lock, room, sizeof(room)));
		at = (size_t)used < bytes ? (size_t)used : bytes;
		if (holder >= 0)
			used += snprintf(out + at, bytes - at, ", which CPU %u has",
					 clv_sim.topology->cpu[holder].os);
		at = (size_t)used < bytes ? (size_t)used : bytes;
	}
	if (cpu->state == CLV_CPU_SPINNING && cpu->waits) {
		char name[96];
		clv_arena_describe(cpu->wait[0].line, 0xff, name, sizeof(name));
		used += snprintf(out + at, bytes - at, " (on %s)", name);
		at = (size_t)used < bytes ? (size_t)used : bytes;
	}
	return used + snprintf(out + at, bytes - at, "\n");
}

size_t clv_sim_report_waiters(char *out, size_t bytes)
{
	size_t used = 0;
	for (unsigned i = 0; i < clv_sim.cpus; i++) {
		const struct clv_vcpu *cpu = &clv_sim.cpu[i];
		if (cpu->state == CLV_CPU_ABSENT || cpu->state == CLV_CPU_DONE)
			continue;
		size_t at = used < bytes ? used : bytes;
		used += (size_t)report_waiter(cpu, out + at, bytes - at);
	}
	return used;
}

/* ---- a run ---- */

static void body(void)
{
	struct clv_vcpu *self = clv_sim_current;
	clv_sim.run->body(clv_sim.run->arg, self->thread);
	clv_account_done(self);
	self->state = CLV_CPU_DONE;
	clv_engine_activity(self);
	if (--clv_sim.running)
		go_on_without(self);
	clv_sim_current = NULL;
	clv_fiber_switch(&self->context, NULL, clv_sim.main_context);
	__builtin_unreachable();
}

static void begin(const struct clv_sim_run *run)
{
	clv_sim.heap_count = 0;
	for (unsigned i = 0; i < run->threads; i++) {
		struct clv_vcpu *cpu = &clv_sim.cpu[run->cpu_index[i]];
		size_t bytes;
		char *stack = clv_arena_stack(cpu->index, &bytes);
		cpu->thread = i;
		cpu->state = CLV_CPU_READY;
		cpu->clock = is_ordered() && run->threads > 1 ?
				     clv_engine_random() % START_WITHIN_PS : 1;
		clv_fiber_make(cpu, stack, bytes, body);
	}
	for (unsigned i = 0; i < clv_sim.cpus; i++)
		set_pace(&clv_sim.cpu[i]);
	for (unsigned i = 0; i < run->threads; i++)
		insert(&clv_sim.cpu[run->cpu_index[i]], clv_sim.cpu[run->cpu_index[i]].clock);
}

int clv_sim_run(const struct clv_sim_run *run, struct cleave_error *error)
{
	for (unsigned i = 0; i < run->threads; i++) {
		struct clv_vcpu *cpu = &clv_sim.cpu[run->cpu_index[i]];
		if (run->cpu_index[i] >= clv_sim.cpus || cpu->state != CLV_CPU_ABSENT)
			return clv_error(error, -EINVAL, "simulated machine: a CPU for two threads, "
							 "or that it does not have: %u",
					 run->cpu_index[i]);
		cpu->state = CLV_CPU_READY; /* taken */
	}
	if (!run->threads)
		return 0;
	clv_sim.run = run;
	clv_sim.running = run->threads;
	clv_sim.error = error;
	clv_sim.tick_ps = run->tick ? run->tick_ps : CLV_NEVER;
	failed_code = 0;
	clv_coherence_begin();
	begin(run);
	clv_policy_begin();
	struct clv_vcpu *next = pick(NULL, false);
	take_out(next);
	clv_sim_current = next;
	set_limit();
	clv_fiber_switch(&clv_sim.main_context, next, NULL);
	clv_sim_current = NULL;
	return failed_code;
}

/* ---- opening ---- */

static void make_cpus(const struct clv_topology *topology)
{
	for (unsigned i = 0; i < topology->cpus; i++) {
		struct clv_vcpu *cpu = &clv_sim.cpu[i];
		cpu->index = i;
		cpu->core = (uint16_t)topology->cpu[i].core;
		cpu->l3 = (uint16_t)topology->cpu[i].l3;
		cpu->node = (uint16_t)topology->cpu[i].node;
		cpu->package = (uint16_t)topology->cpu[i].package;
		cpu->sibling = cpu;
		for (unsigned j = i; j-- > 0;) {
			if (clv_sim.cpu[j].core != cpu->core)
				continue;
			cpu->sibling = clv_sim.cpu[j].sibling;
			clv_sim.cpu[j].sibling = cpu;
			break;
		}
	}
}

/* A CPU's rings are as long as they are. */
static bool costs_fit(const struct clv_costs *costs)
{
	return costs && costs->window && costs->window <= CLV_WINDOW_MAX && costs->outstanding &&
	       costs->outstanding <= CLV_MISSES_MAX && costs->store_buffer &&
	       costs->store_buffer <= CLV_STORES_MAX;
}

int clv_sim_open(const struct clv_sim_config *config, struct cleave_error *error)
{
	const struct clv_topology *topology = config->topology;
	if (clv_sim.open)
		return clv_error(error, -EBUSY, "simulated machine: one is running already");
	if (topology->cpus > CPUS_MAX)
		return clv_error(error, -EINVAL, "simulated machine: more than %d CPUs: %u",
				 CPUS_MAX, topology->cpus);
	if (config->policy == CLV_POLICY_CLOCK && !costs_fit(config->costs))
		return clv_error(error, -EINVAL, "simulated machine: window, outstanding and "
						 "store_buffer must be 1 to %d, %d and %d",
				 CLV_WINDOW_MAX, CLV_MISSES_MAX, CLV_STORES_MAX);
	memset(&clv_sim, 0, sizeof(clv_sim));
	clv_sim.config = *config;
	clv_sim.topology = topology;
	clv_sim.charged = config->policy == CLV_POLICY_CLOCK;
	if (config->costs)
		clv_sim.costs = *config->costs;
	clv_sim.random = config->seed;
	clv_sim.cpus = topology->cpus;
	clv_sim.cores = topology->cores;
	clv_sim.l3s = topology->l3s;
	clv_sim.nodes = topology->nodes;
	clv_sim.open = true;
	clv_sim.cpu = calloc(topology->cpus, sizeof(*clv_sim.cpu));
	clv_sim.heap = calloc(topology->cpus, sizeof(*clv_sim.heap));
	clv_predictor_reset();
	int code = clv_sim.cpu && clv_sim.heap && clv_account_open() &&
				   (!config->timeline || clv_timeline_open()) ?
			   0 : clv_error(error, -ENOMEM, "simulated machine: out of memory");
	if (!code) {
		make_cpus(topology);
		code = clv_coherence_open(error);
	}
	if (!code)
		code = clv_arena_open(error);
	if (code)
		clv_sim_close();
	return code;
}

void clv_sim_close(void)
{
	if (!clv_sim.open)
		return;
	clv_arena_close();
	clv_coherence_close();
	clv_account_close();
	clv_timeline_close();
	free(clv_sim.cpu);
	free(clv_sim.heap);
	memset(&clv_sim, 0, sizeof(clv_sim));
}

int clv_sim_keep(struct cleave_error *error)
{
	return clv_arena_keep() ? 0 : clv_error(error, -ENOMEM, "simulated machine: out of memory");
}

int clv_sim_rewind(const struct clv_sim_config *config, struct cleave_error *error)
{
	clv_arena_restore(failed_code != 0);
	/* Who holds what is remembered there, and nobody does after a run that came to its end. */
	if (failed_code) {
		clv_account_close();
		if (!clv_account_open())
			return clv_error(error, -ENOMEM, "simulated machine: out of memory");
	}
	failed_code = 0;
	clv_sim.config = *config;
	clv_sim.config.topology = clv_sim.topology;
	clv_sim.random = config->seed;
	clv_sim.heap_count = 0;
	clv_sim.counts = (struct clv_sim_counts){ 0 };
	clv_sim.accesses_seen = 0;
	memset(clv_sim.cpu, 0, clv_sim.cpus * sizeof(*clv_sim.cpu));
	make_cpus(clv_sim.topology);
	return 0;
}

size_t clv_sim_code_bytes(void)
{
	return (size_t)(__stop_clv_sim_text - __start_clv_sim_text);
}

void clv_sim_note_reached(uint8_t *reached)
{
	clv_sim.reached = reached;
}

const struct clv_sim_counts *clv_sim_counts(void)
{
	return &clv_sim.counts;
}
