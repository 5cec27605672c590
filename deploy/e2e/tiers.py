#!/usr/bin/env python3
"""The three tiers together, with one thread and with four: put, get, txn and watch through the
proxy, reads of each consistency at the learner, and what an idle cluster costs."""

import os
import re
import subprocess
import sys
import time

import commands
import harness

CTL = os.path.join(harness.BIN_DIR, "coppicectl")
IDLE_S = 3


def ctl(endpoint, *words):
    done = subprocess.run([CTL, f"--endpoints={endpoint}", *words], capture_output=True, text=True,
                          timeout=15, check=False)
    assert done.returncode == 0, done
    return done


def smoke(cluster):
    answers = commands.Runner("etcdctl", cluster.node("p1").client).run([
        commands.Step("put s/a 1"), commands.Step("get s/a"),
        commands.txn(['value("s/a") = "1"'], ["put s/b 2"], ["put s/b 3"]),
        commands.Watch("watch s/b --rev=1", (commands.Step("del s/b"),), until="DELETE")])
    assert [a.out for a in answers] == [
        "OK\n", "s/a\n1\n", "SUCCESS\n\nOK\n", "1\n", "PUT\ns/b\n2\nDELETE\ns/b\n\n"], answers


def session_revision(cluster):
    """What was put through the proxy is read at the learner at once, however weak the read."""
    for i in range(20):
        put = ctl(cluster.node("p1").client, "put", "session", str(i), "-w", "json").stdout
        revision = re.search(r'"revision":(\d+)', put).group(1)
        for words in (["--consistency=serializable"], ["--consistency=bounded"], []):
            read = ctl(cluster.node("l1").client, "get", "session", "--print-value-only",
                       f"--min-revision={revision}", *words)
            assert read.stdout == f"{i}\n", f"{words}: {read.stdout} after {i}"


def trailers(cluster):
    for name in ("l1", "p1", "v1"):
        for words, consistency in ((["--consistency=linearizable"], "linearizable"),
                                   (["--consistency=bounded", "--max-staleness=2s"], "bounded"),
                                   (["--consistency=serializable"], "serializable")):
            said = ctl(cluster.node(name).client, "--show-served", "get", "s/a", *words).stderr
            assert consistency in said and re.search(r"\d(us|ms|s)\b", said), f"{name} {words}: {said}"


def gauges(cluster):
    assert cluster.leader() == "v1"
    for name in ("v1", "l1"):
        body = harness.http_get(cluster.node(name).metrics, "/metrics")[1]
        values = dict(re.findall(r"^(\w+) ([-\d.e+]+)$", body, re.M))
        assert values["etcd_server_is_leader"] == str(int(name == "v1")), values
        assert values["etcd_server_has_leader"] == "1" and float(values["coppice_raft_term"]) >= 1
        assert float(values["coppice_revision"]) > 1 and float(values["coppice_applied_index"]) > 1
        assert name == "v1" or 0 <= float(values["coppice_staleness_seconds"]) < 2, values


def gauges_from_the_start(cluster):
    """A node that says it is ready has its gauges."""
    for name in ("l1", "v1"):
        for _ in range(3):
            cluster.kill(name)
            cluster.start(name)
            harness.eventually(lambda: cluster.not_ready(name) is None, 15, 0.002)
            body = harness.http_get(cluster.node(name).metrics, "/metrics")[1]
            values = dict(re.findall(r"^(\w+) ([-\d.e+]+)$", body, re.M))
            assert float(values["coppice_revision"]) > 1, f"{name}: {values}"


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(cluster):
    pids = {n: cluster.require_pid(n) for n in cluster.config["names"]}
    before = {n: cpu_seconds(pid) for n, pid in pids.items()}
    time.sleep(IDLE_S)
    shares = {n: (cpu_seconds(pid) - before[n]) / IDLE_S for n, pid in pids.items()}
    print("     idle, CPU: " + ", ".join(f"{n} {s:.1%}" for n, s in shares.items()), flush=True)
    assert max(shares.values()) < 0.5, "an idle process spins"


def main():
    results = harness.Results()
    for threads in (1, 4):
        extra = {role: [f"--threads={threads}"] for role in ("voter", "learner", "proxy")}
        with harness.coppice(1, 1, 1, extra) as cluster:
            for name, case in (("put, get, txn, watch", smoke),
                               ("session revision", session_revision),
                               ("consistency and trailers", trailers), ("gauges", gauges),
                               ("idle", idle),
                               ("gauges from the start", gauges_from_the_start)):
                results.case(f"--threads={threads}: {name}", case, cluster)
    return results.close()


if __name__ == "__main__":
    sys.exit(main())
