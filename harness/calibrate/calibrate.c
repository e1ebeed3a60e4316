// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Which probes run, for how long, on which CPUs, and what becomes of their numbers.
 *
 * block_ns and access_ns are the only parameters that no probe sees by itself. They are fitted:
 * over the kernels of compute.h, time = blocks * block + accesses * access + mispredicts *
 * mispredict, with the counts from the simulated machine, mispredict measured, and neither below 0.
 * An access's share is what it costs beside others that hit L1, so l1_ns is no part of the fit.
 */
#include "calibration.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/error.h"
#include "../machine/machine.h"
#include "compute_simulated.h"
#include "system.h"

enum { PAIRS_MAX = 16, HOMES_MAX = 4 };

/* Of the whole time. */
#define SHARE_CACHE 0.05 /* each of three */
#define SHARE_MEMORY 0.2 /* over all distances */
#define SHARE_PAIRS 0.35 /* over all distances */
#define SHARE_PING 0.05	 /* likewise */
#define SHARE_SMT 0.02
#define SHARE_CORE 0.08
#define SHARE_COMPUTE 0.05
#define SHARE_WAKE 0.06
#define SHARE_PARK 0.04

/* What memory is chased through: so much larger than an L3 that hardly any of it stays there. */
#define MEMORY_L3S 8
#define MEMORY_MIN_BYTES ((size_t)64 << 20)
#define MEMORY_MAX_BYTES ((size_t)1 << 30)

struct pair {
	unsigned a, b;
};

struct run {
	struct clv_calibration *calibration;
	struct clv_machine *machine;
	const struct clv_system *told;
	const struct clv_calibrate_options *options;
	struct cleave_error *error;
	unsigned cpu;
	struct pair pair[CLV_DISTANCES][PAIRS_MAX];
	unsigned pairs[CLV_DISTANCES];
	unsigned classes; /* of distances that have a pair */
};

static void progress(const struct run *run, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void progress(const struct run *run, const char *format, ...)
{
	char line[128];
	va_list arguments;
	if (!run->options->progress)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	run->options->progress(line);
}

static uint64_t budget_ns(const struct run *run, double share)
{
	return (uint64_t)(run->options->seconds * share * 1e9);
}

static unsigned os_of(const struct run *run, unsigned cpu)
{
	return run->machine->topology->cpu[cpu].os;
}

/* ---- which CPUs ---- */

enum clv_distance clv_calibration_distance(const struct clv_topology *topology, unsigned a,
					   unsigned b)
{
	const struct clv_cpu *x = &topology->cpu[a], *y = &topology->cpu[b];
	if (x->core == y->core)
		return CLV_DIST_CORE;
	if (x->l3 == y->l3)
		return CLV_DIST_L3;
	if (x->node == y->node)
		return CLV_DIST_NODE;
	return x->package == y->package ? CLV_DIST_PACKAGE : CLV_DIST_REMOTE;
}

/* Of two different cores, the first CPU of each. */
static bool is_candidate(const struct run *run, unsigned a, unsigned b)
{
	const struct clv_topology *topology = run->machine->topology;
	return topology->cpu[a].core == topology->cpu[b].core ||
	       (!topology->cpu[a].smt && !topology->cpu[b].smt);
}

/* Evenly from all pairs of each distance, which two passes do without a table of them. */
static void choose_pairs(struct run *run)
{
	const unsigned cpus = run->machine->topology->cpus;
	size_t all[CLV_DISTANCES] = { 0 }, seen[CLV_DISTANCES] = { 0 };

	if (run->options->cpu_a >= 0) {
		struct pair only = { (unsigned)run->options->cpu_a, (unsigned)run->options->cpu_b };
		enum clv_distance distance =
			clv_calibration_distance(run->machine->topology, only.a, only.b);
		run->pair[distance][run->pairs[distance]++] = only;
		run->classes = 1;
		return;
	}
	for (unsigned pass = 0; pass < 2; pass++) {
		for (unsigned a = 0; a < cpus; a++) {
			for (unsigned b = a + 1; b < cpus; b++) {
				if (!is_candidate(run, a, b))
					continue;
				enum clv_distance d =
					clv_calibration_distance(run->machine->topology, a, b);
				if (!pass) {
					all[d]++;
					continue;
				}
				unsigned want = all[d] < PAIRS_MAX ? (unsigned)all[d] : PAIRS_MAX;
				if (run->pairs[d] < want &&
				    seen[d] * want >= run->pairs[d] * all[d])
					run->pair[d][run->pairs[d]++] = (struct pair) { a, b };
				seen[d]++;
			}
		}
	}
	for (unsigned d = 0; d < CLV_DISTANCES; d++)
		run->classes += run->pairs[d] > 0;
}

/* ---- from estimates to parameters ---- */

/* "measured: HOW, median M [L, H] of N rounds, ...". Unusable estimates leave the assumption. */
static void set(struct run *run, unsigned index, const struct clv_estimate *estimate,
		const char *how, ...) __attribute__((format(printf, 4, 5)));

static void set(struct run *run, unsigned index, const struct clv_estimate *estimate,
		const char *how, ...)
{
	struct clv_calibrated *parameter = &run->calibration->parameter[index];
	char text[112], tail[64] = "";
	va_list arguments;

	va_start(arguments, how);
	vsnprintf(text, sizeof(text), how, arguments);
	va_end(arguments);
	if (!estimate->rounds) {
		snprintf(parameter->source, sizeof(parameter->source),
			 "assumed: %s: in all %zu rounds the reference moved by over %.0f %%", text,
			 estimate->dropped, 100 * CLV_STEADY_SHARE);
		return;
	}
	if (estimate->referenced)
		snprintf(tail, sizeof(tail), "; %zu dropped, the reference moved over %.0f %%",
			 estimate->dropped, 100 * CLV_STEADY_SHARE);
	/* Below 0 is possible where one time is taken off another; a cost is not. */
	parameter->value = estimate->value.median > 0 ? estimate->value.median : 0;
	parameter->low = estimate->value.low > 0 ? estimate->value.low : 0;
	parameter->high = estimate->value.high > 0 ? estimate->value.high : 0;
	parameter->measured = true;
	snprintf(
		parameter->source, sizeof(parameter->source),
		"measured: %s, median %.4g [%.4g, %.4g] of %zu rounds, middle 90 %% %.4g to %.4g%s",
		text, parameter->value, parameter->low, parameter->high, estimate->rounds,
		estimate->low90, estimate->high90, tail);
}

/* ---- loads ---- */

static size_t whole_pages(uint64_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	return bytes < page ? page : bytes / page * page;
}

static int measure_load(struct run *run, unsigned index, size_t bytes)
{
	struct clv_load_costs costs;
	progress(run, "loads over %zu KiB", bytes >> 10);
	int status = clv_probe_load(run->machine, run->cpu, run->cpu, bytes, false,
				    budget_ns(run, SHARE_CACHE), &costs, run->error);
	if (!status)
		set(run, index, &costs.load, "dependent loads over %zu KiB in %s, CPU %u",
		    bytes >> 10, costs.huge_pages ? "huge pages" : "small pages",
		    os_of(run, run->cpu));
	return status;
}

static int measure_caches(struct run *run)
{
	const struct clv_system_cache *cache = run->told->cache;
	int status = 0;
	if (cache[0].bytes)
		status = measure_load(run, CLV_CAL_L1, whole_pages(cache[0].bytes / 2));
	if (!status && cache[1].bytes)
		status = measure_load(run, CLV_CAL_L2, whole_pages(cache[1].bytes / 2));
	/* Twice the L2 at least, or part of it would be found there. */
	uint64_t quarter = cache[2].bytes / 4;
	if (quarter < 2 * cache[1].bytes)
		quarter = cache[2].bytes / 2;
	if (!status && cache[2].bytes)
		status = measure_load(run, CLV_CAL_L3, whole_pages(quarter));
	return status;
}

static size_t memory_bytes(const struct run *run)
{
	size_t bytes = run->told->cache[2].bytes * MEMORY_L3S;
	size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) / 8 * (size_t)sysconf(_SC_PAGESIZE);
	bytes = bytes < MEMORY_MIN_BYTES ? MEMORY_MIN_BYTES : bytes;
	bytes = bytes > MEMORY_MAX_BYTES ? MEMORY_MAX_BYTES : bytes;
	return whole_pages(bytes > memory ? memory : bytes);
}

static void set_memory(struct run *run, unsigned distance, const struct clv_estimate *estimate,
		       const struct clv_load_costs *costs)
{
	set(run, CLV_CAL_MEMORY + distance - CLV_DIST_NODE, estimate,
	    "dependent loads over %zu MiB in %s, homes %zu", costs->bytes >> 20,
	    costs->huge_pages ? "huge pages" : "small pages", estimate->sets);
}

static int measure_memory(struct run *run)
{
	const size_t bytes = memory_bytes(run);
	unsigned distances =
		1 + (run->pairs[CLV_DIST_PACKAGE] > 0) + (run->pairs[CLV_DIST_REMOTE] > 0);
	uint64_t budget = budget_ns(run, SHARE_MEMORY / distances);
	struct clv_load_costs costs;

	progress(run, "loads over %zu MiB", bytes >> 20);
	int status = clv_probe_load(run->machine, run->cpu, run->cpu, bytes, true, budget, &costs,
				    run->error);
	if (status)
		return status;
	set_memory(run, CLV_DIST_NODE, &costs.load, &costs);
	set(run, CLV_CAL_OUTSTANDING, &costs.outstanding,
	    "loads from memory, time of one chain over that of each of %u", costs.chains);
	/* A number of misses: whole. */
	struct clv_calibrated *outstanding = &run->calibration->parameter[CLV_CAL_OUTSTANDING];
	outstanding->value = (double)(long)(outstanding->value + 0.5);
	/* A disturbed round shows any number; the model takes 1 to 64, and no core has more. */
	outstanding->value = fmin(fmax(outstanding->value, 1), 64);

	for (unsigned d = CLV_DIST_PACKAGE; d <= CLV_DIST_REMOTE; d++) {
		struct clv_estimate part[HOMES_MAX], all;
		unsigned n = run->pairs[d] < HOMES_MAX ? run->pairs[d] : HOMES_MAX;
		for (unsigned i = 0; i < n; i++) {
			const struct pair *pair = &run->pair[d][i * run->pairs[d] / n];
			progress(run, "loads, CPU %u, home at CPU %u", os_of(run, pair->a),
				 os_of(run, pair->b));
			status = clv_probe_load(run->machine, pair->a, pair->b, bytes, false,
						budget / n, &costs, run->error);
			if (status)
				return status;
			part[i] = costs.load;
		}
		if (n && !clv_estimate_combine(&all, part, n))
			set_memory(run, d, &all, &costs);
	}
	return 0;
}

/* ---- pairs ---- */

static const char *const distance_name[] = { "SMT siblings", "one L3", "one node", "one package",
					     "two packages" };

/* -EAGAIN is a set without rounds. */
static int allow_dropped(int status)
{
	return status == -EAGAIN ? 0 : status;
}

/*
 * After a read by the other, does the writer have to fetch the line again, and has the reader it to
 * itself? Else both have it. Of the two only one can be half of what it would cost or less.
 */
static void set_takes(struct run *run, unsigned d, const struct clv_estimate *all)
{
	const struct clv_estimate *read = &all[0], *upgrade = &all[2], *again = &all[4],
				  *claim = &all[5];
	struct clv_calibrated *takes = &run->calibration->parameter[CLV_CAL_TAKES + d];
	if (!read->rounds || !upgrade->rounds || !again->rounds || !claim->rounds) {
		snprintf(takes->source, sizeof(takes->source),
			 "assumed: in all rounds the reference moved by over %.0f %%",
			 100 * CLV_STEADY_SHARE);
		return;
	}
	takes->value = again->value.median > read->value.median / 2 &&
		       claim->value.median < upgrade->value.median / 2;
	takes->low = takes->high = takes->value;
	takes->measured = true;
	snprintf(takes->source, sizeof(takes->source),
		 "measured: after the other's read, a read by the writer took %.1f ns, a write by the "
		 "reader %.1f ns beyond an owned one; %s", again->value.median, claim->value.median,
		 distance_name[d]);
}

static int combine_pairs(struct run *run, unsigned d, const struct clv_pair_costs *costs,
			 const struct clv_estimate *ping)
{
	const unsigned n = run->pairs[d];
	enum { PARTS = 6 };
	struct clv_estimate part[PARTS][PAIRS_MAX], all[PARTS];
	static const char *const how[] = {
		"dependent loads of lines the other modified",
		"dependent atomics on such lines, less on owned ones",
		"the same after both had read the lines",
	};
	static const unsigned first[] = { CLV_CAL_READ, CLV_CAL_WRITE, CLV_CAL_UPGRADE };
	for (unsigned i = 0; i < n; i++) {
		part[0][i] = costs[i].read;
		part[1][i] = costs[i].write;
		part[2][i] = costs[i].upgrade;
		part[3][i] = costs[i].atomic;
		part[4][i] = costs[i].again;
		part[5][i] = costs[i].claim;
	}
	for (unsigned i = 0; i < PARTS; i++) {
		int status = allow_dropped(clv_estimate_combine(&all[i], part[i], n));
		if (status)
			return clv_error(run->error, status, "calibrate: out of memory");
		if (i < 3)
			set(run, first[i] + d, &all[i], "%s, %s, pairs %zu of %u", how[i],
			    distance_name[d], all[i].sets, n);
	}
	set_takes(run, d, all);
	run->calibration->owned[d] = all[3];
	run->calibration->again[d] = all[4];
	run->calibration->claim[d] = all[5];
	int status = allow_dropped(clv_estimate_combine(&run->calibration->ping[d], ping, n));
	return status ? clv_error(run->error, status, "calibrate: out of memory") : 0;
}

static int measure_pairs(struct run *run)
{
	for (unsigned d = 0; d < CLV_DISTANCES; d++) {
		struct clv_pair_costs costs[PAIRS_MAX] = { 0 };
		struct clv_estimate ping[PAIRS_MAX] = { 0 };
		for (unsigned i = 0; i < run->pairs[d]; i++) {
			const struct pair *pair = &run->pair[d][i];
			double share = 1.0 / run->classes / run->pairs[d];
			progress(run, "lines between CPUs %u and %u, %s", os_of(run, pair->a),
				 os_of(run, pair->b), distance_name[d]);
			int status = clv_probe_pair(run->machine, pair->a, pair->b,
						    budget_ns(run, SHARE_PAIRS * share), &costs[i],
						    run->error);
			if (!allow_dropped(status))
				status = clv_probe_pair_ping(run->machine, pair->a, pair->b,
							     budget_ns(run, SHARE_PING * share),
							     &ping[i], run->error);
			if (allow_dropped(status))
				return status;
		}
		int status = run->pairs[d] ? combine_pairs(run, d, costs, ping) : 0;
		if (status)
			return status;
	}
	return 0;
}

static int measure_smt(struct run *run)
{
	struct clv_estimate percent;
	if (!run->pairs[CLV_DIST_CORE])
		return 0;
	const struct pair *pair = &run->pair[CLV_DIST_CORE][0];
	progress(run, "work beside a busy sibling");
	int status = clv_probe_smt(run->machine, pair->a, pair->b, budget_ns(run, SHARE_SMT),
				   &percent, run->error);
	if (!allow_dropped(status))
		set(run, CLV_CAL_SMT, &percent,
		    "sorting beside a sibling that sorts, CPUs %u and %u", os_of(run, pair->a),
		    os_of(run, pair->b));
	return allow_dropped(status);
}

/* ---- one CPU ---- */

static int measure_core(struct run *run)
{
	struct clv_core_costs costs;
	const unsigned os = os_of(run, run->cpu);
	progress(run, "atomics, branches and the like");
	int status = clv_probe_core(run->machine, run->cpu, budget_ns(run, SHARE_CORE), &costs,
				    run->error);
	if (status)
		return status;
	set(run, CLV_CAL_ATOMIC, &costs.atomic, "dependent fetch-and-adds on an owned line, CPU %u",
	    os);
	set(run, CLV_CAL_FENCE, &costs.fence, "full fences in a row, CPU %u", os);
	set(run, CLV_CAL_PAUSE, &costs.pause, "pauses in a row, CPU %u", os);
	set(run, CLV_CAL_CLOCK, &costs.clock, "readings of the clock in a row, CPU %u", os);
	set(run, CLV_CAL_MISPREDICT, &costs.mispredict,
	    "branches on random bits less foreseeable ones, CPU %u", os);
	set(run, CLV_CAL_ALLOC, &costs.alloc, "blocks of one line, of memory freed before, CPU %u",
	    os);
	return 0;
}

/* Those of the simulated machine that compute.h's kernels feel, as measured so far. */
static struct clv_costs costs_so_far(const struct run *run)
{
	const struct clv_calibrated *found = run->calibration->parameter;
	const struct clv_parameter *parameter;
	struct clv_costs costs = { 0 };
	for (unsigned i = 0; (parameter = clv_parameter_at(i)); i++) {
		for (unsigned j = 0; j < CLV_CAL_PARAMETERS; j++) {
			if (strcmp(parameter->name, clv_calibration_name(j)))
				continue;
			double value = found[j].value * (parameter->is_time ? 1000 : 1);
			*(uint64_t *)((char *)&costs + parameter->offset) = (uint64_t)(value + 0.5);
		}
	}
	return costs;
}

static int fit_compute(struct run *run)
{
	struct clv_costs costs = costs_so_far(run);
	double ns[CLV_COMPUTE_KERNELS], misfit;
	size_t rounds = 0;
	unsigned kernels = 0;
	for (unsigned i = 0; i < CLV_COMPUTE_KERNELS; i++) {
		ns[i] = run->calibration->kernel[i].value.median;
		if (!clv_compute_kernel[i].fits)
			continue;
		rounds += run->calibration->kernel[i].rounds;
		kernels++;
	}
	int code = clv_compute_fit(&costs, ns, &misfit, run->error);
	if (code)
		return code;
	const double found[] = { (double)costs.block_ps / 1000, (double)costs.access_ps / 1000 };
	for (unsigned i = 0; i < 2; i++) {
		struct clv_calibrated *parameter = &run->calibration->parameter[CLV_CAL_BLOCK + i];
		parameter->value = parameter->low = parameter->high = found[i];
		parameter->measured = true;
		snprintf(parameter->source, sizeof(parameter->source),
			 "measured: with it, and the others here, the simulated machine takes as long "
			 "for %u kernels as this one, medians of %zu rounds in all; largest misfit "
			 "%.0f %%", kernels, rounds, 100 * misfit);
	}
	return 0;
}

static int measure_compute(struct run *run)
{
	progress(run, "computation");
	int status = clv_probe_compute(run->machine, run->cpu, budget_ns(run, SHARE_COMPUTE),
				       run->calibration->kernel, run->error);
	return status ? status : fit_compute(run);
}

/* ---- the operating system ---- */

static int measure_park(struct run *run)
{
	struct clv_estimate park;
	progress(run, "parking and waking");
	int status = clv_probe_park(run->machine, run->cpu, budget_ns(run, SHARE_PARK), &park,
				    run->error);
	if (status)
		return status;
	set(run, CLV_CAL_PARK, &park, "from a park until another thread of CPU %u runs",
	    os_of(run, run->cpu));
	/* The farthest: of two CPUs taken by chance the likeliest distance. */
	unsigned d = CLV_DISTANCES;
	while (d && !run->pairs[d - 1])
		d--;
	if (!d)
		return 0;
	const struct pair *pair = &run->pair[d - 1][0];
	struct clv_park_costs costs;
	status = clv_probe_wake(run->machine, pair->a, pair->b, budget_ns(run, SHARE_WAKE), &costs,
				run->error);
	if (status)
		return status;
	set(run, CLV_CAL_WAKE, &costs.wake, "for CPU %u, waking a thread asleep on CPU %u",
	    os_of(run, pair->a), os_of(run, pair->b));
	set(run, CLV_CAL_WAKE_LATENCY, &costs.wake_latency,
	    "from the call on CPU %u until the thread on CPU %u runs", os_of(run, pair->a),
	    os_of(run, pair->b));
	return 0;
}

int clv_calibrate(struct clv_calibration *calibration, struct clv_machine *machine,
		  const struct clv_system *told, const struct clv_calibrate_options *options,
		  struct cleave_error *error)
{
	static int (*const step[])(struct run * run) = {
		measure_caches, measure_memory,	 measure_pairs, measure_smt,
		measure_core,	measure_compute, measure_park,
	};
	struct run run = {
		.calibration = calibration,
		.machine = machine,
		.told = told,
		.options = options,
		.error = error,
		.cpu = options->cpu_a >= 0 ? (unsigned)options->cpu_a : 0,
	};
	clv_calibration_assume(calibration, told);
	choose_pairs(&run);
	for (size_t i = 0; i < sizeof(step) / sizeof(step[0]); i++) {
		int status = step[i](&run);
		if (status)
			return status;
	}
	clv_calibration_order(calibration);
	return 0;
}
