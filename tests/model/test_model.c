// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The contract, for every structure under every scheme and partition, and of three locks under one
 * each, or with CLEAVE_LONG under all. Prints how many designs
 * and checks there were; a design whose parts do not go together is counted as refused.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "suite.h"

enum { DESIGN_BYTES = 128, DESIGNS_MAX = 4096 };

struct design {
	char name[DESIGN_BYTES];
};

struct designs {
	const struct suite *suite;
	struct design *at;
	size_t count;
	unsigned refused;
};

/* For the line that is written if a check crashes. */
static char current[DESIGN_BYTES + 64];

static void say_current(void)
{
	static const char front[] = "cleave: crashed: ";

	if (write(STDERR_FILENO, front, sizeof(front) - 1) < 0 ||
	    write(STDERR_FILENO, current, strlen(current)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
		return;
}

#ifdef __SANITIZE_ADDRESS__
static void watch_crashes(void)
{
	__sanitizer_set_death_callback(say_current);
}
#else
static void crash(int number)
{
	say_current();
	signal(number, SIG_DFL);
	raise(number);
}

static void watch_crashes(void)
{
	signal(SIGSEGV, crash);
	signal(SIGBUS, crash);
	signal(SIGABRT, crash);
	signal(SIGFPE, crash);
}
#endif

static void collect(const char *design, void *arg)
{
	struct designs *designs = arg;
	struct cleave_error error = { "" };
	int code = suite_try_open(designs->suite, design, &error);

	if (code == -ENOTSUP) {
		designs->refused++;
		return;
	}
	/* Any other code is left for the test to report. */
	if (designs->count < DESIGNS_MAX)
		snprintf(designs->at[designs->count++].name, DESIGN_BYTES, "%s", design);
}

static struct suite make_suite(void)
{
	struct suite suite = {
		.seed = 1,
		.threads = 3,
		.rounds = 10 * suite_scale(),
		.batches = 200 * suite_scale(),
	};

	return suite;
}

static bool report(const struct outcome *outcome, void *arg)
{
	(void)arg;
	cr_expect(outcome->passed, "%s", outcome->why);
	return outcome->passed;
}

TestSuite(model, .timeout = 60000);

ParameterizedTestParameters(model, contract)
{
	struct designs designs = { 0 };
	struct suite suite = make_suite();

	designs.at = cr_malloc(DESIGNS_MAX * sizeof(*designs.at));
	if (suite_open(&suite)) {
		designs.suite = &suite;
		suite_designs(&suite, NULL, collect, &designs);
		suite_close(&suite);
	}
	return cr_make_param_array(struct design, designs.at, designs.count);
}

ParameterizedTest(struct design *design, model, contract)
{
	struct suite suite = make_suite();
	unsigned ran;

	snprintf(current, sizeof(current), "%s", design->name);
	watch_crashes();
	cr_assert(suite_open(&suite));
	cr_expect_eq(suite_run(&suite, design->name, NULL, &ran, report, NULL), 0);
	suite_close(&suite);
#ifdef __SANITIZE_ADDRESS__
	cr_assert_eq(__lsan_do_recoverable_leak_check(), 0, "%s: leaks", design->name);
#endif
}

static void count(const char *design, void *arg)
{
	struct designs *designs = arg;

	if (suite_try_open(designs->suite, design, NULL) == -ENOTSUP)
		designs->refused++;
	else
		designs->count++;
}

/* No structure goes unchecked because every design of it is refused. */
Test(model, every_structure_has_designs)
{
	struct suite suite = make_suite();
	const struct cleave_structure *structure;
	unsigned all = 0, refused = 0;

	cr_assert(suite_open(&suite));
	for (unsigned i = 0; (structure = cleave_structure_at(i)); i++) {
		struct designs designs = { .suite = &suite };

		suite_designs(&suite, structure->name, count, &designs);
		cr_expect(designs.count > 0, "%s: all %u designs are refused", structure->name,
			  designs.refused);
		all += (unsigned)designs.count;
		refused += designs.refused;
	}
	suite_close(&suite);
	printf("%u designs, %u refused\n", all, refused);
}

/*
 * each.handover says that it does not keep C3. That it does not, if made to: a batch over the first
 * and the last of several subsets comes between a walk's looks at them. Were it kept after all, the
 * claim would be wrong, and this test with it.
 */
Test(model, handover_misses_coverage)
{
	struct suite suite = make_suite();
	struct outcome outcome;
	unsigned missed = 0;

	cr_assert(suite_open(&suite));
	suite.rounds = 20;
	for (suite.seed = 1; suite.seed <= 10 && !missed; suite.seed++) {
		missed += !suite_scenario(&suite, "rb_interval@cpu1/each.handover:rwsem",
					  clv_scenario_find("merge"), &outcome);
	}
	cr_assert(missed, "each.handover was not seen to miss a page");
	cr_assert(strstr(outcome.why, "a walk saw a page uncovered"), "%s", outcome.why);
	suite_close(&suite);
}
