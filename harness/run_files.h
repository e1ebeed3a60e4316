/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What `cleave run` leaves behind: the results' file, Google Benchmark's beside it, and in both what
 * was typed. Errors are printed.
 */
#ifndef CLV_RUN_FILES_H
#define CLV_RUN_FILES_H

#include "runner.h"

/* Before an hour's run, not after it. Returns: -1 to go on; else an exit status. */
int clv_run_files_check(const char *json);
/* The same of a file for an option; it must not be one of those of --json, if that is not NULL. */
int clv_run_file_check(const char *option, const char *path, const char *json);

/* Does it name this process's standard output? */
bool clv_run_file_is_output(const char *path);

/* Google Benchmark's first: where our own is new, both are. Returns: exit status. */
int clv_run_files_write(const char *path, const struct clv_settings *settings,
			const struct clv_point *point, size_t points, const char *command,
			const char *gbench, size_t gbench_bytes);

/* `first` and all arguments, as a shell would take them back, to free(); NULL: out of memory. */
char *clv_run_command(const char *first, int argc, char **argv);

#endif
