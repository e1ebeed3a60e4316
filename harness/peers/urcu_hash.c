// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Peer: the lock-free hash table of liburcu, cds_lfht (LGPL-2.1-or-later), keyed by who the interval
 * is. It knows of no order and no overlap: every walk looks at everything, so that it keeps neither C1
 * nor C2, and is never ranked. Used under a lock like the others; so what is deleted may be used again
 * at once, if no resizing is under way: it grows inside an insert, in that thread, never by itself.
 *
 * An entry keeps the table's node in word[0] and word[1]. To be destroyed the table has to be emptied,
 * which touches the entries left inside, unlike what structures promise.
 */
#define _LGPL_SOURCE
#include <errno.h>
#include <stdlib.h>

#include <urcu/urcu-bp.h>

#include <urcu/rculfhash.h>

#include "peer.h"

enum { FIRST_BUCKETS = 64 };

struct table {
	struct cds_lfht *hash;
	unsigned long buckets;
	unsigned long count;
};

static struct cds_lfht_node *node_of(struct cleave_entry *entry)
{
	return (struct cds_lfht_node *)clv_peer_interval(entry)->word;
}

static struct cleave_interval *interval_of(struct cds_lfht_node *node)
{
	return cleave_container_of((uintptr_t(*)[5])node, struct cleave_interval, word);
}

/* The finaliser of MurmurHash3, over the entry's address: that is its id. */
static unsigned long hash_of(const struct cleave_entry *entry)
{
	uint64_t id = (uintptr_t)entry;
	id = (id ^ id >> 33) * UINT64_C(0xff51afd7ed558ccd);
	id = (id ^ id >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return id ^ id >> 33;
}

static int create(void **self, const struct cleave_structure_config *config)
{
	struct table *table = cleave_alloc(sizeof(*table), 64, config->node);
	if (!table)
		return -ENOMEM;
	table->buckets = FIRST_BUCKETS;
	table->hash = cds_lfht_new_flavor(FIRST_BUCKETS, FIRST_BUCKETS, 0, 0, &urcu_bp_flavor, NULL);
	if (!table->hash) {
		cleave_free(table, sizeof(*table));
		return -ENOMEM;
	}
	*self = table;
	return 0;
}

static void destroy(void *self)
{
	struct table *table = self;
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	urcu_bp_read_lock();
	cds_lfht_for_each(table->hash, &iter, node)
		cds_lfht_del(table->hash, node);
	urcu_bp_read_unlock();
	cds_lfht_destroy(table->hash, NULL);
	cleave_free(table, sizeof(*table));
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	struct table *table = self;
	struct cds_lfht_node *node = node_of(entry);
	(void)update;
	(void)source;
	clv_peer_set_bounds(entry, start, last);
	if (table->count == table->buckets) {
		table->buckets *= 2;
		cds_lfht_resize(table->hash, table->buckets);
	}
	cds_lfht_node_init(node);
	urcu_bp_read_lock();
	cds_lfht_add(table->hash, hash_of(entry), node);
	urcu_bp_read_unlock();
	__atomic_store_n(&table->count, table->count + 1, __ATOMIC_RELAXED);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	struct table *table = self;
	(void)update;
	urcu_bp_read_lock();
	cds_lfht_del(table->hash, node_of(entry));
	urcu_bp_read_unlock();
	__atomic_store_n(&table->count, table->count - 1, __ATOMIC_RELAXED);
}

/* The visitor may sleep: it is the map's lock that keeps the nodes, and no read section. */
static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	struct table *table = self;
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	(void)thread;
	(void)subset;
	cds_lfht_for_each(table->hash, &iter, node) {
		struct cleave_interval *interval = interval_of(node);
		if (interval->start > last || interval->last < start)
			continue;
		int code = visit(&interval->entry, arg);
		if (code)
			return code;
	}
	return 0;
}

static bool empty(const void *self)
{
	const struct table *table = self;
	return !__atomic_load_n(&table->count, __ATOMIC_RELAXED);
}

static const char *validate(void *self)
{
	struct table *table = self;
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	unsigned long count = 0;
	cds_lfht_for_each(table->hash, &iter, node)
		count++;
	return count == table->count ? NULL : "not as many entries as counted";
}

/* What it says of itself: a node a bucket. */
static size_t memory(const void *self)
{
	const struct table *table = self;
	return sizeof(*table) + table->buckets * sizeof(struct cds_lfht_node);
}

const struct cleave_structure clv_peer_urcu_hash = {
	.name = "urcu_hash",
	.summary = "liburcu's hash table keyed by id: no overlap query (peer, LGPL-2.1-or-later)",
	.source = "liburcu, rculfhash",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = CLEAVE_UNRANKED,
	.keeps = CLV_PEER_KEEPS &
		 ~(CLEAVE_C1_PARENT_BEFORE_CHILD | CLEAVE_C2_SOURCE_BEFORE_COPY),
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = UINT64_MAX,
	.bounds = clv_peer_bounds,
	.create = create,
	.destroy = destroy,
	.insert = insert,
	.remove = remove_entry,
	.walk = walk,
	.empty = empty,
	.validate = validate,
	.memory = memory,
};
