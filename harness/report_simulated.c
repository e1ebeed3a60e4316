// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What a simulated machine adds to the table and to the JSON.
 */
#include "report.h"

#include <string.h>

enum { LINES_SHOWN = 5 };

static const char *const distance_name[CLV_DISTANCES] = { "core", "l3", "node", "package",
							  "remote" };

/* ---- the table ---- */

void clv_simulated_identity(FILE *out, const struct clv_settings *settings)
{
	const struct clv_model *model = clv_simulated_model(settings->machine);
	fprintf(out, "\nmodel     revision %u, digest %s%s\ntopology  %s", model->revision,
		model->digest, settings->changes ? " (changed)" : "",
		settings->machine->topology->name);
}

/* In words what simulated.h says of a run's end. */
void clv_simulated_window(FILE *out, const struct clv_settings *settings)
{
	uint64_t budget = settings->simulated.budget;
	if (settings->course) {
		fprintf(out, "window    %g ms after %g ms; short: %g million accesses came before its "
			"end\n", (double)settings->window_ns / 1e6, (double)settings->warm_ns / 1e6,
			(double)(budget ? budget : CLV_BUDGET) / 1e6);
		return;
	}
	const char *or_waits = "(0.1 ms and 20 times the longest wait, if that is below 20 us)";
	fprintf(out, "window    after two %s of each thread",
		settings->schedule ? "execs" : "batches");
	if (settings->warm_ns)
		fprintf(out, " and %g ms", (double)settings->warm_ns / 1e6);
	fprintf(out,
		": %g ms %s, and\n"
		"          %s100,000 acquisitions, and on until the throughput's 95 %% interval is "
		"within 3 %%;\n"
		"          short: %g million accesses came before that\n",
		(double)settings->window_ns / 1e6, or_waits,
		settings->schedule ? "3 execs of each thread or " : "",
		(double)(budget ? budget : CLV_BUDGET) / 1e6);
}

void clv_simulated_heading(FILE *out, const struct clv_settings *settings, int width,
			   const char *confidence)
{
	char ops[32], ratio[32];
	snprintf(ops, sizeof(ops), "ops/s%s", confidence);
	snprintf(ratio, sizeof(ratio), "x first%s", confidence);
	int before = width + 19 + (settings->schedule ? 8 : 0);
	fprintf(out, "\n%*s %23s %17s %17s\n", before, "", "share of all time", "us of a lock",
		"lines moved");
	fprintf(out, "%-*s %-18s", width, "design", ops);
	if (settings->schedule)
		fprintf(out, " %7s", "execs/s");
	fprintf(out, " %5s %5s %5s %5s %5s %5s %5s %5s %5s %5s %5s  %s\n", "wait%", "hand%",
		"in%", "out%", "hold", "mean", "hand", "L3", "node", "far", "Jain", ratio);
}

static double per(double sum, uint64_t count)
{
	return count ? sum / (double)count : 0;
}

/* "12.3", at most 5 wide up to 99999. */
static void print_short(FILE *out, bool known, double value)
{
	char text[32] = "-";
	if (known)
		clv_format_number(text, sizeof(text), value);
	fprintf(out, " %5s", text);
}

void clv_simulated_row(FILE *out, const struct clv_point *point, int width)
{
	static const enum clv_where where[] = { CLV_WAIT, CLV_HANDOVER, CLV_INSIDE, CLV_OUTSIDE };
	const struct clv_findings *findings = point->findings;
	const struct clv_account *account = &findings->account;
	char text[128] = "-";
	clv_format_rate(text, sizeof(text), &point->ops_per_s.interval);
	fprintf(out, "%-*s %-18s", width, clv_point_title(point), text);
	if (point->settings->schedule) {
		snprintf(text, sizeof(text), "-");
		if (point->has_execs)
			clv_format_rate(text, sizeof(text), &point->execs_per_s.interval);
		/* Its interval says no more than that of the operations. */
		fprintf(out, " %7.*s", (int)strcspn(text, " "), text);
	}
	for (unsigned i = 0; i < CLV_WHERES; i++)
		fprintf(out, " %5.1f", 100 * clv_findings_share(findings, where[i]));
	uint64_t holds = account->hold_ns.count, handovers = account->handover_ns.count;
	print_short(out, holds,
		    holds ? (double)clv_histogram_quantile(&account->hold_ns, 0.5) / 1e3 : 0);
	print_short(out, holds, per((double)account->hold_ps / 1e6, holds));
	print_short(out, handovers, per((double)account->handover_ps / 1e6, handovers));
	print_short(out, account->acquisitions,
		    clv_findings_transfers(findings, CLV_DIST_CORE, CLV_DIST_L3));
	print_short(out, account->acquisitions,
		    clv_findings_transfers(findings, CLV_DIST_NODE, CLV_DIST_NODE));
	print_short(out, account->acquisitions,
		    clv_findings_transfers(findings, CLV_DIST_PACKAGE, CLV_DIST_REMOTE));
	clv_report_jain(out, point);
	clv_report_ratio(out, point, 2);
	fprintf(out, "%s\n", findings->shorts ? "  short" : "");
}

void clv_report_lines(FILE *out, const struct clv_point *point, size_t points)
{
	for (size_t i = 0; i < points; i++) {
		const struct clv_findings *findings = point[i].findings;
		if (!point[i].valid || !findings || !findings->lines)
			continue;
		uint64_t acquisitions = findings->account.acquisitions;
		uint64_t by = acquisitions ? acquisitions : 1;
		fprintf(out, "\n%6s %10s %6s %8s  costliest cache lines of %s, %u thread%s\n",
			"lines", acquisitions ? "moves/lock" : "moves", "far%",
			acquisitions ? "ns/lock" : "us", clv_point_title(&point[i]),
			point[i].threads, point[i].threads == 1 ? "" : "s");
		for (unsigned k = 0; k < findings->lines && k < LINES_SHOWN; k++) {
			const struct clv_account_line *line = &findings->line[k];
			fprintf(out, "%6u %10.3f %6.1f %8.1f  %s\n", line->lines,
				per((double)line->transfers, by),
				100 * per((double)line->far, line->transfers),
				per((double)line->ps / (acquisitions ? 1e3 : 1e6), by), line->name);
		}
	}
}

/* ---- JSON ---- */

static void set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

static json_t *times_json(double sum_ps, const struct clv_histogram *histogram)
{
	return json_pack("{s:f, s:I, s:I}", "mean", per(sum_ps / 1e3, histogram->count), "p50",
			 (json_int_t)clv_histogram_quantile(histogram, 0.5), "p99",
			 (json_int_t)clv_histogram_quantile(histogram, 0.99));
}

static json_t *acquisition_json(const struct clv_account *account)
{
	json_t *object = json_pack("{s:I, s:I, s:f}", "count", (json_int_t)account->acquisitions,
				   "shared", (json_int_t)account->shared, "contended_share",
				   per((double)account->contended, account->acquisitions));
	if (account->hold_ns.count)
		set(object, "hold_ns", times_json((double)account->hold_ps, &account->hold_ns));
	if (account->handover_ns.count)
		set(object, "handover_ns",
		    times_json((double)account->handover_ps, &account->handover_ns));
	if (account->wait_ns.count)
		set(object, "wait_ns", times_json((double)account->wait_ps, &account->wait_ns));
	return object;
}

/* By distance. */
static json_t *counts_json(const uint64_t *count, uint64_t acquisitions)
{
	json_t *object = json_object();
	for (unsigned i = 0; i < CLV_DISTANCES; i++)
		set(object, distance_name[i], json_real(per((double)count[i], acquisitions)));
	return object;
}

static json_t *transfers_json(const struct clv_account *account, bool inside)
{
	return json_pack("{s:o, s:o, s:o}", "read",
			 counts_json(account->count[inside][CLV_LEVEL_READ], account->acquisitions),
			 "write",
			 counts_json(account->count[inside][CLV_LEVEL_WRITE], account->acquisitions),
			 "upgrade",
			 counts_json(account->count[inside][CLV_LEVEL_UPGRADE],
				     account->acquisitions));
}

/* Of whatever kind, under a lock or not: what there is to tell for designs without locks, too. */
static json_t *transfers_per_op_json(const struct clv_findings *findings)
{
	const struct clv_account *account = &findings->account;
	json_t *object = json_object();
	double all = 0;
	for (unsigned i = 0; i < CLV_DISTANCES; i++) {
		uint64_t sum = 0;
		for (unsigned level = CLV_LEVEL_READ; level < CLV_LEVELS; level++)
			sum += account->count[true][level][i] + account->count[false][level][i];
		double moved = per((double)sum, findings->window_ops);
		all += moved;
		set(object, distance_name[i], json_real(moved));
	}
	set(object, "all", json_real(all));
	return object;
}

static double level_ns(const struct clv_account *account, enum clv_level level)
{
	double sum_ps = 0;
	for (unsigned i = 0; i < CLV_DISTANCES; i++)
		sum_ps += (double)account->ps[true][level][i];
	return per(sum_ps / 1e3, account->acquisitions);
}

static json_t *inside_json(const struct clv_account *account)
{
	json_t *memory = json_object(), *transfer = json_object();
	for (unsigned i = 0; i < CLV_DISTANCES; i++) {
		double sum_ps = 0;
		for (unsigned level = CLV_LEVEL_READ; level < CLV_LEVELS; level++)
			sum_ps += (double)account->ps[true][level][i];
		set(transfer, distance_name[i],
		    json_real(per(sum_ps / 1e3, account->acquisitions)));
		if (i >= CLV_DIST_NODE)
			set(memory, distance_name[i],
			    json_real(per((double)account->ps[true][CLV_LEVEL_MEMORY][i] / 1e3,
					  account->acquisitions)));
	}
	return json_pack("{s:f, s:f, s:o, s:o}", "l2", level_ns(account, CLV_LEVEL_L2), "l3",
			 level_ns(account, CLV_LEVEL_L3), "memory", memory, "transfer", transfer);
}

static json_t *lines_json(const struct clv_findings *findings)
{
	json_t *array = json_array();
	uint64_t acquisitions = findings->account.acquisitions;
	for (unsigned i = 0; i < findings->lines; i++) {
		const struct clv_account_line *line = &findings->line[i];
		json_t *object = json_pack("{s:s, s:I, s:I, s:f}", "name", line->name, "lines",
					   (json_int_t)line->lines, "transfers",
					   (json_int_t)line->transfers, "far_share",
					   per((double)line->far, line->transfers));
		if (acquisitions)
			set(object, "ns_per_acquisition",
			    json_real(per((double)line->ps / 1e3, acquisitions)));
		json_array_append_new(array, object);
	}
	return array;
}

void clv_findings_json(json_t *object, const struct clv_findings *findings, bool storm)
{
	const struct clv_account *account = &findings->account;
	double slowest, fastest;
	set(object, "time_share",
	    json_pack("{s:f, s:f, s:f, s:f}", "wait", clv_findings_share(findings, CLV_WAIT),
		      "handover", clv_findings_share(findings, CLV_HANDOVER), "inside",
		      clv_findings_share(findings, CLV_INSIDE), "outside",
		      clv_findings_share(findings, CLV_OUTSIDE)));
	set(object, "time_share_scaled", json_false());
	if (account->acquisitions) {
		set(object, "acquisition", acquisition_json(account));
		set(object, "transfers_per_acquisition",
		    json_pack("{s:o, s:o}", "inside", transfers_json(account, true), "outside",
			      transfers_json(account, false)));
		set(object, "inside_ns", inside_json(account));
	}
	if (findings->window_ops) {
		set(object, "transfers_per_op", transfers_per_op_json(findings));
		set(object, "accesses_per_op",
		    json_real(per((double)findings->window_accesses, findings->window_ops)));
	}
	set(object, "contended_lines", lines_json(findings));
	if (!storm && clv_findings_nodes(findings, &slowest, &fastest) && fastest > 0)
		set(object, "fairness_by_node",
		    json_pack("{s:f, s:f, s:f}", "slowest", slowest, "fastest", fastest, "ratio",
			      slowest / fastest));
	if (findings->half_width >= 0)
		set(object, "half_width", json_real(findings->half_width));
}

void clv_findings_provenance(json_t *object, const struct clv_settings *settings,
			     const struct clv_findings *findings)
{
	uint64_t budget = settings->simulated.budget;
	set(object, "budget", json_integer((json_int_t)(budget ? budget : CLV_BUDGET)));
	set(object, "run_ahead_ns",
	    json_real((double)settings->simulated.run_ahead_ps / 1e3));
	set(object, "virtual_ms", json_real((double)findings->virtual_ps / 1e9));
	set(object, "accesses", json_integer((json_int_t)findings->accesses));
	set(object, "short_repetitions", json_integer(findings->shorts));
	set(object, "jobs", json_integer(settings->jobs));
	set(object, "host_s", json_real(findings->host_s));
}

static const struct clv_change *change_of(const struct clv_settings *settings, const char *name)
{
	for (unsigned i = 0; i < settings->changes; i++) {
		if (!strcmp(settings->change[i].parameter, name))
			return &settings->change[i];
	}
	return NULL;
}

void clv_model_json(json_t *object, const struct clv_settings *settings)
{
	const struct clv_model *model = clv_simulated_model(settings->machine);
	const struct clv_parameter *parameter;
	json_t *parameters = json_object(), *changed = json_object();
	for (unsigned i = 0; (parameter = clv_parameter_at(i)); i++) {
		const struct clv_change *change = change_of(settings, parameter->name);
		const char *source =
			change ? "--set" : clv_model_source(model, parameter->name);
		double value = clv_model_get(model, parameter);
		set(parameters, parameter->name,
		    json_pack("{s:f, s:s, s:s}", "value", value, "unit", parameter->unit, "source",
			      source));
		if (change)
			set(changed, parameter->name,
			    json_pack("{s:f, s:f}", "was", change->was, "value", value));
	}
	set(object, "model_revision", json_integer(model->revision));
	set(object, "model_digest", json_string(model->digest));
	set(object, "topology", json_string(settings->machine->topology->name));
	set(object, "parameters", parameters);
	set(object, "changed", changed);
}
