/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * One map of one structure with its entries, and what is timed on it: through the public API, on the
 * calling thread, which its caller has bound to a CPU.
 *
 * Entries are in one array, in huge pages where there are any; they are put in in random order, and
 * victims are random, so that memory order says nothing. All structures meet the same order, bounds
 * and victims. What a design that defers lets go of comes back to a pool, whose top is used next.
 *
 * Times are of the thread's CPU clock: another process that has the CPU meanwhile is not counted.
 */
#ifndef CLV_MEASURE_SUBJECT_H
#define CLV_MEASURE_SUBJECT_H

#include <cleave/structure.h>

#include "shape.h"

struct clv_subject_config {
	struct cleave_env *env;
	const char *design;
	int cpu; /* system number, that the caller is bound to */
	const struct clv_shape *shape;
	uint32_t count; /* intervals */
	uint64_t seed;
	double fill_limit_s; /* give up filling after so long: -ETIME */
};

struct clv_subject;

/* Open the map and fill it. Returns: 0; -ETIME; -ENOMEM or what a call gave, with a line in error. */
int clv_subject_open(struct clv_subject **subject, const struct clv_subject_config *config,
		     struct cleave_error *error);
void clv_subject_close(struct clv_subject *subject);

/* Of what was timed: how often, and for how long. */
struct clv_timing {
	uint64_t count;
	uint64_t hits; /* of walks: what was visited */
	double ns;
};

/*
 * For about `budget_ns`, at least once: removals of a random interval, each inserted again with
 * another range; walks of a random page; walks over all. Returns: 0; negative errno with a line in
 * error: also if a walk did not visit as many as overlap, -EUCLEAN.
 */
int clv_subject_pairs(struct clv_subject *subject, double budget_ns, struct clv_timing *timing,
		      struct cleave_error *error);
int clv_subject_walks(struct clv_subject *subject, double budget_ns, struct clv_timing *timing,
		      struct cleave_error *error);
int clv_subject_full_walks(struct clv_subject *subject, double budget_ns,
			   struct clv_timing *timing, struct cleave_error *error);

/*
 * Does the map hold just what it should? A walk over all visits as many as there are, whose bounds
 * add up to the same hash, and cleave_validate agrees. Returns: 0; -EUCLEAN with a line in error.
 */
int clv_subject_check(struct clv_subject *subject, struct cleave_error *error);

/* Bytes of the structure, entries and what is around it not counted. */
size_t clv_subject_bytes(const struct clv_subject *subject);

#endif
