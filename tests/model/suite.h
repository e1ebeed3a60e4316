/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The contract of cleave.h as checks that any design is put through. They know of no test
 * framework: the contract tests run them on every design, and tests/broken runs them on designs
 * that must fail.
 */
#ifndef SUITE_H
#define SUITE_H

#include <cleave/structure.h>

#include "harness/observe/observe.h"

struct suite {
	const char *topology; /* for cleave_env_options */
	struct cleave_env *env;
	const int *cpu; /* numbers of CPUs that the topology has */
	unsigned cpus;
	uint64_t seed;
	unsigned threads;   /* of each scenario; 1: only what one thread can check */
	unsigned rounds;    /* of each scenario */
	unsigned batches;   /* of each random run against the oracle */
	uint64_t *progress; /* NULL, or counted up now and then */
};

/* 16 CPUs, on 4 nodes; open before use, close after. Returns: false, having said why. */
bool suite_open(struct suite *suite);
void suite_close(struct suite *suite);

/* 100 with CLEAVE_LONG set in the environment, else 1. */
unsigned suite_scale(void);

/* What a check works on: a map just opened, a thread, zeroed entries. */
struct rig {
	const struct suite *suite;
	const char *design;
	const struct cleave_structure *structure;
	struct cleave_map *map;
	struct cleave_thread *thread;
	unsigned keeps;
	bool sink, ordered;
	bool one_thread; /* the lock is none: nothing else may be tried at the same time */
	size_t stride_bytes, pool_bytes;
	unsigned char *pool;
	char why[400];
};

enum { RIG_ENTRIES = 320 };

bool rig_open(struct rig *rig, const struct suite *suite, const char *design);
void rig_close(struct rig *rig);

/* The i-th of RIG_ENTRIES. */
struct cleave_entry *rig_entry(const struct rig *rig, unsigned i);
unsigned rig_index(const struct rig *rig, const struct cleave_entry *entry);

/* Write `why` with the place. Returns: false. */
bool rig_fail(struct rig *rig, const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#define DEMAND(rig, condition, ...)                                                                \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return rig_fail(rig, __FILE__, __LINE__, __VA_ARGS__);                     \
	} while (0)

/* The call returns `code`, which the message gives beside what was returned. */
#define DEMAND_CODE(rig, code, call)                                                               \
	do {                                                                                       \
		int returned_ = (call);                                                            \
		if (returned_ != (code))                                                           \
			return rig_fail(rig, __FILE__, __LINE__, "%s returned %d, not %d", #call,  \
					returned_, (code));                                        \
	} while (0)

/* What a walk of [start, last] visits, in order. */
struct visits {
	const struct rig *rig;
	unsigned count;
	unsigned stop_after; /* 0: never */
	bool overflow;
	unsigned index[RIG_ENTRIES]; /* of entries */
};

int rig_walk(const struct rig *rig, uint64_t start, uint64_t last, struct visits *visits);
int rig_visit(struct cleave_entry *entry, void *visits);

/* Visits of one walk over everything agree with `in` ([RIG_ENTRIES]), each once; sinks: none. */
bool rig_holds(struct rig *rig, const bool *in);
/* And cleave_validate and cleave_empty say so too. */
bool rig_sound(struct rig *rig, const bool *in);

struct check {
	const char *name;
	unsigned needs; /* enum cleave_guarantee: what the design has to keep */
	bool locks;	/* meaningless under lock `none` */
	bool (*run)(struct rig *rig);
};

extern const struct check suite_checks[]; /* ends with one without name */

/* ---- running ---- */

struct outcome {
	const char *check; /* name of check or scenario */
	bool passed;
	char why[480]; /* design, check, seed and reason */
};

/* Called after each check. Returns: go on? */
typedef bool suite_report_fn(const struct outcome *outcome, void *arg);

/*
 * All checks that apply, then all scenarios. `only`, if not NULL, names the one to run.
 * Returns: how many failed; *ran counts all.
 */
unsigned suite_run(const struct suite *suite, const char *design, const char *only, unsigned *ran,
		   suite_report_fn *report, void *arg);

/* One scenario on real threads, whatever the design says that it keeps. */
bool suite_scenario(const struct suite *suite, const char *design,
		    const struct clv_scenario *scenario, struct outcome *outcome);

/* Does the design exist, are its parts for each other? Returns: cleave_open's code. */
int suite_try_open(const struct suite *suite, const char *design, struct cleave_error *error);

#endif
