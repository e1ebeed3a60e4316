/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Where the nodes of maple_range and maple_rcu come from, when an update can no longer fail.
 *
 *    prepare:  [reserve]  at least so many nodes an update        settle: what is left stays in
 *                  |                                                      the reserve, or is freed
 *    update:       +--> tree      +--> [spare], as many as are owed
 *
 * How many nodes one update makes has no bound but the height: each node on the way down may be full.
 * But an inner node is split only after its last slots were filled one by one. So each of these
 * pays a part of what the split will take: it is owed. Half as many nodes as are owed are kept spare,
 * and what an update takes beyond those is a constant, which prepare can reserve without looking
 * at the tree. How much a slot owes and why that is enough, either structure says.
 *
 * Reserves are kept from update to update, in a table by the thread that prepares: an allocation an
 * insert would cost more than the insert. One that no other batch has is taken with an exchange on a
 * line that mostly no other thread uses; if it is taken, a batch has one for itself.
 *
 * Readers and writers: `spare` and the counts are written under the lock of the object, the table
 * without, through `busy`; what is in a reserve belongs to the batch that has it.
 */
#ifndef CLV_MAPLE_SPARE_H
#define CLV_MAPLE_SPARE_H

#include "maple_node.h"

enum {
	CLV_MAPLE_RESERVES_MIN = 4,
	CLV_MAPLE_RESERVES_MAX = 16, /* in the table; powers of 2 */
};

struct clv_maple_reserve {
	_Alignas(64) uint32_t busy; /* with a batch */
	uint32_t count;
	struct clv_maple_node *first; /* linked by `up`, as all lists of nodes here */
	uint32_t count_before;	      /* the batch */
	bool applied;		      /* by an update: the batch was not abandoned */
	bool own;		      /* of one batch, in no table */
};

struct clv_maple_store {
	struct clv_maple_node *spare;
	size_t spares;
	size_t owed;  /* in half nodes */
	size_t nodes; /* in the tree */
	int numa_node;
	unsigned reserves;
	struct clv_maple_reserve *reserve;
};

static inline void clv_maple_push(struct clv_maple_node **list, struct clv_maple_node *node)
{
	node->up = (uintptr_t)*list;
	*list = node;
}

static inline struct clv_maple_node *clv_maple_pop(struct clv_maple_node **list)
{
	struct clv_maple_node *node = *list;

	*list = (struct clv_maple_node *)node->up;
	return node;
}

static inline void clv_maple_free_list(struct clv_maple_node *list)
{
	while (list)
		cleave_free(clv_maple_pop(&list), sizeof(struct clv_maple_node));
}

/* ---- under the object's lock ---- */

/* An empty node. pre: there is one. */
static inline struct clv_maple_node *clv_maple_make(struct clv_maple_store *store,
						    struct clv_maple_reserve *reserve,
						    unsigned level)
{
	struct clv_maple_node *node;

	if (store->spare) {
		node = clv_maple_pop(&store->spare);
		store->spares--;
	} else {
		node = clv_maple_pop(&reserve->first);
		reserve->count--;
	}
	store->nodes++;
	node->order = (uint64_t)level << 56 | CLV_MAPLE_ORDER_NEW;
	for (unsigned slot = 0; slot < CLV_MAPLE_SLOTS; slot++)
		node->start[slot] = UINT64_MAX;
	return node;
}

/* After nodes were made: what is owed becomes spare. */
static inline void clv_maple_keep_owed(struct clv_maple_store *store,
				       struct clv_maple_reserve *reserve)
{
	while (2 * store->spares < store->owed) {
		clv_maple_push(&store->spare, clv_maple_pop(&reserve->first));
		reserve->count--;
		store->spares++;
	}
}

/* ---- prepare and settle ---- */

/* Keep no more than `count`. */
static inline void clv_maple_trim(struct clv_maple_reserve *reserve, unsigned count)
{
	for (; reserve->count > count; reserve->count--)
		cleave_free(clv_maple_pop(&reserve->first), sizeof(struct clv_maple_node));
}

/* The table's for this thread if no batch has it, or a new one. NULL: out of memory. */
static inline struct clv_maple_reserve *clv_maple_take_reserve(struct clv_maple_store *store,
							       const struct cleave_thread *thread)
{
	/* Handles are some lines apart; which of their bits differ is not known here. */
	uint64_t mixed = (uintptr_t)thread / 64 * 0x9e3779b97f4a7c15ull;
	struct clv_maple_reserve *reserve =
		&store->reserve[(mixed >> 32) & (store->reserves - 1)];

	/* Acquire: partner is the release in clv_maple_settle, for what is in it. */
	if (!__atomic_load_n(&reserve->busy, __ATOMIC_RELAXED) &&
	    !__atomic_exchange_n(&reserve->busy, 1, __ATOMIC_ACQUIRE))
		return reserve;
	reserve = cleave_alloc(sizeof(*reserve), _Alignof(struct clv_maple_reserve),
			       store->numa_node);
	if (reserve)
		reserve->own = true;
	return reserve;
}

/* `keep`: as many nodes may stay in the table. A batch that was abandoned leaves what it found. */
static inline void clv_maple_settle(struct clv_maple_reserve *reserve, unsigned keep)
{
	if (reserve->own) {
		clv_maple_trim(reserve, 0);
		cleave_free(reserve, sizeof(*reserve));
		return;
	}
	if (!reserve->applied || keep < reserve->count_before)
		keep = reserve->count_before;
	clv_maple_trim(reserve, keep);
	/* Release: partner is the exchange in clv_maple_take_reserve. */
	__atomic_store_n(&reserve->busy, 0, __ATOMIC_RELEASE);
}

/* Returns: a reserve with at least so many nodes; NULL: out of memory, and all is as it was. */
static inline struct clv_maple_reserve *clv_maple_prepare(struct clv_maple_store *store,
							  const struct cleave_thread *thread,
							  unsigned count)
{
	struct clv_maple_reserve *reserve = clv_maple_take_reserve(store, thread);

	if (!reserve)
		return NULL;
	reserve->applied = false;
	reserve->count_before = reserve->count;
	while (reserve->count < count) {
		struct clv_maple_node *node = cleave_alloc(
			sizeof(*node), _Alignof(struct clv_maple_node), store->numa_node);

		if (!node) {
			clv_maple_settle(reserve, 0);
			return NULL;
		}
		clv_maple_push(&reserve->first, node);
		reserve->count++;
	}
	return reserve;
}

/* ---- create and destroy ---- */

/* How large a table is. Where there are many subsets, few threads use one of them at a time. */
static inline unsigned clv_maple_reserves(const struct cleave_structure_config *config)
{
	unsigned reserves = CLV_MAPLE_RESERVES_MIN;

	while (reserves < CLV_MAPLE_RESERVES_MAX &&
	       reserves * config->subsets < 2 * CLV_MAPLE_RESERVES_MAX)
		reserves *= 2;
	return reserves;
}

/* Free the nodes of a tree, its spare ones and those reserved. Entries are not touched. */
static inline void clv_maple_destroy(struct clv_maple_store *store, struct clv_maple_node *root)
{
	struct clv_maple_node *node = root;

	/* Holds: of `node` and those above, the places below the count are still to be freed. */
	while (node) {
		unsigned count = clv_maple_count(node->order);

		if (clv_maple_level(node->order) && count) {
			struct clv_maple_node *child =
				node->item[clv_maple_at(node->order, count - 1)];

			node->order -= 1ull << 40;
			node = child;
			continue;
		}

		struct clv_maple_node *parent = clv_maple_link_node(node->up);

		cleave_free(node, sizeof(*node));
		node = parent;
	}
	clv_maple_free_list(store->spare);
	for (unsigned i = 0; i < store->reserves; i++)
		clv_maple_free_list(store->reserve[i].first);
}

#endif
