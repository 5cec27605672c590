#!/usr/bin/env python3
"""Bad input: command lines and data directories that a program must refuse in one line without
touching a file, and requests that get etcd's error and leave the process alive."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile

import harness

ROLES = ("voter", "learner", "proxy")
USAGE, REFUSED = 2, 1


def binary(role):
    return os.path.join(harness.BIN_DIR, f"coppice-{role}")


def tree(folder):
    """What the folder holds, file by file; of lock files, which name their last holder, the names."""
    out = {}
    for root, folders, names in os.walk(folder):
        for name in folders + names:
            path = os.path.join(root, name)
            if name in folders or name.lower() == "lock":
                out[os.path.relpath(path, folder)] = None
                continue
            with open(path, "rb") as f:
                out[os.path.relpath(path, folder)] = hashlib.sha256(f.read()).hexdigest()
    return out


def refused(command, code, *words, folder=None):
    """The program ends by itself with `code`, its last line says `words`, and the folder (that it
    runs in) is as before."""
    with tempfile.TemporaryDirectory(prefix="coppice-e2e-") as empty:
        before = tree(folder or empty)
        done = subprocess.run(command, cwd=folder or empty, capture_output=True, text=True,
                              timeout=15, check=False)
        lines = done.stderr.splitlines()
        assert done.returncode == code, f"{command}: exit code {done.returncode}, {done.stderr}"
        assert lines and all(w in lines[-1] for w in words), f"{command}: {lines} lack {words}"
        assert code != USAGE or len(lines) == 1, f"{command}: more than one line: {lines}"
        assert tree(folder or empty) == before, f"{command}: changed files"


def wrong_flags(role):
    need = [] if role == "voter" else ["--name=x", "--upstream=http://127.0.0.1:1"]
    for flags, words in (
            (["--no-such-flag"], ["--no-such-flag", f"coppice-{role} --help"]),
            (["--listen-client-urls=127.0.0.1"], ["--listen-client-urls", "127.0.0.1"]),
            (["--listen-client-urls=https://127.0.0.1:1"], ["--listen-client-urls", "TLS"]),
            (["--listen-client-urls=http://127.0.0.1:1?consistency=foo"], ["consistency", "foo"]),
            (["--listen-client-urls=http://127.0.0.1:1?max-staleness=1s"], ["max-staleness"]),
            (["--threads=0"], ["--threads"]),
            (["--log-level=loud"], ["--log-level", "loud"]),
            (["--peer-secret-file=/nonexistent"], ["--peer-secret-file", "/nonexistent"])):
        refused([binary(role)] + need + flags, USAGE, *words)
    for flag in ("--help", "--version"):
        assert subprocess.run([binary(role), flag], capture_output=True, timeout=10,
                              check=False).returncode == 0, f"{role} {flag}"


def contradictory_flags():
    refused([binary("voter"), "--election-timeout=100", "--heartbeat-interval=100"], USAGE,
            "--election-timeout", "raise")
    refused([binary("voter"), "--name=a", "--initial-cluster=b=http://127.0.0.1:2380"], USAGE,
            "--initial-cluster")
    refused([binary("voter"), "--name=a", "--initial-cluster=a=http://127.0.0.1:1",
             "--initial-advertise-peer-urls=http://127.0.0.1:2"], USAGE, "--initial-cluster")
    refused([binary("learner"), "--name=a"], USAGE, "--upstream")
    refused([binary("learner"), "--upstream=http://127.0.0.1:1"], USAGE, "--name")
    refused([binary("proxy"), "--name=a"], USAGE, "--upstream")


def port_in_use(role):
    """Whichever address is taken: the program says which and leaves nothing behind."""
    flags = ["--listen-client-urls", "--listen-metrics-urls"]
    if role != "proxy":
        flags.append("--listen-peer-urls")
    with socket.socket() as taken, harness.coppice(1) as cluster:
        taken.bind((harness.HOST, 0))
        taken.listen()
        address = f"{harness.HOST}:{taken.getsockname()[1]}"
        for flag in flags:
            urls = {f: f"http://{harness.HOST}:{harness.free_port()}" for f in flags}
            urls[flag] = f"http://{address}"
            command = [binary(role), "--name=x"] + [f"{f}={url}" for f, url in urls.items()]
            if role != "voter":
                command.append(f"--upstream=http://{cluster.node('v1').peer}")
            leaves_nothing(command, f"cannot listen on {address}", "choose another port")


def address_given_twice():
    url = f"http://{harness.HOST}:{harness.free_port()}"
    leaves_nothing([binary("voter"), "--name=x", f"--listen-client-urls={url}",
                    f"--listen-peer-urls={url}"], url, "given twice")


def leaves_nothing(command, *words):
    """The program is refused with `words` and has made no file or folder, not even a lock."""
    with tempfile.TemporaryDirectory(prefix="coppice-e2e-") as folder:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=15,
                              check=False)
        assert done.returncode == REFUSED and all(w in done.stderr for w in words), (words, done)
        assert len(done.stderr.splitlines()) == 1, f"more than one line: {done}"
        assert os.listdir(folder) == [], f"{command}: left {os.listdir(folder)}"


def data_directories():
    """A stopped voter's and learner's directories, spoilt in turn."""
    with harness.coppice(1, 1) as cluster:
        put(cluster.node("v1").client)
        cluster.stop(["v1"])  # the learner lives on and is stopped with it below
        cluster.stop(["l1"])
        voter, learner = (cluster.command(cluster.node(n)) for n in ("v1", "l1"))
        for change, words in (
                ({"--initial-cluster-token": "another"}, ["is the log of node"]),
                ({"--data-dir": learner[learner.index("--data-dir") + 1]}, ["of a learner"])):
            refused(changed(voter, change), REFUSED, *words, folder=cluster.folder)
        refused(changed(learner, {"--data-dir": voter[voter.index("--data-dir") + 1]}), REFUSED,
                "of a voter", folder=cluster.folder)
        etcd = os.path.join(cluster.folder, "etcd")
        os.makedirs(os.path.join(etcd, "member", "snap"))
        shutil.copytree(os.path.join(cluster.folder, "v1", "member", "wal"),
                        os.path.join(etcd, "member", "wal"))
        os.remove(os.path.join(etcd, "member", "wal", "LOCK"))
        open(os.path.join(etcd, "member", "snap", "db"), "wb").close()
        for command in (voter, learner):
            refused(changed(command, {"--data-dir": etcd}), REFUSED, "of an etcd server",
                    folder=cluster.folder)
        log_taken_away(cluster, voter)
        unusable = os.path.join(cluster.folder, "file")
        with open(unusable, "w", encoding="utf-8") as f:
            f.write("not a directory")
        for command in (voter, learner):
            refused(changed(command, {"--data-dir": unusable}), REFUSED, unusable,
                    "set --data-dir to", folder=cluster.folder)
        spoilt_files(cluster, voter, learner)
        for name in ("v1", "l1"):
            cluster.start(name)
        cluster.wait_ready(["v1", "l1"])
        assert ctl(cluster.node("l1").client, "get", "a").stdout == "a\n1\n"


def log_taken_away(cluster, voter):
    """A new log in its place would forget what this voter has promised."""
    log = os.path.join(cluster.folder, "v1", "member", "wal")
    os.rename(log, log + ".away")
    refused(voter, REFUSED, "put the log back", folder=cluster.folder)
    os.rename(log + ".away", log)


def spoilt_files(cluster, voter, learner):
    """Each is put back afterwards."""
    folder = os.path.join(cluster.folder, "v1", "member", "wal")
    log = os.path.join(folder, next(n for n in os.listdir(folder) if n.endswith(".wal")))
    with spoilt(log, 40, b"\xff"):
        refused(voter, REFUSED, "damaged at offset", "nothing was changed", folder=cluster.folder)
    with spoilt(os.path.join(cluster.folder, "l1", "identity"), 10, b"\xff\xff"):
        refused(learner, REFUSED, "identity is damaged", "remove the data directory",
                folder=cluster.folder)


class spoilt:  # a context manager, hence the name
    def __init__(self, path, offset, bytes_):
        self.path, self.offset, self.bytes = path, offset, bytes_

    def __enter__(self):
        shutil.copyfile(self.path, self.path + ".whole")
        with open(self.path, "r+b") as f:
            f.seek(self.offset)
            old = f.read(len(self.bytes))
            f.seek(self.offset)
            f.write(bytes(a ^ b for a, b in zip(old, self.bytes)))

    def __exit__(self, *_):
        os.replace(self.path + ".whole", self.path)


def changed(command, flags):
    out = list(command)
    for flag, value in flags.items():
        out[out.index(flag) + 1] = value
    return out


def upstream_of_another_cluster():
    """A learner that knows its cluster says why it cannot go on, and is not ready."""
    with harness.coppice(1, 1) as mine, harness.coppice(1) as other:
        put(mine.node("v1").client)
        mine.stop(["l1"])
        command = changed(mine.command(mine.node("l1")),
                          {"--upstream": f"http://{other.node('v1').peer}"})
        with open(mine.log_path("l1"), "wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=mine.folder)
        try:
            harness.eventually(lambda: process.poll() is not None
                               or "no upstream" in mine.last_lines("l1"))
            code, _ = harness.http_get(mine.node("l1").metrics, "/readyz")
            assert code != 200, "ready with another cluster's voter"
        finally:
            process.terminate()
            process.wait(15)


def unreachable_upstream(role):
    """It says what it waits for, is not ready, and still ends in order."""
    port, metrics = harness.free_port(), f"{harness.HOST}:{harness.free_port()}"
    with tempfile.TemporaryDirectory(prefix="coppice-e2e-") as folder:
        command = [binary(role), "--name=x", f"--listen-client-urls=http://{harness.HOST}:0",
                   f"--upstream=http://{harness.HOST}:{port}",
                   f"--listen-metrics-urls=http://{metrics}"]
        if role == "learner":
            command += [f"--listen-peer-urls=http://{harness.HOST}:{harness.free_port()}"]
        with open(os.path.join(folder, "log"), "wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            said = lambda: str(port) in open(os.path.join(folder, "log"), encoding="utf-8").read()
            harness.eventually(said)
            assert process.poll() is None, "gave up at once"
            assert harness.http_get(metrics, "/readyz")[0] != 200
        finally:
            process.terminate()
            code = process.wait(10)
        assert code == 0, f"SIGTERM: exit code {code}"
        assert os.listdir(folder) == ["log"], f"left {os.listdir(folder)}"


# --- Requests.

def ctl(endpoint, *words):
    return subprocess.run(["etcdctl", f"--endpoints={endpoint}", *words], capture_output=True,
                          text=True, timeout=15, check=False, env=dict(os.environ, ETCDCTL_API="3"))


def put(endpoint):
    done = ctl(endpoint, "put", "a", "1")
    assert done.returncode == 0, done


def field(number, value):
    """Field `number` of a protobuf message: bytes, or a non-negative number."""
    def varint(n):
        return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def grpc(endpoint, method, message, metadata, trailer="grpc-message"):
    """(status, a trailer) of one call with any bytes and metadata, which no client lets through."""
    words = ["curl", "-s", "--noproxy", "*", "--http2-prior-knowledge", "--max-time", "10", "-i",
             "-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", "@-",
             f"http://{endpoint}/{method}"]
    for name, value in metadata.items():
        words += ["-H", f"{name}: {value}"]
    done = subprocess.run(words, input=b"\0" + len(message).to_bytes(4, "big") + message,
                          capture_output=True, timeout=20, check=False)
    text = done.stdout.decode(errors="replace")
    return header(text, "grpc-status"), header(text, trailer)


def header(text, name):
    _, found, rest = text.rpartition(name + ": ")
    return rest.splitlines()[0].strip() if found else ""


def bad_requests(endpoint):
    fine = (field(1, b"a"), {})
    for method, calls in (
            ("etcdserverpb.KV/Range", (
                ((b"", {}), "3", "key is not provided"),
                ((field(1, b"a"), {"coppice-consistency": "foo"}), "3", "foo"),
                ((field(1, b"a"), {"coppice-consistency": "bounded"}), "3", "coppice"),
                ((field(1, b"a"), {"coppice-max-staleness": "1s"}), "3", "max-staleness"),
                ((field(1, b"a"), {"coppice-max-staleness": "soon",
                                   "coppice-consistency": "bounded"}), "3", "max-staleness"),
                ((field(1, b"a"), {"coppice-min-revision": "-4"}), "3", "min-revision"),
                ((field(1, b"a"), {"coppice-min-revision": "12345/1"}), "9", ""),
                ((field(1, b"a") + field(4, 1 << 40), {}), "11", "future revision"),
                ((field(1, b"a") + field(5, 9), {}), "3", "sort"),
                ((b"\xff\xff\xff", {}), "13", ""),
                (fine, "0", ""))),
            ("etcdserverpb.Maintenance/Alarm", (
                ((field(1, 1) + field(3, 3), {}), "3", "alarm"),
                ((field(1, 7) + field(3, 1), {}), "3", "alarm"),
                ((field(1, 0), {}), "0", ""))),
            ("etcdserverpb.KV/Put", (
                ((field(2, b"v"), {}), "3", "key is not provided"),
                ((field(1, b"a") + field(3, 77), {}), "5", "lease not found"),
                (fine, "0", "")))):
        for call, code, word in calls:
            status, message = grpc(endpoint, method, *call)
            assert status == code and word in message, \
                f"{method} {call[0][:20]} {call[1]}: {status} {message}, not {code} {word}"


def member_list(endpoint):
    """As consistent as metadata asks; without, as etcd, serializable unless the request says so."""
    for message, metadata, said in (
            (b"", {}, ""),
            (b"", {"coppice-consistency": "linearizable"}, "linearizable"),
            (b"", {"coppice-min-revision": "0"}, "serializable"),
            (field(1, 1), {"coppice-min-revision": "0"}, "linearizable")):
        status, served = grpc(endpoint, "etcdserverpb.Cluster/MemberList", message, metadata,
                              "coppice-served-consistency")
        assert (status, served) == ("0", said), (endpoint, metadata, status, served)


def too_large(endpoint):
    done = subprocess.run(["etcdctl", f"--endpoints={endpoint}", "put", "a"], input=b"v" * 1600000,
                          capture_output=True, timeout=15, check=False,
                          env=dict(os.environ, ETCDCTL_API="3"))
    assert done.returncode != 0 and b"etcdserver: request is too large" in done.stderr, done


def what_coppicectl_cannot_obey():
    """An endpoint or environment that asks for TLS or a user is refused, not spoken to in plain text."""
    with harness.coppice(1) as cluster:
        client = cluster.node("v1").client
        ctl_binary = os.path.join(harness.BIN_DIR, "coppicectl")
        for endpoint, setting, code, words in (
                (f"https://{client}", {}, 128, ["https", "not supported"]),
                (client, {"ETCDCTL_USER": "root:x"}, 128, ["ETCDCTL_USER", "unset it"]),
                (client, {"ETCDCTL_COMMAND_TIMEOUT": "soon"}, 1, ["ETCDCTL_COMMAND_TIMEOUT"]),
                (f"http://{client}", {"ETCDCTL_WRITE_OUT": "json"}, 0, [])):
            done = subprocess.run([ctl_binary, f"--endpoints={endpoint}", "put", "a", "1"], text=True,
                                  capture_output=True, timeout=15, check=False,
                                  env=dict(os.environ, **setting))
            assert done.returncode == code and all(w in done.stderr for w in words), done
            assert code != 0 or done.stdout.startswith('{"header"'), done


def requests():
    with harness.coppice(1, 1, 1) as cluster:
        for name in ("v1", "l1", "p1"):
            put(cluster.node(name).client)
            try:
                bad_requests(cluster.node(name).client)
                member_list(cluster.node(name).client)
                too_large(cluster.node(name).client)
                put(cluster.node(name).client)
            except AssertionError as error:
                raise AssertionError(f"{name}: {error}") from error


def main():
    results = harness.Results()
    for role in ROLES:
        results.case(f"{role}: wrong flags", wrong_flags, role)
        results.case(f"{role}: port in use", port_in_use, role)
    results.case("contradictory flags", contradictory_flags)
    results.case("voter: an address given twice", address_given_twice)
    results.case("data directories that are another's or damaged", data_directories)
    results.case("learner: an upstream of another cluster", upstream_of_another_cluster)
    for role in ("learner", "proxy"):
        results.case(f"{role}: unreachable upstream", unreachable_upstream, role)
    results.case("what coppicectl cannot obey", what_coppicectl_cannot_obey)
    results.case("bad requests", requests)
    return results.close()


if __name__ == "__main__":
    sys.exit(main())
