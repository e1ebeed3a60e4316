// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Environments and the thread handles in them. A handle is recycled after its thread has ended, but
 * its memory stays until the environment closes: see lib/thread.h.
 */
#include "env.h"

#include <errno.h>

#include <cleave/structure.h>

#include "error.h"
#include "locks/clh.h"
#include "reclaim.h"
#include "shim/mark.h"
#include "thread.h"

static const struct cleave_field env_fields[] = {
	{ 0, "topology, threads" },
	{ offsetof(struct cleave_env, guard), "guard" },
	{ offsetof(struct cleave_env, epoch), "epoch" },
	{ offsetof(struct cleave_env, scanning), "epoch's scanner" },
	{ 0, NULL },
};

static const struct cleave_field thread_fields[] = {
	{ offsetof(struct cleave_thread, parker), "parker" },
	{ offsetof(struct cleave_thread, env), "the owner's" },
	{ offsetof(struct cleave_thread, osq), "osq node" },
	{ offsetof(struct cleave_thread, epoch), "epoch record" },
	{ 0, NULL },
};

const char *cleave_version(void)
{
	return CLV_VERSION;
}

void *cleave_alloc(size_t size_bytes, size_t align_bytes, int node)
{
	return clv_alloc(size_bytes, align_bytes, node);
}

void cleave_free(void *block, size_t size_bytes)
{
	clv_free(block, size_bytes);
}

int cleave_env_open(struct cleave_env **env, const struct cleave_env_options *options,
		    struct cleave_error *error)
{
	struct cleave_env *made = clv_alloc(sizeof(*made), _Alignof(struct cleave_env), -1);
	if (!made)
		return clv_error(error, -ENOMEM, "environment: out of memory");
	clv_name(made, sizeof(*made), 0, "env", -1, env_fields);
	int code = clv_topology_load(&made->topology, options ? options->topology : NULL, error);
	if (code) {
		clv_free(made, sizeof(*made));
		return code;
	}
	made->epoch = 1;
	*env = made;
	return 0;
}

void cleave_env_close(struct cleave_env *env)
{
	for (struct cleave_thread *thread = env->threads, *next; thread; thread = next) {
		next = thread->next;
		clv_clh_node_free(thread->clh);
		clv_free(thread, sizeof(*thread));
	}
	clv_free(env->visible_readers, CLV_VISIBLE_READERS_BYTES);
	clv_topology_free(env->topology);
	clv_free(env, sizeof(*env));
}

static void lock_handles(struct cleave_env *env)
{
	/* Pairs with the release in unlock_handles. */
	while (__atomic_exchange_n(&env->guard, 1, __ATOMIC_ACQUIRE)) {
		while (__atomic_load_n(&env->guard, __ATOMIC_RELAXED))
			clv_pause();
	}
}

static void unlock_handles(struct cleave_env *env)
{
	__atomic_store_n(&env->guard, 0, __ATOMIC_RELEASE);
}

static struct cleave_thread *take_ended(struct cleave_env *env)
{
	/* Relaxed: whoever finds none makes one, which is as good. */
	if (!__atomic_load_n(&env->ended, __ATOMIC_RELAXED))
		return NULL;
	lock_handles(env);
	struct cleave_thread *taken = env->ended;
	if (taken)
		__atomic_store_n(&env->ended, taken->next_ended, __ATOMIC_RELAXED);
	unlock_handles(env);
	return taken;
}

/* Where others spin on its queue node and write its parker: near to it. */
static int node_of(const struct cleave_env *env, int cpu)
{
	return (int)env->topology->node_os[env->topology->cpu[cpu].node];
}

/*
 * On the list before its owner has it: whoever walks the list must find it whole. The list only
 * grows, so a compare-and-swap is enough: many threads may begin at once.
 */
static struct cleave_thread *make_handle(struct cleave_env *env, int node)
{
	struct cleave_thread *made = clv_alloc(sizeof(*made), _Alignof(struct cleave_thread), node);
	if (!made)
		return NULL;
	made->clh = clv_clh_node_make(node);
	if (!made->clh) {
		clv_free(made, sizeof(*made));
		return NULL;
	}
	made->env = env;
	clv_epoch_init(&made->epoch);
	made->next = __atomic_load_n(&env->threads, __ATOMIC_RELAXED);
	/* Release: pairs with the acquire in lib/reclaim.c, which walks the list. */
	while (!__atomic_compare_exchange_n(&env->threads, &made->next, made, false,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		clv_pause();
	return made;
}

static void set_cpu(struct cleave_thread *thread, unsigned index)
{
	const struct clv_cpu *cpu = &thread->env->topology->cpu[index];

	thread->cpu = index;
	thread->l3 = cpu->l3;
	thread->node = cpu->node;
	thread->package = cpu->package;
}

int cleave_thread_begin(struct cleave_thread **thread, struct cleave_env *env, int cpu)
{
	int index = clv_topology_index(env->topology, cpu < 0 ? clv_cpu_now() : cpu);
	if (index < 0)
		return -ERANGE;
	struct cleave_thread *made = take_ended(env);
	if (!made)
		made = make_handle(env, node_of(env, index));
	if (!made)
		return -ENOMEM;
	clv_name(made, sizeof(*made), 0, "thread", index, thread_fields);
	set_cpu(made, (unsigned)index);
	made->times = NULL;
	made->timed_locks = 0;
	made->id = __atomic_add_fetch(&env->next_thread_id, 1, __ATOMIC_RELAXED);
	cleave_thread_seed(made, made->id);
	*thread = made;
	return 0;
}

void cleave_thread_seed(struct cleave_thread *thread, uint64_t seed)
{
	thread->random = seed;
}

void cleave_thread_end(struct cleave_thread *thread)
{
	struct cleave_env *env = thread->env;
	clv_epoch_drain(thread);
	thread->times = NULL;
	for (struct clv_hold_set *set = thread->spare, *next; set; set = next) {
		next = set->next;
		clv_free(set, set->size_bytes);
	}
	thread->spare = NULL;
	lock_handles(env);
	thread->next_ended = env->ended;
	__atomic_store_n(&env->ended, thread, __ATOMIC_RELAXED);
	unlock_handles(env);
}

int cleave_thread_set_cpu(struct cleave_thread *thread, int cpu)
{
	int index = clv_topology_index(thread->env->topology, cpu);
	if (index < 0)
		return -ERANGE;
	set_cpu(thread, (unsigned)index);
	return 0;
}

uint64_t cleave_random(struct cleave_thread *thread)
{
	/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
	uint64_t z = thread->random += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

void cleave_pause(void)
{
	clv_pause();
}

void cleave_retire(struct cleave_thread *thread, struct cleave_deferred *deferred,
		   void (*call)(struct cleave_deferred *deferred))
{
	clv_epoch_defer(thread, deferred, call);
}

void cleave_thread_time(struct cleave_thread *thread, struct cleave_times *times)
{
	thread->times = times;
}
