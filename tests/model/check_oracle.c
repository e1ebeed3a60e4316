// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Random batches, done to the map and to brute_array alike, over several shapes of ranges: what
 * walks visit has to agree. long_oracle.c does it at length, for one design of each structure.
 */
#include "checks.h"

#include <string.h>

#include "oracle.h"

enum { PEOPLE = 160 };

struct pair {
	struct oracle oracle;
	struct rig *rig;
	struct cleave_map *twins; /* brute_array, of the oracle's twin */
};

static struct cleave_entry *entry_at(void *arg, unsigned i)
{
	struct pair *pair = arg;

	return rig_entry(pair->rig, i);
}

static struct cleave_entry *twin_at(void *arg, unsigned i)
{
	struct pair *pair = arg;

	return &pair->oracle.twin[i].entry;
}

/* ---- comparing ---- */

struct twin_visits {
	struct pair *pair;
	unsigned count;
	unsigned index[PEOPLE];
};

static int visit_twin(struct cleave_entry *entry, void *arg)
{
	struct twin_visits *visits = arg;

	visits->index[visits->count++] =
		(unsigned)((struct cleave_interval *)entry - visits->pair->oracle.twin);
	return 0;
}

static bool compare(struct pair *pair, uint64_t start, uint64_t last)
{
	struct rig *rig = pair->rig;
	struct twin_visits expected = { .pair = pair };
	struct visits seen;

	DEMAND_CODE(rig, 0, rig_walk(rig, start, last, &seen));
	DEMAND_CODE(rig, 0,
		    cleave_walk(pair->twins, rig->thread, start, last, 0, visit_twin, &expected));
	DEMAND(rig, !seen.overflow, "a walk makes more visits than there are entries");
	for (unsigned i = 0; i < seen.count; i++)
		DEMAND(rig, seen.index[i] < PEOPLE, "a walk visits what is no entry");
	DEMAND(rig,
	       oracle_compare(&pair->oracle, seen.index, seen.count, expected.index,
			      expected.count),
	       "%s", pair->oracle.why);
	return true;
}

static bool compare_bounds(struct pair *pair)
{
	struct rig *rig = pair->rig;

	for (unsigned i = 0; i < PEOPLE; i++) {
		const struct cleave_interval *twin = &pair->oracle.twin[i];
		uint64_t start, last;

		if (!twin->entry.map_id)
			continue;
		cleave_bounds(rig->map, rig_entry(rig, i), &start, &last);
		DEMAND(rig, start == twin->start && last == twin->last,
		       "entry %u has bounds [%llu, %llu], not [%llu, %llu]", i,
		       (unsigned long long)start, (unsigned long long)last,
		       (unsigned long long)twin->start, (unsigned long long)twin->last);
	}
	return true;
}

/* ---- updating ---- */

static bool step(struct pair *pair)
{
	struct rig *rig = pair->rig;
	struct oracle *oracle = &pair->oracle;
	struct oracle_op drawn[ORACLE_OPS_MAX];
	struct cleave_op ops[ORACLE_OPS_MAX], twin_ops[ORACLE_OPS_MAX];
	unsigned count = oracle_draw(oracle, drawn);

	oracle_make_ops(drawn, count, ops, entry_at, pair);
	oracle_make_ops(drawn, count, twin_ops, twin_at, pair);
	cleave_thread_set_cpu(rig->thread, rig->suite->cpu[oracle_below(oracle, rig->suite->cpus)]);
	DEMAND_CODE(rig, 0, cleave_apply(rig->map, rig->thread, ops, count));
	DEMAND_CODE(rig, 0, cleave_apply(pair->twins, rig->thread, twin_ops, count));
	for (unsigned i = 0; i < count; i++)
		oracle->subset[drawn[i].entry] = ops[i].entry->subset;
	cleave_synchronize(rig->map, rig->thread);
	return true;
}

static bool run_shape(struct pair *pair)
{
	struct rig *rig = pair->rig;
	struct oracle *oracle = &pair->oracle;
	struct cleave_error error = { "" };

	for (unsigned i = 0; i < rig->suite->batches; i++) {
		uint64_t start, last;

		if (!step(pair))
			return false;
		oracle->shape->fill(oracle, &start, &last);
		if (oracle_below(oracle, 2))
			last = start;
		if (!compare(pair, start, last) ||
		    (last < UINT64_MAX && last > 0 && !compare(pair, last - 1, last + 1)))
			return false;
		if (i % 16 && i + 1 < rig->suite->batches)
			continue;
		DEMAND(rig, !cleave_validate(rig->map, &error), "%s", error.text);
		DEMAND(rig, cleave_empty(rig->map) == cleave_empty(pair->twins),
		       "cleave_empty is wrong");
		if (!compare(pair, 0, UINT64_MAX) || !compare_bounds(pair))
			return false;
	}
	return true;
}

static bool drain(struct pair *pair)
{
	struct rig *rig = pair->rig;
	struct cleave_error error = { "" };
	unsigned at = (unsigned)oracle_below(&pair->oracle, PEOPLE);

	/* In some order, with a look now and then: rebalancing on the way down counts too. */
	for (unsigned i = 0; i < PEOPLE; i++) {
		at = (at + 47) % PEOPLE;
		if (!pair->oracle.twin[at].entry.map_id)
			continue;
		DEMAND_CODE(rig, 0, cleave_remove(rig->map, rig->thread, rig_entry(rig, at)));
		DEMAND_CODE(rig, 0, cleave_remove(pair->twins, rig->thread, twin_at(pair, at)));
		DEMAND(rig, i % 16 || !cleave_validate(rig->map, &error), "%s", error.text);
	}
	cleave_synchronize(rig->map, rig->thread);
	DEMAND(rig, cleave_empty(rig->map), "not empty with all removed");
	return compare(pair, 0, UINT64_MAX);
}

static bool run_all(struct pair *pair)
{
	struct rig *rig = pair->rig;
	struct oracle *oracle = &pair->oracle;

	for (unsigned i = 0; oracle_shapes[i / 2].name; i++) {
		oracle->shape = &oracle_shapes[i / 2];
		oracle->children = i % 2;
		oracle->state = rig->suite->seed * 1000 + i;
		if (!run_shape(pair) || !drain(pair)) {
			size_t used = strlen(rig->why);

			if (used < sizeof(rig->why) - 40) {
				strcat(rig->why, " (shape ");
				strcat(rig->why, oracle->shape->name);
				strcat(rig->why, oracle->children ? ", children)" : ")");
			}
			return false;
		}
		if (rig->suite->progress)
			__atomic_add_fetch(rig->suite->progress, 1, __ATOMIC_RELAXED);
	}
	return true;
}

bool check_oracle(struct rig *rig)
{
	struct pair pair = {
		.oracle = {
			.top = cleave_last_max(rig->map),
			.pages = 400,
			.ordered = rig->ordered,
		},
		.rig = rig,
	};
	bool good;

	if (rig->sink)
		return true;
	DEMAND_CODE(rig, 0,
		    cleave_open(&pair.twins, rig->suite->env, "brute_array/one:none", NULL));
	oracle_open(&pair.oracle, PEOPLE, cleave_subsets(rig->map));
	good = run_all(&pair);
	cleave_close(pair.twins);
	oracle_close(&pair.oracle);
	return good;
}
