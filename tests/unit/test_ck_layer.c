// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The atomic layer under Concurrency Kit, in each of its builds (lib/atomic/ck_layer.h): every
 * primitive by value, every family under two threads, then CK's locks around plain data, which
 * ThreadSanitizer checks where it is there. The native build runs the same cases on CK's own
 * assembly, so what is expected here is what the assembly does.
 *
 *   test_ck_layer             all cases, one line each; exit 1 if one failed
 *   test_ck_layer race        the same data without a lock
 *   test_ck_layer race LOCK   the same data, written by both threads under LOCK held for reading
 *
 * The race modes are the negative control: under ThreadSanitizer they must end with its exit code,
 * 66. In a build without it they see nothing, say so and exit 77.
 *
 * Barriers and epochs live in CK's library, whose compiled form is assembly. Native builds link it;
 * the others take those cases only with CLEAVE_CK_SOURCES defined, together with ck_epoch.c,
 * ck_barrier_centralized.c and ck_barrier_mcs.c of CK's src/, compiled with the layer forced in.
 *
 * The simulated form runs here without -fsanitize=thread and with -mcx16 (x86-64): linked to the
 * genuine ThreadSanitizer its double-width swap would be that runtime's, which is not atomic
 * against narrower ones (lib/atomic/ck_layer_pair.h), and "atomic pair" fails on it. On a simulated
 * machine one fiber runs at a time and the question does not come up.
 *
 * Two runnable threads on two CPUs are assumed; on one CPU all is right and slow.
 */
#include "atomic/ck_layer.h"

#include <ck_backoff.h>
#include <ck_barrier.h>
#include <ck_brlock.h>
#include <ck_cohort.h>
#include <ck_epoch.h>
#include <ck_fifo.h>
#include <ck_pflock.h>
#include <ck_rwcohort.h>
#include <ck_rwlock.h>
#include <ck_sequence.h>
#include <ck_spinlock.h>
#include <ck_stack.h>
#include <ck_swlock.h>
#include <ck_tflock.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef CLEAVE_SIMULATED
#define BUILD "simulated"
#elif CLV_CK_BUILTINS
#define BUILD "sanitized"
#else
#define BUILD "native"
#endif

#if defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#if !CLV_CK_BUILTINS || defined(CLEAVE_CK_SOURCES)
#define WITH_CK_LIBRARY 1
#else
#define WITH_CK_LIBRARY 0
#endif

enum { THREADS = 2, ROUNDS = SANITIZED ? 2000 : 5000 };

static unsigned failures;

static void check(bool ok, const char *what, int line)
{
	if (ok)
		return;
	if (__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED) < 20)
		fprintf(stderr, "line %d: %s\n", line, what);
}
#define CHECK(x) check((x), #x, __LINE__)

/*
 * Runs body(0) and body(1) at once. A wake-up takes longer than many a body, so the threads meet
 * spinning; relaxed, which orders nothing for ThreadSanitizer.
 */
struct worker {
	pthread_t thread;
	void (*body)(unsigned me);
	unsigned me;
};

static unsigned at_start;

static void meet(unsigned *count)
{
	__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
	for (unsigned i = 1; __atomic_load_n(count, __ATOMIC_RELAXED) < THREADS; i++)
		if (i % 1024 == 0)
			sched_yield();
}

static void *work(void *arg)
{
	struct worker *w = arg;

	meet(&at_start);
	w->body(w->me);
	return NULL;
}

static void run_both(void (*body)(unsigned me))
{
	struct worker w[THREADS];

	at_start = 0;
	for (unsigned i = 0; i < THREADS; i++) {
		w[i].body = body;
		w[i].me = i;
		if (pthread_create(&w[i].thread, NULL, work, &w[i]) != 0) {
			fprintf(stderr, "cleave: thread: cannot be made\n");
			_Exit(2);
		}
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(w[i].thread, NULL);
}

#ifdef CLEAVE_SIMULATED
static unsigned pauses;

/* Stands in for the machine, which would charge the pause. */
void clv_pause(void)
{
	__atomic_fetch_add(&pauses, 1, __ATOMIC_RELAXED);
	sched_yield();
}
#endif

static void stall(void)
{
	unsigned turns = 8;
#ifdef CLEAVE_SIMULATED
	unsigned before = pauses;

	ck_pr_stall();
	CHECK(pauses == before + 1);
	ck_backoff_eb(&turns);
	CHECK(pauses == before + 1 + 8);
#else
	ck_pr_stall();
	ck_backoff_eb(&turns);
#endif
	CHECK(turns == 16);
	turns = CK_BACKOFF_CEILING;
	if (!CLV_CK_BUILTINS)
		ck_backoff_eb(&turns);
	CHECK(turns == CK_BACKOFF_CEILING);
	ck_pr_fence_memory();
	ck_pr_fence_strict_load();
	ck_pr_fence_strict_lock();
	ck_pr_rfo(&turns);
}

/*
 * By value. S: CK's suffix, T: its type, U: unsigned and as wide. Each operation is tried on every
 * pair of `seed`, between two neighbours that must not change.
 */
#define SEEDS(T, U) \
	{ 0, 1, 2, (T)-1, (T)-2, (T)((U)1 << (sizeof(T) * 8 - 1)), (T)((U)-1 >> 1), \
	  (T)0x5aa5a55a5aa5a55a, (T)100 }

#define CHECK_UPDATE(K, S, result) \
	want = (result); \
	ck_pr_store_##S(&w.at, a); \
	ck_pr_##K##_##S(&w.at, b); \
	CHECK(w.at == want)

#define CHECK_STEP(K, S, result) \
	want = (result); \
	ck_pr_store_##S(&w.at, a); \
	ck_pr_##K##_##S(&w.at); \
	CHECK(w.at == want)

#define CHECK_STEP_ZERO(K, S, result) \
	want = (result); \
	ck_pr_store_##S(&w.at, a); \
	ck_pr_##K##_##S##_zero(&w.at, &zero); \
	CHECK(w.at == want && zero == (want == 0)); \
	ck_pr_store_##S(&w.at, a); \
	CHECK(ck_pr_##K##_##S##_is_zero(&w.at) == (want == 0) && w.at == want)

#define VALUES(S, T, U) \
	static void values_##S(void) \
	{ \
		static const T seed[] = SEEDS(T, U); \
		struct { T before, at, after; } w = { (T)0x33, 0, (T)0x44 }; \
		const unsigned n = sizeof(seed) / sizeof(seed[0]); \
		bool zero; \
		for (unsigned i = 0; i < n * n; i++) { \
			const T a = seed[i / n], b = seed[i % n], other = (T)(a ^ 1); \
			T seen = b, want; \
			ck_pr_store_##S(&w.at, a); \
			CHECK(w.at == a && ck_pr_load_##S(&w.at) == a); \
			CHECK(ck_pr_fas_##S(&w.at, b) == a && w.at == b); \
			ck_pr_store_##S(&w.at, a); \
			CHECK(ck_pr_faa_##S(&w.at, b) == a && w.at == (T)((U)a + (U)b)); \
			CHECK_UPDATE(add, S, (U)a + (U)b); \
			CHECK_UPDATE(sub, S, (U)a - (U)b); \
			CHECK_UPDATE(and, S, a & b); \
			CHECK_UPDATE(or, S, a | b); \
			CHECK_UPDATE(xor, S, a ^ b); \
			ck_pr_store_##S(&w.at, a); \
			CHECK(!ck_pr_cas_##S(&w.at, other, b) && w.at == a); \
			CHECK(ck_pr_cas_##S(&w.at, a, b) && w.at == b); \
			ck_pr_store_##S(&w.at, a); \
			CHECK(!ck_pr_cas_##S##_value(&w.at, other, b, &seen)); \
			CHECK(seen == a && w.at == a); \
			seen = other; \
			CHECK(ck_pr_cas_##S##_value(&w.at, a, b, &seen)); \
			CHECK(seen == a && w.at == b); \
			CHECK_STEP(inc, S, (U)a + 1); \
			CHECK_STEP(dec, S, (U)a - 1); \
			CHECK_STEP(neg, S, 0 - (U)a); \
			CHECK_STEP(not, S, ~a); \
			CHECK_STEP_ZERO(inc, S, (U)a + 1); \
			CHECK_STEP_ZERO(dec, S, (U)a - 1); \
			ck_pr_store_##S(&w.at, a); \
			CHECK(ck_pr_neg_##S##_is_zero(&w.at) == (a == 0)); \
		} \
		CHECK(w.before == (T)0x33 && w.after == (T)0x44); \
	}

#define BITS(S, T, U) \
	static void bits_##S(void) \
	{ \
		struct { T before, at, after; } w = { (T)0x33, 0, (T)0x44 }; \
		for (unsigned b = 0; b < sizeof(T) * 8; b++) { \
			const T bit = (T)((U)1 << b), rest = (T)~bit; \
			w.at = 0; \
			CHECK(!ck_pr_bts_##S(&w.at, b) && w.at == bit); \
			CHECK(ck_pr_bts_##S(&w.at, b) && w.at == bit); \
			CHECK(ck_pr_btc_##S(&w.at, b) && w.at == 0); \
			CHECK(!ck_pr_btr_##S(&w.at, b) && w.at == 0); \
			w.at = (T)-1; \
			CHECK(ck_pr_btr_##S(&w.at, b) && w.at == rest); \
			CHECK(!ck_pr_btr_##S(&w.at, b) && w.at == rest); \
			CHECK(!ck_pr_btc_##S(&w.at, b) && w.at == (T)-1); \
		} \
		CHECK(w.before == (T)0x33 && w.after == (T)0x44); \
	}

/* Two threads at once: an update that is not one step is lost here. */
#define ATOMIC(S, T) \
	static struct { T sum, token, bits, flip, sign; } shared_##S; \
	static T token_##S[THREADS]; \
	static void hammer_##S(unsigned me) \
	{ \
		T mine = (T)(me + 1), bit = (T)(1 << me), old; \
		for (unsigned i = 0; i < 2 * ROUNDS; i++) { \
			T *sum = &shared_##S.sum; \
			ck_pr_faa_##S(sum, 7); \
			ck_pr_add_##S(sum, 5); \
			ck_pr_sub_##S(sum, 3); \
			ck_pr_inc_##S(sum); \
			(void)ck_pr_inc_##S##_is_zero(sum); \
			(void)ck_pr_dec_##S##_is_zero(sum); \
			ck_pr_dec_##S(sum); \
			old = ck_pr_load_##S(sum); \
			while (!ck_pr_cas_##S##_value(sum, old, (T)(old + 1), &old)) \
				; \
			do { \
				old = ck_pr_load_##S(sum); \
			} while (!ck_pr_cas_##S(sum, old, (T)(old + 1))); \
			mine = ck_pr_fas_##S(&shared_##S.token, mine); \
			ck_pr_or_##S(&shared_##S.bits, bit); \
			CHECK(ck_pr_load_##S(&shared_##S.bits) & bit); \
			ck_pr_and_##S(&shared_##S.bits, (T)~bit); \
			CHECK(!(ck_pr_load_##S(&shared_##S.bits) & bit)); \
			ck_pr_xor_##S(&shared_##S.bits, bit); \
			ck_pr_xor_##S(&shared_##S.bits, bit); \
			ck_pr_not_##S(&shared_##S.flip); \
			ck_pr_neg_##S(&shared_##S.sign); \
		} \
		token_##S[me] = mine; \
	} \
	static void atomic_##S(void) \
	{ \
		memset(&shared_##S, 0, sizeof(shared_##S)); \
		shared_##S.token = 4; \
		shared_##S.sign = 1; \
		run_both(hammer_##S); \
		CHECK(shared_##S.sum == (T)(THREADS * 2 * ROUNDS * 11)); \
		CHECK((shared_##S.token | token_##S[0] | token_##S[1]) == 7); \
		CHECK(shared_##S.bits == 0 && shared_##S.flip == 0 && shared_##S.sign == 1); \
	}

#define WHOLE(S, T, U) \
	VALUES(S, T, U) \
	ATOMIC(S, T)

WHOLE(char, char, unsigned char)
WHOLE(int, int, unsigned int)
WHOLE(uint, unsigned int, unsigned int)
WHOLE(64, uint64_t, uint64_t)
WHOLE(32, uint32_t, uint32_t)
WHOLE(16, uint16_t, uint16_t)
WHOLE(8, uint8_t, uint8_t)
BITS(int, int, unsigned int)
BITS(uint, unsigned int, unsigned int)
BITS(64, uint64_t, uint64_t)
BITS(32, uint32_t, uint32_t)
BITS(16, uint16_t, uint16_t)

/* Pointers and, for arithmetic, words kept where a pointer would be: CK's prototypes say void *. */
static void values_ptr(void)
{
	int x[2];
	int *at = &x[0], *seen = NULL;
	uintptr_t word = 0x5aa5;

	CHECK(ck_pr_load_ptr(&at) == &x[0]);
	ck_pr_store_ptr(&at, &x[1]);
	CHECK(at == &x[1]);
	CHECK(ck_pr_fas_ptr(&at, &x[0]) == &x[1] && at == &x[0]);
	CHECK(!ck_pr_cas_ptr(&at, &x[1], NULL) && at == &x[0]);
	CHECK(ck_pr_cas_ptr(&at, &x[0], NULL) && at == NULL);
	CHECK(!ck_pr_cas_ptr_value(&at, &x[1], &x[1], &seen) && seen == NULL && at == NULL);
	CHECK(ck_pr_cas_ptr_value(&at, NULL, &x[1], &seen) && seen == NULL && at == &x[1]);
	CHECK(ck_pr_faa_ptr(&at, sizeof(int)) == (uintptr_t)&x[1] && at == &x[2]);

	ck_pr_add_ptr(&word, 0x10);
	ck_pr_sub_ptr(&word, 0x5);
	CHECK(word == 0x5ab0);
	ck_pr_and_ptr(&word, 0xff0);
	ck_pr_or_ptr(&word, 0xf);
	ck_pr_xor_ptr(&word, 0x1f);
	CHECK(word == 0xaa0);
	ck_pr_inc_ptr(&word);
	ck_pr_inc_ptr(&word);
	ck_pr_dec_ptr(&word);
	CHECK(word == 0xaa1);
	ck_pr_not_ptr(&word);
	CHECK(word == ~(uintptr_t)0xaa1);
	ck_pr_neg_ptr(&word);
	CHECK(word == 0xaa2);
	CHECK(!ck_pr_bts_ptr(&word, 63) && word == ((uintptr_t)1 << 63 | 0xaa2));
	CHECK(ck_pr_btr_ptr(&word, 63) && word == 0xaa2);
	CHECK(ck_pr_btc_ptr(&word, 1) && word == 0xaa0);
	word = 1;
	CHECK(ck_pr_dec_ptr_is_zero(&word) && word == 0);
	CHECK(ck_pr_neg_ptr_is_zero(&word) && !ck_pr_inc_ptr_is_zero(&word) && word == 1);
}

static void values_double(void)
{
	double at = 0, seen = 1;

	ck_pr_store_double(&at, 1.5);
	CHECK(ck_pr_load_double(&at) == 1.5);
	CHECK(ck_pr_fas_double(&at, -0.0) == 1.5);
	CHECK(!ck_pr_cas_double(&at, 0.0, 1.0) && at == 0);
	CHECK(ck_pr_cas_double(&at, -0.0, 1.0) && at == 1.0);
	CHECK(!ck_pr_cas_double_value(&at, 2.0, 3.0, &seen) && seen == 1.0 && at == 1.0);
	CHECK(ck_pr_cas_double_value(&at, 1.0, 3.0, &seen) && seen == 1.0 && at == 3.0);
	CHECK(ck_pr_faa_double(&at, 0.5) == 3.0 && at == 3.5);
	ck_pr_sub_double(&at, 4.5);
	ck_pr_neg_double(&at);
	ck_pr_inc_double(&at);
	CHECK(at == 2.0);
}

#include "test_ck_layer_pairs.h"
#include "test_ck_layer_locks.h"

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "stall and fences", stall },
	{ "values char", values_char },
	{ "values int", values_int },
	{ "values uint", values_uint },
	{ "values 64", values_64 },
	{ "values 32", values_32 },
	{ "values 16", values_16 },
	{ "values 8", values_8 },
	{ "values ptr", values_ptr },
	{ "values double", values_double },
	{ "bits int", bits_int },
	{ "bits uint", bits_uint },
	{ "bits 64", bits_64 },
	{ "bits 32", bits_32 },
	{ "bits 16", bits_16 },
	{ "atomic char", atomic_char },
	{ "atomic int", atomic_int },
	{ "atomic uint", atomic_uint },
	{ "atomic 64", atomic_64 },
	{ "atomic 32", atomic_32 },
	{ "atomic 16", atomic_16 },
	{ "atomic 8", atomic_8 },
#ifdef CK_F_PR_CAS_PTR_2_VALUE
	{ "values pair", values_pair },
	{ "atomic pair", atomic_pair },
	{ "stack mpmc", stack_mpmc },
	{ "fifo mpmc", fifo_mpmc },
#endif
	{ "sequence", sequence },
#if WITH_CK_LIBRARY
	{ "barrier centralized", barrier_centralized },
	{ "barrier mcs", barrier_mcs },
	{ "epoch", epoch },
#endif
};

static void report(const char *kind, const char *name)
{
	static unsigned reported;

	printf("%s %s%s\n", failures == reported ? "ok  " : "FAIL", kind, name);
	fflush(stdout);
	reported = failures;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "race") == 0)
		return race(argc > 2 ? argv[2] : NULL);
	if (argc > 1) {
		fprintf(stderr, "cleave: test_ck_layer: unknown argument: %s\n", argv[1]);
		return 2;
	}
	printf("build: " BUILD "\n");
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cases[i].run();
		report("", cases[i].name);
	}
	if (failures != 0) {
		printf("locks not tried: on wrong primitives they may never be given back\n");
		return 1;
	}
	for (unsigned i = 0; i < LOCKS; i++) {
		try_lock(&locks[i]);
		report("lock ", locks[i].name);
	}
	if (!WITH_CK_LIBRARY)
		printf("skip barrier, epoch: CK's sources are not in this build\n");
	return failures != 0;
}
