// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Epochs (lib/reclaim.c): who waits for whom, when deferred calls come, and that a structure whose
 * walks take no lock keeps the contract by them.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "lib/env.h"
#include "lib/reclaim.h"
#include "list_unlocked.h"
#include "suite.h"

static struct suite suite;

/* list_unlocked, but it does not say that it defers: wrong, and to be found out. */
static struct cleave_structure list_hasty;

static void set_up(void)
{
	suite = (struct suite) {
		.seed = 1,
		.threads = 4,
		.rounds = 20 * suite_scale(),
		.batches = 60 * suite_scale(),
	};
	cr_assert(suite_open(&suite));
	cr_assert_eq(cleave_register(&list_unlocked, NULL), 0);
	list_hasty = list_unlocked;
	list_hasty.name = "list_hasty";
	list_hasty.flags &= ~(unsigned)CLEAVE_DEFERS;
	cr_assert_eq(cleave_register(&list_hasty, NULL), 0);
}

static void tear_down(void)
{
	suite_close(&suite);
}

TestSuite(reclaim, .timeout = 6000, .init = set_up, .fini = tear_down);

static bool report(const struct outcome *outcome, void *arg)
{
	(void)arg;
	cr_expect(outcome->passed, "%s", outcome->why);
	return true;
}

static void expect_contract(const char *design)
{
	unsigned ran;

	cr_expect_eq(suite_run(&suite, design, NULL, &ran, report, NULL), 0);
	cr_expect_gt(ran, 20);
}

Test(reclaim, list_keeps_the_contract)
{
	expect_contract("list_unlocked/one:rwsem");
	expect_contract("list_unlocked@cpu1/each:pthread_rwlock");
	expect_contract("list_unlocked@hash4/each.handover:rwsem");
}

/* The contract's own control: without waiting, walkers meet entries that are freed already. */
Test(reclaim, hasty_list_is_caught)
{
	struct outcome outcome = { .passed = true };

	for (suite.seed = 1; suite.seed <= 20 && outcome.passed; suite.seed++)
		suite_scenario(&suite, "list_hasty/one:rwsem", clv_scenario_find("poison"),
			       &outcome);
	cr_assert_not(outcome.passed, "freeing at once goes unnoticed");
	cr_assert(strstr(outcome.why, "freed"), "%s", outcome.why);
}

/* ---- the calls by themselves ---- */

struct rider {
	struct cleave_thread *thread;
	uint32_t inside, leave, done;
};

static void wait_for(struct cleave_thread *thread, const uint32_t *word)
{
	while (!__atomic_load_n(word, __ATOMIC_SEQ_CST))
		clv_park(thread, 100000);
}

static void *ride(void *arg)
{
	struct rider *rider = arg;

	clv_epoch_enter(rider->thread);
	clv_epoch_enter(rider->thread);
	__atomic_store_n(&rider->inside, 1, __ATOMIC_SEQ_CST);
	wait_for(rider->thread, &rider->leave);
	clv_epoch_exit(rider->thread);
	/* Inside still: it nests. */
	for (unsigned i = 0; i < 20; i++)
		clv_park(rider->thread, 100000);
	__atomic_store_n(&rider->done, 1, __ATOMIC_SEQ_CST);
	clv_epoch_exit(rider->thread);
	return NULL;
}

static struct cleave_thread *begin(void)
{
	struct cleave_thread *thread;

	cr_assert_eq(cleave_thread_begin(&thread, suite.env, 0), 0);
	return thread;
}

static struct cleave_map *open_map(const char *design)
{
	struct cleave_map *map;

	cr_assert_eq(cleave_open(&map, suite.env, design, NULL), 0);
	return map;
}

/* Who is told to leave does; synchronize has not returned before. */
static void *synchronize(void *arg)
{
	struct rider *rider = arg;
	struct cleave_thread *thread = begin();
	struct cleave_map *map = open_map("list_unlocked/one:rwsem");

	cleave_synchronize(map, thread);
	uint32_t done = __atomic_load_n(&rider->done, __ATOMIC_SEQ_CST);
	cleave_close(map);
	cleave_thread_end(thread);
	return done ? rider : NULL;
}

Test(reclaim, synchronize_waits_for_who_is_inside)
{
	struct rider rider = { .thread = begin() };
	struct cleave_thread *self = begin();
	pthread_t riding, waiting;
	void *returned;

	cr_assert_eq(pthread_create(&riding, NULL, ride, &rider), 0);
	wait_for(self, &rider.inside);
	cr_assert_eq(pthread_create(&waiting, NULL, synchronize, &rider), 0);
	for (unsigned i = 0; i < 20; i++)
		clv_park(self, 100000);
	__atomic_store_n(&rider.leave, 1, __ATOMIC_SEQ_CST);
	pthread_join(waiting, &returned);
	pthread_join(riding, NULL);
	cr_assert_not_null(returned, "synchronize returned with a reader inside");
	cleave_thread_end(rider.thread);
	cleave_thread_end(self);
}

struct item {
	struct cleave_deferred deferred;
	unsigned calls;
	const bool *reader_inside;
	bool early;
};

static void call(struct cleave_deferred *deferred)
{
	struct item *item = cleave_container_of(deferred, struct item, deferred);

	item->calls++;
	item->early |= item->reader_inside && *item->reader_inside;
}

/* With a reader inside none is called, however many there are; when it has left all are, once. */
Test(reclaim, calls_wait_for_readers)
{
	enum { ITEMS = 500 };
	static struct item items[ITEMS];
	struct cleave_map *map = open_map("list_unlocked/one:rwsem");
	struct cleave_thread *reader = begin(), *writer = begin();
	bool inside = true;
	unsigned called = 0;

	clv_epoch_enter(reader);
	for (unsigned i = 0; i < ITEMS; i++) {
		items[i].reader_inside = &inside;
		cleave_defer(map, writer, &items[i].deferred, call);
	}
	for (unsigned i = 0; i < ITEMS; i++)
		called += items[i].calls;
	cr_expect_eq(called, 0, "%u calls with a reader inside", called);
	inside = false;
	clv_epoch_exit(reader);
	cleave_thread_end(writer);
	for (unsigned i = 0; i < ITEMS; i++) {
		cr_expect_eq(items[i].calls, 1, "item %u was called %u times", i, items[i].calls);
		cr_expect_not(items[i].early);
	}
	cleave_thread_end(reader);
	cleave_close(map);
}

static unsigned defer(struct cleave_map *map, struct cleave_thread *thread, struct item *items,
		      unsigned count)
{
	unsigned called = 0;

	for (unsigned i = 0; i < count; i++)
		cleave_defer(map, thread, &items[i].deferred, call);
	for (unsigned i = 0; i < count; i++)
		called += items[i].calls;
	return called;
}

/* Who finds somebody scanning goes by what was found before: that and no more. */
Test(reclaim, calls_go_by_what_another_found)
{
	enum { TRY = 64 };
	static struct item of_one[TRY], of_other[2][TRY], more[TRY];
	struct cleave_map *map = open_map("list_unlocked/one:rwsem");
	struct cleave_thread *reader = begin(), *one = begin(), *other = begin();

	clv_epoch_enter(reader);
	cr_expect_eq(defer(map, one, of_one, TRY - 1), 0, "none is tried");
	cr_expect_eq(defer(map, other, of_other[0], TRY), 0, "a reader is inside");
	cr_expect_eq(suite.env->safe, reader->epoch.active);
	suite.env->scanning = 1;
	cr_expect_eq(defer(map, one, of_one + TRY - 1, 1) + of_one[0].calls, 0,
		     "the reader entered at the epoch that these were removed at");
	suite.env->scanning = 0;
	clv_epoch_exit(reader);
	cr_expect_eq(defer(map, other, of_other[1], TRY), TRY);
	suite.env->scanning = 1;
	defer(map, one, more, TRY);
	cr_expect_eq(of_one[0].calls, 1, "the other has seen that the reader left");
	suite.env->scanning = 0;
	cleave_thread_end(one);
	cleave_thread_end(other);
	cleave_thread_end(reader);
	cleave_close(map);
}

/* Without readers they come while the thread goes on: garbage does not pile up until its end. */
Test(reclaim, calls_come_on_the_way)
{
	enum { ITEMS = 1000 };
	static struct item items[ITEMS];
	struct cleave_map *map = open_map("list_unlocked/one:rwsem");
	struct cleave_thread *writer = begin();
	unsigned called = 0;

	for (unsigned i = 0; i < ITEMS; i++)
		cleave_defer(map, writer, &items[i].deferred, call);
	for (unsigned i = 0; i < ITEMS; i++)
		called += items[i].calls;
	cr_expect_gt(called, ITEMS / 2);
	cleave_thread_end(writer);
	cleave_close(map);
}

/* A design that does not defer answers at once. */
Test(reclaim, nothing_to_wait_for)
{
	struct cleave_map *map = open_map("rb_interval/one:rwsem");
	struct cleave_thread *reader = begin(), *writer = begin();
	struct item item = { .calls = 0 };

	clv_epoch_enter(reader);
	cleave_synchronize(map, writer);
	cleave_defer(map, writer, &item.deferred, call);
	cr_expect_eq(item.calls, 1);
	clv_epoch_exit(reader);
	cleave_thread_end(writer);
	cleave_thread_end(reader);
	cleave_close(map);
}

struct again {
	struct cleave_deferred deferred;
	struct cleave_map *map;
	struct cleave_thread *thread;
	unsigned left;
};

static void defer_again(struct cleave_deferred *deferred)
{
	struct again *again = cleave_container_of(deferred, struct again, deferred);

	if (again->left && again->left--)
		cleave_defer(again->map, again->thread, &again->deferred, defer_again);
}

/* What a call defers is called too, before the thread has ended. */
Test(reclaim, calls_may_defer)
{
	struct again again = { .map = open_map("list_unlocked/one:rwsem"), .left = 5 };

	again.thread = begin();
	cleave_defer(again.map, again.thread, &again.deferred, defer_again);
	cleave_thread_end(again.thread);
	cr_expect_eq(again.left, 0);
	cleave_close(again.map);
}

/* Entries are freed for real by several threads, while others walk: for the address sanitizer. */
struct crew {
	struct cleave_map *map;
	unsigned i;
};

struct freed {
	struct cleave_interval interval;
	struct cleave_deferred deferred;
};

static void free_entry(struct cleave_deferred *deferred)
{
	struct freed *freed = cleave_container_of(deferred, struct freed, deferred);

	clv_free(freed, sizeof(*freed));
}

static int look(struct cleave_entry *entry, void *arg)
{
	uint64_t start, last;

	cleave_bounds(arg, entry, &start, &last);
	return start > last;
}

static void *work(void *arg)
{
	struct crew *crew = arg;
	struct cleave_thread *thread = begin();
	uintptr_t bad = 0;

	for (unsigned k = 0; k < 1500 * suite_scale(); k++) {
		struct freed *freed;

		if (crew->i % 2) {
			bad |= cleave_walk(crew->map, thread, 0, 100, 0, look, crew->map) != 0;
			continue;
		}
		freed = clv_alloc(sizeof(*freed), 64, -1);
		bad |= !freed ||
		       cleave_insert(crew->map, thread, &freed->interval.entry, k % 90, 95);
		bad |= cleave_remove(crew->map, thread, &freed->interval.entry) != 0;
		if (k % 16) {
			cleave_defer(crew->map, thread, &freed->deferred, free_entry);
		} else {
			cleave_synchronize(crew->map, thread);
			clv_free(freed, sizeof(*freed));
		}
	}
	cleave_thread_end(thread);
	return (void *)bad;
}

Test(reclaim, entries_are_freed_under_walkers)
{
	struct crew crew[4];
	pthread_t threads[4];
	struct cleave_map *map = open_map("list_unlocked@cpu1/each:rwsem");

	for (unsigned i = 0; i < 4; i++) {
		crew[i] = (struct crew) { map, i };
		cr_assert_eq(pthread_create(&threads[i], NULL, work, &crew[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		void *bad;

		pthread_join(threads[i], &bad);
		cr_expect_null(bad);
	}
	cr_expect(cleave_empty(map));
	cleave_close(map);
}
