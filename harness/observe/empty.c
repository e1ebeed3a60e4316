// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * C8, emptiness is readable without a lock. Thread 0 inserts a subject, changes its bounds, lets
 * others come and go beside it, and removes it; the version is odd from behind the insert to before
 * the removal. Whoever reads the same odd version before and after cleave_empty must not have been
 * told that the map is empty. In the end of each round it is.
 */
#include "model.h"

enum {
	ANCHORS = 2, /* in turn */
	BESIDE = 4,
	SUBJECTS = ANCHORS + BESIDE,
	PAGE = 11000,
	SPREAD = 32,
	STEPS = 8,	    /* with an anchor in */
	READS = 20,	    /* that a step's changes go on for, */
	CHANGES_MAX = 4000, /* but no longer than for so many */
};

struct state {
	_Alignas(CLV_CACHE_LINE) uint32_t version;
	uint32_t done; /* rounds */
	_Alignas(CLV_CACHE_LINE) uint32_t reads;
};

static bool step(struct clv_observe *run, unsigned round, struct cleave_thread *thread,
		 struct clv_dice *dice, struct clv_subject *anchor)
{
	struct clv_subject *beside =
		clv_observe_subject(run, ANCHORS + clv_dice_below(dice, BESIDE));
	struct state *state = run->state;
	uint32_t reads = clv_read(&state->reads);
	uint64_t start = PAGE + clv_dice_below(dice, SPREAD);
	int code = 0;

	clv_observe_migrate(run, thread, dice);
	if (clv_read(&beside->state) == CLV_SUBJECT_IN) {
		code = clv_observe_remove(run, thread, beside);
		clv_observe_retire(run, thread);
	} else if (clv_dice_below(dice, 2)) {
		code = clv_observe_insert(run, thread, beside, start, start);
	}
	/* The anchor may be out for an instant of each: it takes readers at the same time to see.
	 */
	unsigned most = clv_observe_steps(run, CHANGES_MAX);
	for (unsigned k = 0; k < most && !code && clv_read(&state->reads) - reads < READS; k++)
		code = cleave_change(run->map, thread, clv_subject_entry(anchor), start + k % 3,
				     start + k % 3);
	return clv_observe_must(run, 0, round, "an update failed", code);
}

static void write(struct clv_observe *run, unsigned round, struct cleave_thread *thread,
		  struct clv_dice *dice)
{
	struct state *state = run->state;
	struct clv_subject *anchor = clv_observe_subject(run, round % ANCHORS);
	/* Bound 0 and the map's last: values that a summary of bounds could mistake for none. */
	uint64_t start = clv_dice_below(dice, 2) ? 0 : cleave_last_max(run->map);

	clv_observe_migrate(run, thread, dice);
	if (!clv_observe_must(run, 0, round, "cleave_insert failed",
			      clv_observe_insert(run, thread, anchor, start, start)))
		return;
	clv_count(&state->version);
	clv_observe_await(run, thread, &state->reads, clv_read(&state->reads));
	for (unsigned k = 0; k < clv_observe_steps(run, STEPS); k++) {
		if (!step(run, round, thread, dice, anchor))
			return;
		if (k == clv_observe_steps(run, STEPS) / 2)
			clv_observe_await(run, thread, &state->reads, clv_read(&state->reads));
	}
	clv_count(&state->version);
	if (!clv_observe_clear(run, 0, round, thread))
		return;
	if (!cleave_empty(run->map))
		clv_observe_fail(run, 0, round, "not empty after the last removal", 0, 0);
}

static void read(struct clv_observe *run, unsigned i, unsigned round)
{
	struct state *state = run->state;
	uint32_t version = clv_read(&state->version);
	bool empty = cleave_empty(run->map);

	/* Odd: an anchor is in. */
	if (empty && version % 2 && clv_read(&state->version) == version)
		clv_observe_fail(run, i, round, "empty, with an entry in it", 0, 0);
	clv_count(&state->reads);
}

static void body(struct clv_observe *run, unsigned i, struct cleave_thread *thread)
{
	struct clv_dice dice = clv_dice_make(run, i);
	struct state *state = run->state;

	for (unsigned round = 0; round < run->config.rounds; round++) {
		if (!clv_observe_meet(run, thread))
			return;
		if (i == 0) {
			write(run, round, thread, &dice);
			clv_count(&state->done);
			continue;
		}
		for (unsigned turn = 0; clv_read(&state->done) == round && !clv_observe_failed(run);
		     turn++) {
			read(run, i, round);
			if (turn % 256 == 255)
				clv_observe_relax(thread, turn / 256);
		}
	}
}

const struct clv_scenario clv_scenario_empty = {
	.name = "empty",
	.summary = "cleave_empty without a lock, with an entry in throughout that changes",
	.guarantee = CLEAVE_C8_EMPTY_UNLOCKED,
	.needs = CLEAVE_C8_EMPTY_UNLOCKED,
	.threads_min = 2,
	.threads_max = CLV_OBSERVE_THREADS_MAX,
	.subjects = SUBJECTS,
	.state_bytes = sizeof(struct state),
	.body = body,
};
