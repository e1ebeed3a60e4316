// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The kernel's slab and call_rcu for lib/maple_tree.c: a list of free objects for each thread, last
 * in, first out, as cheap as a slab's fast path. Blocks come from the system a hundred objects at a
 * time and are never given back; a thread that ends leaves its objects to others.
 *
 * RCU: whoever calls holds the map's lock, so no reader is inside; but the operation itself may
 * still look at what it let go of. So objects are freed when it is over.
 */
#include "shim.h"

#include <pthread.h>
#include <stdlib.h>

enum { BLOCK_OBJECTS = 128 };

struct kmem_cache {
	unsigned size, align;
};

/* One cache is all that there ever is: the maple tree's nodes. */
static struct kmem_cache only;

struct object {
	struct object *next;
};

static __thread struct object *spare;
static struct object *left; /* by threads that ended */
static pthread_mutex_t left_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t ending;
static __thread struct rcu_head *put_off;
static __thread size_t *count_bytes;

struct kmem_cache *kmem_cache_create(const char *name, unsigned size, unsigned align,
				     unsigned flags, void (*constructor)(void *))
{
	(void)name;
	(void)flags;
	(void)constructor;
	only = (struct kmem_cache){ size, align };
	return &only;
}

static void leave(void *any)
{
	(void)any;
	pthread_mutex_lock(&left_lock);
	while (spare) {
		struct object *object = spare;
		spare = object->next;
		object->next = left;
		left = object;
	}
	pthread_mutex_unlock(&left_lock);
}

/* As at the kernel's start. */
void maple_tree_init(void);
static __attribute__((constructor)) void boot(void)
{
	if (pthread_key_create(&ending, leave))
		abort();
	maple_tree_init();
}

static void take_left(void)
{
	/* A value that is not NULL, so that `leave` is called. */
	pthread_setspecific(ending, &only);
	pthread_mutex_lock(&left_lock);
	spare = left;
	left = NULL;
	pthread_mutex_unlock(&left_lock);
}

/* Out of memory ends the program: a peer's insert must not fail, and allocates inside. */
static __attribute__((noinline)) void refill(const struct kmem_cache *cache)
{
	take_left();
	if (spare)
		return;
	char *block = aligned_alloc(cache->align, (size_t)BLOCK_OBJECTS * cache->size);
	if (!block)
		abort();
	for (unsigned i = 0; i < BLOCK_OBJECTS; i++) {
		struct object *object = (struct object *)(block + (size_t)i * cache->size);
		object->next = spare;
		spare = object;
	}
}

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	(void)gfp;
	if (!spare)
		refill(cache);
	struct object *object = spare;
	spare = object->next;
	*count_bytes += cache->size;
	return object;
}

int kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t gfp, size_t count, void **object)
{
	for (size_t i = 0; i < count; i++)
		object[i] = kmem_cache_alloc(cache, gfp);
	return (int)count;
}

void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	struct object *freed = object;
	freed->next = spare;
	spare = freed;
	*count_bytes -= cache->size;
}

void kmem_cache_free_bulk(struct kmem_cache *cache, size_t count, void **object)
{
	for (size_t i = 0; i < count; i++)
		kmem_cache_free(cache, object[i]);
}

void kmem_cache_shrink(struct kmem_cache *cache)
{
	(void)cache;
}

void call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	head->func = func;
	head->next = put_off;
	put_off = head;
}

void clv_peer_kernel_begin(size_t *bytes)
{
	count_bytes = bytes;
}

void clv_peer_kernel_end(void)
{
	while (put_off) {
		struct rcu_head *head = put_off;
		put_off = head->next;
		head->func(head);
	}
}
