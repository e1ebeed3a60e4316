/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The subcommands: each gets the arguments from its own name on, and returns an exit status.
 */
#ifndef CLV_COMMANDS_H
#define CLV_COMMANDS_H

int clv_cmd_bench_locks(int argc, char **argv);
int clv_cmd_bench_machine(int argc, char **argv);
int clv_cmd_bench_structures(int argc, char **argv);
int clv_cmd_calibrate(int argc, char **argv);
int clv_cmd_explore(int argc, char **argv);
int clv_cmd_list(int argc, char **argv);
int clv_cmd_plot(int argc, char **argv);
int clv_cmd_run(int argc, char **argv);
int clv_cmd_topo(int argc, char **argv);
int clv_cmd_validate(int argc, char **argv);

#endif
