/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Epoch-based reclamation (Fraser, "Practical lock-freedom", 2004, §5.2.3), in the form in which a
 * reader publishes the epoch that it entered in. Walks of structures that need no lock run between
 * enter and exit.
 */
#ifndef CLV_RECLAIM_H
#define CLV_RECLAIM_H

#include "thread.h"

/* pre: zeroed, once in the life of its handle. */
void clv_epoch_init(struct clv_epoch_record *record);

/* Nest freely. Cost: a store and a full fence; exit a store. */
void clv_epoch_enter(struct cleave_thread *thread);
void clv_epoch_exit(struct cleave_thread *thread);

/* Wait until everyone who was inside has left. pre: the caller is outside. */
void clv_epoch_synchronize(struct cleave_thread *thread);

/* Queue a call, and make those whose time has come every so often. */
void clv_epoch_defer(struct cleave_thread *thread, struct cleave_deferred *deferred,
		     void (*call)(struct cleave_deferred *deferred));

/* Synchronise and make all of this thread's calls. pre: outside. */
void clv_epoch_drain(struct cleave_thread *thread);

#endif
