// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * range_group that synchronises itself: a spin bit a subset (`guard`), which nobody holds while a
 * visitor runs.
 *
 *   subset:  places as in range_group.c      guard, cursors -> walk 1 -> walk 2
 *                                                             |
 *   chain <-> A <-> B <-> C <-> D                             after B: it is being visited
 *
 * A walk goes subset by subset. It takes the guard, finds the next interval behind its cursor, sets
 * the cursor on it, lets the guard go and visits. So the cursor stands on what is visited, and an
 * interval that is put behind it meanwhile is met: parents before children and sources before
 * copies (C1, C2) even if all that happens during the visit, which a walk that had gathered several
 * would miss. Who removes or moves an interval moves the cursors that stand on it to the one
 * before (set_back); the order of all others stays. So what is there, unchanged, from the beginning
 * to the end is visited once (C5).
 *
 * Who has unlinked an interval waits until no visitor is at it (await_visitors): new ones do not
 * come to it any more. So its owner may free it at once (C4, not deferred), and nothing is retired.
 * Its bounds may change under a visitor; they are read with a count of changes, in the tag's word
 * above the tag, which is odd while they are written: word[4] = count * 64 + place.
 *
 * Kept: all but C3, since a walk may come between two ops of a batch, and see one subset before and
 * another after it, and C6, since there is nothing to hold.
 *
 * Invariants, beside range_group's: a cursor stands on an interval of its place, or before the
 * first; counts of changes are even.
 *
 * Progress: blocking, by the guard, which is held for an update or for one step of a walk, and of a
 * removal by the visitors of what it removes, of nothing else; they may sleep. Cost: range_group's
 * and the guard; a walk the guard once a visit and subset, and of subsets in which nobody can
 * overlap, one line and no guard. An update of a subset looks through the cursors of the walks that
 * are in it.
 *
 * Lines, memory: range_group's. Reclamation: none needed, as above.
 */
#include "range_subset.h"

enum {
	CHANGE = CLV_CHAIN_TAGS, /* one in a count of changes */
};

/* On a walk's stack, in the subset's list while the walk is in the subset; under its guard. */
struct clv_cursor {
	struct clv_cursor *next;
	unsigned place;
	struct cleave_interval *after;	       /* NULL: before the first of the place */
	const struct cleave_interval *visited; /* NULL: no visitor is under way */
};

/* A walk's own. */
struct progress {
	struct clv_cursor cursor;
	uint64_t start, last;
	struct clv_range range; /* of the cursor's place, if that is a group */
	uint32_t given;		/* the index's when `found` was made */
	struct clv_overlapping found;
};

/* ---- guard ---- */

/* Acquire: partner is unguard. */
static void guard(struct clv_subset *subset)
{
	while (__atomic_exchange_n(&subset->guard, 1, __ATOMIC_ACQUIRE)) {
		while (__atomic_load_n(&subset->guard, __ATOMIC_RELAXED))
			cleave_pause();
	}
}

/* Release: partner is guard. */
static void unguard(struct clv_subset *subset)
{
	__atomic_store_n(&subset->guard, 0, __ATOMIC_RELEASE);
}

/* ---- bounds that change under a visitor ---- */

/*
 * Acquire, of all: partners are clv_member_set_bounds and count_change. New bounds show a count
 * that is odd, or higher. It is odd for a few stores under a guard: this ends.
 */
static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	const struct cleave_interval *member =
		cleave_container_of(entry, struct cleave_interval, entry);
	const uintptr_t *word = &member->word[CLV_CHAIN_TAG];

	for (;;) {
		uintptr_t before = __atomic_load_n(word, __ATOMIC_ACQUIRE) / CHANGE;

		*start = __atomic_load_n(&member->start, __ATOMIC_ACQUIRE);
		*last = __atomic_load_n(&member->last, __ATOMIC_ACQUIRE);
		if (before % 2 == 0 && __atomic_load_n(word, __ATOMIC_ACQUIRE) / CHANGE == before)
			return;
		cleave_pause();
	}
}

/* Release: partner is bounds. */
static void count_change(struct cleave_interval *member)
{
	__atomic_store_n(&member->word[CLV_CHAIN_TAG], member->word[CLV_CHAIN_TAG] + CHANGE,
			 __ATOMIC_RELEASE);
}

/* ---- cursors ---- */

/* The one before in order, whether it overlaps anything or not; NULL: none. */
static struct clv_rb_node *node_before(struct clv_rb_node *node)
{
	if (node->child[0]) {
		node = node->child[0];
		while (node->child[1])
			node = node->child[1];
		return node;
	}

	const struct clv_rb_node *below;

	do {
		below = node;
		node = clv_rb_parent(node);
	} while (node && node->child[0] == below);
	return node;
}

/* The one before in its place; NULL: it is the first. */
static struct cleave_interval *previous_of(const struct clv_subset *subset, unsigned place,
					   struct cleave_interval *member)
{
	if (clv_place_is_tree(place)) {
		struct clv_rb_node *node = node_before(clv_member_node(member));

		return node ? clv_member_of_node(node) : NULL;
	}
	const struct clv_chain *previous = clv_chain_link(member)->previous;

	return previous == &subset->chain[place - 1] ? NULL : clv_chain_member(previous);
}

/* `member` is about to leave its place. */
static void set_back(struct clv_subset *subset, struct cleave_interval *member)
{
	for (struct clv_cursor *cursor = subset->cursors; cursor; cursor = cursor->next) {
		if (cursor->after == member)
			cursor->after = previous_of(subset, cursor->place, member);
	}
}

static bool is_visited(const struct clv_subset *subset, const struct cleave_interval *member)
{
	for (const struct clv_cursor *cursor = subset->cursors; cursor; cursor = cursor->next) {
		if (cursor->visited == member)
			return true;
	}
	return false;
}

/*
 * pre: the guard is held, and `member` out of its place. Between two looks the guard is let go until
 * a visit has ended: a loop that took it again at once could keep the walk that it waits for from
 * it. Acquire: partner is end_visit.
 */
static void await_visitors(struct clv_subset *subset, const struct cleave_interval *member)
{
	while (is_visited(subset, member)) {
		uint32_t ended = subset->ended;

		unguard(subset);
		while (__atomic_load_n(&subset->ended, __ATOMIC_ACQUIRE) == ended)
			cleave_pause();
		guard(subset);
	}
}

/* pre: the guard is held. Release: partner is await_visitors. */
static void end_visit(struct clv_subset *subset, struct clv_cursor *cursor)
{
	cursor->visited = NULL;
	__atomic_store_n(&subset->ended, subset->ended + 1, __ATOMIC_RELEASE);
}

static void leave(struct clv_subset *subset, struct clv_cursor *cursor)
{
	struct clv_cursor **at = &subset->cursors;

	while (*at != cursor)
		at = &(*at)->next;
	*at = cursor->next;
}

/* ---- updates ---- */

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct clv_groups *groups = self;
	struct clv_subset *subset = groups->subset[entry->subset];
	struct cleave_interval *member = clv_member_of(entry);

	(void)update;
	/* Nobody visits it: it was never in, or its removal waited. */
	member->word[CLV_CHAIN_TAG] = 0;
	guard(subset);
	clv_subset_insert(groups, subset, member, source ? clv_member_of(source) : NULL, start,
			  last);
	unguard(subset);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	struct clv_groups *groups = self;
	struct clv_subset *subset = groups->subset[entry->subset];
	struct cleave_interval *member = clv_member_of(entry);

	(void)update;
	guard(subset);
	set_back(subset, member);
	clv_subset_remove(subset, member);
	await_visitors(subset, member);
	unguard(subset);
}

static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	struct clv_groups *groups = self;
	struct clv_subset *subset = groups->subset[entry->subset];
	struct cleave_interval *member = clv_member_of(entry);

	(void)update;
	guard(subset);
	count_change(member);
	/* Where it stays in its place, cursors stay on it: they need not come to it again. */
	clv_subset_change(groups, subset, member, start, last, set_back);
	count_change(member);
	unguard(subset);
}

/* ---- walk ---- */

/* Acquire: partner is clv_index_give. Any number may be the first: `given` wraps. */
static void look(struct progress *walk, const struct clv_range_index *index)
{
	walk->given = __atomic_load_n(&index->given, __ATOMIC_ACQUIRE);
	clv_index_overlapping(index, walk->start, walk->last, &walk->found);
}

/*
 * Make `found` anew if the index has given numbers since. Acquire: partner is clv_index_give; who
 * has met a member of a range sees its number, since its subset's guard, or `occupied`, was read
 * before.
 */
static void look_again(struct progress *walk, const struct clv_range_index *index)
{
	if (__atomic_load_n(&index->given, __ATOMIC_ACQUIRE) != walk->given)
		look(walk, index);
}

/*
 * Go to the next place: the first group behind this one's range, which may be no group's any more;
 * or to the tree at the back.
 */
static void next_place(struct progress *walk)
{
	bool in_front = walk->cursor.place == CLV_PLACE_FRONT;

	walk->cursor.after = NULL;
	for (unsigned i = 0; i < walk->found.count; i++) {
		struct clv_range range = walk->found.range[i];

		if (in_front || clv_range_follows(range, walk->range)) {
			walk->cursor.place = walk->found.number[i] + 1u;
			walk->range = range;
			return;
		}
	}
	walk->cursor.place = CLV_PLACE_BACK;
}

/* The next in the cursor's place, NULL: none. */
static struct cleave_interval *next_in_place(const struct progress *walk, struct clv_groups *groups,
					     struct clv_subset *subset)
{
	unsigned place = walk->cursor.place;
	struct cleave_interval *after = walk->cursor.after;

	if (clv_place_is_tree(place)) {
		struct clv_rb_node *node = clv_place_tree(subset, place)->root;

		if (after)
			node = clv_rb_next(&clv_subset_layout, clv_member_node(after), walk->start,
					   walk->last);
		else if (node && node->subtree_last >= walk->start)
			node = clv_rb_first(&clv_subset_layout, node, walk->start, walk->last);
		else
			node = NULL;
		return node ? clv_member_of_node(node) : NULL;
	}

	const struct clv_chain *chain = &subset->chain[place - 1];
	const struct clv_chain *next = after ? clv_chain_link(after)->next : chain->next;
	struct clv_range range = clv_index_range(&groups->index, place - 1);

	/* If it does not stand on a member, the number may have become another range's. */
	if (next == chain || range.start != walk->range.start || range.last != walk->range.last)
		return NULL;
	return clv_chain_member(next);
}

/* Set the cursor on the next in the subset. pre: its guard is held. Returns: it; NULL: none. */
static struct cleave_interval *step(struct progress *walk, struct clv_groups *groups,
				    struct clv_subset *subset)
{
	struct cleave_interval *next;

	look_again(walk, &groups->index);
	while (!(next = next_in_place(walk, groups, subset))) {
		if (walk->cursor.place == CLV_PLACE_BACK)
			return NULL;
		next_place(walk);
	}
	walk->cursor.after = next;
	return next;
}

/*
 * Is there nobody in the subset that could overlap? `occupied` (acquire; partner is
 * clv_subset_set_occupied) is read between two looks at `given`: if no number was given meanwhile,
 * the places that it shows were of the ranges in `found`. One that was taken back and given again
 * would hide a source from us whose copy, come since, `occupied` does not show. So if it does not
 * show the copy, the source was there, and shown.
 */
static bool pass_by(struct progress *walk, const struct clv_range_index *index,
		    const struct clv_subset *subset)
{
	uint32_t places = 1u << CLV_PLACE_FRONT | 1u << CLV_PLACE_BACK;

	look_again(walk, index);
	for (unsigned i = 0; i < walk->found.count; i++)
		places |= 2u << walk->found.number[i];
	return !(__atomic_load_n(&subset->occupied, __ATOMIC_ACQUIRE) & places) &&
	       __atomic_load_n(&index->given, __ATOMIC_ACQUIRE) == walk->given;
}

static int walk_subset(struct progress *walk, struct clv_groups *groups, struct clv_subset *subset,
		       cleave_visit_fn *visit, void *arg)
{
	struct cleave_interval *member;
	int stop = 0;

	if (pass_by(walk, &groups->index, subset))
		return 0;
	walk->cursor.place = CLV_PLACE_FRONT;
	walk->cursor.after = NULL;
	walk->cursor.visited = NULL;
	guard(subset);
	walk->cursor.next = subset->cursors;
	subset->cursors = &walk->cursor;
	while (!stop && (member = step(walk, groups, subset))) {
		walk->cursor.visited = member;
		unguard(subset);
		stop = visit(&member->entry, arg);
		guard(subset);
		end_visit(subset, &walk->cursor);
	}
	leave(subset, &walk->cursor);
	unguard(subset);
	return stop;
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	struct clv_groups *groups = self;
	struct progress walk;
	int stop = 0;

	walk.start = start;
	walk.last = last;
	/* The rest is set when a subset is entered. */
	look(&walk, &groups->index);
	if (subset != CLEAVE_ALL_SUBSETS)
		return walk_subset(&walk, groups, groups->subset[subset], visit, arg);
	/* Each from another on: walks that all began at the first would queue at the same guards. */
	subset = (unsigned)(cleave_random(thread) % groups->subsets);
	for (unsigned i = 0; i < groups->subsets && !stop; i++) {
		stop = walk_subset(&walk, groups, groups->subset[subset], visit, arg);
		if (++subset == groups->subsets)
			subset = 0;
	}
	return stop;
}

static const char *validate(void *self)
{
	struct clv_groups *groups = self;

	for (unsigned i = 0; i < groups->subsets; i++) {
		if (groups->subset[i]->guard)
			return "a subset's guard was not let go";
		if (groups->subset[i]->cursors)
			return "a walk has left its cursor behind";
	}
	return clv_groups_validate(self);
}

const struct cleave_structure cleave_range_group_free = {
	.name = "range_group_free",
	.summary = "range_group with a spin bit a subset, which no visitor is under",
	.source = "made here, for the skew of the file reverse map",
	.kind = CLEAVE_CONCURRENT,
	.flags = CLEAVE_WALKS_UNLOCKED | CLEAVE_SPINS,
	.keeps = CLEAVE_KEEPS_ALL & ~(CLEAVE_C3_COVERAGE | CLEAVE_C6_LONG_HOLDS),
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = UINT64_MAX,
	.bounds = bounds,
	.create = clv_groups_create,
	.destroy = clv_groups_destroy,
	.insert = insert,
	.remove = remove_entry,
	.change = change,
	.walk = walk,
	.empty = clv_groups_empty,
	.validate = validate,
	.memory = clv_groups_memory,
	.entry_fields = clv_groups_entry_fields,
};
