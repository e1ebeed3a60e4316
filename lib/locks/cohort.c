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
 * `passed` and the node in the global queue are the domain lock's holder's. The global lock is released
 * by another thread than it was taken by; of mcs and ticket neither minds.
 *
 * Spinning, exclusive only. Fairness: FIFO within a domain; between domains FIFO, after LOCAL_MAX
 * acquisitions within one. Cost: a hand-over within the domain moves lines of that domain alone; alone
 * a thread pays for two locks.
 *
 * Memory: 32 bytes, a line for the global lock, and 3 lines a domain: 37 lines beside the instance for
 * 12 nodes, 145 for 48 L3s.
 * Source: Dice, Marathe and Shavit, "Lock Cohorting", PPoPP 2012; CK ck_cohort.h, whose query for
 * the state of the lock is wrong (0.7.1), so that it is not used here.
 */
#include <errno.h>
#include <string.h>

#include "atomic/ck_layer.h"

#include <ck_spinlock.h>

#include "env.h"
#include "error.h"
#include "locks/cohort.h"
#include "locks/ticket.h"
#include "shim/mark.h"
#include "thread.h"

#define LOCAL_MAX 64

#ifdef CK_F_SPINLOCK_TICKET_TRYLOCK
static const char *const part_name[CLV_COHORT_PARTS] = { "mcs", "ticket" };
#else
static const char *const part_name[CLV_COHORT_PARTS] = { "mcs" }; /* the other has no try */
#endif

struct clv_cohort_domain {
	_Alignas(CLV_CACHE_LINE) union clv_cohort_lock lock;
	/* The holder's. */
	_Alignas(CLV_CACHE_LINE) bool owns;
	unsigned passed;
	/* In the global queue, where others write it. */
	_Alignas(CLV_CACHE_LINE) ck_spinlock_mcs_context_t node;
};

static const char *const kind_name[] = { "l3", "node", "package" };

/* In the hold: the node in the domain's queue, and the domain. */
enum { DOMAIN_WORD = 5 };

_Static_assert(sizeof(ck_spinlock_mcs_context_t) <= DOMAIN_WORD * sizeof(uintptr_t),
	       "the node lives in the hold");

static unsigned domains_of(const struct clv_topology *topology, enum clv_cohort_kind kind)
{
	return kind == CLV_COHORT_L3   ? topology->l3s :
	       kind == CLV_COHORT_NODE ? topology->nodes :
					 topology->packages;
}

static unsigned domain_of(const struct cleave_thread *thread, enum clv_cohort_kind kind)
{
	return kind == CLV_COHORT_L3   ? thread->l3 :
	       kind == CLV_COHORT_NODE ? thread->node :
					 thread->package;
}

static int find_part(struct clv_cohort *lock, const char *name, struct cleave_error *error)
{
	for (unsigned i = 0; i < CLV_COHORT_PARTS && part_name[i]; i++) {
		if (!strcmp(part_name[i], name)) {
			lock->part = (enum clv_cohort_part)i;
			return 0;
		}
	}
	return clv_error(error, -EINVAL, "lock cohort: made of mcs or ticket, not '%s'", name);
}

static int find_kind(struct clv_cohort *lock, const char *name, struct cleave_error *error)
{
	for (unsigned i = 0; i < sizeof(kind_name) / sizeof(kind_name[0]); i++) {
		if (!strcmp(kind_name[i], name)) {
			lock->kind = (enum clv_cohort_kind)i;
			return 0;
		}
	}
	return clv_error(error, -EINVAL, "lock cohort: one an l3, node or package, not '%s'", name);
}

static void fini(void *at)
{
	struct clv_cohort *lock = at;

	clv_free(lock->domain, lock->domains * sizeof(*lock->domain));
	clv_free(lock->global, sizeof(*lock->global));
}

static int init(void *at, struct cleave_env *env, const struct clv_lock_args *args,
		struct cleave_error *error)
{
	static const struct cleave_field domain_fields[] = {
		{ offsetof(struct clv_cohort_domain, lock), "lock" },
		{ offsetof(struct clv_cohort_domain, owns), "owns" },
		{ offsetof(struct clv_cohort_domain, node), "node in the global queue" },
		{ 0, NULL },
	};
	static const struct cleave_field global_fields[] = { { 0, "tail, or tickets" }, { 0, NULL } };
	struct clv_cohort *lock = at;
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
	lock->global = clv_alloc(sizeof(*lock->global), CLV_CACHE_LINE, -1);
	if (!lock->domain || !lock->global) {
		fini(lock);
		return clv_error(error, -ENOMEM, "lock cohort: out of memory");
	}
	clv_name(lock->domain, lock->domains * sizeof(*lock->domain), sizeof(*lock->domain),
		 "cohort's domain", -1, domain_fields);
	clv_name(lock->global, sizeof(*lock->global), 0, "cohort's global lock", -1, global_fields);
	return 0;
}

static size_t memory(const void *at)
{
	const struct clv_cohort *lock = at;

	return lock->domains * sizeof(*lock->domain) + CLV_CACHE_LINE;
}

/* ---- its parts, inlined and told apart by a branch: alone, they are most of its cost ---- */

static inline void part_acquire(enum clv_cohort_part part, union clv_cohort_lock *lock,
				ck_spinlock_mcs_context_t *node)
{
	if (part == CLV_COHORT_MCS)
		ck_spinlock_mcs_lock(&lock->mcs, node);
	else
		ck_spinlock_ticket_lock(&lock->ticket);
}

static inline bool part_try_acquire(enum clv_cohort_part part, union clv_cohort_lock *lock,
				    ck_spinlock_mcs_context_t *node)
{
#ifdef CK_F_SPINLOCK_TICKET_TRYLOCK
	if (part != CLV_COHORT_MCS)
		return ck_spinlock_ticket_trylock(&lock->ticket);
#endif
	(void)part;
	return ck_spinlock_mcs_trylock(&lock->mcs, node);
}

static inline void part_release(enum clv_cohort_part part, union clv_cohort_lock *lock,
				ck_spinlock_mcs_context_t *node)
{
	if (part == CLV_COHORT_MCS)
		ck_spinlock_mcs_unlock(&lock->mcs, node);
	else
		clv_ticket_release(&lock->ticket);
}

/* Does somebody wait behind the holder, whose node it is? It may miss one who is only just coming. */
static inline bool has_waiters(enum clv_cohort_part part, union clv_cohort_lock *lock,
			       const ck_spinlock_mcs_context_t *node)
{
	if (part == CLV_COHORT_MCS)
		return ck_pr_load_ptr(&node->next);
#ifdef CK_F_SPINLOCK_TICKET_TRYLOCK
	uint32_t value = ck_pr_load_32(&lock->ticket.value);

	return (uint16_t)((value >> 16) - value) > 1;
#else
	(void)lock;
	return false;
#endif
}

/* ---- the lock ---- */

static ck_spinlock_mcs_context_t *node_of(struct clv_hold *hold)
{
	return (ck_spinlock_mcs_context_t *)(void *)hold->state;
}

static struct clv_cohort_domain *own_domain(const struct clv_cohort *lock, struct clv_hold *hold)
{
	struct clv_cohort_domain *domain = &lock->domain[domain_of(hold->thread, lock->kind)];

	/* The thread may be elsewhere when it releases. */
	hold->state[DOMAIN_WORD] = (uintptr_t)domain;
	return domain;
}

static void acquire(void *at, struct clv_hold *hold)
{
	struct clv_cohort *lock = at;
	struct clv_cohort_domain *domain = own_domain(lock, hold);

	part_acquire(lock->part, &domain->lock, node_of(hold));
	if (domain->owns)
		return;
	part_acquire(lock->part, lock->global, &domain->node);
	domain->owns = true;
	domain->passed = 0;
}

static void release(void *at, struct clv_hold *hold)
{
	struct clv_cohort *lock = at;
	struct clv_cohort_domain *domain = (struct clv_cohort_domain *)hold->state[DOMAIN_WORD];

	if (domain->passed < LOCAL_MAX && has_waiters(lock->part, &domain->lock, node_of(hold))) {
		domain->passed++;
	} else {
		domain->owns = false;
		part_release(lock->part, lock->global, &domain->node);
	}
	part_release(lock->part, &domain->lock, node_of(hold));
}

static bool try_acquire(void *at, struct clv_hold *hold)
{
	struct clv_cohort *lock = at;
	struct clv_cohort_domain *domain = own_domain(lock, hold);

	if (!part_try_acquire(lock->part, &domain->lock, node_of(hold)))
		return false;
	if (domain->owns)
		return true;
	if (part_try_acquire(lock->part, lock->global, &domain->node)) {
		domain->owns = true;
		domain->passed = 0;
		return true;
	}
	part_release(lock->part, &domain->lock, node_of(hold));
	return false;
}

static const struct cleave_field fields[] = {
	{ offsetof(struct clv_cohort, domain), "constants" },
	{ 0, NULL },
};

const struct clv_lock_type clv_lock_cohort = {
	.name = "cohort",
	.summary = "spinning, exclusive only; cohort.LOCK.DOMAIN: mcs or ticket for each l3, node or "
		   "package under one over all; FIFO within, 64 hand-overs in a row",
	.source = "Dice, Marathe and Shavit, PPoPP 2012",
	.flags = CLV_LOCK_SPINS,
	.size_bytes = sizeof(struct clv_cohort),
	.init = init,
	.fini = fini,
	.memory = memory,
	.acquire = acquire,
	.release = release,
	.try_acquire = try_acquire,
	.fields = fields,
};
