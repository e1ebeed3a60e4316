// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Random batches, done to the map and to brute_array alike, over several shapes of ranges. What
 * walks visit is compared: as a set always; as a sequence, subset by subset, where the structure
 * is ordered and no child was inserted (a child's place among ties is the structure's choice).
 */
#include "checks.h"

#include <stdlib.h>
#include <string.h>

enum { PEOPLE = 160, OPS_MAX = 12 };

struct oracle {
	struct rig *rig;
	struct cleave_map *map;
	struct cleave_interval *twin; /* [PEOPLE] */
	uint64_t state, top;
	unsigned shape;
	bool children;
	bool touched[PEOPLE]; /* by the batch under construction */
};

static uint64_t roll(struct oracle *oracle)
{
	/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
	uint64_t z = oracle->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t below(struct oracle *oracle, uint64_t n)
{
	return roll(oracle) % n;
}

/* ---- shapes: each fills in a range below the oracle's `top` ---- */

typedef void shape_fn(struct oracle *oracle, uint64_t *start, uint64_t *last);

/* libc.so.6 as Debian 12 maps it: five ranges, however many processes there are. */
static void shape_libc(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	static const uint64_t ranges[5][2] = {
		{ 0, 37 }, { 38, 378 }, { 379, 464 }, { 464, 467 }, { 468, 469 }
	};
	unsigned i = (unsigned)below(oracle, 5);

	*start = ranges[i][0];
	*last = ranges[i][1];
}

static void shape_random(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	*start = below(oracle, 400);
	*last = *start + below(oracle, 1u << below(oracle, 9));
}

static void shape_equal(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	(void)oracle;
	*start = 77;
	*last = 99;
}

static void shape_nested(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	*start = below(oracle, 200);
	*last = 400 - *start;
}

static void shape_disjoint(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	*start = 10 * below(oracle, 60);
	*last = *start + 9;
}

static void shape_points(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	*start = below(oracle, 50);
	*last = *start;
}

/* The whole range there is, halves of it, and its ends. */
static void shape_whole(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	uint64_t top = oracle->top;

	*start = below(oracle, 2) ? 0 : top - below(oracle, 3);
	*last = below(oracle, 2) ? top : *start + below(oracle, 3);
	if (*last < *start || *last > top)
		*last = top;
}

/* Long ones at the front, short ones behind: the maxima of subtrees matter. */
static void shape_stairs(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	*start = below(oracle, 300);
	*last = *start + (*start % 16 ? below(oracle, 2) : 300 - *start);
}

static const struct {
	const char *name;
	shape_fn *fill;
} shapes[] = {
	{ "libc", shape_libc },	    { "random", shape_random },	    { "equal", shape_equal },
	{ "nested", shape_nested }, { "disjoint", shape_disjoint }, { "points", shape_points },
	{ "whole", shape_whole },   { "stairs", shape_stairs },
};

enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

/* ---- comparing ---- */

struct twin_visits {
	struct oracle *oracle;
	unsigned count;
	unsigned index[PEOPLE];
};

static int visit_twin(struct cleave_entry *entry, void *arg)
{
	struct twin_visits *visits = arg;

	visits->index[visits->count++] =
		(unsigned)((struct cleave_interval *)entry - visits->oracle->twin);
	return 0;
}

static bool compare_sets(struct oracle *oracle, const struct visits *seen,
			 const struct twin_visits *expected)
{
	unsigned times[RIG_ENTRIES] = { 0 };

	for (unsigned i = 0; i < seen->count; i++)
		times[seen->index[i]]++;
	for (unsigned i = 0; i < expected->count; i++) {
		struct cleave_interval *twin = &oracle->twin[expected->index[i]];

		DEMAND(oracle->rig, times[expected->index[i]] == 1,
		       "entry %u, [%llu, %llu], was visited %u times, not once", expected->index[i],
		       (unsigned long long)twin->start, (unsigned long long)twin->last,
		       times[expected->index[i]]);
	}
	DEMAND(oracle->rig, seen->count == expected->count, "%u visits, not %u", seen->count,
	       expected->count);
	return true;
}

static bool compare_order(struct oracle *oracle, const struct visits *seen,
			  const struct twin_visits *expected)
{
	struct rig *rig = oracle->rig;
	unsigned done[RIG_ENTRIES];
	unsigned subsets = cleave_subsets(rig->map);

	memset(done, 0, sizeof(done));
	/* For each visit, the next that brute_array visits of those in the same subset. */
	for (unsigned i = 0; i < seen->count; i++) {
		uint32_t subset = rig_entry(rig, seen->index[i])->subset;
		unsigned at = subsets <= RIG_ENTRIES ? done[subset] : 0;

		while (rig_entry(rig, expected->index[at])->subset != subset)
			at++;
		if (subsets <= RIG_ENTRIES)
			done[subset] = at + 1;
		uint64_t start = oracle->twin[seen->index[i]].start;
		uint64_t wanted = oracle->twin[expected->index[at]].start;

		DEMAND(rig, start == wanted, "visit %u of subset %u starts at %llu, not %llu", i,
		       subset, (unsigned long long)start, (unsigned long long)wanted);
		DEMAND(rig, oracle->children || seen->index[i] == expected->index[at],
		       "visit %u of subset %u is entry %u, not %u, of those that start at %llu", i,
		       subset, seen->index[i], expected->index[at], (unsigned long long)start);
	}
	return true;
}

static bool compare(struct oracle *oracle, uint64_t start, uint64_t last)
{
	struct rig *rig = oracle->rig;
	struct twin_visits expected = { .oracle = oracle };
	struct visits seen;

	DEMAND_CODE(rig, 0, rig_walk(rig, start, last, &seen));
	DEMAND_CODE(rig, 0,
		    cleave_walk(oracle->map, rig->thread, start, last, 0, visit_twin, &expected));
	DEMAND(rig, !seen.overflow, "a walk makes more visits than there are entries");
	return compare_sets(oracle, &seen, &expected) &&
	       (!rig->ordered || compare_order(oracle, &seen, &expected));
}

static bool compare_bounds(struct oracle *oracle)
{
	struct rig *rig = oracle->rig;

	for (unsigned i = 0; i < PEOPLE; i++) {
		const struct cleave_interval *twin = &oracle->twin[i];
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

/* In the map, and touched by none of the batch's ops so far; a later one may remove it. */
static unsigned find_source(struct oracle *oracle)
{
	unsigned at = (unsigned)below(oracle, PEOPLE);

	for (unsigned i = 0; i < PEOPLE; i++) {
		unsigned source = (at + i) % PEOPLE;

		if (oracle->twin[source].entry.map_id && !oracle->touched[source])
			return source;
	}
	return PEOPLE;
}

static bool make_op(struct oracle *oracle, struct cleave_op *op, struct cleave_op *twin_op)
{
	struct rig *rig = oracle->rig;
	unsigned at = (unsigned)below(oracle, PEOPLE);
	unsigned source = PEOPLE;

	if (oracle->touched[at])
		return false;
	oracle->touched[at] = true;
	*op = (struct cleave_op) { .entry = rig_entry(rig, at) };
	shapes[oracle->shape].fill(oracle, &op->start, &op->last);
	if (op->entry->map_id) {
		op->kind = below(oracle, 5) < 2 ? CLEAVE_CHANGE : CLEAVE_REMOVE;
		/* Where start stays it is done in place. */
		if (op->kind == CLEAVE_CHANGE && below(oracle, 2) &&
		    oracle->twin[at].start <= op->last)
			op->start = oracle->twin[at].start;
	} else {
		op->kind = CLEAVE_INSERT;
		if (below(oracle, 3) == 0)
			source = find_source(oracle);
		if (source < PEOPLE) {
			op->kind = CLEAVE_INSERT_NEAR;
			op->source = rig_entry(rig, source);
			if (oracle->children && below(oracle, 2)) {
				op->kind = CLEAVE_INSERT_AFTER;
				op->start = oracle->twin[source].start;
				if (op->last < op->start)
					op->last = oracle->twin[source].last;
			}
		}
	}
	*twin_op = *op;
	twin_op->entry = &oracle->twin[at].entry;
	twin_op->source = source < PEOPLE ? &oracle->twin[source].entry : NULL;
	return true;
}

static bool step(struct oracle *oracle)
{
	struct rig *rig = oracle->rig;
	struct cleave_op ops[OPS_MAX], twin_ops[OPS_MAX];
	unsigned wanted = 1 + (unsigned)below(oracle, below(oracle, 4) ? 2 : OPS_MAX);
	unsigned count = 0;

	memset(oracle->touched, 0, sizeof(oracle->touched));
	for (unsigned tries = 0; count < wanted && tries < 4 * OPS_MAX; tries++)
		count += make_op(oracle, &ops[count], &twin_ops[count]);
	cleave_thread_set_cpu(rig->thread, rig->suite->cpu[below(oracle, rig->suite->cpus)]);
	DEMAND_CODE(rig, 0, cleave_apply(rig->map, rig->thread, ops, count));
	DEMAND_CODE(rig, 0, cleave_apply(oracle->map, rig->thread, twin_ops, count));
	cleave_synchronize(rig->map, rig->thread);
	return true;
}

static bool run_shape(struct oracle *oracle)
{
	struct rig *rig = oracle->rig;
	struct cleave_error error = { "" };

	for (unsigned i = 0; i < rig->suite->batches; i++) {
		uint64_t start, last;

		if (!step(oracle))
			return false;
		shapes[oracle->shape].fill(oracle, &start, &last);
		if (below(oracle, 2))
			last = start;
		if (!compare(oracle, start, last) ||
		    (last < UINT64_MAX && last > 0 && !compare(oracle, last - 1, last + 1)))
			return false;
		if (i % 16 && i + 1 < rig->suite->batches)
			continue;
		DEMAND(rig, !cleave_validate(rig->map, &error), "%s", error.text);
		DEMAND(rig, cleave_empty(rig->map) == cleave_empty(oracle->map),
		       "cleave_empty is wrong");
		if (!compare(oracle, 0, UINT64_MAX) || !compare_bounds(oracle))
			return false;
	}
	return true;
}

static bool drain(struct oracle *oracle)
{
	struct rig *rig = oracle->rig;
	struct cleave_error error = { "" };
	unsigned at = (unsigned)below(oracle, PEOPLE);

	/* In some order, with a look now and then: rebalancing on the way down counts too. */
	for (unsigned i = 0; i < PEOPLE; i++) {
		at = (at + 47) % PEOPLE;
		if (!oracle->twin[at].entry.map_id)
			continue;
		DEMAND_CODE(rig, 0, cleave_remove(rig->map, rig->thread, rig_entry(rig, at)));
		DEMAND_CODE(rig, 0,
			    cleave_remove(oracle->map, rig->thread, &oracle->twin[at].entry));
		DEMAND(rig, i % 16 || !cleave_validate(rig->map, &error), "%s", error.text);
	}
	cleave_synchronize(rig->map, rig->thread);
	DEMAND(rig, cleave_empty(rig->map), "not empty with all removed");
	return compare(oracle, 0, UINT64_MAX);
}

static bool run_all(struct oracle *oracle)
{
	struct rig *rig = oracle->rig;

	for (unsigned i = 0; i < 2 * SHAPES; i++) {
		oracle->shape = i / 2;
		oracle->children = i % 2;
		oracle->state = rig->suite->seed * 1000 + i;
		if (!run_shape(oracle) || !drain(oracle)) {
			size_t used = strlen(rig->why);

			if (used < sizeof(rig->why) - 40) {
				strcat(rig->why, " (shape ");
				strcat(rig->why, shapes[oracle->shape].name);
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
	struct oracle oracle = { .rig = rig, .top = cleave_last_max(rig->map) };
	bool good;

	if (rig->sink)
		return true;
	oracle.twin =
		aligned_alloc(_Alignof(struct cleave_interval), PEOPLE * sizeof(*oracle.twin));
	memset(oracle.twin, 0, PEOPLE * sizeof(*oracle.twin));
	DEMAND_CODE(rig, 0,
		    cleave_open(&oracle.map, rig->suite->env, "brute_array/one:none", NULL));
	good = run_all(&oracle);
	cleave_close(oracle.map);
	free(oracle.twin);
	return good;
}
