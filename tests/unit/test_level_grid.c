// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What is particular to level_grid: the order of a walk, narrow or wide, among levels and cells; a
 * table that grows, or that is never brought memory; and that validate finds each kind of damage.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* Its inside is looked at, so that this is a copy of it. */
#define cleave_level_grid level_grid_copy
#include "structures/level_grid.c"

struct bench {
	struct grid *grid;
	struct cleave_interval *interval;
	struct cleave_update update;
	bool brings; /* prepare is called, as a map does */
	uint64_t state;
};

static struct bench set_up(size_t intervals, bool brings)
{
	struct cleave_structure_config config = { .subsets = 1, .node = -1 };
	struct bench b = { .brings = brings, .state = 1 };
	void *grid = NULL;

	cr_assert_eq(create(&grid, &config), 0);
	b.grid = grid;
	b.interval = aligned_alloc(64, intervals * sizeof(*b.interval));
	memset(b.interval, 0, intervals * sizeof(*b.interval));
	return b;
}

static void tear_down(struct bench *b)
{
	destroy(b->grid);
	free(b->interval);
}

static struct member *at(const struct bench *b, size_t i)
{
	return member_of(&b->interval[i].entry);
}

static uint64_t roll(struct bench *b, uint64_t below)
{
	b->state = b->state * 6364136223846793005u + 1442695040888963407u;
	return (b->state >> 33) % below;
}

static void begin(struct bench *b)
{
	static const struct cleave_op op = { .kind = CLEAVE_INSERT };

	if (b->brings)
		cr_assert_eq(prepare(b->grid, NULL, &op, 1, &b->update.reserve), 0);
}

static void end(struct bench *b)
{
	if (b->update.reserve)
		settle(b->grid, NULL, b->update.reserve);
	b->update.reserve = NULL;
}

static void put_near(struct bench *b, size_t i, struct cleave_interval *source, uint64_t start,
		     uint64_t last)
{
	begin(b);
	insert(b->grid, &b->update, &b->interval[i].entry, source ? &source->entry : NULL, start,
	       last);
	end(b);
}

static void assert_sound(const struct bench *b)
{
	const char *reason = validate(b->grid);

	cr_assert_null(reason, "%s", reason);
}

/* ---- order ---- */

enum { CROWD = 120, NOBODY = CROWD };

struct crowd {
	struct bench b;
	bool in[CROWD];
	size_t source[CROWD]; /* which must come first, or NOBODY */
	unsigned place[CROWD], visits;
};

static int note(struct cleave_entry *entry, void *arg)
{
	struct crowd *crowd = arg;
	size_t i = (size_t)((struct cleave_interval *)entry - crowd->b.interval);

	cr_assert_eq(crowd->place[i], 0, "%zu is visited twice", i);
	crowd->place[i] = ++crowd->visits;
	return 0;
}

static void check_walk(struct crowd *crowd, uint64_t start, uint64_t last)
{
	memset(crowd->place, 0, sizeof(crowd->place));
	crowd->visits = 0;
	cr_assert_eq(walk(crowd->b.grid, NULL, 0, start, last, note, crowd), 0);
	for (size_t i = 0; i < CROWD; i++) {
		const struct member *member = at(&crowd->b, i);
		bool hit = crowd->in[i] && member->start <= last && member->last >= start;
		size_t source = crowd->source[i];

		cr_assert_eq(crowd->place[i] != 0, hit, "%zu is %s", i, hit ? "missed" : "extra");
		if (hit && source != NOBODY && crowd->place[source])
			cr_assert_lt(crowd->place[source], crowd->place[i],
				     "%zu, put there for %zu, is visited before it", i, source);
	}
}

static void forget(struct crowd *crowd, size_t i)
{
	crowd->source[i] = NOBODY;
	for (size_t k = 0; k < CROWD; k++)
		if (crowd->source[k] == i)
			crowd->source[k] = NOBODY;
}

/* Starts below `span`, lengths of any level up to that of `span`; some as long as the source. */
static void step(struct crowd *crowd, uint64_t span)
{
	struct bench *b = &crowd->b;
	size_t i = roll(b, CROWD), from = roll(b, CROWD);
	uint64_t start = roll(b, span), last = start + roll(b, 1 + roll(b, 1 + roll(b, span)));
	struct cleave_interval *source = crowd->in[from] && from != i ? &b->interval[from] : NULL;

	if (crowd->in[i] && roll(b, 3)) {
		remove_entry(b->grid, &b->update, &b->interval[i].entry);
		crowd->in[i] = false;
		forget(crowd, i);
	} else if (crowd->in[i]) {
		begin(b);
		change(b->grid, &b->update, &b->interval[i].entry, start, last);
		end(b);
		forget(crowd, i);
	} else {
		if (source && roll(b, 2)) {
			uint64_t length = source->last - source->start;

			start = source->start + (roll(b, 2) ? roll(b, 40) : 0);
			last = roll(b, 2) ? start + length : start + last % 700;
		}
		put_near(b, i, source, start, last);
		crowd->in[i] = true;
		crowd->source[i] = source && source->start <= start ? from : NOBODY;
	}
}

static void run_crowd(uint64_t span, bool brings, uint64_t seed)
{
	struct crowd crowd = { .b = set_up(CROWD, brings) };
	unsigned late = 0, copied = 0;

	crowd.b.state = seed;
	for (size_t i = 0; i < CROWD; i++)
		crowd.source[i] = NOBODY;
	for (unsigned n = 0; n < 6000; n++) {
		uint64_t page = roll(&crowd.b, span);

		step(&crowd, span);
		late += crowd.b.grid->late != NULL;
		copied += crowd.b.grid->copied != 0;
		check_walk(&crowd, page, page);
		check_walk(&crowd, page, page + roll(&crowd.b, span));
		check_walk(&crowd, 0, UINT64_MAX);
		assert_sound(&crowd.b);
	}
	cr_assert(late && (copied || span < 300), "some ways were never taken");
	tear_down(&crowd.b);
}

Test(level_grid, keeps_sources_in_front)
{
	for (uint64_t seed = 1; seed <= 3; seed++) {
		run_crowd(200, true, seed);
		run_crowd(2000, true, seed);
		run_crowd(2000, false, seed);
		run_crowd((uint64_t)1 << 34, true, seed);
	}
}

/* ---- growing ---- */

static int count(struct cleave_entry *entry, void *arg)
{
	(void)entry;
	++*(size_t *)arg;
	return 0;
}

static void run_growth(bool brings)
{
	enum { MANY = 4000 };
	struct bench b = set_up(MANY, brings);
	size_t seen = 0;

	for (size_t i = 0; i < MANY; i++) {
		uint64_t start = i % 2 ? i * 1000 : 5;

		put_near(&b, i, NULL, start, start + i % 3);
	}
	assert_sound(&b);
	cr_assert_eq(b.grid->room >= MANY / 2, brings);
	cr_assert_eq(b.grid->runs > 0, brings);
	cr_assert_eq(walk(b.grid, NULL, 0, 0, UINT64_MAX, count, &seen), 0);
	cr_assert_eq(seen, MANY);
	for (size_t i = 0; i < MANY; i++)
		remove_entry(b.grid, &b.update, &b.interval[(i * 7919 + 13) % MANY].entry);
	assert_sound(&b);
	cr_assert(empty(b.grid));
	tear_down(&b);
}

Test(level_grid, grows_by_what_is_brought)
{
	run_growth(true);
}

Test(level_grid, is_right_without_memory)
{
	run_growth(false);
}

Test(level_grid, brings_nothing_for_removals)
{
	const struct cleave_op ops[] = { { .kind = CLEAVE_REMOVE }, { .kind = CLEAVE_CHANGE } };
	struct bench b = set_up(64, true);

	for (size_t i = 0; !b.grid->wants; i++)
		put_near(&b, i, NULL, i * 1000, i * 1000);
	cr_assert_eq(prepare(b.grid, NULL, ops, 1, &b.update.reserve), 0);
	cr_assert_null(b.update.reserve);
	cr_assert_eq(prepare(b.grid, NULL, ops, 2, &b.update.reserve), 0);
	cr_assert_not_null(b.update.reserve);
	end(&b);
	tear_down(&b);
}

/* A file that is forked alone: each entry but the first is put there for another. */
Test(level_grid, children_are_in_runs)
{
	enum { CHILDREN = 1000 };
	struct bench b = set_up(CHILDREN, true);

	put_near(&b, 0, NULL, 100, 200);
	for (size_t i = 1; i < CHILDREN; i++)
		put_near(&b, i, &b.interval[roll(&b, i)], 100, 200);
	assert_sound(&b);
	cr_assert_geq(b.grid->runs - b.grid->spares, CHILDREN / RUN_SLOTS);
	tear_down(&b);
}

/* ---- damage ---- */

enum { DAMAGED = 40 };

/* 0 to 29 are equal: a leader, one alone, and 28 in runs; the others have cells of their own. */
static struct bench set_up_sound(void)
{
	struct bench b = set_up(DAMAGED, true);

	for (size_t i = 0; i < 30; i++)
		put_near(&b, i, NULL, 100, 120);
	for (size_t i = 30; i < DAMAGED; i++)
		put_near(&b, i, NULL, 1000 * i, 1000 * i + 5);
	assert_sound(&b);
	return b;
}

static void assert_reason(const struct bench *b, const char *part)
{
	const char *reason = validate(b->grid);

	cr_assert_not_null(reason, "not found: %s", part);
	cr_assert_not_null(strstr(reason, part), "%s, not %s", reason, part);
}

/* One byte, by one, and back. */
static void damage(const struct bench *b, void *at, const char *part)
{
	unsigned char *byte = at;

	++*byte;
	assert_reason(b, part);
	--*byte;
	assert_sound(b);
}

Test(level_grid, validate_finds_damage)
{
	struct bench b = set_up_sound();
	struct grid *grid = b.grid;
	struct member *alone = at(&b, 35), *in_run = at(&b, 20);
	struct run *run = run_of(in_run);

	cr_assert_not_null(run);
	cr_assert_null(run_of(alone));
	damage(&b, &alone->key, "");
	damage(&b, &alone->place, "cells, copies or runs");
	damage(&b, &in_run->key, "another cell");
	damage(&b, &in_run->place, "not where it says");
	damage(&b, &in_run->start, "other bounds");
	damage(&b, &in_run->last, "other bounds");
	damage(&b, &run->used, "miscounts");
	damage(&b, &run->live, "miscounts");
	damage(&b, &run->slot[3].start, "other bounds");
	damage(&b, &run->last_least, "common range");
	damage(&b, &grid->cells, "not as many");
	damage(&b, &grid->copied, "not as many");
	damage(&b, &grid->runs, "not as many");
	damage(&b, &grid->cells_of_level[3], "as many cells");
	damage(&b, &grid->room, "the table");
	damage(&b, &grid->mask, "the table");
	tear_down(&b);
}

Test(level_grid, validate_finds_broken_links)
{
	struct bench b = set_up_sound();
	struct grid *grid = b.grid;
	struct member *leader = at(&b, 0);
	struct link *second = leader->link.next;
	uintptr_t *slot = slot_for(grid, hash_of_key(leader->key));
	uintptr_t kept = *slot;

	second->before = second;
	assert_reason(&b, "link back");
	second->before = &leader->link;
	leader->link.before = second;
	assert_reason(&b, "in front of a leader");
	leader->link.before = NULL;
	*slot &= ~tag_of(level_of_key(leader->key));
	assert_reason(&b, "no tag");
	*slot = kept;
	leader->chain = leader;
	assert_reason(&b, "two cells are the same");
	set_slot(slot, NULL);
	assert_reason(&b, "not as many");
	grid->levels ^= 1;
	*slot = kept;
	leader->chain = NULL;
	assert_reason(&b, "other bits");
	grid->levels ^= 1;
	tear_down(&b);
}
