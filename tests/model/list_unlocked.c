// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A singly linked list in the order of insertion. Updates run under the subset's lock; walks run
 * beside them without one.
 *
 *   head -> entry -> entry -> NULL          word[0]: next; word[1]: bounds are being changed if odd
 *
 * Invariants: an entry that was removed still leads into the list, or to one that was removed after
 * it, so a walk that stands on it goes on; it may not be used again before a grace period is over.
 * New entries go to the end, so parents and sources come first.
 *
 * What it does not keep: C3, since a walk can be past the end before a batch's insert and at what
 * the batch removed after it; C6, since walks go on beside an exclusive hold.
 */
#include "list_unlocked.h"

#include <errno.h>

struct list {
	struct cleave_interval *first;
};

static struct cleave_interval *interval_of(struct cleave_entry *entry)
{
	return cleave_container_of(entry, struct cleave_interval, entry);
}

/* Acquire: partner is the release in set_next and insert, for the entry that it leads to. */
static struct cleave_interval *next_of(struct cleave_interval *interval)
{
	return (struct cleave_interval *)__atomic_load_n(&interval->word[0], __ATOMIC_ACQUIRE);
}

static void set_next(struct cleave_interval *interval, struct cleave_interval *next)
{
	/* Release: partner is next_of. */
	__atomic_store_n(&interval->word[0], (uintptr_t)next, __ATOMIC_RELEASE);
}

/* A sequence lock's writer, alone by the subset's lock. */
static void set_bounds(struct cleave_interval *interval, uint64_t start, uint64_t last)
{
	/* Each of these stays in order: partner is get_bounds. */
	__atomic_add_fetch(&interval->word[1], 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&interval->start, start, __ATOMIC_SEQ_CST);
	__atomic_store_n(&interval->last, last, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&interval->word[1], 1, __ATOMIC_SEQ_CST);
}

static void get_bounds(const struct cleave_interval *interval, uint64_t *start, uint64_t *last)
{
	/* Partner is set_bounds. It writes a few words under a lock: this ends. */
	for (;;) {
		uintptr_t before = __atomic_load_n(&interval->word[1], __ATOMIC_SEQ_CST);
		*start = __atomic_load_n(&interval->start, __ATOMIC_SEQ_CST);
		*last = __atomic_load_n(&interval->last, __ATOMIC_SEQ_CST);
		if (before % 2 == 0 &&
		    __atomic_load_n(&interval->word[1], __ATOMIC_SEQ_CST) == before)
			return;
		cleave_pause();
	}
}

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	get_bounds(cleave_container_of(entry, struct cleave_interval, entry), start, last);
}

static int create(void **self, const struct cleave_structure_config *config)
{
	*self = cleave_alloc(sizeof(struct list), 64, config->node);
	return *self ? 0 : -ENOMEM;
}

static void destroy(void *self)
{
	cleave_free(self, sizeof(struct list));
}

static struct cleave_interval *first_of(struct list *list)
{
	/* Acquire: partner is the release in insert and remove_entry. */
	return __atomic_load_n(&list->first, __ATOMIC_ACQUIRE);
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct list *list = self;
	struct cleave_interval *interval = interval_of(entry), *at = list->first;

	(void)update;
	(void)source;
	set_next(interval, NULL);
	set_bounds(interval, start, last);
	if (!at) {
		/* Release: partner is first_of. */
		__atomic_store_n(&list->first, interval, __ATOMIC_RELEASE);
		return;
	}
	while (next_of(at))
		at = next_of(at);
	set_next(at, interval);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	struct list *list = self;
	struct cleave_interval *interval = interval_of(entry), *at = list->first;

	(void)update;
	if (at == interval) {
		/* Release: partner is first_of. */
		__atomic_store_n(&list->first, next_of(interval), __ATOMIC_RELEASE);
		return;
	}
	while (next_of(at) != interval)
		at = next_of(at);
	set_next(at, next_of(interval));
}

static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	(void)self;
	(void)update;
	set_bounds(interval_of(entry), start, last);
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	(void)thread;
	(void)subset;
	for (struct cleave_interval *at = first_of(self); at; at = next_of(at)) {
		uint64_t from, to;
		int stop;

		get_bounds(at, &from, &to);
		if (from > last || to < start)
			continue;
		stop = visit(&at->entry, arg);
		if (stop)
			return stop;
	}
	return 0;
}

static bool empty(const void *self)
{
	const struct list *list = self;

	return !__atomic_load_n(&list->first, __ATOMIC_RELAXED);
}

static const char *validate(void *self)
{
	struct list *list = self;

	for (struct cleave_interval *at = list->first; at; at = next_of(at)) {
		if (at->start > at->last)
			return "list: an entry starts behind its last";
	}
	return NULL;
}

static size_t memory(const void *self)
{
	(void)self;
	return sizeof(struct list);
}

const struct cleave_structure list_unlocked = {
	.name = "list_unlocked",
	.summary = "list with walks beside updates, for tests",
	.source = "none",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = CLEAVE_WALKS_UNLOCKED | CLEAVE_DEFERS | CLEAVE_UNRANKED,
	.keeps = CLEAVE_KEEPS_ALL & ~(CLEAVE_C3_COVERAGE | CLEAVE_C6_LONG_HOLDS),
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = UINT64_MAX,
	.bounds = bounds,
	.create = create,
	.destroy = destroy,
	.insert = insert,
	.remove = remove_entry,
	.change = change,
	.walk = walk,
	.empty = empty,
	.validate = validate,
	.memory = memory,
};
