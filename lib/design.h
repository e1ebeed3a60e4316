/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Design strings: structure[@partition][/scheme][:lock[+lock]]. A scheme and a lock may carry
 * arguments behind dots.
 */
#ifndef CLV_DESIGN_H
#define CLV_DESIGN_H

#include <cleave/structure.h>

#include "locks/lock.h"
#include "partition.h"

struct clv_scheme;

/* A string as typed is at most CLV_DESIGN_TYPED_MAX long; the canonical one fits into the other. */
#define CLV_DESIGN_TYPED_MAX 95
#define CLV_DESIGN_BYTES 224

struct clv_lock_spec {
	const struct clv_lock_type *type; /* NULL: none given and none needed */
	struct clv_lock_args args;
};

struct clv_design {
	const struct cleave_structure *structure;
	const struct clv_scheme *scheme;
	struct clv_partition_spec partition;
	struct clv_lock_args scheme_args;
	struct clv_lock_spec lock[2]; /* outer or only one; each subset's */
	char words[CLV_DESIGN_TYPED_MAX + 1]; /* what args point into */
	char fault[80];		      /* after an error: "unknown scheme 'outer'" */
};

/*
 * Returns: 0; -EINVAL does not parse, or a name is unknown; -ENOTSUP the parts do not go together.
 * The line in `error` gives the part, the character it is at, and what is known instead.
 */
int clv_design_parse(struct clv_design *design, const char *text, struct cleave_error *error);

/* enum clv_lock_flags: what the design's locks say, and how its scheme and structure wait. */
unsigned clv_design_waiting(const struct clv_design *design);

/* The canonical string. pre: out_bytes is at least CLV_DESIGN_BYTES. */
void clv_design_name(const struct clv_design *design, char *out, size_t out_bytes);

#endif
