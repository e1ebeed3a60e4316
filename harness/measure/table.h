/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Structures side by side: each structure's cost over each shape of ranges at each population, on
 * one thread under /one:none. Repetitions are interleaved over the structures in random order; each
 * opens and fills a map of its own. What the harness and the dispatch cost, which is what a sink
 * takes in the same round, is taken off, and the ratio to the reference is made, round by round.
 *
 * The reference, unless one is named, is the kernel's interval tree where it is built, else our own of
 * the same shape: of entries as large as the structure's.
 */
#ifndef CLV_MEASURE_TABLE_H
#define CLV_MEASURE_TABLE_H

#include <cleave/structure.h>

#include "../stats.h"
#include "shape.h"

enum clv_column {
	CLV_PAIR, /* ns a removal and insert */
	CLV_WALK, /* ns a walk of a random page */
	CLV_FULL, /* ns an interval, of a walk over all */
	CLV_COLUMNS,
};

struct clv_table_settings {
	struct cleave_env *env;
	int cpu;
	uint64_t seed;
	unsigned repetitions;
	double budget_ns; /* of a repetition's column */
	const struct cleave_structure **structure; /* [structures] */
	unsigned structures;
	const struct clv_shape **shape; /* [shapes] */
	unsigned shapes;
	unsigned *population; /* [populations] */
	unsigned populations;
	const struct cleave_structure *reference; /* NULL: none is named */
};

/* One structure in one block. */
struct clv_cell {
	const struct cleave_structure *structure;
	bool left_out; /* for the reason in why: it is not for this shape, or too slow */
	bool invalid;  /* the reason is in why, and there is no number */
	char why[240];
	unsigned done;
	double *sample[CLV_COLUMNS]; /* [repetitions], nothing taken off */
	struct clv_interval raw[CLV_COLUMNS], net[CLV_COLUMNS], ratio[CLV_COLUMNS];
	const struct cleave_structure *ratio_to; /* NULL: there is no ratio */
	double hits;	      /* a walk of a page, median */
	double first_walk_ns; /* the first one after updates, nothing taken off, median */
	double bytes;	      /* an interval, entry not counted, last repetition */
};

/* One shape at one population. */
struct clv_block {
	const struct clv_shape *shape;
	unsigned population;
	struct clv_cell *cell; /* [structures] */
	const struct clv_cell *sink; /* what is taken off */
};

/* What is being measured, and the share done. */
typedef void clv_table_progress(const struct clv_block *block, const struct clv_cell *cell,
				double done);

/*
 * pre: the calling thread is bound to settings->cpu; one of the structures is a sink. Returns: 0 with
 * blocks[shapes * populations], by shape, then population, to be given back; -ENOMEM, with a line in
 * error. A structure that fails is invalid in its cell.
 */
int clv_table_make(struct clv_block **blocks, const struct clv_table_settings *settings,
		   clv_table_progress *progress, struct cleave_error *error);
void clv_table_free(struct clv_block *blocks, const struct clv_table_settings *settings);

#endif
