"""A Coppice cluster of processes on loopback: deploy/local.py and the end-to-end tests use it.

State lives in one folder: `cluster.json`, and for each process NAME `NAME/` (its data), `NAME.pid`
and `NAME.log`. Nothing else is remembered, so any later command finds what an earlier one started.

Ports, from a base port B; each process has three in a row: client, peer, metrics.
    voters    v1.. at B,     B+3, ...   (33 at most)
    learners  l1.. at B+100, B+103, ... (99 at most)
    proxies   p1.. at B+400, B+403, ... (33 at most)
"""

import dataclasses
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

HOST = "127.0.0.1"
ROLES = {"v": "voter", "l": "learner", "p": "proxy"}
FIRST_PORT = {"v": 0, "l": 100, "p": 400}
COUNT_MAX = {"v": 33, "l": 99, "p": 33}
PORT_SPAN = 500
STOP_TIMEOUT_S = 10
READY_TIMEOUT_S = 20


class ClusterError(Exception):
    """Says what is wrong and what to do; one line."""


@dataclasses.dataclass(frozen=True)
class Node:
    """The name and ports of one process."""

    name: str
    base_port: int
    host: str = HOST

    def __post_init__(self):
        match = re.fullmatch(r"([vlp])([1-9]\d*)", self.name)
        if not match:
            raise ClusterError(f"'{self.name}' is no process: names are v1.., l1.., p1..")
        if int(match.group(2)) > COUNT_MAX[self.name[0]]:
            raise ClusterError(f"{self.name}: at most {COUNT_MAX[self.name[0]]} of its role")

    @property
    def role(self):
        return ROLES[self.name[0]]

    @property
    def client_port(self):
        return self.base_port + FIRST_PORT[self.name[0]] + 3 * (int(self.name[1:]) - 1)

    @property
    def client(self):
        return f"{self.host}:{self.client_port}"

    @property
    def peer(self):
        return f"{self.host}:{self.client_port + 1}"

    @property
    def metrics(self):
        return f"{self.host}:{self.client_port + 2}"


def start_time(pid):
    """When the process started, in clock ticks since boot; None if there is none. With the pid it
    names one process for good: a pid that was given to another has another start time."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def is_paused(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
        return f.read().rpartition(")")[2].split()[0] in "Tt"


def http_get(address, path, timeout_s=2.0):
    """(HTTP code, body), or (0, why not)."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}{path}", timeout=timeout_s) as reply:
            return reply.status, reply.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except (OSError, ValueError) as error:
        return 0, str(getattr(error, "reason", error))


class Cluster:
    """Thread: one. Commands of several processes on one folder are for the caller to serialize."""

    def __init__(self, folder, bin_dir):
        self.folder = os.path.abspath(folder)
        self.bin_dir = os.path.abspath(bin_dir)
        self.config = None
        self._children = {}  # what this object started: to be reaped when it ends
        if os.path.exists(self._config_path()):
            with open(self._config_path(), encoding="utf-8") as f:
                self.config = json.load(f)

    def _config_path(self):
        return os.path.join(self.folder, "cluster.json")

    def _save(self):
        with open(self._config_path() + ".new", "w", encoding="utf-8") as f:
            json.dump(self.config, f, indent=1)
        os.replace(self._config_path() + ".new", self._config_path())

    def create(self, voters, learners, proxies, base_port, extra=None):
        """Writes down a new cluster. `extra`: more flags by role, {"voter": ["--threads=1"]}."""
        names = [f"{kind}{i}" for kind, count in (("v", voters), ("l", learners), ("p", proxies))
                 for i in range(1, count + 1)]
        if voters < 1:
            raise ClusterError("a cluster needs one voter at least")
        if not 1024 <= base_port <= 65536 - PORT_SPAN:
            raise ClusterError(f"--base-port is 1024 to {65536 - PORT_SPAN}, not {base_port}")
        for name in names:
            Node(name, base_port)
        os.makedirs(self.folder, exist_ok=True)
        self.config = {"base_port": base_port, "names": names, "extra": extra or {}}
        self._save()

    # --- Who there is.

    def require(self):
        if self.config is None:
            raise ClusterError(f"no cluster in {self.folder}; start one with: deploy/local.sh up")

    def nodes(self, role=None):
        self.require()
        nodes = [self.make_node(n) for n in self.config["names"]]
        return [n for n in nodes if role in (None, n.role)]

    def make_node(self, name):
        return Node(name, self.config["base_port"])

    def node(self, name):
        for node in self.nodes():
            if node.name == name:
                return node
        raise ClusterError(f"no process '{name}' in this cluster; there are: "
                           + " ".join(self.config["names"]))

    def endpoints(self, role):
        return ",".join(n.client for n in self.nodes(role))

    # --- Processes.

    def log_path(self, name):
        return os.path.join(self.folder, name + ".log")

    def _pid_path(self, name):
        return os.path.join(self.folder, name + ".pid")

    def pid(self, name):
        """The pid if the process that we started still runs, else None."""
        try:
            with open(self._pid_path(name), encoding="utf-8") as f:
                pid, started = f.read().split()
        except (OSError, ValueError):
            return None
        return int(pid) if start_time(pid) == started else None

    def require_pid(self, name):
        self.node(name)
        pid = self.pid(name)
        if pid is None:
            raise ClusterError(f"{name} is not running; start it with: deploy/local.sh start {name}")
        return pid

    def command(self, node):
        voters = self.nodes("voter")
        log = ["--listen-metrics-urls", f"http://{node.metrics}"]
        client = ["--name", node.name, "--listen-client-urls", f"http://{node.client}",
                  "--advertise-client-urls", f"http://{node.client}"]
        data = ["--data-dir", os.path.join(self.folder, node.name)]
        upstream = ["--upstream", ",".join(f"http://{v.peer}" for v in voters)]
        peer = f"http://{node.peer}"
        special = {
            "voter": data + ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                             "--initial-cluster-state", "new",
                             "--initial-cluster-token", f"local-{self.config['base_port']}",
                             "--initial-cluster",
                             ",".join(f"{v.name}=http://{v.peer}" for v in voters)],
            "learner": data + ["--listen-peer-urls", peer, "--advertise-peer-urls", peer] + upstream,
            "proxy": upstream,
        }[node.role]
        binary = os.path.join(self.bin_dir, f"coppice-{node.role}")
        return [binary] + client + special + log + self.config["extra"].get(node.role, [])

    def launch(self, _node):
        """(words before the command, environment or None for ours); the fault tests have their own."""
        return [], None

    def start(self, name):
        """Starts the process unless it runs; it outlives us. Ready is another matter: wait_ready."""
        node = self.node(name)
        if self.pid(name) is not None:
            return
        command = self.command(node)
        if not os.access(command[0], os.X_OK):
            raise ClusterError(f"no {command[0]}; build it first: cmake --preset release && "
                               "cmake --build build")
        os.makedirs(os.path.join(self.folder, name), mode=0o700, exist_ok=True)
        before, environment = self.launch(node)
        with open(self.log_path(name), "ab") as log:
            process = subprocess.Popen(before + command, stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, start_new_session=True, cwd=self.folder,
                                       env=environment)
        self._children[name] = process
        with open(self._pid_path(name), "w", encoding="utf-8") as f:
            f.write(f"{process.pid} {start_time(process.pid)}\n")

    def signal(self, name, number):
        os.kill(self.require_pid(name), number)

    def _gone(self, name, deadline):
        while self.pid(name) is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        if name in self._children:
            self._children.pop(name).wait()
        return True

    def stop(self, names):
        """SIGTERM to all; those that are still there 10 s later get SIGKILL and are returned."""
        running = [n for n in names if self.pid(n) is not None]
        for name in running:
            self.signal(name, signal.SIGCONT)
            self.signal(name, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        stubborn = [n for n in running if not self._gone(n, deadline)]
        for name in stubborn:
            self.kill(name)
        return stubborn

    def kill(self, name):
        self.signal(name, signal.SIGKILL)
        self._gone(name, time.monotonic() + STOP_TIMEOUT_S)

    # --- Readiness.

    def not_ready(self, name):
        """Why the process is not ready, or None if it is."""
        if self.pid(name) is None:
            return "it ended"
        code, body = http_get(self.node(name).metrics, "/readyz")
        if code == 200:
            return None
        first = body.strip().splitlines()[0] if body.strip() else ""
        return f"/readyz says {code}: {first}" if code else f"no answer from /readyz: {first}"

    def wait_ready(self, names, timeout_s=READY_TIMEOUT_S):
        """Returns when all are ready, else raises with who is not, why, and its last log lines."""
        deadline = time.monotonic() + timeout_s
        waiting = list(names)
        while waiting:
            reasons = {n: self.not_ready(n) for n in waiting}
            waiting = [n for n in waiting if reasons[n]]
            ended = any(reasons[n] == "it ended" for n in waiting)
            if waiting and (ended or time.monotonic() > deadline):
                raise ClusterError("\n".join(
                    f"{n} is not ready: {reasons[n]}\n{self.last_lines(n)}" for n in waiting))
            if waiting:
                time.sleep(0.05)

    def last_lines(self, name, count=5):
        try:
            with open(self.log_path(name), encoding="utf-8", errors="replace") as f:
                lines = f.read().splitlines()[-count:]
        except OSError:
            lines = []
        return "\n".join(f"    {name}.log: {line}" for line in lines) or f"    {name}.log is empty"

    # --- Changes.

    def add(self, kind):
        """The name of a new process of that kind ("l" or "p"), written down but not started."""
        self.require()
        taken = {int(n[1:]) for n in self.config["names"] if n[0] == kind}
        name = kind + str(max(taken, default=0) + 1)
        Node(name, self.config["base_port"])
        self.config["names"].append(name)
        self._save()
        return name

    def leader(self):
        """The name of the voter that leads, as a reachable voter with the highest term says."""
        best = (-1, None)
        voters = self.nodes("voter")
        for node in voters:
            code, body = http_get(node.metrics, "/metrics")
            is_leader = re.search(r"^etcd_server_is_leader(?:\{[^}]*\})? ([\d.e+]+)$", body, re.M)
            term = re.search(r"^coppice_raft_term(?:\{[^}]*\})? ([\d.e+]+)$", body, re.M)
            if code == 200 and is_leader and float(is_leader.group(1)) == 1:
                best = max(best, (float(term.group(1)) if term else 0, node.name))
        return best[1] or self._leader_by_status(voters)

    def _leader_by_status(self, voters):
        tool = os.path.join(self.bin_dir, "coppicectl")
        tool = tool if os.access(tool, os.X_OK) else "etcdctl"
        best = (-1, None)
        for node in voters:
            if self.pid(node.name) is None:
                continue
            try:
                done = subprocess.run(
                    [tool, f"--endpoints={node.client}", "--command-timeout=1s",
                     "--dial-timeout=1s", "endpoint", "status", "-w", "json"],
                    capture_output=True, text=True, timeout=4, check=False,
                    env=dict(os.environ, ETCDCTL_API="3"))
                status = json.loads(done.stdout)[0]["Status"]
            except (OSError, ValueError, LookupError, subprocess.TimeoutExpired):
                continue
            if status.get("leader") == status["header"]["member_id"]:
                best = max(best, (status.get("raftTerm", 0), node.name))
        return best[1]
