// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "two_threads.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/error.h"
#include "../peers/peers.h"
#include "../report.h"
#include "../validate/native.h"
#include "../validate/series.h"
#include "private_array.h"
#include "report.h"

enum { POPULATION = 6000, WARM_MS = 10, WINDOW_MS = 40, TRIES = 8, MORE_TRIES = 2 };

/* In one piece, for the kernel's trees, or ours of their shape. */
static bool is_kernels(const struct cleave_structure *structure)
{
	return !strncmp(structure->name, "kernel_interval_tree", strlen("kernel_interval_tree")) ||
	       !strcmp(structure->name, "rb_vma") || !strcmp(structure->name, "rb_interval");
}

static void add(struct clv_gains *gains, const struct cleave_structure *structure,
		const char *rest)
{
	struct clv_gain *gain = &gains->gain[gains->count++];
	gain->structure = structure;
	snprintf(gain->design, sizeof(gain->design), "%s%s", structure->name, rest);
}

static int make_list(struct clv_gains *gains, const struct clv_table_settings *settings)
{
	unsigned structures = settings->structures;
	gains->gain = calloc(2 * structures, sizeof(*gains->gain));
	if (!gains->gain)
		return -ENOMEM;
	for (unsigned i = 0; i < structures; i++) {
		const struct cleave_structure *structure = settings->structure[i];
		bool ours = structure == &clv_private_array || (!clv_peer_is(structure) &&
			    !(structure->flags & (CLEAVE_SINK | CLEAVE_UNRANKED)));
		if (structure->kind == CLEAVE_CONCURRENT)
			add(gains, structure, "@cpu1/free");
		if (ours || is_kernels(structure))
			add(gains, structure, "@cpu1/each:rwsem");
		if (is_kernels(structure))
			add(gains, structure, "/one:pthread_rwlock");
	}
	for (unsigned i = 0; i < gains->count; i++) {
		gains->gain[i].one = calloc(settings->repetitions, sizeof(double));
		gains->gain[i].two = calloc(settings->repetitions, sizeof(double));
		if (!gains->gain[i].one || !gains->gain[i].two)
			return -ENOMEM;
	}
	return 0;
}

/* Returns: 0; -EAGAIN a thread had to wait for its CPU; what running it failed with. */
static int run(struct clv_machine *host, const struct clv_gain *gain, unsigned threads,
	       uint64_t seed, double *ops_per_s, struct cleave_error *error)
{
	const struct clv_native native = {
		.design = gain->design,
		.population = POPULATION,
		.threads = threads,
		.warm_ns = WARM_MS * UINT64_C(1000000),
		.window_ns = WINDOW_MS * UINT64_C(1000000),
		.seed = seed,
	};
	double stolen;
	int code = clv_native_run(host, &native, ops_per_s, &stolen, error);
	return code ? code : *ops_per_s <= 0 || stolen > CLV_STOLEN_SHARE ? -EAGAIN : 0;
}

/*
 * One thread, then two. What is too often disturbed has no figure of this round: 0; and once that was
 * so, others are not tried for as long.
 */
static void repeat(struct clv_machine *host, struct clv_gain *gain, unsigned repetition,
		   uint64_t seed)
{
	struct cleave_error error = { "" };
	unsigned tries = gain->disturbed ? MORE_TRIES : TRIES;
	int code = -EAGAIN;
	if (gain->invalid)
		return;
	for (unsigned i = 0; code == -EAGAIN && i < tries; i++) {
		code = run(host, gain, 1, seed, &gain->one[repetition], &error);
		if (!code)
			code = run(host, gain, 2, seed, &gain->two[repetition], &error);
	}
	if (code)
		gain->one[repetition] = gain->two[repetition] = 0;
	gain->disturbed |= code == -EAGAIN;
	if (code && code != -EAGAIN) {
		gain->invalid = true;
		snprintf(gain->why, sizeof(gain->why), "%s",
			 error.text[0] ? error.text : strerror(-code));
	}
}

/* Of the rounds that both have. Returns: how many. */
static unsigned collect(const struct clv_gain *gain, const struct clv_gain *floor,
			unsigned repetitions, double *work)
{
	unsigned count = 0;
	for (unsigned i = 0; i < repetitions; i++) {
		if (gain->two[i] <= 0 || (floor && floor->two[i] <= 0))
			continue;
		work[count] = gain->two[i] / gain->one[i];
		if (floor)
			work[count] /= floor->two[i] / floor->one[i];
		count++;
	}
	return count;
}

static int median_of(const double *value, unsigned repetitions, double *work,
		     struct clv_interval *interval)
{
	unsigned count = 0;
	for (unsigned i = 0; i < repetitions; i++) {
		if (value[i] > 0)
			work[count++] = value[i];
	}
	return clv_stats_median(work, count, interval);
}

static int compare(struct clv_gains *gains, unsigned repetitions)
{
	double *work = calloc(repetitions, sizeof(*work));
	const struct clv_gain *floor = NULL;
	int code = work ? 0 : -ENOMEM;
	for (unsigned i = 0; i < gains->count; i++) {
		if (gains->gain[i].structure == &clv_private_array)
			floor = &gains->gain[i];
	}
	for (unsigned i = 0; !code && i < gains->count; i++) {
		struct clv_gain *gain = &gains->gain[i];
		gain->done = gain->invalid ? 0 : collect(gain, NULL, repetitions, work);
		if (!gain->done)
			continue;
		code = clv_stats_median(work, gain->done, &gain->gain);
		if (!code)
			code = median_of(gain->one, repetitions, work, &gain->rate_one);
		if (!code)
			code = median_of(gain->two, repetitions, work, &gain->rate_two);
		unsigned both = floor ? collect(gain, floor, repetitions, work) : 0;
		gain->has_share = both > 0;
		if (!code && both)
			code = clv_stats_median(work, both, &gain->share);
	}
	free(work);
	return code;
}

int clv_gains_make(struct clv_gains *gains, const struct clv_table_settings *settings,
		   struct clv_machine *host, void (*progress)(const char *design, double done),
		   struct cleave_error *error)
{
	*gains = (struct clv_gains){ 0 };
	int code = make_list(gains, settings);
	for (unsigned r = 0; !code && r < settings->repetitions; r++) {
		for (unsigned i = 0; i < gains->count; i++) {
			if (progress)
				progress(gains->gain[i].design,
					 (double)(r * gains->count + i) /
						 (settings->repetitions * gains->count));
			repeat(host, &gains->gain[i], r, settings->seed + r);
		}
	}
	if (!code)
		code = compare(gains, settings->repetitions);
	return code ? clv_error(error, code, "two threads: %s", strerror(-code)) : 0;
}

void clv_gains_fini(struct clv_gains *gains)
{
	for (unsigned i = 0; i < gains->count; i++) {
		free(gains->gain[i].one);
		free(gains->gain[i].two);
	}
	free(gains->gain);
}

/* ---- what is said ---- */

static void print_share(FILE *out, const struct clv_interval *interval)
{
	if (interval->confidence > 0)
		fprintf(out, "  %5.2f [%.2f, %.2f]", interval->median, interval->low,
			interval->high);
	else
		fprintf(out, "  %5.2f%14s", interval->median, "");
}

void clv_gains_print(FILE *out, const struct clv_gains *gains)
{
	int width = 0;
	for (unsigned i = 0; i < gains->count; i++) {
		int length = (int)strlen(gains->gain[i].design);
		width = length > width ? length : width;
	}
	fprintf(out, "\nTwo threads: A, %d intervals, pairs-libc; two private arrays are all that "
		     "two CPUs give\n%-*s %-6s %9s %9s  %-19s  %s\n", POPULATION, width, "", "",
		"1, op/s", "2, op/s", " gain", " of the arrays'");
	for (unsigned i = 0; i < gains->count; i++) {
		const struct clv_gain *gain = &gains->gain[i];
		char one[32], two[32];
		fprintf(out, "%-*s %-6s", width, gain->design, clv_measure_role(gain->structure));
		if (!gain->done) {
			fprintf(out, " %s: %s\n", gain->invalid ? "NOT VALID" : "not measured",
				gain->invalid ? gain->why : "its threads had to wait for CPUs");
			continue;
		}
		clv_format_number(one, sizeof(one), gain->rate_one.median / 1e6);
		clv_format_number(two, sizeof(two), gain->rate_two.median / 1e6);
		fprintf(out, " %8sM %8sM", one, two);
		print_share(out, &gain->gain);
		if (gain->has_share)
			print_share(out, &gain->share);
		fprintf(out, "\n");
	}
}

json_t *clv_gains_json(const struct clv_gains *gains)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < gains->count; i++) {
		const struct clv_gain *gain = &gains->gain[i];
		json_t *object = json_pack("{s:s, s:s, s:s, s:i, s:b, s:i}", "design", gain->design,
					   "structure", gain->structure->name, "role",
					   clv_measure_role(gain->structure), "population",
					   POPULATION, "valid", !gain->invalid, "rounds",
					   (int)gain->done);
		if (gain->invalid)
			json_object_set_new(object, "why", json_string(gain->why));
		if (gain->done) {
			json_object_set_new(object, "ops_per_s_1",
					    clv_interval_json(&gain->rate_one));
			json_object_set_new(object, "ops_per_s_2",
					    clv_interval_json(&gain->rate_two));
			json_object_set_new(object, "gain", clv_interval_json(&gain->gain));
		}
		if (gain->has_share)
			json_object_set_new(object, "of_private_arrays",
					    clv_interval_json(&gain->share));
		json_array_append_new(array, object);
	}
	return array;
}
