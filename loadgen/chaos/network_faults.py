"""Faults between the processes: partitions, slow links, connections that break or go silent."""

import time

from process_faults import rounds
from scenario import Scenario


def cut(rig, sources, targets, both=True):
    for a in sources:
        for b in targets:
            rig.network.block(a, b)
            if both:
                rig.network.block(b, a)


def for_a_while(rig, what, detail, low=1.0, high=4.0):
    rig.did(what, detail)
    time.sleep(rig.rng.uniform(low, high))
    rig.network.heal()
    if rig.rng.random() < 0.7:
        rig.back()


def others(rig, *names):
    return [n for n in rig.names() if n not in names]


def partition(rig, until):
    for number in rounds(rig, until, lambda: sum(rig.faults.values()) >= 3):
        leader = rig.leader()
        followers = [n for n in rig.names("voter") if n != leader]
        side = [[leader], [leader, rig.rng.choice(followers)], rig.rng.sample(followers, 2),
                [rig.rng.choice(rig.names("learner"))],
                [rig.rng.choice(rig.names("proxy"))],
                [leader, rig.rng.choice(rig.names("proxy"))]][number % 6]
        cut(rig, side, others(rig, *side))
        for_a_while(rig, "cut off", " ".join(side))


def one_way(rig, until):
    for number in rounds(rig, until):
        leader = rig.leader()
        follower = rig.rng.choice([n for n in rig.names("voter") if n != leader])
        learner = rig.rng.choice(rig.names("learner"))
        rest = others(rig, leader)
        sources, targets = [([leader], rest), (rest, [leader]), ([follower], others(rig, follower)),
                            (others(rig, follower), [follower]), ([learner], others(rig, learner)),
                            (others(rig, learner), [learner])][number % 6]
        cut(rig, sources, targets, both=False)
        for_a_while(rig, "cut off one way", f"{' '.join(sources)} -> {' '.join(targets)}")


def bridge(rig, until):
    """Two sides that do not hear each other, and one voter that hears both."""
    for number in rounds(rig, until):
        leader = rig.leader()
        voters = [n for n in rig.names("voter") if n != leader]
        rig.rng.shuffle(voters)
        middle = leader if number % 2 == 0 else voters.pop()
        if middle != leader:
            voters.append(leader)
        half = len(voters) // 2
        cut(rig, voters[:half], voters[half:])
        for_a_while(rig, "bridge", f"{' '.join(voters[:half])} | {middle} | "
                                   f"{' '.join(voters[half:])}", 2, 5)


def delay(rig, until):
    for _ in rounds(rig, until):
        seconds = rig.rng.choice([0.01, 0.05, 0.2])
        names = rig.names()
        slow = rig.rng.sample(names, rig.rng.randint(1, len(names)))
        for source in slow:
            for target in names:
                rig.network.delay(source, target, seconds * rig.rng.uniform(0.5, 1))
        for_a_while(rig, "delayed", f"{seconds * 1000:g} ms from {' '.join(slow)}")


def throttle(rig, until):
    for _ in rounds(rig, until):
        name = rig.rng.choice(rig.names("voter") + rig.names("learner"))
        rate = rig.rng.choice([8, 32, 128]) << 10
        rig.network.throttle(name, rate)
        for_a_while(rig, "throttled", f"{name} to {rate >> 10} KiB/s")


def reset(rig, until):
    for _ in rounds(rig, until):
        for _ in range(rig.rng.choice([1, 1, 5])):
            a, b = rig.rng.sample(rig.names(), 2)
            rig.network.reset(a, b)
            rig.did("connections reset", f"{a} - {b}")
            time.sleep(rig.rng.uniform(0, 0.3))


def half_open(rig, until):
    for _ in rounds(rig, until):
        leader = rig.leader()
        other = rig.rng.choice(others(rig, leader))
        rig.network.reset(leader, other, half_open=True)
        for_a_while(rig, "connections half open", f"{leader} - {other}", 1, 3)
        rig.back()


SCENARIOS = [
    Scenario("partition", "sides that do not hear each other", partition, shape=(5, 2, 2),
             network="any", short=True),
    Scenario("partition-one-way", "processes that hear and are not heard, or the reverse", one_way,
             shape=(5, 2, 2), network="any"),
    Scenario("partition-bridge", "two sides and one voter that hears both", bridge,
             shape=(5, 1, 1), network="any"),
    Scenario("throttle", "links of 8 to 128 KiB/s", throttle, shape=(3, 2, 1), network="any"),
    Scenario("delay", "links of 10 to 200 ms", delay, shape=(3, 2, 1), rate=200, network="proxy"),
    Scenario("reset", "peer connections reset in mid-stream", reset, shape=(3, 2, 2), rate=200,
             network="proxy"),
    Scenario("half-open", "connections of which one end is gone and the other does not know",
             half_open, shape=(3, 2, 1), rate=200, network="proxy"),
]
