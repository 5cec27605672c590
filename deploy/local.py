#!/usr/bin/env python3
"""A Coppice cluster on loopback.

  deploy/local.sh up [--voters N] [--learners N] [--proxies N] [--base-port P]
                                  start one (default 5 + 5 + 2), or what is missing of the one that
                                  is in --dir; returns when every process is ready, within 20 s
  deploy/local.sh down            stop every process and remove --dir
  deploy/local.sh status          a line for each process
  deploy/local.sh endpoints ROLE  client addresses of voter, learner or proxy: host:port,host:port
  deploy/local.sh leader          the name of the voter that leads
  deploy/local.sh pid NAME        its process id
  deploy/local.sh add-learner     start one learner more; prints its name once it is ready
  deploy/local.sh start NAME      start it again; returns when it is ready
  deploy/local.sh stop NAME       SIGTERM, and wait (SIGKILL after 10 s, and says so)
  deploy/local.sh kill NAME       SIGKILL
  deploy/local.sh pause NAME      SIGSTOP
  deploy/local.sh resume NAME     SIGCONT
  deploy/local.sh logs NAME [-f]  its log; -f follows

Names are v1.., l1.., p1... Each process has three ports in a row: client, peer, metrics; voters
from P, learners from P+100, proxies from P+400.
"""

import argparse
import contextlib
import fcntl
import os
import shutil
import signal
import sys

from cluster import Cluster, ClusterError, http_get, is_paused

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DEFAULT_PORT = 24000


def default_dir():
    # On a disk, which $XDG_RUNTIME_DIR and /tmp need not be, and one for each user.
    return f"/var/tmp/coppice-local-{os.getuid()}"


@contextlib.contextmanager
def locked(folder):
    """One command at a time changes a cluster."""
    os.makedirs(os.path.dirname(os.path.abspath(folder)), exist_ok=True)
    with open(os.path.abspath(folder) + ".lock", "w", encoding="utf-8") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        yield


def up(cluster, args):
    if cluster.config is None:
        if os.path.isdir(cluster.folder) and os.listdir(cluster.folder):
            raise ClusterError(f"{cluster.folder} is not empty and holds no cluster; "
                               "choose another --dir")
        cluster.create(args.voters or 5, 5 if args.learners is None else args.learners,
                       2 if args.proxies is None else args.proxies, args.base_port or DEFAULT_PORT)
    else:
        refuse_other_shape(cluster, args)
    names = cluster.config["names"]
    for name in names:
        cluster.start(name)
    cluster.wait_ready(names)
    counts = ", ".join(f"{len(cluster.nodes(r))} {many}" for r, many in
                       (("voter", "voters"), ("learner", "learners"), ("proxy", "proxies")))
    print(f"ready: {counts}; state in {cluster.folder}")


def refuse_other_shape(cluster, args):
    for role, wanted in (("voter", args.voters), ("learner", args.learners),
                         ("proxy", args.proxies)):
        there = len(cluster.nodes(role))
        if wanted is not None and wanted != there:
            raise ClusterError(f"{cluster.folder} holds a cluster of {there} {role}s, not {wanted}; "
                               "first: deploy/local.sh down")
    if args.base_port is not None and args.base_port != cluster.config["base_port"]:
        raise ClusterError(f"{cluster.folder} holds a cluster at port "
                           f"{cluster.config['base_port']}; first: deploy/local.sh down")


def down(cluster, _args):
    if cluster.config is None:
        print(f"nothing to stop in {cluster.folder}")
        return
    for name in cluster.stop(cluster.config["names"]):
        print(f"{name} did not stop in time and was killed", file=sys.stderr)
    shutil.rmtree(cluster.folder)


def status(cluster, _args):
    print(f"{'NAME':<6}{'ROLE':<9}{'PID':>8}  {'STATE':<9}{'CLIENT':<17}{'PEER':<17}{'METRICS':<17}")
    for node in cluster.nodes():
        pid = cluster.pid(node.name)
        print(f"{node.name:<6}{node.role:<9}{pid or '-':>8}  {state(cluster, node, pid):<9}"
              f"{node.client:<17}{node.peer if node.role != 'proxy' else '-':<17}{node.metrics:<17}")


def state(cluster, node, pid):
    if pid is None:
        return "stopped"
    if is_paused(pid):
        return "paused"
    return "ready" if http_get(node.metrics, "/readyz")[0] == 200 else "unready"


def leader(cluster, _args):
    name = cluster.leader()
    if name is None:
        raise ClusterError("no voter says that it leads; see: deploy/local.sh status")
    print(name)


def add_learner(cluster, _args):
    name = cluster.add("l")
    cluster.start(name)
    cluster.wait_ready([name])
    print(name)


def start(cluster, args):
    cluster.start(args.name)
    cluster.wait_ready([args.name])


def stop(cluster, args):
    cluster.require_pid(args.name)
    if cluster.stop([args.name]):
        print(f"{args.name} did not stop in time and was killed", file=sys.stderr)


def kill(cluster, args):
    cluster.require_pid(args.name)
    cluster.kill(args.name)


def logs(cluster, args):
    cluster.node(args.name)
    path = cluster.log_path(args.name)
    if args.follow:
        os.execvp("tail", ["tail", "-n", "100", "-f", path])
    with open(path, encoding="utf-8", errors="replace") as f:
        shutil.copyfileobj(f, sys.stdout)


CHANGES = {"up": up, "down": down, "add-learner": add_learner, "start": start, "stop": stop,
           "kill": kill}
LOOKS = {
    "status": status, "leader": leader, "logs": logs,
    "endpoints": lambda c, a: print(c.endpoints(a.role)),
    "pid": lambda c, a: print(c.require_pid(a.name)),
    "pause": lambda c, a: c.signal(a.name, signal.SIGSTOP),
    "resume": lambda c, a: c.signal(a.name, signal.SIGCONT),
}


def parse_args():
    # No defaults here: an option may stand before or after the verb, and the later parser would
    # overwrite with its default what the earlier one read.
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--dir", help=f"where the cluster's state is; default: {default_dir()}")
    common.add_argument("--bin-dir", help="where the programs are; default: $COPPICE_BIN_DIR, "
                                          "or build/bin of this checkout")
    parser = argparse.ArgumentParser(prog="deploy/local.sh", description=__doc__, parents=[common],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    for verb in list(CHANGES) + list(LOOKS):
        sub = verbs.add_parser(verb, parents=[common])
        if verb == "up":
            for role, count in (("voters", 5), ("learners", 5), ("proxies", 2)):
                sub.add_argument(f"--{role}", type=int, metavar="N", help=f"default {count}")
            sub.add_argument("--base-port", type=int, metavar="P", help=f"default {DEFAULT_PORT}")
        elif verb == "endpoints":
            sub.add_argument("role", choices=["voter", "learner", "proxy"])
        elif verb in ("start", "stop", "kill", "pid", "pause", "resume", "logs"):
            sub.add_argument("name", metavar="NAME")
        if verb == "logs":
            sub.add_argument("-f", "--follow", action="store_true")
    args = parser.parse_args()
    args.dir = getattr(args, "dir", default_dir())
    args.bin_dir = getattr(args, "bin_dir", None) or os.environ.get(
        "COPPICE_BIN_DIR", os.path.join(ROOT, "build", "bin"))
    return args


def main():
    args = parse_args()
    try:
        with locked(args.dir) if args.verb in CHANGES else contextlib.nullcontext():
            {**CHANGES, **LOOKS}[args.verb](Cluster(args.dir, args.bin_dir), args)
    except ClusterError as error:
        print(f"local.sh: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
