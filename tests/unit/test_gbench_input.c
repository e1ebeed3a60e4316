// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * gbench.h: what callers give it: arguments, counters, names, settings, filters, context; what it
 * refuses; and that neither the environment nor an earlier run shows.
 */
#include "gbench_subject.h"

#include <criterion/redirect.h>
#include <errno.h>
#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(gbench_input, .init = start, .fini = stop);

Test(gbench_input, arguments)
{
	static const int64_t tuple[2][2] = { { 8, -1 }, { 16, 2 } };
	static const char *const names[] = { "threads", "x" };
	struct subject s = { .tag = 'a', .seconds = 1, .fail_at = -1 };
	struct clv_gbench *bench = add("a", &s, 2);

	cr_assert_eq(clv_gbench_add_args(bench, tuple[0], 2), 0);
	cr_assert_eq(clv_gbench_add_args(bench, tuple[0], 2), -EEXIST);
	cr_assert_eq(clv_gbench_add_args(bench, tuple[1], 1), -EINVAL);
	cr_assert_eq(clv_gbench_add_args(bench, tuple[1], 2), 0);
	cr_assert_eq(clv_gbench_add_args(bench, NULL, 2), -EINVAL);
	cr_assert_eq(clv_gbench_arg_names(bench, names, 1), -EINVAL);
	cr_assert_eq(clv_gbench_arg_names(bench, names, 2), 0);
	cr_assert_eq(clv_gbench_order(CLV_GBENCH_ROUNDS, 0), 0);
	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 2);
	cr_assert_eq(s.calls, 4);
	json_t *root = json();
	cr_assert_eq(entries(root), 12);
	cr_assert_str_eq(text_of(entry(root, 0), "name"),
			 "a/threads:8/x:-1/iterations:1/repeats:2/process_time/manual_time");
	cr_assert_str_eq(text_of(entry(root, 6), "name"),
			 "a/threads:16/x:2/iterations:1/repeats:2/process_time/manual_time");
	cr_assert_eq(number_of(entry(root, 6), "family_index"), 0);
	cr_assert_eq(number_of(entry(root, 6), "per_family_instance_index"), 1);
	json_decref(root);

	cr_assert_eq(clv_gbench_run("/threads:8/", NULL, NULL), 1);
	cr_assert_eq(s.arg_seen, 8);
	cr_assert_eq(clv_gbench_run("-/threads:8/", NULL, NULL), 1);
	cr_assert_eq(s.arg_seen, 16);
}

static void count(struct clv_gbench_state *state, void *ctx)
{
	int *rc = ctx;
	int64_t value;

	cr_assert_eq(clv_gbench_arg(state, 0, &value), -ERANGE);
	while (clv_gbench_keep_running(state))
		*rc = clv_gbench_set_seconds(state, 0.25);
	cr_assert_eq(clv_gbench_counter(state, "plain", 100, 0), 0);
	cr_assert_eq(clv_gbench_counter(state, "rate", 100, CLV_GBENCH_RATE), 0);
	cr_assert_eq(clv_gbench_counter(state, "average", 100, CLV_GBENCH_AVERAGE), 0);
	cr_assert_eq(clv_gbench_counter(state, "invariant", 100, CLV_GBENCH_INVARIANT), 0);
	cr_assert_eq(clv_gbench_counter(state, "inverse", 100, CLV_GBENCH_RATE | CLV_GBENCH_INVERT),
		     0);
	cr_assert_eq(clv_gbench_counter(state, "again", 1, 0), 0);
	cr_assert_eq(clv_gbench_counter(state, "again", 2, 0), 0);
	cr_assert_eq(clv_gbench_counter(state, "1/0", 0, CLV_GBENCH_INVERT), 0);
	cr_assert_eq(clv_gbench_label(state, "80 % \"of\" \\ what"), 0);

	cr_assert_eq(clv_gbench_counter(state, "real_time", 1, 0), -EINVAL);
	cr_assert_eq(clv_gbench_counter(state, "", 1, 0), -EINVAL);
	cr_assert_eq(clv_gbench_counter(state, NULL, 1, 0), -EINVAL);
	cr_assert_eq(clv_gbench_counter(state, "bad\n", 1, 0), -EINVAL);
	cr_assert_eq(clv_gbench_counter(state, "bad", NAN, 0), -EINVAL);
	cr_assert_eq(clv_gbench_counter(state, "bad", INFINITY, 0), -EINVAL);
	cr_assert_eq(clv_gbench_counter(state, "bad", 1, 1u << 20), -EINVAL);
	cr_assert_eq(clv_gbench_label(state, "bad\t"), -EINVAL);
	cr_assert_eq(clv_gbench_set_seconds(state, 0), -EINVAL);
	cr_assert_eq(clv_gbench_set_seconds(state, -1), -EINVAL);
	cr_assert_eq(clv_gbench_set_seconds(state, NAN), -EINVAL);
	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), -EBUSY);
	cr_assert_eq(clv_gbench_clear(), -EBUSY);
	cr_assert_eq(clv_gbench_shutdown(), -EBUSY);
	cr_assert_eq(clv_gbench_context("a", "b"), -EBUSY);
}

Test(gbench_input, counters_and_label)
{
	struct clv_gbench *bench;
	int rc = -1;

	cr_assert_eq(clv_gbench_register("a", count, &rc, &bench), 0);
	cr_assert_eq(clv_gbench_manual_time(bench), 0);
	cr_assert_eq(clv_gbench_iterations(bench, 4), 0);
	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 1);
	cr_assert_eq(rc, 0);
	json_t *root = json(), *e = entry(root, 0);
	/* 4 iterations of 0.25 s */
	cr_assert_eq(number_of(e, "plain"), 100);
	cr_assert_eq(number_of(e, "rate"), 100);
	cr_assert_eq(number_of(e, "average"), 25);
	cr_assert_eq(number_of(e, "invariant"), 400);
	cr_assert_eq(number_of(e, "inverse"), 0.01);
	cr_assert_eq(number_of(e, "again"), 2);
	cr_assert_null(json_object_get(e, "1/0"));
	cr_assert_null(json_object_get(e, "bad"));
	cr_assert_str_eq(text_of(e, "label"), "80 % \"of\" \\ what");
	json_decref(root);
}

/* Without clv_gbench_manual_time the library measures, and no time can be given. */
Test(gbench_input, measured_time)
{
	struct clv_gbench *bench;
	int rc = 0;

	cr_assert_eq(clv_gbench_register("a", count, &rc, &bench), 0);
	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 1);
	cr_assert_eq(rc, -EINVAL);
	json_t *root = json(), *e = entry(root, 0);
	cr_assert_str_eq(text_of(e, "name"), "a/iterations:1/process_time/real_time");
	cr_assert_gt(number_of(e, "real_time"), 0);
	json_decref(root);
}

Test(gbench_input, filter)
{
	char *text = NULL;

	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), -ENOENT);
	cr_assert_eq(clv_gbench_json(&text, NULL), -ENODATA);
	struct subject s[] = {
		{ .tag = 'a', .seconds = 1, .fail_at = -1 },
		{ .tag = 'b', .seconds = 1, .fail_at = -1 },
		{ .tag = 'c', .seconds = 1, .fail_at = -1 },
	};
	add("a", &s[0], 0);
	add("b", &s[1], 0);
	add("c", &s[2], 0);
	cr_assert_eq(clv_gbench_run("^[ac]/", NULL, NULL), 2);
	cr_assert_str_eq(order, "a0c0");
	json_t *root = json();
	cr_assert_eq(entries(root), 2);
	json_decref(root);

	cr_assert_eq(clv_gbench_run("nothing", NULL, NULL), -ENOENT);
	cr_assert_str_eq(clv_gbench_why(), "benchmark filter nothing: matches nothing");
	cr_assert_eq(clv_gbench_json(&text, NULL), -ENODATA, "results of an earlier run");
	cr_assert_eq(clv_gbench_run("(", NULL, NULL), -EINVAL);
	cr_assert_str_eq(clv_gbench_why(), "benchmark filter (: not a regular expression");
	cr_assert_str_eq(order, "a0c0");
	cr_assert_null(text);
}

Test(gbench_input, names)
{
	static const char *const good[] = { "a b", "\xc3\xa9", "\xf0\x9f\x92\xa9", "a/b:c+d@e" };
	static const char *const bad[] = {
		"",	    "a\nb",	    "\x7f",	    "\xff",	       "\xc3",
		"\xc0\x80", "\xed\xa0\x80", "\xe0\x80\x80", "\xf4\x90\x80\x80", "a\x01",
	};
	struct subject s = { .tag = 'a', .seconds = 1, .fail_at = -1 };
	struct clv_gbench *bench = NULL;
	char name[514];

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		cr_assert_eq(clv_gbench_register(bad[i], repetition, &s, &bench), -EINVAL,
			     "name %zu", i);
		cr_assert_neq(clv_gbench_why()[0], '\0');
	}
	memset(name, 'x', sizeof(name));
	name[513] = '\0';
	cr_assert_eq(clv_gbench_register(name, repetition, &s, &bench), -EINVAL);
	name[512] = '\0';
	add(name, &s, 0);
	cr_assert_eq(clv_gbench_register(NULL, repetition, &s, &bench), -EINVAL);
	cr_assert_eq(clv_gbench_register("a", NULL, &s, &bench), -EINVAL);
	cr_assert_eq(clv_gbench_register("a", repetition, &s, NULL), -EINVAL);
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		add(good[i], &s, 0);
		cr_assert_eq(clv_gbench_register(good[i], repetition, &s, &bench), -EEXIST);
	}
	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 5);
	json_t *root = json();
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		cr_assert(strstr(text_of(entry(root, 1 + i), "name"), good[i]) ==
			  text_of(entry(root, 1 + i), "name"));
	json_decref(root);
}

Test(gbench_input, settings)
{
	struct subject s = { .tag = 'a', .seconds = 1, .fail_at = -1 };
	struct clv_gbench *bench = add("a", &s, 0);

	cr_assert_eq(clv_gbench_iterations(bench, 0), -EINVAL);
	cr_assert_eq(clv_gbench_repetitions(bench, 0), -EINVAL);
	cr_assert_eq(clv_gbench_threads(bench, 0), -EINVAL);
	cr_assert_eq(clv_gbench_unit(bench, (enum clv_gbench_unit)4), -EINVAL);
	cr_assert_eq(clv_gbench_order((enum clv_gbench_order)3, 0), -EINVAL);
	cr_assert_eq(clv_gbench_iterations(NULL, 1), -EINVAL);
	cr_assert_eq(clv_gbench_init(), -EBUSY);
	cr_assert(strchr(clv_gbench_version(), '.'), "%s", clv_gbench_version());
}

Test(gbench_input, context)
{
	struct subject s = { .tag = 'a', .seconds = 1, .fail_at = -1 };

	add("a", &s, 0);
	cr_assert_eq(clv_gbench_context("machine", "first"), 0);
	cr_assert_eq(clv_gbench_context("machine", "12 \"nodes\""), 0);
	cr_assert_eq(clv_gbench_context("empty", ""), 0);
	cr_assert_eq(clv_gbench_context("num_cpus", "384"), -EINVAL);
	cr_assert_eq(clv_gbench_context("", "x"), -EINVAL);
	cr_assert_eq(clv_gbench_context("bad", "\xff"), -EINVAL);
	cr_assert_eq(clv_gbench_context("bad", NULL), -EINVAL);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 1);
		json_t *root = json(), *context = json_object_get(root, "context");
		cr_assert_str_eq(text_of(context, "machine"), "12 \"nodes\"");
		cr_assert_str_eq(text_of(context, "empty"), "");
		cr_assert_null(json_object_get(context, "bad"));
		cr_assert_str_eq(text_of(context, "executable"), "cleave");
		cr_assert_gt(number_of(context, "num_cpus"), 0);
		json_decref(root);
	}
	cr_assert_eq(clv_gbench_clear(), 0);
	add("a", &s, 0);
	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 1);
	json_t *root = json();
	cr_assert_null(json_object_get(json_object_get(root, "context"), "machine"));
	json_decref(root);
}

Test(gbench_input, several_runs_in_a_process)
{
	for (int i = 0; i < 3; i++) {
		struct subject s = { .tag = 'a', .seconds = 1 + i, .fail_at = -1 };
		add("a", &s, 2);
		cr_assert_eq(clv_gbench_context("round", "x"), 0);
		for (int k = 0; k < 2; k++) {
			cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 1);
			json_t *root = json();
			cr_assert_eq(entries(root), 2 + 4);
			cr_assert_eq(number_of(entry(root, 0), "real_time"), (1 + i) * 1e9);
			json_decref(root);
		}
		cr_assert_eq(s.calls, 4);
		cr_assert_eq(clv_gbench_shutdown(), 0);
		cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), -EPERM);
		cr_assert_eq(clv_gbench_shutdown(), -EPERM);
		cr_assert_eq(clv_gbench_init(), 0);
	}
}

/* The library reads these when it is loaded: run the test above in a process that has them. */
Test(gbench_input, environment_is_ignored)
{
	char *argv[] = { "test", "--filter=gbench_input/several_runs_in_a_process", NULL };
	char *env[] = {
		"BENCHMARK_LIST_TESTS=true",
		"BENCHMARK_FILTER=none",
		"BENCHMARK_REPETITIONS=3",
		"BENCHMARK_ENABLE_RANDOM_INTERLEAVING=true",
		"BENCHMARK_REPORT_AGGREGATES_ONLY=true",
		"BENCHMARK_OUT=/dev/full/none",
		"BENCHMARK_OUT_FORMAT=none",
		"BENCHMARK_FORMAT=none",
		"BENCHMARK_COLOR=",
		"BENCHMARK_TIME_UNIT=none",
		"BENCHMARK_PERF_COUNTERS=CYCLES",
		"BENCHMARK_CONTEXT=round=y",
		NULL,
	};
	int status;
	pid_t child = fork();

	cr_assert_geq(child, 0);
	if (!child) {
		execve("/proc/self/exe", argv, env);
		_exit(127);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned)status);
}

/* Also not the library's warning that it is a debug build, nor with no match. */
Test(gbench_input, prints_nothing)
{
	stop();
	cr_redirect_stdout();
	cr_redirect_stderr();
	start();
	struct subject s = { .tag = 'a', .seconds = 1, .fail_at = 0 };
	add("a", &s, 2);
	clv_gbench_context("a", "1");
	clv_gbench_context("a", "2");
	cr_assert_eq(clv_gbench_run(NULL, NULL, NULL), 1);
	cr_assert_eq(clv_gbench_run("none", NULL, NULL), -ENOENT);
	cr_assert_eq(clv_gbench_run("(", NULL, NULL), -EINVAL);
	fflush(stdout);
	fflush(stderr);
	cr_assert_stdout_eq_str("");
	cr_assert_stderr_eq_str("");
}
