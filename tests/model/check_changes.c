// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Designs that change while they run. With promote.2.0.0 one thread makes them change: a window is two
 * commits, none has to fail, and every look finds it quiet. So each state is there when it is wanted,
 * filled, drained and left; batches are prepared in one and committed in the other.
 */
#include "checks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fault.h"

enum { SPARE = RIG_ENTRIES - 1, FILL = 40, STEPS = 500, PHASES = 64 };

static bool is_split(const struct cleave_map *map)
{
	struct cleave_phase last = { 0 };

	return cleave_phases(map, &last, 1) && !strcmp(last.name, "split");
}

/* Insert the spare entry, or remove it. Returns: the code. */
static int step(struct rig *rig, struct cleave_map *map)
{
	struct cleave_entry *entry = rig_entry(rig, SPARE);
	int code = entry->map_id ? cleave_remove(map, rig->thread, entry) :
				   cleave_insert(map, rig->thread, entry, 7, 9);

	if (!entry->map_id)
		cleave_synchronize(map, rig->thread);
	return code;
}

static bool sound(struct rig *rig, bool *in)
{
	in[SPARE] = rig_entry(rig, SPARE)->map_id;
	return rig_sound(rig, in);
}

/* Walks make it fall back, commits make it do either. */
static bool go(struct rig *rig, bool split)
{
	struct visits visits;

	for (unsigned i = 0; i < STEPS && is_split(rig->map) != split; i++) {
		DEMAND_CODE(rig, 0, rig_walk(rig, 0, 1, &visits));
		if (is_split(rig->map) != split)
			DEMAND_CODE(rig, 0, step(rig, rig->map));
	}
	DEMAND(rig, is_split(rig->map) == split, "%s does not come",
	       split ? "that it is split" : "that it is whole");
	return true;
}

static bool insert(struct rig *rig, unsigned i, bool split, bool *in)
{
	if (!go(rig, split))
		return false;
	cleave_thread_set_cpu(rig->thread, rig->suite->cpu[i * 3 % rig->suite->cpus]);
	DEMAND_CODE(rig, 0, cleave_insert(rig->map, rig->thread, rig_entry(rig, i), i % 8, i));
	in[i] = true;
	DEMAND(rig, (rig_entry(rig, i)->subset != 0) == split, "%s, an entry goes to subset %u",
	       split ? "split" : "whole", rig_entry(rig, i)->subset);
	return true;
}

/* Odd ones while split, even ones while whole; changed and copied while it is the other. */
static bool fill(struct rig *rig, bool *in)
{
	for (unsigned i = 10; i < 10 + FILL; i++) {
		struct cleave_entry *entry = rig_entry(rig, i), *copy = rig_entry(rig, 100 + i);
		bool split = i % 2;

		if (!insert(rig, i, split, in) || !go(rig, !split))
			return false;
		uint32_t subset = entry->subset;
		DEMAND_CODE(rig, 0, cleave_change(rig->map, rig->thread, entry, 3, 300 - i));
		DEMAND_CODE(rig, 0, cleave_insert_after(rig->map, rig->thread, entry, copy));
		in[100 + i] = true;
		DEMAND(rig, entry->subset == subset && copy->subset == subset,
		       "it changed, and entries moved (C7)");
		if (!sound(rig, in))
			return false;
	}
	return true;
}

static bool drain(struct rig *rig, bool *in)
{
	for (unsigned i = 10; i < 10 + FILL; i++) {
		const struct cleave_op ops[] = {
			{ CLEAVE_REMOVE, rig_entry(rig, i), NULL, 0, 0 },
			{ CLEAVE_REMOVE, rig_entry(rig, 100 + (i + 1 - 10) % FILL + 10), NULL, 0, 0 },
		};

		if (!go(rig, i % 3))
			return false;
		DEMAND_CODE(rig, 0, cleave_apply(rig->map, rig->thread, ops, 2));
		cleave_synchronize(rig->map, rig->thread);
		in[i] = in[rig_index(rig, ops[1].entry)] = false;
		if (!sound(rig, in))
			return false;
	}
	return true;
}

/* Prepared in one state, and committed, abandoned or committed under a hold in the other. */
static bool carry(struct rig *rig, unsigned i, bool split, bool hold, bool *in)
{
	struct cleave_op ops[20];
	struct cleave_batch batch = { .ops = ops, .count = 20 };
	struct cleave_hold *held;

	for (unsigned k = 0; k < 20; k++)
		ops[k] = (struct cleave_op) { k % 2 ? CLEAVE_INSERT_NEAR : CLEAVE_INSERT,
					      rig_entry(rig, i + k), k % 2 ? ops[k - 1].entry : NULL,
					      40, 50 + k };
	for (unsigned turn = 0; turn < 2; turn++) {
		if (!go(rig, split))
			return false;
		DEMAND_CODE(rig, 0, cleave_prepare(rig->map, rig->thread, &batch));
		DEMAND(rig, (ops[0].entry->subset != 0) == split &&
				    ops[1].entry->subset == ops[0].entry->subset,
		       "%s, a batch goes to subsets %u and %u", split ? "split" : "whole",
		       ops[0].entry->subset, ops[1].entry->subset);
		if (!go(rig, !split))
			return false;
		if (turn)
			break;
		cleave_abandon(rig->map, rig->thread, &batch);
		if (!sound(rig, in))
			return false;
	}
	if (hold) {
		DEMAND_CODE(rig, 0, cleave_hold_begin(rig->map, rig->thread, CLEAVE_EXCLUSIVE, 0,
						      &held));
		DEMAND_CODE(rig, 0, cleave_hold_commit(held, &batch));
		struct visits visits = { .rig = rig };
		DEMAND_CODE(rig, 0, cleave_hold_walk(held, 45, 45, rig_visit, &visits));
		cleave_hold_end(held);
		DEMAND(rig, rig->sink || visits.count >= 20, "the hold sees %u of 20",
		       visits.count);
	} else {
		cleave_commit(rig->map, rig->thread, &batch);
	}
	for (unsigned k = 0; k < 20; k++)
		in[i + k] = true;
	if (!sound(rig, in) || !go(rig, split) || !sound(rig, in))
		return false;
	for (unsigned k = 0; k < 20; k++) {
		DEMAND_CODE(rig, 0, cleave_remove(rig->map, rig->thread, rig_entry(rig, i + k)));
		in[i + k] = false;
	}
	cleave_synchronize(rig->map, rig->thread);
	return sound(rig, in);
}

static bool told(struct rig *rig)
{
	struct cleave_phase phase[PHASES + 1];
	unsigned all = cleave_phases(rig->map, phase, PHASES + 1);

	DEMAND(rig, all > PHASES, "%u changes are too few for this check", all);
	for (unsigned i = 1; i < PHASES; i++) {
		bool split = !strcmp(phase[i].name, "split");

		DEMAND(rig, split == !strcmp(phase[i - 1].name, "whole"),
		       "%s follows upon %s", phase[i].name, phase[i - 1].name);
		DEMAND(rig, phase[i].at_ns >= phase[i - 1].at_ns, "a change comes before the last");
		DEMAND(rig, phase[i].reason && phase[i].reason[0], "a change has no reason");
		DEMAND(rig, phase[i].subsets == (split ? cleave_subsets(rig->map) - 1 : 1),
		       "%s, %u subsets", phase[i].name, phase[i].subsets);
	}
	DEMAND(rig, cleave_phases(rig->map, phase + 1, 3) == all &&
			    !memcmp(&phase[3], &phase[PHASES - 1], sizeof(phase[0])),
	       "the last three changes are others when fewer are asked for");
	return true;
}

/* The n-th allocation fails from when a new map is opened: it goes on, and changes later. */
static bool without_memory(struct rig *rig)
{
	bool failed = true;

	if (rig_entry(rig, SPARE)->map_id)
		DEMAND_CODE(rig, 0, step(rig, rig->map));
	for (unsigned n = 0; failed; n++) {
		struct cleave_phase phase[PHASES];
		struct cleave_map *map;
		bool said = false;

		DEMAND(rig, n < 2000, "more than 2000 allocations");
		DEMAND_CODE(rig, 0, cleave_open(&map, rig->suite->env, rig->design, NULL));
		fault_at(n);
		for (unsigned i = 0; i < 20; i++) {
			int code = step(rig, map);
			DEMAND(rig, !code || code == -ENOMEM, "a commit returned %d", code);
		}
		failed = fault_off();
		for (unsigned i = 0; i < STEPS && !is_split(map); i++)
			DEMAND_CODE(rig, 0, step(rig, map));
		DEMAND(rig, is_split(map), "allocation %u failed: it never splits", n);
		unsigned all = cleave_phases(map, phase, PHASES);
		for (unsigned i = 0; i < all && i < PHASES; i++)
			said |= strstr(phase[i].reason, "memory") != NULL;
		DEMAND(rig, failed || !said, "it says that there was no memory");
		if (rig_entry(rig, SPARE)->map_id)
			DEMAND_CODE(rig, 0, step(rig, map));
		cleave_close(map);
	}
	return true;
}

/* Before it first changes it takes little more than a map of one subset and lock. */
static bool modest(struct rig *rig)
{
	char design[128];
	struct cleave_map *map;

	snprintf(design, sizeof(design), "%s/one%s", rig->structure->name, strchr(rig->design, ':'));
	DEMAND_CODE(rig, 0, cleave_open(&map, rig->suite->env, design, NULL));
	size_t one = cleave_memory(map), whole = cleave_memory(rig->map);
	cleave_close(map);
	/* The partition's tables and a pointer for each, which all schemes have, and its state. */
	size_t tables = rig->suite->cpus * 4 + cleave_subsets(rig->map) * 12;
	DEMAND(rig, rig->structure->kind != CLEAVE_SEQUENTIAL || whole <= one + tables + 8 * 64,
	       "whole it takes %zu bytes, and %zu under scheme one", whole, one);
	if (!go(rig, true))
		return false;
	DEMAND(rig, cleave_memory(rig->map) >= whole + (cleave_subsets(rig->map) - 1) * 64,
	       "split it takes %zu bytes, and %zu whole", cleave_memory(rig->map), whole);
	return true;
}

bool check_changes(struct rig *rig)
{
	bool in[RIG_ENTRIES] = { false };
	bool hold = rig->keeps & CLEAVE_C6_LONG_HOLDS;

	if (!cleave_phases(rig->map, NULL, 0))
		return true;
	if (!strstr(rig->design, ".2.0.0") || cleave_subsets(rig->map) == 1) {
		for (unsigned i = 0; i < 10 * STEPS; i++)
			DEMAND_CODE(rig, 0, step(rig, rig->map));
		DEMAND(rig, cleave_phases(rig->map, NULL, 0) == 1, "alone, it changes");
		return sound(rig, in);
	}
	return modest(rig) && fill(rig, in) && carry(rig, 200, true, false, in) &&
	       carry(rig, 200, false, false, in) && (!hold || carry(rig, 200, true, true, in)) &&
	       (!hold || carry(rig, 200, false, true, in)) && drain(rig, in) && go(rig, true) &&
	       sound(rig, in) && told(rig) && without_memory(rig);
}
