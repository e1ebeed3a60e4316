// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * An array of entries in the order of a walk: by start, ties by insertion. Every operation passes
 * over all of it. It is what others are checked against, so that being plainly right is all that it
 * is for; it is never ranked.
 *
 *   self -> block 0 -> block 1 -> ...      position i is slot i % SLOTS of block i / SLOTS
 *
 * The array is in blocks since updates may not allocate, and since nobody can know before an update
 * how many others come between: a contiguous one could need room for all of them. With blocks, an
 * insert needs one at most, and prepare gets one for each insert.
 *
 * Invariants: positions 0 to count - 1 hold entries, each once, with start not descending. There
 * are blocks for as many as there ever were.
 *
 * Readers and writers: a writer is alone, walkers share, and `count` is also read without a lock.
 * Cost: every operation O(n), but `empty`.
 */
#include <errno.h>

#include <cleave/structure.h>

enum {
	SLOTS = 62, /* so that a block is 512 bytes */
};

struct block {
	struct block *next;
	uintptr_t unused;
	struct cleave_interval *slot[SLOTS];
};

struct array {
	struct block *first;
	size_t blocks;
	size_t count;
	uintptr_t validations; /* how often: the mark of the entries that this one has met */
	int node;
};

/* What prepare leaves: blocks, linked. */
struct reserve {
	struct block *first;
};

static struct cleave_interval *interval_of(const struct cleave_entry *entry)
{
	return cleave_container_of(entry, struct cleave_interval, entry);
}

/* A pass over the slots, from the front. */
struct pass {
	struct block *block;
	unsigned slot;
};

static struct pass begin_pass(const struct array *array)
{
	return (struct pass) { .block = array->first };
}

/* pre: there is a next one. */
static struct cleave_interval **next_slot(struct pass *pass)
{
	if (pass->slot == SLOTS) {
		pass->block = pass->block->next;
		pass->slot = 0;
	}
	return &pass->block->slot[pass->slot++];
}

/*
 * The count, of which `empty` reads whether it is 0. Relaxed: nothing is reached through it. A
 * change does not call this, so that an only entry is seen throughout (C8).
 */
static void set_count(struct array *array, size_t count)
{
	__atomic_store_n(&array->count, count, __ATOMIC_RELAXED);
}

/*
 * Put `interval` behind those of the first `count` that start no later; the others move on by one.
 * pre: there is a slot for it behind them.
 */
static void put_in(struct array *array, size_t count, struct cleave_interval *interval)
{
	struct pass pass = begin_pass(array);
	struct cleave_interval *moving = interval;

	/* From the first that starts later on, each slot gets what was in the one before. */
	for (size_t i = 0; i < count; i++) {
		struct cleave_interval **slot = next_slot(&pass);

		if (moving != interval || (*slot)->start > interval->start) {
			struct cleave_interval *pushed = *slot;

			*slot = moving;
			moving = pushed;
		}
	}
	*next_slot(&pass) = moving;
}

/* Those behind `interval` move back by one. */
static void take_out(struct array *array, const struct cleave_interval *interval)
{
	struct pass pass = begin_pass(array);
	struct cleave_interval **gap = NULL;

	for (size_t i = 0; i < array->count; i++) {
		struct cleave_interval **slot = next_slot(&pass);

		if (gap) {
			*gap = *slot;
			gap = slot;
		} else if (*slot == interval) {
			gap = slot;
		}
	}
}

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	*start = interval_of(entry)->start;
	*last = interval_of(entry)->last;
}

static int create(void **self, const struct cleave_structure_config *config)
{
	struct array *array = cleave_alloc(sizeof(*array), _Alignof(max_align_t), config->node);

	if (!array)
		return -ENOMEM;
	array->node = config->node;
	*self = array;
	return 0;
}

static void free_blocks(struct block *block)
{
	while (block) {
		struct block *next = block->next;

		cleave_free(block, sizeof(*block));
		block = next;
	}
}

static void destroy(void *self)
{
	struct array *array = self;

	free_blocks(array->first);
	cleave_free(array, sizeof(*array));
}

static void settle(void *self, struct cleave_thread *thread, void *reserve)
{
	struct reserve *left = reserve;

	(void)self;
	(void)thread;
	if (!left)
		return;
	free_blocks(left->first);
	cleave_free(left, sizeof(*left));
}

static int prepare(void *self, struct cleave_thread *thread, const struct cleave_op *ops,
		   unsigned count, void **reserve)
{
	const struct array *array = self;
	struct reserve *made = NULL;

	*reserve = NULL;
	for (unsigned i = 0; i < count; i++) {
		if (ops[i].kind == CLEAVE_REMOVE || ops[i].kind == CLEAVE_CHANGE)
			continue;
		if (!made)
			made = cleave_alloc(sizeof(*made), _Alignof(max_align_t), array->node);
		struct block *block = NULL;

		if (made)
			block = cleave_alloc(sizeof(*block), _Alignof(max_align_t), array->node);
		if (!block) {
			settle(self, thread, made);
			return -ENOMEM;
		}
		block->next = made->first;
		made->first = block;
	}
	*reserve = made;
	return 0;
}

/* Append a block of the reserve's. */
static void grow(struct array *array, struct reserve *reserve)
{
	struct block **at = &array->first;
	struct block *block = reserve->first;

	reserve->first = block->next;
	block->next = NULL;
	while (*at)
		at = &(*at)->next;
	*at = block;
	array->blocks++;
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct array *array = self;
	struct cleave_interval *interval = interval_of(entry);

	/* It is in the array already, and so in front if it does not start later (C1, C2). */
	(void)source;
	interval->start = start;
	interval->last = last;
	interval->word[0] = 0;
	if (array->count == array->blocks * SLOTS)
		grow(array, update->reserve);
	put_in(array, array->count, interval);
	set_count(array, array->count + 1);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	struct array *array = self;

	(void)update;
	take_out(array, interval_of(entry));
	set_count(array, array->count - 1);
}

static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	struct array *array = self;
	struct cleave_interval *interval = interval_of(entry);

	(void)update;
	interval->last = last;
	if (interval->start == start)
		return;
	take_out(array, interval);
	interval->start = start;
	put_in(array, array->count - 1, interval);
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	const struct array *array = self;
	struct pass pass = begin_pass(array);

	(void)thread;
	(void)subset;
	for (size_t i = 0; i < array->count; i++) {
		struct cleave_interval *interval = *next_slot(&pass);

		if (interval->start > last || interval->last < start)
			continue;
		int stop = visit(&interval->entry, arg);

		if (stop)
			return stop;
	}
	return 0;
}

/* Pairs with set_count. */
static bool empty(const void *self)
{
	const struct array *array = self;

	return __atomic_load_n(&array->count, __ATOMIC_RELAXED) == 0;
}

static const char *validate(void *self)
{
	struct array *array = self;
	size_t blocks = 0;

	for (const struct block *block = array->first; block; block = block->next)
		blocks++;
	if (blocks != array->blocks || array->count > blocks * SLOTS)
		return "brute_array: blocks and counts disagree";
	array->validations++;

	struct pass pass = begin_pass(array);
	uint64_t start_before = 0;

	for (size_t i = 0; i < array->count; i++) {
		struct cleave_interval *interval = *next_slot(&pass);

		if (!interval)
			return "brute_array: an empty slot below count";
		if (interval->start > interval->last)
			return "brute_array: an entry starts behind its last";
		if (start_before > interval->start)
			return "brute_array: an entry starts before the one in front of it";
		if (interval->word[0] == array->validations)
			return "brute_array: an entry is there twice";
		interval->word[0] = array->validations;
		start_before = interval->start;
	}
	return NULL;
}

static size_t memory(const void *self)
{
	const struct array *array = self;

	return sizeof(*array) + array->blocks * sizeof(struct block);
}

static const struct cleave_field entry_fields[] = {
	{ offsetof(struct cleave_interval, entry.subset), "subset" },
	{ offsetof(struct cleave_interval, entry.map_id), "map id" },
	{ offsetof(struct cleave_interval, start), "start" },
	{ offsetof(struct cleave_interval, last), "last" },
	{ offsetof(struct cleave_interval, word), "the structure's" },
	{ 0, NULL },
};

const struct cleave_structure cleave_brute_array = {
	.name = "brute_array",
	.summary = "array searched from one end to the other: the oracle",
	.source = "none",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = CLEAVE_ORDERED | CLEAVE_UNRANKED,
	.keeps = CLEAVE_KEEPS_ALL,
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = UINT64_MAX,
	.bounds = bounds,
	.create = create,
	.destroy = destroy,
	.prepare = prepare,
	.settle = settle,
	.insert = insert,
	.remove = remove_entry,
	.change = change,
	.walk = walk,
	.empty = empty,
	.validate = validate,
	.memory = memory,
	.entry_fields = entry_fields,
};
