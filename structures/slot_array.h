/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Slots in chunks, a list behind them, and the squeezing of holes: what sharded_array.c describes
 * and draws at its head. Here are the parts that know no vtable.
 */
#ifndef CLV_SLOT_ARRAY_H
#define CLV_SLOT_ARRAY_H

#include "slot_match.h"

enum {
	CLV_SLOT_GROUPS_MAX = 15, /* of a chunk, which is then less than a page */
	CLV_SLOT_HITS_WORDS =
		(CLV_SLOT_GROUPS_MAX + CLV_SLOT_GROUPS_A_WORD - 1) / CLV_SLOT_GROUPS_A_WORD,
	CLV_SLOT_FEW = CLV_SLOTS, /* holes that are never too many */
	CLV_SLOT_SPARE_FEW = 4,	  /* groups in spare chunks that are never too many */
	CLV_SLOT_LISTED_FEW = 4,  /* entries that take no chunk */
	CLV_SLOT_LISTED = 0,	  /* in the place of a slot's address */
};

/* The words of an entry. PREVIOUS and NEXT mean something if it is listed. */
enum { CLV_SLOT_ADDRESS, CLV_SLOT_PREVIOUS, CLV_SLOT_NEXT };

/* Parts of the hint. */
enum {
	CLV_SLOT_HINT_WANTS = 15,   /* a chunk of so many groups */
	CLV_SLOT_HINT_SURPLUS = 16, /* a chunk is to be freed */
};

struct clv_slot_chunk {
	struct clv_slot_chunk *next;
	unsigned groups;
	struct clv_slot_group group[];
};

struct clv_slot_array {
	_Alignas(CLV_SLOT_LINE_BYTES) size_t live; /* entries */
	size_t used;				   /* slots in front of the next */
	struct clv_slot_group *group;		   /* of the next slot; NULL: no chunk */
	unsigned next;				   /* slot of the group */
	unsigned limit; /* inserts before it look no further; at most CLV_SLOTS */
	/* The pass of the squeezing: two places, and the group at which it ends. */
	struct clv_slot_chunk *put, *get;
	unsigned put_slot, get_slot; /* of their chunks; put_slot may be behind the last */
	struct clv_slot_group *end;

	/* Rarely written. */
	_Alignas(CLV_SLOT_LINE_BYTES) uint32_t hint; /* for prepare */
	uint32_t listed;
	struct cleave_interval *list; /* first of a ring; its previous is the last */
	struct clv_slot_chunk *first, *tail;
	struct clv_slot_chunk *spare;	/* empty */
	struct clv_slot_chunk *surplus; /* empty, one at most: for prepare to free */
	uint32_t spare_groups;
	int node;
	clv_slot_match_fn *match;
};

_Static_assert(sizeof(struct clv_slot_array) == 2 * CLV_SLOT_LINE_BYTES,
	       "an empty subset is two lines");

/* ---- slots ---- */

static inline unsigned clv_slot_count(const struct clv_slot_chunk *chunk)
{
	return chunk->groups * CLV_SLOTS;
}

static inline void clv_slot_fill(struct clv_slot_group *group, unsigned slot,
				 struct cleave_interval *interval, uint32_t from, uint32_t to)
{
	group->from[slot] = from;
	group->to[slot] = to;
	group->entry[slot] = interval;
	interval->word[CLV_SLOT_ADDRESS] = (uintptr_t)&group->from[slot];
}

/* pre: next < CLV_SLOTS. */
static inline void clv_slot_append(struct clv_slot_array *array, struct cleave_interval *interval,
				   uint64_t start, uint64_t last)
{
	clv_slot_fill(array->group, array->next, interval, clv_slot_from(start),
		      clv_slot_cut(last));
	array->next++;
	array->used++;
}

/* Bit i: slot i is no hole. */
static inline unsigned clv_slot_in_use(const struct clv_slot_array *array,
				       const struct clv_slot_group *group)
{
	uint64_t hits;

	array->match(group, 1, CLV_SLOT_HOLE + 1, 0, &hits);
	return (unsigned)hits;
}

/* Of 16. The compiler's own is a call where the CPU is not known to have an instruction for it. */
static inline unsigned clv_slot_count_bits(unsigned bits)
{
	bits -= bits >> 1 & 0x5555;
	bits = (bits & 0x3333) + (bits >> 2 & 0x3333);
	bits = (bits + (bits >> 4)) & 0x0f0f;
	return (bits + (bits >> 8)) & 0x1f;
}

/* ---- the list ---- */

static inline struct cleave_interval *clv_slot_linked(const struct cleave_interval *interval,
						      unsigned word)
{
	return (struct cleave_interval *)interval->word[word];
}

static inline void clv_slot_link_pair(struct cleave_interval *before,
				      struct cleave_interval *behind)
{
	before->word[CLV_SLOT_NEXT] = (uintptr_t)behind;
	behind->word[CLV_SLOT_PREVIOUS] = (uintptr_t)before;
}

static inline void clv_slot_list_append(struct clv_slot_array *array,
					struct cleave_interval *interval)
{
	interval->word[CLV_SLOT_ADDRESS] = CLV_SLOT_LISTED;
	if (!array->list)
		array->list = interval;
	else
		clv_slot_link_pair(clv_slot_linked(array->list, CLV_SLOT_PREVIOUS), interval);
	clv_slot_link_pair(interval, array->list);
	array->listed++;
}

static inline void clv_slot_list_remove(struct clv_slot_array *array,
					struct cleave_interval *interval)
{
	clv_slot_link_pair(clv_slot_linked(interval, CLV_SLOT_PREVIOUS),
			   clv_slot_linked(interval, CLV_SLOT_NEXT));
	if (array->list == interval)
		array->list = --array->listed ? clv_slot_linked(interval, CLV_SLOT_NEXT) : NULL;
	else
		array->listed--;
}

/* ---- chunks ---- */

/* Slots behind the next, in the last chunk and spare ones. */
static inline size_t clv_slot_room_of(const struct clv_slot_array *array)
{
	size_t spare = (size_t)array->spare_groups * CLV_SLOTS;

	if (!array->group)
		return spare;
	const struct clv_slot_group *limit = array->tail->group + array->tail->groups;

	return spare + (size_t)(limit - array->group) * CLV_SLOTS - array->next;
}

/* Are there fewer slots than entries to be put into them, with the next insert's? */
static inline bool clv_slot_lacks(const struct clv_slot_array *array)
{
	return array->listed >= (array->first ? clv_slot_room_of(array) : CLV_SLOT_LISTED_FEW);
}

/* How large a chunk the next insert is to bring, in groups: a quarter of what there is. 0: none. */
static inline uint32_t clv_slot_wants(const struct clv_slot_array *array)
{
	size_t groups = (array->used / 4 + array->listed) / CLV_SLOTS + 1;

	if (!clv_slot_lacks(array))
		return 0;
	return groups < CLV_SLOT_GROUPS_MAX ? (uint32_t)groups : CLV_SLOT_GROUPS_MAX;
}

/*
 * Say so to prepare. Relaxed, as its look at it: what it reads too early or too late does no harm.
 * Written only if it changes, so that the line stays with all who read it.
 */
static inline void clv_slot_set_hint(struct clv_slot_array *array)
{
	uint32_t hint = clv_slot_wants(array);

	if (__atomic_load_n(&array->surplus, __ATOMIC_RELAXED))
		hint |= CLV_SLOT_HINT_SURPLUS;
	if (hint != array->hint)
		__atomic_store_n(&array->hint, hint, __ATOMIC_RELAXED);
}

static inline void clv_slot_add_spare(struct clv_slot_array *array, struct clv_slot_chunk *chunk)
{
	chunk->next = array->spare;
	array->spare = chunk;
	array->spare_groups += chunk->groups;
}

static inline struct clv_slot_chunk *clv_slot_take_spare(struct clv_slot_array *array)
{
	struct clv_slot_chunk *chunk = array->spare;

	if (chunk) {
		array->spare = chunk->next;
		array->spare_groups -= chunk->groups;
		chunk->next = NULL;
	}
	return chunk;
}

/*
 * Let an empty chunk go if there are many. Release: the partner is clv_slot_free_surplus's acquire,
 * so that who frees it comes after all that was written to it.
 */
static inline void clv_slot_shed_chunk(struct clv_slot_array *array)
{
	if (array->spare_groups > CLV_SLOT_SPARE_FEW + array->used / 4 / CLV_SLOTS &&
	    !__atomic_load_n(&array->surplus, __ATOMIC_RELAXED))
		__atomic_store_n(&array->surplus, clv_slot_take_spare(array), __ATOMIC_RELEASE);
}

static inline size_t clv_slot_bytes_of(unsigned groups)
{
	return sizeof(struct clv_slot_chunk) + groups * sizeof(struct clv_slot_group);
}

/*
 * Of all that call it, beside a writer, one gets the chunk. Acquire: the partner is
 * clv_slot_shed_chunk's release.
 */
static inline void clv_slot_free_surplus(struct clv_slot_array *array)
{
	struct clv_slot_chunk *chunk = __atomic_load_n(&array->surplus, __ATOMIC_RELAXED);

	if (chunk)
		chunk = __atomic_exchange_n(&array->surplus, NULL, __ATOMIC_ACQUIRE);
	if (chunk)
		cleave_free(chunk, clv_slot_bytes_of(chunk->groups));
}

/* As far as the slots go by now: what comes behind is young, and dense. */
static inline void clv_slot_begin_pass(struct clv_slot_array *array)
{
	array->put = array->get = array->first;
	array->put_slot = array->get_slot = 0;
	array->end = array->group;
}

/* Make the next slot one that there is. Returns: false, there is none. */
static inline bool clv_slot_advance(struct clv_slot_array *array)
{
	if (array->group && array->next < CLV_SLOTS)
		return true;
	if (array->group && array->group + 1 < array->tail->group + array->tail->groups) {
		array->group++;
	} else {
		struct clv_slot_chunk *chunk = clv_slot_take_spare(array);

		if (!chunk)
			return false;
		if (array->first)
			array->tail->next = chunk;
		else
			array->first = chunk;
		array->tail = chunk;
		array->group = chunk->group;
		if (!array->put)
			clv_slot_begin_pass(array);
	}
	array->next = 0;
	return true;
}

/* ---- squeezing ---- */

/* Slots from `put` to the group at `get`; in between no chunk is left but the two. */
static inline unsigned clv_slot_gap_of(const struct clv_slot_array *array)
{
	unsigned gap = array->get_slot - array->put_slot;

	return array->get == array->put ? gap : gap + clv_slot_count(array->put);
}

/* Move what is in use of the group at `get` to `put`. */
static inline void clv_slot_move_group(struct clv_slot_array *array, struct clv_slot_group *group,
				       unsigned bits)
{
	struct clv_slot_chunk *put = array->put;
	unsigned at = array->put_slot;

	/* Holds: a full chunk at `put` is in front of the group's, so that there is a next. */
	for (; bits; bits &= bits - 1) {
		unsigned slot = (unsigned)__builtin_ctz(bits);

		if (at == clv_slot_count(put)) {
			put = put->next;
			at = 0;
		}
		struct clv_slot_group *to = &put->group[at / CLV_SLOTS];

		if (&to->from[at % CLV_SLOTS] != &group->from[slot]) {
			clv_slot_fill(to, at % CLV_SLOTS, group->entry[slot], group->from[slot],
				      group->to[slot]);
			group->from[slot] = CLV_SLOT_HOLE;
		}
		at++;
	}
	array->put = put;
	array->put_slot = at;
}

/*
 * `get` goes on by a group, and out of its chunk, which is given back if nothing was put down in
 * it. Only in the first chunk can `put` have put nothing down: it goes into others to do so.
 */
static inline void clv_slot_pass_group(struct clv_slot_array *array)
{
	struct clv_slot_chunk *chunk = array->get;

	array->get_slot += CLV_SLOTS;
	if (array->get_slot < clv_slot_count(chunk))
		return;
	array->get = chunk->next;
	array->get_slot = 0;
	if (array->put != chunk)
		array->put->next = chunk->next;
	else if (!array->put_slot)
		array->first = array->put = chunk->next;
	else
		return;
	array->used -= clv_slot_count(chunk);
	clv_slot_add_spare(array, chunk);
}

/*
 * One step. pre: there is a chunk. The last chunk is not left, nor any that `end` is in, since at
 * `end`, which is in front of the next slot, the pass is over.
 */
static inline void clv_slot_squeeze(struct clv_slot_array *array)
{
	struct clv_slot_group *group = &array->get->group[array->get_slot / CLV_SLOTS];

	if (group == array->end) {
		clv_slot_begin_pass(array);
		return;
	}

	unsigned bits = clv_slot_in_use(array, group);
	unsigned live = clv_slot_count_bits(bits);

	/* At least two thirds of what is skipped are in use: passes do leave few enough holes. */
	if (2 * (clv_slot_gap_of(array) + CLV_SLOTS - live) <= live) {
		array->put = array->get;
		array->put_slot = array->get_slot + CLV_SLOTS;
	} else {
		clv_slot_move_group(array, group, bits);
	}
	clv_slot_pass_group(array);
}

/* ---- validate ---- */

/* What a pass over all slots adds up. */
struct clv_slot_tally {
	size_t slots, live;
	bool passed_put, passed_get, passed_end, passed_next;
};

static inline const char *clv_slot_check_slot(const struct clv_slot_group *group, unsigned slot,
					      struct clv_slot_tally *tally)
{
	uint32_t from = group->from[slot];

	if (from == CLV_SLOT_HOLE)
		return NULL;
	if (tally->passed_next)
		return "an entry behind the next slot";
	if (tally->passed_put && !tally->passed_get)
		return "an entry between put and get";

	const struct cleave_interval *interval = group->entry[slot];

	if (!interval || interval->word[CLV_SLOT_ADDRESS] != (uintptr_t)&group->from[slot])
		return "a slot's entry is not there, or says that it is elsewhere";
	if (interval->start > interval->last)
		return "an entry starts behind its last";
	if (from != clv_slot_from(interval->start) ||
	    group->to[slot] != clv_slot_cut(interval->last))
		return "a slot has other bounds than its entry";
	tally->live++;
	return NULL;
}

static inline const char *clv_slot_check_chunk(const struct clv_slot_array *array,
					       const struct clv_slot_chunk *chunk,
					       struct clv_slot_tally *tally)
{
	unsigned next = 0;

	if (chunk == array->tail)
		next = (unsigned)(array->group - chunk->group) * CLV_SLOTS + array->next;
	for (unsigned slot = 0; slot < clv_slot_count(chunk); slot++) {
		const struct clv_slot_group *group = &chunk->group[slot / CLV_SLOTS];

		tally->passed_put |= chunk == array->put && slot == array->put_slot;
		tally->passed_get |= chunk == array->get && slot == array->get_slot;
		tally->passed_end |= group == array->end;
		tally->passed_next |= chunk == array->tail && slot == next;

		const char *reason = clv_slot_check_slot(group, slot % CLV_SLOTS, tally);

		if (reason)
			return reason;
		tally->slots += !tally->passed_next;
	}
	tally->passed_put |= chunk == array->put && clv_slot_count(chunk) == array->put_slot;
	tally->passed_next |= chunk == array->tail && clv_slot_count(chunk) == next;
	if (tally->passed_get > tally->passed_put || tally->passed_end > tally->passed_get ||
	    tally->passed_next > tally->passed_end)
		return "put, get, end and the next slot are not in this order";
	if (tally->passed_next != (chunk == array->tail) || !chunk->next != (chunk == array->tail))
		return "the next slot is not in the last chunk";
	return NULL;
}

static inline const char *clv_slot_check_list(const struct clv_slot_array *array)
{
	const struct cleave_interval *interval = array->list;

	if (!array->list != !array->listed)
		return "the list is not as long as its count";
	for (unsigned n = 0; n < array->listed; n++) {
		const struct cleave_interval *next = clv_slot_linked(interval, CLV_SLOT_NEXT);

		if (interval->word[CLV_SLOT_ADDRESS] != CLV_SLOT_LISTED ||
		    interval->start > interval->last)
			return "a listed entry says that it has a slot, or is wrong";
		if (clv_slot_linked(next, CLV_SLOT_PREVIOUS) != interval ||
		    (next == array->list) != (n + 1 == array->listed))
			return "the list is not as long as its count";
		interval = next;
	}
	return NULL;
}

static inline const char *clv_slot_check_spare(const struct clv_slot_array *array)
{
	size_t groups = 0;

	for (const struct clv_slot_chunk *chunk = array->spare; chunk; chunk = chunk->next) {
		for (unsigned slot = 0; slot < clv_slot_count(chunk); slot++) {
			if (chunk->group[slot / CLV_SLOTS].from[slot % CLV_SLOTS] != CLV_SLOT_HOLE)
				return "an entry in a spare chunk";
		}
		groups += chunk->groups;
	}
	return groups == array->spare_groups ? NULL : "spare chunks are miscounted";
}

static inline const char *clv_slot_validate(const struct clv_slot_array *array)
{
	struct clv_slot_tally tally = { 0 };
	const char *reason = NULL;

	for (const struct clv_slot_chunk *chunk = array->first; chunk && !reason;
	     chunk = chunk->next)
		reason = clv_slot_check_chunk(array, chunk, &tally);
	if (!reason)
		reason = clv_slot_check_list(array);
	if (!reason)
		reason = clv_slot_check_spare(array);
	if (reason)
		return reason;
	if (array->first &&
	    !(tally.passed_put && tally.passed_get && tally.passed_end && tally.passed_next))
		return "put, get, end or the next slot is in no chunk";
	if (tally.slots != array->used || tally.live + array->listed != array->live)
		return "slots or entries are miscounted";
	if (array->next > CLV_SLOTS || array->limit > CLV_SLOTS ||
	    (array->limit > array->next && (array->list || !array->group)))
		return "inserts would go on without what is to be done";
	return NULL;
}

#endif
