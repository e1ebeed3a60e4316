// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Switches, by Boost.Context's C entry points (fcontext): registers and stack, no signal mask. A
 * switch is some 20 instructions.
 */
#include "internal.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

/* The address sanitizer keeps the bounds of the stack that it is on; it is told of each switch. */
static const void *main_low;
static size_t main_bytes;

static void leave(void **kept, const struct clv_vcpu *to)
{
	__sanitizer_start_switch_fiber(kept, to ? to->stack_low : main_low,
				       to ? to->stack_bytes : main_bytes);
}

static void arrive(void *kept, bool from_main)
{
	const void *low;
	size_t bytes;
	__sanitizer_finish_switch_fiber(kept, &low, &bytes);
	if (from_main) {
		main_low = low;
		main_bytes = bytes;
	}
}

static void forget(const struct clv_vcpu *cpu)
{
	__asan_unpoison_memory_region(cpu->stack_low, cpu->stack_bytes);
}
#else
static void leave(void **kept, const struct clv_vcpu *to)
{
	(void)kept;
	(void)to;
}

static void arrive(void *kept, bool from_main)
{
	(void)kept;
	(void)from_main;
}

static void forget(const struct clv_vcpu *cpu)
{
	(void)cpu;
}
#endif

struct transfer {
	void *from;
	void *data;
};

/* libboost_context; its header is C++. */
extern void *make_fcontext(void *stack_top, size_t bytes, void (*entry)(struct transfer));
extern struct transfer jump_fcontext(void *to, void *data);

/* Who was left is known to whoever was switched to: this says where it is to be kept. */
static void **left;

static void first(struct transfer transfer)
{
	*left = transfer.from;
	arrive(NULL, left == &clv_sim.main_context);
	((void (*)(void))transfer.data)();
	__builtin_unreachable();
}

void clv_fiber_make(struct clv_vcpu *cpu, char *stack_top, size_t bytes, void (*entry)(void))
{
	cpu->stack_low = stack_top - bytes;
	cpu->stack_bytes = bytes;
	forget(cpu); /* what was on it in an earlier run */
	cpu->context = make_fcontext(stack_top, bytes, first);
	cpu->start = (void *)entry;
}

void clv_fiber_switch(void **from, struct clv_vcpu *to, void *main)
{
	void *data = to ? to->start : NULL;
	left = from;
	if (to)
		to->start = NULL;
	void *kept = NULL;
	leave(&kept, to);
	struct transfer transfer = jump_fcontext(to ? to->context : main, data);
	*left = transfer.from;
	arrive(kept, left == &clv_sim.main_context);
}
