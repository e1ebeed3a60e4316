/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which CPU each of N threads gets, by the name of an order or by a list of CPUs.
 */
#ifndef CLV_PLACEMENT_H
#define CLV_PLACEMENT_H

#include <stdbool.h>

#include "../lib/topology.h"

struct cleave_error;

struct clv_placement_info {
	const char *name;
	const char *summary;
};
/* The i-th placement; the last is the list of CPUs, shown as "LIST". NULL behind it. */
const struct clv_placement_info *clv_placement_info_at(unsigned i);

/*
 * Give thread t the CPU with index cpu_index[t]. All CPUs differ, unless there are more threads
 * than CPUs and `oversubscribe` lets them start again from the first. `name`: one of the table's,
 * or system numbers of CPUs as in 0,2,4-7. Returns: 0; -EINVAL unknown name, no thread, or a list
 * that is malformed, names a CPU that is not there, or one twice; -ERANGE more threads than CPUs,
 * in the machine or in the list; -ENOMEM; with one line in error. Cost: sorts the CPUs.
 */
int clv_placement_make(const struct clv_topology *topology, const char *name, unsigned threads,
		       bool oversubscribe, unsigned *cpu_index, struct cleave_error *error);

/* What a thread is the first to use, beyond what the threads before it do. */
enum {
	CLV_FIRST_OF_NODE = 1,
	CLV_FIRST_OF_PACKAGE = 2,
	CLV_FIRST_SIBLING = 4, /* a core's second CPU, of the first core to have both in use */
};

/*
 * Where a curve over threads may bend for the machine's sake: what each thread of as many as the
 * machine has CPUs is the first to use, bits of the above in first[cpus]. Thread 0 is the first of
 * nothing. Returns: 0; the rest as clv_placement_make.
 */
int clv_placement_firsts(const struct clv_topology *topology, const char *name,
			 unsigned char *first, struct cleave_error *error);

#endif
