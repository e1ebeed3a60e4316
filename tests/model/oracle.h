/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Random batches, and what walks must visit after them: what check_oracle.c and long_oracle.c
 * share. They keep what is expected in different ways.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <cleave/structure.h>

enum { ORACLE_OPS_MAX = 12 };

struct oracle;

/* Fills in a range below the oracle's `top`. */
typedef void oracle_shape_fn(struct oracle *oracle, uint64_t *start, uint64_t *last);

struct oracle_shape {
	const char *name;
	oracle_shape_fn *fill;
};

/* libc, random, equal, nested, disjoint, points, whole, stairs; ends with one without name. */
extern const struct oracle_shape oracle_shapes[];

/* By number: the entries are in the map's hands, and these are what is known of them. */
struct oracle {
	uint64_t state; /* of the random numbers */
	uint64_t top;	/* the map's last_max */
	uint64_t pages; /* what most shapes spread over */
	unsigned people;
	struct cleave_interval
		*twin; /* [people]: bounds; entry.map_id is 0 while it is in no map */
	bool *touched; /* [people]: by the batch under construction */
	const struct oracle_shape *shape;
	bool children; /* draw forks' children, too */

	/* For oracle_compare. */
	bool ordered;	  /* the structure is */
	uint32_t *subset; /* [people]: where the map has put it */
	uint32_t *stamp;  /* [people]: the number of the walk that visited it last */
	uint32_t walks;
	unsigned *cursor; /* [subsets] */
	unsigned subsets;
	char why[160];
};

/* Memory for `people` and `subsets`; all else is the caller's to set. */
void oracle_open(struct oracle *oracle, unsigned people, unsigned subsets);
void oracle_close(struct oracle *oracle);

uint64_t oracle_below(struct oracle *oracle, uint64_t n);

/* One op, by numbers. */
struct oracle_op {
	enum cleave_op_kind kind;
	unsigned entry;
	unsigned source; /* INSERT_AFTER, INSERT_NEAR */
	uint64_t start, last;
};

/* A batch that is allowed. Returns: its ops, at most ORACLE_OPS_MAX; one at least. */
unsigned oracle_draw(struct oracle *oracle, struct oracle_op *ops);

/* For the map: `entry_at` gives the i-th entry of `arg`. */
void oracle_make_ops(const struct oracle_op *ops, unsigned count, struct cleave_op *made,
		     struct cleave_entry *(*entry_at)(void *arg, unsigned i), void *arg);

/*
 * Does a walk that visited `seen`, in this order, agree with `expected`, which is by start and then
 * by insertion? As sets; and subset by subset as sequences where the structure is ordered, but for
 * the place of children among ties, which is its choice. Returns: false, with `why`.
 */
bool oracle_compare(struct oracle *oracle, const unsigned *seen, unsigned seen_count,
		    const unsigned *expected, unsigned expected_count);

#endif
