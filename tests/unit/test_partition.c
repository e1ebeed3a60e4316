// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Partitions: what parses, and for every machine and K what cpuK promises: subsets of at most K
 * neighbours, each within one object or made of whole ones, and no more of them than are needed.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/partition.h"
#include "machines.h"

static struct clv_partition make(const struct clv_topology *topology, const char *text)
{
	struct clv_partition_spec spec;
	struct clv_partition partition;
	struct cleave_error error = { "" };
	cr_assert_eq(clv_partition_parse(&spec, text, strlen(text), &error), 0, "%s", error.text);
	cr_assert_eq(clv_partition_make(&partition, &spec, topology), 0, "%s", text);
	return partition;
}

static unsigned count_subsets(const struct clv_topology *topology, const char *text)
{
	struct clv_partition partition = make(topology, text);
	unsigned subsets = partition.subsets;
	clv_partition_fini(&partition);
	return subsets;
}

/* ---- names ---- */

Test(partition, names)
{
	static const struct {
		const char *text;
		enum clv_partition_kind kind;
		unsigned k;
	} good[] = {
		{ "none", CLV_PART_NONE, 0 },
		{ "node", CLV_PART_NODE, 0 },
		{ "l3", CLV_PART_L3, 0 },
		{ "cpu1", CLV_PART_CPU, 1 },
		{ "cpu65536", CLV_PART_CPU, 65536 },
		{ "hash1", CLV_PART_HASH, 1 },
		{ "hash65536", CLV_PART_HASH, 65536 },
	};
	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct clv_partition_spec spec = { CLV_PART_NONE, 77 };
		/* What follows the length does not count. */
		char text[32];
		snprintf(text, sizeof(text), "%s9/one", good[i].text);
		size_t length = strlen(good[i].text);
		cr_assert_eq(clv_partition_parse(&spec, text, length, NULL), 0, "%s", text);
		cr_assert_eq(spec.kind, good[i].kind, "%s", text);
		cr_assert_eq(spec.k, good[i].k, "%s", text);
		char name[32];
		clv_partition_name(&spec, name, sizeof(name));
		cr_assert_str_eq(name, good[i].kind == CLV_PART_NONE ? "" : good[i].text);
	}
}

Test(partition, bad_names)
{
	static const char *const bad[] = {
		"",	 "n",	  "nod",      "node1",	       "nodes",
		"l",	 "l31",	  "L3",	      "none1",	       "cpu",
		"cpu0",	 "cpu01", "cpu-1",    "cpu+1",	       "cpu 1",
		"cpu1 ", "cpu1x", "cpu65537", "cpu4294967297", "cpu99999999999999999999",
		"hash",	 "hash0", "hash016",  "hash65537",     "hash0x10",
		" node",
	};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct clv_partition_spec spec = { CLV_PART_L3, 77 };
		struct cleave_error error = { "" };
		int status = clv_partition_parse(&spec, bad[i], strlen(bad[i]), &error);
		cr_assert_eq(status, -EINVAL, "'%s'", bad[i]);
		cr_assert(strstr(error.text, "partition"), "'%s': %s", bad[i], error.text);
		cr_assert_eq(spec.k, 77, "'%s'", bad[i]);
	}
}

Test(partition, table)
{
	unsigned count = 0;
	while (clv_partition_info_at(count)) {
		const struct clv_partition_info *info = clv_partition_info_at(count++);
		cr_assert(info->name[0] && info->summary[0]);
	}
	cr_assert_eq(count, 5);
}

/* ---- what every partition by CPU promises ---- */

/* Subset and object: apart, or one within the other. `of` gives a CPU's object. */
static void expect_nested(const struct clv_topology *topology,
			  const struct clv_partition *partition, size_t member, unsigned objects,
			  const char *what)
{
	unsigned *in_object = calloc(objects, sizeof(*in_object));
	unsigned *in_subset = calloc(partition->subsets, sizeof(*in_subset));
	unsigned *in_both = calloc((size_t)objects * partition->subsets, sizeof(*in_both));
	for (unsigned i = 0; i < topology->cpus; i++) {
		unsigned object = *(unsigned *)((char *)&topology->cpu[i] + member);
		unsigned subset = partition->subset_of_cpu[i];
		in_object[object]++;
		in_subset[subset]++;
		in_both[(size_t)object * partition->subsets + subset]++;
	}
	for (unsigned object = 0; object < objects; object++) {
		for (unsigned subset = 0; subset < partition->subsets; subset++) {
			unsigned both = in_both[(size_t)object * partition->subsets + subset];
			cr_assert(!both || both == in_object[object] || both == in_subset[subset],
				  "%s, cpu%u: subset %u straddles %s %u", topology->name,
				  partition->spec.k, subset, what, object);
		}
	}
	free(in_both);
	free(in_subset);
	free(in_object);
}

static void expect_neighbours(const struct clv_topology *topology,
			      const struct clv_partition *partition)
{
	const uint32_t *subset = partition->subset_of_cpu;
	unsigned run = 0;
	cr_assert_eq(subset[0], 0);
	for (unsigned i = 0; i < topology->cpus; i++) {
		bool same = i && subset[i] == subset[i - 1];
		cr_assert(!i || same || subset[i] == subset[i - 1] + 1, "%s, cpu%u: CPU %u",
			  topology->name, partition->spec.k, i);
		run = same ? run + 1 : 1;
		cr_assert_leq(run, partition->spec.k, "%s, cpu%u", topology->name,
			      partition->spec.k);
	}
	cr_assert_eq(partition->subsets, subset[topology->cpus - 1] + 1);
}

static void expect_nodes(const struct clv_topology *topology, const struct clv_partition *partition)
{
	for (unsigned subset = 0; subset < partition->subsets; subset++) {
		int node = -2;
		for (unsigned i = 0; i < topology->cpus; i++) {
			if (partition->subset_of_cpu[i] != subset)
				continue;
			int here = (int)topology->node_os[topology->cpu[i].node];
			node = node == -2 || node == here ? here : -1;
		}
		cr_assert_eq(partition->node_of_subset[subset], node, "%s, subset %u",
			     topology->name, subset);
	}
}

static void expect_kept(const struct clv_topology *topology, unsigned k)
{
	struct clv_partition_spec spec = { CLV_PART_CPU, k };
	struct clv_partition partition;
	cr_assert_eq(clv_partition_make(&partition, &spec, topology), 0);
	expect_neighbours(topology, &partition);
	expect_nested(topology, &partition, offsetof(struct clv_cpu, l3), topology->l3s, "L3");
	expect_nested(topology, &partition, offsetof(struct clv_cpu, node), topology->nodes,
		      "node");
	expect_nested(topology, &partition, offsetof(struct clv_cpu, package), topology->packages,
		      "package");
	expect_nodes(topology, &partition);
	clv_partition_fini(&partition);
}

Test(partition, cpus_on_every_machine)
{
	for (unsigned i = 0; i < MACHINES; i++) {
		struct clv_topology *topology = load_machine(machines[i].text);
		/* All small ones, and some beyond; a prime step meets every remainder. */
		for (unsigned k = 1; k <= topology->cpus + 40; k += k < 40 ? 1 : 7)
			expect_kept(topology, k);
		expect_kept(topology, 65536);
		clv_topology_free(topology);
	}
}

/* L3s of 1 to 9 CPUs in nodes and packages of different sizes. */
Test(partition, cpus_on_uneven_machines)
{
	static const unsigned l3_cpus[] = { 3, 5, 8, 1, 1, 9, 2, 7, 4, 4, 6 };
	static const unsigned node_of_l3[] = { 0, 0, 0, 1, 1, 2, 2, 2, 3, 4, 4 };
	static const unsigned package_of_node[] = { 0, 0, 1, 1, 2 };
	struct clv_cpu cpu[50];
	unsigned node_os[] = { 0, 1, 2, 3, 8 };
	struct clv_topology topology = {
		.cores = 50,
		.l3s = 11,
		.nodes = 5,
		.packages = 3,
		.has_l3 = true,
		.cpu = cpu,
		.node_os = node_os,
		.name = "uneven",
	};
	for (unsigned l3 = 0; l3 < 11; l3++) {
		for (unsigned i = 0; i < l3_cpus[l3]; i++, topology.cpus++) {
			unsigned node = node_of_l3[l3];
			cpu[topology.cpus] = (struct clv_cpu) {
				.os = topology.cpus,
				.core = topology.cpus,
				.l3 = l3,
				.node = node,
				.package = package_of_node[node],
			};
		}
	}
	cr_assert_eq(topology.cpus, 50);
	for (unsigned k = 1; k <= 60; k++)
		expect_kept(&topology, k);
	cr_assert_eq(count_subsets(&topology, "cpu50"), 1);
	cr_assert_eq(count_subsets(&topology, "cpu1"), 50);
	/* Packages have 18, 22 and 10 CPUs; nodes 16, 2, 18, 4 and 10. */
	cr_assert_eq(count_subsets(&topology, "cpu40"), 2);
	cr_assert_eq(count_subsets(&topology, "cpu22"), 3);
	cr_assert_eq(count_subsets(&topology, "cpu18"), 4);
}

/* ---- known counts ---- */

static void expect_counts(const char *machine, const char *const *texts, const unsigned *subsets)
{
	struct clv_topology *topology = load_machine(machine);
	for (unsigned i = 0; texts[i]; i++)
		cr_assert_eq(count_subsets(topology, texts[i]), subsets[i], "%s: %u", texts[i],
			     count_subsets(topology, texts[i]));
	clv_topology_free(topology);
}

Test(partition, counts)
{
	static const char *const texts[] = { "none",   "node",	"l3",	  "cpu1",   "cpu2",
					     "cpu3",   "cpu8",	"cpu12",  "cpu16",  "cpu24",
					     "cpu32",  "cpu64", "cpu192", "cpu383", "cpu384",
					     "hash16", NULL };
	/* L3 of 8 CPUs, 4 a node. cpu24: not 3 and 1, but 2 and 2 of a node's L3s. */
	static const unsigned hygon[] = { 1,  12, 48, 384, 192, 144, 48, 48,
					  24, 24, 12, 6,   2,	2,   1,	 16 };
	expect_counts(machines[0].text, texts, hygon);
	/* L3 of 16 CPUs, 2 a node. */
	static const unsigned wide[] = { 1,  12, 24, 384, 192, 144, 48, 48,
					 24, 24, 12, 6,	  2,   2,   1,	16 };
	expect_counts(machines[3].text, texts, wide);
	/* One L3 of 112 CPUs a node, two nodes. */
	static const unsigned xeon[] = { 1, 2, 2, 224, 112, 76, 28, 20, 14, 10, 8, 4, 2, 1, 1, 16 };
	expect_counts(machines[2].text, texts, xeon);
	/* One node. */
	static const unsigned epyc[] = {
		1, 1, 16, 256, 128, 96, 32, 32, 16, 16, 8, 4, 2, 1, 1, 16
	};
	expect_counts(machines[1].text, texts, epyc);
	static const unsigned one[] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 16 };
	expect_counts("pu:1", texts, one);
}

/* The parts of an object differ by one CPU at most. */
Test(partition, equal_parts)
{
	struct clv_topology *topology = load_machine("pack:1 [numa] l3:2 core:10 pu:1");
	struct clv_partition partition = make(topology, "cpu4");
	unsigned cpus[6] = { 0 };
	cr_assert_eq(partition.subsets, 6);
	for (unsigned i = 0; i < 20; i++)
		cpus[partition.subset_of_cpu[i]]++;
	for (unsigned i = 0; i < 6; i++)
		cr_assert(cpus[i] == 3 || cpus[i] == 4, "subset %u: %u", i, cpus[i]);
	clv_partition_fini(&partition);
	clv_topology_free(topology);
}

Test(partition, nodes_and_l3s)
{
	for (unsigned i = 0; i < MACHINES; i++) {
		struct clv_topology *topology = load_machine(machines[i].text);
		struct clv_partition node = make(topology, "node");
		struct clv_partition l3 = make(topology, "l3");
		cr_assert_eq(node.subsets, machines[i].nodes);
		cr_assert_eq(l3.subsets, machines[i].l3s);
		for (unsigned cpu = 0; cpu < topology->cpus; cpu++) {
			cr_assert_eq(clv_partition_subset(&node, cpu, NULL),
				     topology->cpu[cpu].node);
			cr_assert_eq(clv_partition_subset(&l3, cpu, NULL), topology->cpu[cpu].l3);
		}
		expect_nodes(topology, &node);
		expect_nodes(topology, &l3);
		clv_partition_fini(&node);
		clv_partition_fini(&l3);
		clv_topology_free(topology);
	}
}

/* node_of_subset has the system's numbers, not indexes. */
Test(partition, node_numbers)
{
	struct clv_topology *topology = load_machine("pack:2 [numa(indexes=7,3)] core:2 pu:1");
	struct clv_partition partition = make(topology, "node");
	cr_assert_eq(partition.node_of_subset[0], 7);
	cr_assert_eq(partition.node_of_subset[1], 3);
	clv_partition_fini(&partition);
	partition = make(topology, "cpu4");
	cr_assert_eq(partition.subsets, 1);
	cr_assert_eq(partition.node_of_subset[0], -1);
	clv_partition_fini(&partition);
	clv_topology_free(topology);
}

/* ---- hash ---- */

Test(partition, hash)
{
	enum { ENTRIES = 1 << 16 };
	struct clv_topology *topology = load_machine(machines[0].text);
	static const unsigned ks[] = { 1, 2, 3, 16, 384, 1000 };
	for (unsigned i = 0; i < sizeof(ks) / sizeof(ks[0]); i++) {
		char text[16];
		snprintf(text, sizeof(text), "hash%u", ks[i]);
		struct clv_partition partition = make(topology, text);
		unsigned *entries = calloc(ks[i], sizeof(*entries));
		cr_assert_eq(partition.subsets, ks[i]);
		cr_assert_null(partition.subset_of_cpu);
		for (uintptr_t at = 0; at < ENTRIES; at++) {
			void *entry = (void *)(0x7f0012340000u + at * 64);
			uint32_t subset = clv_partition_subset(&partition, 5, entry);
			cr_assert_lt(subset, ks[i]);
			cr_assert_eq(subset, clv_partition_subset(&partition, 300, entry));
			entries[subset]++;
		}
		for (unsigned subset = 0; subset < ks[i]; subset++) {
			cr_assert_eq(partition.node_of_subset[subset], -1);
			cr_assert(entries[subset] > ENTRIES / ks[i] / 2 &&
					  entries[subset] < ENTRIES / ks[i] * 2 + 1,
				  "hash%u: subset %u: %u", ks[i], subset, entries[subset]);
		}
		free(entries);
		clv_partition_fini(&partition);
	}
	clv_topology_free(topology);

	topology = load_machine("pack:1 [numa(indexes=4)] core:2 pu:1");
	struct clv_partition partition = make(topology, "hash2");
	cr_assert_eq(partition.node_of_subset[1], 4);
	clv_partition_fini(&partition);
	partition = make(topology, "none");
	cr_assert_eq(partition.node_of_subset[0], 4);
	cr_assert_eq(clv_partition_subset(&partition, 1, (void *)&partition), 0);
	clv_partition_fini(&partition);
	clv_topology_free(topology);
}
