// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Makes the table from CPU to subset that a map reads once per new interval. Written when the map
 * is opened, read by any thread afterwards. Cost: a pass over the CPUs for each level of the
 * machine.
 */
#include "partition.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "shim/shim.h"

#define K_LIMIT 65536u

/* In the order of enum clv_partition_kind. */
static const struct kind {
	struct clv_partition_info info;
	const char *word;
	bool takes_k;
} kinds[] = {
	[CLV_PART_NONE] = { { "none", "one subset for all CPUs" }, "none", false },
	[CLV_PART_NODE] = { { "node", "one subset per NUMA node" }, "node", false },
	[CLV_PART_L3] = { { "l3", "one subset per L3 cache" }, "l3", false },
	[CLV_PART_CPU] = { { "cpuK", "one subset per K neighbouring CPUs, within an L3 or of whole "
				     "L3s, 1 to 65536" },
			   "cpu",
			   true },
	[CLV_PART_HASH] = { { "hashK", "K subsets, chosen by a hash of the entry's address, 1 to "
				       "65536" },
			    "hash",
			    true },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

const struct clv_partition_info *clv_partition_info_at(unsigned i)
{
	return i < KINDS ? &kinds[i].info : NULL;
}

/* ---- names ---- */

/* 1 to K_LIMIT in plain digits. Returns: 0 for anything else. */
static unsigned parse_k(const char *text, size_t length)
{
	unsigned k = 0;
	if (!length || text[0] == '0')
		return 0;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return 0;
		k = k * 10 + (unsigned)(text[i] - '0');
		if (k > K_LIMIT)
			return 0;
	}
	return k;
}

int clv_partition_parse(struct clv_partition_spec *spec, const char *text, size_t length,
			struct cleave_error *error)
{
	int shown = length > 40 ? 40 : (int)length;
	for (unsigned i = 0; i < KINDS; i++) {
		size_t word = strlen(kinds[i].word);
		if (length < word || memcmp(text, kinds[i].word, word) != 0)
			continue;
		unsigned k = kinds[i].takes_k ? parse_k(text + word, length - word) : 0;
		if (kinds[i].takes_k && !k)
			return clv_error(error, -EINVAL,
					 "partition needs a number: '%.*s': %s with K from 1 to %u",
					 shown, text, kinds[i].info.name, K_LIMIT);
		if (!kinds[i].takes_k && length != word)
			continue;
		*spec = (struct clv_partition_spec) { .kind = (enum clv_partition_kind)i, .k = k };
		return 0;
	}
	return clv_error(error, -EINVAL,
			 "unknown partition: '%.*s': known are none, node, l3, cpuK, hashK", shown,
			 text);
}

void clv_partition_name(const struct clv_partition_spec *spec, char *out, size_t out_bytes)
{
	const struct kind *kind = &kinds[spec->kind];
	if (spec->kind == CLV_PART_NONE)
		snprintf(out, out_bytes, "%s", "");
	else if (kind->takes_k)
		snprintf(out, out_bytes, "%s%u", kind->word, spec->k);
	else
		snprintf(out, out_bytes, "%s", kind->word);
}

/* ---- cpuK ---- */

/*
 * The CPUs in topology order, as consecutive units. At first each CPU is one. For each level, from
 * small objects to large, the units of an object become one, if they have fewer than K CPUs
 * together; else they are merged into the subsets of that object, which are final.
 */
struct unit {
	unsigned first; /* CPU index */
	unsigned cpus;
	bool final;
};

enum level { LEVEL_L3, LEVEL_NODE, LEVEL_PACKAGE, LEVEL_MACHINE };

static unsigned object_at(const struct clv_topology *topology, enum level level, unsigned cpu)
{
	switch (level) {
	case LEVEL_L3:
		return topology->cpu[cpu].l3;
	case LEVEL_NODE:
		return topology->cpu[cpu].node;
	case LEVEL_PACKAGE:
		return topology->cpu[cpu].package;
	case LEVEL_MACHINE:
		break;
	}
	return 0;
}

/* Parts that units of `sum` CPUs give if each takes units as long as it stays within `limit`. */
static unsigned count_parts(const struct unit *units, unsigned count, unsigned limit)
{
	unsigned parts = 0;
	unsigned room = 0;
	for (unsigned i = 0; i < count; i++) {
		if (units[i].cpus > room) {
			parts++;
			room = limit;
		}
		room -= units[i].cpus;
	}
	return parts;
}

/*
 * Merge units[0..count) into as few final units of at most k CPUs as can be, and these as equal as
 * can be. pre: none has more than k. Returns: how many are left, at the front.
 */
static unsigned pack_units(struct unit *units, unsigned count, unsigned k)
{
	unsigned parts = count_parts(units, count, k);
	unsigned limit = k;
	unsigned largest = 0;
	for (unsigned i = 0; i < count; i++)
		largest = units[i].cpus > largest ? units[i].cpus : largest;
	while (limit > largest && count_parts(units, count, limit - 1) == parts)
		limit--;

	bool uniform = true;
	for (unsigned i = 1; i < count; i++)
		uniform &= units[i].cpus == units[0].cpus;

	unsigned made = 0;
	unsigned room = 0;
	for (unsigned i = 0; i < count; i++) {
		struct unit unit = units[i]; /* units[made] may be the same */
		/* Equal units go by number, so that parts differ by one unit at most. */
		if (uniform ? i == made * count / parts : unit.cpus > room) {
			units[made++] = (struct unit) { .first = unit.first, .final = true };
			room = limit;
		}
		units[made - 1].cpus += unit.cpus;
		room -= unit.cpus;
	}
	return made;
}

/* The units of one object. Returns: how many are left, at the front. */
static unsigned pack_object(struct unit *units, unsigned count, unsigned k, bool machine)
{
	unsigned cpus = 0;
	bool final = machine;
	for (unsigned i = 0; i < count; i++) {
		cpus += units[i].cpus;
		final |= units[i].final;
	}
	if (!final && cpus < k) {
		units[0].cpus = cpus;
		return 1;
	}
	unsigned left = 0;
	for (unsigned i = 0; i < count;) {
		unsigned run = 0;
		while (i + run < count && !units[i + run].final)
			run++;
		unsigned made = run ? pack_units(units + i, run, k) : 1;
		memmove(units + left, units + i, made * sizeof(*units));
		left += made;
		i += run ? run : 1;
	}
	return left;
}

static unsigned pack_level(const struct clv_topology *topology, enum level level,
			   struct unit *units, unsigned count, unsigned k)
{
	unsigned left = 0;
	for (unsigned i = 0; i < count;) {
		unsigned object = object_at(topology, level, units[i].first);
		unsigned run = 1;
		while (i + run < count &&
		       object_at(topology, level, units[i + run].first) == object)
			run++;
		unsigned made = pack_object(units + i, run, k, level == LEVEL_MACHINE);
		memmove(units + left, units + i, made * sizeof(*units));
		left += made;
		i += run;
	}
	return left;
}

/* Number the CPUs' subsets. `units` has room for each CPU. Returns: how many subsets. */
static unsigned split_cpus(const struct clv_topology *topology, unsigned k, struct unit *units,
			   uint32_t *subset_of_cpu)
{
	/* Small objects first: there are more of them. */
	enum level levels[] = { LEVEL_L3, LEVEL_NODE, LEVEL_PACKAGE, LEVEL_MACHINE };
	const unsigned objects[] = { topology->l3s, topology->nodes, topology->packages };
	for (unsigned i = 1; i < 3; i++) {
		for (unsigned j = i; j && objects[levels[j]] > objects[levels[j - 1]]; j--) {
			enum level larger = levels[j - 1];
			levels[j - 1] = levels[j];
			levels[j] = larger;
		}
	}

	unsigned count = topology->cpus;
	for (unsigned i = 0; i < count; i++)
		units[i] = (struct unit) { .first = i, .cpus = 1 };
	for (unsigned i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		count = pack_level(topology, levels[i], units, count, k);
	for (unsigned i = 0; i < count; i++)
		for (unsigned cpu = 0; cpu < units[i].cpus; cpu++)
			subset_of_cpu[units[i].first + cpu] = i;
	return count;
}

/* ---- all kinds ---- */

static int fill_table(struct clv_partition *partition, const struct clv_topology *topology)
{
	uint32_t *table = partition->subset_of_cpu;
	switch (partition->spec.kind) {
	case CLV_PART_NONE:
		partition->subsets = 1;
		break;
	case CLV_PART_HASH:
		partition->subsets = partition->spec.k;
		break;
	case CLV_PART_NODE:
		partition->subsets = topology->nodes;
		for (unsigned i = 0; i < topology->cpus; i++)
			table[i] = topology->cpu[i].node;
		break;
	case CLV_PART_L3:
		partition->subsets = topology->l3s;
		for (unsigned i = 0; i < topology->cpus; i++)
			table[i] = topology->cpu[i].l3;
		break;
	case CLV_PART_CPU: {
		size_t bytes = topology->cpus * sizeof(struct unit);
		struct unit *units = clv_alloc(bytes, _Alignof(struct unit), -1);
		if (!units)
			return -ENOMEM;
		partition->subsets = split_cpus(topology, partition->spec.k, units, table);
		clv_free(units, bytes);
		break;
	}
	}
	return 0;
}

static void find_nodes(struct clv_partition *partition, const struct clv_topology *topology)
{
	enum { UNSEEN = -2, SEVERAL = -1 };
	int *node = partition->node_of_subset;
	const int any = topology->nodes == 1 ? (int)topology->node_os[0] : SEVERAL;
	node[-1] = any;
	if (!partition->subset_of_cpu) {
		for (unsigned i = 0; i < partition->subsets; i++)
			node[i] = any;
		return;
	}
	for (unsigned i = 0; i < partition->subsets; i++)
		node[i] = UNSEEN;
	for (unsigned i = 0; i < topology->cpus; i++) {
		int *of = &node[partition->subset_of_cpu[i]];
		int here = (int)topology->node_os[topology->cpu[i].node];
		*of = *of == UNSEEN || *of == here ? here : SEVERAL;
	}
}

static size_t nodes_bytes(const struct clv_partition *partition)
{
	return (partition->subsets + 1) * sizeof(*partition->node_of_subset);
}

int clv_partition_make(struct clv_partition *partition, const struct clv_partition_spec *spec,
		       const struct clv_topology *topology)
{
	*partition = (struct clv_partition) { .spec = *spec, .cpus = topology->cpus };
	if (spec->kind != CLV_PART_NONE && spec->kind != CLV_PART_HASH) {
		size_t bytes = topology->cpus * sizeof(*partition->subset_of_cpu);
		partition->subset_of_cpu = clv_alloc(bytes, CLV_CACHE_LINE, -1);
		if (!partition->subset_of_cpu)
			return -ENOMEM;
	}
	int status = fill_table(partition, topology);
	if (!status) {
		int *node = clv_alloc(nodes_bytes(partition), _Alignof(int), -1);
		partition->node_of_subset = node ? node + 1 : NULL;
		status = node ? 0 : -ENOMEM;
	}
	if (status)
		clv_partition_fini(partition);
	else
		find_nodes(partition, topology);
	return status;
}

void clv_partition_fini(struct clv_partition *partition)
{
	if (partition->subset_of_cpu)
		clv_free(partition->subset_of_cpu,
			 partition->cpus * sizeof(*partition->subset_of_cpu));
	if (partition->node_of_subset)
		clv_free(partition->node_of_subset - 1, nodes_bytes(partition));
	partition->subset_of_cpu = NULL;
	partition->node_of_subset = NULL;
}
