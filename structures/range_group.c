// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Groups of equal ranges. A shared library's thousands of mappings have five to seven distinct
 * ranges, so that a tree sorts what needs no sorting. Here the distinct ranges are in one small
 * index, which all subsets share and hardly anyone writes, and a range's intervals are in a list of
 * each subset's own; what has no group is in a tree.
 *
 *   index, shared:  hash of [start, last] -> n      range[n] = [0, 37] [38, 379] [380, 462] ...
 *                                            |
 *   subset 0:  front tree | chain[0] chain[1] chain[2] ... | back tree    under lock 0
 *   subset 1:  front tree | chain[0] chain[1] chain[2] ... | back tree    under lock 1
 *
 *   chain[n] <-> A <-> B <-> C <-> ...                                    all have range[n]
 *
 * Invariants, and where they are argued: the index range_index.h; the lists range_chain.h; what
 * goes where, the order of a walk and with it C1 and C2 range_subset.h; the tree rb_tree.h. Across
 * them: the subsets that have joined a range are its users in the index.
 *
 * Coming and going of groups. A subset that inserts a range without a group more often than others
 * (four times, of late) makes one; who is in the tree by then stays there till it leaves. A subset
 * stays joined while its list is empty, so that a range that comes and goes, as those do that an
 * execve passes through, does not come to the index's lock each time. When a range wants a group and
 * all numbers are taken, the subset leaves those that it has nobody in; a number is free when the
 * last has left. So at most 14 ranges have groups, and a number is kept by a subset that is idle.
 *
 * Readers: walks, under the locks of what they walk, shared, and of the index without any. Writers:
 * updates, under their subset's lock; the index's own spin bit is under all others and held for tens
 * of instructions, once for each subset and range.
 *
 * Reclamation: none needed. Entries are reached from their subset alone; the index's numbers are
 * used again only when no subset has joined them. Memory is allocated by `create` only, so that there
 * is no prepare and nothing that can fail: the links are in the entries.
 *
 * Progress: updates of different subsets meet at the index's lock only. Cost: an update of a
 * grouped range is constant; of another it is the tree's, and one lookup that fails; a walk reads
 * one line a subset, and only groups that overlap.
 *
 * Lines, of a grouped range: insert: the entry, the subset's first and the chain's (two chains on
 * the first line, four on each of three more), the member that was first; read alone and shared by all, two of
 * the index and one of pointers to subsets. Remove: the entry and its two neighbours in the chain.
 * Memory: 9 lines a map, 5 lines and a pointer a subset, nothing an interval.
 *
 * After the reverse map's own shape (Linux mm/rmap.c: what it holds) and the idea of buckets of
 * equal keys before a tree, as in duplicate chains of B-trees. Where it differs: buckets are split
 * over subsets while their directory is not.
 */
#include "../lib/shim/mark.h"
#include "range_subset.h"

struct object {
	struct clv_range_index index;
	unsigned subsets;
	struct clv_subset *subset[];
};

static size_t object_bytes(unsigned subsets)
{
	return sizeof(struct object) + subsets * sizeof(struct clv_subset *);
}

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	const struct cleave_interval *interval =
		cleave_container_of(entry, struct cleave_interval, entry);

	*start = interval->start;
	*last = interval->last;
}

static void destroy(void *self)
{
	struct object *object = self;

	for (unsigned i = 0; i < object->subsets && object->subset[i]; i++)
		cleave_free(object->subset[i], sizeof(struct clv_subset));
	cleave_free(object, object_bytes(object->subsets));
}

static const struct cleave_field index_fields[] = {
	{ offsetof(struct clv_range_index, bucket), "buckets" },
	{ offsetof(struct clv_range_index, range), "ranges" },
	{ offsetof(struct clv_range_index, lock), "index lock, users" },
	{ sizeof(struct clv_range_index), "subsets" },
	{ 0, NULL },
};

static const struct cleave_field subset_fields[] = {
	{ offsetof(struct clv_subset, front), "trees, occupied" },
	{ offsetof(struct clv_subset, chain), "chains" },
	{ offsetof(struct clv_subset, seen), "seen" },
	{ 0, NULL },
};

static int create(void **self, const struct cleave_structure_config *config)
{
	size_t bytes = object_bytes(config->subsets);
	struct object *object = cleave_alloc(bytes, _Alignof(struct object), config->node);

	if (!object)
		return -ENOMEM;
	clv_name(object, bytes, 0, "range_group", -1, index_fields);
	object->subsets = config->subsets;
	for (unsigned i = 0; i < config->subsets; i++) {
		struct clv_subset *subset = cleave_alloc(
			sizeof(*subset), _Alignof(struct clv_subset), config->node_of_subset[i]);

		if (!subset) {
			destroy(object);
			return -ENOMEM;
		}
		clv_name(subset, sizeof(*subset), 0, "subset", (int)i, subset_fields);
		clv_subset_init(subset);
		object->subset[i] = subset;
	}
	*self = object;
	return 0;
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct object *object = self;

	(void)update;
	clv_subset_insert(&object->index, object->subset[entry->subset], clv_member_of(entry),
			  source ? clv_member_of(source) : NULL, start, last);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	struct object *object = self;

	(void)update;
	clv_subset_remove(object->subset[entry->subset], clv_member_of(entry));
}

static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	struct object *object = self;

	(void)update;
	clv_subset_change(&object->index, object->subset[entry->subset], clv_member_of(entry),
			  start, last);
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	struct object *object = self;
	uint8_t number[CLV_INDEX_RANGES];
	unsigned numbers = clv_index_overlapping(&object->index, start, last, number);
	int stop = 0;

	(void)thread;
	if (subset != CLEAVE_ALL_SUBSETS)
		return clv_subset_walk(object->subset[subset], number, numbers, start, last, visit,
				       arg);
	for (unsigned i = 0; i < object->subsets && !stop; i++)
		stop = clv_subset_walk(object->subset[i], number, numbers, start, last, visit, arg);
	return stop;
}

/* A change stays in its subset, so that an interval is not overlooked by going from one to another. */
static bool empty(const void *self)
{
	const struct object *object = self;

	for (unsigned i = 0; i < object->subsets; i++) {
		if (!clv_subset_empty(object->subset[i]))
			return false;
	}
	return true;
}

static const char *validate(void *self)
{
	struct object *object = self;
	uint32_t users[CLV_INDEX_RANGES] = { 0 };

	for (unsigned i = 0; i < object->subsets; i++) {
		const char *reason =
			clv_subset_validate(&object->index, object->subset[i], i, users);

		if (reason)
			return reason;
	}
	return clv_index_validate(&object->index, users);
}

static size_t memory(const void *self)
{
	const struct object *object = self;

	return object_bytes(object->subsets) + object->subsets * sizeof(struct clv_subset);
}

static const struct cleave_field entry_fields[] = {
	{ offsetof(struct cleave_interval, entry.subset), "subset" },
	{ offsetof(struct cleave_interval, entry.map_id), "map id" },
	{ offsetof(struct cleave_interval, start), "start" },
	{ offsetof(struct cleave_interval, last), "last" },
	{ offsetof(struct cleave_interval, word[0]), "next; parent, colour" },
	{ offsetof(struct cleave_interval, word[1]), "previous; child before" },
	{ offsetof(struct cleave_interval, word[2]), "second behind; child behind" },
	{ offsetof(struct cleave_interval, word[3]), "third behind; subtree last" },
	{ offsetof(struct cleave_interval, word[4]), "fourth behind, tag" },
	{ 0, NULL },
};

const struct cleave_structure cleave_range_group = {
	.name = "range_group",
	.summary = "lists of equal ranges under a shared index, a tree for the rest",
	.source = "made here, for the skew of the file reverse map",
	.kind = CLEAVE_PARTITIONED,
	.flags = 0,
	.keeps = CLEAVE_KEEPS_ALL,
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = UINT64_MAX,
	.bounds = bounds,
	.create = create,
	.destroy = destroy,
	.insert = insert,
	.remove = remove_entry,
	.change = change,
	.walk = walk,
	.empty = empty,
	.validate = validate,
	.memory = memory,
	.entry_fields = entry_fields,
};
