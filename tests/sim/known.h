/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Code with known accesses: known.c is instrumented as the library is for the simulated machine,
 * and says of each function how many it makes. test_sim_known.c runs them.
 */
#ifndef CLV_SIM_KNOWN_H
#define CLV_SIM_KNOWN_H

#include <stddef.h>
#include <stdint.h>

struct known_case {
	const char *name;
	void (*run)(void *room); /* KNOWN_ROOM bytes of the arena, zeroed */
	unsigned loads, stores, atomics, fences;
	unsigned ranges, range_bytes; /* a copy is two: from and to */
};

enum { KNOWN_ROOM = 65536 };

/* Ends with a name that is NULL. */
extern const struct known_case known_cases[];

/* Waits for a word of the room, which it reads once, as a compiler may make of a plain read. */
extern const struct known_case known_endless;

#endif
