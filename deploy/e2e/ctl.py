#!/usr/bin/env python3
"""coppicectl says what etcdctl says: each runs the same command lines against an etcd of its own."""

import os
import sys

import commands
import harness

TOOL = os.path.join(harness.BIN_DIR, "coppicectl")


def spoken(text):
    """Standard error without what etcdctl logs beside its message."""
    return "\n".join(line for line in text.splitlines()
                     if line and not line.startswith("warn: ")).strip()


def first_error(text):
    """`Error: ...`; what etcdctl prints of its usage before, and the two programs' own advice on
    words that are wrong, may differ."""
    return "\n".join(line for line in text.splitlines() if line.startswith("Error: "))[:20]


def compare(steps, name):
    answers = {}
    for tool in ("etcdctl", TOOL):
        with harness.etcd("v1") as etcd:
            names = {etcd["client"]: "CLIENT", etcd["peer"]: "PEER"}
            answers[tool] = [
                (a.line, a.code, commands.normalized(a.out, a.line, names),
                 spoken(commands.normalized(a.err, a.line, names)))
                for a in commands.Runner(tool, etcd["client"]).run(steps)]
    for theirs, ours in zip(answers["etcdctl"], answers[TOOL]):
        if name == "wrong-words":
            assert (theirs[1], first_error(theirs[3])) == (ours[1], first_error(ours[3])), \
                f"`{theirs[0]}`\n  etcdctl    {theirs}\n  coppicectl {ours}"
        else:
            assert theirs == ours, f"`{theirs[0]}`\n  etcdctl    {theirs}\n  coppicectl {ours}"


def fails_over():
    """A dead endpoint in front of a live one costs nothing but a refused connection."""
    with harness.etcd() as etcd:
        dead = f"127.0.0.1:{harness.free_port()}"
        runner = commands.Runner(TOOL, f"{dead},{etcd['client']}")
        answers = runner.run([commands.Step("put a 1"), commands.Step("get a")])
        assert [a.out for a in answers] == ["OK\n", "a\n1\n"], answers
        alone = commands.Runner(TOOL, dead).run([commands.Step("get a")])[0]
        assert alone.code == 2 and "cannot connect to any of" in alone.err, alone


def shows_an_etcd_as_a_cluster():
    with harness.etcd("v1") as etcd:
        answer = commands.Runner(TOOL, etcd["client"]).run([commands.Step("cluster")])[0]
        rows = [line.split() for line in answer.out.splitlines()]
        assert rows[0][:2] == ["NAME", "ROLE"] and rows[1][:2] == ["v1", "leader"], answer


def main():
    results = harness.Results()
    for name, steps in commands.CASES.items():
        results.case(f"coppicectl {name}", compare, steps, name)
    results.case("coppicectl passes over a dead endpoint", fails_over)
    results.case("coppicectl cluster", shows_an_etcd_as_a_cluster)
    return results.close()


if __name__ == "__main__":
    sys.exit(main())
