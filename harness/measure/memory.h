/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What structures take: beside the entries, for each interval, after as many pairs as there are
 * intervals; and for a map without intervals, of one subset and of 384.
 */
#ifndef CLV_MEASURE_MEMORY_H
#define CLV_MEASURE_MEMORY_H

#include <stdio.h>

#include <jansson.h>

#include "table.h"

/* One structure's row. */
struct clv_sizes {
	const struct cleave_structure *structure;
	double *bytes; /* [shapes * populations] an interval; negative: not measured */
	const char **why; /* [shapes * populations], where it was not */
	double empty_one, empty_many; /* a subset, of one and of many; negative: not measured */
};

/* pre: as clv_table_make. Returns: 0, with sizes[structures]; -ENOMEM or -EUCLEAN with a line. */
int clv_sizes_make(struct clv_sizes **sizes, const struct clv_table_settings *settings,
		   void (*progress)(const char *structure, double done),
		   struct cleave_error *error);
void clv_sizes_free(struct clv_sizes *sizes, const struct clv_table_settings *settings);

void clv_sizes_print(FILE *out, const struct clv_table_settings *settings,
		     const struct clv_sizes *sizes);
json_t *clv_sizes_json(const struct clv_table_settings *settings, const struct clv_sizes *sizes);

#endif
