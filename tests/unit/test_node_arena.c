// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Small blocks on NUMA nodes: the arena by itself, on nodes that need not exist, and under the
 * shim, to which this machine is one with two nodes.
 */
#include <criterion/criterion.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/node_arena.h"
#include "shim/shim.h"

enum { NODES = 3, NODE_BYTES = 16 << 20, SMALL_NODE_BYTES = 256 << 10 };

/* Under the address sanitizer the shim leaves the arena aside. */
#if defined(__SANITIZE_ADDRESS__)
#define SHIM_USES_ARENA false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SHIM_USES_ARENA false
#endif
#endif
#ifndef SHIM_USES_ARENA
#define SHIM_USES_ARENA true
#endif

unsigned __real_clv_node_arena_nodes(void);
unsigned __wrap_clv_node_arena_nodes(void);

unsigned __wrap_clv_node_arena_nodes(void)
{
	return 2;
}

/* Set: nobody has what they opened before all who wait there have opened one. */
static pthread_barrier_t *all_opened;

struct clv_node_arena *__real_clv_node_arena_open(unsigned nodes, size_t node_bytes,
						  void (*bind)(void *pages, size_t bytes,
							       int node));
struct clv_node_arena *__wrap_clv_node_arena_open(unsigned nodes, size_t node_bytes,
						  void (*bind)(void *pages, size_t bytes,
							       int node));

struct clv_node_arena *__wrap_clv_node_arena_open(unsigned nodes, size_t node_bytes,
						  void (*bind)(void *pages, size_t bytes, int node))
{
	struct clv_node_arena *opened = __real_clv_node_arena_open(nodes, node_bytes, bind);
	if (all_opened)
		pthread_barrier_wait(all_opened);
	return opened;
}

/* What bind was told: by node. */
static struct {
	uintptr_t start;
	size_t bytes;
	unsigned calls;
} bound[NODES];

static void record_bind(void *pages, size_t bytes, int node)
{
	cr_assert(node >= 0 && node < NODES);
	bound[node].start = (uintptr_t)pages;
	bound[node].bytes = bytes;
	bound[node].calls++;
}

static struct clv_node_arena *open_arena(size_t node_bytes)
{
	struct clv_node_arena *arena = clv_node_arena_open(NODES, node_bytes, record_bind);
	cr_assert_not_null(arena);
	return arena;
}

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static bool has_only(const unsigned char *bytes, size_t count, unsigned char value)
{
	for (size_t i = 0; i < count; i++) {
		if (bytes[i] != value)
			return false;
	}
	return true;
}

static bool lies_on(const void *block, size_t size_bytes, unsigned node)
{
	uintptr_t at = (uintptr_t)block;
	return at >= bound[node].start && at + size_bytes <= bound[node].start + bound[node].bytes;
}

TestSuite(node_arena, .timeout = 120);

Test(node_arena, binds_whole_pages_of_each_node_once)
{
	struct clv_node_arena *arena = open_arena(NODE_BYTES + 1);

	for (unsigned n = 0; n < NODES; n++) {
		cr_assert_eq(bound[n].calls, 1, "node %u", n);
		cr_assert_eq(bound[n].start % page_bytes(), 0, "node %u", n);
		cr_assert_eq(bound[n].bytes % page_bytes(), 0, "node %u", n);
		cr_assert_geq(bound[n].bytes, NODE_BYTES + 1, "node %u", n);
		for (unsigned m = 0; m < n; m++)
			cr_assert(bound[m].start + bound[m].bytes <= bound[n].start ||
					  bound[n].start + bound[n].bytes <= bound[m].start,
				  "nodes %u and %u overlap", m, n);
	}
	clv_node_arena_close(arena);
}

struct block {
	unsigned char *at;
	size_t size_bytes;
	unsigned node;
};

static int compare_blocks(const void *a, const void *b)
{
	const struct block *left = a, *right = b;
	return left->at < right->at ? -1 : left->at > right->at;
}

/* Sorted by address: neither overlap nor a shared line; between nodes, no shared page. */
static void check_apart(struct block *block, size_t count)
{
	qsort(block, count, sizeof(*block), compare_blocks);
	for (size_t i = 1; i < count; i++) {
		uintptr_t last = (uintptr_t)block[i - 1].at + block[i - 1].size_bytes - 1;
		uintptr_t start = (uintptr_t)block[i].at;
		cr_assert_lt(last, start);
		cr_assert_lt(last / CLV_CACHE_LINE, start / CLV_CACHE_LINE);
		if (block[i - 1].node != block[i].node)
			cr_assert_lt(last / page_bytes(), start / page_bytes());
	}
}

static struct block take(struct clv_node_arena *arena, size_t size_bytes, size_t align_bytes,
			 unsigned node)
{
	struct block block = {
		.at = clv_node_arena_alloc(arena, size_bytes, align_bytes, (int)node),
		.size_bytes = size_bytes,
		.node = node,
	};
	cr_assert_not_null(block.at, "size %zu align %zu node %u", size_bytes, align_bytes, node);
	cr_assert_eq((uintptr_t)block.at % align_bytes, 0, "size %zu align %zu node %u", size_bytes,
		     align_bytes, node);
	cr_assert(has_only(block.at, size_bytes, 0), "size %zu align %zu node %u", size_bytes,
		  align_bytes, node);
	cr_assert(lies_on(block.at, size_bytes, node));
	cr_assert(clv_node_arena_owns(arena, block.at));
	return block;
}

Test(node_arena, every_size_and_alignment)
{
	struct clv_node_arena *arena = open_arena(NODE_BYTES);
	const size_t sizes[] = { 1, 4, 63, 64, 65, 128, 192, 1000, 2048, 2049, page_bytes() - 1 };
	enum { SIZES = sizeof(sizes) / sizeof(*sizes), ALIGNS_MAX = 20, EACH = 3 };
	static struct block block[SIZES * ALIGNS_MAX * EACH * NODES];
	size_t count = 0;

	for (unsigned each = 0; each < EACH; each++) {
		for (size_t align = 1; align <= page_bytes(); align *= 2) {
			for (unsigned s = 0; s < SIZES; s++) {
				for (unsigned n = 0; n < NODES; n++)
					block[count++] = take(arena, sizes[s], align, n);
			}
		}
	}
	for (size_t i = 0; i < count; i++)
		memset(block[i].at, 0xa5, block[i].size_bytes);
	check_apart(block, count);
	for (size_t i = 0; i < count; i++)
		clv_node_arena_free(arena, block[i].at);
	clv_node_arena_close(arena);
}

Test(node_arena, refuses_what_is_not_its_own)
{
	struct clv_node_arena *arena = open_arena(NODE_BYTES);
	int local;

	cr_assert_null(clv_node_arena_alloc(arena, page_bytes(), 8, 0));
	cr_assert_null(clv_node_arena_alloc(arena, SIZE_MAX, 8, 0));
	cr_assert_null(clv_node_arena_alloc(arena, 64, 2 * page_bytes(), 0));
	cr_assert_null(clv_node_arena_alloc(arena, 64, 64, -1));
	cr_assert_null(clv_node_arena_alloc(arena, 64, 64, NODES));
	cr_assert_null(clv_node_arena_alloc(arena, 64, 64, 1 << 30));
	cr_assert_not_null(clv_node_arena_alloc(arena, 0, 64, 0));

	const unsigned last = NODES - 1;
	cr_assert(clv_node_arena_owns(arena, (void *)(bound[last].start + bound[last].bytes - 1)));
	cr_assert_not(clv_node_arena_owns(arena, (void *)(bound[last].start + bound[last].bytes)));
	cr_assert_not(clv_node_arena_owns(arena, (char *)arena - 1));
	cr_assert_not(clv_node_arena_owns(arena, &local));
	cr_assert_not(clv_node_arena_owns(NULL, &local));
	clv_node_arena_close(arena);
	clv_node_arena_close(NULL);

	cr_assert_null(clv_node_arena_open(0, NODE_BYTES, record_bind));
	cr_assert_null(clv_node_arena_open(NODES, SIZE_MAX / NODES, record_bind));
	/* No room for what is kept about a node; and room for that alone. */
	cr_assert_null(clv_node_arena_open(NODES, 0, record_bind));
	arena = open_arena(1);
	cr_assert_null(clv_node_arena_alloc(arena, 1, 1, 0));
	clv_node_arena_close(arena);
}

Test(node_arena, is_zeroed_when_used_again)
{
	struct clv_node_arena *arena = open_arena(NODE_BYTES);

	for (size_t size = 1; size < page_bytes(); size = size * 3 + 1) {
		struct block first = take(arena, size, 8, 1);
		memset(first.at, 0xa5, size);
		clv_node_arena_free(arena, first.at);
		struct block second = take(arena, size, 8, 1);
		cr_assert_eq(second.at, first.at, "size %zu was not used again", size);
		/* A longer one in what both are rounded up to: zeroed to its own end. */
		size_t rounded = (size + CLV_CACHE_LINE - 1) / CLV_CACHE_LINE * CLV_CACHE_LINE;
		memset(second.at, 0xa5, rounded);
		clv_node_arena_free(arena, second.at);
		if (rounded < page_bytes())
			cr_assert_eq(take(arena, rounded, 8, 1).at, first.at);
	}
	clv_node_arena_close(arena);
}

/* The size is told by the page: an aligned block is longer than what was asked for. */
Test(node_arena, aligned_blocks_keep_their_length)
{
	struct clv_node_arena *arena = open_arena(NODE_BYTES);

	struct block aligned = take(arena, 4, 1024, 0);
	clv_node_arena_free(arena, aligned.at);
	struct block small = take(arena, 4, 4, 0);
	cr_assert_neq(small.at, aligned.at);
	struct block large = take(arena, 1024, 64, 0);
	cr_assert_eq(large.at, aligned.at);
	clv_node_arena_close(arena);
}

Test(node_arena, full_node_says_so_and_recovers)
{
	struct clv_node_arena *arena = open_arena(SMALL_NODE_BYTES);
	enum { MAX = SMALL_NODE_BYTES / CLV_CACHE_LINE };
	static struct block block[MAX];
	size_t count = 0;

	for (void *at; (at = clv_node_arena_alloc(arena, 64, 64, 1)); count++) {
		cr_assert_lt(count, MAX);
		cr_assert(lies_on(at, 64, 1));
		block[count] = (struct block) { .at = at, .size_bytes = 64, .node = 1 };
		memset(at, 0xa5, 64);
	}
	/* All but the node's own words. */
	cr_assert_geq(count * 64, SMALL_NODE_BYTES - 2 * 64 * 1024);
	cr_assert_null(clv_node_arena_alloc(arena, 1024, 64, 1));
	take(arena, 64, 64, 0);
	take(arena, 64, 64, 2);
	check_apart(block, count);

	for (size_t i = 0; i < count; i++)
		clv_node_arena_free(arena, block[i].at);
	for (size_t i = 0; i < count; i++)
		take(arena, 64, 64, 1);
	cr_assert_null(clv_node_arena_alloc(arena, 64, 64, 1));
	clv_node_arena_close(arena);
}

static uint64_t random_from(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Each live block holds a value of its own: another's bytes in it show as that other's value. */
Test(node_arena, random_blocks_do_not_overlap)
{
	struct clv_node_arena *arena = open_arena(NODE_BYTES);
	enum { SLOTS = 1000, ROUNDS = 50000 };
	static struct block block[SLOTS];
	uint64_t state = 88172645463325252u;
	size_t live = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned slot = (unsigned)(random_from(&state) % SLOTS);
		unsigned char value = (unsigned char)(1 + slot % 255);
		if (block[slot].at) {
			cr_assert(has_only(block[slot].at, block[slot].size_bytes, value));
			clv_node_arena_free(arena, block[slot].at);
			block[slot].at = NULL;
			continue;
		}
		size_t size = 1 + random_from(&state) % 600;
		size_t align = (size_t)1 << random_from(&state) % 10;
		block[slot] = take(arena, size, align, (unsigned)(random_from(&state) % NODES));
		memset(block[slot].at, value, size);
	}
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		if (!block[slot].at)
			continue;
		cr_assert(has_only(block[slot].at, block[slot].size_bytes,
				   (unsigned char)(1 + slot % 255)));
		block[live++] = block[slot];
	}
	cr_assert_gt(live, SLOTS / 4);
	check_apart(block, live);
	clv_node_arena_close(arena);
}

/* ---- threads ---- */

enum { THREADS = 4, SHARED_SLOTS = 64, THREAD_ROUNDS = 20000 };

/* Written whole by who allocates; the first word says how long and on which node it is. */
struct shared_head {
	uint32_t size_bytes;
	uint16_t node;
	unsigned char value;
};

static struct {
	struct clv_node_arena *arena;
	struct shared_head *slot[SHARED_SLOTS];
	unsigned wrong;
} shared;

static bool is_intact(const struct shared_head *head)
{
	return lies_on(head, head->size_bytes, head->node) &&
	       has_only((const unsigned char *)(head + 1), head->size_bytes - sizeof(*head),
			head->value);
}

static struct shared_head *make_block(uint64_t *state)
{
	uint64_t drawn = random_from(state);
	uint32_t size_bytes = sizeof(struct shared_head) + (uint32_t)(drawn >> 8) % 300;
	uint16_t node = (uint16_t)(drawn % NODES);
	struct shared_head *head =
		clv_node_arena_alloc(shared.arena, size_bytes, _Alignof(struct shared_head), node);

	if (!head || !has_only((const unsigned char *)head, size_bytes, 0))
		return NULL;
	*head = (struct shared_head) { size_bytes, node, (unsigned char)(drawn >> 48) };
	memset(head + 1, head->value, size_bytes - sizeof(*head));
	return head;
}

/* Blocks are handed on through the slots, so that most are freed by another than made them. */
static void *exchange_blocks(void *arg)
{
	uint64_t state = 0x9e3779b97f4a7c15u * ((uintptr_t)arg + 1);
	unsigned wrong = 0;

	for (unsigned round = 0; round < THREAD_ROUNDS; round++) {
		struct shared_head *made = make_block(&state);
		wrong += !made;
		struct shared_head **slot = &shared.slot[random_from(&state) % SHARED_SLOTS];
		/* Each exchange pairs with the one that put the block there, or takes it. */
		struct shared_head *old = __atomic_exchange_n(slot, made, __ATOMIC_ACQ_REL);
		if (old) {
			wrong += !is_intact(old);
			clv_node_arena_free(shared.arena, old);
		}
	}
	__atomic_fetch_add(&shared.wrong, wrong, __ATOMIC_RELAXED);
	return NULL;
}

Test(node_arena, threads_share_it)
{
	pthread_t id[THREADS];
	struct block block[SHARED_SLOTS];
	size_t live = 0;

	shared.arena = open_arena(NODE_BYTES);
	for (uintptr_t i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&id[i], NULL, exchange_blocks, (void *)i), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(id[i], NULL);
	cr_assert_eq(shared.wrong, 0, "%u blocks not zeroed, overwritten or missing", shared.wrong);
	for (unsigned i = 0; i < SHARED_SLOTS; i++) {
		if (!shared.slot[i])
			continue;
		cr_assert(is_intact(shared.slot[i]));
		block[live++] = (struct block) {
			.at = (unsigned char *)shared.slot[i],
			.size_bytes = shared.slot[i]->size_bytes,
			.node = shared.slot[i]->node,
		};
	}
	cr_assert_gt(live, 0);
	check_apart(block, live);
	clv_node_arena_close(shared.arena);
}

/* ---- under the shim ---- */

Test(node_arena, counts_this_machine)
{
	unsigned nodes = __real_clv_node_arena_nodes();
	char path[64];

	cr_assert_geq(nodes, 1);
	if (nodes == 1)
		return;
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u", nodes - 1);
	cr_assert_eq(access(path, F_OK), 0, "%s is not there", path);
}

Test(node_arena, shim_keeps_nodes_apart)
{
	enum { EACH = 200 };
	struct block block[2 * EACH];
	static const size_t sizes[] = { 4, 64, 192, 1000 };

	if (!SHIM_USES_ARENA)
		cr_skip_test("the address sanitizer has everything from malloc");
	for (unsigned i = 0; i < 2 * EACH; i++) {
		size_t size = sizes[i / 2 % 4];
		unsigned char *at = clv_alloc(size, CLV_CACHE_LINE, (int)(i % 2));
		cr_assert_not_null(at);
		cr_assert(has_only(at, size, 0));
		memset(at, 0xa5, size);
		block[i] = (struct block) { .at = at, .size_bytes = size, .node = i % 2 };
	}
	check_apart(block, 2 * EACH);
	for (unsigned i = 0; i < 2 * EACH; i++)
		clv_free(block[i].at, block[i].size_bytes);
}

/* Mapped, the arena's and malloc's: each must find its way back. */
Test(node_arena, shim_takes_all_blocks_back)
{
	static const size_t sizes[] = { 0, 1, 64, 65, 4095, 4096, 65535, 65536, 1 << 20 };
	static const size_t aligns[] = { 1, 8, 64, 128, 4096, 65536, 1 << 21 };
	static const int nodes[] = { -1, 0, 1, 2, 1023, 1 << 30 };

	for (unsigned again = 0; again < 3; again++) {
		for (unsigned n = 0; n < sizeof(nodes) / sizeof(*nodes); n++) {
			for (unsigned a = 0; a < sizeof(aligns) / sizeof(*aligns); a++) {
				for (unsigned s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
					unsigned char *at =
						clv_alloc(sizes[s], aligns[a], nodes[n]);
					cr_assert_not_null(at);
					cr_assert_eq((uintptr_t)at % aligns[a], 0);
					cr_assert(has_only(at, sizes[s], 0));
					memset(at, 0xa5, sizes[s]);
					clv_free(at, sizes[s]);
				}
			}
		}
	}
	clv_free(NULL, 64);
}

/* The memory policy of the page at `block`: false if the kernel does not say. */
static bool ask_policy(const void *block, int *mode, unsigned long *nodes)
{
	unsigned long mask[16] = { 0 };

	if (syscall(SYS_get_mempolicy, mode, mask, 8 * sizeof(mask), block, MPOL_F_ADDR))
		return false;
	*nodes = mask[0];
	return true;
}

Test(node_arena, kernel_prefers_the_node)
{
	static _Alignas(1 << 16) char page[1 << 16];
	unsigned long nodes = 1;
	int mode;

	if (!SHIM_USES_ARENA)
		cr_skip_test("the address sanitizer has everything from malloc");
	if (syscall(SYS_mbind, page, sizeof(page), MPOL_PREFERRED, &nodes, 8 * sizeof(nodes), 0) ||
	    !ask_policy(page, &mode, &nodes) || mode != MPOL_PREFERRED)
		cr_skip_test("no memory policies here");

	void *bound_block = clv_alloc(4, CLV_CACHE_LINE, 0);
	void *free_block = clv_alloc(4, CLV_CACHE_LINE, -1);
	cr_assert(ask_policy(bound_block, &mode, &nodes));
	cr_assert_eq(mode, MPOL_PREFERRED);
	cr_assert_eq(nodes, 1);
	cr_assert(ask_policy(free_block, &mode, &nodes));
	cr_assert_neq(mode, MPOL_PREFERRED);
	clv_free(bound_block, 4);
	clv_free(free_block, 4);
}

static void *take_first_block(void *arg)
{
	(void)arg;
	void *block = clv_alloc(64, 64, 1);
	if (block && has_only(block, 64, 0))
		memset(block, 0xa5, 64);
	else
		block = NULL;
	return block;
}

/* The arena opens at the first small block with a node, whoever asks: one only, for all. */
Test(node_arena, shim_threads_open_it_together)
{
	pthread_t id[THREADS];
	pthread_barrier_t barrier;
	struct block block[THREADS];

	pthread_barrier_init(&barrier, NULL, THREADS);
	all_opened = &barrier;
	for (unsigned i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&id[i], NULL, take_first_block, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		void *at = NULL;
		pthread_join(id[i], &at);
		cr_assert_not_null(at);
		block[i] = (struct block) { .at = at, .size_bytes = 64, .node = 1 };
	}
	check_apart(block, THREADS);
	for (unsigned i = 0; i < THREADS; i++) {
		if (SHIM_USES_ARENA)
			cr_assert_eq((uintptr_t)block[i].at / page_bytes(),
				     (uintptr_t)block[0].at / page_bytes());
		clv_free(block[i].at, 64);
	}
	pthread_barrier_destroy(&barrier);
}
