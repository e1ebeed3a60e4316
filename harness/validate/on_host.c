// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * This machine, measured, and predicted by a simulation of it. First a full calibration; then
 * rounds, in each of which every row is measured between two readings of the latency between its
 * CPUs, with the costs of a pair of each distance measured right before. Which rounds count and how
 * they are told apart: series.h. Each group of rounds is predicted with the medians of its own
 * costs. What calibration itself measures is printed and marked, and does not count in the error.
 */
#include "validate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/error.h"
#include "../calibrate/calibration.h"
#include "../calibrate/system.h"
#include "../machine/host.h"
#include "../placement.h"
#include "native.h"
#include "series.h"

/* Targets of the errors. */
#define TARGET_MEDIAN 0.20
#define TARGET_WORST 0.40

enum { COSTS = 5, COLUMNS = CLV_DISTANCES * COSTS, ROUNDS_MAX = 40, THREAD_COUNTS = 16,
       ROWS_MAX = 64, KEPT_QUICK = 5, KEPT = 15, GROUPS_MAX = ROWS_MAX * CLV_MODES };
enum { COST_READ, COST_WRITE, COST_UPGRADE, COST_AGAIN, COST_CLAIM };

struct kind {
	const char *name, *design;
	enum clv_case which;
	uint64_t population;
	enum { ALL_THREADS, ONE_THREAD } threads;
	enum { COUNTED, NOT_ALONE, NOT } counted; /* what calibrate measured itself */
	enum { NO_BYTES, IN_L2, IN_L3, IN_MEMORY } set;
};

static const struct kind kinds[] = {
	{ "empty, ticket", "null_sink/one:ticket", 0, 6000, ALL_THREADS, COUNTED, NO_BYTES },
	{ "empty, mcs", "null_sink/one:mcs", 0, 6000, ALL_THREADS, COUNTED, NO_BYTES },
	{ "empty, ck_rwlock", "null_sink/one:ck_rwlock", 0, 6000, ALL_THREADS, COUNTED, NO_BYTES },
	{ "empty, rwsem", "null_sink/one:rwsem", 0, 6000, ALL_THREADS, COUNTED, NO_BYTES },
	{ "tree 600, mcs", "rb_interval/one:mcs", 0, 600, ALL_THREADS, COUNTED, NO_BYTES },
	{ "tree 600, ticket", "rb_interval/one:ticket", 0, 600, ALL_THREADS, COUNTED, NO_BYTES },
	{ "tree 6000, mcs", "rb_interval/one:mcs", 0, 6000, ALL_THREADS, COUNTED, NO_BYTES },
	{ "tree 6000, ticket", "rb_interval/one:ticket", 0, 6000, ALL_THREADS, COUNTED, NO_BYTES },
	{ "tree a CPU, mcs", "rb_interval@cpu1/each:mcs", 0, 6000, ALL_THREADS, COUNTED, NO_BYTES },
	{ "empty a CPU, mcs", "null_sink@cpu1/each:mcs", 0, 6000, ALL_THREADS, COUNTED, NO_BYTES },
	{ "fetch-and-add", NULL, CLV_CASE_ADD, 0, ALL_THREADS, NOT_ALONE, NO_BYTES },
	{ "chase L2, 1 line", NULL, CLV_CASE_CHASE_ONE, 0, ONE_THREAD, NOT, IN_L2 },
	{ "chase L2, 2 lines", NULL, CLV_CASE_CHASE_TWO, 0, ONE_THREAD, COUNTED, IN_L2 },
	{ "chase L3, 1 line", NULL, CLV_CASE_CHASE_ONE, 0, ONE_THREAD, NOT, IN_L3 },
	{ "chase L3, 2 lines", NULL, CLV_CASE_CHASE_TWO, 0, ONE_THREAD, COUNTED, IN_L3 },
	{ "chase memory, 1 line", NULL, CLV_CASE_CHASE_ONE, 0, ONE_THREAD, NOT, IN_MEMORY },
	{ "chase memory, 2 lines", NULL, CLV_CASE_CHASE_TWO, 0, ONE_THREAD, COUNTED, IN_MEMORY },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

struct row {
	const struct kind *kind;
	unsigned threads;
	size_t bytes;
	struct { unsigned a, b; } pair[CLV_DISTANCES];
	bool has[CLV_DISTANCES];
	int reference; /* the largest distance; -1: none, one thread */
	unsigned rounds, kept; /* measured, and how many of them count */
	struct clv_round round[ROUNDS_MAX];
	double cost[ROUNDS_MAX][COLUMNS];
};

/* Rounds of a row in one mode, and what is predicted for them. */
struct group {
	const struct row *row;
	enum clv_mode mode;
	unsigned kept;
	double split;
	struct clv_interval measured; /* ops a second */
	double cost[COLUMNS];
};

struct session {
	const struct clv_validation *validation;
	struct clv_machine *host;
	struct clv_system told;
	struct clv_calibration calibration;
	char folder[128], path[160];
	struct row *row;
	unsigned rows;
	unsigned wanted, rounds_max; /* rounds that count of each row; rounds in all */
	uint64_t window_ns, pair_ns, read_ns;
	struct group group[GROUPS_MAX];
	unsigned groups;
	struct clv_trial trial[GROUPS_MAX];
};

/* ---- what is measured ---- */

static size_t bytes_of(const struct session *session, const struct kind *kind)
{
	const struct clv_calibrated *parameter = session->calibration.parameter;
	size_t l2 = (size_t)parameter[CLV_CAL_L2_BYTES].value;
	size_t l3 = (size_t)parameter[CLV_CAL_L3_BYTES].value;
	size_t bytes = kind->set == IN_L2 ? l2 / 2 :
		       kind->set == IN_L3 ? l3 / 4 :
		       kind->set == IN_MEMORY ? (session->validation->quick ? 3 : 6) * l3 : 0;
	return bytes & ~(size_t)4095;
}

/* The first pair of CPUs in use of each distance. */
static int choose_pairs(const struct session *session, struct row *row)
{
	const struct clv_topology *topology = session->host->topology;
	unsigned *cpu = calloc(row->threads, sizeof(*cpu));
	int code = cpu ? clv_placement_make(topology, "cores-first", row->threads, false, cpu,
					    session->validation->error) :
			 clv_error(session->validation->error, -ENOMEM, "validate: out of memory");
	row->reference = -1;
	for (unsigned i = 0; !code && i < row->threads; i++) {
		for (unsigned j = i + 1; j < row->threads; j++) {
			enum clv_distance d = clv_calibration_distance(topology, cpu[i], cpu[j]);
			if (row->has[d])
				continue;
			row->has[d] = true;
			row->pair[d].a = cpu[i];
			row->pair[d].b = cpu[j];
			row->reference = (int)d > row->reference ? (int)d : row->reference;
		}
	}
	free(cpu);
	return code;
}

static int make_rows(struct session *session)
{
	unsigned cpus = session->host->topology->cpus, counts[THREAD_COUNTS], n = 0;
	for (unsigned threads = 1; threads < cpus && n + 1 < THREAD_COUNTS; threads *= 2)
		counts[n++] = threads;
	counts[n++] = cpus;
	session->row = calloc(KINDS * n, sizeof(*session->row));
	if (!session->row)
		return clv_error(session->validation->error, -ENOMEM, "validate: out of memory");
	for (unsigned i = 0; i < KINDS; i++) {
		for (unsigned j = 0; j < (kinds[i].threads == ONE_THREAD ? 1 : n); j++) {
			if (session->rows == ROWS_MAX)
				break;
			struct row *row = &session->row[session->rows++];
			row->kind = &kinds[i];
			row->threads = counts[j];
			row->bytes = bytes_of(session, row->kind);
			int code = choose_pairs(session, row);
			if (code)
				return code;
		}
	}
	return 0;
}

/* -EAGAIN: nothing was steady enough; the round is lost. */
static int measure_costs(const struct session *session, const struct row *row, double *cost)
{
	for (unsigned d = 0; d < CLV_DISTANCES; d++) {
		struct clv_pair_costs costs;
		if (!row->has[d])
			continue;
		int code = clv_probe_pair(session->host, row->pair[d].a, row->pair[d].b,
					  session->pair_ns, &costs, session->validation->error);
		if (code)
			return code;
		cost[d * COSTS + COST_READ] = costs.read.value.median;
		cost[d * COSTS + COST_WRITE] = costs.write.value.median;
		cost[d * COSTS + COST_UPGRADE] = costs.upgrade.value.median;
		cost[d * COSTS + COST_AGAIN] = costs.again.value.median;
		cost[d * COSTS + COST_CLAIM] = costs.claim.value.median;
	}
	return 0;
}

/* A chase in a cache: what a load in a set of that size takes now, for others use an L3 as well. */
static bool has_load(const struct row *row)
{
	return row->kind->set == IN_L2 || row->kind->set == IN_L3;
}

static int measure_load(const struct session *session, const struct row *row, double *ns)
{
	struct clv_load_costs costs;
	int code = clv_probe_load(session->host, 0, 0, row->bytes, false, session->read_ns, &costs,
				  session->validation->error);
	if (!code)
		*ns = costs.load.value.median;
	return code;
}

static int measure_reference(const struct session *session, const struct row *row, double *ns)
{
	struct clv_estimate read;
	*ns = 0;
	if (has_load(row))
		return measure_load(session, row, ns);
	if (row->reference < 0)
		return 0;
	int code = clv_probe_pair_read(session->host, row->pair[row->reference].a,
				       row->pair[row->reference].b, session->read_ns, &read,
				       session->validation->error);
	if (!code)
		*ns = read.value.median;
	return code;
}

static int measure_round(struct session *session, struct row *row, unsigned n)
{
	struct clv_round *round = &row->round[n];
	const struct clv_native native = {
		.design = row->kind->design, .which = row->kind->which, .bytes = row->bytes,
		.population = row->kind->population, .threads = row->threads,
		.warm_ns = 5000000, .window_ns = session->window_ns, .seed = n + 1,
	};
	double value = 0;
	*round = (struct clv_round){ .cost = row->cost[n] };
	int code = measure_costs(session, row, row->cost[n]);
	if (!code)
		code = measure_reference(session, row, &round->before);
	if (!code)
		code = clv_native_run(session->host, &native, &value, &round->stolen,
				      session->validation->error);
	if (!code)
		code = measure_reference(session, row, &round->after);
	if (code == -EAGAIN)
		return 0;
	if (has_load(row))
		round->cost[COST_READ] = (round->before + round->after) / 2;
	round->value = value;
	return code;
}

/* Rows take turns until each has enough rounds that count, or had its share of tries. */
static int measure_all(struct session *session)
{
	bool shows = isatty(STDERR_FILENO);
	for (unsigned n = 0; n < session->rounds_max; n++) {
		for (unsigned i = 0; i < session->rows; i++) {
			struct row *row = &session->row[i];
			if (row->kept >= session->wanted)
				continue;
			if (shows)
				fprintf(stderr, "\r\033[Kround %u of %u at most, %s", n + 1,
					session->rounds_max, row->kind->name);
			int code = measure_round(session, row, row->rounds);
			if (code)
				return code;
			row->kept += clv_round_counts(&row->round[row->rounds++]);
		}
	}
	if (shows)
		fputs("\r\033[K", stderr);
	return 0;
}

/* ---- calibration ---- */

static void show_progress(const char *what)
{
	fprintf(stderr, "\r\033[K%s", what);
}

static int calibrate(struct session *session)
{
	const struct clv_validation *validation = session->validation;
	const struct clv_calibrate_options options = {
		validation->seconds, -1, -1, isatty(STDERR_FILENO) ? show_progress : NULL,
	};
	const char *temporary = getenv("TMPDIR");
	int code = clv_system_read(&session->told, session->host->topology->cpu[0].os,
				   validation->error);
	if (!code)
		code = clv_calibrate(&session->calibration, session->host, &session->told,
				     &options, validation->error);
	if (options.progress)
		fputs("\r\033[K", stderr);
	if (code)
		return code;
	snprintf(session->folder, sizeof(session->folder), "%.100s/cleave-XXXXXX",
		 temporary && *temporary ? temporary : "/tmp");
	if (!mkdtemp(session->folder)) {
		code = -errno;
		session->folder[0] = '\0';
		return clv_error(validation->error, code, "no temporary folder: %s",
				 strerror(-code));
	}
	snprintf(session->path, sizeof(session->path), "%s/here.json", session->folder);
	return clv_calibration_write(&session->calibration, &session->told, "calibrated to validate",
				     session->path, validation->error);
}

/* ---- groups and predictions ---- */

static int make_group(struct session *session, const struct row *row, enum clv_mode mode,
		      double split)
{
	double column[ROUNDS_MAX];
	struct group *group = &session->group[session->groups];
	*group = (struct group){ .row = row, .mode = mode, .split = split };
	for (int c = -1; c < COLUMNS; c++) {
		struct clv_interval interval = { 0 };
		unsigned kept = 0;
		for (unsigned i = 0; i < row->rounds; i++) {
			const struct clv_round *round = &row->round[i];
			if (clv_round_counts(round) && clv_round_mode(round, split) == mode)
				column[kept++] = c < 0 ? round->value : round->cost[c];
		}
		if (!kept)
			return 0;
		group->kept = kept;
		if (clv_stats_median(column, kept, &interval))
			return clv_error(session->validation->error, -ENOMEM,
					 "validate: out of memory");
		if (c < 0)
			group->measured = interval;
		else
			group->cost[c] = interval.median;
	}
	session->groups++;
	return 0;
}

static int make_groups(struct session *session)
{
	for (unsigned i = 0; i < session->rows; i++) {
		const struct row *row = &session->row[i];
		double split = clv_rounds_split(row->round, row->rounds);
		for (unsigned mode = 0; mode < CLV_MODES; mode++) {
			int code = make_group(session, row, mode, split);
			if (code)
				return code;
		}
	}
	return 0;
}

static void tweak_costs(struct clv_trial *trial, const struct group *group)
{
	static const unsigned first[] = { CLV_CAL_READ, CLV_CAL_WRITE, CLV_CAL_UPGRADE };
	if (has_load(group->row))
		clv_trial_tweak(trial, group->row->kind->set == IN_L2 ? "l2_ns" : "l3_ns",
				group->cost[COST_READ], false);
	for (unsigned d = 0; d < CLV_DISTANCES; d++) {
		const double *cost = &group->cost[d * COSTS];
		if (!group->row->has[d])
			continue;
		for (unsigned i = COST_READ; i <= COST_UPGRADE; i++)
			clv_trial_tweak(trial, clv_calibration_name(first[i] + d),
					cost[i] > 0 ? cost[i] : 0, false);
		/* As calibrate has it. */
		bool takes = cost[COST_AGAIN] > cost[COST_READ] / 2 &&
			     cost[COST_CLAIM] < cost[COST_UPGRADE] / 2;
		clv_trial_tweak(trial, clv_calibration_name(CLV_CAL_TAKES + d), takes, false);
	}
}

static struct clv_trial predict(const struct session *session, const struct group *group)
{
	const struct row *row = group->row;
	struct clv_trial trial = clv_trial_case(session->path, row->kind->which, row->threads);
	trial.design = row->kind->design;
	trial.workload = "pairs-libc";
	trial.think_ns = CLV_THINK_RECORDED;
	trial.population = row->kind->population;
	/* Everything has to have been in the caches once: the workers' own 6,000 slots, too. */
	trial.warm_ns = 3000000;
	trial.budget = session->validation->quick ? 16000000 : 40000000;
	if (row->bytes) {
		const struct clv_calibrated *memory =
			&session->calibration.parameter[CLV_CAL_MEMORY];
		/* Once through all of it, where it is to stay in a cache. */
		trial.program.bytes = row->bytes;
		if (row->kind->set != IN_MEMORY)
			trial.warm_ns = (uint64_t)((double)(row->bytes / 64) * memory->value * 1.2);
		trial.budget = 40000000;
	}
	tweak_costs(&trial, group);
	return trial;
}

/* ---- tables ---- */

static bool counts(const struct row *row)
{
	return row->kind->counted == COUNTED ||
	       (row->kind->counted == NOT_ALONE && row->threads > 1);
}

static double error_of(const struct session *session, unsigned i)
{
	return session->trial[i].ops_per_s / session->group[i].measured.median - 1;
}

static double ns_of(const struct row *row, double ops_per_s)
{
	return ops_per_s > 0 ? 1e9 * row->threads / ops_per_s : 0;
}

static void print_group(const struct session *session, unsigned i)
{
	const struct group *group = &session->group[i];
	const struct row *row = group->row;
	const bool none = row->reference < 0 && !has_load(row);
	const char *mode = none ? "-" : group->split == 0 ? "one" :
			   group->mode == CLV_MODE_FAR ? "far" : "near";
	double read = none ? 0 : group->cost[has_load(row) ? COST_READ : row->reference * COSTS];
	double error = error_of(session, i);
	printf("%-22s %7u %-4s %6.1f %9.1f [%.1f, %.1f]%*s %9.1f %+6.1f%s  %u/%u\n",
	       row->kind->name, row->threads, mode, read,
	       ns_of(row, group->measured.median), ns_of(row, group->measured.high),
	       ns_of(row, group->measured.low), 0, "", ns_of(row, session->trial[i].ops_per_s),
	       100 * error, counts(row) ? " " : "*", group->kept,
	       row->rounds - row->kept);
	clv_validation_row(
		clv_validation_rows(session->validation, "host"),
		json_pack("{s:s, s:i, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:b, s:i, s:i}", "row",
			  row->kind->name, "threads", (int)row->threads, "mode", mode,
			  "reference_ns", read, "measured_ops_per_s", group->measured.median, "low",
			  group->measured.low, "high", group->measured.high, "predicted_ops_per_s",
			  session->trial[i].ops_per_s, "error", error, "counted", counts(row),
			  "kept", (int)group->kept, "dropped",
			  (int)(row->rounds - row->kept)));
}

static void print_summary(const struct session *session, const char *what, unsigned from,
			  unsigned to)
{
	double error[GROUPS_MAX] = { 0 };
	unsigned n = 0;
	for (unsigned i = 0; i < session->groups; i++) {
		const struct row *row = session->group[i].row;
		if (counts(row) && row->threads >= from && row->threads <= to &&
		    !session->trial[i].code)
			error[n++] = error_of(session, i);
	}
	struct clv_errors errors = clv_errors_of(error, n);
	if (!n)
		return;
	printf("%s: %u rows, error median %.1f %% (target under %.0f), worst %.1f %% (under %.0f)%s\n",
	       what, n, 100 * errors.median, 100 * TARGET_MEDIAN, 100 * errors.worst,
	       100 * TARGET_WORST,
	       errors.median < TARGET_MEDIAN && errors.worst < TARGET_WORST ? "" : ": missed");
	clv_validation_row(clv_validation_rows(session->validation, "host_errors"),
			   json_pack("{s:s, s:i, s:f, s:f}", "of", what, "rows", (int)n, "median",
				     errors.median, "worst", errors.worst));
}

static void print_table(const struct session *session)
{
	const struct clv_calibrated *parameter = session->calibration.parameter;
	printf("This machine: %s, %u CPUs; ns an operation of a thread\n",
	       session->host->topology->name, session->host->topology->cpus);
	printf("block %.2f, access %.2f, mispredict %.1f, L1 %.2f, L2 %.2f, L3 %.1f, memory %.0f, "
	       "atomic %.1f ns, %.0f misses at once; %s\n",
	       parameter[CLV_CAL_BLOCK].value, parameter[CLV_CAL_ACCESS].value,
	       parameter[CLV_CAL_MISPREDICT].value, parameter[CLV_CAL_L1].value,
	       parameter[CLV_CAL_L2].value, parameter[CLV_CAL_L3].value,
	       parameter[CLV_CAL_MEMORY].value, parameter[CLV_CAL_ATOMIC].value,
	       parameter[CLV_CAL_OUTSTANDING].value,
	       parameter[CLV_CAL_BLOCK].measured ? "all measured" :
						   "block and access assumed");
	printf("%-22s %7s %-4s %6s %9s [interval]  %9s error %%  rounds kept/dropped of all modes\n",
	       "", "threads", "mode", "read", "measured", "predicted");
	for (unsigned i = 0; i < session->groups; i++) {
		if (!session->trial[i].code)
			print_group(session, i);
	}
	for (unsigned i = 0; i < session->rows; i++) {
		const struct row *row = &session->row[i];
		if (!row->kept)
			printf("%-22s %7u no round counts, of %u\n", row->kind->name, row->threads,
			       row->rounds);
	}
	puts("* what calibration measured itself: not counted. Positive: the simulation is too fast.");
	print_summary(session, "1 thread", 1, 1);
	print_summary(session, "2 threads and more", 2, ~0u);
	print_summary(session, "all", 1, ~0u);
}

/* ---- what a missed row depends on ---- */

static const char *const suspect[] = {
	"block_ns", "access_ns", "mispredict_ns", "l1_ns", "l2_ns", "l3_ns", "atomic_ns",
	"pause_ns", "read_ns.l3", "write_ns.l3", "upgrade_ns.l3", "outstanding", "window",
};
enum { SUSPECTS = sizeof(suspect) / sizeof(suspect[0]), SHOWN = 4 };

static void print_suspects(const struct session *session, unsigned i, struct clv_trial *trial)
{
	const struct group *group = &session->group[i];
	double base = session->trial[i].ops_per_s;
	printf("%-22s %7u %+6.1f:", group->row->kind->name, group->row->threads,
	       100 * error_of(session, i));
	for (unsigned shown = 0; shown < SHOWN; shown++) {
		unsigned most = 0;
		double size = 0;
		for (unsigned k = 0; k < SUSPECTS; k++) {
			double change = trial[k].code ? 0 : trial[k].ops_per_s / base - 1;
			change = change < 0 ? -change : change;
			if (change > size) {
				size = change;
				most = k;
			}
		}
		if (size < 0.01)
			break;
		printf("  %s %+.0f", suspect[most], 100 * (trial[most].ops_per_s / base - 1));
		trial[most].code = -1; /* shown */
	}
	putchar('\n');
}

static int explain(struct session *session)
{
	unsigned missed[GROUPS_MAX], n = 0;
	for (unsigned i = 0; i < session->groups; i++) {
		double error = session->trial[i].code ? 0 : error_of(session, i);
		if (counts(session->group[i].row) && (error > TARGET_MEDIAN || -error > TARGET_MEDIAN))
			missed[n++] = i;
	}
	struct clv_trial *trial = n ? calloc((size_t)n * SUSPECTS, sizeof(*trial)) : NULL;
	if (!trial)
		return 0;
	for (unsigned i = 0; i < n * SUSPECTS; i++) {
		trial[i] = predict(session, &session->group[missed[i / SUSPECTS]]);
		clv_trial_tweak(&trial[i], suspect[i % SUSPECTS], 2, true);
	}
	int code = clv_validation_trials(session->validation, trial, n * SUSPECTS,
					 "what missed rows depend on");
	if (!code) {
		puts("\nRows off by more than 20 %, and what their prediction depends on: by how many "
		     "per cent\nit changes when a parameter is doubled (nothing was changed for the "
		     "table above)");
		for (unsigned i = 0; i < n; i++)
			print_suspects(session, missed[i], trial + i * SUSPECTS);
	}
	free(trial);
	return code;
}

static int run(struct session *session)
{
	int code = calibrate(session);
	if (!code)
		code = make_rows(session);
	if (!code)
		code = measure_all(session);
	if (!code)
		code = make_groups(session);
	for (unsigned i = 0; !code && i < session->groups; i++)
		session->trial[i] = predict(session, &session->group[i]);
	if (!code)
		code = clv_validation_trials(session->validation, session->trial, session->groups,
					     "predictions");
	if (code)
		return code;
	print_table(session);
	clv_validation_failed(session->trial, session->groups);
	return session->validation->quick ? 0 : explain(session);
}

int clv_validate_on_host(const struct clv_validation *validation)
{
	static struct session session;
	session = (struct session){
		.validation = validation,
		.wanted = validation->quick ? KEPT_QUICK : KEPT,
		.rounds_max = validation->quick ? 2 * KEPT_QUICK : ROUNDS_MAX,
		.window_ns = validation->quick ? 15000000 : 40000000,
		.pair_ns = validation->quick ? 5000000 : 8000000,
		.read_ns = 4000000,
	};
	int code = clv_machine_open_host(&session.host, validation->error);
	if (code)
		return code;
	if (!session.host->topology->this_machine)
		code = clv_error(validation->error, -EINVAL,
				 "only this machine can be measured: hwloc was told of another by "
				 "its environment variables");
	if (!code)
		code = run(&session);
	if (session.folder[0]) {
		char topology[160];
		snprintf(topology, sizeof(topology), "%s/here.xml", session.folder);
		unlink(session.path);
		unlink(topology);
		rmdir(session.folder);
	}
	clv_system_free(&session.told);
	free(session.row);
	session.host->close(session.host);
	return code;
}
