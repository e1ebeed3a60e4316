/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A machine file: which CPUs there are, and what everything costs on them. JSON (strict, no
 * duplicate keys), so that it can be written by `cleave calibrate` and read by people:
 *
 *   {
 *     "format": "cleave-machine", "format_version": 1,
 *     "name": "hygon-12n384", "summary": "...", "revision": 1,
 *     "topology": "pack:2 numa:6 ...",      an hwloc synthetic string, or an XML file beside it
 *     "parameters": {
 *       "l1_ns": { "value": 1.3, "source": "where from, or: assumed, and why" },
 *       ...
 *     }
 *   }
 *
 * Every parameter is in the file, each with its source; none has a default. The table in model.c is
 * the one list of them: name, unit, bounds, what it means.
 */
#ifndef CLV_MODEL_H
#define CLV_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cleave_error;

/*
 * How far apart two CPUs are, or a CPU and a home (a NUMA node; its distances begin at NODE).
 * CORE: SMT siblings. L3: other core, same L3. NODE: same NUMA node, other L3. PACKAGE: same
 * package, other node. REMOTE: other package.
 */
enum clv_distance { CLV_DIST_CORE, CLV_DIST_L3, CLV_DIST_NODE, CLV_DIST_PACKAGE, CLV_DIST_REMOTE,
		    CLV_DISTANCES };

/* Times in ps. A file gives ns, with fractions; a ps is the engine's unit. */
struct clv_costs {
	/* Private caches of a core, and its L3's; ways divide the lines. */
	uint64_t l1_bytes, l1_ways, l2_bytes, l2_ways, l3_bytes, l3_ways;
	/* Load-to-use of a hit. */
	uint64_t l1_ps, l2_ps, l3_ps;
	/* A load that misses and finds the line clean nowhere nearer: by the home's distance from
	 * the requester (NODE, PACKAGE, REMOTE; the others are not used). */
	uint64_t memory_ps[CLV_DISTANCES];
	/*
	 * A line comes from the cache that has it modified; the distance is the largest of those
	 * between requester, owner and home, but for owners in the requester's own L3, which is
	 * asked first. CORE: the sibling wrote it last. `read`: by a load, after which both have
	 * it. `write`: by a store or atomic that had no copy. `upgrade`: requester has a copy and
	 * others must lose theirs; distance to the farthest of those, or to the home.
	 * So on the Hygon a line of another L3 of the node costs 95 to hand over while its home is
	 * there, 155 when the home is another node, 260 when that or either CPU is across sockets.
	 */
	uint64_t read_ps[CLV_DISTANCES], write_ps[CLV_DISTANCES], upgrade_ps[CLV_DISTANCES];
	/*
	 * 1: a dirty read at this distance takes the line away from who wrote it, so that a write by
	 * the reader right after is free; 0: both keep a copy.
	 */
	uint64_t read_takes[CLV_DISTANCES];
	/* Of a transfer's time, how much the request takes to where the line is, which is used there
	 * meanwhile. */
	uint64_t request_percent;
	/* Each further cache that an invalidation has to reach beyond the first. */
	uint64_t invalidate_ps;
	/* How long a line is busy serving one of many that read it at once. */
	uint64_t share_ps;
	/* How long a home's directory is busy with one request. */
	uint64_t home_ps;
	/* The core. */
	uint64_t block_ps;	/* a basic block of instrumented code, without its accesses */
	uint64_t access_ps;	/* issue of one load or store */
	uint64_t mispredict_ps; /* from the branch's resolution on */
	uint64_t atomic_ps;	/* read-modify-write on a line in L1, owned */
	uint64_t atomic_overlaps; /* 1: loads behind such an atomic do not wait for it */
	uint64_t fence_ps;	/* full fence with nothing to wait for */
	uint64_t pause_ps;
	uint64_t clock_ps;	    /* reading the time */
	uint64_t outstanding;	    /* misses of a core in flight at once */
	uint64_t window;	    /* accesses that may be issued beyond one that is not done */
	uint64_t store_buffer;	    /* entries, per CPU */
	uint64_t smt_percent;	    /* time that work takes beside a busy sibling; 100: as if alone */
	/* The operating system. */
	uint64_t park_ps;	  /* to give up the CPU */
	uint64_t wake_ps;	  /* what waking costs the waker */
	uint64_t wake_latency_ps; /* from a wake until the woken runs */
	uint64_t alloc_ps;	  /* a block from the allocator */
};

#define CLV_LINE_BYTES 64u /* of a cache line, on every machine here */

struct json_t;

struct clv_model {
	char name[64];
	char summary[160];
	char *topology; /* as clv_topology_load takes it: synthetic string, or path of an XML file */
	unsigned revision;
	char digest[17]; /* of every parameter's value and the topology: hex; the model's identity */
	struct clv_costs costs;
	char *json; /* the file's text, as it was read */
	/* The implementation's own. */
	struct json_t *root;	/* the file, parsed: sources are in it */
	uint64_t topology_hash; /* of the string, or of the XML file's bytes */
};

/* A parameter. Names of arrays' elements are written with a dot: "read_ns.remote". */
struct clv_parameter {
	const char *name; /* in the unit of the file: ends in _ns where that is a time */
	const char *what;
	bool is_time;	      /* value * 1000 is kept */
	bool positive;	      /* 0 is refused */
	double max;	      /* in the file's unit */
	size_t offset;	      /* in struct clv_costs, of a uint64_t */
	const char *unit;     /* of the file: "ns", "bytes", "percent", or what is counted */
};
const struct clv_parameter *clv_parameter_at(unsigned i); /* NULL behind the last */

/* Built in: hygon-12n384 and so on. NULL behind the last. */
struct clv_model_info {
	const char *name;
	const char *summary;
};
const struct clv_model_info *clv_model_info_at(unsigned i);

/*
 * `name`: a built-in one, or the path of a file (it has a '/' or ends in .json). Checks everything:
 * one clear line names file, parameter and fault.
 * Returns: 0; -ENOENT, -EINVAL, -ENOMEM or what reading failed with.
 */
int clv_model_load(struct clv_model **model, const char *name, struct cleave_error *error);
void clv_model_free(struct clv_model *model);

/*
 * A built-in name, or one that ends in .json: a model's and nothing else's. (A path without that
 * ending may also be hwloc XML.)
 */
bool clv_model_known(const char *name);

/*
 * Change one parameter, in the file's unit, and the digest with it. What it makes of a cache must
 * be one (ways divide the lines; sets of L1 and L2 are a power of two): a cache that cannot be
 * reached so, one number at a time, needs a file. Returns: 0; -ENOENT; -EINVAL, the model being as before.
 */
int clv_model_set(struct clv_model *model, const char *parameter, double value,
		  struct cleave_error *error);
double clv_model_get(const struct clv_model *model, const struct clv_parameter *parameter);

/* Of the parameter with this name in the loaded file; NULL: no such. Lives as long as the model. */
const char *clv_model_source(const struct clv_model *model, const char *parameter);

#endif
