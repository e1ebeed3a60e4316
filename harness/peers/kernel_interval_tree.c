// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Peer: Linux's interval tree, lib/rbtree.c under include/linux/interval_tree_generic.h, over an
 * object of one cache line, as lib/interval_tree.c has it. What its files say holds for them:
 * GPL-2.0-or-later. This file is the adapter; the kernel's are taken from Debian's linux-source.
 *
 * Ties go behind those that are there, so that C1 and C2 need no care.
 */
#include "kernel/shim.h"

#include <linux/interval_tree_generic.h>

#include "peer.h"

struct object {
	struct cleave_entry entry;
	unsigned long start, last;
	struct rb_node rb;
	unsigned long subtree_last;
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct object) == sizeof(struct cleave_interval), "one line");
_Static_assert(offsetof(struct object, start) == offsetof(struct cleave_interval, start) &&
	       offsetof(struct object, last) == offsetof(struct cleave_interval, last), "bounds");

static unsigned long start_of(struct object *object)
{
	return object->start;
}

static unsigned long last_of(struct object *object)
{
	return object->last;
}

INTERVAL_TREE_DEFINE(struct object, rb, unsigned long, subtree_last, start_of, last_of, static, tree)

static struct object *object_of(struct cleave_entry *entry)
{
	return cleave_container_of(entry, struct object, entry);
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
	(void)source;
	clv_peer_set_bounds(entry, start, last);
	tree_insert(object_of(entry), self);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	(void)update;
	tree_remove(object_of(entry), self);
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	(void)thread;
	(void)subset;
	for (struct object *at = tree_iter_first(self, start, last); at;
	     at = tree_iter_next(at, start, last)) {
		int code = visit(&at->entry, arg);
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
	const struct object *before = NULL;
	for (struct rb_node *node = rb_first_cached(root); node; node = rb_next(node)) {
		struct object *object = rb_entry(node, struct object, rb);
		if (before && before->start > object->start)
			return "an entry starts before the one in front of it";
		if (!tree_augment_compute_max(object, true))
			return "a subtree's maximum is wrong";
		before = object;
	}
	return NULL;
}

static size_t memory(const void *self)
{
	(void)self;
	return sizeof(struct rb_root_cached);
}

const struct cleave_structure clv_peer_kernel_interval_tree = {
	.name = "kernel_interval_tree",
	.summary = "Linux's interval tree, an object on one line (peer, GPL-2.0-or-later)",
	.source = "Linux " CLV_PEER_KERNEL ", lib/rbtree.c, include/linux/interval_tree_generic.h",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = 0,
	.keeps = CLV_PEER_KEEPS,
	.entry_size_bytes = sizeof(struct object),
	.entry_align_bytes = _Alignof(struct object),
	.last_max = UINT64_MAX,
	.bounds = clv_peer_bounds,
	.create = create,
	.destroy = destroy,
	.insert = insert,
	.remove = remove_entry,
	.walk = walk,
	.empty = empty,
	.validate = validate,
	.memory = memory,
};
