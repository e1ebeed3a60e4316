/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A machine for unit tests of what waits: the test owns the clock, and its threads are coroutines
 * on one system thread that run only when the test says so. Code under test is compiled with
 * -DCLEAVE_SIMULATED; with `-include fake_atomics.h` too, each of its atomic operations is a point
 * at which fake_explore can switch threads.
 *
 * Two ways to use it. By script: fake_start threads, then fake_step or fake_run each as far as the
 * test wants it. By search: fake_explore runs one scenario under every schedule with a bounded
 * number of preemptions, and fails the test for the first in which somebody is left asleep.
 * Whatever goes wrong in here ends the test with a message.
 */
#ifndef CLV_FAKE_SHIM_H
#define CLV_FAKE_SHIM_H

#include <stdbool.h>
#include <stdint.h>

struct cleave_env;
struct cleave_thread;

enum fake_state {
	FAKE_READY,
	FAKE_PAUSED,  /* in clv_pause */
	FAKE_AT_POINT, /* before an atomic operation, by fake_step_atomic */
	FAKE_STOPPED, /* in fake_stop */
	FAKE_PARKED,  /* in clv_park, with no wake to come back on */
	FAKE_ENDED,
};

struct fake_counts {
	unsigned pauses, parks;
	unsigned woken;	  /* calls of clv_wake for it */
	unsigned watched; /* calls of clv_is_running about it */
};

typedef void fake_body(struct cleave_thread *self, void *arg);

extern uint64_t fake_now_ns;
extern uint64_t fake_pause_ns; /* what one clv_pause takes */
extern uint64_t fake_clock_ns; /* what one clv_now_ns takes */

extern struct cleave_env *fake_env; /* that of threads which start; NULL: none */
extern void (*fake_on_wake)(struct cleave_thread *woken); /* by the waker; NULL: nothing */

/* Message, with the schedule in a search, and abort. For bodies, where an assertion cannot be. */
void fake_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* A thread's handle. `body` NULL: a handle alone, for calls that the test makes itself. */
struct cleave_thread *fake_start(fake_body *body, void *arg);
void fake_end_all(void);

enum fake_state fake_state(const struct cleave_thread *thread);
const struct fake_counts *fake_counts(const struct cleave_thread *thread);

/* Let it run up to where it next pauses, stops, parks or ends. pre: it is not parked, nor ended. */
enum fake_state fake_step(struct cleave_thread *thread);
/* As fake_step, but at most to its next atomic operation, which comes in the next step. */
enum fake_state fake_step_atomic(struct cleave_thread *thread);
/* Step it until it does anything else than pause. */
enum fake_state fake_run(struct cleave_thread *thread);
/* In a body: back to the test. */
void fake_stop(void);

/* Off its CPU without having parked: clv_is_running says so. */
void fake_set_off_cpu(struct cleave_thread *thread, bool off);

/* ---- search ---- */

struct fake_limits {
	unsigned preemptions; /* switches away from a thread that could go on, a schedule */
	unsigned stray_wakes; /* parks that return for no reason, a schedule */
	unsigned off_cpu;     /* clv_is_running that says no of a thread that runs, a schedule */
	unsigned long schedules; /* at most; 0: until there is no other */
};

/*
 * `set_up` calls fake_start for each thread; `check` looks at what they left. Both are called once
 * for each schedule, on the same clock as the first.
 * Returns: schedules run.
 */
unsigned long fake_explore(const struct fake_limits *limits, void (*set_up)(void *arg),
			   void (*check)(void *arg), void *arg);

/* A point at which another thread may be scheduled. */
void fake_point(void);

#endif
