"""What the measuring scripts share: clusters, the load generator, CPU caps, the machine."""

import glob
import json
import os
import platform
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.environ.get("COPPICE_BIN_DIR", os.path.join(ROOT, "build", "bin"))
sys.path += [os.path.join(ROOT, "deploy"), os.path.join(ROOT, "loadgen", "peers")]

from cluster import Cluster, PORT_SPAN  # pylint: disable=wrong-import-position

CAP_PERIOD_US = 12500
QUOTA_MIN_US = 1000  # the kernel's


def base_port():
    """A base port whose span seems free, below those that the kernel gives to outgoing connections."""
    bases = list(range(10000, 32000, PORT_SPAN))
    random.shuffle(bases)
    for base in bases:
        if all(is_free(base + offset) for offset in (*range(0, 15), 100, 101, 102, 400, 401, 402)):
            return base
    raise RuntimeError("no free ports")


def is_free(port):
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Coppice:
    """A cluster of ours for one measurement; `with` stops it and removes its data."""

    def __init__(self, voters, learners, proxies):
        self.folder = tempfile.mkdtemp(prefix="coppice-bench-")
        self.cluster = Cluster(self.folder, BIN)
        self.cluster.create(voters, learners, proxies, base_port())
        names = self.cluster.config["names"]
        try:
            for name in names:
                self.cluster.start(name)
            self.cluster.wait_ready(names)
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in self.cluster.config["names"]:
            if self.cluster.pid(name) is not None:
                self.cluster.kill(name)
            else:
                print(f"{name} had ended:\n{self.cluster.last_lines(name)}", file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)

    def add_learner(self):
        name = self.cluster.add("l")
        self.cluster.start(name)
        self.cluster.wait_ready([name])
        return name

    def pids(self, role):
        return [self.cluster.require_pid(n.name) for n in self.cluster.nodes(role)]

    def tiers(self):
        return {role: pids for role in ("voter", "learner", "proxy") if (pids := self.pids(role))}

    def target(self):
        return self.cluster.endpoints("proxy") or self.cluster.endpoints("voter")


class EtcdPeer:
    """The peer in the same shape."""

    def __init__(self, voters):
        import etcd  # pylint: disable=import-outside-toplevel
        self.folder = tempfile.mkdtemp(prefix="coppice-peer-")
        try:
            self.etcd = etcd.Etcd(self.folder, voters)
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        self.version = self.etcd.version

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.etcd.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def tiers(self):
        return {"etcd": self.etcd.pids}

    def target(self):
        return self.etcd.endpoints


def run_load(scenario, system, *options, seconds=2.0, warmup=0.5):
    """The result of `coppice-loadgen run` against a system, with `machine_idle` (share) added."""
    tiers = ",".join(f"{name}={'+'.join(map(str, pids))}" for name, pids in system.tiers().items())
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [os.path.join(BIN, "coppice-loadgen"), "run", scenario,
                   "--target", system.target(), "--quiet", "--json", out.name,
                   "--duration", f"{seconds}s", "--warmup", f"{warmup}s", "--cpu-of", tiers,
                   *map(str, options)]
        if isinstance(system, EtcdPeer):
            command.append("--etcd")
        busy, total = cpu_times()
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=seconds + warmup + 120)
        busy_after, total_after = cpu_times()
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout[-400:]}")
        result = json.load(out)
    result["machine_idle"] = 1 - (busy_after - busy) / max(total_after - total, 1)
    return result


def cpu_times():
    with open("/proc/stat", encoding="utf-8") as f:
        fields = [int(n) for n in f.readline().split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def cores_of(result, name):
    return sum(c["cores"] for c in result["cpu"] if c["name"] == name)


def server_us(result):
    """CPU per request of all tiers, the client excluded."""
    return sum(c["us_per_request"] for c in result["cpu"] if c["name"] != "loadgen")


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values),
            "n": len(values)}


class Caps:
    """CPU caps of single processes by control groups, v1 or v2. `with` removes them."""

    def __init__(self, share):
        self.period = max(CAP_PERIOD_US, int(QUOTA_MIN_US / share))
        self.quota = max(QUOTA_MIN_US, round(self.period * share))
        self.v1 = os.path.isdir("/sys/fs/cgroup/cpu")
        base = "/sys/fs/cgroup/cpu" if self.v1 else "/sys/fs/cgroup"
        self.root = os.path.join(base, f"coppice-{os.getpid()}")
        os.mkdir(self.root)
        if not self.v1:
            for folder in (base, self.root):
                self._write(os.path.join(folder, "cgroup.subtree_control"), "+cpu")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for folder in glob.glob(os.path.join(self.root, "*/")):
            self._remove(folder)
        self._remove(self.root)

    def _remove(self, folder):
        for _ in range(100):  # killed processes leave after a moment
            try:
                os.rmdir(folder)
                return
            except OSError:
                time.sleep(0.02)

    def _write(self, path, text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def put(self, pids):
        """Each of the processes into a group of its own, without a cap yet."""
        for pid in pids:
            folder = os.path.join(self.root, str(pid))
            if not os.path.isdir(folder):
                os.mkdir(folder)
                self._write(os.path.join(folder, "cgroup.procs"), str(pid))

    def set(self, on):
        for folder in glob.glob(os.path.join(self.root, "*/")):
            if self.v1:
                self._write(os.path.join(folder, "cpu.cfs_quota_us"), "-1")
                self._write(os.path.join(folder, "cpu.cfs_period_us"), str(self.period))
                if on:
                    self._write(os.path.join(folder, "cpu.cfs_quota_us"), str(self.quota))
            else:
                self._write(os.path.join(folder, "cpu.max"),
                            f"{self.quota if on else 'max'} {self.period}")


def first_line(path, prefix):
    try:
        with open(path, encoding="utf-8") as f:
            for line in f:
                if line.startswith(prefix):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return "unknown"


def fdatasync_us(folder="/tmp", count=200):
    """The median time to append 2 KiB and sync it."""
    times = []
    with tempfile.NamedTemporaryFile(dir=folder) as f:
        for _ in range(count):
            begin = time.perf_counter()
            os.write(f.fileno(), b"x" * 2048)
            os.fdatasync(f.fileno())
            times.append((time.perf_counter() - begin) * 1e6)
    return statistics.median(times)


def machine():
    return {"cpu": first_line("/proc/cpuinfo", "model name"), "cores": os.cpu_count(),
            "memory": first_line("/proc/meminfo", "MemTotal"), "kernel": platform.release(),
            "fdatasync_2k_us": round(fdatasync_us(), 1)}


def commit():
    def git(*args):
        return subprocess.run(["git", "-C", ROOT, *args], capture_output=True, text=True,
                              check=False).stdout.strip()
    return git("rev-parse", "HEAD") + (" with changes" if git("status", "--porcelain", "-uno")
                                       else "")
