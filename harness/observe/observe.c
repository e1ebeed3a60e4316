// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What runs a scenario: memory, meeting points, the first failure, and the operations that models
 * share. See observe.h.
 */
#include "model.h"

#include <stdio.h>

#include "../../lib/map.h"

/* Turns of clv_pause between two sleeps of SLEEP_NS: with more bodies than CPUs, sleeping is what
 * lets the others run. */
#define TURNS_PER_SLEEP 64
#define SLEEP_NS 20000

/* Of one walker. Pauses get longer up to 2^PATIENCE_MAX turns, about 10 ms. */
#define WALKS_PER_PAUSE 3
#define PATIENCE_MAX 13

static const struct clv_scenario *const scenarios[] = {
#define CLV_SCENARIO(name) &clv_scenario_##name,
#include "registry.def"
#undef CLV_SCENARIO
};

const struct clv_scenario *clv_scenario_at(unsigned i)
{
	return i < sizeof(scenarios) / sizeof(scenarios[0]) ? scenarios[i] : NULL;
}

const struct clv_scenario *clv_scenario_find(const char *name)
{
	const struct clv_scenario *scenario;

	for (unsigned i = 0; (scenario = clv_scenario_at(i)); i++) {
		if (!strcmp(scenario->name, name))
			return scenario;
	}
	return NULL;
}

static bool is_sink(const struct cleave_map *map)
{
	return map->structure->flags & CLEAVE_SINK;
}

bool clv_scenario_applies(const struct clv_scenario *scenario, const struct cleave_map *map)
{
	return (cleave_keeps(map) & scenario->needs) == scenario->needs &&
	       cleave_subsets(map) >= scenario->subsets_min && (scenario->sinks || !is_sink(map));
}

/* ---- dice ---- */

uint64_t clv_dice_roll(struct clv_dice *dice)
{
	/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
	uint64_t z = dice->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

struct clv_dice clv_dice_make(const struct clv_observe *run, unsigned thread)
{
	struct clv_dice dice = { run->config.seed };

	dice.state = clv_dice_roll(&dice) + thread;
	clv_dice_roll(&dice);
	return dice;
}

unsigned clv_dice_below(struct clv_dice *dice, unsigned below)
{
	return (unsigned)(clv_dice_roll(dice) % below);
}

/* ---- waiting ---- */

void clv_observe_relax(struct cleave_thread *thread, unsigned turn)
{
	if (turn % TURNS_PER_SLEEP == TURNS_PER_SLEEP - 1)
		clv_park(thread, SLEEP_NS);
	else
		clv_pause_bounded();
}

void clv_observe_await(struct clv_observe *run, struct cleave_thread *thread, const uint32_t *word,
		       uint32_t old)
{
	for (unsigned turn = 0; turn < run->config.turns && clv_read(word) == old; turn++)
		clv_observe_relax(thread, turn);
}

void clv_observe_await_step(struct clv_observe *run, struct cleave_thread *thread)
{
	clv_observe_await(run, thread, &run->steps, clv_read(&run->steps));
}

void clv_observe_step(struct clv_observe *run)
{
	clv_count(&run->steps);
}

void clv_observe_pace(struct clv_observe *run, struct cleave_thread *thread, struct clv_pace *pace)
{
	uint32_t steps = clv_read(&run->steps);

	if (steps != pace->steps) {
		*pace = (struct clv_pace) { .steps = steps };
		return;
	}
	if (++pace->walks % WALKS_PER_PAUSE)
		return;
	for (unsigned turn = 0; turn < 1u << pace->patience && clv_read(&run->steps) == steps;
	     turn++)
		clv_observe_relax(thread, turn);
	if (pace->patience < PATIENCE_MAX)
		pace->patience++;
}

bool clv_observe_meet(struct clv_observe *run, struct cleave_thread *thread)
{
	uint32_t meeting = clv_read(&run->meetings);

	if (clv_count(&run->arrived) == run->config.threads) {
		if (run->config.progress)
			__atomic_add_fetch(run->config.progress, 1, __ATOMIC_RELAXED);
		clv_write(&run->arrived, 0);
		clv_count(&run->meetings);
	}
	/* After a failure not all come any more. */
	for (unsigned turn = 0; clv_read(&run->meetings) == meeting; turn++) {
		if (clv_observe_failed(run))
			return false;
		clv_observe_relax(thread, turn);
	}
	return !clv_observe_failed(run);
}

/* ---- failing ---- */

bool clv_observe_fail(struct clv_observe *run, unsigned thread, unsigned round, const char *reason,
		      uint64_t number0, uint64_t number1)
{
	struct clv_observe_failure *failure = &run->failure;

	if (__atomic_exchange_n(&failure->claimed, 1, __ATOMIC_SEQ_CST))
		return false;
	failure->reason = reason;
	failure->thread = thread;
	failure->round = round;
	failure->number[0] = number0;
	failure->number[1] = number1;
	return false;
}

bool clv_observe_failed(const struct clv_observe *run)
{
	return clv_read(&run->failure.claimed);
}

bool clv_observe_must(struct clv_observe *run, unsigned thread, unsigned round, const char *call,
		      int code)
{
	return !code || clv_observe_fail(run, thread, round, call, (uint64_t)-code, 0);
}

/* ---- subjects ---- */

struct clv_subject *clv_observe_subject(const struct clv_observe *run, unsigned id)
{
	return (struct clv_subject *)(run->slab + id * run->stride_bytes + run->entry_bytes);
}

uint32_t *clv_observe_tally(const struct clv_observe *run, unsigned i)
{
	return run->tally + (size_t)i * run->scenario->subjects;
}

void clv_observe_migrate(struct clv_observe *run, struct cleave_thread *thread,
			 struct clv_dice *dice)
{
	if (run->config.cpus)
		cleave_thread_set_cpu(thread,
				      run->config.cpu[clv_dice_below(dice, run->config.cpus)]);
}

int clv_observe_insert(struct clv_observe *run, struct cleave_thread *thread,
		       struct clv_subject *subject, uint64_t start, uint64_t last)
{
	int code;

	__atomic_store_n(&subject->start, start, __ATOMIC_SEQ_CST);
	__atomic_store_n(&subject->last, last, __ATOMIC_SEQ_CST);
	clv_write(&subject->state, CLV_SUBJECT_IN);
	code = cleave_insert(run->map, thread, clv_subject_entry(subject), start, last);
	if (code)
		clv_write(&subject->state, CLV_SUBJECT_OUT);
	else
		subject->subset = clv_subject_entry(subject)->subset;
	return code;
}

int clv_observe_remove(struct clv_observe *run, struct cleave_thread *thread,
		       struct clv_subject *subject)
{
	int code = cleave_remove(run->map, thread, clv_subject_entry(subject));

	if (!code)
		clv_write(&subject->state, CLV_SUBJECT_OUT);
	return code;
}

void clv_observe_retire(struct clv_observe *run, struct cleave_thread *thread)
{
	if (run->defers)
		cleave_synchronize(run->map, thread);
}

struct clv_subject *clv_observe_place(struct clv_observe *run, struct cleave_thread *thread,
				      unsigned first, unsigned count, uint32_t subset,
				      uint64_t start, uint64_t last)
{
	unsigned cpus = run->config.cpus ? run->config.cpus : 1;
	bool changes = cleave_phases(run->map, NULL, 0);

	for (unsigned i = 0; i < count; i++) {
		struct clv_subject *subject = clv_observe_subject(run, first + i);

		if (clv_read(&subject->state) != CLV_SUBJECT_OUT)
			continue;
		if (changes) {
			if (run->config.cpus)
				cleave_thread_set_cpu(thread,
						      run->config.cpu[subset * cpus /
								      cleave_subsets(run->map)]);
			return clv_observe_insert(run, thread, subject, start, last) ? NULL :
										       subject;
		}
		for (unsigned j = 0; j < cpus; j++) {
			if (run->config.cpus)
				cleave_thread_set_cpu(thread, run->config.cpu[j]);
			if (clv_observe_insert(run, thread, subject, start, last))
				return NULL;
			if (subject->subset == subset)
				return subject;
			if (clv_observe_remove(run, thread, subject))
				return NULL;
			clv_observe_retire(run, thread);
		}
	}
	return NULL;
}

bool clv_observe_clear(struct clv_observe *run, unsigned i, unsigned round,
		       struct cleave_thread *thread)
{
	bool any = false;

	for (unsigned id = 0; id < run->scenario->subjects; id++) {
		struct clv_subject *subject = clv_observe_subject(run, id);

		if (clv_read(&subject->state) != CLV_SUBJECT_IN)
			continue;
		if (!clv_observe_must(run, i, round, "cleave_remove failed",
				      clv_observe_remove(run, thread, subject)))
			return false;
		any = true;
	}
	if (any)
		clv_observe_retire(run, thread);
	return true;
}

/* ---- a run ---- */

static void free_run(struct clv_observe *run)
{
	size_t tallies = (size_t)run->config.threads * run->scenario->subjects;

	if (run->tally)
		clv_free(run->tally, tallies * sizeof(*run->tally));
	if (run->state)
		clv_free(run->state, run->scenario->state_bytes);
	if (run->slab)
		clv_free(run->slab, run->slab_bytes);
	clv_free(run, sizeof(*run));
}

static bool allocate(struct clv_observe *run)
{
	const struct clv_scenario *scenario = run->scenario;
	size_t align_bytes = cleave_entry_align(run->map);
	size_t tallies = (size_t)run->config.threads * scenario->subjects;

	if (align_bytes < CLV_CACHE_LINE)
		align_bytes = CLV_CACHE_LINE;
	run->entry_bytes = cleave_entry_size(run->map);
	run->stride_bytes = run->entry_bytes + sizeof(struct clv_subject);
	run->stride_bytes = (run->stride_bytes + align_bytes - 1) / align_bytes * align_bytes;
	run->slab_bytes = scenario->subjects * run->stride_bytes;
	run->slab = clv_alloc(run->slab_bytes, align_bytes, -1);
	run->tally = clv_alloc(tallies * sizeof(*run->tally), CLV_CACHE_LINE, -1);
	if (scenario->state_bytes)
		run->state = clv_alloc(scenario->state_bytes, CLV_CACHE_LINE, -1);
	return run->slab && run->tally && (run->state || !scenario->state_bytes);
}

int clv_observe_open(struct clv_observe **run, const struct clv_scenario *scenario,
		     const struct clv_observe_config *config, struct cleave_thread *thread)
{
	struct clv_observe *made;
	int code = 0;

	if (config->threads < scenario->threads_min ||
	    cleave_subsets(config->map) < scenario->subsets_min)
		return -EINVAL;
	made = clv_alloc(sizeof(*made), _Alignof(struct clv_observe), -1);
	if (!made)
		return -ENOMEM;
	made->scenario = scenario;
	made->config = *config;
	made->map = config->map;
	if (made->config.threads > scenario->threads_max)
		made->config.threads = scenario->threads_max;
	if (!made->config.turns)
		made->config.turns = CLV_OBSERVE_TURNS;
	made->defers = cleave_defers(made->map);
	made->sink = is_sink(made->map);
	if (!allocate(made)) {
		free_run(made);
		return -ENOMEM;
	}
	for (unsigned id = 0; id < scenario->subjects; id++) {
		struct clv_subject *subject = clv_observe_subject(made, id);

		subject->run = made;
		subject->id = id;
	}
	if (scenario->setup)
		code = scenario->setup(made, thread);
	if (code)
		free_run(made);
	else
		*run = made;
	return code;
}

unsigned clv_observe_threads(const struct clv_observe *run)
{
	return run->config.threads;
}

void clv_observe_body(struct clv_observe *run, unsigned i, struct cleave_thread *thread)
{
	run->scenario->body(run, i, thread);
}

bool clv_observe_check(struct clv_observe *run, struct cleave_thread *thread,
		       struct cleave_error *error)
{
	const struct clv_observe_failure *failure = &run->failure;
	struct cleave_error inner;

	if (!clv_observe_failed(run) && cleave_validate(run->map, &inner)) {
		snprintf(error->text, sizeof(error->text), "%s: seed %llu: %.160s",
			 run->scenario->name, (unsigned long long)run->config.seed, inner.text);
		return false;
	}
	if (!clv_observe_failed(run) && run->scenario->check)
		run->scenario->check(run, thread);
	if (!clv_observe_failed(run))
		return true;
	snprintf(error->text, sizeof(error->text),
		 "%s: seed %llu, round %u, thread %u: %s (%llu, %llu)", run->scenario->name,
		 (unsigned long long)run->config.seed, failure->round, failure->thread,
		 failure->reason, (unsigned long long)failure->number[0],
		 (unsigned long long)failure->number[1]);
	return false;
}

void clv_observe_close(struct clv_observe *run)
{
	free_run(run);
}
