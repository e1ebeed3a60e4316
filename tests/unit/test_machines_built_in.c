// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The machines that are built in: whole, sourced, and of the shape that their names say.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../../harness/machine/machine.h"
#include "../../harness/machine/model.h"
#include "../../lib/error.h"

static struct clv_model *load(const char *name)
{
	struct clv_model *model = NULL;
	struct cleave_error error = { "" };
	int code = clv_model_load(&model, name, &error);
	cr_assert_eq(code, 0, "%s: %d, %s", name, code, error.text);
	return model;
}

static const struct {
	const char *name;
	unsigned packages, nodes, l3s, cores, cpus;
} built_in[] = {
	{ "hygon-12n384", 2, 12, 48, 192, 384 }, { "hygon-12n384-l3x8", 2, 12, 24, 192, 384 },
	{ "hygon-8n256", 2, 8, 32, 128, 256 },	 { "naples-2s128", 2, 8, 16, 64, 128 },
	{ "epyc-1n256", 1, 1, 16, 128, 256 },	 { "xeon-2s128", 2, 2, 2, 64, 128 },
	{ "xeon-2s224", 2, 2, 2, 112, 224 },
};
enum { BUILT_IN = sizeof(built_in) / sizeof(built_in[0]) };

static void expect_size_in(const char *name, const char *topology, const char *cache,
			   uint64_t bytes)
{
	char size[32];
	const char *at = strstr(topology, cache);
	snprintf(size, sizeof(size), "(size=%llu)", (unsigned long long)bytes);
	cr_assert(at, "%s: no %s", name, cache);
	at = strchr(at, '(');
	cr_assert(at && !strncmp(at, size, strlen(size)), "%s: %s is not %s", name, cache, size);
}

Test(built_in, topologies)
{
	for (unsigned i = 0; i < BUILT_IN; i++) {
		const char *name = built_in[i].name;
		struct clv_model *model = load(name);
		struct clv_topology *topology;
		cr_assert_str_eq(model->name, name);
		cr_assert_eq(clv_topology_load(&topology, model->topology, NULL), 0, "%s", name);
		cr_assert_eq(topology->packages, built_in[i].packages, "%s", name);
		cr_assert_eq(topology->nodes, built_in[i].nodes, "%s", name);
		cr_assert_eq(topology->l3s, built_in[i].l3s, "%s", name);
		cr_assert_eq(topology->cores, built_in[i].cores, "%s", name);
		cr_assert_eq(topology->cpus, built_in[i].cpus, "%s", name);
		expect_size_in(name, model->topology, "l3:", model->costs.l3_bytes);
		expect_size_in(name, model->topology, "l2:", model->costs.l2_bytes);
		expect_size_in(name, model->topology, "l1d:", model->costs.l1_bytes);
		clv_topology_free(topology);
		clv_model_free(model);
	}
}

Test(built_in, listed_as_machines)
{
	for (unsigned i = 0; i < BUILT_IN; i++) {
		const struct clv_model_info *info = clv_model_info_at(i);
		const struct clv_machine_info *machine = clv_machine_info_at(i + 1);
		struct clv_model *model = load(built_in[i].name);
		cr_assert(info && machine, "%s", built_in[i].name);
		cr_assert_str_eq(info->name, built_in[i].name);
		cr_assert_str_eq(machine->name, built_in[i].name);
		cr_assert_str_eq(info->summary, model->summary);
		cr_assert_str_eq(machine->summary, model->summary);
		cr_assert(machine->simulated && clv_model_known(info->name));
		clv_model_free(model);
	}
	cr_assert_null(clv_model_info_at(BUILT_IN));
	cr_assert_null(clv_machine_info_at(BUILT_IN + 1));
	cr_assert(!clv_machine_info_at(0)->simulated);
}

/* Assumed, and then why; or somebody's who can be asked. */
static bool is_sourced(const char *source)
{
	static const char *const known[] = { "github.com/", "AnandTech ", "gist ",
					     "Tom's Hardware" };
	if (!strncmp(source, "assumed", 7))
		return strlen(source) > strlen("assumed: as Zen");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strstr(source, known[i]))
			return true;
	}
	return false;
}

Test(built_in, every_parameter_has_a_source)
{
	const struct clv_parameter *parameter;
	for (unsigned i = 0; i < BUILT_IN; i++) {
		struct clv_model *model = load(built_in[i].name);
		for (unsigned j = 0; (parameter = clv_parameter_at(j)); j++) {
			const char *source = clv_model_source(model, parameter->name);
			cr_assert(source && is_sourced(source), "%s: %s: %s", model->name,
				  parameter->name, source ? source : "none");
		}
		cr_assert_null(clv_model_source(model, "l9_ns"));
		clv_model_free(model);
	}
}

/* Farther is never cheaper, and a model is not another one under a second name. */
Test(built_in, nearer_is_not_dearer)
{
	char digest[BUILT_IN][17];
	for (unsigned i = 0; i < BUILT_IN; i++) {
		struct clv_model *model = load(built_in[i].name);
		const struct clv_costs *costs = &model->costs;
		for (int d = 1; d < CLV_DISTANCES; d++) {
			cr_assert_geq(costs->read_ps[d], costs->read_ps[d - 1], "%s", model->name);
			cr_assert_geq(costs->write_ps[d], costs->write_ps[d - 1], "%s",
				      model->name);
			cr_assert_geq(costs->upgrade_ps[d], costs->upgrade_ps[d - 1], "%s",
				      model->name);
			if (d > CLV_DIST_NODE)
				cr_assert_geq(costs->memory_ps[d], costs->memory_ps[d - 1], "%s",
					      model->name);
		}
		cr_assert(costs->l1_ps < costs->l2_ps && costs->l2_ps < costs->l3_ps);
		strcpy(digest[i], model->digest);
		for (unsigned j = 0; j < i; j++)
			cr_assert_str_neq(digest[i], digest[j]);
		clv_model_free(model);
	}
}

/* The hand-overs assumed for the Hygon, which results are shown with. */
Test(built_in, hygon_hand_overs)
{
	static const uint64_t hand_over_ns[] = { 10, 25, 95, 155, 260 };
	struct clv_model *model = load("hygon-12n384");
	for (int d = 0; d < CLV_DISTANCES; d++)
		cr_assert_eq(model->costs.write_ps[d] + model->costs.atomic_ps,
			     hand_over_ns[d] * 1000, "distance %d", d);
	clv_model_free(model);
}
