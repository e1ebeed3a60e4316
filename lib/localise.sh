#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# usage: localise.sh IN.a OUT.a DIR: make OUT.a of one object, IN.a's hidden symbols local to it
set -eu
in=$1 out=$2 dir=$3
mkdir -p "$dir"
ld -r --whole-archive "$in" -o "$dir/cleave.o"
objcopy --localize-hidden "$dir/cleave.o"
rm -f "$out"
ar rcsD "$out" "$dir/cleave.o"
