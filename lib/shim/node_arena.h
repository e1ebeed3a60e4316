/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Blocks of less than a page with their memory on a NUMA node: a tree's root, a lock. No two nodes'
 * blocks share a page and no two blocks share a cache line. For the host's shim alone.
 */
#ifndef CLV_NODE_ARENA_H
#define CLV_NODE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

struct clv_node_arena;

/* How many nodes this machine's numbers ask for: the highest of those online, plus one; 1 if there
 * is only one, whatever its number, and if the kernel does not say. */
unsigned clv_node_arena_nodes(void);

/*
 * Room for `node_bytes` of pages on each of the nodes 0 to nodes - 1, less what the arena keeps
 * about them (0.05 % with pages of 4 KiB). Address space alone: memory is taken as it is needed.
 * `bind` is called once for each node, with all its pages and before any of them is touched.
 * Returns: NULL if the address space is not to be had.
 */
struct clv_node_arena *clv_node_arena_open(unsigned nodes, size_t node_bytes,
					   void (*bind)(void *pages, size_t bytes, int node));

/* Gives all blocks back. `arena` may be NULL. */
void clv_node_arena_close(struct clv_node_arena *arena);

/*
 * pre: align_bytes is a power of two.
 * Returns: zeroed memory; NULL for a page and more, for an alignment of more than a page, for a
 * node that it does not have, and when the node's room is used up.
 * Threads: any; those of one node wait for each other, spinning.
 */
void *clv_node_arena_alloc(struct clv_node_arena *arena, size_t size_bytes, size_t align_bytes,
			   int node);

/* Is it one of this arena's? `arena` may be NULL. */
bool clv_node_arena_owns(const struct clv_node_arena *arena, const void *block);

/* pre: owned. Threads: any, on any node. */
void clv_node_arena_free(struct clv_node_arena *arena, void *block);

#endif
