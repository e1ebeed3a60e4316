// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Reads a machine file. It is somebody else's: bounded in size before it is parsed, and what it
 * calls its topology goes through the limits of topology_source.h. Everything in it is known, and
 * everything known is in it.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "../../lib/error.h"
#include "../../lib/topology.h"
#include "../../lib/topology_source.h"
#include "model_file.h"

#define FILE_BYTES_LIMIT ((size_t)1 << 20)
#define FORMAT "cleave-machine"
#define FORMAT_VERSION 1

struct reading {
	struct clv_model *model;
	const char *path; /* as given; of a built-in model its name */
	struct cleave_error *error;
};

static int __attribute__((format(printf, 2, 3)))
refuse(const struct reading *reading, const char *format, ...)
{
	char why[200];
	va_list args;
	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	/* What a file quotes may be anything; the error is one line. */
	for (char *at = why; *at; at++) {
		if (iscntrl((unsigned char)*at))
			*at = '?';
	}
	return clv_error(reading->error, -EINVAL, "not a machine file: %.100s: %s", reading->path,
			 why);
}

static int no_memory(const struct reading *reading)
{
	return clv_error(reading->error, -ENOMEM, "no memory: machine %.100s", reading->path);
}

/* ---- members ---- */

static bool is_one_of(const char *key, const char *const *known)
{
	for (; *known; known++) {
		if (!strcmp(key, *known))
			return true;
	}
	return false;
}

/* Every member is one of `known`; `where` goes before what is wrong. */
static int check_members(const struct reading *reading, json_t *object, const char *where,
			 const char *const *known)
{
	const char *key;
	json_t *value;
	json_object_foreach(object, key, value)
	{
		if (!is_one_of(key, known))
			return refuse(reading, "%sunknown member '%.60s'", where, key);
	}
	return 0;
}

/* A line of text with something in it. Returns: NULL with the error written. */
static const char *read_text(const struct reading *reading, json_t *object, const char *where,
			     const char *key)
{
	json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);
	const char *why = !value ? "missing" : !text ? "not a string" : NULL;
	if (text && !text[strspn(text, " ")])
		why = "empty";
	for (const char *at = text; at && *at; at++) {
		if (iscntrl((unsigned char)*at))
			why = "has a control character";
	}
	if (!why)
		return text;
	refuse(reading, "%s%s: %s", where, key, why);
	return NULL;
}

/* The same into out[room]. */
static int copy_text(const struct reading *reading, const char *key, char *out, size_t room)
{
	const char *text = read_text(reading, reading->model->root, "", key);
	if (!text)
		return -EINVAL;
	if (strlen(text) >= room)
		return refuse(reading, "%s: longer than %zu bytes", key, room - 1);
	strcpy(out, text);
	return 0;
}

/* A whole number from `low` to `high`. */
static int read_number(const struct reading *reading, const char *key, unsigned low, unsigned high,
		       unsigned *out)
{
	json_t *value = json_object_get(reading->model->root, key);
	if (!value)
		return refuse(reading, "%s: missing", key);
	if (!json_is_integer(value) || json_integer_value(value) < (json_int_t)low ||
	    json_integer_value(value) > (json_int_t)high)
		return refuse(reading, "%s: not a whole number from %u to %u", key, low, high);
	*out = (unsigned)json_integer_value(value);
	return 0;
}

static int read_format(const struct reading *reading)
{
	static const char *const known[] = { "format",	 "format_version", "name",	 "summary",
					     "revision", "topology",	   "parameters", NULL };
	json_t *version = json_object_get(reading->model->root, "format_version");
	char format[32];

	int code = copy_text(reading, "format", format, sizeof(format));
	if (code)
		return code;
	if (strcmp(format, FORMAT))
		return refuse(reading, "format: '%s', not '%s'", format, FORMAT);
	if (!version)
		return refuse(reading, "format_version: missing");
	if (!json_is_integer(version) || json_integer_value(version) != FORMAT_VERSION)
		return refuse(reading, "format_version: not %d, which is all that is known here",
			      FORMAT_VERSION);
	return check_members(reading, reading->model->root, "", known);
}

/* The file's name without folder and .json; `length` is set. */
static const char *stem_of(const char *path, size_t *length)
{
	const char *slash = strrchr(path, '/');
	const char *stem = slash ? slash + 1 : path;
	*length = strlen(stem);
	if (*length > 5 && !strcmp(stem + *length - 5, ".json"))
		*length -= 5;
	return stem;
}

static bool is_plain(const char *name)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_.-";
	return !name[strspn(name, plain)];
}

/* Results tell machines apart by their names: no file has the host's, or a built-in one's. */
static bool is_taken(const char *name)
{
	const struct clv_machine_info *info;
	for (unsigned i = 0; (info = clv_machine_info_at(i)); i++) {
		if (!strcmp(info->name, name))
			return true;
	}
	return false;
}

const char *clv_model_name_of(const char *path, char *name, size_t room)
{
	size_t length;
	const char *stem = stem_of(path, &length);
	if (length >= room)
		return "too long for a machine's name";
	snprintf(name, room, "%.*s", (int)length, stem);
	if (!is_plain(name))
		return "a machine's name is made of letters, digits and _.-";
	return is_taken(name) ? "a machine of this name is there already; see cleave list machines" :
				NULL;
}

static const struct clv_built_in *find_built_in(const char *name)
{
	for (unsigned i = 0; i < clv_built_ins; i++) {
		if (!strcmp(clv_built_in[i].info.name, name))
			return &clv_built_in[i];
	}
	return NULL;
}

static int read_names(const struct reading *reading)
{
	struct clv_model *model = reading->model;
	size_t length;

	int code = copy_text(reading, "name", model->name, sizeof(model->name));
	if (code)
		return code;
	if (!is_plain(model->name))
		return refuse(reading, "name: '%s' is not made of letters, digits and _.-",
			      model->name);
	const char *stem = stem_of(reading->path, &length);
	if (strlen(model->name) != length || memcmp(model->name, stem, length))
		return refuse(reading, "name: '%s' is not that of the file", model->name);
	if (!find_built_in(reading->path) && is_taken(model->name))
		return refuse(reading, "name: '%s' is another machine's; see cleave list machines",
			      model->name);
	code = copy_text(reading, "summary", model->summary, sizeof(model->summary));
	if (code)
		return code;
	return read_number(reading, "revision", 1, 1000000, &model->revision);
}

/* ---- parameters ---- */

static int read_parameter(const struct reading *reading, json_t *parameters,
			  const struct clv_parameter *parameter)
{
	static const char *const known[] = { "value", "source", NULL };
	json_t *object = json_object_get(parameters, parameter->name);
	json_t *value = json_object_get(object, "value");
	struct cleave_error why;
	char where[64];

	snprintf(where, sizeof(where), "parameter %s: ", parameter->name);
	if (!object)
		return refuse(reading, "%smissing", where);
	if (!json_is_object(object))
		return refuse(reading, "%snot an object with value and source", where);
	if (check_members(reading, object, where, known))
		return -EINVAL;
	if (!value)
		return refuse(reading, "%svalue: missing", where);
	if (!json_is_number(value))
		return refuse(reading, "%svalue: not a number", where);
	if (clv_costs_set(&reading->model->costs, parameter, json_number_value(value), &why))
		return refuse(reading, "%s", why.text);
	return read_text(reading, object, where, "source") ? 0 : -EINVAL;
}

static int read_parameters(const struct reading *reading)
{
	json_t *parameters = json_object_get(reading->model->root, "parameters");
	const struct clv_parameter *parameter;
	struct cleave_error why;
	const char *key;
	json_t *value;

	if (!json_is_object(parameters))
		return refuse(reading, "parameters: %s", parameters ? "not an object" : "missing");
	json_object_foreach(parameters, key, value)
	{
		if (!clv_parameter_find(key))
			return refuse(reading,
				      "parameter '%.60s': unknown; see cleave list parameters",
				      key);
	}
	for (unsigned i = 0; (parameter = clv_parameter_at(i)); i++) {
		int code = read_parameter(reading, parameters, parameter);
		if (code)
			return code;
	}
	return clv_costs_check(&reading->model->costs, &why) ? refuse(reading, "%s", why.text) : 0;
}

/* ---- topology ---- */

/* As clv_topology_load tells them apart. */
static bool names_file(const char *topology)
{
	size_t length = strlen(topology);
	return strchr(topology, '/') || (length >= 4 && !strcmp(topology + length - 4, ".xml"));
}

/* A file is beside the machine file, unless its path is absolute. Returns: NULL for no memory. */
static char *locate(const struct reading *reading, const char *topology)
{
	const char *slash = strrchr(reading->path, '/');
	char *located;
	if (!names_file(topology) || *topology == '/' || !slash)
		return strdup(topology);
	if (asprintf(&located, "%.*s%s", (int)(slash - reading->path) + 1, reading->path,
		     topology) < 0)
		return NULL;
	return located;
}

/* The same machine is the same wherever its XML lies: by what is in it. */
static int hash_topology(const struct reading *reading, struct cleave_error *why)
{
	struct clv_model *model = reading->model;
	char *text;
	size_t bytes;
	if (!names_file(model->topology)) {
		model->topology_hash =
			clv_hash(CLV_HASH_EMPTY, model->topology, strlen(model->topology));
		return 0;
	}
	int code = clv_topology_read_file(model->topology, &text, &bytes, why);
	if (code)
		return code;
	model->topology_hash = clv_hash(CLV_HASH_EMPTY, text, bytes);
	free(text);
	return 0;
}

static int read_topology(const struct reading *reading)
{
	struct clv_model *model = reading->model;
	struct clv_topology *topology = NULL;
	struct cleave_error why;
	const char *text = read_text(reading, model->root, "", "topology");
	if (!text)
		return -EINVAL;
	model->topology = locate(reading, text);
	if (!model->topology)
		return no_memory(reading);
	int code = hash_topology(reading, &why);
	if (!code)
		code = clv_topology_load(&topology, model->topology, &why);
	if (code == -ENOMEM)
		return no_memory(reading);
	if (code)
		return refuse(reading, "topology: %s", why.text);
	if (!topology->has_l3)
		code = refuse(reading, "topology: has no L3 cache, which costs are told apart by");
	clv_topology_free(topology);
	return code;
}

/* ---- the whole ---- */

static int parse(const struct reading *reading, size_t bytes)
{
	struct clv_model *model = reading->model;
	json_error_t why;

	model->root = json_loadb(model->json, bytes, JSON_REJECT_DUPLICATES, &why);
	if (!model->root)
		return json_error_code(&why) == json_error_out_of_memory
			       ? no_memory(reading)
			       : refuse(reading, "line %d: %s", why.line, why.text);
	if (!json_is_object(model->root))
		return refuse(reading, "line 1: not an object");
	int code = read_format(reading);
	if (!code)
		code = read_names(reading);
	if (!code)
		code = read_parameters(reading);
	if (!code)
		code = read_topology(reading);
	if (!code)
		clv_model_digest(model);
	return code;
}

/* pre: fd is open; read until its end or the limit, since a file can grow. */
static int read_file(const struct reading *reading, int fd, char *text, size_t *bytes)
{
	struct stat about;
	*bytes = 0;
	if (fstat(fd, &about))
		return clv_error(reading->error, -errno, "cannot read: %.100s: %s", reading->path,
				 strerror(errno));
	if (!S_ISREG(about.st_mode))
		return refuse(reading, "%s",
			      S_ISDIR(about.st_mode) ? "a directory" : "not a plain file");
	while (*bytes <= FILE_BYTES_LIMIT) {
		ssize_t got = read(fd, text + *bytes, FILE_BYTES_LIMIT + 1 - *bytes);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return clv_error(reading->error, -errno, "cannot read: %.100s: %s",
					 reading->path, strerror(errno));
		if (!got)
			break;
		*bytes += (size_t)got;
	}
	if (*bytes > FILE_BYTES_LIMIT)
		return refuse(reading, "larger than %zu bytes", FILE_BYTES_LIMIT);
	return *bytes ? 0 : refuse(reading, "empty");
}

/* Into model->json, zero-terminated. */
static int read_path(const struct reading *reading, size_t *bytes)
{
	/* O_NONBLOCK: opening a pipe would wait for its writer. */
	int fd = open(reading->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return clv_error(reading->error, -errno, "cannot open: %.120s: %s", reading->path,
				 strerror(errno));
	char *text = malloc(FILE_BYTES_LIMIT + 1);
	int code = text ? read_file(reading, fd, text, bytes) : no_memory(reading);
	close(fd);
	if (!code) {
		text[*bytes] = '\0';
		/* The room was for the largest. */
		reading->model->json = realloc(text, *bytes + 1);
		if (reading->model->json)
			return 0;
		code = no_memory(reading);
	}
	free(text);
	return code;
}

/* ---- by name ---- */

const struct clv_model_info *clv_model_info_at(unsigned i)
{
	return i < clv_built_ins ? &clv_built_in[i].info : NULL;
}

static bool ends_in_json(const char *name)
{
	size_t length = strlen(name);
	return length > 5 && !strcmp(name + length - 5, ".json");
}

bool clv_model_known(const char *name)
{
	return find_built_in(name) || ends_in_json(name);
}

static int load(const struct reading *reading, const struct clv_built_in *built_in)
{
	size_t bytes = 0;
	int code = 0;
	if (built_in) {
		bytes = built_in->json_bytes;
		reading->model->json = strndup(built_in->json, bytes);
		if (!reading->model->json)
			code = no_memory(reading);
	} else {
		code = read_path(reading, &bytes);
	}
	return code ? code : parse(reading, bytes);
}

int clv_model_load(struct clv_model **model, const char *name, struct cleave_error *error)
{
	const struct clv_built_in *built_in = find_built_in(name);
	if (!built_in && !strchr(name, '/') && !ends_in_json(name))
		return clv_error(error, -ENOENT,
				 "machine '%.80s': unknown; see cleave list machines", name);
	struct reading reading = {
		.model = calloc(1, sizeof(**model)),
		.path = name,
		.error = error,
	};
	if (!reading.model)
		return no_memory(&reading);
	int code = load(&reading, built_in);
	if (code)
		clv_model_free(reading.model);
	else
		*model = reading.model;
	return code;
}
