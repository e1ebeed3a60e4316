// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * usage: sanitizer_control address|undefined|thread|leak
 *
 * Does the sanitizer of this build report? A child does what it is there for; its standard error
 * has to name the fault. Exit: 0 reported, 1 not, 2 wrong usage.
 */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Volatile throughout: none of it may be worked out, or left out, by the compiler. */
static char *volatile block;
static volatile int number = INT_MAX;
static volatile int shared;

static void use_after_free(void)
{
	block = malloc(16);
	free(block);
	block[3] = 1;
}

static void overflow(void)
{
	number = number + 1;
}

static void *write_shared(void *arg)
{
	(void)arg;
	for (int i = 0; i < 1000; i++)
		shared = i;
	return NULL;
}

static void race(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, write_shared, NULL))
		return;
	write_shared(NULL);
	pthread_join(thread, NULL);
}

static void leak(void)
{
	block = malloc(1234);
	block = NULL;
}

static const struct {
	const char *name;
	void (*run)(void);
	const char *report;
} controls[] = {
	{ "address", use_after_free, "heap-use-after-free" },
	{ "undefined", overflow, "signed integer overflow" },
	{ "thread", race, "data race" },
	{ "leak", leak, "1234 byte(s)" },
};

static void run_child(void (*run)(void), int fd)
{
	dup2(fd, STDERR_FILENO);
	close(fd);
	run();
	/* Not _exit: leaks are looked for at exit. */
	exit(0);
}

/* Returns: does what is read from fd, up to its end, contain the text? */
static int contains(int fd, const char *text)
{
	static char report[65536];
	size_t used = 0;
	ssize_t bytes;

	while (used < sizeof(report) - 1 &&
	       (bytes = read(fd, report + used, sizeof(report) - 1 - used)) > 0)
		used += (size_t)bytes;
	report[used] = '\0';
	return strstr(report, text) != NULL;
}

int main(int argc, char **argv)
{
	for (unsigned i = 0; argc == 2 && i < sizeof(controls) / sizeof(controls[0]); i++) {
		int ends[2], status, found;
		pid_t child;

		if (strcmp(argv[1], controls[i].name))
			continue;
		if (pipe(ends) || (child = fork()) < 0) {
			perror("cleave: sanitizer_control");
			return 1;
		}
		if (!child)
			run_child(controls[i].run, ends[1]);
		close(ends[1]);
		found = contains(ends[0], controls[i].report);
		close(ends[0]);
		waitpid(child, &status, 0);
		printf("%s: '%s' %s\n", argv[1], controls[i].report,
		       found ? "was reported" : "was NOT reported");
		return !found;
	}
	fprintf(stderr, "usage: sanitizer_control address|undefined|thread|leak\n");
	return 2;
}
