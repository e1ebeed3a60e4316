// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Works a schedule's text out: see schedule.h for the rules. Two passes over the operations: the
 * first balances what is inserted and removed of each range, which says what the process holds when
 * a cycle starts; the second replays a cycle from there and gives every operation its slot.
 */
#include "schedule.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/error.h"
#include "schedule_text.h"

/* How often one range of one file was inserted, less how often it was removed, so far. */
struct balance {
	struct clv_range range;
	unsigned file;
	int now, least;
	unsigned removed_line; /* where `now` last reached its least */
	unsigned inserted_line;
};

struct slot {
	struct clv_range range;
	unsigned file;
	bool held;
	bool touched; /* by the section at hand: no second operation of its batch may name it */
};

struct compile {
	const struct clv_text *text;
	struct clv_schedule *out;
	struct cleave_error *error;
	struct balance *balance;
	unsigned balances;
	struct slot *slot;
	unsigned *removed_slot; /* [text->ops]: of an R, the slot that it empties or changes */
};

static bool same(struct clv_range a, struct clv_range b)
{
	return a.start == b.start && a.last == b.last;
}

/* Are a and b the two parts of whole? */
static bool parts(struct clv_range a, struct clv_range b,
		  struct clv_range whole)
{
	if (a.start > b.start) {
		struct clv_range front = b;
		b = a;
		a = front;
	}
	return a.start == whole.start && b.last == whole.last && a.last < b.start &&
	       b.start - a.last == 1;
}

static int refuse(const struct compile *compile, unsigned line, unsigned file,
		  struct clv_range range, const char *what)
{
	return clv_error(compile->error, -EINVAL, "%s %u-%u of %s: %.48s: line %u", what,
			 range.start, range.last, compile->text->file[file].name,
			 compile->text->name, line);
}

/* ---- first pass ---- */

static struct balance *find_balance(struct compile *compile, unsigned file,
				    struct clv_range range)
{
	for (unsigned i = 0; i < compile->balances; i++) {
		struct balance *balance = &compile->balance[i];
		if (balance->file == file && same(balance->range, range))
			return balance;
	}
	struct balance *balance = &compile->balance[compile->balances++];
	*balance = (struct balance){ .range = range, .file = file };
	return balance;
}

/* Removals first: what an R takes was there before the section. */
static void balance_section(struct compile *compile, unsigned index)
{
	const struct clv_text_section *section = &compile->text->section[index];
	for (int inserts = 0; inserts < 2; inserts++) {
		for (unsigned j = 0; j < section->ops; j++) {
			const struct clv_text_op *op = &compile->text->op[section->first_op + j];
			if (op->insert != inserts)
				continue;
			struct balance *balance = find_balance(compile, section->file, op->range);
			if (inserts) {
				balance->now++;
				balance->inserted_line = section->line;
			} else if (--balance->now < balance->least) {
				balance->least = balance->now;
				balance->removed_line = section->line;
			}
		}
	}
}

/*
 * An exec leaves nothing of the program before it. So there is a place in the cycle at which the
 * process holds nothing, and it holds what was inserted since. Where it holds least, nothing is to
 * be left; else something after it is removed that no section has inserted since.
 */
static int check_exec(struct compile *compile)
{
	const struct clv_text *text = compile->text;
	long held = 0, least;
	unsigned empty_after = 0;
	for (unsigned i = 0; i < compile->balances; i++)
		held -= compile->balance[i].least;
	least = held + 1;
	for (unsigned i = 0; i < text->sections; i++) {
		for (unsigned j = 0; j < text->section[i].ops; j++)
			held += text->op[text->section[i].first_op + j].insert ? 1 : -1;
		if (held < least) {
			least = held;
			empty_after = i;
		}
	}
	if (!least)
		return 0;
	for (unsigned i = 0; i < compile->balances; i++)
		compile->balance[i].now = compile->balance[i].least = 0;
	for (unsigned i = 1; i <= text->sections; i++) {
		unsigned index = (empty_after + i) % text->sections;
		balance_section(compile, index);
		for (unsigned k = 0; k < compile->balances; k++) {
			const struct balance *balance = &compile->balance[k];
			if (balance->least < 0)
				return refuse(compile, balance->removed_line, balance->file,
					      balance->range,
					      "removes what the process does not hold: no section "
					      "since the exec inserts");
		}
	}
	return 0;
}

static int balance_ranges(struct compile *compile)
{
	for (unsigned i = 0; i < compile->text->sections; i++)
		balance_section(compile, i);
	/* Removals first: a wrong number makes one of each, and that one says more. */
	for (unsigned i = 0; i < compile->balances; i++) {
		const struct balance *balance = &compile->balance[i];
		if (balance->now < 0)
			return refuse(compile, balance->removed_line, balance->file,
				      balance->range, "removes what the process does not hold,");
	}
	for (unsigned i = 0; i < compile->balances; i++) {
		const struct balance *balance = &compile->balance[i];
		if (balance->now > 0)
			return refuse(compile, balance->inserted_line, balance->file,
				      balance->range,
				      "does not return to its starting state: nothing removes");
	}
	return check_exec(compile);
}

/* ---- second pass ---- */

/* The lowest slot of the file that may take a new interval; a new one if there is none. */
static unsigned take_slot(struct compile *compile, unsigned file, struct clv_range range)
{
	unsigned i = 0;
	while (i < compile->out->slots &&
	       (compile->slot[i].file != file || compile->slot[i].held || compile->slot[i].touched))
		i++;
	if (i == compile->out->slots)
		compile->out->slots++;
	compile->slot[i] = (struct slot){ range, file, .held = true };
	return i;
}

static void take_initial(struct compile *compile)
{
	for (unsigned i = 0; i < compile->balances; i++) {
		for (int n = compile->balance[i].least; n < 0; n++)
			take_slot(compile, compile->balance[i].file, compile->balance[i].range);
	}
}

/*
 * Which slot each R of the section means: one that was held before the section, each once. The
 * first pass has made sure that there is one.
 */
static void find_removed(struct compile *compile, const struct clv_text_section *section)
{
	for (unsigned j = section->first_op; j < section->first_op + section->ops; j++) {
		const struct clv_text_op *op = &compile->text->op[j];
		if (op->insert)
			continue;
		unsigned i = 0;
		while (compile->slot[i].file != section->file || !compile->slot[i].held ||
		       compile->slot[i].touched || !same(compile->slot[i].range, op->range))
			i++;
		compile->slot[i].touched = true;
		compile->removed_slot[j] = i;
	}
}

/* Is op j an R that is one change together with the I behind it? */
static bool is_change(const struct clv_text *text, const struct clv_text_section *section,
		      unsigned j)
{
	return !text->op[j].insert && j + 1 < section->first_op + section->ops &&
	       text->op[j + 1].insert;
}

/* The change of which the inserted range is the other half; -1: none, a new mapping. */
static int find_split(const struct clv_text *text, const struct clv_text_section *section,
		      unsigned inserted)
{
	for (unsigned j = section->first_op; j < section->first_op + section->ops; j++) {
		if (is_change(text, section, j) &&
		    parts(text->op[inserted].range, text->op[j + 1].range, text->op[j].range))
			return (int)j;
	}
	return -1;
}

static void compile_section(struct compile *compile, unsigned index)
{
	const struct clv_text *text = compile->text;
	const struct clv_text_section *section = &text->section[index];
	struct clv_schedule *out = compile->out;
	struct clv_schedule_file *file = &out->file[section->file];
	unsigned first_op = out->ops, limit = section->first_op + section->ops;
	find_removed(compile, section);
	for (unsigned j = section->first_op; j < limit; j++) {
		struct clv_schedule_op *op = &out->op[out->ops++];
		const struct clv_text_op *written = &text->op[j];
		if (written->insert) {
			int split = find_split(text, section, j);
			op->kind = split < 0 ? CLEAVE_INSERT : CLEAVE_INSERT_NEAR;
			op->source_slot = split < 0 ? 0 : compile->removed_slot[split];
			op->range = written->range;
			op->slot = take_slot(compile, section->file, op->range);
		} else if (is_change(text, section, j)) {
			op->kind = CLEAVE_CHANGE;
			op->slot = compile->removed_slot[j];
			op->range = text->op[++j].range;
			compile->slot[op->slot].range = op->range;
		} else {
			op->kind = CLEAVE_REMOVE;
			op->slot = compile->removed_slot[j];
			op->range = CLV_RANGE_NONE;
			compile->slot[op->slot].held = false;
		}
	}
	for (unsigned i = 0; i < out->slots; i++)
		compile->slot[i].touched = false;
	for (unsigned j = section->first_op; j < limit; j++) {
		file->recorded_inserts += text->op[j].insert;
		file->recorded_removes += !text->op[j].insert;
		if (text->op[j].range.last > out->last_page)
			out->last_page = text->op[j].range.last;
	}
	out->section[index] = (struct clv_schedule_section){
		.gap_ns = section->gap_ns - section->trapped_ns,
		.recorded_ns = section->gap_ns,
		.file = section->file,
		.first_op = first_op,
		.ops = out->ops - first_op,
	};
	out->cycle_ns += out->section[index].gap_ns;
	file->sections++;
	file->ops += out->ops - first_op;
	if (out->ops - first_op > out->section_ops_max)
		out->section_ops_max = out->ops - first_op;
}

/*
 * What a cycle leaves in a slot, the next one looks for where the same range was at its start. The
 * balance says that the ranges are the same on both sides; free slots take what is left over.
 */
static void join_ends(struct compile *compile)
{
	struct clv_schedule *out = compile->out;
	for (unsigned i = 0; i < out->slots; i++) {
		struct slot *slot = &compile->slot[i];
		struct clv_range range = slot->held ? slot->range : CLV_RANGE_NONE;
		/* `touched` marks start slots that are spoken for. */
		unsigned j = 0;
		while (compile->slot[j].touched || compile->slot[j].file != slot->file ||
		       !same(out->initial[j], range))
			j++;
		compile->slot[j].touched = true;
		out->next_slot[i] = j;
	}
}

/* ---- what lies at rest ---- */

static unsigned apply_to(const struct clv_schedule *out, unsigned section,
			 struct clv_range *range)
{
	unsigned held = 0;
	const struct clv_schedule_section *s = &out->section[section];
	for (unsigned j = s->first_op; j < s->first_op + s->ops; j++)
		range[out->op[j].slot] = out->op[j].range;
	for (unsigned i = 0; i < out->slots; i++)
		held += out->file_of_slot[i] == s->file && !clv_range_is_none(range[i]);
	return held;
}

/* Put into `range` what is held before the section. */
static void run_up_to(const struct clv_schedule *out, unsigned section, struct clv_range *range)
{
	memcpy(range, out->initial, out->slots * sizeof(*range));
	for (unsigned i = 0; i < section; i++)
		apply_to(out, i, range);
}

/* The state of main_file after the section lasts up to that file's next section. */
static uint64_t state_lasts_ns(const struct clv_schedule *out, unsigned section)
{
	uint64_t ns = 0;
	unsigned i = section;
	do {
		i = (i + 1) % out->sections;
		/* 1 more, so that without any gaps the state of most sections is taken. */
		ns += out->section[i].gap_ns + 1;
	} while (out->section[i].file != out->main_file);
	return ns;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct clv_range *x = a, *y = b;
	return (x->start > y->start) - (x->start < y->start);
}

static void find_rest(struct clv_schedule *out, struct clv_range *range)
{
	unsigned longest = 0; /* the section before the state that lasts longest */
	uint64_t longest_ns = 0;
	for (unsigned i = 1; i < out->files; i++) {
		if (out->file[i].ops > out->file[out->main_file].ops)
			out->main_file = i;
	}
	memcpy(range, out->initial, out->slots * sizeof(*range));
	for (unsigned i = 0; i < out->sections; i++) {
		unsigned held = apply_to(out, i, range);
		if (out->section[i].file != out->main_file || !held)
			continue;
		uint64_t lasts_ns = state_lasts_ns(out, i);
		if (lasts_ns > longest_ns) {
			longest_ns = lasts_ns;
			longest = i;
		}
	}
	run_up_to(out, longest + 1, range);
	for (unsigned i = 0; i < out->slots; i++) {
		if (out->file_of_slot[i] == out->main_file && !clv_range_is_none(range[i]))
			out->rest[out->rest_count++] = range[i];
	}
	qsort(out->rest, out->rest_count, sizeof(*out->rest), compare_ranges);
}

/* ---- where the exec is ---- */

static bool only_removes(const struct clv_schedule *out, unsigned section)
{
	const struct clv_schedule_section *s = &out->section[section];
	for (unsigned j = s->first_op; j < s->first_op + s->ops; j++) {
		if (out->op[j].kind != CLEAVE_REMOVE)
			return false;
	}
	return true;
}

static bool holds_nothing(const struct clv_schedule *out, const struct clv_range *range)
{
	unsigned i = 0;
	while (i < out->slots && clv_range_is_none(range[i]))
		i++;
	return i == out->slots;
}

/* That there is a place where nothing is held, check_exec has made sure. */
static void find_exec(struct clv_schedule *out)
{
	unsigned last = 0; /* of the sections that take it all away */
	memcpy(out->at_exec, out->initial, out->slots * sizeof(*out->at_exec));
	for (unsigned i = 0; i < out->sections; i++) {
		apply_to(out, i, out->at_exec);
		last = i;
		if (holds_nothing(out, out->at_exec))
			break;
	}
	out->exec_section = last;
	for (unsigned i = last; only_removes(out, i); i--) {
		if (out->section[i].gap_ns >= out->section[out->exec_section].gap_ns)
			out->exec_section = i;
		if (!i)
			break;
	}
	run_up_to(out, out->exec_section, out->at_exec);
}

/* ---- making ---- */

static int compile_text(struct compile *compile)
{
	const struct clv_text *text = compile->text;
	struct clv_schedule *out = compile->out;
	/* Every interval that is ever held comes from one op, or is removed by one. */
	unsigned slots_max = text->ops;
	out->section = calloc(text->sections, sizeof(*out->section));
	out->op = calloc(text->ops, sizeof(*out->op));
	out->file = calloc(text->files, sizeof(*out->file));
	out->file_of_slot = calloc(slots_max, sizeof(*out->file_of_slot));
	out->initial = calloc(slots_max, sizeof(*out->initial));
	out->next_slot = calloc(slots_max, sizeof(*out->next_slot));
	out->rest = calloc(slots_max, sizeof(*out->rest));
	out->at_exec = calloc(slots_max, sizeof(*out->at_exec));
	compile->balance = calloc(text->ops, sizeof(*compile->balance));
	compile->slot = calloc(slots_max, sizeof(*compile->slot));
	compile->removed_slot = calloc(text->ops, sizeof(*compile->removed_slot));
	struct clv_range *scratch = calloc(slots_max, sizeof(*scratch));
	int code = -ENOMEM;
	if (!out->section || !out->op || !out->file || !out->file_of_slot || !out->initial ||
	    !out->next_slot || !out->rest || !out->at_exec || !compile->balance || !compile->slot ||
	    !compile->removed_slot || !scratch) {
		clv_error(compile->error, code, "out of memory: %.64s", text->name);
		goto out;
	}
	memcpy(out->file, text->file, text->files * sizeof(*out->file));
	out->files = text->files;
	out->sections = text->sections;
	code = balance_ranges(compile);
	if (code)
		goto out;
	take_initial(compile);
	for (unsigned i = 0; i < slots_max; i++)
		out->initial[i] = i < out->slots ? compile->slot[i].range :
						   CLV_RANGE_NONE;
	for (unsigned i = 0; i < text->sections; i++)
		compile_section(compile, i);
	for (unsigned i = 0; i < out->slots; i++)
		out->file_of_slot[i] = compile->slot[i].file;
	join_ends(compile);
	find_rest(out, scratch);
	find_exec(out);
out:
	free(compile->balance);
	free(compile->slot);
	free(compile->removed_slot);
	free(scratch);
	return code;
}

int clv_schedule_parse(struct clv_schedule **schedule, const char *name, const char *text,
		       size_t size_bytes, struct cleave_error *error)
{
	struct clv_text read = { .name = name };
	struct clv_schedule *out = calloc(1, sizeof(*out));
	if (!out)
		return clv_error(error, -ENOMEM, "out of memory: %.64s", name);
	int code = clv_text_read(&read, text, size_bytes, error);
	if (!code) {
		struct compile compile = { .text = &read, .out = out, .error = error };
		code = compile_text(&compile);
	}
	clv_text_fini(&read);
	if (code)
		clv_schedule_free(out);
	else
		*schedule = out;
	return code;
}

int clv_schedule_recorded(struct clv_schedule **schedule, struct cleave_error *error)
{
	return clv_schedule_parse(schedule, "execl-schedule.txt", clv_execl_schedule_text,
				  clv_execl_schedule_bytes, error);
}

int clv_schedule_load(struct clv_schedule **schedule, const char *path,
		      struct cleave_error *error)
{
	FILE *file = fopen(path, "rb");
	if (!file)
		return clv_error(error, -errno, "cannot open: %.160s: %s", path, strerror(errno));
	/* One byte more than is allowed, so that the parser sees it is too long. */
	size_t limit = CLV_SCHEDULE_BYTES_MAX + 1, size_bytes = 0;
	char *text = malloc(limit);
	int code = text ? 0 : clv_error(error, -ENOMEM, "out of memory: %.64s", path);
	if (!code) {
		errno = 0;
		size_bytes = fread(text, 1, limit, file);
		if (ferror(file)) {
			int why = errno ? errno : EIO;
			code = clv_error(error, -why, "cannot read: %.160s: %s", path,
					 strerror(why));
		}
	}
	fclose(file);
	const char *slash = strrchr(path, '/');
	if (!code)
		code = clv_schedule_parse(schedule, slash ? slash + 1 : path, text, size_bytes,
					  error);
	free(text);
	return code;
}

void clv_schedule_free(struct clv_schedule *schedule)
{
	if (!schedule)
		return;
	free(schedule->section);
	free(schedule->op);
	free(schedule->file);
	free(schedule->file_of_slot);
	free(schedule->initial);
	free(schedule->next_slot);
	free(schedule->rest);
	free(schedule->at_exec);
	free(schedule);
}
