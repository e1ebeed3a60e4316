// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A map's array of locks, the timing of their waits and holds for threads that are measured, and
 * room for holds.
 */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "map.h"
#include "shim/mark.h"

int clv_map_lock_make(struct clv_map_lock *lock, struct cleave_map *map,
		      const struct clv_lock_spec *spec, unsigned count, bool by_subset,
		      struct cleave_error *error)
{
	lock->type = spec->type;
	lock->count = count;
	lock->at = clv_alloc(count * sizeof(*lock->at), CLV_CACHE_LINE, -1);
	if (!lock->at)
		return clv_error(error, -ENOMEM, "lock %s: out of memory", spec->type->name);
	clv_name(lock->at, count * sizeof(*lock->at), 0, "locks", -1, NULL);
	for (unsigned i = 0; i < count; i++) {
		int node = by_subset ? map->partition.node_of_subset[i] : -1;
		void *made = clv_alloc(spec->type->size_bytes, CLV_CACHE_LINE, node);
		int code = -ENOMEM;
		if (made) {
			clv_name(made, spec->type->size_bytes, 0, spec->type->name, (int)i,
				 spec->type->fields);
			code = spec->type->init ?
				       spec->type->init(made, map->env, &spec->args, error) : 0;
		} else {
			clv_error(error, -ENOMEM, "lock %s: out of memory", spec->type->name);
		}
		if (code) {
			clv_free(made, spec->type->size_bytes);
			clv_map_lock_fini(lock);
			return code;
		}
		lock->at[i] = made;
	}
	return 0;
}

void clv_map_lock_fini(struct clv_map_lock *lock)
{
	for (unsigned i = 0; i < lock->count && lock->at && lock->at[i]; i++) {
		if (lock->type->fini)
			lock->type->fini(lock->at[i]);
		clv_free(lock->at[i], lock->type->size_bytes);
	}
	clv_free(lock->at, lock->count * sizeof(*lock->at));
	lock->at = NULL;
	lock->count = 0;
}

size_t clv_map_lock_memory(const struct clv_map_lock *lock)
{
	size_t lines = (lock->type->size_bytes + CLV_CACHE_LINE - 1) / CLV_CACHE_LINE;
	size_t bytes = lock->count * (sizeof(*lock->at) + lines * CLV_CACHE_LINE);
	for (unsigned i = 0; i < lock->count && lock->type->memory; i++)
		bytes += lock->type->memory(lock->at[i]);
	return bytes;
}

static int acquire(const struct clv_lock_type *type, void *lock, enum cleave_hold_mode mode,
		   unsigned flags, struct clv_hold *hold)
{
	bool shared = mode == CLEAVE_SHARED && type->acquire_shared;
	if (flags & CLEAVE_TRY) {
		bool (*attempt)(void *, struct clv_hold *) =
			shared ? type->try_acquire_shared : type->try_acquire;
		if (!attempt)
			return -ENOTSUP;
		clv_mark(CLV_MARK_ASK, lock);
		if (!attempt(lock, hold)) {
			clv_mark(CLV_MARK_FAILED, lock);
			return -EBUSY;
		}
	} else {
		clv_mark(CLV_MARK_ASK, lock);
		(shared ? type->acquire_shared : type->acquire)(lock, hold);
	}
	clv_mark(shared ? CLV_MARK_GOT_SHARED : CLV_MARK_GOT, lock);
	return 0;
}

/* Waits do not count as part of a hold that they happen in. */
static void count_wait(struct cleave_thread *thread, uint64_t wait_ns)
{
	thread->times->wait_ns += wait_ns;
	thread->timed_since_ns += wait_ns;
}

void clv_map_count_wait(struct cleave_thread *thread, uint64_t wait_ns)
{
	count_wait(thread, wait_ns);
	thread->times->acquired++;
}

int clv_map_acquire(const struct clv_map_lock *lock, unsigned i, enum cleave_hold_mode mode,
		    unsigned flags, struct cleave_thread *thread, struct clv_hold *hold)
{
	hold->thread = thread;
	hold->timed = false;
	if (!thread->times)
		return acquire(lock->type, lock->at[i], mode, flags, hold);

	uint64_t asked_ns = clv_now_ns();
	int code = acquire(lock->type, lock->at[i], mode, flags, hold);
	uint64_t got_ns = clv_now_ns();
	count_wait(thread, got_ns - asked_ns);
	if (code)
		return code;
	hold->timed = true;
	thread->times->acquired++;
	if (!thread->timed_locks++)
		thread->timed_since_ns = got_ns;
	return 0;
}

void clv_map_release(const struct clv_map_lock *lock, unsigned i, enum cleave_hold_mode mode,
		     struct clv_hold *hold)
{
	struct cleave_thread *thread = hold->thread;
	const struct clv_lock_type *type = lock->type;
	void *at = lock->at[i];
	clv_mark(CLV_MARK_FREE, at);
	bool shared = mode == CLEAVE_SHARED && type->release_shared;
	(shared ? type->release_shared : type->release)(at, hold);
	clv_mark(CLV_MARK_FREED, at);
	/* The measuring may have begun or ended while it was held. */
	if (hold->timed && !--thread->timed_locks && thread->times)
		thread->times->hold_ns += clv_now_ns() - thread->timed_since_ns;
}

struct clv_hold_set *clv_map_take_holds(struct cleave_thread *thread, unsigned count)
{
	for (struct clv_hold_set **at = &thread->spare; *at; at = &(*at)->next) {
		struct clv_hold_set *set = *at;
		if (set->capacity >= count) {
			*at = set->next;
			return set;
		}
	}
	size_t size_bytes = sizeof(struct clv_hold_set) + count * sizeof(struct clv_hold);
	struct clv_hold_set *set = clv_alloc(size_bytes, CLV_CACHE_LINE, -1);
	if (set) {
		clv_name(set, size_bytes, 0, "holds", (int)thread->id, NULL);
		set->capacity = count;
		set->size_bytes = size_bytes;
	}
	return set;
}

void clv_map_give_holds(struct cleave_thread *thread, struct clv_hold_set *set)
{
	set->next = thread->spare;
	thread->spare = set;
}
