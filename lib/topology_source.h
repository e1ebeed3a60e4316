/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How a topology is read, in three steps that topology.c calls.
 *
 * hwloc trusts its input. Of XML files with one to four random edits, one in a hundred makes hwloc
 * 2.9 crash; one of its two XML readers recurses once a nesting level; and it makes as many
 * objects, with sets as wide, as it is told. So whatever is not this machine is first held against
 * the limits below, which bounds memory, and then read in a child process, which bounds the rest.
 */
#ifndef CLV_TOPOLOGY_SOURCE_H
#define CLV_TOPOLOGY_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define CLV_CPU_LIMIT 8192u /* CPUs of a machine: Linux on x86 takes no more; and nodes */
#define CLV_OS_LIMIT 65536u /* system's numbers of CPUs and nodes are below it */

struct clv_topology_source {
	const char *name; /* as the caller gave it; NULL: this machine */
	const char *text; /* of a file: its bytes, zero-terminated; else NULL */
	size_t text_bytes;
	unsigned cpus_expected; /* of a string; else 0 */
};

/* Objects by hwloc's numbers, which have gaps; -1: the CPU is in no such object. */
struct clv_cpu_record {
	unsigned os, node_os;
	int64_t core, l3, package;
};

/* Plain data, so that it can go through a pipe. The records follow. */
struct clv_topology_reading {
	int status; /* 0, or a negative errno with one line in error */
	struct cleave_error error;
	unsigned cpus;
	bool this_machine;
	char model[256]; /* "": not known */
};

/*
 * Does the text stay within the limits? It may still be wrong: hwloc says so.
 * Returns: 0 with the number of CPUs that it describes, if it is right; -EINVAL.
 */
int clv_topology_check_string(const char *text, unsigned *cpus, struct cleave_error *error);

/*
 * Read a file that looks like XML and stays within the limits.
 * Returns: 0 with the bytes, zero-terminated, to free(); -EINVAL, -ENOMEM, or what open(2) and
 * read(2) return.
 */
int clv_topology_read_file(const char *path, char **text, size_t *bytes,
			   struct cleave_error *error);

/*
 * Have hwloc read the source. Returns: the records, to free(), NULL if status is not 0.
 */
struct clv_cpu_record *clv_topology_read(const struct clv_topology_source *source,
					 struct clv_topology_reading *reading);

/*
 * The same in a child process, which is given ten seconds of CPU time and cannot print. Its end, of
 * whatever kind, is -EINVAL.
 */
struct clv_cpu_record *clv_topology_read_apart(const struct clv_topology_source *source,
					       struct clv_topology_reading *reading);

#endif
