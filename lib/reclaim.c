// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A reader stores the epoch it read into its record, then fences, then reads the structure. Who
 * removes an entry fences, then reads the epoch e. If the reader saw the entry, its reading of the
 * epoch came before the removal, so that it published a number <= e, and by the two fences whoever
 * scans the records after the removal sees that number until the reader leaves. So an entry
 * removed at e may go once no record shows a number in 1..e. A number published late, after others
 * have moved the epoch on, only delays.
 *
 * Progress: a reader that stays inside holds back all entries removed since; nothing else waits.
 */
#include "reclaim.h"

#include "env.h"

/* Between two attempts of a thread to make its calls: they cost a scan of all records. */
#define DEFERRED_PER_SCAN 64

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
	if (++record->queued % DEFERRED_PER_SCAN == 0) {
		advance(thread->env);
		call_ripe(record, oldest_active(thread->env));
	}
}

void clv_epoch_drain(struct cleave_thread *thread)
{
	/* A call may defer more. */
	while (thread->epoch.waiting) {
		clv_epoch_synchronize(thread);
		call_ripe(&thread->epoch, oldest_active(thread->env));
	}
}
