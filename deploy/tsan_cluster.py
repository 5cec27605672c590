#!/usr/bin/env python3
"""The threads of the real processes under ThreadSanitizer: three voters, a learner and one below it,
and a proxy, each with four threads, from the build of the preset `tsan`.

    deploy/tsan_cluster.py [--servers build-tsan/bin] [--clients build/bin] [--threads N]

Loads go through the proxy and to the learner and a voter themselves: puts, reads of all
consistencies, watches; a learner is killed and comes back, the proxy too; answers of many MiB,
maintenance and a change of leaders go on beside a load; then all get SIGTERM under load. A race, a deadlock or a wrong history fails. The clients are not instrumented: they
are another build's.
"""

import argparse
import contextlib
import glob
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "deploy", "e2e"))

import faults  # noqa: E402  (needs the path above)
import harness  # noqa: E402
from cluster import http_get  # noqa: E402

READY_S = 60
LOAD_S = 12
LARGE_VALUES = 12  # of 1 MiB
RACE_EXIT = 66
SUPPRESSIONS = os.path.join(ROOT, "deploy", "tsan_suppressions.txt")
END_S = 30


class Load:
    """A loadgen that runs until its time is over."""

    def __init__(self, clients, folder, name, targets, seconds, *options):
        self.record = os.path.join(folder, name + ".history")
        self.output = open(os.path.join(folder, name + ".log"), "w+", encoding="utf-8")
        self.clients = clients
        self.process = subprocess.Popen(
            [os.path.join(clients, "coppice-loadgen"), "run", "mixed", "--quiet",
             "--target", ",".join(targets), "--prefix", name + "/", f"--duration={seconds}s",
             "--warmup=0s", "--timeout=5s", "--read-ratio=0.7", "--keys=50", "--connections=8",
             "--streams=16", "--rate=400", "--consistency=linearizable,bounded,serializable",
             "--max-staleness=2s", "--record", self.record, *options],
            stdout=self.output, stderr=self.output)

    def stop(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        """Waits for its end; the history must be one that the promises allow."""
        code = self.process.wait(LOAD_S + END_S)
        self.output.seek(0)
        assert code == 0, f"loadgen ended with {code}:\n{self.output.read()[-2000:]}"
        done = subprocess.run([os.path.join(self.clients, "coppice-loadgen"), "check", self.record],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def restart(cluster, name):
    cluster.kill(name)
    time.sleep(0.5)
    cluster.start(name)
    cluster.wait_ready([name], READY_S)


def served(cluster, clients, folder):
    """Both loads while a learner dies and comes back."""
    proxy, learner, voter = (cluster.node(n).client for n in ("p1", "l2", "v1"))
    loads = [Load(clients, folder, "proxy", [proxy], LOAD_S, "--watchers=30", "--watch-streams=10"),
             Load(clients, folder, "direct", [learner, voter], LOAD_S, "--watchers=10")]
    try:
        time.sleep(LOAD_S / 4)
        restart(cluster, "l1")
        for load in loads:
            load.end()
    finally:
        for load in loads:
            load.stop()


def ctl(node, *words, **options):
    return subprocess.Popen(
        ["etcdctl", f"--endpoints={node.client}", "--command-timeout=30s", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(os.environ, ETCDCTL_API="3"),
        **options)


def well(*processes):
    for process in processes:
        _, said = process.communicate(timeout=END_S)
        assert process.returncode == 0, f"{process.args}: {said.decode(errors='replace')}"


def large_answers(cluster):
    """To several clients at once, from each tier."""
    nodes = [cluster.node(n) for n in ("p1", "l2", "v1", "v2")]
    for i in range(LARGE_VALUES):
        put = ctl(nodes[i % len(nodes)], "put", f"large/{i}", stdin=subprocess.PIPE)
        put.stdin.write(b"x" * (1 << 20))
        well(put)
    well(*[ctl(node, "get", "large/", "--prefix") for node in nodes + nodes])


def maintained(cluster):
    for node in cluster.nodes("voter") + cluster.nodes("learner") + cluster.nodes("proxy"):
        for path in ("/metrics", "/health", "/readyz"):
            assert http_get(node.metrics, path)[0] == 200, (node.name, path)
    well(ctl(cluster.node("p1"), "compaction", "1000", "--physical"))
    well(*[ctl(cluster.node(name), "defrag") for name in ("v1", "l2")])
    well(*[ctl(cluster.node(name), "endpoint", "hashkv") for name in ("v2", "l1")])


def another_leader(cluster):
    listed = subprocess.run(["etcdctl", f"--endpoints={cluster.node('v1').client}", "member", "list"],
                            capture_output=True, text=True, timeout=END_S, check=True,
                            env=dict(os.environ, ETCDCTL_API="3")).stdout.splitlines()
    ids = {row.split(", ")[2]: row.split(", ")[0] for row in listed}
    leader = cluster.leader()
    chosen = next(node.name for node in cluster.nodes("voter") if node.name != leader)
    well(ctl(cluster.node(leader), "move-leader", ids[chosen]))
    harness.eventually(lambda: cluster.leader() == chosen)
    restart(cluster, chosen)


def beside_a_load(cluster, clients, folder):
    load = Load(clients, folder, "beside", [cluster.node("p1").client], LOAD_S, "--watchers=10")
    try:
        large_answers(cluster)
        maintained(cluster)
        another_leader(cluster)
        load.end()
    finally:
        load.stop()


def proxy_killed(cluster, clients, folder):
    restart(cluster, "p1")
    load = Load(clients, folder, "again", [cluster.node("p1").client], 3)
    try:
        load.end()
    finally:
        load.stop()


def ended(cluster, clients, folder):
    """SIGTERM to all under load: each ends, and with the exit code of a clean end."""
    load = Load(clients, folder, "ending", [cluster.node("p1").client, cluster.node("l2").client],
                30, "--watchers=10")
    try:
        time.sleep(2)
        for name in ("p1", "l2", "l1", "v3", "v2", "v1"):
            process = cluster._children[name]
            process.terminate()
            code = process.wait(END_S)
            assert code == 0, f"{name} ended with {code}" + \
                (", a race" if code == RACE_EXIT else "") + f"\n{cluster.last_lines(name)}"
    finally:
        load.stop()


def no_reports(folder):
    reports = sorted(glob.glob(os.path.join(folder, "tsan.*")))
    for path in reports[:5]:
        with open(path, encoding="utf-8", errors="replace") as f:
            print(f.read()[:8000], flush=True)
    assert not reports, f"{len(reports)} processes with reports of ThreadSanitizer"


@contextlib.contextmanager
def tsan_options(folder):
    before = os.environ.get("TSAN_OPTIONS")
    os.environ["TSAN_OPTIONS"] = (f"halt_on_error=0:exitcode={RACE_EXIT}:second_deadlock_stack=1:"
                                  f"suppressions={SUPPRESSIONS}:log_path={folder}/tsan")
    try:
        yield
    finally:
        if before is None:
            del os.environ["TSAN_OPTIONS"]
        else:
            os.environ["TSAN_OPTIONS"] = before


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", default=os.path.join(ROOT, "build-tsan", "bin"))
    parser.add_argument("--clients", default=os.path.join(ROOT, "build", "bin"))
    parser.add_argument("--threads", type=int, default=4, help="of each process")
    args = parser.parse_args()
    harness.BIN_DIR = os.path.abspath(args.servers)
    clients = os.path.abspath(args.clients)
    extra = {role: [f"--threads={args.threads}"] for role in ("learner", "proxy")}
    # A slow machine is no reason for an election here.
    extra["voter"] = [f"--threads={args.threads}", "--heartbeat-interval=200", "--election-timeout=3000"]
    results = harness.Results()
    with tempfile.TemporaryDirectory(prefix="coppice-tsan-") as folder:
        with tsan_options(folder), harness.coppice(3, 2, 1, extra, READY_S) as cluster:
            faults.relay(cluster)
            for name, case in (("loads while a learner is killed", served),
                               ("large answers, maintenance, another leader", beside_a_load),
                               ("the proxy killed", proxy_killed),
                               ("SIGTERM under load", ended)):
                results.case(name, case, cluster, clients, folder)
        results.case("no reports of ThreadSanitizer", no_reports, folder)
    return results.close()


if __name__ == "__main__":
    sys.exit(main())
