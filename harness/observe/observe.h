/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Observers of the guarantees C1 to C8 (enum cleave_guarantee): small models of what the kernel
 * does with the file reverse map, run on a map while updates and walks of it go on. Each is a
 * scenario: a setup, a body for each thread, a check.
 *
 * They run on real threads now, and are made to run on fibers and inside workloads too: a body
 * makes no call to the operating system, waits by clv_pause and clv_park alone, and shares nothing
 * but atomics; memory comes from clv_alloc, in clv_observe_open. What is random is seeded.
 *
 * Rather than hope for a collision, a body that stands in a window in which a fault would show
 * waits there for the other side to move, for a bounded time: clv_observe_await. If the map is
 * right the other side cannot move, and the wait runs to its bound.
 */
#ifndef CLV_OBSERVE_H
#define CLV_OBSERVE_H

#include <cleave/structure.h>

#include "../../lib/shim/shim.h"

enum { CLV_OBSERVE_THREADS_MAX = 8 };

struct clv_observe;

struct clv_scenario {
	const char *name;
	const char *summary;
	unsigned guarantee; /* whose model it is */
	unsigned needs;	    /* all guarantees that a map has to keep for it to pass */
	bool sinks;	    /* runs also on a map that keeps no intervals at all */
	unsigned threads_min, threads_max;
	unsigned subsets_min; /* fewer, and there is nothing to see */
	unsigned subjects;    /* entries it plays with */
	size_t state_bytes;   /* of clv_observe.state, zeroed */
	/* Before the bodies. Returns: 0; a negative errno of the map's. NULL: nothing to do. */
	int (*setup)(struct clv_observe *run, struct cleave_thread *thread);
	void (*body)(struct clv_observe *run, unsigned i, struct cleave_thread *thread);
	/* After the bodies, all of which have returned. NULL: nothing. */
	void (*check)(struct clv_observe *run, struct cleave_thread *thread);
};

/* The i-th scenario; NULL behind the last. */
const struct clv_scenario *clv_scenario_at(unsigned i);
const struct clv_scenario *clv_scenario_find(const char *name);

/* Does the map claim all that the scenario needs, and keep intervals, and have the subsets? */
bool clv_scenario_applies(const struct clv_scenario *scenario, const struct cleave_map *map);

struct clv_observe_config {
	struct cleave_map *map; /* empty */
	uint64_t seed;
	unsigned rounds;  /* 1 and up */
	unsigned threads; /* clamped to what the scenario can use */
	/* System numbers of CPUs that threads say they are on, from one insert to the next. */
	const int *cpu;
	unsigned cpus;
	/* Of a bounded wait; what a run costs is about proportional. 0: CLV_OBSERVE_TURNS. */
	unsigned turns;
	/* Of what a scenario does many times in a round, so many at most; 0: its own number. */
	unsigned steps_max;
	uint64_t *progress; /* NULL, or counted up every round */
};

enum { CLV_OBSERVE_TURNS = 130 };

/*
 * Allocate and set up a run. Returns: 0; -ENOMEM; -EINVAL too few threads or subsets for this
 * scenario; what the map's own calls returned. After an error close the map: it may hold entries
 * whose memory is gone.
 */
int clv_observe_open(struct clv_observe **run, const struct clv_scenario *scenario,
		     const struct clv_observe_config *config, struct cleave_thread *thread);

/* How many bodies there are: config->threads, or fewer. */
unsigned clv_observe_threads(const struct clv_observe *run);

/* Body i, from 0; each to be run by a thread of its own, all of them at once. */
void clv_observe_body(struct clv_observe *run, unsigned i, struct cleave_thread *thread);

/*
 * After all bodies: what is left to check, cleave_validate included.
 * Returns: true if all is well; else false, with "scenario: reason" in `error`, seed and round in
 * it. The map may then hold entries whose memory clv_observe_close frees.
 */
bool clv_observe_check(struct clv_observe *run, struct cleave_thread *thread,
		       struct cleave_error *error);

/*
 * pre: the threads of the bodies have ended (a deferred call may be under way until then), and
 * after a failure the map is closed.
 */
void clv_observe_close(struct clv_observe *run);

#endif
