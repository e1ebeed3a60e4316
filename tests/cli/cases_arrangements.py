# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""./compare --arrangements: what is run again and what is not, and what its tables say."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from program import CLEAVE, Folder, SOURCE, case, case_that_simulates, put
from program import fine as asked

sys.path.append(str(SOURCE / "harness"))
import arrangement_tables as tables  # noqa: E402
import arrangements  # noqa: E402
import sweep  # noqa: E402

SCRIPT = SOURCE / "harness" / "arrangements.py"
FEW = ["--machines", "hygon-12n384", "--threads", "1,2", "--walks", "0", "--budget", "1",
       "--designs", "split-trees"]


def command(folder, *args, cleave=CLEAVE):
    return [sys.executable, str(SCRIPT), "--folder", str(folder), "--cleave", str(cleave),
            *map(str, args)]


def arrange(folder, *args, cleave=CLEAVE, **options):
    for stream in ("stdout", "stderr"):
        options.setdefault(stream, subprocess.PIPE)
    return subprocess.run(command(folder, *args, cleave=cleave), text=True, timeout=120,
                          check=False, **options)


def fine(folder, *args):
    """Returns: what was left to run, and what was there."""
    done = arrange(folder, *args)
    assert done.returncode == 0, done.stderr
    words = done.stderr.splitlines()[0].split()
    return int(words[0]), int(words[5])


def points(folder):
    return sorted((folder / "hygon-12n384").iterdir())


def labels(files):
    return [json.loads(file.read_text())["results"][0].get("label") for file in files]


@case_that_simulates
def arrangements_go_on():
    """A point is run again if it is not there, not whole, or of something else; else never."""
    with Folder() as folder:
        assert fine(folder, *FEW) == (4, 0)
        files = points(folder)
        assert len(files) == 4 and all(file.name.endswith(".json") for file in files), files
        before = {file: file.stat().st_mtime_ns for file in files}
        assert fine(folder, *FEW) == (0, 4)
        assert before == {file: file.stat().st_mtime_ns for file in points(folder)}
        files[0].unlink()
        put(files[1], files[1].read_text()[:-100])
        assert fine(folder, *FEW) == (2, 2)
        for results in ([], [{}], [{"valid": False, "why": "for a test"}], None):
            put(files[1], json.dumps({**json.loads(files[1].read_text()), "results": results}))
            shown = arrange(folder, *FEW, "--tables")
            assert shown.returncode == 0 and shown.stderr.count("\n") == 1, shown
            assert fine(folder, *FEW) == (1, 3)
        for change in (lambda k: k["sweep"].update(sources="another"),
                       lambda k: k["machine"].update(model_digest="another"),
                       lambda k: k["sweep"]["wanted"].update(walks=0.5)):
            changed = json.loads(files[2].read_text())
            change(changed)
            put(files[2], json.dumps(changed))
            assert fine(folder, *FEW) == (1, 3)
        # A larger budget matters to those alone that used theirs up.
        assert labels(files) == ["short"] * 4
        assert fine(folder, *FEW, "--budget", "20") == (4, 0)
        assert labels(files) == [None] * 4
        assert fine(folder, *FEW, "--budget", "30") == (0, 4)
        assert fine(folder, *FEW) == (0, 4)
        again = json.loads(files[2].read_text())
        again["sweep"]["sources"] = "another"
        put(files[2], json.dumps(again))
        assert fine(folder, *FEW, "--any-sources") == (0, 4)
        assert fine(folder, *FEW, "--force") == (4, 0)
        results = json.loads((folder / "results.json").read_text())
        assert len(results["results"]) == 4 and results["format"] == "cleave-results"
        assert all(len(point["contended_lines"]) <= 5 for point in results["results"])


@case_that_simulates
def arrangements_that_cannot_run():
    """A design that is none is said to be so in the tables, and the others are run."""
    with Folder() as folder:
        done = arrange(folder, *FEW[:-1], "split-trees,rb_vma/nosuch:rwsem")
        assert done.returncode == 0, done.stderr
        assert "rb_vma/nosuch:rwsem: cannot run: unknown scheme 'nosuch'\n" in done.stdout
        assert "cannot run" in (folder / "lines-rows.txt").read_text()
        assert fine(folder, *FEW[:-1], "split-trees,rb_vma/nosuch:rwsem") == (0, 6)
        refused = next(file for file in points(folder) if "nosuch" in file.name)
        changed = json.loads(refused.read_text())
        changed["sweep"]["model_digest"] = "another"
        put(refused, json.dumps(changed))
        assert fine(folder, *FEW[:-1], "split-trees,rb_vma/nosuch:rwsem") == (1, 5)
        text = put(folder / "doc.md", "before\n<!-- table: throughput hygon-12n384 walks 0 -->\n"
                   "<!-- end -->\n<!-- table: gains -->\nkept\n<!-- end -->\nafter\n")
        assert arrange(folder, *FEW, "--tables", "--into", text).returncode == 0
        first = text.read_text()
        assert "| split-trees" in first and "kept" in first and first.endswith("after\n"), first
        assert arrange(folder, *FEW, "--tables", "--into", text).returncode == 0
        assert text.read_text() == first
        link = folder / "link.md"
        link.symlink_to(put(text, first.replace("| split-trees", "| gone")))
        assert arrange(folder, *FEW, "--tables", "--into", link).returncode == 0
        assert link.is_symlink() and text.read_text() == first


def program_that(folder, does):
    """The program, but for what it does in the points of a budget of 7."""
    file = put(folder / "other", "#!/bin/sh\ncase $* in *--budget\\ 7*) %s;; esac\n"
               "exec %s \"$@\"\n" % (does, CLEAVE))
    file.chmod(0o755)
    return file


@case_that_simulates
def arrangements_that_fail():
    """What goes wrong is said, not kept, and an older number does not stand for it."""
    seven = [*FEW, "--budget", "7", "--jobs", "1"]
    with Folder() as folder:
        out = folder / "out"
        assert arrange(out, *seven).returncode == 0
        before = {file: file.read_text() for file in points(out)}
        invalid = "%s \"$@\" | sed '%s'; exit 1" % (
            CLEAVE, 's/"valid": true/"valid": false, "why": "a test"/')
        for does, words in (("echo cleave: of no use >&2; exit 1", "of no use"),
                            (invalid, "no number: a test"), ("echo '{}'; exit 0", "status 0")):
            done = arrange(out, *seven, "--force", cleave=program_that(folder, does))
            assert done.returncode == 1 and done.stderr.count(words) == 4, done.stderr
            assert not re.search(r"^split-trees .*\(", done.stdout, re.MULTILINE), done.stdout
            assert re.search(r"^split-trees  +failed +failed$", done.stdout, re.MULTILINE)
            assert before == {file: file.read_text() for file in points(out)}
        # Built again in the middle: what was done before stays, what came of it does not.
        shutil.rmtree(out)
        done = arrange(out, *seven, cleave=program_that(folder, "echo >> $0"))
        assert done.returncode == 1 and "it changed while points were run" in done.stderr, done
        assert not list(out.rglob("*.json"))


@case_that_simulates
def arrangements_that_cannot_write():
    """One line that names what could not be written; a folder before anything is run."""
    with Folder() as folder:
        assert arrange(folder / "out", *FEW).returncode == 0
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = arrange(folder / "out", *FEW, "--tables", stdout=full)
        assert (done.returncode, done.stderr) == (
            1, "cleave: arrangements: standard output: No space left on device\n"), done
        there, back = os.pipe()
        os.close(there)
        done = arrange(folder / "out", *FEW, "--tables", stdout=back)
        os.close(back)
        assert (done.returncode, done.stderr) == (
            1, "cleave: arrangements: standard output: Broken pipe\n"), done
        done = arrange(put(folder / "file", "") / "out", *FEW)
        assert done.returncode == 1 and done.stderr == \
            "cleave: arrangements: %s: Not a directory\n" % (folder / "file/out"), done.stderr


@case_that_simulates
def arrangements_of_a_machine_file():
    """Its points are in a folder of its name, wherever the file is."""
    with Folder() as folder:
        text = (SOURCE / "harness/machine/models/epyc-1n256.json").read_text(encoding="utf-8")
        file = put(folder / "mine.json", text.replace('"epyc-1n256"', '"mine"', 1))
        few = ["--machines", file, "--quick", "--walks", "0", "--budget", "1", "--designs",
               "null_sink@cpu1/each:rwsem"]
        done = arrange(folder / "out", *few, "--threads", "1")
        assert done.returncode == 0 and "mine (simulated)" in done.stdout, done
        assert len(list((folder / "out" / "mine").iterdir())) == 2
        # All of its CPUs, where nothing else was asked for.
        done = arrange(folder / "out", *few, "--tables")
        assert re.search(r"^CPUs +1 +256$", done.stdout, re.MULTILINE), done.stdout


@case
def arrangements_misused():
    with Folder() as folder:
        half = put(folder / "half.md", "<!-- table: gains -->\n")
        for status, *args in ((2, "nosuch"), (2, "--budget", "0"), (2, "--seeds", "99"),
                              (2, "--walks", "2"), (2, "--threads", "1,x"), (2, "--designs", ","),
                              (2, "--walks", "1"), (2, "--threads", "2,2"),
                              (2, "--walks", "0.1,.10"), (2, "--force", "--tables"),
                              (1, "--threads", "500"), (1, "--threads", "300,1", "--machines",
                                                        "epyc-1n256"),
                              (1, "--threads", "384"), (1, "--machines", "host"),
                              (2, "--nosuch"), (1, "--into", folder / "none.md"),
                              (1, "--into", half), (1, "--machines", "nosuch")):
            done = arrange(folder / "out", *args)
            assert done.returncode == status and done.stdout == "", (args, done)
            assert done.stderr.startswith("cleave: arrangements: "), done.stderr
            assert done.stderr.count("\n") == 1, done.stderr
        for program in (folder / "none", "/bin/true", "/bin/false", "/bin/echo"):
            done = arrange(folder / "out", cleave=program)
            assert done.returncode == 1 and done.stderr.count("\n") == 1, done
            assert str(program) in done.stderr, done.stderr
        assert os.listdir(folder) == ["half.md"] and half.read_text() == "<!-- table: gains -->\n"
        done = subprocess.run([SOURCE / "compare", "--quick", "--arrangements"], text=True,
                              capture_output=True, check=False)
        assert done.returncode == 2 and "has to come first" in done.stderr, done


def end_in_the_middle(folder, sent):
    """With a program that says what it was started for and then never ends."""
    slow = put(folder / "slow", "#!/bin/sh\ncase $* in *--budget\\ 7*) echo $$ >> %s/started\n"
               "printf '{\"format\": '; exec sleep 1000;; esac\nexec %s \"$@\"\n" % (
                   folder, CLEAVE))
    slow.chmod(0o755)
    # The tests may have been started with nohup, which is respected.
    child = subprocess.Popen(command(folder / "out", *FEW, "--budget", "7", "--jobs", "2",
                                     cleave=slow), stderr=subprocess.PIPE, text=True,
                             preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
    while not (folder / "started").exists() or len((folder / "started").read_text().split()) < 2:
        assert child.poll() is None, child.stderr.read()
        time.sleep(0.01)
    child.send_signal(sent)
    try:
        _, err = child.communicate(timeout=60)
    finally:
        child.terminate()
    assert child.returncode == 130 and "interrupted" in err, err
    assert not list((folder / "out").rglob("*")), list((folder / "out").rglob("*"))
    for pid in (folder / "started").read_text().split():
        assert not os.path.exists("/proc/%s" % pid), pid


@case_that_simulates
def arrangements_interrupted():
    """Whatever ends it, its runs end with it, and there is no file that is not whole."""
    for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with Folder() as folder:
            end_in_the_middle(folder, sent)


@case
def arrangements_sources():
    """What a point depends on: its design's own files, those they name, and all that is common."""
    sources = sweep.Sources()
    assert sources.named_by(["rb_vma", "cpu8", "outer", "percpu", "rwsem"]) == {
        "rb_vma", "outer", "percpu", "rwsem"}
    assert "rwsem" in sources.named_by(["percpu"])
    assert "mutex" in sources.named_by(["group"])
    base = sweep.Point("m", "rb_vma/one:rwsem", 1)
    for text in ("rb_vma", "one", "rwsem"):
        changed = sweep.Sources()
        changed.text[text] += " "
        assert changed.digest(base) != sources.digest(base), text
    changed = sweep.Sources()
    changed.text["cna"] += " "
    assert changed.digest(base) == sources.digest(base)
    assert sources.digest(base._replace(other_lock_ns=1)) != sources.digest(base)
    # Every lock, scheme and structure of every named design, the longest name at each place.
    names = {of["name"] for kind in ("structures", "schemes", "locks")
             for of in json.loads(asked("list", kind, "--json"))}
    for design in [of["design"] for of in json.loads(asked("list", "designs", "--json"))] + [
            "rb_vma@cpu8/outer:bravo.rwsem.numa+ck_rwlock", "rb_vma@cpu8/each.handover:tflock"]:
        at = base._replace(design=design)
        found = [max((name for name in names if re.match(re.escape(name) + r"(\.|$)", part)),
                     key=len) for part in re.split("[/:+]", re.sub("@[^/]*", "", design))]
        for text in found:
            changed = sweep.Sources()
            changed.text[text.replace(".", "_")] += " "
            assert changed.digest(at) != sources.digest(at), (design, text)
    assert "rwsem_numa" in sources.words("rb_vma/one:rwsem.numa")


@case
def arrangements_common_sources():
    """What every point depends on: defaults, and what makes numbers of what was counted."""
    with Folder() as folder:
        for name in ("include", "lib", "structures", "harness"):
            shutil.copytree(SOURCE / name, folder / name)
        base = sweep.Point("m", "rb_vma/one:rwsem", 1)
        before = sweep.Sources(folder).digest(base)
        for name in ("runner.c", "stats.c", "report_simulated.c", "report_json.c", "course.c",
                     "cmd_run.c", "run_options.c", "machine/simulated.c", "workloads/exec.c"):
            file = folder / "harness" / name
            text = file.read_text(encoding="utf-8")
            put(file, text + "\n")
            assert sweep.Sources(folder).digest(base) != before, name
            put(file, text)
        put(folder / "harness/cmd_plot.c", "")
        assert sweep.Sources(folder).digest(base) == before


# ---- tables, of made-up points ----

def kept(point, ops, **more):
    structure = point.design.replace("@", "/", 1).split("/")[0]
    result = {"design": point.design, "structure": structure, "threads": point.threads,
              "valid": True, "keeps": ["C%d" % i for i in range(1, 9)], "subsets": 1,
              "ops_per_s": {"median": sorted(ops)[len(ops) // 2], "samples": ops},
              "time_share": {"wait": 0.5, "handover": 0.125, "inside": 0.125, "outside": 0.25},
              "fairness_jain": 0.9, "fairness_by_node": {"ratio": 0.25}, "contended_lines": [],
              "transfers_per_op": {"all": 1.5}, **more}
    return {"machine": {"name": point.machine, "nodes": 2}, "results": [result],
            "sweep": {"wanted": point._asdict(), "sources": "x"}}


def row(table, name):
    found, = [cells for cells in table.rows if cells[0].startswith(name)]
    return dict(zip(table.head, found))


@case
def arrangement_tables():
    point = sweep.Point("made-up", "rb_vma/one:rwsem", 4)
    names = [("baseline", point.design), ("split", "rb_vma@node/each:rwsem"),
             ("null_sink@node/each:rwsem",) * 2, ("none", "rb_vma/one:x"),
             ("not-run", "rb_vma/free")]
    split, bound = (point._replace(design=names[i][1]) for i in (1, 2))
    refused = point._replace(design="rb_vma/one:x")
    of = {p.key(): k for p, k in (
        (point, kept(point, [2e6])),
        (split, kept(split, [5e6], subsets=2, label="short", keeps=["C1"])),
        (bound, kept(bound, [10e6], subsets=2)),
        (refused, {"results": [], "sweep": {"wanted": refused._asdict(),
                                            "cannot": "unknown lock 'x'; known: mcs"}}))}
    rows = tables.Rows(of, names, point, [4])
    made = tables.throughput(rows)
    assert row(made, "baseline")["4"] == "2.00 (1.00)"
    assert row(made, "split (not C2 C3 C4 C5 C6 C7 C8)")["4"] == "~5.00 (2.50)"
    assert row(made, "none")["4"] == "cannot run" and row(made, "not-run")["4"] == "-"
    assert "none: cannot run: unknown lock 'x'" in made.notes
    made = tables.detail(rows)
    assert row(made, "split")["% of own bound"] == "50.0"
    assert row(made, "split")["slowest/fastest node"] == "0.25"
    assert row(made, "baseline")["% of own bound"] == "-"
    assert row(made, "baseline")["% of best bound"] == "20.0"
    assert row(made, "null_sink")["% of best bound"] == "100"
    # That of split is nearer, and does not keep all.
    assert any("of rb_vma that keep C1-C8: rb_vma/one:rwsem, 20.0 %" in note
               for note in made.notes), made.notes
    assert "[one subset here]" not in rows.title(*names[1])
    walks = {"walks": 0.001, "label": "short"}
    assert tables.mark(walks) == "!~"
    assert tables.mark({**walks, "walks_per_s": {"median": 1.0}}) == "~" and not tables.mark({})
    for form in (tables.as_text, tables.as_markdown):
        assert "~5.00 (2.50)" in form(tables.throughput(rows))


@case
def arrangement_gains():
    """Ratios seed by seed, Student's interval of their logarithms, and factors that multiply."""
    mean, low, high = tables.gain({"ops_per_s": {"samples": [2.0, 8.0]}},
                                  {"ops_per_s": {"samples": [1.0, 2.0]}})
    assert abs(mean - 2 ** 1.5) < 1e-9
    assert abs(low - mean / 2 ** (12.706 / 2)) < 1e-4 and abs(low * high - mean ** 2) < 1e-6
    one = {"ops_per_s": {"samples": [3.0]}}
    assert tables.gain(one, one) == (1, None, None)
    point = sweep.Point("made-up", "rb_vma/one:rwsem", 4, seeds=3)
    kinds = {"whole": (point.design, 1), "hashed": ("rb_vma@hash2/one:rwsem", 1),
             "split": ("rb_vma@node/one:rwsem", 1), "bound": ("null_sink/one:rwsem", 1),
             "small": (point.design, 1 / 2), "large": ("rb_vma@node/one:rwsem", 2)}
    of = {}
    for kind, ops in (("whole", 1e6), ("hashed", 2e6), ("split", 6e6)):
        at = point._replace(design=kinds[kind][0])
        share = {"wait": 0.5, "handover": 0, "inside": 0.25 if kind == "whole" else 0.125,
                 "outside": 0.25}
        of[at.key()] = kept(at, [ops, ops, ops], subsets=1 if kind == "whole" else 2,
                            time_share=share)
    gains = tables.Gains(of, kinds, [point])
    found = row(gains.factors(), "exec, 6,000")
    assert found["split / whole"] == "6.00 [6.00, 6.00]" and found["x by node"].startswith("3.00")
    assert found["= shorter trees"].startswith("2.00") and found["split, more / whole"] == "-"
    assert (found["= shorter holds"], found["x busy locks"]) == ("12.0", "0.500")
    assert [cells[1:3] for cells in gains.why().rows] == [["one", "6,000"], ["by hash", "3,000"],
                                                          ["by node", "3,000"]]


@case
def arrangement_gains_that_are_not_run():
    """Every cell without a number says why; *fewer* is as few as there can be."""
    point = sweep.Point("made-up", "rb_vma/one:rwsem", 4)
    kinds = {kind: (point.design, factor) for kind, factor in (
        ("whole", 1), ("hashed", 1), ("split", 1), ("bound", 1), ("small", 1 / 12), ("large", 12))}
    at = [point._replace(population=population) for population in (1000, 2000, 20000)]
    gains = tables.Gains({}, kinds, at, {"exec": 1000}, 100000)
    assert [gains.population(p, "small") for p in at] == [1000, 1000, 1667]
    assert [bool(gains.point(p, "small")) for p in at] == [False, True, True]
    assert [bool(gains.point(p, "large")) for p in at] == [True, True, False]
    of = {p.key(): kept(p, [1e6]) for p in (*at, gains.point(at[1], "small"))}
    of[at[2].key()] = {"results": [], "sweep": {"wanted": at[2]._asdict(), "failed": "why not"}}
    gains.kept = of
    made = gains.factors()
    fewer, more = made.head[6], made.head[7]
    assert row(made, "exec, 1,000")[fewer] == "no fewer", made
    assert row(made, "exec, 2,000")[fewer] == "1.00 (1,000)", made
    assert row(made, "exec, 20,000")["split / whole"] == "failed", made
    assert any(note.endswith("failed: why not") for note in made.notes), made.notes
    assert row(made, "exec, 2,000")[more] == "-" and row(made, "exec, 20,000")[fewer] == "failed"
    assert row(made, "exec, 20,000")[more] == "not run", made
    assert any("no fewer: 1,000 are the fewest that exec can have" in note for note in made.notes)


@case
def arrangement_figures():
    """Three digits, also where rounding makes one more of them."""
    for value, text in ((0.9994, "0.999"), (0.9996, "1.00"), (1, "1.00"), (9.996, "10.0"),
                        (99.96, "100"), (1234.5, "1234"), (0.00012, "0.0001"), (0, "0"),
                        (-0.9996, "-1.00"), (None, "-")):
        assert tables.figure(value) == text, (value, tables.figure(value))
    assert sweep.decimal(0.001) == "0.001" and sweep.decimal(0.00001) == "0.00001"
    assert sweep.decimal(0.0) == "0"


@case
def recorded_gap():
    """What `--think-ns` is scaled from: 33 gaps of the schedule, without what was trapped."""
    assert 10000 < arrangements.recorded_gap_ns() < 20000


@case_that_simulates
def recorded_rest():
    """The fewest intervals of exec, by the program itself."""
    least = 2 * arrangements.rest_of_a_thread()
    for population, status in ((least, 0), (least - 1, 2)):
        done = subprocess.run([CLEAVE, "run", "null_sink/one:rwsem", "--machine", "hygon-12n384",
                               "--threads", "2", "--population", str(population), "--budget", "1",
                               "--repetitions", "1", "--quiet"], capture_output=True, check=False)
        assert done.returncode == status, (population, done)
