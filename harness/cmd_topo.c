// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * cleave topo. Everything that can fail, bindings included, is done before the first line is
 * printed.
 */
#include "cmd_topo.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "../lib/error.h"
#include "../lib/topology.h"
#include "cli.h"
#include "machine/model.h"
#include "pin.h"
#include "placement.h"

#define THREADS_LIMIT 65536u

struct options {
	const char *machine; /* NULL: this one */
	const char *place;   /* NULL: not given */
	unsigned threads;    /* 0: no placement asked for */
	bool oversubscribe;
	bool json;
};

struct view {
	const struct options *options;
	const struct clv_topology *topology;
	const char *place;
	unsigned *cpu_of_thread; /* [options->threads], indexes */
	unsigned *number;	 /* [cpus], scratch for lists */
};

enum { KEY_MACHINE = 256, KEY_THREADS, KEY_PLACE, KEY_OVERSUBSCRIBE, KEY_JSON };

static const struct argp_option option_table[] = {
	{ "machine", KEY_MACHINE, "host|NAME|FILE|SYNTHETIC", 0,
	  "This machine (the default), one of cleave list machines, a machine file (.json), hwloc "
	  "XML, or an hwloc synthetic string", 0 },
	{ "threads", KEY_THREADS, "N", 0,
	  "Show where N threads go; on this machine bind them and read the bindings back", 0 },
	{ "place", KEY_PLACE, "P", 0,
	  "cores-first (the default), l3-fill, node-fill, spread, or system numbers of CPUs as "
	  "0,2,4-7",
	  0 },
	{ "oversubscribe", KEY_OVERSUBSCRIBE, NULL, 0, "Allow more threads than CPUs", 0 },
	{ "json", KEY_JSON, NULL, 0, "Print JSON", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	switch (key) {
	case KEY_MACHINE:
		options->machine = strcmp(arg, "host") == 0 ? NULL : arg;
		return 0;
	case KEY_THREADS:
		return clv_cli_unsigned("--threads", arg, 1, THREADS_LIMIT, &options->threads);
	case KEY_PLACE:
		options->place = arg;
		return 0;
	case KEY_OVERSUBSCRIBE:
		options->oversubscribe = true;
		return 0;
	case KEY_JSON:
		options->json = true;
		return 0;
	case ARGP_KEY_END:
		if (!options->threads && (options->place || options->oversubscribe)) {
			clv_cli_error("option needs --threads: %s",
				      options->place ? "--place" : "--oversubscribe");
			return CLV_CLI_REPORTED;
		}
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- binding ---- */

struct binding {
	unsigned os;
	int status;
	struct cleave_error error;
};

static void *bind_one(void *arg)
{
	struct binding *binding = arg;
	binding->status = clv_pin(binding->os, &binding->error);
	return NULL;
}

/* A thread for each CPU of the placement, one after another. Returns: exit status. */
static int bind_all(const struct view *view)
{
	for (unsigned i = 0; i < view->options->threads; i++) {
		struct binding binding = { .os = view->topology->cpu[view->cpu_of_thread[i]].os };
		pthread_t thread;
		int status = pthread_create(&thread, NULL, bind_one, &binding);
		if (status) {
			clv_cli_error("cannot start a thread: thread %u: %s", i, strerror(status));
			return CLV_EXIT_FAILED;
		}
		pthread_join(thread, NULL);
		if (binding.status) {
			clv_cli_error("%s: thread %u", binding.error.text, i);
			return CLV_EXIT_FAILED;
		}
	}
	return CLV_EXIT_OK;
}

/* ---- lists of numbers ---- */

static int compare_numbers(const void *left, const void *right)
{
	const unsigned *a = left;
	const unsigned *b = right;
	return *a < *b ? -1 : *a > *b;
}

/*
 * The system numbers of a node's CPUs, ascending, or their indexes; into view->number.
 * Returns: how many.
 */
static unsigned list_node(const struct view *view, unsigned node, bool os)
{
	unsigned count = 0;
	for (unsigned i = 0; i < view->topology->cpus; i++)
		if (view->topology->cpu[i].node == node)
			view->number[count++] = os ? view->topology->cpu[i].os : i;
	qsort(view->number, count, sizeof(*view->number), compare_numbers);
	return count;
}

/* As "0-15,192-207". Returns: NULL for no memory; else to free(). */
static char *format_ranges(const unsigned *numbers, unsigned count)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	if (!out)
		return NULL;
	for (unsigned i = 0; i < count;) {
		unsigned run = 1;
		while (i + run < count && numbers[i + run] == numbers[i] + run)
			run++;
		fprintf(out, "%s%u", i ? "," : "", numbers[i]);
		if (run > 1)
			fprintf(out, "%c%u", run == 2 ? ',' : '-', numbers[i + run - 1]);
		i += run;
	}
	bool failed = ferror(out);
	if (fclose(out) || failed) {
		free(text);
		return NULL;
	}
	return text;
}

/* Of the node's CPUs: how many distinct L3s or cores. CPUs of one are neighbours. */
static unsigned count_in_node(const struct clv_topology *topology, unsigned node, bool l3)
{
	unsigned count = 0;
	int64_t before = -1;
	for (unsigned i = 0; i < topology->cpus; i++) {
		const struct clv_cpu *cpu = &topology->cpu[i];
		unsigned here = l3 ? cpu->l3 : cpu->core;
		if (cpu->node != node || here == before)
			continue;
		before = here;
		count++;
	}
	return count;
}

static const struct clv_cpu *first_of_node(const struct clv_topology *topology, unsigned node)
{
	const struct clv_cpu *cpu = topology->cpu;
	while (cpu->node != node)
		cpu++;
	return cpu;
}

static unsigned threads_of_node(const struct view *view, unsigned node)
{
	unsigned count = 0;
	for (unsigned i = 0; i < view->options->threads; i++)
		count += view->topology->cpu[view->cpu_of_thread[i]].node == node;
	return count;
}

/* Do threads share a CPU? Placements start again from their first CPU. */
static bool is_oversubscribed(const struct view *view)
{
	for (unsigned i = 1; i < view->options->threads; i++)
		if (view->cpu_of_thread[i] == view->cpu_of_thread[0])
			return true;
	return false;
}

/* ---- text ---- */

/* "12  of 32 CPUs", or "of 2 to 4 CPUs". `member` is where a CPU has the object's number. */
static void print_sizes(const struct clv_topology *topology, const char *name, unsigned objects,
			size_t member, unsigned *size)
{
	memset(size, 0, topology->cpus * sizeof(*size));
	for (unsigned i = 0; i < topology->cpus; i++)
		size[*(const unsigned *)((const char *)&topology->cpu[i] + member)]++;
	unsigned least = topology->cpus;
	unsigned most = 0;
	for (unsigned i = 0; i < objects; i++) {
		least = size[i] < least ? size[i] : least;
		most = size[i] > most ? size[i] : most;
	}
	printf("%-9s %4u  of ", name, objects);
	if (least != most)
		printf("%u to ", least);
	printf("%u CPU%s\n", most, most == 1 ? "" : "s");
}

static int print_nodes(const struct view *view)
{
	const struct clv_topology *topology = view->topology;
	for (unsigned node = 0; node < topology->nodes; node++) {
		unsigned cpus = list_node(view, node, false);
		char *indexes = format_ranges(view->number, cpus);
		list_node(view, node, true);
		char *os = format_ranges(view->number, cpus);
		if (indexes && os)
			printf("node %u: package %u, L3s %u, cores %u, CPUs %u: %s; index %s\n",
			       topology->node_os[node], first_of_node(topology, node)->package,
			       topology->has_l3 ? count_in_node(topology, node, true) : 0,
			       count_in_node(topology, node, false), cpus, os, indexes);
		bool failed = !indexes || !os;
		free(os);
		free(indexes);
		if (failed) {
			clv_cli_error("no memory: node %u", topology->node_os[node]);
			return CLV_EXIT_FAILED;
		}
	}
	return CLV_EXIT_OK;
}

static void print_placement(const struct view *view)
{
	const struct clv_topology *topology = view->topology;
	const unsigned threads = view->options->threads;
	printf("\nplacement %s, threads %u%s%s\n", view->place, threads,
	       is_oversubscribed(view) ? ", some share a CPU" : "",
	       topology->this_machine ? ": bound, and the bindings read back"
				      : ": not this machine, nothing is bound");
	printf("thread   cpu index  core    l3  node package\n");
	for (unsigned i = 0; i < threads; i++) {
		unsigned index = view->cpu_of_thread[i];
		const struct clv_cpu *cpu = &topology->cpu[index];
		printf("%6u %5u %5u %5u ", i, cpu->os, index, cpu->core);
		if (topology->has_l3)
			printf("%5u ", cpu->l3);
		else
			printf("%5s ", "-");
		printf("%5u %7u\n", topology->node_os[cpu->node], cpu->package);
	}
	for (unsigned node = 0; node < topology->nodes; node++)
		printf("node %u: threads %u\n", topology->node_os[node],
		       threads_of_node(view, node));
}

static int print_text(const struct view *view)
{
	const struct clv_topology *topology = view->topology;
	printf("machine   %s\n          %s\n", topology->name,
	       topology->this_machine ? "this machine" : "not this machine: nothing is bound");
	print_sizes(topology, "packages", topology->packages, offsetof(struct clv_cpu, package),
		    view->number);
	print_sizes(topology, "nodes", topology->nodes, offsetof(struct clv_cpu, node),
		    view->number);
	if (topology->has_l3)
		print_sizes(topology, "L3s", topology->l3s, offsetof(struct clv_cpu, l3),
			    view->number);
	else
		printf("%-9s %4u\n", "L3s", 0u);
	print_sizes(topology, "cores", topology->cores, offsetof(struct clv_cpu, core),
		    view->number);
	printf("%-9s %4u  %s SMT\n", "CPUs", topology->cpus,
	       topology->cores < topology->cpus ? "with" : "without");
	int status = print_nodes(view);
	if (!status && view->options->threads)
		print_placement(view);
	return status;
}

/* ---- JSON ---- */

/* `object` may be NULL, which stands for a failure before; it and `value` are taken over. */
static json_t *with(json_t *object, const char *key, json_t *value)
{
	if (object && json_object_set_new(object, key, value) == 0)
		return object;
	if (!object)
		json_decref(value);
	json_decref(object);
	return NULL;
}

/* Returns: false if it was not appended; `value` is taken over. */
static bool append(json_t *array, json_t *value)
{
	return array && json_array_append_new(array, value) == 0;
}

static json_t *numbers_json(const unsigned *numbers, unsigned count)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < count; i++) {
		if (append(array, json_integer(numbers[i])))
			continue;
		json_decref(array);
		return NULL;
	}
	return array;
}

static json_t *cpu_json(const struct clv_topology *topology, unsigned index)
{
	const struct clv_cpu *cpu = &topology->cpu[index];
	json_t *object = json_pack("{sisisisisisi}", "index", (int)index, "cpu", (int)cpu->os,
				   "core", (int)cpu->core, "smt", (int)cpu->smt, "node",
				   (int)topology->node_os[cpu->node], "package", (int)cpu->package);
	return topology->has_l3 ? with(object, "l3", json_integer(cpu->l3)) : object;
}

static json_t *node_json(const struct view *view, unsigned node)
{
	const struct clv_topology *topology = view->topology;
	json_t *object = json_pack("{sisisisi}", "node", (int)topology->node_os[node], "package",
				   (int)first_of_node(topology, node)->package, "l3s",
				   topology->has_l3 ? (int)count_in_node(topology, node, true) : 0,
				   "cores", (int)count_in_node(topology, node, false));
	unsigned cpus = list_node(view, node, false);
	object = with(object, "indexes", numbers_json(view->number, cpus));
	cpus = list_node(view, node, true);
	return with(object, "cpus", numbers_json(view->number, cpus));
}

static json_t *placement_json(const struct view *view)
{
	const struct clv_topology *topology = view->topology;
	json_t *table = json_array();
	json_t *nodes = json_array();
	bool fine = table && nodes;
	for (unsigned i = 0; fine && i < view->options->threads; i++)
		fine = append(table, with(cpu_json(topology, view->cpu_of_thread[i]), "thread",
					  json_integer(i)));
	for (unsigned node = 0; fine && node < topology->nodes; node++)
		fine = append(nodes, json_pack("{sisi}", "node", (int)topology->node_os[node],
					       "threads", (int)threads_of_node(view, node)));
	if (!fine) {
		json_decref(table);
		json_decref(nodes);
		return NULL;
	}
	return json_pack("{sssisbsbsoso}", "name", view->place, "threads",
			 (int)view->options->threads, "oversubscribed",
			 (int)is_oversubscribed(view), "bound", (int)topology->this_machine,
			 "table", table, "nodes", nodes);
}

static json_t *machine_json(const struct view *view)
{
	const struct clv_topology *topology = view->topology;
	json_t *nodes = json_array();
	json_t *cpus = json_array();
	bool fine = nodes && cpus;
	for (unsigned node = 0; fine && node < topology->nodes; node++)
		fine = append(nodes, node_json(view, node));
	for (unsigned i = 0; fine && i < topology->cpus; i++)
		fine = append(cpus, cpu_json(topology, i));
	if (!fine) {
		json_decref(nodes);
		json_decref(cpus);
		return NULL;
	}
	json_t *object = json_pack("{sssbsisisisoso}", "name", topology->name, "this_machine",
				   (int)topology->this_machine, "packages", (int)topology->packages,
				   "l3s", topology->has_l3 ? (int)topology->l3s : 0, "cores",
				   (int)topology->cores, "nodes", nodes, "cpus", cpus);
	if (view->options->threads)
		object = with(object, "placement", placement_json(view));
	return object;
}

static int print_json(const struct view *view)
{
	json_t *object = machine_json(view);
	char *text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
	json_decref(object);
	if (!text) {
		clv_cli_error("no memory: --json");
		return CLV_EXIT_FAILED;
	}
	puts(text);
	free(text);
	return CLV_EXIT_OK;
}

/* ---- the command ---- */

static int place_and_bind(struct view *view)
{
	const struct options *options = view->options;
	if (!options->threads)
		return CLV_EXIT_OK;
	struct cleave_error error;
	int status = clv_placement_make(view->topology, view->place, options->threads,
					options->oversubscribe, view->cpu_of_thread, &error);
	if (status)
		return clv_cli_report(status, &error);
	return view->topology->this_machine ? bind_all(view) : CLV_EXIT_OK;
}

static int show(struct view *view)
{
	int status = place_and_bind(view);
	if (!status)
		status = view->options->json ? print_json(view) : print_text(view);
	return clv_cli_finish(status);
}

/* A model is shown under its own name, not the string that it was made from. */
static int load_topology(struct clv_topology **topology, const char *machine,
			 struct cleave_error *error)
{
	struct clv_model *model;
	int status;
	if (!machine || !clv_model_known(machine)) {
		status = clv_topology_load(topology, machine, error);
		if (status == -EINVAL && !strpbrk(machine, ":/."))
			clv_error(error, status,
				  "machine '%.80s': not one of cleave list machines, a machine "
				  "file (.json), hwloc XML (.xml) or an hwloc synthetic string "
				  "(pack:2 pu:4)",
				  machine);
		return status;
	}
	status = clv_model_load(&model, machine, error);
	if (status)
		return status;
	status = clv_topology_load(topology, model->topology, error);
	if (!status)
		snprintf((*topology)->name, sizeof((*topology)->name), "%s", model->name);
	clv_model_free(model);
	return status;
}

int clv_cmd_topo(int argc, char **argv)
{
	static const struct argp argp = {
		.options = option_table,
		.parser = parse_option,
		.doc = "Show a machine as cleave sees it: its NUMA nodes, L3 caches, cores and "
		       "CPUs, by the system's numbers and by indexes in topology order.",
	};
	struct options options = { 0 };
	int status = clv_cli_parse(&argp, "cleave topo", argc, argv, &options);
	if (status >= 0)
		return status;

	struct clv_topology *topology;
	struct cleave_error error;
	status = load_topology(&topology, options.machine, &error);
	if (status)
		return clv_cli_report(status, &error);

	struct view view = {
		.options = &options,
		.topology = topology,
		.place = options.place ? options.place : "cores-first",
		.cpu_of_thread = calloc(options.threads + 1, sizeof(unsigned)),
		.number = calloc(topology->cpus, sizeof(unsigned)),
	};
	if (view.cpu_of_thread && view.number) {
		status = show(&view);
	} else {
		clv_cli_error("no memory: %u threads", options.threads);
		status = CLV_EXIT_FAILED;
	}
	free(view.number);
	free(view.cpu_of_thread);
	clv_topology_free(topology);
	return status;
}
