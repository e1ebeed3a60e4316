// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "machine.h"

#include <errno.h>
#include <string.h>

#include "../../lib/error.h"
#include "host.h"

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
	return i < TABLE ? &table[i].info : NULL;
}

int clv_machine_open(struct clv_machine **machine, const char *name, struct cleave_error *error)
{
	for (unsigned i = 0; i < TABLE; i++) {
		if (!name || !strcmp(name, table[i].info.name))
			return table[i].open(machine, error);
	}
	return clv_error(error, -ENOENT, "machine '%.80s': unknown; see cleave list machines", name);
}
