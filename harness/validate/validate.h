/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The parts of `cleave validate`. Each prints its tables, and puts the same as objects into `out`
 * where that is not NULL. None changes a parameter after it has seen what it is compared with.
 * All: Returns: 0; negative errno with a line in error.
 */
#ifndef CLV_VALIDATE_H
#define CLV_VALIDATE_H

#include <jansson.h>

#include "trial.h"

struct clv_validation {
	const char *machine; /* of all but on_host; NULL: the part's own */
	bool quick;
	unsigned jobs;
	double seconds; /* of calibration, on_host */
	const struct clv_schedule *schedule;
	json_t *out;
	struct cleave_error *error;
};

/* This machine, measured and predicted: on_host.c. */
int clv_validate_on_host(const struct clv_validation *validation);
/* Published throughput of a machine like Naples: curves.c. */
int clv_validate_curves(const struct clv_validation *validation);
/* What the discussion reports of split trees: figure.c. */
int clv_validate_figure(const struct clv_validation *validation);
/* What each parameter does to the comparison of designs: sensitivity.c. */
int clv_validate_sensitivity(const struct clv_validation *validation);

/* ---- validate.c ---- */

/* The array `name` of validation->out, made if need be; NULL: none wanted. */
json_t *clv_validation_rows(const struct clv_validation *validation, const char *name);
/* Append, stealing the row; NULL for either: nothing. */
void clv_validation_row(json_t *rows, json_t *row);
/* A trial as it was given and what it came to; NULL: out of memory. */
json_t *clv_trial_json(const struct clv_trial *trial);
int clv_validation_trials(const struct clv_validation *validation, struct clv_trial *trial,
			  unsigned trials, const char *what);
/* Print a line each for those that failed. Returns: how many. */
unsigned clv_validation_failed(const struct clv_trial *trial, unsigned trials);

#endif
