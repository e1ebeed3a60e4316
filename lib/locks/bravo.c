// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * BRAVO: another reader-writer lock, whose readers mostly leave it alone: "bravo.rwsem", or "bravo",
 * which is the same.
 *
 *     bias       1: readers may come in by the table
 *     inner      the lock that is named: writers always, readers where the table does not do
 *     table      one for all such locks of an environment: 4096 words, each 0 or a lock that some
 *                reader is inside of; a reader's word follows from its handle and the lock
 *
 *     reader, bias 1    table[hash] 0 -> lock, bias still 1: in      out: table[hash] -> 0
 *     else              inner, shared; and bias -> 1, unless a revocation was lately
 *     writer            inner, exclusive; bias 1: -> 0, then wait until no word of the table is lock
 *
 * Invariants: who is inside by the table has a word that says so, written before it saw bias at 1; a
 * writer is inside only after it has set bias to 0 and then seen each word to be another. Both sides
 * write one of the two and then read the other, sequentially consistent.
 *
 * How often: a revocation that took t ns keeps bias at 0 for 9 t from its end, so that writers lose
 * some 10 % at most.
 *
 * Fairness: that of the inner lock, but that readers by the table pass whoever waits on it. Cost: a
 * reader by the table 1 atomic and a store on a line that two others' readers may share; a revoking
 * writer reads 32 KiB. Memory: 40 bytes and the inner lock; 32 KiB an environment.
 *
 * Sleeping. A writer that waits for a reader of the table spins a little, then sleeps for 50 us at a
 * time, since readers tell nobody that they leave.
 * Where it differs: the paper's table is the process's.
 *
 * Source: Dice and Kogan, "BRAVO: Biased Locking for Reader-Writer Locks", USENIX ATC 2019.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "env.h"
#include "error.h"
#include "locks/lock.h"
#include "shim/mark.h"
#include "thread.h"

enum { WORDS = 4096, SPIN_TURNS = 1000, NAP_NS = 50000, QUIET = 9 };

struct bravo {
	uint32_t bias;
	uint64_t quiet_until_ns; /* under the inner lock, exclusive, or as good as any value */
	const struct clv_lock_type *type;
	void *inner;
	uintptr_t *table; /* [WORDS] */
};

/* The environment's table. Returns: NULL, no memory. */
static uintptr_t *find_table(struct cleave_env *env)
{
	/* Acquire: partner is the release of whoever made it. */
	uintptr_t *table = __atomic_load_n(&env->visible_readers, __ATOMIC_ACQUIRE);
	if (table)
		return table;
	uintptr_t *made = clv_alloc(CLV_VISIBLE_READERS_BYTES, CLV_CACHE_LINE, -1);
	if (!made)
		return NULL;
	clv_name(made, CLV_VISIBLE_READERS_BYTES, 0, "bravo's table", -1, NULL);
	if (__atomic_compare_exchange_n(&env->visible_readers, &table, made, false,
					__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return made;
	clv_free(made, CLV_VISIBLE_READERS_BYTES);
	return table;
}

_Static_assert(WORDS * sizeof(uintptr_t) == CLV_VISIBLE_READERS_BYTES, "the table's size");

/* `words`: those of its arguments that name it. */
static int find_inner(struct bravo *lock, const struct clv_lock_args *args, unsigned *words,
		      struct cleave_error *error)
{
	const char *name = args->count ? args->arg[0] : "rwsem";
	char longer[64];

	lock->type = NULL;
	*words = args->count ? 1 : 0;
	if (args->count > 1) { /* rwsem.numa */
		snprintf(longer, sizeof(longer), "%s.%s", name, args->arg[1]);
		lock->type = clv_lock_type_find(longer, strlen(longer));
	}
	if (lock->type)
		*words = 2;
	else
		lock->type = clv_lock_type_find(name, strlen(name));
	if (!lock->type)
		return clv_error(error, -EINVAL, "lock bravo: unknown lock '%s'", name);
	if (!lock->type->acquire_shared || !(lock->type->flags & CLV_LOCK_SLEEPS) ||
	    lock->type->flags & CLV_LOCK_HOST_ONLY)
		return clv_error(error, -EINVAL,
				 "lock bravo: '%s' is no sleeping reader-writer lock of the shim's",
				 name);
	if (args->count > *words && !lock->type->init)
		return clv_error(error, -EINVAL, "lock bravo: '%s' takes no argument, not '%s'",
				 lock->type->name, args->arg[*words]);
	return 0;
}

static int init(void *at, struct cleave_env *env, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	struct bravo *lock = at;
	struct clv_lock_args rest = { 0 };
	unsigned words;

	int code = find_inner(lock, args, &words, error);
	if (code)
		return code;
	rest.count = args->count - words;
	memcpy(rest.arg, args->arg + words, rest.count * sizeof(*rest.arg));
	lock->table = find_table(env);
	lock->inner = clv_alloc(lock->type->size_bytes, CLV_CACHE_LINE, -1);
	if (!lock->table || !lock->inner)
		code = clv_error(error, -ENOMEM, "lock bravo: out of memory");
	else if (lock->type->init)
		code = lock->type->init(lock->inner, env, &rest, error);
	if (code) {
		clv_free(lock->inner, lock->type->size_bytes);
		return code;
	}
	clv_name(lock->inner, lock->type->size_bytes, 0, lock->type->name, -1, lock->type->fields);
	return 0;
}

static void fini(void *at)
{
	struct bravo *lock = at;

	if (lock->type->fini)
		lock->type->fini(lock->inner);
	clv_free(lock->inner, lock->type->size_bytes);
}

static size_t memory(const void *at)
{
	const struct bravo *lock = at;
	size_t lines = (lock->type->size_bytes + CLV_CACHE_LINE - 1) / CLV_CACHE_LINE;

	return lines * CLV_CACHE_LINE + (lock->type->memory ? lock->type->memory(lock->inner) : 0);
}

/* ---- readers ---- */

static uintptr_t *word_of(const struct bravo *lock, const struct cleave_thread *thread)
{
	/* Fibonacci hashing; instances and handles are at least 64 bytes apart. */
	uint64_t mixed = (((uintptr_t)lock >> 6) + ((uintptr_t)thread >> 6) * 31) *
			 UINT64_C(0x9e3779b97f4a7c15);

	return &lock->table[mixed >> 52];
}

/* Returns: is it in? Then hold->state[0] is its word. */
static bool enter_by_table(struct bravo *lock, struct clv_hold *hold)
{
	uintptr_t *word = word_of(lock, hold->thread), none = 0;

	hold->state[0] = 0;
	/* Relaxed: looked at again below. */
	if (!__atomic_load_n(&lock->bias, __ATOMIC_RELAXED) ||
	    __atomic_load_n(word, __ATOMIC_RELAXED) ||
	    !__atomic_compare_exchange_n(word, &none, (uintptr_t)lock, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return false;
	/* Partner: revoke. And acquire: of set_bias, by a reader that had the inner lock. */
	if (__atomic_load_n(&lock->bias, __ATOMIC_SEQ_CST)) {
		hold->state[0] = (uintptr_t)word;
		return true;
	}
	__atomic_store_n(word, 0, __ATOMIC_RELEASE);
	return false;
}

/* pre: the inner lock is held shared, so that no writer is inside or revokes. */
static void set_bias(struct bravo *lock)
{
	if (!__atomic_load_n(&lock->bias, __ATOMIC_RELAXED) &&
	    clv_now_ns() >= __atomic_load_n(&lock->quiet_until_ns, __ATOMIC_RELAXED))
		__atomic_store_n(&lock->bias, 1, __ATOMIC_RELEASE);
}

static void acquire_shared(void *at, struct clv_hold *hold)
{
	struct bravo *lock = at;

	if (enter_by_table(lock, hold))
		return;
	lock->type->acquire_shared(lock->inner, hold);
	set_bias(lock);
}

static bool try_acquire_shared(void *at, struct clv_hold *hold)
{
	struct bravo *lock = at;

	if (enter_by_table(lock, hold))
		return true;
	if (!lock->type->try_acquire_shared || !lock->type->try_acquire_shared(lock->inner, hold))
		return false;
	set_bias(lock);
	return true;
}

/* What the inner lock keeps in the hold is no word's address. */
static bool is_word(const struct bravo *lock, uintptr_t state)
{
	return state >= (uintptr_t)lock->table && state < (uintptr_t)(lock->table + WORDS);
}

static void release_shared(void *at, struct clv_hold *hold)
{
	struct bravo *lock = at;

	/* Release: partner is the load in revoke. */
	if (is_word(lock, hold->state[0]))
		__atomic_store_n((uintptr_t *)hold->state[0], 0, __ATOMIC_RELEASE);
	else
		lock->type->release_shared(lock->inner, hold);
}

/* ---- writers, who hold the inner lock ---- */

static bool is_visible(const struct bravo *lock, const uintptr_t *word)
{
	/* Partners: the store that made it visible, or saw bias at 0; and of release_shared's. */
	return __atomic_load_n(word, __ATOMIC_SEQ_CST) == (uintptr_t)lock;
}

/* So that revocations that take as long as this one since began_ns are a tenth of the time. */
static void keep_quiet(struct bravo *lock, uint64_t began_ns)
{
	uint64_t ended_ns = clv_now_ns();

	__atomic_store_n(&lock->quiet_until_ns, ended_ns + QUIET * (ended_ns - began_ns),
			 __ATOMIC_RELAXED);
}

static void revoke(struct bravo *lock, struct cleave_thread *self)
{
	uint64_t began_ns = clv_now_ns();

	__atomic_store_n(&lock->bias, 0, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < WORDS; i++) {
		for (unsigned turn = 0; is_visible(lock, &lock->table[i]); turn++) {
			if (turn < SPIN_TURNS)
				clv_pause_bounded();
			else
				clv_park(self, NAP_NS);
		}
	}
	keep_quiet(lock, began_ns);
}

static void acquire(void *at, struct clv_hold *hold)
{
	struct bravo *lock = at;

	lock->type->acquire(lock->inner, hold);
	/* Relaxed: it is set under the inner lock alone. */
	if (__atomic_load_n(&lock->bias, __ATOMIC_RELAXED))
		revoke(lock, hold->thread);
}

static void release(void *at, struct clv_hold *hold)
{
	struct bravo *lock = at;

	lock->type->release(lock->inner, hold);
}

static bool try_acquire(void *at, struct clv_hold *hold)
{
	struct bravo *lock = at;

	if (!lock->type->try_acquire || !lock->type->try_acquire(lock->inner, hold))
		return false;
	if (!__atomic_load_n(&lock->bias, __ATOMIC_RELAXED))
		return true;
	uint64_t began_ns = clv_now_ns();
	__atomic_store_n(&lock->bias, 0, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < WORDS; i++) {
		if (is_visible(lock, &lock->table[i])) {
			/* Still inside by the table: the next writer has to look again. */
			__atomic_store_n(&lock->bias, 1, __ATOMIC_SEQ_CST);
			lock->type->release(lock->inner, hold);
			return false;
		}
	}
	keep_quiet(lock, began_ns);
	return true;
}

static const struct cleave_field fields[] = {
	{ offsetof(struct bravo, bias), "bias" },
	{ offsetof(struct bravo, quiet_until_ns), "quiet until" },
	{ offsetof(struct bravo, type), "constants" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_bravo = {
	.name = "bravo",
	.summary = "sleeping; bravo.LOCK: readers of LOCK come in by a table of visible readers, "
		   "writers revoke that",
	.source = "Dice and Kogan, USENIX ATC 2019",
	.flags = CLV_LOCK_SLEEPS,
	.size_bytes = sizeof(struct bravo),
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
