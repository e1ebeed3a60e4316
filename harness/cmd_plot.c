// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * cleave plot. The picture is made by harness/report/plot.mjs with Vega-Lite, as SVG, and turned
 * into pixels by rsvg-convert; both are there before the first file is written.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "../lib/error.h"
#include "atomic_file.h"
#include "build_info.h"
#include "cli.h"
#include "commands.h"
#include "tool.h"

enum { SVG, PNG, FILES };

struct picture {
	char *data;
	size_t bytes;
};

struct options {
	const char *results, *out, *title, *machine, *workload, *designs; /* NULL: not given */
	bool course;
};

enum { KEY_OUT = 256, KEY_TITLE, KEY_MACHINE, KEY_WORKLOAD, KEY_DESIGNS, KEY_COURSE };

static const struct argp_option option_table[] = {
	{ "out", KEY_OUT, "BASE", 0, "Write BASE.svg and BASE.png (RESULTS without .json)", 0 },
	{ "title", KEY_TITLE, "T", 0, "Title, instead of what is drawn", 0 },
	{ "machine", KEY_MACHINE, "M", 0,
	  "Of several in the results (the simulated one with most CPUs)", 0 },
	{ "workload", KEY_WORKLOAD, "W", 0, "Of several in the results (exec)", 0 },
	{ "designs", KEY_DESIGNS, "D,...", 0,
	  "Names or strings, at most 12 (all, or those run by name if there are more)", 0 },
	{ "course", KEY_COURSE, NULL, 0,
	  "Of a run with --every-us, throughput, waits and phases over time", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	switch (key) {
	case KEY_OUT:
		options->out = arg;
		return 0;
	case KEY_TITLE:
		options->title = arg;
		return 0;
	case KEY_MACHINE:
		options->machine = arg;
		return 0;
	case KEY_WORKLOAD:
		options->workload = arg;
		return 0;
	case KEY_DESIGNS:
		options->designs = arg;
		return 0;
	case KEY_COURSE:
		options->course = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->results)
			return ARGP_ERR_UNKNOWN;
		options->results = arg;
		return 0;
	case ARGP_KEY_END:
		if (options->results)
			return 0;
		clv_cli_error("plot what: RESULTS.json is missing: see cleave plot --help");
		return CLV_CLI_REPORTED;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- files ---- */

/* BASE and `ending`; without --out, from RESULTS. Returns: false if that is too long or nothing. */
static bool name_file(const struct options *options, const char *ending, char *path)
{
	const char *base = options->out ? options->out : options->results;
	size_t length = strlen(base);
	if (!options->out && length > 5 && !strcmp(base + length - 5, ".json"))
		length -= 5;
	int used = snprintf(path, PATH_MAX, "%.*s%s", (int)length, base, ending);
	return length && used > 0 && used < PATH_MAX;
}

/* Before anything is drawn, so that not one file is new and the other old. Returns: -1 to go on. */
static int check_files(const char *const *path)
{
	for (unsigned i = 0; i < FILES; i++) {
		int obstacle = clv_file_obstacle(path[i]);
		if (!obstacle)
			continue;
		clv_cli_error("cannot write: %s: %s", path[i], strerror(obstacle));
		return CLV_EXIT_FAILED;
	}
	return -1;
}

static int write_files(const char *const *path, const struct picture *picture)
{
	char why[PATH_MAX + 256];
	for (unsigned i = 0; i < FILES; i++) {
		if (!clv_file_write(path[i], picture[i].data, picture[i].bytes, why, sizeof(why)))
			continue;
		clv_cli_error("%s", why);
		return CLV_EXIT_FAILED;
	}
	printf("written: %s, %s\n", path[SVG], path[PNG]);
	return CLV_EXIT_OK;
}

/* ---- the picture ---- */

/* Returns: false if there is no memory, or `text` is not UTF-8, which JSON must be. */
static bool add_text(json_t *object, const char *key, const char *text)
{
	return !text || !json_object_set_new(object, key, json_string(text));
}

static bool add_list(json_t *object, const char *key, const char *text)
{
	json_t *array = json_array();
	bool fine = array != NULL;
	for (const char *at = text; at && fine; at++) {
		size_t length = strcspn(at, ",");
		fine = !json_array_append_new(array, json_stringn(at, length));
		at += length;
		if (!*at)
			break;
	}
	if (text && fine)
		return !json_object_set_new(object, key, array);
	json_decref(array);
	return fine;
}

/* Returns: NULL if there are none; else their text, to free(). */
static char *read_results(const char *path, struct cleave_error *error)
{
	json_error_t fault;
	struct stat about;
	/* The library takes a folder for an empty file. */
	if (!stat(path, &about) && S_ISDIR(about.st_mode)) {
		clv_error(error, -EINVAL, "cannot read: %s", strerror(EISDIR));
		return NULL;
	}
	json_t *results = json_load_file(path, 0, &fault);
	char *text = results ? json_dumps(results, JSON_COMPACT) : NULL;
	json_decref(results);
	if (!text && fault.line > 0)
		clv_error(error, -EINVAL, "not JSON: line %d: %s", fault.line, fault.text);
	else if (!text)
		clv_error(error, -EINVAL, "cannot read: %s", strerror(errno));
	return text;
}

/* What the script is told. Returns: NULL if it cannot be said; else to free(). */
static char *options_json(const struct options *options)
{
	json_t *object = json_object();
	char *text = NULL;
	if (object && add_text(object, "title", options->title) &&
	    add_text(object, "machine", options->machine) &&
	    add_text(object, "workload", options->workload) &&
	    add_list(object, "designs", options->designs) &&
	    !json_object_set_new(object, "course", json_boolean(options->course)))
		text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}

static int make_svg(const struct options *options, struct picture *svg, struct cleave_error *error)
{
	const char *folder = getenv("CLEAVE_REPORT");
	char script[PATH_MAX];
	int used = snprintf(script, sizeof(script), "%s/plot.mjs",
			    folder && *folder ? folder : CLV_REPORT_FOLDER);
	if (used < 0 || used >= PATH_MAX || access(script, R_OK))
		return clv_error(error, -ENOENT,
				 "the sources that cleave was built from are not "
				 "there, nor does CLEAVE_REPORT name them: %.120s",
				 script);
	char *results = read_results(options->results, error);
	if (!results)
		return -EINVAL;
	char *chosen = options_json(options);
	const char *argv[] = { "node", script, chosen, NULL };
	int status = chosen ? clv_tool_run(argv, results, strlen(results), &svg->data, &svg->bytes,
					   "node is not installed: run ./setup plot", error)
			    : clv_error(error, -EINVAL, "an option is not UTF-8, or no memory");
	free(chosen);
	free(results);
	return status;
}

static int make_png(const struct picture *svg, struct picture *png, struct cleave_error *error)
{
	/* Twice the size in pixels, for screens of twice the density. */
	static const char *const argv[] = { "rsvg-convert", "--zoom", "2", NULL };
	return clv_tool_run(argv, svg->data, svg->bytes, &png->data, &png->bytes,
			    "rsvg-convert is not installed: run ./setup plot", error);
}

static int draw(const struct options *options, const char *const *path)
{
	struct picture picture[FILES] = { { NULL, 0 }, { NULL, 0 } };
	struct cleave_error error;
	int exit_status;
	int status = make_svg(options, &picture[SVG], &error);
	if (!status)
		status = make_png(&picture[SVG], &picture[PNG], &error);
	if (!status) {
		exit_status = write_files(path, picture);
	} else if (status == -EINVAL) {
		clv_cli_error("plot: %s: %s", error.text, options->results);
		exit_status = CLV_EXIT_USAGE;
	} else {
		clv_cli_error("plot: %s", error.text);
		exit_status = CLV_EXIT_FAILED;
	}
	free(picture[PNG].data);
	free(picture[SVG].data);
	return exit_status;
}

int clv_cmd_plot(int argc, char **argv)
{
	static const struct argp argp = {
		.options = option_table,
		.parser = parse_option,
		.args_doc = "RESULTS.json",
		.doc = "Draw throughput against CPUs, a line for each design, as SVG and PNG: a "
		       "panel for each think time, bars for intervals, rules where the placement "
		       "reaches the next node, socket and SMT sibling. Or, with --course, over time.",
	};
	struct options options = { 0 };
	char svg[PATH_MAX], png[PATH_MAX];

	int status = clv_cli_parse(&argp, "cleave plot", argc, argv, &options);
	if (status >= 0)
		return status;
	if (!name_file(&options, ".svg", svg) || !name_file(&options, ".png", png)) {
		clv_cli_error("not a name for files: --out '%.80s'",
			      options.out ? options.out : options.results);
		return CLV_EXIT_USAGE;
	}
	const char *const path[FILES] = { [SVG] = svg, [PNG] = png };
	status = check_files(path);
	if (status < 0)
		status = draw(&options, path);
	return clv_cli_finish(status);
}
