/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The simulated machine's engine. Each simulated CPU is a fiber on the one host thread that calls
 * clv_sim_run; the code that runs on it was compiled with calls before its accesses (entry.c), and
 * those calls charge time (core.h, coherence.c) and decide who runs next (engine.c, policy.c).
 *
 * One simulation at a time in a process: clv_sim_open claims the arena. Everything is a function of
 * the configuration and the bodies: no address, clock or random state of the host gets in.
 *
 * It knows of locks what lib/shim/mark.h tells, and of intervals nothing.
 */
#ifndef CLV_SIM_H
#define CLV_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../lib/topology.h"
#include "../model.h"

struct clv_sim;

enum clv_policy {
	CLV_POLICY_CLOCK,  /* the CPU that is furthest behind; costs apply */
	CLV_POLICY_RANDOM, /* a random walk: at each access, perhaps another CPU; no costs */
	CLV_POLICY_PCT,	   /* random priorities, changed at a few random accesses; no costs */
};

struct clv_sim_config {
	const struct clv_topology *topology;
	const struct clv_costs *costs; /* of CLV_POLICY_CLOCK */
	enum clv_policy policy;
	uint64_t seed;		/* of ties, orders and policies */
	/* Hits of a CPU may be this far ahead of the others'; what others can see may not. */
	uint64_t run_ahead_ps;
	unsigned changes;	/* PCT: priority changes, d - 1 */
	uint64_t steps;		/* PCT: about how many accesses a schedule has */
	/* More steps than that is a livelock; 0: no limit. A step: looking who runs next. */
	uint64_t steps_max;
	bool may_spin_bare;	/* do not look for loops that spin without pausing */
	bool timeline;		/* record lock ownership */
};

/* Returns: 0; -EBUSY one is open; -EINVAL; -ENOMEM; with a line in error. */
int clv_sim_open(const struct clv_sim_config *config, struct cleave_error *error);
/* Forgets everything in the arena. */
void clv_sim_close(void);

/*
 * For many short runs from one beginning, without costs: keep the memory and the code's variables as
 * they are, and come back to that for a run with another seed and policy, as if just opened. pre of
 * keep: no run was made yet, policy is not CLV_POLICY_CLOCK. Of `config` the topology is not read.
 * Returns: 0; -ENOMEM.
 */
int clv_sim_keep(struct cleave_error *error);
int clv_sim_rewind(const struct clv_sim_config *config, struct cleave_error *error);
/*
 * The size of the instrumented code; and where to note, in as many bytes, which places of it are
 * reached in runs without costs: 1 where a call of the block tracer returns to. NULL: nowhere.
 */
size_t clv_sim_code_bytes(void);
void clv_sim_note_reached(uint8_t *reached);

/*
 * Memory that the simulation sees, zeroed; what the instrumented code gets as clv_alloc. Inside a
 * run it is charged to the CPU that asks. node: the system's number; -1: of whoever touches it
 * first. NULL: none left.
 */
void *clv_sim_alloc(size_t bytes, size_t align, int node);
void clv_sim_free(void *block, size_t bytes);

/* Of the blocks that are not freed, as they were asked for; since clv_sim_open. */
uint64_t clv_sim_allocated_bytes(void);

struct clv_sim_run {
	unsigned threads;
	const unsigned *cpu_index; /* [threads], distinct, in the topology */
	void (*body)(void *arg, unsigned thread);
	void *arg;
	/*
	 * Called when the CPU furthest behind has reached the time asked for, first `tick_ps`.
	 * Returns: when next, in ps; UINT64_MAX: never. It runs on a fiber's stack: no deep calls.
	 */
	uint64_t (*tick)(void *arg, uint64_t now_ps);
	void *tick_arg;
	uint64_t tick_ps;
};

/*
 * Start the bodies in seeded random order, run them all to their end.
 * Returns: 0; -EDEADLK everyone waits; -ELOOP someone spins without pausing, or steps_max was
 * exceeded; with a line in error and more in clv_sim_report_waiters. After an error the bodies are
 * in the middle of things: nothing of theirs may be used, only closed.
 */
int clv_sim_run(const struct clv_sim_run *run, struct cleave_error *error);

/* Who waits for what, a line each, after a run that failed. Returns: how many bytes it would be. */
size_t clv_sim_report_waiters(char *out, size_t bytes);

/* Accesses so far, of all CPUs: each hook counts once. */
struct clv_sim_counts {
	uint64_t loads, stores, atomics, fences;
	uint64_t ranges, range_bytes; /* memcpy and the like, and clv_sim's own */
	uint64_t blocks, mispredicts;
	uint64_t outside; /* of loads and stores: neither arena nor the code's variables */
	uint64_t switches, misses;
	uint64_t steps;
};
const struct clv_sim_counts *clv_sim_counts(void);

/* ---- for bodies that are not instrumented: tests ---- */

void clv_sim_load(const void *at, unsigned bytes);
void clv_sim_store(const void *at, unsigned bytes);
void clv_sim_atomic(const void *at, unsigned bytes);
void clv_sim_fence(void);
void clv_sim_compute(uint64_t ps);
/* All that this CPU has begun is done: the time after that. */
uint64_t clv_sim_settle(void);
/* The clock of the CPU that runs; outside a run, 0. ps. */
uint64_t clv_sim_now_ps(void);
unsigned clv_sim_cpu(void);

/* The shim's calls, as the instrumented code makes them: see lib/shim/shim.h. */
struct cleave_thread;
void clv_sim_pause(void);
void clv_sim_pause_bounded(void);
void clv_sim_pause_until(uint64_t until_ns);
uint64_t clv_sim_now_ns(void);
bool clv_sim_park(struct cleave_thread *self, uint64_t timeout_ns);
void clv_sim_wake(struct cleave_thread *thread);

#endif
