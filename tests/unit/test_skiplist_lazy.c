// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * skiplist_lazy's validate finds each kind of damage, and gives each its own reason; an entry that
 * moves leaves nothing behind.
 */
#include "skiplist_bench.h"
#include "structures/skiplist_index.h"

static struct node *node(const struct bench *b, unsigned i)
{
	return node_of(&b->entries[i].entry);
}

static struct list *list(const struct bench *b)
{
	return b->map->object[0];
}

Test(skiplist_lazy, validate_finds_low_bounds)
{
	struct bench b = set_up("skiplist_lazy/free");
	unsigned bounds = 0;

	for (struct tower *at = top_of(list(&b)); at; at = at->link[0].next) {
		for (unsigned i = 0; i < at->height && i < list(&b)->levels; i++) {
			uint64_t max = at->link[i].max;

			at->link[i].max = max + 1;
			cr_assert_null(fault(&b), "a bound may be too high");
			at->link[i].max = max - 1;
			if (max)
				assert_fault(&b, "a bound is less than a last");
			at->link[i].max = max;
			bounds++;
		}
	}
	cr_assert_gt(bounds, 200u);
	tear_down(&b);
}

Test(skiplist_lazy, validate_finds_wrong_nodes)
{
	struct bench b = set_up("skiplist_lazy/free");

	for (unsigned i = 1; i < ENTRIES; i += 7) {
		struct node *at = node(&b, i), was = *at;

		at->prev = at;
		assert_fault(&b, "link back leads elsewhere");
		*at = was;
		at->state |= LOCKED;
		assert_fault(&b, "locked, or marked");
		*at = was;
		at->state |= DEAD;
		assert_fault(&b, "locked, or marked");
		*at = was;
		at->last = at->start - 1;
		assert_fault(&b, "starts behind its last");
		*at = was;
		at->start -= STEP + 1;
		assert_fault(&b, "does not come behind");
		*at = was;
		at->state = (uintptr_t)node(&b, i - 1);
		assert_fault(&b, "has moved, and is still there");
		*at = was;
	}
	tear_down(&b);
}

Test(skiplist_lazy, validate_finds_wrong_towers)
{
	struct bench b = set_up("skiplist_lazy/free");

	for (struct tower *at = top_of(list(&b))->link[0].next; at; at = at->link[0].next) {
		struct link was = at->link[at->height - 1];

		at->label++;
		assert_fault(&b, "a tower is another entry's");
		at->label--;
		if (was.next) {
			at->link[at->height - 1].version++;
			assert_fault(&b, "a link is locked");
			at->link[at->height - 1].version--;
		}
		at->linked--;
		assert_fault(&b, "half linked");
		at->linked++;
		if (was.next) {
			at->link[at->height - 1].next = was.next->link[at->height - 1].next;
			cr_assert_not_null(fault(&b));
			at->link[at->height - 1] = was;
		}
	}
	tear_down(&b);
}

/* Bounds, order, emptiness; and, with the address sanitizer, what stands in and is not freed. */
Test(skiplist_lazy, moves)
{
	struct bench b = set_up("skiplist_lazy/free");

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < ENTRIES; i++) {
			uint64_t start, last, wanted = (i + round) * 7919 % 20000;
			struct cleave_entry *entry = &b.entries[i].entry;

			cr_assert_eq(cleave_change(b.map, b.thread, entry, wanted, wanted + 5), 0);
			cleave_bounds(b.map, entry, &start, &last);
			cr_assert(start == wanted && last == wanted + 5);
			cr_assert_eq(entry->subset, 0u);
		}
		cr_assert_null(fault(&b));
	}
	for (unsigned i = 0; i < ENTRIES; i += 2)
		cr_assert_eq(cleave_remove(b.map, b.thread, &b.entries[i].entry), 0);
	cleave_synchronize(b.map, b.thread);
	for (unsigned i = 0; i < ENTRIES; i += 2)
		cr_assert_eq(cleave_insert(b.map, b.thread, &b.entries[i].entry, i, i), 0);
	cr_assert(!cleave_empty(b.map));
	/* Stand-ins that are in go with the map. */
	tear_down(&b);
}
