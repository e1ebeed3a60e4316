/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The memory that insertions of btree_olc.c, which alone includes this, can need: gathered in
 * prepare, left for the next one in settle. A thread has a reserve to itself in between, so that
 * taking nodes from it needs no care; between batches it lies in a rack that is the thread's alone.
 */
#ifndef OLC_RESERVE_H
#define OLC_RESERVE_H

#include "../lib/shim/mark.h"
#include "olc_node.h"

enum {
	LEVELS_MAX = 14, /* of inner nodes: see struct reserve */
	RACKS = 1024,	 /* once two threads have met */
	RACKS_TRIED = 4,
	SPARE_LEAVES = 4,
};

/*
 * Where a thread leaves its reserve. Its owner alone reads and writes `reserve`, and needs no
 * atomics for it: two of them, an insertion, would be a tenth of its time. A rack is owned for
 * good; a handle is used by one thread at a time, and again by another once that has ended.
 */
struct rack {
	_Alignas(64) const struct cleave_thread *owner;
	struct reserve *reserve;
};

/*
 * What prepare leaves, recycled: an insert splits at most the leaf and every inner node above it,
 * and adds a root. The next-to-root level splits once in 12 splits of the level below, so that a
 * tree with 14 levels of inner nodes has seen 7 * 12^13 insertions, more than there are sequence
 * numbers.
 */
struct reserve {
	struct cleave_deferred *leaves, *inners;
	unsigned leaf_count, inner_count;
	unsigned leaves_before, inners_before; /* that were there when it was taken */
	bool fresh;			       /* not from a rack */
	bool applied;			       /* insertions were made with it */
	struct rack *racks;		       /* for the store, if it has none */
};

struct store {
	struct rack first; /* what is in it when there are others stays there */
	const int *node_of_subset;
	struct rack *racks; /* RACKS of them; NULL until two threads have met */
};

static inline void free_leaf(struct cleave_deferred *deferred)
{
	cleave_free(cleave_container_of(deferred, struct leaf, node.deferred), sizeof(struct leaf));
}

static inline void free_inner(struct cleave_deferred *deferred)
{
	cleave_free(cleave_container_of(deferred, struct inner, node.deferred),
		    sizeof(struct inner));
}

/* Returns: one that is locked. */
static inline struct node *take_leaf(struct reserve *reserve)
{
	struct cleave_deferred *taken = reserve->leaves;
	struct leaf *leaf = cleave_container_of(taken, struct leaf, node.deferred);

	reserve->leaves = taken->next;
	reserve->leaf_count--;
	leaf->node.version = LOCKED;
	leaf->order = ORDER_EMPTY;
	leaf->low = NOWHERE;
	return &leaf->node;
}

/* pre: take_leaf's, with at most its first slot used. */
static inline void put_back_leaf(struct reserve *reserve, struct leaf *leaf)
{
	leaf->last = 0;
	leaf->node.deferred.next = reserve->leaves;
	reserve->leaves = &leaf->node.deferred;
	reserve->leaf_count++;
}

static inline struct inner *take_inner(struct reserve *reserve, unsigned level)
{
	struct cleave_deferred *taken = reserve->inners;
	struct inner *inner = cleave_container_of(taken, struct inner, node.deferred);

	reserve->inners = taken->next;
	reserve->inner_count--;
	inner->node.level = level;
	for (unsigned i = 0; i < INNER_CHILDREN; i++)
		inner->start[i] = UINT64_MAX;
	return inner;
}

/* Have at least so many, and if `trim` not many more. Returns: false if there is no memory. */
static inline bool stock(struct reserve *reserve, unsigned leaves, unsigned inners, int node)
{
	while (reserve->leaf_count < leaves) {
		struct leaf *leaf = cleave_alloc(sizeof(*leaf), 64, node);

		if (!leaf)
			return false;
		clv_name(leaf, sizeof(*leaf), 0, "leaf", -1, leaf_fields);
		leaf->node.deferred.next = reserve->leaves;
		reserve->leaves = &leaf->node.deferred;
		reserve->leaf_count++;
	}
	while (reserve->inner_count < inners) {
		struct inner *inner = cleave_alloc(sizeof(*inner), 64, node);

		if (!inner)
			return false;
		clv_name(inner, sizeof(*inner), 0, "inner node", -1, inner_fields);
		inner->node.deferred.next = reserve->inners;
		reserve->inners = &inner->node.deferred;
		reserve->inner_count++;
	}
	return true;
}

static inline void trim(struct reserve *reserve, unsigned leaves, unsigned inners)
{
	while (reserve->leaf_count > leaves) {
		struct cleave_deferred *spare = reserve->leaves;

		reserve->leaves = spare->next;
		reserve->leaf_count--;
		free_leaf(spare);
	}
	while (reserve->inner_count > inners) {
		struct cleave_deferred *spare = reserve->inners;

		reserve->inners = spare->next;
		reserve->inner_count--;
		free_inner(spare);
	}
}

static inline void free_reserve(struct reserve *reserve)
{
	if (!reserve)
		return;
	trim(reserve, 0, 0);
	cleave_free(reserve->racks, reserve->racks ? RACKS * sizeof(struct rack) : 0);
	cleave_free(reserve, sizeof(*reserve));
}

static inline bool owns(struct rack *rack, const struct cleave_thread *thread)
{
	const struct cleave_thread *owner = __atomic_load_n(&rack->owner, __ATOMIC_RELAXED);

	/* Relaxed: what the owner finds in it, it put there itself. */
	return owner == thread ||
	       (!owner && __atomic_compare_exchange_n(&rack->owner, &owner, thread, false,
						      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
}

/* Returns: the thread's rack; NULL if there are others where it might be. */
static inline struct rack *find_rack(struct store *store, const struct cleave_thread *thread)
{
	/* Acquire: partner is the release in install_racks. */
	struct rack *racks = __atomic_load_n(&store->racks, __ATOMIC_ACQUIRE);
	uint64_t hash = (uintptr_t)thread * 0x9e3779b97f4a7c15u >> 32;

	if (!racks)
		return owns(&store->first, thread) ? &store->first : NULL;
	for (unsigned i = 0; i < RACKS_TRIED; i++) {
		if (owns(&racks[(hash + i) % RACKS], thread))
			return &racks[(hash + i) % RACKS];
	}
	return NULL;
}

static inline void install_racks(struct store *store, struct reserve *reserve)
{
	struct rack *none = NULL;

	/* Release: partner is the acquire in find_rack. */
	if (!__atomic_compare_exchange_n(&store->racks, &none, reserve->racks, false,
					 __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		cleave_free(reserve->racks, RACKS * sizeof(struct rack));
	reserve->racks = NULL;
}

/*
 * For the thread's next batch; a second one would be too many. After a batch that was not applied,
 * all that was made for it goes: nothing is left behind by what fails.
 */
static inline void leave_reserve(struct store *store, const struct cleave_thread *thread,
				 struct reserve *reserve)
{
	struct rack *rack = find_rack(store, thread);

	if (reserve->applied)
		trim(reserve, SPARE_LEAVES, 2 * LEVELS_MAX);
	else
		trim(reserve, reserve->leaves_before, reserve->inners_before);
	if (reserve->racks && reserve->applied)
		install_racks(store, reserve);
	if (rack && !rack->reserve && (reserve->applied || !reserve->fresh))
		rack->reserve = reserve;
	else
		free_reserve(reserve);
}

/* Returns: a new one; NULL if there is no memory, then nothing has changed. */
static inline struct reserve *make_reserve(struct store *store, bool has_rack, unsigned inserts,
					   int node)
{
	struct reserve *reserve = cleave_alloc(sizeof(*reserve), 64, -1);

	if (!reserve)
		return NULL;
	reserve->fresh = true;
	if (!has_rack && !__atomic_load_n(&store->racks, __ATOMIC_RELAXED))
		reserve->racks = cleave_alloc(RACKS * sizeof(struct rack), 64, -1);
	else
		has_rack = true;
	if ((has_rack || reserve->racks) && stock(reserve, inserts, inserts * LEVELS_MAX, node))
		return reserve;
	free_reserve(reserve);
	return NULL;
}

/* Returns: one with as many nodes as `inserts` insertions can need; NULL if there is no memory. */
static inline struct reserve *get_reserve(struct store *store, const struct cleave_thread *thread,
					  int node, unsigned inserts)
{
	struct rack *rack = find_rack(store, thread);
	struct reserve *reserve = rack ? rack->reserve : NULL;

	if (!reserve)
		return make_reserve(store, rack, inserts, node);
	rack->reserve = NULL;
	reserve->fresh = reserve->applied = false;
	reserve->leaves_before = reserve->leaf_count;
	reserve->inners_before = reserve->inner_count;
	if (stock(reserve, inserts, inserts * LEVELS_MAX, node))
		return reserve;
	leave_reserve(store, thread, reserve);
	return NULL;
}

static inline size_t reserve_memory(const struct reserve *reserve)
{
	if (!reserve)
		return 0;
	return sizeof(*reserve) + reserve->leaf_count * sizeof(struct leaf) +
	       reserve->inner_count * sizeof(struct inner);
}

static inline size_t store_memory(const struct store *store)
{
	size_t bytes = reserve_memory(store->first.reserve);

	if (!store->racks)
		return bytes;
	for (unsigned i = 0; i < RACKS; i++)
		bytes += reserve_memory(store->racks[i].reserve);
	return bytes + RACKS * sizeof(struct rack);
}

static inline void close_store(struct store *store)
{
	free_reserve(store->first.reserve);
	for (uint32_t i = 0; store->racks && i < RACKS; i++)
		free_reserve(store->racks[i].reserve);
	cleave_free(store->racks, store->racks ? RACKS * sizeof(struct rack) : 0);
}

#endif
