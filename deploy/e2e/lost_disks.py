#!/usr/bin/env python3
"""A voter whose disk is lost is not let in again; one that starts late for the first time is. A proxy
goes over to a cluster that takes the place of its own."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

import harness

SAYS_SO = ("cannot start: ", "knows this voter by another data directory", "A voter's disk is lost")
ENV = dict(os.environ, ETCDCTL_API="3")


def ctl(endpoint, *words, timeout_s=15):
    done = subprocess.run(["etcdctl", f"--endpoints={endpoint}", *words], capture_output=True,
                          text=True, timeout=timeout_s, check=False, env=ENV)
    assert done.returncode == 0, done
    return done.stdout


@contextlib.contextmanager
def running(command, folder):
    """The process, with what it says in the file `said`; killed at the end if it still runs."""
    with open(os.path.join(folder, "said"), "wb") as said:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=said,
                                   stderr=said, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def lines(folder):
    with open(os.path.join(folder, "said"), encoding="utf-8") as f:
        return f.read().splitlines()


def refused(cluster, name):
    """Started with a data directory that is not there, it ends with one line and leaves nothing."""
    with tempfile.TemporaryDirectory(prefix="coppice-e2e-") as folder:
        command = cluster.command(cluster.node(name))
        command[command.index("--data-dir") + 1] = "new"
        with running(command, folder) as process:
            assert process.wait(10) == 1, lines(folder)
        assert os.listdir(folder) == ["said"], f"left {os.listdir(folder)}"
        said = lines(folder)
        assert len(said) == 1 and all(w in said[0] for w in SAYS_SO), said


def lost_and_found(cluster):
    """Refused while the others run, whoever leads; its own directory is as good as ever."""
    ctl(cluster.node("v1").client, "put", "a", "1")
    for name in (cluster.leader(), "v1"):
        cluster.kill(name)
        refused(cluster, name)
        cluster.start(name)
        cluster.wait_ready([name])
    assert ctl(cluster.node("v1").client, "get", "a") == "a\n1\n"


def nobody_to_ask(cluster):
    """It waits, says for whom, takes no part, ends in order; and hears of it once one is there."""
    cluster.stop(["v1", "v2", "v3"])
    with tempfile.TemporaryDirectory(prefix="coppice-e2e-") as folder:
        command = cluster.command(cluster.node("v1"))
        command[command.index("--data-dir") + 1] = "new"
        with running(command, folder) as process:
            harness.eventually(lambda: any("waits until 2 more" in s and "v2" in s and "v3" in s
                                           for s in lines(folder)))
            process.terminate()
            assert process.wait(10) == 0, lines(folder)
        with running(command, folder) as process:
            cluster.start("v2")
            assert process.wait(10) == 1, lines(folder)
        assert all(w in lines(folder)[-1] for w in SAYS_SO), lines(folder)
    for name in ("v1", "v3"):
        cluster.start(name)
    cluster.wait_ready(["v1", "v2", "v3"])
    assert ctl(cluster.node("v1").client, "get", "a") == "a\n1\n"


def parts_taken_away(cluster):
    """The log, or the file that says whom this voter knows, without the other."""
    cluster.stop(["v1"])
    member = os.path.join(cluster.folder, "v1", "member")
    for taken, word in ((["wal", "store"], "put the log back"), (["directories"], "put it back")):
        for name in taken:
            os.rename(os.path.join(member, name), os.path.join(cluster.folder, name))
        done = subprocess.run(cluster.command(cluster.node("v1")), cwd=cluster.folder, text=True,
                              capture_output=True, timeout=15, check=False)
        assert done.returncode == 1 and word in done.stderr, done
        for name in taken:
            os.rename(os.path.join(cluster.folder, name), os.path.join(member, name))
    cluster.start("v1")
    cluster.wait_ready(["v1"])


def late_first_start():
    """Four of five serve; the fifth joins when it likes, and fewer do not begin."""
    with harness.coppice(5, started=["v1", "v2", "v3"], ready=False) as cluster:
        harness.eventually(lambda: "waits until" in cluster.last_lines("v1"))
        assert cluster.not_ready("v1") is not None
        cluster.start("v4")
        cluster.wait_ready(["v1", "v2", "v3", "v4"])
        ctl(cluster.node("v1").client, "put", "a", "1")
        cluster.start("v5")
        cluster.wait_ready(["v5"])
        assert ctl(cluster.node("v5").client, "get", "a") == "a\n1\n"


def cluster_id(endpoint):
    return json.loads(ctl(endpoint, "get", "a", "-w", "json"))["header"]["cluster_id"]


def replaced_cluster():
    """The proxy's process goes on, watches end, and what it answers is the new cluster's."""
    with harness.coppice(1, 0, 1) as cluster:
        proxy, voter = cluster.node("p1").client, cluster.node("v1")
        ctl(proxy, "put", "a", "old")
        before, pid = cluster_id(proxy), cluster.require_pid("p1")
        cluster.stop(["v1"])
        shutil.rmtree(os.path.join(cluster.folder, "v1"))
        command = cluster.command(voter)
        command[command.index("--initial-cluster-token") + 1] = "another"
        with running(command, cluster.folder):
            harness.eventually(lambda: "starts anew" in cluster.last_lines("p1", 50), 30)
            harness.eventually(lambda: cluster.not_ready("p1") is None, 20)
            assert ctl(proxy, "get", "a") == "", "the old cluster's data"
            ctl(proxy, "put", "a", "new")
            assert cluster_id(proxy) != before and cluster.require_pid("p1") == pid
            assert ctl(voter.client, "get", "a") == "a\nnew\n"


def main():
    results = harness.Results()
    with harness.coppice(3) as cluster:
        results.case("a voter whose disk is lost", lost_and_found, cluster)
        results.case("a voter whose disk is lost, and nobody to ask", nobody_to_ask, cluster)
        results.case("a part of a voter's directory is lost", parts_taken_away, cluster)
    results.case("a voter's late first start", late_first_start)
    results.case("a proxy's cluster is replaced", replaced_cluster)
    return results.close()


if __name__ == "__main__":
    sys.exit(main())
