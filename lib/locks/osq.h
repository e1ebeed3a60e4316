/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The queue of a sleeping lock's optimistic spinners: a queue lock after Mellor-Crummey and Scott
 * (ACM TOCS 9(1), 1991) that a waiter can leave from the middle, as Linux has it in
 * kernel/locking/osq_lock.c. Whoever is at its head has its turn; everybody else spins on a word of
 * its own.
 *
 *     tail ------------------------------v
 *     thread A  <--prev--  thread B  <--prev--  thread C
 *     turn      --next-->  waits     --next-->  waits
 *
 * The node is cleave_thread.osq, so a thread is in at most one of these queues at a time, and a
 * node outlives its stay in the queue: one that leaves may still be written to by its neighbours,
 * which is why it cannot be on a stack. Linux has one node for each CPU, to the same end; there a
 * queue's tail is a CPU's number in 4 bytes, here it is a pointer in 8.
 *
 * Who writes a node: `next` its successor, and itself; `prev` itself, and the thread between the
 * two that leaves; `turn` its predecessor, and itself while it is in no queue.
 */
#ifndef CLV_OSQ_H
#define CLV_OSQ_H

#include <stdbool.h>

struct cleave_thread;

/* `turn` and `next` are what changes hands in every stay; `prev` does so only when someone leaves. */
struct clv_osq_node {
	struct clv_osq_node *prev, *next, *turn;
};

/* Zeroed is empty. */
struct clv_osq {
	struct clv_osq_node *tail;
};

enum clv_osq_patience {
	CLV_OSQ_STAY,
	/*
	 * Leave as soon as the thread in front is known not to run. Linux leaves when the CPU in
	 * front is a virtual one that lost its processor, and when the waiter itself is due to be
	 * rescheduled. The latter a library cannot know: see rwsem.c.
	 */
	CLV_OSQ_MAY_LEAVE,
};

/*
 * Wait for the head of the queue.
 * Returns: true at the head, until clv_osq_exit; false: left, not in the queue any more.
 * Orders: at the head, all that earlier heads did before their exit is seen.
 * Cost: one exchange on the queue's line; when it waits, one line each from and to the thread in
 * front, and that one's parker if it may leave.
 */
bool clv_osq_enter(struct clv_osq *queue, struct cleave_thread *self,
		   enum clv_osq_patience patience);

/* pre: at the head. Cost: one compare-and-swap on the queue's line, or the next waiter's line. */
void clv_osq_exit(struct clv_osq *queue, struct cleave_thread *self);

#endif
