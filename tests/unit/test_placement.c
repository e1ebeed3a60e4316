// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Placements on every machine and for every number of threads; lists; and binding.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../harness/pin.h"
#include "../../harness/placement.h"
#include "machines.h"

static unsigned *place(const struct clv_topology *topology, const char *name, unsigned threads)
{
	struct cleave_error error = { "" };
	unsigned *cpu = calloc(threads, sizeof(*cpu));
	int status = clv_placement_make(topology, name, threads, false, cpu, &error);
	cr_assert_eq(status, 0, "%s: %s", name, error.text);
	return cpu;
}

/* How many threads each object has. `member`: where a CPU has the object's number. */
static void count_threads(const struct clv_topology *topology, const unsigned *cpu,
			  unsigned threads, size_t member, unsigned *count)
{
	memset(count, 0, topology->cpus * sizeof(*count));
	for (unsigned i = 0; i < threads; i++)
		count[*(unsigned *)((char *)&topology->cpu[cpu[i]] + member)]++;
}

static unsigned largest(const unsigned *count, unsigned objects)
{
	unsigned most = 0;
	for (unsigned i = 0; i < objects; i++)
		most = count[i] > most ? count[i] : most;
	return most;
}

static unsigned smallest(const unsigned *count, unsigned objects)
{
	unsigned least = ~0u;
	for (unsigned i = 0; i < objects; i++)
		least = count[i] < least ? count[i] : least;
	return least;
}

static void expect_refused(const struct clv_topology *topology, const char *name, unsigned threads,
			   bool oversubscribe, int status, const char *part)
{
	struct cleave_error error = { "" };
	unsigned *cpu = calloc(threads + 1, sizeof(*cpu));
	int got = clv_placement_make(topology, name, threads, oversubscribe, cpu, &error);
	cr_assert_eq(got, status, "%s: %d, %s", name, got, error.text);
	cr_assert(strstr(error.text, part), "%s: %s", name, error.text);
	for (unsigned i = 0; i <= threads; i++)
		cr_assert_eq(cpu[i], 0, "%s: half written", name);
	free(cpu);
}

/* ---- named orders ---- */

Test(placement, table)
{
	unsigned count = 0;
	while (clv_placement_info_at(count)) {
		const struct clv_placement_info *info = clv_placement_info_at(count++);
		cr_assert(info->name[0] && info->summary[0]);
	}
	cr_assert_eq(count, 5);
}

/* All CPUs differ, and fewer threads take the first of those that more do. */
Test(placement, distinct)
{
	for (unsigned i = 0; i < MACHINES; i++) {
		struct clv_topology *topology = load_machine(machines[i].text);
		for (unsigned order = 0; order < 4; order++) {
			const char *name = clv_placement_info_at(order)->name;
			unsigned *all = place(topology, name, topology->cpus);
			unsigned *count = calloc(topology->cpus, sizeof(*count));
			for (unsigned t = 0; t < topology->cpus; t++)
				count[all[t]]++;
			cr_assert_eq(smallest(count, topology->cpus), 1, "%s", name);
			for (unsigned threads = 1; threads < topology->cpus; threads += 13) {
				unsigned *some = place(topology, name, threads);
				cr_assert_eq(memcmp(some, all, threads * sizeof(*all)), 0);
				free(some);
			}
			expect_refused(topology, name, topology->cpus + 1, false, -ERANGE, "more");
			free(count);
			free(all);
		}
		clv_topology_free(topology);
	}
}

/* cores-first and spread use a sibling only when no core (of the node) is free. */
Test(placement, siblings_last)
{
	for (unsigned i = 0; i < MACHINES; i++) {
		struct clv_topology *topology = load_machine(machines[i].text);
		unsigned *count = calloc(topology->cpus, sizeof(*count));
		static const char *const names[] = { "cores-first", "spread" };
		for (unsigned n = 0; n < 2; n++) {
			unsigned *cpu = place(topology, names[n], topology->cores);
			count_threads(topology, cpu, topology->cores,
				      offsetof(struct clv_cpu, core), count);
			cr_assert_eq(largest(count, topology->cores), 1, "%s, %s", names[n],
				     machines[i].text);
			free(cpu);
		}
		free(count);
		clv_topology_free(topology);
	}
}

Test(placement, cores_first_in_order)
{
	struct clv_topology *topology = load_machine(machines[0].text);
	unsigned *cpu = place(topology, "cores-first", 384);
	for (unsigned t = 0; t < 384; t++)
		cr_assert_eq(topology->cpu[cpu[t]].os, t, "thread %u", t);
	free(cpu);
	clv_topology_free(topology);
}

/* Filled units are full before the next begins, cores before siblings in each. */
static void expect_filled(const char *name, size_t member, unsigned unit_cpus)
{
	struct clv_topology *topology = load_machine(machines[0].text);
	unsigned *cpu = place(topology, name, 384);
	for (unsigned t = 0; t < 384; t++) {
		const struct clv_cpu *at = &topology->cpu[cpu[t]];
		cr_assert_eq(*(unsigned *)((char *)at + member), t / unit_cpus, "%s, thread %u",
			     name, t);
		cr_assert_eq(at->smt, t % unit_cpus >= unit_cpus / 2, "%s, thread %u", name, t);
	}
	free(cpu);
	clv_topology_free(topology);
}

Test(placement, filled)
{
	expect_filled("l3-fill", offsetof(struct clv_cpu, l3), 8);
	expect_filled("node-fill", offsetof(struct clv_cpu, node), 32);
}

/* Of any number of threads: nodes, packages, and L3s differ by one at most. */
Test(placement, spread_evenly)
{
	for (unsigned i = 0; i < MACHINES; i++) {
		struct clv_topology *topology = load_machine(machines[i].text);
		unsigned *count = calloc(topology->cpus, sizeof(*count));
		const struct {
			size_t member;
			unsigned objects;
		} levels[] = {
			{ offsetof(struct clv_cpu, node), topology->nodes },
			{ offsetof(struct clv_cpu, package), topology->packages },
			{ offsetof(struct clv_cpu, l3), topology->l3s },
		};
		for (unsigned threads = 1; threads <= topology->cpus; threads++) {
			unsigned *cpu = place(topology, "spread", threads);
			for (unsigned level = 0; level < 3; level++) {
				unsigned objects = levels[level].objects;
				count_threads(topology, cpu, threads, levels[level].member, count);
				cr_assert_leq(largest(count, objects) - smallest(count, objects), 1,
					      "%s: %u threads, level %u", machines[i].text, threads,
					      level);
			}
			free(cpu);
		}
		free(count);
		clv_topology_free(topology);
	}
}

Test(placement, spread_on_12_nodes)
{
	struct clv_topology *topology = load_machine(machines[0].text);
	unsigned count[384];
	static const unsigned threads[] = { 12, 96, 384 };
	for (unsigned i = 0; i < 3; i++) {
		unsigned *cpu = place(topology, "spread", threads[i]);
		count_threads(topology, cpu, threads[i], offsetof(struct clv_cpu, node), count);
		cr_assert_eq(smallest(count, 12), threads[i] / 12);
		cr_assert_eq(largest(count, 12), threads[i] / 12);
		free(cpu);
	}
	/* Two threads are on two packages. */
	unsigned *cpu = place(topology, "spread", 2);
	cr_assert_neq(topology->cpu[cpu[0]].package, topology->cpu[cpu[1]].package);
	free(cpu);
	clv_topology_free(topology);
}

/* Nodes of 2 and 6 CPUs, and cores of 1 and 2: the small ones run out. */
Test(placement, uneven)
{
	struct clv_cpu cpu[8];
	unsigned node_os[] = { 0, 1 };
	static const unsigned core[] = { 0, 0, 1, 2, 2, 3, 4, 4 };
	static const unsigned smt[] = { 0, 1, 0, 0, 1, 0, 0, 1 };
	struct clv_topology topology = {
		.cpus = 8,
		.cores = 5,
		.l3s = 3,
		.nodes = 2,
		.packages = 1,
		.cpu = cpu,
		.node_os = node_os,
	};
	for (unsigned i = 0; i < 8; i++)
		cpu[i] = (struct clv_cpu) { .os = i,
					    .core = core[i],
					    .smt = smt[i],
					    .l3 = i < 2	  ? 0
						  : i < 5 ? 1
							  : 2,
					    .node = i >= 2 };
	static const unsigned spread[] = { 0, 2, 1, 5, 3, 6, 4, 7 };
	static const unsigned cores_first[] = { 0, 2, 3, 5, 6, 1, 4, 7 };
	unsigned *got = place(&topology, "spread", 8);
	for (unsigned i = 0; i < 8; i++)
		cr_assert_eq(got[i], spread[i], "thread %u: %u", i, got[i]);
	free(got);
	got = place(&topology, "cores-first", 8);
	for (unsigned i = 0; i < 8; i++)
		cr_assert_eq(got[i], cores_first[i], "thread %u: %u", i, got[i]);
	free(got);
}

Test(placement, oversubscribed)
{
	struct clv_topology *topology = load_machine(machines[5].text);
	unsigned cpu[25];
	for (unsigned order = 0; order < 4; order++) {
		const char *name = clv_placement_info_at(order)->name;
		cr_assert_eq(clv_placement_make(topology, name, 25, true, cpu, NULL), 0);
		for (unsigned i = 0; i < 15; i++)
			cr_assert_eq(cpu[i + 10], cpu[i], "%s, thread %u", name, i);
	}
	cr_assert_eq(clv_placement_make(topology, "7,2,3", 5, true, cpu, NULL), 0);
	cr_assert(cpu[0] == 7 && cpu[2] == 3 && cpu[3] == 7 && cpu[4] == 2);
	clv_topology_free(topology);
}

/* ---- lists ---- */

/* The threads that are the first of something, "17 33 49 ...", counted from 1. */
static void expect_firsts(unsigned machine, const char *name, unsigned bit, const char *wanted)
{
	struct clv_topology *topology = load_machine(machines[machine].text);
	struct cleave_error error = { "" };
	unsigned char *first = malloc(topology->cpus);
	char found[512] = "";
	memset(first, 0xff, topology->cpus);
	cr_assert_eq(clv_placement_firsts(topology, name, first, &error), 0, "%s", error.text);
	for (unsigned i = 0; i < topology->cpus; i++)
		if (first[i] & bit)
			snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s%u",
				 found[0] ? " " : "", i + 1);
	cr_assert_str_eq(found, wanted, "%s on %s, bit %u: %s", name, machines[machine].text, bit,
			 found);
	free(first);
	clv_topology_free(topology);
}

Test(placement, firsts)
{
	const char *each_core_node = "17 33 49 65 81 97 113 129 145 161 177";
	expect_firsts(0, "cores-first", CLV_FIRST_OF_NODE, each_core_node);
	expect_firsts(0, "cores-first", CLV_FIRST_OF_PACKAGE, "97");
	expect_firsts(0, "cores-first", CLV_FIRST_SIBLING, "193");
	expect_firsts(0, "node-fill", CLV_FIRST_OF_NODE, "33 65 97 129 161 193 225 257 289 321 353");
	expect_firsts(0, "node-fill", CLV_FIRST_OF_PACKAGE, "193");
	expect_firsts(0, "node-fill", CLV_FIRST_SIBLING, "17");
	expect_firsts(0, "spread", CLV_FIRST_OF_NODE, "2 3 4 5 6 7 8 9 10 11 12");
	expect_firsts(0, "spread", CLV_FIRST_OF_PACKAGE, "2");
	expect_firsts(1, "cores-first", CLV_FIRST_OF_NODE, "");
	expect_firsts(5, "cores-first", CLV_FIRST_OF_NODE, "6");
	expect_firsts(5, "cores-first", CLV_FIRST_SIBLING, "");
	/* A list of three CPUs, on two packages. */
	expect_firsts(5, "0,1,9", CLV_FIRST_OF_PACKAGE, "3");
	expect_firsts(5, "0,1,9", CLV_FIRST_SIBLING, "");
	expect_firsts(6, "cores-first", 0xff, "");
}

Test(placement, lists)
{
	struct clv_topology *topology = load_machine(machines[0].text);
	unsigned *cpu = place(topology, "0,192,5,7-9,383", 7);
	/* System numbers: 192 is the sibling of 0, index 1. */
	static const unsigned expected[] = { 0, 1, 10, 14, 16, 18, 383 };
	for (unsigned i = 0; i < 7; i++)
		cr_assert_eq(cpu[i], expected[i], "thread %u: %u", i, cpu[i]);
	free(cpu);
	free(place(topology, "0-383", 384));
	free(place(topology, "00,001", 2));
	/* More CPUs than threads: the first. */
	cpu = place(topology, "9,8,7", 1);
	cr_assert_eq(cpu[0], 18);
	free(cpu);
	clv_topology_free(topology);
}

Test(placement, bad_names)
{
	struct clv_topology *topology = load_machine(machines[0].text);
	static const char *const unknown[] = {
		"", "Spread", "spread ", "cores", "-1", ",0", "LIST"
	};
	for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		expect_refused(topology, unknown[i], 1, false, -EINVAL, "unknown placement");
	static const struct {
		const char *text, *part;
	} malformed[] = {
		{ "0,", "character 3" },	 { "0,,1", "character 3" },
		{ "0 ", "character 1" },	 { "0-", "character 1" },
		{ "0,3-1", "character 3" },	 { "0,1-2-3", "character 3" },
		{ "0x1", "character 1" },	 { "1.5", "character 1" },
		{ "0,a", "character 3" },	 { "99999999999", "character 1" },
		{ "4294967296", "character 1" }, { "0-18446744073709551616", "character 1" },
	};
	for (unsigned i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		expect_refused(topology, malformed[i].text, 1, false, -EINVAL, malformed[i].part);
	expect_refused(topology, "0,384", 1, false, -EINVAL, "no such CPU: 384: character 3");
	expect_refused(topology, "0-16000000", 1, false, -EINVAL, "no such CPU: 384: character 1");
	expect_refused(topology, "1,2,1", 1, false, -EINVAL, "CPU twice: 1: character 5");
	expect_refused(topology, "0-4,3-5", 1, true, -EINVAL, "CPU twice: 3: character 5");
	expect_refused(topology, "0,1", 3, false, -ERANGE, "has 2");
	expect_refused(topology, "spread", 385, false, -ERANGE, "has 384");
	expect_refused(topology, "spread", 0, false, -EINVAL, "0 threads");
	expect_refused(topology, "0", 0, true, -EINVAL, "0 threads");
	clv_topology_free(topology);
}

/* ---- binding ---- */

struct pinned {
	unsigned os;
	int status, checked, other;
	struct cleave_error error;
};

static void *pin_and_leave(void *arg)
{
	struct pinned *pinned = arg;
	pinned->status = clv_pin(pinned->os, &pinned->error);
	pinned->checked = clv_pin_check(pinned->os, NULL);
	pinned->other = clv_pin_check(pinned->os + 1, &pinned->error);
	return NULL;
}

Test(pin, every_cpu)
{
	struct clv_topology *topology = load_machine(NULL);
	for (unsigned i = 0; i < topology->cpus; i++) {
		struct pinned pinned = { .os = topology->cpu[i].os };
		pthread_t thread;
		cr_assert_eq(pthread_create(&thread, NULL, pin_and_leave, &pinned), 0);
		pthread_join(thread, NULL);
		cr_assert_eq(pinned.status, 0, "%s", pinned.error.text);
		cr_assert_eq(pinned.checked, 0);
		cr_assert_eq(pinned.other, -EXDEV);
		cr_assert(strstr(pinned.error.text, "did not hold"), "%s", pinned.error.text);
	}
	clv_topology_free(topology);
}

/* A binding that is widened afterwards no longer holds, even if the thread stays where it is. */
static void *pin_and_widen(void *arg)
{
	struct pinned *pinned = arg;
	cpu_set_t before;
	sched_getaffinity(0, sizeof(before), &before);
	pinned->status = clv_pin(pinned->os, &pinned->error);
	sched_setaffinity(0, sizeof(before), &before);
	pinned->checked =
		CPU_COUNT(&before) > 1 ? clv_pin_check(pinned->os, &pinned->error) : -EXDEV;
	return NULL;
}

Test(pin, widened)
{
	struct clv_topology *topology = load_machine(NULL);
	struct pinned pinned = { .os = topology->cpu[0].os };
	pthread_t thread;
	cr_assert_eq(pthread_create(&thread, NULL, pin_and_widen, &pinned), 0);
	pthread_join(thread, NULL);
	cr_assert_eq(pinned.status, 0);
	cr_assert_eq(pinned.checked, -EXDEV);
	clv_topology_free(topology);
}

Test(pin, no_such_cpu)
{
	struct cleave_error error = { "" };
	cr_assert_eq(clv_pin(60000, &error), -EINVAL);
	cr_assert(strstr(error.text, "CPU 60000"), "%s", error.text);
	cr_assert_eq(clv_pin(65536, &error), -EINVAL);
	cr_assert_eq(clv_pin(~0u, NULL), -EINVAL);
	cr_assert_eq(clv_pin_check(~0u, NULL), -EXDEV);
}
