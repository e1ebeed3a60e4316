/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Locks side by side, alone: what it costs one thread to take a lock that nobody else wants, and to
 * release it.
 *
 * Each lock, in each mode it has, is measured in up to four forms, every round, one right after the
 * other and in random order: ours, called through its table of functions, as maps call it; its
 * reference, called in the same way by the same loop; the reference inlined into a loop of its own;
 * and the floor of its kind, called like ours. A ratio is of what the same round took.
 */
#ifndef CLV_MEASURE_LOCK_TABLE_H
#define CLV_MEASURE_LOCK_TABLE_H

#include <stdio.h>

#include <cleave/cleave.h>

#include <jansson.h>

#include "../stats.h"
#include "lock_reference.h"

enum clv_lock_form {
	CLV_LOCK_OURS,
	CLV_LOCK_CALLED,
	CLV_LOCK_INLINED,
	CLV_LOCK_FLOOR,
	CLV_LOCK_FORMS,
};

/* One lock in one mode. */
struct clv_lock_cell {
	bool has;		 /* it has the mode, */
	bool has_reference, has_floor; /* and these have it too */
	unsigned times;		 /* a sample is of so many */
	double *sample[CLV_LOCK_FORMS]; /* [repetitions], ns */
	struct clv_interval ns[CLV_LOCK_FORMS];
	struct clv_interval to[CLV_LOCK_FORMS]; /* ratios: ours over the others */
};

struct clv_lock_row {
	char lock[64]; /* as in a design: "cohort.ticket.l3" */
	char words[64]; /* the same, cut at the dots: what args point into */
	const struct clv_lock_type *type;
	struct clv_lock_args args;
	const struct clv_lock_reference *reference, *floor; /* NULL: none */
	struct clv_lock_cell cell[CLV_LOCK_MODES];
	size_t bytes, bytes_many; /* of an instance: here, and on the machine with many CPUs */
	bool invalid;
	char why[160];
};

struct clv_lock_settings {
	struct cleave_env *env, *many; /* this machine, and the one with many CPUs */
	struct cleave_thread *thread;  /* of env */
	uint64_t seed;
	unsigned repetitions;
	double budget_ns; /* of a sample */
};

/* Returns: 0; -EINVAL, no such lock, with a line in error. */
int clv_lock_row_init(struct clv_lock_row *row, const char *lock, struct cleave_error *error);

/* The row that measures the floor against itself: by how much a ratio of the same code varies. */
void clv_lock_row_init_floor(struct clv_lock_row *row);

/*
 * pre: the calling thread is bound, and is settings->thread. Returns: 0; -EINVAL for a lock's arguments,
 * -ENOMEM, with a line in error. A lock that does not exclude is invalid in its row. In any case
 * clv_lock_rows_fini is to follow.
 */
int clv_lock_table_make(struct clv_lock_row *row, unsigned rows,
			const struct clv_lock_settings *settings,
			void (*progress)(const char *what, double done),
			struct cleave_error *error);
void clv_lock_rows_fini(struct clv_lock_row *row, unsigned rows);

/* Bytes of an instance and of what belongs to it, its place in whole cache lines not counted. */
int clv_lock_bytes(const struct clv_lock_type *type, const struct clv_lock_args *args,
		   struct cleave_env *env, size_t *bytes, struct cleave_error *error);

/* lock_report.c */
void clv_lock_table_print(FILE *out, const struct clv_lock_row *row, unsigned rows,
			  unsigned many_cpus);
/* An array, an object each lock. NULL: out of memory. */
json_t *clv_lock_table_json(const struct clv_lock_row *row, unsigned rows);

#endif
