"""Processes killed and stopped: by hand at any time, and by themselves at named places."""

import itertools
import signal
import time

from rig import ELECTION_TIMEOUT_S, eventually
from scenario import Scenario

STOPS_S = [f * ELECTION_TIMEOUT_S for f in (0.5, 1, 3)]

# Where a voter dies, the passages to let by (at most), and what makes it pass there.
KILL_POINTS = (("wal.before_write", 200), ("wal.before_sync", 200), ("wal.after_sync", 200),
               ("disk.write", 200), ("apply.before", 200), ("apply.after", 200),
               ("read_index.received", 200), ("read_index.confirmed", 200),
               ("flush.before", 0), ("store.write", 6), ("store.sync", 4), ("flush.after", 0))
LEARNER_POINTS = (("apply.before", 200), ("apply.after", 200), ("flush.before", 0),
                  ("store.write", 6), ("store.sync", 4), ("flush.after", 0))
ROUNDS_MAX = 10
FLUSHES = ("flush.before", "flush.after", "store.write", "store.sync")


def rounds(rig, until, enough=lambda: True):
    """0, 1, ... while there is time; at least once, and on until `enough` for ROUNDS_MAX at most."""
    number = 0
    while number == 0 or time.monotonic() < until or (number < ROUNDS_MAX and not enough()):
        yield number
        number += 1
        time.sleep(rig.rng.uniform(0.1, 0.5))


TIERS = ("leader killed", "learner killed", "proxy killed", "follower paused")
TIERS_FAULTS_MIN = 5  # of each kind
TIERS_SECONDS_MIN = 60  # for so many, under load
TIERS_READS_MIN = 100_000  # checked, of each consistency...
TIERS_LONG_S = 600  # ...in a run as long as this


def tiers(rig, until):
    for number in itertools.count():
        missing = TIERS_FAULTS_MIN * len(TIERS) - number
        left_s = max(until - time.monotonic(), 0)
        if missing <= 0 and left_s == 0:
            break
        # Where recovery is slow, what is missing still takes place under load: faults are shorter.
        pace_s = left_s / max(missing, 1)
        kind = TIERS[number % len(TIERS)]
        down_s = max(min(rig.rng.uniform(0.3, 2), 0.6 * pace_s), 0.3)
        name = {"leader killed": rig.leader, "follower paused": rig.follower,
                "learner killed": lambda: rig.rng.choice(rig.names("learner")),
                "proxy killed": lambda: rig.rng.choice(rig.names("proxy"))}[kind]()
        rig.did(kind, name)
        (rig.pause if kind == "follower paused" else rig.kill)(name, down_s)
        rig.back([name])
        time.sleep(min(rig.rng.uniform(0, 1), 0.2 * pace_s))
    rig.expect("the load went on through all faults", rig.is_loaded())


def judge_tiers(rig):
    rig.expect(f"at least {TIERS_FAULTS_MIN} of each: " + ", ".join(TIERS),
               all(rig.faults.get(kind, 0) >= TIERS_FAULTS_MIN for kind in TIERS))
    if rig.seconds >= TIERS_LONG_S:
        rig.expect(f"at least {TIERS_READS_MIN} checked reads of each consistency",
                   rig.reads_least() >= TIERS_READS_MIN)


def kill_random(rig, until):
    """One process, several, a majority, or all of them, at any moment."""
    for _ in rounds(rig, until):
        names = rig.names()
        count = rig.rng.choice([1, 1, 1, 2, 3, len(names)])
        victims = rig.rng.sample(names, min(count, len(names)))
        rig.did("killed " + ("all" if len(victims) == len(names) else f"{len(victims)}"),
                " ".join(victims))
        for name in victims:
            rig.cluster.signal(name, signal.SIGKILL)
        time.sleep(rig.rng.uniform(0, 1.5))
        for name in victims:
            eventually(lambda name=name: rig.cluster.pid(name) is None, 5)
            rig.cluster.start(name)
        if rig.rng.random() < 0.7:
            rig.back()


def kill_at_points(rig, until):
    points = [(p, skip, "v") for p, skip in KILL_POINTS] + [(p, s, "l") for p, s in LEARNER_POINTS]
    rig.rng.shuffle(points)
    for number in rounds(rig, until, lambda: rig.faults):
        point, skip, kind = points[number % len(points)]
        name = rig.rng.choice(rig.names("learner")) if kind == "l" else (
            rig.leader() if point.startswith("read_index") or rig.rng.random() < 0.5
            else rig.follower())
        die_at(rig, name, point, rig.rng.randint(0, skip))
    rig.expect("processes died at named places", rig.faults)


def die_at(rig, name, point, skip):
    lines = [f"{point} kill skip={skip}"]
    if point in FLUSHES:
        lines.append("flush.due on")
    rig.cluster.arm(name, *lines)
    died = eventually(lambda: rig.cluster.pid(name) is None, 8)
    rig.cluster.arm(name)
    if died:
        rig.did(f"killed at {point}", f"{name}, passage {skip + 1}")
        time.sleep(rig.rng.uniform(0, 0.5))
        rig.cluster.start(name)
        rig.back([name])


def stop_leader(rig, until):
    for number in rounds(rig, until):
        seconds = STOPS_S[number % len(STOPS_S)]
        leader = rig.leader()
        rig.did(f"leader stopped for {seconds:g} s", leader)
        rig.pause(leader, seconds)
        rig.back()


def stop_at(*points):
    """The leader stops by itself in the middle of something, and goes on later."""
    def inject(rig, until):
        for number in rounds(rig, until, lambda: rig.faults):
            seconds = STOPS_S[number // len(points) % len(STOPS_S)]
            point = points[number % len(points)]
            leader = rig.leader()
            rig.cluster.arm(leader, f"{point} stop skip={rig.rng.randint(0, 100)}")
            stopped = eventually(lambda: rig.cluster.is_paused(leader), 8)
            rig.cluster.arm(leader)
            if stopped:
                rig.did(f"leader stopped at {point} for {seconds:g} s", leader)
                time.sleep(seconds)
                rig.cluster.signal(leader, signal.SIGCONT)
            rig.back()
        rig.expect("the leader was stopped there", rig.faults)
    return inject


def slow_disk(rig, until):
    """Each sync of a voter's log takes long."""
    for _ in rounds(rig, until):
        name = rig.rng.choice([rig.leader(), rig.follower()])
        delay = rig.rng.choice([20, 100, 400])
        rig.did(f"syncs of {delay} ms", name)
        rig.cluster.arm(name, f"wal.before_sync delay={delay}")
        time.sleep(rig.rng.uniform(1, 3))
        rig.cluster.arm(name)
    rig.back()


SCENARIOS = [
    Scenario("tiers", "the leader, a learner, a proxy killed; a follower paused", tiers,
             shape=(5, 2, 2), rate=2000, seconds_min=TIERS_SECONDS_MIN, judge=judge_tiers,
             short=True),
    Scenario("kill-random", "SIGKILL of one, several or all processes at any moment", kill_random,
             shape=(3, 2, 2), targets="pl"),
    Scenario("kill-points", "SIGKILL around log write, sync, apply, flush and ReadIndex",
             kill_at_points, targets="pv", load=("--value-size", 512), short=True),
    Scenario("stop-leader", "SIGSTOP of the leader for 0.5, 1 and 3 election timeouts", stop_leader,
             targets="pv"),
    Scenario("stop-read-index", "the leader stopped in the middle of ReadIndex",
             stop_at("read_index.received", "read_index.confirmed"), targets="pv"),
    Scenario("stop-sync", "the leader stopped before, in and after a log's sync",
             stop_at("wal.before_sync", "wal.after_sync"), targets="pv"),
    Scenario("slow-disk", "log syncs of 20 to 400 ms", slow_disk),
]
