# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Asking for something: lists, designs, threads, numbers, recordings, machines."""
import json
import os
import re

from program import (CPUS, Folder, KINDS, RECORDING, SIMULATES, SOURCE, TOPOLOGIES, case,
                     case_that_simulates, fine, listed, names, other_user,
                     put, refused, result, results, run)

# 12 nodes of 32 CPUs; one node of 256 CPUs; two packages of 112.
MACHINES = [
    ("pack:2 numa:6(memory=34359738368) l3:4(size=16777216) l2:4(size=524288) l1d:1(size=32768) "
     "l1i:1(size=65536) core:1 pu:2(indexes=core)", 384, 12),
    ("pack:1 [numa(memory=805306368000)] l3:16(size=16777216) l2:8(size=1048576) l1d:1(size=32768) "
     "l1i:1(size=32768) core:1 pu:2(indexes=core)", 256, 1),
    ("pack:2 [numa(memory=274877906944)] l3:1(size=110100480) l2:56(size=2097152) "
     "l1d:1(size=49152) l1i:1(size=32768) core:1 pu:2(indexes=core)", 224, 2),
]


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
    for command in ([], ["calibrate"], ["bench-locks"], ["bench-machine"],
                    ["bench-structures"], ["list"], ["plot"], ["run"], ["topo"]):
        text = fine(*command, "--help")
        assert text.startswith("Usage: cleave"), text
        for line in text.splitlines():
            assert len(line) <= 100, line
    options = set(re.findall(r"--[a-z-]+", fine("run", "--help")))
    for option in ("workload machine threads place seed repetitions think-ns population walks "
                   "other-lock-ns migrate oversubscribe json set jobs budget run-ahead-ns timeline "
                   "lines storm every-us").split():
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
    # A structure, or a scheme, that spins by itself makes its design spin.
    spinning = [entry["name"] for entry in listed("structures") if entry["spins"]]
    assert spinning and "rb_vma" not in spinning
    for name in spinning:
        refused("run", name + "/one:rwsem", "--threads", many,
                words=[name, str(many), "spinning"])
    refused("run", "btree_olc/free", "--threads", many, words=["btree_olc/free", "spinning"])
    refused("run", "rb_vma/combine:rwsem", "--threads", many, words=["combine", "spinning"])
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
    for text in ("x", "-0.1", "1.1", "2", "nan", "inf", "1e-3", "", ".", "0,5"):
        refused("run", "baseline", f"--migrate={text}", words=["--migrate"])
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
    refused("run", "baseline", "--workload", "pairs-libc", "--migrate", 0.5, words=["--migrate"])
    for workload in names("workloads"):
        found = result("baseline", "--workload", workload)
        assert found["workload"] == workload
        assert ("think_ns" in found) == ("migrate" in found) == (workload == "exec")


@case
def migration_takes_two_threads_and_their_population():
    two = ("--threads", 2, "--oversubscribe")
    refused("run", "baseline", "--migrate", 0.5, words=["2 threads"])
    refused("run", "baseline", "--migrate", 0.5, *two, "--population", 19, words=["population 19"])
    assert result("baseline", "--migrate", 1, *two, "--population", 20)["population"] == 20
    assert ", migrate 0.25\n" in run("baseline", "--migrate", 0.25, *two)
    assert "migrate" not in run("baseline", *two)


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
    with Folder() as folder, other_user() as options:
        secret = put(folder / "secret.txt", RECORDING.read_bytes())
        secret.chmod(0)
        refused("run", "baseline", "--workload", secret, words=["secret.txt", "ermission"],
                **options)


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
    refused("topo", "--machine", "dragon",
            words=["dragon", "list machines", ".json", ".xml", "synthetic"])


@case
def machine_files():
    """Of the built-in ones and of files like them; what is wrong is said before anything runs."""
    machines = listed("machines")
    assert [entry["name"] for entry in machines if not entry["simulated"]] == ["host"]
    built_in = {entry["name"] for entry in machines if entry["simulated"]}
    assert {"hygon-12n384", "naples-2s128", "xeon-2s224"} <= built_in, built_in
    for parameter in listed("parameters"):
        assert parameter["unit"] and parameter["max"] > 0, parameter
        assert type(parameter["may_be_0"]) is bool, parameter
    named = json.loads(fine("topo", "--machine", "hygon-12n384", "--threads", 384, "--json"))
    assert named["name"] == "hygon-12n384" and len(named["nodes"]) == 12
    text = (SOURCE / "harness/machine/models/hygon-12n384.json").read_text()
    taken, text = text, text.replace('"name": "hygon-12n384"', '"name": "copy"')
    named["name"] = "copy"
    with Folder() as folder:
        # A folder with a dot, the file by a path and by name.
        file = put(folder / "copy.json", text)
        assert json.loads(fine("topo", "--machine", file, "--threads", 384, "--json")) == named
        assert json.loads(fine("topo", "--machine", file.name, "--threads", 384, "--json",
                               cwd=folder)) == named
        for name, contents, word in [
                ("copy.json", text.replace('"value": 10,', '"value": -10,'), "negative"),
                ("copy.json", text[:-3], "line"),
                ("copy.json", "", "empty"),
                ("other.json", text, "not that of the file"),
                ("copy.json", re.sub("pack:2[^\"]*", "bomb.xml", text), "bomb.xml"),
                ("hygon-12n384.json", taken, "another machine's"),
                ("host.json", text.replace('"copy"', '"host"'), "another machine's"),
        ]:
            bad = put(folder / name, contents)
            put(folder / "bomb.xml", "<!DOCTYPE a [<!ENTITY b 'b'>]><topology>&b;</topology>")
            for command in (["run", "baseline"], ["topo"]):
                refused(*command, "--machine", bad, words=[f"not a machine file: {bad}", word])
        refused("run", "baseline", "--machine", folder / "not-there.json", words=["not-there"])
    for text in ("pack:2 numa:2 l3:4 core:4 pu:2", "pu:1", TOPOLOGIES / "epyc_2cpu.xml"):
        refused("run", "baseline", "--machine", text, words=["no latencies", "machine file"])


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


# ---- calibrating ----

@case_that_simulates
def calibrates():
    # Names as in struct clv_costs; by distance where there are several.
    plain = ("l1_bytes l1_ways l2_bytes l2_ways l3_bytes l3_ways l1_ns l2_ns l3_ns "
             "request_percent atomic_overlaps invalidate_ns "
             "share_ns home_ns block_ns access_ns mispredict_ns atomic_ns fence_ns pause_ns "
             "clock_ns outstanding window store_buffer smt_percent park_ns wake_ns "
             "wake_latency_ns alloc_ns").split()
    distances = "core l3 node package remote".split()
    expected = plain + [f"memory_ns.{d}" for d in distances[2:]]
    expected += [f"{name}.{d}" for name in ("read_ns", "write_ns", "upgrade_ns", "read_takes")
                 for d in distances]
    with Folder() as folder:
        said = fine("calibrate", "--seconds", "0.2", "--out", folder / "here.json")
        assert sorted(os.listdir(folder)) == ["here.json", "here.xml"]
        found = json.loads((folder / "here.json").read_text())
        assert (found["format"], found["format_version"]) == ("cleave-machine", 1), found
        assert found["name"] == "here" and found["topology"] == "here.xml", found
        assert sorted(found["parameters"]) == sorted(expected)
        for name, parameter in found["parameters"].items():
            assert parameter["value"] >= 0, name
            assert re.match(r"(measured|told|assumed): .", parameter["source"]), (name, parameter)
            assert re.search(rf"^{re.escape(name)} ", said, re.M), name
        for name in ("l1_ns", "memory_ns.node", "atomic_ns", "park_ns"):
            assert found["parameters"][name]["source"].startswith("measured: "), name
        shown = json.loads(fine("topo", "--machine", folder / "here.xml", "--json"))
        assert sorted(cpu["cpu"] for cpu in shown["cpus"]) == CPUS


@case_that_simulates
def calibrates_a_pair():
    if len(CPUS) < 2:
        return "needs two CPUs"
    low, high = CPUS[0], CPUS[1]
    said = fine("calibrate", "--seconds", "0.1", "--cpus", f"{high},{low}")
    assert re.search(rf"^atomic_ns .*CPU {high},", said, re.M), said
    assert len(re.findall(r"^read_ns\.\w+ .*(?:pairs \d of 1,|in all \d+ rounds)", said, re.M)) == 1
    return None


@case_that_simulates
def calibrates_on_one_cpu():
    said = fine("calibrate", "--seconds", "0.1",
                preexec_fn=lambda: os.sched_setaffinity(0, CPUS[:1]))
    for name in ("read", "write", "upgrade"):
        assert len(re.findall(rf"^{name}_ns\.\w+ .* assumed: ", said, re.M)) == 5, said
    assert re.search(r"^wake_latency_ns .* assumed: ", said, re.M), said


@case
def bad_calibrations():
    for args, word in ([["--cpus", "0"], "two"], [["--cpus", "0,0"], "twice"],
                       [["--cpus", f"{CPUS[0]},65000"], "65000"], [["--cpus", "x,y"], "--cpus"],
                       [["--cpus", "0,1,2"], "--cpus"], [["--seconds", "0"], "--seconds"],
                       [["--seconds", "1e3"], "1e3"], [["--out", ""], "''"], [["more"], "more"],
                       [["--out", "here.xml"], "here.xml"],
                       [["--out", "host.json"], "host.json: a machine of this name"],
                       [["--out", "two words.json"], "letters"],
                       [["--out", "/dev/stdout"], "regular"]):
        refused("calibrate", *args, words=[word])
    with Folder() as folder:
        (folder / "a.xml").mkdir()
        for out in (folder / "none" / "here.json", folder, folder / "a.json"):
            refused("calibrate", "--out", out, words=[str(folder)], status=1)
        assert os.listdir(folder) == ["a.xml"]
        put(folder / "kept.json", "kept")
        (folder / "kept.json").chmod(0o444)
        with other_user() as somebody:
            refused("calibrate", "--out", folder / "kept.json", status=1, words=["kept.json"],
                    **somebody)
            refused("calibrate", "--out", folder / "new.json", status=1, words=["new.json"],
                    **somebody)
        assert (folder / "kept.json").read_text() == "kept"
        assert sorted(os.listdir(folder)) == ["a.xml", "kept.json"]
    elsewhere = {**os.environ, "HWLOC_SYNTHETIC": "pack:2 pu:2"}
    refused("calibrate", env=elsewhere, words=["this machine"])


@case
def simulated_machines_and_the_thread_sanitizer():
    if SIMULATES:
        return "not in this build"
    for command in (["run", "baseline", "--machine", "hygon-12n384"],
                    ["explore", "rb_interval/one:mcs"]):
        refused(*command, words=["thread sanitizer"])
    return None
