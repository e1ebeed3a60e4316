#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# usage: simulated.sh IN.a OUT.o DIR [SYMBOL...]
# Make one object of the instrumented ones. Its calls of the sanitizer's runtime, the block tracer,
# the shim and the C library's memory functions get the names that the engine gives them
# (entry.c, shim.c); its tables for the driver, clv_bench_native and the like, are called
# clv_bench_simulated and so on; all else is local to it, so that it lies beside the native build.
# Its variables go to sections of their own, whose bounds the engine knows. SYMBOL: more to keep.
set -eu
in=$1 out=$2 dir=$3
shift 3
mkdir -p "$dir"
whole=$dir/whole.o
ld -r --whole-archive "$in" -o "$whole"

nm -u "$whole" | awk '
	$2 == "__sanitizer_cov_trace_pc" { print $2, "clv_entry_block"; next }
	$2 ~ /^__tsan_/ { to = $2; sub(/^__tsan_/, "clv_entry_", to); print $2, to; next }
	$2 ~ /^mem(cpy|move|set|cmp)$/ { print $2, "clv_entry_" $2; next }
	$2 ~ /^clv_(pause|pause_bounded|pause_until|now_ns|park|wake|is_running|cpu_now|alloc|free|mark|name|name_allocations)$/ {
		to = $2; sub(/^clv_/, "clv_sim_", to); print $2, to
	}' >"$dir/names"
keep=
for table in clv_bench clv_explore clv_compute clv_validate; do
	echo "${table}_native ${table}_simulated" >>"$dir/names"
	keep="$keep --keep-global-symbol=${table}_simulated"
done
for symbol in "$@"; do
	keep="$keep --keep-global-symbol=$symbol"
done
objcopy --redefine-syms="$dir/names" "$whole" "$dir/named.o"
# shellcheck disable=SC2046,SC2086 # lists
objcopy $keep $(objdump -h "$dir/named.o" | awk '
	$2 ~ /^\.data($|\.rel\.local$|\.rel$)/ { print "--rename-section", $2 "=clv_sim_data" }
	$2 ~ /^\.text/ { print "--rename-section", $2 "=clv_sim_text" }
	$2 == ".bss" { print "--rename-section .bss=clv_sim_bss,alloc" }') "$dir/named.o" "$out"
