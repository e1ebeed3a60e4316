/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef CHECKS_H
#define CHECKS_H

#include "suite.h"

/* check_map.c: opening, closing, what is asked of a map */
bool check_names(struct rig *rig);
bool check_reopen(struct rig *rig);
bool check_ranges(struct rig *rig);
bool check_times(struct rig *rig);
/* check_errors.c: refusals, after each of which all is as it was */
bool check_single_errors(struct rig *rig);
bool check_batch_errors(struct rig *rig);
bool check_other_map(struct rig *rig);
/* check_batches.c */
bool check_abandon(struct rig *rig);
bool check_chain(struct rig *rig);
bool check_wide_batch(struct rig *rig);
bool check_largest_batch(struct rig *rig);
bool check_subsets(struct rig *rig);
/* check_walks.c */
bool check_early_stop(struct rig *rig);
bool check_walk_errors(struct rig *rig);
bool check_hold(struct rig *rig);
bool check_no_hold(struct rig *rig);
bool check_try(struct rig *rig);
/* check_order.c: C1, C2 and ties by one thread */
bool check_children(struct rig *rig);
bool check_copies(struct rig *rig);
bool check_ties(struct rig *rig);
/* check_oracle.c: random batches */
bool check_oracle(struct rig *rig);
/* check_memory.c: every allocation fails once */
bool check_memory(struct rig *rig);
/* check_changes.c: designs that change, from state to state */
bool check_changes(struct rig *rig);

#endif
