#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# usage: make.sh ROOT KIND ORIGINAL NAME PATCH OUT.c
# Write into OUT.c the structure, scheme or lock ORIGINAL of the tree ROOT under the name NAME, with
# PATCH applied (- for none). Headers of its own folder become part of it, so that a patch can
# change those too.
set -eu
root=$1 kind=$2 original=$3 name=$4 patch=$5 out=$6

fail() {
	echo "cleave: $name: $1" >&2
	exit 1
}

case $kind in
structure) folder=structures prefix=cleave_ ;;
scheme) folder=lib/schemes prefix=clv_scheme_ ;;
lock) folder=lib/locks prefix=clv_lock_ ;;
*) fail "no such kind: $kind" ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$folder"
cp "$root/$folder/$original.c" "$work/$folder/"
cp "$root/$folder"/*.h "$work/$folder/"
if [ "$patch" != - ]; then
	patch -d "$work" -p1 --fuzz=0 --silent --no-backup-if-mismatch <"$patch" ||
		fail "$patch does not apply to $folder/$original.c"
fi

# Only the headers of its own folder are in it, and theirs: the rest is included as it is.
awk -v folder="$work/$folder" '
	function put(file, line, words) {
		while ((getline line < file) > 0) {
			if (line !~ /^#include "/) {
				print line
				continue
			}
			split(line, words, "\"")
			if (system("test -f " folder "/" words[2]) == 0)
				put(folder "/" words[2])
			else
				print line
		}
		close(file)
	}
	BEGIN { put(ARGV[1]); exit }' "$work/$folder/$original.c" >"$work/whole.c"

renamed() {
	[ "$(grep -c "$1" "$work/whole.c")" = 1 ] || fail "$original.c has not one line of '$1'"
}
renamed "^const struct [a-z_]* $prefix$original = {$"
# In a name there may be dots for what the file has underscores for.
named=$(printf %s "$original" | sed 's/_/[_.]/g')
renamed "\.name = \"$named\",$"
sed -e "s/^\(const struct [a-z_]*\) $prefix$original = {\$/\1 $prefix$name = {/" \
	-e "s/\.name = \"$named\",\$/.name = \"$name\",/" "$work/whole.c" >"$out"
