/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef CLV_MACHINE_HOST_H
#define CLV_MACHINE_HOST_H

#include "machine.h"

int clv_machine_open_host(struct clv_machine **machine, struct cleave_error *error);

#endif
