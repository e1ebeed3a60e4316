// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What rb_compact has of its own and the contract suite does not reach: that validate finds each
 * kind of damage, that a promised node is there whatever came between, and where it ends.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "structures/rb_compact_nodes.h"

extern const struct cleave_structure cleave_rb_compact;

enum { ENTRIES = 1000, DAMAGED = 100 };

struct bench {
	const struct cleave_structure *s;
	struct tree *tree;
	struct cleave_interval *entries;
};

/* A batch of one that is prepared and not applied. */
struct pending {
	struct cleave_op op;
	void *reserve;
};

static struct bench set_up(void)
{
	struct bench b = { .s = &cleave_rb_compact };
	struct cleave_structure_config config = { .subsets = 1, .node = -1 };
	void *self;

	cr_assert_eq(b.s->create(&self, &config), 0);
	b.tree = self;
	b.entries = aligned_alloc(64, ENTRIES * sizeof(*b.entries));
	memset(b.entries, 0, ENTRIES * sizeof(*b.entries));
	return b;
}

static void tear_down(struct bench *b)
{
	cr_assert_eq(b->tree->promised, 0u);
	b->s->destroy(b->tree);
	free(b->entries);
}

static int begin(struct bench *b, size_t i, uint64_t start, uint64_t last, struct pending *pending)
{
	pending->op = (struct cleave_op) { CLEAVE_INSERT, &b->entries[i].entry, NULL, start, last };
	return b->s->prepare(b->tree, NULL, &pending->op, 1, &pending->reserve);
}

static void apply(struct bench *b, struct pending *pending)
{
	struct cleave_update update = { .reserve = pending->reserve };
	const struct cleave_op *op = &pending->op;

	b->s->insert(b->tree, &update, op->entry, NULL, op->start, op->last);
	b->s->settle(b->tree, NULL, pending->reserve);
}

static void insert(struct bench *b, size_t i, uint64_t start, uint64_t last)
{
	struct pending pending;

	cr_assert_eq(begin(b, i, start, last, &pending), 0);
	apply(b, &pending);
}

static void remove_at(struct bench *b, size_t i)
{
	struct cleave_update update = { .reserve = NULL };

	b->s->remove(b->tree, &update, &b->entries[i].entry);
}

static struct node *node_of(const struct bench *b, size_t i)
{
	return node_at(b->tree->nodes, (uint32_t)b->entries[i].word[0]);
}

static void assert_sound(const struct bench *b)
{
	const char *reason = b->s->validate(b->tree);

	cr_assert_null(reason, "%s", reason);
}

static void assert_reason(const struct bench *b, const char *part)
{
	const char *reason = b->s->validate(b->tree);

	cr_assert_not_null(reason, "not found: %s", part);
	cr_assert_not_null(strstr(reason, part), "%s, not %s", reason, part);
}

/* Distinct starts, 10 apart, more than three levels, and some free nodes. */
static struct bench set_up_sound(void)
{
	struct bench b = set_up();

	for (size_t n = 0; n < DAMAGED + 10; n++)
		insert(&b, n, 10 + n * 37 % 110 * 10, 14 + n * 37 % 110 * 10);
	for (size_t n = 0; n < 10; n++)
		remove_at(&b, DAMAGED + n);
	assert_sound(&b);
	return b;
}

Test(rb_compact, layout)
{
	struct bench b = set_up();

	cr_assert_eq(sizeof(struct node), 32u);
	cr_assert_eq(b.s->entry_size_bytes, 64u);
	cr_assert_eq(b.s->memory(b.tree), 64u + FIRST_NODES * 32u);
	insert(&b, 0, 0, LAST_MAX);
	insert(&b, 1, LAST_MAX, LAST_MAX);
	cr_assert_eq(entry_of(node_of(&b, 1)), &b.entries[1].entry);
	assert_sound(&b);
	tear_down(&b);
}

Test(rb_compact, validate_finds_wrong_maxima_and_bounds)
{
	struct bench b = set_up_sound();

	for (size_t n = 0; n < DAMAGED; n++) {
		struct node *node = node_of(&b, n);

		for (int side = 0; side < 2; side++) {
			node->max[side]++;
			assert_reason(&b, node->child[side] ? "max is not" : "missing child");
			node->max[side]--;
			/* What reaches further, the node above may be told of first. */
			node->bound[side] += 2;
			assert_reason(&b, side ? "" : "different bounds");
			node->bound[side] -= 2;
		}
		b.entries[n].word[0] += LINK;
		assert_reason(&b, "do not refer to each other");
		b.entries[n].word[0] -= LINK;
	}
	b.tree->nodes->max[1]++;
	assert_reason(&b, "max is not the largest last of all");
	b.tree->nodes->max[1]--;
	assert_sound(&b);
	tear_down(&b);
}

Test(rb_compact, validate_finds_a_wrong_order)
{
	struct bench b = set_up_sound();

	for (size_t n = 0; n < DAMAGED; n++) {
		uint64_t start = b.entries[n].start;

		/* Half of the others are behind it, but it says that it is the last; or the first.
		 */
		b.entries[n].start = b.entries[n].start > 600 ? 0 : b.entries[n].last;
		node_of(&b, n)->bound[0] =
			(uint32_t)b.entries[n].start * 2 | red(node_of(&b, n), 0);
		if (b.entries[n].start == 0)
			assert_reason(&b, "starts before the one in front");
		else
			assert_sound(&b); /* still in front of its neighbour */
		b.entries[n].start = b.entries[n].last + 1;
		node_of(&b, n)->bound[0] =
			(uint32_t)b.entries[n].start * 2 | red(node_of(&b, n), 0);
		assert_reason(&b, "starts behind its last");
		b.entries[n].start = start;
		node_of(&b, n)->bound[0] = (uint32_t)start * 2 | red(node_of(&b, n), 0);
	}
	assert_sound(&b);
	tear_down(&b);
}

Test(rb_compact, validate_finds_wrong_colours)
{
	struct bench b = set_up_sound();

	set_red(b.tree->nodes, 1, true);
	assert_reason(&b, "the root is red");
	set_red(b.tree->nodes, 1, false);
	for (size_t n = 0; n < DAMAGED; n++) {
		for (int side = 0; side < 2; side++) {
			struct node *node = node_of(&b, n);

			set_red(node, side, !red(node, side));
			if (!node->child[side])
				assert_reason(&b, "missing child");
			else
				cr_assert_not_null(b.s->validate(b.tree));
			set_red(node, side, !red(node, side));
		}
	}
	assert_sound(&b);
	tear_down(&b);
}

Test(rb_compact, validate_finds_wrong_links)
{
	struct bench b = set_up_sound();

	for (size_t n = 0; n < DAMAGED; n++) {
		struct node *node = node_of(&b, n);
		uint32_t parent = parent_of(node);

		set_parent(node, parent == LINK ? 2 * LINK : LINK);
		assert_reason(&b, parent ? "parent link" : "has a parent");
		set_parent(node, parent);
		if (!node->child[0] || !node->child[1])
			continue;
		uint32_t child = node->child[1];

		node->child[1] = node->child[0];
		assert_reason(&b, "are the same");
		/* A subtree is lost; the colours or the maxima may say so first. */
		node->child[1] = 0;
		cr_assert_not_null(b.s->validate(b.tree));
		node->child[1] = child;
	}
	assert_sound(&b);
	tear_down(&b);
}

Test(rb_compact, validate_finds_wrong_counts)
{
	struct bench b = set_up_sound();
	uint32_t free = b.tree->free;

	b.tree->used++;
	assert_reason(&b, "used is not");
	b.tree->used--;
	b.tree->free = node_at(b.tree->nodes, free)->child[0];
	assert_reason(&b, "neither in the tree nor free");
	b.tree->free = (uint32_t)b.entries[3].word[0];
	assert_reason(&b, "what is not free");
	/* A ring. */
	b.tree->free = free;
	uint32_t second = node_at(b.tree->nodes, free)->child[0];
	uint32_t third = node_at(b.tree->nodes, second)->child[0];

	node_at(b.tree->nodes, second)->child[0] = free;
	assert_reason(&b, "what is not free");
	node_at(b.tree->nodes, second)->child[0] = third;
	assert_sound(&b);
	tear_down(&b);
}

/* All are prepared before any is applied, in either order, or abandoned. */
Test(rb_compact, what_is_promised_is_there)
{
	static struct pending pending[ENTRIES];

	for (int order = 0; order < 3; order++) {
		struct bench b = set_up();

		for (size_t n = 0; n < ENTRIES; n++)
			cr_assert_eq(begin(&b, n, n % 50, n, &pending[n]), 0);
		for (size_t n = 0; n < ENTRIES; n++) {
			if (order == 2 && n % 3)
				b.s->settle(b.tree, NULL, pending[n].reserve);
			else
				apply(&b, &pending[order ? n : ENTRIES - 1 - n]);
			cr_assert_leq(b.tree->fresh, b.tree->capacity);
			if (n % 97 == 0)
				assert_sound(&b);
		}
		assert_sound(&b);
		tear_down(&b);
	}
}

Test(rb_compact, nodes_are_reused)
{
	struct bench b = set_up();

	for (size_t n = 0; n < ENTRIES; n++)
		insert(&b, n, n, n + n % 7);
	size_t bytes = b.s->memory(b.tree);

	cr_assert_leq(bytes, 64u + 64u * ENTRIES);
	for (size_t round = 0; round < 5; round++) {
		for (size_t n = round; n < ENTRIES; n += 1 + round)
			remove_at(&b, n);
		for (size_t n = round; n < ENTRIES; n += 1 + round)
			insert(&b, n, ENTRIES - n, ENTRIES + n);
		assert_sound(&b);
	}
	cr_assert_eq(b.s->memory(b.tree), bytes);
	tear_down(&b);
}

Test(rb_compact, no_more_than_links_can_name)
{
	struct bench b = set_up();
	struct pending pending;

	b.tree->used = NODES_MAX - 1;
	cr_assert_eq(begin(&b, 0, 1, 2, &pending), -ENOMEM);
	b.tree->used = 0;
	insert(&b, 0, 1, 2);
	assert_sound(&b);
	tear_down(&b);
}
