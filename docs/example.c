// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Who maps page 40 of a file? cc example.c $(pkg-config --cflags --libs cleave) */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cleave/cleave.h>

struct mapping {
	struct cleave_interval interval; /* first: its address is the mapping's */
	const char *owner;
};

static int print_owner(struct cleave_entry *entry, void *arg)
{
	const struct mapping *mapping = (const struct mapping *)entry;
	printf("%s ", mapping->owner);
	++*(unsigned *)arg;
	return 0; /* go on */
}

static void must(int code, const char *what)
{
	if (code < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(-code));
		exit(1);
	}
}

int main(int argc, char **argv)
{
	const char *design = argc > 1 ? argv[1] : "rb_interval@l3/each:rwsem";
	struct mapping text = { .owner = "text" }, data = { .owner = "data" };
	struct mapping child = { .owner = "child" };
	struct cleave_error error = { "" };
	struct cleave_env *env;
	struct cleave_thread *thread; /* one for each thread that calls cleave */
	struct cleave_map *map;
	unsigned found = 0;

	must(cleave_env_open(&env, NULL, &error), "environment");
	must(cleave_thread_begin(&thread, env, -1), "thread");
	must(cleave_open(&map, env, design, &error), error.text[0] ? error.text : design);
	if (cleave_entry_size(map) > sizeof(struct cleave_interval))
		must(-ENOTSUP, "larger entries than ours");

	must(cleave_insert(map, thread, &text.interval.entry, 0, 37), "insert");
	must(cleave_insert(map, thread, &data.interval.entry, 38, 379), "insert");
	must(cleave_insert_after(map, thread, &data.interval.entry, &child.interval.entry), "fork");
	must(cleave_walk(map, thread, 40, 40, 0, print_owner, &found), "walk");
	printf("map page 40: %u of them, under %s\n", found, cleave_design(map));
	must(cleave_remove(map, thread, &data.interval.entry), "remove"); /* now it may be freed */

	cleave_close(map);
	cleave_thread_end(thread);
	cleave_env_close(env);
	return found == 2 ? 0 : 1;
}
