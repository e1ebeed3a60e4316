/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Runs of workloads for tests: over a machine of four CPUs in two nodes that need not exist, since
 * threads are not bound; with threads, or step by step in the test's own thread.
 *
 * Link with --wrap=clv_now_ns, so that a test can own the clock, and count who reads it.
 */
#ifndef WORKLOAD_RUNS_H
#define WORKLOAD_RUNS_H

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "harness/bench.h"
#include "harness/worker.h"
#include "harness/workloads/schedule.h"
#include "harness/workloads/workload.h"

uint64_t __real_clv_now_ns(void);
uint64_t __wrap_clv_now_ns(void);

static bool own_clock;
static uint64_t now_ns, clock_reads;

uint64_t __wrap_clv_now_ns(void)
{
	__atomic_fetch_add(&clock_reads, 1, __ATOMIC_RELAXED);
	return own_clock ? now_ns : __real_clv_now_ns();
}

static const char *const machine = "numa:2 l3:1 core:2 pu:1";
static const int cpus[] = { 0, 3, 1, 2, 0, 3, 1, 2 };
static struct clv_schedule *schedule;

static struct clv_run_config config_for(const char *design, const char *workload, unsigned threads)
{
	struct cleave_error error = { "" };
	if (!schedule)
		cr_assert_eq(clv_schedule_recorded(&schedule, &error), 0, "%s", error.text);
	return (struct clv_run_config){
		.design = design,
		.workload = workload,
		.schedule = schedule,
		.topology = machine,
		.threads = threads,
		.cpu = cpus,
		.seed = 7,
		.population = 200,
		.think_given = true,
		.sample_every = 3,
	};
}

static struct clv_run *opened(const struct clv_run_config *config)
{
	struct clv_run *run = NULL;
	struct cleave_error error = { "" };
	int code = clv_bench_native.open(&run, config, &error);
	cr_assert_eq(code, 0, "%s %s: %s", config->design, config->workload, error.text);
	return run;
}

static void finish_and_close(struct clv_run *run, struct clv_run_result *result)
{
	cr_assert_eq(clv_bench_native.finish(run, result), 0);
	clv_bench_native.close(run);
}

static void free_result(struct clv_run_result *result)
{
	clv_run_result_fini(result);
}

/* ---- with threads ---- */

struct body {
	struct clv_run *run;
	unsigned index;
	pthread_t thread;
};

static void *run_body(void *arg)
{
	struct body *body = arg;
	clv_bench_native.body(body->run, body->index);
	return NULL;
}

/* Until each worker has done so many batches more, or has failed. */
static void await(struct clv_run *run, uint64_t batches)
{
	for (unsigned i = 0; i < run->config.threads; i++) {
		struct clv_worker *worker = run->worker[i];
		uint64_t until = __atomic_load_n(&worker->done.batches, __ATOMIC_RELAXED) + batches;
		while (__atomic_load_n(&worker->done.batches, __ATOMIC_RELAXED) < until &&
		       !__atomic_load_n(&worker->failed, __ATOMIC_RELAXED))
			sched_yield();
	}
}

static struct clv_run_result run_threads(const struct clv_run_config *config, uint64_t batches)
{
	struct clv_run *run = opened(config);
	struct clv_run_result result;
	struct body body[8];
	for (unsigned i = 0; i < config->threads; i++) {
		body[i] = (struct body){ .run = run, .index = i };
		cr_assert_eq(pthread_create(&body[i].thread, NULL, run_body, &body[i]), 0);
	}
	uint32_t *phase = clv_bench_native.phase(run);
	await(run, batches);
	__atomic_store_n(clv_bench_native.origin(run), __real_clv_now_ns(), __ATOMIC_RELAXED);
	__atomic_store_n(phase, CLV_PHASE_MEASURE, __ATOMIC_RELAXED);
	await(run, batches);
	__atomic_store_n(phase, CLV_PHASE_STOP, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < config->threads; i++)
		pthread_join(body[i].thread, NULL);
	finish_and_close(run, &result);
	return result;
}

static void begin_worker(struct clv_worker *worker)
{
	cr_assert_eq(cleave_thread_begin(&worker->thread, worker->run->env, worker->cpu), 0);
	worker->until_sample = UINT64_MAX;
}

static void end_worker(struct clv_worker *worker)
{
	cleave_thread_end(worker->thread);
	worker->thread = NULL;
}

extern const struct cleave_structure cleave_brute_array;

static void add_structure(struct cleave_structure *structure, const char *name)
{
	struct cleave_error error = { "" };
	structure->name = name;
	cr_assert_eq(cleave_register(structure, &error), 0, "%s", error.text);
}

static void check_result(const struct clv_run_config *config, const struct clv_run_result *result)
{
	uint64_t ops = 0, walks = 0;
	cr_assert(result->valid, "%s %s: %s", config->design, config->workload, result->why);
	for (unsigned i = 0; i < config->threads; i++) {
		const struct clv_worker_counts *worker = &result->worker[i];
		cr_assert_gt(worker->ops, 0);
		cr_assert_gt(worker->elapsed_ns, 0);
		cr_assert_geq(worker->ops + worker->walks, worker->batches);
		ops += worker->ops;
		walks += worker->walks;
	}
	cr_assert_lt(ops, result->checked_ops, "warm-up is checked, too");
	cr_assert_gt(result->sampled, 0);
	cr_assert_leq(result->latency->count, result->sampled);
	cr_assert_leq(result->sampled_wait_ns, result->sampled_ns);
	cr_assert_leq(result->sampled_hold_ns, result->sampled_ns);
	if (config->walks > 0) {
		double share = (double)walks / (double)(walks + ops);
		cr_assert(share > config->walks * 0.7 && share < config->walks * 1.4, "%g", share);
	} else {
		cr_assert_eq(walks, 0);
		cr_assert_eq(result->latency->count, result->sampled);
	}
}

#endif
