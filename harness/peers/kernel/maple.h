/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the two peers on Linux's maple tree share. The tree is in its cheapest form: no gaps tracked
 * (MT_FLAGS_ALLOC_RANGE), no RCU, so that nodes are changed in place, and the map's lock in place of
 * its own. Nodes are allocated inside updates, from a free list.
 */
#ifndef CLV_PEER_MAPLE_H
#define CLV_PEER_MAPLE_H

#include "shim.h"

#include <linux/maple_tree.h>

#include <stdlib.h>

#include "../peer.h"

struct maple_map {
	struct maple_tree tree;
	size_t bytes; /* of nodes */
	uint64_t count;
	uint64_t inserted, longest; /* of a tree of points: ever; last - start */
	bool refused;		    /* of one of ranges */
};

static int create(void **self, const struct cleave_structure_config *config)
{
	struct maple_map *map = cleave_alloc(sizeof(*map), _Alignof(struct maple_map), config->node);
	if (!map)
		return -ENOMEM;
	mt_init_flags(&map->tree, MT_FLAGS_LOCK_EXTERN);
	*self = map;
	return 0;
}

static void destroy(void *self)
{
	struct maple_map *map = self;
	clv_peer_kernel_begin(&map->bytes);
	__mt_destroy(&map->tree);
	clv_peer_kernel_end();
	cleave_free(map, sizeof(*map));
}

/* Returns: as mtree_insert_range, -EEXIST: the tree is as it was. */
static int put(struct maple_map *map, unsigned long first, unsigned long last, void *entry)
{
	clv_peer_kernel_begin(&map->bytes);
	int code = mtree_insert_range(&map->tree, first, last, entry, GFP_KERNEL);
	clv_peer_kernel_end();
	__atomic_store_n(&map->count, map->count + !code, __ATOMIC_RELAXED);
	return code;
}

static void take(struct maple_map *map, unsigned long index)
{
	clv_peer_kernel_begin(&map->bytes);
	void *entry = mtree_erase(&map->tree, index);
	clv_peer_kernel_end();
	__atomic_store_n(&map->count, map->count - !!entry, __ATOMIC_RELAXED);
}

/* Pairs with put and take. */
static bool empty(const void *self)
{
	const struct maple_map *map = self;
	return !__atomic_load_n(&map->count, __ATOMIC_RELAXED);
}

static size_t memory(const void *self)
{
	const struct maple_map *map = self;
	return sizeof(*map) + map->bytes;
}

#endif
