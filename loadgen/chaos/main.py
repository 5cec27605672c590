#!/usr/bin/env python3
"""Faults on real processes. Each scenario has a cluster of its own, a recorded mixed load with
watches through its faults, the checkers over the history, and equal hashes of every store at the end.

  deploy/chaos.sh                        every scenario, 10 minutes of load in all
  deploy/chaos.sh --minutes M            M minutes in all, shared among the scenarios
  deploy/chaos.sh --short                one short round of those that deploy/test.sh runs
  deploy/chaos.sh NAME [...]             these alone; with --minutes, that long in all
  deploy/chaos.sh --list                 the scenarios

As root (or where user namespaces are allowed) everything runs in network and mount namespaces of its
own: partitions are routing rules between namespaces, and small disks are tmpfs. Elsewhere the faults
of the network come from a TCP proxy between the processes, and what needs a small disk is left out,
and said so. Exit 0: no violation and everything came back. The last line is `N passed, N failed`.
"""

import argparse
import collections
import os
import subprocess
import sys
import time

import client_faults
import disk_faults
import network_faults
import process_faults
import rig as rig_module
from fault_proxy import FaultProxy
from namespaces import Namespaces

INSIDE = "COPPICE_CHAOS_INSIDE"  # set once we are in namespaces of our own: "yes", or why not
SCENARIOS = (process_faults.SCENARIOS + network_faults.SCENARIOS + disk_faults.SCENARIOS
             + client_faults.SCENARIOS)


def parse_args(words=None):
    parser = argparse.ArgumentParser(prog="deploy/chaos.sh", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="of load, in all; default 10")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a scenario")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help="the same as NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--network", choices=["auto", "proxy"], default="auto",
                        help="proxy: no namespaces, even where they are permitted")
    parser.add_argument("--keep-history", metavar="FILE", help="of the last scenario")
    parser.add_argument("--keep-log", metavar="DIR", help="that it was compared with; a new directory")
    args = parser.parse_args(words)
    args.only += args.names
    for name in set(args.only) - {s.name for s in SCENARIOS}:
        parser.error(f"no scenario {name}; --list has them")
    if args.keep_log and os.path.exists(args.keep_log):
        parser.error(f"--keep-log: {args.keep_log} exists; name a directory that does not yet")
    return args


def chosen(args):
    wanted = [s for s in SCENARIOS
              if (s.name in args.only if args.only else s.short or not args.short)]
    for scenario in wanted:
        if scenario.needs_mounts and not inside():
            print(f"left out: {scenario.name}, which needs mounts: {os.environ[INSIDE]}")
    return [s for s in wanted if inside() or not s.needs_mounts]


def enter_namespaces():
    """Runs this program again in namespaces of its own, if that is permitted; else returns."""
    if INSIDE in os.environ:
        return
    unshare = ["unshare", "--net", "--mount"] + (["--map-root-user"] if os.geteuid() else [])
    probe = ("set -e; mount -t tmpfs chaos /run; ip link set lo up; ip netns add chaos; "
             "ip netns exec chaos true; echo 1 > /proc/sys/net/ipv4/ip_forward; "
             "ip link add chaos0 type veth peer name eth0 netns chaos; "
             "ip rule add from 10.77.1.2 to 10.77.2.2 blackhole pref 10; "
             "tc qdisc replace dev chaos0 root tbf rate 1mbit burst 16kb latency 100ms")
    try:
        done = subprocess.run(unshare + ["sh", "-c", probe], capture_output=True, text=True,
                              timeout=20, check=False)
        why = done.stderr.strip().replace("\n", "; ") if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        why = str(error)
    os.environ[INSIDE] = why or "yes"
    if not why:
        # /run is `ip netns`'s, and of our own, so that nothing stays behind.
        prepare = "mount -t tmpfs chaos /run && ip link set lo up && exec \"$@\""
        os.execvp(unshare[0], unshare + ["sh", "-c", prepare, "sh",
                                         sys.executable, os.path.abspath(__file__)] + sys.argv[1:])


def inside():
    return os.environ.get(INSIDE) == "yes"


def make_network(scenario):
    if scenario.network == "any":
        return Namespaces() if inside() else FaultProxy()
    return FaultProxy() if scenario.network == "proxy" else None


def share_out(scenarios, seconds):
    """Seconds of load for each scenario, by name: equal parts, but none less than it needs."""
    shares, left = {}, list(scenarios)
    while left:
        part = seconds / len(left)
        short = [s for s in left if s.seconds_min >= part]
        for scenario in short or left:
            shares[scenario.name] = max(part, scenario.seconds_min)
            seconds = max(seconds - shares[scenario.name], 0) if short else seconds
        left = [s for s in left if s not in short] if short else []
    return shares


def run_one(scenario, seconds, args):
    print(f"{scenario.name}: {scenario.what}; {seconds:.0f} s", flush=True)
    began = time.monotonic()
    try:
        rig = rig_module.run(scenario, seconds, args.seed, make_network(scenario),
                             rig_module.Keep(args.keep_history, args.keep_log))
    except Exception as error:  # one scenario's trouble is no reason not to run the others
        print(f"FAIL {scenario.name}: {error}", flush=True)
        return {"name": scenario.name, "seconds": seconds, "faults": {}, "checked": {},
                "expected": [("the cluster starts", False)]}
    for (what, holds), count in collections.Counter(rig.expected).items():
        print(("ok   " if holds else "FAIL ") + f"{scenario.name}: {what}"
              + (f" ({count} times)" if count > 1 else ""), flush=True)
    print_counts(rig)
    print(f"  took {time.monotonic() - began:.0f} s", flush=True)
    return {"name": scenario.name, "seconds": seconds, "faults": rig.faults,
            "checked": rig.checked, "expected": list(dict.fromkeys(rig.expected)),
            "recovery": max(rig.recovery_s, default=0)}


def print_counts(rig):
    def listed(counts):
        return ", ".join(f"{name} {count}" for name, count in counts)
    print(f"  faults: {listed(sorted(rig.faults.items()))}")
    print(f"  checked reads: {listed((m, rig.checked.get(m, 0)) for m in rig_module.MODES)}",
          flush=True)


def print_report(results):
    print(f"\n{'scenario':<18}{'minutes':>8}{'faults':>8}{'puts':>8}{'reads':>9}{'events':>9}"
          f"{'with log':>10}{'violations':>12}{'back in':>9}  verdict")
    total = {}
    for result in results:
        row = dict(result["checked"], minutes=result["seconds"] / 60,
                   faults=sum(result["faults"].values()))
        for name, value in row.items():
            total[name] = total.get(name, 0) + value
        print_row(result["name"], row, f"{result.get('recovery', 0):.1f} s",
                  "FAILED" if any(not h for _, h in result["expected"]) else "clean")
    print_row("all", total, "", "")


def print_row(name, row, recovery, verdict):
    print(f"{name:<18}{row.get('minutes', 0):>8.2f}{row.get('faults', 0):>8}"
          f"{row.get('puts', 0):>8}{row.get('reads', 0):>9}{row.get('events', 0):>9}"
          f"{row.get('log', 0):>10}{row.get('violations', 0):>12}{recovery:>9}  {verdict}")


def main():
    args = parse_args()
    if args.list:
        for scenario in SCENARIOS:
            print(f"{scenario.name:<18}{'short  ' if scenario.short else '       '}{scenario.what}")
        return 0
    if args.network == "proxy":
        os.environ.setdefault(INSIDE, "--network=proxy")
    enter_namespaces()
    scenarios = chosen(args)
    if not inside():
        print(f"no namespaces, so the network's faults come from a TCP proxy: {os.environ[INSIDE]}")
    seconds = share_out(scenarios, 0 if args.short else args.minutes * 60)
    print(f"seed {args.seed}, {len(scenarios)} scenarios, {sum(seconds.values()):.0f} s of load",
          flush=True)
    results = [run_one(scenario, seconds[scenario.name], args) for scenario in scenarios]
    print_report(results)
    failed = sum(not holds for r in results for _, holds in r["expected"])
    passed = sum(bool(holds) for r in results for _, holds in r["expected"])
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
