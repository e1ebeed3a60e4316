// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Peer: the file reverse map's tree of Linux as it is, mm/interval_tree.c and lib/rbtree.c, over
 * objects in the memory layout of its VMA (struct cleave_vma). What its files say holds for them:
 * GPL-2.0-only and GPL-2.0-or-later. This file is the adapter.
 */
#include "kernel/shim.h"

#include "peer.h"

#define SAME(kernel, ours)                                                                         \
	_Static_assert(offsetof(struct vm_area_struct, kernel) ==                                  \
		       offsetof(struct cleave_vma, ours), #ours)
SAME(vm_start, address);
SAME(vm_end, address_limit);
SAME(vm_pgoff, page_offset);
SAME(shared, word);
#undef SAME
_Static_assert(sizeof(struct vm_area_struct) == sizeof(struct cleave_vma), "three lines");

enum { PAGE_SHIFT = 12 };

static struct vm_area_struct *vma_of(const struct cleave_entry *entry)
{
	return (struct vm_area_struct *)cleave_container_of(entry, struct cleave_vma, entry);
}

static struct cleave_entry *entry_of(struct vm_area_struct *vma)
{
	return &((struct cleave_vma *)vma)->entry;
}

static void set_bounds(struct vm_area_struct *vma, uint64_t start, uint64_t last)
{
	vma->vm_pgoff = start;
	vma->vm_end = vma->vm_start + ((last - start + 1) << PAGE_SHIFT);
}

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	struct vm_area_struct *vma = vma_of(entry);
	*start = vma->vm_pgoff;
	*last = vma->vm_pgoff + vma_pages(vma) - 1;
}

static int create(void **self, const struct cleave_structure_config *config)
{
	*self = cleave_alloc(sizeof(struct rb_root_cached), _Alignof(struct rb_root_cached),
			     config->node);
	return *self ? 0 : -ENOMEM;
}

static void destroy(void *self)
{
	cleave_free(self, sizeof(struct rb_root_cached));
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	(void)update;
	(void)source; /* ties go behind those that are there */
	set_bounds(vma_of(entry), start, last);
	vma_interval_tree_insert(vma_of(entry), self);
}

/*
 * The kernel's takes the maxima above the parent as they are, since its child ends where the parent
 * does. One that ends later goes behind all ties.
 */
static void insert_after(void *self, struct cleave_update *update, struct cleave_entry *parent,
			 struct cleave_entry *child, uint64_t start, uint64_t last)
{
	uint64_t parent_start, parent_last;
	bounds(parent, &parent_start, &parent_last);
	if (last > parent_last) {
		insert(self, update, child, parent, start, last);
		return;
	}
	set_bounds(vma_of(child), start, last);
	vma_interval_tree_insert_after(vma_of(child), vma_of(parent), self);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	(void)update;
	vma_interval_tree_remove(vma_of(entry), self);
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	(void)thread;
	(void)subset;
	for (struct vm_area_struct *at = vma_interval_tree_iter_first(self, start, last); at;
	     at = vma_interval_tree_iter_next(at, start, last)) {
		int code = visit(entry_of(at), arg);
		if (code)
			return code;
	}
	return 0;
}

static bool empty(const void *self)
{
	const struct rb_root_cached *root = self;
	return !READ_ONCE(root->rb_root.rb_node);
}

static const char *validate(void *self)
{
	struct rb_root_cached *root = self;
	struct vm_area_struct *before = NULL;
	for (struct rb_node *node = rb_first_cached(root); node; node = rb_next(node)) {
		struct vm_area_struct *vma = rb_entry(node, struct vm_area_struct, shared.rb);
		uint64_t start, last;
		bounds(entry_of(vma), &start, &last);
		if (before && before->vm_pgoff > start)
			return "an entry starts before the one in front of it";
		if (vma->shared.rb_subtree_last < last)
			return "a subtree's maximum is wrong";
		before = vma;
	}
	return NULL;
}

static size_t memory(const void *self)
{
	(void)self;
	return sizeof(struct rb_root_cached);
}

const struct cleave_structure clv_peer_kernel_interval_tree_vma = {
	.name = "kernel_interval_tree_vma",
	.summary = "Linux's file reverse map, an object of three lines (peer, GPL-2.0-only)",
	.source = "Linux " CLV_PEER_KERNEL ", mm/interval_tree.c, lib/rbtree.c",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = 0,
	.keeps = CLV_PEER_KEEPS,
	.entry_size_bytes = sizeof(struct cleave_vma),
	.entry_align_bytes = _Alignof(struct cleave_vma),
	.last_max = (UINT64_MAX >> PAGE_SHIFT) - 1,
	.bounds = bounds,
	.create = create,
	.destroy = destroy,
	.insert = insert,
	.insert_after = insert_after,
	.remove = remove_entry,
	.walk = walk,
	.empty = empty,
	.validate = validate,
	.memory = memory,
};
