/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A machine's parameters, found out: every one of struct clv_costs, measured or assumed, and why.
 */
#ifndef CLV_CALIBRATION_H
#define CLV_CALIBRATION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "../machine/model.h"
#include "probes.h"

struct clv_machine;
struct clv_topology;
struct clv_system;
struct cleave_error;

/* In the order of the file. Of those by distance, one for each: FIRST + enum clv_distance. */
enum clv_cal {
	CLV_CAL_L1_BYTES,
	CLV_CAL_L1_WAYS,
	CLV_CAL_L2_BYTES,
	CLV_CAL_L2_WAYS,
	CLV_CAL_L3_BYTES,
	CLV_CAL_L3_WAYS,
	CLV_CAL_L1,
	CLV_CAL_L2,
	CLV_CAL_L3,
	CLV_CAL_MEMORY, /* begins at CLV_DIST_NODE: CLV_CAL_MEMORY + distance - CLV_DIST_NODE */
	CLV_CAL_READ = CLV_CAL_MEMORY + CLV_DISTANCES - CLV_DIST_NODE,
	CLV_CAL_WRITE = CLV_CAL_READ + CLV_DISTANCES,
	CLV_CAL_UPGRADE = CLV_CAL_WRITE + CLV_DISTANCES,
	CLV_CAL_TAKES = CLV_CAL_UPGRADE + CLV_DISTANCES,
	CLV_CAL_REQUEST = CLV_CAL_TAKES + CLV_DISTANCES,
	CLV_CAL_INVALIDATE,
	CLV_CAL_SHARE,
	CLV_CAL_HOME,
	CLV_CAL_BLOCK,
	CLV_CAL_ACCESS,
	CLV_CAL_MISPREDICT,
	CLV_CAL_ATOMIC,
	CLV_CAL_OVERLAPS,
	CLV_CAL_FENCE,
	CLV_CAL_PAUSE,
	CLV_CAL_CLOCK,
	CLV_CAL_OUTSTANDING,
	CLV_CAL_WINDOW,
	CLV_CAL_STORE_BUFFER,
	CLV_CAL_SMT,
	CLV_CAL_PARK,
	CLV_CAL_WAKE,
	CLV_CAL_WAKE_LATENCY,
	CLV_CAL_ALLOC,
	CLV_CAL_PARAMETERS,
};

struct clv_calibrated {
	double value;
	double low, high; /* the interval; value where there is none */
	bool measured;
	char source[320];
};

struct clv_calibration {
	struct clv_calibrated parameter[CLV_CAL_PARAMETERS];
	/* Not in the file; for a look whether the others are right. */
	struct clv_estimate ping[CLV_DISTANCES]; /* half a round trip; rounds 0: none */
	struct clv_estimate owned[CLV_DISTANCES], again[CLV_DISTANCES], claim[CLV_DISTANCES];
	struct clv_estimate kernel[CLV_COMPUTE_KERNELS]; /* ns a round */
};

struct clv_calibrate_options {
	double seconds;
	int cpu_a, cpu_b;		    /* indexes: these two alone; -1: any */
	void (*progress)(const char *what); /* NULL: none */
};

const char *clv_calibration_name(unsigned parameter); /* in the file */
const char *clv_calibration_unit(unsigned parameter);

/* Which parameters' distances there are between CPUs; `a` and `b` are different. */
enum clv_distance clv_calibration_distance(const struct clv_topology *topology, unsigned a,
					   unsigned b);

/* Every parameter as it is without measuring, and the caches as the system tells. */
void clv_calibration_assume(struct clv_calibration *calibration, const struct clv_system *machine);

/* Move what is assumed of a distance to where it is in order with those that were measured. */
void clv_calibration_order(struct clv_calibration *calibration);

/*
 * Measure what can be. Returns: 0; negative errno with one line in error.
 */
int clv_calibrate(struct clv_calibration *calibration, struct clv_machine *machine,
		  const struct clv_system *told, const struct clv_calibrate_options *options,
		  struct cleave_error *error);

/* The machine file. `topology`: what it says there. NULL: no memory. */
json_t *clv_calibration_json(const struct clv_calibration *calibration, const char *name,
			     const char *summary, const char *topology);

/*
 * The machine file as `path`, and the topology as a .xml beside it. Nothing has changed on errors,
 * but for a new topology over an old one.
 * Returns: 0; negative errno with one line in error.
 */
int clv_calibration_write(const struct clv_calibration *calibration, const struct clv_system *told,
			  const char *summary, const char *path, struct cleave_error *error);
/* Could it be written, and be a machine's? To be asked before measuring. Returns: as clv_calibration_write. */
int clv_calibration_check_path(const char *path, struct cleave_error *error);

#endif
