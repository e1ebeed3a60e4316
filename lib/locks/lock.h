/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a lock is. One file each in lib/locks/, one line in lib/locks/registry.def, one const struct
 * clv_lock_type named clv_lock_<name> at the file's end.
 */
#ifndef CLV_LOCK_H
#define CLV_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cleave/structure.h>

#include "shim/shim.h"

struct cleave_env;
struct cleave_error;
struct cleave_thread;

/*
 * One acquisition, from acquire to release. It lives with whoever acquires, on its stack or in a
 * hold set, and does not move meanwhile. A thread may have many. `thread` is set by the caller;
 * `state` is the lock's (a queue node, say) and undefined before acquire.
 */
struct clv_hold {
	struct cleave_thread *thread;
	bool timed; /* lib/map_lock.c's */
	uintptr_t state[6];
} __attribute__((aligned(CLV_CACHE_LINE), may_alias));

enum clv_lock_flags {
	CLV_LOCK_SPINS = 1 << 0,     /* waiters keep their CPU for as long as they wait */
	CLV_LOCK_SLEEPS = 1 << 1,    /* waiters park, at last */
	CLV_LOCK_HOST_ONLY = 1 << 2, /* waits outside the shim */
	CLV_LOCK_ONE_THREAD = 1 << 3, /* guards nothing: one thread at a time in the whole map */
	CLV_LOCK_FIFO = 1 << 4,	     /* exclusive acquisitions are granted in order of arrival */
	CLV_LOCK_OWNED = 1 << 5,     /* what a thread acquired exclusive it alone may release */
};

/* The design string's words for this lock, split at dots: arg[0] follows the name. */
struct clv_lock_args {
	unsigned count;
	const char *arg[4];
};

struct clv_lock_type {
	const char *name; /* in design strings: that of the file, but may have dots in it */
	const char *summary; /* fairness, preference of readers or writers, sleeping or spinning */
	const char *source;
	unsigned flags;

	/* Bytes of one instance that knows its environment; its alignment is a cache line. */
	size_t size_bytes;

	/*
	 * pre: zeroed memory of size_bytes. `args` outlive it. Returns: 0; -EINVAL for arguments it
	 * does not know, -ENOMEM. NULL: zeroed is free, and there are no arguments.
	 */
	int (*init)(void *lock, struct cleave_env *env, const struct clv_lock_args *args,
		    struct cleave_error *error);
	void (*fini)(void *lock); /* NULL: nothing to give back */
	/* Optional. Bytes that init allocated beside the instance. */
	size_t (*memory)(const void *lock);

	/* Exclusive. Acquire orders as an acquire, release as a release. */
	void (*acquire)(void *lock, struct clv_hold *hold);
	void (*release)(void *lock, struct clv_hold *hold);
	bool (*try_acquire)(void *lock, struct clv_hold *hold); /* optional */

	/* Shared. All NULL: readers take it exclusive. */
	void (*acquire_shared)(void *lock, struct clv_hold *hold);
	void (*release_shared)(void *lock, struct clv_hold *hold);
	bool (*try_acquire_shared)(void *lock, struct clv_hold *hold); /* optional */

	/* Optional. What is where in an instance, as cleave_structure.entry_fields. */
	const struct cleave_field *fields;
};

/* i-th lock; NULL behind the last. Threads: any, after all registrations. */
const struct clv_lock_type *clv_lock_type_at(unsigned i);
const struct clv_lock_type *clv_lock_type_find(const char *name, size_t length);
/*
 * Of words behind each other, dots between them, those that are a lock's name: the longest such name.
 * Returns: its length; 0, there is none.
 */
size_t clv_lock_name_length(const char *words, size_t length);
int clv_lock_type_add(const struct clv_lock_type *type); /* tests; -EEXIST, -ENOSPC */

#endif
