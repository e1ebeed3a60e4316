// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The contract, for all that designs.h lists: the designs that have names, every scheme with every
 * lock over rb_interval, and a cover of all pairs of structure, scheme, partition and lock; without
 * CLEAVE_LONG of locks that sleep, in the latter, and a round of each scenario where threads spin,
 * which beside other tests is mostly for those that have no CPU. Prints how many designs there were,
 * and how many were refused, since their parts do not go together.
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

#include "designs.h"
#include "lib/design.h"
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

/* As it names itself; what does not parse as it is. */
static void name(char *out, const char *design)
{
	struct clv_design parsed;

	if (clv_design_parse(&parsed, design, NULL))
		snprintf(out, DESIGN_BYTES, "%s", design);
	else
		clv_design_name(&parsed, out, DESIGN_BYTES);
}

static bool has(const struct designs *designs, const char *canonical)
{
	for (size_t i = 0; i < designs->count; i++) {
		if (!strcmp(designs->at[i].name, canonical))
			return true;
	}
	return false;
}

static void collect(const char *design, void *arg)
{
	struct designs *designs = arg;
	char canonical[DESIGN_BYTES];
	int code = suite_try_open(designs->suite, design, NULL);

	if (code == -ENOTSUP) {
		designs->refused++;
		return;
	}
	/* Any other code is left for the test to report. */
	name(canonical, design);
	if (designs->count < DESIGNS_MAX && !has(designs, canonical))
		snprintf(designs->at[designs->count++].name, DESIGN_BYTES, "%s", canonical);
}

static void collect_all(struct designs *designs)
{
	designs_named(collect, designs);
	designs_locked(collect, designs);
	designs_cover(designs->suite->env, NULL, suite_scale() > 1 ? 0 : CLV_LOCK_SPINS, collect,
		      designs);
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
		collect_all(&designs);
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
	if (designs_spin(design->name))
		suite.rounds = suite_scale();
	suite.threads = designs_threads(design->name, suite.threads);
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

	cr_assert(suite_open(&suite));
	for (unsigned i = 0; (structure = cleave_structure_at(i)); i++) {
		struct designs designs = { .suite = &suite };

		designs_cover(suite.env, structure->name, 0, count, &designs);
		cr_expect(designs.count > 0, "%s: all %u designs are refused", structure->name,
			  designs.refused);
	}
	suite_close(&suite);
}

/* Of structure and lock; a design's are marked as met. */
struct pairs {
	const struct suite *suite;
	bool met[64][64];
};

static unsigned place(const void *wanted, const void *(*at)(unsigned i))
{
	unsigned i = 0;

	while (at(i) != wanted)
		i++;
	return i;
}

static const void *structure_at(unsigned i)
{
	return cleave_structure_at(i);
}

static const void *lock_at(unsigned i)
{
	return clv_lock_type_at(i);
}

static void meet(const char *design, void *arg)
{
	struct pairs *pairs = arg;
	struct clv_design parsed;

	if (suite_try_open(pairs->suite, design, NULL) ||
	    clv_design_parse(&parsed, design, NULL) || !parsed.lock[0].type)
		return;
	pairs->met[place(parsed.structure, structure_at)][place(parsed.lock[0].type, lock_at)] =
		true;
}

/* Schemes with locks: designs_locked; structures with schemes: designs_cover has all of them. */
Test(model, every_structure_meets_every_lock)
{
	struct suite suite = make_suite();
	struct pairs pairs = { .suite = &suite };
	const struct cleave_structure *structure;
	const struct clv_lock_type *lock;

	cr_assert(suite_open(&suite));
	designs_cover(suite.env, NULL, 0, meet, &pairs);
	for (unsigned i = 0; (structure = cleave_structure_at(i)); i++) {
		for (unsigned k = 0; (lock = clv_lock_type_at(k)); k++) {
			char design[DESIGN_BYTES];

			snprintf(design, sizeof(design), "%s/one:%s", structure->name, lock->name);
			cr_expect(pairs.met[i][k] || suite_try_open(&suite, design, NULL),
				  "%s does not meet %s", structure->name, lock->name);
		}
	}
	suite_close(&suite);
}

static void refuse(const char *design, void *arg)
{
	struct designs *designs = arg;
	struct cleave_error error = { "" };
	int code = suite_try_open(designs->suite, design, &error);

	designs->count++;
	designs->refused += code != 0;
	if (!code)
		return;
	cr_expect_eq(code, -ENOTSUP, "%s: %d: %s", design, code, error.text);
	cr_expect(designs_may_refuse(design), "%s is refused: %s", design, error.text);
	cr_expect(error.text[0] && !strchr(error.text, '\n'), "%s: not one line: '%s'", design,
		  error.text);
}

/* What does not go together says so, and nothing else is refused. */
Test(model, refusals)
{
	struct suite suite = make_suite();
	struct designs locked = { .suite = &suite }, named = { .suite = &suite };
	struct designs cover = { .suite = &suite };

	cr_assert(suite_open(&suite));
	designs_locked(refuse, &locked);
	designs_named(refuse, &named);
	designs_cover(suite.env, NULL, 0, count, &cover);
	suite_close(&suite);
	cr_expect_eq(named.refused, 0);
	printf("%zu designs with names; %zu of schemes and locks, %u of them refused; %zu of pairs, "
	       "%u refused\n", named.count, locked.count, locked.refused,
	       cover.count + cover.refused, cover.refused);
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
