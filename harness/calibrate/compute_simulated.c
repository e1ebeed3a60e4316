// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "compute_simulated.h"

#include <errno.h>
#include <math.h>

#include "../../lib/error.h"
#include "../machine/sim/sim.h"

/* In the instrumented object: harness/machine/sim/simulated.sh. */
extern const struct clv_compute_table clv_compute_simulated;

enum { WARM_ROUNDS = 30, ROUNDS = 2 };

struct job {
	struct clv_compute *state;
	double *ns;
};

static void run_kernels(void *arg, unsigned thread)
{
	const struct job *job = arg;
	(void)thread;
	for (unsigned i = 0; i < CLV_COMPUTE_KERNELS; i++) {
		const struct clv_compute_kernel *kernel = &clv_compute_simulated.kernel[i];
		kernel->run(job->state, WARM_ROUNDS); /* to L1, and the branches learnt */
		uint64_t begin_ps = clv_sim_settle();
		kernel->run(job->state, ROUNDS);
		job->ns[i] = (double)(clv_sim_settle() - begin_ps) / 1000 / ROUNDS;
	}
}

static int run_on(const struct clv_topology *topology, const struct clv_costs *costs, double *ns,
		  struct cleave_error *error)
{
	static const unsigned cpu;
	const struct clv_sim_config config = { .topology = topology, .costs = costs,
					       .policy = CLV_POLICY_CLOCK, .may_spin_bare = true };
	int code = clv_sim_open(&config, error);
	if (code)
		return code;
	struct job job = { clv_sim_alloc(sizeof(*job.state), 64, -1), ns };
	const struct clv_sim_run run = { .threads = 1, .cpu_index = &cpu, .body = run_kernels,
					 .arg = &job };
	if (job.state) {
		clv_compute_simulated.begin(job.state, 1);
		code = clv_sim_run(&run, error);
	} else {
		code = clv_error(error, -ENOMEM, "calibrate: out of memory");
	}
	clv_sim_close();
	return code;
}

int clv_compute_simulated_ns(const struct clv_costs *costs, double ns[CLV_COMPUTE_KERNELS],
			     struct cleave_error *error)
{
	struct clv_topology *topology;
	int code = clv_topology_load(&topology, "l3:1 core:1 pu:1", error);
	if (code)
		return code;
	code = run_on(topology, costs, ns, error);
	clv_topology_free(topology);
	return code;
}

/* ---- the fit ---- */

struct fit {
	const struct clv_topology *topology;
	struct clv_costs *costs;
	const double *ns;
	double best, misfit;
	struct cleave_error *error;
};

/* Is it better with these? Then they are kept. Returns: 0; negative errno. */
static int try_costs(struct fit *fit, uint64_t block_ps, uint64_t access_ps, bool *better)
{
	double ns[CLV_COMPUTE_KERNELS], sum = 0, misfit = 0;
	struct clv_costs costs = *fit->costs;
	costs.block_ps = block_ps;
	costs.access_ps = access_ps ? access_ps : 1;
	int code = run_on(fit->topology, &costs, ns, fit->error);
	if (code)
		return code;
	for (unsigned i = 0; i < CLV_COMPUTE_KERNELS; i++) {
		double ratio = ns[i] / fit->ns[i], off = log(ratio);
		if (!clv_compute_kernel[i].fits)
			continue;
		sum += off * off;
		misfit = fmax(misfit, fabs(ratio - 1));
	}
	*better = sum < fit->best;
	if (!*better)
		return 0;
	fit->best = sum;
	fit->misfit = misfit;
	*fit->costs = costs;
	return 0;
}

/* From where it is, by ever smaller factors, along either and both. */
static int descend(struct fit *fit)
{
	static const double step[] = { 2, 1.4, 1.2, 1.1, 1.05, 1.02 };
	static const int way[][2] = { { 1, 0 }, { -1, 0 }, { 0, 1 }, { 0, -1 }, { 1, -1 }, { -1, 1 } };
	for (unsigned i = 0; i < sizeof(step) / sizeof(step[0]); i++) {
		bool moved = true;
		for (unsigned turn = 0; moved && turn < 20; turn++) {
			moved = false;
			for (unsigned j = 0; j < sizeof(way) / sizeof(way[0]); j++) {
				bool better;
				double block = (double)fit->costs->block_ps * pow(step[i], way[j][0]);
				double access =
					(double)fit->costs->access_ps * pow(step[i], way[j][1]);
				int code = try_costs(fit, (uint64_t)(block + 0.5),
						     (uint64_t)(access + 0.5), &better);
				if (code)
					return code;
				moved |= better;
			}
		}
	}
	return 0;
}

int clv_compute_fit(struct clv_costs *costs, const double ns[CLV_COMPUTE_KERNELS], double *misfit,
		    struct cleave_error *error)
{
	struct clv_topology *topology;
	bool better;
	for (unsigned i = 0; i < CLV_COMPUTE_KERNELS; i++) {
		if (!(ns[i] > 0))
			return clv_error(error, -EINVAL, "calibrate: a kernel that takes no time: %s",
					 clv_compute_kernel[i].name);
	}
	int code = clv_topology_load(&topology, "l3:1 core:1 pu:1", error);
	if (code)
		return code;
	struct fit fit = { topology, costs, ns, INFINITY, 0, error };
	code = try_costs(&fit, 500, 200, &better);
	if (!code)
		code = descend(&fit);
	*misfit = fit.misfit;
	clv_topology_free(topology);
	return code;
}
