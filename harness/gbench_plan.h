/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What lies between the parts of gbench.h: gbench_plan.c keeps what is registered, refuses
 * what the library could not take, and says which repetition runs when; gbench.cc has the library
 * do it; gbench_stats.c makes the aggregates. Nobody else includes this.
 */
#ifndef CLV_GBENCH_PLAN_H
#define CLV_GBENCH_PLAN_H

#include "gbench.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CLV_GBENCH_TEXT_MAX 512 /* bytes of a name or of an error message */

struct clv_gbench {
	char *name;
	clv_gbench_fn *fn;
	void *ctx;
	int64_t family; /* in the order registered */
	int64_t *arg;	/* [tuples][arity] */
	size_t tuples, arity;
	char **arg_name; /* [arg_names]: as many as arity, if both are given */
	size_t arg_names;
	int64_t iterations;
	int repetitions; /* 0: not given, which is 1, and not said in the name */
	enum clv_gbench_unit unit;
	bool manual;
	int threads;
};

struct clv_gbench_pair {
	char *key, *value;
};

/* All that is registered. Read by gbench.cc, which alone writes the two flags. */
struct clv_gbench_registry {
	bool started;
	bool running;
	struct clv_gbench **bench;
	size_t benches;
	struct clv_gbench_pair *context; /* as given: of one key, the last counts */
	size_t contexts;
	enum clv_gbench_order order;
	uint64_t seed;
};

extern struct clv_gbench_registry clv_gbench_registry;

/* One benchmark with one tuple of arguments. */
struct clv_gbench_point {
	struct clv_gbench *bench;
	int64_t instance;   /* which tuple */
	const int64_t *arg; /* [arity] of the bench; NULL if none. Valid during the run only. */
	size_t args;
	int repetitions;
};

struct clv_gbench_step {
	size_t point;
	int repetition;
};

struct clv_gbench_plan {
	struct clv_gbench_point *point; /* in the order registered */
	size_t points;
	struct clv_gbench_step *step; /* in the order in which they run */
	size_t steps;
};

/* Returns: 0 with the plan; -ENOMEM. */
int clv_gbench_plan_make(struct clv_gbench_plan *plan);
void clv_gbench_plan_free(struct clv_gbench_plan *plan);

struct clv_gbench_statistic {
	const char *name;
	/* pre: n >= 2, in ascending order. */
	double (*compute)(const double *sorted, size_t n);
	bool is_ratio; /* has no unit */
};

enum { CLV_GBENCH_STATISTICS = 4 };

extern const struct clv_gbench_statistic clv_gbench_statistics[CLV_GBENCH_STATISTICS];

/* Free all but the flags. */
void clv_gbench_registry_drop(void);

/* Set clv_gbench_why(). Returns: code. */
int clv_gbench_refuse(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
void clv_gbench_why_clear(void);

/* Returns: 0; -EPERM if not started; -EBUSY if running. */
int clv_gbench_check_idle(void);

/* Can a counter have this name? Returns: 0; -EINVAL. */
int clv_gbench_check_counter(const char *name);

/* Returns: whether all of it can stand in a JSON string: UTF-8 without control characters. */
bool clv_gbench_text_is_good(const char *text);

/* Replace what cannot stand in a JSON string by '?'. */
void clv_gbench_text_mend(char *text);

#ifdef __cplusplus
}
#endif

#endif
