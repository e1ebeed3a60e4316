// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "simulated.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/error.h"
#include "sim/sim.h"

#define PS_PER_NS UINT64_C(1000)
#define ACQUISITIONS 100000
#define EXECS_EACH 3
#define HALF_WIDTH 0.03

/* The window is cut into batches; when there are too many, two become one. */
enum { BATCHES_MIN = 10, BATCHES_MAX = 40 };
#define FIRST_BATCH_PS UINT64_C(10000000)
#define LOOK_PS UINT64_C(10000000) /* of a fixed window: for the budget */
#define SHORTEST_PS UINT64_C(100000000)
#define WAITS_MIN 20

extern const struct clv_bench clv_bench_simulated;

struct simulated {
	struct clv_machine machine;
	struct clv_model *model;
	struct clv_topology *topology;
	struct clv_simulated_options options;
};

/* A run's progress, looked at between two steps of the bodies. */
struct watch {
	const struct simulated *simulated;
	const struct clv_plan *plan;
	uint64_t begin_ps; /* of the window; 0: not yet */
	uint64_t batch_ps, next_ps;
	unsigned batches;
	uint64_t ops[BATCHES_MAX + 1]; /* done at the end of each, [0] at the window's begin */
	uint64_t execs_before; /* of the slowest worker */
	uint64_t accesses_before;
	struct clv_simulated_report *report;
	bool over, cold; /* the warm-up was cut short */
	/* Of a fixed window: when all had begun, 0: not yet; how many slices are over, and what was
	 * counted up to the last one's end. */
	uint64_t begun_ps;
	unsigned slices;
	struct clv_account so_far;
};

/* ---- when it is done ---- */

/* Student's t, 97.5 %, by degrees of freedom; beyond the table the normal's, a little wide. */
static double t_quantile(unsigned freedom)
{
	static const double t[] = { 0, 12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262,
				    2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101,
				    2.093, 2.086 };
	return freedom < sizeof(t) / sizeof(t[0]) ? t[freedom] : 2.04;
}

/* Half of the 95 % interval over the mean, from batches of `size` batches; negative: too few. */
static double half_width_of(const struct watch *watch, unsigned size)
{
	unsigned n = watch->batches / size;
	double sum = 0, squares = 0;
	if (n < BATCHES_MIN)
		return -1;
	for (unsigned i = 0; i < n; i++)
		sum += (double)(watch->ops[(i + 1) * size] - watch->ops[i * size]);
	double mean = sum / n;
	for (unsigned i = 0; i < n; i++) {
		double off = (double)(watch->ops[(i + 1) * size] - watch->ops[i * size]) - mean;
		squares += off * off;
	}
	if (mean <= 0)
		return -1;
	return t_quantile(n - 1) * sqrt(squares / (n - 1) / n) / mean;
}

/* Batches that depend on the one before look better than they are: so the wider of single ones and
 * pairs. */
static double half_width(const struct watch *watch)
{
	double single = half_width_of(watch, 1), pairs = half_width_of(watch, 2);
	return single > pairs ? single : pairs;
}

static uint64_t accesses(void)
{
	const struct clv_sim_counts *counts = clv_sim_counts();
	return counts->loads + counts->stores + counts->atomics + counts->ranges;
}

static uint64_t budget_of(const struct simulated *simulated)
{
	return simulated->options.budget ? simulated->options.budget : CLV_BUDGET;
}

static void merge_batches(struct watch *watch)
{
	watch->batches /= 2;
	for (unsigned i = 1; i <= watch->batches; i++)
		watch->ops[i] = watch->ops[2 * i];
	watch->batch_ps *= 2;
}

static void close_window(struct watch *watch, uint64_t now_ps, bool is_short)
{
	struct clv_simulated_report *report = watch->report;
	__atomic_store_n(watch->plan->phase, CLV_PHASE_STOP, __ATOMIC_RELAXED);
	clv_account_end(now_ps);
	report->is_short = is_short;
	report->half_width = half_width(watch);
	report->virtual_ps = now_ps - watch->begin_ps;
	report->window_ops = watch->ops[watch->batches] - watch->ops[0];
	report->window_accesses = accesses() - watch->accesses_before;
	watch->over = true;
}

static void open_window(struct watch *watch, const struct clv_progress *progress, uint64_t now_ps,
			bool warm)
{
	watch->cold = !warm;
	watch->begin_ps = now_ps;
	watch->ops[0] = progress->ops + progress->walks;
	watch->execs_before = progress->least_execs;
	watch->accesses_before = accesses();
	clv_account_begin(now_ps);
	if (watch->plan->origin_ns)
		__atomic_store_n(watch->plan->origin_ns, now_ps / PS_PER_NS, __ATOMIC_RELAXED);
	__atomic_store_n(watch->plan->phase, CLV_PHASE_MEASURE, __ATOMIC_RELAXED);
}

static bool warmed_up(const struct watch *watch, const struct clv_progress *progress,
		      uint64_t now_ps)
{
	if (now_ps < watch->plan->warm_ns * PS_PER_NS)
		return false;
	/* Has anybody finished an exec? Then all have to finish two: the first is cut short. */
	if (progress->execs)
		return progress->least_execs > 1;
	return progress->batches >= 2 * (uint64_t)watch->plan->threads;
}

/* As long as asked for; or, where next to nobody waits, much longer than anybody does. */
static bool is_long_enough(const struct watch *watch, uint64_t now_ps)
{
	uint64_t asked_ps = watch->plan->window_ns * PS_PER_NS, window_ps = now_ps - watch->begin_ps;
	uint64_t longest_ps = clv_account_longest_ps(now_ps);
	return window_ps >= asked_ps ||
	       (longest_ps <= asked_ps / 1000 && window_ps >= SHORTEST_PS &&
		window_ps >= WAITS_MIN * longest_ps);
}

static bool is_enough(const struct watch *watch, const struct clv_progress *progress,
		      uint64_t now_ps)
{
	if (!is_long_enough(watch, now_ps))
		return false;
	if (clv_account()->acquisitions < ACQUISITIONS &&
	    progress->least_execs < watch->execs_before + EXECS_EACH)
		return false;
	double width = half_width(watch);
	return width >= 0 && width < HALF_WIDTH;
}

static uint64_t look(void *arg, uint64_t now_ps)
{
	struct watch *watch = arg;
	struct clv_progress progress;
	uint64_t used = accesses(), budget = budget_of(watch->simulated);
	watch->plan->progress(watch->plan->arg, &progress);
	if (!watch->begin_ps) {
		/* Whoever needs half of the budget to warm up gets what there is. */
		bool warm = warmed_up(watch, &progress, now_ps);
		if (!warm && used < budget / 2)
			return now_ps + watch->batch_ps;
		open_window(watch, &progress, now_ps, warm);
		return now_ps + watch->batch_ps;
	}
	watch->ops[++watch->batches] = progress.ops + progress.walks;
	/* Asked each time that the window has doubled: who asks all the time stops at a lucky one. */
	bool enough = watch->batches == BATCHES_MAX && is_enough(watch, &progress, now_ps);
	if (enough || used >= budget) {
		close_window(watch, now_ps, !enough || watch->cold);
		return UINT64_MAX;
	}
	if (watch->batches == BATCHES_MAX)
		merge_batches(watch);
	return now_ps + watch->batch_ps;
}

/* ---- a window of the length asked for ---- */

static void cut_slice(struct watch *watch, uint64_t now_ps)
{
	struct clv_slice_exact *slice = &watch->plan->exact[watch->slices++];
	const struct clv_account *before = &watch->so_far;
	uint64_t longest_hold_ps = clv_account()->longest_hold_ps;
	clv_account_cut(now_ps);
	const struct clv_account *now = clv_account();
	*slice = (struct clv_slice_exact){
		.filled = true,
		.outside_ps = now->time_ps[CLV_OUTSIDE] - before->time_ps[CLV_OUTSIDE],
		.wait_ps = now->time_ps[CLV_WAIT] - before->time_ps[CLV_WAIT],
		.handover_ps = now->time_ps[CLV_HANDOVER] - before->time_ps[CLV_HANDOVER],
		.inside_ps = now->time_ps[CLV_INSIDE] - before->time_ps[CLV_INSIDE],
		.acquisitions = now->acquisitions - before->acquisitions,
		.holds = now->hold_ns.count - before->hold_ns.count,
		.hold_ps = now->hold_ps - before->hold_ps,
		.hold_longest_ps = longest_hold_ps,
		.lock_waits = now->wait_ns.count - before->wait_ns.count,
		.lock_wait_ps = now->wait_ps - before->wait_ps,
		.allocated_bytes = clv_sim_allocated_bytes(),
	};
	watch->so_far = *now;
}

/* From the window's begin to the end of the slice that is not over yet, or of the window. */
static uint64_t next_cut_ps(const struct watch *watch)
{
	uint64_t window_ps = watch->plan->window_ns * PS_PER_NS;
	uint64_t cut_ps = (watch->slices + UINT64_C(1)) * watch->plan->every_ns * PS_PER_NS;
	return watch->plan->exact && cut_ps < window_ps ? cut_ps : window_ps;
}

static uint64_t look_at_fixed(void *arg, uint64_t now_ps)
{
	struct watch *watch = arg;
	const struct clv_plan *plan = watch->plan;
	struct clv_progress progress;
	uint64_t used = accesses(), budget = budget_of(watch->simulated);
	if (!watch->begin_ps) {
		plan->progress(plan->arg, &progress);
		if (!watch->begun_ps && progress.begun)
			watch->begun_ps = now_ps;
		bool warm = watch->begun_ps &&
			    now_ps - watch->begun_ps >= plan->warm_ns * PS_PER_NS;
		if (!warm && used < budget / 2)
			return now_ps + FIRST_BATCH_PS;
		open_window(watch, &progress, now_ps, warm);
	}
	uint64_t at_ps = now_ps - watch->begin_ps, cut_ps = next_cut_ps(watch);
	if (plan->exact && at_ps == cut_ps)
		cut_slice(watch, now_ps);
	bool whole = at_ps == plan->window_ns * PS_PER_NS;
	if (whole || used >= budget) {
		plan->progress(plan->arg, &progress);
		watch->ops[watch->batches = 1] = progress.ops + progress.walks;
		close_window(watch, now_ps, !whole || watch->cold);
		return UINT64_MAX;
	}
	cut_ps = next_cut_ps(watch);
	return watch->begin_ps + (cut_ps < at_ps + LOOK_PS ? cut_ps : at_ps + LOOK_PS);
}

/* ---- the machine ---- */

static int begin(struct clv_machine *machine, uint64_t seed, struct cleave_error *error)
{
	struct simulated *simulated = (struct simulated *)machine;
	const struct clv_sim_config config = {
		.topology = simulated->topology,
		.costs = &simulated->model->costs,
		.policy = CLV_POLICY_CLOCK,
		.seed = seed,
		.run_ahead_ps = simulated->options.run_ahead_ps,
		.timeline = simulated->options.timeline,
	};
	return clv_sim_open(&config, error);
}

static void end(struct clv_machine *machine)
{
	(void)machine;
	clv_sim_close();
}

/* Those in the window. */
static unsigned find_instants(const struct clv_phase_change *change, unsigned changes,
			      uint64_t origin_ns, struct clv_timeline_instant *instant)
{
	unsigned instants = 0;
	for (unsigned i = 0; i < changes; i++) {
		if (change[i].at_ns >= 0)
			instant[instants++] = (struct clv_timeline_instant){
				(origin_ns + (uint64_t)change[i].at_ns) * PS_PER_NS,
				change[i].name, change[i].reason,
			};
	}
	return instants;
}

static int write_marks(const char *path, const struct clv_plan *plan, struct cleave_error *error)
{
	char why[200];
	struct clv_phase_change *change = NULL;
	unsigned changes = 0, in_all;
	int code = plan->changes && plan->origin_ns ? plan->changes(plan->arg, &change, &changes, &in_all) : 0;
	struct clv_timeline_instant *instant = calloc(changes + 1, sizeof(*instant));
	if (code || !instant) {
		free(change);
		free(instant);
		return clv_error(error, -ENOMEM, "write %s: out of memory", path);
	}
	if (changes)
		changes = find_instants(change, changes, *plan->origin_ns, instant);
	code = clv_timeline_write(path, instant, changes, why, sizeof(why));
	free(change);
	free(instant);
	return code ? clv_error(error, code, "%s", why) : 0;
}

static int write_timeline(const struct simulated *simulated, const struct clv_plan *plan,
			  struct cleave_error *error)
{
	if (!simulated->options.timeline)
		return 0;
	int code = write_marks(simulated->options.timeline, plan, error);
	if (code)
		return code;
	uint64_t last_ps, left_out = clv_timeline_left_out(&last_ps);
	if (left_out)
		fprintf(stderr, "cleave: --timeline %s: without the window's last %.3f ms: %llu marks "
			"too many\n", simulated->options.timeline,
			(double)(clv_account()->end_ps - last_ps) / 1e9,
			(unsigned long long)left_out);
	return 0;
}

static int run(struct clv_machine *machine, const struct clv_plan *plan,
	       struct cleave_error *error)
{
	struct simulated *simulated = (struct simulated *)machine;
	struct clv_simulated_report unused, *report = plan->report ? plan->report : &unused;
	struct watch watch = {
		.simulated = simulated, .plan = plan, .batch_ps = FIRST_BATCH_PS, .report = report,
	};
	const struct clv_sim_run sim_run = {
		.threads = plan->threads,
		.cpu_index = plan->cpu_index,
		.body = plan->body,
		.arg = plan->arg,
		.tick = plan->fixed ? look_at_fixed : look,
		.tick_arg = &watch,
		.tick_ps = FIRST_BATCH_PS,
	};
	memset(report, 0, sizeof(*report));
	int code = clv_sim_run(&sim_run, error);
	if (code)
		return code;
	if (!watch.over)
		return clv_error(error, -ENODATA, "%s: all threads ended before the window did",
				 machine->name);
	const struct clv_sim_counts *counts = clv_sim_counts();
	report->filled = true;
	report->accesses = accesses();
	report->blocks = counts->blocks;
	report->switches = counts->switches;
	report->account = *clv_account();
	report->lines = clv_account_lines(report->line, CLV_REPORT_LINES);
	return write_timeline(simulated, plan, error);
}

static void close_simulated(struct clv_machine *machine)
{
	struct simulated *simulated = (struct simulated *)machine;
	clv_topology_free(simulated->topology);
	clv_model_free(simulated->model);
	free(simulated);
}

int clv_machine_open_simulated(struct clv_machine **machine, const char *name,
			       struct cleave_error *error)
{
	struct simulated *made = calloc(1, sizeof(*made));
	if (!made)
		return clv_error(error, -ENOMEM, "machine '%.80s': out of memory", name);
	int code = clv_model_load(&made->model, name, error);
	if (!code)
		code = clv_topology_load(&made->topology, made->model->topology, error);
	if (code) {
		clv_model_free(made->model);
		free(made);
		return code;
	}
	made->options.run_ahead_ps = CLV_RUN_AHEAD_PS;
	made->machine = (struct clv_machine){
		.name = made->model->name,
		.simulated = true,
		.topology_source = made->model->topology,
		.topology = made->topology,
		.bench = &clv_bench_simulated,
		.begin = begin,
		.end = end,
		.run = run,
		.close = close_simulated,
	};
	*machine = &made->machine;
	return 0;
}

void clv_simulated_configure(struct clv_machine *machine,
			     const struct clv_simulated_options *options)
{
	((struct simulated *)machine)->options = *options;
}

struct clv_model *clv_simulated_model(struct clv_machine *machine)
{
	return ((struct simulated *)machine)->model;
}
