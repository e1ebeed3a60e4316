// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "findings.h"

#include <stdlib.h>
#include <string.h>

#include "runner.h"

struct clv_findings *clv_findings_new(unsigned nodes)
{
	struct clv_findings *findings = calloc(1, sizeof(*findings));
	if (!findings)
		return NULL;
	findings->nodes = nodes;
	findings->node_rate = calloc(nodes, sizeof(*findings->node_rate));
	findings->node_threads = calloc(nodes, sizeof(*findings->node_threads));
	if (!findings->node_rate || !findings->node_threads) {
		clv_findings_free(findings);
		return NULL;
	}
	return findings;
}

void clv_findings_free(struct clv_findings *findings)
{
	if (!findings)
		return;
	free(findings->node_rate);
	free(findings->node_threads);
	free(findings);
}

/* ---- adding up ---- */

static void add_account(struct clv_account *into, const struct clv_account *from)
{
	into->cpus = from->cpus;
	for (unsigned i = 0; i < CLV_WHERES; i++)
		into->time_ps[i] += from->time_ps[i];
	into->acquisitions += from->acquisitions;
	into->contended += from->contended;
	into->shared += from->shared;
	clv_histogram_merge(&into->handover_ns, &from->handover_ns);
	clv_histogram_merge(&into->hold_ns, &from->hold_ns);
	clv_histogram_merge(&into->wait_ns, &from->wait_ns);
	into->handover_ps += from->handover_ps;
	into->hold_ps += from->hold_ps;
	into->wait_ps += from->wait_ps;
	for (unsigned inside = 0; inside < 2; inside++) {
		for (unsigned level = 0; level < CLV_LEVELS; level++) {
			for (unsigned i = 0; i < CLV_DISTANCES; i++) {
				into->count[inside][level][i] += from->count[inside][level][i];
				into->ps[inside][level][i] += from->ps[inside][level][i];
			}
		}
	}
}

static int by_cost(const void *a, const void *b)
{
	const struct clv_account_line *x = a, *y = b;
	if (x->ps != y->ps)
		return x->ps < y->ps ? 1 : -1;
	return strcmp(x->name, y->name);
}

/* Of each repetition the costliest names are known; what is costly in one is in the others. */
static void add_lines(struct clv_findings *findings, const struct clv_simulated_report *report)
{
	struct clv_account_line all[2 * CLV_REPORT_LINES];
	unsigned count = findings->lines;
	memcpy(all, findings->line, count * sizeof(*all));
	for (unsigned i = 0; i < report->lines; i++) {
		const struct clv_account_line *line = &report->line[i];
		unsigned at = 0;
		while (at < count && strcmp(all[at].name, line->name))
			at++;
		if (at == count) {
			all[count++] = *line;
			continue;
		}
		all[at].transfers += line->transfers;
		all[at].far += line->far;
		all[at].ps += line->ps;
		if (line->lines > all[at].lines)
			all[at].lines = line->lines;
	}
	qsort(all, count, sizeof(*all), by_cost);
	findings->lines = count < CLV_REPORT_LINES ? count : CLV_REPORT_LINES;
	memcpy(findings->line, all, findings->lines * sizeof(*all));
}

void clv_findings_add(struct clv_findings *findings, const struct clv_simulated_report *report,
		      const struct clv_point *point, const double *rate, double host_s)
{
	const struct clv_topology *topology = point->settings->machine->topology;
	double width = report->half_width;
	if (!findings->repetitions++ || width < 0 ||
	    (findings->half_width >= 0 && width > findings->half_width))
		findings->half_width = width;
	findings->shorts += report->is_short;
	findings->virtual_ps += report->virtual_ps;
	findings->window_ops += report->window_ops;
	findings->window_accesses += report->window_accesses;
	findings->accesses += report->accesses;
	findings->host_s += host_s;
	add_account(&findings->account, &report->account);
	add_lines(findings, report);
	for (unsigned i = 0; i < point->threads; i++) {
		unsigned node = topology->cpu[point->cpu_index[i]].node;
		findings->node_rate[node] += rate[i];
		findings->node_threads[node]++;
	}
}

/* ---- what follows from it ---- */

double clv_findings_share(const struct clv_findings *findings, enum clv_where where)
{
	double sum = 0;
	for (unsigned i = 0; i < CLV_WHERES; i++)
		sum += (double)findings->account.time_ps[i];
	return sum > 0 ? (double)findings->account.time_ps[where] / sum : 0;
}

double clv_findings_transfers(const struct clv_findings *findings, enum clv_distance from,
			      enum clv_distance to)
{
	const struct clv_account *account = &findings->account;
	uint64_t sum = 0;
	for (unsigned inside = 0; inside < 2; inside++) {
		for (unsigned level = CLV_LEVEL_READ; level < CLV_LEVELS; level++) {
			for (unsigned i = from; i <= to; i++)
				sum += account->count[inside][level][i];
		}
	}
	return account->acquisitions ? (double)sum / (double)account->acquisitions : 0;
}

bool clv_findings_nodes(const struct clv_findings *findings, double *slowest, double *fastest)
{
	bool any = false;
	for (unsigned i = 0; i < findings->nodes; i++) {
		if (!findings->node_threads[i])
			continue;
		double mean = findings->node_rate[i] / findings->node_threads[i];
		*slowest = !any || mean < *slowest ? mean : *slowest;
		*fastest = !any || mean > *fastest ? mean : *fastest;
		any = true;
	}
	return any;
}
