// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Topologies from strings, XML and this machine; and what must be refused, with one line and
 * without anything printed.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <hwloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "machines.h"

/* ---- helpers ---- */

static void expect_dense(const struct clv_topology *topology, unsigned objects, size_t member,
			 const char *what)
{
	unsigned *cpus = calloc(objects, sizeof(*cpus));
	for (unsigned i = 0; i < topology->cpus; i++) {
		unsigned number = *(unsigned *)((char *)&topology->cpu[i] + member);
		cr_assert_lt(number, objects, "%s: %s of CPU %u", topology->name, what, i);
		cpus[number]++;
	}
	for (unsigned i = 0; i < objects; i++)
		cr_assert_gt(cpus[i], 0, "%s: %s %u has no CPU", topology->name, what, i);
	free(cpus);
}

static void expect_consistent(const struct clv_topology *topology)
{
	expect_dense(topology, topology->cores, offsetof(struct clv_cpu, core), "core");
	expect_dense(topology, topology->l3s, offsetof(struct clv_cpu, l3), "L3");
	expect_dense(topology, topology->nodes, offsetof(struct clv_cpu, node), "node");
	expect_dense(topology, topology->packages, offsetof(struct clv_cpu, package), "package");
	unsigned known = 0;
	for (unsigned os = 0; os < topology->os_limit; os++) {
		int index = clv_topology_index(topology, (int)os);
		cr_assert(index == -1 || topology->cpu[index].os == os, "%s", topology->name);
		known += index >= 0;
	}
	cr_assert_eq(known, topology->cpus, "%s", topology->name);
	cr_assert_eq(clv_topology_index(topology, -1), -1);
	cr_assert_eq(clv_topology_index(topology, (int)topology->os_limit), -1);
	for (unsigned i = 0; i < topology->cpus; i++) {
		unsigned before = 0;
		for (unsigned j = 0; j < i; j++)
			before += topology->cpu[j].core == topology->cpu[i].core;
		cr_assert_eq(topology->cpu[i].smt, before, "%s: CPU %u", topology->name, i);
	}
}

static void expect_equal(const struct clv_topology *a, const struct clv_topology *b)
{
	cr_assert_eq(a->cpus, b->cpus);
	cr_assert_eq(a->cores, b->cores);
	cr_assert_eq(a->l3s, b->l3s);
	cr_assert_eq(a->nodes, b->nodes);
	cr_assert_eq(a->packages, b->packages);
	cr_assert_eq(a->has_l3, b->has_l3);
	cr_assert_eq(a->os_limit, b->os_limit);
	cr_assert_eq(memcmp(a->cpu, b->cpu, a->cpus * sizeof(*a->cpu)), 0, "%s", a->name);
	cr_assert_eq(memcmp(a->node_os, b->node_os, a->nodes * sizeof(*a->node_os)), 0);
}

/* A name in the temporary directory; the file is the test's to unlink. */
static void make_path(char path[64])
{
	strcpy(path, "/tmp/cleave-topology-XXXXXX");
	int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	close(fd);
}

static void write_file(const char *path, const char *text, size_t bytes)
{
	FILE *out = fopen(path, "w");
	cr_assert(out && fwrite(text, 1, bytes, out) == bytes && fclose(out) == 0);
}

/* Returns: the file's bytes, zero-terminated, to free(). */
static char *read_data(const char *path)
{
	FILE *in = fopen(path, "r");
	cr_assert(in, "%s", path);
	char *text = calloc(1, 1 << 20);
	size_t bytes = fread(text, 1, (1 << 20) - 1, in);
	cr_assert_gt(bytes, 0);
	fclose(in);
	return text;
}

/* Loading fails with `status` and one line that has `part`; the pointer stays as it was. */
static void expect_refused(const char *source, int status, const char *part)
{
	struct clv_topology *topology = (void *)&topology;
	struct cleave_error error = { "" };
	int got = clv_topology_load(&topology, source, &error);
	cr_assert_eq(got, status, "%.60s: %d, %s", source, got, error.text);
	cr_assert_eq((void *)topology, (void *)&topology);
	cr_assert(strstr(error.text, part), "%.60s: %s", source, error.text);
	cr_assert_null(strchr(error.text, '\n'));
	cr_assert_eq(clv_topology_load(&topology, source, NULL), status);
}

/* The same for a file with this text. */
static void expect_text_refused(const char *text, size_t bytes, const char *part)
{
	char path[64];
	make_path(path);
	write_file(path, text, bytes);
	expect_refused(path, -EINVAL, part);
	unlink(path);
}

/* ---- strings and files ---- */

Test(topology, strings)
{
	for (unsigned i = 0; i < MACHINES; i++) {
		const struct machine *machine = &machines[i];
		struct clv_topology *topology = load_machine(machine->text);
		cr_assert_eq(topology->cpus, machine->cpus, "%s", machine->text);
		cr_assert_eq(topology->cores, machine->cores, "%s", machine->text);
		cr_assert_eq(topology->l3s, machine->l3s, "%s", machine->text);
		cr_assert_eq(topology->nodes, machine->nodes, "%s", machine->text);
		cr_assert_eq(topology->packages, machine->packages, "%s", machine->text);
		cr_assert_eq(topology->has_l3, strstr(machine->text, "l3:") != NULL);
		cr_assert(!topology->this_machine);
		cr_assert_eq(strncmp(topology->name, machine->text, 100), 0, "%s", topology->name);
		expect_consistent(topology);
		clv_topology_free(topology);
	}
}

/* What a string gives, its XML gives. */
Test(topology, strings_through_xml)
{
	for (unsigned i = 0; i < MACHINES; i++) {
		char path[64];
		make_path(path);
		hwloc_topology_t hw;
		cr_assert_eq(hwloc_topology_init(&hw), 0);
		cr_assert_eq(hwloc_topology_set_synthetic(hw, machines[i].text), 0);
		cr_assert_eq(hwloc_topology_load(hw), 0);
		cr_assert_eq(hwloc_topology_export_xml(hw, path, 0), 0);
		hwloc_topology_destroy(hw);
		struct clv_topology *from_text = load_machine(machines[i].text);
		struct clv_topology *from_file = load_machine(path);
		expect_equal(from_text, from_file);
		clv_topology_free(from_text);
		clv_topology_free(from_file);
		unlink(path);
	}
}

Test(topology, files)
{
	struct clv_topology *hygon = load_machine(CLV_TEST_DATA "/topology/hygon_12n384.xml");
	struct clv_topology *same = load_machine(machines[0].text);
	expect_equal(hygon, same);
	expect_consistent(hygon);
	clv_topology_free(hygon);
	clv_topology_free(same);

	struct clv_topology *small = load_machine(CLV_TEST_DATA "/topology/epyc_2cpu.xml");
	expect_consistent(small);
	cr_assert_eq(small->cpus, 2);
	cr_assert_eq(small->cores, 2);
	cr_assert_eq(small->l3s, 1);
	cr_assert_str_eq(small->name, "AMD EPYC");
	cr_assert(!small->this_machine);
	clv_topology_free(small);
}

/* A core's two CPUs are neighbours by index, and the system numbers all first ones first. */
Test(topology, system_numbers)
{
	struct clv_topology *topology = load_machine(machines[0].text);
	for (unsigned i = 0; i < 384; i++) {
		const struct clv_cpu *cpu = &topology->cpu[i];
		cr_assert_eq(cpu->core, i / 2);
		cr_assert_eq(cpu->smt, i % 2);
		cr_assert_eq(cpu->os, i / 2 + 192 * (i % 2));
		cr_assert_eq(cpu->l3, i / 8);
		cr_assert_eq(cpu->node, i / 32);
		cr_assert_eq(cpu->package, i / 192);
	}
	clv_topology_free(topology);

	topology =
		load_machine("pack:2 [numa(indexes=7,3)] core:2 pu:2(indexes=40,1,9,8,7,6,5,30)");
	cr_assert_eq(topology->nodes, 2);
	/* hwloc orders objects by their lowest CPU number: the one with CPU 1 is first either way
	 */
	cr_assert_eq(topology->node_os[topology->cpu[clv_topology_index(topology, 1)].node], 7);
	cr_assert_eq(topology->node_os[topology->cpu[clv_topology_index(topology, 30)].node], 3);
	cr_assert_eq(topology->os_limit, 41);
	cr_assert_eq(clv_topology_index(topology, 2), -1);
	expect_consistent(topology);
	clv_topology_free(topology);
}

Test(topology, memory_at_other_levels)
{
	/* One memory for two packages. */
	struct clv_topology *topology = load_machine("[numa] pack:2 core:2 pu:1");
	cr_assert_eq(topology->nodes, 1);
	cr_assert_eq(topology->packages, 2);
	clv_topology_free(topology);

	/* Each package has a memory, each half of one its own too: the nearer counts. */
	topology = load_machine("pack:2 [numa] group:2 [numa] core:4 pu:1");
	cr_assert_eq(topology->nodes, 4);
	for (unsigned i = 0; i < topology->cpus; i++)
		cr_assert_eq(topology->cpu[i].node, i / 4);
	expect_consistent(topology);
	clv_topology_free(topology);

	/* Two memories for the same CPUs: the first. */
	topology = load_machine("pack:2 [numa] [numa] core:4 pu:1");
	cr_assert_eq(topology->nodes, 2);
	cr_assert_eq(topology->node_os[0], 0);
	cr_assert_eq(topology->node_os[1], 2);
	expect_consistent(topology);
	clv_topology_free(topology);
}

#define SETS(cpus, nodes)                                                                          \
	" cpuset=\"" cpus "\" complete_cpuset=\"" cpus "\" nodeset=\"" nodes                       \
	"\" complete_nodeset=\"" nodes "\""
#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define CPU(os, cpus) "<object type=\"PU\" os_index=\"" os "\"" SETS(cpus, "0x1") "/>"
#define MACHINE(doctype, children)                                                                 \
	HEAD doctype "<topology version=\"2.0\">"                                                  \
		     "<object type=\"Machine\" os_index=\"0\"" SETS(                               \
			     "0x3", "0x3") " allowed_cpuset=\"0x3\" allowed_nodeset=\"0x3\">"      \
					   "<object type=\"NUMANode\" os_index=\"0\"" SETS(        \
						   "0x3", "0x1") "/>" children                     \
								 "</object></topology>\n"
#define BOTH_CPUS CPU("0", "0x1") CPU("1", "0x2")

Test(topology, nodes_without_cpus)
{
	static const char text[] = MACHINE(
		"", "<object type=\"NUMANode\" os_index=\"1\"" SETS("0x0", "0x2") "/>" BOTH_CPUS);
	char path[64];
	make_path(path);
	write_file(path, text, strlen(text));
	struct clv_topology *topology = load_machine(path);
	cr_assert_eq(topology->cpus, 2);
	cr_assert_eq(topology->nodes, 1);
	cr_assert_eq(topology->node_os[0], 0);
	cr_assert_eq(topology->cores, 2, "CPUs without a core are one each");
	expect_consistent(topology);
	clv_topology_free(topology);
	unlink(path);
}

/* ---- this machine ---- */

Test(topology, this_machine)
{
	cpu_set_t mask;
	cr_assert_eq(sched_getaffinity(0, sizeof(mask), &mask), 0);
	struct clv_topology *topology = load_machine(NULL);
	cr_assert(topology->this_machine);
	cr_assert_eq(topology->cpus, (unsigned)CPU_COUNT(&mask));
	for (unsigned i = 0; i < topology->cpus; i++)
		cr_assert(CPU_ISSET(topology->cpu[i].os, &mask));
	cr_assert_gt(strlen(topology->name), 0);
	expect_consistent(topology);
	clv_topology_free(topology);
}

static int last_cpu(void)
{
	cpu_set_t mask;
	cr_assert_eq(sched_getaffinity(0, sizeof(mask), &mask), 0);
	int last = CPU_SETSIZE - 1;
	while (!CPU_ISSET(last, &mask))
		last--;
	return last;
}

static void bind_to(int cpu)
{
	cpu_set_t mask;
	CPU_ZERO(&mask);
	CPU_SET(cpu, &mask);
	cr_assert_eq(sched_setaffinity(0, sizeof(mask), &mask), 0);
}

/* In a process of one thread, which a test's own process may not be. Returns: 0 if it is right. */
static int load_when_bound(int cpu)
{
	bind_to(cpu);
	struct clv_topology *topology = load_machine(NULL);
	bool right = topology->cpus == 1 && topology->cpu[0].os == (unsigned)cpu &&
		     topology->nodes == 1 && topology->cores == 1 && topology->this_machine;
	clv_topology_free(topology);
	return right ? 0 : 1;
}

Test(topology, affinity_is_respected)
{
	int cpu = last_cpu();
	pid_t child = fork();
	cr_assert_geq(child, 0);
	if (!child)
		_exit(load_when_bound(cpu));
	int status = -1;
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
}

static void *count_when_bound(void *arg)
{
	bind_to(last_cpu());
	struct clv_topology *topology = load_machine(NULL);
	*(unsigned *)arg = topology->cpus;
	clv_topology_free(topology);
	return NULL;
}

/* One bound thread does not make the machine smaller for the others. */
Test(topology, affinity_is_the_process)
{
	struct clv_topology *topology = load_machine(NULL);
	unsigned seen = 0;
	pthread_t thread;
	cr_assert_eq(pthread_create(&thread, NULL, count_when_bound, &seen), 0);
	pthread_join(thread, NULL);
	cr_assert_eq(seen, topology->cpus);
	clv_topology_free(topology);
}

/* ---- what is refused ---- */

Test(topology, bad_strings)
{
	static const char *const none[] = {
		"",
		" ",
		"foo",
		"none",
		"pack:",
		"pack:2",
		"pack:2 core:2",
		"numa:2",
		"pack:2 pu:-3",
		"pu:2(indexes=0,1",
		"l3",
		":",
		"pu",
		"pack:2 [numa pu:2",
	};
	for (unsigned i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		expect_refused(none[i], -EINVAL, "string");
	expect_refused("pu:0", -EINVAL, "character 4: 0");
	expect_refused("pu:8193", -EINVAL, "too many CPUs in topology string: character 4");
	expect_refused("pack:2 core:4096 pu:2", -EINVAL, "too many CPUs");
	expect_refused("pack:65536 core:65536 pu:65536 l3:65536", -EINVAL, "too many CPUs");
	expect_refused("pu:99999999999999999999", -EINVAL, "too many CPUs");
	expect_refused("99999999999999999999", -EINVAL, "too many CPUs");
	expect_refused("pu:2(indexes=0,65536)", -EINVAL, "index too large");
	expect_refused("pu:2(indexes=4000000000,0)", -EINVAL, "index too large");
	expect_refused("pu:2(memory=4000000000 indexes=4000000000,0)", -EINVAL, "character 32");
	expect_refused("pu:4(indexes=5,5,1,2)", -EINVAL, "numbers a CPU twice");
	char *text = malloc(5001);
	memset(text, 'x', 5000);
	text[5000] = 0;
	expect_refused(text, -EINVAL, "too long");
	free(text);
}

Test(topology, bad_paths)
{
	expect_refused("/nonexistent/machine", -ENOENT, "/nonexistent/machine");
	expect_refused("nonexistent.xml", -ENOENT, "nonexistent.xml");
	expect_refused("/tmp", -EINVAL, "a directory");
	expect_refused("/dev/zero", -EINVAL, "not a plain file");
	char path[64];
	make_path(path);
	expect_refused(path, -EINVAL, "empty");
	cr_assert_eq(truncate(path, 1 << 30), 0);
	expect_refused(path, -EINVAL, "larger than");
	unlink(path);
	cr_assert_eq(mkfifo(path, 0600), 0);
	expect_refused(path, -EINVAL, "not a plain file");
	unlink(path);
}

Test(topology, bad_files)
{
	static const struct {
		const char *text, *part;
	} bad[] = {
		{ "pu:2", "line 1: no tag" },
		{ "\n\n  text", "line 3: no tag" },
		{ "<", "not XML" },
		{ "<a", "not XML" },
		{ "<a></a></a>", "more closing tags" },
		{ HEAD "<topology>\n<object>\n", "line 4: an element does not finish" },
		{ HEAD, "no element" },
		{ HEAD "<topology/>", "not" },
		{ HEAD "<topology version=\"2.0\"></topology>", "not" },
		{ HEAD "<html><body/></html>", "not" },
		{ "<a b=\"<\"/>", "a tag does not finish" },
		{ "<a b='x/>", "not XML" },
		{ "<a b/>", "not XML" },
		{ "<!-- <a> --><a/>", "a comment" },
		{ "<?x <?><a/>", "processing instruction" },
		{ "<a/><![CDATA[x]]>", "declaration" },
		{ "<?xml version=\"1.0\" encoding=\"UTF-7\"?><a/>", "encoding" },
		{ "<a os_index=\"65536\"/>", "too large" },
		{ "<a os_index = '4294967295'/>", "too large" },
		{ "<a os_index=\"1&#48;\"/>", "too large" },
		{ MACHINE("<!DOCTYPE topology [<!ENTITY a \"0x3\">]>\n", BOTH_CPUS),
		  "line 2: a document" },
		{ MACHINE("<!DOCTYPE topology [ ]>\n", BOTH_CPUS), "line 2: a document" },
		{ MACHINE("", ""), "not" },
		{ MACHINE("", CPU("0", "0x1") CPU("5", "0x2")), "CPU 5" },
		{ MACHINE("", CPU("0", "0x1") CPU("0", "0x1")), "CPU 0" },
		{ MACHINE("", CPU("0", "0x3")), "CPU 0" },
		{ MACHINE("", BOTH_CPUS "<object type=\"Nonsense\"" SETS("0x1", "0x1") "/>"),
		  "not" },
	};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_text_refused(bad[i].text, strlen(bad[i].text), bad[i].part);
	expect_text_refused("<a>\0</a>", 8, "a zero byte");
	expect_text_refused("\xff\xfe<\0a\0/\0>\0", 10, "a zero byte");
}

/* Text made of many pieces, refused. */
static void expect_bomb_refused(const char *piece, unsigned count, const char *part)
{
	size_t bytes = strlen(piece);
	char *text = malloc(bytes * count + 32);
	size_t length = (size_t)sprintf(text, "<topology>");
	for (unsigned i = 0; i < count; i++, length += bytes)
		memcpy(text + length, piece, bytes);
	length += (size_t)sprintf(text + length, "</topology>");
	expect_text_refused(text, length, part);
	free(text);
}

Test(topology, bombs)
{
	expect_bomb_refused("<object type=\"Group\">", 200, "nested too deep");
	expect_bomb_refused("<object type=\"Group\">", 300000, "nested too deep");
	expect_bomb_refused("<info name=\"a\" value=\"b\"/>", 70000, "too many elements");
	expect_bomb_refused("<info name=\"a\" value=\"b\"/>", 700000, "larger than");
	char wide[1024] = "<object cpuset=\"0x1";
	memset(wide + strlen(wide), ',', 900);
	strcat(wide, "\"/>");
	expect_bomb_refused(wide, 1, "too wide");
}

/* ---- edited at random ---- */

static uint64_t random_state = 88172645463325252u;

static unsigned draw(unsigned limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)((random_state >> 16) % limit);
}

/* pre: text has room for 64 bytes more. */
static void edit(char *text)
{
	static const char *const pieces[] = {
		"",	"0x0",	    "0xf...f", "0xffffffff", "-1",	  "4294967295",
		"\"",	"<",	    "/>",      ",,,",	     "</object>", "PU",
		"Core", "NUMANode", "Machine", "L3Cache",    "Group",	  "Bridge",
	};
	size_t bytes = strlen(text);
	char *at = text + draw((unsigned)bytes);
	const char *piece = pieces[draw(sizeof(pieces) / sizeof(pieces[0]))];
	char *open = strchr(at, '"');
	char *close = open ? strchr(open + 1, '"') : NULL;
	if (draw(2) && close) { /* another value */
		memmove(open + 1 + strlen(piece), close, strlen(close) + 1);
		memcpy(open + 1, piece, strlen(piece));
	} else if (draw(2)) { /* another byte */
		*at = "0123456789abcdef\"<>/= "[draw(22)];
	} else { /* a piece in between, or a cut */
		char *rest = at + (draw(2) ? strlen(at) / 50 : 0);
		memmove(at + strlen(piece), rest, strlen(rest) + 1);
		memcpy(at, piece, strlen(piece));
	}
}

/* Loads and is consistent, or is refused in one line: hwloc itself crashes on some of these. */
static unsigned try_source(const char *source)
{
	struct clv_topology *topology = NULL;
	struct cleave_error error = { "" };
	int status = clv_topology_load(&topology, source, &error);
	if (status == 0) {
		expect_consistent(topology);
		clv_topology_free(topology);
		return 1;
	}
	cr_assert_lt(status, 0);
	cr_assert(error.text[0] && !strchr(error.text, '\n'));
	return 0;
}

Test(topology, edited_files)
{
	char *text = read_data(CLV_TEST_DATA "/topology/epyc_2cpu.xml");
	char path[64];
	make_path(path);
	unsigned loaded = 0;
	const unsigned rounds = 400;
	for (unsigned i = 0; i < rounds; i++) {
		char *edited = malloc(strlen(text) + 256);
		strcpy(edited, text);
		for (unsigned edits = 1 + draw(3); edits && *edited; edits--)
			edit(edited);
		write_file(path, edited, strlen(edited));
		loaded += try_source(path);
		free(edited);
	}
	cr_assert(loaded > 0 && loaded < rounds, "%u loaded", loaded);
	unlink(path);
	free(text);
}

Test(topology, edited_strings)
{
	static const char *const pieces[] = { "numa:2", "[numa]", "(",	      ")",    "[",
					      "]",	":",	  " ",	      "l3:2", "core:3",
					      "pu:2",	"2",	  "indexes=", ",",    "*" };
	unsigned loaded = 0;
	const unsigned rounds = 400;
	for (unsigned i = 0; i < rounds; i++) {
		char text[512];
		strcpy(text, "pack:2 [numa(memory=27)] l3:2(size=3) core:2 pu:2(indexes=core:l3)");
		for (unsigned edits = 1 + draw(2); edits; edits--) {
			char *at = text + draw((unsigned)strlen(text));
			const char *piece = pieces[draw(sizeof(pieces) / sizeof(pieces[0]))];
			const char *rest = at + draw(2);
			memmove(at + strlen(piece), rest, strlen(rest) + 1);
			memcpy(at, piece, strlen(piece));
		}
		loaded += try_source(text);
	}
	cr_assert(loaded > 0 && loaded < rounds, "%u loaded", loaded);
}

/* Nothing is printed, not even of a file for which hwloc would: CPUs out of order. */
Test(topology, silence)
{
	static const char text[] = MACHINE("", CPU("1", "0x2") CPU("0", "0x1"));
	char path[64], errors[64];
	make_path(path);
	make_path(errors);
	write_file(path, text, strlen(text));
	int before = dup(STDERR_FILENO);
	int file = open(errors, O_WRONLY);
	cr_assert(before >= 0 && file >= 0 && dup2(file, STDERR_FILENO) >= 0);
	struct clv_topology *topology = NULL;
	int status = clv_topology_load(&topology, path, NULL);
	cr_assert(dup2(before, STDERR_FILENO) >= 0);
	struct stat about;
	cr_assert_eq(fstat(file, &about), 0);
	cr_assert_eq(about.st_size, 0);
	cr_assert_eq(status, 0);
	cr_assert_eq(topology->cpus, 2);
	expect_consistent(topology);
	clv_topology_free(topology);
	unlink(path);
	unlink(errors);
}
