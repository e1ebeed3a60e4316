#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""usage: answer.py RESULTS.json

Say for each machine, at the most threads that were run on it, what each factor gives by itself
against the baseline, from the ratios in the results: a design counts as one factor if it differs
from the baseline in one of structure, partition, partition with scheme and lock, or lock, with the
scheme or without. Then the answer so far, for the simulated machine with most CPUs. Nothing is worked out again here."""
import json
import sys


def factor_of(point, base):
    """Which one factor sets the point apart from the baseline; None: none, or several."""
    differs = [part for part in ("structure", "partition", "scheme", "lock")
               if point[part] != base[part]]
    names = {("structure",): "structure", ("partition",): "split the structure",
             ("partition", "scheme"): "split structure and lock",
             ("partition", "scheme", "lock"): "split structure and lock",
             ("lock",): "lock", ("scheme", "lock"): "lock",
             ("structure", "partition", "scheme"): "structure, and split both"}
    if point["structure"] == "null_sink" and point["lock"] == base["lock"]:
        return "bound: no structure" if differs == ["structure"] else "bound: no structure at all"
    return names.get(tuple(differs))


def ratio_of(point):
    ratio = point["ops_ratio"]
    text = "%.2f" % ratio["median"]
    if has_range(ratio):
        text += " [%.2f, %.2f; %.0f %%]" % (ratio["low"], ratio["high"],
                                           100 * ratio["confidence"])
    return text


def has_range(ratio):
    return len(ratio["samples"]) > 1 and "low" in ratio


def short(point):
    return " (%s)" % point["label"] if point.get("label") else ""


def describe(point, base):
    if point["partition"] != base["partition"] and point.get("subsets") == 1:
        return "one subset on this machine: nothing is split"
    text = ratio_of(point)
    ratio = point["ops_ratio"]
    if has_range(ratio) and ratio["low"] <= 1 <= ratio["high"]:
        text += "  no difference shown"
    hold = point.get("acquisition")
    if hold:
        text += "  hold %.2f us, hand-over %.2f us" % (hold["hold_ns"]["mean"] / 1e3,
                                                       hold["handover_ns"]["mean"] / 1e3)
    return text + (" " + short(point) if short(point) else "")


def think_of(think):
    return {"recorded": "recorded think time", 0: "no think time"}.get(think,
                                                                     "think time %s ns" % think)


def factors(points):
    """(think, base, [(factor, point)]) for each think time that has a baseline."""
    threads = max(point["threads"] for point in points)
    for think in dict.fromkeys(point.get("think_ns") for point in points):
        here = [p for p in points if p["threads"] == threads and p.get("think_ns") == think]
        base = next((p for p in here if p.get("name") == "baseline"), None)
        if base:
            yield think, base, [(factor_of(p, base), p) for p in here
                                if p.get("ops_ratio") and
                                p["ops_ratio"]["to"] == base["design"] and factor_of(p, base)]


def tables(machine, points):
    lines = []
    for think, base, rows in factors(points):
        lines.append("\n%s%s, %d threads, %s: what each factor alone gives, x baseline" % (
            machine["name"], " (simulated)" if machine["simulated"] else "", base["threads"],
            think_of(think)))
        lines.append("  %-26s %-34s %s" % ("", "baseline", describe_base(base)))
        for factor, point in rows:
            lines.append("  %-26s %-34s %s" % (factor, point.get("name", point["design"]),
                                               describe(point, base)))
    return lines


def describe_base(base):
    took, text = base.get("acquisition"), "1"
    if took:
        text += "  hold %.2f us, hand-over %.2f us" % (took["hold_ns"]["mean"] / 1e3,
                                                       took["handover_ns"]["mean"] / 1e3)
    return text + (" " + short(base) if short(base) else "")


def best(rows, factor):
    found = [p for f, p in rows if f == factor and
             (p.get("subsets", 1) > 1 or factor in ("structure", "lock"))]
    return max(found, key=lambda p: p["ops_ratio"]["median"], default=None)


def answer(machine, points):
    """The question's answer as far as these points go, in sentences."""
    lines = []
    for think, base, rows in factors(points):
        parts = []
        for factor, words in (("structure", "a better structure alone (%s) gives %s times"),
                              ("lock", "another lock alone (%s) %s"),
                              ("split the structure", "splitting the structure alone (%s) %s"),
                              ("split structure and lock", "splitting the lock too (%s) %s"),
                              ("structure, and split both", "over a better structure (%s) %s")):
            point = best(rows, factor)
            if point:
                parts.append(words % (point.get("name", point["design"]),
                                      ratio_of(point) + short(point)))
        under = next((p for f, p in rows if f == "bound: no structure"), None)
        if under:
            parts[:1] = [part + " of the %s that none would give" % (ratio_of(under) + short(under))
                         for part in parts[:1] if part.startswith("a better")] or parts[:1]
        bound = next((p for f, p in rows if f == "bound: no structure at all"), None)
        if bound:
            parts.append("and with no structure and a lock a CPU it would be %s" % (
                ratio_of(bound) + short(bound)))
        lines.append("With %s, of the baseline's %s operations a second%s: %s." % (
            think_of(think), si(base["ops_per_s"]["median"]), short(base),
            "; ".join(parts) or "nothing else was run that differs in one factor"))
    if not lines:
        return []
    lines.append("These are the map's own operations on a model; its machine file says of each "
                 "latency where it is from, or that it is assumed (docs/machines.md, "
                 "docs/machine-model.md). An exec has other global locks.")
    return ["", "The answer so far, with %d threads on the simulated %s, %d CPUs on %d nodes:" % (
        max(point["threads"] for point in points), machine["name"], machine["cpus"],
        machine["nodes"])] + lines


def si(value):
    for unit in ("", "k", "M"):
        if value < 1000:
            break
        value /= 1000
    else:
        unit = "G"
    return "%.3g%s" % (value, unit)


def main(results):
    lines = []
    machines = results.get("machines") or [results["machine"]]

    def ranked(machine):
        return [p for p in results["results"] if p["machine"] == machine["name"] and
                p["valid"] and p.get("label") in (None, "short")]
    for machine in machines:
        if ranked(machine):
            lines += tables(machine, ranked(machine))
    simulated = [m for m in machines if m["simulated"] and ranked(m)]
    if simulated:
        most = max(simulated, key=lambda m: m["cpus"])
        lines += answer(most, ranked(most))
    return "\n".join(lines or ["no valid baseline: no answer"])


if len(sys.argv) != 2:
    print(__doc__.splitlines()[0], file=sys.stderr)
    sys.exit(2)
try:
    with open(sys.argv[1], encoding="utf-8") as source:
        read = json.load(source)
    if not isinstance(read, dict) or read.get("format") != "cleave-results":
        raise ValueError("not of the format cleave-results")
    print(main(read))
except (OSError, ValueError) as error:
    sys.exit("cleave: answer: %s: %s" % (sys.argv[1], error))
except (KeyError, IndexError, TypeError, AttributeError) as error:
    sys.exit("cleave: answer: %s: not as docs/results.md says: %s" % (sys.argv[1], error))
