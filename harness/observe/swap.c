// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Batches over many subsets, from several threads, in no order of subsets. Each swapper has pages
 * of its own, and for each two subjects, of which one is in; a batch takes out all that are in and
 * puts in the others, anywhere. Two swappers' batches meet at several locks, in opposite order if
 * it were theirs to choose: then they would wait for each other for good.
 *
 * One body walks: of each page it has to see one of the two subjects at least, if the map keeps C3.
 */
#include "model.h"

enum {
	SUBSETS = 16, /* at most that many are used */
	PAIRS = 6,    /* so that a batch needs up to 12 locks */
	OWN = SUBSETS + 2 * PAIRS,
	SWAPPERS = CLV_OBSERVE_THREADS_MAX - 1,
	PAGE = 5000, /* swapper i has PAIRS pages from PAGE + i * PAIRS on; anchors lie below */
	SWAPS = 4,   /* a round */
};

struct state {
	_Alignas(CLV_CACHE_LINE) uint32_t finished; /* swappers, in all rounds */
};

struct walker {
	struct clv_observe *run;
	struct cleave_thread *thread;
	uint32_t *covers; /* [subject id / OWN * PAIRS + pair] */
	uint32_t visited;
};

static struct clv_subject *own(const struct clv_observe *run, unsigned swapper, unsigned k)
{
	return clv_observe_subject(run, swapper * OWN + k);
}

static int visit(struct cleave_entry *entry, void *arg)
{
	struct walker *walker = arg;
	const struct clv_subject *subject = clv_observe_visited(walker->run, entry);
	unsigned k = subject->id % OWN;

	if (k < SUBSETS)
		return 0;
	walker->covers[subject->id / OWN * PAIRS + (k - SUBSETS) / 2]++;
	if (++walker->visited % 5 == 1)
		clv_observe_relax(walker->thread, walker->visited);
	return 0;
}

static void walk(struct clv_observe *run, unsigned i, unsigned round, struct cleave_thread *thread)
{
	struct state *state = run->state;
	unsigned swappers = run->config.threads - 1;
	unsigned pages = swappers * PAIRS;
	struct clv_pace pace = { 0 };
	bool demand = cleave_keeps(run->map) & CLEAVE_C3_COVERAGE;

	do {
		struct walker walker = { run, thread, clv_observe_tally(run, i), 0 };

		memset(walker.covers, 0, pages * sizeof(*walker.covers));
		if (!clv_observe_must(run, i, round, "cleave_walk failed",
				      cleave_walk(run->map, thread, PAGE, PAGE + pages - 1, 0,
						  visit, &walker)))
			return;
		for (unsigned page = 0; page < pages && demand; page++) {
			if (!walker.covers[page])
				clv_observe_fail(run, i, round, "a walk saw half a batch", page, 0);
		}
		clv_observe_pace(run, thread, &pace);
	} while (clv_read(&state->finished) < (round + 1) * swappers && !clv_observe_failed(run));
}

/* Returns: number of anchors; 0 after a failure. Each is in a subset of its own, where luck has it.
 */
static unsigned place_anchors(struct clv_observe *run, unsigned swapper,
			      struct cleave_thread *thread)
{
	unsigned subsets = cleave_subsets(run->map);

	if (subsets > SUBSETS)
		subsets = SUBSETS;
	for (unsigned k = 0; k < subsets; k++) {
		if (run->config.cpus)
			cleave_thread_set_cpu(thread,
					      run->config.cpu[k * run->config.cpus / subsets]);
		if (!clv_observe_must(run, swapper, 0, "cleave_insert failed",
				      clv_observe_insert(run, thread, own(run, swapper, k),
							 PAGE - 1, PAGE - 1)))
			return 0;
	}
	return subsets;
}

static void shuffle(struct cleave_op *ops, unsigned count, struct clv_dice *dice)
{
	for (unsigned k = count; k > 1; k--) {
		unsigned other = clv_dice_below(dice, k);
		struct cleave_op moved = ops[k - 1];

		ops[k - 1] = ops[other];
		ops[other] = moved;
	}
}

static void swap(struct clv_observe *run, unsigned i, unsigned round, struct cleave_thread *thread,
		 struct clv_dice *dice, unsigned anchors)
{
	struct cleave_op ops[2 * PAIRS];
	unsigned count = 0;

	for (unsigned k = 0; k < 2 * PAIRS; k++) {
		struct clv_subject *subject = own(run, i, SUBSETS + k);
		struct clv_subject *near = own(run, i, clv_dice_below(dice, anchors));
		uint64_t page = PAGE + i * PAIRS + k / 2;
		bool in = clv_read(&subject->state) == CLV_SUBJECT_IN;
		/* In the first round's first swap there is nothing in yet. */
		bool fresh = clv_read(&own(run, i, SUBSETS + k / 2 * 2)->state) ==
			     clv_read(&own(run, i, SUBSETS + k / 2 * 2 + 1)->state);

		if (fresh && k % 2)
			continue;
		ops[count++] = (struct cleave_op) {
			.kind = in ? CLEAVE_REMOVE : CLEAVE_INSERT_NEAR,
			.entry = clv_subject_entry(subject),
			.source = in ? NULL : clv_subject_entry(near),
			.start = page,
			.last = page,
		};
	}
	shuffle(ops, count, dice);
	if (!clv_observe_must(run, i, round, "cleave_apply failed",
			      cleave_apply(run->map, thread, ops, count)))
		return;
	for (unsigned k = 0; k < count; k++) {
		struct clv_subject *subject = clv_observe_visited(run, ops[k].entry);

		clv_write(&subject->state,
			  ops[k].kind == CLEAVE_REMOVE ? CLV_SUBJECT_OUT : CLV_SUBJECT_IN);
	}
	clv_observe_step(run);
	clv_observe_retire(run, thread);
}

static void body(struct clv_observe *run, unsigned i, struct cleave_thread *thread)
{
	struct clv_dice dice = clv_dice_make(run, i);
	struct state *state = run->state;
	unsigned swappers = run->config.threads - 1;
	unsigned anchors = 0;

	if (i < swappers) {
		anchors = place_anchors(run, i, thread);
		if (!anchors)
			return;
		swap(run, i, 0, thread, &dice, anchors);
	}
	for (unsigned round = 0; round < run->config.rounds; round++) {
		if (!clv_observe_meet(run, thread))
			return;
		if (i == swappers) {
			walk(run, i, round, thread);
			continue;
		}
		for (unsigned k = 0; k < SWAPS; k++)
			swap(run, i, round, thread, &dice, anchors);
		clv_count(&state->finished);
		clv_observe_step(run);
	}
	/* The last meeting: nobody walks any more. */
	if (clv_observe_meet(run, thread) && i == swappers)
		clv_observe_clear(run, i, run->config.rounds, thread);
}

const struct clv_scenario clv_scenario_swap = {
	.name = "swap",
	.summary = "batches over many subsets from several threads, against each other and walks",
	.guarantee = CLEAVE_C3_COVERAGE,
	.needs = CLEAVE_C5_COMPLETE_AND_SINGLE,
	.threads_min = 2,
	.threads_max = CLV_OBSERVE_THREADS_MAX,
	.subjects = SWAPPERS * OWN,
	.state_bytes = sizeof(struct state),
	.body = body,
};
