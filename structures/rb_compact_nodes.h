/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * rb_compact's nodes: how one is packed, where they come from, and why there is one whenever an
 * insert is applied. What they are put together to is in rb_compact.c, and so is the drawing.
 *
 * Memory: one block, so that a link is an address but for the block's, and nothing is looked up on
 * the way. It doubles when it is full: prepare brings the new block, and the update under the lock
 * copies what was used of the old one, n/32 KiB for n intervals; no link changes. That holds the
 * lock about as long as one walk over everything, log n times in a tree's life. Nodes are reused,
 * last freed first; a block is given back when a larger one takes its place, or by destroy.
 * While the block is full, each batch that is prepared brings a whole one, for itself alone: with
 * 65,535 intervals, 384 batches at once took 1.6 GB, and 7.5 ms each to prepare.
 *
 * Invariants: each of nodes[1] to nodes[fresh - 1] is in the tree or on the free list; `used`
 * counts those in the tree. While nobody holds a block of his own, 1 + used + promised <= capacity.
 */
#ifndef CLV_RB_COMPACT_NODES_H
#define CLV_RB_COMPACT_NODES_H

#include <errno.h>

#include <cleave/structure.h>

#include "../lib/shim/mark.h"

enum {
	FIRST_NODES = 4,
	PARENT_BITS = 22,
	NODES_MAX = 1 << PARENT_BITS,
	PARENT_MASK = NODES_MAX - 1,
	LAST_MAX = INT32_MAX,
	ENTRY_ALIGN_SHIFT = 6,
	LINK = 4, /* from one node to the next */
};

/*
 * A link counts words from the block's first, so that on x86-64 it needs no shift: four a node. 0
 * leads to nodes[0], which is nobody's child: as a child it is none, as a parent it is the root's.
 */
struct node {
	uint32_t bound[2]; /* start, last; twice, and one more if the child on that side is red */
	uint32_t max[2];
	uint32_t child[2]; /* links; [0]: not behind the node in order, [1]: not before it */
	uint64_t up;	   /* entry's address / 64, and in the low 22 bits the parent's link / 4 */
};

_Static_assert(sizeof(struct node) == 32, "two a line");
_Static_assert(sizeof(struct node) == LINK * sizeof(uint64_t), "links count words");
_Static_assert(sizeof(uintptr_t) == sizeof(uint64_t), "an entry's address has 64 bits");

struct tree {
	_Alignas(64) struct node *nodes;
	uint32_t capacity; /* of the block, nodes[0] included */
	uint32_t used;
	uint32_t promised; /* inserts prepared and not settled; written outside the lock */
	uint32_t fresh;	   /* nodes below it have been used */
	uint32_t free;	   /* link of the first free one of these; the next in child[0]. 0: none */
	int numa_node;
	void *const *objects;
};

static inline struct cleave_interval *interval_of(struct cleave_entry *entry)
{
	return cleave_container_of(entry, struct cleave_interval, entry);
}

static inline struct node *node_at(struct node *nodes, uint32_t link)
{
	return (struct node *)((uint64_t *)nodes + link);
}

static inline uint32_t link_of(const struct node *nodes, const struct node *node)
{
	return (uint32_t)((const uint64_t *)node - (const uint64_t *)nodes);
}

static inline uint32_t parent_of(const struct node *node)
{
	return ((uint32_t)node->up & PARENT_MASK) * LINK;
}

static inline void set_parent(struct node *node, uint32_t parent)
{
	node->up = (node->up & ~(uint64_t)PARENT_MASK) | parent / LINK;
}

static inline struct cleave_entry *entry_of(const struct node *node)
{
	return (struct cleave_entry *)(uintptr_t)(node->up >> PARENT_BITS << ENTRY_ALIGN_SHIFT);
}

static inline uint64_t up_of(const struct cleave_entry *entry, uint32_t parent)
{
	return (uint64_t)(uintptr_t)entry << (PARENT_BITS - ENTRY_ALIGN_SHIFT) | parent / LINK;
}

static inline uint32_t start_of(const struct node *node)
{
	return node->bound[0] >> 1;
}

static inline uint32_t last_of(const struct node *node)
{
	return node->bound[1] >> 1;
}

/* Is the child on that side red? */
static inline bool red(const struct node *node, int side)
{
	return node->bound[side] & 1;
}

static inline void set_red(struct node *node, int side, bool is_red)
{
	node->bound[side] = (node->bound[side] & ~UINT32_C(1)) | is_red;
}

static inline void set_bounds(struct node *node, uint32_t start, uint32_t last)
{
	node->bound[0] = start * 2 | red(node, 0);
	node->bound[1] = last * 2 | red(node, 1);
}

/* pre: it is a child of `parent`. */
static inline int side_of(const struct node *parent, uint32_t link)
{
	return parent->child[1] == link;
}

/* What max has to be in the node above. */
static inline uint32_t subtree_last(const struct node *node)
{
	uint32_t max = node->max[0] > node->max[1] ? node->max[0] : node->max[1];

	return last_of(node) > max ? last_of(node) : max;
}

/* ---- nodes, and the promise of them ---- */

/*
 * What prepare leaves. Mostly the number of inserts, shifted, with bit 0 set: they are for the
 * object that was asked, and its block has room. Else a struct reserve, a promise for each object.
 *
 * Why there is room when an insert is applied: a promise counts the nodes used and those promised,
 * its own included, and brings a block for so many along if the object's is too small. Take, of all
 * inserts applied so far, the one promised last. What is in the tree by then was in it when that
 * one counted, or promised. So the block that it counted in, or brought, is large enough.
 */
struct promise {
	struct tree *tree;
	uint32_t count;
	uint32_t capacity;
	struct node *nodes; /* NULL, or a block of that capacity */
};

struct reserve {
	size_t size_bytes;
	unsigned promises;
	struct promise promise[];
};

static const struct cleave_field node_fields[] = {
	{ offsetof(struct node, bound), "node's bounds, colours" },
	{ offsetof(struct node, max), "node's maxima" },
	{ offsetof(struct node, child), "node's children" },
	{ offsetof(struct node, up), "node's entry, parent" },
	{ 0, NULL },
};

static inline struct node *make_block(uint32_t capacity, int numa_node)
{
	size_t size_bytes = capacity * sizeof(struct node);
	struct node *nodes = cleave_alloc(size_bytes, _Alignof(struct tree), numa_node);

	if (nodes)
		clv_name(nodes, size_bytes, sizeof(*nodes), "rb_compact nodes", -1, node_fields);
	return nodes;
}

static inline void free_block(struct node *nodes, uint32_t capacity)
{
	cleave_free(nodes, capacity * sizeof(*nodes));
}

static inline bool has_promises(const void *reserve)
{
	return reserve && !((uintptr_t)reserve & 1);
}

/* Returns: is there room? *wanted is the capacity that there has to be. */
static inline bool promise(struct tree *tree, uint32_t count, uint32_t *wanted)
{
	/*
	 * Acquire: partner is the release in end_promise. A promise not counted here any more has
	 * become an entry that is counted below.
	 */
	uint32_t promised = __atomic_add_fetch(&tree->promised, count, __ATOMIC_ACQ_REL);

	*wanted = 1 + __atomic_load_n(&tree->used, __ATOMIC_RELAXED) + promised;
	return *wanted <= __atomic_load_n(&tree->capacity, __ATOMIC_RELAXED);
}

static inline void end_promise(struct tree *tree, uint32_t count)
{
	/* Release: partner is promise. */
	__atomic_fetch_sub(&tree->promised, count, __ATOMIC_RELEASE);
}

static inline void settle(void *self, struct cleave_thread *thread, void *left)
{
	struct reserve *reserve = left;

	(void)thread;
	if (__builtin_expect(!has_promises(left), 1)) {
		end_promise(self, (uint32_t)((uintptr_t)left >> 1));
		return;
	}
	for (unsigned i = 0; i < reserve->promises; i++) {
		struct promise *made = &reserve->promise[i];

		end_promise(made->tree, made->count);
		free_block(made->nodes, made->capacity);
	}
	cleave_free(reserve, reserve->size_bytes);
}

/* Returns: false, with the promise made all the same: no memory. */
static inline bool promise_with_block(struct promise *made)
{
	uint32_t wanted, capacity = FIRST_NODES;

	if (promise(made->tree, made->count, &wanted))
		return true;
	if (wanted > NODES_MAX)
		return false;
	while (capacity < wanted)
		capacity *= 2;
	made->nodes = make_block(capacity, made->tree->numa_node);
	made->capacity = made->nodes ? capacity : 0;
	return made->nodes;
}

static inline bool inserts(const struct cleave_op *op)
{
	return op->kind != CLEAVE_REMOVE && op->kind != CLEAVE_CHANGE;
}

static inline struct tree *tree_of(struct tree *self, const struct cleave_op *op)
{
	return self->objects ? self->objects[op->entry->subset] : self;
}

static inline void count_insert(struct reserve *reserve, struct tree *tree)
{
	struct promise *made = reserve->promise;

	while (made < reserve->promise + reserve->promises && made->tree != tree)
		made++;
	if (made == reserve->promise + reserve->promises)
		reserve->promises++;
	made->tree = tree;
	made->count++;
}

static inline __attribute__((cold)) int make_promises(struct tree *self,
						      struct cleave_thread *thread,
						      const struct cleave_op *ops, unsigned count,
						      void **reserve)
{
	size_t size_bytes = sizeof(struct reserve) + count * sizeof(struct promise);
	struct reserve *made = cleave_alloc(size_bytes, _Alignof(max_align_t), self->numa_node);

	if (!made)
		return -ENOMEM;
	made->size_bytes = size_bytes;
	for (unsigned i = 0; i < count; i++) {
		if (inserts(&ops[i]))
			count_insert(made, tree_of(self, &ops[i]));
	}
	for (unsigned i = 0; i < made->promises; i++) {
		if (promise_with_block(&made->promise[i]))
			continue;
		made->promises = i + 1; /* The others are not made. */
		settle(self, thread, made);
		return -ENOMEM;
	}
	*reserve = made;
	return 0;
}

/* The way of batches of several ops, and of what finds no room. */
static inline __attribute__((cold)) int prepare_slowly(struct tree *tree,
						       struct cleave_thread *thread,
						       const struct cleave_op *ops, unsigned count,
						       void **reserve)
{
	uint32_t here = 0, elsewhere = 0, wanted;

	for (unsigned i = 0; i < count; i++) {
		bool is_here = i == 0 || tree_of(tree, &ops[i]) == tree;

		here += inserts(&ops[i]) && is_here;
		elsewhere += inserts(&ops[i]) && !is_here;
	}
	if (!here && !elsewhere)
		return 0;
	if (!elsewhere) {
		if (promise(tree, here, &wanted)) {
			*reserve = (void *)((uintptr_t)here << 1 | 1);
			return 0;
		}
		end_promise(tree, here);
	}
	return make_promises(tree, thread, ops, count, reserve);
}

static inline int prepare(void *self, struct cleave_thread *thread, const struct cleave_op *ops,
			  unsigned count, void **reserve)
{
	struct tree *tree = self;
	uint32_t wanted;

	*reserve = NULL;
	if (count == 1 && !inserts(ops))
		return 0;
	if (count == 1 && promise(tree, 1, &wanted)) {
		*reserve = (void *)(uintptr_t)(1 << 1 | 1);
		return 0;
	}
	if (count == 1)
		end_promise(tree, 1);
	return prepare_slowly(tree, thread, ops, count, reserve);
}

/* Take into use the blocks that are larger; the smaller go back with the reserve. */
static inline __attribute__((cold)) void grow(struct tree *tree, struct reserve *reserve)
{
	for (unsigned i = 0; i < reserve->promises; i++) {
		struct promise *made = &reserve->promise[i];
		const struct promise old = { .nodes = tree->nodes, .capacity = tree->capacity };

		if (made->tree != tree || made->capacity <= old.capacity)
			continue;
		for (uint32_t k = 0; k < tree->fresh; k++)
			made->nodes[k] = old.nodes[k];
		tree->nodes = made->nodes;
		/* Relaxed, as `used`: who prepares counts with either, and both are right. */
		__atomic_store_n(&tree->capacity, made->capacity, __ATOMIC_RELAXED);
		made->nodes = old.nodes;
		made->capacity = old.capacity;
	}
}

/* Relaxed, and read so by `empty`, which follows nothing. */
static inline void set_used(struct tree *tree, uint32_t used)
{
	__atomic_store_n(&tree->used, used, __ATOMIC_RELAXED);
}

/* pre: prepare has promised it. The block may be another afterwards. */
static inline uint32_t take_node(struct tree *tree, const struct cleave_update *update)
{
	if (__builtin_expect(has_promises(update->reserve), 0))
		grow(tree, update->reserve);

	uint32_t link = tree->free;

	if (link)
		tree->free = node_at(tree->nodes, link)->child[0];
	else
		link = tree->fresh++ * LINK;
	set_used(tree, tree->used + 1);
	return link;
}

static inline void give_node(struct tree *tree, uint32_t link)
{
	struct node *node = node_at(tree->nodes, link);

	node->up = 0;
	node->child[0] = tree->free;
	tree->free = link;
	set_used(tree, tree->used - 1);
}

/* ---- a tree ---- */

static inline int create(void **self, const struct cleave_structure_config *config)
{
	struct tree *tree = cleave_alloc(sizeof(*tree), _Alignof(struct tree), config->node);

	if (!tree)
		return -ENOMEM;
	clv_name(tree, sizeof(*tree), 0, "rb_compact tree", (int)config->subset, NULL);
	tree->nodes = make_block(FIRST_NODES, config->node);
	if (!tree->nodes) {
		cleave_free(tree, sizeof(*tree));
		return -ENOMEM;
	}
	tree->capacity = FIRST_NODES;
	tree->fresh = 1;
	tree->objects = config->objects;
	tree->numa_node = config->node;
	*self = tree;
	return 0;
}

static inline void destroy(void *self)
{
	struct tree *tree = self;

	free_block(tree->nodes, tree->capacity);
	cleave_free(tree, sizeof(*tree));
}

static inline size_t memory(const void *self)
{
	const struct tree *tree = self;

	return sizeof(*tree) + tree->capacity * sizeof(struct node);
}

/*
 * Pairs with set_used. Whoever knows that an insert has returned knows it through something that
 * orders the two already, and coherence then forbids him to read a number from before it.
 */
static inline bool empty(const void *self)
{
	const struct tree *tree = self;

	return !__atomic_load_n(&tree->used, __ATOMIC_RELAXED);
}

/* Is each node either among the `seen` ones in the tree or on the free list? */
static inline const char *check_free(struct tree *tree, uint32_t seen)
{
	uint32_t free = 0;

	for (uint32_t link = tree->free; link; link = node_at(tree->nodes, link)->child[0]) {
		if (link % LINK || link / LINK >= tree->fresh || ++free >= tree->fresh ||
		    node_at(tree->nodes, link)->up)
			return "rb_compact: the free list leads to what is not free";
	}
	if (seen != tree->used)
		return "rb_compact: used is not the number of entries";
	if (1 + seen + free != tree->fresh || tree->fresh > tree->capacity)
		return "rb_compact: a node is neither in the tree nor free";
	return NULL;
}

#endif
