// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * gbench.h: what is run how often and in which order, what is reported of it, and what the JSON
 * says. Each benchmark sets simulated times, so that every number is known.
 */
#include "gbench_subject.h"

#include <errno.h>
#include <math.h>

TestSuite(gbench, .init = start, .fini = stop);

Test(gbench, time_is_exact)
{
	struct subject s = { .tag = 'a', .seconds = 0.1234567890123456, .fail_at = -1 };

	add("rb_vma@node/one:rwsem+mcs.x", &s, 0);
	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 1, "%s", clv_gbench_why());
	cr_assert_eq(s.calls, 1);
	cr_assert_eq(s.iterations_seen, 1);

	json_t *root = json();
	cr_assert_eq(entries(root), 1);
	json_t *e = entry(root, 0);
	cr_assert_eq(number_of(e, "real_time"), 0.1234567890123456 * 1e9);
	cr_assert_str_eq(text_of(e, "time_unit"), "ns");
	cr_assert_str_eq(text_of(e, "run_type"), "iteration");
	cr_assert_str_eq(text_of(e, "name"),
			 "rb_vma@node/one:rwsem+mcs.x/iterations:1/process_time/manual_time");
	cr_assert_str_eq(text_of(e, "run_name"), text_of(e, "name"));
	cr_assert_eq(number_of(e, "repetitions"), 1);
	cr_assert_eq(number_of(e, "repetition_index"), 0);
	cr_assert_eq(number_of(e, "threads"), 1);
	cr_assert_eq(number_of(e, "ops"), 64);
	json_decref(root);
}

/* Every unit, several iterations (the time is that of one), the number of threads. */
Test(gbench, units_iterations_threads)
{
	static const struct {
		enum clv_gbench_unit unit;
		const char *name;
		double per_second;
	} units[] = {
		{ CLV_GBENCH_NS, "ns", 1e9 },
		{ CLV_GBENCH_US, "us", 1e6 },
		{ CLV_GBENCH_MS, "ms", 1e3 },
		{ CLV_GBENCH_S, "s", 1 },
	};
	struct subject s[4];
	char name[2] = "a";

	for (int i = 0; i < 4; i++) {
		s[i] = (struct subject){ .tag = 'a', .seconds = 0.5, .fail_at = -1 };
		name[0] = (char)('a' + i);
		struct clv_gbench *bench = add(name, &s[i], 0);
		cr_assert_eq(clv_gbench_unit(bench, units[i].unit), 0);
		cr_assert_eq(clv_gbench_iterations(bench, 1 + i), 0);
		cr_assert_eq(clv_gbench_threads(bench, 8 + i), 0);
	}
	cr_assert_eq(clv_gbench_run("", NULL, NULL), 4);
	json_t *root = json();
	for (int i = 0; i < 4; i++) {
		json_t *e = entry(root, (size_t)i);
		cr_assert_eq(number_of(e, "real_time"), 0.5 * units[i].per_second);
		cr_assert_str_eq(text_of(e, "time_unit"), units[i].name);
		cr_assert_eq(number_of(e, "iterations"), 1 + i);
		cr_assert_eq(number_of(e, "threads"), 8 + i);
		cr_assert_eq(s[i].calls, 1);
		cr_assert_eq(s[i].iterations_seen, 1 + i);
	}
	json_decref(root);
}

static struct subject trio[3];

static void add_trio(int a, int b, int c)
{
	trio[0] = (struct subject){ .tag = 'a', .seconds = 1, .fail_at = -1 };
	trio[1] = (struct subject){ .tag = 'b', .seconds = 2, .fail_at = -1 };
	trio[2] = (struct subject){ .tag = 'c', .seconds = 4, .fail_at = -1 };
	add("a", &trio[0], a);
	add("b", &trio[1], b);
	add("c", &trio[2], c);
}

/* In the JSON, whatever the order was: a's repetitions ascending, its aggregates, then b's. */
static void expect_trio(json_t *root, const int *repetitions)
{
	static const char *const aggregates[] = { "mean", "median", "stddev", "cv" };
	size_t at = 0;

	for (int k = 0; k < 3; k++) {
		char run_name[80], name[100];
		snprintf(run_name, sizeof(run_name),
			 "%c/iterations:1/repeats:%d/process_time/manual_time", 'a' + k,
			 repetitions[k]);
		for (int r = 0; r < repetitions[k]; r++) {
			json_t *e = entry(root, at++);
			cr_assert_str_eq(text_of(e, "name"), run_name);
			cr_assert_str_eq(text_of(e, "run_name"), run_name);
			cr_assert_eq(number_of(e, "family_index"), k);
			cr_assert_eq(number_of(e, "repetition_index"), r);
			cr_assert_eq(number_of(e, "repetitions"), repetitions[k]);
			cr_assert_eq(number_of(e, "real_time"), ((1 << k) + r) * 1e9);
		}
		for (int i = 0; repetitions[k] > 1 && i < 4; i++) {
			json_t *e = entry(root, at++);
			snprintf(name, sizeof(name), "%s_%s", run_name, aggregates[i]);
			cr_assert_str_eq(text_of(e, "name"), name);
			cr_assert_str_eq(text_of(e, "run_name"), run_name);
			cr_assert_str_eq(text_of(e, "run_type"), "aggregate");
			cr_assert_str_eq(text_of(e, "aggregate_name"), aggregates[i]);
			cr_assert_eq(number_of(e, "repetitions"), repetitions[k]);
			cr_assert_eq(number_of(e, "iterations"), repetitions[k]);
		}
	}
	cr_assert_eq(entries(root), at);
}

static void run_trio(enum clv_gbench_order how, uint64_t seed, int a, int b, int c)
{
	add_trio(a, b, c);
	order[0] = '\0';
	cr_assert_eq(clv_gbench_order(how, seed), 0);
	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 3, "%s", clv_gbench_why());
	json_t *root = json();
	expect_trio(root, (int[]){ a, b, c });
	json_decref(root);
	cr_assert_eq(trio[0].calls, a);
	cr_assert_eq(trio[1].calls, b);
	cr_assert_eq(trio[2].calls, c);
	cr_assert_eq(clv_gbench_clear(), 0);
}

Test(gbench, order_grouped)
{
	run_trio(CLV_GBENCH_GROUPED, 0, 3, 1, 2);
	cr_assert_str_eq(order, "a0a1a2b0c0c1");
}

Test(gbench, order_by_rounds)
{
	run_trio(CLV_GBENCH_ROUNDS, 0, 3, 1, 2);
	cr_assert_str_eq(order, "a0b0c0a1c1a2");
}

Test(gbench, order_by_shuffled_rounds)
{
	char first[sizeof(order)];
	bool differs = false, moved = false;

	run_trio(CLV_GBENCH_SHUFFLED_ROUNDS, 1, 4, 4, 4);
	strcpy(first, order);
	run_trio(CLV_GBENCH_SHUFFLED_ROUNDS, 1, 4, 4, 4);
	cr_assert_str_eq(order, first, "one seed, two orders");
	for (uint64_t seed = 1; seed < 6; seed++) {
		run_trio(CLV_GBENCH_SHUFFLED_ROUNDS, seed, 4, 4, 4);
		differs |= strcmp(order, first) != 0;
		/* "a0c0b0 b1a1c1 ...": a round is whole before the next, each has all three */
		cr_assert_eq(strlen(order), 24);
		for (int r = 0; r < 4; r++) {
			const char *round = order + 6 * r;
			int sum = 0;
			for (int i = 0; i < 3; i++) {
				cr_assert_eq(round[2 * i + 1], '0' + r, "%s", order);
				sum |= 1 << (round[2 * i] - 'a');
			}
			cr_assert_eq(sum, 7, "%s", order);
			for (int i = 0; i < 3; i++)
				moved |= round[2 * i] != order[2 * i];
		}
	}
	cr_assert(differs, "the seed makes no difference");
	cr_assert(moved, "all rounds have one order");
}

Test(gbench, aggregates)
{
	struct subject s = { .tag = 'a', .seconds = 1, .fail_at = -1 };

	struct clv_gbench *bench = add("a", &s, 4);
	cr_assert_eq(clv_gbench_unit(bench, CLV_GBENCH_S), 0);
	cr_assert_eq(clv_gbench_iterations(bench, 2), 0);
	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 1);
	json_t *root = json();
	cr_assert_eq(entries(root), 8);
	/* 1 2 3 4 */
	double spread = sqrt(5.0 / 3);
	cr_assert_float_eq(number_of(entry(root, 4), "real_time"), 2.5, 1e-12);
	cr_assert_float_eq(number_of(entry(root, 5), "real_time"), 2.5, 1e-12);
	cr_assert_float_eq(number_of(entry(root, 6), "real_time"), spread, 1e-12);
	cr_assert_float_eq(number_of(entry(root, 7), "real_time"), spread / 2.5, 1e-12);
	cr_assert_str_eq(text_of(entry(root, 6), "aggregate_unit"), "time");
	cr_assert_str_eq(text_of(entry(root, 7), "aggregate_unit"), "percentage");
	cr_assert_eq(number_of(entry(root, 4), "ops"), 64);
	cr_assert_eq(number_of(entry(root, 6), "ops"), 0);
	cr_assert_eq(number_of(entry(root, 7), "ops"), 0);
	json_decref(root);

	cr_assert_eq(clv_gbench_repetitions(bench, 3), 0);
	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 1);
	root = json();
	cr_assert_float_eq(number_of(entry(root, 4), "real_time"), 2, 1e-12, "median of 1 2 3");
	json_decref(root);
}

static void count_both_ways(struct clv_gbench_state *state, void *ctx)
{
	(void)ctx;
	while (clv_gbench_keep_running(state))
		clv_gbench_set_seconds(state, 1);
	clv_gbench_counter(state, "signed", clv_gbench_repetition(state) ? 1 : -1, 0);
	if (!clv_gbench_repetition(state))
		clv_gbench_counter(state, "first", 1, 0);
}

/* A ratio to a mean of 0 is none; a counter that one repetition lacks has no mean. */
Test(gbench, aggregates_that_do_not_exist)
{
	struct clv_gbench *bench;

	cr_assert_eq(clv_gbench_register("a", count_both_ways, NULL, &bench), 0);
	cr_assert_eq(clv_gbench_manual_time(bench), 0);
	cr_assert_eq(clv_gbench_repetitions(bench, 2), 0);
	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 1);
	json_t *root = json();
	cr_assert_eq(entries(root), 6);
	cr_assert_eq(number_of(entry(root, 0), "first"), 1);
	cr_assert_eq(number_of(entry(root, 2), "signed"), 0);
	cr_assert_null(json_object_get(entry(root, 2), "first"));
	cr_assert_str_eq(text_of(entry(root, 5), "aggregate_name"), "cv");
	cr_assert_eq(number_of(entry(root, 5), "real_time"), 0);
	cr_assert_null(json_object_get(entry(root, 5), "signed"));
	json_decref(root);
}

/* What the report callback was told, as text. */
struct told {
	char text[2048];
	int stop_after; /* calls; 0: never */
	int calls;
	bool bad;
};

static int tell(const struct clv_gbench_report *report, void *ctx)
{
	struct told *told = ctx;
	size_t n = strlen(told->text);
	const struct subject *s = report->ctx;

	snprintf(told->text + n, sizeof(told->text) - n, "%c%d/%d%s%s ", s->tag,
		 report->repetition_index, report->repetitions,
		 report->aggregate_name ? report->aggregate_name : "", report->error ? "!" : "");
	if (report->error)
		told->bad |= !isnan(report->real_time) || !isnan(report->cpu_time) ||
			     report->counters || !*report->error_message;
	else if (report->aggregate_name)
		told->bad |= report->repetition_index != -1 ||
			     report->iterations != report->repetitions;
	else
		told->bad |= report->real_time != s->seconds + report->repetition_index ||
			     report->counters != 1 || strcmp(report->counter[0].name, "ops") ||
			     report->counter[0].value != 64 || *report->error_message;
	if (report->unit != CLV_GBENCH_S || strcmp(report->unit_name, "s") || *report->label ||
	    !strstr(report->run_name, "/manual_time") ||
	    strncmp(report->name, report->run_name, strlen(report->run_name)))
		told->bad = true;
	return ++told->calls == told->stop_after;
}

static void add_two(struct subject *a, struct subject *b)
{
	*a = (struct subject){ .tag = 'a', .seconds = 1, .fail_at = -1 };
	*b = (struct subject){ .tag = 'b', .seconds = 2, .fail_at = 1 };
	cr_assert_eq(clv_gbench_unit(add("a", a, 2), CLV_GBENCH_S), 0);
	cr_assert_eq(clv_gbench_unit(add("b", b, 3), CLV_GBENCH_S), 0);
	cr_assert_eq(clv_gbench_order(CLV_GBENCH_ROUNDS, 0), 0);
}

Test(gbench, report)
{
	struct told told = { .stop_after = 0 };
	struct subject a, b;

	add_two(&a, &b);
	cr_assert_eq(clv_gbench_run(NULL, tell, &told), 2);
	cr_assert_str_eq(told.text, "a0/2 b0/3 a1/2 a-1/2mean a-1/2median a-1/2stddev a-1/2cv "
				    "b1/3! b2/3 ");
	cr_assert(!told.bad, "%s", told.text);
}

Test(gbench, report_stops_the_run)
{
	struct told told = { .stop_after = 2 };
	struct subject a, b;

	add_two(&a, &b);
	cr_assert_eq(clv_gbench_run(NULL, tell, &told), -ECANCELED);
	cr_assert_str_eq(order, "a0b0");
	cr_assert_str_eq(told.text, "a0/2 b0/3 ");
	json_t *root = json();
	cr_assert_eq(entries(root), 2);
	json_decref(root);
	/* and again, to the end */
	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 2);
}

/* Whatever way a repetition fails, it has a reason and no number, and its benchmark no mean. */
Test(gbench, failed_repetition)
{
	static const char *const messages[] = {
		[FAIL_BY_ERROR] = "lost 3 \"intervals\"??",
		[FAIL_BEFORE_LOOP] = "skipped",
		[FAIL_LEFT_LOOP] = "left its loop early, at 1 of 2 iterations",
		[FAIL_LAST_CALL] = "left its loop early, at 2 of 2 iterations",
		[FAIL_NO_TIME] = "set a time 0 times in 2 iterations",
	};

	for (int how = FAIL_BY_ERROR; how <= FAIL_NO_TIME; how++) {
		struct subject s = { .tag = 'a', .seconds = 1, .fail_at = 1 };
		struct subject other = { .tag = 'b', .seconds = 1, .fail_at = -1 };
		s.how = how;
		struct clv_gbench *bench = add("a", &s, 4);
		cr_assert_eq(clv_gbench_iterations(bench, 2), 0);
		add("b", &other, 2);
		cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 2);
		cr_assert_eq(s.calls, 4, "the others ran");
		json_t *root = json();
		cr_assert_eq(entries(root), 4 + 2 + 4, "failure %d: %zu entries", how,
			     entries(root));
		for (int r = 0; r < 4; r++) {
			json_t *e = entry(root, (size_t)r);
			cr_assert_eq(number_of(e, "repetition_index"), r);
			cr_assert_eq(number_of(e, "repetitions"), 4);
			if (r != 1) {
				cr_assert_null(json_object_get(e, "error_occurred"));
				cr_assert_eq(number_of(e, "real_time"), (1 + r) * 1e9);
				continue;
			}
			cr_assert(json_is_true(json_object_get(e, "error_occurred")));
			cr_assert_str_eq(text_of(e, "error_message"), messages[how]);
			cr_assert_str_eq(text_of(e, "run_name"),
					 text_of(entry(root, 0), "run_name"));
			cr_assert_null(json_object_get(e, "real_time"));
			cr_assert_null(json_object_get(e, "cpu_time"));
			cr_assert_null(json_object_get(e, "iterations"));
			cr_assert_null(json_object_get(e, "ops"));
		}
		json_decref(root);
		cr_assert_eq(clv_gbench_clear(), 0);
	}
}

Test(gbench, all_repetitions_failed)
{
	struct subject s = { .tag = 'a', .seconds = 1, .fail_at = 0, .how = FAIL_BEFORE_LOOP };

	add("a", &s, 0);
	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 1);
	json_t *root = json();
	cr_assert_eq(entries(root), 1);
	cr_assert(json_is_true(json_object_get(entry(root, 0), "error_occurred")));
	json_decref(root);
}

static void take_long(struct clv_gbench_state *state, void *ctx)
{
	(void)ctx;
	while (clv_gbench_keep_running(state))
		clv_gbench_set_seconds(state, 1e308);
}

/* A time that no double can hold in the unit wanted is an error, not Infinity in the JSON. */
Test(gbench, time_that_overflows)
{
	struct clv_gbench *bench;

	cr_assert_eq(clv_gbench_register("a", take_long, NULL, &bench), 0);
	cr_assert_eq(clv_gbench_manual_time(bench), 0);
	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 1);
	json_t *root = json();
	cr_assert_str_eq(text_of(entry(root, 0), "error_message"), "the time is not finite");
	json_decref(root);
}
