/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * For the tests of rb_interval and rb_vma: what they know of the two layouts, and short names for
 * the calls. The vtable is called directly, without a map.
 */
#ifndef CLV_TESTS_RB_BENCH_H
#define CLV_TESTS_RB_BENCH_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "structures/rb_tree.h"

extern const struct cleave_structure cleave_rb_interval;
extern const struct cleave_structure cleave_rb_vma;

/* What the tests know of a layout beside its vtable. */
struct shape {
	const struct cleave_structure *structure;
	size_t node_offset;
	/* Move start and leave last, as no operation does. */
	void (*tamper_start)(struct cleave_entry *entry, int64_t by);
	/* Let last be the one before start. */
	void (*tamper_last)(struct cleave_entry *entry);
};

static inline void tamper_interval_start(struct cleave_entry *entry, int64_t by)
{
	((struct cleave_interval *)entry)->start += (uint64_t)by;
}

static inline void tamper_interval_last(struct cleave_entry *entry)
{
	struct cleave_interval *interval = (struct cleave_interval *)entry;

	interval->last = interval->start - 1;
}

static inline void tamper_vma_start(struct cleave_entry *entry, int64_t by)
{
	struct cleave_vma *vma = (struct cleave_vma *)entry;

	vma->page_offset += (uint64_t)by;
	vma->address_limit -= (uint64_t)by * 4096;
}

static inline void tamper_vma_last(struct cleave_entry *entry)
{
	struct cleave_vma *vma = (struct cleave_vma *)entry;

	vma->address_limit = vma->address;
}

static const struct shape shapes[] = {
	{ &cleave_rb_interval, offsetof(struct cleave_interval, word), tamper_interval_start,
	  tamper_interval_last },
	{ &cleave_rb_vma, offsetof(struct cleave_vma, word), tamper_vma_start, tamper_vma_last },
};

enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

/* A structure with entries to put in. The structures look at no member of `update`. */
struct bench {
	const struct shape *shape;
	const struct cleave_structure *s;
	void *self;
	unsigned char *entries;
	struct cleave_update update;
};

static inline struct bench set_up(const struct shape *shape, size_t entries)
{
	struct bench b = { .shape = shape, .s = shape->structure };
	struct cleave_structure_config config = { .subsets = 1, .node = -1 };
	size_t bytes = entries * b.s->entry_size_bytes;

	cr_assert_eq(b.s->create(&b.self, &config), 0);
	b.entries = aligned_alloc(b.s->entry_align_bytes, bytes);
	cr_assert_not_null(b.entries);
	memset(b.entries, 0, bytes);
	return b;
}

static inline void tear_down(struct bench *b)
{
	b->s->destroy(b->self);
	free(b->entries);
}

static inline struct cleave_entry *at(const struct bench *b, size_t i)
{
	return (struct cleave_entry *)(b->entries + i * b->s->entry_size_bytes);
}

static inline size_t index_of(const struct bench *b, const struct cleave_entry *entry)
{
	return (size_t)((const unsigned char *)entry - b->entries) / b->s->entry_size_bytes;
}

static inline struct clv_rb_node *node_at(const struct bench *b, size_t i)
{
	return (struct clv_rb_node *)((unsigned char *)at(b, i) + b->shape->node_offset);
}

static inline void insert(struct bench *b, size_t i, uint64_t start, uint64_t last)
{
	b->s->insert(b->self, &b->update, at(b, i), NULL, start, last);
}

static inline void insert_after(struct bench *b, size_t parent, size_t i, uint64_t start,
				uint64_t last)
{
	b->s->insert_after(b->self, &b->update, at(b, parent), at(b, i), start, last);
}

static inline void change(struct bench *b, size_t i, uint64_t start, uint64_t last)
{
	b->s->change(b->self, &b->update, at(b, i), start, last);
}

static inline void remove_at(struct bench *b, size_t i)
{
	b->s->remove(b->self, &b->update, at(b, i));
}

enum { SEEN_MAX = 4096 };

struct seen {
	const struct bench *b;
	size_t count, stop_at; /* stop_at 0: never */
	size_t index[SEEN_MAX];
};

static inline int see(struct cleave_entry *entry, void *arg)
{
	struct seen *seen = arg;

	cr_assert_lt(seen->count, (size_t)SEEN_MAX);
	seen->index[seen->count++] = index_of(seen->b, entry);
	return seen->count == seen->stop_at ? 7 : 0;
}

static inline int walk(const struct bench *b, uint64_t start, uint64_t last, size_t stop_at,
		       struct seen *seen)
{
	seen->b = b;
	seen->count = 0;
	seen->stop_at = stop_at;
	return b->s->walk(b->self, NULL, 0, start, last, see, seen);
}

static inline void assert_sound(const struct bench *b)
{
	const char *reason = b->s->validate(b->self);

	cr_assert_null(reason, "%s: %s", b->s->name, reason);
}

static inline void assert_order(const struct bench *b, const size_t *expected, size_t count)
{
	struct seen seen;

	assert_sound(b);
	cr_assert_eq(walk(b, 0, b->s->last_max, 0, &seen), 0);
	cr_assert_eq(seen.count, count, "%s: %zu seen", b->s->name, seen.count);
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(seen.index[i], expected[i], "%s: place %zu has %zu, not %zu",
			     b->s->name, i, seen.index[i], expected[i]);
}

#endif
