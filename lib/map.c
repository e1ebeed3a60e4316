// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The dispatch: checks what callers pass, reserves memory, and calls the scheme, which locks and
 * calls back to have ops applied or subsets walked. Opening and closing: lib/map_open.c.
 */
#include "map.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "env.h"
#include "error.h"
#include "reclaim.h"
#include "schemes/scheme.h"

struct cleave_hold {
	struct cleave_map *map;
	struct cleave_thread *thread;
	enum cleave_hold_mode mode;
	struct clv_hold_set *set;
} __attribute__((may_alias));

/* ---- asking ---- */

const char *cleave_design(const struct cleave_map *map)
{
	return map->canonical;
}

size_t cleave_entry_size(const struct cleave_map *map)
{
	return map->structure->entry_size_bytes;
}

size_t cleave_entry_align(const struct cleave_map *map)
{
	return map->structure->entry_align_bytes;
}

uint64_t cleave_last_max(const struct cleave_map *map)
{
	return map->structure->last_max;
}

unsigned cleave_subsets(const struct cleave_map *map)
{
	return map->subsets;
}

unsigned cleave_keeps(const struct cleave_map *map)
{
	unsigned keeps = map->structure->keeps & map->scheme->keeps(map);
	/* No lock keeps a walk from between two ops of a batch. */
	if (map->structure->flags & CLEAVE_WALKS_UNLOCKED)
		keeps &= ~(unsigned)CLEAVE_C3_COVERAGE;
	return keeps;
}

bool cleave_defers(const struct cleave_map *map)
{
	return map->structure->flags & CLEAVE_DEFERS;
}

void cleave_bounds(const struct cleave_map *map, const struct cleave_entry *entry, uint64_t *start,
		   uint64_t *last)
{
	map->structure->bounds(entry, start, last);
}

bool cleave_empty(const struct cleave_map *map)
{
	unsigned objects = clv_map_objects(map);
	for (unsigned i = 0; i < objects; i++) {
		if (!map->structure->empty(map->object[i]))
			return false;
	}
	return true;
}

struct belonging {
	uint32_t subset, map_id;
};

static int is_foreign(struct cleave_entry *entry, void *arg)
{
	const struct belonging *expected = arg;
	if (entry->map_id != expected->map_id)
		return 1;
	return entry->subset == expected->subset ? 0 : 2;
}

/* Do all entries of the object say that they belong there? Returns: NULL, or what is wrong. */
static const char *misplaced(struct cleave_map *map, unsigned subset)
{
	static const char *const reason[] = { NULL, "an entry belongs to no map, or to another",
					      "an entry has another subset stored (C7)" };
	struct belonging expected = { subset, map->id };
	return reason[map->structure->walk(map->object[subset], NULL, subset, 0,
					   map->structure->last_max, is_foreign, &expected)];
}

int cleave_validate(struct cleave_map *map, struct cleave_error *error)
{
	for (unsigned i = 0; i < map->objects; i++) {
		const char *reason = map->structure->validate(map->object[i]);
		if (!reason && map->structure->kind == CLEAVE_SEQUENTIAL)
			reason = misplaced(map, i);
		if (reason)
			return clv_error(error, -EUCLEAN, "%s: subset %u: %s", map->canonical, i,
					 reason);
	}
	return 0;
}

size_t cleave_memory(const struct cleave_map *map)
{
	size_t bytes = sizeof(*map) + map->slots * sizeof(*map->object) +
		       map->scheme->memory(map);
	if (map->partition.subset_of_cpu)
		bytes += map->partition.cpus * sizeof(*map->partition.subset_of_cpu);
	bytes += (map->partition.subsets + 1) * sizeof(*map->partition.node_of_subset);
	for (unsigned i = 0; i < map->objects; i++)
		bytes += map->structure->memory(map->object[i]);
	return bytes;
}

unsigned cleave_phases(const struct cleave_map *map, struct cleave_phase *phases, unsigned most)
{
	return map->scheme->phases ? map->scheme->phases(map, phases, most) : 0;
}

/* What a structure does without a lock, it does inside an epoch: see cleave_retire. */
static inline void enter(const struct cleave_map *map, struct cleave_thread *thread)
{
	if (__builtin_expect(map->epochs, 0))
		clv_epoch_enter(thread);
}

static inline void leave(const struct cleave_map *map, struct cleave_thread *thread)
{
	if (__builtin_expect(map->epochs, 0))
		clv_epoch_exit(thread);
}

/* ---- updates ---- */

static inline bool inserts(const struct cleave_op *op)
{
	return op->kind <= CLEAVE_INSERT_NEAR;
}

/* Where the source starts when op `i` is applied. Returns: 0; -ENOENT it is not in the map then. */
static int source_start(const struct cleave_map *map, const struct cleave_op *ops, unsigned i,
			uint64_t *start)
{
	const struct cleave_entry *source = ops[i].source;
	for (unsigned j = i; j-- > 0;) {
		if (ops[j].entry != source)
			continue;
		if (ops[j].kind == CLEAVE_REMOVE)
			return -ENOENT;
		*start = ops[j].start;
		return 0;
	}
	if (source->map_id != map->id)
		return -ENOENT;
	uint64_t last;
	map->structure->bounds(source, start, &last);
	return 0;
}

/* The op by itself: what can be said without the others of its batch. */
static inline int check_alone(const struct cleave_map *map, const struct cleave_op *op)
{
	if (!op->entry || op->kind > CLEAVE_CHANGE)
		return -EINVAL;
	assert((uintptr_t)op->entry % map->structure->entry_align_bytes == 0);
	if (op->kind != CLEAVE_REMOVE) {
		if (op->start > op->last)
			return -EINVAL;
		if (op->last > map->structure->last_max)
			return -ERANGE;
	}
	uint32_t wanted = inserts(op) ? 0 : map->id;
	if (op->entry->map_id != wanted)
		return wanted ? -ENOENT : -EEXIST;
	return 0;
}

static int check_source(const struct cleave_map *map, const struct cleave_op *ops, unsigned i)
{
	const struct cleave_op *op = &ops[i];
	uint64_t start;
	if (!op->source || op->source == op->entry)
		return -EINVAL;
	int code = source_start(map, ops, i, &start);
	if (code)
		return code;
	return op->kind == CLEAVE_INSERT_AFTER && start != op->start ? -EINVAL : 0;
}

/* Twice in the batch? */
static bool appears_before(const struct cleave_op *ops, unsigned i)
{
	for (unsigned j = 0; j < i; j++) {
		if (ops[j].entry == ops[i].entry)
			return true;
	}
	return false;
}

static __attribute__((noinline)) int check_batch(const struct cleave_map *map, const struct cleave_batch *batch)
{
	if (!batch->count)
		return -EINVAL;
	if (batch->count > CLEAVE_BATCH_MAX)
		return -E2BIG;
	for (unsigned i = 0; i < batch->count; i++) {
		int code = appears_before(batch->ops, i) ? -EINVAL : 0;
		if (!code)
			code = check_alone(map, &batch->ops[i]);
		if (!code && clv_op_has_source(&batch->ops[i]))
			code = check_source(map, batch->ops, i);
		if (code)
			return code;
	}
	return 0;
}

/* An entry that is being inserted is its owner's alone: its subset can be written before the lock. */
static inline void choose_subset(const struct cleave_map *map, const struct cleave_thread *thread,
			  const struct cleave_op *op)
{
	if (op->kind == CLEAVE_INSERT)
		op->entry->subset = clv_partition_subset(&map->partition, thread->cpu, op->entry);
	else if (clv_op_has_source(op))
		op->entry->subset = op->source->subset;
}

static __attribute__((noinline)) void choose_subsets(const struct cleave_map *map,
						     const struct cleave_thread *thread,
						     const struct cleave_batch *batch)
{
	for (unsigned i = 0; i < batch->count; i++)
		choose_subset(map, thread, &batch->ops[i]);
}

/* Reserves for a whole batch come from where its first op goes. */
static void *reserving_object(const struct cleave_map *map, const struct cleave_batch *batch)
{
	return clv_map_object(map, batch->ops[0].entry->subset);
}

static __attribute__((noinline)) void settle(struct cleave_map *map, struct cleave_thread *thread,
					     struct cleave_batch *batch)
{
	if (batch->priv[1] || batch->priv[2])
		map->scheme->settle(map, thread, batch);
	if (batch->priv[0])
		map->structure->settle(reserving_object(map, batch), thread, batch->priv[0]);
}

/* Give back what is left of what was reserved. Mostly that was nothing. */
static inline void settle_any(struct cleave_map *map, struct cleave_thread *thread,
			      struct cleave_batch *batch)
{
	if (__builtin_expect(batch->priv[0] || batch->priv[1] || batch->priv[2], 0))
		settle(map, thread, batch);
}

static __attribute__((noinline)) int reserve_for_structure(struct cleave_map *map,
							   struct cleave_thread *thread,
							   struct cleave_batch *batch)
{
	int code = map->structure->prepare(reserving_object(map, batch), thread, batch->ops,
					   batch->count, &batch->priv[0]);
	if (code && (batch->priv[1] || batch->priv[2]))
		map->scheme->settle(map, thread, batch);
	return code;
}

static inline int reserve(struct cleave_map *map, struct cleave_thread *thread,
			  struct cleave_batch *batch)
{
	if (map->scheme->prepare) {
		int code = map->scheme->prepare(map, thread, batch);
		if (code)
			return code;
	}
	return map->structure->prepare ? reserve_for_structure(map, thread, batch) : 0;
}

/* Inline in each of its callers: an update is short, and calls on its way show. */
static inline __attribute__((always_inline)) int prepare(struct cleave_map *map,
							 struct cleave_thread *thread,
							 struct cleave_batch *batch)
{
	assert(thread->env == map->env);
	batch->priv[0] = batch->priv[1] = batch->priv[2] = NULL;
	/* Nearly all batches are of one op without a source: they take the short way. */
	bool simple = batch->count == 1 && !clv_op_has_source(batch->ops);
	int code = simple ? check_alone(map, batch->ops) : check_batch(map, batch);
	if (code)
		return code;
	if (simple)
		choose_subset(map, thread, batch->ops);
	else
		choose_subsets(map, thread, batch);
	return map->reserves ? reserve(map, thread, batch) : 0;
}

static inline __attribute__((always_inline)) void commit(struct cleave_map *map,
							 struct cleave_thread *thread,
							 struct cleave_batch *batch)
{
	enter(map, thread);
	map->scheme->commit(map, thread, batch);
	leave(map, thread);
	settle_any(map, thread, batch);
}

int cleave_prepare(struct cleave_map *map, struct cleave_thread *thread, struct cleave_batch *batch)
{
	return prepare(map, thread, batch);
}

void cleave_commit(struct cleave_map *map, struct cleave_thread *thread, struct cleave_batch *batch)
{
	commit(map, thread, batch);
}

void cleave_abandon(struct cleave_map *map, struct cleave_thread *thread, struct cleave_batch *batch)
{
	settle_any(map, thread, batch);
}

int cleave_apply(struct cleave_map *map, struct cleave_thread *thread, const struct cleave_op *ops,
		 unsigned count)
{
	struct cleave_batch batch;
	batch.ops = ops;
	batch.count = count;
	int code = prepare(map, thread, &batch);
	if (!code)
		commit(map, thread, &batch);
	return code;
}

int cleave_insert(struct cleave_map *map, struct cleave_thread *thread, struct cleave_entry *entry,
		  uint64_t start, uint64_t last)
{
	const struct cleave_op op = { CLEAVE_INSERT, entry, NULL, start, last };
	return cleave_apply(map, thread, &op, 1);
}

int cleave_insert_after(struct cleave_map *map, struct cleave_thread *thread,
			struct cleave_entry *parent, struct cleave_entry *child)
{
	if (!parent || parent->map_id != map->id)
		return parent ? -ENOENT : -EINVAL;
	struct cleave_op op = { CLEAVE_INSERT_AFTER, child, parent, 0, 0 };
	map->structure->bounds(parent, &op.start, &op.last);
	return cleave_apply(map, thread, &op, 1);
}

int cleave_insert_near(struct cleave_map *map, struct cleave_thread *thread,
		       struct cleave_entry *source, struct cleave_entry *entry, uint64_t start,
		       uint64_t last)
{
	const struct cleave_op op = { CLEAVE_INSERT_NEAR, entry, source, start, last };
	return cleave_apply(map, thread, &op, 1);
}

int cleave_remove(struct cleave_map *map, struct cleave_thread *thread, struct cleave_entry *entry)
{
	const struct cleave_op op = { CLEAVE_REMOVE, entry, NULL, 0, 0 };
	return cleave_apply(map, thread, &op, 1);
}

int cleave_change(struct cleave_map *map, struct cleave_thread *thread, struct cleave_entry *entry,
		  uint64_t start, uint64_t last)
{
	const struct cleave_op op = { CLEAVE_CHANGE, entry, NULL, start, last };
	return cleave_apply(map, thread, &op, 1);
}

/* ---- walks and holds ---- */

int clv_map_walk_locked(struct cleave_map *map, struct cleave_thread *thread, unsigned subset,
			uint64_t start, uint64_t last, cleave_visit_fn *visit, void *arg)
{
	const struct cleave_structure *structure = map->structure;
	if (map->slots == 1)
		return structure->walk(map->object[0], thread, subset, start, last, visit, arg);
	if (subset != CLEAVE_ALL_SUBSETS)
		return structure->walk(map->object[subset], thread, subset, start, last, visit, arg);
	unsigned objects = clv_map_objects(map);
	for (unsigned i = 0; i < objects; i++) {
		int code = structure->walk(map->object[i], thread, i, start, last, visit, arg);
		if (code)
			return code;
	}
	return 0;
}

int cleave_walk(struct cleave_map *map, struct cleave_thread *thread, uint64_t start, uint64_t last,
		unsigned flags, cleave_visit_fn *visit, void *arg)
{
	if (start > last || (flags & ~(unsigned)CLEAVE_TRY))
		return -EINVAL;
	enter(map, thread);
	int code = map->scheme->walk(map, thread, start, last, flags, visit, arg);
	leave(map, thread);
	return code;
}

/* The handle's own memory: the first hold of the set is the handle, the locks' follow. */
_Static_assert(sizeof(struct cleave_hold) <= sizeof(struct clv_hold), "a handle fits into a hold");

int cleave_hold_begin(struct cleave_map *map, struct cleave_thread *thread, enum cleave_hold_mode mode,
		unsigned flags, struct cleave_hold **hold)
{
	if (flags & ~(unsigned)CLEAVE_TRY)
		return -EINVAL;
	if (!map->scheme->hold || !(map->structure->keeps & CLEAVE_C6_LONG_HOLDS))
		return -ENOTSUP;
	struct clv_hold_set *set = clv_map_take_holds(thread, map->scheme->hold_count(map) + 1);
	if (!set)
		return -ENOMEM;
	int code = map->scheme->hold(map, thread, mode, flags, set->hold + 1);
	if (code) {
		clv_map_give_holds(thread, set);
		return code;
	}
	struct cleave_hold *made = (struct cleave_hold *)&set->hold[0];
	*made = (struct cleave_hold){ .map = map, .thread = thread, .mode = mode, .set = set };
	*hold = made;
	return 0;
}

void cleave_hold_end(struct cleave_hold *hold)
{
	struct cleave_thread *thread = hold->thread;
	struct clv_hold_set *set = hold->set;
	hold->map->scheme->release(hold->map, thread, hold->mode, set->hold + 1);
	clv_map_give_holds(thread, set);
}

int cleave_hold_walk(struct cleave_hold *hold, uint64_t start, uint64_t last,
		     cleave_visit_fn *visit, void *arg)
{
	struct cleave_map *map = hold->map;
	struct cleave_thread *thread = hold->thread;
	if (start > last)
		return -EINVAL;
	enter(map, thread);
	int code = clv_map_walk_locked(map, thread, CLEAVE_ALL_SUBSETS, start, last, visit, arg);
	leave(map, thread);
	return code;
}

int cleave_hold_commit(struct cleave_hold *hold, struct cleave_batch *batch)
{
	struct cleave_map *map = hold->map;
	struct cleave_thread *thread = hold->thread;
	if (hold->mode != CLEAVE_EXCLUSIVE)
		return -EPERM;
	enter(map, thread);
	clv_map_apply_locked(map, thread, batch);
	leave(map, thread);
	cleave_abandon(map, thread, batch);
	return 0;
}

int cleave_hold_apply(struct cleave_hold *hold, const struct cleave_op *ops, unsigned count)
{
	struct cleave_batch batch = { .ops = ops, .count = count };
	if (hold->mode != CLEAVE_EXCLUSIVE)
		return -EPERM;
	int code = cleave_prepare(hold->map, hold->thread, &batch);
	if (code)
		return code;
	return cleave_hold_commit(hold, &batch);
}

/* ---- deferred freeing ---- */

void cleave_synchronize(struct cleave_map *map, struct cleave_thread *thread)
{
	if (cleave_defers(map))
		clv_epoch_synchronize(thread);
}

void cleave_defer(struct cleave_map *map, struct cleave_thread *thread,
		  struct cleave_deferred *deferred, void (*call)(struct cleave_deferred *deferred))
{
	if (cleave_defers(map))
		clv_epoch_defer(thread, deferred, call);
	else
		call(deferred);
}
