/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef CLV_MEASURE_PRIVATE_ARRAY_H
#define CLV_MEASURE_PRIVATE_ARRAY_H

#include <cleave/structure.h>

/* To be registered by who measures. */
extern const struct cleave_structure clv_private_array;

#endif
