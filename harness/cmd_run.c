// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * cleave run: measure designs under a workload on a machine.
 */
#define _GNU_SOURCE /* strsep */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/design.h"
#include "../lib/error.h"
#include "atomic_file.h"
#include "cli.h"
#include "commands.h"
#include "designs.h"
#include "report.h"
#include "workloads/schedule.h"

enum { THREAD_COUNTS = 64, THINK_COUNTS = 16, THREADS_MAX = 4096, REPETITIONS_MAX = 1000 };

struct arguments {
	char **design;
	unsigned designs;
	const char *workload, *machine, *placement, *json;
	unsigned threads[THREAD_COUNTS];
	size_t thread_counts;
	int64_t think_ns[THINK_COUNTS];
	size_t think_counts;
	uint64_t seed, population, other_lock_ns, window_ms, warm_ms;
	unsigned repetitions, sample_every;
	double walks, migrate;
	bool oversubscribe, quiet;
};

enum {
	KEY_WORKLOAD = 256, KEY_MACHINE, KEY_THREADS, KEY_PLACE, KEY_SEED, KEY_REPETITIONS,
	KEY_THINK, KEY_POPULATION, KEY_WALKS, KEY_OTHER_LOCK, KEY_MIGRATE, KEY_OVERSUBSCRIBE,
	KEY_JSON, KEY_WINDOW, KEY_WARM, KEY_SAMPLE, KEY_QUIET,
};

static const struct argp_option option[] = {
	{ "workload", KEY_WORKLOAD, "W", 0, "see cleave list workloads, or a file with a schedule "
					    "to replay (exec)", 0 },
	{ "machine", KEY_MACHINE, "NAME", 0, "see cleave list machines, or a machine file, .json "
					     "(host)", 0 },
	{ "threads", KEY_THREADS, "N[,N...]", 0, "one thread a CPU (1)", 0 },
	{ "place", KEY_PLACE, "P", 0, "see cleave list placements (cores-first)", 0 },
	{ "seed", KEY_SEED, "S", 0, "repetition r runs with seed S + r (1)", 0 },
	{ "repetitions", KEY_REPETITIONS, "R", 0, "of each point, interleaved over all (10)", 0 },
	{ "think-ns", KEY_THINK, "T[,T...]", 0, "exec: scale the schedule's gaps to this mean; or the "
						"word recorded (recorded)", 0 },
	{ "population", KEY_POPULATION, "P", 0, "intervals at rest; exec: libc's (6000)", 0 },
	{ "walks", KEY_WALKS, "SHARE", 0, "share of operations that are walks (0)", 0 },
	{ "other-lock-ns", KEY_OTHER_LOCK, "T", 0, "exec: another global lock, held so long an "
						   "exec (none)", 0 },
	{ "migrate", KEY_MIGRATE, "SHARE", 0, "exec: share of execs at which a copy goes on on "
					      "another CPU (0)", 0 },
	{ "oversubscribe", KEY_OVERSUBSCRIBE, NULL, 0, "allow more spinning threads than CPUs; "
						       "labelled, never ranked", 0 },
	{ "window-ms", KEY_WINDOW, "T", 0, "measured time of a repetition (200)", 0 },
	{ "warm-up-ms", KEY_WARM, "T", 0, "before it (50)", 0 },
	{ "sample", KEY_SAMPLE, "N", 0, "time one of N batches; 0: none (64)", 0 },
	{ "json", KEY_JSON, "FILE", 0, "write the results, and beside them Google Benchmark's own "
				       "JSON as FILE with .gbench.json for .json; to /dev/stdout, "
				       "it takes the place of the table", 0 },
	{ "quiet", KEY_QUIET, NULL, 0, "no progress", 0 },
	{ 0 },
};

static error_t add_think(struct arguments *a, const char *word)
{
	int64_t think_ns = CLV_THINK_RECORDED;
	uint64_t number;
	if (strcmp(word, "recorded")) {
		int code = clv_cli_u64("--think-ns", word, 0, 1000000000, &number);
		if (code)
			return code;
		think_ns = (int64_t)number;
	}
	for (size_t i = 0; i < a->think_counts; i++) {
		if (a->think_ns[i] == think_ns) {
			clv_cli_error("think time twice: --think-ns %s", word);
			return CLV_CLI_REPORTED;
		}
	}
	if (a->think_counts == THINK_COUNTS) {
		clv_cli_error("too many think times: --think-ns: at most %d", THINK_COUNTS);
		return CLV_CLI_REPORTED;
	}
	a->think_ns[a->think_counts++] = think_ns;
	return 0;
}

static error_t parse_think(struct arguments *a, char *list)
{
	char *word;
	a->think_counts = 0;
	while ((word = strsep(&list, ","))) {
		int code = add_think(a, word);
		if (code)
			return code;
	}
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	switch (key) {
	case KEY_WORKLOAD:
		a->workload = arg;
		return 0;
	case KEY_MACHINE:
		a->machine = arg;
		return 0;
	case KEY_THREADS:
		return clv_cli_unsigned_list("--threads", arg, 1, THREADS_MAX, a->threads,
					     THREAD_COUNTS, &a->thread_counts);
	case KEY_PLACE:
		a->placement = arg;
		return 0;
	case KEY_SEED:
		return clv_cli_u64("--seed", arg, 0, INT64_MAX, &a->seed);
	case KEY_REPETITIONS:
		return clv_cli_unsigned("--repetitions", arg, 1, REPETITIONS_MAX, &a->repetitions);
	case KEY_THINK:
		return parse_think(a, arg);
	case KEY_POPULATION:
		return clv_cli_u64("--population", arg, 1, 100000000, &a->population);
	case KEY_WALKS:
		return clv_cli_fraction("--walks", arg, 0, 0.999999, &a->walks);
	case KEY_OTHER_LOCK:
		return clv_cli_u64("--other-lock-ns", arg, 0, 1000000000, &a->other_lock_ns);
	case KEY_MIGRATE:
		return clv_cli_fraction("--migrate", arg, 0, 1, &a->migrate);
	case KEY_OVERSUBSCRIBE:
		a->oversubscribe = true;
		return 0;
	case KEY_WINDOW:
		return clv_cli_u64("--window-ms", arg, 1, 600000, &a->window_ms);
	case KEY_WARM:
		return clv_cli_u64("--warm-up-ms", arg, 0, 600000, &a->warm_ms);
	case KEY_SAMPLE:
		return clv_cli_unsigned("--sample", arg, 0, 1000000, &a->sample_every);
	case KEY_JSON:
		if (!*arg) {
			clv_cli_error("no file name: --json");
			return CLV_CLI_REPORTED;
		}
		a->json = arg;
		return 0;
	case KEY_QUIET:
		a->quiet = true;
		return 0;
	case ARGP_KEY_ARGS:
		a->design = state->argv + state->next;
		a->designs = (unsigned)(state->argc - state->next);
		return 0;
	case ARGP_KEY_NO_ARGS:
		clv_cli_error("run what: name a design, or several (see cleave list designs)");
		return CLV_CLI_REPORTED;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Everything a run needs, in one place to take down. */
struct session {
	struct arguments arguments;
	struct clv_settings settings;
	struct clv_schedule *schedule;
	struct clv_point *point;
	size_t points;
	char *command; /* what was typed */
};

/* A workload's name, or a file that holds a schedule for `exec`. Returns: -1 to go on. */
static int choose_workload(struct session *session)
{
	const struct clv_bench *bench = session->settings.machine->bench;
	const char *asked = session->arguments.workload;
	const struct clv_workload_info *info;
	struct cleave_error error = { "" };

	for (unsigned i = 0; (info = bench->workload_at(i)); i++) {
		if (strcmp(info->name, asked))
			continue;
		session->settings.workload = info->name;
		if (!info->needs_schedule)
			return -1;
		session->settings.schedule_name = "execl, recorded on Linux 6.12 and 6.18";
		int code = clv_schedule_recorded(&session->schedule, &error);
		return code ? clv_cli_report(code, &error) : -1;
	}
	if (!strpbrk(asked, "./") && access(asked, F_OK)) {
		clv_cli_error("workload '%s': unknown, and no file of that name; see cleave list "
			      "workloads", asked);
		return CLV_EXIT_USAGE;
	}
	int code = clv_schedule_load(&session->schedule, asked, &error);
	if (code)
		return clv_cli_report(code, &error);
	session->settings.workload = "exec";
	session->settings.schedule_name = asked;
	return -1;
}

/* Refuse what cannot be measured. Returns: -1 to go on. */
static int check_locks(const struct session *session, const char *text,
		       const struct clv_design *design, const struct clv_point *point)
{
	const struct clv_machine *machine = session->settings.machine;
	unsigned threads = point->threads;
	unsigned flags = 0;
	for (unsigned i = 0; i < 2; i++)
		flags |= design->lock[i].type ? design->lock[i].type->flags : 0;
	if ((flags & CLV_LOCK_ONE_THREAD) && threads > 1) {
		clv_cli_error("%s: lock none is for one thread, not --threads %u", text, threads);
		return CLV_EXIT_USAGE;
	}
	if ((flags & CLV_LOCK_HOST_ONLY) && machine->simulated) {
		clv_cli_error("%s: a pthread lock runs on the host alone, not on %s", text,
			      machine->name);
		return CLV_EXIT_USAGE;
	}
	if (point->oversubscribed && (flags & CLV_LOCK_SPINS) &&
	    !session->arguments.oversubscribe) {
		clv_cli_error("%s: %u spinning threads on %u CPU%s: they would wait for each "
			      "other's time slices (--oversubscribe runs it, labelled)", text,
			      threads, point->cpus, point->cpus == 1 ? "" : "s");
		return CLV_EXIT_USAGE;
	}
	return -1;
}

static int make_point(struct session *session, const char *text, unsigned threads,
		      int64_t think_ns)
{
	char design[CLV_DESIGN_BYTES], name[96];
	struct clv_design parsed;
	struct cleave_error error = { "" };

	int code = clv_design_resolve(text, design, sizeof(design), name, sizeof(name), &error);
	if (!code)
		code = clv_design_parse(&parsed, design, &error);
	if (code)
		return clv_cli_report(code, &error);
	const struct clv_point_spec spec = { name, design, threads, think_ns };
	struct clv_point *point = &session->point[session->points++];
	code = clv_point_init(point, &session->settings, &spec, &error);
	if (code)
		return clv_cli_report(code, &error);
	int status = check_locks(session, text, &parsed, point);
	if (status >= 0)
		return status;
	for (size_t i = 0; i + 1 < session->points; i++) {
		const struct clv_point *other = &session->point[i];
		if (clv_point_comparable(other, point) && !strcmp(other->design, design)) {
			clv_cli_error("the same design twice: %s: %s%s%s", text, design,
				      other->name[0] ? " is also " : "", other->name);
			return CLV_EXIT_USAGE;
		}
	}
	/* Now, and not after an hour of the others. */
	code = clv_point_check(point, &error);
	return code ? clv_cli_report(code, &error) : -1;
}

static int make_points(struct session *session)
{
	struct arguments *a = &session->arguments;
	size_t points = a->designs * a->thread_counts * a->think_counts;
	session->point = calloc(points, sizeof(*session->point));
	if (!session->point) {
		clv_cli_error("out of memory: for %u designs", a->designs);
		return CLV_EXIT_FAILED;
	}
	size_t tables = a->thread_counts * a->think_counts;
	for (size_t i = 0; i < tables * a->designs; i++) {
		size_t table = i / a->designs;
		int status = make_point(session, a->design[i % a->designs],
					a->threads[table % a->thread_counts],
					a->think_ns[table / a->thread_counts]);
		if (status >= 0)
			return status;
	}
	return -1;
}

static bool show_progress;

static void progress(const struct clv_point *point, unsigned done, unsigned all)
{
	if (show_progress)
		fprintf(stderr, "\r\033[K%3u %% %.50s, %u thread%s", 100 * done / all,
			point->name[0] ? point->name : point->design, point->threads,
			point->threads == 1 ? "" : "s");
}

/* ---- the files ---- */

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

static bool is_standard_output(const char *path)
{
	return !strcmp(path, "/dev/stdout") || !strcmp(path, "/dev/fd/1") ||
	       !strcmp(path, "/proc/self/fd/1");
}

/* Before an hour's run, not after it. Returns: -1 to go on. */
static int check_files(const char *path)
{
	char beside[PATH_MAX];
	int obstacle = 0;

	if (is_stream(path))
		return -1;
	if (!gbench_path(beside, sizeof(beside), path))
		obstacle = ENAMETOOLONG;
	if (!obstacle)
		obstacle = clv_file_obstacle(path);
	if (obstacle) {
		clv_cli_error("cannot write: --json %s: %s", path, strerror(obstacle));
		return CLV_EXIT_FAILED;
	}
	obstacle = clv_file_obstacle(beside);
	if (!obstacle)
		return -1;
	clv_cli_error("cannot write: beside --json, %s: %s", beside, strerror(obstacle));
	return CLV_EXIT_FAILED;
}

static int write_file(const char *path, const char *text, size_t bytes)
{
	char why[512];
	int code = clv_file_write(path, text, bytes, why, sizeof(why));
	if (code)
		clv_cli_error("%s", why);
	return code;
}

/* Google Benchmark's first: where our own is new, both are. Returns: exit status. */
static int write_results(const struct session *session, const char *gbench, size_t gbench_bytes)
{
	const char *path = session->arguments.json;
	char beside[PATH_MAX];
	char *text = clv_report_json(&session->settings, session->point, session->points,
				     session->command);
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

static int measure(struct session *session)
{
	struct cleave_error error = { "" };
	char *gbench = NULL;
	size_t gbench_bytes = 0;
	int status = CLV_EXIT_OK;

	show_progress = !session->arguments.quiet && isatty(STDERR_FILENO);
	int code = clv_runner_run(&session->settings, session->point, session->points, progress,
				  &gbench, &gbench_bytes, &error);
	if (show_progress)
		fputs("\r\033[K", stderr);
	if (code) {
		clv_cli_error("%s", error.text);
		return CLV_EXIT_FAILED;
	}
	/* What reads JSON there could do nothing with a table before it. */
	if (!session->arguments.json || !is_standard_output(session->arguments.json)) {
		clv_report_machine(stdout, &session->settings);
		clv_report_table(stdout, &session->settings, session->point, session->points);
	}
	for (size_t i = 0; i < session->points; i++) {
		const struct clv_point *point = &session->point[i];
		if (!point->valid) {
			clv_cli_error("not valid: %s, %u thread%s: %s", point->design,
				      point->threads, point->threads == 1 ? "" : "s", point->why);
			status = CLV_EXIT_FAILED;
		}
	}
	if (session->arguments.json && write_results(session, gbench, gbench_bytes))
		status = CLV_EXIT_FAILED;
	free(gbench);
	return clv_cli_finish(status);
}

static int prepare_session(struct session *session)
{
	struct arguments *a = &session->arguments;
	struct cleave_error error = { "" };
	struct clv_settings *settings = &session->settings;

	int code = clv_machine_open(&settings->machine, a->machine, &error);
	if (code)
		return clv_cli_report(code, &error);
	int status = choose_workload(session);
	if (status >= 0)
		return status;
	settings->schedule = session->schedule;
	settings->placement = a->placement;
	settings->seed = a->seed;
	settings->repetitions = a->repetitions;
	settings->warm_ns = a->warm_ms * 1000000;
	settings->window_ns = a->window_ms * 1000000;
	settings->sample_every = a->sample_every;
	settings->population = a->population;
	settings->walks = a->walks;
	settings->other_lock_ns = a->other_lock_ns;
	settings->migrate = a->migrate;
	if (!settings->schedule && (a->think_counts || a->other_lock_ns || a->migrate > 0)) {
		clv_cli_error("%s: goes with workload exec, not with %s",
			      a->think_counts ? "--think-ns" :
			      a->other_lock_ns ? "--other-lock-ns" : "--migrate",
			      settings->workload);
		return CLV_EXIT_USAGE;
	}
	if (!a->think_counts)
		a->think_ns[a->think_counts++] = CLV_THINK_RECORDED;
	status = make_points(session);
	return status < 0 && a->json ? check_files(a->json) : status;
}

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

/* `first` and all arguments; NULL: out of memory. */
static char *join(const char *first, int argc, char **argv)
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

int clv_cmd_run(int argc, char **argv)
{
	static const struct argp argp = {
		option, parse, "DESIGN...",
		"Measure designs under a workload. DESIGN is a name or a string "
		"structure[@partition][/scheme][:lock[+lock]].\v"
		"Exit status: 0 all points are valid; 1 one is not, or a file could not be written; "
		"2 wrong usage.", NULL, NULL, NULL,
	};
	struct session session = {
		.arguments = {
			.workload = "exec", .machine = "host", .placement = "cores-first",
			.threads = { 1 }, .thread_counts = 1, .seed = 1, .repetitions = 10,
			.window_ms = 200, .warm_ms = 50, .sample_every = 64, .population = 6000,
		},
	};
	session.command = join("cleave", argc, argv);
	if (!session.command) {
		clv_cli_error("out of memory: for the arguments");
		return CLV_EXIT_FAILED;
	}
	int status = clv_cli_parse(&argp, "cleave run", argc, argv, &session.arguments);
	if (status < 0)
		status = prepare_session(&session);
	if (status < 0)
		status = measure(&session);
	for (size_t i = 0; i < session.points; i++)
		clv_point_fini(&session.point[i]);
	free(session.point);
	clv_schedule_free(session.schedule);
	free(session.command);
	if (session.settings.machine)
		session.settings.machine->close(session.settings.machine);
	return status;
}
