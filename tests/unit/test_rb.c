// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What rb_interval and rb_vma have of their own and the contract suite does not reach: the layouts,
 * where insert_after puts a child, changes in place, the height. Every test runs over both.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "rb_bench.h"

Test(rb, layout)
{
	cr_assert_eq(sizeof(struct cleave_interval), 64);
	cr_assert_eq(offsetof(struct cleave_interval, word), 24);

	/* Linux 6.18: bounds in line 0, page offset in line 1, tree node in line 2. */
	cr_assert_eq(sizeof(struct cleave_vma), 192);
	cr_assert_eq(offsetof(struct cleave_vma, address), 8);
	cr_assert_eq(offsetof(struct cleave_vma, address_limit), 16);
	cr_assert_eq(offsetof(struct cleave_vma, page_offset), 80);
	cr_assert_eq(offsetof(struct cleave_vma, word), 128);

	for (size_t i = 0; i < SHAPES; i++) {
		const struct cleave_structure *s = shapes[i].structure;

		cr_assert_eq(s->entry_size_bytes, i ? 192 : 64);
		cr_assert_eq(s->entry_align_bytes, 64);
		cr_assert_eq(s->memory(NULL), 64);
	}
}

/* The address is the caller's: bounds hold whatever it is, up to the longest interval. */
Test(rb, vma_bounds_keep_the_address)
{
	const uint64_t addresses[] = { 0, 4096, 0x7f1234567000, UINT64_MAX - 4095 };

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		struct bench b = set_up(&shapes[1], 3);
		uint64_t start, last;

		for (size_t entry = 0; entry < 3; entry++)
			((struct cleave_vma *)at(&b, entry))->address = addresses[i];
		insert(&b, 0, 0, b.s->last_max);
		b.s->bounds(at(&b, 0), &start, &last);
		cr_assert(start == 0 && last == b.s->last_max, "address %lx", addresses[i]);
		insert(&b, 1, b.s->last_max, b.s->last_max);
		insert(&b, 2, 5, 9);
		change(&b, 2, 6, 6);
		b.s->bounds(at(&b, 2), &start, &last);
		cr_assert(start == 6 && last == 6, "address %lx", addresses[i]);
		cr_assert_eq(((struct cleave_vma *)at(&b, 2))->address, addresses[i]);
		assert_order(&b, (size_t[]) { 0, 2, 1 }, 3);
		tear_down(&b);
	}
}

Test(rb, equal_starts_in_order_of_insertion)
{
	for (size_t i = 0; i < SHAPES; i++) {
		enum { COUNT = 1000 };
		struct bench b = set_up(&shapes[i], COUNT);
		size_t expected[COUNT];

		for (size_t n = 0; n < COUNT; n++) {
			expected[n] = n;
			insert(&b, n, 40, 40 + n * 7919 % COUNT);
		}
		assert_order(&b, expected, COUNT);
		tear_down(&b);
	}
}

/* Directly behind the parent, not behind the other ties: whether or not it has a right child. */
Test(rb, insert_after_is_directly_behind)
{
	for (size_t i = 0; i < SHAPES; i++) {
		enum { COUNT = 64 };
		struct bench b = set_up(&shapes[i], 3 * COUNT);
		size_t expected[3 * COUNT];

		for (size_t n = 0; n < COUNT; n++)
			insert(&b, n, 40, 50);
		for (size_t n = 0; n < COUNT; n++) {
			/* The first child reaches less far than its parent, the second further. */
			insert_after(&b, n, COUNT + n, 40, 45);
			assert_sound(&b);
			insert_after(&b, n, 2 * COUNT + n, 40, 60 + n);
			assert_sound(&b);
			expected[3 * n] = n;
			expected[3 * n + 1] = 2 * COUNT + n;
			expected[3 * n + 2] = COUNT + n;
		}
		assert_order(&b, expected, 3 * COUNT);
		tear_down(&b);
	}
}

Test(rb, change_in_place_keeps_the_place)
{
	for (size_t i = 0; i < SHAPES; i++) {
		struct bench b = set_up(&shapes[i], 32);
		size_t expected[32];

		for (size_t n = 0; n < 32; n++) {
			insert(&b, n, 8, 100);
			expected[n] = n;
		}
		for (size_t n = 0; n < 32; n++) {
			struct clv_rb_node before = *node_at(&b, n);

			change(&b, n, 8, n % 2 ? 20 : 500 + n);
			assert_order(&b, expected, 32);
			cr_assert_eq(before.parent_colour, node_at(&b, n)->parent_colour);
			cr_assert_eq(before.child[0], node_at(&b, n)->child[0]);
			cr_assert_eq(before.child[1], node_at(&b, n)->child[1]);
		}

		struct seen seen;

		cr_assert_eq(walk(&b, 501, 1000, 0, &seen), 0);
		cr_assert_eq(seen.count, 15, "%s: %zu", b.s->name, seen.count);
		/* With a new start its place is a new insertion's: behind the others. */
		change(&b, 3, 9, 9);
		change(&b, 3, 8, 8);
		memmove(&expected[3], &expected[4], 28 * sizeof(expected[0]));
		expected[31] = 3;
		assert_order(&b, expected, 32);
		tear_down(&b);
	}
}

/*
 * C8: an only entry is seen by who asks without a lock, also while its start changes. So the root
 * may not be written: here it lies on a page that cannot be.
 */
Test(rb, change_of_the_only_entry_writes_no_root)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < SHAPES; i++) {
		struct bench b = set_up(&shapes[i], 1);
		void *own = b.self;
		void *page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		cr_assert_neq(page, MAP_FAILED);
		insert(&b, 0, 1, 2);
		memcpy(page, own, sizeof(struct clv_rb_tree));
		cr_assert_eq(mprotect(page, page_bytes, PROT_READ), 0);
		b.self = page;
		change(&b, 0, 5, 9);
		change(&b, 0, 0, 3);
		assert_order(&b, (size_t[]) { 0 }, 1);
		b.self = own;
		remove_at(&b, 0);
		cr_assert(b.s->empty(own));
		tear_down(&b);
		munmap(page, page_bytes);
	}
}

static unsigned height(const struct clv_rb_node *node)
{
	if (!node)
		return 0;

	unsigned left = height(node->child[0]);
	unsigned right = height(node->child[1]);

	return 1 + (left > right ? left : right);
}

/* At most 2 log2(n + 1) levels, however they come. */
Test(rb, height_is_bounded)
{
	for (size_t i = 0; i < SHAPES; i++) {
		for (int how = 0; how < 3; how++) {
			enum { COUNT = 4095 };
			struct bench b = set_up(&shapes[i], COUNT);

			for (size_t n = 0; n < COUNT; n++) {
				uint64_t start = how == 0 ? n : how == 1 ? COUNT - n : 17;

				insert(&b, n, start, start + n % 13);
			}
			assert_sound(&b);
			cr_assert_leq(height(((struct clv_rb_tree *)b.self)->root), 24u);
			for (size_t n = 0; n < COUNT; n++)
				if (n % 16)
					remove_at(&b, n);
			assert_sound(&b);
			cr_assert_leq(height(((struct clv_rb_tree *)b.self)->root), 16u);
			tear_down(&b);
		}
	}
}

/* ---- against a list in order ---- */

struct listed {
	size_t index;
	uint64_t start, last;
};

struct list {
	size_t count;
	struct listed at[SEEN_MAX];
};

static size_t place_behind(const struct list *list, uint64_t start)
{
	size_t place = 0;

	while (place < list->count && list->at[place].start <= start)
		place++;
	return place;
}

static size_t place_of(const struct list *list, size_t index)
{
	size_t place = 0;

	while (list->at[place].index != index)
		place++;
	return place;
}

static void list_insert(struct list *list, size_t place, struct listed listed)
{
	memmove(&list->at[place + 1], &list->at[place], (list->count - place) * sizeof(listed));
	list->at[place] = listed;
	list->count++;
}

static void list_remove(struct list *list, size_t place)
{
	list->count--;
	memmove(&list->at[place], &list->at[place + 1],
		(list->count - place) * sizeof(list->at[0]));
}

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

static void compare_walk(const struct bench *b, const struct list *list, uint64_t start,
			 uint64_t last, size_t stop_at)
{
	struct seen seen;
	int result = walk(b, start, last, stop_at, &seen);
	size_t count = 0;

	for (size_t i = 0; i < list->count && (!stop_at || count < stop_at); i++) {
		if (list->at[i].start > last || list->at[i].last < start)
			continue;
		cr_assert_lt(count, seen.count, "%s: one is missing", b->s->name);
		cr_assert_eq(seen.index[count], list->at[i].index, "%s: place %zu", b->s->name,
			     count);
		count++;
	}
	cr_assert_eq(seen.count, count, "%s: one too many", b->s->name);
	cr_assert_eq(result, stop_at && count == stop_at ? 7 : 0);
}

/* Random operations; `spread` sets how many starts there are, so how many ties. */
static void run_random(const struct shape *shape, uint64_t spread, uint64_t seed)
{
	enum { COUNT = 200, STEPS = 4000 };
	struct bench b = set_up(shape, COUNT);
	struct list list = { 0 };
	bool in[COUNT] = { false };

	for (int step = 0; step < STEPS; step++) {
		size_t i = next_random(&seed) % COUNT;
		uint64_t start = next_random(&seed) % spread;
		uint64_t last = start + next_random(&seed) % (spread / 4 + 2);
		uint64_t what = next_random(&seed) % 4;

		if (!in[i] && what < 2 && list.count) {
			size_t place = next_random(&seed) % list.count;
			struct listed parent = list.at[place];

			last = parent.start + next_random(&seed) % (spread / 4 + 2);
			insert_after(&b, parent.index, i, parent.start, last);
			list_insert(&list, place + 1, (struct listed) { i, parent.start, last });
			in[i] = true;
		} else if (!in[i]) {
			insert(&b, i, start, last);
			list_insert(&list, place_behind(&list, start),
				    (struct listed) { i, start, last });
			in[i] = true;
		} else if (what < 2) {
			remove_at(&b, i);
			list_remove(&list, place_of(&list, i));
			in[i] = false;
		} else {
			size_t place = place_of(&list, i);

			if (what == 2) {
				start = list.at[place].start;
				last = start + next_random(&seed) % (spread / 4 + 2);
			}
			change(&b, i, start, last);
			if (start != list.at[place].start) {
				list_remove(&list, place);
				place = place_behind(&list, start);
				list_insert(&list, place, (struct listed) { i, start, last });
			}
			list.at[place].last = last;
		}
		assert_sound(&b);
		cr_assert_eq(b.s->empty(b.self), list.count == 0);
		if (step % 8 == 0) {
			compare_walk(&b, &list, 0, b.s->last_max, 0);
			compare_walk(&b, &list, start, start, 0);
			compare_walk(&b, &list, start, last, next_random(&seed) % 5);
		}
	}
	tear_down(&b);
}

Test(rb, random_operations_against_a_list)
{
	for (size_t i = 0; i < SHAPES; i++) {
		run_random(&shapes[i], 3, 1);
		run_random(&shapes[i], 40, 2);
		run_random(&shapes[i], 1 << 20, 3);
	}
}
