// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What rwsem.numa has beside the rules of the rwsem, which the tests of those check of it as well: whose
 * turn it is among the spinners of two nodes, on a machine that the test owns.
 */
#include "rwsem_actors.h"

enum { TURNS = 65 }; /* of a node in a row; lib/locks/rwsem_numa.c */

TestSuite(rwsem_nodes, .init = fresh, .fini = fake_end_all);

static struct actor *writer_of(struct actor *actor, unsigned node)
{
	writer(actor)->thread->cpu = node;
	return actor;
}

/* The first that gets in when all of them run; NULL: none does. */
static struct actor *first_in(struct actor *actors, unsigned count)
{
	for (unsigned turn = 0; turn < 4; turn++) {
		for (unsigned i = 0; i < count; i++) {
			if (fake_state(actors[i].thread) == FAKE_ENDED)
				continue;
			fake_step(actors[i].thread);
			if (actors[i].inside)
				return &actors[i];
		}
	}
	return NULL;
}

Test(rwsem_nodes, those_of_one_come_in_a_row_and_not_for_ever)
{
	enum { NEAR = 2 * TURNS + 10, ALL = NEAR + 2 };
	static struct actor owner, spinning[ALL];
	struct actor *const far = &spinning[NEAR];

	inside(writer_of(&owner, 0));
	spins(writer_of(&spinning[0], 0));
	for (unsigned i = 1; i < NEAR; i++) {
		if (i == 3) { /* before most of the others */
			spins(writer_of(&far[0], 1));
			spins(writer_of(&far[1], 1));
		}
		fake_step(writer_of(&spinning[i], 0)->thread);
	}
	lets_go(&owner);
	for (unsigned i = 0; i < ALL; i++) {
		struct actor *in = first_in(spinning, ALL);
		struct actor *expected = i < TURNS ? &spinning[i] :
					 i < TURNS + 2 ? &far[i - TURNS] : &spinning[i - 2];

		cr_assert_eq(in, expected, "turn %u", i);
		lets_go(in);
	}
	cr_assert_eq(word(), 0);
	for (unsigned i = 0; i < ALL; i++)
		cr_assert_eq(fake_counts(spinning[i].thread)->parks, 0, "%u", i);
}

Test(rwsem_nodes, the_turn_goes_on_when_a_node_has_nobody_left)
{
	struct actor owner, near, far, late;

	inside(writer_of(&owner, 0));
	spins(writer_of(&near, 0));
	spins(writer_of(&far, 1));
	lets_go(&owner);
	inside(&near);
	/* It is inside and spins no more: the turn is the other node's, behind which who comes waits. */
	spins(writer_of(&late, 0));
	lets_go(&near);
	spins(&late);
	inside(&far);
	spins(&late);
	lets_go(&far);
	inside(&late);
	lets_go(&late);
	cr_assert_eq(word(), 0);
}

/* Who entered for the node in front may be gone: then its front counts. */
Test(rwsem_nodes, a_front_leaves_when_the_node_before_it_does_not_run)
{
	struct actor owner, again, entered, front, far, behind;

	inside(writer_of(&owner, 0));
	spins(writer_of(&entered, 0));
	spins(writer_of(&front, 0));
	spins(writer_of(&far, 1));
	spins(writer_of(&behind, 1));
	lets_go(&owner);
	inside(&entered);
	lets_go(&entered);
	inside(writer_of(&again, 0));
	spins(&front);

	fake_set_off_cpu(entered.thread, true);
	spins(&far);
	fake_set_off_cpu(front.thread, true);
	sleeps(&far);
	/* It was the next one's to go there, and it finds the same. */
	sleeps(&behind);

	fake_set_off_cpu(front.thread, false);
	lets_go(&again);
	inside(&front);
	lets_go(&front);
	inside(&far);
	lets_go(&far);
	inside(&behind);
	lets_go(&behind);
	cr_assert_eq(word(), 0);
}

Test(rwsem_nodes, a_spinner_leaves_from_the_middle_of_its_node)
{
	struct actor owner, front, middle, last, far;

	inside(writer_of(&owner, 1));
	spins(writer_of(&front, 0));
	spins(writer_of(&middle, 0));
	spins(writer_of(&last, 0));
	spins(writer_of(&far, 1));
	fake_set_off_cpu(front.thread, true);
	sleeps(&middle);
	fake_set_off_cpu(front.thread, false);
	spins(&last);
	lets_go(&owner);
	inside(&front);
	spins(&far);
	lets_go(&front);
	spins(&far);
	inside(&last);
	lets_go(&last);
	inside(&far);
	lets_go(&far);
	inside(&middle);
	lets_go(&middle);
	cr_assert_eq(word(), 0);
}
