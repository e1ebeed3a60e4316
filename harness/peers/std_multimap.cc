// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Peer: std::multimap of the compiler's standard library (libstdc++: GPL-3.0-or-later with the GCC
 * Runtime Library Exception). Ties go behind those that are there. An entry keeps its iterator, so
 * that a removal searches nothing; a node is allocated for each insert.
 */
#include <map>
#include <type_traits>

#include "ordered.hpp"

namespace {

using namespace clv_peer;

class Map {
	using Container = std::multimap<uint64_t, Value, std::less<uint64_t>,
					Counting<std::pair<const uint64_t, Value>>>;
	static_assert(sizeof(Container::iterator) <= sizeof(uintptr_t) &&
			      std::is_trivially_copyable<Container::iterator>::value,
		      "fits into a word");

	size_t taken = 0;
	Container container{ Container::allocator_type(&taken) };
	Longest longest;

	static uint64_t start_of(uint64_t key) { return key; }

public:
	void insert(cleave_interval *interval)
	{
		auto at = container.insert({ interval->start, { interval->last, interval } });
		std::memcpy(&interval->word[0], &at, sizeof(at));
		longest.add(interval->start, interval->last);
	}

	void remove(cleave_interval *interval)
	{
		Container::iterator at;
		std::memcpy(static_cast<void *>(&at), &interval->word[0], sizeof(at));
		container.erase(at);
	}

	int walk(uint64_t start, uint64_t last, cleave_visit_fn *visit, void *arg)
	{
		return walk_from(container.lower_bound(longest.before(start)), container.end(),
				 start_of, start, last, visit, arg);
	}

	const char *validate(size_t count) { return validate_order(container, start_of, count); }
	size_t bytes() const { return taken; }
};

} // namespace

extern "C" {
extern const cleave_structure clv_peer_std_multimap;
const cleave_structure clv_peer_std_multimap = Peer<Map>::structure(
	"std_multimap", "std::multimap (peer, GPL-3.0 with the GCC Runtime Library Exception)",
	"libstdc++");
}
