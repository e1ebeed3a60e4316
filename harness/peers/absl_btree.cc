// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Peer: Abseil's B-tree (Apache-2.0). Iterators do not outlive changes, so a removal has to search,
 * and does so by a key that is unique: start, then the number of the insertion. Nodes are allocated
 * in inserts.
 */
#include <absl/container/btree_map.h>

#include "ordered.hpp"

namespace {

using namespace clv_peer;

using Container =
	absl::btree_map<Key, Value, std::less<Key>, Counting<std::pair<const Key, Value>>>;

struct Erase {
	void operator()(Container &container, const Key &key) const
	{
		container.erase(key);
	}
};

using Map = Keyed<Container, Erase>;

} // namespace

extern "C" {
extern const cleave_structure clv_peer_absl_btree;
const cleave_structure clv_peer_absl_btree = Peer<Map>::structure(
	"absl_btree", "Abseil's B-tree (peer, Apache-2.0)", "Abseil, absl::btree_map");
}
