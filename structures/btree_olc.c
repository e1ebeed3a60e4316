// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * B-trees with optimistic lock coupling, one a subset; each child's maximum `last` is in its
 * parent. A node's version is also its lock: readers write nothing, updates lock what they
 * change, mostly one leaf.
 *
 *            [ -      380/0/9 ]                             separators: start/class/sequence
 *            [ 379    468     ]                             maximum of each child
 *             /            \
 *    [ 0/0/3  38/0/7 ]   [ 380/0/9  463/0/1  467/0/4 ]      keys, in the order of a walk
 *    [ 37     379    ]   [ 462      466      468     ]      last
 *       |       |            |        |        |
 *      entry <- and back: each entry says in which leaf and slot it is
 *
 * Nodes, and how to read them without a lock: olc_node.h. What changes several: olc_tree.h. Walks:
 * olc_walk.h. Memory for updates: olc_reserve.h.
 *
 * Keys are (start, class of 16 bits, sequence of 48 bits), unique, and given once: an entry keeps
 * its key, and so its place, until it is removed. A new entry goes behind all of its start and
 * class, with a sequence one more than the last of those has. That one is in the leaf that has
 * to be locked anyway, or the separator tells: there is no counter. A child or copy is of its
 * source's class, and so behind it unless it starts before it (C1, C2). Other entries are of their
 * thread's: equal ranges, of which a file has thousands, would all go into one leaf.
 *
 * A change writes new bounds into the slot and moves nothing. If it moved the entry to where its
 * start belongs, a walk could meet it twice; or, past the new place and not yet at the old,
 * never (C5). So an entry may start behind its key, which costs walks a look at the entry; or
 * before it: a *stray*. Above strays, nodes say under `low` where the first starts, and a walk that
 * began while there were any goes on behind its range's keys wherever `low` tells it to. A copy of
 * a stray goes behind the stray's key. By key there is an order; CLEAVE_ORDERED it is not.
 *
 * Invariants
 *  I1 Keys ascend from left to right; a child's are not before the separator on its left, and
 *     before the one on its right.
 *  I2 Of each child a parent says a maximum that is not less than the child's own, and a `low`
 *     that is not more. A leaf's own maximum is exact. This holds whenever both are unlocked, and
 *     for whoever has the child locked: a parent is made to say less with both locked, and
 *     before a child is made to say more, with the child locked the parent is seen to cover it
 *     and not to have changed since. So what grows is raised from the top down, one lock at a
 *     time, and lowered from the bottom up, two at a time.
 *  I3 An entry's word[0] says its leaf and slot; it changes under that leaf's lock, and if it
 *     moves to another, under both.
 *  I4 The root changes under the old root's lock. A leaf other than the root is empty only until
 *     the removal that emptied it returns. `inhabited` is 0 if the root is an empty leaf, and
 *     changes under its lock: that is what `empty` reads (C8).
 *
 * Readers: walks, in an epoch. A walk reads a leaf's hits, sees that the leaf's version is the
 * same, and visits them, looking at the version after each: what came into the leaf meanwhile may
 * be the child of one just visited (C1). Then it goes on behind the leaf's upper separator. All
 * keys before that have been seen at some moment, none is given anew or moves across: whatever
 * stays is visited once (C5). While a visitor runs nothing is held. Writers: anyone, at any time.
 * An insertion searches and locks a leaf; a removal and a change find it by word[0]. Splits and
 * joins lock, by compare-and-swap of the versions that were seen, all the nodes that they need, or
 * none and begin anew. Reclamation: retired nodes and removed entries wait for a grace period: C4
 * is deferred. C3 is not kept, since a walk may come between two ops of a batch; nor C6, since
 * walks go on beside a hold. Progress: a walk repeats a leaf that changes while it is read, and
 * never a visit. Updates wait for who has the same node locked, for tens of instructions, and never
 * in a circle: olc_tree.h.
 *
 * Cost: with h inner levels an insertion reads 5 lines a level and 3 of the leaf and writes 3 of
 * the leaf (version and order; start; slot) and the entry. A removal reads the entry, writes 1 line
 * of the leaf and reads 1, without a search; one in ten, where the leaf's maximum goes, searches
 * to lower what is above, and one in ten joins its leaf to another. Other CPUs' lines are met
 * where a subset's CPUs meet in a leaf: with @cpu1, nowhere.
 * Memory: 512 bytes for a leaf of up to 14; one of 4 or fewer joins a neighbour that has room,
 * others stay until empty (Johnson, Shasha, "B-trees with inserts and deletes: why free-at-empty is
 * better than merge-at-half", JCSS 47, 1993): 69 to 103 bytes an interval after random updates;
 * after removals chosen for it 512 for 3. An empty subset takes 128. Each thread that inserts keeps
 * 15 KB of nodes to split with: olc_reserve.h.
 *
 * From Leis, Haubenschild, Neumann, "Optimistic lock coupling: a scalable and efficient
 * general-purpose synchronization method", IEEE Data Eng. Bull. 42(1), 2019, and Leis, Scheibner,
 * Kemper, Neumann, "The ART of practical synchronization", DaMoN 2016. Where we differ: full inner
 * nodes are split there on the way down, needed or not, and a reserve is soon used up if others
 * fill them again; here what a split needs is locked before it begins, so that h + 2 nodes always
 * suffice. Removals do not search; leaves are permuted, not shifted (Masstree); maxima are ours.
 * And a tree a subset: with all in one, the subset as the class, 384 simulated CPUs did a third as
 * much in `exec`, as files of a few intervals are one leaf however its keys are chosen.
 */
#include "olc_walk.h"

#include <errno.h>

enum {
	SEQUENCE_BITS = 48,
};

#define SEQUENCE_MASK (((uint64_t)1 << SEQUENCE_BITS) - 1)

struct forest {
	struct store store;
	uint32_t subsets;
	struct tree tree[];
};

static struct tree *tree_of(void *self, const struct cleave_entry *entry)
{
	struct forest *forest = self;

	return &forest->tree[entry->subset];
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
	struct forest *forest = self;
	unsigned inserts = 0;

	for (unsigned i = 0; i < count; i++)
		inserts += ops[i].kind != CLEAVE_REMOVE && ops[i].kind != CLEAVE_CHANGE;
	*reserve = NULL;
	if (!inserts)
		return 0;
	*reserve = get_reserve(&forest->store, thread,
			       forest->store.node_of_subset[ops[0].entry->subset], inserts);
	return *reserve ? 0 : -ENOMEM;
}

static void settle(void *self, struct cleave_thread *thread, void *reserve)
{
	struct forest *forest = self;

	if (reserve)
		leave_reserve(&forest->store, thread, reserve);
}

/* ---- updates ---- */

/*
 * Behind all of the same start and class that are there: one more than the last of these has. It is
 * in this leaf, or in one before it; then the fence is of the same start and class, and greater.
 */
static uint64_t next_tie(const struct leaf *leaf, unsigned rank, struct key upper, struct key fence)
{
	uint64_t class = upper.tie & ~SEQUENCE_MASK;

	if (rank) {
		struct key before = leaf_key(leaf, order_slot(leaf->order, rank - 1));

		if (before.start == upper.start && (before.tie & ~SEQUENCE_MASK) == class)
			return before.tie + 1;
	}
	if (fence.start == upper.start && (fence.tie & ~SEQUENCE_MASK) == class)
		return fence.tie;
	return class;
}

/*
 * The first of a tree: in a leaf that becomes the root, unless another is faster.
 * Returns: false if so; then the leaf is back in the reserve.
 */
static bool plant(struct tree *tree, const struct arrival *arrival, struct reserve *reserve)
{
	struct node *node = take_leaf(reserve), *none = NULL;
	struct leaf *leaf = leaf_of(node);

	leaf_put(leaf, 0, arrival->key, arrival->last, arrival->entry);
	/* Release, acquire: partner is get_root. */
	if (__atomic_compare_exchange_n(&tree->root, &none, node, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE)) {
		set_inhabited(tree, leaf);
		unlock(node);
		return true;
	}
	put_back_leaf(reserve, leaf);
	return false;
}

/*
 * The place asked for: behind all of the same start and class. A plain insertion is of its thread's
 * class; a child or copy of its source's, and, since a source may have come to start before its
 * key, not before that (C1, C2).
 */
static struct key upper_key(const struct cleave_thread *thread, const struct cleave_entry *source,
			    uint64_t start)
{
	struct key key = { start, (uintptr_t)thread / 64 << SEQUENCE_BITS | SEQUENCE_MASK };

	if (source && interval_of(source)->start <= start) {
		struct key before = key_of(interval_of(source));

		key.tie = before.tie | SEQUENCE_MASK;
		if (before.start > start)
			key.start = before.start;
	}
	return key;
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct tree *tree = tree_of(self, entry);
	struct cleave_interval *interval = interval_of(entry);
	struct reserve *reserve = update->reserve;
	const struct key upper = upper_key(update->thread, source, start);
	bool is_stray = start < upper.start;
	struct arrival arrival = { { upper.start, upper.tie & ~SEQUENCE_MASK },
				   last,
				   (uintptr_t)interval | (is_stray ? ADRIFT : 0) };

	reserve->applied = true;
	set_bounds(interval, start, last);
	if (is_stray)
		__atomic_add_fetch(&tree->strays, 1, __ATOMIC_SEQ_CST);
	set_key(interval, arrival.key);
	if (!get_root(tree) && plant(tree, &arrival, reserve))
		return;
	for (;;) {
		struct path path;
		struct leaf *leaf = lock_leaf(tree, upper, last, is_stray ? start : NOWHERE, &path);
		unsigned rank = leaf_rank(leaf, upper), count = order_count(leaf->order);

		arrival.key.tie = next_tie(leaf, rank, upper, path.fence);
		set_key(interval, arrival.key);
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
	struct tree *tree = tree_of(self, entry);
	struct cleave_interval *interval = interval_of(entry);
	struct key key = key_of(interval);
	bool was_stray = interval->start < key.start;
	unsigned slot;
	struct leaf *leaf = lock_home(interval, &slot);
	uint64_t last = leaf->last;

	put(&leaf->order, order_remove(leaf->order, order_find(leaf->order, slot)));
	leaf_lose(leaf, leaf->slot[slot].last);

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
	/* An empty leaf has to go, see I4; others may stay if they are in demand. */
	if (count <= THIN) {
		while (!try_thin(tree, update->thread, key) && !count)
			;
	}
}

/* In its place, whatever the bounds: see the head comment. */
static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	struct tree *tree = tree_of(self, entry);
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
	else
		leaf_lose(leaf, was_last);

	bool falls = leaf->last < before;

	unlock(&leaf->node);
	if (was_stray && !is_stray)
		__atomic_sub_fetch(&tree->strays, 1, __ATOMIC_SEQ_CST);
	if (falls)
		lower(tree, key);
}

/* ---- the whole object ---- */

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	const struct forest *forest = self;
	bool all = subset == CLEAVE_ALL_SUBSETS;
	int stop = 0;

	(void)thread;
	for (unsigned i = all ? 0 : subset; i < (all ? forest->subsets : subset + 1) && !stop; i++)
		stop = walk_tree(&forest->tree[i], start, last, visit, arg);
	return stop;
}

/* Pairs with set_inhabited. */
static bool empty(const void *self)
{
	const struct forest *forest = self;

	for (unsigned i = 0; i < forest->subsets; i++) {
		if (__atomic_load_n(&forest->tree[i].inhabited, __ATOMIC_RELAXED))
			return false;
	}
	return true;
}

static size_t forest_bytes(unsigned subsets)
{
	return sizeof(struct forest) + subsets * sizeof(struct tree);
}

static int create(void **self, const struct cleave_structure_config *config)
{
	size_t bytes = forest_bytes(config->subsets);
	struct forest *forest = cleave_alloc(bytes, _Alignof(struct forest), config->node);

	if (!forest)
		return -ENOMEM;
	forest->subsets = config->subsets;
	forest->store.node_of_subset = config->node_of_subset;
	*self = forest;
	return 0;
}

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
	struct forest *forest = self;

	for (unsigned i = 0; i < forest->subsets; i++) {
		if (forest->tree[i].root)
			free_below(forest->tree[i].root);
	}
	close_store(&forest->store);
	cleave_free(forest, forest_bytes(forest->subsets));
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
	const struct forest *forest = self;
	size_t bytes = forest_bytes(forest->subsets) + store_memory(&forest->store);

	for (unsigned i = 0; i < forest->subsets; i++) {
		if (forest->tree[i].root)
			bytes += memory_below(forest->tree[i].root);
	}
	return bytes;
}

/* Where `validate` is: keys come in order, so that the last one met bounds the next. */
struct inspection {
	struct tree *tree;
	unsigned subset;
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
	if (interval->entry.subset != inspection->subset)
		return "btree_olc: an entry is in another subset's tree";
	if (interval->start > interval->last || interval->last != leaf->slot[slot].last)
		return "btree_olc: an entry has another end than its slot, or ends before it "
		       "starts";
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

static const char *check_tree(struct tree *tree, unsigned subset)
{
	struct inspection inspection = { .tree = tree, .subset = subset };
	const char *reason = tree->root ? check_below(&inspection, tree->root) : NULL;

	if (reason)
		return reason;
	if (inspection.strays != tree->strays)
		return "btree_olc: strays are miscounted";
	if (tree->root && tree->root->level && tree->root->count < 2)
		return "btree_olc: the root has one child";
	return inspection.any == tree->inhabited
		       ? NULL
		       : "btree_olc: what says whether a tree is empty is wrong";
}

static const char *validate(void *self)
{
	struct forest *forest = self;
	const char *reason = NULL;

	for (unsigned i = 0; i < forest->subsets && !reason; i++)
		reason = check_tree(&forest->tree[i], i);
	return reason;
}

static const struct cleave_field entry_fields[] = {
	{ offsetof(struct cleave_interval, entry.subset), "subset" },
	{ offsetof(struct cleave_interval, entry.map_id), "map id" },
	{ offsetof(struct cleave_interval, start), "start" },
	{ offsetof(struct cleave_interval, last), "last" },
	{ offsetof(struct cleave_interval, word[0]), "leaf, slot" },
	{ offsetof(struct cleave_interval, word[1]), "key" },
	{ offsetof(struct cleave_interval, word[3]), "version of the bounds" },
	{ 0, NULL },
};

const struct cleave_structure cleave_btree_olc = {
	.name = "btree_olc",
	.summary = "B-tree with optimistic lock coupling, walks without locks",
	.source = "Leis, Haubenschild, Neumann, IEEE Data Engineering Bulletin 42(1), 2019",
	.kind = CLEAVE_CONCURRENT,
	.flags = CLEAVE_WALKS_UNLOCKED | CLEAVE_DEFERS | CLEAVE_SPINS,
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
