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

/* From process to process: what a pointer led to follows, in the order of struct parts. */
struct parcel {
	struct clv_run_result result;
	struct clv_simulated_report report;
	size_t course_bytes;
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

/* How many bytes each has. */
struct parts {
	size_t workers, latency, course, changes, all;
};

static struct parts parts_of(const struct clv_run_result *result, size_t course, unsigned threads)
{
	struct parts parts = {
		.workers = threads * sizeof(*result->worker),
		.latency = sizeof(*result->latency),
		.course = course,
		.changes = result->changes * sizeof(*result->change),
	};
	parts.all = parts.workers + parts.latency + parts.course + parts.changes;
	return parts;
}

/* ---- in the run's process ---- */

static char *put(char *out, const void *from, size_t bytes)
{
	if (bytes)
		memcpy(out, from, bytes);
	return out + bytes;
}

static int wrap(const struct parcel *parcel, unsigned threads, void **data, size_t *bytes)
{
	const struct clv_run_result *result = &parcel->result;
	const struct parts parts = parts_of(result, parcel->course_bytes, threads);
	*bytes = sizeof(*parcel) + parts.all;
	char *out = malloc(*bytes);
	if (!out)
		return -ENOMEM;
	*data = out;
	out = put(out, parcel, sizeof(*parcel));
	out = put(out, result->worker, parts.workers);
	out = put(out, result->latency, parts.latency);
	out = put(out, result->course, parts.course);
	put(out, result->change, parts.changes);
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
	parcel->course_bytes = clv_course_bytes(parcel->result.course);
	return code ? code : wrap(parcel, point->threads, data, bytes);
}

/* ---- in ours ---- */

/* The next part, or NULL where there is none. Returns: false: no memory. */
static bool take(void *to, const char **from, size_t bytes)
{
	void *made = bytes ? malloc(bytes) : NULL;
	if (bytes && made)
		memcpy(made, *from, bytes);
	*from += bytes;
	*(void **)to = made;
	return made || !bytes;
}

static int unwrap(struct clv_outcome *outcome, unsigned threads, const void *data, size_t bytes)
{
	struct clv_run_result *result = &outcome->result;
	const struct parcel *parcel = data;
	if (bytes < sizeof(*parcel))
		return -EIO;
	const struct parts parts = parts_of(&parcel->result, parcel->course_bytes, threads);
	if (bytes != sizeof(*parcel) + parts.all)
		return -EIO;
	const char *from = (const char *)data + sizeof(*parcel);
	memcpy(result, &parcel->result, sizeof(*result));
	memcpy(&outcome->report, &parcel->report, sizeof(outcome->report));
	outcome->host_s = parcel->host_s;
	bool fine = take(&result->worker, &from, parts.workers);
	fine &= take(&result->latency, &from, parts.latency);
	fine &= take(&result->course, &from, parts.course);
	fine &= take(&result->change, &from, parts.changes);
	if (!fine)
		clv_outcome_fini(outcome);
	return fine ? 0 : -ENOMEM;
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
	clv_run_result_fini(&outcome->result);
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
