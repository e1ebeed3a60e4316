// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t roll(struct oracle *oracle)
{
	/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
	uint64_t z = oracle->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t oracle_below(struct oracle *oracle, uint64_t n)
{
	return roll(oracle) % n;
}

static void *zeroed(size_t count, size_t size_bytes, size_t align_bytes)
{
	size_t bytes = (count * size_bytes + align_bytes - 1) / align_bytes * align_bytes;
	void *block = aligned_alloc(align_bytes, bytes);

	if (!block)
		abort();
	return memset(block, 0, bytes);
}

void oracle_open(struct oracle *oracle, unsigned people, unsigned subsets)
{
	oracle->people = people;
	oracle->subsets = subsets;
	oracle->twin = zeroed(people, sizeof(*oracle->twin), _Alignof(struct cleave_interval));
	oracle->touched = zeroed(people, sizeof(*oracle->touched), 64);
	oracle->subset = zeroed(people, sizeof(*oracle->subset), 64);
	oracle->stamp = zeroed(people, sizeof(*oracle->stamp), 64);
	oracle->cursor = zeroed(subsets, sizeof(*oracle->cursor), 64);
}

void oracle_close(struct oracle *oracle)
{
	free(oracle->twin);
	free(oracle->touched);
	free(oracle->subset);
	free(oracle->stamp);
	free(oracle->cursor);
}

/* ---- shapes ---- */

/* libc.so.6 as Debian 12 maps it: five ranges, however many processes there are. */
static void shape_libc(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	static const uint64_t ranges[5][2] = {
		{ 0, 37 }, { 38, 378 }, { 379, 464 }, { 464, 467 }, { 468, 469 }
	};
	unsigned i = (unsigned)oracle_below(oracle, 5);

	*start = ranges[i][0];
	*last = ranges[i][1];
}

/* 1 to 512 pages, each magnitude as likely. */
static void shape_random(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	*start = oracle_below(oracle, oracle->pages);
	*last = *start + oracle_below(oracle, 1u << oracle_below(oracle, 10));
}

static void shape_equal(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	(void)oracle;
	*start = 77;
	*last = 99;
}

static void shape_nested(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	*start = oracle_below(oracle, oracle->pages / 2);
	*last = oracle->pages - *start;
}

static void shape_disjoint(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	*start = 10 * oracle_below(oracle, oracle->pages / 10);
	*last = *start + 9;
}

static void shape_points(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	*start = oracle_below(oracle, oracle->pages / 8);
	*last = *start;
}

/* The whole range there is, halves of it, and its ends. */
static void shape_whole(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	uint64_t top = oracle->top;

	*start = oracle_below(oracle, 2) ? 0 : top - oracle_below(oracle, 3);
	*last = oracle_below(oracle, 2) ? top : *start + oracle_below(oracle, 3);
	if (*last < *start || *last > top)
		*last = top;
}

/* Long ones at the front, short ones behind: the maxima of subtrees matter. */
static void shape_stairs(struct oracle *oracle, uint64_t *start, uint64_t *last)
{
	*start = oracle_below(oracle, oracle->pages);
	*last = *start + (*start % 16 ? oracle_below(oracle, 2) : oracle->pages - *start);
}

const struct oracle_shape oracle_shapes[] = {
	{ "libc", shape_libc },	    { "random", shape_random },	    { "equal", shape_equal },
	{ "nested", shape_nested }, { "disjoint", shape_disjoint }, { "points", shape_points },
	{ "whole", shape_whole },   { "stairs", shape_stairs },	    { NULL, NULL },
};

/* ---- batches ---- */

/* In the map, and touched by none of the batch's ops so far; a later one may remove it. */
static unsigned find_source(struct oracle *oracle)
{
	unsigned at = (unsigned)oracle_below(oracle, oracle->people);

	for (unsigned i = 0; i < oracle->people; i++) {
		unsigned source = (at + i) % oracle->people;

		if (oracle->twin[source].entry.map_id && !oracle->touched[source])
			return source;
	}
	return oracle->people;
}

static void draw_removal(struct oracle *oracle, struct oracle_op *op)
{
	op->kind = oracle_below(oracle, 5) < 2 ? CLEAVE_CHANGE : CLEAVE_REMOVE;
	/* Where start stays it is done in place. */
	if (op->kind == CLEAVE_CHANGE && oracle_below(oracle, 2) &&
	    oracle->twin[op->entry].start <= op->last)
		op->start = oracle->twin[op->entry].start;
}

static void draw_insert(struct oracle *oracle, struct oracle_op *op)
{
	unsigned source = oracle_below(oracle, 3) ? oracle->people : find_source(oracle);

	op->kind = CLEAVE_INSERT;
	if (source == oracle->people)
		return;
	op->kind = CLEAVE_INSERT_NEAR;
	op->source = source;
	if (!oracle->children || !oracle_below(oracle, 2))
		return;
	op->kind = CLEAVE_INSERT_AFTER;
	op->start = oracle->twin[source].start;
	if (op->last < op->start)
		op->last = oracle->twin[source].last;
}

static bool draw_op(struct oracle *oracle, struct oracle_op *op)
{
	*op = (struct oracle_op) { .entry = (unsigned)oracle_below(oracle, oracle->people) };
	if (oracle->touched[op->entry])
		return false;
	oracle->touched[op->entry] = true;
	oracle->shape->fill(oracle, &op->start, &op->last);
	if (oracle->twin[op->entry].entry.map_id)
		draw_removal(oracle, op);
	else
		draw_insert(oracle, op);
	return true;
}

unsigned oracle_draw(struct oracle *oracle, struct oracle_op *ops)
{
	unsigned most = oracle_below(oracle, 4) ? 2 : ORACLE_OPS_MAX;
	unsigned wanted = 1 + (unsigned)oracle_below(oracle, most);
	unsigned count = 0;

	for (unsigned tries = 0; count < wanted && tries < 4 * ORACLE_OPS_MAX; tries++)
		count += draw_op(oracle, &ops[count]);
	for (unsigned i = 0; i < count; i++)
		oracle->touched[ops[i].entry] = false;
	return count;
}

void oracle_make_ops(const struct oracle_op *ops, unsigned count, struct cleave_op *made,
		     struct cleave_entry *(*entry_at)(void *arg, unsigned i), void *arg)
{
	for (unsigned i = 0; i < count; i++) {
		bool has_source =
			ops[i].kind == CLEAVE_INSERT_AFTER || ops[i].kind == CLEAVE_INSERT_NEAR;

		made[i] = (struct cleave_op) {
			.kind = ops[i].kind,
			.entry = entry_at(arg, ops[i].entry),
			.source = has_source ? entry_at(arg, ops[i].source) : NULL,
			.start = ops[i].start,
			.last = ops[i].last,
		};
	}
}

/* ---- comparing ---- */

static bool fail(struct oracle *oracle, const char *what, unsigned entry, uint64_t value,
		 uint64_t wanted)
{
	snprintf(oracle->why, sizeof(oracle->why), "%s: entry %u, [%llu, %llu]: %llu, not %llu",
		 what, entry, (unsigned long long)oracle->twin[entry].start,
		 (unsigned long long)oracle->twin[entry].last, (unsigned long long)value,
		 (unsigned long long)wanted);
	return false;
}

static bool compare_sets(struct oracle *oracle, const unsigned *seen, unsigned seen_count,
			 const unsigned *expected, unsigned expected_count)
{
	uint32_t walk = ++oracle->walks;

	for (unsigned i = 0; i < seen_count; i++) {
		if (oracle->stamp[seen[i]] == walk)
			return fail(oracle, "visits", seen[i], 2, 1);
		oracle->stamp[seen[i]] = walk;
	}
	for (unsigned i = 0; i < expected_count; i++) {
		if (oracle->stamp[expected[i]] != walk)
			return fail(oracle, "visits", expected[i], 0, 1);
		oracle->stamp[expected[i]] = 0;
	}
	for (unsigned i = 0; seen_count != expected_count; i++) {
		if (oracle->stamp[seen[i]] == walk)
			return fail(oracle, "visits", seen[i], 1, 0);
	}
	return true;
}

bool oracle_compare(struct oracle *oracle, const unsigned *seen, unsigned seen_count,
		    const unsigned *expected, unsigned expected_count)
{
	if (!compare_sets(oracle, seen, seen_count, expected, expected_count))
		return false;
	if (!oracle->ordered)
		return true;
	memset(oracle->cursor, 0, oracle->subsets * sizeof(*oracle->cursor));
	/* For each visit, the next that is expected of those in the same subset: as many are. */
	for (unsigned i = 0; i < seen_count; i++) {
		uint32_t subset = oracle->subset[seen[i]];
		unsigned *at = &oracle->cursor[subset];

		while (oracle->subset[expected[*at]] != subset)
			++*at;

		unsigned wanted = expected[(*at)++];

		if (oracle->twin[seen[i]].start != oracle->twin[wanted].start)
			return fail(oracle, "start of a visit", seen[i],
				    oracle->twin[seen[i]].start, oracle->twin[wanted].start);
		if (!oracle->children && seen[i] != wanted)
			return fail(oracle, "order of ties", seen[i], seen[i], wanted);
	}
	return true;
}
