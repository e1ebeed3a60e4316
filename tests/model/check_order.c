// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Order, as one thread sees it: parents before children, sources before copies, ties. */
#include "checks.h"

#include <string.h>

/* place[i]: which visit of the walk entry i was, from 1; 0: none. */
static bool places(struct rig *rig, uint64_t page, unsigned *place)
{
	struct visits visits;

	memset(place, 0, RIG_ENTRIES * sizeof(*place));
	DEMAND_CODE(rig, 0, rig_walk(rig, page, page, &visits));
	for (unsigned i = 0; i < visits.count; i++)
		place[visits.index[i]] = i + 1;
	return true;
}

static uint64_t roll(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

/*
 * A crowd of relatives and strangers that all start at one page, from all CPUs, in which members
 * come and go. After each step every child that is in is visited behind its parent, if that is in
 * too and neither was changed since.
 */
static bool crowd(struct rig *rig, enum cleave_op_kind kind)
{
	enum { CROWD = 60, STEPS = 240, NOBODY = RIG_ENTRIES };
	unsigned parent[CROWD], place[RIG_ENTRIES];
	uint64_t state = rig->suite->seed;

	for (unsigned i = 0; i < CROWD; i++)
		parent[i] = NOBODY;
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned at = (unsigned)(roll(&state) % CROWD);
		unsigned from = (unsigned)(roll(&state) % CROWD);
		struct cleave_entry *entry = rig_entry(rig, at), *source = rig_entry(rig, from);

		cleave_thread_set_cpu(rig->thread,
				      rig->suite->cpu[roll(&state) % rig->suite->cpus]);
		if (entry->map_id) {
			DEMAND_CODE(rig, 0, cleave_remove(rig->map, rig->thread, entry));
			cleave_synchronize(rig->map, rig->thread);
			parent[at] = NOBODY;
			for (unsigned i = 0; i < CROWD; i++)
				parent[i] = parent[i] == at ? NOBODY : parent[i];
		} else if (!source->map_id) {
			DEMAND_CODE(rig, 0,
				    cleave_insert(rig->map, rig->thread, entry, 20,
						  20 + roll(&state) % 9));
		} else {
			struct cleave_op op = { kind, entry, source, 20, 20 + roll(&state) % 9 };

			DEMAND_CODE(rig, 0, cleave_apply(rig->map, rig->thread, &op, 1));
			parent[at] = from;
		}
		if (!places(rig, 20, place))
			return false;
		for (unsigned i = 0; i < CROWD; i++) {
			DEMAND(rig, parent[i] == NOBODY || place[parent[i]] < place[i],
			       "step %u: %u, put behind %u, is visited before it", step, i,
			       parent[i]);
			DEMAND(rig, !place[i] == !rig_entry(rig, i)->map_id,
			       "step %u: entry %u is %s", step, i, place[i] ? "visited" : "missed");
		}
	}
	return true;
}

bool check_children(struct rig *rig)
{
	return rig->sink || crowd(rig, CLEAVE_INSERT_AFTER);
}

bool check_copies(struct rig *rig)
{
	return rig->sink || crowd(rig, CLEAVE_INSERT_NEAR);
}

/* What CLEAVE_ORDERED says, of a subset: by start, ties in the order of insertion. */
bool check_ties(struct rig *rig)
{
	enum { MANY = 90 };
	bool in[RIG_ENTRIES] = { false };
	struct visits visits;

	if (!rig->ordered)
		return true;
	/* start = i % 3: three piles of ties, inserted in turn, and some removed. */
	for (unsigned i = 0; i < MANY; i++) {
		DEMAND_CODE(rig, 0,
			    cleave_insert(rig->map, rig->thread, rig_entry(rig, i), i % 3,
					  i % 3 + i % 11));
		in[i] = true;
	}
	for (unsigned i = 0; i < MANY; i += 7) {
		DEMAND_CODE(rig, 0, cleave_remove(rig->map, rig->thread, rig_entry(rig, i)));
		in[i] = false;
	}
	if (!rig_sound(rig, in))
		return false;
	DEMAND_CODE(rig, 0, rig_walk(rig, 0, 100, &visits));
	for (unsigned i = 1; i < visits.count; i++) {
		unsigned before = visits.index[i - 1], at = visits.index[i];

		if (rig_entry(rig, before)->subset != rig_entry(rig, at)->subset)
			continue;
		DEMAND(rig, before % 3 < at % 3 || (before % 3 == at % 3 && before < at),
		       "%u, start %u, is visited before %u, start %u", before, before % 3, at,
		       at % 3);
	}
	return true;
}
