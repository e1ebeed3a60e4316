/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What range_group and range_group_free have in common: the object, the place that an interval gets
 * in its subset, and the order in which a walk comes to it. range_group.c has the drawing.
 *
 * A subset has 16 places, in the order of a walk:
 *
 *   FRONT: a tree | the groups it has joined, in the order of clv_range_follows | BACK: a tree
 *
 * Where an interval goes, by its source S, which walks must visit first unless it starts later:
 *   none, or S in front       its group if there is one, else front
 *   S starts later            likewise
 *   S in group A              its group if that is A (then behind S in it) or follows A, else back
 *   S in back                 back
 * Front is sorted by start, ties by insertion, so that S and an interval that does not start before
 * it are in order there; so is back. Hence C1 and C2, whatever groups come and go meanwhile: an
 * interval keeps its place until it is changed or removed.
 *
 * Invariants (clv_subset_validate): an entry's tag names its place; a group's members have its
 * range, and the subset has joined it; `occupied` says which places have somebody.
 *
 * Readers and writers: a writer has the subset alone, walkers share it; only `occupied` (C8) and
 * `joined` (clv_index_reap) are also read by those who hold nothing.
 */
#ifndef CLV_RANGE_SUBSET_H
#define CLV_RANGE_SUBSET_H

#include "../lib/shim/mark.h"
#include "range_chain.h"
#include "range_index.h"
#include "rb_tree.h"

enum {
	CLV_PLACE_FRONT = 0, /* range n of the index is place n + 1 */
	CLV_PLACE_BACK = CLV_INDEX_RANGES + 1,
	CLV_PLACES,

	CLV_SUBSET_SEEN = 13,
	CLV_SUBSET_PATIENCE = 4,
};

_Static_assert((int)CLV_PLACES <= (int)CLV_CHAIN_TAGS, "a place is a tag");

struct clv_cursor;

struct clv_subset {
	_Alignas(64) struct clv_rb_tree front;
	uint32_t occupied; /* set of places */
	uint32_t joined;   /* set of the index's numbers */
	uint32_t guard;	   /* range_group_free's, as the next two */
	uint32_t ended;	   /* visits; wraps */
	struct clv_cursor *cursors;
	/* The first ones given, which are the likely ones, are on the line that all walks read. */
	struct clv_chain chain[CLV_INDEX_RANGES];
	/*
	 * How often ranges without a group were inserted of late: 24 bits of the hash and a count,
	 * which others that hash here wear down.
	 */
	_Alignas(64) uint32_t seen[CLV_SUBSET_SEEN];
	uint32_t patience; /* how often a range must be seen before it gets a group */
	struct clv_rb_tree back;
};

_Static_assert(offsetof(struct clv_subset, seen) == 4 * 64, "two chains on the first line");
_Static_assert(sizeof(struct clv_subset) == 5 * 64, "five lines");

/* A map's object. */
struct clv_groups {
	struct clv_range_index index;
	unsigned subsets;
	struct clv_subset *subset[];
};

/* ---- the entry ---- */

static inline struct cleave_interval *clv_member_of(struct cleave_entry *entry)
{
	return cleave_container_of(entry, struct cleave_interval, entry);
}

static inline struct cleave_interval *clv_member_of_node(const struct clv_rb_node *node)
{
	return cleave_container_of(node, struct cleave_interval, word);
}

static inline struct clv_rb_node *clv_member_node(struct cleave_interval *member)
{
	return (struct clv_rb_node *)(void *)member->word;
}

static inline uint64_t clv_member_start(const struct clv_rb_node *node)
{
	return clv_member_of_node(node)->start;
}

static inline uint64_t clv_member_last(const struct clv_rb_node *node)
{
	return clv_member_of_node(node)->last;
}

static const struct clv_rb_layout clv_subset_layout = {
	.start = clv_member_start,
	.last = clv_member_last,
	.node_offset = offsetof(struct cleave_interval, word),
	.tuned = true,
};

_Static_assert(sizeof(struct cleave_interval) == 64, "one line");
_Static_assert(sizeof(struct clv_rb_node) <= CLV_CHAIN_TAG * sizeof(uintptr_t),
	       "a node leaves the tag alone");

/* Of an entry in a tree as of one in a chain. */
static inline unsigned clv_place_of(const struct cleave_interval *member)
{
	return clv_chain_tag(member);
}

/* Release: for who reads bounds that are being changed, partner is bounds in range_group_free.c. */
static inline void clv_member_set_bounds(struct cleave_interval *member, uint64_t start,
					 uint64_t last)
{
	__atomic_store_n(&member->start, start, __ATOMIC_RELEASE);
	__atomic_store_n(&member->last, last, __ATOMIC_RELEASE);
}

static inline bool clv_place_is_tree(unsigned place)
{
	return place == CLV_PLACE_FRONT || place == CLV_PLACE_BACK;
}

static inline struct clv_rb_tree *clv_place_tree(struct clv_subset *subset, unsigned place)
{
	return place == CLV_PLACE_FRONT ? &subset->front : &subset->back;
}

/* ---- occupied ---- */

/* Release: for a place's number in the index, partner is pass_by in range_group_free.c. */
static inline void clv_subset_set_occupied(struct clv_subset *subset, uint32_t occupied)
{
	if (occupied != subset->occupied)
		__atomic_store_n(&subset->occupied, occupied, __ATOMIC_RELEASE);
}

/*
 * Relaxed: who asks follows nothing. Whoever knows that an insert has returned knows it through
 * something that orders the two, and coherence then forbids him an older value.
 */
static inline bool clv_subset_empty(const struct clv_subset *subset)
{
	return !__atomic_load_n(&subset->occupied, __ATOMIC_RELAXED);
}

/* The last one has left `place`. */
static inline void clv_subset_vacate(struct clv_subset *subset, unsigned place)
{
	clv_subset_set_occupied(subset, subset->occupied & ~(1u << place));
}

static inline void clv_subset_occupy(struct clv_subset *subset, unsigned place)
{
	clv_subset_set_occupied(subset, subset->occupied | 1u << place);
}

/* ---- groups ---- */

/*
 * Say that the subset has joined n, and see whether it may. Returns: n's place; FRONT: it may not.
 * The full fence orders no more than the two (clv_index_may_join).
 */
static inline unsigned clv_subset_join(const struct clv_range_index *index,
				       struct clv_subset *subset, unsigned n, uint64_t start,
				       uint64_t last)
{
	uint32_t before = subset->joined;

	clv_index_store_and_fence(&subset->joined, before | 1u << n);
	if (clv_index_may_join(index, n, start, last))
		return n + 1;
	__atomic_store_n(&subset->joined, before, __ATOMIC_RELAXED);
	return CLV_PLACE_FRONT;
}

/*
 * Partner: clv_subset_join, by its fence. Acquire: and the release in clv_groups_number; who had
 * been in the group is gone for whoever sees the number given again.
 */
static inline uint32_t clv_subset_joined(const void *arg, unsigned subset)
{
	const struct clv_groups *groups = arg;

	return __atomic_load_n(&groups->subset[subset]->joined, __ATOMIC_ACQUIRE);
}

/* A number for the range, if somebody else is not busy with numbers. Returns: it has one. */
static inline bool clv_groups_number(struct clv_groups *groups, struct clv_subset *subset,
				     uint32_t hash, uint64_t start, uint64_t last)
{
	uint32_t used = subset->occupied >> 1;
	bool given;

	if (!clv_index_try_begin(&groups->index))
		return false;
	given = clv_index_give(&groups->index, hash, start, last);
	if (!given) {
		/* Release: partner is clv_subset_joined. */
		__atomic_store_n(&subset->joined, subset->joined & used, __ATOMIC_RELEASE);
		clv_index_reap(&groups->index, groups->subsets, clv_subset_joined, groups);
		given = clv_index_give(&groups->index, hash, start, last);
		/* Each time it is called for in vain, half as often. */
		if (!given && subset->patience < 128)
			subset->patience *= 2;
	}
	clv_index_end(&groups->index);
	return given;
}

/*
 * The range has no group: count it. Returns: has it been seen so often by now that it should have
 * one?
 */
static inline bool clv_subset_notice(struct clv_subset *subset, uint32_t hash)
{
	uint32_t *seen = &subset->seen[hash % CLV_SUBSET_SEEN];

	if ((*seen ^ hash << 8) >> 8) {
		/* Another's. One less, or if that was the last, ours. */
		*seen = *seen & 254 ? *seen - 1 : (hash << 8 | 1);
		return false;
	}
	if ((++*seen & 255) < subset->patience)
		return false;
	*seen = 0;
	return true;
}

/* The place of the range's group, if it has one and the subset has joined that; else FRONT. */
static inline unsigned clv_subset_find(const struct clv_range_index *index,
				       const struct clv_subset *subset, uint32_t hash,
				       uint64_t start, uint64_t last)
{
	int n = clv_index_find(index, hash, start, last);

	return n != CLV_INDEX_NONE && subset->joined & 1u << n ? (unsigned)n + 1 : CLV_PLACE_FRONT;
}

/* The same, but the subset joins, and makes the group if that is due. */
static inline unsigned clv_subset_group(struct clv_groups *groups, struct clv_subset *subset,
					uint64_t start, uint64_t last)
{
	uint32_t hash = clv_index_hash(start, last);
	int n = clv_index_find(&groups->index, hash, start, last);

	if (n == CLV_INDEX_NONE && clv_subset_notice(subset, hash) &&
	    clv_groups_number(groups, subset, hash, start, last))
		n = clv_index_find(&groups->index, hash, start, last);
	if (n == CLV_INDEX_NONE)
		return CLV_PLACE_FRONT;
	if (subset->joined & 1u << n)
		return (unsigned)n + 1;
	return clv_subset_join(&groups->index, subset, (unsigned)n, start, last);
}

/* The table at the head of this file. */
static inline unsigned clv_subset_place(struct clv_groups *groups, struct clv_subset *subset,
					const struct cleave_interval *source, uint64_t start,
					uint64_t last)
{
	unsigned group = clv_subset_group(groups, subset, start, last);
	unsigned at;

	if (!source || start < source->start)
		return group;
	at = clv_place_of(source);
	if (at == CLV_PLACE_FRONT || group == at)
		return group;
	if (at == CLV_PLACE_BACK || group == CLV_PLACE_FRONT)
		return CLV_PLACE_BACK;
	return clv_range_follows((struct clv_range) { start, last },
				 (struct clv_range) { source->start, source->last })
		       ? group
		       : CLV_PLACE_BACK;
}

/* ---- updates ---- */

/* Put `member`, whose bounds are set, at `place`; behind `source` if that is there too. */
static inline void clv_subset_put(struct clv_subset *subset, unsigned place,
				  struct cleave_interval *source, struct cleave_interval *member)
{
	struct clv_rb_node *node = clv_member_node(member);
	struct clv_rb_tree *tree = clv_place_tree(subset, place);

	if (source && clv_place_of(source) != place)
		source = NULL;
	if (!clv_place_is_tree(place)) {
		if (source)
			clv_chain_push_behind(source, member);
		else
			clv_chain_push(&subset->chain[place - 1], member, place);
		return;
	}
	clv_chain_set_tag(member, place);
	if (source && source->start == member->start)
		clv_rb_insert_after(tree, &clv_subset_layout, clv_member_node(source), node,
				    member->last);
	else
		clv_rb_insert(tree, &clv_subset_layout, node, member->start, member->last);
}

/* Take `member` out of `place`. Returns: whether it was the only one there. */
static inline bool clv_subset_take(struct clv_subset *subset, unsigned place,
				   struct cleave_interval *member)
{
	struct clv_rb_tree *tree = clv_place_tree(subset, place);

	if (!clv_place_is_tree(place))
		return clv_chain_remove(member);
	clv_rb_remove(tree, &clv_subset_layout, clv_member_node(member));
	return !tree->root;
}

/* All but the short way. */
static __attribute__((noinline)) void clv_subset_insert_slow(struct clv_groups *groups,
							     struct clv_subset *subset,
							     struct cleave_interval *member,
							     struct cleave_interval *source)
{
	unsigned place = clv_subset_place(groups, subset, source, member->start, member->last);

	clv_subset_put(subset, place, source, member);
	clv_subset_occupy(subset, place);
}

static inline void clv_subset_insert(struct clv_groups *groups, struct clv_subset *subset,
				     struct cleave_interval *member, struct cleave_interval *source,
				     uint64_t start, uint64_t last)
{
	unsigned place =
		clv_subset_find(&groups->index, subset, clv_index_hash(start, last), start, last);

	clv_member_set_bounds(member, start, last);
	if (__builtin_expect(source || place == CLV_PLACE_FRONT, 0)) {
		clv_subset_insert_slow(groups, subset, member, source);
		return;
	}
	clv_chain_push(&subset->chain[place - 1], member, place);
	clv_subset_occupy(subset, place);
}

static __attribute__((noinline)) void clv_subset_remove_slow(struct clv_subset *subset,
							     struct cleave_interval *member)
{
	unsigned place = clv_place_of(member);

	if (clv_subset_take(subset, place, member))
		clv_subset_vacate(subset, place);
}

static inline void clv_subset_remove(struct clv_subset *subset, struct cleave_interval *member)
{
	unsigned place = clv_place_of(member);

	if (__builtin_expect(clv_place_is_tree(place), 0)) {
		clv_subset_remove_slow(subset, member);
		return;
	}
	if (clv_chain_remove(member))
		clv_subset_vacate(subset, place);
}

/*
 * A new place, as that of an insert without a source; `occupied` is never 0 meanwhile (C8).
 * `leaves` (or NULL) is told before `member` leaves the old one, if it does.
 */
static inline void clv_subset_change(struct clv_groups *groups, struct clv_subset *subset,
				     struct cleave_interval *member, uint64_t start, uint64_t last,
				     void (*leaves)(struct clv_subset *subset,
						    struct cleave_interval *member))
{
	unsigned from = clv_place_of(member);
	unsigned to = clv_subset_place(groups, subset, NULL, start, last);
	bool vacant;

	if (from == to && start == member->start) {
		uint64_t last_before = member->last;

		clv_member_set_bounds(member, start, last);
		if (clv_place_is_tree(to))
			clv_rb_change_last(&clv_subset_layout, clv_member_node(member), last_before,
					   last);
		return;
	}
	if (leaves)
		leaves(subset, member);
	clv_subset_occupy(subset, to);
	vacant = clv_subset_take(subset, from, member);
	clv_member_set_bounds(member, start, last);
	clv_subset_put(subset, to, NULL, member);
	if (vacant && from != to)
		clv_subset_vacate(subset, from);
}

/* ---- walk, validate ---- */

static inline int clv_subset_walk(const struct clv_subset *subset,
				  const struct clv_overlapping *groups, uint64_t start,
				  uint64_t last, cleave_visit_fn *visit, void *arg)
{
	uint32_t occupied = subset->occupied;
	int stop = 0;

	if (occupied & 1u << CLV_PLACE_FRONT)
		stop = clv_rb_walk(&subset->front, &clv_subset_layout, start, last, visit, arg);
	for (unsigned i = 0; i < groups->count && !stop; i++) {
		if (occupied & 2u << groups->number[i])
			stop = clv_chain_walk(&subset->chain[groups->number[i]], visit, arg);
	}
	if (!stop && occupied & 1u << CLV_PLACE_BACK)
		stop = clv_rb_walk(&subset->back, &clv_subset_layout, start, last, visit, arg);
	return stop;
}

static inline int clv_subset_misplaced(struct cleave_entry *entry, void *arg)
{
	const struct cleave_interval *member = clv_member_of(entry);
	const unsigned *expected = arg; /* the subset, the place */

	if (entry->subset != expected[0])
		return 1;
	return clv_place_of(member) == expected[1] ? 0 : 2;
}

/* Returns: NULL, or the reason. */
static inline const char *clv_subset_validate_place(const struct clv_range_index *index,
						    struct clv_subset *subset, unsigned number,
						    unsigned place)
{
	static const char *const misplaced[] = { NULL, "an entry has another subset stored (C7)",
						 "an entry's tag names another place" };
	unsigned expected[] = { number, place };
	const char *reason;
	bool vacant;
	int wrong;

	if (clv_place_is_tree(place)) {
		struct clv_rb_tree *tree = clv_place_tree(subset, place);

		vacant = !tree->root;
		reason = clv_rb_validate(tree, &clv_subset_layout);
		wrong = reason ? 0
			       : clv_rb_walk(tree, &clv_subset_layout, 0, UINT64_MAX,
					     clv_subset_misplaced, expected);
	} else {
		const struct clv_chain *chain = &subset->chain[place - 1];
		struct clv_range range = index->range[place - 1];

		vacant = clv_chain_empty(chain);
		if (!vacant && !(subset->joined & 1u << (place - 1)))
			return "a subset has members of a range that it has not joined";
		reason = clv_chain_validate(chain, place, range.start, range.last);
		wrong = reason ? 0 : clv_chain_walk(chain, clv_subset_misplaced, expected);
	}
	if (!reason)
		reason = misplaced[wrong];
	if (!reason && vacant != !(subset->occupied & 1u << place))
		reason = "a subset's word on which places have somebody is wrong";
	return reason;
}

static inline const char *clv_subset_validate(const struct clv_range_index *index,
					      struct clv_subset *subset, unsigned number)
{
	const char *reason = NULL;

	for (unsigned place = 0; place < CLV_PLACES && !reason; place++)
		reason = clv_subset_validate_place(index, subset, number, place);
	return reason;
}

/* ---- members of the vtable that are the same in both forms ---- */

static inline size_t clv_groups_bytes(unsigned subsets)
{
	return sizeof(struct clv_groups) + subsets * sizeof(struct clv_subset *);
}

static inline void clv_groups_destroy(void *self)
{
	struct clv_groups *groups = self;

	for (unsigned i = 0; i < groups->subsets && groups->subset[i]; i++)
		cleave_free(groups->subset[i], sizeof(struct clv_subset));
	cleave_free(groups, clv_groups_bytes(groups->subsets));
}

static const struct cleave_field clv_groups_fields[] = {
	{ offsetof(struct clv_groups, index.bucket), "buckets" },
	{ offsetof(struct clv_groups, index.range), "ranges" },
	{ offsetof(struct clv_groups, index.busy), "busy" },
	{ offsetof(struct clv_groups, subsets), "subsets" },
	{ 0, NULL },
};

static const struct cleave_field clv_subset_fields[] = {
	{ offsetof(struct clv_subset, front), "front, occupied, joined" },
	{ offsetof(struct clv_subset, guard), "guard" },
	{ offsetof(struct clv_subset, ended), "ended, cursors" },
	{ offsetof(struct clv_subset, chain), "chains 0, 1" },
	{ offsetof(struct clv_subset, chain[2]), "chains" },
	{ offsetof(struct clv_subset, seen), "seen, patience, back" },
	{ 0, NULL },
};

static inline int clv_groups_create(void **self, const struct cleave_structure_config *config)
{
	size_t bytes = clv_groups_bytes(config->subsets);
	struct clv_groups *groups = cleave_alloc(bytes, _Alignof(struct clv_groups), config->node);

	if (!groups)
		return -ENOMEM;
	clv_name(groups, bytes, 0, "groups", -1, clv_groups_fields);
	groups->subsets = config->subsets;
	for (unsigned i = 0; i < config->subsets; i++) {
		struct clv_subset *subset = cleave_alloc(
			sizeof(*subset), _Alignof(struct clv_subset), config->node_of_subset[i]);

		if (!subset) {
			clv_groups_destroy(groups);
			return -ENOMEM;
		}
		clv_name(subset, sizeof(*subset), 0, "subset", (int)i, clv_subset_fields);
		subset->patience = CLV_SUBSET_PATIENCE;
		for (unsigned n = 0; n < CLV_INDEX_RANGES; n++)
			clv_chain_init(&subset->chain[n]);
		groups->subset[i] = subset;
	}
	*self = groups;
	return 0;
}

/* A change stays in its subset: nobody is overlooked by going from one that is yet to be read. */
static inline bool clv_groups_empty(const void *self)
{
	const struct clv_groups *groups = self;

	for (unsigned i = 0; i < groups->subsets; i++) {
		if (!clv_subset_empty(groups->subset[i]))
			return false;
	}
	return true;
}

static inline const char *clv_groups_validate(void *self)
{
	struct clv_groups *groups = self;
	uint32_t joined = 0;

	for (unsigned i = 0; i < groups->subsets; i++) {
		const char *reason = clv_subset_validate(&groups->index, groups->subset[i], i);

		if (reason)
			return reason;
		joined |= groups->subset[i]->joined;
	}
	return clv_index_validate(&groups->index, joined);
}

static inline size_t clv_groups_memory(const void *self)
{
	const struct clv_groups *groups = self;

	return clv_groups_bytes(groups->subsets) + groups->subsets * sizeof(struct clv_subset);
}

static inline void clv_groups_bounds(const struct cleave_entry *entry, uint64_t *start,
				     uint64_t *last)
{
	const struct cleave_interval *interval =
		cleave_container_of(entry, struct cleave_interval, entry);

	*start = interval->start;
	*last = interval->last;
}

static const struct cleave_field clv_groups_entry_fields[] = {
	{ offsetof(struct cleave_interval, entry.subset), "subset" },
	{ offsetof(struct cleave_interval, entry.map_id), "map id" },
	{ offsetof(struct cleave_interval, start), "start" },
	{ offsetof(struct cleave_interval, last), "last" },
	{ offsetof(struct cleave_interval, word[0]), "next; parent, colour" },
	{ offsetof(struct cleave_interval, word[1]), "previous; child before" },
	{ offsetof(struct cleave_interval, word[2]), "second behind; child behind" },
	{ offsetof(struct cleave_interval, word[3]), "third behind; subtree last" },
	{ offsetof(struct cleave_interval, word[4]), "tag" },
	{ 0, NULL },
};

#endif
