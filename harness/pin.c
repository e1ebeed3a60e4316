// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Binding with sched_setaffinity(2). The kernel moves the thread before that call returns, so
 * sched_getcpu, asked afterwards, must already give the CPU. Both the mask and the CPU are checked:
 * a sandbox's kernel may accept the call and do nothing.
 */
#define _GNU_SOURCE
#include "pin.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "../lib/error.h"

/* CPUs that a mask can have. The kernel refuses to read into one that is shorter than its own. */
#define MASK_CPUS 65536u

/* Returns: a mask with no CPU in it, to CPU_FREE; NULL for no memory. */
static cpu_set_t *make_mask(void)
{
	cpu_set_t *mask = CPU_ALLOC(MASK_CPUS);
	if (mask)
		CPU_ZERO_S(CPU_ALLOC_SIZE(MASK_CPUS), mask);
	return mask;
}

static int check_with(cpu_set_t *mask, unsigned os, struct cleave_error *error)
{
	const size_t bytes = CPU_ALLOC_SIZE(MASK_CPUS);
	CPU_ZERO_S(bytes, mask);
	if (sched_getaffinity(0, bytes, mask))
		return clv_error(error, -errno, "cannot read a thread's binding: CPU %u: %s", os,
				 strerror(errno));
	int bound = CPU_COUNT_S(bytes, mask);
	if (bound != 1 || !CPU_ISSET_S(os, bytes, mask))
		return clv_error(error, -EXDEV, "binding did not hold: CPU %u: %d CPUs allowed, %s",
				 os, bound,
				 CPU_ISSET_S(os, bytes, mask) ? "this one among them"
							      : "this one not");
	int now = sched_getcpu();
	if (now < 0)
		return clv_error(error, -errno, "cannot read a thread's CPU: CPU %u: %s", os,
				 strerror(errno));
	if ((unsigned)now != os)
		return clv_error(error, -EXDEV, "binding did not hold: CPU %u: running on CPU %d",
				 os, now);
	return 0;
}

static int bind_with(cpu_set_t *mask, unsigned os, struct cleave_error *error)
{
	const size_t bytes = CPU_ALLOC_SIZE(MASK_CPUS);
	CPU_SET_S(os, bytes, mask);
	if (sched_setaffinity(0, bytes, mask))
		return clv_error(error, -errno, "cannot bind a thread: CPU %u: %s", os,
				 errno == EINVAL ? "no such CPU, or not ours to use"
						 : strerror(errno));
	return check_with(mask, os, error);
}

int clv_pin(unsigned os, struct cleave_error *error)
{
	if (os >= MASK_CPUS)
		return clv_error(error, -EINVAL, "cannot bind a thread: CPU %u: no such CPU", os);
	cpu_set_t *mask = make_mask();
	if (!mask)
		return clv_error(error, -ENOMEM, "no memory: binding to CPU %u", os);
	int status = bind_with(mask, os, error);
	CPU_FREE(mask);
	return status;
}

int clv_pin_check(unsigned os, struct cleave_error *error)
{
	if (os >= MASK_CPUS)
		return clv_error(error, -EXDEV, "binding did not hold: CPU %u: no such CPU", os);
	cpu_set_t *mask = make_mask();
	if (!mask)
		return clv_error(error, -ENOMEM, "no memory: binding to CPU %u", os);
	int status = check_with(mask, os, error);
	CPU_FREE(mask);
	return status;
}
