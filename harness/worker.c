// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The worker loop, for every workload and machine: look at the phase, take a step. What is counted
 * is whole steps, from the first that begins after the worker has seen the window open to the last
 * that began before it saw it close, over the time between these two by the worker's own clock.
 *
 * Sampling. One of sample_every batches and walks is timed, and has the library time its locks;
 * which ones is drawn from the seed and the worker's number alone, so it is the same for every
 * design. Between samples no clock is read. Samples outside the window are taken and dropped, so
 * that warm-up and window do the same.
 */
#include "worker.h"

#include <errno.h>

#include "../lib/map.h"
#include "../lib/shim/mark.h"
#include "course.h"
#include "workloads/workload.h"

#define POOL_CHUNK 64
#define AWAIT_NS 100000
#define MIGRATE_TRIES 4

static uint64_t mix(uint64_t z)
{
	z += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t clv_seed(uint64_t seed, enum clv_stream stream, unsigned worker)
{
	return mix(mix(seed) ^ ((uint64_t)stream << 32) ^ worker);
}

/* ---- entries of designs that defer ---- */

static struct clv_entry_tail *tail_of(const struct clv_run *run, struct cleave_entry *entry)
{
	return (struct clv_entry_tail *)((unsigned char *)entry + run->tail_offset);
}

static void into_pool(struct clv_worker *worker, struct clv_entry_tail *tail)
{
	tail->next = worker->pool;
	worker->pool = tail;
}

/* Runs on the worker's own thread, from one of its later calls. */
static void unseen(struct cleave_deferred *deferred)
{
	struct clv_entry_tail *tail =
		cleave_container_of(deferred, struct clv_entry_tail, deferred);
	into_pool(tail->worker, tail);
}

void clv_worker_defer(struct clv_worker *worker, struct cleave_map *map, struct clv_slot *slot)
{
	struct clv_entry_tail *tail = tail_of(worker->run, slot->entry);
	slot->entry = NULL;
	tail->worker = worker;
	cleave_defer(map, worker->thread, &tail->deferred, unseen);
}

_Static_assert(sizeof(struct clv_entry_chunk) <= sizeof(struct clv_entry_tail),
	       "a chunk's head fits into the place of an entry");

static bool grow_pool(struct clv_worker *worker)
{
	const struct clv_run *run = worker->run;
	size_t bytes = (1 + POOL_CHUNK) * run->entry_bytes;
	struct clv_entry_chunk *chunk =
		cleave_alloc(bytes, cleave_entry_align(run->map[0]), worker->node);
	if (!chunk)
		return false;
	clv_name(chunk, bytes, run->entry_bytes, "interval", (int)worker->index,
		 run->map[0]->structure->entry_fields);
	chunk->next = worker->chunks;
	chunk->bytes = bytes;
	worker->chunks = chunk;
	for (size_t i = POOL_CHUNK; i > 0; i--) {
		unsigned char *entry = (unsigned char *)chunk + i * run->entry_bytes;
		into_pool(worker, tail_of(run, (struct cleave_entry *)entry));
	}
	return true;
}

struct cleave_entry *clv_worker_take(struct clv_worker *worker)
{
	if (!worker->pool && !grow_pool(worker))
		return NULL;
	struct clv_entry_tail *tail = worker->pool;
	worker->pool = tail->next;
	return (struct cleave_entry *)((unsigned char *)tail - worker->run->tail_offset);
}

/* ---- migration ---- */

/*
 * A bundle that this worker left itself has not migrated; it takes that one's place in the next
 * mailbox. It may find such ones alone, while others do not come by: then it keeps the last.
 */
void clv_worker_migrate(struct clv_worker *worker)
{
	const struct clv_run *run = worker->run;
	unsigned boxes = run->config.threads;
	unsigned i = (unsigned)clv_scale((uint32_t)(clv_random(&worker->random) >> 32), boxes);
	struct clv_bundle *bundle = worker->bundle;
	*bundle = (struct clv_bundle){ worker->held, worker->state, worker->index };
	for (unsigned turn = 0; turn < MIGRATE_TRIES && bundle->worker == worker->index; turn++) {
		/* Release and acquire: its partner is itself, in who takes it, and who left it. */
		bundle = __atomic_exchange_n(&run->mailbox[i].bundle, bundle, __ATOMIC_ACQ_REL);
		i = i + 1 < boxes ? i + 1 : 0;
	}
	worker->done.moves += bundle->worker != worker->index;
	worker->held = bundle->held;
	worker->state = bundle->state;
	worker->bundle = bundle;
}

/* ---- batches and walks ---- */

/* 1 to 2 * sample_every - 1, so sample_every on average; never, if that is 0. */
static uint64_t draw_sample(struct clv_worker *worker)
{
	uint64_t every = worker->run->config.sample_every;
	if (!every)
		return UINT64_MAX;
	return 1 + clv_scale((uint32_t)(clv_random(&worker->sample_random) >> 32), 2 * every - 1);
}

/* Without the readings of the clock that it contains. */
static uint64_t less_clock(const struct clv_worker *worker, uint64_t ns, uint64_t readings)
{
	uint64_t cost_ns = readings * worker->run->clock_ns;
	return ns > cost_ns ? ns - cost_ns : 0;
}

/*
 * An interval between two readings contains one. A timed acquisition reads twice, the last release
 * once; a further acquisition has its first reading inside the hold. Returns: ns, corrected.
 */
static uint64_t keep_sample(struct clv_worker *worker, const struct cleave_times *times,
			    uint64_t ns)
{
	uint64_t locks = times->acquired;
	ns = less_clock(worker, ns, 1 + 2 * locks + (locks > 0));
	worker->sampled.count++;
	worker->sampled.ns += ns;
	worker->sampled.wait_ns += less_clock(worker, times->wait_ns, locks);
	worker->sampled.hold_ns += less_clock(worker, times->hold_ns, locks);
	return ns;
}

int clv_worker_apply_timed(struct clv_worker *worker, struct cleave_map *map,
			   const struct cleave_op *ops, unsigned count)
{
	struct cleave_times times = { 0, 0, 0 };
	worker->until_sample = draw_sample(worker);
	cleave_thread_time(worker->thread, &times);
	uint64_t begin_ns = clv_now_ns();
	int code = cleave_apply(map, worker->thread, ops, count);
	uint64_t ns = clv_now_ns() - begin_ns;
	cleave_thread_time(worker->thread, NULL);
	if (worker->phase == CLV_PHASE_MEASURE)
		clv_histogram_add(worker->latency, keep_sample(worker, &times, ns));
	return code;
}

struct look {
	struct clv_worker *worker;
	struct cleave_map *map;
	uint64_t page;
};

static int look_at(struct cleave_entry *entry, void *arg)
{
	struct look *look = arg;
	struct clv_worker *worker = look->worker;
	uint64_t start, last;
	cleave_bounds(look->map, entry, &start, &last);
	worker->done.visits++;
	if (__builtin_expect((look->page < start || look->page > last) &&
			     worker->run->checks_visits, 0)) {
		if (!worker->bad_visits++)
			worker->bad_visit = (struct clv_bad_visit){ look->page, start, last };
	}
	return 0;
}

/* The next walk, of those due. */
static struct look begin_walk(struct clv_worker *worker)
{
	const struct clv_run *run = worker->run;
	struct cleave_map *map = run->map[run->walk_map];
	uint64_t page = clv_scale((uint32_t)(clv_random(&worker->random) >> 32), run->walk_pages);
	worker->walk_due -= UINT64_C(1) << 32;
	worker->done.walks++;
	worker->done.batches++;
	return (struct look){ worker, map, page };
}

/* Returns: as cleave_walk; *ns: what it took, and *times: of that for locks, as read. */
static int time_walk(struct look *look, struct cleave_times *times, uint64_t *ns)
{
	struct clv_worker *worker = look->worker;
	cleave_thread_time(worker->thread, times);
	uint64_t begin_ns = clv_now_ns();
	int code = cleave_walk(look->map, worker->thread, look->page, look->page, 0, look_at, look);
	*ns = clv_now_ns() - begin_ns;
	cleave_thread_time(worker->thread, NULL);
	return code;
}

static int sample_walk(struct look *look, struct cleave_times *times)
{
	struct clv_worker *worker = look->worker;
	uint64_t ns;
	worker->until_sample = draw_sample(worker);
	int code = time_walk(look, times, &ns);
	if (worker->phase == CLV_PHASE_MEASURE)
		keep_sample(worker, times, ns);
	return code;
}

int clv_worker_walk(struct clv_worker *worker)
{
	struct look look = begin_walk(worker);
	struct cleave_times times = { 0, 0, 0 };
	if (--worker->until_sample)
		return cleave_walk(look.map, worker->thread, look.page, look.page, 0, look_at, &look);
	return sample_walk(&look, &times);
}

int clv_worker_walk_timed(struct clv_worker *worker, uint64_t *wait_ns)
{
	struct look look = begin_walk(worker);
	struct cleave_times times = { 0, 0, 0 };
	uint64_t ns;
	int code = --worker->until_sample ? time_walk(&look, &times, &ns) :
					    sample_walk(&look, &times);
	*wait_ns = less_clock(worker, times.wait_ns, times.acquired);
	return code;
}

/* ---- the loop ---- */

/* The phase has moved. Returns: whether to go on. */
static bool turn(struct clv_worker *worker, uint32_t phase)
{
	uint32_t was = worker->phase;
	worker->phase = phase;
	if (phase == CLV_PHASE_MEASURE) {
		worker->before = worker->done;
		worker->begin_ns = clv_now_ns();
	} else if (was == CLV_PHASE_MEASURE) {
		worker->end_ns = clv_now_ns();
		worker->after = worker->done;
	}
	return phase != CLV_PHASE_STOP;
}

/*
 * Until all have begun, which takes many threads at once a while: the first would use up the warm-up.
 * Sleeping, as more threads than CPUs may have to come.
 */
static void await_all(struct clv_worker *worker, int code)
{
	struct clv_run *run = worker->run;
	/* Relaxed, both: nothing is handed over. */
	__atomic_fetch_add(&run->begun, 1, __ATOMIC_RELAXED);
	while (!code && __atomic_load_n(&run->begun, __ATOMIC_RELAXED) < run->config.threads)
		clv_park(worker->thread, AWAIT_NS);
}

void clv_worker_body(void *arg, unsigned index)
{
	struct clv_run *run = arg;
	struct clv_worker *worker = run->worker[index];
	int (*step)(struct clv_worker *) = clv_course_step_of(run);

	worker->failed = cleave_thread_begin(&worker->thread, run->env, worker->cpu);
	await_all(worker, worker->failed);
	if (worker->failed)
		return;
	cleave_thread_seed(worker->thread,
			   clv_seed(run->config.seed, CLV_STREAM_LIBRARY, index));
	worker->until_sample = draw_sample(worker);
	for (;;) {
		/* Relaxed: the word stands for nothing but itself. */
		uint32_t phase = __atomic_load_n(&run->phase, __ATOMIC_RELAXED);
		if (__builtin_expect(phase != worker->phase, 0) && !turn(worker, phase))
			break;
		worker->failed = step(worker);
		if (__builtin_expect(worker->failed, 0))
			break;
	}
	cleave_thread_end(worker->thread);
	worker->thread = NULL;
}
