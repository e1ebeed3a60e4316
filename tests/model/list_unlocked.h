/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef LIST_UNLOCKED_H
#define LIST_UNLOCKED_H

#include <cleave/structure.h>

/* A list whose walks take no lock, to put the epochs of lib/reclaim.c to use. */
extern const struct cleave_structure list_unlocked;

#endif
