/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the tables of seeded bugs have a line of: see registry.def. */
#ifndef BUGS_H
#define BUGS_H

#include <stdbool.h>
#include <string.h>

enum bug_shows { WRONG, HANGS };

struct bug {
	const char *name;
	const char *original; /* NULL: it has no intact form of its own */
	const char *design;
	const char *check;
	enum bug_shows how;
};

#define CLV_BROKEN(name, kind, original, design, check, how)                                       \
	{ #name, #original, design, #check, how },

/* Is bug i the first whose intact form is this design? */
static inline bool is_first_of_original(const struct bug *bugs, unsigned i)
{
	for (unsigned k = 0; k < i; k++) {
		if (bugs[k].original && !strcmp(bugs[k].design, bugs[i].design) &&
		    !strcmp(bugs[k].original, bugs[i].original))
			return false;
	}
	return true;
}

#endif
