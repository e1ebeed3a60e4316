// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "report.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include <jansson.h>

#include "../lib/design.h"
#include "../lib/schemes/scheme.h"
#include "build_info.h"
#include "gbench.h"
#include "placement.h"

static const char *plural(unsigned count)
{
	return count == 1 ? "" : "s";
}

/* ---- the table ---- */

static const char *unit_of(double *value)
{
	static const char *const prefix[] = { "", "k", "M", "G" };
	unsigned i = 0;
	for (; *value >= 1000 && i < 3; i++)
		*value /= 1000;
	return prefix[i];
}

/* Three digits, or as many as stand before the point: "0.123", "12.3", "1234". */
static int format_number(char *out, size_t bytes, double value)
{
	int decimals = value < 0.9995 ? 3 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
	return snprintf(out, bytes, "%.*f", value > 0 ? decimals : 0, value);
}

/* "12.3M [12.1, 12.6]", the bounds in the median's unit. */
static void format_rate(char *out, size_t bytes, const struct clv_interval *interval)
{
	char median[32], low[32], high[32];
	double value = interval->median;
	const char *unit = unit_of(&value);
	double scale = interval->median > 0 ? value / interval->median : 1;
	format_number(median, sizeof(median), value);
	format_number(low, sizeof(low), interval->low * scale);
	format_number(high, sizeof(high), interval->high * scale);
	snprintf(out, bytes, "%s%s [%s, %s]", median, unit, low, high);
}

static const char *name_of(const struct clv_point *point)
{
	return point->name[0] ? point->name : point->design;
}

/* Where samples came to more than all of the time, nothing is known of the rest. */
static const char *format_outside(char *out, size_t bytes, const struct clv_time_share *share)
{
	if (share->scaled)
		snprintf(out, bytes, "?");
	else
		snprintf(out, bytes, "%.1f", 100 * share->outside);
	return out;
}

static void print_point(FILE *out, const struct clv_point *point, int width)
{
	char ops[128], execs[128] = "-";
	struct clv_time_share share;
	char outside[16];

	if (!point->valid) {
		fprintf(out, "%-*s no number: %s\n", width, name_of(point), point->why);
		return;
	}
	format_rate(ops, sizeof(ops), &point->ops_per_s.interval);
	if (point->has_execs)
		format_rate(execs, sizeof(execs), &point->execs_per_s.interval);
	fprintf(out, "%-*s %-24s %-24s", width, name_of(point), ops, execs);
	if (clv_point_time_share(point, &share))
		fprintf(out, " %5.1f %5.1f %5s", 100 * share.wait, 100 * share.inside,
			format_outside(outside, sizeof(outside), &share));
	else
		fprintf(out, " %5s %5s %5s", "-", "-", "-");
	if (point->latency->count)
		fprintf(out, " %7llu %8llu",
			(unsigned long long)clv_histogram_quantile(point->latency, 0.5),
			(unsigned long long)clv_histogram_quantile(point->latency, 0.99));
	else
		fprintf(out, " %7s %8s", "-", "-");
	fprintf(out, " %5.3f", point->jain.interval.median);
	if (point->ratio_to)
		fprintf(out, "  %.3f [%.3f, %.3f]", point->ratio.interval.median,
			point->ratio.interval.low, point->ratio.interval.high);
	fprintf(out, "%s\n", point->oversubscribed ? "  oversubscribed" : "");
}

/* "95 %": what the intervals have at least; fewer than six repetitions cannot give that. */
static const char *confidence_of(const struct clv_point *point, size_t points, char *room,
				 size_t bytes)
{
	double least = 0.95;
	for (size_t i = 0; i < points; i++) {
		if (point[i].valid && point[i].done && point[i].ops_per_s.interval.confidence < least)
			least = point[i].ops_per_s.interval.confidence;
	}
	snprintf(room, bytes, "%.0f %%", floor(100 * least + 1e-9));
	return room;
}

static void print_heading(FILE *out, int width, const char *confidence)
{
	char ops[32], execs[32];
	snprintf(ops, sizeof(ops), "ops/s [%s]", confidence);
	snprintf(execs, sizeof(execs), "execs/s [%s]", confidence);
	fprintf(out, "\n%-*s %-24s %-24s %5s %5s %5s %7s %8s %5s  x first row [%s]\n", width,
		"design", ops, execs, "wait%", "in%", "out%", "p50 ns", "p99 ns", "Jain",
		confidence);
}

void clv_report_table(FILE *out, const struct clv_settings *settings,
		      const struct clv_point *point, size_t points)
{
	char confidence[16];
	int width = 0;
	confidence_of(point, points, confidence, sizeof(confidence));
	for (size_t i = 0; i < points; i++) {
		int length = (int)strlen(name_of(&point[i]));
		width = length > width ? length : width;
	}
	for (size_t i = 0; i < points; i++) {
		if (!i || !clv_point_comparable(&point[i], &point[i - 1])) {
			unsigned threads = point[i].threads;
			bool list = isdigit((unsigned char)settings->placement[0]);
			fprintf(out, "\n%s on %s, %u thread%s, %s%s", settings->workload,
				settings->machine->name, threads, plural(threads),
				list ? "CPUs " : "", settings->placement);
			if (point[i].think_given)
				fprintf(out, ", think time %llu ns",
					(unsigned long long)point[i].think_ns);
			else if (settings->schedule_name)
				fprintf(out, ", recorded think time");
			if (settings->migrate > 0)
				fprintf(out, ", migrate %g", settings->migrate);
			print_heading(out, width, confidence);
		}
		print_point(out, &point[i], width);
	}
}

void clv_report_machine(FILE *out, const struct clv_settings *settings)
{
	const struct clv_topology *topology = settings->machine->topology;
	fprintf(out,
		"machine   %s: %s; %u package%s, %u node%s, %u L3%s, %u core%s, %u CPU%s%s\n",
		settings->machine->name, topology->name, topology->packages,
		plural(topology->packages), topology->nodes, plural(topology->nodes),
		topology->l3s, plural(topology->l3s), topology->cores, plural(topology->cores),
		topology->cpus, plural(topology->cpus),
		settings->machine->simulated ? " (simulated)" : "");
	fprintf(out,
		"method    %u repetition%s interleaved, median [interval]; warm-up %g ms, "
		"window %g ms; seed %llu; ", settings->repetitions, plural(settings->repetitions),
		(double)settings->warm_ns / 1e6, (double)settings->window_ns / 1e6,
		(unsigned long long)settings->seed);
	if (settings->sample_every)
		fprintf(out, "1 in %u batches timed\n", settings->sample_every);
	else
		fprintf(out, "no batch timed\n");
	if (settings->schedule_name)
		fprintf(out, "schedule  %s\n", settings->schedule_name);
}

/* ---- JSON ---- */

/* What a user typed need not be UTF-8, which JSON must be. */
static json_t *text_json(const char *text)
{
	json_t *string = json_string(text);
	char *copy = string ? NULL : strdup(text);
	if (!copy)
		return string;
	for (char *at = copy; *at; at++) {
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	}
	string = json_string(copy);
	free(copy);
	return string;
}

static json_t *samples_json(const struct clv_samples *samples, unsigned count)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < count; i++)
		json_array_append_new(array, json_real(samples->value[i]));
	return json_pack("{s:f, s:f, s:f, s:f, s:o}", "median", samples->interval.median, "low",
			 samples->interval.low, "high", samples->interval.high, "confidence",
			 samples->interval.confidence, "samples", array);
}

static void set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

static void add_parts(json_t *object, const struct clv_point *point)
{
	struct clv_design design;
	char partition[32];
	/* It parsed when the point was made; being canonical, it has a scheme. */
	if (clv_design_parse(&design, point->design, NULL))
		return;
	clv_partition_name(&design.partition, partition, sizeof(partition));
	const char *scheme = strchr(point->design, '/') + 1;
	const char *colon = strchr(scheme, ':');
	set(object, "design", json_string(point->design));
	set(object, "structure", json_string(design.structure->name));
	set(object, "partition", json_string(partition[0] ? partition : "none"));
	set(object, "scheme", json_stringn(scheme, strcspn(scheme, ":")));
	set(object, "lock", json_string(colon ? colon + 1 : "none"));
}

static void add_numbers(json_t *object, const struct clv_point *point)
{
	struct clv_time_share share;
	double ops = point->ops_per_s.interval.median;

	set(object, "ops_per_s", samples_json(&point->ops_per_s, point->done));
	if (point->has_execs)
		set(object, "execs_per_s", samples_json(&point->execs_per_s, point->done));
	if (point->has_walks)
		set(object, "walks_per_s", samples_json(&point->walks_per_s, point->done));
	if (ops > 0)
		set(object, "ns_per_op", json_real(1e9 * point->threads / ops));
	if (point->latency->count)
		set(object, "latency_ns",
		    json_pack("{s:I, s:I, s:I, s:I, s:I}", "p50",
			      (json_int_t)clv_histogram_quantile(point->latency, 0.5), "p99",
			      (json_int_t)clv_histogram_quantile(point->latency, 0.99), "p999",
			      (json_int_t)clv_histogram_quantile(point->latency, 0.999), "max",
			      (json_int_t)point->latency->max, "sampled",
			      (json_int_t)point->latency->count));
	if (clv_point_time_share(point, &share)) {
		set(object, "time_share",
		    json_pack("{s:f, s:f, s:f}", "wait", share.wait, "inside", share.inside,
			      "outside", share.outside));
		set(object, "time_share_scaled", json_boolean(share.scaled));
	}
	if (point->ratio_to) {
		json_t *ratio = samples_json(&point->ratio, point->done);
		set(ratio, "to", json_string(point->ratio_to->design));
		set(object, "ops_ratio", ratio);
	}
	if (point->settings->migrate > 0 && point->execs > 0)
		set(object, "migrated", json_real(point->moves / point->execs));
	set(object, "fairness_jain", json_real(point->jain.interval.median));
	if (point->bytes_per_interval > 0)
		set(object, "bytes_per_interval", json_real(point->bytes_per_interval));
}

json_t *clv_report_keeps(unsigned keeps)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < 8; i++) {
		char name[4] = { 'C', (char)('1' + i), '\0' };
		if (keeps & 1u << i)
			json_array_append_new(array, json_string(name));
	}
	return array;
}

static json_t *provenance_json(const struct clv_point *point)
{
	const struct clv_settings *settings = point->settings;
	struct utsname system;
	char when[32];
	time_t now = time(NULL);
	struct tm utc;

	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	json_t *cpus = json_array();
	for (unsigned i = 0; i < point->threads; i++)
		json_array_append_new(cpus, json_integer(point->cpu_os[i]));
	json_t *object = json_pack(
		"{s:s, s:s, s:s, s:s, s:o, s:s, s:o, s:I, s:f, s:f, s:I, s:I}", "version",
		cleave_version(), "commit", CLV_BUILD_COMMIT, "compiler", CLV_BUILD_COMPILER, "flags",
		CLV_BUILD_FLAGS, "processor", text_json(settings->machine->topology->name), "time",
		when,
		"cpus", cpus, "repetitions", (json_int_t)settings->repetitions, "warm_up_ms",
		(double)settings->warm_ns / 1e6, "window_ms", (double)settings->window_ns / 1e6,
		"sample_every", (json_int_t)settings->sample_every, "checked_ops",
		(json_int_t)point->checked_ops);
	if (settings->sample_every && point->valid)
		set(object, "clock_ns", json_integer((json_int_t)point->clock_ns));
	set(object, "windows_missed", json_integer(point->missed));
	set(object, "benchmark_library", json_string(clv_gbench_version()));
	if (!settings->machine->simulated && !uname(&system))
		set(object, "kernel", json_string(system.release));
	if (settings->schedule_name) {
		set(object, "schedule", text_json(settings->schedule_name));
		set(object, "resting_copies",
		    json_integer(settings->migrate > 0 ? point->threads : 0));
	}
	return object;
}

static json_t *point_json(const struct clv_point *point)
{
	const struct clv_settings *settings = point->settings;
	json_t *object = json_object();

	if (point->name[0])
		set(object, "name", json_string(point->name));
	add_parts(object, point);
	set(object, "workload", json_string(settings->workload));
	set(object, "machine", json_string(settings->machine->name));
	set(object, "simulated", json_boolean(settings->machine->simulated));
	set(object, "threads", json_integer(point->threads));
	set(object, "placement", json_string(settings->placement));
	set(object, "population", json_integer((json_int_t)settings->population));
	set(object, "walks", json_real(settings->walks));
	if (point->think_given)
		set(object, "think_ns", json_integer((json_int_t)point->think_ns));
	else if (settings->schedule_name)
		set(object, "think_ns", json_string("recorded"));
	if (settings->schedule_name)
		set(object, "migrate", json_real(settings->migrate));
	if (settings->other_lock_ns)
		set(object, "other_lock_ns", json_integer((json_int_t)settings->other_lock_ns));
	set(object, "seed", json_integer((json_int_t)settings->seed));
	set(object, "valid", json_boolean(point->valid));
	if (!point->valid)
		set(object, "why", json_string(point->why));
	if (point->valid && point->done) {
		set(object, "keeps", clv_report_keeps(point->keeps));
		set(object, "subsets", json_integer(point->subsets));
		add_numbers(object, point);
	}
	if (point->oversubscribed)
		set(object, "label", json_string("oversubscribed"));
	set(object, "provenance", provenance_json(point));
	return object;
}

/* Numbers of threads from which on the placement uses more of the machine. */
static json_t *boundaries_json(const struct clv_settings *settings)
{
	const struct clv_topology *topology = settings->machine->topology;
	unsigned char *first = calloc(topology->cpus, sizeof(*first));
	json_t *nodes = json_array(), *packages = json_array();
	json_t *object = json_pack("{s:s, s:o, s:o}", "placement", settings->placement, "nodes",
				   nodes, "packages", packages);

	if (object && first &&
	    !clv_placement_firsts(topology, settings->placement, first, NULL)) {
		for (unsigned i = 0; i < topology->cpus; i++) {
			if (first[i] & CLV_FIRST_OF_NODE)
				json_array_append_new(nodes, json_integer(i + 1));
			if (first[i] & CLV_FIRST_OF_PACKAGE)
				json_array_append_new(packages, json_integer(i + 1));
			if (first[i] & CLV_FIRST_SIBLING)
				set(object, "siblings", json_integer(i + 1));
		}
	}
	free(first);
	return object;
}

char *clv_report_json(const struct clv_settings *settings, const struct clv_point *point,
		      size_t points, const char *command)
{
	const struct clv_topology *topology = settings->machine->topology;
	json_t *array = json_array();
	for (size_t i = 0; i < points; i++)
		json_array_append_new(array, point_json(&point[i]));
	json_t *root = json_pack(
		"{s:s, s:i, s:o, s:{s:s, s:o, s:b, s:i, s:i, s:i, s:i, s:i, s:o}, s:o}", "format",
		"cleave-results", "format_version", 1, "command", text_json(command), "machine",
		"name", settings->machine->name, "processor", text_json(topology->name), "simulated",
		(int)settings->machine->simulated, "packages", (int)topology->packages, "nodes",
		(int)topology->nodes, "l3s", (int)topology->l3s, "cores", (int)topology->cores,
		"cpus", (int)topology->cpus, "boundaries", boundaries_json(settings), "results",
		array);
	if (!root)
		return NULL;
	char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
	json_decref(root);
	return text;
}
