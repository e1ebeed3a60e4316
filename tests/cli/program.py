# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What the cases share: the program, run and looked at, and the list of cases.

Runs are as short as can be: what is checked is what they say about themselves, never how fast
anything was. On a busy machine a short window may pass without a thread having run; such a run is
done again with a longer one."""
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLEAVE = os.path.abspath(sys.argv[1])
SOURCE = Path(__file__).resolve().parents[2]
RECORDING = SOURCE / "harness/workloads/data/execl-schedule.txt"
TOPOLOGIES = SOURCE / "tests/data/topology"
KINDS = ["structures", "partitions", "schemes", "locks", "designs", "workloads", "machines",
         "parameters", "placements"]
CPUS = sorted(os.sched_getaffinity(0))
# A process under the thread sanitizer has no room where simulated memory is.
SIMULATES = os.environ.get("CLEAVE_SANITIZE") != "thread"
SHORT = ["--repetitions", "6", "--warm-up-ms", "1", "--quiet"]

cases = []


def case(function):
    cases.append(function)
    return function


def case_that_simulates(function):
    return case(function) if SIMULATES else function


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
        result = cleave("run", *SHORT, "--window-ms", window_ms, *args, **options)
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
        path = Path(super().__enter__())
        path.chmod(0o755)
        return path


@contextlib.contextmanager
def other_user():
    """Options that run the program as somebody whom permissions hold: nobody, if we are root."""
    def drop():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    if os.geteuid() != 0:
        yield {}
        return
    with Folder() as folder:
        copy = shutil.copy(CLEAVE, folder / "cleave")
        yield {"preexec_fn": drop, "executable": copy}


def put(path, contents):
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return path


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
        except Exception as error:  # whatever it is, the next case still runs
            failed += 1
            reason = f"{type(error).__name__}: {error}"
            print("FAIL", function.__name__, reason, flush=True)
    print(f"{passed} passed, {failed} failed, in {time.monotonic() - started:.0f} s")
    sys.exit(1 if failed or not passed else 0)
