// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Reads the form that schedule.h describes. Whatever is not of that form is refused with its line:
 * a replay of half a schedule would still give numbers.
 */
#include "schedule_text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/error.h"

struct reader {
	struct clv_text *out;
	struct cleave_error *error;
	unsigned line; /* from 1 */
	uint64_t time_ns;
	bool complete; /* the `end` line, or what counts as one, was there */
};

static int refuse(struct reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int refuse(struct reader *reader, const char *format, ...)
{
	char what[160];
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	for (char *c = what; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	return clv_error(reader->error, -EINVAL, "%s: %.48s: line %u", what, reader->out->name,
			 reader->line);
}

/* Room for one more element: capacities are powers of two. Returns: 0; -ENOMEM. */
static int grow(struct reader *reader, void **array, unsigned count, size_t element_bytes)
{
	if (count & (count - 1))
		return 0;
	void *larger = realloc(*array, (count ? 2 * (size_t)count : 1) * element_bytes);
	if (!larger)
		return clv_error(reader->error, -ENOMEM, "out of memory: %.64s",
				 reader->out->name);
	*array = larger;
	return 0;
}

/* The next word of the line, cut out of it; NULL: no more. */
static char *next_word(char **line)
{
	*line += strspn(*line, " \t");
	if (!**line)
		return NULL;
	char *word = *line;
	*line += strcspn(*line, " \t");
	if (**line)
		*(*line)++ = '\0';
	return word;
}

/* Digits alone, no sign, no blank; up to `limit`. */
static bool read_count(const char *word, uint64_t limit, uint64_t *value)
{
	uint64_t sum = 0;
	if (!word || !*word)
		return false;
	for (; *word; word++) {
		if (*word < '0' || *word > '9')
			return false;
		sum = 10 * sum + (uint64_t)(*word - '0');
		if (sum > limit)
			return false;
	}
	*value = sum;
	return true;
}

/* Microseconds with up to three decimals, exactly. */
static bool read_us(const char *word, uint64_t *ns)
{
	char whole[16];
	if (!word)
		return false;
	size_t length = strcspn(word, ".");
	if (length >= sizeof(whole))
		return false;
	memcpy(whole, word, length);
	whole[length] = '\0';
	uint64_t us, decimals = 0;
	if (!read_count(whole, 1000000000000u, &us))
		return false;
	if (word[length]) {
		size_t digits = strlen(word + length + 1);
		if (digits > 3 || !read_count(word + length + 1, 999, &decimals))
			return false;
		for (; digits < 3; digits++)
			decimals *= 10;
	}
	*ns = us * 1000 + decimals;
	return true;
}

static int read_trap(struct reader *reader, char *line)
{
	struct clv_text *out = reader->out;
	uint64_t section, trapped_ns;
	if (!read_count(next_word(&line), CLV_SCHEDULE_OPS_MAX, &section) || !section ||
	    !read_us(next_word(&line), &trapped_ns) || next_word(&line))
		return refuse(reader, "not of the form `trapped SECTION US`");
	if (out->sections)
		return refuse(reader, "`trapped` behind the first section");
	for (unsigned i = 0; i < out->traps; i++) {
		if (out->trap[i].section == section)
			return refuse(reader, "a second `trapped` for section %u",
				      (unsigned)section);
	}
	int code = grow(reader, (void **)&out->trap, out->traps, sizeof(*out->trap));
	if (!code)
		out->trap[out->traps++] = (struct clv_text_trap){ reader->line, (unsigned)section,
								  trapped_ns };
	return code;
}

static int find_file(struct reader *reader, const char *name, unsigned *file)
{
	struct clv_text *out = reader->out;
	for (*file = 0; *file < out->files; ++*file) {
		if (!strcmp(out->file[*file].name, name))
			return 0;
	}
	if (strlen(name) >= sizeof(out->file->name))
		return refuse(reader, "file name of more than %zu bytes",
			      sizeof(out->file->name) - 1);
	for (const char *c = name; *c; c++) {
		if (*c < ' ' || *c == 127)
			return refuse(reader, "control character in a file name");
	}
	if (out->files == CLV_SCHEDULE_FILES_MAX)
		return refuse(reader, "more than %u files", CLV_SCHEDULE_FILES_MAX);
	int code = grow(reader, (void **)&out->file, out->files, sizeof(*out->file));
	if (code)
		return code;
	memset(&out->file[out->files], 0, sizeof(*out->file));
	strcpy(out->file[out->files++].name, name);
	return 0;
}

/* I:0-37 */
static int read_op(struct reader *reader, char *word)
{
	struct clv_text *out = reader->out;
	const char *shown = word;
	char kept[24];
	snprintf(kept, sizeof(kept), "%s", shown);
	char *dash = strchr(word, '-');
	uint64_t start, last;
	if ((word[0] != 'I' && word[0] != 'R') || word[1] != ':' || !dash)
		return refuse(reader, "`%s` is not I:FIRST-LAST or R:FIRST-LAST", kept);
	*dash = '\0';
	if (!read_count(word + 2, UINT32_MAX, &start) || !read_count(dash + 1, UINT32_MAX, &last))
		return refuse(reader, "`%s` is not two page numbers below 2^32", kept);
	if (start > last)
		return refuse(reader, "`%s` ends before it starts", kept);
	if (out->ops == CLV_SCHEDULE_OPS_MAX)
		return refuse(reader, "more than %u operations", CLV_SCHEDULE_OPS_MAX);
	int code = grow(reader, (void **)&out->op, out->ops, sizeof(*out->op));
	if (!code)
		out->op[out->ops++] = (struct clv_text_op){ word[0] == 'I',
							    { (uint32_t)start, (uint32_t)last } };
	return code;
}

static int read_section(struct reader *reader, const char *number_word, char *line)
{
	struct clv_text *out = reader->out;
	uint64_t number, time_ns;
	struct clv_text_section section = { .line = reader->line, .first_op = out->ops };
	if (!read_count(number_word, UINT32_MAX, &number))
		return refuse(reader, "`%.24s` is not a section's number, `trapped` or `end`",
			      number_word);
	if (number != out->sections + 1)
		return refuse(reader, "section %u where section %u should be", (unsigned)number,
			      out->sections + 1);
	if (!read_us(next_word(&line), &time_ns) || !read_us(next_word(&line), &section.gap_ns))
		return refuse(reader, "section %u: time or gap is not a number of us",
			      (unsigned)number);
	if (time_ns < reader->time_ns)
		return refuse(reader, "section %u: its time is before that of the section before",
			      (unsigned)number);
	reader->time_ns = time_ns;
	char *word = next_word(&line);
	if (!word)
		return refuse(reader, "section %u: no file", (unsigned)number);
	int code = find_file(reader, word, &section.file);
	while (!code && (word = next_word(&line)))
		code = read_op(reader, word);
	if (code)
		return code;
	section.ops = out->ops - section.first_op;
	if (!section.ops)
		return refuse(reader, "section %u: no operation", (unsigned)number);
	if (section.ops > CLEAVE_BATCH_MAX)
		return refuse(reader, "section %u: more than %u operations", (unsigned)number,
			      CLEAVE_BATCH_MAX);
	code = grow(reader, (void **)&out->section, out->sections, sizeof(*out->section));
	if (!code)
		out->section[out->sections++] = section;
	return code;
}

static int read_end(struct reader *reader, char *line)
{
	uint64_t count;
	if (!read_count(next_word(&line), CLV_SCHEDULE_OPS_MAX, &count) || next_word(&line))
		return refuse(reader, "not of the form `end COUNT`");
	if (count != reader->out->sections)
		return refuse(reader, "`end %u`, but there are %u sections", (unsigned)count,
			      reader->out->sections);
	reader->complete = true;
	return 0;
}

/* The recorder's own last line. Any other comment is none. */
static int read_summary(struct reader *reader, const char *line)
{
	const struct clv_text *out = reader->out;
	char period_word[16], count_word[8];
	int length = 0;
	if (sscanf(line,
		   "# period %15[0-9.] us; gaps: median %*[0-9.] mean %*[0-9.]; "
		   "libc-only sections %7[0-9]%n",
		   period_word, count_word, &length) != 2 ||
	    !length || line[length])
		return 0;
	uint64_t period_ns, wanted, sum_ns = 0;
	unsigned found = 0;
	if (!read_us(period_word, &period_ns) || !read_count(count_word, UINT32_MAX, &wanted))
		return refuse(reader, "period or count is not a number");
	for (unsigned i = 0; i < out->sections; i++) {
		sum_ns += out->section[i].gap_ns;
		found += !strcmp(out->file[out->section[i].file].name, "libc.so.6");
	}
	if (found != wanted)
		return refuse(reader, "%u sections of libc.so.6, but there are %u",
			      (unsigned)wanted, found);
	/* Every figure in the text was rounded to 0.1 us. */
	uint64_t apart_ns = period_ns > sum_ns ? period_ns - sum_ns : sum_ns - period_ns;
	if (apart_ns > (out->sections + 1) * 50u)
		return refuse(reader, "the period is not the sum of the gaps, %.1f us",
			      (double)sum_ns / 1e3);
	reader->complete = true;
	return 0;
}

static int read_line(struct reader *reader, char *line)
{
	if (reader->complete)
		return refuse(reader, "something behind the last line of the schedule");
	if (line[0] == '#')
		return read_summary(reader, line);
	char *word = next_word(&line);
	if (!word)
		return 0;
	if (!strcmp(word, "trapped"))
		return read_trap(reader, line);
	if (!strcmp(word, "end"))
		return read_end(reader, line);
	return read_section(reader, word, line);
}

static int apply_traps(struct reader *reader)
{
	struct clv_text *out = reader->out;
	for (unsigned i = 0; i < out->traps; i++) {
		const struct clv_text_trap *trap = &out->trap[i];
		reader->line = trap->line;
		if (trap->section > out->sections)
			return refuse(reader, "`trapped` for section %u of %u", trap->section,
				      out->sections);
		struct clv_text_section *section = &out->section[trap->section - 1];
		if (trap->trapped_ns > section->gap_ns)
			return refuse(reader, "more trapped than section %u's gap has",
				      trap->section);
		section->trapped_ns = trap->trapped_ns;
	}
	return 0;
}

static int read_lines(struct reader *reader, char *text, size_t size_bytes)
{
	char *line = text, *limit = text + size_bytes;
	for (; line < limit; reader->line++) {
		char *newline = memchr(line, '\n', (size_t)(limit - line));
		if (!newline)
			return refuse(reader, "cut off: the last line is not complete");
		if (memchr(line, '\0', (size_t)(newline - line)))
			return refuse(reader, "not a text: a zero byte");
		*newline = '\0';
		int code = read_line(reader, line);
		if (code)
			return code;
		line = newline + 1;
	}
	if (!reader->complete)
		return refuse(reader, "cut off behind section %u: no `end` line",
			      reader->out->sections);
	if (!reader->out->sections)
		return refuse(reader, "no sections");
	return apply_traps(reader);
}

int clv_text_read(struct clv_text *out, const char *text, size_t size_bytes,
		  struct cleave_error *error)
{
	struct reader reader = { .out = out, .error = error, .line = 1 };
	if (!size_bytes)
		return refuse(&reader, "empty");
	if (size_bytes > CLV_SCHEDULE_BYTES_MAX)
		return refuse(&reader, "a text of more than %u bytes", CLV_SCHEDULE_BYTES_MAX);
	char *copy = malloc(size_bytes);
	if (!copy)
		return clv_error(error, -ENOMEM, "out of memory: %.64s", out->name);
	memcpy(copy, text, size_bytes);
	int code = read_lines(&reader, copy, size_bytes);
	free(copy);
	return code;
}

void clv_text_fini(struct clv_text *text)
{
	free(text->section);
	free(text->op);
	free(text->file);
	free(text->trap);
}
