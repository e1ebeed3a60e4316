// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * C5, complete and single. Updaters insert, change and remove subjects of theirs, each operation
 * inside an odd version number. A walker reads all versions before and after a walk: of a subject
 * whose version stayed the same, and even, it knows whether it was in all the while and with which
 * bounds, and so that it has to have visited it exactly once, or not at all.
 */
#include "model.h"

enum {
	UPDATERS = 4,
	OWN = 12,
	SUBJECTS = UPDATERS * OWN,
	PAGE = 7000,
	SPREAD = 64,
	UPDATES = 24, /* a round and updater */
};

struct before {
	uint32_t version, state;
	uint64_t start, last;
};

struct state {
	struct before before[CLV_OBSERVE_THREADS_MAX][SUBJECTS];
	_Alignas(CLV_CACHE_LINE) uint32_t finished; /* updaters, in all rounds */
};

struct walker {
	struct clv_observe *run;
	struct cleave_thread *thread;
	struct clv_dice *dice;
	uint32_t *count;
	bool waited;
};

static unsigned updaters(const struct clv_observe *run)
{
	unsigned half = run->config.threads / 2;

	return half < UPDATERS ? half : UPDATERS;
}

static int visit(struct cleave_entry *entry, void *arg)
{
	struct walker *walker = arg;

	walker->count[clv_observe_visited(walker->run, entry)->id]++;
	if (!walker->waited && clv_dice_below(walker->dice, 8) == 0) {
		walker->waited = true;
		clv_observe_await_step(walker->run, walker->thread);
	}
	return 0;
}

static void look(const struct clv_observe *run, struct before *before)
{
	for (unsigned id = 0; id < SUBJECTS; id++) {
		const struct clv_subject *subject = clv_observe_subject(run, id);

		before[id].version = clv_read(&subject->version);
		before[id].state = clv_read(&subject->state);
		before[id].start = __atomic_load_n(&subject->start, __ATOMIC_SEQ_CST);
		before[id].last = __atomic_load_n(&subject->last, __ATOMIC_SEQ_CST);
	}
}

static void compare(struct clv_observe *run, unsigned i, unsigned round,
		    const struct before *before, const uint32_t *count, uint64_t start,
		    uint64_t last)
{
	for (unsigned id = 0; id < SUBJECTS; id++) {
		bool in = before[id].state == CLV_SUBJECT_IN;
		bool meets = in && before[id].start <= last && before[id].last >= start;

		if (before[id].version % 2 ||
		    clv_read(&clv_observe_subject(run, id)->version) != before[id].version)
			continue;
		if (meets && !count[id])
			clv_observe_fail(run, i, round, "an interval was not visited", id,
					 before[id].start);
		if (count[id] > 1)
			clv_observe_fail(run, i, round, "an interval was visited twice", id,
					 before[id].start);
		if (in && !meets && count[id])
			clv_observe_fail(run, i, round, "one outside the range was visited", id,
					 before[id].start);
		if (!in && count[id] && !run->defers)
			clv_observe_fail(run, i, round, "one that is in no map was visited", id, 0);
	}
}

static void walk(struct clv_observe *run, unsigned i, unsigned round, struct cleave_thread *thread,
		 struct clv_dice *dice)
{
	struct state *state = run->state;
	struct clv_pace pace = { 0 };

	do {
		struct walker walker = { run, thread, dice, clv_observe_tally(run, i), false };
		uint64_t start = PAGE + clv_dice_below(dice, SPREAD);
		uint64_t last =
			start + (clv_dice_below(dice, 2) ? clv_dice_below(dice, SPREAD) : 0);

		memset(walker.count, 0, SUBJECTS * sizeof(*walker.count));
		look(run, state->before[i]);
		if (!clv_observe_must(
			    run, i, round, "cleave_walk failed",
			    cleave_walk(run->map, thread, start, last, 0, visit, &walker)))
			return;
		compare(run, i, round, state->before[i], walker.count, start, last);
		clv_observe_pace(run, thread, &pace);
	} while (clv_read(&state->finished) < (round + 1) * updaters(run) &&
		 !clv_observe_failed(run));
}

static void update(struct clv_observe *run, unsigned i, unsigned round,
		   struct cleave_thread *thread, struct clv_dice *dice)
{
	struct clv_subject *subject = clv_observe_subject(run, i * OWN + clv_dice_below(dice, OWN));
	uint64_t start = PAGE + clv_dice_below(dice, SPREAD);
	uint64_t last = start + clv_dice_below(dice, SPREAD / 2);
	int code;

	clv_observe_migrate(run, thread, dice);
	clv_count(&subject->version);
	if (clv_read(&subject->state) == CLV_SUBJECT_OUT) {
		code = clv_observe_insert(run, thread, subject, start, last);
	} else if (clv_dice_below(dice, 2)) {
		code = cleave_change(run->map, thread, clv_subject_entry(subject), start, last);
		__atomic_store_n(&subject->start, start, __ATOMIC_SEQ_CST);
		__atomic_store_n(&subject->last, last, __ATOMIC_SEQ_CST);
	} else {
		code = clv_observe_remove(run, thread, subject);
		clv_observe_retire(run, thread);
	}
	clv_count(&subject->version);
	clv_observe_step(run);
	clv_observe_must(run, i, round, "an update failed", code);
}

static void body(struct clv_observe *run, unsigned i, struct cleave_thread *thread)
{
	struct clv_dice dice = clv_dice_make(run, i);
	struct state *state = run->state;

	for (unsigned round = 0; round < run->config.rounds; round++) {
		if (!clv_observe_meet(run, thread))
			return;
		if (i >= updaters(run)) {
			walk(run, i, round, thread, &dice);
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

const struct clv_scenario clv_scenario_presence = {
	.name = "presence",
	.summary = "intervals that come, change and go, against walks that count visits of those "
		   "that stayed as they were",
	.guarantee = CLEAVE_C5_COMPLETE_AND_SINGLE,
	.needs = CLEAVE_C5_COMPLETE_AND_SINGLE,
	.threads_min = 2,
	.threads_max = CLV_OBSERVE_THREADS_MAX,
	.subjects = SUBJECTS,
	.state_bytes = sizeof(struct state),
	.body = body,
};
