/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef CLV_PEERS_H
#define CLV_PEERS_H

#include <stdbool.h>

struct cleave_error;
struct cleave_structure;

/* Register the peers that were built, if any. Returns: 0; as cleave_register. Threads: one. */
int clv_peers_register(struct cleave_error *error);

bool clv_peer_is(const struct cleave_structure *structure);

#endif
