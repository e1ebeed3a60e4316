/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A lock for tests: the rwsem, but whoever has got it, or has let go of it, sleeps for a moment
 * before going on. What a scheme does in the wrong order around a lock has time to go wrong.
 */
#ifndef DAWDLE_H
#define DAWDLE_H

/* Register it as `dawdle`. Returns: 0; as clv_lock_type_add. */
int dawdle_add(void);

#endif
