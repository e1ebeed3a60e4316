/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * For schemes that change with the load: is a lock contended, and is it quiet?
 *
 * busy     Of commits at one lock, under which it is counted: how many of `looks` tries failed.
 *          From the first to the last of them: a rest before it is no part of the window.
 * quiet    Of commits under many locks, counted on one line that all share, so by few. A window is
 *          over when CLV_QUIET_LOOKS were counted, or when it has lasted `scale` times as long as a
 *          commit of the last one held its lock, by whoever looks then. Some of the latter kind
 *          running are quiet.
 */
#ifndef CLV_WINDOWS_H
#define CLV_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "shim/shim.h"

enum {
	CLV_QUIET_LOOKS = 4,
	CLV_QUIET_LEAST = 2, /* windows running, and at most: */
	CLV_QUIET_MOST = 4096,
	CLV_QUIET_SOON = 8, /* times as long as the quiet windows took */
};

/* What a window saw. */
struct clv_seen {
	uint64_t asked, failed;
	uint64_t elapsed_ns;
	uint64_t held_ns; /* by one that asked; of busy windows */
};

static inline double clv_seen_per_s(const struct clv_seen *seen)
{
	return (double)seen->asked * 1e9 / (double)(seen->elapsed_ns ? seen->elapsed_ns : 1);
}

/* ---- busy: all of it under the lock ---- */

struct clv_busy {
	unsigned looks; /* 2 and up */
	unsigned share; /* percent of the tries, from which on it is contended */
	struct clv_seen now;
	uint64_t began_ns;
};

/* Is the next look one that reads the clock? The first and last of a window are. */
static inline bool clv_busy_reads(const struct clv_busy *busy)
{
	return !busy->now.asked || busy->now.asked == busy->looks - 1;
}

/*
 * One more that holds the lock, since got_ns if clv_busy_reads. Returns: is a window over, and was
 * it contended? Then *seen says what it saw.
 */
static inline bool clv_busy_look(struct clv_busy *busy, bool failed, uint64_t got_ns,
				 struct clv_seen *seen)
{
	struct clv_seen *now = &busy->now;
	uint64_t now_ns = clv_busy_reads(busy) ? clv_now_ns() : 0;

	if (!now->asked++) {
		busy->began_ns = now_ns;
		now->held_ns = now_ns - got_ns;
	}
	now->failed += failed;
	if (now->asked < busy->looks)
		return false;
	/* What lies between the first and the last is one less. */
	now->elapsed_ns = (now_ns - busy->began_ns) * now->asked / (now->asked - 1);
	/* The shorter of two: it may have lost its CPU in one. */
	if (now_ns - got_ns < now->held_ns)
		now->held_ns = now_ns - got_ns;
	*seen = *now;
	*now = (struct clv_seen){ 0 };
	return seen->failed * 100 >= seen->asked * busy->share;
}

/* ---- quiet ---- */

/*
 * Relaxed throughout: whoever is late at one of these moves a window's end by a look, or, if it has
 * been ended and begun meanwhile, ends it once too often.
 */
struct clv_quiet {
	uint64_t scale;	 /* to `scale` times a commit's hold a window may last, or it is quiet */
	uint64_t needed; /* quiet windows, running */
	_Alignas(CLV_CACHE_LINE) uint64_t began_ns; /* who moves it on closes the window */
	uint64_t limit_ns;
	uint64_t counted;
	uint64_t held_ns;	    /* the least of those counted: some have lost their CPU meanwhile */
	uint64_t windows;	    /* that were quiet, running */
	uint64_t since_ns;	    /* when the first of them began */
	uint64_t last_ns, last_counted; /* of the last that was */
	uint64_t ended_ns, quiet_ns;	/* of the caller, as clv_quiet_end: when, after how long */
};

static inline uint64_t clv_relaxed(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

/*
 * Begin. Until a window has shown how long commits hold a lock now, as long as `held_ns`. If it
 * ended not long ago, it was not so quiet: twice as many windows are asked for. pre: one thread at
 * a time.
 */
static inline void clv_quiet_begin(struct clv_quiet *quiet, uint64_t scale, uint64_t held_ns)
{
	uint64_t needed = CLV_QUIET_LEAST;

	if (scale && quiet->ended_ns &&
	    clv_now_ns() - quiet->ended_ns < CLV_QUIET_SOON * quiet->quiet_ns)
		needed = 2 * quiet->needed < CLV_QUIET_MOST ? 2 * quiet->needed : CLV_QUIET_MOST;
	__atomic_store_n(&quiet->scale, scale, __ATOMIC_RELAXED);
	__atomic_store_n(&quiet->needed, needed, __ATOMIC_RELAXED);
	__atomic_store_n(&quiet->limit_ns, held_ns * scale, __ATOMIC_RELAXED);
	__atomic_store_n(&quiet->began_ns, clv_now_ns(), __ATOMIC_RELAXED);
	__atomic_store_n(&quiet->counted, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&quiet->held_ns, UINT64_MAX, __ATOMIC_RELAXED);
	__atomic_store_n(&quiet->windows, 0, __ATOMIC_RELAXED);
}

/* The window that began then is over, and this thread has ended it. */
static inline void clv_quiet_close(struct clv_quiet *quiet, uint64_t began_ns, uint64_t elapsed_ns,
				   bool slow)
{
	uint64_t counted = __atomic_exchange_n(&quiet->counted, 0, __ATOMIC_RELAXED);
	uint64_t held_ns = __atomic_exchange_n(&quiet->held_ns, UINT64_MAX, __ATOMIC_RELAXED);
	uint64_t windows = slow ? clv_relaxed(&quiet->windows) + 1 : 0;
	uint64_t limit_ns = clv_relaxed(&quiet->limit_ns);

	/* Who closed the one before has taken what seemed to fill this. */
	if (!slow && counted < CLV_QUIET_LOOKS)
		return;
	if (windows == 1)
		__atomic_store_n(&quiet->since_ns, began_ns, __ATOMIC_RELAXED);
	if (counted && held_ns != UINT64_MAX) {
		/* One commit says less about the next ones than all that a window takes. */
		uint64_t weight = counted < CLV_QUIET_LOOKS ? counted : CLV_QUIET_LOOKS;
		limit_ns = (limit_ns * (CLV_QUIET_LOOKS - weight) +
			    held_ns * clv_relaxed(&quiet->scale) * weight) /
			   CLV_QUIET_LOOKS;
		__atomic_store_n(&quiet->limit_ns, limit_ns, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&quiet->last_ns, elapsed_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&quiet->last_counted, counted, __ATOMIC_RELAXED);
	__atomic_store_n(&quiet->windows, windows, __ATOMIC_RELAXED);
}

/*
 * A commit that held its locks so long, or nobody's look. Returns: has it been quiet for long enough?
 * One caller is told so, until it has been once more.
 */
static inline bool clv_quiet_look(struct clv_quiet *quiet, bool commit, uint64_t held_ns)
{
	if (commit) {
		if (held_ns < clv_relaxed(&quiet->held_ns))
			__atomic_store_n(&quiet->held_ns, held_ns, __ATOMIC_RELAXED);
		__atomic_add_fetch(&quiet->counted, 1, __ATOMIC_RELAXED);
	}
	uint64_t began_ns = clv_relaxed(&quiet->began_ns), now_ns = clv_now_ns();
	/* Clocks of two CPUs may differ by a little. */
	uint64_t elapsed_ns = now_ns > began_ns ? now_ns - began_ns : 0;
	bool slow = elapsed_ns >= clv_relaxed(&quiet->limit_ns);

	if ((slow || clv_relaxed(&quiet->counted) >= CLV_QUIET_LOOKS) &&
	    __atomic_compare_exchange_n(&quiet->began_ns, &began_ns, now_ns, false,
					__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		clv_quiet_close(quiet, began_ns, elapsed_ns, slow);
	uint64_t windows = clv_relaxed(&quiet->windows);

	return windows >= clv_relaxed(&quiet->needed) &&
	       __atomic_compare_exchange_n(&quiet->windows, &windows, 0, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED);
}

/* It was quiet for long enough. pre: as clv_quiet_begin. */
static inline void clv_quiet_end(struct clv_quiet *quiet)
{
	quiet->ended_ns = clv_now_ns();
	quiet->quiet_ns = quiet->ended_ns - clv_relaxed(&quiet->since_ns);
}

static inline struct clv_seen clv_quiet_seen(const struct clv_quiet *quiet)
{
	return (struct clv_seen){
		.asked = clv_relaxed(&quiet->last_counted),
		.elapsed_ns = clv_relaxed(&quiet->last_ns),
	};
}

#endif
