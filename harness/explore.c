// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Cases for explored schedules: an observer's scenario with few steps and short waits, since what
 * the other threads do meanwhile is up to the schedule and not to time.
 */
#include "explore.h"

#include <errno.h>
#include <string.h>

#include "../lib/error.h"
#include "../lib/map.h"
#include "../lib/shim/shim.h"
#include "observe/observe.h"

enum {
	ROUNDS = 1,
	STEPS = 6, /* of what a scenario repeats within a round */
	TURNS = 4, /* of a bounded wait */
};

struct clv_explore_lab {
	struct cleave_env *env;
};

struct clv_explore_case {
	struct clv_explore_lab *lab;
	struct cleave_map *map;
	struct cleave_thread *thread; /* of who opens and checks */
	struct clv_observe *run;
};

static const int cpus[CLV_EXPLORE_CPUS] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static int open_lab(struct clv_explore_lab **lab, const char *topology, struct cleave_error *error)
{
	const struct cleave_env_options options = { .topology = topology };
	struct clv_explore_lab *made = clv_alloc(sizeof(*made), CLV_CACHE_LINE, -1);
	if (!made)
		return clv_error(error, -ENOMEM, "explore: out of memory");
	int code = cleave_env_open(&made->env, &options, error);
	if (code)
		clv_free(made, sizeof(*made));
	else
		*lab = made;
	return code;
}

static void close_lab(struct clv_explore_lab *lab)
{
	cleave_env_close(lab->env);
	clv_free(lab, sizeof(*lab));
}

static const char *scenario_at(unsigned i)
{
	const struct clv_scenario *scenario = clv_scenario_at(i);
	return scenario ? scenario->name : NULL;
}

/* ---- what can be run ---- */

static int check_locks(const struct cleave_map *map, struct cleave_error *error)
{
	unsigned flags = clv_design_waiting(&map->design);
	if (flags & CLV_LOCK_HOST_ONLY)
		return clv_error(error, -ENOTSUP,
				 "a pthread lock's waiting cannot be scheduled: %s",
				 cleave_design(map));
	if (flags & CLV_LOCK_ONE_THREAD)
		return clv_error(error, -ENOTSUP,
				 "lock none is for one thread, which has one schedule: %s",
				 cleave_design(map));
	return 0;
}

static int check_scenario(const struct cleave_map *map, const struct clv_explore_config *config,
			  struct cleave_error *error)
{
	const struct clv_scenario *scenario = clv_scenario_find(config->scenario);
	if (!scenario)
		return clv_error(error, -ENOENT, "unknown scenario: '%.80s'", config->scenario);
	if (config->threads < scenario->threads_min)
		return clv_error(error, -ENOTSUP, "scenario %s needs %u threads", scenario->name,
				 scenario->threads_min);
	if (!clv_scenario_applies(scenario, map))
		return clv_error(error, -ENOTSUP,
				 "scenario %s asks for guarantees or subsets that it does not have: "
				 "%s", scenario->name, cleave_design(map));
	return 0;
}

static int look(struct clv_explore_lab *lab, const struct clv_explore_config *config,
		char canonical[CLV_DESIGN_BYTES], struct cleave_error *error)
{
	struct cleave_map *map;
	int code = cleave_open(&map, lab->env, config->design, error);
	if (code)
		return code;
	strncpy(canonical, cleave_design(map), CLV_DESIGN_BYTES - 1);
	canonical[CLV_DESIGN_BYTES - 1] = '\0';
	code = check_locks(map, error);
	if (!code && config->scenario)
		code = check_scenario(map, config, error);
	cleave_close(map);
	return code;
}

/* ---- a case ---- */

static void end(struct clv_explore_case *at)
{
	if (at->map)
		cleave_close(at->map);
	if (at->thread)
		cleave_thread_end(at->thread);
	if (at->run)
		clv_observe_close(at->run);
	clv_free(at, sizeof(*at));
}

static int begin(struct clv_explore_lab *lab, const struct clv_explore_config *config,
		 struct clv_explore_case **made, struct cleave_error *error)
{
	struct clv_explore_case *at = clv_alloc(sizeof(*at), CLV_CACHE_LINE, -1);
	if (!at)
		return clv_error(error, -ENOMEM, "explore: out of memory");
	at->lab = lab;
	int code = cleave_thread_begin(&at->thread, lab->env, cpus[0]);
	if (!code) {
		cleave_thread_seed(at->thread, config->seed);
		code = cleave_open(&at->map, lab->env, config->design, error);
	}
	if (code) {
		at->map = NULL;
		end(at);
		return code;
	}
	const struct clv_observe_config observe = {
		.map = at->map,
		.seed = config->seed,
		.rounds = ROUNDS,
		.threads = config->threads,
		.cpu = cpus,
		.cpus = CLV_EXPLORE_CPUS,
		.turns = TURNS,
		.steps_max = STEPS,
	};
	code = clv_observe_open(&at->run, clv_scenario_find(config->scenario), &observe, at->thread);
	if (code) {
		at->run = NULL;
		end(at);
		return clv_error(error, code, "%s: cannot be set up: %s", config->scenario,
				 strerror(-code));
	}
	*made = at;
	return 0;
}

static unsigned threads(const struct clv_explore_case *at)
{
	return clv_observe_threads(at->run);
}

/* Threads come and go within the schedule, too. Every other one is measured: that has ways of its own. */
static void body(void *arg, unsigned i)
{
	struct clv_explore_case *at = arg;
	struct cleave_times times = { 0 };
	struct cleave_thread *thread;
	/* If it fails the others wait for this one, and that is reported. */
	if (cleave_thread_begin(&thread, at->lab->env, cpus[i * CLV_EXPLORE_CPUS / threads(at)]))
		return;
	cleave_thread_time(thread, i % 2 ? &times : NULL);
	clv_observe_body(at->run, i, thread);
	cleave_thread_end(thread);
}

static bool check(struct clv_explore_case *at, struct cleave_error *error)
{
	return clv_observe_check(at->run, at->thread, error);
}

const struct clv_explore clv_explore_native = {
	.open = open_lab,
	.close = close_lab,
	.scenario_at = scenario_at,
	.look = look,
	.begin = begin,
	.threads = threads,
	.body = body,
	.check = check,
	.end = end,
};
