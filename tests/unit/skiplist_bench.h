/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * For the tests of the skip lists' validate: a sound list in a map, and what is found wrong with
 * it. The test that includes it knows the layout.
 */
#ifndef CLV_TESTS_SKIPLIST_BENCH_H
#define CLV_TESTS_SKIPLIST_BENCH_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "lib/map.h"

enum { ENTRIES = 2000, STEP = 10 };

struct bench {
	struct cleave_env *env;
	struct cleave_thread *thread;
	struct cleave_map *map;
	struct cleave_interval *entries;
};

static inline const char *fault(const struct bench *b)
{
	static struct cleave_error error;

	return cleave_validate(b->map, &error) ? error.text : NULL;
}

/* Distinct starts, STEP apart, in an order of no kind; of high ones, so many as chance has it. */
static inline struct bench set_up(const char *design)
{
	const struct cleave_env_options options = { .topology = "pack:1 core:2 pu:1" };
	struct bench b = { 0 };

	cr_assert_eq(cleave_env_open(&b.env, &options, NULL), 0);
	cr_assert_eq(cleave_thread_begin(&b.thread, b.env, 0), 0);
	cr_assert_eq(cleave_open(&b.map, b.env, design, NULL), 0);
	b.entries = aligned_alloc(64, ENTRIES * sizeof(*b.entries));
	memset(b.entries, 0, ENTRIES * sizeof(*b.entries));
	for (uint64_t n = 0; n < ENTRIES; n++) {
		uint64_t place = n * 777 % ENTRIES, start = STEP + place * STEP;

		cr_assert_eq(cleave_insert(b.map, b.thread, &b.entries[place].entry, start,
					   start + place % 50),
			     0);
	}
	cr_assert_null(fault(&b));
	return b;
}

static inline void tear_down(struct bench *b)
{
	cr_assert_null(fault(b));
	cleave_close(b->map);
	cleave_thread_end(b->thread);
	cleave_env_close(b->env);
	free(b->entries);
}

static inline void assert_fault(const struct bench *b, const char *part)
{
	const char *reason = fault(b);

	cr_assert_not_null(reason, "not found: %s", part);
	cr_assert_not_null(strstr(reason, part), "%s, not %s", reason, part);
}

#endif
