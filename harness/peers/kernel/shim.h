/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What lib/rbtree.c, mm/interval_tree.c and lib/maple_tree.c of Linux take from the rest of the
 * kernel, as user space has it, for callers that keep others out themselves: locks do nothing, and
 * what RCU puts off is done when the operation is over (kmem_cache.c).
 *
 * The kernel's own accessors are plain or volatile accesses on x86 and arm64; so are these.
 */
#ifndef CLV_PEER_SHIM_H
#define CLV_PEER_SHIM_H

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#define CONFIG_64BIT 1
_Static_assert(sizeof(long) == 8, "the kernel's code is set for 64 bits");

#define __rcu
#define __must_hold(lock)
#define __init
/* glibc has one as well. */
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define fallthrough __attribute__((fallthrough))
#define EXPORT_SYMBOL(name)
#define EXPORT_SYMBOL_GPL(name)
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define container_of(pointer, type, member) ((type *)((char *)(pointer) - offsetof(type, member)))
#define min(a, b) ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define max(a, b) ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ > b_ ? a_ : b_; })

/* WARN_ON's condition is evaluated there, and its value used. */
#define BUG_ON(condition) assert(!(condition))
#define WARN_ON(condition) ({ bool warned_ = !!(condition); assert(!warned_); warned_; })
#define WARN_ON_ONCE(condition) WARN_ON(condition)
#define VM_BUG_ON_VMA(condition, vma) BUG_ON(condition)
#define printk(...) fprintf(stderr, __VA_ARGS__)
#define pr_err printk
#define pr_info printk
#define pr_cont printk
#define tracepoint_string(text) (text)
#define trace_ma_op(...) do { } while (0)
#define trace_ma_read(...) do { } while (0)
#define trace_ma_write(...) do { } while (0)

/* ---- memory order ---- */

#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))
#define smp_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#define rcu_dereference_check(pointer, condition) READ_ONCE(pointer)
#define rcu_dereference_protected(pointer, condition) (pointer)
#define rcu_assign_pointer(pointer, value) __atomic_store_n(&(pointer), value, __ATOMIC_RELEASE)
#define RCU_INIT_POINTER(pointer, value) WRITE_ONCE(pointer, value)
#define rcu_read_lock() do { } while (0)
#define rcu_read_unlock() do { } while (0)

struct rcu_head {
	struct rcu_head *next;
	void (*func)(struct rcu_head *head);
};
void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head));

typedef struct {
	char none;
} spinlock_t;
#define spin_lock(lock) ((void)(lock))
#define spin_unlock(lock) ((void)(lock))
#define spin_lock_init(lock) ((void)(lock))
#define lock_is_held(lock) 1
#define lockdep_is_held(lock) 1

/* ---- memory ---- */

typedef unsigned int gfp_t;
#define GFP_KERNEL 1u
#define GFP_NOWAIT 0u
#define __GFP_NOWARN 0u
#define SLAB_PANIC 0u
#define gfpflags_allow_blocking(gfp) ((gfp) == GFP_KERNEL)

struct kmem_cache;
struct kmem_cache *kmem_cache_create(const char *name, unsigned size, unsigned align,
				     unsigned flags, void (*constructor)(void *));
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
int kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t gfp, size_t count, void **object);
void kmem_cache_free(struct kmem_cache *cache, void *object);
void kmem_cache_free_bulk(struct kmem_cache *cache, size_t count, void **object);
void kmem_cache_shrink(struct kmem_cache *cache);

/*
 * Around each operation: what is allocated and freed in between counts in *bytes, and what RCU put
 * off is done at the end.
 */
void clv_peer_kernel_begin(size_t *bytes);
void clv_peer_kernel_end(void);

/* ---- entries that are not pointers, as include/linux/xarray.h tells them apart ---- */

static inline void *xa_mk_internal(unsigned long value)
{
	return (void *)(value << 2 | 2);
}

static inline unsigned long xa_to_internal(const void *entry)
{
	return (unsigned long)entry >> 2;
}

static inline bool xa_is_internal(const void *entry)
{
	return ((unsigned long)entry & 3) == 2;
}

static inline bool xa_is_value(const void *entry)
{
	return (unsigned long)entry & 1;
}

static inline unsigned long xa_to_value(const void *entry)
{
	return (unsigned long)entry >> 1;
}

static inline bool xa_is_node(const void *entry)
{
	return xa_is_internal(entry) && (unsigned long)entry > 4096;
}

static inline bool xa_is_zero(const void *entry)
{
	return entry == xa_mk_internal(257);
}

static inline bool xa_is_advanced(const void *entry)
{
	return xa_is_internal(entry) && entry <= xa_mk_internal(256);
}

/* The numbers from -4095 to -1. */
static inline bool xa_is_err(const void *entry)
{
	return xa_is_internal(entry) && (unsigned long)entry >= (unsigned long)-4095 << 2;
}

static inline int xa_err(const void *entry)
{
	return xa_is_err(entry) ? (int)((long)entry >> 2) : 0;
}

/* ---- mm/interval_tree.c ---- */

struct vm_area_struct;
#include <linux/rbtree.h>

/* struct cleave_vma by the kernel's names: kernel_interval_tree_vma.c has both agree. */
struct vm_area_struct {
	uint64_t entry;
	unsigned long vm_start;
	unsigned long vm_end;
	uint64_t line0[5];
	uint64_t line1[2];
	unsigned long vm_pgoff;
	uint64_t line1_rest[5];
	struct {
		struct rb_node rb;
		unsigned long rb_subtree_last;
	} shared;
	uint64_t line2_rest[4];
} __attribute__((aligned(64)));

static inline unsigned long vma_pages(struct vm_area_struct *vma)
{
	return (vma->vm_end - vma->vm_start) >> 12;
}

/* The other half of that file, which nobody here uses. */
struct anon_vma_chain {
	struct vm_area_struct *vma;
	struct rb_node rb;
	unsigned long rb_subtree_last;
};

void vma_interval_tree_insert(struct vm_area_struct *node, struct rb_root_cached *root);
void vma_interval_tree_insert_after(struct vm_area_struct *node, struct vm_area_struct *previous,
				    struct rb_root_cached *root);
void vma_interval_tree_remove(struct vm_area_struct *node, struct rb_root_cached *root);
struct vm_area_struct *vma_interval_tree_iter_first(struct rb_root_cached *root,
						    unsigned long start, unsigned long last);
struct vm_area_struct *vma_interval_tree_iter_next(struct vm_area_struct *node,
						   unsigned long start, unsigned long last);

#endif
