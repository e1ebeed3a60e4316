// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "report.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

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

int clv_format_number(char *out, size_t bytes, double value)
{
	int decimals = value < 0.9995 ? 3 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
	return snprintf(out, bytes, "%.*f", value > 0 ? decimals : 0, value);
}

void clv_format_rate(char *out, size_t bytes, const struct clv_interval *interval)
{
	char median[32], low[32], high[32];
	double value = interval->median;
	const char *unit = unit_of(&value);
	double scale = interval->median > 0 ? value / interval->median : 1;
	clv_format_number(median, sizeof(median), value);
	if (interval->confidence <= 0) {
		snprintf(out, bytes, "%s%s", median, unit);
		return;
	}
	clv_format_number(low, sizeof(low), interval->low * scale);
	clv_format_number(high, sizeof(high), interval->high * scale);
	snprintf(out, bytes, "%s%s [%s, %s]", median, unit, low, high);
}

const char *clv_point_title(const struct clv_point *point)
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

void clv_report_ratio(FILE *out, const struct clv_point *point, int decimals)
{
	const struct clv_interval *interval = &point->ratio.interval;
	if (!point->ratio_to)
		return;
	fprintf(out, "  %.*f", decimals, interval->median);
	if (interval->confidence > 0)
		fprintf(out, " [%.*f, %.*f]", decimals, interval->low, decimals, interval->high);
}

void clv_report_jain(FILE *out, const struct clv_point *point)
{
	/* In a storm it would say who was allowed to run. */
	if (clv_settings_storm(point->settings))
		fprintf(out, " %5s", "-");
	else
		fprintf(out, " %5.3f", point->jain.interval.median);
}

static void print_point(FILE *out, const struct clv_point *point, int width)
{
	char ops[128], execs[128] = "-";
	struct clv_time_share share;
	char outside[16];

	if (!point->valid) {
		fprintf(out, "%-*s no number: %s\n", width, clv_point_title(point), point->why);
		return;
	}
	if (point->findings) {
		clv_simulated_row(out, point, width);
		return;
	}
	clv_format_rate(ops, sizeof(ops), &point->ops_per_s.interval);
	if (point->has_execs)
		clv_format_rate(execs, sizeof(execs), &point->execs_per_s.interval);
	fprintf(out, "%-*s %-24s %-24s", width, clv_point_title(point), ops, execs);
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
	clv_report_jain(out, point);
	clv_report_ratio(out, point, 3);
	fprintf(out, "%s\n", point->oversubscribed ? "  oversubscribed" : "");
}

/*
 * " [95 %]": what the intervals have at least; fewer than six repetitions cannot give that. Nothing
 * where there is no interval: of one repetition, or of no valid point.
 */
static const char *confidence_of(const struct clv_point *point, size_t points, char *room,
				 size_t bytes)
{
	double least = 0.95;
	bool any = false;
	for (size_t i = 0; i < points; i++) {
		if (!point[i].valid || !point[i].done)
			continue;
		any = true;
		least = fmin(least, point[i].ops_per_s.interval.confidence);
	}
	*room = '\0';
	if (any && least > 0)
		snprintf(room, bytes, " [%.0f %%]", floor(100 * least + 1e-9));
	return room;
}

static void print_heading(FILE *out, const struct clv_settings *settings, int width,
			  const char *confidence)
{
	char ops[32], execs[32];
	if (settings->machine->simulated) {
		clv_simulated_heading(out, settings, width, confidence);
		return;
	}
	snprintf(ops, sizeof(ops), "ops/s%s", confidence);
	snprintf(execs, sizeof(execs), "execs/s%s", confidence);
	fprintf(out, "\n%-*s %-24s %-24s %5s %5s %5s %7s %8s %5s  x first row%s\n", width,
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
		int length = (int)strlen(clv_point_title(&point[i]));
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
			if (clv_settings_storm(settings))
				fprintf(out, ", storm %g-%g ms, else %u",
					(double)settings->course->storm.from_ns / 1e6,
					(double)settings->course->storm.to_ns / 1e6,
					settings->course->storm.quiet);
			for (unsigned k = 0; k < settings->changes; k++)
				fprintf(out, ", %s %.10g", settings->change[k].parameter,
					settings->change[k].value);
			print_heading(out, settings, width, confidence);
		}
		print_point(out, &point[i], width);
	}
}

static void print_counts(FILE *out, const struct clv_topology *topology)
{
	fprintf(out, "%u package%s, %u node%s, %u L3%s, %u core%s, %u CPU%s", topology->packages,
		plural(topology->packages), topology->nodes, plural(topology->nodes),
		topology->l3s, plural(topology->l3s), topology->cores, plural(topology->cores),
		topology->cpus, plural(topology->cpus));
}

static void print_storm(FILE *out, const struct clv_settings *settings)
{
	const struct clv_storm *storm = &settings->course->storm;
	fprintf(out,
		"storm     for %g of the window's %g ms: ops/s, x first and the shares of time are\n"
		"          of all of it and of all threads, those that sleep among them, so they\n"
		"          depend on its length; fairness is not told. By time: --every-us\n",
		(double)(storm->to_ns - storm->from_ns) / 1e6, (double)settings->window_ns / 1e6);
}

void clv_report_machine(FILE *out, const struct clv_settings *settings)
{
	const struct clv_topology *topology = settings->machine->topology;
	bool simulated = settings->machine->simulated;
	if (simulated) {
		fprintf(out, "machine   %s (simulated): ", settings->machine->name);
		print_counts(out, topology);
		clv_simulated_identity(out, settings);
	} else {
		fprintf(out, "machine   %s: %s; ", settings->machine->name, topology->name);
		print_counts(out, topology);
	}
	fprintf(out, "\nmethod    %u repetition%s%s%s; ", settings->repetitions,
		plural(settings->repetitions), simulated ? "" : " interleaved",
		settings->repetitions > 1 ? ", median [interval]" : "");
	if (!simulated)
		fprintf(out, "warm-up %g ms, window %g ms; ", (double)settings->warm_ns / 1e6,
			(double)settings->window_ns / 1e6);
	fprintf(out, "seed %llu; ", (unsigned long long)settings->seed);
	if (!settings->sample_every)
		fprintf(out, "no batch timed\n");
	else
		/* What a simulated machine's table has of times is of all acquisitions. */
		fprintf(out, simulated ? "latencies are of 1 in %u batches\n" :
					 "1 in %u batches timed\n", settings->sample_every);
	if (simulated)
		clv_simulated_window(out, settings);
	if (clv_settings_storm(settings))
		print_storm(out, settings);
	if (settings->schedule_name)
		fprintf(out, "schedule  %s\n", settings->schedule_name);
}
