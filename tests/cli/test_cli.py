#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""usage: test_cli.py PATH_TO_CLEAVE [NAME...]: use the program as its users do, and misuse it.

Prints a line a case; exit status 0 if all passed. Runs are as short as can be: what is checked is
what they say about themselves, never how fast anything was. On a busy machine a short window may
pass without a thread having run; such a run is done again with a longer one."""
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLEAVE = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else sys.exit(__doc__)
SOURCE = Path(__file__).resolve().parents[2]
RECORDING = SOURCE / "harness/workloads/data/execl-schedule.txt"
TOPOLOGIES = SOURCE / "tests/data/topology"
KINDS = ["structures", "partitions", "schemes", "locks", "designs", "workloads", "machines",
         "placements"]
CPUS = sorted(os.sched_getaffinity(0))
SHORT = ["--repetitions", "6", "--warm-up-ms", "1", "--quiet"]

# 12 nodes of 32 CPUs; one node of 256 CPUs; two packages of 112.
MACHINES = [
    ("pack:2 numa:6(memory=34359738368) l3:4(size=16777216) l2:4(size=524288) l1d:1(size=32768) "
     "l1i:1(size=65536) core:1 pu:2(indexes=core)", 384, 12),
    ("pack:1 [numa(memory=805306368000)] l3:16(size=16777216) l2:8(size=1048576) l1d:1(size=32768) "
     "l1i:1(size=32768) core:1 pu:2(indexes=core)", 256, 1),
    ("pack:2 [numa(memory=274877906944)] l3:1(size=110100480) l2:56(size=2097152) "
     "l1d:1(size=49152) l1i:1(size=32768) core:1 pu:2(indexes=core)", 224, 2),
]

cases = []


def case(function):
    cases.append(function)
    return function


# ---- running the program ----

def cleave(*args, **options):
    for stream in ("stdout", "stderr"):
        options.setdefault(stream, subprocess.PIPE)
    return subprocess.run([CLEAVE, *map(str, args)], text=True, errors="replace", timeout=300,
                          **options)


def fine(*args, **options):
    """Exit status 0 and not a word on standard error."""
    result = cleave(*args, **options)
    assert result.returncode == 0, f"{args}: status {result.returncode}: {result.stderr}"
    assert result.stderr == "", f"{args}: {result.stderr}"
    return result.stdout


def one_line(result, *words):
    assert re.fullmatch(r"cleave: [^\n]+\n", result.stderr), f"not one line: {result.stderr!r}"
    for word in words:
        assert word in result.stderr, f"{word!r} is not in {result.stderr!r}"


def refused(*args, words=(), status=2, **options):
    """One line that says why, on standard error; nothing on standard output."""
    result = cleave(*args, **options)
    assert result.returncode == status, \
        f"{args}: status {result.returncode}, not {status}: {result.stderr}"
    assert result.stdout in ("", None), f"{args}: on standard output: {result.stdout!r}"
    one_line(result, *words)
    return result.stderr


def run(*args, **options):
    """A valid run. Its standard output."""
    for window_ms in (5, 50, 500):
        result = cleave("run", *args, *SHORT, "--window-ms", window_ms, **options)
        if not re.search("measured window|no operation ended", result.stderr):
            break
    assert result.returncode == 0, f"{args}: status {result.returncode}: {result.stderr}"
    assert result.stderr == "", f"{args}: {result.stderr}"
    return result.stdout


def results(*args, **options):
    return json.loads(run(*args, "--json", "/dev/stdout", **options))["results"]


def result(*args, **options):
    found = results(*args, **options)
    assert len(found) == 1, f"{args}: {len(found)} results"
    return found[0]


def listed(kind):
    return json.loads(fine("list", kind, "--json"))


def names(kind):
    return [entry["name"] for entry in listed(kind)]


class Folder(tempfile.TemporaryDirectory):
    def __enter__(self):
        return Path(super().__enter__())


def put(path, contents):
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return path


# ---- commands and lists ----

@case
def without_arguments():
    refused(words=["--help"])
    refused("run", words=["run what"])
    refused("list", words=["list what"])
    refused("no-such-command", words=["no-such-command", "--help"])
    refused("two\nlines", words=["two?lines"])


@case
def helps():
    for command in ([], ["list"], ["run"], ["topo"]):
        text = fine(*command, "--help")
        assert text.startswith("Usage: cleave"), text
        for line in text.splitlines():
            assert len(line) <= 100, line
    options = set(re.findall(r"--[a-z-]+", fine("run", "--help")))
    for option in ("workload machine threads place seed repetitions think-ns population walks "
                   "other-lock-ns oversubscribe json").split():
        assert "--" + option in options, option
    assert re.fullmatch(r"cleave \d+\.\d+\.\d+\n", fine("--version"))


@case
def lists_as_lines_and_json():
    for kind in KINDS:
        entries = listed(kind)
        lines = fine("list", kind).splitlines()
        assert entries and len(lines) == len(entries), kind
        for entry, line in zip(entries, lines):
            assert entry["name"] and entry["summary"], entry
            assert line.startswith(entry["name"]) and entry["summary"] in line, line
        assert len(set(names(kind))) == len(entries), f"{kind}: a name twice"
        # The last columns begin below one another.
        if kind != "designs":
            assert len({line.index(entry["summary"])
                        for entry, line in zip(entries, lines)}) == 1, kind
    refused("list", "dragons", words=["dragons"])
    refused("list", "locks", "schemes", words=["schemes"])
    refused("list", "locks", "--jason", words=["--jason"])


@case
def lists_designs():
    designs = listed("designs")
    lines = fine("list", "designs").splitlines()
    assert len({line.index(entry["summary"]) for entry, line in zip(designs, lines)}) == 1
    for entry in designs:
        assert entry["design"] and entry["proposed_by"], entry
        assert entry["available"] == ("keeps" in entry) == ("missing" not in entry), entry
        if entry["available"]:
            assert set(entry["keeps"]) <= {f"C{i}" for i in range(1, 9)}, entry
    by_name = {entry["name"]: entry for entry in designs}
    assert by_name["baseline"]["design"] == "rb_vma/one:rwsem"
    assert len(by_name["baseline"]["keeps"]) == 8
    for structure in listed("structures"):
        named = by_name.get("better-structure-" + structure["name"])
        assert (named is not None) == structure["ranked"], structure["name"]
        assert not named or named["design"] == structure["name"] + "/one:rwsem"


@case
def missing_parts_are_all_named():
    """Of a design whose parts are not there yet, `list` and `run` name each one."""
    structures, schemes, locks = names("structures"), names("schemes"), names("locks")
    for entry in listed("designs"):
        if entry["available"]:
            continue
        structure, scheme, lock = re.fullmatch(r"([^@/:]+)(?:@[^/:]+)?/([^:]+)(?::(.+))?",
                                               entry["design"]).groups()
        lacks = [structure] if structure not in structures else []
        lacks += [scheme] if scheme.split(".")[0] not in schemes else []
        lacks += [part.split(".")[0] for part in lock.split("+")
                  if part.split(".")[0] not in locks]
        said = refused("run", entry["name"], words=[entry["name"], entry["design"]])
        for part in lacks:
            assert f"'{part}'" in entry["missing"], entry
            assert f"'{part}'" in said, said


# ---- naming a design ----

@case
def by_name_and_by_string():
    baseline, other = results("baseline", "rb_interval@cpu1/each.handover:pthread_rwlock")
    assert baseline["name"] == "baseline" and baseline["design"] == "rb_vma/one:rwsem"
    assert [baseline[key] for key in ("structure", "partition", "scheme", "lock")] == \
        ["rb_vma", "none", "one", "rwsem"]
    assert "name" not in other
    assert [other[key] for key in ("structure", "partition", "scheme", "lock")] == \
        ["rb_interval", "cpu1", "each.handover", "pthread_rwlock"]


@case
def canonical_strings():
    strings = {
        "rb_vma": "rb_vma/one:rwsem",
        "rb_interval@none/one:rwsem": "rb_interval/one:rwsem",
        "rb_vma@node": "rb_vma@node/one:rwsem",
        "rb_vma:mcs": "rb_vma/one:mcs",
        "rb_vma@l3/each": "rb_vma@l3/each:rwsem",
        "rb_vma@hash4": "rb_vma@hash4/one:rwsem",
    }
    found = results(*strings)
    assert [entry["design"] for entry in found] == list(strings.values()), found
    for string in strings:
        text = run(string)
        assert strings[string] in text, text


@case
def bad_designs():
    for text, word in {
            "no_such_structure": "no_such_structure", "no-such-name": "no-such-name",
            "rb_vma@dragon": "dragon", "rb_vma@cpu0": "cpu0", "rb_vma@cpu": "cpu",
            "rb_vma@cpu99999999999": "cpu99999999999", "rb_vma/dragon": "dragon",
            "rb_vma:dragon": "dragon", "rb_vma/each.dragon": "dragon", "rb_vma/one.x": "'x'",
            "rb_vma@": "character 8", "rb_vma/": "character 8", "rb_vma:": "character 8",
            "rb_vma:rwsem+": "one lock", "rb_vma:rwsem+rwsem": "one lock",
            "rb_vma:mcs.": "", "rb_vma:mcs..x": "", "": "", "/": "", ":": "", "@": "", "+": "",
            "rb_vma/free": "free", "rb_vma@node@node": "", "rb_vma:mcs:mcs": "",
            "rb_vma/one/one": "", "RB_VMA": "'R'", " rb_vma": "' '", "rb_vma%s%n": "'%'",
            "rb_vma\x1b[2J": "", "rb_vma\n": "", "x" * 300: "", "rb_vma:" + "x." * 60: "",
    }.items():
        refused("run", text, words=[word])
    refused("run", "baseline", "rb_vma/one:rwsem", words=["twice", "baseline"])
    refused("run", "baseline", "no_such_structure", words=["no_such_structure"])


# ---- threads and CPUs ----

@case
def too_many_spinners():
    many = len(CPUS) + 1
    refused("run", "rb_vma:mcs", "--threads", many, words=["rb_vma:mcs", str(many), "spinning"])
    refused("run", "baseline", "rb_vma:ticket", "--threads", f"1,{many}", words=["ticket"])
    forced = result("rb_vma:mcs", "--threads", many, "--oversubscribe")
    assert forced["label"] == "oversubscribed"
    sleeping = result("rb_vma:pthread_mutex", "--threads", many)
    assert sleeping["label"] == "oversubscribed"
    assert "label" not in result("rb_vma:mcs")
    assert "oversubscribed" in run("rb_vma:pthread_mutex", "--threads", many)


@case
def one_cpu_is_one_cpu():
    """What a task may run on is the machine, and so is a list of CPUs."""
    one = {"preexec_fn": lambda: os.sched_setaffinity(0, CPUS[-1:])}
    refused("run", "rb_vma:mcs", "--threads", 2, words=["1 CPU"], **one)
    there = result("baseline", "--threads", 2, **one)
    assert there["label"] == "oversubscribed"
    assert there["provenance"]["cpus"] == CPUS[-1:] * 2
    refused("run", "rb_vma:mcs", "--threads", 2, "--place", CPUS[0], words=["1 CPU"])
    there = result("baseline", "--threads", 2, "--place", CPUS[0])
    assert there["label"] == "oversubscribed" and there["provenance"]["cpus"] == CPUS[:1] * 2
    if len(CPUS) > 1:
        refused("run", "baseline", "--place", CPUS[0], words=[str(CPUS[0])], **one)


@case
def lock_none_is_for_one_thread():
    refused("run", "rb_vma:none", "--threads", "2", words=["rb_vma:none", "one thread"])
    assert result("rb_vma:none")["lock"] == "none"


@case
def placements():
    for place in [name for name in names("placements") if name != "LIST"]:
        assert result("baseline", "--place", place)["placement"] == place
    listed_last = result("baseline", "--place", CPUS[-1])
    assert listed_last["provenance"]["cpus"] == CPUS[-1:]
    for place in ("dragon", "", "0,,1", "0-", "-1", "1-0", "0,0", "0;1", "99999", "0x1",
                  "0,99999999999999999999", "0-4000000000", ","):
        refused("run", "baseline", f"--place={place}")
        refused("topo", "--threads", 1, f"--place={place}")


# ---- numbers ----

BAD = ["x", "-1", "1x", "", " 1", "1 ", "1e3", "0x10", "+1", "1.5", "99999999999999999999999",
       "18446744073709551616", "NaN", "1\n"]


@case
def bad_numbers():
    for option in ("threads", "seed", "repetitions", "population", "other-lock-ns", "window-ms",
                   "warm-up-ms", "sample", "think-ns"):
        for text in BAD:
            refused("run", "baseline", f"--{option}={text}", words=["--" + option])
    for option in ("threads", "repetitions", "population", "window-ms"):
        refused("run", "baseline", f"--{option}=0", words=["--" + option])
    for text in ("x", "-0.1", "1", "1.0", "2", "nan", "inf", "1e-3", "", ".", "0.1.2", "0,5", "+0"):
        refused("run", "baseline", f"--walks={text}", words=["--walks"])
    refused("run", "baseline", "--seed", words=["--seed"])
    refused("run", "baseline", "--oversubscribe=1", words=["--oversubscribe"])
    refused("run", "baseline", "--dragon", words=["--dragon"])
    refused("run", "baseline", "-x", words=["-x"])


@case
def bad_lists():
    for text in ("1,1", "1,", ",1", "1,,2", "1;2", "1,x", ",", "5000", "1-2",
                 ",".join(map(str, range(1, 80)))):
        refused("run", "baseline", "--threads", text, words=["--threads"])
    for text in ("1,1", "recorded,recorded", "1,", ",1", "record", ",",
                 ",".join(map(str, range(1, 40)))):
        refused("run", "baseline", "--think-ns", text, words=["--think-ns"])


@case
def population_that_cannot_be():
    for text in ("1", "4"):
        refused("run", "baseline", "--population", text, words=["population"])
    assert result("baseline", "--population", 5)["population"] == 5


@case
def options_of_another_workload():
    refused("run", "baseline", "--workload", "pairs-libc", "--think-ns", 1, words=["--think-ns"])
    refused("run", "baseline", "--workload", "pairs-libc", "--other-lock-ns", 1,
            words=["--other-lock-ns"])
    for workload in names("workloads"):
        found = result("baseline", "--workload", workload)
        assert found["workload"] == workload
        assert ("think_ns" in found) == (workload == "exec")


# ---- recordings and machines ----

@case
def recordings():
    text = RECORDING.read_bytes()
    with Folder() as folder:
        good = put(folder / "good.txt", text)
        assert result("baseline", "--workload", good)["provenance"]["schedule"] == str(good)
        for name, contents in {
                "empty": b"", "line": b"\n", "binary": bytes(range(256)) * 16,
                "cut-off": text[:len(text) * 2 // 3], "no-end": text.rstrip()[:-1],
                "utf16": text.decode().encode("utf-16"), "twice": text + text,
                "comment": b"# nothing\n",
        }.items():
            refused("run", "baseline", "--workload", put(folder / name, contents), words=[name])
        refused("run", "baseline", "--workload", folder)
        refused("run", "baseline", "--workload", folder / "not-there", words=["not-there"])
        refused("run", "baseline", "--workload", "not-there", words=["not-there"])
        refused("run", "baseline", "--workload", "")
        refused("run", "baseline", "--workload", "/dev/zero")
        strange = put(folder / os.fsdecode(b"latin-\xe9 and 'quotes'.txt"), text)
        whole = json.loads(run("baseline", "--workload", strange, "--json", "/dev/stdout"))
        assert "latin-?" in whole["command"], whole["command"]


@case
def unreadable_recording():
    drop = other_user()
    with Folder() as folder:
        folder.chmod(0o755)
        secret = put(folder / "secret.txt", RECORDING.read_bytes())
        secret.chmod(0)
        refused("run", "baseline", "--workload", secret, words=["secret.txt", "ermission"],
                preexec_fn=drop)


@case
def bad_machines():
    refused("run", "baseline", "--machine", "dragon", words=["dragon"])
    refused("run", "baseline", "--machine", "", words=["machine"])
    whole = (TOPOLOGIES / "epyc_2cpu.xml").read_bytes()
    with Folder() as folder:
        for name, contents in {
                "empty.xml": b"", "binary.xml": bytes(range(256)) * 16, "text.xml": b"hello\n",
                "cut.xml": whole[:len(whole) // 2], "other.xml": b"<?xml version='1.0'?><a/>\n",
                "bare.xml": b"<topology version=\"2.0\"></topology>\n",
                "late.xml": b"\n" + whole.replace(b"Machine", b"Mashine"),
        }.items():
            refused("topo", "--machine", put(folder / name, contents))
        refused("topo", "--machine", folder)
        refused("topo", "--machine", folder / "not-there.xml")
    for text in ("", "pack", "pack:", "pack:0", "pack:x", "pu:2 pack:1", "pack:2 pu:99999999",
                 "/dev/zero"):
        refused("topo", "--machine", text)


@case
def topologies():
    for text, cpus, nodes in MACHINES:
        said = fine("topo", "--machine", text, "--threads", cpus, "--place", "spread")
        assert "not this machine: nothing is bound" in said, said
        shown = json.loads(fine("topo", "--machine", text, "--threads", cpus, "--place", "spread",
                                "--json"))
        placement = shown["placement"]
        assert not shown["this_machine"] and not placement["bound"]
        assert len(shown["cpus"]) == cpus and len(shown["nodes"]) == nodes
        assert len({row["cpu"] for row in placement["table"]}) == cpus
        assert not placement["oversubscribed"]
        assert [node["threads"] for node in placement["nodes"]] == [cpus // nodes] * nodes
        # Round robin: each `nodes` threads in a row are on all nodes.
        for i in range(0, cpus, nodes):
            assert len({row["node"] for row in placement["table"][i:i + nodes]}) == nodes
        refused("topo", "--machine", text, "--threads", cpus + 1, words=[str(cpus + 1)])
    here = json.loads(fine("topo", "--json"))
    assert here["this_machine"] and sorted(cpu["cpu"] for cpu in here["cpus"]) == CPUS
    bound = json.loads(fine("topo", "--threads", len(CPUS), "--json"))
    assert bound["placement"]["bound"]


# ---- what results say ----

def documented():
    """The fields of docs/results.md: of the whole, and of a point."""
    text = (SOURCE / "docs/results.md").read_text()
    tables = re.findall(r"\| field \|.*?(?:\n\n|\Z)", text, re.S)
    assert len(tables) == 2, "docs/results.md does not have two tables of fields"
    return [{name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`",
                                                                           row.split("|")[1])}
            for table in tables]


PROVENANCE = {"version", "commit", "compiler", "flags", "kernel", "processor", "time", "cpus",
              "repetitions", "warm_up_ms", "window_ms", "sample_every", "clock_ns", "checked_ops",
              "benchmark_library", "schedule", "windows_missed"}
ALWAYS = {"design", "structure", "partition", "scheme", "lock", "workload", "machine", "simulated",
          "threads", "placement", "population", "walks", "seed", "valid", "provenance"}


def check_rate(rate, repetitions):
    assert len(rate["samples"]) == repetitions and min(rate["samples"]) >= 0, rate
    middle = sorted(rate["samples"])
    median = (middle[(repetitions - 1) // 2] + middle[repetitions // 2]) / 2
    assert abs(rate["median"] - median) <= 1e-6 * median, rate
    assert rate["low"] <= rate["median"] <= rate["high"], rate
    assert rate["low"] in middle and rate["high"] in middle, rate
    assert 0 <= rate["confidence"] < 1, rate


def check_point(point, repetitions):
    assert ALWAYS <= set(point) and point["valid"] is True, point
    assert point["simulated"] is False and "why" not in point
    for key in ("ops_per_s", "execs_per_s", "walks_per_s", "ops_ratio"):
        if key in point:
            check_rate(point[key], repetitions)
    assert point["ops_per_s"]["median"] > 0
    assert abs(point["ns_per_op"] * point["ops_per_s"]["median"] / 1e9 / point["threads"] - 1) < 1e-6
    share = point["time_share"]
    assert abs(sum(share.values()) - 1) < 1e-6, share
    assert all(0 <= value <= 1 for value in share.values()), share
    assert "handover" not in share, "the host cannot tell"
    latency = point["latency_ns"]
    assert latency["p50"] <= latency["p99"] <= latency["p999"] <= latency["max"], latency
    assert latency["sampled"] > 0, latency
    assert 1 / point["threads"] - 1e-6 <= point["fairness_jain"] <= 1 + 1e-6, point
    assert point["provenance"]["checked_ops"] > 0
    assert point["provenance"]["repetitions"] == repetitions
    assert len(point["provenance"]["cpus"]) == point["threads"]


def strict(text):
    """JSON without the NaN and Infinity that Python's reader would take."""
    def no(word):
        raise AssertionError(f"{word} in JSON")
    return json.loads(text, parse_constant=no)


@case
def files_say_what_is_documented():
    whole_fields, point_fields = documented()
    with Folder() as folder:
        path = folder / "x.json"
        text = run("baseline", "rb_interval/one:pthread_rwlock", "--threads", 1, "--think-ns",
                   "0,recorded", "--walks", "0.25", "--other-lock-ns", "100", "--sample", "1",
                   "--seed", "7", "--json", path)
        assert sorted(os.listdir(folder)) == ["x.gbench.json", "x.json"], os.listdir(folder)
        whole = strict(path.read_text())
        gbench = strict((folder / "x.gbench.json").read_text())
    assert set(whole) == whole_fields, set(whole) ^ whole_fields
    assert whole["format"] == "cleave-results" and whole["format_version"] == 1
    assert "--walks 0.25" in whole["command"] and whole["machine"]["cpus"] == len(CPUS)
    points = whole["results"]
    assert len(points) == 4
    seen = set()
    for point in points:
        assert set(point) <= point_fields, set(point) - point_fields
        seen |= set(point)
        check_point(point, 6)
        assert set(point["provenance"]) == PROVENANCE, set(point["provenance"]) ^ PROVENANCE
        assert point["seed"] == 7 and point["walks"] == 0.25 and point["other_lock_ns"] == 100
    assert [point["think_ns"] for point in points] == [0, 0, "recorded", "recorded"]
    for first, second in (points[:2], points[2:]):
        assert "ops_ratio" not in first and second["ops_ratio"]["to"] == "rb_vma/one:rwsem"
        for mine, base, ratio in zip(second["ops_per_s"]["samples"],
                                     first["ops_per_s"]["samples"],
                                     second["ops_ratio"]["samples"]):
            assert abs(ratio * base / mine - 1) < 1e-6
    runs = [run for run in gbench["benchmarks"] if run["run_type"] == "iteration"]
    assert len(runs) == 4 * 6 and all(run["ops_per_s"] > 0 for run in runs)
    assert "baseline" in text and "rb_interval/one:pthread_rwlock" in text

    oversubscribed = result("baseline", "--threads", len(CPUS) + 1)
    seen |= set(oversubscribed)
    void = cleave("run", "baseline", "--think-ns", 1000000000, *SHORT, "--warm-up-ms", 30,
                  "--window-ms", 5, "--json", "/dev/stdout")
    seen |= set(strict(void.stdout)["results"][0])
    assert seen == point_fields, f"documented, never there: {point_fields - seen}"


@case
def no_number_without_validity():
    """A window in which nothing can happen: the run fails, and its point has no number."""
    with Folder() as folder:
        path = folder / "x.json"
        failed = cleave("run", "baseline", "--think-ns", 1000000000, *SHORT, "--warm-up-ms", 30,
                        "--window-ms", 5, "--json", path)
        assert failed.returncode == 1, failed
        one_line(failed, "not valid", "rb_vma/one:rwsem")
        assert "no number" in failed.stdout
        point = strict(path.read_text())["results"][0]
    assert point["valid"] is False and "operation" in point["why"]
    for key in ("ops_per_s", "execs_per_s", "ns_per_op", "latency_ns", "time_share", "ops_ratio",
                "fairness_jain", "bytes_per_interval"):
        assert key not in point, key


@case
def fields_that_were_not_measured_are_absent():
    point = result("baseline", "--workload", "pairs-random", "--sample", 0, "--repetitions", 3)
    for key in ("time_share", "latency_ns", "execs_per_s", "walks_per_s", "think_ns", "label",
                "other_lock_ns", "ops_ratio"):
        assert key not in point, key
    assert point["ops_per_s"]["confidence"] < 0.95 and len(point["ops_per_s"]["samples"]) == 3
    table = run("baseline", "--workload", "pairs-random", "--sample", 0, "--repetitions", 3)
    assert "[75 %]" in table and "[95 %]" not in table and "no batch timed" in table


@case
def tables_are_aligned():
    text = run("baseline", "rb_interval@cpu2/each.handover:pthread_rwlock", "null_sink/one:mcs",
               "--threads", ",".join(map(str, range(1, min(len(CPUS), 2) + 1))))
    blocks = text.split("\n\n")[1:]
    assert len(blocks) == min(len(CPUS), 2), text
    for block in blocks:
        heading, *rows = block.splitlines()[1:]
        assert len(rows) == 3, block
        for row in rows:
            assert "e+" not in row, row
            for column in ("ops/s", "execs/s"):
                at = heading.index(column)
                assert row[at - 1] == " " and row[at] != " ", row
            # Right-aligned: the next column's first space is where the heading's is.
            assert row[heading.index("Jain") + len("Jain")] == row[-1] or \
                row[heading.index("Jain") + len("Jain"):][:2] == "  ", row


# ---- writing ----

def other_user():
    """What makes a child somebody whom permissions hold, unless we are one already."""
    def drop():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    if os.geteuid() != 0:
        return None
    try:
        subprocess.run([CLEAVE, "--version"], check=True, stdout=subprocess.DEVNULL,
                       preexec_fn=drop)
    except (OSError, subprocess.SubprocessError):
        sys.exit(f"{CLEAVE} is where no other user can run it")
    return drop


def old_files(folder):
    for name in ("x.json", "x.gbench.json"):
        put(folder / name, "old")


def unchanged(folder, allowed=()):
    found = set(os.listdir(folder))
    assert found == {"x.json", "x.gbench.json"} | set(allowed), found
    for name in ("x.json", "x.gbench.json"):
        assert (folder / name).read_text() == "old", name


def fails_to_write(path, *words, early=False, **options):
    """`early`: before anything was run."""
    failed = cleave("run", "baseline", *SHORT, "--window-ms", 50, "--json", path, **options)
    assert failed.returncode == 1, failed
    assert (failed.stdout == "") == early, failed.stdout
    one_line(failed, *words)


@case
def files_that_cannot_be_written():
    fails_to_write("/dev/full", "/dev/full")
    with Folder() as folder:
        old_files(folder)
        fails_to_write(folder, str(folder), early=True)
        fails_to_write(folder / "no/x.json", "no/x.json", early=True)
        fails_to_write(folder / "x.json/y.json", early=True)
        fails_to_write(folder / ("n" * 250 + ".json"), early=True)
        fails_to_write("d/" * 3000 + "x.json", early=True)
        (folder / "y.gbench.json").mkdir()
        fails_to_write(folder / "y.json", "y.gbench.json", early=True)
        unchanged(folder, ["y.gbench.json"])
        folder.chmod(0o555)
        fails_to_write(folder / "x.json", early=True, preexec_fn=other_user())
        fails_to_write(folder / "new.json", early=True, preexec_fn=other_user())
        folder.chmod(0o755)
        unchanged(folder, ["y.gbench.json"])
    refused("run", "baseline", "--json", "", words=["--json"])
    # What is wrong with the rest is said first, and is wrong usage.
    refused("run", "no_such_structure", "--json", "/no/x.json", words=["no_such_structure"])


@case
def files_that_are_cut_short():
    """A limit on the size of a file, which the disk's end resembles."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    with Folder() as folder:
        old_files(folder)
        fails_to_write(folder / "x.json", "x.gbench.json", preexec_fn=limit)
        unchanged(folder)


@case
def full_disk():
    """A file system of its own, where we may make one."""
    with Folder() as folder:
        script = ("mount -t tmpfs -o size=64k none \"$0\" || exit 77; cd \"$0\" || exit 77; "
                  "printf old >x.json; printf old >x.gbench.json; "
                  "dd if=/dev/zero of=fill bs=4k 2>/dev/null; "
                  "\"$@\" >/dev/null; echo \"status $?\"; ls -A; cat x.json x.gbench.json")
        command = [CLEAVE, "run", "baseline", *SHORT, "--window-ms", "50", "--json", "x.json"]
        try:
            done = subprocess.run(["unshare", "-rm", "sh", "-c", script, str(folder), *command],
                                  text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=300)
        except FileNotFoundError:
            return "not possible here: no unshare"
        if done.returncode == 77 or done.stderr.startswith("unshare:"):
            return "not possible here: " + done.stderr.strip()
        assert done.stdout.split() == ["status", "1", "fill", "x.gbench.json", "x.json", "oldold"], \
            done.stdout
        one_line(done, "No space left")


@case
def old_files_are_replaced():
    with Folder() as folder:
        old_files(folder)
        (folder / "x.json").chmod(0o640)
        run("baseline", "--json", folder / "x.json")
        assert strict((folder / "x.json").read_text())["results"]
        assert strict((folder / "x.gbench.json").read_text())["benchmarks"]
        assert (folder / "x.json").stat().st_mode & 0o777 == 0o640
        run("baseline", "--json", "y", cwd=folder)
        assert sorted(os.listdir(folder)) == ["x.gbench.json", "x.json", "y", "y.gbench.json"]


@case
def standard_output_that_cannot_be_written():
    commands = [["list", "locks"], ["list", "designs", "--json"], ["topo"], ["topo", "--json"],
                ["--help"], ["run", "--help"], ["--version"],
                ["run", "baseline", *SHORT, "--window-ms", "50"],
                ["run", "baseline", *SHORT, "--window-ms", "50", "--json", "/dev/stdout"]]
    for command in commands:
        with open("/dev/full", "w") as full:
            failed = cleave(*command, stdout=full)
        assert failed.returncode == 1, (command, failed)
        one_line(failed, "No space left")
        failed = cleave(*command, preexec_fn=lambda: os.close(1))
        assert failed.returncode == 1, (command, failed)
        one_line(failed)


@case
def closed_output_does_not_mix_into_files():
    with Folder() as folder:
        failed = cleave("run", "baseline", *SHORT, "--window-ms", 50, "--json", folder / "x.json",
                        preexec_fn=lambda: os.closerange(0, 3))
        assert failed.returncode == 1, failed
        for name in ("x.json", "x.gbench.json"):
            strict((folder / name).read_text())


@case
def interrupted():
    for number in (signal.SIGINT, signal.SIGTERM):
        with Folder() as folder:
            old_files(folder)
            child = subprocess.Popen([CLEAVE, "run", "baseline", *SHORT, "--window-ms", "60000",
                                      "--json", folder / "x.json"], stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
            time.sleep(0.3)
            child.send_signal(number)
            out, _ = child.communicate(timeout=60)
            assert child.returncode == -number and out == b"", (child.returncode, out)
            unchanged(folder)


@case
def progress_is_for_terminals():
    """On a terminal one line that is wiped; `run` above had standard error empty without one."""
    for quiet in (False, True):
        leader, follower = pty.openpty()
        options = [word for word in SHORT if quiet or word != "--quiet"]
        shown = cleave("run", "baseline", *options, "--window-ms", 50, stderr=follower)
        os.close(follower)
        try:
            text = os.read(leader, 65536).decode()
        except OSError:
            text = ""
        os.close(leader)
        assert shown.returncode == 0, shown
        assert (text == "") == quiet, text
        assert "\n" not in text, text
        assert quiet or ("baseline" in text and text.endswith("\r\x1b[K")), text


def main():
    wanted = sys.argv[2:]
    failed = passed = 0
    started = time.monotonic()
    for function in cases:
        if wanted and function.__name__ not in wanted:
            continue
        try:
            note = function()
            passed += 1
            print("ok  ", function.__name__, f"({note})" if note else "", flush=True)
        except (AssertionError, KeyError, ValueError, IndexError, OSError,
                subprocess.SubprocessError) as error:
            failed += 1
            reason = f"{type(error).__name__}: {error}"
            print("FAIL", function.__name__, reason, flush=True)
    print(f"{passed} passed, {failed} failed, in {time.monotonic() - started:.0f} s")
    sys.exit(1 if failed or not passed else 0)


main()
