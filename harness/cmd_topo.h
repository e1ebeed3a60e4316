/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * cleave topo: shows a machine, and where a placement puts threads on it. On this machine the
 * threads are also bound, and the bindings read back.
 */
#ifndef CLV_CMD_TOPO_H
#define CLV_CMD_TOPO_H

/* argv[0] is the subcommand's name. Returns: exit status. */
int clv_cmd_topo(int argc, char **argv);

#endif
