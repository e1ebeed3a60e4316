/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Work that stays in the L1 of one CPU, in several mixtures of branches and accesses. The same file
 * is built twice: natively, where it is timed, and for the simulated machine, which counts. So it
 * calls nothing and keeps all in the struct.
 */
#ifndef CLV_COMPUTE_H
#define CLV_COMPUTE_H

#include <stdbool.h>
#include <stdint.h>

enum { CLV_COMPUTE_SORTED = 64, CLV_COMPUTE_LIST = 512, CLV_COMPUTE_TABLE = 128,
       CLV_COMPUTE_RECORDS = 64 };

struct clv_compute {
	uint64_t random;
	uint64_t result; /* of the last round: see each kernel */
	uint32_t sorted[CLV_COMPUTE_SORTED];
	uint64_t table[CLV_COMPUTE_TABLE]; /* keys; 0: free */
	struct clv_compute_record {
		void (*act)(struct clv_compute *state, struct clv_compute_record *record);
		uint64_t number, first, last;
		struct clv_compute_record *other;
	} record[CLV_COMPUTE_RECORDS];
	struct clv_compute_done {
		uint64_t count, kept, moved, sum;
	} done;
	struct clv_compute_link {
		const struct clv_compute_link *next;
		uint64_t value;
	} list[CLV_COMPUTE_LIST];
};

/* Fill it. Same `seed`, same content. */
void clv_compute_begin(struct clv_compute *state, uint64_t seed);

struct clv_compute_kernel {
	const char *name;
	const char *what;
	void (*run)(struct clv_compute *state, unsigned rounds);
	/*
	 * Counts in the fit. Sorting does not: it is one chain of array indexes found by comparing,
	 * through registers, of which the simulated machine sees nothing.
	 */
	bool fits;
};

enum { CLV_COMPUTE_KERNELS = 4 };
extern const struct clv_compute_kernel clv_compute_kernel[CLV_COMPUTE_KERNELS];

/* A build's own: the simulated one's is clv_compute_simulated. */
struct clv_compute_table {
	void (*begin)(struct clv_compute *state, uint64_t seed);
	const struct clv_compute_kernel *kernel;
};
extern const struct clv_compute_table clv_compute_native;

#endif
