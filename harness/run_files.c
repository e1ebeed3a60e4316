// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#define _GNU_SOURCE /* asprintf */
#include "run_files.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "atomic_file.h"
#include "cli.h"
#include "report.h"

/* As a shell would take it back. */
static void print_word(FILE *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_@%+=:,./-";
	if (*word && !word[strspn(word, plain)]) {
		fputs(word, out);
		return;
	}
	fputc('\'', out);
	for (; *word; word++)
		fputs(*word == '\'' ? "'\\''" : (const char[]){ *word, '\0' }, out);
	fputc('\'', out);
}

char *clv_run_command(const char *first, int argc, char **argv)
{
	char *joined = NULL;
	size_t bytes;
	FILE *out = open_memstream(&joined, &bytes);
	if (!out)
		return NULL;
	fputs(first, out);
	for (int i = 0; i < argc; i++) {
		fputc(' ', out);
		print_word(out, argv[i]);
	}
	bool failed = ferror(out);
	if (fclose(out) || failed) {
		free(joined);
		return NULL;
	}
	return joined;
}

/* results.json -> results.gbench.json. Returns: false if that is too long. */
static bool gbench_path(char *out, size_t bytes, const char *path)
{
	size_t length = strlen(path);
	if (length > 5 && !strcmp(path + length - 5, ".json"))
		length -= 5;
	return (size_t)snprintf(out, bytes, "%.*s.gbench.json", (int)length, path) < bytes;
}

/* Does it name what one only writes to: a device, a pipe, a descriptor of this process? */
static bool is_stream(const char *path)
{
	struct stat st;
	return !strcmp(path, "/dev/stdout") || !strcmp(path, "/dev/stderr") ||
	       !strncmp(path, "/dev/fd/", 8) || !strncmp(path, "/proc/self/fd/", 14) ||
	       (!stat(path, &st) && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode));
}

bool clv_run_file_is_output(const char *path)
{
	return !strcmp(path, "/dev/stdout") || !strcmp(path, "/dev/fd/1") ||
	       !strcmp(path, "/proc/self/fd/1");
}

static int check_file(const char *option, const char *path)
{
	int obstacle = clv_file_obstacle(path);
	if (!obstacle)
		return -1;
	clv_cli_error("cannot write: %s %s: %s", option, path, strerror(obstacle));
	return CLV_EXIT_FAILED;
}

/* Where a file is or would be, to free(); NULL: nowhere, which check_file says better. */
static char *place_of(const char *path)
{
	char *real = realpath(path, NULL), *place = NULL;
	if (real)
		return real;
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char *folder = slash ? strndup(path, (size_t)(name - path)) : strdup(".");
	real = folder ? realpath(folder, NULL) : NULL;
	if (real && asprintf(&place, "%s/%s", real, name) < 0)
		place = NULL;
	free(folder);
	free(real);
	return place;
}

static bool is_same(const char *path, const char *other)
{
	char *place = place_of(path), *there = place_of(other);
	bool same = !strcmp(path, other) || (place && there && !strcmp(place, there));
	free(place);
	free(there);
	return same;
}

int clv_run_file_check(const char *option, const char *path, const char *json)
{
	char beside[PATH_MAX];
	if (!*path) {
		clv_cli_error("no file name: %s", option);
		return CLV_EXIT_USAGE;
	}
	bool same = json && is_same(path, json);
	if (json && !same && !is_stream(json) && gbench_path(beside, sizeof(beside), json))
		same = is_same(path, beside);
	if (same) {
		clv_cli_error("one file for two things: %s %s and --json %s", option, path, json);
		return CLV_EXIT_USAGE;
	}
	return is_stream(path) ? -1 : check_file(option, path);
}

int clv_run_files_check(const char *json)
{
	char beside[PATH_MAX];
	if (is_stream(json))
		return -1;
	if (!gbench_path(beside, sizeof(beside), json)) {
		clv_cli_error("cannot write: --json %s: %s", json, strerror(ENAMETOOLONG));
		return CLV_EXIT_FAILED;
	}
	int status = check_file("--json", json);
	return status < 0 ? check_file("beside --json,", beside) : status;
}

static int write_file(const char *path, const char *text, size_t bytes)
{
	char why[512];
	int code = clv_file_write(path, text, bytes, why, sizeof(why));
	if (code)
		clv_cli_error("%s", why);
	return code;
}

int clv_run_files_write(const char *path, const struct clv_settings *settings,
			const struct clv_point *point, size_t points, const char *command,
			const char *gbench, size_t gbench_bytes)
{
	char beside[PATH_MAX];
	char *text = clv_report_json(settings, point, points, command);
	if (!text) {
		clv_cli_error("out of memory: for the results");
		return CLV_EXIT_FAILED;
	}
	int code = 0;
	if (!is_stream(path) && gbench_path(beside, sizeof(beside), path))
		code = write_file(beside, gbench, gbench_bytes);
	if (!code)
		code = write_file(path, text, strlen(text));
	free(text);
	return code ? CLV_EXIT_FAILED : CLV_EXIT_OK;
}
