"""Figures that need etcd in the same run: both systems stay up and take turns."""

import statistics

import bench_env
from bench_env import Coppice, EtcdPeer, run_load

ONE_IN_FLIGHT = ("--connections", 32, "--streams", 1)
FAN_OUT = ("--keys", 1, "--watchers", 10000, "--watch-streams", 100, "--watch-connections", 10,
           "--rate", 20)


def turns(systems, rounds, scenario, *options, seconds):
    """[(ours, theirs)] of `rounds` turns."""
    return [tuple(run_load(scenario, system, *options, seconds=seconds) for system in systems)
            for _ in range(rounds)]


def p99_ms(result):
    """Of the reads."""
    return max(s["latency_us"]["p99"] for s in result["series"] if s["name"] != "put") / 1000


def summary(pairs, value):
    """Medians of both and the spread of the ratio ours / theirs."""
    ours, theirs = ([value(pair[i]) for pair in pairs] for i in (0, 1))
    return {"coppice": statistics.median(ours), "etcd": statistics.median(theirs),
            "ratio": bench_env.spread([a / b for a, b in zip(ours, theirs)])}


def rate(result):
    return result["requests_per_s"]


def half_peak(systems, rounds, seconds):
    """p99 of linearizable reads at one fixed rate, open loop: half of etcd's peak."""
    peak = statistics.median(rate(run_load("range", systems[1], "--consistency", "linearizable",
                                           seconds=seconds)) for _ in range(rounds))
    fixed = round(peak / 2, -2)
    pairs = turns(systems, rounds, "range", "--consistency", "linearizable", "--rate", fixed,
                  seconds=seconds)
    return {"rate": fixed, "peak": peak, **summary(pairs, p99_ms)}


def measure(rounds, seconds, voters=5, learners=2):
    """All of them, through one proxy; see the keys of what is returned."""
    with Coppice(voters, learners, 1) as ours, EtcdPeer(voters) as etcd:
        systems = (ours, etcd)
        for system in systems:
            run_load("put", system, "--preload", seconds=0.5)
        puts = turns(systems, rounds, "put", seconds=seconds)
        mixed = turns(systems, rounds, "mixed", "--read-ratio", 0.8, "--consistency",
                      "linearizable", *ONE_IN_FLIGHT, seconds=seconds)
        found = {
            "etcd": etcd.version,
            "puts": summary(puts, rate),
            "put_us": summary(puts, bench_env.server_us),
            "mixed": summary(mixed, rate),
            "half_peak_p99_ms": half_peak(systems, rounds, seconds),
        }
        fan_out = turns(systems, min(rounds, 3), "watch", *FAN_OUT, seconds=seconds)
        found["fan_out_us"] = summary(fan_out, bench_env.server_us)
    return found
