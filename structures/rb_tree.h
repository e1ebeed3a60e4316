/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * An augmented red-black tree of intervals: the one algorithm behind rb_interval and rb_vma.
 *
 * After Cormen, Leiserson, Rivest, Stein: Introduction to Algorithms, chapters 13 (red-black trees)
 * and 14.3 (interval trees). Where it differs:
 *  - A missing child is NULL, not a sentinel, which all updates would write.
 *  - A removed node with two children is replaced by its successor by relinking. Nothing is copied
 *    between entries: their addresses belong to the caller.
 *  - An insert raises the subtree maxima on its way down, since it knows then already what will
 *    hang below. A removal recomputes them from the deepest node whose subtree changed upwards, and
 *    stops at the first that stays as it was. Linux's interval trees do the same, and
 *    rb_vma is there to stand for them; `tuned` is what else can be done.
 *  - Left and right are an index, not a branch: it would be mispredicted half the time.
 *
 * Invariants (clv_rb_validate checks them, and says what it cannot):
 *  - In-order, `start` does not descend. Of equal starts, the one inserted later comes later, but
 *    for clv_rb_insert_after, whose child comes directly behind its parent.
 *  - subtree_last is the largest `last` in the node's subtree.
 *  - The root is black, a red node has no red child, and every way from the root to a missing child
 *    meets as many black nodes.
 *
 * Readers and writers: a writer is alone; walkers share. Only `root` is also read by no lock holder
 * (clv_rb_empty), so that it alone is written atomically.
 *
 * Reclamation: none here. An entry that remove returned from is reached from nowhere.
 *
 * Cost: updates O(log n), at most two rotations for an insert and three for a removal. A walk that
 * visits k entries O(log n + k) if they are neighbours in order, and never more than
 * O((k + 1) log n). Where the key sits and how many cache lines a node takes is the layout's.
 *
 * A layout is a constant that every function here is inlined with, so that the accessors are calls
 * in the source alone (tests/unit/no_indirect_call.sh looks).
 */
#ifndef CLV_RB_TREE_H
#define CLV_RB_TREE_H

#include <errno.h>

#include <cleave/structure.h>

/*
 * Lies over the `word` of an entry, whose declared type is another: hence may_alias. A red node's
 * first word is its parent's address as it is; a black one's has bit 0 set.
 */
struct clv_rb_node {
	uintptr_t parent_colour;
	struct clv_rb_node *child[2]; /* [0]: not behind the node in order, [1]: not before it */
	uint64_t subtree_last;
} __attribute__((may_alias));

_Static_assert(sizeof(struct clv_rb_node) == 4 * sizeof(uintptr_t), "a node is four words");
_Static_assert(sizeof(uintptr_t) == sizeof(uint64_t), "a word holds a bound");

enum clv_rb_colour {
	CLV_RB_RED = 0,
	CLV_RB_BLACK = 1,
};

/* No count of the entries: every update would write it, and have to fetch its line from the last. */
struct clv_rb_tree {
	struct clv_rb_node *root;
};

/* What clv_rb_create makes, one a subset: alone on its line. */
struct clv_rb_object {
	_Alignas(64) struct clv_rb_tree tree;
};

struct clv_rb_layout {
	uint64_t (*start)(const struct clv_rb_node *node);
	uint64_t (*last)(const struct clv_rb_node *node);
	size_t node_offset; /* of the node in its entry */

	/*
	 * Do what Linux's tree does not: fetch both children ahead on an insert's way down, and
	 * work out no maximum that what was removed cannot have made. Off for the layout that
	 * stands for Linux's, so that it reads the same lines. One fetched in vain is traffic
	 * between caches, which a simulated machine does not see.
	 */
	bool tuned;
};

static inline struct clv_rb_node *clv_rb_parent(const struct clv_rb_node *node)
{
	return (struct clv_rb_node *)(node->parent_colour & ~(uintptr_t)CLV_RB_BLACK);
}

static inline bool clv_rb_red(const struct clv_rb_node *node)
{
	return !(node->parent_colour & CLV_RB_BLACK);
}

static inline void clv_rb_set_parent(struct clv_rb_node *node, struct clv_rb_node *parent)
{
	node->parent_colour = (uintptr_t)parent | (node->parent_colour & CLV_RB_BLACK);
}

/*
 * Relaxed: clv_rb_empty compares with NULL and follows nothing, so that there is nothing to order.
 * Whoever knows that an insert has returned knows it through something that orders the two already,
 * and coherence then forbids him to read a root from before it.
 */
static inline void clv_rb_set_root(struct clv_rb_tree *tree, struct clv_rb_node *root)
{
	__atomic_store_n(&tree->root, root, __ATOMIC_RELAXED);
}

/* Put `new` (or NULL) where `old` hangs. */
static inline void clv_rb_replace(struct clv_rb_tree *tree, struct clv_rb_node *parent,
				  const struct clv_rb_node *old, struct clv_rb_node *new)
{
	if (parent)
		parent->child[parent->child[1] == old] = new;
	else
		clv_rb_set_root(tree, new);
}

/* What subtree_last has to be, from the children's. */
static inline __attribute__((always_inline)) uint64_t
clv_rb_subtree_last(const struct clv_rb_layout *layout, const struct clv_rb_node *node)
{
	uint64_t max = layout->last(node);

	if (node->child[0] && node->child[0]->subtree_last > max)
		max = node->child[0]->subtree_last;
	if (node->child[1] && node->child[1]->subtree_last > max)
		max = node->child[1]->subtree_last;
	return max;
}

/*
 * Make subtree_last right from `node` up to below `stop` (NULL: to the root), after an entry that
 * reached to `gone` left all these subtrees. Above the first maximum that stays, all stay; and one
 * that is greater than `gone` is somebody else's.
 */
static inline __attribute__((always_inline)) void
clv_rb_propagate(const struct clv_rb_layout *layout, struct clv_rb_node *node,
		 const struct clv_rb_node *stop, uint64_t gone)
{
	while (node != stop && (!layout->tuned || node->subtree_last <= gone)) {
		uint64_t max = clv_rb_subtree_last(layout, node);

		if (node->subtree_last == max)
			break;
		node->subtree_last = max;
		node = clv_rb_parent(node);
	}
}

/* The same where an entry was added or grew: no maximum can fall, so that none is worked out. */
static inline void clv_rb_raise(struct clv_rb_node *node, uint64_t last)
{
	while (node && node->subtree_last < last) {
		node->subtree_last = last;
		node = clv_rb_parent(node);
	}
}

/*
 * Rotate towards `side`. The child on the other side rises into the place and colour of `node`, and
 * `node` gets `colour`. For side 0:
 *
 *       node                 riser
 *      /    \               /     \
 *     a     riser    ->   node     c
 *           /   \        /    \
 *       inner    c      a    inner
 *
 * The entries below the place stay the same, so that the maximum there moves with it.
 */
static inline __attribute__((always_inline)) void clv_rb_rotate(struct clv_rb_tree *tree,
								const struct clv_rb_layout *layout,
								struct clv_rb_node *node, int side,
								enum clv_rb_colour colour)
{
	struct clv_rb_node *parent = clv_rb_parent(node);
	struct clv_rb_node *riser = node->child[!side];
	struct clv_rb_node *inner = riser->child[side];

	node->child[!side] = inner;
	if (inner)
		clv_rb_set_parent(inner, node);
	riser->child[side] = node;
	riser->parent_colour = node->parent_colour;
	node->parent_colour = (uintptr_t)riser | colour;
	clv_rb_replace(tree, parent, node, riser);
	riser->subtree_last = node->subtree_last;
	node->subtree_last = clv_rb_subtree_last(layout, node);
}

/*
 * Make a leaf of `node` at `parent` (NULL: the tree is empty) and restore the colours (CLRS 13.3).
 * pre: the maxima above include `last` already.
 */
static inline __attribute__((always_inline)) void
clv_rb_link(struct clv_rb_tree *tree, const struct clv_rb_layout *layout, struct clv_rb_node *node,
	    struct clv_rb_node *parent, int side, uint64_t last)
{
	node->parent_colour = (uintptr_t)parent | CLV_RB_RED;
	node->child[0] = NULL;
	node->child[1] = NULL;
	node->subtree_last = last;
	if (parent)
		parent->child[side] = node;
	else
		clv_rb_set_root(tree, node);

	/* Holds: `node` is red, and all that may be wrong is that `parent` is red or missing. */
	while (parent) {
		if (!clv_rb_red(parent))
			return;

		/* A red parent is not the root. */
		struct clv_rb_node *grand = clv_rb_parent(parent);

		side = grand->child[1] == parent;
		struct clv_rb_node *uncle = grand->child[!side];

		if (!uncle || !clv_rb_red(uncle)) {
			if (parent->child[!side] == node)
				clv_rb_rotate(tree, layout, parent, side, CLV_RB_RED);
			clv_rb_rotate(tree, layout, grand, !side, CLV_RB_RED);
			return;
		}
		parent->parent_colour = (uintptr_t)grand | CLV_RB_BLACK;
		uncle->parent_colour = (uintptr_t)grand | CLV_RB_BLACK;
		node = grand;
		parent = clv_rb_parent(node);
		node->parent_colour = (uintptr_t)parent | CLV_RB_RED;
	}
	node->parent_colour = (uintptr_t)NULL | CLV_RB_BLACK;
}

/* Add behind all that start no later. Reads, a level, the key and the node's own words. */
static inline __attribute__((always_inline)) void clv_rb_insert(struct clv_rb_tree *tree,
								const struct clv_rb_layout *layout,
								struct clv_rb_node *node,
								uint64_t start, uint64_t last)
{
	struct clv_rb_node *parent = NULL;
	struct clv_rb_node *at = tree->root;
	int side = 0;

	/* Holds: the new node belongs below `at`, on no level yet passed. */
	while (at) {
		parent = at;
		if (at->subtree_last < last)
			at->subtree_last = last;
		if (layout->tuned) {
			__builtin_prefetch(at->child[0]);
			__builtin_prefetch(at->child[1]);
		}
		if (start < layout->start(at)) {
			/*
			 * Empty, but compilers may not make a conditional move of a branch with it.
			 * With the few distinct ranges of a shared library the branch is predicted,
			 * so that the next level's loads need not wait. Measured at 6,000 entries,
			 * an update pair takes 5 % longer with the move there, if 15 % less with
			 * random ranges (Zen 4, gcc 12).
			 */
			__asm__ __volatile__("");
			at = at->child[0];
			side = 0;
		} else {
			at = at->child[1];
			side = 1;
		}
	}
	clv_rb_link(tree, layout, node, parent, side, last);
}

/*
 * Add `node` directly behind `before` in order. pre: they start at the same place. Does not descend
 * from the root, and reads no key.
 */
static inline __attribute__((always_inline)) void
clv_rb_insert_after(struct clv_rb_tree *tree, const struct clv_rb_layout *layout,
		    struct clv_rb_node *before, struct clv_rb_node *node, uint64_t last)
{
	struct clv_rb_node *parent = before;
	int side = 1;

	clv_rb_raise(before, last);
	for (struct clv_rb_node *at = before->child[1]; at; at = at->child[0]) {
		if (at->subtree_last < last)
			at->subtree_last = last;
		parent = at;
		side = 0;
	}
	clv_rb_link(tree, layout, node, parent, side, last);
}

/*
 * The ways through the missing child of `parent` are short of one black node: restore (CLRS 13.4).
 * pre: the maxima are right.
 */
static inline __attribute__((always_inline)) void clv_rb_refill(struct clv_rb_tree *tree,
								const struct clv_rb_layout *layout,
								struct clv_rb_node *parent)
{
	/* The sibling's side has a black node at least, so that the missing child is the NULL. */
	int side = !parent->child[1];

	for (;;) {
		struct clv_rb_node *sibling = parent->child[!side];

		if (clv_rb_red(sibling)) {
			clv_rb_rotate(tree, layout, parent, side, CLV_RB_RED);
			sibling = parent->child[!side];
		}

		struct clv_rb_node *near = sibling->child[side];
		struct clv_rb_node *far = sibling->child[!side];

		if (!far || !clv_rb_red(far)) {
			if (!near || !clv_rb_red(near)) {
				sibling->parent_colour = (uintptr_t)parent | CLV_RB_RED;

				struct clv_rb_node *above = clv_rb_parent(parent);

				if (clv_rb_red(parent) || !above) {
					parent->parent_colour |= CLV_RB_BLACK;
					return;
				}
				side = above->child[1] == parent;
				parent = above;
				continue;
			}
			far = sibling;
			clv_rb_rotate(tree, layout, sibling, !side, CLV_RB_RED);
		}
		clv_rb_rotate(tree, layout, parent, side, CLV_RB_BLACK);
		far->parent_colour |= CLV_RB_BLACK;
		return;
	}
}

/* pre: `node` is in the tree. Its words are left as they were. */
static inline __attribute__((always_inline)) void clv_rb_remove(struct clv_rb_tree *tree,
								const struct clv_rb_layout *layout,
								struct clv_rb_node *node)
{
	struct clv_rb_node *left = node->child[0];
	struct clv_rb_node *right = node->child[1];
	struct clv_rb_node *parent; /* deepest node whose subtree loses one */
	struct clv_rb_node *child;  /* moves up to it and takes the place's colour: a red leaf */
	bool short_of_black;

	if (!left || !right) {
		parent = clv_rb_parent(node);
		child = left ? left : right;
		clv_rb_replace(tree, parent, node, child);
		if (child)
			child->parent_colour = node->parent_colour;
		short_of_black = !child && !clv_rb_red(node);
		clv_rb_propagate(layout, parent, NULL, layout->last(node));
	} else {
		struct clv_rb_node *next = right;

		if (!next->child[0]) {
			parent = next;
			child = next->child[1];
		} else {
			do {
				parent = next;
				next = next->child[0];
			} while (next->child[0]);
			child = next->child[1];
			parent->child[0] = child;
			next->child[1] = right;
			clv_rb_set_parent(right, next);
		}
		short_of_black = !child && !clv_rb_red(next);
		if (child)
			child->parent_colour = (uintptr_t)parent | CLV_RB_BLACK;
		next->child[0] = left;
		clv_rb_set_parent(left, next);
		clv_rb_replace(tree, clv_rb_parent(node), node, next);
		next->parent_colour = node->parent_colour;

		/*
		 * Between `parent` and the place, `next` is what left the subtrees; from the place
		 * up it is `node`, whatever changed below.
		 */
		next->subtree_last = node->subtree_last;
		clv_rb_propagate(layout, parent, next, layout->last(next));
		clv_rb_propagate(layout, next, NULL, layout->last(node));
	}
	if (short_of_black && parent)
		clv_rb_refill(tree, layout, parent);
}

/* After the entry's own `last` became `last`, from `last_before`, and nothing moved. */
static inline __attribute__((always_inline)) void
clv_rb_change_last(const struct clv_rb_layout *layout, struct clv_rb_node *node,
		   uint64_t last_before, uint64_t last)
{
	if (last >= last_before)
		clv_rb_raise(node, last);
	else
		clv_rb_propagate(layout, node, NULL, last_before);
}

/* Is `node` the only one? */
static inline bool clv_rb_alone(const struct clv_rb_node *node)
{
	return !clv_rb_parent(node) && !node->child[0] && !node->child[1];
}

/* ---- walk ---- */

/*
 * The first in order below and including `node` that overlaps [start, last]; NULL: there is none,
 * nor is there one behind. pre: node->subtree_last >= start.
 */
static inline __attribute__((always_inline)) struct clv_rb_node *
clv_rb_first(const struct clv_rb_layout *layout, struct clv_rb_node *node, uint64_t start,
	     uint64_t last)
{
	/*
	 * Holds: some entry below `node` reaches `start`, and none before that subtree is left to
	 * look at. So if the first one to reach it starts behind `last`, all that follow do too.
	 */
	for (;;) {
		struct clv_rb_node *left = node->child[0];

		if (left && left->subtree_last >= start) {
			node = left;
			continue;
		}
		if (layout->start(node) > last)
			return NULL;
		if (layout->last(node) >= start)
			return node;
		/* Neither it nor its left: the one that reaches `start` is in its right. */
		node = node->child[1];
	}
}

/* The next behind `node` that overlaps, or NULL. */
static inline __attribute__((always_inline)) struct clv_rb_node *
clv_rb_next(const struct clv_rb_layout *layout, struct clv_rb_node *node, uint64_t start,
	    uint64_t last)
{
	for (;;) {
		struct clv_rb_node *right = node->child[1];

		if (right && right->subtree_last >= start)
			return clv_rb_first(layout, right, start, last);

		const struct clv_rb_node *below;

		do {
			below = node;
			node = clv_rb_parent(node);
			if (!node)
				return NULL;
		} while (node->child[1] == below);
		if (layout->start(node) > last)
			return NULL;
		if (layout->last(node) >= start)
			return node;
	}
}

/* Visit in order. The visitor may sleep: all that is kept meanwhile is which was the last. */
static inline __attribute__((always_inline)) int clv_rb_walk(const struct clv_rb_tree *tree,
							     const struct clv_rb_layout *layout,
							     uint64_t start, uint64_t last,
							     cleave_visit_fn *visit, void *arg)
{
	struct clv_rb_node *node = tree->root;

	if (!node || node->subtree_last < start)
		return 0;
	for (node = clv_rb_first(layout, node, start, last); node;
	     node = clv_rb_next(layout, node, start, last)) {
		int stop = visit((struct cleave_entry *)((char *)node - layout->node_offset), arg);

		if (stop)
			return stop;
	}
	return 0;
}

/* ---- validate ---- */

/* One node against its children, before any of them is entered. Returns: NULL, or the reason. */
static inline __attribute__((always_inline)) const char *
clv_rb_check_node(const struct clv_rb_layout *layout, const struct clv_rb_node *node)
{
	if (node->child[0] && node->child[0] == node->child[1])
		return "rb: left and right child are the same";
	for (int side = 0; side < 2; side++) {
		const struct clv_rb_node *child = node->child[side];

		if (!child)
			continue;
		if (clv_rb_parent(child) != node)
			return "rb: a child's parent link leads elsewhere";
		if (clv_rb_red(node) && clv_rb_red(child))
			return "rb: a red entry has a red child";
	}
	if (layout->start(node) > layout->last(node))
		return "rb: an entry starts behind its last";
	if (node->subtree_last != clv_rb_subtree_last(layout, node))
		return "rb: subtree_last is not the largest last of its subtree";
	return NULL;
}

/*
 * Check all but two things. The order of ties: it is that of the insertions, of which nothing is
 * recorded. And whether an entry is missing: none are counted. Needs no memory, and ends on any
 * tree whose pointers lead to nodes, since it goes down only where the link back was found right.
 */
static inline __attribute__((always_inline)) const char *
clv_rb_validate(const struct clv_rb_tree *tree, const struct clv_rb_layout *layout)
{
	const struct clv_rb_node *node = tree->root;
	const struct clv_rb_node *before = NULL; /* in order */
	const struct clv_rb_node *from = NULL;	 /* where the tour comes from: above, if NULL */
	unsigned black = 0;			 /* from the root down to `node` */
	unsigned black_height = 0;		 /* of the leftmost way; 0: not known yet */

	if (node && clv_rb_parent(node))
		return "rb: the root has a parent";
	if (node && clv_rb_red(node))
		return "rb: the root is red";
	/*
	 * Tour around every node: down into it, left subtree, itself, right subtree, and up again.
	 * Every node is entered once: only from its parent, whose children differ.
	 */
	while (node) {
		if (!from) {
			const char *reason = clv_rb_check_node(layout, node);

			if (reason)
				return reason;
			black += !clv_rb_red(node);
			if ((!node->child[0] || !node->child[1]) && !black_height)
				black_height = black;
			if ((!node->child[0] || !node->child[1]) && black != black_height)
				return "rb: ways down meet different numbers of black entries";
			if (node->child[0]) {
				node = node->child[0];
				continue;
			}
		}
		if (!from || from == node->child[0]) {
			if (before && layout->start(before) > layout->start(node))
				return "rb: an entry starts before the one in front of it";
			before = node;
			if (node->child[1]) {
				node = node->child[1];
				from = NULL;
				continue;
			}
		}
		black -= !clv_rb_red(node);
		from = node;
		node = clv_rb_parent(node);
	}
	return NULL;
}

/* ---- members of the vtable that know no layout ---- */

static inline int clv_rb_create(void **self, const struct cleave_structure_config *config)
{
	struct clv_rb_object *object =
		cleave_alloc(sizeof(*object), _Alignof(struct clv_rb_object), config->node);

	if (!object)
		return -ENOMEM;
	*self = &object->tree;
	return 0;
}

static inline void clv_rb_destroy(void *self)
{
	cleave_free(self, sizeof(struct clv_rb_object));
}

/* Pairs with clv_rb_set_root, where the order is argued. */
static inline bool clv_rb_empty(const void *self)
{
	const struct clv_rb_tree *tree = self;

	return !__atomic_load_n(&tree->root, __ATOMIC_RELAXED);
}

static inline size_t clv_rb_memory(const void *self)
{
	(void)self;
	return sizeof(struct clv_rb_object);
}

#endif
