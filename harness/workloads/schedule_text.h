/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The text of a schedule, line by line, before anything is made of it. Between schedule_text.c,
 * which knows the form, and schedule.c, which knows what it means.
 */
#ifndef CLV_SCHEDULE_TEXT_H
#define CLV_SCHEDULE_TEXT_H

#include "schedule.h"

struct clv_text_op {
	bool insert; /* I; else R */
	struct clv_range range;
};

struct clv_text_section {
	unsigned line;
	unsigned file;
	uint64_t gap_ns, trapped_ns;
	unsigned first_op, ops;
};

struct clv_text_trap {
	unsigned line;
	unsigned section; /* from 1 */
	uint64_t trapped_ns;
};

struct clv_text {
	const char *name;
	unsigned sections, ops, files, traps;
	struct clv_text_section *section;
	struct clv_text_op *op;
	struct clv_schedule_file *file; /* names; counts are not filled in */
	struct clv_text_trap *trap;
};

/*
 * pre: zeroed but for name. Returns: 0; -EINVAL with what is wrong and where, -ENOMEM. Give it to
 * clv_text_fini in any case.
 */
int clv_text_read(struct clv_text *out, const char *text, size_t size_bytes,
		  struct cleave_error *error);
void clv_text_fini(struct clv_text *text);

#endif
