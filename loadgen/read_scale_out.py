#!/usr/bin/env python3
"""Reads/s over the number of learners, beside etcd: `coppice-loadgen run read-scale-out`.

Three parts, in one run on one machine:
  curve    5 voters, 0 to --learners learners, --proxies proxies; once sharing the machine, once with
           every voter and learner capped to the same share of a core (proxies and clients are not)
  peer     the full cluster and etcd with as many voters taking turns, --rounds times
  capped   etcd under the same caps
Each in linearizable, bounded (500 ms) and serializable reads; read-only, 95/5 and 80/20.

Writes results/NAME/: run.json (raw), plots, README.md. About 13 minutes as it stands.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time

import bench_env
from bench_env import Caps, Coppice, EtcdPeer, ROOT, run_load

MODES = ("linearizable", "bounded", "serializable")
MIXES = {"read-only": 1.0, "95/5": 0.95, "80/20": 0.8}
SHARED_SHAPE = ("--connections", 8, "--streams", 32)
# Under caps a process runs for 1 ms in 17: more must be in flight for it to have work each time. All
# of it takes half a second to come round, so a sample must last for many of those.
CAPPED_SHAPE = ("--connections", 32, "--streams", 256)


class Run:
    """Collects samples: {part, system, learners, mode, mix, round, result}."""

    def __init__(self, args):
        self.args = args
        self.samples = []
        self.began = time.monotonic()

    def sample(self, part, system, learners, mode, mix, number):
        shape = CAPPED_SHAPE if part == "capped" else SHARED_SHAPE
        seconds = self.args.capped_seconds if part == "capped" else self.args.seconds
        ratio = MIXES[mix]
        scenario = "range" if ratio == 1 else "mixed"
        try:
            result = run_load(scenario, system, "--consistency", mode, "--keys", self.args.keys,
                              "--read-ratio", ratio, *shape, seconds=seconds)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"  left out: {error}", file=sys.stderr)
            result = None
        name = "etcd" if isinstance(system, EtcdPeer) else "coppice"
        self.samples.append({"part": part, "system": name, "learners": learners, "mode": mode,
                             "mix": mix, "round": number, "result": result})
        rate = f"{result['requests_per_s']:>9,.0f}/s" if result else "   failed"
        us = f"{bench_env.server_us(result):6.1f} us" if result else ""
        print(f"{time.monotonic() - self.began:5.0f} s  {part:<7}{name:<8} {learners} learners  "
              f"{mode:<13} {mix:<9} {rate} {us}", flush=True)

    def curve(self, cluster, caps):
        for learners in range(self.args.learners + 1):
            caps.set(False)
            if learners > 0:
                cluster.add_learner()
            caps.put(cluster.pids("voter") + cluster.pids("learner"))
            caps.set(False)
            for mode in MODES:
                self.sample("shared", cluster, learners, mode, "read-only", 0)
            caps.set(True)
            time.sleep(0.5)
            for number in range(self.args.curve_rounds):
                for mode in MODES:
                    self.sample("capped", cluster, learners, mode, "read-only", number)
            for mix in ("95/5", "80/20"):
                for mode in MODES:
                    self.sample("capped", cluster, learners, mode, mix, 0)
        caps.set(False)
        time.sleep(0.5)

    def peer(self, cluster, etcd):
        for number in range(self.args.rounds):
            for mix in MIXES:
                for mode in MODES:
                    self.sample("peer", cluster, self.args.learners, mode, mix, number)
                    if mode != "bounded":
                        self.sample("peer", etcd, 0, mode, mix, number)

    def capped_etcd(self, etcd, caps):
        caps.put(etcd.etcd.pids)
        caps.set(True)
        time.sleep(1)
        for number in range(self.args.curve_rounds):
            for mix in MIXES:
                for mode in ("linearizable", "serializable"):
                    if mix == "read-only" or number == 0:
                        self.sample("capped", etcd, 0, mode, mix, number)
        caps.set(False)

    def preload(self, system):
        run_load("put", system, "--preload", "--keys", self.args.keys, seconds=0.5)


def measure(args, report):
    run = Run(args)
    with Caps(args.cap) as caps, Coppice(args.voters, 0, args.proxies) as cluster:
        run.preload(cluster)
        run.curve(cluster, caps)
        with EtcdPeer(args.voters) as etcd:
            report["etcd"] = etcd.version
            run.preload(etcd)
            run.peer(cluster, etcd)
            run.capped_etcd(etcd, caps)
    report["samples"] = run.samples
    report["minutes"] = round((time.monotonic() - run.began) / 60, 1)


def draw(folder):
    """By whichever Python has matplotlib."""
    script = os.path.join(ROOT, "loadgen", "plots.py")
    for python in (sys.executable, "/usr/bin/python3"):
        has = subprocess.run([python, "-c", "import matplotlib"], capture_output=True, check=False)
        if has.returncode == 0:
            subprocess.run([python, script, folder], check=True)
            return
    print("no plots: install python3-matplotlib, then: "
          f"python3 loadgen/plots.py {folder}", file=sys.stderr)


def parse_args():
    parser = argparse.ArgumentParser(prog="coppice-loadgen run read-scale-out",
                                     description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default=time.strftime("read-scale-out-%Y%m%d-%H%M"),
                        help="of the folder in results/")
    parser.add_argument("--voters", type=int, default=5)
    parser.add_argument("--learners", type=int, default=5, help="at most")
    parser.add_argument("--proxies", type=int, default=1)
    parser.add_argument("--keys", type=int, default=100000)
    parser.add_argument("--seconds", type=float, default=2.0, help="measured in each sample")
    parser.add_argument("--capped-seconds", type=float, default=4.0, help="the same, under caps")
    parser.add_argument("--rounds", type=int, default=5, help="of the turns with etcd")
    parser.add_argument("--curve-rounds", type=int, default=3)
    parser.add_argument("--cap", type=float, default=0.06, help="share of a core of each process")
    return parser.parse_args()


def main():
    args = parse_args()
    folder = os.path.join(ROOT, "results", args.name)
    os.makedirs(folder, exist_ok=True)
    command = "build/bin/coppice-loadgen run read-scale-out " + shlex.join(sys.argv[1:])
    report = {"command": command.strip(), "commit": bench_env.commit(),
              "machine": bench_env.machine(), "when": time.strftime("%Y-%m-%d %H:%M UTC",
                                                                    time.gmtime()),
              "args": vars(args)}
    measure(args, report)
    with open(os.path.join(folder, "run.json"), "w", encoding="utf-8") as f:
        json.dump(report, f, indent=1)
    draw(folder)
    subprocess.run([sys.executable, os.path.join(ROOT, "loadgen", "results_page.py"), folder],
                   check=True)
    print(f"{report['minutes']} minutes; see {os.path.relpath(folder)}/README.md")


if __name__ == "__main__":
    main()
