# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What cleave bench-locks says, and how it is refused; never how fast anything was."""
import json

from program import case, cleave, fine, listed, names, one_line, refused


def bench_locks(*args):
    return json.loads(fine("bench-locks", *args, "--json", "/dev/stdout", "--quiet"))


@case
def locks_beside_references():
    found = bench_locks("--repetitions", 6, "--budget-us", 1)
    assert found["format"] == "cleave-locks" and found["format_version"] == 1, found
    rows = {row["lock"]: row for row in found["results"]}
    assert len(rows) == len(found["results"]) and set(names("locks")) < set(rows), list(rows)
    known = {entry["name"]: entry for entry in listed("locks")}
    for name, row in rows.items():
        assert row["valid"] and row["bytes"] > 0 and row["bytes_on_many_cpus"] > 0, row
        entry = known.get(name) or known.get(name.split(".")[0], {"shared": False})
        assert ("shared" in row) == entry["shared"], row
        for mode in {"exclusive", "try", "shared", "try_shared"} & set(row):
            cell = row[mode]
            assert cell["low"] <= cell["median"] <= cell["high"], cell
            assert name == "none" or mode != "exclusive" or cell["reference"], cell
            for key in ("reference_called", "reference_inlined", "ratio_to_called",
                        "ratio_to_inlined") if "reference" in cell else ():
                assert 0 < cell[key]["low"] <= cell[key]["median"] <= cell[key]["high"], cell
            # Of what sleeps in all modes, of what spins exclusive.
            floor = name not in ("none", "floor") and (row["sleeps"] or "shared" not in mode)
            assert ("floor" in cell) == ("ratio_to_floor" in cell) == floor, (name, mode, cell)
            for key in ("floor", "ratio_to_floor") if floor else ():
                assert 0 < cell[key]["low"] <= cell[key]["median"] <= cell[key]["high"], cell
    assert list(rows)[-1] == "floor" and rows["floor"]["exclusive"]["reference"] == "floor", rows
    assert set(found["machine"]) == {"processor", "cpus"}, found["machine"]
    assert "reference" not in rows["none"]["exclusive"], rows["none"]
    assert rows["mcs"]["exclusive"]["reference"] == "ck_spinlock_mcs", rows["mcs"]
    assert rows["mcs"]["fifo"] and rows["mcs"]["spins"] and not rows["mcs"]["sleeps"], rows["mcs"]
    assert rows["rwsem"]["shared"]["reference"] == "pthread_rwlock", rows["rwsem"]


@case
def locks_by_name():
    found = bench_locks("cohort.ticket.package", "mcs", "--repetitions", 1, "--budget-us", 1)
    rows = {row["lock"]: row for row in found["results"]}
    assert list(rows) == ["cohort.ticket.package", "mcs", "floor"], rows
    cell = rows["cohort.ticket.package"]["exclusive"]
    assert cell["reference"] == "ck_cohort, ticket" and "low" not in cell, cell
    # Two sockets there: a line for the global lock and three a domain, and the lock itself.
    assert rows["cohort.ticket.package"]["bytes_on_many_cpus"] > 7 * 64, rows
    text = fine("bench-locks", "mcs", "--repetitions", 6, "--budget-us", 1, "--quiet")
    for word in ("exclusive, by a try", "ck_spinlock_mcs", "inlined", "floor", "FIFO"):
        assert word in text, text
    assert "best" not in text, text


@case
def lock_tables_end_where_they_end():
    for locks in ([], ["none"], ["clh", "ck_rwlock"]):
        text = fine("bench-locks", *locks, "--repetitions", 6, "--budget-us", 1, "--quiet")
        assert not [line for line in text.splitlines() if line != line.rstrip()], text
    # A column stands where its heading does.
    heading, *rows = text.split("\nexclusive\n")[1].split("\n\n")[0].splitlines()
    assert [row.split()[0] for row in rows] == ["clh", "ck_rwlock", "floor"], rows
    for row in rows:
        for column in ("reference", "ratio: floor", "ratio: called", "to inlined"):
            at = heading.index(column)
            assert row[at - 1] == " " and row[at] != " ", (column, row)
        for column in ("ns", " floor", "called", "inlined"):
            after = heading.index(column) + len(column)
            assert row[after - 1] != " " and row[after] == " ", (column, row)


@case
def empty_maps():
    found = bench_locks("--memory")
    assert "results" not in found, found
    rows = {row["rest"]: row for row in found["memory"]}
    assert len(rows) == len(found["memory"]), rows
    schemes = {rest[1:].split(":")[0].split(".")[0] for rest in rows}
    assert schemes == set(names("schemes")), schemes
    for lock in names("locks"):
        row = rows["/one:" + lock]
        assert [at["subsets"] for at in row["by_subsets"]] == [1, 12, 48, 384], row
        sizes = [at["bytes"] for at in row["by_subsets"]]
        assert sizes == sorted(set(sizes)), row
    assert "  1        12        48       384" in fine("bench-locks", "--memory").splitlines()[1]
    for row in found["memory"]:
        assert len(row["by_subsets"]) == 4 or row["why"], row
    each, one = (rows[f"/{scheme}:rwsem"]["by_subsets"][3]["bytes"] for scheme in ("each", "one"))
    assert each > one, (each, one)
    text = fine("bench-locks", "--memory")
    assert "rb_vma on hygon-12n384" in text and "/one:rwsem " in text, text
    free = bench_locks("--memory", "--structure", "skiplist_lazy")["memory"]
    assert next(row for row in free if row["rest"] == "/free")["by_subsets"], free


@case
def locks_refused():
    refused("bench-locks", "no_such", words=["no_such"])
    refused("bench-locks", "mcs.x", words=["mcs", "'x'"])
    refused("bench-locks", "cohort.x", words=["cohort", "'x'"])
    refused("bench-locks", "cohort.", words=["cohort."])
    refused("bench-locks", "mcs", "mcs", words=["twice", "mcs"])
    refused("bench-locks", "--memory", "mcs", words=["--memory", "mcs"])
    refused("bench-locks", "--structure", "no_such", words=["no_such"])
    refused("bench-locks", "--repetitions", "0", words=["--repetitions"])
    refused("bench-locks", "--budget-us", "x", words=["--budget-us"])
    refused("bench-locks", "--cpu", 1 << 20, words=["--cpu"])
    one_line(cleave("bench-locks", "--json", "/no/such/folder/x.json"), "/no/such/folder")
    # At once: a second for each form of each lock, 201 times, would take hours.
    for command in (["bench-locks", "--budget-us", 1000000], ["bench-locks", "--memory"],
                    ["bench-structures", "--all"], ["validate"]):
        refused(*command, "--json", "", words=["no file name", "--json"])
    refused("bench-locks", "mcs", "--structure", "rb_vma",
            words=["only with --memory", "--structure"])
    for option in ("--cpu", "--repetitions", "--budget-us", "--seed"):
        for args in ((option, 1, "--memory"), ("--memory", option, 1)):
            refused("bench-locks", *args, words=["--memory measures no time", option])
