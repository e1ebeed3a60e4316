/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The host's time, for how long something took. Not for what runs on a simulated machine. */
#ifndef CLV_CLOCK_H
#define CLV_CLOCK_H

#include "../lib/shim/shim.h"

static inline double clv_now_s(void)
{
	return (double)clv_now_ns() / 1e9;
}

#endif
