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
 * execve passes through, costs no more than others. When a range wants a group and all numbers are
 * taken, the subset leaves those that it has nobody in; a number is free when the last has left. So
 * at most 14 ranges have groups, and a number is kept by a subset that is idle.
 *
 * Readers: walks, under the locks of what they walk, shared, and of the index without any. Writers:
 * updates, under their subset's lock, of the subset; of the index who finds nobody busy with it, a
 * few times in a map's life.
 *
 * Reclamation: none needed. Entries are reached from their subset alone; the index's numbers are
 * used again only when no subset has joined them. Memory is allocated by `create` only, so that
 * there is no prepare and nothing that can fail: the links are in the entries.
 *
 * Progress: updates of different subsets share nothing that is written but when groups come and go,
 * and never wait for each other. Cost: an update of a grouped range is constant; of another it is
 * the tree's and one lookup that fails; a walk reads one line a subset, and only groups that
 * overlap.
 *
 * Lines, of a grouped range: insert: the entry, the subset's first and the chain's (two chains on
 * the first line, four on each of three more), the member that was first; read alone and shared by
 * all, two of the index and one of pointers to subsets. Remove: the entry and its two neighbours.
 * Memory: 9 lines a map, 5 lines and a pointer a subset, nothing an interval.
 *
 * Choose it where most intervals have one of few ranges: an update pair takes a twentieth of
 * rb_interval's. With ranges all distinct it is rb_interval and a few ns. Not where more than 14
 * ranges are frequent, nor where a walk must come in the order of `start`.
 *
 * After the reverse map's own shape (Linux mm/rmap.c: what it holds) and the idea of buckets of
 * equal keys before a tree, as in duplicate chains of B-trees. Where it differs: buckets are split
 * over subsets while their directory is not.
 */
#include "range_subset.h"

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct clv_groups *groups = self;

	(void)update;
	clv_subset_insert(groups, groups->subset[entry->subset], clv_member_of(entry),
			  source ? clv_member_of(source) : NULL, start, last);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	struct clv_groups *groups = self;

	(void)update;
	clv_subset_remove(groups->subset[entry->subset], clv_member_of(entry));
}

static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	struct clv_groups *groups = self;

	(void)update;
	clv_subset_change(groups, groups->subset[entry->subset], clv_member_of(entry), start, last,
			  NULL);
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	struct clv_groups *groups = self;
	struct clv_overlapping found;
	int stop = 0;

	(void)thread;
	clv_index_overlapping(&groups->index, start, last, &found);
	if (subset != CLEAVE_ALL_SUBSETS)
		return clv_subset_walk(groups->subset[subset], &found, start, last, visit, arg);
	for (unsigned i = 0; i < groups->subsets && !stop; i++)
		stop = clv_subset_walk(groups->subset[i], &found, start, last, visit, arg);
	return stop;
}

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
	.bounds = clv_groups_bounds,
	.create = clv_groups_create,
	.destroy = clv_groups_destroy,
	.insert = insert,
	.remove = remove_entry,
	.change = change,
	.walk = walk,
	.empty = clv_groups_empty,
	.validate = clv_groups_validate,
	.memory = clv_groups_memory,
	.entry_fields = clv_groups_entry_fields,
};
