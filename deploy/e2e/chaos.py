#!/usr/bin/env python3
"""Faults on real processes, the short run: each thing that the scenarios of `deploy/chaos.sh --short`
expect is a case; and what is planted in the last one's history is found: a stale read, and a write that
the log does not have."""

import json
import os
import re
import subprocess
import sys
import tempfile

import harness

LIMIT_S = 600  # for all scenarios: about 120 s, and room for a slow machine


def holds(what, well):
    assert well, f"does not hold: {what}"


def is_linearizable_get(record):
    return (record["op"] == "get" and record.get("mode") == "linearizable"
            and record.get("outcome") == "ok" and record.get("mod_revision", 0) > 0)


def plant_stale_read(records):
    """Gives a linearizable read what an earlier one of its key saw, which had been overwritten: data
    and revision fit each other, only the time is wrong."""
    earlier = {}  # by key: the read that returned first
    for record in records:
        if not is_linearizable_get(record):
            continue
        first = earlier.setdefault(record["key"], record)
        if (first["return"] < record["invoke"]
                and first["mod_revision"] < record["mod_revision"]):
            for field in ("value", "revision", "mod_revision"):
                record[field] = first[field]
            return
    raise AssertionError("no two reads of one key that differ")


def plant_lost_write(records):
    """Gives an acknowledged write a value that no log has."""
    puts = [r for r in records if r["op"] == "put" and r.get("outcome") == "ok"]
    puts[len(puts) // 2]["value"] = "0.0"


def finds_planted(folder, plant, rule, *more):
    with open(os.path.join(folder, "history.jsonl"), encoding="utf-8") as f:
        records = [json.loads(line) for line in f]
    plant(records)
    planted = os.path.join(folder, "planted.jsonl")
    with open(planted, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(record) + "\n" for record in records)
    done = subprocess.run([os.path.join(harness.BIN_DIR, "coppice-loadgen"), "check", planted, *more],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done
    assert f"VIOLATION {rule}:" in done.stdout, done


def short_run(folder):
    """Its lines `ok   what` and `FAIL what`, as (what, whether)."""
    done = subprocess.run([os.path.join(harness.ROOT, "deploy", "chaos.sh"), "--short",
                           "--keep-history", os.path.join(folder, "history.jsonl"),
                           "--keep-log", os.path.join(folder, "log")],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=LIMIT_S, check=False)
    print(done.stdout, flush=True)
    found = re.findall(r"^(ok   |FAIL )(.*)$", done.stdout, re.M)
    return [(what, mark == "ok   ") for mark, what in found] + [
        ("the run ends, and well", done.returncode == 0)]


def main():
    results = harness.Results()
    with tempfile.TemporaryDirectory(prefix="coppice-e2e-") as folder:
        for what, well in short_run(folder):
            results.case(what, holds, what, well)
        results.case("a stale read planted in the history is found", finds_planted, folder,
                     plant_stale_read, "stale-read")
        results.case("a write that the log does not have is found", finds_planted, folder,
                     plant_lost_write, "not-in-log", "--log", os.path.join(folder, "log"))
    return results.close()


if __name__ == "__main__":
    sys.exit(main())
