// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* See osq.h, and osq_core.h for how it works. */
#include "locks/osq_core.h"

static bool thread_runs(const struct clv_osq_node *node)
{
	return clv_is_running(clv_osq_thread(node));
}

bool clv_osq_enter(struct clv_osq *queue, struct cleave_thread *self,
		   enum clv_osq_patience patience)
{
	return clv_osq_enter_node(queue, &self->osq, patience, thread_runs);
}

void clv_osq_exit(struct clv_osq *queue, struct cleave_thread *self)
{
	clv_osq_exit_node(queue, &self->osq);
}
