// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Fetch&Multiply after the benchmark of github.com/nkallima/sim-universal-construction: one shared
 * number, multiplied by each operation; between two of them, a loop of random length that counts a
 * volatile variable up.
 *
 * CC-Synch and H-Synch: Fatourou and Kallimanis, Revisiting the Combining Synchronization
 * Technique, PPoPP 2012. A thread swaps a node into the queue and gets the one that was there,
 * writes its request into that, and waits at it; who is told to go on without its request being
 * done serves the queue, `help` requests at most, and tells the next. H-Synch: a queue a cluster,
 * and who serves one has a global CLH lock meanwhile.
 * Flat combining: Hendler, Incze, Shavit, Tzafrir, SPAA 2010. Who gets the lock looks through all
 * threads' requests. Where we differ: no record ever leaves the list, since all threads stay, so
 * the list is an array of lines; one pass a lock.
 */
#include "cases.h"

#include <errno.h>

#include "../../lib/error.h"
#include "../../lib/shim/shim.h"

enum { BATCH = 32 }; /* operations between two looks at the phase, where one takes a few ns */

#define LOAD(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define STORE(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define SWAP(p, v) __atomic_exchange_n(p, v, __ATOMIC_ACQ_REL)

/* A waiter's line: of MCS, of CLH, of the combiners. */
struct node {
	_Alignas(CLV_CACHE_LINE) struct node *next;
	uint64_t argument, result;
	uint32_t wait, done;
};

struct queue {
	_Alignas(CLV_CACHE_LINE) struct node *tail;
};

struct link {
	_Alignas(CLV_CACHE_LINE) struct link *next;
	uint64_t value;
};

struct pair {
	_Alignas(CLV_CACHE_LINE) struct pair *next;
	_Alignas(CLV_CACHE_LINE) uint64_t value; /* in the line behind */
};

struct worker {
	_Alignas(CLV_CACHE_LINE) uint64_t random;
	struct node *mine, *clh;
	struct queue *queue; /* that it combines in */
	uint64_t ops, ops_before, sum;
	uint64_t begin_ns, end_ns;
	volatile unsigned turns;
};

struct state {
	/* read only in a run */
	_Alignas(CLV_CACHE_LINE) struct clv_case_config config;
	struct worker *worker;	/* [threads] */
	struct node *node;	/* [threads + 1 + clusters], and as many for CLH */
	struct queue *queue;	/* [clusters] */
	void *chain;
	unsigned nodes;
	_Alignas(CLV_CACHE_LINE) uint32_t phase;
	_Alignas(CLV_CACHE_LINE) uint64_t number;
	_Alignas(CLV_CACHE_LINE) struct queue lock; /* MCS, CLH */
	_Alignas(CLV_CACHE_LINE) uint32_t flat;
};

/* xorshift64 (Marsaglia 2003); pre: not 0. */
static uint64_t draw(uint64_t *random)
{
	uint64_t x = *random;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *random = x;
}

/* ---- Fetch&Multiply ---- */

static void multiply(struct state *state, uint64_t argument, uint64_t *result)
{
	*result = state->number;
	state->number *= argument;
}

static void multiply_mcs(struct state *state, struct worker *worker, uint64_t argument)
{
	struct node *me = worker->mine, *next;
	me->next = NULL;
	me->wait = 1;
	struct node *before = SWAP(&state->lock.tail, me);
	if (before) {
		STORE(&before->next, me);
		while (LOAD(&me->wait))
			clv_pause();
	}
	multiply(state, argument, &worker->sum);
	next = LOAD(&me->next);
	if (!next) {
		struct node *expected = me;
		if (__atomic_compare_exchange_n(&state->lock.tail, &expected, NULL, false,
						__ATOMIC_RELEASE, __ATOMIC_RELAXED))
			return;
		while (!(next = LOAD(&me->next)))
			clv_pause();
	}
	STORE(&next->wait, 0);
}

/* Returns: the node waited at, which is the worker's after the unlock. */
static struct node *lock_clh(struct state *state, struct worker *worker)
{
	worker->clh->wait = 1;
	struct node *before = SWAP(&state->lock.tail, worker->clh);
	while (LOAD(&before->wait))
		clv_pause();
	return before;
}

static void unlock_clh(struct worker *worker, struct node *before)
{
	STORE(&worker->clh->wait, 0);
	worker->clh = before;
}

static void multiply_synch(struct state *state, struct worker *worker, uint64_t argument,
			   bool hierarchy)
{
	struct node *fresh = worker->mine, *mine, *at, *next, *before = NULL;
	fresh->next = NULL;
	fresh->wait = 1;
	fresh->done = 0;
	mine = SWAP(&worker->queue->tail, fresh);
	mine->argument = argument;
	STORE(&mine->next, fresh);
	worker->mine = mine;
	while (LOAD(&mine->wait))
		clv_pause();
	if (mine->done) {
		worker->sum = mine->result;
		return;
	}
	if (hierarchy)
		before = lock_clh(state, worker);
	at = mine;
	for (unsigned i = 0; i < state->config.help && (next = LOAD(&at->next)); i++) {
		multiply(state, at->argument, &at->result);
		at->done = 1;
		STORE(&at->wait, 0);
		at = next;
	}
	if (hierarchy)
		unlock_clh(worker, before);
	STORE(&at->wait, 0);
}

static void combine_flat(struct state *state)
{
	for (unsigned i = 0; i < state->config.threads; i++) {
		struct node *at = &state->node[i];
		if (LOAD(&at->wait)) {
			multiply(state, at->argument, &at->result);
			STORE(&at->wait, 0);
		}
	}
}

static void multiply_flat(struct state *state, struct worker *worker, uint64_t argument)
{
	struct node *mine = worker->mine;
	mine->argument = argument;
	STORE(&mine->wait, 1);
	while (LOAD(&mine->wait)) {
		if (!LOAD(&state->flat) && !SWAP(&state->flat, 1)) {
			combine_flat(state);
			STORE(&state->flat, 0);
			break;
		}
		clv_pause();
	}
	worker->sum = mine->result;
}

static void multiply_once(struct state *state, struct worker *worker)
{
	uint64_t argument = draw(&worker->random) | 1; /* odd: never a number that is 0 */
	switch (state->config.which) {
	case CLV_CASE_MULTIPLY_MCS:
		multiply_mcs(state, worker, argument);
		break;
	case CLV_CASE_MULTIPLY_FLAT:
		multiply_flat(state, worker, argument);
		break;
	default:
		multiply_synch(state, worker, argument,
			       state->config.which == CLV_CASE_MULTIPLY_H);
		break;
	}
	if (!state->config.work)
		return;
	unsigned turns = (unsigned)(draw(&worker->random) % state->config.work);
	for (worker->turns = 0; worker->turns < turns; worker->turns++)
		;
}

/* ---- the others ---- */

static void add(struct state *state)
{
	for (unsigned i = 0; i < BATCH; i++)
		__atomic_fetch_add(&state->number, 1, __ATOMIC_RELAXED);
}

static const struct link *chase_one(const struct link *at, uint64_t *sum)
{
	for (unsigned i = 0; i < BATCH; i++) {
		*sum += at->value;
		at = at->next;
	}
	return at;
}

static const struct pair *chase_two(const struct pair *at, uint64_t *sum)
{
	for (unsigned i = 0; i < BATCH; i++) {
		*sum += at->value;
		at = at->next;
	}
	return at;
}

static void begin_window(struct worker *worker)
{
	worker->ops_before = worker->ops;
	worker->begin_ns = clv_now_ns();
}

static void body(void *arg, unsigned index)
{
	struct state *state = arg;
	struct worker *worker = &state->worker[index];
	const enum clv_case which = state->config.which;
	const struct link *link = state->chain;
	const struct pair *pair = state->chain;
	for (;;) {
		uint32_t phase = __atomic_load_n(&state->phase, __ATOMIC_RELAXED);
		if (phase == CLV_PHASE_STOP)
			break;
		if (phase == CLV_PHASE_MEASURE && !worker->begin_ns)
			begin_window(worker);
		if (which == CLV_CASE_ADD)
			add(state);
		else if (which == CLV_CASE_CHASE_ONE)
			link = chase_one(link, &worker->sum);
		else if (which == CLV_CASE_CHASE_TWO)
			pair = chase_two(pair, &worker->sum);
		else
			multiply_once(state, worker);
		worker->ops += which < CLV_CASE_MULTIPLY_MCS ? BATCH : 1;
	}
	worker->end_ns = clv_now_ns();
}

/* ---- around a run ---- */

/* Sattolo's: one ring through all, in random order. `stride` bytes each, the pointer first. */
static void link_up(struct state *state, size_t stride)
{
	uint64_t random = state->config.seed * 2 + 1;
	char *chain = state->chain;
	size_t n = state->config.bytes / stride;
	for (size_t i = 0; i < n; i++)
		*(void **)(chain + i * stride) = chain + i * stride;
	for (size_t i = n - 1; i > 0; i--) {
		void **a = (void **)(chain + i * stride);
		void **b = (void **)(chain + draw(&random) % i * stride);
		void *at = *a;
		*a = *b;
		*b = at;
	}
}

static void close(void *arg)
{
	struct state *state = arg;
	const struct clv_case_config *config = &state->config;
	if (state->chain)
		clv_free(state->chain, config->bytes);
	if (state->node)
		clv_free(state->node, state->nodes * sizeof(*state->node));
	if (state->queue)
		clv_free(state->queue, config->clusters * sizeof(*state->queue));
	if (state->worker)
		clv_free(state->worker, config->threads * sizeof(*state->worker));
	clv_free(state, sizeof(*state));
}

static void prepare_worker(struct state *state, unsigned i)
{
	struct worker *worker = &state->worker[i];
	const struct clv_case_config *config = &state->config;
	worker->random = (config->seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + i;
	draw(&worker->random);
	worker->mine = &state->node[i];
	worker->clh = &state->node[config->threads + 1 + config->clusters + i];
	worker->queue = &state->queue[config->cluster ? config->cluster[i] : 0];
}

/* A queue has one node that nobody waits at; so has the CLH lock. */
static void prepare(struct state *state)
{
	const struct clv_case_config *config = &state->config;
	state->number = 1;
	for (unsigned i = 0; i < config->threads; i++)
		prepare_worker(state, i);
	for (unsigned i = 0; i < config->clusters; i++)
		state->queue[i].tail = &state->node[config->threads + 1 + i];
	if (config->which == CLV_CASE_MULTIPLY_H)
		state->lock.tail = &state->node[config->threads];
	if (state->chain)
		link_up(state, config->which == CLV_CASE_CHASE_TWO ? sizeof(struct pair) :
								      sizeof(struct link));
}

static int open(void **out, const struct clv_case_config *config, struct cleave_error *error)
{
	struct state *state = clv_alloc(sizeof(*state), CLV_CACHE_LINE, -1);
	if (!state)
		return clv_error(error, -ENOMEM, "validate: out of memory");
	state->config = *config;
	if (!state->config.clusters)
		state->config.clusters = 1;
	state->nodes = 2 * config->threads + 1 + state->config.clusters;
	state->worker = clv_alloc(config->threads * sizeof(*state->worker), CLV_CACHE_LINE, -1);
	state->node = clv_alloc(state->nodes * sizeof(*state->node), CLV_CACHE_LINE, -1);
	state->queue = clv_alloc(state->config.clusters * sizeof(*state->queue), CLV_CACHE_LINE,
				 -1);
	if (config->bytes)
		state->chain = clv_alloc(config->bytes, 4096, -1);
	if (!state->worker || !state->node || !state->queue || (config->bytes && !state->chain)) {
		close(state);
		return clv_error(error, -ENOMEM, "validate: out of memory");
	}
	prepare(state);
	*out = state;
	return 0;
}

static uint32_t *phase_of(void *arg)
{
	return &((struct state *)arg)->phase;
}

static void progress(void *arg, struct clv_progress *out)
{
	const struct state *state = arg;
	*out = (struct clv_progress){ .least_execs = UINT64_MAX };
	for (unsigned i = 0; i < state->config.threads; i++) {
		uint64_t ops = state->worker[i].ops;
		out->ops += ops;
		out->execs += ops;
		out->batches += ops;
		if (ops < out->least_execs)
			out->least_execs = ops;
	}
}

static bool finish(void *arg, double *ops_per_s)
{
	const struct state *state = arg;
	uint64_t ops = 0;
	*ops_per_s = 0;
	for (unsigned i = 0; i < state->config.threads; i++) {
		const struct worker *worker = &state->worker[i];
		if (!worker->begin_ns || worker->end_ns <= worker->begin_ns)
			continue;
		*ops_per_s += (double)(worker->ops - worker->ops_before) * 1e9 /
			      (double)(worker->end_ns - worker->begin_ns);
	}
	for (unsigned i = 0; i < state->config.threads; i++)
		ops += state->worker[i].ops;
	/* What all operations together must have left. */
	if (state->config.which == CLV_CASE_ADD)
		return state->number == ops + 1;
	return *ops_per_s > 0 && (state->number & 1);
}

const struct clv_validate clv_validate_native = {
	.open = open,
	.phase = phase_of,
	.body = body,
	.progress = progress,
	.finish = finish,
	.close = close,
};
