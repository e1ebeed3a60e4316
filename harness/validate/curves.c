// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Fetch&Multiply with up to 512 steps of local work on 2 x EPYC 7501: millions of operations a
 * second at 1, 32, 64 and 128 threads, read off a chart of github.com/nkallima/
 * sim-universal-construction, PERFORMANCE.md. The chart says nothing of where the threads were; the
 * simulated ones fill a node's cores, then the next node's, siblings last (cores-first). How many
 * requests a combiner serves in a row is assumed: 10 a thread.
 */
#include "validate.h"

#include <stdio.h>

enum { POINTS = 4, WORK = 512, HELP_EACH = 10 };

static const unsigned threads_at[POINTS] = { 1, 32, 64, 128 };

static const struct curve {
	const char *name;
	enum clv_case which;
	double published[POINTS]; /* M ops/s */
} curves[] = {
	{ "MCS", CLV_CASE_MULTIPLY_MCS, { 0.9, 1.2, 1.2, 1.2 } },
	{ "flat combining", CLV_CASE_MULTIPLY_FLAT, { 0.9, 4.2, 3.7, 3.3 } },
	{ "CC-Synch", CLV_CASE_MULTIPLY_CC, { 0.9, 5.6, 6.8, 7.2 } },
	{ "H-Synch", CLV_CASE_MULTIPLY_H, { 0.9, 5.6, 7.6, 9.9 } },
};
enum { CURVES = sizeof(curves) / sizeof(curves[0]) };

/* The placement that is asked for, and another; no local work, which the model may misjudge. */
static const struct variant {
	const char *name, *placement;
	unsigned work;
} variants[] = {
	{ "cores-first", "cores-first", WORK },
	{ "spread", "spread", WORK },
	{ "no local work", "cores-first", 0 },
};
enum { VARIANTS = sizeof(variants) / sizeof(variants[0]) };

static void print_curve(const struct clv_validation *validation, const struct curve *curve,
			const struct variant *variant, const struct clv_trial *trial)
{
	json_t *rows = clv_validation_rows(validation, "curves");
	printf("%-14s %-13s", curve->name, variant->name);
	for (unsigned i = 0; i < POINTS; i++)
		printf(" %7.2f", trial[i].code ? 0 : trial[i].ops_per_s / 1e6);
	if (variant->work) {
		printf("  ");
		for (unsigned i = 0; i < POINTS; i++)
			printf(" %5.2f", trial[i].ops_per_s / 1e6 / curve->published[i]);
	} else {
		printf("  %24s", "");
	}
	printf("   %.2f\n", trial[1].ops_per_s > 0 ?
				    trial[POINTS - 1].ops_per_s / trial[1].ops_per_s : 0);
	for (unsigned i = 0; i < POINTS; i++) {
		json_t *row = clv_trial_json(&trial[i]);
		json_object_set_new(row, "program", json_string(curve->name));
		json_object_set_new(row, "local_work", json_integer(variant->work));
		json_object_set_new(row, "published_ops_per_s",
				    variant->work ? json_real(curve->published[i] * 1e6) :
						    json_null());
		clv_validation_row(rows, row);
	}
}

int clv_validate_curves(const struct clv_validation *validation)
{
	static struct clv_trial trial[CURVES][VARIANTS][POINTS];
	const char *machine = validation->machine ? validation->machine : "naples-2s128";
	for (unsigned i = 0; i < CURVES; i++) {
		for (unsigned j = 0; j < VARIANTS; j++) {
			for (unsigned k = 0; k < POINTS; k++) {
				struct clv_trial *one = &trial[i][j][k];
				*one = clv_trial_case(machine, curves[i].which, threads_at[k]);
				one->placement = variants[j].placement;
				one->program.work = variants[j].work;
				one->program.help = HELP_EACH * threads_at[k];
				one->window_ns = validation->quick ? 500000 : 5000000;
				one->budget = validation->quick ? 3000000 : 30000000;
			}
		}
	}
	int code = clv_validation_trials(validation, &trial[0][0][0], CURVES * VARIANTS * POINTS,
					 "published curves");
	if (code)
		return code;
	printf("\nPublished curves: Fetch&Multiply on 2 x EPYC 7501, M operations/s, beside %s "
	       "(nothing fitted)\n", machine);
	printf("%-14s %-13s %7s %7s %7s %7s   %-23s   %s\n", "", "", "1", "32", "64", "128",
	       "over published", "128/32");
	for (unsigned i = 0; i < CURVES; i++) {
		printf("%-14s %-13s", curves[i].name, "published");
		for (unsigned k = 0; k < POINTS; k++)
			printf(" %7.2f", curves[i].published[k]);
		printf("  %24s   %.2f\n", "", curves[i].published[POINTS - 1] /
						 curves[i].published[1]);
		for (unsigned j = 0; j < VARIANTS; j++)
			print_curve(validation, &curves[i], &variants[j], trial[i][j]);
	}
	clv_validation_failed(&trial[0][0][0], CURVES * VARIANTS * POINTS);
	return 0;
}
