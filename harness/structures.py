#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""usage: structures.py RESULTS.json [BOUND]

One table for each think time and share of walks in the results: a row for each structure, a column
for each arrangement of it. A cell says what part of the bound it reaches (that design's operations a
second over BOUND's, null_sink@cpu1/each:rwsem by default, in the same run) and how many cache lines
an operation moves between caches. '~' marks a point that stopped short of its window."""
import json
import sys


def arrangement(point):
    text = ("@" + point["partition"] if point.get("partition", "none") != "none" else "")
    text += "/" + point["scheme"]
    return text + (":" + point["lock"] if point["scheme"] != "free" else "")


def cell(point, bound):
    if not point:
        return "-"
    if not point["valid"]:
        return "invalid"
    mark = "~" if point.get("label") else ""
    share = point["ops_per_s"]["median"] / bound["ops_per_s"]["median"]
    return "%s%s | %.1f" % (mark, format(100 * share, ".3g"), point["transfers_per_op"]["all"])


def table(points, bound, title):
    columns = [a for a in dict.fromkeys(arrangement(p) for p in points)]
    lines = ["", title, "%.4g M operations/s is 100: %s, which moves %.2f lines an operation" % (
        bound["ops_per_s"]["median"] / 1e6, bound["design"], bound["transfers_per_op"]["all"]),
        "of it in %, and | lines moved an operation", ""]
    rows = {}
    for point in points:
        rows.setdefault(point["structure"], {})[arrangement(point)] = point
    body = [["structure"] + columns]
    body += [[name] + [cell(row.get(c), bound) for c in columns] for name, row in rows.items()]
    width = [max(len(line[i]) for line in body) for i in range(len(body[0]))]
    for line in body:
        lines.append("  ".join(text.ljust(w) if i == 0 else text.rjust(w)
                               for i, (text, w) in enumerate(zip(line, width))).rstrip())
    return lines


def main(source, bound_design="null_sink@cpu1/each:rwsem"):
    with open(source, encoding="utf-8") as file:
        results = json.load(file)["results"]
    keys = dict.fromkeys((p["machine"], p["threads"], p["think_ns"], p["walks"])
                         for p in results if p["simulated"])
    if not keys:
        raise ValueError("%s: no simulated results in it" % source)
    for key in keys:
        machine, threads, think, walks = key
        points = [p for p in results
                  if (p["machine"], p["threads"], p["think_ns"], p["walks"]) == key]
        bound = next((p for p in points if p["design"] == bound_design and p["valid"]), None)
        if not bound:
            raise ValueError("%s: %s is not in it" % (source, bound_design))
        print("\n".join(table(points, bound, "%s (simulated), %d threads, %s, walks %g %%" % (
            machine, threads, {"recorded": "recorded think time", 0: "no think time"}.get(
                think, "think time %s ns" % think), 100 * walks))))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[1].startswith("-"):
        print(__doc__)
        sys.exit(0 if sys.argv[1:] == ["--help"] else 2)
    try:
        main(*sys.argv[1:])
    except (OSError, ValueError, KeyError) as error:
        print("cleave: structures: %s" % error, file=sys.stderr)
        sys.exit(1)
