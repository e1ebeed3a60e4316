// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "course.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/error.h"
#include "../lib/shim/mark.h"
#include "workloads/workload.h"

/* ---- in the workers ---- */

static uint64_t ops_of(const struct clv_done *done)
{
	return done->inserts + done->removes + done->changes;
}

static void add_done(struct clv_slice *slice, const struct clv_worker *worker)
{
	const struct clv_done *seen = &worker->course->seen, *done = &worker->done;
	const struct clv_sampled *before = &worker->course->seen_samples, *now = &worker->sampled;
	slice->ops += ops_of(done) - ops_of(seen);
	slice->execs += done->execs - seen->execs;
	slice->batches += done->batches - seen->batches;
	slice->walks += done->walks - seen->walks;
	slice->sampled += now->count - before->count;
	slice->sampled_wait_ns += now->wait_ns - before->wait_ns;
	slice->sampled_hold_ns += now->hold_ns - before->hold_ns;
}

/* What has ended since the last step counts now; before the window and behind it, nowhere. */
static void count(struct clv_worker *worker, uint64_t walk_wait_ns)
{
	const struct clv_course_config *config = worker->run->config.course;
	struct clv_worker_course *course = worker->course;
	uint64_t at_ns;
	if (worker->done.batches == course->seen.batches)
		return;
	if (clv_window_ns(worker->run, &at_ns) && at_ns < config->window_ns) {
		struct clv_slice *slice = &course->slice[at_ns / config->every_ns];
		add_done(slice, worker);
		if (walk_wait_ns > slice->walk_wait_longest_ns)
			slice->walk_wait_longest_ns = walk_wait_ns;
	}
	course->seen = worker->done;
	course->seen_samples = worker->sampled;
}

/* The step of a workload whose turn it is to walk is a walk: here, so that each can be timed. */
static inline __attribute__((always_inline)) int count_step(struct clv_worker *worker,
							    int (*step)(struct clv_worker *))
{
	uint64_t walk_wait_ns = 0;
	int code = clv_walk_is_due(worker) ? clv_worker_walk_timed(worker, &walk_wait_ns) :
					     step(worker);
	count(worker, walk_wait_ns);
	return code;
}

static int counted_step(struct clv_worker *worker)
{
	return count_step(worker, worker->run->workload->step);
}

static int counted_step_in_storm(struct clv_worker *worker)
{
	return count_step(worker, worker->run->workload->step_in_storm);
}

int (*clv_course_step_of(const struct clv_run *run))(struct clv_worker *worker)
{
	const struct clv_course_config *config = run->config.course;
	if (!config)
		return run->workload->step;
	bool storm = config->storm.to_ns > 0;
	if (!config->every_ns)
		return storm ? run->workload->step_in_storm : run->workload->step;
	return storm ? counted_step_in_storm : counted_step;
}

/* ---- around them ---- */

static int check_storm(const struct clv_run_config *config, const struct clv_workload *workload,
		       struct cleave_error *error)
{
	const struct clv_storm *storm = &config->course->storm;
	if (!workload->step_in_storm)
		return clv_error(error, -EINVAL, "threads of this workload do not pause, so there "
				 "is no storm: %s", config->workload);
	if (storm->from_ns >= storm->to_ns || storm->to_ns > config->course->window_ns)
		return clv_error(error, -EINVAL, "storm from %g to %g ms: not within the window of %g "
				 "ms", (double)storm->from_ns / 1e6, (double)storm->to_ns / 1e6,
				 (double)config->course->window_ns / 1e6);
	if (!storm->quiet || storm->quiet >= config->threads)
		return clv_error(error, -EINVAL, "storm: outside of it %u of %u threads run: at least "
				 "1, and fewer than all", storm->quiet, config->threads);
	if (config->migrate > 0)
		return clv_error(error, -EINVAL, "storm: copies that rest between two CPUs would not "
				 "exit after it: not with migration");
	return 0;
}

int clv_course_check(const struct clv_run_config *config, const struct clv_workload *workload,
		     struct cleave_error *error)
{
	const struct clv_course_config *course = config->course;
	if (!course)
		return 0;
	if (course->every_ns > course->window_ns)
		return clv_error(error, -EINVAL, "slices of %g us are longer than the window of %g ms",
				 (double)course->every_ns / 1e3, (double)course->window_ns / 1e6);
	if (course->every_ns &&
	    clv_course_slices(course->window_ns, course->every_ns) > CLV_SLICES_MAX)
		return clv_error(error, -EINVAL, "a window of %g ms has more than %u slices of %g us",
				 (double)course->window_ns / 1e6, CLV_SLICES_MAX,
				 (double)course->every_ns / 1e3);
	return course->storm.to_ns ? check_storm(config, workload, error) : 0;
}

static size_t bytes_of(const struct clv_course_config *config)
{
	uint64_t slices = clv_course_slices(config->window_ns, config->every_ns);
	return sizeof(struct clv_worker_course) + slices * sizeof(struct clv_slice);
}

int clv_course_begin(struct clv_worker *worker)
{
	const struct clv_course_config *config = worker->run->config.course;
	if (!config || !config->every_ns)
		return 0;
	worker->course = cleave_alloc(bytes_of(config), CLV_CACHE_LINE, worker->node);
	if (!worker->course)
		return -ENOMEM;
	clv_name(worker->course, bytes_of(config), 0, "course", (int)worker->index, NULL);
	return 0;
}

void clv_course_end(struct clv_worker *worker)
{
	if (worker->course)
		cleave_free(worker->course, bytes_of(worker->run->config.course));
	worker->course = NULL;
}

static void add_slice(struct clv_slice *into, const struct clv_slice *from)
{
	into->ops += from->ops;
	into->execs += from->execs;
	into->batches += from->batches;
	into->walks += from->walks;
	into->sampled += from->sampled;
	into->sampled_wait_ns += from->sampled_wait_ns;
	into->sampled_hold_ns += from->sampled_hold_ns;
	if (from->walk_wait_longest_ns > into->walk_wait_longest_ns)
		into->walk_wait_longest_ns = from->walk_wait_longest_ns;
}

struct clv_course *clv_course_sum(const struct clv_run *run)
{
	const struct clv_course_config *config = run->config.course;
	uint64_t slices = clv_course_slices(config->window_ns, config->every_ns);
	struct clv_course *course = calloc(1, sizeof(*course) + slices * sizeof(*course->slice));
	if (!course)
		return NULL;
	course->every_ns = config->every_ns;
	course->window_ns = config->window_ns;
	course->slices = (unsigned)slices;
	for (unsigned i = 0; i < run->config.threads; i++) {
		for (unsigned k = 0; k < slices; k++)
			add_slice(&course->slice[k], &run->worker[i]->course->slice[k]);
	}
	return course;
}

/* ---- changes of phase ---- */

/* More than any map remembers. */
enum { PHASES_MOST = 64 };

static int by_time(const void *a, const void *b)
{
	const struct clv_phase_change *x = a, *y = b;
	if (x->at_ns != y->at_ns)
		return x->at_ns < y->at_ns ? -1 : 1;
	return x->map < y->map ? -1 : x->map > y->map;
}

int clv_course_changes(void *arg, struct clv_phase_change **change, unsigned *changes,
		       unsigned *changes_in_all)
{
	const struct clv_run *run = arg;
	struct cleave_phase phase[PHASES_MOST];
	uint64_t origin_ns = __atomic_load_n(&run->origin_ns, __ATOMIC_RELAXED);
	*change = NULL;
	*changes = *changes_in_all = 0;
	for (unsigned map = 0; map < run->maps; map++) {
		unsigned all = cleave_phases(run->map[map], phase, PHASES_MOST);
		unsigned kept = all < PHASES_MOST ? all : PHASES_MOST;
		*changes_in_all += all;
		if (!kept)
			continue;
		struct clv_phase_change *more =
			realloc(*change, (*changes + kept) * sizeof(*more));
		if (!more) {
			free(*change);
			return -ENOMEM;
		}
		*change = more;
		for (unsigned i = 0; i < kept; i++) {
			struct clv_phase_change *to = &more[(*changes)++];
			*to = (struct clv_phase_change){
				.at_ns = (int64_t)(phase[i].at_ns - origin_ns),
				.map = map,
				.asked = phase[i].asked,
				.failed = phase[i].failed,
				.per_s = phase[i].per_s,
				.cpu = phase[i].cpu,
				.subsets = phase[i].subsets,
			};
			snprintf(to->name, sizeof(to->name), "%s", phase[i].name);
			snprintf(to->reason, sizeof(to->reason), "%s", phase[i].reason);
		}
	}
	if (*changes)
		qsort(*change, *changes, sizeof(**change), by_time);
	return 0;
}
