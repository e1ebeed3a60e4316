// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * usage: long_oracle [STRUCTURE...]
 *
 * Ten million random operations for each structure that keeps anything (all of them, by default),
 * two million in each of five shapes of ranges, against a model that shares nothing with any
 * structure: an array of who is in the map, sorted by start and insertion and searched by
 * bisection. Half of them in one subset, half in four. Without CLEAVE_LONG a hundredth of that,
 * with at most SHORT_PEOPLE intervals. Prints how much of what was done.
 *
 * Each batch is followed by a walk of a part; every VALIDATE_OPS operations come validate, a walk
 * over everything, and a look at all bounds. In that walk children must come behind their parents
 * (C1), and copies behind their sources (C2), where the design keeps that.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/map.h"
#include "oracle.h"
#include "suite.h"
#include "tests/wanted.h"

enum {
	SHAPE_OPS = 20000, /* of each shape; times suite_scale() */
	VALIDATE_OPS = 1000,
	SHORT_PEOPLE = 600,
	LONG_PEOPLE = 4000,
};

/* Nested has 200 starts at most, so that most are ties. */
static const struct {
	const char *name;
	uint64_t pages;
} runs[] = {
	{ "libc", 0 },	   { "random", 1 << 20 }, { "disjoint", 1 << 16 },
	{ "nested", 400 }, { "stairs", 1 << 14 },
};

enum { RUNS = sizeof(runs) / sizeof(runs[0]) };

struct counts {
	uint64_t ops, orders, walks, visits, validations;
	unsigned most;
};

/* Whom an entry was inserted behind. It holds while neither is moved or removed. */
struct descent {
	uint32_t version; /* of the entry: counts what was done to it */
	uint32_t source, source_version;
	bool known;
	unsigned place; /* in the walk under way */
};

struct job {
	struct oracle oracle;
	const struct suite *suite;
	const char *design;
	struct cleave_map *map;
	struct cleave_thread *thread;
	unsigned char *pool;
	size_t stride_bytes;
	unsigned *sorted; /* [people]: who is in the map */
	unsigned in;
	unsigned *seen, *expected; /* [people] */
	struct descent *descent;   /* [people] */
	unsigned seen_count;
	bool overflow;
	struct counts *counts;
};

static bool fail(struct job *job, const char *why)
{
	printf("oracle: FAILED: %s, shape %s%s, at operation %llu: %s\n", job->design,
	       job->oracle.shape->name, job->oracle.children ? " with children" : "",
	       (unsigned long long)job->counts->ops, why);
	return false;
}

static struct cleave_entry *entry_at(void *arg, unsigned i)
{
	struct job *job = arg;

	return (struct cleave_entry *)(job->pool + i * job->stride_bytes);
}

/* ---- the model ---- */

/* How many start at `start` at most, or before it. */
static unsigned count_up_to(const struct job *job, uint64_t start)
{
	unsigned low = 0, high = job->in;

	/* Holds: those below `low` do, those from `high` on do not. */
	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (job->oracle.twin[job->sorted[middle]].start <= start)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void model_insert(struct job *job, unsigned i, uint64_t start, uint64_t last)
{
	unsigned at = count_up_to(job, start);

	memmove(job->sorted + at + 1, job->sorted + at, (job->in - at) * sizeof(*job->sorted));
	job->sorted[at] = i;
	job->in++;
	job->oracle.twin[i].start = start;
	job->oracle.twin[i].last = last;
	job->oracle.twin[i].entry.map_id = 1;
}

static void model_remove(struct job *job, unsigned i)
{
	uint64_t start = job->oracle.twin[i].start;
	unsigned at = start ? count_up_to(job, start - 1) : 0;

	while (job->sorted[at] != i)
		at++;
	job->in--;
	memmove(job->sorted + at, job->sorted + at + 1, (job->in - at) * sizeof(*job->sorted));
	job->oracle.twin[i].entry.map_id = 0;
}

static void note_descent(struct job *job, const struct oracle_op *op)
{
	struct descent *descent = &job->descent[op->entry];
	unsigned keeps = cleave_keeps(job->map);

	descent->version++;
	descent->known = false;
	if (op->kind == CLEAVE_INSERT_AFTER)
		descent->known = keeps & CLEAVE_C1_PARENT_BEFORE_CHILD;
	else if (op->kind == CLEAVE_INSERT_NEAR)
		descent->known = (keeps & CLEAVE_C2_SOURCE_BEFORE_COPY) &&
				 job->oracle.twin[op->source].start <= op->start;
	if (descent->known) {
		descent->source = op->source;
		descent->source_version = job->descent[op->source].version;
	}
}

static void model_apply(struct job *job, const struct oracle_op *op)
{
	struct cleave_interval *twin = &job->oracle.twin[op->entry];

	note_descent(job, op);
	if (op->kind == CLEAVE_CHANGE && op->start == twin->start) {
		twin->last = op->last; /* it keeps its place */
		return;
	}
	if (op->kind == CLEAVE_REMOVE || op->kind == CLEAVE_CHANGE)
		model_remove(job, op->entry);
	if (op->kind != CLEAVE_REMOVE)
		model_insert(job, op->entry, op->start, op->last);
}

static unsigned model_walk(const struct job *job, uint64_t start, uint64_t last)
{
	unsigned count = 0, limit = count_up_to(job, last);

	for (unsigned i = 0; i < limit; i++) {
		if (job->oracle.twin[job->sorted[i]].last >= start)
			job->expected[count++] = job->sorted[i];
	}
	return count;
}

/* ---- comparing ---- */

static int see(struct cleave_entry *entry, void *arg)
{
	struct job *job = arg;
	size_t i = (size_t)((unsigned char *)entry - job->pool) / job->stride_bytes;

	if (job->seen_count == job->oracle.people || i >= job->oracle.people) {
		job->overflow = true;
		return 1;
	}
	job->seen[job->seen_count++] = (unsigned)i;
	return 0;
}

static bool compare(struct job *job, uint64_t start, uint64_t last)
{
	unsigned expected = model_walk(job, start, last);

	job->seen_count = 0;
	int code = cleave_walk(job->map, job->thread, start, last, 0, see, job);
	if (job->overflow)
		return fail(job, "a walk visits what is no entry, or does not end");
	if (code)
		return fail(job, "a walk says that it was stopped");
	job->counts->walks++;
	job->counts->visits += expected;
	if (!oracle_compare(&job->oracle, job->seen, job->seen_count, job->expected, expected))
		return fail(job, job->oracle.why);
	return true;
}

/* pre: `seen` is a walk over everything. */
static bool compare_descent(struct job *job)
{
	for (unsigned i = 0; i < job->seen_count; i++)
		job->descent[job->seen[i]].place = i;
	for (unsigned i = 0; i < job->seen_count; i++) {
		struct descent *descent = &job->descent[job->seen[i]];
		const struct descent *source = &job->descent[descent->source];

		if (!descent->known || source->version != descent->source_version)
			continue;
		job->counts->orders++;
		if (source->place > i)
			return fail(job, "a child or copy is visited before whom it comes from");
	}
	return true;
}

static bool look_at_all(struct job *job)
{
	struct cleave_error error = { "" };

	job->counts->validations++;
	if (cleave_validate(job->map, &error))
		return fail(job, error.text);
	if (cleave_empty(job->map) != !job->in)
		return fail(job, "cleave_empty is wrong");
	for (unsigned i = 0; i < job->in; i++) {
		const struct cleave_interval *twin = &job->oracle.twin[job->sorted[i]];
		uint64_t start, last;

		cleave_bounds(job->map, entry_at(job, job->sorted[i]), &start, &last);
		if (start != twin->start || last != twin->last)
			return fail(job, "an entry has other bounds");
	}
	return compare(job, 0, UINT64_MAX) && compare_descent(job);
}

/* ---- running ---- */

static bool step(struct job *job)
{
	struct oracle *oracle = &job->oracle;
	struct oracle_op drawn[ORACLE_OPS_MAX];
	struct cleave_op ops[ORACLE_OPS_MAX];
	unsigned count = oracle_draw(oracle, drawn);
	uint64_t start, last;

	oracle_make_ops(drawn, count, ops, entry_at, job);
	if (cleave_apply(job->map, job->thread, ops, count))
		return fail(job, "a batch is refused");
	for (unsigned i = 0; i < count; i++) {
		model_apply(job, &drawn[i]);
		oracle->subset[drawn[i].entry] = ops[i].entry->subset;
	}
	job->counts->ops += count;
	if (job->in > job->counts->most)
		job->counts->most = job->in;
	cleave_synchronize(job->map, job->thread);
	oracle->shape->fill(oracle, &start, &last);
	return compare(job, start, oracle_below(oracle, 2) ? start : last);
}

static bool run_shape(struct job *job, uint64_t ops)
{
	uint64_t limit = job->counts->ops + ops;
	uint64_t look = job->counts->ops + VALIDATE_OPS;

	while (job->counts->ops < limit) {
		if (!step(job))
			return false;
		if (job->counts->ops < look)
			continue;
		look += VALIDATE_OPS;
		if (!look_at_all(job))
			return false;
	}
	while (job->in) {
		unsigned i = job->sorted[oracle_below(&job->oracle, job->in)];

		if (cleave_remove(job->map, job->thread, entry_at(job, i)))
			return fail(job, "a removal is refused");
		model_remove(job, i);
	}
	cleave_synchronize(job->map, job->thread);
	return look_at_all(job);
}

static const struct oracle_shape *shape_named(const char *name)
{
	const struct oracle_shape *shape = oracle_shapes;

	while (strcmp(shape->name, name))
		shape++;
	return shape;
}

/* Half of the operations with children, half without: then the order of ties is known. */
static bool run_shapes(struct job *job)
{
	for (unsigned i = 0; i < 2 * RUNS; i++) {
		job->oracle.shape = shape_named(runs[i / 2].name);
		job->oracle.pages = runs[i / 2].pages;
		job->oracle.children = i % 2;
		job->oracle.state = i;
		/* A quarter: there are two designs, each with and without children. */
		if (!run_shape(job, SHAPE_OPS * (uint64_t)suite_scale() / 4))
			return false;
	}
	return true;
}

static void *allocate(size_t count, size_t size_bytes, size_t align_bytes)
{
	size_t bytes = (count * size_bytes + align_bytes - 1) / align_bytes * align_bytes;
	void *block = aligned_alloc(align_bytes, bytes);

	if (!block)
		abort();
	return memset(block, 0, bytes);
}

static bool run_design(const struct suite *suite, const struct cleave_structure *structure,
		       const char *design, unsigned people, struct counts *counts)
{
	struct job job = { .suite = suite, .design = design, .counts = counts };
	struct cleave_error error = { "" };

	if (cleave_thread_begin(&job.thread, suite->env, suite->cpu[0]) ||
	    cleave_open(&job.map, suite->env, design, &error)) {
		printf("oracle: FAILED: %s: %s\n", design, error.text);
		return false;
	}
	job.stride_bytes = cleave_entry_size(job.map);
	job.pool = allocate(people, job.stride_bytes, cleave_entry_align(job.map));
	job.sorted = allocate(people, sizeof(*job.sorted), 64);
	job.seen = allocate(people, sizeof(*job.seen), 64);
	job.descent = allocate(people, sizeof(*job.descent), 64);
	job.expected = allocate(people, sizeof(*job.expected), 64);
	oracle_open(&job.oracle, people, cleave_subsets(job.map));
	job.oracle.top = cleave_last_max(job.map);
	job.oracle.ordered = structure->flags & CLEAVE_ORDERED;

	bool good = run_shapes(&job);

	oracle_close(&job.oracle);
	cleave_close(job.map);
	cleave_thread_end(job.thread);
	free(job.descent);
	free(job.expected);
	free(job.seen);
	free(job.sorted);
	free(job.pool);
	return good;
}

static bool run_structure(const struct suite *suite, const struct cleave_structure *structure)
{
	static const char *const partitions[] = { "", "@hash4" };
	struct counts counts = { 0 };

	for (unsigned i = 0; i < 2; i++) {
		char design[128];
		unsigned people = suite_scale() > 1 && i == 0 ? LONG_PEOPLE : SHORT_PEOPLE;

		snprintf(design, sizeof(design), "%s%s/one:none", structure->name, partitions[i]);
		if (suite_try_open(suite, design, NULL) == -ENOTSUP)
			snprintf(design, sizeof(design), "%s%s/free", structure->name,
				 partitions[i]);
		if (!run_design(suite, structure, design, people, &counts))
			return false;
	}
	printf("oracle: %s: %llu operations, %llu walks with %llu visits, %llu children and copies "
	       "behind their sources, "
	       "%llu validations, up to %u intervals\n",
	       structure->name, (unsigned long long)counts.ops, (unsigned long long)counts.walks,
	       (unsigned long long)counts.visits, (unsigned long long)counts.orders,
	       (unsigned long long)counts.validations, counts.most);
	fflush(stdout);
	return true;
}

int main(int argc, char **argv)
{
	const struct cleave_structure *structure;
	struct suite suite = { .seed = 1 };
	unsigned ran = 0, failed = 0;

	if (!suite_open(&suite))
		return 1;
	for (unsigned i = 0; (structure = cleave_structure_at(i)); i++) {
		if ((structure->flags & CLEAVE_SINK) || !is_wanted(structure->name, argc, argv))
			continue;
		ran++;
		failed += !run_structure(&suite, structure);
	}
	suite_close(&suite);
	printf("oracle: %u structures, %u failed\n", ran, failed);
	return failed || !ran;
}
