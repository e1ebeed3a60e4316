/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What was typed behind `cleave run`, read but not yet understood as a whole. */
#ifndef CLV_RUN_OPTIONS_H
#define CLV_RUN_OPTIONS_H

#include "runner.h"

enum { THREAD_COUNTS = 64, THINK_COUNTS = 16, CHANGES = 64 };
#define NOT_GIVEN UINT64_MAX

struct arguments {
	char **design;
	unsigned designs;
	const char *workload, *machine, *placement, *json, *timeline;
	unsigned threads[THREAD_COUNTS];
	size_t thread_counts;
	int64_t think_ns[THINK_COUNTS];
	size_t think_counts;
	uint64_t seed, population, other_lock_ns, window_ms, warm_ms;
	unsigned repetitions, sample_every;
	double walks, migrate;
	bool oversubscribe, quiet, lines;
	/* Of a simulated machine. */
	uint64_t budget_millions, run_ahead_ns;
	unsigned jobs; /* 0: not given */
	bool run_ahead_given;
	struct clv_storm storm; /* to_ns 0: not given */
	uint64_t every_us; /* 0: not given */
	struct clv_change change[CHANGES];
	unsigned changes;
};

/* As clv_cli_parse. pre: the defaults are in *arguments. */
int clv_run_options_parse(int argc, char **argv, struct arguments *arguments);

#endif
