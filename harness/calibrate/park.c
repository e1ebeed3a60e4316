// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What the operating system takes to let a thread sleep and to wake it, by way of the shim. */
#include <errno.h>

#include "../../lib/error.h"
#include "../../lib/shim/shim.h"
#include "../machine/machine.h"
#include "probes.h"

/*
 * Between a sleeper's saying that it will sleep and the wake: long enough for its CPU to have gone
 * idle, since that is how sleepers are found.
 */
#define SETTLE_NS UINT64_C(30000)
/* No sleep is longer: a wake that came to nothing would hang the program. */
#define SLEEP_MAX_NS UINT64_C(100000000)

enum { WAKE, LATENCY, COLUMNS };

struct parking {
	struct cleave_env *env;
	struct cleave_thread *thread[2];
	_Alignas(2 * CLV_CACHE_LINE) uint64_t woken_ns;
	uint32_t returns; /* of the sleeper's park */
	_Alignas(2 * CLV_CACHE_LINE) uint32_t ended;
	uint64_t stamp_ns[2]; /* when each went to sleep last */
	double clock_ns;
	struct clv_rounds rounds;
};

static bool has_ended(const struct parking *parking)
{
	return __atomic_load_n(&parking->ended, __ATOMIC_ACQUIRE);
}

/* ---- waking, from one CPU to another ---- */

static void sleep_and_tell(struct parking *parking)
{
	while (!has_ended(parking)) {
		clv_park(parking->thread[1], SLEEP_MAX_NS);
		__atomic_store_n(&parking->woken_ns, clv_now_ns(), __ATOMIC_RELAXED);
		__atomic_store_n(&parking->returns, parking->returns + 1, __ATOMIC_RELEASE);
	}
}

static void wait_ns(uint64_t ns)
{
	uint64_t start = clv_now_ns();
	while (clv_now_ns() - start < ns)
		clv_pause();
}

/* Returns: false if the sleeper was awake for a reason of its own. */
static bool wake_once(struct parking *parking)
{
	struct cleave_thread *sleeper = parking->thread[1];

	while (clv_is_running(sleeper))
		clv_pause();
	wait_ns(SETTLE_NS);
	uint32_t before = __atomic_load_n(&parking->returns, __ATOMIC_ACQUIRE);
	bool asleep = !clv_is_running(sleeper);
	uint64_t start = clv_now_ns();
	clv_wake(sleeper);
	uint64_t elapsed = clv_now_ns() - start;
	while (__atomic_load_n(&parking->returns, __ATOMIC_ACQUIRE) == before)
		clv_pause();
	uint64_t woken_ns = __atomic_load_n(&parking->woken_ns, __ATOMIC_RELAXED);
	*clv_rounds_at(&parking->rounds, WAKE) = (double)elapsed - parking->clock_ns;
	*clv_rounds_at(&parking->rounds, LATENCY) = (double)(woken_ns - start);
	return asleep && woken_ns > start;
}

static void wake_body(void *arg, unsigned worker)
{
	struct parking *parking = arg;
	if (worker) {
		sleep_and_tell(parking);
		return;
	}
	parking->clock_ns = clv_probe_clock_ns();
	while (clv_rounds_more(&parking->rounds))
		parking->rounds.n += wake_once(parking);
	__atomic_store_n(&parking->ended, 1, __ATOMIC_RELEASE);
	clv_wake(parking->thread[1]);
}

/* ---- parking, two threads of one CPU ---- */

/*
 * Each wakes the other and then sleeps, so that one runs at a time. A round counts if the other
 * went to sleep after this one did: then this park slept, and what lies between is the other's
 * going. (Where a wake lets the woken run at once, it did not.)
 */
static void park_body(void *arg, unsigned worker)
{
	struct parking *parking = arg;
	struct clv_rounds *rounds = &parking->rounds;
	struct cleave_thread *self = parking->thread[worker], *other = parking->thread[!worker];

	if (!worker)
		parking->clock_ns = clv_probe_clock_ns();
	while (!has_ended(parking)) {
		clv_wake(other);
		uint64_t mine = clv_now_ns();
		__atomic_store_n(&parking->stamp_ns[worker], mine, __ATOMIC_RELAXED);
		clv_park(self, SLEEP_MAX_NS);
		uint64_t now = clv_now_ns();
		uint64_t others = __atomic_load_n(&parking->stamp_ns[!worker], __ATOMIC_RELAXED);
		if (worker)
			continue;
		/* One of them takes the rounds: the table is not for two. */
		if (others > mine) {
			*clv_rounds_at(rounds, 0) = (double)(now - others) - parking->clock_ns;
			rounds->n++;
		}
		if (!clv_rounds_more(rounds))
			__atomic_store_n(&parking->ended, 1, __ATOMIC_RELEASE);
	}
	clv_wake(other);
}

/* ---- both ---- */

static int begin(struct parking *parking, struct clv_machine *machine, const unsigned *cpu,
		 size_t columns, struct cleave_error *error)
{
	const struct cleave_env_options options = { .topology = machine->topology_source };

	*parking = (struct parking) { .ended = 0 };
	int status = clv_rounds_begin(&parking->rounds, columns, error);
	if (!status)
		status = cleave_env_open(&parking->env, &options, error);
	/* A handle is not bound to the thread that makes it, as long as one at a time uses it. */
	for (unsigned i = 0; i < 2 && !status; i++) {
		unsigned os = machine->topology->cpu[cpu[i]].os;
		status = cleave_thread_begin(&parking->thread[i], parking->env, (int)os);
		if (status)
			clv_error(error, status, "calibrate: no thread handle: CPU %u", os);
	}
	return status;
}

static void end(struct parking *parking)
{
	for (unsigned i = 0; i < 2; i++) {
		if (parking->thread[i])
			cleave_thread_end(parking->thread[i]);
	}
	if (parking->env)
		cleave_env_close(parking->env);
	clv_rounds_end(&parking->rounds);
}

int clv_probe_wake(struct clv_machine *machine, unsigned a, unsigned b, uint64_t budget_ns,
		   struct clv_park_costs *costs, struct cleave_error *error)
{
	struct parking parking;
	const unsigned cpu[] = { a, b };
	int status = begin(&parking, machine, cpu, COLUMNS, error);
	if (!status)
		status = clv_probe_run(machine, cpu, 2, budget_ns, &parking.rounds.phase, wake_body,
				       &parking, error);
	if (!status)
		status = clv_rounds_estimate(&parking.rounds, WAKE, -1, -1, &costs->wake);
	if (!status)
		status =
			clv_rounds_estimate(&parking.rounds, LATENCY, -1, -1, &costs->wake_latency);
	end(&parking);
	return status;
}

int clv_probe_park(struct clv_machine *machine, unsigned cpu, uint64_t budget_ns,
		   struct clv_estimate *park, struct cleave_error *error)
{
	struct parking parking;
	const unsigned both[] = { cpu, cpu };
	int status = begin(&parking, machine, both, 1, error);
	if (!status)
		status = clv_probe_run(machine, both, 2, budget_ns, &parking.rounds.phase,
				       park_body, &parking, error);
	if (!status)
		status = clv_rounds_estimate(&parking.rounds, 0, -1, -1, park);
	end(&parking);
	return status;
}
