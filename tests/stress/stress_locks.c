// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * usage: stress_locks [--rounds N] [--seed S] [LOCK...]
 *        stress_locks --race [--rounds N] [--seed S]
 *
 * Threads take two instances of a lock at random: exclusive, shared, by try, and both at once. What
 * an instance guards is plain data, two counters that are equal whenever nobody is inside, so the
 * thread sanitizer sees every access that the lock does not order; beside it stand relaxed atomic
 * counts of who is inside, which order nothing and show an overlap without a sanitizer too. One
 * line a lock says what happened. Exit: 0 all held; 1 one did not; 2 wrong usage.
 *
 * --race takes no lock at all. It exits with 0 whatever becomes of the counters: only a sanitizer
 * makes it fail, and it must.
 *
 * Four threads; locks whose waiters spin get one a CPU at most.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cleave/structure.h>

#include "locks/lock.h"
#include "thread.h"

enum { THREADS_MAX = 4, ARGS_MAX = 64 };

/* How many holds in how many yield, and sleep, inside. */
enum { YIELDS_IN = 32, SLEEPS_IN = 512, SLEEP_NS = 20000 };

struct guarded {
	_Alignas(CLV_CACHE_LINE) uint64_t left;
	uint64_t right;
	_Alignas(CLV_CACHE_LINE) uint32_t writers;
	uint32_t readers, together;
	const char *fault; /* the first that was seen */
	void *lock;
};

struct counts {
	uint64_t exclusive, shared, tried, missed;
	uint64_t added[2];
};

struct run {
	const struct clv_lock_type *type; /* NULL: no lock is taken */
	struct cleave_env *env;
	uint64_t rounds, seed;
	unsigned threads;
	struct guarded guarded[2];
	pthread_barrier_t start;
};

struct worker {
	struct run *run;
	unsigned index;
	struct cleave_thread *thread;
	struct counts counts;
	pthread_t id;
	int code;
};

static void report_fault(struct guarded *guarded, const char *what)
{
	const char *none = NULL;
	__atomic_compare_exchange_n(&guarded->fault, &none, what, false, __ATOMIC_RELAXED,
				    __ATOMIC_RELAXED);
}

static void linger(const struct run *run, struct cleave_thread *thread)
{
	uint64_t random = cleave_random(thread);
	if (!(random % SLEEPS_IN) && run->type && run->type->flags & CLV_LOCK_SLEEPS)
		nanosleep(&(struct timespec){ .tv_nsec = SLEEP_NS }, NULL);
	else if (!(random % YIELDS_IN))
		sched_yield();
}

static void write_inside(struct worker *worker, unsigned which)
{
	struct guarded *guarded = &worker->run->guarded[which];

	if (__atomic_fetch_add(&guarded->writers, 1, __ATOMIC_RELAXED))
		report_fault(guarded, "two writers inside");
	if (__atomic_load_n(&guarded->readers, __ATOMIC_RELAXED))
		report_fault(guarded, "a writer among readers");
	if (guarded->left != guarded->right)
		report_fault(guarded, "a writer met unequal counters");
	guarded->left++;
	linger(worker->run, worker->thread);
	guarded->right++;
	worker->counts.added[which]++;
	__atomic_fetch_sub(&guarded->writers, 1, __ATOMIC_RELAXED);
}

static void read_inside(struct worker *worker, unsigned which)
{
	struct guarded *guarded = &worker->run->guarded[which];
	uint32_t readers = __atomic_add_fetch(&guarded->readers, 1, __ATOMIC_RELAXED);

	if (readers > __atomic_load_n(&guarded->together, __ATOMIC_RELAXED))
		__atomic_store_n(&guarded->together, readers, __ATOMIC_RELAXED);
	if (__atomic_load_n(&guarded->writers, __ATOMIC_RELAXED))
		report_fault(guarded, "a reader beside a writer");
	uint64_t left = guarded->left;
	linger(worker->run, worker->thread);
	if (left != guarded->right)
		report_fault(guarded, "a reader met unequal counters");
	__atomic_fetch_sub(&guarded->readers, 1, __ATOMIC_RELAXED);
}

static void lock_exclusive(struct worker *worker, unsigned which, struct clv_hold *hold)
{
	hold->thread = worker->thread;
	worker->counts.exclusive++;
	if (worker->run->type)
		worker->run->type->acquire(worker->run->guarded[which].lock, hold);
}

static void unlock_exclusive(struct worker *worker, unsigned which, struct clv_hold *hold)
{
	if (worker->run->type)
		worker->run->type->release(worker->run->guarded[which].lock, hold);
}

/* As the library does it: exclusive, if the lock has no shared mode. */
static void lock_shared(struct worker *worker, unsigned which, struct clv_hold *hold)
{
	const struct clv_lock_type *type = worker->run->type;

	hold->thread = worker->thread;
	worker->counts.shared++;
	if (type)
		(type->acquire_shared ? type->acquire_shared : type->acquire)(
			worker->run->guarded[which].lock, hold);
}

static void unlock_shared(struct worker *worker, unsigned which, struct clv_hold *hold)
{
	const struct clv_lock_type *type = worker->run->type;

	if (type)
		(type->release_shared ? type->release_shared : type->release)(
			worker->run->guarded[which].lock, hold);
}

/* Returns: false if the lock has no such try, or it failed. */
static bool attempt(struct worker *worker, unsigned which, struct clv_hold *hold,
		    bool (*try)(void *lock, struct clv_hold *hold))
{
	hold->thread = worker->thread;
	if (!try)
		return false;
	worker->counts.tried++;
	if (try(worker->run->guarded[which].lock, hold))
		return true;
	worker->counts.missed++;
	return false;
}

static void one_round(struct worker *worker)
{
	const struct clv_lock_type *type = worker->run->type;
	uint64_t random = cleave_random(worker->thread);
	unsigned which = random >> 32 & 1;
	struct clv_hold hold[2];

	switch (random % 8) {
	case 0: case 1:
		lock_exclusive(worker, which, &hold[0]);
		write_inside(worker, which);
		unlock_exclusive(worker, which, &hold[0]);
		break;
	case 2: case 3:
		lock_shared(worker, which, &hold[0]);
		read_inside(worker, which);
		unlock_shared(worker, which, &hold[0]);
		break;
	case 4:
		if (attempt(worker, which, &hold[0], type ? type->try_acquire : NULL)) {
			write_inside(worker, which);
			unlock_exclusive(worker, which, &hold[0]);
		}
		break;
	case 5:
		if (attempt(worker, which, &hold[0], type ? type->try_acquire_shared : NULL)) {
			read_inside(worker, which);
			unlock_shared(worker, which, &hold[0]);
		}
		break;
	case 6: /* both, released in the order taken */
		lock_exclusive(worker, 0, &hold[0]);
		lock_exclusive(worker, 1, &hold[1]);
		write_inside(worker, 0);
		write_inside(worker, 1);
		unlock_exclusive(worker, 0, &hold[0]);
		unlock_exclusive(worker, 1, &hold[1]);
		break;
	default: /* both, in either mode, released the other way round */
		lock_shared(worker, 0, &hold[0]);
		lock_exclusive(worker, 1, &hold[1]);
		read_inside(worker, 0);
		write_inside(worker, 1);
		unlock_exclusive(worker, 1, &hold[1]);
		unlock_shared(worker, 0, &hold[0]);
		break;
	}
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct run *run = worker->run;

	worker->code = cleave_thread_begin(&worker->thread, run->env, -1);
	pthread_barrier_wait(&run->start);
	if (worker->code)
		return NULL;
	worker->thread->random = run->seed * THREADS_MAX + worker->index;
	for (uint64_t round = 0; round < run->rounds; round++)
		one_round(worker);
	cleave_thread_end(worker->thread);
	return NULL;
}

static unsigned usable_cpus(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) ? 1 : (unsigned)CPU_COUNT(&set);
}

static unsigned threads_for(const struct clv_lock_type *type)
{
	unsigned cpus = usable_cpus();

	if (type && type->flags & CLV_LOCK_ONE_THREAD)
		return 1;
	return type && type->flags & CLV_LOCK_SPINS && cpus < THREADS_MAX ? cpus : THREADS_MAX;
}

static int fail(const char *what, const char *where)
{
	fprintf(stderr, "cleave: stress_locks: %s: %s\n", what, where);
	return 1;
}

static int make_locks(struct run *run)
{
	const struct clv_lock_args none = { 0 };
	struct cleave_error error = { "" };

	for (unsigned i = 0; i < 2 && run->type; i++) {
		struct guarded *guarded = &run->guarded[i];
		guarded->lock = clv_alloc(run->type->size_bytes, CLV_CACHE_LINE, -1);
		if (!guarded->lock)
			return fail("out of memory", run->type->name);
		if (run->type->init && run->type->init(guarded->lock, run->env, &none, &error))
			return fail(error.text, run->type->name);
	}
	return 0;
}

static void free_locks(struct run *run)
{
	for (unsigned i = 0; i < 2 && run->type; i++) {
		if (run->type->fini)
			run->type->fini(run->guarded[i].lock);
		clv_free(run->guarded[i].lock, run->type->size_bytes);
	}
}

static int run_workers(struct run *run, struct counts *sum)
{
	struct worker workers[THREADS_MAX] = { 0 };

	pthread_barrier_init(&run->start, NULL, run->threads);
	for (unsigned i = 0; i < run->threads; i++) {
		workers[i].run = run;
		workers[i].index = i;
		/* Those that started wait for this one for ever: there is no going on. */
		if (pthread_create(&workers[i].id, NULL, work, &workers[i])) {
			fail("a thread cannot be made", "pthread_create");
			exit(1);
		}
	}
	int code = 0;
	for (unsigned i = 0; i < run->threads; i++) {
		const struct counts *counts = &workers[i].counts;
		pthread_join(workers[i].id, NULL);
		sum->exclusive += counts->exclusive;
		sum->shared += counts->shared;
		sum->tried += counts->tried;
		sum->missed += counts->missed;
		sum->added[0] += counts->added[0];
		sum->added[1] += counts->added[1];
		code = code ? code : workers[i].code;
	}
	pthread_barrier_destroy(&run->start);
	return code ? fail("a thread handle cannot be made", strerror(-code)) : 0;
}

/* Returns: 0; 1 with a line on standard error. */
static int stress(struct run *run)
{
	const char *name = run->type ? run->type->name : "race";
	struct counts sum = { 0 };
	const char *fault = NULL;

	memset(run->guarded, 0, sizeof(run->guarded));
	run->threads = threads_for(run->type);
	if (make_locks(run) || run_workers(run, &sum))
		return 1;
	for (unsigned i = 0; i < 2; i++) {
		const struct guarded *guarded = &run->guarded[i];
		if (guarded->fault)
			fault = guarded->fault;
		else if (guarded->left != sum.added[i] || guarded->right != sum.added[i])
			fault = "additions were lost";
	}
	printf("%-16s threads %u  exclusive %7llu  shared %7llu  tries %7llu  missed %6llu  "
	       "readers at once %u  %s\n", name, run->threads, (unsigned long long)sum.exclusive,
	       (unsigned long long)sum.shared, (unsigned long long)sum.tried,
	       (unsigned long long)sum.missed, run->guarded[0].together > run->guarded[1].together ?
	       run->guarded[0].together : run->guarded[1].together, fault ? fault : "ok");
	fflush(stdout);
	free_locks(run);
	return fault && run->type ? fail(fault, name) : 0;
}

static bool parse_number(const char *text, uint64_t *number)
{
	char *rest;
	if (!text || *text < '0' || *text > '9')
		return false;
	*number = strtoull(text, &rest, 10);
	return !*rest;
}

int main(int argc, char **argv)
{
	static struct run run = { .rounds = 50000, .seed = 1 };
	const struct clv_lock_type *types[ARGS_MAX];
	unsigned count = 0;
	bool race = false;

	for (int i = 1; i < argc; i++) {
		uint64_t *number = !strcmp(argv[i], "--rounds") ? &run.rounds :
				   !strcmp(argv[i], "--seed") ? &run.seed : NULL;
		if (number) {
			if (!parse_number(argv[++i], number))
				return fail("not a number", argv[i] ? argv[i] : "missing"), 2;
		} else if (!strcmp(argv[i], "--race")) {
			race = true;
		} else if (count == ARGS_MAX) {
			return fail("too many locks", argv[i]), 2;
		} else {
			types[count] = clv_lock_type_find(argv[i], strlen(argv[i]));
			if (!types[count++])
				return fail("no such lock", argv[i]), 2;
		}
	}
	if (race && count)
		return fail("--race takes no lock", types[0]->name), 2;
	if (!race && !count) {
		while (count < ARGS_MAX && (types[count] = clv_lock_type_at(count)))
			count++;
	}

	struct cleave_error error = { "" };
	if (cleave_env_open(&run.env, NULL, &error))
		return fail(error.text, "cleave_env_open");
	int code = race ? stress(&run) : 0;
	for (unsigned i = 0; i < count; i++) {
		run.type = types[i];
		code |= stress(&run);
	}
	cleave_env_close(run.env);
	return code;
}
