// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "validate.h"

#include <stdio.h>
#include <string.h>

json_t *clv_validation_rows(const struct clv_validation *validation, const char *name)
{
	if (!validation->out)
		return NULL;
	json_t *rows = json_object_get(validation->out, name);
	if (!rows) {
		rows = json_array();
		json_object_set_new(validation->out, name, rows);
	}
	return rows;
}

void clv_validation_row(json_t *rows, json_t *row)
{
	if (rows && row)
		json_array_append_new(rows, row);
	else
		json_decref(row);
}

json_t *clv_trial_json(const struct clv_trial *trial)
{
	json_t *changes = json_array();
	for (unsigned i = 0; i < trial->tweaks; i++) {
		const struct clv_tweak *tweak = &trial->tweak[i];
		json_array_append_new(changes, json_pack("{s:s, s:f}", "parameter",
							 tweak->parameter,
							 tweak->factor ? "times" : "value",
							 tweak->value));
	}
	json_t *row = json_pack("{s:s, s:s, s:i, s:s, s:I, s:f, s:o}", "machine", trial->machine,
				"design", trial->design ? trial->design : "", "threads",
				(int)trial->threads, "placement", trial->placement, "seed",
				(json_int_t)trial->seed, "migrate", trial->migrate, "changes",
				changes);
	json_object_set_new(row, "think_ns", trial->think_ns < 0 ?
						    json_null() :
						    json_integer(trial->think_ns));
	json_object_set_new(row, "population", json_integer((json_int_t)trial->population));
	json_object_set_new(row, "other_lock_ns", json_integer((json_int_t)trial->other_lock_ns));
	if (trial->code) {
		json_object_set_new(row, "failed", json_string(trial->why));
		return row;
	}
	json_object_set_new(row, "ops_per_s", json_real(trial->ops_per_s));
	json_object_set_new(row, "execs_per_s", json_real(trial->execs_per_s));
	json_object_set_new(row, "hold_ns", json_real(trial->hold_ns));
	json_object_set_new(row, "handover_ns", json_real(trial->handover_ns));
	json_object_set_new(row, "acquisitions", json_integer((json_int_t)trial->acquisitions));
	json_object_set_new(row, "transfers", json_real(trial->transfers));
	json_object_set_new(row, "short", json_boolean(trial->is_short));
	return row;
}

int clv_validation_trials(const struct clv_validation *validation, struct clv_trial *trial,
			  unsigned trials, const char *what)
{
	return clv_trials_run(trial, trials, validation->jobs, what, validation->error);
}

unsigned clv_validation_failed(const struct clv_trial *trial, unsigned trials)
{
	unsigned failed = 0;
	for (unsigned i = 0; i < trials; i++) {
		if (!trial[i].code)
			continue;
		printf("no number: %s, %u threads: %s\n", trial[i].design ? trial[i].design :
			"program", trial[i].threads, trial[i].why);
		failed++;
	}
	return failed;
}
