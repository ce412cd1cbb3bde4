"""Reads a journal after a stop, a kill or a power cut (rule 8): every synced record, in order, or Damaged.

The rule. Reading stops at the first record that is not whole. If it is torn or lost (segment.py), and no record behind it says
that it was synced, then it never was: this is where a power cut has torn the journal, and nothing behind it counts. If
one says so, the disk has lost what it had promised to keep: damage. So is everything else that no power cut leaves: a flipped
bit in a record, also in the last one; a segment that is cut, missing or under another's name; a gap in the sequences.

What is believed of a tail that reads as zeros. Zeros where a record should be are what a power cut leaves of one that was not
synced; a disk that has forgotten a synced record leaves the same. The two are told apart by whoever says, elsewhere, that it was
synced: each record says up to which one before it all was, and when the journal has rested for a moment, the head of its segment
notes the last one too. So a tail is believed never to have been synced if no later record and no note contradicts it: a disk
that loses exactly what it synced in the last second before a crash is not found out.

Why what lies behind a torn end is never taken for a successor of later records: what was read is made durable elsewhere
under a sequence as high as the highest that can be read here, torn or not, before a segment is deleted; all used segments are
deleted, the oldest first, before a record is appended; and records continue above that sequence, in an unused segment.
So records of two lives never stand in the journal together, and after a crash in between, all that is left has low sequences.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .damage import damaged
from .segment import SegmentContent

SUFFIX = ".journal"
_FIRST_SECTOR = 1


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"{number:016d}{SUFFIX}"


class JournalReader:
    """One reading of a journal. `highest` and `unused` are right when `records` has ended."""

    def __init__(self, folder: Path) -> None:
        """Raises Damaged if segments are missing, OSError if that cannot be told: it may go away (pathlib would find none)."""
        self.folder = folder
        try:
            paths = [folder / name for name in os.listdir(folder)]
        except (FileNotFoundError, NotADirectoryError):
            raise damaged(folder, "the journal is gone") from None
        self.numbers = sorted(int(path.stem) for path in paths if path.suffix == SUFFIX and path.stem.isdigit())
        """Of its segments."""
        if not self.numbers or self.numbers != list(range(self.numbers[0], self.numbers[-1] + 1)):
            raise damaged(folder, f"segments of the journal are missing, {len(self.numbers)} are here")
        self._noted = 0
        """The highest sequence that is noted to have been synced."""
        self.highest = 0
        """The highest sequence that can be read anywhere, or is held elsewhere."""
        self.unused: list[int] = []
        """The segments at the end that hold nothing."""

    def records(self, held: int) -> Iterator[tuple[int, bytes]]:
        """(sequence, payload) of the records above `held`, the sequence up to which all is durable elsewhere. Raises Damaged.

        If `held` lies above a torn end, nothing is missing: what is held is a longer beginning of the same sequence.
        """
        self.highest = held
        expected = 0  # not known yet
        for index in range(len(self.numbers)):
            segment = self._load(index, held)
            at = _FIRST_SECTOR
            while at < segment.sectors:
                record = segment.record(at)
                if record is None and segment.is_unused(at):
                    break  # goes on in the next segment, or ends here
                missing = expected or held + 1
                if record is None or (record.sequence > missing and at == _FIRST_SECTOR and index > 0):
                    self._end(index, segment, at, missing, held)  # lost: here, or where the segment before ends
                    return
                if record.sequence != expected and (expected or record.sequence > missing):
                    raise segment.damaged(at, f"record {record.sequence} stands where {missing} should be")
                if record.payload is None:
                    self._end(index, segment, at, record.sequence, held)
                    return
                expected = record.sequence + 1
                self.highest = max(self.highest, record.sequence)
                if record.sequence > held:
                    yield record.sequence, record.payload
                at += record.sectors
        last = max(expected - 1, held)
        if self._noted > last:
            raise damaged(self.folder, f"the records end at {last}, but it is noted that {self._noted} was synced")

    def _end(self, index: int, segment: SegmentContent, at: int, missing: int, held: int) -> None:
        """Reading ends at `at`, where record `missing` should be: it must never have been synced."""
        behind = segment.headers(at)
        for later in range(index + 1, len(self.numbers)):
            behind += self._load(later, held).headers(_FIRST_SECTOR)
        for sequence, synced in behind:
            self.highest = max(self.highest, sequence)
            if synced >= missing:
                raise segment.damaged(at, f"record {missing} is not here, but record {sequence} says that it was synced")
        if self._noted >= missing and self._noted > held:
            raise segment.damaged(at, f"record {missing} is not here, but it is noted that it was synced")

    def _load(self, index: int, held: int) -> SegmentContent:
        number = self.numbers[index]
        segment = SegmentContent(segment_path(self.folder, number), number)
        if segment.floor > held:
            raise segment.damaged(0, f"records up to {segment.floor} were stored elsewhere, only {held} of them are there")
        self._noted = max(self._noted, segment.noted)
        if segment.is_unused():
            self.unused.append(number)
        else:
            self.unused.clear()
        return segment
