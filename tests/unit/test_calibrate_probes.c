// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "harness/calibrate/calibration.h"
#include "harness/calibrate/system.h"
#include "harness/machine/host.h"

/* ---- the probes: that they run and are plausible as numbers, not how large they are ---- */

#define BUDGET_NS UINT64_C(2000000)

static struct clv_machine *open_host(void)
{
	struct clv_machine *machine;
	struct cleave_error error;
	cr_assert_eq(clv_machine_open_host(&machine, &error), 0, "%s", error.text);
	return machine;
}

static void check_estimate(const struct clv_estimate *estimate, const char *what)
{
	cr_assert_gt(estimate->rounds, 0, "%s", what);
	cr_assert(isfinite(estimate->value.median), "%s", what);
	cr_assert_leq(estimate->value.low, estimate->value.median, "%s", what);
	cr_assert_geq(estimate->value.high, estimate->value.median, "%s", what);
	cr_assert_leq(estimate->low90, estimate->high90, "%s", what);
}

Test(probes, one_cpu)
{
	struct clv_machine *machine = open_host();
	struct cleave_error error;
	struct clv_core_costs core;
	struct clv_load_costs load;
	struct clv_estimate round[CLV_COMPUTE_KERNELS], park;
	const unsigned last = machine->topology->cpus - 1;

	cr_assert_eq(clv_probe_core(machine, last, BUDGET_NS, &core, &error), 0, "%s", error.text);
	check_estimate(&core.atomic, "atomic");
	check_estimate(&core.fence, "fence");
	check_estimate(&core.pause, "pause");
	check_estimate(&core.clock, "clock");
	check_estimate(&core.mispredict, "mispredict");
	check_estimate(&core.alloc, "alloc");
	cr_assert_eq(clv_probe_load(machine, last, 0, 1 << 16, true, BUDGET_NS, &load, &error), 0,
		     "%s", error.text);
	check_estimate(&load.load, "load");
	check_estimate(&load.outstanding, "outstanding");
	cr_assert(load.chains >= 1 && load.bytes == 1 << 16);
	cr_assert_eq(clv_probe_compute(machine, last, BUDGET_NS, round, &error), 0, "%s",
		     error.text);
	for (unsigned i = 0; i < CLV_COMPUTE_KERNELS; i++)
		check_estimate(&round[i], clv_compute_kernel[i].name);
	cr_assert_eq(clv_probe_park(machine, last, BUDGET_NS, &park, &error), 0, "%s", error.text);
	check_estimate(&park, "park");
	machine->close(machine);
}

/* On a busy machine every round may be dropped. */
static bool is_fine(int code, const struct cleave_error *error)
{
	cr_assert(code == 0 || (code == -EAGAIN && strstr(error->text, "moved in every round")),
		  "%d: %s", code, error->text);
	return code == 0;
}

Test(probes, two_cpus)
{
	struct clv_machine *machine = open_host();
	struct cleave_error error;
	struct clv_pair_costs pair;
	struct clv_park_costs park;
	struct clv_estimate one;

	if (machine->topology->cpus < 2) {
		machine->close(machine);
		cr_skip_test("needs two CPUs");
	}
	if (is_fine(clv_probe_pair(machine, 1, 0, BUDGET_NS, &pair, &error), &error)) {
		check_estimate(&pair.read, "read");
		check_estimate(&pair.write, "write");
		check_estimate(&pair.upgrade, "upgrade");
		check_estimate(&pair.atomic, "atomic");
		check_estimate(&pair.again, "again");
		check_estimate(&pair.claim, "claim");
		cr_assert(pair.read.referenced);
		cr_assert_eq(pair.read.rounds, pair.upgrade.rounds);
	}
	if (is_fine(clv_probe_pair_read(machine, 0, 1, BUDGET_NS, &one, &error), &error))
		check_estimate(&one, "read alone");
	if (is_fine(clv_probe_pair_ping(machine, 0, 1, BUDGET_NS, &one, &error), &error))
		check_estimate(&one, "ping");
	cr_assert_eq(clv_probe_wake(machine, 0, 1, BUDGET_NS, &park, &error), 0, "%s", error.text);
	check_estimate(&park.wake, "wake");
	check_estimate(&park.wake_latency, "wake latency");
	/* Not siblings, most likely: then it takes as long as alone. */
	int code = clv_probe_smt(machine, 0, 1, BUDGET_NS, &one, &error);
	cr_assert(code == 0 || code == -EAGAIN, "%d: %s", code, error.text);
	if (!code)
		check_estimate(&one, "smt");
	machine->close(machine);
}

/* ---- all of it ---- */

/* With small caches, so that it is soon done. Order holds among distances, whatever was measured.
 */
Test(calibration, whole)
{
	static struct clv_calibration calibration;
	struct clv_machine *machine = open_host();
	struct clv_system told = { .cache = { { 1 << 15, 8 }, { 1 << 17, 8 }, { 1 << 20, 16 } } };
	const struct clv_calibrate_options options = { .seconds = 0.05, .cpu_a = -1, .cpu_b = -1 };
	struct cleave_error error;

	cr_assert_eq(clv_calibrate(&calibration, machine, &told, &options, &error), 0, "%s",
		     error.text);
	cr_assert_eq(calibration.parameter[CLV_CAL_L3_BYTES].value, 1 << 20);
	cr_assert(calibration.parameter[CLV_CAL_L3].measured);
	cr_assert(calibration.parameter[CLV_CAL_MEMORY].measured);
	cr_assert(calibration.parameter[CLV_CAL_PARK].measured);
	cr_assert(!calibration.parameter[CLV_CAL_WINDOW].measured);
	double outstanding = calibration.parameter[CLV_CAL_OUTSTANDING].value;
	cr_assert_eq(outstanding, floor(outstanding));
	for (unsigned i = 0; i < CLV_CAL_PARAMETERS; i++) {
		const struct clv_calibrated *one = &calibration.parameter[i];
		bool by_hwloc = strstr(one->source, "(hwloc)");
		const char *start =
			by_hwloc ? "told: " : one->measured ? "measured: " : "assumed: ";
		cr_assert(!strncmp(one->source, start, strlen(start)), "%s: %s",
			  clv_calibration_name(i), one->source);
		cr_assert(one->value >= 0 && isfinite(one->value), "%s", clv_calibration_name(i));
	}
	cr_assert(calibration.parameter[CLV_CAL_BLOCK].measured);
	cr_assert(calibration.parameter[CLV_CAL_ACCESS].measured);
	machine->close(machine);
}

/*
 * A machine with every distance, whose CPUs are this one's first two in turn: all probes run, for
 * all distances, though what they measure is the same pair.
 */
struct disguise {
	struct clv_machine machine;
	struct clv_machine *host;
	unsigned singles, pairs;
};

static int run_disguised(struct clv_machine *machine, const struct clv_plan *plan,
			 struct cleave_error *error)
{
	struct disguise *disguise = (struct disguise *)machine;
	const unsigned cpu[] = { 0, 1 };
	struct clv_plan real = *plan;

	cr_assert(plan->threads == 1 || plan->threads == 2);
	for (unsigned i = 0; i < plan->threads; i++)
		cr_assert_lt(plan->cpu_index[i], machine->topology->cpus);
	*(plan->threads == 1 ? &disguise->singles : &disguise->pairs) += 1;
	if (plan->threads == 1 || plan->cpu_index[0] != plan->cpu_index[1])
		real.cpu_index = cpu;
	return disguise->host->run(disguise->host, &real, error);
}

Test(calibration, every_distance)
{
	static struct clv_calibration calibration;
	static const char text[] = "pack:2 numa:2 l3:2 core:2 pu:2";
	struct disguise disguise = { .host = open_host() };
	struct clv_system told = { .cache = { { 1 << 15, 8 }, { 1 << 17, 8 }, { 1 << 20, 16 } } };
	const struct clv_calibrate_options options = { .seconds = 0.1, .cpu_a = -1, .cpu_b = -1 };
	struct cleave_error error;
	struct clv_topology *topology;
	unsigned dropped = 0;

	if (disguise.host->topology->cpus < 2) {
		disguise.host->close(disguise.host);
		cr_skip_test("needs two CPUs");
	}
	cr_assert_eq(clv_topology_load(&topology, text, &error), 0, "%s", error.text);
	disguise.machine = (struct clv_machine) { .topology = topology,
						  .topology_source = text,
						  .run = run_disguised };
	cr_assert_eq(clv_calibrate(&calibration, &disguise.machine, &told, &options, &error), 0,
		     "%s", error.text);
	for (unsigned i = CLV_CAL_MEMORY; i < CLV_CAL_REQUEST; i++) {
		const struct clv_calibrated *one = &calibration.parameter[i];
		/* Measured, or all rounds were dropped; which was looked at is in the source. */
		dropped += !one->measured;
		cr_assert(one->measured || strstr(one->source, "the reference moved"), "%s: %s",
			  clv_calibration_name(i), one->source);
	}
	cr_assert_lt(dropped, CLV_CAL_REQUEST - CLV_CAL_MEMORY, "a very busy machine");
	cr_assert(calibration.parameter[CLV_CAL_SMT].measured ||
		  strstr(calibration.parameter[CLV_CAL_SMT].source, "the reference moved"));
	/* 16 pairs each of 16 siblings, 8 of one L3, 16 of one node, 16 and 16; two probes each. */
	cr_assert_eq(disguise.pairs, 2 * (16 + 8 + 16 + 16 + 16) + 3, "%u", disguise.pairs);
	clv_topology_free(topology);
	disguise.host->close(disguise.host);
}
