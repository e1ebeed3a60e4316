/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Machines that tests place things on, as hwloc synthetic strings. L1 and L2 decide nothing here
 * but are in the first three, as users write them.
 */
#ifndef CLV_TEST_MACHINES_H
#define CLV_TEST_MACHINES_H

#include <criterion/criterion.h>

#include "../../lib/error.h"
#include "../../lib/topology.h"

struct machine {
	const char *text;
	unsigned packages, nodes, l3s, cores, cpus;
};

static const struct machine machines[] = {
	/* 12 nodes, 384 CPUs, L3 of 4 cores */
	{ "pack:2 numa:6(memory=34359738368) l3:4(size=16777216) l2:4(size=524288) "
	  "l1d:1(size=32768) l1i:1(size=65536) core:1 pu:2(indexes=core)",
	  2, 12, 48, 192, 384 },
	/* EPYC 9754 */
	{ "pack:1 [numa(memory=805306368000)] l3:16(size=16777216) l2:8(size=1048576) "
	  "l1d:1(size=32768) l1i:1(size=32768) core:1 pu:2(indexes=core)",
	  1, 1, 16, 128, 256 },
	/* Xeon, 2 x 56 cores */
	{ "pack:2 [numa(memory=274877906944)] l3:1(size=110100480) l2:56(size=2097152) "
	  "l1d:1(size=49152) l1i:1(size=32768) core:1 pu:2(indexes=core)",
	  2, 2, 2, 112, 224 },
	/* 12 nodes, 384 CPUs, L3 of 8 cores */
	{ "pack:2 numa:6 l3:2(size=33554432) core:8 pu:2(indexes=core)", 2, 12, 24, 192, 384 },
	/* nodes smaller than L3s */
	{ "pack:2 l3:1 group:4 [numa] core:6 pu:2", 2, 8, 2, 48, 96 },
	/* no SMT, no L3 */
	{ "pack:2 [numa] core:5 pu:1", 2, 2, 2, 10, 10 },
	{ "pu:1", 1, 1, 1, 1, 1 },
};
#define MACHINES (sizeof(machines) / sizeof(machines[0]))

static inline struct clv_topology *load_machine(const char *text)
{
	struct clv_topology *topology = NULL;
	struct cleave_error error = { "" };
	int status = clv_topology_load(&topology, text, &error);
	cr_assert_eq(status, 0, "%s: %s", text ? text : "host", error.text);
	return topology;
}

#endif
