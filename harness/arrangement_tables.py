# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The tables of harness/arrangements.py, from the points that harness/sweep.py keeps. Nothing is
run here, and of a point that is not there a table says "-"."""
import math
import re
import statistics
from typing import NamedTuple

# Two-sided 95 % points of Student's t, by degrees of freedom.
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306,
           9: 2.262}


class Table(NamedTuple):
    key: str  # of the marker that it goes under
    title: str
    head: list
    rows: list
    notes: tuple = ()
    words: bool = False  # no numbers in it


def as_text(table):
    body = [table.head] + table.rows
    width = [max(len(row[i]) for row in body) for i in range(len(table.head))]
    lines = ["", table.title, ""]
    lines += ["  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                        for i, (cell, w) in enumerate(zip(row, width))).rstrip() for row in body]
    return "\n".join(lines + list(table.notes)) + "\n"


def as_markdown(table):
    rule = "---" if table.words else "--:"
    body = [table.head, ["---"] + [rule] * (len(table.head) - 1)] + table.rows
    lines = ["**%s**" % table.title, ""]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in body]
    return "\n".join(lines + [line for note in table.notes for line in ("", note)]) + "\n"


# ---- one point ----

def result_of(kept):
    """The point's result; None: there is no valid one."""
    if not kept or not kept["results"] or not kept["results"][0]["valid"]:
        return None
    return kept["results"][0]


def why_not(kept):
    """Why there is no number; None: it was not run."""
    if not kept:
        return None
    if "failed" in kept["sweep"]:
        return "failed: " + kept["sweep"]["failed"]
    if "cannot" in kept["sweep"]:
        reason = re.sub(r"^design '[^']*': (character \d+: )?", "", kept["sweep"]["cannot"])
        return "cannot run: " + reason.split("; known:")[0]
    return None if kept["results"][0]["valid"] else "no number: " + kept["results"][0]["why"]


def rate(result):
    return result["ops_per_s"]["median"]


def figure(value, digits=3):
    """Three digits, and never an exponent."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    rounded = abs(float("%.*e" % (digits - 1, value)))  # 0.9996 is one of 1.00
    decimals = max(0, digits - 1 - math.floor(math.log10(rounded)))
    return "%.*f" % (min(decimals, 4), value)


def mark(*results):
    """'~': at least one is short (its accesses were used up); '!': before the first walk."""
    short = any(result.get("label") == "short" for result in results)
    walked = all(result.get("walks_per_s") or not result.get("walks") for result in results)
    return ("" if walked else "!") + ("~" if short else "")


def ratio(over, under):
    return rate(over) / rate(under) if over and under and rate(under) else None


def mean_us(result, what):
    took = (result.get("acquisition") or {}).get(what)
    return took["mean"] / 1e3 if took else None


def lacks(result):
    missing = [c for c in ("C%d" % i for i in range(1, 9)) if c not in result["keeps"]]
    if not missing:
        return ""
    return " (not %s)" % ("C1-C8" if len(missing) == 8 else " ".join(missing))


def how(kept):
    """How long these runs were, and whose program they were: a note, or none."""
    kept = [k for k in kept if result_of(k)]
    if not kept:
        return ()
    budgets = sorted({k["sweep"]["wanted"]["budget"] for k in kept})
    commits = sorted({k["results"][0].get("provenance", {}).get("commit", "unknown") for k in kept})
    return ("Runs of at most %s million accesses, ~ where they were used up before the run was "
            "good enough, ! before its first walk; commit %s." % (
                " or ".join(map(str, budgets)), ", ".join(commits)),)


class Reasons:
    """Why cells have no number: said below the table, each once."""

    def __init__(self):
        self.of = {}

    def cell(self, name, kept, reason=None):
        reason = reason or why_not(kept)
        if not reason:
            return "-"
        self.of.setdefault(reason, dict.fromkeys([name]))[name] = None
        return reason.split(":")[0]

    def notes(self):
        return tuple("%s: %s" % ("; ".join(names), reason) for reason, names in self.of.items())


def arrangement(design):
    """Partition, scheme and lock: what is left without the structure."""
    structure = design.replace("@", "/", 1).split("/", 1)[0]
    return design[len(structure):]


# ---- rows x CPUs, and what the most CPUs spend their time on ----

class Rows:
    """The points of one machine and share of walks: `at(design, threads)`."""

    def __init__(self, kept, names, point, threads):
        self.kept, self.names, self.point, self.threads = kept, names, point, threads
        self.most = max(threads)

    def at(self, design, threads=None):
        return self.kept.get(self.point._replace(
            design=design, threads=threads or self.most).key())

    def result(self, design, threads=None):
        return result_of(self.at(design, threads))

    def title(self, name, design):
        """With what it does not keep, and that nothing is split, where that is so."""
        results = [r for r in (self.result(design, t) for t in self.threads) if r]
        text = name + (lacks(results[0]) if results else "")
        if results and results[0].get("subsets") == 1 and "@" in design:
            text += " [one subset here]"
        return text

    def how(self):
        return how(self.at(d, t) for _, d in self.names for t in self.threads)

    def nodes(self, design):
        return self.at(design)["machine"]["nodes"]

    def what(self):
        return "%s (simulated), exec, %s think time, walks %g %%" % (
            self.point.machine, self.point.think, 100 * self.point.walks)


def rate_cell(result, under):
    return "%s%s (%s)" % (mark(result), figure(rate(result) / 1e6), figure(ratio(result, under)))


def throughput(rows):
    base, body, reasons = rows.names[0][1], [], Reasons()
    for name, design in rows.names:
        cells = []
        for threads in rows.threads:
            result = rows.result(design, threads)
            cells.append(rate_cell(result, rows.result(base, threads)) if result else
                         reasons.cell(name, rows.at(design, threads)))
        body.append([rows.title(name, design)] + cells)
    return Table("throughput %s walks %g" % (rows.point.machine, rows.point.walks),
                 rows.what() + ": M operations/s (x baseline)",
                 ["CPUs"] + ["%d" % t for t in rows.threads], body,
                 (*rows.how(), *reasons.notes()))


def best_bound(rows):
    sinks = [rows.result(d) for _, d in rows.names if d.startswith("null_sink")]
    return max((r for r in sinks if r), key=rate, default=None)


def part(result, bound):
    share = ratio(result, bound)
    return "-" if share is None else figure(100 * share)


SHARES = {"wait": "wait%", "handover": "hand-over%", "inside": "inside%", "outside": "outside%"}
TIMES = {"hold_ns": "hold us", "handover_ns": "hand-over us", "wait_ns": "wait us"}


def detail_row(rows, design, result, best):
    share, by_node = result["time_share"], result.get("fairness_by_node")
    width, walks = result.get("half_width"), result.get("walks_per_s")
    return [mark(result) + figure(rate(result) / 1e6),
            "-" if width is None else figure(100 * width, 2),
            figure(ratio(result, rows.result(rows.names[0][1]))),
            figure(walks["median"] / 1e3 if walks else None),
            *("%.1f" % (100 * share[k]) if k in share else "-" for k in SHARES),
            *(figure(mean_us(result, k)) for k in TIMES),
            figure((result.get("transfers_per_op") or {}).get("all")),
            part(result, rows.result("null_sink" + arrangement(design))), part(result, best),
            "%.3f" % result["fairness_jain"],
            figure(by_node["ratio"], 2) if by_node and rows.nodes(design) > 1 else "-"]


def nearest(rows, best):
    """In a line each, which row that keeps all comes nearest to the bound: of the baseline's
    structure, of all."""
    found = {design: rows.result(design) for _, design in rows.names
             if not design.startswith("null_sink") and rows.result(design)
             and not lacks(rows.result(design))}
    structure = re.split("[@/]", rows.names[0][1])[0]
    plain = {d: r for d, r in found.items() if re.split("[@/]", d)[0] == structure}
    notes = []
    for what, among in (("of " + structure, plain), ("of all", found)):
        if best and among:
            design = max(among, key=lambda d: rate(among[d]))
            notes.append("nearest to the best bound, %s that keep C1-C8: %s, %s%s %%" % (
                what, design, mark(among[design]), part(among[design], best)))
    return notes


def detail(rows):
    head = ["", "M ops/s", "+-%", "x baseline", "k walks/s", *SHARES.values(), *TIMES.values(),
            "lines/op", "% of own bound", "% of best bound", "Jain", "slowest/fastest node"]
    best, body, reasons = best_bound(rows), [], Reasons()
    for name, design in rows.names:
        result = rows.result(design)
        cells = detail_row(rows, design, result, best) if result else \
            [reasons.cell(name, rows.at(design))] + ["-"] * (len(head) - 2)
        body.append([rows.title(name, design)] + cells)
    notes = ["best bound: %s, %s%s M operations/s" % (best["design"], mark(best), figure(
        rate(best) / 1e6))] if best else []
    return Table("detail %s walks %g" % (rows.point.machine, rows.point.walks),
                 "%s, %d CPUs: where the time goes" % (rows.what(), rows.most), head, body,
                 (*notes, *nearest(rows, best), *rows.how(), *reasons.notes()))


LINES_HEAD = "moves | of them from beyond the node | ns an acquisition (they may overlap) | " \
    "how many lines | what\n"


def lines_of(title, kept):
    """The costliest cache lines of a point, as text."""
    result = result_of(kept)
    if not result:
        return "\n%s: %s\n" % (title, why_not(kept) or "not run")
    count = (result.get("acquisition") or {}).get("count")
    text = ["\n%s: %s%s M operations/s; %s" % (
        title, mark(result), figure(rate(result) / 1e6),
        "each of {:,} acquisitions moves".format(count) if count else "all in all move")]
    for line in result["contended_lines"]:
        text.append("  %9s  %4.0f %% far  %8s ns  %5d  %s" % (
            figure(line["transfers"] / (count or 1)), 100 * line["far_share"],
            figure(line.get("ns_per_acquisition")), line["lines"], line["name"]))
    return "\n".join(text) + "\n"


def lines(rows):
    """Of each row, at the most CPUs."""
    other = rows.point.other_lock_ns
    return "%s, %d CPUs%s\n%s%s\n" % (
        rows.what(), rows.most, ", another global lock held %d ns an exec" % other if other else "",
        LINES_HEAD, "".join(lines_of(name, rows.at(design)) for name, design in rows.names))


# ---- with another global lock ----

def other_lock(groups):
    """`groups`: the same rows beside locks held for different times."""
    rows, body, reasons = groups[0], [], Reasons()
    for name, design in rows.names:
        cells = []
        for at in groups:
            result = at.result(design)
            cells.append(rate_cell(result, at.result(rows.names[0][1])) if result else
                         reasons.cell(name, at.at(design)))
        body.append([rows.title(name, design)] + cells)
    times = [at.point.other_lock_ns for at in groups]
    return Table("other-lock", "%s, %d CPUs, another global lock held so long an exec: "
                 "M operations/s (x baseline)" % (rows.what(), rows.most),
                 [""] + ["%d ns" % ns if ns else "none" for ns in times], body,
                 (*how(at.at(d) for at in groups for _, d in rows.names), *reasons.notes()))


# ---- is the gain of split trees random? ----

def gain(over, under):
    """Mean ratio and its 95 % interval, seed by seed, of samples whose logarithms are normal.
    Returns: (mean, low, high), low and high None for one seed; None: no samples to pair."""
    if not over or not under:
        return None
    pairs = list(zip(over["ops_per_s"]["samples"], under["ops_per_s"]["samples"]))
    if not pairs or any(a <= 0 or b <= 0 for a, b in pairs):
        return None
    logs = [math.log(a / b) for a, b in pairs]
    mean = statistics.fmean(logs)
    if len(logs) < 2:
        return math.exp(mean), None, None
    half = STUDENT[len(logs) - 1] * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def show_gain(over, under):
    found = gain(over, under)
    if not found:
        return "-"
    flag = mark(over, under)
    if found[1] is None:
        return flag + figure(found[0])
    same = " =" if found[1] <= 1 <= found[2] else ""
    return "%s%s [%s, %s]%s" % (flag, figure(found[0]), figure(found[1]), figure(found[2]), same)


def busy_locks(result):
    """How many locks are held or handed over at once, on average."""
    if not result:
        return None
    share = result["time_share"]
    return result["threads"] * (share["inside"] + share.get("handover", 0))


def setting(point):
    return "%s, %s, %s" % (point.workload, "{:,}".format(point.population),
                           {"recorded": "recorded", 0: "none"}.get(point.think,
                                                                   "%s ns" % point.think)
                           if point.workload == "exec" else "no gaps")


COLUMN = {"whole": "whole", "hashed": "by hash", "split": "split", "small": "fewer",
          "large": "more"}


class Gains:
    """`kinds`: {word: (design, factor of the population)}, `points`: one for each setting. `least`,
    by workload, and `most`: the populations that there can be, and that are run."""

    def __init__(self, kept, kinds, points, least=None, most=math.inf):
        self.kept, self.kinds, self.points = kept, kinds, points
        self.least, self.most = least or {}, most

    def population(self, point, kind):
        """That of the factor, or as near to it as can be."""
        wanted = round(point.population * self.kinds[kind][1])
        return max(wanted, min(point.population, self.least.get(point.workload, 0)))

    def why_none(self, point, kind):
        """Why it is not run at all; None: it is."""
        population = self.population(point, kind)
        if population > self.most:
            return "not run: %s intervals are more than %s" % tuple(
                "{:,}".format(n) for n in (population, self.most))
        if self.kinds[kind][1] < 1 and population == point.population:
            return "no fewer: {:,} are the fewest that {} can have at {:,} CPUs".format(
                population, point.workload, point.threads)
        return None

    def point(self, point, kind):
        """None: it is not run."""
        return None if self.why_none(point, kind) else point._replace(
            design=self.kinds[kind][0], population=self.population(point, kind))

    def at(self, point, kind):
        found = self.point(point, kind)
        return self.kept.get(found.key()) if found else None

    def result(self, point, kind):
        return result_of(self.at(point, kind))

    def show(self, point, over, under, reasons):
        """The gain of a kind over another, or in a word why there is none."""
        of = {kind: self.result(point, kind) for kind in (over, under)}
        if all(of.values()):
            return show_gain(of[over], of[under])
        cells = [reasons.cell("%s, %s" % (setting(point), COLUMN[kind]), self.at(point, kind),
                              self.why_none(point, kind)) for kind in of if not of[kind]]
        return next((cell for cell in cells if cell != "-"), "-")

    def factors(self):
        head = ["workload, intervals, think time", "split / whole", "= shorter trees", "x by node",
                "= shorter holds", "x busy locks", "whole, fewer / whole", "split, more / whole"]
        body, reasons = [], Reasons()
        for point in self.points:
            cells = [self.show(point, over, under, reasons) for over, under in (
                ("split", "whole"), ("hashed", "whole"), ("split", "hashed"),
                ("small", "whole"), ("large", "whole"))]
            cells[3:3] = self.holds(*(self.result(point, kind) for kind in ("whole", "split")))
            if self.result(point, "small"):
                cells[5] += self.other_share(point)
            body.append([setting(point)] + cells)
        parts = round(self.kinds["large"][1])
        return Table("gains", "%s, %d CPUs: what split trees under one lock give, and of what" % (
            self.points[0].machine, self.points[0].threads), head, body, (
            "split: %s; whole: %s; shorter trees: %s over whole; by node: split over that." % (
                self.kinds["split"][0], self.kinds["whole"][0], self.kinds["hashed"][0]),
            "shorter holds: time that a lock is held or handed over for an operation, whole over "
            "split; busy locks: how many are so at once, split over whole. Their product is the "
            "quotient of the median rates; split / whole is the geometric mean of ratios.",
            "fewer: the whole tree with 1/%d of the intervals, or as few as there can be, where "
            "another number is in (); more: split trees with %d times as many, each as large as "
            "the whole one." % (parts, parts),
            "Intervals: 95 %, paired by seed; = where that holds 1.",
            *how(self.at(p, kind) for p in self.points for kind in self.kinds),
            *reasons.notes()))

    def other_share(self, point):
        """How many fewer, where that is not as many as the factor says."""
        population = self.population(point, "small")
        wanted = round(point.population * self.kinds["small"][1])
        return "" if population == wanted else " ({:,})".format(population)

    @staticmethod
    def holds(whole, split):
        """The gain in two factors: how much shorter an operation keeps a lock busy, and how many
        more are busy at once. Their product is the quotient of the median rates."""
        busy = [busy_locks(result) for result in (whole, split)]
        if not all(busy):
            return ["-", "-"]
        return [figure(busy[0] / rate(whole) / (busy[1] / rate(split))), figure(busy[1] / busy[0])]

    def why(self):
        head = ["workload, intervals, think time", "trees", "intervals a tree", "log2", "M ops/s",
                "waiting%", "busy locks", "hold us", "hand-over us", "lines moved in a hold",
                "of them far", "lines/op"]
        body = []
        for point in self.points:
            for kind in ("whole", "hashed", "split", "bound"):
                result = self.result(point, kind)
                if result:
                    body.append([setting(point), self.title(kind)] + self.why_row(point, result))
        return Table("gains why", "%s, %d CPUs: the holds behind it" % (
            self.points[0].machine, self.points[0].threads), head, body)

    def lines(self):
        return LINES_HEAD + "".join(
            lines_of("%s, %s tree" % (setting(point), self.title(kind)), self.at(point, kind))
            for point in self.points for kind in ("whole", "hashed", "split", "bound")
            if self.at(point, kind))

    def title(self, kind):
        return {"whole": "one", "hashed": "by hash", "split": "by node", "bound": "no"}[kind]

    @staticmethod
    def why_row(point, result):
        each = point.population / result["subsets"]
        tree = result["structure"] != "null_sink"
        inside = (result.get("transfers_per_acquisition") or {}).get("inside", {})
        by = {}
        for kind in inside.values():
            for distance, moved in kind.items():
                by[distance] = by.get(distance, 0) + moved
        share = result["time_share"]
        return ["{:,.0f}".format(each) if tree else "-",
                "%.1f" % math.log2(each + 1) if tree else "-",
                mark(result) + figure(rate(result) / 1e6),
                "%.1f" % (100 * share["wait"]), figure(busy_locks(result)),
                figure(mean_us(result, "hold_ns")), figure(mean_us(result, "handover_ns")),
                figure(sum(by.values())) if by else "-",
                figure(by["package"] + by["remote"]) if by else "-",
                figure(result["transfers_per_op"]["all"])]


# ---- what the rows are ----

def designs(listed, more):
    """`listed`: of `cleave list designs --json`; `more`: {string: what it is}."""
    body = [[d["name"], "`%s`" % d["design"], d["summary"], d["proposed_by"],
             ("C1-C8" if len(d["keeps"]) == 8 else " ".join(d["keeps"])) if d["available"]
             else "not available: " + d["missing"]] for d in listed]
    body += [["", "`%s`" % design, what, "cleave", ""] for design, what in more.items()]
    return Table("designs", "The rows", ["row", "design", "", "proposed by", "keeps"], body,
                 words=True)
