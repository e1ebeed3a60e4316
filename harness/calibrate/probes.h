/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What operations cost on the machine at hand. Each probe binds threads of its own (and reads the
 * binding back), takes many short rounds for about `budget_ns`, and leaves nothing behind; so they
 * can be called again and again between other measurements.
 *
 * CPUs are indexes of machine->topology. A probe takes a few rounds at least, however small the
 * budget. All: Returns: 0; -EAGAIN if every round was dropped; -ENOMEM, or what machine->run
 * returned, with one line in error. Threads: one at a time.
 */
#ifndef CLV_PROBES_H
#define CLV_PROBES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compute.h"
#include "estimate.h"

struct clv_machine;
struct cleave_error;

/* ---- two CPUs: pair.c ---- */

/*
 * `a` asks for lines that `b` wrote. Per line, in ns, from dependent chases over lines in random
 * order, homed on a's node:
 *   read     a load, all of it, of a line that b modified
 *   write    an atomic on a line that b modified, less one on a line that a owns
 *   upgrade  the same, where both have just read the line
 *   atomic   an atomic on a line that a owns, and waiting for it to be done
 *   again    a load by b of a line that b modified and a has read since: as a hit, if b kept it,
 *	      as `read`, if a's load took it away
 *   claim    as upgrade, where b did not read the line again
 * A round takes all of them between two references, which are reads.
 */
struct clv_pair_costs {
	struct clv_estimate read, write, upgrade, atomic, again, claim;
};
int clv_probe_pair(struct clv_machine *machine, unsigned a, unsigned b, uint64_t budget_ns,
		   struct clv_pair_costs *costs, struct cleave_error *error);

/*
 * `read` alone; each round's references are the rounds before and after it. 5 ms do: a hundred
 * rounds or more. To start and bind the threads takes about as long again.
 */
int clv_probe_pair_read(struct clv_machine *machine, unsigned a, unsigned b, uint64_t budget_ns,
			struct clv_estimate *read, struct cleave_error *error);

/* Half the round trip of a line passed by compare-and-swap, which nothing above goes into. */
int clv_probe_pair_ping(struct clv_machine *machine, unsigned a, unsigned b, uint64_t budget_ns,
			struct clv_estimate *hand_over, struct cleave_error *error);

/* Work beside a busy SMT sibling takes so many per cent of the time it takes alone. */
int clv_probe_smt(struct clv_machine *machine, unsigned a, unsigned b, uint64_t budget_ns,
		  struct clv_estimate *percent, struct cleave_error *error);

/* ---- loads: load.c ---- */

struct clv_load_costs {
	struct clv_estimate load;	 /* ns, load to use */
	struct clv_estimate outstanding; /* misses in flight; only if asked for */
	unsigned chains;		 /* that this took */
	bool huge_pages;
	size_t bytes; /* that it ran over */
};
/*
 * A dependent chase over `bytes` that `home` touched first, in random order, a line a step.
 * `outstanding`: also by how much the time per load falls when up to 64 chains run side by side.
 */
int clv_probe_load(struct clv_machine *machine, unsigned cpu, unsigned home, size_t bytes,
		   bool outstanding, uint64_t budget_ns, struct clv_load_costs *costs,
		   struct cleave_error *error);

/* ---- one CPU: core.c ---- */

struct clv_core_costs {
	struct clv_estimate atomic; /* read-modify-write on one owned line, each after the last */
	struct clv_estimate fence;  /* full, nothing to wait for */
	struct clv_estimate pause;  /* clv_pause */
	struct clv_estimate clock;  /* clv_now_ns */
	struct clv_estimate mispredict; /* of a branch: what it adds */
	struct clv_estimate alloc;	/* clv_alloc of one line, of memory freed before */
};
int clv_probe_core(struct clv_machine *machine, unsigned cpu, uint64_t budget_ns,
		   struct clv_core_costs *costs, struct cleave_error *error);

/* ns of one round of each kernel. */
int clv_probe_compute(struct clv_machine *machine, unsigned cpu, uint64_t budget_ns,
		      struct clv_estimate round[CLV_COMPUTE_KERNELS], struct cleave_error *error);

/* ---- the operating system: park.c ---- */

struct clv_park_costs {
	struct clv_estimate wake;	  /* of clv_wake, for the waker on a */
	struct clv_estimate wake_latency; /* from its call until clv_park returns on b */
};
int clv_probe_wake(struct clv_machine *machine, unsigned a, unsigned b, uint64_t budget_ns,
		   struct clv_park_costs *costs, struct cleave_error *error);

/* From the call of clv_park until another thread of the same CPU runs. */
int clv_probe_park(struct clv_machine *machine, unsigned cpu, uint64_t budget_ns,
		   struct clv_estimate *park, struct cleave_error *error);

/* ---- for the probes themselves: rounds.c ---- */

/* Rounds of one probe, in columns. */
struct clv_rounds {
	double *column; /* [columns][capacity] */
	size_t columns, capacity, n;
	uint32_t phase; /* enum clv_phase */
};
int clv_rounds_begin(struct clv_rounds *rounds, size_t columns, struct cleave_error *error);
void clv_rounds_end(struct clv_rounds *rounds);
/* Where round n's value goes. */
double *clv_rounds_at(struct clv_rounds *rounds, size_t column);
/* Is there time and room for one more? */
bool clv_rounds_more(const struct clv_rounds *rounds);
/* -1 for the references: none. */
int clv_rounds_estimate(const struct clv_rounds *rounds, size_t column, int before, int after,
			struct clv_estimate *estimate);

/* Run `body` on these CPUs for the budget. */
int clv_probe_run(struct clv_machine *machine, const unsigned *cpu, unsigned threads,
		  uint64_t budget_ns, uint32_t *phase, void (*body)(void *arg, unsigned worker),
		  void *arg, struct cleave_error *error);

/* What two readings of the clock around nothing are apart, on the calling thread's CPU. */
double clv_probe_clock_ns(void);

/* Zeroed memory that nobody has touched yet, aligned to a huge page, and of huge pages if there are
 * any. pre: whole pages. NULL: none. */
#define CLV_HUGE_PAGE_BYTES ((size_t)2 << 20)
void *clv_probe_map(size_t bytes);
void clv_probe_unmap(void *block, size_t bytes);

#endif
