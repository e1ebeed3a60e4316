// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "compute.h"

/* xorshift64; pre: the state is not 0. */
static uint64_t draw(uint64_t *random)
{
	uint64_t x = *random;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *random = x;
}

/* ---- heapsort: branches that depend on data, and about as many accesses ---- */

static void sift(uint32_t *heap, unsigned root, unsigned count)
{
	uint32_t moved = heap[root];
	for (;;) {
		unsigned child = 2 * root + 1;
		if (child >= count)
			break;
		if (child + 1 < count && heap[child + 1] > heap[child])
			child++;
		if (heap[child] <= moved)
			break;
		heap[root] = heap[child];
		root = child;
	}
	heap[root] = moved;
}

/* Each round sorts new content. Result: the median. */
static void run_sort(struct clv_compute *state, unsigned rounds)
{
	uint32_t *heap = state->sorted;
	while (rounds--) {
		for (unsigned i = 0; i < CLV_COMPUTE_SORTED; i++)
			heap[i] = (uint32_t)draw(&state->random);
		for (unsigned i = CLV_COMPUTE_SORTED / 2; i--;)
			sift(heap, i, CLV_COMPUTE_SORTED);
		for (unsigned count = CLV_COMPUTE_SORTED - 1; count; count--) {
			uint32_t largest = heap[0];
			heap[0] = heap[count];
			heap[count] = largest;
			sift(heap, 0, count);
		}
		state->result = heap[CLV_COMPUTE_SORTED / 2];
	}
}

/* ---- records: a call through a pointer each, as a vtable's, for a little work on its fields ---- */

static void keep(struct clv_compute *state, struct clv_compute_record *record)
{
	state->done.kept++;
	state->done.sum += record->last - record->first;
}

static void move(struct clv_compute *state, struct clv_compute_record *record)
{
	record->first += record->number;
	record->last += record->number;
	state->done.moved++;
}

static void tell(struct clv_compute *state, struct clv_compute_record *record)
{
	struct clv_compute_record *other = record->other;
	if (other->first > other->last)
		return;
	other->number++;
	state->done.sum += other->number;
}

/* Result: the sum kept. */
static void run_records(struct clv_compute *state, unsigned rounds)
{
	while (rounds--) {
		for (unsigned i = 0; i < CLV_COMPUTE_RECORDS; i++) {
			state->done.count++;
			state->record[i].act(state, &state->record[i]);
		}
		state->result = state->done.sum;
	}
}

/* ---- a table: keys go in, are found and go out again, the same ones every round ---- */

static uint64_t *find_place(uint64_t *table, uint64_t key)
{
	uint64_t place = key * 0x9e3779b97f4a7c15u >> 57;
	while (table[place] && table[place] != key)
		place = (place + 1) % CLV_COMPUTE_TABLE;
	return &table[place];
}

/* Result: how many were found. */
static void run_table(struct clv_compute *state, unsigned rounds)
{
	_Static_assert(CLV_COMPUTE_TABLE == 1 << 7, "the hash has as many bits");
	while (rounds--) {
		uint64_t found = 0;
		for (uint64_t key = 1; key <= CLV_COMPUTE_TABLE / 2; key++)
			*find_place(state->table, key) = key;
		for (uint64_t key = 1; key <= CLV_COMPUTE_TABLE; key++)
			found += *find_place(state->table, key) == key;
		for (uint64_t i = 0; i < CLV_COMPUTE_TABLE; i++) {
			if (state->table[i]) /* else it would become a call of memset */
				state->table[i] = 0;
		}
		state->result = found;
	}
}

/* ---- a list: two accesses a block ---- */

/* Result: the sum of all values. */
static void run_list(struct clv_compute *state, unsigned rounds)
{
	while (rounds--) {
		const struct clv_compute_link *link = state->list;
		uint64_t sum = 0;
		do {
			sum += link->value;
			link = link->next;
		} while (link != state->list);
		state->result = sum;
	}
}

void clv_compute_begin(struct clv_compute *state, uint64_t seed)
{
	static void (*const act[])(struct clv_compute *, struct clv_compute_record *) = { keep, move,
											  tell };
	state->random = seed | 1;
	state->result = 0;
	for (unsigned i = 0; i < CLV_COMPUTE_SORTED; i++)
		state->sorted[i] = (uint32_t)draw(&state->random);
	for (unsigned i = 0; i < CLV_COMPUTE_TABLE; i++)
		state->table[i] = 0;
	for (unsigned i = 0; i < CLV_COMPUTE_RECORDS; i++)
		state->record[i] = (struct clv_compute_record){
			.act = act[i % 8 % 3], .number = i, .first = i, .last = 2 * i,
			.other = &state->record[(i + 31) % CLV_COMPUTE_RECORDS],
		};
	state->done = (struct clv_compute_done){ 0, 0, 0, 0 };
	/* 211 has no factor in common with the length: one ring, and no neighbours in it. */
	for (unsigned i = 0; i < CLV_COMPUTE_LIST; i++) {
		state->list[i].next = &state->list[(i + 211) % CLV_COMPUTE_LIST];
		state->list[i].value = draw(&state->random) >> 32;
	}
}

const struct clv_compute_kernel clv_compute_kernel[CLV_COMPUTE_KERNELS] = {
	{ "sort", "heapsort of 64 numbers", run_sort, false },
	{ "records", "counting over 64 records", run_records, true },
	{ "table", "hash table, 64 in, 128 sought", run_table, true },
	{ "list", "walk of a list of 512", run_list, true },
};

const struct clv_compute_table clv_compute_native = { clv_compute_begin, clv_compute_kernel };
