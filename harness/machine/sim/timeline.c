// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Who had which lock when, as Trace Event JSON: a row a CPU, a slice a wait and a slice a hold.
 * Open it in Perfetto (ui.perfetto.dev) or about:tracing.
 * Format: "Trace Event Format", docs of the Catapult project.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "../../atomic_file.h"

struct event {
	uint64_t ps;
	const void *lock;
	unsigned older; /* what the CPU held before it, as struct row has it */
	uint16_t cpu;
	uint8_t mark;
};

/* As JSON they are some 150 MB, about as much as a viewer takes. */
enum { EVENTS_MAX = 1 << 20 };

static struct event *events;
static unsigned count;
static uint64_t left_out;

bool clv_timeline_open(void)
{
	events = malloc(EVENTS_MAX * sizeof(*events)); /* touched as far as used */
	count = 0;
	left_out = 0;
	return events;
}

void clv_timeline_close(void)
{
	free(events);
	events = NULL;
	count = 0;
}

void clv_timeline_mark(unsigned cpu, enum clv_mark mark, const void *lock, uint64_t ps)
{
	if (!clv_account()->begin_ps || clv_account()->end_ps)
		return;
	if (count < EVENTS_MAX)
		events[count++] = (struct event){ ps, lock, 0, (uint16_t)cpu, (uint8_t)mark };
	else
		left_out++;
}

static void name_of(const void *lock, char *out, size_t bytes)
{
	uint32_t line = clv_line_of(lock);
	const struct clv_arena_name *name = line ? clv_arena_name_of(line) : NULL;
	snprintf(out, bytes, "%s %d", name ? name->name : "lock", name ? name->index : 0);
}

/* Locks of one name are told apart by where they are, which is the same in every run. */
static void slice(json_t *list, const char *what, const struct event *from, uint64_t to_ps)
{
	char lock[64], title[80], at[24];
	name_of(from->lock, lock, sizeof(lock));
	snprintf(title, sizeof(title), "%s%s", what, lock);
	snprintf(at, sizeof(at), "%p", from->lock);
	json_array_append_new(
		list, json_pack("{s:s, s:s, s:f, s:f, s:i, s:i, s:{s:s}}", "name", title, "ph", "X",
				"ts", (double)from->ps / 1e6, "dur",
				(double)(to_ps - from->ps) / 1e6, "pid",
				(int)clv_sim.topology->cpu[from->cpu].node, "tid",
				(int)clv_sim.topology->cpu[from->cpu].os, "args", "lock", at));
}

/* What a CPU is in the middle of: it waits for one lock, and may hold any number. */
struct row {
	const struct event *asked;
	unsigned got; /* the latest: its index + 1; 0: none */
};

/* Where the CPU's hold of the lock is linked from; what is there is 0: it has none in the window. */
static unsigned *held_of(struct row *row, const void *lock)
{
	unsigned *at = &row->got;
	while (*at && events[*at - 1].lock != lock)
		at = &events[*at - 1].older;
	return at;
}

static json_t *slices(void)
{
	json_t *list = json_array();
	struct row *rows = calloc(clv_sim.cpus, sizeof(*rows));
	for (unsigned i = 0; rows && i < count; i++) {
		struct event *event = &events[i];
		struct row *row = &rows[event->cpu];
		if (event->mark == CLV_MARK_ASK) {
			row->asked = event;
		} else if (event->mark == CLV_MARK_FAILED) {
			row->asked = NULL;
		} else if (event->mark == CLV_MARK_GOT || event->mark == CLV_MARK_GOT_SHARED) {
			if (row->asked)
				slice(list, "wait ", row->asked, event->ps);
			row->asked = NULL;
			event->older = row->got;
			row->got = i + 1;
		} else if (event->mark == CLV_MARK_FREE) {
			unsigned *held = held_of(row, event->lock);
			if (!*held)
				continue;
			const struct event *got = &events[*held - 1];
			slice(list, "", got, event->ps);
			*held = got->older;
		}
	}
	free(rows);
	return list;
}

/* Rows are called by CPU, groups of rows by node. */
static void name_rows(json_t *list)
{
	for (unsigned i = 0; i < clv_sim.cpus; i++) {
		const struct clv_vcpu *cpu = &clv_sim.cpu[i];
		char name[32];
		if (cpu->state == CLV_CPU_ABSENT)
			continue;
		snprintf(name, sizeof(name), "CPU %u", clv_sim.topology->cpu[i].os);
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:i, s:i, s:{s:s}}", "name", "thread_name",
					"ph", "M", "pid", (int)cpu->node, "tid",
					(int)clv_sim.topology->cpu[i].os, "args", "name", name));
		snprintf(name, sizeof(name), "node %u", cpu->node);
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:i, s:{s:s}}", "name", "process_name", "ph",
					"M", "pid", (int)cpu->node, "args", "name", name));
	}
}

uint64_t clv_timeline_left_out(uint64_t *last_ps)
{
	*last_ps = count ? events[count - 1].ps : 0;
	return left_out;
}

static void mark_instants(json_t *list, const struct clv_timeline_instant *instant,
			  unsigned instants)
{
	for (unsigned i = 0; i < instants; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:f, s:i, s:i, s:{s:s}}", "name",
					instant[i].name, "ph", "i", "s", "g", "ts",
					(double)instant[i].ps / 1e6, "pid", 0, "tid", 0, "args",
					"reason", instant[i].reason));
}

int clv_timeline_write(const char *path, const struct clv_timeline_instant *instant,
		       unsigned instants, char *why, size_t why_bytes)
{
	json_t *list = slices();
	name_rows(list);
	mark_instants(list, instant, instants);
	json_t *root = json_pack("{s:s, s:{s:I}, s:o}", "displayTimeUnit", "ns", "otherData",
				 "marks_left_out", (json_int_t)left_out, "traceEvents", list);
	char *text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
	json_decref(root);
	if (!text) {
		snprintf(why, why_bytes, "write %s: out of memory", path);
		return -ENOMEM;
	}
	int code = clv_file_write(path, text, strlen(text), why, why_bytes);
	free(text);
	return code;
}
