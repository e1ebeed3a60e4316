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


def read(source):
    with open(source, encoding="utf-8") as file:
        try:
            part = json.load(file)
        except ValueError as error:
            raise ValueError("%s: %s" % (source, error)) from error
    if not isinstance(part, dict) or part.get("format") != "cleave-results":
        raise ValueError("%s: not of the format cleave-results" % source)
    return part


def main(out, *sources):
    text = json.dumps(merge([read(source) for source in sources]), indent=2) + "\n"
    draft = out + ".tmp"
    try:
        with open(draft, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(draft, out)
    except OSError:
        if os.path.isfile(draft):
            os.unlink(draft)
        raise


if len(sys.argv) < 3:
    print(__doc__.splitlines()[0], file=sys.stderr)
    sys.exit(2)
try:
    main(*sys.argv[1:])
except (OSError, ValueError) as error:
    sys.exit("cleave: merge: %s" % error)
except (KeyError, IndexError, TypeError, AttributeError) as error:
    sys.exit("cleave: merge: %s: not as docs/results.md says: %s" % (" ".join(sys.argv[1:]), error))
