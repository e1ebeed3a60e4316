// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "report.h"

#include <string.h>

#include "../peers/peers.h"
#include "../report.h"
#include "private_array.h"

static const char *const column_name[CLV_COLUMNS] = { "pair_ns", "page_walk_ns",
						       "full_walk_ns_per_interval" };
/* A first walk that is so much slower than those behind it has more to do than cold caches make. */
#define SLOW_FIRST 10
#define SLOW_FIRST_NS 10e3

int clv_measure_width(const struct clv_table_settings *settings)
{
	size_t width = 0;
	for (unsigned i = 0; i < settings->structures; i++) {
		size_t length = strlen(settings->structure[i]->name);
		width = length > width ? length : width;
	}
	return (int)width;
}

const char *clv_measure_role(const struct cleave_structure *structure)
{
	return clv_peer_is(structure)		       ? "peer" :
	       structure == &clv_private_array	       ? "floor" :
	       structure->flags & CLEAVE_SINK	       ? "sink" :
	       structure->flags & CLEAVE_UNRANKED      ? "unranked" :
							 "";
}

/* ---- text ---- */

static void print_number(FILE *out, int width, double value)
{
	char text[32];
	/* What is left may be less than what was taken off varies by. */
	clv_format_number(text, sizeof(text), value > 0 ? value : 0);
	fprintf(out, " %*s", width, text);
}

/* Three digits: some are 0.03, some 1000. */
static const char *decimal(char *text, size_t bytes, double ratio)
{
	snprintf(text, bytes, "%.*f", ratio < 10 ? 2 : ratio < 100 ? 1 : 0, ratio);
	return text;
}

static void print_ratio(FILE *out, const struct clv_cell *cell, enum clv_column column,
			bool with_interval)
{
	const struct clv_interval *ratio = &cell->ratio[column];
	char text[64] = "", median[16], low[16], high[16];
	if (cell->ratio_to && with_interval && ratio->confidence > 0)
		snprintf(text, sizeof(text), "%s [%s, %s]",
			 decimal(median, sizeof(median), ratio->median),
			 decimal(low, sizeof(low), ratio->low),
			 decimal(high, sizeof(high), ratio->high));
	else if (cell->ratio_to)
		decimal(text, sizeof(text), ratio->median);
	fprintf(out, "  %-*s", with_interval ? 20 : 6, text);
}

static void print_cell(FILE *out, int width, const struct clv_cell *cell)
{
	const struct cleave_structure *structure = cell->structure;
	fprintf(out, "%-*s %-8s ", width, structure->name, clv_measure_role(structure));
	if (!cell->done) {
		fprintf(out, " %s: %s\n", cell->invalid ? "NOT VALID" : "not measured",
			cell->why[0] ? cell->why : "the machine was too busy");
		return;
	}
	double walk_ns = cell->net[CLV_WALK].median;
	print_number(out, 8, cell->net[CLV_PAIR].median);
	print_ratio(out, cell, CLV_PAIR, true);
	print_number(out, 8, walk_ns);
	if (cell->hits >= 1)
		print_number(out, 7, walk_ns / cell->hits);
	else
		fprintf(out, " %7s", "");
	print_ratio(out, cell, CLV_WALK, true);
	print_number(out, 7, cell->net[CLV_FULL].median);
	print_ratio(out, cell, CLV_FULL, false);
	fprintf(out, "%5zu + ", structure->entry_size_bytes);
	char text[32];
	clv_format_number(text, sizeof(text), cell->bytes);
	fprintf(out, "%s\n", cell->bytes < 0.005 ? "0" : text);
}

static void print_block(FILE *out, const struct clv_table_settings *settings,
			const struct clv_block *block)
{
	const struct clv_cell *some = NULL;
	int width = clv_measure_width(settings);
	fprintf(out, "\n%s: %s; %u intervals\n", block->shape->letter, block->shape->what,
		block->population);
	fprintf(out, "%-*s %-8s  %s %34s %36s\n", width, "", "", "insert+remove, ns",
		"page walk, ns", "full walk, ns    bytes");
	fprintf(out, "%-*s %-8s  %8s  %-20s %8s %7s  %-20s %7s  %-6s%s\n", width, "", "", "pair",
		"ratio", "walk", "a hit", "ratio", "an int.", "ratio", "entry + own");
	for (unsigned i = 0; i < settings->structures; i++) {
		const struct clv_cell *cell = &block->cell[i];
		some = cell->done ? cell : some;
		if (cell != block->sink)
			print_cell(out, width, cell);
	}
	if (!block->sink->done)
		return;
	fprintf(out, "taken off: %.1f ns a pair, %.1f ns a walk: %s, the loop and the dispatch",
		block->sink->raw[CLV_PAIR].median, block->sink->raw[CLV_WALK].median,
		block->sink->structure->name);
	if (some && some->hits > 0)
		fprintf(out, "; %.3g hits a walk", some->hits);
	fprintf(out, "\n");
	for (unsigned i = 0; i < settings->structures; i++) {
		const struct clv_cell *cell = &block->cell[i];
		if (cell->done && cell->first_walk_ns > SLOW_FIRST_NS &&
		    cell->first_walk_ns > SLOW_FIRST * cell->raw[CLV_WALK].median)
			fprintf(out, "%s: its first walk after updates takes %.3g us\n",
				cell->structure->name, cell->first_walk_ns / 1e3);
	}
}

void clv_table_print(FILE *out, const struct clv_table_settings *settings,
		     const struct clv_block *blocks)
{
	const struct cleave_structure *to[2] = { NULL, NULL }; /* by size of entry */
	for (unsigned i = 0; i < settings->shapes * settings->populations; i++) {
		print_block(out, settings, &blocks[i]);
		for (unsigned k = 0; k < settings->structures; k++) {
			const struct clv_cell *cell = &blocks[i].cell[k];
			if (cell->ratio_to)
				to[cell->structure->entry_size_bytes >=
				   sizeof(struct cleave_vma)] = cell->ratio_to;
		}
	}
	fprintf(out, "\nratio: median and interval of what the same round took");
	if (to[0])
		fprintf(out, "; to %s", to[0]->name);
	if (to[1] && to[1] != to[0])
		fprintf(out, "%s%s, of entries of %zu bytes", to[0] ? ", or " : "; to ",
			to[1]->name, sizeof(struct cleave_vma));
	fprintf(out, "\n");
}

/* ---- JSON ---- */

json_t *clv_interval_json(const struct clv_interval *interval)
{
	if (interval->confidence <= 0)
		return json_pack("{s:f}", "median", interval->median);
	return json_pack("{s:f, s:f, s:f, s:f}", "median", interval->median, "low", interval->low,
			 "high", interval->high, "confidence", interval->confidence);
}

static json_t *column_json(const struct clv_cell *cell, enum clv_column column)
{
	json_t *samples = json_array();
	for (unsigned i = 0; i < cell->done; i++)
		json_array_append_new(samples, json_real(cell->sample[column][i]));
	json_t *object = clv_interval_json(&cell->net[column]);
	json_object_set_new(object, "with_driver", clv_interval_json(&cell->raw[column]));
	json_object_set_new(object, "with_driver_samples", samples);
	if (cell->ratio_to) {
		json_t *ratio = clv_interval_json(&cell->ratio[column]);
		json_object_set_new(ratio, "to", json_string(cell->ratio_to->name));
		json_object_set_new(object, "ratio", ratio);
	}
	return object;
}

static json_t *cell_json(const struct clv_block *block, const struct clv_cell *cell)
{
	json_t *object = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:b}", "structure", cell->structure->name,
		"summary", cell->structure->summary, "role", clv_measure_role(cell->structure),
		"shape", block->shape->letter, "ranges", block->shape->name, "population",
		(int)block->population, "entry_bytes", (int)cell->structure->entry_size_bytes,
		"measured", cell->done > 0);
	if (!cell->done) {
		json_object_set_new(object, "valid", json_boolean(!cell->invalid));
		json_object_set_new(object, "why", json_string(cell->why));
		return object;
	}
	for (unsigned i = 0; i < CLV_COLUMNS; i++)
		json_object_set_new(object, column_name[i], column_json(cell, i));
	json_object_set_new(object, "hits_per_walk", json_real(cell->hits));
	json_object_set_new(object, "first_walk_ns", json_real(cell->first_walk_ns));
	json_object_set_new(object, "bytes_per_interval", json_real(cell->bytes));
	return object;
}

json_t *clv_table_json(const struct clv_table_settings *settings, const struct clv_block *blocks)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < settings->shapes * settings->populations; i++) {
		for (unsigned k = 0; k < settings->structures; k++)
			json_array_append_new(array, cell_json(&blocks[i], &blocks[i].cell[k]));
	}
	return array;
}
