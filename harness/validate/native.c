// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "native.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../lib/error.h"
#include "../../lib/shim/shim.h"
#include "../designs.h"
#include "../placement.h"

/* One run at a time: the body is given the run alone. */
static struct {
	void (*body)(void *arg, unsigned worker);
	uint64_t waited_ns; /* the most of a thread */
	uint64_t elapsed_ns;
} watched;

static uint64_t waited_ns(void)
{
	uint64_t ran, waited = 0;
	FILE *file = fopen("/proc/thread-self/schedstat", "re");
	if (!file)
		return 0;
	if (fscanf(file, "%" SCNu64 " %" SCNu64, &ran, &waited) != 2)
		waited = 0;
	fclose(file);
	return waited;
}

static void raise_to(uint64_t *most, uint64_t value)
{
	uint64_t seen = __atomic_load_n(most, __ATOMIC_RELAXED);
	while (seen < value && !__atomic_compare_exchange_n(most, &seen, value, false,
							    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static void watched_body(void *arg, unsigned worker)
{
	uint64_t before_ns = waited_ns(), begin_ns = clv_now_ns();
	watched.body(arg, worker);
	raise_to(&watched.elapsed_ns, clv_now_ns() - begin_ns);
	raise_to(&watched.waited_ns, waited_ns() - before_ns);
}

static void watch(void (*body)(void *arg, unsigned worker))
{
	watched.body = body;
	watched.waited_ns = watched.elapsed_ns = 0;
}

static double stolen_share(void)
{
	return watched.elapsed_ns ? (double)watched.waited_ns / (double)watched.elapsed_ns : 0;
}

static double rate_of(const struct clv_run_result *result, unsigned threads)
{
	double rate = 0;
	for (unsigned i = 0; i < threads; i++) {
		const struct clv_worker_counts *worker = &result->worker[i];
		if (!worker->elapsed_ns)
			return 0;
		rate += (double)worker->ops * 1e9 / (double)worker->elapsed_ns;
	}
	return rate;
}

static int run_design(struct clv_machine *host, const struct clv_native *native,
		      double *ops_per_s, struct cleave_error *error)
{
	const struct clv_bench *bench = host->bench;
	struct clv_bench watching = *bench;
	struct clv_settings settings = {
		.machine = host, .workload = "pairs-libc", .placement = "cores-first",
		.seed = native->seed, .repetitions = 1, .warm_ns = native->warm_ns,
		.window_ns = native->window_ns, .population = native->population,
	};
	char design[CLV_DESIGN_BYTES], name[96];
	struct clv_run_result result = { 0 };
	struct clv_point point;
	int code = clv_design_resolve(native->design, design, sizeof(design), name, sizeof(name),
				      error);
	if (code)
		return code;
	const struct clv_point_spec spec = { "", design, native->threads, CLV_THINK_RECORDED };
	code = clv_point_init(&point, &settings, &spec, error);
	if (!code) {
		watch(bench->body);
		watching.body = watched_body;
		host->bench = &watching;
		code = clv_point_run(&point, 0, &result, NULL, error);
		host->bench = bench;
	}
	if (!code && !result.valid)
		code = clv_error(error, -EBADMSG, "%s: not valid: %.120s", design, result.why);
	if (!code)
		*ops_per_s = rate_of(&result, native->threads);
	clv_run_result_fini(&result);
	clv_point_fini(&point);
	return code;
}

static int run_program(struct clv_machine *host, const struct clv_native *native,
		       double *ops_per_s, struct cleave_error *error)
{
	const struct clv_validate *table = &clv_validate_native;
	const struct clv_case_config config = {
		.which = native->which, .threads = native->threads, .bytes = native->bytes,
		.seed = native->seed,
	};
	unsigned *cpu = calloc(native->threads, sizeof(*cpu));
	void *state;
	int code = cpu ? clv_placement_make(host->topology, "cores-first", native->threads, false,
					    cpu, error) :
			 clv_error(error, -ENOMEM, "validate: out of memory");
	if (!code)
		code = table->open(&state, &config, error);
	if (code) {
		free(cpu);
		return code;
	}
	const struct clv_plan plan = {
		.threads = native->threads, .cpu_index = cpu, .warm_ns = native->warm_ns,
		.window_ns = native->window_ns, .phase = table->phase(state),
		.body = watched_body, .arg = state,
	};
	watch(table->body);
	code = host->run(host, &plan, error);
	if (!code && !table->finish(state, ops_per_s))
		code = clv_error(error, -EBADMSG, "validate: a program's result is wrong");
	table->close(state);
	free(cpu);
	return code;
}

int clv_native_run(struct clv_machine *host, const struct clv_native *native, double *ops_per_s,
		   double *stolen, struct cleave_error *error)
{
	int code = native->design ? run_design(host, native, ops_per_s, error) :
				    run_program(host, native, ops_per_s, error);
	*stolen = stolen_share();
	return code;
}
