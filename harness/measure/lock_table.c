// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "lock_table.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../lib/error.h"
#include "../worker.h"

enum { FIRST_TIMES = 64 };

static double cpu_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* ---- rows ---- */

/* Cut row->words at the dots behind the lock's name. Returns: 0; -EINVAL. */
static int cut(struct clv_lock_row *row)
{
	char *dot = strchr(row->words + clv_lock_name_length(row->words, strlen(row->words)), '.');
	while (dot) {
		*dot = '\0';
		if (row->args.count == sizeof(row->args.arg) / sizeof(row->args.arg[0]) || !dot[1])
			return -EINVAL;
		row->args.arg[row->args.count++] = dot + 1;
		dot = strchr(dot + 1, '.');
	}
	return 0;
}

int clv_lock_row_init(struct clv_lock_row *row, const char *lock, struct cleave_error *error)
{
	*row = (struct clv_lock_row){ 0 };
	bool fits = strlen(lock) < sizeof(row->lock);
	snprintf(row->lock, sizeof(row->lock), "%s", lock);
	snprintf(row->words, sizeof(row->words), "%s", lock);
	if (!fits || cut(row))
		return clv_error(error, -EINVAL, "lock '%.60s': too many words, or an empty one",
				 lock);
	row->type = clv_lock_type_find(row->words, strlen(row->words));
	if (!row->type)
		return clv_error(error, -EINVAL, "unknown lock '%s': see cleave list locks",
				 row->words);
	if (row->args.count && !row->type->init)
		return clv_error(error, -EINVAL, "lock %s: it takes no argument, not '%s'",
				 row->words, row->args.arg[0]);
	row->reference = clv_lock_reference_of(lock, row->type);
	row->floor = clv_lock_floor_of(row->type);
	return 0;
}

void clv_lock_row_init_floor(struct clv_lock_row *row)
{
	*row = (struct clv_lock_row){
		.lock = "floor",
		.type = &clv_reference_floor.type,
		.reference = &clv_reference_floor,
	};
}

void clv_lock_rows_fini(struct clv_lock_row *row, unsigned rows)
{
	for (unsigned i = 0; i < rows; i++) {
		for (unsigned k = 0; k < CLV_LOCK_MODES; k++) {
			for (unsigned f = 0; f < CLV_LOCK_FORMS; f++)
				free(row[i].cell[k].sample[f]);
		}
	}
}

/* ---- instances ---- */

/* Returns: 0; what making it failed with. */
static int make(void **lock, const struct clv_lock_type *type, const struct clv_lock_args *args,
		struct cleave_env *env, struct cleave_error *error)
{
	*lock = clv_alloc(type->size_bytes, CLV_CACHE_LINE, -1);
	if (!*lock)
		return clv_error(error, -ENOMEM, "out of memory");
	int code = type->init ? type->init(*lock, env, args, error) : 0;
	if (code) {
		clv_free(*lock, type->size_bytes);
		*lock = NULL;
	}
	return code;
}

static void destroy(void *lock, const struct clv_lock_type *type)
{
	if (lock && type->fini)
		type->fini(lock);
	clv_free(lock, type->size_bytes);
}

int clv_lock_bytes(const struct clv_lock_type *type, const struct clv_lock_args *args,
		   struct cleave_env *env, size_t *bytes, struct cleave_error *error)
{
	void *lock;
	int code = make(&lock, type, args, env, error);
	if (code)
		return code;
	*bytes = type->size_bytes + (type->memory ? type->memory(lock) : 0);
	destroy(lock, type);
	return 0;
}

/* Each mode has locks of its own, so that no mode sees what another leaves behind. */
enum { OURS, REFERENCE, FLOOR, LOCKS };
struct place {
	void *lock[LOCKS]; /* NULL: there is none */
	struct clv_lock_calls calls[LOCKS];
	struct clv_hold *hold[LOCKS];
};

struct bench {
	const struct clv_lock_settings *settings;
	struct place (*place)[CLV_LOCK_MODES]; /* [rows] */
	struct clv_hold *holds; /* [rows * CLV_LOCK_MODES * LOCKS] */
	unsigned *order;	/* [rows * CLV_LOCK_MODES] */
	unsigned rows;
};

/* One beside ours. *has: it has that mode. */
static int open_other(struct bench *bench, struct place *place, unsigned i, enum clv_lock_mode mode,
		      const struct clv_lock_reference *other, bool *has, struct cleave_error *error)
{
	const struct clv_lock_args none = { 0 };
	if (!other)
		return 0;
	place->calls[i] = clv_lock_calls_of(&other->type, mode);
	*has = place->calls[i].release != NULL;
	return *has ? make(&place->lock[i], &other->type, &none, bench->settings->env, error) : 0;
}

static int open_place(struct bench *bench, struct clv_lock_row *row, unsigned which,
		      enum clv_lock_mode mode, struct cleave_error *error)
{
	struct place *place = &bench->place[which][mode];
	struct clv_lock_cell *cell = &row->cell[mode];
	unsigned repetitions = bench->settings->repetitions;

	place->calls[OURS] = clv_lock_calls_of(row->type, mode);
	cell->has = place->calls[OURS].release != NULL;
	if (!cell->has)
		return 0;
	for (unsigned i = 0; i < LOCKS; i++) {
		place->hold[i] = &bench->holds[(which * CLV_LOCK_MODES + mode) * LOCKS + i];
		place->hold[i]->thread = bench->settings->thread;
	}
	for (unsigned f = 0; f < CLV_LOCK_FORMS; f++) {
		cell->sample[f] = calloc(repetitions, sizeof(double));
		if (!cell->sample[f])
			return clv_error(error, -ENOMEM, "out of memory");
	}
	int code = make(&place->lock[OURS], row->type, &row->args, bench->settings->env, error);
	if (!code)
		code = open_other(bench, place, REFERENCE, mode, row->reference,
				  &cell->has_reference, error);
	return code ? code : open_other(bench, place, FLOOR, mode, row->floor, &cell->has_floor,
					error);
}

static void close_place(const struct place *place, const struct clv_lock_row *row)
{
	if (place->lock[OURS])
		destroy(place->lock[OURS], row->type);
	if (place->lock[REFERENCE])
		destroy(place->lock[REFERENCE], &row->reference->type);
	if (place->lock[FLOOR])
		destroy(place->lock[FLOOR], &row->floor->type);
}

/* ---- does it lock at all? ---- */

static bool takes(void *lock, struct clv_lock_calls calls, struct clv_hold *hold)
{
	if (calls.take)
		calls.take(lock, hold);
	return calls.take || calls.try_take(lock, hold);
}

/* Returns: what is wrong; NULL: nothing. While it is held exclusive, no try may succeed. */
static const char *check(const struct clv_lock_type *type, const struct place *place, unsigned i,
			 enum clv_lock_mode mode, struct cleave_thread *thread)
{
	struct clv_hold other = { .thread = thread };
	void *lock = place->lock[i];
	struct clv_lock_calls calls = place->calls[i];
	bool excludes = !(type->flags & CLV_LOCK_ONE_THREAD);
	bool writes = mode == CLV_LOCK_EXCLUSIVE || mode == CLV_LOCK_TRY;
	const char *wrong = NULL;

	if (!takes(lock, calls, place->hold[i]))
		return "a try of a free lock failed";
	if (excludes && type->try_acquire && type->try_acquire(lock, &other))
		wrong = "a try of a held lock succeeded";
	else if (excludes && writes && type->try_acquire_shared &&
		 type->try_acquire_shared(lock, &other))
		wrong = "a reader's try of a lock held exclusive succeeded";
	calls.release(lock, place->hold[i]);
	if (!wrong && !takes(lock, calls, place->hold[i]))
		return "a try of a released lock failed";
	if (!wrong)
		calls.release(lock, place->hold[i]);
	return wrong;
}

static void check_place(struct bench *bench, struct clv_lock_row *row, unsigned which,
			enum clv_lock_mode mode)
{
	const struct place *place = &bench->place[which][mode];
	struct cleave_thread *thread = bench->settings->thread;
	const struct clv_lock_cell *cell = &row->cell[mode];
	const char *wrong = cell->has ? check(row->type, place, OURS, mode, thread) : NULL;
	if (!wrong && cell->has_reference)
		wrong = check(&row->reference->type, place, REFERENCE, mode, thread);
	if (!wrong && cell->has_floor)
		wrong = check(&row->floor->type, place, FLOOR, mode, thread);
	if (!wrong)
		return;
	row->invalid = true;
	snprintf(row->why, sizeof(row->why), "%s", wrong);
}

/* ---- measuring ---- */

static __attribute__((noinline)) void call(struct clv_lock_calls calls, void *lock,
					   struct clv_hold *hold, unsigned times)
{
	clv_lock_repeat(calls, lock, hold, times);
}

static void repeat(const struct place *place, const struct clv_lock_row *row,
		   enum clv_lock_mode mode, enum clv_lock_form form, unsigned times)
{
	unsigned i = form == CLV_LOCK_OURS ? OURS : form == CLV_LOCK_FLOOR ? FLOOR : REFERENCE;
	if (form == CLV_LOCK_INLINED)
		row->reference->inlined[mode](place->lock[i], place->hold[i], times);
	else
		call(place->calls[i], place->lock[i], place->hold[i], times);
}

/* ns of one. A quarter before it, not timed: the branches are learnt, BRAVO's bias is back. */
static double sample(const struct place *place, const struct clv_lock_row *row,
		     enum clv_lock_mode mode, enum clv_lock_form form, unsigned times)
{
	repeat(place, row, mode, form, times / 4 + 1);
	double begin_ns = cpu_ns();
	repeat(place, row, mode, form, times);
	return (cpu_ns() - begin_ns) / times;
}

/* How many of ours take the budget, or up to twice that. The other forms are given as many. */
static unsigned find_times(const struct place *place, const struct clv_lock_row *row,
			   enum clv_lock_mode mode, double budget_ns)
{
	double ns = 0;
	for (unsigned times = FIRST_TIMES; times < 1u << 24; times *= 2) {
		ns = sample(place, row, mode, CLV_LOCK_OURS, times);
		if (ns * times >= budget_ns)
			return times;
	}
	return 1u << 24;
}

static void shuffle(unsigned *order, unsigned count, uint64_t *random)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned other = (unsigned)clv_scale((uint32_t)(clv_random(random) >> 32), i + 1);
		order[i] = order[other];
		order[other] = i;
	}
}

static bool has_form(const struct clv_lock_cell *cell, enum clv_lock_form form)
{
	return form == CLV_LOCK_OURS  ? cell->has :
	       form == CLV_LOCK_FLOOR ? cell->has_floor :
					cell->has_reference;
}

static void measure_round(struct bench *bench, struct clv_lock_row *row, unsigned repetition,
			  uint64_t *random)
{
	unsigned forms[CLV_LOCK_FORMS];
	shuffle(bench->order, bench->rows * CLV_LOCK_MODES, random);
	for (unsigned i = 0; i < bench->rows * CLV_LOCK_MODES; i++) {
		struct clv_lock_row *at = &row[bench->order[i] / CLV_LOCK_MODES];
		enum clv_lock_mode mode = bench->order[i] % CLV_LOCK_MODES;
		struct clv_lock_cell *cell = &at->cell[mode];
		if (!cell->has || at->invalid)
			continue;
		shuffle(forms, CLV_LOCK_FORMS, random);
		for (unsigned k = 0; k < CLV_LOCK_FORMS; k++) {
			if (!has_form(cell, forms[k]))
				continue;
			cell->sample[forms[k]][repetition] =
				sample(&bench->place[at - row][mode], at, mode, forms[k],
				       cell->times);
		}
	}
}

/* ---- statistics ---- */

static int divide(const double *over, const double *under, unsigned count, double *work,
		  struct clv_interval *ratio)
{
	for (unsigned i = 0; i < count; i++)
		work[i] = over[i] / under[i];
	return clv_stats_median(work, count, ratio);
}

static int compare(struct clv_lock_cell *cell, unsigned count, double *work)
{
	int code = 0;
	for (unsigned f = CLV_LOCK_OURS; !code && f < CLV_LOCK_FORMS; f++) {
		if (!has_form(cell, f))
			continue;
		code = clv_stats_median(cell->sample[f], count, &cell->ns[f]);
		if (!code && f != CLV_LOCK_OURS)
			code = divide(cell->sample[CLV_LOCK_OURS], cell->sample[f], count, work,
				      &cell->to[f]);
	}
	return code;
}

/* ---- company ---- */

/*
 * In a process of one thread glibc's mutex leaves its compare-and-swap out, as a lock that somebody might
 * want cannot. So there is a second thread, which sleeps.
 */
struct company {
	pthread_t thread;
	sem_t over;
};

static void *keep_company(void *over)
{
	while (sem_wait(over) && errno == EINTR)
		;
	return NULL;
}

static int company_begin(struct company *company, struct cleave_error *error)
{
	if (sem_init(&company->over, 0, 0))
		return clv_error(error, -errno, "locks: no semaphore: %s", strerror(errno));
	int code = pthread_create(&company->thread, NULL, keep_company, &company->over);
	if (!code)
		return 0;
	sem_destroy(&company->over);
	return clv_error(error, -code, "locks: no second thread: %s", strerror(code));
}

static void company_end(struct company *company)
{
	sem_post(&company->over);
	pthread_join(company->thread, NULL);
	sem_destroy(&company->over);
}

/* ---- all of it ---- */

static int begin_row(struct bench *bench, struct clv_lock_row *row, unsigned which,
		     struct cleave_error *error)
{
	const struct clv_lock_settings *settings = bench->settings;
	int code = clv_lock_bytes(row->type, &row->args, settings->env, &row->bytes, error);
	if (!code)
		code = clv_lock_bytes(row->type, &row->args, settings->many, &row->bytes_many,
				      error);
	for (unsigned k = 0; !code && k < CLV_LOCK_MODES; k++) {
		code = open_place(bench, row, which, k, error);
		if (!code)
			check_place(bench, row, which, k);
	}
	for (unsigned k = 0; !code && !row->invalid && k < CLV_LOCK_MODES; k++) {
		if (row->cell[k].has)
			row->cell[k].times = find_times(&bench->place[which][k], row, k,
							settings->budget_ns);
	}
	return code;
}

static int measure(struct bench *bench, struct clv_lock_row *row,
		   void (*progress)(const char *what, double done), struct cleave_error *error)
{
	const struct clv_lock_settings *settings = bench->settings;
	uint64_t random = clv_seed(settings->seed, CLV_STREAM_START, 0);
	double *work = calloc(settings->repetitions, sizeof(*work));
	int code = work ? 0 : clv_error(error, -ENOMEM, "out of memory");
	for (unsigned i = 0; !code && i < bench->rows; i++)
		code = begin_row(bench, &row[i], i, error);
	for (unsigned r = 0; !code && r < settings->repetitions; r++) {
		if (progress)
			progress("locks", (double)r / settings->repetitions);
		measure_round(bench, row, r, &random);
	}
	for (unsigned i = 0; !code && i < bench->rows * CLV_LOCK_MODES; i++) {
		struct clv_lock_row *at = &row[i / CLV_LOCK_MODES];
		struct clv_lock_cell *cell = &at->cell[i % CLV_LOCK_MODES];
		if (cell->has && !at->invalid && compare(cell, settings->repetitions, work))
			code = clv_error(error, -ENOMEM, "out of memory");
	}
	free(work);
	return code;
}

int clv_lock_table_make(struct clv_lock_row *row, unsigned rows,
			const struct clv_lock_settings *settings,
			void (*progress)(const char *what, double done),
			struct cleave_error *error)
{
	struct company company;
	int code = company_begin(&company, error);
	if (code)
		return code;
	size_t holds_bytes = rows * CLV_LOCK_MODES * LOCKS * sizeof(struct clv_hold);
	struct bench bench = {
		.settings = settings,
		.rows = rows,
		.place = calloc(rows, sizeof(*bench.place)),
		.holds = clv_alloc(holds_bytes, CLV_CACHE_LINE, -1),
		.order = calloc(rows * CLV_LOCK_MODES, sizeof(*bench.order)),
	};
	code = bench.place && bench.holds && bench.order ?
		       measure(&bench, row, progress, error) :
		       clv_error(error, -ENOMEM, "out of memory");
	for (unsigned i = 0; bench.place && i < rows; i++) {
		for (unsigned k = 0; k < CLV_LOCK_MODES; k++)
			close_place(&bench.place[i][k], &row[i]);
	}
	free(bench.place);
	clv_free(bench.holds, holds_bytes);
	free(bench.order);
	company_end(&company);
	return code;
}
