// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Part of the instrumented object: there the registries are that the cases look into. */
#include "seeded.h"

#include "lib/locks/lock.h"
#include "lib/schemes/scheme.h"
#include "tests/model/list_unlocked.h"

/* Made by tests/broken/meson.build. */
extern const struct cleave_structure *const seeded_structures[];
extern const struct clv_scheme *const seeded_schemes[];
extern const struct clv_lock_type *const seeded_locks[];

static void crash(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	(void)self;
	(void)update;
	(void)entry;
	__builtin_trap();
}

int seeded_add(struct cleave_error *error)
{
	/* Walks beside updates, and freeing deferred; and the same, not saying that it defers. */
	static struct cleave_structure hasty, crashes;
	hasty = list_unlocked;
	hasty.name = "broken_hasty";
	hasty.flags &= ~(unsigned)CLEAVE_DEFERS;
	crashes = list_unlocked;
	crashes.name = "broken_crashes";
	crashes.remove = crash;
	int code = cleave_register(&list_unlocked, error);
	if (!code)
		code = cleave_register(&crashes, error);
	if (!code)
		code = cleave_register(&hasty, error);
	for (unsigned i = 0; !code && seeded_structures[i]; i++)
		code = cleave_register(seeded_structures[i], error);
	for (unsigned i = 0; !code && seeded_schemes[i]; i++)
		code = clv_scheme_add(seeded_schemes[i]);
	for (unsigned i = 0; !code && seeded_locks[i]; i++)
		code = clv_lock_type_add(seeded_locks[i]);
	return code;
}
