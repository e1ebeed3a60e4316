/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Groups of 16 slots, and which of their intervals overlap a range: a compare of two cache lines at
 * a time, by whatever vectors the CPU has.
 *
 *   from[16]   UINT32_MAX - start, cut    line 0
 *   to[16]     last, cut                  line 1
 *   entry[16]                             lines 2 and 3
 *
 * Bounds are cut to CLV_SLOT_TOP, and start is kept as what is left above it, so that
 *  - zeroed memory is a group of holes: a hole's `from` is 0, no interval's is;
 *  - an interval overlaps [start, last] if its `from` is at least clv_slot_from(last) and its `to`
 * is at least clv_slot_cut(start): two compares of one kind, which no hole passes;
 *  - both sides being cut alike, that is exact unless the range's own bounds were cut, and then
 * lets too many pass, never too few.
 *
 * All variants give the same bits (tests/unit/test_slots.c). Which one is chosen when a map is
 * opened, by a pointer: gcc's target_clones would choose before a sanitizer's runtime is ready.
 */
#ifndef CLV_SLOT_MATCH_H
#define CLV_SLOT_MATCH_H

#include <cleave/structure.h>

/* Instrumented builds see what plain code does: their results must not depend on the host. */
#if !defined(CLEAVE_SIMULATED) && !defined(__SANITIZE_THREAD__)
#if defined(__x86_64__)
#define CLV_SLOT_X86 1
#include <immintrin.h>
#elif defined(__aarch64__)
#define CLV_SLOT_NEON 1
#include <arm_neon.h>
#endif
#endif

enum {
	CLV_SLOT_LINE_BYTES = 64,
	CLV_SLOTS = CLV_SLOT_LINE_BYTES / sizeof(uint32_t), /* of a group */
	CLV_SLOT_GROUPS_A_WORD = 64 / CLV_SLOTS,
	CLV_SLOT_HOLE = 0,
};

/* Not UINT32_MAX, of which `from` would be a hole's. */
#define CLV_SLOT_TOP (UINT32_MAX - 1)

struct clv_slot_group {
	_Alignas(CLV_SLOT_LINE_BYTES) uint32_t from[CLV_SLOTS];
	uint32_t to[CLV_SLOTS];
	struct cleave_interval *entry[CLV_SLOTS];
};

_Static_assert(sizeof(struct clv_slot_group) == 4 * CLV_SLOT_LINE_BYTES, "a group is four lines");

/*
 * Which slots have at least these? The bit of slot i, counted through all groups, is bit i % 64 of
 * hits[i / 64]. Bits of what is no slot are 0.
 */
typedef void clv_slot_match_fn(const struct clv_slot_group *group, unsigned groups, uint32_t from,
			       uint32_t to, uint64_t *hits);

static inline uint32_t clv_slot_cut(uint64_t bound)
{
	return bound < CLV_SLOT_TOP ? (uint32_t)bound : CLV_SLOT_TOP;
}

static inline uint32_t clv_slot_from(uint64_t start)
{
	return UINT32_MAX - clv_slot_cut(start);
}

/* Each group in turn. */
static inline void clv_slot_put_bits(uint64_t *hits, unsigned g, uint64_t bits)
{
	unsigned at = g % CLV_SLOT_GROUPS_A_WORD;

	hits[g / CLV_SLOT_GROUPS_A_WORD] =
		at ? hits[g / CLV_SLOT_GROUPS_A_WORD] | bits << at * CLV_SLOTS : bits;
}

#ifdef CLEAVE_SIMULATED
/* What vector units do with two lines that they have: not charged by the word. */
static __attribute__((noinline, no_sanitize("thread"), no_sanitize_coverage)) unsigned
clv_slot_compare(const struct clv_slot_group *group, uint32_t from, uint32_t to)
{
	unsigned hits = 0;

	for (unsigned i = 0; i < CLV_SLOTS; i++)
		hits |= (unsigned)(group->from[i] >= from && group->to[i] >= to) << i;
	return hits;
}

static void clv_slot_match_plain(const struct clv_slot_group *group, unsigned groups, uint32_t from,
				 uint32_t to, uint64_t *hits)
{
	for (unsigned g = 0; g < groups; g++, group++) {
		/* The two loads that are charged. */
		(void)*(const volatile uint32_t *)group->from;
		(void)*(const volatile uint32_t *)group->to;
		clv_slot_put_bits(hits, g, clv_slot_compare(group, from, to));
	}
}
#else
static void clv_slot_match_plain(const struct clv_slot_group *group, unsigned groups, uint32_t from,
				 uint32_t to, uint64_t *hits)
{
	for (unsigned g = 0; g < groups; g++, group++) {
		unsigned found = 0;

		for (unsigned i = 0; i < CLV_SLOTS; i++)
			found |= (unsigned)(group->from[i] >= from && group->to[i] >= to) << i;
		clv_slot_put_bits(hits, g, found);
	}
}
#endif

#ifdef CLV_SLOT_X86
/* AVX2 compares no unsigned words; but a >= b if the greater of them is a. */
static __attribute__((target("avx2"))) unsigned
clv_slot_half_avx2(const uint32_t *from, const uint32_t *to, __m256i least_from, __m256i least_to)
{
	__m256i has_from = _mm256_load_si256((const __m256i *)from);
	__m256i has_to = _mm256_load_si256((const __m256i *)to);
	__m256i a = _mm256_cmpeq_epi32(_mm256_max_epu32(has_from, least_from), has_from);
	__m256i b = _mm256_cmpeq_epi32(_mm256_max_epu32(has_to, least_to), has_to);

	return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_and_si256(a, b)));
}

static __attribute__((target("avx2"))) void clv_slot_match_avx2(const struct clv_slot_group *group,
								unsigned groups, uint32_t from,
								uint32_t to, uint64_t *hits)
{
	__m256i least_from = _mm256_set1_epi32((int)from);
	__m256i least_to = _mm256_set1_epi32((int)to);

	for (unsigned g = 0; g < groups; g++, group++) {
		unsigned low = clv_slot_half_avx2(group->from, group->to, least_from, least_to);
		unsigned high = clv_slot_half_avx2(group->from + CLV_SLOTS / 2,
						   group->to + CLV_SLOTS / 2, least_from, least_to);

		clv_slot_put_bits(hits, g, low | high << CLV_SLOTS / 2);
	}
}

static __attribute__((target("avx512f"))) void
clv_slot_match_avx512(const struct clv_slot_group *group, unsigned groups, uint32_t from,
		      uint32_t to, uint64_t *hits)
{
	__m512i least_from = _mm512_set1_epi32((int)from);
	__m512i least_to = _mm512_set1_epi32((int)to);

	for (unsigned g = 0; g < groups; g++, group++) {
		__mmask16 found =
			_mm512_cmpge_epu32_mask(_mm512_load_si512(group->from), least_from);

		clv_slot_put_bits(hits, g,
				  _mm512_mask_cmpge_epu32_mask(found, _mm512_load_si512(group->to),
							       least_to));
	}
}
#endif

#ifdef CLV_SLOT_NEON
static inline unsigned clv_slot_quarter_neon(const uint32_t *from, const uint32_t *to,
					     uint32x4_t least_from, uint32x4_t least_to,
					     uint32x4_t bits)
{
	uint32x4_t both = vandq_u32(vcgeq_u32(vld1q_u32(from), least_from),
				    vcgeq_u32(vld1q_u32(to), least_to));

	return vaddvq_u32(vandq_u32(both, bits));
}

static void clv_slot_match_neon(const struct clv_slot_group *group, unsigned groups, uint32_t from,
				uint32_t to, uint64_t *hits)
{
	static const uint32_t bit[4] = { 1, 2, 4, 8 };
	uint32x4_t bits = vld1q_u32(bit);
	uint32x4_t least_from = vdupq_n_u32(from);
	uint32x4_t least_to = vdupq_n_u32(to);

	for (unsigned g = 0; g < groups; g++, group++) {
		unsigned found = 0;

		for (unsigned i = 0; i < CLV_SLOTS; i += 4)
			found |= clv_slot_quarter_neon(group->from + i, group->to + i, least_from,
						       least_to, bits)
				 << i;
		clv_slot_put_bits(hits, g, found);
	}
}
#endif

/* The i-th that this CPU can run, best first; clv_slot_match_plain is the last. NULL: no more. */
static inline clv_slot_match_fn *clv_slot_match_at(unsigned i)
{
	clv_slot_match_fn *runs[4];
	unsigned count = 0;

#ifdef CLV_SLOT_X86
	if (__builtin_cpu_supports("avx512f"))
		runs[count++] = clv_slot_match_avx512;
	if (__builtin_cpu_supports("avx2"))
		runs[count++] = clv_slot_match_avx2;
#endif
#ifdef CLV_SLOT_NEON
	runs[count++] = clv_slot_match_neon;
#endif
	runs[count++] = clv_slot_match_plain;
	return i < count ? runs[i] : NULL;
}

#endif
