"""Clients that are slow, many, or hostile, and processes with too few descriptors or too little
memory."""

import contextlib
import os
import socket
import struct
import subprocess
import time

import http2
from process_faults import rounds
from rig import BIN, eventually
from scenario import Scenario

RANGE, WATCH, PUT, TXN = (b"/etcdserverpb." + m for m in (b"KV/Range", b"Watch/Watch", b"KV/Put",
                                                          b"KV/Txn"))
GROWTH_MAX_MIB = 400  # of a process under clients that misbehave
ALL_KEYS = http2.field(1, b"chaos/") + http2.field(2, b"chaos0")


def memory_mib(rig, name):
    with open(f"/proc/{rig.cluster.require_pid(name)}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1024


def still_serves(rig, name):
    done = rig.ctl(rig.cluster.node(name).client, "get", "chaos/", "--prefix", "--limit=1")
    return done.returncode == 0


@contextlib.contextmanager
def survives(rig, name, what):
    """The process is the same one afterwards, serves, and has not grown without bound."""
    pid, before = rig.cluster.require_pid(name), memory_mib(rig, name)
    rig.did(what, name)
    yield
    alive = rig.cluster.pid(name) == pid
    rig.expect(f"{what}: the process lives on", alive)
    if alive:
        grown = memory_mib(rig, name) - before
        rig.say(f"{name} grew by {grown:.0f} MiB")
        rig.expect(f"{what}: it grew by less than {GROWTH_MAX_MIB} MiB", grown < GROWTH_MAX_MIB)
        rig.expect(f"{what}: it serves others", eventually(lambda: still_serves(rig, name), 10))


def one_of_each(rig, number):
    return rig.rng.choice(rig.names(("proxy", "learner", "voter")[number % 3]))


# --- Clients that stop reading.

def stop_reading(rig, until):
    for number in rounds(rig, until):
        name = one_of_each(rig, number)
        with survives(rig, name, "clients that stop reading"), contextlib.ExitStack() as stack:
            for _ in range(30):
                connection = http2.Connection(rig.cluster.node(name).client, window=1 << 30)
                stack.callback(connection.close)
                connection.socket.settimeout(1)
                for stream in range(1, 41, 4):
                    connection.call(stream, RANGE, ALL_KEYS)
                    connection.send(
                        http2.frame(http2.HEADERS, http2.END_HEADERS, stream + 2,
                                    http2.call_headers(WATCH)),
                        http2.frame(http2.DATA, 0, stream + 2,
                                    http2.message(http2.field(1, ALL_KEYS))))
            time.sleep(rig.rng.uniform(2, 5))


# --- Many watchers.

def reconnect_watchers(rig, until):
    left = max(until - time.monotonic() - 2, 4)
    watch = subprocess.Popen(
        [os.path.join(BIN, "coppice-loadgen"), "run", "watch", "--target",
         rig.cluster.node("p1").client, "--watchers", "10000", "--watch-streams", "10000",
         "--watch-connections", "50", "--keys", "1000", "--prefix", "many/", "--rate", "100",
         "--connections", "2", "--streams", "8", "--duration", f"{left:.0f}s", "--warmup", "0s",
         "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    all_there = eventually(lambda: (rig.cluster.metric("p1", "coppice_proxy_watchers") or 0) >= 10000,
                           30)
    rig.expect("10,000 watchers are there", all_there)
    for _ in rounds(rig, until - 8):
        name = rig.rng.choice(["p1", "p1", rig.rng.choice(rig.names("learner"))])
        rig.did("10,000 watchers reconnect" if name == "p1" else "their learner killed", name)
        rig.kill(name, rig.rng.uniform(0.1, 1))
        rig.back()
        back = eventually(
            lambda: (rig.cluster.metric("p1", "coppice_proxy_watchers") or 0) >= 10000, 30)
        rig.expect("all watchers are back", back)
    try:
        output, _ = watch.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        watch.kill()
        output, _ = watch.communicate()
    if watch.returncode != 0:
        print(output, flush=True)
    rig.expect("no watcher missed, repeated or misplaced an event", watch.returncode == 0)


# --- Limits.

def few_descriptors(rig):
    for name in ("p1", "l1", "v1"):
        rig.cluster.before[name] = ["prlimit", "--nofile=96"]


def descriptors(rig, until):
    for number in rounds(rig, until):
        name = ("p1", "l1", "v1")[number % 3]
        with survives(rig, name, "descriptors exhausted"):
            host, port = rig.cluster.node(name).client.rsplit(":", 1)
            with contextlib.ExitStack() as stack:
                for _ in range(150):
                    with contextlib.suppress(OSError):
                        stack.enter_context(socket.create_connection((host, int(port)), timeout=1))
                time.sleep(rig.rng.uniform(1, 2))


def little_memory(rig):
    for name in ("p1", "l1"):
        rig.cluster.before[name] = ["prlimit", f"--data={256 << 20}"]


def memory(rig, until):
    """A process may end for lack of memory; it never serves what is wrong, and comes back."""
    for number in rounds(rig, until):
        name = ("p1", "l1")[number % 2]
        rig.did("memory exhausted", name)
        with contextlib.ExitStack() as stack:
            for _ in range(60):
                with contextlib.suppress(OSError):
                    connection = http2.Connection(rig.cluster.node(name).client, window=1 << 30)
                    stack.callback(connection.close)
                    for stream in range(1, 400, 2):
                        if not connection.call(stream, RANGE, ALL_KEYS):
                            break
            time.sleep(1)
        if rig.cluster.pid(name) is None:
            rig.did("ended for lack of memory", name)
        rig.cluster.start(name)
        rig.back([name])


# --- Hostile HTTP/2.

def reset_flood(connection):
    headers = http2.call_headers(WATCH)
    for begin in range(1, 60001, 200):
        frames = b"".join(
            http2.frame(http2.HEADERS, http2.END_HEADERS, s, headers)
            + http2.frame(http2.RST_STREAM, 0, s, struct.pack(">I", 8))
            for s in range(begin, begin + 200, 2))
        if not connection.send(frames):
            return True
    return connection.closed()


def continuation_flood(connection):
    connection.send(http2.frame(http2.HEADERS, 0, 1, http2.call_headers(RANGE)))
    piece = http2.frame(http2.CONTINUATION, 0, 1, http2.headers([(b"x-pad", b"y" * 1000)] * 10))
    return any(not connection.send(piece * 10) for _ in range(500)) or connection.closed()


def oversized_headers(connection):
    block = http2.call_headers(RANGE, [(b"x-large-%d" % i, b"y" * 8000) for i in range(16)])
    pieces = [block[i:i + 16000] for i in range(0, len(block), 16000)]
    connection.send(http2.frame(http2.HEADERS, 0, 1, pieces[0]))
    for piece in pieces[1:-1]:
        connection.send(http2.frame(http2.CONTINUATION, 0, 1, piece))
    connection.send(http2.frame(http2.CONTINUATION, http2.END_HEADERS, 1, pieces[-1]))
    connection.closed(1)
    return True  # refusing the call alone is as good


def malformed_protobuf(connection):
    for stream, path in enumerate((RANGE, PUT, TXN, WATCH) * 20):
        connection.call(2 * stream + 1, path, b"\x0a\xff\xff\xff\xff\x7f" + os.urandom(40))
    return not connection.closed(1)


def nested_transactions(connection):
    body = http2.field(2, http2.field(1, http2.field(1, b"k")))
    for _ in range(2000):
        body = http2.field(2, http2.field(4, body))
    connection.call(1, TXN, body)
    return not connection.closed(1)


def ping_flood(connection):
    pings = http2.frame(http2.PING, 0, 0, b"12345678") * 1000
    return any(not connection.send(pings) for _ in range(200)) or connection.closed()


def endless_message(connection):
    connection.send(http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.call_headers(PUT)),
                    http2.frame(http2.DATA, 0, 1, struct.pack(">BI", 0, 0xffffffff)))
    connection.send(*[http2.frame(http2.DATA, 0, 1, bytes(16000))] * 4)
    connection.closed(1)
    return True


def noise(connection):
    connection.send(os.urandom(4096))
    return connection.closed()


# What is done, and what the connection must have come to: True what the function says.
ATTACKS = ((reset_flood, "closed"), (continuation_flood, "closed"), (oversized_headers, "refused"),
           (malformed_protobuf, "kept"), (nested_transactions, "kept"), (ping_flood, "closed"),
           (endless_message, "refused"), (noise, "closed"))


def hostile(rig, until):
    for number in rounds(rig, until, lambda: len(rig.faults) == len(ATTACKS)):
        attack, outcome = ATTACKS[number % len(ATTACKS)]
        name = one_of_each(rig, number // len(ATTACKS) + number)
        what = attack.__name__.replace("_", " ")
        with survives(rig, name, what):
            connection = http2.Connection(rig.cluster.node(name).client)
            rig.expect(f"{what}: the connection is {outcome}", attack(connection))
            connection.close()


SCENARIOS = [
    Scenario("stop-reading", "clients that ask for much and read nothing", stop_reading,
             shape=(3, 1, 1), targets="pl", load=("--value-size", 1024)),
    Scenario("watchers", "10,000 watchers reconnect at once", reconnect_watchers, shape=(3, 2, 2),
             rate=200),
    Scenario("descriptors", "more connections than a process may have descriptors", descriptors,
             prepare=few_descriptors, targets="plv"),
    Scenario("memory", "more asked for than a process may have memory", memory,
             prepare=little_memory, targets="pl", load=("--value-size", 4096)),
    Scenario("hostile-http2", "floods of resets, continuations and pings, oversized headers, "
             "malformed and deeply nested messages", hostile, targets="pl", short=True),
]
