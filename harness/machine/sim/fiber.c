// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Switches, by Boost.Context's C entry points (fcontext): registers and stack, no signal mask. A
 * switch is some 20 instructions.
 */
#include "internal.h"

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
	((void (*)(void))transfer.data)();
	__builtin_unreachable();
}

void clv_fiber_make(struct clv_vcpu *cpu, char *stack_top, size_t bytes, void (*entry)(void))
{
	cpu->context = make_fcontext(stack_top, bytes, first);
	cpu->start = (void *)entry;
}

void clv_fiber_switch(void **from, struct clv_vcpu *to, void *main)
{
	void *data = to ? to->start : NULL;
	left = from;
	if (to)
		to->start = NULL;
	struct transfer transfer = jump_fcontext(to ? to->context : main, data);
	*left = transfer.from;
}
