// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/error.h"
#include "../worker.h"
#include "subject.h"

#define FILL_LIMIT_S 1.0

/* ---- one repetition ---- */

struct figures {
	double column[CLV_COLUMNS];
	double hits, first_walk_ns, bytes;
};

static int take_figures(struct clv_subject *subject, const struct clv_block *block,
			double budget_ns, struct figures *figures, struct cleave_error *error)
{
	struct clv_timing timing;
	/* Warm: until memory is laid out as it stays, and reserves are what they will be. */
	int code = clv_subject_pairs(subject, budget_ns / 2, &timing, error);
	if (!code)
		code = clv_subject_pairs(subject, budget_ns, &timing, error);
	figures->column[CLV_PAIR] = timing.ns / (double)timing.count;
	if (!code)
		code = clv_subject_walks(subject, 0, &timing, error);
	figures->first_walk_ns = timing.ns / (double)timing.count;
	if (!code)
		code = clv_subject_walks(subject, budget_ns, &timing, error);
	figures->column[CLV_WALK] = timing.ns / (double)timing.count;
	figures->hits = (double)timing.hits / (double)timing.count;
	if (!code)
		code = clv_subject_full_walks(subject, 0, &timing, error);
	if (!code)
		code = clv_subject_full_walks(subject, budget_ns / 2, &timing, error);
	figures->column[CLV_FULL] = timing.ns / (double)timing.count / block->population;
	if (!code)
		code = clv_subject_check(subject, error);
	figures->bytes = (double)clv_subject_bytes(subject) / block->population;
	return code;
}

static int measure(const struct clv_table_settings *settings, const struct clv_block *block,
		   const struct clv_cell *cell, unsigned repetition, struct figures *figures,
		   struct cleave_error *error)
{
	char design[80];
	snprintf(design, sizeof(design), "%s/one:none", cell->structure->name);
	const struct clv_subject_config config = {
		.env = settings->env,
		.design = design,
		.cpu = settings->cpu,
		.shape = block->shape,
		.count = block->population,
		.seed = settings->seed + repetition,
		.fill_limit_s = FILL_LIMIT_S,
	};
	struct clv_subject *subject;
	int code = clv_subject_open(&subject, &config, error);
	if (code)
		return code;
	code = take_figures(subject, block, settings->budget_ns, figures, error);
	clv_subject_close(subject);
	return code;
}

/* ---- a block ---- */

struct pile {
	double *hits, *first; /* [structures * repetitions] */
	unsigned *order;      /* [structures] */
};

static void repeat(const struct clv_table_settings *settings, struct clv_block *block,
		   struct pile *pile, unsigned which, unsigned repetition)
{
	struct clv_cell *cell = &block->cell[which];
	struct cleave_error error = { "" };
	struct figures figures;
	if (cell->left_out || cell->invalid)
		return;
	int code = measure(settings, block, cell, repetition, &figures, &error);
	if (code) {
		/* What is slow, or does not reach so far, is not wrong. */
		cell->left_out = code == -ETIME || code == -ERANGE;
		cell->invalid = !cell->left_out;
		snprintf(cell->why, sizeof(cell->why), "%s",
			 error.text[0] ? error.text : strerror(-code));
		return;
	}
	for (unsigned i = 0; i < CLV_COLUMNS; i++)
		cell->sample[i][cell->done] = figures.column[i];
	pile->hits[which * settings->repetitions + cell->done] = figures.hits;
	pile->first[which * settings->repetitions + cell->done] = figures.first_walk_ns;
	cell->bytes = figures.bytes;
	cell->done++;
}

static void shuffle(unsigned *order, unsigned count, uint64_t *random)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned other = (unsigned)clv_scale((uint32_t)(clv_random(random) >> 32), i + 1);
		order[i] = order[other];
		order[other] = i;
	}
}

/* Overlaps need what the workloads of the same ranges need: that all is visited, once. */
static void leave_out(struct clv_cell *cell, const struct clv_shape *shape)
{
	const struct cleave_structure *structure = cell->structure;
	if (shape->disjoint || (structure->flags & CLEAVE_SINK) ||
	    (structure->keeps & CLEAVE_C5_COMPLETE_AND_SINGLE))
		return;
	cell->left_out = true;
	snprintf(cell->why, sizeof(cell->why), "it does not keep ranges that overlap");
}

/* ---- statistics ---- */

static const struct clv_cell *find(const struct clv_block *block, unsigned structures,
				   const char *name)
{
	for (unsigned i = 0; i < structures; i++) {
		const struct clv_cell *cell = &block->cell[i];
		if (!strcmp(cell->structure->name, name) && cell->done)
			return cell;
	}
	return NULL;
}

/* The one named; or the first there is, with entries of that size. */
static const struct clv_cell *reference_of(const struct clv_table_settings *settings,
					   const struct clv_block *block, size_t entry_bytes)
{
	unsigned structures = settings->structures;
	static const char *const small[] = { "kernel_interval_tree", "rb_interval" };
	static const char *const large[] = { "kernel_interval_tree_vma", "rb_vma" };
	const char *const *name = entry_bytes < sizeof(struct cleave_vma) ? small : large;
	if (settings->reference)
		return find(block, structures, settings->reference->name);
	const struct clv_cell *cell = find(block, structures, name[0]);
	return cell ? cell : find(block, structures, name[1]);
}

/* Round by round: less what the sink took, and over the same of the reference. */
static int compare_column(const struct clv_block *block, struct clv_cell *cell,
			  const struct clv_cell *reference, enum clv_column column, double *work)
{
	const double *off = block->sink->sample[column];
	unsigned done = cell->done;
	int code = clv_stats_median(cell->sample[column], done, &cell->raw[column]);
	for (unsigned i = 0; i < done; i++)
		work[i] = cell->sample[column][i] - off[i];
	if (!code)
		code = clv_stats_median(work, done, &cell->net[column]);
	if (code || !reference)
		return code;
	for (unsigned i = 0; i < done; i++)
		work[i] /= reference->sample[column][i] - off[i];
	cell->ratio_to = reference->structure;
	return clv_stats_median(work, done, &cell->ratio[column]);
}

static double median(const double *sample, unsigned count)
{
	struct clv_interval interval = { 0 };
	return clv_stats_median(sample, count, &interval) ? 0 : interval.median;
}

static int compare(const struct clv_table_settings *settings, struct clv_block *block,
		   const struct pile *pile)
{
	double *work = calloc(settings->repetitions, sizeof(*work));
	int code = work ? 0 : -ENOMEM;
	/* What failed in a later round has no number either. */
	for (unsigned i = 0; i < settings->structures; i++) {
		if (block->cell[i].done < settings->repetitions)
			block->cell[i].done = 0;
	}
	for (unsigned i = 0; !code && i < settings->structures; i++) {
		struct clv_cell *cell = &block->cell[i];
		if (!cell->done)
			continue;
		const struct clv_cell *reference =
			cell->structure->flags & CLEAVE_SINK ? NULL :
			reference_of(settings, block, cell->structure->entry_size_bytes);
		for (unsigned k = 0; !code && k < CLV_COLUMNS; k++)
			code = compare_column(block, cell, reference, k, work);
		cell->hits = median(pile->hits + i * settings->repetitions, cell->done);
		cell->first_walk_ns = median(pile->first + i * settings->repetitions, cell->done);
	}
	free(work);
	return code;
}

/* ---- all of it ---- */

static int make_cells(const struct clv_table_settings *settings, struct clv_block *block)
{
	block->cell = calloc(settings->structures, sizeof(*block->cell));
	for (unsigned i = 0; block->cell && i < settings->structures; i++) {
		struct clv_cell *cell = &block->cell[i];
		cell->structure = settings->structure[i];
		leave_out(cell, block->shape);
		if (cell->structure->flags & CLEAVE_SINK)
			block->sink = cell;
		for (unsigned k = 0; k < CLV_COLUMNS; k++) {
			cell->sample[k] = calloc(settings->repetitions, sizeof(double));
			if (!cell->sample[k])
				return -ENOMEM;
		}
	}
	return block->cell ? 0 : -ENOMEM;
}

static int make_block(const struct clv_table_settings *settings, struct clv_block *block,
		      struct pile *pile, uint64_t *random, clv_table_progress *progress,
		      double done, double share)
{
	unsigned structures = settings->structures;
	int code = make_cells(settings, block);
	if (code)
		return code;
	for (unsigned r = 0; r < settings->repetitions; r++) {
		shuffle(pile->order, structures, random);
		for (unsigned i = 0; i < structures; i++) {
			unsigned which = pile->order[i];
			if (progress)
				progress(block, &block->cell[which],
					 done + share * (r * structures + i) /
							 (settings->repetitions * structures));
			repeat(settings, block, pile, which, r);
		}
	}
	return compare(settings, block, pile);
}

int clv_table_make(struct clv_block **made, const struct clv_table_settings *settings,
		   clv_table_progress *progress, struct cleave_error *error)
{
	unsigned count = settings->shapes * settings->populations;
	size_t samples = (size_t)settings->structures * settings->repetitions;
	uint64_t random = clv_seed(settings->seed, CLV_STREAM_START, 0);
	struct clv_block *blocks = calloc(count, sizeof(*blocks));
	struct pile pile = {
		.hits = calloc(samples, sizeof(double)),
		.first = calloc(samples, sizeof(double)),
		.order = calloc(settings->structures, sizeof(unsigned)),
	};
	int code = blocks && pile.hits && pile.first && pile.order ? 0 : -ENOMEM;
	for (unsigned i = 0; !code && i < count; i++) {
		blocks[i].shape = settings->shape[i / settings->populations];
		blocks[i].population = settings->population[i % settings->populations];
		code = make_block(settings, &blocks[i], &pile, &random, progress,
				  (double)i / count, 1.0 / count);
	}
	free(pile.hits);
	free(pile.first);
	free(pile.order);
	if (code) {
		if (blocks)
			clv_table_free(blocks, settings);
		return clv_error(error, code, "structures: %s", strerror(-code));
	}
	*made = blocks;
	return 0;
}

void clv_table_free(struct clv_block *blocks, const struct clv_table_settings *settings)
{
	for (unsigned i = 0; i < settings->shapes * settings->populations; i++) {
		for (unsigned k = 0; blocks[i].cell && k < settings->structures; k++) {
			for (unsigned c = 0; c < CLV_COLUMNS; c++)
				free(blocks[i].cell[k].sample[c]);
		}
		free(blocks[i].cell);
	}
	free(blocks);
}
