// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * rb_interval's and rb_vma's validate finds each kind of damage, and gives each its own reason.
 */
#include "rb_bench.h"

enum { DAMAGED = 100 };

/* A sound tree with distinct starts, 10 apart, and more than three levels. */
static struct bench set_up_sound(const struct shape *shape)
{
	struct bench b = set_up(shape, DAMAGED);

	for (size_t n = 0; n < DAMAGED; n++)
		insert(&b, n, 10 + n * 37 % DAMAGED * 10, 14 + n * 37 % DAMAGED * 10);
	assert_sound(&b);
	return b;
}

static void assert_reason(const struct bench *b, const char *part)
{
	const char *reason = b->s->validate(b->self);

	cr_assert_not_null(reason, "%s: not found: %s", b->s->name, part);
	cr_assert_not_null(strstr(reason, part), "%s: %s, not %s", b->s->name, reason, part);
}

Test(rb, validate_finds_a_wrong_maximum)
{
	for (size_t i = 0; i < SHAPES; i++) {
		struct bench b = set_up_sound(&shapes[i]);

		for (size_t n = 0; n < DAMAGED; n++) {
			for (int by = -1; by <= 1; by += 2) {
				node_at(&b, n)->subtree_last += (uint64_t)(int64_t)by;
				assert_reason(&b, "subtree_last is not");
				node_at(&b, n)->subtree_last -= (uint64_t)(int64_t)by;
			}
		}
		assert_sound(&b);
		tear_down(&b);
	}
}

Test(rb, validate_finds_a_wrong_colour)
{
	for (size_t i = 0; i < SHAPES; i++) {
		struct bench b = set_up_sound(&shapes[i]);
		size_t red_red = 0;
		size_t uneven = 0;

		for (size_t n = 0; n < DAMAGED; n++) {
			struct clv_rb_node *node = node_at(&b, n);
			bool touches_red = clv_rb_parent(node) && clv_rb_red(clv_rb_parent(node));

			for (int side = 0; side < 2; side++)
				if (node->child[side] && clv_rb_red(node->child[side]))
					touches_red = true;
			node->parent_colour ^= CLV_RB_BLACK;
			if (!clv_rb_parent(node)) {
				assert_reason(&b, "root is red");
			} else if (clv_rb_red(node) && touches_red) {
				/* A way that is met earlier may be found too short before. */
				const char *reason = b.s->validate(b.self);

				cr_assert_not_null(reason);
				red_red += !!strstr(reason, "red child");
			} else {
				assert_reason(&b, "different numbers of black");
				uneven++;
			}
			node->parent_colour ^= CLV_RB_BLACK;
		}
		cr_assert_gt(red_red, 0u);
		cr_assert_gt(uneven, 0u);
		assert_sound(&b);
		tear_down(&b);
	}
}

Test(rb, validate_finds_a_wrong_order)
{
	for (size_t i = 0; i < SHAPES; i++) {
		struct bench b = set_up_sound(&shapes[i]);
		struct seen seen;

		cr_assert_eq(walk(&b, 0, b.s->last_max, 0, &seen), 0);
		for (size_t place = 1; place < DAMAGED; place++) {
			struct cleave_entry *entry = at(&b, seen.index[place]);

			/* 10 below is its neighbour's: a tie, in order. 11 below is not. */
			b.shape->tamper_start(entry, -10);
			assert_sound(&b);
			b.shape->tamper_start(entry, -1);
			assert_reason(&b, "starts before the one in front");
			b.shape->tamper_start(entry, 11);
		}
		assert_sound(&b);
		b.shape->tamper_last(at(&b, seen.index[DAMAGED / 2]));
		assert_reason(&b, "starts behind its last");
		tear_down(&b);
	}
}

Test(rb, validate_finds_wrong_links)
{
	for (size_t i = 0; i < SHAPES; i++) {
		struct bench b = set_up_sound(&shapes[i]);
		struct clv_rb_tree *tree = b.self;
		struct clv_rb_node *root = tree->root;

		for (size_t n = 0; n < DAMAGED; n++) {
			struct clv_rb_node *node = node_at(&b, n);
			struct clv_rb_node *parent = clv_rb_parent(node);

			clv_rb_set_parent(node, node_at(&b, (n + 1) % DAMAGED) == parent
							? node_at(&b, (n + 2) % DAMAGED)
							: node_at(&b, (n + 1) % DAMAGED));
			assert_reason(&b, parent ? "parent link" : "root has a parent");
			clv_rb_set_parent(node, parent);
		}
		assert_sound(&b);

		struct clv_rb_node *right = root->child[1];

		root->child[1] = root->child[0];
		assert_reason(&b, "are the same");
		/* A ring: the deepest on the left points back to the root. */
		root->child[1] = right;

		struct clv_rb_node *leaf = root;

		while (leaf->child[0])
			leaf = leaf->child[0];
		leaf->child[0] = root;
		assert_reason(&b, "parent link");
		leaf->child[0] = NULL;
		assert_sound(&b);
		/* A lost subtree. */
		root->child[1] = NULL;
		cr_assert_not_null(b.s->validate(b.self));
		tear_down(&b);
	}
}
