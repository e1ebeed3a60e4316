// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * cleave bench-machine: what a simulation costs here, beside what it should.
 *
 * Three amounts of work are simulated, each to its end, in processes of their own, one at a time:
 * a tree under one lock with every CPU waiting for it; the same on one CPU; trees and locks of their
 * own. Time is that of the engine, without what opens and fills the maps.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <jansson.h>

#include "../lib/error.h"
#include "cli.h"
#include "clock.h"
#include "commands.h"
#include "machine/sim/sim.h"
#include "pool.h"
#include "runner.h"
#include "workloads/schedule.h"

#define TICK_PS UINT64_C(100000000)

enum { REPETITIONS_MAX = 100 };
enum { SATURATED, ALONE, APART, WORKS };

/* A work is over when it has come to `amount` of what it counts. */
static const struct work {
	const char *design;
	bool one_cpu;
	enum { ACQUISITIONS, ACCESSES, OPERATIONS } counts;
	uint64_t amount;
} works[WORKS] = {
	[SATURATED] = { "rb_interval/one:mcs", false, ACQUISITIONS, 20000 },
	[ALONE] = { "rb_interval/one:mcs", true, ACCESSES, 20000000 },
	[APART] = { "rb_vma@cpu1/each:mcs", false, OPERATIONS, 2000000 },
};

/* What is measured of them. */
enum measure_kind { SPEED, SECONDS, MEMORY };
static const struct measure {
	const char *name, *what, *unit;
	unsigned work;
	enum measure_kind kind;
	double goal;
	bool at_least;
} measures[] = {
	{ "accesses_saturated", "one tree, one lock, all CPUs", "M accesses/s", SATURATED, SPEED,
	  15, true },
	{ "accesses_alone", "the same on one CPU", "M accesses/s", ALONE, SPEED, 40, true },
	{ "seconds_saturated", "20,000 acquisitions of that lock", "s", SATURATED, SECONDS, 5,
	  false },
	{ "seconds_apart", "2,000,000 operations, a tree and lock a CPU", "s", APART, SECONDS, 10,
	  false },
	{ "memory", "most memory of any of these", "GiB", WORKS, MEMORY, 1, false },
};
enum { MEASURES = sizeof(measures) / sizeof(measures[0]) };

struct cost {
	double host_s;
	uint64_t accesses;
	double memory_gib;
};

struct bench {
	const char *machine_name;
	unsigned repetitions;
	bool json;
	struct clv_settings settings;
	struct clv_schedule *schedule;
	struct clv_point point[WORKS];
	unsigned points;
	struct cost *cost; /* [WORKS * repetitions] */
	char why[240];	   /* of the first job that failed, by number */
	unsigned failed;   /* that number; WORKS * repetitions: none */
};

/* ---- in a process of its own ---- */

struct watch {
	const struct work *work;
	const struct clv_bench *bench;
	struct clv_run *run;
};

static uint64_t accesses(void)
{
	const struct clv_sim_counts *counts = clv_sim_counts();
	return counts->loads + counts->stores + counts->atomics + counts->ranges;
}

static uint64_t done_of(const struct watch *watch)
{
	struct clv_progress progress;
	switch (watch->work->counts) {
	case ACQUISITIONS:
		return clv_account()->acquisitions;
	case ACCESSES:
		return accesses();
	default:
		watch->bench->progress(watch->run, &progress);
		return progress.ops;
	}
}

static uint64_t look(void *arg, uint64_t now_ps)
{
	const struct watch *watch = arg;
	uint32_t *phase = watch->bench->phase(watch->run);
	if (*phase == CLV_PHASE_WARM) {
		clv_account_begin(now_ps);
		__atomic_store_n(phase, CLV_PHASE_MEASURE, __ATOMIC_RELAXED);
	}
	if (done_of(watch) < watch->work->amount)
		return now_ps + TICK_PS;
	clv_account_end(now_ps);
	__atomic_store_n(phase, CLV_PHASE_STOP, __ATOMIC_RELAXED);
	return UINT64_MAX;
}

static int simulate(const struct clv_point *point, const struct watch *watch, struct cost *cost,
		    struct cleave_error *error)
{
	struct clv_run_result result;
	const struct clv_sim_run run = {
		.threads = point->threads,
		.cpu_index = point->cpu_index,
		.body = watch->bench->body,
		.arg = watch->run,
		.tick = look,
		.tick_arg = (void *)watch,
		.tick_ps = TICK_PS,
	};
	uint64_t before = accesses();
	double begin_s = clv_now_s();
	int code = clv_sim_run(&run, error);
	if (code)
		return code;
	cost->host_s = clv_now_s() - begin_s;
	cost->accesses = accesses() - before;
	code = watch->bench->finish(watch->run, &result);
	if (code)
		return code;
	/* A wrong simulation has no speed. */
	if (!result.valid)
		return clv_error(error, -EIO, "%s: %s", point->design, result.why);
	return 0;
}

static int work(void *arg, unsigned job, void **data, size_t *bytes, struct cleave_error *error)
{
	const struct bench *bench = arg;
	unsigned index = job / bench->repetitions;
	const struct clv_point *point = &bench->point[index];
	const struct clv_run_config config = clv_point_config(point, job % bench->repetitions);
	struct clv_machine *machine = bench->settings.machine;
	struct watch watch = { .work = &works[index], .bench = machine->bench };
	struct cost *cost = calloc(1, sizeof(*cost));
	struct rusage usage;
	if (!cost)
		return -ENOMEM;
	int code = machine->begin(machine, config.seed, error);
	if (!code)
		code = machine->bench->open(&watch.run, &config, error);
	if (!code)
		code = simulate(point, &watch, cost, error);
	if (code)
		return code;
	getrusage(RUSAGE_SELF, &usage);
	cost->memory_gib = (double)usage.ru_maxrss / (1 << 20);
	*data = cost;
	*bytes = sizeof(*cost);
	return 0;
}

static void ended(void *arg, unsigned job, int code, const void *data, size_t bytes,
		  const char *why)
{
	struct bench *bench = arg;
	if (!code) {
		memcpy(&bench->cost[job], data, bytes);
	} else if (job < bench->failed) {
		bench->failed = job;
		snprintf(bench->why, sizeof(bench->why), "%s", why);
	}
}

/* ---- what is said ---- */

static double value_of(const struct cost *cost, enum measure_kind kind)
{
	switch (kind) {
	case SPEED:
		return cost->host_s > 0 ? (double)cost->accesses / cost->host_s / 1e6 : 0;
	case SECONDS:
		return cost->host_s;
	default:
		return cost->memory_gib;
	}
}

/* One a repetition; of memory, the most of a repetition's. */
static void samples_of(const struct bench *bench, const struct measure *measure, double *sample)
{
	unsigned first = measure->work == WORKS ? 0 : measure->work;
	unsigned last = measure->work == WORKS ? WORKS - 1 : measure->work;
	for (unsigned i = 0; i < bench->repetitions; i++) {
		sample[i] = 0;
		for (unsigned k = first; k <= last; k++) {
			double value = value_of(&bench->cost[k * bench->repetitions + i],
						measure->kind);
			sample[i] = value > sample[i] ? value : sample[i];
		}
	}
}

static json_t *measure_json(const struct bench *bench, const struct measure *measure,
			    const double *sample, double median)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < bench->repetitions; i++)
		json_array_append_new(array, json_real(sample[i]));
	return json_pack("{s:s, s:s, s:s, s:f, s:o, s:f, s:b, s:b}", "name", measure->name, "what",
			 measure->what, "unit", measure->unit, "median", median, "samples", array,
			 "goal", measure->goal, "at_least", (int)measure->at_least, "met",
			 measure->at_least ? median >= measure->goal : median < measure->goal);
}

static int report(const struct bench *bench)
{
	double sample[REPETITIONS_MAX];
	struct clv_interval interval;
	json_t *list = json_array();
	if (!bench->json)
		printf("%s, %u CPUs; median of %u\n\n%-46s %10s  %-13s %s\n",
		       bench->settings.machine->name, bench->point[0].threads, bench->repetitions,
		       "", "here", "", "goal");
	for (unsigned i = 0; i < MEASURES; i++) {
		const struct measure *measure = &measures[i];
		samples_of(bench, measure, sample);
		if (clv_stats_median(sample, bench->repetitions, &interval)) {
			json_decref(list);
			clv_cli_error("out of memory: for statistics");
			return CLV_EXIT_FAILED;
		}
		if (!bench->json)
			printf("%-46s %10.3g  %-13s %s %g\n", measure->what, interval.median,
			       measure->unit, measure->at_least ? "at least" : "below",
			       measure->goal);
		json_array_append_new(list, measure_json(bench, measure, sample, interval.median));
	}
	json_t *root = json_pack("{s:s, s:i, s:s, s:i, s:o}", "format", "cleave-bench-machine",
				 "format_version", 1, "machine", bench->settings.machine->name,
				 "cpus", (int)bench->point[0].threads, "measures", list);
	char *text = root ? json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
	json_decref(root);
	if (!text) {
		clv_cli_error("out of memory: for the results");
		return CLV_EXIT_FAILED;
	}
	if (bench->json)
		puts(text);
	free(text);
	return clv_cli_finish(CLV_EXIT_OK);
}

/* ---- the command ---- */

static int prepare(struct bench *bench)
{
	struct clv_settings *settings = &bench->settings;
	struct cleave_error error = { "" };
	int code = clv_machine_open(&settings->machine, bench->machine_name, &error);
	if (code)
		return clv_cli_report(code, &error);
	if (!settings->machine->simulated) {
		clv_cli_error("--machine %s: is not simulated", bench->machine_name);
		return CLV_EXIT_USAGE;
	}
	code = clv_schedule_recorded(&bench->schedule, &error);
	settings->schedule = bench->schedule;
	for (unsigned i = 0; !code && i < WORKS; i++) {
		unsigned threads = works[i].one_cpu ? 1 : settings->machine->topology->cpus;
		const struct clv_point_spec spec = { "", works[i].design, threads, 0 };
		bench->points++;
		code = clv_point_init(&bench->point[i], settings, &spec, &error);
	}
	return code ? clv_cli_report(code, &error) : -1;
}

static int measure_all(struct bench *bench)
{
	struct cleave_error error = { "" };
	const struct clv_pool pool = {
		.jobs = WORKS * bench->repetitions,
		.processes = 1,
		.work = work,
		.ended = ended,
		.arg = bench,
	};
	bench->failed = pool.jobs;
	bench->cost = calloc(pool.jobs, sizeof(*bench->cost));
	if (!bench->cost) {
		clv_cli_error("out of memory: for %u runs", pool.jobs);
		return CLV_EXIT_FAILED;
	}
	int code = clv_pool_run(&pool, &error);
	if (code || bench->failed < pool.jobs) {
		clv_cli_error("%s", code ? error.text : bench->why);
		return CLV_EXIT_FAILED;
	}
	return report(bench);
}

enum { KEY_MACHINE = 256, KEY_REPETITIONS, KEY_JSON };

static const struct argp_option option[] = {
	{ "machine", KEY_MACHINE, "NAME", 0, "see cleave list machines, or a machine file, .json "
					     "(hygon-12n384)", 0 },
	{ "repetitions", KEY_REPETITIONS, "R", 0, "of each; the median is shown (3)", 0 },
	{ "json", KEY_JSON, NULL, 0, "as JSON", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct bench *bench = state->input;
	switch (key) {
	case KEY_MACHINE:
		bench->machine_name = arg;
		return 0;
	case KEY_REPETITIONS:
		return clv_cli_unsigned("--repetitions", arg, 1, REPETITIONS_MAX,
					&bench->repetitions);
	case KEY_JSON:
		bench->json = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int clv_cmd_bench_machine(int argc, char **argv)
{
	static const struct argp argp = {
		option, parse, NULL,
		"Measure how fast this computer simulates another, and print the goals beside it.\v"
		"Exit status: 0 it was measured, whatever came of it; 1 it could not be; 2 wrong "
		"usage.", NULL, NULL, NULL,
	};
	struct bench bench = {
		.machine_name = "hygon-12n384",
		.repetitions = 3,
		.settings = {
			.workload = "exec", .placement = "cores-first", .seed = 1,
			.repetitions = 1, .population = 6000,
			.simulated = { .run_ahead_ps = CLV_RUN_AHEAD_PS },
		},
	};
	int status = clv_cli_parse(&argp, "cleave bench-machine", argc, argv, &bench);
	if (status < 0)
		status = prepare(&bench);
	if (status < 0)
		status = measure_all(&bench);
	for (unsigned i = 0; i < bench.points; i++)
		clv_point_fini(&bench.point[i]);
	free(bench.cost);
	clv_schedule_free(bench.schedule);
	if (bench.settings.machine)
		bench.settings.machine->close(bench.settings.machine);
	return status;
}
