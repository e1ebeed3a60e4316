// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "outcome.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/error.h"
#include "clock.h"
#include "pool.h"

struct batch {
	const struct clv_point *point;
	unsigned repetitions;
	struct clv_outcome *outcome;
	clv_runner_progress *progress;
};

/* From process to process: what a pointer led to follows, workers, then latencies. */
struct parcel {
	struct clv_run_result result;
	struct clv_simulated_report report;
	double host_s;
};

static const struct clv_point *point_of(const struct batch *batch, unsigned job)
{
	return &batch->point[job / batch->repetitions];
}

static double weight(void *arg, unsigned job)
{
	return point_of(arg, job)->threads;
}

/* ---- in the run's process ---- */

static int wrap(const struct parcel *parcel, unsigned threads, void **data, size_t *bytes)
{
	const struct clv_run_result *result = &parcel->result;
	size_t workers = threads * sizeof(*result->worker);
	*bytes = sizeof(*parcel) + workers + sizeof(*result->latency);
	char *out = malloc(*bytes);
	if (!out)
		return -ENOMEM;
	memcpy(out, parcel, sizeof(*parcel));
	memcpy(out + sizeof(*parcel), result->worker, workers);
	memcpy(out + sizeof(*parcel) + workers, result->latency, sizeof(*result->latency));
	*data = out;
	return 0;
}

static int work(void *arg, unsigned job, void **data, size_t *bytes, struct cleave_error *error)
{
	const struct batch *batch = arg;
	const struct clv_point *point = point_of(batch, job);
	struct parcel *parcel = calloc(1, sizeof(*parcel));
	if (!parcel)
		return -ENOMEM;
	double begin_s = clv_now_s();
	int code = clv_point_run(point, job % batch->repetitions, &parcel->result, &parcel->report,
				 error);
	parcel->host_s = clv_now_s() - begin_s;
	return code ? code : wrap(parcel, point->threads, data, bytes);
}

/* ---- in ours ---- */

static int unwrap(struct clv_outcome *outcome, unsigned threads, const void *data, size_t bytes)
{
	const struct parcel *parcel = data;
	struct clv_run_result *result = &outcome->result;
	size_t workers = threads * sizeof(*result->worker);
	const char *behind = (const char *)data + sizeof(*parcel);
	if (bytes != sizeof(*parcel) + workers + sizeof(*result->latency))
		return -EIO;
	struct clv_worker_counts *worker = malloc(workers);
	struct clv_histogram *latency = malloc(sizeof(*latency));
	if (!worker || !latency) {
		free(worker);
		free(latency);
		return -ENOMEM;
	}
	memcpy(result, &parcel->result, sizeof(*result));
	memcpy(&outcome->report, &parcel->report, sizeof(outcome->report));
	memcpy(&outcome->host_s, &parcel->host_s, sizeof(outcome->host_s));
	result->worker = memcpy(worker, behind, workers);
	result->latency = memcpy(latency, behind + workers, sizeof(*latency));
	return 0;
}

static void ended(void *arg, unsigned job, int code, const void *data, size_t bytes,
		  const char *why)
{
	const struct batch *batch = arg;
	struct clv_outcome *outcome = &batch->outcome[job];
	if (!code) {
		code = unwrap(outcome, point_of(batch, job)->threads, data, bytes);
		why = strerror(-code);
	}
	outcome->code = code;
	if (code)
		snprintf(outcome->why, sizeof(outcome->why), "%s", why);
}

static void progress(void *arg, const struct clv_pool_progress *now)
{
	const struct batch *batch = arg;
	batch->progress(point_of(batch, now->job), now->done, now->left_s);
}

void clv_outcome_fini(struct clv_outcome *outcome)
{
	free(outcome->result.worker);
	free(outcome->result.latency);
	outcome->result.worker = NULL;
	outcome->result.latency = NULL;
}

int clv_outcomes_make(struct clv_outcome **outcome, const struct clv_point *point, size_t points,
		      clv_runner_progress *show, struct cleave_error *error)
{
	const struct clv_settings *settings = point->settings;
	size_t all = points * settings->repetitions;
	struct batch batch = {
		.point = point,
		.repetitions = settings->repetitions,
		.outcome = calloc(all, sizeof(*batch.outcome)),
		.progress = show,
	};
	if (!batch.outcome)
		return clv_error(error, -ENOMEM, "out of memory: for %zu runs", all);
	const struct clv_pool pool = {
		.jobs = (unsigned)all,
		.processes = settings->jobs < all ? settings->jobs : (unsigned)all,
		.weight = weight,
		.work = work,
		.ended = ended,
		.progress = show ? progress : NULL,
		.arg = &batch,
	};
	int code = clv_pool_run(&pool, error);
	if (code) {
		for (size_t i = 0; i < all; i++)
			clv_outcome_fini(&batch.outcome[i]);
		free(batch.outcome);
		return code;
	}
	*outcome = batch.outcome;
	return 0;
}
