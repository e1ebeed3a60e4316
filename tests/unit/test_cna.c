// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The queues of lib/locks/cna.c, by themselves: one thread plays all, one step at a time. */
#include <criterion/criterion.h>
#include <string.h>

/* The library has one, too. */
#define clv_lock_cna clv_lock_cna_here
#include "lib/locks/cna.c"
#undef clv_lock_cna

static struct cleave_env *env;
static struct cleave_thread *thread[2]; /* of nodes 0 and 1 */

static void set_up(void)
{
	const struct cleave_env_options options = { .topology = "numa:2 core:1 pu:1" };

	cr_assert_eq(cleave_env_open(&env, &options, NULL), 0);
	for (int i = 0; i < 2; i++)
		cr_assert_eq(cleave_thread_begin(&thread[i], env, i), 0);
}

static void tear_down(void)
{
	for (int i = 0; i < 2; i++)
		cleave_thread_end(thread[i]);
	cleave_env_close(env);
}

TestSuite(cna, .init = set_up, .fini = tear_down);

/* The two steps of an acquire that has to wait. */
static struct node *come(struct cna *lock, struct clv_hold *hold, unsigned node)
{
	hold->thread = thread[node];
	struct node *self = begin(hold);
	struct node *before = lock->tail;

	cr_assert_not_null(before);
	lock->tail = self;
	return before;
}

static void queue_up(struct cna *lock, struct clv_hold *hold, unsigned node)
{
	come(lock, hold, node)->next = node_of(hold);
}

Test(cna, nearer_waiters_pass_others_that_keep_their_order)
{
	struct cna lock = { 0 };
	struct clv_hold hold[6];
	static const unsigned node[6] = { 0, 1, 1, 0, 1, 0 }, order[6] = { 0, 3, 5, 1, 2, 4 };

	hold[0].thread = thread[0];
	acquire(&lock, &hold[0]);
	for (unsigned i = 1; i < 6; i++)
		queue_up(&lock, &hold[i], node[i]);
	for (unsigned i = 0; i < 6; i++) {
		for (unsigned k = i; k < 6; k++)
			cr_assert_eq(!!node_of(&hold[order[k]])->turn, k == i, "%u, %u", i, k);
		release(&lock, &hold[order[i]]);
	}
	cr_assert_null(lock.tail);
}

/*
 * Two of node 0 in turn, each of which has entered the queue but is not linked yet when the other
 * looks whether anybody is behind: who waits in the second queue is passed LOCAL_MAX times all the same.
 */
Test(cna, who_is_about_to_come_does_not_begin_the_count_anew)
{
	struct cna lock = { 0 };
	struct clv_hold far, near[2];
	unsigned passed = 0;

	near[0].thread = thread[0];
	acquire(&lock, &near[0]);
	queue_up(&lock, &far, 1);
	queue_up(&lock, &near[1], 0);
	release(&lock, &near[0]);
	cr_assert_neq(node_of(&near[1])->turn, 0);
	for (unsigned holder = 1; !node_of(&far)->turn; holder = !holder) {
		struct node *before = come(&lock, &near[!holder], 0);

		cr_assert_leq(++passed, LOCAL_MAX, "passed by more");
		cr_assert_not(release_last(&lock, node_of(&near[holder])));
		before->next = node_of(&near[!holder]);
		release(&lock, &near[holder]);
	}
	cr_assert_eq(passed, LOCAL_MAX);
	cr_assert_eq(lock.local, 0);
	release(&lock, &far);
}
