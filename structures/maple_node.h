/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The node of maple_range and maple_rcu: 256 bytes on 4 cache lines, ten slots, and one word that
 * says in which order they are.
 *
 *    line 0    | order | up    | start 0 .. 5                          |
 *    line 1    | start 6 .. 9          | last, item of slot 0, 1       |   a search reads 0 and 1
 *    line 2    | last, item of slot 2 .. 5                             |   and the line of one
 * item; line 3    | last, item of slot 6 .. 9                             |   an insert writes
 * three
 *
 *    order:  level | 0 | fresh | top | count | place 9 ... place 1 place 0      4 bits each, level
 * 8 place k < count: the slot that is k-th in order; the others: slots that are free
 *
 * An item is an entry in a leaf (level 0) and a node above; then `start` is the lower bound of what
 * may be below it, and `last` the greatest last of all that is. `top` is a slot with the greatest
 * last of the node, so that who removes another one knows without reading any `last` that no
 * maximum falls. A free slot has the start UINT64_MAX, so that a search counts over all ten without
 * asking which are taken, in any order and without a branch.
 *
 * Since no item ever moves within its node, others keep where it is: an entry in word[0], a node in
 * `up`, each as node | slot. A removal needs no search and, mostly, two lines: the entry's own and
 * line 0 of its leaf.
 *
 * After: the order word is that of Masstree's leaves (Mao, Kohler, Morris: Cache craftiness for
 * fast multicore key-value storage, EuroSys 2012, 4.6.2); pivots apart from items, many slots and
 * something worked out about each child beside its pivot are of Linux's maple tree (Howlett,
 * Wilcox; Documentation/core-api/maple_tree.rst). Where it differs from the latter: ranges overlap
 * and start alike; what is kept about a child is not its largest gap but its greatest last; an item
 * has an owner's way back to it.
 */
#ifndef CLV_MAPLE_NODE_H
#define CLV_MAPLE_NODE_H

#include <errno.h>

#include <cleave/structure.h>

enum {
	CLV_MAPLE_SLOTS = 10,
	CLV_MAPLE_HALF = CLV_MAPLE_SLOTS / 2,

	/* An inner node that is not the root keeps as many, so that height is O(log n): */
	CLV_MAPLE_INNER_MIN = 4,
	CLV_MAPLE_INNER_JOIN = 7, /* most that two inner nodes may come to, put together */

	/* A leaf with so few looks for one beside it with which it comes to no more than: */
	CLV_MAPLE_LEAF_LOW = 3,
	CLV_MAPLE_LEAF_JOIN = 8,

	/* Levels: 4^28 entries of 64 bytes are more than any address space holds. */
	CLV_MAPLE_HEIGHT_MAX = 30,
};

struct clv_maple_node {
	_Alignas(64) uint64_t order;
	uintptr_t up; /* parent | slot in it; 0: the root */
	uint64_t start[CLV_MAPLE_SLOTS];
	struct {
		uint64_t last;
		void *item;
	} of[CLV_MAPLE_SLOTS];
};

_Static_assert(sizeof(struct clv_maple_node) == 256, "four lines");

/* ---- the order word ---- */

#define CLV_MAPLE_PLACES 0xffffffffffull /* the ten places */
#define CLV_MAPLE_ORDER_NEW 0x9876543210ull

static inline unsigned clv_maple_count(uint64_t order)
{
	return (unsigned)(order >> 40) & 15;
}

static inline unsigned clv_maple_top(uint64_t order)
{
	return (unsigned)(order >> 44) & 15;
}

static inline unsigned clv_maple_level(uint64_t order)
{
	return (unsigned)(order >> 56);
}

static inline unsigned clv_maple_at(uint64_t order, unsigned place)
{
	return (unsigned)(order >> (4 * place)) & 15;
}

static inline uint64_t clv_maple_with_top(uint64_t order, unsigned slot)
{
	return (order & ~(15ull << 44)) | (uint64_t)slot << 44;
}

/* pre: `slot` is one of the ten. Cost: no loop. */
static inline unsigned clv_maple_place_of(uint64_t order, unsigned slot)
{
	uint64_t differs = (order & CLV_MAPLE_PLACES) ^ slot * 0x1111111111ull;
	/* Bit 3 of the lowest nibble that is 0, and perhaps of some above it, which do not matter.
	 */
	uint64_t zero = (differs - 0x1111111111ull) & ~differs & 0x8888888888ull;

	return (unsigned)__builtin_ctzll(zero) / 4;
}

/* The first free slot becomes the one at `place`. pre: there is one. */
static inline uint64_t clv_maple_order_put(uint64_t order, unsigned place)
{
	unsigned count = clv_maple_count(order);
	uint64_t below = (1ull << (4 * place)) - 1;
	uint64_t taken = (1ull << (4 * count)) - 1;
	uint64_t rest = ~((taken << 4) | 15);

	return ((order & rest) | (order & below) | (order & taken & ~below) << 4 |
		(uint64_t)clv_maple_at(order, count) << (4 * place)) +
	       (1ull << 40);
}

/* The slot at `place` becomes the first free one. */
static inline uint64_t clv_maple_order_take(uint64_t order, unsigned place)
{
	unsigned count = clv_maple_count(order);
	uint64_t below = (1ull << (4 * place)) - 1;
	uint64_t taken = (1ull << (4 * count)) - 1;
	uint64_t behind = taken & ~below & ~(15ull << (4 * place));

	return ((order & ~taken) | (order & below) | (order & behind) >> 4 |
		(uint64_t)clv_maple_at(order, place) << (4 * (count - 1))) -
	       (1ull << 40);
}

/* The slots that are taken, one bit each. */
static inline unsigned clv_maple_taken(uint64_t order)
{
	unsigned slots = 0;

	for (unsigned place = 0; place < clv_maple_count(order); place++)
		slots |= 1u << clv_maple_at(order, place);
	return slots;
}

/* ---- links ---- */

/* Of an entry's word[0] and a node's `up`. */
static inline struct clv_maple_node *clv_maple_link_node(uintptr_t link)
{
	return (struct clv_maple_node *)(link & ~(uintptr_t)63);
}

static inline unsigned clv_maple_link_slot(uintptr_t link)
{
	return link & 63;
}

static inline struct clv_maple_node *clv_maple_parent(const struct clv_maple_node *node)
{
	return clv_maple_link_node(node->up);
}

static inline unsigned clv_maple_count_of(const struct clv_maple_node *node)
{
	return clv_maple_count(node->order);
}

/* pre: an inner node. */
static inline struct clv_maple_node *clv_maple_child(const struct clv_maple_node *node,
						     unsigned place)
{
	return node->of[clv_maple_at(node->order, place)].item;
}

/* pre: not the root. */
static inline unsigned clv_maple_place_in_parent(const struct clv_maple_node *node)
{
	return clv_maple_place_of(clv_maple_parent(node)->order, clv_maple_link_slot(node->up));
}

/* Item `slot` of `node` learns where it is. */
static inline void clv_maple_adopt(struct clv_maple_node *node, unsigned slot)
{
	uintptr_t link = (uintptr_t)node | slot;

	if (clv_maple_level(node->order))
		((struct clv_maple_node *)node->of[slot].item)->up = link;
	else
		((struct cleave_interval *)node->of[slot].item)->word[0] = link;
}

static inline struct cleave_interval *clv_maple_interval(const struct cleave_entry *entry)
{
	return cleave_container_of(entry, struct cleave_interval, entry);
}

/* ---- searching ---- */

/* How many of the node's items start no later: the place of a new one, behind its equals. */
static inline __attribute__((always_inline)) unsigned
clv_maple_not_behind(const struct clv_maple_node *node, uint64_t start)
{
	unsigned passed = 0, passed_high = 0;
	unsigned count = clv_maple_count(node->order);

	/* Two sums, since each is a chain. */
#pragma GCC unroll 5
	for (unsigned i = 0; i < CLV_MAPLE_HALF; i++) {
		passed += node->start[i] <= start;
		passed_high += node->start[i + CLV_MAPLE_HALF] <= start;
	}
	passed += passed_high;
	/* The free ones are among them if start is the greatest number there is. */
	return passed < count ? passed : count;
}

/* The leaf where an entry that starts there belongs, behind its equals. pre: not empty. */
static inline struct clv_maple_node *clv_maple_find_leaf(struct clv_maple_node *node,
							 uint64_t start)
{
	while (clv_maple_level(node->order)) {
		/* The first lower bound is no higher, so that one at least is passed. */
		unsigned place = clv_maple_not_behind(node, start) - 1;

		node = clv_maple_child(node, place);
	}
	return node;
}

/* The greatest last in the node: 0 of an empty one. */
static inline uint64_t clv_maple_max(const struct clv_maple_node *node)
{
	return clv_maple_count(node->order) ? node->of[clv_maple_top(node->order)].last : 0;
}

/* A slot with the greatest last; the earliest in order. pre: not empty. */
static inline unsigned clv_maple_find_top(const struct clv_maple_node *node, uint64_t order)
{
	unsigned count = clv_maple_count(order);
	unsigned top = clv_maple_at(order, 0);

	for (unsigned place = 1; place < count; place++) {
		unsigned slot = clv_maple_at(order, place);

		if (node->of[slot].last > node->of[top].last)
			top = slot;
	}
	return top;
}

/* ---- changing a node that nobody reads meanwhile ---- */

/* Put an item at a place. pre: there is room. Returns: did the greatest last grow? */
static inline bool clv_maple_put(struct clv_maple_node *node, unsigned place, void *item,
				 uint64_t start, uint64_t last)
{
	uint64_t order = node->order;
	unsigned count = clv_maple_count(order);
	unsigned slot = clv_maple_at(order, count);
	bool grew = !count || last > node->of[clv_maple_top(order)].last;

	node->start[slot] = start;
	node->of[slot].last = last;
	node->of[slot].item = item;
	order = clv_maple_order_put(order, place);
	node->order = grew ? clv_maple_with_top(order, slot) : order;
	clv_maple_adopt(node, slot);
	return grew;
}

/* Take the item at a place out. Returns: was its last the greatest, so that it may have fallen? */
static inline bool clv_maple_take(struct clv_maple_node *node, unsigned place)
{
	uint64_t order = node->order;
	unsigned slot = clv_maple_at(order, place);
	bool was_top = slot == clv_maple_top(order);

	node->start[slot] = UINT64_MAX;
	order = clv_maple_order_take(order, place);
	if (was_top && clv_maple_count(order))
		order = clv_maple_with_top(order, clv_maple_find_top(node, order));
	node->order = order;
	return was_top;
}

/* The node's greatest last has become `last`, which is more than it was: tell those above. */
static inline void clv_maple_raise(struct clv_maple_node *node, uint64_t last)
{
	/* Holds: all is right but `last` of the node in its parent, and what depends on that. */
	while (node->up) {
		struct clv_maple_node *parent = clv_maple_parent(node);
		unsigned slot = clv_maple_link_slot(node->up);
		unsigned top = clv_maple_top(parent->order);

		parent->of[slot].last = last;
		if (slot != top) {
			if (parent->of[top].last >= last)
				return;
			parent->order = clv_maple_with_top(parent->order, slot);
		}
		node = parent;
	}
}

/* The same if it may have fallen. */
static inline void clv_maple_lower(struct clv_maple_node *node)
{
	/* Holds: as in clv_maple_raise. */
	while (node->up) {
		struct clv_maple_node *parent = clv_maple_parent(node);
		unsigned slot = clv_maple_link_slot(node->up);
		uint64_t before = parent->of[slot].last;

		parent->of[slot].last = clv_maple_max(node);
		if (parent->of[slot].last == before || slot != clv_maple_top(parent->order))
			return;
		parent->order = clv_maple_with_top(parent->order,
						   clv_maple_find_top(parent, parent->order));
		if (clv_maple_max(parent) == before)
			return;
		node = parent;
	}
}

/* ---- validate ---- */

/* A node by itself, and the ways back to it. Returns: NULL, or the reason. */
static inline const char *clv_maple_check_node(const struct clv_maple_node *node)
{
	uint64_t order = node->order;
	unsigned count = clv_maple_count(order);
	unsigned level = clv_maple_level(order);
	unsigned seen = 0;

	if (count > CLV_MAPLE_SLOTS)
		return "maple: a node has more items than slots";
	for (unsigned place = 0; place < CLV_MAPLE_SLOTS; place++)
		seen |= 1u << clv_maple_at(order, place);
	if (seen != (1u << CLV_MAPLE_SLOTS) - 1)
		return "maple: a slot has no place, or two";
	if (!count)
		return "maple: a node is empty";
	if (level && count < (node->up ? CLV_MAPLE_INNER_MIN : 2))
		return "maple: an inner node has too few children";
	for (unsigned place = count; place < CLV_MAPLE_SLOTS; place++) {
		if (node->start[clv_maple_at(order, place)] != UINT64_MAX)
			return "maple: a free slot has a start";
	}
	for (unsigned place = 0; place < count; place++) {
		unsigned slot = clv_maple_at(order, place);
		uintptr_t link = (uintptr_t)node | slot;

		if (node->of[slot].last > clv_maple_max(node))
			return "maple: top is not a slot with the greatest last";
		if (level) {
			const struct clv_maple_node *child = node->of[slot].item;

			if (child->up != link)
				return "maple: a child's way up leads elsewhere";
			if (clv_maple_level(child->order) != level - 1)
				return "maple: a child is not on the level below";
			if (node->of[slot].last != clv_maple_max(child))
				return "maple: a child's greatest last is not what its parent says";
			if (level > 1 &&
			    child->start[clv_maple_at(child->order, 0)] != node->start[slot])
				return "maple: an inner node's first bound is not its own";
		} else {
			const struct cleave_interval *interval = node->of[slot].item;

			if (interval->word[0] != link)
				return "maple: an entry's leaf or slot is another";
			if (interval->start != node->start[slot] ||
			    interval->last != node->of[slot].last)
				return "maple: a leaf has other bounds than its entry";
			if (interval->start > interval->last)
				return "maple: an entry starts behind its last";
		}
	}
	return NULL;
}

/*
 * Check all but whether an entry is missing: none are counted. `nodes` and `owed`: how many there
 * are, and what `owes` says of all together. `in_turn` (or NULL: nothing is recorded of ties): may
 * these two follow each other, though they start alike?
 */
static inline __attribute__((always_inline)) const char *clv_maple_validate(
	const struct clv_maple_node *root, unsigned (*owes)(const struct clv_maple_node *node),
	bool (*in_turn)(const struct cleave_interval *interval, const struct cleave_interval *next),
	size_t *nodes, size_t *owed)
{
	struct {
		const struct clv_maple_node *node;
		unsigned place;
	} way[CLV_MAPLE_HEIGHT_MAX];
	unsigned depth = 0;
	uint64_t start_before = 0; /* of bounds and starts, as they are met from left to right */
	const struct cleave_interval *before = NULL;

	*nodes = *owed = 0;
	if (!root)
		return NULL;
	if (root->up)
		return "maple: the root has a parent";
	if (clv_maple_level(root->order) >= CLV_MAPLE_HEIGHT_MAX)
		return "maple: the root's level is too high";
	if (clv_maple_level(root->order) && root->start[clv_maple_at(root->order, 0)] != 0)
		return "maple: the root's first bound is not 0";
	way[0].node = root;
	way[0].place = 0;
	/* Holds: what is left of the way was found right. Each turn moves on by one item. */
	for (;;) {
		const struct clv_maple_node *node = way[depth].node;
		unsigned level = clv_maple_level(node->order);

		if (!way[depth].place) {
			const char *reason = clv_maple_check_node(node);

			if (reason)
				return reason;
			++*nodes;
			*owed += owes(node);
		}
		if (way[depth].place == clv_maple_count(node->order)) {
			if (!depth--)
				return NULL;
			continue;
		}

		unsigned slot = clv_maple_at(node->order, way[depth].place++);

		if (node->start[slot] < start_before)
			return "maple: a start or bound is below one in front of it";
		start_before = node->start[slot];
		if (level) {
			way[++depth].node = node->of[slot].item;
			way[depth].place = 0;
			continue;
		}
		if (in_turn && before && before->start == node->start[slot] &&
		    !in_turn(before, node->of[slot].item))
			return "maple: an entry has not its turn behind its equals";
		before = node->of[slot].item;
	}
}

#endif
