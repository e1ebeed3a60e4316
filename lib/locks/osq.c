// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * See osq.h. Invariants, for a thread T in the queue:
 *
 *  I1  P->next == T only if T is right behind P. It is NULL from T's exchange of the tail until T
 *      has linked itself, and while T or a thread between them leaves.
 *  I2  Nobody exits or leaves before it has either moved the tail away from itself or taken its
 *      successor out of its own `next`. Of two neighbours that leave at once, the one that empties
 *      P->next first goes first: the other finds NULL there and waits for a new `prev`.
 *  I3  T->turn is set once, by the last predecessor, after which nobody else writes to T but a
 *      successor that links itself.
 *
 * A thread writes to the node of a neighbour only while that one is bound to wait for the write
 * (I1, I2), so that a node can be used for the next queue as soon as its thread is out of this one.
 */
#include "locks/osq.h"

#include "shim/shim.h"
#include "thread.h"

/*
 * A thread's node. `turn` and `next` are what changes hands in every stay; `prev` does so only
 * when someone leaves.
 */
enum slot { PREV, NEXT, TURN };

/*
 * Take `self` out of the tail's end: the tail goes back to `prev`, or a successor is taken off
 * self's `next`.
 * Returns: that successor; NULL if there is none.
 */
static struct cleave_thread *cut_behind(struct clv_osq *queue, struct cleave_thread *self,
					struct cleave_thread *prev)
{
	for (;;) {
		struct cleave_thread *last = self;
		/*
		 * Release: partner is the exchange of the next to enter, which then sees the queue
		 * as left here.
		 */
		if (__atomic_load_n(&queue->tail, __ATOMIC_RELAXED) == self &&
		    __atomic_compare_exchange_n(&queue->tail, &last, prev, false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			return NULL;

		/*
		 * Taken out by an exchange, so that a successor that leaves right now either comes
		 * first, and a new one links itself here, or finds nothing and waits (I2).
		 * Acquire: partner is the release with which the successor linked itself.
		 */
		if (__atomic_load_n(&self->osq[NEXT], __ATOMIC_RELAXED)) {
			void *next = __atomic_exchange_n(&self->osq[NEXT], NULL, __ATOMIC_ACQUIRE);
			if (next)
				return next;
		}
		clv_pause();
	}
}

/* Returns: true if it got its turn instead. */
static bool leave(struct clv_osq *queue, struct cleave_thread *self)
{
	struct cleave_thread *prev;

	/* From the thread in front: once its `next` is empty it cannot go away, nor pass a turn. */
	for (;;) {
		/* Acquire: partner is the release store of `prev` below, in the one that left. */
		prev = __atomic_load_n(&self->osq[PREV], __ATOMIC_ACQUIRE);
		void *link = self;
		if (__atomic_load_n(&prev->osq[NEXT], __ATOMIC_RELAXED) == self &&
		    __atomic_compare_exchange_n(&prev->osq[NEXT], &link, NULL, false,
						__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			break;
		/* Acquire: as in clv_osq_enter. */
		if (__atomic_load_n(&self->osq[TURN], __ATOMIC_ACQUIRE))
			return true;
		clv_pause();
	}

	/* From the one behind. It cannot leave either now: its link in our node is gone. */
	struct cleave_thread *next = cut_behind(queue, self, prev);
	if (next) {
		/* In this order: a link in prev->next says that next->prev is right (I1). */
		__atomic_store_n(&next->osq[PREV], prev, __ATOMIC_RELEASE);
		/* Release: partners are the compare-and-swap above and the exchanges of `next`. */
		__atomic_store_n(&prev->osq[NEXT], next, __ATOMIC_RELEASE);
	}
	return false;
}

bool clv_osq_enter(struct clv_osq *queue, struct cleave_thread *self,
		   enum clv_osq_patience patience)
{
	__atomic_store_n(&self->osq[NEXT], NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&self->osq[TURN], NULL, __ATOMIC_RELAXED);

	/*
	 * Release: partner is the acquire half of the next thread's exchange, which writes to this
	 * node. Acquire: partners are that release, and the ones in clv_osq_exit and cut_behind.
	 */
	struct cleave_thread *prev = __atomic_exchange_n(&queue->tail, self, __ATOMIC_ACQ_REL);
	if (!prev)
		return true;

	__atomic_store_n(&self->osq[PREV], prev, __ATOMIC_RELAXED);
	/* Release: partners are the exchange in cut_behind and that in clv_osq_exit. */
	__atomic_store_n(&prev->osq[NEXT], self, __ATOMIC_RELEASE);

	/* Acquire: partner is the release store of `turn` in clv_osq_exit. */
	while (!__atomic_load_n(&self->osq[TURN], __ATOMIC_ACQUIRE)) {
		/* Acquire of `prev`: partner is the release store in leave. */
		if (patience == CLV_OSQ_MAY_LEAVE &&
		    !clv_is_running(__atomic_load_n(&self->osq[PREV], __ATOMIC_ACQUIRE)))
			return leave(queue, self);
		clv_pause();
	}
	return true;
}

void clv_osq_exit(struct clv_osq *queue, struct cleave_thread *self)
{
	/* Most often there is a successor, or none at all: look for the latter first, as Linux. */
	struct cleave_thread *last = self;
	/* Release: partner is the acquire half of the exchange in clv_osq_enter. */
	if (__atomic_compare_exchange_n(&queue->tail, &last, NULL, false, __ATOMIC_RELEASE,
					__ATOMIC_RELAXED))
		return;

	/* Acquire: partner is the release with which the successor linked itself, or was linked. */
	struct cleave_thread *next = __atomic_exchange_n(&self->osq[NEXT], NULL, __ATOMIC_ACQUIRE);
	if (!next)
		next = cut_behind(queue, self, NULL);
	if (next)
		/* Release: partner is the acquire load of `turn` in clv_osq_enter and leave. */
		__atomic_store_n(&next->osq[TURN], self, __ATOMIC_RELEASE);
}
