// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What instrumented code calls: in the place of the thread sanitizer's runtime, gcc's block
 * tracer and the C library's memory functions, whose names simulated.sh changes in its objects:
 * __tsan_read8 becomes clv_entry_read8 and so on. Outside a simulated CPU they do what they stand
 * for and charge nothing.
 */
#include <string.h>

#include "core.h"

#define ENTRY(name) clv_entry_##name

/* ---- plain and volatile accesses ---- */

#define LOAD(name, bytes) \
	void ENTRY(name)(const void *at); \
	void ENTRY(name)(const void *at) \
	{ \
		struct clv_vcpu *cpu = clv_sim_current; \
		if (LIKELY(cpu)) { \
			clv_sim.counts.loads++; \
			clv_core_load(cpu, at, bytes); \
		} \
	}
#define STORE(name) \
	void ENTRY(name)(const void *at); \
	void ENTRY(name)(const void *at) \
	{ \
		struct clv_vcpu *cpu = clv_sim_current; \
		if (LIKELY(cpu)) { \
			clv_sim.counts.stores++; \
			clv_core_store(cpu, at); \
		} \
	}
#define BOTH(bytes) \
	LOAD(read##bytes, bytes) \
	LOAD(volatile_read##bytes, bytes) \
	STORE(write##bytes) \
	STORE(volatile_write##bytes)
#define UNALIGNED(bytes) \
	LOAD(unaligned_read##bytes, bytes) \
	LOAD(unaligned_volatile_read##bytes, bytes) \
	STORE(unaligned_write##bytes) \
	STORE(unaligned_volatile_write##bytes)

BOTH(1)
BOTH(2)
BOTH(4)
BOTH(8)
BOTH(16)
UNALIGNED(2)
UNALIGNED(4)
UNALIGNED(8)
UNALIGNED(16)

/* ---- ranges ---- */

static void range(const void *at, size_t bytes, bool store)
{
	struct clv_vcpu *cpu = clv_sim_current;
	if (!cpu)
		return;
	clv_sim.counts.ranges++;
	clv_sim.counts.range_bytes += bytes;
	clv_core_range(cpu, at, bytes, store);
}

void ENTRY(read_range)(const void *at, size_t bytes);
void ENTRY(read_range)(const void *at, size_t bytes)
{
	range(at, bytes, false);
}

void ENTRY(write_range)(const void *at, size_t bytes);
void ENTRY(write_range)(const void *at, size_t bytes)
{
	range(at, bytes, true);
}

void *ENTRY(memcpy)(void *to, const void *from, size_t bytes);
void *ENTRY(memcpy)(void *to, const void *from, size_t bytes)
{
	range(from, bytes, false);
	range(to, bytes, true);
	return memcpy(to, from, bytes);
}

void *ENTRY(memmove)(void *to, const void *from, size_t bytes);
void *ENTRY(memmove)(void *to, const void *from, size_t bytes)
{
	range(from, bytes, false);
	range(to, bytes, true);
	return memmove(to, from, bytes);
}

void *ENTRY(memset)(void *to, int byte, size_t bytes);
void *ENTRY(memset)(void *to, int byte, size_t bytes)
{
	range(to, bytes, true);
	return memset(to, byte, bytes);
}

int ENTRY(memcmp)(const void *a, const void *b, size_t bytes);
int ENTRY(memcmp)(const void *a, const void *b, size_t bytes)
{
	range(a, bytes, false);
	range(b, bytes, false);
	return memcmp(a, b, bytes);
}

/* ---- atomics ---- */

/* gcc passes the memory order as the constants of __atomic; only a store's matters on x86-64. */

static void atomic_load(const volatile void *at, unsigned bytes)
{
	struct clv_vcpu *cpu = clv_sim_current;
	if (LIKELY(cpu)) {
		clv_sim.counts.atomics++;
		clv_core_load(cpu, (const void *)at, bytes);
	}
}

static void atomic_store(const volatile void *at, int order)
{
	struct clv_vcpu *cpu = clv_sim_current;
	if (UNLIKELY(!cpu))
		return;
	clv_sim.counts.atomics++;
	if (order == __ATOMIC_SEQ_CST) /* an exchange */
		clv_core_atomic(cpu, (const void *)at);
	else
		clv_core_store(cpu, (const void *)at);
}

static void atomic_update(const volatile void *at)
{
	struct clv_vcpu *cpu = clv_sim_current;
	if (LIKELY(cpu)) {
		clv_sim.counts.atomics++;
		clv_core_atomic(cpu, (const void *)at);
	}
}

/* One host thread: after the charge nothing else runs, and plain accesses would do. */
#define UPDATE(bits, T, name) \
	T ENTRY(atomic##bits##_##name)(volatile T *at, T value, int order); \
	T ENTRY(atomic##bits##_##name)(volatile T *at, T value, int order) \
	{ \
		(void)order; \
		atomic_update(at); \
		return __atomic_##name(at, value, __ATOMIC_RELAXED); \
	}
#define EXCHANGE(bits, T, kind) \
	int ENTRY(atomic##bits##_compare_exchange_##kind)(volatile T *at, T *expected, T value, \
							  int order, int failure); \
	int ENTRY(atomic##bits##_compare_exchange_##kind)(volatile T *at, T *expected, T value, \
							  int order, int failure) \
	{ \
		(void)order; \
		(void)failure; \
		atomic_update(at); \
		T seen = *at; \
		if (seen == *expected) { \
			*at = value; \
			return 1; \
		} \
		*expected = seen; \
		return 0; \
	}
#define ATOMICS(bits, T) \
	T ENTRY(atomic##bits##_load)(const volatile T *at, int order); \
	T ENTRY(atomic##bits##_load)(const volatile T *at, int order) \
	{ \
		(void)order; \
		atomic_load(at, bits / 8); \
		return *at; \
	} \
	void ENTRY(atomic##bits##_store)(volatile T *at, T value, int order); \
	void ENTRY(atomic##bits##_store)(volatile T *at, T value, int order) \
	{ \
		atomic_store(at, order); \
		*at = value; \
	} \
	T ENTRY(atomic##bits##_exchange)(volatile T *at, T value, int order); \
	T ENTRY(atomic##bits##_exchange)(volatile T *at, T value, int order) \
	{ \
		(void)order; \
		atomic_update(at); \
		T seen = *at; \
		*at = value; \
		return seen; \
	} \
	EXCHANGE(bits, T, strong) \
	EXCHANGE(bits, T, weak) \
	T ENTRY(atomic##bits##_compare_exchange_val)(volatile T *at, T expected, T value, \
						     int order, int failure); \
	T ENTRY(atomic##bits##_compare_exchange_val)(volatile T *at, T expected, T value, \
						     int order, int failure) \
	{ \
		(void)order; \
		(void)failure; \
		atomic_update(at); \
		T seen = *at; \
		if (seen == expected) \
			*at = value; \
		return seen; \
	}
#define ARITHMETIC(bits, T) \
	UPDATE(bits, T, fetch_add) \
	UPDATE(bits, T, fetch_sub) \
	UPDATE(bits, T, fetch_and) \
	UPDATE(bits, T, fetch_or) \
	UPDATE(bits, T, fetch_xor) \
	UPDATE(bits, T, fetch_nand)

ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)
ATOMICS(128, __uint128_t)
ARITHMETIC(8, uint8_t)
ARITHMETIC(16, uint16_t)
ARITHMETIC(32, uint32_t)
ARITHMETIC(64, uint64_t)

void ENTRY(atomic_thread_fence)(int order);
void ENTRY(atomic_thread_fence)(int order)
{
	struct clv_vcpu *cpu = clv_sim_current;
	if (!cpu)
		return;
	clv_sim.counts.fences++;
	if (order == __ATOMIC_SEQ_CST && clv_sim.charged)
		clv_core_fence(cpu);
}

void ENTRY(atomic_signal_fence)(int order);
void ENTRY(atomic_signal_fence)(int order)
{
	(void)order;
}

/* ---- what is called and means nothing here ---- */

void ENTRY(init)(void);
void ENTRY(init)(void)
{
}

void ENTRY(func_entry)(void *caller);
void ENTRY(func_entry)(void *caller)
{
	(void)caller;
}

void ENTRY(func_exit)(void);
void ENTRY(func_exit)(void)
{
}

/* ---- basic blocks ---- */

/*
 * A predictor for the successor of a block, in the manner of TAGE (Seznec and Michaud, JILP 2006).
 * Blocks that have always had the same one are predicted so. For the others there are, the longest
 * that knows first: what followed after the same last HISTORY_LONG such blocks' outcomes; after
 * the same few; and the last successor, kept until it was wrong twice. A wrong prediction teaches
 * the next longer table. The tables are shared by all CPUs, which run one code: what is predictable
 * is so on each, and a branch on data is on none. The history is each CPU's own.
 */
enum { LAST = 1 << 17, LEARNT = 1 << 14 };
#define HISTORY_SHORT UINT64_C(0xffff) /* four outcomes; all 64 bits are some twenty */

struct guess {
	uint32_t next;
	uint16_t tag;
	uint8_t sure;
	bool varies; /* of `last`: more than one successor has been seen */
};

static struct guess last[LAST], after_few[LEARNT], after_many[LEARNT];

void clv_predictor_reset(void);
void clv_predictor_reset(void)
{
	memset(last, 0, sizeof(last));
	memset(after_few, 0, sizeof(after_few));
	memset(after_many, 0, sizeof(after_many));
}

static void learn(struct guess *guess, uint32_t next, uint16_t tag)
{
	if (guess->tag == tag && guess->next == next)
		guess->sure += guess->sure < 3;
	else if (guess->sure)
		guess->sure--;
	else
		*guess = (struct guess){ next, tag, 1, guess->varies };
}

static struct guess *look_up(struct guess *table, uint32_t block, uint64_t history, uint16_t *tag)
{
	uint64_t mixed = (block ^ history * 0xbf58476d1ce4e5b9u) * 0x9e3779b97f4a7c15u;
	*tag = (uint16_t)(mixed >> 24) | 1;
	return &table[mixed >> 50];
}

/* Of a block whose successor varies. */
static bool predict_varying(struct clv_vcpu *cpu, struct guess *by_last, uint32_t next)
{
	uint16_t few_tag, many_tag;
	struct guess *few = look_up(after_few, cpu->block, cpu->history & HISTORY_SHORT, &few_tag);
	struct guess *many = look_up(after_many, cpu->block, cpu->history, &many_tag);
	bool few_knows = few->tag == few_tag && few->sure > 1;
	bool many_knows = many->tag == many_tag && many->sure > 1;
	bool few_right = few_knows ? few->next == next : by_last->next == next;
	bool right = many_knows ? many->next == next : few_right;
	if (by_last->next != next || few->tag == few_tag)
		learn(few, next, few_tag);
	if (!few_right || many->tag == many_tag)
		learn(many, next, many_tag);
	cpu->history = cpu->history << 3 ^ next >> 2;
	return right;
}

static bool predict(struct clv_vcpu *cpu, uint32_t next)
{
	uint32_t mixed = cpu->block * 0x9e3779b1u;
	/* A place for each of some 512 KiB of code: where two blocks shared one, they would never be
	 * foreseen, and which do would change with every build. */
	struct guess *by_last = &last[cpu->block >> 2 & (LAST - 1)];
	uint16_t tag = (uint16_t)mixed | 1;
	bool known = by_last->tag == tag, right = known && by_last->next == next;
	if (LIKELY(right && !by_last->varies))
		return true;
	if (known && !right)
		by_last->varies = true;
	else if (!known)
		by_last->varies = false;
	if (known && by_last->varies)
		right = predict_varying(cpu, by_last, next);
	learn(by_last, next, tag);
	return right;
}

void ENTRY(block)(void);
void ENTRY(block)(void)
{
	struct clv_vcpu *cpu = clv_sim_current;
	if (UNLIKELY(!cpu))
		return;
	if (UNLIKELY(++clv_sim.counts.blocks % CLV_BLOCKS_BARE == 0))
		clv_core_idle(cpu);
	/* Relative to the instrumented code: no matter where it is, or what else is linked. */
	uint32_t block = (uint32_t)((uintptr_t)__builtin_return_address(0) -
				    (uintptr_t)__start_clv_sim_text);
	if (UNLIKELY(!clv_sim.charged)) {
		if (clv_sim.reached)
			clv_sim.reached[block] = 1;
		return;
	}
	bool right = predict(cpu, block);
	/* Out of a loop that has waited: hardware has learnt to stay, in many turns; here were two. */
	if (UNLIKELY(cpu->roused && cpu->last_done > cpu->clock))
		right = cpu->roused = false;
	if (UNLIKELY(!right)) {
		clv_sim.counts.mispredicts++;
		cpu->clock = clv_max(cpu->clock, cpu->last_done) + clv_sim.costs.mispredict_ps;
	}
	cpu->clock += cpu->block_ps;
	cpu->block = block;
}

/* ---- for tests ---- */

void clv_sim_load(const void *at, unsigned bytes)
{
	clv_sim.counts.loads++;
	clv_core_load(clv_sim_current, at, bytes);
}

void clv_sim_store(const void *at, unsigned bytes)
{
	(void)bytes;
	clv_sim.counts.stores++;
	clv_core_store(clv_sim_current, at);
}

void clv_sim_atomic(const void *at, unsigned bytes)
{
	(void)bytes;
	clv_sim.counts.atomics++;
	clv_core_atomic(clv_sim_current, at);
}

void clv_sim_fence(void)
{
	clv_sim.counts.fences++;
	clv_core_fence(clv_sim_current);
}

void clv_sim_compute(uint64_t ps)
{
	clv_sim_current->clock += ps;
}

uint64_t clv_sim_settle(void)
{
	clv_core_serialise(clv_sim_current);
	return clv_sim_current->clock;
}

uint64_t clv_sim_now_ps(void)
{
	return clv_sim_current ? clv_sim_current->clock : 0;
}

unsigned clv_sim_cpu(void)
{
	return clv_sim_current->index;
}
