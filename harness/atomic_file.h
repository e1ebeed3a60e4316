/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef CLV_ATOMIC_FILE_H
#define CLV_ATOMIC_FILE_H

#include <stddef.h>

/*
 * Make `data` the contents of `path`: all of it, or nothing has changed. A crash at any time leaves
 * the old file or the new one, and at worst a file ".cleave-*.tmp" beside it.
 *
 *  - A new file has the permissions that open(2) gives by the umask; one that is replaced keeps
 *    its own, and its owner and group where the caller may set them. One that the caller may not
 *    write to is refused, though a rename could replace it.
 *  - A symbolic link is followed: what it leads to is replaced. Other names of the same file (hard
 *    links) keep the old contents.
 *  - What is not a regular file (a terminal, pipe, device) and the descriptors of the process
 *    (/dev/stdout, /dev/stderr, /dev/fd/N, /proc/self/fd/N, even of a regular file) are written
 *    straight through: there half may have been written before an error. Standard I/O buffers are
 *    the caller's to flush.
 *
 * Returns: 0.
 * Errors: negative errno; `why`, if not NULL, then has one line, such as
 * "write results/latest/results.json: No space left on device", cut to why_size bytes.
 * -EINVAL without a path, or without data of a size that is not 0.
 * Threads: any; of writers of one path at the same time, the last rename wins whole.
 */
int clv_file_write(const char *path, const void *data, size_t size, char *why, size_t why_size);

/*
 * Could a file be made or replaced there? To be asked before long work, and before the first of
 * several files is written; clv_file_write may fail all the same. Not for terminals, pipes and what
 * else is no regular file. Returns: 0; an errno (positive). Threads: any.
 */
int clv_file_obstacle(const char *path);

/* All of `data` to a descriptor, from its position on. Returns: 0; an errno (positive). */
int clv_file_put(int fd, const void *data, size_t size);

#endif
