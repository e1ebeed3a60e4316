#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""usage: count.py TESTLOG.json: print how many of meson's tests passed, failed and were skipped;
a log that is missing or empty counts as one failure. Reasons of skips go to standard error."""
import json
import sys

passed = failed = skipped = 0
try:
    for line in open(sys.argv[1]):
        test = json.loads(line)
        if test["result"] in ("OK", "EXPECTEDFAIL"):
            passed += 1
        elif test["result"] == "SKIP":
            skipped += 1
            said = (test.get("stdout") or test.get("stderr") or "no reason given").strip()
            print("skipped:", test["name"] + ":", said.splitlines()[-1], file=sys.stderr)
        else:
            failed += 1
except (OSError, ValueError) as error:
    print("cleave: test log:", error, file=sys.stderr)
    failed += 1
if passed + failed + skipped == 0:
    failed = 1
print(passed, failed, skipped)
