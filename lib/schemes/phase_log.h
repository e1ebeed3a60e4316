/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The last changes of a map that changes, written by one thread at a time and read by anybody without
 * a lock: a ring, whose places each say which change they have.
 *
 *     [ 65: turn, words ] [ 66 ] [ 3 ] ... [ 64 ]        total 66
 *
 * Invariant: a place whose turn is the same before and after its words were read had that change's
 * words. The words are written with release and read with acquire: who has read one of a later change
 * sees, of the turn, the 0 that was written before it, or more.
 */
#ifndef CLV_PHASE_LOG_H
#define CLV_PHASE_LOG_H

#include <errno.h>
#include <string.h>

#include "map.h"

enum { CLV_PHASES = 64 };

#define CLV_PHASE_WORDS (sizeof(struct cleave_phase) / sizeof(uint64_t))

struct clv_logged_phase {
	_Alignas(CLV_CACHE_LINE) uint64_t turn; /* from 1; 0 while it is written */
	uint64_t word[CLV_PHASE_WORDS];
};

_Static_assert(sizeof(struct cleave_phase) % sizeof(uint64_t) == 0, "it is copied by words");
_Static_assert(sizeof(struct clv_logged_phase) == CLV_CACHE_LINE, "a change is a line");

struct clv_phase_log {
	struct clv_logged_phase *at; /* [CLV_PHASES]; NULL: nothing was logged */
	uint64_t total;
};

static inline size_t clv_phase_log_bytes(const struct clv_phase_log *log)
{
	return log->at ? CLV_PHASES * sizeof(*log->at) : 0;
}

/* Room, if there is none yet. Returns: 0, -ENOMEM. */
static inline int clv_phase_log_make(struct clv_phase_log *log)
{
	size_t bytes = CLV_PHASES * sizeof(*log->at);
	if (log->at)
		return 0;
	log->at = clv_alloc(bytes, CLV_CACHE_LINE, -1);
	if (!log->at)
		return -ENOMEM;
	clv_name(log->at, bytes, sizeof(*log->at), "phases", -1, NULL);
	return 0;
}

static inline void clv_phase_log_fini(struct clv_phase_log *log)
{
	if (log->at)
		clv_free(log->at, clv_phase_log_bytes(log));
}

/* pre: there is room; nobody else writes. */
static inline void clv_phase_log_add(struct clv_phase_log *log, const struct cleave_phase *phase)
{
	uint64_t turn = log->total + 1;
	struct clv_logged_phase *place = &log->at[(turn - 1) % CLV_PHASES];
	uint64_t word[CLV_PHASE_WORDS];

	memcpy(word, phase, sizeof(word));
	__atomic_store_n(&place->turn, 0, __ATOMIC_RELAXED);
	/* Release, all: partners are the acquires in clv_phase_log_copy and clv_phase_log_read. */
	for (unsigned i = 0; i < CLV_PHASE_WORDS; i++)
		__atomic_store_n(&place->word[i], word[i], __ATOMIC_RELEASE);
	__atomic_store_n(&place->turn, turn, __ATOMIC_RELEASE);
	__atomic_store_n(&log->total, turn, __ATOMIC_RELEASE);
}

/* Returns: false if it has been written over. */
static inline bool clv_phase_log_copy(const struct clv_phase_log *log, uint64_t turn,
				      struct cleave_phase *phase)
{
	const struct clv_logged_phase *place = &log->at[(turn - 1) % CLV_PHASES];
	uint64_t word[CLV_PHASE_WORDS];

	if (__atomic_load_n(&place->turn, __ATOMIC_ACQUIRE) != turn)
		return false;
	for (unsigned i = 0; i < CLV_PHASE_WORDS; i++)
		word[i] = __atomic_load_n(&place->word[i], __ATOMIC_ACQUIRE);
	memcpy(phase, word, sizeof(word));
	return __atomic_load_n(&place->turn, __ATOMIC_RELAXED) == turn;
}

/*
 * As cleave_phases, with `opened` before all that was logged. Begins anew when the ring has gone round
 * under it, which takes CLV_PHASES changes.
 */
static inline unsigned clv_phase_log_read(const struct clv_phase_log *log,
					  const struct cleave_phase *opened,
					  struct cleave_phase *phases, unsigned most)
{
	uint64_t total, first;
	bool whole;

	if (most > CLV_PHASES)
		most = CLV_PHASES;
	do {
		total = __atomic_load_n(&log->total, __ATOMIC_ACQUIRE);
		first = total + 1 > most ? total + 1 - most : 0;
		whole = true;
		for (uint64_t i = first; i <= total && whole; i++) {
			if (i)
				whole = clv_phase_log_copy(log, i, &phases[i - first]);
			else
				phases[0] = *opened;
		}
	} while (!whole);
	return (unsigned)total + 1;
}

#endif
