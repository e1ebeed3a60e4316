// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * C3, coverage across a merge of neighbours that were mapped from CPUs of different subsets, and
 * across its undoing. The lower one grows over the upper one, which is removed, in one batch over
 * both subsets. A walk that looks at one subset after the other can be past the lower one before it
 * has grown, and at the upper one after it has gone.
 *
 * In every subset there is an anchor, which walks visit too. A walker waits at one of them for the
 * batch to happen: if the walk holds no more than the lock of that anchor's subset, it can. Some
 * batches say an anchor's bounds again before they come to another subset, and some are applied
 * under an exclusive hold.
 */
#include "model.h"

enum {
	ANCHORS = 16,  /* at most; in the first so many subsets */
	SUBJECTS = 96, /* anchors, neighbours, and a choice where a hash decides */
	PAGE = 4000,
	LENGTH = 8, /* of each neighbour */
	STEPS = 6,
};

struct state {
	unsigned anchors;
	struct clv_subject *anchor[ANCHORS];
	_Alignas(CLV_CACHE_LINE) uint32_t done; /* rounds */
	_Alignas(CLV_CACHE_LINE) uint32_t waits;
};

struct walker {
	struct clv_observe *run;
	struct cleave_thread *thread;
	const struct clv_subject *wait_at;
	unsigned covered;
};

static int visit(struct cleave_entry *entry, void *arg)
{
	struct walker *walker = arg;
	struct state *state = walker->run->state;
	const struct clv_subject *subject = clv_observe_visited(walker->run, entry);

	if (subject == walker->wait_at) {
		uint32_t steps = clv_read(&walker->run->steps);

		clv_count(&state->waits);
		clv_observe_await(walker->run, walker->thread, &walker->run->steps, steps);
	}
	for (unsigned i = 0; i < state->anchors; i++) {
		if (subject == state->anchor[i])
			return 0;
	}
	walker->covered++;
	return 0;
}

static void walk(struct clv_observe *run, unsigned i, unsigned round, struct cleave_thread *thread,
		 struct clv_dice *dice)
{
	struct state *state = run->state;
	struct clv_pace pace = { 0 };

	do {
		struct walker walker = { run, thread, NULL, 0 };
		/* Twice in three the upper one's pages: those are which change hands. */
		uint64_t page = PAGE + (clv_dice_below(dice, 3) ? LENGTH : 0) +
				clv_dice_below(dice, LENGTH);

		walker.wait_at = state->anchor[clv_dice_below(dice, state->anchors)];
		if (!clv_observe_must(run, i, round, "cleave_walk failed",
				      cleave_walk(run->map, thread, page, page, 0, visit, &walker)))
			return;
		if (!walker.covered)
			clv_observe_fail(run, i, round, "a walk saw a page uncovered", page - PAGE,
					 0);
		clv_observe_pace(run, thread, &pace);
	} while (clv_read(&state->done) == round && !clv_observe_failed(run));
}

/* Under a hold if `held`. Returns: as cleave_apply. */
static int apply(struct clv_observe *run, struct cleave_thread *thread, bool held,
		 const struct cleave_op *ops, unsigned count)
{
	struct cleave_hold *hold;

	if (!held)
		return cleave_apply(run->map, thread, ops, count);
	int code = cleave_hold_begin(run->map, thread, CLEAVE_EXCLUSIVE, 0, &hold);

	if (code)
		return code;
	code = cleave_hold_apply(hold, ops, count);
	cleave_hold_end(hold);
	return code;
}

static void adjust(struct clv_observe *run, unsigned round, struct cleave_thread *thread,
		   struct clv_dice *dice, struct clv_subject *lower, struct clv_subject *upper)
{
	struct state *state = run->state;
	struct clv_subject *beside_lower = state->anchor[lower->subset];
	struct clv_subject *beside_upper = state->anchor[upper->subset];
	bool holds = cleave_keeps(run->map) & CLEAVE_C6_LONG_HOLDS;

	for (unsigned step = 0; step < STEPS; step++) {
		bool merge = step % 2 == 0;
		struct cleave_op ops[3] = {
			{ CLEAVE_CHANGE, clv_subject_entry(beside_lower), NULL, PAGE,
			  PAGE + 2 * LENGTH - 1 },
			{ CLEAVE_CHANGE, clv_subject_entry(lower), NULL, PAGE,
			  PAGE + (merge ? 2 : 1) * LENGTH - 1 },
			{ merge ? CLEAVE_REMOVE : CLEAVE_INSERT_NEAR, clv_subject_entry(upper),
			  merge ? NULL : clv_subject_entry(beside_upper), PAGE + LENGTH,
			  PAGE + 2 * LENGTH - 1 },
		};
		unsigned without = clv_dice_below(dice, 2);

		if (clv_dice_below(dice, 2)) {
			struct cleave_op first = ops[1];

			ops[1] = ops[2];
			ops[2] = first;
		}
		clv_observe_await(run, thread, &state->waits, clv_read(&state->waits));
		clv_observe_migrate(run, thread, dice);
		bool held = holds && clv_dice_below(dice, 4) == 0;

		if (!clv_observe_must(run, 0, round, "an adjustment failed",
				      apply(run, thread, held, ops + without, 3 - without)))
			return;
		clv_write(&upper->state, merge ? CLV_SUBJECT_OUT : CLV_SUBJECT_IN);
		clv_observe_step(run);
		if (merge)
			clv_observe_retire(run, thread);
	}
}

static int setup(struct clv_observe *run, struct cleave_thread *thread)
{
	struct state *state = run->state;
	unsigned subsets = cleave_subsets(run->map);

	state->anchors = subsets < ANCHORS ? subsets : ANCHORS;
	for (unsigned subset = 0; subset < state->anchors; subset++) {
		state->anchor[subset] = clv_observe_place(run, thread, 0, SUBJECTS, subset, PAGE,
							  PAGE + 2 * LENGTH - 1);
		if (!state->anchor[subset])
			return -ESRCH;
	}
	return 0;
}

/* Both neighbours, in two subsets if there are two. */
static bool begin_round(struct clv_observe *run, unsigned round, struct cleave_thread *thread,
			struct clv_dice *dice, struct clv_subject **lower,
			struct clv_subject **upper)
{
	struct state *state = run->state;
	unsigned first = clv_dice_below(dice, state->anchors);
	unsigned second = first;

	/* As often as not as far apart as can be: the more subsets lie between, the wider is the
	 * window. */
	if (state->anchors > 1)
		second = (first + 1 + clv_dice_below(dice, state->anchors - 1)) % state->anchors;
	if (clv_dice_below(dice, 2)) {
		first = 0;
		second = state->anchors - 1;
	}
	*lower = clv_observe_place(run, thread, 0, SUBJECTS, first, PAGE, PAGE + LENGTH - 1);
	*upper = clv_observe_place(run, thread, 0, SUBJECTS, second, PAGE + LENGTH,
				   PAGE + 2 * LENGTH - 1);
	return (*lower && *upper) ||
	       clv_observe_fail(run, 0, round, "no entry goes into a subset", first, second);
}

static bool finish_round(struct clv_observe *run, unsigned round, struct cleave_thread *thread,
			 struct clv_subject *lower, struct clv_subject *upper)
{
	bool good = clv_observe_must(run, 0, round, "cleave_remove failed",
				     clv_observe_remove(run, thread, lower));

	if (good && clv_read(&upper->state) == CLV_SUBJECT_IN)
		good = clv_observe_must(run, 0, round, "cleave_remove failed",
					clv_observe_remove(run, thread, upper));
	clv_observe_retire(run, thread);
	return good;
}

static void body(struct clv_observe *run, unsigned i, struct cleave_thread *thread)
{
	struct clv_dice dice = clv_dice_make(run, i);
	struct state *state = run->state;
	struct clv_subject *lower = NULL, *upper = NULL;

	for (unsigned round = 0; round < run->config.rounds; round++) {
		if (i == 0 && !begin_round(run, round, thread, &dice, &lower, &upper))
			return;
		if (!clv_observe_meet(run, thread))
			return;
		if (i == 0) {
			adjust(run, round, thread, &dice, lower, upper);
			clv_count(&state->done);
			clv_observe_step(run);
		} else {
			walk(run, i, round, thread, &dice);
		}
		if (!clv_observe_meet(run, thread))
			return;
		if (i == 0 && !finish_round(run, round, thread, lower, upper))
			return;
	}
	if (i == 0)
		clv_observe_clear(run, i, run->config.rounds, thread);
}

const struct clv_scenario clv_scenario_merge = {
	.name = "merge",
	.summary = "neighbours of different subsets merged and parted, against walks that look "
		   "whether their pages are covered",
	.guarantee = CLEAVE_C3_COVERAGE,
	.needs = CLEAVE_C3_COVERAGE | CLEAVE_C5_COMPLETE_AND_SINGLE,
	.threads_min = 2,
	.threads_max = CLV_OBSERVE_THREADS_MAX,
	.subjects = SUBJECTS,
	.state_bytes = sizeof(struct state),
	.setup = setup,
	.body = body,
};
