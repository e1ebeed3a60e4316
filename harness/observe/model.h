/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What scenarios share: a run's inside. Only harness/observe/ includes it. */
#ifndef CLV_OBSERVE_MODEL_H
#define CLV_OBSERVE_MODEL_H

#include <errno.h>
#include <string.h>

#include "observe.h"

/* What a scenario knows of an entry. It lies directly behind the entry's own memory. */
struct clv_subject {
	struct clv_observe *run;
	unsigned id;
	/* Below: written by the entry's owner, read by walkers; atomics. */
	uint32_t state;	  /* enum clv_subject_state */
	uint32_t version; /* odd while an operation on it is under way */
	uint32_t slot;	  /* fork: the page table entry is set */
	uint32_t parent;  /* fork: its id */
	uint64_t start, last;
	/* Its owner's. */
	uint32_t subset;
	struct cleave_deferred deferred;
};

enum clv_subject_state { CLV_SUBJECT_OUT, CLV_SUBJECT_IN, CLV_SUBJECT_FREED };

/* Written once, by the first thread to fail. */
struct clv_observe_failure {
	uint32_t claimed;
	const char *reason;
	unsigned thread, round;
	uint64_t number[2];
};

struct clv_observe {
	const struct clv_scenario *scenario;
	struct clv_observe_config config;
	struct cleave_map *map;
	size_t entry_bytes, stride_bytes, slab_bytes;
	unsigned char *slab;
	uint32_t *tally; /* [threads][subjects] */
	void *state;
	bool defers, sink;

	_Alignas(CLV_CACHE_LINE) uint32_t arrived;
	_Alignas(CLV_CACHE_LINE) uint32_t meetings;
	_Alignas(CLV_CACHE_LINE) uint32_t steps; /* see clv_observe_step */
	_Alignas(CLV_CACHE_LINE) struct clv_observe_failure failure;
};

/* How many of its `own` steps a round has. */
static inline unsigned clv_observe_steps(const struct clv_observe *run, unsigned own)
{
	unsigned most = run->config.steps_max;

	return most && most < own ? most : own;
}

/* ---- random numbers: SplitMix64, a state each thread ---- */

struct clv_dice {
	uint64_t state;
};

struct clv_dice clv_dice_make(const struct clv_observe *run, unsigned thread);
uint64_t clv_dice_roll(struct clv_dice *dice);
/* 0 to below - 1 */
unsigned clv_dice_below(struct clv_dice *dice, unsigned below);

/* ---- waiting ---- */

/* One turn of a wait for another body. */
void clv_observe_relax(struct cleave_thread *thread, unsigned turn);

/* Wait until *word is not `old` any more, or config.turns have passed. */
void clv_observe_await(struct clv_observe *run, struct cleave_thread *thread, const uint32_t *word,
		       uint32_t old);

/* An update has come about, or a body has done its part of a round. */
void clv_observe_step(struct clv_observe *run);

/*
 * Called by walkers between two walks. As long as no step comes about they pause outside the map
 * now and then, for longer and longer: some locks let readers that overlap starve writers for good.
 */
struct clv_pace {
	uint32_t steps;
	unsigned walks, patience;
};
void clv_observe_pace(struct clv_observe *run, struct cleave_thread *thread, struct clv_pace *pace);

/* clv_observe_await the next step. */
void clv_observe_await_step(struct clv_observe *run, struct cleave_thread *thread);

/*
 * Wait for all bodies; after it, each sees what the others did before. Counts progress.
 * Returns: false if the run has failed: return from the body.
 */
bool clv_observe_meet(struct clv_observe *run, struct cleave_thread *thread);

/* ---- failing ---- */

/* Only the first counts. The numbers are for the message. Returns: false. */
bool clv_observe_fail(struct clv_observe *run, unsigned thread, unsigned round, const char *reason,
		      uint64_t number0, uint64_t number1);
bool clv_observe_failed(const struct clv_observe *run);

/* A call that has to return 0. Returns: did it? */
bool clv_observe_must(struct clv_observe *run, unsigned thread, unsigned round, const char *call,
		      int code);

/* ---- subjects ---- */

static inline struct cleave_entry *clv_subject_entry(struct clv_subject *subject)
{
	return (struct cleave_entry *)((unsigned char *)subject - subject->run->entry_bytes);
}

struct clv_subject *clv_observe_subject(const struct clv_observe *run, unsigned id);

/* What a visitor is given, who knows the run. */
static inline struct clv_subject *clv_observe_visited(const struct clv_observe *run,
						      struct cleave_entry *entry)
{
	return (struct clv_subject *)((unsigned char *)entry + run->entry_bytes);
}

/* Thread i's numbers, one a subject; its own alone. */
uint32_t *clv_observe_tally(const struct clv_observe *run, unsigned i);

/* Go to another CPU, a random one of config.cpu. */
void clv_observe_migrate(struct clv_observe *run, struct cleave_thread *thread,
			 struct clv_dice *dice);

/*
 * Insert one of the `count` subjects from `first` on, all of them out, so that it is in `subset`.
 * Which one and from which CPU is found by trying. Returns: it; NULL if none would go there. A design
 * that changes has its own mind: there it is the first, from a CPU of about that subset.
 */
struct clv_subject *clv_observe_place(struct clv_observe *run, struct cleave_thread *thread,
				      unsigned first, unsigned count, uint32_t subset,
				      uint64_t start, uint64_t last);

/* After its remove returned: wait until it may be used again. */
void clv_observe_retire(struct clv_observe *run, struct cleave_thread *thread);

/* Insert and remove, keeping subject->state. Returns: as the call. */
int clv_observe_insert(struct clv_observe *run, struct cleave_thread *thread,
		       struct clv_subject *subject, uint64_t start, uint64_t last);
int clv_observe_remove(struct clv_observe *run, struct cleave_thread *thread,
		       struct clv_subject *subject);

/* Remove all that are in, and retire. Returns: false after a failure. */
bool clv_observe_clear(struct clv_observe *run, unsigned i, unsigned round,
		       struct cleave_thread *thread);

/*
 * ---- atomics ----
 * Sequentially consistent all: what a model concludes must not depend on an order of its own words.
 * The price is that they order the threads' accesses to the map too, for ThreadSanitizer's eyes; so
 * one scenario, mix, shares no word between its bodies but the map.
 */

static inline uint32_t clv_read(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static inline void clv_write(uint32_t *word, uint32_t value)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

static inline uint32_t clv_count(uint32_t *word)
{
	return __atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
}

#define CLV_SCENARIO(name) extern const struct clv_scenario clv_scenario_##name;
#include "registry.def"
#undef CLV_SCENARIO

#endif
