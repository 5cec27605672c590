#!/usr/bin/env python3
"""Unit costs (coppice-bench) beside what they must show.

  loadgen/unit_costs.py [--name NAME] [--repetitions N]

Writes results/NAME/unit_costs.json (google-benchmark's own) and unit_costs.md. Each value is the
median of the repetitions: CPU time unless it says wall.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

from bench_env import BIN, ROOT

US, MS, S = 1e-6, 1e-3, 1.0
# Benchmark, must show in seconds (a counter's value where one is named), what it is.
COSTS = [
    ("BM_RpcUnaryCodec/32", 1.0 * US, "server's HTTP/2 and gRPC codec, a call of 32 in flight"),
    ("BM_RpcUnaryLoopback/32", 1.7 * US, "server side of a call over loopback, 32 in flight"),
    ("BM_RpcUnaryLoopback/1", 12 * US, "the same, one in flight"),
    ("BM_ProxyForward", 1.3 * US, "a request and its reply through the proxy, no sockets"),
    ("BM_SlotLookup", 0.005 * US, "finding what a reply answers"),
    ("BM_CoalesceJoin", 0.06 * US, "a read joining an identical one"),
    ("BM_GateBatch/128", 0.02 * US, "read gate, a read"),
    ("BM_ViewAcquire", 0.01 * US, "taking a read view"),
    ("BM_IndexGet/100", 0.15 * US, "one key of 100 that are hot"),
    ("BM_IndexGet/1000000", 0.55 * US, "one key of a million"),
    ("BM_IndexCount", 0.6 * US, "count of a range among a million keys"),
    ("BM_IndexRange/10", 2 * US, "range of 10 keys"),
    ("BM_IndexRange/500", 50 * US, "range of 500 keys"),
    ("BM_IndexRange/10000", 900 * US, "range of 10,000 keys"),
    ("BM_IndexPut/64", 1.3 * US, "index, a put of a batch of 64"),
    ("BM_BackendPut/1", 1.8 * US, "RocksDB, a put"),
    ("BM_BackendPut/64", 0.7 * US, "RocksDB, a put of a batch of 64"),
    ("BM_BackendGet", 4 * US, "RocksDB, a get"),
    ("BM_ApplyPut/1", 4.5 * US, "applying a put"),
    ("BM_ApplyPut/64", 2.8 * US, "applying a put of a batch of 64"),
    ("BM_GetOldRevision", 5 * US, "one key at an old revision"),
    ("BM_CatchUpScan", 0.35 * US, "a row of history for a slow watcher"),
    ("BM_Restart/1000000", 1.2 * S, "opening a store of a million keys"),
    ("BM_RaftPropose/64", 0.3 * US, "Raft's core, a proposal of a batch of 64"),
    ("BM_RaftReadRound", 2 * US, "a ReadIndex round"),
    ("BM_WalAppend/64", 0.25 * US, "log, an entry of a batch of 64"),
    ("BM_WalSync/64", 90 * US, "append of 64 and fdatasync, wall"),
    ("BM_WatchMatch/10000", 0.1 * US, "finding an event's watchers among 10,000"),
    ("BM_WatchDeliver/shared", 0.1 * US, "an event to a watcher that shares it"),
    ("BM_WatchDeliver/own_stream", 0.45 * US, "an event to a watcher with its own stream"),
    ("BM_IdleWatcherBytes", 1024, "bytes of an idle watcher"),
]
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
PER_CALL = {"BM_WalSync/64"}  # of the whole call, not of an item


def base_name(name):
    """Without what google-benchmark appends: /iterations:N, /manual_time, /real_time, keys:."""
    parts = [p.partition("keys:")[2] or p for p in name.split("/")]
    return "/".join(p for p in parts if ":" not in p and not p.endswith("_time"))


def cost(run):
    name = base_name(run["run_name"])
    if name == "BM_IdleWatcherBytes":
        return run["bytes"]
    if "per_event" in run:
        return run["per_event"]
    if "items_per_second" in run and name not in PER_CALL:
        return 1 / run["items_per_second"]
    wall = run["run_name"].endswith(("/real_time", "/manual_time"))
    return run["real_time" if wall else "cpu_time"] * UNITS[run["time_unit"]]


def show(value, is_bytes):
    if is_bytes:
        return f"{value:,.0f} B"
    for unit, size in (("s", S), ("ms", MS), ("us", US)):
        if value >= 0.95 * size:
            return f"{value / size:.2f} {unit}"
    return f"{value * 1e9:.1f} ns"


def table(report):
    measured = {}
    for run in report["benchmarks"]:
        if run.get("run_type") == "iteration" and not run.get("error_occurred"):
            measured.setdefault(base_name(run["run_name"]), []).append(cost(run))
    lines = ["| | benchmark | must show | measured | |", "|---|---|---|---|---|"]
    for name, must, what in COSTS:
        is_bytes = name == "BM_IdleWatcherBytes"
        if name not in measured:
            lines.append(f"| {what} | `{name}` | {show(must, is_bytes)} | failed | **no** |")
            continue
        value = statistics.median(measured[name])
        reached = "yes" if value <= must else f"**{value / must:.2f}x**"
        lines.append(f"| {what} | `{name}` | {show(must, is_bytes)} | {show(value, is_bytes)} | "
                     f"{reached} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="of the folder in results/")
    parser.add_argument("--repetitions", type=int, default=3)
    args = parser.parse_args()
    folder = os.path.join(ROOT, "results", args.name)
    os.makedirs(folder, exist_ok=True)
    raw = os.path.join(folder, "unit_costs.json")
    subprocess.run([os.path.join(BIN, "coppice-bench"), f"--benchmark_out={raw}",
                    f"--benchmark_repetitions={args.repetitions}",
                    "--benchmark_out_format=json"], stdout=sys.stderr, check=True)
    with open(raw, encoding="utf-8") as f:
        report = json.load(f)
    # What names the machine or its folders says nothing to a reader elsewhere.
    report["context"].pop("host_name", None)
    report["context"].pop("executable", None)
    with open(raw, "w", encoding="utf-8") as f:
        json.dump(report, f, indent=1)
    text = table(report)
    with open(os.path.join(folder, "unit_costs.md"), "w", encoding="utf-8") as f:
        f.write(text)
    print(text)


if __name__ == "__main__":
    main()
