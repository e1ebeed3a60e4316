// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "simulated.h"

#include <errno.h>

#include "../../lib/error.h"
#include "model.h"

int clv_machine_open_simulated(struct clv_machine **machine, const char *name,
			       struct cleave_error *error)
{
	struct clv_model *model;
	int code = clv_model_load(&model, name, error);
	(void)machine;
	if (code)
		return code;
	clv_model_free(model);
	return clv_error(error, -ENOTSUP, "machine '%.80s': the engine is not built in", name);
}
