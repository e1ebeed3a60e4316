// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * cleave bench-structures: structures by themselves, side by side with the peers that were built.
 */
#define _GNU_SOURCE /* strsep */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../lib/error.h"
#include "../lib/registry.h"
#include "atomic_file.h"
#include "build_info.h"
#include "cli.h"
#include "commands.h"
#include "machine/machine.h"
#include "measure/memory.h"
#include "measure/private_array.h"
#include "measure/report.h"
#include "measure/two_threads.h"
#include "peers/peers.h"
#include "pin.h"
#include "run_files.h"

enum { STRUCTURES_MAX = 128, SHAPES_MAX = 8, POPULATIONS_MAX = 16, REPETITIONS_MAX = 1000 };

enum { TABLE_SPEED = 1, TABLE_MEMORY = 2, TABLE_TWO_THREADS = 4, TABLES_ALL = 7 };

struct bench {
	struct clv_table_settings table;
	const struct cleave_structure *structure[STRUCTURES_MAX];
	const struct clv_shape *shape[SHAPES_MAX];
	unsigned population[POPULATIONS_MAX];
	unsigned tables; /* TABLE_*; 0: speed */
	bool population_given;
	unsigned budget_ms;
	uint64_t cpu; /* CPU_ANY: not given */
	const char *json;
	bool quiet;
	char *command;
	struct clv_machine *machine;
};
#define CPU_ANY UINT64_MAX

/* ---- what is measured ---- */

static int add(struct bench *bench, const struct cleave_structure *structure)
{
	for (unsigned i = 0; i < bench->table.structures; i++) {
		if (bench->structure[i] == structure)
			return 0;
	}
	if (bench->table.structures == STRUCTURES_MAX) {
		clv_cli_error("too many structures: at most %d", STRUCTURES_MAX);
		return CLV_CLI_REPORTED;
	}
	bench->structure[bench->table.structures++] = structure;
	return 0;
}

/* Returns: NULL, an error being printed. */
static const struct cleave_structure *named(const char *name)
{
	const struct cleave_structure *structure = clv_structure_find(name, strlen(name));
	if (!structure)
		clv_cli_error("unknown structure '%s': see cleave list structures", name);
	return structure;
}

static int add_named(struct bench *bench, const char *name)
{
	const struct cleave_structure *structure = named(name);
	return structure ? add(bench, structure) : CLV_CLI_REPORTED;
}

/* Ours that are ranked, then the peers; in any case the sink and the floor. */
static void add_rest(struct bench *bench)
{
	const struct cleave_structure *structure;
	bool all = !bench->table.structures;
	for (unsigned i = 0; all && (structure = cleave_structure_at(i)); i++) {
		if (clv_peer_is(structure) || !(structure->flags & CLEAVE_UNRANKED))
			add(bench, structure);
	}
	for (unsigned i = 0; (structure = cleave_structure_at(i)); i++) {
		if (structure->flags & CLEAVE_SINK)
			add(bench, structure);
	}
	add(bench, &clv_private_array);
	if (bench->table.reference)
		add(bench, bench->table.reference);
}

/* ---- measuring ---- */

/* What came of it. */
struct found {
	struct clv_block *blocks;
	struct clv_gains gains;
	struct clv_sizes *sizes;
	struct clv_table_settings memory; /* the table's, but for the populations */
};

static bool show_progress;

static void progress(const char *what, double done)
{
	if (show_progress)
		fprintf(stderr, "\r\033[K%3.0f %% %s", 100 * done, what);
}

static void table_progress(const struct clv_block *block, const struct clv_cell *cell, double done)
{
	char what[100];
	snprintf(what, sizeof(what), "%s %u %s", block->shape->letter, block->population,
		 cell->structure->name);
	progress(what, done);
}

static int find(struct bench *bench, struct found *found, struct cleave_error *error)
{
	static unsigned populations[] = { 6, 600, 6000, 60000, 1000000 };
	int code = 0;
	/* First, since its threads go where this one may. */
	if (bench->tables & TABLE_TWO_THREADS)
		code = clv_gains_make(&found->gains, &bench->table, bench->machine, progress, error);
	if (!code)
		code = clv_pin((unsigned)bench->table.cpu, error);
	if (!code && bench->tables & TABLE_SPEED)
		code = clv_table_make(&found->blocks, &bench->table, table_progress, error);
	found->memory = bench->table;
	if (!bench->population_given) {
		found->memory.population = populations;
		found->memory.populations = sizeof(populations) / sizeof(populations[0]);
	}
	if (!code && bench->tables & TABLE_MEMORY)
		code = clv_sizes_make(&found->sizes, &found->memory, progress, error);
	return code ? code : clv_pin_check((unsigned)bench->table.cpu, error);
}

static void forget(struct bench *bench, struct found *found)
{
	if (found->blocks)
		clv_table_free(found->blocks, &bench->table);
	if (found->sizes)
		clv_sizes_free(found->sizes, &found->memory);
	clv_gains_fini(&found->gains);
}

/* ---- what is said ---- */

static json_t *found_json(const struct bench *bench, const struct found *found)
{
	char when[32];
	time_t now = time(NULL);
	struct tm utc;
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	json_t *root = json_pack(
		"{s:s, s:i, s:s?, s:{s:s, s:i}, s:i, s:I, s:i, s:f, s:{s:s, s:s, s:s, s:s, s:s}}",
		"format", "cleave-structures", "format_version", 1, "command", bench->command,
		"machine", "processor", bench->machine->topology->name, "cpus",
		(int)bench->machine->topology->cpus, "cpu", bench->table.cpu, "seed",
		(json_int_t)bench->table.seed, "repetitions", (int)bench->table.repetitions,
		"budget_ms", bench->table.budget_ns / 1e6, "provenance", "version",
		cleave_version(), "commit", CLV_BUILD_COMMIT, "compiler", CLV_BUILD_COMPILER,
		"flags", CLV_BUILD_FLAGS, "time", when);
	if (root && found->blocks)
		json_object_set_new(root, "results", clv_table_json(&bench->table, found->blocks));
	if (root && found->sizes)
		json_object_set_new(root, "memory", clv_sizes_json(&found->memory, found->sizes));
	if (root && found->gains.count)
		json_object_set_new(root, "two_threads", clv_gains_json(&found->gains));
	return root;
}

static int write_json(const struct bench *bench, const struct found *found)
{
	char why[240];
	json_t *root = found_json(bench, found);
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

static void print(const struct bench *bench, const struct found *found)
{
	const struct clv_table_settings *table = &bench->table;
	printf("%s\n", bench->machine->topology->name);
	if (found->blocks) {
		printf("one thread on CPU %d, /one:none; medians of %u\n", table->cpu,
		       table->repetitions);
		clv_table_print(stdout, table, found->blocks);
	}
	if (found->gains.count)
		clv_gains_print(stdout, &found->gains);
	if (found->sizes)
		clv_sizes_print(stdout, &found->memory, found->sizes);
}

/* Returns: exit status. */
static int say_invalid(const struct bench *bench, const struct found *found)
{
	const struct clv_table_settings *table = &bench->table;
	int status = CLV_EXIT_OK;
	for (unsigned i = 0; found->blocks && i < table->shapes * table->populations; i++) {
		for (unsigned k = 0; k < table->structures; k++) {
			const struct clv_cell *cell = &found->blocks[i].cell[k];
			if (!cell->invalid)
				continue;
			clv_cli_error("not valid: %s, %s, %u intervals: %s", cell->structure->name,
				      found->blocks[i].shape->name, found->blocks[i].population,
				      cell->why);
			status = CLV_EXIT_FAILED;
		}
	}
	for (unsigned i = 0; i < found->gains.count; i++) {
		if (!found->gains.gain[i].invalid)
			continue;
		clv_cli_error("not valid: %s: %s", found->gains.gain[i].design,
			      found->gains.gain[i].why);
		status = CLV_EXIT_FAILED;
	}
	return status;
}

static int measure(struct bench *bench)
{
	struct cleave_error error = { "" };
	struct found found = { 0 };
	show_progress = !bench->quiet && isatty(STDERR_FILENO);
	int code = find(bench, &found, &error), status = CLV_EXIT_FAILED;
	if (show_progress)
		fputs("\r\033[K", stderr);
	if (code) {
		clv_cli_error("%s", error.text);
	} else {
		if (!bench->json || !clv_run_file_is_output(bench->json))
			print(bench, &found);
		status = say_invalid(bench, &found);
		if (bench->json && write_json(bench, &found))
			status = CLV_EXIT_FAILED;
	}
	forget(bench, &found);
	return clv_cli_finish(status);
}

static int prepare(struct bench *bench)
{
	struct cleave_error error = { "" };
	int status = bench->json ? clv_run_file_check("--json", bench->json, NULL) : -1;
	if (status >= 0)
		return status;
	int code = clv_machine_open(&bench->machine, "host", &error);
	if (code)
		return clv_cli_report(code, &error);
	const struct clv_topology *topology = bench->machine->topology;
	/* The last: the first is where most interrupts go. */
	bench->table.cpu = bench->cpu == CPU_ANY ? (int)topology->cpu[topology->cpus - 1].os
						 : (int)bench->cpu;
	if (clv_topology_index(topology, bench->table.cpu) < 0) {
		clv_cli_error("no such CPU: --cpu %d", bench->table.cpu);
		return CLV_EXIT_USAGE;
	}
	if (!bench->tables)
		bench->tables = TABLE_SPEED;
	if (bench->tables & TABLE_TWO_THREADS && topology->cpus < 2) {
		clv_cli_error("--two-threads: this machine has one CPU");
		return CLV_EXIT_USAGE;
	}
	add_rest(bench);
	bench->table.structure = bench->structure;
	bench->table.shape = bench->shape;
	bench->table.population = bench->population;
	bench->table.budget_ns = bench->budget_ms * 1e6;
	code = cleave_env_open(&bench->table.env, NULL, &error);
	return code ? clv_cli_report(code, &error) : -1;
}

/* ---- the command ---- */

enum {
	KEY_SHAPES = 256, KEY_POPULATION, KEY_REPETITIONS, KEY_BUDGET, KEY_CPU, KEY_SEED, KEY_JSON,
	KEY_QUIET, KEY_REFERENCE, KEY_MEMORY, KEY_TWO_THREADS, KEY_ALL,
};

static const struct argp_option option[] = {
	{ "memory", KEY_MEMORY, NULL, 0, "bytes, by population, and of empty subsets, instead of "
					 "time", 0 },
	{ "two-threads", KEY_TWO_THREADS, NULL, 0, "what a second thread gives, instead", 0 },
	{ "all", KEY_ALL, NULL, 0, "all three", 0 },
	{ "shapes", KEY_SHAPES, "S[,S...]", 0, "A, libc.so.6's five ranges; B, random ones; D, ones "
					       "that do not overlap (A,B)", 0 },
	{ "population", KEY_POPULATION, "P[,P...]", 0, "intervals (600,6000,60000; "
						     "of memory: 6,600,6000,60000,1000000)", 0 },
	{ "repetitions", KEY_REPETITIONS, "R", 0, "of each cell, interleaved (9)", 0 },
	{ "budget-ms", KEY_BUDGET, "T", 0, "of each thing measured in a repetition (6)", 0 },
	{ "cpu", KEY_CPU, "N", 0, "where, by the system's number (the last)", 0 },
	{ "seed", KEY_SEED, "S", 0, "repetition r has S + r (1)", 0 },
	{ "reference", KEY_REFERENCE, "STRUCTURE", 0, "what ratios are to (the kernel's interval "
						       "tree, or rb_interval)", 0 },
	{ "json", KEY_JSON, "FILE", 0, "write the results; to /dev/stdout, in place of the tables",
	  0 },
	{ "quiet", KEY_QUIET, NULL, 0, "no progress", 0 },
	{ 0 },
};

static const struct clv_shape *shape_named(const char *word)
{
	const struct clv_shape *shape = NULL;
	for (unsigned i = 0; (shape = clv_shape_at(i)); i++) {
		if (!strcmp(word, shape->letter) || !strcmp(word, shape->name))
			return shape;
	}
	return NULL;
}

static error_t parse_shapes(struct bench *bench, char *list)
{
	char *word;
	bench->table.shapes = 0;
	while ((word = strsep(&list, ","))) {
		const struct clv_shape *shape = shape_named(word);
		for (unsigned i = 0; shape && i < bench->table.shapes; i++) {
			if (bench->shape[i] == shape)
				shape = NULL;
		}
		if (!shape) {
			clv_cli_error("not a shape of ranges, or twice: --shapes %s", word);
			return CLV_CLI_REPORTED;
		}
		bench->shape[bench->table.shapes++] = shape;
	}
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct bench *bench = state->input;
	size_t count;
	error_t code;
	switch (key) {
	case KEY_MEMORY:
		bench->tables |= TABLE_MEMORY;
		return 0;
	case KEY_TWO_THREADS:
		bench->tables |= TABLE_TWO_THREADS;
		return 0;
	case KEY_ALL:
		bench->tables |= TABLES_ALL;
		return 0;
	case KEY_SHAPES:
		return parse_shapes(bench, arg);
	case KEY_POPULATION:
		code = clv_cli_unsigned_list("--population", arg, 1, 10000000, bench->population,
					     POPULATIONS_MAX, &count);
		bench->table.populations = (unsigned)count;
		bench->population_given = true;
		return code;
	case KEY_REPETITIONS:
		return clv_cli_unsigned("--repetitions", arg, 1, REPETITIONS_MAX,
					&bench->table.repetitions);
	case KEY_BUDGET:
		return clv_cli_unsigned("--budget-ms", arg, 1, 10000, &bench->budget_ms);
	case KEY_CPU:
		return clv_cli_u64("--cpu", arg, 0, 1 << 20, &bench->cpu);
	case KEY_SEED:
		return clv_cli_u64("--seed", arg, 0, INT64_MAX, &bench->table.seed);
	case KEY_REFERENCE:
		bench->table.reference = named(arg);
		if (bench->table.reference && bench->table.reference->flags & CLEAVE_SINK) {
			clv_cli_error("it is taken off, so that nothing is left to compare with: "
				      "--reference %s", arg);
			return CLV_CLI_REPORTED;
		}
		return bench->table.reference ? 0 : CLV_CLI_REPORTED;
	case KEY_JSON:
		bench->json = arg;
		return 0;
	case KEY_QUIET:
		bench->quiet = true;
		return 0;
	case ARGP_KEY_ARG:
		return add_named(bench, arg);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int clv_cmd_bench_structures(int argc, char **argv)
{
	static const struct argp argp = {
		option, parse, "[STRUCTURE...]",
		"Measure what structures cost on one thread: an insert and remove, a walk of a "
		"page, a walk over all, memory; all that are ranked and all peers that were built, "
		"unless some are named. Run it by ./compare --peers to have the peers.\v"
		"Exit status: 0 all results are valid; 1 some are not; 2 wrong usage.",
		NULL, NULL, NULL,
	};
	struct bench bench = {
		.table = { .seed = 1, .repetitions = 9, .shapes = 2, .populations = 3 },
		.shape = { clv_shape_at(0), clv_shape_at(1) },
		.population = { 600, 6000, 60000 },
		.budget_ms = 6,
		.cpu = CPU_ANY,
	};
	struct cleave_error error = { "" };
	int code = cleave_register(&clv_private_array, &error);
	if (code)
		return clv_cli_report(code, &error);
	bench.command = clv_run_command("cleave", argc, argv);
	int status = clv_cli_parse(&argp, "cleave bench-structures", argc, argv, &bench);
	if (status < 0)
		status = prepare(&bench);
	if (status < 0)
		status = measure(&bench);
	if (bench.table.env)
		cleave_env_close(bench.table.env);
	if (bench.machine)
		bench.machine->close(bench.machine);
	free(bench.command);
	return status;
}
