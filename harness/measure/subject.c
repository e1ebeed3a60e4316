// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "subject.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../lib/error.h"
#include "../../lib/map.h"
#include "../calibrate/probes.h"
#include "../worker.h"

/* As many at a time are drawn, then timed: few enough that they stay in L1. */
enum { CHUNK = 1024, FIRST_CHUNK = 16, POOL_CHUNK = 1024, FILL_LOOK = 256 };
#define CHUNK_NS 250e3

/* A removal and the insert after it. */
struct pair {
	uint32_t victim;
	struct clv_range range;
};

/* Behind each entry of a design that defers. */
struct tail {
	struct cleave_deferred deferred;
	struct clv_subject *subject;
	struct tail *next; /* in the pool */
};

struct block {
	struct block *next;
	void *memory;
	size_t bytes;
};

struct clv_subject {
	struct cleave_map *map;
	struct cleave_thread *thread;
	bool sink, defers;
	struct clv_ranges ranges;
	size_t stride_bytes, tail_offset;
	struct cleave_entry **entry; /* [count]: who stands for each range */
	struct tail *pool;
	struct block *blocks;
	uint64_t random;
	unsigned chunk;	 /* pairs, walks, full walks at a time: one after another */
	struct pair pair[CHUNK];
	uint32_t page[CHUNK];
};

static double cpu_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* ---- entries ---- */

static size_t round_up(size_t bytes, size_t align)
{
	return (bytes + align - 1) & ~(align - 1);
}

/* Zeroed, and in memory. NULL: none left. */
static void *take_block(struct clv_subject *subject, size_t bytes)
{
	struct block *block = malloc(sizeof(*block));
	if (!block)
		return NULL;
	block->bytes = round_up(bytes, CLV_HUGE_PAGE_BYTES);
	block->memory = clv_probe_map(block->bytes);
	if (!block->memory) {
		free(block);
		return NULL;
	}
	memset(block->memory, 0, bytes);
	block->next = subject->blocks;
	subject->blocks = block;
	return block->memory;
}

static void into_pool(struct clv_subject *subject, struct tail *tail)
{
	tail->next = subject->pool;
	subject->pool = tail;
}

static void unseen(struct cleave_deferred *deferred)
{
	struct tail *tail = cleave_container_of(deferred, struct tail, deferred);
	into_pool(tail->subject, tail);
}

static struct tail *tail_of(const struct clv_subject *subject, struct cleave_entry *entry)
{
	return (struct tail *)((char *)entry + subject->tail_offset);
}

/* An entry that no walker sees, for a design that defers. NULL: out of memory. */
static struct cleave_entry *take_entry(struct clv_subject *subject)
{
	if (__builtin_expect(!subject->pool, 0)) {
		char *memory = take_block(subject, POOL_CHUNK * subject->stride_bytes);
		for (unsigned i = 0; memory && i < POOL_CHUNK; i++)
			into_pool(subject, tail_of(subject, (struct cleave_entry *)(
					memory + i * subject->stride_bytes)));
	}
	struct tail *tail = subject->pool;
	if (!tail)
		return NULL;
	subject->pool = tail->next;
	return (struct cleave_entry *)((char *)tail - subject->tail_offset);
}

static int make_entries(struct clv_subject *subject)
{
	uint32_t count = subject->ranges.count;
	size_t align = cleave_entry_align(subject->map);
	subject->stride_bytes = round_up(cleave_entry_size(subject->map), align);
	if (subject->defers) {
		subject->tail_offset = round_up(subject->stride_bytes, _Alignof(struct tail));
		subject->stride_bytes =
			round_up(subject->tail_offset + sizeof(struct tail), align);
	}
	char *memory = take_block(subject, count * subject->stride_bytes);
	subject->entry = calloc(count, sizeof(struct cleave_entry *));
	if (!memory || !subject->entry)
		return -ENOMEM;
	/* In random order: each goes to where another one was. */
	for (uint32_t i = 0; i < count; i++) {
		struct cleave_entry *entry =
			(struct cleave_entry *)(memory + i * subject->stride_bytes);
		uint32_t other = (uint32_t)clv_scale(
			(uint32_t)(clv_random(&subject->random) >> 32), i + 1);
		subject->entry[i] = subject->entry[other];
		subject->entry[other] = entry;
	}
	return 0;
}

/* ---- opening ---- */

static int fill(struct clv_subject *subject, double limit_s, struct cleave_error *error)
{
	double begin_ns = cpu_ns();
	for (uint32_t i = 0; i < subject->ranges.count; i++) {
		struct clv_range range = subject->ranges.range[i];
		int code = cleave_insert(subject->map, subject->thread, subject->entry[i],
					 range.start, range.last);
		if (code)
			return clv_error(error, code, "insert [%u, %u]: %s", range.start,
					 range.last, strerror(-code));
		if (i % FILL_LOOK == 0 && cpu_ns() - begin_ns > limit_s * 1e9)
			return clv_error(error, -ETIME, "%u inserts take longer than %g s",
					 subject->ranges.count, limit_s);
	}
	return 0;
}

int clv_subject_open(struct clv_subject **made, const struct clv_subject_config *config,
		     struct cleave_error *error)
{
	struct clv_subject *subject = calloc(1, sizeof(*subject));
	if (!subject)
		return clv_error(error, -ENOMEM, "out of memory");
	subject->random = clv_seed(config->seed, CLV_STREAM_OPS, 0);
	int code = cleave_open(&subject->map, config->env, config->design, error);
	if (!code)
		code = cleave_thread_begin(&subject->thread, config->env, config->cpu);
	if (!code) {
		cleave_thread_seed(subject->thread, clv_seed(config->seed, CLV_STREAM_LIBRARY, 0));
		subject->sink = subject->map->structure->flags & CLEAVE_SINK;
		subject->defers = cleave_defers(subject->map);
		code = clv_ranges_make(&subject->ranges, config->shape, config->count,
				       clv_seed(config->seed, CLV_STREAM_POPULATION, 0));
	}
	if (!code && subject->ranges.pages - 1 > cleave_last_max(subject->map))
		code = clv_error(error, -ERANGE, "its bounds end before page %llu",
				 (unsigned long long)subject->ranges.pages - 1);
	if (!code)
		code = make_entries(subject);
	if (!code)
		code = fill(subject, config->fill_limit_s, error);
	if (code == -ENOMEM)
		clv_error(error, code, "out of memory");
	if (code)
		clv_subject_close(subject);
	else
		*made = subject;
	return code;
}

void clv_subject_close(struct clv_subject *subject)
{
	if (subject->thread)
		cleave_thread_end(subject->thread);
	if (subject->map)
		cleave_close(subject->map);
	while (subject->blocks) {
		struct block *block = subject->blocks;
		subject->blocks = block->next;
		clv_probe_unmap(block->memory, block->bytes);
		free(block);
	}
	clv_ranges_fini(&subject->ranges);
	free(subject->entry);
	free(subject);
}

/* ---- what is timed ---- */

static int run_pairs(struct clv_subject *subject, unsigned count)
{
	struct cleave_map *map = subject->map;
	struct cleave_thread *thread = subject->thread;
	int code = 0;
	for (const struct pair *pair = subject->pair; pair < subject->pair + count; pair++) {
		struct cleave_entry *entry = subject->entry[pair->victim];
		code |= cleave_remove(map, thread, entry);
		code |= cleave_insert(map, thread, entry, pair->range.start, pair->range.last);
	}
	return code;
}

static int run_deferring_pairs(struct clv_subject *subject, unsigned count)
{
	struct cleave_map *map = subject->map;
	struct cleave_thread *thread = subject->thread;
	int code = 0;
	for (const struct pair *pair = subject->pair; pair < subject->pair + count; pair++) {
		struct cleave_entry **slot = &subject->entry[pair->victim], *entry = *slot;
		struct tail *tail = tail_of(subject, entry);
		code |= cleave_remove(map, thread, entry);
		tail->subject = subject;
		cleave_defer(map, thread, &tail->deferred, unseen);
		entry = take_entry(subject);
		if (!entry)
			return -ENOMEM;
		*slot = entry;
		code |= cleave_insert(map, thread, entry, pair->range.start, pair->range.last);
	}
	return code;
}

static int visit(struct cleave_entry *entry, void *arg)
{
	(void)entry;
	++*(uint64_t *)arg;
	return 0;
}

static int run_walks(struct clv_subject *subject, unsigned count, uint64_t *hits)
{
	int code = 0;
	for (unsigned i = 0; i < count; i++)
		code |= cleave_walk(subject->map, subject->thread, subject->page[i],
				    subject->page[i], 0, visit, hits);
	return code;
}

static int run_full_walks(struct clv_subject *subject, unsigned count, uint64_t *hits)
{
	int code = 0;
	for (unsigned i = 0; i < count; i++)
		code |= cleave_walk(subject->map, subject->thread, 0, subject->ranges.pages - 1,
				    0, visit, hits);
	return code;
}

/* ---- timing ---- */

/* Chunks begin small, since nobody knows yet how slow one is. Returns: how many to time next. */
static unsigned next_chunk(unsigned chunk, double ns)
{
	return ns < CHUNK_NS / 2 && chunk < CHUNK ? 2 * chunk : chunk;
}

static int failed(int code, struct cleave_error *error)
{
	return clv_error(error, code < 0 ? code : -EIO, "a call failed: %d", code);
}

int clv_subject_pairs(struct clv_subject *subject, double budget_ns, struct clv_timing *timing,
		      struct cleave_error *error)
{
	unsigned chunk = FIRST_CHUNK;
	*timing = (struct clv_timing){ 0 };
	while (!timing->count || timing->ns < budget_ns) {
		for (unsigned i = 0; i < chunk; i++) {
			subject->pair[i].victim = clv_ranges_move(&subject->ranges);
			subject->pair[i].range =
				subject->ranges.range[subject->pair[i].victim];
		}
		double begin_ns = cpu_ns();
		int code = subject->defers ? run_deferring_pairs(subject, chunk)
					   : run_pairs(subject, chunk);
		double ns = cpu_ns() - begin_ns;
		if (code)
			return failed(code, error);
		timing->count += chunk;
		timing->ns += ns;
		chunk = next_chunk(chunk, ns);
	}
	return 0;
}

int clv_subject_walks(struct clv_subject *subject, double budget_ns, struct clv_timing *timing,
		      struct cleave_error *error)
{
	unsigned chunk = 1;
	uint64_t expected = 0;
	uint32_t *cover = clv_ranges_cover(&subject->ranges);
	if (!cover)
		return clv_error(error, -ENOMEM, "out of memory");
	int code = 0;
	*timing = (struct clv_timing){ 0 };
	while (!code && (!timing->count || timing->ns < budget_ns)) {
		for (unsigned i = 0; i < chunk; i++) {
			subject->page[i] = (uint32_t)clv_scale(
				(uint32_t)(clv_random(&subject->random) >> 32),
				subject->ranges.pages);
			expected += cover[subject->page[i]];
		}
		double begin_ns = cpu_ns();
		code = run_walks(subject, chunk, &timing->hits);
		double ns = cpu_ns() - begin_ns;
		timing->count += chunk;
		timing->ns += ns;
		chunk = next_chunk(chunk, ns);
	}
	free(cover);
	if (code)
		return failed(code, error);
	if (timing->hits != (subject->sink ? 0 : expected))
		return clv_error(error, -EUCLEAN, "%llu walks visited %llu, not %llu",
				 (unsigned long long)timing->count,
				 (unsigned long long)timing->hits, (unsigned long long)expected);
	return 0;
}

int clv_subject_full_walks(struct clv_subject *subject, double budget_ns,
			   struct clv_timing *timing, struct cleave_error *error)
{
	unsigned chunk = 1;
	*timing = (struct clv_timing){ 0 };
	while (!timing->count || timing->ns < budget_ns) {
		double begin_ns = cpu_ns();
		int code = run_full_walks(subject, chunk, &timing->hits);
		double ns = cpu_ns() - begin_ns;
		if (code)
			return failed(code, error);
		timing->count += chunk;
		timing->ns += ns;
		chunk = next_chunk(chunk, ns);
	}
	uint64_t expected = subject->sink ? 0 : timing->count * subject->ranges.count;
	if (timing->hits != expected)
		return clv_error(error, -EUCLEAN, "%llu walks over all visited %llu, not %llu",
				 (unsigned long long)timing->count,
				 (unsigned long long)timing->hits, (unsigned long long)expected);
	return 0;
}

/* ---- checking ---- */

struct sum {
	const struct cleave_map *map;
	uint64_t count, hash;
};

static uint64_t hash_of(uint64_t start, uint64_t last)
{
	return clv_seed(start, CLV_STREAM_CHECK, (unsigned)last);
}

static int add_up(struct cleave_entry *entry, void *arg)
{
	struct sum *sum = arg;
	uint64_t start, last;
	cleave_bounds(sum->map, entry, &start, &last);
	sum->count++;
	sum->hash += hash_of(start, last);
	return 0;
}

int clv_subject_check(struct clv_subject *subject, struct cleave_error *error)
{
	struct sum sum = { subject->map, 0, 0 };
	uint64_t hash = 0;
	int code = cleave_validate(subject->map, error);
	if (code || subject->sink)
		return code;
	code = cleave_walk(subject->map, subject->thread, 0, subject->ranges.pages - 1, 0, add_up,
			   &sum);
	for (uint32_t i = 0; i < subject->ranges.count; i++)
		hash += hash_of(subject->ranges.range[i].start, subject->ranges.range[i].last);
	if (code || sum.count != subject->ranges.count || sum.hash != hash ||
	    cleave_empty(subject->map))
		return clv_error(error, -EUCLEAN, "it holds other intervals than were put in");
	return 0;
}

size_t clv_subject_bytes(const struct clv_subject *subject)
{
	const struct cleave_map *map = subject->map;
	size_t bytes = 0;
	for (unsigned i = 0; i < map->objects; i++)
		bytes += map->structure->memory(map->object[i]);
	return bytes;
}
