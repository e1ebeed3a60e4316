// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What can be typed behind `cleave run`. */
#define _GNU_SOURCE /* strsep */
#include "run_options.h"

#include <string.h>

#include "cli.h"
#include "storm.h"

enum { THREADS_MAX = 4096, REPETITIONS_MAX = 1000, JOBS_MAX = 4096 };

enum {
	KEY_WORKLOAD = 256, KEY_MACHINE, KEY_THREADS, KEY_PLACE, KEY_SEED, KEY_REPETITIONS,
	KEY_THINK, KEY_POPULATION, KEY_WALKS, KEY_OTHER_LOCK, KEY_MIGRATE, KEY_OVERSUBSCRIBE,
	KEY_JSON, KEY_WINDOW, KEY_WARM, KEY_SAMPLE, KEY_QUIET, KEY_JOBS, KEY_BUDGET, KEY_TIMELINE,
	KEY_SET, KEY_RUN_AHEAD, KEY_LINES, KEY_STORM, KEY_EVERY,
};

static const struct argp_option option[] = {
	{ "workload", KEY_WORKLOAD, "W", 0, "see cleave list workloads, or a file with a schedule "
					    "to replay (exec)", 0 },
	{ "machine", KEY_MACHINE, "NAME", 0, "see cleave list machines, or a machine file, .json "
					     "(host)", 0 },
	{ "threads", KEY_THREADS, "N[,N...]", 0, "one thread a CPU (1)", 0 },
	{ "place", KEY_PLACE, "P", 0, "see cleave list placements (cores-first)", 0 },
	{ "seed", KEY_SEED, "S", 0, "repetition r runs with seed S + r (1)", 0 },
	{ "repetitions", KEY_REPETITIONS, "R", 0, "of each point, interleaved over all (10; "
							  "simulated: 3)", 0 },
	{ "think-ns", KEY_THINK, "T[,T...]", 0, "exec: scale the schedule's gaps to this mean; or the "
						"word recorded (recorded)", 0 },
	{ "population", KEY_POPULATION, "P", 0, "intervals at rest; exec: libc's (6000)", 0 },
	{ "walks", KEY_WALKS, "SHARE", 0, "share of operations that are walks (0)", 0 },
	{ "other-lock-ns", KEY_OTHER_LOCK, "T", 0, "exec: another global lock, held so long an "
						   "exec (none)", 0 },
	{ "migrate", KEY_MIGRATE, "SHARE", 0, "exec: share of execs at which a copy goes on on "
					      "another CPU (0)", 0 },
	{ "storm", KEY_STORM, "FROM-TO[:QUIET]", 0, "exec: only from FROM to TO ms of the window all "
						    "threads run a copy each, which then exit; "
						    "before and after it QUIET do (1)", 0 },
	{ "every-us", KEY_EVERY, "T", 0, "also the course of each point's last repetition: throughput, "
					 "waits and changes of phase in slices of so long", 0 },
	{ "oversubscribe", KEY_OVERSUBSCRIBE, NULL, 0, "allow more spinning threads than CPUs; "
						       "labelled, never ranked", 0 },
	{ "window-ms", KEY_WINDOW, "T", 0, "measured time of a repetition (200; simulated: "
					       "20, less where next to nobody waits, and on until "
					       "the figure is good)", 0 },
	{ "warm-up-ms", KEY_WARM, "T", 0, "before it (50; simulated: 1, or two execs of each "
					  "thread)", 0 },
	{ "sample", KEY_SAMPLE, "N", 0, "time one of N batches; 0: none (64)", 0 },
	{ "json", KEY_JSON, "FILE", 0, "write the results, and beside them Google Benchmark's own "
				       "JSON as FILE with .gbench.json for .json; to /dev/stdout, "
				       "it takes the place of the table", 0 },
	{ "quiet", KEY_QUIET, NULL, 0, "no progress", 0 },
	{ NULL, 0, NULL, 0, "Of a simulated machine:", 1 },
	{ "set", KEY_SET, "PARAM=VALUE", 0, "change a parameter of the machine; see cleave list "
					    "parameters", 1 },
	{ "jobs", KEY_JOBS, "N", 0, "runs at once, each in a process (one a CPU of this machine)",
	  1 },
	{ "budget", KEY_BUDGET, "N", 0, "million memory accesses a run may take, else it is labelled "
					"short (600)", 1 },
	{ "run-ahead-ns", KEY_RUN_AHEAD, "T", 0, "how far a CPU's hits may be ahead of the others "
						 "(100)", 1 },
	{ "timeline", KEY_TIMELINE, "FILE", 0, "of the last repetition of the one point: who had "
					       "which lock when; Trace Event JSON", 1 },
	{ "lines", KEY_LINES, NULL, 0, "show each point's costliest cache lines (a single point's "
				       "always are)", 1 },
	{ 0 },
};

static error_t add_think(struct arguments *a, const char *word)
{
	int64_t think_ns = CLV_THINK_RECORDED;
	uint64_t number;
	if (strcmp(word, "recorded")) {
		int code = clv_cli_u64("--think-ns", word, 0, 1000000000, &number);
		if (code)
			return code;
		think_ns = (int64_t)number;
	}
	for (size_t i = 0; i < a->think_counts; i++) {
		if (a->think_ns[i] == think_ns) {
			clv_cli_error("think time twice: --think-ns %s", word);
			return CLV_CLI_REPORTED;
		}
	}
	if (a->think_counts == THINK_COUNTS) {
		clv_cli_error("too many think times: --think-ns: at most %d", THINK_COUNTS);
		return CLV_CLI_REPORTED;
	}
	a->think_ns[a->think_counts++] = think_ns;
	return 0;
}

static error_t parse_think(struct arguments *a, char *list)
{
	char *word;
	a->think_counts = 0;
	while ((word = strsep(&list, ","))) {
		int code = add_think(a, word);
		if (code)
			return code;
	}
	return 0;
}

/* "read_ns.remote=300": only the machine knows if there is such a parameter. */
static error_t add_change(struct arguments *a, char *word)
{
	char *value = strchr(word, '=');
	struct clv_change *change = &a->change[a->changes];
	if (!value || value == word) {
		clv_cli_error("not PARAM=VALUE: --set %s", word);
		return CLV_CLI_REPORTED;
	}
	for (unsigned i = 0; i < a->changes; i++) {
		const char *other = a->change[i].parameter;
		if (strlen(other) == (size_t)(value - word) && !strncmp(other, word, strlen(other))) {
			clv_cli_error("parameter twice: --set %s", word);
			return CLV_CLI_REPORTED;
		}
	}
	if (a->changes == CHANGES) {
		clv_cli_error("too many parameters: --set: at most %d", CHANGES);
		return CLV_CLI_REPORTED;
	}
	int code = clv_cli_fraction_in("--set", word, value + 1, 0, 1e12, &change->value);
	if (code)
		return code;
	*value = '\0';
	change->parameter = word;
	a->changes++;
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *a = state->input;
	switch (key) {
	case KEY_WORKLOAD:
		a->workload = arg;
		return 0;
	case KEY_MACHINE:
		a->machine = arg;
		return 0;
	case KEY_THREADS:
		return clv_cli_unsigned_list("--threads", arg, 1, THREADS_MAX, a->threads,
					     THREAD_COUNTS, &a->thread_counts);
	case KEY_PLACE:
		a->placement = arg;
		return 0;
	case KEY_SEED:
		return clv_cli_u64("--seed", arg, 0, INT64_MAX, &a->seed);
	case KEY_REPETITIONS:
		return clv_cli_unsigned("--repetitions", arg, 1, REPETITIONS_MAX, &a->repetitions);
	case KEY_THINK:
		return parse_think(a, arg);
	case KEY_POPULATION:
		return clv_cli_u64("--population", arg, 1, 100000000, &a->population);
	case KEY_WALKS:
		return clv_cli_fraction("--walks", arg, 0, 0.999999, &a->walks);
	case KEY_OTHER_LOCK:
		return clv_cli_u64("--other-lock-ns", arg, 0, 1000000000, &a->other_lock_ns);
	case KEY_MIGRATE:
		return clv_cli_fraction("--migrate", arg, 0, 1, &a->migrate);
	case KEY_STORM:
		return clv_storm_parse("--storm", arg, &a->storm);
	case KEY_EVERY:
		return clv_cli_u64("--every-us", arg, 1, 600000000, &a->every_us);
	case KEY_OVERSUBSCRIBE:
		a->oversubscribe = true;
		return 0;
	case KEY_WINDOW:
		return clv_cli_u64("--window-ms", arg, 1, 600000, &a->window_ms);
	case KEY_WARM:
		return clv_cli_u64("--warm-up-ms", arg, 0, 600000, &a->warm_ms);
	case KEY_SAMPLE:
		return clv_cli_unsigned("--sample", arg, 0, 1000000, &a->sample_every);
	case KEY_JSON:
		if (!*arg) {
			clv_cli_error("no file name: --json");
			return CLV_CLI_REPORTED;
		}
		a->json = arg;
		return 0;
	case KEY_QUIET:
		a->quiet = true;
		return 0;
	case KEY_JOBS:
		return clv_cli_unsigned("--jobs", arg, 1, JOBS_MAX, &a->jobs);
	case KEY_BUDGET:
		return clv_cli_u64("--budget", arg, 1, 1000000000, &a->budget_millions);
	case KEY_RUN_AHEAD:
		a->run_ahead_given = true;
		return clv_cli_u64("--run-ahead-ns", arg, 0, 1000000, &a->run_ahead_ns);
	case KEY_SET:
		return add_change(a, arg);
	case KEY_TIMELINE:
		if (!*arg) {
			clv_cli_error("no file name: --timeline");
			return CLV_CLI_REPORTED;
		}
		a->timeline = arg;
		return 0;
	case KEY_LINES:
		a->lines = true;
		return 0;
	case ARGP_KEY_ARGS:
		a->design = state->argv + state->next;
		a->designs = (unsigned)(state->argc - state->next);
		return 0;
	case ARGP_KEY_NO_ARGS:
		clv_cli_error("run what: name a design, or several (see cleave list designs)");
		return CLV_CLI_REPORTED;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int clv_run_options_parse(int argc, char **argv, struct arguments *arguments)
{
	static const struct argp argp = {
		option, parse, "DESIGN...",
		"Measure designs under a workload. DESIGN is a name or a string "
		"structure[@partition][/scheme][:lock[+lock]].\v"
		"Exit status: 0 all points are valid; 1 one is not, or a file could not be written; "
		"2 wrong usage.", NULL, NULL, NULL,
	};
	return clv_cli_parse(&argp, "cleave run", argc, argv, arguments);
}
