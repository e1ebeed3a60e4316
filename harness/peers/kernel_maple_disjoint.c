// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Peer: Linux's maple tree as it is meant, lib/maple_tree.c, which is GPL-2.0-or-later; this file is
 * the adapter. It holds ranges that do not overlap, and is compared over such alone. An interval
 * that overlaps another is not taken in, and validate says so from then on: so it keeps nothing of
 * C1 to C8, and is never ranked.
 */
#include "kernel/maple.h"

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct maple_map *map = self;
	(void)update;
	(void)source;
	clv_peer_set_bounds(entry, start, last);
	if (put(map, start, last, entry))
		map->refused = true;
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	(void)update;
	take(self, clv_peer_interval(entry)->start);
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	struct maple_map *map = self;
	struct cleave_entry *entry;
	MA_STATE(state, &map->tree, start, start);
	(void)thread;
	(void)subset;
	mas_for_each(&state, entry, last) {
		int code = visit(entry, arg);
		if (code)
			return code;
	}
	return 0;
}

static const char *validate(void *self)
{
	struct maple_map *map = self;
	struct cleave_entry *entry;
	uint64_t count = 0;
	MA_STATE(state, &map->tree, 0, 0);
	if (map->refused)
		return "an interval overlapped another, and was not taken in";
	mas_for_each(&state, entry, ULONG_MAX) {
		if (state.index != clv_peer_interval(entry)->start ||
		    state.last != clv_peer_interval(entry)->last)
			return "an entry is not where its bounds are";
		count++;
	}
	return count == map->count ? NULL : "not as many entries as counted";
}

const struct cleave_structure clv_peer_kernel_maple_disjoint = {
	.name = "kernel_maple_disjoint",
	.summary = "Linux's maple tree, for ranges that do not overlap (peer, GPL-2.0-or-later)",
	.source = "Linux " CLV_PEER_KERNEL ", lib/maple_tree.c",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = CLEAVE_UNRANKED,
	.keeps = 0,
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = UINT64_MAX,
	.bounds = clv_peer_bounds,
	.create = create,
	.destroy = destroy,
	.insert = insert,
	.remove = remove_entry,
	.walk = walk,
	.empty = empty,
	.validate = validate,
	.memory = memory,
};
