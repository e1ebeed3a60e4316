// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The table of what is in a machine file, and what stands there when nothing could be measured. */
#include <stdio.h>
#include <string.h>

#include "calibration.h"
#include "system.h"

#define NO_DISTANCE                                                                                \
	"not measured: no two CPUs of this machine are so far apart; order of a Zen 3 server"
#define NO_NODE "not measured: no memory of this machine is so far away; order of a Zen 3 server"
#define NO_CACHE "not told by the system; order of a Zen 3 core"
#define NO_PAIR "not measured: needs two CPUs; order of Linux on a server"

/* `why` follows "assumed: ". */
static const struct {
	const char *name, *unit;
	double assumed;
	const char *why;
} table[CLV_CAL_PARAMETERS] = {
	[CLV_CAL_L1_BYTES] = { "l1_bytes", "B", 32768, NO_CACHE },
	[CLV_CAL_L1_WAYS] = { "l1_ways", "", 8, NO_CACHE },
	[CLV_CAL_L2_BYTES] = { "l2_bytes", "B", 524288, NO_CACHE },
	[CLV_CAL_L2_WAYS] = { "l2_ways", "", 8, NO_CACHE },
	[CLV_CAL_L3_BYTES] = { "l3_bytes", "B", 33554432, NO_CACHE },
	[CLV_CAL_L3_WAYS] = { "l3_ways", "", 16, NO_CACHE },
	[CLV_CAL_L1] = { "l1_ns", "ns", 1.3, NO_CACHE },
	[CLV_CAL_L2] = { "l2_ns", "ns", 4, NO_CACHE },
	[CLV_CAL_L3] = { "l3_ns", "ns", 16, NO_CACHE },
	[CLV_CAL_MEMORY] = { "memory_ns.node", "ns", 110, NO_NODE },
	[CLV_CAL_MEMORY + 1] = { "memory_ns.package", "ns", 150, NO_NODE },
	[CLV_CAL_MEMORY + 2] = { "memory_ns.remote", "ns", 200, NO_NODE },
	[CLV_CAL_READ + CLV_DIST_CORE] = { "read_ns.core", "ns", 10, NO_DISTANCE },
	[CLV_CAL_READ + CLV_DIST_L3] = { "read_ns.l3", "ns", 25, NO_DISTANCE },
	[CLV_CAL_READ + CLV_DIST_NODE] = { "read_ns.node", "ns", 110, NO_DISTANCE },
	[CLV_CAL_READ + CLV_DIST_PACKAGE] = { "read_ns.package", "ns", 150, NO_DISTANCE },
	[CLV_CAL_READ + CLV_DIST_REMOTE] = { "read_ns.remote", "ns", 200, NO_DISTANCE },
	[CLV_CAL_WRITE + CLV_DIST_CORE] = { "write_ns.core", "ns", 10, NO_DISTANCE },
	[CLV_CAL_WRITE + CLV_DIST_L3] = { "write_ns.l3", "ns", 25, NO_DISTANCE },
	[CLV_CAL_WRITE + CLV_DIST_NODE] = { "write_ns.node", "ns", 110, NO_DISTANCE },
	[CLV_CAL_WRITE + CLV_DIST_PACKAGE] = { "write_ns.package", "ns", 150, NO_DISTANCE },
	[CLV_CAL_WRITE + CLV_DIST_REMOTE] = { "write_ns.remote", "ns", 200, NO_DISTANCE },
	[CLV_CAL_UPGRADE + CLV_DIST_CORE] = { "upgrade_ns.core", "ns", 10, NO_DISTANCE },
	[CLV_CAL_UPGRADE + CLV_DIST_L3] = { "upgrade_ns.l3", "ns", 25, NO_DISTANCE },
	[CLV_CAL_UPGRADE + CLV_DIST_NODE] = { "upgrade_ns.node", "ns", 110, NO_DISTANCE },
	[CLV_CAL_UPGRADE + CLV_DIST_PACKAGE] = { "upgrade_ns.package", "ns", 150, NO_DISTANCE },
	[CLV_CAL_UPGRADE + CLV_DIST_REMOTE] = { "upgrade_ns.remote", "ns", 200, NO_DISTANCE },
	[CLV_CAL_TAKES + CLV_DIST_CORE] = { "read_takes.core", "", 0, NO_DISTANCE },
	[CLV_CAL_TAKES + CLV_DIST_L3] = { "read_takes.l3", "", 0, NO_DISTANCE },
	[CLV_CAL_TAKES + CLV_DIST_NODE] = { "read_takes.node", "", 0, NO_DISTANCE },
	[CLV_CAL_TAKES + CLV_DIST_PACKAGE] = { "read_takes.package", "", 0, NO_DISTANCE },
	[CLV_CAL_TAKES + CLV_DIST_REMOTE] = { "read_takes.remote", "", 0, NO_DISTANCE },
	[CLV_CAL_REQUEST] = { "request_percent", "%", 50,
			      "no probe: the way there and the way back take as long" },
	[CLV_CAL_INVALIDATE] = { "invalidate_ns", "ns", 2,
				 "no probe: needs many sharers; a few "
				 "cycles of the fabric each" },
	[CLV_CAL_SHARE] = { "share_ns", "ns", 5,
			    "no probe: needs many readers at once; a cache's "
			    "cycles for a line" },
	[CLV_CAL_HOME] = { "home_ns", "ns", 2,
			   "no probe: needs many requesters; some requests a "
			   "fabric's cycle" },
	[CLV_CAL_BLOCK] = { "block_ns", "ns", 1, "nobody counted the blocks of the timed kernels" },
	[CLV_CAL_ACCESS] = { "access_ns", "ns", 0.3,
			     "nobody counted the accesses of the timed kernels" },
	[CLV_CAL_MISPREDICT] = { "mispredict_ns", "ns", 4, "not measured: order of a Zen 3 core" },
	[CLV_CAL_ATOMIC] = { "atomic_ns", "ns", 5, "not measured: order of a Zen 3 core" },
	[CLV_CAL_OVERLAPS] = { "atomic_overlaps", "", 1,
			       "no probe: as a Zen 5, where a chain of loads and an independent atomic "
			       "take as long as the longer of the two" },
	[CLV_CAL_FENCE] = { "fence_ns", "ns", 8, "not measured: order of a Zen 3 core" },
	[CLV_CAL_PAUSE] = { "pause_ns", "ns", 15, "not measured: order of a Zen 3 core" },
	[CLV_CAL_CLOCK] = { "clock_ns", "ns", 25, "not measured: order of a Zen 3 core" },
	[CLV_CAL_OUTSTANDING] = { "outstanding", "", 16, "not measured: order of a Zen 3 core" },
	[CLV_CAL_WINDOW] = { "window", "", 64,
			     "no probe: a quarter of the 256 instructions that a "
			     "Zen 3 core has in flight" },
	[CLV_CAL_STORE_BUFFER] = { "store_buffer", "", 64, "no probe: as a Zen 3 core has" },
	[CLV_CAL_SMT] = { "smt_percent", "%", 160, "not measured: no two CPUs share a core" },
	[CLV_CAL_PARK] = { "park_ns", "ns", 1500, "not measured: order of Linux on a server" },
	[CLV_CAL_WAKE] = { "wake_ns", "ns", 1500, NO_PAIR },
	[CLV_CAL_WAKE_LATENCY] = { "wake_latency_ns", "ns", 5000, NO_PAIR },
	[CLV_CAL_ALLOC] = { "alloc_ns", "ns", 30, "not measured: order of glibc's malloc" },
};

const char *clv_calibration_name(unsigned parameter)
{
	return table[parameter].name;
}

const char *clv_calibration_unit(unsigned parameter)
{
	return table[parameter].unit;
}

static void tell(struct clv_calibrated *parameter, uint64_t told)
{
	if (!told)
		return;
	*parameter = (struct clv_calibrated) {
		.value = (double)told,
		.low = (double)told,
		.high = (double)told,
		.measured = true,
	};
	snprintf(parameter->source, sizeof(parameter->source),
		 "told: by the system (hwloc)");
}

void clv_calibration_assume(struct clv_calibration *calibration, const struct clv_system *machine)
{
	*calibration = (struct clv_calibration) { 0 };
	for (unsigned i = 0; i < CLV_CAL_PARAMETERS; i++) {
		struct clv_calibrated *parameter = &calibration->parameter[i];
		parameter->value = parameter->low = parameter->high = table[i].assumed;
		snprintf(parameter->source, sizeof(parameter->source), "assumed: %s", table[i].why);
	}
	for (unsigned i = 0; i < 3; i++) {
		tell(&calibration->parameter[CLV_CAL_L1_BYTES + 2 * i], machine->cache[i].bytes);
		tell(&calibration->parameter[CLV_CAL_L1_WAYS + 2 * i], machine->cache[i].ways);
	}
}

static void keep_order(struct clv_calibrated *first, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct clv_calibrated *one = &first[i];
		if (one->measured)
			continue;
		double value = one->value;
		for (unsigned j = 0; j < i; j++) {
			if (first[j].value > value)
				value = first[j].value;
		}
		for (unsigned j = i + 1; j < count; j++) {
			if (first[j].measured && first[j].value < value)
				value = first[j].value;
		}
		if (value == one->value)
			continue;
		one->value = one->low = one->high = value;
		size_t length = strlen(one->source);
		snprintf(one->source + length, sizeof(one->source) - length,
			 ", moved to keep the order of distances");
	}
}

void clv_calibration_order(struct clv_calibration *calibration)
{
	struct clv_calibrated *first = calibration->parameter;
	keep_order(first + CLV_CAL_MEMORY, CLV_DISTANCES - CLV_DIST_NODE);
	keep_order(first + CLV_CAL_READ, CLV_DISTANCES);
	keep_order(first + CLV_CAL_WRITE, CLV_DISTANCES);
	keep_order(first + CLV_CAL_UPGRADE, CLV_DISTANCES);
}
