/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A storm as it is typed: FROM-TO[:QUIET], the first two in ms. */
#ifndef CLV_STORM_H
#define CLV_STORM_H

#include "bench.h"

/*
 * quiet: 1 where it is not given. What is wrong is printed as clv_cli_error does. Whether the storm
 * fits into a window and a number of threads only the run knows. Returns: 0; CLV_CLI_REPORTED.
 */
int clv_storm_parse(const char *option, const char *text, struct clv_storm *storm);

#endif
