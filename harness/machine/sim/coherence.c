// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What happens beyond an L1: private L2s, L3s, a directory at each line's home.
 *
 * The directory's bitmap says who has a copy; caches' tags only say for how long. An invalidation of
 * any number of sharers clears the bitmap; that their caches still hold the dead tag costs them a
 * way until it is replaced, as an invalid line does in hardware whose replacement does not prefer
 * it.
 *
 * A line is, by its directory entry,
 *   owned     by one core, exclusive and perhaps dirty. `sharers` is 1.
 *   shared    by `sharers` cores, in the bitmap. Silent evictions are not told to the directory, as
 *             in hardware: a sharer may have lost it.
 *   in memory alone: no sharers.
 * It is busy until its last move has arrived; the next one waits. Requests beyond the requester's
 * own L3 pass its home's directory, one every home_ps.
 *
 * Where a copy comes from: own L2; own L3; the owner's cache if it is dirty there; else the nearest
 * sharer or memory, whichever is nearer. L3s hold what their cores fetched, and what a core's L2 lost is found there; what an L3 has lost is in memory.
 *
 * Source of the shape: AMD's and Intel's directory protocols as in Molka et al., ICPP 2015 (Haswell
 * EP) and the tables in docs/machines.md; what is left out is listed in docs/machine-model.md.
 */
#include "core.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../../../lib/error.h"

/* ---- caches ---- */

static void *map_zeroed(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return at == MAP_FAILED ? NULL : at;
}

/* Sets are made a power of two, and what that would lose (of an L3) is given to them as ways. */
static bool make_caches(struct clv_cache **out, unsigned count, uint64_t bytes, uint64_t ways)
{
	uint32_t lines = (uint32_t)(bytes >> CLV_LINE_SHIFT), power = 1;
	while (power * 2 <= lines / (uint32_t)ways)
		power *= 2;
	ways = lines / power;
	struct clv_cache *cache = calloc(count, sizeof(*cache));
	size_t each = (size_t)power * ways;
	uint32_t *tags = cache ? map_zeroed(each * count * sizeof(*tags)) : NULL;
	if (!tags) {
		free(cache);
		return false;
	}
	for (unsigned i = 0; i < count; i++)
		cache[i] = (struct clv_cache){ power, (uint32_t)ways, tags + i * each };
	*out = cache;
	return true;
}

static void drop_caches(struct clv_cache **cache, unsigned count)
{
	if (*cache)
		munmap((*cache)->tag, (size_t)(*cache)->sets * (*cache)->ways * count *
					      sizeof(uint32_t));
	free(*cache);
	*cache = NULL;
}

static bool has(const struct clv_cache *cache, uint32_t line)
{
	const uint32_t *set = clv_cache_set(cache, line);
	for (unsigned i = 0; i < cache->ways; i++) {
		if (set[i] == line)
			return true;
	}
	return false;
}

/* To the front; the last place's line leaves, unless this one is there already. */
static void put(const struct clv_cache *cache, uint32_t line)
{
	uint32_t *set = clv_cache_set(cache, line), moved = line;
	for (unsigned i = 0; i < cache->ways; i++) {
		uint32_t here = set[i];
		set[i] = moved;
		if (here == line)
			return;
		moved = here;
	}
}

/* ---- the directory ---- */

static void drop_sharers(struct clv_line *at)
{
	memset(at->share, 0, clv_sim.share_words * sizeof(uint64_t));
	at->sharers = 0;
}

static bool any(const uint64_t *set, const uint64_t *mask)
{
	for (unsigned i = 0; i < clv_sim.share_words; i++) {
		if (set[i] & mask[i])
			return true;
	}
	return false;
}

static bool all_within(const uint64_t *set, const uint64_t *mask)
{
	for (unsigned i = 0; i < clv_sim.share_words; i++) {
		if (set[i] & ~mask[i])
			return false;
	}
	return true;
}

static const uint64_t *mask_of(uint64_t *masks, unsigned i)
{
	return masks + (size_t)i * clv_sim.share_words;
}

/* The smallest distance at which there is a sharer beside the CPU's own core; or none. */
static enum clv_distance nearest(const struct clv_vcpu *cpu, const uint64_t *set)
{
	if (any(set, mask_of(clv_sim.l3_mask, cpu->l3)))
		return CLV_DIST_L3;
	if (any(set, mask_of(clv_sim.node_mask, cpu->node)))
		return CLV_DIST_NODE;
	if (any(set, mask_of(clv_sim.package_mask, cpu->package)))
		return CLV_DIST_PACKAGE;
	return CLV_DIST_REMOTE;
}

static enum clv_distance farthest(const struct clv_vcpu *cpu, const uint64_t *set)
{
	if (all_within(set, mask_of(clv_sim.l3_mask, cpu->l3)))
		return CLV_DIST_L3;
	if (all_within(set, mask_of(clv_sim.node_mask, cpu->node)))
		return CLV_DIST_NODE;
	if (all_within(set, mask_of(clv_sim.package_mask, cpu->package)))
		return CLV_DIST_PACKAGE;
	return CLV_DIST_REMOTE;
}

static enum clv_distance between_nodes(unsigned a, unsigned b)
{
	if (a == b)
		return CLV_DIST_NODE;
	return clv_sim.node_package[a] == clv_sim.node_package[b] ? CLV_DIST_PACKAGE :
								    CLV_DIST_REMOTE;
}

static enum clv_distance longer(enum clv_distance a, enum clv_distance b)
{
	return a > b ? a : b;
}

/* Of a request to the home, and on to caches at `distance` in the node range. */
static enum clv_distance by_way_of(const struct clv_vcpu *cpu, unsigned home, unsigned other_node)
{
	return longer(longer(between_nodes(cpu->node, home), between_nodes(other_node, home)),
		      between_nodes(cpu->node, other_node));
}

/* The owner of a line, which is asked first if it is in the own L3, and else by the home. */
static enum clv_distance to_owner(const struct clv_vcpu *cpu, unsigned home, unsigned owner)
{
	return clv_sim.core_l3[owner] == cpu->l3 ? CLV_DIST_L3 :
						   by_way_of(cpu, home, clv_sim.core_node[owner]);
}

/* The farthest of those that have to lose their copies, likewise. */
static enum clv_distance to_sharers(const struct clv_vcpu *cpu, unsigned home, const uint64_t *set)
{
	enum clv_distance far = farthest(cpu, set);
	return far == CLV_DIST_L3 ? far : longer(far, between_nodes(cpu->node, home));
}

/*
 * Pass the home's directory, which works off its requests one every home_ps. They do not come in the
 * order of their times (a load that depends on others is issued ahead of the clock), so what is
 * kept is how much work there is, and not until when. Returns: when it has passed.
 */
static uint64_t pass_home(unsigned home, uint64_t start)
{
	struct clv_home *at = &clv_sim.home[home];
	if (start > at->seen_ps) {
		uint64_t passed = start - at->seen_ps;
		at->backlog_ps = at->backlog_ps > passed ? at->backlog_ps - passed : 0;
		at->seen_ps = start;
	}
	start += at->backlog_ps;
	at->backlog_ps += clv_sim.costs.home_ps;
	return start;
}

static void fill_private(const struct clv_vcpu *cpu, uint32_t line)
{
	put(&clv_sim.l1[cpu->core], line);
	put(&clv_sim.l2[cpu->core], line);
}

/* Whose tags are about to be looked at. */
static void prefetch(const struct clv_vcpu *cpu, uint32_t line)
{
	__builtin_prefetch(clv_cache_set(&clv_sim.l2[cpu->core], line), 1);
}

static void join(const struct clv_vcpu *cpu, struct clv_line *at)
{
	if (!clv_line_has(at, cpu->core)) {
		at->share[cpu->core / 64] |= UINT64_C(1) << (cpu->core % 64);
		at->sharers++;
	}
}

/* Who has a copy is in the bitmap: no other cache need be looked into. */
static bool in_l2(const struct clv_line *at, uint32_t line, unsigned core)
{
	return clv_line_has(at, core) && has(&clv_sim.l2[core], line);
}

static bool in_l3(const struct clv_line *at, uint32_t line, unsigned l3)
{
	return at->sharers && any(at->share, mask_of(clv_sim.l3_mask, l3)) &&
	       (!clv_sim.l3_may_overflow || has(&clv_sim.l3[l3], line));
}

static void fill_l3(uint32_t line, unsigned l3)
{
	if (clv_sim.l3_may_overflow)
		put(&clv_sim.l3[l3], line);
}

/* Who owned it has it still, in some cache: true. What its L3 lost has gone to memory: false. */
static bool owner_has(struct clv_line *at, uint32_t line)
{
	if (in_l3(at, line, clv_sim.core_l3[at->owner - 1]))
		return true;
	at->owner = 0;
	at->dirty = false;
	drop_sharers(at);
	return false;
}

static uint64_t account(struct clv_vcpu *cpu, enum clv_level level, enum clv_distance distance,
			uint32_t line, uint64_t asked, uint64_t done)
{
	clv_account_miss(cpu, level, distance, line, asked, done);
	return done;
}

/* ---- reading ---- */

static uint64_t read_dirty(struct clv_vcpu *cpu, struct clv_line *at, uint32_t line,
			   uint64_t asked, uint64_t start)
{
	unsigned owner = at->owner - 1u;
	enum clv_distance distance = CLV_DIST_L3;
	if (clv_sim.core_l3[owner] != cpu->l3) {
		unsigned home = clv_arena_home(line, cpu);
		distance = to_owner(cpu, home, owner);
		start = pass_home(home, start);
	}
	uint64_t done = start + clv_sim.costs.read_ps[distance];
	at->busy_ps = done;
	if (clv_sim.costs.read_takes[distance] && at->writer) {
		/* Straight from its writer, who has lost it; the next reader shares it. */
		at->version++;
		at->writer = 0;
		drop_sharers(at);
		at->owner = (uint16_t)(cpu->core + 1);
	} else {
		at->owner = 0;
		at->dirty = false;
	}
	return account(cpu, CLV_LEVEL_READ, distance, line, asked, done);
}

/* From a cache that has it clean, or from memory. */
static uint64_t read_clean(struct clv_vcpu *cpu, struct clv_line *at, uint32_t line,
			   uint64_t asked, uint64_t start)
{
	unsigned home = clv_arena_home(line, cpu);
	enum clv_distance distance = between_nodes(cpu->node, home);
	enum clv_level level = CLV_LEVEL_MEMORY;
	uint64_t cost = clv_sim.costs.memory_ps[distance];
	if (at->sharers) {
		enum clv_distance from = longer(nearest(cpu, at->share), distance);
		if (clv_sim.costs.read_ps[from] < cost) {
			cost = clv_sim.costs.read_ps[from];
			level = CLV_LEVEL_READ;
			distance = from;
		}
	}
	start = pass_home(home, start);
	at->busy_ps = clv_max(at->busy_ps, start + clv_sim.costs.share_ps);
	at->owner = at->sharers ? 0 : (uint16_t)(cpu->core + 1);
	return account(cpu, level, distance, line, asked, start + cost);
}

uint64_t clv_coherence_way(const struct clv_vcpu *cpu, uint32_t line, bool write)
{
	const struct clv_line *at = clv_line_at(line);
	bool mine = clv_line_has(at, cpu->core);
	unsigned others = at->sharers - mine, home = clv_arena_home(line, cpu);
	if (at->owner && at->owner != cpu->core + 1 && at->dirty) {
		enum clv_distance distance = to_owner(cpu, home, at->owner - 1u);
		return write ? clv_sim.costs.write_ps[distance] : clv_sim.costs.read_ps[distance];
	}
	if (!write || !others)
		return 0;
	enum clv_distance distance = to_sharers(cpu, home, at->share);
	return mine ? clv_sim.costs.upgrade_ps[distance] : clv_sim.costs.write_ps[distance];
}

uint64_t clv_coherence_read(struct clv_vcpu *cpu, uint32_t line, unsigned word, uint64_t issue)
{
	struct clv_line *at = clv_line_at(line);
	uint64_t done, start = clv_max(issue, at->busy_ps);
	prefetch(cpu, line);
	if (in_l2(at, line, cpu->core)) {
		done = account(cpu, CLV_LEVEL_L2, CLV_DIST_CORE, line, issue,
			       clv_core_arrived(cpu, line, issue) + clv_sim.costs.l2_ps);
		fill_private(cpu, line);
		return done;
	}
	at->words |= (uint8_t)(1u << word);
	bool coming = at->arrives_l3 == cpu->l3 + 1;
	bool elsewhere = at->owner && at->owner != cpu->core + 1 && owner_has(at, line) && at->dirty;
	if (elsewhere) {
		done = read_dirty(cpu, at, line, issue, start);
	} else if (in_l3(at, line, cpu->l3)) {
		start = coming ? clv_max(start, at->arrives_ps) : start;
		done = account(cpu, CLV_LEVEL_L3, CLV_DIST_CORE, line, issue,
			       start + clv_sim.costs.l3_ps);
		if (at->owner != cpu->core + 1)
			at->owner = 0;
	} else {
		if (at->owner && at->owner == cpu->core + 1)
			owner_has(at, line);
		done = read_clean(cpu, at, line, issue, start);
	}
	join(cpu, at);
	fill_private(cpu, line);
	fill_l3(line, cpu->l3);
	at->arrives_l3 = (uint16_t)(cpu->l3 + 1);
	at->arrives_ps = done;
	return done;
}

/* ---- writing ---- */

/* Take the other copies away. Returns: when the line is the core's. */
static uint64_t take(struct clv_vcpu *cpu, struct clv_line *at, uint32_t line, bool have,
		     uint64_t asked, uint64_t start)
{
	uint64_t *set = at->share;
	unsigned mine = clv_line_has(at, cpu->core);
	unsigned others = at->sharers - mine;
	unsigned home = clv_arena_home(line, cpu);
	enum clv_distance to_home = between_nodes(cpu->node, home), distance = to_home;
	enum clv_level level;
	uint64_t cost;

	bool near = have || in_l3(at, line, cpu->l3);
	set[cpu->core / 64] &= ~(UINT64_C(1) << (cpu->core % 64));
	if (at->owner && at->owner != cpu->core + 1 && at->dirty) {
		level = CLV_LEVEL_WRITE;
		distance = to_owner(cpu, home, at->owner - 1u);
		cost = clv_sim.costs.write_ps[distance];
	} else if (!others) {
		level = near ? CLV_LEVEL_L3 : CLV_LEVEL_MEMORY;
		cost = have ? 0 : near ? clv_sim.costs.l3_ps : clv_sim.costs.memory_ps[to_home];
		if (near)
			distance = CLV_DIST_CORE;
	} else {
		distance = to_sharers(cpu, home, set);
		level = have ? CLV_LEVEL_UPGRADE : CLV_LEVEL_WRITE;
		cost = have ? clv_sim.costs.upgrade_ps[distance] : clv_sim.costs.write_ps[distance];
		cost += (others - 1) * clv_sim.costs.invalidate_ps;
	}
	if (distance > CLV_DIST_L3)
		start = pass_home(home, start);
	return account(cpu, level, distance, line, asked, start + cost);
}

uint64_t clv_coherence_write(struct clv_vcpu *cpu, uint32_t line, unsigned word, uint64_t issue)
{
	struct clv_line *at = clv_line_at(line);
	prefetch(cpu, line);
	bool have = clv_core_in_l1(cpu, line, at);
	uint64_t done, start = clv_max(issue, at->busy_ps);
	if (!have && in_l2(at, line, cpu->core)) {
		have = true;
		issue += clv_sim.costs.l2_ps;
		start = clv_max(start, issue);
	}
	if (at->owner)
		owner_has(at, line);
	if (have && at->owner == cpu->core + 1) {
		done = account(cpu, CLV_LEVEL_L2, CLV_DIST_CORE, line, issue, issue);
	} else {
		at->words |= (uint8_t)(1u << word);
		done = take(cpu, at, line, have, issue, start);
		at->version++;
		drop_sharers(at);
		at->writer = 0;
		join(cpu, at);
		at->owner = (uint16_t)(cpu->core + 1);
		at->busy_ps = done;
		at->arrives_l3 = (uint16_t)(cpu->l3 + 1);
		at->arrives_ps = done;
		fill_l3(line, cpu->l3);
	}
	fill_private(cpu, line);
	if (UNLIKELY(at->waiter))
		clv_coherence_wake(at, issue);
	return done;
}

/* ---- those who spin ---- */

static struct clv_wait *wait_of(unsigned id)
{
	return &clv_sim.cpu[(id - 1) / 8].wait[(id - 1) % 8];
}

void clv_spin_unlink(struct clv_vcpu *cpu)
{
	for (unsigned i = 0; i < cpu->waits; i++) {
		struct clv_wait *wait = &cpu->wait[i];
		if (wait->prev)
			wait_of(wait->prev)->next = wait->next;
		else
			clv_line_at(wait->line)->waiter = wait->next;
		if (wait->next)
			wait_of(wait->next)->prev = wait->prev;
	}
	cpu->waits = 0;
}

void clv_coherence_wake(struct clv_line *line, uint64_t at_ps)
{
	while (line->waiter) {
		struct clv_vcpu *cpu = &clv_sim.cpu[(line->waiter - 1) / 8];
		clv_spin_unlink(cpu);
		clv_engine_ready(cpu, at_ps);
	}
}

/* ---- opening ---- */

static void set_bit(uint64_t *masks, unsigned i, unsigned core)
{
	masks[(size_t)i * clv_sim.share_words + core / 64] |= UINT64_C(1) << (core % 64);
}

static void describe_cores(const struct clv_topology *topology)
{
	for (unsigned i = 0; i < topology->cpus; i++) {
		const struct clv_vcpu *cpu = &clv_sim.cpu[i];
		clv_sim.core_node[cpu->core] = cpu->node;
		clv_sim.core_l3[cpu->core] = cpu->l3;
		clv_sim.node_package[cpu->node] = cpu->package;
		set_bit(clv_sim.l3_mask, cpu->l3, cpu->core);
		set_bit(clv_sim.node_mask, cpu->node, cpu->core);
		set_bit(clv_sim.package_mask, cpu->package, cpu->core);
	}
}

int clv_coherence_open(struct cleave_error *error)
{
	const struct clv_topology *topology = clv_sim.topology;
	const struct clv_costs *costs = &clv_sim.costs;
	size_t words = (topology->cores + 63) / 64;
	clv_sim.share_words = (unsigned)words;
	while ((size_t)1 << clv_sim.line_shift < sizeof(struct clv_line) + words * sizeof(uint64_t))
		clv_sim.line_shift++;
	clv_sim.directory = map_zeroed((size_t)CLV_LINES << clv_sim.line_shift);
	clv_sim.core_node = calloc(topology->cores, sizeof(uint16_t));
	clv_sim.core_l3 = calloc(topology->cores, sizeof(uint16_t));
	clv_sim.node_package = calloc(topology->nodes, sizeof(uint16_t));
	clv_sim.home = calloc(topology->nodes, sizeof(*clv_sim.home));
	clv_sim.l3_mask = calloc(topology->l3s * words, sizeof(uint64_t));
	clv_sim.node_mask = calloc(topology->nodes * words, sizeof(uint64_t));
	clv_sim.package_mask = calloc(topology->packages * words, sizeof(uint64_t));
	bool ok = clv_sim.directory && clv_sim.core_node && clv_sim.core_l3 &&
		  clv_sim.node_package && clv_sim.home &&
		  clv_sim.l3_mask && clv_sim.node_mask && clv_sim.package_mask;
	if (ok && clv_sim.charged)
		ok = make_caches(&clv_sim.l1, topology->cores, costs->l1_bytes, costs->l1_ways) &&
		     make_caches(&clv_sim.l2, topology->cores, costs->l2_bytes, costs->l2_ways) &&
		     make_caches(&clv_sim.l3, topology->l3s, costs->l3_bytes, costs->l3_ways);
	if (!ok)
		return clv_error(error, -ENOMEM, "simulated machine: out of memory");
	describe_cores(topology);
	return 0;
}

/* More memory than half an L3 may not find room in one, by chance of addresses. */
void clv_coherence_begin(void)
{
	clv_sim.l3_may_overflow = clv_sim.charged &&
				  clv_arena_block_lines() > clv_sim.costs.l3_bytes / 2 / 64;
}

void clv_coherence_close(void)
{
	drop_caches(&clv_sim.l1, clv_sim.cores);
	drop_caches(&clv_sim.l2, clv_sim.cores);
	drop_caches(&clv_sim.l3, clv_sim.l3s);
	if (clv_sim.directory)
		munmap(clv_sim.directory, (size_t)CLV_LINES << clv_sim.line_shift);
	free(clv_sim.core_node);
	free(clv_sim.core_l3);
	free(clv_sim.node_package);
	free(clv_sim.home);
	free(clv_sim.l3_mask);
	free(clv_sim.node_mask);
	free(clv_sim.package_mask);
}
