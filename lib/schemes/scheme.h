/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A scheme decides which locks a batch, a walk and a hold take. One file each in lib/schemes/, one
 * line in lib/schemes/registry.def, one const struct clv_scheme named clv_scheme_<name>.
 */
#ifndef CLV_SCHEME_H
#define CLV_SCHEME_H

#include <cleave/structure.h>

#include "locks/lock.h"
#include "map.h"

enum clv_scheme_locks {
	CLV_SCHEME_NO_LOCK,  /* the structure synchronises itself */
	CLV_SCHEME_ONE_LOCK, /* ":A" */
	CLV_SCHEME_TWO_LOCKS /* ":A+B"; B absent = A */
};

struct clv_scheme {
	const char *name;
	const char *summary;
	const char *source;
	enum clv_scheme_locks locks;
	unsigned waiting; /* CLV_LOCK_SPINS if it waits by itself, beside its locks */
	/*
	 * It begins with one subset, number 0, before the partition's, which follow as 1 and up: only
	 * the object of subset 0 is made when the map is opened, those of the others by
	 * clv_map_create_objects when the scheme wants them. A partition of one subset has none such.
	 */
	bool starts_whole;
	/* Guarantees kept over a structure that keeps them. */
	unsigned (*keeps)(const struct cleave_map *map);

	/*
	 * Take args ("each.handover"), make locks. pre: map->partition, structure and objects are
	 * there. Returns: 0; -EINVAL, -ENOTSUP (does not go with this structure), -ENOMEM.
	 */
	int (*init)(struct cleave_map *map, const struct clv_lock_args *args,
		    struct cleave_error *error);
	void (*fini)(struct cleave_map *map);

	/*
	 * Optional: reserve what commit needs beside the structure's, before that; -ENOMEM. It may
	 * choose another subset for entries that are inserted than that of the CPU in the partition.
	 */
	int (*prepare)(struct cleave_map *map, struct cleave_thread *thread,
		       struct cleave_batch *batch);
	void (*settle)(struct cleave_map *map, struct cleave_thread *thread,
		       struct cleave_batch *batch);

	/* Lock, clv_map_apply_locked every op, unlock. Cannot fail. */
	void (*commit)(struct cleave_map *map, struct cleave_thread *thread,
		       struct cleave_batch *batch);

	int (*walk)(struct cleave_map *map, struct cleave_thread *thread, uint64_t start,
		    uint64_t last, unsigned flags, cleave_visit_fn *visit, void *arg);

	/* How many locks a hold of the whole map takes. */
	unsigned (*hold_count)(const struct cleave_map *map);
	/* NULL, both: no C6. Returns: 0, -EBUSY, -ENOTSUP. */
	int (*hold)(struct cleave_map *map, struct cleave_thread *thread,
		    enum cleave_hold_mode mode, unsigned flags, struct clv_hold *holds);
	void (*release)(struct cleave_map *map, struct cleave_thread *thread,
			enum cleave_hold_mode mode, struct clv_hold *holds);

	/* Bytes of locks and the scheme's own. */
	size_t (*memory)(const struct cleave_map *map);

	/* As cleave_phases. NULL: it never changes. */
	unsigned (*phases)(const struct cleave_map *map, struct cleave_phase *phases,
			   unsigned most);
};

const struct clv_scheme *clv_scheme_at(unsigned i);
const struct clv_scheme *clv_scheme_find(const char *name, size_t length);
int clv_scheme_add(const struct clv_scheme *scheme); /* tests; -EEXIST, -ENOSPC */

/* The i-th argument, if there is one. Returns: false if it is no number of `least` to `most`. */
bool clv_scheme_number(const struct clv_lock_args *args, unsigned i, unsigned least, unsigned most,
		       unsigned *value);

/*
 * For schemes whose state begins with a struct clv_map_lock of the design's first lock: allocate
 * it and make the locks; refuse arguments. Returns: 0; -EINVAL, -ENOMEM, with nothing left behind.
 */
int clv_scheme_init_state(struct cleave_map *map, size_t size_bytes,
			  const struct clv_lock_args *args, unsigned locks,
			  struct cleave_error *error);
void clv_scheme_fini_state(struct cleave_map *map, size_t size_bytes);

#endif
