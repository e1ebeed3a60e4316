// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The parameters of a machine, and a model in memory. Reading its file is in model_file.c.
 *
 * A time that code can wait in (a load, a pause, a reading of the clock) is positive, so that
 * simulated time moves under every loop.
 */
#include "model.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "../../lib/error.h"
#include "model_file.h"

/* ---- the table ---- */

/* Times above these are a slip of the unit, in hardware and in the operating system. */
#define HARDWARE_NS 1e6
#define SYSTEM_NS 1e9

#define AT(member) offsetof(struct clv_costs, member)

/* A time that may be 0, one that may not, and a number of something. */
#define TIME(name, member, what, max) { name, what, true, false, max, AT(member), "ns" }
#define LASTS(name, member, what) { name, what, true, true, HARDWARE_NS, AT(member), "ns" }
#define FLAG(name, member, what) { name, what, false, false, 1, AT(member), "0 or 1" }
#define COUNT(name, what, max, unit) { #name, what, false, true, max, AT(name), unit }

static const struct clv_parameter table[] = {
	COUNT(l1_bytes, "size of a core's L1 data cache", 1 << 20, "bytes"),
	COUNT(l1_ways, "ways of an L1", 1024, "ways"),
	COUNT(l2_bytes, "size of a core's L2", 1 << 26, "bytes"),
	COUNT(l2_ways, "ways of an L2", 1024, "ways"),
	COUNT(l3_bytes, "size of one L3", 1 << 30, "bytes"),
	COUNT(l3_ways, "ways of an L3", 1024, "ways"),
	LASTS("l1_ns", l1_ps, "load that hits L1, to use"),
	LASTS("l2_ns", l2_ps, "load that hits L2, to use"),
	LASTS("l3_ns", l3_ps, "load that hits the core's L3, no other core having modified the line"),
	LASTS("memory_ns.node", memory_ps[CLV_DIST_NODE], "load from memory of the own node"),
	LASTS("memory_ns.package", memory_ps[CLV_DIST_PACKAGE],
	      "load from memory of another node of the package"),
	LASTS("memory_ns.remote", memory_ps[CLV_DIST_REMOTE],
	      "load from memory of another package"),
	LASTS("read_ns.core", read_ps[CLV_DIST_CORE],
	      "load of a line that the SMT sibling modified last"),
	LASTS("read_ns.l3", read_ps[CLV_DIST_L3], "load of a line modified in the same L3"),
	LASTS("read_ns.node", read_ps[CLV_DIST_NODE],
	      "load of a modified line; requester, owner and home in one node, other L3"),
	LASTS("read_ns.package", read_ps[CLV_DIST_PACKAGE],
	      "load of a modified line; the three in one package, not one node"),
	LASTS("read_ns.remote", read_ps[CLV_DIST_REMOTE],
	      "load of a modified line; the three not in one package"),
	LASTS("write_ns.core", write_ps[CLV_DIST_CORE],
	      "store or atomic without a copy; the SMT sibling modified the line last"),
	LASTS("write_ns.l3", write_ps[CLV_DIST_L3],
	      "store or atomic without a copy; line modified in the same L3"),
	LASTS("write_ns.node", write_ps[CLV_DIST_NODE],
	      "store or atomic without a copy; requester, owner and home in one node, other L3"),
	LASTS("write_ns.package", write_ps[CLV_DIST_PACKAGE],
	      "store or atomic without a copy; the three in one package, not one node"),
	LASTS("write_ns.remote", write_ps[CLV_DIST_REMOTE],
	      "store or atomic without a copy; the three not in one package"),
	TIME("upgrade_ns.core", upgrade_ps[CLV_DIST_CORE],
	     "store or atomic with a copy, which only the SMT sibling has too", HARDWARE_NS),
	TIME("upgrade_ns.l3", upgrade_ps[CLV_DIST_L3],
	     "store or atomic with a copy; the farthest other copy in the same L3", HARDWARE_NS),
	TIME("upgrade_ns.node", upgrade_ps[CLV_DIST_NODE],
	     "store or atomic with a copy; farthest other copy or home in the node", HARDWARE_NS),
	TIME("upgrade_ns.package", upgrade_ps[CLV_DIST_PACKAGE],
	     "store or atomic with a copy; farthest other copy or home in the package",
	     HARDWARE_NS),
	TIME("upgrade_ns.remote", upgrade_ps[CLV_DIST_REMOTE],
	     "store or atomic with a copy; farthest other copy or home in another package",
	     HARDWARE_NS),
	FLAG("read_takes.core", read_takes[CLV_DIST_CORE],
	     "does a load of a line that the SMT sibling modified take it away"),
	FLAG("read_takes.l3", read_takes[CLV_DIST_L3],
	     "the same, of a line modified in the same L3"),
	FLAG("read_takes.node", read_takes[CLV_DIST_NODE],
	     "the same; requester, owner and home in one node, other L3"),
	FLAG("read_takes.package", read_takes[CLV_DIST_PACKAGE],
	     "the same; the three in one package, not one node"),
	FLAG("read_takes.remote", read_takes[CLV_DIST_REMOTE],
	     "the same; the three not in one package"),
	{ "request_percent", "part of a transfer before the line leaves who has it: the request's way",
	  false, false, 100, AT(request_percent), "percent" },
	TIME("invalidate_ns", invalidate_ps,
	     "each further cache that an invalidation reaches beyond the first", HARDWARE_NS),
	TIME("share_ns", share_ps, "line busy with one of many that read it at once", HARDWARE_NS),
	TIME("home_ns", home_ps, "directory of a home busy with one request", HARDWARE_NS),
	TIME("block_ns", block_ps, "basic block of code, without its loads and stores",
	     HARDWARE_NS),
	LASTS("access_ns", access_ps, "issue of one load or store"),
	TIME("mispredict_ns", mispredict_ps, "branch predicted wrongly, from its resolution on",
	     HARDWARE_NS),
	LASTS("atomic_ns", atomic_ps, "atomic read-modify-write of a line owned in L1"),
	FLAG("atomic_overlaps", atomic_overlaps,
	     "do loads behind an atomic of an owned line go on before it is done"),
	TIME("fence_ns", fence_ps, "full fence with nothing to wait for", HARDWARE_NS),
	LASTS("pause_ns", pause_ps, "pause instruction of a waiting loop"),
	LASTS("clock_ns", clock_ps, "reading of the time"),
	COUNT(outstanding, "misses of a core in flight at once", 64, "misses"),
	COUNT(window, "accesses issued beyond one that is not done", 256, "accesses"),
	COUNT(store_buffer, "stores of a CPU not yet in L1", 128, "entries"),
	COUNT(smt_percent, "time that work takes beside a busy sibling; 100: as if alone", 1000,
	      "percent"),
	TIME("park_ns", park_ps, "thread that gives up its CPU", SYSTEM_NS),
	TIME("wake_ns", wake_ps, "waking a thread, for the waker", SYSTEM_NS),
	TIME("wake_latency_ns", wake_latency_ps, "from a wake until the woken thread runs",
	     SYSTEM_NS),
	TIME("alloc_ns", alloc_ps, "block from the allocator", SYSTEM_NS),
};

enum { PARAMETERS = sizeof(table) / sizeof(table[0]) };

const struct clv_parameter *clv_parameter_at(unsigned i)
{
	return i < PARAMETERS ? &table[i] : NULL;
}

const struct clv_parameter *clv_parameter_find(const char *name)
{
	for (unsigned i = 0; i < PARAMETERS; i++) {
		if (!strcmp(table[i].name, name))
			return &table[i];
	}
	return NULL;
}

/* ---- values ---- */

static uint64_t *place_of(struct clv_costs *costs, const struct clv_parameter *parameter)
{
	return (uint64_t *)((char *)costs + parameter->offset);
}

static uint64_t kept_value(const struct clv_model *model, const struct clv_parameter *parameter)
{
	return *(const uint64_t *)((const char *)&model->costs + parameter->offset);
}

int clv_costs_set(struct clv_costs *costs, const struct clv_parameter *parameter, double value,
		  struct cleave_error *error)
{
	const char *name = parameter->name;
	if (!isfinite(value))
		return clv_error(error, -EINVAL, "parameter %s: not a number", name);
	if (value < 0)
		return clv_error(error, -EINVAL, "parameter %s: %g is negative", name, value);
	if (value > parameter->max)
		return clv_error(error, -EINVAL, "parameter %s: %.15g is too large: at most %.15g %s",
				 name, value, parameter->max, parameter->unit);
	if (!parameter->is_time && value != floor(value))
		return clv_error(error, -EINVAL, "parameter %s: %.15g is not a whole number", name,
				 value);
	uint64_t kept = (uint64_t)llround(parameter->is_time ? value * 1000 : value);
	if (parameter->positive && !kept)
		return clv_error(error, -EINVAL, "parameter %s: must be more than 0%s", name,
				 value > 0 ? ": a ps is the least" : "");
	*place_of(costs, parameter) = kept;
	return 0;
}

static int check_cache(const char *name, uint64_t bytes, uint64_t ways, bool indexed_by_bits,
		       struct cleave_error *error)
{
	uint64_t lines = bytes / CLV_LINE_BYTES;
	if (bytes % CLV_LINE_BYTES)
		return clv_error(error, -EINVAL,
				 "parameter %s_bytes: %" PRIu64 " is not in whole lines of %u", name,
				 bytes, CLV_LINE_BYTES);
	if (lines % ways)
		return clv_error(error, -EINVAL,
				 "parameter %s_ways: %" PRIu64 " do not divide the %" PRIu64
				 " lines of %s_bytes", name, ways, lines, name);
	uint64_t sets = lines / ways;
	if (indexed_by_bits && (sets & (sets - 1)))
		return clv_error(error, -EINVAL,
				 "parameter %s_ways: makes %" PRIu64
				 " sets of %s_bytes, not a power of two", name, sets, name);
	return 0;
}

int clv_costs_check(const struct clv_costs *costs, struct cleave_error *error)
{
	int code = check_cache("l1", costs->l1_bytes, costs->l1_ways, true, error);
	if (!code)
		code = check_cache("l2", costs->l2_bytes, costs->l2_ways, true, error);
	/* An L3 is hashed over slices, of whatever number. */
	if (!code)
		code = check_cache("l3", costs->l3_bytes, costs->l3_ways, false, error);
	if (!code && costs->smt_percent < 100)
		return clv_error(error, -EINVAL,
				 "parameter smt_percent: %" PRIu64
				 " is less than 100: faster beside a busy sibling than alone",
				 costs->smt_percent);
	return code;
}

double clv_model_get(const struct clv_model *model, const struct clv_parameter *parameter)
{
	double kept = (double)kept_value(model, parameter);
	return parameter->is_time ? kept / 1000 : kept;
}

int clv_model_set(struct clv_model *model, const char *name, double value,
		  struct cleave_error *error)
{
	const struct clv_parameter *parameter = clv_parameter_find(name);
	if (!parameter)
		return clv_error(error, -ENOENT,
				 "parameter '%.80s': unknown; see cleave list parameters", name);
	struct clv_costs costs = model->costs;
	int code = clv_costs_set(&costs, parameter, value, error);
	if (!code)
		code = clv_costs_check(&costs, error);
	if (code)
		return code;
	model->costs = costs;
	clv_model_digest(model);
	return 0;
}

/* ---- identity ---- */

uint64_t clv_hash(uint64_t hash, const void *data, size_t bytes)
{
	const unsigned char *at = data;
	for (size_t i = 0; i < bytes; i++)
		hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* As the engine has them, in the table's order: how a file writes a number does not matter. */
void clv_model_digest(struct clv_model *model)
{
	uint64_t hash = model->topology_hash;
	for (unsigned i = 0; i < PARAMETERS; i++) {
		char line[96];
		int length = snprintf(line, sizeof(line), "%s=%" PRIu64 "\n", table[i].name,
				      kept_value(model, &table[i]));
		hash = clv_hash(hash, line, (size_t)length);
	}
	snprintf(model->digest, sizeof(model->digest), "%016" PRIx64, hash);
}

const char *clv_model_source(const struct clv_model *model, const char *parameter)
{
	json_t *parameters = json_object_get(model->root, "parameters");
	return json_string_value(json_object_get(json_object_get(parameters, parameter), "source"));
}

void clv_model_free(struct clv_model *model)
{
	if (!model)
		return;
	json_decref(model->root);
	free(model->json);
	free(model->topology);
	free(model);
}
