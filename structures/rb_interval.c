// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The red-black interval tree of rb_tree.h over struct cleave_interval: bounds, links and subtree
 * maximum on one cache line, so that a level costs one line where rb_vma's costs two or three.
 *
 * Invariants, readers and writers, source: rb_tree.h. Cost: one line a level.
 */
#include "rb_tree.h"

static struct cleave_interval *interval_of(const struct clv_rb_node *node)
{
	return cleave_container_of(node, struct cleave_interval, word);
}

static struct clv_rb_node *node_of(struct cleave_entry *entry)
{
	uintptr_t *word = cleave_container_of(entry, struct cleave_interval, entry)->word;

	return (struct clv_rb_node *)word;
}

static uint64_t start_of(const struct clv_rb_node *node)
{
	return interval_of(node)->start;
}

static uint64_t last_of(const struct clv_rb_node *node)
{
	return interval_of(node)->last;
}

static const struct clv_rb_layout layout = {
	.start = start_of,
	.last = last_of,
	.node_offset = offsetof(struct cleave_interval, word),
	.tuned = true,
};

_Static_assert(sizeof(struct cleave_interval) == 64, "one line");
_Static_assert(offsetof(struct cleave_interval, word) + sizeof(struct clv_rb_node) <= 64,
	       "the node fits");

static void set_bounds(struct clv_rb_node *node, uint64_t start, uint64_t last)
{
	struct cleave_interval *interval = interval_of(node);

	interval->start = start;
	interval->last = last;
}

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	const struct cleave_interval *interval =
		cleave_container_of(entry, struct cleave_interval, entry);

	*start = interval->start;
	*last = interval->last;
}

/*
 * `source` needs no care: it is in the tree already, so that by start, then insertion, an entry
 * that does not start before it comes behind it (C2).
 */
static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct clv_rb_node *node = node_of(entry);

	(void)update;
	(void)source;
	set_bounds(node, start, last);
	clv_rb_insert(self, &layout, node, start, last);
}

static void insert_after(void *self, struct cleave_update *update, struct cleave_entry *parent,
			 struct cleave_entry *child, uint64_t start, uint64_t last)
{
	struct clv_rb_node *node = node_of(child);

	(void)update;
	set_bounds(node, start, last);
	clv_rb_insert_after(self, &layout, node_of(parent), node, last);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	(void)update;
	clv_rb_remove(self, &layout, node_of(entry));
}

/*
 * In place if `start` stays; and if the entry is the only one, since the root would be seen without
 * any while it is out, by those who ask unlocked (C8).
 */
static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	struct clv_rb_node *node = node_of(entry);

	if (start == start_of(node) || clv_rb_alone(node)) {
		uint64_t last_before = last_of(node);

		set_bounds(node, start, last);
		clv_rb_change_last(&layout, node, last_before, last);
		return;
	}
	remove_entry(self, update, entry);
	insert(self, update, entry, NULL, start, last);
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	(void)thread;
	(void)subset;
	return clv_rb_walk(self, &layout, start, last, visit, arg);
}

static const char *validate(void *self)
{
	return clv_rb_validate(self, &layout);
}

static const struct cleave_field entry_fields[] = {
	{ offsetof(struct cleave_interval, entry.subset), "subset" },
	{ offsetof(struct cleave_interval, entry.map_id), "map id" },
	{ offsetof(struct cleave_interval, start), "start" },
	{ offsetof(struct cleave_interval, last), "last" },
	{ offsetof(struct cleave_interval, word[0]), "parent, colour" },
	{ offsetof(struct cleave_interval, word[1]), "child before" },
	{ offsetof(struct cleave_interval, word[2]), "child behind" },
	{ offsetof(struct cleave_interval, word[3]), "subtree last" },
	{ offsetof(struct cleave_interval, word[4]), "unused" },
	{ 0, NULL },
};

const struct cleave_structure cleave_rb_interval = {
	.name = "rb_interval",
	.summary = "red-black interval tree, an entry on one cache line",
	.source = "Cormen et al., Introduction to Algorithms, 13 and 14.3",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = CLEAVE_ORDERED,
	.keeps = CLEAVE_KEEPS_ALL,
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = UINT64_MAX,
	.bounds = bounds,
	.create = clv_rb_create,
	.destroy = clv_rb_destroy,
	.insert = insert,
	.insert_after = insert_after,
	.remove = remove_entry,
	.change = change,
	.walk = walk,
	.empty = clv_rb_empty,
	.validate = validate,
	.memory = clv_rb_memory,
	.entry_fields = entry_fields,
};
