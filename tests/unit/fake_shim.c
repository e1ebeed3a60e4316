// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * See fake_shim.h. Each thread has a stack and a ucontext; all switches go through the test's own
 * context, which is the scheduler's. Handles and stacks are used again by the next schedule.
 *
 * The search is depth-first over the sequence of choices of one run: a run repeats the recorded
 * choices and takes the first alternative from there on; then the last choice that has another
 * alternative moves on to it. A spinner is no choice: at a pause the next thread in the ring runs,
 * else the number of schedules would grow with the length of the spinning. Preemption bounding
 * after Musuvathi and Qadeer (PLDI 2007).
 */
#include "fake_shim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "shim/mark.h"
#include "shim/shim.h"
#include "thread.h"

enum {
	THREADS_MAX = 400,
	STACK_BYTES = 128 * 1024,
	CHOICES_MAX = 1 << 12,
	/* More switches than this in one schedule: nobody gets anywhere. */
	SWITCHES_MAX = 1 << 16,
	SPINS_MAX = 1 << 20,
};

struct coroutine {
	struct cleave_thread handle; /* first: handles are cast to it */
	ucontext_t context;
	void *stack;
	fake_body *body;
	void *arg;
	enum fake_state state;
	bool wake_kept, off_cpu;
	struct fake_counts counts;
};

uint64_t fake_now_ns, fake_pause_ns, fake_clock_ns;
struct cleave_env *fake_env;
void (*fake_on_wake)(struct cleave_thread *woken);

static struct coroutine *coroutines[THREADS_MAX];
static unsigned used;
static struct coroutine *running;
static bool stop_at_point;
static ucontext_t scheduler;

static struct search {
	bool on;
	struct fake_limits left;
	struct coroutine *preempted_by;
	struct choice {
		unsigned char taken, count;
	} choices[CHOICES_MAX];
	unsigned recorded, made;
	unsigned long schedules;
} search;

void fake_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (search.on) {
		fprintf(stderr, "; schedule %lu:", search.schedules);
		for (unsigned i = 0; i < search.made; i++)
			fprintf(stderr, " %u/%u", search.choices[i].taken, search.choices[i].count);
	}
	fprintf(stderr, "\n");
	abort();
}

static struct coroutine *of(const struct cleave_thread *thread)
{
	return (struct coroutine *)thread;
}

/* ---- threads ---- */

static void start_here(void)
{
	running->body(&running->handle, running->arg);
	running->state = FAKE_ENDED;
	swapcontext(&running->context, &scheduler);
}

struct cleave_thread *fake_start(fake_body *body, void *arg)
{
	if (used == THREADS_MAX)
		fake_fail("fake shim: too many threads");
	struct coroutine *self = coroutines[used];
	if (!self) {
		self = aligned_alloc(_Alignof(struct coroutine), sizeof(*self));
		coroutines[used] = self;
		self->stack = malloc(STACK_BYTES);
	}
	used++;
	void *stack = self->stack;
	memset(self, 0, sizeof(*self));
	self->stack = stack;
	self->handle.id = used;
	self->handle.env = fake_env;
	self->body = body;
	self->arg = arg;
	if (!body)
		return &self->handle;
	getcontext(&self->context);
	self->context.uc_stack.ss_sp = stack;
	self->context.uc_stack.ss_size = STACK_BYTES;
	self->context.uc_link = NULL;
	makecontext(&self->context, start_here, 0);
	return &self->handle;
}

void fake_end_all(void)
{
	for (unsigned i = 0; i < THREADS_MAX && coroutines[i]; i++) {
		free(coroutines[i]->stack);
		free(coroutines[i]);
		coroutines[i] = NULL;
	}
	used = 0;
}

enum fake_state fake_state(const struct cleave_thread *thread)
{
	return of(thread)->state;
}

const struct fake_counts *fake_counts(const struct cleave_thread *thread)
{
	return &of(thread)->counts;
}

void fake_set_off_cpu(struct cleave_thread *thread, bool off)
{
	of(thread)->off_cpu = off;
}

static void switch_to(struct coroutine *next)
{
	running = next;
	next->state = FAKE_READY;
	swapcontext(&scheduler, &next->context);
	running = NULL;
}

static void switch_back(enum fake_state state)
{
	if (!running)
		fake_fail("fake shim: the test itself would have to wait");
	running->state = state;
	swapcontext(&running->context, &scheduler);
}

enum fake_state fake_step(struct cleave_thread *thread)
{
	struct coroutine *next = of(thread);

	if (running || next->state == FAKE_PARKED || next->state == FAKE_ENDED || !next->body)
		fake_fail("fake shim: thread %u cannot run", thread->id);
	switch_to(next);
	return next->state;
}

enum fake_state fake_step_atomic(struct cleave_thread *thread)
{
	stop_at_point = true;
	enum fake_state state = fake_step(thread);
	stop_at_point = false;
	return state;
}

enum fake_state fake_run(struct cleave_thread *thread)
{
	for (unsigned spins = 0; fake_step(thread) == FAKE_PAUSED; spins++)
		if (spins == SPINS_MAX)
			fake_fail("fake shim: thread %u spins for ever", thread->id);
	return fake_state(thread);
}

void fake_stop(void)
{
	switch_back(FAKE_STOPPED);
}

/* ---- search ---- */

static unsigned choose(unsigned count)
{
	if (count < 2)
		return 0;
	if (search.made == CHOICES_MAX)
		fake_fail("fake shim: too many choices");
	struct choice *choice = &search.choices[search.made];
	if (search.made++ == search.recorded) {
		*choice = (struct choice){.count = (unsigned char)count};
		search.recorded++;
	}
	if (choice->count != count)
		fake_fail("fake shim: the scenario is not the same in every run");
	return choice->taken;
}

static bool can_run(const struct coroutine *thread)
{
	return thread->body && thread->state != FAKE_PARKED && thread->state != FAKE_ENDED;
}

static unsigned count_others(const struct coroutine *except)
{
	unsigned count = 0;

	for (unsigned i = 0; i < used; i++)
		count += coroutines[i] != except && can_run(coroutines[i]);
	return count;
}

static struct coroutine *nth_other(const struct coroutine *except, unsigned n)
{
	for (unsigned i = 0; i < used; i++)
		if (coroutines[i] != except && can_run(coroutines[i]) && n-- == 0)
			return coroutines[i];
	return NULL;
}

static struct coroutine *next_in_ring(const struct coroutine *after)
{
	unsigned at = after->handle.id; /* index of the next */

	for (unsigned i = 0; i < used; i++)
		if (can_run(coroutines[(at + i) % used]))
			return coroutines[(at + i) % used];
	return NULL;
}

void fake_point(void)
{
	if (!running)
		return;
	if (stop_at_point)
		switch_back(FAKE_AT_POINT);
	if (!search.on || !search.left.preemptions)
		return;
	unsigned choice = choose(1 + count_others(running));
	if (!choice)
		return;
	search.left.preemptions--;
	search.preempted_by = nth_other(running, choice - 1);
	switch_back(FAKE_READY);
}

static void run_schedule(void)
{
	struct coroutine *next = nth_other(NULL, choose(count_others(NULL)));

	for (unsigned switches = 0; next; switches++) {
		struct coroutine *last = next;
		if (switches == SWITCHES_MAX)
			fake_fail("fake shim: nobody gets anywhere");
		switch_to(next);
		if (last->state == FAKE_PAUSED) {
			next = next_in_ring(last);
		} else if (last->state == FAKE_READY) {
			next = search.preempted_by;
		} else {
			next = nth_other(NULL, choose(count_others(NULL)));
		}
	}
	for (unsigned i = 0; i < used; i++)
		if (coroutines[i]->body && coroutines[i]->state != FAKE_ENDED)
			fake_fail("fake shim: thread %u sleeps for ever", i + 1);
}

unsigned long fake_explore(const struct fake_limits *limits, void (*set_up)(void *arg),
			   void (*check)(void *arg), void *arg)
{
	uint64_t start_ns = fake_now_ns;

	search.recorded = 0;
	search.schedules = 0;
	do {
		fake_now_ns = start_ns;
		used = 0;
		set_up(arg);
		search.on = true;
		search.left = *limits;
		search.made = 0;
		run_schedule();
		if (search.made != search.recorded)
			fake_fail("fake shim: the scenario is not the same in every run");
		search.left = (struct fake_limits){0};
		check(arg);
		search.on = false;
		search.schedules++;

		while (search.recorded > 0) {
			struct choice *last = &search.choices[search.recorded - 1];
			if (++last->taken < last->count)
				break;
			search.recorded--;
		}
	} while (search.recorded && search.schedules != limits->schedules);
	return search.schedules;
}

/* ---- the shim ---- */

void clv_pause(void)
{
	fake_now_ns += fake_pause_ns;
	if (running)
		running->counts.pauses++;
	switch_back(FAKE_PAUSED);
}

void clv_pause_bounded(void)
{
	clv_pause();
}

uint64_t clv_now_ns(void)
{
	fake_now_ns += fake_clock_ns;
	return fake_now_ns;
}

bool clv_park(struct cleave_thread *self, uint64_t timeout_ns)
{
	struct coroutine *thread = of(self);

	if (thread != running || timeout_ns != CLV_FOREVER)
		fake_fail("fake shim: a park that it does not model");
	fake_point();
	thread->counts.parks++;
	if (search.on && search.left.stray_wakes && choose(2)) {
		search.left.stray_wakes--;
		return true;
	}
	if (!thread->wake_kept)
		switch_back(FAKE_PARKED);
	thread->wake_kept = false;
	return true;
}

void clv_wake(struct cleave_thread *thread)
{
	fake_point();
	if (fake_on_wake)
		fake_on_wake(thread);
	of(thread)->counts.woken++;
	of(thread)->wake_kept = true;
	if (of(thread)->state == FAKE_PARKED)
		of(thread)->state = FAKE_READY;
}

bool clv_is_running(const struct cleave_thread *thread)
{
	of(thread)->counts.watched++;
	if (of(thread)->off_cpu || of(thread)->state == FAKE_PARKED)
		return false;
	if (search.on && search.left.off_cpu && choose(2)) {
		search.left.off_cpu--;
		return false;
	}
	return true;
}

/* ---- memory ---- */

void *clv_alloc(size_t size_bytes, size_t align_bytes, int node)
{
	void *block = NULL;

	(void)node;
	if (posix_memalign(&block, align_bytes, size_bytes))
		return NULL;
	return memset(block, 0, size_bytes);
}

void clv_free(void *block, size_t size_bytes)
{
	(void)size_bytes;
	free(block);
}

void clv_name(const void *block, size_t bytes, size_t stride_bytes, const char *name, int index,
	      const struct cleave_field *fields)
{
	(void)block;
	(void)bytes;
	(void)stride_bytes;
	(void)name;
	(void)index;
	(void)fields;
}
