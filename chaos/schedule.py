"""Which faults strike when: drawn from the seed before the run begins."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import permutations

MIN_SECONDS = 5.0
WARM_UP_S = 1.5
"""From the start to the first fault."""
COOL_DOWN_S = 1.0
"""From the last fault's end to the end."""
HOUR_S = 3_600.0


class Track(Enum):
    """Faults of one track never overlap."""

    PROCESS = "process"
    NETWORK = "network"


class Kind(Enum):
    """What can happen to nodes. What `nodes` and `value` of a fault mean is said behind each."""

    KILL = "kill"
    """SIGKILL of a minority, later a start."""
    KILL_ALL = "kill all"
    STOP = "stop"
    """SIGSTOP of a minority, later SIGCONT."""
    DISK_FULL = "disk full"
    """Of one node, or of all; value: bytes left."""
    ROLLING_RESTART = "rolling restart"
    """SIGTERM, wait, start; one node after the other."""
    CLOCK_JUMP = "clock jump"
    """Of some nodes; value: seconds, later back."""
    DISK_LOST = "disk lost"
    """SIGKILL of the first node, later a start on an empty directory; a second node is down meanwhile, and for a while after."""
    DISK_LOST_AGAIN = "disk lost again"
    """Of one node, and once more as soon as it is on its way back."""
    LEARN_ONLY = "learn only"
    """A minority is told to learn only, later to vote again."""
    LONG_ABSENCE = "long absence"
    """SIGKILL of a minority, and a start when the others have cut their logs."""
    OLD_COPY = "old copy"
    """One node is started on a copy of its directory from earlier in the run."""
    ISOLATE = "isolate"
    """A minority and the others do not hear each other."""
    SHATTER = "shatter"
    """No node hears any other."""
    ONE_WAY = "one way"
    """Nothing gets from the first node to the second."""
    MUTE = "mute"
    """No message gets from the first node to the second, but the link stays up."""
    LOSS = "loss"
    """Everywhere; value: part of the frames that are lost."""
    SLOW = "slow"
    """Everywhere; value: milliseconds that a frame takes, up to twice."""
    RESET = "reset"
    """Every connection of the nodes to their peers is reset, again and again."""

    @property
    def track(self) -> Track:
        return Track.PROCESS if self in _OF_PROCESSES else Track.NETWORK

    @property
    def loses_disk(self) -> bool:
        """Whether a node has to come back by rule 19."""
        return self in _OF_DISKS


_OF_DISKS = {Kind.DISK_LOST, Kind.DISK_LOST_AGAIN, Kind.OLD_COPY}
_OF_PROCESSES = {
    Kind.KILL,
    Kind.KILL_ALL,
    Kind.STOP,
    Kind.DISK_FULL,
    Kind.ROLLING_RESTART,
    Kind.CLOCK_JUMP,
    Kind.LEARN_ONLY,
    Kind.LONG_ABSENCE,
    *_OF_DISKS,
}
_EVERYWHERE = {Kind.KILL_ALL, Kind.ROLLING_RESTART, Kind.SHATTER, Kind.LOSS, Kind.SLOW, Kind.RESET}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; times in seconds, from the start of the run."""

    at_s: float
    lasts_s: float
    kind: Kind
    nodes: tuple[int, ...]
    value: float = 0.0

    @property
    def until_s(self) -> float:
        return self.at_s + self.lasts_s

    def __str__(self) -> str:
        values = {
            Kind.CLOCK_JUMP: f" ({self.value / HOUR_S:+g} h)",
            Kind.LOSS: f" ({self.value:.0%})",
            Kind.SLOW: f" ({self.value:.0f} ms)",
            Kind.DISK_FULL: f" ({self.value / 1e6:.0f} MB left)",
        }
        separator = {Kind.ONE_WAY: " → ", Kind.MUTE: " → ", Kind.DISK_LOST: " without "}.get(self.kind, ", ")
        where = "" if self.kind in _EVERYWHERE else " " + separator.join(map(str, self.nodes))
        return self.kind.value + where + values.get(self.kind, "")


def draw(seed: int, seconds: float, nodes: int, kinds: Iterable[Kind] = Kind) -> list[Fault]:
    """First each kind once, alone; then, for the rest of the time, the two tracks independently of each other."""
    rng = random.Random(f"schedule {seed} {nodes}")
    deck = list(kinds)
    rng.shuffle(deck)
    faults: list[Fault] = []
    at = WARM_UP_S
    for kind in deck:
        fault = _fault(rng, kind, at, rng.uniform(1.2, 2.2), nodes)
        if fault.until_s > seconds - COOL_DOWN_S:
            continue
        faults.append(fault)
        at = fault.until_s + rng.uniform(0.8, 1.2)
    for track in Track:
        start = at
        for kind in _shuffled_for_ever(rng, [kind for kind in deck if kind.track is track]):
            fault = _fault(rng, kind, start, rng.uniform(0.5, 4.0), nodes)
            if fault.until_s > seconds - COOL_DOWN_S:
                break
            faults.append(fault)
            start = fault.until_s + rng.uniform(0.2, 1.5)
    return sorted(faults, key=lambda fault: fault.at_s)


def _shuffled_for_ever(rng: random.Random, kinds: list[Kind]) -> Iterator[Kind]:
    while kinds:
        rng.shuffle(kinds)
        yield from kinds


def _fault(rng: random.Random, kind: Kind, at_s: float, lasts_s: float, nodes: int) -> Fault:
    everyone = tuple(range(nodes))
    targets, value = everyone, 0.0
    if kind in (Kind.KILL, Kind.STOP, Kind.ISOLATE, Kind.LEARN_ONLY, Kind.LONG_ABSENCE):
        targets = tuple(sorted(rng.sample(everyone, rng.randint(1, (nodes - 1) // 2))))
    elif kind in (Kind.DISK_LOST_AGAIN, Kind.OLD_COPY):
        targets = (rng.choice(everyone),)
    elif kind is Kind.DISK_LOST:
        targets = tuple(rng.sample(everyone, rng.choice((1, 2))))
    elif kind in (Kind.ONE_WAY, Kind.MUTE):
        targets = rng.choice(list(permutations(everyone, 2)))
    elif kind is Kind.DISK_FULL:
        targets = everyone if rng.random() < 0.25 else (rng.choice(everyone),)
        value = rng.choice((0.0, 0.0, 16e6))
    elif kind is Kind.CLOCK_JUMP:
        targets = tuple(sorted(rng.sample(everyone, rng.randint(1, nodes))))
        value = rng.choice((-HOUR_S, HOUR_S))
    elif kind is Kind.LOSS:
        value = rng.uniform(0.05, 0.5)
    elif kind is Kind.SLOW:
        value = rng.choice((5.0, 20.0, 60.0))
    elif kind is Kind.ROLLING_RESTART:
        lasts_s = 0.6 * nodes
    if kind is Kind.LONG_ABSENCE:
        lasts_s = rng.uniform(5.0, 8.0)
    return Fault(at_s, lasts_s, kind, targets, value)
