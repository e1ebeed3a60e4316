// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What is registered for Google Benchmark, and the order in which repetitions run.
 *
 * A benchmark with P tuples of arguments is P points, and a point with R repetitions R steps:
 *
 *	point a: repetitions 0 1 2	grouped: a0 a1 a2 b0 b1
 *	point b: repetitions 0 1	rounds:  a0 b0 a1 b1 a2
 *
 * Written by the functions of gbench.h here, between runs; read by gbench.cc in a run.
 */
#include "gbench_plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef CLV_GBENCH_VERSION
#error "CLV_GBENCH_VERSION: a string, the version of the benchmark library"
#endif

struct clv_gbench_registry clv_gbench_registry;

static char why[768];

const char *clv_gbench_version(void)
{
	return CLV_GBENCH_VERSION;
}

const char *clv_gbench_why(void)
{
	return why;
}

void clv_gbench_why_clear(void)
{
	why[0] = '\0';
}

int clv_gbench_refuse(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	return code;
}

static int refuse_memory(void)
{
	return clv_gbench_refuse(-ENOMEM, "out of memory");
}

int clv_gbench_check_idle(void)
{
	if (!clv_gbench_registry.started)
		return clv_gbench_refuse(-EPERM, "benchmark library is not started");
	if (clv_gbench_registry.running)
		return clv_gbench_refuse(-EBUSY, "benchmarks are running");
	return 0;
}

/* Bytes of the character at s; 0 if JSON cannot hold it. Never past a NUL, which continues none. */
static size_t character(const char *s)
{
	const unsigned char *c = (const unsigned char *)s;

	if (c[0] < 0x80)
		return c[0] >= 0x20 && c[0] != 0x7f;
	if (c[0] < 0xc2 || c[0] > 0xf4)
		return 0;
	size_t n = c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : 2;
	for (size_t i = 1; i < n; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	/* too long a form, surrogates, above U+10FFFF */
	if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
	    (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
		return 0;
	return n;
}

bool clv_gbench_text_is_good(const char *text)
{
	while (*text) {
		size_t n = character(text);
		if (!n)
			return false;
		text += n;
	}
	return true;
}

void clv_gbench_text_mend(char *text)
{
	while (*text) {
		size_t n = character(text);
		if (!n) {
			*text = '?';
			n = 1;
		}
		text += n;
	}
}

/* `reserved`: keys that the library writes itself, NULL-terminated, or NULL. */
static int check_name(const char *what, const char *name, const char *const *reserved)
{
	if (!name || !*name)
		return clv_gbench_refuse(-EINVAL, "%s: empty", what);
	if (strlen(name) > CLV_GBENCH_TEXT_MAX)
		return clv_gbench_refuse(-EINVAL, "%s: longer than %d bytes", what,
					 CLV_GBENCH_TEXT_MAX);
	if (!clv_gbench_text_is_good(name))
		return clv_gbench_refuse(-EINVAL, "%s: holds a control character or invalid UTF-8",
					 what);
	for (; reserved && *reserved; reserved++)
		if (!strcmp(*reserved, name))
			return clv_gbench_refuse(-EINVAL, "%s %s: is the library's own", what,
						 name);
	return 0;
}

int clv_gbench_check_counter(const char *name)
{
	static const char *const reserved[] = {
		"name", "family_index", "per_family_instance_index", "run_name", "run_type",
		"repetitions", "repetition_index", "threads", "aggregate_name", "aggregate_unit",
		"error_occurred", "error_message", "iterations", "real_time", "cpu_time",
		"time_unit", "label", "cpu_coefficient", "real_coefficient", "big_o", "rms",
		"allocs_per_iter", "max_bytes_used", "total_allocated_bytes", "net_heap_growth",
		NULL,
	};

	return check_name("counter name", name, reserved);
}

static void free_names(char **name, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(name[i]);
	free(name);
}

void clv_gbench_registry_drop(void)
{
	struct clv_gbench_registry *r = &clv_gbench_registry;

	for (size_t i = 0; i < r->benches; i++) {
		free_names(r->bench[i]->arg_name, r->bench[i]->arg_names);
		free(r->bench[i]->arg);
		free(r->bench[i]->name);
		free(r->bench[i]);
	}
	free(r->bench);
	for (size_t i = 0; i < r->contexts; i++) {
		free(r->context[i].key);
		free(r->context[i].value);
	}
	free(r->context);
	*r = (struct clv_gbench_registry){ .started = r->started, .running = r->running };
}

int clv_gbench_register(const char *name, clv_gbench_fn *fn, void *ctx, struct clv_gbench **bench)
{
	struct clv_gbench_registry *r = &clv_gbench_registry;
	int rc = clv_gbench_check_idle();

	if (!rc)
		rc = check_name("benchmark name", name, NULL);
	if (rc)
		return rc;
	if (!fn || !bench)
		return clv_gbench_refuse(-EINVAL, "benchmark %s: no function, or no place for the "
					 "handle", name);
	for (size_t i = 0; i < r->benches; i++)
		if (!strcmp(r->bench[i]->name, name))
			return clv_gbench_refuse(-EEXIST, "benchmark %s: registered already", name);

	struct clv_gbench **grown = reallocarray(r->bench, r->benches + 1, sizeof(*grown));
	if (!grown)
		return refuse_memory();
	r->bench = grown;
	struct clv_gbench *made = malloc(sizeof(*made));
	char *copy = strdup(name);
	if (!made || !copy) {
		free(made);
		free(copy);
		return refuse_memory();
	}
	*made = (struct clv_gbench){
		.name = copy,
		.fn = fn,
		.ctx = ctx,
		.family = (int64_t)r->benches,
		.iterations = 1,
		.threads = 1,
	};
	r->bench[r->benches++] = made;
	*bench = made;
	return 0;
}

static int check_bench(const struct clv_gbench *bench)
{
	int rc = clv_gbench_check_idle();

	return !rc && !bench ? clv_gbench_refuse(-EINVAL, "no benchmark given") : rc;
}

int clv_gbench_add_args(struct clv_gbench *bench, const int64_t *arg, size_t n)
{
	int rc = check_bench(bench);

	if (rc)
		return rc;
	if (!arg || !n || (bench->tuples && bench->arity != n) ||
	    (bench->arg_names && bench->arg_names != n))
		return clv_gbench_refuse(-EINVAL, "benchmark %s: %zu arguments do not fit",
					 bench->name, n);
	for (size_t i = 0; i < bench->tuples; i++)
		if (!memcmp(bench->arg + i * n, arg, n * sizeof(*arg)))
			return clv_gbench_refuse(-EEXIST, "benchmark %s: arguments added before",
						 bench->name);
	int64_t *grown = reallocarray(bench->arg, (bench->tuples + 1) * n, sizeof(*grown));
	if (!grown)
		return refuse_memory();
	memcpy(grown + bench->tuples * n, arg, n * sizeof(*arg));
	bench->arg = grown;
	bench->arity = n;
	bench->tuples++;
	return 0;
}

int clv_gbench_arg_names(struct clv_gbench *bench, const char *const *name, size_t n)
{
	int rc = check_bench(bench);

	if (rc)
		return rc;
	if (!name || !n || (bench->tuples && bench->arity != n))
		return clv_gbench_refuse(-EINVAL, "benchmark %s: %zu argument names do not fit",
					 bench->name, n);
	for (size_t i = 0; i < n; i++) {
		rc = check_name("argument name", name[i], NULL);
		if (rc)
			return rc;
	}
	char **copy = calloc(n, sizeof(*copy));
	if (!copy)
		return refuse_memory();
	for (size_t i = 0; i < n; i++) {
		copy[i] = strdup(name[i]);
		if (!copy[i]) {
			free_names(copy, n);
			return refuse_memory();
		}
	}
	free_names(bench->arg_name, bench->arg_names);
	bench->arg_name = copy;
	bench->arg_names = n;
	return 0;
}

static int check_setting(const struct clv_gbench *bench, const char *what, bool good)
{
	int rc = check_bench(bench);

	if (!rc && !good)
		rc = clv_gbench_refuse(-EINVAL, "benchmark %s: bad %s", bench->name, what);
	return rc;
}

int clv_gbench_iterations(struct clv_gbench *bench, int64_t n)
{
	int rc = check_setting(bench, "number of iterations", n >= 1);

	if (!rc)
		bench->iterations = n;
	return rc;
}

int clv_gbench_repetitions(struct clv_gbench *bench, int n)
{
	int rc = check_setting(bench, "number of repetitions", n >= 1);

	if (!rc)
		bench->repetitions = n;
	return rc;
}

int clv_gbench_unit(struct clv_gbench *bench, enum clv_gbench_unit unit)
{
	int rc = check_setting(bench, "time unit", (unsigned)unit <= CLV_GBENCH_S);

	if (!rc)
		bench->unit = unit;
	return rc;
}

int clv_gbench_manual_time(struct clv_gbench *bench)
{
	int rc = check_bench(bench);

	if (!rc)
		bench->manual = true;
	return rc;
}

int clv_gbench_threads(struct clv_gbench *bench, int n)
{
	int rc = check_setting(bench, "number of threads", n >= 1);

	if (!rc)
		bench->threads = n;
	return rc;
}

int clv_gbench_order(enum clv_gbench_order order, uint64_t seed)
{
	int rc = clv_gbench_check_idle();

	if (rc)
		return rc;
	if ((unsigned)order > CLV_GBENCH_SHUFFLED_ROUNDS)
		return clv_gbench_refuse(-EINVAL, "bad order of repetitions");
	clv_gbench_registry.order = order;
	clv_gbench_registry.seed = seed;
	return 0;
}

int clv_gbench_context(const char *key, const char *value)
{
	static const char *const reserved[] = {
		"date", "host_name", "executable", "num_cpus", "mhz_per_cpu", "cpu_scaling_enabled",
		"caches", "load_avg", "library_build_type", NULL,
	};
	struct clv_gbench_registry *r = &clv_gbench_registry;
	int rc = clv_gbench_check_idle();

	if (!rc)
		rc = check_name("context key", key, reserved);
	if (rc)
		return rc;
	if (!value || !clv_gbench_text_is_good(value))
		return clv_gbench_refuse(-EINVAL, "context value of %s: holds a control character "
					 "or invalid UTF-8", key);

	char *new_key = strdup(key), *new_value = strdup(value);
	struct clv_gbench_pair *grown = reallocarray(r->context, r->contexts + 1, sizeof(*grown));
	if (grown)
		r->context = grown;
	if (!new_key || !new_value || !grown) {
		free(new_key);
		free(new_value);
		return refuse_memory();
	}
	r->context[r->contexts++] = (struct clv_gbench_pair){ new_key, new_value };
	return 0;
}

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* pre: plan->step has room for all. `order` is [plan->points], 0 1 2 ... */
static void add_rounds(struct clv_gbench_plan *plan, size_t *order, int rounds)
{
	uint64_t state = clv_gbench_registry.seed;

	for (int i = 0; i < rounds; i++) {
		if (clv_gbench_registry.order == CLV_GBENCH_SHUFFLED_ROUNDS) {
			for (size_t n = plan->points; n > 1; n--) {
				size_t other = next_random(&state) % n, swapped = order[n - 1];
				order[n - 1] = order[other];
				order[other] = swapped;
			}
		}
		for (size_t k = 0; k < plan->points; k++)
			if (i < plan->point[order[k]].repetitions)
				plan->step[plan->steps++] = (struct clv_gbench_step){ order[k], i };
	}
}

static void add_grouped(struct clv_gbench_plan *plan)
{
	for (size_t k = 0; k < plan->points; k++)
		for (int i = 0; i < plan->point[k].repetitions; i++)
			plan->step[plan->steps++] = (struct clv_gbench_step){ k, i };
}

int clv_gbench_plan_make(struct clv_gbench_plan *plan)
{
	const struct clv_gbench_registry *r = &clv_gbench_registry;
	size_t points = 0, steps = 0;
	int rounds = 0;

	for (size_t b = 0; b < r->benches; b++) {
		size_t tuples = r->bench[b]->tuples ? r->bench[b]->tuples : 1;
		int repetitions = r->bench[b]->repetitions ? r->bench[b]->repetitions : 1;
		points += tuples;
		steps += tuples * (size_t)repetitions;
		if (repetitions > rounds)
			rounds = repetitions;
	}
	*plan = (struct clv_gbench_plan){
		.point = calloc(points + 1, sizeof(*plan->point)),
		.step = calloc(steps + 1, sizeof(*plan->step)),
	};
	size_t *order = calloc(points + 1, sizeof(*order));
	if (!plan->point || !plan->step || !order) {
		free(order);
		clv_gbench_plan_free(plan);
		return refuse_memory();
	}
	for (size_t b = 0; b < r->benches; b++) {
		struct clv_gbench *bench = r->bench[b];
		for (size_t i = 0; i < bench->tuples || !i; i++) {
			order[plan->points] = plan->points;
			plan->point[plan->points++] = (struct clv_gbench_point){
				.bench = bench,
				.instance = (int64_t)i,
				.arg = bench->tuples ? bench->arg + i * bench->arity : NULL,
				.args = bench->arity,
				.repetitions = bench->repetitions ? bench->repetitions : 1,
			};
		}
	}
	if (r->order == CLV_GBENCH_GROUPED)
		add_grouped(plan);
	else
		add_rounds(plan, order, rounds);
	free(order);
	return 0;
}

void clv_gbench_plan_free(struct clv_gbench_plan *plan)
{
	free(plan->point);
	free(plan->step);
	*plan = (struct clv_gbench_plan){ 0 };
}
