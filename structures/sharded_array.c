// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Dense arrays in the order of insertion, of which a walk compares a cache line of bounds at a
 * time. An insert writes the next slot; a removal empties the slot that the entry remembers; the
 * holes are squeezed out a little at a time. There is no index: it is made for a map that is split
 * over many subsets (hence the name), updated all the time and walked rarely.
 *
 *   first                                                              tail
 *   +---------------------+   +---------------------+   +---------------------+
 *   | x x x x x x x . . . |-->| . . . . . x . . x x |-->| x . x x x|          |     x <-> x
 *   +---------------------+   +---------------------+   +---------------------+     listed, in
 *                   ^ put           get ^                 next slot ^               the entries
 *
 * A chunk is a line of its own and 1 to 15 groups of 16 slots, four lines each: slot_match.h draws
 * one. The entry has the address of its slot. Bounds are 32 bits there, cut to a TOP that a file's
 * pages reach at 16 TiB, so that a walk reads half the lines; one whose own bounds are as high as
 * that looks into the entries as well.
 *
 * Squeezing keeps the order (C1: the last entry put into the hole would come before its parent). A
 * pass has two places, put <= get, between which all slots are holes. A step takes the group at
 * `get`, moves what is in it to `put`, and gives back the chunk that it leaves if that is empty:
 *
 *            put               get                             put           get
 *   | a b c . . . . . . . . . | d . e . | f .        | a b c d e . . . . . . . . . . | f .
 *
 * It ends at the group that was the last when it began: what came since is young and dense. An
 * insert that begins a group makes two steps if more than half of the slots are holes, a removal
 * one if more than two thirds are, so that the arrays follow a population that falls. A group of
 * which moving would gain little is left where it is, and `put` goes behind it, so that old entries
 * are not moved for a few holes among them. With removals at random, 0.31 entries are moved for a
 * pair of insert and removal, at 2.0 slots an entry; up to 3.2 slots if it is the young that go.
 *
 * Memory: an insert that finds no slot puts its entry on a list through the entries themselves,
 * behind the arrays; the next that finds slots moves the list in first. So nothing depends on
 * memory, and prepare need not promise any: it reads a hint, set while the next insert would find
 * no slot, and brings a chunk along. The first LISTED_FEW entries are on the list, without a chunk:
 * such a subset is two lines. With many, an entry takes 33 bytes, at two slots.
 *
 * Invariants (validate checks them):
 *  - The entries in the order of their insertion, but for changes of start, are the slots from
 *    `first` to the next slot that are no holes, then the list.
 *  - A slot in use has its entry's bounds, cut, and the entry has its address. `from` is 0 in every
 *    other slot, those behind the next and of spare chunks too, as memory comes.
 *  - `used` is the number of slots in front of the next one, `live` that of all entries.
 *  - put <= get <= end <= next slot. With a list, no insert takes the short way past it.
 *
 * Who reads and writes: one writer or many walkers, as the kind says. Read without a lock are
 * `live` (empty), and `hint` and `surplus` (prepare), on a line that is rarely written. Growing
 * moves nothing; slots change place in steps of the squeezing alone, under the subset's lock,
 * exclusive.
 *
 * Reclamation: none of entries. An empty chunk too many is put in `surplus`, and a prepare frees it.
 *
 * Progress: no call waits. An update, however many entries there are, looks at two groups, moves
 * what is in them, and at most DRAIN entries from the list: that bounds what it holds a lock for.
 *
 * Cost in lines, beside the entry's own: insert 4 (object, from, to, entry), which the subset's
 * last insert wrote too; removal 2 (object, from); change 1 if start stays, else both. Moved
 * entries: a line each, 0.31 a pair. Walk: n / 4 lines, and one of eight pointers where there is a
 * hit.
 *
 * Source: column stores compare attributes that are kept apart by vectors (Willhalm et al.,
 * SIMD-Scan, VLDB 2009); logs are cleaned by what is live in a segment (Rosenblum and Ousterhout,
 * LFS, TOCS 1992). Differences: bounds cut to 32 bits and compared the same way, so that a hole
 * needs no bitmap; cleaning keeps the order, in place, a bounded step at a time; no update needs
 * memory.
 */
#include <errno.h>

#include "../lib/shim/mark.h"
#include "slot_array.h"

enum {
	DRAIN = 2 * CLV_SLOTS, /* listed entries that an insert moves into slots */
	INSERTS_FEW = 8,       /* a batch with more reserves for itself */
};

/* What prepare leaves. */
struct reserve {
	struct clv_slot_chunk *first;
};

static struct cleave_interval *interval_of(struct cleave_entry *entry)
{
	return cleave_container_of(entry, struct cleave_interval, entry);
}

/*
 * The count, of which `empty` reads whether it is 0. Relaxed: nothing is reached through it. A
 * change does not call this, so that an only entry is seen throughout (C8).
 */
static void set_live(struct clv_slot_array *array, size_t live)
{
	__atomic_store_n(&array->live, live, __ATOMIC_RELAXED);
}

/* ---- updates ---- */

/*
 * Take of what prepare has brought what is wanted, and so much that a chunk is spare: squeezing
 * gives one in its own time. The rest stays for settle to free.
 */
static void take_reserve(struct clv_slot_array *array, struct reserve *reserve)
{
	struct clv_slot_chunk *chunk;

	while (reserve && (chunk = reserve->first) &&
	       (clv_slot_lacks(array) ||
		array->spare_groups + chunk->groups <= CLV_SLOT_SPARE_FEW)) {
		reserve->first = chunk->next;
		clv_slot_add_spare(array, chunk);
	}
}

/*
 * What an insert does at the end of a group, or while there is a list: squeezing; and if there are
 * no slots, the entry goes on the list, and of the list what finds slots into them.
 */
static __attribute__((noinline)) void insert_slowly(struct clv_slot_array *array,
						    struct reserve *reserve,
						    struct cleave_interval *interval)
{
	if (array->used > 2 * array->live + CLV_SLOT_FEW) {
		clv_slot_squeeze(array);
		clv_slot_squeeze(array);
		clv_slot_shed_chunk(array);
	}
	take_reserve(array, reserve);
	if (!array->list && clv_slot_advance(array))
		clv_slot_append(array, interval, interval->start, interval->last);
	else
		clv_slot_list_append(array, interval);
	for (unsigned n = 0; n < DRAIN && array->list && clv_slot_advance(array); n++) {
		struct cleave_interval *first = array->list;

		clv_slot_list_remove(array, first);
		clv_slot_append(array, first, first->start, first->last);
	}
	clv_slot_set_hint(array);
	array->limit = array->list ? array->next : CLV_SLOTS;
}

static inline void put_in(struct clv_slot_array *array, struct cleave_update *update,
			  struct cleave_interval *interval, uint64_t start, uint64_t last)
{
	interval->start = start;
	interval->last = last;
	if (__builtin_expect(array->next < array->limit, 1))
		clv_slot_append(array, interval, start, last);
	else
		insert_slowly(array, update->reserve, interval);
}

/* What a removal does while far too many slots are holes. */
static __attribute__((noinline)) void shrink(struct clv_slot_array *array)
{
	clv_slot_squeeze(array);
	clv_slot_shed_chunk(array);
	clv_slot_set_hint(array);
}

static inline void take_out(struct clv_slot_array *array, struct cleave_interval *interval)
{
	uint32_t *from = (uint32_t *)interval->word[CLV_SLOT_ADDRESS];

	if (__builtin_expect(from != CLV_SLOT_LISTED, 1)) {
		*from = CLV_SLOT_HOLE;
	} else {
		clv_slot_list_remove(array, interval);
		clv_slot_set_hint(array);
	}
}

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	const struct cleave_interval *interval =
		cleave_container_of(entry, struct cleave_interval, entry);

	*start = interval->start;
	*last = interval->last;
}

static int create(void **self, const struct cleave_structure_config *config)
{
	struct clv_slot_array *array =
		cleave_alloc(sizeof(*array), _Alignof(struct clv_slot_array), config->node);

	if (!array)
		return -ENOMEM;
	array->node = config->node;
	array->match = clv_slot_match_at(0);
	*self = array;
	return 0;
}

static void free_chunks(struct clv_slot_chunk *chunk)
{
	while (chunk) {
		struct clv_slot_chunk *next = chunk->next;

		cleave_free(chunk, clv_slot_bytes_of(chunk->groups));
		chunk = next;
	}
}

static void destroy(void *self)
{
	struct clv_slot_array *array = self;

	free_chunks(array->first);
	free_chunks(array->spare);
	clv_slot_free_surplus(array);
	cleave_free(array, sizeof(*array));
}

static void settle(void *self, struct cleave_thread *thread, void *reserve)
{
	struct reserve *left = reserve;

	(void)self;
	(void)thread;
	free_chunks(left->first);
	cleave_free(left, sizeof(*left));
}

static int reserve_groups(struct clv_slot_array *array, size_t groups, struct reserve **reserve)
{
	/* A line of its own: others' could be next to it. */
	struct reserve *made = cleave_alloc(sizeof(*made), CLV_SLOT_LINE_BYTES, array->node);

	*reserve = made;
	if (!made)
		return -ENOMEM;
	clv_name(made, sizeof(*made), 0, "sharded_array: reserve", -1, NULL);
	while (groups) {
		unsigned some =
			groups < CLV_SLOT_GROUPS_MAX ? (unsigned)groups : CLV_SLOT_GROUPS_MAX;
		struct clv_slot_chunk *chunk = cleave_alloc(
			clv_slot_bytes_of(some), _Alignof(struct clv_slot_chunk), array->node);

		if (!chunk)
			return -ENOMEM;
		clv_name(chunk, clv_slot_bytes_of(some), 0, "sharded_array: slots", -1, NULL);
		chunk->groups = some;
		chunk->next = made->first;
		made->first = chunk;
		groups -= some;
	}
	return 0;
}

/*
 * A chunk if it is wanted, or if the batch by itself takes more than an array has in hand. Of other
 * subsets than the first op's nothing can be seen from here: one chunk, for those that want it. A
 * change seldom needs a slot, and can do without.
 */
static __attribute__((noinline)) int prepare_slowly(struct clv_slot_array *array,
						    const struct cleave_op *ops, unsigned count,
						    void **reserve)
{
	uint32_t hint = __atomic_load_n(&array->hint, __ATOMIC_RELAXED);
	size_t groups = hint & CLV_SLOT_HINT_WANTS;
	unsigned inserts = 0;
	bool elsewhere = false;

	if (hint & CLV_SLOT_HINT_SURPLUS)
		clv_slot_free_surplus(array);
	for (unsigned i = 0; i < count; i++) {
		inserts += ops[i].kind <= CLEAVE_INSERT_NEAR;
		elsewhere |= ops[i].entry->subset != ops[0].entry->subset;
	}
	if (inserts > INSERTS_FEW && groups * CLV_SLOTS < inserts)
		groups = (inserts + CLV_SLOTS - 1) / CLV_SLOTS;
	if (elsewhere && !groups)
		groups = 1;
	if (!inserts || !groups)
		return 0;

	struct reserve *made;
	int code = reserve_groups(array, groups, &made);

	if (!code)
		*reserve = made;
	else if (made)
		settle(array, NULL, made);
	return code;
}

/* Nearly always one look at a line that is rarely written. */
static int prepare(void *self, struct cleave_thread *thread, const struct cleave_op *ops,
		   unsigned count, void **reserve)
{
	struct clv_slot_array *array = self;

	(void)thread;
	if (__builtin_expect(count == 1 && !__atomic_load_n(&array->hint, __ATOMIC_RELAXED), 1))
		return 0;
	return prepare_slowly(array, ops, count, reserve);
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct clv_slot_array *array = self;
	struct cleave_interval *interval = interval_of(entry);

	/* It is in already, and so in front (C1, C2). */
	(void)source;
	set_live(array, array->live + 1);
	put_in(array, update, interval, start, last);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	struct clv_slot_array *array = self;

	(void)update;
	take_out(array, interval_of(entry));
	set_live(array, array->live - 1);
	if (__builtin_expect(array->used > 3 * array->live + CLV_SLOT_FEW, 0))
		shrink(array);
}

/*
 * In place if start stays. Else as a new insertion: an entry that is changed to start where others
 * do is visited behind them. Either way C1 and C2 bind it no more to what it is child or source of,
 * and `live` stays as it is.
 */
static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	struct clv_slot_array *array = self;
	struct cleave_interval *interval = interval_of(entry);

	if (start != interval->start) {
		take_out(array, interval);
		put_in(array, update, interval, start, last);
		return;
	}
	interval->last = last;
	if (interval->word[CLV_SLOT_ADDRESS] != CLV_SLOT_LISTED)
		((uint32_t *)interval->word[CLV_SLOT_ADDRESS])[CLV_SLOTS] =
			clv_slot_cut(last); /* `to` is behind `from` */
}

/* ---- walk ---- */

struct query {
	uint64_t start, last;
	uint32_t from, to;
	bool unsure; /* bounds that were cut do not tell */
	cleave_visit_fn *visit;
	void *arg;
};

static bool overlaps(const struct cleave_interval *interval, const struct query *query)
{
	return interval->start <= query->last && interval->last >= query->start;
}

/* Of up to 64 slots, of the groups from `group` on. */
static int visit_hits(const struct clv_slot_group *group, uint64_t hits, const struct query *query)
{
	for (; hits; hits &= hits - 1) {
		unsigned slot = (unsigned)__builtin_ctzll(hits);
		struct cleave_interval *interval = group[slot / CLV_SLOTS].entry[slot % CLV_SLOTS];

		if (__builtin_expect(query->unsure, 0) && !overlaps(interval, query))
			continue;

		int stop = query->visit(&interval->entry, query->arg);

		if (stop)
			return stop;
	}
	return 0;
}

static int walk_list(const struct clv_slot_array *array, const struct query *query)
{
	struct cleave_interval *interval = array->list;

	for (unsigned n = 0; n < array->listed;
	     n++, interval = clv_slot_linked(interval, CLV_SLOT_NEXT)) {
		int stop =
			overlaps(interval, query) ? query->visit(&interval->entry, query->arg) : 0;

		if (stop)
			return stop;
	}
	return 0;
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	const struct clv_slot_array *array = self;
	/* Equal bounds are no proof at CLV_SLOT_TOP, but for a last behind which nothing starts. */
	struct query query = {
		.start = start,
		.last = last,
		.from = clv_slot_from(last),
		.to = clv_slot_cut(start),
		.unsure = start >= CLV_SLOT_TOP || (last >= CLV_SLOT_TOP && last < UINT64_MAX),
		.visit = visit,
		.arg = arg,
	};
	uint64_t hits[CLV_SLOT_HITS_WORDS];

	(void)thread;
	(void)subset;
	for (const struct clv_slot_chunk *chunk = array->first; chunk; chunk = chunk->next) {
		unsigned groups = chunk->groups;

		if (chunk == array->tail)
			groups = (unsigned)(array->group - chunk->group) + 1;
		array->match(chunk->group, groups, query.from, query.to, hits);
		for (unsigned g = 0; g < groups; g += CLV_SLOT_GROUPS_A_WORD) {
			int stop = visit_hits(&chunk->group[g], hits[g / CLV_SLOT_GROUPS_A_WORD],
					      &query);

			if (stop)
				return stop;
		}
	}
	return walk_list(array, &query);
}

/* Pairs with set_live. */
static bool empty(const void *self)
{
	const struct clv_slot_array *array = self;

	return __atomic_load_n(&array->live, __ATOMIC_RELAXED) == 0;
}

static const char *validate(void *self)
{
	return clv_slot_validate(self);
}

static size_t bytes_of_all(const struct clv_slot_chunk *chunk)
{
	size_t bytes = 0;

	for (; chunk; chunk = chunk->next)
		bytes += clv_slot_bytes_of(chunk->groups);
	return bytes;
}

static size_t memory(const void *self)
{
	const struct clv_slot_array *array = self;
	const struct clv_slot_chunk *surplus = __atomic_load_n(&array->surplus, __ATOMIC_RELAXED);

	return sizeof(*array) + bytes_of_all(array->first) + bytes_of_all(array->spare) +
	       (surplus ? clv_slot_bytes_of(surplus->groups) : 0);
}

static const struct cleave_field entry_fields[] = {
	{ offsetof(struct cleave_interval, entry.subset), "subset" },
	{ offsetof(struct cleave_interval, entry.map_id), "map id" },
	{ offsetof(struct cleave_interval, start), "start" },
	{ offsetof(struct cleave_interval, last), "last" },
	{ offsetof(struct cleave_interval, word[0]), "address of the slot" },
	{ offsetof(struct cleave_interval, word[1]), "listed: links" },
	{ offsetof(struct cleave_interval, word[3]), "unused" },
	{ 0, NULL },
};

const struct cleave_structure cleave_sharded_array = {
	.name = "sharded_array",
	.summary =
		"dense arrays in order of insertion, compared a line at a time, holes squeezed out",
	.source = "SIMD-Scan, VLDB 2009, for the comparing",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = 0,
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
