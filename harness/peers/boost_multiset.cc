// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Peer: multiset of Boost.Intrusive (BSL-1.0), a red-black tree without a subtree maximum whose
 * links are in the entry. Ties go behind those that are there. It allocates nothing.
 */
#include <boost/intrusive/set.hpp>

#include "ordered.hpp"

namespace {

using namespace clv_peer;
namespace intrusive = boost::intrusive;

/* struct cleave_interval, its words being the links. */
struct Object {
	cleave_entry entry;
	uint64_t start, last;
	intrusive::set_member_hook<intrusive::link_mode<intrusive::normal_link>> hook;
	bool operator<(const Object &other) const { return start < other.start; }
};
static_assert(sizeof(Object) <= sizeof(cleave_interval), "one line");

struct StartOf {
	using type = uint64_t;
	const uint64_t &operator()(const Object &object) const { return object.start; }
};

class Map {
	using Container = intrusive::multiset<
		Object, intrusive::key_of_value<StartOf>, intrusive::constant_time_size<false>,
		intrusive::member_hook<Object, decltype(Object::hook), &Object::hook>>;

	Container container;
	Longest longest;

	static Object &object_of(cleave_interval *interval)
	{
		return *reinterpret_cast<Object *>(interval);
	}

public:
	void insert(cleave_interval *interval)
	{
		container.insert(object_of(interval));
		longest.add(interval->start, interval->last);
	}

	void remove(cleave_interval *interval)
	{
		container.erase(container.iterator_to(object_of(interval)));
	}

	int walk(uint64_t start, uint64_t last, cleave_visit_fn *visit, void *arg)
	{
		auto at = container.lower_bound(longest.before(start));
		for (; at != container.end() && at->start <= last; ++at) {
			int code = at->last >= start ? visit(&at->entry, arg) : 0;
			if (code)
				return code;
		}
		return 0;
	}

	const char *validate(size_t count)
	{
		uint64_t before = 0;
		size_t met = 0;
		for (const Object &object : container) {
			if (object.start < before)
				return "an entry starts before the one in front of it";
			before = object.start;
			met++;
		}
		return met == count ? nullptr : "not as many entries as counted";
	}

	size_t bytes() const { return 0; }
};

} // namespace

extern "C" {
extern const cleave_structure clv_peer_boost_multiset;
const cleave_structure clv_peer_boost_multiset =
	Peer<Map>::structure("boost_multiset", "Boost.Intrusive's multiset (peer, BSL-1.0)",
			     "Boost.Intrusive, multiset");
}
