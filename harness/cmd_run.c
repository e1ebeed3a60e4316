// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * cleave run: measure designs under a workload on a machine.
 */
#define _GNU_SOURCE /* strsep */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/design.h"
#include "../lib/error.h"
#include "cli.h"
#include "commands.h"
#include "designs.h"
#include "pool.h"
#include "report.h"
#include "run_files.h"
#include "workloads/schedule.h"

enum { THREAD_COUNTS = 64, THINK_COUNTS = 16, THREADS_MAX = 4096, REPETITIONS_MAX = 1000,
       JOBS_MAX = 4096, CHANGES = 64 };

struct arguments {
	char **design;
	unsigned designs;
	const char *workload, *machine, *placement, *json, *timeline;
	unsigned threads[THREAD_COUNTS];
	size_t thread_counts;
	int64_t think_ns[THINK_COUNTS];
	size_t think_counts;
	uint64_t seed, population, other_lock_ns, window_ms, warm_ms;
	unsigned repetitions, sample_every;
	double walks, migrate;
	bool oversubscribe, quiet, lines;
	/* Of a simulated machine. */
	uint64_t budget_millions, run_ahead_ns;
	unsigned jobs; /* 0: not given */
	bool run_ahead_given;
	struct clv_change change[CHANGES];
	unsigned changes;
};

enum {
	KEY_WORKLOAD = 256, KEY_MACHINE, KEY_THREADS, KEY_PLACE, KEY_SEED, KEY_REPETITIONS,
	KEY_THINK, KEY_POPULATION, KEY_WALKS, KEY_OTHER_LOCK, KEY_MIGRATE, KEY_OVERSUBSCRIBE,
	KEY_JSON, KEY_WINDOW, KEY_WARM, KEY_SAMPLE, KEY_QUIET, KEY_JOBS, KEY_BUDGET, KEY_TIMELINE,
	KEY_SET, KEY_RUN_AHEAD, KEY_LINES,
};

/* Where it was not given: what a real and what a simulated machine need for a good figure. */
enum { HOST_REPETITIONS = 10, HOST_WARM_MS = 50, HOST_WINDOW_MS = 200 };
enum { SIMULATED_REPETITIONS = 3, SIMULATED_WARM_MS = 1, SIMULATED_WINDOW_MS = 20 };
#define NOT_GIVEN UINT64_MAX

static const struct argp_option option[] = {
	{ "workload", KEY_WORKLOAD, "W", 0, "see cleave list workloads, or a file with a schedule "
					    "to replay (exec)", 0 },
	{ "machine", KEY_MACHINE, "NAME", 0, "see cleave list machines, or a machine file, .json "
					     "(host)", 0 },
	{ "threads", KEY_THREADS, "N[,N...]", 0, "one thread a CPU (1)", 0 },
	{ "place", KEY_PLACE, "P", 0, "see cleave list placements (cores-first)", 0 },
	{ "seed", KEY_SEED, "S", 0, "repetition r runs with seed S + r (1)", 0 },
	{ "repetitions", KEY_REPETITIONS, "R", 0, "of each point, interleaved over all (10; "
							  "simulated: 3)", 0 },
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
	{ "window-ms", KEY_WINDOW, "T", 0, "measured time of a repetition (200; simulated: "
					       "20, less where next to nobody waits, and on until "
					       "the figure is good)", 0 },
	{ "warm-up-ms", KEY_WARM, "T", 0, "before it (50; simulated: 1, or two execs of each "
					  "thread)", 0 },
	{ "sample", KEY_SAMPLE, "N", 0, "time one of N batches; 0: none (64)", 0 },
	{ "json", KEY_JSON, "FILE", 0, "write the results, and beside them Google Benchmark's own "
				       "JSON as FILE with .gbench.json for .json; to /dev/stdout, "
				       "it takes the place of the table", 0 },
	{ "quiet", KEY_QUIET, NULL, 0, "no progress", 0 },
	{ NULL, 0, NULL, 0, "Of a simulated machine:", 1 },
	{ "set", KEY_SET, "PARAM=VALUE", 0, "change a parameter of the machine; see cleave list "
					    "parameters", 1 },
	{ "jobs", KEY_JOBS, "N", 0, "runs at once, each in a process (one a CPU of this machine)",
	  1 },
	{ "budget", KEY_BUDGET, "N", 0, "million memory accesses a run may take, else it is labelled "
					"short (600)", 1 },
	{ "run-ahead-ns", KEY_RUN_AHEAD, "T", 0, "how far a CPU's hits may be ahead of the others "
						 "(100)", 1 },
	{ "timeline", KEY_TIMELINE, "FILE", 0, "of the last repetition of the one point: who had "
					       "which lock when; Trace Event JSON", 1 },
	{ "lines", KEY_LINES, NULL, 0, "show each point's costliest cache lines (a single point's "
				       "always are)", 1 },
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

/* "read_ns.remote=300": only the machine knows if there is such a parameter. */
static error_t add_change(struct arguments *a, char *word)
{
	char *value = strchr(word, '=');
	struct clv_change *change = &a->change[a->changes];
	if (!value || value == word) {
		clv_cli_error("not PARAM=VALUE: --set %s", word);
		return CLV_CLI_REPORTED;
	}
	for (unsigned i = 0; i < a->changes; i++) {
		const char *other = a->change[i].parameter;
		if (strlen(other) == (size_t)(value - word) && !strncmp(other, word, strlen(other))) {
			clv_cli_error("parameter twice: --set %s", word);
			return CLV_CLI_REPORTED;
		}
	}
	if (a->changes == CHANGES) {
		clv_cli_error("too many parameters: --set: at most %d", CHANGES);
		return CLV_CLI_REPORTED;
	}
	int code = clv_cli_fraction_in("--set", word, value + 1, 0, 1e12, &change->value);
	if (code)
		return code;
	*value = '\0';
	change->parameter = word;
	a->changes++;
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
	case KEY_JOBS:
		return clv_cli_unsigned("--jobs", arg, 1, JOBS_MAX, &a->jobs);
	case KEY_BUDGET:
		return clv_cli_u64("--budget", arg, 1, 1000000000, &a->budget_millions);
	case KEY_RUN_AHEAD:
		a->run_ahead_given = true;
		return clv_cli_u64("--run-ahead-ns", arg, 0, 1000000, &a->run_ahead_ns);
	case KEY_SET:
		return add_change(a, arg);
	case KEY_TIMELINE:
		if (!*arg) {
			clv_cli_error("no file name: --timeline");
			return CLV_CLI_REPORTED;
		}
		a->timeline = arg;
		return 0;
	case KEY_LINES:
		a->lines = true;
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
	unsigned flags = clv_design_waiting(design);
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

/* "about 2 min left", or nothing where nothing is known. */
static void format_left(char *out, size_t bytes, double left_s)
{
	*out = '\0';
	if (left_s >= 5400)
		snprintf(out, bytes, "; about %.1f h left", left_s / 3600);
	else if (left_s >= 90)
		snprintf(out, bytes, "; about %.0f min left", left_s / 60);
	else if (left_s >= 0)
		snprintf(out, bytes, "; about %.0f s left", left_s);
}

static void progress(const struct clv_point *point, double done, double left_s)
{
	char left[40];
	if (!show_progress)
		return;
	format_left(left, sizeof(left), left_s);
	fprintf(stderr, "\r\033[K%3.0f %% %.50s, %u thread%s%s", floor(100 * done),
		clv_point_title(point), point->threads, point->threads == 1 ? "" : "s", left);
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
	if (!session->arguments.json || !clv_run_file_is_output(session->arguments.json)) {
		clv_report_machine(stdout, &session->settings);
		clv_report_table(stdout, &session->settings, session->point, session->points);
		if (session->arguments.lines || session->points == 1)
			clv_report_lines(stdout, session->point, session->points);
	}
	for (size_t i = 0; i < session->points; i++) {
		const struct clv_point *point = &session->point[i];
		if (!point->valid) {
			clv_cli_error("not valid: %s, %u thread%s: %s", point->design,
				      point->threads, point->threads == 1 ? "" : "s", point->why);
			status = CLV_EXIT_FAILED;
		}
	}
	if (session->arguments.json &&
	    clv_run_files_write(session->arguments.json, &session->settings, session->point,
				session->points, session->command, gbench, gbench_bytes))
		status = CLV_EXIT_FAILED;
	free(gbench);
	return clv_cli_finish(status);
}

/* What only a simulated machine has, and what only a real one can. Returns: -1 to go on. */
static int check_machine(const struct arguments *a, const struct clv_machine *machine)
{
	const char *other = a->changes ? "--set" : a->jobs ? "--jobs" :
			     a->budget_millions ? "--budget" :
			     a->run_ahead_given ? "--run-ahead-ns" : a->timeline ? "--timeline" :
			     a->lines ? "--lines" : NULL;
	if (!machine->simulated && other) {
		clv_cli_error("%s: goes with a simulated machine, not with %s", other,
			      machine->name);
		return CLV_EXIT_USAGE;
	}
	if (machine->simulated && a->oversubscribe) {
		clv_cli_error("--oversubscribe: a simulated machine has no scheduler, which is what "
			      "would be measured: %s", machine->name);
		return CLV_EXIT_USAGE;
	}
	if (a->timeline && a->designs * a->thread_counts * a->think_counts != 1) {
		clv_cli_error("--timeline: of one point, not of %zu: %s",
			      a->designs * a->thread_counts * a->think_counts, a->timeline);
		return CLV_EXIT_USAGE;
	}
	return -1;
}

/* Returns: -1 to go on. */
static int change_model(struct arguments *a, struct clv_settings *settings)
{
	struct cleave_error error = { "" };
	for (unsigned i = 0; i < a->changes; i++) {
		struct clv_model *model = clv_simulated_model(settings->machine);
		struct clv_change *change = &a->change[i];
		const struct clv_parameter *parameter = NULL;
		for (unsigned k = 0; (parameter = clv_parameter_at(k)); k++) {
			if (!strcmp(parameter->name, change->parameter))
				break;
		}
		if (parameter)
			change->was = clv_model_get(model, parameter);
		int code = clv_model_set(model, change->parameter, change->value, &error);
		if (code) {
			clv_cli_error("--set: %s", error.text);
			return CLV_EXIT_USAGE;
		}
		change->value = clv_model_get(model, parameter);
	}
	settings->change = a->change;
	settings->changes = a->changes;
	return -1;
}

static uint64_t given_or(uint64_t given, bool simulated, uint64_t if_simulated, uint64_t if_host)
{
	return given != NOT_GIVEN ? given : simulated ? if_simulated : if_host;
}

static void set_settings(const struct arguments *a, struct clv_settings *settings)
{
	bool simulated = settings->machine->simulated;
	settings->placement = a->placement;
	settings->seed = a->seed;
	settings->repetitions = a->repetitions ? a->repetitions :
				simulated ? SIMULATED_REPETITIONS : HOST_REPETITIONS;
	settings->warm_ns =
		given_or(a->warm_ms, simulated, settings->schedule ? 0 : SIMULATED_WARM_MS,
			 HOST_WARM_MS) * 1000000;
	settings->window_ns =
		given_or(a->window_ms, simulated, SIMULATED_WINDOW_MS, HOST_WINDOW_MS) * 1000000;
	settings->sample_every = a->sample_every;
	settings->population = a->population;
	settings->walks = a->walks;
	settings->other_lock_ns = a->other_lock_ns;
	settings->migrate = a->migrate;
	settings->jobs = a->jobs ? a->jobs : clv_pool_cpus();
	settings->simulated = (struct clv_simulated_options){
		.budget = a->budget_millions * 1000000,
		.run_ahead_ps = a->run_ahead_given ? a->run_ahead_ns * 1000 : CLV_RUN_AHEAD_PS,
		.timeline = a->timeline,
	};
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
	set_settings(a, settings);
	if (!settings->schedule && (a->think_counts || a->other_lock_ns || a->migrate > 0)) {
		clv_cli_error("%s: goes with workload exec, not with %s",
			      a->think_counts ? "--think-ns" :
			      a->other_lock_ns ? "--other-lock-ns" : "--migrate",
			      settings->workload);
		return CLV_EXIT_USAGE;
	}
	if (!a->think_counts)
		a->think_ns[a->think_counts++] = CLV_THINK_RECORDED;
	status = check_machine(a, settings->machine);
	if (status < 0)
		status = change_model(a, settings);
	if (status < 0)
		status = make_points(session);
	if (status < 0 && a->json)
		status = clv_run_files_check(a->json);
	if (status < 0 && a->timeline)
		status = clv_run_file_check("--timeline", a->timeline, a->json);
	return status;
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
			.threads = { 1 }, .thread_counts = 1, .seed = 1, .window_ms = NOT_GIVEN,
			.warm_ms = NOT_GIVEN, .sample_every = 64, .population = 6000,
		},
	};
	session.command = clv_run_command("cleave", argc, argv);
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
