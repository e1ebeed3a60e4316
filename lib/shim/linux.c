// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The shim on a real machine: Linux. See shim.h for what each call promises.
 *
 * Parking is a word in the thread's handle and a futex on it:
 *
 *     EMPTY --wake--> TOKEN --park--> EMPTY          park takes the token and returns
 *     EMPTY --park--> ASLEEP --wake--> TOKEN         wake calls the futex; the sleeper takes it
 *
 * The thread itself writes all but TOKEN; wakers write TOKEN alone. Every transition is an atomic
 * read-modify-write, so no wake is lost between a look at the word and the sleep: the futex
 * sleeps only if the word still is ASLEEP.
 *
 * Cost: a wake of a thread that does not sleep is one exchange on its line; a park that sleeps is a
 * system call and two switches, some us.
 * Source: futex(2).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <linux/futex.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "node_arena.h"
#include "shim.h"
#include "thread.h"

enum { EMPTY, TOKEN, ASLEEP };

#define NS_PER_S UINT64_C(1000000000)

/* gcc says it by a macro, clang 14 by a feature alone. */
#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif

uint64_t clv_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- park and wake ---- */

bool clv_park(struct cleave_thread *self, uint64_t timeout_ns)
{
	struct clv_parker *parker = &self->parker;
	uint32_t was = EMPTY;

	/* Acquire, here and below when it takes a token: partner is the release in clv_wake. */
	if (!__atomic_compare_exchange_n(&parker->state, &was, ASLEEP, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_ACQUIRE)) {
		__atomic_exchange_n(&parker->state, EMPTY, __ATOMIC_ACQUIRE);
		return true;
	}

	struct timespec limit = {
		.tv_sec = (time_t)(timeout_ns / NS_PER_S),
		.tv_nsec = (long)(timeout_ns % NS_PER_S),
	};
	__atomic_store_n(&parker->parked, 1, __ATOMIC_RELAXED);
	/* FUTEX_WAIT: the limit is relative, on CLOCK_MONOTONIC. */
	long code = syscall(SYS_futex, &parker->state, FUTEX_WAIT_PRIVATE, ASLEEP,
			    timeout_ns == CLV_FOREVER ? NULL : &limit, NULL, 0);
	bool timed_out = code && errno == ETIMEDOUT;
	__atomic_store_n(&parker->parked, 0, __ATOMIC_RELAXED);

	was = __atomic_exchange_n(&parker->state, EMPTY, __ATOMIC_ACQUIRE);
	return was == TOKEN || !timed_out;
}

void clv_wake(struct cleave_thread *thread)
{
	/*
	 * Release: partner is the acquire in clv_park. An exchange even if a token is there
	 * already: the one that park takes then carries both wakers' writes.
	 */
	if (__atomic_exchange_n(&thread->parker.state, TOKEN, __ATOMIC_RELEASE) == ASLEEP)
		syscall(SYS_futex, &thread->parker.state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* A thread that was woken counts as parked until it has a CPU again. */
bool clv_is_running(const struct cleave_thread *thread)
{
	return !__atomic_load_n(&thread->parker.parked, __ATOMIC_RELAXED);
}

int clv_cpu_now(void)
{
	return sched_getcpu();
}

/* ---- memory ---- */

/*
 * Three ways, and clv_free tells which from the size and the address:
 *  - on a machine with several NUMA nodes, blocks of a page and more are mapped, one system call
 *    each way; with a node, their pages are preferred from it (MPOL_PREFERRED: from elsewhere when
 *    it is full). If binding is not possible the block is an unbound one; alloc does not fail for
 *    that. The kernel allows 65,530 mappings (vm.max_map_count); neighbours of one policy are one.
 *  - there too, smaller blocks with a node come from that node's arena, whose pages are preferred
 *    from it in the same way: node_arena.h.
 *  - all else comes from malloc; its pages come from the node of whoever touches them first. So do
 *    small blocks for which the arena has no room, no such alignment (more than a page) or no such
 *    node. Under the address sanitizer that is everything: it looks neither into mappings nor
 *    between an arena's blocks, and would call what mappings point to leaked.
 */

/* Address space, not memory. On 64 bits: 250 million locks of one line on each node. */
#define ARENA_NODE_BYTES ((size_t)(sizeof(size_t) > 4 ? UINT64_C(16) << 30 : UINT64_C(16) << 20))

/* Nodes that come later are not seen: the answer must be the same at alloc and free. */
static unsigned nodes_limit(void)
{
#ifdef ADDRESS_SANITIZER
	return 1;
#else
	static unsigned known; /* 0: not asked yet */
	unsigned seen = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (!seen) {
		unsigned found = clv_node_arena_nodes();
		/* The first to find out decides for all. */
		if (__atomic_compare_exchange_n(&known, &seen, found, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			seen = found;
	}
	return seen;
#endif
}

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* pre: multiple is a power of two. Returns: 0 if the result does not fit. */
static size_t round_up(size_t bytes, size_t multiple)
{
	return (bytes + multiple - 1) & ~(multiple - 1);
}

static bool is_mapped(size_t size_bytes)
{
	return size_bytes >= page_bytes() && nodes_limit() > 1;
}

static void bind_pages(void *block, size_t bytes, int node)
{
	enum { WORD_BITS = 8 * sizeof(unsigned long), NODES_MAX = 1024 };
	unsigned long mask[NODES_MAX / WORD_BITS] = { 0 };

	if (node < 0 || node >= NODES_MAX)
		return;
	mask[node / WORD_BITS] = 1ul << (node % WORD_BITS);
	/* The kernel takes one off the number of bits (mm/mempolicy.c, get_nodes). */
	syscall(SYS_mbind, block, bytes, MPOL_PREFERRED, mask, NODES_MAX + 1, 0);
}

static void *map_pages(size_t size_bytes, size_t align_bytes, int node)
{
	size_t page = page_bytes();
	size_t bytes = round_up(size_bytes, page);
	size_t slack = align_bytes > page ? align_bytes - page : 0;

	if (!bytes || bytes + slack < bytes)
		return NULL;
	char *mapped = mmap(NULL, bytes + slack, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mapped == MAP_FAILED)
		return NULL;
	if (slack) {
		char *block = (char *)round_up((uintptr_t)mapped, align_bytes);
		size_t before = (size_t)(block - mapped);
		if (before)
			munmap(mapped, before);
		if (slack > before)
			munmap(block + bytes, slack - before);
		mapped = block;
	}
	bind_pages(mapped, bytes, node);
	return mapped;
}

/* NULL until the first small block with a node is asked for, then the same to the end. */
static struct clv_node_arena *arena;

static struct clv_node_arena *open_arena(void)
{
	struct clv_node_arena *opened =
		clv_node_arena_open(nodes_limit(), ARENA_NODE_BYTES, bind_pages);
	struct clv_node_arena *first = NULL;

	/* Release: partners are find_arena and, of one who comes second, the acquire here. */
	if (__atomic_compare_exchange_n(&arena, &first, opened, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return opened;
	clv_node_arena_close(opened);
	return first;
}

static struct clv_node_arena *find_arena(void)
{
	/* Acquire: partner is the release in open_arena. */
	return __atomic_load_n(&arena, __ATOMIC_ACQUIRE);
}

/* Returns: NULL where malloc is to be asked. */
static void *alloc_on_node(size_t size_bytes, size_t align_bytes, int node)
{
	if (node < 0 || nodes_limit() == 1)
		return NULL;
	struct clv_node_arena *from = find_arena();
	if (!from)
		from = open_arena();
	return from ? clv_node_arena_alloc(from, size_bytes, align_bytes, node) : NULL;
}

void *clv_alloc(size_t size_bytes, size_t align_bytes, int node)
{
	if (is_mapped(size_bytes))
		return map_pages(size_bytes, align_bytes, node);
	void *block = alloc_on_node(size_bytes, align_bytes, node);
	if (block)
		return block;
	if (align_bytes <= _Alignof(max_align_t))
		return calloc(1, size_bytes ? size_bytes : 1);

	/* To the line's end: malloc's own words about the next block must not share it. */
	size_t bytes = round_up(size_bytes ? size_bytes : 1, align_bytes);
	if (bytes < size_bytes || posix_memalign(&block, align_bytes, bytes))
		return NULL;
	return memset(block, 0, bytes);
}

void clv_free(void *block, size_t size_bytes)
{
	struct clv_node_arena *from = find_arena();

	if (!block)
		return;
	if (is_mapped(size_bytes))
		munmap(block, round_up(size_bytes, page_bytes()));
	else if (clv_node_arena_owns(from, block))
		clv_node_arena_free(from, block);
	else
		free(block);
}
