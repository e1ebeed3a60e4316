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

void clv_compute_begin(struct clv_compute *state, uint64_t seed)
{
	state->random = seed | 1;
	state->result = 0;
	state->bits = 8;
	for (unsigned i = 0; i < CLV_COMPUTE_SORTED; i++)
		state->sorted[i] = (uint32_t)draw(&state->random);
	for (unsigned i = 0; i < CLV_COMPUTE_TEXT; i++)
		state->text[i] = (uint8_t)draw(&state->random);
	/* 211 has no factor in common with the length: one ring, and no neighbours in it. */
	for (unsigned i = 0; i < CLV_COMPUTE_LIST; i++) {
		state->list[i].next = &state->list[(i + 211) % CLV_COMPUTE_LIST];
		state->list[i].value = draw(&state->random) >> 32;
	}
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

/* ---- CRC-32, bit by bit: a block a bit, an access a byte, all foreseen ---- */

/* Result: the CRC (IEEE 802.3, as of zlib's crc32) of the text. */
static void run_crc(struct clv_compute *state, unsigned rounds)
{
	const unsigned bits = state->bits;
	while (rounds--) {
		uint32_t crc = ~0u;
		for (unsigned i = 0; i < CLV_COMPUTE_TEXT; i++) {
			crc ^= state->text[i];
			for (unsigned bit = 0; bit < bits; bit++)
				crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
		}
		state->result = ~crc;
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

const struct clv_compute_kernel clv_compute_kernel[CLV_COMPUTE_KERNELS] = {
	{ "sort", "heapsort of 64 numbers", run_sort },
	{ "crc", "CRC-32 of 256 bytes, bit by bit", run_crc },
	{ "list", "walk of a list of 512", run_list },
};

const struct clv_compute_table clv_compute_native = { clv_compute_begin, clv_compute_kernel };
