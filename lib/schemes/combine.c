// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Flat combining by NUMA node, under one lock. A batch is not applied by who brings it: it is put up
 * in a slot of the thread's CPU, and one thread of each node at a time, its combiner, takes the lock
 * and applies all that the node's slots have. So the structure's lines go from combiner to combiner,
 * and not from updater to updater.
 *
 *     lock                                     walks and holds take it, too
 *      |              |
 *     node 0         node 1                    combining: somebody has the role
 *     slots          slots
 *     [batch] [    ] [batch] [batch]           a line a CPU: batch, done
 *
 * A thread puts its batch up, then tries to get its node's role. If it does, it acquires the lock, goes
 * over the node's slots ROUNDS times at most, while it finds any, and gives both back. If it does not,
 * it spins until its batch is done or the role is free again, which it then takes.
 *
 * Invariants: a slot's batch is put up by the one who has claimed the slot, taken down by the combiner
 * under the lock, and nobody else's meanwhile. No batch is left behind, since its owner goes on
 * trying for the role. Two threads of one CPU: the second finds the slot claimed, and takes the lock
 * and applies its batch itself.
 *
 * Keeps all guarantees that the structure keeps: a batch is applied whole under the lock, before
 * commit returns.
 *
 * Fairness: within a node in the order of its CPUs, between nodes the lock's. Cost: the batch's lines
 * go to the combiner and back: the slot's, the batch's and the ops', beside the structure's. It asks
 * for those of many batches before it needs the first, so that they come together.
 * Memory: a line and 4 bytes a CPU, a line a node.
 *
 * Source: Hendler, Incze, Shavit and Tzafrir, "Flat Combining and the Synchronization-Parallelism
 * Tradeoff", SPAA 2010; by node as H-Synch of Fatourou and Kallimanis, "Revisiting the Combining
 * Synchronization Technique", PPoPP 2012. Where it differs: fixed slots of CPUs, and no list of them.
 */
#include <errno.h>

#include "../env.h"
#include "../error.h"
#include "../shim/mark.h"
#include "../shim/shim.h"
#include "scheme.h"

enum { ROUNDS = 3, AT_ONCE = 32 };

struct slot {
	_Alignas(CLV_CACHE_LINE) uint32_t claimed;
	uint32_t done;
	struct cleave_batch *batch; /* NULL: nothing put up */
};

struct node {
	_Alignas(CLV_CACHE_LINE) uint32_t combining;
	unsigned first, count; /* in `slot_of_node` */
};

struct combine_state {
	struct clv_map_lock lock; /* first: see clv_scheme_init_state */
	struct slot *slot;	  /* [cpus], by CPU index */
	struct node *node;	  /* [nodes] */
	unsigned *cpu_of_node;	  /* [cpus], those of a node together */
	unsigned cpus, nodes;
};

static struct combine_state *state_of(const struct cleave_map *map)
{
	return map->scheme_state;
}

static unsigned keeps(const struct cleave_map *map)
{
	(void)map;
	return CLEAVE_KEEPS_ALL;
}

static void fini(struct cleave_map *map)
{
	struct combine_state *state = state_of(map);

	clv_free(state->slot, state->cpus * sizeof(*state->slot));
	clv_free(state->node, state->nodes * sizeof(*state->node));
	clv_free(state->cpu_of_node, state->cpus * sizeof(*state->cpu_of_node));
	clv_scheme_fini_state(map, sizeof(*state));
}

static void sort_cpus(struct combine_state *state, const struct clv_topology *topology)
{
	unsigned at = 0;

	for (unsigned node = 0; node < state->nodes; node++) {
		state->node[node].first = at;
		for (unsigned cpu = 0; cpu < state->cpus; cpu++) {
			if (topology->cpu[cpu].node == node)
				state->cpu_of_node[at++] = cpu;
		}
		state->node[node].count = at - state->node[node].first;
	}
}

static int init(struct cleave_map *map, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	static const struct cleave_field slot_fields[] = { { 0, "batch" }, { 0, NULL } };
	static const struct cleave_field node_fields[] = { { 0, "combining" }, { 0, NULL } };
	const struct clv_topology *topology = map->env->topology;
	int code = clv_scheme_init_state(map, sizeof(struct combine_state), args, 1, error);
	if (code)
		return code;
	struct combine_state *state = state_of(map);
	state->cpus = topology->cpus;
	state->nodes = topology->nodes;
	state->slot = clv_alloc(state->cpus * sizeof(*state->slot), CLV_CACHE_LINE, -1);
	state->node = clv_alloc(state->nodes * sizeof(*state->node), CLV_CACHE_LINE, -1);
	state->cpu_of_node =
		clv_alloc(state->cpus * sizeof(*state->cpu_of_node), CLV_CACHE_LINE, -1);
	if (!state->slot || !state->node || !state->cpu_of_node) {
		fini(map);
		return clv_error(error, -ENOMEM, "scheme combine: out of memory");
	}
	clv_name(state->slot, state->cpus * sizeof(*state->slot), sizeof(*state->slot),
		 "combine's slot", -1, slot_fields);
	clv_name(state->node, state->nodes * sizeof(*state->node), sizeof(*state->node),
		 "combine's node", -1, node_fields);
	sort_cpus(state, topology);
	return 0;
}

/* ---- the role ---- */

static bool take_role(struct node *node)
{
	uint32_t nobody = 0;

	/* Relaxed: a look before the line is asked for. */
	return !__atomic_load_n(&node->combining, __ATOMIC_RELAXED) &&
	       __atomic_compare_exchange_n(&node->combining, &nobody, 1, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

/* pre: the lock is held. The batch and its slot are their owner's again once `done` is set. */
static void serve(struct cleave_map *map, struct cleave_thread *thread, struct slot *slot)
{
	clv_map_apply_locked(map, thread, slot->batch);
	__atomic_store_n(&slot->batch, NULL, __ATOMIC_RELAXED);
	/* Release: partner is is_done. */
	__atomic_store_n(&slot->done, 1, __ATOMIC_RELEASE);
}

/* A read of what the entry's first line says: it is on its way when it is needed. */
static void ask_for(const struct cleave_batch *batch)
{
	(void)__atomic_load_n(&batch->ops[0].entry->subset, __ATOMIC_RELAXED);
}

static unsigned serve_all(struct cleave_map *map, struct cleave_thread *thread,
			  const struct node *node)
{
	struct combine_state *state = state_of(map);
	unsigned served = 0;

	for (unsigned i = 0; i < node->count;) {
		struct slot *found[AT_ONCE];
		unsigned count = 0;

		for (; i < node->count && count < AT_ONCE; i++) {
			struct slot *slot = &state->slot[state->cpu_of_node[node->first + i]];

			/* Acquire: partner is the release in commit. */
			if (__atomic_load_n(&slot->batch, __ATOMIC_ACQUIRE))
				found[count++] = slot;
		}
		for (unsigned k = 0; k < count; k++)
			ask_for(found[k]->batch);
		for (unsigned k = 0; k < count; k++)
			serve(map, thread, found[k]);
		served += count;
	}
	return served;
}

static void combine(struct cleave_map *map, struct cleave_thread *thread, struct node *node)
{
	struct combine_state *state = state_of(map);
	struct clv_hold hold;

	clv_map_acquire_exclusive(&state->lock, 0, thread, &hold);
	for (unsigned round = 0; round < ROUNDS && serve_all(map, thread, node); round++)
		;
	clv_map_release_exclusive(&state->lock, 0, &hold);
	/* Release: partner is take_role. */
	__atomic_store_n(&node->combining, 0, __ATOMIC_RELEASE);
}

/* ---- updates ---- */

static bool is_done(const struct slot *slot)
{
	/* Acquire: partner is the release in serve. */
	return __atomic_load_n(&slot->done, __ATOMIC_ACQUIRE);
}

/* Until the batch was applied, by this thread if it gets the role. */
static void wait(struct cleave_map *map, struct cleave_thread *thread, const struct slot *slot,
		 struct node *node)
{
	/* To a simulated machine, one that waits for a lock and does not get it. */
	clv_mark(CLV_MARK_ASK, node);
	while (!is_done(slot)) {
		if (take_role(node))
			combine(map, thread, node);
		else
			clv_pause();
	}
	clv_mark(CLV_MARK_FAILED, node);
}

/* Who applied nothing waited all the time; a combiner's wait and hold are its lock's. */
static void wait_timed(struct cleave_map *map, struct cleave_thread *thread,
		       const struct slot *slot, struct node *node)
{
	const struct cleave_times before = *thread->times, *now = thread->times;
	uint64_t asked_ns = clv_now_ns();

	wait(map, thread, slot, node);
	uint64_t ns = clv_now_ns() - asked_ns;
	if (now->acquired == before.acquired)
		clv_map_count_wait(thread, ns);
}

static void commit_alone(struct cleave_map *map, struct cleave_thread *thread,
			 struct cleave_batch *batch)
{
	const struct clv_map_lock *lock = &state_of(map)->lock;
	struct clv_hold hold;

	clv_map_acquire_exclusive(lock, 0, thread, &hold);
	clv_map_apply_locked(map, thread, batch);
	clv_map_release_exclusive(lock, 0, &hold);
}

static void commit(struct cleave_map *map, struct cleave_thread *thread, struct cleave_batch *batch)
{
	struct combine_state *state = state_of(map);
	struct slot *slot = &state->slot[thread->cpu];
	struct node *node = &state->node[map->env->topology->cpu[thread->cpu].node];

	/* Acquire: partner is the release below, of another thread of this CPU. */
	if (__atomic_exchange_n(&slot->claimed, 1, __ATOMIC_ACQUIRE)) {
		commit_alone(map, thread, batch);
		return;
	}
	__atomic_store_n(&slot->done, 0, __ATOMIC_RELAXED);
	/* Release: partner is the load in serve_all. */
	__atomic_store_n(&slot->batch, batch, __ATOMIC_RELEASE);
	if (__builtin_expect(thread->times != NULL, 0))
		wait_timed(map, thread, slot, node);
	else
		wait(map, thread, slot, node);
	__atomic_store_n(&slot->claimed, 0, __ATOMIC_RELEASE);
}

/* ---- walks and holds: as under one lock ---- */

static int walk(struct cleave_map *map, struct cleave_thread *thread, uint64_t start, uint64_t last,
		unsigned flags, cleave_visit_fn *visit, void *arg)
{
	if (map->structure->flags & CLEAVE_WALKS_UNLOCKED)
		return clv_map_walk_locked(map, thread, CLEAVE_ALL_SUBSETS, start, last, visit, arg);
	const struct clv_map_lock *lock = &state_of(map)->lock;
	struct clv_hold hold;
	int code = clv_map_acquire(lock, 0, CLEAVE_SHARED, flags, thread, &hold);
	if (code)
		return code;
	code = clv_map_walk_locked(map, thread, CLEAVE_ALL_SUBSETS, start, last, visit, arg);
	clv_map_release(lock, 0, CLEAVE_SHARED, &hold);
	return code;
}

static unsigned hold_count(const struct cleave_map *map)
{
	(void)map;
	return 1;
}

static int hold_all(struct cleave_map *map, struct cleave_thread *thread,
		    enum cleave_hold_mode mode, unsigned flags, struct clv_hold *holds)
{
	return clv_map_acquire(&state_of(map)->lock, 0, mode, flags, thread, holds);
}

static void release_all(struct cleave_map *map, struct cleave_thread *thread,
			enum cleave_hold_mode mode, struct clv_hold *holds)
{
	(void)thread;
	clv_map_release(&state_of(map)->lock, 0, mode, holds);
}

static size_t memory(const struct cleave_map *map)
{
	const struct combine_state *state = state_of(map);

	return sizeof(*state) + clv_map_lock_memory(&state->lock) +
	       state->cpus * (sizeof(*state->slot) + sizeof(*state->cpu_of_node)) +
	       state->nodes * sizeof(*state->node);
}

const struct clv_scheme clv_scheme_combine = {
	.name = "combine",
	.summary = "one lock, taken by one thread of each NUMA node, who applies what the others put "
		   "up; keeps C1-C8",
	.source = "Hendler and others, SPAA 2010; Fatourou and Kallimanis, PPoPP 2012",
	.locks = CLV_SCHEME_ONE_LOCK,
	.waiting = CLV_LOCK_SPINS,
	.keeps = keeps,
	.init = init,
	.fini = fini,
	.commit = commit,
	.walk = walk,
	.hold_count = hold_count,
	.hold = hold_all,
	.release = release_all,
	.memory = memory,
};
