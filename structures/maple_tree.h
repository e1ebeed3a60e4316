/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The object of maple_range and maple_rcu, and where its nodes come from when an update can no
 * longer fail.
 *
 *    prepare:  [reserve]  at least so many nodes an update        settle: what is left stays in
 *                  |                                                      the reserve, or is freed
 *    update:       +--> tree      +--> [spare], half as many as are owed
 *
 * How many nodes one update makes has no bound but the height: each node on the way down may be
 * full. But an inner node is split only after its last slots were filled one by one. So each of
 * these pays a part of what the split will take: it is owed. Half as many nodes as are owed are
 * kept spare, and what an update takes beyond those is a constant, which prepare can reserve
 * without looking at the tree. How much a slot owes, and why that is enough, either structure says.
 *
 * Reserves are kept from update to update, in a table by the thread that prepares: an allocation
 * for each insert would cost more than the insert. One belongs for good to the first thread that
 * falls to it, so that it is taken without an atomic exchange, which would be a twentieth of an
 * insert. All other threads, and batches beside one that is not settled, get one for each batch.
 *
 * Readers and writers: all is written under the object's lock but the reserves, which belong to the
 * batch that has them, and the depot. `root` and the depot are also read without the lock.
 */
#ifndef CLV_MAPLE_TREE_H
#define CLV_MAPLE_TREE_H

#include "maple_node.h"
#include "shim/mark.h"

enum {
	CLV_MAPLE_RESERVES_MIN = 4,
	CLV_MAPLE_RESERVES_MAX = 16, /* in the table; powers of 2 */
};

struct clv_maple_reserve {
	_Alignas(64) const struct cleave_thread *owner; /* in the table; NULL: none yet */
	uint32_t busy;					/* with a batch: the owner alone sets it */
	uint32_t count;
	struct clv_maple_node *first; /* linked by `up`, as all lists of nodes here */
	uint32_t count_before;	      /* the batch */
	bool applied;		      /* by an update: the batch was not abandoned */
	bool own;		      /* of one batch, in no table */
};

struct clv_maple_depot;

struct clv_maple_tree {
	_Alignas(64) struct clv_maple_node *root;
	int numa_node;
	unsigned reserves;
	struct clv_maple_depot *depot; /* maple_rcu's, else NULL */

	/* Written only when nodes come and go. */
	_Alignas(64) struct clv_maple_node *spare;
	size_t spares;
	size_t owed;  /* in half nodes */
	size_t nodes; /* in the tree */

	/* maple_rcu's. */
	struct clv_maple_node *replaced; /* by this update: walks may be in them */
	uint64_t sent;			 /* lists of such, to come to the depot */
	uint64_t turns;			 /* given to entries behind their equals */

	struct clv_maple_reserve reserve[];
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
static inline struct clv_maple_node *
clv_maple_make(struct clv_maple_tree *tree, struct clv_maple_reserve *reserve, unsigned level)
{
	struct clv_maple_node *node;

	if (tree->spare) {
		node = clv_maple_pop(&tree->spare);
		tree->spares--;
	} else {
		node = clv_maple_pop(&reserve->first);
		reserve->count--;
	}
	tree->nodes++;
	node->order = (uint64_t)level << 56 | CLV_MAPLE_ORDER_NEW;
	for (unsigned slot = 0; slot < CLV_MAPLE_SLOTS; slot++)
		node->start[slot] = UINT64_MAX;
	return node;
}

/* After nodes were made: what is owed becomes spare. */
static inline void clv_maple_keep_owed(struct clv_maple_tree *tree,
				       struct clv_maple_reserve *reserve)
{
	while (2 * tree->spares < tree->owed) {
		clv_maple_push(&tree->spare, clv_maple_pop(&reserve->first));
		reserve->count--;
		tree->spares++;
	}
}

/* ---- prepare and settle ---- */

/* Keep no more than `count`. */
static inline void clv_maple_trim(struct clv_maple_reserve *reserve, unsigned count)
{
	for (; reserve->count > count; reserve->count--)
		cleave_free(clv_maple_pop(&reserve->first), sizeof(struct clv_maple_node));
}

/*
 * Nodes that no walk can see any more, for whoever prepares next. It outlives the tree until the
 * last of those who are to bring some was here: walks can be in a node longer than the map is open.
 */
struct clv_maple_depot {
	_Alignas(64) struct clv_maple_node *first; /* pushed one list at a time, taken as a whole */
	int64_t returned; /* lists; once the tree is gone, less all that were sent */
};

/* All there are, and how many. */
static inline struct clv_maple_node *clv_maple_depot_take(struct clv_maple_depot *depot)
{
	if (!__atomic_load_n(&depot->first, __ATOMIC_RELAXED))
		return NULL;
	/* Acquire: partner is the release in clv_maple_depot_return. */
	return __atomic_exchange_n(&depot->first, NULL, __ATOMIC_ACQUIRE);
}

static inline void clv_maple_depot_free(struct clv_maple_depot *depot)
{
	clv_maple_free_list(clv_maple_depot_take(depot));
	cleave_free(depot, sizeof(*depot));
}

/* A list that was sent. Threads: any. */
static inline void clv_maple_depot_return(struct clv_maple_depot *depot,
					  struct clv_maple_node *first, struct clv_maple_node *last)
{
	struct clv_maple_node *before = __atomic_load_n(&depot->first, __ATOMIC_RELAXED);

	/* Nobody takes a part of the list, so that a first that came again is the same list. */
	do {
		last->up = (uintptr_t)before;
		/* Release: partner is the acquire in clv_maple_depot_take. */
	} while (!__atomic_compare_exchange_n(&depot->first, &before, first, true, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
	/* Both, here and in clv_maple_destroy: the last one sees what all others did. */
	if (!__atomic_add_fetch(&depot->returned, 1, __ATOMIC_ACQ_REL))
		clv_maple_depot_free(depot);
}

/* The thread's own if no batch has it, or a new one. NULL: out of memory. */
static inline struct clv_maple_reserve *clv_maple_take_reserve(struct clv_maple_tree *tree,
							       const struct cleave_thread *thread)
{
	/* Handles are some lines apart; which of their bits differ is not known here. */
	uint64_t mixed = (uintptr_t)thread / 64 * 0x9e3779b97f4a7c15ull;
	struct clv_maple_reserve *reserve = &tree->reserve[(mixed >> 32) & (tree->reserves - 1)];

	const struct cleave_thread *owner = __atomic_load_n(&reserve->owner, __ATOMIC_RELAXED);

	/* Relaxed: who owns it is all that it says. */
	if (!owner && __atomic_compare_exchange_n(&reserve->owner, &owner, thread, false,
						  __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		owner = thread;
	/* Acquire: partner is the release in clv_maple_settle, which may be another thread's. */
	if (owner == thread && !__atomic_load_n(&reserve->busy, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(&reserve->busy, 1, __ATOMIC_RELAXED);
		return reserve;
	}
	reserve =
		cleave_alloc(sizeof(*reserve), _Alignof(struct clv_maple_reserve), tree->numa_node);
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
	/* All of the depot may have come to this one: after a long walk, any number of nodes. */
	if (!reserve->applied)
		keep = reserve->count_before;
	clv_maple_trim(reserve, keep);
	/* Release: partner is the acquire in clv_maple_take_reserve. */
	__atomic_store_n(&reserve->busy, 0, __ATOMIC_RELEASE);
}

/* For reports of contended lines. */
static const struct cleave_field clv_maple_node_fields[] = {
	{ offsetof(struct clv_maple_node, order), "order, up" },
	{ offsetof(struct clv_maple_node, start), "start" },
	{ offsetof(struct clv_maple_node, of), "last, item" },
	{ 0, NULL },
};

/* Returns: a reserve with at least so many nodes; NULL: out of memory, and all is as it was. */
static inline struct clv_maple_reserve *
clv_maple_prepare(struct clv_maple_tree *tree, const struct cleave_thread *thread, unsigned count)
{
	struct clv_maple_reserve *reserve = clv_maple_take_reserve(tree, thread);

	if (!reserve)
		return NULL;
	reserve->applied = false;
	if (reserve->count < count && tree->depot) {
		struct clv_maple_node *list = clv_maple_depot_take(tree->depot);

		while (list) {
			clv_maple_push(&reserve->first, clv_maple_pop(&list));
			reserve->count++;
		}
	}
	reserve->count_before = reserve->count;
	while (reserve->count < count) {
		struct clv_maple_node *node = cleave_alloc(
			sizeof(*node), _Alignof(struct clv_maple_node), tree->numa_node);

		if (!node) {
			clv_maple_settle(reserve, 0);
			return NULL;
		}
		clv_name(node, sizeof(*node), 0, "maple: node", -1, clv_maple_node_fields);
		clv_maple_push(&reserve->first, node);
		reserve->count++;
	}
	return reserve;
}

/* ---- members of the vtable that both have ---- */

/* Pairs with empty: rb_tree.h's clv_rb_set_root says why it is enough there that it is atomic. */
static inline bool clv_maple_empty(const void *self)
{
	const struct clv_maple_tree *tree = self;

	return !__atomic_load_n(&tree->root, __ATOMIC_RELAXED);
}

static inline size_t clv_maple_bytes(const struct clv_maple_tree *tree)
{
	return sizeof(*tree) + tree->reserves * sizeof(tree->reserve[0]) +
	       (tree->depot ? sizeof(*tree->depot) : 0);
}

static inline size_t clv_maple_memory(const void *self)
{
	const struct clv_maple_tree *tree = self;

	size_t nodes = tree->nodes + tree->spares;

	for (unsigned i = 0; i < tree->reserves; i++)
		nodes += tree->reserve[i].count;
	if (tree->depot) {
		/* Acquire: partner is the release in clv_maple_depot_return. */
		const struct clv_maple_node *node =
			__atomic_load_n(&tree->depot->first, __ATOMIC_ACQUIRE);

		for (; node; node = (const struct clv_maple_node *)node->up)
			nodes++;
	}
	return clv_maple_bytes(tree) + nodes * sizeof(struct clv_maple_node);
}

static inline int clv_maple_create(void **self, const struct cleave_structure_config *config)
{
	unsigned reserves = CLV_MAPLE_RESERVES_MIN;
	struct clv_maple_tree *tree;

	/* Where there are many subsets, few threads use one of them at a time. */
	while (reserves < CLV_MAPLE_RESERVES_MAX &&
	       reserves * config->subsets < 2 * CLV_MAPLE_RESERVES_MAX)
		reserves *= 2;
	tree = cleave_alloc(sizeof(*tree) + reserves * sizeof(tree->reserve[0]),
			    _Alignof(struct clv_maple_tree), config->node);
	if (!tree)
		return -ENOMEM;
	tree->numa_node = config->node;
	tree->reserves = reserves;
	*self = tree;
	return 0;
}

/* Entries are not touched. */
static inline void clv_maple_destroy(void *self)
{
	struct clv_maple_tree *tree = self;
	struct clv_maple_depot *depot = tree->depot;
	uint64_t sent = tree->sent;
	struct clv_maple_node *node = tree->root;

	/* Holds: of `node` and those above, the places below the count are still to be freed. */
	while (node) {
		unsigned count = clv_maple_count(node->order);

		if (clv_maple_level(node->order) && count) {
			struct clv_maple_node *child =
				node->of[clv_maple_at(node->order, count - 1)].item;

			node->order -= 1ull << 40;
			node = child;
			continue;
		}

		struct clv_maple_node *parent = clv_maple_link_node(node->up);

		cleave_free(node, sizeof(*node));
		node = parent;
	}
	clv_maple_free_list(tree->spare);
	for (unsigned i = 0; i < tree->reserves; i++)
		clv_maple_free_list(tree->reserve[i].first);
	cleave_free(tree, sizeof(*tree) + tree->reserves * sizeof(tree->reserve[0]));
	if (depot && !__atomic_sub_fetch(&depot->returned, (int64_t)sent, __ATOMIC_ACQ_REL))
		clv_maple_depot_free(depot);
}

/* What validate checks beside the nodes. Returns: NULL, or the reason. */
static inline __attribute__((always_inline)) const char *clv_maple_check_tree(
	const struct clv_maple_tree *tree, unsigned (*owes)(const struct clv_maple_node *node),
	bool (*in_turn)(const struct cleave_interval *interval, const struct cleave_interval *next))
{
	size_t nodes, owed;
	const char *reason = clv_maple_validate(tree->root, owes, in_turn, &nodes, &owed);

	if (reason)
		return reason;
	if (nodes != tree->nodes)
		return "maple: there are more or fewer nodes than are counted";
	if (owed != tree->owed)
		return "maple: more or less is owed than is counted";
	if (2 * tree->spares < owed)
		return "maple: too few nodes are spare";
	return NULL;
}

#endif
