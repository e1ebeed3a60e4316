// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * usage: test_arrangements [--schedules N] [--processes P] [--reached FILE] [DESIGN...]
 *
 * The observers of C1-C8 under explored schedules, for all that tests/model/designs.h lists: the
 * designs that have names, every scheme with every lock over rb_interval, and a cover of all pairs of
 * structure, scheme, partition and lock. Prints a line for each design and each list: how many
 * schedules; and one for each failure, with what replays it. What waits outside the shim, or is
 * for one thread, has no schedules; everything else has to be run, or is refused for the reasons
 * that designs.h knows.
 *
 * --schedules: of each scenario with three threads, and an eighth of it with six; default: 8, 4 of
 * the cover, or with CLEAVE_LONG 10,000 and 1,000.
 * --reached: write which places of the code were reached, for unreached.py. Exit: 0 all held; 1 one
 * did not; 2 wrong usage.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/explore_run.h"
#include "lib/design.h"
#include "lib/locks/lock.h"
#include "tests/model/designs.h"

enum {
	THREADS = 3,
	THREADS_BY_NODE = 6, /* on four nodes: what treats those of a node as its own shows itself */
	KNOWN_MAX = 1024,
};

struct counts {
	unsigned designs, refused, unexplored, failed;
	uint64_t schedules;
};

struct sweep {
	uint64_t schedules; /* of each scenario */
	unsigned processes;
	struct counts counts;
	/* In their canonical form: each design once. */
	char known[KNOWN_MAX][CLV_DESIGN_BYTES];
	unsigned known_count;
};

static bool is_known(struct sweep *sweep, const char *canonical)
{
	for (unsigned i = 0; i < sweep->known_count; i++) {
		if (!strcmp(sweep->known[i], canonical))
			return true;
	}
	if (sweep->known_count < KNOWN_MAX)
		strcpy(sweep->known[sweep->known_count++], canonical);
	return false;
}

static bool has_schedules(const char *design)
{
	struct clv_design parsed;

	return clv_design_parse(&parsed, design, NULL) ||
	       !(clv_design_waiting(&parsed) & (CLV_LOCK_HOST_ONLY | CLV_LOCK_ONE_THREAD));
}

/* Returns: did all schedules pass? */
static bool run_threads(struct sweep *sweep, const char *canonical, const char *scenario,
			unsigned threads, uint64_t schedules)
{
	const struct clv_explore_plan plan = {
		.config = { canonical, scenario, 0, threads },
		.policy = CLV_EXPLORE_BOTH,
		.seed = 1,
		.schedules = schedules,
		.processes = sweep->processes,
	};
	struct clv_explore_result result;
	struct cleave_error error;

	if (clv_explore_run(&plan, &result, &error)) {
		printf("FAILED %s: %s: %s\n", canonical, scenario, error.text);
		return false;
	}
	sweep->counts.schedules += result.schedules;
	if (!result.failed)
		return true;
	printf("FAILED %s: cleave explore %s --scenario %s --policy %s --threads %u --replay %llu\n%s",
	       result.why, canonical, scenario, clv_explore_policy_name(result.policy), threads,
	       (unsigned long long)result.seed, result.waiting);
	return false;
}

static bool run_scenario(struct sweep *sweep, const char *canonical, const char *scenario)
{
	uint64_t fewer = sweep->schedules / 8;

	return run_threads(sweep, canonical, scenario, THREADS, sweep->schedules) &&
	       run_threads(sweep, canonical, scenario, THREADS_BY_NODE, fewer ? fewer : 1);
}

/* Returns: it cannot be run, and that is as it should be. */
static bool is_refused(struct sweep *sweep, const char *design, int code,
		       const struct cleave_error *error)
{
	if (code == -ENOTSUP && !has_schedules(design)) {
		sweep->counts.unexplored++;
		return true;
	}
	if (code == -ENOTSUP && designs_may_refuse(design)) {
		sweep->counts.refused++;
		return true;
	}
	printf("FAILED %s: it cannot be run: %s\n", design, error->text);
	sweep->counts.failed++;
	return false;
}

static void run_design(const char *design, void *arg)
{
	struct sweep *sweep = arg;
	char canonical[CLV_DESIGN_BYTES];
	const char *scenario;
	struct cleave_error error;
	struct clv_explore_config config = { design, NULL, 0, THREADS };
	unsigned scenarios = 0, failed = sweep->counts.failed;
	uint64_t before = sweep->counts.schedules;
	int code = clv_explore_look(&config, canonical, &error);

	if (code) {
		is_refused(sweep, design, code, &error);
		return;
	}
	if (is_known(sweep, canonical))
		return;
	for (unsigned i = 0; (scenario = clv_explore_simulated.scenario_at(i)); i++) {
		config.scenario = scenario;
		if (clv_explore_look(&config, canonical, &error))
			continue;
		scenarios++;
		if (!run_scenario(sweep, canonical, scenario)) {
			sweep->counts.failed++;
			break;
		}
	}
	if (!scenarios) {
		printf("FAILED %s: no scenario applies\n", canonical);
		sweep->counts.failed++;
	}
	sweep->counts.designs++;
	printf("%s  %s: %u scenarios, %llu schedules\n", sweep->counts.failed > failed ? "fails" : "passes",
	       canonical, scenarios, (unsigned long long)(sweep->counts.schedules - before));
	fflush(stdout);
}

/* Returns: how many failed. */
static unsigned say(struct sweep *sweep, const char *what)
{
	const struct counts *counts = &sweep->counts;
	unsigned failed = counts->failed;

	printf("%s: %u designs, %llu schedules, %u failed; %u refused, %u with no schedules\n", what,
	       counts->designs, (unsigned long long)counts->schedules, failed, counts->refused,
	       counts->unexplored);
	fflush(stdout);
	sweep->counts = (struct counts) { 0 };
	return failed;
}

static unsigned run_all(struct sweep *sweep, uint64_t of_cover)
{
	struct cleave_error error;
	const struct cleave_env_options options = { .topology = CLV_EXPLORE_TOPOLOGY };
	struct cleave_env *env; /* in which it is seen what goes together */
	unsigned failed;

	if (cleave_env_open(&env, &options, &error)) {
		printf("FAILED %s\n", error.text);
		return 1;
	}
	designs_named(run_design, sweep);
	failed = say(sweep, "designs with names");
	designs_locked(run_design, sweep);
	failed += say(sweep, "every scheme and lock over rb_interval");
	sweep->schedules = of_cover;
	designs_cover(env, NULL, CLV_LOCK_HOST_ONLY | CLV_LOCK_ONE_THREAD, run_design, sweep);
	failed += say(sweep, "a cover of all pairs");
	cleave_env_close(env);
	return failed;
}

static bool write_reached(const char *path, const uint8_t *reached, size_t bytes)
{
	FILE *file = fopen(path, "w");

	if (!file)
		return false;
	for (size_t i = 0; i < bytes; i++) {
		if (reached[i])
			fprintf(file, "%zx\n", i);
	}
	return !fclose(file);
}

static bool parse_number(const char *text, uint64_t *number)
{
	char *rest;

	errno = 0;
	*number = strtoull(text, &rest, 10);
	return text[0] >= '1' && text[0] <= '9' && !*rest && !errno;
}

int main(int argc, char **argv)
{
	static struct sweep sweep;
	const char *is_long = getenv("CLEAVE_LONG"), *path = NULL;
	bool whole = is_long && strcmp(is_long, "0");
	uint64_t of_cover = whole ? 1000 : 4, processes = 0;
	struct cleave_error error = { "" };
	uint8_t *reached = NULL;
	size_t bytes = 0;
	unsigned failed = 0;

	sweep.schedules = whole ? 10000 : 8;
	int first = 1;
	for (; first + 1 < argc && !strncmp(argv[first], "--", 2); first += 2) {
		if (!strcmp(argv[first], "--reached"))
			path = argv[first + 1];
		else if (!strcmp(argv[first], "--schedules") &&
			 parse_number(argv[first + 1], &sweep.schedules))
			of_cover = sweep.schedules;
		else if (strcmp(argv[first], "--processes") ||
			 !parse_number(argv[first + 1], &processes))
			break;
	}
	if (first < argc && argv[first][0] == '-') {
		fprintf(stderr, "usage: test_arrangements [--schedules N] [--processes P] "
				"[--reached FILE] [DESIGN...]\n");
		return 2;
	}
	sweep.processes = (unsigned)processes;
	if (clv_explore_open(&clv_explore_simulated, &error)) {
		fprintf(stderr, "cleave: %s\n", error.text);
		return 1;
	}
	if (path)
		reached = clv_explore_note_reached(&bytes);
	for (int i = first; i < argc; i++)
		run_design(argv[i], &sweep);
	failed = first < argc ? say(&sweep, "designs") : run_all(&sweep, of_cover);
	if (path && (!reached || !write_reached(path, reached, bytes))) {
		fprintf(stderr, "cleave: cannot be written: %s\n", path);
		failed++;
	}
	clv_explore_close();
	return failed != 0;
}
