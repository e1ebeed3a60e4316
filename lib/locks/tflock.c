// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Task-fair reader-writer spinlock: readers and writers alike are served in the order in which they
 * came; readers that follow each other are inside together. Neither side starves, and a reader behind
 * a writer waits for all before it.
 *
 *     request       readers 31..16 | writers 15..0    who has come
 *     completion    readers 31..16 | writers 15..0    who has gone
 *
 * A writer waits until completion is what request was when it came; a reader, until its half of
 * writers is. Spinning; all who wait spin on one word. More threads than CPUs: it collapses as ticket
 * does. At most 32,767 may wait. No tries: who has drawn a number cannot give it back.
 *
 * 8 bytes an instance, both words in one line.
 * Source: Mellor-Crummey and Scott, "Scalable Reader-Writer Synchronization", PPoPP 1991, the
 * centralised ticket form; CK tflock.h.
 */
#include "atomic/ck_layer.h"

#include <ck_tflock.h>

#include "locks/lock.h"

static void acquire(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_tflock_ticket_write_lock(lock);
}

static void release(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_tflock_ticket_write_unlock(lock);
}

static void acquire_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_tflock_ticket_read_lock(lock);
}

static void release_shared(void *lock, struct clv_hold *hold)
{
	(void)hold;
	ck_tflock_ticket_read_unlock(lock);
}

static const struct cleave_field fields[] = {
	{ offsetof(ck_tflock_ticket_t, request), "request" },
	{ offsetof(ck_tflock_ticket_t, completion), "completion" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_tflock = {
	.name = "tflock",
	.summary = "spinning, task-fair: readers and writers in the order in which they came",
	.source = "Mellor-Crummey and Scott 1991; Concurrency Kit ck_tflock",
	.flags = CLV_LOCK_SPINS | CLV_LOCK_FIFO,
	.size_bytes = sizeof(ck_tflock_ticket_t),
	.acquire = acquire,
	.release = release,
	.acquire_shared = acquire_shared,
	.release_shared = release_shared,
	.fields = fields,
};
