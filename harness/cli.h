/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the subcommands share: errors as `cleave: what: where` on standard error, arguments read by
 * glibc's argp, numbers with bounds, and output that is known to have been written.
 */
#ifndef CLV_CLI_H
#define CLV_CLI_H

#include <argp.h>
#include <stddef.h>
#include <stdint.h>

struct cleave_error;

enum {
	CLV_EXIT_OK = 0,
	CLV_EXIT_FAILED = 1, /* a run, a check or a write failed */
	CLV_EXIT_USAGE = 2,
};

/* One line, "cleave: " before it. Control characters in what is printed are shown as '?'. */
void clv_cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The same, for the line that a library call left. Returns: CLV_EXIT_USAGE if the code says that
 * what was asked for is wrong or not there, else CLV_EXIT_FAILED. */
int clv_cli_report(int code, const struct cleave_error *error);

/*
 * Parse a subcommand's arguments. `command`: as typed, "cleave topo". `argp`: as glibc has it, but
 * for two things: only long options are told apart well in errors, and --help and --usage are made
 * here. Its parser reports errors by clv_cli_error and returns CLV_CLI_REPORTED. An argument for
 * which it returns ARGP_ERR_UNKNOWN is refused here.
 * Returns: -1 to go on; else the command's exit status, all being printed.
 */
int clv_cli_parse(const struct argp *argp, const char *command, int argc, char **argv, void *input);

/* What a parser returns after it has printed an error. Also of the number readers below. */
#define CLV_CLI_REPORTED ECANCELED

/*
 * Decimal numbers within [low, high]. `option` is named in the error that is printed, "--threads".
 * Returns: 0; CLV_CLI_REPORTED.
 */
int clv_cli_u64(const char *option, const char *text, uint64_t low, uint64_t high, uint64_t *out);
int clv_cli_unsigned(const char *option, const char *text, unsigned low, unsigned high,
		     unsigned *out);
/* A plain decimal fraction, "0.25"; no sign, exponent, hex, inf or nan. */
int clv_cli_fraction(const char *option, const char *text, double low, double high, double *out);
/* The same of `text`, which is the end of `word`: that is what an error has. */
int clv_cli_fraction_in(const char *option, const char *word, const char *text, double low,
			double high, double *out);
/* 1,2,4: up to `capacity` of them, none twice. */
int clv_cli_unsigned_list(const char *option, const char *text, unsigned low, unsigned high,
			  unsigned *out, size_t capacity, size_t *count);

/*
 * Flush standard output. To be a command's last act: a full disk is an error.
 * Returns: `status`, or CLV_EXIT_FAILED with a line printed if something was not written.
 */
int clv_cli_finish(int status);

#endif
