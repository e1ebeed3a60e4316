// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What a line costs that another CPU has. Two threads: the asker times, the other does to the lines
 * what it is asked for and answers. The hand-shake is outside the timed part, and a timed part is
 * LINES misses long, each of which needs the one before: the line says which is next.
 *
 *   asker            other            state of every line then, asker/other
 *   .                writes           I/M
 *   loads            .                S/O    reference before (or M/I: see below)
 *   .                writes           I/M
 *   loads            .                S/O    read
 *   .                writes           I/M
 *   atomics          .                M/I    write + an atomic
 *   atomics          .                M/I    an atomic on an owned line
 *   .                writes           I/M
 *   loads (untimed)  .                S/O, or M/I where a load takes a modified line away (AMD)
 *   atomics          .                M/I    claim + an atomic
 *   .                writes           I/M
 *   loads (untimed)  loads            O/S or S/O: both have it, whoever took it from whom; again
 *   atomics          .                M/I    upgrade + an atomic
 *   .                writes           I/M
 *   loads            .                S/O    reference after
 *
 * The lines lie in random order, one at a random place in each stretch of 256 bytes: neither a
 * stride nor a pair of neighbours for a prefetcher to find, all sets of an L1 used alike, and few
 * enough to stay in one.
 */
#include <errno.h>

#include "../../lib/error.h"
#include "../../lib/shim/shim.h"
#include "../machine/machine.h"
#include "probes.h"

enum { LINES = 128, STRETCH_LINES = 4, PASSES = 256 };

enum command { WRITE_ALL, READ_ALL, PASS_ALONG, END, COMMANDS };

enum { BEFORE, READ, WRITE, ATOMIC, CLAIM, AGAIN, UPGRADE, AFTER, COLUMNS };

struct line {
	_Alignas(CLV_CACHE_LINE) struct line *next;
	uint64_t value;
};

struct pair {
	_Alignas(2 * CLV_CACHE_LINE) uint32_t asked; /* number * COMMANDS + command */
	_Alignas(2 * CLV_CACHE_LINE) uint32_t answered;
	_Alignas(2 * CLV_CACHE_LINE) uint64_t ball;
	_Alignas(2 * CLV_CACHE_LINE) struct line *memory;
	struct line *first;
	uint32_t number;
	double clock_ns;
	double again_ns; /* the other's loads, a line */
	void (*round)(struct pair *pair);
	struct clv_rounds rounds;
};

#define MEMORY_BYTES (sizeof(struct line) * LINES * STRETCH_LINES)

/* ---- lines ---- */

static uint64_t draw(uint64_t *random)
{
	*random = *random * 6364136223846793005u + 1442695040888963407u;
	return *random >> 33;
}

static void lay_out(struct pair *pair)
{
	struct line *line[LINES];
	uint64_t random = 1;

	for (unsigned i = 0; i < LINES; i++)
		line[i] = &pair->memory[i * STRETCH_LINES + draw(&random) % STRETCH_LINES];
	for (unsigned i = LINES - 1; i; i--) {
		unsigned j = (unsigned)(draw(&random) % (i + 1));
		struct line *moved = line[i];
		line[i] = line[j];
		line[j] = moved;
	}
	for (unsigned i = 0; i < LINES; i++)
		line[i]->next = line[(i + 1) % LINES];
	pair->first = line[0];
}

static void load_all(struct line *line)
{
	for (unsigned i = 0; i < LINES; i++)
		line = __atomic_load_n(&line->next, __ATOMIC_RELAXED);
	__asm__ __volatile__("" ::"r"(line) : "memory");
}

static void write_all(struct line *line)
{
	for (unsigned i = 0; i < LINES; i++) {
		line->value++;
		line = line->next;
	}
	/* Nothing of it is left in the store buffer when the answer is given. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/*
 * Nothing after it starts before all before it is done. Without it a CPU that has a copy of the
 * line takes the next line's address from that, and fetches the right to write several lines at
 * once: 5 ns a line were seen where one takes over 100. That an atomic is sequentially consistent
 * does not stop this.
 */
static inline void finish(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_lfence();
#elif defined(__aarch64__)
	__asm__ __volatile__("dsb sy\n\tisb" ::: "memory");
#else
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* An atomic that leaves the pointer as it is and returns it. */
static void change_all(struct line *line)
{
	uintptr_t nothing = 0;
	/* Else the compiler knows that it is 0, and may make it a load. */
	__asm__ __volatile__("" : "+r"(nothing));
	for (unsigned i = 0; i < LINES; i++) {
		line = (struct line *)__atomic_fetch_add((uintptr_t *)&line->next, nothing,
							 __ATOMIC_SEQ_CST);
		finish();
	}
	__asm__ __volatile__("" ::"r"(line) : "memory");
}

static double time_per_line(const struct pair *pair, void (*walk)(struct line *first))
{
	uint64_t start = clv_now_ns();
	walk(pair->first);
	uint64_t elapsed = clv_now_ns() - start;
	return ((double)elapsed - pair->clock_ns) / LINES;
}

/* ---- the other ---- */

static void pass_along(uint64_t *ball, uint64_t mine)
{
	for (unsigned i = 0; i < PASSES; i++) {
		uint64_t expected = mine + 2 * i;
		while (!__atomic_compare_exchange_n(ball, &expected, mine + 2 * i + 1, false,
						    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
			expected = mine + 2 * i;
			clv_pause();
		}
	}
}

static void serve(struct pair *pair)
{
	uint32_t before = 0;
	for (;;) {
		uint32_t asked;
		while ((asked = __atomic_load_n(&pair->asked, __ATOMIC_ACQUIRE)) == before)
			clv_pause();
		before = asked;
		switch (asked % COMMANDS) {
		case WRITE_ALL:
			write_all(pair->first);
			break;
		case READ_ALL:
			pair->again_ns = time_per_line(pair, load_all);
			break;
		case PASS_ALONG:
			pass_along(&pair->ball, 1);
			break;
		default:
			return;
		}
		__atomic_store_n(&pair->answered, asked, __ATOMIC_RELEASE);
	}
}

static void ask(struct pair *pair, enum command command)
{
	pair->number++;
	__atomic_store_n(&pair->asked, pair->number * COMMANDS + command, __ATOMIC_RELEASE);
}

static void await(struct pair *pair)
{
	uint32_t asked = pair->asked;
	while (__atomic_load_n(&pair->answered, __ATOMIC_ACQUIRE) != asked)
		clv_pause();
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* ---- rounds ---- */

static double read_dirty(struct pair *pair)
{
	ask(pair, WRITE_ALL);
	await(pair);
	return time_per_line(pair, load_all);
}

static void round_of_all(struct pair *pair)
{
	struct clv_rounds *rounds = &pair->rounds;

	*clv_rounds_at(rounds, BEFORE) = read_dirty(pair);
	*clv_rounds_at(rounds, READ) = read_dirty(pair);

	ask(pair, WRITE_ALL);
	await(pair);
	double fetching = time_per_line(pair, change_all);
	double owned = time_per_line(pair, change_all);

	read_dirty(pair);
	double claiming = time_per_line(pair, change_all);

	read_dirty(pair);
	ask(pair, READ_ALL);
	await(pair);
	*clv_rounds_at(rounds, AGAIN) = pair->again_ns;
	double upgrading = time_per_line(pair, change_all);

	*clv_rounds_at(rounds, WRITE) = fetching - owned;
	*clv_rounds_at(rounds, ATOMIC) = owned;
	*clv_rounds_at(rounds, CLAIM) = claiming - owned;
	*clv_rounds_at(rounds, UPGRADE) = upgrading - owned;
	*clv_rounds_at(rounds, AFTER) = read_dirty(pair);
}

static void round_of_read(struct pair *pair)
{
	*clv_rounds_at(&pair->rounds, 0) = read_dirty(pair);
}

static void round_of_ping(struct pair *pair)
{
	pair->ball = 0;
	ask(pair, PASS_ALONG);
	uint64_t start = clv_now_ns();
	pass_along(&pair->ball, 0);
	uint64_t elapsed = clv_now_ns() - start;
	await(pair);
	*clv_rounds_at(&pair->rounds, 0) = ((double)elapsed - pair->clock_ns) / (2 * PASSES);
}

static void body(void *arg, unsigned worker)
{
	struct pair *pair = arg;
	if (worker) {
		serve(pair);
		return;
	}
	/* The asker touches the memory first: its node is the home. */
	lay_out(pair);
	pair->clock_ns = clv_probe_clock_ns();
	while (clv_rounds_more(&pair->rounds)) {
		pair->round(pair);
		pair->rounds.n++;
	}
	ask(pair, END);
}

static int run(struct pair *pair, size_t columns, void (*round)(struct pair *pair),
	       struct clv_machine *machine, unsigned a, unsigned b, uint64_t budget_ns,
	       struct cleave_error *error)
{
	const unsigned cpu[] = { a, b };

	*pair = (struct pair) { .round = round, .memory = clv_probe_map(MEMORY_BYTES) };
	if (!pair->memory)
		return clv_error(error, -ENOMEM, "calibrate: out of memory");
	int status = clv_rounds_begin(&pair->rounds, columns, error);
	if (!status) {
		status = clv_probe_run(machine, cpu, 2, budget_ns, &pair->rounds.phase, body, pair,
				       error);
		if (status)
			clv_rounds_end(&pair->rounds);
	}
	clv_probe_unmap(pair->memory, MEMORY_BYTES);
	return status;
}

static int no_rounds(int status, const struct clv_machine *machine, unsigned a, unsigned b,
		     struct cleave_error *error)
{
	if (status == -EAGAIN)
		return clv_error(error, status,
				 "calibrate: CPUs %u and %u: the latency moved in every round",
				 machine->topology->cpu[a].os, machine->topology->cpu[b].os);
	return status ? clv_error(error, status, "calibrate: out of memory") : 0;
}

int clv_probe_pair(struct clv_machine *machine, unsigned a, unsigned b, uint64_t budget_ns,
		   struct clv_pair_costs *costs, struct cleave_error *error)
{
	struct pair pair;
	const struct {
		size_t column;
		struct clv_estimate *estimate;
	} want[] = { { READ, &costs->read },	   { WRITE, &costs->write },
		     { UPGRADE, &costs->upgrade }, { ATOMIC, &costs->atomic },
		     { CLAIM, &costs->claim },	   { AGAIN, &costs->again } };

	int status = run(&pair, COLUMNS, round_of_all, machine, a, b, budget_ns, error);
	if (status)
		return status;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]) && !status; i++)
		status = clv_rounds_estimate(&pair.rounds, want[i].column, BEFORE, AFTER,
					     want[i].estimate);
	clv_rounds_end(&pair.rounds);
	return no_rounds(status, machine, a, b, error);
}

int clv_probe_pair_read(struct clv_machine *machine, unsigned a, unsigned b, uint64_t budget_ns,
			struct clv_estimate *read, struct cleave_error *error)
{
	struct pair pair;
	int status = run(&pair, 1, round_of_read, machine, a, b, budget_ns, error);
	if (status)
		return status;
	const double *value = pair.rounds.column;
	status = clv_estimate_make(read, value + 1, value, value + 2, pair.rounds.n - 2);
	clv_rounds_end(&pair.rounds);
	return no_rounds(status, machine, a, b, error);
}

int clv_probe_pair_ping(struct clv_machine *machine, unsigned a, unsigned b, uint64_t budget_ns,
			struct clv_estimate *hand_over, struct cleave_error *error)
{
	struct pair pair;
	int status = run(&pair, 1, round_of_ping, machine, a, b, budget_ns, error);
	if (status)
		return status;
	const double *value = pair.rounds.column;
	status = clv_estimate_make(hand_over, value + 1, value, value + 2, pair.rounds.n - 2);
	clv_rounds_end(&pair.rounds);
	return no_rounds(status, machine, a, b, error);
}
