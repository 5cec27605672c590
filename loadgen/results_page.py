#!/usr/bin/env python3
"""The page of a read-scale-out result: results_page.py results/NAME writes README.md from run.json
and, where they are there, figures.md (figures.py), unit_costs.md (unit_costs.py) and notes.md, which
is written by hand: what the numbers mean, and where the time of what was missed goes."""

import json
import os
import statistics
import sys

from read_scale_out import MIXES, MODES
from bench_env import cores_of, server_us

PARTS = (("figures.md", "The other figures"), ("unit_costs.md", "Unit costs"),
         ("notes.md", "What it means"))
SATURATED = 0.9  # cores of a process that has one thread for its work


def pick(report, **wanted):
    return [s["result"] for s in report["samples"]
            if s["result"] and all(s[k] == v for k, v in wanted.items())]


def rates(results):
    return [r["requests_per_s"] for r in results]


def median(values):
    return statistics.median(values) if values else None


def show(value, form="{:,.0f}"):
    return "-" if value is None else form.format(value)


def problems(report, result, part, learners, proxies):
    """Why a sample does not say what it should; empty if it does."""
    found = []
    if result["bad"]:
        found.append(f"{result['bad']} errors or wrong replies")
    if any(s["missing"] for s in result["series"]):
        found.append("keys were missing")
    if part == "capped":
        if cores_of(result, "loadgen") > SATURATED:
            found.append("load generator saturated")
        if cores_of(result, "proxy") > SATURATED * proxies:
            found.append("proxy saturated")
        if result["machine_idle"] < 0.03:
            found.append("machine saturated")
        if learners and cores_of(result, "learner") < 0.8 * learners * report["args"]["cap"]:
            found.append("learners not at their cap")
    return found


def curve_table(report, part):
    proxies = report["args"]["proxies"]
    lines = ["| learners | " + " | ".join(f"{m} reads/s" for m in MODES)
             + " | learners' CPU, cores | proxies, load generator | valid |",
             "|---" * 7 + "|"]
    for n in range(report["args"]["learners"] + 1):
        cells, cores, others, bad = [], [], [], set()
        for mode in MODES:
            results = pick(report, part=part, system="coppice", learners=n, mode=mode,
                           mix="read-only")
            cells.append(show(median(rates(results))))
            for r in results:
                cores.append(cores_of(r, "learner"))
                others.append((cores_of(r, "proxy"), cores_of(r, "loadgen")))
                bad.update(problems(report, r, part, n, proxies))
        highest = " and ".join(f"{max(o[i] for o in others):.2f}" for i in (0, 1)) if others else "-"
        lines.append(f"| {n} | " + " | ".join(cells)
                     + f" | {show(median(cores), '{:.2f}')} | {highest} | "
                     + ("; ".join(sorted(bad)) or "yes") + " |")
    etcd = [show(median(rates(pick(report, part=part if part == "capped" else "peer",
                                   system="etcd", mode=mode, mix="read-only")))) for mode in MODES]
    lines.append("| etcd | " + " | ".join(etcd) + " | | | |")
    return lines


def peer_table(report):
    lines = ["| mix | consistency | Coppice/s | etcd/s | ratio: median (min to max) | "
             "Coppice CPU us: all (voters, learners, proxies) | etcd CPU us | p99 ms: ours, etcd |",
             "|---" * 8 + "|"]
    for mix in MIXES:
        for mode in MODES:
            ours = pick(report, part="peer", system="coppice", mode=mode, mix=mix)
            theirs = pick(report, part="peer", system="etcd", mix=mix,
                          mode="serializable" if mode == "bounded" else mode)
            pairs = [a / b for a, b in zip(rates(ours), rates(theirs))]
            ratio = (f"{median(pairs):.1f} ({min(pairs):.1f} to {max(pairs):.1f})"
                     if pairs else "-")
            lines.append(
                f"| {mix} | {mode} | {show(median(rates(ours)))} | {show(median(rates(theirs)))} | "
                f"{ratio} | {tiers(ours)} | "
                f"{show(median([server_us(r) for r in theirs]), '{:.1f}')} | "
                f"{show(p99(ours), '{:.1f}')}, {show(p99(theirs), '{:.1f}')} |")
    return lines


def p99(results):
    """Of the reads."""
    return median([s["latency_us"]["p99"] / 1000 for r in results for s in r["series"]
                   if s["name"] != "put"])


def tiers(results):
    def of(name):
        return median([sum(c["us_per_request"] for c in r["cpu"] if c["name"] == name)
                       for r in results])
    return (f"{show(median([server_us(r) for r in results]), '{:.2f}')} "
            f"({show(of('voter'), '{:.2f}')}, {show(of('learner'), '{:.2f}')}, "
            f"{show(of('proxy'), '{:.2f}')})")


def mixes_table(report):
    n = report["args"]["learners"]
    lines = ["| mix | " + " | ".join(f"{m}/s" for m in MODES) + " | etcd linearizable/s | "
             "etcd serializable/s |", "|---" * 6 + "|"]
    for mix in MIXES:
        ours = [show(median(rates(pick(report, part="capped", system="coppice", learners=n,
                                       mode=mode, mix=mix)))) for mode in MODES]
        etcd = [show(median(rates(pick(report, part="capped", system="etcd", mode=mode, mix=mix))))
                for mode in ("linearizable", "serializable")]
        lines.append(f"| {mix} | " + " | ".join(ours + etcd) + " |")
    return lines


def goals(report):
    """(what, must show, measured, reached)."""
    rows = []
    ours = pick(report, part="peer", system="coppice", mode="linearizable", mix="read-only")
    theirs = pick(report, part="peer", system="etcd", mode="linearizable", mix="read-only")
    us = median([server_us(r) for r in ours])
    if us is not None:
        rows.append(("server CPU per linearizable read through a proxy, all tiers", "6 us or less",
                     f"{us:.2f} us", us <= 6))
    pairs = [a / b for a, b in zip(rates(ours), rates(theirs))]
    if pairs:
        rows.append((f"linearizable reads/s against etcd {report['etcd']}", "4x",
                     f"{median(pairs):.1f}x", median(pairs) >= 4))
    last = report["args"]["learners"]
    for mode in MODES:
        one, many = (median(rates(pick(report, part="capped", system="coppice", learners=n,
                                       mode=mode, mix="read-only"))) for n in (1, last))
        if one and many and last > 1:
            wanted = 0.8 * last
            rows.append((f"{mode} reads/s at {last} learners against 1, equal caps",
                         f"{wanted:.1f}x", f"{many / one:.2f}x", many / one >= wanted))
    return rows


def page(report):
    args, machine = report["args"], report["machine"]
    lines = [
        "# Reads over the number of learners", "",
        f"`{report['command']}`, {report['when']}, {report['minutes']} minutes, commit "
        f"`{report['commit'][:12]}`{report['commit'][40:]}.", "",
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory']} of memory, Linux "
        f"{machine['kernel']}, fdatasync of 2 KiB in {machine['fdatasync_2k_us']} us. "
        f"{args['voters']} voters, up to {args['learners']} learners, {args['proxies']} "
        f"proxies; {args['keys']:,} keys of 256 bytes, uniform; every reply checked. Peer: etcd "
        f"{report['etcd']} with {args['voters']} voters, clients spread over all of them; it has no "
        "bounded reads, so bounded stands beside its serializable ones. The raw data is in "
        "[run.json](run.json).", "",
        "## What must show", "", "| | must show | measured | reached |", "|---|---|---|---|"]
    rows = goals(report)
    lines += [f"| {what} | {must} | {got} | {'yes' if ok else '**no**'} |"
              for what, must, got, ok in rows]
    missed = [what for what, _, _, ok in rows if not ok]
    lines += ["", "Not reached: " + "; ".join(missed) + "." if missed else "All of it is reached.",
              "", f"## Equal CPU caps: each voter and learner has {args['cap']:.0%} of a core", "",
              "What separate machines would show: proxies and the load generator are not capped, and "
              "a row in which one of them, or the machine, was saturated is not valid. Without "
              "learners, the voters serve the reads.", "",
              "![reads/s over learners, capped](curve-capped.png)", ""]
    lines += curve_table(report, "capped")
    lines += ["", f"The same with writes, {args['learners']} learners (a mix is a write figure: "
              "the leader has its cap too):", ""]
    lines += mixes_table(report)
    lines += ["", "## Everything sharing the machine", "",
              "Here one machine's cores are the limit, so learners add nothing; the cost of a request "
              "decides.", "", "![reads/s over learners, shared](curve-shared.png)", ""]
    lines += curve_table(report, "shared")
    lines += ["", f"## Beside etcd, taking turns, {args['rounds']} rounds", "",
              "![requests/s beside etcd](peer.png)", ""]
    lines += peer_table(report)
    failed = sum(s["result"] is None for s in report["samples"])
    if failed:
        lines += ["", f"{failed} of {len(report['samples'])} samples failed and are left out."]
    return "\n".join(lines) + "\n"


def other_parts(folder):
    text = ""
    for name, title in PARTS:
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                text += f"\n## {title}\n\n{f.read().strip()}\n"
    return text


def main():
    folder = sys.argv[1]
    with open(os.path.join(folder, "run.json"), encoding="utf-8") as f:
        report = json.load(f)
    with open(os.path.join(folder, "README.md"), "w", encoding="utf-8") as f:
        f.write(page(report) + other_parts(folder))


if __name__ == "__main__":
    main()
