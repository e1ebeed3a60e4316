// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * C6, long holds, exclusive. Thread 0 holds the map and breaks it for a while: it removes the
 * token, lets time pass, and puts it back, in two batches. Nobody may be in a visit meanwhile,
 * nobody see the map without the token, nobody get an update in between.
 *
 * The token is always in the anchor's subset: a walk that goes from subset to subset, and says that
 * it does not keep C3, has to see it too.
 */
#include "model.h"

enum {
	TOKENS = 2, /* one is in; the other's memory may still be seen where designs defer */
	ANCHOR = TOKENS,
	UPDATERS = 3,
	OWN = 6,
	FIRST_OWN = ANCHOR + 1,
	SUBJECTS = FIRST_OWN + UPDATERS * OWN,
	PAGE = 9000,
	SPREAD = 16,
	HOLDS = 2, /* a round */
};

struct state {
	_Alignas(CLV_CACHE_LINE) uint32_t inside;   /* the map is held exclusive */
	_Alignas(CLV_CACHE_LINE) uint32_t attempts; /* others' calls begun */
	_Alignas(CLV_CACHE_LINE) uint32_t done;	    /* rounds */
};

struct walker {
	struct clv_observe *run;
	struct cleave_thread *thread;
	struct clv_dice *dice;
	unsigned i, round;
	bool holder;
	unsigned tokens, visited;
};

static int visit(struct cleave_entry *entry, void *arg)
{
	struct walker *walker = arg;
	struct state *state = walker->run->state;

	walker->visited++;
	walker->tokens += clv_observe_visited(walker->run, entry)->id < TOKENS;
	if (walker->holder)
		return 0;
	if (clv_dice_below(walker->dice, 4) == 0)
		clv_observe_relax(walker->thread, walker->visited);
	if (clv_read(&state->inside))
		clv_observe_fail(walker->run, walker->i, walker->round,
				 "a visit while another thread holds the map exclusive", 0, 0);
	return 0;
}

static void count_tokens(struct clv_observe *run, struct cleave_hold *hold, unsigned round,
			 struct walker *walker, unsigned tokens)
{
	walker->tokens = 0;
	walker->visited = 0;
	cleave_hold_walk(hold, PAGE, PAGE + SPREAD, visit, walker);
	if (walker->tokens != tokens)
		clv_observe_fail(run, 0, round, "the holder's walk does not see what it has done",
				 walker->tokens, tokens);
}

static void hold_and_break(struct clv_observe *run, unsigned round, struct cleave_thread *thread,
			   struct clv_dice *dice, unsigned in)
{
	struct state *state = run->state;
	struct walker walker = { run, thread, dice, 0, round, true, 0, 0 };
	const struct cleave_op take = { CLEAVE_REMOVE,
					clv_subject_entry(clv_observe_subject(run, in)), NULL, 0,
					0 };
	const struct cleave_op put = { CLEAVE_INSERT_NEAR,
				       clv_subject_entry(clv_observe_subject(run, !in)),
				       clv_subject_entry(clv_observe_subject(run, ANCHOR)), PAGE,
				       PAGE + SPREAD };
	uint32_t attempts = clv_read(&state->attempts);
	struct cleave_hold *hold;
	unsigned visited;

	clv_observe_migrate(run, thread, dice);
	if (!clv_observe_must(run, 0, round, "cleave_hold failed",
			      cleave_hold_begin(run->map, thread, CLEAVE_EXCLUSIVE, 0, &hold)))
		return;
	clv_write(&state->inside, 1);
	count_tokens(run, hold, round, &walker, 1);
	visited = walker.visited;
	clv_observe_must(run, 0, round, "cleave_hold_apply failed",
			 cleave_hold_apply(hold, &take, 1));
	clv_observe_await(run, thread, &state->attempts, attempts);
	clv_observe_await(run, thread, &state->attempts, clv_read(&state->attempts));
	count_tokens(run, hold, round, &walker, 0);
	clv_observe_must(run, 0, round, "cleave_hold_apply failed",
			 cleave_hold_apply(hold, &put, 1));
	count_tokens(run, hold, round, &walker, 1);
	if (walker.visited != visited)
		clv_observe_fail(run, 0, round, "others' updates came in during an exclusive hold",
				 visited, walker.visited);
	clv_write(&state->inside, 0);
	cleave_hold_end(hold);
	clv_write(&clv_observe_subject(run, in)->state, CLV_SUBJECT_OUT);
	clv_write(&clv_observe_subject(run, !in)->state, CLV_SUBJECT_IN);
	clv_observe_step(run);
	clv_observe_retire(run, thread);
}

static void walk(struct clv_observe *run, unsigned i, unsigned round, struct cleave_thread *thread,
		 struct clv_dice *dice)
{
	struct state *state = run->state;
	struct walker walker = { run, thread, dice, i, round, false, 0, 0 };
	struct cleave_hold *hold;

	clv_count(&state->attempts);
	if (clv_dice_below(dice, 2)) {
		if (!clv_observe_must(
			    run, i, round, "cleave_walk failed",
			    cleave_walk(run->map, thread, PAGE, PAGE + SPREAD, 0, visit, &walker)))
			return;
	} else {
		if (!clv_observe_must(run, i, round, "cleave_hold failed",
				      cleave_hold_begin(run->map, thread, CLEAVE_SHARED, 0, &hold)))
			return;
		cleave_hold_walk(hold, PAGE, PAGE + SPREAD, visit, &walker);
		cleave_hold_end(hold);
	}
	if (!walker.tokens)
		clv_observe_fail(run, i, round, "a walk saw into an exclusive hold", 0, 0);
}

static void update(struct clv_observe *run, unsigned i, unsigned round,
		   struct cleave_thread *thread, struct clv_dice *dice)
{
	struct state *state = run->state;
	unsigned first = FIRST_OWN + (i - 1) % UPDATERS * OWN;
	struct clv_subject *subject = clv_observe_subject(run, first + clv_dice_below(dice, OWN));
	int code;

	clv_count(&state->attempts);
	clv_observe_migrate(run, thread, dice);
	if (clv_read(&subject->state) == CLV_SUBJECT_OUT) {
		code = clv_observe_insert(run, thread, subject, PAGE, PAGE + 1);
	} else {
		code = clv_observe_remove(run, thread, subject);
		clv_observe_retire(run, thread);
	}
	clv_observe_must(run, i, round, "an update failed", code);
}

static bool insert_tokens(struct clv_observe *run, struct cleave_thread *thread)
{
	struct clv_subject *anchor = clv_observe_subject(run, ANCHOR);
	struct clv_subject *token = clv_observe_subject(run, 0);

	if (!clv_observe_must(run, 0, 0, "cleave_insert failed",
			      clv_observe_insert(run, thread, anchor, PAGE, PAGE)))
		return false;
	clv_write(&token->state, CLV_SUBJECT_IN);
	return clv_observe_must(run, 0, 0, "cleave_insert_near failed",
				cleave_insert_near(run->map, thread, clv_subject_entry(anchor),
						   clv_subject_entry(token), PAGE, PAGE + SPREAD));
}

static void body(struct clv_observe *run, unsigned i, struct cleave_thread *thread)
{
	struct clv_dice dice = clv_dice_make(run, i);
	struct state *state = run->state;
	struct clv_pace pace = { 0 };
	unsigned in = 0;

	if (i == 0 && !insert_tokens(run, thread))
		return;
	for (unsigned round = 0; round < run->config.rounds; round++) {
		if (!clv_observe_meet(run, thread))
			return;
		if (i == 0) {
			for (unsigned k = 0; k < HOLDS; k++, in = !in)
				hold_and_break(run, round, thread, &dice, in);
			clv_count(&state->done);
			clv_observe_step(run);
			continue;
		}
		/* The first other one walks only, those up to UPDATERS do both. */
		do {
			if (i > 1 && i <= UPDATERS && clv_dice_below(&dice, 2))
				update(run, i, round, thread, &dice);
			else
				walk(run, i, round, thread, &dice);
			clv_observe_pace(run, thread, &pace);
		} while (clv_read(&state->done) == round && !clv_observe_failed(run));
	}
	if (clv_observe_meet(run, thread) && i == 0)
		clv_observe_clear(run, i, run->config.rounds, thread);
}

const struct clv_scenario clv_scenario_hold_exclusive = {
	.name = "hold_exclusive",
	.summary = "a token taken out and put back under one exclusive hold, against walks, holds "
		   "and updates",
	.guarantee = CLEAVE_C6_LONG_HOLDS,
	.needs = CLEAVE_C6_LONG_HOLDS | CLEAVE_C5_COMPLETE_AND_SINGLE,
	.threads_min = 2,
	.threads_max = CLV_OBSERVE_THREADS_MAX,
	.subjects = SUBJECTS,
	.state_bytes = sizeof(struct state),
	.body = body,
};
