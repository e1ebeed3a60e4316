// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The locks that designs can name: those of registry.def, then what tests added.
 */
#include <errno.h>
#include <string.h>

#include "locks/lock.h"

#define CLV_LOCK(name) extern const struct clv_lock_type clv_lock_##name;
#include "registry.def"
#undef CLV_LOCK

static const struct clv_lock_type *const built_in[] = {
#define CLV_LOCK(name) &clv_lock_##name,
#include "registry.def"
#undef CLV_LOCK
};

enum { BUILT_IN = sizeof(built_in) / sizeof(built_in[0]), ADDED_MAX = 64 };

static const struct clv_lock_type *added[ADDED_MAX];
static unsigned added_count;

const struct clv_lock_type *clv_lock_type_at(unsigned i)
{
	if (i < BUILT_IN)
		return built_in[i];
	return i - BUILT_IN < added_count ? added[i - BUILT_IN] : NULL;
}

const struct clv_lock_type *clv_lock_type_find(const char *name, size_t length)
{
	const struct clv_lock_type *type;
	for (unsigned i = 0; (type = clv_lock_type_at(i)); i++) {
		if (strlen(type->name) == length && !memcmp(type->name, name, length))
			return type;
	}
	return NULL;
}

size_t clv_lock_name_length(const char *words, size_t length)
{
	const struct clv_lock_type *type;
	size_t longest = 0;
	for (unsigned i = 0; (type = clv_lock_type_at(i)); i++) {
		size_t bytes = strlen(type->name);
		if (bytes > longest && bytes <= length && !memcmp(type->name, words, bytes) &&
		    (bytes == length || words[bytes] == '.'))
			longest = bytes;
	}
	return longest;
}

int clv_lock_type_add(const struct clv_lock_type *type)
{
	if (clv_lock_type_find(type->name, strlen(type->name)))
		return -EEXIST;
	if (added_count == ADDED_MAX)
		return -ENOSPC;
	added[added_count++] = type;
	return 0;
}
