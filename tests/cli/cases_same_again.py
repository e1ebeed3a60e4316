# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Running on a machine that is simulated: the same input gives the same output, whatever is around
it; and what it cannot run is refused."""
import json
import os
import subprocess

from program import CLEAVE, Folder, SOURCE, case, cleave, put, refused

HYGON = ["--machine", "hygon-12n384"]
FEW = [*HYGON, "--threads", "24", "--budget", "2"]


def measured(*args, command=(), **options):
    """The results, but for what is about this process and this day; and the table."""
    with Folder() as folder:
        done = subprocess.run([*command, CLEAVE, "run", *args, "--quiet", "--json",
                               folder / "a.json"], text=True, capture_output=True, timeout=3000,
                              check=False, **options)
        assert done.returncode == 0, f"{done.returncode}: {done.stderr}"
        found = json.loads((folder / "a.json").read_text())
    del found["command"]
    for one in found["results"]:
        del one["provenance"]
    return found, done.stdout


def once(*args, seed=1, **options):
    return measured(*args, "--seed", str(seed), "--repetitions", "1", **options)


def samples(found):
    return {one["design"]: one["ops_per_s"]["samples"] for one in found[0]["results"]}


# ---- the same again ----

@case
def simulated_twice_the_same():
    first = once("baseline", *FEW)
    assert first[0]["results"][0]["simulated"] and first[0]["results"][0]["valid"]
    assert first == once("baseline", *FEW)
    other = once("baseline", *FEW, seed=2)
    assert samples(other) != samples(first), "another seed, the same numbers"


@case
def simulated_wherever_it_is_loaded():
    """Addresses of program, stack and libraries differ from run to run; not with setarch."""
    at_random = once("baseline", *FEW)
    padded = dict(os.environ, PADDING="x" * 100000)
    assert at_random == once("baseline", *FEW, env=padded)
    with Folder() as folder:
        assert at_random == once("baseline", *FEW, cwd=folder)
    # Containers may refuse personality().
    if subprocess.run(["setarch", "-R", "true"], capture_output=True, check=False).returncode:
        return "not at fixed addresses: setarch -R is refused here"
    assert at_random == once("baseline", *FEW, command=["setarch", "-R"])
    return None


@case
def simulated_repetitions_are_processes():
    """Nothing is carried from one run to the next, of the same design or another."""
    designs = ["baseline", "rb_interval@cpu1/each:ticket"]
    together = samples(measured(*designs, *FEW, "--seed", "1", "--repetitions", "2"))
    for design in designs:
        apart = [samples(once(design, *FEW, seed=seed)) for seed in (1, 2)]
        for name in apart[0]:
            assert together[name] == apart[0][name] + apart[1][name], \
                f"{name}: {together[name]}, apart {apart}"


@case
def simulated_384_twice_the_same():
    if not os.environ.get("CLEAVE_LONG"):
        return "only with CLEAVE_LONG"
    full = ["baseline", *HYGON, "--threads", "384"]
    assert once(*full) == once(*full)
    return None


# ---- refused ----

@case
def simulated_refusals():
    many = ["run", "baseline", *HYGON, "--threads", "385"]
    refused(*many, words=["more threads than CPUs", "385", "384"])
    refused(*many, "--oversubscribe", words=["--oversubscribe", HYGON[1]])
    refused("run", "rb_interval/one:ticket", *HYGON, "--threads", "1,2,4096", words=["4096"])
    for lock in ("pthread_mutex", "pthread_rwlock"):
        refused("run", f"rb_interval/one:{lock}", *HYGON, words=[lock, "host alone", HYGON[1]])
    refused("run", "rb_interval/one:none", *HYGON, "--threads", "2", words=["none", "2"])


def changed(path, topology=None, **values):
    """A built-in machine with another topology and other values."""
    machine = json.loads((SOURCE / "harness/machine/models/naples-2s128.json").read_text())
    machine["name"] = "changed"
    if topology:
        machine["topology"] = topology
    for name, value in values.items():
        entry = machine["parameters"][name]
        if value is None:
            del machine["parameters"][name]
        else:
            entry["value"] = value
    put(path, json.dumps(machine))
    return path


@case
def simulated_machine_files():
    """What is wrong with one is said before anything runs; nothing is written."""
    with Folder() as folder:
        path, out = folder / "changed.json", folder / "out.json"
        run = ["run", "baseline", "--machine", path, "--threads", "2", "--json", out]
        for values, words in [({"l1_ns": None}, ["l1_ns"]),
                              ({"l2_ns": -1}, ["l2_ns", "negative"]),
                              ({"l3_ns": 0}, ["l3_ns"]),
                              ({"window": 257}, ["window", "256"]),
                              ({"outstanding": 65}, ["outstanding", "64"]),
                              ({"store_buffer": 129}, ["store_buffer", "128"])]:
            changed(path, **values)
            refused(*run, words=[str(path), *words])
        put(folder / "bomb.xml",
            '<!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;">]><topology>&c;</topology>')
        changed(path, topology="bomb.xml")
        refused(*run, words=["bomb.xml"])
        changed(path, topology="pack:1 numa:1 core:4 pu:1")
        refused(*run, words=[str(path), "no L3"])
        changed(path, topology="pack:1 numa:1 l3:1 core:1025 pu:1")
        refused(*run, words=["1025"])
        assert not out.exists()
        # The widest that there is.
        changed(path, topology="pack:1 numa:1 l3:1 core:2 pu:1", window=256, outstanding=64,
                store_buffer=128)
        done = cleave(*run, "--window-ms", "1", "--warm-up-ms", "1", "--repetitions", "1",
                      "--quiet", "--think-ns", "0")
        assert done.returncode == 0 and done.stderr == "", done.stderr
        assert json.loads(out.read_text())["results"][0]["valid"]
