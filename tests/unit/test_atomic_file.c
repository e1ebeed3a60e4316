// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * clv_file_write: the whole file or the old one, whatever goes wrong, and nothing left beside it.
 * Each test has a directory of its own; Criterion runs each in a process of its own, so that
 * limits, mounts and masks set here end with it.
 */
#include "harness/atomic_file.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/cleave-test-XXXXXX";
static char file[PATH_MAX];
static char why[PATH_MAX + 128];

static void enter(void)
{
	cr_assert_not_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/results.json", dir);
}

/* Returns: how many names the directory holds; `first` is one of them. */
static int count_names(const char *path, char *first, size_t size)
{
	DIR *d = opendir(path);
	int n = 0;

	cr_assert_not_null(d);
	for (struct dirent *entry; (entry = readdir(d));) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(first, size, "%s", entry->d_name);
		n++;
	}
	closedir(d);
	return n;
}

static void leave(void)
{
	char name[PATH_MAX], path[2 * PATH_MAX];

	while (count_names(dir, name, sizeof(name))) {
		snprintf(path, sizeof(path), "%s/%s", dir, name);
		if (unlink(path) && rmdir(path))
			break;
	}
	rmdir(dir);
}

/* Criterion runs no .fini after it. */
static void skip(const char *reason, int error)
{
	leave();
	cr_skip_test("%s: %s", reason, strerror(error));
}

TestSuite(atomic_file, .init = enter, .fini = leave);

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	cr_assert(f && fputs(text, f) >= 0 && !fclose(f), "%s: %s", path, strerror(errno));
}

static void expect_text(const char *path, const char *text)
{
	char buffer[4096];
	FILE *f = fopen(path, "r");

	cr_assert(f, "%s: %s", path, strerror(errno));
	size_t n = fread(buffer, 1, sizeof(buffer) - 1, f);
	fclose(f);
	buffer[n] = '\0';
	cr_assert_str_eq(buffer, text);
}

static void expect_alone(const char *path)
{
	char name[PATH_MAX];
	int n = count_names(path, name, sizeof(name));

	cr_assert_eq(n, 1, "%d names in %s, one is %s", n, path, name);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	cr_assert(!stat(path, &st), "%s: %s", path, strerror(errno));
	return st.st_mode & 07777;
}

static int write_text(const char *path, const char *text)
{
	return clv_file_write(path, text, strlen(text), why, sizeof(why));
}

Test(atomic_file, new_file)
{
	umask(027);
	cr_assert_eq(write_text(file, "one\n"), 0, "%s", why);
	cr_assert_str_eq(why, "");
	expect_text(file, "one\n");
	expect_alone(dir);
	cr_assert_eq(mode_of(file), 0640, "mode %o", mode_of(file));
}

Test(atomic_file, empty_file)
{
	put(file, "old");
	cr_assert_eq(clv_file_write(file, NULL, 0, NULL, 0), 0);
	expect_text(file, "");
}

Test(atomic_file, replaced_file_keeps_its_mode)
{
	struct stat before, after;

	umask(022);
	put(file, "old");
	cr_assert(!chmod(file, 0604) && !stat(file, &before));
	cr_assert_eq(write_text(file, "new"), 0, "%s", why);
	expect_text(file, "new");
	expect_alone(dir);
	cr_assert_eq(mode_of(file), 0604, "mode %o", mode_of(file));
	cr_assert(!stat(file, &after));
	cr_assert_neq(before.st_ino, after.st_ino, "written in place");
}

/* Of more than one write(2), of every byte, in a directory that is the current one. */
Test(atomic_file, large_file_by_relative_path)
{
	size_t size = 3 << 20;
	unsigned char *data = malloc(size), *back = malloc(size + 1);

	cr_assert(data && back && !chdir(dir));
	for (size_t i = 0; i < size; i++)
		data[i] = (unsigned char)(i * 2654435761u >> 13);
	cr_assert_eq(clv_file_write("results.json", data, size, why, sizeof(why)), 0, "%s", why);
	FILE *f = fopen(file, "r");
	cr_assert_not_null(f);
	cr_assert_eq(fread(back, 1, size + 1, f), size);
	fclose(f);
	cr_assert(!memcmp(data, back, size));
	cr_assert(!chdir("/"));
	free(data);
	free(back);
}

Test(atomic_file, longest_name)
{
	char path[PATH_MAX];

	int n = snprintf(path, sizeof(path), "%s/", dir);
	memset(path + n, 'x', NAME_MAX);
	path[n + NAME_MAX] = '\0';
	cr_assert_eq(write_text(path, "long"), 0, "%s", why);
	expect_text(path, "long");
}

/* The write stops part of the way: what a full disk does, without a disk to fill. */
Test(atomic_file, cut_off_write_keeps_the_old_file)
{
	char data[8192];
	struct rlimit limit = { 4096, 4096 };

	memset(data, 'x', sizeof(data));
	put(file, "old");
	signal(SIGXFSZ, SIG_IGN);
	cr_assert(!setrlimit(RLIMIT_FSIZE, &limit));
	cr_assert_eq(clv_file_write(file, data, sizeof(data), why, sizeof(why)), -EFBIG);
	cr_assert(strstr(why, "write ") == why && strstr(why, file) && strstr(why, "too large"),
		  "%s", why);
	expect_text(file, "old");
	expect_alone(dir);
}

Test(atomic_file, full_disk_keeps_the_old_file)
{
	size_t size = 1 << 20;
	char *data = calloc(1, size);
	char expected[PATH_MAX + 128];

	cr_assert_not_null(data);
	/* A mount that only this process sees. */
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", dir, "tmpfs", 0, "size=64k"))
		skip("cannot mount a tmpfs of its own", errno);
	put(file, "old");
	cr_assert_eq(clv_file_write(file, data, size, why, sizeof(why)), -ENOSPC);
	snprintf(expected, sizeof(expected), "write %s: No space left on device", file);
	cr_assert_str_eq(why, expected);
	expect_text(file, "old");
	expect_alone(dir);
	/* What was taken for the attempt is free again. */
	cr_assert_eq(clv_file_write(file, data, 32 << 10, why, sizeof(why)), 0, "%s", why);
	umount(dir);
	free(data);
}

/* A fault in what is tested would have root replace a device of this machine: be nobody. */
static void become_nobody(void)
{
	if (!geteuid())
		cr_assert(!setegid(65534) && !seteuid(65534), "%s", strerror(errno));
}

static void become_oneself(void)
{
	if (!getuid())
		cr_assert(!seteuid(0) && !setegid(0), "%s", strerror(errno));
}

Test(atomic_file, device_is_written_straight_through)
{
	become_nobody();
	cr_assert_eq(write_text("/dev/full", "x"), -ENOSPC);
	cr_assert_str_eq(why, "write /dev/full: No space left on device");
	cr_assert_eq(write_text("/dev/null", "x"), 0, "%s", why);
	struct stat st;
	cr_assert(!stat("/dev/null", &st) && S_ISCHR(st.st_mode), "/dev/null was replaced");
	become_oneself();
}

Test(atomic_file, link_to_a_device)
{
	cr_assert(!symlink("/dev/full", file));
	cr_assert(!chmod(dir, 0755));
	become_nobody();
	cr_assert_eq(write_text(file, "x"), -ENOSPC);
	expect_alone(dir);
	become_oneself();
}

/* At the descriptor's own place in the file: what was printed before stays. */
Test(atomic_file, standard_output_that_is_a_file)
{
	int fd = open(file, O_WRONLY | O_CREAT, 0600);

	cr_assert_geq(fd, 0);
	int saved = dup(STDOUT_FILENO);
	cr_assert_eq(write(fd, "printed ", 8), 8);
	cr_assert_eq(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
	become_nobody();
	int rc = write_text("/dev/stdout", "json ");
	int rc_number = write_text("/dev/fd/1", "again");
	become_oneself();
	dup2(saved, STDOUT_FILENO);
	cr_assert(!rc && !rc_number, "%s", why);
	expect_text(file, "printed json again");
	cr_assert_eq(write_text("/proc/self/fd/12345", "x"), -EBADF);
}

Test(atomic_file, pipe)
{
	char path[32], back[8] = "";
	int ends[2];

	cr_assert(!mkfifo(file, 0600));
	ends[0] = open(file, O_RDONLY | O_NONBLOCK);
	cr_assert_geq(ends[0], 0);
	cr_assert_eq(write_text(file, "fifo"), 0, "%s", why);
	cr_assert_eq(read(ends[0], back, sizeof(back)), 4);
	cr_assert_str_eq(back, "fifo");
	close(ends[0]);

	cr_assert(!pipe(ends));
	close(ends[0]);
	signal(SIGPIPE, SIG_IGN);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[1]);
	cr_assert_eq(write_text(path, "x"), -EPIPE, "%s", why);
}

Test(atomic_file, link_is_followed)
{
	char link[2 * PATH_MAX];
	struct stat st;

	put(file, "old");
	snprintf(link, sizeof(link), "%s/link", dir);
	cr_assert(!symlink("results.json", link));
	cr_assert_eq(write_text(link, "new"), 0, "%s", why);
	expect_text(file, "new");
	cr_assert(!lstat(link, &st) && S_ISLNK(st.st_mode), "the link was replaced");

	cr_assert(!unlink(file));
	cr_assert_eq(write_text(link, "x"), -ENOENT);
	cr_assert(!lstat(link, &st) && S_ISLNK(st.st_mode), "the link was replaced");
	cr_assert_neq(access(file, F_OK), 0);
}

Test(atomic_file, bad_paths)
{
	char path[2 * PATH_MAX];

	cr_assert_eq(write_text(NULL, "x"), -EINVAL);
	cr_assert_eq(write_text("", "x"), -EINVAL);
	cr_assert_eq(clv_file_write(file, NULL, 1, why, sizeof(why)), -EINVAL);
	cr_assert_eq(write_text(dir, "x"), -EISDIR);
	snprintf(path, sizeof(path), "%s/", dir);
	cr_assert_eq(write_text(path, "x"), -EISDIR);
	snprintf(path, sizeof(path), "%s/new/", dir);
	cr_assert_eq(write_text(path, "x"), -EISDIR);
	snprintf(path, sizeof(path), "%s/none/results.json", dir);
	cr_assert_eq(write_text(path, "x"), -ENOENT);
	cr_assert(strstr(why, path) && strstr(why, "No such file"), "%s", why);
	put(file, "old");
	snprintf(path, sizeof(path), "%s/results.json/x", dir);
	cr_assert_eq(write_text(path, "x"), -ENOTDIR);
	expect_text(file, "old");
	expect_alone(dir);
}

/* The line is cut, not overrun. */
Test(atomic_file, short_room_for_the_reason)
{
	char room[8] = "#######";

	become_nobody();
	cr_assert_eq(clv_file_write("/dev/full", "x", 1, room, 6), -ENOSPC);
	cr_assert_str_eq(room, "write");
	cr_assert_eq(room[6], '#');
	cr_assert_eq(clv_file_write("/dev/full", "x", 1, room, 0), -ENOSPC);
	cr_assert_eq(clv_file_write("/dev/full", "x", 1, NULL, 0), -ENOSPC);
	become_oneself();
}

/* Root may write anywhere: become nobody first. */
Test(atomic_file, what_may_not_be_written_is_kept)
{
	put(file, "old");
	cr_assert(!chmod(file, 0444));
	cr_assert(!chmod(dir, 0777));
	become_nobody();
	cr_assert_eq(write_text(file, "new"), -EACCES);
	expect_text(file, "old");
	expect_alone(dir);
	become_oneself();
	cr_assert(!chmod(file, 0666) && !chmod(dir, 0555));
	become_nobody();
	cr_assert_eq(write_text(file, "new"), -EACCES);
	cr_assert(strstr(why, "Permission denied"), "%s", why);
	expect_text(file, "old");
	become_oneself();
	cr_assert(!chmod(dir, 0700));
}

/* Another's file that we may replace: its group's rights are not given to a group of ours. */
Test(atomic_file, owner_is_kept_where_possible)
{
	struct stat st;

	if (geteuid())
		skip("needs root, to make a file of another user", EPERM);
	put(file, "old");
	cr_assert(!chown(file, 1234, 2345) && !chmod(file, 0664));
	cr_assert_eq(write_text(file, "new"), 0, "%s", why);
	cr_assert(!stat(file, &st));
	cr_assert(st.st_uid == 1234 && st.st_gid == 2345, "%u:%u", st.st_uid, st.st_gid);
	cr_assert_eq(mode_of(file), 0664);

	cr_assert(!chmod(file, 0666) && !chmod(dir, 0777));
	become_nobody();
	cr_assert_eq(write_text(file, "newer"), 0, "%s", why);
	cr_assert(!stat(file, &st));
	cr_assert_eq(st.st_uid, 65534);
	cr_assert_eq(mode_of(file), 0606, "mode %o", mode_of(file));
	become_oneself();
}
