# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Runs over time: a storm, and what is told of each slice of the window."""
import json
import re

from program import (CPUS, Folder, SOURCE, case, case_that_simulates, cleave, fine, refused, run)

MACHINE = "hygon-12n384"
ON = ["--machine", MACHINE, "--quiet", "--repetitions", 1, "--threads", 24]
STORM = ["--window-ms", 6, "--storm", "1-2.5:2", "--every-us", 250, "--walks", 0.01]


def whole(*args, status=0):
    found = cleave("run", *ON, *args, "--json", "/dev/stdout")
    assert found.returncode == status, f"{args}: status {found.returncode}: {found.stderr}"
    return json.loads(found.stdout)


def point(*args):
    one, = whole(*args)["results"]
    assert one["valid"], one
    return one


def documented():
    text = (SOURCE / "docs/results.md").read_text()
    table, = re.findall(r"\| of a course \|.*?\n\n", text, re.S)
    return {name for row in re.findall(r"^\|([^|]*)\|", table, re.M)
            for name in re.findall(r"`(\w+)`", row)}


def columns(course):
    """Every array, by the names on the way to it."""
    found = {}
    for name, value in course.items():
        if isinstance(value, list):
            found[name] = value
        elif isinstance(value, dict):
            found |= {f"{name}.{inner}": column for inner, column in value.items()}
    return found


@case_that_simulates
def a_storm_over_time():
    one = point("rb_interval@cpu8/each:mutex", *STORM)
    assert one["storm"] == {"from_ms": 1, "to_ms": 2.5, "quiet": 2}, one["storm"]
    course = one["course"]
    assert set(course) == documented(), set(course) ^ documented()
    assert course["at_us"] == [250 * i for i in range(24)], course["at_us"]
    for name, column in columns(course).items():
        assert len(column) == 24, (name, column)
        assert all(figure is None or figure >= 0 for figure in column), (name, column)

    ops = course["ops_per_s"]
    assert all(ops), ops
    # All that the threads did, but for what each may do before it sees the window open or close.
    assert abs(sum(ops) / 24 / one["ops_per_s"]["median"] - 1) < 0.1, (ops, one["ops_per_s"])
    before, storm, after = (sum(ops[a:b]) / (b - a) for a, b in ((0, 4), (7, 10), (20, 24)))
    assert storm > 3 * before and storm > 3 * after, ops
    share = course["time_share"]
    assert set(share) == {"wait", "handover", "inside", "outside"}, share
    for parts in zip(*share.values()):
        assert abs(sum(parts) - 1) < 1e-9, parts
    hold = course["hold_ns"]
    for mean, longest in zip(hold["mean"], hold["longest"]):
        assert mean <= longest, hold
    for walks, wait in zip(course["walks_per_s"], course["walk_wait_longest_ns"]):
        assert (walks == 0) == (wait is None), course
    assert any(course["walk_wait_longest_ns"]), course["walk_wait_longest_ns"]
    assert "phases" not in one, "a design that does not change"


@case_that_simulates
def a_storm_says_nothing_of_fairness():
    with_nodes = {"fairness_jain", "fairness_by_node", "ns_per_op"}
    with Folder() as folder:
        for name, storm in (("storm", ["--storm", "0.5-1:2"]), ("even", ["--every-us", 500])):
            path = folder / f"{name}.json"
            text = fine("run", *ON, "baseline", "--window-ms", 2, *storm, "--json", path)
            one, = json.loads(path.read_text())["results"]
            counters = (folder / f"{name}.gbench.json").read_text()
            row = next(line for line in text.splitlines() if line.startswith("baseline "))
            heading = next(line for line in text.splitlines() if line.startswith("design "))
            jain = row[:heading.index("Jain") + 4].split()[-1]
            if name == "storm":
                assert not with_nodes & set(one), set(one)
                assert "fairness" not in counters, counters
                assert jain == "-", row
                assert "\nstorm     for 0.5 of the window's 2 ms: ops/s, x first" in text, text
            else:
                assert with_nodes <= set(one) and "fairness_jain" in counters, (set(one), counters)
                assert 0 < float(jain) <= 1, row
                assert "storm" not in text, text


@case_that_simulates
def a_course_is_the_same_again():
    def one(*args):
        found = point("baseline", *STORM, *args)
        del found["provenance"]
        return json.dumps(found)
    assert one() == one("--jobs", 1)
    assert one() != one("--seed", 2)
    last = json.loads(one("--repetitions", 2))["course"]
    assert last["seed"] == 2 and last == json.loads(one("--seed", 2))["course"]


@case_that_simulates
def without_it_nothing_is_said():
    one = point("baseline", "--budget", 2)
    assert not {"course", "storm", "phases"} & set(one), set(one)
    text = cleave("run", *ON, "baseline", "--budget", 2).stdout
    assert "course" not in text and "storm" not in text and "100,000 acquisitions" in text, text


@case_that_simulates
def slices_without_a_storm():
    one = point("rb_interval/one:mcs", "--workload", "pairs-libc", "--window-ms", 1,
                "--every-us", 300)
    assert "storm" not in one
    course = one["course"]
    assert course["at_us"] == [0, 300, 600, 900], course["at_us"]
    assert not {"execs_per_s", "walks_per_s", "walk_wait_longest_ns"} & set(course), set(course)
    rates = course["ops_per_s"]
    lengths = [300, 300, 300, 100]
    mean = sum(rate * length for rate, length in zip(rates, lengths)) / 1000
    assert abs(mean / one["ops_per_s"]["median"] - 1) < 0.1, (rates, one["ops_per_s"])
    storm = point("baseline", "--window-ms", 2, "--storm", "0-1:3")
    assert "course" not in storm and storm["storm"]["quiet"] == 3


@case_that_simulates
def a_course_that_is_cut_short():
    one = point("baseline", *STORM, "--budget", 1)
    assert one["label"] == "short", one.get("label")
    lengths = {len(column) for column in columns(one["course"]).values()}
    assert len(lengths) == 1 and lengths.pop() < 24, lengths


@case_that_simulates
def tables_over_time():
    text = fine("run", *ON, "baseline", "rb_interval@cpu8/each:mutex", *STORM)
    assert "window    6 ms after 1 ms; short: 600 million accesses came before its end" in text, text
    assert ", storm 1-2.5 ms, else 2\n" in text, text
    blocks = re.findall(r"^course of .*\n(?:.+\n)+", text, re.M)
    assert [block.split(",")[0] for block in blocks] == \
        ["course of baseline", "course of rb_interval@cpu8/each:mutex"], text
    for block in blocks:
        title, heading, *rows = block.splitlines()
        assert title.endswith(", 24 threads from 1 to 2.5 ms, else 2"), title
        rows = [row for row in rows if row.startswith(" ")]
        assert len(rows) == 24, block
        for row in rows:
            assert len(row) == len(heading) <= 140, (row, heading)
            for column in ("ms", "ops/s", "wait%", "hand%", "in%", "hold", "longest", "wait ",
                           "walks/s", "walk ", "MiB"):
                after = heading.index(column) + len(column.strip())
                assert row[after - 1] != " " and row[after:after + 1] in ("", " "), (column, row)
    assert "#" * 24 in text and "#" * 25 not in text, text


@case_that_simulates
def a_timeline_of_a_storm():
    with Folder() as folder:
        path = folder / "t.json"
        point("baseline", "--window-ms", 2, "--storm", "0.5-1:2", "--timeline", path)
        events = json.loads(path.read_text())["traceEvents"]
    # Of the threads that run in the storm alone something is there, and not before it.
    slices = [event for event in events if event["ph"] == "X"]
    first = {}
    for event in slices:
        first[event["tid"]] = min(event["ts"], first.get(event["tid"], event["ts"]))
    begin = min(first.values())
    late = [cpu for cpu, at in first.items() if at > begin + 450]
    assert len(first) == 24 and 15 < len(late) <= 22, first


@case_that_simulates
def what_a_storm_cannot_be():
    on = ["run", *ON, "baseline"]
    for text, word in (("1", "FROM-TO"), ("", "FROM-TO"), ("2-1", "ends after"), ("1-1", "ends after"),
                       ("a-b", "decimal"), ("1-2:", "number"), ("1-2:0", "range"),
                       ("1-2:24", "fewer than all"), ("1-2:99", "fewer than all"),
                       ("1-21", "not within the window of 20 ms"), ("-1-2", "decimal"),
                       ("1-2:8:9", "number"), ("1-700000", "range")):
        refused(*on, f"--storm={text}", words=["storm", word])
    refused(*on, "--storm", "1-2", "--workload", "pairs-libc", words=["--storm", "pairs-libc"])
    refused(*on, "--storm", "1-2", "--migrate", 0.5, words=["storm", "migration"])
    for text in ("0", "-1", "1.5", "much", "99999999999"):
        refused(*on, "--every-us", text, words=["--every-us", text])
    refused(*on, "--every-us", 20001, words=["longer than the window"])
    refused(*on, "--every-us", 1, words=["more than 10000 slices"])


@case
def a_course_on_the_host():
    threads = 2 if len(CPUS) > 1 else 1
    storm = ["--storm", "1-3"] if threads > 1 else []
    text = run("baseline", "--threads", threads, "--every-us", 999, *storm, "--walks", 0.1,
               "--sample", 1, "--json", "/dev/stdout")
    one, = json.loads(text)["results"]
    course = one["course"]
    window_us = 1000 * course["window_ms"]
    assert len(course["at_us"]) == -(-window_us // 999), course
    assert ("storm" in one) == (threads > 1)
    assert set(course) == documented() - {"allocated_bytes"}, set(course) ^ documented()
    assert set(course["time_share"]) == {"wait", "inside"} and set(course["hold_ns"]) == {"mean"}
    assert sum(course["ops_per_s"]) > 0, course
    for rate, mean in zip(course["ops_per_s"], course["hold_ns"]["mean"]):
        assert rate == 0 or mean is not None, course


@case_that_simulates
def courses_are_drawn_only_where_there_are_some():
    with Folder() as folder:
        whole_run = cleave("run", *ON, "baseline", "--budget", 2, "--json", folder / "x.json")
        assert whole_run.returncode == 0, whole_run.stderr
        refused("plot", "--course", folder / "x.json", words=["--every-us", "x.json"])
        assert not list(folder.glob("x.svg"))


@case_that_simulates
def designs_that_change_say_when_and_why():
    # Promotes and falls back all the time.
    swings = "rb_interval@cpu8/promote.2.0.0:mutex"
    one = point(swings, *STORM)
    phases = one["phases"]
    assert len(phases) <= one["phases_in_all"] and len(phases) > 8, one["phases_in_all"]
    assert [phase["at_us"] for phase in phases] == sorted(phase["at_us"] for phase in phases)
    for phase in phases:
        assert set(phase) == {"at_us", "map", "phase", "reason", "subsets", "asked", "failed",
                              "per_s", "cpu"}, phase
        assert phase["phase"] and phase["reason"] and 0 <= phase["cpu"] < 384, phase
        assert phase["failed"] <= phase["asked"] and phase["at_us"] <= 6000, phase
    assert {phase["map"] for phase in phases} >= {"libc.so.6", "execself"}, phases
    assert one["walk_map"] == "libc.so.6", one["walk_map"]
    assert {phase["subsets"] for phase in phases} == {1, 48}, phases

    text = fine("run", *ON, swings, *STORM)
    lines = re.findall(r"^ +(-?\d+\.\d{3})  (\S+): (\w+), (\d+) subsets?: ", text, re.M)
    assert len(lines) == len(phases), text
    for (at_ms, file, name, subsets), phase in zip(lines, phases):
        assert abs(float(at_ms) - phase["at_us"] / 1000) < 0.001, (at_ms, phase)
        assert (file, name, int(subsets)) == (phase["map"], phase["phase"], phase["subsets"])

    few = fine("run", *ON, swings, "--budget", 2)
    shown = re.search(r"changes of rb_.*: the last (\d+) of (\d+)\n((?:.+\n)+)", few)
    assert shown and shown[1] == "8" and int(shown[2]) > 8, few
    assert len(shown[3].splitlines()) == 8, few

    with Folder() as folder:
        path = folder / "t.json"
        point(swings, "--budget", 4, "--timeline", path)
        events = json.loads(path.read_text())["traceEvents"]
    instants = [event for event in events if event["ph"] == "i"]
    assert instants and {event["name"] for event in instants} <= {"whole", "split"}, instants[:5]
    assert all(event["args"]["reason"] for event in instants), instants[:5]
