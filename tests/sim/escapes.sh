#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# usage: escapes.sh OBJECTS.a WHOLE.o
# Look in instrumented code for what the simulated machine would not be told of: accesses made by
# the C library, atomic instructions, string instructions, calls whose names were not changed.
# OBJECTS.a is what the compiler made, WHOLE.o what simulated.sh made of it.
set -eu
archive=$1 whole=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# What maps, locks and workers are made of; the rest opens, checks and reports.
hot="(^|_)(structures_|lib_locks_|lib_schemes_|lib_map|lib_reclaim|[.]_worker[.]c)"

# Member, what it needs.
nm -A -u "$archive" | awk -v hot="$hot" '
	{ member = $1; sub(/:$/, "", member); sub(/^.*[:\/]/, "", member) }
	member !~ hot { next }
	{ seen[member] = 1 }
	$NF ~ /^(__tsan_|__sanitizer_cov_trace_pc$|clv_|cleave_|_GLOBAL_OFFSET_TABLE_$)/ { next }
	# Renamed, and charged.
	$NF ~ /^mem(cpy|move|set|cmp)$/ { next }
	# Host locks, which are refused on a simulated machine.
	member ~ /lib_locks_pthread_/ && $NF ~ /^(pthread_(mutex|rwlock)_|abort$)/ { next }
	# Parsing a design and words of an error.
	member ~ /_registry[.]c/ && $NF == "strlen" { next }
	member ~ /lib_schemes_each[.]c|lib_locks_(bravo|cohort|rwcohort)[.]c/ && $NF ~ /^str(cmp|len)$/ { next }
	member ~ /lib_map_open[.]c/ && $NF == "strerror" { next }
	member ~ /lib_locks_bravo[.]c/ && $NF == "snprintf" { next }
	{ print member ": calls " $NF }
	END { n = 0; for (one in seen) n++; if (n < 20) print "only " n " objects looked at" }
' >"$dir/calls"

# In all of it: an atomic instruction is one that no call was made of. Of the objects, since in the
# whole symbols without a size stand in the middle of instructions.
objdump -d --no-show-raw-insn "$archive" | awk -F'\t' '
	/^[0-9a-f]+ </ { name = $0; sub(/^[0-9a-f]+ /, "", name) }
	$2 ~ /^(lock|xacquire|xrelease|cmpxchg|xadd)/ || ($2 ~ /^xchg/ && $2 ~ /\(/) {
		print name " " $2
	}
	NF > 1 { lines++ }
	END { if (lines < 1000) print "no disassembly of it" }' >"$dir/atomics"

# String instructions are a struct in one piece, charged as a range; a hot path has none.
objdump -d --no-show-raw-insn "$archive" | awk -F'\t' -v hot="$hot" '
	/file format/ { member = $1; sub(/:.*/, "", member); sub(/^.*\//, "", member) }
	member ~ hot && $2 ~ /^rep[a-z]* +(movs|stos)/ { print member ": " $2 }' >"$dir/strings"

nm "$whole" | awk '$NF ~ /__(tsan|sanitizer|asan|ubsan)_/ { print "left: " $NF }
	NF > 1 && $(NF - 1) == "U" && $NF ~ /^mem(cpy|move|set)$/ { print "left: " $NF }' >"$dir/names"

found=$(cat "$dir/calls" "$dir/atomics" "$dir/strings" "$dir/names")
echo "$found"
[ -z "$found" ]
