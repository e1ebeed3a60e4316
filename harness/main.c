// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <cleave/cleave.h>

#include "cli.h"
#include "commands.h"
#include "peers/peers.h"

static const struct {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv);
} command[] = {
	{ "bench-locks", "what locks cost that nobody else wants, beside others' and the least",
	  clv_cmd_bench_locks },
	{ "bench-machine", "how fast this computer simulates another", clv_cmd_bench_machine },
	{ "bench-structures", "what structures cost by themselves, beside those of others",
	  clv_cmd_bench_structures },
	{ "calibrate", "measure this machine, and write its machine file", clv_cmd_calibrate },
	{ "explore", "run small cases of a design under many schedules, to find faults",
	  clv_cmd_explore },
	{ "list", "what designs can be made of, and what they can be run on", clv_cmd_list },
	{ "plot", "draw the results of a run: throughput against CPUs", clv_cmd_plot },
	{ "run", "measure designs under a workload, validated", clv_cmd_run },
	{ "topo", "show a machine and where threads would be placed on it", clv_cmd_topo },
	{ "validate", "hold the simulated machine against this one and against what is published",
	  clv_cmd_validate },
};

enum { COMMANDS = sizeof(command) / sizeof(command[0]) };

static void print_help(FILE *out)
{
	fputs("Usage: cleave COMMAND [OPTION...]\n"
	      "Interval containers for many cores, compared.\n\n", out);
	for (unsigned i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-16s %s\n", command[i].name, command[i].summary);
	fputs("\n  --help, --version; each command has a --help of its own\n", out);
}

int main(int argc, char **argv)
{
	/* A limit on the size of files is an error like a full disk, not an end without a word. */
	signal(SIGXFSZ, SIG_IGN);
	if (argc < 2) {
		clv_cli_error("no command: see cleave --help");
		return CLV_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		print_help(stdout);
		return clv_cli_finish(CLV_EXIT_OK);
	}
	if (!strcmp(argv[1], "--version")) {
		printf("cleave %s\n", cleave_version());
		return clv_cli_finish(CLV_EXIT_OK);
	}
	struct cleave_error error = { "" };
	int code = clv_peers_register(&error);
	if (code)
		return clv_cli_report(code, &error);
	for (unsigned i = 0; i < COMMANDS; i++) {
		if (!strcmp(argv[1], command[i].name))
			return command[i].run(argc - 1, argv + 1);
	}
	clv_cli_error("unknown command '%s': see cleave --help", argv[1]);
	return CLV_EXIT_USAGE;
}
