// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Design strings: what they mean, their canonical form, and for each way of being wrong the code,
 * the place and one line that says it.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/design.h"
#include "lib/schemes/scheme.h"

/* A scheme of each kind that the parser tells apart, so that all it does can be seen here. */
static const struct clv_scheme no_lock = { .name = "test_no_lock", .locks = CLV_SCHEME_NO_LOCK };
static const struct clv_scheme two_locks = { .name = "test_two_locks",
					     .locks = CLV_SCHEME_TWO_LOCKS };

static void set_up(void)
{
	cr_assert_eq(clv_scheme_add(&no_lock), 0);
	cr_assert_eq(clv_scheme_add(&two_locks), 0);
}

TestSuite(design, .timeout = 600, .init = set_up);

Test(design, canonical_forms)
{
	static const char *const forms[][2] = {
		{ "rb_vma", "rb_vma/one:rwsem" },
		{ "rb_vma/one", "rb_vma/one:rwsem" },
		{ "rb_vma:mutex", "rb_vma/one:mutex" },
		{ "rb_vma@none/one:rwsem", "rb_vma/one:rwsem" },
		{ "rb_vma@node", "rb_vma@node/one:rwsem" },
		{ "rb_vma@node:mcs", "rb_vma@node/one:mcs" },
		{ "rb_interval@l3/each", "rb_interval@l3/each:rwsem" },
		{ "rb_interval@cpu8/each.handover:pthread_rwlock",
		  "rb_interval@cpu8/each.handover:pthread_rwlock" },
		{ "brute_array@hash16/each:none", "brute_array@hash16/each:none" },
		{ "rb_vma/test_two_locks", "rb_vma/test_two_locks:rwsem+rwsem" },
		{ "rb_vma/test_two_locks:mutex", "rb_vma/test_two_locks:mutex+mutex" },
		{ "rb_vma@cpu8/test_two_locks:rwsem+mcs", "rb_vma@cpu8/test_two_locks:rwsem+mcs" },
	};

	for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct cleave_error error = { "" };
		struct clv_design design, again;
		char name[128], second[128];

		cr_assert_eq(clv_design_parse(&design, forms[i][0], &error), 0, "%s: %s",
			     forms[i][0], error.text);
		clv_design_name(&design, name, sizeof(name));
		cr_expect_str_eq(name, forms[i][1]);
		cr_assert_eq(clv_design_parse(&again, name, &error), 0, "%s: %s", name, error.text);
		clv_design_name(&again, second, sizeof(second));
		cr_expect_str_eq(second, name);
		cr_expect_eq(again.structure, design.structure);
		cr_expect_eq(again.scheme, design.scheme);
		cr_expect_eq(again.lock[0].type, design.lock[0].type);
		cr_expect_eq(again.lock[1].type, design.lock[1].type);
		cr_expect_eq(again.partition.kind, design.partition.kind);
		cr_expect_eq(again.partition.k, design.partition.k);
	}
}

Test(design, parts_are_what_was_named)
{
	struct clv_design design;

	cr_assert_eq(clv_design_parse(&design, "rb_interval@cpu32/each.handover:mcs", NULL), 0);
	cr_expect_str_eq(design.structure->name, "rb_interval");
	cr_expect_str_eq(design.scheme->name, "each");
	cr_expect_eq(design.scheme_args.count, 1);
	cr_expect_str_eq(design.scheme_args.arg[0], "handover");
	cr_expect_eq(design.partition.kind, CLV_PART_CPU);
	cr_expect_eq(design.partition.k, 32);
	cr_expect_str_eq(design.lock[0].type->name, "mcs");
	cr_expect_null(design.lock[1].type);
}

/* `at`: the character that the message names, counted from 1; `says`: a part of it. */
struct wrong {
	const char *text;
	int code;
	unsigned at;
	const char *says;
};

static const struct wrong wrongs[] = {
	{ "", -EINVAL, 1, "unknown structure" },
	{ "nothing", -EINVAL, 1, "unknown structure 'nothing'; known: rb_interval" },
	{ "rb_vm", -EINVAL, 1, "'rb_vm'" },
	{ "rb_vmas/one", -EINVAL, 1, "'rb_vmas'" },
	{ "/one:rwsem", -EINVAL, 1, "unknown structure" },
	{ "@node", -EINVAL, 1, "unknown structure" },
	{ "rb_vma@", -EINVAL, 8, "partition" },
	{ "rb_vma@/one", -EINVAL, 8, "partition" },
	{ "rb_vma@numa", -EINVAL, 8, "'numa'" },
	{ "rb_vma@cpu", -EINVAL, 8, "cpu" },
	{ "rb_vma@cpu0/one", -EINVAL, 8, "cpu0" },
	{ "rb_vma@cpux/one", -EINVAL, 8, "cpux" },
	{ "rb_vma@hash/one", -EINVAL, 8, "hash" },
	{ "rb_vma@cpu99999999999999999999/one", -EINVAL, 8, "cpu9999" },
	{ "rb_vma/", -EINVAL, 8, "unknown scheme ''" },
	{ "rb_vma/every", -EINVAL, 8, "unknown scheme 'every'; known: one each" },
	{ "rb_vma/:rwsem", -EINVAL, 8, "unknown scheme" },
	{ "rb_vma/each.", -EINVAL, 13, "empty argument" },
	{ "rb_vma/each..handover", -EINVAL, 13, "empty argument" },
	{ "rb_vma/each.a.b.c.d.e", -EINVAL, 21, "one argument too many" },
	{ "rb_vma/one:", -EINVAL, 12, "unknown lock ''" },
	{ "rb_vma:", -EINVAL, 8, "unknown lock ''" },
	{ "rb_vma:locky", -EINVAL, 8, "unknown lock 'locky'; known: none" },
	{ "rb_vma/one:rwsem.", -EINVAL, 18, "empty argument" },
	{ "rb_vma/one:none.loud", -EINVAL, 12, "lock" },
	{ "rb_vma/one:rwsem+mutex", -ENOTSUP, 18, "takes one lock" },
	{ "rb_vma/one:rwsem+", -ENOTSUP, 18, "takes one lock" },
	{ "rb_vma/test_two_locks:rwsem+", -EINVAL, 29, "unknown lock" },
	{ "rb_vma/test_two_locks:+rwsem", -EINVAL, 23, "unknown lock" },
	{ "rb_vma/test_two_locks:a+b+c", -EINVAL, 23, "unknown lock 'a'" },
	{ "rb_vma/test_two_locks:rwsem+mcs+mcs", -EINVAL, 29, "unknown lock 'mcs+mcs'" },
	{ "rb_vma/test_no_lock", -ENOTSUP, 8, "does not synchronise itself" },
	{ "rb_vma/one/each", -EINVAL, 8, "unknown scheme 'one/each'" },
	{ "rb_vma:rwsem/one", -EINVAL, 8, "unknown lock" },
	{ "rb_vma@node@l3", -EINVAL, 8, "node@l3" },
	{ " rb_vma", -EINVAL, 1, "' '" },
	{ "rb_vma ", -EINVAL, 7, "' '" },
	{ "rb_vma\n", -EINVAL, 7, "has no" },
	{ "RB_VMA", -EINVAL, 1, "'R'" },
	{ "rb_vma/one:rwsem;", -EINVAL, 17, "';'" },
	{ "rb_vma/one:rws\xc3\xa9m", -EINVAL, 15, "has no" },
};

Test(design, what_is_wrong_is_said_with_its_place)
{
	for (unsigned i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		const struct wrong *wrong = &wrongs[i];
		struct cleave_error error = { "" };
		struct clv_design design;
		char place[40];

		snprintf(place, sizeof(place), "character %u:", wrong->at);
		cr_expect_eq(clv_design_parse(&design, wrong->text, &error), wrong->code,
			     "'%s': other code: %s", wrong->text, error.text);
		cr_expect_not_null(strstr(error.text, place), "'%s': not '%s': %s", wrong->text,
				   place, error.text);
		cr_expect_not_null(strstr(error.text, wrong->says), "'%s': not '%s': %s",
				   wrong->text, wrong->says, error.text);
		cr_expect_eq(clv_design_parse(&design, wrong->text, NULL), wrong->code);
	}
}

Test(design, too_long)
{
	struct cleave_error error = { "" };
	struct clv_design design;
	char text[4096];

	for (size_t length = 100; length < sizeof(text); length += 7) {
		memset(text, 'a', length);
		memcpy(text, "rb_vma/", 7);
		text[length] = '\0';
		cr_assert_eq(clv_design_parse(&design, text, &error), -EINVAL);
		cr_assert(error.text[0] && strlen(error.text) < sizeof(error.text));
	}
	cr_expect_not_null(strstr(error.text, "longer than"), "%s", error.text);
}

/* ---- bytes at random ---- */

static uint64_t state = 1;

static unsigned roll(unsigned below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((state >> 33) % below);
}

static void check_message(const char *text, int code, const struct cleave_error *error)
{
	cr_assert(code == 0 || code == -EINVAL || code == -ENOTSUP, "'%s': %d", text, code);
	cr_assert_not_null(memchr(error->text, '\0', sizeof(error->text)), "'%s'", text);
	if (code)
		cr_assert(error->text[0], "'%s': no message", text);
}

/* In memory that ends with the string: the address sanitizer sees a read beyond it. */
static int parse_tight(const char *text)
{
	struct cleave_error error = { "" };
	struct clv_design design;
	size_t length = strlen(text);
	char *copy = malloc(length + 1);
	char name[128];

	memcpy(copy, text, length + 1);
	int code = clv_design_parse(&design, copy, &error);
	free(copy);
	check_message(text, code, &error);
	if (!code) {
		clv_design_name(&design, name, sizeof(name));
		cr_assert_eq(clv_design_parse(&design, name, &error), 0, "'%s' gives '%s': %s",
			     text, name, error.text);
	}
	return code;
}

/* Words of the language in no order, cut and doubled, and bytes of any value between. */
static void make_text(char *text, size_t bytes)
{
	static const char *const words[] = {
		"rb_vma",
		"rb_interval",
		"@",
		"node",
		"l3",
		"cpu",
		"hash",
		"none",
		"/",
		"one",
		"each",
		".",
		"handover",
		":",
		"rwsem",
		"+",
		"mutex",
		"mcs",
		"8",
		"0",
		"4294967296",
		"test_two_locks",
		"test_no_lock",
		"numa",
		"",
	};
	size_t used = 0;

	while (used + 24 < bytes && roll(9)) {
		const char *word = words[roll(sizeof(words) / sizeof(words[0]))];

		if (!roll(8)) {
			text[used++] = (char)(1 + roll(255));
			continue;
		}
		memcpy(text + used, word, strlen(word));
		used += roll(6) ? strlen(word) : roll((unsigned)strlen(word) + 1);
	}
	text[used] = '\0';
}

Test(design, any_bytes)
{
	unsigned good = 0, rounds = getenv("CLEAVE_LONG") ? 20000000 : 200000;
	char text[256];

	for (unsigned i = 0; i < rounds; i++) {
		make_text(text, sizeof(text));
		good += parse_tight(text) == 0;
	}
	for (unsigned i = 0; i < rounds / 4; i++) {
		size_t length = roll(200);

		for (size_t k = 0; k < length; k++)
			text[k] = (char)(1 + roll(255));
		text[length] = '\0';
		parse_tight(text);
	}
	/* Or what is tried is no longer what is parsed. */
	cr_expect_gt(good, rounds / 1000);
}
