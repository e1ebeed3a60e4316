# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Runs on simulated machines: what they say, and that they always say the same."""
import json
import re

from program import (Folder, SOURCE, case, cleave, fine, one_line, refused)

MACHINE = "hygon-12n384"
# Small: what is checked is what results say about themselves.
SMALL = ["--machine", MACHINE, "--quiet", "--budget", 2, "--repetitions", 2]


def whole(*args, status=0):
    found = cleave("run", *SMALL, *args, "--json", "/dev/stdout")
    assert found.returncode == status, f"{args}: status {found.returncode}: {found.stderr}"
    return json.loads(found.stdout)


def point(*args):
    found = whole(*args)["results"]
    assert len(found) == 1 and found[0]["valid"], found
    return found[0]


def without_provenance(results):
    """All that must not depend on host, time, or how many processes there were."""
    del results["command"]
    for one in results["results"]:
        del one["provenance"]
    return json.dumps(results, indent=1)


def numbers(value):
    if isinstance(value, dict):
        return [number for member in value.values() for number in numbers(member)]
    return [value]


def documented():
    text = (SOURCE / "docs/results.md").read_text()
    table, = re.findall(r"\| of a simulated machine \|.*?\n\n", text, re.S)
    return {name for row in re.findall(r"^\|([^|]*)\|", table, re.M)
            for name in re.findall(r"`(\w+)`", row)}


@case
def simulated_results_say_what_is_documented():
    results = whole("baseline", "--threads", 40, "--think-ns", 0)
    one, = results["results"]
    for field in documented() - {"half_width"}:
        assert field in one, field
    assert one["simulated"] is True and one["threads"] == 40

    share = one["time_share"]
    assert set(share) == {"wait", "handover", "inside", "outside"}, share
    assert abs(sum(share.values()) - 1) < 1e-9 and all(0 <= s <= 1 for s in share.values()), share

    acquisition = one["acquisition"]
    assert acquisition["count"] > 0 and 0 <= acquisition["contended_share"] <= 1, acquisition
    for times in ("hold_ns", "handover_ns", "wait_ns"):
        assert set(acquisition[times]) == {"mean", "p50", "p99"}, acquisition
        assert 0 <= acquisition[times]["p50"] <= acquisition[times]["p99"], acquisition

    distances = {"core", "l3", "node", "package", "remote"}
    transfers = one["transfers_per_acquisition"]
    assert set(transfers) == {"inside", "outside"}, transfers
    for kinds in transfers.values():
        assert set(kinds) == {"read", "write", "upgrade"}, kinds
        assert all(set(kind) == distances for kind in kinds.values()), kinds
    # 40 threads one a core are on 2 nodes of a package: nothing can come from the other.
    assert not any(kind["remote"] for kinds in transfers.values() for kind in kinds.values())
    assert any(kind["package"] for kinds in transfers.values() for kind in kinds.values())

    moved = one["transfers_per_op"]
    assert set(moved) == distances | {"all"}, moved
    assert abs(sum(moved[d] for d in distances) - moved["all"]) < 1e-6, moved
    by_lock = sum(numbers(transfers))
    assert 0.2 * by_lock < moved["all"] < 2 * by_lock, (moved, by_lock)

    inside = one["inside_ns"]
    assert set(inside) == {"l2", "l3", "memory", "transfer"}, inside
    assert set(inside["transfer"]) == distances and min(numbers(inside)) >= 0, inside
    assert one["accesses_per_op"] > 10, one["accesses_per_op"]

    lines = one["contended_lines"]
    assert any(line["name"].startswith("rwsem") for line in lines), lines
    cost = [line["ns_per_acquisition"] for line in lines]
    assert cost == sorted(cost, reverse=True), cost
    for line in lines:
        assert line["name"] and line["lines"] > 0 and line["transfers"] > 0, line
        assert 0 <= line["far_share"] <= 1, line

    nodes = one["fairness_by_node"]
    assert abs(nodes["slowest"] / nodes["fastest"] - nodes["ratio"]) < 1e-6, nodes
    assert 0 <= nodes["ratio"] <= 1, nodes
    for key in ("budget", "run_ahead_ns", "virtual_ms", "accesses", "short_repetitions", "jobs",
                "host_s"):
        assert key in one["provenance"], key

    machine = results["machine"]
    assert "processor" not in machine and "processor" not in one["provenance"]
    assert machine["topology"].startswith("pack:2 ") and machine["simulated"] is True and machine["changed"] == {}, machine
    assert re.fullmatch(r"[0-9a-f]{16}", machine["model_digest"]), machine
    known = {entry["name"] for entry in json.loads(fine("list", "parameters", "--json"))}
    assert set(machine["parameters"]) == known
    for parameter in machine["parameters"].values():
        assert set(parameter) == {"value", "unit", "source"} and parameter["source"], parameter


@case
def a_lock_that_nobody_waits_for():
    one = point("rb_interval/one:mcs", "--threads", 1)
    assert one["time_share"]["wait"] == 0 and one["acquisition"]["contended_share"] == 0, one
    assert not any(numbers(one["transfers_per_acquisition"])), one["transfers_per_acquisition"]


@case
def results_do_not_depend_on_the_number_of_processes():
    args = ["baseline", "rb_interval/one:mcs", "--threads", "2,20", "--think-ns", "0"]
    found = [whole(*args, "--jobs", jobs) for jobs in (1, 2, 7)]
    assert [one["provenance"]["jobs"] for one in
            (each["results"][0] for each in found)] == [1, 2, 7]
    texts = {without_provenance(each) for each in found}
    assert len(texts) == 1, "results differ with --jobs"


@case
def repetitions_have_seeds_of_their_own():
    one = point("baseline", "--threads", 20, "--think-ns", 0, "--seed", 5)
    other = point("baseline", "--threads", 20, "--think-ns", 0, "--seed", 6)
    assert one["ops_per_s"]["samples"][1] == other["ops_per_s"]["samples"][0]
    assert one["ops_per_s"]["samples"][0] != one["ops_per_s"]["samples"][1]


@case
def short_runs_are_labelled():
    args = ["baseline", "--threads", 96, "--think-ns", 0]
    assert point(*args, "--budget", 1)["label"] == "short"
    text = cleave("run", *SMALL, *args, "--budget", 1).stdout
    assert re.search(r"^baseline .*  short$", text, re.M), text
    enough = point("rb_interval/one:mcs", "--threads", 1, "--budget", 100)
    assert "label" not in enough and enough["half_width"] < 0.03, enough


@case
def parameters_can_be_changed():
    args = ["baseline", "--threads", 40, "--think-ns", 0]
    as_is = whole(*args)
    changed = whole(*args, "--set", "read_ns.package=900.5", "--set", "home_ns=0")
    assert as_is["machine"]["model_digest"] != changed["machine"]["model_digest"]
    assert changed["machine"]["changed"] == {
        "read_ns.package": {"was": as_is["machine"]["parameters"]["read_ns.package"]["value"],
                            "value": 900.5},
        "home_ns": {"was": as_is["machine"]["parameters"]["home_ns"]["value"], "value": 0},
    }, changed["machine"]["changed"]
    assert changed["machine"]["parameters"]["read_ns.package"]["value"] == 900.5
    assert changed["machine"]["parameters"]["read_ns.package"]["source"] == "--set"
    rates = [each["results"][0]["ops_per_s"]["median"] for each in (as_is, changed)]
    assert rates[1] < rates[0], f"six times the latency, and not slower: {rates}"
    text = cleave("run", *SMALL, *args, "--set", "read_ns.package=900.5").stdout
    assert "read_ns.package 900.5" in text, text


@case
def a_timeline_is_written():
    with Folder() as folder:
        path = folder / "t.json"
        point("rb_interval/one:mcs", "--threads", 8, "--think-ns", 0, "--timeline", path)
        events = json.loads(path.read_text())["traceEvents"]
        assert [entry.name for entry in folder.iterdir()] == ["t.json"]
    rows = {event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert rows == {f"CPU {cpu}" for cpu in range(8)}, rows
    slices = [event for event in events if event["ph"] == "X"]
    assert all(event["name"].startswith(("mcs", "wait mcs")) for event in slices)
    for lock in {event["args"]["lock"] for event in slices}:
        holds = sorted((event["ts"], event["ts"] + event["dur"]) for event in slices
                       if event["args"]["lock"] == lock and event["name"].startswith("mcs"))
        # Exclusive: no two have it at once, but for what rounding to 12 digits may do.
        for (_, end), (begin, _) in zip(holds, holds[1:]):
            assert begin >= end - 1e-5, (lock, end, begin)
    assert len(slices) > 20


@case
def a_timeline_has_every_lock_of_a_walk():
    """A walk holds the locks of all 12 nodes at once."""
    with Folder() as folder:
        path = folder / "t.json"
        point("rb_interval@node/each:mcs", "--threads", 8, "--think-ns", 0, "--walks", 0.3,
              "--timeline", path)
        trace = json.loads(path.read_text())
    assert trace["otherData"] == {"marks_left_out": 0}, trace["otherData"]
    slices = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    locks = {event["args"]["lock"] for event in slices}
    assert {event["name"] for event in slices} >= {f"mcs {node}" for node in range(12)}, slices[:9]
    for cpu in {event["tid"] for event in slices}:
        for lock in locks:
            names = [event["name"].startswith("wait ") for event in slices
                     if event["tid"] == cpu and event["args"]["lock"] == lock]
            # Of those that the window cuts, one may be without the other.
            assert abs(2 * sum(names) - len(names)) <= 1, (cpu, lock, sum(names), len(names))


@case
def tables_of_simulated_machines():
    text = cleave("run", *SMALL, "baseline", "rb_interval/one:mcs", "--threads", "2,20",
                  "--lines").stdout
    for words in ("window    after two execs of each thread: 20 ms (0.1 ms and 20 times the longest wait, ",
                  "short: 2 million accesses", "; latencies are of 1 in 64 batches\n"):
        assert words in text, text
    assert "batches timed" not in text, text
    assert "model_digest" not in text and "digest" in text and "(simulated)" in text, text
    assert text.count("costliest cache lines of") == 4, text
    for line in text.splitlines():
        assert len(line) <= 140 or line.startswith("topology"), line
    topology, = re.findall(r"^topology  (.*)$", text, re.M)
    results = whole("baseline", "--threads", 2)
    assert topology == results["machine"]["topology"], topology
    blocks = [block.splitlines() for block in text.split("\n\n") if " on hygon" in block]
    assert len(blocks) == 2, text
    for block in blocks:
        heading, *rows = block[2:]
        for row in rows:
            for column in ("wait%", "hand%", "in%", "out%", "hold", "mean", "hand ", "L3", "node",
                           "far", "Jain"):
                after = heading.index(column) + len(column.strip())
                assert row[after - 1] != " " and row[after:after + 1] in ("", " "), (column, row)


@case
def no_table_of_lines_where_none_moved():
    text = cleave("run", *SMALL, "null_sink/one:none", "--workload", "pairs-libc").stdout
    assert "null_sink/one:none" in text and "costliest" not in text, text


@case
def what_a_simulated_machine_cannot_do():
    on = ["run", "--machine", MACHINE, "baseline"]
    refused(*on, "--threads", 385, words=["385", "384"])
    refused(*on, "--oversubscribe", words=["--oversubscribe", MACHINE])
    refused("run", "--machine", MACHINE, "rb_interval/one:pthread_mutex",
            words=["pthread", MACHINE])
    for option, word in (("--set", "nothing=1"), ("--set", "home_ns"), ("--set", "home_ns="),
                         ("--set", "=1"), ("--set", "home_ns=-1"), ("--set", "home_ns=1e3"),
                         ("--set", "pause_ns=0"), ("--set", "l1_ways=7"), ("--jobs", "0"),
                         ("--budget", "0"), ("--budget", "much"), ("--run-ahead-ns", "-1")):
        refused(*on, option, word, words=["--set" if option == "--set" else option])
    refused(*on, "--set", "home_ns=1", "--set", "home_ns=2", words=["twice"])
    for value in ("-3", "1e11", "0x1"):
        refused(*on, "--set", f"read_ns.remote={value}",
                words=[f"not a plain decimal number: --set read_ns.remote={value}"])
    refused(*on, "--set", "home_ns=2000000000000", words=["range: --set home_ns=2000000000000:"])
    with Folder() as folder:
        refused(*on, "--timeline", folder / "x", "--threads", "1,2", words=["--timeline", "2"])
        refused(*on, "--timeline", folder / "no/x", status=1, words=["no/x"])
        refused(*on, "--timeline", "", words=["--timeline"])
        # Of two files of one place the first would be lost.
        for json_at, timeline_at in (("x.json", "x.json"), ("x.json", "./x.json"),
                                     ("x.json", folder / "x.json"), ("x.json", "x.gbench.json"),
                                     ("x", "x.gbench.json")):
            refused(*on, "--json", json_at, "--timeline", timeline_at, cwd=folder,
                    words=["--timeline", "--json", "one file"])
        refused(*on, "--json", "/dev/stdout", "--timeline", "/dev/stdout", words=["one file"])
        assert not list(folder.iterdir())


@case
def what_only_a_simulated_machine_has():
    for option in (["--set", "home_ns=1"], ["--jobs", 1], ["--budget", 1], ["--lines"],
                   ["--timeline", "x"], ["--run-ahead-ns", 0]):
        refused("run", "baseline", *option, words=[option[0], "host"])


@case
def a_run_whose_process_dies():
    """Its point has no number and says why; the others have theirs."""
    def little_time():
        import resource
        resource.setrlimit(resource.RLIMIT_CPU, (1, 10))
    found = cleave("run", "--machine", MACHINE, "--quiet", "--repetitions", 1, "--budget", 9000,
                   "--window-ms", 600000, "--think-ns", 0, "--threads", 384, "baseline", "--json", "/dev/stdout",
                   preexec_fn=little_time)
    assert found.returncode == 1, found
    one_line(found, "not valid", "signal 24")
    one, = json.loads(found.stdout)["results"]
    assert one["valid"] is False and "signal" in one["why"] and "ops_per_s" not in one, one


@case
def speed_of_the_simulator():
    found = json.loads(fine("bench-machine", "--json", "--repetitions", 1, "--machine",
                            "xeon-2s128"))
    assert found["format"] == "cleave-bench-machine" and found["cpus"] == 128, found
    assert {measure["name"] for measure in found["measures"]} == {
        "accesses_saturated", "accesses_alone", "seconds_saturated", "seconds_apart", "memory"}
    for measure in found["measures"]:
        assert measure["median"] == measure["samples"][0] > 0 and measure["goal"] > 0, measure
        over = measure["median"] >= measure["goal"]
        assert measure["met"] is (over if measure["at_least"] else not over), measure
    refused("bench-machine", "--machine", "host", words=["host", "simulated"])
    refused("bench-machine", "--machine", "no-such", words=["no-such"])
    refused("bench-machine", "--repetitions", 0, words=["--repetitions"])
    refused("bench-machine", "x", words=["x"])
