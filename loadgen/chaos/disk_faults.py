"""Disks that are full, fail, or change what they hold: for the log and for the store apart."""

import glob
import os
import shutil
import subprocess
import time

from process_faults import rounds
from rig import BACK_S, eventually
from scenario import Scenario

SMALL_MIB = 96  # the alarm comes at 64 MiB free, so that 32 MiB fill it
LARGE_MIB = 512
ENDED_BY_DISK = 74  # the exit code, EX_IOERR


def folder_of(rig, name, part):
    """Where a process keeps its `log` or its `store`."""
    home = os.path.join(rig.cluster.folder, name)
    if name[0] == "l":
        return os.path.join(home, "store")
    return os.path.join(home, "member", {"log": "wal", "store": "store"}[part])


def small_disks(part):
    def prepare(rig):
        for name in rig.names("voter") + (rig.names("learner") if part == "store" else []):
            folder = folder_of(rig, name, part)
            os.makedirs(folder, mode=0o700)
            mount(folder, SMALL_MIB)
    return prepare


def mount(folder, mib, options=""):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"{options}size={mib}m,mode=700", "coppice-chaos",
                    folder], check=True, timeout=20)


def fill(folder, left=0):
    """A file that takes all the space but `left` bytes."""
    free = os.statvfs(folder)
    size = free.f_bavail * free.f_frsize - left
    with open(os.path.join(folder, "filler"), "wb") as f:
        while size > 0:
            size -= f.write(bytes(min(size, 1 << 20)))
        f.flush()


def empty(folder):
    if os.path.exists(os.path.join(folder, "filler")):
        os.remove(os.path.join(folder, "filler"))


def refused_for_space(rig):
    done = rig.ctl(rig.cluster.node("p1").client, "put", "fill/probe", "1")
    return done.returncode != 0 and "database space exceeded" in done.stderr


def accepts_puts(rig):
    return rig.ctl(rig.cluster.node("p1").client, "put", "fill/probe", "1").returncode == 0


def disarm(rig):
    subprocess.run(["etcdctl", f"--endpoints={rig.cluster.node('p1').client}", "alarm", "disarm"],
                   capture_output=True, timeout=15, check=False,
                   env=dict(os.environ, ETCDCTL_API="3"))


def expect_reads_go_on(rig):
    for name in rig.names():
        done = rig.ctl(rig.cluster.node(name).client, "get", "chaos/", "--prefix", "--limit=1")
        rig.expect(f"{name[0]}: linearizable reads go on while there is no space",
                   done.returncode == 0)
    done = rig.ctl(rig.cluster.node("p1").client, "del", "fill/", "--prefix")
    rig.expect("deletes go on while there is no space", done.returncode == 0)


def expect_recovers(rig):
    def recovered():
        if accepts_puts(rig):
            return True
        disarm(rig)
        return False
    rig.expect("puts are accepted once there is space and the alarm is cleared",
               eventually(recovered, BACK_S, 0.5))


def nospace_by_quantity(rig, part):
    """Fills the small disks through the front door."""
    rig.did(f"{part} disks filled by puts")
    if part == "store":  # its rows reach the disk in flushes
        for name in rig.names("voter") + rig.names("learner"):
            rig.cluster.arm(name, "flush.due on")
    deadline = time.monotonic() + 40
    while not refused_for_space(rig) and time.monotonic() < deadline:
        rig.put_large()
    rig.expect("puts are refused with NOSPACE before the disk is full", refused_for_space(rig))
    expect_reads_go_on(rig)
    for name in rig.names("voter") + (rig.names("learner") if part == "store" else []):
        rig.cluster.arm(name)
        mount(folder_of(rig, name, part), LARGE_MIB, "remount,")
    expect_recovers(rig)


def disk_full(part):
    def inject(rig, until):
        nospace_by_quantity(rig, part)
        for number in rounds(rig, until):
            name = [rig.follower, rig.leader][number % 2]()
            if part == "store" and number % 3 == 2:
                name = rig.rng.choice(rig.names("learner"))
            folder = folder_of(rig, name, part)
            rig.did(f"{part} disk full", name)
            fill(folder)
            if part == "store":
                rig.cluster.arm(name, "flush.due on")
            time.sleep(rig.rng.uniform(1, 3))
            empty(folder)
            rig.cluster.arm(name)
            expect_recovers(rig)
            rig.back()
    return inject


# --- Errors.

# Point, what makes it pass there, where, and what the last line says.
IO_ERRORS = (("disk.sync eio", (), "v", "the Raft log cannot be written"),
             ("disk.write eio", (), "v", "the Raft log cannot be written"),
             ("store.sync eio", ("flush.due on",), "vl", "the store cannot be written"),
             ("store.write eio", ("flush.due on",), "vl", "the store cannot be written"))
START_ERRORS = (("disk.read eio", "v"), ("store.read eio", "vl"), ("disk.sync eio", "v"))


def io_errors(rig, until):
    for number in rounds(rig, until, lambda: all(e[0] in rig.faults for e in IO_ERRORS)):
        point, also, kinds, says = IO_ERRORS[number % len(IO_ERRORS)]
        name = rig.rng.choice(rig.names("learner")) if "l" in kinds and rig.rng.random() < 0.3 else (
            rig.rng.choice([rig.leader(), rig.follower()]))
        rig.did(point, name)
        rig.cluster.arm(name, f"{point} skip={rig.rng.randint(0, 3)}", *also)
        code = rig.exit_code(name, 10)
        rig.cluster.arm(name)
        told = says in rig.cluster.last_lines(name, 1)
        rig.expect(f"{point}: the process ends with code {ENDED_BY_DISK} and says why",
                   code == ENDED_BY_DISK and told)
        refuse_to_start(rig, name)
        rig.cluster.start(name)
        rig.back([name])


def refuse_to_start(rig, name):
    point, kinds = rig.rng.choice([e for e in START_ERRORS if name[0] in e[1]])
    if rig.cluster.pid(name) is not None:
        return
    rig.did(f"start with {point}", name)
    rig.cluster.arm(name, point)
    rig.cluster.start(name)
    code = rig.exit_code(name, 4)
    # A store without files yet has nothing to read.
    if code is None and point.startswith("store.read"):
        rig.cluster.kill(name)
    else:
        last = rig.cluster.last_lines(name, 1)
        rig.expect(f"start with {point}: refused with the cause",
                   code in (1, ENDED_BY_DISK) and ("Input/output error" in last or "IO error" in last))
    rig.cluster.arm(name)


# --- Damage.

def files_of(rig, name, kind):
    pattern = {"log": "*.wal", "SST": "*.sst", "MANIFEST": "MANIFEST-*", "blob": "*.blob"}[kind]
    part = "log" if kind == "log" else "store"
    return [p for p in glob.glob(os.path.join(folder_of(rig, name, part), pattern))
            if os.path.getsize(p) > 0]


def flip(path, rng):
    """Flips one bit among the bytes that were written; returns where."""
    with open(path, "r+b") as f:
        data = f.read()
        used = len(data.rstrip(b"\0"))
        offset = rng.randrange(used)
        f.seek(offset)
        f.write(bytes([data[offset] ^ 1 << rng.randrange(8)]))
    return offset


def damage(rig, until):
    flushed_once(rig)
    for number in rounds(rig, until):
        kind = ("log", "SST", "MANIFEST", "blob")[number % 4]
        name = rig.rng.choice(rig.names("voter") if kind == "log" else
                              rig.names("voter") + rig.names("learner"))
        rig.cluster.kill(name)
        files = files_of(rig, name, kind)
        if files:
            path = rig.rng.choice(files)
            shutil.copy2(path, os.path.join(rig.folder, "whole"))
            offset = flip(path, rig.rng)
            judge_damage(rig, name, kind, f"{os.path.basename(path)} at {offset}")
            shutil.copy2(os.path.join(rig.folder, "whole"), path)
        rig.cluster.start(name)
        rig.back([name])
    wiped_learner(rig)


def judge_damage(rig, name, kind, where):
    """Refused, by a line that names it; or of no consequence, which the hash shows."""
    rig.did(f"bit flipped in {kind}", f"{name}: {where}")
    before = len(rig.cluster.log_text(name))
    rig.cluster.start(name)
    eventually(lambda: rig.cluster.not_ready(name) in (None, "it ended"), 15)
    if rig.cluster.pid(name) is None:
        said = rig.cluster.log_text(name)[before:]
        named = "cannot start" in said and ("damaged" in said or "orruption" in said)
        if not named:
            print(said)
        rig.expect(f"damage in {kind} is named and refused", named)
        return
    rig.say(f"{name} started: the bit is of no consequence, or the store went back to its last "
            "whole state")
    rig.expect("damage in the log is never passed over", kind != "log")
    same = rig.same_hashes()
    if not same:
        print(rig.cluster.log_text(name)[before:], flush=True)
    rig.expect(f"damage in {kind} that is not refused changes nothing", same)
    rig.cluster.kill(name)


def flushed_once(rig):
    names = rig.names("voter") + rig.names("learner")
    rig.put_large()
    for name in names:
        rig.cluster.arm(name, "flush.due on times=2")
    eventually(lambda: all(files_of(rig, n, "SST") for n in names), 10)
    for name in names:
        rig.cluster.arm(name)


def wiped_learner(rig):
    name = rig.rng.choice(rig.names("learner"))
    rig.did("learner's directory removed", name)
    rig.cluster.kill(name)
    shutil.rmtree(os.path.join(rig.cluster.folder, name))
    rig.cluster.start(name)
    rig.back([name])


SCENARIOS = [
    Scenario("disk-full-log", "no space for the logs; then on one voter's log disk",
             disk_full("log"), prepare=small_disks("log"), needs_mounts=True),
    Scenario("disk-full-store", "no space for the stores; then on one node's store disk",
             disk_full("store"), prepare=small_disks("store"), needs_mounts=True),
    Scenario("io-errors", "writes and syncs that fail, of the log and of the store", io_errors,
             targets="pv", short=True),
    Scenario("damage", "bits flipped in log, SST, MANIFEST and blob files", damage),
]
