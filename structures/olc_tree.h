/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How the nodes of btree_olc.c, which alone includes this, make a tree: the way down, and what
 * changes more than one node. Contract and invariants are there.
 *
 * Nobody waits for a node while having a leaf locked, and for none above while having any locked;
 * who finds a node changed lets go of all and begins anew. So nobody waits in a circle.
 */
#ifndef OLC_TREE_H
#define OLC_TREE_H

#include "olc_reserve.h"

enum {
	THIN = 4, /* a leaf of so few joins its neighbour, if there is room for all in one */
	ATTEMPTS = 2,
};

/* One a subset. */
struct tree {
	_Alignas(64) struct node *root; /* NULL until the first insertion; written by who has the
					 * old one locked */
	uint32_t inhabited; /* 0: no root, or an empty leaf; written by who has that locked */
	_Alignas(64) uint64_t strays; /* how many entries start before their key does */
};

/* From the root to a leaf: what was seen at which version. */
struct step {
	struct inner *inner;
	uint64_t version;
	unsigned index;
};

struct path {
	unsigned depth;
	struct leaf *leaf;
	uint64_t version; /* of the leaf */
	struct key fence; /* no key in the leaf is before */
	struct step step[LEVELS_MAX];
};

/* ---- the way down ---- */

static inline struct node *get_root(const struct tree *tree)
{
	return get_node(&tree->root);
}

/*
 * One attempt to find the leaf that has `key`'s place; on the way, raise what the parents say of it
 * until it covers an entry with `last`, and `low` if it is a stray's start. Nothing is locked
 * afterwards. Returns: false if something changed meanwhile.
 *
 * Loop invariant: at some moment since we began, all nodes of the path were in the tree, each the
 * child of the one before, and the last of these said what covers the entry.
 */
static inline bool try_descend(struct tree *tree, struct key key, uint64_t last, uint64_t low,
			       struct path *path)
{
	struct node *node = get_root(tree);
	uint64_t version = await_version(node);

	path->depth = 0;
	path->fence = (struct key) { 0, 0 };
	/* The root changes under the old one's lock: what is still the root has this version. */
	if (version & OBSOLETE || get_root(tree) != node)
		return false;
	while (node->level) {
		struct inner *inner = inner_of(node);
		struct step *step = &path->step[path->depth];
		unsigned i = inner_find(inner, get_count(inner), key);
		struct node *child = get_node(&inner->link[i].child);
		bool covers = get(&inner->link[i].last) >= last &&
			      (low == NOWHERE || get(&inner->low[i]) <= low);

		if (i)
			path->fence = inner_key(inner, i);
		if (!covers) {
			if (!upgrade(node, version))
				return false;
			/* Only under one that covers it may this one: see lower. */
			if (path->depth && !is_unchanged(&step[-1].inner->node, step[-1].version)) {
				unlock_unchanged(node);
				return false;
			}
			if (inner->link[i].last < last)
				put(&inner->link[i].last, last);
			if (inner->low[i] > low)
				put(&inner->low[i], low);
			version = unlock(node);
		} else if (!is_unchanged(node, version)) {
			return false;
		}
		*step = (struct step) { inner, version, i };
		path->depth++;

		uint64_t child_version = await_version(child);

		if (!is_unchanged(node, version))
			return false;
		node = child;
		version = child_version;
	}
	path->leaf = leaf_of(node);
	path->version = version;
	return true;
}

/* Find it and lock it, with all above it covering an entry with `last` and `low`. */
static inline struct leaf *lock_leaf(struct tree *tree, struct key key, uint64_t last, uint64_t low,
				     struct path *path)
{
	for (;;) {
		if (!try_descend(tree, key, last, low, path))
			continue;
		struct leaf *leaf = path->leaf;

		if (!upgrade(&leaf->node, path->version))
			continue;
		if (!path->depth)
			return leaf;
		struct step *parent = &path->step[path->depth - 1];

		/* Who lowers what the parent says has both locked: from now on nobody does. */
		if (is_unchanged(&parent->inner->node, parent->version))
			return leaf;
		unlock_unchanged(&leaf->node);
	}
}

/*
 * The leaf that an entry is in, locked. An entry that is in has one at any time, which changes
 * under both leaves' locks.
 */
static inline struct leaf *lock_home(const struct cleave_interval *interval, unsigned *slot)
{
	for (;;) {
		uintptr_t home = get_word(&interval->word[0]);
		struct leaf *leaf = (struct leaf *)(home & ~(uintptr_t)SLOT_MASK);
		uint64_t version = await_version(&leaf->node);

		if (version & OBSOLETE || !upgrade(&leaf->node, version))
			continue;
		home = get_word(&interval->word[0]);
		*slot = home & SLOT_MASK;
		if ((struct leaf *)(home & ~(uintptr_t)SLOT_MASK) == leaf)
			return leaf;
		unlock_unchanged(&leaf->node);
	}
}

/* ---- lowering maxima ---- */

/*
 * One attempt to have the parents of `key`'s leaf say no more than is true. Each pair is locked
 * together: who raises the lower of the two afterwards does so having looked at the upper since.
 */
static inline bool try_lower(struct tree *tree, struct key key)
{
	struct path path;

	if (!try_descend(tree, key, 0, NOWHERE, &path))
		return false;

	struct node *child = &path.leaf->node;
	uint64_t version = path.version, last = get(&path.leaf->last);

	for (unsigned k = path.depth; k-- > 0;) {
		struct step *step = &path.step[k];
		struct node *node = &step->inner->node;

		if (get(&step->inner->link[step->index].last) == last)
			return is_unchanged(node, step->version) && is_unchanged(child, version);
		if (!upgrade(node, step->version))
			return false;
		if (!upgrade(child, version)) {
			unlock_unchanged(node);
			return false;
		}
		put(&step->inner->link[step->index].last, last);
		unlock_unchanged(child);
		last = inner_last(step->inner);
		child = node;
		version = unlock(node);
	}
	return true;
}

/*
 * Where others are changing the same nodes it gives up: maxima that are too large only cost walks,
 * and whoever next takes a leaf's last away lowers them.
 */
static inline void lower(struct tree *tree, struct key key)
{
	for (unsigned i = 0; i < ATTEMPTS && !try_lower(tree, key); i++)
		;
}

/* ---- splitting ---- */

/* What an insertion puts where. */
struct arrival {
	struct key key;
	uint64_t last;
	uintptr_t entry;
};

/*
 * Lock the nodes above a full leaf that have to change with it: up to the lowest one that has room.
 * Returns: false, with none of them locked, if one is not what it was.
 */
static inline bool lock_full(struct path *path)
{
	unsigned k = path->depth;

	while (k > 0) {
		struct step *step = &path->step[k - 1];

		if (!upgrade(&step->inner->node, step->version)) {
			for (; k < path->depth; k++)
				unlock_unchanged(&path->step[k].inner->node);
			return false;
		}
		k--;
		if (step->inner->node.count < INNER_CHILDREN)
			break;
	}
	return true;
}

/*
 * Half of a full leaf goes to a new one, and the arrival to where it belongs; if it belongs to the
 * end it goes to the new one alone, since what comes next mostly goes there too: ties come in
 * order. The new one stays locked: from their owners, entries in it are reached before it is in the
 * tree.
 */
static inline struct branch split_leaf(struct leaf *leaf, unsigned rank,
				       const struct arrival *arrival, struct reserve *reserve)
{
	struct node *made = take_leaf(reserve);
	struct leaf *right = leaf_of(made);
	unsigned keep = rank == LEAF_SLOTS ? LEAF_SLOTS : LEAF_SLOTS / 2;

	leaf_move(leaf, keep, right, 0);
	if (rank <= keep && keep < LEAF_SLOTS)
		leaf_put(leaf, rank, arrival->key, arrival->last, arrival->entry);
	else
		leaf_put(right, rank - keep, arrival->key, arrival->last, arrival->entry);
	return (struct branch) { leaf_key(right, order_slot(right->order, 0)), made, right->last,
				 right->low };
}

static inline struct branch split_inner(struct inner *inner, unsigned at,
					const struct branch *branch, struct reserve *reserve)
{
	struct inner *right = take_inner(reserve, inner->node.level);
	unsigned keep = INNER_CHILDREN / 2;

	inner_move(inner, keep, right);
	if (at <= keep)
		inner_put(inner, at, branch);
	else
		inner_put(right, at - keep, branch);
	return (struct branch) { { right->start[0], right->tie[0] },
				 &right->node,
				 inner_last(right),
				 inner_low(right) };
}

/* A root above the old one, which is locked, and its new sibling. */
static inline void grow(struct tree *tree, struct node *old, uint64_t last, uint64_t low,
			const struct branch *sibling, struct reserve *reserve)
{
	struct inner *root = take_inner(reserve, old->level + 1);
	const struct branch first = { { 0, 0 }, old, last, low };

	inner_put(root, 0, &first);
	inner_put(root, 1, sibling);
	put_node(&tree->root, &root->node);
}

/*
 *      [ a  c ]              [ a  b  c ]       locked: from the lowest node that has room down to
 *      /     \      b:       /    |    \       the leaf. Nobody sees one of them before all are
 *   a..bb'.   c..         a..b   b'.   c..     done.
 *
 * pre: the leaf and what lock_full locks are locked. Unlocks all of it.
 */
static inline void split(struct tree *tree, struct path *path, unsigned rank,
			 const struct arrival *arrival, struct reserve *reserve)
{
	struct leaf *leaf = path->leaf;
	struct branch made = split_leaf(leaf, rank, arrival, reserve);
	struct node *left = &leaf->node, *right = made.child;
	uint64_t last = leaf->last, low = leaf->low;
	unsigned k = path->depth;
	bool placed = false;

	/* Loop invariant: `made` is to come behind `left`, of which `last` and `low` are true. */
	while (k > 0 && !placed) {
		struct step *step = &path->step[--k];
		struct inner *inner = step->inner;

		put(&inner->link[step->index].last, last);
		put(&inner->low[step->index], low);
		placed = inner->node.count < INNER_CHILDREN;
		if (placed) {
			inner_put(inner, step->index + 1, &made);
		} else {
			made = split_inner(inner, step->index + 1, &made, reserve);
			left = &inner->node;
			last = inner_last(inner);
			low = inner_low(inner);
		}
	}
	if (!placed)
		grow(tree, left, last, low, &made, reserve);
	for (; k < path->depth; k++)
		unlock(&path->step[k].inner->node);
	unlock(right);
	unlock_in_order(&leaf->node);
}

/* ---- joining and unlinking ---- */

static inline void retire(struct cleave_thread *thread, struct node *node)
{
	unlock_obsolete(node);
	cleave_retire(thread, &node->deferred, node->level ? free_inner : free_leaf);
}

/* Under its lock: is this leaf all that there is? Then what `empty` reads has to follow. */
static inline void set_inhabited(struct tree *tree, const struct leaf *leaf)
{
	uint32_t inhabited = order_count(leaf->order) != 0;

	/* Relaxed, as in `empty`: nothing is reached through it. */
	if (get_root(tree) == &leaf->node &&
	    __atomic_load_n(&tree->inhabited, __ATOMIC_RELAXED) != inhabited)
		__atomic_store_n(&tree->inhabited, inhabited, __ATOMIC_RELAXED);
}

/* While the root has one child, that becomes the root. */
static inline void shrink(struct tree *tree, struct cleave_thread *thread)
{
	for (;;) {
		struct node *root = get_root(tree);
		uint64_t version = await_version(root);

		if (!root->level)
			return;
		struct inner *inner = inner_of(root);

		if (version & OBSOLETE || get_root(tree) != root)
			continue;
		if (get_count(inner) > 1 && is_unchanged(root, version))
			return;
		if (!upgrade(root, version))
			continue;
		struct node *child = inner->link[0].child;

		if (inner->node.count > 1 || !upgrade(child, await_version(child))) {
			unlock_unchanged(root);
			continue;
		}
		put_node(&tree->root, child);
		if (!child->level)
			set_inhabited(tree, leaf_of(child));
		retire(thread, root);
		unlock(child);
	}
}

/*
 * A leaf is empty and its parent has no other: both go, with all parents of which the same is true,
 * out of the lowest that has another child; if none has, the leaf becomes the root.
 */
static inline bool try_unlink(struct tree *tree, struct cleave_thread *thread, struct path *path)
{
	struct leaf *leaf = path->leaf;
	unsigned top = path->depth, locked;

	do {
		top--;
	} while (top > 0 && get_count(path->step[top].inner) == 1);
	for (locked = top; locked < path->depth; locked++) {
		struct step *step = &path->step[locked];

		if (!upgrade(&step->inner->node, step->version))
			goto undo;
	}
	if (!upgrade(&leaf->node, path->version))
		goto undo;

	struct step *step = &path->step[top];
	bool is_root = step->inner->node.count == 1;

	if (is_root) {
		put_node(&tree->root, &leaf->node);
		set_inhabited(tree, leaf);
		unlock(&leaf->node);
	} else {
		inner_take(step->inner, step->index);
		unlock(&step->inner->node);
		retire(thread, &leaf->node);
		top++;
	}
	for (; top < path->depth; top++)
		retire(thread, &path->step[top].inner->node);
	return true;

undo:
	while (locked-- > top)
		unlock_unchanged(&path->step[locked].inner->node);
	return false;
}

/*
 * The neighbour under the same parent into which `count` more fit: the one before, or the one
 * behind. pre: the parent is locked. Nobody who has a leaf locked waits for that.
 */
static inline struct leaf *find_room(const struct inner *parent, unsigned i, unsigned count,
				     unsigned *at, uint64_t *version)
{
	for (unsigned side = 0; side < 2; side++) {
		unsigned j = side ? i + 1 : i - 1;

		if (j >= parent->node.count) /* also before the first */
			continue;
		struct leaf *beside = leaf_of(parent->link[j].child);

		*at = j;
		*version = await_version(&beside->node);
		if (!count || count + order_count(get(&beside->order)) <= LEAF_SLOTS)
			return beside;
	}
	return NULL;
}

/*
 * One attempt to move what is in the path's leaf to a neighbour, if one has room.
 *
 *      [ a  b  c ]            [ a  c ]
 *      /    |    \    ->      /     \
 *   a..    b.    c..      a..b.     c..        locked: the parent and two leaves
 */
static inline bool try_join(struct tree *tree, struct cleave_thread *thread, struct path *path)
{
	struct step *step = &path->step[path->depth - 1];
	struct inner *parent = step->inner;
	unsigned i = step->index, j = 0;
	struct leaf *leaf = path->leaf;
	uint64_t version = 0;

	if (!upgrade(&parent->node, step->version))
		return false;
	struct leaf *other = find_room(parent, i, order_count(get(&leaf->order)), &j, &version);

	if (!other) {
		unlock_unchanged(&parent->node);
		return true;
	}
	if (!upgrade(&leaf->node, path->version)) {
		unlock_unchanged(&parent->node);
		return false;
	}
	if (!upgrade(&other->node, version)) {
		unlock_unchanged(&leaf->node);
		unlock_unchanged(&parent->node);
		return false;
	}
	leaf_move(leaf, 0, other, j < i ? order_count(other->order) : 0);
	put(&parent->link[j].last, other->last);
	put(&parent->low[j], other->low);
	if (j > i) { /* its range now begins where this one's did */
		put(&parent->start[j], parent->start[i]);
		put(&parent->tie[j], parent->tie[i]);
	}
	inner_take(parent, i);

	bool shrinks = parent->node.count == 1 && get_root(tree) == &parent->node;

	unlock(&parent->node);
	unlock(&other->node);
	retire(thread, &leaf->node);
	if (shrinks)
		shrink(tree, thread);
	return true;
}

/* One attempt to do something about a leaf of few or none. */
static inline bool try_thin(struct tree *tree, struct cleave_thread *thread, struct key key)
{
	struct path path;

	if (!try_descend(tree, key, 0, NOWHERE, &path))
		return false;

	unsigned count = order_count(get(&path.leaf->order));

	if (!path.depth || count > THIN)
		return is_unchanged(&path.leaf->node, path.version);
	if (get_count(path.step[path.depth - 1].inner) > 1)
		return try_join(tree, thread, &path);
	if (count)
		return is_unchanged(&path.leaf->node, path.version);
	if (!try_unlink(tree, thread, &path))
		return false;
	shrink(tree, thread);
	return true;
}

#endif
