#!/usr/bin/env python3
"""Answers of 64 MiB through a learner and a proxy: whole, at each client's own pace, and in bounded
memory of the processes between."""

import hashlib
import os
import re
import signal
import subprocess
import sys
import time

import harness

ENV = dict(os.environ, ETCDCTL_API="3")
VALUES = 64
VALUE = b"0123456789abcdef" * (1 << 16)  # 1 MiB
GROWTH_MAX = 24 << 20
BETWEEN = ("p1",)


def get(endpoint, *words, stdout=subprocess.PIPE):
    return subprocess.Popen(
        ["etcdctl", f"--endpoints={endpoint}", "--command-timeout=60s", "get", "large/", "--prefix",
         *words], stdout=stdout, stderr=subprocess.STDOUT, env=ENV)


def peak_bytes(cluster, name):
    with open(f"/proc/{cluster.require_pid(name)}/status", encoding="utf-8") as f:
        return int(re.search(r"^VmHWM:\s+(\d+) kB$", f.read(), re.M).group(1)) << 10


def fill(cluster):
    for i in range(VALUES):
        done = subprocess.run(
            ["etcdctl", f"--endpoints={cluster.node('v1').client}", "put", f"large/{i:03}"],
            input=VALUE, capture_output=True, env=ENV, timeout=15, check=False)
        assert done.returncode == 0, done
    expected = hashlib.sha256()
    for i in range(VALUES):
        expected.update(f"large/{i:03}\n".encode() + VALUE + b"\n")
    return expected.digest()


def whole(endpoint, expected, *words):
    process = get(endpoint, *words)
    actual, last = hashlib.sha256(), b""
    while chunk := process.stdout.read(1 << 20):
        actual.update(chunk)
        last = (last + chunk)[-200:]
    assert process.wait(60) == 0, last
    assert actual.digest() == expected, f"another answer, which ends in {last}"


def arrives(cluster, expected):
    for name in ("v1", "l1", "p1"):
        whole(cluster.node(name).client, expected)
    whole(cluster.node("p1").client, expected, "--consistency=s")


def bounded(cluster, expected):
    """Two readers that stop in the middle hold back nobody, and nothing is kept for them."""
    proxy = cluster.node("p1").client
    whole(proxy, expected)
    before = {name: peak_bytes(cluster, name) for name in BETWEEN}
    stopped = [get(proxy, f"--limit={VALUES + i}", stdout=subprocess.DEVNULL) for i in range(2)]
    try:
        time.sleep(0.15)
        for process in stopped:
            process.send_signal(signal.SIGSTOP)
        for _ in range(3):
            whole(proxy, expected)
        growth = {name: peak_bytes(cluster, name) - before[name] for name in BETWEEN}
        print("     peak memory grew by " + ", ".join(
            f"{name} {bytes_ / (1 << 20):.1f} MiB" for name, bytes_ in growth.items()), flush=True)
        assert max(growth.values()) < GROWTH_MAX, growth
        for process in stopped:
            process.send_signal(signal.SIGCONT)
            assert process.wait(30) == 0
    finally:
        for process in stopped:
            process.kill()
            process.wait()


def without_values(cluster):
    done = get(cluster.node("p1").client, "--keys-only").communicate(timeout=30)[0]
    assert done.split() == [f"large/{i:03}".encode() for i in range(VALUES)], done[:200]


def gone_client(cluster, expected):
    """Clients killed in the middle: the connection goes on for the others."""
    proxy = cluster.node("p1").client
    for _ in range(5):
        process = get(proxy, stdout=subprocess.DEVNULL)
        time.sleep(0.1)
        process.kill()
        process.wait()
    whole(proxy, expected)


def raised_limits():
    """--max-request-bytes and --max-txn-ops hold on every tier, above what gRPC's defaults allow."""
    flags = ["--max-request-bytes=8388608", "--max-txn-ops=300"]
    txn = "\n" + "".join(f"put large/{i} {i}\n" for i in range(300)) + "\n\n"
    coppicectl = os.path.join(harness.BIN_DIR, "coppicectl")
    with harness.coppice(1, 1, 1, dict.fromkeys(("voter", "learner", "proxy"), flags)) as cluster:
        for name in ("v1", "l1", "p1"):
            for words, stdin, error in ((["put", "large/a"], "v" * (7 << 20), ""),
                                        (["put", "large/a"], "v" * (9 << 20), "larger than max"),
                                        (["put", "large/a"], "v" * 8388600, "request is too large"),
                                        (["txn"], txn, ""),
                                        (["txn"], "\nput b c\n" + txn[1:], "too many operations")):
                done = subprocess.run([coppicectl, f"--endpoints={cluster.node(name).client}", *words],
                                      input=stdin, capture_output=True, text=True, timeout=30,
                                      check=False)
                good = error in done.stderr if error else done.returncode == 0
                assert good and (done.returncode == 0) == (not error), (name, words, done)


def main():
    results = harness.Results()
    results.case("raised limits", raised_limits)
    with harness.coppice(1, 1, 1) as cluster:
        expected = fill(cluster)
        results.case("64 MiB from each tier", arrives, cluster, expected)
        results.case("a proxy's memory is bounded", bounded, cluster, expected)
        results.case("keys only", without_values, cluster)
        results.case("clients that leave in the middle", gone_client, cluster, expected)
    return results.close()


if __name__ == "__main__":
    sys.exit(main())
