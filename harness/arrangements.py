#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Every arrangement on simulated machines: run what is not there yet, print the tables.

rows        every named design, some beside them and bounds, x CPUs x walks
gains       what split trees give over population, workload and think time, and of what
other-lock  every row with another global lock held 0, 200 and 1000 ns an exec

Each point is a file under the folder, kept as long as the sources it depends on, the machine's
model and what was asked for are the same: broken off at any time, the same command goes on. Tables
go to standard output and, beside the points, to tables.txt, tables.md, lines-PART.txt (the
costliest cache lines of each row) and results.json (all points)."""
import argparse
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

sys.dont_write_bytecode = True
import arrangement_tables as tables  # noqa: E402: no __pycache__ in the sources
import sweep  # noqa: E402

PARTS = ["rows", "gains", "other-lock"]
THREADS = {"hygon-12n384": [1, 32, 96, 192, 384], "epyc-1n256": [192, 256]}
WALKS = [0, 0.001, 0.1]
OTHER_LOCK_NS = [0, 200, 1000]
BOUNDS = {"null_sink/one:rwsem": "bound: no structure, one lock",
          "null_sink@node/one:rwsem": "the same in a subset for each node",
          "null_sink@cpu8/each:rwsem": "bound: no structure, a lock for 8 CPUs",
          "null_sink@cpu1/each:rwsem": "bound: no structure, a lock for each CPU",
          "null_sink@cpu8/span:percpu+rwsem": "bound: no structure, and walks without a full stop",
          "null_sink@cpu1/span:percpu+rwsem": "the same with a lock for each CPU"}
MORE = {"rb_vma@cpu8/each.handover:rwsem": "a walk takes one lock after the other"}
EXEC_POPULATIONS, PAIRS_POPULATIONS = [1920, 6000, 60000], [600, 6000, 60000]
LARGEST_POPULATION = 100000
SCHEDULE = sweep.SOURCE / "harness/workloads/data/execl-schedule.txt"
BASELINE, SPLIT = "rb_vma/one:rwsem", "rb_vma@node/one:rwsem"


def positive(text):
    value = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0
    if not value:
        raise argparse.ArgumentTypeError("not a number from 1 up: '%s'" % text)
    return value


def seeds_of(text):
    value, most = positive(text), max(tables.STUDENT) + 1
    if value > most:
        raise argparse.ArgumentTypeError("more than %d seeds: '%s'" % (most, text))
    return value


def share(text):
    if not re.fullmatch(r"0|0?\.[0-9]{1,6}", text):
        raise argparse.ArgumentTypeError("not a share from 0 to 0.999999: '%s'" % text)
    return float(text)


def list_of(one):
    def parse(text):
        found = [one(word) for word in text.split(",")]
        for i, value in enumerate(found):
            if value in found[:i]:
                raise argparse.ArgumentTypeError("twice in the list: '%s'" % text.split(",")[i])
        return found
    return parse


def word(text):
    if not text:
        raise argparse.ArgumentTypeError("an empty name in the list")
    return text


class Parser(argparse.ArgumentParser):
    def error(self, message):
        print("cleave: arrangements: %s" % message, file=sys.stderr)
        sys.exit(2)


def parse(arguments):
    parser = Parser(prog="arrangements.py", description=__doc__, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART",
                        help="rows, gains, other-lock, or all (rows)")
    parser.add_argument("--quick", action="store_true",
                        help="hygon-12n384, one CPU and all, walks 0 and 0.1 %%, budget 10, in a "
                        "folder of its own")
    parser.add_argument("--budget", type=positive, metavar="N",
                        help="million accesses a run may take, else it is labelled short (30)")
    parser.add_argument("--seeds", type=seeds_of, default=3, help="of each point of gains (3)")
    parser.add_argument("--jobs", type=positive, metavar="N", help="runs at once (one a CPU)")
    parser.add_argument("--machines", type=list_of(word), metavar="M,...")
    parser.add_argument("--threads", type=list_of(positive), metavar="N,...")
    parser.add_argument("--walks", type=list_of(share), metavar="SHARE,...")
    parser.add_argument("--designs", type=list_of(word), metavar="D,...",
                        help="names or strings, in the place of all rows but the baseline")
    parser.add_argument("--force", action="store_true", help="run what is there, too")
    parser.add_argument("--any-sources", action="store_true",
                        help="keep points that other sources made")
    parser.add_argument("--tables", action="store_true", help="run nothing")
    parser.add_argument("--into", metavar="FILE", help="put the tables between FILE's markers, too")
    parser.add_argument("--folder", metavar="DIR", type=Path)
    parser.add_argument("--cleave", default=str(sweep.SOURCE / "build/cleave"), metavar="PROGRAM")
    args = parser.parse_args(arguments)
    for part in args.parts:
        if part not in PARTS + ["all"]:
            parser.error("unknown part '%s': known are %s, all" % (part, ", ".join(PARTS)))
    args.parts = PARTS if "all" in args.parts else args.parts or ["rows"]
    if args.force and args.tables:
        parser.error("--force --tables: the one runs everything, the other nothing")
    args.cleave = shutil.which(args.cleave) or args.cleave
    quick = args.quick
    args.folder = args.folder or sweep.SOURCE / "results/latest" / (
        "arrangements-quick" if quick else "arrangements")
    args.budget = args.budget or (10 if quick else 30)
    args.jobs = args.jobs or len(os.sched_getaffinity(0))
    args.machines = args.machines or list(THREADS)[:1 if quick else None]
    args.walks = args.walks or (WALKS[:2] if quick else WALKS)
    return args


class Experiment:
    def __init__(self, args, typed):
        self.args, self.typed = args, typed
        self.listed = sweep.ask(args.cleave, "list", "designs", "--json")
        self.more = {**MORE, **BOUNDS}
        self.machine, self.word = {}, {}  # both by the machine's own name
        for word in args.machines:
            machine = sweep.machine_of(args.cleave, word)
            if machine["name"] in self.machine:
                raise ValueError("--machines: %s and %s are the same machine" % (
                    self.word[machine["name"]], word))
            self.machine[machine["name"]], self.word[machine["name"]] = machine, word
        self.machines = list(self.machine)
        self.check_threads()
        self.names = self.rows()

    def check_threads(self):
        """Each number that was asked for is to be of some machine, and each machine to have one."""
        cpus = {name: machine["cpus"] for name, machine in self.machine.items()}
        asked = self.args.threads or [1]
        for name in cpus:
            if min(asked) > cpus[name]:
                raise ValueError("--threads: %s has %d CPUs" % (name, cpus[name]))
        if max(asked) > max(cpus.values()):
            raise ValueError("--threads: no machine here has %d CPUs: %s" % (max(asked), ", ".join(
                "%s has %d" % of for of in cpus.items())))

    def known(self):
        """{machine: (what the program knows it by, its model's digest)}"""
        return {name: (self.word[name], machine["model_digest"])
                for name, machine in self.machine.items()}

    def rows(self):
        """[(name, string)], the baseline first. A name that stands for a row that is there already
        is left out."""
        named = {d["name"]: d["design"] for d in self.listed}
        if self.args.designs:
            wanted = {word: named.get(word, word) for word in self.args.designs}
            wanted = {"baseline": named["baseline"], **wanted}
        else:
            wanted = {**named, **{design: design for design in self.more}}
        first = {}
        for name, design in wanted.items():
            first.setdefault(design, name)
        return [(name, design) for design, name in first.items()]

    def point(self, machine, **what):
        return sweep.Point(machine=machine, design=BASELINE, budget=self.args.budget,
                           threads=max(self.threads(machine)))._replace(**what)

    def threads(self, machine):
        cpus = self.machine[machine]["cpus"]
        usual = sorted({1, cpus})
        asked = self.args.threads or (usual if self.args.quick else THREADS.get(machine, usual))
        return [n for n in asked if n <= cpus]

    # Of each part: the points, those that matter most first; and the tables.

    def row_groups(self):
        return [tables.Rows({}, self.names, self.point(machine, walks=float(walks)),
                            self.threads(machine))
                for machine in self.machines for walks in self.args.walks]

    def row_points(self):
        groups = self.row_groups()
        return [group.point._replace(design=design, threads=threads)
                for most in (True, False) for group in groups for threads in group.threads
                if (threads == group.most) == most for _, design in self.names]

    def row_tables(self, kept):
        made, text = [], []
        for group in self.row_groups():
            group.kept = kept
            made += [tables.throughput(group), tables.detail(group)]
            text.append(tables.lines(group))
        return made, "\n".join(text)

    def other_points(self):
        return [self.point(self.machines[0], design=design, other_lock_ns=ns)
                for ns in OTHER_LOCK_NS for _, design in self.names]

    def other_tables(self, kept):
        machine = self.machines[0]
        groups = [tables.Rows(kept, self.names, self.point(machine, other_lock_ns=ns),
                              self.threads(machine)) for ns in OTHER_LOCK_NS]
        return [tables.other_lock(groups)], "\n".join(map(tables.lines, groups[1:]))

    def gain_groups(self):
        machine = self.machines[0]
        point = self.point(machine, seeds=self.args.seeds)
        nodes = self.machine[machine]["nodes"]
        kinds = {"whole": (BASELINE, 1), "hashed": ("rb_vma@hash%d/one:rwsem" % nodes, 1),
                 "split": (SPLIT, 1), "bound": ("null_sink/one:rwsem", 1),
                 "small": (BASELINE, 1 / nodes), "large": (SPLIT, nodes)}
        settings = [point._replace(population=population, think=think)
                    for population in EXEC_POPULATIONS
                    for think in (0, "recorded", 4 * recorded_gap_ns())]
        settings += [point._replace(workload="pairs-random", population=population)
                     for population in PAIRS_POPULATIONS]
        return tables.Gains({}, kinds, settings, {"exec": rest_of_a_thread() * point.threads},
                            LARGEST_POPULATION)

    def gain_points(self):
        gains = self.gain_groups()
        points = [gains.point(point, kind) for point in gains.points for kind in gains.kinds]
        return [point for point in points if point]

    def gain_tables(self, kept):
        gains = self.gain_groups()
        gains.kept = kept
        return [gains.factors(), gains.why()], gains.lines()

    def points(self):
        of = {"rows": self.row_points, "gains": self.gain_points, "other-lock": self.other_points}
        return [point for part in self.args.parts for point in of[part]()]

    def tables(self, kept):
        """([Table], {file: text} of the contended lines)."""
        made, lines = [tables.designs(self.listed, self.more)], {}
        for part, of in (("rows", self.row_tables), ("gains", self.gain_tables),
                         ("other-lock", self.other_tables)):
            if part in self.args.parts:
                more, lines["lines-%s.txt" % part] = of(kept)
                made += more
        return made, lines


def recorded():
    """The lines of the recorded schedule, in words: of its sections, and of what was trapped."""
    lines = [line.split() for line in SCHEDULE.read_text(encoding="utf-8").splitlines() if line]
    return ([line for line in lines if line[0].isdigit()],
            [line for line in lines if line[0] == "trapped"])


def recorded_gap_ns():
    """The mean gap of the recorded schedule, in ns: what --think-ns scales."""
    sections, trapped = recorded()
    gaps, off = (sum(float(line[2]) for line in lines) for lines in (sections, trapped))
    return round(1000 * (gaps - off) / len(sections))


def rest_of_a_thread():
    """How many intervals of the library a process has at rest: a population of exec has no fewer
    than this for each thread."""
    most = now = 0
    for line in recorded()[0]:
        if line[3].startswith("libc."):
            now += sum({"I": 1, "R": -1}[step[0]] for step in line[4:])
            most = max(most, now)
    return most


# ---- files ----

MARKER = r"<!-- table: ([^\n]*?) -->\n.*?<!-- end -->"


def put_into(text, made, name):
    """The text with the tables between the markers `<!-- table: KEY -->` and `<!-- end -->`; what
    was not made this time stays. Raises: ValueError."""
    by_key = {table.key: tables.as_markdown(table) for table in made}
    if not re.search(MARKER, text, re.DOTALL):
        raise ValueError("%s: no '<!-- table: KEY -->' with an '<!-- end -->' in it" % name)
    if len(re.findall(MARKER, text, re.DOTALL)) != text.count("<!-- table: "):
        raise ValueError("%s: a '<!-- table: KEY -->' without an '<!-- end -->'" % name)

    def fill(found):
        table = by_key.get(found[1])
        return "<!-- table: %s -->\n\n%s\n<!-- end -->" % (found[1], table) if table else found[0]
    return re.sub(MARKER, fill, text, flags=re.DOTALL)


def merged(kept, command):
    machines = {}
    for point in kept.values():
        if point["results"]:
            machines.setdefault(point["machine"]["name"], point["machine"])
    results = [result for point in kept.values() for result in point["results"]]
    for result in results:
        result.get("provenance", {}).pop("cpus", None)
    return {"format": "cleave-results", "format_version": 1, "command": command,
            "machine": next(iter(machines.values()), None), "machines": list(machines.values()),
            "results": results}


def dense(merged_results):
    """JSON with a line a point."""
    head = {k: v for k, v in merged_results.items() if k != "results"}
    return json.dumps(head)[:-1] + ', "results": [\n' + ",\n".join(
        json.dumps(r) for r in merged_results["results"]) + "\n]}\n"


def older(kept, points, state):
    """How many of the points in the tables other sources or models made, or with another budget."""
    return sum(1 for p in points if p.key() in kept and not state.there(p))


def complain(line):
    print("cleave: arrangements: %s" % line, file=sys.stderr)


def tell(text):
    """To standard output. Raises: OSError that says so."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # What is left would be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OSError(error.errno, error.strerror, "standard output") from error


def points_kept(folder, wrong):
    """{key: object} of all that there are. Of a point that was run and went wrong the file, if it
    has one, is of another time: that it failed is in its place."""
    kept = sweep.read_all(folder, complain)
    for point, reason in wrong:
        kept[point.key()] = {"results": [], "sweep": {"wanted": point._asdict(), "failed": reason}}
    return kept


def write_tables(args, experiment, kept, made, lines):
    """Returns: what was written."""
    texts = {"tables.txt": "\n".join(map(tables.as_text, made[1:])),
             "tables.md": "\n".join(map(tables.as_markdown, made)), **lines,
             "results.json": dense(merged(kept, " ".join(["arrangements.py", *experiment.typed])))}
    for name, text in texts.items():
        sweep.write_whole(args.folder / name, text)
    return texts


def main(arguments):
    args = parse(arguments)
    text = Path(args.into).read_text(encoding="utf-8") if args.into else None
    if text is not None:
        put_into(text, [], args.into)
    program = sweep.Program(args.cleave)
    experiment = Experiment(args, arguments)
    points = list(dict.fromkeys(experiment.points()))
    for folder in [args.folder] + ([Path(os.path.realpath(args.into)).parent] if args.into else []):
        sweep.check_writable(folder)
    state = sweep.Sweep(program, args.folder, args.jobs, experiment.known(), args.force,
                        args.any_sources, sweep.progress())
    wrong = [] if args.tables else state.run(points)
    for point, reason in wrong:
        complain("%s, %s, %d CPUs: %s" % (point.machine, point.design, point.threads, reason))

    kept = points_kept(args.folder, wrong)
    made, lines = experiment.tables(kept)
    written = write_tables(args, experiment, kept, made, lines)
    if text is not None:
        sweep.write_whole(args.into, put_into(text, made, args.into))
    stale = older(kept, points, state) if args.tables else 0
    if stale:
        complain("%d of these points are of other sources, another model or budget: without "
                 "--tables they are run again" % stale)
    tell(written["tables.txt"] + "\nwritten: %s/%s\n" % (
        os.path.relpath(args.folder), ", ".join(written)))
    return 1 if wrong else 0


def interrupt(*_):
    raise KeyboardInterrupt


if __name__ == "__main__":
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) != signal.SIG_IGN:  # as under nohup
            signal.signal(ending, interrupt)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("\ncleave: arrangements: interrupted: every point that was done is kept, and the "
              "same command goes on", file=sys.stderr)
        sys.exit(130)
    except OSError as failed:
        sys.exit("cleave: arrangements: %s: %s" % (failed.filename, failed.strerror))
    except ValueError as failed:
        sys.exit("cleave: arrangements: %s" % failed)
