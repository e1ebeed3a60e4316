// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "design.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "registry.h"
#include "schemes/scheme.h"

/* A part of the string and where it is. */
struct part {
	const char *text;
	size_t length;
};

struct parser {
	const char *text;
	struct cleave_error *error;
	struct clv_design *design;
	size_t words_used;
};

static int fail(struct parser *parser, int code, struct part at, const char *what,
		const char *known)
{
	char *fault = parser->design->fault;
	/* A default is not in the text: it is missed at the end. */
	bool typed = at.text >= parser->text && at.text <= parser->text + strlen(parser->text);
	size_t position = typed ? (size_t)(at.text - parser->text) : strlen(parser->text);
	snprintf(fault, sizeof(parser->design->fault), "%s '%.*s'", what,
		 at.length > 24 ? 24 : (int)at.length, at.text);
	return clv_error(parser->error, code, "design '%.60s': character %zu: %s%s%s", parser->text,
			 position + 1, fault, known[0] ? "; known: " : "",
			 known);
}

static void append(char *list, size_t bytes, const char *name)
{
	size_t used = strlen(list);
	snprintf(list + used, bytes - used, "%s%s", used ? " " : "", name);
}

static void known_structures(char *list, size_t bytes)
{
	const struct cleave_structure *structure;
	for (unsigned i = 0; (structure = cleave_structure_at(i)); i++)
		append(list, bytes, structure->name);
}

static void known_schemes(char *list, size_t bytes)
{
	const struct clv_scheme *scheme;
	for (unsigned i = 0; (scheme = clv_scheme_at(i)); i++)
		append(list, bytes, scheme->name);
}

static void known_locks(char *list, size_t bytes)
{
	const struct clv_lock_type *type;
	for (unsigned i = 0; (type = clv_lock_type_at(i)); i++)
		append(list, bytes, type->name);
}

/*
 * Copy the words behind the name, which is that long at least and ends at a dot, into design->words;
 * part is cut to the name.
 */
static int take_args(struct parser *parser, struct part *part, size_t name_length,
		     struct clv_lock_args *args)
{
	const char *dot = memchr(part->text + name_length, '.', part->length - name_length);
	args->count = 0;
	if (!dot)
		return 0;
	struct part rest = { dot + 1, (size_t)(part->text + part->length - dot - 1) };
	part->length = (size_t)(dot - part->text);
	for (;;) {
		const char *next = memchr(rest.text, '.', rest.length);
		size_t length = next ? (size_t)(next - rest.text) : rest.length;
		struct part word = { rest.text, length };
		if (!length)
			return fail(parser, -EINVAL, rest, "empty argument before", "");
		if (args->count == sizeof(args->arg) / sizeof(args->arg[0]))
			return fail(parser, -EINVAL, word, "one argument too many:", "");
		if (parser->words_used + length + 1 > sizeof(parser->design->words))
			return fail(parser, -EINVAL, word, "too long at", "");
		char *copy = parser->design->words + parser->words_used;
		memcpy(copy, rest.text, length);
		copy[length] = '\0';
		parser->words_used += length + 1;
		args->arg[args->count++] = copy;
		if (!next)
			return 0;
		rest.length -= length + 1;
		rest.text = next + 1;
	}
}

static int parse_lock(struct parser *parser, struct part part, struct clv_lock_spec *spec)
{
	char known[192] = "";
	int code = take_args(parser, &part, clv_lock_name_length(part.text, part.length),
			     &spec->args);
	if (code)
		return code;
	spec->type = clv_lock_type_find(part.text, part.length);
	if (!spec->type) {
		known_locks(known, sizeof(known));
		return fail(parser, -EINVAL, part, "unknown lock", known);
	}
	if (spec->args.count && !spec->type->init)
		return fail(parser, -EINVAL, part, "no arguments are taken by lock", "");
	return 0;
}

static int parse_locks(struct parser *parser, struct part part)
{
	struct clv_design *design = parser->design;
	const struct clv_scheme *scheme = design->scheme;
	if (scheme->locks == CLV_SCHEME_NO_LOCK)
		return fail(parser, -ENOTSUP, part, "the scheme takes no lock, not", "");
	const char *plus = memchr(part.text, '+', part.length);
	struct part first = { part.text, plus ? (size_t)(plus - part.text) : part.length };
	int code = parse_lock(parser, first, &design->lock[0]);
	if (code || !plus)
		return code;
	struct part second = { plus + 1, part.length - first.length - 1 };
	if (scheme->locks != CLV_SCHEME_TWO_LOCKS)
		return fail(parser, -ENOTSUP, second, "the scheme takes one lock, not also", "");
	return parse_lock(parser, second, &design->lock[1]);
}

static int parse_scheme(struct parser *parser, struct part part)
{
	char known[128] = "";
	int code = take_args(parser, &part, 0, &parser->design->scheme_args);
	if (code)
		return code;
	parser->design->scheme = clv_scheme_find(part.text, part.length);
	if (!parser->design->scheme) {
		known_schemes(known, sizeof(known));
		return fail(parser, -EINVAL, part, "unknown scheme", known);
	}
	if (parser->design->scheme->locks == CLV_SCHEME_NO_LOCK &&
	    parser->design->structure->kind != CLEAVE_CONCURRENT)
		return fail(parser, -ENOTSUP, part,
			    "the structure does not synchronise itself under", "");
	return 0;
}

/* Cut off what stands before the first of `stops`; rest begins with that character, or is empty. */
static struct part cut(struct part *rest, const char *stops)
{
	struct part part = { rest->text, strcspn(rest->text, stops) };
	rest->text += part.length;
	rest->length -= part.length;
	return part;
}

static struct part behind(struct part *rest, const char *stops)
{
	rest->text++;
	rest->length--;
	return cut(rest, stops);
}

int clv_design_parse(struct clv_design *design, const char *text, struct cleave_error *error)
{
	struct parser parser = { .text = text, .error = error, .design = design };
	struct part rest = { text, strlen(text) };
	struct cleave_error inner;
	char known[160] = "";
	int code;

	memset(design, 0, sizeof(*design));
	if (rest.length > CLV_DESIGN_TYPED_MAX)
		return clv_error(error, -EINVAL, "design '%.60s...': longer than %d characters",
				 text, CLV_DESIGN_TYPED_MAX);
	if (strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_@/:+.") != rest.length) {
		size_t good = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_@/:+.");
		return fail(&parser, -EINVAL, (struct part){ text + good, 1 },
			    "a design has no", "");
	}
	struct part name = cut(&rest, "@/:");
	design->structure = clv_structure_find(name.text, name.length);
	if (!design->structure) {
		known_structures(known, sizeof(known));
		return fail(&parser, -EINVAL, name, "unknown structure", known);
	}
	if (rest.text[0] == '@') {
		struct part part = behind(&rest, "/:");
		code = clv_partition_parse(&design->partition, part.text, part.length, &inner);
		if (code)
			return clv_error(error, code, "design '%.60s': character %zu: %s", text,
					 (size_t)(part.text - text) + 1, inner.text);
	}
	struct part scheme = { "one", 3 };
	if (rest.text[0] == '/')
		scheme = behind(&rest, ":");
	else if (design->structure->kind == CLEAVE_CONCURRENT)
		scheme = (struct part){ "free", 4 };
	code = parse_scheme(&parser, scheme);
	if (code)
		return code;
	if (rest.text[0] == ':') {
		code = parse_locks(&parser, behind(&rest, ""));
		if (code)
			return code;
	} else if (design->scheme->locks != CLV_SCHEME_NO_LOCK) {
		design->lock[0].type = clv_lock_type_find("rwsem", 5);
	}
	if (design->scheme->locks == CLV_SCHEME_TWO_LOCKS && !design->lock[1].type)
		design->lock[1] = design->lock[0];
	return 0;
}

unsigned clv_design_waiting(const struct clv_design *design)
{
	unsigned flags = design->scheme->waiting;
	if (design->structure->flags & CLEAVE_SPINS)
		flags |= CLV_LOCK_SPINS;
	for (unsigned i = 0; i < sizeof(design->lock) / sizeof(design->lock[0]); i++)
		flags |= design->lock[i].type ? design->lock[i].type->flags : 0;
	return flags;
}

static void add_args(char *out, size_t out_bytes, const struct clv_lock_args *args)
{
	for (unsigned i = 0; i < args->count; i++) {
		size_t used = strlen(out);
		snprintf(out + used, out_bytes - used, ".%s", args->arg[i]);
	}
}

static void add(char *out, size_t out_bytes, const char *before, const char *name,
		const struct clv_lock_args *args)
{
	size_t used = strlen(out);
	snprintf(out + used, out_bytes - used, "%s%s", before, name);
	if (args)
		add_args(out, out_bytes, args);
}

void clv_design_name(const struct clv_design *design, char *out, size_t out_bytes)
{
	char partition[32];
	clv_partition_name(&design->partition, partition, sizeof(partition));
	out[0] = '\0';
	add(out, out_bytes, "", design->structure->name, NULL);
	if (partition[0])
		add(out, out_bytes, "@", partition, NULL);
	add(out, out_bytes, "/", design->scheme->name, &design->scheme_args);
	if (design->lock[0].type)
		add(out, out_bytes, ":", design->lock[0].type->name, &design->lock[0].args);
	if (design->lock[1].type)
		add(out, out_bytes, "+", design->lock[1].type->name, &design->lock[1].args);
}
