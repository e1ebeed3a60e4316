/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Force-included before code under test: a scheduling point before each atomic operation. Threads
 * are coroutines, so this explores sequentially consistent interleavings; memory orders are for
 * the thread sanitizer and the stress tests.
 */
#ifndef CLV_FAKE_ATOMICS_H
#define CLV_FAKE_ATOMICS_H

void fake_point(void);

#define __atomic_load_n(...) (fake_point(), __atomic_load_n(__VA_ARGS__))
#define __atomic_store_n(...) (fake_point(), __atomic_store_n(__VA_ARGS__))
#define __atomic_exchange_n(...) (fake_point(), __atomic_exchange_n(__VA_ARGS__))
#define __atomic_compare_exchange_n(...) (fake_point(), __atomic_compare_exchange_n(__VA_ARGS__))
#define __atomic_fetch_add(...) (fake_point(), __atomic_fetch_add(__VA_ARGS__))
#define __atomic_fetch_sub(...) (fake_point(), __atomic_fetch_sub(__VA_ARGS__))
#define __atomic_fetch_or(...) (fake_point(), __atomic_fetch_or(__VA_ARGS__))
#define __atomic_fetch_and(...) (fake_point(), __atomic_fetch_and(__VA_ARGS__))
#define __atomic_add_fetch(...) (fake_point(), __atomic_add_fetch(__VA_ARGS__))
#define __atomic_sub_fetch(...) (fake_point(), __atomic_sub_fetch(__VA_ARGS__))

#endif
