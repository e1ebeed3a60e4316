/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Pages of a file, as workloads and schedules keep them; files end below 2^32 pages, 16 TiB. */
#ifndef CLV_RANGE_H
#define CLV_RANGE_H

#include <stdbool.h>
#include <stdint.h>

struct clv_range {
	uint32_t start, last; /* inclusive; start > last: none */
};

#define CLV_RANGE_NONE ((struct clv_range){ 1, 0 })

static inline bool clv_range_is_none(struct clv_range range)
{
	return range.start > range.last;
}

#endif
