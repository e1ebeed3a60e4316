// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * argp prints errors of its own in two lines and exits with 64. With ARGP_NO_ERRS it prints
 * nothing, not even help, and does not say what was wrong. So help is an option of ours, in a
 * parser around the command's, and what was wrong is found by looking again at the word where argp
 * stopped.
 */
#define _GNU_SOURCE
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/error.h"

/* ---- errors ---- */

void clv_cli_error(const char *format, ...)
{
	char line[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	/* Arguments are quoted in it: a line break there must not make it two lines. */
	for (char *at = line; *at; at++)
		if (iscntrl((unsigned char)*at))
			*at = '?';
	fflush(stdout);
	fprintf(stderr, "cleave: %s\n", line);
}

int clv_cli_report(int code, const struct cleave_error *error)
{
	clv_cli_error("%s", error->text);
	switch (code) {
	case -EINVAL:
	case -ENOENT:
	case -ENOTSUP:
	case -ERANGE:
	case -EACCES:
	case -ENOTDIR:
	case -EISDIR:
	case -ENAMETOOLONG:
		return CLV_EXIT_USAGE;
	default:
		return CLV_EXIT_FAILED;
	}
}

int clv_cli_finish(int status)
{
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	clv_cli_error("cannot write: standard output: %s", strerror(errno));
	return CLV_EXIT_FAILED;
}

/* ---- options ---- */

struct outer {
	const struct argp *inner;
	const char *command;
	void *input;
	char **argv;
	int argc;
	int stopped; /* index of the first word that argp has not looked at */
	bool helped;
};

enum { KEY_HELP = '?', KEY_USAGE = 0x5000 };

/* The option that `word`, "--name" or "--name=value", means. */
struct match {
	const struct argp_option *option;
	unsigned candidates; /* 1: found; else how many begin so */
};

static void match_options(const struct argp_option *options, const char *word, struct match *match)
{
	size_t length = strcspn(word, "=");
	for (const struct argp_option *option = options; option; option++) {
		if (!option->name && !option->key && !option->doc && !option->group)
			return;
		if (!option->name || strncmp(option->name, word, length) != 0)
			continue;
		match->option = option;
		match->candidates++;
		if (strlen(option->name) == length) {
			match->candidates = 1;
			return;
		}
	}
}

static const struct argp_option outer_options[] = {
	{ "help", KEY_HELP, NULL, 0, "Print this help", -1 },
	{ "usage", KEY_USAGE, NULL, 0, "Print a short usage message", 0 },
	{ 0 },
};

/* What is wrong with `word`, as far as its options say; NULL: nothing. */
static const char *fault_of(const struct outer *outer, const char *word)
{
	if (word[0] != '-' || !word[1])
		return NULL;
	if (word[1] != '-')
		return "unknown option";
	if (!word[2])
		return NULL;
	struct match match = { 0 };
	match_options(outer->inner->options, word + 2, &match);
	if (!match.option || strlen(match.option->name) != strcspn(word + 2, "="))
		match_options(outer_options, word + 2, &match);
	if (match.candidates != 1)
		return match.candidates ? "ambiguous option" : "unknown option";
	if (strchr(word, '=') && !match.option->arg)
		return "option takes no value";
	if (!strchr(word, '=') && match.option->arg)
		return "option needs a value";
	return NULL;
}

/* argp stopped before argv[next], and has not looked at it unless it is a cluster, "-xyz". */
static void report_option(const struct outer *outer, int next)
{
	const char *before = next > 0 && next <= outer->argc ? outer->argv[next - 1] : NULL;
	const char *at = next < outer->argc ? outer->argv[next] : NULL;
	const char *fault = before ? fault_of(outer, before) : NULL;
	if (fault) {
		clv_cli_error("%s: %.*s", fault, (int)strcspn(before, "="), before);
		return;
	}
	fault = at ? fault_of(outer, at) : NULL;
	clv_cli_error("%s: %s", fault ? fault : "option not understood", at ? at : outer->command);
}

static error_t parse_outer(int key, char *arg, struct argp_state *state)
{
	struct outer *outer = state->input;
	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = outer->input;
		return 0;
	case KEY_HELP:
	case KEY_USAGE:
		argp_help(state->root_argp, stdout,
			  key == KEY_HELP ? ARGP_HELP_STD_HELP & ~(unsigned)ARGP_HELP_EXIT_OK
					  : ARGP_HELP_USAGE,
			  (char *)outer->command);
		outer->helped = true;
		return CLV_CLI_REPORTED;
	case ARGP_KEY_ERROR:
		outer->stopped = state->next;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int clv_cli_parse(const struct argp *argp, const char *command, int argc, char **argv, void *input)
{
	struct outer outer = {
		.inner = argp,
		.command = command,
		.input = input,
		.argv = argv,
		.argc = argc,
	};
	const struct argp_child children[] = { { argp, 0, NULL, 0 }, { 0 } };
	const struct argp around = {
		.options = outer_options,
		.parser = parse_outer,
		.children = children,
	};
	/* No command has started a thread yet, as setenv requires. */
	setenv("HWLOC_HIDE_ERRORS", "2", 0);
	int used = argc;
	error_t status =
		argp_parse(&around, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, &used, &outer);
	if (!status && used == argc)
		return -1;
	if (outer.helped)
		return clv_cli_finish(CLV_EXIT_OK);
	if (!status)
		clv_cli_error("unexpected argument: %s", argv[used]);
	else if (status == ENOMEM)
		clv_cli_error("no memory: %s", command);
	else if (status != CLV_CLI_REPORTED)
		report_option(&outer, outer.stopped);
	return status == ENOMEM ? CLV_EXIT_FAILED : CLV_EXIT_USAGE;
}

/* ---- numbers ---- */

/* Returns: 0; EINVAL not digits; ERANGE not within 64 bits. */
static int read_u64(const char *text, size_t length, uint64_t *out)
{
	uint64_t value = 0;
	for (size_t i = 0; i < length; i++)
		if (!isdigit((unsigned char)text[i]))
			return EINVAL;
	for (size_t i = 0; i < length; i++)
		if (__builtin_mul_overflow(value, 10u, &value) ||
		    __builtin_add_overflow(value, (unsigned)(text[i] - '0'), &value))
			return ERANGE;
	*out = value;
	return length ? 0 : EINVAL;
}

static int read_word(const char *option, const char *text, size_t length, uint64_t low,
		     uint64_t high, uint64_t *out)
{
	uint64_t value;
	int shown = length > 80 ? 80 : (int)length;
	int fault = read_u64(text, length, &value);
	if (fault == EINVAL)
		clv_cli_error("not a number: %s %.*s", option, shown, text);
	else if (fault || value < low || value > high)
		clv_cli_error("number out of range: %s %.*s: %llu to %llu", option, shown, text,
			      (unsigned long long)low, (unsigned long long)high);
	else
		*out = value;
	return fault || value < low || value > high ? CLV_CLI_REPORTED : 0;
}

int clv_cli_u64(const char *option, const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
	return read_word(option, text, strlen(text), low, high, out);
}

int clv_cli_unsigned(const char *option, const char *text, unsigned low, unsigned high,
		     unsigned *out)
{
	uint64_t value;
	int status = read_word(option, text, strlen(text), low, high, &value);
	if (!status)
		*out = (unsigned)value;
	return status;
}

int clv_cli_unsigned_list(const char *option, const char *text, unsigned low, unsigned high,
			  unsigned *out, size_t capacity, size_t *count)
{
	size_t found = 0;
	for (const char *at = text;; at++) {
		size_t length = strcspn(at, ",");
		uint64_t value;
		if (read_word(option, at, length, low, high, &value))
			return CLV_CLI_REPORTED;
		for (size_t i = 0; i < found; i++) {
			if (out[i] != value)
				continue;
			clv_cli_error("number twice: %s %.80s: %u", option, text, out[i]);
			return CLV_CLI_REPORTED;
		}
		if (found == capacity) {
			clv_cli_error("too many numbers: %s %.80s: at most %zu", option, text,
				      capacity);
			return CLV_CLI_REPORTED;
		}
		out[found++] = (unsigned)value;
		at += length;
		if (!*at)
			break;
	}
	*count = found;
	return 0;
}

/*
 * Read without strtod: it takes more than plain decimals, and its decimal point is the locale's.
 * Digits beyond the eighteenth are dropped.
 */
int clv_cli_fraction(const char *option, const char *text, double low, double high, double *out)
{
	return clv_cli_fraction_in(option, text, text, low, high, out);
}

int clv_cli_fraction_in(const char *option, const char *word, const char *text, double low,
			double high, double *out)
{
	const char *at = text;
	uint64_t digits = 0;
	double scale = 1;
	bool point = false, any = false, fine = true;
	for (; *at && fine; at++) {
		bool digit = isdigit((unsigned char)*at);
		fine = digit || (*at == '.' && !point);
		point |= *at == '.';
		any |= digit;
		if (!digit || (point && digits >= 100000000000000000u))
			continue;
		if (digits >= 100000000000000000u) {
			fine = false;
			break;
		}
		digits = digits * 10 + (unsigned)(*at - '0');
		scale *= point ? 10 : 1;
	}
	if (!fine || !any) {
		clv_cli_error("not a plain decimal number: %s %.80s", option, word);
		return CLV_CLI_REPORTED;
	}
	double value = (double)digits / scale;
	if (value < low || value > high) {
		clv_cli_error("number out of range: %s %.80s: %g to %g", option, word, low, high);
		return CLV_CLI_REPORTED;
	}
	*out = value;
	return 0;
}
