// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A run over time: a line for each slice of the window, and between them the maps' changes of phase;
 * and the same for the JSON.
 */
#include "report.h"

#include <math.h>
#include <string.h>

#include "workloads/schedule.h"

enum { BAR = 24, CHANGES_SHOWN = 8 };

/* ---- what a slice comes to; NAN: not known ---- */

struct figures {
	double ops_per_s, execs_per_s, walks_per_s;
	double wait, handover, inside, outside; /* shares of the threads' time */
	double hold_ns, hold_longest_ns, wait_ns;
	double walk_wait_longest_ns;
	double allocated_bytes;
};

static double ratio(double of, double to)
{
	return to > 0 ? of / to : NAN;
}

static double seconds_of(const struct clv_course *course, unsigned i)
{
	return (double)clv_course_slice_ns(course->window_ns, course->every_ns, i) / 1e9;
}

/* Each sampled batch stands for batches / sampled of them. */
static void sampled_figures(struct figures *figures, const struct clv_slice *slice, double seconds,
			    unsigned threads)
{
	double sampled = (double)slice->sampled, batches = (double)slice->batches;
	figures->handover = figures->outside = figures->hold_longest_ns =
		figures->allocated_bytes = NAN;
	figures->hold_ns = ratio((double)slice->sampled_hold_ns, sampled);
	figures->wait_ns = ratio((double)slice->sampled_wait_ns, sampled);
	figures->wait = fmin(1, figures->wait_ns * batches / (seconds * 1e9 * threads));
	figures->inside = fmin(1, figures->hold_ns * batches / (seconds * 1e9 * threads));
	if (slice->sampled)
		return;
	figures->wait = figures->inside = NAN;
}

static void exact_figures(struct figures *figures, const struct clv_slice_exact *exact)
{
	double all = (double)(exact->outside_ps + exact->wait_ps + exact->handover_ps +
			      exact->inside_ps);
	figures->wait = ratio((double)exact->wait_ps, all);
	figures->handover = ratio((double)exact->handover_ps, all);
	figures->inside = ratio((double)exact->inside_ps, all);
	figures->outside = ratio((double)exact->outside_ps, all);
	figures->hold_ns = ratio((double)exact->hold_ps / 1e3, (double)exact->holds);
	figures->wait_ns = ratio((double)exact->lock_wait_ps / 1e3, (double)exact->lock_waits);
	figures->hold_longest_ns = exact->holds ? (double)exact->hold_longest_ps / 1e3 : NAN;
	figures->allocated_bytes = (double)exact->allocated_bytes;
}

static struct figures figures_of(const struct clv_point *point, unsigned i)
{
	const struct clv_course *course = point->course;
	const struct clv_slice *slice = &course->slice[i];
	double seconds = seconds_of(course, i);
	struct figures figures = {
		.ops_per_s = (double)slice->ops / seconds,
		.execs_per_s = (double)slice->execs / seconds,
		.walks_per_s = (double)slice->walks / seconds,
		.walk_wait_longest_ns = slice->walks ? (double)slice->walk_wait_longest_ns : NAN,
	};
	if (slice->exact.filled)
		exact_figures(&figures, &slice->exact);
	else
		sampled_figures(&figures, slice, seconds, point->threads);
	return figures;
}

/* ---- the table ---- */

static void print_figure(FILE *out, int width, double value, double unit)
{
	char text[32] = "-";
	if (!isnan(value))
		clv_format_number(text, sizeof(text), value / unit);
	fprintf(out, " %*s", width, text);
}

static void print_rate(FILE *out, int width, double value)
{
	const struct clv_interval only = { .median = value };
	char text[128];
	clv_format_rate(text, sizeof(text), &only);
	fprintf(out, " %*s", width, text);
}

static const char *map_name(const struct clv_settings *settings, unsigned map)
{
	return settings->schedule ? settings->schedule->file[map].name : "the map";
}

static void print_change(FILE *out, const struct clv_settings *settings,
			 const struct clv_phase_change *change)
{
	char rate[128];
	const struct clv_interval per_s = { .median = change->per_s };
	fprintf(out, "%9.3f  %s: %s, %u subset%s: %s", (double)change->at_ns / 1e6,
		map_name(settings, change->map), change->name, change->subsets,
		change->subsets == 1 ? "" : "s", change->reason);
	if (change->asked) {
		clv_format_rate(rate, sizeof(rate), &per_s);
		if (change->failed)
			fprintf(out, " (%llu of %llu tries failed, %s commits/s)",
				(unsigned long long)change->failed,
				(unsigned long long)change->asked, rate);
		else
			fprintf(out, " (%s commits/s)", rate);
	}
	fputc('\n', out);
}

static double highest_rate(const struct clv_point *point, size_t points)
{
	double highest = 0;
	for (size_t i = 0; i < points; i++) {
		for (unsigned k = 0; point[i].course && k < point[i].course->slices; k++)
			highest = fmax(highest, figures_of(&point[i], k).ops_per_s);
	}
	return highest;
}

static void print_slice(FILE *out, const struct clv_point *point, unsigned i, double highest)
{
	static const char bar[BAR + 1] = "########################";
	const struct figures figures = figures_of(point, i);
	fprintf(out, "%9.3f", (double)i * (double)point->course->every_ns / 1e6);
	print_rate(out, 7, figures.ops_per_s);
	fprintf(out, " %-*.*s", BAR, highest > 0 ? (int)lround(BAR * figures.ops_per_s / highest) : 0,
		bar);
	print_figure(out, 5, figures.wait, 0.01);
	if (point->settings->machine->simulated)
		print_figure(out, 5, figures.handover, 0.01);
	print_figure(out, 5, figures.inside, 0.01);
	print_figure(out, 6, figures.hold_ns, 1e3);
	if (point->settings->machine->simulated)
		print_figure(out, 7, figures.hold_longest_ns, 1e3);
	print_figure(out, 6, figures.wait_ns, 1e3);
	if (point->settings->walks > 0) {
		print_rate(out, 7, figures.walks_per_s);
		print_figure(out, 7, figures.walk_wait_longest_ns, 1e3);
	}
	if (point->settings->machine->simulated)
		print_figure(out, 6, figures.allocated_bytes, 1 << 20);
	fputc('\n', out);
}

static void print_course_heading(FILE *out, const struct clv_point *point)
{
	const struct clv_settings *settings = point->settings;
	const struct clv_storm *storm = &settings->course->storm;
	bool simulated = settings->machine->simulated, walks = settings->walks > 0;
	fprintf(out, "\ncourse of %s, %u thread%s", clv_point_title(point), point->threads,
		point->threads == 1 ? "" : "s");
	if (storm->to_ns)
		fprintf(out, " from %g to %g ms, else %u", (double)storm->from_ns / 1e6,
			(double)storm->to_ns / 1e6, storm->quiet);
	fprintf(out, "%s\n", settings->repetitions > 1 ? "; the last repetition" : "");
	fprintf(out, "%9s %7s %*s %5s", "ms", "ops/s", BAR, "", "wait%");
	fprintf(out, "%s %5s %6s%s %6s", simulated ? " hand%" : "", "in%", "hold",
		simulated ? " longest" : "", "wait");
	if (walks)
		fprintf(out, " %7s %7s", "walks/s", "walk");
	fprintf(out, "%s\n", simulated ? "    MiB" : "");
}

static void print_course(FILE *out, const struct clv_point *point, double highest)
{
	const struct clv_course *course = point->course;
	unsigned next = 0;
	print_course_heading(out, point);
	for (unsigned i = 0; i < course->slices; i++) {
		for (; next < point->changes &&
		       point->change[next].at_ns < (int64_t)(i * course->every_ns); next++)
			print_change(out, point->settings, &point->change[next]);
		print_slice(out, point, i, highest);
	}
	for (; next < point->changes; next++)
		print_change(out, point->settings, &point->change[next]);
}

static void print_changes(FILE *out, const struct clv_point *point)
{
	unsigned shown = point->changes < CHANGES_SHOWN ? point->changes : CHANGES_SHOWN;
	fprintf(out, "\n%9s  changes of %s, %u thread%s%s", "ms", clv_point_title(point),
		point->threads, point->threads == 1 ? "" : "s",
		point->settings->repetitions > 1 ? "; the last repetition" : "");
	if (shown < point->changes_in_all)
		fprintf(out, ": the last %u of %u", shown, point->changes_in_all);
	fputc('\n', out);
	for (unsigned i = point->changes - shown; i < point->changes; i++)
		print_change(out, point->settings, &point->change[i]);
}

void clv_report_course(FILE *out, const struct clv_settings *settings,
		       const struct clv_point *point, size_t points)
{
	double highest = highest_rate(point, points);
	bool any = false;
	for (size_t i = 0; i < points; i++) {
		if (!point[i].valid)
			continue;
		if (point[i].course) {
			print_course(out, &point[i], highest);
			any = true;
		} else if (point[i].changes) {
			print_changes(out, &point[i]);
		}
	}
	if (any)
		fprintf(out, "hold, wait: mean us of a lock%s%s%s\n",
			settings->machine->simulated ? "; longest: of the holds" : "",
			settings->walks > 0 ? "; walk: the longest us that one waited for its locks" : "",
			settings->machine->simulated ? "; MiB: all that is allocated" : "");
}

/* ---- JSON ---- */

static void set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
}

/* A column: the figure that is at `offset`, of each slice; null where it is not known. */
static json_t *column(const struct clv_point *point, size_t offset, double unit)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < point->course->slices; i++) {
		const struct figures figures = figures_of(point, i);
		double value;
		memcpy(&value, (const char *)&figures + offset, sizeof(value));
		json_array_append_new(array, isnan(value) ? json_null() : json_real(value / unit));
	}
	return array;
}

#define COLUMN(point, member) column(point, offsetof(struct figures, member), 1)

static json_t *begins_json(const struct clv_course *course)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < course->slices; i++)
		json_array_append_new(array, json_real((double)i * (double)course->every_ns / 1e3));
	return array;
}

static json_t *course_json(const struct clv_point *point)
{
	const struct clv_course *course = point->course;
	const struct clv_settings *settings = point->settings;
	bool simulated = settings->machine->simulated;
	json_t *object = json_pack("{s:f, s:f, s:I, s:o, s:o}", "every_us",
				   (double)course->every_ns / 1e3, "window_ms",
				   (double)course->window_ns / 1e6, "seed",
				   (json_int_t)(settings->seed + settings->repetitions - 1), "at_us",
				   begins_json(course), "ops_per_s", COLUMN(point, ops_per_s));
	if (point->has_execs)
		set(object, "execs_per_s", COLUMN(point, execs_per_s));
	json_t *share = json_pack("{s:o, s:o}", "wait", COLUMN(point, wait), "inside",
				  COLUMN(point, inside));
	json_t *hold = json_pack("{s:o}", "mean", COLUMN(point, hold_ns));
	if (simulated) {
		set(share, "handover", COLUMN(point, handover));
		set(share, "outside", COLUMN(point, outside));
		set(hold, "longest", COLUMN(point, hold_longest_ns));
		set(object, "allocated_bytes", COLUMN(point, allocated_bytes));
	}
	set(object, "time_share", share);
	set(object, "hold_ns", hold);
	set(object, "wait_ns", COLUMN(point, wait_ns));
	if (settings->walks > 0) {
		set(object, "walks_per_s", COLUMN(point, walks_per_s));
		set(object, "walk_wait_longest_ns", COLUMN(point, walk_wait_longest_ns));
	}
	return object;
}

static json_t *changes_json(const struct clv_point *point)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < point->changes; i++) {
		const struct clv_phase_change *change = &point->change[i];
		json_array_append_new(
			array,
			json_pack("{s:f, s:s, s:s, s:s, s:I, s:I, s:I, s:f, s:I}", "at_us",
				  (double)change->at_ns / 1e3, "map",
				  map_name(point->settings, change->map), "phase", change->name,
				  "reason", change->reason, "subsets", (json_int_t)change->subsets,
				  "asked", (json_int_t)change->asked, "failed",
				  (json_int_t)change->failed, "per_s", change->per_s, "cpu",
				  (json_int_t)change->cpu));
	}
	return array;
}

void clv_course_json(json_t *object, const struct clv_point *point)
{
	if (point->course)
		set(object, "course", course_json(point));
	if (!point->changes)
		return;
	const struct clv_schedule *schedule = point->settings->schedule;
	set(object, "phases", changes_json(point));
	set(object, "walk_map",
	    json_string(map_name(point->settings, schedule ? schedule->main_file : 0)));
	set(object, "phases_in_all", json_integer(point->changes_in_all));
}

void clv_storm_json(json_t *object, const struct clv_settings *settings)
{
	if (!clv_settings_storm(settings))
		return;
	const struct clv_storm *storm = &settings->course->storm;
	set(object, "storm",
	    json_pack("{s:f, s:f, s:I}", "from_ms", (double)storm->from_ns / 1e6, "to_ms",
		      (double)storm->to_ns / 1e6, "quiet", (json_int_t)storm->quiet));
}
