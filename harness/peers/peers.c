// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "peers.h"

#include <stddef.h>

#include <cleave/structure.h>

/* A line CLV_PEER(name) for each that was built. */
#define CLV_PEER(name) extern const struct cleave_structure clv_peer_##name;
#include "peers_built.def"
#undef CLV_PEER

static const struct cleave_structure *const built[] = {
#define CLV_PEER(name) &clv_peer_##name,
#include "peers_built.def"
#undef CLV_PEER
	NULL,
};

int clv_peers_register(struct cleave_error *error)
{
	int code = 0;
	for (unsigned i = 0; !code && built[i]; i++)
		code = cleave_register(built[i], error);
	return code;
}

bool clv_peer_is(const struct cleave_structure *structure)
{
	for (unsigned i = 0; built[i]; i++) {
		if (built[i] == structure)
			return true;
	}
	return false;
}
