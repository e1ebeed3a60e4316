// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * cleave bench-locks: locks by themselves, alone, beside others' of the same kind and the least
 * that their kind does; and what empty maps take under them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/env.h"
#include "../lib/error.h"
#include "../lib/registry.h"
#include "atomic_file.h"
#include "build_info.h"
#include "cli.h"
#include "commands.h"
#include "machine/machine.h"
#include "machine/model.h"
#include "measure/empty_maps.h"
#include "measure/lock_table.h"
#include "pin.h"
#include "run_files.h"

/* The machine of the question, for bytes alone. */
#define MANY "hygon-12n384"
#define CPU_ANY UINT64_MAX

enum { ROWS_MAX = 128, REPETITIONS_MAX = 100000 };

struct bench {
	struct clv_lock_settings settings;
	struct clv_lock_row row[ROWS_MAX];
	unsigned rows, budget_us;
	bool memory;
	/* An option that was given, and that is of the time of locks alone; or of --memory. */
	const char *of_time, *of_memory;
	const struct cleave_structure *structure;
	struct clv_empty_maps empty;
	uint64_t cpu;
	unsigned many_cpus;
	const char *json;
	bool quiet;
	char *command;
	struct clv_machine *machine;
};

static bool show_progress;

static void progress(const char *what, double done)
{
	if (show_progress)
		fprintf(stderr, "\r\033[K%3.0f %% %s", 100 * done, what);
}

/* ---- which locks ---- */

static int add(struct bench *bench, const char *lock)
{
	struct cleave_error error = { "" };
	for (unsigned i = 0; i < bench->rows; i++) {
		if (!strcmp(bench->row[i].lock, lock)) {
			clv_cli_error("named twice: %s", lock);
			return CLV_CLI_REPORTED;
		}
	}
	/* One is the floor's. */
	if (bench->rows == ROWS_MAX - 1) {
		clv_cli_error("too many locks: at most %d", ROWS_MAX - 1);
		return CLV_CLI_REPORTED;
	}
	if (clv_lock_row_init(&bench->row[bench->rows], lock, &error)) {
		clv_cli_error("%s", error.text);
		return CLV_CLI_REPORTED;
	}
	bench->rows++;
	return 0;
}

/* Every registered lock, and what is another one by its arguments; in any case the floor. */
static int add_rest(struct bench *bench)
{
	static const char *const more[] = { "cohort.ticket", "rwcohort.neutral" };
	const struct clv_lock_type *type;
	bool all = !bench->rows;
	int code = 0;
	for (unsigned i = 0; !code && all && (type = clv_lock_type_at(i)); i++)
		code = add(bench, type->name);
	for (unsigned i = 0; !code && all && i < sizeof(more) / sizeof(more[0]); i++)
		code = add(bench, more[i]);
	if (!code)
		clv_lock_row_init_floor(&bench->row[bench->rows++]);
	return code;
}

/* ---- what is said ---- */

static json_t *found_json(const struct bench *bench)
{
	char when[32];
	time_t now = time(NULL);
	struct tm utc;
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	json_t *root = json_pack(
		"{s:s, s:i, s:s?, s:{s:s, s:i}, s:{s:s, s:i}, s:{s:s, s:s, s:s, s:s, s:s}}",
		"format", "cleave-locks", "format_version", 1, "command", bench->command,
		"machine", "processor", bench->machine->topology->name, "cpus",
		(int)bench->machine->topology->cpus, "many_cpus", "name", MANY, "cpus",
		(int)bench->many_cpus, "provenance", "version", cleave_version(), "commit",
		CLV_BUILD_COMMIT, "compiler", CLV_BUILD_COMPILER, "flags", CLV_BUILD_FLAGS, "time",
		when);
	if (!root)
		return NULL;
	if (bench->memory) {
		json_object_set_new(root, "memory", clv_empty_maps_json(&bench->empty));
		return root;
	}
	json_object_set_new(root, "cpu", json_integer((json_int_t)bench->cpu));
	json_object_set_new(root, "seed", json_integer((json_int_t)bench->settings.seed));
	json_object_set_new(root, "repetitions", json_integer(bench->settings.repetitions));
	json_object_set_new(root, "budget_us", json_integer(bench->budget_us));
	json_object_set_new(root, "results", clv_lock_table_json(bench->row, bench->rows));
	return root;
}

static int write_json(const struct bench *bench)
{
	char why[240];
	json_t *root = found_json(bench);
	char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(8)) : NULL;
	json_decref(root);
	if (!text) {
		clv_cli_error("out of memory: for the results");
		return CLV_EXIT_FAILED;
	}
	int code = clv_file_write(bench->json, text, strlen(text), why, sizeof(why));
	free(text);
	if (code)
		clv_cli_error("%s", why);
	return code ? CLV_EXIT_FAILED : CLV_EXIT_OK;
}

static void print(const struct bench *bench)
{
	if (bench->memory) {
		clv_empty_maps_print(stdout, &bench->empty, MANY);
		return;
	}
	printf("%s\none thread on CPU %d, nobody else wants the lock: ns to take and release it; "
	       "medians of %u\n", bench->machine->topology->name, (int)bench->cpu,
	       bench->settings.repetitions);
	clv_lock_table_print(stdout, bench->row, bench->rows, bench->many_cpus);
}

/* Returns: exit status. */
static int say_invalid(const struct bench *bench)
{
	int status = CLV_EXIT_OK;
	for (unsigned i = 0; i < bench->rows; i++) {
		if (!bench->row[i].invalid)
			continue;
		clv_cli_error("not valid: %s: %s", bench->row[i].lock, bench->row[i].why);
		status = CLV_EXIT_FAILED;
	}
	return status;
}

/* ---- measuring ---- */

static int find(struct bench *bench, struct cleave_error *error)
{
	struct clv_lock_settings *settings = &bench->settings;
	if (bench->memory)
		return clv_empty_maps_make(&bench->empty, bench->structure, settings->many, error);
	int code = clv_pin((unsigned)bench->cpu, error);
	if (code)
		return code;
	code = cleave_thread_begin(&settings->thread, settings->env, (int)bench->cpu);
	if (code)
		return clv_error(error, code, "locks: %s", strerror(-code));
	code = clv_lock_table_make(bench->row, bench->rows, settings, progress, error);
	cleave_thread_end(settings->thread);
	return code ? code : clv_pin_check((unsigned)bench->cpu, error);
}

static int measure(struct bench *bench)
{
	struct cleave_error error = { "" };
	show_progress = !bench->quiet && isatty(STDERR_FILENO);
	int code = find(bench, &error), status;
	if (show_progress)
		fputs("\r\033[K", stderr);
	if (code) {
		status = clv_cli_report(code, &error);
	} else {
		if (!bench->json || !clv_run_file_is_output(bench->json))
			print(bench);
		status = say_invalid(bench);
		if (bench->json && write_json(bench))
			status = CLV_EXIT_FAILED;
	}
	clv_lock_rows_fini(bench->row, bench->rows);
	clv_empty_maps_fini(&bench->empty);
	return clv_cli_finish(status);
}

static int open_many(struct bench *bench, struct cleave_error *error)
{
	struct clv_model *model;
	int code = clv_model_load(&model, MANY, error);
	if (code)
		return code;
	const struct cleave_env_options options = { .topology = model->topology };
	code = cleave_env_open(&bench->settings.many, &options, error);
	clv_model_free(model);
	if (!code)
		bench->many_cpus = bench->settings.many->topology->cpus;
	return code;
}

/* Returns: -1 to go on; else an exit status. */
static int check_options(const struct bench *bench)
{
	if (bench->memory && bench->rows)
		clv_cli_error("--memory is of all locks: not '%s'", bench->row[0].lock);
	else if (bench->memory && bench->of_time)
		clv_cli_error("--memory measures no time: not with %s", bench->of_time);
	else if (!bench->memory && bench->of_memory)
		clv_cli_error("only with --memory: %s", bench->of_memory);
	else
		return -1;
	return CLV_EXIT_USAGE;
}

static int prepare(struct bench *bench)
{
	struct cleave_error error = { "" };
	int status = check_options(bench);
	if (status < 0 && bench->json)
		status = clv_run_file_check("--json", bench->json, NULL);
	if (status >= 0)
		return status;
	int code = clv_machine_open(&bench->machine, "host", &error);
	if (code)
		return clv_cli_report(code, &error);
	const struct clv_topology *topology = bench->machine->topology;
	/* The last: the first is where most interrupts go. */
	if (bench->cpu == CPU_ANY)
		bench->cpu = topology->cpu[topology->cpus - 1].os;
	if (clv_topology_index(topology, (int)bench->cpu) < 0) {
		clv_cli_error("no such CPU: --cpu %d", (int)bench->cpu);
		return CLV_EXIT_USAGE;
	}
	if (!bench->memory && add_rest(bench))
		return CLV_EXIT_USAGE;
	bench->settings.budget_ns = bench->budget_us * 1e3;
	code = cleave_env_open(&bench->settings.env, NULL, &error);
	if (!code)
		code = open_many(bench, &error);
	return code ? clv_cli_report(code, &error) : -1;
}

/* ---- the command ---- */

enum {
	KEY_MEMORY = 256, KEY_STRUCTURE, KEY_REPETITIONS, KEY_BUDGET, KEY_CPU, KEY_SEED, KEY_JSON,
	KEY_QUIET,
};

static const struct argp_option option[] = {
	{ "memory", KEY_MEMORY, NULL, 0, "bytes of empty maps on " MANY ", by scheme, lock and "
					 "subsets, instead of time", 0 },
	{ "structure", KEY_STRUCTURE, "STRUCTURE", 0, "of --memory: what the maps are of (rb_vma)",
	  0 },
	{ "repetitions", KEY_REPETITIONS, "R", 0, "of each thing, interleaved (201)", 0 },
	{ "budget-us", KEY_BUDGET, "T", 0, "of each lock in a repetition, at least (50)", 0 },
	{ "cpu", KEY_CPU, "N", 0, "where, by the system's number (the last)", 0 },
	{ "seed", KEY_SEED, "S", 0, "of the order of what is measured (1)", 0 },
	{ "json", KEY_JSON, "FILE", 0, "write the results; to /dev/stdout, in place of the tables",
	  0 },
	{ "quiet", KEY_QUIET, NULL, 0, "no progress", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct bench *bench = state->input;
	switch (key) {
	case KEY_MEMORY:
		bench->memory = true;
		return 0;
	case KEY_STRUCTURE:
		bench->of_memory = "--structure";
		bench->structure = clv_structure_find(arg, strlen(arg));
		if (bench->structure)
			return 0;
		clv_cli_error("unknown structure '%s': see cleave list structures", arg);
		return CLV_CLI_REPORTED;
	case KEY_REPETITIONS:
		bench->of_time = "--repetitions";
		return clv_cli_unsigned("--repetitions", arg, 1, REPETITIONS_MAX,
					&bench->settings.repetitions);
	case KEY_BUDGET:
		bench->of_time = "--budget-us";
		return clv_cli_unsigned("--budget-us", arg, 1, 1000000, &bench->budget_us);
	case KEY_CPU:
		bench->of_time = "--cpu";
		return clv_cli_u64("--cpu", arg, 0, 1 << 20, &bench->cpu);
	case KEY_SEED:
		bench->of_time = "--seed";
		return clv_cli_u64("--seed", arg, 0, INT64_MAX, &bench->settings.seed);
	case KEY_JSON:
		bench->json = arg;
		return 0;
	case KEY_QUIET:
		bench->quiet = true;
		return 0;
	case ARGP_KEY_ARG:
		return add(bench, arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int clv_cmd_bench_locks(int argc, char **argv)
{
	static const struct argp argp = {
		option, parse, "[LOCK...]",
		"Measure what it costs one thread to take a lock that nobody else wants, and to "
		"release it, beside Concurrency Kit's form of each lock or glibc's, and beside the "
		"least that a lock of its kind does; all locks, unless some are named as in "
		"designs (cohort.ticket.l3).\v"
		"Exit status: 0 all results are valid; 1 some are not; 2 wrong usage.",
		NULL, NULL, NULL,
	};
	struct bench *bench = calloc(1, sizeof(*bench));
	if (!bench) {
		clv_cli_error("out of memory");
		return CLV_EXIT_FAILED;
	}
	bench->settings.seed = 1;
	bench->settings.repetitions = 201;
	bench->budget_us = 50;
	bench->cpu = CPU_ANY;
	bench->structure = clv_structure_find("rb_vma", strlen("rb_vma"));
	bench->command = clv_run_command("cleave", argc, argv);
	int status = clv_cli_parse(&argp, "cleave bench-locks", argc, argv, bench);
	if (status < 0)
		status = prepare(bench);
	if (status < 0)
		status = measure(bench);
	if (bench->settings.many)
		cleave_env_close(bench->settings.many);
	if (bench->settings.env)
		cleave_env_close(bench->settings.env);
	if (bench->machine)
		bench->machine->close(bench->machine);
	free(bench->command);
	free(bench);
	return status;
}
