/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* For programs whose arguments name what to run, all of it if there are none. */
#ifndef WANTED_H
#define WANTED_H

#include <stdbool.h>
#include <string.h>

static inline bool is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], name))
			return true;
	}
	return argc < 2;
}

#endif
