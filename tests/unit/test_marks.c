// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What a map's locks tell a simulated machine: lib/map_lock.c and lib/map.h compiled for one, on a
 * machine that writes down what it is told.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "map.h"

static char told[256];
static uint64_t now_ns;

static void tell(const char *what)
{
	size_t length = strlen(told);
	snprintf(told + length, sizeof(told) - length, "%s ", what);
}

void clv_mark(enum clv_mark mark, const void *lock)
{
	static const char *const name[] = { "ask", "got", "shared", "failed", "free", "freed" };
	cr_assert_not_null(lock);
	tell(name[mark]);
}

static const void *named[8];
static unsigned names;

void clv_name(const void *block, size_t bytes, size_t stride_bytes, const char *name, int index,
	      const struct cleave_field *fields)
{
	cr_assert_gt(bytes, 0);
	cr_assert_eq(stride_bytes, 0);
	if (strcmp(name, "pretend"))
		return;
	cr_assert_eq(index, (int)names);
	cr_assert_str_eq(fields[0].name, "word");
	named[names++] = block;
}

void clv_name_allocations(const char *name, int index)
{
	(void)name;
	(void)index;
}

void *clv_alloc(size_t size_bytes, size_t align_bytes, int node)
{
	(void)node;
	void *block = aligned_alloc(align_bytes, (size_bytes + align_bytes - 1) & -align_bytes);
	return memset(block, 0, size_bytes);
}

void clv_free(void *block, size_t size_bytes)
{
	(void)size_bytes;
	free(block);
}

uint64_t clv_now_ns(void)
{
	return now_ns++;
}

/* ---- a lock that writes down when it is called ---- */

static bool busy;

static void acquire(void *lock, struct clv_hold *hold)
{
	(void)lock, (void)hold;
	tell("+");
}

static void release(void *lock, struct clv_hold *hold)
{
	(void)lock, (void)hold;
	tell("-");
}

static bool try_acquire(void *lock, struct clv_hold *hold)
{
	(void)lock, (void)hold;
	tell("?");
	return !busy;
}

static const struct cleave_field fields[] = { { 0, "word" }, { 0, NULL } };
static struct clv_lock_type type = {
	.name = "pretend", .size_bytes = 8, .acquire = acquire, .release = release,
	.try_acquire = try_acquire, .fields = fields,
};
static struct clv_map_lock lock;
static struct cleave_thread thread;
static struct cleave_times times;

static void set_up(void)
{
	const struct clv_lock_spec spec = { .type = &type };
	type.acquire_shared = NULL;
	type.release_shared = NULL;
	type.try_acquire_shared = NULL;
	cr_assert_eq(clv_map_lock_make(&lock, NULL, &spec, 3, false, NULL), 0);
}

static void tear_down(void)
{
	clv_map_lock_fini(&lock);
}

TestSuite(marks, .init = set_up, .fini = tear_down);

static int take_and_release(enum cleave_hold_mode mode, unsigned flags)
{
	struct clv_hold hold;
	told[0] = '\0';
	int code = clv_map_acquire(&lock, 2, mode, flags, &thread, &hold);
	if (!code)
		clv_map_release(&lock, 2, mode, &hold);
	return code;
}

/* Timed or not, they are the same. */
Test(marks, stand_around_each_call)
{
	for (unsigned timed = 0; timed < 2; timed++) {
		struct clv_hold hold;
		thread.times = timed ? &times : NULL;
		told[0] = '\0';
		clv_map_acquire_exclusive(&lock, 1, &thread, &hold);
		clv_map_release_exclusive(&lock, 1, &hold);
		cr_assert_str_eq(told, "ask + got free - freed ");
		cr_assert_eq(take_and_release(CLEAVE_EXCLUSIVE, 0), 0);
		cr_assert_str_eq(told, "ask + got free - freed ");
		cr_assert_eq(take_and_release(CLEAVE_EXCLUSIVE, CLEAVE_TRY), 0);
		cr_assert_str_eq(told, "ask ? got free - freed ");
	}
}

Test(marks, say_what_was_got)
{
	cr_assert_eq(take_and_release(CLEAVE_SHARED, 0), 0);
	cr_assert_str_eq(told, "ask + got free - freed ", "there is no shared mode: %s", told);
	type.acquire_shared = acquire;
	type.release_shared = release;
	cr_assert_eq(take_and_release(CLEAVE_SHARED, 0), 0);
	cr_assert_str_eq(told, "ask + shared free - freed ");
	cr_assert_eq(take_and_release(CLEAVE_SHARED, CLEAVE_TRY), -ENOTSUP);
	cr_assert_str_eq(told, "", "it did not ask: %s", told);
	type.try_acquire_shared = try_acquire;
	cr_assert_eq(take_and_release(CLEAVE_SHARED, CLEAVE_TRY), 0);
	cr_assert_str_eq(told, "ask ? shared free - freed ");
	busy = true;
	cr_assert_eq(take_and_release(CLEAVE_SHARED, CLEAVE_TRY), -EBUSY);
	cr_assert_str_eq(told, "ask ? failed ");
	busy = false;
}

Test(marks, each_lock_has_its_name)
{
	cr_assert_eq(names, 3);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(named[i], lock.at[i]);
}
