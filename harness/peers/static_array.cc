// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Peer, cgranges-like: a sorted array with an implicit augmented tree in it, after Li and Rong,
 * Bedtk: finding interval overlap with implicit interval tree, 2021. Written here; no line of
 * cgranges (MIT).
 *
 * It is made to be built once. Here a change only appends, or moves the last element into the gap,
 * and the first walk after it sorts everything anew.
 *
 *   [0 ........ middle ........ size)   middle has the greatest `last` of all of them;
 *   [0 .. middle)  (middle .. size)     likewise each half, down to RUN elements,
 *                                       which are looked at one after another
 *
 * Where we differ: the tree is by halving, where cgranges has the bits of the index; a walk is in
 * order of start, then insertion.
 */
#include <algorithm>
#include <mutex>
#include <vector>

#include "ordered.hpp"

namespace {

using namespace clv_peer;

constexpr size_t RUN = 16;

struct Element {
	uint64_t start, last, greatest;
	uint64_t order; /* counts insertions */
	cleave_interval *interval;
};

struct Query {
	const Element *element;
	uint64_t start, last;
	cleave_visit_fn *visit;
	void *arg;
};

class Map {
	std::vector<Element> element;
	uint64_t inserted = 0;
	bool sorted = true;
	std::mutex sorting; /* walks share the map's lock */

	/* Returns: the greatest `last` in [first, limit). */
	uint64_t augment(size_t first, size_t limit)
	{
		uint64_t greatest = 0;
		size_t middle = first + (limit - first) / 2;
		if (limit - first <= RUN) {
			for (size_t i = first; i < limit; i++)
				greatest = std::max(greatest, element[i].last);
		} else {
			greatest = std::max({ augment(first, middle), element[middle].last,
					      augment(middle + 1, limit) });
		}
		if (first < limit)
			element[middle].greatest = greatest;
		return greatest;
	}

	void sort()
	{
		std::lock_guard<std::mutex> guard(sorting);
		if (__atomic_load_n(&sorted, __ATOMIC_RELAXED))
			return;
		std::sort(element.begin(), element.end(),
			  [](const Element &a, const Element &b) {
				  return a.start != b.start ? a.start < b.start
							    : a.order < b.order;
			  });
		for (size_t i = 0; i < element.size(); i++)
			element[i].interval->word[0] = i;
		augment(0, element.size());
		/* Release: partner is walk. */
		__atomic_store_n(&sorted, true, __ATOMIC_RELEASE);
	}

	static int visit_one(const Query &query, const Element &element)
	{
		if (element.last < query.start || element.start > query.last)
			return 0;
		return query.visit(&element.interval->entry, query.arg);
	}

	static int search(const Query &query, size_t first, size_t limit)
	{
		while (first < limit) {
			size_t middle = first + (limit - first) / 2;
			const Element &at = query.element[middle];
			if (at.greatest < query.start)
				return 0;
			if (limit - first <= RUN) {
				int code = 0;
				for (size_t i = first; !code && i < limit; i++)
					code = visit_one(query, query.element[i]);
				return code;
			}
			int code = search(query, first, middle);
			if (!code)
				code = visit_one(query, at);
			if (code || at.start > query.last)
				return code;
			first = middle + 1;
		}
		return 0;
	}

public:
	void insert(cleave_interval *interval)
	{
		interval->word[0] = element.size();
		element.push_back({ interval->start, interval->last, 0, inserted++, interval });
		sorted = false;
	}

	void remove(cleave_interval *interval)
	{
		size_t gap = interval->word[0];
		element[gap] = element.back();
		element[gap].interval->word[0] = gap;
		element.pop_back();
		sorted = false;
	}

	int walk(uint64_t start, uint64_t last, cleave_visit_fn *visit, void *arg)
	{
		if (!__atomic_load_n(&sorted, __ATOMIC_ACQUIRE))
			sort();
		const Query query = { element.data(), start, last, visit, arg };
		return search(query, 0, element.size());
	}

	const char *validate(size_t count)
	{
		if (element.size() != count)
			return "not as many entries as counted";
		for (size_t i = 0; i < count; i++) {
			const cleave_interval *interval = element[i].interval;
			if (interval->word[0] != i || interval->start != element[i].start ||
			    interval->last != element[i].last)
				return "an element and its entry disagree";
		}
		return nullptr;
	}

	size_t bytes() const { return element.capacity() * sizeof(Element); }
};

} // namespace

extern "C" {
extern const cleave_structure clv_peer_static_array;
const cleave_structure clv_peer_static_array = Peer<Map>::structure(
	"static_array", "cgranges-like array, sorted anew by the first walk after a change (peer)",
	"Li and Rong, Bedtk, 2021");
}
