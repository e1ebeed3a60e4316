// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Exec storm: every worker is a copy of one program that executes itself without end, as recorded
 * in a schedule (schedule.h). Each file of the schedule is a map. A step is one section: wait the
 * gap, then do the section's operations as one batch on the copy's own intervals.
 *
 * What is in the maps: what each copy holds when an exec begins; and on the schedule's main file,
 * libc.so.6, standing intervals, so that with the copies at rest config.population are there. These
 * are what other processes have of it: the ranges at rest, a process at a time, from the workers'
 * CPUs in turn.
 *
 * Gaps. The copy waits the gap from the end of the section before to the start of the next, busy on
 * its CPU as the program was. A recorded gap contains the section before, which took 0.2 us on the
 * recording machine: 1 % of the mean gap. So that copies do not march in step, each takes some
 * number of its first sections, drawn from the seed, without a gap.
 *
 * Migration. Linux chooses a CPU anew when execve is called, before the old image goes (sched_exec).
 * So here, with config.migrate as probability, before the section that begins to take it apart:
 * a worker goes on with another copy, which removes on this CPU what it made on another, and makes
 * its new image here. The copies that rest between two CPUs, one a worker, hold their old image;
 * what it has of libc.so.6 counts as part of the population.
 *
 * Storm (config.course->storm): outside of it the first `quiet` workers alone have a copy each. The
 * others' copies start in the storm, spread over the time of one exec, with one batch a map that
 * inserts what a copy holds when an exec begins; and when it is over they exit, each at the end of
 * its exec, with batches that remove it. So behind a storm nothing of it is left in the maps. Without
 * a copy a worker sleeps, and looks from time to time. The population is that of all copies at rest.
 *
 * The other lock: once an exec, behind its last section, one lock for all copies is held for
 * config.other_lock_ns; it stands for whatever else is global in an exec.
 */
#include <errno.h>

#include "../../lib/env.h"
#include "../../lib/error.h"
#include "../../lib/locks/lock.h"
#include "../../lib/shim/mark.h"
#include "schedule.h"
#include "workload.h"

struct section {
	uint64_t gap_ns;
	uint32_t map;
	uint32_t first_op, ops;
	uint32_t inserts, removes, changes;
};

/* Constant during the run, but for the lock. */
struct program {
	size_t bytes;
	unsigned sections, slots, section_ops_max;
	unsigned migrate_section; /* before which copies migrate; `sections` if they do not */
	bool moves; /* is next_slot anything but i to i? */
	struct section *section;
	struct clv_schedule_op *op;
	unsigned *next_slot;
	const struct clv_lock_type *other_type;
	void *other;
	uint64_t other_ns;
};

/* A copy's place in the program; it moves with the copy. */
struct copy {
	size_t bytes;
	unsigned section; /* `sections`: there is no copy, as it is not yet or no longer needed */
	unsigned hurry; /* sections still to take without a gap */
	uint64_t until_ns; /* end of the gap it is in, 0: in none; of no copy: when one is to start */
	struct clv_slot *scratch; /* [slots] */
	struct cleave_op op[];	  /* [section_ops_max] */
};

/* How often a worker without a copy looks whether it is to go on. */
#define REST_NS 50000

_Static_assert(CLV_SCHEDULE_FILES_MAX <= CLV_RUN_MAPS_MAX, "each file is a map");

/* ---- setting up ---- */

/* What a copy between two CPUs has of the main file; 0 if none is there. */
static unsigned resting(const struct clv_run *run)
{
	const struct clv_schedule *schedule = run->config.schedule;
	unsigned count = 0;
	for (unsigned i = 0; run->migrate_rate && i < schedule->slots; i++)
		count += schedule->file_of_slot[i] == schedule->main_file &&
			 !clv_range_is_none(schedule->at_exec[i]);
	return count;
}

static int check(const struct clv_run *run, struct cleave_error *error)
{
	const struct clv_run_config *config = &run->config;
	const struct clv_schedule *schedule = config->schedule;
	if (!schedule)
		return clv_error(error, -EINVAL, "no schedule: %s", config->workload);
	if (config->think_given && config->think_ns && !schedule->cycle_ns)
		return clv_error(error, -EINVAL,
				 "the schedule has no gaps to scale: %s", config->workload);
	if (config->think_given && config->think_ns > 1000000000000u)
		return clv_error(error, -EINVAL, "mean gap of more than 1000 s: %s",
				 config->workload);
	const char *file = schedule->file[schedule->main_file].name;
	if (config->population / config->threads < schedule->rest_count)
		return clv_error(error, -EINVAL,
				 "population %llu is less than the %u at rest of %s in each of %u "
				 "copies: %s", (unsigned long long)config->population,
				 schedule->rest_count, file, config->threads, config->workload);
	uint64_t least = (uint64_t)config->threads * (schedule->rest_count + resting(run));
	if (config->population < least)
		return clv_error(error, -EINVAL,
				 "population %llu is less than %llu, what %u copies at rest and as "
				 "many that migrate have of %s: %s",
				 (unsigned long long)config->population, (unsigned long long)least,
				 config->threads, file, config->workload);
	if (config->population > UINT32_MAX)
		return clv_error(error, -EINVAL, "population of more than 2^32: %s",
				 config->workload);
	return 0;
}

/*
 * Standing intervals come in processes of rest_count, the last maybe of fewer; process p is that of
 * worker p % threads.
 */
static void count_slots(struct clv_run *run)
{
	const struct clv_run_config *config = &run->config;
	const struct clv_schedule *schedule = config->schedule;
	uint64_t each = schedule->rest_count, threads = config->threads;
	uint64_t standing = config->population - (each + resting(run)) * threads;
	uint64_t whole = standing / each, part = standing % each;
	for (unsigned i = 0; i < threads; i++) {
		struct clv_worker *worker = run->worker[i];
		worker->held.count = schedule->slots;
		worker->standing.count = each * (whole / threads + (i < whole % threads)) +
					 (i == whole % threads ? part : 0);
	}
}

/* Gaps that sum up to think_ns * sections, with the schedule's proportions. */
static void scale_gaps(struct program *program, const struct clv_schedule *schedule,
		       const struct clv_run_config *config)
{
	__uint128_t whole_ns = schedule->cycle_ns;
	if (config->think_given)
		whole_ns = (__uint128_t)config->think_ns * schedule->sections;
	uint64_t recorded_ns = 0, before_ns = 0;
	for (unsigned i = 0; i < program->sections; i++) {
		recorded_ns += schedule->section[i].gap_ns;
		uint64_t ns = schedule->cycle_ns ?
				      (uint64_t)(whole_ns * recorded_ns / schedule->cycle_ns) : 0;
		program->section[i].gap_ns = ns - before_ns;
		before_ns = ns;
	}
}

static void copy_section(struct program *program, const struct clv_schedule *schedule, unsigned i)
{
	const struct clv_schedule_section *from = &schedule->section[i];
	struct section *to = &program->section[i];
	*to = (struct section){ .map = from->file, .first_op = from->first_op, .ops = from->ops };
	for (unsigned j = 0; j < from->ops; j++) {
		const struct clv_schedule_op *op = &schedule->op[from->first_op + j];
		program->op[from->first_op + j] = *op;
		to->removes += op->kind == CLEAVE_REMOVE;
		to->changes += op->kind == CLEAVE_CHANGE;
	}
	to->inserts = to->ops - to->removes - to->changes;
}

static int make_other_lock(struct program *program, struct clv_run *run,
			   struct cleave_error *error)
{
	const struct clv_lock_args none = { 0 };
	const struct clv_lock_type *type = clv_lock_type_find("mutex", 5);
	program->other_ns = run->config.other_lock_ns;
	if (!program->other_ns)
		return 0;
	void *lock = cleave_alloc(type->size_bytes, CLV_CACHE_LINE, -1);
	int code = lock ? 0 : clv_error(error, -ENOMEM, "exec: out of memory");
	if (!code)
		clv_name(lock, type->size_bytes, 0, "other lock", -1, type->fields);
	if (!code && type->init)
		code = type->init(lock, run->env, &none, error);
	if (code && lock)
		cleave_free(lock, type->size_bytes);
	if (!code) {
		program->other_type = type;
		program->other = lock;
	}
	return code;
}

/* One block: the program, its sections, ops and next_slot behind it. */
static struct program *make_program(const struct clv_schedule *schedule)
{
	size_t section_bytes = schedule->sections * sizeof(struct section);
	size_t op_bytes = schedule->ops * sizeof(struct clv_schedule_op);
	size_t bytes = sizeof(struct program) + section_bytes + op_bytes +
		       schedule->slots * sizeof(unsigned);
	struct program *program = cleave_alloc(bytes, CLV_CACHE_LINE, -1);
	if (!program)
		return NULL;
	clv_name(program, bytes, 0, "program", -1, NULL);
	unsigned char *at = (unsigned char *)(program + 1);
	program->bytes = bytes;
	program->sections = schedule->sections;
	program->slots = schedule->slots;
	program->section_ops_max = schedule->section_ops_max;
	program->section = (struct section *)at;
	program->op = (struct clv_schedule_op *)(at + section_bytes);
	program->next_slot = (unsigned *)(at + section_bytes + op_bytes);
	for (unsigned i = 0; i < program->sections; i++)
		copy_section(program, schedule, i);
	for (unsigned i = 0; i < program->slots; i++) {
		program->next_slot[i] = schedule->next_slot[i];
		program->moves |= program->next_slot[i] != i;
	}
	return program;
}

static void close(struct clv_run *run)
{
	struct program *program = run->state;
	if (program->other) {
		if (program->other_type->fini)
			program->other_type->fini(program->other);
		cleave_free(program->other, program->other_type->size_bytes);
	}
	cleave_free(program, program->bytes);
	run->state = NULL;
}

static int open(struct clv_run *run, struct cleave_error *error)
{
	const struct clv_schedule *schedule = run->config.schedule;
	int code = check(run, error);
	if (code)
		return code;
	struct program *program = make_program(schedule);
	if (!program)
		return clv_error(error, -ENOMEM, "exec: out of memory");
	run->state = program;
	code = make_other_lock(program, run, error);
	if (code) {
		close(run);
		return code;
	}
	program->migrate_section =
		run->migrate_rate ? schedule->exec_section : program->sections;
	scale_gaps(program, schedule, &run->config);
	count_slots(run);
	run->maps = schedule->files;
	run->last_page = schedule->last_page;
	run->walk_map = schedule->main_file;
	for (unsigned i = 0; i < schedule->rest_count; i++) {
		uint64_t pages = (uint64_t)schedule->rest[i].last + 1;
		run->walk_pages = pages > run->walk_pages ? pages : run->walk_pages;
	}
	return 0;
}

/* Does the worker have a copy during the storm alone? */
static bool is_called_up(const struct clv_worker *worker)
{
	const struct clv_course_config *course = worker->run->config.course;
	return course && course->storm.to_ns && worker->index >= course->storm.quiet;
}

static struct clv_range initial(const struct clv_worker *worker, enum clv_holding holding,
				uint64_t slot, unsigned *map)
{
	const struct clv_schedule *schedule = worker->run->config.schedule;
	if (holding == CLV_STANDING) {
		*map = schedule->main_file;
		return schedule->rest[slot % schedule->rest_count];
	}
	*map = schedule->file_of_slot[slot];
	if (holding == CLV_RESTING)
		return schedule->at_exec[slot];
	return is_called_up(worker) ? CLV_RANGE_NONE : schedule->initial[slot];
}

static uint64_t exec_ns(const struct program *program)
{
	uint64_t sum_ns = 0;
	for (unsigned i = 0; i < program->sections; i++)
		sum_ns += program->section[i].gap_ns;
	return sum_ns;
}

static int begin(struct clv_worker *worker, enum clv_holding holding, void **state)
{
	const struct program *program = worker->run->state;
	size_t op_bytes = program->section_ops_max * sizeof(struct cleave_op);
	size_t bytes = sizeof(struct copy) + op_bytes + program->slots * sizeof(struct clv_slot);
	struct copy *copy = cleave_alloc(bytes, CLV_CACHE_LINE, worker->node);
	if (!copy)
		return -ENOMEM;
	clv_name(copy, bytes, 0, "copy", (int)worker->index, NULL);
	copy->bytes = bytes;
	copy->scratch = (struct clv_slot *)((unsigned char *)copy->op + op_bytes);
	*state = copy;
	if (holding == CLV_RESTING) {
		copy->section = program->migrate_section;
		return 0;
	}
	uint64_t random = clv_seed(worker->run->config.seed, CLV_STREAM_START, worker->index);
	if (is_called_up(worker)) {
		copy->section = program->sections;
		copy->until_ns = worker->run->config.course->storm.from_ns +
				 (uint64_t)((__uint128_t)clv_random(&random) * exec_ns(program) >> 64);
		return 0;
	}
	copy->hurry = (unsigned)clv_scale((uint32_t)clv_random(&random), program->sections);
	return 0;
}

static void end(void *state)
{
	struct copy *copy = state;
	cleave_free(copy, copy->bytes);
}

/* ---- running ---- */

/* Returns: whether the gap before the section is over. Reads the clock only if there is a gap. */
static bool gap_is_over(struct copy *copy, const struct section *section)
{
	if (!section->gap_ns || copy->hurry)
		return true;
	uint64_t now_ns = clv_now_ns();
	if (!copy->until_ns)
		copy->until_ns = now_ns + section->gap_ns;
	if (now_ns < copy->until_ns)
		return false;
	copy->until_ns = 0;
	return true;
}

static int do_section(struct clv_worker *worker, const struct program *program, struct copy *copy,
		      const struct section *section)
{
	struct clv_slot *slot = worker->held.slot;
	struct cleave_map *map = worker->run->map[section->map];
	const struct clv_schedule_op *from = &program->op[section->first_op];
	for (unsigned i = 0; i < section->ops; i++) {
		struct cleave_op *op = &copy->op[i];
		if (!clv_slot_ready(worker, &slot[from[i].slot]))
			return -ENOMEM;
		op->kind = from[i].kind;
		op->entry = slot[from[i].slot].entry;
		op->source = NULL;
		if (op->kind == CLEAVE_INSERT_NEAR)
			op->source = slot[from[i].source_slot].entry;
		op->start = from[i].range.start;
		op->last = from[i].range.last;
	}
	int code = clv_worker_apply(worker, map, copy->op, section->ops);
	if (__builtin_expect(code, 0))
		return code;
	for (unsigned i = 0; i < section->ops; i++) {
		if (from[i].kind == CLEAVE_REMOVE)
			clv_slot_empty(worker, map, &slot[from[i].slot]);
		else
			slot[from[i].slot].range = from[i].range;
	}
	worker->done.inserts += section->inserts;
	worker->done.removes += section->removes;
	worker->done.changes += section->changes;
	clv_walks_owe(worker, section->ops);
	return 0;
}

static void hold_other_lock(struct clv_worker *worker, const struct program *program)
{
	struct clv_hold hold = { .thread = worker->thread };
	clv_mark(CLV_MARK_ASK, program->other);
	program->other_type->acquire(program->other, &hold);
	clv_mark(CLV_MARK_GOT, program->other);
	uint64_t until_ns = clv_now_ns() + program->other_ns;
	while (clv_now_ns() < until_ns)
		clv_pause_until(until_ns);
	clv_mark(CLV_MARK_FREE, program->other);
	program->other_type->release(program->other, &hold);
	clv_mark(CLV_MARK_FREED, program->other);
}

static void end_exec(struct clv_worker *worker, const struct program *program, struct copy *copy)
{
	struct clv_slot *slot = worker->held.slot;
	if (program->moves) {
		for (unsigned i = 0; i < program->slots; i++)
			copy->scratch[program->next_slot[i]] = slot[i];
		for (unsigned i = 0; i < program->slots; i++)
			slot[i] = copy->scratch[i];
	}
	if (program->other)
		hold_other_lock(worker, program);
	copy->section = 0;
	worker->done.execs++;
}

static int step(struct clv_worker *worker)
{
	const struct program *program = worker->run->state;
	struct copy *copy = worker->state;
	const struct section *section = &program->section[copy->section];
	if (clv_walk_is_due(worker))
		return clv_worker_walk(worker);
	if (!gap_is_over(copy, section)) {
		clv_pause_until(copy->until_ns);
		return 0;
	}
	if (__builtin_expect(copy->section == program->migrate_section, 0) &&
	    clv_migration_is_due(worker)) {
		clv_worker_migrate(worker);
		copy = worker->state;
	}
	copy->hurry -= copy->hurry > 0;
	int code = do_section(worker, program, copy, section);
	if (__builtin_expect(code, 0))
		return code;
	if (++copy->section == program->sections)
		end_exec(worker, program, copy);
	return 0;
}

/* ---- a storm ---- */

/* Has the slot something of the map when an exec begins? */
static bool begins_with(const struct clv_schedule *schedule, unsigned slot, unsigned map)
{
	return schedule->file_of_slot[slot] == map && !clv_range_is_none(schedule->initial[slot]);
}

/* From one slot on, those of the map, as many as fit into a batch. Returns: the slot behind them. */
static unsigned do_slots(struct clv_worker *worker, enum cleave_op_kind kind, unsigned map_index,
			 unsigned from, int *code)
{
	const struct clv_schedule *schedule = worker->run->config.schedule;
	struct cleave_map *map = worker->run->map[map_index];
	struct copy *copy = worker->state;
	unsigned ops = 0, most = ((const struct program *)worker->run->state)->section_ops_max;
	unsigned slot = from;
	for (; slot < schedule->slots && ops < most; slot++) {
		struct clv_slot *own = &worker->held.slot[slot];
		if (!begins_with(schedule, slot, map_index))
			continue;
		if (kind == CLEAVE_INSERT && !clv_slot_ready(worker, own)) {
			*code = -ENOMEM;
			return slot;
		}
		copy->op[ops++] = (struct cleave_op){ kind, own->entry, NULL,
						      schedule->initial[slot].start,
						      schedule->initial[slot].last };
	}
	*code = ops ? clv_worker_apply(worker, map, copy->op, ops) : 0;
	for (unsigned i = from; i < slot && !*code; i++) {
		if (!begins_with(schedule, i, map_index))
			continue;
		if (kind == CLEAVE_REMOVE)
			clv_slot_empty(worker, map, &worker->held.slot[i]);
		else
			worker->held.slot[i].range = schedule->initial[i];
	}
	if (kind == CLEAVE_REMOVE)
		worker->done.removes += ops;
	else
		worker->done.inserts += ops;
	clv_walks_owe(worker, ops);
	return slot;
}

/* Insert or remove what a copy holds when an exec begins. */
static int do_copy(struct clv_worker *worker, enum cleave_op_kind kind)
{
	const struct clv_schedule *schedule = worker->run->config.schedule;
	int code = 0;
	for (unsigned map = 0; map < schedule->files && !code; map++) {
		for (unsigned slot = 0; slot < schedule->slots && !code;)
			slot = do_slots(worker, kind, map, slot, &code);
	}
	return code;
}

static int await_storm(struct clv_worker *worker, uint64_t wait_ns)
{
	clv_park(worker->thread, wait_ns < REST_NS ? wait_ns : REST_NS);
	return 0;
}

/* Of a worker that has a copy during the storm alone. */
static int step_called_up(struct clv_worker *worker)
{
	const struct program *program = worker->run->state;
	const struct clv_storm *storm = &worker->run->config.course->storm;
	struct copy *copy = worker->state;
	uint64_t at_ns;
	if (copy->section && copy->section < program->sections)
		return step(worker);
	bool begun = clv_window_ns(worker->run, &at_ns), over = begun && at_ns >= storm->to_ns;
	int code;
	if (copy->section == 0) {
		if (!over || clv_walk_is_due(worker))
			return step(worker);
		code = do_copy(worker, CLEAVE_REMOVE);
		copy->section = program->sections;
		return code;
	}
	if (!begun || over)
		return await_storm(worker, REST_NS);
	if (at_ns < copy->until_ns)
		return await_storm(worker, copy->until_ns - at_ns);
	code = do_copy(worker, CLEAVE_INSERT);
	copy->section = 0;
	copy->until_ns = 0;
	return code;
}

static int step_in_storm(struct clv_worker *worker)
{
	if (worker->index < worker->run->config.course->storm.quiet)
		return step(worker);
	return step_called_up(worker);
}

const struct clv_workload clv_workload_exec = {
	.info = {
		.name = "exec",
		.summary = "copies of a program that executes itself, as recorded",
		.needs_schedule = true,
	},
	.needs = CLEAVE_C5_COMPLETE_AND_SINGLE | CLEAVE_C7_SUBSET_STORED,
	.changes = true,
	.migrates = true,
	.open = open,
	.close = close,
	.initial = initial,
	.begin = begin,
	.end = end,
	.step = step,
	.step_in_storm = step_in_storm,
};
