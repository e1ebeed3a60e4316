#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""usage: merge.py OUT.json IN.json...

Make one file of the results of several runs, which may be of different machines: `machines` has one
object for each, `machine` is the first of them, `command` is all of them. What was measured stays
as it is."""
import json
import os
import sys


def merge(parts):
    first = parts[0]
    machines = {part["machine"]["name"]: part["machine"] for part in parts}
    for part in parts:
        if machines[part["machine"]["name"]].get("model_digest") != \
                part["machine"].get("model_digest"):
            raise ValueError("two models of one name: %s" % part["machine"]["name"])
    return {"format": first["format"], "format_version": first["format_version"],
            "command": "; ".join(part["command"] for part in parts),
            "machine": first["machine"], "machines": list(machines.values()),
            "results": [point for part in parts for point in part["results"]]}


def main(out, *sources):
    parts = []
    for source in sources:
        with open(source, encoding="utf-8") as file:
            parts.append(json.load(file))
    draft = out + ".tmp"
    with open(draft, "w", encoding="utf-8") as file:
        json.dump(merge(parts), file, indent=2)
        file.write("\n")
    os.replace(draft, out)


if len(sys.argv) < 3:
    sys.exit(__doc__.splitlines()[0])
try:
    main(*sys.argv[1:])
except (OSError, ValueError, KeyError, IndexError) as error:
    sys.exit("cleave: merge: %s: %s" % (" ".join(sys.argv[1:]), error))
