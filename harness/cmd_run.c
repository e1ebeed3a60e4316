// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * cleave run: measure designs under a workload on a machine.
 */
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
#include "run_options.h"
#include "workloads/schedule.h"

/* Where it was not given: what a real and what a simulated machine need for a good figure. */
enum { HOST_REPETITIONS = 10, HOST_WARM_MS = 50, HOST_WINDOW_MS = 200 };
enum { SIMULATED_REPETITIONS = 3, SIMULATED_WARM_MS = 1, SIMULATED_WINDOW_MS = 20 };

/* Everything a run needs, in one place to take down. */
struct session {
	struct arguments arguments;
	struct clv_settings settings;
	struct clv_course_config course;
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
		clv_report_course(stdout, &session->settings, session->point, session->points);
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

/* course: to fill in; NULL: the load is even, and nothing is told over time. */
static void set_settings(const struct arguments *a, struct clv_settings *settings,
			 struct clv_course_config *course)
{
	bool simulated = settings->machine->simulated;
	settings->placement = a->placement;
	settings->seed = a->seed;
	settings->repetitions = a->repetitions ? a->repetitions :
				simulated ? SIMULATED_REPETITIONS : HOST_REPETITIONS;
	/* Two execs are a warm-up by themselves, where they are waited for. */
	bool execs = settings->schedule && !course;
	settings->warm_ns = given_or(a->warm_ms, simulated, execs ? 0 : SIMULATED_WARM_MS,
				     HOST_WARM_MS) * 1000000;
	settings->window_ns =
		given_or(a->window_ms, simulated, SIMULATED_WINDOW_MS, HOST_WINDOW_MS) * 1000000;
	settings->sample_every = a->sample_every;
	settings->population = a->population;
	settings->walks = a->walks;
	settings->other_lock_ns = a->other_lock_ns;
	settings->migrate = a->migrate;
	if (course) {
		settings->course = course;
		*course = (struct clv_course_config){ a->storm, settings->window_ns,
						      a->every_us * 1000 };
	}
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
	set_settings(a, settings, a->storm.to_ns || a->every_us ? &session->course : NULL);
	if (!settings->schedule &&
	    (a->think_counts || a->other_lock_ns || a->migrate > 0 || a->storm.to_ns)) {
		clv_cli_error("%s: goes with workload exec, not with %s",
			      a->think_counts ? "--think-ns" :
			      a->other_lock_ns ? "--other-lock-ns" :
			      a->migrate > 0 ? "--migrate" : "--storm", settings->workload);
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
	int status = clv_run_options_parse(argc, argv, &session.arguments);
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
