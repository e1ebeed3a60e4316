/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * For schemes that change with the load: is a lock contended, and is it quiet?
 *
 * busy     Of commits at one lock, under which it is counted: how many of `looks` tries failed. From
 *          the first to the last of them, so that a rest before it is no part of the window.
 * quiet    Of commits under many locks, counted on one line that all share, so by few. A window is over
 *          when CLV_QUIET_LOOKS were counted, or when it has lasted as long as these may take, by
 *          whoever looks then; of the latter kind, CLV_QUIET_WINDOWS running are quiet.
 */
#ifndef CLV_WINDOWS_H
#define CLV_WINDOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "shim/shim.h"

enum { CLV_QUIET_LOOKS = 8, CLV_QUIET_WINDOWS = 2 };

/* What a window saw. */
struct clv_seen {
	uint64_t asked, failed;
	uint64_t elapsed_ns;
};

static inline double clv_seen_per_s(const struct clv_seen *seen)
{
	return (double)seen->asked * 1e9 / (double)(seen->elapsed_ns ? seen->elapsed_ns : 1);
}

/* ---- busy: all of it under the lock ---- */

struct clv_busy {
	unsigned looks;	       /* 2 and up */
	unsigned share;	       /* percent of the tries, from which on it is contended */
	struct clv_seen now;
	uint64_t began_ns;
};

/* Returns: is a window over, and was it contended? Then *seen says what it saw. */
static inline bool clv_busy_look(struct clv_busy *busy, bool failed, struct clv_seen *seen)
{
	struct clv_seen *now = &busy->now;

	if (!now->asked++)
		busy->began_ns = clv_now_ns();
	now->failed += failed;
	if (now->asked < busy->looks)
		return false;
	/* What lies between the first and the last is one less. */
	now->elapsed_ns = (clv_now_ns() - busy->began_ns) * now->asked / (now->asked - 1);
	*seen = *now;
	*now = (struct clv_seen){ 0 };
	return seen->failed * 100 >= seen->asked * busy->share;
}

/* ---- quiet ---- */

/* Relaxed throughout: whoever is late at one of these makes a window longer or shorter by a look. */
struct clv_quiet {
	uint64_t limit_ns; /* read by all; the rest is what they write */
	_Alignas(CLV_CACHE_LINE) uint64_t began_ns; /* who moves it on closes the window */
	uint64_t counted;
	uint64_t windows; /* that were quiet, running */
	uint64_t last_ns, last_counted; /* of the last that was */
};

/* Begin, with windows that are quiet if they last `limit_ns`. */
static inline void clv_quiet_begin(struct clv_quiet *quiet, uint64_t limit_ns)
{
	__atomic_store_n(&quiet->limit_ns, limit_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&quiet->began_ns, clv_now_ns(), __ATOMIC_RELAXED);
	__atomic_store_n(&quiet->counted, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&quiet->windows, 0, __ATOMIC_RELAXED);
}

static inline bool clv_quiet_is(const struct clv_quiet *quiet)
{
	return __atomic_load_n(&quiet->windows, __ATOMIC_RELAXED) >= CLV_QUIET_WINDOWS;
}

/* `commits` more. Returns: as clv_quiet_is. */
static inline bool clv_quiet_look(struct clv_quiet *quiet, unsigned commits)
{
	uint64_t counted = commits ? __atomic_add_fetch(&quiet->counted, commits, __ATOMIC_RELAXED) :
				     __atomic_load_n(&quiet->counted, __ATOMIC_RELAXED);
	uint64_t began_ns = __atomic_load_n(&quiet->began_ns, __ATOMIC_RELAXED);
	uint64_t now_ns = clv_now_ns();
	/* Clocks of two CPUs may differ by a little. */
	uint64_t elapsed_ns = now_ns > began_ns ? now_ns - began_ns : 0;
	bool slow = elapsed_ns >= __atomic_load_n(&quiet->limit_ns, __ATOMIC_RELAXED);

	if ((slow || counted >= CLV_QUIET_LOOKS) &&
	    __atomic_compare_exchange_n(&quiet->began_ns, &began_ns, now_ns, false,
					__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
		__atomic_store_n(&quiet->counted, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&quiet->last_ns, elapsed_ns, __ATOMIC_RELAXED);
		__atomic_store_n(&quiet->last_counted, counted, __ATOMIC_RELAXED);
		__atomic_store_n(&quiet->windows,
				 slow ? __atomic_load_n(&quiet->windows, __ATOMIC_RELAXED) + 1 : 0,
				 __ATOMIC_RELAXED);
	}
	return clv_quiet_is(quiet);
}

static inline struct clv_seen clv_quiet_seen(const struct clv_quiet *quiet)
{
	return (struct clv_seen){
		.asked = __atomic_load_n(&quiet->last_counted, __ATOMIC_RELAXED),
		.elapsed_ns = __atomic_load_n(&quiet->last_ns, __ATOMIC_RELAXED),
	};
}

#endif
