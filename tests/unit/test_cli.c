// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What a command says to wrong arguments: one line, `cleave: what: where`, and exit status 2.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "../../harness/cli.h"
#include "../../lib/error.h"

struct options {
	unsigned count;
	const char *name, *word;
	bool flag, ended;
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	switch (key) {
	case 300:
		return clv_cli_unsigned("--count", arg, 1, 9, &options->count);
	case 301:
		options->name = arg;
		return 0;
	case 302:
		options->flag = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->word)
			return ARGP_ERR_UNKNOWN;
		options->word = arg;
		return 0;
	case ARGP_KEY_END:
		options->ended = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option table[] = {
	{ "count", 300, "N", 0, "A number", 0 },
	{ "name", 301, "TEXT", 0, "A name", 0 },
	{ "flag", 302, NULL, 0, "A flag", 0 },
	{ "named", 301, "TEXT", OPTION_ALIAS, NULL, 0 },
	{ 0 },
};

static int parse(struct options *options, const char *line)
{
	static const struct argp argp = {
		.options = table, .parser = parse_option, .args_doc = "WORD", .doc = "Does it."
	};
	char words[256];
	char *argv[16] = { (char *)"it" };
	int argc = 1;
	snprintf(words, sizeof(words), "%s", line);
	for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	*options = (struct options) { .count = 0 };
	return clv_cli_parse(&argp, "cleave it", argc, argv, options);
}

/* Standard error, since the last call; at most 1023 bytes. Into a static buffer. */
static const char *read_errors(void)
{
	static char text[1024];
	fflush(stderr);
	FILE *errors = cr_get_redirected_stderr();
	size_t bytes = fread(text, 1, sizeof(text) - 1, errors);
	text[bytes] = 0;
	return text;
}

Test(cli, accepted)
{
	struct options options;
	cr_assert_eq(parse(&options, "--count 9 w --flag --name=x=y"), -1);
	cr_assert_eq(options.count, 9);
	cr_assert(options.flag && options.ended);
	cr_assert_eq(parse(&options, "--co=3"), -1);
	cr_assert_eq(options.count, 3);
	cr_assert_eq(parse(&options, "-- --flag"), -1);
	cr_assert(!options.flag);
	cr_assert_eq(parse(&options, ""), -1);
	cr_assert(options.ended);
}

Test(cli, refused, .init = cr_redirect_stderr)
{
	static const struct {
		const char *line, *message;
	} bad[] = {
		{ "--foo", "unknown option: --foo" },
		{ "w --foo=3", "unknown option: --foo" },
		{ "--flag --foo w", "unknown option: --foo" },
		{ "--name", "option needs a value: --name" },
		{ "--flag=1", "option takes no value: --flag" },
		{ "--help=1", "option takes no value: --help" },
		{ "--na x", "ambiguous option: --na" },
		{ "-x", "unknown option: -x" },
		{ "--flag -xyz", "unknown option: -xyz" },
		{ "v w", "unexpected argument: w" },
		{ "v -- w", "unexpected argument: w" },
		{ "--count 0", "number out of range: --count 0: 1 to 9" },
		{ "--count 10", "number out of range: --count 10: 1 to 9" },
		{ "--count 99999999999999999999", "number out of range: --count "
						  "99999999999999999999: 1 to 9" },
		{ "--count -1", "not a number: --count -1" },
		{ "--count=", "not a number: --count " },
		{ "--count 0x1", "not a number: --count 0x1" },
		{ "--count 1\n2", "not a number: --count 1?2" },
	};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct options options;
		char expected[256];
		snprintf(expected, sizeof(expected), "cleave: %s\n", bad[i].message);
		cr_assert_eq(parse(&options, bad[i].line), CLV_EXIT_USAGE, "%s", bad[i].line);
		const char *errors = read_errors();
		cr_assert_str_eq(errors, expected, "'%s': %s", bad[i].line, errors);
	}
}

Test(cli, help, .init = cr_redirect_stdout)
{
	struct options options;
	cr_assert_eq(parse(&options, "--help --foo"), CLV_EXIT_OK);
	char text[2048];
	FILE *out = cr_get_redirected_stdout();
	text[fread(text, 1, sizeof(text) - 1, out)] = 0;
	cr_assert(strstr(text, "Usage: cleave it [OPTION...] WORD"), "%s", text);
	cr_assert(strstr(text, "--count=N") && strstr(text, "Does it."), "%s", text);
	cr_assert(!options.ended);
	cr_assert_eq(parse(&options, "--usage"), CLV_EXIT_OK);
}

Test(cli, lists, .init = cr_redirect_stderr)
{
	unsigned out[4];
	size_t count = 0;
	cr_assert_eq(clv_cli_unsigned_list("--threads", "1,2,4", 1, 8, out, 4, &count), 0);
	cr_assert(count == 3 && out[0] == 1 && out[1] == 2 && out[2] == 4);
	cr_assert_eq(clv_cli_unsigned_list("--threads", "8", 1, 8, out, 4, &count), 0);
	cr_assert(count == 1 && out[0] == 8);
	cr_assert_str_empty(read_errors());
	static const char *const bad[] = { "",	",",   "1,",   ",1",	"1,,2",	    "1,9",
					   "0", "1-2", "1, 2", "1,2,1", "1,2,3,4,5" };
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(clv_cli_unsigned_list("--threads", bad[i], 1, 8, out, 4, &count),
			     CLV_CLI_REPORTED, "%s", bad[i]);
		const char *errors = read_errors();
		cr_assert(strstr(errors, "--threads"), "%s: %s", bad[i], errors);
		cr_assert_eq(strchr(errors, '\n'), errors + strlen(errors) - 1, "%s", bad[i]);
		cr_assert_eq(count, 1);
	}
}

Test(cli, numbers, .init = cr_redirect_stderr)
{
	uint64_t number = 0;
	cr_assert_eq(clv_cli_u64("--seed", "18446744073709551615", 0, UINT64_MAX, &number), 0);
	cr_assert_eq(number, UINT64_MAX);
	cr_assert_eq(clv_cli_u64("--seed", "18446744073709551616", 0, UINT64_MAX, &number),
		     CLV_CLI_REPORTED);
	cr_assert_eq(number, UINT64_MAX);

	double share = -1;
	static const struct {
		const char *text;
		double value;
	} good[] = { { "0", 0 },
		     { "1", 1 },
		     { "0.25", 0.25 },
		     { ".5", 0.5 },
		     { "1.", 1 },
		     { "0.1", 0.1 },
		     { "0.3333333333333333333333", 0.33333333333333333 } };
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cr_assert_eq(clv_cli_fraction("--walks", good[i].text, 0, 1, &share), 0);
		cr_assert_lt(share - good[i].value, 1e-16, "%s", good[i].text);
		cr_assert_gt(share - good[i].value, -1e-16, "%s", good[i].text);
	}
	static const char *const bad[] = { "",	    ".",   "-0.1", "1.1",
					   "nan",   "inf", "1e0",  "0x1",
					   "0.1.2", "0,5", " 1",   "999999999999999999999999" };
	share = 0.5;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_assert_eq(clv_cli_fraction("--walks", bad[i], 0, 1, &share), CLV_CLI_REPORTED,
			     "%s", bad[i]);
	cr_assert(share >= 0.5 && share <= 0.5);
}

/* A library's error becomes the command's, with the status for wrong usage or for a failure. */
Test(cli, report, .init = cr_redirect_stderr)
{
	const struct cleave_error error = { "what: where\nelse" };
	cr_assert_eq(clv_cli_report(-EINVAL, &error), CLV_EXIT_USAGE);
	cr_assert_str_eq(read_errors(), "cleave: what: where?else\n");
	cr_assert_eq(clv_cli_report(-ENOMEM, &error), CLV_EXIT_FAILED);
}

Test(cli, unwritten_output, .init = cr_redirect_stderr)
{
	cr_assert_eq(clv_cli_finish(CLV_EXIT_OK), CLV_EXIT_OK);
	cr_assert_not_null(freopen("/dev/full", "w", stdout));
	printf("text\n");
	cr_assert_eq(clv_cli_finish(CLV_EXIT_OK), CLV_EXIT_FAILED);
	cr_assert(strstr(read_errors(), "cleave: cannot write: standard output"));
}
