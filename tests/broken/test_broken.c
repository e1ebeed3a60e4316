// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * usage: test_broken [NAME...]
 *
 * Proof that the contract suite can fail. Every design of registry.def, with one change made to the
 * real source, is put through the suite, each check in a process of its own; the check that is
 * named there has to fail. Then the same copies without the change, which have to pass everything.
 * Prints who caught what, and how.
 *
 * A check that makes no progress for some time is ended: it hangs. That counts as failing only
 * where registry.def expects it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bugs.h"
#include "dawdle.h"
#include "lib/locks/lock.h"
#include "lib/schemes/scheme.h"
#include "tests/model/suite.h"
#include "tests/wanted.h"

enum {
	BROKEN_SEEDS = 20, /* of the check that has to catch it; the first that does is enough */
	BROKEN_ROUNDS = 20,
	INTACT_ROUNDS = 6,
	HANG_S = 5,	     /* without progress, of what may hang */
	INTACT_HANG_S = 120, /* and of what must not */
	CATCHERS_SHOWN = 4,
};

static const struct bug table[] = {
#include "registry.def"
};

enum { BUGS = sizeof(table) / sizeof(table[0]) };

/* Made by meson.build: an array of each kind, NULL behind the last, broken and intact copies. */
extern const struct cleave_structure *const seeded_structures[];
extern const struct clv_scheme *const seeded_schemes[];
extern const struct clv_lock_type *const seeded_locks[];

static bool register_all(void)
{
	struct cleave_error error = { "" };

	for (unsigned i = 0; seeded_structures[i]; i++) {
		if (cleave_register(seeded_structures[i], &error)) {
			fprintf(stderr, "cleave: %s\n", error.text);
			return false;
		}
	}
	for (unsigned i = 0; seeded_schemes[i]; i++) {
		if (clv_scheme_add(seeded_schemes[i])) {
			fprintf(stderr, "cleave: scheme %s: cannot be added\n",
				seeded_schemes[i]->name);
			return false;
		}
	}
	for (unsigned i = 0; seeded_locks[i]; i++) {
		if (clv_lock_type_add(seeded_locks[i])) {
			fprintf(stderr, "cleave: lock %s: cannot be added\n",
				seeded_locks[i]->name);
			return false;
		}
	}
	return !dawdle_add();
}

/* ---- one check in a process of its own ---- */

enum end { PASSED, FAILED, CRASHED, HUNG, NOT_RUN };

/* Shared with the child. */
struct result {
	uint64_t progress;
	unsigned ran, failed;
	bool finished;
	char why[480];
};

static struct result *result;

static bool keep(const struct outcome *outcome, void *arg)
{
	(void)arg;
	if (!outcome->passed)
		memcpy(result->why, outcome->why, sizeof(result->why));
	return outcome->passed;
}

static void run_child(const char *design, const char *check, uint64_t seed, unsigned rounds)
{
	struct suite suite = {
		.seed = seed,
		.threads = 3,
		.rounds = rounds,
		.batches = 60,
		.progress = &result->progress,
	};
	/* What a sanitizer says of a bug that was put there is no news. */
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (nowhere >= 0)
		dup2(nowhere, STDERR_FILENO);
	if (!suite_open(&suite))
		_exit(3);
	result->failed = suite_run(&suite, design, check, &result->ran, keep, NULL);
	result->finished = true;
	_exit(0);
}

/* Returns: the child's status, or -1 if it made no progress for that long and was ended. */
static int watch(pid_t child, unsigned hang_s)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	uint64_t seen = 0;
	unsigned naps = 0;
	int status;

	while (waitpid(child, &status, WNOHANG) != child) {
		uint64_t progress = __atomic_load_n(&result->progress, __ATOMIC_RELAXED);

		nanosleep(&nap, NULL);
		naps = progress == seen ? naps + 1 : 0;
		seen = progress;
		if (naps / 1000 < hang_s)
			continue;
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		return -1;
	}
	return status;
}

static enum end run_apart(const char *design, const char *check, uint64_t seed, unsigned rounds,
			  unsigned hang_s)
{
	pid_t child;
	int status;

	memset(result, 0, sizeof(*result));
	fflush(NULL);
	child = fork();
	if (child < 0) {
		perror("cleave: fork");
		exit(1);
	}
	if (!child)
		run_child(design, check, seed, rounds);
	status = watch(child, hang_s);
	if (status == -1) {
		snprintf(result->why, sizeof(result->why), "%s: %s: no progress for %u s", design,
			 check, hang_s);
		return HUNG;
	}
	if (!WIFEXITED(status) || !result->finished) {
		snprintf(result->why, sizeof(result->why), "%s: %s: seed %llu: ended by %s %d",
			 design, check, (unsigned long long)seed,
			 WIFEXITED(status) ? "exit" : "signal",
			 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		return CRASHED;
	}
	if (!result->ran)
		return NOT_RUN;
	return result->failed ? FAILED : PASSED;
}

/* ---- broken designs ---- */

static const char *check_name(unsigned i)
{
	unsigned checks = 0;

	while (suite_checks[checks].name)
		checks++;
	if (i < checks)
		return suite_checks[i].name;
	const struct clv_scenario *scenario = clv_scenario_at(i - checks);
	return scenario ? scenario->name : NULL;
}

/* Returns: was it caught, by the check and in the way that is expected? */
static bool catch_one(const struct bug *broken)
{
	char design[128], name[80], others[200] = "";
	enum end end = PASSED;
	uint64_t seed;
	const char *other;
	unsigned caught_by = 0;

	snprintf(name, sizeof(name), "broken_%s", broken->name);
	snprintf(design, sizeof(design), broken->design, name);
	for (seed = 1; seed <= BROKEN_SEEDS && end == PASSED; seed++)
		end = run_apart(design, broken->check, seed, BROKEN_ROUNDS, HANG_S);
	if (end == PASSED || end == NOT_RUN) {
		printf("NOT CAUGHT  %s: %s %s\n", design, broken->check,
		       end == PASSED ? "passes" : "does not apply");
		return false;
	}
	if ((broken->how == HANGS) != (end == HUNG)) {
		printf("NOT CAUGHT  %s: %s was expected to %s: %s\n", design, broken->check,
		       broken->how == HANGS ? "hang" : "fail", result->why);
		return false;
	}
	printf("caught  %s\n        %s\n", design, result->why);
	/* Who else would have; not of what hangs, where each costs its time. */
	for (unsigned i = 0; (other = check_name(i)) && broken->how != HANGS; i++) {
		if (!strcmp(other, broken->check))
			continue;
		end = run_apart(design, other, 1, INTACT_ROUNDS, HANG_S);
		if (end == FAILED || end == CRASHED || end == HUNG) {
			size_t used = strlen(others);

			if (caught_by++ < CATCHERS_SHOWN)
				snprintf(others + used, sizeof(others) - used, " %s", other);
			if (end == HUNG)
				break;
		}
	}
	if (caught_by)
		printf("        also by%s%s\n", others, caught_by > CATCHERS_SHOWN ? " ..." : "");
	return true;
}

/* ---- the same without the change ---- */

static bool pass_intact(const struct bug *broken)
{
	char design[128], name[80];
	const char *check;
	unsigned ran = 0;

	snprintf(name, sizeof(name), "intact_%s", broken->original);
	snprintf(design, sizeof(design), broken->design, name);
	for (unsigned i = 0; (check = check_name(i)); i++) {
		enum end end = run_apart(design, check, 1, INTACT_ROUNDS, INTACT_HANG_S);

		if (end == NOT_RUN)
			continue;
		if (end != PASSED) {
			printf("FAILS INTACT  %s\n", result->why);
			return false;
		}
		ran++;
	}
	printf("passes  %s: %u checks\n", design, ran);
	return true;
}

int main(int argc, char **argv)
{
	unsigned bugs = 0, caught = 0, intact = 0, passed = 0;

	result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (result == MAP_FAILED || !register_all())
		return 1;
	for (unsigned i = 0; i < BUGS; i++) {
		if (!is_wanted(table[i].name, argc, argv))
			continue;
		bugs++;
		caught += catch_one(&table[i]);
		if (is_first_of_original(table, i)) {
			intact++;
			passed += pass_intact(&table[i]);
		}
	}
	printf("%u of %u seeded bugs caught; %u of %u intact copies pass\n", caught, bugs, passed,
	       intact);
	return !bugs || caught < bugs || passed < intact;
}
