/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Lists of designs for tests, made of the registries: what is added there is in them. Some are of
 * parts that do not go together; each list says of which locks it may be so, and is refused with
 * -ENOTSUP.
 */
#ifndef DESIGNS_H
#define DESIGNS_H

#include <stdbool.h>

#include <cleave/cleave.h>

typedef void designs_visit_fn(const char *design, void *arg);

/* Each returns how many were visited. */

/* `cleave list designs`, those whose parts are all there, in their canonical form. */
unsigned designs_named(designs_visit_fn *visit, void *arg);

/*
 * rb_interval@cpu8, with four subsets where there are 16 CPUs on 4 nodes, under every scheme and
 * every lock, or the one lock twice, and under schemes and locks with arguments.
 */
unsigned designs_locked(designs_visit_fn *visit, void *arg);

/* May designs_locked's design be refused, for its scheme or its lock? Everything else has to open. */
bool designs_may_refuse(const char *design);

/*
 * A cover of all pairs of structure, scheme (with and without argument), partition and lock that go
 * together, but for those of scheme and lock that designs_locked has: every structure under every
 * scheme over three partitions, each with one lock. Structures other than `only` are left out, if that
 * is not NULL, and locks that have one of the flags `without` (lib/locks/lock.h).
 */
unsigned designs_cover(struct cleave_env *env, const char *only, unsigned without,
		       designs_visit_fn *visit, void *arg);

/*
 * Do waiters for locks, or in the scheme, keep their CPUs? What a structure spins for is written at
 * once, but for who has just lost its CPU: that is worth running.
 */
bool designs_spin(const char *design);

/* How many threads: `most`, or no more than there are CPUs, but two, where waiters keep theirs. */
unsigned designs_threads(const char *design, unsigned most);

#endif
