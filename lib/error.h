/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef CLV_ERROR_H
#define CLV_ERROR_H

#include <cleave/cleave.h>

/* Write one line into error, if it is not NULL. Returns: code. */
int clv_error(struct cleave_error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
