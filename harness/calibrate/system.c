// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "system.h"

#include <errno.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/error.h"

static void read_caches(hwloc_topology_t hw, unsigned cpu_os, struct clv_system *machine)
{
	static const hwloc_obj_type_t type[] = { HWLOC_OBJ_L1CACHE, HWLOC_OBJ_L2CACHE,
						 HWLOC_OBJ_L3CACHE };
	hwloc_obj_t pu = hwloc_get_pu_obj_by_os_index(hw, cpu_os);
	for (unsigned i = 0; pu && i < 3; i++) {
		hwloc_obj_t cache = hwloc_get_ancestor_obj_by_type(hw, type[i], pu);
		if (!cache)
			continue;
		const struct hwloc_cache_attr_s *attributes = &cache->attr->cache;
		machine->cache[i].bytes = attributes->size;
		/* hwloc: 0 unknown, -1 fully associative. */
		if (attributes->associativity > 0)
			machine->cache[i].ways = (uint64_t)attributes->associativity;
		else if (attributes->associativity < 0 && attributes->linesize)
			machine->cache[i].ways = attributes->size / attributes->linesize;
	}
}

static int restrict_to_ours(hwloc_topology_t hw)
{
	hwloc_bitmap_t set = hwloc_bitmap_alloc();
	int status = set ? 0 : -ENOMEM;
	/* Where the binding cannot be read, all CPUs are ours. */
	if (set && !hwloc_get_cpubind(hw, set, HWLOC_CPUBIND_PROCESS) &&
	    hwloc_topology_restrict(hw, set, 0))
		status = -EIO;
	hwloc_bitmap_free(set);
	return status;
}

static int export(hwloc_topology_t hw, struct clv_system *machine)
{
	char *buffer = NULL;
	int bytes = 0;
	if (hwloc_topology_export_xmlbuffer(hw, &buffer, &bytes, 0))
		return -EIO;
	/* hwloc counts the terminating zero, and frees by a call of its own. */
	machine->xml = malloc((size_t)bytes);
	if (machine->xml) {
		memcpy(machine->xml, buffer, (size_t)bytes);
		machine->xml_bytes = strlen(machine->xml);
	}
	hwloc_free_xmlbuffer(hw, buffer);
	return machine->xml ? 0 : -ENOMEM;
}

int clv_system_read(struct clv_system *machine, unsigned cpu_os, struct cleave_error *error)
{
	hwloc_topology_t hw;
	*machine = (struct clv_system) { .xml = NULL };
	if (hwloc_topology_init(&hw))
		return clv_error(error, -ENOMEM, "no memory: topology");
	int status = hwloc_topology_load(hw) ? -EIO : 0;
	if (!status)
		status = restrict_to_ours(hw);
	if (!status) {
		read_caches(hw, cpu_os, machine);
		status = export(hw, machine);
	}
	hwloc_topology_destroy(hw);
	return status ? clv_error(error, status, "cannot read or export the topology: %s",
				  strerror(-status))
		      : 0;
}

void clv_system_free(struct clv_system *machine)
{
	free(machine->xml);
}
