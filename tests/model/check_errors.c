// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What is refused, with which code; and that all is then as it was. */
#include "checks.h"

#include <errno.h>
#include <string.h>

enum { RESIDENTS = 20, NEW = 100 /* entries from here on are in no map */ };

/* Residents 0 to 19: [10 i, 10 i + 14]. */
static bool populate(struct rig *rig, bool *in)
{
	memset(in, 0, RIG_ENTRIES * sizeof(*in));
	for (unsigned i = 0; i < RESIDENTS; i++) {
		cleave_thread_set_cpu(rig->thread, rig->suite->cpu[i % rig->suite->cpus]);
		DEMAND_CODE(rig, 0,
			    cleave_insert(rig->map, rig->thread, rig_entry(rig, i), 10 * i,
					  10 * i + 14));
		in[i] = true;
	}
	return true;
}

/* Residents and their bounds are as populate left them, and what is new can still be inserted. */
static bool unchanged(struct rig *rig, bool *in)
{
	if (!rig_sound(rig, in))
		return false;
	for (unsigned i = 0; i < RESIDENTS; i++) {
		uint64_t start, last;

		cleave_bounds(rig->map, rig_entry(rig, i), &start, &last);
		DEMAND(rig, start == 10 * i && last == 10 * i + 14, "entry %u has other bounds", i);
	}
	DEMAND_CODE(rig, 0, cleave_insert(rig->map, rig->thread, rig_entry(rig, NEW), 3, 4));
	DEMAND_CODE(rig, 0, cleave_remove(rig->map, rig->thread, rig_entry(rig, NEW)));
	cleave_synchronize(rig->map, rig->thread);
	return true;
}

bool check_single_errors(struct rig *rig)
{
	struct cleave_map *map = rig->map;
	struct cleave_thread *thread = rig->thread;
	struct cleave_entry *old = rig_entry(rig, 7), *fresh = rig_entry(rig, NEW);
	uint64_t top = cleave_last_max(map);
	bool in[RIG_ENTRIES];

	if (!populate(rig, in))
		return false;
	DEMAND_CODE(rig, -EINVAL, cleave_insert(map, thread, fresh, 5, 4));
	DEMAND_CODE(rig, -EINVAL, cleave_insert(map, thread, fresh, top, 0));
	DEMAND_CODE(rig, -EINVAL, cleave_insert(map, thread, NULL, 1, 2));
	DEMAND_CODE(rig, -EEXIST, cleave_insert(map, thread, old, 1, 2));
	DEMAND_CODE(rig, -ENOENT, cleave_remove(map, thread, fresh));
	DEMAND_CODE(rig, -ENOENT, cleave_change(map, thread, fresh, 1, 2));
	DEMAND_CODE(rig, -EINVAL, cleave_change(map, thread, old, 2, 1));
	DEMAND_CODE(rig, -EINVAL, cleave_insert_after(map, thread, NULL, fresh));
	DEMAND_CODE(rig, -ENOENT, cleave_insert_after(map, thread, rig_entry(rig, NEW + 1), fresh));
	DEMAND_CODE(rig, -EEXIST, cleave_insert_after(map, thread, old, rig_entry(rig, 8)));
	DEMAND_CODE(rig, -EINVAL, cleave_insert_near(map, thread, NULL, fresh, 1, 2));
	DEMAND_CODE(rig, -ENOENT,
		    cleave_insert_near(map, thread, rig_entry(rig, NEW + 1), fresh, 1, 2));
	DEMAND_CODE(rig, -EINVAL, cleave_insert_near(map, thread, fresh, fresh, 1, 2));
	DEMAND_CODE(rig, -EINVAL, cleave_insert_near(map, thread, old, fresh, 2, 1));
	if (top < UINT64_MAX) {
		DEMAND_CODE(rig, -ERANGE, cleave_insert(map, thread, fresh, 1, top + 1));
		DEMAND_CODE(rig, -ERANGE, cleave_change(map, thread, old, 1, UINT64_MAX));
		DEMAND_CODE(rig, -ERANGE, cleave_insert_near(map, thread, old, fresh, 1, top + 1));
	}
	return unchanged(rig, in);
}

/* Every refusal stands last in a batch whose other ops are good. */
bool check_batch_errors(struct rig *rig)
{
	struct cleave_entry *fresh = rig_entry(rig, NEW), *fresh2 = rig_entry(rig, NEW + 1);
	struct cleave_entry *old = rig_entry(rig, 3), *other = rig_entry(rig, 4);
	uint64_t top = cleave_last_max(rig->map);
	bool in[RIG_ENTRIES];
	const struct {
		int code;
		const char *what;
		struct cleave_op op;
	} bad[] = {
		{ -EINVAL, "start behind last", { CLEAVE_INSERT, fresh, NULL, 9, 8 } },
		{ -EINVAL,
		  "unknown kind",
		  { (enum cleave_op_kind)(CLEAVE_CHANGE + 1), fresh, NULL, 1, 2 } },
		{ -EINVAL, "no entry", { CLEAVE_REMOVE, NULL, NULL, 0, 0 } },
		{ -EINVAL, "no source", { CLEAVE_INSERT_NEAR, fresh, NULL, 1, 2 } },
		{ -EINVAL, "no parent", { CLEAVE_INSERT_AFTER, fresh, NULL, 1, 2 } },
		{ -EINVAL, "removed twice", { CLEAVE_REMOVE, rig_entry(rig, 0), NULL, 0, 0 } },
		{ -EINVAL,
		  "changed, then removed",
		  { CLEAVE_REMOVE, rig_entry(rig, 1), NULL, 0, 0 } },
		{ -EINVAL, "inserted twice", { CLEAVE_INSERT, fresh2, NULL, 1, 2 } },
		{ -EINVAL, "its own source", { CLEAVE_INSERT_NEAR, fresh, fresh, 1, 2 } },
		{ -EINVAL, "child starts elsewhere", { CLEAVE_INSERT_AFTER, fresh, old, 31, 44 } },
		{ -EINVAL,
		  "child starts where its parent, changed before, did",
		  { CLEAVE_INSERT_AFTER, fresh, rig_entry(rig, 1), 10, 24 } },
		{ -EEXIST, "inserted already", { CLEAVE_INSERT, other, NULL, 1, 2 } },
		{ -ENOENT, "not in", { CLEAVE_REMOVE, fresh, NULL, 0, 0 } },
		{ -ENOENT, "change of what is not in", { CLEAVE_CHANGE, fresh, NULL, 1, 2 } },
		{ -ENOENT,
		  "source not in",
		  { CLEAVE_INSERT_NEAR, fresh, rig_entry(rig, NEW + 2), 1, 2 } },
		{ -ENOENT,
		  "source removed before",
		  { CLEAVE_INSERT_NEAR, fresh, rig_entry(rig, 0), 1, 2 } },
		{ -ENOENT,
		  "parent removed before",
		  { CLEAVE_INSERT_AFTER, fresh, rig_entry(rig, 0), 0, 2 } },
		{ -ERANGE, "last too large", { CLEAVE_INSERT, fresh, NULL, 1, UINT64_MAX } },
	};
	struct cleave_op many[CLEAVE_BATCH_MAX + 1];
	struct cleave_batch batch = { .ops = many, .count = CLEAVE_BATCH_MAX + 1 };

	if (!populate(rig, in))
		return false;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cleave_op ops[] = {
			{ CLEAVE_REMOVE, rig_entry(rig, 0), NULL, 0, 0 },
			{ CLEAVE_CHANGE, rig_entry(rig, 1), NULL, 500, 600 },
			{ CLEAVE_INSERT, fresh2, NULL, 700, 800 },
			bad[i].op,
		};
		int code;

		if (bad[i].code == -ERANGE && top == UINT64_MAX)
			continue;
		code = cleave_apply(rig->map, rig->thread, ops, 4);
		DEMAND(rig, code == bad[i].code, "%s: cleave_apply returned %d, not %d",
		       bad[i].what, code, bad[i].code);
		if (!unchanged(rig, in))
			return false;
	}
	/* A source that a later op inserts is none yet. */
	const struct cleave_op early[] = {
		{ CLEAVE_INSERT_NEAR, fresh, fresh2, 1, 2 },
		{ CLEAVE_INSERT, fresh2, NULL, 1, 2 },
	};
	DEMAND_CODE(rig, -ENOENT, cleave_apply(rig->map, rig->thread, early, 2));
	DEMAND_CODE(rig, -EINVAL, cleave_apply(rig->map, rig->thread, early, 0));
	for (unsigned i = 0; i < CLEAVE_BATCH_MAX + 1; i++)
		many[i] = (struct cleave_op) { CLEAVE_INSERT, rig_entry(rig, RESIDENTS + i), NULL,
					       i, i };
	DEMAND_CODE(rig, -E2BIG, cleave_prepare(rig->map, rig->thread, &batch));
	return unchanged(rig, in);
}

/* An entry of one map is none of another's. */
bool check_other_map(struct rig *rig)
{
	struct cleave_map *other;
	struct cleave_entry *entry = rig_entry(rig, 0), *fresh = rig_entry(rig, 1);
	int code[5];

	DEMAND_CODE(rig, 0, cleave_open(&other, rig->suite->env, rig->design, NULL));
	DEMAND_CODE(rig, 0, cleave_insert(rig->map, rig->thread, entry, 1, 2));
	code[0] = cleave_insert(other, rig->thread, entry, 1, 2);
	code[1] = cleave_remove(other, rig->thread, entry);
	code[2] = cleave_change(other, rig->thread, entry, 1, 3);
	code[3] = cleave_insert_after(other, rig->thread, entry, fresh);
	code[4] = cleave_insert_near(other, rig->thread, entry, fresh, 1, 2);
	bool empty = cleave_empty(other);

	/* Moved from one to the other it is an entry like any. */
	int removed = cleave_remove(rig->map, rig->thread, entry);
	cleave_synchronize(rig->map, rig->thread);
	int inserted = cleave_insert(other, rig->thread, entry, 4, 5);
	cleave_close(other);
	memset(entry, 0, rig->stride_bytes);
	DEMAND(rig,
	       code[0] == -EEXIST && code[1] == -ENOENT && code[2] == -ENOENT &&
		       code[3] == -ENOENT && code[4] == -ENOENT,
	       "another map's entry: insert %d, remove %d, change %d, after %d, near %d", code[0],
	       code[1], code[2], code[3], code[4]);
	DEMAND(rig, empty, "the other map is not empty");
	DEMAND(rig, !removed && !inserted, "moved: remove %d, insert %d", removed, inserted);
	return true;
}
