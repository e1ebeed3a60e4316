/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A window on this machine, of a design or of a program, with what the threads had to wait for
 * CPUs: on a machine that others use too, that says which windows mean anything.
 */
#ifndef CLV_NATIVE_H
#define CLV_NATIVE_H

#include "cases.h"
#include "../runner.h"

struct clv_native {
	const char *design;	  /* under pairs-libc; NULL: the program */
	enum clv_case which;
	size_t bytes;
	uint64_t population;
	unsigned threads;
	uint64_t warm_ns, window_ns, seed;
};

/*
 * *stolen: the largest share of the time that a thread of it was ready and did not run, by the
 * kernel's count (/proc/thread-self/schedstat); 0 where that is not told. A hypervisor's share is
 * not seen. Threads: one at a time. Returns: 0, *ops_per_s being 0 if a thread missed the window;
 * negative errno with a line in error.
 */
int clv_native_run(struct clv_machine *host, const struct clv_native *native, double *ops_per_s,
		   double *stolen, struct cleave_error *error);

#endif
