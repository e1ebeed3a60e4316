/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef CLV_MACHINE_SIMULATED_H
#define CLV_MACHINE_SIMULATED_H

#include "machine.h"

/* `name`: as clv_model_load takes it. Returns: 0; what that returns; -ENOMEM, -ENOTSUP. */
int clv_machine_open_simulated(struct clv_machine **machine, const char *name,
			       struct cleave_error *error);

#endif
