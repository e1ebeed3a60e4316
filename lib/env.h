/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef CLV_ENV_H
#define CLV_ENV_H

#include <cleave/cleave.h>

#include "shim/shim.h"
#include "topology.h"

#define CLV_VISIBLE_READERS_BYTES (4096 * sizeof(uintptr_t))

struct cleave_env {
	struct clv_topology *topology;
	/* Every handle made, ended ones too; only grows, so that readers need no lock. */
	struct cleave_thread *threads;
	unsigned next_thread_id;
	uintptr_t *visible_readers; /* lib/locks/bravo.c; NULL until there is such a lock */
	_Alignas(CLV_CACHE_LINE) uint32_t guard; /* spin lock of `ended` */
	struct cleave_thread *ended;		 /* handles to be used again */
	/* lib/reclaim.c: read by all, written by who scans; 1 and up */
	_Alignas(CLV_CACHE_LINE) uint64_t epoch;
	uint64_t safe;
	_Alignas(CLV_CACHE_LINE) uint32_t scanning;
};

#endif
