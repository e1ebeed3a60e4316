/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The one pinning routine. A binding that did not hold makes a measurement wrong without showing,
 * so it is read back, and a failure is an error that nobody may pass over.
 */
#ifndef CLV_PIN_H
#define CLV_PIN_H

struct cleave_error;

/*
 * Bind the calling thread to the CPU with that system number, and look whether it is there.
 * Returns: 0; -EINVAL no such CPU, or not one that this process may use; -ENOMEM; -EXDEV the call
 * succeeded, but the thread is bound or running elsewhere; or what the system returned; with one
 * line in error.
 */
int clv_pin(unsigned os, struct cleave_error *error) __attribute__((warn_unused_result));

/* Is the calling thread still bound to that CPU alone, and on it? Returns: as clv_pin. */
int clv_pin_check(unsigned os, struct cleave_error *error) __attribute__((warn_unused_result));

#endif
