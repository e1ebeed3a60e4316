// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Memory at the same addresses in every run: what the instrumented code allocates, and the stacks
 * of its fibers (on which queue locks keep their nodes).
 *
 *     base   stacks, one each CPU, a guard page below each | blocks, handed out upwards
 *
 * A page has a home: the node that was asked for, or else that of the first simulated CPU to touch
 * it. Blocks of less than a page are carved from chunks of their node and size, multiples of a
 * cache line, and go to a list of their kind when freed; larger ones are pages, likewise. First in
 * last out, so the next run of the same code gets the same addresses.
 *
 * Names are kept by line: a line's entry in the directory has the index of a record.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../../../lib/error.h"
#include "../../../lib/shim/mark.h"
#include "internal.h"

/* Older headers; the kernel then takes the address as a hint, and the check below finds out. */
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

enum {
	PAGE = 1 << CLV_PAGE_SHIFT,
	LINE = 1 << CLV_LINE_SHIFT,
	CLASSES = PAGE / LINE, /* sizes below a page, in lines */
	CHUNK = 16 * PAGE,
	STACK = 1 << CLV_STACK_SHIFT,
	/* So that the stacks' tops do not all fall into one set of a cache. */
	STACK_COLOURS = 16,
	PAGE_LISTS = 64,
	NAMES_MAX = 1 << 20,
};

struct free_block {
	struct free_block *next;
	size_t bytes;
};

/* Of one node; the first is of no node. */
struct pool {
	char *at, *limit; /* what is left of the chunk of each class */
};

static char *arena; /* NULL: it could not be had */
static char *next_page;
static struct pool *pool;		 /* [nodes + 1][CLASSES] */
static struct free_block **free_small;	 /* [nodes + 1][CLASSES] */
static struct free_block *free_pages[PAGE_LISTS];
static struct clv_arena_name *names;
static uint32_t name_count;
static const char *allocations_name;
static int allocations_index;
static uint64_t allocated_bytes;

/* ---- open and close ---- */

int clv_arena_open(struct cleave_error *error)
{
#ifdef __SANITIZE_THREAD__
	return clv_error(error, -ENOTSUP, "simulated machine: not in a build with the thread "
					  "sanitizer, which has these addresses");
#endif
	void *want = (void *)CLV_ARENA_BASE;
	allocated_bytes = 0;
	void *at = mmap(want, CLV_ARENA_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (at != want) {
		int why = at == MAP_FAILED ? errno : EEXIST; /* EEXIST: somebody else's */
		if (at != MAP_FAILED)
			munmap(at, CLV_ARENA_BYTES);
		return clv_error(error, -ENOMEM,
				 "simulated machine: cannot have its addresses from %p on: %s", want,
				 strerror(why));
	}
	arena = at;
	unsigned nodes = clv_sim.nodes + 1;
	pool = calloc(nodes * CLASSES, sizeof(*pool));
	free_small = calloc(nodes * CLASSES, sizeof(*free_small));
	names = malloc(NAMES_MAX * sizeof(*names)); /* touched as far as used */
	clv_sim.home_of_page = calloc(CLV_ARENA_BYTES >> CLV_PAGE_SHIFT, sizeof(int16_t));
	clv_sim.pool_of_page = calloc(CLV_ARENA_BYTES >> CLV_PAGE_SHIFT, sizeof(int16_t));
	if (!pool || !free_small || !names || !clv_sim.home_of_page ||
	    !clv_sim.pool_of_page)
		return clv_error(error, -ENOMEM, "simulated machine: out of memory");
	name_count = 1; /* 0: none */
	for (unsigned i = 0; i < clv_sim.cpus; i++)
		mprotect((char *)CLV_ARENA_BASE + (size_t)i * STACK, PAGE, PROT_NONE);
	next_page = (char *)CLV_ARENA_BASE + (size_t)clv_sim.cpus * STACK;
	memset(free_pages, 0, sizeof(free_pages));
	allocations_name = NULL;
	return 0;
}

void clv_arena_close(void)
{
	if (arena)
		munmap(arena, CLV_ARENA_BYTES);
	arena = NULL;
	clv_arena_forget();
	free(pool);
	free(free_small);
	free(names);
	free(clv_sim.home_of_page);
	free(clv_sim.pool_of_page);
	pool = NULL;
	free_small = NULL;
	names = NULL;
	clv_sim.home_of_page = clv_sim.pool_of_page = NULL;
}

/* ---- keep and restore ---- */

/*
 * What lies in blocks, who has which page, the free lists, and the instrumented code's variables.
 * Stacks are not kept: no body is under way then.
 */
static struct {
	char *blocks, *data, *bss; /* copies; NULL: nothing kept */
	size_t blocks_bytes;
	struct pool *pool;
	struct free_block **free_small, *free_pages[PAGE_LISTS];
	int16_t *home_of_page;
	uint32_t *name_of_line;
	uint32_t name_count;
} kept;

static char *blocks_begin(void)
{
	return (char *)CLV_ARENA_BASE + (size_t)clv_sim.cpus * STACK;
}

static void *copy_of(const void *from, size_t bytes)
{
	void *copy = malloc(bytes + 1);
	return copy ? memcpy(copy, from, bytes) : NULL;
}

void clv_arena_forget(void)
{
	free(kept.blocks);
	free(kept.data);
	free(kept.bss);
	free(kept.pool);
	free(kept.free_small);
	free(kept.home_of_page);
	free(kept.name_of_line);
	memset(&kept, 0, sizeof(kept));
}

static size_t pools(void)
{
	return (clv_sim.nodes + 1) * (size_t)CLASSES;
}

static int16_t *home_of_blocks(void)
{
	return &clv_sim.home_of_page[(blocks_begin() - (char *)CLV_ARENA_BASE) >> CLV_PAGE_SHIFT];
}

bool clv_arena_keep(void)
{
	clv_arena_forget();
	kept.blocks_bytes = (size_t)(next_page - blocks_begin());
	size_t lines = kept.blocks_bytes >> CLV_LINE_SHIFT;
	uint32_t first = clv_line_of(blocks_begin());
	kept.blocks = copy_of(blocks_begin(), kept.blocks_bytes);
	kept.data = copy_of(__start_clv_sim_data,
			    (size_t)(__stop_clv_sim_data - __start_clv_sim_data));
	kept.bss = copy_of(__start_clv_sim_bss,
			   (size_t)(__stop_clv_sim_bss - __start_clv_sim_bss));
	kept.pool = copy_of(pool, pools() * sizeof(*pool));
	kept.free_small = copy_of(free_small, pools() * sizeof(*free_small));
	kept.home_of_page = copy_of(home_of_blocks(),
				    (kept.blocks_bytes >> CLV_PAGE_SHIFT) * sizeof(int16_t));
	kept.name_of_line = malloc((lines + 1) * sizeof(*kept.name_of_line));
	if (!kept.blocks || !kept.data || !kept.bss || !kept.pool || !kept.free_small ||
	    !kept.home_of_page || !kept.name_of_line) {
		clv_arena_forget();
		return false;
	}
	for (size_t i = 0; i < lines; i++)
		kept.name_of_line[i] = clv_line_at(first + i)->name;
	memcpy(kept.free_pages, free_pages, sizeof(free_pages));
	kept.name_count = name_count;
	return true;
}

void clv_arena_restore(bool waited)
{
	size_t lines = kept.blocks_bytes >> CLV_LINE_SHIFT;
	size_t pages = kept.blocks_bytes >> CLV_PAGE_SHIFT;
	size_t pages_now = (size_t)(next_page - blocks_begin()) >> CLV_PAGE_SHIFT;
	uint32_t first = clv_line_of(blocks_begin());
	/* Of the variables' and the stacks' lines what is left is counts that mean nothing. */
	uint32_t from = waited ? 0 : first;
	memset(clv_line_at(from), 0, (size_t)(clv_arena_lines() - from) << clv_sim.line_shift);
	for (size_t i = 0; i < lines; i++)
		clv_line_at(first + i)->name = kept.name_of_line[i];
	memcpy(blocks_begin(), kept.blocks, kept.blocks_bytes);
	memcpy(__start_clv_sim_data, kept.data,
	       (size_t)(__stop_clv_sim_data - __start_clv_sim_data));
	memcpy(__start_clv_sim_bss, kept.bss,
	       (size_t)(__stop_clv_sim_bss - __start_clv_sim_bss));
	memcpy(pool, kept.pool, pools() * sizeof(*pool));
	memcpy(free_small, kept.free_small, pools() * sizeof(*free_small));
	memcpy(free_pages, kept.free_pages, sizeof(free_pages));
	memset(home_of_blocks(), 0, pages_now * sizeof(int16_t));
	memcpy(home_of_blocks(), kept.home_of_page, pages * sizeof(int16_t));
	next_page = blocks_begin() + kept.blocks_bytes;
	name_count = kept.name_count;
	allocations_name = NULL;
}

char *clv_arena_stack(unsigned cpu, size_t *bytes)
{
	char *low = (char *)CLV_ARENA_BASE + (size_t)cpu * STACK;
	size_t colour = cpu % STACK_COLOURS * 5 * LINE;
	*bytes = STACK - PAGE - colour;
	for (char *page = low + PAGE; page < low + STACK; page += PAGE)
		clv_sim.home_of_page[(page - (char *)CLV_ARENA_BASE) >> CLV_PAGE_SHIFT] =
			(int16_t)(clv_sim.cpu[cpu].node + 1);
	clv_sim_name(low + PAGE, STACK - PAGE, 0, "stack", (int)cpu, NULL);
	return low + STACK - colour;
}

uint32_t clv_arena_lines(void)
{
	return clv_line_of(next_page - 1) + 1;
}

uint32_t clv_arena_block_lines(void)
{
	size_t stacks = (size_t)clv_sim.cpus * STACK;
	return (uint32_t)((size_t)(next_page - (char *)CLV_ARENA_BASE - stacks) >> CLV_LINE_SHIFT);
}

/* ---- homes ---- */

uint16_t clv_arena_home(uint32_t line, const struct clv_vcpu *toucher)
{
	if (line < CLV_STATIC_LINES) /* the program's own variables: where it was loaded */
		return 0;
	int16_t *home = &clv_sim.home_of_page[(line - CLV_STATIC_LINES) >>
					      (CLV_PAGE_SHIFT - CLV_LINE_SHIFT)];
	if (!*home)
		*home = (int16_t)(toucher->node + 1);
	return (uint16_t)(*home - 1);
}

/* The system's number to ours, + 1; 0: none. */
static unsigned node_index(int node)
{
	for (unsigned i = 0; node >= 0 && i < clv_sim.nodes; i++) {
		if (clv_sim.topology->node_os[i] == (unsigned)node)
			return i + 1;
	}
	return 0;
}

/* ---- blocks ---- */

static char *take_pages(size_t bytes, size_t align, unsigned node)
{
	char *at = (char *)(((uintptr_t)next_page + align - 1) & ~(uintptr_t)(align - 1));
	char *limit = (char *)CLV_ARENA_BASE + CLV_ARENA_BYTES;
	if (at > limit || bytes > (size_t)(limit - at))
		return NULL;
	next_page = at + bytes;
	size_t first = (size_t)(at - (char *)CLV_ARENA_BASE) >> CLV_PAGE_SHIFT;
	for (size_t i = 0; i < bytes >> CLV_PAGE_SHIFT; i++)
		clv_sim.home_of_page[first + i] = clv_sim.pool_of_page[first + i] = (int16_t)node;
	return at;
}

static char *alloc_small(size_t lines, unsigned node)
{
	unsigned kind = node * CLASSES + (unsigned)lines;
	struct free_block *freed = free_small[kind];
	if (freed) {
		free_small[kind] = freed->next;
		return (char *)freed;
	}
	struct pool *from = &pool[kind];
	size_t bytes = lines * LINE;
	if ((size_t)(from->limit - from->at) < bytes) {
		from->at = take_pages(CHUNK, PAGE, node);
		from->limit = from->at ? from->at + CHUNK : NULL;
		if (!from->at)
			return NULL;
	}
	char *at = from->at;
	from->at += bytes;
	return at;
}

static char *alloc_pages(size_t bytes, size_t align, unsigned node)
{
	size_t pages = bytes >> CLV_PAGE_SHIFT;
	if (pages < PAGE_LISTS && align <= PAGE) {
		for (struct free_block **link = &free_pages[pages]; *link; link = &(*link)->next) {
			size_t page = (size_t)((char *)*link - (char *)CLV_ARENA_BASE) >>
				      CLV_PAGE_SHIFT;
			if (clv_sim.pool_of_page[page] != (int16_t)node)
				continue;
			char *at = (char *)*link;
			*link = (*link)->next;
			return at;
		}
	}
	return take_pages(bytes, align < PAGE ? PAGE : align, node);
}

/* Sizes up to a page's half that need no more alignment than their size gives, are small. */
static size_t small_lines(size_t bytes, size_t align)
{
	size_t lines = (bytes + LINE - 1) / LINE;
	lines += !lines;
	if (align > LINE) { /* to a multiple of it; chunks begin at pages */
		size_t unit = align / LINE;
		lines = (lines + unit - 1) / unit * unit;
		if (PAGE % (lines * LINE)) /* else the next one of this class would be off */
			lines = CLASSES;
	}
	return lines;
}

static void name_lines(const void *block, size_t bytes, uint32_t name)
{
	uint32_t first = clv_line_of(block);
	size_t lines = (bytes + LINE - 1) / LINE;
	for (size_t i = 0; first && i < lines; i++)
		clv_line_at(first + i)->name = name;
}

void *clv_sim_alloc(size_t bytes, size_t align, int node)
{
	size_t lines = small_lines(bytes, align);
	unsigned index = node_index(node);
	char *at;
	if (bytes > CLV_ARENA_BYTES)
		return NULL;
	if (lines < CLASSES)
		at = alloc_small(lines, index);
	else
		at = alloc_pages((bytes + PAGE - 1) & ~(size_t)(PAGE - 1), align, index);
	if (!at)
		return NULL;
	memset(at, 0, bytes);
	allocated_bytes += bytes;
	if (allocations_name)
		clv_sim_name(at, bytes, 0, allocations_name, allocations_index, NULL);
	if (clv_sim_current)
		clv_sim_current->clock += clv_sim.costs.alloc_ps;
	return at;
}

void clv_sim_free(void *block, size_t bytes)
{
	if (!block)
		return;
	struct free_block *freed = block;
	uintptr_t offset = (uintptr_t)block - CLV_ARENA_BASE;
	unsigned node = (unsigned)clv_sim.pool_of_page[offset >> CLV_PAGE_SHIFT];
	name_lines(block, bytes, 0);
	allocated_bytes -= bytes;
	size_t lines = (bytes + LINE - 1) / LINE;
	lines += !lines;
	if (lines < CLASSES) {
		struct free_block **list = &free_small[node * CLASSES + lines];
		freed->next = *list;
		*list = freed;
	} else {
		size_t pages = (bytes + PAGE - 1) >> CLV_PAGE_SHIFT;
		if (pages >= PAGE_LISTS) { /* not used again; its memory is given back */
			madvise(block, pages << CLV_PAGE_SHIFT, MADV_DONTNEED);
			return;
		}
		freed->next = free_pages[pages];
		free_pages[pages] = freed;
	}
}

uint64_t clv_sim_allocated_bytes(void)
{
	return allocated_bytes;
}

/* ---- names ---- */

void clv_sim_name(const void *block, size_t bytes, size_t stride_bytes, const char *name, int index,
	      const struct cleave_field *fields)
{
	if (!names || !clv_line_of(block) || name_count == NAMES_MAX)
		return;
	names[name_count] = (struct clv_arena_name){ name, index, clv_line_of(block), stride_bytes,
						     fields };
	name_lines(block, bytes, name_count++);
}

void clv_sim_name_allocations(const char *name, int index)
{
	allocations_name = name;
	allocations_index = index;
}

const struct clv_arena_name *clv_arena_name_of(uint32_t line)
{
	uint32_t name = clv_line_at(line)->name;
	return name ? &names[name] : NULL;
}

/* The fields of which a missed word is a part: "owner, word". */
static void list_fields(const struct clv_arena_name *name, size_t offset, uint8_t words, char *out,
			size_t bytes)
{
	const char *last = NULL;
	size_t used = 0;
	for (unsigned word = 0; word < 8; word++) {
		const char *found = NULL;
		if (!(words & 1u << word))
			continue;
		for (const struct cleave_field *field = name->fields; field && field->name; field++) {
			if (field->offset < offset + 8 * word + 8)
				found = field->name;
		}
		if (!found || found == last || used >= bytes)
			continue;
		int more = snprintf(out + used, bytes - used, "%s%s", last ? ", " : ": ", found);
		used += more > 0 ? (size_t)more : 0;
		last = found;
	}
}

void clv_arena_describe(uint32_t line, uint8_t words, char *out, size_t bytes)
{
	const struct clv_arena_name *name = clv_arena_name_of(line);
	char fields[80] = "";
	if (!name) {
		snprintf(out, bytes, "%s",
			 line < CLV_STATIC_LINES ? "a variable of the program" : "memory without a name");
		return;
	}
	size_t offset = (size_t)(line - name->first_line) << CLV_LINE_SHIFT;
	if (name->stride_bytes)
		offset %= name->stride_bytes;
	if (name->fields)
		list_fields(name, offset, words, fields, sizeof(fields));
	else if (offset)
		snprintf(fields, sizeof(fields), ": +%zu", offset);
	snprintf(out, bytes, "%s%s", name->name, fields);
}
