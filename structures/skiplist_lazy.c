// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A concurrent skip list of intervals, ordered by (start, subset, label). An update locks the entry
 * in front of its place, a removal that and its own; walks lock and wait for nothing.
 *
 *   level 1   head ---------------------------> T ------------------------------------> T --->
 *   level 0   head ---------------> T --------> T ---------------> T -----------------> T --->
 * towers
 *   - - - - - - - - - - - - - - - - | - - - - - | - - - - - - - - -|- - - - - - - - - - | - - -
 *   list      head <-> a <-> b <-> c <-> d <-> e <-> f <-> g <-> h <-> i <-> j <-> k <-> l <->
 *
 *   tower    start label subset heights | (version next max) ... | entry, for retiring
 *   moved    an entry whose start changed:  entry -> stand-in in the list, with a tower, one block
 *
 * One entry in 8 has a tower: what is locked to change the index is not locked to change the list.
 *
 * Order. A subset's entries of equal start are together, and in the order of insertion: the new one
 * goes behind the last, whose lock it holds, and gets the next label. So a key is unique, and never
 * drawn from a clock that all share; a child (C1) and a copy (C2), which are in their source's
 * subset, come behind it; and where a subset is a CPU's, equal starts are inserted at as many
 * places as there are CPUs.
 *
 * Invariants, of the list (L), of the index (X); validate checks them at rest:
 *  L1 What is in the list is in order. `start`, subset and label of a node do not change while
 *     anyone can see it: an entry that gets another start leaves its node dead in the old place,
 * and a stand-in takes over. Walks visit a node only while it is the entry's current one. L2 A
 * node's next is written under its lock, and its prev under the lock of the node before it. Neither
 * is written in a dead one: it leads on to what was behind it when it left. X1 Who is on a level is
 * on those below. A tower's links are written under its lock, which is a version too: odd while it
 * is held. Its node is in the list as long as it is on level 0. X2 The max of a link is at least
 * the `last` of every entry whose update has returned, from behind the source up to and including
 * the target. Bounds may be too high: that costs time alone.
 *
 * X2 holds since
 *  - raise goes through all levels from below after the entry is linked, and before the update
 *    returns. It writes level i - 1, then looks at the version of level i: all seq_cst.
 *  - Whoever writes a smaller max (link_tower, lower) has locked the link before it looks at level
 *    i - 1: all seq_cst. So either it sees what was raised, or the other one sees it at work and
 *    waits for it; then it looks who is over its key now.
 *  - A tower that leaves (unlink_tower) gives its bound to the one before under both locks.
 *
 * C5. An entry that is in during all of a walk is visited once. Once at most, as the walk moves up
 * the order alone. And it is not missed: a step from a node, dead or not, leads to the entry or to
 * what comes before it in order and was in the list when the walk had begun. A link is jumped over
 * if both its words were there at one moment (see) at which all behind it, by X2, did not reach the
 * range; else the level below is taken, the list at last, which needs no bound. What a walk may
 * miss: an entry whose insert had not returned when it began. What it may see: one whose removal
 * began meanwhile (it defers). An entry whose *start* is changed meanwhile may be met at both
 * places, or at neither where it moves to the front; one whose last is changed is visited once if
 * it overlaps before and after.
 *
 * C1, C2: a walk comes to a place when all before it are visited: so of a parent that was seen
 * without its child, the child comes later, if its insert returned before.
 * C8: `empty` is one read. A lone entry's stand-in is linked before its old node is unlinked.
 * C3 and C6 are not kept: nothing stops walks.
 *
 * Deadlock: with one lock held, only those of what is later in order are waited for; and towers'
 * are never waited for under a node's. Progress: walks and empty wait for nobody. Updates wait, by
 * cleave_pause, for holders of spin bits, which wait for nothing but such; a holder without a CPU
 * holds up those at the same place.
 *
 * Reclamation: entries may be used again after a grace period (CLEAVE_DEFERS); by then no link
 * leads to them, since remove unlinks before it returns. Towers and stand-ins are retired.
 *
 * Cost, expected: insert O(log n); of 6,000, some 12 lines of towers and 5 of entries read, of
 * which it writes the new entry's, the two beside it, and in one of 8 a tower and those before it.
 * remove: three lines, without a search, unless it had a tower or reached farther than all near it.
 * A change of `start` is both, and allocates. What is written is near the entry's place; the head
 * is written only by who is at its place, by a new level, and by a bound that rises above all.
 * Memory: 64 bytes an entry (the caller's), 13 to 16 in towers; a map takes 488 bytes.
 *
 * Source: Herlihy, Lev, Luchangco, Shavit, "A simple optimistic skiplist algorithm", SIROCCO 2007,
 * for locking what was found and looking again; Heller et al., "A lazy concurrent list-based set
 * algorithm", OPODIS 2005, for marks and wait-free walks. Where it differs:
 *  - Towers apart from the list, linked and unlinked level by level, each step correct by itself:
 *    no locks on all levels at a time, no flag for fully linked ones.
 *  - Links back in the list, so that a removal knows whom to lock, and labels made under that lock.
 *  - Bounds of overlap, which sets do not need: X2 is ours.
 */
#include "skiplist_index.h"

/* ---- nodes: level 0 ---- */

/* Put `node` in behind all that do not come later in order, and give it a label. */
static void link_node(struct list *list, struct node *node, struct path *path)
{
	struct key key = { node->start, node->entry.subset, UINT64_MAX };

	for (;;) {
		find(list, &key, path);
		struct node *before = find_node(path, &key);
		struct node *next;

		lock_node(before);
		next = next_of(before);
		if (is_dead(before) || (next && precedes_node(next, &key))) {
			unlock_node(before);
			continue;
		}
		bool tie = before != &list->head && before->start == key.start &&
			   before->entry.subset == key.subset;

		node->label = tie ? before->label + 1 : 1;
		node->next = next;
		node->prev = before;
		/* Locked from the start: the next one's link back is written after it is seen. */
		node->state |= LOCKED;
		/* Partner: the scan in bound_of, by the argument of the head comment. */
		__atomic_store_n(&before->next, node, __ATOMIC_SEQ_CST);
		if (next)
			set_prev(next, node);
		unlock_node(node);
		unlock_node(before);
		return;
	}
}

/*
 * Take it out, for good: it leads on into the list, and is not linked again before a grace period
 * is over.
 */
static void unlink_node(struct node *node)
{
	struct node *before, *next;

	for (;; unlock_node(before)) {
		before = prev_of(node);
		lock_node(before);
		if (!is_dead(before) && next_of(before) == node)
			break;
	}
	lock_node(node);
	next = next_of(node);
	/* Release: partner is next_of. */
	__atomic_store_n(&before->next, next, __ATOMIC_RELEASE);
	if (next)
		set_prev(next, before);
	unlock_node_as(node, (state_of(node) & ~(uintptr_t)LOCKED) | DEAD);
	unlock_node(before);
}

/* ---- what an update is made of ---- */

/* pre: `node` is nobody else's; its tower, if it has one, is not linked. */
static void put_in(struct list *list, struct node *node)
{
	struct path path;

	link_node(list, node, &path);
	struct key key = key_of(node);

	raise(list, &key, last_of(node), &path);
	if (node->tower) {
		node->tower->start = key.start;
		node->tower->subset = key.subset;
		node->tower->label = key.label;
		for (unsigned i = 0; i < node->tower->height; i++)
			link_tower(list, node->tower, i, &path);
	}
}

/*
 * Does a neighbour under the same lowest link reach to `last`, too? Then no bound over them is due
 * to `node`. Asked without a lock, and in vain of neighbours that are just leaving: a bound that is
 * too high does no harm but cost.
 */
static bool shadowed(const struct node *node, uint64_t last)
{
	const struct node *at = next_of(node);

	if (at && last_of(at) >= last)
		return true;
	if (node->tower)
		return false;
	for (at = prev_of(node); !at->tower; at = prev_of(at)) {
		if (last_of(at) >= last)
			return true;
	}
	return false;
}

static void take_out(struct list *list, struct cleave_thread *thread, struct node *node)
{
	struct key key = key_of(node);
	uint64_t gone = last_of(node);
	bool lowers = !shadowed(node, gone);
	struct path path;

	if (node->tower || lowers)
		find(list, &key, &path);
	if (node->tower)
		unlink_tower(list, node->tower, &path);
	unlink_node(node);
	if (lowers)
		lower(list, thread, &key, gone, &path);
}

/* ---- the vtable's ---- */

/* Those that were taken are linked, and stay so until their entry's owner is back from here. */
static void settle(void *self, struct cleave_thread *thread, void *reserve)
{
	struct tower *next, *tower = reserve;

	(void)self;
	(void)thread;
	for (; tower; tower = next) {
		next = (struct tower *)tail_of(tower)->deferred.next;
		if (!__atomic_load_n(&tower->linked, __ATOMIC_RELAXED))
			free_tower(tower);
	}
}

/* An entry is its owner's alone: nobody moves it between this and the update. */
static int prepare(void *self, struct cleave_thread *thread, const struct cleave_op *ops,
		   unsigned count, void **reserve)
{
	const struct list *list = self;
	void **end = reserve;

	*reserve = NULL;
	for (unsigned i = 0; i < count; i++) {
		struct node *node = node_of(ops[i].entry);
		bool moves = false;

		if (ops[i].kind == CLEAVE_REMOVE)
			continue;
		if (ops[i].kind == CLEAVE_CHANGE) {
			moves = current_of(node)->start != ops[i].start;
			if (!moves)
				continue;
		} else {
			node->planned = cleave_random(thread) % TOWER_CHANCE == 0;
			if (__builtin_expect(!node->planned, 1))
				continue;
		}
		struct tower *tower =
			make_tower(thread, list->node_of_subset[node->entry.subset], moves);

		if (!tower) {
			settle(self, thread, *reserve);
			*reserve = NULL;
			return -ENOMEM;
		}
		*end = tower;
		end = (void **)&tail_of(tower)->deferred.next;
	}
	return 0;
}

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	const struct node *node = current_of(node_of(entry));

	*start = node->start;
	*last = last_of(node);
}

static int create(void **self, const struct cleave_structure_config *config)
{
	struct list *list = cleave_alloc(LIST_BYTES, _Alignof(struct list), config->node);

	if (!list)
		return -ENOMEM;
	struct tower *top = top_of(list);

	top->height = top->linked = LEVELS;
	tail_of(top)->node = &list->head;
	list->head.tower = top;
	list->levels = 1;
	list->node_of_subset = config->node_of_subset;
	*self = list;
	return 0;
}

/* Entries are not touched. A moved entry's stand-in is found by its tower. */
static void destroy(void *self)
{
	struct list *list = self;
	struct tower *next, *tower = top_of(list)->link[0].next;

	for (; tower; tower = next) {
		next = tower->link[0].next;
		free_tower(tower);
	}
	cleave_free(list, LIST_BYTES);
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct list *list = self;
	struct node *node = node_of(entry);

	/* It is in the list and in the same subset, so in front if it does not start later. */
	(void)source;
	node->start = start;
	node->last = last;
	node->state = 0;
	node->tower = node->planned ? take(update) : NULL;
	if (node->tower)
		tail_of(node->tower)->node = node;
	put_in(list, node);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	struct node *node = current_of(node_of(entry));

	take_out(self, update->thread, node);
	retire(update->thread, node->tower);
}

/*
 * In place if `start` stays. Else a stand-in for the entry goes in at the new place before the old
 * one comes out, so that the list is never seen without (C8).
 */
static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	struct list *list = self;
	struct node *own = node_of(entry), *node = current_of(own);
	uint64_t last_before = last_of(node);
	struct key key = key_of(node);
	struct path path;

	if (start == node->start) {
		/* Partner: the scan in bound_of, as for an insert. */
		__atomic_store_n(&node->last, last, __ATOMIC_SEQ_CST);
		if (last == last_before || (last < last_before && shadowed(node, last_before)))
			return;
		find(list, &key, &path);
		if (last > last_before)
			raise(list, &key, last, &path);
		else
			lower(list, update->thread, &key, last_before, &path);
		return;
	}

	struct node *moved = tail_of(take(update))->node;

	moved->entry.subset = entry->subset;
	moved->start = start;
	moved->last = last;
	moved->state = (uintptr_t)own | STANDS_IN;
	put_in(list, moved);
	set_current(own, moved);
	take_out(list, update->thread, node);
	retire(update->thread, node->tower);
}

/*
 * Over links below which nothing reaches `start`, the highest first. Where an update is at a tower,
 * its links are left alone and the level below is tried; nobody is waited for.
 * Returns: the last that was passed; NULL if nothing more overlaps.
 */
static struct node *skip(const struct list *list, struct tower *tower, uint64_t start,
			 uint64_t last)
{
	unsigned i = levels_of(list, tower);

	/* Holds: all up to `tower` that overlap are visited. */
	while (i) {
		struct link seen;

		if (!see(tower, i - 1, &seen) || seen.max >= start) {
			i--;
			continue;
		}
		if (!seen.next || seen.next->start > last)
			return NULL;
		tower = seen.next;
		i = levels_of(list, tower);
	}
	return tail_of(tower)->node;
}

/* Of the entry's nodes, walks visit the one that stands for it now. */
static struct cleave_entry *entry_to_visit(struct node *node, unsigned subset)
{
	uintptr_t state = __atomic_load_n(&node->state, __ATOMIC_ACQUIRE);
	struct node *own = state & STANDS_IN ? other_of(state) : node;

	if ((state & DEAD) || current_of(own) != node ||
	    (subset != CLEAVE_ALL_SUBSETS && node->entry.subset != subset))
		return NULL;
	return &own->entry;
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	struct list *list = self;
	struct node *at = skip(list, top_of(list), start, last);

	(void)thread;
	while (at && (at = next_of(at)) && at->start <= last) {
		if (last_of(at) < start) {
			if (at->tower)
				at = skip(list, at->tower, start, last);
			continue;
		}
		struct cleave_entry *entry = entry_to_visit(at, subset);
		int stop = entry ? visit(entry, arg) : 0;

		if (stop)
			return stop;
	}
	return 0;
}

static bool empty(const void *self)
{
	const struct list *list = self;

	return !__atomic_load_n(&list->head.next, __ATOMIC_RELAXED);
}

/* ---- validate: at rest ---- */

static const char *check_nodes(struct list *list)
{
	struct node *before = &list->head;
	const struct tower *tower = top_of(list)->link[0].next;

	for (struct node *at = before->next; at; before = at, at = at->next) {
		struct key key = key_of(at);

		if (at->prev != before)
			return "skiplist_lazy: a link back leads elsewhere";
		if (at->state & (LOCKED | DEAD))
			return "skiplist_lazy: an entry is locked, or marked as removed";
		if (at->start > at->last)
			return "skiplist_lazy: an entry starts behind its last";
		if (before != &list->head && !precedes_node(before, &key))
			return "skiplist_lazy: an entry does not come behind the one in front";
		if ((at->state & STANDS_IN) ? current_of(other_of(at->state)) != at
					    : current_of(at) != at)
			return "skiplist_lazy: an entry has moved, and is still there";
		if (!at->tower)
			continue;
		if (at->tower != tower)
			return "skiplist_lazy: the index misses a tower, or leads elsewhere";
		tower = tower->link[0].next;
	}
	return tower ? "skiplist_lazy: the index leads on behind the end" : NULL;
}

static const char *check_towers(struct list *list)
{
	struct tower *top = top_of(list);

	for (struct tower *at = top; at; at = at->link[0].next) {
		struct key key = key_of(tail_of(at)->node);

		if (at->linked != at->height)
			return "skiplist_lazy: a tower is half linked";
		if (at != top && (tail_of(at)->node->tower != at || at->start != key.start ||
				  at->subset != key.subset || at->label != key.label))
			return "skiplist_lazy: a tower is another entry's";
	}
	return NULL;
}

/* Level i, along the list: whoever is on it must be the next link's target. */
static const char *check_level(struct list *list, unsigned i)
{
	const struct tower *source = top_of(list);
	uint64_t max = 0;

	for (const struct node *at = list->head.next; at; at = at->next) {
		max = at->last > max ? at->last : max;
		if (!at->tower || at->tower->height <= i)
			continue;
		if (source->link[i].version & 1)
			return "skiplist_lazy: a link is locked";
		if (source->link[i].next != at->tower)
			return "skiplist_lazy: a level misses a tower, or leads elsewhere";
		if (source->link[i].max < max)
			return "skiplist_lazy: a bound is less than a last below its link";
		source = at->tower;
		max = 0;
	}
	if (source->link[i].next)
		return "skiplist_lazy: a level leads on behind the end";
	if (i < list->levels && source->link[i].max < max)
		return "skiplist_lazy: a bound is less than a last below its link";
	return NULL;
}

static const char *validate(void *self)
{
	const char *reason = check_nodes(self);

	if (!reason)
		reason = check_towers(self);
	for (unsigned i = 0; !reason && i < LEVELS; i++)
		reason = check_level(self, i);
	return reason;
}

static size_t memory(const void *self)
{
	const struct list *list = self;
	size_t bytes = LIST_BYTES;

	for (const struct tower *at = top_of(list)->link[0].next; at; at = at->link[0].next)
		bytes += tower_bytes(at);
	return bytes;
}

static const struct cleave_field entry_fields[] = {
	{ offsetof(struct cleave_interval, entry.subset), "subset" },
	{ offsetof(struct cleave_interval, entry.map_id), "map id" },
	{ offsetof(struct cleave_interval, start), "start" },
	{ offsetof(struct cleave_interval, last), "last" },
	{ offsetof(struct node, next), "next" },
	{ offsetof(struct node, prev), "prev" },
	{ offsetof(struct node, tower), "tower" },
	{ offsetof(struct node, label), "label" },
	{ offsetof(struct node, state), "lock, state" },
	{ 0, NULL },
};

const struct cleave_structure cleave_skiplist_lazy = {
	.name = "skiplist_lazy",
	.summary = "concurrent skip list: a spin bit an entry, walks that wait for nobody",
	.source = "Herlihy, Lev, Luchangco, Shavit, A simple optimistic skiplist, SIROCCO 2007",
	.kind = CLEAVE_CONCURRENT,
	.flags = CLEAVE_ORDERED | CLEAVE_WALKS_UNLOCKED | CLEAVE_DEFERS | CLEAVE_SPINS,
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
