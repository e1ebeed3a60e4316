/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The memory that insertions of btree_olc.c, which alone includes this, can need: gathered in prepare,
 * left for the next one in settle. A thread has a reserve to itself in between, so that taking nodes
 * from it needs no care; what is shared is the racks, each one word that is exchanged for NULL and back.
 */
#ifndef OLC_RESERVE_H
#define OLC_RESERVE_H

#include "../lib/shim/mark.h"
#include "olc_node.h"

enum {
	LEVELS_MAX = 14, /* of inner nodes: see struct reserve */
	RACKS = 256,	 /* at least, once two threads have met */
	RACKS_TRIED = 4,
	SPARE_LEAVES = 4,
};

/*
 * What prepare leaves, recycled: an insert splits at most the leaf and every inner node above it, and
 * adds a root. The next-to-root level splits once in 12 splits of the level below, so that a tree with
 * 14 levels of inner nodes has seen 7 * 12^13 insertions, more than there are sequence numbers.
 */
struct reserve {
	struct cleave_deferred *leaves, *inners;
	unsigned leaf_count, inner_count;
	unsigned leaves_before, inners_before; /* that were there when it was taken */
	uint32_t subset;		       /* for which it was taken */
	bool fresh;			       /* not from a rack */
	bool applied;			       /* insertions were made with it */
};

/* A reserve that nobody uses at the moment. */
struct rack {
	_Alignas(64) struct reserve *reserve;
};

struct store {
	const int *node_of_subset;
	struct rack *racks; /* more of them; NULL until two reserves were needed at a time */
	uint32_t racks_each; /* of a subset; a power of two */
	uint32_t rack_count;
	uint32_t used; /* a reserve was made */
	struct rack first;
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
	cleave_free(reserve, sizeof(*reserve));
}

/*
 * The i-th rack to try: of the subset's, mostly the thread's own; then what is beside it.
 */
static inline struct rack *rack_of(struct store *store, const struct cleave_thread *thread,
				   uint32_t subset, unsigned i)
{
	/* Acquire: partner is the release in add_racks. */
	struct rack *racks = __atomic_load_n(&store->racks, __ATOMIC_ACQUIRE);
	uint64_t hash = (uintptr_t)thread * 0x9e3779b97f4a7c15u >> 32;

	if (!racks)
		return i ? NULL : &store->first;
	i += subset * store->racks_each + (hash & (store->racks_each - 1));
	return &racks[i < store->rack_count ? i : i - store->rack_count];
}

/* Returns: false if there is no memory. */
static inline bool add_racks(struct store *store)
{
	struct rack *none = NULL;
	size_t bytes = store->rack_count * sizeof(struct rack);
	struct rack *racks = cleave_alloc(bytes, 64, -1);

	/* Release: partner is the acquire in rack_of. */
	if (racks && !__atomic_compare_exchange_n(&store->racks, &none, racks, false,
						  __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		cleave_free(racks, bytes);
	return racks;
}

/*
 * Put it where the next one finds it; if there is one, it is too many. After a batch that was not
 * applied, all that was made for it goes: nothing is left behind by what fails.
 */
static inline void leave_reserve(struct store *store, const struct cleave_thread *thread,
				 struct reserve *reserve)
{
	if (reserve->applied)
		trim(reserve, SPARE_LEAVES, 2 * LEVELS_MAX);
	else
		trim(reserve, reserve->leaves_before, reserve->inners_before);
	for (unsigned i = 0; i < RACKS_TRIED && (reserve->applied || !reserve->fresh); i++) {
		struct rack *rack = rack_of(store, thread, reserve->subset, i);
		struct reserve *none = NULL;

		/* Release: partner is the acquire in take_reserve. */
		if (rack && __atomic_compare_exchange_n(&rack->reserve, &none, reserve, false,
							__ATOMIC_RELEASE, __ATOMIC_RELAXED))
			return;
	}
	free_reserve(reserve);
}

/* Returns: one that somebody left, or NULL. */
static inline struct reserve *take_reserve(struct store *store, const struct cleave_thread *thread,
					   uint32_t subset)
{
	struct reserve *reserve = NULL;

	for (unsigned i = 0; i < RACKS_TRIED && !reserve; i++) {
		struct rack *rack = rack_of(store, thread, subset, i);

		/* Acquire: partner is the release in leave_reserve. */
		if (rack && (!i || __atomic_load_n(&rack->reserve, __ATOMIC_RELAXED)))
			reserve = __atomic_exchange_n(&rack->reserve, NULL, __ATOMIC_ACQUIRE);
	}
	return reserve;
}

/*
 * Returns: a new one; NULL if there is no memory, then nothing has changed. Were there one already,
 * two are in use at a time: racks keep them apart from now on.
 */
static inline struct reserve *make_reserve(struct store *store, unsigned inserts, int node)
{
	struct reserve *reserve = cleave_alloc(sizeof(*reserve), 64, -1);
	bool met = __atomic_exchange_n(&store->used, 1, __ATOMIC_RELAXED);

	if (!reserve)
		return NULL;
	reserve->fresh = true;
	if (stock(reserve, inserts, inserts * LEVELS_MAX, node) &&
	    (!met || __atomic_load_n(&store->racks, __ATOMIC_RELAXED) || add_racks(store)))
		return reserve;
	free_reserve(reserve);
	return NULL;
}

/* Returns: one with as many nodes as `inserts` insertions can need; NULL if there is no memory. */
static inline struct reserve *get_reserve(struct store *store, const struct cleave_thread *thread,
					  uint32_t subset, unsigned inserts)
{
	struct reserve *reserve = take_reserve(store, thread, subset);
	int node = store->node_of_subset[subset];

	if (!reserve) {
		reserve = make_reserve(store, inserts, node);
		if (reserve)
			reserve->subset = subset;
		return reserve;
	}
	reserve->subset = subset;
	reserve->fresh = reserve->applied = false;
	reserve->leaves_before = reserve->leaf_count;
	reserve->inners_before = reserve->inner_count;
	if (stock(reserve, inserts, inserts * LEVELS_MAX, node))
		return reserve;
	leave_reserve(store, thread, reserve);
	return NULL;
}

static inline void open_store(struct store *store, const struct cleave_structure_config *config)
{
	uint32_t racks = config->subsets;

	store->racks_each = 1;
	while (racks < RACKS) {
		racks += racks;
		store->racks_each *= 2;
	}
	store->rack_count = racks;
	store->node_of_subset = config->node_of_subset;
}

static inline size_t store_memory(const struct store *store)
{
	return store->racks ? store->rack_count * sizeof(struct rack) : 0;
}

static inline void close_store(struct store *store)
{
	free_reserve(store->first.reserve);
	for (uint32_t i = 0; store->racks && i < store->rack_count; i++)
		free_reserve(store->racks[i].reserve);
	cleave_free(store->racks, store_memory(store));
}

#endif
