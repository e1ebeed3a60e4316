// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <criterion/criterion.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/calibrate/calibration.h"
#include "harness/calibrate/compute_simulated.h"
#include "harness/calibrate/system.h"
#include "lib/error.h"
#include "lib/topology.h"

/* ---- kernels ---- */

static unsigned kernel_called(const char *name)
{
	for (unsigned i = 0; i < CLV_COMPUTE_KERNELS; i++) {
		if (!strcmp(clv_compute_kernel[i].name, name))
			return i;
	}
	cr_assert_fail("no kernel %s", name);
	return 0;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* The content is xorshift64's: made again here, sorted by the C library. */
Test(compute, sorts)
{
	static struct clv_compute state;
	uint32_t expected[CLV_COMPUTE_SORTED];

	clv_compute_begin(&state, 7);
	for (unsigned round = 0; round < 50; round++) {
		uint64_t x = state.random;
		for (unsigned i = 0; i < CLV_COMPUTE_SORTED; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			expected[i] = (uint32_t)x;
		}
		qsort(expected, CLV_COMPUTE_SORTED, sizeof(expected[0]), compare_u32);
		clv_compute_kernel[kernel_called("sort")].run(&state, 1);
		cr_assert_arr_eq(state.sorted, expected, sizeof(expected), "round %u", round);
		cr_assert_eq(state.result, expected[CLV_COMPUTE_SORTED / 2]);
		cr_assert_eq(state.random, x);
	}
}

/* Kinds are 0 1 2 0 1 2 0 1 over and over. */
Test(compute, records)
{
	static struct clv_compute state;

	clv_compute_begin(&state, 1);
	clv_compute_kernel[kernel_called("records")].run(&state, 3);
	cr_assert_eq(state.done.count, 3 * CLV_COMPUTE_RECORDS);
	cr_assert_eq(state.done.kept, 3 * CLV_COMPUTE_RECORDS / 8 * 3);
	cr_assert_eq(state.done.moved, 3 * CLV_COMPUTE_RECORDS / 8 * 3);
	/* 1 has moved by three times its number; last - first stayed. */
	cr_assert(state.record[1].first >= 4 && state.record[1].last == state.record[1].first + 1);
	cr_assert_eq(state.result, state.done.sum);
}

/* Half of what is sought is there; afterwards nothing is. */
Test(compute, table)
{
	static struct clv_compute state;

	clv_compute_begin(&state, 1);
	for (unsigned round = 0; round < 3; round++) {
		clv_compute_kernel[kernel_called("table")].run(&state, 1);
		cr_assert_eq(state.result, CLV_COMPUTE_TABLE / 2);
		for (unsigned i = 0; i < CLV_COMPUTE_TABLE; i++)
			cr_assert_eq(state.table[i], 0);
	}
}

Test(compute, list)
{
	static struct clv_compute state;
	uint64_t sum = 0;

	clv_compute_begin(&state, 3);
	for (unsigned i = 0; i < CLV_COMPUTE_LIST; i++)
		sum += state.list[i].value;
	clv_compute_kernel[kernel_called("list")].run(&state, 3);
	cr_assert_eq(state.result, sum);
	cr_assert_neq(sum, 0);
}

/* ---- rounds ---- */

Test(estimate, the_rule)
{
	cr_assert(clv_estimate_steady(100, 100));
	cr_assert(clv_estimate_steady(100, 120) && clv_estimate_steady(120, 100));
	cr_assert(!clv_estimate_steady(100, 121) && !clv_estimate_steady(121, 100));
	cr_assert(!clv_estimate_steady(20, 62) && !clv_estimate_steady(62, 20));
}

/* Rounds that the placement moved in say 1,000; the others their own number. */
Test(estimate, drops_rounds_in_which_the_reference_moved)
{
	double value[40], before[40], after[40];
	struct clv_estimate estimate;

	for (unsigned i = 0; i < 40; i++) {
		bool moved = i % 4 == 3;
		value[i] = moved ? 1000 : i;
		before[i] = i < 20 ? 20 : 62;
		after[i] = moved ? 82 - before[i] : before[i] * 1.1;
	}
	cr_assert_eq(clv_estimate_make(&estimate, value, before, after, 40), 0);
	cr_assert_eq(estimate.rounds, 30);
	cr_assert_eq(estimate.dropped, 10);
	cr_assert_eq(estimate.value.median, 19); /* 0 1 2 4 5 6 ... 36 37 38: of 18 and 20 */
	cr_assert_lt(estimate.value.low, 19);
	cr_assert_gt(estimate.value.high, 19);
	cr_assert_lt(estimate.high90, 1000);
	cr_assert_geq(estimate.value.confidence, 0.95);

	cr_assert_eq(clv_estimate_make(&estimate, value, NULL, NULL, 40), 0);
	cr_assert_eq(estimate.rounds, 40);
	cr_assert_eq(estimate.dropped, 0);
	cr_assert_eq(estimate.high90, 1000);
}

Test(estimate, nothing_left)
{
	const double value[] = { 1, 2 }, before[] = { 20, 62 }, after[] = { 62, 20 };
	struct clv_estimate estimate;

	cr_assert_eq(clv_estimate_make(&estimate, value, before, after, 2), -EAGAIN);
	cr_assert_eq(estimate.rounds, 0);
	cr_assert_eq(estimate.dropped, 2);
	cr_assert_eq(clv_estimate_make(&estimate, value, NULL, NULL, 0), -EAGAIN);
}

Test(estimate, pairs_count_the_same)
{
	struct clv_estimate part[4] = {
		{ .value = { 30, 29, 31, 0.96 },
		  .low90 = 28,
		  .high90 = 33,
		  .rounds = 5,
		  .dropped = 1 },
		{ .value = { 10, 9, 11, 0.96 }, .low90 = 8, .high90 = 12, .rounds = 500 },
		{ .dropped = 7 },
		{ .value = { 20, 19, 21, 0.96 }, .low90 = 18, .high90 = 22, .rounds = 50 },
	};
	struct clv_estimate all;

	cr_assert_eq(clv_estimate_combine(&all, part, 4), 0);
	cr_assert_eq(all.value.median, 20);
	cr_assert_eq(all.value.low, 10);
	cr_assert_eq(all.value.high, 30);
	cr_assert(all.low90 == 8 && all.high90 == 33);
	cr_assert(all.sets == 3 && all.rounds == 555 && all.dropped == 8);
	/* Of one, its own interval. */
	cr_assert_eq(clv_estimate_combine(&all, part + 2, 2), 0);
	cr_assert(all.sets == 1 && all.value.low == 19 && all.value.high == 21 && all.dropped == 7);
	cr_assert_eq(clv_estimate_combine(&all, part + 2, 1), -EAGAIN);
	cr_assert_eq(all.dropped, 7);
}

/* ---- what computing costs ---- */

/* Times that the simulated machine made are led back to what it made them of. */
Test(compute_fit, finds_what_it_was)
{
	static const uint64_t made_of[][2] = { { 740, 190 }, { 250, 400 }, { 1500, 100 } };
	struct clv_model *model;
	struct cleave_error error = { "" };
	cr_assert_eq(clv_model_load(&model, "naples-2s128", &error), 0, "%s", error.text);
	for (unsigned i = 0; i < sizeof(made_of) / sizeof(made_of[0]); i++) {
		double ns[CLV_COMPUTE_KERNELS], misfit;
		struct clv_costs costs = model->costs;
		costs.block_ps = made_of[i][0];
		costs.access_ps = made_of[i][1];
		cr_assert_eq(clv_compute_simulated_ns(&costs, ns, &error), 0, "%s", error.text);
		costs.block_ps = costs.access_ps = 1;
		cr_assert_eq(clv_compute_fit(&costs, ns, &misfit, &error), 0, "%s", error.text);
		cr_assert(misfit < 0.05, "%g", misfit);
		cr_assert(fabs((double)costs.block_ps / (double)made_of[i][0] - 1) < 0.1, "%d",
			  (int)costs.block_ps);
	}
	clv_model_free(model);
}

Test(compute_fit, refuses_no_time)
{
	const double ns[CLV_COMPUTE_KERNELS] = { 1, 0, 1, 1 };
	struct clv_costs costs = { 0 };
	struct cleave_error error = { "" };
	double misfit;
	cr_assert_eq(clv_compute_fit(&costs, ns, &misfit, &error), -EINVAL);
	cr_assert_str_eq(error.text, "calibrate: a kernel that takes no time: records");
}

/* ---- distances ---- */

Test(calibration, distances)
{
	struct clv_topology *topology;
	struct cleave_error error;
	/* 2 packages of 2 nodes of 2 L3s of 2 cores of 2 CPUs. */
	cr_assert_eq(clv_topology_load(&topology, "pack:2 numa:2 l3:2 core:2 pu:2", &error), 0,
		     "%s", error.text);
	cr_assert_eq(clv_calibration_distance(topology, 0, 1), CLV_DIST_CORE);
	cr_assert_eq(clv_calibration_distance(topology, 0, 2), CLV_DIST_L3);
	cr_assert_eq(clv_calibration_distance(topology, 0, 4), CLV_DIST_NODE);
	cr_assert_eq(clv_calibration_distance(topology, 0, 8), CLV_DIST_PACKAGE);
	cr_assert_eq(clv_calibration_distance(topology, 31, 0), CLV_DIST_REMOTE);
	clv_topology_free(topology);
}

/* What is measured stays; what is assumed is no nearer's less, and no farther's more. */
Test(calibration, order_of_distances)
{
	static struct clv_calibration calibration;
	static const struct clv_system told;
	struct clv_calibrated *read = &calibration.parameter[CLV_CAL_READ];
	struct clv_calibrated *upgrade = &calibration.parameter[CLV_CAL_UPGRADE];
	const struct clv_calibrated *write = &calibration.parameter[CLV_CAL_WRITE];
	const struct clv_calibrated *memory = &calibration.parameter[CLV_CAL_MEMORY];
	const double assumed_write = (clv_calibration_assume(&calibration, &told), write[2].value);

	read[CLV_DIST_L3].value = 170;
	read[CLV_DIST_L3].measured = true;
	upgrade[CLV_DIST_L3].value = 5;
	upgrade[CLV_DIST_L3].measured = true;
	calibration.parameter[CLV_CAL_MEMORY].value = 1000;
	calibration.parameter[CLV_CAL_MEMORY].measured = true;
	clv_calibration_order(&calibration);
	cr_assert_eq(read[CLV_DIST_L3].value, 170);
	cr_assert_eq(read[CLV_DIST_NODE].value, 170);
	cr_assert_eq(read[CLV_DIST_PACKAGE].value, 170);
	cr_assert(strstr(read[CLV_DIST_NODE].source, "keep the order"));
	cr_assert(!read[CLV_DIST_NODE].measured);
	cr_assert_gt(read[CLV_DIST_REMOTE].value, 170);
	cr_assert_lt(read[CLV_DIST_CORE].value, 170);
	cr_assert_eq(upgrade[CLV_DIST_CORE].value, 5);
	cr_assert_gt(upgrade[CLV_DIST_NODE].value, 5);
	cr_assert_eq(write[2].value, assumed_write);
	cr_assert(!strstr(write[2].source, "keep the order"));
	cr_assert(memory[1].value == 1000 && memory[2].value == 1000);
}

/* ---- the file ---- */

/* struct clv_costs, in its order. */
static const char *const expected_name[] = {
	"l1_bytes",
	"l1_ways",
	"l2_bytes",
	"l2_ways",
	"l3_bytes",
	"l3_ways",
	"l1_ns",
	"l2_ns",
	"l3_ns",
	"memory_ns.node",
	"memory_ns.package",
	"memory_ns.remote",
	"read_ns.core",
	"read_ns.l3",
	"read_ns.node",
	"read_ns.package",
	"read_ns.remote",
	"write_ns.core",
	"write_ns.l3",
	"write_ns.node",
	"write_ns.package",
	"write_ns.remote",
	"upgrade_ns.core",
	"upgrade_ns.l3",
	"upgrade_ns.node",
	"upgrade_ns.package",
	"upgrade_ns.remote",
	"read_takes.core",
	"read_takes.l3",
	"read_takes.node",
	"read_takes.package",
	"read_takes.remote",
	"request_percent",
	"invalidate_ns",
	"share_ns",
	"home_ns",
	"block_ns",
	"access_ns",
	"mispredict_ns",
	"atomic_ns",
	"atomic_overlaps",
	"fence_ns",
	"pause_ns",
	"clock_ns",
	"outstanding",
	"window",
	"store_buffer",
	"smt_percent",
	"park_ns",
	"wake_ns",
	"wake_latency_ns",
	"alloc_ns",
};
enum { EXPECTED = sizeof(expected_name) / sizeof(expected_name[0]) };

struct folder {
	char path[64];
	char file[96], xml[96];
};

static struct folder make_folder(void)
{
	struct folder folder;
	strcpy(folder.path, "/tmp/cleave-calibrate-XXXXXX");
	cr_assert(mkdtemp(folder.path));
	snprintf(folder.file, sizeof(folder.file), "%s/here.json", folder.path);
	snprintf(folder.xml, sizeof(folder.xml), "%s/here.xml", folder.path);
	return folder;
}

static void check_file(const char *path)
{
	json_error_t at;
	json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &at);
	cr_assert(file, "%s: %d: %s", path, at.line, at.text);
	cr_assert_str_eq(json_string_value(json_object_get(file, "format")), "cleave-machine");
	cr_assert_eq(json_integer_value(json_object_get(file, "format_version")), 1);
	cr_assert_str_eq(json_string_value(json_object_get(file, "name")), "here");
	cr_assert_str_eq(json_string_value(json_object_get(file, "summary")), "a test's");
	cr_assert_eq(json_integer_value(json_object_get(file, "revision")), 1);
	cr_assert_str_eq(json_string_value(json_object_get(file, "topology")), "here.xml");
	json_t *parameters = json_object_get(file, "parameters");
	cr_assert_eq(json_object_size(parameters), EXPECTED);
	for (unsigned i = 0; i < EXPECTED; i++) {
		json_t *one = json_object_get(parameters, expected_name[i]);
		cr_assert(json_is_number(json_object_get(one, "value")), "%s", expected_name[i]);
		const char *source = json_string_value(json_object_get(one, "source"));
		cr_assert(source && (!strncmp(source, "measured: ", 10) ||
				     !strncmp(source, "told: ", 6) ||
				     !strncmp(source, "assumed: ", 9)),
			  "%s", expected_name[i]);
		cr_assert_eq(json_object_size(one), 2);
	}
	json_decref(file);
}

Test(calibration, file)
{
	static struct clv_calibration calibration;
	struct folder folder = make_folder();
	struct clv_system told;
	struct cleave_error error;
	struct clv_topology *here, *read;

	cr_assert_eq(CLV_CAL_PARAMETERS, EXPECTED);
	for (unsigned i = 0; i < EXPECTED; i++)
		cr_assert_str_eq(clv_calibration_name(i), expected_name[i]);
	cr_assert_eq(clv_topology_load(&here, NULL, &error), 0, "%s", error.text);
	cr_assert_eq(clv_system_read(&told, here->cpu[0].os, &error), 0, "%s", error.text);
	clv_calibration_assume(&calibration, &told);
	calibration.parameter[CLV_CAL_L1].value = 1.0 / 3;
	cr_assert_eq(clv_calibration_check_path(folder.file, &error), 0, "%s", error.text);
	cr_assert_eq(clv_calibration_write(&calibration, &told, "a test's", folder.file, &error), 0,
		     "%s", error.text);
	check_file(folder.file);
	json_t *file = json_load_file(folder.file, 0, NULL);
	json_t *l1 = json_object_get(json_object_get(json_object_get(file, "parameters"), "l1_ns"),
				     "value");
	cr_assert_eq(json_number_value(l1), 0.3333);
	json_decref(file);
	cr_assert_eq(clv_topology_load(&read, folder.xml, &error), 0, "%s", error.text);
	cr_assert_eq(read->cpus, here->cpus);
	clv_topology_free(read);
	clv_topology_free(here);
	clv_system_free(&told);
	cr_assert(!unlink(folder.file) && !unlink(folder.xml) && !rmdir(folder.path));
}

/* What cannot be written leaves nothing, the topology included. */
Test(calibration, file_that_cannot_be_written)
{
	static struct clv_calibration calibration;
	struct folder folder = make_folder();
	struct clv_system told = { .xml = "<topology/>", .xml_bytes = 11 };
	struct cleave_error error;

	clv_calibration_assume(&calibration, &told);
	cr_assert(!mkdir(folder.file, 0700));
	cr_assert_lt(clv_calibration_check_path(folder.file, &error), 0);
	cr_assert(strstr(error.text, folder.file), "%s", error.text);
	cr_assert_lt(clv_calibration_write(&calibration, &told, "s", folder.file, &error), 0);
	cr_assert(strstr(error.text, folder.file), "%s", error.text);
	cr_assert(access(folder.xml, F_OK));
	cr_assert(!rmdir(folder.file) && !mkdir(folder.xml, 0700));
	cr_assert_lt(clv_calibration_check_path(folder.file, &error), 0);
	cr_assert_lt(clv_calibration_write(&calibration, &told, "s", folder.file, &error), 0);
	cr_assert(strstr(error.text, folder.xml), "%s", error.text);
	cr_assert(access(folder.file, F_OK));
	cr_assert(!rmdir(folder.xml) && !rmdir(folder.path));
	cr_assert_eq(clv_calibration_check_path("", &error), -EINVAL);
	cr_assert_eq(clv_calibration_check_path("here.xml", &error), -EINVAL);
	static const char *const taken[] = { "host.json", "/tmp/host.json", "hygon-12n384.json",
					     "/tmp/two words.json", "host" };
	for (unsigned i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		cr_assert_eq(clv_calibration_check_path(taken[i], &error), -EINVAL, "%s", taken[i]);
	cr_assert_eq(clv_calibration_check_path("/dev/null", &error), -EINVAL);
}
