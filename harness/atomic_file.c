// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Writing a file whole or not at all: a temporary file in the same directory (rename(2) is atomic
 * only within a file system), written, synced to disk, renamed; then the directory is synced, since
 * the rename is its change. The order matters: a rename that reached the disk before the data did
 * would leave an empty file after a crash.
 *
 * The temporary file is made by open(2), not mkstemp(3), which would make it private: the umask can
 * be read only by changing it, under the feet of other threads.
 */
#include "atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct target {
	const char *path; /* as given, for messages */
	char *why;
	size_t why_size;
};

/* Returns: -error, which must be an errno. */
static int fail(const struct target *target, const char *step, int error)
{
	char text[128];

	if (target->why && target->why_size)
		snprintf(target->why, target->why_size, "%s %s: %s", step, target->path,
			 strerror_r(error, text, sizeof(text)));
	return -error;
}

int clv_file_put(int fd, const void *bytes, size_t size)
{
	const char *data = bytes;
	while (size) {
		ssize_t n = write(fd, data, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (n == 0)
			return EIO;
		data += n;
		size -= (size_t)n;
	}
	return 0;
}

/* Returns: the descriptor that the path stands for, -1 if it stands for none. */
static int named_descriptor(const char *path)
{
	static const char *const prefixes[] = { "/dev/fd/", "/proc/self/fd/" };

	if (!strcmp(path, "/dev/stdout"))
		return STDOUT_FILENO;
	if (!strcmp(path, "/dev/stderr"))
		return STDERR_FILENO;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		size_t n = strlen(prefixes[i]);
		if (strncmp(path, prefixes[i], n))
			continue;
		char *rest;
		errno = 0;
		long fd = strtol(path + n, &rest, 10);
		if (path[n] >= '0' && path[n] <= '9' && !*rest && !errno && fd <= INT_MAX)
			return (int)fd;
	}
	return -1;
}

/* Of a device or a pipe. No O_TRUNC: there is nothing to truncate. */
static int write_through(const struct target *target, const void *data, size_t size)
{
	int fd = open(target->path, O_WRONLY | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return fail(target, "open", errno);
	int error = clv_file_put(fd, data, size);
	if (close(fd) && !error)
		error = errno;
	return error ? fail(target, "write", error) : 0;
}

/*
 * "dir/.cleave-0123456789abcdef.tmp": of a length of its own, so that the longest file name has a
 * temporary one too.
 */
static int open_temporary(int dir, char *name, size_t name_size)
{
	for (int tries = 0; tries < 100; tries++) {
		uint64_t random;
		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return -1;
		snprintf(name, name_size, ".cleave-%016" PRIx64 ".tmp", random);
		int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				0666);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return -1;
}

/* `old` is the file to be replaced, NULL if there is none. */
static int fill(const struct target *target, int fd, const struct stat *old, const void *data,
		size_t size)
{
	int error = clv_file_put(fd, data, size);

	if (error)
		return fail(target, "write", error);
	if (old) {
		struct stat made;
		if (fstat(fd, &made))
			return fail(target, "stat", errno);
		mode_t mode = old->st_mode & 0777;
		/* Another's file becomes ours; what its group may do is not for our group. */
		if ((made.st_uid != old->st_uid || made.st_gid != old->st_gid) &&
		    fchown(fd, old->st_uid, old->st_gid) && fchown(fd, (uid_t)-1, old->st_gid))
			mode &= ~(mode_t)070;
		if (fchmod(fd, mode))
			return fail(target, "set the mode of", errno);
	}
	if (fsync(fd))
		return fail(target, "sync", errno);
	return 0;
}

static int replace(const struct target *target, int dir, const char *base, const struct stat *old,
		   const void *data, size_t size)
{
	char temporary[64];
	int fd = open_temporary(dir, temporary, sizeof(temporary));

	if (fd < 0)
		return fail(target, "create a temporary file for", errno);
	int rc = fill(target, fd, old, data, size);
	if (close(fd) && !rc)
		rc = fail(target, "close", errno);
	if (!rc && renameat(dir, temporary, dir, base))
		rc = fail(target, "rename to", errno);
	if (rc) {
		unlinkat(dir, temporary, 0);
		return rc;
	}
	/* EINVAL: a file system that cannot sync a directory, and need not */
	if (fsync(dir) && errno != EINVAL)
		return fail(target, "sync the directory of", errno);
	return 0;
}

/* `real` is the path without links in its last part. */
static int write_regular(const struct target *target, char *real, const struct stat *old,
			 const void *data, size_t size)
{
	char *slash = strrchr(real, '/');
	const char *base = slash ? slash + 1 : real;

	if (!*base)
		return fail(target, "open", EISDIR);
	/* As open(2) would have it. AT_EACCESS: by the ids that it would go by. */
	if (old && faccessat(AT_FDCWD, real, W_OK, AT_EACCESS))
		return fail(target, "open", errno);
	if (slash)
		*slash = '\0';
	int dir = open(!slash ? "." : slash == real ? "/" : real,
		       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return fail(target, "open the directory of", errno);
	int rc = replace(target, dir, base, old, data, size);
	close(dir);
	return rc;
}

int clv_file_write(const char *path, const void *data, size_t size, char *why, size_t why_size)
{
	struct target target = { path && *path ? path : "(no path)", why, why_size };
	struct stat st;

	if (why && why_size)
		why[0] = '\0';
	if (!path || !*path || (!data && size))
		return fail(&target, "write", EINVAL);

	int fd = named_descriptor(path);
	if (fd >= 0) {
		int error = clv_file_put(fd, data, size);
		return error ? fail(&target, "write", error) : 0;
	}

	bool exists = !stat(path, &st);
	if (!exists && errno != ENOENT)
		return fail(&target, "open", errno);
	if (exists && S_ISDIR(st.st_mode))
		return fail(&target, "open", EISDIR);
	if (exists && !S_ISREG(st.st_mode))
		return write_through(&target, data, size);
	/* A link to nothing: realpath cannot tell where it leads, and a rename would replace it. */
	struct stat link;
	if (!exists && !lstat(path, &link))
		return fail(&target, "follow the link", ENOENT);
	char *real = exists ? realpath(path, NULL) : strdup(path);
	if (!real)
		return fail(&target, "open", errno);
	int rc = write_regular(&target, real, exists ? &st : NULL, data, size);
	free(real);
	return rc;
}

int clv_file_obstacle(const char *path)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int length = slash == path ? 1 : slash ? (int)(slash - path) : 0;
	struct stat st;

	if (snprintf(directory, sizeof(directory), "%.*s", slash ? length : 1,
		     slash ? path : ".") >= (int)sizeof(directory))
		return ENAMETOOLONG;
	if (eaccess(directory, W_OK | X_OK))
		return errno;
	if (stat(path, &st))
		return errno == ENOENT ? 0 : errno;
	return S_ISDIR(st.st_mode) ? EISDIR : eaccess(path, W_OK) ? errno : 0;
}
