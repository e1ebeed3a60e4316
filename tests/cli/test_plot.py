#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""usage: test_plot.py PATH_TO_CLEAVE [NAME...]: draw made-up results, and look into the pictures.

Prints a line a case; exit status 0 if all passed, 77 if what draws is not installed."""
import copy
import json
import os
import re
import shutil
import struct
import sys
import xml.etree.ElementTree as ElementTree

sys.dont_write_bytecode = True
if len(sys.argv) < 2:
    sys.exit(__doc__)

from program import CPUS, Folder, SOURCE, case, fine, main, put, refused, run

REPORT = SOURCE / "harness/report"
BIG = SOURCE / "tests/data/results/made_up_384.json"
TWO = SOURCE / "tests/data/results/made_up_two_machines.json"
SVG = "{http://www.w3.org/2000/svg}"


# ---- looking at pictures ----

class Picture:
    """What BASE.svg and BASE.png show."""

    def __init__(self, base):
        self.svg = base.with_suffix(".svg").read_text()
        self.png = base.with_suffix(".png").read_bytes()
        self.root = ElementTree.fromstring(self.svg)
        self.texts = ["".join(node.itertext()) for node in self.root.iter(SVG + "text")]

    def marks(self, name):
        """Of each panel: what is in the layer of that name."""
        return [list(group) for group in self.root.iter(SVG + "g")
                if re.search(rf"\b(?:child_)*{name}_marks\b", group.get("class", ""))]

    def points(self):
        return [mark for panel in self.marks("point") for mark in panel]

    def says(self, *words):
        for word in words:
            assert any(word in text for text in self.texts), f"{word!r} is not in {self.texts}"

    def lacks(self, word):
        assert not any(word in text for text in self.texts), f"{word!r} is in {self.texts}"


def plot(path, *options):
    with Folder() as folder:
        said = fine("plot", path, "--out", folder / "x", *options)
        assert said == f"written: {folder}/x.svg, {folder}/x.png\n", said
        assert sorted(os.listdir(folder)) == ["x.png", "x.svg"]
        return Picture(folder / "x")


def plot_changed(change, *options, path=BIG):
    """Of results that `change` has been at."""
    results = json.loads(path.read_text())
    change(results)
    with Folder() as folder:
        return plot(put(folder / "changed.json", json.dumps(results)), *options)


def refused_changed(change, *words, options=()):
    results = json.loads(BIG.read_text())
    change(results)
    with Folder() as folder:
        path = put(folder / "changed.json", json.dumps(results))
        refused("plot", path, *options, words=[*words, str(path)])
        assert os.listdir(folder) == ["changed.json"], os.listdir(folder)


def valid(points):
    return [point for point in points if point["valid"]]


# ---- what is drawn ----

@case
def all_that_is_valid():
    results = json.loads(BIG.read_text())
    picture = plot(BIG)
    assert len(picture.points()) == len(valid(results["results"])) == 95
    assert [len(panel) for panel in picture.marks("point")] == [47, 48]
    assert len([m for panel in picture.marks("interval") for m in panel]) == 95
    names = {point.get("name", point["design"]) for point in results["results"]}
    assert len(names) == 8
    assert sorted(names) == sorted(set(picture.texts) & names)
    assert len(picture.marks("key_point")[0]) == 8
    for count in ("1", "8", "32", "96", "192", "384"):
        assert picture.texts.count(count) == 2, count
    for tick in ("100k", "1M", "10M", "100M"):
        assert tick in picture.texts, picture.texts
    assert picture.texts.index("no think time") < picture.texts.index("recorded think time")
    picture.says("hygon-12n384, simulated", "simulated machine, not measured",
                 "model revision 1, 0123456789abcdef", "12 nodes, 2 sockets, 384 CPUs",
                 "1 point not valid", "bars: 95 % interval", "cores-first")


@case
def labelled_points_are_hollow():
    hollow = [mark for mark in plot(BIG).points() if mark.get("fill") == "white"]
    assert len(hollow) == 1, len(hollow)
    plot(BIG).says("hollow: short, still uncertain")

    def unlabel(results):
        for point in results["results"]:
            point.pop("label", None)
    plain = plot_changed(unlabel)
    assert not [mark for mark in plain.points() if mark.get("fill") == "white"]
    plain.lacks("hollow")


@case
def curves_have_gaps_where_nothing_is_valid():
    paths = [mark for panel in plot(BIG).marks("curve") for mark in panel]
    moves = sorted(path.get("d").count("M") for path in paths)
    assert moves == [1] * 15 + [2], moves


@case
def styles_differ_without_colour():
    picture = plot(BIG)
    shapes = [mark.get("d") for mark in picture.marks("key_point")[0]]
    dashes = [mark.get("stroke-dasharray") for mark in picture.marks("key_line")[0]]
    assert len(set(zip(shapes, dashes))) == len(set(shapes)) == 8, shapes
    colour = {}
    for options in ([], ["--designs", "split-locks-cpu8,rb_vma/one:rwsem"]):
        chosen = plot(BIG, *options)
        names = [mark.text for mark in chosen.marks("key_label")[0]]
        strokes = [mark.get("stroke") for mark in chosen.marks("key_point")[0]]
        for name, stroke in zip(names, strokes):
            assert colour.setdefault(name, stroke) == stroke, name
    assert names == ["baseline", "split-locks-cpu8"], names


@case
def rules_where_the_machine_goes_on():
    picture = plot(BIG)
    # 11 further nodes, of which one begins with the second package, and the SMT siblings.
    assert [len(panel) for panel in picture.marks("edge")] == [12, 12]
    for text in ("2nd node", "2nd socket", "SMT"):
        assert picture.texts.count(text) == 2, text

    def few(results):
        results["results"] = [p for p in results["results"] if p["threads"] <= 32]
    assert [len(panel) for panel in plot_changed(few).marks("edge")] == [1, 1]

    def many(results):
        results["results"] = [p for p in results["results"] if p["threads"] >= 96]
    # What has begun before the first number of threads has no place: it would widen the picture.
    narrow = plot_changed(many)
    assert all(0 < len(panel) < 12 for panel in narrow.marks("edge")), narrow.marks("edge")
    assert struct.unpack(">I", narrow.png[16:20]) == (2 * int(narrow.root.get("width")),)
    assert int(narrow.root.get("width")) == int(picture.root.get("width"))

    def other_placement(results):
        results["machine"]["boundaries"]["placement"] = "spread"
    assert not any(plot_changed(other_placement).marks("edge"))
    assert not any(plot_changed(lambda results: results["machine"].pop("boundaries")).marks("edge"))


@case
def size_is_that_of_the_readme():
    picture = plot(BIG)
    width, height = int(picture.root.get("width")), int(picture.root.get("height"))
    assert 780 <= width <= 840 and 400 <= height <= 700, (width, height)
    assert picture.png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", picture.png[16:24]) == (2 * width, 2 * height)
    sizes = [int(size) for size in re.findall(r"font-size=\"(\d+)px\"", picture.svg)]
    assert sizes and min(sizes) >= 11, sizes


@case
def same_again():
    first, second = plot(BIG), plot(BIG)
    assert first.svg == second.svg and first.png == second.png


@case
def written_beside_the_results():
    with Folder() as folder:
        shutil.copy(TWO, folder / "some.json")
        assert fine("plot", "some.json", cwd=folder) == "written: some.svg, some.png\n"
        assert sorted(os.listdir(folder)) == ["some.json", "some.png", "some.svg"]


@case
def machines_are_chosen():
    simulated, host = plot(TWO), plot(TWO, "--machine", "host")
    simulated.says("on hygon-12n384, simulated")
    assert len(simulated.points()) == 24 and len(host.points()) == 4
    host.says("measured on host", "1 node, 1 socket, 2 CPUs")
    host.lacks("simulated")
    refused("plot", TWO, "--machine", "dragon", words=["dragon", "hygon-12n384", "host", str(TWO)])


@case
def workloads_are_chosen():
    def add(results):
        for point in copy.deepcopy(results["results"][:8]):
            point["workload"] = "pairs-random"
            del point["think_ns"]
            results["results"].insert(0, point)
    assert len(plot_changed(add).points()) == 95
    pairs = plot_changed(add, "--workload", "pairs-random")
    assert len(pairs.points()) == 8, "a point alone has no line, and is drawn"
    pairs.says("pairs-random on hygon-12n384")
    refused_changed(add, "dragon", "exec", options=["--workload", "dragon"])


def add_designs(results, how_many):
    for i in range(how_many):
        for point in copy.deepcopy(results["results"][:1]):
            point["design"] = f"made_up_{i}/one:rwsem"
            point.pop("name", None)
            results["results"].append(point)


@case
def designs_are_chosen():
    assert len(plot_changed(lambda results: add_designs(results, 4)).points()) == 99
    named = plot_changed(lambda results: add_designs(results, 5))
    named.says("7 of 13 designs")
    named.lacks("made_up_0")
    assert len(named.points()) == 83
    more = plot_changed(lambda results: add_designs(results, 5), "--designs",
                        "made_up_4/one:rwsem,baseline")
    more.says("made_up_4", "2 of 13 designs")
    assert len(more.points()) == 13
    refused("plot", BIG, "--designs", "baseline,dragon", words=["'dragon'"])

    def nameless(results):
        add_designs(results, 5)
        for point in results["results"]:
            point.pop("name", None)
    refused_changed(nameless, "too many designs", "13", "--designs")


@case
def conditions_get_panels():
    def add(results):
        for point in copy.deepcopy(valid(results["results"])):
            results["results"].append({**point, "other_lock_ns": 500})
    picture = plot_changed(add)
    assert [len(panel) for panel in picture.marks("point")] == [47, 47, 48, 48]
    picture.says("no think time, no other lock", "recorded think time, another lock for 500 ns")


@case
def titles():
    picture = plot(BIG, "--title", "<a> & \"b\" @c")
    picture.says('<a> & "b" @c', "simulated machine, not measured")
    refused("plot", BIG, "--title", b"\xff".decode(errors="surrogateescape"), words=["UTF-8"])


@case
def confidence_is_said():
    def weak(results):
        results["results"][0]["ops_per_s"]["confidence"] = 0.75
    plot_changed(weak).says("bars: 75 % interval")

    def single(results):
        for point in valid(results["results"]):
            median = point["ops_per_s"]["median"]
            point["ops_per_s"] = {"median": median, "samples": [median]}
    picture = plot_changed(single)
    assert len(picture.points()) == 95
    picture.says("one repetition: no interval")
    picture.lacks("bars")


@case
def rates_of_zero_have_no_place():
    def still(results):
        results["results"][0]["ops_per_s"].update(low=0, median=0)
        results["results"][1]["ops_per_s"].update(low=0)
    picture = plot_changed(still)
    assert len(picture.points()) == 94
    picture.says("1 point at 0 not drawn")
    assert "NaN" not in picture.svg and "Infinity" not in picture.svg


@case
def what_a_run_wrote():
    with Folder() as folder:
        threads = "1,2" if len(CPUS) > 1 else "1"
        run("baseline", "null_sink", "--threads", threads, "--json", folder / "x.json")
        results = json.loads((folder / "x.json").read_text())
        picture = plot(folder / "x.json")
    assert len(picture.points()) == len(results["results"])
    picture.says("measured on host", "baseline", "null_sink/one:rwsem")
    boundaries = results["machine"]["boundaries"]
    assert boundaries["placement"] == "cores-first", boundaries
    assert len(boundaries["nodes"]) == results["machine"]["nodes"] - 1, boundaries
    assert len(boundaries["packages"]) == results["machine"]["packages"] - 1, boundaries
    assert ("siblings" in boundaries) == (results["machine"]["cores"] < len(CPUS)), boundaries


# ---- over time ----

def made_up_course():
    """baseline and a design that changes, in 8 slices of 500 us."""
    results = json.loads(BIG.read_text())
    results["results"] = [p for p in results["results"]
                          if p["threads"] == 384 and p["think_ns"] == "recorded" and p["valid"]][:3]
    for k, point in enumerate(results["results"]):
        point["storm"] = {"from_ms": 1, "to_ms": 2, "quiet": 8}
        point["course"] = {
            "every_us": 500, "window_ms": 4, "seed": 7, "at_us": [500 * i for i in range(8)],
            "ops_per_s": [1e5, 1e5, 1e6 + k, 3e6, 0, 1e5, 1e5, 1e5],
            "time_share": {"wait": [0, 0, .5, .6, .9, 0, 0, 0], "inside": [.1] * 8,
                           "handover": [.01] * 8, "outside": [.5] * 8},
            "walk_wait_longest_ns": [None, 50, None, 90000, 1e6, None, None, 70],
            "allocated_bytes": [1e6 + k * 1024] * 8}
    phases = [(-20, "split", 9), (-10, "whole", 1), (1100, "split", 49), (2600, "draining", 49),
              (3900, "whole", 1)]
    results["results"][1]["walk_map"] = "libc.so.6"
    results["results"][1]["phases"] = [
        {"at_us": at, "map": "libc.so.6", "phase": phase, "subsets": subsets, "reason": "so"}
        for at, phase, subsets in phases] + [
        {"at_us": 5, "map": "ld.so", "phase": "split", "subsets": 49, "reason": "so"}]
    return results


def draw_course(change=lambda results: None, *options):
    results = made_up_course()
    change(results)
    with Folder() as folder:
        return plot(put(folder / "made_up.json", json.dumps(results)), "--course", *options)


@case
def courses():
    picture = draw_course()
    for name in ("rate", "wait", "walk", "memory"):
        assert len(picture.marks(f"{name}_storm")[0]) == 2, name
    for name in ("rate", "wait", "memory"):
        lines = [line for part in picture.marks(f"{name}_curve") for line in part]
        # A rate of 0 has no place on a logarithmic scale: there the line has a gap.
        assert [line.get("d").count("M") for line in lines] == [2 if name == "rate" else 1] * 3
    assert len(picture.marks("rate_point")[0]) == 3 * 7
    assert len(picture.marks("walk_point")[0]) == 3 * 4
    assert len(picture.marks("key_label")[0]) == 3
    # Before the window two changes, of which the last counts, and of another map one.
    assert len(picture.marks("phase")[0]) == 4
    assert len(picture.marks("rate_band")[0]) == 2
    picture.says("Over time: exec on hygon-12n384, simulated", "simulated machine, not measured",
                 "384 threads from 1 to 2 ms, 8 before and after", "recorded think time",
                 "slices of 500 us", "one run, seed 7", "storm begins", "storm ends",
                 "split: 49 subsets", "whole", "libc.so.6")
    picture.lacks("ld.so")
    width, height = int(picture.root.get("width")), int(picture.root.get("height"))
    assert 780 <= width <= 860 and 500 <= height <= 900, (width, height)
    assert "NaN" not in picture.svg and "Infinity" not in picture.svg


@case
def courses_of_some_designs():
    def plain(results):
        for point in results["results"]:
            point.pop("phases", None)
            del point["course"]["walk_wait_longest_ns"], point["course"]["allocated_bytes"]
            del point["storm"]
    picture = draw_course(plain)
    assert not picture.marks("phase") and not picture.marks("walk_point")
    assert not picture.marks("memory_curve") and picture.marks("wait_curve")
    picture.lacks("storm")
    first = made_up_course()["results"][0]
    one = draw_course(lambda results: None, "--designs", first.get("name", first["design"]))
    assert len(one.marks("rate_curve")) == 1 and not one.marks("phase")
    draw_course(lambda results: None, "--title", "Mine").says("Mine")

    def both(results):
        results["results"][0]["phases"] = results["results"][1]["phases"][:5]
    two = draw_course(both)
    assert len(two.marks("phase")[0]) == 8
    assert not any(two.marks("rate_band")), "whose would they be?"


@case
def courses_that_are_none():
    refused("plot", BIG, "--course", words=["--every-us", str(BIG)])

    def bad(change, *words):
        results = made_up_course()
        change(results["results"][1])
        with Folder() as folder:
            path = put(folder / "bad.json", json.dumps(results))
            refused("plot", path, "--course", words=[*words, str(path)])
    bad(lambda point: point["course"].pop("at_us"), "malformed", "course of")
    bad(lambda point: point["course"]["ops_per_s"].pop(), "malformed", "rate")
    bad(lambda point: point["course"]["time_share"].update(wait=[1, "x"] * 4), "malformed", "wait")
    bad(lambda point: point["course"].update(every_us=0), "malformed")
    bad(lambda point: point["phases"][0].pop("map"), "malformed", "phases of")
    bad(lambda point: point.update(walks=0.5), "one condition")


# ---- what is not ----

@case
def results_that_are_none():
    with Folder() as folder:
        for text, words in {"": ["not JSON"], "{": ["not JSON", "line 1"], "[]": ["format"],
                            "{}": ["format"], '{"format": "cleave-results"}': ["format_version"],
                            '{"format": "cleave-results", "format_version": 2}': ["2"],
                            '{"format": "cleave-results", "format_version": 1}': ["results"],
                            '{"format": "cleave-results", "format_version": 1, "results": []}':
                                ["no results"]}.items():
            path = put(folder / "bad.json", text)
            refused("plot", path, words=["bad.json", *words])
            assert os.listdir(folder) == ["bad.json"], text
        refused("plot", folder / "none.json", words=["none.json", "No such file"])
        refused("plot", folder, "--out", folder / "x", words=[str(folder), "Is a directory"])
    refused("plot", words=["RESULTS.json"])
    refused("plot", BIG, TWO, words=["unexpected", TWO.name])
    refused("plot", BIG, "--out", "", words=["--out"])


@case
def points_that_are_malformed():
    for field, value in {"threads": 0, "design": 7, "machine": None, "workload": [],
                         "valid": "yes", "simulated": 1,
                         "ops_per_s": {"median": 1, "low": 1}}.items():
        def spoil(results):
            results["results"][3][field] = value
        refused_changed(spoil, f"results[3].{field}")

        def remove(results):
            del results["results"][3][field]
        refused_changed(remove, f"results[3].{field}")

    def crossed(results):
        results["results"][3]["ops_per_s"]["low"] = 1e12
    refused_changed(crossed, "results[3].ops_per_s")

    def no_point(results):
        results["results"][3] = None
    refused_changed(no_point, "results[3]")

    def none_valid(results):
        for point in results["results"]:
            point["valid"] = False
    refused_changed(none_valid, "no valid point")

    def twice(results):
        results["results"].append(results["results"][0])
    refused_changed(twice, "two results", "baseline", "1 threads")


@case
def places_that_cannot_be_written():
    with Folder() as folder:
        (folder / "x.png").mkdir()
        put(folder / "x.svg", "old")
        refused("plot", BIG, "--out", folder / "x", status=1, words=["x.png", "Is a directory"])
        assert (folder / "x.svg").read_text() == "old"
        refused("plot", BIG, "--out", folder / "no/x", status=1, words=["no/x.svg"])


def path_with(folder, *programs):
    """A PATH that has these alone."""
    folder.mkdir()
    for program in programs:
        (folder / program).symlink_to(shutil.which(program))
    return {"env": {**os.environ, "PATH": str(folder)}}


@case
def what_draws_is_missing():
    with Folder() as folder:
        out = ["--out", folder / "x"]
        refused("plot", BIG, *out, status=1, words=["node", "./setup plot"],
                **path_with(folder / "nothing"))
        refused("plot", BIG, *out, status=1, words=["rsvg-convert", "./setup plot"],
                **path_with(folder / "node", "node"))
        report = folder / "report"
        shutil.copytree(REPORT, report, ignore=shutil.ignore_patterns("node_modules"))
        environment = {"env": {**os.environ, "CLEAVE_REPORT": str(report)}}
        refused("plot", BIG, *out, status=1, words=["vega", "./setup plot"], **environment)
        put(report / "plot.mjs", "process.kill(process.pid, 'SIGKILL')")
        refused("plot", BIG, *out, status=1, words=["node", "signal 9"], **environment)
        put(report / "plot.mjs", "throw new Error('of ours')")
        refused("plot", BIG, *out, status=1, words=["node failed"], **environment)
        shutil.rmtree(report)
        refused("plot", BIG, *out, status=1, words=["CLEAVE_REPORT", "plot.mjs"], **environment)
        assert not list(folder.glob("x.*"))


MISSING = [name for name in ("node", "rsvg-convert") if not shutil.which(name)] + \
    [name for name in ("vega", "vega-lite") if not (REPORT / "node_modules" / name).is_dir()]
if MISSING:
    print("skipped: not installed: " + ", ".join(MISSING) + ": run ./setup plot")
    sys.exit(77)
main()
