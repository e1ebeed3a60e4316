#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# no_indirect_call.sh OBJECT...: do the updates of a structure call or jump through a pointer? The
# accessors of structures/rb_tree.h are constants that have to vanish when it is compiled with
# optimisation. Looked at is every function but those whose business it is: walk (its visitor),
# create and destroy. That insert, insert_after, change and a removal are there is checked too, so
# that an object without code does not pass.
#
# x86-64 and AArch64 disassembly as of binutils' objdump, or llvm-objdump.

if [ $# -eq 0 ]; then
	echo "cleave: no_indirect_call.sh: wants OBJECT..." >&2
	exit 2
fi

status=0
for object in "$@"; do
	"${OBJDUMP:-objdump}" -d --no-show-raw-insn "$object" | awk -v object="$object" '
		/^[0-9a-f]+ <.*>:$/ {
			name = $2
			gsub(/[<>:]/, "", name)
			# Parts that the compiler splits off: insert.part.0, insert.cold
			whole = name
			sub(/\..*/, "", whole)
			seen[whole] = 1
			next
		}
		whole ~ /^(walk|clv_rb_walk|create|clv_rb_create|destroy|clv_rb_destroy)$/ { next }
		/[ \t](call|jmp)q?[ \t]+\*/ || /[ \t](blr|br|blraa|braa)[ \t]+x[0-9]/ {
			printf "cleave: %s: %s: indirect:%s\n", object, name, $0 > "/dev/stderr"
			bad = 1
		}
		END {
			if (!("remove" in seen) && !("remove_entry" in seen))
				missing = missing " remove"
			if (!("insert" in seen))
				missing = missing " insert"
			if (!("insert_after" in seen))
				missing = missing " insert_after"
			if (!("change" in seen))
				missing = missing " change"
			if (missing) {
				bad = 1
				printf "cleave: %s: no code of:%s\n", object, missing \
					> "/dev/stderr"
			}
			exit bad
		}' || status=1
done
exit $status
