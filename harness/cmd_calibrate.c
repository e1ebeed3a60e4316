// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * cleave calibrate: measure this machine, print what was found, and write its machine file. What
 * can be wrong with the arguments is found before anything is measured.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../lib/error.h"
#include "calibrate/calibration.h"
#include "calibrate/system.h"
#include "cli.h"
#include "commands.h"
#include "machine/host.h"

#define SECONDS_DEFAULT 20

struct options {
	const char *out; /* NULL: no file */
	double seconds;
	unsigned cpu_os[2];
	size_t cpus; /* 0: any */
};

enum { KEY_OUT = 256, KEY_SECONDS, KEY_CPUS };

static const struct argp_option option_table[] = {
	{ "out", KEY_OUT, "FILE", 0,
	  "Write the machine file FILE, say here.json, and this machine's topology beside it, as .xml; "
	  "the machine's name is the file's", 0 },
	{ "seconds", KEY_SECONDS, "S", 0, "Measure for about S seconds (20)", 0 },
	{ "cpus", KEY_CPUS, "A,B", 0,
	  "Measure these two CPUs alone, by the system's numbers; else the first, and pairs from "
	  "the whole machine",
	  0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	switch (key) {
	case KEY_OUT:
		options->out = arg;
		return 0;
	case KEY_SECONDS:
		return clv_cli_fraction("--seconds", arg, 0.01, 3600, &options->seconds);
	case KEY_CPUS: {
		int status = clv_cli_unsigned_list("--cpus", arg, 0, 65535, options->cpu_os, 2,
						   &options->cpus);
		if (!status && options->cpus != 2) {
			clv_cli_error("--cpus takes two CPUs: '%s'", arg);
			return CLV_CLI_REPORTED;
		}
		return status;
	}
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- what is shown ---- */

static void show_progress(const char *what)
{
	fprintf(stderr, "\r\033[K%s", what);
}

static void print_table(const struct clv_calibration *calibration)
{
	printf("%-17s %11s %-4s %-22s %s\n", "parameter", "value", "unit", "interval", "source");
	for (unsigned i = 0; i < CLV_CAL_PARAMETERS; i++) {
		const struct clv_calibrated *parameter = &calibration->parameter[i];
		char interval[48] = "-";
		if (parameter->low < parameter->high)
			snprintf(interval, sizeof(interval), "[%.4g, %.4g]", parameter->low,
				 parameter->high);
		bool whole = parameter->value == (double)(long long)parameter->value;
		printf("%-17s %11.*f %-4s %-22s %s\n", clv_calibration_name(i),
		       whole		       ? 0
		       : parameter->value < 10 ? 3
					       : 1,
		       parameter->value, clv_calibration_unit(i), interval, parameter->source);
	}
}

static void print_check(const char *name, const char *what, const struct clv_estimate *estimate)
{
	if (estimate->rounds)
		printf("%-7s %s: %.1f ns [%.1f, %.1f] of %zu rounds, %zu dropped\n", name, what,
		       estimate->value.median, estimate->value.low, estimate->value.high,
		       estimate->rounds, estimate->dropped);
}

static void print_checks(const struct clv_calibration *calibration)
{
	static const char *const name[] = { "core", "l3", "node", "package", "remote" };
	printf("\nNot in the file, to hold the above against:\n");
	for (unsigned d = 0; d < CLV_DISTANCES; d++) {
		print_check(name[d], "a line passed on by compare-and-swap, half a round trip",
			    &calibration->ping[d]);
		print_check(name[d], "an atomic on an owned line, until it is done",
			    &calibration->owned[d]);
		print_check(name[d],
			    "the writer's load of a line that was read since (a hit: both "
			    "have it)",
			    &calibration->again[d]);
		print_check(name[d],
			    "a write right after the load of a modified line, beyond an "
			    "owned one's",
			    &calibration->claim[d]);
	}
	for (unsigned i = 0; i < CLV_COMPUTE_KERNELS; i++)
		print_check(clv_compute_kernel[i].name, clv_compute_kernel[i].what,
			    &calibration->kernel[i]);
}

/* ---- the command ---- */

static int measure(struct clv_machine *machine, const struct clv_system *told,
		   const struct options *options, struct clv_calibrate_options *how,
		   struct cleave_error *error)
{
	/* Large, and the same for every run of the program. */
	static struct clv_calibration calibration;
	char summary[160];

	snprintf(summary, sizeof(summary), "%.90s, %u CPUs, as cleave calibrate measured it",
		 machine->topology->name, machine->topology->cpus);
	int status = clv_calibrate(&calibration, machine, told, how, error);
	if (how->progress)
		fputs("\r\033[K", stderr);
	if (status)
		return status;
	print_table(&calibration);
	print_checks(&calibration);
	return options->out
		       ? clv_calibration_write(&calibration, told, summary, options->out, error)
		       : 0;
}

static int find_cpu(const struct clv_topology *topology, unsigned os, int *index)
{
	*index = clv_topology_index(topology, (int)os);
	if (*index >= 0)
		return 0;
	clv_cli_error("no such CPU, or not ours to use: --cpus: %u", os);
	return CLV_EXIT_USAGE;
}

static int calibrate_on(struct clv_machine *machine, const struct options *options)
{
	struct cleave_error error;
	struct clv_system told;
	struct clv_calibrate_options how = {
		.seconds = options->seconds,
		.cpu_a = -1,
		.cpu_b = -1,
		.progress = isatty(STDERR_FILENO) ? show_progress : NULL,
	};
	int status = 0;

	if (!machine->topology->this_machine) {
		clv_cli_error("only this machine can be measured: hwloc was told of another by its "
			      "environment variables");
		return CLV_EXIT_USAGE;
	}
	if (options->cpus)
		status = find_cpu(machine->topology, options->cpu_os[0], &how.cpu_a);
	if (options->cpus && !status)
		status = find_cpu(machine->topology, options->cpu_os[1], &how.cpu_b);
	if (status)
		return status;
	unsigned first = how.cpu_a >= 0 ? (unsigned)how.cpu_a : 0;
	status = clv_system_read(&told, machine->topology->cpu[first].os, &error);
	if (!status) {
		status = measure(machine, &told, options, &how, &error);
		clv_system_free(&told);
	}
	return status ? clv_cli_report(status, &error) : CLV_EXIT_OK;
}

int clv_cmd_calibrate(int argc, char **argv)
{
	static const struct argp argp = {
		.options = option_table,
		.parser = parse_option,
		.doc = "Measure what loads, lines of other CPUs, atomics, branches, parking and "
		       "the like cost on this machine, and write them as a machine file that "
		       "--machine takes. Let nothing else run meanwhile.",
	};
	struct options options = { .seconds = SECONDS_DEFAULT };
	struct clv_machine *machine;
	struct cleave_error error;

	int status = clv_cli_parse(&argp, "cleave calibrate", argc, argv, &options);
	if (status >= 0)
		return status;
	if (options.out) {
		status = clv_calibration_check_path(options.out, &error);
		if (status) {
			clv_cli_error("%s", error.text);
			return status == -EINVAL ? CLV_EXIT_USAGE : CLV_EXIT_FAILED;
		}
	}
	status = clv_machine_open_host(&machine, &error);
	if (status)
		return clv_cli_report(status, &error);
	status = calibrate_on(machine, &options);
	machine->close(machine);
	return clv_cli_finish(status);
}
