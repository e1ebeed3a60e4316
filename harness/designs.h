/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Designs by name: the arrangements that were proposed for the kernel's file reverse map.
 */
#ifndef CLV_DESIGNS_H
#define CLV_DESIGNS_H

#include <stddef.h>

struct cleave_error;

struct clv_named_design {
	const char *name;
	const char *design;
	const char *summary;
	const char *proposed_by;
};

/*
 * The i-th, NULL behind the last: the table, then better-structure-NAME for every registered
 * structure that keeps intervals. The latter live in `room`.
 */
struct clv_design_room {
	struct clv_named_design named;
	char name[96], design[96], summary[160];
};
const struct clv_named_design *clv_named_design_at(unsigned i, struct clv_design_room *room);

/*
 * All that it lacks to be run, in `room`: "unknown scheme 'outer', unknown lock 'percpu'"; NULL:
 * nothing.
 */
#define CLV_DESIGN_MISSING_BYTES 160
const char *clv_named_design_missing(const struct clv_named_design *named, char *room,
				     size_t bytes);

/*
 * Resolve what a user wrote: a name from the table, or a design string.
 * Returns: 0 with the string in `design` and the name, or "" if it was none, in `name`; -EINVAL or
 * -ENOTSUP if it does not parse, with a line in error that says what is unknown or missing.
 */
int clv_design_resolve(const char *text, char *design, size_t design_bytes, char *name,
		       size_t name_bytes, struct cleave_error *error);

#endif
