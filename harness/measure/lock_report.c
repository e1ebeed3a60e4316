// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>

#include "../report.h"
#include "lock_table.h"
#include "report.h"

/* Above it a lock is listed below the table. */
#define WITHIN 1.10

enum { RATIO = 18 }; /* "1.23 [1.22, 1.24]", and one more digit */

static const char *const mode_name[CLV_LOCK_MODES] = { "exclusive", "try", "shared", "try_shared" };
static const char *const mode_title[CLV_LOCK_MODES] = {
	"exclusive", "exclusive, by a try", "shared", "shared, by a try",
};

static const char *waits(const struct clv_lock_type *type)
{
	return type->flags & CLV_LOCK_SLEEPS ? "sleeps" :
	       type->flags & CLV_LOCK_SPINS  ? "spins" :
					       "-";
}

static int width_of(const struct clv_lock_row *row, unsigned rows)
{
	size_t width = 0;
	for (unsigned i = 0; i < rows; i++) {
		size_t length = strlen(row[i].lock);
		width = length > width ? length : width;
	}
	return (int)width;
}

/* ---- text ---- */

static void print_kinds(FILE *out, const struct clv_lock_row *row, unsigned rows,
			unsigned many_cpus, int width)
{
	fprintf(out, "\nBytes of an instance, on this machine and on one with %u CPUs\n%-*s %-6s %-5s "
		     "%6s %6u\n", many_cpus, width, "", "waits", "order", "here", many_cpus);
	for (unsigned i = 0; i < rows; i++) {
		const struct clv_lock_type *type = row[i].type;
		fprintf(out, "%-*s %-6s %-5s %6zu %6zu  %s\n", width, row[i].lock, waits(type),
			type->flags & CLV_LOCK_FIFO ? "FIFO" : "-", row[i].bytes,
			row[i].bytes_many, type->summary);
	}
}

static void print_number(FILE *out, int width, double value)
{
	char text[32];
	clv_format_number(text, sizeof(text), value);
	fprintf(out, " %*s", width, text);
}

static void print_ratio(FILE *out, const struct clv_interval *ratio, int width)
{
	char text[64];
	if (ratio->confidence > 0)
		snprintf(text, sizeof(text), "%.2f [%.2f, %.2f]", ratio->median, ratio->low,
			 ratio->high);
	else
		snprintf(text, sizeof(text), "%.2f", ratio->median);
	fprintf(out, "  %-*s", width, text);
}

static void print_row(FILE *out, const struct clv_lock_row *row, const struct clv_lock_cell *cell,
		      int width)
{
	fprintf(out, "%-*s", width, row->lock);
	if (row->invalid) {
		fprintf(out, " NOT VALID: %s\n", row->why);
		return;
	}
	print_number(out, 8, cell->ns[CLV_LOCK_OURS].median);
	if (cell->has_floor) {
		print_number(out, 6, cell->ns[CLV_LOCK_FLOOR].median);
		print_ratio(out, &cell->to[CLV_LOCK_FLOOR], RATIO);
	} else if (row->reference) {
		fprintf(out, " %6s  %-*s", "-", RATIO, "-");
	}
	if (!cell->has_reference) {
		fprintf(out, "%s\n", row->reference ? "  the reference has none" : "");
		return;
	}
	fprintf(out, "  %-19s", row->reference->type.name);
	print_number(out, 7, cell->ns[CLV_LOCK_CALLED].median);
	print_number(out, 7, cell->ns[CLV_LOCK_INLINED].median);
	print_ratio(out, &cell->to[CLV_LOCK_CALLED], RATIO);
	print_ratio(out, &cell->to[CLV_LOCK_INLINED], 0);
	fprintf(out, "\n");
}

static void print_mode(FILE *out, const struct clv_lock_row *row, unsigned rows,
		       enum clv_lock_mode mode, int width)
{
	fprintf(out, "\n%s\n%-*s %8s %6s  %-*s  %-19s %7s %7s  %-*s  %s\n", mode_title[mode], width,
		"", "ns", "floor", RATIO, "ratio: floor", "reference", "called", "inlined", RATIO,
		"ratio: called", "to inlined");
	for (unsigned i = 0; i < rows; i++) {
		if (row[i].cell[mode].has)
			print_row(out, &row[i], &row[i].cell[mode], width);
	}
}

static void print_above(FILE *out, const struct clv_lock_row *row, unsigned rows)
{
	unsigned above = 0, of = 0;
	fprintf(out, "\nabove %.2f of the reference, both called:", WITHIN);
	for (unsigned i = 0; i < rows; i++) {
		for (unsigned k = 0; k < CLV_LOCK_MODES; k++) {
			const struct clv_lock_cell *cell = &row[i].cell[k];
			if (row[i].invalid || !cell->has_reference)
				continue;
			of++;
			if (cell->to[CLV_LOCK_CALLED].median <= WITHIN)
				continue;
			fprintf(out, "%s %s, %s, %.2f", above ? ";" : "", row[i].lock,
				mode_title[k], cell->to[CLV_LOCK_CALLED].median);
			above++;
		}
	}
	fprintf(out, "%s (%u of %u)\n", above ? "" : " none", above, of);
}

void clv_lock_table_print(FILE *out, const struct clv_lock_row *row, unsigned rows,
			  unsigned many_cpus)
{
	int width = width_of(row, rows);
	fputs("ours: two indirect calls, through the lock's table of functions, as maps call it\n"
	      "floor: the least that one word takes, called likewise: a compare-and-swap and a\n"
	      "       store; if waiters sleep, an atomic each way, the second of which sees them.\n"
	      "       The row of that name: the former against itself\n"
	      "reference: Concurrency Kit's or glibc's; called likewise; inlined: without calls\n",
	      out);
	print_kinds(out, row, rows, many_cpus, width);
	for (unsigned k = 0; k < CLV_LOCK_MODES; k++)
		print_mode(out, row, rows, k, width);
	print_above(out, row, rows);
}

/* ---- JSON ---- */

static json_t *cell_json(const struct clv_lock_row *row, const struct clv_lock_cell *cell)
{
	json_t *object = clv_interval_json(&cell->ns[CLV_LOCK_OURS]);
	if (cell->has_floor) {
		json_object_set_new(object, "floor",
				    clv_interval_json(&cell->ns[CLV_LOCK_FLOOR]));
		json_object_set_new(object, "ratio_to_floor",
				    clv_interval_json(&cell->to[CLV_LOCK_FLOOR]));
	}
	if (!cell->has_reference)
		return object;
	json_object_set_new(object, "reference", json_string(row->reference->type.name));
	json_object_set_new(object, "reference_called",
			    clv_interval_json(&cell->ns[CLV_LOCK_CALLED]));
	json_object_set_new(object, "reference_inlined",
			    clv_interval_json(&cell->ns[CLV_LOCK_INLINED]));
	json_object_set_new(object, "ratio_to_called",
			    clv_interval_json(&cell->to[CLV_LOCK_CALLED]));
	json_object_set_new(object, "ratio_to_inlined",
			    clv_interval_json(&cell->to[CLV_LOCK_INLINED]));
	return object;
}

static json_t *row_json(const struct clv_lock_row *row)
{
	const struct clv_lock_type *type = row->type;
	json_t *object = json_pack("{s:s, s:s, s:s?, s:b, s:b, s:b, s:i, s:i, s:b}", "lock",
				   row->lock, "summary", type->summary, "source", type->source,
				   "spins", !!(type->flags & CLV_LOCK_SPINS), "sleeps",
				   !!(type->flags & CLV_LOCK_SLEEPS), "fifo",
				   !!(type->flags & CLV_LOCK_FIFO), "bytes", (int)row->bytes,
				   "bytes_on_many_cpus", (int)row->bytes_many, "valid",
				   !row->invalid);
	if (row->invalid)
		json_object_set_new(object, "why", json_string(row->why));
	for (unsigned k = 0; !row->invalid && k < CLV_LOCK_MODES; k++) {
		if (row->cell[k].has)
			json_object_set_new(object, mode_name[k], cell_json(row, &row->cell[k]));
	}
	return object;
}

json_t *clv_lock_table_json(const struct clv_lock_row *row, unsigned rows)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < rows; i++)
		json_array_append_new(array, row_json(&row[i]));
	return array;
}
