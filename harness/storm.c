// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "storm.h"

#include <stdio.h>
#include <string.h>

#include "cli.h"

#define MS_MAX 600000

/* `bytes` of `text` as a number of ms. Returns: as clv_cli_fraction. */
static int read_ms(const char *option, const char *word, const char *text, size_t bytes,
		   uint64_t *ns)
{
	char part[32];
	double ms;
	if (bytes >= sizeof(part)) {
		clv_cli_error("not FROM-TO[:QUIET]: %s %.80s", option, word);
		return CLV_CLI_REPORTED;
	}
	snprintf(part, sizeof(part), "%.*s", (int)bytes, text);
	int code = clv_cli_fraction_in(option, word, part, 0, MS_MAX, &ms);
	if (!code)
		*ns = (uint64_t)(ms * 1e6 + 0.5);
	return code;
}

int clv_storm_parse(const char *option, const char *text, struct clv_storm *storm)
{
	struct clv_storm read = { .quiet = 1 };
	const char *dash = strchr(text, '-'), *colon = strchr(text, ':');
	const char *end = colon ? colon : text + strlen(text);
	if (!dash || dash > end) {
		clv_cli_error("not FROM-TO[:QUIET]: %s %.80s", option, text);
		return CLV_CLI_REPORTED;
	}
	int code = read_ms(option, text, text, (size_t)(dash - text), &read.from_ns);
	if (!code)
		code = read_ms(option, text, dash + 1, (size_t)(end - dash - 1), &read.to_ns);
	if (!code && colon)
		code = clv_cli_unsigned(option, colon + 1, 1, UINT32_MAX, &read.quiet);
	if (!code && read.from_ns >= read.to_ns) {
		clv_cli_error("a storm ends after it began: %s %.80s", option, text);
		code = CLV_CLI_REPORTED;
	}
	if (!code)
		*storm = read;
	return code;
}
