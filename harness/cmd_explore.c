// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* cleave explore: small cases of a design under explored schedules. See docs/explore.md. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "../lib/error.h"
#include "cli.h"
#include "commands.h"
#include "designs.h"
#include "explore_run.h"

#define SCHEDULES 1000
#define SEED_MAX (UINT64_MAX / 2) /* so that no schedule's seed is beyond 64 bits */

enum { SCENARIOS_MAX = 64 };

struct options {
	const char *design;
	const char *scenarios; /* NULL: all that apply */
	struct clv_explore_plan plan;
	const char *many; /* an option of more schedules than one */
	bool replay, json;
};

enum { KEY_SCENARIO = 0x100, KEY_SCHEDULES, KEY_SEED, KEY_POLICY, KEY_REPLAY, KEY_THREADS,
       KEY_JSON };

static const struct argp_option option_table[] = {
	{ "scenario", KEY_SCENARIO, "S[,S...]", 0, "Observers to run; default: all that apply", 0 },
	{ "schedules", KEY_SCHEDULES, "N", 0, "Of each scenario; default: 1000", 0 },
	{ "seed", KEY_SEED, "S", 0, "Schedule k has the seed S + k; default: 1", 0 },
	{ "policy", KEY_POLICY, "random|pct|both", 0,
	  "How schedules are drawn; both, the default: random of even seeds, pct of odd ones", 0 },
	{ "replay", KEY_REPLAY, "SEED", 0, "Run the one schedule that has this seed", 0 },
	{ "threads", KEY_THREADS, "T", 0, "Threads of a scenario, 2 to 8; default: 3", 0 },
	{ "json", KEY_JSON, NULL, 0, "Print an array of objects", 0 },
	{ 0 },
};

static error_t parse_policy(const char *text, enum clv_explore_policy *policy)
{
	const char *name;
	for (unsigned i = 0; (name = clv_explore_policy_name(i)); i++) {
		if (!strcmp(name, text)) {
			*policy = (enum clv_explore_policy)i;
			return 0;
		}
	}
	clv_cli_error("not random, pct or both: --policy %.80s", text);
	return CLV_CLI_REPORTED;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	struct clv_explore_plan *plan = &options->plan;
	switch (key) {
	case KEY_SCENARIO:
		options->scenarios = arg;
		return 0;
	case KEY_SCHEDULES:
		options->many = "--schedules";
		return clv_cli_u64("--schedules", arg, 1, UINT64_C(1) << 40, &plan->schedules);
	case KEY_SEED:
		options->many = "--seed";
		return clv_cli_u64("--seed", arg, 0, SEED_MAX, &plan->seed);
	case KEY_POLICY:
		return parse_policy(arg, &plan->policy);
	case KEY_REPLAY:
		options->replay = true;
		return clv_cli_u64("--replay", arg, 0, UINT64_MAX, &plan->seed);
	case KEY_THREADS:
		return clv_cli_unsigned("--threads", arg, 2, CLV_EXPLORE_THREADS_MAX,
					&plan->config.threads);
	case KEY_JSON:
		options->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (options->design)
			return ARGP_ERR_UNKNOWN;
		options->design = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		clv_cli_error("no design: cleave explore");
		return CLV_CLI_REPORTED;
	case ARGP_KEY_END:
		if (!options->replay || !options->many)
			return 0;
		clv_cli_error("does not go with --replay: %s", options->many);
		return CLV_CLI_REPORTED;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- scenarios ---- */

struct chosen {
	const char *name[SCENARIOS_MAX];
	unsigned count;
};

static const char *find(const char *name, size_t length)
{
	const char *at;
	for (unsigned i = 0; (at = clv_explore_simulated.scenario_at(i)); i++) {
		if (strlen(at) == length && !strncmp(at, name, length))
			return at;
	}
	return NULL;
}

static bool has(const struct chosen *chosen, const char *name)
{
	unsigned i = 0;
	while (i < chosen->count && chosen->name[i] != name)
		i++;
	return i < chosen->count;
}

static const char *after_comma(const char *at)
{
	const char *comma = strchr(at, ',');
	return comma ? comma + 1 : NULL;
}

/* Those named have to apply; of all, those that do not are left out. */
static int choose(struct options *options, char *canonical, struct chosen *chosen,
		  struct cleave_error *error)
{
	struct clv_explore_config *config = &options->plan.config;
	config->design = options->design;
	int code = clv_explore_look(config, canonical, error);
	if (code)
		return code;
	const char *name;
	for (unsigned i = 0; !options->scenarios && i < SCENARIOS_MAX &&
			     (name = clv_explore_simulated.scenario_at(i)); i++) {
		struct cleave_error why;
		config->scenario = name;
		code = clv_explore_look(config, canonical, &why);
		if (!code)
			chosen->name[chosen->count++] = name;
		else if (code != -ENOTSUP)
			return clv_error(error, code, "%s", why.text);
	}
	for (const char *at = options->scenarios; at; at = after_comma(at)) {
		size_t length = strcspn(at, ",");
		config->scenario = find(at, length);
		if (!config->scenario || chosen->count == SCENARIOS_MAX)
			return clv_error(error, -EINVAL, "unknown scenario: '%.*s'",
					 length > 80 ? 80 : (int)length, at);
		if (has(chosen, config->scenario))
			return clv_error(error, -EINVAL, "scenario named twice: %s",
					 config->scenario);
		code = clv_explore_look(config, canonical, error);
		if (code)
			return code;
		chosen->name[chosen->count++] = config->scenario;
	}
	if (!chosen->count)
		return clv_error(error, -ENOTSUP, "no scenario applies: %s", canonical);
	return 0;
}

/* ---- printing ---- */

static void print_result(const struct options *options, const char *scenario,
			 const struct clv_explore_result *result)
{
	char accesses[80] = "";
	if (!result->failed)
		snprintf(accesses, sizeof(accesses), "  %llu accesses each, %llu at most",
			 (unsigned long long)(result->steps / result->schedules),
			 (unsigned long long)result->longest);
	printf("%-14s %-6s %8llu schedules, %u failed  %7.0f/s%s\n", scenario,
	       clv_explore_policy_name(options->plan.policy),
	       (unsigned long long)result->schedules, result->failed,
	       result->seconds > 0 ? (double)result->schedules / result->seconds : 0, accesses);
	fflush(stdout);
}

static void print_failure(const struct options *options, const char *canonical,
			  const char *scenario, const struct clv_explore_result *result)
{
	/* The observer's reasons begin with its name. */
	const char *why = result->why;
	size_t length = strlen(scenario);
	if (!strncmp(why, scenario, length) && !strncmp(why + length, ": ", 2))
		why += length + 2;
	char threads[24] = "";
	if (options->plan.config.threads != 3)
		snprintf(threads, sizeof(threads), " --threads %u", options->plan.config.threads);
	clv_cli_error("explore: %s: %s: replay with: cleave explore %s --scenario %s --policy %s%s "
		      "--replay %llu",
		      scenario, why, canonical, scenario, clv_explore_policy_name(result->policy),
		      threads, (unsigned long long)result->seed);
	for (const char *line = result->waiting; *line;) {
		int bytes = (int)strcspn(line, "\n");
		fprintf(stderr, "  %.*s\n", bytes, line);
		line += bytes + (line[bytes] == '\n');
	}
}

static json_t *result_json(const char *canonical, const struct options *options,
			   const char *scenario, const struct clv_explore_result *result)
{
	json_t *object = json_pack("{s:s, s:s, s:s, s:i, s:I, s:b}", "design", canonical,
				   "scenario", scenario, "policy",
				   clv_explore_policy_name(options->plan.policy), "threads",
				   (int)options->plan.config.threads, "schedules",
				   (json_int_t)result->schedules, "failed", (int)result->failed);
	if (!object)
		return NULL;
	json_object_set_new(object, "accesses",
			    json_integer((json_int_t)(result->failed ? result->failed_steps :
								       result->steps)));
	if (!result->failed)
		return object;
	/* Text, as numbers of JSON do not reach so far. */
	char seed[24];
	snprintf(seed, sizeof(seed), "%llu", (unsigned long long)result->seed);
	json_object_set_new(object, "replay_policy",
			    json_string(clv_explore_policy_name(result->policy)));
	json_object_set_new(object, "replay_seed", json_string(seed));
	json_object_set_new(object, "why", json_string(result->why));
	json_object_set_new(object, "waiting", json_string(result->waiting));
	return object;
}

static int explore(struct options *options, const char *canonical, const struct chosen *chosen)
{
	struct cleave_error error;
	json_t *array = json_array();
	int status = array ? CLV_EXIT_OK : CLV_EXIT_FAILED;
	for (unsigned i = 0; i < chosen->count && status == CLV_EXIT_OK; i++) {
		struct clv_explore_result result;
		options->plan.config.scenario = chosen->name[i];
		int code = clv_explore_run(&options->plan, &result, &error);
		if (code) {
			status = clv_cli_report(code, &error);
			break;
		}
		if (options->json)
			json_array_append_new(array, result_json(canonical, options,
								 chosen->name[i], &result));
		else
			print_result(options, chosen->name[i], &result);
		if (result.failed) {
			print_failure(options, canonical, chosen->name[i], &result);
			status = CLV_EXIT_FAILED;
		}
	}
	if (options->json && array) {
		json_dumpf(array, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(array);
	return status;
}

int clv_cmd_explore(int argc, char **argv)
{
	static const struct argp argp = {
		.options = option_table,
		.parser = parse_option,
		.args_doc = "DESIGN",
		.doc =
		"Run small cases of a design, which is a name or a string, threads of an observer on "
		"simulated CPUs, under many schedules; stop at the first that fails, and print the "
		"seed that replays it."
		"\v"
		"Exit status: 0 no schedule failed; 1 one did, or they could not be run; 2 wrong "
		"usage.",
	};
	struct options options = {
		.plan = { .config.threads = 3,
			  .policy = CLV_EXPLORE_BOTH,
			  .seed = 1,
			  .schedules = SCHEDULES },
	};
	char design[CLV_DESIGN_BYTES], canonical[CLV_DESIGN_BYTES], name[96];
	struct chosen chosen = { .count = 0 };
	struct cleave_error error;

	int status = clv_cli_parse(&argp, "cleave explore", argc, argv, &options);
	if (status >= 0)
		return status;
	if (options.replay)
		options.plan.schedules = 1;
	/* What is no name is read by the simulated side, which tests add designs to. */
	int code = strpbrk(options.design, "@/:") ? 0 :
		   clv_design_resolve(options.design, design, sizeof(design), name, sizeof(name),
				      &error);
	if (code)
		return clv_cli_report(code, &error);
	if (!strpbrk(options.design, "@/:"))
		options.design = design;
	code = clv_explore_open(&clv_explore_simulated, &error);
	if (code)
		return clv_cli_report(code, &error);
	code = choose(&options, canonical, &chosen, &error);
	status = code ? clv_cli_report(code, &error) : explore(&options, canonical, &chosen);
	clv_explore_close();
	return clv_cli_finish(status);
}
