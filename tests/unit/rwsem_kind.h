/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The lock that tests of the rwsem are about: clv_lock_rwsem, or with RWSEM_NUMA clv_lock_rwsem_numa on
 * a machine of two nodes, whose handles are all of the first unless their `cpu` is set to 1. What a
 * test looks into is the rwsem in front of either.
 */
#ifndef CLV_RWSEM_KIND_H
#define CLV_RWSEM_KIND_H

#include <string.h>

#include "env.h"
#include "fake_shim.h"
#include "locks/lock.h"
#include "topology.h"

#ifdef RWSEM_NUMA
#define RWSEM clv_lock_rwsem_numa
#else
#define RWSEM clv_lock_rwsem
#endif

extern const struct clv_lock_type RWSEM;

enum { RWSEM_BYTES = 56 }; /* of an rwsem */

static _Alignas(CLV_CACHE_LINE) unsigned char lock[2 * CLV_CACHE_LINE];

/* A lock that nobody had so far. Returns: false, there is none. */
static inline bool make_fresh(void)
{
	static const struct clv_lock_args args;
	static struct clv_cpu cpu[2] = { { .node = 0 }, { .node = 1 } };
	static struct clv_topology topology = { .cpus = 2, .nodes = 2, .cpu = cpu };
	static struct cleave_env env = { .topology = &topology };
	static bool made;

	fake_env = &env;
	if (made && RWSEM.fini)
		RWSEM.fini(lock);
	memset(lock, 0, sizeof(lock));
	made = RWSEM.size_bytes <= sizeof(lock) &&
	       (!RWSEM.init || !RWSEM.init(lock, &env, &args, NULL));
	return made;
}

#endif
