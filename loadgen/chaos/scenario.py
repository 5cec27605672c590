"""What a fault scenario is, and the list of all."""

import dataclasses
import typing


@dataclasses.dataclass(frozen=True)
class Scenario:
    """`inject(rig, until)` does faults, one round at least, until time.monotonic() passes `until`;
    what it leaves broken (paused, ended, cut off) is mended afterwards."""

    name: str
    what: str
    inject: typing.Callable
    shape: tuple = (3, 1, 1)  # voters, learners, proxies
    rate: int = 400  # requests/s
    targets: str = "p"  # of the load: letters of roles
    load: tuple = ()  # more words for coppice-loadgen; the last one of an option counts
    extra: dict = None  # more flags by role
    prepare: typing.Callable = None  # (rig), before the first start
    network: str = ""  # "": none; "any": namespaces if permitted; "proxy": the fault proxy
    needs_mounts: bool = False  # small disks
    short: bool = False  # part of deploy/test.sh
    seconds_min: int = 8  # of load, that it needs
    judge: typing.Callable = None  # (rig), once the history was checked: what more to expect
