// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * C6, long holds, shared: under one hold, two walks with a sleep in a visit of the first and
 * another between them see the same intervals with the same bounds in the same order, whatever
 * updaters try meanwhile. Asked for with CLEAVE_TRY as often as not.
 */
#include "model.h"

enum {
	UPDATERS = 4,
	OWN = 8,
	SUBJECTS = UPDATERS * OWN,
	PAGE = 8000,
	SPREAD = 32,
	UPDATES = 8, /* a round and updater */
};

struct state {
	_Alignas(CLV_CACHE_LINE) uint32_t finished; /* updaters, in all rounds */
};

struct walker {
	struct clv_observe *run;
	struct cleave_thread *thread;
	uint64_t sum, visited;
	bool sleep;
};

static unsigned updaters(const struct clv_observe *run)
{
	unsigned half = run->config.threads / 2;

	return half < UPDATERS ? half : UPDATERS;
}

static int visit(struct cleave_entry *entry, void *arg)
{
	struct walker *walker = arg;
	uint64_t start, last;

	cleave_bounds(walker->run->map, entry, &start, &last);
	walker->sum = (walker->sum ^ clv_observe_visited(walker->run, entry)->id ^ start << 20 ^
		       last << 40) *
		      0x9e3779b97f4a7c15u;
	if (++walker->visited == 1 && walker->sleep)
		clv_observe_await_step(walker->run, walker->thread);
	return 0;
}

/* Returns: false if it was busy, or a call failed. */
static bool hold_and_walk(struct clv_observe *run, unsigned i, unsigned round,
			  struct cleave_thread *thread, unsigned flags)
{
	struct walker first = { run, thread, 0, 0, true }, second = { run, thread, 0, 0, false };
	struct cleave_hold *hold;
	int code = cleave_hold_begin(run->map, thread, CLEAVE_SHARED, flags, &hold);

	if (flags & CLEAVE_TRY && (code == -EBUSY || code == -ENOTSUP))
		return false;
	if (!clv_observe_must(run, i, round, "cleave_hold failed", code))
		return false;
	cleave_hold_walk(hold, PAGE, PAGE + SPREAD, visit, &first);
	clv_observe_await_step(run, thread);
	cleave_hold_walk(hold, PAGE, PAGE + SPREAD, visit, &second);
	cleave_hold_end(hold);
	if (first.sum != second.sum)
		clv_observe_fail(run, i, round, "two walks under one hold differ", first.visited,
				 second.visited);
	return true;
}

static void update(struct clv_observe *run, unsigned i, unsigned round,
		   struct cleave_thread *thread, struct clv_dice *dice)
{
	struct clv_subject *subject = clv_observe_subject(run, i * OWN + clv_dice_below(dice, OWN));
	uint64_t start = PAGE + clv_dice_below(dice, SPREAD);
	int code;

	clv_observe_migrate(run, thread, dice);
	if (clv_read(&subject->state) == CLV_SUBJECT_OUT) {
		code = clv_observe_insert(run, thread, subject, start, start + SPREAD / 2);
	} else if (clv_dice_below(dice, 2)) {
		code = cleave_change(run->map, thread, clv_subject_entry(subject), start,
				     start + SPREAD);
	} else {
		code = clv_observe_remove(run, thread, subject);
		clv_observe_retire(run, thread);
	}
	clv_observe_step(run);
	clv_observe_must(run, i, round, "an update failed", code);
}

static void body(struct clv_observe *run, unsigned i, struct cleave_thread *thread)
{
	struct clv_dice dice = clv_dice_make(run, i);
	struct state *state = run->state;
	struct clv_pace pace = { 0 };

	for (unsigned round = 0; round < run->config.rounds; round++) {
		if (!clv_observe_meet(run, thread))
			return;
		if (i >= updaters(run)) {
			do {
				unsigned flags = clv_dice_below(&dice, 2) ? CLEAVE_TRY : 0;

				if (!hold_and_walk(run, i, round, thread, flags))
					clv_observe_relax(thread, 0);
				clv_observe_pace(run, thread, &pace);
			} while (clv_read(&state->finished) < (round + 1) * updaters(run) &&
				 !clv_observe_failed(run));
			continue;
		}
		for (unsigned k = 0;
		     k < clv_observe_steps(run, UPDATES) && !clv_observe_failed(run); k++)
			update(run, i, round, thread, &dice);
		clv_count(&state->finished);
		clv_observe_step(run);
	}
	if (clv_observe_meet(run, thread) && i == updaters(run))
		clv_observe_clear(run, i, run->config.rounds, thread);
}

const struct clv_scenario clv_scenario_hold_shared = {
	.name = "hold_shared",
	.summary = "two walks under one shared hold, with sleeps, against updates",
	.guarantee = CLEAVE_C6_LONG_HOLDS,
	.needs = CLEAVE_C6_LONG_HOLDS,
	.threads_min = 2,
	.threads_max = CLV_OBSERVE_THREADS_MAX,
	.subjects = SUBJECTS,
	.state_bytes = sizeof(struct state),
	.body = body,
};
