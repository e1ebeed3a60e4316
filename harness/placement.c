// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Every named placement is an order of all CPUs, of which N threads take the first N: so more
 * threads use a superset of the CPUs that fewer do, and curves over N change one thing at a time.
 * An order is a sort by a few keys, the CPU's index breaking ties. All orders take a
 * core's first CPU before its siblings, within the unit that they fill. (hwloc_distrib, for some N,
 * uses siblings while cores are free.)
 */
#include "placement.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/error.h"

#define KEYS 4

struct slot {
	unsigned key[KEYS];
	unsigned cpu; /* index */
};

enum order { CORES_FIRST, L3_FILL, NODE_FILL, SPREAD, ORDERS };

static const struct clv_placement_info infos[] = {
	[CORES_FIRST] = { "cores-first",
			  "one thread per core in topology order, then the cores' SMT siblings" },
	[L3_FILL] = { "l3-fill", "all cores of an L3, then their SMT siblings, then the next L3" },
	[NODE_FILL] = { "node-fill",
			"all cores of a NUMA node, then their SMT siblings, then the next node" },
	[SPREAD] = { "spread", "round robin over the NUMA nodes (packages in turn), in a node over "
			       "its L3s, cores before SMT siblings" },
	[ORDERS] = { "LIST", "system numbers of CPUs in the order of the threads, as 0,2,4-7" },
};

const struct clv_placement_info *clv_placement_info_at(unsigned i)
{
	return i < sizeof(infos) / sizeof(infos[0]) ? &infos[i] : NULL;
}

/* ---- named orders ---- */

static int compare_slots(const void *left, const void *right)
{
	const struct slot *a = left;
	const struct slot *b = right;
	for (unsigned i = 0; i < KEYS; i++)
		if (a->key[i] != b->key[i])
			return a->key[i] < b->key[i] ? -1 : 1;
	return a->cpu < b->cpu ? -1 : a->cpu > b->cpu;
}

static void sort_slots(const struct clv_topology *topology, struct slot *slots)
{
	qsort(slots, topology->cpus, sizeof(*slots), compare_slots);
}

/*
 * Position of each node when packages take turns: nodes 0 to 5 in package 0 and 6 to 11 in package
 * 1 are taken as 0, 6, 1, 7 and on. `turn` and `seen` have zeroes for each node and package.
 */
static void order_nodes(const struct clv_topology *topology, unsigned *turn, unsigned *seen)
{
	for (unsigned i = 0; i < topology->cpus; i++) {
		const struct clv_cpu *cpu = &topology->cpu[i];
		if (turn[cpu->node])
			continue;
		unsigned rank = seen[cpu->package]++;
		turn[cpu->node] = 1 + rank * topology->packages + cpu->package;
	}
}

/* Number the CPUs of each run of slots that share their first `keys` keys. */
static void rank_runs(const struct slot *slots, unsigned count, unsigned keys, unsigned *rank)
{
	for (unsigned i = 0, first = 0; i < count; i++) {
		if (memcmp(slots[i].key, slots[first].key, keys * sizeof(slots[i].key[0])) != 0)
			first = i;
		rank[slots[i].cpu] = i - first;
	}
}

/* `rank`, `turn`, `seen`: zeroes for each CPU, node, package. */
static void order_spread(const struct clv_topology *topology, struct slot *slots, unsigned *rank,
			 unsigned *turn, unsigned *seen)
{
	const struct clv_cpu *cpu = topology->cpu;
	const unsigned cpus = topology->cpus;

	/* Within an L3: the cores, and each level of siblings, by themselves. */
	for (unsigned i = 0; i < cpus; i++)
		slots[i] = (struct slot) { .key = { cpu[i].l3, cpu[i].smt }, .cpu = i };
	sort_slots(topology, slots);
	rank_runs(slots, cpus, 2, rank);

	/* Within a node: cores before siblings, its L3s in turn. */
	for (unsigned i = 0; i < cpus; i++)
		slots[i] = (struct slot) { .key = { cpu[i].node, cpu[i].smt, rank[i], cpu[i].l3 },
					   .cpu = i };
	sort_slots(topology, slots);
	rank_runs(slots, cpus, 1, rank);

	/* The nodes in turn. */
	order_nodes(topology, turn, seen);
	for (unsigned i = 0; i < cpus; i++)
		slots[i] = (struct slot) { .key = { rank[i], turn[cpu[i].node] }, .cpu = i };
	sort_slots(topology, slots);
}

static void order_filling(const struct clv_topology *topology, enum order order, struct slot *slots)
{
	for (unsigned i = 0; i < topology->cpus; i++) {
		const struct clv_cpu *cpu = &topology->cpu[i];
		unsigned unit = order == L3_FILL ? cpu->l3 : order == NODE_FILL ? cpu->node : 0;
		slots[i] = (struct slot) { .key = { unit, cpu->smt }, .cpu = i };
	}
	sort_slots(topology, slots);
}

/* ---- lists ---- */

/* Returns: 0 with *at behind the number; -EINVAL if there is none or it is too large. */
static int read_number(const char **at, unsigned *number)
{
	unsigned value = 0;
	const char *first = *at;
	for (; **at >= '0' && **at <= '9'; (*at)++) {
		value = value * 10 + (unsigned)(**at - '0');
		if (value > 1u << 24)
			return -EINVAL;
	}
	*number = value;
	return *at == first ? -EINVAL : 0;
}

/* One CPU of the list, at character `at` of it. `used` has a flag for each CPU. */
static int append_cpu(const struct clv_topology *topology, unsigned os, size_t at, bool *used,
		      unsigned *list, unsigned *count, struct cleave_error *error)
{
	int index = clv_topology_index(topology, (int)os);
	if (index < 0)
		return clv_error(error, -EINVAL, "no such CPU: %u: character %zu of the placement",
				 os, at);
	if (used[index])
		return clv_error(error, -EINVAL, "CPU twice: %u: character %zu of the placement",
				 os, at);
	used[index] = true;
	list[(*count)++] = (unsigned)index;
	return 0;
}

/* `list` and `used` have room for each CPU; none is there twice. */
static int read_list(const struct clv_topology *topology, const char *text, bool *used,
		     unsigned *list, unsigned *count, struct cleave_error *error)
{
	for (const char *at = text;; at++) {
		const char *item = at;
		size_t where = (size_t)(item - text) + 1;
		unsigned start;
		if (read_number(&at, &start))
			goto malformed;
		unsigned last = start;
		if (*at == '-') {
			at++;
			if (read_number(&at, &last) || last < start)
				goto malformed;
		}
		if (*at && *at != ',')
			goto malformed;
		/* A number without a CPU ends the loop, so a huge range costs nothing. */
		for (unsigned os = start; os <= last; os++) {
			int status = append_cpu(topology, os, where, used, list, count, error);
			if (status)
				return status;
		}
		if (!*at)
			return 0;
		continue;
	malformed:
		return clv_error(error, -EINVAL,
				 "not a list of CPUs as 0,2,4-7: '%.80s': character %zu", text,
				 where);
	}
}

/* ---- both ---- */

static int take_list(const struct clv_topology *topology, const char *text, unsigned threads,
		     bool oversubscribe, unsigned *cpu_index, struct cleave_error *error)
{
	unsigned *list = calloc(topology->cpus, sizeof(*list));
	bool *used = calloc(topology->cpus, sizeof(*used));
	unsigned count = 0;
	int status = list && used ? read_list(topology, text, used, list, &count, error)
				  : clv_error(error, -ENOMEM, "no memory: placement");
	if (!status && threads > count && !oversubscribe)
		status = clv_error(error, -ERANGE,
				   "more threads than CPUs in the list: %u: '%.80s' "
				   "has %u",
				   threads, text, count);
	for (unsigned i = 0; !status && i < threads; i++)
		cpu_index[i] = list[i % count];
	free(used);
	free(list);
	return status;
}

static int take_order(const struct clv_topology *topology, enum order order, unsigned threads,
		      unsigned *cpu_index, struct cleave_error *error)
{
	struct slot *slots = calloc(topology->cpus, sizeof(*slots));
	/* There are no more nodes or packages than CPUs. */
	unsigned *scratch = calloc(3 * (size_t)topology->cpus, sizeof(*scratch));
	int status = 0;
	if (!slots || !scratch)
		status = clv_error(error, -ENOMEM, "no memory: placement");
	else if (order == SPREAD)
		order_spread(topology, slots, scratch, scratch + topology->cpus,
			     scratch + 2 * (size_t)topology->cpus);
	else
		order_filling(topology, order, slots);
	for (unsigned i = 0; !status && i < threads; i++)
		cpu_index[i] = slots[i % topology->cpus].cpu;
	free(scratch);
	free(slots);
	return status;
}

int clv_placement_make(const struct clv_topology *topology, const char *name, unsigned threads,
		       bool oversubscribe, unsigned *cpu_index, struct cleave_error *error)
{
	if (!threads)
		return clv_error(error, -EINVAL, "nothing to place: 0 threads");
	if (name[0] >= '0' && name[0] <= '9')
		return take_list(topology, name, threads, oversubscribe, cpu_index, error);
	for (enum order order = 0; order < ORDERS; order++) {
		if (strcmp(name, infos[order].name) != 0)
			continue;
		if (threads > topology->cpus && !oversubscribe)
			return clv_error(error, -ERANGE,
					 "more threads than CPUs: %u: the machine has %u", threads,
					 topology->cpus);
		return take_order(topology, order, threads, cpu_index, error);
	}
	return clv_error(error, -EINVAL,
			 "unknown placement: '%.80s': known are cores-first, l3-fill, node-fill, "
			 "spread, or a list as 0,2,4-7",
			 name);
}

/* ---- what is reached when ---- */

/* Is an object's number met for the first time? `seen` has a flag for each. */
static bool is_new(bool *seen, unsigned number)
{
	bool was = seen[number];
	seen[number] = true;
	return !was;
}

/* `seen`: zeroes, three for each CPU; there are no more nodes, packages or cores than that. */
static void find_firsts(const struct clv_topology *topology, const unsigned *cpu_index, bool *seen,
			unsigned char *first)
{
	const unsigned cpus = topology->cpus;
	bool siblings = false;
	for (unsigned i = 0; i < cpus; i++) {
		const struct clv_cpu *cpu = &topology->cpu[cpu_index[i]];
		/* A list of fewer CPUs starts again, and reaches nothing more. */
		if (i && cpu_index[i] == cpu_index[0])
			return;
		first[i] |= is_new(seen, cpu->node) ? CLV_FIRST_OF_NODE : 0;
		first[i] |= is_new(seen + cpus, cpu->package) ? CLV_FIRST_OF_PACKAGE : 0;
		if (!is_new(seen + 2 * (size_t)cpus, cpu->core) && !siblings) {
			first[i] |= CLV_FIRST_SIBLING;
			siblings = true;
		}
		if (!i)
			first[i] = 0;
	}
}

int clv_placement_firsts(const struct clv_topology *topology, const char *name,
			 unsigned char *first, struct cleave_error *error)
{
	const unsigned cpus = topology->cpus;
	unsigned *cpu_index = calloc(cpus, sizeof(*cpu_index));
	bool *seen = calloc(3 * (size_t)cpus, sizeof(*seen));
	int status = cpu_index && seen
			     ? clv_placement_make(topology, name, cpus, true, cpu_index, error)
			     : clv_error(error, -ENOMEM, "no memory: placement");
	memset(first, 0, cpus);
	if (!status)
		find_firsts(topology, cpu_index, seen, first);
	free(seen);
	free(cpu_index);
	return status;
}
