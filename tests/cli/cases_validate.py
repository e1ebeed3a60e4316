# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""cleave validate: all rows are there, with numbers, whatever they are; what is refused."""
import json
import os
import re

from program import Folder, case, fine, refused

EVERY_COUNT = ["empty, ticket", "empty, mcs", "empty, ck_rwlock", "empty, rwsem",
               "tree 600, mcs", "tree 600, ticket", "tree 6000, mcs", "tree 6000, ticket",
               "tree a CPU, mcs", "empty a CPU, mcs", "fetch-and-add"]
ALONE = [f"chase {where}, {lines}" for where in ("L2", "L3", "memory")
         for lines in ("1 line", "2 lines")]


def validate(*args):
    return fine("validate", *args)


def thread_counts():
    cpus, counts, threads = len(os.sched_getaffinity(0)), [], 1
    while threads < cpus:
        counts.append(threads)
        threads *= 2
    return counts + [cpus]


@case
def host_table_has_every_row():
    with Folder() as folder:
        path = f"{folder}/validation.json"
        text = validate("a", "--quick", "--seconds", 1, "--json", path)
        rows = json.load(open(path))["host"]
    for name, threads in ([(name, threads) for name in EVERY_COUNT for threads in thread_counts()]
                          + [(name, 1) for name in ALONE]):
        lines = [line for line in text.splitlines()
                 if re.match(rf"{re.escape(name)} +{threads} ", line)]
        assert lines, f"no row: {name}, {threads} threads:\n{text}"
        of_it = [row for row in rows if row["row"] == name and row["threads"] == threads]
        # On a busy machine no round may count: that is said.
        if "no round counts" in lines[0]:
            assert not of_it, of_it
            continue
        assert len(of_it) == len(lines), (lines, of_it)
        for row in of_it:
            assert row["measured_ops_per_s"] > 0 and row["predicted_ops_per_s"] > 0, row
            assert row["low"] <= row["measured_ops_per_s"] <= row["high"], row
            error = row["predicted_ops_per_s"] / row["measured_ops_per_s"] - 1
            assert abs(error - row["error"]) < 1e-3 * max(1, abs(error)), row
            assert row["kept"] > 0 and row["kept"] + row["dropped"] <= 10, row


@case
def what_calibration_measured_does_not_count():
    text = validate("a", "--quick", "--seconds", 1)
    for line in text.splitlines():
        chase = re.match(r"chase .*, (1|2) lines? ", line)
        if chase and "no round" not in line:
            assert ("*" in line) == (chase[1] == "1"), line


@case
def published_curves_are_beside_the_simulated():
    with Folder() as folder:
        path = f"{folder}/validation.json"
        text = validate("c", "--quick", "--json", path)
        rows = json.load(open(path))["curves"]
    for name in ("MCS", "flat combining", "CC-Synch", "H-Synch"):
        for of in ("published", "cores-first", "spread", "no local work"):
            assert re.search(rf"^{name} +{of} +\d", text, re.M), f"{name}, {of}:\n{text}"
    assert len(rows) == 4 * 3 * 4 and all(row["ops_per_s"] > 0 for row in rows), rows
    published = {(row["program"], row["threads"]): row["published_ops_per_s"] for row in rows
                 if row["local_work"]}
    assert published["CC-Synch", 128] == 7.2e6 and published["MCS", 1] == 0.9e6, published


@case
def same_simulation_gives_the_same_table():
    assert validate("c", "--quick") == validate("c", "--quick", "--jobs", 1)


@case
def wrong_arguments_of_validate():
    refused("validate", "b", words=["'b'"])
    refused("validate", "a", "a", words=["twice"])
    refused("validate", "a", "--machine", "hygon-12n384", words=["--machine"])
    refused("validate", "c", "--machine", "host", words=["host"])
    refused("validate", "c", "--machine", "no-such-machine", words=["no-such-machine"])
    refused("validate", "--seconds", 0, words=["--seconds"])
    refused("validate", "--jobs", 0, words=["--jobs"])
    refused("validate", "c", "--json", "/no/such/folder/x.json", words=["/no/such/folder"],
            status=1)
