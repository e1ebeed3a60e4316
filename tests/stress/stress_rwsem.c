// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The rwsem look-alike on real threads and the host's shim, for the thread sanitizer above all:
 * plain data under the lock, a mix of writing, reading and trying, and holders that now and then
 * sleep, so that spinners give up, waiters park, and the head of the queue waits for more than
 * 4 ms. A lost wake-up shows as a test that does not end.
 *
 * stress_rwsem [OPERATIONS [SEED]]: operations a thread.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "locks/lock.h"
#include "thread.h"

extern const struct clv_lock_type clv_lock_rwsem;

enum { THREADS = 4, WORDS = 16, US = 1000, MS = 1000 * US };
enum { WAITERS = 2, HANDOFF = 4 }; /* of the lock's word: see rwsem.c */

static _Alignas(CLV_CACHE_LINE) unsigned char lock[CLV_CACHE_LINE];
static unsigned long data[WORDS]; /* all equal, but inside a write */

struct user {
	struct cleave_thread handle;
	pthread_t thread;
	unsigned long operations;
	unsigned long reads, writes, gave_up, torn;
	unsigned long saw_waiters, saw_handoff;
};

static struct user users[THREADS];

static uint64_t draw(struct user *user)
{
	uint64_t x = user->handle.random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	user->handle.random = x;
	return x >> 16;
}

static void check_equal(struct user *user)
{
	for (unsigned i = 1; i < WORDS; i++)
		user->torn += data[i] != data[0];
}

static void linger(struct user *user)
{
	uint64_t die = draw(user) % 8192;
	struct timespec busy = {.tv_nsec = 20 * US};

	if (die < 4)
		clv_park(&user->handle, 6 * MS);
	else if (die < 40)
		clv_park(&user->handle, 100 * US);
	else if (die < 60)
		nanosleep(&busy, NULL); /* counts as running: it is spun on */
}

static void look(struct user *user)
{
	uint64_t word = __atomic_load_n((uint64_t *)(void *)lock, __ATOMIC_RELAXED);

	user->saw_waiters += !!(word & WAITERS);
	user->saw_handoff += !!(word & HANDOFF);
}

static void *use(void *arg)
{
	struct user *user = arg;
	struct clv_hold hold = {.thread = &user->handle};

	for (unsigned long i = 0; i < user->operations; i++) {
		uint64_t die = draw(user) % 100;
		bool shared = die >= 50;
		bool held = true;

		look(user);
		if (die < 40)
			clv_lock_rwsem.acquire(lock, &hold);
		else if (die < 50)
			held = clv_lock_rwsem.try_acquire(lock, &hold);
		else if (die < 90)
			clv_lock_rwsem.acquire_shared(lock, &hold);
		else
			held = clv_lock_rwsem.try_acquire_shared(lock, &hold);
		if (!held) {
			user->gave_up++;
			continue;
		}
		check_equal(user);
		if (!shared)
			for (unsigned w = 0; w < WORDS / 2; w++)
				data[w]++;
		linger(user);
		if (shared) {
			check_equal(user);
			user->reads++;
			clv_lock_rwsem.release_shared(lock, &hold);
		} else {
			for (unsigned w = WORDS / 2; w < WORDS; w++)
				data[w]++;
			user->writes++;
			clv_lock_rwsem.release(lock, &hold);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned long operations = argc > 1 ? strtoul(argv[1], NULL, 10) : 50000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	struct user all = {0};

	for (unsigned i = 0; i < THREADS; i++) {
		users[i].handle.id = i + 1;
		users[i].handle.random = (seed + 1) * (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
		users[i].operations = operations;
		if (pthread_create(&users[i].thread, NULL, use, &users[i])) {
			fprintf(stderr, "cleave: cannot start a thread: stress_rwsem\n");
			return 1;
		}
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(users[i].thread, NULL);
		all.reads += users[i].reads;
		all.writes += users[i].writes;
		all.gave_up += users[i].gave_up;
		all.torn += users[i].torn;
		all.saw_waiters += users[i].saw_waiters;
		all.saw_handoff += users[i].saw_handoff;
	}
	printf("%lu reads, %lu writes, %lu tries failed; waiters seen %lu times, handoff %lu\n",
	       all.reads, all.writes, all.gave_up, all.saw_waiters, all.saw_handoff);

	uint64_t word;
	memcpy(&word, lock, sizeof(word));
	if (all.reads + all.writes + all.gave_up != THREADS * operations || all.torn || word ||
	    data[0] != all.writes || data[WORDS - 1] != all.writes) {
		fprintf(stderr, "cleave: the counts are wrong: %lu torn reads, %lu counted, word %llx\n",
			all.torn, data[0], (unsigned long long)word);
		return 1;
	}
	return 0;
}
