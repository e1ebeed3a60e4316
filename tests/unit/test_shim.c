// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The host's shim: what shim.h promises of parking, memory, clock and CPU. A lost wake-up shows as
 * a test that does not end.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim/shim.h"
#include "thread.h"

enum { MS = 1000000, ROUNDS = 5000 };

static struct cleave_thread *make_handle(void)
{
	struct cleave_thread *thread =
		clv_alloc(sizeof(*thread), _Alignof(struct cleave_thread), -1);
	cr_assert_not_null(thread);
	return thread;
}

static void free_handle(struct cleave_thread *thread)
{
	clv_free(thread, sizeof(*thread));
}

TestSuite(shim, .timeout = 120);

Test(shim, wake_before_park_is_remembered)
{
	struct cleave_thread *self = make_handle();

	clv_wake(self);
	cr_assert(clv_park(self, CLV_FOREVER));
	clv_wake(self);
	cr_assert(clv_park(self, 0));
	free_handle(self);
}

/* A park may return true for no reason, but not each time: the kernel has none for this one. */
static bool times_out(struct cleave_thread *self, uint64_t timeout_ns)
{
	for (unsigned i = 0; i < 100; i++) {
		if (!clv_park(self, timeout_ns))
			return true;
	}
	return false;
}

Test(shim, time_out_is_told)
{
	struct cleave_thread *self = make_handle();

	cr_assert(times_out(self, 0));
	cr_assert(times_out(self, MS));
	free_handle(self);
}

Test(shim, one_wake_is_remembered_at_most)
{
	struct cleave_thread *self = make_handle();
	unsigned woken = 0;

	for (unsigned i = 0; i < 200; i++)
		clv_wake(self);
	while (clv_park(self, 0))
		woken++;
	/* One token; room for parks that return for no reason. */
	cr_assert_geq(woken, 1);
	cr_assert_leq(woken, 100, "%u parks returned by 200 wakes", woken);
	free_handle(self);
}

Test(shim, time_out_leaves_no_token_and_takes_none)
{
	struct cleave_thread *self = make_handle();

	cr_assert(times_out(self, 0));
	clv_wake(self);
	cr_assert(clv_park(self, CLV_FOREVER));
	cr_assert(times_out(self, 0));
	free_handle(self);
}

struct sleeper {
	struct cleave_thread *thread;
	unsigned data, seen; /* plain: the wake orders them */
	uint32_t go, awake;
};

static void *sleep_until_go(void *arg)
{
	struct sleeper *sleeper = arg;

	while (!__atomic_load_n(&sleeper->go, __ATOMIC_RELAXED))
		clv_park(sleeper->thread, CLV_FOREVER);
	__atomic_store_n(&sleeper->awake, 1, __ATOMIC_RELAXED);
	return NULL;
}

Test(shim, wake_from_another_thread)
{
	struct sleeper sleeper = { .thread = make_handle() };
	pthread_t id;

	cr_assert(clv_is_running(sleeper.thread));
	cr_assert_eq(pthread_create(&id, NULL, sleep_until_go, &sleeper), 0);
	while (clv_is_running(sleeper.thread))
		sched_yield();
	cr_assert_not(__atomic_load_n(&sleeper.awake, __ATOMIC_RELAXED));
	__atomic_store_n(&sleeper.go, 1, __ATOMIC_RELAXED);
	clv_wake(sleeper.thread);
	pthread_join(id, NULL);
	cr_assert(sleeper.awake);
	cr_assert(clv_is_running(sleeper.thread));
	free_handle(sleeper.thread);
}

/* Two threads hand a turn to and fro: every wake is needed, and comes before or in a park. */
struct turns {
	struct cleave_thread *thread[2];
	uint32_t turn;
	unsigned count; /* plain: belongs to whose turn it is */
};

struct player {
	struct turns *turns;
	unsigned index;
};

static void *play(void *arg)
{
	struct player *player = arg;
	struct turns *turns = player->turns;

	for (unsigned i = 0; i < ROUNDS; i++) {
		while (__atomic_load_n(&turns->turn, __ATOMIC_ACQUIRE) != player->index) {
			if (i % 3)
				clv_park(turns->thread[player->index], CLV_FOREVER);
			else
				clv_park(turns->thread[player->index], i % 2 ? 1000 : 100 * MS);
		}
		turns->count++;
		__atomic_store_n(&turns->turn, !player->index, __ATOMIC_RELEASE);
		clv_wake(turns->thread[!player->index]);
	}
	return NULL;
}

Test(shim, no_wake_is_lost)
{
	struct turns turns = { .thread = { make_handle(), make_handle() } };
	struct player player[2] = { { &turns, 0 }, { &turns, 1 } };
	pthread_t id;

	cr_assert_eq(pthread_create(&id, NULL, play, &player[1]), 0);
	play(&player[0]);
	pthread_join(id, NULL);
	cr_assert_eq(turns.count, 2 * ROUNDS);
	free_handle(turns.thread[0]);
	free_handle(turns.thread[1]);
}

Test(shim, clock_and_cpu)
{
	uint64_t before_ns = clv_now_ns();
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t now_ns = clv_now_ns();
		cr_assert_geq(now_ns, before_ns);
		before_ns = now_ns;
	}
	cr_assert_gt(before_ns, 0);

	cpu_set_t set;
	cr_assert_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	cr_assert(CPU_ISSET(clv_cpu_now(), &set));
}

static bool is_zero(const unsigned char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

static void check_block(size_t size_bytes, size_t align_bytes, int node)
{
	/* Twice: the second may get what the first dirtied. */
	for (unsigned again = 0; again < 2; again++) {
		unsigned char *block = clv_alloc(size_bytes, align_bytes, node);
		cr_assert_not_null(block, "size %zu align %zu node %d", size_bytes, align_bytes,
				   node);
		cr_assert_eq((uintptr_t)block % align_bytes, 0, "size %zu align %zu node %d",
			     size_bytes, align_bytes, node);
		cr_assert(is_zero(block, size_bytes), "size %zu align %zu node %d", size_bytes,
			  align_bytes, node);
		memset(block, 0xa5, size_bytes);
		clv_free(block, size_bytes);
	}
}

Test(shim, memory_is_zeroed_and_aligned)
{
	static const size_t sizes[] = { 1, 8, 56, 63, 64, 65, 4095, 4096, 4097, 1 << 20 };
	static const size_t aligns[] = { 1, 8, 16, 64, 128, 4096, 1 << 21 };
	static const int nodes[] = { -1, 0, 1, 1023, 1024, 1 << 30 };

	for (unsigned n = 0; n < sizeof(nodes) / sizeof(*nodes); n++) {
		for (unsigned a = 0; a < sizeof(aligns) / sizeof(*aligns); a++) {
			for (unsigned s = 0; s < sizeof(sizes) / sizeof(*sizes); s++)
				check_block(sizes[s], aligns[a], nodes[n]);
		}
	}
}

Test(shim, memory_limits)
{
	clv_free(NULL, 0);
	clv_free(NULL, 1 << 20);
	void *none = clv_alloc(0, 64, -1);
	cr_assert_not_null(none);
	clv_free(none, 0);
	/* Rounding these up would wrap to something small. */
	cr_assert_null(clv_alloc(SIZE_MAX - 5, 64, -1));
	cr_assert_null(clv_alloc(SIZE_MAX, 1 << 21, 0));
}
