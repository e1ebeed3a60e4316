/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The lower half of level_grid.c, which explains it all: what is kept, the hash table of cells, the
 * runs in a cell, and where their memory comes from.
 *
 * The table is in segments, each as large as those before it together, and never moves: with one
 * more slot in use, the cells of one older slot are told apart by one more bit of their hash.
 *
 *   slots 8, mask 7:                 slots 9, mask 15:
 *     0 -> a b c                       0 -> a c           bit 3 of the hash: 0
 *     1 ...                            1 ...
 *                                      8 -> b             bit 3 of the hash: 1
 */
#ifndef CLV_LEVEL_CELLS_H
#define CLV_LEVEL_CELLS_H

#include <errno.h>
#include <string.h>

#include <cleave/structure.h>

#include "../lib/shim/mark.h"

enum {
	LEVEL_LATE = 0, /* not a level, counted like one */
	LEVEL_FIRST = 3,
	LEVEL_LAST = 32,    /* all that is left: one cell */
	LEVEL_NO_RUNS = 16, /* and above: bounds could be more than 32 bits from the cell's start */
	SLOTS_FIRST = 8,    /* inside the object; segment i > 0 doubles what was before it */
	SEGMENTS = 32,
	SLOTS_PER_CELL = 2,
	SPLITS = 2, /* slots split by one update, at most */
	TAGS = 6,   /* low bits of a slot: levels, modulo this, of the chain's leaders */
	TAG_BITS = (1 << TAGS) - 1,
	CELLS_AHEAD = 3, /* that a walk looks up at once */
	RUN_SLOTS = 14,
	RUN_FULL = (1 << RUN_SLOTS) - 1,
	RUNS_LOW = 4,	/* with fewer to spare, more are wanted */
	RUNS_FIRST = 8, /* brought at once; later half as many again as there are */
	RUNS_MOST = 512,
};

/* A cell's key is its start | half its width, which is 32 at least; level 32's is 0. */
static const uint64_t key_late = 1;

/* Of a run, which begins with it, or of an entry, in which it is elsewhere: so is_run tells. */
struct link {
	struct link *next;
	struct link *before; /* NULL: a leader */
};

enum place {
	ALONE,	/* in the cell's list itself */
	COPIED, /* likewise; put there for a source in another cell of the level */
	IN_RUN, /* the slot's number is in the bits above */
	PLACE_BITS = 2,
};

/* A cleave_interval, and what its words are. */
struct member {
	struct cleave_entry entry;
	uint64_t start, last;
	struct link link;
	union {
		struct member *chain; /* of a leader: the slot's next */
		struct run *run;
	};
	uintptr_t place;
	uint64_t key; /* the cell's */
} __attribute__((may_alias, aligned(64)));

struct run {
	struct link link;
	uint16_t live;			 /* a bit a slot that has a member */
	uint16_t used;			 /* how many */
	bool copies;			 /* was any put here for a source in the same cell? */
	uint32_t start_most, last_least; /* of all since it was empty: a range between hits all */
	struct {
		struct member *member;
		uint32_t start, last; /* from the cell's start */
	} slot[RUN_SLOTS];
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct member) == sizeof(struct cleave_interval), "the words suffice");
_Static_assert(offsetof(struct member, link) % 64 != 0, "is_run can tell");
_Static_assert(sizeof(struct run) == 256, "four lines");

/* Runs that were brought at once. */
struct slab {
	_Alignas(64) struct slab *next;
	size_t runs;
	struct run run[];
};

static size_t slab_bytes(size_t runs)
{
	return sizeof(struct slab) + runs * sizeof(struct run);
}

struct grid {
	/* Read by all; written when a level comes or goes, or the table grows. */
	_Alignas(64) uint64_t levels;
	size_t slots; /* in use */
	size_t mask;  /* the least 2^n - 1 that is slots - 1 or more */
	size_t room;  /* slots that there is memory for */
	unsigned segments;
	unsigned wants; /* what the next prepare is to bring; its own to clear */
	int node;
	_Alignas(64) uintptr_t segment[SEGMENTS]; /* as if slot 0 were in each */
	/* Written when a cell comes or goes: one line, unless it is of a high level. */
	_Alignas(64) size_t cells;
	uint32_t cells_of_level[LEVEL_LAST + 1];
	struct member *late;
	size_t copied; /* members that are COPIED */
	/* Written when a run comes or goes. */
	_Alignas(64) struct run *spare;
	size_t spares;
	size_t runs; /* spare or not */
	struct slab *slabs;
	unsigned asked; /* wants, brought or not, that were not yet taken over */
	_Alignas(64) uintptr_t first_slots[SLOTS_FIRST];
};

enum wants {
	WANTS_SEGMENT = 1 << 0,
	WANTS_RUNS = 1 << 1,
};

/* What prepare brings. */
struct reserve {
	struct grid *grid; /* for whom: a batch may have ops for others, too */
	uintptr_t *segment;
	struct slab *slab;
	size_t segment_bytes, slab_bytes;
};

static struct member *member_of(const struct cleave_entry *entry)
{
	return (struct member *)cleave_container_of(entry, struct cleave_interval, entry);
}

/* ---- links ---- */

static inline bool is_run(const struct link *link)
{
	return (uintptr_t)link % 64 == 0;
}

static inline struct run *run_at(struct link *link)
{
	return cleave_container_of(link, struct run, link);
}

static inline struct member *member_at(struct link *link)
{
	return cleave_container_of(link, struct member, link);
}

static inline void link_behind(struct link *at, struct link *link)
{
	struct link *next = at->next;

	link->next = next;
	link->before = at;
	if (next)
		next->before = link;
	at->next = link;
}

/* pre: it is no leader's. */
static inline void take_link(struct link *link)
{
	link->before->next = link->next;
	if (link->next)
		link->next->before = link->before;
}

/* ---- levels, cells, keys ---- */

static inline unsigned level_of(uint64_t start, uint64_t last)
{
	uint64_t shortest = ((uint64_t)1 << (2 * LEVEL_FIRST + 1)) - 1;

	return (64 - (unsigned)__builtin_clzll((last - start) | shortest)) / 2;
}

static inline uint64_t cell_of(unsigned level, uint64_t page)
{
	return level == LEVEL_LAST ? 0 : page >> 2 * level;
}

static inline uint64_t key_of(unsigned level, uint64_t cell)
{
	return level == LEVEL_LAST ? 0 : (2 * cell + 1) << (2 * level - 1);
}

static inline unsigned level_of_key(uint64_t key)
{
	if (key == key_late)
		return LEVEL_LATE;
	return key ? ((unsigned)__builtin_ctzll(key) + 1) / 2 : LEVEL_LAST;
}

static inline uint64_t start_of_key(uint64_t key)
{
	return key & (key - 1);
}

/* ---- the table ---- */

/* Eight cells in a row are in as many slots in a row: mostly those of one line, for a walk. */
static inline uint64_t hash_of(unsigned level, uint64_t cell)
{
	unsigned __int128 product =
		(unsigned __int128)((cell >> 3 << 6) + level) * 0x9e3779b97f4a7c15u;

	return ((uint64_t)(product >> 64) ^ (uint64_t)product) << 3 | (cell & 7);
}

static inline uint64_t hash_of_key(uint64_t key)
{
	unsigned level = level_of_key(key);

	return hash_of(level, cell_of(level, key));
}

static inline uintptr_t *slot_at(const struct grid *grid, size_t i)
{
	unsigned segment = 61 - (unsigned)__builtin_clzll(i | (SLOTS_FIRST - 1));

	return (uintptr_t *)(grid->segment[segment] + i * sizeof(uintptr_t));
}

static inline uintptr_t *slot_for(const struct grid *grid, uint64_t hash)
{
	size_t i = hash & grid->mask;

	return slot_at(grid, i < grid->slots ? i : i & grid->mask >> 1);
}

static inline struct member *first_in(uintptr_t slot)
{
	return (struct member *)(slot & ~(uintptr_t)TAG_BITS);
}

static inline uintptr_t tag_of(unsigned level)
{
	return (uintptr_t)1 << level % TAGS;
}

static void set_slot(uintptr_t *slot, struct member *first)
{
	uintptr_t tags = 0;

	for (const struct member *leader = first; leader; leader = leader->chain)
		tags |= tag_of(level_of_key(leader->key));
	*slot = (uintptr_t)first | tags;
}

static inline struct member *leader_in(uintptr_t slot, uint64_t key)
{
	struct member *leader = first_in(slot);

	while (leader && leader->key != key)
		leader = leader->chain;
	return leader;
}

/*
 * Bring one more slot into use: the one that, with one more bit of the hash looked at, some of the
 * cells in slot `from` belong to.
 */
static void split_slot(struct grid *grid)
{
	size_t to = grid->slots;

	if (to > grid->mask)
		grid->mask = 2 * grid->mask + 1;
	size_t bit = (grid->mask + 1) / 2;
	size_t from = to - bit;
	struct member *part[2] = { NULL, NULL };

	for (struct member *leader = first_in(*slot_at(grid, from)), *next; leader; leader = next) {
		bool moves = hash_of_key(leader->key) & bit;

		next = leader->chain;
		leader->chain = part[moves];
		part[moves] = leader;
	}
	set_slot(slot_at(grid, from), part[0]);
	set_slot(slot_at(grid, to), part[1]);
	grid->slots++;
}

/* ---- which levels there are ---- */

/* Relaxed: `empty` compares with 0 and follows nothing. */
static inline void set_levels(struct grid *grid, uint64_t levels)
{
	__atomic_store_n(&grid->levels, levels, __ATOMIC_RELAXED);
}

static inline void count_up(struct grid *grid, unsigned level)
{
	if (!grid->cells_of_level[level]++)
		set_levels(grid, grid->levels | (uint64_t)1 << level);
}

static inline void count_down(struct grid *grid, unsigned level)
{
	if (!--grid->cells_of_level[level])
		set_levels(grid, grid->levels & ~((uint64_t)1 << level));
}

/* ---- memory ---- */

/* Release: `bring` pairs with it, who reads what the request is worked out from. */
static void ask(struct grid *grid, enum wants what)
{
	if (grid->asked & what)
		return;
	grid->asked |= what;
	__atomic_fetch_or(&grid->wants, what, __ATOMIC_RELEASE);
}

static __attribute__((noinline)) void take_over(struct grid *grid, struct reserve *reserve)
{
	struct slab *slab = reserve->slab;

	if (reserve->grid != grid)
		return;
	if (reserve->segment) {
		grid->segment[grid->segments++] =
			(uintptr_t)reserve->segment - grid->room * sizeof(uintptr_t);
		grid->room *= 2;
		grid->asked &= ~(unsigned)WANTS_SEGMENT;
		reserve->segment = NULL;
	}
	if (!slab)
		return;
	slab->next = grid->slabs;
	grid->slabs = slab;
	for (size_t i = 0; i < slab->runs; i++) {
		slab->run[i].link.next = (struct link *)grid->spare;
		grid->spare = &slab->run[i];
	}
	grid->spares += slab->runs;
	grid->runs += slab->runs;
	grid->asked &= ~(unsigned)WANTS_RUNS;
	reserve->slab = NULL;
}

static void free_reserve(struct reserve *reserve)
{
	if (reserve->segment)
		cleave_free(reserve->segment, reserve->segment_bytes);
	if (reserve->slab)
		cleave_free(reserve->slab, reserve->slab_bytes);
	cleave_free(reserve, sizeof(*reserve));
}

/*
 * Who clears a want is the only one to bring it, so that a crowd of updaters allocates once. What
 * it is worked out from, `room` and `runs`, stays until it is taken over. Acquire: pairs with
 * `ask`, or `settle`.
 */
static __attribute__((noinline)) int bring(struct grid *grid, struct reserve **reserve)
{
	unsigned wants = __atomic_exchange_n(&grid->wants, 0, __ATOMIC_ACQUIRE);

	if (!wants)
		return 0;
	struct reserve *made = cleave_alloc(sizeof(*made), _Alignof(max_align_t), grid->node);

	if (!made)
		goto no_memory;
	made->grid = grid;
	if (wants & WANTS_SEGMENT) {
		made->segment_bytes = grid->room * sizeof(uintptr_t);
		made->segment = cleave_alloc(made->segment_bytes, 64, grid->node);
		if (!made->segment)
			goto no_memory;
		clv_name(made->segment, made->segment_bytes, 0, "level_grid slots", -1, NULL);
	}
	if (wants & WANTS_RUNS) {
		size_t runs = grid->runs / 2;

		runs = runs < RUNS_FIRST ? RUNS_FIRST : runs > RUNS_MOST ? RUNS_MOST : runs;
		made->slab_bytes = slab_bytes(runs);
		made->slab = cleave_alloc(made->slab_bytes, 64, grid->node);
		if (!made->slab)
			goto no_memory;
		made->slab->runs = runs;
		clv_name(made->slab, made->slab_bytes, 0, "level_grid runs", -1, NULL);
	}
	*reserve = made;
	return 0;
no_memory:
	if (made)
		free_reserve(made);
	__atomic_fetch_or(&grid->wants, wants, __ATOMIC_RELEASE);
	return -ENOMEM;
}

static int prepare(void *self, struct cleave_thread *thread, const struct cleave_op *ops,
		   unsigned count, void **reserve)
{
	struct grid *grid = self;

	(void)thread;
	if (__builtin_expect(!__atomic_load_n(&grid->wants, __ATOMIC_RELAXED), 1))
		return 0;
	/* A removal takes nothing over: it would only be made, and freed, for each. */
	for (unsigned i = 0; i < count; i++) {
		if (ops[i].kind != CLEAVE_REMOVE)
			return bring(grid, (struct reserve **)reserve);
	}
	return 0;
}

/* What was not taken over is still wanted, by the next. Release: pairs with `bring`. */
static void settle(void *self, struct cleave_thread *thread, void *reserve)
{
	struct reserve *left = reserve;
	struct grid *grid = left->grid;
	unsigned wants = (left->segment ? WANTS_SEGMENT : 0) | (left->slab ? WANTS_RUNS : 0);

	(void)self;
	(void)thread;
	free_reserve(left);
	if (wants)
		__atomic_fetch_or(&grid->wants, wants, __ATOMIC_RELEASE);
}

/* ---- runs ---- */

static inline bool has_room(const struct link *link)
{
	return link && is_run(link) && ((const struct run *)link)->used < RUN_SLOTS;
}

/* Into the first free one of the slots in `allowed`. Returns: was there one? */
static inline bool put_in_run(struct run *run, uint32_t allowed, struct member *member)
{
	uint32_t free = ~(uint32_t)run->live & RUN_FULL & allowed;

	if (!free)
		return false;
	unsigned i = (unsigned)__builtin_ctz(free);
	uint64_t base = start_of_key(member->key);
	uint32_t start = (uint32_t)(member->start - base), last = (uint32_t)(member->last - base);

	run->live |= (uint16_t)(1u << i);
	run->used++;
	run->slot[i].member = member;
	run->slot[i].start = start;
	run->slot[i].last = last;
	if (run->start_most < start)
		run->start_most = start;
	if (run->last_least > last)
		run->last_least = last;
	member->run = run;
	member->place = IN_RUN | (uintptr_t)i << PLACE_BITS;
	return true;
}

static inline struct run *run_of(const struct member *member)
{
	return member->place & IN_RUN ? member->run : NULL;
}

/* Returns: how many are left. The run is spare if none is. */
static inline unsigned take_from_run(struct grid *grid, struct run *run, unsigned i)
{
	unsigned left = run->used - 1u;

	run->live &= (uint16_t) ~(1u << i);
	run->used = (uint16_t)left;
	if (!left) {
		take_link(&run->link);
		run->link.next = (struct link *)grid->spare;
		grid->spare = run;
		grid->spares++;
	}
	return left;
}

/*
 * A spare run, with `member` in it, behind `at`; without one, `member` itself. Whoever comes here
 * needs runs, so that it is here that they are asked for.
 */
static void put_new_run(struct grid *grid, struct link *at, struct member *member, bool copies)
{
	bool allowed = level_of_key(member->key) < LEVEL_NO_RUNS;
	struct run *run = allowed ? grid->spare : NULL;

	if (allowed && grid->spares <= RUNS_LOW)
		ask(grid, WANTS_RUNS);
	if (!run) {
		link_behind(at, &member->link);
		return;
	}
	grid->spare = (struct run *)run->link.next;
	grid->spares--;
	run->copies = copies;
	run->start_most = 0;
	run->last_least = UINT32_MAX;
	put_in_run(run, RUN_FULL, member);
	link_behind(at, &run->link);
}

/* What follows `leader` in its cell, made one: itself, or the first of the run. NULL: nothing. */
static struct member *heir_of(struct grid *grid, struct member *leader)
{
	struct link *next = leader->link.next;
	struct member *heir;

	if (!next)
		return NULL;
	if (!is_run(next)) {
		heir = member_at(next);
	} else {
		unsigned i = (unsigned)__builtin_ctz(run_at(next)->live);

		heir = run_at(next)->slot[i].member;
		take_from_run(grid, run_at(next), i);
		heir->place = ALONE;
		heir->link.next = leader->link.next;
		if (heir->link.next)
			heir->link.next->before = &heir->link;
	}
	heir->link.before = NULL;
	return heir;
}

/* ---- members of the vtable that look at no interval ---- */

static int create(void **self, const struct cleave_structure_config *config)
{
	struct grid *grid = cleave_alloc(sizeof(*grid), _Alignof(struct grid), config->node);

	if (!grid)
		return -ENOMEM;
	grid->node = config->node;
	grid->slots = SLOTS_FIRST;
	grid->mask = SLOTS_FIRST - 1;
	grid->room = SLOTS_FIRST;
	grid->segments = 1;
	grid->segment[0] = (uintptr_t)grid->first_slots;
	*self = grid;
	return 0;
}

static void destroy(void *self)
{
	struct grid *grid = self;

	for (size_t slots = SLOTS_FIRST; slots < grid->room; slots *= 2)
		cleave_free(slot_at(grid, slots), slots * sizeof(uintptr_t));
	while (grid->slabs) {
		struct slab *slab = grid->slabs;

		grid->slabs = slab->next;
		cleave_free(slab, slab_bytes(slab->runs));
	}
	cleave_free(grid, sizeof(*grid));
}

/* Pairs with set_levels. */
static bool empty(const void *self)
{
	const struct grid *grid = self;

	return !__atomic_load_n(&grid->levels, __ATOMIC_RELAXED);
}

static size_t memory(const void *self)
{
	const struct grid *grid = self;
	size_t bytes = sizeof(*grid) + (grid->room - SLOTS_FIRST) * sizeof(uintptr_t);

	for (const struct slab *slab = grid->slabs; slab; slab = slab->next)
		bytes += slab_bytes(slab->runs);
	return bytes;
}

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	const struct member *member = member_of(entry);

	*start = member->start;
	*last = member->last;
}

static const struct cleave_field entry_fields[] = {
	{ offsetof(struct member, entry.subset), "subset" },
	{ offsetof(struct member, entry.map_id), "map id" },
	{ offsetof(struct member, start), "start" },
	{ offsetof(struct member, last), "last" },
	{ offsetof(struct member, link.next), "next in cell" },
	{ offsetof(struct member, link.before), "before in cell" },
	{ offsetof(struct member, chain), "next cell, or run" },
	{ offsetof(struct member, place), "place" },
	{ offsetof(struct member, key), "key of cell" },
	{ 0, NULL },
};

#endif
