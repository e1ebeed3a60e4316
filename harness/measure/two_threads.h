/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a second thread gives: the workload pairs-libc at 6,000 intervals on one CPU and on two, in
 * turns. Each structure split by CPU, each part under a lock of its own, and without one where none
 * is needed; beside two private arrays under the same locks, which is all that two CPUs can give; and
 * the kernel's tree in one piece under one lock, as it is used.
 */
#ifndef CLV_MEASURE_TWO_THREADS_H
#define CLV_MEASURE_TWO_THREADS_H

#include <stdio.h>

#include <jansson.h>

#include "../machine/machine.h"
#include "table.h"

/* What one design gave. */
struct clv_gain {
	const struct cleave_structure *structure;
	char design[80];
	bool invalid, disturbed;
	char why[240];
	unsigned done; /* rounds in which no thread had to wait for a CPU; 0: none */
	double *one, *two; /* [repetitions]: operations a second */
	struct clv_interval rate_one, rate_two, gain, share; /* share: of what private arrays gain */
	bool has_share;
};

struct clv_gains {
	unsigned count;
	struct clv_gain *gain;
};

/* pre: the host has two CPUs. Returns: 0; -ENOMEM, with a line in error. `fini` also then. */
int clv_gains_make(struct clv_gains *gains, const struct clv_table_settings *settings,
		   struct clv_machine *host, void (*progress)(const char *design, double done),
		   struct cleave_error *error);
void clv_gains_fini(struct clv_gains *gains);

void clv_gains_print(FILE *out, const struct clv_gains *gains);
json_t *clv_gains_json(const struct clv_gains *gains);

#endif
