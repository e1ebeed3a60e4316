// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Looks through hwloc XML and synthetic strings before hwloc does; see topology_source.h for why.
 * What is bounded: the bytes of a file, its elements and their nesting, entities (none), the width
 * of sets, system numbers, the CPUs of a string. hwloc then takes some hundred MB at most. A
 * machine of 384 CPUs takes 250 KB of XML and 3,000 elements.
 *
 * Every '<' of an accepted file starts exactly one tag: text in which a reader that ignores quotes
 * or comments could see further tags is refused.
 */
#define _GNU_SOURCE /* memmem */
#include "topology_source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define XML_BYTES_LIMIT ((size_t)16 << 20)
#define XML_ELEMENTS_LIMIT 65536u
#define XML_DEPTH_LIMIT 128u
#define STRING_BYTES_LIMIT 4096u

#define BLANKS " \t\r\n"

/* ---- synthetic strings ---- */

/* Value of a run of digits, no more than `limit`; *text is moved behind it. */
static unsigned read_digits(const char **text, unsigned limit)
{
	unsigned value = 0;
	for (; isdigit((unsigned char)**text); (*text)++)
		value = value >= limit ? limit : value * 10 + (unsigned)(**text - '0');
	return value < limit ? value : limit;
}

/*
 * The attributes in (...), of which only lists of system numbers can make hwloc allocate: sizes are
 * stored and no more. Returns: behind the closing parenthesis, or NULL with the error written.
 */
static const char *skip_attributes(const char *text, const char *at, struct cleave_error *error)
{
	bool indexes = false;
	while (*at && *at != ')') {
		if (strncmp(at, "indexes=", 8) == 0)
			indexes = true;
		else if (*at == ' ')
			indexes = false;
		if (!indexes || !isdigit((unsigned char)*at)) {
			at++;
			continue;
		}
		const char *number = at;
		if (read_digits(&at, CLV_OS_LIMIT) == CLV_OS_LIMIT) {
			clv_error(error, -EINVAL,
				  "index too large in topology string: character %zu: at most %u",
				  (size_t)(number - text) + 1, CLV_OS_LIMIT - 1);
			return NULL;
		}
	}
	if (*at)
		return at + 1;
	clv_error(error, -EINVAL, "no ')' in topology string: character %zu", strlen(text));
	return NULL;
}

int clv_topology_check_string(const char *text, unsigned *cpus, struct cleave_error *error)
{
	if (strlen(text) > STRING_BYTES_LIMIT)
		return clv_error(error, -EINVAL, "topology string too long: more than %u bytes",
				 STRING_BYTES_LIMIT);

	unsigned product = 1;
	unsigned brackets = 0;
	bool arity = true; /* digits here are the number of children, not part of a name */
	for (const char *at = text; *at;) {
		if (*at == '(') {
			at = skip_attributes(text, at, error);
			if (!at)
				return -EINVAL;
			continue;
		}
		if (!arity || brackets || !isdigit((unsigned char)*at)) {
			arity = *at == ' ' || *at == ':';
			brackets += *at == '[';
			brackets -= *at == ']' && brackets;
			at++;
			continue;
		}
		const char *number = at;
		unsigned children = read_digits(&at, CLV_CPU_LIMIT + 1);
		if (!children)
			return clv_error(error, -EINVAL,
					 "nothing to count in topology string: character %zu: 0",
					 (size_t)(number - text) + 1);
		product *= children;
		if (product > CLV_CPU_LIMIT)
			return clv_error(error, -EINVAL,
					 "too many CPUs in topology string: character %zu: "
					 "more than %u",
					 (size_t)(number - text) + 1, CLV_CPU_LIMIT);
		arity = false;
	}
	*cpus = product;
	return 0;
}

/* ---- XML files ---- */

struct scan {
	const char *text, *at;
	unsigned elements, depth;
	bool prolog; /* no element yet */
	const char *why;
};

/* Moves scan->at behind `mark`. Returns: false if it is not there, or a '<' comes first. */
static bool skip_to(struct scan *scan, const char *mark, const char *why)
{
	const char *found = strstr(scan->at, mark);
	const char *tag = strchr(scan->at, '<');
	if (!found || (tag && tag < found)) {
		scan->why = why;
		return false;
	}
	scan->at = found + strlen(mark);
	return true;
}

/* <?xml ...?>: bytes are read as ASCII here, so an encoding that hides them is refused. */
static bool skip_instruction(struct scan *scan)
{
	scan->at += 2;
	const char *first = scan->at;
	if (!skip_to(scan, "?>", "a processing instruction does not finish"))
		return false;
	const char *encoding = memmem(first, (size_t)(scan->at - first), "encoding", 8);
	if (!encoding)
		return true;
	encoding += strlen("encoding");
	encoding += strspn(encoding, BLANKS "=\"'");
	if (strncasecmp(encoding, "utf-8", 5) == 0 && (encoding[5] == '"' || encoding[5] == '\''))
		return true;
	scan->at = encoding;
	scan->why = "an encoding other than UTF-8";
	return false;
}

/* <!DOCTYPE topology SYSTEM "hwloc2.dtd">; with [...] it could define entities. */
static bool skip_declaration(struct scan *scan)
{
	const char *first = scan->at;
	if (strncmp(first, "<!--", 4) == 0) {
		scan->at += 4;
		return skip_to(scan, "-->", "a comment does not finish, or has a '<'");
	}
	if (!scan->prolog || strncmp(first, "<!DOCTYPE", 9) != 0) {
		scan->why = "a declaration that hwloc does not write";
		return false;
	}
	scan->at++;
	if (!skip_to(scan, ">", "a document type with declarations of its own"))
		return false;
	if (!memchr(first, '[', (size_t)(scan->at - first)))
		return true;
	scan->at = first;
	scan->why = "a document type with declarations of its own";
	return false;
}

/*
 * The value of an attribute, between quotes. Wide sets and large numbers are what makes hwloc take
 * memory: a comma in a set stands for 32 CPUs.
 */
static bool check_value(struct scan *scan, bool index, const char *value, size_t length)
{
	uint64_t number = 0;
	unsigned commas = 0;
	for (size_t i = 0; i < length; i++) {
		if (value[i] == '<') {
			scan->why = "a tag does not finish";
			return false;
		}
		/* A reference may stand for a comma. */
		commas += value[i] == ',' || value[i] == '&';
		if (!index)
			continue;
		number = number * 10 + (unsigned char)value[i] - '0';
		if (!isdigit((unsigned char)value[i]) || number >= CLV_OS_LIMIT) {
			scan->why = "a number that is too large, or none";
			return false;
		}
	}
	if (commas > CLV_CPU_LIMIT / 32) {
		scan->why = "a set that is too wide";
		return false;
	}
	return true;
}

/* name="value", at scan->at. */
static bool skip_attribute(struct scan *scan)
{
	const char *name = scan->at;
	size_t length = strcspn(name, BLANKS "=<>/\"'");
	const char *at = name + length;
	at += strspn(at, BLANKS);
	at += *at == '=';
	at += strspn(at, BLANKS);
	char quote = *at;
	const char *value = at + 1;
	const char *behind = quote == '"' || quote == '\'' ? strchr(value, quote) : NULL;
	if (!length || !behind) {
		scan->why = "a tag that is not XML";
		return false;
	}
	bool index = length == strlen("os_index") && memcmp(name, "os_index", length) == 0;
	if (!check_value(scan, index, value, (size_t)(behind - value)))
		return false;
	scan->at = behind + 1;
	return true;
}

static bool skip_tag(struct scan *scan)
{
	scan->at++;
	bool closing = *scan->at == '/';
	scan->at += closing;
	scan->at += strcspn(scan->at, BLANKS "/<>");
	for (;;) {
		scan->at += strspn(scan->at, BLANKS);
		if (*scan->at == '>' || *scan->at == '/')
			break;
		if (!skip_attribute(scan))
			return false;
	}
	bool single = *scan->at == '/';
	scan->at += single;
	scan->prolog = false;
	if (*scan->at != '>' || (closing && single))
		scan->why = "a tag that is not XML";
	else if (closing && scan->depth-- == 0)
		scan->why = "more closing tags than opening ones";
	else if (!closing && ++scan->elements > XML_ELEMENTS_LIMIT)
		scan->why = "too many elements";
	else if (!closing && !single && ++scan->depth > XML_DEPTH_LIMIT)
		scan->why = "elements nested too deep";
	scan->at++;
	return !scan->why;
}

static int check_xml(const char *path, const char *text, size_t bytes, struct cleave_error *error)
{
	struct scan scan = { .text = text, .at = text, .prolog = true };
	if (strlen(text) != bytes) {
		scan.at += strlen(text);
		scan.why = "a zero byte";
		goto refuse;
	}
	if (strncmp(scan.at, "\xef\xbb\xbf", 3) == 0)
		scan.at += 3;
	scan.at += strspn(scan.at, BLANKS);
	scan.why = *scan.at == '<' ? NULL : "no tag at its start";
	while (!scan.why) {
		scan.at += strcspn(scan.at, "<");
		if (!*scan.at)
			break;
		bool fine = scan.at[1] == '?'	? skip_instruction(&scan)
			    : scan.at[1] == '!' ? skip_declaration(&scan)
						: skip_tag(&scan);
		if (!fine)
			break;
	}
	if (!scan.why && !scan.elements)
		scan.why = "no element";
	if (!scan.why && scan.depth)
		scan.why = "an element does not finish";
	if (!scan.why)
		return 0;
refuse:;
	unsigned line = 1;
	for (const char *at = text; at < scan.at; at++)
		line += *at == '\n';
	return clv_error(error, -EINVAL, "not a topology file: %.120s: line %u: %s", path, line,
			 scan.why);
}

/* Returns: bytes read, up to `room`; or a negative errno. */
static ssize_t read_all(int fd, char *text, size_t room)
{
	size_t bytes = 0;
	while (bytes < room) {
		ssize_t got = read(fd, text + bytes, room - bytes);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		bytes += (size_t)got;
	}
	return (ssize_t)bytes;
}

/* pre: fd is open. The size is looked at again after reading: the file may be growing. */
static int read_file(int fd, const char *path, char **text, size_t *bytes,
		     struct cleave_error *error)
{
	struct stat about;
	if (fstat(fd, &about))
		return clv_error(error, -errno, "cannot read: %.120s: %s", path, strerror(errno));
	if (!S_ISREG(about.st_mode))
		return clv_error(error, -EINVAL, "not a topology file: %.120s: %s", path,
				 S_ISDIR(about.st_mode) ? "a directory" : "not a plain file");
	if ((uintmax_t)about.st_size > XML_BYTES_LIMIT)
		return clv_error(error, -EINVAL,
				 "not a topology file: %.120s: larger than %zu bytes", path,
				 XML_BYTES_LIMIT);
	if (about.st_size == 0)
		return clv_error(error, -EINVAL, "not a topology file: %.120s: empty", path);

	size_t room = (size_t)about.st_size;
	char *read_text = malloc(room + 1);
	if (!read_text)
		return clv_error(error, -ENOMEM, "no memory: %.120s", path);
	ssize_t got = read_all(fd, read_text, room);
	if (got < 0) {
		free(read_text);
		return clv_error(error, (int)got, "cannot read: %.120s: %s", path,
				 strerror((int)-got));
	}
	read_text[got] = 0;
	int status = check_xml(path, read_text, (size_t)got, error);
	if (status) {
		free(read_text);
		return status;
	}
	*text = read_text;
	*bytes = (size_t)got;
	return 0;
}

int clv_topology_read_file(const char *path, char **text, size_t *bytes, struct cleave_error *error)
{
	/* O_NONBLOCK: opening a pipe would wait for its writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return clv_error(error, -errno, "cannot open: %.120s: %s", path, strerror(errno));
	int status = read_file(fd, path, text, bytes, error);
	close(fd);
	return status;
}
