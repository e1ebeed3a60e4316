// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Loads by how much memory they go round in. The ring is one random cycle through all lines
 * (Sattolo's shuffle), so that a round of the ring comes back to each line last: what does not fit
 * in a cache that drops the oldest is not found in it at all.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/error.h"
#include "../../lib/shim/shim.h"
#include "../machine/machine.h"
#include "probes.h"

enum { CHAINS_MAX = 64, STEPS = 4096, CHAIN_STEPS = 2048 };

static const unsigned chain_count[] = { 1, 2, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, CHAINS_MAX };
enum { COUNTS = sizeof(chain_count) / sizeof(chain_count[0]) };

union line {
	union line *next;
	char fill[CLV_CACHE_LINE];
};

struct load {
	union line *line;
	size_t lines;
	uint32_t *order; /* [lines], scratch */
	void (*run)(struct load *load);
	double clock_ns;
	struct clv_rounds rounds;
};

static uint64_t draw(uint64_t *random)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return *random >> 32;
}

/* Runs on the home's CPU, which touches every page first. */
static void lay_out(void *arg, unsigned worker)
{
	struct load *load = arg;
	uint64_t random = 1;

	(void)worker;
	/* In order: huge pages are made at the first touch. */
	memset(load->line, 0, load->lines * sizeof(*load->line));
	for (size_t i = 0; i < load->lines; i++)
		load->order[i] = (uint32_t)i;
	for (size_t i = load->lines - 1; i; i--) {
		size_t j = draw(&random) * i >> 32;
		uint32_t moved = load->order[i];
		load->order[i] = load->order[j];
		load->order[j] = moved;
	}
	for (size_t i = 0; i < load->lines; i++)
		load->line[i].next = &load->line[load->order[i]];
}

static union line *chase(union line *line, size_t steps)
{
	for (size_t i = 0; i < steps; i += 8) {
		line = line->next;
		line = line->next;
		line = line->next;
		line = line->next;
		line = line->next;
		line = line->next;
		line = line->next;
		line = line->next;
	}
	__asm__ __volatile__("" : "+r"(line) : : "memory");
	return line;
}

static void chase_beside(union line **at, unsigned chains, size_t steps)
{
	for (size_t i = 0; i < steps; i++) {
		for (unsigned j = 0; j < chains; j++)
			at[j] = at[j]->next;
	}
	__asm__ __volatile__("" : : "r"(at) : "memory");
}

static void run_chase(struct load *load)
{
	struct clv_rounds *rounds = &load->rounds;
	union line *line = chase(load->line, load->lines);

	while (clv_rounds_more(rounds)) {
		uint64_t start = clv_now_ns();
		line = chase(line, STEPS);
		uint64_t elapsed = clv_now_ns() - start;
		*clv_rounds_at(rounds, 0) = ((double)elapsed - load->clock_ns) / STEPS;
		rounds->n++;
	}
}

/* Chains start anywhere in the ring; a round times every number of them. */
static void run_beside(struct load *load)
{
	struct clv_rounds *rounds = &load->rounds;
	union line *at[CHAINS_MAX];
	uint64_t random = 2;

	while (clv_rounds_more(rounds)) {
		for (unsigned i = 0; i < COUNTS; i++) {
			unsigned chains = chain_count[i];
			size_t steps = CHAIN_STEPS / chains;
			for (unsigned j = 0; j < chains; j++)
				at[j] = &load->line[draw(&random) * load->lines >> 32];
			/* The starts themselves are read by nobody yet: one step apart from the
			 * rest. */
			chase_beside(at, chains, 1);
			uint64_t start = clv_now_ns();
			chase_beside(at, chains, steps);
			uint64_t elapsed = clv_now_ns() - start;
			*clv_rounds_at(rounds, i) =
				((double)elapsed - load->clock_ns) / (double)(steps * chains);
		}
		rounds->n++;
	}
}

static void body(void *arg, unsigned worker)
{
	struct load *load = arg;
	(void)worker;
	load->clock_ns = clv_probe_clock_ns();
	load->run(load);
}

/* How many times as fast the loads of the fastest number of chains come as those of one. */
static int estimate_outstanding(const struct clv_rounds *rounds, struct clv_load_costs *costs)
{
	struct clv_estimate estimate;
	size_t best = 0;
	double least = 0;

	for (size_t i = 0; i < COUNTS; i++) {
		int status = clv_rounds_estimate(rounds, i, -1, -1, &estimate);
		if (status)
			return status;
		/* The first that is within 2 % of the fastest: a plateau's beginning. */
		if (!i || estimate.value.median < least * 0.98) {
			least = estimate.value.median;
			best = i;
		}
	}
	double *alone = rounds->column;
	const double *beside = rounds->column + best * rounds->capacity;
	costs->chains = chain_count[best];
	for (size_t i = 0; i < rounds->n; i++)
		alone[i] /= beside[i];
	return clv_rounds_estimate(rounds, 0, -1, -1, &costs->outstanding);
}

/* Is it in huge pages, as far as the kernel says? */
static bool is_huge(const void *block, size_t bytes)
{
	char line[512];
	unsigned long low, high, kilobytes, found = 0;
	bool inside = false;
	FILE *file = fopen("/proc/self/smaps", "re");

	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx ", &low, &high) == 2)
			inside = low < (uintptr_t)block + bytes && high > (uintptr_t)block;
		else if (inside && sscanf(line, "AnonHugePages: %lu kB", &kilobytes) == 1)
			found += kilobytes;
	}
	fclose(file);
	return found > 0 && found >= bytes / 1024 * 9 / 10;
}

static int measure(struct load *load, struct clv_machine *machine, unsigned cpu, unsigned home,
		   bool outstanding, uint64_t budget_ns, struct clv_load_costs *costs,
		   struct cleave_error *error)
{
	int status = clv_probe_run(machine, &home, 1, 0, &load->rounds.phase, lay_out, load, error);
	if (status)
		return status;
	costs->huge_pages = is_huge(load->line, costs->bytes);
	uint64_t share_ns = outstanding ? budget_ns / 2 : budget_ns;
	load->run = run_chase;
	status = clv_probe_run(machine, &cpu, 1, share_ns, &load->rounds.phase, body, load, error);
	if (!status)
		status = clv_rounds_estimate(&load->rounds, 0, -1, -1, &costs->load);
	if (status || !outstanding)
		return status;
	load->run = run_beside;
	load->rounds.n = 0;
	status = clv_probe_run(machine, &cpu, 1, share_ns, &load->rounds.phase, body, load, error);
	return status ? status : estimate_outstanding(&load->rounds, costs);
}

int clv_probe_load(struct clv_machine *machine, unsigned cpu, unsigned home, size_t bytes,
		   bool outstanding, uint64_t budget_ns, struct clv_load_costs *costs,
		   struct cleave_error *error)
{
	/* Whole huge pages, of which the ring may be a part: so small rings have one too. */
	const size_t mapped = (bytes + CLV_HUGE_PAGE_BYTES - 1) & ~(CLV_HUGE_PAGE_BYTES - 1);
	*costs = (struct clv_load_costs) { .bytes = bytes };
	struct load load = {
		.line = clv_probe_map(mapped),
		.lines = bytes / sizeof(union line),
		.order = calloc(bytes / sizeof(union line), sizeof(uint32_t)),
	};
	int status = -ENOMEM;
	if (load.line && load.order)
		status = clv_rounds_begin(&load.rounds, COUNTS, error);
	else
		clv_error(error, status, "calibrate: no memory: %zu bytes to load from", bytes);
	if (!status)
		status = measure(&load, machine, cpu, home, outstanding, budget_ns, costs, error);
	clv_rounds_end(&load.rounds);
	free(load.order);
	if (load.line)
		clv_probe_unmap(load.line, mapped);
	return status;
}
