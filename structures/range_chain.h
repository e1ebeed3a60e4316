/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A list of intervals that all have the same range, linked through the intervals themselves, in
 * which each also remembers who stood behind it when it came, for the walk to fetch ahead.
 *
 *   chain <-> A <-> B <-> C <-> D <-> E <-> F <-> chain       (a ring: the chain itself is the end)
 *
 *   A: word[0] B    word[1] chain    word[2] C    word[3] D                 word[4]
 *             next        previous     the second and third behind it then   the tag
 *
 *   push G:             chain <-> G <-> A <-> B ...      G remembers B and C: A's words, moved on
 *   push H behind B:    ... A <-> B <-> H <-> C ...      H remembers what B did, B moves on
 *
 * What is remembered may have left since, and its memory may be anything by now: it is never read,
 * only prefetched, which has no effect but on speed. Under random replacement two of three members
 * are remembered by somebody who is visited before them. To remember the fourth, too, gains nothing
 * that could be measured.
 *
 * Invariants (clv_chain_validate): links lead there and back.
 *
 * Readers and writers: a writer is alone; walkers share. Reclamation: none here; who was removed is
 * reached from nowhere.
 *
 * Cost: a constant, without a branch that is hard to predict. In lines, beside the entry's own: to
 * push, the chain's and that of who was first; to push behind, the source's and the next one's; to
 * remove, both neighbours'. A visit: the entry's.
 *
 * After Luk and Mowry's history pointers (Compiler-based prefetching for recursive data structures,
 * 1996). Where it differs: history is taken from the neighbour at an insert, which is cached
 * anyway, and not by a walk, which shares the list with others and must not write.
 */
#ifndef CLV_RANGE_CHAIN_H
#define CLV_RANGE_CHAIN_H

#include <cleave/structure.h>

enum {
	CLV_CHAIN_SECOND = 2, /* words of a member */
	CLV_CHAIN_THIRD = 3,
	CLV_CHAIN_TAG = 4,

	CLV_CHAIN_TAGS = 64, /* the rest of the word is not the chain's */
};

/* Lies over an entry's first words, whose declared type is another: hence may_alias. */
struct clv_chain {
	struct clv_chain *next, *previous;
} __attribute__((may_alias));

_Static_assert(sizeof(struct clv_chain) == CLV_CHAIN_SECOND * sizeof(uintptr_t), "two words");

static inline struct cleave_interval *clv_chain_member(const struct clv_chain *link)
{
	return cleave_container_of(link, struct cleave_interval, word);
}

static inline struct clv_chain *clv_chain_link(struct cleave_interval *member)
{
	return (struct clv_chain *)(void *)member->word;
}

static inline void clv_chain_init(struct clv_chain *chain)
{
	chain->next = chain;
	chain->previous = chain;
}

static inline bool clv_chain_empty(const struct clv_chain *chain)
{
	return chain->next == chain;
}

static inline unsigned clv_chain_tag(const struct cleave_interval *member)
{
	return member->word[CLV_CHAIN_TAG] % CLV_CHAIN_TAGS;
}

/* The rest of the word stays, and may be read by who holds nothing (range_group_free.c). */
static inline void clv_chain_set_tag(struct cleave_interval *member, unsigned tag)
{
	uintptr_t word = member->word[CLV_CHAIN_TAG];

	__atomic_store_n(&member->word[CLV_CHAIN_TAG], word - word % CLV_CHAIN_TAGS + tag,
			 __ATOMIC_RELAXED);
}

static inline void clv_chain_put(struct clv_chain *previous, struct clv_chain *link)
{
	struct clv_chain *next = previous->next;

	link->next = next;
	link->previous = previous;
	next->previous = link;
	previous->next = link;
}

/* Add `member` in front. */
static inline void clv_chain_push(struct clv_chain *chain, struct cleave_interval *member,
				  unsigned tag)
{
	uintptr_t second = 0, third = 0;

	if (__builtin_expect(!clv_chain_empty(chain), 1)) {
		const struct cleave_interval *first = clv_chain_member(chain->next);

		second = first->word[0];
		third = first->word[CLV_CHAIN_SECOND];
	}
	member->word[CLV_CHAIN_SECOND] = second;
	member->word[CLV_CHAIN_THIRD] = third;
	clv_chain_set_tag(member, tag);
	clv_chain_put(chain, clv_chain_link(member));
}

/* Add `member` behind `source`, in the same chain. */
static inline void clv_chain_push_behind(struct cleave_interval *source,
					 struct cleave_interval *member)
{
	member->word[CLV_CHAIN_SECOND] = source->word[CLV_CHAIN_SECOND];
	member->word[CLV_CHAIN_THIRD] = source->word[CLV_CHAIN_THIRD];
	source->word[CLV_CHAIN_THIRD] = source->word[CLV_CHAIN_SECOND];
	source->word[CLV_CHAIN_SECOND] = source->word[0];
	clv_chain_set_tag(member, clv_chain_tag(source));
	clv_chain_put(clv_chain_link(source), clv_chain_link(member));
}

/* Returns: whether it was the only one. Its words are left as they were. */
static inline bool clv_chain_remove(struct cleave_interval *member)
{
	struct clv_chain *link = clv_chain_link(member);
	struct clv_chain *next = link->next, *previous = link->previous;

	previous->next = next;
	next->previous = previous;
	return next == previous;
}

/* Visit all in order. The visitor may sleep: who is next was read before. */
static inline int clv_chain_walk(const struct clv_chain *chain, cleave_visit_fn *visit, void *arg)
{
	const struct clv_chain *next;

	for (const struct clv_chain *link = chain->next; link != chain; link = next) {
		struct cleave_interval *member = clv_chain_member(link);
		int stop;

		next = link->next;
		__builtin_prefetch((const void *)member->word[CLV_CHAIN_SECOND]);
		__builtin_prefetch((const void *)member->word[CLV_CHAIN_THIRD]);
		stop = visit(&member->entry, arg);
		if (stop)
			return stop;
	}
	return 0;
}

/*
 * Check the links, and that each member's tag and range are as given. Ends on any list whose
 * addresses lead to entries: it goes on only where the link back is right, so that it comes to
 * nobody twice. Returns: NULL, or the reason.
 */
static inline const char *clv_chain_validate(const struct clv_chain *chain, unsigned tag,
					     uint64_t start, uint64_t last)
{
	for (const struct clv_chain *link = chain; link->next != chain; link = link->next) {
		const struct cleave_interval *member = clv_chain_member(link->next);

		if (link->next->previous != link)
			return "chain: a link back leads elsewhere";
		if (clv_chain_tag(member) != tag)
			return "chain: a member's tag is not that of its chain";
		if (member->start != start || member->last != last)
			return "chain: a member has another range than its chain";
	}
	if (chain->previous->next != chain)
		return "chain: a link back leads elsewhere";
	return NULL;
}

#endif
