// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * From the records that hwloc gives to plain arrays.
 *
 * Objects are numbered anew, from 0 without gaps, in the order in which the CPUs show them: hwloc
 * also counts objects none of whose CPUs may be used. The arrays are read by any thread and written
 * by none. They come from malloc and not from the shim: a topology is there before the machine that
 * it describes is.
 */
#include "topology.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "topology_source.h"

/* ---- numbering ---- */

/* Position of `key` among the `count` keys seen, which it joins if it is new. */
static unsigned number_of(int64_t *seen, unsigned *count, int64_t key)
{
	/* From the last: neighbours share. */
	for (unsigned i = *count; i-- > 0;)
		if (seen[i] == key)
			return i;
	seen[*count] = key;
	return (*count)++;
}

/* Above all of hwloc's numbers, which are 32 bits wide: for CPUs that are in no such object. */
static int64_t stand_in(int64_t number)
{
	return (INT64_C(1) << 32) + number;
}

/* `seen` has room for a key of each CPU. */
static void number_objects(struct clv_topology *topology, const struct clv_cpu_record *record,
			   int64_t *seen)
{
	struct clv_cpu *cpu = topology->cpu;
	for (unsigned i = 0; i < topology->cpus; i++)
		cpu[i].core = number_of(seen, &topology->cores,
					record[i].core < 0 ? stand_in(i) : record[i].core);
	for (unsigned i = 0; i < topology->cpus; i++)
		cpu[i].l3 =
			number_of(seen, &topology->l3s,
				  record[i].l3 < 0 ? stand_in(record[i].package) : record[i].l3);
	for (unsigned i = 0; i < topology->cpus; i++)
		cpu[i].node = number_of(seen, &topology->nodes, record[i].node_os);
	for (unsigned i = 0; i < topology->nodes; i++)
		topology->node_os[i] = (unsigned)seen[i];
	for (unsigned i = 0; i < topology->cpus; i++)
		cpu[i].package = number_of(seen, &topology->packages, record[i].package);

	/* How many CPUs each core has shown so far. */
	memset(seen, 0, topology->cpus * sizeof(*seen));
	for (unsigned i = 0; i < topology->cpus; i++)
		cpu[i].smt = (unsigned)seen[cpu[i].core]++;
}

static int index_system_numbers(struct clv_topology *topology, struct cleave_error *error)
{
	for (unsigned os = 0; os < topology->os_limit; os++)
		topology->index_of_os[os] = -1;
	for (unsigned i = 0; i < topology->cpus; i++) {
		int *index = &topology->index_of_os[topology->cpu[i].os];
		if (*index >= 0)
			return clv_error(error, -EINVAL, "topology has a CPU twice: CPU %u",
					 topology->cpu[i].os);
		*index = (int)i;
	}
	return 0;
}

/* `name` is printed and goes into results: ASCII, without surrounding or double spaces. */
static void set_name(struct clv_topology *topology, const char *name)
{
	size_t length = 0;
	for (; *name && length < sizeof(topology->name) - 1; name++) {
		unsigned char byte = (unsigned char)*name;
		if (byte == ' ' && (!length || topology->name[length - 1] == ' '))
			continue;
		topology->name[length++] = byte < ' ' || byte > '~' ? '?' : (char)byte;
	}
	if (*name)
		memcpy(topology->name + length - 3, "...", 3);
	while (length && topology->name[length - 1] == ' ')
		length--;
	topology->name[length] = 0;
}

/* ---- making ---- */

/* Returns: NULL for no memory. */
static struct clv_topology *make_empty(unsigned cpus, unsigned os_limit)
{
	struct clv_topology *topology = calloc(1, sizeof(*topology));
	if (!topology)
		return NULL;
	topology->cpus = cpus;
	topology->os_limit = os_limit;
	topology->cpu = calloc(cpus, sizeof(*topology->cpu));
	topology->node_os = calloc(cpus, sizeof(*topology->node_os));
	topology->index_of_os = calloc(os_limit, sizeof(*topology->index_of_os));
	if (topology->cpu && topology->node_os && topology->index_of_os)
		return topology;
	clv_topology_free(topology);
	return NULL;
}

static int make_topology(struct clv_topology **topology, const struct clv_topology_source *source,
			 const struct clv_topology_reading *reading,
			 const struct clv_cpu_record *record, struct cleave_error *error)
{
	unsigned os_last = 0;
	for (unsigned i = 0; i < reading->cpus; i++)
		os_last = record[i].os > os_last ? record[i].os : os_last;
	struct clv_topology *made = make_empty(reading->cpus, os_last + 1);
	int64_t *seen = calloc(reading->cpus, sizeof(*seen));
	if (!made || !seen) {
		free(seen);
		clv_topology_free(made);
		return clv_error(error, -ENOMEM, "no memory: topology");
	}
	for (unsigned i = 0; i < reading->cpus; i++) {
		made->cpu[i].os = record[i].os;
		made->has_l3 |= record[i].l3 >= 0;
	}
	number_objects(made, record, seen);
	free(seen);
	made->this_machine = reading->this_machine;
	set_name(made, reading->model[0] ? reading->model
		       : source->name	 ? source->name
					 : "unknown processor");
	int status = index_system_numbers(made, error);
	if (status)
		clv_topology_free(made);
	else
		*topology = made;
	return status;
}

/* ---- loading ---- */

static bool is_file(const char *name)
{
	struct stat about;
	size_t length = strlen(name);
	return stat(name, &about) == 0 || strchr(name, '/') ||
	       (length >= 4 && strcmp(name + length - 4, ".xml") == 0);
}

static int load(struct clv_topology **topology, const struct clv_topology_source *source,
		struct cleave_error *error)
{
	struct clv_topology_reading reading;
	struct clv_cpu_record *records = source->name ? clv_topology_read_apart(source, &reading)
						      : clv_topology_read(source, &reading);
	if (!records)
		return clv_error(error, reading.status, "%s", reading.error.text);
	int status = make_topology(topology, source, &reading, records, error);
	free(records);
	return status;
}

int clv_topology_load(struct clv_topology **topology, const char *name, struct cleave_error *error)
{
	struct clv_topology_source source = { .name = name };
	char *text = NULL;
	int status = 0;
	if (name && is_file(name))
		status = clv_topology_read_file(name, &text, &source.text_bytes, error);
	else if (name)
		status = clv_topology_check_string(name, &source.cpus_expected, error);
	source.text = text;
	if (!status)
		status = load(topology, &source, error);
	free(text);
	return status;
}

void clv_topology_free(struct clv_topology *topology)
{
	if (!topology)
		return;
	free(topology->index_of_os);
	free(topology->node_os);
	free(topology->cpu);
	free(topology);
}

int clv_topology_index(const struct clv_topology *topology, int os)
{
	if (os < 0 || (unsigned)os >= topology->os_limit)
		return -1;
	return topology->index_of_os[os];
}
