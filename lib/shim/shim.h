/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the library asks of the machine that it runs on. Everything that waits, allocates or reads
 * the time goes through here, so that the same code runs on the host (lib/shim/linux.c), on a
 * simulated machine, and in tests that own the clock. Which one is decided at link time.
 */
#ifndef CLV_SHIM_H
#define CLV_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cleave_thread;

#define CLV_CACHE_LINE 64
#define CLV_FOREVER UINT64_MAX

/*
 * One turn of a loop that waits for another thread to write. Every such loop calls it, or parks.
 * A simulated machine lets the loop rest until something that it has read is written. So a loop that
 * gives up after some turns calls clv_pause_bounded instead, and one that looks at the time does so
 * by clv_now_ns.
 */
#ifdef CLEAVE_SIMULATED
void clv_pause(void);
void clv_pause_bounded(void);
void clv_pause_until(uint64_t until_ns);
#else
static inline void clv_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb" ::: "memory");
#else
	__asm__ __volatile__("" ::: "memory");
#endif
}

static inline void clv_pause_bounded(void)
{
	clv_pause();
}

/*
 * One turn of a loop that waits for the time, by clv_now_ns, and for nobody. A simulated machine may
 * return only once it has come.
 */
static inline void clv_pause_until(uint64_t until_ns)
{
	(void)until_ns;
	clv_pause();
}
#endif

/* Monotonic, ns. On the host a call costs tens of ns. */
uint64_t clv_now_ns(void);

/*
 * Sleep until clv_wake(self) or `timeout_ns` from now (CLV_FOREVER: no limit). A wake that came
 * since the last park returns makes it return at once; at most one is remembered. May also return
 * for no reason: callers look at their condition again.
 * Returns: false if it is known that the time ran out without a wake.
 * Orders: what the waker wrote before clv_wake is seen after the park that it ends.
 */
bool clv_park(struct cleave_thread *self, uint64_t timeout_ns);

/* Threads: any, also after `thread` has ended (handles live as long as their environment). */
void clv_wake(struct cleave_thread *thread);

/*
 * Is it on a CPU, as far as is known? The host says no only while it is parked; a spinner that
 * waits for a thread may stop when it is not.
 */
bool clv_is_running(const struct cleave_thread *thread);

/* The calling thread's CPU, for cleave_thread_begin(-1) alone. -1: unknown. */
int clv_cpu_now(void);

/*
 * Zeroed memory; node -1: anywhere. NULL: none left. `free` is told the size it was asked with.
 * pre: align_bytes is a power of two.
 * On a host with several NUMA nodes the node holds for blocks of every size that are aligned to a
 * page at most: what is smaller than a page shares pages with that node's blocks alone, and cache
 * lines with nobody. It is a preference; a full node's memory comes from another. On a host with
 * one node, and under the address sanitizer, it has no effect.
 * Cost on the host: malloc's; where there are several nodes, of less than a page with a node, that
 * node's spin bit, and of a page and more, a system call.
 */
void *clv_alloc(size_t size_bytes, size_t align_bytes, int node);
void clv_free(void *block, size_t size_bytes);

/* What the shim keeps in each thread handle. Alone on its line: wakers write it. */
struct clv_parker {
	_Alignas(CLV_CACHE_LINE) uint32_t state;
	uint32_t parked;
	void *machine; /* the machine's own */
};

#endif
