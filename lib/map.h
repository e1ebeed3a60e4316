/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A map's inside: what the dispatch (lib/map.c) and the schemes share.
 */
#ifndef CLV_MAP_H
#define CLV_MAP_H

#include <assert.h>

#include <cleave/structure.h>

#include "design.h"
#include "partition.h"
#include "shim/mark.h"
#include "thread.h"

struct cleave_map {
	const struct cleave_structure *structure;
	const struct clv_scheme *scheme;
	struct cleave_env *env;
	uint32_t id;
	bool reserves;	       /* structure or scheme has something to do in prepare */
	bool epochs;	       /* updates and walks run inside an epoch */
	unsigned subsets;      /* the partition's, and one more if the scheme begins with it */
	unsigned slots;	       /* 1, or one a subset if CLEAVE_SEQUENTIAL */
	/*
	 * Those that are made: all, but a scheme that begins with one makes the others later, in
	 * clv_map_create_objects, beside those who read it.
	 */
	unsigned objects;
	void **object; /* [slots] */
	void *scheme_state;    /* the scheme's own */
	struct clv_partition partition;
	struct clv_design design; /* owns the words that lock and scheme args point to */
	char canonical[CLV_DESIGN_BYTES];
};

/* Acquire: partner is the release in clv_map_create_objects. */
static inline unsigned clv_map_objects(const struct cleave_map *map)
{
	return __atomic_load_n(&map->objects, __ATOMIC_ACQUIRE);
}

/* The object that keeps a subset's intervals. Who knows of an entry in it knows that it is made. */
static inline void *clv_map_object(const struct cleave_map *map, uint32_t subset)
{
	return map->object[map->slots == 1 ? 0 : subset];
}

/*
 * Make the objects from map->objects up to `limit`, all of them or none, and let them be seen. Returns:
 * 0; -ENOMEM and what else the structure says. Threads: one at a time.
 */
int clv_map_create_objects(struct cleave_map *map, unsigned limit, struct cleave_error *error);

static inline bool clv_op_has_source(const struct cleave_op *op)
{
	return op->kind == CLEAVE_INSERT_AFTER || op->kind == CLEAVE_INSERT_NEAR;
}

static inline void clv_map_apply_op(struct cleave_map *map, struct cleave_update *update,
		     const struct cleave_op *op)
{
	const struct cleave_structure *structure = map->structure;
	struct cleave_entry *entry = op->entry;
	void *object = clv_map_object(map, entry->subset);

	/* cleave_prepare found it so, and an entry has one owner. */
	assert((op->kind <= CLEAVE_INSERT_NEAR || entry->map_id == map->id) &&
	       "removed by another thread since the batch was prepared");
	assert((op->kind > CLEAVE_INSERT_NEAR || !entry->map_id) &&
	       "inserted by another thread since the batch was prepared");
	assert((!clv_op_has_source(op) || op->source->map_id == map->id) &&
	       "its source was removed by another thread since the batch was prepared");

	/* Tests, the likely ones first: a table of jumps costs more. */
	if (op->kind == CLEAVE_REMOVE) {
		structure->remove(object, update, entry);
		entry->map_id = 0;
	} else if (op->kind == CLEAVE_CHANGE) {
		if (structure->change) {
			structure->change(object, update, entry, op->start, op->last);
		} else {
			structure->remove(object, update, entry);
			structure->insert(object, update, entry, NULL, op->start, op->last);
		}
	} else {
		entry->map_id = map->id;
		if (op->kind == CLEAVE_INSERT_AFTER && structure->insert_after)
			structure->insert_after(object, update, op->source, entry, op->start,
						op->last);
		else
			structure->insert(object, update, entry,
					  clv_op_has_source(op) ? op->source : NULL, op->start, op->last);
	}
}

/*
 * Apply every op of a prepared batch, in order. pre: the locks of every op's subset
 * (op->entry->subset, set by prepare for inserts) are held exclusive by `thread`, or the structure
 * needs none.
 */
static inline void clv_map_apply_locked(struct cleave_map *map, struct cleave_thread *thread,
			  struct cleave_batch *batch)
{
	struct cleave_update update = { .thread = thread, .reserve = batch->priv[0] };
	const struct cleave_op *op = batch->ops, *limit = op + batch->count;
	do {
		clv_map_apply_op(map, &update, op);
	} while (++op < limit);
}

/* Walk one subset, or CLEAVE_ALL_SUBSETS: all of them in order. pre: locks held, or none needed. */
int clv_map_walk_locked(struct cleave_map *map, struct cleave_thread *thread, unsigned subset,
			uint64_t start, uint64_t last, cleave_visit_fn *visit, void *arg);

/* ---- locks, with the thread's timing ---- */

/* Each lock on lines of its own: a neighbour's traffic must not be mistaken for its own. */
struct clv_map_lock {
	const struct clv_lock_type *type;
	unsigned count;
	void **at; /* [count] */
};

/* `count` instances, the i-th on the node of subset i if `by_subset`. Returns: 0, -EINVAL, -ENOMEM. */
int clv_map_lock_make(struct clv_map_lock *lock, struct cleave_map *map,
		      const struct clv_lock_spec *spec, unsigned count, bool by_subset,
		      struct cleave_error *error);
void clv_map_lock_fini(struct clv_map_lock *lock);

size_t clv_map_lock_memory(const struct clv_map_lock *lock);

/*
 * Acquire the i-th lock. Returns: 0; with CLEAVE_TRY in flags -EBUSY, or -ENOTSUP if the lock
 * cannot try. Shared falls back to exclusive where the lock has no shared mode.
 */
int clv_map_acquire(const struct clv_map_lock *lock, unsigned i, enum cleave_hold_mode mode,
		    unsigned flags, struct cleave_thread *thread, struct clv_hold *hold);
void clv_map_release(const struct clv_map_lock *lock, unsigned i, enum cleave_hold_mode mode,
		     struct clv_hold *hold);

/* pre: thread->times. A scheme's own wait, in which the thread acquired no lock by the above. */
void clv_map_count_wait(struct cleave_thread *thread, uint64_t wait_ns);

/* The way of every update, short: exclusive, and rarely timed. */
static inline void clv_map_acquire_exclusive(const struct clv_map_lock *lock, unsigned i,
					     struct cleave_thread *thread, struct clv_hold *hold)
{
	if (__builtin_expect(thread->times != NULL, 0)) {
		clv_map_acquire(lock, i, CLEAVE_EXCLUSIVE, 0, thread, hold);
		return;
	}
	hold->thread = thread;
	hold->timed = false;
	void *at = lock->at[i];
	clv_mark(CLV_MARK_ASK, at);
	lock->type->acquire(at, hold);
	clv_mark(CLV_MARK_GOT, at);
}

static inline void clv_map_release_exclusive(const struct clv_map_lock *lock, unsigned i,
					     struct clv_hold *hold)
{
	if (__builtin_expect(hold->timed, 0)) {
		clv_map_release(lock, i, CLEAVE_EXCLUSIVE, hold);
		return;
	}
	void *at = lock->at[i];
	clv_mark(CLV_MARK_FREE, at);
	lock->type->release(at, hold);
	clv_mark(CLV_MARK_FREED, at);
}

/*
 * Room for `count` holds at once, from the thread's spare ones. NULL: out of memory.
 */
struct clv_hold_set *clv_map_take_holds(struct cleave_thread *thread, unsigned count);
void clv_map_give_holds(struct cleave_thread *thread, struct clv_hold_set *set);

#endif
