# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What ./compare runs, and what it makes of results: one file of several, the answer in words."""
import json
import os
import shutil
import subprocess
import sys

from program import CLEAVE, Folder, SOURCE, case, put

BASE = {"name": "baseline", "design": "rb_vma/one:rwsem", "structure": "rb_vma",
        "partition": "none", "scheme": "one", "lock": "rwsem", "machine": "made-up",
        "simulated": True, "threads": 4, "think_ns": 0, "valid": True, "subsets": 1,
        "ops_per_s": {"median": 2e6, "samples": [2e6]}}
SPLIT = {**BASE, "name": "split-trees", "design": "rb_vma@node/one:rwsem", "partition": "node",
         "subsets": 2,
         "ops_ratio": {"to": BASE["design"], "median": 1.5, "low": 1.4, "high": 1.6,
                       "confidence": 0.75, "samples": [1.4, 1.5, 1.6]}}


def whole(*points, **machine):
    return {"format": "cleave-results", "format_version": 1, "command": "made up",
            "machine": {"name": "made-up", "simulated": True, "cpus": 8, "nodes": 2, **machine},
            "results": list(points)}


def script(name, *args):
    return subprocess.run([sys.executable, SOURCE / "harness" / name, *map(str, args)], text=True,
                          capture_output=True, timeout=60, check=False)


def answer(results):
    with Folder() as folder:
        done = script("answer.py", put(folder / "x.json", json.dumps(results)))
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


@case
def answers():
    said = answer(whole(BASE, SPLIT))
    assert "4 threads on the simulated made-up, 8 CPUs on 2 nodes" in said, said
    assert said.count("1.50 [1.40, 1.60; 75 %]") == 2 and "short" not in said, said
    said = answer(whole({**BASE, "label": "short"}, {**SPLIT, "label": "short"}))
    assert said.count("(short)") == 4, said
    once = {"to": BASE["design"], "median": 1.5, "samples": [1.5]}
    said = answer(whole(BASE, {**SPLIT, "ops_ratio": once}))
    assert "1.50" in said and "[" not in said, said
    assert ": nothing else was run" in answer(whole(BASE))
    assert "no answer" in answer(whole())
    assert "no answer" in answer(whole({**BASE, "label": "oversubscribed"}))


@case
def files_that_are_no_results():
    """One line and no file, whatever it is."""
    for text in ("", "[1]", "7", "null", "{}", '{"format": "cleave-results"}',
                 json.dumps({**whole(), "machine": [1]}), json.dumps({**whole(), "results": 7})):
        with Folder() as folder:
            bad, good = put(folder / "bad.json", text), put(folder / "good.json",
                                                            json.dumps(whole(BASE)))
            for done in (script("answer.py", bad),
                         script("merge.py", folder / "out.json", good, bad)):
                assert done.returncode == 1 and done.stdout == "", (text, done)
                assert done.stderr.count("\n") == 1 and "bad.json" in done.stderr, done.stderr
            assert sorted(os.listdir(folder)) == ["bad.json", "good.json"], text
            (folder / "out.json").mkdir()
            assert script("merge.py", folder / "out.json", good).returncode == 1
            assert sorted(os.listdir(folder)) == ["bad.json", "good.json", "out.json"], text
    for name in ("answer.py", "merge.py"):
        done = script(name)
        assert done.returncode == 2 and done.stderr.startswith("usage: "), done


@case
def merges():
    with Folder() as folder:
        parts = [put(folder / "a.json", json.dumps(whole(BASE))),
                 put(folder / "b.json", json.dumps(whole(name="other")))]
        done = script("merge.py", folder / "out.json", *parts)
        assert done.returncode == 0 and done.stderr == "", done
        merged = json.loads((folder / "out.json").read_text())
        assert [machine["name"] for machine in merged["machines"]] == ["made-up", "other"]
        assert merged["results"] == [BASE]
        put(folder / "c.json", json.dumps(whole(model_digest="another")))
        done = script("merge.py", folder / "out.json", parts[0], folder / "c.json")
        assert done.returncode == 1 and "two models" in done.stderr, done


# ---- how long ./compare takes, by what it asks for ----

def asked_for(*args):
    """Number of designs and options of each run of ./compare on two CPUs; nothing is run."""
    with Folder() as folder:
        shutil.copy(SOURCE / "compare", folder)
        for name in ("build", "harness", "bin"):
            (folder / name).mkdir()
        put(folder / "build/build.ninja", "")
        nothing = "#!/bin/sh\nexit 0\n"
        for name, text in (("setup", nothing), ("bin/ninja", nothing),
                           ("harness/merge.py", nothing), ("harness/answer.py", nothing),
                           ("bin/nproc", "#!/bin/sh\necho 2\n"),
                           ("build/cleave", "#!/bin/sh\n"
                            f"[ $1 != list ] || exec '{CLEAVE}' \"$@\"\necho \"$@\" >>asked\n")):
            put(folder / name, text)
            (folder / name).chmod(0o755)
        path = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
        done = subprocess.run([folder / "compare", *args], env=path, capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        lines = [line.split() for line in (folder / "asked").read_text().splitlines()]
    for command, *words in lines:
        if command == "run":
            first = next(i for i, word in enumerate(words) if word.startswith("--"))
            yield first, dict(zip(words[first::2], words[first + 1::2]))


def seconds_of(*args):
    """Of windows here, and of the million accesses that the simulated machine may use up."""
    windows = accesses = 0
    for designs, options in asked_for(*args):
        points = designs * len(options["--threads"].split(",")) * int(options["--repetitions"])
        points *= len(options["--think-ns"].split(","))
        if "--machine" in options:
            accesses += points * int(options["--budget"])
        else:
            windows += points * (int(options["--window-ms"]) + int(options["--warm-up-ms"]))
    return windows / 1000, accesses


@case
def compare_is_as_quick_as_it_says():
    windows, accesses = seconds_of("--quick")
    assert windows > 0 and accesses > 0
    # On two CPUs, 15 million accesses a second each; the rest of the minute is for the rest.
    assert windows + accesses / 30 < 50, f"{windows:.0f} s, {accesses} million accesses"
    # Without it no budget says how long: points of few threads do not use theirs up.
    windows, accesses = seconds_of()
    assert 0 < windows < 120 and accesses > 0, windows
