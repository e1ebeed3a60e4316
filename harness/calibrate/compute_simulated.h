/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the kernels of compute.h take on the simulated machine: how block_ns and access_ns, which no
 * instruction shows by itself, are found. A kernel's time there depends on them and on what else
 * its accesses and branches cost: loads that wait for each other, mispredicts.
 */
#ifndef CLV_COMPUTE_SIMULATED_H
#define CLV_COMPUTE_SIMULATED_H

#include "../machine/model.h"
#include "compute.h"

/*
 * ns a round of each kernel on a CPU with these costs. Returns: 0; what clv_sim_open returns; with a
 * line in error.
 */
int clv_compute_simulated_ns(const struct clv_costs *costs, double ns[CLV_COMPUTE_KERNELS],
			     struct cleave_error *error);

/*
 * Set block_ps and access_ps in *costs so that the kernels take `ns`, as nearly as can be: the sum
 * of the squares of the ratios' logarithms is least. *misfit: the largest ratio's distance from 1.
 * Returns: as above; -EINVAL for a time that is not above 0. Cost: some 100 simulations, under a
 * second.
 */
int clv_compute_fit(struct clv_costs *costs, const double ns[CLV_COMPUTE_KERNELS], double *misfit,
		    struct cleave_error *error);

#endif
