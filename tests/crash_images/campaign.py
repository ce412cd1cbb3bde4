"""Records nodes, cuts their power at moments drawn from a seed, and judges what is left."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import NamedTuple

from paxosstore.storage.segment import SECTOR

from .disk import EVERYTHING, Disk, Tree, read_tree, write_tree
from .fate import KINDS
from .judge import Fault, Promise, is_torn, judge, promised
from .recorder import Call, Recording, record
from .turns import Reference
from .workload import Sizes

GENERATIONS = 3
"""Recordings of one seed: the first begins with an empty disk, each other one with what a power cut in the one before left."""
TURNS = 60
"""Turns in a recording."""
SIZES = (
    Sizes(32_768, 4_194_304),  # segments are full long before RocksDB's memory is
    Sizes(131_072, 4_194_304),
    Sizes(262_144, 65_536),  # RocksDB's memory is full first
)
"""To draw from."""
RARE = {"fsync", "fdatasync", "rename", "unlink", "unlinkat", "mkdir", "ftruncate", "O_CREAT"}
"""Calls, and words in their arguments, that moments are looked for about; the many others are met anyway."""


class Base(NamedTuple):
    """A disk that a recording begins with."""

    tree: Tree
    promise: Promise


class Image(NamedTuple):
    """A disk as a power cut may leave it."""

    kind: str
    moment: int
    tree: Tree
    promise: Promise


class Failure(NamedTuple):
    image: Image
    fault: Fault
    seed: int
    generation: int


@dataclass
class Report:
    """What a campaign has done and found."""

    recordings: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    """Recorded calls by name."""
    images: Counter[str] = field(default_factory=Counter)
    """Images judged by kind; all of them differ."""
    torn: int = 0
    """Images in whose journal something stands behind a record that is torn or lost."""
    expired: int = 0
    """Images in whose PLog rows have expired."""
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0


EMPTY = Base({}, Promise(0, 0, 0))


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory in memory, if there is such a thing: thousands of syncs on a real disk take their time."""
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="crash-images-", dir=memory if memory.is_dir() else None))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def recorded(base: Base, seed: int, turns: int, sizes: Sizes, *more: str) -> tuple[Path, Recording]:
    """Record a node on a disk; the path that the disk had. Fails if a replay of the recording does not lead to the same disk."""
    with scratch() as path:
        disk = path / "disk"
        write_tree(disk, base.tree)
        recording = record(path, seed, turns, sizes, *more)
        replayed = Disk(disk, base.tree)
        for _, _ in replay(replayed, recording):
            pass
        assert replayed.after(EVERYTHING) == read_tree(disk), "something was not recorded, or is not modelled"
    return disk, recording


def replay(disk: Disk, recording: Recording) -> Iterator[tuple[int, Call]]:
    """Lead a disk through a recording; yields the moment and the call after each step."""
    steps = [(call.begin, call, disk.begin) for call in recording.calls] + [
        (call.end, call, disk.end) for call in recording.calls
    ]
    for moment, call, step in sorted(steps, key=lambda step: step[0]):
        step(call)
        yield moment, call


def images(base: Base, path: Path, recording: Recording, random: Random, wanted: int) -> Iterator[Image]:
    """Up to `wanted` different disks that a power cut during this recording may leave."""
    cuts = Counter(_moments(recording, random, wanted))
    seen: set[bytes] = set()
    disk = Disk(path, base.tree)
    for moment, _ in replay(disk, recording):
        promise = promised(base.promise, (claim for claim in recording.claims if claim.at <= moment))
        for _ in range(cuts[moment]):
            kind = random.choice(KINDS)
            tree = disk.after(kind(random, moment))
            digest = sha256(repr((promise, _sorted(tree))).encode()).digest()
            if digest not in seen:
                seen.add(digest)
                yield Image(kind.__name__, moment, tree, promise)


def _moments(recording: Recording, random: Random, wanted: int) -> list[int]:
    """Where to cut: anywhere, about the rarer calls, or soon after a new segment of the journal was begun, a third each."""
    every = sorted(moment for call in recording.calls for moment in (call.begin, call.end))
    place = {moment: at for at, moment in enumerate(every)}
    rare = [place[call.end] for call in recording.calls if not RARE.isdisjoint((call.name, *call.arguments.split("|")))]
    segments = [place[call.end] for call in recording.calls if _begins_segment(call)]
    draws = (
        lambda: random.randrange(len(every)),
        lambda: random.choice(rare) + random.randint(-3, 3),
        lambda: random.choice(segments) + random.randint(1, 20),
    )
    return [every[min(max(0, random.choice(draws)()), len(every) - 1)] for _ in range(wanted)]


def _begins_segment(call: Call) -> bool:
    return call.name == "pwrite64" and call.numbers[-1] == SECTOR


def _sorted(tree: Tree) -> list[tuple[str, object]]:
    return [(name, content if isinstance(content, bytes) else _sorted(content)) for name, content in sorted(tree.items())]


@contextmanager
def mounted(image: Image) -> Iterator[Path]:
    """The image as a directory."""
    with scratch() as path:
        write_tree(path / "disk", image.tree)
        yield path / "disk"


def run(seed: int, wanted: int, report: Report, each: int = 50) -> None:
    """Judge `wanted` images, `each` of a recording at most; the seeds are `seed` and those after it."""
    begun = time.monotonic()
    end = sum(report.images.values()) + wanted
    while (missing := end - sum(report.images.values())) > 0:
        _run_seed(seed, missing, each, report)
        seed += 1
    report.seconds += time.monotonic() - begun


def _run_seed(seed: int, wanted: int, each: int, report: Report) -> None:
    random = Random(seed)
    reference = Reference(seed)
    base = EMPTY
    for generation in range(GENERATIONS):
        sizes = random.choice(SIZES)
        path, recording = recorded(base, seed, TURNS, sizes)
        report.recordings += 1
        report.calls.update(call.name for call in recording.calls)
        sound: list[Base] = []
        for image in images(base, path, recording, random, min(each, wanted)):
            report.images[image.kind] += 1
            wanted -= 1
            try:
                with mounted(image) as disk:
                    report.torn += is_torn(disk)
                    found = judge(disk, reference, image.promise, sizes)
                report.expired += found.expired > 0
                sound.append(Base(image.tree, Promise(image.promise.disk_id, found.turn, found.turn)))
            except Fault as fault:
                report.failures.append(Failure(image, fault, seed, generation))
        if wanted <= 0 or not sound:
            return
        base = random.choice(sound)
