/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A partition says which subset a new interval goes to: by the CPU of its maker or a hash of its
 * address. It is asked once an interval; the answer is stored in the entry (C7).
 */
#ifndef CLV_PARTITION_H
#define CLV_PARTITION_H

#include <stddef.h>
#include <stdint.h>

#include "topology.h"

struct cleave_entry;
struct cleave_error;

enum clv_partition_kind { CLV_PART_NONE, CLV_PART_NODE, CLV_PART_L3, CLV_PART_CPU, CLV_PART_HASH };

struct clv_partition_spec {
	enum clv_partition_kind kind;
	unsigned k; /* cpuK, hashK; else 0 */
};

struct clv_partition {
	struct clv_partition_spec spec;
	unsigned subsets;
	uint32_t *subset_of_cpu; /* [topology->cpus]; NULL for none and hash */
	/*
	 * The system's number; -1: CPUs of several nodes. [-1] is that of a subset of all CPUs, for
	 * schemes that have one before these.
	 */
	int *node_of_subset; /* [-1..subsets - 1] */
	unsigned cpus;		 /* the topology's */
};

/* Kinds for `list`: name as written ("cpuK"), one line each; NULL behind the last. */
struct clv_partition_info {
	const char *name;
	const char *summary;
};
const struct clv_partition_info *clv_partition_info_at(unsigned i);

/*
 * Parse "node", "l3", "cpu8", "hash16", "none". Returns: 0; -EINVAL with one line in error.
 */
int clv_partition_parse(struct clv_partition_spec *spec, const char *text, size_t length,
			struct cleave_error *error);
/* Write the canonical name; "" for none. */
void clv_partition_name(const struct clv_partition_spec *spec, char *out, size_t out_bytes);

/*
 * cpuK: subsets of at most K CPUs, neighbours in topology order. A subset is a part of one L3, or
 * some whole L3s of one node, or some whole nodes of one package, or some whole packages; each such
 * object is cut into as few and as equal parts as can be. So an L3 of 8 CPUs gives cpu12 one subset
 * of 8, and cpu3 subsets of 2, 3 and 3. (Where nodes are smaller than L3s, read it with the two
 * exchanged.)
 * none and hashK: any CPU uses any subset, so there is one node only if the machine has one.
 * The arrays come from clv_alloc. Returns: 0; -ENOMEM, with nothing left behind.
 */
int clv_partition_make(struct clv_partition *partition, const struct clv_partition_spec *spec,
		       const struct clv_topology *topology);
void clv_partition_fini(struct clv_partition *partition);

/* Subset for an entry made by a thread on CPU index `cpu`. */
static inline uint32_t clv_partition_subset(const struct clv_partition *partition, unsigned cpu,
					    const struct cleave_entry *entry)
{
	if (partition->subset_of_cpu)
		return partition->subset_of_cpu[cpu];
	if (partition->spec.kind != CLV_PART_HASH)
		return 0;
	/* Fibonacci hashing of the address; entries are at least 64 bytes apart. */
	uint64_t mixed = ((uint64_t)(uintptr_t)entry >> 6) * 0x9e3779b97f4a7c15u;
	return (uint32_t)(((mixed >> 32) * partition->subsets) >> 32);
}

/* Where a walk from this CPU may begin, so that not all begin at the same. */
static inline uint32_t clv_partition_first(const struct clv_partition *partition, unsigned cpu)
{
	return partition->subset_of_cpu ? partition->subset_of_cpu[cpu] : cpu % partition->subsets;
}

#endif
