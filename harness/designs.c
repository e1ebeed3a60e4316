// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "designs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cleave/structure.h>

#include "../lib/design.h"
#include "../lib/error.h"

#define THREAD "linux-mm, April 2026"

static const struct clv_named_design table[] = {
	{ "baseline", "rb_vma/one:rwsem", "today's kernel, in its own memory layout",
	  "Linux i_mmap" },
	{ "split-trees", "rb_vma@node/one:rwsem", "a tree for each NUMA node, one lock",
	  "the patch set under discussion, " THREAD },
	{ "split-trees-cpu32", "rb_vma@cpu32/one:rwsem",
	  "the same for machines with one node: a tree for 32 CPUs, one lock",
	  "its proposed extension, " THREAD },
	{ "split-locks-node", "rb_vma@node/each:rwsem", "a tree and a lock for each NUMA node",
	  "reply in the discussion, " THREAD },
	{ "split-locks-cpu32", "rb_vma@cpu32/each:rwsem", "a tree and a lock for 32 CPUs",
	  "reply in the discussion, " THREAD },
	{ "split-locks-cpu8", "rb_vma@cpu8/each:rwsem", "a tree and a lock for 8 CPUs",
	  "reply in the discussion, " THREAD },
	{ "outer", "rb_vma@cpu8/outer:rwsem+rwsem",
	  "split locks under an outer one, which updates take for reading",
	  "reply in the discussion, " THREAD },
	{ "outer-percpu", "rb_vma@cpu8/outer:percpu+rwsem",
	  "the same, the outer lock's readers counted per CPU", "cleave" },
	{ "outer-brlock", "rb_vma@cpu8/outer:brlock+rwsem",
	  "the same, the outer lock a big-reader lock", "cleave" },
	{ "outer-bravo", "rb_vma@cpu8/outer:bravo.rwsem+rwsem",
	  "the same, the outer lock's readers biased (BRAVO)", "cleave" },
	{ "span-cpu8", "rb_vma@cpu8/span:percpu+rwsem",
	  "split locks without a full stop: a walk holds one at a time", "cleave" },
	{ "span-cpu1", "rb_vma@cpu1/span:percpu+rwsem", "the same, a tree and a lock for each CPU",
	  "cleave" },
	{ "writer-group", "rb_vma@cpu48/group:rwsem+mutex",
	  "the first updater of a group takes the rwsem for all; a mutex for each shard",
	  "a maintainer's sketch, " THREAD },
	{ "writer-group-stays", "rb_vma@cpu48/group_stays:rwsem+mutex",
	  "the same; the group stays until a walk needs the map, its members are not counted",
	  "cleave" },
	{ "promote-node", "rb_vma@node/promote:rwsem",
	  "one tree and lock until it contends, then one for each NUMA node", "cleave" },
	{ "promote-cpu8", "rb_vma@cpu8/promote:rwsem",
	  "one tree and lock until it contends, then one for 8 CPUs", "cleave" },
	{ "numa-lock-cohort", "rb_vma/one:cohort.mcs.node", "one tree, a NUMA-aware cohort lock",
	  "cleave" },
	{ "numa-lock-cna", "rb_vma/one:cna", "one tree, a compact NUMA-aware lock", "cleave" },
	{ "numa-lock-osq", "rb_vma/one:rwsem.numa",
	  "one tree, an rwsem whose spinners queue by node", "cleave" },
	{ "combining", "rb_vma/combine:mcs", "one thread applies everybody's queued updates",
	  "cleave" },
};

enum { TABLE = sizeof(table) / sizeof(table[0]) };

#define BETTER "better-structure-"

static const struct clv_named_design *better(const struct cleave_structure *structure,
					     struct clv_design_room *room)
{
	snprintf(room->name, sizeof(room->name), BETTER "%s", structure->name);
	snprintf(room->design, sizeof(room->design), "%s/one:rwsem", structure->name);
	snprintf(room->summary, sizeof(room->summary), "today's lock over %s", structure->name);
	room->named = (struct clv_named_design){ room->name, room->design, room->summary,
						 "reply in the discussion, " THREAD };
	return &room->named;
}

const struct clv_named_design *clv_named_design_at(unsigned i, struct clv_design_room *room)
{
	if (i < TABLE)
		return &table[i];
	i -= TABLE;
	const struct cleave_structure *structure;
	for (unsigned j = 0; (structure = cleave_structure_at(j)); j++) {
		if (!(structure->flags & CLEAVE_UNRANKED) && i-- == 0)
			return better(structure, room);
	}
	return NULL;
}

static const struct clv_named_design *find(const char *name, struct clv_design_room *room)
{
	const struct clv_named_design *named;
	for (unsigned i = 0; (named = clv_named_design_at(i, room)); i++) {
		if (!strcmp(named->name, name))
			return named;
	}
	return NULL;
}

/* Add to `room` what is wrong with a design, if anything is. */
static void add_fault(char *room, size_t bytes, const char *design)
{
	struct clv_design parsed;
	struct cleave_error error = { "" };
	size_t used = strlen(room);
	if (clv_design_parse(&parsed, design, &error))
		snprintf(room + used, bytes - used, "%s%s", used ? ", " : "",
			 parsed.fault[0] ? parsed.fault : error.text);
}

const char *clv_named_design_missing(const struct clv_named_design *named, char *room, size_t bytes)
{
	const char *at = named->design;
	size_t length = strcspn(at, "@/:");
	struct clv_design parsed;
	char design[160];

	room[0] = '\0';
	if (!clv_design_parse(&parsed, at, NULL))
		return NULL;
	snprintf(design, sizeof(design), "%.*s", (int)length, at);
	add_fault(room, bytes, design);
	/* Each further part by itself, in a design whose others are there. */
	for (at += length; *at; at += length) {
		bool lock = *at == ':' || *at == '+';
		length = 1 + strcspn(at + 1, "@/:+");
		snprintf(design, sizeof(design), "%s%s%.*s", cleave_structure_at(0)->name,
			 lock ? "/one:" : "", (int)length - lock, at + lock);
		add_fault(room, bytes, design);
	}
	if (!room[0]) /* all are there, and do not go together */
		add_fault(room, bytes, named->design);
	return room;
}

int clv_design_resolve(const char *text, char *design, size_t design_bytes, char *name,
		       size_t name_bytes, struct cleave_error *error)
{
	struct clv_design_room room;
	struct clv_design parsed;
	struct cleave_error inner = { "" };
	char missing[CLV_DESIGN_MISSING_BYTES];
	const struct clv_named_design *named = find(text, &room);

	snprintf(name, name_bytes, "%s", named ? named->name : "");
	int code = clv_design_parse(&parsed, named ? named->design : text, &inner);
	if (!code)
		clv_design_name(&parsed, design, design_bytes);
	else if (named)
		clv_error(error, code, "%s (%s): not available yet: %s", text, named->design,
			  clv_named_design_missing(named, missing, sizeof(missing)));
	else if (!strpbrk(text, "@/:") && strchr(text, '-'))
		clv_error(error, code, "design '%.60s': no design has this name (see cleave list "
				       "designs)", text);
	else if (error)
		*error = inner;
	return code;
}
