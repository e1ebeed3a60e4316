// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "trial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/error.h"
#include "../clock.h"
#include "../designs.h"
#include "../placement.h"
#include "../pool.h"
#include "../workloads/schedule.h"

#define WARM_NS 1000000
#define WINDOW_NS 20000000

struct batch {
	struct clv_trial *trial;
	const char *what;
};

struct clv_trial clv_trial_exec(const char *machine, const char *design, unsigned threads,
				const struct clv_schedule *schedule)
{
	return (struct clv_trial){
		.machine = machine, .design = design, .workload = "exec",
		.placement = "cores-first", .schedule = schedule, .threads = threads,
		.population = 6000, .seed = 1, .warm_ns = WARM_NS, .window_ns = WINDOW_NS,
	};
}

struct clv_trial clv_trial_case(const char *machine, enum clv_case which, unsigned threads)
{
	return (struct clv_trial){
		.machine = machine, .placement = "cores-first", .threads = threads, .seed = 1,
		.warm_ns = 100000, .window_ns = 2000000,
		.program = { .which = which, .threads = threads },
	};
}

/* Zero: as it is. */
static const struct {
	const char *name;
	uint64_t population, other_lock_ns;
	double migrate;
	unsigned think; /* times the recorded gap's mean */
} load[] = {
	{ .name = "population 2000", .population = 2000 },
	{ .name = "population 24000", .population = 24000 },
	{ .name = "another lock, 10 us an exec", .other_lock_ns = 10000 },
	{ .name = "another lock, 60 us an exec", .other_lock_ns = 60000 },
	{ .name = "migration at 0.25 of the execs", .migrate = 0.25 },
	{ .name = "migration at 1 of the execs", .migrate = 1 },
	{ .name = "think time recorded x 4", .think = 4 },
};

const char *clv_load_name(unsigned i)
{
	return i < sizeof(load) / sizeof(load[0]) ? load[i].name : NULL;
}

void clv_load_set(unsigned i, struct clv_trial *trial, unsigned trials)
{
	for (; trials; trials--, trial++) {
		if (load[i].population)
			trial->population = load[i].population;
		if (load[i].other_lock_ns)
			trial->other_lock_ns = load[i].other_lock_ns;
		if (load[i].migrate > 0)
			trial->migrate = load[i].migrate;
		if (load[i].think)
			trial->think_ns = (int64_t)(load[i].think * (trial->schedule->cycle_ns /
								     trial->schedule->sections));
	}
}

bool clv_trial_tweak(struct clv_trial *trial, const char *parameter, double value, bool factor)
{
	if (trial->tweaks == CLV_TRIAL_CHANGES)
		return false;
	trial->tweak[trial->tweaks++] = (struct clv_tweak){ parameter, value, factor };
	return true;
}

/* ---- in the trial's process ---- */

static const struct clv_parameter *find_parameter(const char *name)
{
	const struct clv_parameter *parameter;
	for (unsigned i = 0; (parameter = clv_parameter_at(i)); i++) {
		if (!strcmp(parameter->name, name))
			return parameter;
	}
	return NULL;
}

static int change_model(const struct clv_trial *trial, struct clv_model *model,
			struct cleave_error *error)
{
	for (unsigned i = 0; i < trial->tweaks; i++) {
		const struct clv_tweak *tweak = &trial->tweak[i];
		const struct clv_parameter *parameter = find_parameter(tweak->parameter);
		double value = tweak->value;
		if (parameter && tweak->factor)
			value *= clv_model_get(model, parameter);
		int code = clv_model_set(model, tweak->parameter, value, error);
		if (code)
			return code;
	}
	return 0;
}

static void take_report(struct clv_trial *trial, const struct clv_simulated_report *report)
{
	const struct clv_account *account = &report->account;
	uint64_t moves = 0, far = 0, time = 0;
	for (unsigned inside = 0; inside < 2; inside++) {
		for (unsigned level = CLV_LEVEL_READ; level < CLV_LEVELS; level++) {
			for (unsigned i = 0; i < CLV_DISTANCES; i++) {
				moves += account->count[inside][level][i];
				far += i > CLV_DIST_NODE ? account->count[inside][level][i] : 0;
			}
		}
	}
	for (unsigned i = 0; i < CLV_WHERES; i++)
		time += account->time_ps[i];
	trial->acquisitions = account->acquisitions;
	if (account->acquisitions) {
		double n = (double)account->acquisitions * 1000;
		trial->hold_ns = (double)account->hold_ps / n;
		trial->handover_ns = (double)account->handover_ps / n;
		trial->transfers = (double)moves * 1000 / n;
	}
	trial->far_share = moves ? (double)far / (double)moves : 0;
	trial->wait_share = time ? (double)account->time_ps[CLV_WAIT] / (double)time : 0;
	trial->half_width = report->half_width;
	trial->is_short = report->is_short;
}

static int run_design(struct clv_trial *trial, struct clv_machine *machine,
		      struct clv_simulated_report *report, struct cleave_error *error)
{
	struct clv_settings settings = {
		.machine = machine, .workload = trial->workload, .schedule = trial->schedule,
		.placement = trial->placement, .seed = trial->seed, .repetitions = 1,
		.warm_ns = trial->warm_ns, .window_ns = trial->window_ns,
		.population = trial->population, .other_lock_ns = trial->other_lock_ns,
		.migrate = trial->migrate, .jobs = 1,
		.simulated = { .budget = trial->budget, .run_ahead_ps = CLV_RUN_AHEAD_PS },
	};
	char design[CLV_DESIGN_BYTES], name[96];
	struct clv_point point;
	struct clv_run_result result = { 0 };
	int code = clv_design_resolve(trial->design, design, sizeof(design), name, sizeof(name),
				      error);
	if (code)
		return code;
	const struct clv_point_spec spec = { "", design, trial->threads, trial->think_ns };
	code = clv_point_init(&point, &settings, &spec, error);
	if (!code)
		code = clv_point_run(&point, 0, &result, report, error);
	if (!code && !result.valid)
		code = clv_error(error, -EBADMSG, "not valid: %.120s", result.why);
	for (unsigned i = 0; !code && i < trial->threads; i++) {
		double seconds = (double)result.worker[i].elapsed_ns / 1e9;
		trial->ops_per_s += seconds > 0 ? (double)result.worker[i].ops / seconds : 0;
		trial->execs_per_s += seconds > 0 ? (double)result.worker[i].execs / seconds : 0;
	}
	return code;
}

static int run_program(struct clv_trial *trial, struct clv_machine *machine,
		       struct clv_simulated_report *report, struct cleave_error *error)
{
	const struct clv_validate *table = &clv_validate_simulated;
	unsigned *cpu = calloc(trial->threads, sizeof(*cpu));
	unsigned *cluster = calloc(trial->threads, sizeof(*cluster));
	const struct clv_simulated_options options = { trial->budget, CLV_RUN_AHEAD_PS, NULL };
	void *state = NULL;
	int code = cpu && cluster ? 0 : clv_error(error, -ENOMEM, "out of memory");
	if (!code)
		code = clv_placement_make(machine->topology, trial->placement, trial->threads, false,
					  cpu, error);
	clv_simulated_configure(machine, &options);
	if (!code)
		code = machine->begin(machine, trial->seed, error);
	if (!code) {
		struct clv_case_config config = trial->program;
		for (unsigned i = 0; i < trial->threads; i++)
			cluster[i] = machine->topology->cpu[cpu[i]].node;
		config.seed = trial->seed;
		config.clusters = 1;
		if (config.which == CLV_CASE_MULTIPLY_H) {
			config.cluster = cluster;
			config.clusters = machine->topology->nodes;
		}
		code = table->open(&state, &config, error);
	}
	if (!code) {
		const struct clv_plan plan = {
			.threads = trial->threads, .cpu_index = cpu, .warm_ns = trial->warm_ns,
			.window_ns = trial->window_ns, .phase = table->phase(state),
			.body = table->body, .progress = table->progress, .arg = state,
			.report = report,
		};
		code = machine->run(machine, &plan, error);
	}
	if (!code && !table->finish(state, &trial->ops_per_s))
		code = clv_error(error, -EBADMSG, "the program's result is wrong");
	free(cpu);
	free(cluster);
	return code; /* the process ends: nothing else to give back */
}

static int work(void *arg, unsigned job, void **data, size_t *bytes, struct cleave_error *error)
{
	const struct batch *batch = arg;
	struct clv_trial *trial = &batch->trial[job];
	struct clv_simulated_report *report = calloc(1, sizeof(*report));
	struct clv_machine *machine = NULL;
	double begin_s = clv_now_s();
	int code = report ? clv_machine_open(&machine, trial->machine, error) : -ENOMEM;
	if (!code && !machine->simulated)
		code = clv_error(error, -EINVAL, "not a simulated machine: %s", trial->machine);
	if (!code)
		code = change_model(trial, clv_simulated_model(machine), error);
	if (!code)
		code = trial->design ? run_design(trial, machine, report, error) :
				       run_program(trial, machine, report, error);
	if (code)
		return code;
	take_report(trial, report);
	trial->host_s = clv_now_s() - begin_s;
	*bytes = sizeof(*trial);
	*data = malloc(*bytes);
	if (!*data)
		return -ENOMEM;
	memcpy(*data, trial, *bytes);
	return 0;
}

/* ---- in ours ---- */

static void ended(void *arg, unsigned job, int code, const void *data, size_t bytes,
		  const char *why)
{
	const struct batch *batch = arg;
	struct clv_trial *trial = &batch->trial[job];
	if (!code && bytes == sizeof(*trial)) {
		memcpy(trial, data, bytes);
		return;
	}
	trial->code = code ? code : -EIO;
	snprintf(trial->why, sizeof(trial->why), "%.150s", why ? why : "no result");
}

static void show(void *arg, const struct clv_pool_progress *progress)
{
	const struct batch *batch = arg;
	fprintf(stderr, "\r\033[K%s: %.0f %%", batch->what, 100 * progress->done);
	if (progress->left_s >= 0)
		fprintf(stderr, ", about %.0f s to go", progress->left_s);
}

int clv_trials_run(struct clv_trial *trial, unsigned trials, unsigned jobs, const char *what,
		   struct cleave_error *error)
{
	struct batch batch = { trial, what };
	bool shows = isatty(STDERR_FILENO);
	const struct clv_pool pool = {
		.jobs = trials, .processes = jobs < trials ? jobs : trials, .work = work,
		.ended = ended, .progress = shows ? show : NULL, .arg = &batch,
	};
	if (!trials)
		return 0;
	fflush(stdout); /* or children would have it, too */
	int code = clv_pool_run(&pool, error);
	if (shows)
		fputs("\r\033[K", stderr);
	return code;
}
