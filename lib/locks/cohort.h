/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The cohort lock's inside, for rwcohort.c, whose readers look whether it is held: see cohort.c. */
#ifndef CLV_COHORT_H
#define CLV_COHORT_H

#include "atomic/ck_layer.h"

#include <ck_spinlock.h>

#include "locks/lock.h"

extern const struct clv_lock_type clv_lock_cohort;

/* The locks it is made of. */
enum clv_cohort_part { CLV_COHORT_MCS, CLV_COHORT_TICKET, CLV_COHORT_PARTS };

union clv_cohort_lock {
	ck_spinlock_mcs_t mcs;
	ck_spinlock_ticket_t ticket;
};

enum clv_cohort_kind { CLV_COHORT_L3, CLV_COHORT_NODE, CLV_COHORT_PACKAGE };

struct clv_cohort {
	struct clv_cohort_domain *domain; /* [domains] */
	union clv_cohort_lock *global;
	unsigned domains;
	enum clv_cohort_part part;
	enum clv_cohort_kind kind;
};

/*
 * Does somebody hold the global lock, or wait for it? So it is from before an acquisition returns until
 * the holder releases to nobody. Sequentially consistent with the read-modify-write by which the lock is
 * taken; and acquire: partner is the release.
 */
static inline bool clv_cohort_is_held(const struct clv_cohort *cohort)
{
	if (cohort->part == CLV_COHORT_MCS)
		return __atomic_load_n(&cohort->global->mcs, __ATOMIC_SEQ_CST);
#ifdef CK_F_SPINLOCK_TICKET_TRYLOCK
	uint32_t value = __atomic_load_n(&cohort->global->ticket.value, __ATOMIC_SEQ_CST);

	return (uint16_t)((value >> 16) - value);
#else
	return false;
#endif
}

#endif
