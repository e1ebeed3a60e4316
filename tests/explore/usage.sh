#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# usage: usage.sh CLEAVE SEEDED_EXPLORE
# The command from outside: what it prints and how it ends. SEEDED_EXPLORE is `cleave explore` with
# designs that fail.
set -u
cleave=$1 seeded=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	echo "$1"
	cat "$work/out" "$work/err"
	exit 1
}

# status, then the command
expect() {
	local status=$1 got=0
	shift
	"$@" >"$work/out" 2>"$work/err" || got=$?
	[ $got = "$status" ] || fail "exit $got, not $status: $*"
}

# what its one line on standard error has to contain, then arguments
refuse() {
	local what=$1
	shift
	expect 2 "$cleave" explore "$@"
	[ "$(wc -l <"$work/err")" = 1 ] || fail "not one line: $*"
	grep -q "^cleave: .*$what" "$work/err" || fail "not '$what': $*"
	[ ! -s "$work/out" ] || fail "output beside an error: $*"
}

refuse "no design"
refuse "unknown structure" nonsense
refuse "pthread lock" rb_interval:pthread_rwlock
refuse "one thread" rb_interval:none
refuse "unknown scenario: 'nonsense'" rb_interval --scenario mix,nonsense
refuse "unknown scenario: ''" rb_interval --scenario mix,
refuse "scenario fork asks for" null_sink --scenario fork
refuse "scenario merge asks for" rb_interval@node/each.handover --scenario merge
refuse "not random, pct or both" rb_interval --policy clock
refuse "number out of range: --threads" rb_interval --threads 1
refuse "number out of range: --threads" rb_interval --threads 9
refuse "number out of range: --schedules" rb_interval --schedules 0
refuse "not a number: --replay" rb_interval --replay x
refuse "does not go with --replay: --schedules" rb_interval --schedules 5 --replay 1
refuse "does not go with --replay: --seed" rb_interval --replay 1 --seed 2
refuse "scenario named twice: mix" rb_interval --scenario mix,presence,mix
refuse "unexpected argument" rb_interval rb_vma

expect 0 "$cleave" explore rb_vma@node/each:mcs --scenario mix,presence --schedules 21 --threads 4
[ "$(grep -c ' 21 schedules, 0 failed ' "$work/out")" = 2 ] || fail "not two lines of results"
expect 0 "$cleave" explore null_sink --schedules 2 --json --policy random
grep -q '"scenario": "mix"' "$work/out" || fail "no JSON"

# A failure: one line that says what, how it is replayed, and who waits below it.
for what in "rb_interval/one:broken_reader_beside_writer hold_exclusive" \
	"rb_interval/one:broken_looks_before_release hold_shared" "broken_crashes/one:rwsem migrate"; do
	read -r design scenario <<<"$what"
	expect 1 "$seeded" "$design" --scenario "$scenario" --schedules 50000
	grep -q "^$scenario .* schedules, 1 failed " "$work/out" || fail "no line of results"
	line=$(grep -c '^cleave: ' "$work/err")
	[ "$line" = 1 ] || fail "not one line of error: $what"
	first=$(head -n 1 "$work/err")
	replay=${first##*replay with: cleave explore }
	case $what in
	*crashes*) grep -q ': ended by signal ' "$work/err" || fail "it does not say how it ended" ;;
	*looks_before*) grep -q '^  CPU .* waiting for broken_looks_before_release' "$work/err" ||
		fail "it does not say who waits" ;;
	esac
	cp "$work/err" "$work/before"
	# shellcheck disable=SC2086 # words
	expect 1 "$seeded" $replay
	cmp -s "$work/before" "$work/err" || fail "replayed, it fails otherwise: $replay"
done
expect 1 "$seeded" rb_interval/one:broken_reader_beside_writer --json
grep -q '"replay_seed": "' "$work/out" || fail "no seed in the JSON"

# Children do not outlive a parent that is killed.
"$cleave" explore rb_vma@node/each:mcs --schedules 1000000000 >"$work/out" 2>"$work/err" &
parent=$!
children_of() {
	grep -l "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status 2>/dev/null | cut -d/ -f3
}
until [ -n "$(children_of $parent)" ]; do
	kill -0 $parent 2>/dev/null || fail "it ended by itself, or never began"
	sleep 0.1
done
children=$(children_of $parent)
kill -KILL $parent
wait $parent 2>/dev/null # the shell says that it was killed
for child in $children; do
	for ((i = 0; i < 100; i++)); do
		[ -e "/proc/$child" ] && ! grep -q '^State:.*Z' "/proc/$child/status" || break
		sleep 0.1
	done
	((i < 100)) || { kill -KILL "$child"; fail "a child goes on without its parent"; }
done
