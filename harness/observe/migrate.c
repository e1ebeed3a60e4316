// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * C7, the subset is stored. Threads insert from one CPU and change, fork, copy and remove from
 * others, with bounds that have nothing to do with the first ones. The entry's subset has to stay,
 * children and copies have to be in it too, and in the end nothing may be left anywhere: a removal
 * that looked in another subset would leave its entry behind, or take the other one's lock.
 */
#include "model.h"

enum {
	OWN = 6,
	SUBJECTS = CLV_OBSERVE_THREADS_MAX * OWN,
	PAGE = 10000,
	SPREAD = 1000,
	UPDATES = 24, /* a round and body */
};

static bool in_map(const struct clv_subject *subject)
{
	return clv_read(&subject->state) == CLV_SUBJECT_IN;
}

static bool check_subset(struct clv_observe *run, unsigned i, unsigned round,
			 struct clv_subject *subject)
{
	uint32_t subset = clv_subject_entry(subject)->subset;

	if (subset != subject->subset)
		return clv_observe_fail(run, i, round, "an entry's subset is not what it was",
					subset, subject->subset);
	return subset < cleave_subsets(run->map) ||
	       clv_observe_fail(run, i, round, "an entry's subset does not exist", subset, 0);
}

/* Insert what is out: alone, or as child or copy of one that is in. */
static int insert(struct clv_observe *run, struct cleave_thread *thread, struct clv_dice *dice,
		  struct clv_subject *subject, struct clv_subject *source, uint64_t start,
		  uint64_t last)
{
	int code;

	if (!in_map(source) || source == subject)
		return clv_observe_insert(run, thread, subject, start, last);
	if (clv_dice_below(dice, 2))
		code = cleave_insert_after(run->map, thread, clv_subject_entry(source),
					   clv_subject_entry(subject));
	else
		code = cleave_insert_near(run->map, thread, clv_subject_entry(source),
					  clv_subject_entry(subject), start, last);
	if (code)
		return code;
	clv_write(&subject->state, CLV_SUBJECT_IN);
	subject->subset = source->subset;
	return 0;
}

static bool update(struct clv_observe *run, unsigned i, unsigned round,
		   struct cleave_thread *thread, struct clv_dice *dice)
{
	struct clv_subject *subject = clv_observe_subject(run, i * OWN + clv_dice_below(dice, OWN));
	struct clv_subject *other = clv_observe_subject(run, i * OWN + clv_dice_below(dice, OWN));
	uint64_t start = PAGE + clv_dice_below(dice, SPREAD);
	uint64_t last = start + clv_dice_below(dice, SPREAD);
	int code;

	clv_observe_migrate(run, thread, dice);
	if (!in_map(subject)) {
		code = insert(run, thread, dice, subject, other, start, last);
	} else if (clv_dice_below(dice, 3)) {
		code = cleave_change(run->map, thread, clv_subject_entry(subject), start, last);
	} else {
		code = clv_observe_remove(run, thread, subject);
		clv_observe_retire(run, thread);
	}
	return clv_observe_must(run, i, round, "an update failed", code) &&
	       check_subset(run, i, round, subject);
}

static int count(struct cleave_entry *entry, void *arg)
{
	(void)entry;
	++*(unsigned *)arg;
	return 0;
}

/* Nobody else is in a call: what is in has to be there, once, and nothing more. */
static bool check_count(struct clv_observe *run, unsigned round, struct cleave_thread *thread)
{
	unsigned visited = 0, in = 0;

	for (unsigned id = 0; id < SUBJECTS; id++)
		in += in_map(clv_observe_subject(run, id));
	if (!clv_observe_must(run, 0, round, "cleave_walk failed",
			      cleave_walk(run->map, thread, 0, cleave_last_max(run->map), 0, count,
					  &visited)))
		return false;
	return visited == in ||
	       clv_observe_fail(run, 0, round, "a walk visits more or less than is in", visited,
				in);
}

static void body(struct clv_observe *run, unsigned i, struct cleave_thread *thread)
{
	struct clv_dice dice = clv_dice_make(run, i);
	struct cleave_error error;

	for (unsigned round = 0; round < run->config.rounds; round++) {
		if (!clv_observe_meet(run, thread))
			return;
		for (unsigned k = 0; k < clv_observe_steps(run, UPDATES) &&
				     update(run, i, round, thread, &dice); k++)
			;
		if (!clv_observe_meet(run, thread))
			return;
		if (i == 0 && check_count(run, round, thread) && cleave_validate(run->map, &error))
			clv_observe_fail(run, i, round, "cleave_validate finds fault", 0, 0);
	}
	if (!clv_observe_meet(run, thread) || i != 0)
		return;
	clv_observe_clear(run, i, run->config.rounds, thread);
	check_count(run, run->config.rounds, thread);
}

const struct clv_scenario clv_scenario_migrate = {
	.name = "migrate",
	.summary = "entries changed, forked, copied and removed from other CPUs than they were "
		   "made on",
	.guarantee = CLEAVE_C7_SUBSET_STORED,
	.needs = CLEAVE_C7_SUBSET_STORED,
	.threads_min = 1,
	.threads_max = CLV_OBSERVE_THREADS_MAX,
	.subjects = SUBJECTS,
	.body = body,
};
