// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A program's streams are files in memory: with pipes one would have to read and write at once, or
 * a program that fills one while we fill the other stands still.
 */
#define _GNU_SOURCE
#include "tool.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/error.h"
#include "atomic_file.h"

extern char **environ;

enum { STREAMS = 3 };

/* Returns: 0, the file being read from its start; negative errno. */
static int put_rewound(int file, const char *data, size_t bytes)
{
	int obstacle = clv_file_put(file, data, bytes);
	if (obstacle)
		return -obstacle;
	return lseek(file, 0, SEEK_SET) < 0 ? -errno : 0;
}

/* All of a file, whatever its position. Returns: 0; negative errno. */
static int get_all(int file, char **data, size_t *bytes)
{
	struct stat about;
	if (fstat(file, &about))
		return -errno;
	*bytes = (size_t)about.st_size;
	*data = malloc(*bytes + 1);
	if (!*data)
		return -ENOMEM;
	for (size_t at = 0; at < *bytes;) {
		ssize_t got = pread(file, *data + at, *bytes - at, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			free(*data);
			return got ? -errno : -EIO;
		}
		at += (size_t)got;
	}
	(*data)[*bytes] = '\0';
	return 0;
}

/* Above the standard streams, which may be closed: a dup2 there would hit the next one. */
static int make_stream(const char *name)
{
	int file = memfd_create(name, MFD_CLOEXEC);
	if (file < 0 || file >= STREAMS)
		return file < 0 ? -errno : file;
	int above = fcntl(file, F_DUPFD_CLOEXEC, STREAMS);
	int status = above < 0 ? -errno : above;
	close(file);
	return status;
}

/* Returns: 0 with *ended as of waitpid; negative errno, -ENOENT: no such program. */
static int run_to_end(const char *const *argv, const int *stream, int *ended)
{
	posix_spawn_file_actions_t actions;
	pid_t child;
	int status = posix_spawn_file_actions_init(&actions);
	if (status)
		return -status;
	for (int i = 0; !status && i < STREAMS; i++)
		status = posix_spawn_file_actions_adddup2(&actions, stream[i], i);
	if (!status)
		status =
			posix_spawnp(&child, argv[0], &actions, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (status)
		return -status;
	while (waitpid(child, ended, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* From what it printed on standard error: the first line that says something. */
static int report_end(const char *name, int ended, const char *said, struct cleave_error *error)
{
	static const char ours[] = "cleave: ";
	said += strspn(said, " \t\r\n");
	int length = (int)strcspn(said, "\r\n");
	int code = WIFEXITED(ended) && WEXITSTATUS(ended) == 2 ? -EINVAL : -EIO;
	if (!strncmp(said, ours, strlen(ours)))
		return clv_error(error, code, "%.*s", length - (int)strlen(ours),
				 said + strlen(ours));
	if (length)
		return clv_error(error, code, "%s failed: %.*s", name, length, said);
	if (WIFSIGNALED(ended))
		return clv_error(error, code, "%s failed: signal %d", name, WTERMSIG(ended));
	return clv_error(error, code, "%s failed: status %d", name, WEXITSTATUS(ended));
}

int clv_tool_run(const char *const *argv, const void *input, size_t input_bytes, char **output,
		 size_t *output_bytes, const char *missing, struct cleave_error *error)
{
	int stream[STREAMS] = { -1, -1, -1 };
	int ended = 0, status = 0;
	char *said = NULL;
	size_t said_bytes;

	for (int i = 0; !status && i < STREAMS; i++) {
		stream[i] = make_stream(argv[0]);
		status = stream[i] < 0 ? stream[i] : 0;
	}
	if (!status)
		status = put_rewound(stream[0], input, input_bytes);
	if (!status)
		status = run_to_end(argv, stream, &ended);
	if (!status)
		status = get_all(stream[2], &said, &said_bytes);
	if (status == -ENOENT)
		clv_error(error, status, "%s", missing);
	else if (status)
		clv_error(error, status, "cannot run %s: %s", argv[0], strerror(-status));
	else if (!WIFEXITED(ended) || WEXITSTATUS(ended))
		status = report_end(argv[0], ended, said, error);
	else if ((status = get_all(stream[1], output, output_bytes)))
		clv_error(error, status, "cannot read from %s: %s", argv[0], strerror(-status));
	free(said);
	for (int i = 0; i < STREAMS; i++)
		if (stream[i] >= 0)
			close(stream[i]);
	return status;
}
