// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What a CPU does by itself. Each round times every one of them, so that all see the same machine.
 */
#include <string.h>

#include "../../lib/shim/shim.h"
#include "../machine/machine.h"
#include "probes.h"

enum { TIMES = 512, BRANCHES = 2048, BLOCKS = 64 };

enum { ATOMIC, FENCE, PAUSE, CLOCK, MISPREDICT, ALLOC, COLUMNS };

struct core {
	_Alignas(2 * CLV_CACHE_LINE) uint64_t word;
	_Alignas(2 * CLV_CACHE_LINE) uint64_t random;
	double clock_ns;
	struct clv_rounds rounds;
};

static void do_atomics(struct core *core)
{
	uint64_t add = 1;
	/* Each adds what the one before returned: a chain, as between a lock's steps. */
	for (unsigned i = 0; i < TIMES; i++)
		add = __atomic_fetch_add(&core->word, add | 1, __ATOMIC_SEQ_CST);
}

static void do_fences(struct core *core)
{
	(void)core;
	for (unsigned i = 0; i < TIMES; i++)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void do_pauses(struct core *core)
{
	(void)core;
	for (unsigned i = 0; i < TIMES; i++)
		clv_pause();
}

static void do_clock(struct core *core)
{
	for (unsigned i = 0; i < TIMES; i++)
		core->word = clv_now_ns();
}

static double time_each(struct core *core, void (*work)(struct core *core))
{
	uint64_t start = clv_now_ns();
	work(core);
	uint64_t elapsed = clv_now_ns() - start;
	return ((double)elapsed - core->clock_ns) / TIMES;
}

/* ---- branches ---- */

/*
 * A branch on random bits that no one has seen, in a loop that is the same whatever `mask` and
 * `toggle` are: the bit decides with a mask of 1, else all branches go one way. Both arms have
 * an asm, so that no compiler makes a conditional move of them.
 */
static double time_branches(struct core *core, uint64_t mask, uint64_t toggle)
{
	uint64_t x = core->random, left = 0, right = 0;
	uint64_t start = clv_now_ns();
	for (unsigned i = 0; i < BRANCHES; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if ((x & mask) ^ toggle)
			__asm__ __volatile__("" : "+r"(left));
		else
			__asm__ __volatile__("nop" : "+r"(right));
	}
	uint64_t elapsed = clv_now_ns() - start;
	core->random = x;
	return ((double)elapsed - core->clock_ns) / BRANCHES;
}

/* Half the random ones are mispredicted, whatever the predictor. */
static double time_mispredict(struct core *core)
{
	double taken = time_branches(core, 0, 1);
	double random = time_branches(core, 1, 0);
	double skipped = time_branches(core, 0, 0);
	return (random - (taken + skipped) / 2) * 2;
}

/* ---- the allocator ---- */

static double time_alloc(struct core *core)
{
	void *block[BLOCKS];
	uint64_t start = clv_now_ns();
	for (unsigned i = 0; i < BLOCKS; i++)
		block[i] = clv_alloc(CLV_CACHE_LINE, CLV_CACHE_LINE, -1);
	uint64_t elapsed = clv_now_ns() - start;
	for (unsigned i = 0; i < BLOCKS; i++)
		clv_free(block[i], CLV_CACHE_LINE);
	return ((double)elapsed - core->clock_ns) / BLOCKS;
}

static void body(void *arg, unsigned worker)
{
	struct core *core = arg;
	struct clv_rounds *rounds = &core->rounds;

	(void)worker;
	core->clock_ns = clv_probe_clock_ns();
	while (clv_rounds_more(rounds)) {
		*clv_rounds_at(rounds, ATOMIC) = time_each(core, do_atomics);
		*clv_rounds_at(rounds, FENCE) = time_each(core, do_fences);
		*clv_rounds_at(rounds, PAUSE) = time_each(core, do_pauses);
		*clv_rounds_at(rounds, CLOCK) = time_each(core, do_clock);
		*clv_rounds_at(rounds, MISPREDICT) = time_mispredict(core);
		*clv_rounds_at(rounds, ALLOC) = time_alloc(core);
		rounds->n++;
	}
}

int clv_probe_core(struct clv_machine *machine, unsigned cpu, uint64_t budget_ns,
		   struct clv_core_costs *costs, struct cleave_error *error)
{
	struct core core = { .random = 1 };
	struct clv_estimate *const want[COLUMNS] = {
		[ATOMIC] = &costs->atomic, [FENCE] = &costs->fence,
		[PAUSE] = &costs->pause,   [CLOCK] = &costs->clock,
		[ALLOC] = &costs->alloc,   [MISPREDICT] = &costs->mispredict,
	};
	int status = clv_rounds_begin(&core.rounds, COLUMNS, error);
	if (!status)
		status = clv_probe_run(machine, &cpu, 1, budget_ns, &core.rounds.phase, body, &core,
				       error);
	for (size_t i = 0; i < COLUMNS && !status; i++)
		status = clv_rounds_estimate(&core.rounds, i, -1, -1, want[i]);
	clv_rounds_end(&core.rounds);
	return status;
}

/* ---- computation ---- */

struct compute {
	struct clv_compute state;
	double clock_ns;
	struct clv_rounds rounds;
};

/* Of each kernel so many rounds that the clock's granularity is nothing beside them. */
enum { KERNEL_ROUNDS = 8 };

static void compute_body(void *arg, unsigned worker)
{
	struct compute *compute = arg;
	struct clv_rounds *rounds = &compute->rounds;

	(void)worker;
	clv_compute_begin(&compute->state, 1);
	compute->clock_ns = clv_probe_clock_ns();
	while (clv_rounds_more(rounds)) {
		for (unsigned i = 0; i < CLV_COMPUTE_KERNELS; i++) {
			/* One before: the caches and the predictor are this kernel's. */
			clv_compute_kernel[i].run(&compute->state, 1);
			uint64_t start = clv_now_ns();
			clv_compute_kernel[i].run(&compute->state, KERNEL_ROUNDS);
			uint64_t elapsed = clv_now_ns() - start;
			*clv_rounds_at(rounds, i) =
				((double)elapsed - compute->clock_ns) / KERNEL_ROUNDS;
		}
		rounds->n++;
	}
}

int clv_probe_compute(struct clv_machine *machine, unsigned cpu, uint64_t budget_ns,
		      struct clv_estimate round[CLV_COMPUTE_KERNELS], struct cleave_error *error)
{
	struct compute compute;
	memset(&compute, 0, sizeof(compute));
	int status = clv_rounds_begin(&compute.rounds, CLV_COMPUTE_KERNELS, error);
	if (!status)
		status = clv_probe_run(machine, &cpu, 1, budget_ns, &compute.rounds.phase,
				       compute_body, &compute, error);
	for (size_t i = 0; i < CLV_COMPUTE_KERNELS && !status; i++)
		status = clv_rounds_estimate(&compute.rounds, i, -1, -1, &round[i]);
	clv_rounds_end(&compute.rounds);
	return status;
}

/* ---- SMT ---- */

struct sibling {
	_Alignas(2 * CLV_CACHE_LINE) uint32_t work; /* enum below, from the first to the second */
	_Alignas(2 * CLV_CACHE_LINE) uint32_t working;
	_Alignas(2 * CLV_CACHE_LINE) double clock_ns;
	struct clv_rounds rounds;
	struct clv_compute state[2];
};

enum { IDLE, BUSY, LEAVE };

/* Idle is a loop of pauses, which takes next to nothing of the core from its sibling. */
static void keep_busy(struct sibling *sibling)
{
	uint32_t work;
	while ((work = __atomic_load_n(&sibling->work, __ATOMIC_ACQUIRE)) != LEAVE) {
		__atomic_store_n(&sibling->working, work, __ATOMIC_RELEASE);
		if (work == BUSY)
			clv_compute_kernel[0].run(&sibling->state[1], 1);
		else
			clv_pause();
	}
}

static double time_beside(struct sibling *sibling, uint32_t work)
{
	__atomic_store_n(&sibling->work, work, __ATOMIC_RELEASE);
	while (__atomic_load_n(&sibling->working, __ATOMIC_ACQUIRE) != work)
		clv_pause();
	clv_compute_kernel[0].run(&sibling->state[0], 1);
	uint64_t start = clv_now_ns();
	clv_compute_kernel[0].run(&sibling->state[0], KERNEL_ROUNDS);
	return (double)(clv_now_ns() - start) - sibling->clock_ns;
}

static void smt_body(void *arg, unsigned worker)
{
	struct sibling *sibling = arg;
	struct clv_rounds *rounds = &sibling->rounds;

	clv_compute_begin(&sibling->state[worker], worker + 1);
	if (worker) {
		keep_busy(sibling);
		return;
	}
	sibling->clock_ns = clv_probe_clock_ns();
	while (clv_rounds_more(rounds)) {
		double before = time_beside(sibling, IDLE);
		double beside = time_beside(sibling, BUSY);
		double after = time_beside(sibling, IDLE);
		*clv_rounds_at(rounds, 0) = 100 * beside / ((before + after) / 2);
		*clv_rounds_at(rounds, 1) = before;
		*clv_rounds_at(rounds, 2) = after;
		rounds->n++;
	}
	__atomic_store_n(&sibling->work, LEAVE, __ATOMIC_RELEASE);
}

int clv_probe_smt(struct clv_machine *machine, unsigned a, unsigned b, uint64_t budget_ns,
		  struct clv_estimate *percent, struct cleave_error *error)
{
	struct sibling sibling;
	const unsigned cpu[] = { a, b };
	memset(&sibling, 0, sizeof(sibling));
	sibling.working = LEAVE;
	int status = clv_rounds_begin(&sibling.rounds, 3, error);
	if (!status)
		status = clv_probe_run(machine, cpu, 2, budget_ns, &sibling.rounds.phase, smt_body,
				       &sibling, error);
	if (!status)
		status = clv_rounds_estimate(&sibling.rounds, 0, 1, 2, percent);
	clv_rounds_end(&sibling.rounds);
	return status;
}
