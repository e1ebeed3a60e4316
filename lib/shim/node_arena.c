// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * See node_arena.h. One reservation of address space, in which each node has the same share:
 *
 *     arena | node 0: words, page table, pages ... unused | node 1: ... | ...
 *
 * - A block's node is told by its address, and so is whether it is a block of the arena at all.
 * - All blocks of a page have one size, a multiple of the cache line and of the alignment asked
 *   for, so that each of them has it. A size of more than half a page has one block in each.
 * - The page table has that size, in cache lines, of each page; 0: not in use. Who frees cannot
 *   tell it: the alignment is not known then.
 * - A page keeps its size once it has one, and no page is given back before the arena closes: what
 *   a process holds is, for each size, the most that it ever used of it. Roots and locks are few.
 * - A free block's first word is the next one's address.
 * - Pages become accessible a step at a time from below, so that a node is two mappings to the
 *   kernel, and one that does not overcommit accounts these pages and the page table alone.
 * - A node's words and its page table are on the node, like its blocks.
 *
 * A node's words and free lists are read and written under its guard, a bit that waiters spin on;
 * the holder makes one system call in each STEP_BYTES of new pages. Blocks are zeroed outside.
 * Cost: alloc and free are one exchange on the node's guard and its line, and some ten
 * instructions; alloc also zeroes.
 * Source: the page of equal blocks is the slab of Bonwick, USENIX 1994, without its caches.
 */
#include "node_arena.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim.h"

/* A multiple of every page size: arm64 has 4, 16 and 64 KiB. */
enum { STEP_BYTES = 64 << 10 };

struct free_block {
	struct free_block *next;
};

struct blocks {
	struct free_block *free;
	char *fresh; /* of the page begun last, what was never handed out */
	size_t fresh_blocks;
};

struct node {
	uint32_t guard;
	char *unused;	  /* the first page without a size */
	char *accessible; /* up to here, not included */
	char *limit;
	uint16_t *lines_of_page;  /* of all pages of the node, these words' own included */
	struct blocks of_lines[]; /* by size in cache lines, up to a page */
};

struct clv_node_arena {
	size_t page_bytes;
	size_t node_bytes;
	size_t bytes; /* of the reservation */
	unsigned nodes;
	char *first_node;
};

/* pre: multiple is a power of two, and the result fits. */
static size_t round_up(size_t bytes, size_t multiple)
{
	return (bytes + multiple - 1) & ~(multiple - 1);
}

static struct node *node_at(const struct clv_node_arena *arena, size_t i)
{
	return (struct node *)(arena->first_node + i * arena->node_bytes);
}

static bool make_accessible(char *pages, size_t bytes)
{
	return !mprotect(pages, bytes, PROT_READ | PROT_WRITE);
}

static bool open_node(struct clv_node_arena *arena, unsigned i,
		      void (*bind)(void *pages, size_t bytes, int node))
{
	struct node *node = node_at(arena, i);
	size_t sizes = arena->page_bytes / CLV_CACHE_LINE + 1;
	size_t table_at = sizeof(*node) + sizes * sizeof(node->of_lines[0]);
	size_t table_bytes = arena->node_bytes / arena->page_bytes * sizeof(uint16_t);
	size_t words_bytes = round_up(table_at + table_bytes, arena->page_bytes);
	char *start = (char *)node;

	if (words_bytes > arena->node_bytes)
		return false;
	bind(start, arena->node_bytes, (int)i);
	if (!make_accessible(start, words_bytes))
		return false;
	node->unused = start + words_bytes;
	node->accessible = node->unused;
	node->limit = start + arena->node_bytes;
	node->lines_of_page = (uint16_t *)(start + table_at);
	return true;
}

unsigned clv_node_arena_nodes(void)
{
	/* A file there has a page at most. */
	char list[4096 + 1];
	int file = open("/sys/devices/system/node/online", O_RDONLY | O_CLOEXEC);

	if (file < 0)
		return 1;
	ssize_t bytes = read(file, list, sizeof(list) - 1);
	close(file);
	if (bytes <= 0)
		return 1;
	list[bytes] = '\0';
	/* "0" is one node; "0-11" and "0,2" are several, and the last number is the highest. */
	const char *before_last = list + bytes;
	while (before_last > list && *before_last != '-' && *before_last != ',')
		before_last--;
	return before_last > list ? (unsigned)strtoul(before_last + 1, NULL, 10) + 1 : 1;
}

struct clv_node_arena *clv_node_arena_open(unsigned nodes, size_t node_bytes,
					   void (*bind)(void *pages, size_t bytes, int node))
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	size_t head_bytes = round_up(sizeof(struct clv_node_arena), page_bytes);

	if (!nodes || node_bytes > SIZE_MAX / 2 / nodes)
		return NULL;
	node_bytes = round_up(node_bytes, page_bytes);
	size_t bytes = head_bytes + nodes * node_bytes;
	char *reserved =
		mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (reserved == MAP_FAILED)
		return NULL;

	struct clv_node_arena *arena = (struct clv_node_arena *)reserved;
	if (!make_accessible(reserved, head_bytes))
		goto unmap;
	*arena = (struct clv_node_arena) {
		.page_bytes = page_bytes,
		.node_bytes = node_bytes,
		.bytes = bytes,
		.nodes = nodes,
		.first_node = reserved + head_bytes,
	};
	for (unsigned i = 0; i < nodes; i++) {
		if (!open_node(arena, i, bind))
			goto unmap;
	}
	return arena;
unmap:
	munmap(reserved, bytes);
	return NULL;
}

void clv_node_arena_close(struct clv_node_arena *arena)
{
	if (arena)
		munmap(arena, arena->bytes);
}

static void lock_node(struct node *node)
{
	/* Pairs with the release in unlock_node. */
	while (__atomic_exchange_n(&node->guard, 1, __ATOMIC_ACQUIRE)) {
		while (__atomic_load_n(&node->guard, __ATOMIC_RELAXED))
			clv_pause();
	}
}

static void unlock_node(struct node *node)
{
	/* Pairs with the acquire in lock_node. */
	__atomic_store_n(&node->guard, 0, __ATOMIC_RELEASE);
}

static size_t page_index(const struct clv_node_arena *arena, const struct node *node,
			 const char *block)
{
	return (size_t)(block - (const char *)node) / arena->page_bytes;
}

static bool begin_page_locked(const struct clv_node_arena *arena, struct node *node, size_t lines)
{
	if (node->unused == node->accessible) {
		size_t left = (size_t)(node->limit - node->accessible);
		size_t bytes = left < STEP_BYTES ? left : STEP_BYTES;
		if (!bytes || !make_accessible(node->accessible, bytes))
			return false;
		node->accessible += bytes;
	}

	struct blocks *blocks = &node->of_lines[lines];
	blocks->fresh = node->unused;
	blocks->fresh_blocks = arena->page_bytes / (lines * CLV_CACHE_LINE);
	node->lines_of_page[page_index(arena, node, node->unused)] = (uint16_t)lines;
	node->unused += arena->page_bytes;
	return true;
}

static void *take_locked(const struct clv_node_arena *arena, struct node *node, size_t lines)
{
	struct blocks *blocks = &node->of_lines[lines];
	struct free_block *freed = blocks->free;

	if (freed) {
		blocks->free = freed->next;
		return freed;
	}
	if (!blocks->fresh_blocks && !begin_page_locked(arena, node, lines))
		return NULL;
	char *fresh = blocks->fresh;
	blocks->fresh += lines * CLV_CACHE_LINE;
	blocks->fresh_blocks--;
	return fresh;
}

void *clv_node_arena_alloc(struct clv_node_arena *arena, size_t size_bytes, size_t align_bytes,
			   int node)
{
	if (size_bytes >= arena->page_bytes || align_bytes > arena->page_bytes || node < 0 ||
	    (unsigned)node >= arena->nodes)
		return NULL;

	size_t multiple = align_bytes > CLV_CACHE_LINE ? align_bytes : CLV_CACHE_LINE;
	size_t bytes = round_up(size_bytes ? size_bytes : 1, multiple);
	struct node *at = node_at(arena, (size_t)node);
	lock_node(at);
	void *block = take_locked(arena, at, bytes / CLV_CACHE_LINE);
	unlock_node(at);
	return block ? memset(block, 0, bytes) : NULL;
}

bool clv_node_arena_owns(const struct clv_node_arena *arena, const void *block)
{
	/* One comparison: below the arena the difference wraps to something large. */
	return arena && (uintptr_t)block - (uintptr_t)arena < arena->bytes;
}

void clv_node_arena_free(struct clv_node_arena *arena, void *block)
{
	size_t offset = (size_t)((char *)block - arena->first_node);
	struct node *node = node_at(arena, offset / arena->node_bytes);
	struct free_block *freed = block;

	lock_node(node);
	/* Its page's size stands since before the block was handed out. */
	struct blocks *blocks =
		&node->of_lines[node->lines_of_page[page_index(arena, node, block)]];
	freed->next = blocks->free;
	blocks->free = freed;
	unlock_node(node);
}
