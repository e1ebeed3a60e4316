// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The floor: what it costs to know of an interval at all. An array of entries in no order; an insert
 * appends, a removal puts the last one into the gap, a walk looks at all of them.
 *
 * It breaks C1 and C2, and it grows by a system call inside an insert, which no structure may: it is
 * there to be measured beside them, registered by the command that does, and never ranked.
 *
 *   slot[0 .. count - 1] -> entries;  word[0] of each: its slot
 */
#include "private_array.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_SLOTS = 64 };

struct array {
	struct cleave_interval **slot;
	size_t count, slots;
};

static struct cleave_interval *interval_of(const struct cleave_entry *entry)
{
	return cleave_container_of(entry, struct cleave_interval, entry);
}

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	*start = interval_of(entry)->start;
	*last = interval_of(entry)->last;
}

static int create(void **self, const struct cleave_structure_config *config)
{
	/* A line, that two subsets' do not share one. */
	*self = cleave_alloc(sizeof(struct array), 64, config->node);
	return *self ? 0 : -ENOMEM;
}

static void destroy(void *self)
{
	struct array *array = self;
	free(array->slot);
	cleave_free(array, sizeof(*array));
}

static __attribute__((noinline)) void grow(struct array *array)
{
	array->slots = array->slots ? 2 * array->slots : FIRST_SLOTS;
	array->slot = realloc(array->slot, array->slots * sizeof(*array->slot));
	if (!array->slot)
		abort();
}

static void set_count(struct array *array, size_t count)
{
	__atomic_store_n(&array->count, count, __ATOMIC_RELAXED);
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct array *array = self;
	struct cleave_interval *interval = interval_of(entry);
	(void)update;
	(void)source;
	if (array->count == array->slots)
		grow(array);
	interval->start = start;
	interval->last = last;
	interval->word[0] = array->count;
	array->slot[array->count] = interval;
	set_count(array, array->count + 1);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	struct array *array = self;
	size_t gap = interval_of(entry)->word[0];
	struct cleave_interval *moved = array->slot[array->count - 1];
	(void)update;
	array->slot[gap] = moved;
	moved->word[0] = gap;
	set_count(array, array->count - 1);
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	const struct array *array = self;
	(void)thread;
	(void)subset;
	for (size_t i = 0; i < array->count; i++) {
		struct cleave_interval *interval = array->slot[i];
		if (interval->start > last || interval->last < start)
			continue;
		int code = visit(&interval->entry, arg);
		if (code)
			return code;
	}
	return 0;
}

/* Pairs with set_count. */
static bool empty(const void *self)
{
	const struct array *array = self;
	return !__atomic_load_n(&array->count, __ATOMIC_RELAXED);
}

static const char *validate(void *self)
{
	const struct array *array = self;
	for (size_t i = 0; i < array->count; i++) {
		if (array->slot[i]->word[0] != i)
			return "an entry is not where it thinks";
	}
	return NULL;
}

static size_t memory(const void *self)
{
	const struct array *array = self;
	return sizeof(*array) + array->slots * sizeof(*array->slot);
}

const struct cleave_structure clv_private_array = {
	.name = "private_array",
	.summary = "an array in no order: the floor that structures are measured against",
	.source = "none",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = CLEAVE_UNRANKED,
	.keeps = CLEAVE_C4_UNLINK_BEFORE_FREE | CLEAVE_C5_COMPLETE_AND_SINGLE |
		 CLEAVE_C6_LONG_HOLDS | CLEAVE_C7_SUBSET_STORED,
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = UINT64_MAX,
	.bounds = bounds,
	.create = create,
	.destroy = destroy,
	.insert = insert,
	.remove = remove_entry,
	.walk = walk,
	.empty = empty,
	.validate = validate,
	.memory = memory,
};
