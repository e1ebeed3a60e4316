// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A reader stores the epoch it read into its record, then fences, then reads the structure. Who
 * removes an entry fences, then reads the epoch e. If the reader saw the entry, its reading of the
 * epoch came before the removal, so that it published a number <= e, and by the two fences whoever
 * scans the records after the removal sees that number until the reader leaves. So an entry
 * removed at e may go once no record shows a number in 1..e. A number published late, after others
 * have moved the epoch on, only delays.
 *
 * A scan reads a line of every thread, all of which their owners keep writing: 384 of them would scan
 * all day. So one thread scans at a time, and leaves what it found in `safe`: what was removed at an
 * epoch below it is unseen. Who finds somebody scanning goes on and looks again later. That others may
 * go by `safe`: an entry removed at e < safe was unlinked before the epoch became e + 1, and so before
 * that scan began, and the scan is before whoever reads its result (acquire).
 *
 * Progress: a reader that stays inside holds back all entries removed since; nothing else waits.
 */
#include "reclaim.h"

#include "env.h"

/* Between two attempts of a thread to make its calls: at most a scan of all records each. */
#define DEFERRED_PER_TRY 64

/* Turns of pause before a wait gives its CPU up, and for how long. */
#define PAUSES_BEFORE_PARK 1000
#define PARK_NS 50000

void clv_epoch_init(struct clv_epoch_record *record)
{
	record->waiting_tail = &record->waiting;
}

/*
 * The fences of the head comment. ThreadSanitizer does not know fences; there an exchange stands in
 * for it, which orders enough on the machines that it runs on.
 */
static void store_and_fence(uint64_t *word, uint64_t value)
{
#ifdef __SANITIZE_THREAD__
	(void)__atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
#else
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

void clv_epoch_enter(struct cleave_thread *thread)
{
	struct clv_epoch_record *record = &thread->epoch;
	if (record->depth++)
		return;
	store_and_fence(&record->active, __atomic_load_n(&thread->env->epoch, __ATOMIC_RELAXED));
}

void clv_epoch_exit(struct cleave_thread *thread)
{
	/* Pairs with the acquire in oldest_active: what this reader read, it read before. */
	if (!--thread->epoch.depth)
		__atomic_store_n(&thread->epoch.active, 0, __ATOMIC_RELEASE);
}

/*
 * What was removed at an epoch below it has been seen for the last time: the lowest published epoch,
 * and never more than the epoch from before the scan, since readers may enter behind it.
 */
static uint64_t oldest_active(struct cleave_env *env)
{
	uint64_t oldest = __atomic_load_n(&env->epoch, __ATOMIC_SEQ_CST);
	struct cleave_thread *thread = __atomic_load_n(&env->threads, __ATOMIC_ACQUIRE);
	for (; thread; thread = thread->next) {
		uint64_t active = __atomic_load_n(&thread->epoch.active, __ATOMIC_SEQ_CST);
		if (active && active < oldest)
			oldest = active;
	}
	return oldest;
}

/* Returns: an epoch e such that everyone who enters from now on publishes more than e. */
static uint64_t advance(struct cleave_env *env)
{
	return __atomic_fetch_add(&env->epoch, 1, __ATOMIC_SEQ_CST);
}

void clv_epoch_synchronize(struct cleave_thread *thread)
{
	uint64_t epoch = advance(thread->env);
	for (unsigned turn = 0; oldest_active(thread->env) <= epoch; turn++) {
		if (turn < PAUSES_BEFORE_PARK)
			clv_pause_bounded();
		else
			clv_park(thread, PARK_NS);
	}
}

/*
 * The epoch below which all is unseen, as far as is known; found out anew if it is not above `wanted`
 * and nobody else is at it.
 */
static uint64_t find_safe(struct cleave_env *env, uint64_t wanted)
{
	/* Acquire: partner is the release below. */
	uint64_t safe = __atomic_load_n(&env->safe, __ATOMIC_ACQUIRE);
	uint32_t nobody = 0;
	if (safe > wanted || __atomic_load_n(&env->scanning, __ATOMIC_RELAXED) ||
	    !__atomic_compare_exchange_n(&env->scanning, &nobody, 1, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		return safe;
	advance(env);
	uint64_t found = oldest_active(env);
	/* A number published late can be lower: what was safe before it still is. */
	if (found > safe)
		__atomic_store_n(&env->safe, safe = found, __ATOMIC_RELEASE);
	/* Release: partner is the acquire of the next scanner. */
	__atomic_store_n(&env->scanning, 0, __ATOMIC_RELEASE);
	return safe;
}

static void call_ripe(struct clv_epoch_record *record, uint64_t oldest)
{
	while (record->waiting && record->waiting->epoch < oldest) {
		struct cleave_deferred *deferred = record->waiting;
		record->waiting = deferred->next;
		if (!record->waiting)
			record->waiting_tail = &record->waiting;
		deferred->call(deferred);
	}
}

void clv_epoch_defer(struct cleave_thread *thread, struct cleave_deferred *deferred,
		     void (*call)(struct cleave_deferred *deferred))
{
	struct clv_epoch_record *record = &thread->epoch;
	deferred->next = NULL;
	deferred->call = call;
	store_and_fence(&record->fence, 0);
	deferred->epoch = __atomic_load_n(&thread->env->epoch, __ATOMIC_SEQ_CST);
	*record->waiting_tail = deferred;
	record->waiting_tail = &deferred->next;
	if (++record->queued % DEFERRED_PER_TRY == 0)
		call_ripe(record, find_safe(thread->env, record->waiting->epoch));
}

void clv_epoch_drain(struct cleave_thread *thread)
{
	/* A call may defer more. */
	while (thread->epoch.waiting) {
		clv_epoch_synchronize(thread);
		call_ripe(&thread->epoch, oldest_active(thread->env));
	}
}
