/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the peers in C++ share: the vtable around a class, and for ordered containers, none of which
 * knows where intervals end, what a user of one would do. It orders by start, then insertion, and
 * keeps the greatest length that there ever was: a walk of [start, last] begins that much before
 * start.
 *
 * A class has insert, remove, walk, validate, size and bytes. It may take memory in insert; without
 * any the program ends, as exceptions leave no function here.
 */
#ifndef CLV_PEER_ORDERED_HPP
#define CLV_PEER_ORDERED_HPP

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include "peer.h"

namespace clv_peer {

/* Counts what a container has asked for, the allocator's own part not among it. */
template <class T> struct Counting {
	using value_type = T;
	size_t *bytes;

	explicit Counting(size_t *count) noexcept : bytes(count) {}
	template <class U> Counting(const Counting<U> &other) noexcept : bytes(other.bytes) {}
	T *allocate(size_t n)
	{
		*bytes += n * sizeof(T);
		return std::allocator<T>().allocate(n);
	}
	void deallocate(T *block, size_t n) noexcept
	{
		*bytes -= n * sizeof(T);
		std::allocator<T>().deallocate(block, n);
	}
	template <class U> bool operator==(const Counting<U> &other) const noexcept
	{
		return bytes == other.bytes;
	}
	template <class U> bool operator!=(const Counting<U> &other) const noexcept
	{
		return bytes != other.bytes;
	}
};

/* Unique: `order` counts insertions. */
struct Key {
	uint64_t start, order;
	bool operator<(const Key &other) const
	{
		return start != other.start ? start < other.start : order < other.order;
	}
};

/* Beside the key, so that what does not overlap is told without a look at the entry. */
struct Value {
	uint64_t last;
	cleave_interval *interval;
};

class Longest {
	uint64_t longest = 0; /* last - start */

public:
	void add(uint64_t start, uint64_t last)
	{
		if (last - start > longest)
			longest = last - start;
	}
	/* The first start of what can reach `start`. */
	uint64_t before(uint64_t start) const
	{
		return start > longest ? start - longest : 0;
	}
};

/* Of a container of pairs of a key with start and a Value, from the first that can overlap on. */
template <class Iterator, class Start>
int walk_from(Iterator at, Iterator limit, Start start_of, uint64_t start, uint64_t last,
	      cleave_visit_fn *visit, void *arg)
{
	for (; at != limit && start_of(at->first) <= last; ++at) {
		int code = at->second.last >= start ? visit(&at->second.interval->entry, arg) : 0;
		if (code)
			return code;
	}
	return 0;
}

template <class Container, class Start>
const char *validate_order(Container &container, Start start_of, size_t size)
{
	uint64_t before = 0;
	size_t count = 0;
	for (auto &item : container) {
		uint64_t start = start_of(item.first);
		if (start < before)
			return "an entry starts before the one in front of it";
		if (start != item.second.interval->start ||
		    item.second.last != item.second.interval->last)
			return "bounds differ from the entry's";
		before = start;
		count++;
	}
	return count == size ? nullptr : "not as many entries as counted";
}

/*
 * Over a container whose iterators do not outlive changes, or which tells ties apart by nothing:
 * the key is unique, start, then the number of the insertion, and kept in the entry for the
 * removal. `Erase` takes a key out.
 */
template <class Container, class Erase> class Keyed {
	size_t taken = 0;
	Container container{ std::less<Key>(), typename Container::allocator_type(&taken) };
	uint64_t inserted = 0;
	Longest longest;

	static uint64_t start_of(const Key &key) { return key.start; }

public:
	void insert(cleave_interval *interval)
	{
		interval->word[0] = inserted++;
		container.insert(
			{ { interval->start, interval->word[0] }, { interval->last, interval } });
		longest.add(interval->start, interval->last);
	}

	void remove(cleave_interval *interval)
	{
		Erase()(container, Key{ interval->start, interval->word[0] });
	}

	int walk(uint64_t start, uint64_t last, cleave_visit_fn *visit, void *arg)
	{
		return walk_from(container.lower_bound(Key{ longest.before(start), 0 }),
				 container.end(), start_of, start, last, visit, arg);
	}

	const char *validate(size_t count) { return validate_order(container, start_of, count); }
	size_t bytes() const { return taken; }
};

/* Members of the vtable around a Map. */
template <class Map> struct Peer {
	Map map;
	uint64_t count = 0; /* also read without a lock */

	static Peer *of(void *self) { return static_cast<Peer *>(self); }

	static int create(void **self, const cleave_structure_config *) noexcept
	{
		Peer *peer = new (std::nothrow) Peer;
		*self = peer;
		return peer ? 0 : -ENOMEM;
	}

	static void destroy(void *self) noexcept { delete of(self); }

	static void insert(void *self, cleave_update *, cleave_entry *entry, cleave_entry *,
			   uint64_t start, uint64_t last) noexcept
	{
		Peer *peer = of(self);
		clv_peer_set_bounds(entry, start, last);
		peer->map.insert(clv_peer_interval(entry));
		__atomic_store_n(&peer->count, peer->count + 1, __ATOMIC_RELAXED);
	}

	static void remove(void *self, cleave_update *, cleave_entry *entry) noexcept
	{
		Peer *peer = of(self);
		peer->map.remove(clv_peer_interval(entry));
		__atomic_store_n(&peer->count, peer->count - 1, __ATOMIC_RELAXED);
	}

	static int walk(void *self, cleave_thread *, unsigned, uint64_t start, uint64_t last,
			cleave_visit_fn *visit, void *arg) noexcept
	{
		return of(self)->map.walk(start, last, visit, arg);
	}

	static bool empty(const void *self) noexcept
	{
		return !__atomic_load_n(&static_cast<const Peer *>(self)->count, __ATOMIC_RELAXED);
	}

	static const char *validate(void *self) noexcept
	{
		return of(self)->map.validate(of(self)->count);
	}

	static size_t memory(const void *self) noexcept
	{
		return sizeof(Peer) + static_cast<const Peer *>(self)->map.bytes();
	}

	static cleave_structure structure(const char *name, const char *summary, const char *source)
	{
		cleave_structure made = {};
		made.name = name;
		made.summary = summary;
		made.source = source;
		made.kind = CLEAVE_SEQUENTIAL;
		made.keeps = CLV_PEER_KEEPS;
		made.entry_size_bytes = sizeof(cleave_interval);
		made.entry_align_bytes = alignof(cleave_interval);
		made.last_max = UINT64_MAX;
		made.bounds = clv_peer_bounds;
		made.create = create;
		made.destroy = destroy;
		made.insert = insert;
		made.remove = remove;
		made.walk = walk;
		made.empty = empty;
		made.validate = validate;
		made.memory = memory;
		return made;
	}
};

} // namespace clv_peer

#endif
