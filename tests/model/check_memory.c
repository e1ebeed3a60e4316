// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Every allocation of a call fails once: the call returns -ENOMEM, nothing is left allocated that
 * was not before, and the map is as it was. Then the call succeeds. (What a thread keeps for later,
 * its hold sets, it gives back in cleave_thread_end.)
 */
#include "checks.h"

#include <errno.h>
#include <string.h>

#include "fault.h"

enum { RESIDENTS = 70 };

static bool populate(struct rig *rig, bool *in)
{
	memset(in, 0, RIG_ENTRIES * sizeof(*in));
	for (unsigned i = 0; i < RESIDENTS; i++) {
		cleave_thread_set_cpu(rig->thread, rig->suite->cpu[i % rig->suite->cpus]);
		DEMAND_CODE(rig, 0,
			    cleave_insert(rig->map, rig->thread, rig_entry(rig, i), i, i + 20));
		in[i] = true;
	}
	return true;
}

/* A call that is repeated. Returns: its code; leaves nothing behind if that is 0. */
typedef int attempt_fn(struct rig *rig);

static int open_again(struct rig *rig)
{
	struct cleave_error error = { "" };
	struct cleave_map *map;
	int code = cleave_open(&map, rig->suite->env, rig->design, &error);

	if (!code)
		cleave_close(map);
	return code;
}

static int begin_thread(struct rig *rig)
{
	struct cleave_thread *thread;
	int code = cleave_thread_begin(&thread, rig->suite->env, rig->suite->cpu[0]);

	if (!code)
		cleave_thread_end(thread);
	return code;
}

/* All kinds of ops, over many subsets. */
static int prepare(struct rig *rig)
{
	struct cleave_op ops[RESIDENTS + 40];
	struct cleave_batch batch = { .ops = ops, .count = 0 };

	for (unsigned i = 0; i < RESIDENTS; i += 2)
		ops[batch.count++] = (struct cleave_op) { i % 4 ? CLEAVE_REMOVE : CLEAVE_CHANGE,
							  rig_entry(rig, i), NULL, 300 - i, 400 };
	for (unsigned i = 0; i < 40; i++) {
		unsigned source = i % 2 ? i : i + 1;
		enum cleave_op_kind kind = i % 3 == 0	? CLEAVE_INSERT
					   : i % 3 == 1 ? CLEAVE_INSERT_AFTER
							: CLEAVE_INSERT_NEAR;

		ops[batch.count++] =
			(struct cleave_op) { kind, rig_entry(rig, 100 + i),
					     kind == CLEAVE_INSERT ? NULL : rig_entry(rig, source),
					     source, 200 };
	}
	int code = cleave_prepare(rig->map, rig->thread, &batch);

	if (!code)
		cleave_abandon(rig->map, rig->thread, &batch);
	return code;
}

static int walk(struct rig *rig)
{
	struct visits visits = { .rig = rig };
	int code = cleave_walk(rig->map, rig->thread, 0, 500, 0, rig_visit, &visits);

	/* "-ENOMEM before anything was visited" */
	return code == -ENOMEM && visits.count ? -EIO : code;
}

static int hold(struct rig *rig)
{
	struct cleave_hold *held;
	int code = cleave_hold_begin(rig->map, rig->thread, CLEAVE_EXCLUSIVE, 0, &held);

	if (!code)
		cleave_hold_end(held);
	return code;
}

static int hold_apply(struct rig *rig)
{
	const struct cleave_op ops[] = {
		{ CLEAVE_CHANGE, rig_entry(rig, 0), NULL, 0, 20 },
		{ CLEAVE_INSERT, rig_entry(rig, 150), NULL, 0, 20 },
	};
	const struct cleave_op undo = { CLEAVE_REMOVE, rig_entry(rig, 150), NULL, 0, 0 };
	struct cleave_hold *held;
	int code = cleave_hold_begin(rig->map, rig->thread, CLEAVE_EXCLUSIVE, 0, &held);

	if (code)
		return code;
	code = cleave_hold_apply(held, ops, 2);
	if (!code) {
		fault_off();
		code = cleave_hold_apply(held, &undo, 1);
	}
	cleave_hold_end(held);
	cleave_synchronize(rig->map, rig->thread);
	return code;
}

static bool exhaust(struct rig *rig, const char *name, attempt_fn *attempt, const bool *in)
{
	enum { MOST = 2000 };

	for (unsigned n = 0; n < MOST; n++) {
		struct cleave_thread *kept = rig->thread;
		int64_t blocks, bytes;
		int code;

		/* A thread of its own each time, so that nothing is left over from the last. */
		DEMAND_CODE(rig, 0,
			    cleave_thread_begin(&rig->thread, rig->suite->env, rig->suite->cpu[0]));
		blocks = fault_live_blocks();
		bytes = fault_live_bytes();
		fault_at(n);
		code = attempt(rig);
		bool failed = fault_off();
		cleave_thread_end(rig->thread);
		rig->thread = kept;
		if (!failed) {
			DEMAND(rig, !code, "%s: allocation %u: returned %d", name, n, code);
			return rig_sound(rig, in);
		}
		DEMAND(rig, code == -ENOMEM, "%s: allocation %u failed: returned %d", name, n,
		       code);
		DEMAND(rig, fault_live_blocks() == blocks && fault_live_bytes() == bytes,
		       "%s: allocation %u failed: %lld blocks, %lld bytes are lost", name, n,
		       (long long)(fault_live_blocks() - blocks),
		       (long long)(fault_live_bytes() - bytes));
		if (!rig_sound(rig, in))
			return false;
	}
	return rig_fail(rig, __FILE__, __LINE__, "%s: more than %d allocations", name, MOST);
}

bool check_memory(struct rig *rig)
{
	bool in[RIG_ENTRIES];
	bool holds = rig->keeps & CLEAVE_C6_LONG_HOLDS;

	return populate(rig, in) && exhaust(rig, "cleave_open", open_again, in) &&
	       exhaust(rig, "cleave_thread_begin", begin_thread, in) &&
	       exhaust(rig, "cleave_prepare", prepare, in) &&
	       exhaust(rig, "cleave_walk", walk, in) &&
	       (!holds || exhaust(rig, "cleave_hold", hold, in)) &&
	       (!holds || exhaust(rig, "cleave_hold_apply", hold_apply, in));
}
