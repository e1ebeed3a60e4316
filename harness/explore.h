/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The line between `cleave explore` and the code whose schedules it explores: a case is a design and
 * a scenario of harness/observe/, small. The instrumented build has a table of its own, as
 * struct clv_bench (bench.h).
 */
#ifndef CLV_EXPLORE_H
#define CLV_EXPLORE_H

#include <cleave/cleave.h>

#include "../lib/design.h"

struct clv_explore_lab;
struct clv_explore_case;

struct clv_explore_config {
	const char *design;
	const char *scenario;
	uint64_t seed;	  /* of what the scenario draws */
	unsigned threads; /* the scenario may use fewer */
};

struct clv_explore {
	/* The environment of all cases. Returns: 0; as cleave_env_open. */
	int (*open)(struct clv_explore_lab **lab, const char *topology, struct cleave_error *error);
	void (*close)(struct clv_explore_lab *lab);
	/* Of every scenario, in order; NULL behind the last. */
	const char *(*scenario_at)(unsigned i);
	/*
	 * Can it be run? Writes the design's canonical string. Returns: 0; -ENOTSUP, it cannot, for a
	 * reason of this scenario's, or, with scenario NULL, of the design's; what cleave_open
	 * returns, -ENOENT for an unknown scenario; with a line in error.
	 */
	int (*look)(struct clv_explore_lab *lab, const struct clv_explore_config *config,
		    char canonical[CLV_DESIGN_BYTES], struct cleave_error *error);
	/* A map and a scenario's setup, before the bodies. Returns: 0; negative errno. */
	int (*begin)(struct clv_explore_lab *lab, const struct clv_explore_config *config,
		     struct clv_explore_case **made, struct cleave_error *error);
	unsigned (*threads)(const struct clv_explore_case *at);
	/* `arg` is the case. All of them at once, each on a CPU of its own. */
	void (*body)(void *arg, unsigned thread);
	/* After the bodies. Returns: true if all is well; else a line in error. */
	bool (*check)(struct clv_explore_case *at, struct cleave_error *error);
	/* After check, whatever it said. */
	void (*end)(struct clv_explore_case *at);
};

extern const struct clv_explore clv_explore_native, clv_explore_simulated;

/* Enough for every partition to have several subsets: 16 CPUs, 8 L3s, 4 nodes. */
#define CLV_EXPLORE_TOPOLOGY "pack:2 numa:2 l3:2(size=1048576) core:2 pu:1"
enum { CLV_EXPLORE_CPUS = 16, CLV_EXPLORE_THREADS_MAX = 8 };

#endif
