// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What checks are given to work on. */
#include "suite.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/map.h"

bool rig_open(struct rig *rig, const struct suite *suite, const char *design)
{
	struct cleave_error error = { "" };
	int code;

	memset(rig, 0, sizeof(*rig));
	rig->suite = suite;
	rig->design = design;
	code = cleave_thread_begin(&rig->thread, suite->env, suite->cpu[0]);
	if (code)
		return rig_fail(rig, __FILE__, __LINE__, "cleave_thread_begin returned %d", code);
	code = cleave_open(&rig->map, suite->env, design, &error);
	if (code) {
		cleave_thread_end(rig->thread);
		return rig_fail(rig, __FILE__, __LINE__, "cleave_open returned %d: %s", code,
				error.text);
	}
	rig->structure = rig->map->structure;
	rig->keeps = cleave_keeps(rig->map);
	rig->sink = rig->structure->flags & CLEAVE_SINK;
	rig->ordered = rig->structure->flags & CLEAVE_ORDERED;
	rig->one_thread = rig->map->design.lock[0].type &&
			  rig->map->design.lock[0].type->flags & CLV_LOCK_ONE_THREAD;
	rig->stride_bytes = cleave_entry_size(rig->map);
	rig->pool_bytes = rig->stride_bytes * RIG_ENTRIES;
	/* Not the library's allocator: it is made to fail, and counted. */
	rig->pool = aligned_alloc(cleave_entry_align(rig->map), rig->pool_bytes);
	memset(rig->pool, 0, rig->pool_bytes);
	return true;
}

void rig_close(struct rig *rig)
{
	cleave_close(rig->map);
	cleave_thread_end(rig->thread);
	free(rig->pool);
}

struct cleave_entry *rig_entry(const struct rig *rig, unsigned i)
{
	return (struct cleave_entry *)(rig->pool + i * rig->stride_bytes);
}

unsigned rig_index(const struct rig *rig, const struct cleave_entry *entry)
{
	return (unsigned)(((const unsigned char *)entry - rig->pool) / rig->stride_bytes);
}

bool rig_fail(struct rig *rig, const char *file, int line, const char *format, ...)
{
	const char *name = strrchr(file, '/');
	int used = snprintf(rig->why, sizeof(rig->why), "%s:%d: ", name ? name + 1 : file, line);
	va_list args;

	va_start(args, format);
	vsnprintf(rig->why + used, sizeof(rig->why) - (size_t)used, format, args);
	va_end(args);
	return false;
}

int rig_visit(struct cleave_entry *entry, void *arg)
{
	struct visits *visits = arg;

	if (visits->count == RIG_ENTRIES) {
		visits->overflow = true;
		return 1;
	}
	visits->index[visits->count++] = rig_index(visits->rig, entry);
	return visits->count == visits->stop_after ? 41 : 0;
}

int rig_walk(const struct rig *rig, uint64_t start, uint64_t last, struct visits *visits)
{
	visits->rig = rig;
	visits->count = 0;
	visits->stop_after = 0;
	visits->overflow = false;
	return cleave_walk(rig->map, rig->thread, start, last, 0, rig_visit, visits);
}

bool rig_holds(struct rig *rig, const bool *in)
{
	struct visits visits;
	unsigned seen[RIG_ENTRIES] = { 0 };

	DEMAND_CODE(rig, 0, rig_walk(rig, 0, cleave_last_max(rig->map), &visits));
	DEMAND(rig, !visits.overflow, "a walk makes more visits than there are entries");
	for (unsigned i = 0; i < visits.count; i++) {
		DEMAND(rig, visits.index[i] < RIG_ENTRIES, "a walk visits what is no entry");
		seen[visits.index[i]]++;
	}
	for (unsigned i = 0; i < RIG_ENTRIES; i++) {
		unsigned expected = in[i] && !rig->sink;

		DEMAND(rig, seen[i] == expected, "entry %u visited %u times, not %u", i, seen[i],
		       expected);
		DEMAND(rig, !rig_entry(rig, i)->map_id == !in[i],
		       "entry %u says that it is %s a map", i, in[i] ? "in no" : "in");
	}
	return true;
}

bool rig_sound(struct rig *rig, const bool *in)
{
	struct cleave_error error = { "" };
	bool any = false;

	if (!rig_holds(rig, in))
		return false;
	for (unsigned i = 0; i < RIG_ENTRIES; i++)
		any |= in[i];
	DEMAND(rig, !cleave_validate(rig->map, &error), "%s", error.text);
	DEMAND(rig, cleave_empty(rig->map) == !any || rig->sink, "cleave_empty says %s",
	       any ? "yes, with entries in" : "no, with none in");
	return true;
}
