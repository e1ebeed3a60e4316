/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Counts what the library allocates, and makes an allocation fail. Linked with
 * -Wl,--wrap=clv_alloc,--wrap=clv_free.
 */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* From now on the n-th allocation fails, counted from 0, and only that one. */
void fault_at(uint64_t n);
/* No more. Returns: has one failed since fault_at? */
bool fault_off(void);

/* Allocated and not freed. */
int64_t fault_live_blocks(void);
int64_t fault_live_bytes(void);

#endif
