// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "../../lib/atomic/ck_layer.h"

#include <ck_pflock.h>
#include <ck_rwlock.h>
#include <ck_spinlock.h>

#include <stdbool.h>
#include <string.h>

#include "known.h"

#define FORGET() __asm__ __volatile__("" ::: "memory")

struct room {
	uint8_t u8[64];
	uint16_t u16[64];
	uint32_t u32[64];
	uint64_t u64[64];
	__extension__ unsigned __int128 u128[8];
};

/* ---- plain ---- */

static void loads_of_each_width(void *at)
{
	struct room *room = at;
	uint64_t sum = room->u8[0];
	sum += room->u16[0];
	sum += room->u32[0];
	sum += room->u64[0];
	/* Used, so that none is left out, in no memory that is charged. */
	__asm__ __volatile__("" : : "r"(sum));
}

static void stores_of_each_width(void *at)
{
	struct room *room = at;
	room->u8[1] = 1;
	FORGET();
	room->u16[1] = 1;
	FORGET();
	room->u32[1] = 1;
	FORGET();
	room->u64[1] = 1;
	FORGET();
	room->u128[1] = 1;
}

static void loop(void *at)
{
	struct room *room = at;
	for (unsigned i = 0; i < 64; i++)
		room->u64[i] += i;
}

static void volatiles(void *at)
{
	volatile uint32_t *word = ((struct room *)at)->u32;
	word[0] = 1;
	word[0] = 2;
	(void)word[0];
	(void)word[0];
	(void)word[0];
}

static uint64_t in_bss[8];
static uint64_t in_data[8] = { 1, 2, 3 };

static void own_variables(void *at)
{
	(void)at;
	in_bss[1] = in_data[1];
	FORGET();
	in_data[2] = in_bss[2];
}

/* gcc calls for the write alone; that it reads the byte of both fields is seen in no call. */
static void bit_field(void *at)
{
	struct fields {
		unsigned first : 3, second : 5;
	} *fields = at;
	fields->second = 9;
}

/* Its parts may lie in two lines: a range. */
static void packed(void *at)
{
	struct __attribute__((packed)) odd {
		char first;
		uint64_t word;
		uint32_t half;
	} *odd = at;
	odd->word = 1;
	FORGET();
	odd->half += 1;
}

/* A pointer chase of four on memory that is zeroed, each link made first. */
static void list(void *at)
{
	void **link = at;
	for (unsigned i = 0; i < 4; i++)
		link[8 * i] = link + 8 * (i + 1);
	FORGET();
	for (void **next = link; next; next = *next)
		FORGET();
}

/* ---- in one piece ---- */

#define PIECE(bytes) \
	struct piece_##bytes { \
		char byte[bytes]; \
	}; \
	static void copy_struct_##bytes(void *at) \
	{ \
		struct piece_##bytes *piece = at; \
		piece[1] = piece[0]; \
	} \
	static void zero_struct_##bytes(void *at) \
	{ \
		struct piece_##bytes *piece = at; \
		piece[1] = (struct piece_##bytes){ { 0 } }; \
	}
PIECE(24)
PIECE(200)
PIECE(5000)
PIECE(20000)

static volatile size_t some_bytes = 100;

static void copy_memory(void *at)
{
	char *to = (char *)at + KNOWN_ROOM / 2;
	size_t bytes = some_bytes; /* a load */
	memcpy(to, at, 8);
	memcpy(to, at, 300);
	memcpy(to, at, 20000);
	memcpy(to, at, bytes);
	memcpy(to, at, 0);
}

static void move_memory(void *at)
{
	char *to = (char *)at + 8;
	size_t bytes = some_bytes;
	memmove(to, at, 8);
	memmove(to, at, 300);
	memmove(to, at, bytes);
}

static void set_memory(void *at)
{
	size_t bytes = some_bytes;
	memset(at, 1, 8);
	memset(at, 2, 300);
	memset(at, 0, bytes);
}

static void compare_memory(void *at)
{
	char *to = (char *)at + 1024;
	size_t bytes = some_bytes;
	int different = memcmp(to, at, 8);
	different |= memcmp(to, at, 300);
	different |= memcmp(to, at, bytes);
	__asm__ __volatile__("" : : "r"(different));
}

/* A loop that could be a memset, and one that could be a memcpy, stay loops. */
static void loops_that_set_and_copy(void *at)
{
	struct room *room = at;
	for (unsigned i = 0; i < 64; i++)
		room->u8[i] = 0;
	for (unsigned i = 0; i < 64; i++)
		room->u64[i] = room->u32[i];
}

/* ---- atomics ---- */

#define ATOMICS(name, member, T) \
	static void atomic_##name(void *at) \
	{ \
		T *word = ((struct room *)at)->member; \
		(void)__atomic_load_n(word, __ATOMIC_RELAXED); \
		(void)__atomic_load_n(word, __ATOMIC_ACQUIRE); \
		__atomic_store_n(word, 1, __ATOMIC_RELEASE); \
		__atomic_store_n(word, 1, __ATOMIC_SEQ_CST); \
		(void)__atomic_exchange_n(word, 3, __ATOMIC_ACQ_REL); \
		(void)__sync_val_compare_and_swap(word, 3, 4); \
		(void)__sync_bool_compare_and_swap(word, 3, 4); \
	} \
	static void arithmetic_##name(void *at) \
	{ \
		T *word = ((struct room *)at)->member; \
		(void)__atomic_fetch_add(word, 1, __ATOMIC_RELAXED); \
		(void)__atomic_fetch_sub(word, 1, __ATOMIC_ACQUIRE); \
		(void)__atomic_fetch_and(word, 1, __ATOMIC_RELEASE); \
		(void)__atomic_fetch_or(word, 1, __ATOMIC_ACQ_REL); \
		(void)__atomic_fetch_xor(word, 1, __ATOMIC_SEQ_CST); \
		(void)__atomic_fetch_nand(word, 1, __ATOMIC_SEQ_CST); \
	}
ATOMICS(8, u8, uint8_t)
ATOMICS(16, u16, uint16_t)
ATOMICS(32, u32, uint32_t)
ATOMICS(64, u64, uint64_t)

/* What is expected is given by address to the call itself, which is charged for the word alone. */
static void compare_exchange(void *at)
{
	struct room *room = at;
	uint64_t *expected = &room->u64[8];
	(void)__atomic_compare_exchange_n(&room->u64[0], expected, 1, false, __ATOMIC_SEQ_CST,
					  __ATOMIC_RELAXED);
	(void)__atomic_compare_exchange_n(&room->u64[0], expected, 2, true, __ATOMIC_SEQ_CST,
					  __ATOMIC_RELAXED);
}

static void atomic_128(void *at)
{
	struct room *room = at;
	(void)__sync_val_compare_and_swap(&room->u128[0], 0, 1);
	(void)__sync_bool_compare_and_swap(&room->u128[0], 1, 2);
}

static void fences(void *at)
{
	(void)at;
	__sync_synchronize();
	ck_pr_fence_memory();
	ck_pr_fence_atomic(); /* nor here, on x86-64 */
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* no instruction */
}

/* ---- Concurrency Kit's, with nobody else ---- */

static void ck_ticket(void *at)
{
	ck_spinlock_ticket_lock(at);
	ck_spinlock_ticket_unlock(at);
}

static void ck_mcs(void *at)
{
	ck_spinlock_mcs_t *queue = at;
	ck_spinlock_mcs_context_t *node = (void *)((char *)at + 64);
	ck_spinlock_mcs_lock(queue, node);
	ck_spinlock_mcs_unlock(queue, node);
}

static void ck_clh(void *at)
{
	ck_spinlock_clh_t **queue = at;
	ck_spinlock_clh_t *node = (void *)((char *)at + 64);
	ck_spinlock_clh_t **mine = (void *)((char *)at + 128);
	ck_spinlock_clh_init(queue, node);
	*mine = node + 1;
	FORGET();
	ck_spinlock_clh_lock(queue, *mine);
	FORGET();
	ck_spinlock_clh_unlock(mine);
}

static void ck_fas(void *at)
{
	ck_spinlock_fas_lock(at);
	ck_spinlock_fas_unlock(at);
}

static void ck_rwlock(void *at)
{
	ck_rwlock_write_lock(at);
	ck_rwlock_write_unlock(at);
	ck_rwlock_read_lock(at);
	ck_rwlock_read_unlock(at);
}

static void ck_pflock(void *at)
{
	ck_pflock_write_lock(at);
	ck_pflock_write_unlock(at);
	ck_pflock_read_lock(at);
	ck_pflock_read_unlock(at);
}

/* name, loads, stores, atomics, fences, ranges, bytes */
#define KNOWN(name, ...) { #name, name, __VA_ARGS__ }

const struct known_case known_cases[] = {
	KNOWN(loads_of_each_width, 4, 0, 0, 0, 0, 0),
	KNOWN(stores_of_each_width, 0, 5, 0, 0, 0, 0),
	KNOWN(loop, 64, 64, 0, 0, 0, 0),
	KNOWN(volatiles, 3, 2, 0, 0, 0, 0),
	KNOWN(own_variables, 2, 2, 0, 0, 0, 0),
	KNOWN(bit_field, 0, 1, 0, 0, 0, 0),
	KNOWN(packed, 0, 0, 0, 0, 3, 8 + 4 + 4),
	KNOWN(list, 5, 4, 0, 0, 0, 0),
	KNOWN(copy_struct_24, 0, 0, 0, 0, 2, 2 * 24),
	KNOWN(copy_struct_200, 0, 0, 0, 0, 2, 2 * 200),
	KNOWN(copy_struct_5000, 0, 0, 0, 0, 2, 2 * 5000),
	KNOWN(copy_struct_20000, 0, 0, 0, 0, 2, 2 * 20000),
	KNOWN(zero_struct_24, 0, 0, 0, 0, 1, 24),
	KNOWN(zero_struct_200, 0, 0, 0, 0, 1, 200),
	KNOWN(zero_struct_5000, 0, 0, 0, 0, 1, 5000),
	KNOWN(zero_struct_20000, 0, 0, 0, 0, 1, 20000),
	KNOWN(copy_memory, 1, 0, 0, 0, 10, 2 * (8 + 300 + 20000 + 100)),
	KNOWN(move_memory, 1, 0, 0, 0, 6, 2 * (8 + 300 + 100)),
	KNOWN(set_memory, 1, 0, 0, 0, 3, 8 + 300 + 100),
	KNOWN(compare_memory, 1, 0, 0, 0, 6, 2 * (8 + 300 + 100)),
	KNOWN(loops_that_set_and_copy, 64, 128, 0, 0, 0, 0),
	KNOWN(atomic_8, 0, 0, 7, 0, 0, 0),
	KNOWN(atomic_16, 0, 0, 7, 0, 0, 0),
	KNOWN(atomic_32, 0, 0, 7, 0, 0, 0),
	KNOWN(atomic_64, 0, 0, 7, 0, 0, 0),
	KNOWN(arithmetic_8, 0, 0, 6, 0, 0, 0),
	KNOWN(arithmetic_16, 0, 0, 6, 0, 0, 0),
	KNOWN(arithmetic_32, 0, 0, 6, 0, 0, 0),
	KNOWN(arithmetic_64, 0, 0, 6, 0, 0, 0),
	KNOWN(compare_exchange, 0, 0, 2, 0, 0, 0),
	KNOWN(atomic_128, 0, 0, 2, 0, 0, 0),
	KNOWN(fences, 0, 0, 0, 2, 0, 0),
	/* Its ticket; the unlock's increment. */
	KNOWN(ck_ticket, 0, 0, 2, 0, 0, 0),
	/* Two stores and the swap; next, the queue's tail, the swap back. */
	KNOWN(ck_mcs, 0, 2, 4, 0, 0, 0),
	/*
	 * init: three stores; the context; wait, the swap, previous, a look at wait; then previous,
	 * wait, the context. The context is loaded by lock's caller and twice by unlock.
	 */
	KNOWN(ck_clh, 4, 7, 3, 0, 0, 0),
	KNOWN(ck_fas, 0, 0, 2, 0, 0, 0),
	/* Writer swapped, readers looked at, writer stored; writer, readers up, writer, down. */
	KNOWN(ck_rwlock, 0, 0, 7, 0, 0, 0),
	/* win, wout, rin, rout; rin, wout; rin, rout. */
	KNOWN(ck_pflock, 0, 0, 8, 0, 0, 0),
	{ 0 },
};

static void wait_for_a_copy(void *room)
{
	uint32_t seen = *(uint32_t *)room;
	while (!seen)
		__asm__ __volatile__("" : "+r"(seen));
}

const struct known_case known_endless = KNOWN(wait_for_a_copy, 1, 0, 0, 0, 0, 0);
