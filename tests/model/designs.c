// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "designs.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cleave/structure.h>

#include "harness/designs.h"
#include "lib/design.h"
#include "lib/schemes/scheme.h"

enum { DESIGN_BYTES = 128, FRONT_BYTES = 64 /* without locks */ };

/* What the names of schemes and locks may be written with, and is worth a look of its own. */
static const char *const scheme_args[][2] = {
	{ "each", ".handover" },
	/* It changes after a few commits. */
	{ "promote", ".2.0.0" },
};
static const char *const lock_args[][2] = {
	{ "bravo", ".percpu" },
	{ "cohort", ".mcs.l3" },
	{ "rwcohort", ".neutral.mcs.l3" },
#ifdef __x86_64__
	{ "cohort", ".ticket.l3" },
#endif
};

struct listing {
	designs_visit_fn *visit;
	void *arg;
	unsigned count;
};

static void list(struct listing *listing, const char *design)
{
	listing->visit(design, listing->arg);
	listing->count++;
}

/* ---- by name ---- */

unsigned designs_named(designs_visit_fn *visit, void *arg)
{
	struct listing listing = { visit, arg, 0 };
	struct clv_design_room room;
	const struct clv_named_design *named;

	for (unsigned i = 0; (named = clv_named_design_at(i, &room)); i++) {
		char design[CLV_DESIGN_BYTES], name[96];

		if (!clv_design_resolve(named->name, design, sizeof(design), name, sizeof(name),
					NULL))
			list(&listing, design);
	}
	return listing.count;
}

/* ---- schemes and locks ---- */

static void list_with_lock(struct listing *listing, const char *front,
			   const struct clv_lock_type *lock)
{
	char design[DESIGN_BYTES];

	snprintf(design, sizeof(design), "%s:%s", front, lock->name);
	list(listing, design);
	for (unsigned i = 0; i < sizeof(lock_args) / sizeof(lock_args[0]); i++) {
		if (strcmp(lock->name, lock_args[i][0]))
			continue;
		snprintf(design, sizeof(design), "%s:%s%s", front, lock->name, lock_args[i][1]);
		list(listing, design);
	}
}

/* Call `each` with the scheme's name alone, and with each argument. */
static void with_args(const struct clv_scheme *scheme,
		      void (*each)(const char *written, const struct clv_scheme *scheme, void *arg),
		      void *arg)
{
	char written[FRONT_BYTES / 2];

	each(scheme->name, scheme, arg);
	for (unsigned i = 0; i < sizeof(scheme_args) / sizeof(scheme_args[0]); i++) {
		if (strcmp(scheme->name, scheme_args[i][0]))
			continue;
		snprintf(written, sizeof(written), "%s%s", scheme->name, scheme_args[i][1]);
		each(written, scheme, arg);
	}
}

static void lock_each(const char *written, const struct clv_scheme *scheme, void *arg)
{
	const struct clv_lock_type *lock;
	char front[FRONT_BYTES];

	(void)scheme;
	snprintf(front, sizeof(front), "rb_interval@cpu8/%s", written);
	for (unsigned i = 0; (lock = clv_lock_type_at(i)); i++)
		list_with_lock(arg, front, lock);
}

unsigned designs_locked(designs_visit_fn *visit, void *arg)
{
	struct listing listing = { visit, arg, 0 };
	const struct clv_scheme *scheme;

	for (unsigned i = 0; (scheme = clv_scheme_at(i)); i++)
		with_args(scheme, lock_each, &listing);
	return listing.count;
}

bool designs_may_refuse(const char *design)
{
	struct clv_design parsed;

	/* No lock over what does not synchronise itself. */
	if (clv_design_parse(&parsed, design, NULL))
		return parsed.scheme && parsed.scheme->locks == CLV_SCHEME_NO_LOCK;
	/* One thread may have to release what another has acquired; a scheme may have to try. */
	return parsed.lock[0].type->flags & CLV_LOCK_OWNED || !parsed.lock[0].type->try_acquire;
}

/* ---- structures, schemes and partitions ---- */

static const char *const partitions[] = { "", "@cpu1", "@hash4" };

struct cover {
	struct listing listing;
	struct cleave_env *env;
	unsigned without;
	const struct cleave_structure *structure;
	unsigned turn;
	/* Locks that it was listed with, a bit each. */
	uint64_t of_structure, of_partition[sizeof(partitions) / sizeof(partitions[0])];
};

static bool opens(const struct cover *cover, const char *design)
{
	struct cleave_map *map;

	if (cleave_open(&map, cover->env, design, NULL))
		return false;
	cleave_close(map);
	return true;
}

/* The lock, from the one whose turn it is on, that meets most that it has not met. */
static const struct clv_lock_type *choose(const struct cover *cover, const char *front, unsigned p)
{
	const struct clv_lock_type *best = NULL, *lock;
	unsigned locks = 0, most = 0;

	while (clv_lock_type_at(locks))
		locks++;
	for (unsigned k = 0; k < locks; k++) {
		unsigned i = (cover->turn + k) % locks;
		unsigned news = 1 + 2 * !(cover->of_structure >> i & 1) +
				!(cover->of_partition[p] >> i & 1);
		char design[DESIGN_BYTES];

		lock = clv_lock_type_at(i);
		snprintf(design, sizeof(design), "%s:%s", front, lock->name);
		if (news <= most || lock->flags & cover->without || !opens(cover, design))
			continue;
		most = news;
		best = lock;
	}
	return best;
}

static unsigned index_of(const struct clv_lock_type *lock)
{
	unsigned i = 0;

	while (clv_lock_type_at(i) != lock)
		i++;
	return i;
}

static void cover_partition(struct cover *cover, const char *written,
			    const struct clv_scheme *scheme, unsigned p)
{
	const struct clv_lock_type *lock;
	char front[FRONT_BYTES], design[DESIGN_BYTES];

	snprintf(front, sizeof(front), "%s%s/%s", cover->structure->name, partitions[p], written);
	if (scheme->locks == CLV_SCHEME_NO_LOCK) {
		list(&cover->listing, front);
		return;
	}
	lock = choose(cover, front, p);
	if (!lock) /* let it be seen */
		lock = clv_lock_type_at(0);
	cover->of_structure |= UINT64_C(1) << index_of(lock);
	cover->of_partition[p] |= UINT64_C(1) << index_of(lock);
	cover->turn++;
	snprintf(design, sizeof(design), "%s:%s", front, lock->name);
	list(&cover->listing, design);
}

static void cover_scheme(const char *written, const struct clv_scheme *scheme, void *arg)
{
	for (unsigned p = 0; p < sizeof(partitions) / sizeof(partitions[0]); p++)
		cover_partition(arg, written, scheme, p);
}

unsigned designs_cover(struct cleave_env *env, const char *only, unsigned without,
		       designs_visit_fn *visit, void *arg)
{
	struct cover cover = {
		.listing = { visit, arg, 0 },
		.env = env,
		.without = without,
	};
	const struct clv_scheme *scheme;

	for (unsigned i = 0; (cover.structure = cleave_structure_at(i)); i++) {
		cover.of_structure = 0;
		cover.turn = i;
		if (only && strcmp(only, cover.structure->name))
			continue;
		for (unsigned k = 0; (scheme = clv_scheme_at(k)); k++) {
			if (scheme->locks == CLV_SCHEME_NO_LOCK &&
			    cover.structure->kind != CLEAVE_CONCURRENT)
				continue;
			with_args(scheme, cover_scheme, &cover);
		}
	}
	return cover.listing.count;
}

bool designs_spin(const char *design)
{
	struct clv_design parsed;

	if (clv_design_parse(&parsed, design, NULL))
		return false;
	unsigned flags = parsed.scheme->waiting;
	for (unsigned i = 0; i < sizeof(parsed.lock) / sizeof(parsed.lock[0]); i++)
		flags |= parsed.lock[i].type ? parsed.lock[i].type->flags : 0;
	return flags & CLV_LOCK_SPINS;
}

unsigned designs_threads(const char *design, unsigned most)
{
	enum { FEWEST = 2 };
	cpu_set_t set;

	if (!designs_spin(design))
		return most;
	unsigned cpus = sched_getaffinity(0, sizeof(set), &set) ? FEWEST : (unsigned)CPU_COUNT(&set);
	unsigned fit = cpus > FEWEST ? cpus : FEWEST;
	return fit < most ? fit : most;
}
