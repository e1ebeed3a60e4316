// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * usage: stress_maps [--seconds N] [--rounds N] [--seed S] [DESIGN...]
 *
 * The observers' scenarios on threads, over every structure, and a list whose walks take no lock,
 * under every scheme, with every lock, and the designs that have names. Plain threads and nothing else, so that it runs under
 * the thread sanitizer. One line a design: how many scenarios, how often. Exit: 0 all held; 1 one
 * did not; 2 wrong usage.
 *
 * --rounds: of each scenario (default 3). --seconds: go on, with the next seed, until that long has
 * passed. Four threads; as many as there are CPUs, if less, where waiters spin.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/design.h"
#include "lib/schemes/scheme.h"
#include "tests/model/designs.h"
#include "tests/model/list_unlocked.h"
#include "tests/model/suite.h"

enum { THREADS = 4 };

struct stress {
	struct suite suite;
	unsigned failed, designs, runs;
};

static bool parse_number(const char *text, uint64_t *number)
{
	char *rest;

	errno = 0;
	*number = strtoull(text, &rest, 10);
	return text[0] >= '0' && text[0] <= '9' && !*rest && !errno;
}

static int say_usage(const char *what)
{
	if (what)
		fprintf(stderr, "cleave: stress_maps: %s\n", what);
	fprintf(stderr, "usage: stress_maps [--seconds N] [--rounds N] [--seed S] [DESIGN...]\n");
	return 2;
}

/* Does this design keep what the scenario needs? */
static bool applies(const struct stress *stress, const char *design,
		    const struct clv_scenario *scenario)
{
	struct cleave_map *map;
	bool answer;

	if (cleave_open(&map, stress->suite.env, design, NULL))
		return false;
	answer = clv_scenario_applies(scenario, map);
	cleave_close(map);
	return answer;
}

static void run_design(const char *design, void *arg)
{
	struct stress *stress = arg;
	const struct clv_scenario *scenario;
	struct cleave_error error = { "" };
	unsigned ran = 0, failed = 0;
	int code = suite_try_open(&stress->suite, design, &error);

	if (code == -ENOTSUP)
		return;
	if (code) {
		printf("FAILED %s: %s\n", design, error.text);
		stress->failed++;
		return;
	}
	stress->suite.threads = designs_threads(design, THREADS);
	for (unsigned i = 0; (scenario = clv_scenario_at(i)); i++) {
		struct outcome outcome;

		if (stress->suite.threads < scenario->threads_min ||
		    !applies(stress, design, scenario))
			continue;
		ran++;
		if (suite_scenario(&stress->suite, design, scenario, &outcome))
			continue;
		failed++;
		printf("FAILED %s\n", outcome.why);
	}
	printf("%s %s: %u threads, %u scenarios, %u rounds, seed %llu\n", failed ? "FAILED" : "ok",
	       design, stress->suite.threads, ran, stress->suite.rounds,
	       (unsigned long long)stress->suite.seed);
	fflush(stdout);
	stress->designs++;
	stress->runs += ran;
	stress->failed += failed;
}

static void run_locked(const char *design, void *arg)
{
	struct clv_design parsed;

	if (clv_design_parse(&parsed, design, NULL) ||
	    !(clv_design_waiting(&parsed) & CLV_LOCK_ONE_THREAD))
		run_design(design, arg);
}

/*
 * Every structure under every scheme by the default lock, and under one that changes all the time;
 * one of them under every lock; the named.
 */
static void run_all(struct stress *stress)
{
	static const char *const partitions[] = { "", "@cpu4", "@hash4" };
	const struct cleave_structure *structure;
	const struct clv_scheme *scheme;
	char design[128];

	for (unsigned i = 0; (structure = cleave_structure_at(i)); i++) {
		for (unsigned k = 0; (scheme = clv_scheme_at(k)); k++) {
			for (unsigned p = 0; p < 3; p++) {
				snprintf(design, sizeof(design), "%s%s/%s", structure->name,
					 partitions[p], scheme->name);
				run_design(design, stress);
			}
		}
		snprintf(design, sizeof(design), "%s@cpu4/promote.2.0.0", structure->name);
		run_design(design, stress);
	}
	designs_locked(run_locked, stress);
	designs_named(run_design, stress);
}

int main(int argc, char **argv)
{
	uint64_t seconds = 0, rounds = 3, seed = 1;
	struct stress stress = { 0 };
	time_t limit;
	int first = 1;

	for (; first < argc && argv[first][0] == '-'; first += 2) {
		uint64_t *option = !strcmp(argv[first], "--seconds")  ? &seconds
				   : !strcmp(argv[first], "--rounds") ? &rounds
				   : !strcmp(argv[first], "--seed")   ? &seed
								      : NULL;

		if (!option)
			return say_usage("unknown option");
		if (first + 1 == argc || !parse_number(argv[first + 1], option))
			return say_usage("an option wants a number");
	}
	if (!rounds || rounds > 1000000000)
		return say_usage("--rounds: from 1 to 1000000000");
	if (cleave_register(&list_unlocked, NULL) || !suite_open(&stress.suite))
		return 1;
	stress.suite.rounds = (unsigned)rounds * suite_scale();
	limit = time(NULL) + (time_t)seconds;
	do {
		stress.suite.seed = seed++;
		for (int i = first; i < argc; i++)
			run_design(argv[i], &stress);
		if (first == argc)
			run_all(&stress);
	} while (time(NULL) < limit && !stress.failed);
	suite_close(&stress.suite);
	printf("%u designs, %u runs of scenarios, %u failed\n", stress.designs, stress.runs,
	       stress.failed);
	return stress.failed || !stress.runs;
}
