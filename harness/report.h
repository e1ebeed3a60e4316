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

/* Below it: the costliest lines of each point, by name. Of a simulated machine. */
void clv_report_lines(FILE *out, const struct clv_point *point, size_t points);

/*
 * Below the table: each point over time, where that was asked for; else, of designs that change
 * while they run, when and why they did.
 */
void clv_report_course(FILE *out, const struct clv_settings *settings,
		       const struct clv_point *point, size_t points);

/* ---- what the files of the report share ---- */

/* Three digits, or as many as stand before the point: "0.123", "12.3", "1234". */
int clv_format_number(char *out, size_t bytes, double value);
/* "12.3M [12.1, 12.6]", the bounds in the median's unit. */
void clv_format_rate(char *out, size_t bytes, const struct clv_interval *interval);
/* The name it was run by, or the design. */
const char *clv_point_title(const struct clv_point *point);
/* "  1.234 [1.2, 1.3]" to the row before, or nothing. */
void clv_report_ratio(FILE *out, const struct clv_point *point, int decimals);
/* " 0.987", Jain's index; " -" where it would not be of fairness. */
void clv_report_jain(FILE *out, const struct clv_point *point);

/* report_simulated.c: which model; of the table, */
void clv_simulated_identity(FILE *out, const struct clv_settings *settings);
void clv_simulated_window(FILE *out, const struct clv_settings *settings);
void clv_simulated_heading(FILE *out, const struct clv_settings *settings, int width,
			   const char *confidence);
void clv_simulated_row(FILE *out, const struct clv_point *point, int width);
/* and of the JSON: fields of a result, of its provenance, and of the machine. */
void clv_findings_json(json_t *object, const struct clv_findings *findings, bool storm);
void clv_findings_provenance(json_t *object, const struct clv_settings *settings,
			     const struct clv_findings *findings);
void clv_model_json(json_t *object, const struct clv_settings *settings);

/* report_course.c: fields of a result, of those that there are: course, phases; and storm. */
void clv_course_json(json_t *object, const struct clv_point *point);
void clv_storm_json(json_t *object, const struct clv_settings *settings);

/* The guarantees' names, of `keeps` as cleave_keeps has it: ["C1", "C2"]. NULL: out of memory. */
json_t *clv_report_keeps(unsigned keeps);

/*
 * Returns: the JSON text, to free(); NULL: out of memory. `command` is what was typed.
 */
char *clv_report_json(const struct clv_settings *settings, const struct clv_point *point,
		      size_t points, const char *command);

#endif
