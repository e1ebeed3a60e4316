/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The CPUs of a machine and what they share, read once with hwloc into plain arrays, so that
 * nothing later calls hwloc. CPUs are indexed in hwloc's logical order, in which neighbours share
 * most; `os` is the operating system's number. A CPU that this process may not use (cgroup cpuset,
 * affinity) is not there.
 */
#ifndef CLV_TOPOLOGY_H
#define CLV_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

struct cleave_error;

/* Indexes of the objects a CPU belongs to, each counted over the whole machine from 0. */
struct clv_cpu {
	unsigned os;
	unsigned core;
	unsigned smt;  /* which CPU of its core, from 0 */
	unsigned l3;   /* CPUs of a package that have none count as sharing one */
	unsigned node; /* index; node_os[] has the system's numbers */
	unsigned package;
};

struct clv_topology {
	unsigned cpus, cores, l3s, nodes, packages;
	bool this_machine;   /* false: binding means nothing */
	bool has_l3;	     /* any CPU has one */
	struct clv_cpu *cpu; /* [cpus] */
	unsigned *node_os;   /* [nodes] */
	unsigned os_limit;   /* os numbers are below it */
	int *index_of_os;    /* [os_limit]; -1: no such CPU */
	char name[128];	     /* processor model, or the string it was made from */
};

/*
 * `source`: NULL this machine, respecting cgroup cpuset and the process's affinity; else an hwloc
 * XML file if such a file exists (or the string ends in .xml, or has a '/'), else an hwloc
 * synthetic string. Of several memories local to a CPU, its node is the one that fewest CPUs share,
 * and among these the first; nodes that are no CPU's are left out. Returns: 0; -EINVAL (the string
 * or file is not a topology, has no CPU, or is larger than machines are: limits in
 * topology_source.h), -ENOENT, -EACCES or what else opening and reading can fail with, -ENOMEM;
 * with one line in error. Cost: milliseconds; memory and time are bounded whatever the source is.
 *
 * A source that is not this machine is read in a child process (fork), since hwloc crashes on some
 * malformed ones. hwloc reads its HWLOC_* environment variables: with HWLOC_XMLFILE or
 * HWLOC_SYNTHETIC set, NULL gives the machine they describe, and this_machine is false. On a
 * machine whose firmware contradicts itself hwloc says so on standard error, unless
 * HWLOC_HIDE_ERRORS is 2.
 */
int clv_topology_load(struct clv_topology **topology, const char *source,
		      struct cleave_error *error);
void clv_topology_free(struct clv_topology *topology);

/* index of the CPU with that system number; -1: none */
int clv_topology_index(const struct clv_topology *topology, int os);

#endif
