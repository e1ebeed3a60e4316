// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A hash table of cells. An interval's length says how wide its cell is, and its start which one of
 * that width: nothing is searched, balanced or passed on upwards, so that an update touches the
 * same few lines whatever number of intervals there is.
 *
 *   level 4: 129 to 512 pages, in cells of 256          an interval reaches into the two cells
 *     |       0       |       1       | ...             behind its own at most: a walk of one
 *   level 3: up to 128 pages, in cells of 64            page looks at three cells a level
 *     | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | ...
 *
 *   slot of the table -> leader -> leader -> NULL       one leader a cell, chained as they collide
 *     (its low bits:       |
 *     which levels)     run of 14 - run of 14 - interval - NULL      the cell's other members
 *
 * A leader is an interval. The others of its cell hang behind it: in runs, where their bounds are
 * side by side, so that a walk reads four to a line; or by their own words where they are few (up
 * to two), long (from level 16 on, more than 2^31 pages) or no run is to be had. So no update needs
 * memory: runs and a larger table are brought by the `prepare` of whoever comes after it was seen
 * that they would help, and taken over under the lock.
 *
 * Invariants (validate checks all but the order):
 *  - An interval of more than 2^(2l-1), up to 2^(2l+1) pages is of level l, and in the cell of 2^2l
 *    pages in which it starts; but for the late ones, which are in one list.
 *  - A cell that has intervals has one leader, in the chain of the slot that its key hashes to.
 *  - A run has at least one interval, and its bounds as they are.
 *  - `levels` has the bits of the levels that have cells, and bit 0 if there are late ones.
 *
 * Order. A walk goes from high levels to low, in a level from low cells to high, in a cell along
 * its links, in a run along its slots; and through the late ones last. A walk that would look up
 * more cells than the table has slots takes a level's cells as they come in the table instead, in
 * two passes: what is marked COPIED is visited in the second. Both ways keep C1 and C2. Let X be
 * put in for a source S, and not start before it:
 *  - X of a lower level is visited later anyway.
 *  - X of the same cell is put behind S, in its run or its list, and is COPIED if S is.
 *  - X of the same level in another cell, of an S that is not COPIED: that cell is a higher one,
 * and X is COPIED.
 *  - All others are late (X longer than S by a level, S late, or S COPIED and X in another cell);
 *    and if S is late too, X is put behind it.
 * From then on neither moves until it is removed or changed, which ends the obligation, with two
 * exceptions. The first of a run may become leader: it stays in front of the run, and behind all
 * that was. A run may move to the front of its cell, but only if nothing was put into it for a
 * source in the same cell: it holds no X then, and an S may always come earlier.
 * So an interval without a source goes where it is cheapest: this is not CLEAVE_ORDERED.
 *
 * Readers and writers: a writer is alone, walkers share. Without a lock, `empty` reads `levels` and
 * `prepare` takes `wants`.
 * Reclamation: none; an entry that remove returned from is reached from nowhere. Slots and runs are
 * kept for what comes, until destroy.
 *
 * Cost: updates O(1) expected. In lines, besides the entry: a removal writes one of a run, or two
 * neighbours; that of a leader the slot, what is chained before it, and what follows. An insert
 * reads slot and leader and writes two lines of a run, or the leader and one neighbour; the first
 * of a cell writes the slot and the counts. No update splits more than SPLITS slots. A walk looks
 * up three cells a level and passes all in them, 1.5 to 6 times what overlaps. A wide walk scans
 * the table once or twice a level. Memory: 16 to 24 bytes a cell, 18 an interval in a full run, 37
 * an interval in all under random replacement.
 *
 * Where it loses: by order; wide walks over few intervals; many levels; many distinct intervals
 * much shorter than 128 pages in a small file. Starts that are made to collide make chains long:
 * the hash has no secret. Late ones are passed by every walk: with 20,000 copies that had grown by
 * a level, and lost their source, a walk of a page took 50 us, where rb_interval's took 0.12.
 *
 * Source: cells by size and position, with overlaps, are T. Ulrich's "Loose Octrees" (Game
 * Programming Gems, 2000); levels by length, with a constant number of cells to look at, also HINT
 * (Christodoulou, Bouros, Mamoulis, SIGMOD 2022). The table is W. Litwin's linear hashing (VLDB
 * 1980), in memory after P.-A. Larson (CACM 31:4, 1988). Where it differs: all levels are in one
 * table, so that empty cells cost nothing; lengths of a level differ by up to a factor of four, as
 * a level costs a walk more than candidates do; and the order, with all that serves it.
 */
#include "level_cells.h"

/* ---- updates ---- */

/*
 * Anywhere in a cell: into the run in front, or else the one behind it, if there is room. So runs
 * that are half empty, which are moved to the front, are filled up before a new one is taken.
 */
static inline void put_anywhere(struct grid *grid, struct member *leader, struct member *member)
{
	struct link *at = &leader->link, *front = at->next;

	if (!front || (!is_run(front) && !front->next)) {
		link_behind(at, &member->link);
		return;
	}
	if (!has_room(front)) {
		struct link *second = front->next;

		if (!is_run(front) || !has_room(second) || run_at(second)->copies) {
			put_new_run(grid, at, member, false);
			return;
		}
		take_link(second);
		link_behind(at, second);
		front = second;
	}
	put_in_run(run_at(front), RUN_FULL, member);
}

/* Behind the source, whose cell is the same. */
static void put_behind(struct grid *grid, struct member *source, struct member *member)
{
	struct run *run = run_of(source);
	struct link *at = run ? &run->link : &source->link;

	if (source->place == COPIED) {
		member->place = COPIED;
		grid->copied++;
		link_behind(at, &member->link);
		return;
	}
	if (run && put_in_run(run, ~1u << (source->place >> PLACE_BITS), member)) {
		run->copies = true;
	} else if (has_room(at->next)) {
		run = run_at(at->next);
		run->copies = true;
		put_in_run(run, RUN_FULL, member);
	} else {
		put_new_run(grid, at, member, true);
	}
}

static void put_late(struct grid *grid, struct member *member, struct member *source)
{
	struct member *at = source->key == key_late ? source : grid->late;

	member->key = key_late;
	if (at) {
		link_behind(&at->link, &member->link);
		return;
	}
	member->link = (struct link) { NULL, NULL };
	grid->late = member;
	count_up(grid, LEVEL_LATE);
}

/* By the rules above, "Order". Returns: is it in? If not, it may be anywhere in its cell. */
static bool put_copy(struct grid *grid, struct member *member, struct member *source,
		     unsigned level)
{
	unsigned level_source = level_of_key(source->key);

	if (member->key == source->key) {
		put_behind(grid, source, member);
		return true;
	}
	if (level < level_source)
		return false;
	if (level == level_source && source->place != COPIED) {
		member->place = COPIED;
		return false;
	}
	put_late(grid, member, source);
	return true;
}

/* Split what slots there is memory for, and ask for the next segment in good time. */
static void grow(struct grid *grid)
{
	for (int i = 0;
	     i < SPLITS && grid->slots < SLOTS_PER_CELL * grid->cells && grid->slots < grid->room;
	     i++)
		split_slot(grid);
	if (grid->slots > grid->room / 4 * 3 && grid->segments < SEGMENTS)
		ask(grid, WANTS_SEGMENT);
}

static inline void put(struct grid *grid, struct cleave_update *update, struct member *member,
		       struct member *source, uint64_t start, uint64_t last)
{
	unsigned level = level_of(start, last);
	uint64_t cell = cell_of(level, start), key = key_of(level, cell);

	if (__builtin_expect(update->reserve != NULL, 0))
		take_over(grid, update->reserve);
	member->start = start;
	member->last = last;
	member->key = key;
	member->place = ALONE;
	if (source && source->start <= start && put_copy(grid, member, source, level))
		return;

	uintptr_t *slot = slot_for(grid, hash_of(level, cell));
	struct member *leader = *slot & tag_of(level) ? leader_in(*slot, key) : NULL;

	if (member->place == COPIED)
		grid->copied++;
	if (!leader) {
		member->link = (struct link) { NULL, NULL };
		member->chain = first_in(*slot);
		*slot = (uintptr_t)member | tag_of(level) | (*slot & TAG_BITS);
		grid->cells++;
		count_up(grid, level);
		if (grid->slots < SLOTS_PER_CELL * grid->cells)
			grow(grid);
	} else if (member->place == COPIED) {
		link_behind(&leader->link, &member->link);
	} else {
		put_anywhere(grid, leader, member);
	}
}

static void insert(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   struct cleave_entry *source, uint64_t start, uint64_t last)
{
	put(self, update, member_of(entry), source ? member_of(source) : NULL, start, last);
}

static void take_leader(struct grid *grid, struct member *leader)
{
	struct member *heir = heir_of(grid, leader);

	if (leader->key == key_late) {
		grid->late = heir;
		if (!heir)
			count_down(grid, LEVEL_LATE);
		return;
	}
	uintptr_t *slot = slot_for(grid, hash_of_key(leader->key));
	struct member *first = first_in(*slot);
	struct member **at = &first;

	while (*at != leader)
		at = &(*at)->chain;
	*at = heir ? heir : leader->chain;
	if (heir) {
		heir->chain = leader->chain;
	} else {
		grid->cells--;
		count_down(grid, level_of_key(leader->key));
	}
	set_slot(slot, first);
}

static void move_to_front(struct grid *grid, struct run *run, uint64_t key)
{
	struct link *at = &leader_in(*slot_for(grid, hash_of_key(key)), key)->link;

	if (at->next == &run->link)
		return;
	take_link(&run->link);
	link_behind(at, &run->link);
}

static inline void take(struct grid *grid, struct member *member)
{
	struct run *run = run_of(member);

	if (run) {
		bool copies = run->copies;
		unsigned left = take_from_run(grid, run, (unsigned)(member->place >> PLACE_BITS));

		if (left == RUN_SLOTS / 2 && !copies)
			move_to_front(grid, run, member->key);
		return;
	}
	if (member->place == COPIED)
		grid->copied--;
	if (member->link.before)
		take_link(&member->link);
	else
		take_leader(grid, member);
}

static void remove_entry(void *self, struct cleave_update *update, struct cleave_entry *entry)
{
	(void)update;
	take(self, member_of(entry));
}

/*
 * In place if the cell stays and no run has the bounds. If there is no other cell, the new level is
 * counted up while the entry is out, so that `levels` is never 0 meanwhile (C8).
 */
static void change(void *self, struct cleave_update *update, struct cleave_entry *entry,
		   uint64_t start, uint64_t last)
{
	struct grid *grid = self;
	struct member *member = member_of(entry);
	unsigned level = level_of(start, last);

	if (member->key == key_of(level, cell_of(level, start)) && !run_of(member)) {
		member->start = start;
		member->last = last;
		return;
	}
	bool only = !(grid->levels & (grid->levels - 1)) && grid->cells <= 1;

	if (only)
		count_up(grid, level);
	take(grid, member);
	put(grid, update, member, NULL, start, last);
	if (only)
		count_down(grid, level);
}

/* ---- walks ---- */

struct walk {
	uint64_t start, last;
	cleave_visit_fn *visit;
	void *arg;
};

enum pass {
	PASS_ONLY,   /* visits all */
	PASS_FIRST,  /* what is not COPIED */
	PASS_SECOND, /* what is */
};

static int visit_run(const struct run *run, uint64_t base, const struct walk *walk)
{
	uint64_t start = walk->start > base ? walk->start - base : 0, last = walk->last - base;
	uint32_t hit = run->live;

	if (run->start_most > last || run->last_least < start) {
		for (unsigned i = 0; i < RUN_SLOTS; i++)
			hit &= ~((uint32_t)(run->slot[i].start > last || run->slot[i].last < start)
				 << i);
	}
	for (; hit; hit &= hit - 1) {
		int stop = walk->visit(&run->slot[__builtin_ctz(hit)].member->entry, walk->arg);

		if (stop)
			return stop;
	}
	return 0;
}

/* pre: the cell does not start behind the walk's last. */
static int visit_cell(struct member *leader, enum pass pass, const struct walk *walk)
{
	uint64_t base = start_of_key(leader->key);

	for (struct link *link = &leader->link; link; link = link->next) {
		int stop = 0;

		__builtin_prefetch(link->next);
		if (is_run(link)) {
			if (pass != PASS_SECOND)
				stop = visit_run(run_at(link), base, walk);
		} else {
			struct member *member = member_at(link);
			bool copied = member->place == COPIED;

			if (member->start <= walk->last && member->last >= walk->start &&
			    (pass == PASS_ONLY || copied == (pass == PASS_SECOND)))
				stop = walk->visit(&member->entry, walk->arg);
		}
		if (stop)
			return stop;
	}
	return 0;
}

static int scan_level(const struct grid *grid, unsigned level, enum pass pass,
		      const struct walk *walk)
{
	for (size_t i = 0; i < grid->slots; i++) {
		uintptr_t slot = *slot_at(grid, i);

		if (!(slot & tag_of(level)))
			continue;
		for (struct member *leader = first_in(slot); leader; leader = leader->chain) {
			if (level_of_key(leader->key) != level ||
			    start_of_key(leader->key) > walk->last)
				continue;
			int stop = visit_cell(leader, pass, walk);

			if (stop)
				return stop;
		}
	}
	return 0;
}

static int walk_level(const struct grid *grid, unsigned level, const struct walk *walk)
{
	uint64_t reach = level == LEVEL_LAST ? UINT64_MAX : ((uint64_t)2 << 2 * level) - 1;
	uint64_t cell = walk->start > reach ? cell_of(level, walk->start - reach) : 0;
	uint64_t final = cell_of(level, walk->last);
	uintptr_t tag = tag_of(level);
	int stop = 0;

	if (final - cell >= grid->slots) {
		stop = scan_level(grid, level, grid->copied ? PASS_FIRST : PASS_ONLY, walk);
		if (!stop && grid->copied)
			stop = scan_level(grid, level, PASS_SECOND, walk);
		return stop;
	}
	/* A few at a time: the leaders' lines are on their way while the first is looked at. */
	for (;;) {
		uintptr_t slot[CELLS_AHEAD];
		unsigned count =
			final - cell < CELLS_AHEAD ? (unsigned)(final - cell) + 1 : CELLS_AHEAD;

		for (unsigned i = 0; i < count; i++) {
			slot[i] = *slot_for(grid, hash_of(level, cell + i));
			__builtin_prefetch(first_in(slot[i]));
		}
		for (unsigned i = 0; i < count; i++) {
			struct member *leader =
				slot[i] & tag ? leader_in(slot[i], key_of(level, cell + i)) : NULL;

			if (leader)
				stop = visit_cell(leader, PASS_ONLY, walk);
			if (stop)
				return stop;
		}
		if (final - cell < CELLS_AHEAD)
			return 0;
		cell += CELLS_AHEAD;
	}
}

static int walk(void *self, struct cleave_thread *thread, unsigned subset, uint64_t start,
		uint64_t last, cleave_visit_fn *visit, void *arg)
{
	const struct grid *grid = self;
	const struct walk walk = { start, last, visit, arg };
	uint64_t levels = grid->levels & ~((uint64_t)1 << LEVEL_LATE);
	int stop = 0;

	(void)thread;
	(void)subset;
	while (levels && !stop) {
		unsigned level = 63 - (unsigned)__builtin_clzll(levels);

		levels -= (uint64_t)1 << level;
		stop = walk_level(grid, level, &walk);
	}
	return stop || !grid->late ? stop : visit_cell(grid->late, PASS_ONLY, &walk);
}

/* ---- validate ---- */

/* What is met on the way, to be compared with what the grid has counted. */
struct tally {
	size_t cells, copied, runs;
	uint32_t cells_of_level[LEVEL_LAST + 1];
};

static const char *check_member(const struct member *member, uint64_t key)
{
	unsigned level = level_of(member->start, member->last);

	if (member->start > member->last)
		return "level_grid: an entry starts behind its last";
	if (member->key != key)
		return "level_grid: an entry has the key of another cell than it is in";
	if (key != key_late && key != key_of(level, cell_of(level, member->start)))
		return "level_grid: an entry is in a cell that is not that of its bounds";
	return NULL;
}

static const char *check_run(const struct run *run, uint64_t key)
{
	uint64_t base = start_of_key(key);
	unsigned used = 0;

	if (level_of_key(key) >= LEVEL_NO_RUNS || key == key_late)
		return "level_grid: a run is where none may be";
	for (uint32_t live = run->live & RUN_FULL; live; live &= live - 1) {
		unsigned i = (unsigned)__builtin_ctz(live);
		const struct member *member = run->slot[i].member;
		const char *reason = check_member(member, key);

		if (reason)
			return reason;
		if (member->run != run || member->place != (IN_RUN | (uintptr_t)i << PLACE_BITS))
			return "level_grid: an entry is not where it says";
		if (run->slot[i].start != member->start - base ||
		    run->slot[i].last != member->last - base)
			return "level_grid: a run has other bounds than its entry";
		if (run->slot[i].start > run->start_most || run->slot[i].last < run->last_least)
			return "level_grid: a run's common range is not that of all in it";
		used++;
	}
	if (!used || run->used != used || run->live > RUN_FULL)
		return "level_grid: a run is empty, or miscounts its entries";
	return NULL;
}

/* Ends: a link that is met twice would have two before it. */
static const char *check_cell(struct member *leader, uint64_t key, struct tally *tally)
{
	if (leader->link.before || is_run(&leader->link))
		return "level_grid: something is in front of a leader";
	for (struct link *link = &leader->link; link; link = link->next) {
		const char *reason;

		if (link->next && link->next->before != link)
			return "level_grid: a link back leads elsewhere";
		if (is_run(link)) {
			tally->runs++;
			reason = check_run(run_at(link), key);
		} else {
			uintptr_t place = member_at(link)->place;

			if (place != ALONE && place != COPIED)
				return "level_grid: an entry in no run says that it is in one";
			tally->copied += place == COPIED;
			reason = check_member(member_at(link), key);
		}
		if (reason)
			return reason;
	}
	return NULL;
}

static const char *check_slot(const struct grid *grid, uintptr_t *slot, struct tally *tally)
{
	for (struct member *leader = first_in(*slot); leader; leader = leader->chain) {
		uint64_t key = leader->key;

		if (++tally->cells > grid->cells)
			return "level_grid: more cells than are counted";
		if (key == key_late || slot_for(grid, hash_of_key(key)) != slot)
			return "level_grid: a cell is in a slot that is not its own";
		if (!(*slot & tag_of(level_of_key(key))))
			return "level_grid: a slot has no tag for a level in it";
		if (leader_in((uintptr_t)leader->chain, key))
			return "level_grid: two cells are the same";
		tally->cells_of_level[level_of_key(key)]++;

		const char *reason = check_cell(leader, key, tally);

		if (reason)
			return reason;
	}
	return NULL;
}

static const char *check_tally(const struct grid *grid, struct tally *tally)
{
	for (const struct run *run = grid->spare; run; run = (const struct run *)run->link.next)
		tally->runs++;
	if (tally->cells != grid->cells || tally->copied != grid->copied ||
	    tally->runs != grid->runs)
		return "level_grid: cells, copies or runs are not as many as are counted";
	for (unsigned level = 0; level <= LEVEL_LAST; level++) {
		if (tally->cells_of_level[level] != grid->cells_of_level[level])
			return "level_grid: a level has not as many cells as are counted";
		if ((tally->cells_of_level[level] != 0) != (grid->levels >> level & 1))
			return "level_grid: the levels that there are have other bits";
	}
	return grid->levels >> (LEVEL_LAST + 1) ? "level_grid: a level too many has a bit" : NULL;
}

static const char *validate(void *self)
{
	struct grid *grid = self;
	struct tally tally;
	const char *reason = NULL;

	memset(&tally, 0, sizeof(tally));
	if (grid->room != (size_t)SLOTS_FIRST << (grid->segments - 1) || grid->slots > grid->room ||
	    grid->slots - 1 > grid->mask || (grid->mask & (grid->mask + 1)) ||
	    grid->slots <= grid->mask >> 1)
		return "level_grid: the table has not the size that it says";
	for (size_t i = 0; i < grid->slots && !reason; i++)
		reason = check_slot(grid, slot_at(grid, i), &tally);
	if (!reason && grid->late) {
		tally.cells_of_level[LEVEL_LATE]++;
		reason = check_cell(grid->late, key_late, &tally);
	}
	return reason ? reason : check_tally(grid, &tally);
}

const struct cleave_structure cleave_level_grid = {
	.name = "level_grid",
	.summary = "hash table of cells, as wide as their intervals are long",
	.source = "Ulrich, Loose Octrees, Game Programming Gems, 2000; Litwin, VLDB 1980",
	.kind = CLEAVE_SEQUENTIAL,
	.flags = 0,
	.keeps = CLEAVE_KEEPS_ALL,
	.entry_size_bytes = sizeof(struct cleave_interval),
	.entry_align_bytes = _Alignof(struct cleave_interval),
	.last_max = UINT64_MAX,
	.bounds = bounds,
	.create = create,
	.destroy = destroy,
	.prepare = prepare,
	.settle = settle,
	.insert = insert,
	.remove = remove_entry,
	.change = change,
	.walk = walk,
	.empty = empty,
	.validate = validate,
	.memory = memory,
	.entry_fields = entry_fields,
};
