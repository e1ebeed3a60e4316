/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The node of a CLH queue. See clh.c for who has which, and when. */
#ifndef CLV_CLH_H
#define CLV_CLH_H

#include <stdint.h>

#include "shim/mark.h"
#include "shim/shim.h"

/* One cache line. Between two owners it is whole and at rest, so that any of them may free it. */
struct clv_clh_node {
	_Alignas(CLV_CACHE_LINE) uint32_t held; /* by its owner, who has the lock or waits for it */
};

/* Near to a NUMA node; -1: anywhere. Returns: NULL, no memory. */
static inline struct clv_clh_node *clv_clh_node_make(int numa_node)
{
	struct clv_clh_node *node = clv_alloc(sizeof(*node), _Alignof(struct clv_clh_node), numa_node);

	if (node)
		clv_name(node, sizeof(*node), 0, "clh node", -1, NULL);
	return node;
}

static inline void clv_clh_node_free(struct clv_clh_node *node)
{
	clv_free(node, sizeof(*node));
}

#endif
