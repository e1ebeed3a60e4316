// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * maple_range's tree for walks without a lock: nodes are replaced, not changed, but for single words.
 *
 *    in place, one store:                      replaced, with one store above:
 *
 *      [3 9 9 . .]   + 5: a fresh slot            [0    40   ]          [0    40   ]
 *       1 2 3          is filled, then              |    |       ->       |    |
 *      [3 9 9 5 .]     the order says so            A    B              A'  \  B
 *       1 3 4 2                                                          split: A' and A'', and so
 *      [3 . 9 5 .]   - 9: the order says so                              the parent is replaced too
 *       1   3 2        the slot is not fresh
 *
 * What a walk can see change in a node that it has reached, each a single atomic store:
 *  (a) the order word of a leaf: an entry comes, whose slot was filled before and had never been
 *      taken in this node, or one goes;
 *  (b) the start of a slot that went, to UINT64_MAX;
 *  (c) `last` in an inner node: raised before an entry is put in, lowered after one was taken out;
 *  (d) `last` in a leaf, of an entry that is changed and starts where it did;
 *  (e) an item of an inner node, and the root: replaced by a new node for the same part of the order.
 * Which children an inner node has, in which order and from which bound on, never changes; nor does
 * what a taken slot of a leaf holds, but (d). A leaf without a fresh slot where one is wanted, and
 * all that splits and joins make other, is copied; the old nodes are as they were when they were replaced
 * until no walk can be in them.
 *
 * Why a walk visits what is there throughout, once (C5). The slots of an inner node part the order
 * of all entries at fixed places, since (e) keeps them; no entry passes such a place in a node that
 * is in the tree. So of each node that the walk enters, just one slot is responsible for entry E,
 * and the walk enters each once: E is visited at most once. It is not missed, since each node that the
 * walk enters was part of the tree at some time since the walk began. That is so for the root. If it is so
 * for a node and it is still in the tree when the walk reads an item, that child is in the tree then;
 * if the node was replaced in between, the item is what it was at that moment. So the leaf which is
 * responsible for E was in the tree at such a time, and held E: a leaf is emptied of nothing that is
 * still in the map, and one that was replaced is not emptied at all. And no part with E is left out
 * because of (c): E was counted when the node was replaced, if it was.
 * Child and parent, copy and source (C1, C2): the second comes after the first in the order, and is
 * put in later, so that who sees it in a leaf sees an order word with the first in front of it, or has passed it.
 *
 * What is not kept: C3, as a walk may come between two updates; C6, as walks go on beside an
 * exclusive hold. C4 is deferred. An entry that is changed during a walk may be visited with either
 * bounds, twice or not at all.
 *
 * Readers: walks, inside an epoch; `bounds` of an entry by its version, which is odd while it
 * changes. Writers: one, under the object's lock; `up`, `top` and an entry's word[0] are its own.
 * Progress: walks are wait-free, but for `bounds`, which waits for three stores.
 *
 * Memory for updates (maple_tree.h), all of it from prepare, as nothing that is replaced can be
 * used again soon:
 *  - Insert, five nodes: a split makes two leaves, two nodes for each inner one that is full, and one that
 *    takes the place of the first that is not, or a new root. Each slot above the seventh owes a whole node,
 *    so that an inner split has three: two for itself and one for its parent's new slot. That makes
 *    2 + 1 + 1, and one to put what was replaced on the list of those who wait for the walks.
 *  - Remove, six: a joined leaf; for each parent left with three, a node that is joined of it and another of
 *    four, which is paid by the half that each with four owes; at the end a balance of two and
 *    their parent, and two halves for new nodes of four. 1 + 3 + 1, and one for the list.
 *
 * Cost: in place an insert writes four lines of the leaf and remove one, and each the entry's. A leaf is copied
 * on about every third insert, with the lines of its entries, since they know their leaf.
 * Memory: 256 bytes for 4 to 10 entries, and what waits for walks to end.
 *
 * After: McKenney, Slingwine: Read-copy update, PDCS 1998; Kung, Lehman: Concurrent manipulation of
 * binary search trees, TODS 5, 1980; the order word as what is published, Masstree (maple_node.h).
 * Where it differs: Linux's maple tree keeps dead nodes recognisable and lets a walk start again
 * from the root; here a walk goes on in what was replaced. Masstree moves entries between nodes
 * that are in use, and has versions to notice.
 */
#include "maple_tree.h"

enum {
	NODES_PER_INSERT = 5,
	NODES_PER_REMOVE = 6,
	NODES_KEPT = 128, /* in a reserve */
	SPARES_MAX = 8, /* nodes kept beyond what is owed */
	COPY_MAX = 8,	/* entries of a leaf that is copied rather than split */
	LEAF_LOW = 3,	/* with so few it looks for another */
	LEAF_JOIN = 7,	/* with which it comes to no more than this, so that fresh slots are left */
	LIST_MAX = 2 * CLV_MAPLE_SLOTS + 2,
	TURN_FIRST = 1, /* of an entry behind no equal */
};

/* In the order word of a node that was replaced. */
#define DEAD (1ull << 52)

/* Lies over a node that was never in the tree: a list of such as were. */
struct retired {
	struct cleave_deferred deferred;
	struct clv_maple_node *first;
	struct clv_maple_depot *depot;
} __attribute__((may_alias));

_Static_assert(sizeof(struct retired) <= sizeof(struct clv_maple_node), "one fits over a node");

/* Items in order: what a new node, or two, will hold. */
struct list {
	unsigned level;
	unsigned count;
	struct {
		uint64_t start, last;
		void *item;
	} at[LIST_MAX];
};

/* ---- what walks read while it is written ---- */

static unsigned count_of(const struct clv_maple_node *node)
{
	return clv_maple_count(node->order);
}

static struct clv_maple_node *parent_of(const struct clv_maple_node *node)
{
	return clv_maple_link_node(node->up);
}

static unsigned fresh_of(uint64_t order)
{
	return (unsigned)(order >> 48) & 15;
}

/* Of entries that start alike: which was put in first. */
static uintptr_t *turn_of(struct cleave_interval *interval)
{
	return &interval->word[2];
}

/* Release: partner is the acquire in walk, so that what was filled before is seen by who sees this. */
static void publish_order(struct clv_maple_node *node, uint64_t order)
{
	__atomic_store_n(&node->order, order, __ATOMIC_RELEASE);
}

/* Relaxed: a walk reads either, and is right with either (c). */
static void set_last(struct clv_maple_node *node, unsigned slot, uint64_t last)
{
	__atomic_store_n(&node->last[slot], last, __ATOMIC_RELAXED);
}

static void set_top(struct clv_maple_node *node, unsigned slot)
{
	publish_order(node, clv_maple_with_top(node->order, slot));
}

/* The slot at `place` becomes the last of the free ones: none that is fresh. */
static uint64_t order_take_last(uint64_t order, unsigned place)
{
	uint64_t below = (1ull << (4 * place)) - 1;
	uint64_t behind = CLV_MAPLE_PLACES & ~below & ~(15ull << (4 * place));

	return ((order & ~CLV_MAPLE_PLACES) | (order & below) | (order & behind) >> 4 |
		(uint64_t)clv_maple_at(order, place) << (4 * (CLV_MAPLE_SLOTS - 1))) -
	       (1ull << 40);
}

/* An entry's version, word[1], is odd meanwhile. Each store stays in order: partner is bounds. */
static void set_bounds(struct cleave_interval *interval, uint64_t start, uint64_t last)
{
	__atomic_add_fetch(&interval->word[1], 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&interval->start, start, __ATOMIC_SEQ_CST);
	__atomic_store_n(&interval->last, last, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&interval->word[1], 1, __ATOMIC_SEQ_CST);
}

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	const struct cleave_interval *interval = clv_maple_interval(entry);

	/* Partner is set_bounds, which writes a few words under a lock: this ends. */
	for (;;) {
		uintptr_t before = __atomic_load_n(&interval->word[1], __ATOMIC_SEQ_CST);

		*start = __atomic_load_n(&interval->start, __ATOMIC_SEQ_CST);
		*last = __atomic_load_n(&interval->last, __ATOMIC_SEQ_CST);
		if (before % 2 == 0 &&
		    __atomic_load_n(&interval->word[1], __ATOMIC_SEQ_CST) == before)
			return;
		cleave_pause();
	}
}

/* ---- greatest lasts, upwards ---- */

/* An entry that reaches to `last` is about to come into `node`: before anyone can see it. */
static void raise_above(struct clv_maple_node *node, uint64_t last)
{
	/* Holds: all is right but `last` of the node in its parent, and what depends on that. */
	for (; node->up; node = parent_of(node)) {
		struct clv_maple_node *parent = parent_of(node);
		unsigned slot = clv_maple_link_slot(node->up);

		if (parent->last[slot] >= last)
			return;
		if (parent->last[clv_maple_top(parent->order)] < last)
			set_top(parent, slot);
		set_last(parent, slot, last);
	}
}

/* The node's may have fallen, and nobody can come to what was removed through it any more. */
static void lower_above(struct clv_maple_node *node)
{
	/* Holds: as in raise_above. */
	for (; node->up; node = parent_of(node)) {
		struct clv_maple_node *parent = parent_of(node);
		unsigned slot = clv_maple_link_slot(node->up);
		uint64_t max = clv_maple_max(node);

		if (parent->last[slot] == max)
			return;
		set_last(parent, slot, max);
		if (slot != clv_maple_top(parent->order))
			return;
		set_top(parent, clv_maple_find_top(parent, parent->order));
	}
}

/* ---- replacing ---- */

/* In half nodes: see the head. The root may have few. */
static unsigned owes(unsigned count, bool is_root)
{
	if (count > CLV_MAPLE_INNER_JOIN)
		return 2 * (count - CLV_MAPLE_INNER_JOIN);
	return count == CLV_MAPLE_INNER_MIN && !is_root;
}

static unsigned node_owes(const struct clv_maple_node *node)
{
	return clv_maple_level(node->order) ? owes(count_of(node), !node->up) : 0;
}

/* Its items are not written: a list lives on a stack, and is mostly short. */
static void start_list(struct list *list, unsigned level)
{
	list->level = level;
	list->count = 0;
}

static void add(struct list *list, void *item, uint64_t start, uint64_t last)
{
	list->at[list->count].item = item;
	list->at[list->count].start = start;
	list->at[list->count].last = last;
	list->count++;
}

static void add_node(struct list *list, struct clv_maple_node *node, uint64_t bound)
{
	add(list, node, bound, clv_maple_max(node));
}

/* Items of `node` from place `from` to before `to`. */
static void add_items(struct list *list, const struct clv_maple_node *node, unsigned from,
		      unsigned to)
{
	for (; from < to; from++) {
		unsigned slot = clv_maple_at(node->order, from);

		add(list, node->item[slot], node->start[slot], node->last[slot]);
	}
}

/* A new node of the list's items from `from` to before `to`, which learn where they are. */
static struct clv_maple_node *build(struct clv_maple_tree *tree, struct clv_maple_reserve *reserve,
				    const struct list *list, unsigned from, unsigned to)
{
	struct clv_maple_node *node = clv_maple_make(tree, reserve, list->level);
	unsigned count = to - from;
	unsigned top = 0;

	node->up = 0;
	for (unsigned slot = 0; slot < count; slot++) {
		node->start[slot] = list->at[from + slot].start;
		node->last[slot] = list->at[from + slot].last;
		node->item[slot] = list->at[from + slot].item;
		clv_maple_adopt(node, slot);
		if (node->last[slot] > node->last[top])
			top = slot;
	}
	node->order |= (uint64_t)count << 40 | (uint64_t)top << 44;
	if (!list->level)
		node->order |= (uint64_t)(CLV_MAPLE_SLOTS - count) << 48;
	return node;
}

/* No longer part of the tree, or about to be: walks may be in it. */
static void replaced(struct clv_maple_tree *tree, struct clv_maple_node *node)
{
	tree->nodes--;
	clv_maple_push(&tree->replaced, node);
}

/* No walk can see them any more. */
static void bring(struct cleave_deferred *deferred)
{
	struct retired *retired = cleave_container_of(deferred, struct retired, deferred);
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
static void finish(struct clv_maple_tree *tree, struct cleave_update *update)
{
	struct clv_maple_reserve *reserve = update->reserve;

	if (tree->replaced) {
		struct retired *retired = (struct retired *)clv_maple_make(tree, reserve, 0);

		tree->nodes--;
		/* Only now: who finds it dead must find what came for it from the root on. */
		for (struct clv_maple_node *node = tree->replaced; node;
		     node = (struct clv_maple_node *)node->up)
			publish_order(node, node->order | DEAD);
		retired->first = tree->replaced;
		retired->depot = tree->depot;
		tree->replaced = NULL;
		tree->sent++;
		cleave_retire(update->thread, &retired->deferred, bring);
	}
	clv_maple_keep_owed(tree, reserve);
	while (2 * tree->spares > tree->owed + 2 * SPARES_MAX) {
		clv_maple_push(&reserve->first, clv_maple_pop(&tree->spare));
		reserve->count++;
		tree->spares--;
	}
}

/* Release: partner is the acquire in walk. `empty` compares, and follows nothing. */
static void publish_root(struct clv_maple_tree *tree, struct clv_maple_node *root)
{
	if (root)
		root->up = 0;
	__atomic_store_n(&tree->root, root, __ATOMIC_RELEASE);
}

/* `node` for what was at this slot. Release: partner is the acquire in walk. */
static void publish_item(struct clv_maple_node *parent, unsigned slot, struct clv_maple_node *node)
{
	node->up = (uintptr_t)parent | slot;
	__atomic_store_n(&parent->item[slot], node, __ATOMIC_RELEASE);
}

/* Children of a node: `count` of them from `place` on become others. */
struct edit {
	unsigned place, count;
	unsigned new_count; /* 0: only of an empty leaf, so that the part goes to a neighbour */
	struct clv_maple_node *new[2];
	uint64_t bound[2]; /* [0] is the first old one's */
};

/* What the children of `node` will be. */
static void gather(struct list *list, const struct clv_maple_node *node, const struct edit *edit)
{
	unsigned first = list->count;

	add_items(list, node, 0, edit->place);
	for (unsigned k = 0; k < edit->new_count; k++)
		add_node(list, edit->new[k], edit->bound[k]);
	add_items(list, node, edit->place + edit->count, count_of(node));
	/* The first has its parent's bound, which is the old first's. */
	list->at[first].start = node->start[clv_maple_at(node->order, 0)];
}

/* The root's children become those of the list. */
static void replace_root(struct clv_maple_tree *tree, struct clv_maple_reserve *reserve, struct list *list)
{

	if (list->count == 1) {
		struct clv_maple_node *root = list->at[0].item;

		/* A root may have few, and owes nothing for that. */
		if (clv_maple_level(root->order)) {
			tree->owed -= owes(count_of(root), false);
			tree->owed += owes(count_of(root), true);
		}
		publish_root(tree, root);
	} else if (list->count <= CLV_MAPLE_SLOTS) {
		publish_root(tree, build(tree, reserve, list, 0, list->count));
		tree->owed += owes(list->count, true);
	} else {
		struct list top;
		unsigned half = list->count / 2;

		start_list(&top, list->level + 1);
		add_node(&top, build(tree, reserve, list, 0, half), list->at[0].start);
		add_node(&top, build(tree, reserve, list, half, list->count),
			 list->at[half].start);
		tree->owed += owes(half, false) + owes(list->count - half, false);
		publish_root(tree, build(tree, reserve, &top, 0, 2));
	}
}

/*
 * Make an edit, and those above that follow from it: a parent cannot get or lose a child in place, so
 * that it is built anew, which is an edit of its own parent; that ends where one node comes for one.
 * Nothing of it can be seen before the store that ends it.
 */
static void replace(struct clv_maple_tree *tree, struct clv_maple_reserve *reserve,
		    struct clv_maple_node *parent, struct edit edit)
{

	/* Holds: the new nodes are built, the old ones on the list of those replaced. */
	while (edit.count != 1 || edit.new_count != 1) {
		struct list list;

		start_list(&list, clv_maple_level(parent->order));
		tree->owed -= node_owes(parent);
		if (!parent->up) {
			gather(&list, parent, &edit);
			replaced(tree, parent);
			replace_root(tree, reserve, &list);
			return;
		}

		struct clv_maple_node *above = parent_of(parent);
		unsigned slot = clv_maple_link_slot(parent->up);
		unsigned place = clv_maple_place_of(above->order, slot);
		unsigned first = place;
		struct clv_maple_node *partner = NULL;
		unsigned count = count_of(parent) - edit.count + edit.new_count;

		if (count < CLV_MAPLE_INNER_MIN) {
			/* It has too few: so its neighbour's come to the list. */
			first = place ? place - 1 : 0;
			partner = above->item[clv_maple_at(above->order, place ? first : 1)];
			tree->owed -= node_owes(partner);
		}
		if (partner && place)
			add_items(&list, partner, 0, count_of(partner));
		gather(&list, parent, &edit);
		if (partner && !place)
			add_items(&list, partner, 0, count_of(partner));
		if (partner)
			replaced(tree, partner);
		replaced(tree, parent);

		unsigned most = partner ? CLV_MAPLE_INNER_JOIN : CLV_MAPLE_SLOTS;
		unsigned half = list.count > most ? list.count / 2 : list.count;

		edit = (struct edit) {
			.place = first,
			.count = partner ? 2 : 1,
			.new_count = 1,
			.new[0] = build(tree, reserve, &list, 0, half),
			.bound[0] = list.at[0].start,
		};
		tree->owed += owes(half, false);
		if (half < list.count) {
			edit.new_count = 2;
			edit.new[1] = build(tree, reserve, &list, half, list.count);
			edit.bound[1] = list.at[half].start;
			tree->owed += owes(list.count - half, false);
		}
		parent = above;
	}
	publish_item(parent, clv_maple_at(parent->order, edit.place), edit.new[0]);
}

/* As replace, of a leaf, which may be the root. */
static void replace_leaf(struct clv_maple_tree *tree, struct clv_maple_reserve *reserve,
			 struct clv_maple_node *leaf, struct clv_maple_node *new[2], uint64_t bound)
{
	struct clv_maple_node *parent = parent_of(leaf);

	if (parent) {
		unsigned slot = clv_maple_link_slot(leaf->up);

		replace(tree, reserve, parent,
			(struct edit) {
				.place = clv_maple_place_of(parent->order, slot),
				.count = 1,
				.new_count = new[1] ? 2 : 1,
				.new = { new[0], new[1] },
				.bound = { parent->start[slot], bound },
			});
	} else if (new[1]) {
		struct list list;

		start_list(&list, 1);
		add_node(&list, new[0], 0);
		add_node(&list, new[1], bound);
		publish_root(tree, build(tree, reserve, &list, 0, 2));
	} else {
		publish_root(tree, new[0]);
	}
}

/* ---- updates ---- */

static inline struct clv_maple_node *find_leaf(struct clv_maple_node *node, uint64_t start)
{
	while (clv_maple_level(node->order)) {
		/* The first lower bound is no higher, so that one at least is passed. */
		unsigned place = clv_maple_not_behind(node, start) - 1;

		node = node->item[clv_maple_at(node->order, place)];
	}
	return node;
}

/* The leaf has no fresh slot: copy or split it, with the new entry at `place`. */
static __attribute__((noinline)) void put_anew(struct clv_maple_tree *tree, struct clv_maple_reserve *reserve,
					       struct clv_maple_node *leaf, unsigned place,
					       bool behind_equal, struct cleave_interval *interval)
{
	unsigned count = count_of(leaf);
	struct clv_maple_node *new[2] = { NULL, NULL };
	struct list list;

	start_list(&list, 0);
	if (behind_equal && place == count && count > COPY_MAX) {
		/* None moves: the leaf stays. Its new neighbour is for more of its kind. */
		add(&list, interval, interval->start, interval->last);
		new[0] = leaf;
		new[1] = build(tree, reserve, &list, 0, 1);
		replace_leaf(tree, reserve, leaf, new, interval->start);
		return;
	}
	add_items(&list, leaf, 0, place);
	add(&list, interval, interval->start, interval->last);
	add_items(&list, leaf, place, count);

	unsigned left = list.count;

	if (count > COPY_MAX)
		left = behind_equal ? place + 1 : list.count / 2;
	new[0] = build(tree, reserve, &list, 0, left);
	if (left < list.count)
		new[1] = build(tree, reserve, &list, left, list.count);
	replace_leaf(tree, reserve, leaf, new, left < list.count ? list.at[left].start : 0);
	replaced(tree, leaf);
}

/* The entry, whose bounds are set, into a leaf at a place. */
static void put(struct clv_maple_tree *tree, struct cleave_update *update, struct clv_maple_node *leaf,
		unsigned place, bool behind_equal, struct cleave_interval *interval)
{
	struct clv_maple_reserve *reserve = update->reserve;
	uint64_t order = leaf->order;
	unsigned count = clv_maple_count(order);
	uint64_t last = interval->last;
	bool grows = !count || last > leaf->last[clv_maple_top(order)];

	if (grows)
		raise_above(leaf, last);
	if (!fresh_of(order)) {
		put_anew(tree, reserve, leaf, place, behind_equal, interval);
		finish(tree, update);
		return;
	}

	unsigned slot = clv_maple_at(order, count);

	/* Relaxed: no walk looks at them before it sees the order that follows. */
	__atomic_store_n(&leaf->start[slot], interval->start, __ATOMIC_RELAXED);
	__atomic_store_n(&leaf->last[slot], last, __ATOMIC_RELAXED);
	__atomic_store_n(&leaf->item[slot], interval, __ATOMIC_RELAXED);
	clv_maple_adopt(leaf, slot);
	order = clv_maple_order_put(order, place) - (1ull << 48);
	publish_order(leaf, grows ? clv_maple_with_top(order, slot) : order);
}

static void apply(struct cleave_update *update)
{
	((struct clv_maple_reserve *)update->reserve)->applied = true;
}

/*
 * Release: partner is the acquire in visit_leaf. An entry that is moved has left its leaf before, so
 * that who reads this finds it gone there.
 */
static void set_turn(struct cleave_interval *interval, uint64_t turn)
{
	__atomic_store_n(turn_of(interval), turn, __ATOMIC_RELEASE);
}

/* The entry, whose bounds are set, where it belongs. */
static void put_in_order(struct clv_maple_tree *tree, struct cleave_update *update,
			 struct cleave_interval *interval)
{
	struct clv_maple_node *leaf = tree->root;
	uint64_t start = interval->start;

	if (!leaf) {
		struct list list;

		start_list(&list, 0);
		set_turn(interval, TURN_FIRST);
		add(&list, interval, start, interval->last);
		publish_root(tree, build(tree, update->reserve, &list, 0, 1));
		return;
	}
	leaf = find_leaf(leaf, start);

	unsigned place = clv_maple_not_behind(leaf, start);
	bool behind_other = place && leaf->start[clv_maple_at(leaf->order, place - 1)] != start;

	/*
	 * The first of its equals needs no turn above those that have gone: a walk that visited one
	 * of these owes it nothing, as it comes later. So most need no turn, and the line of `turns`
	 * is not written. In front of a leaf's first there may be an equal in another.
	 */
	set_turn(interval, behind_other ? TURN_FIRST : ++tree->turns);
	put(tree, update, leaf, place, place && !behind_other, interval);
}

/* An entry that no walk can see yet. */
static void begin(struct cleave_update *update, struct cleave_interval *interval, uint64_t start,
		  uint64_t last)
{
	apply(update);
	interval->start = start;
	interval->last = last;
	interval->word[1] = 0;
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	/* It is in the tree already, and so in front if it does not start later (C2). */
	(void)source;
	begin(update, clv_maple_interval(entry), start, last);
	put_in_order(self, update, clv_maple_interval(entry));
}

/* A leaf with few entries is joined with one beside it that has room, or goes if it has none. */
static void join_thin(struct clv_maple_tree *tree, struct cleave_update *update, struct clv_maple_node *leaf)
{
	struct clv_maple_node *parent = parent_of(leaf);
	struct clv_maple_reserve *reserve = update->reserve;
	unsigned count = count_of(leaf);

	if (!parent) {
		if (count)
			return;
		publish_root(tree, NULL);
		replaced(tree, leaf);
		finish(tree, update);
		return;
	}

	unsigned place = clv_maple_place_of(parent->order, clv_maple_link_slot(leaf->up));
	struct edit edit = { .place = place, .count = 1, .new_count = 0 };

	if (count) {
		unsigned first = place ? place - 1 : 0;
		struct clv_maple_node *left = parent->item[clv_maple_at(parent->order, first)];
		struct clv_maple_node *right = parent->item[clv_maple_at(parent->order, first + 1)];
		struct list list;

		if (count_of(left) + count_of(right) > LEAF_JOIN)
			return;
		start_list(&list, 0);
		add_items(&list, left, 0, count_of(left));
		add_items(&list, right, 0, count_of(right));
		edit = (struct edit) {
			.place = first,
			.count = 2,
			.new_count = 1,
			.new[0] = build(tree, reserve, &list, 0, list.count),
			.bound[0] = parent->start[clv_maple_at(parent->order, first)],
		};
		replaced(tree, left == leaf ? right : left);
	}
	replaced(tree, leaf);
	replace(tree, reserve, parent, edit);
	finish(tree, update);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	uintptr_t link = clv_maple_interval(entry)->word[0];
	struct clv_maple_node *leaf = clv_maple_link_node(link);
	unsigned slot = clv_maple_link_slot(link);
	uint64_t order = leaf->order;
	unsigned place = clv_maple_place_of(order, slot);
	bool was_top = slot == clv_maple_top(order);

	apply(update);
	order = order_take_last(order, place);
	if (was_top && clv_maple_count(order))
		order = clv_maple_with_top(order, clv_maple_find_top(leaf, order));
	publish_order(leaf, order);
	/* For the search of an insert. Release: partner is the acquire in visit_leaf (b). */
	__atomic_store_n(&leaf->start[slot], UINT64_MAX, __ATOMIC_RELEASE);
	if (was_top)
		lower_above(leaf);
	if (clv_maple_count(order) <= LEAF_LOW)
		join_thin(self, update, leaf);
}

/*
 * In place if `start` stays. If the entry is the only one, a new leaf takes the place of its own, since
 * the tree would be seen without any while it is out, by those who ask unlocked (C8).
 */
static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	struct clv_maple_tree *tree = self;
	struct cleave_interval *interval = clv_maple_interval(entry);
	struct clv_maple_node *leaf = clv_maple_link_node(interval->word[0]);
	unsigned slot = clv_maple_link_slot(interval->word[0]);

	apply(update);
	if (start == interval->start) {
		uint64_t before = clv_maple_max(leaf);

		if (last > before)
			raise_above(leaf, last);
		set_bounds(interval, start, last);
		set_last(leaf, slot, last);
		set_top(leaf, clv_maple_find_top(leaf, leaf->order));
		if (clv_maple_max(leaf) < before)
			lower_above(leaf);
	} else if (!leaf->up && count_of(leaf) == 1) {
		struct list list;

		start_list(&list, 0);
		add(&list, interval, start, last);
		set_bounds(interval, start, last);
		publish_root(tree, build(tree, update->reserve, &list, 0, 1));
		replaced(tree, leaf);
		finish(tree, update);
	} else {
		remove_entry(self, update, entry);
		set_bounds(interval, start, last);
		put_in_order(self, update, interval);
	}
}

/* ---- walks ---- */

struct walk {
	uint64_t start, last;
	cleave_visit_fn *visit;
	void *arg;

	/* The last one visited: the walk goes on behind it. At first, in front of all. */
	uint64_t after_start, after_turn;
};

/* What is returned for a node that was replaced. */
enum { AGAIN = -1 };

static bool is_behind(const struct walk *walk, uint64_t start, uint64_t turn)
{
	return start > walk->after_start || (start == walk->after_start && turn > walk->after_turn);
}

/*
 * An entry is visited only if the leaf was in the tree, with it inside, after its turn was read: so the
 * turn is the one with which it is there. At the end the order is looked at again, as behind the
 * one visited last others may have come before that visit.
 */
static int visit_leaf(struct walk *walk, const struct clv_maple_node *leaf)
{
	/* Acquire, here and below: partner is the release in publish_order. */
	uint64_t seen, order = __atomic_load_n(&leaf->order, __ATOMIC_ACQUIRE);
	unsigned passed = 0; /* slots, one bit each */

	/* Each turn starts with an order that differs from the last one's. */
	do {
		unsigned place = 0, count = clv_maple_count(order);

		seen = order;
		if (seen & DEAD)
			return AGAIN;
		/* Slots are used once: those passed are in front of where the walk is. */
		for (unsigned k = 0; passed && k < count; k++) {
			if (passed >> clv_maple_at(seen, k) & 1)
				place = k + 1;
		}
		for (; place < count; place++) {
			unsigned slot = clv_maple_at(seen, place);
			/* Acquire: partner is the release in remove_entry. */
			uint64_t start = __atomic_load_n(&leaf->start[slot], __ATOMIC_ACQUIRE);

			/* Relaxed: before or after a change (d). */
			if ((start > walk->last) |
			    (__atomic_load_n(&leaf->last[slot], __ATOMIC_RELAXED) < walk->start)) {
				passed |= 1u << slot;
				continue;
			}

			struct cleave_interval *interval = leaf->item[slot];
			/* Acquire: partner is the release in set_turn. */
			uint64_t turn = __atomic_load_n(turn_of(interval), __ATOMIC_ACQUIRE);

			order = __atomic_load_n(&leaf->order, __ATOMIC_ACQUIRE);
			if (order != seen)
				break;
			passed |= 1u << slot;
			if (!is_behind(walk, start, turn))
				continue;
			walk->after_start = start;
			walk->after_turn = turn;

			int stop = walk->visit(&interval->entry, walk->arg);

			if (stop)
				return stop;
		}
		order = __atomic_load_n(&leaf->order, __ATOMIC_ACQUIRE);
	} while (order != seen);
	return 0;
}

/* Of a walk: an inner node, and the first child that is still to come. */
struct step {
	const struct clv_maple_node *node;
	unsigned next;
};

/* Into a node. All in front of the last child that begins before the last one visited was visited. */
static inline struct step step_into(const struct walk *walk, const struct clv_maple_node *node)
{
	struct step step = { .node = node, .next = 0 };

	/* Starts do not change, and free ones are above all. */
	for (unsigned i = 1; i < CLV_MAPLE_SLOTS && node->start[i] < walk->after_start; i++)
		step.next = i;
	return step;
}

/*
 * The next child that meets the range. Returns: 0 and the child, or NULL if there is none; AGAIN if
 * the node was replaced before. If that happens behind the look at it, what is read is as it was
 * at that moment, and so later than all visits so far.
 */
static inline __attribute__((always_inline)) int
step_on(const struct walk *walk, struct step *step, const struct clv_maple_node **child)
{
	const struct clv_maple_node *node = step->node;
	/* Acquire: partner is the release in publish_order. */
	uint64_t order = __atomic_load_n(&node->order, __ATOMIC_ACQUIRE);
	unsigned slots = 0;

	if (order & DEAD)
		return AGAIN;
	/* Relaxed: (c). Which slots are taken does not change, and they are in order. */
#pragma GCC unroll 10
	for (unsigned i = 0; i < CLV_MAPLE_SLOTS; i++)
		slots |= (unsigned)((node->start[i] <= walk->last) &
				    (__atomic_load_n(&node->last[i], __ATOMIC_RELAXED) >=
				     walk->start))
			 << i;
	slots &= ((1u << clv_maple_count(order)) - 1) & ~0u << step->next;
	*child = NULL;
	if (slots) {
		unsigned slot = (unsigned)__builtin_ctz(slots);

		step->next = slot + 1;
		/* Acquire: partner is the release in publish_item. */
		*child = __atomic_load_n(&node->item[slot], __ATOMIC_ACQUIRE);
	}
	return 0;
}

/* From the root to the end, or AGAIN. */
static int walk_behind(struct walk *walk, const struct clv_maple_tree *tree)
{
	/* Acquire: partner is the release in publish_root. */
	const struct clv_maple_node *node = __atomic_load_n(&tree->root, __ATOMIC_ACQUIRE);
	struct step way[CLV_MAPLE_HEIGHT_MAX], *at = way;
	unsigned level;

	if (!node)
		return 0;
	/* The level of a node never changes. */
	level = clv_maple_level(__atomic_load_n(&node->order, __ATOMIC_RELAXED));
	if (!level)
		return visit_leaf(walk, node);
	*at = step_into(walk, node);
	/* Holds: `at` is on `level`, and what is in front of the steps of the way was visited. */
	for (;;) {
		int code = step_on(walk, at, &node);

		if (code)
			return code;
		if (!node) {
			if (at == way)
				return 0;
			at--;
			level++;
			continue;
		}
		if (level > 1) {
			*++at = step_into(walk, node);
			level--;
			continue;
		}
		code = visit_leaf(walk, node);
		if (code)
			return code;
	}
}

/* Inside an epoch, beside updates. The visitor may sleep: nodes stay until the walk has left. */
static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	struct walk walk = { .start = start, .last = last, .visit = visit, .arg = arg };
	int code;

	(void)thread;
	(void)subset;
	/* Again only if an update replaced a node that the walk was in. */
	do {
		code = walk_behind(&walk, self);
	} while (code == AGAIN);
	return code;
}

/* ---- memory ---- */

static void settle(void *self, struct cleave_thread *thread, void *reserve)
{
	(void)self;
	(void)thread;
	clv_maple_settle(reserve, NODES_KEPT);
}

static int prepare(void *self, struct cleave_thread *thread, const struct cleave_op *ops,
		   unsigned count, void **reserve)
{
	struct clv_maple_tree *tree = self;
	unsigned nodes = 0;

	for (unsigned i = 0; i < count; i++) {
		if (ops[i].kind == CLEAVE_CHANGE)
			nodes += NODES_PER_REMOVE;
		nodes += ops[i].kind == CLEAVE_REMOVE ? NODES_PER_REMOVE : NODES_PER_INSERT;
	}
	*reserve = clv_maple_prepare(tree, thread, nodes);
	return *reserve ? 0 : -ENOMEM;
}

static int create(void **self, const struct cleave_structure_config *config)
{
	struct clv_maple_depot *depot =
		cleave_alloc(sizeof(*depot), _Alignof(struct clv_maple_depot), config->node);

	if (!depot)
		return -ENOMEM;
	if (clv_maple_create(self, config)) {
		cleave_free(depot, sizeof(*depot));
		return -ENOMEM;
	}

	struct clv_maple_tree *tree = *self;

	tree->depot = depot;
	tree->turns = TURN_FIRST;
	return 0;
}

/* Of entries that start alike, the earlier was put in first. */
static bool in_turn(const struct cleave_interval *interval, const struct cleave_interval *next)
{
	return interval->word[2] < next->word[2];
}

static const char *validate(void *self)
{
	const struct clv_maple_tree *tree = self;
	const char *reason = clv_maple_check_tree(tree, node_owes, in_turn);

	if (!reason && tree->replaced)
		reason = "maple_rcu: nodes that were replaced do not wait";
	return reason;
}

static const struct cleave_field entry_fields[] = {
	{ offsetof(struct cleave_interval, entry.subset), "subset" },
	{ offsetof(struct cleave_interval, entry.map_id), "map id" },
	{ offsetof(struct cleave_interval, start), "start" },
	{ offsetof(struct cleave_interval, last), "last" },
	{ offsetof(struct cleave_interval, word[0]), "leaf, slot" },
	{ offsetof(struct cleave_interval, word[1]), "version" },
	{ offsetof(struct cleave_interval, word[2]), "unused" },
	{ 0, NULL },
};

const struct cleave_structure cleave_maple_rcu = {
	.name = "maple_rcu",
	.summary = "maple_range's tree with nodes replaced, for walks without a lock",
	.source = "McKenney, Slingwine 1998; Kung, Lehman 1980; Mao, Kohler, Morris 2012, 4.6.2",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = CLEAVE_ORDERED | CLEAVE_WALKS_UNLOCKED | CLEAVE_DEFERS,
	.keeps = CLEAVE_KEEPS_ALL & ~(CLEAVE_C3_COVERAGE | CLEAVE_C6_LONG_HOLDS),
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = UINT64_MAX,
	.bounds = bounds,
	.create = create,
	.destroy = clv_maple_destroy,
	.prepare = prepare,
	.settle = settle,
	.insert = insert,
	.remove = remove_entry,
	.change = change,
	.walk = walk,
	.empty = clv_maple_empty,
	.validate = validate,
	.memory = clv_maple_memory,
	.entry_fields = entry_fields,
};
