/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What model.c and model_file.c share, and the models that are built in: models/embed.py writes the
 * table from the files in models/.
 */
#ifndef CLV_MODEL_FILE_H
#define CLV_MODEL_FILE_H

#include "machine.h"
#include "model.h"

struct clv_built_in {
	struct clv_model_info info;
	struct clv_machine_info machine; /* the same, as machines are listed */
	const char *json;
	size_t json_bytes;
};
extern const struct clv_built_in clv_built_in[];
extern const unsigned clv_built_ins;

const struct clv_parameter *clv_parameter_find(const char *name); /* NULL: no such */

/* A value in the file's unit, within its own bounds. Returns: 0; -EINVAL. */
int clv_costs_set(struct clv_costs *costs, const struct clv_parameter *parameter, double value,
		  struct cleave_error *error);
/* What several parameters say together. Returns: 0; -EINVAL. */
int clv_costs_check(const struct clv_costs *costs, struct cleave_error *error);

/* FNV-1a, 64 bits. */
#define CLV_HASH_EMPTY UINT64_C(0xcbf29ce484222325)
uint64_t clv_hash(uint64_t hash, const void *data, size_t bytes);

/*
 * The name of the machine in the file at `path`: the file's own without .json.
 * Returns: NULL; or what is wrong with it.
 */
const char *clv_model_name_of(const char *path, char *name, size_t room);

/* Work model->digest out, of costs and topology_hash. */
void clv_model_digest(struct clv_model *model);

#endif
