// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A job's outcome comes through a pipe: a head, then the bytes. The pipe's other end closes when the
 * job's process is gone, whatever ended it, so that nothing but pipes is waited for: a later child
 * does not have the writing end, which the parent closes before it forks again.
 */
#define _GNU_SOURCE
#include "pool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/error.h"
#include "atomic_file.h"
#include "clock.h"

enum { CHUNK = 1 << 16, TICK_MS = 1000 };

struct head {
	int code;
	struct cleave_error error;
	size_t bytes; /* that follow */
};

/* A process that runs. */
struct child {
	pid_t pid; /* 0: the place is free */
	unsigned job;
	int pipe; /* -1: at its end */
	char *got;
	size_t bytes, room;
	bool no_memory;
};

struct state {
	const struct clv_pool *pool;
	struct child *child; /* [pool->processes] */
	struct pollfd *poll;
	unsigned *order; /* [jobs], longest first */
	double *weight;	 /* [jobs] */
	unsigned started, running;
	double all, done;
	double begin_s, last_s; /* of the whole; when a job ended last */
};

unsigned clv_pool_cpus(void)
{
	cpu_set_t *set;
	/* More than the static set has; the kernel refuses one that is too small. */
	for (int cpus = CPU_SETSIZE; cpus <= 1 << 20; cpus *= 2) {
		size_t bytes = CPU_ALLOC_SIZE(cpus);
		set = CPU_ALLOC(cpus);
		if (!set)
			return 1;
		int count = sched_getaffinity(0, bytes, set) ? 0 : CPU_COUNT_S(bytes, set);
		CPU_FREE(set);
		if (count > 0)
			return (unsigned)count;
	}
	return 1;
}

/* ---- the job's process ---- */

static void work(const struct clv_pool *pool, unsigned job, int file)
{
	struct head head = { .error = { "" } };
	void *data = NULL;
	head.code = pool->work(pool->arg, job, &data, &head.bytes, &head.error);
	if (head.code)
		head.bytes = 0;
	bool told = !clv_file_put(file, &head, sizeof(head)) &&
		    !clv_file_put(file, data, head.bytes);
	/* What the caller has in its buffers is the caller's to print. */
	_exit(told ? 0 : 1);
}

/* ---- the caller's ---- */

static int start(struct state *state, struct cleave_error *error)
{
	unsigned job = state->order[state->started];
	struct child *child = state->child;
	int ends[2];
	while (child->pid)
		child++;
	if (pipe2(ends, O_CLOEXEC))
		return clv_error(error, -errno, "cannot make a pipe: %s", strerror(errno));
	pid_t parent = getpid(), pid = fork();
	if (!pid) {
		/* Dies with the parent, who may have died since. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(ends[0]);
		work(state->pool, job, ends[1]);
	}
	int code = pid < 0 ? -errno : 0;
	close(ends[1]);
	if (code) {
		close(ends[0]);
		return clv_error(error, code, "cannot start a process: %s", strerror(-code));
	}
	*child = (struct child){ .pid = pid, .job = job, .pipe = ends[0] };
	state->started++;
	state->running++;
	return 0;
}

static void receive(struct child *child)
{
	if (child->room - child->bytes < CHUNK) {
		size_t room = child->room * 2 + CHUNK;
		char *grown = realloc(child->got, room);
		if (!grown) {
			child->no_memory = true;
			close(child->pipe);
			child->pipe = -1;
			return;
		}
		child->got = grown;
		child->room = room;
	}
	ssize_t got = read(child->pipe, child->got + child->bytes, child->room - child->bytes);
	if (got > 0) {
		child->bytes += (size_t)got;
	} else if (!got || errno != EINTR) {
		close(child->pipe);
		child->pipe = -1;
	}
}

static int wait_for(pid_t pid)
{
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static void tell(const struct state *state, unsigned job, int code, const char *why)
{
	state->pool->ended(state->pool->arg, job, code, NULL, 0, why);
}

/* What a process that has ended says, and how it ended. */
static void judge(const struct state *state, const struct child *child, int status)
{
	struct head head;
	char why[200];
	bool whole = child->bytes >= sizeof(head);
	if (whole) {
		memcpy(&head, child->got, sizeof(head));
		whole = child->bytes - sizeof(head) == head.bytes;
	}
	if (WIFSIGNALED(status)) {
		int number = WTERMSIG(status);
		snprintf(why, sizeof(why), "its process was ended by signal %d: %s%s", number,
			 strsignal(number), number == SIGKILL ? ", perhaps for want of memory" : "");
		tell(state, child->job, -EIO, why);
	} else if (child->no_memory) {
		tell(state, child->job, -ENOMEM, "out of memory: for its process's results");
	} else if (!whole) {
		snprintf(why, sizeof(why), "its process ended with status %d and no result",
			 WEXITSTATUS(status));
		tell(state, child->job, -EIO, why);
	} else if (head.code) {
		tell(state, child->job, head.code,
		     head.error.text[0] ? head.error.text : strerror(-head.code));
	} else {
		state->pool->ended(state->pool->arg, child->job, 0, child->got + sizeof(head),
				   head.bytes, NULL);
	}
}

static void report(const struct state *state)
{
	struct clv_pool_progress progress = { .left_s = -1 };
	if (!state->pool->progress)
		return;
	progress.job = state->order[state->started ? state->started - 1 : 0];
	progress.done = state->done / state->all;
	if (state->done > 0) {
		double rate = state->done / (state->last_s - state->begin_s);
		double left_s = (state->all - state->done) / rate - (clv_now_s() - state->last_s);
		progress.left_s = left_s > 0 ? left_s : 0;
	}
	state->pool->progress(state->pool->arg, &progress);
}

static void end(struct state *state, struct child *child)
{
	judge(state, child, wait_for(child->pid));
	state->done += state->weight[child->job];
	state->last_s = clv_now_s();
	state->running--;
	free(child->got);
	*child = (struct child){ 0 };
}

/* Until one has said something, or a second is over. */
static void attend(struct state *state)
{
	unsigned processes = state->pool->processes;
	for (unsigned i = 0; i < processes; i++) {
		const struct child *child = &state->child[i];
		state->poll[i] = (struct pollfd){ child->pid ? child->pipe : -1, POLLIN, 0 };
	}
	if (poll(state->poll, processes, TICK_MS) > 0) {
		for (unsigned i = 0; i < processes; i++) {
			struct child *child = &state->child[i];
			if (!state->poll[i].revents)
				continue;
			receive(child);
			if (child->pipe < 0)
				end(state, child);
		}
	}
	report(state);
}

static void kill_all(struct state *state)
{
	for (unsigned i = 0; i < state->pool->processes; i++) {
		struct child *child = &state->child[i];
		if (!child->pid)
			continue;
		kill(child->pid, SIGKILL);
		wait_for(child->pid);
		close(child->pipe);
		free(child->got);
	}
}

/* By weight, longest first; equal ones in the order given. */
static int by_weight(const void *a, const void *b, void *arg)
{
	const double *weight = arg;
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
	if (weight[x] != weight[y])
		return weight[x] < weight[y] ? 1 : -1;
	return x < y ? -1 : x > y;
}

static void put_in_order(struct state *state)
{
	const struct clv_pool *pool = state->pool;
	for (unsigned i = 0; i < pool->jobs; i++) {
		state->order[i] = i;
		state->weight[i] = pool->weight ? pool->weight(pool->arg, i) : 1;
		state->all += state->weight[i];
	}
	qsort_r(state->order, pool->jobs, sizeof(*state->order), by_weight, state->weight);
}

static int run_all(struct state *state, struct cleave_error *error)
{
	const struct clv_pool *pool = state->pool;
	while (state->started < pool->jobs || state->running) {
		while (state->started < pool->jobs && state->running < pool->processes) {
			int code = start(state, error);
			/* Where there is no room for another, wait for one of those there are. */
			if (code && !state->running)
				return code;
			if (code)
				break;
		}
		attend(state);
	}
	return 0;
}

int clv_pool_run(const struct clv_pool *pool, struct cleave_error *error)
{
	struct state state = {
		.pool = pool,
		.child = calloc(pool->processes, sizeof(*state.child)),
		.poll = calloc(pool->processes, sizeof(*state.poll)),
		.order = calloc(pool->jobs + 1, sizeof(*state.order)),
		.weight = calloc(pool->jobs + 1, sizeof(*state.weight)),
		.begin_s = clv_now_s(),
	};
	int code = 0;
	if (!state.child || !state.poll || !state.order || !state.weight) {
		code = clv_error(error, -ENOMEM, "out of memory: for %u jobs", pool->jobs);
	} else {
		put_in_order(&state);
		code = run_all(&state, error);
		kill_all(&state);
	}
	free(state.child);
	free(state.poll);
	free(state.order);
	free(state.weight);
	return code;
}
