/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * cleave: interval containers for many cores.
 *
 * A map holds intervals [start, last], both inclusive, that may overlap and repeat. How it keeps
 * them, over which subsets it spreads them and which locks guard these is chosen by a string when
 * the map is opened: structure[@partition][/scheme][:lock[+lock]], "rb_interval@l3/each:rwsem".
 *
 * Errors are negative errno values. Functions that return void cannot fail.
 *
 * What not to do:
 *  - do not share a cleave_thread between threads;
 *  - do not use a map from inside a walk of it, nor beside a hold of it but through the hold: also
 *    two shared acquisitions deadlock when an update waits between them;
 *  - do not insert an entry smaller than cleave_entry_size: a design string decides what an entry
 *    is, and few take struct cleave_interval's place with something larger;
 *  - do not touch an entry's bounds yourself once it is in a map;
 *  - do not free an entry while it is in a map, nor, if the design defers (cleave_defers), free it
 *    or insert it anew before cleave_synchronize or cleave_defer says so;
 *  - do not take an entry from malloc: it has an alignment (cleave_entry_align; 64 bytes for struct
 *    cleave_interval) that aligned_alloc gives;
 *  - do not change or remove one entry from two threads at a time: an entry has one owner, who is
 *    also the only one to name it as a parent or source.
 */
#ifndef CLEAVE_CLEAVE_H
#define CLEAVE_CLEAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef CLEAVE_API
#define CLEAVE_API __attribute__((visibility("default")))
#endif

#define CLEAVE_VERSION_MAJOR 0
#define CLEAVE_VERSION_MINOR 1
#define CLEAVE_VERSION_PATCH 0

struct cleave_env;
struct cleave_map;
struct cleave_hold;

/*
 * One per thread (or fiber) that calls cleave: its CPU, what the reclamation knows of it, its random
 * state, its counters. Opaque.
 */
struct cleave_thread;

/* Filled in where a call can fail in a way that a number does not explain. One line, no newline. */
struct cleave_error {
	char text[240];
};

/*
 * The first eight bytes of whatever a map holds. Zero it once, before first use; from then on the
 * library alone writes it. `subset` is where the interval was put; it is stored and not worked out
 * again, since bounds change and threads move.
 */
struct cleave_entry {
	uint32_t subset;
	uint32_t map_id; /* 0: in no map */
};

/*
 * The common entry: one cache line, to embed in an object of the caller's. Structures that keep
 * other things than these say so by their entry size (cleave_entry_size). `word` belongs to the
 * structure.
 */
struct cleave_interval {
	struct cleave_entry entry;
	uint64_t start;
	uint64_t last;
	uintptr_t word[5];
} __attribute__((aligned(64)));

/*
 * The kernel's VMA as the file reverse map sees it: 192 bytes, three cache lines, with what the map
 * reads where Linux 6.18 has it. Bounds are derived, as there: start = page_offset,
 * last = page_offset + (address_limit - address) / 4096 - 1.
 */
struct cleave_vma {
	struct cleave_entry entry; /* line 0 */
	uint64_t address;
	uint64_t address_limit; /* first address behind it */
	uint64_t line0[5];
	uint64_t line1[2];
	uint64_t page_offset; /* line 1 */
	uint64_t line1_rest[5];
	uintptr_t word[4]; /* line 2: tree node and subtree maximum */
	uint64_t line2_rest[4];
} __attribute__((aligned(64)));

/* ---- environment and threads ---- */

struct cleave_env_options {
	/*
	 * NULL: this machine. Else a file with hwloc XML, or an hwloc synthetic string, for callers
	 * that bring their own CPUs (a simulation); it is read in a forked child.
	 */
	const char *topology;
};

/*
 * The CPUs that partitions refer to, and the reclamation domain of its threads and maps.
 * Returns: 0; -EINVAL for a topology that cannot be used, -ENOMEM. `options` and `error` may be
 * NULL. Threads: any; close after all maps and threads of it are closed. Cost: reads the machine's
 * topology, milliseconds.
 */
CLEAVE_API int cleave_env_open(struct cleave_env **env, const struct cleave_env_options *options,
			       struct cleave_error *error);
CLEAVE_API void cleave_env_close(struct cleave_env *env);

/*
 * `cpu` is the operating system's number of the CPU on which the caller runs or is about to;
 * new intervals go to that CPU's subset. -1: ask once, now.
 * Returns: 0; -ENOMEM; -ERANGE if the topology has no such CPU.
 * Threads: the caller's own; end it from the same thread, holding nothing.
 */
CLEAVE_API int cleave_thread_begin(struct cleave_thread **thread, struct cleave_env *env, int cpu);

/*
 * Where the thread's random numbers (levels of skip lists and the like) start; by default the order
 * in which threads began.
 */
CLEAVE_API void cleave_thread_seed(struct cleave_thread *thread, uint64_t seed);

/* Makes the calls that cleave_defer left, for which it may have to wait for walkers. */
CLEAVE_API void cleave_thread_end(struct cleave_thread *thread);

/* The thread has moved. Intervals keep the subset they have. Returns: 0; -ERANGE. */
CLEAVE_API int cleave_thread_set_cpu(struct cleave_thread *thread, int cpu);

/* ---- maps ---- */

/*
 * Open a map by its design. Returns: 0; -EINVAL for a string that does not parse or names something
 * unknown, -ENOTSUP for parts that do not go together, -ENOMEM; `error`, if not NULL, says what
 * and at which character. Cost: memory for every subset.
 */
CLEAVE_API int cleave_open(struct cleave_map **map, struct cleave_env *env, const char *design,
			   struct cleave_error *error);

/* pre: the map holds no interval that anyone will touch again, and nobody is in a call on it. */
CLEAVE_API void cleave_close(struct cleave_map *map);

/* The canonical form of the design: no @none, always a scheme, always a lock unless /free. */
CLEAVE_API const char *cleave_design(const struct cleave_map *map);

CLEAVE_API size_t cleave_entry_size(const struct cleave_map *map);
CLEAVE_API size_t cleave_entry_align(const struct cleave_map *map);

/* The largest `last` that the map's entries can carry. */
CLEAVE_API uint64_t cleave_last_max(const struct cleave_map *map);

/* An entry's subset is below it. A design that changes (cleave_phases) does not always use all. */
CLEAVE_API unsigned cleave_subsets(const struct cleave_map *map);

/*
 * C1 to C8, the guarantees of the Linux file reverse map (docs/method.md), as bits 0 to 7.
 * C4 in `deferred` form: cleave_defers.
 */
enum cleave_guarantee {
	CLEAVE_C1_PARENT_BEFORE_CHILD = 1 << 0,
	CLEAVE_C2_SOURCE_BEFORE_COPY = 1 << 1,
	CLEAVE_C3_COVERAGE = 1 << 2,
	CLEAVE_C4_UNLINK_BEFORE_FREE = 1 << 3,
	CLEAVE_C5_COMPLETE_AND_SINGLE = 1 << 4,
	CLEAVE_C6_LONG_HOLDS = 1 << 5,
	CLEAVE_C7_SUBSET_STORED = 1 << 6,
	CLEAVE_C8_EMPTY_UNLOCKED = 1 << 7,
	CLEAVE_KEEPS_ALL = (1 << 8) - 1,
};
CLEAVE_API unsigned cleave_keeps(const struct cleave_map *map);

/* Bounds of an entry that is in `map`. Threads: its owner, or a visitor during a walk. */
CLEAVE_API void cleave_bounds(const struct cleave_map *map, const struct cleave_entry *entry,
			      uint64_t *start, uint64_t *last);

/*
 * No interval in the map? Takes no lock (C8). An interval whose insert returned before the call
 * began, and whose removal has not begun, is seen. Cost: one read a subset.
 */
CLEAVE_API bool cleave_empty(const struct cleave_map *map);

/*
 * Check the whole map against its invariants. pre: no update is under way.
 * Returns: 0, or -EUCLEAN with the reason in `error`. Cost: visits every interval.
 */
CLEAVE_API int cleave_validate(struct cleave_map *map, struct cleave_error *error);

/* Bytes the map takes, entries themselves not counted. pre: no update is under way. */
CLEAVE_API size_t cleave_memory(const struct cleave_map *map);

/* ---- updates ---- */

enum cleave_op_kind {
	CLEAVE_INSERT,	     /* into the subset of the caller's CPU */
	CLEAVE_INSERT_AFTER, /* a fork's child: into the parent's subset, visited after `source` (C1) */
	CLEAVE_INSERT_NEAR,  /* a moved copy or a split's piece: into its source's subset; visited
			      * after `source` if it does not start before it (C2) */
	CLEAVE_REMOVE,
	CLEAVE_CHANGE, /* new bounds, same subset (C7) */
};

struct cleave_op {
	enum cleave_op_kind kind;
	struct cleave_entry *entry;
	struct cleave_entry *source; /* INSERT_AFTER, INSERT_NEAR; else NULL */
	uint64_t start, last;	     /* INSERT*, CHANGE; unread by REMOVE */
};

/*
 * Updates that happen together: every lock that they need is taken before the first is applied and
 * held until the last is, so that no walk sees some of them only (C3). They are applied in the order
 * given. An entry is the `entry` of at most one op of a batch. A `source` is in the map already, or
 * inserted by an earlier op of the batch, and not removed by an earlier one; for INSERT_AFTER the
 * bounds start where the source's do then. At most CLEAVE_BATCH_MAX ops.
 *
 * Set `ops` and `count`; the rest is the library's. While a batch is prepared, no other batch names
 * one of its entries or sources.
 */
#define CLEAVE_BATCH_MAX 256

struct cleave_batch {
	const struct cleave_op *ops;
	unsigned count;
	void *priv[3];
};

/*
 * Reserve all that the batch can need, removals included, outside every lock. After it, commit
 * cannot fail. A prepared batch is committed or abandoned, once, by the thread that prepared it.
 * Returns: 0; -ENOMEM; -EINVAL no ops, start > last, a kind that does not exist, a source that
 * is missing, the same entry twice, or a child that does not start with its parent; -E2BIG too
 * many ops; -ERANGE last above cleave_last_max; -EEXIST insert of an entry that is in a map;
 * -ENOENT removal, change or source of one that is not in this map. On an error nothing is
 * reserved and the map is as it was. Cost: quadratic in `count`.
 */
CLEAVE_API int cleave_prepare(struct cleave_map *map, struct cleave_thread *thread,
			      struct cleave_batch *batch);
CLEAVE_API void cleave_commit(struct cleave_map *map, struct cleave_thread *thread,
			      struct cleave_batch *batch);
CLEAVE_API void cleave_abandon(struct cleave_map *map, struct cleave_thread *thread,
			       struct cleave_batch *batch);

/* Prepare and commit. Returns: as cleave_prepare. */
CLEAVE_API int cleave_apply(struct cleave_map *map, struct cleave_thread *thread,
			    const struct cleave_op *ops, unsigned count);

/* Batches of one. Returns: as cleave_prepare. */
CLEAVE_API int cleave_insert(struct cleave_map *map, struct cleave_thread *thread,
			     struct cleave_entry *entry, uint64_t start, uint64_t last);
/* The child takes the parent's bounds. */
CLEAVE_API int cleave_insert_after(struct cleave_map *map, struct cleave_thread *thread,
				   struct cleave_entry *parent, struct cleave_entry *child);
CLEAVE_API int cleave_insert_near(struct cleave_map *map, struct cleave_thread *thread,
				  struct cleave_entry *source, struct cleave_entry *entry,
				  uint64_t start, uint64_t last);
CLEAVE_API int cleave_remove(struct cleave_map *map, struct cleave_thread *thread,
			     struct cleave_entry *entry);
CLEAVE_API int cleave_change(struct cleave_map *map, struct cleave_thread *thread,
			     struct cleave_entry *entry, uint64_t start, uint64_t last);

/* ---- walks and holds ---- */

/*
 * Called for one interval that overlaps the range. It may sleep, and may use other maps with the
 * same thread handle: in one order everywhere, as with locks, since a walk holds what it walks.
 * Returns: 0 to go on, a positive number to stop; that becomes the walk's result. Never negative.
 */
typedef int cleave_visit_fn(struct cleave_entry *entry, void *arg);

enum cleave_walk_flags {
	CLEAVE_TRY = 1 << 0, /* give up with -EBUSY rather than wait for a lock */
};

/*
 * Visit every interval that overlaps [start, last] (C5). What a walk that is not stopped guarantees
 * beyond that depends on the scheme: see cleave_keeps.
 * Returns: 0 after visiting all; the visitor's number if it stopped; -EINVAL start > last;
 * -ENOMEM before anything was visited; -EBUSY and -ENOTSUP with CLEAVE_TRY. A scheme that goes
 * subset by subset may have visited some before it gives up.
 */
CLEAVE_API int cleave_walk(struct cleave_map *map, struct cleave_thread *thread, uint64_t start,
			   uint64_t last, unsigned flags, cleave_visit_fn *visit, void *arg);

enum cleave_hold_mode {
	CLEAVE_SHARED,	  /* no update happens meanwhile; others may hold it shared too */
	/* Nobody else is inside, but for walks of structures that need no lock for them; the
	 * holder may apply batches through the hold. */
	CLEAVE_EXCLUSIVE,
};

/*
 * Hold the whole map across calls (C6). Many maps can be held at once; take them in one order. A
 * hold is released by the thread that took it. Meanwhile the map is used through the hold alone.
 * Returns: 0 with *hold set; -ENOMEM; -ENOTSUP if the design keeps no C6; with CLEAVE_TRY in
 * `flags` also -EBUSY.
 */
CLEAVE_API int cleave_hold_begin(struct cleave_map *map, struct cleave_thread *thread,
				 enum cleave_hold_mode mode, unsigned flags,
				 struct cleave_hold **hold);
CLEAVE_API void cleave_hold_end(struct cleave_hold *hold);
/* As cleave_walk, under the hold. */
CLEAVE_API int cleave_hold_walk(struct cleave_hold *hold, uint64_t start, uint64_t last,
				cleave_visit_fn *visit, void *arg);
/*
 * Commit a batch that was prepared before the hold was taken, or since. Returns: 0; -EPERM under a
 * shared hold, the batch staying prepared.
 */
CLEAVE_API int cleave_hold_commit(struct cleave_hold *hold, struct cleave_batch *batch);
/*
 * As cleave_apply, under an exclusive hold: it asks for memory under it. Returns also: -EPERM under a
 * shared one.
 */
CLEAVE_API int cleave_hold_apply(struct cleave_hold *hold, const struct cleave_op *ops,
				 unsigned count);

/* ---- deferred freeing ---- */

/*
 * Does the design let walkers still see an entry after its remove returned? If not, the two calls
 * below return, and call back, at once.
 */
CLEAVE_API bool cleave_defers(const struct cleave_map *map);

/*
 * Wait until no walker can see entries removed before the call. Threads: not inside a walk or a
 * hold, nor holding what a visitor may wait for.
 */
CLEAVE_API void cleave_synchronize(struct cleave_map *map, struct cleave_thread *thread);

/* To embed in the object whose freeing is deferred. */
struct cleave_deferred {
	struct cleave_deferred *next;
	void (*call)(struct cleave_deferred *deferred);
	uint64_t epoch;
};

/*
 * Have `call` called once no walker can see entries removed before: now, or from a later call of
 * this thread into cleave, at the latest in cleave_thread_end. Allocates nothing.
 */
CLEAVE_API void cleave_defer(struct cleave_map *map, struct cleave_thread *thread,
			     struct cleave_deferred *deferred,
			     void (*call)(struct cleave_deferred *deferred));

/* ---- measuring ---- */

/* What one thread's updates and walks of sampled operations took. All in ns but for the counts. */
struct cleave_times {
	uint64_t wait_ns;  /* from asking for a lock to having it */
	uint64_t hold_ns;  /* from having the first lock to having let go of the last, without waits */
	uint32_t acquired; /* lock acquisitions */
};

/*
 * Until called with NULL, add up lock waits and holds of this thread's calls into *times. Costs two
 * to three readings of the clock an acquisition; without it none is made.
 */
CLEAVE_API void cleave_thread_time(struct cleave_thread *thread, struct cleave_times *times);

/* Designs that change how they lock while they run (scheme promote) say when and why. */
struct cleave_phase {
	uint64_t at_ns;		/* of the clock that cleave reads: monotonic */
	const char *name;	/* "whole", "split": which began then, or went on */
	const char *reason;	/* one constant sentence */
	uint64_t asked, failed; /* in the window that decided: looked at, and tries that failed */
	double per_s;		/* commits a second in that window */
	uint32_t cpu;		/* the system's number */
	uint32_t subsets;	/* that new intervals go to from then on */
};

/*
 * The last changes, oldest first, at most `most`, and of those that the map remembers; the first of
 * all is that it was opened. Returns: how many there were in all; 0: the design does not change.
 * `phases` may be NULL if `most` is 0. Threads: any.
 */
CLEAVE_API unsigned cleave_phases(const struct cleave_map *map, struct cleave_phase *phases,
				  unsigned most);

/* "0.1.0", of the library that is linked. */
CLEAVE_API const char *cleave_version(void);

#ifdef __cplusplus
}
#endif
#endif
