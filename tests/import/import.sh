#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# usage: import.sh SOURCE
# Use the library as an importer would, from an empty folder: build it alone (no C++, no harness),
# install it, compile docs/example.c against it through pkg-config, shared and static, run both,
# and look at what is exported.
set -eu
source=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
	echo "import: $1" >&2
	exit 1
}

CXX=/nonexistent meson setup "$work/build" "$source" --prefix "$work/prefix" --libdir lib \
	-Dharness=disabled -Dtests=disabled >"$work/log" 2>&1 || { cat "$work/log"; fail "meson setup"; }
meson install -C "$work/build" --quiet >"$work/log" 2>&1 || { cat "$work/log"; fail "meson install"; }
for file in lib/libcleave.so lib/libcleave.a lib/pkgconfig/cleave.pc include/cleave/cleave.h \
	include/cleave/structure.h; do
	[ -e "$work/prefix/$file" ] || fail "$file is not installed"
done

export PKG_CONFIG_PATH="$work/prefix/lib/pkgconfig"
mkdir "$work/user"
cd "$work/user"
cp "$source/docs/example.c" .
[ "$(wc -l <example.c)" -lt 60 ] || fail "the example has 60 lines or more"
# shellcheck disable=SC2046 # flags are words
{
	cc -Wall -Wextra -Werror example.c $(pkg-config --cflags --libs cleave) -o shared
	# The library alone static: the system's own stay shared.
	cc -Wall -Wextra -Werror example.c $(pkg-config --cflags cleave) \
		"$work/prefix/lib/libcleave.a" $(pkg-config --libs hwloc) -pthread \
		-o static
	printf '#include <cleave/structure.h>\nint main() { return cleave_version()[0] != 48; }\n' >cpp.cc
	! command -v c++ >/dev/null ||
		c++ -Wall -Wextra -Werror cpp.cc $(pkg-config --cflags --libs cleave) -o cpp
}
LD_LIBRARY_PATH="$work/prefix/lib" ./shared || fail "the shared example"
./static rb_interval@cpu1/each.handover:mcs || fail "the static example"
[ ! -e cpp ] || LD_LIBRARY_PATH="$work/prefix/lib" ./cpp || fail "the C++ example"
! ./static nosuch/one:rwsem 2>/dev/null || fail "an unknown structure was opened"
! ./static rb_vma/one:rwsem 2>/dev/null || fail "the example took a larger entry"

for library in "-D $work/prefix/lib/libcleave.so" "-g $work/prefix/lib/libcleave.a"; do
	# shellcheck disable=SC2086
	strange=$(nm --defined-only $library 2>/dev/null | awk 'NF == 3 && $3 !~ /^cleave_/ { print $3 }')
	[ -z "$strange" ] || fail "exported beside cleave_*: $strange"
	# shellcheck disable=SC2086
	nm --defined-only $library 2>/dev/null | grep -q ' T cleave_open$' || fail "cleave_open is missing"
done
