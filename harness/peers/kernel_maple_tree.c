// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Peer: Linux's maple tree, lib/maple_tree.c, which is GPL-2.0-or-later; this file is the adapter.
 *
 * A maple tree holds no two ranges that overlap, and so none of what this library is for: here each
 * interval is one point in it, at start.id, the id counting insertions. So starts, and the
 * insertions into one map, end at 2^32. Nothing in it knows where intervals end: a walk begins as much
 * before its range as the longest interval that there ever was is long.
 */
#include "kernel/maple.h"

enum { ID_BITS = 32 };

static uintptr_t *key_of(struct cleave_entry *entry)
{
	return &clv_peer_interval(entry)->word[0];
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct maple_map *map = self;
	(void)update;
	(void)source; /* it has a smaller id */
	clv_peer_set_bounds(entry, start, last);
	if (last - start > map->longest)
		map->longest = last - start;
	*key_of(entry) = start << ID_BITS | map->inserted++;
	if (map->inserted >> ID_BITS || put(map, *key_of(entry), *key_of(entry), entry))
		abort();
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	(void)update;
	take(self, *key_of(entry));
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	struct maple_map *map = self;
	struct cleave_entry *entry;
	uint64_t first = start > map->longest ? start - map->longest : 0;
	(void)thread;
	(void)subset;
	if (first >> ID_BITS)
		return 0;
	MA_STATE(state, &map->tree, first << ID_BITS, first << ID_BITS);
	uint64_t max_key = last >> ID_BITS ? ULONG_MAX : last << ID_BITS | UINT32_MAX;
	mas_for_each(&state, entry, max_key) {
		int code = clv_peer_interval(entry)->last >= start ? visit(entry, arg) : 0;
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
	mas_for_each(&state, entry, ULONG_MAX) {
		if (state.index != *key_of(entry) ||
		    state.index >> ID_BITS != clv_peer_interval(entry)->start)
			return "an entry is not where its key says";
		count++;
	}
	return count == map->count ? NULL : "not as many entries as counted";
}

const struct cleave_structure clv_peer_kernel_maple_tree = {
	.name = "kernel_maple_tree",
	.summary = "Linux's maple tree, keyed start.id (peer, GPL-2.0-or-later)",
	.source = "Linux " CLV_PEER_KERNEL ", lib/maple_tree.c",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = 0,
	.keeps = CLV_PEER_KEEPS,
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = UINT32_MAX,
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
