// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The calibration as a machine file: see machine/model.h for what is in one. */
#define _GNU_SOURCE /* eaccess */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/error.h"
#include "../atomic_file.h"
#include "../machine/model_file.h"
#include "calibration.h"
#include "system.h"

enum { NAME_BYTES = sizeof(((struct clv_model *)NULL)->name) };

/* Four digits: the probes know no more, and the file is for people too. */
static double rounded(double value)
{
	char text[32];
	if (value == floor(value))
		return value;
	snprintf(text, sizeof(text), "%.4g", value);
	return strtod(text, NULL);
}

static json_t *parameter_json(const struct clv_calibrated *parameter)
{
	double value = rounded(parameter->value);
	json_t *number = value == floor(value) ? json_integer((json_int_t)value) : json_real(value);
	return json_pack("{s:o, s:s}", "value", number, "source", parameter->source);
}

json_t *clv_calibration_json(const struct clv_calibration *calibration, const char *name,
			     const char *summary, const char *topology)
{
	json_t *parameters = json_object();
	for (unsigned i = 0; i < CLV_CAL_PARAMETERS; i++) {
		if (json_object_set_new(parameters, clv_calibration_name(i),
					parameter_json(&calibration->parameter[i]))) {
			json_decref(parameters);
			return NULL;
		}
	}
	return json_pack("{s:s, s:i, s:s, s:s, s:i, s:s, s:o}", "format", "cleave-machine",
			 "format_version", 1, "name", name, "summary", summary, "revision", 1,
			 "topology", topology, "parameters", parameters);
}

/* machines/here.json -> machines/here.xml */
static int topology_path(char *out, const char *path, struct cleave_error *error)
{
	size_t length = strlen(path);
	if (length > 5 && !strcmp(path + length - 5, ".json"))
		length -= 5;
	if ((size_t)snprintf(out, PATH_MAX, "%.*s.xml", (int)length, path) >= PATH_MAX)
		return clv_error(error, -ENAMETOOLONG, "name too long: %.100s...", path);
	return 0;
}

/* Wrong here is what would be refused when the file is read. */
static int find_name(char name[NAME_BYTES], const char *path, struct cleave_error *error)
{
	const char *why = clv_model_name_of(path, name, NAME_BYTES);
	return why ? clv_error(error, -EINVAL, "%.150s: %s", path, why) : 0;
}

static int check_one(const char *path, struct cleave_error *error)
{
	struct stat st;
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int length = slash == path ? 1 : slash ? (int)(slash - path) : 0;

	if (!stat(path, &st)) {
		if (S_ISDIR(st.st_mode))
			return clv_error(error, -EISDIR, "cannot write: %.150s: is a directory",
					 path);
		if (!S_ISREG(st.st_mode))
			return clv_error(error, -EINVAL,
					 "cannot write: %.150s: not a regular file, and there are "
					 "two to write",
					 path);
		return eaccess(path, W_OK) ? clv_error(error, -errno, "cannot write: %.150s: %s",
						       path, strerror(errno))
					   : 0;
	}
	snprintf(directory, sizeof(directory), "%.*s", length ? length : 1, slash ? path : ".");
	if (stat(directory, &st) || eaccess(directory, W_OK | X_OK))
		return clv_error(error, -errno, "cannot write: %.150s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return clv_error(error, -ENOTDIR, "cannot write: %.150s: not in a directory", path);
	return 0;
}

int clv_calibration_check_path(const char *path, struct cleave_error *error)
{
	char topology[PATH_MAX], name[NAME_BYTES];
	const char *slash = strrchr(path, '/');
	if (!*path || (slash && !slash[1]))
		return clv_error(error, -EINVAL, "not the name of a file: '%.150s'", path);
	int status = topology_path(topology, path, error);
	size_t length = strlen(path);
	if (!status && length > 4 && !strcmp(path + length - 4, ".xml"))
		status = clv_error(error, -EINVAL,
				   "a machine file is JSON, the XML goes beside it: %.150s", path);
	if (!status)
		status = find_name(name, path, error);
	if (!status)
		status = check_one(path, error);
	return status ? status : check_one(topology, error);
}

static int write_both(const char *path, const char *text, const char *topology,
		      const struct clv_system *told, struct cleave_error *error)
{
	char why[256];
	bool was_there = !access(topology, F_OK);
	/* The topology first: a machine file never names one that is not there. */
	int status = clv_file_write(topology, told->xml, told->xml_bytes, why, sizeof(why));
	if (status)
		return clv_error(error, status, "%s", why);
	status = clv_file_write(path, text, strlen(text), why, sizeof(why));
	if (!status)
		return 0;
	if (!was_there)
		unlink(topology);
	return clv_error(error, status, "%s", why);
}

int clv_calibration_write(const struct clv_calibration *calibration, const struct clv_system *told,
			  const char *summary, const char *path, struct cleave_error *error)
{
	char topology[PATH_MAX], name[NAME_BYTES];
	int status = find_name(name, path, error);
	if (!status)
		status = topology_path(topology, path, error);
	if (status)
		return status;
	const char *slash = strrchr(topology, '/');
	json_t *object = clv_calibration_json(calibration, name, summary,
					      slash ? slash + 1 : topology);
	char *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
	json_decref(object);
	/* With the end of line that a text file has. */
	char *file = text ? realloc(text, strlen(text) + 2) : NULL;
	if (!file) {
		free(text);
		return clv_error(error, -ENOMEM, "no memory: %.150s", path);
	}
	strcat(file, "\n");
	status = write_both(path, file, topology, told, error);
	free(file);
	return status;
}
