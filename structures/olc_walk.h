/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Walks of one tree of btree_olc.c, which alone includes this. They write nothing and lock nothing.
 */
#ifndef OLC_WALK_H
#define OLC_WALK_H

#include "olc_tree.h"

/* What is asked for, and how far it has come: every key before `from` has been looked at. */
struct cursor {
	uint64_t start, last;
	struct key from;
	bool partly; /* the leaf at hand may have keys before `from` */
	bool strays; /* there were some when the walk began */
};

/* A leaf, and where it is; no key in it is at `limit` or behind, if it is limited. */
struct spot {
	struct inner *parent; /* NULL: the leaf is the root */
	uint64_t parent_version;
	unsigned index;
	struct leaf *leaf;
	uint64_t version;
	bool limited, parent_limited;
	struct key limit, parent_limit;
};

enum found { FOUND, AGAIN, NOTHING };

/*
 * The first child from the i-th on that can have an entry for this walk. Returns: `count` if there
 * is none, with *ended set if there is none behind this node either.
 */
static inline unsigned next_child(const struct inner *inner, unsigned i, unsigned count,
				  const struct cursor *cursor, bool *ended)
{
	*ended = false;
	for (; i < count; i++) {
		/* The key of the first is not read; it was in reach when the walk came to this
		 * node. */
		bool in_reach = !i || get(&inner->start[i]) <= cursor->last;

		if (!in_reach && !cursor->strays) {
			*ended = true;
			return count;
		}
		if (get(&inner->link[i].last) >= cursor->start &&
		    (in_reach || get(&inner->low[i]) <= cursor->last))
			return i;
	}
	return count;
}

/* Find the first leaf from `from` on that can have an entry for this walk. */
static inline enum found seek(const struct tree *tree, struct cursor *cursor, struct spot *spot)
{
	struct node *node = get_root(tree);

	if (!node)
		return NOTHING;
	uint64_t version = await_version(node);
	struct key from = cursor->from;
	bool partly = true;

	if (version & OBSOLETE || get_root(tree) != node)
		return AGAIN;
	*spot = (struct spot) { 0 };
	while (node->level) {
		struct inner *inner = inner_of(node);
		unsigned count = get_count(inner), first = inner_find(inner, count, from);
		bool ended;
		unsigned i = next_child(inner, first, count, cursor, &ended);

		if (i == count) {
			if (!is_unchanged(node, version))
				return AGAIN;
			if (ended || !spot->limited)
				return NOTHING;
			cursor->from = spot->limit;
			return AGAIN;
		}
		if (i > first) {
			from = inner_key(inner, i);
			partly = false;
		}
		spot->parent_limited = spot->limited;
		spot->parent_limit = spot->limit;
		if (i + 1 < count) {
			spot->limited = true;
			spot->limit = inner_key(inner, i + 1);
		}
		struct node *child = get_node(&inner->link[i].child);

		if (!is_unchanged(node, version))
			return AGAIN;
		spot->parent = inner;
		spot->parent_version = version;
		spot->index = i;

		uint64_t child_version = await_version(child);

		if (!is_unchanged(node, version))
			return AGAIN;
		node = child;
		version = child_version;
	}
	spot->leaf = leaf_of(node);
	spot->version = version;
	cursor->from = from;
	cursor->partly = partly;
	return FOUND;
}

/* The same, to the right under the same parent, which is mostly as it was. */
static inline enum found next_leaf(struct cursor *cursor, struct spot *spot)
{
	struct inner *inner = spot->parent;
	unsigned count = get_count(inner);
	bool ended;
	unsigned i = next_child(inner, spot->index + 1, count, cursor, &ended);

	if (i == count) {
		if (!is_unchanged(&inner->node, spot->parent_version))
			return AGAIN;
		if (ended || !spot->parent_limited)
			return NOTHING;
		cursor->from = spot->parent_limit;
		return AGAIN;
	}
	struct node *child = get_node(&inner->link[i].child);

	spot->limited = i + 1 < count || spot->parent_limited;
	spot->limit = i + 1 < count ? inner_key(inner, i + 1) : spot->parent_limit;
	if (!is_unchanged(&inner->node, spot->parent_version))
		return AGAIN;
	cursor->partly = false;
	spot->index = i;
	spot->leaf = leaf_of(child);
	spot->version = await_version(child);
	return is_unchanged(&inner->node, spot->parent_version) ? FOUND : AGAIN;
}

/*
 * Read out what is to be visited. The order is read first: its slots were in the leaf then, and who
 * is taken out later stays in memory, as does who is put in.
 * Returns: how many; -1 if the leaf changed meanwhile, so that nothing is known.
 */
static inline int collect(const struct cursor *cursor, const struct spot *spot,
			  struct cleave_interval **hit)
{
	const struct leaf *leaf = spot->leaf;
	uint64_t order = get(&leaf->order);
	unsigned count = order_count(order);
	int hits = 0;

	for (unsigned i = 0; i < count; i++, order >>= NIBBLE) {
		unsigned at = order & 15;
		const struct slot *slot = &leaf->slot[at];
		uint64_t start = get(&leaf->start[at]);

		if (start > cursor->last && !cursor->strays)
			break;
		if (get(&slot->last) < cursor->start)
			continue;
		if (cursor->partly &&
		    is_before((struct key) { start, get(&slot->tie) }, cursor->from))
			continue;
		uintptr_t entry = get_word(&slot->entry);

		if (entry & ADRIFT)
			start = get(&slot_interval(entry)->start);
		if (start > cursor->last)
			continue;
		hit[hits] = slot_interval(entry);
		__builtin_prefetch(hit[hits++]);
	}
	return is_unchanged(&leaf->node, spot->version) ? hits : -1;
}

/*
 * Visit what was read out, while nothing new can have come between: a child or copy that was put in
 * before its parent's visit ended has to be met later in this walk (C1, C2). So the version is
 * looked at after each visit; whoever copies from the parent put the child in before (see insert),
 * and either we see that, or the copy comes after the visit and finds what that left. Returns: the
 * visitor's number; else 0, with *stays cleared, and `from` behind the last visited, if the leaf
 * has changed. pre: *stays; hits is negative if not.
 */
static inline int visit_all(struct cursor *cursor, const struct spot *spot,
			    struct cleave_interval **hit, int hits, bool *stays,
			    cleave_visit_fn *visit, void *arg)
{
	for (int i = 0; i < hits && *stays; i++) {
		struct cleave_entry *entry = &hit[i]->entry;

		int stop = visit(entry, arg);

		if (stop)
			return stop;
		/* In one order with the visitor's writes and those of unlock_in_order. */
		*stays = __atomic_load_n(&spot->leaf->node.version, __ATOMIC_SEQ_CST) ==
			 spot->version;
		if (!*stays) {
			cursor->from = key_of(hit[i]);
			cursor->from.tie++;
		}
	}
	return 0;
}

/*
 * Loop invariant: of the entries with a key before `from`, those that have been in all the while,
 * and overlapped, have been visited once; of the others none has.
 */
static inline int walk_tree(const struct tree *tree, uint64_t start, uint64_t last,
			    cleave_visit_fn *visit, void *arg)
{
	struct cursor cursor = { .start = start, .last = last };
	struct cleave_interval *hit[LEAF_SLOTS];
	struct spot spot = { 0 };
	enum found found = AGAIN;

	cursor.strays = __atomic_load_n(&tree->strays, __ATOMIC_SEQ_CST);
	while (found != NOTHING) {
		if (found == AGAIN) {
			found = seek(tree, &cursor, &spot);
			continue;
		}
		int hits = collect(&cursor, &spot, hit);
		bool stays = hits >= 0;
		int stop = visit_all(&cursor, &spot, hit, hits, &stays, visit, arg);

		if (stop)
			return stop;
		if (!stays) {
			found = AGAIN;
			continue;
		}
		if (!spot.limited)
			return 0;
		cursor.from = spot.limit;
		found = next_leaf(&cursor, &spot);
	}
	return 0;
}

#endif
