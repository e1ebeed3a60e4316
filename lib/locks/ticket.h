/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The ticket lock's own operations, for locks that are made of it: see ticket.c. */
#ifndef CLV_TICKET_H
#define CLV_TICKET_H

#include "atomic/ck_layer.h"

#include <ck_spinlock.h>

static inline void clv_ticket_release(ck_spinlock_ticket_t *ticket)
{
#ifdef __x86_64__
	/*
	 * The half that says who is called is the holder's alone to write: that takes no atomic, which
	 * CK's unlock has. Release: partner is the load in ck_spinlock_ticket_lock, or the
	 * read-modify-write by which the next one finds the lock free.
	 */
	uint16_t *position = (uint16_t *)(void *)&ticket->value;

	ck_pr_fence_unlock();
	ck_pr_store_16(position, (uint16_t)(ck_pr_load_16(position) + 1));
#else
	ck_spinlock_ticket_unlock(ticket);
#endif
}

#endif
