/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a run says: a table for people, and one JSON object for programs (docs/results.md).
 */
#ifndef CLV_REPORT_H
#define CLV_REPORT_H

#include <stdio.h>

#include <jansson.h>

#include "runner.h"

/* A block for each thread count and think time, a line for each point, in the order given. */
void clv_report_table(FILE *out, const struct clv_settings *settings,
		      const struct clv_point *point, size_t points);

/* What was run on: one line for the machine, one for how. */
void clv_report_machine(FILE *out, const struct clv_settings *settings);

/* The guarantees' names, of `keeps` as cleave_keeps has it: ["C1", "C2"]. NULL: out of memory. */
json_t *clv_report_keeps(unsigned keeps);

/*
 * Returns: the JSON text, to free(); NULL: out of memory. `command` is what was typed.
 */
char *clv_report_json(const struct clv_settings *settings, const struct clv_point *point,
		      size_t points, const char *command);

#endif
