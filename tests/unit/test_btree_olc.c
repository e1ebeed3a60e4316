// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What is btree_olc's alone: which damage its validate finds, that copies stay behind sources that
 * have come to start before their keys, and that a reserve lasts however the tree has grown since.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "structures/olc_node.h"

struct rig {
	struct cleave_env *env;
	struct cleave_map *map;
	struct cleave_thread *thread;
	struct cleave_interval *interval;
};

static struct rig set_up(size_t intervals)
{
	struct rig rig;
	size_t bytes = intervals * sizeof(struct cleave_interval);

	cr_assert_eq(cleave_env_open(&rig.env, NULL, NULL), 0);
	cr_assert_eq(cleave_thread_begin(&rig.thread, rig.env, -1), 0);
	cr_assert_eq(cleave_open(&rig.map, rig.env, "btree_olc/free", NULL), 0);
	rig.interval = aligned_alloc(64, bytes);
	cr_assert_not_null(rig.interval);
	memset(rig.interval, 0, bytes);
	return rig;
}

static void tear_down(struct rig *rig)
{
	cleave_close(rig->map);
	cleave_thread_end(rig->thread);
	cleave_env_close(rig->env);
	free(rig->interval);
}

static struct cleave_entry *at(const struct rig *rig, size_t i)
{
	return &rig->interval[i].entry;
}

static void insert(struct rig *rig, size_t i, uint64_t start, uint64_t last)
{
	cr_assert_eq(cleave_insert(rig->map, rig->thread, at(rig, i), start, last), 0);
}

static void assert_sound(const struct rig *rig)
{
	struct cleave_error error = { "" };

	cr_assert_eq(cleave_validate(rig->map, &error), 0, "%s", error.text);
}

static void assert_reason(const struct rig *rig, const char *part)
{
	struct cleave_error error = { "" };

	cr_assert_lt(cleave_validate(rig->map, &error), 0, "not found: %s", part);
	cr_assert_not_null(strstr(error.text, part), "%s, not %s", error.text, part);
}

/* Tamper with a word, look for the reason, and put it back. */
static void damage(const struct rig *rig, uint64_t *word, uint64_t by, const char *part)
{
	*word += by;
	assert_reason(rig, part);
	*word -= by;
	assert_sound(rig);
}

Test(btree_olc, validate_finds_damage)
{
	enum { MANY = 900 };
	struct rig rig = set_up(MANY);

	for (size_t i = 0; i < MANY; i++)
		insert(&rig, i, i * 37 % MANY * 10, i * 37 % MANY * 10 + 9);
	assert_sound(&rig);
	for (size_t i = 0; i < MANY; i += 13) {
		struct cleave_interval *interval = &rig.interval[i];
		unsigned slot = interval->word[0] & SLOT_MASK;
		struct leaf *leaf = (struct leaf *)(interval->word[0] & ~(uintptr_t)SLOT_MASK);
		uint64_t order = leaf->order;

		damage(&rig, &leaf->node.version, LOCKED, "locked");
		damage(&rig, &leaf->node.version, OBSOLETE, "out of the tree");
		damage(&rig, &leaf->last, 1, "is not the greatest");
		damage(&rig, &leaf->slot[slot].last, 1, "another end");
		damage(&rig, &leaf->slot[slot].tie, 1, "another key");
		damage(&rig, &interval->start, 1, "its slot differs");
		damage(&rig, &interval->word[0], 1, "where it is");
		damage(&rig, &interval->word[1], 1, "another key");
		leaf->order = order_remove(order, 0) | 1;
		if (leaf->order != order_remove(order, 0))
			assert_reason(&rig, "none of its slots");
		leaf->order = order & nibbles(LEAF_SLOTS);
		assert_reason(&rig, "empty leaf");
		/* Two that follow each other, the other way round. */
		leaf->order = order_insert(order_remove(order, 0), 1);
		assert_reason(&rig, "not behind the one before");
		leaf->order = order;
		/* A leaf that is right in itself, but ends behind what its parent says. */
		leaf->last += 1000000, leaf->slot[slot].last += 1000000, interval->last += 1000000;
		assert_reason(&rig, leaf->last == leaf->slot[slot].last ? "ends behind its last"
									: "greatest");
		leaf->last -= 1000000, leaf->slot[slot].last -= 1000000, interval->last -= 1000000;
		assert_sound(&rig);
	}
	tear_down(&rig);
}

struct seen {
	const struct rig *rig;
	size_t count, index[64];
};

static int see(struct cleave_entry *entry, void *arg)
{
	struct seen *seen = arg;

	seen->index[seen->count++] =
		(size_t)((struct cleave_interval *)entry - seen->rig->interval);
	return 0;
}

static struct seen walk(const struct rig *rig, uint64_t start, uint64_t last)
{
	struct seen seen = { .rig = rig };

	cr_assert_eq(cleave_walk(rig->map, rig->thread, start, last, 0, see, &seen), 0);
	return seen;
}

Test(btree_olc, copies_follow_a_source_that_starts_earlier_now)
{
	struct rig rig = set_up(600);
	struct seen seen;

	insert(&rig, 0, 5000, 5009);
	cr_assert_eq(cleave_change(rig.map, rig.thread, at(&rig, 0), 10, 5009), 0);
	cr_assert_eq(cleave_insert_near(rig.map, rig.thread, at(&rig, 0), at(&rig, 1), 20, 30), 0);
	cr_assert_eq(cleave_insert_near(rig.map, rig.thread, at(&rig, 1), at(&rig, 2), 20, 30), 0);
	cr_assert_eq(cleave_insert_near(rig.map, rig.thread, at(&rig, 0), at(&rig, 3), 5000, 5000),
		     0);
	/* Enough others that leaves between are split and joined. */
	for (size_t i = 100; i < 600; i++)
		insert(&rig, i, 100 + i * 17 % 500 * 20, 100 + i * 17 % 500 * 20);
	assert_sound(&rig);
	seen = walk(&rig, 20, 30);
	cr_assert(seen.count == 3 && seen.index[0] == 0 && seen.index[1] == 1 &&
		  seen.index[2] == 2);
	for (size_t i = 100; i < 600; i++)
		cr_assert_eq(cleave_remove(rig.map, rig.thread, at(&rig, i)), 0);
	assert_sound(&rig);
	seen = walk(&rig, 10, 5000);
	cr_assert(seen.count == 4 && seen.index[0] == 0 && seen.index[3] == 3);
	/* None starts before its key any more. */
	cr_assert_eq(cleave_change(rig.map, rig.thread, at(&rig, 0), 6000, 6001), 0);
	cr_assert_eq(cleave_remove(rig.map, rig.thread, at(&rig, 1)), 0);
	cr_assert_eq(cleave_change(rig.map, rig.thread, at(&rig, 2), 7000, 7001), 0);
	assert_sound(&rig);
	cr_assert_eq(walk(&rig, 20, 30).count, 0u);
	cr_assert_eq(walk(&rig, 6000, 7000).count, 2u);
	tear_down(&rig);
}

Test(btree_olc, a_reserve_lasts_however_the_tree_has_grown)
{
	enum { BATCHES = 64, OPS = 4, OTHERS = 30000, ALL = BATCHES * OPS + OTHERS };
	static struct cleave_batch batch[BATCHES];
	static struct cleave_op op[BATCHES * OPS];
	struct rig rig = set_up(ALL);

	for (size_t i = 0; i < BATCHES * OPS; i++)
		op[i] = (struct cleave_op) { CLEAVE_INSERT, at(&rig, i), NULL, i * 113, i * 113 };
	for (size_t i = 0; i < BATCHES; i++) {
		batch[i] = (struct cleave_batch) { .ops = &op[i * OPS], .count = OPS };
		cr_assert_eq(cleave_prepare(rig.map, rig.thread, &batch[i]), 0);
	}
	for (size_t i = BATCHES * OPS; i < ALL; i++)
		insert(&rig, i, i * 7919 % OTHERS, i * 7919 % OTHERS);
	for (size_t i = 0; i < BATCHES; i++)
		cleave_commit(rig.map, rig.thread, &batch[i]);
	assert_sound(&rig);
	for (size_t i = 0; i < ALL; i++)
		cr_assert_eq(cleave_remove(rig.map, rig.thread, at(&rig, i)), 0);
	assert_sound(&rig);
	cr_assert(cleave_empty(rig.map));
	tear_down(&rig);
}

/* Leaves of few meet neighbours of many on either side, at all places below their parents. */
Test(btree_olc, leaves_join_on_either_side)
{
	enum { MANY = 3000, ROUNDS = 6, STEP = 7919 };
	struct rig rig = set_up(MANY);

	for (size_t round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < MANY; i++) {
			if (!at(&rig, i)->map_id)
				insert(&rig, i, i * STEP % MANY / (1 + round), 2 * MANY);
		}
		assert_sound(&rig);
		/* Most of every second stretch, and few of the others; then the other way round. */
		for (size_t i = 0; i < MANY; i++) {
			size_t n = i * (STEP + 2 * round) % MANY;
			bool thin = n / (8 + round) % 2 == round % 2;

			if (n % 16 < (thin ? 14 : 5))
				cleave_remove(rig.map, rig.thread, at(&rig, n));
			if (i % 100 == 0)
				assert_sound(&rig);
		}
		cleave_synchronize(rig.map, rig.thread);
	}
	tear_down(&rig);
}
