/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Where virtual time and cache lines went, of a window of a run. Time of a CPU is cut by the marks
 * of lib/shim/mark.h:
 *
 *     outside | ask ... the lock comes free |        ... got | ... inside ... | free ... freed |
 *             |            wait             |    handover    |     inside     |    handover    |
 *
 * A lock that was free when it was asked for has no wait: what taking it costs is hand-over.
 */
#ifndef CLV_ACCOUNT_H
#define CLV_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../lib/shim/mark.h"
#include "../../histogram.h"
#include "../model.h"

struct clv_vcpu;

enum clv_where { CLV_OUTSIDE, CLV_WAIT, CLV_HANDOVER, CLV_INSIDE, CLV_WHERES };

/* What an access beyond L1 was. L2 and L3: no distance. */
enum clv_level { CLV_LEVEL_L2, CLV_LEVEL_L3, CLV_LEVEL_MEMORY, CLV_LEVEL_READ, CLV_LEVEL_WRITE,
		 CLV_LEVEL_UPGRADE, CLV_LEVELS };

/* In each CPU. */
struct clv_account_cpu {
	enum clv_where where;
	unsigned depth; /* locks held */
	uint64_t since_ps, asked_ps, got_ps;
	const void *asked; /* the lock it waits for; NULL: none */
};

struct clv_account {
	uint64_t begin_ps, end_ps; /* of the window */
	unsigned cpus;
	uint64_t time_ps[CLV_WHERES]; /* of all CPUs */
	uint64_t acquisitions, contended, shared;
	uint64_t longest_ps; /* from ask to got, shared or not */
	/* Of exclusive acquisitions: from free (or ask) to got; from got to free. */
	struct clv_histogram handover_ns, hold_ns, wait_ns;
	uint64_t handover_ps, hold_ps, wait_ps; /* their sums */
	uint64_t longest_hold_ps; /* since clv_account_cut */
	/* [inside a lock?]: how many, and their latencies, which may overlap. */
	uint64_t count[2][CLV_LEVELS][CLV_DISTANCES], ps[2][CLV_LEVELS][CLV_DISTANCES];
};

/* Lines of one name and field, or one line; the costliest first. */
struct clv_account_line {
	char name[96];
	uint64_t transfers; /* moves between caches */
	uint64_t far;	    /* of these, beyond the NUMA node */
	uint64_t ps;	    /* latencies, with the waiting for the line */
	uint32_t lines;	    /* how many lines that is */
};

bool clv_account_open(void);
void clv_account_close(void);
void clv_account_begin(uint64_t now_ps);
void clv_account_end(uint64_t now_ps);
/*
 * Bring all sums up to now, in the middle of the window. The longest hold begins anew. What a CPU
 * that is in the middle of waiting has waited so far is all `wait`, though the lock may be free.
 */
void clv_account_cut(uint64_t now_ps);
const struct clv_account *clv_account(void);
/* The costliest names. Returns: how many, `max` at most. */
unsigned clv_account_lines(struct clv_account_line *out, unsigned max);

/* The longest wait for a lock in the window, of those who still wait, too, up to now. */
uint64_t clv_account_longest_ps(uint64_t now_ps);

/* ---- for the engine ---- */
void clv_account_mark(struct clv_vcpu *cpu, enum clv_mark mark, const void *lock);
void clv_account_miss(const struct clv_vcpu *cpu, enum clv_level level, enum clv_distance distance,
		      uint32_t line, uint64_t asked_ps, uint64_t done_ps);
/* The lock that the CPU asks for, or NULL; and who has it exclusive: -1 nobody known. */
const void *clv_account_asked(const struct clv_vcpu *cpu, int *holder);
/* Time with which the CPU has been busy with what marks cannot say: it is done. */
void clv_account_done(struct clv_vcpu *cpu);

/* ---- timeline.c ---- */
/* Something at one moment, for all to see. */
struct clv_timeline_instant {
	uint64_t ps;
	const char *name, *reason;
};

bool clv_timeline_open(void);
void clv_timeline_close(void);
void clv_timeline_mark(unsigned cpu, enum clv_mark mark, const void *lock, uint64_t ps);
/* How many marks at the window's end had no room; and when the last was that had. */
uint64_t clv_timeline_left_out(uint64_t *last_ps);
/* Trace Event JSON (Perfetto, about:tracing) of the window. Returns: 0; negative errno. */
int clv_timeline_write(const char *path, const struct clv_timeline_instant *instant,
		       unsigned instants, char *why, size_t why_bytes);

#endif
