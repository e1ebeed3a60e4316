/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a workload is. One file each in harness/workloads/, one line in registry.def, one const
 * struct clv_workload named clv_workload_<file> at the file's end.
 *
 * A workload says how many maps there are and which intervals are in them when a run starts, and
 * takes one step at a time in each worker. Everything around that is the run's (harness/run.c) and
 * the worker loop's (harness/worker.c): opening, placing, phases, timing, checking. A workload
 * never names structures, reads no clock but to think and to see if there is a storm, and allocates
 * only in `open` and `begin`.
 */
#ifndef CLV_WORKLOAD_H
#define CLV_WORKLOAD_H

#include "../bench.h"
#include "../worker.h"

/* More files than any recorded program has. */
#define CLV_RUN_MAPS_MAX 64

struct clv_workload {
	struct clv_workload_info info; /* the name as the user writes it */
	/*
	 * What a design must keep (cleave_keeps) for the run to mean anything, unless its structure
	 * is a sink. Beside that its entries must be able to carry run->last_page.
	 */
	unsigned needs;
	/* Does it change the bounds of intervals that are in a map? */
	bool changes;
	/* Does it migrate at a rate of run->migrate_rate? If not, that is refused. */
	bool migrates;

	/*
	 * Read run->config; set run->maps, last_page, walk_map and walk_pages, and each worker's
	 * held.count and standing.count; make run->state if there is any. No map is open yet.
	 * Returns: 0; -EINVAL, -ENOMEM with a line in error, and nothing left behind.
	 */
	int (*open)(struct clv_run *run, struct cleave_error *error);
	/* Give back run->state. NULL: there is none. */
	void (*close)(struct clv_run *run);

	/*
	 * What a slot of the worker's has at the start, none for nothing, and in which map the
	 * slot's intervals always are. CLV_RESTING: of the copy that rests in the worker's mailbox
	 * until one comes to migrate, which has as many slots as `held`. Threads: one, before the
	 * run.
	 */
	struct clv_range (*initial)(const struct clv_worker *worker, enum clv_holding holding,
				    uint64_t slot, unsigned *map);

	/*
	 * Optional. Make the state that goes with the worker's own slots, worker->state, or with
	 * those of the copy at rest; on worker->node. Returns: 0; -ENOMEM.
	 */
	int (*begin)(struct clv_worker *worker, enum clv_holding holding, void **state);
	void (*end)(void *state);

	/*
	 * One step: at most some batches, or one look whether a pause is over. Phases change
	 * between steps only. Adds what it did to worker->done. Returns: 0; negative errno, which
	 * fails the run.
	 */
	int (*step)(struct clv_worker *worker);
	/* Instead of `step` where there is run->config.course->storm. NULL: that is refused. */
	int (*step_in_storm)(struct clv_worker *worker);
};

/* i-th workload; NULL behind the last. */
const struct clv_workload *clv_workload_at(unsigned i);

#endif
