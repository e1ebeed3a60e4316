/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What cleave bench-structures says: tables for people, and JSON (docs/results.md). */
#ifndef CLV_MEASURE_REPORT_H
#define CLV_MEASURE_REPORT_H

#include <stdio.h>

#include <jansson.h>

#include "table.h"

/* Columns of a structure's name, and "peer", "floor", "sink", "unranked" or "". */
int clv_measure_width(const struct clv_table_settings *settings);
const char *clv_measure_role(const struct cleave_structure *structure);

void clv_table_print(FILE *out, const struct clv_table_settings *settings,
		     const struct clv_block *blocks);
/* An array, an object each cell. NULL: out of memory. */
json_t *clv_table_json(const struct clv_table_settings *settings, const struct clv_block *blocks);

json_t *clv_interval_json(const struct clv_interval *interval);

#endif
