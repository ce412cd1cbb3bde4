"""What a power cut may leave of the changes that no sync had made durable."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from .disk import EVERYTHING, Fate, File

SECTOR = 512
"""Bytes that a medium writes whole."""
PAGE = 4_096
"""Bytes that an operating system writes at once, mostly."""


def everything(_: Random, __: int) -> Fate:
    """Nothing is lost: as after a kill."""
    return EVERYTHING


def nothing(_: Random, __: int) -> Fate:
    """All that was not synced is lost."""
    return Fate(lambda file: bytes(file.durable), lambda _: ())


def earlier(random: Random, now: int) -> Fate:
    """The disk stopped some time before the process did: in order, up to one moment for all."""
    stop = now - int(random.expovariate(1 / 40))
    return Fate(
        lambda file: bytes(file.content(write for write in file.pending if write.begin <= stop)),
        lambda folder: [naming for naming in folder.pending if naming.begin <= stop],
    )


def torn(random: Random, _: int) -> Fate:
    """Each file and each directory up to a moment of its own; the last write is cut off, or zeros from some sector on."""

    def content(file: File) -> bytes:
        if not file.pending:
            return bytes(file.durable)
        *whole, last = file.pending[: random.randint(1, len(file.pending))]
        before = file.content(whole)
        if not last.data:
            return bytes(before)
        after = bytearray(before)
        last.apply(after)
        end = last.start + len(last.data)
        kept = random.randint(last.start, end)
        blank = random.random() < 0.3
        if kept < end and (blank or kept < len(before)):  # a sector is old or new
            kept = max(last.start, kept - kept % SECTOR)
        after[kept:end] = _padded(before, end)[kept:end]
        return bytes(after) if blank else bytes(after[: max(kept, len(before))])

    return Fate(content, lambda folder: folder.pending[: random.randint(0, len(folder.pending))])


def sectors(random: Random, _: int) -> Fate:
    """Every sector, and every length, as it was at a moment of its own."""

    def content(file: File) -> bytes:
        return _sectors(random, file) if file.pending else bytes(file.durable)

    return Fate(content, lambda folder: folder.pending[: random.randint(0, len(folder.pending))])


def mixed(random: Random, now: int) -> Fate:
    """Each file and each directory after another fashion."""

    def draw() -> Fate:
        return random.choice((everything, nothing, torn, sectors))(random, now)

    return Fate(lambda file: draw().content(file), lambda folder: draw().namings(folder))


KINDS: tuple[Callable[[Random, int], Fate], ...] = (everything, nothing, earlier, torn, sectors, mixed)


def _sectors(random: Random, file: File) -> bytes:
    size = random.choice((SECTOR, PAGE))
    likely = random.random()
    now = len(file.pending)
    moments: dict[int, int] = {}
    lengths = [len(file.durable)]
    content = bytearray(file.durable)
    for at, write in enumerate(file.pending):
        data = write.data
        if data is None:  # as if zeros had been written
            data = bytes(max(0, len(content) - write.start))
            lengths.append(write.start)
        else:
            lengths.append(max(lengths[-1], write.start + len(data)))
        end = write.start + len(data)
        content.extend(bytes(max(0, end - len(content))))
        for sector in range(write.start // size, -(-end // size)):
            if sector not in moments:
                moments[sector] = now if random.random() < likely else random.randint(0, now)
            if at < moments[sector]:
                first, last = max(write.start, sector * size), min(end, (sector + 1) * size)
                content[first:last] = data[first - write.start : last - write.start]
    length = lengths[-1] if random.random() < likely else random.choice(lengths)
    return _padded(content[:length], length)


def _padded(content: bytearray, length: int) -> bytes:
    return bytes(content) + bytes(max(0, length - len(content)))
