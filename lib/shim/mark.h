/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the library tells a simulated machine beside its accesses: which lock it waits for and has,
 * and what its memory is called. On a host all of it is nothing.
 */
#ifndef CLV_MARK_H
#define CLV_MARK_H

#include <stddef.h>

#include <cleave/structure.h>

enum clv_mark {
	CLV_MARK_ASK,	      /* about to acquire */
	CLV_MARK_GOT,	      /* has it, exclusive */
	CLV_MARK_GOT_SHARED,
	CLV_MARK_FAILED,      /* a try that did not get it */
	CLV_MARK_FREE,	      /* about to release */
	CLV_MARK_FREED,	      /* has released */
};

#ifdef CLEAVE_SIMULATED
void clv_mark(enum clv_mark mark, const void *lock);
/*
 * The block, of clv_alloc's, consists of objects of `stride_bytes` (0: one). Names and tables are
 * constants; a table of fields ends with a NULL name. `index` tells blocks of one name apart in a report; -1: nothing to tell.
 */
void clv_name(const void *block, size_t bytes, size_t stride_bytes, const char *name, int index,
	      const struct cleave_field *fields);
/* Until the next call, blocks that this CPU allocates are called so; NULL: no longer. */
void clv_name_allocations(const char *name, int index);
#else
static inline void clv_mark(enum clv_mark mark, const void *lock)
{
	(void)mark;
	(void)lock;
}

static inline void clv_name(const void *block, size_t bytes, size_t stride_bytes, const char *name,
			    int index, const struct cleave_field *fields)
{
	(void)block;
	(void)bytes;
	(void)stride_bytes;
	(void)name;
	(void)index;
	(void)fields;
}

static inline void clv_name_allocations(const char *name, int index)
{
	(void)name;
	(void)index;
}
#endif

#endif
