"""What every fault scenario stands on: a cluster whose processes can be armed, limited and cut off, a
recorded load through it, and the verdict at the end."""

import base64
import dataclasses
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path += [p for p in (os.path.join(ROOT, "loadgen"), os.path.join(ROOT, "deploy"))
             if p not in sys.path]

from bench_env import BIN  # noqa: E402  (needs the path above)
from cluster import HOST, Cluster, ClusterError, Node, http_get, is_paused  # noqa: E402

ELECTION_TIMEOUT_S = 1.0
BACK_S = 60  # for everything to be ready again once the faults have ended
MODES = ("linearizable", "bounded", "serializable")
PEER_OFFSET = 600  # behind a fault proxy a process listens so far above the port that it tells


class ChaosCluster(Cluster):
    """A cluster with failpoints, limits for single processes, and faults on its peer network.
    Thread: one."""

    def __init__(self, folder, network=None):
        self.network = network  # fault_proxy.FaultProxy, namespaces.Namespaces or None
        self.before = {}  # by name: words before its command, such as prlimit's
        super().__init__(folder, BIN)

    def make_node(self, name):
        host = self.network.host(name) if self.network else HOST
        return Node(name, self.config["base_port"], host)

    def command(self, node):
        words = super().command(node)
        if self.network and self.network.offset and "--listen-peer-urls" in words:
            at = words.index("--listen-peer-urls") + 1
            words[at] = f"http://{node.host}:{node.client_port + 1 + self.network.offset}"
        return words

    def launch(self, node):
        before = (self.network.before(node.name) if self.network else []) + self.before.get(
            node.name, [])
        return before, dict(os.environ, COPPICE_FAILPOINTS=self._failpoints(node.name))

    def _failpoints(self, name):
        path = os.path.join(self.folder, name + ".failpoints")
        if not os.path.exists(path):
            self._write(path, "")
        return path

    def _write(self, path, text):
        with open(path + ".new", "w", encoding="utf-8") as f:
            f.write(text)
        os.replace(path + ".new", path)

    def arm(self, name, *lines):
        """Replaces what is armed in a process; no lines: nothing is."""
        self._write(os.path.join(self.folder, name + ".failpoints"), "".join(l + "\n" for l in lines))

    def metric(self, name, metric, default=None):
        body = http_get(self.node(name).metrics, "/metrics")[1]
        found = re.search(rf"^{metric}(?:\{{[^}}]*\}})? ([-\d.e+]+)$", body, re.M)
        return float(found.group(1)) if found else default

    def log_text(self, name):
        with open(self.log_path(name), encoding="utf-8", errors="replace") as f:
            return f.read()

    def is_paused(self, name):
        pid = self.pid(name)
        return pid is not None and is_paused(pid)


def eventually(predicate, timeout_s=BACK_S, every_s=0.05):
    """Whether it becomes true in time."""
    deadline = time.monotonic() + timeout_s
    while not predicate():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


@dataclasses.dataclass(frozen=True)
class Keep:
    """Where copies go of what the verdict came from; nothing: they are not kept."""

    history: str = None
    log: str = None

    def copy(self, history, log):
        if self.history:
            shutil.copy(history, self.history)
        if self.log:
            shutil.rmtree(self.log, ignore_errors=True)
            shutil.copytree(log, self.log)


class Rig:
    """One scenario's cluster and load. `with` stops and removes them. Thread: one."""

    def __init__(self, scenario, seconds, rng, network=None):
        self.scenario, self.seconds, self.rng = scenario, seconds, rng
        self.folder = tempfile.mkdtemp(prefix="coppice-chaos-")
        self.history = os.path.join(self.folder, "history.jsonl")
        self.cluster = ChaosCluster(self.folder, network)
        self.network = network
        self.faults = {}  # what was done, and how often
        self.expected = []  # (what must hold, whether it does)
        self.recovery_s = []
        self.checked = {}
        self.keep = Keep()
        self._load = None

    def __enter__(self):
        try:
            voters, learners, proxies = self.scenario.shape
            self.cluster.create(voters, learners, proxies, base_port(self.network),
                                self.scenario.extra)
            if self.network:
                self.network.start(self.cluster)
            if self.scenario.prepare:
                self.scenario.prepare(self)
            for name in self.names():
                self.cluster.start(name)
            self.cluster.wait_ready(self.names())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._load is not None and self._load.poll() is None:
            self._load.kill()
            self._load.wait()
        for name in (self.cluster.config or {"names": []})["names"]:
            if self.cluster.pid(name) is not None:
                self.cluster.kill(name)
        if self.network:
            self.network.stop()
        for mount in self._mounts():
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _mounts(self):
        with open("/proc/mounts", encoding="utf-8") as f:
            return [line.split()[1] for line in f if line.split()[1].startswith(self.folder + "/")]

    # --- Who there is.

    def names(self, role=None):
        return [n.name for n in self.cluster.nodes(role)]

    def leader(self):
        """The leader's name, once there is one."""
        found = []
        if not eventually(lambda: found.append(self.cluster.leader()) or found[-1]):
            raise ClusterError(f"no voter leads within {BACK_S} s")
        return found[-1]

    def follower(self):
        leader = self.leader()
        return self.rng.choice([n for n in self.names("voter") if n != leader])

    # --- Faults.

    def say(self, what):
        print(f"    {what}", flush=True)

    def did(self, what, detail=""):
        self.faults[what] = self.faults.get(what, 0) + 1
        self.say(f"{what} {detail}".rstrip())

    def expect(self, what, holds):
        self.expected.append((what, bool(holds)))

    def kill(self, name, down_s):
        self.cluster.kill(name)
        time.sleep(down_s)
        self.cluster.start(name)

    def pause(self, name, seconds):
        self.cluster.signal(name, signal.SIGSTOP)
        time.sleep(seconds)
        self.cluster.signal(name, signal.SIGCONT)

    def exit_code(self, name, timeout_s):
        """Of a process that ends by itself in time, else None."""
        process = self.cluster._children[name]  # pylint: disable=protected-access
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def back(self, names=None, timeout_s=BACK_S):
        """Waits until these (all) are ready and notes how long that took."""
        began = time.monotonic()
        self.cluster.wait_ready(names or self.names(), timeout_s)
        self.recovery_s.append(time.monotonic() - began)

    def heal(self):
        """Ends every fault that this class knows of; starts what ended."""
        if self.network:
            self.network.heal()
        for name in self.names():
            self.cluster.arm(name)
            if self.cluster.is_paused(name):
                self.cluster.signal(name, signal.SIGCONT)
            self.cluster.start(name)
        self.back()

    # --- The load.

    def start_load(self):
        scenario = self.scenario
        targets = ",".join(self.cluster.node(n).client for n in self.names()
                           if n[0] in scenario.targets)
        self._load = subprocess.Popen(
            [os.path.join(BIN, "coppice-loadgen"), "run", "mixed", "--target", targets,
             "--consistency", ",".join(MODES), "--sessions", "0.5", "--read-ratio", "0.8",
             "--keys", "500", "--prefix", "chaos/", "--rate", str(scenario.rate),
             "--connections", "8", "--streams", "8", "--timeout", "3s",
             "--watchers", "4", "--watch-streams", "4", "--watch-connections", "4",
             "--duration", f"{self.seconds:.0f}s", "--warmup", "0s", "--record", self.history,
             "--quiet", *map(str, scenario.load)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def is_loaded(self):
        return self._load.poll() is None

    def finish_load(self):
        try:
            output, _ = self._load.communicate(timeout=self.seconds + 120)
        except subprocess.TimeoutExpired:
            self.expect("the load ends", False)
            return
        if self._load.returncode != 0:
            print(output, flush=True)
        self.expect("the load and its watches end well", self._load.returncode == 0)

    # --- The verdict.

    def check_history(self):
        """By itself, and against the log of one voter, which is stopped for it: call it last, once all
        have the same revision. One that was behind would lack what the others acknowledged."""
        voter = self.rng.choice(self.names("voter"))
        data = os.path.join(self.cluster.folder, voter)
        self.expect("a voter stops on SIGTERM", not self.cluster.stop([voter]))
        self.keep.copy(self.history, os.path.join(data, "member", "wal"))
        done = subprocess.run([os.path.join(BIN, "coppice-loadgen"), "check", self.history,
                               "--log", data],
                              capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0:
            print(done.stdout + done.stderr, flush=True)
        self._take_report(done.stdout, voter)
        if done.returncode != 0:
            self.checked["violations"] = max(self.checked["violations"], 1)
        self.expect("the checkers find no violation", done.returncode == 0)
        self.expect("the history was compared with a voter's log", self.checked["log"] > 0)
        self.expect("enough was checked: 50 reads of each consistency", self.reads_least() >= 50)

    def _take_report(self, report, voter):
        for name, pattern in (("puts", r"^(\d+) puts"), ("events", r"^(\d+) events of"),
                              ("violations", r"^(\d+) violations"),
                              *((m, rf"^(\d+) {m} reads checked") for m in MODES)):
            found = re.search(pattern, report, re.M)
            self.checked[name] = int(found.group(1)) if found else 0
        self.checked["reads"] = sum(self.checked[m] for m in MODES)
        log = re.search(r"^(\d+) writes, (\d+) reads and (\d+) events compared with the log.*", report,
                        re.M)
        self.checked["log"] = sum(map(int, log.groups())) if log else 0
        sessions = re.search(r"^\d+ reads in \d+ sessions", report, re.M)
        for found, of in ((sessions, ""), (log, f"{voter}: ")):
            self.say(of + found.group(0) if found else "the checkers say too little")

    def reads_least(self):
        """Checked reads, of the consistency that has the fewest."""
        return min(self.checked[m] for m in MODES)

    def revisions(self):
        return {n: self.cluster.metric(n, "coppice_revision", -1)
                for n in self.names("voter") + self.names("learner")}

    def check_hashes(self):
        """Every voter and learner has the same history up to one revision."""
        same = eventually(lambda: len(set(self.revisions().values())) == 1)
        self.expect("every node has the same hash at one revision", self.same_hashes() and same)

    def same_hashes(self):
        """Whether all have one hash at the lowest of their revisions; says what they have if not."""
        revisions = self.revisions()
        lowest = int(min(revisions.values()))  # hashkv takes 0 for the newest of each
        hashes = {n: self.hash_kv(n, lowest) for n in revisions}
        good = lowest > 0 and None not in hashes.values() and len(set(hashes.values())) == 1
        if not good:
            print(f"revisions {revisions}, hashes {hashes}", flush=True)
        return good

    def hash_kv(self, name, revision):
        done = subprocess.run([os.path.join(BIN, "coppicectl"),
                               f"--endpoints={self.cluster.node(name).client}", "endpoint", "hashkv",
                               f"--rev={revision}", "-w", "json"],
                              capture_output=True, text=True, timeout=30, check=False)
        try:
            return json.loads(done.stdout)[0]["HashKV"]["hash"]
        except (ValueError, LookupError):
            print(done.stdout + done.stderr, flush=True)
            return None

    def put_large(self, count=20):
        """Values of 120 kB, the most that a command line takes, which no compression makes smaller.
        How many were taken."""
        done = 0
        for number in range(count):
            value = base64.b64encode(self.rng.randbytes(90000)).decode()
            done += self.ctl(self.cluster.node("p1").client, "put", f"fill/{number}",
                             value).returncode == 0
        return done

    def ctl(self, endpoint, *words, timeout_s=15):
        return subprocess.run([os.path.join(BIN, "coppicectl"), f"--endpoints={endpoint}", *words],
                              capture_output=True, text=True, timeout=timeout_s, check=False)


def base_port(network):
    import bench_env  # pylint: disable=import-outside-toplevel
    while True:
        base = bench_env.base_port() if network is None or network.offset == 0 else random.randrange(
            10000, 30000)
        offsets = [PEER_OFFSET + o for o in (1, 4, 7, 10, 13, 101, 104)]
        if network is None or network.offset == 0 or all(
                bench_env.is_free(base + o) for o in offsets + [o - PEER_OFFSET for o in offsets]):
            return base


def run(scenario, seconds, seed, network, keep=Keep()):
    """Carries out one scenario; the Rig with its verdict in it."""
    rng = random.Random(f"{seed} {scenario.name}")
    with Rig(scenario, seconds, rng, network) as rig:
        rig.keep = keep
        rig.start_load()
        until = time.monotonic() + max(seconds - 4, 1)
        try:
            time.sleep(1)
            scenario.inject(rig, until)
            rig.heal()
            rig.expect("everything is ready again by itself", True)
        except (ClusterError, subprocess.TimeoutExpired, OSError) as error:
            print(f"    {error}", flush=True)
            rig.expect("everything is ready again by itself", False)
        rig.finish_load()
        rig.check_hashes()
        rig.check_history()
        if scenario.judge:
            scenario.judge(rig)
    return rig
