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
#include "measure/private_array.h"
#include "measure/report.h"
#include "peers/peers.h"
#include "pin.h"
#include "run_files.h"

enum { STRUCTURES_MAX = 128, SHAPES_MAX = 8, POPULATIONS_MAX = 16, REPETITIONS_MAX = 1000 };

struct bench {
	struct clv_table_settings table;
	const struct cleave_structure *structure[STRUCTURES_MAX];
	const struct clv_shape *shape[SHAPES_MAX];
	unsigned population[POPULATIONS_MAX];
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

static int add_named(struct bench *bench, const char *name)
{
	const struct cleave_structure *structure = clv_structure_find(name, strlen(name));
	if (!structure) {
		clv_cli_error("unknown structure '%s': see cleave list structures", name);
		return CLV_CLI_REPORTED;
	}
	return add(bench, structure);
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
}

static bool show_progress;

static void progress(const struct clv_block *block, const struct clv_cell *cell, double done)
{
	if (show_progress)
		fprintf(stderr, "\r\033[K%3.0f %% %s %u %s", 100 * done, block->shape->letter,
			block->population, cell->structure->name);
}

static int write_json(const struct bench *bench, json_t *table)
{
	char when[32], why[240];
	time_t now = time(NULL);
	struct tm utc;
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	json_t *root = json_pack(
		"{s:s, s:i, s:s?, s:{s:s, s:i, s:i}, s:I, s:i, s:f, s:{s:s, s:s, s:s, s:s, s:s}}",
		"format", "cleave-structures", "format_version", 1, "command", bench->command,
		"machine", "processor", bench->machine->topology->name, "cpus",
		(int)bench->machine->topology->cpus, "cpu", bench->table.cpu, "seed",
		(json_int_t)bench->table.seed, "repetitions", (int)bench->table.repetitions,
		"budget_ms", bench->table.budget_ns / 1e6, "provenance", "version",
		cleave_version(), "commit", CLV_BUILD_COMMIT, "compiler", CLV_BUILD_COMPILER,
		"flags", CLV_BUILD_FLAGS, "time", when);
	if (root)
		json_object_set_new(root, "results", table);
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

static int say(const struct bench *bench, const struct clv_block *blocks)
{
	const struct clv_table_settings *table = &bench->table;
	int status = CLV_EXIT_OK;
	if (!bench->json || !clv_run_file_is_output(bench->json)) {
		printf("%s, CPU %d; one thread, /one:none, median of %u\n",
		       bench->machine->topology->name, table->cpu, table->repetitions);
		clv_table_print(stdout, table, blocks);
	}
	for (unsigned i = 0; i < table->shapes * table->populations; i++) {
		for (unsigned k = 0; k < table->structures; k++) {
			const struct clv_cell *cell = &blocks[i].cell[k];
			if (!cell->invalid)
				continue;
			clv_cli_error("not valid: %s, %s, %u intervals: %s", cell->structure->name,
				      blocks[i].shape->name, blocks[i].population, cell->why);
			status = CLV_EXIT_FAILED;
		}
	}
	if (bench->json) {
		int written = write_json(bench, clv_table_json(table, blocks));
		status = written ? written : status;
	}
	return status;
}

static int measure(struct bench *bench)
{
	struct cleave_error error = { "" };
	struct clv_block *blocks;
	int code = clv_pin((unsigned)bench->table.cpu, &error);
	if (code)
		return clv_cli_report(code, &error);
	show_progress = !bench->quiet && isatty(STDERR_FILENO);
	code = clv_table_make(&blocks, &bench->table, progress, &error);
	if (show_progress)
		fputs("\r\033[K", stderr);
	if (!code && (code = clv_pin_check((unsigned)bench->table.cpu, &error)))
		clv_table_free(blocks, &bench->table);
	if (code) {
		clv_cli_error("%s", error.text);
		return CLV_EXIT_FAILED;
	}
	int status = say(bench, blocks);
	clv_table_free(blocks, &bench->table);
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
	KEY_QUIET,
};

static const struct argp_option option[] = {
	{ "shapes", KEY_SHAPES, "S[,S...]", 0, "A, libc.so.6's five ranges; B, random ones; D, ones "
					       "that do not overlap (A,B)", 0 },
	{ "population", KEY_POPULATION, "P[,P...]", 0, "intervals (600,6000,60000)", 0 },
	{ "repetitions", KEY_REPETITIONS, "R", 0, "of each cell, interleaved (9)", 0 },
	{ "budget-ms", KEY_BUDGET, "T", 0, "of each thing measured in a repetition (6)", 0 },
	{ "cpu", KEY_CPU, "N", 0, "where, by the system's number (the last)", 0 },
	{ "seed", KEY_SEED, "S", 0, "repetition r has S + r (1)", 0 },
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
	case KEY_SHAPES:
		return parse_shapes(bench, arg);
	case KEY_POPULATION:
		code = clv_cli_unsigned_list("--population", arg, 1, 10000000, bench->population,
					     POPULATIONS_MAX, &count);
		bench->table.populations = (unsigned)count;
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
