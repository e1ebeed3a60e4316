// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * usage: test_explore [NAME...]
 *
 * Proof that explored schedules find what depends on the schedule: every seeded bug of
 * tests/broken that an observer's scenario shows, and those of tests/explore; each failure replayed
 * by its seed alone. Then the same copies without their change, which have to pass every schedule.
 * Prints how many schedules each bug took.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/explore_run.h"
#include "seeded.h"
#include "tests/broken/bugs.h"
#include "tests/wanted.h"

static const struct bug table[] = {
#include "../broken/registry.def"
#include "registry.def"
	{ "hasty", NULL /* among `others` */, "%s/one:rwsem", "poison", WRONG },
};

static const char *const others[] = { "list_unlocked/one:rwsem", "list_unlocked@cpu2/each:mcs",
				      "list_unlocked@cpu2/each.handover:mutex" };

enum {
	BUGS = sizeof(table) / sizeof(table[0]),
	FIND_WITHIN = 50000, /* schedules */
	INTACT = 200,	     /* of each scenario */
	INTACT_LONG = 10000,
	THREADS = 3,
	THREADS_BY_NODE = 6, /* two of some nodes, whose CPUs are four */
	THREADS_IN_GROUPS = 6, /* some in a group, some who wait for it, and one that walks */
};

/* What treats threads of a node as its own shows something only where several of them wait. */
static unsigned threads_for(const struct bug *bug)
{
	static const char *const by_node[] = { "cna", "combine", "rwsem_numa" };

	for (unsigned i = 0; bug->original && i < sizeof(by_node) / sizeof(by_node[0]); i++) {
		if (!strcmp(bug->original, by_node[i]))
			return THREADS_BY_NODE;
	}
	return bug->original && !strncmp(bug->original, "group", 5) ? THREADS_IN_GROUPS : THREADS;
}

/* tests/broken has a lock that sleeps where others go on; schedules do that to any lock. */
static void make_design(char *out, size_t bytes, const struct bug *broken, const char *prefix,
			const char *name)
{
	char copy[80], format[128];
	snprintf(copy, sizeof(copy), "%s%s", prefix, name);
	snprintf(format, sizeof(format), "%s", broken->design);
	char *lock = strstr(format, ":dawdle");
	if (lock)
		memcpy(lock, ":rwsem", sizeof(":rwsem"));
	char *at = strstr(format, "%s");
	if (at)
		snprintf(out, bytes, "%.*s%s%s", (int)(at - format), format, copy, at + 2);
}

static bool is_scenario(const char *name)
{
	const char *at;
	for (unsigned i = 0; (at = clv_explore_simulated.scenario_at(i)); i++) {
		if (!strcmp(at, name))
			return true;
	}
	return false;
}

static bool run(const struct clv_explore_plan *plan, struct clv_explore_result *result)
{
	struct cleave_error error;
	if (!clv_explore_run(plan, result, &error))
		return true;
	fprintf(stderr, "cleave: %s\n", error.text);
	return false;
}

/* Returns: does the seed alone fail in the same way, after the same number of accesses? */
static bool replays(const struct clv_explore_plan *plan, const struct clv_explore_result *found)
{
	struct clv_explore_plan again = *plan;
	struct clv_explore_result result;
	again.policy = found->policy;
	again.seed = found->seed;
	again.schedules = 1;
	if (!run(&again, &result))
		return false;
	if (result.failed && result.failed_steps == found->failed_steps &&
	    !strcmp(result.why, found->why) && !strcmp(result.waiting, found->waiting))
		return true;
	printf("NOT REPLAYED  %s: seed %llu: %s\n", plan->config.design,
	       (unsigned long long)found->seed, result.failed ? result.why : "it passes");
	return false;
}

/* Returns: is the lowest failure found by any number of processes? */
static bool agrees(const struct clv_explore_plan *plan, const struct clv_explore_result *found)
{
	static const unsigned processes[] = { 1, 3, 8 };
	struct clv_explore_result result;
	for (unsigned i = 0; i < sizeof(processes) / sizeof(processes[0]); i++) {
		struct clv_explore_plan again = *plan;
		again.processes = processes[i];
		if (!run(&again, &result))
			return false;
		if (result.failed && result.seed == found->seed &&
		    result.schedules == found->schedules && !strcmp(result.why, found->why))
			continue;
		printf("NOT THE SAME  %s: %u processes: seed %llu: %s\n", plan->config.design,
		       processes[i], (unsigned long long)result.seed, result.why);
		return false;
	}
	return true;
}

static bool find(const struct bug *broken)
{
	char design[128], canonical[CLV_DESIGN_BYTES];
	struct cleave_error error;
	struct clv_explore_result result;
	struct clv_explore_plan plan = {
		.config = { design, broken->check, 0, threads_for(broken) },
		.policy = CLV_EXPLORE_BOTH,
		.seed = 1,
		.schedules = FIND_WITHIN,
	};

	make_design(design, sizeof(design), broken, "broken_", broken->name);
	if (clv_explore_look(&plan.config, canonical, &error)) {
		printf("NOT RUN  %s: %s\n", design, error.text);
		return false;
	}
	if (!run(&plan, &result))
		return false;
	if (!result.failed) {
		printf("NOT FOUND  %s: %s: %llu schedules\n", design, broken->check,
		       (unsigned long long)result.schedules);
		return false;
	}
	printf("%-26s %6llu  %-6s %9llu  %s\n", broken->name,
	       (unsigned long long)result.schedules, clv_explore_policy_name(result.policy),
	       (unsigned long long)result.failed_steps, result.why);
	/* Beyond the first batch, or there is nothing to agree about. */
	return replays(&plan, &result) &&
	       (result.schedules < 1000 || agrees(&plan, &result));
}

/* Returns: 0; 1 if a schedule of the design fails. */
static unsigned pass(const char *design, unsigned threads, uint64_t schedules)
{
	char canonical[CLV_DESIGN_BYTES];
	const char *scenario;
	struct cleave_error error;
	struct clv_explore_result result;
	unsigned scenarios = 0;

	for (unsigned i = 0; (scenario = clv_explore_simulated.scenario_at(i)); i++) {
		const struct clv_explore_plan plan = {
			.config = { design, scenario, 0, threads },
			.policy = CLV_EXPLORE_BOTH,
			.seed = 1,
			.schedules = schedules,
		};
		if (clv_explore_look(&plan.config, canonical, &error))
			continue;
		if (!run(&plan, &result))
			return 1;
		if (result.failed) {
			printf("FAILS INTACT  %s: %s: %s: seed %llu: %s\n%s", design, scenario,
			       clv_explore_policy_name(result.policy),
			       (unsigned long long)result.seed, result.why, result.waiting);
			return 1;
		}
		scenarios++;
	}
	printf("passes  %s: %u scenarios, %llu schedules each\n", design, scenarios,
	       (unsigned long long)schedules);
	return !scenarios;
}

int main(int argc, char **argv)
{
	const char *is_long = getenv("CLEAVE_LONG");
	uint64_t schedules = is_long && strcmp(is_long, "0") ? INTACT_LONG : INTACT;
	struct cleave_error error = { "the seeded copies cannot be registered" };
	unsigned bugs = 0, found = 0, fail = 0;

	/* Before it is opened: the registries are part of what every schedule begins with. */
	if (seeded_add(&error) || clv_explore_open(&clv_explore_simulated, &error)) {
		fprintf(stderr, "cleave: %s\n", error.text);
		return 1;
	}
	printf("%-26s %6s  %-6s %9s\n", "bug", "found", "policy", "accesses");
	for (unsigned i = 0; i < BUGS; i++) {
		if (!is_scenario(table[i].check) || !is_wanted(table[i].name, argc, argv))
			continue;
		bugs++;
		found += find(&table[i]);
	}
	for (unsigned i = 0; i < BUGS; i++) {
		char design[128];
		if (!table[i].original || !is_first_of_original(table, i) ||
		    !is_wanted(table[i].name, argc, argv))
			continue;
		make_design(design, sizeof(design), &table[i], "intact_", table[i].original);
		fail += pass(design, threads_for(&table[i]), schedules);
	}
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (is_wanted("hasty", argc, argv))
			fail += pass(others[i], THREADS, schedules);
	}
	clv_explore_close();
	printf("%u of %u seeded bugs found and replayed; %u intact copies fail\n", found, bugs,
	       fail);
	return !bugs || found < bugs || fail;
}
