/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * skiplist_lazy's layout and its index of towers; the drawing, the protocol and why it is right are
 * at the head of skiplist_lazy.c.
 */
#ifndef CLV_SKIPLIST_INDEX_H
#define CLV_SKIPLIST_INDEX_H

#include <errno.h>

#include <cleave/structure.h>

#include "../lib/shim/mark.h"

enum {
	LEVELS = 12,	  /* of towers, of which there are 4^LEVELS * 8 entries' */
	TOWER_CHANCE = 8, /* one entry in so many has a tower */
};

/* Below the address in a node's state. */
enum {
	LOCKED = 1,
	DEAD = 2,      /* removed; its `next` does not change any more */
	STANDS_IN = 4, /* for the entry at the address; without it, the one that stands in for it */
};

struct tower;

/* An entry, or what stands in for one that moved. Lies over struct cleave_interval. */
struct node {
	struct cleave_entry entry;
	uint64_t start;
	uint64_t last;
	struct node *next, *prev;
	struct tower *tower; /* or NULL */
	union {
		uint64_t label;	   /* ascends among equal starts of a subset */
		uintptr_t planned; /* from prepare to insert: it gets a tower */
	};
	uintptr_t state;
} __attribute__((aligned(64), may_alias));

_Static_assert(sizeof(struct node) == sizeof(struct cleave_interval), "it is an entry");
_Static_assert(offsetof(struct node, next) == offsetof(struct cleave_interval, word), "likewise");

/* The order of the list. Unique among those that are in. */
struct key {
	uint64_t start;
	uint32_t subset;
	uint64_t label;
};

struct link {
	uint64_t version; /* odd: locked */
	struct tower *next;
	uint64_t max; /* no entry behind the source up to the target (the end) reaches farther */
};

/* What a search needs first is on the first line, of most towers all. The tail lies behind the
 * links.
 */
struct tower {
	uint64_t start, label;
	uint32_t subset;
	uint16_t height;
	uint16_t linked; /* so many levels, from below */
	struct link link[];
};

struct tail {
	struct node *node;
	struct cleave_deferred deferred; /* its `next`: to the reserve's next, until retired */
	struct tower *tower;
	bool with_node; /* which lies in front, in the same block */
};

/* One a map; the head's tower follows. */
struct list {
	struct node head;
	_Alignas(64) unsigned levels; /* in use; never fewer again */
	const int *node_of_subset;
};

enum {
	LIST_BYTES = sizeof(struct list) + sizeof(struct tower) + LEVELS * sizeof(struct link) +
		     sizeof(struct tail),
};

/* For each level, who comes last in front of a key, and who was seen behind him. */
struct path {
	struct tower *at[LEVELS], *next[LEVELS];
};

static inline struct node *node_of(const struct cleave_entry *entry)
{
	return (struct node *)entry;
}

static inline struct tower *top_of(const struct list *list)
{
	return (struct tower *)(list + 1);
}

static inline struct tail *tail_of(const struct tower *tower)
{
	return (struct tail *)&tower->link[tower->height];
}

static inline struct node *other_of(uintptr_t state)
{
	return (struct node *)(state & ~(uintptr_t)63);
}

/* Acquire: partner is set_current; what stands in is complete. */
static inline struct node *current_of(const struct node *own)
{
	struct node *moved = other_of(__atomic_load_n(&own->state, __ATOMIC_ACQUIRE));

	return moved ? moved : (struct node *)own;
}

/* Acquire: partners are the stores in link_node and unlink_node. */
static inline struct node *next_of(const struct node *node)
{
	return __atomic_load_n(&node->next, __ATOMIC_ACQUIRE);
}

/* Written under the lock of the predecessor, be it the one before or after. */
static inline struct node *prev_of(const struct node *node)
{
	return __atomic_load_n(&node->prev, __ATOMIC_ACQUIRE);
}

static inline void set_prev(struct node *node, struct node *prev)
{
	/* Release: partner is prev_of. */
	__atomic_store_n(&node->prev, prev, __ATOMIC_RELEASE);
}

static inline uint64_t last_of(const struct node *node)
{
	/* Partners: the stores of `last` in insert and change. */
	return __atomic_load_n(&node->last, __ATOMIC_SEQ_CST);
}

static inline struct key key_of(const struct node *node)
{
	return (struct key) { node->start, node->entry.subset, node->label };
}

static inline bool precedes(uint64_t start, uint32_t subset, uint64_t label, const struct key *key)
{
	if (start != key->start)
		return start < key->start;
	if (subset != key->subset)
		return subset < key->subset;
	return label < key->label;
}

static inline bool precedes_node(const struct node *node, const struct key *key)
{
	return precedes(node->start, node->entry.subset, node->label, key);
}

static inline bool precedes_tower(const struct tower *tower, const struct key *key)
{
	return precedes(tower->start, tower->subset, tower->label, key);
}

static inline struct key tower_key(const struct tower *tower)
{
	return (struct key) { tower->start, tower->subset, tower->label };
}

/* ---- spin bits ---- */

/* Relaxed: it counts under the node's lock alone. */
static inline uintptr_t state_of(const struct node *node)
{
	return __atomic_load_n(&node->state, __ATOMIC_RELAXED);
}

static inline bool is_dead(const struct node *node)
{
	return state_of(node) & DEAD;
}

static inline void lock_node(struct node *node)
{
	for (;; cleave_pause()) {
		uintptr_t state = state_of(node);

		/* Acquire: partner is unlock_node. */
		if (!(state & LOCKED) &&
		    __atomic_compare_exchange_n(&node->state, &state, state | LOCKED, false,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return;
	}
}

/* Unlock, and leave the state that is given: it is written under the lock alone. */
static inline void unlock_node_as(struct node *node, uintptr_t state)
{
	/* Release: partners are lock_node, current_of and entry_to_visit. */
	__atomic_store_n(&node->state, state, __ATOMIC_RELEASE);
}

static inline void unlock_node(struct node *node)
{
	unlock_node_as(node, state_of(node) & ~(uintptr_t)LOCKED);
}

/* From now on `moved` is what walks visit. */
static inline void set_current(struct node *own, const struct node *moved)
{
	lock_node(own);
	unlock_node_as(own, (uintptr_t)moved | (state_of(own) & DEAD));
}

/*
 * A lock for each link, so that who is at one level of a tower, of the head above all, is in
 * nobody's way on another. Sequentially consistent: partner is the look in raise; see bound_of.
 */
static inline void lock_link(struct link *link)
{
	for (;; cleave_pause()) {
		uint64_t version = __atomic_load_n(&link->version, __ATOMIC_RELAXED);

		if (!(version & 1) &&
		    __atomic_compare_exchange_n(&link->version, &version, version + 1, false,
						__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			return;
	}
}

static inline void unlock_link(struct link *link)
{
	uint64_t version = __atomic_load_n(&link->version, __ATOMIC_RELAXED);

	/* Release: partners are lock_link and see. */
	__atomic_store_n(&link->version, version + 1, __ATOMIC_RELEASE);
}

/* ---- links ---- */

/*
 * Under the link's lock. Release: that the version is odd is seen by all who see what was written
 * under it. Partner: see.
 */
static inline void set_link(struct link *link, struct tower *next, uint64_t max)
{
	__atomic_store_n(&link->next, next, __ATOMIC_RELEASE);
	__atomic_store_n(&link->max, max, __ATOMIC_SEQ_CST);
}

static inline void set_linked(struct tower *tower, unsigned linked)
{
	__atomic_store_n(&tower->linked, (uint16_t)linked, __ATOMIC_RELEASE);
}

static inline struct tower *tower_next(const struct tower *tower, unsigned i)
{
	/* Acquire: partner is set_link; the next one's key is there. */
	return __atomic_load_n(&tower->link[i].next, __ATOMIC_ACQUIRE);
}

static inline unsigned linked_of(const struct tower *tower)
{
	/* Acquire: partner is set_linked. */
	return __atomic_load_n(&tower->linked, __ATOMIC_ACQUIRE);
}

/* How many levels a walk can try from here. */
static inline unsigned levels_of(const struct list *list, const struct tower *tower)
{
	unsigned linked = linked_of(tower);
	unsigned levels = __atomic_load_n(&list->levels, __ATOMIC_ACQUIRE);

	return linked < levels ? linked : levels;
}

/*
 * Both words of a link as they were at one moment, at which it was in its level. Returns: false if
 * someone is at it, or it has left.
 */
static inline bool see(const struct tower *tower, unsigned i, struct link *seen)
{
	const struct link *link = &tower->link[i];

	/* Each load stays behind the ones before. Partners: lock_link, set_link, set_linked. */
	seen->version = __atomic_load_n(&link->version, __ATOMIC_SEQ_CST);
	if ((seen->version & 1) || linked_of(tower) <= i)
		return false;
	seen->next = tower_next(tower, i);
	seen->max = __atomic_load_n(&link->max, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&link->version, __ATOMIC_RELAXED) == seen->version;
}

/* As see, but wait for who is at it. Returns: false if it has left. */
static inline bool look(const struct tower *tower, unsigned i, struct link *seen)
{
	while (!see(tower, i, seen)) {
		if (linked_of(tower) <= i)
			return false;
		if (seen->version & 1)
			cleave_pause();
	}
	return true;
}

/* Who comes last in front of `key`, on every level. */
static inline void find(const struct list *list, const struct key *key, struct path *path)
{
	struct tower *at = top_of(list), *next;
	unsigned levels = __atomic_load_n(&list->levels, __ATOMIC_SEQ_CST);

	for (unsigned i = LEVELS; i-- > levels;) {
		path->at[i] = at;
		path->next[i] = NULL;
	}
	for (unsigned i = levels; i-- > 0;) {
		while ((next = tower_next(at, i)) && precedes_tower(next, key))
			at = next;
		path->at[i] = at;
		path->next[i] = next;
	}
}

/*
 * The last node in front of `key`, from the towers on both sides of it, that on the side where it
 * is guessed to be nearer. A guess, too, if nodes come and go: whoever wants to be sure locks it.
 */
static inline struct node *find_node(const struct path *path, const struct key *key)
{
	const struct tower *before = path->at[0], *behind = path->next[0];
	struct node *at, *next;

	if (behind && behind->start - key->start < key->start - before->start) {
		/* Links back lead to what comes before in order, and the head is before all. */
		at = tail_of(behind)->node;
		while (!precedes_node(at, key))
			at = prev_of(at);
		return at;
	}
	at = tail_of(before)->node;
	while ((next = next_of(at)) && precedes_node(next, key))
		at = next;
	return at;
}

/*
 * The largest `last` of what is behind `from` up to `target` (NULL: the end), from level i - 1.
 *
 * pre: the link of level i over all that is locked, so that `from` stays on the level below. Who
 * puts an entry in writes the level below before it looks at this lock (raise), and whoever calls
 * this has taken the lock before it looks at the level below. All four are sequentially consistent:
 * so one of the two sees the other.
 */
static inline uint64_t bound_of(const struct tower *from, unsigned i, const struct tower *target)
{
	uint64_t max = 0;
	struct key end = { 0 };

	if (target)
		end = tower_key(target);
	if (!i) {
		for (struct node *at =
			     __atomic_load_n(&tail_of(from)->node->next, __ATOMIC_SEQ_CST);
		     at; at = __atomic_load_n(&at->next, __ATOMIC_SEQ_CST)) {
			uint64_t last = last_of(at);

			max = last > max ? last : max;
			if (target && !precedes_node(at, &end))
				break;
		}
		return max;
	}

	const struct tower *at = from;

	/* From the front again where a tower left the level below; `from` does not. */
	for (;;) {
		struct link seen;

		if (!look(at, i - 1, &seen)) {
			at = from;
			max = 0;
			continue;
		}
		max = seen.max > max ? seen.max : max;
		if (!seen.next || (target && !precedes_tower(seen.next, &end)))
			return max;
		at = seen.next;
	}
}

/*
 * Find and lock the tower whose link of level i is over `key`, from the path on, which is kept up
 * to date. Over a tower's own key is the link that leads to it.
 */
static inline struct tower *lock_over(const struct list *list, const struct key *key, unsigned i,
				      struct path *path)
{
	for (;;) {
		struct tower *at = path->at[i], *next;

		lock_link(&at->link[i]);
		if (linked_of(at) > i) {
			next = at->link[i].next;
			if (!next || !precedes_tower(next, key))
				return at;
			path->at[i] = next;
			unlock_link(&at->link[i]);
		} else {
			unlock_link(&at->link[i]);
			find(list, key, path);
		}
	}
}

/*
 * Raise the bounds of all links over `key` to `last` at least, from below, before the update
 * returns. Locks only those that are lower. That one is high enough is believed if nobody is at it.
 */
static inline void raise(const struct list *list, const struct key *key, uint64_t last,
			 struct path *path)
{
	/* A level that is begun meanwhile is seen here, or sees the one below: see link_tower. */
	for (unsigned i = 0; i < __atomic_load_n(&list->levels, __ATOMIC_SEQ_CST); i++) {
		struct link seen;

		if (look(path->at[i], i, &seen) && seen.max >= last &&
		    (seen.next == path->next[i] || !seen.next || !precedes_tower(seen.next, key)))
			continue;
		struct tower *over = lock_over(list, key, i, path);

		if (over->link[i].max < last)
			__atomic_store_n(&over->link[i].max, last, __ATOMIC_SEQ_CST);
		unlock_link(&over->link[i]);
	}
}

/*
 * After one left that reached to `gone`, lower the bounds over its key where they were due to it.
 * pre: the path is the key's.
 *
 * Level i by one in 4^i of those who come so far: a link of level i is over 4^i times as many
 * entries, so that each link is locked as often, on whatever level, and each bound is lowered after
 * as many removals below it. Those who put entries in raise a bound that is too low; where it comes
 * and goes all the time, as with mappings of a whole file that are cut at once, it mostly stays up.
 */
static inline void lower(const struct list *list, struct cleave_thread *thread,
			 const struct key *key, uint64_t gone, struct path *path)
{
	struct link seen;

	if (look(path->at[0], 0, &seen) && seen.max > gone)
		return;
	unsigned levels = __atomic_load_n(&list->levels, __ATOMIC_RELAXED);
	unsigned most = 1 + (unsigned)__builtin_ctzll(cleave_random(thread) | 1ull << 63) / 2;

	for (unsigned i = 0; i < levels && i < most; i++) {
		struct tower *over = lock_over(list, key, i, path);
		uint64_t max = bound_of(over, i, over->link[i].next);

		if (max < over->link[i].max)
			__atomic_store_n(&over->link[i].max, max, __ATOMIC_SEQ_CST);
		unlock_link(&over->link[i]);
	}
}

/* Put the tower in on level i. pre: it is in on those below. */
static inline void link_tower(struct list *list, struct tower *tower, unsigned i, struct path *path)
{
	struct key key = tower_key(tower);
	struct tower *over = lock_over(list, &key, i, path);
	unsigned levels = __atomic_load_n(&list->levels, __ATOMIC_RELAXED);

	/*
	 * Before the level below is looked at; partner: raise. The head is locked until it has its
	 * bound; two who begin a level each do so one after the other.
	 */
	if (levels <= i)
		__atomic_store_n(&list->levels, i + 1, __ATOMIC_SEQ_CST);
	struct tower *next = over->link[i].next;

	/* Who looks for the link over what is behind it finds the one that is locked. */
	set_link(&tower->link[i], next, bound_of(tower, i, next));
	set_linked(tower, i + 1);
	set_link(&over->link[i], tower, bound_of(over, i, tower));
	unlock_link(&over->link[i]);
}

/* Take it out of all levels, from above. Walks that stand on it see that it has left. pre: as
 * above. */
static inline void unlink_tower(const struct list *list, struct tower *tower, struct path *path)
{
	struct key key = tower_key(tower);

	for (unsigned i = tower->height; i-- > 0;) {
		struct tower *over = lock_over(list, &key, i, path);

		lock_link(&tower->link[i]);
		uint64_t max = over->link[i].max;

		if (tower->link[i].max > max)
			max = tower->link[i].max;
		set_link(&over->link[i], tower->link[i].next, max);
		set_linked(tower, i);
		unlock_link(&tower->link[i]);
		unlock_link(&over->link[i]);
	}
}

/* ---- memory ---- */

static inline size_t tower_bytes(const struct tower *tower)
{
	return (tail_of(tower)->with_node ? sizeof(struct node) : 0) + sizeof(*tower) +
	       tower->height * sizeof(struct link) + sizeof(struct tail);
}

static inline void free_tower(struct tower *tower)
{
	const struct tail *tail = tail_of(tower);

	cleave_free(tail->with_node ? (void *)tail->node : (void *)tower, tower_bytes(tower));
}

static inline void free_deferred(struct cleave_deferred *deferred)
{
	free_tower(cleave_container_of(deferred, struct tail, deferred)->tower);
}

static inline void retire(struct cleave_thread *thread, struct tower *tower)
{
	if (tower)
		cleave_retire(thread, &tail_of(tower)->deferred, free_deferred);
}

/* The next tower of the reserve, which are in the order of the ops that take one. */
static inline struct tower *take(struct cleave_update *update)
{
	struct tower *tower = update->reserve;

	update->reserve = tail_of(tower)->deferred.next;
	return tower;
}

/* Each level is reached by a quarter of those that reach the one below. */
static inline struct tower *make_tower(struct cleave_thread *thread, int memory, bool with_node)
{
	uint64_t limit = UINT64_C(1) << (2 * (LEVELS - 1));
	unsigned height = 1 + (unsigned)__builtin_ctzll(cleave_random(thread) | limit) / 2;
	size_t node_bytes = with_node ? sizeof(struct node) : 0;
	char *block = cleave_alloc(node_bytes + sizeof(struct tower) +
					   height * sizeof(struct link) + sizeof(struct tail),
				   64, memory);

	if (!block)
		return NULL;
	struct tower *tower = (struct tower *)(block + node_bytes);

	tower->height = (uint16_t)height;
	struct tail *tail = tail_of(tower);

	clv_name(tower, (size_t)((char *)(tail + 1) - (char *)tower), 0, "tower", -1, NULL);
	tail->tower = tower;
	tail->with_node = with_node;
	if (with_node) {
		tail->node = (struct node *)block;
		tail->node->tower = tower;
	}
	return tower;
}

#endif
