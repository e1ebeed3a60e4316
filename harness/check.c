// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Mark and sweep: what is held goes into a hash table by the entry's address; a walk marks; what is
 * then not marked was missed. Runs on one thread after the workers, outside of what is measured.
 */
#include "check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/error.h"
#include "../lib/map.h"
#include "workloads/workload.h"

#define STABS 16

struct expected {
	const struct cleave_entry *entry; /* NULL: a free place */
	struct clv_range range;
	bool visited;
};

struct table {
	struct expected *place;
	size_t mask; /* places - 1; they are a power of two, at most half of them taken */
	uint64_t count, visited;
};

struct check {
	struct clv_run *run;
	struct cleave_map *map;
	unsigned map_index;
	struct cleave_thread *thread;
	struct table table;
	struct cleave_error error;
	uint64_t page; /* of a stab */
};

static int fail(struct check *check, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Returns: 1, so that a walk stops. */
static int fail(struct check *check, const char *format, ...)
{
	char what[200];
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	clv_error(&check->error, 0, "map %u: %s", check->map_index, what);
	return 1;
}

/* ---- what is held ---- */

static struct expected *find(const struct table *table, const struct cleave_entry *entry)
{
	uint64_t mixed = ((uint64_t)(uintptr_t)entry >> 4) * 0x9e3779b97f4a7c15u;
	size_t i = (size_t)(mixed >> 20) & table->mask;
	while (table->place[i].entry && table->place[i].entry != entry)
		i = (i + 1) & table->mask;
	return &table->place[i];
}

static bool is_in(const struct clv_held *held, uint64_t slot, unsigned map)
{
	return held->map_of[slot] == map && !clv_range_is_none(held->slot[slot].range);
}

static void expect(struct check *check, const struct clv_held *held)
{
	for (uint64_t i = 0; i < held->count; i++) {
		if (!is_in(held, i, check->map_index))
			continue;
		struct expected *expected = find(&check->table, held->slot[i].entry);
		if (expected->entry) {
			fail(check, "two owners remember the same entry");
			continue;
		}
		*expected = (struct expected){ held->slot[i].entry, held->slot[i].range, false };
	}
}

static uint64_t count_held(const struct clv_held *held, unsigned map)
{
	uint64_t count = 0;
	for (uint64_t i = 0; i < held->count; i++)
		count += is_in(held, i, map);
	return count;
}

/* The i-th of what is held: three of each worker. NULL: behind the last. */
static const struct clv_held *held_at(const struct clv_run *run, unsigned i)
{
	static const struct clv_held nothing;
	if (i / 3 == run->config.threads)
		return NULL;
	const struct clv_worker *worker = run->worker[i / 3];
	if (i % 3 == 2)
		return run->mailbox ? &run->mailbox[i / 3].bundle->held : &nothing;
	return i % 3 ? &worker->standing : &worker->held;
}

static int make_table(struct check *check)
{
	struct clv_run *run = check->run;
	const struct clv_held *held;
	struct table *table = &check->table;
	size_t places = 16;
	table->count = table->visited = 0;
	for (unsigned i = 0; (held = held_at(run, i)); i++)
		table->count += count_held(held, check->map_index);
	while (places < 2 * table->count)
		places *= 2;
	table->mask = places - 1;
	table->place = calloc(places, sizeof(*table->place));
	if (!table->place)
		return -ENOMEM;
	for (unsigned i = 0; (held = held_at(run, i)); i++)
		expect(check, held);
	return 0;
}

/* ---- what the map says ---- */

static int mark(struct cleave_entry *entry, void *arg)
{
	struct check *check = arg;
	struct expected *expected = find(&check->table, entry);
	uint64_t start, last;
	if (!expected->entry)
		return fail(check, "an interval is visited that nobody holds");
	if (expected->visited)
		return fail(check, "[%u, %u] is visited twice", expected->range.start,
			    expected->range.last);
	cleave_bounds(check->map, entry, &start, &last);
	if (start != expected->range.start || last != expected->range.last)
		return fail(check, "an interval is [%llu, %llu], its owner made it [%u, %u]",
			    (unsigned long long)start, (unsigned long long)last,
			    expected->range.start, expected->range.last);
	expected->visited = true;
	check->table.visited++;
	return 0;
}

static int mark_stab(struct cleave_entry *entry, void *arg)
{
	struct check *check = arg;
	struct expected *expected = find(&check->table, entry);
	if (!expected->entry || expected->visited || check->page < expected->range.start ||
	    check->page > expected->range.last)
		return fail(check, "a walk of page %llu visits what it should not, or twice",
			    (unsigned long long)check->page);
	expected->visited = true;
	return 0;
}

static int check_walk(struct check *check)
{
	int code = cleave_walk(check->map, check->thread, 0, cleave_last_max(check->map), 0, mark,
			       check);
	if (code > 0)
		return code;
	if (code)
		return fail(check, "walk: %s", strerror(-code));
	if (check->table.visited != check->table.count)
		return fail(check, "%llu intervals are held, and %llu of them found",
			    (unsigned long long)check->table.count,
			    (unsigned long long)check->table.visited);
	return 0;
}

/* Visits exactly what overlaps the page? Costs a pass over the table. */
static int check_stab(struct check *check, uint64_t page)
{
	struct table *table = &check->table;
	for (size_t i = 0; i <= table->mask; i++)
		table->place[i].visited = false;
	check->page = page;
	int code = cleave_walk(check->map, check->thread, page, page, 0, mark_stab, check);
	if (code > 0)
		return code;
	if (code)
		return fail(check, "walk: %s", strerror(-code));
	for (size_t i = 0; i <= table->mask; i++) {
		const struct expected *expected = &table->place[i];
		if (expected->entry && !expected->visited && page >= expected->range.start &&
		    page <= expected->range.last)
			return fail(check, "a walk of page %llu misses [%u, %u]",
				    (unsigned long long)page, expected->range.start,
				    expected->range.last);
	}
	return 0;
}

static int check_map(struct check *check)
{
	struct clv_run *run = check->run;
	struct cleave_error reason = { "" };
	if (cleave_validate(check->map, &reason))
		return fail(check, "%.180s", reason.text);
	if (run->sink)
		return 0;
	if (check->error.text[0] || check_walk(check))
		return 1;
	if (cleave_empty(check->map) != !check->table.count)
		return fail(check, "said to be %sempty, with %llu intervals",
			    check->table.count ? "" : "not ",
			    (unsigned long long)check->table.count);
	uint64_t random = clv_seed(run->config.seed, CLV_STREAM_CHECK, check->map_index);
	for (unsigned i = 0; i < STABS; i++) {
		uint32_t bits = (uint32_t)(clv_random(&random) >> 32);
		if (check_stab(check, clv_scale(bits, run->last_page + 1)))
			return 1;
	}
	return 0;
}

/* ---- the run as a whole ---- */

static int check_workers(struct clv_run *run, struct cleave_error *error)
{
	for (unsigned i = 0; i < run->config.threads; i++) {
		const struct clv_worker *worker = run->worker[i];
		if (worker->failed)
			return clv_error(error, 1, "worker %u: batch %llu: %s", i,
					 (unsigned long long)worker->done.batches,
					 strerror(worker->failed < 0 ? -worker->failed :
								       worker->failed));
		if (worker->bad_visits)
			return clv_error(error, 1,
					 "worker %u: a walk of page %llu visited [%llu, %llu]; "
					 "%llu such visits", i,
					 (unsigned long long)worker->bad_visit.page,
					 (unsigned long long)worker->bad_visit.start,
					 (unsigned long long)worker->bad_visit.last,
					 (unsigned long long)worker->bad_visits);
	}
	return 0;
}

static int check_conservation(struct clv_run *run, uint64_t found, struct cleave_error *error)
{
	uint64_t wanted = run->at_start;
	for (unsigned i = 0; i < run->config.threads; i++)
		wanted += run->worker[i]->done.inserts - run->worker[i]->done.removes;
	if (run->sink || wanted == found)
		return 0;
	return clv_error(error, 1, "%llu intervals, but those at the start, with inserts less "
			 "removes, are %llu", (unsigned long long)found,
			 (unsigned long long)wanted);
}

static int check_maps(struct clv_run *run, struct cleave_thread *thread, uint64_t *found,
		      struct cleave_error *error)
{
	*found = 0;
	for (unsigned i = 0; i < run->maps; i++) {
		struct check check = { .run = run, .map = run->map[i], .map_index = i,
				       .thread = thread };
		int code = make_table(&check);
		if (code)
			return code;
		code = check_map(&check);
		*found += run->sink ? 0 : check.table.count;
		free(check.table.place);
		if (code)
			return clv_error(error, 1, "%s", check.error.text);
	}
	return 0;
}

int clv_check_run(struct clv_run *run, struct clv_run_result *result)
{
	struct cleave_error error = { "" };
	struct cleave_thread *thread;
	result->intervals = 0;
	int code = check_workers(run, &error);
	if (!code) {
		code = cleave_thread_begin(&thread, run->env, run->config.cpu[0]);
		if (code)
			return code;
		code = check_maps(run, thread, &result->intervals, &error);
		cleave_thread_end(thread);
	}
	if (!code)
		code = check_conservation(run, result->intervals, &error);
	result->valid = !code;
	memcpy(result->why, error.text, sizeof(result->why));
	return code < 0 ? code : 0;
}
