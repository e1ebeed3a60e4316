/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A run and its workers: what the worker loop, the workloads and the check share.
 *
 * A worker owns intervals. It keeps them in slots of its own, and in each slot what it told the map
 * about the interval, so that at the end the maps can be compared with what their owners remember.
 * During the run a worker writes only lines of its own; of the run it reads constants, and the
 * phase.
 *
 * Entries. Where removed entries may be used again at once, each slot has one entry for good. In a
 * design that defers, a removed entry may still be looked at: it goes to the worker's pool once the
 * map says so, and an insert takes another one from there. The pool grows if the map holds back
 * more than it has.
 *
 * Migration (config.migrate). What a worker works on, its held intervals and the workload's state,
 * can move to another. There are as many mailboxes as workers, and in each rests a bundle of the
 * two, a process that waits for a CPU. A worker that is to migrate leaves its bundle in a mailbox,
 * drawn at random, for the one that it finds there, so that nobody ever waits; workers and bundles
 * are always in pairs. The pool stays: a removed entry goes to who removed it.
 */
#ifndef CLV_WORKER_H
#define CLV_WORKER_H

#include <cleave/structure.h>

#include "../lib/shim/shim.h"
#include "bench.h"
#include "range.h"

struct clv_workload;

/* Whose intervals: a worker's own, those put in from its CPU that stay, a copy's between CPUs. */
enum clv_holding { CLV_HELD, CLV_STANDING, CLV_RESTING };

/* One slot. Not held: the range is none; `entry` then is the one to insert next, or NULL. */
struct clv_slot {
	struct cleave_entry *entry;
	struct clv_range range;
};

/* Someone's intervals and the memory for them. */
struct clv_held {
	uint64_t count;
	struct clv_slot *slot; /* [count] */
	uint8_t *map_of;       /* [count]: the map that the slot's intervals go to */
	unsigned char *entries; /* [count], each of run->entry_bytes */
};

/* What a worker did so far; differences of two make a window. */
struct clv_done {
	uint64_t inserts, removes, changes; /* ops; the workload counts them */
	uint64_t batches, walks, visits;
	uint64_t execs; /* the workload's */
	uint64_t moves; /* migrations that found another worker's bundle */
};

/* What a worker leaves behind when it migrates. */
struct clv_bundle {
	struct clv_held held;
	void *state;
	unsigned worker; /* who left it; at the start, from whose CPU it was put in */
};

struct clv_mailbox {
	_Alignas(2 * CLV_CACHE_LINE) struct clv_bundle *bundle;
};

struct clv_sampled {
	uint64_t count;
	uint64_t ns, wait_ns, hold_ns;
};

/* Behind each entry of a design that defers. */
struct clv_entry_tail {
	struct cleave_deferred deferred;
	struct clv_worker *worker;
	struct clv_entry_tail *next; /* in the pool */
};

struct clv_entry_chunk {
	struct clv_entry_chunk *next;
	size_t bytes;
};

/* One walk that saw an interval which does not overlap the page. */
struct clv_bad_visit {
	uint64_t page, start, last;
};

struct clv_worker {
	_Alignas(2 * CLV_CACHE_LINE) struct cleave_thread *thread;
	struct clv_run *run;
	struct clv_held held;
	struct clv_held standing; /* intervals that were put in from its CPU, and stay */
	void *state;	   /* the workload's; moves together with `held` */
	uint64_t random;   /* operations are drawn from it */
	uint64_t walk_due; /* walks, in 2^-32; one is due from 2^32 on */
	uint64_t until_sample;
	struct clv_done done;
	bool defers;
	uint32_t phase;
	unsigned index;
	int cpu;	   /* system number */
	int node;	   /* that its memory is on; -1: anywhere */
	uint64_t sample_random;
	struct clv_entry_tail *pool;
	struct clv_entry_chunk *chunks;
	struct clv_bundle *bundle; /* an empty one, to leave; NULL: nobody migrates */

	/* Of the window. */
	struct clv_done before, after;
	uint64_t begin_ns, end_ns;
	struct clv_sampled sampled;
	struct clv_histogram *latency;

	int failed; /* negative errno that a call gave */
	uint64_t bad_visits;
	struct clv_bad_visit bad_visit; /* the first */
	struct clv_worker_course *course; /* course.h; NULL: no time series is made */
};

struct clv_run {
	_Alignas(2 * CLV_CACHE_LINE) uint32_t phase;
	/* clv_now_ns of the window's begin; 0 until then, and for a moment after the phase has moved
	 * for those who see that first. */
	uint64_t origin_ns;
	_Alignas(2 * CLV_CACHE_LINE) uint32_t begun; /* workers that have, or could not */
	/* The rest is constant while workers run. */
	_Alignas(2 * CLV_CACHE_LINE) struct clv_run_config config;
	const struct clv_workload *workload;
	struct cleave_env *env;
	unsigned maps;
	struct cleave_map **map; /* [maps] */
	bool sink;
	bool defers;
	bool checks_visits;  /* does a walk check the bounds of what it visits? */
	size_t entry_bytes;  /* with the tail, if there is one */
	size_t tail_offset;
	uint64_t last_page;  /* largest page that any interval gets */
	unsigned walk_map;   /* which map walks go to, */
	uint64_t walk_pages; /* and over which pages: from 0 */
	uint64_t walk_rate;  /* walks an op, in 2^-32 */
	uint64_t clock_ns;   /* one reading of the clock; 0: nothing is sampled */
	uint64_t at_start;   /* intervals in all maps when the run began */
	void *state;	     /* the workload's */
	struct clv_worker **worker; /* [config.threads] */
	uint64_t migrate_rate; /* migrations an exec, in 2^-32 */
	struct clv_mailbox *mailbox; /* [config.threads]; NULL: nobody migrates */
};

/* As clv_bench.body. */
void clv_worker_body(void *arg, unsigned index);

/* The branches of the two calls below that are rare. */
int clv_worker_apply_timed(struct clv_worker *worker, struct cleave_map *map,
			   const struct cleave_op *ops, unsigned count);
void clv_worker_defer(struct clv_worker *worker, struct cleave_map *map, struct clv_slot *slot);
struct cleave_entry *clv_worker_take(struct clv_worker *worker);

/* wyrand (Wang Yi, wyhash, public domain): 64 bits for a multiplication. */
static inline uint64_t clv_random(uint64_t *state)
{
	*state += 0xa0761d6478bd642fu;
	__uint128_t product = (__uint128_t)*state * (*state ^ 0xe7037ed1a0b428dbu);
	return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

/*
 * The seed of one stream of random numbers: streams of one seed, and those of seeds next to each
 * other, have nothing to do with each other. SplitMix64's finaliser (Steele, Lea, Flood, 2014),
 * twice.
 */
enum clv_stream {
	CLV_STREAM_OPS,
	CLV_STREAM_SAMPLES,
	CLV_STREAM_POPULATION,
	CLV_STREAM_START,
	CLV_STREAM_CHECK,
	CLV_STREAM_LIBRARY, /* cleave_thread_seed */
};
uint64_t clv_seed(uint64_t seed, enum clv_stream stream, unsigned worker);

/* A number below limit from 32 random bits. pre: 0 < limit <= 2^32. Off even by limit / 2^32. */
static inline uint64_t clv_scale(uint32_t random, uint64_t limit)
{
	return (random * limit) >> 32;
}

/*
 * One batch. Reads no clock, unless this is one of the sampled ones.
 * Returns: as cleave_apply.
 */
static inline int clv_worker_apply(struct clv_worker *worker, struct cleave_map *map,
				   const struct cleave_op *ops, unsigned count)
{
	worker->done.batches++;
	if (__builtin_expect(--worker->until_sample == 0, 0))
		return clv_worker_apply_timed(worker, map, ops, count);
	return cleave_apply(map, worker->thread, ops, count);
}

/* The slot's interval is out of the map. */
static inline void clv_slot_empty(struct clv_worker *worker, struct cleave_map *map,
				  struct clv_slot *slot)
{
	slot->range = CLV_RANGE_NONE;
	if (__builtin_expect(worker->defers, 0))
		clv_worker_defer(worker, map, slot);
}

/* An entry to insert for the slot. Returns: false: no memory. */
static inline bool clv_slot_ready(struct clv_worker *worker, struct clv_slot *slot)
{
	if (__builtin_expect(!slot->entry, 0))
		slot->entry = clv_worker_take(worker);
	return slot->entry;
}

/* `ops` were done: add the walks that go with them to those due. */
static inline void clv_walks_owe(struct clv_worker *worker, uint64_t ops)
{
	worker->walk_due += ops * worker->run->walk_rate;
}

/* Is it a walk's turn? Then the step is clv_worker_walk, and no more. */
static inline bool clv_walk_is_due(const struct clv_worker *worker)
{
	return __builtin_expect(worker->walk_due >> 32 != 0, 0);
}

/*
 * Is it this worker's turn to migrate? pre: run->mailbox. Draws from worker->random.
 * If so, clv_worker_migrate: worker->held and worker->state are another's from then on. Cost: an
 * exchange of a line that everybody writes, at most MIGRATE_TRIES if it finds what itself has left.
 */
static inline bool clv_migration_is_due(struct clv_worker *worker)
{
	return clv_random(&worker->random) >> 32 < worker->run->migrate_rate;
}

void clv_worker_migrate(struct clv_worker *worker);

/* Stab a random page. Returns: 0; negative errno. */
int clv_worker_walk(struct clv_worker *worker);
/* The same, and what it waited for its locks. Reads the clock, be it one of the sampled or not. */
int clv_worker_walk_timed(struct clv_worker *worker, uint64_t *wait_ns);

/* Where the window is: ns since its begin. Returns: false: it has not begun. */
static inline bool clv_window_ns(const struct clv_run *run, uint64_t *at_ns)
{
	/* Relaxed: nothing else is handed over. */
	uint64_t origin_ns = __atomic_load_n(&run->origin_ns, __ATOMIC_RELAXED);
	uint64_t now_ns = clv_now_ns();
	*at_ns = now_ns - origin_ns;
	return origin_ns && now_ns >= origin_ns;
}

#endif
