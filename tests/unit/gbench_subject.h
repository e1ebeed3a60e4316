/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A benchmark for the tests of gbench.h, which knows its times and can fail in every way, and
 * access to the JSON that comes of it.
 */
#ifndef CLV_TESTS_GBENCH_SUBJECT_H
#define CLV_TESTS_GBENCH_SUBJECT_H

#include "harness/gbench.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A benchmark and what it saw. */
struct subject {
	char tag;
	double seconds; /* of repetition 0; one more in each further one */
	int calls;
	int fail_at; /* repetition that fails; -1: none */
	enum {
		FAIL_BY_ERROR,
		FAIL_BEFORE_LOOP,
		FAIL_LEFT_LOOP,
		FAIL_LAST_CALL,
		FAIL_NO_TIME,
	} how;
	int64_t arg_seen;
	int64_t iterations_seen;
};

static char order[256]; /* "a0b0a1...": what ran when */

static inline void repetition(struct clv_gbench_state *state, void *ctx)
{
	struct subject *s = ctx;
	int r = clv_gbench_repetition(state);
	bool fails = r == s->fail_at;

	s->calls++;
	snprintf(order + strlen(order), sizeof(order) - strlen(order), "%c%d", s->tag, r);
	clv_gbench_arg(state, 0, &s->arg_seen);
	s->iterations_seen = clv_gbench_iteration_count(state);
	if (fails && s->how == FAIL_BEFORE_LOOP) {
		clv_gbench_error(state, "skipped");
		return;
	}
	for (int64_t i = 0; clv_gbench_keep_running(state); i++) {
		if (fails && s->how == FAIL_LEFT_LOOP)
			return;
		if (fails && s->how == FAIL_NO_TIME)
			continue;
		clv_gbench_set_seconds(state, s->seconds + r);
		if (fails && s->how == FAIL_LAST_CALL && i + 1 == s->iterations_seen)
			return;
	}
	clv_gbench_counter(state, "ops", 64, 0);
	if (fails && s->how == FAIL_BY_ERROR) {
		clv_gbench_error(state, "lost %d \"intervals\"\n\xff", 3);
		clv_gbench_error(state, "second");
	}
}

static inline struct clv_gbench *add(const char *name, struct subject *s, int repetitions)
{
	struct clv_gbench *bench = NULL;

	cr_assert_eq(clv_gbench_register(name, repetition, s, &bench), 0, "%s", clv_gbench_why());
	cr_assert_eq(clv_gbench_manual_time(bench), 0);
	if (repetitions)
		cr_assert_eq(clv_gbench_repetitions(bench, repetitions), 0);
	return bench;
}

static inline json_t *json(void)
{
	char *text = NULL;
	size_t size = 0;
	json_error_t error;

	cr_assert_eq(clv_gbench_json(&text, &size), 0, "%s", clv_gbench_why());
	cr_assert_eq(strlen(text), size);
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	cr_assert(root, "%d: %s in %s", error.line, error.text, text);
	free(text);
	return root;
}

static inline json_t *entry(json_t *root, size_t i)
{
	json_t *found = json_array_get(json_object_get(root, "benchmarks"), i);

	cr_assert(found, "no entry %zu", i);
	return found;
}

static inline size_t entries(json_t *root)
{
	return json_array_size(json_object_get(root, "benchmarks"));
}

static inline const char *text_of(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "(none)";
}

static inline double number_of(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	cr_assert(json_is_number(value), "no number %s", key);
	return json_number_value(value);
}

static inline void start(void)
{
	order[0] = '\0';
	cr_assert_eq(clv_gbench_init(), 0, "%s", clv_gbench_why());
}

static inline void stop(void)
{
	clv_gbench_shutdown();
}

#endif
