// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "dawdle.h"

#include "lib/locks/lock.h"

#define DAWDLE_NS 30000

static const struct clv_lock_type *real;
static struct clv_lock_type dawdle;

static void acquire(void *lock, struct clv_hold *hold)
{
	real->acquire(lock, hold);
	clv_park(hold->thread, DAWDLE_NS);
}

static void release(void *lock, struct clv_hold *hold)
{
	struct cleave_thread *thread = hold->thread;

	real->release(lock, hold);
	clv_park(thread, DAWDLE_NS);
}

int dawdle_add(void)
{
	real = clv_lock_type_find("rwsem", 5);
	dawdle = *real;
	dawdle.name = "dawdle";
	dawdle.summary = "rwsem whose writers sleep before they go on: for tests";
	dawdle.acquire = acquire;
	dawdle.release = release;
	return clv_lock_type_add(&dawdle);
}
