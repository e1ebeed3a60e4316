/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a simulated machine knows of a point beyond the bench's own counts, pooled over repetitions.
 */
#ifndef CLV_FINDINGS_H
#define CLV_FINDINGS_H

#include <stdbool.h>

#include "machine/simulated.h"

struct clv_point;

struct clv_findings {
	unsigned repetitions;
	unsigned shorts;   /* of them */
	double half_width; /* the widest; < 0: of one it could not be said */
	uint64_t virtual_ps, window_ops, window_accesses, accesses;
	struct clv_account account; /* sums; begin and end mean nothing */
	unsigned lines;
	struct clv_account_line line[CLV_REPORT_LINES]; /* the costliest first */
	double host_s; /* that the runs took */
	/* [the topology's nodes]: sums over repetitions of the threads' rates, and how many. */
	double *node_rate;
	unsigned *node_threads;
	unsigned nodes;
};

/* Returns: NULL: out of memory. */
struct clv_findings *clv_findings_new(unsigned nodes);
void clv_findings_free(struct clv_findings *findings);

/* A repetition's. `rate`: of each thread of the point's. */
void clv_findings_add(struct clv_findings *findings, const struct clv_simulated_report *report,
		      const struct clv_point *point, const double *rate, double host_s);

/* Share of all time; 0 where there was none. */
double clv_findings_share(const struct clv_findings *findings, enum clv_where where);
/* Line transfers an acquisition, in locks and out of them, of these distances. */
double clv_findings_transfers(const struct clv_findings *findings, enum clv_distance from,
			      enum clv_distance to);
/* The slowest and the fastest node's mean rate of a thread. Returns: false: no node has a thread. */
bool clv_findings_nodes(const struct clv_findings *findings, double *slowest, double *fastest);

#endif
