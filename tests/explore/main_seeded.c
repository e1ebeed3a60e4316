// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* `cleave explore` with the seeded copies among its designs. Its arguments are that command's. */
#include <stdio.h>

#include <cleave/cleave.h>

#include "harness/commands.h"
#include "seeded.h"

int main(int argc, char **argv)
{
	struct cleave_error error = { "the seeded copies cannot be registered" };
	if (seeded_add(&error)) {
		fprintf(stderr, "cleave: %s\n", error.text);
		return 1;
	}
	return clv_cmd_explore(argc, argv);
}
