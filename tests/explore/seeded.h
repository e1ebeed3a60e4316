/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SEEDED_H
#define SEEDED_H

struct cleave_error;

/* Register the seeded copies in the instrumented build. Returns: 0; negative errno. */
int seeded_add(struct cleave_error *error);

#endif
