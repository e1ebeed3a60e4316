// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Everything at once, with a count in the end. Each body updates subjects of its own by all kinds
 * of ops, in batches of several, and walks, also trying. Between start and end the bodies share no
 * word but what is in the map: whatever orders them is the map's doing, so that ThreadSanitizer
 * sees every access that the map forgot to order.
 */
#include "model.h"

enum {
	OWN = 12,
	SUBJECTS = CLV_OBSERVE_THREADS_MAX * OWN,
	BATCH = 4,
	PAGE = 12000,
	SPREAD = 128,
	STEPS = 60, /* batches and walks a round and body */
};

struct walker {
	uint32_t visited;
	uint32_t stop_after;
};

static bool in_map(const struct clv_subject *subject)
{
	return clv_read(&subject->state) == CLV_SUBJECT_IN;
}

static int visit(struct cleave_entry *entry, void *arg)
{
	struct walker *walker = arg;

	(void)entry;
	return ++walker->visited == walker->stop_after ? 7 : 0;
}

static void walk(struct clv_observe *run, unsigned i, unsigned round, struct cleave_thread *thread,
		 struct clv_dice *dice)
{
	struct walker walker = { 0, clv_dice_below(dice, 20) };
	unsigned flags = clv_dice_below(dice, 3) ? 0 : CLEAVE_TRY;
	uint64_t start = PAGE + clv_dice_below(dice, SPREAD);
	uint64_t last = start + clv_dice_below(dice, SPREAD);
	int code = cleave_walk(run->map, thread, start, last, flags, visit, &walker);
	bool stopped = walker.stop_after && walker.visited == walker.stop_after;

	if (flags && (code == -EBUSY || code == -ENOTSUP))
		return;
	if (code != (stopped ? 7 : 0))
		clv_observe_fail(run, i, round, "cleave_walk returned something else",
				 (uint64_t)code, walker.visited);
}

/* The subject's next op; `source` is in the map before the batch, and not in it, or NULL. */
static void make_op(struct clv_observe *run, struct clv_dice *dice, struct cleave_op *op,
		    struct clv_subject *subject, struct clv_subject *source)
{
	bool in = in_map(subject);

	op->entry = clv_subject_entry(subject);
	op->source = NULL;
	op->start = PAGE + clv_dice_below(dice, SPREAD);
	op->last = op->start + clv_dice_below(dice, SPREAD / 2);
	if (in) {
		op->kind = clv_dice_below(dice, 2) ? CLEAVE_CHANGE : CLEAVE_REMOVE;
	} else {
		op->kind = CLEAVE_INSERT;
		if (source && clv_dice_below(dice, 2)) {
			op->kind = CLEAVE_INSERT_NEAR;
			op->source = clv_subject_entry(source);
			if (clv_dice_below(dice, 2)) {
				op->kind = CLEAVE_INSERT_AFTER;
				cleave_bounds(run->map, op->source, &op->start, &op->last);
			}
		}
	}
}

static void update(struct clv_observe *run, unsigned i, unsigned round,
		   struct cleave_thread *thread, struct clv_dice *dice)
{
	struct cleave_op ops[BATCH];
	unsigned count = 1 + clv_dice_below(dice, BATCH);
	unsigned first = clv_dice_below(dice, OWN);
	struct cleave_batch batch = { .ops = ops, .count = count };
	struct clv_subject *source = clv_observe_subject(run, i * OWN + (first + count) % OWN);
	bool retire = false;

	for (unsigned k = 0; k < count; k++)
		make_op(run, dice, &ops[k], clv_observe_subject(run, i * OWN + (first + k) % OWN),
			in_map(source) ? source : NULL);
	clv_observe_migrate(run, thread, dice);
	if (!clv_observe_must(run, i, round, "cleave_prepare failed",
			      cleave_prepare(run->map, thread, &batch)))
		return;
	if (clv_dice_below(dice, 8) == 0) {
		cleave_abandon(run->map, thread, &batch);
		return;
	}
	cleave_commit(run->map, thread, &batch);
	for (unsigned k = 0; k < count; k++) {
		struct clv_subject *subject = clv_observe_visited(run, ops[k].entry);
		bool removed = ops[k].kind == CLEAVE_REMOVE;

		retire |= removed;
		clv_write(&subject->state, removed ? CLV_SUBJECT_OUT : CLV_SUBJECT_IN);
		if (removed)
			continue;
		subject->start = ops[k].start;
		subject->last = ops[k].last;
	}
	if (retire)
		clv_observe_retire(run, thread);
}

static void body(struct clv_observe *run, unsigned i, struct cleave_thread *thread)
{
	struct clv_dice dice = clv_dice_make(run, i);

	if (!clv_observe_meet(run, thread))
		return;
	for (unsigned round = 0; round < run->config.rounds; round++) {
		for (unsigned k = 0; k < clv_observe_steps(run, STEPS); k++) {
			if (clv_dice_below(&dice, 3))
				update(run, i, round, thread, &dice);
			else
				walk(run, i, round, thread, &dice);
		}
		if (run->config.progress)
			__atomic_add_fetch(run->config.progress, 1, __ATOMIC_RELAXED);
	}
}

struct tally {
	struct clv_observe *run;
	uint32_t *count;
};

static int tally(struct cleave_entry *entry, void *arg)
{
	struct tally *at = arg;

	at->count[clv_observe_visited(at->run, entry)->id]++;
	return 0;
}

static void check(struct clv_observe *run, struct cleave_thread *thread)
{
	unsigned rounds = run->config.rounds;
	struct tally at = { run, clv_observe_tally(run, 0) };

	if (!clv_observe_must(
		    run, 0, rounds, "cleave_walk failed",
		    cleave_walk(run->map, thread, 0, cleave_last_max(run->map), 0, tally, &at)))
		return;
	for (unsigned id = 0; id < SUBJECTS; id++) {
		struct clv_subject *subject = clv_observe_subject(run, id);
		uint64_t start, last;

		if (at.count[id] != (in_map(subject) && !run->sink))
			clv_observe_fail(run, 0, rounds, "the count in the end is wrong", id,
					 at.count[id]);
		if (!in_map(subject))
			continue;
		cleave_bounds(run->map, clv_subject_entry(subject), &start, &last);
		if (start != subject->start || last != subject->last)
			clv_observe_fail(run, 0, rounds, "bounds in the end are wrong", id, start);
	}
	clv_observe_clear(run, 0, rounds, thread);
	if (!cleave_empty(run->map))
		clv_observe_fail(run, 0, rounds, "not empty after the last removal", 0, 0);
}

const struct clv_scenario clv_scenario_mix = {
	.name = "mix",
	.summary = "all kinds of ops in batches and walks, nothing shared but the map, counted in "
		   "the end",
	.guarantee = CLEAVE_C5_COMPLETE_AND_SINGLE,
	.sinks = true,
	.threads_min = 1,
	.threads_max = CLV_OBSERVE_THREADS_MAX,
	.subjects = SUBJECTS,
	.body = body,
	.check = check,
};
