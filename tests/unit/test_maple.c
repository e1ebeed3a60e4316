// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * maple_range and maple_rcu: what an update may take is enough whatever the tree is like, and
 * validate finds each kind of damage, and gives each its own reason.
 */
#include <cleave/cleave.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "lib/reclaim.h"
#include "structures/maple_tree.h"

extern const struct cleave_structure cleave_maple_range;
extern const struct cleave_structure cleave_maple_rcu;

static const struct cleave_structure *const structures[] = {
	&cleave_maple_range,
	&cleave_maple_rcu,
};

enum { STRUCTURES = 2, ENTRIES = 3000, DAMAGED = 400 };

struct bench {
	const struct cleave_structure *s;
	struct cleave_env *env;
	struct cleave_thread *thread;
	struct cleave_interval *entries;
	void *self;
	void *kept; /* the reserve that updates would share */
	uint64_t dice;
};

static struct bench set_up(const struct cleave_structure *s)
{
	struct bench b = { .s = s, .dice = 1 };
	const struct cleave_structure_config config = { .subsets = 1, .node = -1 };
	const struct cleave_env_options options = { .topology = "pack:1 core:1 pu:1" };
	const struct cleave_op op = { .kind = CLEAVE_INSERT };
	struct cleave_error error;

	cr_assert_eq(cleave_env_open(&b.env, &options, &error), 0, "%s", error.text);
	cr_assert_eq(cleave_thread_begin(&b.thread, b.env, 0), 0);
	cr_assert_eq(s->create(&b.self, &config), 0);
	b.entries = aligned_alloc(64, ENTRIES * sizeof(*b.entries));
	memset(b.entries, 0, ENTRIES * sizeof(*b.entries));
	/* A batch that is never applied, so that each update has what it asks for, and no more. */
	cr_assert_eq(s->prepare(b.self, b.thread, &op, 1, &b.kept), 0);
	return b;
}

static void tear_down(struct bench *b)
{
	if (b->kept)
		b->s->settle(b->self, b->thread, b->kept);
	b->s->destroy(b->self);
	cleave_thread_end(b->thread);
	cleave_env_close(b->env);
	free(b->entries);
}

static void update(struct bench *b, enum cleave_op_kind kind, size_t n, uint64_t start,
		   uint64_t last)
{
	const struct cleave_op op = { .kind = kind };
	struct cleave_update update = { .thread = b->thread };
	struct cleave_entry *entry = &b->entries[n].entry;

	cr_assert_eq(b->s->prepare(b->self, b->thread, &op, 1, &update.reserve), 0);
	if (kind == CLEAVE_INSERT)
		b->s->insert(b->self, &update, entry, NULL, start, last);
	else if (kind == CLEAVE_REMOVE)
		b->s->remove(b->self, &update, entry);
	else
		b->s->change(b->self, &update, entry, start, last);
	b->s->settle(b->self, b->thread, update.reserve);
}

static void assert_sound(const struct bench *b)
{
	const char *reason = b->s->validate(b->self);

	cr_assert_null(reason, "%s: %s", b->s->name, reason);
}

static void assert_reason(const struct bench *b, const char *part)
{
	const char *reason = b->s->validate(b->self);

	cr_assert_not_null(reason, "%s: not found: %s", b->s->name, part);
	cr_assert_not_null(strstr(reason, part), "%s: %s, not %s", b->s->name, reason, part);
}

static uint64_t roll(struct bench *b, uint64_t below)
{
	b->dice = b->dice * 6364136223846793005ull + 1442695040888963407ull;
	return (b->dice >> 33) % below;
}

/* Starts in five ways, of which each makes other splits: up, down, all alike, few, any. */
static uint64_t start_of(struct bench *b, unsigned way, size_t n)
{
	switch (way) {
	case 0:
		return n;
	case 1:
		return ENTRIES - n;
	case 2:
		return 7;
	case 3:
		return n % 5 * 100;
	default:
		return roll(b, 1000000);
	}
}

/*
 * Fill, shake, empty from one end, the other, or anywhere; with just the nodes that prepare
 * promises. validate, which looks at what is owed, after each of the last steps and every so often.
 */
static void fill_and_empty(struct bench *b, unsigned way, unsigned end)
{
	size_t in[ENTRIES], count = ENTRIES;

	for (size_t n = 0; n < ENTRIES; n++) {
		uint64_t start = start_of(b, way, n);

		in[n] = n;
		update(b, CLEAVE_INSERT, n, start, start + roll(b, 1000));
		if (n % 100 == 0)
			assert_sound(b);
	}
	for (size_t n = 0; n < ENTRIES; n++) {
		uint64_t start = start_of(b, way, roll(b, ENTRIES));

		update(b, CLEAVE_CHANGE, roll(b, ENTRIES), start, start + roll(b, 1000));
		if (n % 100 == 0)
			assert_sound(b);
	}
	while (count) {
		size_t at = end == 0 ? 0 : end == 1 ? count - 1 : roll(b, count);

		update(b, CLEAVE_REMOVE, in[at], 0, 0);
		count--;
		if (end == 0)
			memmove(in, in + 1, count * sizeof(*in));
		else
			in[at] = in[count];
		if (count % 100 == 0 || count < 30)
			assert_sound(b);
	}
	cr_assert(b->s->empty(b->self));
}

Test(maple, needs_no_more_than_was_reserved)
{
	for (size_t i = 0; i < STRUCTURES; i++) {
		for (unsigned way = 0; way < 5; way++) {
			for (unsigned end = 0; end < 3; end++) {
				struct bench b = set_up(structures[i]);

				fill_and_empty(&b, way, end);
				tear_down(&b);
			}
		}
	}
}

/* What was owed while there were many is given back when there are few, and counted until then. */
Test(maple, keeps_few_nodes_spare)
{
	enum { KEPT_MOST = 16, NODE_BYTES = sizeof(struct clv_maple_node) };

	for (unsigned i = 0; i < STRUCTURES; i++) {
		struct bench b = set_up(structures[i]);
		const struct clv_maple_tree *tree = b.self;
		size_t none = b.s->memory(b.self);

		for (size_t n = 0; n < ENTRIES; n++) {
			uint64_t start = roll(&b, 1 << 20);

			update(&b, CLEAVE_INSERT, n, start, start);
		}
		cr_assert_gt(tree->spares, KEPT_MOST, "%s: too few to see it", b.s->name);
		cr_assert_eq(b.s->memory(b.self) - none, (tree->nodes + tree->spares) * NODE_BYTES);
		for (size_t n = 0; n < ENTRIES; n++)
			update(&b, CLEAVE_REMOVE, n, 0, 0);
		assert_sound(&b);
		cr_assert_leq(tree->spares, KEPT_MOST, "%s: %zu", b.s->name, tree->spares);
		tear_down(&b);
	}
}

/* A sound tree of three levels or more. */
static struct bench set_up_sound(const struct cleave_structure *s)
{
	struct bench b = set_up(s);

	/* Each start twice, and no last twice. */
	for (size_t n = 0; n < DAMAGED; n++)
		update(&b, CLEAVE_INSERT, n, 10 + n * 37 % 200 * 10, 3000 + n * 41 % 400 * 10);
	assert_sound(&b);
	return b;
}

static struct clv_maple_node *leaf_of(const struct bench *b, size_t n, unsigned *slot)
{
	*slot = clv_maple_link_slot(b->entries[n].word[0]);
	return clv_maple_link_node(b->entries[n].word[0]);
}

/* A word of an entry, its leaf or the leaf's parent, and what must not be there. */
struct damage {
	const char *reason;
	uint64_t *(*at)(struct clv_maple_node *leaf, unsigned slot, uint64_t *wrong);
};

static uint64_t *parent_last(struct clv_maple_node *leaf, unsigned slot, uint64_t *wrong)
{
	uint64_t *last = &clv_maple_parent(leaf)->of[clv_maple_link_slot(leaf->up)].last;

	(void)slot;
	*wrong = *last - 1;
	return last;
}

static uint64_t *leaf_start(struct clv_maple_node *leaf, unsigned slot, uint64_t *wrong)
{
	*wrong = leaf->start[slot] - 1;
	return &leaf->start[slot];
}

static uint64_t *link_of(struct clv_maple_node *leaf, unsigned slot, uint64_t *wrong)
{
	struct cleave_interval *interval = leaf->of[slot].item;

	*wrong = (uintptr_t)leaf | (slot + 1) % CLV_MAPLE_SLOTS;
	return &interval->word[0];
}

static uint64_t *way_up(struct clv_maple_node *leaf, unsigned slot, uint64_t *wrong)
{
	(void)slot;
	*wrong = leaf->up ^ 1;
	return &leaf->up;
}

/* The first place names the slot of the last. */
static uint64_t *places(struct clv_maple_node *leaf, unsigned slot, uint64_t *wrong)
{
	(void)slot;
	*wrong = (leaf->order & ~15ull) | (leaf->order >> 36 & 15);
	return &leaf->order;
}

static uint64_t *count(struct clv_maple_node *leaf, unsigned slot, uint64_t *wrong)
{
	(void)slot;
	*wrong = leaf->order | 15ull << 40;
	return &leaf->order;
}

static uint64_t *level(struct clv_maple_node *leaf, unsigned slot, uint64_t *wrong)
{
	(void)slot;
	*wrong = leaf->order + (1ull << 56);
	return &leaf->order;
}

static uint64_t *bound(struct clv_maple_node *leaf, unsigned slot, uint64_t *wrong)
{
	(void)slot;
	*wrong = 100000;
	return &clv_maple_parent(leaf)->start[clv_maple_link_slot(leaf->up)];
}

static const struct damage damages[] = {
	{ "not what its parent says", parent_last },
	{ "other bounds than its entry", leaf_start },
	{ "leaf or slot is another", link_of },
	{ "way up leads elsewhere", way_up },
	{ "no place, or two", places },
	{ "more items than slots", count },
	{ "not on the level below", level },
	{ "bound", bound },
};

Test(maple, validate_finds_damage)
{
	for (size_t i = 0; i < STRUCTURES; i++) {
		struct bench b = set_up_sound(structures[i]);

		for (size_t n = 0; n < DAMAGED; n++) {
			for (size_t k = 0; k < sizeof(damages) / sizeof(*damages); k++) {
				unsigned slot;
				struct clv_maple_node *leaf = leaf_of(&b, n, &slot);
				uint64_t wrong, *word = damages[k].at(leaf, slot, &wrong);
				uint64_t right = *word;

				*word = wrong;
				assert_reason(&b, damages[k].reason);
				*word = right;
			}
		}
		assert_sound(&b);
		tear_down(&b);
	}
}

Test(maple, validate_finds_wrong_bounds_of_a_pair)
{
	for (size_t i = 0; i < STRUCTURES; i++) {
		struct bench b = set_up_sound(structures[i]);

		for (size_t n = 0; n < DAMAGED; n++) {
			unsigned slot;
			struct clv_maple_node *leaf = leaf_of(&b, n, &slot);
			uint64_t last = b.entries[n].last;

			/* Above the greatest, or below its own start, in the entry and its leaf. */
			b.entries[n].last = leaf->of[slot].last = 1000000;
			assert_reason(&b, slot == clv_maple_top(leaf->order)
						  ? "not what its parent says"
						  : "top is not");
			b.entries[n].last = leaf->of[slot].last = last;
			if (slot != clv_maple_top(leaf->order)) {
				leaf->of[slot].last--;
				assert_reason(&b, "other bounds than its entry");
				leaf->of[slot].last++;
				b.entries[n].last = leaf->of[slot].last = 1;
				assert_reason(&b, "starts behind its last");
				b.entries[n].last = leaf->of[slot].last = last;
			}
		}
		assert_sound(&b);
		tear_down(&b);
	}
}

Test(maple, validate_finds_wrong_counts)
{
	for (size_t i = 0; i < STRUCTURES; i++) {
		struct bench b = set_up_sound(structures[i]);
		struct clv_maple_tree *tree = b.self;

		tree->nodes++;
		assert_reason(&b, "more or fewer nodes");
		tree->nodes--;
		tree->owed++;
		assert_reason(&b, "more or less is owed");
		tree->owed--;
		if (tree->owed) {
			size_t spares = tree->spares;

			tree->spares = (tree->owed - 1) / 2;
			assert_reason(&b, "too few nodes are spare");
			tree->spares = spares;
		}
		tree->root->up = (uintptr_t)tree->root;
		assert_reason(&b, "root has a parent");
		tree->root->up = 0;
		assert_sound(&b);
		tear_down(&b);
	}
}

/* Of a later turn than the one behind it, though both start alike. */
Test(maple, validate_finds_a_wrong_turn)
{
	struct bench b = set_up(&cleave_maple_rcu);

	for (size_t n = 0; n < 50; n++)
		update(&b, CLEAVE_INSERT, n, 5, 5 + n);
	assert_sound(&b);
	for (size_t n = 0; n < 49; n++) {
		uintptr_t turn = b.entries[n].word[2];

		b.entries[n].word[2] = b.entries[n + 1].word[2];
		assert_reason(&b, "turn");
		b.entries[n].word[2] = turn;
	}
	assert_sound(&b);
	tear_down(&b);
}

/* A walk, whose visitor forks the first that it comes to, as another thread may meanwhile. */
struct forking {
	struct bench *bench;
	size_t child;
	uint64_t start, last;
	unsigned visits;
	bool forked, child_visited;
};

static int visit_and_fork(struct cleave_entry *entry, void *arg)
{
	struct forking *forking = arg;

	forking->visits++;
	if (entry == &forking->bench->entries[forking->child].entry)
		forking->child_visited = true;
	if (!forking->forked) {
		forking->forked = true;
		update(forking->bench, CLEAVE_INSERT, forking->child, forking->start,
		       forking->last);
	}
	return 0;
}

/* Behind the parent and in front of the child's place no entry is met that was looked at before. */
Test(maple, walk_meets_a_child_in_front_of_who_does_not_overlap)
{
	struct bench b = set_up(&cleave_maple_rcu);
	struct forking forking = { .bench = &b, .child = 2, .start = 0, .last = 10 };

	update(&b, CLEAVE_INSERT, 0, 0, 10);
	update(&b, CLEAVE_INSERT, 1, 5, 5);
	cr_assert_eq(b.s->walk(b.self, b.thread, 0, 8, 8, visit_and_fork, &forking), 0);
	cr_assert(forking.child_visited);
	cr_assert_eq(forking.visits, 2);
	tear_down(&b);
}

/* The child, behind a full leaf of its equals, gets one of its own, which that leaf tells nothing of. */
Test(maple, walk_meets_a_child_for_which_the_root_grew)
{
	for (size_t before = 1; before < 200; before++) {
		struct bench b = set_up(&cleave_maple_rcu);
		struct forking forking = {
			.bench = &b, .child = before, .start = 7, .last = 9
		};

		for (size_t n = 0; n < before; n++)
			update(&b, CLEAVE_INSERT, n, 7, 9);
		cr_assert_eq(b.s->walk(b.self, b.thread, 0, 8, 8, visit_and_fork, &forking), 0);
		cr_assert(forking.child_visited, "behind %zu", before);
		cr_assert_eq(forking.visits, before + 1);
		tear_down(&b);
	}
}

/* What was replaced during a long walk comes back at once, and does not stay for good. */
static int visit_and_churn(struct cleave_entry *entry, void *arg)
{
	struct bench *b = arg;

	(void)entry;
	for (size_t n = 0; n < 20000; n++)
		update(b, n % 200 < 100 ? CLEAVE_INSERT : CLEAVE_REMOVE, 1 + n % 100,
		       10 + n % 100, 1000);
	return 1;
}

Test(maple, memory_comes_back_after_a_long_walk)
{
	struct bench b = set_up(&cleave_maple_rcu);

	b.s->settle(b.self, b.thread, b.kept);
	update(&b, CLEAVE_INSERT, 0, 5, 1000);
	clv_epoch_enter(b.thread);
	cr_assert_eq(b.s->walk(b.self, b.thread, 0, 5, 5, visit_and_churn, &b), 1);
	clv_epoch_exit(b.thread);
	clv_epoch_drain(b.thread);
	for (size_t n = 0; n < 10; n++) {
		update(&b, CLEAVE_INSERT, 1, 10, 10);
		update(&b, CLEAVE_REMOVE, 1, 0, 0);
	}
	cr_assert_lt(b.s->memory(b.self), 400 * sizeof(struct clv_maple_node));
	b.kept = NULL;
	tear_down(&b);
}
