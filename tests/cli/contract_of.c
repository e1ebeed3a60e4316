// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * usage: contract_of STRUCTURE
 *
 * Put every design of one structure through the contract suite. A line for each, and one for each
 * check that failed. It finds the structure as all else does, in the registry, to which it adds the
 * peers that were built.
 */
#include <errno.h>
#include <stdio.h>

#include "harness/peers/peers.h"
#include "lib/locks/lock.h"
#include "tests/model/designs.h"
#include "tests/model/suite.h"

struct totals {
	const struct suite *suite;
	unsigned designs, checks, failed;
};

static bool report(const struct outcome *outcome, void *arg)
{
	(void)arg;
	if (!outcome->passed)
		printf("FAIL %s: %s\n", outcome->check, outcome->why);
	return true;
}

static void run(const char *design, void *arg)
{
	struct totals *totals = arg;
	unsigned ran;

	if (suite_try_open(totals->suite, design, NULL) == -ENOTSUP)
		return;
	totals->failed += suite_run(totals->suite, design, NULL, &ran, report, NULL);
	totals->checks += ran;
	totals->designs++;
	printf("%s: %u checks\n", design, ran);
}

int main(int argc, char **argv)
{
	struct suite suite = { .seed = 1, .threads = 3, .rounds = 3, .batches = 100 };
	struct totals totals = { .suite = &suite };

	if (argc != 2) {
		fprintf(stderr, "cleave: one argument is needed: the structure\n");
		return 2;
	}
	if (clv_peers_register(NULL) || !suite_open(&suite))
		return 1;
	designs_cover(suite.env, argv[1], CLV_LOCK_SPINS, run, &totals);
	suite_close(&suite);
	printf("%u designs, %u checks, %u failed\n", totals.designs, totals.checks, totals.failed);
	return !totals.checks || totals.failed;
}
