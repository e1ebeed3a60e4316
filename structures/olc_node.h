/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Nodes of btree_olc.c, which alone includes this: their layout, their locks, and what is done to
 * one node by whoever has locked it. How they make a tree is said there.
 *
 *   leaf, 512 bytes                         inner node, 1,024 bytes
 *   0    version, level, for reclamation    0    version, level, children, for reclamation
 *   40   order, last, low                   64   start[24]            of the first key below
 *   64   start[14]        of the keys       256  { child, last }[24]  with its maximum
 *   176  { tie, last, entry }[14]           640  tie[24]              the rest of start[]'s key
 *                                           832  low[24]
 *
 * A leaf's slots are in no order; `order` has it, in one word (the permutation of Mao, Kohler,
 * Morris, "Cache craftiness for fast multicore key-value storage", EuroSys 2012): nibble i is the
 * slot of the i-th key, the top nibble says how many there are, the nibbles behind them are the
 * free slots. An insertion writes one slot and this word, a removal this word alone.
 *
 * Versions. Bit 0: locked; bit 1: the node is out of the tree for good; the rest counts changes.
 * Who reads without the lock takes the version, reads, and looks whether the version is still the
 * same. With no fence, which ThreadSanitizer would not know: a writer's stores are releases and
 * come behind its own locking, a reader's loads are acquires, so who reads something that was
 * written under the lock sees the lock, or a later version, when it looks again (Boehm, "Can
 * seqlocks get along with programming language memory models?", MSPC 2012). On x86 these are plain
 * moves.
 */
#ifndef OLC_NODE_H
#define OLC_NODE_H

#include <cleave/structure.h>

enum {
	LEAF_SLOTS = 14,
	INNER_CHILDREN = 24,
	THIRD = INNER_CHILDREN / 3,

	LOCKED = 1,
	OBSOLETE = 2,
	VERSION_STEP = 4,

	NIBBLE = 4,
	COUNT_SHIFT = 60,

	/* In an entry's word[0] beside the leaf, and in a slot's entry. */
	SLOT_MASK = 63,
	ADRIFT = 1, /* its start is not its key's: read it from the entry */
};

#define NOWHERE UINT64_MAX /* `low` of what has no stray */

/* The place of an entry: `tie` is its class, 16 bits, over 48 bits of sequence. */
struct key {
	uint64_t start, tie;
};

struct node {
	uint64_t version;
	uint32_t level;			 /* 0: a leaf; constant */
	uint32_t count;			 /* of an inner node's children */
	struct cleave_deferred deferred; /* also links spare nodes */
};

struct slot {
	uint64_t tie;
	uint64_t last;
	uintptr_t entry; /* with ADRIFT */
};

struct leaf {
	struct node node;
	uint64_t order;
	uint64_t last; /* the greatest, exactly; 0 if there is none */
	uint64_t low;  /* no stray in it starts below */
	uint64_t start[LEAF_SLOTS];
	struct slot slot[LEAF_SLOTS];
};

struct link {
	struct node *child;
	uint64_t last; /* nothing below ends behind */
};

struct inner {
	struct node node;
	uint64_t unused[3];
	uint64_t start[INNER_CHILDREN]; /* [0] and tie[0] are not read: it goes as low as its parent
					   says */
	struct link link[INNER_CHILDREN];
	uint64_t tie[INNER_CHILDREN];
	uint64_t low[INNER_CHILDREN]; /* no stray below starts below */
};

_Static_assert(sizeof(struct leaf) == 512, "eight lines");
_Static_assert(sizeof(struct inner) == 1024, "sixteen lines");
_Static_assert(offsetof(struct leaf, start) == 64 && offsetof(struct inner, start) == 64,
	       "the head of a node is a line");

/* For reports of contended lines. */
static const struct cleave_field leaf_fields[] = {
	{ 0, "version, order, last" },
	{ offsetof(struct leaf, start), "starts" },
	{ offsetof(struct leaf, slot), "slots" },
	{ 0, NULL },
};

static const struct cleave_field inner_fields[] = {
	{ 0, "version, children" },
	{ offsetof(struct inner, start), "starts" },
	{ offsetof(struct inner, link), "children and their last" },
	{ offsetof(struct inner, tie), "ties" },
	{ offsetof(struct inner, low), "low" },
	{ 0, NULL },
};

/* ---- words ---- */

/* Pairs with put, of whoever had the lock: see the head comment. */
static inline uint64_t get(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void put(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline uintptr_t get_word(const uintptr_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void put_word(uintptr_t *word, uintptr_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline struct node *get_node(struct node *const *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void put_node(struct node **word, struct node *node)
{
	__atomic_store_n(word, node, __ATOMIC_RELEASE);
}

static inline uint32_t get_count(const struct inner *inner)
{
	return __atomic_load_n(&inner->node.count, __ATOMIC_ACQUIRE);
}

static inline void put_count(struct inner *inner, uint32_t count)
{
	__atomic_store_n(&inner->node.count, count, __ATOMIC_RELEASE);
}

static inline bool is_before(struct key a, struct key b)
{
	return a.start < b.start || (a.start == b.start && a.tie < b.tie);
}

/* ---- entries: word[0] leaf and slot, [1] and [2] the key, [3] version of the bounds ---- */

static inline struct cleave_interval *interval_of(const struct cleave_entry *entry)
{
	return cleave_container_of(entry, struct cleave_interval, entry);
}

static inline struct key key_of(const struct cleave_interval *interval)
{
	return (struct key) { interval->word[1], interval->word[2] };
}

static inline void set_key(struct cleave_interval *interval, struct key key)
{
	interval->word[1] = key.start;
	interval->word[2] = key.tie;
}

/* ---- versions ---- */

/* Returns: the version, not locked. Acquire: its partner is unlock, whose changes are seen. */
static inline uint64_t await_version(const struct node *node)
{
	uint64_t version;

	while ((version = get(&node->version)) & LOCKED)
		cleave_pause();
	return version;
}

static inline bool is_unchanged(const struct node *node, uint64_t version)
{
	return __atomic_load_n(&node->version, __ATOMIC_RELAXED) == version;
}

/*
 * Lock it if it is what it was. Acquire: no store of the holder's comes before, and what the holder
 * before it wrote is seen.
 */
static inline bool upgrade(struct node *node, uint64_t version)
{
	return __atomic_compare_exchange_n(&node->version, &version, version | LOCKED, false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* The version as it was before it was locked. Relaxed, and atomic as others try to lock it. */
static inline uint64_t locked_version(const struct node *node)
{
	return __atomic_load_n(&node->version, __ATOMIC_RELAXED) & ~(uint64_t)LOCKED;
}

/* Release: its partners are await_version and upgrade. Returns: the version that it has now. */
static inline uint64_t unlock(struct node *node)
{
	uint64_t version = locked_version(node) + VERSION_STEP;

	put(&node->version, version);
	return version;
}

/*
 * The same, and in one order with what the caller reads afterwards: who inserts a child may then
 * copy what the parent has. Partner: visit_all.
 */
static inline void unlock_in_order(struct node *node)
{
	__atomic_exchange_n(&node->version, locked_version(node) + VERSION_STEP, __ATOMIC_SEQ_CST);
}

/* pre: the holder has written nothing. */
static inline void unlock_unchanged(struct node *node)
{
	put(&node->version, locked_version(node));
}

static inline void unlock_obsolete(struct node *node)
{
	put(&node->version, (locked_version(node) + VERSION_STEP) | OBSOLETE);
}

/* ---- leaves ---- */

static inline struct leaf *leaf_of(struct node *node)
{
	return cleave_container_of(node, struct leaf, node);
}

static inline struct inner *inner_of(struct node *node)
{
	return cleave_container_of(node, struct inner, node);
}

#define ORDER_EMPTY 0x00dcba9876543210u

static inline unsigned order_count(uint64_t order)
{
	return (unsigned)(order >> COUNT_SHIFT);
}

static inline unsigned order_slot(uint64_t order, unsigned i)
{
	return order >> (NIBBLE * i) & 15;
}

/* The lowest n nibbles. */
static inline uint64_t nibbles(unsigned n)
{
	return ((uint64_t)1 << (NIBBLE * n)) - 1;
}

/* The first free slot becomes the i-th; those behind move up by one. pre: i <= count < LEAF_SLOTS.
 */
static inline uint64_t order_insert(uint64_t order, unsigned i)
{
	unsigned count = order_count(order);
	uint64_t below = order & nibbles(i);
	uint64_t moved = order & nibbles(count) & ~nibbles(i);
	uint64_t above = order & ~nibbles(count + 1);

	return (above | moved << NIBBLE | (uint64_t)order_slot(order, count) << (NIBBLE * i) |
		below) +
	       ((uint64_t)1 << COUNT_SHIFT);
}

/* The i-th becomes the first free slot. pre: i < count. */
static inline uint64_t order_remove(uint64_t order, unsigned i)
{
	unsigned count = order_count(order);
	uint64_t below = order & nibbles(i);
	uint64_t moved = order & nibbles(count) & ~nibbles(i + 1);
	uint64_t above = order & ~nibbles(count);

	return (above | moved >> NIBBLE | (uint64_t)order_slot(order, i) << (NIBBLE * (count - 1)) |
		below) -
	       ((uint64_t)1 << COUNT_SHIFT);
}

/* Where `slot` is: the lowest nibble that is equal. pre: it is there. */
static inline unsigned order_find(uint64_t order, unsigned slot)
{
	uint64_t other = order ^ slot * 0x1111111111111111u;
	uint64_t zeros = (other - 0x1111111111111111u) & ~other & 0x8888888888888888u;

	return (unsigned)__builtin_ctzll(zeros) / NIBBLE;
}

static inline struct key leaf_key(const struct leaf *leaf, unsigned slot)
{
	return (struct key) { leaf->start[slot], leaf->slot[slot].tie };
}

static inline struct cleave_interval *slot_interval(uintptr_t entry)
{
	return (struct cleave_interval *)(entry & ~(uintptr_t)SLOT_MASK);
}

static inline struct cleave_interval *leaf_interval(const struct leaf *leaf, unsigned slot)
{
	return slot_interval(leaf->slot[slot].entry);
}

/* Does it start before its key? pre: its leaf is locked. */
static inline bool slot_strays(const struct leaf *leaf, unsigned slot)
{
	return (leaf->slot[slot].entry & ADRIFT) &&
	       leaf_interval(leaf, slot)->start < leaf->start[slot];
}

/* How many keys are before `key` or equal. pre: locked. */
static inline unsigned leaf_rank(const struct leaf *leaf, struct key key)
{
	unsigned count = order_count(leaf->order), rank = 0;
	uint64_t order = leaf->order;

	/* Without branches: where to stop is a matter of chance. */
	for (unsigned i = 0; i < count; i++, order >>= NIBBLE)
		rank += leaf->start[order & 15] <= key.start;
	/* Mostly none of the same start is behind. */
	while (rank && is_before(key, leaf_key(leaf, order_slot(leaf->order, rank - 1))))
		rank--;
	return rank;
}

/*
 * Put it in as the i-th: first its slot, then the order, so that who reads the order finds slots
 * that are in the leaf. pre: locked, not full.
 */
static inline void leaf_put(struct leaf *leaf, unsigned i, struct key key, uint64_t last,
			    uintptr_t entry)
{
	unsigned slot = order_slot(leaf->order, order_count(leaf->order));
	struct cleave_interval *interval = slot_interval(entry);

	put(&leaf->start[slot], key.start);
	put(&leaf->slot[slot].tie, key.tie);
	put(&leaf->slot[slot].last, last);
	put_word(&leaf->slot[slot].entry, entry);
	put_word(&interval->word[0], (uintptr_t)leaf | slot);
	put(&leaf->order, order_insert(leaf->order, i));
	if (last > leaf->last)
		put(&leaf->last, last);
	if (slot_strays(leaf, slot) && interval->start < leaf->low)
		put(&leaf->low, interval->start);
}

/* Work `last` and `low` out again. pre: locked. */
static inline void leaf_recount(struct leaf *leaf)
{
	unsigned count = order_count(leaf->order);
	uint64_t order = leaf->order, last = 0, low = NOWHERE;

	for (unsigned i = 0; i < count; i++, order >>= NIBBLE) {
		unsigned slot = order & 15;
		uint64_t other = leaf->slot[slot].last;

		last = other > last ? other : last;
		if (slot_strays(leaf, slot) && leaf_interval(leaf, slot)->start < low)
			low = leaf_interval(leaf, slot)->start;
	}
	put(&leaf->last, last);
	put(&leaf->low, low);
}

/* One that ended at `last` is no longer there: is there another, as among equal ranges? */
static inline void leaf_lose(struct leaf *leaf, uint64_t last)
{
	unsigned count = order_count(leaf->order);
	uint64_t order = leaf->order;

	for (unsigned i = 0; last == leaf->last && i < count; i++, order >>= NIBBLE) {
		if (leaf->slot[order & 15].last == last)
			return;
	}
	if (last == leaf->last)
		leaf_recount(leaf);
}

/* Move those from the i-th on to the end of `to`. pre: both locked, and there is room. */
static inline void leaf_move(struct leaf *leaf, unsigned i, struct leaf *to, unsigned at)
{
	unsigned count = order_count(leaf->order);

	for (unsigned k = i; k < count; k++) {
		unsigned slot = order_slot(leaf->order, k);

		leaf_put(to, at++, leaf_key(leaf, slot), leaf->slot[slot].last,
			 leaf->slot[slot].entry);
	}
	put(&leaf->order, (leaf->order & nibbles(LEAF_SLOTS)) | (uint64_t)i << COUNT_SHIFT);
	leaf_recount(leaf);
}

/* ---- inner nodes ---- */

/*
 * Which child has `key` below it. Without the lock the answer may be wrong, but is below `count`.
 * pre: 0 < count <= INNER_CHILDREN.
 */
static inline unsigned inner_find(const struct inner *inner, unsigned count, struct key key)
{
	unsigned at = 0;

	/*
	 * By thirds, then one by one; without branches, since where to stop is a matter of chance.
	 * start[] is full of UINT64_MAX behind the last child's; [0] and what comes first in a
	 * third need no look.
	 */
#pragma GCC unroll 2
	for (unsigned i = THIRD; i < INNER_CHILDREN; i += THIRD)
		at += get(&inner->start[i]) <= key.start ? THIRD : 0;
	const uint64_t *third = &inner->start[at];

#pragma GCC unroll 8
	for (unsigned i = 1; i < THIRD; i++)
		at += get(&third[i]) <= key.start;
	/* Mostly none of the same start is behind. */
	at = at < count ? at : count - 1;
	while (at && get(&inner->start[at]) == key.start && get(&inner->tie[at]) > key.tie)
		at--;
	return at;
}

static inline struct key inner_key(const struct inner *inner, unsigned i)
{
	return (struct key) { get(&inner->start[i]), get(&inner->tie[i]) };
}

/* What a node tells its parent of a child. */
struct branch {
	struct key key;
	struct node *child;
	uint64_t last, low;
};

static inline void inner_set(struct inner *inner, unsigned i, const struct branch *branch)
{
	put(&inner->start[i], branch->key.start);
	put(&inner->tie[i], branch->key.tie);
	put(&inner->low[i], branch->low);
	put(&inner->link[i].last, branch->last);
	put_node(&inner->link[i].child, branch->child);
}

static inline struct branch inner_branch(const struct inner *inner, unsigned i)
{
	return (struct branch) { { inner->start[i], inner->tie[i] },
				 inner->link[i].child,
				 inner->link[i].last,
				 inner->low[i] };
}

/* pre: locked, not full. */
static inline void inner_put(struct inner *inner, unsigned i, const struct branch *branch)
{
	unsigned count = inner->node.count;

	for (unsigned k = count; k > i; k--) {
		struct branch moved = inner_branch(inner, k - 1);

		inner_set(inner, k, &moved);
	}
	inner_set(inner, i, branch);
	put_count(inner, count + 1);
}

/* Its range goes to the child before it, or to the one behind if it is the first. pre: locked. */
static inline void inner_take(struct inner *inner, unsigned i)
{
	unsigned count = inner->node.count - 1;

	for (unsigned k = i; k < count; k++) {
		struct branch moved = inner_branch(inner, k + 1);

		inner_set(inner, k, &moved);
	}
	put(&inner->start[count], UINT64_MAX);
	put_count(inner, count);
}

static inline void inner_move(struct inner *inner, unsigned i, struct inner *to)
{
	unsigned count = inner->node.count;

	for (unsigned k = i; k < count; k++) {
		struct branch moved = inner_branch(inner, k);

		inner_set(to, k - i, &moved);
		put(&inner->start[k], UINT64_MAX);
	}
	put_count(to, count - i);
	put_count(inner, i);
}

/* The maximum over all that is below, and the least of a stray. pre: locked. */
static inline uint64_t inner_last(const struct inner *inner)
{
	uint64_t last = 0;

	for (unsigned i = 0; i < inner->node.count; i++)
		last = inner->link[i].last > last ? inner->link[i].last : last;
	return last;
}

static inline uint64_t inner_low(const struct inner *inner)
{
	uint64_t low = NOWHERE;

	for (unsigned i = 0; i < inner->node.count; i++)
		low = inner->low[i] < low ? inner->low[i] : low;
	return low;
}

#endif
