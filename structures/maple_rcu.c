// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * maple_range's tree for walks without a lock: nodes are replaced, not changed, but for single
 * words.
 *
 *    in place, one store:                      anew, one store above:
 *
 *      [3 9 9 . .]   + 5: a fresh slot            [0    40   ]          [0     7    40   ]
 *       1 2 3          is filled, then              |    |       ->       |     |     |
 *      [3 9 9 5 .]     the order says so            A    B                A'    A"    B
 *       1 3 4 2
 *      [3 . 9 5 .]   - 9: the order says so       A was split: so the parent is another, too, and
 *       1   3 2        the slot is not fresh      both old ones are marked as dead
 *
 * What can change in a node that a walk is in, each by a single atomic store:
 *  (a) the order word: an entry comes to a leaf, whose slot was filled before and had never been
 *      taken in this node; one goes; or the node was replaced, and is dead from now on;
 *  (b) the start of a slot that went, to UINT64_MAX;
 *  (c) `last` in an inner node: raised before an entry is put in, lowered after one was taken out;
 *  (d) `last` in a leaf, of an entry that is changed and starts where it did;
 *  (e) an item of an inner node, and the root: another node with the same entries.
 * Which children an inner node has, in which order, and from which bounds on, never changes.
 *
 * Entries that start alike have turns, in the order in which they were put in, so that all entries
 * that are in at a time have an order by (start, turn). A walk visits in that order, and remembers
 * the last one that it visited. Where it finds a node dead it starts again from the root, behind
 * that one.
 *
 * Why that is right. Each visit is behind all before it in the order: so an entry is visited at
 * most once. And after a visit, each node is looked at again, whether it is dead, before anything
 * else is read from it. If it is not, no update that ended before the look replaced it; one that
 * does so later leaves it as it was then (clv_maple_finish marks last of all). So what is read is
 * no older than the last visit, but for an update that was under way: at each step on, the next
 * entry or child is chosen among all that are in at some time since the last visit. An entry that
 * is in throughout is among them, and no (c) hides it: it is visited (C5). So is a child or copy
 * that was put in before its parent or source was visited: it is behind it in the order and not
 * passed yet (C1, C2). Going on in a dead node would do for C5, but miss what came after its
 * parent.
 *
 * What is not kept: C3, as a walk may come between two updates; C6, as walks go on beside an
 * exclusive hold. C4 is deferred. An entry that is changed during a walk may be visited with either
 * bounds, twice or not at all; `bounds` gives both as they were at one time.
 *
 * Readers: walks, in an epoch; `bounds`, by an entry's version. Writers: one, under the object's
 * lock; `up`, `top`, the start of a free slot and word[0] of an entry are its own. Progress: a
 * walk is lock-free: it starts again only if an update replaced a node it was in.
 *
 * Memory for updates (maple_tree.h), all from prepare, as what is replaced can be used again only
 * later:
 *  - Insert, five nodes. A split makes two leaves, two for each parent that is full, and one for
 *    the first that is not, or for a new root. A slot above the seventh owes a whole node, so that
 *    a full one has three: two halves, and what its parent's new slot owes. 2 + 1 + 1, and one for
 *    the list of those that wait for walks.
 *  - Remove, six. One joined leaf; one for each parent of four that is left with three and joined
 *    with another of four, each of which owes a half; two where its neighbour has more, and their
 *    parent's. 1 + 2 + 1, 1/2 for what is left with four, and one for the list.
 *
 * Cost: in place, an insert writes three lines of a leaf and a remove one, and the entry's. A leaf
 * is copied on every third or fourth insert, and the line of each of its entries is written, since
 * they know their leaf. insert_after has to find the end of its equals. A start again passes all
 * of its equals. Memory: 256 bytes for 4 to 10 entries, and the nodes that wait for walks.
 *
 * When to choose it: where walks may not wait for updates, nor hold them up. Alone on a CPU an
 * update takes 1.25 times as long as rb_interval's, epoch included, a visit 1.1 to 1.3 times. Not
 * where C3 or long holds are needed, nor where walks are rare: maple_range updates faster.
 *
 * After: McKenney, Slingwine: Read-copy update, PDCS 1998; Kung, Lehman: Concurrent manipulation
 * of binary search trees, TODS 5, 1980; Masstree's order word (maple_node.h). Where it differs:
 * Linux's maple tree holds one entry a key, so that a walk can go on at an index; here it goes on
 * behind an entry, and equals need turns. Masstree moves entries between nodes in use, and has
 * versions to notice; here a node that is in use gains no entry but new ones.
 */
#include "maple_copy.h"

enum {
	NODES_PER_INSERT = 5,
	NODES_PER_REMOVE = 6,
	NODES_KEPT = 256, /* in a reserve: about what comes back at a time */
	LEAF_LOW = 3,	  /* with so few it looks for another */
	LEAF_JOIN = 7,	/* with which it comes to no more than this, so that fresh slots are left */
	TURN_FIRST = 1, /* of an entry behind no equal */
};

/* ---- entries ---- */

/* Of entries that start alike: which was put in first. */
static uintptr_t *turn_of(struct cleave_interval *interval)
{
	return &interval->word[2];
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

/* ---- updates ---- */

/* The entry, whose bounds are set, into a leaf at a place. */
static void put(struct clv_maple_tree *tree, struct cleave_update *update,
		struct clv_maple_node *leaf, unsigned place, bool behind_equal,
		struct cleave_interval *interval)
{
	struct clv_maple_reserve *reserve = update->reserve;
	uint64_t order = leaf->order;
	unsigned count = clv_maple_count(order);
	uint64_t last = interval->last;
	bool grows = !count || last > leaf->of[clv_maple_top(order)].last;

	if (grows)
		clv_maple_raise_above(leaf, last);
	if (!clv_maple_fresh(order)) {
		clv_maple_put_anew(tree, reserve, leaf, place, behind_equal, interval);
		clv_maple_finish(tree, update);
		return;
	}

	unsigned slot = clv_maple_at(order, count);

	/* Relaxed: no walk looks at them before it sees the order that follows. */
	__atomic_store_n(&leaf->start[slot], interval->start, __ATOMIC_RELAXED);
	__atomic_store_n(&leaf->of[slot].last, last, __ATOMIC_RELAXED);
	__atomic_store_n(&leaf->of[slot].item, interval, __ATOMIC_RELAXED);
	clv_maple_adopt(leaf, slot);
	order = clv_maple_order_put(order, place) - (1ull << 48);
	clv_maple_publish_order(leaf, grows ? clv_maple_with_top(order, slot) : order);
}

static void apply(struct cleave_update *update)
{
	((struct clv_maple_reserve *)update->reserve)->applied = true;
}

/*
 * Release: partner is the acquire in visit_leaf. An entry that is moved has left its leaf before,
 * so that who reads this finds it gone there.
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
		struct clv_maple_list list;

		clv_maple_list_start(&list, 0);
		set_turn(interval, TURN_FIRST);
		clv_maple_list_add(&list, interval, start, interval->last);
		clv_maple_publish_root(tree, clv_maple_build(tree, update->reserve, &list, 0, 1));
		return;
	}
	leaf = clv_maple_find_leaf(leaf, start);

	unsigned place = clv_maple_not_behind(leaf, start);
	bool behind_other = place && leaf->start[clv_maple_at(leaf->order, place - 1)] != start;

	/*
	 * The first of its equals needs no turn above those that have gone: a walk that visited one
	 * of these owes it nothing, as it comes later. So most need no turn, and the line of
	 * `turns` is not written. In front of a leaf's first there may be an equal in another.
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
static void join_thin(struct clv_maple_tree *tree, struct cleave_update *update,
		      struct clv_maple_node *leaf)
{
	struct clv_maple_node *parent = clv_maple_parent(leaf);
	struct clv_maple_reserve *reserve = update->reserve;
	unsigned count = clv_maple_count_of(leaf);

	if (!parent) {
		if (count)
			return;
		clv_maple_publish_root(tree, NULL);
		clv_maple_replaced(tree, leaf);
		clv_maple_finish(tree, update);
		return;
	}

	unsigned place = clv_maple_place_of(parent->order, clv_maple_link_slot(leaf->up));
	struct clv_maple_edit edit = { .place = place, .count = 1, .new_count = 0 };

	if (count) {
		unsigned first = place ? place - 1 : 0;
		struct clv_maple_node *left = parent->of[clv_maple_at(parent->order, first)].item;
		struct clv_maple_node *right =
			parent->of[clv_maple_at(parent->order, first + 1)].item;
		struct clv_maple_list list;

		if (clv_maple_count_of(left) + clv_maple_count_of(right) > LEAF_JOIN)
			return;
		clv_maple_list_start(&list, 0);
		clv_maple_list_items(&list, left, 0, clv_maple_count_of(left));
		clv_maple_list_items(&list, right, 0, clv_maple_count_of(right));
		edit = (struct clv_maple_edit) {
			.place = first,
			.count = 2,
			.new_count = 1,
			.new[0] = clv_maple_build(tree, reserve, &list, 0, list.count),
			.bound[0] = parent->start[clv_maple_at(parent->order, first)],
		};
		clv_maple_replaced(tree, left == leaf ? right : left);
	}
	clv_maple_replaced(tree, leaf);
	clv_maple_replace(tree, reserve, parent, edit);
	clv_maple_finish(tree, update);
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
	order = clv_maple_order_take_last(order, place);
	if (was_top && clv_maple_count(order))
		order = clv_maple_with_top(order, clv_maple_find_top(leaf, order));
	clv_maple_publish_order(leaf, order);
	/* For the search of an insert. Release: partner is the acquire in visit_leaf (b). */
	__atomic_store_n(&leaf->start[slot], UINT64_MAX, __ATOMIC_RELEASE);
	if (was_top)
		clv_maple_lower_above(leaf);
	if (clv_maple_count(order) <= LEAF_LOW)
		join_thin(self, update, leaf);
}

/*
 * In place if `start` stays. If the entry is the only one, a new leaf takes the place of its own,
 * since the tree would be seen without any while it is out, by those who ask unlocked (C8).
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
			clv_maple_raise_above(leaf, last);
		set_bounds(interval, start, last);
		clv_maple_set_last(leaf, slot, last);
		if (last > before) {
			clv_maple_set_top(leaf, slot);
		} else if (slot == clv_maple_top(leaf->order)) {
			clv_maple_set_top(leaf, clv_maple_find_top(leaf, leaf->order));
			clv_maple_lower_above(leaf);
		}
	} else if (!leaf->up && clv_maple_count_of(leaf) == 1) {
		struct clv_maple_list list;

		clv_maple_list_start(&list, 0);
		clv_maple_list_add(&list, interval, start, last);
		set_bounds(interval, start, last);
		clv_maple_publish_root(tree, clv_maple_build(tree, update->reserve, &list, 0, 1));
		clv_maple_replaced(tree, leaf);
		clv_maple_finish(tree, update);
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
 * An entry is visited only if the leaf was in the tree, with it inside, after its turn was read: so
 * the turn is the one with which it is there. At the end the order is looked at again, as behind
 * the one visited last others may have come before that visit.
 */
static int visit_leaf(struct walk *walk, const struct clv_maple_node *leaf)
{
	/* Acquire, here and below: partner is the release in clv_maple_publish_order. */
	uint64_t seen, order = __atomic_load_n(&leaf->order, __ATOMIC_ACQUIRE);
	unsigned passed = 0; /* slots of entries visited, one bit each */

	/* Each turn starts with an order that differs from the last one's. */
	do {
		unsigned place = 0, count = clv_maple_count(order);

		seen = order;
		if (seen & CLV_MAPLE_DEAD)
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

			/*
			 * Relaxed: before or after a change (d). Not passed: nobody has looked at
			 * the order since the last visit, and a child may be in front of it.
			 */
			if ((start > walk->last) |
			    (__atomic_load_n(&leaf->of[slot].last, __ATOMIC_RELAXED) < walk->start))
				continue;

			struct cleave_interval *interval = leaf->of[slot].item;
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

/* Into a node. All in front of the last child that begins before the last one visited was visited.
 */
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
static inline __attribute__((always_inline)) int step_on(const struct walk *walk, struct step *step,
							 const struct clv_maple_node **child)
{
	const struct clv_maple_node *node = step->node;
	/* Acquire: partner is the release in clv_maple_publish_order. */
	uint64_t order = __atomic_load_n(&node->order, __ATOMIC_ACQUIRE);
	unsigned slots = 0;

	if (order & CLV_MAPLE_DEAD)
		return AGAIN;
		/* Relaxed: (c). Which slots are taken does not change, and they are in order. */
#pragma GCC unroll 10
	for (unsigned i = 0; i < CLV_MAPLE_SLOTS; i++)
		slots |= (unsigned)((node->start[i] <= walk->last) &
				    (__atomic_load_n(&node->of[i].last, __ATOMIC_RELAXED) >=
				     walk->start))
			 << i;
	slots &= ((1u << clv_maple_count(order)) - 1) & ~0u << step->next;
	*child = NULL;
	if (slots) {
		unsigned slot = (unsigned)__builtin_ctz(slots);

		step->next = slot + 1;
		/* Acquire: partner is the release in clv_maple_publish_item. */
		*child = __atomic_load_n(&node->of[slot].item, __ATOMIC_ACQUIRE);
	}
	return 0;
}

/* From the root to the end, or AGAIN. */
static int walk_behind(struct walk *walk, const struct clv_maple_tree *tree)
{
	/* Acquire: partner is the release in clv_maple_publish_root. */
	const struct clv_maple_node *node = __atomic_load_n(&tree->root, __ATOMIC_ACQUIRE);
	struct step way[CLV_MAPLE_HEIGHT_MAX], *at = way;
	unsigned level;

	if (!node)
		return 0;
	/* The level of a node never changes. */
	level = clv_maple_level(__atomic_load_n(&node->order, __ATOMIC_RELAXED));
	if (!level) {
		int code = visit_leaf(walk, node);

		/* A full leaf stays as it is, beside a new one, if a root grows above both. */
		if (!code && __atomic_load_n(&tree->root, __ATOMIC_ACQUIRE) != node)
			code = AGAIN;
		return code;
	}
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
	const char *reason = clv_maple_check_tree(tree, clv_maple_node_owes, in_turn);

	return reason || !tree->replaced ? reason : "maple_rcu: replaced nodes do not wait";
}

static const struct cleave_field entry_fields[] = {
	{ offsetof(struct cleave_interval, entry.subset), "subset" },
	{ offsetof(struct cleave_interval, entry.map_id), "map id" },
	{ offsetof(struct cleave_interval, start), "start" },
	{ offsetof(struct cleave_interval, last), "last" },
	{ offsetof(struct cleave_interval, word[0]), "leaf, slot" },
	{ offsetof(struct cleave_interval, word[1]), "version" },
	{ offsetof(struct cleave_interval, word[2]), "turn" },
	{ 0, NULL },
};

const struct cleave_structure cleave_maple_rcu = {
	.name = "maple_rcu",
	.summary = "maple_range's tree with nodes replaced, for walks without a lock",
	.source = "McKenney, Slingwine 1998; Kung, Lehman 1980; Mao, Kohler, Morris 2012, 4.6.2",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = CLEAVE_ORDERED | CLEAVE_WALKS_UNLOCKED | CLEAVE_DEFERS | CLEAVE_SPINS,
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
