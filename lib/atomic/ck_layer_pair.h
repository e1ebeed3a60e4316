/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The double-width primitives of ck_layer.h, which alone includes this: 16 bytes, aligned to 16,
 * compared and swapped at once. CK's MPMC stack and FIFO need them.
 *
 * Simulated: one 16-byte access, given to the machine as such.
 *
 * Sanitized: the runtimes of gcc 12 and clang 14 do their 128-bit operations under a mutex of their
 * own (no cmpxchg16b in either). That is atomic among 128-bit operations and against nothing else,
 * while CK's stack pushes with an 8-byte swap of the same word: a push could be lost. So the
 * instruction is used, and the sanitizer is told of it by atomic operations on the halves that
 * change no value: before it, an addition of 0, which releases what came before and counts as the
 * write; after it, a load, which acquires from whoever wrote what was replaced. A failed swap thus
 * releases too, which hides a race only from threads that go on to read that very word.
 * On other architectures a sanitized build has no double-width primitives: code that needs them
 * does not compile, or is left out by CK itself.
 */
#ifndef CLV_CK_LAYER_PAIR_H
#define CLV_CK_LAYER_PAIR_H

#ifndef CLV_CK_LAYER_H
#error "include ck_layer.h"
#endif

#if defined(__SIZEOF_INT128__) && (defined(CLEAVE_SIMULATED) || defined(__x86_64__))

typedef unsigned __int128 clv_ck_pair __attribute__((__may_alias__));

#ifdef CLEAVE_SIMULATED

CK_CC_INLINE static clv_ck_pair clv_ck_pair_swap(void *target, clv_ck_pair compare, clv_ck_pair set)
{
	return __sync_val_compare_and_swap((clv_ck_pair *)target, compare, set);
}

/* Comparing with 0 and setting 0 reads, and takes the line for writing, as CK's assembly does. */
CK_CC_INLINE static clv_ck_pair clv_ck_pair_load(const void *target)
{
	return clv_ck_pair_swap((void *)(uintptr_t)target, 0, 0);
}

#else

CK_CC_INLINE static clv_ck_pair
clv_ck_pair_swap_unseen(void *target, clv_ck_pair compare, clv_ck_pair set)
{
	uint64_t low = (uint64_t)compare, high = (uint64_t)(compare >> 64);

	__asm__ __volatile__("lock cmpxchg16b %0"
			     : "+m"(*(clv_ck_pair *)target), "+a"(low), "+d"(high)
			     : "b"((uint64_t)set), "c"((uint64_t)(set >> 64))
			     : "memory", "cc");
	return (clv_ck_pair)high << 64 | low;
}

CK_CC_INLINE static clv_ck_pair clv_ck_pair_load(const void *target)
{
	const clv_ck_word *half = (const clv_ck_word *)target;
	clv_ck_pair seen = clv_ck_pair_swap_unseen((void *)(uintptr_t)target, 0, 0);

	(void)__atomic_load_n(&half[0], __ATOMIC_ACQUIRE);
	(void)__atomic_load_n(&half[1], __ATOMIC_ACQUIRE);
	return seen;
}

CK_CC_INLINE static clv_ck_pair clv_ck_pair_swap(void *target, clv_ck_pair compare, clv_ck_pair set)
{
	clv_ck_word *half = (clv_ck_word *)target;

	(void)__atomic_fetch_add(&half[0], 0, __ATOMIC_SEQ_CST);
	(void)__atomic_fetch_add(&half[1], 0, __ATOMIC_SEQ_CST);
	clv_ck_pair seen = clv_ck_pair_swap_unseen(target, compare, set);
	(void)__atomic_load_n(&half[0], __ATOMIC_ACQUIRE);
	(void)__atomic_load_n(&half[1], __ATOMIC_ACQUIRE);
	return seen;
}

#endif

/* The arguments are the caller's own variables, of any type and alignment. */
CK_CC_INLINE static clv_ck_pair clv_ck_pair_get(const void *from)
{
	const clv_ck_word *half = (const clv_ck_word *)from;

	return (clv_ck_pair)half[1] << 64 | half[0];
}

CK_CC_INLINE static void clv_ck_pair_put(void *to, clv_ck_pair v)
{
	clv_ck_word *half = (clv_ck_word *)to;

	half[0] = (uint64_t)v;
	half[1] = (uint64_t)(v >> 64);
}

CK_CC_INLINE static void ck_pr_load_ptr_2(const void *target, void *v)
{
	clv_ck_pair_put(v, clv_ck_pair_load(target));
}

CK_CC_INLINE static void ck_pr_load_64_2(const uint64_t target[2], uint64_t v[2])
{
	ck_pr_load_ptr_2(target, v);
}

CK_CC_INLINE static bool ck_pr_cas_ptr_2(void *target, void *compare, void *set)
{
	clv_ck_pair expected = clv_ck_pair_get(compare);

	return clv_ck_pair_swap(target, expected, clv_ck_pair_get(set)) == expected;
}

CK_CC_INLINE static bool ck_pr_cas_ptr_2_value(void *target, void *compare, void *set, void *v)
{
	clv_ck_pair expected = clv_ck_pair_get(compare);
	clv_ck_pair seen = clv_ck_pair_swap(target, expected, clv_ck_pair_get(set));

	clv_ck_pair_put(v, seen);
	return seen == expected;
}

/* W: how many T make 16 bytes. */
#define CLV_CK_PAIR_CAS(S, W, T) \
	CK_CC_INLINE static bool ck_pr_cas_##S##_##W(T target[W], T compare[W], T set[W]) \
	{ \
		return ck_pr_cas_ptr_2(target, compare, set); \
	} \
	CK_CC_INLINE static bool \
	ck_pr_cas_##S##_##W##_value(T *target, T compare[W], T set[W], T *v) \
	{ \
		return ck_pr_cas_ptr_2_value(target, compare, set, v); \
	}

#define CLV_CK_PAIR(S, W, T) \
	CLV_CK_PAIR_CAS(S, W, T) \
	CK_CC_INLINE static void ck_pr_md_load_##S##_##W(const T target[W], T v[W]) \
	{ \
		ck_pr_load_ptr_2(target, v); \
	}

CLV_CK_PAIR_CAS(64, 2, uint64_t)
#ifndef CK_PR_DISABLE_DOUBLE
CLV_CK_PAIR_CAS(double, 2, double)
#endif
CLV_CK_PAIR(char, 16, char)
CLV_CK_PAIR(int, 4, int)
CLV_CK_PAIR(uint, 4, unsigned int)
CLV_CK_PAIR(32, 4, uint32_t)
CLV_CK_PAIR(16, 8, uint16_t)
CLV_CK_PAIR(8, 16, uint8_t)

#undef CLV_CK_PAIR
#undef CLV_CK_PAIR_CAS

#else

#undef CK_F_PR_CAS_64_2
#undef CK_F_PR_CAS_64_2_VALUE
#undef CK_F_PR_CAS_PTR_2
#undef CK_F_PR_CAS_PTR_2_VALUE
#undef CK_F_PR_CAS_DOUBLE_2
#undef CK_F_PR_CAS_CHAR_16
#undef CK_F_PR_CAS_CHAR_16_VALUE
#undef CK_F_PR_CAS_INT_4
#undef CK_F_PR_CAS_INT_4_VALUE
#undef CK_F_PR_CAS_UINT_4
#undef CK_F_PR_CAS_UINT_4_VALUE
#undef CK_F_PR_CAS_32_4
#undef CK_F_PR_CAS_32_4_VALUE
#undef CK_F_PR_CAS_16_8
#undef CK_F_PR_CAS_16_8_VALUE
#undef CK_F_PR_CAS_8_16
#undef CK_F_PR_CAS_8_16_VALUE
#undef CK_F_PR_LOAD_64_2
#undef CK_F_PR_LOAD_PTR_2
#undef CK_F_PR_LOAD_CHAR_16
#undef CK_F_PR_LOAD_INT_4
#undef CK_F_PR_LOAD_UINT_4
#undef CK_F_PR_LOAD_32_4
#undef CK_F_PR_LOAD_16_8
#undef CK_F_PR_LOAD_8_16

#endif
#endif
