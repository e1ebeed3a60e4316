/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How maple_rcu writes what walks read: single words in place, and all else by building nodes anew.
 *
 *            above [ .. P .. ]                       above [ .. P' .. ]      one store
 *                       |                                       |
 *                P [ A  B  C ]               ->        P' [ A  B' B" C ]     built before
 *
 * A node cannot get or lose a child in place. So where one becomes two, or two become one, the
 * parent is built anew, which is one for one in its own parent, unless that makes it too full or
 * too thin: then it goes on there. The store that ends it makes all of it seen at once. Only then
 * are those that were replaced marked as dead, and wait for the walks that may be in them
 * (cleave_retire).
 *
 * (a) to (e) are the stores that the head of maple_rcu.c names, and there is why walks stay right.
 */
#ifndef CLV_MAPLE_COPY_H
#define CLV_MAPLE_COPY_H

#include "maple_tree.h"

enum {
	CLV_MAPLE_LIST_MAX = 2 * CLV_MAPLE_SLOTS + 2,
	CLV_MAPLE_COPY_MAX = 8,	  /* entries of a leaf that is copied rather than split */
	CLV_MAPLE_SPARES_MAX = 8, /* nodes kept beyond what is owed */
};

/* In the order word of a node that was replaced. */
#define CLV_MAPLE_DEAD (1ull << 52)

/* Lies over a node that was never in the tree: a list of such as were. */
struct clv_maple_retired {
	struct cleave_deferred deferred;
	struct clv_maple_node *first;
	struct clv_maple_depot *depot;
} __attribute__((may_alias));

_Static_assert(sizeof(struct clv_maple_retired) <= sizeof(struct clv_maple_node),
	       "one fits over a node");

/* Items in order: what a new node, or two, will hold. */
struct clv_maple_list {
	unsigned level;
	unsigned count;
	struct {
		uint64_t start, last;
		void *item;
	} at[CLV_MAPLE_LIST_MAX];
};

/* ---- what walks read while it is written ---- */

static inline unsigned clv_maple_fresh(uint64_t order)
{
	return (unsigned)(order >> 48) & 15;
}

/* Release: partner is the acquire in walk, so that what was filled before is seen by who sees this.
 */
static inline void clv_maple_publish_order(struct clv_maple_node *node, uint64_t order)
{
	__atomic_store_n(&node->order, order, __ATOMIC_RELEASE);
}

/* Relaxed: a walk reads either, and is right with either (c). */
static inline void clv_maple_set_last(struct clv_maple_node *node, unsigned slot, uint64_t last)
{
	__atomic_store_n(&node->of[slot].last, last, __ATOMIC_RELAXED);
}

static inline void clv_maple_set_top(struct clv_maple_node *node, unsigned slot)
{
	clv_maple_publish_order(node, clv_maple_with_top(node->order, slot));
}

/* The slot at `place` becomes the last of the free ones: none that is fresh. */
static inline uint64_t clv_maple_order_take_last(uint64_t order, unsigned place)
{
	uint64_t below = (1ull << (4 * place)) - 1;
	uint64_t behind = CLV_MAPLE_PLACES & ~below & ~(15ull << (4 * place));

	return ((order & ~CLV_MAPLE_PLACES) | (order & below) | (order & behind) >> 4 |
		(uint64_t)clv_maple_at(order, place) << (4 * (CLV_MAPLE_SLOTS - 1))) -
	       (1ull << 40);
}

/* ---- greatest lasts, upwards ---- */

/* An entry that reaches to `last` is about to come into `node`: before anyone can see it. */
static inline void clv_maple_raise_above(struct clv_maple_node *node, uint64_t last)
{
	/* Holds: all is right but `last` of the node in its parent, and what depends on that. */
	for (; node->up; node = clv_maple_parent(node)) {
		struct clv_maple_node *parent = clv_maple_parent(node);
		unsigned slot = clv_maple_link_slot(node->up);

		if (parent->of[slot].last >= last)
			return;
		if (parent->of[clv_maple_top(parent->order)].last < last)
			clv_maple_set_top(parent, slot);
		clv_maple_set_last(parent, slot, last);
	}
}

/* The node's may have fallen, and nobody can come to what was removed through it any more. */
static inline void clv_maple_lower_above(struct clv_maple_node *node)
{
	/* Holds: as in raise_above. */
	for (; node->up; node = clv_maple_parent(node)) {
		struct clv_maple_node *parent = clv_maple_parent(node);
		unsigned slot = clv_maple_link_slot(node->up);
		uint64_t max = clv_maple_max(node);

		if (parent->of[slot].last == max)
			return;
		clv_maple_set_last(parent, slot, max);
		if (slot != clv_maple_top(parent->order))
			return;
		clv_maple_set_top(parent, clv_maple_find_top(parent, parent->order));
	}
}

/* ---- replacing ---- */

/* In half nodes: see the head. The root may have few. */
static inline unsigned clv_maple_owes(unsigned count, bool is_root)
{
	if (count > CLV_MAPLE_INNER_JOIN)
		return 2 * (count - CLV_MAPLE_INNER_JOIN);
	return count == CLV_MAPLE_INNER_MIN && !is_root;
}

static inline unsigned clv_maple_node_owes(const struct clv_maple_node *node)
{
	return clv_maple_level(node->order) ? clv_maple_owes(clv_maple_count_of(node), !node->up)
					    : 0;
}

/* Its items are not written: a list lives on a stack, and is mostly short. */
static inline void clv_maple_list_start(struct clv_maple_list *list, unsigned level)
{
	list->level = level;
	list->count = 0;
}

static inline void clv_maple_list_add(struct clv_maple_list *list, void *item, uint64_t start,
				      uint64_t last)
{
	list->at[list->count].item = item;
	list->at[list->count].start = start;
	list->at[list->count].last = last;
	list->count++;
}

static inline void clv_maple_list_node(struct clv_maple_list *list, struct clv_maple_node *node,
				       uint64_t bound)
{
	clv_maple_list_add(list, node, bound, clv_maple_max(node));
}

/* Items of `node` from place `from` to before `to`. */
static inline void clv_maple_list_items(struct clv_maple_list *list,
					const struct clv_maple_node *node, unsigned from,
					unsigned to)
{
	for (; from < to; from++) {
		unsigned slot = clv_maple_at(node->order, from);

		clv_maple_list_add(list, node->of[slot].item, node->start[slot],
				   node->of[slot].last);
	}
}

/* A new node of the list's items from `from` to before `to`, which learn where they are. */
static inline struct clv_maple_node *clv_maple_build(struct clv_maple_tree *tree,
						     struct clv_maple_reserve *reserve,
						     const struct clv_maple_list *list,
						     unsigned from, unsigned to)
{
	struct clv_maple_node *node = clv_maple_make(tree, reserve, list->level);
	unsigned count = to - from;
	unsigned top = 0;

	node->up = 0;
	for (unsigned slot = 0; slot < count; slot++) {
		node->start[slot] = list->at[from + slot].start;
		node->of[slot].last = list->at[from + slot].last;
		node->of[slot].item = list->at[from + slot].item;
		clv_maple_adopt(node, slot);
		if (node->of[slot].last > node->of[top].last)
			top = slot;
	}
	node->order |= (uint64_t)count << 40 | (uint64_t)top << 44;
	if (!list->level)
		node->order |= (uint64_t)(CLV_MAPLE_SLOTS - count) << 48;
	return node;
}

/* No longer part of the tree, or about to be: walks may be in it. */
static inline void clv_maple_replaced(struct clv_maple_tree *tree, struct clv_maple_node *node)
{
	tree->nodes--;
	clv_maple_push(&tree->replaced, node);
}

/* No walk can see them any more. */
static inline void clv_maple_bring(struct cleave_deferred *deferred)
{
	struct clv_maple_retired *retired =
		cleave_container_of(deferred, struct clv_maple_retired, deferred);
	struct clv_maple_depot *depot = retired->depot;
	struct clv_maple_node *last = retired->first;

	while (last->up)
		last = (struct clv_maple_node *)last->up;
	/* The list's own node goes to the end. */
	struct clv_maple_node *first = retired->first;

	last->up = (uintptr_t)retired;
	clv_maple_depot_return(depot, first, (struct clv_maple_node *)retired);
}

/* What an update replaced waits for walks to end; what is owed is made spare, and no more. */
static inline void clv_maple_finish(struct clv_maple_tree *tree, struct cleave_update *update)
{
	struct clv_maple_reserve *reserve = update->reserve;

	if (tree->replaced) {
		struct clv_maple_retired *retired =
			(struct clv_maple_retired *)clv_maple_make(tree, reserve, 0);

		tree->nodes--;
		/* Only now: who finds it dead must find what came for it from the root on. */
		for (struct clv_maple_node *node = tree->replaced; node;
		     node = (struct clv_maple_node *)node->up)
			clv_maple_publish_order(node, node->order | CLV_MAPLE_DEAD);
		retired->first = tree->replaced;
		retired->depot = tree->depot;
		tree->replaced = NULL;
		tree->sent++;
		cleave_retire(update->thread, &retired->deferred, clv_maple_bring);
	}
	clv_maple_keep_owed(tree, reserve);
	while (2 * tree->spares > tree->owed + 2 * CLV_MAPLE_SPARES_MAX) {
		clv_maple_push(&reserve->first, clv_maple_pop(&tree->spare));
		reserve->count++;
		tree->spares--;
	}
}

/* Release: partner is the acquire in walk. `empty` compares, and follows nothing. */
static inline void clv_maple_publish_root(struct clv_maple_tree *tree, struct clv_maple_node *root)
{
	if (root)
		root->up = 0;
	__atomic_store_n(&tree->root, root, __ATOMIC_RELEASE);
}

/* `node` for what was at this slot. Release: partner is the acquire in walk. */
static inline void clv_maple_publish_item(struct clv_maple_node *parent, unsigned slot,
					  struct clv_maple_node *node)
{
	node->up = (uintptr_t)parent | slot;
	__atomic_store_n(&parent->of[slot].item, node, __ATOMIC_RELEASE);
}

/* Children of a node: `count` of them from `place` on become others. */
struct clv_maple_edit {
	unsigned place, count;
	unsigned new_count; /* 0: only of an empty leaf, so that the part goes to a neighbour */
	struct clv_maple_node *new[2];
	uint64_t bound[2]; /* [0] is the first old one's */
};

/* What the children of `node` will be. */
static inline void clv_maple_gather(struct clv_maple_list *list, const struct clv_maple_node *node,
				    const struct clv_maple_edit *edit)
{
	unsigned first = list->count;

	clv_maple_list_items(list, node, 0, edit->place);
	for (unsigned k = 0; k < edit->new_count; k++)
		clv_maple_list_node(list, edit->new[k], edit->bound[k]);
	clv_maple_list_items(list, node, edit->place + edit->count, clv_maple_count_of(node));
	/* The first has its parent's bound, which is the old first's. */
	list->at[first].start = node->start[clv_maple_at(node->order, 0)];
}

/* The root's children become those of the list. */
static inline void clv_maple_replace_root(struct clv_maple_tree *tree,
					  struct clv_maple_reserve *reserve,
					  struct clv_maple_list *list)
{

	if (list->count == 1) {
		struct clv_maple_node *root = list->at[0].item;

		/* A root may have few, and owes nothing for that. */
		if (clv_maple_level(root->order)) {
			tree->owed -= clv_maple_owes(clv_maple_count_of(root), false);
			tree->owed += clv_maple_owes(clv_maple_count_of(root), true);
		}
		clv_maple_publish_root(tree, root);
	} else if (list->count <= CLV_MAPLE_SLOTS) {
		clv_maple_publish_root(tree, clv_maple_build(tree, reserve, list, 0, list->count));
		tree->owed += clv_maple_owes(list->count, true);
	} else {
		struct clv_maple_list top;
		unsigned half = list->count / 2;

		clv_maple_list_start(&top, list->level + 1);
		clv_maple_list_node(&top, clv_maple_build(tree, reserve, list, 0, half),
				    list->at[0].start);
		clv_maple_list_node(&top, clv_maple_build(tree, reserve, list, half, list->count),
				    list->at[half].start);
		tree->owed +=
			clv_maple_owes(half, false) + clv_maple_owes(list->count - half, false);
		clv_maple_publish_root(tree, clv_maple_build(tree, reserve, &top, 0, 2));
	}
}

/*
 * Make an edit, and those above that follow from it: a parent cannot get or lose a child in place,
 * so that it is built anew, which is an edit of its own parent; that ends where one node comes for
 * one. Nothing of it can be seen before the store that ends it.
 */
static inline void clv_maple_replace(struct clv_maple_tree *tree, struct clv_maple_reserve *reserve,
				     struct clv_maple_node *parent, struct clv_maple_edit edit)
{

	/* Holds: the new nodes are built, the old ones on the list of those replaced. */
	while (edit.count != 1 || edit.new_count != 1) {
		struct clv_maple_list list;

		clv_maple_list_start(&list, clv_maple_level(parent->order));
		tree->owed -= clv_maple_node_owes(parent);
		if (!parent->up) {
			clv_maple_gather(&list, parent, &edit);
			clv_maple_replaced(tree, parent);
			clv_maple_replace_root(tree, reserve, &list);
			return;
		}

		struct clv_maple_node *above = clv_maple_parent(parent);
		unsigned slot = clv_maple_link_slot(parent->up);
		unsigned place = clv_maple_place_of(above->order, slot);
		unsigned first = place;
		struct clv_maple_node *partner = NULL;
		unsigned count = clv_maple_count_of(parent) - edit.count + edit.new_count;

		if (count < CLV_MAPLE_INNER_MIN) {
			/* It has too few: so its neighbour's come to the list. */
			first = place ? place - 1 : 0;
			partner = above->of[clv_maple_at(above->order, place ? first : 1)].item;
			tree->owed -= clv_maple_node_owes(partner);
		}
		if (partner && place)
			clv_maple_list_items(&list, partner, 0, clv_maple_count_of(partner));
		clv_maple_gather(&list, parent, &edit);
		if (partner && !place)
			clv_maple_list_items(&list, partner, 0, clv_maple_count_of(partner));
		if (partner)
			clv_maple_replaced(tree, partner);
		clv_maple_replaced(tree, parent);

		unsigned most = partner ? CLV_MAPLE_INNER_JOIN : CLV_MAPLE_SLOTS;
		unsigned half = list.count > most ? list.count / 2 : list.count;

		edit = (struct clv_maple_edit) {
			.place = first,
			.count = partner ? 2 : 1,
			.new_count = 1,
			.new[0] = clv_maple_build(tree, reserve, &list, 0, half),
			.bound[0] = list.at[0].start,
		};
		tree->owed += clv_maple_owes(half, false);
		if (half < list.count) {
			edit.new_count = 2;
			edit.new[1] = clv_maple_build(tree, reserve, &list, half, list.count);
			edit.bound[1] = list.at[half].start;
			tree->owed += clv_maple_owes(list.count - half, false);
		}
		parent = above;
	}
	clv_maple_publish_item(parent, clv_maple_at(parent->order, edit.place), edit.new[0]);
}

/* As clv_maple_replace, of a leaf, which may be the root. */
static inline void clv_maple_replace_leaf(struct clv_maple_tree *tree,
					  struct clv_maple_reserve *reserve,
					  struct clv_maple_node *leaf,
					  struct clv_maple_node *new[2], uint64_t bound)
{
	struct clv_maple_node *parent = clv_maple_parent(leaf);

	if (parent) {
		unsigned slot = clv_maple_link_slot(leaf->up);

		clv_maple_replace(tree, reserve, parent,
				  (struct clv_maple_edit) {
					  .place = clv_maple_place_of(parent->order, slot),
					  .count = 1,
					  .new_count = new[1] ? 2 : 1,
					  .new = { new[0], new[1] },
					  .bound = { parent->start[slot], bound },
				  });
	} else if (new[1]) {
		struct clv_maple_list list;

		clv_maple_list_start(&list, 1);
		clv_maple_list_node(&list, new[0], 0);
		clv_maple_list_node(&list, new[1], bound);
		clv_maple_publish_root(tree, clv_maple_build(tree, reserve, &list, 0, 2));
	} else {
		clv_maple_publish_root(tree, new[0]);
	}
}

/* The leaf has no fresh slot: copy or split it, with the new entry at `place`. */
static __attribute__((noinline, unused)) void clv_maple_put_anew(struct clv_maple_tree *tree,
								 struct clv_maple_reserve *reserve,
								 struct clv_maple_node *leaf,
								 unsigned place, bool behind_equal,
								 struct cleave_interval *interval)
{
	unsigned count = clv_maple_count_of(leaf);
	struct clv_maple_node *new[2] = { NULL, NULL };
	struct clv_maple_list list;

	clv_maple_list_start(&list, 0);
	if (behind_equal && place == count && count > CLV_MAPLE_COPY_MAX) {
		/* None moves: the leaf stays. Its new neighbour is for more of its kind. */
		clv_maple_list_add(&list, interval, interval->start, interval->last);
		new[0] = leaf;
		new[1] = clv_maple_build(tree, reserve, &list, 0, 1);
		clv_maple_replace_leaf(tree, reserve, leaf, new, interval->start);
		return;
	}
	clv_maple_list_items(&list, leaf, 0, place);
	clv_maple_list_add(&list, interval, interval->start, interval->last);
	clv_maple_list_items(&list, leaf, place, count);

	unsigned left = list.count;

	if (count > CLV_MAPLE_COPY_MAX)
		left = behind_equal ? place + 1 : list.count / 2;
	new[0] = clv_maple_build(tree, reserve, &list, 0, left);
	if (left < list.count)
		new[1] = clv_maple_build(tree, reserve, &list, left, list.count);
	clv_maple_replace_leaf(tree, reserve, leaf, new,
			       left < list.count ? list.at[left].start : 0);
	clv_maple_replaced(tree, leaf);
}

#endif
