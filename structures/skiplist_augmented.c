// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A skip list of intervals, doubly linked on every level, whose links carry the largest `last` of
 * what they jump over. An update of an entry that is in needs no search.
 *
 *   level 3   head ------------------------------------------> T ------------------->
 *   level 2   head -----------------> T ---------------------> T -----------> T ---->    towers
 *   - - - - - - - - - - - - - - - - - | - - - - - - - - - - -  | - - - - - -  | - - - - - - -
 *   level 1   head ------> b -------> d ------> f ----> h ---> j ----> l ---> m ---->
 *   level 0   head -> a -> b -> c --> d -> e -> f > g > h > i > j > k > l --> m ---->    entries
 *
 *   tower, one line:     entry and height | level 1: next prev max | level 2: next prev start max
 *   of more than level 2, five lines more: | level 3: next prev start max | level 4: ...
 *
 * Three quarters of the entries are on level 0 alone. A quarter is on level 1 too, and one in 16 on
 * more: only these have a tower beside the entry. So what an update touches of the upper levels is
 * packed: with 6,000 entries 375 towers, 24 KiB, where the entries are 384 KiB. A link between
 * towers has a copy of where the next one starts, so that one that is not entered is not touched.
 *
 * Invariants (validate checks them):
 *  - On level 0, `start` does not descend. Of equal starts the one inserted later comes later, but
 *    for insert_after, whose child comes directly behind its parent.
 *  - The entries on a level, but the head, are on all levels below, in the same order.
 *  - A link's max is the largest `last` of the entries behind its source, up to and including its
 *    target or, without one, the end; 0 if there are none. On level 0 it is the target's own.
 *  - Links back are the inverse of links forward.
 *
 * Who reads, who writes: a writer is alone, walkers share. Only the head's level 0 is also read by
 * no lock holder (empty), and so written atomically; and the counts of spare towers (prepare).
 *
 * Reclamation: none of entries. Towers are kept for the next entry that needs one, until destroy.
 *
 * Cost, expected: insert O(log n). remove O(1) lines, unless `last` was the largest around: to find
 * that it was not, it looks at the neighbours, and goes up a level only where it was, so that it is
 * O(1) for random `last` and for many equal ones. insert_after likewise. A walk that visits k
 * entries O((k + 1) log n), O(k + log n) if they are neighbours.
 * In lines of 6,000 entries: insert 7 to 10 of towers and 5 of entries, 2 or 3 of them written;
 * remove the entry and its two neighbours, both written.
 * Memory: 64 bytes an entry (the caller's), 9 in towers; a subset takes 512 bytes.
 *
 * Source: Pugh, "Skip lists: a probabilistic alternative to balanced trees", CACM 1990. A maximum
 * per link is the analogue of Cormen et al., 14.3, for trees. Where it differs:
 *  - The chance of one more level is 1/4. Pugh finds 1/4 as fast as 1/2 in comparisons, with 1.33
 *    links instead of 2; and here two levels fit into an entry, and 1/16 of all entries with towers
 *    leave these in the caches next to the CPU.
 *  - Links back, so that nothing but an insert descends. With thousands of equal starts, which a
 *    key cannot tell apart, a descent would not find the entry.
 *  - Where a tower's memory comes from: skiplist_towers.h.
 */
#include "skiplist_towers.h"

/* ---- maxima ---- */

/* Who precedes on high[i], or is, `tower`, which is on the level below. */
static struct tower *up(struct tower *tower, unsigned i)
{
	while (highs_of(tower) <= i)
		tower = tower->high[i - 1].prev;
	return tower;
}

/* Who precedes on level 1, or is, `node`. */
static struct node *low_up(struct node *node)
{
	while (class_of(node) == ONE)
		node = prev_of(node);
	return node;
}

/* Who precedes on level 2, or is, `node`, which is on level 1. */
static struct tower *high_up(struct node *node)
{
	while (class_of(node) == TWO)
		node = node->low.prev;
	return node->tower;
}

/*
 * Make the maxima from high[i] up right, where the link below that `from` is behind or at fell to
 * less than `gone`. Above the first that stays, all stay; and one that is greater is another's.
 */
static void lower_high(const struct list *list, struct tower *from, unsigned i, uint64_t gone)
{
	for (; i < list->highs; i++) {
		from = up(from, i);
		struct high *link = &from->high[i];

		if (link->max > gone)
			return;
		uint64_t max = high_max(from, i);

		if (max == link->max)
			return;
		link->max = max;
	}
}

/*
 * An entry that reached to `gone` left from behind `before`, or does not reach as far any more, and
 * was the source of no link but level 0's. The one behind it is under the same link of level 1,
 * always; who is met on the way back to that link's source, too. One of these that reaches as far
 * proves that nothing changes.
 */
static void lower(const struct list *list, struct node *before, uint64_t gone)
{
	struct node *from = before;
	uint64_t max = 0;

	if (before->next && last_of(before->next) >= gone)
		return;
	for (; class_of(from) == ONE; from = prev_of(from)) {
		if (last_of(from) >= gone)
			return;
		max = max_of(max, last_of(from));
	}
	struct low *link = low_of(from);

	if (link->max > gone)
		return;
	for (const struct node *at = before->next; at; at = at->next) {
		if (last_of(at) >= gone)
			return;
		max = max_of(max, last_of(at));
		if (at == link->next)
			break;
	}
	link->max = max;
	lower_high(list, high_up(from), 0, gone);
}

/* An entry that reaches to `last` is, or will be, behind `before`. */
static void raise(const struct list *list, struct node *before, uint64_t last)
{
	struct node *from = before;

	for (; class_of(from) == ONE; from = prev_of(from)) {
		if (last_of(from) >= last)
			return;
	}
	struct low *link = low_of(from);

	if (link->max >= last)
		return;
	link->max = last;
	struct tower *tower = high_up(from);

	for (unsigned i = 0; i < list->highs; i++) {
		tower = up(tower, i);
		if (tower->high[i].max >= last)
			return;
		tower->high[i].max = last;
	}
}

/* ---- linking ---- */

/* The last that starts no later than `start`; the links over what comes behind it are raised. */
static struct node *descend(struct list *list, uint64_t start, uint64_t last)
{
	struct tower *at = top_of(list);

	/* Holds: `at` starts no later, and what follows it on high[i] does. */
	for (unsigned i = list->highs; i-- > 0;) {
		struct high *link = &at->high[i];

		while (link->next && link->start <= start) {
			at = link->next;
			link = &at->high[i];
		}
		if (link->max < last)
			link->max = last;
	}

	struct node *node = tower_node(at);
	struct low *link = &at->low;

	/* Who is tall would have been met on level 2. */
	while (link->next && start_of(link->next) <= start) {
		node = link->next;
		link = &node->low;
	}
	if (link->max < last)
		link->max = last;
	while (node->next && start_of(node->next) <= start)
		node = node->next;
	return node;
}

/* Behind `from`, which precedes on high[i]. */
static void link_high(struct list *list, struct tower *tower, struct tower *from, unsigned i)
{
	struct high *before = &from->high[i], *own = &tower->high[i];

	own->next = before->next;
	own->prev = from;
	own->start = before->start;
	if (own->next)
		own->next->high[i].prev = tower;
	before->next = tower;
	before->start = start_of(tower_node(tower));
	own->max = high_max(tower, i);
	before->max = high_max(from, i);
	if (list->highs <= i)
		list->highs = i + 1;
}

/* pre: class and tower are set, and the maxima over the place raised. */
static void link_behind(struct list *list, struct node *node, struct node *before)
{
	struct node *next = before->next;

	node->next = next;
	set_prev(node, before);
	if (next)
		set_prev(next, node);
	set_next(before, node);
	if (class_of(node) == ONE)
		return;

	struct node *from = low_up(before);
	struct low *over = low_of(from), *own = low_of(node);

	own->next = over->next;
	own->prev = from;
	if (own->next)
		low_of(own->next)->prev = node;
	over->next = node;
	own->max = low_max(node);
	over->max = low_max(from);
	if (class_of(node) == TWO)
		return;

	struct tower *tower = high_up(from);

	for (unsigned i = 0; i < highs_of(node->tower); i++) {
		tower = up(tower, i);
		link_high(list, node->tower, tower, i);
	}
}

/*
 * What the max of two links has to be that became one, when the entry between them left, that
 * reached to `gone`: known, or to be worked out?
 */
static bool merged_max(uint64_t before, uint64_t behind, uint64_t gone, uint64_t *max)
{
	*max = max_of(before, behind);
	return before > gone || behind >= gone;
}

static void unlink_high(struct list *list, struct tower *tower, uint64_t gone)
{
	unsigned highs = highs_of(tower);
	uint64_t max = 0;

	for (unsigned i = 0; i < highs; i++) {
		struct high *own = &tower->high[i], *before = &own->prev->high[i];

		before->next = own->next;
		before->start = own->start;
		if (own->next)
			own->next->high[i].prev = own->prev;
		if (!merged_max(before->max, own->max, gone, &max))
			max = high_max(own->prev, i);
		before->max = max;
	}
	while (list->highs && !top_of(list)->high[list->highs - 1].next)
		list->highs--;
	if (max < gone)
		lower_high(list, tower->high[highs - 1].prev, highs, gone);
}

/* Class, tower and bounds are left as they were. */
static void unlink_node(struct list *list, struct node *node)
{
	struct node *before = prev_of(node), *next = node->next;
	uint64_t gone = last_of(node);

	set_next(before, next);
	if (next)
		set_prev(next, before);
	if (class_of(node) == ONE) {
		lower(list, before, gone);
		return;
	}

	struct low *own = low_of(node), *over = low_of(own->prev);
	uint64_t max;

	over->next = own->next;
	if (own->next)
		low_of(own->next)->prev = own->prev;
	if (!merged_max(over->max, own->max, gone, &max))
		max = low_max(own->prev);
	over->max = max;
	if (class_of(node) == TALL)
		unlink_high(list, node->tower, gone);
	else if (max < gone)
		lower_high(list, high_up(own->prev), 0, gone);
}

/* ---- the vtable's ---- */

static void set_bounds(struct node *node, uint64_t start, uint64_t last)
{
	interval_of(node)->start = start;
	interval_of(node)->last = last;
}

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	*start = start_of(node_of(entry));
	*last = last_of(node_of(entry));
}

static int create(void **self, const struct cleave_structure_config *config)
{
	struct list *list = cleave_alloc(LIST_BYTES, _Alignof(struct list), config->node);

	if (!list)
		return -ENOMEM;
	struct node *head = node_of(&list->head.entry);

	top_of(list)->interval_height = (uintptr_t)&list->head | HEIGHT_MAX;
	head->prev_class = TALL;
	head->tower = top_of(list);
	list->node = config->node;
	*self = list;
	return 0;
}

/* Level 2 has all towers: entries are not touched. */
static void destroy(void *self)
{
	struct list *list = self;
	struct tower *next, *tower = top_of(list)->high[0].next;

	for (; tower; tower = next) {
		next = tower->high[0].next;
		give_spare(list, tower);
	}
	free_towers(list->spare[SHORT], SHORT);
	free_towers(list->spare[LONG], LONG);
	cleave_free(list, LIST_BYTES);
}

/*
 * `source` needs no care: it is in the list already, so that by start, then insertion, an entry
 * that does not start before it comes behind it (C2).
 */
static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct list *list = self;
	struct node *node = node_of(entry);

	(void)source;
	set_bounds(node, start, last);
	set_height(list, update->reserve, node);
	link_behind(list, node, descend(list, start, last));
}

static void insert_after(void *self, struct cleave_update *update, struct cleave_entry *parent,
			 struct cleave_entry *child, uint64_t start, uint64_t last)
{
	struct list *list = self;
	struct node *node = node_of(child);

	set_bounds(node, start, last);
	set_height(list, update->reserve, node);
	raise(list, node_of(parent), last);
	link_behind(list, node, node_of(parent));
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	struct list *list = self;
	struct node *node = node_of(entry);

	(void)update;
	unlink_node(list, node);
	if (class_of(node) == TALL)
		give_spare(list, node->tower);
}

/* To the links that lead to it. */
static void copy_start(struct tower *tower, uint64_t start)
{
	for (unsigned i = 0; i < highs_of(tower); i++)
		tower->high[i].prev->high[i].start = start;
}

/*
 * In place if `start` stays; and if the entry is the only one, since the list would be seen empty
 * while it is out, by those who ask unlocked (C8). Then links have copies of its start.
 */
static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	struct list *list = self;
	struct node *node = node_of(entry), *before = prev_of(node);
	uint64_t last_before = last_of(node);

	(void)update;
	if (start == start_of(node) || (!node->next && before == node_of(&list->head.entry))) {
		if (start != start_of(node) && class_of(node) == TALL)
			copy_start(node->tower, start);
		set_bounds(node, start, last);
		if (last > last_before)
			raise(list, before, last);
		else if (last < last_before)
			lower(list, before, last_before);
		return;
	}
	unlink_node(list, node);
	set_bounds(node, start, last);
	link_behind(list, node, descend(list, start, last));
}

/*
 * Over links below which nothing reaches `start`, the highest first. Returns: the last passed, be
 * it `at`, or one that starts behind `last`, so that nothing more overlaps.
 */
static struct node *skip(const struct list *list, struct node *at, uint64_t start, uint64_t last)
{
	/* Holds: `at` is on level 1, and all up to it that overlap are visited. */
	for (;;) {
		if (class_of(at) == TALL) {
			const struct tower *tower = at->tower;
			unsigned i = highs_of(tower) < list->highs ? highs_of(tower) : list->highs;

			while (i) {
				const struct high *link = &tower->high[i - 1];

				if (link->max >= start) {
					i--;
					continue;
				}
				if (!link->next || link->start > last)
					return NULL;
				tower = link->next;
				i = highs_of(tower);
			}
			at = tower_node(tower);
		}
		const struct low *link = low_of(at);

		if (link->max >= start)
			return at;
		at = link->next;
		if (!at || start_of(at) > last)
			return NULL;
	}
}

/* Visit in order. The visitor may sleep: all that is kept meanwhile is which was the last. */
static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	const struct list *list = self;
	struct node *at = skip(list, node_of(&list->head.entry), start, last);

	(void)thread;
	(void)subset;
	while (at && at->next && start_of(at->next) <= last) {
		at = at->next;
		if (last_of(at) >= start) {
			int stop = visit(&interval_of(at)->entry, arg);

			if (stop)
				return stop;
		} else if (class_of(at) != ONE) {
			at = skip(list, at, start, last);
		}
	}
	return 0;
}

/* Pairs with set_next, where the order is argued. */
static bool empty(const void *self)
{
	const struct list *list = self;

	return !__atomic_load_n(&node_of(&list->head.entry)->next, __ATOMIC_RELAXED);
}

static size_t memory(const void *self)
{
	const struct list *list = self;
	size_t bytes = LIST_BYTES;

	for (const struct tower *at = top_of(list)->high[0].next; at; at = at->high[0].next)
		bytes += tower_bytes[size_of(highs_of(at) + LOW_HEIGHT)];
	return bytes + list->spares[SHORT] * tower_bytes[SHORT] +
	       list->spares[LONG] * tower_bytes[LONG];
}

static const struct cleave_field entry_fields[] = {
	{ offsetof(struct cleave_interval, entry.subset), "subset" },
	{ offsetof(struct cleave_interval, entry.map_id), "map id" },
	{ offsetof(struct cleave_interval, start), "start" },
	{ offsetof(struct cleave_interval, last), "last" },
	{ offsetof(struct cleave_interval, word[0]), "next" },
	{ offsetof(struct cleave_interval, word[1]), "prev, class" },
	{ offsetof(struct cleave_interval, word[2]), "level 1 next, or tower" },
	{ offsetof(struct cleave_interval, word[3]), "level 1 prev" },
	{ offsetof(struct cleave_interval, word[4]), "level 1 max" },
	{ 0, NULL },
};

const struct cleave_structure cleave_skiplist_augmented = {
	.name = "skiplist_augmented",
	.summary = "skip list with the largest last below each link, removal without search",
	.source = "Pugh, Skip lists: a probabilistic alternative to balanced trees, CACM 1990",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = CLEAVE_ORDERED,
	.keeps = CLEAVE_KEEPS_ALL,
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = UINT64_MAX,
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
