// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What the probes share: rows of samples, threads on their CPUs, memory. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "../../lib/error.h"
#include "../../lib/shim/shim.h"
#include "../machine/machine.h"
#include "probes.h"

/* Rounds are tens of us; more than these tell nothing new. Fewer than LEAST have no interval. */
enum { CAPACITY = 1 << 15, LEAST = 9, CLOCK_ROUNDS = 64 };

int clv_rounds_begin(struct clv_rounds *rounds, size_t columns, struct cleave_error *error)
{
	*rounds = (struct clv_rounds) {
		.column = calloc(columns * CAPACITY, sizeof(double)),
		.columns = columns,
		.capacity = CAPACITY,
	};
	return rounds->column ? 0 : clv_error(error, -ENOMEM, "calibrate: out of memory");
}

void clv_rounds_end(struct clv_rounds *rounds)
{
	free(rounds->column);
}

double *clv_rounds_at(struct clv_rounds *rounds, size_t column)
{
	return &rounds->column[column * rounds->capacity + rounds->n];
}

bool clv_rounds_more(const struct clv_rounds *rounds)
{
	if (rounds->n < LEAST)
		return true;
	return rounds->n < rounds->capacity &&
	       __atomic_load_n(&rounds->phase, __ATOMIC_RELAXED) != CLV_PHASE_STOP;
}

int clv_rounds_estimate(const struct clv_rounds *rounds, size_t column, int before, int after,
			struct clv_estimate *estimate)
{
	const double *base = rounds->column;
	const size_t stride = rounds->capacity;
	return clv_estimate_make(estimate, base + column * stride,
				 before < 0 ? NULL : base + (size_t)before * stride,
				 before < 0 ? NULL : base + (size_t)after * stride, rounds->n);
}

int clv_probe_run(struct clv_machine *machine, const unsigned *cpu, unsigned threads,
		  uint64_t budget_ns, uint32_t *phase, void (*body)(void *arg, unsigned worker),
		  void *arg, struct cleave_error *error)
{
	const struct clv_plan plan = {
		.threads = threads,
		.cpu_index = cpu,
		.window_ns = budget_ns,
		.phase = phase,
		.body = body,
		.arg = arg,
	};
	__atomic_store_n(phase, CLV_PHASE_WARM, __ATOMIC_RELAXED);
	return machine->run(machine, &plan, error);
}

/* The least of some: what comes on top of it is not the clock's. */
double clv_probe_clock_ns(void)
{
	uint64_t least = UINT64_MAX;
	for (unsigned i = 0; i < CLOCK_ROUNDS; i++) {
		uint64_t start = clv_now_ns();
		uint64_t elapsed = clv_now_ns() - start;
		least = elapsed < least ? elapsed : least;
	}
	return (double)least;
}

void *clv_probe_map(size_t bytes)
{
	/* Aligned by hand: the kernel gives huge pages to aligned parts alone. */
	size_t room = bytes + CLV_HUGE_PAGE_BYTES;
	char *mapped = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mapped == MAP_FAILED)
		return NULL;
	size_t skip = -(uintptr_t)mapped & (CLV_HUGE_PAGE_BYTES - 1);
	if (skip)
		munmap(mapped, skip);
	if (room - skip > bytes && munmap(mapped + skip + bytes, room - skip - bytes)) {
		munmap(mapped + skip, room - skip);
		return NULL;
	}
	madvise(mapped + skip, bytes, MADV_HUGEPAGE);
	return mapped + skip;
}

void clv_probe_unmap(void *block, size_t bytes)
{
	munmap(block, bytes);
}
