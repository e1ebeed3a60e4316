/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the peers' adapters share. A peer is what others would use for the job, behind the library's
 * vtable: its own code does the work, the adapter hands operands over. It is built where its
 * package is installed (meson -Dpeers=enabled), for comparison alone, and installed nowhere.
 *
 * An adapter may do what a structure of this library may not: take memory inside an update. Where it
 * cannot get any it ends the program.
 */
#ifndef CLV_PEER_H
#define CLV_PEER_H

#include <cleave/structure.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * No peer has a `change`: an entry is removed and inserted. So an only entry is out of sight
 * meanwhile (all but C8), and one whose start stays goes behind its ties, where CLEAVE_ORDERED would
 * leave it. C1 and C2 hold the others' order.
 */
#define CLV_PEER_KEEPS (CLEAVE_KEEPS_ALL & ~CLEAVE_C8_EMPTY_UNLOCKED)

static inline struct cleave_interval *clv_peer_interval(const struct cleave_entry *entry)
{
	return cleave_container_of(entry, struct cleave_interval, entry);
}

static inline void clv_peer_bounds(const struct cleave_entry *entry, uint64_t *start,
				   uint64_t *last)
{
	*start = clv_peer_interval(entry)->start;
	*last = clv_peer_interval(entry)->last;
}

static inline void clv_peer_set_bounds(struct cleave_entry *entry, uint64_t start, uint64_t last)
{
	clv_peer_interval(entry)->start = start;
	clv_peer_interval(entry)->last = last;
}

#ifdef __cplusplus
}
#endif
#endif
