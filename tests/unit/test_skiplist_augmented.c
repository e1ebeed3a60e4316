// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * skiplist_augmented's validate finds each kind of damage, and gives each its own reason; heights
 * are what they are drawn to be; towers are used again.
 */
#include "skiplist_bench.h"
#include "structures/skiplist_towers.h"

static struct node *node(const struct bench *b, unsigned i)
{
	return node_of(&b->entries[i].entry);
}

static const char max_is_wrong[] = "a max is not the largest last";

Test(skiplist_augmented, validate_finds_wrong_maxima)
{
	struct bench b = set_up("skiplist_augmented/one:none");

	for (unsigned i = 0; i < ENTRIES; i++) {
		for (int by = -1; by <= 1; by += 2) {
			if (class_of(node(&b, i)) == ONE)
				continue;
			low_of(node(&b, i))->max += (uint64_t)(int64_t)by;
			assert_fault(&b, max_is_wrong);
			low_of(node(&b, i))->max -= (uint64_t)(int64_t)by;
			if (class_of(node(&b, i)) != TALL)
				continue;
			struct tower *tower = node(&b, i)->tower;

			tower->high[highs_of(tower) - 1].max += (uint64_t)(int64_t)by;
			assert_fault(&b, max_is_wrong);
			tower->high[highs_of(tower) - 1].max -= (uint64_t)(int64_t)by;
		}
	}
	tear_down(&b);
}

Test(skiplist_augmented, validate_finds_wrong_entries)
{
	struct bench b = set_up("skiplist_augmented/one:none");

	for (unsigned i = 1; i < ENTRIES; i += 7) {
		struct cleave_interval *interval = &b.entries[i], was = *interval;
		struct node *at = node(&b, i);

		set_prev(at, at);
		assert_fault(&b, "link back leads elsewhere");
		*interval = was;
		at->prev_class |= 3;
		assert_fault(&b, "a class that does not exist");
		*interval = was;
		interval->last = interval->start - 1;
		assert_fault(&b, "starts behind its last");
		*interval = was;
		/* STEP below is its neighbour's: a tie. */
		interval->start -= STEP + 1;
		assert_fault(&b, "starts before the one in front");
		*interval = was;
	}
	tear_down(&b);
}

Test(skiplist_augmented, validate_finds_wrong_levels)
{
	struct bench b = set_up("skiplist_augmented/one:none");
	unsigned towers = 0;

	for (unsigned i = 0; i < ENTRIES; i++) {
		struct node *at = node(&b, i);

		if (class_of(at) == ONE)
			continue;
		struct low *low = low_of(at), was = *low;

		if (low->next) {
			low->next = low_of(low->next)->next;
			assert_fault(&b, "level 1");
			*low = was;
		}
		if (class_of(at) != TALL)
			continue;
		struct high *high = &at->tower->high[0], high_was = *high;

		towers++;
		if (!high->next)
			continue;
		high->start++;
		assert_fault(&b, "its target starts elsewhere");
		*high = high_was;
		high->next = high->next->high[0].next;
		assert_fault(&b, "a level misses a tower");
		*high = high_was;
		at->tower->interval_height += 64;
		assert_fault(&b, "a tower is another entry's");
		at->tower->interval_height -= 64;
	}
	/* 125 are expected; the seed is the thread's, and the same each time. */
	cr_assert(towers > 90 && towers < 160, "%u towers", towers);
	tear_down(&b);
}

/* With all but a few removed and inserted again, memory does not grow. */
Test(skiplist_augmented, towers_are_used_again)
{
	struct bench b = set_up("skiplist_augmented/one:none");
	size_t bytes = 0;

	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < ENTRIES; i++) {
			uint64_t start = b.entries[i].start, last = b.entries[i].last;

			cleave_remove(b.map, b.thread, &b.entries[i].entry);
			cleave_insert(b.map, b.thread, &b.entries[i].entry, start, last);
		}
		if (round == 9)
			bytes = cleave_memory(b.map);
	}
	cr_assert_leq(cleave_memory(b.map), bytes + bytes / 4);
	tear_down(&b);
}
