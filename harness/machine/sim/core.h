/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a load, a store, an atomic costs the CPU that does it: a core that issues in order and
 * completes out of order.
 *
 *   clock        when the next access can be issued. Basic blocks and accesses move it on by a
 *                little; what waits moves it to when that is over.
 *   load         issued at the clock, or when the pointer that its address comes from is there.
 *                Done a cache level's or a transfer's latency later. Nobody waits for it but who
 *                depends on it, at most `window` accesses run ahead of it, at most `outstanding`
 *                misses are under way.
 *   dependence   the data flow is not known. An address within REACH of a value that was loaded
 *                as a word lately is taken to come from it. An address that no such value explains
 *                is taken to come from a narrow load (a 32-bit index) that missed L1 and is not done,
 *                if there is one. So pointer chases wait, also by index, and two lines of one node
 *                do not wait for each other.
 *   store        goes to the store buffer and is done in order, behind all loads and stores before
 *                it, the lines being fetched at once.
 *   atomic       of a line that the core owns: is done as a store is; loads behind it go on, as they
 *                do on a Zen 5, unless atomic_overlaps is 0. Of a line that
 *                has to come: waits for all loads and stores before it, and all after it wait for
 *                it. A fence is as an atomic of an owned line.
 *   branch       a basic block that the predictor (entry.c) did not expect waits for the load before
 *                it, and pays for the refill.
 *
 * Traps that have been fallen into: charge and access are one step, so hooks yield before they
 * charge and never after; wake-ups would be lost. A line in the L1 of an SMT sibling is hit, but
 * its stores must still wake who spins on it.
 */
#ifndef CLV_SIM_CORE_H
#define CLV_SIM_CORE_H

#include "internal.h"

/* Accesses without a store, a pause or a rest: a loop that waits without saying so. */
#define CLV_BARE_MAX 4000000u
#define CLV_REACH UINT64_C(256) /* bytes: a member of what a pointer points to, either way */

static inline uint64_t clv_max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Looked at every so many blocks: has there been an access since? */
#define CLV_BLOCKS_BARE (UINT64_C(1) << 24)
void clv_core_idle(struct clv_vcpu *cpu);
/* A loop that waits without pausing, seen at this address. */
void clv_core_bare(struct clv_vcpu *cpu, const void *at);
/* A write to memory that is not the simulation's. Does not return. */
void clv_core_astray(const void *at) __attribute__((noreturn));

/* ---- before each access ---- */

/* Hits on what nobody else writes: a little ahead of the others will do. */
static inline void clv_core_turn(struct clv_vcpu *cpu)
{
	if (UNLIKELY(cpu->clock > clv_sim_ahead_ps))
		clv_engine_yield();
}

/* What others can see: in order. Returns: whether others have run. */
static inline bool clv_core_strict(struct clv_vcpu *cpu)
{
	if (LIKELY(cpu->clock <= clv_sim_limit_ps))
		return false;
	clv_engine_yield();
	return true;
}

/* ---- spinning ---- */

static inline void clv_core_note_read(struct clv_vcpu *cpu, uint32_t line, uint32_t stamp)
{
	for (unsigned i = 0; i < cpu->reads && i < CLV_SPIN_LINES; i++) {
		if (cpu->read_line[i] == line)
			return;
	}
	if (cpu->reads < CLV_SPIN_LINES) {
		cpu->read_line[cpu->reads] = line;
		cpu->read_stamp[cpu->reads] = stamp;
	}
	if (cpu->reads <= CLV_SPIN_LINES)
		cpu->reads++;
}


/* ---- caches ---- */

static inline uint32_t *clv_cache_set(const struct clv_cache *cache, uint32_t line)
{
	return &cache->tag[(size_t)(line & (cache->sets - 1)) * cache->ways];
}

/* Is the line, of which `at` is the entry, in the core's L1? */
static inline bool clv_core_in_l1(struct clv_vcpu *cpu, uint32_t line, const struct clv_line *at)
{
	const struct clv_cache *l1 = &clv_sim.l1[cpu->core];
	uint32_t *set = clv_cache_set(l1, line);
	if (UNLIKELY(!clv_line_has(at, cpu->core)))
		return false;
	if (LIKELY(set[0] == line))
		return true;
	for (unsigned i = 1; i < l1->ways; i++) {
		if (set[i] == line) { /* one place on: nearly the least recently used leaves */
			set[i] = set[i - 1];
			set[i - 1] = line;
			return true;
		}
	}
	return false;
}

/* ---- loads ---- */

static inline uint64_t clv_core_depends(const struct clv_vcpu *cpu, const void *at)
{
	uint64_t address = (uint64_t)(uintptr_t)at;
	/* The own stack is found by a register. */
	if ((address - CLV_ARENA_BASE) >> CLV_STACK_SHIFT == cpu->index)
		return cpu->clock;
	uint64_t issue = cpu->clock;
	bool explained = false;
	for (unsigned i = 0; i < CLV_POINTERS; i++) {
		if (address - cpu->pointer[i] + CLV_REACH < 2 * CLV_REACH) {
			explained = true;
			issue = clv_max(issue, cpu->pointer_done[i]);
		}
	}
	return explained ? issue : clv_max(issue, cpu->narrow_done);
}

static inline void clv_core_loaded(struct clv_vcpu *cpu, const void *at, unsigned bytes,
				   uint64_t issue, uint64_t done)
{
	cpu->last_done = done;
	if (done > cpu->loads_done)
		cpu->loads_done = done;
	unsigned window = (unsigned)clv_sim.costs.window;
	uint64_t *slot = &cpu->window_done[cpu->loads];
	cpu->loads = cpu->loads + 1 == window ? 0 : cpu->loads + 1;
	/* The one that leaves the window, with `window` of them behind it. */
	if (UNLIKELY(*slot > cpu->clock))
		cpu->clock = *slot;
	*slot = done;
	if (bytes == 8 && !((uintptr_t)at & 7)) {
		uint64_t value = *(const uint64_t *)at;
		if (value - CLV_ARENA_BASE < CLV_ARENA_BYTES) {
			unsigned i = cpu->pointers++ % CLV_POINTERS;
			cpu->pointer[i] = value;
			cpu->pointer_done[i] = done;
		}
	} else if (bytes == 4 && done > issue + clv_sim.costs.l1_ps) {
		cpu->narrow_done = done;
	}
}

static inline uint64_t clv_core_missed(struct clv_vcpu *cpu, uint64_t issue)
{
	uint64_t oldest = cpu->miss_done[cpu->misses];
	return clv_max(issue, oldest);
}

static inline void clv_core_missing(struct clv_vcpu *cpu, uint32_t line, uint64_t done)
{
	cpu->miss_done[cpu->misses] = done;
	cpu->miss_line[cpu->misses] = line;
	cpu->misses = cpu->misses + 1 == clv_sim.costs.outstanding ? 0 : cpu->misses + 1;
	cpu->misses_done = clv_max(cpu->misses_done, done);
}

/* The line is in L1 as far as the tags say; but a miss may still be on its way. */
static inline uint64_t clv_core_arrived(const struct clv_vcpu *cpu, uint32_t line, uint64_t issue)
{
	const struct clv_line *at = clv_line_at(line);
	if (UNLIKELY(at->arrives_ps > issue && at->arrives_l3 == cpu->l3 + 1))
		issue = at->arrives_ps;
	if (LIKELY(cpu->misses_done <= issue))
		return issue;
	for (unsigned i = 0; i < clv_sim.costs.outstanding; i++) {
		if (cpu->miss_line[i] == line)
			issue = clv_max(issue, cpu->miss_done[i]);
	}
	return issue;
}

/*
 * A request takes a part, request_percent, of what it costs to get to who has the line, and until then that one has it:
 * others go on till then. Only once; who has come behind another one's request gets the line after
 * that one's single access.
 */
static inline void clv_core_request(struct clv_vcpu *cpu, uint32_t index, uint64_t issue,
				    bool write)
{
	struct clv_line *line = clv_line_at(index);
	uint64_t half = clv_coherence_way(cpu, index, write) * clv_sim.costs.request_percent / 100;
	uint64_t start = clv_max(issue, line->busy_ps), arrival = start + half;
	if (!half || arrival <= clv_sim_limit_ps)
		return;
	uint64_t clock = cpu->clock;
	uint32_t version = line->version;
	uint16_t owner = line->owner;
	cpu->clock = clv_max(clock, arrival);
	clv_engine_yield();
	cpu->clock = clock;
	if (line->owner == owner && line->version == version && line->busy_ps > start)
		line->busy_ps = clv_max(start, line->busy_ps - half);
}

/* No costs: the policy has had its say, and what spinners see is kept. */
static inline void clv_core_load_free(struct clv_vcpu *cpu, const void *at)
{
	uint32_t index = clv_line_of(at);
	if (index)
		clv_core_note_read(cpu, index, clv_line_at(index)->stamp);
}

static inline void clv_core_load(struct clv_vcpu *cpu, const void *at, unsigned bytes)
{
	clv_core_turn(cpu);
	if (UNLIKELY(++cpu->bare > CLV_BARE_MAX))
		clv_core_bare(cpu, at);
	if (UNLIKELY(!clv_sim.charged)) {
		clv_core_load_free(cpu, at);
		return;
	}
	uint32_t index = clv_line_of(at);
	if (UNLIKELY(!index)) {
		clv_sim.counts.outside++;
		cpu->clock += cpu->access_ps;
		return;
	}
	struct clv_line *line = clv_line_at(index);
	uint64_t issue, done;
	for (;;) {
		if (LIKELY((cpu->last_line == index && cpu->last_version == line->version) ||
			   clv_core_in_l1(cpu, index, line))) {
			/* A copy that others have taken before, a spinner's say: in order. */
			if (line->version && line->owner != cpu->core + 1 && clv_core_strict(cpu))
				continue;
			issue = clv_core_arrived(cpu, index, clv_core_depends(cpu, at));
			done = issue + clv_sim.costs.l1_ps;
			if (UNLIKELY(line->writer && line->writer != cpu->index + 1 &&
				     line->owner == cpu->core + 1)) {
				/* The sibling's, through the L1 that both have: once. */
				done = clv_max(issue, line->busy_ps) +
				       clv_sim.costs.read_ps[CLV_DIST_CORE];
				line->writer = 0;
			}
			break;
		}
		if (clv_core_strict(cpu))
			continue;
		issue = clv_core_missed(cpu, clv_core_depends(cpu, at));
		clv_core_request(cpu, index, issue, false);
		done = clv_coherence_read(cpu, index, ((uintptr_t)at >> 3) & 7, issue);
		clv_core_missing(cpu, index, done);
		break;
	}
	cpu->clock += cpu->access_ps;
	cpu->last_line = index;
	cpu->last_version = line->version;
	clv_core_note_read(cpu, index, line->stamp);
	clv_core_loaded(cpu, at, bytes, issue, done);
}

/* ---- stores ---- */

/* pre: in order. Returns: when the core has the line to itself, asked for at `issue`. */
static inline uint64_t clv_core_own(struct clv_vcpu *cpu, uint32_t index, const void *at,
				    uint64_t issue)
{
	struct clv_line *line = clv_line_at(index);
	uint64_t done;
	if (LIKELY(line->owner == cpu->core + 1 && clv_core_in_l1(cpu, index, line))) {
		done = clv_core_arrived(cpu, index, issue);
		if (UNLIKELY(line->writer && line->writer != cpu->index + 1))
			done = clv_max(issue, line->busy_ps) +
			       clv_sim.costs.write_ps[CLV_DIST_CORE];
		if (UNLIKELY(line->waiter))
			clv_coherence_wake(line, issue);
	} else {
		issue = clv_core_missed(cpu, issue);
		clv_core_request(cpu, index, issue, true);
		done = clv_coherence_write(cpu, index, ((uintptr_t)at >> 3) & 7, issue);
		clv_core_missing(cpu, index, done);
	}
	line->dirty = true;
	line->stamp++;
	line->writer = (uint16_t)(cpu->index + 1);
	return done;
}

/* The line is the core's own, and nobody watches it: no one can tell when it is written. */
static inline bool clv_core_is_private(struct clv_vcpu *cpu, uint32_t index)
{
	const struct clv_line *line = clv_line_at(index);
	return line->owner == cpu->core + 1 && !line->waiter;
}

static inline void clv_core_write_free(uint32_t index)
{
	struct clv_line *line = clv_line_at(index);
	if (!index)
		return;
	line->stamp++;
	if (line->waiter)
		clv_coherence_wake(line, 0);
}

static inline void clv_core_store(struct clv_vcpu *cpu, const void *at)
{
	clv_core_turn(cpu);
	uint32_t index = clv_line_of(at);
	if (UNLIKELY(!index))
		clv_core_astray(at);
	cpu->wrote = true;
	cpu->bare = 0;
	if (UNLIKELY(!clv_sim.charged)) {
		clv_core_write_free(index);
		return;
	}
	/* Until there is an entry in the buffer. */
	if (UNLIKELY(cpu->store_done[cpu->stores] > cpu->clock))
		cpu->clock = cpu->store_done[cpu->stores];
	if (!clv_core_is_private(cpu, index))
		clv_core_strict(cpu);
	cpu->clock += cpu->access_ps;
	uint64_t done = clv_core_own(cpu, index, at, clv_core_depends(cpu, at));
	/* In order, one behind the other, and behind all loads before it (x86-TSO). */
	done = clv_max(done, cpu->stores_done + clv_sim.costs.access_ps);
	done = clv_max(done, cpu->loads_done);
	cpu->stores_done = done;
	/* Until then nobody else can have it. */
	struct clv_line *line = clv_line_at(index);
	line->busy_ps = clv_max(line->busy_ps, done);
	unsigned entries = (unsigned)clv_sim.costs.store_buffer;
	cpu->store_done[cpu->stores] = done;
	cpu->stores = cpu->stores + 1 == entries ? 0 : cpu->stores + 1;
}

/* ---- atomics and fences ---- */

/* All that has been begun is done, and so is `more`. */
static inline void clv_core_serialise(struct clv_vcpu *cpu)
{
	cpu->clock = clv_max(cpu->clock, clv_max(cpu->loads_done, cpu->stores_done));
}

/* Behind every store before it; every store behind it; loads go on, as far as the window lets. */
static inline void clv_core_ordered(struct clv_vcpu *cpu, uint64_t issue, uint64_t done)
{
	cpu->stores_done = done;
	clv_core_loaded(cpu, NULL, 0, issue, done);
}

static inline void clv_core_atomic(struct clv_vcpu *cpu, const void *at)
{
	uint32_t index = clv_line_of(at);
	if (UNLIKELY(!index))
		clv_core_astray(at);
	cpu->wrote = true;
	if (UNLIKELY(++cpu->bare > CLV_BARE_MAX))
		clv_core_bare(cpu, at);
	if (UNLIKELY(!clv_sim.charged)) {
		clv_core_turn(cpu);
		clv_core_write_free(index);
		return;
	}
	struct clv_line *line = clv_line_at(index);
	/* A line that has ever been another's will be asked for again: in order. */
	if (line->version)
		clv_core_strict(cpu);
	else
		clv_core_turn(cpu);
	if (clv_sim.costs.atomic_overlaps && clv_core_is_private(cpu, index) &&
	    clv_core_in_l1(cpu, index, line)) {
		cpu->clock += cpu->access_ps;
		uint64_t issue = clv_max(cpu->clock, clv_max(cpu->loads_done, cpu->stores_done));
		uint64_t done = clv_core_own(cpu, index, at, issue) + clv_sim.costs.atomic_ps;
		line->busy_ps = clv_max(line->busy_ps, done);
		clv_core_ordered(cpu, issue, done);
		return;
	}
	/* The line has to come: what follows could begin, but would do so with what it protects. */
	clv_core_serialise(cpu);
	clv_core_strict(cpu);
	cpu->clock += cpu->access_ps;
	uint64_t done = clv_core_own(cpu, index, at, cpu->clock) + clv_sim.costs.atomic_ps;
	line->busy_ps = clv_max(line->busy_ps, done);
	cpu->clock = cpu->last_done = cpu->loads_done = cpu->stores_done = done;
}

static inline void clv_core_fence(struct clv_vcpu *cpu)
{
	uint64_t issue = clv_max(cpu->clock, cpu->stores_done);
	clv_core_ordered(cpu, issue, issue + clv_sim.costs.fence_ps);
}

/* ---- ranges ---- */

static inline void clv_core_range(struct clv_vcpu *cpu, const void *at, size_t bytes, bool store)
{
	if (!bytes)
		return;
	uintptr_t first = (uintptr_t)at & ~(uintptr_t)63, last = ((uintptr_t)at + bytes - 1) & ~(uintptr_t)63;
	for (uintptr_t line = first;; line += 64) {
		if (store)
			clv_core_store(cpu, (const void *)line);
		else
			clv_core_load(cpu, (const void *)line, 0);
		if (line == last)
			return;
	}
}

#endif
