// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The table of checks, and what runs them and the scenarios on one design. */
#include "suite.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "lib/locks/lock.h"
#include "lib/schemes/scheme.h"

const struct check suite_checks[] = {
	{ "names", 0, false, check_names },
	{ "reopen", 0, false, check_reopen },
	{ "ranges", 0, false, check_ranges },
	{ "times", 0, false, check_times },
	{ "single_errors", 0, false, check_single_errors },
	{ "batch_errors", 0, false, check_batch_errors },
	{ "other_map", 0, false, check_other_map },
	{ "abandon", 0, false, check_abandon },
	{ "chain", 0, false, check_chain },
	{ "wide_batch", 0, false, check_wide_batch },
	{ "largest_batch", 0, false, check_largest_batch },
	{ "subsets", CLEAVE_C7_SUBSET_STORED, false, check_subsets },
	{ "early_stop", 0, false, check_early_stop },
	{ "walk_errors", 0, false, check_walk_errors },
	{ "hold", CLEAVE_C6_LONG_HOLDS, false, check_hold },
	{ "no_hold", 0, false, check_no_hold },
	{ "try", 0, true, check_try },
	{ "children", CLEAVE_C1_PARENT_BEFORE_CHILD, false, check_children },
	{ "copies", CLEAVE_C2_SOURCE_BEFORE_COPY, false, check_copies },
	{ "ties", 0, false, check_ties },
	{ "oracle", CLEAVE_C5_COMPLETE_AND_SINGLE, false, check_oracle },
	{ "memory", 0, false, check_memory },
	{ "changes", 0, false, check_changes },
	{ NULL, 0, false, NULL },
};

/* ---- environment ---- */

bool suite_open(struct suite *suite)
{
	static const int cpus[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	struct cleave_error error = { "" };

	suite->topology = "pack:2 numa:2 l3:2 core:2 pu:1";
	suite->cpu = cpus;
	suite->cpus = 16;
	struct cleave_env_options options = { .topology = suite->topology };
	int code = cleave_env_open(&suite->env, &options, &error);

	if (code)
		fprintf(stderr, "cleave: %s: cannot be opened: %s\n", suite->topology, error.text);
	return !code;
}

void suite_close(struct suite *suite)
{
	cleave_env_close(suite->env);
}

unsigned suite_scale(void)
{
	const char *value = getenv("CLEAVE_LONG");

	return value && strcmp(value, "0") ? 100 : 1;
}

int suite_try_open(const struct suite *suite, const char *design, struct cleave_error *error)
{
	struct cleave_map *map;
	int code = cleave_open(&map, suite->env, design, error);

	if (!code)
		cleave_close(map);
	return code;
}

/* ---- scenarios on threads ---- */

struct body {
	pthread_t pthread;
	struct clv_observe *run;
	unsigned i;
	struct cleave_thread *thread;
};

static void *run_body(void *arg)
{
	struct body *body = arg;

	clv_observe_body(body->run, body->i, body->thread);
	cleave_thread_end(body->thread);
	return NULL;
}

/*
 * All or none start: a body that misses others at a meeting would wait for good. Thread handles are
 * ended by their threads.
 */
static bool run_bodies(const struct suite *suite, struct clv_observe *run)
{
	struct body bodies[CLV_OBSERVE_THREADS_MAX];
	unsigned threads = clv_observe_threads(run);

	for (unsigned i = 0; i < threads; i++) {
		bodies[i].run = run;
		bodies[i].i = i;
		if (cleave_thread_begin(&bodies[i].thread, suite->env,
					suite->cpu[i * 5 % suite->cpus]))
			return false;
	}
	for (unsigned i = 0; i < threads; i++) {
		if (pthread_create(&bodies[i].pthread, NULL, run_body, &bodies[i])) {
			fprintf(stderr, "cleave: threads: cannot be created\n");
			abort();
		}
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(bodies[i].pthread, NULL);
	return true;
}

static bool run_scenario(const struct suite *suite, const char *design,
			 const struct clv_scenario *scenario, struct cleave_map *map,
			 struct cleave_thread *thread, struct outcome *outcome)
{
	struct clv_observe_config config = {
		.map = map,
		.seed = suite->seed,
		.rounds = suite->rounds,
		.threads = suite->threads,
		.cpu = suite->cpu,
		.cpus = suite->cpus,
		.progress = suite->progress,
	};
	struct cleave_error error = { "" };
	struct clv_observe *run;
	int code = clv_observe_open(&run, scenario, &config, thread);

	if (code) {
		snprintf(outcome->why, sizeof(outcome->why), "%s: %s: setup returned %d", design,
			 scenario->name, code);
		cleave_close(map);
		return false;
	}
	outcome->passed = run_bodies(suite, run) && clv_observe_check(run, thread, &error);
	if (!outcome->passed)
		snprintf(outcome->why, sizeof(outcome->why), "%s: %s", design,
			 error.text[0] ? error.text : "threads cannot begin");
	cleave_close(map);
	clv_observe_close(run);
	return outcome->passed;
}

bool suite_scenario(const struct suite *suite, const char *design,
		    const struct clv_scenario *scenario, struct outcome *outcome)
{
	struct cleave_error error = { "" };
	struct cleave_thread *thread;
	struct cleave_map *map;

	*outcome = (struct outcome) { .check = scenario->name };
	if (cleave_thread_begin(&thread, suite->env, suite->cpu[0]) ||
	    cleave_open(&map, suite->env, design, &error)) {
		snprintf(outcome->why, sizeof(outcome->why), "%s: cannot be opened: %s", design,
			 error.text);
		return false;
	}
	bool passed = run_scenario(suite, design, scenario, map, thread, outcome);

	cleave_thread_end(thread);
	return passed;
}

/* ---- a whole suite ---- */

static void run_check(const struct suite *suite, const char *design, const struct check *check,
		      struct outcome *outcome)
{
	struct rig rig;

	*outcome = (struct outcome) { .check = check->name };
	if (rig_open(&rig, suite, design)) {
		outcome->passed = ((rig.keeps & check->needs) != check->needs) ||
				  (check->locks && rig.one_thread) || check->run(&rig);
		rig_close(&rig);
	}
	if (!outcome->passed)
		snprintf(outcome->why, sizeof(outcome->why), "%s: %s: seed %llu: %s", design,
			 check->name, (unsigned long long)suite->seed, rig.why);
	if (suite->progress)
		__atomic_add_fetch(suite->progress, 1, __ATOMIC_RELAXED);
}

static bool applies(const struct suite *suite, const char *design,
		    const struct clv_scenario *scenario)
{
	struct rig rig;
	bool answer;

	if (!rig_open(&rig, suite, design))
		return false;
	answer = clv_scenario_applies(scenario, rig.map) &&
		 suite->threads >= scenario->threads_min && !rig.one_thread;
	rig_close(&rig);
	return answer;
}

unsigned suite_run(const struct suite *suite, const char *design, const char *only, unsigned *ran,
		   suite_report_fn *report, void *arg)
{
	const struct clv_scenario *scenario;
	struct outcome outcome;
	unsigned failed = 0;

	*ran = 0;
	for (unsigned i = 0; suite_checks[i].name; i++) {
		if (only && strcmp(only, suite_checks[i].name))
			continue;
		run_check(suite, design, &suite_checks[i], &outcome);
		failed += !outcome.passed;
		++*ran;
		if (!report(&outcome, arg))
			return failed;
	}
	for (unsigned i = 0; (scenario = clv_scenario_at(i)); i++) {
		if ((only && strcmp(only, scenario->name)) || !applies(suite, design, scenario))
			continue;
		failed += !suite_scenario(suite, design, scenario, &outcome);
		++*ran;
		if (!report(&outcome, arg))
			return failed;
	}
	return failed;
}
