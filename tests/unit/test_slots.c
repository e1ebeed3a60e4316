// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * sharded_array: each vector variant that this CPU has against the bounds themselves; order, bounds
 * at both ends, and what its memory, its squeezing and its validate promise. The vtable is called
 * directly.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "structures/slot_array.h"

extern const struct cleave_structure cleave_sharded_array;

static const struct cleave_structure *const s = &cleave_sharded_array;

static uint64_t state = 1;

static uint64_t roll(uint64_t n)
{
	/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31)) % n;
}

/* Near the ends of 64 bits, of what slots tell apart, or of nothing. */
static uint64_t roll_bound(void)
{
	static const uint64_t near[] = { 0,	       40,	       UINT32_MAX / 2,
					 UINT32_MAX,   UINT64_MAX / 2, UINT64_MAX - 6,
					 CLV_SLOT_TOP, 1000 };

	return near[roll(sizeof(near) / sizeof(near[0]))] + roll(13) - 6 * (roll(4) != 0);
}

static void roll_range(uint64_t *start, uint64_t *last)
{
	uint64_t a = roll_bound(), b = roll_bound();

	*start = a < b ? a : b;
	*last = a < b ? b : a;
}

/* ---- comparing ---- */

Test(slots, variants_agree)
{
	struct clv_slot_group *group =
		aligned_alloc(CLV_SLOT_LINE_BYTES, CLV_SLOT_GROUPS_MAX * sizeof(*group));
	unsigned variants = 0;

	while (clv_slot_match_at(variants))
		variants++;
	printf("%u variants\n", variants);
	for (unsigned round = 0; round < 20000; round++) {
		unsigned groups = 1 + (unsigned)roll(CLV_SLOT_GROUPS_MAX);
		uint64_t expected[CLV_SLOT_HITS_WORDS] = { 0 };
		uint64_t first, last, from_start, from_last;

		roll_range(&first, &last);
		for (unsigned i = 0; i < groups * CLV_SLOTS; i++) {
			bool hole = roll(4) == 0;
			uint32_t from, to;

			roll_range(&from_start, &from_last);
			from = hole ? CLV_SLOT_HOLE : clv_slot_from(from_start);
			to = clv_slot_cut(from_last);
			group[i / CLV_SLOTS].from[i % CLV_SLOTS] = from;
			group[i / CLV_SLOTS].to[i % CLV_SLOTS] = to;
			/* As 64-bit numbers, and what is cut as if it were all one page. */
			if (!hole && clv_slot_cut(from_start) <= clv_slot_cut(last) &&
			    clv_slot_cut(from_last) >= clv_slot_cut(first))
				expected[i / 64] |= UINT64_C(1) << i % 64;
		}
		for (unsigned v = 0; v < variants; v++) {
			uint64_t hits[CLV_SLOT_HITS_WORDS];
			unsigned words = (groups + CLV_SLOT_GROUPS_A_WORD - 1) /
					 CLV_SLOT_GROUPS_A_WORD;

			memset(hits, 0xa5, sizeof(hits));
			clv_slot_match_at(v)(group, groups, clv_slot_from(last),
					     clv_slot_cut(first), hits);
			cr_assert_eq(memcmp(hits, expected, words * sizeof(*hits)), 0,
				     "variant %u of %u, round %u", v, variants, round);
		}
	}
	free(group);
}

/* ---- a structure with entries ---- */

struct bench {
	struct clv_slot_array *array;
	struct cleave_interval *entry;
	unsigned count;
	uint64_t *turn; /* [count]: 0, not in; else when it was put in */
	uint64_t turns;
	bool memory; /* is prepare called? */
};

static struct bench set_up(unsigned count)
{
	struct cleave_structure_config config = { .subsets = 1, .node = -1 };
	struct bench b = { .count = count, .memory = true };
	void *self;

	cr_assert_eq(s->create(&self, &config), 0);
	b.array = self;
	b.entry = aligned_alloc(64, count * sizeof(*b.entry));
	memset(b.entry, 0, count * sizeof(*b.entry));
	b.turn = calloc(count, sizeof(*b.turn));
	return b;
}

static void tear_down(struct bench *b)
{
	s->destroy(b->array);
	free(b->entry);
	free(b->turn);
}

/* As a map does it. `kind` is INSERT, REMOVE or CHANGE. */
static void apply(struct bench *b, enum cleave_op_kind kind, unsigned i, uint64_t start,
		  uint64_t last)
{
	struct cleave_op op = { kind, &b->entry[i].entry, NULL, start, last };
	struct cleave_update update = { NULL, NULL };
	bool moves = kind == CLEAVE_INSERT || (kind == CLEAVE_CHANGE && b->entry[i].start != start);

	if (b->memory)
		cr_assert_eq(s->prepare(b->array, NULL, &op, 1, &update.reserve), 0);
	if (kind == CLEAVE_INSERT)
		s->insert(b->array, &update, op.entry, NULL, start, last);
	else if (kind == CLEAVE_REMOVE)
		s->remove(b->array, &update, op.entry);
	else
		s->change(b->array, &update, op.entry, start, last);
	if (update.reserve)
		s->settle(b->array, NULL, update.reserve);
	if (kind == CLEAVE_REMOVE)
		b->turn[i] = 0;
	else if (moves)
		b->turn[i] = ++b->turns;
}

struct seen {
	struct bench *b;
	uint64_t start, last, turn;
	unsigned count;
};

static int see(struct cleave_entry *entry, void *arg)
{
	struct seen *seen = arg;
	struct cleave_interval *interval = (struct cleave_interval *)entry;
	uint64_t turn = seen->b->turn[interval - seen->b->entry];

	cr_assert(interval->start <= seen->last && interval->last >= seen->start,
		  "[%llu, %llu] does not overlap [%llu, %llu]",
		  (unsigned long long)interval->start, (unsigned long long)interval->last,
		  (unsigned long long)seen->start, (unsigned long long)seen->last);
	cr_assert_gt(turn, seen->turn, "out of order, twice, or not in");
	seen->turn = turn;
	seen->count++;
	return 0;
}

static void check(struct bench *b, uint64_t start, uint64_t last)
{
	struct seen seen = { b, start, last, 0, 0 };
	const char *reason = s->validate(b->array);
	unsigned expected = 0, in = 0;

	cr_assert_null(reason, "%s", reason);
	cr_assert_eq(s->walk(b->array, NULL, 0, start, last, see, &seen), 0);
	for (unsigned i = 0; i < b->count; i++) {
		in += b->turn[i] != 0;
		expected += b->turn[i] && b->entry[i].start <= last && b->entry[i].last >= start;
	}
	cr_assert_eq(seen.count, expected, "%u visits, not %u", seen.count, expected);
	cr_assert_eq(s->empty(b->array), !in);
}

static void check_some(struct bench *b)
{
	uint64_t start, last;

	roll_range(&start, &last);
	check(b, start, last);
	check(b, start, start);
	check(b, last, last);
	check(b, 0, UINT64_MAX);
}

/* One update; `in` of 8 are not removals. */
static void step(struct bench *b, unsigned in)
{
	unsigned i = (unsigned)roll(b->count);
	uint64_t start, last;

	roll_range(&start, &last);
	if (!b->turn[i])
		apply(b, CLEAVE_INSERT, i, start, last);
	else if (roll(8) >= in)
		apply(b, CLEAVE_REMOVE, i, 0, 0);
	else if (roll(2))
		apply(b, CLEAVE_CHANGE, i, start, last);
	else if (b->entry[i].start <= last)
		apply(b, CLEAVE_CHANGE, i, b->entry[i].start, last);
}

static void drain(struct bench *b)
{
	for (unsigned i = 0; i < b->count; i++) {
		unsigned at = (unsigned)(i * UINT64_C(7919) % b->count);

		if (b->turn[at])
			apply(b, CLEAVE_REMOVE, at, 0, 0);
		if (i % 512 == 0)
			check(b, 0, UINT64_MAX);
	}
	check(b, 0, UINT64_MAX);
}

/* Of all sizes, with and without memory; counts are prime, so that drain meets each. */
Test(slots, order_and_bounds)
{
	static const unsigned counts[] = { 3, 7, 61, 499, 3001 };

	for (unsigned n = 0; n < 2 * sizeof(counts) / sizeof(counts[0]); n++) {
		struct bench b = set_up(counts[n / 2]);

		for (unsigned round = 0; round < 4; round++) {
			/* Without memory all that finds no slot is listed, and squeezed in later. */
			for (unsigned i = 0; i < 12 * b.count + 200; i++) {
				b.memory = n % 2 ? i / 64 % 2 : true;
				step(&b, 2 * round);
				if (roll(b.count + 20) < 4)
					check_some(&b);
			}
			drain(&b);
		}
		tear_down(&b);
	}
}

/* ---- what it promises of memory ---- */

Test(slots, few_entries_take_no_chunk)
{
	struct bench b = set_up(CLV_SLOT_LISTED_FEW + 1);
	size_t empty = s->memory(b.array);

	cr_assert_eq(empty, 2 * CLV_SLOT_LINE_BYTES);
	for (unsigned i = 0; i < 1000; i++) {
		unsigned at = i % CLV_SLOT_LISTED_FEW;

		if (b.turn[at])
			apply(&b, CLEAVE_REMOVE, at, 0, 0);
		apply(&b, CLEAVE_INSERT, at, i, i + 9);
		cr_assert_eq(s->memory(b.array), empty);
	}
	apply(&b, CLEAVE_INSERT, CLV_SLOT_LISTED_FEW, 5, 5);
	cr_assert_gt(s->memory(b.array), empty);
	check(&b, 0, UINT64_MAX);
	tear_down(&b);
}

/* Random removals, the oldest first, and the youngest but for a few that stay. */
Test(slots, slots_are_in_proportion)
{
	enum { COUNT = 2003, TURNS = 40 * COUNT };

	for (unsigned how = 0; how < 3; how++) {
		struct bench b = set_up(COUNT);

		for (unsigned i = 0; i < COUNT; i++)
			apply(&b, CLEAVE_INSERT, i, i, i + 3);
		for (unsigned i = 0; i < TURNS; i++) {
			unsigned at = how == 0	 ? (unsigned)roll(COUNT) :
				      how == 1	 ? i % COUNT :
				      i % 97 < 2 ? (unsigned)roll(COUNT) :
						   COUNT - 1 - i % 50;

			apply(&b, CLEAVE_REMOVE, at, 0, 0);
			apply(&b, CLEAVE_INSERT, at, i, i + 3);
			cr_assert_leq(b.array->used, 13 * COUNT / 4, "%u: %zu slots of %u", how,
				      b.array->used, COUNT);
		}
		check(&b, 0, UINT64_MAX);
		cr_assert_leq(s->memory(b.array), (size_t)COUNT * 64);
		drain(&b);
		cr_assert_leq(s->memory(b.array), 12288u);
		tear_down(&b);
	}
}

/* "looks at two groups, moves what is in them, and at most DRAIN from the list" */
Test(slots, an_update_moves_few)
{
	enum { COUNT = 1201, MOST = 2 * CLV_SLOTS + 1 };
	uintptr_t *before = malloc(COUNT * sizeof(*before));
	struct bench b = set_up(COUNT);

	for (unsigned i = 0; i < COUNT; i++)
		apply(&b, CLEAVE_INSERT, i, i, i + 3);
	for (unsigned i = 0; i < 20 * COUNT; i++) {
		unsigned moved = 0;

		for (unsigned k = 0; k < COUNT; k++)
			before[k] = b.entry[k].word[CLV_SLOT_ADDRESS];
		step(&b, 2 * (i / COUNT % 4));
		for (unsigned k = 0; k < COUNT; k++)
			moved += before[k] != b.entry[k].word[CLV_SLOT_ADDRESS];
		cr_assert_leq(moved, (unsigned)MOST, "%u entries moved", moved);
	}
	free(before);
	tear_down(&b);
}

/* A reserve that nobody needed, one for more than a chunk holds, and one with others' subsets. */
Test(slots, reserves)
{
	static struct cleave_entry other = { .subset = 1 };
	struct bench b = set_up(CLEAVE_BATCH_MAX);
	struct cleave_op ops[CLEAVE_BATCH_MAX];
	struct cleave_update update = { NULL, NULL };

	for (unsigned i = 0; i < CLEAVE_BATCH_MAX; i++)
		ops[i] = (struct cleave_op) { CLEAVE_INSERT, &b.entry[i].entry, NULL, i, i };
	cr_assert_eq(s->prepare(b.array, NULL, ops, 1, &update.reserve), 0);
	cr_assert_null(update.reserve);
	cr_assert_eq(s->prepare(b.array, NULL, ops, CLEAVE_BATCH_MAX, &update.reserve), 0);
	cr_assert_not_null(update.reserve);
	for (unsigned i = 0; i < CLEAVE_BATCH_MAX; i++) {
		s->insert(b.array, &update, ops[i].entry, NULL, i, i);
		b.turn[i] = ++b.turns;
	}
	s->settle(b.array, NULL, update.reserve);
	cr_assert_eq(b.array->listed, 0u);
	check(&b, 0, UINT64_MAX);
	ops[1].entry = &other;
	update.reserve = NULL;
	cr_assert_eq(s->prepare(b.array, NULL, ops, 2, &update.reserve), 0);
	cr_assert_not_null(update.reserve);
	s->settle(b.array, NULL, update.reserve);
	tear_down(&b);
}

/* ---- validate ---- */

static void assert_reason(struct bench *b, const char *part)
{
	const char *reason = s->validate(b->array);

	cr_assert_not_null(reason, "not found: %s", part);
	cr_assert_not_null(strstr(reason, part), "%s, not %s", reason, part);
}

/* A word is wrong by one, and then right again. */
#define DAMAGE(b, word, part) \
	do { \
		(word)++; \
		assert_reason(b, part); \
		(word)--; \
	} while (0)

Test(slots, validate_finds_damage)
{
	struct bench b = set_up(401);
	struct clv_slot_array *array = b.array;

	for (unsigned i = 0; array->listed < 2 || array->put == array->get; i++) {
		cr_assert_lt(i, 1000000u);
		b.memory = i % 128 < 64;
		step(&b, 2);
	}
	check(&b, 0, UINT64_MAX);

	for (unsigned i = 0; i < b.count; i++) {
		struct cleave_interval *interval = &b.entry[i];
		uint32_t *from = (uint32_t *)interval->word[CLV_SLOT_ADDRESS];

		if (!b.turn[i])
			continue;
		if (!from) {
			DAMAGE(&b, interval->word[CLV_SLOT_ADDRESS], "listed entry");
			continue;
		}
		DAMAGE(&b, interval->word[CLV_SLOT_ADDRESS], "elsewhere");
		DAMAGE(&b, from[CLV_SLOTS], "other bounds");

		uint32_t kept = *from;

		*from = CLV_SLOT_HOLE;
		assert_reason(&b, "miscounted");
		*from = kept;
	}
	DAMAGE(&b, array->used, "miscounted");
	DAMAGE(&b, array->live, "miscounted");
	DAMAGE(&b, array->listed, "list");
	DAMAGE(&b, array->spare_groups, "spare");
	DAMAGE(&b, array->limit, "inserts would");
	DAMAGE(&b, array->put, "put");
	DAMAGE(&b, array->get, "put");

	struct clv_slot_group *end = array->end;

	array->end = array->group + 1;
	assert_reason(&b, "put, get, end");
	array->end = end;

	struct clv_slot_chunk *last = array->tail;

	array->tail = array->first;
	assert_reason(&b, "last chunk");
	array->tail = last;
	check(&b, 0, UINT64_MAX);

	/* All but the first gone from the list. */
	struct cleave_interval *second = clv_slot_linked(array->list, CLV_SLOT_NEXT);
	struct cleave_interval *last_listed = clv_slot_linked(array->list, CLV_SLOT_PREVIOUS);

	clv_slot_link_pair(array->list, array->list);
	assert_reason(&b, "list");
	clv_slot_link_pair(array->list, second);
	clv_slot_link_pair(last_listed, array->list);
	check(&b, 0, UINT64_MAX);
	tear_down(&b);
}

Test(slots, validate_finds_what_is_between)
{
	struct bench b = set_up(401);
	struct clv_slot_array *array = b.array;

	for (unsigned i = 0; i < b.count; i++)
		apply(&b, CLEAVE_INSERT, i, i, i);
	for (unsigned i = 0; array->put != array->get || array->put_slot >= array->get_slot; i++) {
		cr_assert_lt(i, 1000000u);
		step(&b, 5);
	}
	check(&b, 0, UINT64_MAX);

	struct clv_slot_group *group = &array->put->group[array->put_slot / CLV_SLOTS];

	group->from[array->put_slot % CLV_SLOTS] = 1;
	assert_reason(&b, "between put and get");
	group->from[array->put_slot % CLV_SLOTS] = CLV_SLOT_HOLE;
	if (array->next < CLV_SLOTS) {
		array->group->from[array->next] = 1;
		assert_reason(&b, "behind the next");
		array->group->from[array->next] = CLV_SLOT_HOLE;
	}
	check(&b, 0, UINT64_MAX);
	tear_down(&b);
}
