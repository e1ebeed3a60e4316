// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "machine.h"

#include <errno.h>
#include <string.h>

#include "../../lib/error.h"
#include "host.h"
#include "model_file.h"
#include "simulated.h"

static const struct {
	struct clv_machine_info info;
	int (*open)(struct clv_machine **machine, struct cleave_error *error);
} table[] = {
	{ { "host", "this machine: real threads, bound to CPUs; real time", false },
	  clv_machine_open_host },
};

enum { TABLE = sizeof(table) / sizeof(table[0]) };

const struct clv_machine_info *clv_machine_info_at(unsigned i)
{
	if (i < TABLE)
		return &table[i].info;
	return i - TABLE < clv_built_ins ? &clv_built_in[i - TABLE].machine : NULL;
}

/* What `cleave topo` shows, and nobody can run on: an hwloc string has a count, "pu:2". */
static bool is_bare_topology(const char *name)
{
	size_t length = strlen(name);
	return (length >= 4 && !strcmp(name + length - 4, ".xml")) ||
	       (strchr(name, ':') && !strchr(name, '/'));
}

int clv_machine_open(struct clv_machine **machine, const char *name, struct cleave_error *error)
{
	for (unsigned i = 0; i < TABLE; i++) {
		if (!name || !strcmp(name, table[i].info.name))
			return table[i].open(machine, error);
	}
	if (clv_model_known(name))
		return clv_machine_open_simulated(machine, name, error);
	if (is_bare_topology(name))
		return clv_error(error, -EINVAL,
				 "machine '%.80s': a topology, which has no latencies; name a "
				 "machine file (docs/machines.md)",
				 name);
	if (strchr(name, '/'))
		return clv_machine_open_simulated(machine, name, error);
	return clv_error(error, -ENOENT, "machine '%.80s': unknown; see cleave list machines",
			 name);
}
