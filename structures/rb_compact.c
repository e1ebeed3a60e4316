// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A red-black interval tree whose nodes lie apart from the intervals: 32 bytes, two a cache line,
 * with all that a way down or up asks of a child kept in its parent.
 *
 *   entry, a line (struct cleave_interval)            node, half a line
 *   +---------------------------------+               +--------------------------------+
 *   | subset, map, start, last        |   word[0]     | bound[0]  start, red of [0]    |
 *   | link of its node               -|-------------->| bound[1]  last, red of [1]     |
 *   |                                 |               | max[0]    largest last of [0]  |
 *   |                                 |<--------------| max[1]    largest last of [1]  |
 *   +---------------------------------+  up, 42 bits  | child[0], child[1]             |
 *                                                     | up        entry, parent        |
 *                                                     +--------------------------------+
 *   tree, one a subset, a line
 *   +--------------------------------+      nodes[0]  no interval's: its child[1] is the root
 *   | nodes, capacity, used, free,   |----> nodes[1]
 *   | promised                       |      ...       [capacity]
 *   +--------------------------------+
 *
 * What a node knows of a child: its colour, where it is, and the largest `last` below and including
 * it. So a way down reads one half line a level; a removal that lowers maxima reads the nodes above
 * and not their other children; and recolouring a parent and its sibling writes their parent alone.
 *
 * Bounds are page numbers of 31 bits: 8 TiB of 4 KiB pages, which last_max says. A tree takes
 * 4,194,303 intervals; prepare answers -ENOMEM above. Entries are aligned to 64 bytes and below
 * 2^48, as x86-64's and arm64's user space is.
 *
 * Invariants (validate checks them; what it cannot is said there):
 *  - In-order, `start` does not descend. Of equal starts, the one inserted later comes later, but
 *    for insert_after, whose child comes directly behind its parent.
 *  - max[side] is the largest `last` in the subtree of child[side]; 0 without one.
 *  - The root is black, a red node has no red child, every way down to a missing child meets as
 *    many black nodes. A missing child is link 0, and black.
 *  - Entry and node refer to each other, with the same bounds.
 *  - Nodes are in the tree or free: rb_compact_nodes.h.
 *
 * Readers and writers: a writer is alone; walkers share. Without a lock only these are read, and
 * therefore written atomically: `used` (empty, prepare), `capacity` (prepare), `promised`.
 *
 * Memory: nodes are of one block, which doubles under the lock; 32 bytes an interval, up to 64 just
 * after that. Said, and reasoned, in rb_compact_nodes.h.
 *
 * Reclamation: none needed. Walkers hold the lock, so that nobody reads an old block.
 *
 * Cost: updates O(log n), at most two rotations for an insert and three for a removal. Lines: an
 * insert's way down reads one a level and writes those whose maximum it raises; a removal reads
 * the entry's, the node's and its parent's, with two children those down to the next in order too
 * and writes that one's entry. Every update writes the tree's line, which rb_interval's do not. A
 * walk as in rb_tree.h, one line a level and one half an interval visited, and the entry's own only
 * if the visitor looks.
 *
 * When to choose it: large trees that are walked more than they are changed, by visitors who do not
 * look at every entry: at 60,000 intervals a walk takes a third to two thirds of the kernel's tree's
 * time, more so where the caches are shared. When not: for updates. A removal waits for its entry's
 * line and only then for its node's, which rb_interval has in one; so layout alone loses there, and
 * with few distinct ranges a pair takes 1.3 to 1.5 times the kernel's. With distinct ones the descent
 * without jumps makes up for that, 0.9 to 1.05 times; rb_interval's is below that.
 *
 * Source: Cormen, Leiserson, Rivest, Stein: Introduction to Algorithms, chapters 13 and 14.3. Where
 * it differs, beside where things are kept:
 *  - A removed interval's node with two children takes in the next interval in order, and that
 *    one's node leaves. CLRS relinks (since its third edition), as rb_tree.h has to, whose nodes
 * are the callers'.
 *  - Which way to go down is worked out, not jumped to: the next line's address waits for the key,
 *    but half of the jumps would be mispredicted. rb_tree.h says when that loses.
 */
#include "rb_compact_nodes.h"

/* ---- maxima ---- */

/*
 * Make max right above `link`, up to that in `stop` (0: to the root's), after an entry that reached
 * to `gone` left all these subtrees. Above the first that stays, all stay; and one that is greater
 * than `gone` is somebody else's.
 */
static inline void propagate(struct node *nodes, uint32_t link, uint32_t stop, uint32_t gone)
{
	while (link != stop) {
		const struct node *node = node_at(nodes, link);
		uint32_t parent = parent_of(node);
		struct node *above = node_at(nodes, parent);
		uint32_t *max = &above->max[side_of(above, link)];

		if (*max > gone || *max == subtree_last(node))
			return;
		*max = subtree_last(node);
		link = parent;
	}
}

/* The same where an entry at or below `link` was added or grew: no maximum can fall. */
static inline void raise(struct node *nodes, uint32_t link, uint32_t last)
{
	while (link) {
		uint32_t parent = parent_of(node_at(nodes, link));
		struct node *above = node_at(nodes, parent);
		uint32_t *max = &above->max[side_of(above, link)];

		if (*max >= last)
			return;
		*max = last;
		link = parent;
	}
}

/* ---- colours ---- */

/*
 * Rotate towards `side`. The child on the other side rises into the place and colour of the node at
 * `link`, which gets the colour given. For side 0:
 *
 *       node                 riser
 *      /    \               /     \
 *     a     riser    ->   node     c
 *           /   \        /    \
 *       inner    c      a    inner
 *
 * Who is below the place stays the same, so that neither the colour nor the maximum above changes.
 */
static inline void rotate(struct node *nodes, uint32_t link, int side, bool is_red)
{
	struct node *node = node_at(nodes, link);
	uint32_t parent = parent_of(node);
	struct node *above = node_at(nodes, parent);
	uint32_t riser = node->child[!side];
	struct node *rising = node_at(nodes, riser);
	uint32_t inner = rising->child[side];

	above->child[side_of(above, link)] = riser;
	node->child[!side] = inner;
	node->max[!side] = rising->max[side];
	set_red(node, !side, red(rising, side));
	if (inner)
		set_parent(node_at(nodes, inner), link);
	rising->child[side] = link;
	rising->max[side] = subtree_last(node);
	set_red(rising, side, is_red);
	set_parent(node, riser);
	set_parent(rising, parent);
}

/*
 * Make `link` a red child of `parent`, where there is none, and restore the colours (CLRS 13.3).
 * pre: the maxima above include the new node's.
 */
static inline void hang(struct node *nodes, uint32_t link, uint32_t parent, int side)
{
	struct node *above = node_at(nodes, parent);

	above->child[side] = link;
	/* Holds: all that may be wrong is that the child there is to be red, and the one above is.
	 */
	while (parent) {
		uint32_t grand = parent_of(above);
		struct node *top = node_at(nodes, grand);
		int parent_side = side_of(top, parent);

		set_red(above, side, true);
		/* The root is black, so that a red parent has one. */
		if (!red(top, parent_side))
			return;
		if (!red(top, !parent_side)) {
			if (side != parent_side)
				rotate(nodes, parent, parent_side, true);
			rotate(nodes, grand, !parent_side, true);
			return;
		}
		set_red(top, 0, false);
		set_red(top, 1, false);
		parent = parent_of(top);
		above = node_at(nodes, parent);
		side = side_of(above, grand);
	}
}

/*
 * The ways through the missing child of `parent` on `side` are short of one black node: restore
 * (CLRS 13.4). pre: parent is not 0; the maxima are right.
 */
static inline void refill(struct node *nodes, uint32_t parent, int side)
{
	for (;;) {
		struct node *above = node_at(nodes, parent);

		if (red(above, !side))
			rotate(nodes, parent, side, true);

		/* It is there: its side has a black node at least. */
		uint32_t sibling = above->child[!side];
		struct node *beside = node_at(nodes, sibling);

		if (!red(beside, 0) && !red(beside, 1)) {
			uint32_t grand = parent_of(above);
			struct node *top = node_at(nodes, grand);

			set_red(above, !side, true);
			side = side_of(top, parent);
			if (red(top, side) || !grand) {
				set_red(top, side, false);
				return;
			}
			parent = grand;
			continue;
		}
		if (!red(beside, !side)) {
			rotate(nodes, sibling, !side, true);
			beside = node_at(nodes, above->child[!side]);
		}
		rotate(nodes, parent, side, false);
		set_red(beside, !side, false);
		return;
	}
}

/* ---- updates ---- */

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	const struct cleave_interval *interval =
		cleave_container_of(entry, struct cleave_interval, entry);

	*start = interval->start;
	*last = interval->last;
}

/* Fill the node at `link` and hang it below `parent`. pre: the maxima above include `last`. */
static inline void put(struct tree *tree, uint32_t link, struct cleave_entry *entry,
		       uint32_t parent, int side, uint64_t start, uint64_t last)
{
	struct cleave_interval *interval = interval_of(entry);

	interval->start = start;
	interval->last = last;
	interval->word[0] = link;
	*node_at(tree->nodes, link) = (struct node) {
		.bound = { (uint32_t)start * 2, (uint32_t)last * 2 },
		.up = up_of(entry, parent),
	};
	hang(tree->nodes, link, parent, side);
}

/* Behind all that start no later. */
static inline void put_by_start(struct tree *tree, uint32_t link, struct cleave_entry *entry,
				uint64_t start, uint64_t last)
{
	struct node *nodes = tree->nodes;
	/* start < start_of(at) if, and only if, key < at->bound[0], of either colour. */
	const uint32_t key = (uint32_t)start * 2 + 1;
	const uint32_t reach = (uint32_t)last;
	uint32_t parent = 0;
	uint32_t below = nodes->child[1];
	int side = 1;

	if (nodes->max[1] < reach)
		nodes->max[1] = reach;
	/* Holds: the new node belongs where `below` is, or further down. */
	while (below) {
		struct node *at = node_at(nodes, below);
		uint32_t before = at->child[0];
		uint32_t behind = at->child[1];

		/* Both are read, so that this becomes a conditional move. */
		side = key >= at->bound[0];
		parent = below;
		below = side ? behind : before;
		if (at->max[side] < reach)
			at->max[side] = reach;
	}
	put(tree, link, entry, parent, side, start, last);
}

/*
 * `source` needs no care: it is in the tree already, so that by start, then insertion, an entry
 * that does not start before it comes behind it (C2).
 */
static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct tree *tree = self;

	(void)source;
	put_by_start(tree, take_node(tree, update), entry, start, last);
}

/* Directly behind `before` in order. Does not descend from the root, and reads no key. */
static void insert_after(void *self, struct cleave_update *update, struct cleave_entry *before,
			 struct cleave_entry *entry, uint64_t start, uint64_t last)
{
	struct tree *tree = self;
	uint32_t link = take_node(tree, update);
	uint32_t parent = (uint32_t)interval_of(before)->word[0];
	struct node *at = node_at(tree->nodes, parent);
	int side = 1;

	raise(tree->nodes, parent, (uint32_t)last);
	for (;;) {
		if (at->max[side] < last)
			at->max[side] = (uint32_t)last;
		if (!at->child[side])
			break;
		parent = at->child[side];
		at = node_at(tree->nodes, parent);
		side = 0;
	}
	put(tree, link, entry, parent, side, start, last);
}

/* Returns: the node that is in use no longer, which need not be the entry's. */
static inline uint32_t take_out(struct tree *tree, struct cleave_entry *entry)
{
	struct node *nodes = tree->nodes;
	uint32_t place = (uint32_t)interval_of(entry)->word[0];
	struct node *node = node_at(nodes, place);
	uint32_t gone = last_of(node);
	uint32_t link = place; /* the node that leaves the tree: it has one child at most */
	struct node *leaving = node;

	if (node->child[0] && node->child[1]) {
		link = node->child[1];
		leaving = node_at(nodes, link);
		while (leaving->child[0]) {
			link = leaving->child[0];
			leaving = node_at(nodes, link);
		}
		set_bounds(node, start_of(leaving), last_of(leaving));
		node->up = up_of(entry_of(leaving), parent_of(node));
		interval_of(entry_of(leaving))->word[0] = place;
	}

	uint32_t parent = parent_of(leaving);
	struct node *above = node_at(nodes, parent);
	int side = side_of(above, link);
	uint32_t child = leaving->child[0] | leaving->child[1];
	bool short_of_black = !child && !red(above, side);

	/* The child is a red leaf, or the ways down would differ; it takes the place and turns
	 * black. */
	above->child[side] = child;
	above->max[side] = child ? last_of(node_at(nodes, child)) : 0;
	set_red(above, side, false);
	if (child)
		set_parent(node_at(nodes, child), parent);

	/*
	 * Up to the place, the next in order is what left the subtrees; from there on it is
	 * `entry`, whatever changed below.
	 */
	if (link != place)
		propagate(nodes, parent, place, last_of(node));
	propagate(nodes, link != place ? place : parent, 0, gone);
	if (short_of_black && parent)
		refill(nodes, parent, side);
	return link;
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	struct tree *tree = self;

	(void)update;
	give_node(tree, take_out(tree, entry));
}

/* In place if `start` stays; and if the entry is the only one, since that is no time of none (C8).
 */
static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	struct tree *tree = self;
	struct cleave_interval *interval = interval_of(entry);
	uint32_t link = (uint32_t)interval->word[0];
	struct node *node = node_at(tree->nodes, link);
	uint32_t last_before = last_of(node);

	(void)update;
	if (start != start_of(node) && tree->used > 1) {
		put_by_start(tree, take_out(tree, entry), entry, start, last);
		return;
	}
	interval->start = start;
	interval->last = last;
	set_bounds(node, (uint32_t)start, (uint32_t)last);
	if (last >= last_before)
		raise(tree->nodes, link, (uint32_t)last);
	else
		propagate(tree->nodes, link, 0, last_before);
}

/* ---- walk ---- */

/*
 * The first in order below and including `node` that overlaps [start, last]; NULL: there is none,
 * nor is there one behind. pre: its subtree reaches `start`.
 */
static inline struct node *first(struct node *nodes, struct node *node, uint32_t start,
				 uint32_t last)
{
	/*
	 * Holds: some entry below `node` reaches `start`, and none before that subtree is left to
	 * look at. So if the first one to reach it starts behind `last`, all that follow do too.
	 */
	for (;;) {
		if (node->child[0] && node->max[0] >= start) {
			node = node_at(nodes, node->child[0]);
			continue;
		}
		if (start_of(node) > last)
			return NULL;
		if (last_of(node) >= start)
			return node;
		/* Neither it nor its left: the one that reaches `start` is in its right. */
		node = node_at(nodes, node->child[1]);
	}
}

/* The next behind `node` that overlaps, or NULL. */
static inline struct node *next(struct node *nodes, struct node *node, uint32_t start,
				uint32_t last)
{
	for (;;) {
		if (node->child[1] && node->max[1] >= start)
			return first(nodes, node_at(nodes, node->child[1]), start, last);

		uint32_t below;

		/* The root is nodes[0]'s child[1], so that this ends there. */
		do {
			below = link_of(nodes, node);
			node = node_at(nodes, parent_of(node));
		} while (node->child[1] == below && node != nodes);
		if (node == nodes || start_of(node) > last)
			return NULL;
		if (last_of(node) >= start)
			return node;
	}
}

/* Visit in order. The visitor may sleep: all that is kept meanwhile is which was the last. */
static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	const struct tree *tree = self;
	struct node *nodes = tree->nodes;
	uint32_t to = last > LAST_MAX ? LAST_MAX : (uint32_t)last;

	(void)thread;
	(void)subset;
	if (!nodes->child[1] || nodes->max[1] < start)
		return 0;
	for (struct node *node = first(nodes, node_at(nodes, nodes->child[1]), (uint32_t)start, to);
	     node; node = next(nodes, node, (uint32_t)start, to)) {
		int stop = visit(entry_of(node), arg);

		if (stop)
			return stop;
	}
	return 0;
}

/* ---- validate ---- */

/* One node against its entry and its children, before any of them is entered. */
static const char *check_node(struct node *nodes, uint32_t link, bool is_red)
{
	struct node *node = node_at(nodes, link);
	struct cleave_entry *entry = entry_of(node);

	if (!entry || interval_of(entry)->word[0] != link)
		return "rb_compact: node and entry do not refer to each other";
	if (start_of(node) != interval_of(entry)->start ||
	    last_of(node) != interval_of(entry)->last)
		return "rb_compact: node and entry have different bounds";
	if (start_of(node) > last_of(node))
		return "rb_compact: an entry starts behind its last";
	if (node->child[0] && node->child[0] == node->child[1])
		return "rb_compact: both children are the same";
	for (int side = 0; side < 2; side++) {
		struct node *child = node_at(nodes, node->child[side]);

		if (child == nodes && (red(node, side) || node->max[side]))
			return "rb_compact: a missing child is red or reaches somewhere";
		if (child == nodes)
			continue;
		if (parent_of(child) != link)
			return "rb_compact: a child's parent link leads elsewhere";
		if (is_red && red(node, side))
			return "rb_compact: a red node has a red child";
		if (node->max[side] != subtree_last(child))
			return "rb_compact: max is not the largest last of a subtree";
	}
	return NULL;
}

/*
 * Check all but the order of ties: it is that of the insertions, of which nothing is recorded.
 * Needs no memory, and ends on any tree whose links lead to nodes, since it goes down only where
 * the link back was found right.
 */
static const char *validate(void *self)
{
	struct tree *tree = self;
	struct node *nodes = tree->nodes;
	uint32_t link = nodes->child[1];
	uint32_t from = 0;	   /* where the tour comes from: above, if 0 */
	uint32_t start_before = 0; /* of the one before in order */
	uint32_t seen = 0;
	unsigned black = 0;	   /* from the root down to the node */
	unsigned black_height = 0; /* of the leftmost way; 0: not known yet */

	if (red(nodes, 1) || (link && parent_of(node_at(nodes, link))))
		return "rb_compact: the root is red or has a parent";
	if (nodes->max[1] != (link ? subtree_last(node_at(nodes, link)) : 0))
		return "rb_compact: max is not the largest last of all";
	/*
	 * Tour around every node: down into it, left subtree, itself, right subtree, and up again.
	 * Every node is entered once: only from its parent, whose children differ.
	 */
	while (link) {
		const struct node *node = node_at(nodes, link);
		const struct node *above = node_at(nodes, parent_of(node));
		bool is_red = red(above, side_of(above, link));

		if (!from) {
			const char *reason = check_node(nodes, link, is_red);
			bool ends = !node->child[0] || !node->child[1];

			if (reason)
				return reason;
			seen++;
			black += !is_red;
			if (ends && !black_height)
				black_height = black;
			if (ends && black != black_height)
				return "rb_compact: ways down meet different numbers of black "
				       "nodes";
			if (node->child[0]) {
				link = node->child[0];
				continue;
			}
		}
		if (!from || from == node->child[0]) {
			if (start_before > start_of(node))
				return "rb_compact: an entry starts before the one in front of it";
			start_before = start_of(node);
			if (node->child[1]) {
				link = node->child[1];
				from = 0;
				continue;
			}
		}
		black -= !is_red;
		from = link;
		link = parent_of(node);
	}
	return check_free(tree, seen);
}

static const struct cleave_field entry_fields[] = {
	{ offsetof(struct cleave_interval, entry.subset), "subset" },
	{ offsetof(struct cleave_interval, entry.map_id), "map id" },
	{ offsetof(struct cleave_interval, start), "start" },
	{ offsetof(struct cleave_interval, last), "last" },
	{ offsetof(struct cleave_interval, word[0]), "node" },
	{ offsetof(struct cleave_interval, word[1]), "unused" },
	{ 0, NULL },
};

const struct cleave_structure cleave_rb_compact = {
	.name = "rb_compact",
	.summary = "red-black interval tree of 32-byte nodes apart from the intervals",
	.source = "Cormen et al., Introduction to Algorithms, 13 and 14.3",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = CLEAVE_ORDERED,
	.keeps = CLEAVE_KEEPS_ALL,
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = LAST_MAX,
	.bounds = bounds,
	.create = create,
	.destroy = destroy,
	.prepare = prepare,
	.settle = settle,
	.insert = insert,
	.insert_after = insert_after,
	.remove = remove_entry,
	.change = change,
	.walk = walk,
	.empty = empty,
	.validate = validate,
	.memory = memory,
	.entry_fields = entry_fields,
};
