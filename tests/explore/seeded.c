// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Part of the instrumented object: there the registries are that the cases look into. */
#include "seeded.h"

#include "lib/locks/lock.h"
#include "lib/schemes/scheme.h"

/* Made by tests/broken/meson.build. */
extern const struct cleave_structure *const seeded_structures[];
extern const struct clv_scheme *const seeded_schemes[];
extern const struct clv_lock_type *const seeded_locks[];

int seeded_add(struct cleave_error *error)
{
	int code = 0;
	for (unsigned i = 0; !code && seeded_structures[i]; i++)
		code = cleave_register(seeded_structures[i], error);
	for (unsigned i = 0; !code && seeded_schemes[i]; i++)
		code = clv_scheme_add(seeded_schemes[i]);
	for (unsigned i = 0; !code && seeded_locks[i]; i++)
		code = clv_lock_type_add(seeded_locks[i]);
	return code;
}
