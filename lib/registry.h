/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef CLV_REGISTRY_H
#define CLV_REGISTRY_H

#include <cleave/structure.h>

/* NULL: none of that name. */
const struct cleave_structure *clv_structure_find(const char *name, size_t length);

#endif
