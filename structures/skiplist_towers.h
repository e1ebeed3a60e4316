/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * skiplist_augmented's layout, what holds of it, and its towers' memory; the drawing is there.
 *
 * Heights are drawn in prepare, which also gets the memory for towers. If it sees some spare it
 * counts on them, without a lock: the counts are hints. Where others took them before the insert
 * comes, the entry stays low, which costs a little balance and can be no fault: any heights make a
 * skip list. So in the long run one thread's updates ask for no memory.
 */
#ifndef CLV_SKIPLIST_TOWERS_H
#define CLV_SKIPLIST_TOWERS_H

#include <errno.h>

#include <cleave/structure.h>

#include "../lib/shim/mark.h"

enum {
	HEIGHT_MAX = 13, /* 4^13 entries */
	LOW_HEIGHT = 2,	 /* levels that an entry has room for */
	HIGHS_MAX = HEIGHT_MAX - LOW_HEIGHT,
	SPARE_MARGIN = 16, /* with no more spare towers than that, prepare gets its own */
};

/* How many levels: stored in the two bits below an entry's link back. */
enum class { ONE, TWO, TALL };

struct node;
struct tower;

/* A link of level 1. */
struct low {
	struct node *next, *prev;
	uint64_t max;
};

/* A link of level 2 or more. */
struct high {
	struct tower *next, *prev;
	uint64_t start; /* the next's */
	uint64_t max;
};

/* Lies over the `word` of an entry, whose declared type is another: hence may_alias. */
struct node {
	struct node *next;
	uintptr_t prev_class;
	union {
		struct low low; /* of class TWO */
		struct {
			struct tower *tower; /* of class TALL */
			uintptr_t unused;
			uintptr_t planned; /* from prepare to insert: the height */
		};
	};
} __attribute__((may_alias));

struct tower {
	uintptr_t interval_height; /* in the bits that the interval's alignment leaves */
	struct low low;
	struct high high[]; /* high[i] is of level i + LOW_HEIGHT */
};

/* Towers come in two sizes: three levels, or all. */
enum size { SHORT, LONG, SIZES };

static const size_t tower_bytes[SIZES] = {
	sizeof(struct tower) + sizeof(struct high),
	sizeof(struct tower) + HIGHS_MAX * sizeof(struct high),
};

_Static_assert(sizeof(struct tower) + sizeof(struct high) == 64, "most towers take one line");
_Static_assert(sizeof(struct node) == sizeof(((struct cleave_interval *)0)->word), "it fits");

/* One a subset; the head's tower follows. */
struct list {
	struct cleave_interval head;
	_Alignas(64) struct tower *spare[SIZES]; /* linked by low.next */
	uint32_t spares[SIZES];
	unsigned highs; /* levels in use, above LOW_HEIGHT */
	int node;
};

enum { LIST_BYTES = sizeof(struct list) + sizeof(struct tower) + HIGHS_MAX * sizeof(struct high) };

/* What prepare leaves: towers, linked as the spare ones. */
struct reserve {
	struct tower *first[SIZES];
};

static inline struct cleave_interval *interval_of(const struct node *node)
{
	return cleave_container_of(node, struct cleave_interval, word);
}

static inline struct node *node_of(const struct cleave_entry *entry)
{
	const struct cleave_interval *interval =
		cleave_container_of(entry, struct cleave_interval, entry);

	return (struct node *)interval->word;
}

static inline uint64_t start_of(const struct node *node)
{
	return interval_of(node)->start;
}

static inline uint64_t last_of(const struct node *node)
{
	return interval_of(node)->last;
}

static inline uint64_t max_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline enum class class_of(const struct node *node) { return node->prev_class & 3; }

static inline struct node *prev_of(const struct node *node)
{
	return (struct node *)(node->prev_class & ~(uintptr_t)3);
}

static inline void set_prev(struct node *node, const struct node *prev)
{
	node->prev_class = (uintptr_t)prev | class_of(node);
}

/*
 * Relaxed: `empty` compares the head's with NULL and follows nothing, so that there is nothing to
 * order. Whoever knows that an insert has returned knows it through something that orders the two.
 */
static inline void set_next(struct node *node, struct node *next)
{
	__atomic_store_n(&node->next, next, __ATOMIC_RELAXED);
}

static inline struct node *tower_node(const struct tower *tower)
{
	return (struct node *)((struct cleave_interval *)(tower->interval_height & ~(uintptr_t)63))
		->word;
}

/* Its links from level LOW_HEIGHT on. */
static inline unsigned highs_of(const struct tower *tower)
{
	return (tower->interval_height & 63) - LOW_HEIGHT;
}

static inline enum size size_of(unsigned height)
{
	return height == LOW_HEIGHT + 1 ? SHORT : LONG;
}

static inline struct tower *top_of(const struct list *list)
{
	return (struct tower *)(list + 1);
}

/* pre: it is on level 1. */
static inline struct low *low_of(struct node *node)
{
	return class_of(node) == TALL ? &node->tower->low : &node->low;
}

/* ---- maxima ---- */

/* What the max of level 1 behind `from` has to be, from level 0. */
static inline uint64_t low_max(struct node *from)
{
	const struct node *target = low_of(from)->next;
	uint64_t max = 0;

	for (const struct node *at = from->next; at; at = at->next) {
		max = max_of(max, last_of(at));
		if (at == target)
			break;
	}
	return max;
}

/* And that of high[i] behind `from`, from the level below. */
static inline uint64_t high_max(const struct tower *from, unsigned i)
{
	const struct tower *target = from->high[i].next;

	if (i) {
		const struct high *link = &from->high[i - 1];
		uint64_t max = link->max;

		for (; link->next != target; max = max_of(max, link->max))
			link = &link->next->high[i - 1];
		return max;
	}
	const struct node *target_node = target ? tower_node(target) : NULL;
	const struct low *link = &from->low;
	uint64_t max = link->max;

	/* What lies between two neighbours on level 2 is on level 1 at most. */
	for (; link->next != target_node; max = max_of(max, link->max))
		link = &link->next->low;
	return max;
}

/* ---- validate ---- */

/* Level 0. Ends on any list whose pointers lead to entries: each is entered once, from its prev. */
static inline const char *check_entries(const struct list *list)
{
	const struct node *before = node_of(&list->head.entry);

	for (const struct node *at = before->next; at; before = at, at = at->next) {
		if (prev_of(at) != before)
			return "skiplist: an entry's link back leads elsewhere";
		if (class_of(at) > TALL)
			return "skiplist: an entry has a class that does not exist";
		if (start_of(at) > last_of(at))
			return "skiplist: an entry starts behind its last";
		if (prev_of(before) && start_of(before) > start_of(at))
			return "skiplist: an entry starts before the one in front of it";
		if (class_of(at) == TALL &&
		    (tower_node(at->tower) != at || highs_of(at->tower) - 1 >= HIGHS_MAX))
			return "skiplist: a tower is another entry's, or too high";
	}
	return NULL;
}

/* Level 1, along level 0: whoever is on it must be the next link's target. */
static inline const char *check_low(const struct list *list)
{
	struct node *source = node_of(&list->head.entry);
	uint64_t max = 0;

	for (struct node *at = source->next; at; at = at->next) {
		const struct low *link = low_of(source);

		max = max_of(max, last_of(at));
		if (class_of(at) == ONE)
			continue;
		if (link->next != at || low_of(at)->prev != source)
			return "skiplist: level 1 misses an entry, or leads elsewhere";
		if (link->max != max)
			return "skiplist: a max is not the largest last below its link";
		source = at;
		max = 0;
	}
	if (low_of(source)->next)
		return "skiplist: level 1 leads on behind the end";
	return low_of(source)->max == max
		       ? NULL
		       : "skiplist: a max is not the largest last below its link";
}

/* high[i], along the level below, which is checked. */
static inline const char *check_high(const struct list *list, unsigned i)
{
	struct node *at = node_of(&list->head.entry);
	const struct tower *source = top_of(list);

	for (;;) {
		const struct high *link = &source->high[i];
		struct tower *below = at->tower;

		if (i) {
			do
				below = below->high[i - 1].next;
			while (below && highs_of(below) <= i);
		} else {
			do
				at = low_of(at)->next;
			while (at && class_of(at) != TALL);
			below = at ? at->tower : NULL;
		}
		if (link->next != below || (below && below->high[i].prev != source))
			return "skiplist: a level misses a tower, or leads elsewhere";
		if (link->max != high_max(source, i))
			return "skiplist: a max is not the largest last below its link";
		if (!below)
			return NULL;
		if (link->start != start_of(tower_node(below)))
			return "skiplist: a link says that its target starts elsewhere";
		source = below;
		at = tower_node(below);
	}
}

/* Checks all but the order of ties, which is recorded nowhere, and whether an entry is missing. */
static inline const char *validate(void *self)
{
	const struct list *list = self;
	const char *reason = check_entries(list);

	if (!reason)
		reason = check_low(list);
	for (unsigned i = 0; !reason && i < list->highs; i++)
		reason = check_high(list, i);
	for (unsigned i = list->highs; !reason && i < HIGHS_MAX; i++)
		reason = top_of(list)->high[i].next ? "skiplist: a level is in use, but not counted"
						    : NULL;
	return reason;
}

/* ---- towers' memory ---- */

static inline void push(struct tower **first, struct tower *tower)
{
	tower->low.next = (struct node *)*first;
	*first = tower;
}

static inline struct tower *pop(struct tower **first)
{
	struct tower *tower = *first;

	if (tower)
		*first = (struct tower *)tower->low.next;
	return tower;
}

/* Relaxed: prepare takes it for a hint, and reaches nothing through it. */
static inline void set_spares(struct list *list, enum size size, uint32_t spares)
{
	__atomic_store_n(&list->spares[size], spares, __ATOMIC_RELAXED);
}

static inline void give_spare(struct list *list, struct tower *tower)
{
	enum size size = size_of(highs_of(tower) + LOW_HEIGHT);

	push(&list->spare[size], tower);
	set_spares(list, size, list->spares[size] + 1);
}

/* From the reserve first, so that spare ones gather, and prepare need not ask for memory. */
static inline struct tower *take(struct list *list, struct reserve *reserve, enum size size)
{
	struct tower *tower = reserve ? pop(&reserve->first[size]) : NULL;

	if (!tower) {
		tower = pop(&list->spare[size]);
		if (tower)
			set_spares(list, size, list->spares[size] - 1);
	}
	return tower;
}

static inline void free_towers(struct tower *first, enum size size)
{
	struct tower *tower;

	while ((tower = pop(&first)))
		cleave_free(tower, tower_bytes[size]);
}

static inline void settle(void *self, struct cleave_thread *thread, void *reserve)
{
	struct reserve *left = reserve;

	(void)self;
	(void)thread;
	if (!left)
		return;
	free_towers(left->first[SHORT], SHORT);
	free_towers(left->first[LONG], LONG);
	cleave_free(left, sizeof(*left));
}

/* Each level is reached by a quarter of those that reach the one below. */
static inline unsigned draw_height(struct cleave_thread *thread)
{
	uint64_t limit = UINT64_C(1) << (2 * (HEIGHT_MAX - 1));

	return 1 + (unsigned)__builtin_ctzll(cleave_random(thread) | limit) / 2;
}

static inline bool reserve_tower(struct list *list, struct reserve **reserve, enum size size)
{
	if (!*reserve)
		*reserve = cleave_alloc(sizeof(**reserve), _Alignof(struct reserve), list->node);
	struct tower *tower = *reserve ? cleave_alloc(tower_bytes[size], 64, list->node) : NULL;

	if (!tower)
		return false;
	clv_name(tower, tower_bytes[size], 0, "tower", -1, NULL);
	push(&(*reserve)->first[size], tower);
	return true;
}

/* The heights are left in the entries, which are their owner's alone until they are inserted. */
static inline int prepare(void *self, struct cleave_thread *thread, const struct cleave_op *ops,
			  unsigned count, void **reserve)
{
	struct list *list = self;
	struct reserve *made = NULL;
	unsigned wanted[SIZES] = { 0 };

	*reserve = NULL;
	for (unsigned i = 0; i < count; i++) {
		if (ops[i].kind == CLEAVE_REMOVE || ops[i].kind == CLEAVE_CHANGE)
			continue;
		unsigned height = draw_height(thread);

		node_of(ops[i].entry)->planned = height;
		if (__builtin_expect(height <= LOW_HEIGHT, 1))
			continue;
		enum size size = size_of(height);

		/* Partner: set_spares. */
		if (__atomic_load_n(&list->spares[size], __ATOMIC_RELAXED) >
		    SPARE_MARGIN + wanted[size]++)
			continue;
		if (!reserve_tower(list, &made, size)) {
			settle(self, thread, made);
			return -ENOMEM;
		}
	}
	*reserve = made;
	return 0;
}

/* Give the node the height that prepare drew; the most that fits into an entry if none is spare. */
static inline void set_height(struct list *list, struct reserve *reserve, struct node *node)
{
	unsigned height = (unsigned)node->planned;
	enum class class = ONE;

	if (height > LOW_HEIGHT) {
		struct tower *tower = take(list, reserve, size_of(height));

		class = TWO;
		if (tower) {
			tower->interval_height = (uintptr_t)interval_of(node) | height;
			node->tower = tower;
			class = TALL;
		}
	} else if (height == LOW_HEIGHT) {
		class = TWO;
	}
	node->prev_class = class;
}

#endif
