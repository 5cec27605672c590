#!/usr/bin/env python3
"""etcdctl gets from a voter, a learner and a proxy what it gets from a real etcd.

Without arguments: for each case an etcd, and for each tier a cluster of one voter, one learner and
one proxy, all fresh, so that revisions compare as they are. Masked: ids, version, sizes, raft term
and index (commands.py); nothing else. Addresses are compared by what they are. A learner's own role
is expected of a learner: `IS LEADER` false, `IS LEARNER` true.

  deploy/e2e/conformance.py [--tier voter|learner|proxy] [--case NAME] [--threads N]
"""

import argparse
import difflib
import json
import re
import sys

import commands
import harness

TIERS = {"voter": "v1", "learner": "l1", "proxy": "p1"}


def without_learners(text):
    """A member list as etcd with our voters alone would give it: read learners are ours."""
    if text.startswith("{"):
        listing = json.loads(text)
        listing["members"] = [m for m in listing["members"] if not m.get("isLearner")]
        return json.dumps(listing, separators=(",", ":")) + "\n"
    if text.startswith('"'):
        blocks = re.split(r"(?<=\n)(?=\"ID\" : )", text)
        return "".join(b for b in blocks if '"IsLearner" : true' not in b)
    return "".join(line + "\n" for line in text.splitlines()
                   if not re.search(r"[,|] *true *\|?$", line))


def as_a_learner_says(text):
    """What etcd's `endpoint status` would be, were the node a learner."""
    text = re.sub(r"<size>, true, false,", "<size>, false, true,", text)
    text = text.replace("<size> | true | false |", "<size> | false | true |")
    text = text.replace('"IsLearner" : false', '"IsLearner" : true')
    return re.sub(r'("dbSizeInUse":<size>)\}', r'\1,"isLearner":true}', text)


def ask(steps, endpoint, names, drop_learners):
    answers = []
    for a in commands.Runner("etcdctl", endpoint).run(steps):
        out = a.out
        if drop_learners and a.line.startswith("member list") and a.code == 0:
            out = without_learners(out)
        answers.append((a.line, a.code, commands.normalized(out, a.line, names),
                        commands.normalized(a.err, a.line, names)))
    return answers


def expected(steps):
    with harness.etcd("v1") as etcd:
        return ask(steps, etcd["client"], {etcd["client"]: "CLIENT", etcd["peer"]: "PEER"}, False)


def compare(steps, theirs, tier, extra):
    with harness.coppice(voters=1, learners=1, proxies=1, extra=extra) as cluster:
        names = {node.client: "CLIENT" for node in cluster.nodes()}
        names[cluster.node("v1").peer] = "PEER"
        ours = ask(steps, cluster.node(TIERS[tier]).client, names, True)
    wrong = []
    for their, our in zip(theirs, ours):
        if tier == "learner" and their[0].startswith("endpoint status"):
            their = (*their[:2], as_a_learner_says(their[2]), their[3])
        if their != our:
            wrong.append(f"`{their[0]}`\n{difference(their, our, tier)}")
    assert not wrong, f"{len(wrong)} of {len(theirs)} answers differ\n" + "\n".join(wrong)


def difference(their, our, tier):
    def text(answer):
        _, code, out, err = answer
        return (f"exit {code}\n{out}" + (f"\nstderr: {err}" if err else "")).splitlines()
    return "\n".join("    " + line[:400] for line in difflib.unified_diff(
        text(their), text(our), "etcd", tier, n=2, lineterm=""))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tier", action="append", choices=TIERS)
    parser.add_argument("--case", action="append", choices=commands.CASES)
    parser.add_argument("--threads", help="event loops of each process (default: its own choice)")
    args = parser.parse_args()
    extra = {}
    if args.threads:
        extra = {role: ["--threads", args.threads] for role in TIERS}
    results = harness.Results()
    for name in args.case or [c for c in commands.CASES if c != "wrong-words"]:
        steps = commands.CASES[name]
        theirs = expected(steps)
        for tier in args.tier or TIERS:
            results.case(f"etcdctl {name} at a {tier}", compare, steps, theirs, tier, extra)
    return results.close()


if __name__ == "__main__":
    sys.exit(main())
