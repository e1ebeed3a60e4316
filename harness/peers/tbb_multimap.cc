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

class Map {
	using Container = tbb::concurrent_multimap<Key, Value, std::less<Key>,
						   Counting<std::pair<const Key, Value>>>;

	size_t taken = 0;
	Container container{ std::less<Key>(), Container::allocator_type(&taken) };
	uint64_t inserted = 0;
	Longest longest;

	static uint64_t start_of(const Key &key) { return key.start; }

public:
	void insert(cleave_interval *interval)
	{
		interval->word[0] = inserted++;
		container.insert({ { interval->start, interval->word[0] },
				   { interval->last, interval } });
		longest.add(interval->start, interval->last);
	}

	void remove(cleave_interval *interval)
	{
		container.unsafe_erase(Key{ interval->start, interval->word[0] });
	}

	int walk(uint64_t start, uint64_t last, cleave_visit_fn *visit, void *arg)
	{
		return walk_from(container.lower_bound(Key{ longest.before(start), 0 }),
				 container.end(), start_of, start, last, visit, arg);
	}

	const char *validate(size_t count) { return validate_order(container, start_of, count); }
	size_t bytes() const { return taken; }
};

} // namespace

extern "C" {
extern const cleave_structure clv_peer_tbb_multimap;
const cleave_structure clv_peer_tbb_multimap = Peer<Map>::structure(
	"tbb_multimap", "oneTBB's concurrent skip list, under a lock (peer, Apache-2.0)",
	"oneTBB, concurrent_multimap");
}
