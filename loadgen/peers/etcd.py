#!/usr/bin/env python3
"""The peer to measure against: an etcd cluster on loopback, its data on disk.

  loadgen/peers/etcd.py build             etcd 3.7 from its Go module (2 minutes cold); prints its path
  loadgen/peers/etcd.py up [--voters N] [--dir D]   starts it; prints endpoints and pids
  loadgen/peers/etcd.py down [--dir D]    stops it and removes D

The binary is kept in ${XDG_CACHE_HOME:-~/.cache}/coppice. Without a Go new enough, Debian's etcd is
taken, and its version says so.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

MODULE = "go.etcd.io/etcd/server/v3"
VERSION = "v3.7.1"
HOST = "127.0.0.1"
READY_TIMEOUT_S = 60

MAIN_GO = """package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
"""
GO_MOD = f"module etcdpeer\n\ngo 1.26\n\nrequire {MODULE} {VERSION}\n"


class PeerError(Exception):
    """One line: what is wrong and what to do."""


def cache_dir():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "coppice")


def build():
    """The path of etcd VERSION, built if it is not there yet; None if it cannot be built."""
    folder = os.path.join(cache_dir(), f"etcd-{VERSION}")
    binary = os.path.join(folder, "etcd")
    if os.access(binary, os.X_OK):
        return binary
    go = shutil.which("go")
    if go is None:
        return None
    os.makedirs(folder, exist_ok=True)
    for name, text in (("main.go", MAIN_GO), ("go.mod", GO_MOD)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(text)
    print(f"building etcd {VERSION}, some minutes the first time", file=sys.stderr)
    for command in ([go, "mod", "tidy"], [go, "build", "-trimpath", "-o", "etcd.new", "."]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
            return None
    os.replace(os.path.join(folder, "etcd.new"), binary)
    return binary


def find(binary=None):
    """$COPPICE_ETCD, else etcd VERSION, else Debian's."""
    binary = binary or os.environ.get("COPPICE_ETCD") or build() or shutil.which("etcd")
    if binary is None:
        raise PeerError("no etcd: install Go 1.26, or Debian's package etcd-server")
    return binary


def version_of(binary):
    text = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    return re.search(r"etcd Version: (\S+)", text).group(1)


def free_ports(count):
    """Ports that are free now, below the range from which the kernel gives one to any connection
    that is made before etcd listens."""
    ports = []
    for port in random.sample(range(32000, 32768), 768):
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind((HOST, port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise PeerError(f"no {count} free ports between 32000 and 32767")


class Etcd:
    """A running cluster. Ends with stop(); what it wrote to `folder` is the caller's."""

    def __init__(self, folder, voters, binary=None):
        self.binary = find(binary)
        self.version = version_of(self.binary)
        self.folder = os.path.abspath(folder)
        ports = free_ports(2 * voters)
        self.clients, self._peers = ports[:voters], ports[voters:]
        os.makedirs(self.folder, exist_ok=True)
        self._processes = [self._start(i) for i in range(voters)]
        self.pids = [p.pid for p in self._processes]
        try:
            self._wait_ready()
        except BaseException:
            self.stop()
            raise

    @property
    def endpoints(self):
        return ",".join(f"{HOST}:{port}" for port in self.clients)

    def _start(self, i):
        client = f"http://{HOST}:{self.clients[i]}"
        peer = f"http://{HOST}:{self._peers[i]}"
        members = ",".join(f"e{j}=http://{HOST}:{port}" for j, port in enumerate(self._peers))
        with open(os.path.join(self.folder, f"e{i}.log"), "wb") as log:
            return subprocess.Popen(
                [self.binary, "--name", f"e{i}", "--data-dir", os.path.join(self.folder, f"e{i}"),
                 "--listen-client-urls", client, "--advertise-client-urls", client,
                 "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", members, "--log-level", "warn",
                 "--quota-backend-bytes", str(8 << 30)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def _healthy(self, port):
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                    f"http://{HOST}:{port}/health", timeout=1) as reply:
                return json.load(reply).get("health") == "true"
        except (OSError, ValueError):
            return False

    def _wait_ready(self):
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not all(self._healthy(port) for port in self.clients):
            if time.monotonic() > deadline:
                raise PeerError(f"etcd is not ready after {READY_TIMEOUT_S} s; see {self.folder}")
            time.sleep(0.1)

    def stop(self):
        for process in self._processes:
            if process.poll() is None:
                process.kill()
        for process in self._processes:
            process.wait()


def up(args):
    cluster = Etcd(args.dir, args.voters)
    with open(os.path.join(args.dir, "pids.json"), "w", encoding="utf-8") as f:
        json.dump(cluster.pids, f)
    print(f"version {cluster.version}\nendpoints {cluster.endpoints}\n"
          f"pids {'+'.join(map(str, cluster.pids))}")


def down(args):
    try:
        with open(os.path.join(args.dir, "pids.json"), encoding="utf-8") as f:
            pids = json.load(f)
    except OSError:
        print(f"nothing to stop in {args.dir}")
        return
    for pid in pids:
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as f:
                ours = os.path.abspath(args.dir) in f.read()
        except OSError:
            continue
        if ours:
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(args.dir)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["build", "up", "down"])
    parser.add_argument("--voters", type=int, default=5)
    parser.add_argument("--dir", default="/tmp/coppice-etcd")
    args = parser.parse_args()
    try:
        if args.verb == "build":
            print(find())
        else:
            {"up": up, "down": down}[args.verb](args)
    except PeerError as error:
        sys.exit(f"etcd.py: {error}")


if __name__ == "__main__":
    main()
