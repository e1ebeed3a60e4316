// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * CNA, a compact NUMA-aware lock: an MCS queue whose releaser looks for a waiter of its own NUMA node,
 * and sets aside those that it passes.
 *
 *     tail ------------------------------------------v
 *     holder (0) --next--> 1 --next--> 1 --next--> 0 --next--> 1
 *
 *     release: the third is of node 0, the two before it become the second queue:
 *
 *     tail ------------------v                   second: 1 --next--> 1
 *     holder (0) --next--> 1                               (in the holder's `turn`)
 *
 * The second queue is handed on in `turn`: 0 the waiter waits, 1 it has the lock and there is no second
 * queue, else it has the lock and that is the second queue's first, whose `second_last` is its last.
 * It goes back in front of the main queue when that has nobody of the holder's node, or after
 * LOCAL_MAX hand-overs within a node.
 *
 * Spinning, exclusive only. Fairness: FIFO among those of a node; a waiter of another is passed by at
 * most LOCAL_MAX acquisitions a node that comes before it, so that nobody starves. Cost: as MCS, one
 * line moved a hand-over, and a line read for each waiter passed, once.
 *
 * 16 bytes an instance, whatever the number of nodes: what cohort locks pay in memory this one pays in
 * looking. The waiter's node is in its hold.
 *
 * Where it differs: the paper draws when to flush the second queue at random, Linux's proposal by a
 * clock of 10 ms; here hand-overs are counted.
 * Source: Dice and Kogan, "Compact NUMA-aware Locks", EuroSys 2019.
 */
#include "locks/lock.h"
#include "shim/shim.h"
#include "thread.h"

#define LOCAL_MAX 256
#define HAS_LOCK ((uintptr_t)1)

struct node {
	struct node *next;
	uintptr_t turn;
	struct node *second_last; /* of the first in the second queue alone */
	unsigned numa;
};

struct cna {
	struct node *tail;
	unsigned local; /* the holder's: hand-overs within a node since the last to another */
};

_Static_assert(sizeof(struct node) <= sizeof(((struct clv_hold *)0)->state),
	       "the node lives in the hold");

static struct node *node_of(struct clv_hold *hold)
{
	return (struct node *)(void *)hold->state;
}

static struct node *begin(struct clv_hold *hold)
{
	struct node *self = node_of(hold);

	self->next = NULL;
	self->turn = 0;
	self->numa = hold->thread->node;
	return self;
}

/* Acquire: partner is the release in acquire, by which that node linked itself. */
static struct node *next_of(const struct node *node)
{
	return __atomic_load_n(&node->next, __ATOMIC_ACQUIRE);
}

/* Release: partner is the acquire by which the next one's wait ends. */
static void hand_over(struct node *to, uintptr_t turn)
{
	__atomic_store_n(&to->turn, turn, __ATOMIC_RELEASE);
}

static bool swap_tail(struct cna *lock, struct node *from, struct node *to)
{
	/* Acquire and release: partners are each other, and the exchange in acquire. */
	return __atomic_compare_exchange_n(&lock->tail, &from, to, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

static void acquire(void *at, struct clv_hold *hold)
{
	struct cna *lock = at;
	struct node *self = begin(hold);
	struct node *before = __atomic_exchange_n(&lock->tail, self, __ATOMIC_ACQ_REL);

	if (!before) {
		self->turn = HAS_LOCK;
		return;
	}
	/* Release: partner is next_of. */
	__atomic_store_n(&before->next, self, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&self->turn, __ATOMIC_ACQUIRE))
		clv_pause();
}

static bool try_acquire(void *at, struct clv_hold *hold)
{
	struct node *self = begin(hold);

	self->turn = HAS_LOCK;
	return swap_tail(at, NULL, self);
}

/* Append the chain to the holder's second queue. */
static void set_aside(struct node *self, struct node *first, struct node *last)
{
	__atomic_store_n(&last->next, NULL, __ATOMIC_RELAXED);
	if (self->turn == HAS_LOCK) {
		self->turn = (uintptr_t)first;
	} else {
		struct node *second = (struct node *)self->turn;

		__atomic_store_n(&second->second_last->next, first, __ATOMIC_RELEASE);
		first = second;
	}
	first->second_last = last;
}

/* The next of the same node, those before it set aside; NULL: there is none. pre: self has a next. */
static struct node *find_near(struct node *self)
{
	struct node *first = next_of(self), *last = NULL;

	for (struct node *at = first; at; last = at, at = next_of(at)) {
		if (at->numa != self->numa)
			continue;
		if (last)
			set_aside(self, first, last);
		return at;
	}
	return NULL;
}

/* Nobody is linked behind. Returns: false if somebody is about to be. */
static bool release_last(struct cna *lock, struct node *self)
{
	if (self->turn == HAS_LOCK) {
		/* The count is the next holder's from here on; nobody is set aside, whose turns it counts. */
		__atomic_store_n(&lock->local, 0, __ATOMIC_RELAXED);
		return swap_tail(lock, self, NULL);
	}
	struct node *second = (struct node *)self->turn;

	if (!swap_tail(lock, self, second->second_last))
		return false;
	__atomic_store_n(&lock->local, 0, __ATOMIC_RELAXED);
	hand_over(second, HAS_LOCK);
	return true;
}

static void release(void *at, struct clv_hold *hold)
{
	struct cna *lock = at;
	struct node *self = node_of(hold);

	if (!next_of(self)) {
		if (release_last(lock, self))
			return;
		while (!next_of(self))
			clv_pause();
	}
	unsigned local = __atomic_load_n(&lock->local, __ATOMIC_RELAXED);
	struct node *near = local < LOCAL_MAX ? find_near(self) : NULL;

	__atomic_store_n(&lock->local, near ? local + 1 : 0, __ATOMIC_RELAXED);
	if (near) {
		hand_over(near, self->turn);
	} else if (self->turn != HAS_LOCK) {
		struct node *second = (struct node *)self->turn;

		/* The main queue goes behind it. Release: partner is next_of. */
		__atomic_store_n(&second->second_last->next, next_of(self), __ATOMIC_RELEASE);
		hand_over(second, HAS_LOCK);
	} else {
		hand_over(next_of(self), HAS_LOCK);
	}
}

static const struct cleave_field fields[] = {
	{ offsetof(struct cna, tail), "tail" },
	{ offsetof(struct cna, local), "hand-overs within a node" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_cna = {
	.name = "cna",
	.summary = "spinning, exclusive only; FIFO but that waiters of the holder's NUMA node come "
		   "first, 256 hand-overs in a row at most",
	.source = "Dice and Kogan, EuroSys 2019",
	.flags = CLV_LOCK_SPINS,
	.size_bytes = sizeof(struct cna),
	.acquire = acquire,
	.release = release,
	.try_acquire = try_acquire,
	.fields = fields,
};
