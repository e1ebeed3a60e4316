// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The registry of locks, and the rules that each lock in it keeps: what excludes what, tries, many
 * holds of one thread, and that who waits gets it after the release.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cleave/cleave.h>

#include "locks/lock.h"

static struct cleave_env *env;
static struct cleave_thread *self;

static void open_env(void)
{
	cr_assert_eq(cleave_env_open(&env, NULL, NULL), 0);
	cr_assert_eq(cleave_thread_begin(&self, env, -1), 0);
}

static void close_env(void)
{
	cleave_thread_end(self);
	cleave_env_close(env);
}

static void *make_lock(const struct clv_lock_type *type)
{
	static const struct clv_lock_args no_args;
	struct cleave_error error = { "" };
	void *lock = clv_alloc(type->size_bytes, CLV_CACHE_LINE, -1);

	cr_assert_not_null(lock, "%s", type->name);
	if (type->init)
		cr_assert_eq(type->init(lock, env, &no_args, &error), 0, "%s: %s", type->name,
			     error.text);
	return lock;
}

static void free_lock(const struct clv_lock_type *type, void *lock)
{
	if (type->fini)
		type->fini(lock);
	clv_free(lock, type->size_bytes);
}

static const struct clv_lock_type *find(const char *name)
{
	return clv_lock_type_find(name, strlen(name));
}

/* ---- the registry ---- */

Test(lock_registry, has_each_lock_under_its_name)
{
	static const char *const names[] = {
		"none", "pthread_mutex", "pthread_rwlock", "mutex", "ticket", "mcs", "clh",
		"ck_rwlock", "pflock", "rwsem", "rwsem.numa", "percpu", "brlock", "bravo", "tflock",
		"cna", "cohort", "rwcohort",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		cr_assert_not_null(find(names[i]), "%s", names[i]);
		cr_assert_str_eq(find(names[i])->name, names[i]);
	}
	unsigned count = 0;
	for (const struct clv_lock_type *type; (type = clv_lock_type_at(count)); count++)
		cr_assert_eq(find(type->name), type, "%s is there twice", type->name);
	cr_assert_geq(count, sizeof(names) / sizeof(*names));
	cr_assert_null(clv_lock_type_at(count + 1));
	cr_assert_null(clv_lock_type_at(~0u));
}

Test(lock_registry, knows_no_other_name)
{
	cr_assert_null(find("nosuch"));
	cr_assert_null(find(""));
	cr_assert_null(find("mute"));
	cr_assert_null(find("mutexx"));
	cr_assert_not_null(clv_lock_type_find("mutex.arg", 5));
	cr_assert_null(clv_lock_type_find("mutex.arg", 6));
}

Test(lock_registry, takes_more_until_it_is_full)
{
	enum { ROOM = 64 };
	static struct clv_lock_type types[ROOM + 1];
	static char names[ROOM + 1][16];
	unsigned before = 0;

	while (clv_lock_type_at(before))
		before++;
	cr_assert_eq(clv_lock_type_add(find("mutex")), -EEXIST);
	for (unsigned i = 0; i <= ROOM; i++) {
		types[i] = *find("mutex");
		snprintf(names[i], sizeof(names[i]), "added_%u", i);
		types[i].name = names[i];
		cr_assert_eq(clv_lock_type_add(&types[i]), i < ROOM ? 0 : -ENOSPC, "%s", names[i]);
	}
	cr_assert_eq(find("added_0"), &types[0]);
	cr_assert_eq(clv_lock_type_at(before + ROOM - 1), &types[ROOM - 1]);
	cr_assert_null(clv_lock_type_at(before + ROOM));
	cr_assert_null(find(names[ROOM]));
	cr_assert_eq(clv_lock_type_add(&types[0]), -EEXIST);
}

TestSuite(locks, .init = open_env, .fini = close_env, .timeout = 120);

Test(locks, describe_themselves)
{
	const struct clv_lock_type *type;

	for (unsigned i = 0; (type = clv_lock_type_at(i)); i++) {
		cr_assert(type->summary && type->summary[0], "%s", type->name);
		cr_assert(type->source && type->source[0], "%s", type->name);
		cr_assert_gt(type->size_bytes, 0, "%s", type->name);
		cr_assert(type->acquire && type->release, "%s", type->name);
		cr_assert_eq(!type->acquire_shared, !type->release_shared, "%s", type->name);
		cr_assert(type->acquire_shared || !type->try_acquire_shared, "%s", type->name);
		bool spins = type->flags & CLV_LOCK_SPINS, sleeps = type->flags & CLV_LOCK_SLEEPS;
		if (type->flags & CLV_LOCK_ONE_THREAD)
			cr_assert(!spins && !sleeps, "%s", type->name);
		else
			cr_assert(spins != sleeps, "%s: spins or sleeps", type->name);
	}
}

/* In the order of their offsets, within the instance, from its start. */
Test(locks, have_fields_in_order)
{
	const struct clv_lock_type *type;
	unsigned tables = 0;
	for (unsigned i = 0; (type = clv_lock_type_at(i)); i++) {
		if (!type->fields)
			continue;
		cr_assert_eq(type->fields[0].offset, 0, "%s", type->name);
		for (const struct cleave_field *field = type->fields; field->name; field++) {
			cr_assert_lt(field->offset, type->size_bytes, "%s", type->name);
			cr_assert(field == type->fields || field->offset > field[-1].offset,
				  "%s: %s", type->name, field->name);
		}
		tables++;
	}
	cr_assert_eq(tables, 16, "all but those of pthread, of which the words are not known");
}

Test(locks, have_the_size_their_files_say)
{
	cr_assert_eq(find("none")->size_bytes, 4);
	cr_assert_eq(find("mcs")->size_bytes, sizeof(void *));
	cr_assert_eq(find("clh")->size_bytes, sizeof(void *));
	cr_assert_eq(find("mutex")->size_bytes, 3 * sizeof(void *));
	cr_assert_eq(find("ck_rwlock")->size_bytes, 8);
	cr_assert_eq(find("pflock")->size_bytes, 16);
	cr_assert_eq(find("tflock")->size_bytes, 8);
	cr_assert_eq(find("cna")->size_bytes, 2 * sizeof(void *));
	cr_assert_eq(find("pthread_mutex")->size_bytes, sizeof(pthread_mutex_t));
	cr_assert_eq(find("pthread_rwlock")->size_bytes, sizeof(pthread_rwlock_t));
#ifdef __x86_64__
	cr_assert_eq(find("ticket")->size_bytes, 4);
	cr_assert_eq(sizeof(pthread_mutex_t), 40);
	cr_assert_eq(sizeof(pthread_rwlock_t), 56);
#endif
}

Test(locks, have_tries_where_their_files_say)
{
	static const struct {
		const char *name;
		bool shared, try, try_shared;
	} has[] = {
		{ "none", true, true, true },
		{ "pthread_mutex", false, true, false },
		{ "pthread_rwlock", true, true, true },
		{ "mutex", false, true, false },
#ifdef __x86_64__
		{ "ticket", false, true, false },
#endif
		{ "mcs", false, true, false },
		{ "clh", false, false, false },
		{ "ck_rwlock", true, true, true },
		{ "pflock", true, false, true },
		{ "rwsem", true, true, true },
		{ "rwsem.numa", true, true, true },
		{ "percpu", true, true, true },
		{ "brlock", true, true, true },
		{ "bravo", true, true, true },
		{ "tflock", true, false, false },
		{ "cna", false, true, false },
		{ "cohort", false, true, false },
		{ "rwcohort", true, true, true },
	};

	for (unsigned i = 0; i < sizeof(has) / sizeof(*has); i++) {
		const struct clv_lock_type *type = find(has[i].name);
		cr_assert_eq(type->acquire_shared != NULL, has[i].shared, "%s", has[i].name);
		cr_assert_eq(type->try_acquire != NULL, has[i].try, "%s", has[i].name);
		cr_assert_eq(type->try_acquire_shared != NULL, has[i].try_shared, "%s",
			     has[i].name);
	}
}

Test(locks, of_pthread_refuse_arguments)
{
	static const char *const names[] = { "pthread_mutex", "pthread_rwlock" };
	const struct clv_lock_args args = { .count = 1, .arg = { "sideways" } };

	for (unsigned i = 0; i < 2; i++) {
		const struct clv_lock_type *type = find(names[i]);
		_Alignas(CLV_CACHE_LINE) unsigned char lock[CLV_CACHE_LINE] = { 0 };
		struct cleave_error error = { "" };

		cr_assert_leq(type->size_bytes, sizeof(lock));
		cr_assert_eq(type->init(lock, env, &args, &error), -EINVAL);
		cr_assert_not_null(strstr(error.text, names[i]), "%s", error.text);
		cr_assert_not_null(strstr(error.text, "sideways"), "%s", error.text);
	}
}

/* ---- one thread ---- */

Test(locks, exclusive_excludes_tries)
{
	const struct clv_lock_type *type;

	for (unsigned i = 0; (type = clv_lock_type_at(i)); i++) {
		struct clv_hold hold = { .thread = self }, other = { .thread = self };
		void *lock = make_lock(type);

		/* Twice: the second finds what the first left behind. */
		for (unsigned again = 0; again < 2; again++) {
			type->acquire(lock, &hold);
			if (!(type->flags & CLV_LOCK_ONE_THREAD)) {
				cr_assert(!type->try_acquire || !type->try_acquire(lock, &other),
					  "%s", type->name);
				cr_assert(!type->try_acquire_shared ||
					  !type->try_acquire_shared(lock, &other), "%s",
					  type->name);
			}
			type->release(lock, &hold);
			if (type->try_acquire) {
				cr_assert(type->try_acquire(lock, &other), "%s", type->name);
				cr_assert(type->flags & CLV_LOCK_ONE_THREAD ||
					  !type->try_acquire(lock, &hold), "%s", type->name);
				type->release(lock, &other);
			}
		}
		free_lock(type, lock);
	}
}

Test(locks, shared_goes_with_shared_alone)
{
	const struct clv_lock_type *type;

	for (unsigned i = 0; (type = clv_lock_type_at(i)); i++) {
		struct clv_hold first = { .thread = self }, second = first, third = first;
		if (!type->acquire_shared)
			continue;
		void *lock = make_lock(type);

		for (unsigned again = 0; again < 2; again++) {
			type->acquire_shared(lock, &first);
			type->acquire_shared(lock, &second);
			if (!(type->flags & CLV_LOCK_ONE_THREAD))
				cr_assert(!type->try_acquire || !type->try_acquire(lock, &third),
					  "%s", type->name);
			if (type->try_acquire_shared) {
				cr_assert(type->try_acquire_shared(lock, &third), "%s", type->name);
				type->release_shared(lock, &third);
			}
			type->release_shared(lock, &first);
			if (!(type->flags & CLV_LOCK_ONE_THREAD))
				cr_assert(!type->try_acquire || !type->try_acquire(lock, &third),
					  "%s", type->name);
			type->release_shared(lock, &second);
			type->acquire(lock, &third);
			type->release(lock, &third);
		}
		free_lock(type, lock);
	}
}

/* A writer that looked at the whole table earns a rest from it, also if it only tried. */
Test(locks, of_bravo_stay_unbiased_after_a_revocation)
{
	const struct clv_lock_type *type = find("bravo");
	struct clv_hold hold = { .thread = self };
	const uint32_t *bias = make_lock(type);
	void *lock = (void *)(uintptr_t)bias;
	unsigned again = 0;

	/* A rest of 9 times the table's look must not be over by the next line: not every time. */
	for (unsigned i = 0; i < 100; i++) {
		while (!*bias) {
			type->acquire_shared(lock, &hold);
			type->release_shared(lock, &hold);
		}
		cr_assert(type->try_acquire(lock, &hold));
		type->release(lock, &hold);
		type->acquire_shared(lock, &hold);
		again += *bias;
		type->release_shared(lock, &hold);
	}
	cr_assert_lt(again, 50, "%u of 100", again);
	free_lock(type, lock);
}

/* The state of a hold is the hold's: many locks of every kind at once, let go in any order. */
Test(locks, one_thread_holds_many)
{
	enum { MANY = 8 };
	const struct clv_lock_type *type;
	unsigned taken = 0, total = 0;

	while (clv_lock_type_at(total))
		total++;
	struct clv_hold *holds = clv_alloc(total * MANY * sizeof(*holds), CLV_CACHE_LINE, -1);
	void **locks = calloc(total * MANY, sizeof(*locks));
	for (unsigned i = 0; (type = clv_lock_type_at(i)); i++) {
		for (unsigned j = 0; j < MANY; j++, taken++) {
			locks[taken] = make_lock(type);
			holds[taken].thread = self;
			type->acquire(locks[taken], &holds[taken]);
		}
	}
	/* 7 shares no factor with a count that is a multiple of MANY unless 7 divides the total. */
	unsigned step = total % 7 ? 7 : 11;
	for (unsigned i = 0, at = 0; i < taken; i++, at = (at + step) % taken) {
		type = clv_lock_type_at(at / MANY);
		struct clv_hold probe = { .thread = self };
		cr_assert_not_null(locks[at], "let go twice");
		cr_assert(type->flags & CLV_LOCK_ONE_THREAD || !type->try_acquire ||
			  !type->try_acquire(locks[at], &probe), "%s", type->name);
		type->release(locks[at], &holds[at]);
		if (type->try_acquire) {
			cr_assert(type->try_acquire(locks[at], &probe), "%s", type->name);
			type->release(locks[at], &probe);
		}
		free_lock(type, locks[at]);
		locks[at] = NULL;
	}
	free(locks);
	clv_free(holds, total * MANY * sizeof(*holds));
}

#ifndef NDEBUG
Test(locks, none_notices_two_inside, .signal = SIGABRT)
{
	struct clv_hold hold = { .thread = self };
	void *lock = make_lock(find("none"));

	find("none")->acquire_shared(lock, &hold);
	find("none")->acquire(lock, &hold);
}
#endif

/* ---- two threads ---- */

struct meeting {
	const struct clv_lock_type *type;
	void *lock;
	bool shared;
	uint32_t asks;
	bool let_go; /* plain: the lock orders it */
	bool saw_let_go;
};

static void take(const struct clv_lock_type *type, void *lock, struct clv_hold *hold, bool shared)
{
	(shared ? type->acquire_shared : type->acquire)(lock, hold);
}

static void let_go(const struct clv_lock_type *type, void *lock, struct clv_hold *hold, bool shared)
{
	(shared ? type->release_shared : type->release)(lock, hold);
}

static void *come_second(void *arg)
{
	struct meeting *meeting = arg;
	struct clv_hold hold = { 0 };

	if (cleave_thread_begin(&hold.thread, env, -1))
		return NULL;
	__atomic_store_n(&meeting->asks, 1, __ATOMIC_RELEASE);
	take(meeting->type, meeting->lock, &hold, meeting->shared);
	meeting->saw_let_go = meeting->let_go;
	let_go(meeting->type, meeting->lock, &hold, meeting->shared);
	cleave_thread_end(hold.thread);
	return meeting;
}

static void meet(const struct clv_lock_type *type, bool first_shared, bool second_shared)
{
	struct meeting meeting = { .type = type, .lock = make_lock(type), .shared = second_shared };
	struct clv_hold hold = { .thread = self };
	pthread_t id;
	void *came;

	take(type, meeting.lock, &hold, first_shared);
	cr_assert_eq(pthread_create(&id, NULL, come_second, &meeting), 0);
	while (!__atomic_load_n(&meeting.asks, __ATOMIC_ACQUIRE))
		sched_yield();
	/* Room for it to come in wrongly, and to go to sleep rightly. */
	clv_park(self, 2000000);
	meeting.let_go = true;
	let_go(type, meeting.lock, &hold, first_shared);
	pthread_join(id, &came);
	cr_assert_not_null(came, "no thread handle");
	cr_assert(meeting.saw_let_go, "%s: %s entered beside %s", type->name,
		  second_shared ? "shared" : "exclusive", first_shared ? "shared" : "exclusive");
	free_lock(type, meeting.lock);
}

Test(locks, who_waits_comes_after_the_release)
{
	const struct clv_lock_type *type;

	for (unsigned i = 0; (type = clv_lock_type_at(i)); i++) {
		if (type->flags & CLV_LOCK_ONE_THREAD)
			continue;
		meet(type, false, false);
		if (type->acquire_shared) {
			meet(type, false, true);
			meet(type, true, false);
		}
	}
}

struct reader {
	const struct clv_lock_type *type;
	void *lock;
};

static void *read_once(void *arg)
{
	struct reader *reader = arg;
	struct clv_hold hold = { 0 };

	if (cleave_thread_begin(&hold.thread, env, -1))
		return NULL;
	reader->type->acquire_shared(reader->lock, &hold);
	reader->type->release_shared(reader->lock, &hold);
	cleave_thread_end(hold.thread);
	return reader;
}

/* With no writer about, a reader does not wait for another: else this does not end. */
Test(locks, readers_do_not_wait_for_readers)
{
	const struct clv_lock_type *type;

	for (unsigned i = 0; (type = clv_lock_type_at(i)); i++) {
		struct clv_hold hold = { .thread = self };
		pthread_t id;
		void *came;
		if (!type->acquire_shared || type->flags & CLV_LOCK_ONE_THREAD)
			continue;
		struct reader reader = { type, make_lock(type) };

		type->acquire_shared(reader.lock, &hold);
		cr_assert_eq(pthread_create(&id, NULL, read_once, &reader), 0);
		pthread_join(id, &came);
		cr_assert_not_null(came, "no thread handle");
		type->release_shared(reader.lock, &hold);
		free_lock(type, reader.lock);
	}
}
