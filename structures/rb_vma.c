// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The red-black interval tree of rb_tree.h over struct cleave_vma: the file reverse map of Linux
 * 6.18 in its memory layout, which is what its cost depends on. The baseline of every comparison.
 *
 *   line 0  address, address_limit      the length: read for `last`
 *   line 1  page_offset                 the key: read a level by an insert
 *   line 2  links, subtree maximum      read a level by all
 *
 * So an insert's way down reads two lines a level, and working out a subtree maximum reads three,
 * and line 2 of both children.
 *
 * `start` is page_offset; `last` is derived (struct cleave_vma). `address` stays the caller's,
 * whatever it is: the length is taken modulo 2^64, and last_max keeps it below that.
 *
 * Invariants, readers and writers, source: rb_tree.h. Linux keeps beside the root a pointer to
 * the first entry in order, for walks that end before it. Here there is none: removals, which look
 * there at every time in Linux, read the root's line only to write it.
 */
#include "rb_tree.h"

enum {
	PAGE_SHIFT = 12, /* address_limit - address counts bytes, the bounds pages */
};

static struct cleave_vma *vma_of(const struct clv_rb_node *node)
{
	return cleave_container_of(node, struct cleave_vma, word);
}

static struct clv_rb_node *node_of(struct cleave_entry *entry)
{
	return (struct clv_rb_node *)cleave_container_of(entry, struct cleave_vma, entry)->word;
}

static uint64_t derive_last(const struct cleave_vma *vma)
{
	return vma->page_offset + ((vma->address_limit - vma->address) >> PAGE_SHIFT) - 1;
}

static uint64_t start_of(const struct clv_rb_node *node)
{
	return vma_of(node)->page_offset;
}

static uint64_t last_of(const struct clv_rb_node *node)
{
	return derive_last(vma_of(node));
}

static const struct clv_rb_layout layout = {
	.start = start_of,
	.last = last_of,
	.node_offset = offsetof(struct cleave_vma, word),
	.tuned = false,
};

_Static_assert(sizeof(struct cleave_vma) == 192, "three lines");
_Static_assert(offsetof(struct cleave_vma, address_limit) < 64, "line 0");
_Static_assert(offsetof(struct cleave_vma, page_offset) / 64 == 1, "line 1");
_Static_assert(offsetof(struct cleave_vma, word) == 128, "line 2");

static void set_bounds(struct clv_rb_node *node, uint64_t start, uint64_t last)
{
	struct cleave_vma *vma = vma_of(node);

	vma->page_offset = start;
	vma->address_limit = vma->address + ((last - start + 1) << PAGE_SHIFT);
}

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	const struct cleave_vma *vma = cleave_container_of(entry, struct cleave_vma, entry);

	*start = vma->page_offset;
	*last = derive_last(vma);
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
	{ offsetof(struct cleave_vma, entry.subset), "subset" },
	{ offsetof(struct cleave_vma, entry.map_id), "map id" },
	{ offsetof(struct cleave_vma, address), "address" },
	{ offsetof(struct cleave_vma, address_limit), "address limit" },
	{ offsetof(struct cleave_vma, line0), "rest of line 0" },
	{ offsetof(struct cleave_vma, page_offset), "page offset" },
	{ offsetof(struct cleave_vma, line1_rest), "rest of line 1" },
	{ offsetof(struct cleave_vma, word[0]), "parent, colour" },
	{ offsetof(struct cleave_vma, word[1]), "child before" },
	{ offsetof(struct cleave_vma, word[2]), "child behind" },
	{ offsetof(struct cleave_vma, word[3]), "subtree last" },
	{ offsetof(struct cleave_vma, line2_rest), "rest of line 2" },
	{ 0, NULL },
};

const struct cleave_structure cleave_rb_vma = {
	.name = "rb_vma",
	.summary = "red-black interval tree in the memory layout of Linux's VMA, three lines",
	.source = "Cormen et al., Introduction to Algorithms, 13 and 14.3; "
		  "layout: Linux 6.18, struct vm_area_struct",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = CLEAVE_ORDERED,
	.keeps = CLEAVE_KEEPS_ALL,
	.entry_size_bytes = sizeof(struct cleave_vma),
	.entry_align_bytes = _Alignof(struct cleave_vma),
	/* 2^52 - 1 pages at most, so that their length in bytes is below 2^64. */
	.last_max = (UINT64_MAX >> PAGE_SHIFT) - 1,
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
