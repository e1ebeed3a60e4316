/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a map without intervals takes, cleave_memory of it, on a machine with many CPUs: under each
 * scheme with each lock, and with each pair of locks that a named design has; in one subset, one a
 * NUMA node, one an L3, one a CPU. A kernel has a map for every file.
 */
#ifndef CLV_MEASURE_EMPTY_MAPS_H
#define CLV_MEASURE_EMPTY_MAPS_H

#include <stdio.h>

#include <cleave/structure.h>

#include <jansson.h>

enum { CLV_EMPTY_SPLITS = 4 };

struct clv_empty_row {
	char rest[96]; /* of the design, behind the partition: "/one:rwsem" */
	unsigned subsets[CLV_EMPTY_SPLITS]; /* a scheme may have one beside the partition's */
	size_t bytes[CLV_EMPTY_SPLITS]; /* 0: it cannot be opened, for the reason in why */
	char why[160];
};

struct clv_empty_maps {
	const struct cleave_structure *structure;
	unsigned subsets[CLV_EMPTY_SPLITS]; /* of the partitions */
	unsigned rows;
	struct clv_empty_row *row;
};

/* Returns: 0; -ENOMEM, with a line in error. `fini` also then. */
int clv_empty_maps_make(struct clv_empty_maps *maps, const struct cleave_structure *structure,
			struct cleave_env *many, struct cleave_error *error);
void clv_empty_maps_fini(struct clv_empty_maps *maps);

void clv_empty_maps_print(FILE *out, const struct clv_empty_maps *maps, const char *machine);
json_t *clv_empty_maps_json(const struct clv_empty_maps *maps);

#endif
