// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Batches: prepared and abandoned, chained, over many subsets, of the largest size. */
#include "checks.h"

#include <string.h>

bool check_abandon(struct rig *rig)
{
	bool in[RIG_ENTRIES] = { false };
	const struct cleave_op ops[] = {
		{ CLEAVE_INSERT, rig_entry(rig, 10), NULL, 5, 6 },
		{ CLEAVE_INSERT_AFTER, rig_entry(rig, 11), rig_entry(rig, 0), 0, 9 },
		{ CLEAVE_CHANGE, rig_entry(rig, 1), NULL, 100, 200 },
		{ CLEAVE_REMOVE, rig_entry(rig, 2), NULL, 0, 0 },
	};
	struct cleave_batch batch = { .ops = ops, .count = 4 };

	for (unsigned i = 0; i < 5; i++) {
		DEMAND_CODE(rig, 0,
			    cleave_insert(rig->map, rig->thread, rig_entry(rig, i), i, i + 9));
		in[i] = true;
	}
	for (unsigned i = 0; i < 3; i++) {
		DEMAND_CODE(rig, 0, cleave_prepare(rig->map, rig->thread, &batch));
		cleave_abandon(rig->map, rig->thread, &batch);
		if (!rig_sound(rig, in))
			return false;
	}
	/* Others come between prepare and commit. */
	DEMAND_CODE(rig, 0, cleave_prepare(rig->map, rig->thread, &batch));
	for (unsigned i = 20; i < 120; i++) {
		DEMAND_CODE(rig, 0,
			    cleave_insert(rig->map, rig->thread, rig_entry(rig, i), i % 7, i));
		in[i] = true;
	}
	cleave_commit(rig->map, rig->thread, &batch);
	in[10] = in[11] = true;
	in[2] = false;
	return rig_sound(rig, in);
}

/* Each op's source is what the op before inserted; all go where the first one went. */
bool check_chain(struct rig *rig)
{
	enum { LINKS = 12 };
	bool in[RIG_ENTRIES] = { false };
	struct cleave_op ops[LINKS + 2];
	struct visits visits;

	ops[0] = (struct cleave_op) { CLEAVE_INSERT, rig_entry(rig, 0), NULL, 50, 60 };
	for (unsigned i = 1; i < LINKS; i++) {
		ops[i] =
			(struct cleave_op) { i % 2 ? CLEAVE_INSERT_AFTER : CLEAVE_INSERT_NEAR,
					     rig_entry(rig, i), rig_entry(rig, i - 1), 50, 60 + i };
	}
	/* The resident changes; then a child of what it is by then; and then it goes. */
	DEMAND_CODE(rig, 0, cleave_insert(rig->map, rig->thread, rig_entry(rig, 30), 1, 2));
	ops[LINKS] = (struct cleave_op) { CLEAVE_CHANGE, rig_entry(rig, 30), NULL, 70, 80 };
	ops[LINKS + 1] = (struct cleave_op) { CLEAVE_INSERT_AFTER, rig_entry(rig, 31),
					      rig_entry(rig, 30), 70, 75 };
	DEMAND_CODE(rig, 0, cleave_apply(rig->map, rig->thread, ops, LINKS + 2));
	for (unsigned i = 0; i < LINKS; i++) {
		in[i] = true;
		DEMAND(rig, rig_entry(rig, i)->subset == rig_entry(rig, 0)->subset,
		       "link %u is in another subset than its source", i);
	}
	in[30] = in[31] = true;
	if (!rig_sound(rig, in))
		return false;
	if (rig->sink || !(rig->keeps & CLEAVE_C1_PARENT_BEFORE_CHILD) ||
	    !(rig->keeps & CLEAVE_C2_SOURCE_BEFORE_COPY))
		return true;
	DEMAND_CODE(rig, 0, rig_walk(rig, 50, 50, &visits));
	DEMAND(rig, visits.count == LINKS, "a walk visits %u of %u", visits.count, (unsigned)LINKS);
	for (unsigned i = 0; i < LINKS; i++)
		DEMAND(rig, visits.index[i] == i, "link %u comes at place %u", visits.index[i], i);
	return true;
}

/* Put entries 0 to count - 1 in, from CPU after CPU. */
static bool spread(struct rig *rig, unsigned count, bool *in)
{
	for (unsigned i = 0; i < count; i++) {
		cleave_thread_set_cpu(rig->thread, rig->suite->cpu[i % rig->suite->cpus]);
		DEMAND_CODE(rig, 0,
			    cleave_insert(rig->map, rig->thread, rig_entry(rig, i), i, i + 5));
		in[i] = true;
	}
	return true;
}

/* More subsets than fit on a scheme's stack, touched in an order that is not theirs. */
bool check_wide_batch(struct rig *rig)
{
	enum { WIDE = 48 };
	bool in[RIG_ENTRIES] = { false };
	struct cleave_op ops[2 * WIDE];
	unsigned count = 0;

	if (!spread(rig, WIDE, in))
		return false;
	for (unsigned i = 0; i < WIDE; i++) {
		unsigned at = (i * 29 + 5) % WIDE;

		if (i % 3 == 0) {
			ops[count++] = (struct cleave_op) { CLEAVE_REMOVE, rig_entry(rig, at), NULL,
							    0, 0 };
			in[at] = false;
			continue;
		}
		ops[count++] = (struct cleave_op) { CLEAVE_INSERT_NEAR, rig_entry(rig, WIDE + at),
						    rig_entry(rig, at), at + 1, at + 8 };
		in[WIDE + at] = true;
		ops[count++] = (struct cleave_op) { CLEAVE_CHANGE, rig_entry(rig, at), NULL, at + 2,
						    at + 3 };
	}
	DEMAND_CODE(rig, 0, cleave_apply(rig->map, rig->thread, ops, count));
	for (unsigned i = 0; i < WIDE; i++) {
		DEMAND(rig,
		       !in[WIDE + i] ||
			       rig_entry(rig, WIDE + i)->subset == rig_entry(rig, i)->subset,
		       "copy %u is not in its source's subset", i);
	}
	return rig_sound(rig, in);
}

bool check_largest_batch(struct rig *rig)
{
	bool in[RIG_ENTRIES] = { false };
	struct cleave_op ops[CLEAVE_BATCH_MAX];

	for (unsigned i = 0; i < CLEAVE_BATCH_MAX; i++) {
		ops[i] = (struct cleave_op) { CLEAVE_INSERT, rig_entry(rig, i), NULL, i / 3,
					      i / 3 + i % 40 };
		in[i] = true;
	}
	DEMAND_CODE(rig, 0, cleave_apply(rig->map, rig->thread, ops, CLEAVE_BATCH_MAX));
	if (!rig_sound(rig, in))
		return false;
	for (unsigned i = 0; i < CLEAVE_BATCH_MAX; i++) {
		ops[i] = (struct cleave_op) { i % 2 ? CLEAVE_REMOVE : CLEAVE_CHANGE,
					      rig_entry(rig, i), NULL, 1000 - i, 1000 };
		in[i] = i % 2 == 0;
	}
	DEMAND_CODE(rig, 0, cleave_apply(rig->map, rig->thread, ops, CLEAVE_BATCH_MAX));
	return rig_sound(rig, in);
}

/* Where entries go, and that they stay there (C7). */
bool check_subsets(struct rig *rig)
{
	unsigned subsets = cleave_subsets(rig->map);
	bool used[RIG_ENTRIES] = { false }, in[RIG_ENTRIES] = { false };
	/* Where they go is not the CPU's alone to say. */
	bool free = strstr(rig->design, "@hash") || cleave_phases(rig->map, NULL, 0);
	uint32_t subset[64];
	unsigned seen = 0;

	if (!spread(rig, 64, in))
		return false;
	for (unsigned i = 0; i < 64; i++) {
		subset[i] = rig_entry(rig, i)->subset;
		DEMAND(rig, subset[i] < subsets, "entry %u is in subset %u of %u", i, subset[i],
		       subsets);
		seen += !used[subset[i]];
		used[subset[i]] = true;
		DEMAND(rig,
		       free || i < rig->suite->cpus || subset[i] == subset[i % rig->suite->cpus],
		       "one CPU, two subsets");
	}
	DEMAND(rig, free || subsets > 16 || seen == subsets,
	       "entries of all CPUs go to %u of %u subsets", seen, subsets);
	for (unsigned i = 0; i < 64; i++) {
		cleave_thread_set_cpu(rig->thread, rig->suite->cpu[(i * 7 + 3) % rig->suite->cpus]);
		DEMAND_CODE(rig, 0,
			    cleave_change(rig->map, rig->thread, rig_entry(rig, i), 900 - i, 905));
		DEMAND_CODE(rig, 0,
			    cleave_insert_after(rig->map, rig->thread, rig_entry(rig, i),
						rig_entry(rig, 64 + i)));
		DEMAND_CODE(rig, 0,
			    cleave_insert_near(rig->map, rig->thread, rig_entry(rig, i),
					       rig_entry(rig, 128 + i), i, i));
		in[64 + i] = in[128 + i] = true;
		DEMAND(rig, rig_entry(rig, i)->subset == subset[i], "a change moved an entry");
		DEMAND(rig, rig_entry(rig, 64 + i)->subset == subset[i],
		       "a child is not in its parent's subset");
		DEMAND(rig, rig_entry(rig, 128 + i)->subset == subset[i],
		       "a copy is not in its source's subset");
	}
	if (!rig_sound(rig, in))
		return false;
	for (unsigned i = 0; i < 192; i++) {
		cleave_thread_set_cpu(rig->thread, rig->suite->cpu[(i * 5 + 1) % rig->suite->cpus]);
		DEMAND_CODE(rig, 0, cleave_remove(rig->map, rig->thread, rig_entry(rig, i)));
		in[i] = false;
	}
	return rig_sound(rig, in);
}
