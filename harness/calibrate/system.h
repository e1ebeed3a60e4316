/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the system says of itself, by way of hwloc: nothing here is timed. */
#ifndef CLV_CALIBRATE_SYSTEM_H
#define CLV_CALIBRATE_SYSTEM_H

#include <stddef.h>
#include <stdint.h>

struct cleave_error;

struct clv_system_cache {
	uint64_t bytes; /* 0: no such cache, or not told */
	uint64_t ways;	/* 0: not told */
};

struct clv_system {
	struct clv_system_cache cache[3]; /* L1 (data), L2, L3 of the CPU asked for */
	char *xml;			  /* its topology, as hwloc exports it */
	size_t xml_bytes;
};

/*
 * The XML has the CPUs that this process may use, as clv_topology_load has.
 * Returns: 0; -ENOMEM; -EIO what hwloc could not do; with one line in error.
 */
int clv_system_read(struct clv_system *machine, unsigned cpu_os, struct cleave_error *error);
void clv_system_free(struct clv_system *machine);

#endif
