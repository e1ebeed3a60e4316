// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * cleave validate: how far the simulated machine is from what was measured, here and by others, and
 * what its results depend on. Prints tables; a large error is a result and not a failure.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cleave/cleave.h>

#include "build_info.h"
#include "cli.h"
#include "clock.h"
#include "commands.h"
#include "pool.h"
#include "run_files.h"
#include "atomic_file.h"
#include "validate/validate.h"
#include "workloads/schedule.h"

static const struct part {
	const char *name;
	int (*run)(const struct clv_validation *validation);
	bool of_a_machine; /* that can be named */
} parts[] = {
	{ "a", clv_validate_on_host, false },
	{ "c", clv_validate_curves, true },
	{ "d", clv_validate_figure, true },
	{ "e", clv_validate_sensitivity, true },
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

struct options {
	bool asked[PARTS], any;
	bool quick;
	unsigned jobs; /* 0: as many as CPUs */
	double seconds; /* 0: not given */
	const char *machine, *json;
};

enum { KEY_MACHINE = 256, KEY_QUICK, KEY_JSON, KEY_JOBS, KEY_SECONDS };

static const struct argp_option option_table[] = {
	{ "machine", KEY_MACHINE, "NAME", 0,
	  "of c, d, e: another machine than naples-2s128 (c) and hygon-12n384", 0 },
	{ "quick", KEY_QUICK, NULL, 0, "fewer rounds, shorter runs, fewer variations of e", 0 },
	{ "json", KEY_JSON, "FILE", 0, "write the same as JSON", 0 },
	{ "jobs", KEY_JOBS, "N", 0, "simulations at once (one a CPU of this machine)", 0 },
	{ "seconds", KEY_SECONDS, "S", 0, "of a: calibrate for about S seconds (20; quick: 4)", 0 },
	{ 0 },
};

static error_t add_part(struct options *options, const char *name)
{
	for (unsigned i = 0; i < PARTS; i++) {
		if (strcmp(parts[i].name, name))
			continue;
		if (options->asked[i]) {
			clv_cli_error("part twice: %s", name);
			return CLV_CLI_REPORTED;
		}
		options->asked[i] = options->any = true;
		return 0;
	}
	clv_cli_error("no such part of the validation: '%s' (there are a, c, d, e)", name);
	return CLV_CLI_REPORTED;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	switch (key) {
	case KEY_MACHINE:
		options->machine = arg;
		return 0;
	case KEY_QUICK:
		options->quick = true;
		return 0;
	case KEY_JSON:
		options->json = arg;
		return 0;
	case KEY_JOBS:
		return clv_cli_unsigned("--jobs", arg, 1, 4096, &options->jobs);
	case KEY_SECONDS:
		return clv_cli_fraction("--seconds", arg, 0.01, 3600, &options->seconds);
	case ARGP_KEY_ARG:
		return add_part(options, arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Before minutes of work, not after them. Returns: -1 to go on. */
static int check(const struct options *options)
{
	struct cleave_error error = { "" };
	struct clv_machine *machine;
	bool of_a_machine = false;
	if (options->json) {
		int status = clv_run_file_check("--json", options->json, NULL);
		if (status >= 0)
			return status;
	}
	for (unsigned i = 0; i < PARTS; i++)
		of_a_machine |= parts[i].of_a_machine && (options->asked[i] || !options->any);
	if (!options->machine)
		return -1;
	if (!of_a_machine) {
		clv_cli_error("--machine: a is of this machine alone: %s", options->machine);
		return CLV_EXIT_USAGE;
	}
	int code = clv_machine_open(&machine, options->machine, &error);
	if (code)
		return clv_cli_report(code, &error);
	bool simulated = machine->simulated;
	machine->close(machine);
	if (!simulated) {
		clv_cli_error("--machine: not a simulated machine: %s", options->machine);
		return CLV_EXIT_USAGE;
	}
	return -1;
}

static int run_parts(const struct options *options, struct clv_validation *validation)
{
	double begin_s = clv_now_s();
	for (unsigned i = 0; i < PARTS; i++) {
		if (options->any && !options->asked[i])
			continue;
		int code = parts[i].run(validation);
		if (code)
			return clv_cli_report(code, validation->error);
		fflush(stdout);
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "validated in %.0f s\n", clv_now_s() - begin_s);
	return CLV_EXIT_OK;
}

static int write_json(const struct options *options, json_t *out)
{
	char why[240];
	char *text = json_dumps(out, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
	if (!text) {
		clv_cli_error("out of memory: for --json");
		return CLV_EXIT_FAILED;
	}
	fflush(stdout);
	int code = clv_file_write(options->json, text, strlen(text), why, sizeof(why));
	free(text);
	if (code)
		clv_cli_error("%s", why);
	return code ? CLV_EXIT_FAILED : CLV_EXIT_OK;
}

int clv_cmd_validate(int argc, char **argv)
{
	static const struct argp argp = {
		.options = option_table,
		.parser = parse_option,
		.args_doc = "[a] [c] [d] [e]",
		.doc = "Hold the simulated machine against what was measured. a: programs on this "
		       "machine, against a simulation calibrated beside them, at 1, 2, 4 threads and "
		       "so on; let nothing else run meanwhile. c: published curves of a machine like "
		       "Naples. d: the gain that is reported of split trees, over all that is assumed. "
		       "e: what each parameter does to the comparison of designs. All, if none is "
		       "named.",
	};
	struct options options = { 0 };
	struct cleave_error error = { "" };
	struct clv_schedule *schedule = NULL;

	int status = clv_cli_parse(&argp, "cleave validate", argc, argv, &options);
	if (status < 0)
		status = check(&options);
	if (status >= 0)
		return status;
	int code = clv_schedule_recorded(&schedule, &error);
	if (code)
		return clv_cli_report(code, &error);
	char *command = clv_run_command("cleave", argc, argv);
	struct clv_validation validation = {
		.machine = options.machine,
		.quick = options.quick,
		.jobs = options.jobs ? options.jobs : clv_pool_cpus(),
		.seconds = options.seconds > 0 ? options.seconds : options.quick ? 4 : 20,
		.schedule = schedule,
		.error = &error,
	};
	if (options.json)
		validation.out = json_pack("{s:s, s:i, s:s, s:s}", "format", "cleave-validation",
					   "format_version", 1, "command", command ? command : "",
					   "commit", CLV_BUILD_COMMIT);
	status = run_parts(&options, &validation);
	if (status == CLV_EXIT_OK && validation.out)
		status = write_json(&options, validation.out);
	json_decref(validation.out);
	clv_schedule_free(schedule);
	free(command);
	return clv_cli_finish(status);
}
