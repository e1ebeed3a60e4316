// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Runs hwloc in a child process, for sources that may make it crash. The child sends what it read
 * through a pipe: the fixed part, then the records. What arrives is believed if all of it does.
 */
#define _GNU_SOURCE /* pipe2 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "topology_source.h"

#define CPU_SECONDS_LIMIT 10

static bool write_all(int fd, const void *data, size_t bytes)
{
	const char *at = data;
	while (bytes) {
		ssize_t put = write(fd, at, bytes);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		at += put;
		bytes -= (size_t)put;
	}
	return true;
}

static bool read_all(int fd, void *data, size_t bytes)
{
	char *at = data;
	while (bytes) {
		ssize_t got = read(fd, at, bytes);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		at += got;
		bytes -= (size_t)got;
	}
	return true;
}

/* ---- the child ---- */

/* Die at once and silently of whatever goes wrong, and leave no core file. */
static void confine(void)
{
	static const int deadly[] = { SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGXCPU };
	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		signal(deadly[i], SIG_DFL);
	const struct rlimit none = { 0, 0 };
	setrlimit(RLIMIT_CORE, &none);
	/* May fail where the limit is lower already, which serves as well. */
	const struct rlimit seconds = { CPU_SECONDS_LIMIT, CPU_SECONDS_LIMIT };
	setrlimit(RLIMIT_CPU, &seconds);
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (nowhere < 0 || dup2(nowhere, STDERR_FILENO) < 0)
		close(STDERR_FILENO);
}

static void read_and_send(const struct clv_topology_source *source, int fd)
{
	struct clv_topology_reading reading;
	confine();
	struct clv_cpu_record *records = clv_topology_read(source, &reading);
	size_t bytes = records ? reading.cpus * sizeof(*records) : 0;
	bool sent = write_all(fd, &reading, sizeof(reading)) && write_all(fd, records, bytes);
	/* Neither exit handlers nor buffers of the parent's are the child's. */
	_exit(sent ? 0 : 1);
}

/* ---- the parent ---- */

static struct clv_cpu_record *fail(struct clv_topology_reading *reading, int status,
				   const char *what, const char *name)
{
	reading->status = clv_error(&reading->error, status, "%s: %.120s", what, name);
	return NULL;
}

static struct clv_cpu_record *receive(const struct clv_topology_source *source,
				      struct clv_topology_reading *reading, int fd)
{
	static const char broken[] = "not a topology: hwloc breaks down on it or takes too long";
	if (!read_all(fd, reading, sizeof(*reading)))
		return fail(reading, -EINVAL, broken, source->name);
	if (reading->status)
		return NULL;
	struct clv_cpu_record *records = calloc(reading->cpus, sizeof(*records));
	if (!records)
		return fail(reading, -ENOMEM, "no memory", source->name);
	if (read_all(fd, records, reading->cpus * sizeof(*records)))
		return records;
	free(records);
	return fail(reading, -EINVAL, broken, source->name);
}

struct clv_cpu_record *clv_topology_read_apart(const struct clv_topology_source *source,
					       struct clv_topology_reading *reading)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC))
		return fail(reading, -errno, strerror(errno), source->name);
	pid_t child = fork();
	if (child < 0) {
		int status = -errno;
		close(ends[0]);
		close(ends[1]);
		return fail(reading, status, strerror(-status), source->name);
	}
	if (child == 0) {
		close(ends[0]);
		read_and_send(source, ends[1]);
	}
	close(ends[1]);
	struct clv_cpu_record *records = receive(source, reading, ends[0]);
	close(ends[0]);
	/* How it ended does not matter; the program may have arranged not to be told. */
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return records;
}
