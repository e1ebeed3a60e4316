/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef CLV_COMPUTE_COUNTS_H
#define CLV_COMPUTE_COUNTS_H

#include <stdbool.h>

/* Of one round of a kernel of compute.h, as the simulated machine counts. */
struct clv_compute_counts {
	double blocks, accesses, mispredicts;
};

/* Returns: false if there is no simulated build in this program, or no such kernel. */
bool clv_compute_counts(unsigned kernel, struct clv_compute_counts *counts);

#endif
