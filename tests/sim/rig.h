/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Bodies on the simulated machine's CPUs, as little scripts: when to do what, and how long it took.
 * A body only notes what it saw; the test asserts it after the run, on a stack of its own.
 *
 * The machine, by index of CPU (two to a core):
 *
 *     package 0                              package 1
 *     node 0              node 1             node 2               node 3
 *     L3: 0-3 | L3: 4-7   8-11 | 12-15       16-19 | 20-23        24-27 | 28-31
 *
 * L1: 2 sets of 2 lines. L2: 4 sets of 2. L3: 4 sets of 4.
 */
#ifndef CLV_SIM_RIG_H
#define CLV_SIM_RIG_H

#include <criterion/criterion.h>
#include <inttypes.h>

#include "../../harness/machine/sim/sim.h"
#include "../../lib/error.h"

#define RIG_TOPOLOGY "pack:2 numa:2(memory=1073741824) l3:2(size=1024) core:2 pu:2"
/* Instructions of the host that pass unnoticed aside, this is the unit of the tests' numbers. */
#define NS UINT64_C(1000)
#define US (1000 * NS)

enum { SIBLING = 1, SAME_L3 = 2, SAME_NODE = 4, SAME_PACKAGE = 8, REMOTE = 16 }; /* of CPU 0 */
enum { NODE_0, NODE_1, NODE_2, NODE_3, NO_NODE = -1 };
enum { LINE = 64 };

struct actor {
	unsigned cpu;
	void (*does)(void);
};

/* Primes, so that a sum tells what is in it; tests change what they look at alone. */
extern struct clv_costs rig_costs;
extern struct clv_sim_config rig_config; /* topology and costs are filled in by rig_open */

void rig_open(void);
void rig_close(void);

/* Memory with this home, a whole number of lines; zeroed. */
char *rig_lines(unsigned lines, int node);

/* Run the scripts to their end. Returns: as clv_sim_run, whose line is in rig_error. */
int rig_try(const struct actor *actor, unsigned actors);
void rig_run(const struct actor *actor, unsigned actors);
extern struct cleave_error rig_error;

#define RUN(...) \
	rig_run((const struct actor[]){ __VA_ARGS__ }, \
		sizeof((const struct actor[]){ __VA_ARGS__ }) / sizeof(struct actor))
#define TRY(...) \
	rig_try((const struct actor[]){ __VA_ARGS__ }, \
		sizeof((const struct actor[]){ __VA_ARGS__ }) / sizeof(struct actor))

/* ---- in a script ---- */

/* Wait, with everything done, until this time of the run. */
void at(uint64_t ps);
/* From here until all is done. */
uint64_t load_takes(const void *line);
uint64_t store_takes(const void *line);
uint64_t atomic_takes(const void *line);
/* As code would write a word: the access, and then its effect. */
void put_word(uint64_t *word, uint64_t value);
uint64_t get_word(const uint64_t *word);

/* The numbers are ns; a mismatch shows both. */
#define EXPECT_NS(got_ps, want_ns) \
	expect_ns(__FILE__, __LINE__, #got_ps, got_ps, want_ns)
void expect_ns(const char *file, int line, const char *what, uint64_t got_ps, uint64_t want_ns);

#endif
