// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Keeps nothing: what a run with it costs is the harness, the dispatch and the locks, with only the
 * writing of an entry's bounds added, which all structures do. Never ranked.
 *
 * Invariants, memory: none. Cost of every operation: constant.
 */
#include <cleave/structure.h>

static struct cleave_interval *interval_of(const struct cleave_entry *entry)
{
	return cleave_container_of(entry, struct cleave_interval, entry);
}

static void set_bounds(struct cleave_entry *entry, uint64_t start, uint64_t last)
{
	interval_of(entry)->start = start;
	interval_of(entry)->last = last;
}

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	*start = interval_of(entry)->start;
	*last = interval_of(entry)->last;
}

static int create(void **self, const struct cleave_structure_config *config)
{
	static char nothing;

	(void)config;
	*self = &nothing;
	return 0;
}

static void destroy(void *self)
{
	(void)self;
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	(void)self;
	(void)update;
	(void)source;
	set_bounds(entry, start, last);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	(void)self;
	(void)update;
	(void)entry;
}

static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	(void)self;
	(void)update;
	set_bounds(entry, start, last);
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	(void)self;
	(void)thread;
	(void)subset;
	(void)start;
	(void)last;
	(void)visit;
	(void)arg;
	return 0;
}

static bool empty(const void *self)
{
	(void)self;
	return true;
}

static const char *validate(void *self)
{
	(void)self;
	return NULL;
}

static size_t memory(const void *self)
{
	(void)self;
	return 0;
}

static const struct cleave_field entry_fields[] = {
	{ offsetof(struct cleave_interval, entry.subset), "subset" },
	{ offsetof(struct cleave_interval, entry.map_id), "map id" },
	{ offsetof(struct cleave_interval, start), "start" },
	{ offsetof(struct cleave_interval, last), "last" },
	{ offsetof(struct cleave_interval, word), "unused" },
	{ 0, NULL },
};

const struct cleave_structure cleave_null_sink = {
	.name = "null_sink",
	.summary = "keeps no intervals: the cost of what is around a structure",
	.source = "none",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = CLEAVE_UNRANKED | CLEAVE_SINK,
	.keeps = 0,
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = UINT64_MAX,
	.bounds = bounds,
	.create = create,
	.destroy = destroy,
	.insert = insert,
	.remove = remove_entry,
	.change = change,
	.walk = walk,
	.empty = empty,
	.validate = validate,
	.memory = memory,
	.entry_fields = entry_fields,
};
