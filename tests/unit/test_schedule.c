// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The reader of schedules: what it makes of the recording, and what it refuses.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/workloads/schedule.h"

static struct clv_schedule *recorded(void)
{
	struct clv_schedule *schedule = NULL;
	struct cleave_error error = { "" };
	cr_assert_eq(clv_schedule_recorded(&schedule, &error), 0, "%s", error.text);
	return schedule;
}

/* Must be refused with that in the message, which is one line and says where. */
static void refused(const char *text, const char *what, const char *where)
{
	struct clv_schedule *schedule = NULL;
	struct cleave_error error = { "" };
	int code = clv_schedule_parse(&schedule, "some.txt", text, strlen(text), &error);
	cr_assert_eq(code, -EINVAL, "taken: %s", text);
	cr_assert(strstr(error.text, what), "`%s` is not in: %s", what, error.text);
	cr_assert(strstr(error.text, where), "`%s` is not in: %s", where, error.text);
	cr_assert_not(strchr(error.text, '\n'));
}

static struct clv_schedule *taken(const char *text)
{
	struct clv_schedule *schedule = NULL;
	struct cleave_error error = { "" };
	cr_assert_eq(clv_schedule_parse(&schedule, "some.txt", text, strlen(text), &error), 0, "%s",
		     error.text);
	return schedule;
}

static const struct clv_schedule_op *op_at(const struct clv_schedule *schedule, unsigned section,
					   unsigned i)
{
	cr_assert(i < schedule->section[section - 1].ops);
	return &schedule->op[schedule->section[section - 1].first_op + i];
}

/* ---- the recording ---- */

Test(schedule, counts_of_the_recording)
{
	static const struct {
		const char *name;
		unsigned sections, inserts, removes, ops;
	} known[] = {
		{ "ld.so.cache", 2, 1, 1, 2 },
		{ "libc.so.6", 15, 16, 16, 25 },
		{ "execself", 8, 8, 8, 14 },
		{ "ld-linux-x86-64.so.2", 8, 8, 8, 14 },
	};
	struct clv_schedule *s = recorded();
	cr_assert_eq(s->sections, 33);
	cr_assert_eq(s->ops, 55);
	cr_assert_eq(s->section_ops_max, 5);
	cr_assert_eq(s->files, 4);
	for (unsigned i = 0; i < s->files; i++) {
		cr_assert_str_eq(s->file[i].name, known[i].name);
		cr_assert_eq(s->file[i].sections, known[i].sections, "%s", known[i].name);
		cr_assert_eq(s->file[i].recorded_inserts, known[i].inserts, "%s", known[i].name);
		cr_assert_eq(s->file[i].recorded_removes, known[i].removes, "%s", known[i].name);
		cr_assert_eq(s->file[i].ops, known[i].ops, "%s", known[i].name);
	}
	unsigned of_kind[CLEAVE_CHANGE + 1] = { 0 };
	for (unsigned i = 0; i < s->ops; i++)
		of_kind[s->op[i].kind]++;
	cr_assert_eq(of_kind[CLEAVE_INSERT], 12);
	cr_assert_eq(of_kind[CLEAVE_INSERT_NEAR], 10);
	cr_assert_eq(of_kind[CLEAVE_REMOVE], 22);
	cr_assert_eq(of_kind[CLEAVE_CHANGE], 11);
	cr_assert_eq(s->last_page, 481);
	clv_schedule_free(s);
}

Test(schedule, gaps_of_the_recording)
{
	struct clv_schedule *s = recorded();
	uint64_t sum_ns = 0;
	cr_assert_eq(s->section[0].recorded_ns, 258400);
	cr_assert_eq(s->section[0].gap_ns, 63400);
	cr_assert_eq(s->section[1].gap_ns, 18900);
	cr_assert_eq(s->section[18].gap_ns, 133900);
	for (unsigned i = 0; i < s->sections; i++) {
		sum_ns += s->section[i].gap_ns;
		if (i)
			cr_assert_eq(s->section[i].gap_ns, s->section[i].recorded_ns);
	}
	cr_assert_eq(s->cycle_ns, sum_ns);
	cr_assert_eq(s->cycle_ns, 443200);
	clv_schedule_free(s);
}

Test(schedule, rest_of_the_recording)
{
	static const struct clv_range at_rest[] = {
		{ 0, 37 }, { 38, 379 }, { 380, 462 }, { 463, 466 }, { 467, 468 },
	};
	struct clv_schedule *s = recorded();
	cr_assert_str_eq(s->file[s->main_file].name, "libc.so.6");
	cr_assert_eq(s->rest_count, 5);
	cr_assert_arr_eq(s->rest, at_rest, sizeof(at_rest));
	clv_schedule_free(s);
}

/* execve is where the program was away for longest before all is taken apart: section 19. */
Test(schedule, exec_of_the_recording)
{
	static const unsigned wanted[] = { 5, 5, 5 }; /* libc.so.6, execself, the loader */
	struct clv_schedule *s = recorded();
	unsigned held[4] = { 0 }, all = 0;
	cr_assert_eq(s->exec_section, 18);
	for (unsigned i = 0; i < s->slots; i++) {
		if (clv_range_is_none(s->at_exec[i]))
			continue;
		held[s->file_of_slot[i]]++;
		all++;
	}
	cr_assert_eq(all, 15);
	cr_assert_arr_eq(held + 1, wanted, sizeof(wanted));
	clv_schedule_free(s);
}

/* A split is the piece near its source, then the source's change. */
Test(schedule, sections_become_batches)
{
	struct clv_schedule *s = recorded();
	unsigned whole = op_at(s, 2, 0)->slot;
	cr_assert_eq(op_at(s, 2, 0)->kind, CLEAVE_INSERT);

	/* 3: I:0-37 R:0-481 I:38-481 */
	cr_assert_eq(op_at(s, 3, 0)->kind, CLEAVE_INSERT_NEAR);
	cr_assert_eq(op_at(s, 3, 0)->source_slot, whole);
	cr_assert(op_at(s, 3, 0)->range.start == 0 && op_at(s, 3, 0)->range.last == 37);
	cr_assert_eq(op_at(s, 3, 1)->kind, CLEAVE_CHANGE);
	cr_assert_eq(op_at(s, 3, 1)->slot, whole);
	cr_assert(op_at(s, 3, 1)->range.start == 38 && op_at(s, 3, 1)->range.last == 481);

	/* 4: I:380-481 R:38-481 I:38-379, and 5 removes what is left of it: R:38-379 */
	cr_assert_eq(op_at(s, 4, 0)->kind, CLEAVE_INSERT_NEAR);
	cr_assert_eq(op_at(s, 4, 0)->source_slot, whole);
	cr_assert_eq(op_at(s, 4, 1)->slot, whole);
	cr_assert_eq(op_at(s, 5, 0)->kind, CLEAVE_REMOVE);
	cr_assert_eq(op_at(s, 5, 0)->slot, whole);

	/* 9: R:463-481 I:380-481: what section 7 split off grows */
	cr_assert_eq(s->section[8].ops, 1);
	cr_assert_eq(op_at(s, 9, 0)->kind, CLEAVE_CHANGE);
	cr_assert_eq(op_at(s, 9, 0)->slot, op_at(s, 7, 0)->slot);

	/* 20 removes five, each once */
	for (unsigned i = 0; i < 5; i++) {
		cr_assert_eq(op_at(s, 20, i)->kind, CLEAVE_REMOVE);
		for (unsigned j = 0; j < i; j++)
			cr_assert_neq(op_at(s, 20, i)->slot, op_at(s, 20, j)->slot);
	}
	clv_schedule_free(s);
}

/* Replays cycles on the slots: every op must find its slot as it needs it; none is left over. */
static void replay(const struct clv_schedule *s, unsigned cycles)
{
	struct clv_range *range = calloc(s->slots, sizeof(*range));
	struct clv_range *next = calloc(s->slots, sizeof(*next));
	memcpy(range, s->initial, s->slots * sizeof(*range));
	for (unsigned cycle = 0; cycle < cycles; cycle++) {
		for (unsigned i = 0; i < s->sections; i++) {
			const struct clv_schedule_section *section = &s->section[i];
			for (unsigned j = 0; j < section->ops; j++) {
				const struct clv_schedule_op *op = &s->op[section->first_op + j];
				bool inserts = op->kind == CLEAVE_INSERT ||
					       op->kind == CLEAVE_INSERT_NEAR;
				cr_assert_eq(s->file_of_slot[op->slot], section->file);
				cr_assert_eq(clv_range_is_none(range[op->slot]), inserts,
					     "cycle %u section %u op %u", cycle, i + 1, j);
				if (op->kind == CLEAVE_INSERT_NEAR)
					cr_assert_not(clv_range_is_none(range[op->source_slot]));
				range[op->slot] = op->range;
			}
		}
		for (unsigned i = 0; i < s->slots; i++)
			next[s->next_slot[i]] = range[i];
		for (unsigned i = 0; i < s->slots; i++)
			cr_assert(clv_range_is_none(next[i]) == clv_range_is_none(s->initial[i]) &&
				  (clv_range_is_none(next[i]) ||
				   !memcmp(&next[i], &s->initial[i], sizeof(*next))),
				  "slot %u after cycle %u", i, cycle);
		memcpy(range, next, s->slots * sizeof(*range));
	}
	free(range);
	free(next);
}

Test(schedule, recording_ends_where_it_starts)
{
	struct clv_schedule *s = recorded();
	unsigned held[4] = { 0 };
	for (unsigned i = 0; i < s->slots; i++)
		held[s->file_of_slot[i]] += !clv_range_is_none(s->initial[i]);
	cr_assert(held[0] == 0 && held[1] == 0 && held[2] == 4 && held[3] == 4);
	replay(s, 5);
	clv_schedule_free(s);
}

/* ---- other texts ---- */

/* Equal ranges, each with an owner of its own. A change that makes a slot end as another began. */
Test(schedule, equal_ranges_and_slots_that_move)
{
	struct clv_schedule *s = taken("1 0.5 1 f I:1-2 I:1-2\n"
				       "2 1.5 1 f R:1-2 I:3-4\n"
				       "3 2.5 1.25 f R:3-4 R:1-2\n"
				       "4 3.0 1.125 f I:5-6 I:7-8\n"
				       "5 3.0 0 f R:5-6 I:7-7\n"
				       "6 3.0 0 f R:7-8 I:5-6\n"
				       "7 3.0 0 f R:5-6 R:7-7\n"
				       "end 7\n");
	cr_assert_eq(s->cycle_ns, 4375);
	cr_assert_eq(s->ops, 11);
	replay(s, 4);
	clv_schedule_free(s);

	/* The exec is in the middle, and ranges swap slots on the way round. */
	s = taken("1 0 1 f R:1-1 I:3-3\n"
		  "2 1 1 f R:2-2 I:1-1\n"
		  "3 2 1 f R:1-1 R:3-3\n"
		  "4 3 1 f I:1-1 I:2-2\n"
		  "end 4\n");
	replay(s, 4);
	clv_schedule_free(s);
}

Test(schedule, forms_that_are_taken)
{
	struct clv_schedule *s = taken("# a comment\n\ntrapped 2 0.5\n \t\n"
				       "1 0 1 a/b.c I:0-4294967295\n"
				       "  2\t1  2.5 a/b.c\tR:0-4294967295  \n"
				       "# period 3.5 us, or so\n"
				       "end 2\n");
	cr_assert_eq(s->section[1].gap_ns, 2000);
	cr_assert_eq(s->section[1].recorded_ns, 2500);
	cr_assert_eq(s->last_page, UINT32_MAX);
	cr_assert_str_eq(s->file[0].name, "a/b.c");
	clv_schedule_free(s);
	s = taken("1 0 1.0 libc.so.6 I:0-1\n2 1 2.5 libc.so.6 R:0-1\n3 2 1 x I:0-1\n4 3 1 x R:0-1\n"
		  "# period 5.4 us; gaps: median 1.0 mean 1.4; libc-only sections 2\n");
	cr_assert_eq(s->sections, 4);
	clv_schedule_free(s);
}

Test(schedule, junk_is_refused)
{
	refused("", "empty", "line 1");
	refused("\n\n# nothing\n", "no `end`", "line 4");
	refused("end 0\n", "no sections", "some.txt");
	refused("hello\n", "`hello`", "line 1");
	refused("1 0 1 f I:0-1\n3 1 1 f R:0-1\nend 2\n", "section 3 where section 2", "line 2");
	refused("1 0 1 f I:0-1\n1 1 1 f R:0-1\nend 2\n", "section 1 where section 2", "line 2");
	refused("1 5 1 f I:0-1\n2 4 1 f R:0-1\nend 2\n", "time is before", "line 2");
	refused("1 0 -1 f I:0-1\n", "not a number of us", "line 1");
	refused("1 0 1.2345 f I:0-1\n", "not a number of us", "line 1");
	refused("1 0 nan f I:0-1\n", "not a number of us", "line 1");
	refused("1 0 99999999999999999999 f I:0-1\n", "not a number of us", "line 1");
	refused("1 0 1\n", "no file", "line 1");
	refused("1 0 1 f\n", "no operation", "line 1");
	refused("1 0 1 f I:0-1 X:0-1\n", "`X:0-1`", "line 1");
	refused("1 0 1 f A:0-1\n", "`A:0-1`", "line 1");
	refused("1 0 1 f I:0\n", "`I:0`", "line 1");
	refused("1 0 1 f I:-1-2\n", "page numbers", "line 1");
	refused("1 0 1 f I:0-4294967296\n", "page numbers", "line 1");
	refused("1 0 1 f I:5-4\n", "ends before", "line 1");
	refused("1 0 1 f I:0-1\r\n", "page numbers", "line 1");
	refused("trapped 1\n", "trapped SECTION US", "line 1");
	refused("trapped 1 2\ntrapped 1 3\n", "a second", "line 2");
	refused("1 0 1 f I:0-1\ntrapped 1 2\n", "behind the first", "line 2");
	refused("trapped 3 1\n1 0 1 f I:0-1\n2 1 1 f R:0-1\nend 2\n", "section 3 of 2", "line 1");
	refused("trapped 2 1.1\n1 0 1 f I:0-1\n2 1 1 f R:0-1\nend 2\n", "more trapped", "line 1");
	refused("1 0 1 f I:0-1\n2 1 1 f R:0-1\nend 3\n", "there are 2", "line 3");
	refused("1 0 1 f I:0-1\n2 1 1 f R:0-1\nend 2 3\n", "end COUNT", "line 3");
	refused("1 0 1 f I:0-1\n2 1 1 f R:0-1\nend 2\n# more\n", "behind the last", "line 4");
	refused("1 0 1 f I:0-1\n2 1 1 f R:0-1\n# period 3.0 us; gaps: median 1.0 mean 1.0; "
		"libc-only sections 0\n", "sum of the gaps", "line 3");
	refused("1 0 1 f I:0-1\n2 1 1 f R:0-1\n# period 2.0 us; gaps: median 1.0 mean 1.0; "
		"libc-only sections 1\n", "there are 0", "line 3");
	refused("1 0 1 f I:0-1\n2 1 1 f R:0-1\n", "cut off behind section 2", "line 3");
	refused("1 0 1 f I:0-1\n2 1 1 f R:0-1\nend 2", "cut off", "line 3");
	refused("1 0 1 a\001b I:0-1\n", "control character", "line 1");
	refused("\033[31m\n", "not a section's number", "line 1");

	struct cleave_error error = { "" };
	struct clv_schedule *schedule;
	cr_assert_eq(clv_schedule_parse(&schedule, "z", "1 0 1 f\0 I:0-1\n", 15, &error), -EINVAL);
	cr_assert(strstr(error.text, "zero byte"), "%s", error.text);
}

Test(schedule, limits)
{
	size_t room = 64 + (CLEAVE_BATCH_MAX + 1) * 8, used;
	char *text = malloc(CLV_SCHEDULE_BYTES_MAX + 2);
	used = (size_t)sprintf(text, "1 0 1 f");
	for (unsigned i = 0; i <= CLEAVE_BATCH_MAX; i++)
		used += (size_t)sprintf(text + used, " I:0-1");
	cr_assert(used < room);
	sprintf(text + used, "\n");
	refused(text, "more than 256", "line 1");

	used = 0;
	for (unsigned i = 0; i <= CLV_SCHEDULE_FILES_MAX; i++)
		used += (size_t)sprintf(text + used, "%u 0 1 f%u I:0-1\n", i + 1, i);
	refused(text, "more than 64 files", "line 65");

	used = (size_t)sprintf(text, "1 0 1 ");
	memset(text + used, 'n', 64);
	sprintf(text + used + 64, " I:0-1\n");
	refused(text, "more than 63", "line 1");

	used = 0;
	for (unsigned i = 0; i <= CLV_SCHEDULE_OPS_MAX; i++)
		used += (size_t)sprintf(text + used, "%u 0 1 f I:0-1\n", i + 1);
	refused(text, "more than 16384", "line 16385");

	memset(text, '\n', CLV_SCHEDULE_BYTES_MAX + 1);
	text[CLV_SCHEDULE_BYTES_MAX + 1] = '\0';
	refused(text, "a text of more", "some.txt");
	free(text);
}

Test(schedule, what_no_process_does_is_refused)
{
	refused("1 0 1 f I:0-1\n2 1 1 f R:0-2\nend 2\n", "does not hold", "line 2");
	refused("1 0 1 f I:0-1\n2 1 1 g R:0-1\nend 2\n", "0-1 of g", "line 2");
	refused("1 0 1 f I:0-1\n2 1 1 f R:0-1 R:0-1\nend 2\n", "does not hold", "line 2");
	refused("1 0 1 f I:0-1 I:2-3\n2 1 1 f R:0-1\nend 2\n", "starting state", "line 1");
	refused("1 0 1 f I:0-1\nend 1\n", "nothing removes 0-1 of f", "line 1");
	/* Counts agree, but 2-3 would have had to outlive the exec, section 2. */
	refused("1 0 1 f R:2-3 I:0-1\n2 1 1 f R:0-1\n3 2 1 g I:0-1\n4 3 1 g R:0-1 I:2-3\n"
		"5 4 1 f I:2-3\n6 5 1 g R:2-3\n7 6 1 h R:4-5\n8 7 1 h I:4-5\nend 8\n",
		"no section since the exec inserts 4-5 of h", "line 7");
}

/* Sections 4 and 5 of the recording, the other way round: then 5 takes what only 4 makes. */
Test(schedule, sections_in_the_wrong_order_are_refused)
{
	size_t size = clv_execl_schedule_bytes;
	char *text = strndup(clv_execl_schedule_text, size);
	char *fourth = strstr(text, "\n4 281.6"), *fifth = strstr(text, "\n5 283.9");
	char *sixth = strstr(text, "\n6 286.3");
	cr_assert(fourth && fifth && sixth);
	char swapped[256];
	snprintf(swapped, sizeof(swapped), "\n4%.*s\n5%.*s", (int)(sixth - fifth - 2), fifth + 2,
		 (int)(fifth - fourth - 2), fourth + 2);
	/* Times stay in order. */
	memcpy(strstr(swapped, "283.9"), "281.6", 5);
	memcpy(strstr(strstr(swapped, "\n5"), "281.6"), "283.9", 5);
	cr_assert_eq(strlen(swapped), (size_t)(sixth - fourth));
	memcpy(fourth, swapped, strlen(swapped));
	refused(text, "no section since the exec inserts 38-379 of libc.so.6", "line ");
	free(text);
}

/* ---- cut off anywhere ---- */

static bool same(const struct clv_schedule *a, const struct clv_schedule *b)
{
	return a->sections == b->sections && a->ops == b->ops && a->slots == b->slots &&
	       a->cycle_ns == b->cycle_ns &&
	       !memcmp(a->op, b->op, a->ops * sizeof(*a->op));
}

static void cut_everywhere(const char *text, size_t size)
{
	struct clv_schedule *whole = NULL, *cut = NULL;
	struct cleave_error error;
	unsigned taken_whole = 0;
	cr_assert_eq(clv_schedule_parse(&whole, "whole", text, size, &error), 0, "%s", error.text);
	for (size_t at = 0; at <= size; at++) {
		/* Of exactly that size, so that a read beyond it is seen. */
		char *part = malloc(at ? at : 1);
		memcpy(part, text, at);
		int code = clv_schedule_parse(&cut, "cut", part, at, &error);
		cr_assert(code == -EINVAL || (!code && same(whole, cut)), "cut at byte %zu", at);
		if (!code) {
			clv_schedule_free(cut);
			taken_whole++;
		} else {
			cr_assert(error.text[0]);
		}
		free(part);
	}
	cr_assert_eq(taken_whole, 1);
	clv_schedule_free(whole);
}

Test(schedule, cut_off_anywhere)
{
	cut_everywhere(clv_execl_schedule_text, clv_execl_schedule_bytes);
	const char *summary = "1 0 1.0 libc.so.6 I:0-1\n2 1 2.5 libc.so.6 R:0-1\n"
			      "# period 3.5 us; gaps: median 1.0 mean 1.4; libc-only sections 2\n";
	cut_everywhere(summary, strlen(summary));
}

/* One line less: refused, unless it says nothing. */
Test(schedule, a_line_missing_anywhere)
{
	struct clv_schedule *whole = recorded();
	const char *text = clv_execl_schedule_text, *limit = text + clv_execl_schedule_bytes;
	unsigned refusals = 0;
	for (const char *line = text; line < limit;) {
		const char *next = (const char *)memchr(line, '\n', (size_t)(limit - line)) + 1;
		size_t before = (size_t)(line - text), after = (size_t)(limit - next);
		char *rest = malloc(before + after);
		memcpy(rest, text, before);
		memcpy(rest + before, next, after);
		struct clv_schedule *schedule;
		struct cleave_error error;
		int code = clv_schedule_parse(&schedule, "less", rest, before + after, &error);
		if (!code) {
			bool trap = *line == 't';
			cr_assert(*line == '#' || *line == '\n' || trap, "%.30s", line);
			cr_assert(trap ? schedule->cycle_ns == whole->cycle_ns + 195000 :
					 same(schedule, whole), "%.30s", line);
			clv_schedule_free(schedule);
		} else {
			refusals++;
		}
		free(rest);
		line = next;
	}
	cr_assert_eq(refusals, 34); /* 33 sections, and the end */
	clv_schedule_free(whole);
}

/* One byte changed: refused, or taken; never a crash, and what is taken can be replayed. */
Test(schedule, a_byte_wrong_anywhere)
{
	static const char wrong[] = { '\0', '\n', ' ', '0', '9', '-', ':', 'I', 'R', '#', '\377' };
	size_t size = clv_execl_schedule_bytes;
	const char *begin = strstr(clv_execl_schedule_text, "\n1 255.8");
	char *text = malloc(size);
	cr_assert(begin);
	for (size_t at = (size_t)(begin - clv_execl_schedule_text); at < size; at++) {
		for (size_t i = 0; i < sizeof(wrong); i++) {
			struct clv_schedule *schedule;
			struct cleave_error error;
			memcpy(text, clv_execl_schedule_text, size);
			text[at] = wrong[i];
			if (!clv_schedule_parse(&schedule, "wrong", text, size, &error)) {
				replay(schedule, 2);
				clv_schedule_free(schedule);
			}
		}
	}
	free(text);
}

/* ---- files ---- */

Test(schedule, files)
{
	char path[] = "/tmp/cleave-schedule-XXXXXX";
	struct clv_schedule *schedule = NULL, *whole = recorded();
	struct cleave_error error = { "" };
	int fd = mkstemp(path);
	cr_assert(fd >= 0);
	cr_assert_eq(write(fd, clv_execl_schedule_text, clv_execl_schedule_bytes),
		     (ssize_t)clv_execl_schedule_bytes);
	cr_assert_eq(clv_schedule_load(&schedule, path, &error), 0, "%s", error.text);
	cr_assert(same(schedule, whole));
	clv_schedule_free(schedule);
	cr_assert_eq(ftruncate(fd, 1000), 0);
	cr_assert_eq(clv_schedule_load(&schedule, path, &error), -EINVAL);
	cr_assert(strstr(error.text, "cut off") && strstr(error.text, strrchr(path, '/') + 1), "%s",
		  error.text);
	close(fd);
	unlink(path);
	cr_assert_eq(clv_schedule_load(&schedule, path, &error), -ENOENT);
	cr_assert(strstr(error.text, path), "%s", error.text);
	cr_assert_eq(clv_schedule_load(&schedule, "/", &error), -EISDIR, "%s", error.text);
	clv_schedule_free(whole);
}
