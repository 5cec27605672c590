"""What the end-to-end tests share: free ports, an etcd to compare with, a Coppice cluster, cases.

A suite is an executable in this folder that calls `main` with its cases; a case is a function
that raises (an assertion will do) when it fails.
"""

import contextlib
import fcntl
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.dirname(HERE))

from cluster import HOST, PORT_SPAN, Cluster, http_get  # noqa: E402  (needs the path above)

BIN_DIR = os.environ.get("COPPICE_BIN_DIR", os.path.join(ROOT, "build", "bin"))


def free_port():
    """A port that is free now: between the blocks of free_base_port and the range that the kernel
    hands out, from which any connection made meanwhile could take it."""
    while True:
        port = random.randrange(32000, 32768)
        if port in _given:
            continue
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind((HOST, port))
            _given.add(port)
            return port


_given = set()  # by free_port, to this process
_reserved = {}  # the lock of each block of ports that this process has, by its first port


def free_base_port(span=PORT_SPAN):
    """The first of `span` ports below the range that the kernel hands out, of which each that a
    small cluster uses is free now. They are this process's until it ends or gives them back: runs
    at the same time never get the same."""
    used = list(range(0, 30)) + list(range(100, 130)) + list(range(400, 412))
    while True:
        base = random.randrange(10000, 32000 - span, span)
        if base in _reserved:
            continue
        lock = open(os.path.join(tempfile.gettempdir(), f"coppice-e2e-{os.getuid()}-ports-{base}.lock"),
                    "ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.ExitStack() as stack:
                for offset in used:
                    s = stack.enter_context(socket.socket())
                    s.bind((HOST, base + offset))
        except OSError:
            lock.close()
            continue
        _reserved[base] = lock
        return base


def give_back(base_port):
    _reserved.pop(base_port).close()


@contextlib.contextmanager
def coppice(voters=1, learners=0, proxies=0, extra=None, timeout_s=20, *, started=None, ready=True):
    """A Cluster, ready; stopped and removed afterwards. On failure its logs' ends are printed.
    `started`: the names of those that are started; all."""
    folder = tempfile.mkdtemp(prefix="coppice-e2e-")
    cluster = Cluster(folder, BIN_DIR)
    base_port = free_base_port()
    try:
        cluster.create(voters, learners, proxies, base_port, extra)
        for name in started or cluster.config["names"]:
            cluster.start(name)
        if ready:
            cluster.wait_ready(started or cluster.config["names"], timeout_s)
        yield cluster
    except BaseException:
        for name in (cluster.config or {"names": []})["names"]:
            print(cluster.last_lines(name, 10))
        raise
    finally:
        if cluster.config:
            cluster.stop(cluster.config["names"])
        give_back(base_port)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def etcd(name="default", timeout_s=20):
    """A one-node etcd of Debian's on free ports: {"client": "host:port", "peer": ...}."""
    folder = tempfile.mkdtemp(prefix="etcd-e2e-")
    client, peer = f"{HOST}:{free_port()}", f"{HOST}:{free_port()}"
    with open(os.path.join(folder, "log"), "wb") as log:
        process = subprocess.Popen(
            ["etcd", "--name", name, "--data-dir", os.path.join(folder, "data"),
             "--listen-client-urls", f"http://{client}", "--advertise-client-urls",
             f"http://{client}", "--listen-peer-urls", f"http://{peer}",
             "--initial-advertise-peer-urls", f"http://{peer}",
             "--initial-cluster", f"{name}=http://{peer}"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + timeout_s
        while http_get(client, "/health")[0] != 200:
            if process.poll() is not None or time.monotonic() > deadline:
                with open(os.path.join(folder, "log"), encoding="utf-8", errors="replace") as f:
                    raise RuntimeError("etcd did not start:\n" + f.read()[-2000:])
            time.sleep(0.05)
        yield {"client": client, "peer": peer}
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def eventually(predicate, timeout_s=10, every_s=0.05):
    """Waits until predicate() is true, and fails when it is not in time."""
    deadline = time.monotonic() + timeout_s
    while not predicate():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {timeout_s} s: {predicate}")
        time.sleep(every_s)


class Results:
    """Counts cases and prints a line for each."""

    def __init__(self):
        self.passed = self.failed = 0

    def case(self, name, function, *args):
        begun = time.monotonic()
        try:
            function(*args)
        except Exception as error:  # a case may fail in any way; the others still run
            self.failed += 1
            print(f"FAIL {name}: {error}", flush=True)
            if not isinstance(error, AssertionError):
                traceback.print_exc(file=sys.stdout)
            return False
        self.passed += 1
        print(f"ok   {name} ({time.monotonic() - begun:.1f} s)", flush=True)
        return True

    def close(self):
        """The closing line; returns the exit code."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0
