/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Other programs, run for what they print.
 */
#ifndef CLV_TOOL_H
#define CLV_TOOL_H

#include <stddef.h>

struct cleave_error;

/*
 * Run argv[0], found in PATH, until it ends. Its standard input is `input`, its standard output
 * goes into *output, to free(), with a byte of 0 behind *output_bytes. `missing`: the error's line
 * where there is no such program.
 *
 * Returns: 0; -ENOENT no such program; -EINVAL it ended with status 2, -EIO with another or by a
 * signal, its first line on standard error being the error's ("NAME: " before it unless it is one
 * of ours); or what starting it failed with. Threads: forks; no other may hold locks that it needs.
 */
int clv_tool_run(const char *const *argv, const void *input, size_t input_bytes, char **output,
		 size_t *output_bytes, const char *missing, struct cleave_error *error);

#endif
