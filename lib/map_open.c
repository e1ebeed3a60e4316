// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* A map from its design: opening, its objects, closing. */
#include <errno.h>
#include <string.h>

#include "env.h"
#include "error.h"
#include "map.h"
#include "schemes/scheme.h"

/* Of all environments: an entry of one must not be taken for another's. */
static uint32_t next_map_id;

static void destroy_objects(struct cleave_map *map)
{
	for (unsigned i = 0; i < map->objects; i++)
		map->structure->destroy(map->object[i]);
	if (map->object)
		clv_free(map->object, map->slots * sizeof(*map->object));
}

static int create_object(struct cleave_map *map, unsigned i, struct cleave_error *error)
{
	const int *node_of_subset =
		map->partition.node_of_subset - (map->subsets - map->partition.subsets);
	bool only = map->slots == 1;
	const struct cleave_structure_config config = {
		.subsets = map->subsets,
		.subset = i,
		.node = only ? -1 : node_of_subset[i],
		.node_of_subset = node_of_subset,
		.objects = only ? NULL : map->object,
		.env = map->env,
	};
	clv_name_allocations(map->structure->name, (int)i);
	int code = map->structure->create(&map->object[i], &config);
	clv_name_allocations(NULL, -1);
	return code ? clv_error(error, code, "structure %s: subset %u: %s", map->structure->name, i,
				strerror(-code)) : 0;
}

int clv_map_create_objects(struct cleave_map *map, unsigned limit, struct cleave_error *error)
{
	unsigned first = map->objects;
	for (unsigned i = first; i < limit; i++) {
		int code = create_object(map, i, error);
		if (code) {
			while (i-- > first)
				map->structure->destroy(map->object[i]);
			return code;
		}
	}
	/* Release: partner is clv_map_objects. */
	__atomic_store_n(&map->objects, limit, __ATOMIC_RELEASE);
	return 0;
}

static int create_first_objects(struct cleave_map *map, struct cleave_error *error)
{
	size_t bytes = map->slots * sizeof(*map->object);
	map->object = clv_alloc(bytes, CLV_CACHE_LINE, -1);
	if (!map->object)
		return clv_error(error, -ENOMEM, "map: out of memory");
	clv_name(map->object, bytes, 0, "map's objects", -1, NULL);
	return clv_map_create_objects(map, map->scheme->starts_whole ? 1 : map->slots, error);
}

int cleave_open(struct cleave_map **map, struct cleave_env *env, const char *design,
		struct cleave_error *error)
{
	struct cleave_map *made = clv_alloc(sizeof(*made), CLV_CACHE_LINE, -1);
	if (!made)
		return clv_error(error, -ENOMEM, "map: out of memory");
	clv_name(made, sizeof(*made), 0, "map", -1, NULL);
	made->env = env;
	int code = clv_design_parse(&made->design, design, error);
	if (code)
		goto free_map;
	made->structure = made->design.structure;
	made->scheme = made->design.scheme;
	made->reserves = made->structure->prepare || made->scheme->prepare;
	made->epochs = made->structure->kind == CLEAVE_CONCURRENT ||
		       (made->structure->flags & (CLEAVE_DEFERS | CLEAVE_WALKS_UNLOCKED));
	clv_design_name(&made->design, made->canonical, sizeof(made->canonical));
	clv_name_allocations("partition", -1);
	code = clv_partition_make(&made->partition, &made->design.partition, env->topology);
	clv_name_allocations(NULL, -1);
	if (code) {
		clv_error(error, code, "partition: %s", strerror(-code));
		goto free_map;
	}
	made->subsets = made->partition.subsets +
			(made->scheme->starts_whole && made->partition.subsets > 1);
	made->slots = made->structure->kind == CLEAVE_SEQUENTIAL ? made->subsets : 1;
	code = create_first_objects(made, error);
	if (code)
		goto free_objects;
	code = made->scheme->init(made, &made->design.scheme_args, error);
	if (code)
		goto free_objects;
	do { /* 0 is "in no map" */
		made->id = __atomic_add_fetch(&next_map_id, 1, __ATOMIC_RELAXED);
	} while (!made->id);
	*map = made;
	return 0;

free_objects:
	destroy_objects(made);
	clv_partition_fini(&made->partition);
free_map:
	clv_free(made, sizeof(*made));
	return code;
}

void cleave_close(struct cleave_map *map)
{
	map->scheme->fini(map);
	destroy_objects(map);
	clv_partition_fini(&map->partition);
	clv_free(map, sizeof(*map));
}
