// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * struct clv_bench: opens the maps and fills them, hands out the worker loop, checks and sums up.
 * One thread calls all of it but the bodies.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/env.h"
#include "../lib/error.h"
#include "../lib/map.h"
#include "../lib/shim/mark.h"
#include "check.h"
#include "course.h"
#include "workloads/workload.h"

/* A walk's share of operations; beyond it so many walks come to an op that a step takes seconds. */
#define WALKS_MAX 0.999999

#define CLV_WORKLOAD(name) extern const struct clv_workload clv_workload_##name;
#include "workloads/registry.def"
#undef CLV_WORKLOAD

static const struct clv_workload *const workloads[] = {
#define CLV_WORKLOAD(name) &clv_workload_##name,
#include "workloads/registry.def"
#undef CLV_WORKLOAD
	NULL,
};

const struct clv_workload *clv_workload_at(unsigned i)
{
	return i < sizeof(workloads) / sizeof(workloads[0]) ? workloads[i] : NULL;
}

static const struct clv_workload_info *workload_at(unsigned i)
{
	const struct clv_workload *workload = clv_workload_at(i);
	return workload ? &workload->info : NULL;
}

static const struct cleave_field run_fields[] = {
	{ offsetof(struct clv_run, phase), "phase" },
	{ offsetof(struct clv_run, begun), "begun" },
	{ offsetof(struct clv_run, config), "constants" },
	{ 0, NULL },
};

/* ---- opening ---- */

static int no_memory(struct cleave_error *error)
{
	return clv_error(error, -ENOMEM, "run: out of memory");
}

static int check_config(const struct clv_run_config *config, struct cleave_error *error)
{
	if (!config->threads)
		return clv_error(error, -EINVAL, "no threads: %s", config->workload);
	/* Written so that what is no number is refused. */
	if (!(config->walks >= 0 && config->walks <= WALKS_MAX))
		return clv_error(error, -EINVAL, "share of walks not within 0 and %g: %g",
				 WALKS_MAX, config->walks);
	if (!(config->migrate >= 0 && config->migrate <= 1))
		return clv_error(error, -EINVAL, "share of execs that migrate not within 0 and 1: "
				 "%g", config->migrate);
	if (config->migrate > 0 && config->threads < 2)
		return clv_error(error, -EINVAL, "migration from one CPU to another takes 2 threads "
				 "at least: %s", config->workload);
	return 0;
}

static const struct clv_workload *find_workload(const char *name)
{
	for (unsigned i = 0; workloads[i]; i++) {
		if (!strcmp(workloads[i]->info.name, name))
			return workloads[i];
	}
	return NULL;
}

static int make_worker(struct clv_run *run, unsigned i, struct cleave_error *error)
{
	const struct clv_topology *topology = run->env->topology;
	int cpu = run->config.cpu[i];
	int index = clv_topology_index(topology, cpu);
	if (index < 0)
		return clv_error(error, -ERANGE, "no such CPU: %d", cpu);
	int node = (int)topology->node_os[topology->cpu[index].node];
	struct clv_worker *worker =
		cleave_alloc(sizeof(*worker), _Alignof(struct clv_worker), node);
	if (!worker)
		return no_memory(error);
	clv_name(worker, sizeof(*worker), 0, "worker", (int)i, NULL);
	run->worker[i] = worker;
	worker->run = run;
	worker->index = i;
	worker->cpu = cpu;
	worker->node = node;
	worker->phase = CLV_PHASE_WARM;
	worker->random = clv_seed(run->config.seed, CLV_STREAM_OPS, i);
	worker->sample_random = clv_seed(run->config.seed, CLV_STREAM_SAMPLES, i);
	/* So that not all workers walk at once. */
	worker->walk_due = (uint32_t)clv_seed(run->config.seed, CLV_STREAM_START, i);
	if (run->config.sample_every) {
		worker->latency = cleave_alloc(sizeof(*worker->latency), CLV_CACHE_LINE, node);
		if (!worker->latency)
			return no_memory(error);
		clv_name(worker->latency, sizeof(*worker->latency), 0, "latency", (int)i, NULL);
	}
	return clv_course_begin(worker) ? no_memory(error) : 0;
}

static bool one_thread_only(const struct cleave_map *map)
{
	return clv_design_waiting(&map->design) & CLV_LOCK_ONE_THREAD;
}

/* Can this workload run on maps of this design? */
static int check_design(const struct clv_run *run, struct cleave_error *error)
{
	const struct cleave_map *map = run->map[0];
	const char *design = cleave_design(map);
	if (run->config.threads > 1 && one_thread_only(map))
		return clv_error(error, -EINVAL, "lock none is for one thread, not %u: %s",
				 run->config.threads, design);
	if (cleave_last_max(map) < run->last_page)
		return clv_error(error, -ENOTSUP, "workload %s needs pages up to %llu: %s",
				 run->config.workload, (unsigned long long)run->last_page, design);
	unsigned missing = run->workload->needs & ~cleave_keeps(map);
	if (missing && !run->sink)
		return clv_error(error, -ENOTSUP, "workload %s needs C%d kept: %s",
				 run->config.workload, __builtin_ffs((int)missing), design);
	return 0;
}

static int open_maps(struct clv_run *run, struct cleave_error *error)
{
	run->map = cleave_alloc(CLV_RUN_MAPS_MAX * sizeof(*run->map), CLV_CACHE_LINE, -1);
	if (!run->map)
		return no_memory(error);
	clv_name(run->map, CLV_RUN_MAPS_MAX * sizeof(*run->map), 0, "maps", -1, NULL);
	for (unsigned i = 0; i < run->maps; i++) {
		int code = cleave_open(&run->map[i], run->env, run->config.design, error);
		if (code) {
			run->map[i] = NULL;
			return code;
		}
	}
	const struct cleave_map *map = run->map[0];
	unsigned flags = map->structure->flags;
	run->sink = flags & CLEAVE_SINK;
	run->defers = cleave_defers(map);
	/* Where walks take no lock, bounds may change between its own look and the visitor's. */
	run->checks_visits = !(flags & CLEAVE_WALKS_UNLOCKED && run->workload->changes);
	size_t align = cleave_entry_align(map), bytes = cleave_entry_size(map);
	run->tail_offset = (bytes + _Alignof(struct clv_entry_tail) - 1) &
			   ~(_Alignof(struct clv_entry_tail) - 1);
	if (run->defers)
		bytes = run->tail_offset + sizeof(struct clv_entry_tail);
	run->entry_bytes = (bytes + align - 1) & ~(align - 1);
	return check_design(run, error);
}

/* ---- filling ---- */

static int make_held(const struct clv_worker *worker, struct clv_held *held,
		     enum clv_holding holding)
{
	static const char *const name[] = { "interval", "standing interval", "interval" };
	const struct clv_run *run = worker->run;
	size_t align = cleave_entry_align(run->map[0]);
	uint64_t count = held->count;
	held->count = 0;
	if (!count)
		return 0;
	held->slot = cleave_alloc(count * sizeof(*held->slot), CLV_CACHE_LINE, worker->node);
	held->map_of = cleave_alloc(count, CLV_CACHE_LINE, worker->node);
	held->entries = cleave_alloc(count * run->entry_bytes, align, worker->node);
	held->count = count;
	if (!held->slot || !held->map_of || !held->entries)
		return -ENOMEM;
	int index = (int)worker->index;
	clv_name(held->slot, count * sizeof(*held->slot), 0, "slots", index, NULL);
	clv_name(held->map_of, count, 0, "maps of slots", index, NULL);
	clv_name(held->entries, count * run->entry_bytes, run->entry_bytes,
		 name[holding], index, run->map[0]->structure->entry_fields);
	for (uint64_t i = 0; i < count; i++) {
		unsigned map = 0;
		held->slot[i].entry = (struct cleave_entry *)(held->entries + i * run->entry_bytes);
		held->slot[i].range = run->workload->initial(worker, holding, i, &map);
		held->map_of[i] = (uint8_t)map;
	}
	return 0;
}

static void free_held(const struct clv_run *run, struct clv_held *held)
{
	if (held->slot)
		cleave_free(held->slot, held->count * sizeof(*held->slot));
	if (held->map_of)
		cleave_free(held->map_of, held->count);
	if (held->entries)
		cleave_free(held->entries, held->count * run->entry_bytes);
}

/* A mailbox with a copy at rest for each worker, and for each an empty bundle to leave. */
static int make_mailboxes(struct clv_run *run)
{
	const struct clv_workload *workload = run->workload;
	unsigned threads = run->config.threads;
	run->mailbox = cleave_alloc(threads * sizeof(*run->mailbox),
				    _Alignof(struct clv_mailbox), -1);
	if (!run->mailbox)
		return -ENOMEM;
	clv_name(run->mailbox, threads * sizeof(*run->mailbox), sizeof(*run->mailbox), "mailbox",
		 -1, NULL);
	for (unsigned i = 0; i < threads; i++) {
		struct clv_worker *worker = run->worker[i];
		struct clv_bundle *bundle =
			cleave_alloc(sizeof(*bundle), CLV_CACHE_LINE, worker->node);
		worker->bundle = cleave_alloc(sizeof(*bundle), CLV_CACHE_LINE, worker->node);
		run->mailbox[i].bundle = bundle;
		if (!bundle || !worker->bundle)
			return -ENOMEM;
		clv_name(bundle, sizeof(*bundle), 0, "bundle", (int)i, NULL);
		clv_name(worker->bundle, sizeof(*bundle), 0, "bundle", (int)i, NULL);
		bundle->worker = i;
		bundle->held.count = worker->held.count;
		int code = make_held(worker, &bundle->held, CLV_RESTING);
		if (!code && workload->begin)
			code = workload->begin(worker, CLV_RESTING, &bundle->state);
		if (code)
			return code;
	}
	return 0;
}

static void free_mailboxes(struct clv_run *run)
{
	for (unsigned i = 0; run->mailbox && i < run->config.threads; i++) {
		struct clv_bundle *bundle = run->mailbox[i].bundle;
		if (!bundle)
			continue;
		if (bundle->state)
			run->workload->end(bundle->state);
		free_held(run, &bundle->held);
		cleave_free(bundle, sizeof(*bundle));
	}
	if (run->mailbox)
		cleave_free(run->mailbox, run->config.threads * sizeof(*run->mailbox));
}

/* Slot i of the worker's, if he has one and holds something in it. */
static int put_in(struct clv_run *run, struct cleave_thread *thread, struct clv_worker *worker,
		  struct clv_held *held, uint64_t i)
{
	if (i >= held->count || clv_range_is_none(held->slot[i].range))
		return 0;
	int code = cleave_thread_set_cpu(thread, worker->cpu);
	if (!code)
		code = cleave_insert(run->map[held->map_of[i]], thread, held->slot[i].entry,
				     held->slot[i].range.start, held->slot[i].range.last);
	run->at_start += !code;
	return code;
}

/* In turns, so that no one's intervals lie together among those that are equal. */
static int put_all_in(struct clv_run *run, struct cleave_thread *thread)
{
	unsigned threads = run->config.threads;
	uint64_t most = 0;
	int code = 0;
	for (unsigned i = 0; i < threads; i++) {
		const struct clv_worker *worker = run->worker[i];
		uint64_t more = worker->held.count > worker->standing.count ?
					worker->held.count : worker->standing.count;
		most = more > most ? more : most;
	}
	for (uint64_t j = 0; j < most; j++) {
		for (unsigned i = 0; i < threads && !code; i++) {
			struct clv_worker *worker = run->worker[i];
			code = put_in(run, thread, worker, &worker->standing, j);
			if (!code)
				code = put_in(run, thread, worker, &worker->held, j);
			if (!code && run->mailbox)
				code = put_in(run, thread, worker, &run->mailbox[i].bundle->held, j);
		}
	}
	return code;
}

static int fill(struct clv_run *run, struct cleave_error *error)
{
	struct cleave_thread *thread;
	for (unsigned i = 0; i < run->config.threads; i++) {
		struct clv_worker *worker = run->worker[i];
		worker->defers = run->defers;
		if (make_held(worker, &worker->held, CLV_HELD) ||
		    make_held(worker, &worker->standing, CLV_STANDING) ||
		    (run->workload->begin &&
		     run->workload->begin(worker, CLV_HELD, &worker->state)))
			return no_memory(error);
	}
	if (run->migrate_rate && make_mailboxes(run))
		return no_memory(error);
	int code = cleave_thread_begin(&thread, run->env, run->config.cpu[0]);
	if (code)
		return clv_error(error, code, "run: %s", strerror(-code));
	code = put_all_in(run, thread);
	cleave_thread_end(thread);
	return code ? clv_error(error, code, "%s: filling the maps: %s", run->config.design,
				strerror(-code)) : 0;
}

static void close_run(struct clv_run *run)
{
	for (unsigned i = 0; i < run->maps && run->map; i++) {
		if (run->map[i])
			cleave_close(run->map[i]);
	}
	if (run->map)
		cleave_free(run->map, CLV_RUN_MAPS_MAX * sizeof(*run->map));
	free_mailboxes(run);
	for (unsigned i = 0; i < run->config.threads && run->worker; i++) {
		struct clv_worker *worker = run->worker[i];
		if (!worker)
			continue;
		if (worker->state)
			run->workload->end(worker->state);
		if (worker->bundle)
			cleave_free(worker->bundle, sizeof(*worker->bundle));
		free_held(run, &worker->held);
		free_held(run, &worker->standing);
		for (struct clv_entry_chunk *chunk = worker->chunks, *next; chunk; chunk = next) {
			next = chunk->next;
			cleave_free(chunk, chunk->bytes);
		}
		if (worker->latency)
			cleave_free(worker->latency, sizeof(*worker->latency));
		clv_course_end(worker);
		cleave_free(worker, sizeof(*worker));
	}
	if (run->worker)
		cleave_free(run->worker, run->config.threads * sizeof(*run->worker));
	if (run->state && run->workload->close)
		run->workload->close(run);
	if (run->env)
		cleave_env_close(run->env);
	cleave_free(run, sizeof(*run));
}

static int open_parts(struct clv_run *run, struct cleave_error *error)
{
	const struct clv_run_config *config = &run->config;
	const struct cleave_env_options options = { .topology = config->topology };
	int code = cleave_env_open(&run->env, &options, error);
	if (code) {
		run->env = NULL;
		return code;
	}
	run->worker = cleave_alloc(config->threads * sizeof(*run->worker), CLV_CACHE_LINE, -1);
	if (!run->worker)
		return no_memory(error);
	clv_name(run->worker, config->threads * sizeof(*run->worker), 0, "workers", -1, NULL);
	for (unsigned i = 0; i < config->threads; i++) {
		code = make_worker(run, i, error);
		if (code)
			return code;
	}
	run->walk_rate = (uint64_t)(config->walks / (1 - config->walks) * 0x1p32);
	run->migrate_rate = (uint64_t)(config->migrate * 0x1p32);
	code = run->workload->open(run, error);
	if (!code)
		code = open_maps(run, error);
	if (!code)
		code = fill(run, error);
	return code;
}

/* The least mean cost of a reading over some rounds: an interruption only ever adds. */
static uint64_t clock_cost_ns(void)
{
	enum { ROUNDS = 20, READINGS = 50 };
	uint64_t least_ns = UINT64_MAX;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t begin_ns = clv_now_ns(), now_ns = begin_ns;
		for (unsigned i = 0; i < READINGS; i++)
			now_ns = clv_now_ns();
		if (now_ns - begin_ns < least_ns)
			least_ns = now_ns - begin_ns;
	}
	return (least_ns + READINGS / 2) / READINGS;
}

static int open_run(struct clv_run **run, const struct clv_run_config *config,
		    struct cleave_error *error)
{
	const struct clv_workload *workload = find_workload(config->workload);
	if (!workload)
		return clv_error(error, -ENOENT, "no such workload: %s", config->workload);
	int code = check_config(config, error);
	if (!code && config->migrate > 0 && !workload->migrates)
		code = clv_error(error, -EINVAL, "nothing migrates in this workload: %s",
				 config->workload);
	if (!code)
		code = clv_course_check(config, workload, error);
	if (code)
		return code;
	struct clv_run *made = cleave_alloc(sizeof(*made), _Alignof(struct clv_run), -1);
	if (!made)
		return no_memory(error);
	clv_name(made, sizeof(*made), 0, "run", -1, run_fields);
	made->config = *config;
	made->workload = workload;
	made->phase = CLV_PHASE_WARM;
	if (config->sample_every)
		made->clock_ns = clock_cost_ns();
	code = open_parts(made, error);
	if (code)
		close_run(made);
	else
		*run = made;
	return code;
}

static uint32_t *phase_of(struct clv_run *run)
{
	return &run->phase;
}

static uint64_t *origin_of(struct clv_run *run)
{
	return &run->origin_ns;
}

static void progress_of(void *arg, struct clv_progress *out)
{
	const struct clv_run *run = arg;
	*out = (struct clv_progress){
		.least_execs = UINT64_MAX, .begun = run->begun >= run->config.threads,
	};
	for (unsigned i = 0; i < run->config.threads; i++) {
		const struct clv_done *done = &run->worker[i]->done;
		out->ops += done->inserts + done->removes + done->changes;
		out->batches += done->batches;
		out->execs += done->execs;
		out->walks += done->walks;
		if (done->execs < out->least_execs)
			out->least_execs = done->execs;
	}
}

/* ---- finishing ---- */

static void sum_up(const struct clv_run *run, struct clv_run_result *result)
{
	for (unsigned i = 0; i < run->config.threads; i++) {
		const struct clv_worker *worker = run->worker[i];
		const struct clv_done *a = &worker->before, *b = &worker->after;
		result->worker[i] = (struct clv_worker_counts){
			.ops = b->inserts - a->inserts + b->removes - a->removes + b->changes -
			       a->changes,
			.walks = b->walks - a->walks,
			.batches = b->batches - a->batches,
			.visits = b->visits - a->visits,
			.execs = b->execs - a->execs,
			.moves = b->moves - a->moves,
			.elapsed_ns = worker->end_ns - worker->begin_ns,
		};
		if (!run->sink)
			result->checked_ops += worker->done.inserts + worker->done.removes +
					       worker->done.changes;
		result->sampled += worker->sampled.count;
		result->sampled_ns += worker->sampled.ns;
		result->sampled_wait_ns += worker->sampled.wait_ns;
		result->sampled_hold_ns += worker->sampled.hold_ns;
		if (worker->latency)
			clv_histogram_merge(result->latency, worker->latency);
	}
	for (unsigned i = 0; i < run->maps; i++)
		result->map_bytes += cleave_memory(run->map[i]);
}

static int finish(struct clv_run *run, struct clv_run_result *result)
{
	memset(result, 0, sizeof(*result));
	result->worker = calloc(run->config.threads, sizeof(*result->worker));
	result->latency = calloc(1, sizeof(*result->latency));
	int code = result->worker && result->latency ? 0 : -ENOMEM;
	if (!code && run->config.course && run->config.course->every_ns) {
		result->course = clv_course_sum(run);
		code = result->course ? 0 : -ENOMEM;
	}
	if (!code)
		code = clv_course_changes(run, &result->change, &result->changes,
					  &result->changes_in_all);
	if (!code)
		code = clv_check_run(run, result);
	if (code) {
		clv_run_result_fini(result);
		memset(result, 0, sizeof(*result));
		return code;
	}
	snprintf(result->design, sizeof(result->design), "%s", cleave_design(run->map[0]));
	result->keeps = cleave_keeps(run->map[0]);
	result->subsets = cleave_subsets(run->map[0]);
	result->clock_ns = run->clock_ns;
	sum_up(run, result);
	return 0;
}

const struct clv_bench clv_bench_native = {
	.open = open_run,
	.phase = phase_of,
	.origin = origin_of,
	.body = clv_worker_body,
	.progress = progress_of,
	.changes = clv_course_changes,
	.finish = finish,
	.close = close_run,
	.workload_at = workload_at,
};
