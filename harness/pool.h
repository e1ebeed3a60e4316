/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Jobs that do not depend on each other, each in a process of its own, forked from this one: it
 * sees all that the caller has, and what it changes is gone when it ends, but for the bytes it
 * hands back. A job that crashes takes itself away and nothing else.
 */
#ifndef CLV_POOL_H
#define CLV_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct cleave_error;

/* How far it is. Called about once a second and whenever a job ends. */
struct clv_pool_progress {
	unsigned job;	  /* the last one started */
	double done;	  /* share of the weight, 0 to 1 */
	double left_s;	  /* about how long it will take; < 0: nothing is known yet */
};

struct clv_pool {
	unsigned jobs;
	unsigned processes; /* at once, >= 1 */
	/* About how long a job takes beside the others, > 0; the longest start first. NULL: alike. */
	double (*weight)(void *arg, unsigned job);
	/*
	 * In the job's process. *data, in malloc()ed memory, is handed back to `ended`.
	 * Returns: 0; negative errno with a line in error.
	 */
	int (*work)(void *arg, unsigned job, void **data, size_t *bytes,
		    struct cleave_error *error);
	/*
	 * In the caller's. code 0: data is what `work` gave, valid during the call. Else data is
	 * NULL and `why` a line: what `work` said, or which signal ended it. Jobs end in any order.
	 */
	void (*ended)(void *arg, unsigned job, int code, const void *data, size_t bytes,
		      const char *why);
	void (*progress)(void *arg, const struct clv_pool_progress *progress); /* NULL: none */
	void *arg;
};

/* How many CPUs this process may run on. */
unsigned clv_pool_cpus(void);

/*
 * Run them all. When this returns no process of it is left; when the caller's process ends before,
 * whatever ended it, the system ends theirs. Threads: the caller's only one.
 * Returns: 0, `ended` having been called once for each job; negative errno, with a line in error,
 * if processes could not be made: then some jobs have not run.
 */
int clv_pool_run(const struct clv_pool *pool, struct cleave_error *error);

#endif
