// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * clv_pool_run: every job is told of once, whatever became of it, and no process is left.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../harness/pool.h"
#include "../../lib/error.h"

enum { JOBS_MAX = 200, BIG = 3 << 20 };

/* What came of a job. */
struct outcome {
	unsigned times;
	int code;
	size_t bytes;
	unsigned char first, last;
	char why[240];
};

struct test {
	struct outcome outcome[JOBS_MAX];
	unsigned started[JOBS_MAX], starts; /* in this process: jobs as progress named them */
	double done;
	/* Shared by all processes. */
	unsigned *now, *most;
};

static void *shared_word(void)
{
	void *word = mmap(NULL, sizeof(unsigned), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(word, MAP_FAILED);
	return word;
}

static struct test *new_test(void)
{
	struct test *test = calloc(1, sizeof(*test));
	cr_assert(test);
	test->now = shared_word();
	test->most = shared_word();
	return test;
}

static void ended(void *arg, unsigned job, int code, const void *data, size_t bytes,
		  const char *why)
{
	struct test *test = arg;
	struct outcome *outcome = &test->outcome[job];
	cr_assert_lt(job, JOBS_MAX);
	outcome->times++;
	outcome->code = code;
	outcome->bytes = bytes;
	cr_assert_eq(!code, !why);
	cr_assert(!code || (!data && !bytes && !strchr(why, '\n')));
	if (why)
		snprintf(outcome->why, sizeof(outcome->why), "%s", why);
	if (bytes) {
		outcome->first = *(const unsigned char *)data;
		outcome->last = ((const unsigned char *)data)[bytes - 1];
	}
}

static void hand_back(unsigned job, size_t size, void **data, size_t *bytes)
{
	*data = malloc(size ? size : 1);
	memset(*data, (int)(job & 0xff), size);
	*bytes = size;
}

static void expect_no_process(void)
{
	cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
	cr_assert_eq(errno, ECHILD);
}

static int run(struct test *test, unsigned jobs, unsigned processes,
	       int (*work)(void *, unsigned, void **, size_t *, struct cleave_error *))
{
	const struct clv_pool pool = {
		.jobs = jobs, .processes = processes, .work = work, .ended = ended, .arg = test,
	};
	struct cleave_error error = { "" };
	int code = clv_pool_run(&pool, &error);
	cr_assert(!code || error.text[0]);
	expect_no_process();
	return code;
}

/* ---- what jobs do ---- */

/* Counts those that run beside it. */
static int count(void *arg, unsigned job, void **data, size_t *bytes, struct cleave_error *error)
{
	struct test *test = arg;
	(void)error;
	unsigned now = __atomic_add_fetch(test->now, 1, __ATOMIC_SEQ_CST);
	unsigned most = __atomic_load_n(test->most, __ATOMIC_SEQ_CST);
	while (now > most && !__atomic_compare_exchange_n(test->most, &most, now, false,
							  __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	usleep(1000);
	hand_back(job, job * 1000, data, bytes);
	__atomic_sub_fetch(test->now, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int big(void *arg, unsigned job, void **data, size_t *bytes, struct cleave_error *error)
{
	(void)arg;
	(void)error;
	hand_back(job, BIG, data, bytes);
	return 0;
}

/* Every way to end. */
static int various(void *arg, unsigned job, void **data, size_t *bytes,
		   struct cleave_error *error)
{
	(void)arg;
	hand_back(job, 10, data, bytes);
	switch (job % 8) {
	case 0:
		return 0;
	case 1:
		signal(SIGSEGV, SIG_DFL);
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		raise(SIGSEGV);
		return 0;
	case 2:
		kill(getpid(), SIGKILL);
		return 0;
	case 3:
		return clv_error(error, -EDEADLK, "job %u: everyone waits", job);
	case 4:
		return -ENOMEM;
	case 5:
		_exit(7);
	case 6: /* its end of the pipe is closed, and it goes on for a while */
		for (int i = 3; i < 100; i++)
			close(i);
		usleep(2000);
		return 0;
	default:
		*bytes = 0;
		return 0;
	}
}

Test(pool, every_job_once)
{
	struct test *test = new_test();
	cr_assert_eq(run(test, JOBS_MAX, 5, count), 0);
	for (unsigned i = 0; i < JOBS_MAX; i++) {
		const struct outcome *outcome = &test->outcome[i];
		cr_assert(outcome->times == 1 && !outcome->code, "job %u: %u times, %d", i,
			  outcome->times, outcome->code);
		cr_assert_eq(outcome->bytes, i * 1000);
		cr_assert(!i || (outcome->first == (i & 0xff) && outcome->last == (i & 0xff)));
	}
	cr_assert_leq(*test->most, 5);
	cr_assert_eq(*test->now, 0);
	free(test);
}

Test(pool, one_at_a_time)
{
	struct test *test = new_test();
	cr_assert_eq(run(test, 20, 1, count), 0);
	cr_assert_eq(*test->most, 1);
	free(test);
}

Test(pool, no_jobs)
{
	struct test *test = new_test();
	cr_assert_eq(run(test, 0, 3, count), 0);
	cr_assert_eq(test->outcome[0].times, 0);
	free(test);
}

Test(pool, more_than_a_pipe_holds)
{
	struct test *test = new_test();
	cr_assert_eq(run(test, 4, 3, big), 0);
	for (unsigned i = 0; i < 4; i++) {
		cr_assert_eq(test->outcome[i].bytes, BIG);
		cr_assert(test->outcome[i].first == i && test->outcome[i].last == i);
	}
	free(test);
}

Test(pool, jobs_that_fail_and_crash)
{
	struct test *test = new_test();
	cr_assert_eq(run(test, 80, 7, various), 0);
	for (unsigned i = 0; i < 80; i++) {
		const struct outcome *outcome = &test->outcome[i];
		static const char *const says[8] = { NULL, "signal 11", "signal 9", NULL, "memory",
						     "status 7", "no result", NULL };
		cr_assert_eq(outcome->times, 1, "job %u: %u times", i, outcome->times);
		cr_assert_eq(!outcome->code, i % 8 == 0 || i % 8 == 7, "job %u: %s", i,
			     outcome->why);
		cr_assert(!says[i % 8] || strstr(outcome->why, says[i % 8]) ||
				  (i % 8 == 4 && strstr(outcome->why, strerror(ENOMEM))),
			  "job %u: %s", i, outcome->why);
		if (i % 8 == 3) {
			char why[64];
			snprintf(why, sizeof(why), "job %u: everyone waits", i);
			cr_assert_str_eq(outcome->why, why);
			cr_assert_eq(outcome->code, -EDEADLK);
		}
	}
	free(test);
}

/* ---- order and progress ---- */

static double by_number(void *arg, unsigned job)
{
	(void)arg;
	return job % 3 == 1 ? 100 : 1;
}

static void note(void *arg, const struct clv_pool_progress *progress)
{
	struct test *test = arg;
	cr_assert(progress->done >= test->done && progress->done <= 1 + 1e-9);
	cr_assert(progress->left_s >= 0 || progress->done == 0);
	test->done = progress->done;
	if (!test->starts || test->started[test->starts - 1] != progress->job)
		test->started[test->starts++] = progress->job;
}

Test(pool, longest_first_and_progress)
{
	struct test *test = new_test();
	const struct clv_pool pool = {
		.jobs = 6, .processes = 1, .weight = by_number, .work = count, .ended = ended,
		.progress = note, .arg = test,
	};
	static const unsigned order[6] = { 1, 4, 0, 2, 3, 5 };
	cr_assert_eq(clv_pool_run(&pool, NULL), 0);
	cr_assert_eq(test->starts, 6);
	for (unsigned i = 0; i < 6; i++)
		cr_assert_eq(test->started[i], order[i], "%u: %u", i, test->started[i]);
	cr_assert_float_eq(test->done, 1, 1e-9);
	free(test);
}

/* ---- the end of the caller ---- */

static int forever(void *arg, unsigned job, void **data, size_t *bytes, struct cleave_error *error)
{
	struct test *test = arg;
	(void)job;
	(void)data;
	(void)bytes;
	(void)error;
	__atomic_store_n(test->now, (unsigned)getpid(), __ATOMIC_SEQ_CST);
	while (true)
		pause();
	return 0;
}

/* Whoever is killed takes the jobs along: we, their next of kin, see them end. */
Test(pool, jobs_die_with_the_caller, .timeout = 60)
{
	struct test *test = new_test();
	cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	pid_t caller = fork();
	cr_assert_geq(caller, 0);
	if (!caller) {
		run(test, 1, 1, forever);
		_exit(0);
	}
	while (!__atomic_load_n(test->now, __ATOMIC_SEQ_CST))
		usleep(1000);
	kill(caller, SIGKILL);
	cr_assert_eq(waitpid(caller, NULL, 0), caller);
	int status = 0;
	cr_assert_eq(waitpid((pid_t)*test->now, &status, 0), (pid_t)*test->now);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	free(test);
}

/* ---- where there can be no process ---- */

Test(pool, no_more_files)
{
	struct test *test = new_test();
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 3, 3 });
	const struct clv_pool pool = {
		.jobs = 3, .processes = 2, .work = count, .ended = ended, .arg = test,
	};
	struct cleave_error error = { "" };
	int code = clv_pool_run(&pool, &error);
	cr_assert_eq(code, -EMFILE, "%d", code);
	cr_assert(strstr(error.text, "pipe"), "%s", error.text);
	cr_assert_eq(test->outcome[0].times, 0);
	expect_no_process();
	free(test);
}

/* With room for one process's pipe alone, they run one by one. */
Test(pool, few_files)
{
	struct test *test = new_test();
	int lowest = open("/dev/null", O_RDONLY);
	cr_assert_geq(lowest, 0);
	close(lowest);
	for (int i = lowest; i < 100; i++)
		close(i);
	setrlimit(RLIMIT_NOFILE, &(struct rlimit){ (rlim_t)lowest + 3, (rlim_t)lowest + 3 });
	cr_assert_eq(run(test, 10, 4, count), 0);
	for (unsigned i = 0; i < 10; i++)
		cr_assert(test->outcome[i].times == 1 && !test->outcome[i].code, "%u", i);
	free(test);
}

Test(pool, cpus)
{
	long all = sysconf(_SC_NPROCESSORS_CONF);
	cr_assert(clv_pool_cpus() >= 1 && (long)clv_pool_cpus() <= all);
}
