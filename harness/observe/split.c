// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * C3, coverage across a split and the merge of its pieces. Thread 0 cuts a mapping in two and makes
 * one of it again, in the ways in which it can be written down as a batch; walkers of a page of it
 * have to see it covered. All pieces are in one subset, that of the first (C7), though thread 0
 * moves about.
 */
#include "model.h"

enum {
	PIECES = 4,
	BYSTANDERS = 3, /* elsewhere: walks of the page do not meet them */
	PAGE = 3000,
	LENGTH = 16,
	CUTS = 3, /* splits and merges a round */
};

struct state {
	_Alignas(CLV_CACHE_LINE) uint32_t done; /* rounds */
	_Alignas(CLV_CACHE_LINE) uint32_t walks;
};

struct walker {
	struct clv_observe *run;
	struct cleave_thread *thread;
	struct clv_dice *dice;
	unsigned covered;
};

static int visit(struct cleave_entry *entry, void *arg)
{
	struct walker *walker = arg;

	(void)entry;
	walker->covered++;
	if (!clv_dice_below(walker->dice, 4))
		clv_observe_await_step(walker->run, walker->thread);
	return 0;
}

static void walk(struct clv_observe *run, unsigned i, unsigned round, struct cleave_thread *thread,
		 struct clv_dice *dice)
{
	struct state *state = run->state;
	struct clv_pace pace = { 0 };

	do {
		struct walker walker = { run, thread, dice, 0 };
		uint64_t page = PAGE + clv_dice_below(dice, LENGTH);

		if (!clv_observe_must(run, i, round, "cleave_walk failed",
				      cleave_walk(run->map, thread, page, page, 0, visit, &walker)))
			return;
		clv_count(&state->walks);
		if (!walker.covered)
			clv_observe_fail(run, i, round, "a walk saw a page uncovered", page - PAGE,
					 0);
		clv_observe_pace(run, thread, &pace);
	} while (clv_read(&state->done) == round && !clv_observe_failed(run));
}

/* Pieces by where they are: `whole`, or `low` and `high`. The rest are out. */
struct pieces {
	struct clv_subject *whole, *low, *high;
};

static struct clv_subject *find_out(struct clv_observe *run, const struct clv_subject *but)
{
	for (unsigned id = 0;; id++) {
		struct clv_subject *subject = clv_observe_subject(run, id);

		if (subject != but && clv_read(&subject->state) == CLV_SUBJECT_OUT)
			return subject;
	}
}

static struct cleave_op op(enum cleave_op_kind kind, struct clv_subject *subject,
			   struct clv_subject *source, uint64_t start, uint64_t last)
{
	clv_write(&subject->state, kind == CLEAVE_REMOVE ? CLV_SUBJECT_OUT : CLV_SUBJECT_IN);
	return (struct cleave_op) {
		.kind = kind,
		.entry = clv_subject_entry(subject),
		.source = source ? clv_subject_entry(source) : NULL,
		.start = start,
		.last = last,
	};
}

static void swap_first_two(struct cleave_op *ops)
{
	struct cleave_op first = ops[0];

	ops[0] = ops[1];
	ops[1] = first;
}

static bool split(struct clv_observe *run, unsigned round, struct cleave_thread *thread,
		  struct clv_dice *dice, struct pieces *pieces)
{
	uint64_t cut = PAGE + 1 + clv_dice_below(dice, LENGTH - 1);
	struct clv_subject *whole = pieces->whole;
	struct cleave_op ops[3];
	unsigned count = 2;

	pieces->high = find_out(run, NULL);
	ops[0] = op(CLEAVE_INSERT_NEAR, pieces->high, whole, cut, PAGE + LENGTH - 1);
	if (clv_dice_below(dice, 2)) {
		pieces->low = whole;
		ops[1] = op(CLEAVE_CHANGE, whole, NULL, PAGE, cut - 1);
		if (clv_dice_below(dice, 2))
			swap_first_two(ops);
	} else {
		/* The old one goes: the low piece may be any of its source's pieces' neighbour. */
		pieces->low = find_out(run, whole);
		ops[1] = op(CLEAVE_INSERT_NEAR, pieces->low,
			    clv_dice_below(dice, 2) ? whole : pieces->high, PAGE, cut - 1);
		ops[2] = op(CLEAVE_REMOVE, whole, NULL, 0, 0);
		count = 3;
	}
	return clv_observe_must(run, 0, round, "cleave_apply of a split failed",
				cleave_apply(run->map, thread, ops, count));
}

static bool merge(struct clv_observe *run, unsigned round, struct cleave_thread *thread,
		  struct clv_dice *dice, struct pieces *pieces)
{
	struct cleave_op ops[3];
	unsigned count = 2;

	if (clv_dice_below(dice, 3)) {
		/* Either piece grows over the other; the upper one gets a new start by that. */
		bool grows_low = clv_dice_below(dice, 2);

		pieces->whole = grows_low ? pieces->low : pieces->high;
		ops[0] = op(CLEAVE_CHANGE, pieces->whole, NULL, PAGE, PAGE + LENGTH - 1);
		ops[1] = op(CLEAVE_REMOVE, grows_low ? pieces->high : pieces->low, NULL, 0, 0);
		if (clv_dice_below(dice, 2))
			swap_first_two(ops);
	} else {
		pieces->whole = find_out(run, NULL);
		ops[0] = op(CLEAVE_REMOVE, pieces->high, NULL, 0, 0);
		ops[1] =
			op(CLEAVE_INSERT_NEAR, pieces->whole, pieces->low, PAGE, PAGE + LENGTH - 1);
		ops[2] = op(CLEAVE_REMOVE, pieces->low, NULL, 0, 0);
		count = 3;
	}
	return clv_observe_must(run, 0, round, "cleave_apply of a merge failed",
				cleave_apply(run->map, thread, ops, count));
}

static void adjust(struct clv_observe *run, unsigned round, struct cleave_thread *thread,
		   struct clv_dice *dice)
{
	struct state *state = run->state;
	struct pieces pieces = { .whole = clv_observe_subject(run, 0) };
	bool whole = true;

	for (unsigned step = 0; step < 2 * CUTS; step++, whole = !whole) {
		uint32_t walks = clv_read(&state->walks);

		clv_observe_migrate(run, thread, dice);
		if (!(whole ? split(run, round, thread, dice, &pieces)
			    : merge(run, round, thread, dice, &pieces)))
			return;
		clv_observe_step(run);
		clv_observe_retire(run, thread);
		clv_observe_await(run, thread, &state->walks, walks);
	}
}

static bool begin_round(struct clv_observe *run, unsigned round, struct cleave_thread *thread,
			struct clv_dice *dice)
{
	for (unsigned id = 0; id < PIECES + BYSTANDERS; id++) {
		uint64_t start = id < PIECES ? PAGE : PAGE + (id % 2 ? 1 : -1) * 2 * LENGTH;

		if (id > 0 && id < PIECES)
			continue;
		clv_observe_migrate(run, thread, dice);
		if (!clv_observe_must(run, 0, round, "cleave_insert failed",
				      clv_observe_insert(run, thread, clv_observe_subject(run, id),
							 start, start + LENGTH - 1)))
			return false;
	}
	return true;
}

static void body(struct clv_observe *run, unsigned i, struct cleave_thread *thread)
{
	struct clv_dice dice = clv_dice_make(run, i);
	struct state *state = run->state;

	for (unsigned round = 0; round < run->config.rounds; round++) {
		if (i == 0 && !begin_round(run, round, thread, &dice))
			return;
		if (!clv_observe_meet(run, thread))
			return;
		if (i == 0) {
			adjust(run, round, thread, &dice);
			clv_count(&state->done);
			clv_observe_step(run);
		} else {
			walk(run, i, round, thread, &dice);
		}
		if (!clv_observe_meet(run, thread))
			return;
		if (i == 0 && !clv_observe_clear(run, i, round, thread))
			return;
	}
}

const struct clv_scenario clv_scenario_split = {
	.name = "split",
	.summary =
		"a mapping cut in two and made one again, against walks that look whether a page "
		"of it is covered",
	.guarantee = CLEAVE_C3_COVERAGE,
	.needs = CLEAVE_C3_COVERAGE | CLEAVE_C5_COMPLETE_AND_SINGLE,
	.threads_min = 2,
	.threads_max = CLV_OBSERVE_THREADS_MAX,
	.subjects = PIECES + BYSTANDERS,
	.state_bytes = sizeof(struct state),
	.body = body,
};
