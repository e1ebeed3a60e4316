// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A B-tree of intervals in the memory layout of Linux's maple tree: 256-byte nodes, pivots apart
 * from pointers, the greatest `last` of each child in its parent. The node is maple_node.h's.
 *
 *                 root   [ 0        40         70       ]   lower bounds of what is below
 *                        [ max 90   max 71     max 99   ]   greatest last below
 *                           |         |          |
 *              leaf [3 9 9 21]  [40 40 40 52]  [70 71 88]   starts and lasts; items: the entries
 *                    |
 *                  entry: start, last, word[0] = leaf | slot
 *
 * A full leaf is split where a new entry goes if that is behind its equals, else in the middle:
 *
 *     [40 40 40 40 | 52 60]  + 40   ->   [40 40 40 40 40]  [52 60]      and a full one of equals
 *     [40 40 40 40 40 40  ]  + 40   ->   [40 40 40 40 40 40]  [40]      moves none
 *
 * so that the few distinct ranges of a shared library fill leaf after leaf, and leaves are full.
 *
 * Invariants (validate checks them):
 *  - In order of the leaves, `start` does not descend; of equal starts, the one inserted later
 *    comes later, but for a child of insert_after, which comes directly behind its parent.
 *  - A pivot is not above any start behind it, nor below any in front of it. The first of an inner
 *    node is the node's own in its parent; the root's is 0.
 *  - In a parent, `last` is the child's greatest; `top` is a slot with the node's greatest.
 *  - All leaves are on level 0, none is empty. Inner nodes have at least 4 children, the root 2.
 *  - At least half as many nodes are spare as are owed (below).
 *
 * Readers and writers: a writer is alone; walkers share. Only `root` is also read by no lock holder
 * (empty), so that it alone is written atomically.
 *
 * Reclamation: a node that was emptied is spare, or freed; no walker can be in it.
 *
 * Memory for updates: at most two nodes for an insert, from prepare. An insert makes one leaf at
 * most. An inner node is split when it is full, so that each slot above its seventh can pay half a
 * node (owes) and the split has three halves: one node, and half a one for the parent's new slot.
 * Only a split of the root wants a half more. So 1 for the leaf, 1/2 for the slot in its parent
 * and 1/2 for the root are enough, if half of what is owed is spare before and behind. No removal
 * makes a node or raises what is owed: joined nodes have seven slots at most.
 *
 * Cost: insert a descent, of three lines a level, and three lines of the leaf. insert_after and
 * remove need no descent; remove writes the entry's line and the leaf's first. On one insert in
 * ten to twenty a leaf is split, and the lines of the five entries that move are written. A walk
 * that visits k entries costs O(log n + k) if they are neighbours, and never more than O((k + 1)
 * log n); it reads no line of an entry that it does not visit, and none of those that it does.
 * Memory: 256 bytes for 5 to 10 entries.
 *
 * When to choose it: for one lock, thousands of intervals, and walks. Beside rb_interval, at
 * 6,000, an update took 0.8 of the time on the ranges of a shared library and 0.65 on random ones,
 * a visit 0.4 and 0.8, a walk over all half (Zen, one thread); with 384 simulated CPUs under one
 * rwsem it did 2.3 times as much. Not for maps of a few, as 50 bytes an entry and 1.3 KB an object
 * are more than nothing; nor where updates must run side by side.
 *
 * After: Bayer, McCreight: Organization and maintenance of large ordered indices, Acta Informatica
 * 1, 1972; the node's sources are in maple_node.h. Where it differs: leaves are joined late, when
 * they have three entries or fewer and a neighbour has room, and never filled up from a neighbour
 * (Johnson, Shasha: B-trees with inserts and deletes: why free-at-empty is better than
 * merge-at-half, JCSS 47, 1993), since that would write the lines of entries; and every entry knows
 * its leaf and slot.
 */
#include "maple_tree.h"

enum {
	NODES_PER_INSERT = 2,
	SPARES_MAX = 16, /* nodes kept beyond what is owed */
};

/* ---- nodes ---- */

/* Pairs with clv_maple_empty: rb_tree.h's clv_rb_set_root says why relaxed is enough. */
static void set_root(struct clv_maple_tree *tree, struct clv_maple_node *root)
{
	__atomic_store_n(&tree->root, root, __ATOMIC_RELAXED);
	if (root)
		root->up = 0;
}

/*
 * Spare, or freed if there are enough: and then another, since what is owed falls too. At most one
 * half is owed less for a node that is dropped, so that two are enough.
 */
static void drop_node(struct clv_maple_tree *tree, struct clv_maple_node *node)
{
	tree->nodes--;
	clv_maple_push(&tree->spare, node);
	tree->spares++;
	for (int i = 0; i < 2 && 2 * tree->spares > tree->owed + 2 * SPARES_MAX; i++) {
		cleave_free(clv_maple_pop(&tree->spare), sizeof(*node));
		tree->spares--;
	}
}

/* In half nodes: see the head. */
static unsigned owes(unsigned count)
{
	return count > CLV_MAPLE_INNER_JOIN ? count - CLV_MAPLE_INNER_JOIN : 0;
}

static unsigned node_owes(const struct clv_maple_node *node)
{
	return clv_maple_level(node->order) ? owes(clv_maple_count_of(node)) : 0;
}

/* `node`, an inner one, had `before` items. */
static void count_owed(struct clv_maple_tree *tree, const struct clv_maple_node *node,
		       unsigned before)
{
	tree->owed += owes(clv_maple_count_of(node));
	tree->owed -= owes(before);
}

/* ---- splitting ---- */

/* Items from `place` on move to the end of `to`. */
static void move_tail(struct clv_maple_node *from, unsigned place, struct clv_maple_node *to)
{
	uint64_t order = from->order;
	unsigned count = clv_maple_count(order);

	for (unsigned at = place; at < count; at++) {
		unsigned slot = clv_maple_at(order, at);

		clv_maple_put(to, clv_maple_count_of(to), from->of[slot].item, from->start[slot],
			      from->of[slot].last);
		from->start[slot] = UINT64_MAX;
	}
	/* The places stay as they are: those behind the count are free. */
	order -= (uint64_t)(count - place) << 40;
	from->order = clv_maple_with_top(order, clv_maple_find_top(from, order));
}

/*
 * Split a full node: what is behind `place`, which is not 0, goes to a new one with this lower
 * bound. pre: its parent, if any, has room.
 */
static struct clv_maple_node *split(struct clv_maple_tree *tree, struct clv_maple_reserve *reserve,
				    struct clv_maple_node *node, unsigned place, uint64_t pivot)
{
	unsigned level = clv_maple_level(node->order);
	struct clv_maple_node *right = clv_maple_make(tree, reserve, level);
	unsigned before = clv_maple_count_of(node);

	move_tail(node, place, right);
	if (level) {
		count_owed(tree, node, before);
		count_owed(tree, right, 0);
	}
	if (!node->up) {
		struct clv_maple_node *root = clv_maple_make(tree, reserve, level + 1);

		clv_maple_put(root, 0, node, 0, clv_maple_max(node));
		clv_maple_put(root, 1, right, pivot, clv_maple_max(right));
		__atomic_store_n(&tree->root, root, __ATOMIC_RELAXED);
		root->up = 0;
		return right;
	}

	struct clv_maple_node *parent = clv_maple_parent(node);
	unsigned slot = clv_maple_link_slot(node->up);

	before = clv_maple_count_of(parent);
	parent->of[slot].last = clv_maple_max(node);
	clv_maple_put(parent, clv_maple_place_in_parent(node) + 1, right, pivot,
		      clv_maple_max(right));
	parent->order =
		clv_maple_with_top(parent->order, clv_maple_find_top(parent, parent->order));
	count_owed(tree, parent, before);
	return right;
}

/* Split `leaf` and, before it, those of its ancestors that are full and in the way. */
static struct clv_maple_node *split_leaf(struct clv_maple_tree *tree,
					 struct clv_maple_reserve *reserve,
					 struct clv_maple_node *leaf, unsigned place,
					 uint64_t pivot)
{
	/* Each turn splits one, the highest first, since the one below needs room in it. */
	while (leaf->up && clv_maple_count_of(clv_maple_parent(leaf)) == CLV_MAPLE_SLOTS) {
		struct clv_maple_node *full = clv_maple_parent(leaf);

		while (full->up && clv_maple_count_of(clv_maple_parent(full)) == CLV_MAPLE_SLOTS)
			full = clv_maple_parent(full);
		split(tree, reserve, full, CLV_MAPLE_HALF,
		      full->start[clv_maple_at(full->order, CLV_MAPLE_HALF)]);
	}
	return split(tree, reserve, leaf, place, pivot);
}

/* ---- joining ---- */

/* All of `node` moves to `partner`, which is beside it, and `node` goes. */
static void join(struct clv_maple_tree *tree, struct clv_maple_node *parent,
		 struct clv_maple_node *node, unsigned place, struct clv_maple_node *partner,
		 bool partner_is_left)
{
	unsigned slot = clv_maple_link_slot(node->up);
	unsigned partner_slot = clv_maple_link_slot(partner->up);
	unsigned count = clv_maple_count_of(node);
	unsigned before = clv_maple_count_of(parent);

	for (unsigned k = 0; k < count; k++) {
		unsigned from = clv_maple_at(node->order, partner_is_left ? k : count - 1 - k);

		clv_maple_put(partner, partner_is_left ? clv_maple_count_of(partner) : 0,
			      node->of[from].item, node->start[from], node->of[from].last);
	}
	if (!partner_is_left)
		parent->start[partner_slot] = parent->start[slot];
	parent->of[partner_slot].last = clv_maple_max(partner);
	clv_maple_take(parent, place);
	count_owed(tree, parent, before);
	drop_node(tree, node);
}

/* Inner nodes: `node` gets so many from `partner`, beside it, that they have about as many each. */
static void balance(struct clv_maple_tree *tree, struct clv_maple_node *parent,
		    struct clv_maple_node *node, struct clv_maple_node *partner,
		    bool partner_is_left)
{
	unsigned node_before = clv_maple_count_of(node);
	unsigned partner_before = clv_maple_count_of(partner);
	struct clv_maple_node *right = partner_is_left ? node : partner;

	while (clv_maple_count_of(node) + 1 < clv_maple_count_of(partner)) {
		unsigned place = partner_is_left ? clv_maple_count_of(partner) - 1 : 0;
		unsigned from = clv_maple_at(partner->order, place);

		clv_maple_put(node, partner_is_left ? 0 : clv_maple_count_of(node),
			      partner->of[from].item, partner->start[from], partner->of[from].last);
		clv_maple_take(partner, place);
	}
	count_owed(tree, node, node_before);
	count_owed(tree, partner, partner_before);
	parent->start[clv_maple_link_slot(right->up)] = right->start[clv_maple_at(right->order, 0)];
	parent->of[clv_maple_link_slot(node->up)].last = clv_maple_max(node);
	parent->of[clv_maple_link_slot(partner->up)].last = clv_maple_max(partner);
	parent->order =
		clv_maple_with_top(parent->order, clv_maple_find_top(parent, parent->order));
}

/* `node` lost an item and may have too few. An empty leaf is joined with any neighbour. */
static void join_thin(struct clv_maple_tree *tree, struct clv_maple_node *node)
{
	/* Holds: all is right but, perhaps, that `node` has too few. */
	for (;;) {
		struct clv_maple_node *parent = clv_maple_parent(node);
		unsigned level = clv_maple_level(node->order);
		unsigned count = clv_maple_count_of(node);

		if (!parent) {
			if (level && count > 1)
				return;
			if (level)
				set_root(tree, clv_maple_child(node, 0));
			else if (!count)
				set_root(tree, NULL);
			else
				return;
			drop_node(tree, node);
			return;
		}
		if (count > (level ? CLV_MAPLE_INNER_MIN - 1 : CLV_MAPLE_LEAF_LOW))
			return;

		unsigned join_max = level ? CLV_MAPLE_INNER_JOIN : CLV_MAPLE_LEAF_JOIN;
		unsigned place = clv_maple_place_in_parent(node);
		struct clv_maple_node *left = place ? clv_maple_child(parent, place - 1) : NULL;
		struct clv_maple_node *right = place + 1 < clv_maple_count_of(parent)
						       ? clv_maple_child(parent, place + 1)
						       : NULL;

		if (left && (!count || clv_maple_count_of(left) + count <= join_max)) {
			join(tree, parent, node, place, left, true);
		} else if (right && (!count || clv_maple_count_of(right) + count <= join_max)) {
			join(tree, parent, node, place, right, false);
		} else {
			if (level)
				balance(tree, parent, node, left ? left : right, left);
			return;
		}
		node = parent;
	}
}

/* ---- updates ---- */

/* A leaf that is full, and where to split it: then `leaf` and `place` are where there is room. */
static __attribute__((noinline)) void make_room(struct clv_maple_tree *tree,
						struct clv_maple_reserve *reserve,
						struct clv_maple_node **leaf, unsigned *place,
						unsigned split_place, uint64_t start)
{
	uint64_t pivot = split_place < CLV_MAPLE_SLOTS
				 ? (*leaf)->start[clv_maple_at((*leaf)->order, split_place)]
				 : start;
	struct clv_maple_node *right = split_leaf(tree, reserve, *leaf, split_place, pivot);

	clv_maple_keep_owed(tree, reserve);
	if (*place > split_place || split_place == CLV_MAPLE_SLOTS) {
		*leaf = right;
		*place -= split_place;
	}
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct clv_maple_tree *tree = self;
	struct clv_maple_reserve *reserve = update->reserve;
	struct cleave_interval *interval = clv_maple_interval(entry);
	struct clv_maple_node *leaf = tree->root;

	reserve->applied = true;
	/* It is in the tree already, and so in front if it does not start later (C2). */
	(void)source;
	interval->start = start;
	interval->last = last;
	if (!leaf) {
		leaf = clv_maple_make(tree, reserve, 0);
		clv_maple_put(leaf, 0, interval, start, last);
		set_root(tree, leaf);
		return;
	}
	leaf = clv_maple_find_leaf(leaf, start);

	unsigned place = clv_maple_not_behind(leaf, start);

	if (clv_maple_count_of(leaf) == CLV_MAPLE_SLOTS) {
		bool equal = place && leaf->start[clv_maple_at(leaf->order, place - 1)] == start;

		make_room(tree, reserve, &leaf, &place, equal ? place : CLV_MAPLE_HALF, start);
	}
	if (clv_maple_put(leaf, place, interval, start, last))
		clv_maple_raise(leaf, last);
}

static void insert_after(void *self, struct cleave_update *update, struct cleave_entry *parent,
			 struct cleave_entry *child, uint64_t start, uint64_t last)
{
	struct cleave_interval *interval = clv_maple_interval(child);
	uintptr_t link = clv_maple_interval(parent)->word[0];
	struct clv_maple_node *leaf = clv_maple_link_node(link);
	unsigned place = clv_maple_place_of(leaf->order, clv_maple_link_slot(link)) + 1;
	struct clv_maple_reserve *reserve = update->reserve;

	reserve->applied = true;
	interval->start = start;
	interval->last = last;
	if (clv_maple_count_of(leaf) == CLV_MAPLE_SLOTS)
		make_room(self, reserve, &leaf, &place, CLV_MAPLE_HALF, start);
	if (clv_maple_put(leaf, place, interval, start, last))
		clv_maple_raise(leaf, last);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	uintptr_t link = clv_maple_interval(entry)->word[0];
	struct clv_maple_node *leaf = clv_maple_link_node(link);

	(void)update;
	if (clv_maple_take(leaf, clv_maple_place_of(leaf->order, clv_maple_link_slot(link))))
		clv_maple_lower(leaf);
	if (clv_maple_count_of(leaf) <= CLV_MAPLE_LEAF_LOW)
		join_thin(self, leaf);
}

/*
 * In place if `start` stays; and if the entry is the only one, since the tree would be seen without
 * any while it is out, by those who ask unlocked (C8).
 */
static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	struct cleave_interval *interval = clv_maple_interval(entry);
	struct clv_maple_node *leaf = clv_maple_link_node(interval->word[0]);
	unsigned slot = clv_maple_link_slot(interval->word[0]);

	if (start != interval->start && (leaf->up || clv_maple_count_of(leaf) > 1)) {
		remove_entry(self, update, entry);
		insert(self, update, entry, NULL, start, last);
		return;
	}

	uint64_t before = clv_maple_max(leaf);

	interval->start = start;
	interval->last = last;
	leaf->start[slot] = start;
	leaf->of[slot].last = last;
	if (last > before) {
		leaf->order = clv_maple_with_top(leaf->order, slot);
		clv_maple_raise(leaf, last);
	} else if (slot == clv_maple_top(leaf->order)) {
		leaf->order =
			clv_maple_with_top(leaf->order, clv_maple_find_top(leaf, leaf->order));
		clv_maple_lower(leaf);
	}
}

/* ---- walks ---- */

/* Of a walk: what is still to be done in a node. */
struct step {
	const struct clv_maple_node *node;
	uint64_t order; /* from the next place on */
	unsigned slots; /* that are to come and meet the range, one bit each */
};

static inline __attribute__((always_inline)) struct step
step_into(const struct clv_maple_node *node, uint64_t start, uint64_t last)
{
	unsigned misses_low = 0, misses_high = 0, falls_low = 0, falls_high = 0;

	/* Two bits strings of five each for both tests: one alone would be a longer chain. */
#pragma GCC unroll 5
	for (unsigned i = CLV_MAPLE_HALF; i-- > 0;) {
		misses_low = 2 * misses_low + (last < node->start[i]);
		misses_high = 2 * misses_high + (last < node->start[i + CLV_MAPLE_HALF]);
		falls_low = 2 * falls_low + (node->of[i].last < start);
		falls_high = 2 * falls_high + (node->of[i + CLV_MAPLE_HALF].last < start);
	}

	unsigned slots = ((misses_low | falls_low) | (misses_high | falls_high) << CLV_MAPLE_HALF) ^
			 ((1u << CLV_MAPLE_SLOTS) - 1);

	/* What a free one starts at is not above this. */
	if (last == UINT64_MAX)
		slots &= clv_maple_taken(node->order);
	return (struct step) { .node = node, .order = node->order, .slots = slots };
}

/* The next item in order. pre: there is one. Without a loop if it is the only one. */
static inline __attribute__((always_inline)) void *step_on(struct step *step)
{
	unsigned slot;

	if (!(step->slots & (step->slots - 1))) {
		slot = (unsigned)__builtin_ctz(step->slots);
		step->slots = 0;
		return step->node->of[slot].item;
	}
	do {
		slot = step->order & 15;
		step->order >>= 4;
	} while (!(step->slots >> slot & 1));
	step->slots &= ~(1u << slot);
	return step->node->of[slot].item;
}

/* Those of a leaf that meet the range, in order. */
static inline __attribute__((always_inline)) int visit_leaf(const struct clv_maple_node *leaf,
							    uint64_t start, uint64_t last,
							    cleave_visit_fn *visit, void *arg)
{
	uint64_t order = leaf->order;

	for (unsigned left = clv_maple_not_behind(leaf, last); left; left--, order >>= 4) {
		unsigned slot = order & 15;

		if (leaf->of[slot].last < start)
			continue;

		struct cleave_interval *interval = leaf->of[slot].item;
		int stop = visit(&interval->entry, arg);

		if (stop)
			return stop;
	}
	return 0;
}

/* Visit in order. The visitor may sleep: nothing changes meanwhile. */
static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	const struct clv_maple_tree *tree = self;
	struct step way[CLV_MAPLE_HEIGHT_MAX], *at = way;
	unsigned level;

	(void)thread;
	(void)subset;
	if (!tree->root)
		return 0;
	level = clv_maple_level(tree->root->order);
	if (!level)
		return visit_leaf(tree->root, start, last, visit, arg);
	*at = step_into(tree->root, start, last);
	/* Holds: `at` is on `level`, and what is in front of the steps of the way was visited. */
	for (;;) {
		if (!at->slots) {
			if (at == way)
				return 0;
			at--;
			level++;
			continue;
		}

		const struct clv_maple_node *child = step_on(at);

		if (level > 1) {
			*++at = step_into(child, start, last);
			level--;
			continue;
		}

		int stop = visit_leaf(child, start, last, visit, arg);

		if (stop)
			return stop;
	}
}

/* ---- memory ---- */

static void settle(void *self, struct cleave_thread *thread, void *reserve)
{
	(void)self;
	(void)thread;
	if (reserve)
		clv_maple_settle(reserve, NODES_PER_INSERT);
}

static int prepare(void *self, struct cleave_thread *thread, const struct cleave_op *ops,
		   unsigned count, void **reserve)
{
	unsigned nodes = 0;

	*reserve = NULL;
	for (unsigned i = 0; i < count; i++)
		nodes += ops[i].kind == CLEAVE_REMOVE ? 0 : NODES_PER_INSERT;
	if (!nodes)
		return 0;
	*reserve = clv_maple_prepare(self, thread, nodes);
	return *reserve ? 0 : -ENOMEM;
}

/* ---- the rest of the vtable ---- */

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	*start = clv_maple_interval(entry)->start;
	*last = clv_maple_interval(entry)->last;
}

static const char *validate(void *self)
{
	return clv_maple_check_tree(self, node_owes, NULL);
}

static const struct cleave_field entry_fields[] = {
	{ offsetof(struct cleave_interval, entry.subset), "subset" },
	{ offsetof(struct cleave_interval, entry.map_id), "map id" },
	{ offsetof(struct cleave_interval, start), "start" },
	{ offsetof(struct cleave_interval, last), "last" },
	{ offsetof(struct cleave_interval, word[0]), "leaf, slot" },
	{ offsetof(struct cleave_interval, word[1]), "unused" },
	{ 0, NULL },
};

const struct cleave_structure cleave_maple_range = {
	.name = "maple_range",
	.summary = "B-tree of 256-byte nodes with pivots apart, after Linux's maple tree",
	.source = "Bayer, McCreight 1972; Mao, Kohler, Morris 2012, 4.6.2; Linux maple_tree.rst",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = CLEAVE_ORDERED,
	.keeps = CLEAVE_KEEPS_ALL,
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = UINT64_MAX,
	.bounds = bounds,
	.create = clv_maple_create,
	.destroy = clv_maple_destroy,
	.prepare = prepare,
	.settle = settle,
	.insert = insert,
	.insert_after = insert_after,
	.remove = remove_entry,
	.change = change,
	.walk = walk,
	.empty = clv_maple_empty,
	.validate = validate,
	.memory = clv_maple_memory,
	.entry_fields = entry_fields,
};
