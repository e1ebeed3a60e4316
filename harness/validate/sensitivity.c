// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Each parameter of the machine file halved and doubled (0 and 1 exchanged where it is a choice),
 * and the load varied: what that does to designs' throughput over the baseline's, and to their
 * order. Runs are short: no time to think, a budget of accesses in which every copy does some
 * execs. What other seeds do by themselves is the noise: what moves no more than that is said to.
 */
#include "validate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/error.h"

static const char *const designs[] = {
	"baseline", "split-trees", "split-locks-node", "rb_vma/one:mcs", "rb_vma@node/one:mcs",
};
enum { DESIGNS = sizeof(designs) / sizeof(designs[0]), VARIATIONS_MAX = 160 };

#define SEED "seed "

struct variation {
	char name[64];
	struct clv_trial trial[DESIGNS];
	double moved; /* the largest factor between a ratio and the base's, either way; 0: none */
	char order[DESIGNS + 1]; /* the fastest first, by letter */
};

struct set {
	const struct clv_validation *validation;
	const char *machine;
	struct variation variation[VARIATIONS_MAX]; /* the first: nothing is varied */
	unsigned n;
	double noise; /* the most that a seed moves */
};

static struct variation *add(struct set *set, const char *name)
{
	if (set->n == VARIATIONS_MAX)
		return NULL;
	struct variation *made = &set->variation[set->n++];
	snprintf(made->name, sizeof(made->name), "%s", name);
	for (unsigned i = 0; i < DESIGNS; i++) {
		made->trial[i] = clv_trial_exec(set->machine, designs[i], 384,
						set->validation->schedule);
		made->trial[i].budget = set->validation->quick ? 4000000 : 27000000;
	}
	return made;
}

static void add_parameter(struct set *set, const char *parameter, double value, bool factor)
{
	char name[64];
	snprintf(name, sizeof(name), "%s %s %g", parameter, factor ? "x" : "=", value);
	struct variation *made = add(set, name);
	for (unsigned i = 0; made && i < DESIGNS; i++)
		clv_trial_tweak(&made->trial[i], parameter, value, factor);
}

/* Half a number of ways, or of misses, may be none; that is refused, and said. */
static int add_parameters(struct set *set)
{
	const struct clv_parameter *parameter;
	struct clv_model *model;
	int code = clv_model_load(&model, set->machine, set->validation->error);
	if (code)
		return code;
	for (unsigned i = 0; (parameter = clv_parameter_at(i)); i++) {
		double value = clv_model_get(model, parameter);
		if (!parameter->is_time && parameter->max == 1) { /* a choice */
			add_parameter(set, parameter->name, value == 0, false);
		} else if (value > 0) {
			add_parameter(set, parameter->name, 0.5, true);
			add_parameter(set, parameter->name, 2, true);
		}
	}
	clv_model_free(model);
	return 0;
}

static void add_load(struct set *set)
{
	struct variation *made = add(set, "think time recorded");
	const char *load;
	CLV_TRIALS_SET(made, think_ns, CLV_THINK_RECORDED);
	for (unsigned i = 0; (load = clv_load_name(i)); i++) {
		made = add(set, load);
		if (made)
			clv_load_set(i, made->trial, DESIGNS);
	}
	made = add(set, "window 4 times as long");
	CLV_TRIALS_SET(made, budget, 4 * set->variation[0].trial[0].budget);
}

static void add_seeds(struct set *set, unsigned last)
{
	char name[64];
	for (unsigned seed = 2; seed <= last; seed++) {
		snprintf(name, sizeof(name), SEED "%u", seed);
		struct variation *made = add(set, name);
		CLV_TRIALS_SET(made, seed, seed);
	}
}

/* With --quick. */
static void add_few(struct set *set)
{
	static const char *const few[] = { "read_ns.remote", "write_ns.remote",
					   "upgrade_ns.remote", "share_ns", "block_ns" };
	for (unsigned i = 0; i < sizeof(few) / sizeof(few[0]); i++)
		add_parameter(set, few[i], 2, true);
}

static double ratio_of(const struct variation *variation, unsigned design)
{
	double base = variation->trial[0].ops_per_s, rate = variation->trial[design].ops_per_s;
	return variation->trial[0].code || variation->trial[design].code || base <= 0 ?
		       0 : rate / base;
}

static void judge(struct variation *variation, const struct variation *base)
{
	bool taken[DESIGNS] = { false };
	variation->moved = 1;
	for (unsigned i = 1; i < DESIGNS; i++) {
		double now = ratio_of(variation, i), was = ratio_of(base, i);
		if (now <= 0 || was <= 0) {
			variation->moved = 0;
			return;
		}
		double factor = now > was ? now / was : was / now;
		variation->moved = factor > variation->moved ? factor : variation->moved;
	}
	for (unsigned place = 0; place < DESIGNS; place++) {
		unsigned best = DESIGNS;
		for (unsigned i = 0; i < DESIGNS; i++) {
			if (!taken[i] && (best == DESIGNS || ratio_of(variation, i) >
								     ratio_of(variation, best)))
				best = i;
		}
		taken[best] = true;
		variation->order[place] = (char)('A' + best);
	}
}

/* Is there a pair whose order is another, by more than the noise? */
static bool reorders(const struct set *set, const struct variation *variation,
		     const struct variation *base)
{
	for (unsigned i = 0; i < DESIGNS; i++) {
		for (unsigned j = 0; j < DESIGNS; j++) {
			if (ratio_of(base, i) >= ratio_of(base, j) &&
			    ratio_of(variation, j) > ratio_of(variation, i) * set->noise)
				return true;
		}
	}
	return false;
}

static int by_moved(const void *a, const void *b)
{
	const struct variation *x = a, *y = b;
	return x->moved < y->moved ? 1 : x->moved > y->moved ? -1 : strcmp(x->name, y->name);
}

static void print_variation(const struct set *set, const struct variation *variation,
			    const struct variation *base)
{
	json_t *rows = clv_validation_rows(set->validation, "sensitivity");
	printf("%-34s %9.1f", variation->name, variation->trial[0].ops_per_s / 1e3);
	for (unsigned i = 1; i < DESIGNS; i++)
		printf(" %8.2f", ratio_of(variation, i));
	printf(" %8.2f  %s%s\n", variation->moved, variation->order,
	       reorders(set, variation, base) ? " order differs" :
	       variation != base && variation->moved <= set->noise ? " noise" : "");
	for (unsigned i = 0; i < DESIGNS; i++) {
		json_t *row = clv_trial_json(&variation->trial[i]);
		json_object_set_new(row, "variation", json_string(variation->name));
		json_object_set_new(row, "moved", json_real(variation->moved));
		clv_validation_row(rows, row);
	}
}

static int run(struct set *set)
{
	unsigned trials = set->n * DESIGNS;
	struct clv_trial *trial = calloc(trials, sizeof(*trial));
	if (!trial)
		return clv_error(set->validation->error, -ENOMEM, "validate: out of memory");
	for (unsigned i = 0; i < trials; i++)
		trial[i] = set->variation[i / DESIGNS].trial[i % DESIGNS];
	int code = clv_validation_trials(set->validation, trial, trials, "sensitivity");
	for (unsigned i = 0; i < trials; i++)
		set->variation[i / DESIGNS].trial[i % DESIGNS] = trial[i];
	free(trial);
	return code;
}

static void print_table(struct set *set)
{
	const struct variation *base = &set->variation[0];
	unsigned reordered = 0;
	set->noise = 1;
	for (unsigned i = 0; i < set->n; i++) {
		struct variation *one = &set->variation[i];
		judge(one, base);
		if (!strncmp(one->name, SEED, strlen(SEED)) && one->moved > set->noise)
			set->noise = one->moved;
	}
	qsort(set->variation + 1, set->n - 1, sizeof(*set->variation), by_moved);
	printf("\nSensitivity: exec on %s, 384 threads, no time to think; baseline's thousand "
	       "operations/s,\nthe others' over it, and by which factor the ratio that moved most "
	       "moved\n", set->machine);
	for (unsigned i = 0; i < DESIGNS; i++)
		printf("%c %s%s", 'A' + i, designs[i], i + 1 < DESIGNS ? ", " : "\n");
	printf("%-34s %9s %8s %8s %8s %8s %8s  order\n", "", "A", "B/A", "C/A", "D/A", "E/A",
	       "moved");
	for (unsigned i = 0; i < set->n; i++) {
		const struct variation *variation = &set->variation[i];
		if (variation->moved == 0) {
			const struct clv_trial *trial = variation->trial;
			unsigned k = 0;
			while (k < DESIGNS - 1 && !trial[k].code)
				k++;
			printf("%-34s refused: %s\n", variation->name, trial[k].why);
			continue;
		}
		print_variation(set, variation, base);
		reordered += reorders(set, variation, base);
	}
	printf("Other seeds alone move a ratio by up to %.2f: noise. %u of %u variations change the "
	       "order of two designs by more.\n", set->noise, reordered, set->n - 1);
}

int clv_validate_sensitivity(const struct clv_validation *validation)
{
	struct set *set = calloc(1, sizeof(*set));
	if (!set)
		return clv_error(validation->error, -ENOMEM, "validate: out of memory");
	set->validation = validation;
	set->machine = validation->machine ? validation->machine : "hygon-12n384";
	int code = 0;
	add(set, "nothing varied");
	add_seeds(set, validation->quick ? 3 : 6);
	if (validation->quick) {
		add_few(set);
	} else {
		add_load(set);
		code = add_parameters(set);
	}
	if (!code)
		code = run(set);
	if (!code)
		print_table(set);
	free(set);
	return code;
}
