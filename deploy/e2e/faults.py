#!/usr/bin/env python3
"""Processes killed under load: three voters, two learners (the second below the first), a proxy.

Whatever is killed and started again, what was acknowledged is there, nothing was written twice, and
the cluster comes back by itself; a watch through the proxy has every event once, in order. Without
a quorum what may be stale is served. And SIGTERM ends each process in order, with open watches too."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import harness

ENV = dict(os.environ, ETCDCTL_API="3")
BACK_S = 20


def ctl(endpoint, *words, timeout_s=15):
    return subprocess.run(["etcdctl", f"--endpoints={endpoint}", "--command-timeout=3s", *words],
                          capture_output=True, text=True, timeout=timeout_s, check=False, env=ENV)


class Load:
    """Puts and linearizable reads through the proxy, until the `with` block ends."""

    def __init__(self, endpoint, prefix, writers=2):
        self.endpoint, self.prefix = endpoint, prefix
        self.acknowledged, self.stale = [], []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._write, args=(w,)) for w in range(writers)]

    def _write(self, writer):
        number = 0
        while not self.stopping.is_set():
            key = f"{self.prefix}/{writer}/{number:05}"
            number += 1
            if ctl(self.endpoint, "put", key, str(number)).returncode != 0:
                continue
            self.acknowledged.append(key)
            read = ctl(self.endpoint, "get", key, "--print-value-only")
            if read.returncode == 0 and read.stdout.strip() != str(number):
                self.stale.append((key, read.stdout))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def progressed(self, count=4):
        """Waits until `count` more puts are acknowledged."""
        goal = len(self.acknowledged) + count
        harness.eventually(lambda: len(self.acknowledged) >= goal, BACK_S)

    def check(self, endpoint):
        done = ctl(endpoint, "get", self.prefix + "/", "--prefix", "-w", "fields")
        assert done.returncode == 0, done
        keys = re.findall(r'^"Key" : "(.*)"$', done.stdout, re.M)
        versions = re.findall(r'^"Version" : (\d+)$', done.stdout, re.M)
        lost = set(self.acknowledged) - set(keys)
        assert not lost, f"lost {sorted(lost)[:5]} of {len(self.acknowledged)} acknowledged"
        assert set(versions) <= {"1"}, "a put was done twice"
        assert not self.stale, f"stale reads: {self.stale[:3]}"


def relay(cluster):
    """Starts l2 anew below l1."""
    cluster.stop(["l2"])
    command = cluster.command

    def below_l1(node):
        words = command(node)
        if node.name == "l2":
            words[words.index("--upstream") + 1] = f"http://{cluster.node('l1').peer}"
        return words

    cluster.command = below_l1
    cluster.start("l2")
    cluster.wait_ready(["l2"])


def kill_and_restart(cluster, choose, number):
    proxy = cluster.node("p1").client
    with Load(proxy, f"load{number}") as load:
        load.progressed()
        names = choose()
        for name in names:
            os.kill(cluster.require_pid(name), signal.SIGKILL)
        for name in names:
            cluster._gone(name, time.monotonic() + 5)
        if len(names) == 1 and names != ["p1"]:
            load.progressed()  # the others go on
        for name in names:
            cluster.start(name)
        cluster.wait_ready(cluster.config["names"], BACK_S)
        load.progressed()
    for name in cluster.config["names"]:
        load.check(cluster.node(name).client)


def follower(cluster):
    return next(n.name for n in cluster.nodes("voter") if n.name != cluster.leader())


def watch_survives(cluster):
    """Learners die in turn below a watch through the proxy."""
    proxy = cluster.node("p1").client
    with open(os.path.join(cluster.folder, "watch"), "w+", encoding="utf-8") as out:
        watcher = subprocess.Popen(
            ["etcdctl", f"--endpoints={proxy}", "watch", "w/", "--prefix", "--rev=1"],
            stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=ENV)
        try:
            sent = []
            for round_ in range(3):
                for name in ("l1", "l2"):
                    sent += put_some(proxy, f"{round_}{name}")
                    cluster.kill(name)
                    sent += put_some(proxy, f"{round_}{name}dead")
                    cluster.start(name)
                    cluster.wait_ready([name], BACK_S)

            def seen():
                with open(out.name, encoding="utf-8") as f:
                    return f.read().splitlines()[2::3]

            deadline = time.monotonic() + 10
            while len(seen()) < len(sent) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert seen() == sent, f"watched {seen()}, put {sent}"
            assert watcher.poll() is None, "the watch ended"
        finally:
            watcher.kill()
            watcher.wait()


def put_some(endpoint, tag, count=4):
    values = [f"{tag}-{i}" for i in range(count)]
    for value in values:
        done = ctl(endpoint, "put", "w/key", value)
        assert done.returncode == 0, done
    return values


def terminates(cluster):
    """SIGTERM with a watch open at each: exit code 0, soon."""
    watchers = [subprocess.Popen(["etcdctl", f"--endpoints={n.client}", "watch", "x"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 stdin=subprocess.DEVNULL, env=ENV) for n in cluster.nodes()]
    try:
        time.sleep(0.5)
        for name in ("p1", "l2", "l1", "v3", "v2", "v1"):
            process = cluster._children[name]
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code = process.wait(10)
            took = time.monotonic() - begun
            print(f"     {name} ended {took:.2f} s after SIGTERM", flush=True)
            assert code == 0, f"{name}: exit code {code}\n{cluster.last_lines(name)}"
            assert took < 6, f"{name} took {took:.1f} s"
    finally:
        for watcher in watchers:
            watcher.kill()
            watcher.wait()


def shows_all(cluster):
    """`coppicectl cluster` has each process's own row; a dead one is unreachable."""
    def health():
        done = subprocess.run([os.path.join(harness.BIN_DIR, "coppicectl"),
                               f"--endpoints={cluster.node('v1').client}", "cluster", "-w", "json"],
                              capture_output=True, text=True, timeout=15, check=False)
        assert done.returncode == 0, done
        return {n["name"]: n.get("healthy", False) for n in json.loads(done.stdout)["nodes"]}
    everyone = {n.name: True for n in cluster.nodes()}
    harness.eventually(lambda: health() == everyone)
    cluster.kill("l1")
    harness.eventually(lambda: health() == dict(everyone, l1=False))
    cluster.start("l1")
    cluster.wait_ready(["l1"])


def stays_fresh(cluster):
    """Each node's staleness stands for something although nobody reads: it comes down again, on a
    voter that no learner hangs on as well."""
    def staleness(node):
        body = harness.http_get(node.metrics, "/metrics")[1]
        return float(re.search(r"^coppice_staleness_seconds (\S+)$", body, re.M).group(1))

    for node in cluster.nodes():
        if node.role == "proxy":
            continue
        highest = 0.0

        def came_down(node=node):
            nonlocal highest
            now = staleness(node)
            if 0 <= now < highest:
                return True
            highest = max(highest, now)
            return False
        for _ in range(3):  # once could be of the start
            highest = 0.0
            harness.eventually(came_down)


def without_a_quorum(cluster):
    """Serializable reads go on through the proxy when nobody is ready any more; others fail."""
    proxy = cluster.node("p1").client
    assert ctl(proxy, "put", "q/key", "there").returncode == 0
    for name in ("v1", "v2"):
        cluster.kill(name)
    harness.eventually(lambda: all(cluster.not_ready(n) for n in ("v3", "l1", "l2")), BACK_S)
    for _ in range(3):
        read = ctl(proxy, "get", "q/key", "--print-value-only", "--consistency=s")
        assert (read.returncode, read.stdout.strip()) == (0, "there"), read
    assert ctl(proxy, "get", "q/key").returncode != 0, "a linearizable read without a quorum"
    for name in ("v1", "v2"):
        cluster.start(name)
    cluster.wait_ready(cluster.config["names"], BACK_S)
    assert ctl(proxy, "get", "q/key", "--print-value-only").stdout.strip() == "there"


def main():
    results = harness.Results()
    with harness.coppice(3, 2, 1) as cluster:
        relay(cluster)
        victims = (("the leader", lambda: [cluster.leader()]),
                   ("a follower", lambda: [follower(cluster)]),
                   ("a learner", lambda: ["l1"]), ("a learner below it", lambda: ["l2"]),
                   ("the proxy", lambda: ["p1"]), ("all voters", lambda: ["v1", "v2", "v3"]),
                   ("everything", lambda: cluster.config["names"]))
        for number, (what, choose) in enumerate(victims):
            good = results.case(f"SIGKILL of {what} under load", kill_and_restart, cluster, choose,
                                number)
            if not good:
                for name in cluster.config["names"]:
                    cluster.start(name)
                    print(cluster.last_lines(name), flush=True)
        results.case("a watch through the proxy survives learners", watch_survives, cluster)
        results.case("coppicectl cluster shows each process's own row", shows_all, cluster)
        results.case("staleness without reads", stays_fresh, cluster)
        results.case("serializable reads without a quorum", without_a_quorum, cluster)
        results.case("SIGTERM with open watches", terminates, cluster)
    return results.close()


if __name__ == "__main__":
    sys.exit(main())
