// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "empty_maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/error.h"
#include "../../lib/schemes/scheme.h"
#include "../designs.h"

static const char *const split[CLV_EMPTY_SPLITS] = { "", "@node", "@l3", "@cpu1" };

/* ---- which ---- */

/* Is it ":A+A", which is ":A"? */
static bool is_twice(const char *rest)
{
	const char *first = strchr(rest, ':'), *second = strchr(rest, '+');
	return first && second && strlen(second + 1) == (size_t)(second - first - 1) &&
	       !strncmp(first + 1, second + 1, (size_t)(second - first - 1));
}

static int add(struct clv_empty_maps *maps, const char *rest)
{
	for (unsigned i = 0; i < maps->rows; i++) {
		if (!strcmp(maps->row[i].rest, rest))
			return 0;
	}
	struct clv_empty_row *grown = reallocarray(maps->row, maps->rows + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	maps->row = grown;
	maps->row[maps->rows] = (struct clv_empty_row){ .why = "" };
	snprintf(maps->row[maps->rows].rest, sizeof(maps->row->rest), "%s", rest);
	maps->rows++;
	return 0;
}

static int add_scheme(struct clv_empty_maps *maps, const struct clv_scheme *scheme)
{
	struct clv_design_room room;
	const struct clv_named_design *named;
	const struct clv_lock_type *type;
	char rest[96];
	int code = 0;

	snprintf(rest, sizeof(rest), "/%s", scheme->name);
	if (scheme->locks == CLV_SCHEME_NO_LOCK)
		return add(maps, rest);
	for (unsigned i = 0; !code && (type = clv_lock_type_at(i)); i++) {
		snprintf(rest, sizeof(rest), "/%s:%s", scheme->name, type->name);
		code = add(maps, rest);
	}
	/* Arguments of schemes and locks, and pairs of locks, that somebody has proposed. */
	size_t length = strlen(scheme->name);
	for (unsigned i = 0; !code && (named = clv_named_design_at(i, &room)); i++) {
		const char *slash = strchr(named->design, '/');
		if (slash && !is_twice(slash) && !strncmp(slash + 1, scheme->name, length) &&
		    strchr(":.", slash[1 + length]))
			code = add(maps, slash);
	}
	return code;
}

/* ---- how much ---- */

static void measure(struct clv_empty_maps *maps, struct clv_empty_row *row, unsigned which,
		    struct cleave_env *many)
{
	struct cleave_error error = { "" };
	struct cleave_map *map;
	char design[224];
	snprintf(design, sizeof(design), "%s%s%s", maps->structure->name, split[which], row->rest);
	if (cleave_open(&map, many, design, &error)) {
		snprintf(row->why, sizeof(row->why), "%.150s", error.text);
		return;
	}
	row->bytes[which] = cleave_memory(map);
	row->subsets[which] = cleave_subsets(map);
	cleave_close(map);
}

int clv_empty_maps_make(struct clv_empty_maps *maps, const struct cleave_structure *structure,
			struct cleave_env *many, struct cleave_error *error)
{
	const struct clv_scheme *scheme;
	*maps = (struct clv_empty_maps){ .structure = structure };
	for (unsigned i = 0; (scheme = clv_scheme_at(i)); i++) {
		if (add_scheme(maps, scheme))
			return clv_error(error, -ENOMEM, "out of memory");
	}
	for (unsigned i = 0; i < maps->rows; i++) {
		for (unsigned k = 0; k < CLV_EMPTY_SPLITS; k++) {
			measure(maps, &maps->row[i], k, many);
			/* The least that any has: what a scheme adds is not the partition's. */
			unsigned subsets = maps->row[i].subsets[k];
			if (subsets && (!maps->subsets[k] || subsets < maps->subsets[k]))
				maps->subsets[k] = subsets;
		}
	}
	return 0;
}

void clv_empty_maps_fini(struct clv_empty_maps *maps)
{
	free(maps->row);
}

/* ---- what is said ---- */

void clv_empty_maps_print(FILE *out, const struct clv_empty_maps *maps, const char *machine)
{
	int width = 0;
	for (unsigned i = 0; i < maps->rows; i++) {
		int length = (int)strlen(maps->row[i].rest);
		width = length > width ? length : width;
	}
	fprintf(out, "Bytes of an empty map of %s on %s, by subsets: all of it, one a NUMA node, one an "
		     "L3, one a CPU\n%-*s", maps->structure->name, machine, width, "");
	for (unsigned k = 0; k < CLV_EMPTY_SPLITS; k++)
		fprintf(out, " %9u", maps->subsets[k]);
	fprintf(out, "\n");
	for (unsigned i = 0; i < maps->rows; i++) {
		const struct clv_empty_row *row = &maps->row[i];
		fprintf(out, "%-*s", width, row->rest);
		for (unsigned k = 0; k < CLV_EMPTY_SPLITS; k++) {
			if (row->bytes[k])
				fprintf(out, " %9zu", row->bytes[k]);
			else
				fprintf(out, " %9s", "-");
		}
		fprintf(out, "%s%s\n", row->why[0] ? "  " : "", row->why);
	}
}

json_t *clv_empty_maps_json(const struct clv_empty_maps *maps)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < maps->rows; i++) {
		const struct clv_empty_row *row = &maps->row[i];
		json_t *bytes = json_array();
		for (unsigned k = 0; k < CLV_EMPTY_SPLITS; k++) {
			if (row->bytes[k])
				json_array_append_new(
					bytes, json_pack("{s:i, s:I}", "subsets",
							 (int)row->subsets[k], "bytes",
							 (json_int_t)row->bytes[k]));
		}
		json_t *object = json_pack("{s:s, s:s, s:o}", "structure", maps->structure->name,
					   "rest", row->rest, "by_subsets", bytes);
		if (row->why[0])
			json_object_set_new(object, "why", json_string(row->why));
		json_array_append_new(array, object);
	}
	return array;
}
