// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The JSON of a run: docs/results.md. */
#include "report.h"

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
	const struct clv_interval *interval = &samples->interval;
	if (interval->confidence <= 0)
		return json_pack("{s:f, s:o}", "median", interval->median, "samples", array);
	return json_pack("{s:f, s:f, s:f, s:f, s:o}", "median", interval->median, "low",
			 interval->low, "high", interval->high, "confidence", interval->confidence,
			 "samples", array);
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
	bool storm = clv_settings_storm(point->settings);

	set(object, "ops_per_s", samples_json(&point->ops_per_s, point->done));
	if (point->has_execs)
		set(object, "execs_per_s", samples_json(&point->execs_per_s, point->done));
	if (point->has_walks)
		set(object, "walks_per_s", samples_json(&point->walks_per_s, point->done));
	if (ops > 0 && !storm)
		set(object, "ns_per_op", json_real(1e9 * point->threads / ops));
	if (point->latency->count)
		set(object, "latency_ns",
		    json_pack("{s:I, s:I, s:I, s:I, s:I}", "p50",
			      (json_int_t)clv_histogram_quantile(point->latency, 0.5), "p99",
			      (json_int_t)clv_histogram_quantile(point->latency, 0.99), "p999",
			      (json_int_t)clv_histogram_quantile(point->latency, 0.999), "max",
			      (json_int_t)point->latency->max, "sampled",
			      (json_int_t)point->latency->count));
	if (point->findings) {
		clv_findings_json(object, point->findings, storm);
	} else if (clv_point_time_share(point, &share)) {
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
	if (!storm)
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
		"{s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:f, s:f, s:I, s:I}", "version",
		cleave_version(), "commit", CLV_BUILD_COMMIT, "compiler", CLV_BUILD_COMPILER, "flags",
		CLV_BUILD_FLAGS, "time", when, "cpus", cpus, "repetitions",
		(json_int_t)settings->repetitions, "warm_up_ms", (double)settings->warm_ns / 1e6,
		"window_ms", (double)settings->window_ns / 1e6, "sample_every",
		(json_int_t)settings->sample_every, "checked_ops", (json_int_t)point->checked_ops);
	if (settings->sample_every && point->valid)
		set(object, "clock_ns", json_integer((json_int_t)point->clock_ns));
	set(object, "windows_missed", json_integer(point->missed));
	set(object, "benchmark_library", json_string(clv_gbench_version()));
	if (!settings->machine->simulated) {
		set(object, "processor", text_json(settings->machine->topology->name));
		if (!uname(&system))
			set(object, "kernel", json_string(system.release));
	}
	if (point->findings)
		clv_findings_provenance(object, settings, point->findings);
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
	clv_storm_json(object, settings);
	set(object, "seed", json_integer((json_int_t)settings->seed));
	set(object, "valid", json_boolean(point->valid));
	if (!point->valid)
		set(object, "why", json_string(point->why));
	if (point->valid && point->done) {
		set(object, "keeps", clv_report_keeps(point->keeps));
		set(object, "subsets", json_integer(point->subsets));
		add_numbers(object, point);
		clv_course_json(object, point);
	}
	if (point->oversubscribed)
		set(object, "label", json_string("oversubscribed"));
	else if (point->valid && point->findings && point->findings->shorts)
		set(object, "label", json_string("short"));
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
	json_t *machine = json_pack(
		"{s:s, s:b, s:i, s:i, s:i, s:i, s:i, s:o}", "name", settings->machine->name,
		"simulated", (int)settings->machine->simulated, "packages",
		(int)topology->packages, "nodes", (int)topology->nodes, "l3s",
		(int)topology->l3s, "cores", (int)topology->cores, "cpus", (int)topology->cpus,
		"boundaries", boundaries_json(settings));
	if (machine && settings->machine->simulated)
		clv_model_json(machine, settings);
	else if (machine)
		set(machine, "processor", text_json(topology->name));
	json_t *root = json_pack("{s:s, s:i, s:o, s:o, s:o}", "format", "cleave-results",
				 "format_version", 1, "command", text_json(command), "machine",
				 machine, "results", array);
	if (!root)
		return NULL;
	char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
	json_decref(root);
	return text;
}
