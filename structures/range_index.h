/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * An index of the few ranges that a map holds often, shared by all its subsets: small, written
 * rarely, read without a lock.
 *
 *   bucket[hash] : numbers of the ranges that hash there, a byte each      4 lines
 *   range[n]     : [start, last]; taken: which n are in use                4 lines
 *   lock, users[n] : subsets that have joined range n                      1 line, the slow ways only
 *
 * Nothing is ever freed; a number is only used again. So that it is not used again under anybody:
 *  - A subset keeps members of a range only after it has joined it, and stays joined while it has
 *    any, and longer: a range that comes and goes is joined once.
 *  - Joining and leaving happen under the index's lock, where a range with users keeps its bounds.
 *  - So who holds a subset's lock reads the bounds of a range that it has joined as constants. What
 *    he reads of another may be being written, is a hint, and is looked at again by clv_index_join.
 *  - A miss that should have been a hit does no harm either: the interval goes to a tree.
 *
 * Invariants (clv_index_validate): `taken` has those with users; each is in the bucket of its hash,
 * and there is nothing else in buckets; no two have the same bounds.
 *
 * Readers: any, without a lock, relaxed: by the above nothing is to be ordered here that a subset's
 * lock does not order already. Writers: under `lock`, a spin bit held for tens of instructions.
 * Cost: a lookup two shared lines, one if there is nothing. Memory: 9 lines a map.
 */
#ifndef CLV_RANGE_INDEX_H
#define CLV_RANGE_INDEX_H

#include <cleave/structure.h>

enum {
	CLV_INDEX_RANGES = 14,
	CLV_INDEX_BUCKETS = 64,
	CLV_INDEX_NONE = -1,
};

struct clv_range {
	uint64_t start, last;
};

struct clv_range_index {
	_Alignas(64) uint32_t bucket[CLV_INDEX_BUCKETS]; /* bytes of number + 1, low ones first */
	struct clv_range range[CLV_INDEX_RANGES];
	uint32_t taken;
	_Alignas(64) uint32_t lock;
	uint32_t users[CLV_INDEX_RANGES];
};

_Static_assert(offsetof(struct clv_range_index, lock) == 8 * 64, "what is read takes 8 lines");

/* For ranges within 2^32 pages no two have the same value before the multiplication. */
static inline uint32_t clv_index_hash(uint64_t start, uint64_t last)
{
	uint64_t mixed = (start ^ (last << 32 | last >> 32)) * 0x9e3779b97f4a7c15u;

	return (uint32_t)(mixed >> 32);
}

static inline uint32_t clv_index_bucket(uint32_t hash)
{
	return hash / (UINT32_MAX / CLV_INDEX_BUCKETS + 1);
}

/* Read without the lock, so that it is written atomically. */
static inline struct clv_range clv_index_range(const struct clv_range_index *index, unsigned n)
{
	return (struct clv_range){ __atomic_load_n(&index->range[n].start, __ATOMIC_RELAXED),
				   __atomic_load_n(&index->range[n].last, __ATOMIC_RELAXED) };
}

/* The range's number, or CLV_INDEX_NONE; a hint unless the caller's subset has joined it. */
static inline int clv_index_find(const struct clv_range_index *index, uint32_t hash, uint64_t start,
				 uint64_t last)
{
	uint32_t numbers =
		__atomic_load_n(&index->bucket[clv_index_bucket(hash)], __ATOMIC_RELAXED);

	for (; numbers; numbers >>= 8) {
		int n = (int)(numbers & 255) - 1;
		struct clv_range range = clv_index_range(index, (unsigned)n);

		if (range.start == start && range.last == last)
			return n;
	}
	return CLV_INDEX_NONE;
}

/*
 * Do members of range b come behind those of range a, in every subset? By start; of equal starts the
 * longer first, since what is split off in front starts with its source and is shorter.
 */
static inline bool clv_range_follows(struct clv_range b, struct clv_range a)
{
	return b.start > a.start || (b.start == a.start && b.last < a.last);
}

/*
 * The numbers of the ranges that overlap [start, last], in the order of a walk. Those that a subset
 * has members of are right if its lock is held; others may be anything, and nothing comes of them.
 * Returns: how many.
 */
static inline unsigned clv_index_overlapping(const struct clv_range_index *index, uint64_t start,
					     uint64_t last, uint8_t *number)
{
	struct clv_range found[CLV_INDEX_RANGES];
	unsigned count = 0;

	for (uint32_t taken = __atomic_load_n(&index->taken, __ATOMIC_RELAXED); taken;
	     taken &= taken - 1) {
		unsigned n = (unsigned)__builtin_ctz(taken);
		struct clv_range range = clv_index_range(index, n);
		unsigned at = count;

		if (range.start > last || range.last < start)
			continue;
		/* Holds: found[0..count) are in order, and those from `at` on follow this one. */
		for (; at && clv_range_follows(found[at - 1], range); at--) {
			found[at] = found[at - 1];
			number[at] = number[at - 1];
		}
		found[at] = range;
		number[at] = (uint8_t)n;
		count++;
	}
	return count;
}

/* Acquire: partner is clv_index_unlock. */
static inline void clv_index_lock(struct clv_range_index *index)
{
	while (__atomic_exchange_n(&index->lock, 1, __ATOMIC_ACQUIRE)) {
		while (__atomic_load_n(&index->lock, __ATOMIC_RELAXED))
			cleave_pause();
	}
}

/* Release: partner is clv_index_lock. */
static inline void clv_index_unlock(struct clv_range_index *index)
{
	__atomic_store_n(&index->lock, 0, __ATOMIC_RELEASE);
}

/* Give the range a free number. Returns: it; CLV_INDEX_NONE: there is none, or the bucket is full. */
static inline int clv_index_take_locked(struct clv_range_index *index, uint32_t hash,
					uint64_t start, uint64_t last)
{
	uint32_t *bucket = &index->bucket[clv_index_bucket(hash)];
	uint32_t taken = index->taken;
	int n = __builtin_ctz(~taken);

	if (n >= CLV_INDEX_RANGES || *bucket >> 24)
		return CLV_INDEX_NONE;
	__atomic_store_n(&index->range[n].start, start, __ATOMIC_RELAXED);
	__atomic_store_n(&index->range[n].last, last, __ATOMIC_RELAXED);
	__atomic_store_n(&index->taken, taken | 1u << n, __ATOMIC_RELAXED);
	__atomic_store_n(bucket, *bucket << 8 | (uint32_t)(n + 1), __ATOMIC_RELAXED);
	return n;
}

/*
 * Join the range, or, if it has no number and `make` says so, give it one first. Returns: the
 * number; CLV_INDEX_NONE.
 */
static inline int clv_index_join(struct clv_range_index *index, uint32_t hash, uint64_t start,
				 uint64_t last, bool make)
{
	int n;

	clv_index_lock(index);
	n = clv_index_find(index, hash, start, last);
	if (n == CLV_INDEX_NONE && make)
		n = clv_index_take_locked(index, hash, start, last);
	if (n != CLV_INDEX_NONE)
		index->users[n]++;
	clv_index_unlock(index);
	return n;
}

/* Nobody uses range n any more. */
static inline void clv_index_drop_locked(struct clv_range_index *index, unsigned n)
{
	struct clv_range range = index->range[n];
	uint32_t *bucket = &index->bucket[clv_index_bucket(clv_index_hash(range.start, range.last))];
	uint32_t left = 0;

	for (uint32_t numbers = *bucket; numbers; numbers >>= 8) {
		if ((numbers & 255) != n + 1)
			left = left << 8 | (numbers & 255);
	}
	__atomic_store_n(bucket, left, __ATOMIC_RELAXED);
	__atomic_store_n(&index->taken, index->taken & ~(1u << n), __ATOMIC_RELAXED);
}

/* Leave the ranges of a mask. pre: the caller's subset has joined them, and has no member there. */
static inline void clv_index_leave(struct clv_range_index *index, uint32_t mask)
{
	clv_index_lock(index);
	for (; mask; mask &= mask - 1) {
		unsigned n = (unsigned)__builtin_ctz(mask);

		if (!--index->users[n])
			clv_index_drop_locked(index, n);
	}
	clv_index_unlock(index);
}

/* `users[n]`: subsets that say that they have joined n. Returns: NULL, or the reason. */
static inline const char *clv_index_validate(const struct clv_range_index *index,
					     const uint32_t *users)
{
	uint32_t met = 0;

	if (index->lock)
		return "index: its lock was not let go";
	for (unsigned b = 0; b < CLV_INDEX_BUCKETS; b++) {
		for (uint32_t numbers = index->bucket[b]; numbers; numbers >>= 8) {
			unsigned n = (numbers & 255) - 1;

			if (n >= CLV_INDEX_RANGES || met & 1u << n)
				return "index: a bucket has a number that it cannot have";
			met |= 1u << n;
			struct clv_range range = index->range[n];
			uint32_t hash = clv_index_hash(range.start, range.last);

			if (clv_index_bucket(hash) != b)
				return "index: a range is in another's bucket";
			if (clv_index_find(index, hash, range.start, range.last) != (int)n)
				return "index: a range has two numbers";
		}
	}
	if (met != index->taken)
		return "index: what is taken and what is in the buckets differ";
	for (unsigned n = 0; n < CLV_INDEX_RANGES; n++) {
		if (index->users[n] != users[n])
			return "index: a range's users are not the subsets that joined it";
		if (!index->users[n] != !(index->taken & 1u << n))
			return "index: a range without users is taken or one with users is not";
	}
	return NULL;
}

#endif
