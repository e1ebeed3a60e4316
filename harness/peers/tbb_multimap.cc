// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Peer: the concurrent skip list of oneTBB, concurrent_multimap (Apache-2.0). Its removal is unsafe
 * beside anything else (unsafe_erase), so it is used under a lock like the others, and its key is
 * made unique, start, then the number of the insertion: among ties a removal takes any of them.
 */
#include <tbb/concurrent_map.h>

#include "ordered.hpp"

namespace {

using namespace clv_peer;

using Container =
	tbb::concurrent_multimap<Key, Value, std::less<Key>, Counting<std::pair<const Key, Value>>>;

struct Erase {
	void operator()(Container &container, const Key &key) const
	{
		container.unsafe_erase(key);
	}
};

using Map = Keyed<Container, Erase>;

} // namespace

extern "C" {
extern const cleave_structure clv_peer_tbb_multimap;
const cleave_structure clv_peer_tbb_multimap = Peer<Map>::structure(
	"tbb_multimap", "oneTBB's concurrent skip list, under a lock (peer, Apache-2.0)",
	"oneTBB, concurrent_multimap");
}
