// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Opening and closing, and what a map answers about itself. */
#include "checks.h"

#include <errno.h>
#include <string.h>

bool check_names(struct rig *rig)
{
	struct cleave_error error = { "" };
	struct cleave_map *again;
	size_t align_bytes = cleave_entry_align(rig->map);

	DEMAND_CODE(rig, 0, cleave_open(&again, rig->suite->env, cleave_design(rig->map), &error));
	bool same = !strcmp(cleave_design(again), cleave_design(rig->map));

	cleave_close(again);
	DEMAND(rig, same, "the canonical design '%s' opens as another", cleave_design(rig->map));
	DEMAND(rig, !strstr(cleave_design(rig->map), "@none"), "@none in '%s'",
	       cleave_design(rig->map));
	DEMAND(rig, strchr(cleave_design(rig->map), '/'), "no scheme in '%s'",
	       cleave_design(rig->map));
	DEMAND(rig, align_bytes && !(align_bytes & (align_bytes - 1)), "alignment is %zu",
	       align_bytes);
	DEMAND(rig, cleave_entry_size(rig->map) % align_bytes == 0,
	       "entries of %zu bytes cannot lie in an array", cleave_entry_size(rig->map));
	DEMAND(rig, cleave_subsets(rig->map) >= 1, "no subsets");
	DEMAND(rig, cleave_empty(rig->map), "not empty when opened");
	DEMAND(rig, cleave_memory(rig->map) > 0, "takes no memory");
	DEMAND(rig, !(cleave_keeps(rig->map) & ~(unsigned)CLEAVE_KEEPS_ALL),
	       "keeps what does not exist");
	DEMAND(rig,
	       cleave_open(&again, rig->suite->env, "rb_interval/one:no_such_lock", &error) ==
			       -EINVAL &&
		       error.text[0],
	       "an unknown lock is not refused with a message");
	return true;
}

/* Entries that are still in are forgotten; zeroed, they can go elsewhere. */
bool check_reopen(struct rig *rig)
{
	bool in[RIG_ENTRIES] = { false };

	for (unsigned i = 0; i < 40; i++)
		DEMAND_CODE(rig, 0,
			    cleave_insert(rig->map, rig->thread, rig_entry(rig, i), i, i + 3));
	cleave_close(rig->map);
	memset(rig->pool, 0, rig->pool_bytes);
	DEMAND_CODE(rig, 0, cleave_open(&rig->map, rig->suite->env, rig->design, NULL));
	if (!rig_sound(rig, in))
		return false;
	for (unsigned i = 0; i < 40; i++) {
		DEMAND_CODE(rig, 0,
			    cleave_insert(rig->map, rig->thread, rig_entry(rig, i), i, i + 3));
		in[i] = true;
	}
	return rig_sound(rig, in);
}

static bool visited(struct rig *rig, uint64_t start, uint64_t last, unsigned expected)
{
	struct visits visits;

	if (rig->sink)
		expected = 0;
	DEMAND_CODE(rig, 0, rig_walk(rig, start, last, &visits));
	DEMAND(rig, visits.count == expected, "a walk of [%llu, %llu] visits %u, not %u",
	       (unsigned long long)start, (unsigned long long)last, visits.count, expected);
	return true;
}

/* Both ends of what bounds can be, and walks that touch an interval at one page. */
bool check_ranges(struct rig *rig)
{
	struct cleave_entry *entry = rig_entry(rig, 0);
	uint64_t top = cleave_last_max(rig->map);
	uint64_t start, last;
	static const struct {
		uint64_t start, last;
		bool from_top;
	} shapes[] = {
		{ 0, 0, false }, { 0, 0, true },  { 5, 9, false },
		{ 9, 5, true },	 { 0, 7, false }, { 7, 0, true },
	};

	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		uint64_t a = shapes[i].from_top ? top - shapes[i].start : shapes[i].start;
		uint64_t b = shapes[i].from_top ? top - shapes[i].last : shapes[i].last;

		DEMAND_CODE(rig, 0, cleave_insert(rig->map, rig->thread, entry, a, b));
		cleave_bounds(rig->map, entry, &start, &last);
		DEMAND(rig, start == a && last == b,
		       "bounds [%llu, %llu] read back as [%llu, %llu]", (unsigned long long)a,
		       (unsigned long long)b, (unsigned long long)start, (unsigned long long)last);
		DEMAND(rig, !cleave_empty(rig->map) || rig->sink, "empty with an entry");
		if (!visited(rig, a, a, 1) || !visited(rig, b, b, 1) || !visited(rig, a, b, 1) ||
		    !visited(rig, 0, top, 1) || (a && !visited(rig, 0, a - 1, 0)) ||
		    (b < top && !visited(rig, b + 1, top, 0)) ||
		    (b < UINT64_MAX && !visited(rig, b + 1, UINT64_MAX, 0)))
			return false;
		DEMAND_CODE(rig, 0, cleave_remove(rig->map, rig->thread, entry));
		cleave_synchronize(rig->map, rig->thread);
		DEMAND(rig, cleave_empty(rig->map), "not empty without an entry");
	}
	DEMAND_CODE(rig, 0, cleave_insert(rig->map, rig->thread, entry, 0, top));
	if (!visited(rig, 0, 0, 1) || !visited(rig, top, top, 1) ||
	    !visited(rig, top / 2, top / 2, 1))
		return false;
	/* In place, to both ends and across. */
	DEMAND_CODE(rig, 0, cleave_change(rig->map, rig->thread, entry, 0, 0));
	if (!visited(rig, 1, top, 0) || !visited(rig, 0, 0, 1))
		return false;
	DEMAND_CODE(rig, 0, cleave_change(rig->map, rig->thread, entry, top, top));
	if (!visited(rig, 0, top - 1, 0) || !visited(rig, top, top, 1))
		return false;
	if (top < UINT64_MAX)
		DEMAND_CODE(rig, -ERANGE,
			    cleave_change(rig->map, rig->thread, entry, top, top + 1));
	return visited(rig, top, top, 1);
}

/* Of the counts only; what a clock shows is not for a test. */
bool check_times(struct rig *rig)
{
	struct cleave_times times = { 0 };
	struct cleave_entry *entry = rig_entry(rig, 0);
	uint32_t acquired;

	cleave_thread_time(rig->thread, &times);
	DEMAND_CODE(rig, 0, cleave_insert(rig->map, rig->thread, entry, 1, 2));
	cleave_thread_time(rig->thread, NULL);
	acquired = times.acquired;
	DEMAND(rig, acquired || rig->structure->kind == CLEAVE_CONCURRENT,
	       "an insert acquired no lock");
	DEMAND_CODE(rig, 0, cleave_remove(rig->map, rig->thread, entry));
	DEMAND(rig, times.acquired == acquired, "counted after the measuring ended");
	return true;
}
