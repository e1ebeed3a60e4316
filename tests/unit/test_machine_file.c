// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Reading machine files: what is wrong with one is said in one line. Wrong files are a built-in one
 * with one thing changed.
 */
#define _GNU_SOURCE
#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../harness/machine/model.h"
#include "../../lib/error.h"
#include "../../lib/topology.h"

#define SUBJECT "naples-2s128"
#define COPY "a-copy" /* the name of files made from it */

static char folder[] = "/tmp/cleave-model-XXXXXX";
static char path[64], beside[64];

/* Also cut short by a failed assertion, the files are gone: each test is a process of its own. */
static void make_folder(void)
{
	cr_assert(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/" COPY ".json", folder);
	snprintf(beside, sizeof(beside), "%s/beside.xml", folder);
}

static void remove_folder(void)
{
	unlink(path);
	unlink(beside);
	rmdir(folder);
}

TestSuite(machine_file, .init = make_folder, .fini = remove_folder);

static struct clv_model *load(const char *name)
{
	struct clv_model *model = NULL;
	struct cleave_error error = { "" };
	int code = clv_model_load(&model, name, &error);
	cr_assert_eq(code, 0, "%s: %d, %s", name, code, error.text);
	return model;
}

static void put(const char *to, const char *text, size_t bytes)
{
	FILE *out = fopen(to, "w");
	cr_assert(out && fwrite(text, 1, bytes, out) == bytes && fclose(out) == 0, "%s", to);
}

/* Under the copy's name. */
static char *subject_text(void)
{
	static const char name[] = "\"name\": \"" SUBJECT "\"";
	struct clv_model *model = load(SUBJECT);
	const char *at = strstr(model->json, name);
	char *text;
	cr_assert(at);
	cr_assert_gt(asprintf(&text, "%.*s\"name\": \"" COPY "\"%s", (int)(at - model->json),
			      model->json, at + strlen(name)), 0);
	clv_model_free(model);
	return text;
}

/* The subject with the first `from` made `to`, at `path`. */
static void put_changed(const char *from, const char *to)
{
	char *text = subject_text(), *changed;
	char *at = strstr(text, from);
	cr_assert(at, "the subject has no %s", from);
	int bytes = asprintf(&changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	cr_assert_gt(bytes, 0);
	put(path, changed, (size_t)bytes);
	free(changed);
	free(text);
}

/* Loading `name` fails with this line; the pointer stays as it was. */
static void expect_error(const char *name, int code, const char *line)
{
	struct clv_model *model = (void *)&model;
	struct cleave_error error = { "" };
	int got = clv_model_load(&model, name, &error);
	cr_assert_str_eq(error.text, line);
	cr_assert_eq(got, code, "%s: %d", line, got);
	cr_assert_eq((void *)model, (void *)&model);
	cr_assert_eq(clv_model_load(&model, name, NULL), code);
}

/* The file at `path` is refused with this, after what is said of every one. */
static void expect_refused(const char *why)
{
	char line[512];
	snprintf(line, sizeof(line), "not a machine file: %s: %s", path, why);
	expect_error(path, -EINVAL, line);
}

static void expect_text_refused(const char *text, size_t bytes, const char *why)
{
	put(path, text, bytes);
	expect_refused(why);
}

/* ---- a file ---- */

Test(machine_file, file_is_as_built_in)
{
	struct clv_model *model = load(SUBJECT);
	char *text = subject_text();
	put(path, text, strlen(text));
	struct clv_model *file = load(path);
	cr_assert_str_eq(file->digest, model->digest);
	cr_assert_str_eq(file->json, text);
	free(text);
	cr_assert_eq(memcmp(&file->costs, &model->costs, sizeof(file->costs)), 0);
	cr_assert_eq(strlen(file->digest), 16);
	clv_model_free(file);
	clv_model_free(model);
	cr_assert(clv_model_known(path));
	cr_assert(!clv_model_known(folder));
}

Test(machine_file, fractions_round_to_ps)
{
	static const struct {
		const char *text;
		uint64_t ps;
	} l1[] = { { "1", 1000 },	{ "1.5", 1500 },   { "0.0006", 1 },
		   { "1.23449", 1234 }, { "12e-1", 1200 }, { "1000000", 1000000000 } };
	for (size_t i = 0; i < sizeof(l1) / sizeof(l1[0]); i++) {
		char to[64];
		snprintf(to, sizeof(to), "\"l1_ns\": { \"value\": %s,", l1[i].text);
		put_changed("\"l1_ns\": { \"value\": 1.54,", to);
		struct clv_model *model = load(path);
		cr_assert_eq(model->costs.l1_ps, l1[i].ps, "%s: %llu", l1[i].text,
			     (unsigned long long)model->costs.l1_ps);
		clv_model_free(model);
	}
}

/* How a number is written, and what is no cost, leave a machine what it is. */
Test(machine_file, digest_is_of_values_and_topology)
{
	struct clv_model *model = load(SUBJECT), *file;
	static const char *const same[][2] = {
		{ "\"value\": 95,", "\"value\":9.5e1 ," },
		{ "\"revision\": 1", "\"revision\": 2" },
		{ "(Naples)", "(Zen)" },
		{ "\"source\": \"AnandTech", "\"source\": \"also AnandTech" },
	};
	static const char *const other[][2] = {
		{ "\"value\": 95,", "\"value\": 95.001," },
		{ "numa:4", "numa:2" },
		{ "\"outstanding\": { \"value\": 22", "\"outstanding\": { \"value\": 23" },
	};
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		put_changed(same[i][0], same[i][1]);
		file = load(path);
		cr_assert_str_eq(file->digest, model->digest, "%s", same[i][1]);
		clv_model_free(file);
	}
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		put_changed(other[i][0], other[i][1]);
		file = load(path);
		cr_assert_str_neq(file->digest, model->digest, "%s", other[i][1]);
		clv_model_free(file);
	}
	clv_model_free(model);
}

#define TOPOLOGY                                                                                   \
	"pack:2 numa:4(memory=34359738368) l3:2(size=8388608) l2:4(size=524288) "                  \
	"l1d:1(size=32768) "                                                                       \
	"l1i:1(size=65536) core:1 pu:2(indexes=core)"

static void put_xml(const char *name)
{
	char from[128];
	FILE *in = NULL;
	char *text = calloc(1, 1 << 20);
	snprintf(from, sizeof(from), CLV_TEST_DATA "/topology/%s", name);
	in = fopen(from, "r");
	cr_assert(in && text, "%s", from);
	size_t bytes = fread(text, 1, (1 << 20) - 1, in);
	fclose(in);
	put(beside, text, bytes);
	free(text);
}

Test(machine_file, xml_is_beside_it)
{
	struct clv_topology *topology;
	put_xml("hygon_12n384.xml");
	put_changed(TOPOLOGY, "beside.xml");
	struct clv_model *relative = load(path);
	cr_assert_str_eq(relative->topology, beside);
	cr_assert_eq(clv_topology_load(&topology, relative->topology, NULL), 0);
	cr_assert_eq(topology->cpus, 384);
	clv_topology_free(topology);
	put_changed(TOPOLOGY, beside);
	struct clv_model *absolute = load(path);
	cr_assert_str_eq(absolute->digest, relative->digest, "the path is part of it");
	/* From inside the folder there is no folder in the path. */
	cr_assert_eq(chdir(folder), 0);
	put_changed(TOPOLOGY, "beside.xml");
	struct clv_model *here = load(COPY ".json");
	cr_assert_str_eq(here->topology, "beside.xml");
	cr_assert_eq(chdir("/"), 0);
	put_xml("epyc_2cpu.xml");
	struct clv_model *other = load(path);
	cr_assert_str_neq(other->digest, relative->digest, "what is in the XML is not part of it");
	clv_model_free(relative);
	clv_model_free(absolute);
	clv_model_free(here);
	clv_model_free(other);
}

/* ---- what is refused ---- */

Test(machine_file, names)
{
	expect_error("dragon", -ENOENT, "machine 'dragon': unknown; see cleave list machines");
	expect_error("", -ENOENT, "machine '': unknown; see cleave list machines");
	expect_error(".json", -ENOENT, "machine '.json': unknown; see cleave list machines");
	expect_error("no-such.json", -ENOENT,
		     "cannot open: no-such.json: No such file or directory");
	expect_error("/dev/zero", -EINVAL, "not a machine file: /dev/zero: not a plain file");
	expect_error("/proc/self/", -EINVAL, "not a machine file: /proc/self/: a directory");
	cr_assert_eq(mkfifo(path, 0600), 0);
	expect_refused("not a plain file");
}

static void expect_taken(const char *name)
{
	char text[80], why[120];
	snprintf(path, sizeof(path), "%s/%s.json", folder, name);
	snprintf(text, sizeof(text), "\"name\": \"%s\"", name);
	put_changed("\"name\": \"" COPY "\"", text);
	snprintf(why, sizeof(why), "name: '%s' is another machine's; see cleave list machines", name);
	expect_refused(why);
	unlink(path);
}

Test(machine_file, names_that_are_taken)
{
	expect_taken("host");
	expect_taken(SUBJECT);
}

Test(machine_file, not_json)
{
	char *whole = subject_text();
	expect_text_refused("", 0, "empty");
	expect_text_refused("hello\n", 6, "line 1: '[' or '{' expected near 'hello'");
	expect_text_refused("[]\n", 3, "line 1: not an object");
	expect_text_refused("{\n\n\"a\": \x01}", 9, "line 3: invalid token near '?'");
	expect_text_refused("{\n\"a\": \"\xff\"}", 11,
			    "line 2: unable to decode byte 0xff near '\"'");
	expect_text_refused("{\n}\n{}", 6, "line 3: end of file expected near '{'");
	expect_text_refused("{\n\"a\": 1e999\n}", 14, "line 2: real number overflow near '1e999'");
	expect_text_refused(
		"{\"a\": \"\\u0000\"}", 15,
		"line 1: \\u0000 is not allowed without JSON_ALLOW_NUL near '\"\\u0000\"'");
	/* A comment, a comma too many, and a file cut off. */
	put_changed("{\n", "{\n// Naples\n");
	expect_refused("line 2: string or '}' expected near '/'");
	put_changed("without a miss\" }", "without a miss\" },");
	expect_refused("line 112: string or '}' expected near '}'");
	put(path, whole, strlen(whole) / 2);
	struct cleave_error error;
	struct clv_model *model;
	cr_assert_eq(clv_model_load(&model, path, &error), -EINVAL);
	cr_assert(strstr(error.text, ": line "), "%s", error.text);
	free(whole);
}

Test(machine_file, huge)
{
	size_t limit = 1 << 20;
	char *blank = malloc(limit + 1);
	char *whole = subject_text();
	memset(blank, ' ', limit + 1);
	expect_text_refused(blank, limit + 1, "larger than 1048576 bytes");
	memcpy(blank, whole, strlen(whole));
	expect_text_refused(blank, limit + 1, "larger than 1048576 bytes");
	put(path, blank, limit);
	clv_model_free(load(path));
	memset(blank, '[', limit);
	expect_text_refused(blank, limit, "line 1: maximum parsing depth reached near '['");
	free(whole);
	free(blank);
}

/* A value of l1_ns in its place. */
#define L1 "\"l1_ns\": { \"value\": 1.54,"
#define WITH_L1(text) L1, "\"l1_ns\": { \"value\": " text ","
#define L1_SOURCE "\"AnandTech 14694: 4 cycles at 2.6 GHz (7501 with all cores busy, assumed)\""

static const struct {
	const char *from, *to, *why;
} wrong[] = {
	/* the head */
	{ "\"cleave-machine\"", "\"cleave-results\"",
	  "format: 'cleave-results', not 'cleave-machine'" },
	{ "\"format\": \"cleave-machine\", ", "", "format: missing" },
	{ "\"cleave-machine\"", "7", "format: not a string" },
	{ "\"format_version\": 1", "\"format_version\": 2",
	  "format_version: not 1, which is all that is known here" },
	{ "\"format_version\": 1", "\"format_version\": \"1\"",
	  "format_version: not 1, which is all that is known here" },
	{ ", \"format_version\": 1", "", "format_version: missing" },
	{ "\"name\": \"" COPY "\",", "", "name: missing" },
	{ "\"name\": \"" COPY "\"", "\"name\": \"naples\"",
	  "name: 'naples' is not that of the file" },
	{ "\"name\": \"" COPY "\"", "\"name\": \"na ples\"",
	  "name: 'na ples' is not made of letters, digits and _.-" },
	{ "\"name\": \"" COPY "\"",
	  "\"name\": \"0123456789012345678901234567890123456789"
	  "012345678901234567890123\"",
	  "name: longer than 63 bytes" },
	{ "\"name\": \"" COPY "\"", "\"name\": \"" COPY "\", \"name\": \"" COPY "\"",
	  "line 3: duplicate object key near '\"name\"'" },
	{ "\"summary\": \"", "\"summary\": \"\\n", "summary: has a control character" },
	{ "\"summary\"", "\"abstract\"", "unknown member 'abstract'" },
	{ "\"summary\": \"simulated: two AMD EPYC 7501 (Naples), 2 x 32 cores, 8 nodes, 128 CPUs; "
	  "one L3 for 4 cores\"",
	  "\"summary\": \" \"", "summary: empty" },
	{ "\"revision\": 1,", "", "revision: missing" },
	{ "\"revision\": 1", "\"revision\": 0", "revision: not a whole number from 1 to 1000000" },
	{ "\"revision\": 1", "\"revision\": 1.5",
	  "revision: not a whole number from 1 to 1000000" },
	{ "\"revision\": 1,", "\"revision\": 1, \"de\\u0007ad\": 1,", "unknown member 'de?ad'" },
	{ "\"parameters\": {", "\"parameters\": [], \"x\": {", "unknown member 'x'" },
	/* parameters */
	{ "\"l1_ns\": {", "\"l9_ns\": {",
	  "parameter 'l9_ns': unknown; see cleave list parameters" },
	{ L1, "\"l1_ns\": 1, \"l1_ns\": { \"value\": 1.54,",
	  "line 20: duplicate object key near '\"l1_ns\"'" },
	{ L1 "\n\t\t\t\"source\": " L1_SOURCE " },", "", "parameter l1_ns: missing" },
	{ L1 "\n\t\t\t\"source\": " L1_SOURCE " },", "\"l1_ns\": 1.54,",
	  "parameter l1_ns: not an object with value and source" },
	{ L1, "\"l1_ns\": {", "parameter l1_ns: value: missing" },
	{ L1, "\"l1_ns\": { \"value\": 1, \"value\": 1,",
	  "line 20: duplicate object key near '\"value\"'" },
	{ L1, "\"l1_ns\": { \"value\": 1, \"unit\": \"ns\",",
	  "parameter l1_ns: unknown member 'unit'" },
	{ WITH_L1("-1.54"), "parameter l1_ns: -1.54 is negative" },
	{ WITH_L1("\"1.54\""), "parameter l1_ns: value: not a number" },
	{ WITH_L1("null"), "parameter l1_ns: value: not a number" },
	{ WITH_L1("true"), "parameter l1_ns: value: not a number" },
	{ WITH_L1("[1.54]"), "parameter l1_ns: value: not a number" },
	{ WITH_L1("1000000.5"), "parameter l1_ns: 1000000.5 is too large: at most 1000000 ns" },
	{ WITH_L1("1e300"), "parameter l1_ns: 1e+300 is too large: at most 1000000 ns" },
	{ WITH_L1("0"), "parameter l1_ns: must be more than 0" },
	{ WITH_L1("-0.0"), "parameter l1_ns: must be more than 0" },
	{ WITH_L1("0.0004"), "parameter l1_ns: must be more than 0: a ps is the least" },
	{ WITH_L1("99999999999999999999"), "line 20: too big integer near '99999999999999999999'" },
	{ WITH_L1("NaN"), "line 20: invalid token near 'NaN'" },
	{ L1 "\n\t\t\t\"source\": " L1_SOURCE, "\"l1_ns\": { \"value\": 1.54",
	  "parameter l1_ns: source: missing" },
	{ L1_SOURCE, "\"\"", "parameter l1_ns: source: empty" },
	{ L1_SOURCE, "\"  \"", "parameter l1_ns: source: empty" },
	{ L1_SOURCE, "14694", "parameter l1_ns: source: not a string" },
	{ L1_SOURCE, "\"two\\nlines\"", "parameter l1_ns: source: has a control character" },
	/* what does not go together */
	{ "\"outstanding\": { \"value\": 22", "\"outstanding\": { \"value\": 0",
	  "parameter outstanding: must be more than 0" },
	{ "\"outstanding\": { \"value\": 22", "\"outstanding\": { \"value\": 22.5",
	  "parameter outstanding: 22.5 is not a whole number" },
	{ "\"window\": { \"value\": 72", "\"window\": { \"value\": 0",
	  "parameter window: must be more than 0" },
	{ "\"store_buffer\": { \"value\": 44", "\"store_buffer\": { \"value\": 0",
	  "parameter store_buffer: must be more than 0" },
	{ "\"smt_percent\": { \"value\": 160", "\"smt_percent\": { \"value\": 99",
	  "parameter smt_percent: 99 is less than 100: faster beside a busy sibling than alone" },
	{ "\"l1_bytes\": { \"value\": 32768", "\"l1_bytes\": { \"value\": 32769",
	  "parameter l1_bytes: 32769 is not in whole lines of 64" },
	{ "\"l1_ways\": { \"value\": 8", "\"l1_ways\": { \"value\": 7",
	  "parameter l1_ways: 7 do not divide the 512 lines of l1_bytes" },
	{ "\"l2_bytes\": { \"value\": 524288", "\"l2_bytes\": { \"value\": 393216",
	  "parameter l2_ways: makes 768 sets of l2_bytes, not a power of two" },
	{ "\"l3_ways\": { \"value\": 16", "\"l3_ways\": { \"value\": 15",
	  "parameter l3_ways: 15 do not divide the 131072 lines of l3_bytes" },
	{ "\"l3_bytes\": { \"value\": 8388608", "\"l3_bytes\": { \"value\": 1e12",
	  "parameter l3_bytes: 1000000000000 is too large: at most 1073741824 bytes" },
	/* the topology */
	{ "\"topology\": \"" TOPOLOGY "\",", "", "topology: missing" },
	{ "\"" TOPOLOGY "\"", "\"\"", "topology: empty" },
	{ "\"" TOPOLOGY "\"", "[]", "topology: not a string" },
	{ TOPOLOGY, "pack:2 numa:4 core:8 pu:2",
	  "topology: has no L3 cache, which costs are told apart by" },
	{ TOPOLOGY, "pack:2 l3:2 pu:99999999",
	  "topology: too many CPUs in topology string: character 16: more than 8192" },
	{ TOPOLOGY, "pack:0", "topology: nothing to count in topology string: character 6: 0" },
};

Test(machine_file, wrong_ones)
{
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		put_changed(wrong[i].from, wrong[i].to);
		expect_refused(wrong[i].why);
	}
}

/* An L3's sets need not be a power of two; everything that may be 0 can be. */
Test(machine_file, limits_are_in)
{
	put_changed("\"l3_bytes\": { \"value\": 8388608", "\"l3_bytes\": { \"value\": 110100480");
	clv_model_free(load(path));
	put_changed("\"park_ns\": { \"value\": 1000,", "\"park_ns\": { \"value\": 0,");
	clv_model_free(load(path));
	put_changed("\"park_ns\": { \"value\": 1000,", "\"park_ns\": { \"value\": 1000000000,");
	clv_model_free(load(path));
}

static void expect_xml_refused(const char *text, const char *why)
{
	char line[400];
	put(beside, text, strlen(text));
	put_changed(TOPOLOGY, "beside.xml");
	snprintf(line, sizeof(line), "topology: not a topology file: %s: %s", beside, why);
	expect_refused(line);
}

Test(machine_file, xml_bomb)
{
	expect_xml_refused(
		"<?xml version=\"1.0\"?>\n<!DOCTYPE lolz [\n"
		" <!ENTITY lol \"lol\">\n"
		" <!ENTITY lol1 \"&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;\">\n"
		" <!ENTITY lol2 \"&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;\">\n"
		"]>\n<topology>&lol2;</topology>\n",
		"line 2: a document type with declarations of its own");
	expect_xml_refused("<topology>\n", "line 2: an element does not finish");
	unlink(beside);
	char line[160];
	snprintf(line, sizeof(line), "topology: cannot open: %s: No such file or directory",
		 beside);
	expect_refused(line);
}

/* ---- changing one ---- */

static const struct clv_parameter *find(const char *name)
{
	const struct clv_parameter *parameter;
	for (unsigned i = 0; (parameter = clv_parameter_at(i)); i++) {
		if (!strcmp(parameter->name, name))
			return parameter;
	}
	cr_assert_fail("no parameter %s", name);
	return NULL;
}

Test(machine_file, set_and_get)
{
	struct clv_model *model = load(SUBJECT);
	char before[17];
	strcpy(before, model->digest);
	cr_assert_eq(clv_model_get(model, find("write_ns.remote")), 242.69);
	cr_assert_eq(clv_model_set(model, "write_ns.remote", 300.25, NULL), 0);
	cr_assert_eq(model->costs.write_ps[CLV_DIST_REMOTE], 300250);
	cr_assert_eq(clv_model_get(model, find("write_ns.remote")), 300.25);
	cr_assert_str_neq(model->digest, before);
	cr_assert_eq(clv_model_set(model, "write_ns.remote", 242.69, NULL), 0);
	cr_assert_str_eq(model->digest, before);
	cr_assert_eq(clv_model_set(model, "window", 1, NULL), 0);
	cr_assert_eq(model->costs.window, 1);
	clv_model_free(model);
}

/* Each is at a place of its own, and its digest its own. */
Test(machine_file, set_changes_that_one_alone)
{
	struct clv_model *model = load(SUBJECT);
	const struct clv_parameter *parameter, *other;
	for (unsigned i = 0; (parameter = clv_parameter_at(i)); i++) {
		struct clv_costs costs = model->costs;
		char before[17];
		double value = clv_model_get(model, parameter);
		strcpy(before, model->digest);
		cr_assert_eq(
			clv_model_set(model, parameter->name,
				      parameter->max == 1 ? 1 - value :
							    value * 2 + parameter->is_time, NULL),
			0, "%s", parameter->name);
		cr_assert_str_neq(model->digest, before, "%s", parameter->name);
		for (unsigned j = 0; (other = clv_parameter_at(j)); j++) {
			bool same = !memcmp((char *)&costs + other->offset,
					    (char *)&model->costs + other->offset, 8);
			cr_assert_eq(same, i != j, "%s: %s", parameter->name, other->name);
		}
		cr_assert_eq(clv_model_set(model, parameter->name, value, NULL), 0);
		cr_assert_str_eq(model->digest, before);
	}
	clv_model_free(model);
}

Test(machine_file, every_cost_is_a_parameter)
{
	unsigned parameters = 0;
	while (clv_parameter_at(parameters))
		parameters++;
	/* Of memory's five distances two are not used. */
	cr_assert_eq(parameters, sizeof(struct clv_costs) / sizeof(uint64_t) - 2);
}

Test(machine_file, bad_sets)
{
	static const struct {
		const char *name;
		double value;
		int code;
		const char *line;
	} bad[] = {
		{ "l9_ns", 1, -ENOENT, "parameter 'l9_ns': unknown; see cleave list parameters" },
		{ "memory_ns.core", 1, -ENOENT,
		  "parameter 'memory_ns.core': unknown; see cleave list parameters" },
		{ "l1_ns", -1, -EINVAL, "parameter l1_ns: -1 is negative" },
		{ "l1_ns", NAN, -EINVAL, "parameter l1_ns: not a number" },
		{ "l1_ns", INFINITY, -EINVAL, "parameter l1_ns: not a number" },
		{ "l1_ns", 0, -EINVAL, "parameter l1_ns: must be more than 0" },
		{ "l1_ns", 2e6, -EINVAL,
		  "parameter l1_ns: 2000000 is too large: at most 1000000 ns" },
		{ "l1_ways", 3, -EINVAL,
		  "parameter l1_ways: 3 do not divide the 512 lines of l1_bytes" },
		{ "smt_percent", 1, -EINVAL,
		  "parameter smt_percent: 1 is less than 100: faster beside a busy sibling than "
		  "alone" },
	};
	struct clv_model *model = load(SUBJECT);
	struct clv_costs costs = model->costs;
	char before[17];
	strcpy(before, model->digest);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cleave_error error = { "" };
		cr_assert_eq(clv_model_set(model, bad[i].name, bad[i].value, &error), bad[i].code,
			     "%s", bad[i].line);
		cr_assert_str_eq(error.text, bad[i].line);
		cr_assert_eq(memcmp(&costs, &model->costs, sizeof(costs)), 0);
		cr_assert_str_eq(model->digest, before);
	}
	clv_model_free(model);
}
