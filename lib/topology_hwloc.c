// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The one file of the library that calls hwloc: from its objects to a record for each CPU. Nothing
 * of hwloc's outlives the call.
 */
#include <errno.h>
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "topology_source.h"

/* ---- one CPU ---- */

static int64_t ancestor(hwloc_topology_t hw, hwloc_obj_t pu, hwloc_obj_type_t type)
{
	hwloc_obj_t object = hwloc_get_ancestor_obj_by_type(hw, type, pu);
	return object ? (int64_t)object->logical_index : -1;
}

/*
 * The nearest memory. A CPU that is in no node's set, which files may have, gets the first node of
 * the closest object around it that has any.
 */
static hwloc_obj_t nearest_node(hwloc_topology_t hw, hwloc_obj_t pu)
{
	hwloc_obj_t best = NULL;
	int best_cpus = 0;
	for (hwloc_obj_t node = NULL;
	     (node = hwloc_get_next_obj_by_type(hw, HWLOC_OBJ_NUMANODE, node));) {
		if (!node->cpuset || !hwloc_bitmap_isset(node->cpuset, pu->os_index))
			continue;
		int cpus = hwloc_bitmap_weight(node->cpuset);
		if (!best || cpus < best_cpus) {
			best = node;
			best_cpus = cpus;
		}
	}
	for (hwloc_obj_t around = pu; !best && around; around = around->parent) {
		int first = around->nodeset ? hwloc_bitmap_first(around->nodeset) : -1;
		if (first >= 0)
			best = hwloc_get_numanode_obj_by_os_index(hw, (unsigned)first);
	}
	return best;
}

/* Beyond what hwloc checks: files may give a CPU any set and any number. */
static int check_cpu(hwloc_obj_t pu, hwloc_obj_t node, struct cleave_error *error)
{
	if (pu->os_index >= CLV_OS_LIMIT)
		return clv_error(error, -EINVAL, "topology has too large a CPU number: %u",
				 pu->os_index);
	if (!pu->cpuset || hwloc_bitmap_weight(pu->cpuset) != 1 ||
	    hwloc_bitmap_first(pu->cpuset) != (int)pu->os_index)
		return clv_error(error, -EINVAL,
				 "topology has a CPU whose set is not itself: CPU %u",
				 pu->os_index);
	if (!node || node->os_index >= CLV_OS_LIMIT)
		return clv_error(error, -EINVAL,
				 "topology has a CPU with no memory, or a wrong node: CPU %u",
				 pu->os_index);
	return 0;
}

/* ---- all of them ---- */

/* Fill the records for the CPUs in `usable` (NULL: all), for which there is room. */
static int read_cpus(hwloc_topology_t hw, hwloc_const_bitmap_t usable,
		     struct clv_cpu_record *records, struct clv_topology_reading *reading)
{
	for (hwloc_obj_t pu = NULL; (pu = hwloc_get_next_obj_by_type(hw, HWLOC_OBJ_PU, pu));) {
		hwloc_obj_t node = nearest_node(hw, pu);
		int status = check_cpu(pu, node, &reading->error);
		if (status)
			return status;
		if (usable && !hwloc_bitmap_isset(usable, pu->os_index))
			continue;
		records[reading->cpus++] = (struct clv_cpu_record) {
			.os = pu->os_index,
			.node_os = node->os_index,
			.core = ancestor(hw, pu, HWLOC_OBJ_CORE),
			.l3 = ancestor(hw, pu, HWLOC_OBJ_L3CACHE),
			.package = ancestor(hw, pu, HWLOC_OBJ_PACKAGE),
		};
	}
	return 0;
}

/*
 * CPUs that some thread of the process may run on. The process and not the thread: a caller that is
 * pinned already does not make the machine smaller for the others. Not hwloc's own flag, as that
 * takes files named in the environment for this machine. Returns: NULL where there is no telling.
 */
static hwloc_bitmap_t process_cpus(hwloc_topology_t hw)
{
	hwloc_bitmap_t set = hwloc_bitmap_alloc();
	if (set && hwloc_get_cpubind(hw, set, HWLOC_CPUBIND_PROCESS) &&
	    hwloc_get_cpubind(hw, set, HWLOC_CPUBIND_THREAD)) {
		hwloc_bitmap_free(set);
		return NULL;
	}
	return set;
}

static void copy_model(hwloc_topology_t hw, struct clv_topology_reading *reading)
{
	hwloc_obj_t package = hwloc_get_obj_by_type(hw, HWLOC_OBJ_PACKAGE, 0);
	const char *model = package ? hwloc_obj_get_info_by_name(package, "CPUModel") : NULL;
	if (!model)
		model = hwloc_obj_get_info_by_name(hwloc_get_root_obj(hw), "CPUModel");
	snprintf(reading->model, sizeof(reading->model), "%s", model ? model : "");
}

static struct clv_cpu_record *read_objects(hwloc_topology_t hw,
					   const struct clv_topology_source *source,
					   struct clv_topology_reading *reading)
{
	int cpus = hwloc_get_nbobjs_by_type(hw, HWLOC_OBJ_PU);
	int nodes = hwloc_get_nbobjs_by_type(hw, HWLOC_OBJ_NUMANODE);
	if (cpus <= 0 || cpus > (int)CLV_CPU_LIMIT || nodes > (int)CLV_CPU_LIMIT) {
		reading->status = clv_error(
			&reading->error, -EINVAL,
			"not a topology of 1 to %u CPUs and nodes: %.120s: "
			"%d CPUs, %d nodes",
			CLV_CPU_LIMIT, source->name ? source->name : "this machine", cpus, nodes);
		return NULL;
	}
	/* Of two CPUs with one number hwloc has dropped one. */
	if (source->cpus_expected && cpus != (int)source->cpus_expected) {
		reading->status =
			clv_error(&reading->error, -EINVAL,
				  "topology string numbers a CPU twice: %u CPUs, %d numbers",
				  source->cpus_expected, cpus);
		return NULL;
	}
	struct clv_cpu_record *records = calloc((size_t)cpus, sizeof(*records));
	if (!records) {
		reading->status = clv_error(&reading->error, -ENOMEM, "no memory: topology");
		return NULL;
	}
	reading->this_machine = !source->name && hwloc_topology_is_thissystem(hw);
	hwloc_bitmap_t usable = reading->this_machine ? process_cpus(hw) : NULL;
	reading->status = read_cpus(hw, usable, records, reading);
	hwloc_bitmap_free(usable);
	if (!reading->status && !reading->cpus)
		reading->status = clv_error(&reading->error, -EINVAL,
					    "topology has no CPU that we may use: this machine");
	copy_model(hw, reading);
	if (!reading->status)
		return records;
	free(records);
	return NULL;
}

static int set_source(hwloc_topology_t hw, const struct clv_topology_source *source,
		      struct cleave_error *error)
{
	if (!source->name)
		return 0;
	if (!source->text) {
		if (hwloc_topology_set_synthetic(hw, source->name) == 0)
			return 0;
		return clv_error(error, -EINVAL,
				 "neither a file nor an hwloc topology string: '%.120s'",
				 source->name);
	}
	/* hwloc counts the terminating zero. */
	if (hwloc_topology_set_xmlbuffer(hw, source->text, (int)source->text_bytes + 1) == 0)
		return 0;
	return clv_error(error, -EINVAL, "not a topology file: %.120s: not hwloc XML",
			 source->name);
}

struct clv_cpu_record *clv_topology_read(const struct clv_topology_source *source,
					 struct clv_topology_reading *reading)
{
	*reading = (struct clv_topology_reading) { .status = 0 };
	hwloc_topology_t hw;
	if (hwloc_topology_init(&hw)) {
		reading->status = clv_error(&reading->error, -ENOMEM, "no memory: topology");
		return NULL;
	}
	reading->status = set_source(hw, source, &reading->error);
	if (!reading->status && hwloc_topology_load(hw))
		reading->status = clv_error(&reading->error, -EINVAL,
					    "not a topology: %.120s: hwloc cannot use it",
					    source->name ? source->name : "this machine");
	struct clv_cpu_record *records = NULL;
	if (!reading->status)
		records = read_objects(hw, source, reading);
	hwloc_topology_destroy(hw);
	return records;
}
