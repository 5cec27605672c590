#!/usr/bin/env python3
"""etcdctl's maintenance verbs: move-leader and defrag, with etcd's answers."""

import os
import re
import subprocess
import sys

import harness

ENV = dict(os.environ, ETCDCTL_API="3")


def ctl(endpoints, *words):
    return subprocess.run(["etcdctl", f"--endpoints={endpoints}", "--command-timeout=5s", *words],
                          capture_output=True, text=True, timeout=15, check=False, env=ENV)


def ids(cluster):
    rows = ctl(cluster.node("v1").client, "member", "list").stdout.splitlines()
    return {row.split(", ")[2]: row.split(", ")[0] for row in rows}


def moves(cluster):
    """To each voter in turn, asked at the voters and through the proxy; a write goes on."""
    targets = ids(cluster)
    for where in (cluster.endpoints("voter"), cluster.node("p1").client):
        for name in ("v1", "v2", "v3", "v3"):
            done = ctl(where, "move-leader", targets[name])
            assert done.returncode == 0, done
            if name != cluster.leader():
                harness.eventually(lambda name=name: cluster.leader() == name, 3)
            assert ctl(where, "put", "moved", name).returncode == 0


def refuses(cluster):
    targets = ids(cluster)
    for target in ("1234", targets["l1"]):
        done = ctl(cluster.endpoints("voter"), "move-leader", target)
        assert done.returncode != 0 and "etcdserver: bad leader transferee" in done.stderr, done


def as_etcd(cluster):
    """The error texts, against a real etcd's."""
    with harness.etcd() as etcd:
        theirs = ctl(etcd["client"], "move-leader", "1234")
        ours = ctl(cluster.endpoints("voter"), "move-leader", "1234")

        def error(done):
            return re.search(r"Error: (.*)", done.stderr).group(1)
        assert (error(ours), ours.returncode) == (error(theirs), theirs.returncode)


def defragments(cluster):
    for name in ("v1", "l1", "p1"):
        client = cluster.node(name).client
        for i in range(20):
            assert ctl(client, "put", "often", str(i)).returncode == 0
        done = ctl(client, "defrag")
        said = done.stdout + done.stderr
        assert done.returncode == 0 and "Finished defragmenting etcd member" in said, done
        assert ctl(client, "get", "often", "--print-value-only").stdout == "19\n"


def no_space():
    """What NOSPACE refuses is not in the log either, whose room is for what frees space."""
    with harness.coppice(1, 0, 1, {"voter": ["--quota-backend-bytes=1"]}) as cluster:
        client = cluster.node("p1").client
        assert ctl(client, "put", "a", "1").returncode == 0
        harness.eventually(lambda: "NOSPACE" in ctl(client, "alarm", "list").stdout, 10)
        for value in ("refused" * 10000, "refused" * 10001):
            done = ctl(client, "put", "a", value)
            assert done.returncode != 0 and "database space exceeded" in done.stderr, done
        assert ctl(client, "del", "a").stdout == "1\n"
        disarmed = ctl(client, "alarm", "disarm").stdout  # what it was answered, as from etcd
        assert re.fullmatch(r"memberID:\d+ alarm:NOSPACE \n", disarmed), disarmed
        log = os.path.join(cluster.folder, "v1", "member", "wal")
        for name in os.listdir(log):
            with open(os.path.join(log, name), "rb") as f:
                assert b"refused" not in f.read(), name


def main():
    results = harness.Results()
    with harness.coppice(3, 1, 1) as cluster:
        results.case("move-leader to each voter", moves, cluster)
        results.case("move-leader to who cannot lead", refuses, cluster)
        results.case("move-leader's errors are etcd's", as_etcd, cluster)
        results.case("defrag at each tier", defragments, cluster)
    results.case("NOSPACE keeps the log's room", no_space)
    return results.close()


if __name__ == "__main__":
    sys.exit(main())
