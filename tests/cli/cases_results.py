# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What comes of a run: what it says, and where it is written."""
import json
import os
import pty
import re
import resource
import signal
import subprocess
import time

from program import (CLEAVE, CPUS, Folder, SHORT, SIMULATES, SOURCE, case, cleave, fine, one_line,
                     other_user, put, refused, result, results, run)


# ---- what results say ----

def documented():
    """The fields of docs/results.md: of the whole, and of a point."""
    text = (SOURCE / "docs/results.md").read_text()
    tables = re.findall(r"\| field \|.*?(?:\n\n|\Z)", text, re.S)
    assert len(tables) == 2, "docs/results.md does not have two tables of fields"
    return [{name for row in re.findall(r"^\|([^|]*)\|", table, re.M)
             for name in re.findall(r"`(\w+)`", row)} for table in tables]


PROVENANCE = {"version", "commit", "compiler", "flags", "kernel", "processor", "time", "cpus",
              "repetitions", "warm_up_ms", "window_ms", "sample_every", "clock_ns", "checked_ops",
              "benchmark_library", "schedule", "resting_copies", "windows_missed"}
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
    thread_ns = point["ns_per_op"] * point["ops_per_s"]["median"]
    assert abs(thread_ns / 1e9 / point["threads"] - 1) < 1e-6, point
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
    rounds = [entry for entry in gbench["benchmarks"] if entry["run_type"] == "iteration"]
    assert len(rounds) == 4 * 6 and all(entry["ops_per_s"] > 0 for entry in rounds)
    assert "baseline" in text and "rb_interval/one:pthread_rwlock" in text

    oversubscribed = result("baseline", "--threads", len(CPUS) + 1, "--migrate", "0.5")
    assert oversubscribed["migrate"] == 0.5 and 0 < oversubscribed["migrated"] < 1
    assert oversubscribed["provenance"]["resting_copies"] == oversubscribed["threads"]
    seen |= set(oversubscribed)
    seen |= set(result("rb_interval@hash4/promote.2.0.0:mutex", "--threads", 2, "--storm", "1-2",
                       "--every-us", 500))
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
        assert "no number" in failed.stdout and "%]" not in failed.stdout, failed.stdout
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
def of_one_repetition_there_is_no_interval():
    args = ["baseline", "rb_vma/one:mcs", "--workload", "pairs-random", "--repetitions", 1]
    for point in results(*args):
        for rate in ("ops_per_s", "ops_ratio") if "ops_ratio" in point else ("ops_per_s",):
            assert set(point[rate]) - {"to"} == {"median", "samples"}, point[rate]
    table = run(*args)
    assert "[" not in table and "1 repetition" in table and " x first row\n" in table, table


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
            for column in ("wait%", "in%", "out%", "p50 ns", "p99 ns", "Jain"):
                after = heading.index(column) + len(column)
                assert row[after - 1] != " " and row[after:after + 1] in ("", " "), row


# ---- writing ----

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
        with other_user() as options:
            fails_to_write(folder / "x.json", "ermission", early=True, **options)
            fails_to_write(folder / "new.json", "ermission", early=True, **options)
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
        wanted = ["status", "1", "fill", "x.gbench.json", "x.json", "oldold"]
        assert done.stdout.split() == wanted, done.stdout
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
    if SIMULATES:
        commands.append(["calibrate", "--seconds", "0.05"])
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
            # A shell's background jobs ignore SIGINT, and so would their children.
            child = subprocess.Popen([CLEAVE, "run", "baseline", *SHORT, "--window-ms", "60000",
                                      "--json", folder / "x.json"], stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE,
                                     preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
            time.sleep(0.3)
            child.send_signal(number)
            try:
                out, _ = child.communicate(timeout=60)
            finally:
                child.kill()
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


# ---- structures by themselves ----

def bench(*args):
    return json.loads(fine("bench-structures", *args, "--json", "/dev/stdout", "--quiet"))


@case
def structures_side_by_side():
    found = bench("rb_interval", "rb_vma", "--population", "50,60", "--repetitions", 6,
                  "--budget-ms", 1)
    assert found["format"] == "cleave-structures" and found["format_version"] == 1, found
    cells = found["results"]
    assert {(c["structure"], c["shape"], c["population"]) for c in cells} == {
        (name, shape, population)
        for name in ("rb_interval", "rb_vma", "null_sink", "private_array")
        for shape in "AB" for population in (50, 60)}, cells
    for cell in cells:
        assert cell["measured"], cell
        for key in ("pair_ns", "page_walk_ns", "full_walk_ns_per_interval"):
            check_rate({**cell[key]["with_driver"],
                        "samples": cell[key]["with_driver_samples"]}, 6)
            if cell["role"] == "sink":
                assert cell[key]["median"] == 0 and "ratio" not in cell[key], cell
            else:
                # Of entries as large as its own.
                assert cell[key]["ratio"]["to"] in ("rb_interval", "rb_vma",
                                                    "kernel_interval_tree",
                                                    "kernel_interval_tree_vma"), cell
    text = fine("bench-structures", "rb_interval", "--population", "50", "--repetitions", 2,
                "--budget-ms", 1, "--shapes", "B", "--quiet")
    assert "B: 1 to 512 pages" in text and "floor" in text and "taken off" in text, text


@case
def structures_memory():
    found = bench("--memory", "rb_interval", "--population", "6,60", "--shapes", "B")
    assert "results" not in found, found
    row = next(row for row in found["memory"] if row["structure"] == "rb_interval")
    assert row["entry_bytes"] == 64 and row["empty_bytes"] > 0, row
    assert row["empty_bytes_of_384_subsets"] > 0, row
    six, sixty = row["by_population"]
    assert six["bytes_per_interval"] > sixty["bytes_per_interval"] > 0, row


@case
def structures_refused():
    refused("bench-structures", "no_such", words=["no_such"])
    refused("bench-structures", "--reference", "no_such", words=["no_such"])
    refused("bench-structures", "--reference", "null_sink", words=["--reference", "null_sink"])
    refused("bench-structures", "--shapes", "A,C", words=["--shapes", "C"])
    refused("bench-structures", "--shapes", "A,libc", words=["--shapes", "libc"])
    refused("bench-structures", "--population", "0", words=["--population"])
    refused("bench-structures", "--repetitions", "0", words=["--repetitions"])
    refused("bench-structures", "--cpu", 1 << 20, words=["--cpu"])
    one_line(cleave("bench-structures", "--json", "/no/such/folder/x.json"), "/no/such/folder")
