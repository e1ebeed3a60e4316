// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * C4, unlink before free. Updaters insert and remove subjects and, as soon as remove has returned,
 * make what is in the entry's memory useless, as freeing it would. No walker may be in a visit of
 * such an entry, come to it, or go through it on its way. In a design that defers, that is when
 * cleave_synchronize has returned, or cleave_defer's call come.
 */
#include "model.h"

enum {
	UPDATERS = 4,
	OWN = 4,	/* an updater's subjects that are used again and again */
	DEFERRED = 24,	/* and those that go by cleave_defer, once */
	RESIDENTS = 12, /* stay: walks go through the others between them */
	FIRST_RESIDENT = UPDATERS * (OWN + DEFERRED),
	SUBJECTS = FIRST_RESIDENT + RESIDENTS,
	PAGE = 6000,
	SPREAD = 8,
	POISON = 0xa5,
};

struct state {
	_Alignas(CLV_CACHE_LINE) uint32_t visits;
	_Alignas(CLV_CACHE_LINE) uint32_t finished; /* updaters, in all rounds */
};

struct walker {
	struct clv_observe *run;
	struct cleave_thread *thread;
	struct clv_dice *dice;
	unsigned i, round;
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
	struct clv_observe *run = walker->run;
	struct state *state = run->state;
	struct clv_subject *subject = clv_observe_visited(run, entry);
	uint32_t version = clv_read(&subject->version);
	uint32_t steps = clv_read(&run->steps);

	if (clv_read(&subject->state) == CLV_SUBJECT_FREED) {
		clv_observe_fail(run, walker->i, walker->round, "a walk came to a freed entry",
				 subject->id, 0);
		return 1;
	}
	clv_count(&state->visits);
	if (!walker->waited && subject->id < FIRST_RESIDENT && clv_dice_below(walker->dice, 2)) {
		walker->waited = true;
		clv_observe_await(run, walker->thread, &run->steps, steps);
	}
	if (clv_read(&subject->version) != version ||
	    clv_read(&subject->state) == CLV_SUBJECT_FREED) {
		clv_observe_fail(run, walker->i, walker->round,
				 "an entry was freed while it was visited", subject->id, 0);
		return 1;
	}
	return 0;
}

static void walk(struct clv_observe *run, unsigned i, unsigned round, struct cleave_thread *thread,
		 struct clv_dice *dice)
{
	struct state *state = run->state;
	struct clv_pace pace = { 0 };
	int code;

	do {
		struct walker walker = { run, thread, dice, i, round, false };
		uint64_t start = PAGE + clv_dice_below(dice, SPREAD);

		code = cleave_walk(run->map, thread, start, start + clv_dice_below(dice, SPREAD), 0,
				   visit, &walker);
		if (code < 0)
			clv_observe_must(run, i, round, "cleave_walk failed", code);
		clv_observe_pace(run, thread, &pace);
	} while (clv_read(&state->finished) < (round + 1) * updaters(run) &&
		 !clv_observe_failed(run));
}

static void free_subject(struct clv_subject *subject)
{
	struct clv_observe *run = subject->run;

	clv_count(&subject->version);
	clv_write(&subject->state, CLV_SUBJECT_FREED);
	memset(clv_subject_entry(subject), POISON, run->entry_bytes);
	clv_observe_step(run);
}

static void free_deferred(struct cleave_deferred *deferred)
{
	free_subject(cleave_container_of(deferred, struct clv_subject, deferred));
}

static void update(struct clv_observe *run, unsigned i, unsigned round,
		   struct cleave_thread *thread, struct clv_dice *dice, struct clv_subject *subject,
		   bool defer)
{
	struct state *state = run->state;
	uint32_t visits = clv_read(&state->visits);
	uint64_t start = PAGE + clv_dice_below(dice, SPREAD);

	if (clv_read(&subject->state) == CLV_SUBJECT_FREED) {
		memset(clv_subject_entry(subject), 0, run->entry_bytes);
		clv_write(&subject->state, CLV_SUBJECT_OUT);
	}
	clv_observe_migrate(run, thread, dice);
	if (!clv_observe_must(run, i, round, "cleave_insert failed",
			      clv_observe_insert(run, thread, subject, start,
						 start + clv_dice_below(dice, SPREAD))))
		return;
	clv_observe_await(run, thread, &state->visits, visits);
	clv_observe_migrate(run, thread, dice);
	if (!clv_observe_must(run, i, round, "cleave_remove failed",
			      clv_observe_remove(run, thread, subject)))
		return;
	if (defer) {
		cleave_defer(run->map, thread, &subject->deferred, free_deferred);
		return;
	}
	cleave_synchronize(run->map, thread);
	free_subject(subject);
}

static int setup(struct clv_observe *run, struct cleave_thread *thread)
{
	struct clv_dice dice = clv_dice_make(run, CLV_OBSERVE_THREADS_MAX);
	int code = 0;

	for (unsigned id = FIRST_RESIDENT; id < SUBJECTS && !code; id++) {
		uint64_t start = PAGE + clv_dice_below(&dice, SPREAD);

		clv_observe_migrate(run, thread, &dice);
		code = clv_observe_insert(run, thread, clv_observe_subject(run, id), start,
					  start + SPREAD);
	}
	return code;
}

static void body(struct clv_observe *run, unsigned i, struct cleave_thread *thread)
{
	struct clv_dice dice = clv_dice_make(run, i);
	struct state *state = run->state;
	unsigned first = i * (OWN + DEFERRED);
	unsigned deferred = 0;

	for (unsigned round = 0; round < run->config.rounds; round++) {
		if (!clv_observe_meet(run, thread))
			return;
		if (i >= updaters(run)) {
			walk(run, i, round, thread, &dice);
			continue;
		}
		for (unsigned k = 0; k < OWN && !clv_observe_failed(run); k++) {
			bool defer = deferred < DEFERRED && clv_dice_below(&dice, 4) == 0;
			unsigned id = defer ? first + OWN + deferred++ : first + k;

			update(run, i, round, thread, &dice, clv_observe_subject(run, id), defer);
		}
		clv_count(&state->finished);
		clv_observe_step(run);
	}
	if (clv_observe_meet(run, thread) && i == updaters(run))
		clv_observe_clear(run, i, run->config.rounds, thread);
}

const struct clv_scenario clv_scenario_poison = {
	.name = "poison",
	.summary = "entries overwritten once they are removed, against walks that stay in visits",
	.guarantee = CLEAVE_C4_UNLINK_BEFORE_FREE,
	.needs = CLEAVE_C4_UNLINK_BEFORE_FREE,
	.threads_min = 2,
	.threads_max = CLV_OBSERVE_THREADS_MAX,
	.subjects = SUBJECTS,
	.state_bytes = sizeof(struct state),
	.setup = setup,
	.body = body,
};
