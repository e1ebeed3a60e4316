/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The atomic layer under Concurrency Kit (CK 0.7.1): include it, or force it in with -include,
 * before any <ck_*.h>. It decides what CK's primitives (ck_pr_*) are made of, in three builds:
 *
 *   native      CK's own inline assembly; this header adds nothing.
 *   sanitized   -fsanitize=thread with the genuine ThreadSanitizer. It cannot see into assembly and
 *               would report a race under every correct lock, so each primitive is one compiler
 *               builtin here, which the compiler turns into a call of the sanitizer.
 *   simulated   CLEAVE_SIMULATED, compiled with -fsanitize=thread for its calls only and linked to
 *               the simulated machine. As above, and whatever waits calls clv_pause().
 *
 * Invariants:
 * - The algorithms stay those of CK's x86-64 assembly build: its feature macros are taken from
 *   CK's own list, exchange and fetch-and-add are one access and not a loop. CK's own way to
 *   builtins (CK_USE_CC_BUILTINS alone) emulates exchange by compare-and-swap and loses the MPMC
 *   stack and FIFO. neg_* is the exception: no builtin negates, so it is a loop; no lock of CK
 *   uses it. bts, btr, btc need an offset below the width, which the instruction does not.
 * - No primitive orders less than the same primitive in the assembly build on x86-64.
 *
 * Order. CK writes order as fences between accesses that have none. ThreadSanitizer takes
 * happens-before from the accesses and nothing from a fence, so the order is put on the accesses:
 * loads acquire, stores release, read-modify-writes are seq_cst; loads and stores stay between two
 * compiler barriers as in CK. On x86-64 this is what the instructions do in any case: a load by mov
 * acquires, a store by mov releases, a locked instruction is a full fence, and CK's fences are
 * compiler barriers but for two, memory and store_load. Those two order a store before a later
 * load, which acquire and release do not: they are real fences in all builds. Partners: a lock's
 * release is the store or read-modify-write in its unlock, paired with the load or
 * read-modify-write by which the next holder's lock or trylock ends its wait.
 * The price: the sanitizer is told of more order than CK asks for. It finds data used without its
 * lock; it does not find a fence missing inside CK.
 *
 * Two spellings are deliberate:
 * - __sync_val_compare_and_swap takes the expected value by value. __atomic_compare_exchange_n
 *   takes its address, and the stack word there costs an instrumented read of its own (gcc 12),
 *   which would be charged. It is a full fence on success and failure, as lock cmpxchg is, and its
 *   16-byte form is instrumented without -mcx16 by gcc 12 and clang 14; __atomic's not by clang.
 * - __sync_synchronize becomes the sanitizer's fence call as __atomic_thread_fence would, without
 *   gcc's -Wtsan, which is about happens-before: see above for where that comes from here.
 *
 * Cost: sanitized and simulated, one call per primitive. Written by: nobody at run time; all state
 * is CK's own.
 */
#ifndef CLV_CK_LAYER_H
#define CLV_CK_LAYER_H

#if defined(CLEAVE_SIMULATED) || defined(__SANITIZE_THREAD__)
#define CLV_CK_BUILTINS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CLV_CK_BUILTINS 1
#endif
#endif

#ifndef CLV_CK_BUILTINS
#define CLV_CK_BUILTINS 0
#include <ck_pr.h>
#else

#ifdef CK_PR_H
#error "ck_layer.h must come before every <ck_*.h>"
#endif

#ifdef CLEAVE_SIMULATED
#include "../shim/shim.h"
#endif

/* Both keep ck_pr.h and gcc/ck_pr.h from defining primitives; the rest of ck_pr.h stays in use. */
#undef CK_USE_CC_BUILTINS
#define CK_USE_CC_BUILTINS 1
#define CK_F_PR

#include <ck_cc.h>
#include <ck_md.h>
#include <ck_stdbool.h>
#include <ck_stddef.h>
#include <ck_stdint.h>

/* What CK's x86-64 assembly offers, on every architecture. */
#include <gcc/x86_64/ck_f_pr.h>

/* CK reads and writes these through pointers to other types (struct ck_stack as two words). */
typedef void *clv_ck_ptr __attribute__((__may_alias__));
typedef uint64_t clv_ck_word __attribute__((__may_alias__));

#define CLV_CK_COMPILER_BARRIER() __asm__ __volatile__("" ::: "memory")

CK_CC_INLINE static void ck_pr_stall(void)
{
#if defined(CLEAVE_SIMULATED)
	clv_pause();
#elif defined(__x86_64__) || defined(__i386__)
	__asm__ __volatile__("pause" ::: "memory");
#elif defined(__aarch64__)
	__asm__ __volatile__("yield" ::: "memory");
#else
	CLV_CK_COMPILER_BARRIER();
#endif
}

/* A hint: it moves no value, and the simulated machine does not charge it. */
#define CK_F_PR_RFO
CK_CC_INLINE static void ck_pr_rfo(const void *m)
{
	__builtin_prefetch(m, 1);
}

/* Full fences: CK's assembly has weaker ones here and there (lfence), none stronger. */
#define CLV_CK_FENCE(S) \
	CK_CC_INLINE static void ck_pr_fence_strict_##S(void) \
	{ \
		__sync_synchronize(); \
	}

/* Next to a read-modify-write: nothing is left to order on x86-64, where it is a full fence. */
#if defined(__x86_64__)
#define CLV_CK_FENCE_ATOMIC(S) \
	CK_CC_INLINE static void ck_pr_fence_strict_##S(void) \
	{ \
		CLV_CK_COMPILER_BARRIER(); \
	}
#else
#define CLV_CK_FENCE_ATOMIC(S) CLV_CK_FENCE(S)
#endif

CLV_CK_FENCE_ATOMIC(atomic)
CLV_CK_FENCE_ATOMIC(atomic_store)
CLV_CK_FENCE_ATOMIC(atomic_load)
CLV_CK_FENCE_ATOMIC(store_atomic)
CLV_CK_FENCE_ATOMIC(load_atomic)
CLV_CK_FENCE(load)
CLV_CK_FENCE(load_store)
CLV_CK_FENCE(store)
CLV_CK_FENCE(store_load)
CLV_CK_FENCE(memory)
CLV_CK_FENCE(release)
CLV_CK_FENCE(acquire)
CLV_CK_FENCE(acqrel)
CLV_CK_FENCE(lock)
CLV_CK_FENCE(unlock)

#undef CLV_CK_FENCE_ATOMIC
#undef CLV_CK_FENCE

/*
 * CK names some 250 functions by operation and type, so macros write them. S: CK's suffix; M: what
 * CK's prototype points to; T: the value; V: the value as ck_pr_md_store_* takes it; U: the
 * unsigned type as wide as T, in which overflow is defined.
 */
#define CLV_CK_ACCESS(S, M, T, V) \
	CK_CC_INLINE static T ck_pr_md_load_##S(const M *target) \
	{ \
		CLV_CK_COMPILER_BARRIER(); \
		T r = __atomic_load_n((T const *)target, __ATOMIC_ACQUIRE); \
		CLV_CK_COMPILER_BARRIER(); \
		return r; \
	} \
	CK_CC_INLINE static void ck_pr_md_store_##S(M *target, V v) \
	{ \
		CLV_CK_COMPILER_BARRIER(); \
		__atomic_store_n((T *)target, (T)v, __ATOMIC_RELEASE); \
		CLV_CK_COMPILER_BARRIER(); \
	} \
	CK_CC_INLINE static T ck_pr_fas_##S(M *target, T v) \
	{ \
		return __atomic_exchange_n((T *)target, v, __ATOMIC_SEQ_CST); \
	} \
	CK_CC_INLINE static bool ck_pr_cas_##S(M *target, T compare, T set) \
	{ \
		return __sync_bool_compare_and_swap((T *)target, compare, set); \
	} \
	CK_CC_INLINE static bool ck_pr_cas_##S##_value(M *target, T compare, T set, M *v) \
	{ \
		T seen = __sync_val_compare_and_swap((T *)target, compare, set); \
		*(T *)v = seen; \
		return seen == compare; \
	}

#define CLV_CK_UPDATE(K, F, S, M, T) \
	CK_CC_INLINE static void ck_pr_##K##_##S(M *target, T d) \
	{ \
		(void)__atomic_fetch_##F((T *)target, d, __ATOMIC_SEQ_CST); \
	}

/* `last`: the value from which one step reaches zero. */
#define CLV_CK_STEP(K, F, S, M, T, last) \
	CK_CC_INLINE static void ck_pr_##K##_##S(M *target) \
	{ \
		(void)__atomic_fetch_##F((T *)target, (T)1, __ATOMIC_SEQ_CST); \
	} \
	CK_CC_INLINE static bool ck_pr_##K##_##S##_is_zero(M *target) \
	{ \
		return __atomic_fetch_##F((T *)target, (T)1, __ATOMIC_SEQ_CST) == (T)(last); \
	}

#define CLV_CK_ARITHMETIC(S, M, T, U) \
	CK_CC_INLINE static T ck_pr_faa_##S(M *target, T d) \
	{ \
		return __atomic_fetch_add((T *)target, d, __ATOMIC_SEQ_CST); \
	} \
	CLV_CK_UPDATE(add, add, S, M, T) \
	CLV_CK_UPDATE(sub, sub, S, M, T) \
	CLV_CK_UPDATE(and, and, S, M, T) \
	CLV_CK_UPDATE(or, or, S, M, T) \
	CLV_CK_UPDATE(xor, xor, S, M, T) \
	CLV_CK_STEP(inc, add, S, M, T, -1) \
	CLV_CK_STEP(dec, sub, S, M, T, 1) \
	CK_CC_INLINE static void ck_pr_not_##S(M *target) \
	{ \
		(void)__atomic_fetch_xor((T *)target, (T)-1, __ATOMIC_SEQ_CST); \
	} \
	CK_CC_INLINE static bool ck_pr_neg_##S##_is_zero(M *target) \
	{ \
		T seen = __atomic_load_n((T const *)target, __ATOMIC_RELAXED), old; \
		do { \
			old = seen; \
			seen = __sync_val_compare_and_swap((T *)target, old, (T)(0 - (U)old)); \
		} while (seen != old); \
		return old == 0; \
	} \
	CK_CC_INLINE static void ck_pr_neg_##S(M *target) \
	{ \
		(void)ck_pr_neg_##S##_is_zero(target); \
	}

/* pre: b is below the width of T. */
#define CLV_CK_BIT(S, M, T, U) \
	CK_CC_INLINE static bool ck_pr_bts_##S(M *target, unsigned int b) \
	{ \
		T bit = (T)((U)1 << b); \
		return __atomic_fetch_or((T *)target, bit, __ATOMIC_SEQ_CST) & bit; \
	} \
	CK_CC_INLINE static bool ck_pr_btr_##S(M *target, unsigned int b) \
	{ \
		T bit = (T)((U)1 << b); \
		return __atomic_fetch_and((T *)target, (T)~bit, __ATOMIC_SEQ_CST) & bit; \
	} \
	CK_CC_INLINE static bool ck_pr_btc_##S(M *target, unsigned int b) \
	{ \
		T bit = (T)((U)1 << b); \
		return __atomic_fetch_xor((T *)target, bit, __ATOMIC_SEQ_CST) & bit; \
	}

#define CLV_CK_INTEGER(S, T, U) \
	CLV_CK_ACCESS(S, T, T, T) \
	CLV_CK_ARITHMETIC(S, T, T, U)

CLV_CK_INTEGER(char, char, unsigned char)
CLV_CK_INTEGER(int, int, unsigned int)
CLV_CK_INTEGER(uint, unsigned int, unsigned int)
CLV_CK_INTEGER(64, uint64_t, uint64_t)
CLV_CK_INTEGER(32, uint32_t, uint32_t)
CLV_CK_INTEGER(16, uint16_t, uint16_t)
CLV_CK_INTEGER(8, uint8_t, uint8_t)
CLV_CK_ACCESS(ptr, void, clv_ck_ptr, const void *)
CLV_CK_ARITHMETIC(ptr, void, uintptr_t, uintptr_t)

CLV_CK_BIT(int, int, int, unsigned int)
CLV_CK_BIT(uint, unsigned int, unsigned int, unsigned int)
CLV_CK_BIT(64, uint64_t, uint64_t, uint64_t)
CLV_CK_BIT(32, uint32_t, uint32_t, uint32_t)
CLV_CK_BIT(16, uint16_t, uint16_t, uint16_t)
CLV_CK_BIT(ptr, void, uintptr_t, uintptr_t)

#undef CLV_CK_INTEGER
#undef CLV_CK_BIT
#undef CLV_CK_ARITHMETIC
#undef CLV_CK_STEP
#undef CLV_CK_UPDATE
#undef CLV_CK_ACCESS

/* A double is compared by its bits, as the instruction does: -0.0 is not 0.0 here. */
#ifndef CK_PR_DISABLE_DOUBLE
union clv_ck_double {
	double value;
	uint64_t bits;
};

CK_CC_INLINE static double ck_pr_md_load_double(const double *target)
{
	union clv_ck_double r;

	CLV_CK_COMPILER_BARRIER();
	r.bits = __atomic_load_n((const clv_ck_word *)target, __ATOMIC_ACQUIRE);
	CLV_CK_COMPILER_BARRIER();
	return r.value;
}

CK_CC_INLINE static void ck_pr_md_store_double(double *target, double v)
{
	union clv_ck_double set = { v };

	CLV_CK_COMPILER_BARRIER();
	__atomic_store_n((clv_ck_word *)target, set.bits, __ATOMIC_RELEASE);
	CLV_CK_COMPILER_BARRIER();
}

CK_CC_INLINE static double ck_pr_fas_double(double *target, double v)
{
	union clv_ck_double r = { v };

	r.bits = __atomic_exchange_n((clv_ck_word *)target, r.bits, __ATOMIC_SEQ_CST);
	return r.value;
}

CK_CC_INLINE static bool
ck_pr_cas_double_value(double *target, double compare, double set, double *v)
{
	union clv_ck_double c = { compare }, s = { set }, seen;

	seen.bits = __sync_val_compare_and_swap((clv_ck_word *)target, c.bits, s.bits);
	*v = seen.value;
	return seen.bits == c.bits;
}

CK_CC_INLINE static bool ck_pr_cas_double(double *target, double compare, double set)
{
	double seen;

	return ck_pr_cas_double_value(target, compare, set, &seen);
}
#endif

#include "ck_layer_pair.h"

#include <ck_pr.h>

#ifdef CLEAVE_SIMULATED
/*
 * CK's back-off counts in a register, which takes no simulated time: the spinner that backs off
 * would retry at once. Here each turn is one clv_pause(). That errs to the long side: a pause takes
 * tens of cycles, CK's turn one or two.
 */
#define ck_backoff_eb clv_ck_backoff_eb_uncharged
#include <ck_backoff.h>
#undef ck_backoff_eb

CK_CC_INLINE static void ck_backoff_eb(unsigned int *c)
{
	unsigned int ceiling = *c;

	for (unsigned int i = 0; i < ceiling; i++)
		ck_pr_stall();
	*c = ceiling << (ceiling < CK_BACKOFF_CEILING);
}
#endif

#undef CLV_CK_COMPILER_BARRIER

#endif /* CLV_CK_BUILTINS */
#endif
