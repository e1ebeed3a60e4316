/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A machine runs bodies on CPUs of its own. It knows nothing of intervals; what runs on it does not
 * know which machine it is.
 */
#ifndef CLV_MACHINE_H
#define CLV_MACHINE_H

#include "../bench.h"
#include "../../lib/topology.h"

struct clv_plan {
	unsigned threads;
	const unsigned *cpu_index; /* [threads], in machine->topology */
	uint64_t warm_ns, window_ns;
	uint32_t *phase;
	uint64_t *origin_ns; /* as clv_bench.origin has it; NULL: nobody wants to know */
	bool fixed; /* the window is to be as long as asked for, whatever is known by then */
	/*
	 * A simulated machine fills these in for each slice of every_ns of the window that is over,
	 * [slices]. NULL: not asked for.
	 */
	struct clv_slice_exact *exact;
	unsigned slices;
	uint64_t every_ns;
	void (*body)(void *arg, unsigned worker);
	/* How far the bodies are; while none of them runs. A machine with real threads ignores it. */
	void (*progress)(void *arg, struct clv_progress *out);
	/* As clv_bench.changes, with origin_ns; what a simulated machine puts into its timeline. NULL: nothing. */
	int (*changes)(void *arg, struct clv_phase_change **change, unsigned *changes,
		       unsigned *changes_in_all);
	void *arg; /* of all of them */
	struct clv_simulated_report *report; /* filled in by a simulated machine; may be NULL */
};

struct clv_simulated_report;

struct clv_machine {
	const char *name;
	bool simulated;
	const char *topology_source; /* for cleave_env_options; NULL: this machine */
	const struct clv_topology *topology;
	const struct clv_bench *bench;
	/*
	 * Around bench->open and bench->close, for a machine whose memory is its own and whose
	 * random choices come from the seed. NULL, both: nothing to do. Returns: 0; negative errno
	 * with a line in error.
	 */
	int (*begin)(struct clv_machine *machine, uint64_t seed, struct cleave_error *error);
	void (*end)(struct clv_machine *machine);
	/*
	 * Start every body on its CPU, move the phase through warm-up and window, join them. A
	 * binding that did not hold, or was lost by the end, is an error: no body's figures count.
	 * Returns: 0; negative errno with a line in error.
	 */
	int (*run)(struct clv_machine *machine, const struct clv_plan *plan,
		   struct cleave_error *error);
	void (*close)(struct clv_machine *machine);
};

struct clv_machine_info {
	const char *name;
	const char *summary;
	bool simulated;
};
const struct clv_machine_info *clv_machine_info_at(unsigned i);

/*
 * name: "host", or NULL for it; a built-in model's, or the path of a machine file. Returns: 0;
 * -ENOENT no such machine, -ENOMEM, -EINVAL; of a file also what reading it failed with.
 */
int clv_machine_open(struct clv_machine **machine, const char *name, struct cleave_error *error);

#endif
