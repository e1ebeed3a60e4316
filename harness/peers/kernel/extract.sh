#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# usage: extract.sh FOLDER
# Put the few files that the kernel's peers are made of into FOLDER, from the archive of Debian
# 12's package linux-source-6.1, and beside them headers that lead to shim.h. Prints the kernel's version.
# Says nothing else, and does nothing again while the archive is the same.
set -eu

folder=$1
archive=/usr/src/linux-source-6.1.tar.xz
if [ ! -f "$archive" ]; then
	echo "cleave: peers: no $archive: run ./setup peers" >&2
	exit 1
fi

stamp="$archive $(stat -c '%s %Y' "$archive") $(cksum <"$0")"
if [ "$(cat "$folder/stamp" 2>/dev/null || true)" != "$stamp" ]; then
	rm -rf "$folder"
	mkdir -p "$folder"
	top=$(basename "$archive" .tar.xz)
	(
		cd "$folder"
		tar -xJf "$archive" --strip-components=1 --occurrence=1 "$top/Makefile" \
			"$top/include/linux/interval_tree_generic.h" \
			"$top/include/linux/maple_tree.h" "$top/include/linux/rbtree.h" \
			"$top/include/linux/rbtree_augmented.h" "$top/include/linux/rbtree_types.h" \
			"$top/lib/maple_tree.c" "$top/lib/rbtree.c" "$top/mm/interval_tree.c"
		mkdir -p include/asm include/trace/events
		for header in asm/barrier linux/compiler linux/container_of linux/export linux/fs \
			linux/kernel linux/limits linux/mm linux/rcupdate linux/rmap linux/slab \
			linux/spinlock linux/stddef linux/types linux/xarray \
			trace/events/maple_tree; do
			echo '#include "shim.h"' >"include/$header.h"
		done
	)
	printf '%s\n' "$stamp" >"$folder/stamp"
fi
sed -n 's/^VERSION = //p; s/^PATCHLEVEL = //p; s/^SUBLEVEL = //p' "$folder/Makefile" |
	head -n 3 | paste -s -d .
