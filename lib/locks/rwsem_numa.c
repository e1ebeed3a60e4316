// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * "rwsem.numa": the rwsem, its optimistic spinners queued by NUMA node.
 *
 *                 sem.spinners                    a queue of nodes: its first has the turn
 *              /        |        \
 *          node 0     node 1     node 2           each: a queue of threads, whose first is its front
 *          / | \      / | \
 *         spinners   spinners
 *
 * Who comes to its node's front waits there for the node's turn, in the place that the node has in the
 * queue over all, then watches the owner as the rwsem's one watcher does. Who goes, with the lock or
 * without, leaves the turn to the next of its node, LOCAL_MAX times in a row at most; else the next
 * node has it. So the lock's word, its owner and what it guards stay near for some time. All other
 * rules are those of rwsem.c: fast paths, sleepers, readers, handoff.
 *
 * Invariants:
 *  - `has_turn` and `passed` are the front's, handed on with the front. A node has a place in the queue
 *    over all exactly while `has_turn` is set, or its front is on its way to it or out of it.
 *  - The turn is kept only for somebody who cannot leave any more: the next one is taken out of our
 *    `next` first (I2 in osq_core.h). If there is none, the turn is given away before the front is.
 *  - `entered` and `front` are hints, and threads of this environment.
 *
 * Leaving: a thread leaves its node's queue as it leaves the rwsem's, as soon as the one in front of it
 * is known not to run. A front leaves the queue over all, and its node's, when neither who entered
 * there for the node before it nor that node's front is known to run. `front` alone would say it, but
 * changes with every turn, and whoever looks at it is on another node: it is on another line than the
 * place, and looked at only when the one that entered has gone to sleep.
 *
 * Sleeping; preference of readers and writers as rwsem. Fairness: as rwsem, but that spinners come by
 * the node: FIFO within, and between nodes FIFO, after LOCAL_MAX + 1 turns of one. Cost: alone as
 * rwsem; a spinner pays an exchange in its node, and its node's front one more; a hand-over within a
 * node moves lines of that node's alone, but for the watcher's own look at the lock.
 *
 * Memory: 2 lines, and 3 a node: 38 lines on 12 nodes. The waiters' are on their stacks.
 * Deadlock order: a node's queue, then the one over all. Both are left before a thread sleeps.
 *
 * Source: Linux's rwsem and osq_lock.c as rwsem.c has them, queued as in Dice, Marathe and Shavit,
 * "Lock Cohorting", PPoPP 2012.
 */
#include <errno.h>

#include "env.h"
#include "error.h"
#include "osq_core.h"
#include "rwsem_core.h"
#include "shim/mark.h"

/*
 * One turn in 65 goes to another node: longer stays have little to gain. With holds of 4 us, those of an
 * update at 384 CPUs, 12 nodes come round in 65 * 4 us * 12 = 3 ms, sooner than a sleeper asks for
 * handoff (4 ms).
 */
#define LOCAL_MAX 64

struct near {
	_Alignas(CLV_CACHE_LINE) struct clv_osq queue;
	_Alignas(CLV_CACHE_LINE) struct cleave_thread *front;
	bool has_turn;
	unsigned passed;
	_Alignas(CLV_CACHE_LINE) struct clv_osq_node place;
	struct cleave_thread *entered;
};

struct rwsem_numa {
	struct rwsem sem;
	_Alignas(CLV_CACHE_LINE) struct near *near; /* [nodes]; constants */
	unsigned nodes;
};

_Static_assert(sizeof(struct rwsem_numa) == 2 * CLV_CACHE_LINE &&
		       sizeof(struct near) == 3 * CLV_CACHE_LINE,
	       "what the head of this file says");

/* ---- spinners ---- */

static bool node_runs(const struct clv_osq_node *place)
{
	const struct near *near =
		(const struct near *)((uintptr_t)place - offsetof(struct near, place));

	/* Acquire: partners are the releases in enter and leave, of who looks into the handles. */
	return clv_is_running(__atomic_load_n(&near->entered, __ATOMIC_ACQUIRE)) ||
	       clv_is_running(__atomic_load_n(&near->front, __ATOMIC_ACQUIRE));
}

/* Returns: the node, at whose front the caller is and whose turn it is; NULL: left. */
static struct near *enter(struct rwsem_numa *lock, struct cleave_thread *self)
{
	struct near *near = &lock->near[self->env->topology->cpu[self->cpu].node];

	if (!clv_osq_enter(&near->queue, self, CLV_OSQ_MAY_LEAVE))
		return NULL;
	if (near->has_turn)
		return near;
	/* Release: partner is node_runs. */
	__atomic_store_n(&near->front, self, __ATOMIC_RELEASE);
	__atomic_store_n(&near->entered, self, __ATOMIC_RELEASE);
	if (clv_osq_enter_node(&lock->sem.spinners, &near->place, CLV_OSQ_MAY_LEAVE, node_runs)) {
		near->has_turn = true;
		near->passed = 0;
		return near;
	}
	clv_osq_exit(&near->queue, self);
	return NULL;
}

static void leave(struct rwsem_numa *lock, struct near *near, struct cleave_thread *self)
{
	struct clv_osq_node *next =
		near->passed < LOCAL_MAX ? clv_osq_take_next(&self->osq) : NULL;

	if (next) {
		near->passed++;
		/* Release: partner is node_runs. */
		__atomic_store_n(&near->front, clv_osq_thread(next), __ATOMIC_RELEASE);
		clv_osq_tell(&self->osq, next);
		return;
	}
	near->has_turn = false;
	clv_osq_exit_node(&lock->sem.spinners, &near->place);
	clv_osq_exit(&near->queue, self);
}

/* Returns: has it? */
static bool spin(struct rwsem_numa *lock, struct cleave_thread *self)
{
	struct near *near = enter(lock, self);

	if (!near)
		return false;
	bool taken = spin_in_front(&lock->sem, self);
	leave(lock, near, self);
	return taken;
}

static void acquire(void *at, struct clv_hold *hold)
{
	struct rwsem_numa *lock = at;

	if (try_acquire(&lock->sem, hold) ||
	    (may_spin(&lock->sem) && spin(lock, hold->thread)))
		return;
	wait_exclusive(&lock->sem, hold->thread);
}

/* ---- the instance ---- */

static int init(void *at, struct cleave_env *env, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	static const struct cleave_field near_fields[] = {
		{ offsetof(struct near, queue), "spinners" },
		{ offsetof(struct near, front), "front, its turn" },
		{ offsetof(struct near, place), "place in the queue over all" },
		{ 0, NULL },
	};
	struct rwsem_numa *lock = at;

	if (args->count)
		return clv_error(error, -EINVAL, "lock rwsem.numa: takes no argument, not '%s'",
				 args->arg[0]);
	lock->nodes = env->topology->nodes;
	lock->near = clv_alloc(lock->nodes * sizeof(*lock->near), CLV_CACHE_LINE, -1);
	if (!lock->near)
		return clv_error(error, -ENOMEM, "lock rwsem.numa: out of memory");
	clv_name(lock->near, lock->nodes * sizeof(*lock->near), sizeof(*lock->near),
		 "rwsem.numa's node", -1, near_fields);
	return 0;
}

static void fini(void *at)
{
	struct rwsem_numa *lock = at;

	clv_free(lock->near, lock->nodes * sizeof(*lock->near));
}

static size_t memory(const void *at)
{
	const struct rwsem_numa *lock = at;

	return lock->nodes * sizeof(*lock->near);
}

static const struct cleave_field fields[] = {
	{ offsetof(struct rwsem_numa, sem.word), "word" },
	{ offsetof(struct rwsem_numa, sem.owner), "owner" },
	{ offsetof(struct rwsem_numa, sem.spinners), "queue of nodes" },
	{ offsetof(struct rwsem_numa, sem.wait_lock), "wait_lock" },
	{ offsetof(struct rwsem_numa, sem.first), "waiters" },
	{ offsetof(struct rwsem_numa, near), "constants" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_rwsem_numa = {
	.name = "rwsem.numa",
	.summary = "sleeping; rwsem whose spinners queue by NUMA node, 65 of one in a row at most, "
		   "then the next node's",
	.source = "Linux 6.1 rwsem.c, osq_lock.c (rules, not code); Dice, Marathe and Shavit, PPoPP 2012",
	.flags = CLV_LOCK_SLEEPS,
	.size_bytes = sizeof(struct rwsem_numa),
	.init = init,
	.fini = fini,
	.memory = memory,
	.acquire = acquire,
	.release = release,
	.try_acquire = try_acquire,
	.acquire_shared = acquire_shared,
	.release_shared = release_shared,
	.try_acquire_shared = try_acquire_shared,
	.fields = fields,
};
