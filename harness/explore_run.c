// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A parent opens the simulation once, and keeps it as it is then. Batches of schedules, numbered in
 * their order, each have a child, which comes back to that beginning before each schedule and ends
 * with the first that fails. After a failure no later batch is begun, and those before it are
 * waited for: so the lowest failure is found, and the same one on any number of CPUs.
 */
#include "explore_run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../lib/error.h"
#include "../lib/shim/shim.h"
#include "../lib/topology.h"
#include "machine/sim/sim.h"

enum {
	BATCH = 200,
	PROCESSES_MAX = 64,
	HANG_S = 20, /* of a child's CPU time: a schedule without end that no limit of steps catches */
	NAP_NS = 500000,
};

/* More than ten times what the longest schedule of a design that is right has been seen to take. */
#define STEPS_MAX UINT64_C(5000000)

/* Shared with a child. */
struct slot {
	pid_t child;
	uint64_t batch;
	uint64_t done;	/* schedules passed */
	uint64_t steps; /* of these */
	uint64_t longest;
	bool failed, ended;
	uint64_t failed_steps;
	char why[240], waiting[1024];
	/* The parent's. */
	uint64_t seen;
	double seen_s; /* of the child's CPU time */
};

static const struct clv_explore *table;
static struct clv_explore_lab *lab;
static struct clv_topology *topology;

const char *clv_explore_policy_name(unsigned policy)
{
	static const char *const names[] = { "random", "pct", "both" };
	return policy < sizeof(names) / sizeof(names[0]) ? names[policy] : NULL;
}

/* ---- the simulation ---- */

int clv_explore_open(const struct clv_explore *wanted, struct cleave_error *error)
{
	int code = clv_topology_load(&topology, CLV_EXPLORE_TOPOLOGY, error);
	if (code)
		return code;
	const struct clv_sim_config config = {
		.topology = topology,
		.policy = CLV_POLICY_RANDOM,
	};
	code = clv_sim_open(&config, error);
	if (!code) {
		code = wanted->open(&lab, CLV_EXPLORE_TOPOLOGY, error);
		if (!code)
			code = clv_sim_keep(error);
		if (code)
			clv_sim_close();
	}
	if (code)
		clv_topology_free(topology);
	else
		table = wanted;
	return code;
}

void clv_explore_close(void)
{
	table->close(lab);
	clv_sim_close();
	clv_topology_free(topology);
	table = NULL;
}

uint8_t *clv_explore_note_reached(size_t *bytes)
{
	*bytes = clv_sim_code_bytes();
	/* Shared: children write it. */
	uint8_t *reached = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
				0);
	if (reached == MAP_FAILED)
		return NULL;
	clv_sim_note_reached(reached);
	return reached;
}

int clv_explore_look(const struct clv_explore_config *config, char canonical[CLV_DESIGN_BYTES],
		     struct cleave_error *error)
{
	return table->look(lab, config, canonical, error);
}

/* ---- one schedule, in a child ---- */

static enum clv_explore_policy policy_of(const struct clv_explore_plan *plan, uint64_t seed)
{
	if (plan->policy != CLV_EXPLORE_BOTH)
		return plan->policy;
	return seed % 2 ? CLV_EXPLORE_PCT : CLV_EXPLORE_RANDOM;
}

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/*
 * How many accesses a schedule will have is not known before it. The places of PCT's changes are
 * drawn among 2^9 to 2^16 of them: some seeds look at the beginning closely, some at all of it.
 */
static struct clv_sim_config schedule(const struct clv_explore_plan *plan, uint64_t seed)
{
	uint64_t drawn = mix(seed + 0x632be59bd9b4e019u);
	return (struct clv_sim_config){
		.policy = policy_of(plan, seed) == CLV_EXPLORE_PCT ? CLV_POLICY_PCT :
								     CLV_POLICY_RANDOM,
		.seed = seed,
		.changes = 1 + (unsigned)(drawn % 8),
		.steps = UINT64_C(1) << (9 + drawn / 8 % 8),
		.steps_max = STEPS_MAX,
	};
}

static int run_bodies(struct clv_explore_case *at, struct cleave_error *error)
{
	unsigned cpu[CLV_EXPLORE_THREADS_MAX];
	const struct clv_sim_run run = {
		.threads = table->threads(at),
		.cpu_index = cpu,
		.body = table->body,
		.arg = at,
	};
	for (unsigned i = 0; i < run.threads; i++)
		cpu[i] = i * CLV_EXPLORE_CPUS / run.threads;
	return clv_sim_run(&run, error);
}

/* Returns: did it pass? */
static bool run_schedule(const struct clv_explore_plan *plan, uint64_t seed, struct slot *slot)
{
	const struct clv_sim_config config = schedule(plan, seed);
	struct clv_explore_config wanted = plan->config;
	struct clv_explore_case *at;
	struct cleave_error error = { "" };

	wanted.seed = seed;
	int code = clv_sim_rewind(&config, &error);
	if (!code)
		code = table->begin(lab, &wanted, &at, &error);
	if (!code) {
		code = run_bodies(at, &error);
		if (code)
			clv_sim_report_waiters(slot->waiting, sizeof(slot->waiting));
	}
	if (!code && table->check(at, &error)) {
		uint64_t steps = clv_sim_counts()->steps;
		slot->steps += steps;
		slot->longest = steps > slot->longest ? steps : slot->longest;
		table->end(at);
		return true;
	}
	memcpy(slot->why, error.text, sizeof(slot->why));
	slot->failed_steps = clv_sim_counts()->steps;
	return false;
}

static struct slot *crashing;

static void note_crash(int signal)
{
	crashing->failed_steps = clv_sim_counts()->steps;
	raise(signal); /* the action was reset */
}

/* A fiber's stack may be what is at fault: the handler has one of its own. */
static void expect_crashes(struct slot *slot)
{
	static char stack[64 * 1024];
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	const struct rlimit none = { 0, 0 };
	const stack_t apart = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_flags = SA_ONSTACK | SA_RESETHAND };

	action.sa_handler = note_crash;
	crashing = slot;
	setrlimit(RLIMIT_CORE, &none);
	sigaltstack(&apart, NULL);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
}

static void run_batch(const struct clv_explore_plan *plan, struct slot *slot)
{
	uint64_t first = slot->batch * BATCH;
	uint64_t count = plan->schedules - first < BATCH ? plan->schedules - first : BATCH;

	expect_crashes(slot);
	while (slot->done < count && !slot->failed) {
		if (run_schedule(plan, plan->seed + first + slot->done, slot))
			__atomic_add_fetch(&slot->done, 1, __ATOMIC_RELAXED);
		else
			slot->failed = true;
	}
	slot->ended = true;
	_exit(0);
}

/* ---- children ---- */

static int start(const struct clv_explore_plan *plan, struct slot *slot, uint64_t batch,
		 struct cleave_error *error)
{
	memset(slot, 0, sizeof(*slot));
	slot->batch = batch;
	fflush(NULL);
	pid_t parent = getpid(), child = fork();
	if (child < 0)
		return clv_error(error, -errno, "explore: cannot start a process: %s",
				 strerror(errno));
	if (!child) {
		/* Dies with the parent, who may have died since. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		run_batch(plan, slot);
	}
	slot->child = child;
	return 0;
}

/* It has ended by a signal, or was ended. */
static void note_end(struct slot *slot, int status, bool hung)
{
	if (slot->ended)
		return;
	slot->failed = true;
	if (hung)
		snprintf(slot->why, sizeof(slot->why), "it hangs, making no access");
	else if (WIFSIGNALED(status))
		snprintf(slot->why, sizeof(slot->why), "ended by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(slot->why, sizeof(slot->why), "ended by exit %d", WEXITSTATUS(status));
}

/* What it has run, not what passed while it was stopped or others had the CPU. */
static double cpu_s(pid_t child)
{
	struct timespec spent;
	clockid_t clock;
	if (clock_getcpuclockid(child, &clock) || clock_gettime(clock, &spent))
		return 0;
	return (double)spent.tv_sec + (double)spent.tv_nsec * 1e-9;
}

/* Returns: is it over? */
static bool look_at(struct slot *slot)
{
	int status;
	if (waitpid(slot->child, &status, WNOHANG) == slot->child) {
		note_end(slot, status, false);
		return true;
	}
	uint64_t done = __atomic_load_n(&slot->done, __ATOMIC_RELAXED);
	double now_s = cpu_s(slot->child);
	if (done != slot->seen) {
		slot->seen = done;
		slot->seen_s = now_s;
	}
	if (now_s - slot->seen_s < HANG_S)
		return false;
	kill(slot->child, SIGKILL);
	waitpid(slot->child, &status, 0);
	note_end(slot, status, true);
	return true;
}

struct crew {
	const struct clv_explore_plan *plan;
	struct slot *slot; /* [processes], and one more: the lowest that failed */
	unsigned processes;
	uint64_t next, batches; /* begun; those after a failure are not */
	uint64_t steps, longest;
};

/* What is over goes into the sums. */
static void settle(struct crew *crew, struct slot *slot)
{
	struct slot *worst = &crew->slot[crew->processes];
	slot->child = 0;
	if (!slot->failed) {
		crew->steps += slot->steps;
		crew->longest = slot->longest > crew->longest ? slot->longest : crew->longest;
	} else if (slot->batch < crew->batches) {
		crew->batches = slot->batch;
		*worst = *slot;
	}
}

static void end_all(struct crew *crew)
{
	for (unsigned i = 0; i < crew->processes; i++) {
		if (!crew->slot[i].child)
			continue;
		kill(crew->slot[i].child, SIGKILL);
		waitpid(crew->slot[i].child, NULL, 0);
	}
}

/* Returns: 0 when all batches below the first failure are over. */
static int run_all(struct crew *crew, struct cleave_error *error)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };
	for (bool any = true; any;) {
		any = false;
		for (unsigned i = 0; i < crew->processes; i++) {
			struct slot *slot = &crew->slot[i];
			if (slot->child && slot->batch > crew->batches) {
				kill(slot->child, SIGKILL); /* of no interest any more */
				waitpid(slot->child, NULL, 0);
				slot->child = 0;
			}
			if (slot->child && look_at(slot))
				settle(crew, slot);
			if (!slot->child && crew->next < crew->batches) {
				int code = start(crew->plan, slot, crew->next++, error);
				if (code)
					return code;
			}
			any |= slot->child != 0;
		}
		if (any)
			nanosleep(&nap, NULL);
	}
	return 0;
}

static void sum_up(const struct crew *crew, struct clv_explore_result *result)
{
	const struct clv_explore_plan *plan = crew->plan;
	const struct slot *worst = &crew->slot[crew->processes];
	result->schedules = plan->schedules;
	result->failed = worst->failed;
	if (!worst->failed) {
		result->steps = crew->steps;
		result->longest = crew->longest;
		return;
	}
	result->schedules = worst->batch * BATCH + worst->done + 1;
	result->failed_steps = worst->failed_steps;
	result->seed = plan->seed + result->schedules - 1;
	result->policy = policy_of(plan, result->seed);
	memcpy(result->why, worst->why, sizeof(result->why));
	memcpy(result->waiting, worst->waiting, sizeof(result->waiting));
}

int clv_explore_run(const struct clv_explore_plan *plan, struct clv_explore_result *result,
		    struct cleave_error *error)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	struct crew crew = {
		.plan = plan,
		.processes = plan->processes ? plan->processes : online > 0 ? (unsigned)online : 1,
		.batches = (plan->schedules + BATCH - 1) / BATCH,
	};
	memset(result, 0, sizeof(*result));
	if (crew.processes > PROCESSES_MAX)
		crew.processes = PROCESSES_MAX;
	size_t bytes = (crew.processes + 1) * sizeof(*crew.slot);
	crew.slot = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (crew.slot == MAP_FAILED)
		return clv_error(error, -ENOMEM, "explore: out of memory");
	uint64_t begin_ns = clv_now_ns();
	int code = run_all(&crew, error);
	if (code)
		end_all(&crew);
	else
		sum_up(&crew, result);
	result->seconds = (double)(clv_now_ns() - begin_ns) * 1e-9;
	munmap(crew.slot, bytes);
	return code;
}
