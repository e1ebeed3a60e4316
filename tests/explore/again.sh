#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# usage: again.sh TEST_EXPLORE CLEAVE
# The same schedules again in another process, whose addresses and environment are others: the same
# failures after the same accesses, and the same number of accesses where nothing fails.
set -eu
test_explore=$1 cleave=$2

run() {
	"$test_explore" walk_takes_no_lock last_reader_wakes_nobody looks_before_release
	for lock in rwsem mutex mcs; do
		"$cleave" explore "rb_vma@node/each:$lock" --schedules 40 --json
	done
}

once=$(run)
again=$(ELSEWHERE=$(printf '%4000s' x) run)
[ "$once" = "$again" ] || {
	echo "not the same again:"
	echo "$once"
	echo "$again"
	exit 1
}
echo "$once" | grep -q '"accesses"'
