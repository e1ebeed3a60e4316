// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Walks and holds: what they return, and that whatever they took is given back. */
#include "checks.h"

#include <errno.h>
#include <string.h>

#include "lib/map.h"

static bool populate(struct rig *rig, bool *in, unsigned count)
{
	memset(in, 0, RIG_ENTRIES * sizeof(*in));
	for (unsigned i = 0; i < count; i++) {
		cleave_thread_set_cpu(rig->thread, rig->suite->cpu[i % rig->suite->cpus]);
		DEMAND_CODE(rig, 0,
			    cleave_insert(rig->map, rig->thread, rig_entry(rig, i), i, 100));
		in[i] = true;
	}
	return true;
}

/* An update gets in: nobody has forgotten a lock. */
static bool open_for_updates(struct rig *rig)
{
	struct cleave_thread *other;
	struct cleave_hold *hold;
	struct cleave_entry *entry = rig_entry(rig, RIG_ENTRIES - 1);
	int code;

	if (rig->keeps & CLEAVE_C6_LONG_HOLDS) {
		DEMAND_CODE(rig, 0,
			    cleave_thread_begin(&other, rig->suite->env, rig->suite->cpu[0]));
		code = cleave_hold_begin(rig->map, other, CLEAVE_EXCLUSIVE, CLEAVE_TRY, &hold);
		if (!code)
			cleave_hold_end(hold);
		cleave_thread_end(other);
		DEMAND(rig, !code || code == -ENOTSUP, "the map is still held: %d", code);
	}
	DEMAND_CODE(rig, 0, cleave_insert(rig->map, rig->thread, entry, 1, 2));
	DEMAND_CODE(rig, 0, cleave_remove(rig->map, rig->thread, entry));
	cleave_synchronize(rig->map, rig->thread);
	return true;
}

bool check_early_stop(struct rig *rig)
{
	bool in[RIG_ENTRIES];
	struct visits visits = { .rig = rig };

	if (!populate(rig, in, 40))
		return false;
	for (unsigned stop = 1; stop <= 40 && !rig->sink; stop += 13) {
		struct cleave_hold *hold;

		visits.count = 0;
		visits.stop_after = stop;
		DEMAND_CODE(rig, 41,
			    cleave_walk(rig->map, rig->thread, 0, 99, 0, rig_visit, &visits));
		DEMAND(rig, visits.count == stop, "%u visits, stopped at %u", visits.count, stop);
		if (!open_for_updates(rig))
			return false;
		if (!(rig->keeps & CLEAVE_C6_LONG_HOLDS))
			continue;
		visits.count = 0;
		DEMAND_CODE(rig, 0, cleave_hold_begin(rig->map, rig->thread, CLEAVE_SHARED, 0, &hold));
		int code = cleave_hold_walk(hold, 0, 99, rig_visit, &visits);
		cleave_hold_end(hold);
		DEMAND(rig, code == 41 && visits.count == stop,
		       "under a hold: returned %d after %u visits", code, visits.count);
		if (!open_for_updates(rig))
			return false;
	}
	return rig_sound(rig, in);
}

bool check_walk_errors(struct rig *rig)
{
	bool in[RIG_ENTRIES];
	struct visits visits = { .rig = rig };
	struct cleave_hold *hold;

	if (!populate(rig, in, 5))
		return false;
	DEMAND_CODE(rig, -EINVAL, cleave_walk(rig->map, rig->thread, 2, 1, 0, rig_visit, &visits));
	DEMAND_CODE(rig, -EINVAL,
		    cleave_walk(rig->map, rig->thread, UINT64_MAX, 0, 0, rig_visit, &visits));
	if (rig->keeps & CLEAVE_C6_LONG_HOLDS) {
		DEMAND_CODE(rig, 0, cleave_hold_begin(rig->map, rig->thread, CLEAVE_SHARED, 0, &hold));
		int code = cleave_hold_walk(hold, 2, 1, rig_visit, &visits);
		cleave_hold_end(hold);
		DEMAND(rig, code == -EINVAL, "cleave_hold_walk returned %d", code);
	}
	DEMAND(rig, !visits.count, "a refused walk made a visit");
	return open_for_updates(rig) && rig_sound(rig, in);
}

static bool update_under(struct rig *rig, struct cleave_hold *hold, bool *in)
{
	const struct cleave_op good[] = {
		{ CLEAVE_REMOVE, rig_entry(rig, 0), NULL, 0, 0 },
		{ CLEAVE_CHANGE, rig_entry(rig, 1), NULL, 3, 4 },
		{ CLEAVE_INSERT, rig_entry(rig, 60), NULL, 5, 6 },
		{ CLEAVE_INSERT_AFTER, rig_entry(rig, 61), rig_entry(rig, 60), 5, 7 },
	};
	const struct cleave_op bad[] = {
		{ CLEAVE_REMOVE, rig_entry(rig, 2), NULL, 0, 0 },
		{ CLEAVE_REMOVE, rig_entry(rig, 70), NULL, 0, 0 },
	};
	struct visits visits = { .rig = rig };

	DEMAND_CODE(rig, -ENOENT, cleave_hold_apply(hold, bad, 2));
	DEMAND_CODE(rig, -EINVAL, cleave_hold_apply(hold, good, 0));
	DEMAND_CODE(rig, 0, cleave_hold_apply(hold, good, 4));
	in[0] = false;
	in[60] = in[61] = true;
	DEMAND_CODE(rig, 0, cleave_hold_walk(hold, 0, 100, rig_visit, &visits));
	DEMAND(rig, visits.count == 21 || rig->sink, "the holder's walk visits %u, not 21",
	       visits.count);
	return true;
}

/* Both modes; what is allowed under each; holds of several maps at once. */
bool check_hold(struct rig *rig)
{
	bool in[RIG_ENTRIES];
	const struct cleave_op op = { CLEAVE_REMOVE, rig_entry(rig, 0), NULL, 0, 0 };
	struct visits visits = { .rig = rig };
	struct cleave_hold *hold, *second;
	struct cleave_map *other;
	int code, walked;

	if (!populate(rig, in, 20))
		return false;
	DEMAND_CODE(rig, 0, cleave_hold_begin(rig->map, rig->thread, CLEAVE_SHARED, 0, &hold));
	code = cleave_hold_apply(hold, &op, 1);
	walked = cleave_hold_walk(hold, 0, 100, rig_visit, &visits);
	cleave_hold_end(hold);
	DEMAND(rig, code == -EPERM, "an update under a shared hold returned %d", code);
	DEMAND(rig, !walked && (visits.count == 20 || rig->sink),
	       "a walk under a hold: %d, %u visits", walked, visits.count);
	if (!rig_sound(rig, in))
		return false;

	DEMAND_CODE(rig, 0, cleave_hold_begin(rig->map, rig->thread, CLEAVE_EXCLUSIVE, 0, &hold));
	bool good = update_under(rig, hold, in);
	cleave_hold_end(hold);
	if (!good || !rig_sound(rig, in) || !open_for_updates(rig))
		return false;

	DEMAND_CODE(rig, 0, cleave_open(&other, rig->suite->env, rig->design, NULL));
	code = cleave_hold_begin(rig->map, rig->thread, CLEAVE_EXCLUSIVE, 0, &hold);
	walked = cleave_hold_begin(other, rig->thread, CLEAVE_SHARED, 0, &second);
	/* Not in the order in which they were taken. */
	if (!code)
		cleave_hold_end(hold);
	if (!walked)
		cleave_hold_end(second);
	cleave_close(other);
	DEMAND(rig, !code && !walked, "two maps held at once: %d, %d", code, walked);
	return open_for_updates(rig);
}

bool check_no_hold(struct rig *rig)
{
	struct cleave_hold *hold;

	if (rig->structure->keeps & CLEAVE_C6_LONG_HOLDS && rig->keeps & CLEAVE_C6_LONG_HOLDS)
		return true;
	DEMAND_CODE(rig, -ENOTSUP, cleave_hold_begin(rig->map, rig->thread, CLEAVE_SHARED, 0, &hold));
	DEMAND_CODE(rig, -ENOTSUP, cleave_hold_begin(rig->map, rig->thread, CLEAVE_EXCLUSIVE, 0, &hold));
	return true;
}

/* What trying returns while another has the map in `mode`. */
static bool try_while(struct rig *rig, struct cleave_thread *other, enum cleave_hold_mode mode)
{
	struct cleave_hold *hold, *tried;
	struct visits visits = { .rig = rig };
	bool unlocked = rig->structure->flags & CLEAVE_WALKS_UNLOCKED;
	int code[3];

	DEMAND_CODE(rig, 0, cleave_hold_begin(rig->map, other, mode, 0, &hold));
	code[0] = cleave_walk(rig->map, rig->thread, 0, 100, CLEAVE_TRY, rig_visit, &visits);
	code[1] = cleave_hold_begin(rig->map, rig->thread, CLEAVE_SHARED, CLEAVE_TRY, &tried);
	if (!code[1])
		cleave_hold_end(tried);
	code[2] = cleave_hold_begin(rig->map, rig->thread, CLEAVE_EXCLUSIVE, CLEAVE_TRY, &tried);
	if (!code[2])
		cleave_hold_end(tried);
	cleave_hold_end(hold);
	for (unsigned i = 0; i < 3; i++) {
		DEMAND(rig, !code[i] || code[i] == -EBUSY || code[i] == -ENOTSUP,
		       "trying returned %d", code[i]);
	}
	DEMAND(rig, code[0] || visits.count == 6 || rig->sink, "a walk that got in made %u visits",
	       visits.count);
	DEMAND(rig, !code[0] || !visits.count, "a walk that gave up made a visit");
	DEMAND(rig, code[2], "a second exclusive hold was granted");
	DEMAND(rig, mode == CLEAVE_SHARED || code[1], "a shared hold beside an exclusive one");
	DEMAND(rig, mode == CLEAVE_SHARED || code[0] || unlocked,
	       "a walk got in beside an exclusive hold");
	return true;
}

bool check_try(struct rig *rig)
{
	bool in[RIG_ENTRIES];
	struct cleave_thread *other;
	struct cleave_hold *hold;
	struct visits visits = { .rig = rig };
	bool good;
	int code;

	if (!populate(rig, in, 6))
		return false;
	code = cleave_walk(rig->map, rig->thread, 0, 100, CLEAVE_TRY, rig_visit, &visits);
	DEMAND(rig, !code || code == -ENOTSUP, "trying a map that nobody uses returned %d", code);
	if (!(rig->keeps & CLEAVE_C6_LONG_HOLDS))
		return true;
	for (unsigned mode = CLEAVE_SHARED; mode <= CLEAVE_EXCLUSIVE; mode++) {
		code = cleave_hold_begin(rig->map, rig->thread, mode, CLEAVE_TRY, &hold);
		if (!code)
			cleave_hold_end(hold);
		DEMAND(rig, !code || code == -ENOTSUP, "trying to hold a free map returned %d",
		       code);
	}
	DEMAND_CODE(rig, 0, cleave_thread_begin(&other, rig->suite->env, rig->suite->cpu[0]));
	good = try_while(rig, other, CLEAVE_SHARED) && open_for_updates(rig) &&
	       try_while(rig, other, CLEAVE_EXCLUSIVE) && open_for_updates(rig);
	cleave_thread_end(other);
	return good && rig_sound(rig, in);
}
