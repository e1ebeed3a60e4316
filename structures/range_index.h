/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * An index of the few ranges that a map holds often, shared by all its subsets: small, written
 * rarely, read without a lock, and waited for by nobody.
 *
 *   bucket[hash]: numbers of the ranges that hash there, a byte each     4 lines
 *   range[n]: [start, last]; taken, closing: sets of numbers             4 lines
 *   busy: somebody gives or takes back numbers                           1 line
 *
 * Nothing is ever freed; a number is only used again. So that it is not used again under anybody:
 *  - A subset keeps members of a range only after it has joined it, and says so in `joined`, a set
 *    of its own that the others only read. It stays joined while it has members, and longer: a
 *    range that comes and goes is joined once.
 *  - Who takes numbers back announces them in `closing`, then looks at every subset's `joined`; who
 *    joins says so, then looks at `closing`. By the full fence between in both (clv_index_may_join,
 *    clv_index_reap) not both miss the other's word: either the number is not taken back, or the
 *    subset sees it and undoes its joining.
 *  - So the bounds of a range that a subset has joined are constant for who holds the subset's
 *    lock. What he reads of another may be being written, and is a hint until he has joined.
 *  - A miss that should have been a hit does no harm: the interval goes to a tree. So whoever would
 *    have to wait does not.
 *
 * Invariants (clv_index_validate): what is taken is in the bucket of its hash, and nothing else is
 * in buckets; no two have the same bounds; `closing` is empty and nobody is busy; only what is
 * taken is joined.
 *
 * Readers: any, without a lock. Relaxed but where said: what a member's walk needs of its range was
 * read by who put the member in, and the subset's lock orders those two. Writers: who has `busy`.
 * Progress: every call is bounded; none waits. Cost: a lookup two shared lines, one if there is
 * nothing. Memory: 9 lines a map.
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
	uint32_t closing;
	uint32_t given; /* how often; wraps */
	_Alignas(64) uint32_t busy;
};

_Static_assert(offsetof(struct clv_range_index, busy) == 8 * 64, "what is read takes 8 lines");

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
	return (struct clv_range) { __atomic_load_n(&index->range[n].start, __ATOMIC_RELAXED),
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
 * Do members of range b come behind those of range a, in every subset? By start; of equal starts
 * the longer first, since what is split off in front starts with its source and is shorter.
 */
static inline bool clv_range_follows(struct clv_range b, struct clv_range a)
{
	return b.start > a.start || (b.start == a.start && b.last < a.last);
}

/* The ranges that overlap a walk's, in its order. */
struct clv_overlapping {
	unsigned count;
	uint8_t number[CLV_INDEX_RANGES];
	struct clv_range range[CLV_INDEX_RANGES]; /* [i]: of number[i] */
};

/*
 * Find them. Those that a subset has members of are right if its lock is held; of the others any
 * may be missing or be about to be another, and nothing comes of them.
 */
static inline void clv_index_overlapping(const struct clv_range_index *index, uint64_t start,
					 uint64_t last, struct clv_overlapping *found)
{
	unsigned count = 0;

	/* Acquire, here and below: who sees a number taken back, or used again, sees that it had
	 * been left (pass_by in range_group_free.c). Partners: clv_index_take_back, clv_index_give.
	 */
	for (uint32_t taken = __atomic_load_n(&index->taken, __ATOMIC_ACQUIRE); taken;
	     taken &= taken - 1) {
		unsigned n = (unsigned)__builtin_ctz(taken);
		struct clv_range range = {
			__atomic_load_n(&index->range[n].start, __ATOMIC_ACQUIRE),
			__atomic_load_n(&index->range[n].last, __ATOMIC_ACQUIRE),
		};
		unsigned at = count;

		if (range.start > last || range.last < start)
			continue;
		/* Holds: those before `count` are in order, and from `at` on follow this one. */
		for (; at && clv_range_follows(found->range[at - 1], range); at--) {
			found->range[at] = found->range[at - 1];
			found->number[at] = found->number[at - 1];
		}
		found->range[at] = range;
		found->number[at] = (uint8_t)n;
		count++;
	}
	found->count = count;
}

/*
 * A full fence, by a word of the caller's subset: ThreadSanitizer does not know fences; there an
 * exchange stands in for it, which orders enough on the machines that it runs on.
 */
static inline void clv_index_store_and_fence(uint32_t *word, uint32_t value)
{
#ifdef __SANITIZE_THREAD__
	(void)__atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
#else
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/*
 * May a subset whose `joined` says n already, by clv_index_store_and_fence, keep members of the
 * range there? If `closing` without n is from before a reaper's announcement, the fences make him
 * see `joined`, so that n stays as it is. If it is from after he ended, the bounds read behind it
 * are no older (acquire; partner is the release in clv_index_reap), and tell whether n is another's
 * now.
 */
static inline bool clv_index_may_join(const struct clv_range_index *index, unsigned n,
				      uint64_t start, uint64_t last)
{
	uint32_t closing = __atomic_load_n(&index->closing, __ATOMIC_ACQUIRE);
	uint32_t taken = __atomic_load_n(&index->taken, __ATOMIC_ACQUIRE);
	struct clv_range range = clv_index_range(index, n);

	return !(closing & 1u << n) && taken & 1u << n && range.start == start &&
	       range.last == last;
}

/* Acquire: partner is clv_index_end. */
static inline bool clv_index_try_begin(struct clv_range_index *index)
{
	return !__atomic_load_n(&index->busy, __ATOMIC_RELAXED) &&
	       !__atomic_exchange_n(&index->busy, 1, __ATOMIC_ACQUIRE);
}

/* Release: partner is clv_index_try_begin. */
static inline void clv_index_end(struct clv_range_index *index)
{
	__atomic_store_n(&index->busy, 0, __ATOMIC_RELEASE);
}

/*
 * Give the range a number, which it gets but once. pre: the caller is busy. Returns: whether it has
 * one; false: none is left, or its bucket is full.
 */
static inline bool clv_index_give(struct clv_range_index *index, uint32_t hash, uint64_t start,
				  uint64_t last)
{
	uint32_t *bucket = &index->bucket[clv_index_bucket(hash)];
	uint32_t taken = index->taken;
	unsigned n = (unsigned)__builtin_ctz(~taken);

	if (clv_index_find(index, hash, start, last) != CLV_INDEX_NONE)
		return true;
	if (n >= CLV_INDEX_RANGES || *bucket >> 24)
		return false;
	/* Release: partner is clv_index_overlapping. */
	__atomic_store_n(&index->range[n].start, start, __ATOMIC_RELEASE);
	__atomic_store_n(&index->range[n].last, last, __ATOMIC_RELEASE);
	/* Release: partner is clv_index_may_join. */
	__atomic_store_n(&index->taken, taken | 1u << n, __ATOMIC_RELEASE);
	/* Release: partners are look and pass_by in range_group_free.c. */
	__atomic_store_n(&index->given, index->given + 1, __ATOMIC_RELEASE);
	__atomic_store_n(bucket, *bucket << 8 | (n + 1), __ATOMIC_RELAXED);
	return true;
}

static inline void clv_index_take_back(struct clv_range_index *index, unsigned n)
{
	struct clv_range range = index->range[n];
	uint32_t *bucket =
		&index->bucket[clv_index_bucket(clv_index_hash(range.start, range.last))];
	uint32_t left = 0;

	for (uint32_t numbers = *bucket; numbers; numbers >>= 8) {
		if ((numbers & 255) != n + 1)
			left = left << 8 | (numbers & 255);
	}
	__atomic_store_n(bucket, left, __ATOMIC_RELAXED);
	/* Release: partner is clv_index_overlapping. */
	__atomic_store_n(&index->taken, index->taken & ~(1u << n), __ATOMIC_RELEASE);
}

/*
 * Take back the numbers that no subset has joined; `joined_of` reads one's word. pre: the caller is
 * busy. Meanwhile nobody can join. Cost: a line a subset.
 */
static inline void clv_index_reap(struct clv_range_index *index, unsigned subsets,
				  uint32_t (*joined_of)(const void *arg, unsigned subset),
				  const void *arg)
{
	uint32_t free;

	clv_index_store_and_fence(&index->closing, index->taken);
	free = index->taken;
	for (unsigned i = 0; i < subsets && free; i++)
		free &= ~joined_of(arg, i);
	for (; free; free &= free - 1)
		clv_index_take_back(index, (unsigned)__builtin_ctz(free));
	/* Release: partner is clv_index_may_join. */
	__atomic_store_n(&index->closing, 0, __ATOMIC_RELEASE);
}

/* `joined`: by any subset. Returns: NULL, or the reason. */
static inline const char *clv_index_validate(const struct clv_range_index *index, uint32_t joined)
{
	uint32_t met = 0;

	if (index->busy || index->closing)
		return "index: somebody is busy with it";
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
	if (joined & ~met)
		return "index: a subset has joined a range that has no number";
	return NULL;
}

#endif
