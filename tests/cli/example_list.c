// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A doubly linked list in the order of a walk: by start, ties by insertion. It is what
 * add_a_structure.sh adds to a copy of the source, and uses word[0] and word[1] of an entry:
 *
 *   list.first -> entry -> entry -> ... -> entry <- list.last    next: word[0]; previous: word[1]
 *
 * Invariants: start does not descend; each next's previous is the entry; count entries.
 * Readers and writers: a writer is alone, walkers share, and `count` is also read without a lock.
 * Cost: O(n), but for removal and `empty`. Updates take no memory.
 */
#include <errno.h>

#include <cleave/structure.h>

struct list {
	struct cleave_interval *first, *last;
	size_t count;
};

static struct cleave_interval *interval_of(const struct cleave_entry *entry)
{
	return cleave_container_of(entry, struct cleave_interval, entry);
}

static struct cleave_interval *next_of(const struct cleave_interval *interval)
{
	return (struct cleave_interval *)interval->word[0];
}

static struct cleave_interval *previous_of(const struct cleave_interval *interval)
{
	return (struct cleave_interval *)interval->word[1];
}

/* NULL stands for the list's own end. */
static void join(struct list *list, struct cleave_interval *left, struct cleave_interval *right)
{
	if (left)
		left->word[0] = (uintptr_t)right;
	else
		list->first = right;
	if (right)
		right->word[1] = (uintptr_t)left;
	else
		list->last = left;
}

static void put(struct list *list, struct cleave_interval *interval)
{
	struct cleave_interval *before = list->last, *after = NULL;
	while (before && before->start > interval->start) {
		after = before;
		before = previous_of(before);
	}
	join(list, before, interval);
	join(list, interval, after);
}

static void take(struct list *list, struct cleave_interval *interval)
{
	join(list, previous_of(interval), next_of(interval));
}

static void bounds(const struct cleave_entry *entry, uint64_t *start, uint64_t *last)
{
	*start = interval_of(entry)->start;
	*last = interval_of(entry)->last;
}

static int create(void **self, const struct cleave_structure_config *config)
{
	*self = cleave_alloc(sizeof(struct list), _Alignof(struct list), config->node);
	return *self ? 0 : -ENOMEM;
}

static void destroy(void *self)
{
	cleave_free(self, sizeof(struct list));
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct list *list = self;
	(void)update;
	(void)source; /* ties go behind those that are there */
	interval_of(entry)->start = start;
	interval_of(entry)->last = last;
	put(list, interval_of(entry));
	__atomic_store_n(&list->count, list->count + 1, __ATOMIC_RELAXED);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	struct list *list = self;
	(void)update;
	take(list, interval_of(entry));
	__atomic_store_n(&list->count, list->count - 1, __ATOMIC_RELAXED);
}

static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	struct cleave_interval *interval = interval_of(entry);
	bool moves = interval->start != start;
	(void)update;
	if (moves)
		take(self, interval);
	interval->start = start;
	interval->last = last;
	if (moves)
		put(self, interval);
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	const struct list *list = self;
	struct cleave_interval *interval = list->first;
	(void)thread;
	(void)subset;
	for (; interval && interval->start <= last; interval = next_of(interval)) {
		int code = interval->last >= start ? visit(&interval->entry, arg) : 0;
		if (code)
			return code;
	}
	return 0;
}

static bool empty(const void *self)
{
	const struct list *list = self;
	return !__atomic_load_n(&list->count, __ATOMIC_RELAXED);
}

static const char *validate(void *self)
{
	const struct list *list = self;
	const struct cleave_interval *before = NULL, *interval = list->first;
	size_t count = 0;
	for (; interval; before = interval, interval = next_of(interval)) {
		if (previous_of(interval) != before)
			return "an entry's previous is not the one before it";
		if (interval->start > interval->last)
			return "an entry ends before it starts";
		if (before && before->start > interval->start)
			return "an entry starts before the one in front of it";
		if (++count > list->count)
			return "there are more entries than counted";
	}
	if (list->last != before)
		return "the last entry is not the list's last";
	return count == list->count ? NULL : "there are fewer entries than counted";
}

static size_t memory(const void *self)
{
	(void)self;
	return sizeof(struct list);
}

const struct cleave_structure cleave_example_list = {
	.name = "example_list",
	.summary = "sorted doubly linked list: an example",
	.source = "any textbook",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = CLEAVE_ORDERED,
	.keeps = CLEAVE_KEEPS_ALL,
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
