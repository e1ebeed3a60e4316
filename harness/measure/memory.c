// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/error.h"
#include "../../lib/map.h"
#include "../report.h"
#include "report.h"
#include "subject.h"

/* As many CPUs as the machine of the question has. */
#define MANY_TOPOLOGY "pack:2 numa:6 l3:4 core:4 pu:2"
enum { MANY_SUBSETS = 384 };
#define FILL_LIMIT_S 5.0
/* Of the pairs: what one may take where it is not slow, and at most all of them together. */
#define PAIR_NS 1000.0
#define CHURN_NS 500e6

static size_t bytes_of(const struct cleave_map *map)
{
	size_t bytes = 0;
	for (unsigned i = 0; i < map->objects; i++)
		bytes += map->structure->memory(map->object[i]);
	return bytes;
}

/* Returns: bytes a subset; negative: it cannot be opened so. */
static double empty_bytes(struct cleave_env *env, const struct cleave_structure *structure,
			  const char *partition, unsigned subsets)
{
	char design[80];
	struct cleave_map *map;
	snprintf(design, sizeof(design), "%s%s/one:none", structure->name, partition);
	if (cleave_open(&map, env, design, NULL))
		return -1;
	double bytes = (double)bytes_of(map) / subsets;
	bytes = cleave_subsets(map) == subsets ? bytes : -1;
	cleave_close(map);
	return bytes;
}

static int measure_one(const struct clv_table_settings *settings,
		       const struct cleave_structure *structure, const struct clv_shape *shape,
		       unsigned population, double *bytes, struct cleave_error *error)
{
	char design[80];
	snprintf(design, sizeof(design), "%s/one:none", structure->name);
	const struct clv_subject_config config = {
		.env = settings->env,
		.design = design,
		.cpu = settings->cpu,
		.shape = shape,
		.count = population,
		.seed = settings->seed,
		.fill_limit_s = FILL_LIMIT_S,
	};
	struct clv_subject *subject;
	struct clv_timing timing;
	double budget_ns = population * PAIR_NS;
	int code = clv_subject_open(&subject, &config, error);
	if (code)
		return code;
	code = clv_subject_pairs(subject, budget_ns < CHURN_NS ? budget_ns : CHURN_NS, &timing,
				 error);
	if (!code)
		code = clv_subject_check(subject, error);
	*bytes = (double)clv_subject_bytes(subject) / population;
	clv_subject_close(subject);
	return code;
}

/*
 * Over ranges that do not overlap all take what they do over others: they are for those that hold no
 * others, unless nothing else was asked for.
 */
static bool is_for(const struct clv_table_settings *settings, const struct clv_shape *shape,
		   const struct cleave_structure *structure)
{
	if (!(structure->keeps & CLEAVE_C5_COMPLETE_AND_SINGLE))
		return shape->disjoint;
	for (unsigned i = 0; shape->disjoint && i < settings->shapes; i++) {
		if (!settings->shape[i]->disjoint)
			return false;
	}
	return true;
}

static int measure_row(const struct clv_table_settings *settings, struct cleave_env *many,
		       struct clv_sizes *row, struct cleave_error *error)
{
	const struct cleave_structure *structure = row->structure;
	unsigned columns = settings->shapes * settings->populations;
	bool slow = false;
	row->bytes = calloc(columns, sizeof(*row->bytes));
	row->why = calloc(columns, sizeof(*row->why));
	if (!row->bytes || !row->why)
		return clv_error(error, -ENOMEM, "out of memory");
	row->empty_one = empty_bytes(settings->env, structure, "", 1);
	row->empty_many = empty_bytes(many, structure, "@cpu1", MANY_SUBSETS);
	for (unsigned i = 0; i < columns; i++) {
		const struct clv_shape *shape = settings->shape[i / settings->populations];
		unsigned population = settings->population[i % settings->populations];
		slow = slow && i % settings->populations; /* then more are, too */
		row->bytes[i] = -1;
		row->why[i] = slow ? "slow" : is_for(settings, shape, structure) ? NULL : "-";
		if (row->why[i])
			continue;
		int code = measure_one(settings, structure, shape, population, &row->bytes[i],
				       error);
		slow = code == -ETIME;
		if (slow || code == -ERANGE)
			row->why[i] = slow ? "slow" : "bounds";
		else if (code)
			return code;
	}
	return 0;
}

int clv_sizes_make(struct clv_sizes **made, const struct clv_table_settings *settings,
		   void (*progress)(const char *structure, double done),
		   struct cleave_error *error)
{
	const struct cleave_env_options options = { .topology = MANY_TOPOLOGY };
	struct clv_sizes *sizes = calloc(settings->structures, sizeof(*sizes));
	struct cleave_env *many = NULL;
	int code = sizes ? cleave_env_open(&many, &options, error) :
			   clv_error(error, -ENOMEM, "out of memory");
	for (unsigned i = 0; !code && i < settings->structures; i++) {
		struct cleave_error why = { "" };
		sizes[i].structure = settings->structure[i];
		if (progress)
			progress(sizes[i].structure->name, (double)i / settings->structures);
		code = measure_row(settings, many, &sizes[i], &why);
		if (code)
			clv_error(error, code, "memory: %s: %.180s", sizes[i].structure->name,
				  why.text);
	}
	if (many)
		cleave_env_close(many);
	if (code && sizes)
		clv_sizes_free(sizes, settings);
	else
		*made = sizes;
	return code;
}

void clv_sizes_free(struct clv_sizes *sizes, const struct clv_table_settings *settings)
{
	for (unsigned i = 0; i < settings->structures; i++) {
		free(sizes[i].bytes);
		free(sizes[i].why);
	}
	free(sizes);
}

/* ---- what is said ---- */

static void print_bytes(FILE *out, int width, double bytes, const char *why)
{
	char text[32];
	if (bytes < 0)
		snprintf(text, sizeof(text), "%s", why ? why : "-");
	else if (bytes < 0.005)
		snprintf(text, sizeof(text), "0");
	else
		clv_format_number(text, sizeof(text), bytes);
	fprintf(out, " %*s", width, text);
}

static void print_shape(FILE *out, const struct clv_table_settings *settings,
			const struct clv_sizes *sizes, unsigned shape)
{
	int width = clv_measure_width(settings);
	unsigned first = shape * settings->populations;
	fprintf(out, "\nMemory, %s: bytes of an entry, and beside it of an interval, by population; "
		     "of an empty subset, in a map of 1 and of %d\n%-*s %-8s %6s",
		settings->shape[shape]->letter, MANY_SUBSETS, width, "", "", "entry");
	for (unsigned i = 0; i < settings->populations; i++)
		fprintf(out, " %9u", settings->population[i]);
	fprintf(out, " %9s %6d\n", "empty 1", MANY_SUBSETS);
	for (unsigned i = 0; i < settings->structures; i++) {
		const struct clv_sizes *row = &sizes[i];
		if ((row->structure->flags & CLEAVE_SINK) ||
		    !is_for(settings, settings->shape[shape], row->structure))
			continue;
		fprintf(out, "%-*s %-8s %6zu", width, row->structure->name,
			clv_measure_role(row->structure), row->structure->entry_size_bytes);
		for (unsigned k = first; k < first + settings->populations; k++)
			print_bytes(out, 9, row->bytes[k], row->why[k]);
		print_bytes(out, 9, row->empty_one, NULL);
		print_bytes(out, 6, row->empty_many, NULL);
		fprintf(out, "\n");
	}
}

void clv_sizes_print(FILE *out, const struct clv_table_settings *settings,
		     const struct clv_sizes *sizes)
{
	for (unsigned i = 0; i < settings->shapes; i++)
		print_shape(out, settings, sizes, i);
}

json_t *clv_sizes_json(const struct clv_table_settings *settings, const struct clv_sizes *sizes)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < settings->structures; i++) {
		const struct clv_sizes *row = &sizes[i];
		json_t *list = json_array();
		for (unsigned k = 0; k < settings->shapes * settings->populations; k++) {
			if (row->bytes[k] < 0)
				continue;
			json_array_append_new(
				list,
				json_pack("{s:s, s:i, s:f}", "shape",
					  settings->shape[k / settings->populations]->letter,
					  "population",
					  (int)settings->population[k % settings->populations],
					  "bytes_per_interval", row->bytes[k]));
		}
		json_t *object = json_pack("{s:s, s:s, s:i, s:o}", "structure",
					   row->structure->name, "role",
					   clv_measure_role(row->structure), "entry_bytes",
					   (int)row->structure->entry_size_bytes, "by_population",
					   list);
		if (row->empty_one >= 0)
			json_object_set_new(object, "empty_bytes", json_real(row->empty_one));
		if (row->empty_many >= 0)
			json_object_set_new(object, "empty_bytes_of_384_subsets",
					    json_real(row->empty_many));
		json_array_append_new(array, object);
	}
	return array;
}
