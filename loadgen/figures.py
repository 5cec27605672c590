#!/usr/bin/env python3
"""The other figures that must show: start, memory, failover, the leader's cost of learners, and
puts, tail latency and watch fan-out beside etcd.

  loadgen/figures.py [--name NAME] [--rounds N] [--seconds S]

Writes results/NAME/figures.json and figures.md, a table of measured beside must-show.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

import bench_env
import beside_etcd
from bench_env import BIN, Coppice, ROOT, run_load


def boot_time_us():
    """The clock of a history's times."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def acknowledged_us(history):
    """When the puts of a history were acknowledged, in order."""
    with open(history, encoding="utf-8") as f:
        records = [json.loads(line) for line in f]
    return sorted(r["return"] for r in records if r["op"] == "put" and r["outcome"] == "ok")


def put_command(target, history, rate, duration):
    return [os.path.join(BIN, "coppice-loadgen"), "run", "put", "--target", target, "--keys", "1",
            "--connections", "1", "--streams", "8", "--timeout", "1s", "--rate", str(rate),
            "--duration", duration, "--warmup", "0s", "--quiet", "--record", history]


def cold_start_s():
    """Exec of a one-node voter to its first put acknowledged; the client's own start included."""
    with Coppice(1, 0, 0) as system, tempfile.TemporaryDirectory() as scratch:
        cluster = system.cluster
        cluster.stop(["v1"])
        shutil.rmtree(os.path.join(cluster.folder, "v1"))
        history = os.path.join(scratch, "h.jsonl")
        began = boot_time_us()
        cluster.start("v1")
        while boot_time_us() - began < 30e6:
            subprocess.run(put_command(system.target(), history, 1000, "5ms"),
                           capture_output=True, check=False)
            times = acknowledged_us(history)
            if times:
                return (times[0] - began) / 1e6
        raise RuntimeError("no put acknowledged in 30 s")


def idle_rss_mb():
    """Of a voter among five, once nothing has happened for two seconds."""
    with Coppice(5, 0, 0) as system:
        time.sleep(2)
        values = []
        for pid in system.pids("voter"):
            with open(f"/proc/{pid}/status", encoding="utf-8") as f:
                values += [int(l.split()[1]) / 1024 for l in f if l.startswith("VmRSS")]
        return statistics.median(values)


def failover_s():
    """SIGKILL of the leader to the next put acknowledged: the longest time without one around it,
    with 1,000 puts/s through another voter."""
    with Coppice(5, 0, 0) as system, tempfile.TemporaryDirectory() as scratch:
        cluster = system.cluster
        leader = cluster.leader()
        other = next(n.client for n in cluster.nodes("voter") if n.name != leader)
        history = os.path.join(scratch, "h.jsonl")
        with subprocess.Popen(put_command(other, history, 1000, "5s"),
                              stdout=subprocess.DEVNULL) as load:
            time.sleep(2)
            killed = boot_time_us()
            cluster.signal(leader, signal.SIGKILL)
            load.wait(60)
        times = acknowledged_us(history)
        after = [t for t in times if t > killed]
        if not after or after[0] == times[0]:
            raise RuntimeError("no put was acknowledged before, or none after")
        return max(b - a for a, b in zip([killed] + after, after)) / 1e6


def leader_us_per_write(system, seconds):
    leader = system.cluster.leader()
    pid = system.cluster.require_pid(leader)
    wrapped = Tiers(system, {"leader": [pid]})
    result = run_load("put", wrapped, "--rate", 4000, seconds=seconds)
    return next(c["us_per_request"] for c in result["cpu"] if c["name"] == "leader")


class Tiers:
    """A system of which other processes are measured."""

    def __init__(self, system, tiers):
        self._system, self._tiers = system, tiers

    def target(self):
        return self._system.target()

    def tiers(self):
        return self._tiers


def leader_cost(rounds, seconds):
    """Leader CPU per write at one rate: 5 learners against 0, of one leader, in percent."""
    with Coppice(5, 0, 1) as system:
        leader_us_per_write(system, 1)
        without = [leader_us_per_write(system, seconds) for _ in range(rounds)]
        for _ in range(5):
            system.add_learner()
        leader_us_per_write(system, 1)
        with_five = [leader_us_per_write(system, seconds) for _ in range(rounds)]
    return statistics.median(without), statistics.median(with_five)


def measure(args):
    figures = {"commit": bench_env.commit(), "machine": bench_env.machine()}
    steps = {
        "cold_start_s": lambda: bench_env.spread([cold_start_s() for _ in range(args.rounds)]),
        "idle_rss_mb": idle_rss_mb,
        "failover_s": lambda: bench_env.spread([failover_s() for _ in range(args.rounds)]),
        "leader_us": lambda: leader_cost(args.rounds, args.seconds),
        "peer": lambda: beside_etcd.measure(args.rounds, args.seconds),
    }
    for name, step in steps.items():
        try:
            figures[name] = step()
        except Exception as error:  # pylint: disable=broad-exception-caught
            # One figure that fails must not take the others with it; the table says so.
            figures[name] = None
            figures.setdefault("failed", {})[name] = str(error)
        print(f"{name}: {figures[name]}", flush=True)
    return figures


def row(what, must, value, text, reached):
    return f"| {what} | {must} | " + ("failed | **no** |" if value is None else
                                      f"{text(value)} | {'yes' if reached(value) else '**no**'} |")


def peer_rows(peer):
    """Each: what, must show, key, form of a value, what is compared (the ratio or ours), bound."""
    if peer is None:
        return [row("all figures beside etcd", "", None, None, None)]
    half = peer["half_peak_p99_ms"]
    rows = [
        ("puts/s, 5 voters, through a proxy", "1.5x", "puts", ",.0f", lambda r, _: r >= 1.5),
        ("server CPU per put, all tiers", "60 us", "put_us", ".1f us", lambda _, us: us <= 60),
        ("requests/s of 32 clients with one in flight, 80 % linearizable reads, 20 % puts", "3x",
         "mixed", ",.0f", lambda r, _: r >= 3),
        (f"p99 of linearizable reads at {half['rate']:,.0f}/s, half of etcd's peak", "0.7x",
         "half_peak_p99_ms", ".2f ms", lambda r, _: r <= 0.7),
        ("1 key, 10,000 watchers, 20 puts/s: server CPU per event delivered", "0.7 us",
         "fan_out_us", ".2f us", lambda _, us: us <= 0.7),
    ]
    lines = []
    for what, must, key, form, good in rows:
        number, unit = form.partition(" ")[::2]
        def text(v, number=number, unit=unit):
            ours, theirs = (f"{v[k]:{number}} {unit}".strip() for k in ("coppice", "etcd"))
            return (f"{ours}, etcd {peer['etcd']}: {theirs}; {v['ratio']['median']:.2f}x "
                    f"({v['ratio']['min']:.2f} to {v['ratio']['max']:.2f})")
        lines.append(row(what, must, peer[key], text,
                         lambda v, good=good: good(v["ratio"]["median"], v["coppice"])))
    return lines


def table(f):
    def change(pair):
        return (pair[1] / pair[0] - 1) * 100
    lines = ["| | must show | measured | reached |", "|---|---|---|---|",
             row("cold start of a one-node voter, exec to first put acknowledged", "0.2 s",
                 f["cold_start_s"], lambda v: f"{v['median']:.2f} s ({v['min']:.2f} to "
                 f"{v['max']:.2f})", lambda v: v["median"] <= 0.2),
             row("idle RSS of a voter", "20 MB", f["idle_rss_mb"], lambda v: f"{v:.1f} MB",
                 lambda v: v <= 20),
             row("failover, SIGKILL of the leader to the next put acknowledged", "0.5 s",
                 f["failover_s"], lambda v: f"{v['median']:.2f} s ({v['min']:.2f} to "
                 f"{v['max']:.2f})", lambda v: v["median"] <= 0.5),
             row("leader CPU per write with 5 learners against 0", "within 5 %", f["leader_us"],
                 lambda v: f"{change(v):+.1f} % ({v[0]:.1f} us, {v[1]:.1f} us)",
                 lambda v: change(v) <= 5)]
    lines += peer_rows(f["peer"])
    lines += [f"\n{name} failed: {why}" for name, why in f.get("failed", {}).items()]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default=time.strftime("figures-%Y%m%d-%H%M"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    args = parser.parse_args()
    folder = os.path.join(ROOT, "results", args.name)
    os.makedirs(folder, exist_ok=True)
    figures = measure(args)
    with open(os.path.join(folder, "figures.json"), "w", encoding="utf-8") as f:
        json.dump(figures, f, indent=1)
    page = (
        f"`loadgen/figures.py --rounds {args.rounds} --seconds {args.seconds}`, commit "
        f"`{figures['commit'][:12]}`; {figures['machine']['cpu']}, {figures['machine']['cores']} "
        f"cores, Linux {figures['machine']['kernel']}.\n\n") + table(figures)
    with open(os.path.join(folder, "figures.md"), "w", encoding="utf-8") as f:
        f.write(page)
    print(page)


if __name__ == "__main__":
    main()
