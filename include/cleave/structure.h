/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * All that an author of a structure reads. structures/README.md has the three steps.
 *
 * A structure is one file with static functions and, at its end, one const struct
 * cleave_structure named cleave_<file>. It never prints, times, pins or parses, and takes no lock
 * unless its kind is CLEAVE_CONCURRENT. It allocates through cleave_alloc alone, and only in
 * `create` and `prepare`.
 */
#ifndef CLEAVE_STRUCTURE_H
#define CLEAVE_STRUCTURE_H

#include <cleave/cleave.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Who makes sure that calls do not collide. */
enum cleave_kind {
	/* One object a subset. Updates run under that subset's lock, exclusive; walks under it,
	 * shared, unless CLEAVE_WALKS_UNLOCKED. The structure need not know of threads. */
	CLEAVE_SEQUENTIAL,
	/* One object a map. An update runs under the lock of its entry's subset, a walk under
	 * those of the subsets that it names; calls for different subsets run at the same time, so
	 * that what subsets share is the structure's own to synchronise. */
	CLEAVE_PARTITIONED,
	/* One object a map. Updates and walks run at any time, from any thread. `subset` is where
	 * the interval belongs, a hint for placing it. */
	CLEAVE_CONCURRENT,
};

enum cleave_structure_flags {
	/* A walk's order is that of `start`, ties in the order of insertion; but a child of
	 * insert_after may come anywhere behind its parent among them. */
	CLEAVE_ORDERED = 1 << 0,
	/* Walks run beside updates without a lock, inside an epoch (cleave_defers). No such map
	 * keeps C3: a walk may come between two ops of a batch. */
	CLEAVE_WALKS_UNLOCKED = 1 << 1,
	/* A removed entry may be seen until a grace period has passed ("C4-deferred"). */
	CLEAVE_DEFERS = 1 << 2,
	/* Never ranked: keeps nothing, or keeps it the slow way, on purpose. */
	CLEAVE_UNRANKED = 1 << 3,
	/* Keeps no intervals at all: it measures what is around it. */
	CLEAVE_SINK = 1 << 4,
	/* A call may wait, by cleave_pause, for what another thread has begun to write: for long,
	 * if that thread has lost its CPU. More threads than CPUs are refused, as under a lock
	 * that spins. */
	CLEAVE_SPINS = 1 << 5,
};

/* Memory on a NUMA node (-1: anywhere), zeroed. pre: align is a power of two. NULL: none left.
 * Threads: any. Cost: the machine's allocator. Blocks of less than a page share pages; on a machine
 * with several nodes, those with a node share them with that node's alone. */
CLEAVE_API void *cleave_alloc(size_t size_bytes, size_t align_bytes, int node);
CLEAVE_API void cleave_free(void *block, size_t size_bytes);

/*
 * For structures of kind CLEAVE_CONCURRENT and those with CLEAVE_WALKS_UNLOCKED, of which all calls
 * run inside an epoch: `call` is made once nobody can see any more what was unlinked before.
 */
CLEAVE_API void cleave_retire(struct cleave_thread *thread, struct cleave_deferred *deferred,
			      void (*call)(struct cleave_deferred *deferred));

/* One turn of a loop that waits for another thread to write. */
CLEAVE_API void cleave_pause(void);

/* A 64-bit random number from the thread's own, seeded state. Cost: a few instructions. */
CLEAVE_API uint64_t cleave_random(struct cleave_thread *thread);

struct cleave_structure_config {
	unsigned subsets;  /* of the whole map */
	unsigned subset;   /* which one this object is for; 0 unless CLEAVE_SEQUENTIAL */
	int node;	   /* where its memory belongs; -1: anywhere */
	const int *node_of_subset; /* [subsets]: the same for each, for objects that have several */
	/* [subsets]: this map's objects, each there once it is created; for prepare, of which the
	 * ops may be for several. NULL: there is but this one. */
	void *const *objects;
	struct cleave_env *env;
};

/*
 * What an update is given beside its operands. `thread` is who executes it, which is not
 * necessarily who prepared it. `reserve` is what prepare left for the batch.
 */
struct cleave_update {
	struct cleave_thread *thread;
	void *reserve;
};

/* A part of an object, for reports of contended lines: up to the next one's offset. */
struct cleave_field {
	size_t offset;
	const char *name;
};

struct cleave_structure {
	/* Registry name, file name and symbol agree. One line; the paper or source file. */
	const char *name;
	const char *summary;
	const char *source;

	enum cleave_kind kind;
	unsigned flags;
	unsigned keeps; /* enum cleave_guarantee: what it keeps when called as its kind says */

	/* The entry: it begins with struct cleave_entry. */
	size_t entry_size_bytes;
	size_t entry_align_bytes;
	uint64_t last_max;

	/*
	 * Read an entry's bounds. Threads, locks: the entry's owner, or a walk that visits it.
	 */
	void (*bounds)(const struct cleave_entry *entry, uint64_t *start, uint64_t *last);

	/*
	 * Make an empty object. Returns: 0; -ENOMEM, with nothing left behind. Threads: one.
	 * Memory: on config->node.
	 */
	int (*create)(void **self, const struct cleave_structure_config *config);

	/* Give back all memory; entries left inside are forgotten, not touched. Threads: one. */
	void (*destroy)(void *self);

	/*
	 * Optional. Reserve what these ops can need, in the worst case, whatever others do before
	 * they are applied. `self` is the object of the first op; the others may be for others, and
	 * what is reserved serves them all. Locks: none. Returns: 0 with *reserve set; -ENOMEM,
	 * nothing reserved.
	 * `settle` gives back what is left of it, after the batch was applied or abandoned. *reserve is
	 * NULL before; where prepare leaves it so, nothing is reserved, and settle is not called.
	 * NULL, both: updates never need memory.
	 */
	int (*prepare)(void *self, struct cleave_thread *thread, const struct cleave_op *ops,
		       unsigned count, void **reserve);
	void (*settle)(void *self, struct cleave_thread *thread, void *reserve);

	/*
	 * Put `entry` in, with these bounds. `source` is NULL, or an entry of the same subset that
	 * walks must visit first if it does not start later (C2). Cannot fail.
	 * Locks: as the kind says, exclusive. Cost: say it.
	 */
	void (*insert)(void *self, struct cleave_update *update, struct cleave_entry *entry,
		       struct cleave_entry *source, uint64_t start, uint64_t last);

	/*
	 * Optional. Put `child` in so that walks visit `parent` first (C1). pre: start is the
	 * parent's. NULL: `insert` with the parent as source has that effect already, as where ties
	 * go in insertion order.
	 */
	void (*insert_after)(void *self, struct cleave_update *update, struct cleave_entry *parent,
			     struct cleave_entry *child, uint64_t start, uint64_t last);

	/* Take `entry` out. pre: it is in. Cannot fail. Locks: exclusive. */
	void (*remove)(void *self, struct cleave_update *update, struct cleave_entry *entry);

	/*
	 * Optional. Give `entry` new bounds; its place among ties afterwards is that of a new
	 * insertion unless start stays. NULL: remove and insert, between which a subset with
	 * this entry alone looks empty; so who keeps C8 has it.
	 */
	void (*change)(void *self, struct cleave_update *update, struct cleave_entry *entry,
		       uint64_t start, uint64_t last);

	/*
	 * Visit what overlaps [start, last]; of one subset, unless the kind has one object and
	 * `subset` is CLEAVE_ALL_SUBSETS. Returns: 0, or the visitor's positive number, at which it
	 * stopped. Locks: shared, as the kind and flags say. `thread` is NULL in cleave_validate,
	 * which asks sequential structures alone.
	 */
	int (*walk)(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		    uint64_t last, cleave_visit_fn *visit, void *arg);

	/* No interval inside? Locks: none; reads atomically (C8). */
	bool (*empty)(const void *self);

	/*
	 * Check every invariant, without recursion deeper than the structure's own height.
	 * Returns: NULL, or the reason, which lives as long as the object. Locks: no update runs.
	 */
	const char *(*validate)(void *self);

	/* Bytes taken, entries not counted. Locks: no update runs. */
	size_t (*memory)(const void *self);

	/* Optional. What is where in an entry; by offset, ended by a NULL name. Constant. */
	const struct cleave_field *entry_fields;
};

#define CLEAVE_ALL_SUBSETS (~0u)

/*
 * Add a structure to those that designs can name; for programs that bring their own. The library's
 * are there already. Returns: 0; -EINVAL if a required member is missing or contradicts another,
 * with `error` naming it; -EEXIST; -ENOSPC. Threads: before the first cleave_open, one at a time.
 */
CLEAVE_API int cleave_register(const struct cleave_structure *structure,
			       struct cleave_error *error);

/* The i-th registered structure, NULL behind the last. */
CLEAVE_API const struct cleave_structure *cleave_structure_at(unsigned i);

/* The object around a member. */
#define cleave_container_of(pointer, type, member) \
	((type *)((char *)(pointer) - offsetof(type, member)))

#ifdef __cplusplus
}
#endif
#endif
