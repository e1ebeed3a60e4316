#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""usage: unreached.py PROGRAM REACHED [PLACE...]

What explored schedules never ran: the lines of PLACE (folders or files; lib/locks and lib/schemes, by
default) whose basic blocks are in PROGRAM's instrumented code and not in REACHED, which
test_arrangements --reached wrote. A line a function: its file, name, and the numbers of the lines. Lines
of which some block was reached are not among them. Needs binutils and debug information.
"""
import collections
import functools
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def blocks_of(program):
    """Where each call of the block tracer returns to, in the instrumented code."""
    blocks = []
    called = False
    listing = subprocess.Popen(
        ["objdump", "-d", "--no-show-raw-insn", "-j", "clv_sim_text", program],
        stdout=subprocess.PIPE, text=True)
    for line in listing.stdout:
        at = re.match(r"\s+([0-9a-f]+):\s", line)
        if not at:
            continue
        if called:
            blocks.append(int(at.group(1), 16))
        called = "<clv_entry_block>" in line
    if listing.wait():
        sys.exit("cleave: objdump failed")
    return blocks


def places(program, addresses):
    """Function, file and line of each, the innermost of what was inlined."""
    # The call itself, not what follows it.
    text = "".join(f"{address - 1:x}\n" for address in addresses)
    answer = subprocess.run(["addr2line", "-f", "-e", program], input=text, check=True,
                            capture_output=True, text=True).stdout.splitlines()
    for name, place in zip(answer[::2], answer[1::2]):
        path, _, line = place.split(" ")[0].rpartition(":")
        yield name, path, int(line) if line.isdigit() else 0


@functools.cache
def lines_of(path):
    return (ROOT / path).read_text(encoding="utf-8").splitlines()


def is_end(path, line):
    """A function's end, whose block may be behind a call that does not return here; and what the
    compiler adds behind a file's."""
    lines = lines_of(path)
    return line >= len(lines) or lines[line - 1].strip() == "}"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program = sys.argv[1]
    wanted = sys.argv[3:] or ["lib/locks", "lib/schemes"]
    with open(sys.argv[2], encoding="ascii") as file:
        reached = {int(line, 16) for line in file}
    start = next(int(line.split()[0], 16) for line in output("nm", program).splitlines()
                 if line.endswith(" __start_clv_sim_text"))
    blocks = blocks_of(program)
    lines = collections.defaultdict(lambda: [False, 0])
    for address, (name, path, line) in zip(blocks, places(program, blocks)):
        place = next((one for one in wanted if f"/{one}/" in path + "/"), None)
        if not place or not line:
            continue
        path = path[path.rindex(place):]
        if is_end(path, line):
            continue
        entry = lines[path, name, line]
        entry[0] |= address - start in reached
        entry[1] += 1
    functions = collections.defaultdict(list)
    for (path, name, line), (seen, _) in sorted(lines.items()):
        functions[path, name].append((line, seen))
    unseen = 0
    for (path, name), at in functions.items():
        missing = [str(line) for line, seen in at if not seen]
        unseen += len(missing)
        if missing:
            whole = " (all of it)" if len(missing) == len(at) else ""
            print(f"{path}: {name}: {' '.join(missing)}{whole}")
    print(f"{unseen} of {len(lines)} lines with blocks were not reached")


if __name__ == "__main__":
    main()
