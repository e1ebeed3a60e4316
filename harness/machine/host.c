// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The host: real threads, one a CPU, bound and read back, and real time. The thread that calls run
 * sleeps through warm-up and window and moves the phase.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../lib/error.h"
#include "../../lib/shim/shim.h"
#include "../pin.h"
#include "host.h"

struct host {
	struct clv_machine machine;
	struct clv_topology *topology;
};

/* Threads arrive once they have tried to bind; the caller counts them and lets all go, or none. */
struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned arrived;
	enum { SHUT, OPEN, CANCELLED } state;
};

/* One body's thread. */
struct runner {
	pthread_t thread;
	const struct clv_plan *plan;
	struct gate *gate;
	unsigned worker;
	unsigned os_cpu;
	int code;
	struct cleave_error error;
};

/* Returns: whether to go on. */
static bool pass(struct gate *gate)
{
	pthread_mutex_lock(&gate->mutex);
	gate->arrived++;
	pthread_cond_broadcast(&gate->changed);
	while (gate->state == SHUT)
		pthread_cond_wait(&gate->changed, &gate->mutex);
	bool open = gate->state == OPEN;
	pthread_mutex_unlock(&gate->mutex);
	return open;
}

static void await_arrivals(struct gate *gate, unsigned count)
{
	pthread_mutex_lock(&gate->mutex);
	while (gate->arrived < count)
		pthread_cond_wait(&gate->changed, &gate->mutex);
	pthread_mutex_unlock(&gate->mutex);
}

static void move_gate(struct gate *gate, int state)
{
	pthread_mutex_lock(&gate->mutex);
	gate->state = state;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->mutex);
}

static void *run_body(void *arg)
{
	struct runner *runner = arg;
	runner->code = clv_pin(runner->os_cpu, &runner->error);
	if (!pass(runner->gate))
		return NULL;
	runner->plan->body(runner->plan->arg, runner->worker);
	runner->code = clv_pin_check(runner->os_cpu, &runner->error);
	return NULL;
}

static void sleep_ns(uint64_t ns)
{
	struct timespec left = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
		;
}

static int first_failure(const struct runner *runner, unsigned count, struct cleave_error *error)
{
	for (unsigned i = 0; i < count; i++) {
		if (runner[i].code)
			return clv_error(error, runner[i].code, "%.200s", runner[i].error.text);
	}
	return 0;
}

static int run(struct clv_machine *machine, const struct clv_plan *plan,
	       struct cleave_error *error)
{
	struct gate gate = { .mutex = PTHREAD_MUTEX_INITIALIZER,
			     .changed = PTHREAD_COND_INITIALIZER };
	struct runner *runner = calloc(plan->threads, sizeof(*runner));
	unsigned started = 0;
	int code = 0;

	if (!runner)
		return clv_error(error, -ENOMEM, "host: out of memory");
	for (; started < plan->threads && !code; started += !code) {
		struct runner *r = &runner[started];
		*r = (struct runner){
			.plan = plan,
			.gate = &gate,
			.worker = started,
			.os_cpu = machine->topology->cpu[plan->cpu_index[started]].os,
		};
		code = -pthread_create(&r->thread, NULL, run_body, r);
		if (code)
			clv_error(error, code, "host: thread %u of %u: %s", started + 1,
				  plan->threads, strerror(-code));
	}
	await_arrivals(&gate, started);
	if (!code)
		code = first_failure(runner, started, error);
	move_gate(&gate, code ? CANCELLED : OPEN);
	if (!code) {
		sleep_ns(plan->warm_ns);
		if (plan->origin_ns)
			__atomic_store_n(plan->origin_ns, clv_now_ns(), __ATOMIC_RELAXED);
		__atomic_store_n(plan->phase, CLV_PHASE_MEASURE, __ATOMIC_RELAXED);
		sleep_ns(plan->window_ns);
		__atomic_store_n(plan->phase, CLV_PHASE_STOP, __ATOMIC_RELAXED);
	}
	for (unsigned i = 0; i < started; i++)
		pthread_join(runner[i].thread, NULL);
	if (!code)
		code = first_failure(runner, started, error);
	free(runner);
	return code;
}

static void close_host(struct clv_machine *machine)
{
	struct host *host = (struct host *)machine;
	clv_topology_free(host->topology);
	free(host);
}

int clv_machine_open_host(struct clv_machine **machine, struct cleave_error *error)
{
	struct host *host = calloc(1, sizeof(*host));
	if (!host)
		return clv_error(error, -ENOMEM, "host: out of memory");
	int code = clv_topology_load(&host->topology, NULL, error);
	if (code) {
		free(host);
		return code;
	}
	host->machine = (struct clv_machine){
		.name = "host",
		.topology = host->topology,
		.bench = &clv_bench_native,
		.run = run,
		.close = close_host,
	};
	*machine = &host->machine;
	return 0;
}
