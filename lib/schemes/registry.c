// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>

#include "../error.h"
#include "scheme.h"

#define CLV_SCHEME(name) extern const struct clv_scheme clv_scheme_##name;
#include "registry.def"
#undef CLV_SCHEME

static const struct clv_scheme *const built_in[] = {
#define CLV_SCHEME(name) &clv_scheme_##name,
#include "registry.def"
#undef CLV_SCHEME
};

enum { BUILT_IN = sizeof(built_in) / sizeof(built_in[0]), ADDED_MAX = 64 };

static const struct clv_scheme *added[ADDED_MAX];
static unsigned added_count;

const struct clv_scheme *clv_scheme_at(unsigned i)
{
	if (i < BUILT_IN)
		return built_in[i];
	return i - BUILT_IN < added_count ? added[i - BUILT_IN] : NULL;
}

const struct clv_scheme *clv_scheme_find(const char *name, size_t length)
{
	const struct clv_scheme *scheme;
	for (unsigned i = 0; (scheme = clv_scheme_at(i)); i++) {
		if (strlen(scheme->name) == length && !memcmp(scheme->name, name, length))
			return scheme;
	}
	return NULL;
}

int clv_scheme_add(const struct clv_scheme *scheme)
{
	if (clv_scheme_find(scheme->name, strlen(scheme->name)))
		return -EEXIST;
	if (added_count == ADDED_MAX)
		return -ENOSPC;
	added[added_count++] = scheme;
	return 0;
}

bool clv_scheme_number(const struct clv_lock_args *args, unsigned i, unsigned least, unsigned most,
		       unsigned *value)
{
	unsigned number = 0;
	if (i >= args->count)
		return true;
	for (const char *at = args->arg[i]; *at; at++) {
		if (*at < '0' || *at > '9')
			return false;
		number = number * 10 + (unsigned)(*at - '0');
		if (number > most)
			return false;
	}
	*value = number;
	return number >= least;
}

int clv_scheme_init_state(struct cleave_map *map, size_t size_bytes,
			  const struct clv_lock_args *args, unsigned locks,
			  struct cleave_error *error)
{
	if (args->count)
		return clv_error(error, -EINVAL, "scheme %s: it takes no argument, not '%s'",
				 map->scheme->name, args->arg[0]);
	map->scheme_state = clv_alloc(size_bytes, CLV_CACHE_LINE, -1);
	if (!map->scheme_state)
		return clv_error(error, -ENOMEM, "scheme %s: out of memory", map->scheme->name);
	clv_name(map->scheme_state, size_bytes, 0, "scheme", -1, NULL);
	int code = clv_map_lock_make(map->scheme_state, map, &map->design.lock[0], locks,
				     locks == map->partition.subsets && locks > 1, error);
	if (code) {
		clv_free(map->scheme_state, size_bytes);
		map->scheme_state = NULL;
	}
	return code;
}

void clv_scheme_fini_state(struct cleave_map *map, size_t size_bytes)
{
	clv_map_lock_fini(map->scheme_state);
	clv_free(map->scheme_state, size_bytes);
	map->scheme_state = NULL;
}
