# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Points of simulated runs, each kept in a file of its own, so that a long sweep can be broken off
and gone on with: what harness/arrangements.py runs.

A file is what `cleave run` wrote, and a member "sweep": what was `wanted`, the digest of the
`sources` that the result depends on, and, if the program refused the point, what it said
(`cannot`) and the machine's `model_digest`. It holds good for as long as these are the same; of the
budget it is enough that it is no smaller than what is wanted, or was not used up. A result that is
not valid is not kept. A file is written whole or not at all."""
import concurrent.futures
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple, Union

SOURCE = Path(__file__).resolve().parents[1]
LINES_KEPT = 5


def decimal(share):
    """Without an exponent."""
    return ("%.6f" % share).rstrip("0").rstrip(".")


class Point(NamedTuple):
    machine: str
    design: str
    threads: int
    walks: float = 0.0
    workload: str = "exec"
    population: int = 6000
    think: Union[int, str] = "recorded"  # ns
    other_lock_ns: int = 0
    seeds: int = 1
    budget: int = 30  # million accesses a seed

    def key(self):
        """Which point it is, however long it was run: one file, one cell of a table."""
        return self._replace(budget=0)

    def file(self, folder):
        parts = [self.design.replace("/", "_").replace(":", "-"), "%d" % self.threads,
                 "walks-" + decimal(self.walks)]
        ours = {"workload": self.workload, "population": self.population, "think": self.think,
                "other-lock": self.other_lock_ns, "seeds": self.seeds}
        usual = {"workload": "exec", "population": 6000, "think": "recorded", "other-lock": 0,
                 "seeds": 1}
        parts += ["%s-%s" % (name, ours[name]) for name in ours if ours[name] != usual[name]]
        return Path(folder) / self.machine / (",".join(parts) + ".json")

    def arguments(self, machine):
        """`machine`: what the program knows it by, its name or its file."""
        words = ["run", self.design, "--machine", machine, "--threads", self.threads,
                 "--walks", decimal(self.walks), "--workload", self.workload,
                 "--population", self.population, "--repetitions", self.seeds,
                 "--budget", self.budget, "--jobs", 1, "--quiet", "--json", "/dev/stdout"]
        if self.workload == "exec":  # pairs have no gaps, and no other lock
            words += ["--think-ns", self.think]
            if self.other_lock_ns:
                words += ["--other-lock-ns", self.other_lock_ns]
        return [str(word) for word in words]


# ---- the program ----

def ask(cleave, *words):
    """The object that the program answers with. Raises: ValueError with its line."""
    try:
        done = subprocess.run([cleave, *words], capture_output=True, text=True, check=False)
    except OSError as error:
        raise ValueError("%s: %s" % (cleave, error.strerror)) from error
    if done.returncode:
        raise ValueError(reason_of(done.stderr) or "%s: status %d" % (cleave, done.returncode))
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise ValueError("%s: it does not answer as cleave does: '%s'" % (
            cleave, " ".join(words))) from error


def reason_of(stderr):
    lines = stderr.strip().splitlines()
    return lines[-1].removeprefix("cleave: ") if lines else ""


def machine_of(cleave, name):
    """The machine's object of a result: its counts and its model's digest."""
    run = ask(cleave, "run", "null_sink/one:rwsem", "--machine", name, "--think-ns", "0",
              "--repetitions", "1", "--budget", "1", "--jobs", "1", "--quiet", "--json",
              "/dev/stdout")
    try:
        if run["machine"]["simulated"]:
            return run["machine"]
    except (KeyError, TypeError) as error:
        raise ValueError("%s: it does not answer as cleave does: no machine" % cleave) from error
    raise ValueError("%s: not a simulated machine" % name)


class Program:
    """That it is the same from the first point to the last: else points would be kept with the
    digest of sources that others were built from."""

    def __init__(self, path):
        self.path, self.seen = path, None
        self.digest = self.digest_now()

    def digest_now(self):
        try:
            with open(self.path, "rb") as file:
                self.seen = self.stat()
                return hashlib.sha256(file.read()).digest()
        except OSError as error:
            raise ValueError("%s: %s" % (self.path, error.strerror)) from error

    def stat(self):
        found = os.stat(self.path)
        return found.st_ino, found.st_size, found.st_mtime_ns

    def check(self):
        """Raises: ValueError. Read again only if it was written again."""
        try:
            if self.stat() == self.seen or self.digest_now() == self.digest:
                return
        except (OSError, ValueError):
            pass
        raise ValueError("%s: it changed while points were run: every point that was done before "
                         "is kept, and the same command goes on" % self.path)


# ---- the sources a result depends on ----

class Sources:
    """Digests of what a point's run executes: library, workloads, engine, machine files, the
    defaults of `cleave run`, and what makes a result's numbers of what was counted; of structures,
    schemes and locks those of its design and those that these name. So the others, other commands,
    and what only prints may change without making the point anew."""
    ALL = ["include", "lib", "structures", "harness/machine", "harness/workloads"]
    BENCH = ["bench", "check", "cmd_run", "course", "findings", "histogram", "outcome", "placement",
             "pool", "range", "report_json", "report_simulated", "run", "run_options", "runner",
             "stats", "storm", "worker"]
    SUFFIXES = {".c", ".h", ".sh", ".build", ".json", ".txt"}

    def __init__(self, root=SOURCE):
        self.text = {}  # of each registered name, its file's
        self.digests = {}
        registered = set()
        for folder in ("structures", "lib/schemes", "lib/locks"):
            listed = (root / folder / "registry.def").read_text(encoding="utf-8")
            for name in re.findall(r"^C\w+\((\w+)\)", listed, re.MULTILINE):
                file = root / folder / (name + ".c")
                registered.add(file)
                self.text[name] = file.read_text(encoding="utf-8")
        common = [file for folder in self.ALL for file in (root / folder).rglob("*")
                  if file.suffix in self.SUFFIXES and file not in registered]
        common += [file for name in self.BENCH for file in (root / "harness").glob(name + ".[ch]")]
        self.common = hashlib.sha256()
        for file in sorted(common):
            self.common.update(str(file.relative_to(root)).encode() + b"\0" + file.read_bytes())

    def named_by(self, words):
        found, left = set(), set(words) & set(self.text)
        while left:
            name = left.pop()
            found.add(name)
            named = re.findall(r"\bclv_(?:lock|scheme)_(\w+)", self.text[name])
            left |= (set(named) & set(self.text)) - found
        return found

    def words(self, design):
        """What a design is made of. Names have dots where their files have underscores: of those
        that begin at a word the longest is meant."""
        found = []
        for part in re.split(r"[/:+@]", design):
            words = part.split(".")
            while words:
                for length in range(len(words), 0, -1):
                    name = "_".join(words[:length])
                    if name in self.text:
                        found.append(name)
                        break
                words = words[length:]
        return found

    def digest(self, point):
        words = self.words(point.design) + (["mutex"] if point.other_lock_ns else [])
        names = tuple(sorted(self.named_by(words)))
        if names not in self.digests:
            whole = self.common.copy()
            for name in names:
                whole.update(name.encode() + b"\0" + self.text[name].encode())
            self.digests[names] = whole.hexdigest()[:16]
        return self.digests[names]


# ---- what is kept ----

# What the tables take for granted of a result that is valid, and of its machine.
OF_RESULT = {"design": str, "structure": str, "threads": int, "subsets": int, "keeps": list,
             "ops_per_s": dict, "time_share": dict, "fairness_jain": (int, float),
             "contended_lines": list, "transfers_per_op": dict}
OF_MACHINE = {"name": str, "nodes": int, "model_digest": str}


def has(found, members):
    return all(isinstance(found[name], kind) for name, kind in members.items())


def is_whole(kept):
    """Raises what a look into an object of another form raises."""
    point = Point(**kept["sweep"]["wanted"])
    if not has(point._asdict(), {name: kind for name, kind in (
            ("machine", str), ("design", str), ("threads", int), ("walks", (int, float)),
            ("workload", str), ("population", int), ("think", (int, str)), ("other_lock_ns", int),
            ("seeds", int), ("budget", int))}):
        return False
    if not kept["results"]:
        return isinstance(kept["sweep"]["cannot"], str)
    result, = kept["results"]
    if not result["valid"]:
        return isinstance(result["why"], str)
    return (has(result, OF_RESULT) and has(kept["machine"], OF_MACHINE) and
            has(result["ops_per_s"], {"median": (int, float), "samples": list}) and
            has(result["time_share"], dict.fromkeys(("wait", "inside", "outside"), (int, float))))


def read_point(file, say=None):
    """The object in a point's file; None: there is none, or it is none, which `say` is told."""
    try:
        kept = json.loads(Path(file).read_text(encoding="utf-8"))
        if is_whole(kept):
            return kept
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    if say:
        say("%s: not a point, and left out" % file)
    return None


def is_short(kept):
    """A larger budget would have made another result of it. What ended by itself it would not."""
    return any(result.get("label") == "short" for result in kept["results"])


def read_all(folder, say=None):
    """{key: object} of every point in the folder."""
    found = {}
    for file in sorted(Path(folder).glob("*/*.json")):
        kept = read_point(file, say)
        if kept:
            found[Point(**kept["sweep"]["wanted"]).key()] = kept
    return found


def check_writable(folder):
    """Make the folder. Raises: OSError, if there can be no file in it."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def write_whole(file, text):
    """Where the file is a link, to what it stands for. Raises: OSError with the file's name."""
    there = Path(os.path.realpath(file))
    draft = there.with_name(".%s.%d" % (there.name, os.getpid()))
    try:
        there.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, there)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(file)) from error
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


class Sweep:
    """Runs points that are not there, on `machines`: {name: (what the program knows it by, its
    model's digest)}. `say` gets a line about how far it is, now and then."""

    def __init__(self, program, folder, jobs, machines, force=False, any_sources=False, say=None):
        self.program, self.folder, self.jobs = program, Path(folder), jobs
        self.machines, self.force, self.any_sources = machines, force, any_sources
        self.say = say or (lambda line: None)
        self.sources = Sources()
        self.running, self.guard, self.stopped = set(), threading.Lock(), False
        self.took = {}  # seconds of those run, by threads and seeds

    def there(self, point):
        kept = read_point(point.file(self.folder))
        if not kept or self.force:
            return False
        sweep, was = kept["sweep"], Point(**kept["sweep"]["wanted"])
        if was.key() != point.key() or was.budget < point.budget and is_short(kept):
            return False
        if kept["results"] and not kept["results"][0]["valid"]:
            return False
        of = kept["machine"] if kept["results"] else sweep
        return (self.any_sources or sweep.get("sources") == self.sources.digest(point)) and \
            of.get("model_digest") == self.machines[point.machine][1]

    def run_one(self, point):
        """Returns: what went wrong; None: nothing, the point is in its file."""
        with self.guard:
            if self.stopped:
                return None
            self.program.check()
            # A session of its own: what a terminal sends to all of us would end it in the middle.
            words = point.arguments(self.machines[point.machine][0])
            child = subprocess.Popen([self.program.path, *words], stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True, start_new_session=True)
            self.running.add(child)
        started = time.monotonic()
        out, err = child.communicate()
        with self.guard:
            self.running.discard(child)
            if self.stopped:
                return None
            self.program.check()
            self.took.setdefault((point.threads, point.seeds), []).append(
                time.monotonic() - started)
        return self.keep(point, child.returncode, out, err)

    def keep(self, point, status, out, err):
        sweep = {"wanted": point._asdict(), "sources": self.sources.digest(point)}
        if status == 2:
            kept = {"format": "cleave-results", "format_version": 1, "results": [],
                    "sweep": {**sweep, "cannot": reason_of(err),
                              "model_digest": self.machines[point.machine][1]}}
        else:
            try:
                kept = {**json.loads(out), "sweep": sweep}
                whole = is_whole(kept)
                result, = kept["results"]
            except (ValueError, KeyError, TypeError, AttributeError):
                return "status %d: %s" % (status, reason_of(err) or "no result")
            if not whole:
                return "status %d: not the result of a simulated run" % status
            if not result["valid"]:
                return "no number: " + result["why"]
            if status:
                return "status %d: %s" % (status, reason_of(err))
            result["contended_lines"] = result["contended_lines"][:LINES_KEPT]
        write_whole(point.file(self.folder), json.dumps(kept) + "\n")
        return None

    def seconds_left(self, points):
        """A guess from those that were run; None: there is none yet."""
        every = [seconds for took in self.took.values() for seconds in took]
        if not every:
            return None
        total = 0
        for point in points:
            took = self.took.get((point.threads, point.seeds), every)
            total += sum(took) / len(took)
        return total / self.jobs

    def tell(self, left, there, whole):
        seconds = self.seconds_left(left)
        self.say("%d points left of %d, %d there before%s" % (
            len(left), whole, there,
            "" if seconds is None or not left else ", about %d min %02d s" % divmod(
                round(seconds), 60)))

    def run(self, points):
        """Returns: [(point, what went wrong)]. Raises: KeyboardInterrupt, all children ended."""
        points = list(dict.fromkeys(points))
        left = dict.fromkeys(point for point in points if not self.there(point))
        there, wrong = len(points) - len(left), []
        self.tell(left, there, len(points))
        pool = concurrent.futures.ThreadPoolExecutor(self.jobs)
        try:
            future = {pool.submit(self.run_one, point): point for point in left}
            for done in concurrent.futures.as_completed(future):
                point = future[done]
                if done.result():
                    wrong.append((point, done.result()))
                del left[point]
                self.tell(left, there, len(points))
        except BaseException:
            self.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return wrong

    def stop(self):
        with self.guard:
            self.stopped = True
            for child in self.running:
                try:
                    os.killpg(child.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


def progress(stream=sys.stderr):
    """A `say` for Sweep: one line, over and over; where it is no terminal, every 20 s."""
    last = [0.0]

    def say(line):
        if stream.isatty():
            stream.write("\r\033[K" + line + ("\n" if line.startswith("0 ") else ""))
        elif line.startswith("0 ") or time.monotonic() - last[0] >= 20:
            last[0] = time.monotonic()
            stream.write(line + "\n")
        stream.flush()
    return say
