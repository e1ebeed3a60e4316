/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the engine's files share. See sim.h for what it is, core.h for what an access costs.
 *
 *   entry.c      the instrumented code's calls  ---+
 *   shim.c       pause, park, wake, alloc, marks   |--> core.h, coherence.c: time
 *                                                  |--> engine.c, policy.c: who runs next
 *   arena.c      memory at fixed addresses, its homes and names
 *   account.c    where time and lines went         timeline.c  who had which lock when
 *   fiber.c      stacks and switches
 */
#ifndef CLV_SIM_INTERNAL_H
#define CLV_SIM_INTERNAL_H

#include "account.h"
#include "sim.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define CLV_NEVER UINT64_MAX

/*
 * The arena is where nothing else is on Linux: below the mappings and any program's usual address,
 * above what the address sanitizer keeps for itself (up to 0x10007fff8000). Lines are
 * numbered from 1: the instrumented code's variables, then the arena's. 0 is memory that a
 * simulated CPU may only read: constants, and what the driver made before the run.
 */
#define CLV_ARENA_BASE UINT64_C(0x200000000000)
#define CLV_ARENA_BYTES (UINT64_C(4) << 30)
#define CLV_LINE_SHIFT 6
#define CLV_STACK_SHIFT 17 /* 128 KiB a CPU, the guard page included, from the base on */
#define CLV_PAGE_SHIFT 12
#define CLV_STATIC_LINES UINT32_C(65536) /* 4 MiB of variables */
#define CLV_LINES ((uint32_t)(CLV_ARENA_BYTES >> CLV_LINE_SHIFT) + CLV_STATIC_LINES)

/*
 * A cache line: where its copies are, and until when it is on its way. All 0: in memory alone. An
 * entry takes a power of two of bytes, one host cache line for up to 256 cores.
 */
struct clv_line {
	uint64_t busy_ps;  /* no earlier can it move again */
	uint32_t version;  /* counts invalidations of copies */
	uint32_t stamp;	   /* counts writes */
	uint16_t owner;	   /* core that has it modified, or exclusive, + 1 */
	uint16_t writer;   /* CPU that wrote last, + 1 */
	uint16_t sharers;  /* cores that took a copy since the last write */
	uint16_t waiter;   /* first of those who spin on it: clv_wait_id */
	uint32_t name;	   /* index in the arena's names */
	uint8_t words;	   /* which of its 8 words were missed on */
	bool dirty;	   /* the owner has written it */
	uint16_t arrives_l3; /* where it went last, + 1, */
	uint64_t arrives_ps; /* and when it is there: who shares that cache waits for it, too */
	uint64_t share[];  /* [share_words]: the cores counted in `sharers` */
};

/* A node's directory: its requests not worked off yet, when it was last asked. */
struct clv_home {
	uint64_t seen_ps, backlog_ps;
};

/* A tag is a line's number. It is a copy if the directory has the core among the line's sharers. */
struct clv_cache {
	uint32_t sets, ways;
	uint32_t *tag; /* [sets * ways], the newest first, more or less */
};

enum { CLV_SPIN_LINES = 6 };

/* One of the lines that a CPU spins on. id: cpu * 8 + slot + 1. */
struct clv_wait {
	uint32_t line;
	uint16_t prev, next;
};

enum clv_vcpu_state {
	CLV_CPU_ABSENT,	  /* no body */
	CLV_CPU_READY,	  /* in the heap, or running */
	CLV_CPU_SPINNING, /* until one of its lines is written; perhaps a time-out in the heap */
	CLV_CPU_PARKED,	  /* until woken; perhaps a time-out in the heap */
	CLV_CPU_DONE,
};

enum { CLV_POINTERS = 4, CLV_WINDOW_MAX = 256, CLV_MISSES_MAX = 64, CLV_STORES_MAX = 128 };

struct clv_vcpu {
	/* Time. All in ps. */
	uint64_t clock;	      /* at which the next access can be issued */
	uint64_t block_ps, access_ps; /* as things are, with the sibling busy or not */
	uint64_t last_done;   /* the latest load: a branch that follows waits for it */
	uint64_t loads_done;  /* all loads so far */
	uint64_t stores_done; /* all stores so far */
	uint32_t last_line;   /* of the last load that hit, and its version */
	uint32_t last_version;

	/* Loads of pointers whose values the next addresses may come from, and of narrow ones,
	 * which may be indexes. */
	uint64_t pointer[CLV_POINTERS], pointer_done[CLV_POINTERS];
	uint64_t narrow_done;
	unsigned pointers;

	unsigned loads, misses, stores; /* counts: places in the rings */
	uint64_t window_done[CLV_WINDOW_MAX];
	uint64_t miss_done[CLV_MISSES_MAX];
	uint32_t miss_line[CLV_MISSES_MAX];
	uint64_t misses_done; /* all of them */
	uint64_t store_done[CLV_STORES_MAX];

	/* Branches. */
	uint32_t block;
	uint64_t history;

	/* Where it is. */
	unsigned index; /* in the topology */
	uint16_t core, l3, node, package;
	struct clv_vcpu *sibling; /* ring of the core's CPUs */

	/* Waiting. */
	enum clv_vcpu_state state;
	bool timed;	   /* in the heap while it waits */
	bool woken;	   /* how a park ended */
	bool bounded;	   /* read the clock or counted since it paused last */
	bool wrote;	   /* stored since it paused last */
	bool roused;	   /* from spinning; the branch out of the loop is yet to come */
	uint8_t reads;	   /* lines read since it paused last; more than fit: CLV_SPIN_LINES + 1 */
	uint8_t waits;	   /* of wait[] that are linked */
	uint32_t read_line[CLV_SPIN_LINES], read_stamp[CLV_SPIN_LINES];
	struct clv_wait wait[CLV_SPIN_LINES];
	uint8_t quiet_reads;  /* the last turn saw nothing new in so many lines, of which this */
	uint32_t quiet_line;
	uint64_t paused_ps, period_ps; /* when last, and how long a turn took */
	uint64_t key;	   /* in the heap: ps << 10 | index */
	unsigned place;	   /* in the heap, + 1; 0: not there */

	/* A loop that does not pause. */
	uint32_t bare, bare_line[4];

	struct clv_account_cpu account;

	void *context;	   /* where it goes on */
	const void *stack_low;
	size_t stack_bytes;
	void *start;	   /* entry, before the first switch to it */
	unsigned thread;
	uint32_t priority; /* PCT */
	unsigned turns;	   /* explored: short bounded ones in one go */
	uint64_t turn_step; /* when the last was */
};

struct clv_sim {
	struct clv_sim_config config;
	struct clv_costs costs;
	const struct clv_topology *topology;
	bool open, charged;

	char *directory;	/* [CLV_LINES] of struct clv_line, each 1 << line_shift bytes */
	unsigned line_shift;
	unsigned share_words;
	bool l3_may_overflow;	/* is there more memory than an L3 holds? Else L3s forget nothing */
	int16_t *home_of_page;	/* arena: node index + 1; 0: not yet */
	int16_t *pool_of_page;	/* the same as asked for: 0: anywhere */

	unsigned cpus, cores, l3s, nodes;
	struct clv_vcpu *cpu;	/* [cpus] */
	struct clv_cache *l1, *l2; /* [cores] */
	struct clv_cache *l3;	   /* [l3s] */
	uint16_t *core_node, *core_l3; /* [cores] */
	uint16_t *node_package;			      /* [nodes] */
	uint64_t *l3_mask, *node_mask, *package_mask; /* [][share_words] */
	struct clv_home *home;	/* [nodes] */

	struct clv_vcpu **heap;
	unsigned heap_count;
	uint64_t tick_ps;
	const struct clv_sim_run *run;
	unsigned running; /* bodies not done */
	uint64_t random;
	void *main_context;
	struct cleave_error *error;
	struct clv_sim_counts counts;
	uint64_t outside_ps; /* the clock outside bodies: so that a reading's cost can be measured */
	uint64_t accesses_seen; /* when loops without any were looked for last */
	uint64_t change_at[16]; /* PCT */
	uint8_t *reached;	/* NULL, or for each byte of the code: a block began behind it */
	uint32_t lowest;
};

extern struct clv_sim clv_sim;
/* The CPU that runs; NULL outside bodies: then nothing is charged. */
extern struct clv_vcpu *clv_sim_current;
/* Its clock may go up to here before another has to run: for what others can see; for hits. */
extern uint64_t clv_sim_limit_ps, clv_sim_ahead_ps;

/* The variables of the instrumented code, in sections of their own: names that the linker makes. */
#define CLV_WEAK __attribute__((weak, visibility("hidden")))
extern char __start_clv_sim_data[] CLV_WEAK, __stop_clv_sim_data[] CLV_WEAK;
extern const char __start_clv_sim_text[] CLV_WEAK, __stop_clv_sim_text[] CLV_WEAK;
extern char __start_clv_sim_bss[] CLV_WEAK, __stop_clv_sim_bss[] CLV_WEAK;

/* ---- engine.c ---- */
/* The current CPU is no longer the one to run: switch until it is again. */
void clv_engine_yield(void);
/* It waits; switch to someone else. With a time-out, it is READY at it. Ps. */
void clv_engine_wait(enum clv_vcpu_state state, uint64_t until_ps);
/* A waiting CPU goes on at `at_ps`, or later if its clock is. */
void clv_engine_ready(struct clv_vcpu *cpu, uint64_t at_ps);
/* Give up the run: does not return. */
void clv_engine_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
void clv_engine_activity(struct clv_vcpu *cpu);
uint64_t clv_engine_random(void);

/* ---- policy.c ---- */
void clv_policy_begin(void);
uint64_t clv_policy_now_ns(void);
/* PCT: everybody else first. */
void clv_policy_demote(struct clv_vcpu *cpu);
/* It pauses, and is not taken out. */
void clv_policy_pause(struct clv_vcpu *cpu);
/* A turn of a loop that counts them. */
void clv_policy_turn(struct clv_vcpu *cpu);
/* Who runs next of those that could; `self`, which may be one, is about to do an access. */
struct clv_vcpu *clv_policy_next(struct clv_vcpu *self, bool self_can);

/* ---- coherence.c ---- */
int clv_coherence_open(struct cleave_error *error);
/* Bodies are about to run. */
void clv_coherence_begin(void);
void clv_coherence_close(void);
/* The line is not in the core's L1. Returns: when the load is done. */
uint64_t clv_coherence_read(struct clv_vcpu *cpu, uint32_t line, unsigned word, uint64_t issue_ps);
/* How long it takes to get the line from those who have it now; 0: from nobody. */
uint64_t clv_coherence_way(const struct clv_vcpu *cpu, uint32_t line, bool write);
/* The line is not owned by the core, in L1. Returns: when it is. */
uint64_t clv_coherence_write(struct clv_vcpu *cpu, uint32_t line, unsigned word, uint64_t issue_ps);
/* Someone asks for a line that others spin on: they miss it from at_ps on. */
void clv_coherence_wake(struct clv_line *line, uint64_t at_ps);
void clv_spin_unlink(struct clv_vcpu *cpu);

/* ---- arena.c ---- */
int clv_arena_open(struct cleave_error *error);
void clv_arena_close(void);
/* All of it as it is now, to come back to. Returns: false: out of memory. */
bool clv_arena_keep(void);
void clv_arena_restore(bool waited); /* pre: kept. waited: the run failed, and some still wait */
void clv_arena_forget(void);
char *clv_arena_stack(unsigned cpu, size_t *bytes); /* the top, and how much below it */
/* One more than the last line that can have been used; and how many that are blocks' can be. */
uint32_t clv_arena_lines(void);
uint32_t clv_arena_block_lines(void);
uint16_t clv_arena_home(uint32_t line, const struct clv_vcpu *toucher); /* node index */
void clv_sim_name(const void *block, size_t bytes, size_t stride_bytes, const char *name, int index,
		  const struct cleave_field *fields);
void clv_sim_name_allocations(const char *name, int index);
void clv_sim_mark(enum clv_mark mark, const void *lock);
int clv_sim_cpu_now(void);
bool clv_sim_is_running(const struct cleave_thread *thread);
/* "rwsem 3: owner" for a line and a word of it; what is known, never NULL. */
void clv_arena_describe(uint32_t line, uint8_t words, char *out, size_t bytes);

struct clv_arena_name {
	const char *name;
	int index;
	uint32_t first_line; /* of the block */
	uint64_t stride_bytes;
	const struct cleave_field *fields;
};
const struct clv_arena_name *clv_arena_name_of(uint32_t line); /* NULL: none */

/* ---- fiber.c ---- */
/* A fiber of the CPU's, not yet running: context and start are set. */
void clv_fiber_make(struct clv_vcpu *cpu, char *stack_top, size_t bytes, void (*entry)(void));
/* Save where we are in *from and go on with `to`, or in *main for NULL. */
void clv_fiber_switch(void **from, struct clv_vcpu *to, void *main);

static inline struct clv_line *clv_line_at(uint32_t line)
{
	return (struct clv_line *)(void *)(clv_sim.directory + ((size_t)line << clv_sim.line_shift));
}

static inline bool clv_line_has(const struct clv_line *line, unsigned core)
{
	return line->share[core / 64] >> (core % 64) & 1;
}

static inline uint32_t clv_line_of(const void *at)
{
	uintptr_t address = (uintptr_t)at;
	uintptr_t offset = address - CLV_ARENA_BASE;
	if (LIKELY(offset < CLV_ARENA_BYTES))
		return (uint32_t)(offset >> CLV_LINE_SHIFT) + CLV_STATIC_LINES;
	offset = address - (uintptr_t)__start_clv_sim_data;
	if (offset < (uintptr_t)__stop_clv_sim_data - (uintptr_t)__start_clv_sim_data)
		return 1 + (uint32_t)(offset >> CLV_LINE_SHIFT);
	offset = address - (uintptr_t)__start_clv_sim_bss;
	if (offset < (uintptr_t)__stop_clv_sim_bss - (uintptr_t)__start_clv_sim_bss)
		return CLV_STATIC_LINES / 2 + (uint32_t)(offset >> CLV_LINE_SHIFT);
	return 0;
}

#endif
