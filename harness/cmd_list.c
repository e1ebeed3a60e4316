// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * cleave list: one line each, or with --json an array of objects with name and summary at least.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <cleave/structure.h>

#include "../lib/design.h"
#include "../lib/schemes/scheme.h"
#include "cli.h"
#include "commands.h"
#include "designs.h"
#include "machine/machine.h"
#include "machine/model.h"
#include "placement.h"
#include "report.h"

static json_t *entry(json_t *list, const char *name, const char *summary)
{
	json_t *object = json_pack("{s:s, s:s}", "name", name, "summary", summary);
	json_array_append_new(list, object);
	return object;
}

static void list_structures(json_t *list)
{
	static const char *const kind[] = { "sequential", "partitioned", "concurrent" };
	const struct cleave_structure *structure;
	for (unsigned i = 0; (structure = cleave_structure_at(i)); i++) {
		json_t *object = entry(list, structure->name, structure->summary);
		json_object_set_new(object, "kind", json_string(kind[structure->kind]));
		json_object_set_new(object, "ordered",
				    json_boolean(structure->flags & CLEAVE_ORDERED));
		json_object_set_new(object, "spins",
				    json_boolean(structure->flags & CLEAVE_SPINS));
		json_object_set_new(object, "ranked",
				    json_boolean(!(structure->flags & CLEAVE_UNRANKED)));
		json_object_set_new(object, "entry_bytes",
				    json_integer((json_int_t)structure->entry_size_bytes));
		json_object_set_new(object, "keeps", clv_report_keeps(structure->keeps));
		json_object_set_new(object, "source", json_string(structure->source));
	}
}

static void list_partitions(json_t *list)
{
	const struct clv_partition_info *info;
	for (unsigned i = 0; (info = clv_partition_info_at(i)); i++)
		entry(list, info->name, info->summary);
}

static void list_schemes(json_t *list)
{
	const struct clv_scheme *scheme;
	for (unsigned i = 0; (scheme = clv_scheme_at(i)); i++) {
		json_t *object = entry(list, scheme->name, scheme->summary);
		json_object_set_new(object, "source", json_string(scheme->source));
	}
}

static void list_locks(json_t *list)
{
	const struct clv_lock_type *type;
	for (unsigned i = 0; (type = clv_lock_type_at(i)); i++) {
		json_t *object = entry(list, type->name, type->summary);
		json_object_set_new(object, "shared", json_boolean(type->acquire_shared != NULL));
		json_object_set_new(object, "spins", json_boolean(type->flags & CLV_LOCK_SPINS));
		json_object_set_new(object, "host_only",
				    json_boolean(type->flags & CLV_LOCK_HOST_ONLY));
		json_object_set_new(object, "bytes", json_integer((json_int_t)type->size_bytes));
		json_object_set_new(object, "source", json_string(type->source));
	}
}

/* What the design would keep; opened on this machine, since that is where it is asked. */
static void add_keeps(json_t *object, struct cleave_env *env, const char *design)
{
	struct cleave_map *map;
	if (cleave_open(&map, env, design, NULL))
		return;
	json_object_set_new(object, "keeps", clv_report_keeps(cleave_keeps(map)));
	cleave_close(map);
}

static void list_designs(json_t *list)
{
	struct clv_design_room room;
	const struct clv_named_design *named;
	struct cleave_env *env = NULL;

	if (cleave_env_open(&env, NULL, NULL))
		env = NULL;
	for (unsigned i = 0; (named = clv_named_design_at(i, &room)); i++) {
		char lacks[CLV_DESIGN_MISSING_BYTES];
		json_t *object = entry(list, named->name, named->summary);
		const char *missing = clv_named_design_missing(named, lacks, sizeof(lacks));
		json_object_set_new(object, "design", json_string(named->design));
		json_object_set_new(object, "proposed_by", json_string(named->proposed_by));
		json_object_set_new(object, "available", json_boolean(!missing));
		if (missing)
			json_object_set_new(object, "missing", json_string(missing));
		else if (env)
			add_keeps(object, env, named->design);
	}
	if (env)
		cleave_env_close(env);
}

static void list_workloads(json_t *list)
{
	const struct clv_workload_info *info;
	for (unsigned i = 0; (info = clv_bench_native.workload_at(i)); i++)
		entry(list, info->name, info->summary);
}

static void list_machines(json_t *list)
{
	const struct clv_machine_info *info;
	for (unsigned i = 0; (info = clv_machine_info_at(i)); i++) {
		json_t *object = entry(list, info->name, info->summary);
		json_object_set_new(object, "simulated", json_boolean(info->simulated));
	}
}

static void list_parameters(json_t *list)
{
	const struct clv_parameter *parameter;
	for (unsigned i = 0; (parameter = clv_parameter_at(i)); i++) {
		json_t *object = entry(list, parameter->name, parameter->what);
		json_object_set_new(object, "unit", json_string(parameter->unit));
		json_object_set_new(object, "may_be_0", json_boolean(!parameter->positive));
		json_object_set_new(object, "max", json_real(parameter->max));
	}
}

static void list_placements(json_t *list)
{
	const struct clv_placement_info *info;
	for (unsigned i = 0; (info = clv_placement_info_at(i)); i++)
		entry(list, info->name, info->summary);
}

static const struct {
	const char *name;
	void (*fill)(json_t *list);
} kind[] = {
	{ "structures", list_structures }, { "partitions", list_partitions },
	{ "schemes", list_schemes },	   { "locks", list_locks },
	{ "designs", list_designs },	   { "workloads", list_workloads },
	{ "machines", list_machines },	   { "parameters", list_parameters },
	{ "placements", list_placements },
};

enum { KINDS = sizeof(kind) / sizeof(kind[0]) };

struct arguments {
	int kind; /* -1: none yet */
	bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	switch (key) {
	case 'j':
		arguments->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->kind >= 0) {
			clv_cli_error("one list at a time: '%s'", arg);
			return CLV_CLI_REPORTED;
		}
		for (int i = 0; i < KINDS; i++) {
			if (!strcmp(arg, kind[i].name))
				arguments->kind = i;
		}
		if (arguments->kind < 0) {
			clv_cli_error("nothing to list is called '%s': see cleave list --help", arg);
			return CLV_CLI_REPORTED;
		}
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int width_of(json_t *list, const char *key)
{
	size_t i;
	int width = 0;
	json_t *object;
	json_array_foreach(list, i, object) {
		int length = (int)json_string_length(json_object_get(object, key));
		width = length > width ? length : width;
	}
	return width;
}

static void print_lines(json_t *list)
{
	size_t i;
	json_t *object;
	int name_width = width_of(list, "name"), design_width = width_of(list, "design");
	int unit_width = width_of(list, "unit");
	json_array_foreach(list, i, object) {
		json_t *design = json_object_get(object, "design");
		printf("%-*s  ", name_width, json_string_value(json_object_get(object, "name")));
		if (design)
			printf("%-*s  ", design_width, json_string_value(design));
		if (unit_width)
			printf("%-*s  ", unit_width,
			       json_string_value(json_object_get(object, "unit")));
		printf("%s", json_string_value(json_object_get(object, "summary")));
		json_t *keeps = json_object_get(object, "keeps");
		json_t *missing = json_object_get(object, "missing");
		if (missing) {
			printf(" (not available yet: %s)", json_string_value(missing));
		} else if (keeps) {
			size_t j;
			json_t *name;
			printf(" [keeps");
			if (json_array_size(keeps) == 8)
				printf(" C1-C8");
			else if (!json_array_size(keeps))
				printf(" none of C1-C8");
			else
				json_array_foreach(keeps, j, name)
					printf(" %s", json_string_value(name));
			printf("]");
		}
		printf("\n");
	}
}

int clv_cmd_list(int argc, char **argv)
{
	static const struct argp_option option[] = {
		{ "json", 'j', NULL, 0, "an array of objects instead of lines", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		option, parse, "WHAT",
		"List what there is, a line each. WHAT is one of structures, partitions, schemes, "
		"locks, designs, workloads, machines, parameters (of machine files), placements.",
		NULL, NULL, NULL,
	};
	struct arguments arguments = { .kind = -1 };
	int status = clv_cli_parse(&argp, "cleave list", argc, argv, &arguments);
	if (status >= 0)
		return status;
	if (arguments.kind < 0) {
		clv_cli_error("list what: see cleave list --help");
		return CLV_EXIT_USAGE;
	}
	json_t *list = json_array();
	kind[arguments.kind].fill(list);
	if (arguments.json) {
		/* What could not be written is found by clv_cli_finish. */
		json_dumpf(list, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_lines(list);
	}
	json_decref(list);
	return clv_cli_finish(CLV_EXIT_OK);
}
