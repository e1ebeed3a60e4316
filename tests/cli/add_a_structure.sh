#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# usage: add_a_structure.sh SOURCE
# Do what structures/README.md says to a copy of the source: one file, one line in the registry, and
# nothing else. Then the structure has to be in the lists, in a design by name, in the contract
# suite, whose checks it passes, and has to run.
set -euo pipefail
[ $# = 1 ] || { sed -n '3s/^# //p' "$0" >&2; exit 2; }
source=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
	echo "add_a_structure: $1" >&2
	[ ! -s "$work/log" ] || tail -20 "$work/log" >&2
	exit 1
}

# What belongs to the project, committed or not yet; without git, all but builds.
mkdir "$work/copy"
if git -C "$source" rev-parse --git-dir >"$work/log" 2>&1; then
	git -C "$source" ls-files -z --cached --others --exclude-standard
else
	(cd "$source" && find . -path './build*' -prune -o -type f -print0)
fi | (cd "$source" && while IFS= read -r -d '' file; do
	[ ! -f "$file" ] || printf '%s\0' "$file"
done | tar -cf - --null --no-recursion -T -) | tar -xf - -C "$work/copy"
[ -f "$work/copy/structures/registry.def" ] || fail "the source was not copied: $source"

cp "$source/tests/cli/example_list.c" "$work/copy/structures/"
echo 'CLEAVE_STRUCTURE(example_list)' >>"$work/copy/structures/registry.def"

# Beside the two, the contract suite in a form that takes one structure.
cat >>"$work/copy/tests/meson.build" <<'END'
executable('contract_of', 'cli/contract_of.c',
  dependencies: [suite_dependency, peers_dependency])
END
meson setup "$work/build" "$work/copy" >"$work/log" 2>&1 || fail "meson setup"
ninja -C "$work/build" -j2 cleave tests/contract_of >"$work/log" 2>&1 || fail "not built"
: >"$work/log"
cleave=$work/build/cleave

"$cleave" list structures | grep '^example_list ' >/dev/null || fail "no structure example_list"
"$cleave" list designs |
	grep '^better-structure-example_list *example_list/one:rwsem ' >/dev/null ||
	fail "no better-structure-example_list"

# A list is slow: few intervals. On a busy machine a short window may pass unused: try longer ones.
for window_ms in 20 200 2000; do
	"$cleave" run example_list/one:rwsem better-structure-rb_interval --population 50 --walks 0.5 \
		--repetitions 6 --warm-up-ms 1 --window-ms $window_ms --quiet \
		--json "$work/x.json" >"$work/log" 2>&1 && break
	grep -q 'measured window\|no operation ended' "$work/log" || break
done
python3 - "$work/x.json" <<'END' || fail "the run does not say that it was valid"
import json, sys
points = json.load(open(sys.argv[1]))["results"]
assert [point["structure"] for point in points] == ["example_list", "rb_interval"], points
assert all(point["valid"] and point["provenance"]["checked_ops"] for point in points), points
END

"$work/build/tests/contract_of" example_list >"$work/log" 2>&1 || fail "the contract is not kept"
grep -q '^example_list/one:[a-z_]*: ' "$work/log" || fail "the contract suite does not list it"
echo "example_list: listed, named, run, and $(tail -1 "$work/log")"

# The suite does look at it: with ties in front it must fail.
sed -i 's/before->start > interval->start) {/before->start >= interval->start) {/' \
	"$work/copy/structures/example_list.c"
ninja -C "$work/build" -j2 tests/contract_of >"$work/log" 2>&1 || fail "not built again"
if "$work/build/tests/contract_of" example_list >"$work/log" 2>&1; then
	fail "a broken list passes the contract suite"
fi
grep -q '^FAIL ' "$work/log" || fail "a broken list ended without a check that failed"
echo "example_list broken: $(tail -1 "$work/log")"
