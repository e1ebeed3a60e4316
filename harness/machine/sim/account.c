// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "core.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* What is known of a lock: who has it, and since when nobody. */
struct lock {
	const void *at; /* NULL: the place is free */
	uint64_t free_ps;
	int holder; /* CPU, -1: none; of shared holders nothing is kept but free_ps */
	unsigned shared;
};

enum { LOCKS = 1 << 16 };

struct line_cost {
	uint64_t ps;
	uint32_t transfers, far;
};

static struct clv_account account;
static bool open; /* the window */
static struct lock *locks;
static struct line_cost *cost; /* [CLV_LINES] */

bool clv_account_open(void)
{
	memset(&account, 0, sizeof(account));
	open = false;
	locks = calloc(LOCKS, sizeof(*locks));
	cost = mmap(NULL, CLV_LINES * sizeof(*cost), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (cost == MAP_FAILED)
		cost = NULL;
	return locks && cost;
}

void clv_account_close(void)
{
	free(locks);
	locks = NULL;
	if (cost)
		munmap(cost, CLV_LINES * sizeof(*cost));
	cost = NULL;
}

const struct clv_account *clv_account(void)
{
	return &account;
}

/* ---- time ---- */

/* [from, to] belongs to `where`, as far as it is in the window. */
static void spend(enum clv_where where, uint64_t from, uint64_t to)
{
	if (!open)
		return;
	if (from < account.begin_ps)
		from = account.begin_ps;
	if (to > from)
		account.time_ps[where] += to - from;
}

/* The accesses so far count, of which the last may not be done when the next could be issued. */
static uint64_t now_of(const struct clv_vcpu *cpu)
{
	uint64_t now = cpu->clock > cpu->last_done ? cpu->clock : cpu->last_done;
	return now > cpu->account.since_ps ? now : cpu->account.since_ps;
}

static void turn(struct clv_vcpu *cpu, enum clv_where where)
{
	uint64_t now = now_of(cpu);
	spend(cpu->account.where, cpu->account.since_ps, now);
	cpu->account.since_ps = now;
	cpu->account.where = where;
}

void clv_account_done(struct clv_vcpu *cpu)
{
	turn(cpu, CLV_OUTSIDE);
}

void clv_account_begin(uint64_t now_ps)
{
	memset(&account, 0, sizeof(account));
	madvise(cost, CLV_LINES * sizeof(*cost), MADV_DONTNEED);
	account.begin_ps = now_ps;
	open = true;
}

/* A CPU's time up to here; one that is ahead has been counted further, by little. */
void clv_account_end(uint64_t now_ps)
{
	account.end_ps = now_ps;
	for (unsigned i = 0; i < clv_sim.cpus; i++) {
		struct clv_vcpu *cpu = &clv_sim.cpu[i];
		if (cpu->state == CLV_CPU_ABSENT)
			continue;
		account.cpus++;
		spend(cpu->account.where, cpu->account.since_ps, now_ps);
	}
	open = false;
}

void clv_account_cut(uint64_t now_ps)
{
	for (unsigned i = 0; i < clv_sim.cpus; i++) {
		struct clv_account_cpu *cpu = &clv_sim.cpu[i].account;
		if (clv_sim.cpu[i].state == CLV_CPU_ABSENT || cpu->since_ps >= now_ps)
			continue;
		spend(cpu->where, cpu->since_ps, now_ps);
		cpu->since_ps = now_ps;
	}
	account.longest_hold_ps = 0;
}

/* ---- locks ---- */

static struct lock *lock_of(const void *at)
{
	uint64_t place = ((uint64_t)(uintptr_t)at >> 3) * 0x9e3779b97f4a7c15u >> 48;
	for (unsigned i = 0; i < LOCKS; i++, place = (place + 1) % LOCKS) {
		struct lock *lock = &locks[place];
		if (!lock->at) {
			lock->at = at;
			lock->holder = -1;
		}
		if (lock->at == at)
			return lock;
	}
	return &locks[0]; /* more locks than that are not told apart */
}

/* It was asked for at asked_ps, and got now. */
static void got(struct clv_vcpu *cpu, struct lock *lock, bool shared)
{
	uint64_t asked = cpu->account.asked_ps, now = now_of(cpu), free_ps = lock->free_ps;
	if (free_ps < asked)
		free_ps = asked;
	if (free_ps > now)
		free_ps = now;
	spend(CLV_WAIT, cpu->account.since_ps, free_ps);
	spend(CLV_HANDOVER, free_ps > cpu->account.since_ps ? free_ps : cpu->account.since_ps, now);
	cpu->account.since_ps = now;
	cpu->account.where = CLV_INSIDE;
	if (!cpu->account.depth++)
		cpu->account.got_ps = now;
	if (!open)
		return;
	account.acquisitions++;
	account.shared += shared;
	account.contended += lock->free_ps > asked;
	account.longest_ps = clv_max(account.longest_ps, now - asked);
	if (shared)
		return;
	account.handover_ps += now - free_ps;
	account.wait_ps += free_ps - asked;
	clv_histogram_add(&account.handover_ns, (now - free_ps) / 1000);
	clv_histogram_add(&account.wait_ns, (free_ps - asked) / 1000);
}

static void let_go(struct clv_vcpu *cpu, struct lock *lock)
{
	/* The section's work is done when its last access is. */
	uint64_t now = clv_max(now_of(cpu), clv_max(cpu->loads_done, cpu->stores_done));
	spend(cpu->account.where, cpu->account.since_ps, now);
	cpu->account.since_ps = now;
	/* Who asked before keeps waiting up to here. */
	lock->free_ps = now;
	if (lock->holder == (int)cpu->index)
		lock->holder = -1;
	if (cpu->account.depth && !--cpu->account.depth) {
		turn(cpu, CLV_HANDOVER);
		if (open) {
			account.hold_ps += now - cpu->account.got_ps;
			account.longest_hold_ps =
				clv_max(account.longest_hold_ps, now - cpu->account.got_ps);
			clv_histogram_add(&account.hold_ns, (now - cpu->account.got_ps) / 1000);
		}
	}
}

void clv_account_mark(struct clv_vcpu *cpu, enum clv_mark mark, const void *at)
{
	struct lock *lock = lock_of(at);
	switch (mark) {
	case CLV_MARK_ASK:
		turn(cpu, CLV_WAIT);
		cpu->account.asked_ps = cpu->account.since_ps;
		cpu->account.asked = at;
		break;
	case CLV_MARK_GOT:
		got(cpu, lock, false);
		lock->holder = (int)cpu->index;
		cpu->account.asked = NULL;
		break;
	case CLV_MARK_GOT_SHARED:
		got(cpu, lock, true);
		cpu->account.asked = NULL;
		break;
	case CLV_MARK_FAILED:
		turn(cpu, cpu->account.depth ? CLV_INSIDE : CLV_OUTSIDE);
		cpu->account.asked = NULL;
		break;
	case CLV_MARK_FREE:
		let_go(cpu, lock);
		break;
	case CLV_MARK_FREED:
		turn(cpu, cpu->account.depth ? CLV_INSIDE : CLV_OUTSIDE);
		break;
	}
}

const void *clv_account_asked(const struct clv_vcpu *cpu, int *holder)
{
	*holder = -1;
	if (cpu->account.asked)
		*holder = lock_of(cpu->account.asked)->holder;
	return cpu->account.asked;
}

uint64_t clv_account_longest_ps(uint64_t now_ps)
{
	uint64_t longest = account.longest_ps;
	for (unsigned i = 0; i < clv_sim.cpus; i++) {
		const struct clv_account_cpu *cpu = &clv_sim.cpu[i].account;
		if (cpu->asked && now_ps > cpu->asked_ps)
			longest = clv_max(longest, now_ps - cpu->asked_ps);
	}
	return longest;
}

/* ---- lines ---- */

void clv_account_miss(const struct clv_vcpu *cpu, enum clv_level level, enum clv_distance distance,
		      uint32_t line, uint64_t asked_ps, uint64_t done_ps)
{
	if (!open)
		return;
	unsigned inside = cpu->account.depth > 0;
	account.count[inside][level][distance]++;
	account.ps[inside][level][distance] += done_ps - asked_ps;
	if (level < CLV_LEVEL_READ)
		return;
	cost[line].ps += done_ps - asked_ps;
	cost[line].transfers++;
	cost[line].far += distance >= CLV_DIST_PACKAGE;
}

static int by_name(const void *a, const void *b)
{
	const struct clv_account_line *x = a, *y = b;
	return strcmp(x->name, y->name);
}

static int by_cost(const void *a, const void *b)
{
	const struct clv_account_line *x = a, *y = b;
	if (x->ps != y->ps)
		return x->ps < y->ps ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void add(struct clv_account_line *to, const struct clv_account_line *from)
{
	to->ps += from->ps;
	to->transfers += from->transfers;
	to->far += from->far;
	to->lines += from->lines;
}

/* The lines' directory says how far up any has been touched. */
static unsigned count_lines(void)
{
	unsigned count = 0;
	for (uint32_t line = 1; line < clv_arena_lines(); line++)
		count += cost[line].transfers > 0;
	return count;
}

unsigned clv_account_lines(struct clv_account_line *out, unsigned max)
{
	unsigned count = count_lines(), at = 0, names = 0;
	struct clv_account_line *all = calloc(count ? count : 1, sizeof(*all));
	if (!all)
		return 0;
	for (uint32_t line = 1; line < clv_arena_lines(); line++) {
		if (!cost[line].transfers)
			continue;
		all[at] = (struct clv_account_line){ "", cost[line].transfers, cost[line].far,
						     cost[line].ps, 1 };
		clv_arena_describe(line, clv_line_at(line)->words, all[at].name,
				   sizeof(all[at].name));
		at++;
	}
	qsort(all, count, sizeof(*all), by_name);
	for (unsigned i = 0; i < count; i++) {
		if (names && !strcmp(all[names - 1].name, all[i].name))
			add(&all[names - 1], &all[i]);
		else
			all[names++] = all[i];
	}
	qsort(all, names, sizeof(*all), by_cost);
	if (names > max)
		names = max;
	memcpy(out, all, names * sizeof(*out));
	free(all);
	return names;
}
