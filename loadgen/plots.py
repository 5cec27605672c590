#!/usr/bin/env python3
"""The plots of a read-scale-out result: plots.py results/NAME. Needs matplotlib."""

import json
import os
import statistics
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # pylint: disable=wrong-import-position

COLORS = {"linearizable": "tab:blue", "bounded": "tab:orange", "serializable": "tab:green"}


def median_rate(samples, **wanted):
    rates = [s["result"]["requests_per_s"] for s in samples
             if s["result"] and all(s[k] == v for k, v in wanted.items())]
    return statistics.median(rates) if rates else None


def curve(report, part, title, path):
    samples = report["samples"]
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for mode, color in COLORS.items():
        points = [(n, median_rate(samples, part=part, system="coppice", learners=n, mode=mode,
                                  mix="read-only"))
                  for n in range(report["args"]["learners"] + 1)]
        points = [p for p in points if p[1] is not None]
        if points:
            axes.plot(*zip(*points), marker="o", color=color, label=f"Coppice, {mode}")
        etcd = median_rate(samples, part=part if part == "capped" else "peer", system="etcd",
                           mode=mode, mix="read-only")
        if etcd:
            axes.axhline(etcd, color=color, linestyle=":",
                         label=f"etcd {report['etcd']}, {report['args']['voters']} voters, {mode}")
    axes.set(title=title, xlabel="learners (0: the voters serve)", ylabel="reads/s", ylim=(0, None))
    axes.set_xticks(range(report["args"]["learners"] + 1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def bars(report, path):
    samples = report["samples"]
    mixes = ["read-only", "95/5", "80/20"]
    figure, axes = plt.subplots(figsize=(7, 4.5))
    width = 0.15
    for i, (system, mode) in enumerate([("coppice", m) for m in COLORS]
                                       + [("etcd", "linearizable"), ("etcd", "serializable")]):
        heights = [median_rate(samples, part="peer", system=system, mode=mode, mix=mix) or 0
                   for mix in mixes]
        axes.bar([x + (i - 2) * width for x in range(len(mixes))], heights, width,
                 color=COLORS[mode], hatch="//" if system == "etcd" else None,
                 edgecolor="white", label=f"{system}, {mode}")
    axes.set(title="Sharing one machine, taking turns", ylabel="requests/s")
    axes.set_xticks(range(len(mixes)), mixes)
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def main():
    folder = sys.argv[1]
    with open(os.path.join(folder, "run.json"), encoding="utf-8") as f:
        report = json.load(f)
    cap = report["args"]["cap"]
    curve(report, "capped", f"Reads/s, each voter and learner capped to {cap:.0%} of a core",
          os.path.join(folder, "curve-capped.png"))
    curve(report, "shared", "Reads/s, everything sharing the machine",
          os.path.join(folder, "curve-shared.png"))
    bars(report, os.path.join(folder, "peer.png"))


if __name__ == "__main__":
    main()
