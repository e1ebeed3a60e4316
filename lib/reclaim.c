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
	record->active = 0;
	record->depth = 0;
	record->queued = 0;
	record->waiting = NULL;
	record->waiting_tail = &record->waiting;
}

void clv_epoch_enter(struct cleave_thread *thread)
{
	struct clv_epoch_record *record = &thread->epoch;
	if (record->depth++)
		return;
	uint64_t epoch = __atomic_load_n(&thread->env->epoch, __ATOMIC_RELAXED);
	/* An exchange is the full fence of the head comment, and one that ThreadSanitizer knows. */
	(void)__atomic_exchange_n(&record->active, epoch, __ATOMIC_SEQ_CST);
}

void clv_epoch_exit(struct cleave_thread *thread)
{
	/* Pairs with the acquire in oldest_active: what this reader read, it read before. */
	if (!--thread->epoch.depth)
		__atomic_store_n(&thread->epoch.active, 0, __ATOMIC_RELEASE);
}

/* The lowest published epoch; UINT64_MAX: nobody is inside. */
static uint64_t oldest_active(struct cleave_env *env)
{
	uint64_t oldest = UINT64_MAX;
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
			clv_pause();
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
	/* The remover's fence of the head comment, on a line of its own thread. */
	(void)__atomic_exchange_n(&record->fence, 0, __ATOMIC_SEQ_CST);
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
