// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What cleave bench-structures is made of: the shapes of ranges, and a table that has a number for
 * what is right and none for what is not. No number is looked at but for what it is by definition.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../harness/measure/private_array.h"
#include "../../harness/measure/subject.h"
#include "../../harness/measure/table.h"
#include "../../lib/registry.h"
#include "../model/list_unlocked.h"

enum { COUNT = 100, MOVES = 1000, REPETITIONS = 6 };

static unsigned covering(const struct clv_ranges *ranges, uint64_t page)
{
	unsigned count = 0;
	for (unsigned i = 0; i < ranges->count; i++)
		count += ranges->range[i].start <= page && page <= ranges->range[i].last;
	return count;
}

Test(measure, shapes)
{
	const struct clv_shape *shape;
	for (unsigned i = 0; (shape = clv_shape_at(i)); i++) {
		struct clv_ranges ranges;
		cr_assert_eq(clv_ranges_make(&ranges, shape, COUNT, 7), 0);
		for (unsigned k = 0; k < MOVES; k++)
			cr_assert_lt(clv_ranges_move(&ranges), COUNT);
		uint32_t *cover = clv_ranges_cover(&ranges);
		for (unsigned k = 0; k < COUNT; k++) {
			struct clv_range range = ranges.range[k];
			cr_assert(range.start <= range.last && range.last < ranges.pages,
				  "%s: [%u, %u]", shape->name, range.start, range.last);
			cr_assert_eq(cover[range.start], covering(&ranges, range.start));
			cr_assert_eq(cover[range.last], covering(&ranges, range.last));
			cr_assert(!shape->disjoint || cover[range.start] == 1);
		}
		cr_assert_eq(cover[ranges.pages - 1], covering(&ranges, ranges.pages - 1));
		free(cover);
		clv_ranges_fini(&ranges);
	}
}

/* ---- structures that are wrong, each in one way ---- */

struct cut {
	uint64_t left;
	cleave_visit_fn *visit;
	void *arg;
};

static int visit_but_last(struct cleave_entry *entry, void *arg)
{
	struct cut *cut = arg;
	return cut->left-- > 1 ? cut->visit(entry, cut->arg) : 0;
}

static int count_visits(struct cleave_entry *entry, void *arg)
{
	(void)entry;
	++*(uint64_t *)arg;
	return 0;
}

static int walk_short(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		      uint64_t last, cleave_visit_fn *visit, void *arg)
{
	struct cut cut = { 0, visit, arg };
	clv_private_array.walk(self, thread, subset, start, last, count_visits, &cut.left);
	return clv_private_array.walk(self, thread, subset, start, last, visit_but_last, &cut);
}

/* A page longer, which walks of pages may or may not meet. */
static void insert_longer(void *self, struct cleave_update *update, struct cleave_entry *entry,
			     struct cleave_entry *source, uint64_t start, uint64_t last)
{
	clv_private_array.insert(self, update, entry, source, start, last + 1);
}

static const char *is_bad(void *self)
{
	(void)self;
	return "it is bad";
}

static struct cleave_structure named(const char *name)
{
	struct cleave_structure structure = clv_private_array;
	structure.name = name;
	return structure;
}

static const struct clv_cell *cell_of(const struct clv_block *block, unsigned structures,
				      const char *name)
{
	for (unsigned i = 0; i < structures; i++) {
		if (!strcmp(block->cell[i].structure->name, name))
			return &block->cell[i];
	}
	cr_assert(false, "%s", name);
	return NULL;
}

static void expect_invalid(const struct clv_block *block, unsigned structures, const char *name,
			   const char *words)
{
	const struct clv_cell *cell = cell_of(block, structures, name);
	cr_assert(cell->invalid && !cell->done, "%s has a number", name);
	cr_assert(strstr(cell->why, words), "%s: %s", name, cell->why);
}

Test(measure, table)
{
	static struct cleave_structure short_walks, longer, bad, no_overlaps;
	short_walks = named("short_walks");
	short_walks.walk = walk_short;
	longer = named("longer");
	longer.insert = insert_longer;
	bad = named("bad");
	bad.validate = is_bad;
	no_overlaps = named("no_overlaps");
	no_overlaps.keeps = 0;
	const struct cleave_structure *structure[] = {
		clv_structure_find("rb_interval", 11), clv_structure_find("null_sink", 9),
		&clv_private_array, &list_unlocked, &short_walks, &longer, &bad, &no_overlaps,
	};
	enum { STRUCTURES = sizeof(structure) / sizeof(structure[0]) };
	for (unsigned i = 2; i < STRUCTURES; i++)
		cr_assert_eq(cleave_register(structure[i], NULL), 0);
	const struct clv_shape *shape[] = { clv_shape_at(0), clv_shape_at(1), clv_shape_at(2) };
	unsigned population[] = { COUNT };
	struct clv_table_settings settings = {
		.cpu = -1, .seed = 1, .repetitions = REPETITIONS, .budget_ns = 1e5,
		.structure = structure, .structures = STRUCTURES,
		.shape = shape, .shapes = 3,
		.population = population, .populations = 1,
	};
	struct cleave_error error = { "" };
	struct clv_block *blocks;
	cr_assert_eq(cleave_env_open(&settings.env, NULL, &error), 0, "%s", error.text);
	cr_assert_eq(clv_table_make(&blocks, &settings, NULL, &error), 0, "%s", error.text);
	for (unsigned i = 0; i < 3; i++) {
		const struct clv_block *block = &blocks[i];
		const struct clv_cell *tree = cell_of(block, STRUCTURES, "rb_interval");
		const struct clv_cell *list = cell_of(block, STRUCTURES, list_unlocked.name);
		const struct clv_cell *sink = cell_of(block, STRUCTURES, "null_sink");
		cr_assert_eq(tree->done, REPETITIONS, "%s", tree->why);
		cr_assert_eq(list->done, REPETITIONS, "%s", list->why);
		cr_assert_eq(sink->done, REPETITIONS, "%s", sink->why);
		cr_assert_eq(tree->ratio_to, tree->structure);
		cr_assert_eq(tree->ratio[CLV_WALK].median, 1);
		cr_assert_eq(sink->net[CLV_PAIR].median, 0);
		cr_assert_null(sink->ratio_to);
		expect_invalid(block, STRUCTURES, "short_walks", "visited");
		expect_invalid(block, STRUCTURES, "longer", "");
		expect_invalid(block, STRUCTURES, "bad", "it is bad");
		const struct clv_cell *some = cell_of(block, STRUCTURES, "no_overlaps");
		cr_assert_eq(some->left_out, !block->shape->disjoint);
		cr_assert_eq(some->done, block->shape->disjoint ? REPETITIONS : 0);
	}
	clv_table_free(blocks, &settings);
	cleave_env_close(settings.env);
}

Test(measure, gives_up_what_is_slow)
{
	struct clv_subject *subject;
	struct cleave_error error = { "" };
	struct clv_subject_config config = {
		.design = "brute_array/one:none", .cpu = -1, .shape = clv_shape_at(1),
		.count = 100000, .seed = 1, .fill_limit_s = 0.01,
	};
	cr_assert_eq(cleave_env_open(&config.env, NULL, NULL), 0);
	cr_assert_eq(clv_subject_open(&subject, &config, &error), -ETIME, "%s", error.text);
	cleave_env_close(config.env);
}
