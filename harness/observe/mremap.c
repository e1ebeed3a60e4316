// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * C2, source before copy. A token is in one subject. Thread 0 moves a mapping again and again: it
 * inserts a copy near the source, moves the token, removes the source. Walkers of the token's page
 * have to see it: if they came to the copy before the token did, and to the source after it had
 * left, they would miss it.
 */
#include "model.h"

enum {
	MOVING = 3,	/* subjects that take turns */
	BYSTANDERS = 6, /* some start where the movers do */
	PAGE = 2000,
	LENGTH = 12,
	MOVES = 4, /* a round */
};

struct state {
	_Alignas(CLV_CACHE_LINE) uint32_t holder; /* the token's subject */
	uint32_t done;				  /* rounds */
	_Alignas(CLV_CACHE_LINE) uint32_t visits;
};

struct walker {
	struct clv_observe *run;
	struct cleave_thread *thread;
	bool seen;
};

static int visit(struct cleave_entry *entry, void *arg)
{
	struct walker *walker = arg;
	struct state *state = walker->run->state;
	struct clv_subject *subject = clv_observe_visited(walker->run, entry);
	uint32_t steps = clv_read(&walker->run->steps);

	if (subject->id >= MOVING)
		return 0;
	if (clv_read(&state->holder) == subject->id)
		walker->seen = true;
	clv_count(&state->visits);
	if (!walker->seen)
		clv_observe_await(walker->run, walker->thread, &walker->run->steps, steps);
	return 0;
}

static void walk(struct clv_observe *run, unsigned i, unsigned round, struct cleave_thread *thread)
{
	struct state *state = run->state;
	struct clv_pace pace = { 0 };

	do {
		struct walker walker = { run, thread, false };

		if (!clv_observe_must(run, i, round, "cleave_walk failed",
				      cleave_walk(run->map, thread, PAGE + LENGTH / 2,
						  PAGE + LENGTH / 2, 0, visit, &walker)))
			return;
		if (!walker.seen)
			clv_observe_fail(run, i, round, "a walk missed the token", 0, 0);
		clv_observe_pace(run, thread, &pace);
	} while (clv_read(&state->done) == round && !clv_observe_failed(run));
}

static struct clv_subject *find_out(struct clv_observe *run)
{
	unsigned id = 0;

	while (clv_read(&clv_observe_subject(run, id)->state) != CLV_SUBJECT_OUT)
		id++;
	return clv_observe_subject(run, id);
}

/* Returns: the copy; NULL after a failure. */
static struct clv_subject *move(struct clv_observe *run, unsigned round,
				struct cleave_thread *thread, struct clv_dice *dice,
				struct clv_subject *source)
{
	struct state *state = run->state;
	struct clv_subject *copy = find_out(run);
	uint32_t visits = clv_read(&state->visits);
	/* Where the source starts, mostly: then nothing but the order of ties is left to go by. */
	uint64_t start = source->start;

	if (!clv_dice_below(dice, 4) && start < PAGE + LENGTH / 2)
		start++;
	clv_observe_migrate(run, thread, dice);
	copy->start = start;
	copy->last = PAGE + LENGTH - clv_dice_below(dice, LENGTH / 2);
	clv_write(&copy->state, CLV_SUBJECT_IN);
	if (!clv_observe_must(run, 0, round, "cleave_insert_near failed",
			      cleave_insert_near(run->map, thread, clv_subject_entry(source),
						 clv_subject_entry(copy), copy->start, copy->last)))
		return NULL;
	clv_observe_await(run, thread, &state->visits, visits);
	clv_write(&state->holder, copy->id);
	clv_observe_step(run);
	visits = clv_read(&state->visits);
	if (clv_dice_below(dice, 2))
		clv_observe_await(run, thread, &state->visits, visits);
	if (!clv_observe_must(run, 0, round, "cleave_remove failed",
			      clv_observe_remove(run, thread, source)))
		return NULL;
	clv_observe_step(run);
	clv_observe_retire(run, thread);
	return copy;
}

static bool begin_round(struct clv_observe *run, unsigned round, struct cleave_thread *thread,
			struct clv_dice *dice)
{
	struct state *state = run->state;

	for (unsigned id = 0; id < MOVING + BYSTANDERS; id++) {
		uint64_t start = id % 2 ? PAGE : PAGE + LENGTH / 2 - clv_dice_below(dice, LENGTH);

		if (id > 0 && id < MOVING)
			continue;
		clv_observe_migrate(run, thread, dice);
		if (!clv_observe_must(run, 0, round, "cleave_insert failed",
				      clv_observe_insert(run, thread, clv_observe_subject(run, id),
							 id ? start : PAGE, PAGE + LENGTH)))
			return false;
	}
	clv_write(&state->holder, 0);
	return true;
}

static void body(struct clv_observe *run, unsigned i, struct cleave_thread *thread)
{
	struct clv_dice dice = clv_dice_make(run, i);
	struct state *state = run->state;

	for (unsigned round = 0; round < run->config.rounds; round++) {
		struct clv_subject *source = clv_observe_subject(run, 0);

		if (i == 0 && !begin_round(run, round, thread, &dice))
			return;
		if (!clv_observe_meet(run, thread))
			return;
		if (i != 0)
			walk(run, i, round, thread);
		for (unsigned moves = 0; i == 0 && moves < MOVES && source; moves++)
			source = move(run, round, thread, &dice, source);
		if (i == 0) {
			clv_count(&state->done);
			clv_observe_step(run);
		}
		if (!clv_observe_meet(run, thread))
			return;
		if (i == 0 && !clv_observe_clear(run, i, round, thread))
			return;
	}
}

const struct clv_scenario clv_scenario_mremap = {
	.name = "mremap",
	.summary = "copies inserted near their source, which then hands on a token and is removed, "
		   "against walks that look for the token",
	.guarantee = CLEAVE_C2_SOURCE_BEFORE_COPY,
	.needs = CLEAVE_C2_SOURCE_BEFORE_COPY | CLEAVE_C5_COMPLETE_AND_SINGLE,
	.threads_min = 2,
	.threads_max = CLV_OBSERVE_THREADS_MAX,
	.subjects = MOVING + BYSTANDERS,
	.state_bytes = sizeof(struct state),
	.body = body,
};
