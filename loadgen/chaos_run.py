#!/usr/bin/env python3
"""Faults on real processes under a recorded load, then the checkers (coppice-loadgen check).

  loadgen/chaos_run.py [--minutes M] [--faults N] [--short]

A cluster on loopback takes a mixed load through its proxies in all three consistencies, with watches
over every key, while these happen in turn: the leader killed, a learner killed, a proxy killed
(SIGKILL, started again a little later), a follower paused and resumed. Each at least N times within
M minutes (5 in 10); --short: once each in about a minute. Exit 0: every fault took place, everything
came back, and the history shows no violation. The last line is `N passed, N failed`.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

import bench_env
from bench_env import BIN, Coppice

KINDS = ("leader killed", "learner killed", "proxy killed", "follower paused")
READS_MIN = 100000  # of each consistency, in a run of 10 minutes


class Faults:
    """Carries out one fault after the other; thread: one."""

    def __init__(self, cluster, rng):
        self.cluster, self.rng = cluster, rng
        self.done = dict.fromkeys(KINDS, 0)
        self.recovery_s = []

    def one(self, kind, down_s):
        name = self._choose(kind)
        if name is None:
            print(f"  {kind}: no leader is known, later", flush=True)
            return
        print(f"  {kind}: {name}", flush=True)
        if kind == "follower paused":
            self.cluster.signal(name, signal.SIGSTOP)
            time.sleep(down_s)
            self.cluster.signal(name, signal.SIGCONT)
        else:
            self.cluster.kill(name)
            time.sleep(down_s)
            self.cluster.start(name)
        began = time.monotonic()
        self.cluster.wait_ready([name], 30)
        self.recovery_s.append(time.monotonic() - began)
        self.done[kind] += 1

    def _choose(self, kind):
        role = {"learner killed": "learner", "proxy killed": "proxy"}.get(kind, "voter")
        names = [n.name for n in self.cluster.nodes(role)]
        if role != "voter":
            return self.rng.choice(names)
        leader = self.cluster.leader()
        if kind == "leader killed" or leader is None:
            return leader
        return self.rng.choice([n for n in names if n != leader])


def start_load(cluster, args, folder):
    command = [os.path.join(BIN, "coppice-loadgen"), "run", "mixed",
               "--target", cluster.endpoints("proxy"),
               "--consistency", "linearizable,bounded,serializable", "--read-ratio", "0.8",
               "--keys", "500", "--prefix", "chaos/", "--rate", str(args.rate),
               "--connections", "8", "--streams", "8", "--timeout", "3s",
               "--watchers", "4", "--watch-streams", "4", "--watch-connections", "4",
               "--duration", f"{args.minutes * 60:.0f}s", "--warmup", "0s",
               "--record", os.path.join(folder, "history.jsonl"),
               "--json", os.path.join(folder, "load.json"), "--quiet"]
    return subprocess.Popen(command)


def inject(faults, args):
    end = time.monotonic() + args.minutes * 60 - 5
    each_s = (args.minutes * 60 - 10) / (args.faults * len(KINDS))
    number = 0
    while time.monotonic() < end and min(faults.done.values()) < args.faults:
        began = time.monotonic()
        kind = KINDS[number % len(KINDS)]
        number += 1
        if faults.done[kind] < args.faults:
            faults.one(kind, faults.rng.uniform(0.3, min(3.0, each_s / 2)))
            time.sleep(max(0.0, min(each_s - (time.monotonic() - began),
                                    end - time.monotonic())))


def check(folder):
    done = subprocess.run([os.path.join(BIN, "coppice-loadgen"), "check",
                           os.path.join(folder, "history.jsonl")],
                          capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr, end="")
    reads = [int(line.split()[0]) for line in done.stdout.splitlines()
             if " reads checked" in line]
    return done.returncode == 0, reads


def run(args, folder):
    """A list of (what must hold, whether it does)."""
    with Coppice(args.voters, args.learners, args.proxies) as system:
        faults = Faults(system.cluster, random.Random(args.seed))
        load = start_load(system.cluster, args, folder)
        try:
            time.sleep(3)
            inject(faults, args)
            system.cluster.wait_ready(system.cluster.config["names"])
            ended_well = load.wait(args.minutes * 60 + 90) == 0
        finally:
            if load.poll() is None:
                load.kill()
                load.wait()
    clean, reads = check(folder)
    if faults.recovery_s:
        print(f"ready again {max(faults.recovery_s):.1f} s after a start or resume at most")
    wanted_reads = READS_MIN * min(args.minutes / 10, 1)
    return [("the load and its watches ended well", ended_well),
            ("the checkers find no violation", clean),
            (f"at least {wanted_reads:,.0f} checked reads of each consistency",
             len(reads) == 3 and min(reads) >= wanted_reads)] + [
                (f"{kind} at least {args.faults} times", count >= args.faults)
                for kind, count in faults.done.items()]


def parse_args(words=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--faults", type=int, default=5, help="of each kind, at least")
    parser.add_argument("--short", action="store_true", help="about a minute: one of each kind")
    parser.add_argument("--voters", type=int, default=5)
    parser.add_argument("--learners", type=int, default=2)
    parser.add_argument("--proxies", type=int, default=2)
    parser.add_argument("--rate", type=float, default=2000, help="requests/s")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", metavar="DIR", help="put the history there and keep it")
    args = parser.parse_args(words)
    if args.short:
        args.minutes, args.faults = 0.75, 1
    return args


def main():
    args = parse_args()
    print(f"seed {args.seed}, {args.minutes} minutes, commit {bench_env.commit()[:12]}", flush=True)
    with tempfile.TemporaryDirectory(prefix="coppice-chaos-") as scratch:
        folder = args.keep or scratch
        os.makedirs(folder, exist_ok=True)
        results = run(args, folder)
    for what, holds in results:
        print(("ok    " if holds else "FAILED") + "  " + what)
    failed = sum(not holds for _, holds in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
