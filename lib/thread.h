/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The thread handle's inside. Its memory is not given back before its environment closes: a lock's
 * spinners may look at an owner that has ended meanwhile.
 */
#ifndef CLV_THREAD_H
#define CLV_THREAD_H

#include <cleave/cleave.h>

#include "locks/lock.h"
#include "locks/osq.h"
#include "shim/shim.h"

struct clv_clh_node;

/* Room for the holds of a full stop, recycled by the thread that made it. */
struct clv_hold_set {
	struct clv_hold_set *next;
	unsigned capacity;
	size_t size_bytes;
	struct clv_hold hold[];
};

struct clv_epoch_record {
	_Alignas(CLV_CACHE_LINE) uint64_t active; /* epoch it entered in, 0: outside */
	unsigned depth;
	unsigned queued; /* deferred so far */
	uint64_t fence;	 /* carries a full fence, no value */
	struct cleave_deferred *waiting, **waiting_tail;
};

struct cleave_thread {
	struct clv_parker parker;
	/* The rest is the owner's alone, but for what is said otherwise. */
	_Alignas(CLV_CACHE_LINE) struct cleave_env *env;
	unsigned cpu;	      /* index in env->topology, not the system's number */
	unsigned l3, node, package; /* that CPU's, for locks that ask at every acquisition */
	unsigned id;	      /* 1 and up, never used again within the life of the environment */
	uint64_t random;
	struct cleave_times *times; /* NULL: not measured */
	unsigned timed_locks;	    /* locks held that were acquired while measuring */
	uint64_t timed_since_ns;    /* since when, the first of them */
	unsigned unwatched;	    /* commits until one that scheme promote looks at */
	struct clv_hold_set *spare; /* hold sets not in use */
	struct cleave_thread *next; /* env's list: live handles and ended ones */
	struct cleave_thread *next_ended; /* env's, under its guard */
	struct clv_clh_node *clh; /* one that is in no queue: lib/locks/clh.c */
	_Alignas(CLV_CACHE_LINE) struct clv_osq_node osq; /* a lock's optimistic spinners */
	struct clv_epoch_record epoch;
};

#endif
