// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * C1, parent before child. Every subject has a page table entry, its slot. Thread 0 forks: it
 * inserts the child after its parent, which drops the lock, and then copies the slot, as fork does.
 * Walkers (rmap_walk_file) clear the slot of each subject that they visit. If a walk saw the child
 * first, still clear, and the copy were made before it came to the parent, the child would keep a
 * slot that no walk of the round clears any more. Beside that, no walk may visit a child before its
 * parent.
 *
 * Copies and clears exclude each other, as the kernel's do by the locks of the page tables.
 */
#include "model.h"

enum {
	FAMILY = 6,	/* subject 0 and its descendants */
	BYSTANDERS = 6, /* in whatever subset; start where the family starts */
	SHORT = 3,	/* of these: or behind it, and reach a few pages */
	PAGE = 1000,
	LENGTH = 16,
};

struct state {
	_Alignas(CLV_CACHE_LINE) uint32_t page_tables; /* spin lock */
	_Alignas(CLV_CACHE_LINE) uint32_t forked;      /* children inserted, in all rounds */
	uint32_t copied;			       /* slots copied, in all rounds */
	_Alignas(CLV_CACHE_LINE) uint32_t visits;
};

struct walker {
	struct clv_observe *run;
	struct cleave_thread *thread;
	struct clv_dice *dice;
	uint32_t *rank; /* [subject] its place in the walk; 0: not visited */
	uint32_t visited;
};

static void lock(uint32_t *word, struct cleave_thread *thread)
{
	for (unsigned turn = 0; __atomic_exchange_n(word, 1, __ATOMIC_SEQ_CST); turn++)
		clv_observe_relax(thread, turn);
}

static void unlock(uint32_t *word)
{
	clv_write(word, 0);
}

static int visit(struct cleave_entry *entry, void *arg)
{
	struct walker *walker = arg;
	struct state *state = walker->run->state;
	struct clv_subject *subject = clv_observe_visited(walker->run, entry);
	uint32_t copied = clv_read(&state->copied);

	if (subject->id >= FAMILY)
		return 0;
	walker->rank[subject->id] = ++walker->visited;
	/* A child may be put in, and its copy made, before its parent's is cleared. */
	if (!clv_dice_below(walker->dice, 4))
		clv_observe_await(walker->run, walker->thread, &state->copied, copied);
	lock(&state->page_tables, walker->thread);
	clv_write(&subject->slot, 0);
	unlock(&state->page_tables);
	clv_count(&state->visits);
	/* Between two relatives is where a copy does harm. */
	if (walker->visited == 1 || !clv_dice_below(walker->dice, 4))
		clv_observe_await(walker->run, walker->thread, &state->copied, copied);
	return 0;
}

static void walk(struct clv_observe *run, unsigned i, unsigned round, struct cleave_thread *thread,
		 struct clv_dice *dice)
{
	struct state *state = run->state;
	struct walker walker = { run, thread, dice, clv_observe_tally(run, i), 0 };
	uint32_t wanted = round * (FAMILY - 1) + clv_dice_below(dice, FAMILY);
	uint64_t page = PAGE + clv_dice_below(dice, LENGTH);

	for (unsigned turn = 0; clv_read(&state->forked) < wanted && !clv_observe_failed(run);
	     turn++)
		clv_observe_relax(thread, turn);
	memset(walker.rank, 0, FAMILY * sizeof(*walker.rank));
	if (!clv_observe_must(run, i, round, "cleave_walk failed",
			      cleave_walk(run->map, thread, page, page, 0, visit, &walker)))
		return;
	if (!walker.rank[0])
		clv_observe_fail(run, i, round, "the parent, there all the while, was not visited",
				 0, 0);
	for (unsigned id = 1; id < FAMILY; id++) {
		uint32_t parent = clv_read(&clv_observe_subject(run, id)->parent);

		if (walker.rank[id] && walker.rank[parent] > walker.rank[id])
			clv_observe_fail(run, i, round, "child visited before parent", id, parent);
	}
}

static bool fork_all(struct clv_observe *run, unsigned round, struct cleave_thread *thread,
		     struct clv_dice *dice)
{
	struct state *state = run->state;

	for (unsigned id = 1; id < FAMILY; id++) {
		struct clv_subject *child = clv_observe_subject(run, id);
		struct clv_subject *parent = clv_observe_subject(run, clv_dice_below(dice, id));
		uint32_t visits = clv_read(&state->visits);

		clv_write(&child->parent, parent->id);
		clv_write(&child->state, CLV_SUBJECT_IN);
		clv_observe_migrate(run, thread, dice);
		if (!clv_observe_must(run, 0, round, "cleave_insert_after failed",
				      cleave_insert_after(run->map, thread,
							  clv_subject_entry(parent),
							  clv_subject_entry(child))))
			return false;
		clv_count(&state->forked);
		/* The lock is dropped and the copy not made: let a walker come in between. */
		clv_observe_await(run, thread, &state->visits, visits);
		lock(&state->page_tables, thread);
		clv_write(&child->slot, clv_read(&parent->slot));
		unlock(&state->page_tables);
		clv_count(&state->copied);
	}
	return true;
}

static bool begin_round(struct clv_observe *run, unsigned round, struct cleave_thread *thread,
			struct clv_dice *dice)
{
	for (unsigned k = 0; k <= BYSTANDERS; k++) {
		bool is_short = k > BYSTANDERS - SHORT;
		/* The root among them, at a random place. */
		unsigned id = k ? FAMILY - 1 + k : 0;

		clv_observe_migrate(run, thread, dice);
		if (!clv_observe_must(run, 0, round, "cleave_insert failed",
				      clv_observe_insert(run, thread, clv_observe_subject(run, id),
							 PAGE + (is_short ? k % SHORT : 0),
							 PAGE + (is_short ? 2 + k : LENGTH - 1))))
			return false;
	}
	clv_write(&clv_observe_subject(run, 0)->slot, 1);
	return true;
}

static void body(struct clv_observe *run, unsigned i, struct cleave_thread *thread)
{
	struct clv_dice dice = clv_dice_make(run, i);

	for (unsigned round = 0; round < run->config.rounds; round++) {
		if (i == 0 && !begin_round(run, round, thread, &dice))
			return;
		if (!clv_observe_meet(run, thread))
			return;
		if (i == 0)
			fork_all(run, round, thread, &dice);
		else
			walk(run, i, round, thread, &dice);
		if (!clv_observe_meet(run, thread))
			return;
		if (i != 0)
			continue;
		/* Each walker has made one whole walk since the root's slot was set. */
		for (unsigned id = 0; id < FAMILY; id++) {
			if (clv_read(&clv_observe_subject(run, id)->slot))
				clv_observe_fail(run, i, round,
						 "a slot is still set after the walks", id, 0);
		}
		clv_observe_clear(run, i, round, thread);
	}
}

const struct clv_scenario clv_scenario_fork = {
	.name = "fork",
	.summary = "children inserted after parents, whose page table entries are then copied, "
		   "against walks that clear them",
	.guarantee = CLEAVE_C1_PARENT_BEFORE_CHILD,
	.needs = CLEAVE_C1_PARENT_BEFORE_CHILD | CLEAVE_C5_COMPLETE_AND_SINGLE,
	.threads_min = 2,
	.threads_max = CLV_OBSERVE_THREADS_MAX,
	.subjects = FAMILY + BYSTANDERS,
	.state_bytes = sizeof(struct state),
	.body = body,
};
