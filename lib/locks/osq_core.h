/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The queue of osq.h, over nodes of anybody: `ahead_runs` says of the node in front whether its
 * thread runs, as far as is known. Invariants, for a node T in the queue:
 *
 *  I1  P->next == T only if T is right behind P. It is NULL from T's exchange of the tail until T
 *      has linked itself, and while T or a node between them leaves.
 *  I2  Nobody exits or leaves before it has either moved the tail away from itself or taken its
 *      successor out of its own `next`. Of two neighbours that leave at once, the one that empties
 *      P->next first goes first: the other finds NULL there and waits for a new `prev`.
 *  I3  T->turn is set once, by the last predecessor, after which nobody else writes to T but a
 *      successor that links itself.
 *
 * A thread writes to the node of a neighbour only while that one is bound to wait for the write
 * (I1, I2), so that a node can be used for the next queue as soon as its thread is out of this one.
 */
#ifndef CLV_OSQ_CORE_H
#define CLV_OSQ_CORE_H

#include "locks/osq.h"
#include "shim/shim.h"
#include "thread.h"

/* pre: the node is a thread's. */
static inline struct cleave_thread *clv_osq_thread(const struct clv_osq_node *node)
{
	return (struct cleave_thread *)((uintptr_t)node - offsetof(struct cleave_thread, osq));
}

typedef bool clv_osq_ahead_fn(const struct clv_osq_node *ahead);

/*
 * pre: `self` at the head. The one behind it, if there is one; it is bound to stay until clv_osq_tell,
 * which then is `self`'s exit (I2). Returns: NULL, nobody, or one that leaves.
 */
static inline struct clv_osq_node *clv_osq_take_next(struct clv_osq_node *self)
{
	/* Acquire: partner is the release with which the successor linked itself, or was linked. */
	return __atomic_load_n(&self->next, __ATOMIC_RELAXED) ?
		       __atomic_exchange_n(&self->next, NULL, __ATOMIC_ACQUIRE) : NULL;
}

/*
 * Take `self` out of the tail's end: the tail goes back to `prev`, or a successor is taken off
 * self's `next`.
 * Returns: that successor; NULL if there is none.
 */
static inline struct clv_osq_node *clv_osq_cut_behind(struct clv_osq *queue,
						      struct clv_osq_node *self,
						      struct clv_osq_node *prev)
{
	for (;;) {
		struct clv_osq_node *last = self;
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
		 */
		struct clv_osq_node *next = clv_osq_take_next(self);
		if (next)
			return next;
		clv_pause();
	}
}

/* Returns: true if it got its turn instead. */
static inline bool clv_osq_leave(struct clv_osq *queue, struct clv_osq_node *self)
{
	struct clv_osq_node *prev;

	/* From the node in front: once its `next` is empty it cannot go away, nor pass a turn. */
	for (;;) {
		/* Acquire: partner is the release store of `prev` below, in the one that left. */
		prev = __atomic_load_n(&self->prev, __ATOMIC_ACQUIRE);
		struct clv_osq_node *link = self;
		if (__atomic_load_n(&prev->next, __ATOMIC_RELAXED) == self &&
		    __atomic_compare_exchange_n(&prev->next, &link, NULL, false, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			break;
		/* Acquire: as in clv_osq_enter_node. */
		if (__atomic_load_n(&self->turn, __ATOMIC_ACQUIRE))
			return true;
		clv_pause();
	}

	/* From the one behind. It cannot leave either now: its link in our node is gone. */
	struct clv_osq_node *next = clv_osq_cut_behind(queue, self, prev);
	if (next) {
		/* In this order: a link in prev->next says that next->prev is right (I1). */
		__atomic_store_n(&next->prev, prev, __ATOMIC_RELEASE);
		/* Release: partners are the compare-and-swap above and the exchanges of `next`. */
		__atomic_store_n(&prev->next, next, __ATOMIC_RELEASE);
	}
	return false;
}

/* As clv_osq_enter. */
__attribute__((always_inline)) static inline bool
clv_osq_enter_node(struct clv_osq *queue, struct clv_osq_node *self,
		   enum clv_osq_patience patience, clv_osq_ahead_fn *ahead_runs)
{
	__atomic_store_n(&self->next, NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&self->turn, NULL, __ATOMIC_RELAXED);

	/*
	 * Release: partner is the acquire half of the next one's exchange, which writes to this
	 * node. Acquire: partners are that release, and the ones in clv_osq_exit_node and
	 * clv_osq_cut_behind.
	 */
	struct clv_osq_node *prev = __atomic_exchange_n(&queue->tail, self, __ATOMIC_ACQ_REL);
	if (!prev)
		return true;

	__atomic_store_n(&self->prev, prev, __ATOMIC_RELAXED);
	/* Release: partners are the exchanges of `next`. */
	__atomic_store_n(&prev->next, self, __ATOMIC_RELEASE);

	/* Acquire: partner is clv_osq_tell. */
	while (!__atomic_load_n(&self->turn, __ATOMIC_ACQUIRE)) {
		/* Acquire of `prev`: partner is the release store in clv_osq_leave. */
		if (patience == CLV_OSQ_MAY_LEAVE &&
		    !ahead_runs(__atomic_load_n(&self->prev, __ATOMIC_ACQUIRE)))
			return clv_osq_leave(queue, self);
		clv_pause();
	}
	return true;
}

/* pre: `next` was taken out of `self`'s next. */
static inline void clv_osq_tell(struct clv_osq_node *self, struct clv_osq_node *next)
{
	/* Release: partner is the acquire load of `turn` in clv_osq_enter_node and clv_osq_leave. */
	__atomic_store_n(&next->turn, self, __ATOMIC_RELEASE);
}

/* As clv_osq_exit. */
static inline void clv_osq_exit_node(struct clv_osq *queue, struct clv_osq_node *self)
{
	/* Most often there is a successor, or none at all: look for the latter first, as Linux. */
	struct clv_osq_node *last = self;
	/* Release: partner is the acquire half of the exchange in clv_osq_enter_node. */
	if (__atomic_compare_exchange_n(&queue->tail, &last, NULL, false, __ATOMIC_RELEASE,
					__ATOMIC_RELAXED))
		return;

	/* Acquire: partner is the release with which the successor linked itself, or was linked. */
	struct clv_osq_node *next = __atomic_exchange_n(&self->next, NULL, __ATOMIC_ACQUIRE);
	if (!next)
		next = clv_osq_cut_behind(queue, self, NULL);
	if (next)
		clv_osq_tell(self, next);
}

#endif
