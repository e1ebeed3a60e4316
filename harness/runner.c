// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/error.h"
#include "gbench.h"
#include "outcome.h"
#include "placement.h"

/* What Google Benchmark's callback needs beside the point. */
struct context {
	struct clv_point *point;
	struct clv_outcome *outcome; /* [repetitions]; NULL: run when it is the point's turn */
	struct run_state *state;
};

struct run_state {
	unsigned done, all;
	clv_runner_progress *progress;
};

enum {
	SAMPLES = 5,	/* of a point, to be treated alike */
	MISSED_MAX = 20, /* windows that a repetition may miss */
};

static struct clv_samples *samples_of(struct clv_point *point, unsigned i)
{
	struct clv_samples *samples[SAMPLES] = { &point->ops_per_s, &point->execs_per_s,
						 &point->walks_per_s, &point->jain, &point->ratio };
	return samples[i];
}

int clv_point_init(struct clv_point *point, const struct clv_settings *settings,
		   const struct clv_point_spec *spec, struct cleave_error *error)
{
	const struct clv_topology *topology = settings->machine->topology;
	unsigned threads = spec->threads;
	memset(point, 0, sizeof(*point));
	snprintf(point->name, sizeof(point->name), "%s", spec->name);
	snprintf(point->design, sizeof(point->design), "%s", spec->design);
	point->settings = settings;
	point->threads = point->cpus = threads;
	point->think_given = spec->think_ns != CLV_THINK_RECORDED;
	point->think_ns = point->think_given ? (uint64_t)spec->think_ns : 0;
	point->valid = true;
	point->cpu_index = calloc(threads, sizeof(*point->cpu_index));
	point->cpu_os = calloc(threads, sizeof(*point->cpu_os));
	point->latency = calloc(1, sizeof(*point->latency));
	if (settings->machine->simulated)
		point->findings = clv_findings_new(topology->nodes);
	bool ok = point->cpu_index && point->cpu_os && point->latency &&
		  (point->findings || !settings->machine->simulated);
	for (unsigned i = 0; i < SAMPLES; i++) {
		double *value = calloc(settings->repetitions, sizeof(double));
		samples_of(point, i)->value = value;
		ok = ok && value;
	}
	if (!ok)
		return clv_error(error, -ENOMEM, "%s: out of memory", spec->design);
	int code = clv_placement_make(topology, settings->placement, threads,
				      !settings->machine->simulated, point->cpu_index, error);
	for (unsigned i = 0; !code && i < threads; i++) {
		point->cpu_os[i] = (int)topology->cpu[point->cpu_index[i]].os;
		/* A placement that has no more CPUs starts again from its first. */
		if (i && point->cpus == threads && point->cpu_index[i] == point->cpu_index[0])
			point->cpus = i;
	}
	point->oversubscribed = point->cpus < threads;
	return code;
}

void clv_point_fini(struct clv_point *point)
{
	free(point->cpu_index);
	free(point->cpu_os);
	free(point->latency);
	clv_findings_free(point->findings);
	free(point->course);
	free(point->change);
	for (unsigned i = 0; i < SAMPLES; i++)
		free(samples_of(point, i)->value);
}

bool clv_settings_storm(const struct clv_settings *settings)
{
	return settings->course && settings->course->storm.to_ns;
}

bool clv_point_comparable(const struct clv_point *a, const struct clv_point *b)
{
	return a->threads == b->threads && a->think_given == b->think_given &&
	       a->think_ns == b->think_ns;
}

bool clv_point_time_share(const struct clv_point *point, struct clv_time_share *share)
{
	if (!point->sampled || point->thread_ns <= 0)
		return false;
	/* Each sampled batch stands for batches / sampled of them. */
	double weight = point->batches / (double)point->sampled / point->thread_ns;
	share->wait = (double)point->sampled_wait_ns * weight;
	share->inside = (double)point->sampled_hold_ns * weight;
	share->outside = 1 - share->wait - share->inside;
	share->scaled = share->outside < 0;
	if (share->scaled) { /* the sample overestimates; the three add to 1 */
		double sum = share->wait + share->inside;
		share->wait /= sum;
		share->inside /= sum;
		share->outside = 0;
	}
	return true;
}

static void invalidate(struct clv_point *point, struct clv_gbench_state *state, const char *why)
{
	if (point->valid)
		snprintf(point->why, sizeof(point->why), "%s", why);
	point->valid = false;
	clv_gbench_error(state, "%s", why);
}

static void *copy_of(const void *from, size_t bytes)
{
	void *made = from ? malloc(bytes) : NULL;
	return made ? memcpy(made, from, bytes) : NULL;
}

/* What there is of one repetition alone; later ones take its place. Returns: 0; -ENOMEM. */
static int keep_course(struct clv_point *point, const struct clv_run_result *result)
{
	free(point->course);
	free(point->change);
	point->course = copy_of(result->course, clv_course_bytes(result->course));
	point->change = copy_of(result->change, result->changes * sizeof(*result->change));
	point->changes = result->changes;
	point->changes_in_all = result->changes_in_all;
	return (result->course && !point->course) || (result->change && !point->change) ? -ENOMEM : 0;
}

/* Add one repetition's figures to the point. */
static void gather(struct clv_point *point, const struct clv_run_result *result, double *rates)
{
	double ops = 0, execs = 0, walks = 0, elapsed_ns = 0;
	for (unsigned i = 0; i < point->threads; i++) {
		const struct clv_worker_counts *worker = &result->worker[i];
		double seconds = (double)worker->elapsed_ns / 1e9;
		rates[i] = seconds > 0 ? (double)(worker->ops + worker->walks) / seconds : 0;
		ops += seconds > 0 ? (double)worker->ops / seconds : 0;
		execs += seconds > 0 ? (double)worker->execs / seconds : 0;
		walks += seconds > 0 ? (double)worker->walks / seconds : 0;
		elapsed_ns += (double)worker->elapsed_ns;
		point->batches += (double)worker->batches;
		point->execs += (double)worker->execs;
		point->moves += (double)worker->moves;
		point->has_execs |= worker->execs > 0;
		point->has_walks |= worker->walks > 0;
	}
	point->ops_per_s.value[point->done] = ops;
	point->execs_per_s.value[point->done] = execs;
	point->walks_per_s.value[point->done] = walks;
	point->jain.value[point->done] = clv_stats_jain(rates, point->threads);
	point->thread_ns += elapsed_ns;
	point->sampled += result->sampled;
	point->sampled_ns += result->sampled_ns;
	point->sampled_wait_ns += result->sampled_wait_ns;
	point->sampled_hold_ns += result->sampled_hold_ns;
	point->checked_ops += result->checked_ops;
	point->clock_ns = result->clock_ns;
	point->keeps = result->keeps;
	point->subsets = result->subsets;
	if (result->intervals)
		point->bytes_per_interval =
			(double)result->map_bytes / (double)result->intervals;
	if (result->latency)
		clv_histogram_merge(point->latency, result->latency);
	point->done++;
}

/* Returns: mean seconds of a thread's window; 0: one did not get there. */
static double window_seconds(const struct clv_run_result *result, const struct clv_point *point)
{
	double elapsed_ns = 0;
	for (unsigned i = 0; i < point->threads; i++) {
		/*
		 * With a CPU of its own, one that was away all the time had it taken; a simulated
		 * one has waited for a lock.
		 */
		if (!result->worker[i].elapsed_ns && !point->oversubscribed && !point->findings)
			return 0;
		elapsed_ns += (double)result->worker[i].elapsed_ns;
	}
	return elapsed_ns / 1e9 / point->threads;
}

struct clv_run_config clv_point_config(const struct clv_point *point, uint64_t repetition)
{
	const struct clv_settings *settings = point->settings;
	return (struct clv_run_config){
		.design = point->design,
		.workload = settings->workload,
		.schedule = settings->schedule,
		.topology = settings->machine->topology_source,
		.threads = point->threads,
		.cpu = point->cpu_os,
		.seed = settings->seed + repetition,
		.population = settings->population,
		.think_given = point->think_given,
		.think_ns = point->think_ns,
		.walks = settings->walks,
		.other_lock_ns = settings->other_lock_ns,
		.migrate = settings->migrate,
		.sample_every = settings->sample_every,
		.course = settings->course,
	};
}

int clv_point_check(const struct clv_point *point, struct cleave_error *error)
{
	const struct clv_bench *bench = point->settings->machine->bench;
	const struct clv_run_config config = clv_point_config(point, 0);
	struct clv_machine *machine = point->settings->machine;
	struct clv_run *run;
	int code = machine->begin ? machine->begin(machine, config.seed, error) : 0;
	if (code)
		return code;
	code = bench->open(&run, &config, error);
	if (!code)
		bench->close(run);
	if (machine->end)
		machine->end(machine);
	return code;
}

static void configure(const struct clv_settings *settings, uint64_t repetition)
{
	struct clv_simulated_options options = settings->simulated;
	if (!settings->machine->simulated)
		return;
	if (repetition + 1 < settings->repetitions)
		options.timeline = NULL;
	clv_simulated_configure(settings->machine, &options);
}

/* The run may have been cut short. */
static void add_exact(struct clv_course *course, const struct clv_slice_exact *exact)
{
	unsigned over = 0;
	for (; over < course->slices && exact[over].filled; over++)
		course->slice[over].exact = exact[over];
	course->slices = over;
}

int clv_point_run(const struct clv_point *point, uint64_t repetition,
		  struct clv_run_result *result, struct clv_simulated_report *report,
		  struct cleave_error *error)
{
	const struct clv_settings *settings = point->settings;
	struct clv_machine *machine = settings->machine;
	const struct clv_bench *bench = machine->bench;
	const struct clv_run_config config = clv_point_config(point, repetition);
	struct clv_run *run;

	configure(settings, repetition);
	int code = machine->begin ? machine->begin(machine, config.seed, error) : 0;
	if (code)
		return code;
	code = bench->open(&run, &config, error);
	if (code)
		goto end;
	struct clv_slice_exact *exact = NULL;
	uint64_t every_ns = settings->course ? settings->course->every_ns : 0;
	unsigned slices =
		every_ns ? (unsigned)clv_course_slices(settings->window_ns, every_ns) : 0;
	if (slices && machine->simulated && !(exact = calloc(slices, sizeof(*exact)))) {
		code = clv_error(error, -ENOMEM, "out of memory: for %u slices", slices);
		goto close;
	}
	const struct clv_plan plan = {
		.threads = point->threads,
		.cpu_index = point->cpu_index,
		.warm_ns = settings->warm_ns,
		.window_ns = settings->window_ns,
		.phase = bench->phase(run),
		.origin_ns = bench->origin(run),
		.fixed = settings->course,
		.exact = exact,
		.slices = slices,
		.every_ns = every_ns,
		.body = bench->body,
		.progress = bench->progress,
		.changes = bench->changes,
		.arg = run,
		.report = report,
	};
	code = machine->run(machine, &plan, error);
	if (!code)
		code = bench->finish(run, result);
	if (!code && exact)
		add_exact(result->course, exact);
	free(exact);
close:
	bench->close(run);
end:
	if (machine->end)
		machine->end(machine);
	return code;
}

/*
 * One repetition. On a busy machine others can have the CPUs for all of a short window; nothing was
 * measured then, and it is tried again.
 */
static void run_now(struct clv_point *point, uint64_t repetition, struct clv_outcome *outcome)
{
	struct cleave_error error = { "" };
	struct clv_run_result *result = &outcome->result;
	int code = clv_point_run(point, repetition, result, NULL, &error);

	for (unsigned i = 0; i < MISSED_MAX && !code && result->valid &&
			     window_seconds(result, point) <= 0; i++) {
		clv_outcome_fini(outcome);
		*result = (struct clv_run_result){ 0 };
		point->missed++;
		code = clv_point_run(point, repetition, result, NULL, &error);
	}
	outcome->code = code;
	if (code)
		snprintf(outcome->why, sizeof(outcome->why), "%s",
			 error.text[0] ? error.text : strerror(-code));
}

/* Hand a repetition's outcome to the point and to Google Benchmark. */
static void conclude(struct clv_point *point, struct clv_gbench_state *state,
		     const struct clv_outcome *outcome, double *rates)
{
	const struct clv_run_result *result = &outcome->result;
	double seconds =
		outcome->code || !result->valid ? 0 : window_seconds(result, point);
	if (outcome->code) {
		invalidate(point, state, outcome->why);
	} else if (!result->valid) {
		invalidate(point, state, result->why);
	} else if (seconds <= 0) {
		invalidate(point, state, "a thread did not reach the measured window");
	} else if (keep_course(point, result)) {
		invalidate(point, state, "out of memory");
	} else {
		unsigned i = point->done;
		gather(point, result, rates);
		if (point->findings)
			clv_findings_add(point->findings, &outcome->report, point, rates,
					 outcome->host_s);
		clv_gbench_set_seconds(state, seconds);
		clv_gbench_counter(state, "ops_per_s", point->ops_per_s.value[i], 0);
		if (point->has_execs)
			clv_gbench_counter(state, "execs_per_s", point->execs_per_s.value[i], 0);
		if (!clv_settings_storm(point->settings))
			clv_gbench_counter(state, "fairness_jain", point->jain.value[i], 0);
		clv_gbench_label(state, point->design);
	}
}

static void repeat_once(const struct context *context, struct clv_gbench_state *state,
			double *rates)
{
	struct clv_point *point = context->point;
	uint64_t repetition = (uint64_t)clv_gbench_repetition(state);
	if (context->outcome) {
		conclude(point, state, &context->outcome[repetition], rates);
		return;
	}
	struct clv_outcome *outcome = calloc(1, sizeof(*outcome));
	if (!outcome) {
		invalidate(point, state, "out of memory");
		return;
	}
	run_now(point, repetition, outcome);
	conclude(point, state, outcome, rates);
	clv_outcome_fini(outcome);
	free(outcome);
}

static void repeat(struct clv_gbench_state *state, void *ctx)
{
	const struct context *context = ctx;
	struct clv_point *point = context->point;
	struct run_state *run_state = context->state;

	if (run_state->progress && !context->outcome)
		run_state->progress(point, (double)run_state->done / run_state->all, -1);
	run_state->done++;
	double *rates = calloc(point->threads, sizeof(*rates));
	if (!rates) {
		invalidate(point, state, "out of memory");
		return;
	}
	while (clv_gbench_keep_running(state))
		repeat_once(context, state, rates);
	free(rates);
}

/* Divide round by round by the first point that it can be compared to. */
static void relate(struct clv_point *point, size_t index)
{
	struct clv_point *self = &point[index];
	for (size_t i = 0; i < index && !self->ratio_to; i++) {
		if (clv_point_comparable(&point[i], self))
			self->ratio_to = &point[i];
	}
	if (!self->ratio_to)
		return;
	const struct clv_point *first = self->ratio_to;
	if (!first->valid || !self->valid || first->done != self->done || first->oversubscribed)
		self->ratio_to = NULL;
	for (unsigned r = 0; self->ratio_to && r < self->done; r++) {
		if (first->ops_per_s.value[r] > 0)
			self->ratio.value[r] = self->ops_per_s.value[r] / first->ops_per_s.value[r];
		else
			self->ratio_to = NULL;
	}
}

static int summarise(struct clv_point *point, size_t index)
{
	struct clv_point *self = &point[index];
	if (!self->valid || !self->done)
		return 0;
	relate(point, index);
	for (unsigned i = 0; i < SAMPLES; i++) {
		struct clv_samples *samples = samples_of(self, i);
		int code = clv_stats_median(samples->value, self->done, &samples->interval);
		if (code)
			return code;
	}
	if (self->ops_per_s.interval.median <= 0 && self->walks_per_s.interval.median <= 0) {
		self->valid = false;
		snprintf(self->why, sizeof(self->why), "in most windows of %g ms no operation ended",
			 (double)self->settings->window_ns / 1e6);
	}
	return 0;
}

static int add_point(struct clv_point *point, struct context *context)
{
	const struct clv_settings *settings = point->settings;
	struct clv_gbench *bench;
	char name[320];
	char think[32] = "";
	if (point->think_given)
		snprintf(think, sizeof(think), "/think_ns:%llu", (unsigned long long)point->think_ns);
	snprintf(name, sizeof(name), "%s/%s%s/threads:%u",
		 point->name[0] ? point->name : point->design, settings->workload, think,
		 point->threads);
	int code = clv_gbench_register(name, repeat, context, &bench);
	if (!code)
		code = clv_gbench_iterations(bench, 1);
	if (!code)
		code = clv_gbench_repetitions(bench, (int)settings->repetitions);
	if (!code)
		code = clv_gbench_manual_time(bench);
	if (!code)
		code = clv_gbench_threads(bench, (int)point->threads);
	if (!code)
		code = clv_gbench_unit(bench, CLV_GBENCH_MS);
	return code;
}

static int run_all(struct clv_settings *settings, struct clv_point *point, size_t points,
		   struct context *context, char **json, size_t *json_bytes)
{
	int code = 0;
	for (size_t i = 0; !code && i < points; i++)
		code = add_point(&point[i], &context[i]);
	if (!code)
		code = clv_gbench_order(CLV_GBENCH_SHUFFLED_ROUNDS, settings->seed);
	if (!code)
		code = clv_gbench_context("cleave_machine", settings->machine->name);
	if (!code)
		code = clv_gbench_context("cleave_topology", settings->machine->topology->name);
	if (!code) {
		code = clv_gbench_run(NULL, NULL, NULL);
		code = code < 0 ? code : 0;
	}
	return code ? code : clv_gbench_json(json, json_bytes);
}

int clv_runner_run(struct clv_settings *settings, struct clv_point *point, size_t points,
		   clv_runner_progress *progress, char **json, size_t *json_bytes,
		   struct cleave_error *error)
{
	struct run_state state = { .all = (unsigned)points * settings->repetitions,
				   .progress = progress };
	struct clv_outcome *outcome = NULL;
	if (settings->machine->simulated) {
		int status = clv_outcomes_make(&outcome, point, points, progress, error);
		if (status)
			return status;
	}
	struct context *context = calloc(points, sizeof(*context));
	int code = context ? clv_gbench_init() : -ENOMEM;
	for (size_t i = 0; !code && i < points; i++)
		context[i] = (struct context){
			&point[i], outcome ? outcome + i * settings->repetitions : NULL, &state,
		};
	if (!code)
		code = run_all(settings, point, points, context, json, json_bytes);
	if (code)
		clv_error(error, code, "Google Benchmark: %s", clv_gbench_why());
	for (size_t i = 0; !code && i < points; i++) {
		code = summarise(point, i);
		if (code)
			clv_error(error, code, "statistics: %s", strerror(-code));
	}
	clv_gbench_shutdown();
	free(context);
	for (size_t i = 0; outcome && i < state.all; i++)
		clv_outcome_fini(&outcome[i]);
	free(outcome);
	return code;
}
