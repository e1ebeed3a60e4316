#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""usage: answer.py RESULTS.json

Say what each factor gives by itself against the baseline, at the most threads that were run, from
the ratios in the results: a design counts as one factor if it differs from the baseline in one of
structure, partition, scheme with partition, or lock. Nothing is worked out again here."""
import json
import sys


def factor_of(point, base):
    """Which one factor sets the point apart from the baseline; None: none, or several."""
    differs = [part for part in ("structure", "partition", "scheme", "lock")
               if point[part] != base[part]]
    names = {("structure",): "structure", ("partition",): "split the structure",
             ("partition", "scheme"): "split structure and lock", ("lock",): "lock"}
    return names.get(tuple(differs))


def describe(point, base):
    if point["partition"] != base["partition"] and point["subsets"] == 1:
        return "one subset on this machine: nothing is split"
    ratio = point["ops_ratio"]
    text = "%.2f [%.2f, %.2f]" % (ratio["median"], ratio["low"], ratio["high"])
    if ratio["low"] <= 1 <= ratio["high"]:
        text += "  no difference shown"
    return text


def answer(results):
    points = [p for p in results["results"] if p["valid"] and not p.get("label")]
    if not points:
        return "no valid result: no answer"
    threads = max(p["threads"] for p in points)
    lines = []
    for think in dict.fromkeys(p.get("think_ns") for p in points):
        here = [p for p in points if p["threads"] == threads and p.get("think_ns") == think]
        base = next((p for p in here if p.get("name") == "baseline"), None)
        if not base:
            continue
        think = "recorded think time" if think == "recorded" else "no think time" \
            if think == 0 else "think time %s ns" % think
        lines.append("\nwhat each factor alone gives, %d threads, %s, x baseline [95 %%]:"
                     % (threads, think))
        for point in here:
            if not point.get("ops_ratio") or point["ops_ratio"]["to"] != base["design"]:
                continue
            factor = factor_of(point, base)
            if point["structure"] == "null_sink" and point["lock"] == base["lock"]:
                factor = "bound: no structure at all"
            if factor:
                lines.append("  %-26s %-34s %s" % (factor, point.get("name", point["design"]),
                                                   describe(point, base)))
    machine = results["machine"]
    lines.append("\nThis is %s: %d CPUs on %d node%s. It says what the parts cost here, not what "
                 "384 CPUs on 12 nodes would do." % (
                     "a simulation" if machine["simulated"] else "the machine at hand",
                     machine["cpus"], machine["nodes"], "" if machine["nodes"] == 1 else "s"))
    return "\n".join(lines)


try:
    print(answer(json.load(open(sys.argv[1]))))
except (OSError, ValueError, KeyError, IndexError) as error:
    sys.exit("cleave: answer: %s: %s" % (" ".join(sys.argv[1:]), error))
