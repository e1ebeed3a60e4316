// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The dispatch by itself: timing that starts and ends inside holds, batches through holds, entries of
 * another environment, deferral from inside a deferred call, tables of fields. What every design
 * must do is in tests/model.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include <cleave/structure.h>

#include "lib/reclaim.h"
#include "shim/shim.h"

static struct cleave_env *env;
static struct cleave_thread *thread;

static void set_up(void)
{
	const struct cleave_env_options four = { .topology = "numa:2 core:2 pu:1" };
	cr_assert_eq(cleave_env_open(&env, &four, NULL), 0);
	cr_assert_eq(cleave_thread_begin(&thread, env, 0), 0);
}

static void tear_down(void)
{
	cleave_thread_end(thread);
	cleave_env_close(env);
}

TestSuite(map, .init = set_up, .fini = tear_down);

static struct cleave_map *open_map(struct cleave_env *in, const char *design)
{
	struct cleave_map *map;
	struct cleave_error error = { "" };
	cr_assert_eq(cleave_open(&map, in, design, &error), 0, "%s", error.text);
	return map;
}

static struct cleave_hold *hold(struct cleave_map *map, enum cleave_hold_mode mode)
{
	struct cleave_hold *taken;
	cr_assert_eq(cleave_hold_begin(map, thread, mode, 0, &taken), 0);
	return taken;
}

enum { NAP_NS = 2000000 };

static void nap(void)
{
	uint64_t until_ns = clv_now_ns() + NAP_NS;
	while (clv_now_ns() < until_ns)
		clv_pause();
}

/* A nap of at least NAP_NS inside the hold shows in hold_ns, whatever was measured before. */
static void expect_nap_is_seen(struct cleave_map *map)
{
	struct cleave_times times = { 0, 0, 0 };
	cleave_thread_time(thread, &times);
	struct cleave_hold *taken = hold(map, CLEAVE_SHARED);
	nap();
	cleave_hold_end(taken);
	cleave_thread_time(thread, NULL);
	cr_expect_eq(times.acquired, 1);
	cr_expect_geq(times.hold_ns, NAP_NS);
}

Test(map, timing_that_ends_inside_a_hold)
{
	struct cleave_map *map = open_map(env, "rb_interval/one:rwsem");
	struct cleave_times times = { 0, 0, 0 };
	cleave_thread_time(thread, &times);
	struct cleave_hold *taken = hold(map, CLEAVE_SHARED);
	cleave_thread_time(thread, NULL);
	cleave_hold_end(taken);
	cr_expect_eq(times.hold_ns, 0);
	expect_nap_is_seen(map);
	cleave_close(map);
}

Test(map, timing_that_begins_inside_a_hold)
{
	struct cleave_map *a = open_map(env, "rb_interval/one:rwsem");
	struct cleave_map *b = open_map(env, "rb_interval/one:rwsem");
	struct cleave_times times = { 0, 0, 0 };
	struct cleave_hold *untimed = hold(a, CLEAVE_SHARED);
	cleave_thread_time(thread, &times);
	struct cleave_hold *timed = hold(b, CLEAVE_SHARED);
	cleave_hold_end(untimed);
	nap();
	cleave_hold_end(timed);
	cleave_thread_time(thread, NULL);
	cr_expect_eq(times.acquired, 1);
	cr_expect_geq(times.hold_ns, NAP_NS);
	cleave_close(a);
	cleave_close(b);
}

struct updater {
	struct cleave_map *map;
	struct cleave_thread *thread;
	struct cleave_times times;
	_Alignas(64) struct cleave_interval interval;
	pthread_t id;
	uint32_t begun;
};

static void *update_timed(void *arg)
{
	struct updater *updater = arg;
	cleave_thread_time(updater->thread, &updater->times);
	__atomic_store_n(&updater->begun, 1, __ATOMIC_RELEASE);
	cleave_insert(updater->map, updater->thread, &updater->interval.entry, 1, 2);
	cleave_thread_time(updater->thread, NULL);
	return NULL;
}

/* Whatever it is that an update waits for, it is counted. */
static void expect_waits_are_counted(const char *design)
{
	static struct updater updater[2];
	struct cleave_map *map = open_map(env, design);
	struct cleave_hold *taken = hold(map, CLEAVE_SHARED);

	for (int i = 0; i < 2; i++) {
		updater[i] = (struct updater){ .map = map };
		cr_assert_eq(cleave_thread_begin(&updater[i].thread, env, i), 0);
		cr_assert_eq(pthread_create(&updater[i].id, NULL, update_timed, &updater[i]), 0);
	}
	for (int i = 0; i < 2; i++) {
		while (!__atomic_load_n(&updater[i].begun, __ATOMIC_ACQUIRE))
			nap();
	}
	/* Who waits for the map's lock sleeps at last. */
	while (clv_is_running(updater[0].thread) && clv_is_running(updater[1].thread))
		nap();
	nap();
	cleave_hold_end(taken);
	for (int i = 0; i < 2; i++) {
		pthread_join(updater[i].id, NULL);
		cr_expect_geq(updater[i].times.acquired, 1, "%s", design);
	}
	cr_expect(updater[0].times.wait_ns >= NAP_NS || updater[1].times.wait_ns >= NAP_NS, "%s",
		  design);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(cleave_remove(map, thread, &updater[i].interval.entry), 0);
		cleave_thread_end(updater[i].thread);
	}
	cleave_close(map);
}

Test(map, timing_of_what_a_scheme_waits_for, .timeout = 60)
{
	expect_waits_are_counted("rb_interval/one:rwsem");
	expect_waits_are_counted("rb_interval@cpu2/each:rwsem");
	expect_waits_are_counted("rb_interval@cpu2/outer:rwsem");
	expect_waits_are_counted("rb_interval@cpu2/group:rwsem+mutex");
	expect_waits_are_counted("rb_interval@cpu2/group_stays:rwsem+mutex");
	expect_waits_are_counted("rb_interval@cpu2/combine:rwsem");
}

Test(map, a_prepared_batch_is_committed_under_a_hold)
{
	struct cleave_map *map = open_map(env, "rb_interval@cpu1/each:mutex");
	struct cleave_interval interval = { 0 };
	const struct cleave_op op = { CLEAVE_INSERT, &interval.entry, NULL, 3, 5 };
	struct cleave_batch batch = { .ops = &op, .count = 1 };

	cr_assert_eq(cleave_prepare(map, thread, &batch), 0);
	struct cleave_hold *shared = hold(map, CLEAVE_SHARED);
	cr_expect_eq(cleave_hold_commit(shared, &batch), -EPERM);
	cleave_hold_end(shared);
	cr_expect(cleave_empty(map));
	struct cleave_hold *exclusive = hold(map, CLEAVE_EXCLUSIVE);
	cr_expect_eq(cleave_hold_commit(exclusive, &batch), 0);
	cleave_hold_end(exclusive);
	cr_expect_not(cleave_empty(map));
	cr_expect_eq(cleave_remove(map, thread, &interval.entry), 0);
	cleave_close(map);
}

Test(map, an_entry_of_another_environment_is_refused)
{
	struct cleave_env *other_env;
	struct cleave_thread *other_thread;
	const struct cleave_env_options two = { .topology = "core:2 pu:1" };
	cr_assert_eq(cleave_env_open(&other_env, &two, NULL), 0);
	cr_assert_eq(cleave_thread_begin(&other_thread, other_env, 0), 0);
	struct cleave_map *map = open_map(env, "rb_interval/one:mcs");
	struct cleave_map *other = open_map(other_env, "rb_interval/one:mcs");
	struct cleave_interval interval = { 0 };

	cr_assert_eq(cleave_insert(map, thread, &interval.entry, 1, 2), 0);
	cr_expect_eq(cleave_remove(other, other_thread, &interval.entry), -ENOENT);
	cr_expect_eq(cleave_insert(other, other_thread, &interval.entry, 1, 2), -EEXIST);
	cr_expect_eq(cleave_remove(map, thread, &interval.entry), 0);
	cleave_close(map);
	cleave_close(other);
	cleave_thread_end(other_thread);
	cleave_env_close(other_env);
}

static int stop(struct cleave_entry *entry, void *arg)
{
	(void)entry, (void)arg;
	return 1;
}

Test(map, flags_that_do_not_exist_are_refused)
{
	struct cleave_map *map = open_map(env, "rb_interval/one:rwsem");
	struct cleave_hold *taken;
	cr_expect_eq(cleave_walk(map, thread, 0, 1, 0x80, stop, NULL), -EINVAL);
	cr_expect_eq(cleave_hold_begin(map, thread, CLEAVE_SHARED, 0x80, &taken), -EINVAL);
	cleave_close(map);
}

Test(map, an_entry_in_the_wrong_subset_is_not_valid)
{
	struct cleave_map *map = open_map(env, "rb_interval@cpu1/each:rwsem");
	struct cleave_interval interval = { 0 };
	struct cleave_error error = { "" };
	cr_assert_eq(cleave_insert(map, thread, &interval.entry, 1, 2), 0);
	cr_expect_eq(cleave_validate(map, &error), 0);
	interval.entry.subset = 3;
	cr_expect_eq(cleave_validate(map, &error), -EUCLEAN);
	cr_expect(strstr(error.text, "C7"), "%s", error.text);
	interval.entry.subset = 0;
	cr_expect_eq(cleave_remove(map, thread, &interval.entry), 0);
	cleave_close(map);
}

/* ---- deferral from inside a deferred call ---- */

static struct cleave_thread *reader;
static unsigned victims_called;

static void call_nothing(struct cleave_deferred *deferred)
{
	(void)deferred;
}

static void call_victim(struct cleave_deferred *deferred)
{
	(void)deferred;
	victims_called++;
}

static struct cleave_deferred victim;

/* The scan that led here found nobody inside; now there is somebody, and more is deferred. */
static void enter_and_defer(struct cleave_deferred *deferred)
{
	(void)deferred;
	clv_epoch_enter(reader);
	clv_epoch_defer(thread, &victim, call_victim);
}

Test(map, deferral_from_a_deferred_call_waits_for_new_readers)
{
	static struct cleave_deferred filler[1000];
	cr_assert_eq(cleave_thread_begin(&reader, env, 1), 0);
	clv_epoch_defer(thread, &filler[0], enter_and_defer);
	for (unsigned i = 1; i < 1000; i++)
		clv_epoch_defer(thread, &filler[i], call_nothing);
	cr_assert_neq(reader->epoch.active, 0, "the first call was not made");
	cr_expect_eq(victims_called, 0, "freed under a reader");
	clv_epoch_exit(reader);
	clv_epoch_drain(thread);
	cr_expect_eq(victims_called, 1);
	cleave_thread_end(reader);
}

/* In the order of their offsets, within the entry, from its start. */
Test(map, fields_of_entries_are_in_order)
{
	const struct cleave_structure *structure;
	for (unsigned i = 0; (structure = cleave_structure_at(i)); i++) {
		const struct cleave_field *first = structure->entry_fields;
		cr_assert_not_null(first, "%s", structure->name);
		cr_assert_eq(first->offset, 0, "%s", structure->name);
		for (const struct cleave_field *field = first; field->name; field++) {
			cr_assert_lt(field->offset, structure->entry_size_bytes, "%s",
				     structure->name);
			cr_assert(field == first || field->offset > field[-1].offset, "%s: %s",
				  structure->name, field->name);
		}
	}
}

#ifndef NDEBUG
/* What nothing but its owner's discipline keeps away: said in builds that assert. */
Test(map, an_entry_removed_behind_a_prepared_batch_is_noticed, .signal = SIGABRT)
{
	struct cleave_map *map = open_map(env, "brute_array/one:rwsem");
	static struct cleave_interval interval;
	const struct cleave_op op = { CLEAVE_REMOVE, &interval.entry, NULL, 0, 0 };
	struct cleave_batch batch = { .ops = &op, .count = 1 };
	cr_assert_eq(cleave_insert(map, thread, &interval.entry, 1, 2), 0);
	cr_assert_eq(cleave_prepare(map, thread, &batch), 0);
	cr_assert_eq(cleave_remove(map, thread, &interval.entry), 0);
	cleave_commit(map, thread, &batch);
}
#endif
