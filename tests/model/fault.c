// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "fault.h"

#include <stddef.h>

static int64_t countdown = -1; /* allocations left until the one that fails; below 0: none will */
static uint32_t failed;
static int64_t live_blocks, live_bytes;

void *__real_clv_alloc(size_t size_bytes, size_t align_bytes, int node);
void __real_clv_free(void *block, size_t size_bytes);
void *__wrap_clv_alloc(size_t size_bytes, size_t align_bytes, int node);
void __wrap_clv_free(void *block, size_t size_bytes);

void fault_at(uint64_t n)
{
	__atomic_store_n(&failed, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&countdown, (int64_t)n, __ATOMIC_RELAXED);
}

bool fault_off(void)
{
	__atomic_store_n(&countdown, -1, __ATOMIC_RELAXED);
	return __atomic_load_n(&failed, __ATOMIC_RELAXED);
}

int64_t fault_live_blocks(void)
{
	return __atomic_load_n(&live_blocks, __ATOMIC_RELAXED);
}

int64_t fault_live_bytes(void)
{
	return __atomic_load_n(&live_bytes, __ATOMIC_RELAXED);
}

void *__wrap_clv_alloc(size_t size_bytes, size_t align_bytes, int node)
{
	if (__atomic_load_n(&countdown, __ATOMIC_RELAXED) >= 0 &&
	    __atomic_fetch_sub(&countdown, 1, __ATOMIC_RELAXED) == 0) {
		__atomic_store_n(&failed, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	void *block = __real_clv_alloc(size_bytes, align_bytes, node);

	if (block) {
		__atomic_add_fetch(&live_blocks, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&live_bytes, (int64_t)size_bytes, __ATOMIC_RELAXED);
	}
	return block;
}

void __wrap_clv_free(void *block, size_t size_bytes)
{
	if (block) {
		__atomic_sub_fetch(&live_blocks, 1, __ATOMIC_RELAXED);
		__atomic_sub_fetch(&live_bytes, (int64_t)size_bytes, __ATOMIC_RELAXED);
	}
	__real_clv_free(block, size_bytes);
}
