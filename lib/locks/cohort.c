// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A cohort lock, "cohort.LOCK.DOMAIN": a LOCK (mcs or ticket) for each DOMAIN (l3, node or package) of
 * the machine, and one over all. "cohort" is cohort.mcs.node.
 *
 *                       global
 *              /          |          \
 *         domain 0     domain 1     domain 2     each: a lock, and `owns`: the global one is ours
 *          / | \        / | \        / | \
 *          waiters      waiters      waiters
 *
 * A thread takes its domain's lock, then the global one, unless the domain owns that already. Who
 * releases and sees another waiter in its domain leaves the global lock to it, LOCAL_MAX times in a
 * row at most.
 *
 * Invariants: the holder has its domain's lock, and `owns` is true of that domain alone. `owns`,
 * `passed` and the global lock's hold are the domain lock's holder's. The global lock is released by
 * another thread than it was taken by; of mcs and ticket neither minds.
 *
 * Spinning, exclusive only. Fairness: FIFO within a domain; between domains FIFO, after LOCAL_MAX
 * acquisitions within one. Cost: a hand-over within the domain moves lines of that domain alone; alone
 * a thread pays for two locks.
 *
 * Memory: 16 bytes and a line for the global lock, 3 lines a domain.
 * Source: Dice, Marathe and Shavit, "Lock Cohorting", PPoPP 2012; CK ck_cohort.h, whose query for
 * the state of the lock is wrong (0.7.1), so that it is not used here.
 */
#include <errno.h>
#include <string.h>

#include "atomic/ck_layer.h"

#include <ck_spinlock.h>

#include "env.h"
#include "error.h"
#include "locks/lock.h"
#include "shim/mark.h"
#include "thread.h"

#define LOCAL_MAX 64

extern const struct clv_lock_type clv_lock_mcs, clv_lock_ticket;

struct part {
	const struct clv_lock_type *type;
	/* Does somebody wait behind this holder? May say no to one who is only just coming. */
	bool (*has_waiters)(const void *lock, const struct clv_hold *hold);
};

static bool mcs_has_waiters(const void *lock, const struct clv_hold *hold)
{
	(void)lock;
	return ck_pr_load_ptr(&((const ck_spinlock_mcs_context_t *)(const void *)hold->state)->next);
}

#ifdef __x86_64__
static bool ticket_has_waiters(const void *lock, const struct clv_hold *hold)
{
	const ck_spinlock_ticket_t *ticket = lock;
	uint32_t value = ck_pr_load_32(&ticket->value);

	(void)hold;
	return (uint16_t)((value >> 16) - value) > 1;
}
#endif

static const struct part parts[] = {
	{ &clv_lock_mcs, mcs_has_waiters },
#ifdef __x86_64__
	{ &clv_lock_ticket, ticket_has_waiters },
#endif
};

struct domain {
	_Alignas(CLV_CACHE_LINE) unsigned char lock[CLV_CACHE_LINE];
	/* The holder's. */
	bool owns;
	unsigned passed;
	struct clv_hold global; /* on a line of its own: of an MCS lock others write it */
};

enum kind { L3, NODE, PACKAGE };
static const char *const kind_name[] = { "l3", "node", "package" };

struct cohort {
	const struct part *part;
	struct domain *domain; /* [domains] */
	void *global;
	unsigned domains;
	enum kind kind;
};

/* In the hold, behind what the domain's lock keeps there. */
enum { DOMAIN_WORD = 5 };

static unsigned domains_of(const struct clv_topology *topology, enum kind kind)
{
	return kind == L3 ? topology->l3s : kind == NODE ? topology->nodes : topology->packages;
}

static unsigned domain_of(const struct clv_cpu *cpu, enum kind kind)
{
	return kind == L3 ? cpu->l3 : kind == NODE ? cpu->node : cpu->package;
}

static int find_part(struct cohort *lock, const char *name, struct cleave_error *error)
{
	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (!strcmp(parts[i].type->name, name)) {
			lock->part = &parts[i];
			return 0;
		}
	}
	return clv_error(error, -EINVAL, "lock cohort: made of mcs or ticket, not '%s'", name);
}

static int find_kind(struct cohort *lock, const char *name, struct cleave_error *error)
{
	for (unsigned i = 0; i < sizeof(kind_name) / sizeof(kind_name[0]); i++) {
		if (!strcmp(kind_name[i], name)) {
			lock->kind = (enum kind)i;
			return 0;
		}
	}
	return clv_error(error, -EINVAL, "lock cohort: one an l3, node or package, not '%s'", name);
}

static void fini(void *at)
{
	struct cohort *lock = at;

	clv_free(lock->domain, lock->domains * sizeof(*lock->domain));
	clv_free(lock->global, lock->part->type->size_bytes);
}

static int init(void *at, struct cleave_env *env, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	static const struct cleave_field domain_fields[] = {
		{ offsetof(struct domain, lock), "lock" },
		{ offsetof(struct domain, owns), "owns" },
		{ offsetof(struct domain, global), "node in the global queue" },
		{ 0, NULL },
	};
	struct cohort *lock = at;
	int code = args->count > 2 ?
			   clv_error(error, -EINVAL, "lock cohort: one argument too many: '%s'",
				     args->arg[2]) :
			   find_part(lock, args->count ? args->arg[0] : "mcs", error);
	if (!code)
		code = find_kind(lock, args->count > 1 ? args->arg[1] : "node", error);
	if (code)
		return code;
	lock->domains = domains_of(env->topology, lock->kind);
	lock->domain = clv_alloc(lock->domains * sizeof(*lock->domain), CLV_CACHE_LINE, -1);
	lock->global = clv_alloc(lock->part->type->size_bytes, CLV_CACHE_LINE, -1);
	if (!lock->domain || !lock->global) {
		fini(lock);
		return clv_error(error, -ENOMEM, "lock cohort: out of memory");
	}
	clv_name(lock->domain, lock->domains * sizeof(*lock->domain), sizeof(*lock->domain),
		 "cohort's domain", -1, domain_fields);
	clv_name(lock->global, lock->part->type->size_bytes, 0, "cohort's global lock", -1,
		 lock->part->type->fields);
	return 0;
}

static size_t memory(const void *at)
{
	const struct cohort *lock = at;

	return lock->domains * sizeof(*lock->domain) + CLV_CACHE_LINE;
}

static struct domain *own_domain(const struct cohort *lock, struct clv_hold *hold)
{
	const struct clv_topology *topology = hold->thread->env->topology;
	unsigned domain = domain_of(&topology->cpu[hold->thread->cpu], lock->kind);

	/* The thread may be elsewhere when it releases. */
	hold->state[DOMAIN_WORD] = domain;
	return &lock->domain[domain];
}

static void acquire(void *at, struct clv_hold *hold)
{
	struct cohort *lock = at;
	struct domain *domain = own_domain(lock, hold);

	lock->part->type->acquire(domain->lock, hold);
	if (domain->owns)
		return;
	domain->global.thread = hold->thread;
	lock->part->type->acquire(lock->global, &domain->global);
	domain->owns = true;
	domain->passed = 0;
}

static void release(void *at, struct clv_hold *hold)
{
	struct cohort *lock = at;
	struct domain *domain = &lock->domain[hold->state[DOMAIN_WORD]];

	if (domain->passed < LOCAL_MAX && lock->part->has_waiters(domain->lock, hold)) {
		domain->passed++;
	} else {
		domain->owns = false;
		lock->part->type->release(lock->global, &domain->global);
	}
	lock->part->type->release(domain->lock, hold);
}

static bool try_acquire(void *at, struct clv_hold *hold)
{
	struct cohort *lock = at;
	struct domain *domain = own_domain(lock, hold);

	if (!lock->part->type->try_acquire(domain->lock, hold))
		return false;
	domain->global.thread = hold->thread;
	if (domain->owns || lock->part->type->try_acquire(lock->global, &domain->global)) {
		if (!domain->owns)
			domain->passed = 0;
		domain->owns = true;
		return true;
	}
	lock->part->type->release(domain->lock, hold);
	return false;
}

static const struct cleave_field fields[] = {
	{ offsetof(struct cohort, part), "constants" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_cohort = {
	.name = "cohort",
	.summary = "spinning, exclusive only; cohort.LOCK.DOMAIN: mcs or ticket for each l3, node or "
		   "package under one over all; FIFO within, 64 in a row",
	.source = "Dice, Marathe and Shavit, PPoPP 2012",
	.flags = CLV_LOCK_SPINS,
	.size_bytes = sizeof(struct cohort),
	.init = init,
	.fini = fini,
	.memory = memory,
	.acquire = acquire,
	.release = release,
	.try_acquire = try_acquire,
	.fields = fields,
};
