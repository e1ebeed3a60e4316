// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A B-tree with optimistic lock coupling, each child's maximum `last` in its parent. Every node has a
 * version that is also its lock; readers write nothing, updates lock what they change: mostly a leaf.
 *
 *            [ -   380/0/9 ]                       separators: start/subset/sequence
 *            [ 379     468 ]                       the maximum of each child
 *            /            \
 *    [ 0/0/3   38/0/7 ]   [ 380/0/9  463/0/1  467/0/4 ]     keys, in the order of a walk
 *    [ 37      379    ]   [ 462      466      468     ]     last
 *      |         |           |         |         |
 *      entry <-> entry ...   each entry says which leaf and slot it is in
 *
 * Layout of nodes, versions, and how a reader reads them: olc_node.h. What changes several nodes:
 * olc_tree.h. Memory for it: olc_reserve.h.
 *
 * Keys. (start, subset modulo 2^16, sequence of 48 bits), all different, and given once: an entry keeps
 * its key, and so its place, until it is removed. A new entry goes behind all of the same start and
 * subset, with one more than the last of them has in its sequence: no counter, and the place for it has
 * to be found and locked anyway. So a child or copy that does not start before its source comes behind
 * it (C1, C2). That the subset stands before the sequence spreads equal ranges, of which a file has
 * thousands: each subset's have leaves of their own, and with @cpu1 two CPUs write the same leaf at its
 * ends alone.
 *
 * Changes. `change` writes the new bounds into the slot in place. If an entry were moved to where its
 * new start belongs, a walk could meet it twice, or, had it passed the new place and not reached the
 * old, never (C5). So a key may differ from the start that it was made from. An entry that starts later
 * than its key costs a walk a look at it, no more. One that starts before is a *stray*: nodes say
 * under `low` where the first stray below them starts, and a walk that began while there were any does
 * not stop where keys get too high, but goes on where `low` or the key, and the maximum, let it. A copy
 * of a stray goes behind the stray's key. Therefore not CLEAVE_ORDERED: by key it is.
 *
 * Invariants
 *  I1 keys in a leaf, and in leaves from left to right, ascend; a child's are not before the separator
 *     on its left, and before the one on its right.
 *  I2 what a parent says of a child's maximum is not less, and of its `low` not more, than what the
 *     child says of itself; a leaf's maximum is exact. It holds while both are not locked, and whoever
 *     has the child locked can rely on it: a parent is made to say less with both locked, and before a
 *     child gets more its parent is seen to cover that, after the child was locked, by its version.
 *     So raising goes from the top down and needs one lock at a time, lowering from the bottom up with
 *     two; if no update is under way, maxima are exact but where an insertion began anew after raising.
 *  I3 an entry's word[0] names its leaf, under whose lock alone that changes.
 *  I4 the root changes under the old root's lock, and no leaf but the root is empty for longer than the
 *     removal that emptied it takes: `inhabited` says whether the root is an empty leaf, which `empty`
 *     reads (C8).
 *
 * Readers: walks, without a lock, in an epoch. A walk copies a leaf's hits, looks whether the version
 * stayed, visits, and goes on behind the leaf's upper separator, under the same parent while that stays
 * the same, else by a new descent. All keys before that separator were seen at one moment, and none is
 * given anew or moves: each entry that stays is visited once (C5). A walk holds nothing while it visits.
 * Writers: anyone, at any time. An insertion locks a leaf; a removal too, which it finds by word[0],
 * without a search. Splits, joins and growing maxima lock a node's parents, all or none of those
 * needed, by compare-and-swap of the versions seen; who fails begins anew.
 * Reclamation: nodes taken out are retired, as entries are: C4 is deferred. C3 is not kept, as nothing
 * keeps a walk from between two ops; C6 neither, since walks go on beside a hold.
 * Progress: walks are obstruction-free and repeat one leaf at most when it changes: what was visited
 * stays so. Updates block while another has the same node locked, which is for tens of instructions;
 * in no cycle, see olc_tree.h.
 *
 * Cost: O(log n) for an insertion, O(1) for most removals. Cache lines, with h levels of inner nodes: an
 * insertion reads 5 a level and in the leaf 3, and writes 3 there (version and order, start, slot) and
 * the entry; a removal writes 1 and reads 1 of the leaf, and reads the entry. Every 10th or so also
 * lowers the maximum above, every 10th joins or unlinks its leaf. None of these is written by another
 * CPU with @cpu1, but for leaves that two subsets share.
 * Memory: 512 bytes a leaf of 14; a leaf of 3 or fewer joins its neighbour if it fits; else a leaf goes
 * when it is empty (Johnson, Shasha, "B-trees with inserts and deletes: why free-at-empty is better
 * than merge-at-half", JCSS 47, 1993). Some 70 bytes an entry under random updates; at worst, after
 * removals chosen for it, a leaf with one entry beside each full one. A reserve of 15 nodes, 15 KB, stays
 * with each thread or subset that inserts.
 *
 * From: Leis, Haubenschild, Neumann, "Optimistic lock coupling: a scalable and efficient general-purpose
 * synchronization method", IEEE Data Eng. Bull. 42(1), 2019; Leis, Scheibner, Kemper, Neumann, "The ART
 * of practical synchronization", DaMoN 2016. We differ: they split full inner nodes on the way down,
 * whether or not that is needed, which uses up any reserve if others fill them again; here all that a
 * split needs is locked first, so that h + 2 nodes always suffice. They search for what they
 * remove. They find scans by following leaves; here a walk skips by maxima, which they have not. Leaves
 * are permuted rather than shifted (Masstree). Unique keys in place of duplicates in a list.
 */
#include "olc_tree.h"

#include <errno.h>

enum {
	SEQUENCE_BITS = 48,
};

#define SEQUENCE_MASK (((uint64_t)1 << SEQUENCE_BITS) - 1)

/* ---- entries: word[0] leaf and slot, [1] and [2] the key, [3] version of the bounds ---- */

static struct cleave_interval *interval_of(const struct cleave_entry *entry)
{
	return cleave_container_of(entry, struct cleave_interval, entry);
}

static struct key key_of(const struct cleave_interval *interval)
{
	return (struct key) { interval->word[1], interval->word[2] };
}

/* Partner is `bounds`. One writer: who has the leaf locked, or the owner before it is in. */
static void set_bounds(struct cleave_interval *interval, uint64_t start, uint64_t last)
{
	uintptr_t version = interval->word[3];

	put_word(&interval->word[3], version | 1);
	put(&interval->start, start);
	put(&interval->last, last);
	put_word(&interval->word[3], (version | 1) + 1);
}

/* Partner is set_bounds; as with a node's version. */
static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	const struct cleave_interval *interval = interval_of(entry);

	for (;;) {
		uintptr_t version = get_word(&interval->word[3]);

		*start = get(&interval->start);
		*last = get(&interval->last);
		if (!(version & 1) &&
		    __atomic_load_n(&interval->word[3], __ATOMIC_RELAXED) == version)
			return;
		cleave_pause();
	}
}

static int prepare(void *self, struct cleave_thread *thread, const struct cleave_op *ops,
		   unsigned count, void **reserve)
{
	struct tree *tree = self;
	unsigned inserts = 0;

	for (unsigned i = 0; i < count; i++)
		inserts += ops[i].kind != CLEAVE_REMOVE && ops[i].kind != CLEAVE_CHANGE;
	*reserve = NULL;
	if (!inserts)
		return 0;
	*reserve = get_reserve(&tree->store, thread, ops[0].entry->subset, inserts);
	return *reserve ? 0 : -ENOMEM;
}

static void settle(void *self, struct cleave_thread *thread, void *reserve)
{
	struct tree *tree = self;

	if (reserve)
		leave_reserve(&tree->store, thread, reserve);
}

/* ---- updates ---- */

/*
 * Behind all of the same start and subset that are there: one more than the last of these has. It is
 * in this leaf, or in one before it; then the fence is of the same start and subset, and greater.
 */
static uint64_t next_tie(const struct leaf *leaf, unsigned rank, struct key upper, struct key fence)
{
	uint64_t subset = upper.tie & ~SEQUENCE_MASK;

	if (rank) {
		struct key before = leaf_key(leaf, order_slot(leaf->order, rank - 1));

		if (before.start == upper.start && (before.tie & ~SEQUENCE_MASK) == subset)
			return before.tie + 1;
	}
	if (fence.start == upper.start && (fence.tie & ~SEQUENCE_MASK) == subset)
		return fence.tie;
	return subset;
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct tree *tree = self;
	struct cleave_interval *interval = interval_of(entry);
	struct arrival arrival = { { start, 0 }, last, (uintptr_t)interval };
	struct reserve *reserve = update->reserve;
	uint64_t low = NOWHERE;
	struct path path;

	reserve->applied = true;
	set_bounds(interval, start, last);
	/* A source that has come to start before its key takes its copies along (C1, C2). */
	if (source && interval_of(source)->start <= start && key_of(interval_of(source)).start > start) {
		arrival.key.start = key_of(interval_of(source)).start;
		low = start;
	}
	if (arrival.key.start != start) {
		arrival.entry |= ADRIFT;
		__atomic_add_fetch(&tree->strays, 1, __ATOMIC_SEQ_CST);
	}
	const struct key upper = { arrival.key.start,
				   (uint64_t)entry->subset << SEQUENCE_BITS | SEQUENCE_MASK };

	for (;;) {
		struct leaf *leaf = lock_leaf(tree, upper, last, low, &path);
		unsigned rank = leaf_rank(leaf, upper), count = order_count(leaf->order);

		arrival.key.tie = next_tie(leaf, rank, upper, path.fence);
		interval->word[1] = arrival.key.start;
		interval->word[2] = arrival.key.tie;
		if (count < LEAF_SLOTS) {
			leaf_put(leaf, rank, arrival.key, last, arrival.entry);
			if (!count)
				set_inhabited(tree, leaf);
			if (source)
				unlock_in_order(&leaf->node);
			else
				unlock(&leaf->node);
			return;
		}
		if (lock_full(&path)) {
			split(tree, &path, rank, &arrival, reserve);
			return;
		}
		unlock_unchanged(&leaf->node);
	}
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	struct tree *tree = self;
	struct cleave_interval *interval = interval_of(entry);
	struct key key = key_of(interval);
	bool was_stray = interval->start < key.start;
	unsigned slot;
	struct leaf *leaf = lock_home(interval, &slot);
	uint64_t last = leaf->last;

	put(&leaf->order, order_remove(leaf->order, order_find(leaf->order, slot)));
	if (leaf->slot[slot].last == last)
		leaf_recount(leaf);

	bool falls = leaf->last < last;
	unsigned count = order_count(leaf->order);

	if (!count)
		set_inhabited(tree, leaf);
	/* Not after unlocking: the leaf may be gone by then, though not its memory. */
	bool is_root = get_root(tree) == &leaf->node;

	unlock(&leaf->node);
	if (was_stray)
		__atomic_sub_fetch(&tree->strays, 1, __ATOMIC_SEQ_CST);
	if (is_root)
		return;
	if (falls)
		lower(tree, key);
	if (count <= THIN) {
		while (!try_thin(tree, update->thread, key))
			;
	}
}

/* In its place, whatever the bounds: see the head comment. */
static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	struct tree *tree = self;
	struct cleave_interval *interval = interval_of(entry);
	struct key key = key_of(interval);
	bool was_stray = interval->start < key.start, is_stray = start < key.start;
	uint64_t low = is_stray ? start : NOWHERE;
	unsigned slot;

	(void)update;
	/* Before it starts there: a walk that has to see it there began later, and sees this. */
	if (is_stray && !was_stray)
		__atomic_add_fetch(&tree->strays, 1, __ATOMIC_SEQ_CST);

	struct leaf *leaf = lock_home(interval, &slot);

	if (last > leaf->last || low < leaf->low) {
		struct path path;

		unlock_unchanged(&leaf->node);
		leaf = lock_leaf(tree, key, last, low, &path);
		slot = interval->word[0] & SLOT_MASK;
	}
	uint64_t before = leaf->last, was_last = leaf->slot[slot].last;

	set_bounds(interval, start, last);
	put(&leaf->slot[slot].last, last);
	put_word(&leaf->slot[slot].entry, (uintptr_t)interval | (start != key.start ? ADRIFT : 0));
	if (low < leaf->low)
		put(&leaf->low, low);
	if (last > before)
		put(&leaf->last, last);
	else if (was_last == before && last < before)
		leaf_recount(leaf);

	bool falls = leaf->last < before;

	unlock(&leaf->node);
	if (was_stray && !is_stray)
		__atomic_sub_fetch(&tree->strays, 1, __ATOMIC_SEQ_CST);
	if (falls)
		lower(tree, key);
}

/* ---- walks ---- */

/* What is asked for, and how far it has come: every key before `from` has been looked at. */
struct cursor {
	uint64_t start, last;
	struct key from;
	bool partly; /* the leaf at hand may have keys before `from` */
	bool strays; /* there were some when the walk began */
	unsigned subset;
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
 * The first child from the i-th on that can have an entry for this walk. Returns: `count` if there is
 * none, with *ended set if there is none behind this node either.
 */
static unsigned next_child(const struct inner *inner, unsigned i, unsigned count,
			   const struct cursor *cursor, bool *ended)
{
	*ended = false;
	for (; i < count; i++) {
		/* The key of the first is not read; it was in reach when the walk came to this node. */
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
static enum found seek(const struct tree *tree, struct cursor *cursor, struct spot *spot)
{
	struct node *node = get_root(tree);
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
static enum found next_leaf(struct cursor *cursor, struct spot *spot)
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
static int collect(const struct cursor *cursor, const struct spot *spot,
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
 * before its parent's visit ended has to be met later in this walk (C1, C2). So the version is looked
 * at after each visit; whoever copies from the parent put the child in before (see insert), and either
 * we see that, or the copy comes after the visit and finds what that left.
 * Returns: the visitor's number; else 0, with *stays cleared, and `from` behind the last visited, if
 * the leaf has changed. pre: *stays; hits is negative if not.
 */
static int visit_all(struct cursor *cursor, const struct spot *spot, struct cleave_interval **hit,
		     int hits, bool *stays, cleave_visit_fn *visit, void *arg)
{
	for (int i = 0; i < hits && *stays; i++) {
		struct cleave_entry *entry = &hit[i]->entry;

		if (cursor->subset != CLEAVE_ALL_SUBSETS && entry->subset != cursor->subset)
			continue;
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
 * Loop invariant: of the entries with a key before `from`, those that have been in all the while, and
 * overlapped, have been visited once; of the others none has.
 */
static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	const struct tree *tree = self;
	struct cursor cursor = { .start = start, .last = last, .subset = subset };
	struct cleave_interval *hit[LEAF_SLOTS];
	struct spot spot = { 0 };
	enum found found = AGAIN;

	(void)thread;
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

/* Pairs with set_inhabited. */
static bool empty(const void *self)
{
	const struct tree *tree = self;

	return !__atomic_load_n(&tree->inhabited, __ATOMIC_RELAXED);
}

/* ---- the whole object ---- */

static int create(void **self, const struct cleave_structure_config *config)
{
	struct tree *tree = cleave_alloc(sizeof(*tree), _Alignof(struct tree), config->node);
	struct leaf *leaf = tree ? cleave_alloc(sizeof(*leaf), 64, config->node) : NULL;

	if (!leaf) {
		cleave_free(tree, sizeof(*tree));
		return -ENOMEM;
	}
	leaf->order = ORDER_EMPTY;
	leaf->low = NOWHERE;
	tree->root = &leaf->node;
	open_store(&tree->store, config);
	*self = tree;
	return 0;
}

/* As deep as the tree is high. */
static void free_below(struct node *node)
{
	if (!node->level) {
		free_leaf(&node->deferred);
		return;
	}
	for (unsigned i = 0; i < node->count; i++)
		free_below(inner_of(node)->link[i].child);
	free_inner(&node->deferred);
}

static void destroy(void *self)
{
	struct tree *tree = self;

	free_below(tree->root);
	close_store(&tree->store);
	cleave_free(tree, sizeof(*tree));
}

static size_t memory_below(struct node *node)
{
	size_t bytes = sizeof(struct inner);

	if (!node->level)
		return sizeof(struct leaf);
	for (unsigned i = 0; i < node->count; i++)
		bytes += memory_below(inner_of(node)->link[i].child);
	return bytes;
}

static size_t memory(const void *self)
{
	const struct tree *tree = self;

	return sizeof(*tree) + store_memory(&tree->store) + memory_below(tree->root);
}

/* Where `validate` is: keys come in order, so that the last one met bounds the next. */
struct inspection {
	struct tree *tree;
	struct key before;
	bool any;
	uint64_t strays;
};

static const char *check_entry(struct inspection *inspection, struct leaf *leaf, unsigned slot)
{
	const struct cleave_interval *interval = leaf_interval(leaf, slot);
	struct key key = leaf_key(leaf, slot);
	bool adrift = leaf->slot[slot].entry & ADRIFT;

	if (inspection->any && !is_before(inspection->before, key))
		return "btree_olc: a key is not behind the one before";
	inspection->any = true;
	inspection->before = key;
	if (interval->word[0] != ((uintptr_t)leaf | slot))
		return "btree_olc: an entry does not say where it is";
	if (interval->word[1] != key.start || interval->word[2] != key.tie)
		return "btree_olc: an entry has another key than its slot";
	if (key.tie >> SEQUENCE_BITS != (interval->entry.subset & 0xffff))
		return "btree_olc: an entry's key is of another subset";
	if (interval->start > interval->last || interval->last != leaf->slot[slot].last)
		return "btree_olc: an entry has another end than its slot, or ends before it starts";
	if (adrift != (interval->start != key.start))
		return "btree_olc: an entry's start is its key's, or is not, and its slot differs";
	if (leaf->slot[slot].last > leaf->last)
		return "btree_olc: an entry ends behind its leaf's last";
	if (interval->start < key.start) {
		inspection->strays++;
		if (leaf->low > interval->start)
			return "btree_olc: a stray starts below its leaf's low";
	}
	return NULL;
}

static const char *check_leaf(struct inspection *inspection, struct leaf *leaf)
{
	unsigned count = order_count(leaf->order), seen = 0;
	uint64_t last = 0;

	for (unsigned i = 0; i < LEAF_SLOTS; i++)
		seen |= 1u << order_slot(leaf->order, i);
	if (count > LEAF_SLOTS || seen != (1u << LEAF_SLOTS) - 1)
		return "btree_olc: a leaf's order is none of its slots";
	if (!count && inspection->tree->root != &leaf->node)
		return "btree_olc: an empty leaf below the root";
	for (unsigned i = 0; i < count; i++) {
		unsigned slot = order_slot(leaf->order, i);
		const char *reason = check_entry(inspection, leaf, slot);

		if (reason)
			return reason;
		last = leaf->slot[slot].last > last ? leaf->slot[slot].last : last;
	}
	return last == leaf->last ? NULL : "btree_olc: a leaf's last is not the greatest";
}

static const char *check_below(struct inspection *inspection, struct node *node);

static const char *check_child(struct inspection *inspection, struct inner *inner, unsigned i)
{
	struct node *child = inner->link[i].child;
	struct key fence = inner_key(inner, i);

	if (child->level + 1 != inner->node.level)
		return "btree_olc: a child is not one level below its parent";
	if (i && inspection->any && !is_before(inspection->before, fence))
		return "btree_olc: a key is not before the next child's";
	if (i) { /* the first key below may be equal: be just before it */
		inspection->before = fence;
		inspection->before.tie--;
		inspection->any = fence.tie != 0;
	}
	const char *reason = check_below(inspection, child);

	if (reason)
		return reason;
	uint64_t last = child->level ? inner_last(inner_of(child)) : leaf_of(child)->last;
	uint64_t low = child->level ? inner_low(inner_of(child)) : leaf_of(child)->low;

	if (last > inner->link[i].last)
		return "btree_olc: what is below a child ends behind its last";
	return low < inner->low[i] ? "btree_olc: a stray starts below its child's low" : NULL;
}

static const char *check_below(struct inspection *inspection, struct node *node)
{
	if (node->version & (LOCKED | OBSOLETE))
		return "btree_olc: a node is locked, or out of the tree";
	if (!node->level)
		return check_leaf(inspection, leaf_of(node));
	if (!node->count || node->count > INNER_CHILDREN || node->level > LEVELS_MAX)
		return "btree_olc: a node has no child, or too many, or too many levels";
	for (unsigned i = 0; i < node->count; i++) {
		const char *reason = check_child(inspection, inner_of(node), i);

		if (reason)
			return reason;
	}
	return NULL;
}

static const char *validate(void *self)
{
	struct tree *tree = self;
	struct inspection inspection = { .tree = tree };
	const char *reason = check_below(&inspection, tree->root);

	if (reason)
		return reason;
	if (inspection.strays != tree->strays)
		return "btree_olc: strays are miscounted";
	if (tree->root->level && tree->root->count < 2)
		return "btree_olc: the root has one child";
	bool any = tree->root->level || order_count(leaf_of(tree->root)->order);

	return any == tree->inhabited ? NULL : "btree_olc: what says whether it is empty is wrong";
}

static const struct cleave_field entry_fields[] = {
	{ offsetof(struct cleave_interval, entry.subset), "subset" },
	{ offsetof(struct cleave_interval, entry.map_id), "map id" },
	{ offsetof(struct cleave_interval, start), "start" },
	{ offsetof(struct cleave_interval, last), "last" },
	{ offsetof(struct cleave_interval, word[0]), "leaf, slot" },
	{ offsetof(struct cleave_interval, word[1]), "key" },
	{ offsetof(struct cleave_interval, word[3]), "version of the bounds" },
	{ offsetof(struct cleave_interval, word[4]), "unused" },
	{ 0, NULL },
};

const struct cleave_structure cleave_btree_olc = {
	.name = "btree_olc",
	.summary = "B-tree with optimistic lock coupling, walks without locks",
	.source = "Leis, Haubenschild, Neumann, Optimistic Lock Coupling, IEEE Data Eng. Bull. 42(1), 2019",
	.kind = CLEAVE_CONCURRENT,
	.flags = CLEAVE_WALKS_UNLOCKED | CLEAVE_DEFERS,
	.keeps = CLEAVE_KEEPS_ALL & ~(CLEAVE_C3_COVERAGE | CLEAVE_C6_LONG_HOLDS),
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = UINT64_MAX,
	.bounds = bounds,
	.create = create,
	.destroy = destroy,
	.prepare = prepare,
	.settle = settle,
	.insert = insert,
	.remove = remove_entry,
	.change = change,
	.walk = walk,
	.empty = empty,
	.validate = validate,
	.memory = memory,
	.entry_fields = entry_fields,
};
