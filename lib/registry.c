// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The structures that designs can name: those of structures/registry.def, then what the program
 * added.
 */
#include "registry.h"

#include <errno.h>
#include <string.h>

#include "error.h"

#define CLEAVE_STRUCTURE(name) extern const struct cleave_structure cleave_##name;
#include "../structures/registry.def"
#undef CLEAVE_STRUCTURE

static const struct cleave_structure *const built_in[] = {
#define CLEAVE_STRUCTURE(name) &cleave_##name,
#include "../structures/registry.def"
#undef CLEAVE_STRUCTURE
};

/* So that a design string of it has room for the rest. */
#define NAME_MAX_CHARACTERS 40

enum { BUILT_IN = sizeof(built_in) / sizeof(built_in[0]), ADDED_MAX = 64 };

static const struct cleave_structure *added[ADDED_MAX];
static unsigned added_count;

const struct cleave_structure *cleave_structure_at(unsigned i)
{
	if (i < BUILT_IN)
		return built_in[i];
	return i - BUILT_IN < added_count ? added[i - BUILT_IN] : NULL;
}

const struct cleave_structure *clv_structure_find(const char *name, size_t length)
{
	const struct cleave_structure *structure;
	for (unsigned i = 0; (structure = cleave_structure_at(i)); i++) {
		if (strlen(structure->name) == length && !memcmp(structure->name, name, length))
			return structure;
	}
	return NULL;
}

/* Returns: what is wrong with it, NULL if nothing. */
static const char *fault_of(const struct cleave_structure *s)
{
	if (!s->name[0] || strspn(s->name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(s->name))
		return "its name is not made of a-z, 0-9 and _";
	if (strlen(s->name) > NAME_MAX_CHARACTERS)
		return "its name is longer than 40 characters";
	if (!s->summary || !s->source)
		return "summary or source is missing";
	if (s->kind > CLEAVE_CONCURRENT)
		return "its kind is unknown";
	if (!s->bounds || !s->create || !s->destroy || !s->insert || !s->remove || !s->walk ||
	    !s->empty || !s->validate || !s->memory)
		return "one of bounds, create, destroy, insert, remove, walk, empty, validate, "
		       "memory is missing";
	if (!s->prepare != !s->settle)
		return "prepare and settle go together";
	if (s->entry_size_bytes < sizeof(struct cleave_entry) || !s->entry_align_bytes ||
	    (s->entry_align_bytes & (s->entry_align_bytes - 1)) ||
	    s->entry_size_bytes % s->entry_align_bytes)
		return "entry size and alignment do not agree";
	if (!s->last_max)
		return "last_max is 0";
	if (s->keeps & ~(unsigned)CLEAVE_KEEPS_ALL)
		return "it keeps guarantees that do not exist";
	if ((s->flags & CLEAVE_SINK) && (s->keeps || !(s->flags & CLEAVE_UNRANKED)))
		return "a sink keeps nothing, and is never ranked";
	if ((s->keeps & CLEAVE_C8_EMPTY_UNLOCKED) && !s->change)
		return "it keeps C8, but has no change: removing and inserting looks empty";
	if ((s->flags & CLEAVE_DEFERS) && !(s->flags & CLEAVE_WALKS_UNLOCKED) &&
	    s->kind != CLEAVE_CONCURRENT)
		return "it defers, but its walks are locked out";
	return NULL;
}

int cleave_register(const struct cleave_structure *structure, struct cleave_error *error)
{
	if (!structure || !structure->name)
		return clv_error(error, -EINVAL, "structure: it has no name");
	const char *fault = fault_of(structure);
	if (fault)
		return clv_error(error, -EINVAL, "structure %s: %s", structure->name, fault);
	if (clv_structure_find(structure->name, strlen(structure->name)))
		return clv_error(error, -EEXIST, "structure %s: there is one", structure->name);
	if (added_count == ADDED_MAX)
		return clv_error(error, -ENOSPC, "structure %s: no room for more than %d",
				 structure->name, ADDED_MAX);
	added[added_count++] = structure;
	return 0;
}
