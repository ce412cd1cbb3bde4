"""The journal: every batch, one after the other, in files that are written as zeros and synced before they are used.

Appending to such a file changes nothing but its bytes, so that `fdatasync` is one write to the disk: no growing file, no
new blocks, nothing that goes through the file system's own journal, where the nodes of one machine queue behind each other.

    full segments ─► the segment in use ─► the next one, ready          each 16 MiB
    deleted when their records are durable elsewhere (`drop`)            made in advance (`prepare`)

It knows nothing of what the payloads mean. The format is in segment.py, what is made of it after a crash in journal_reader.py.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from .durable import sync_data, sync_file, sync_path
from .journal_reader import JournalReader, segment_path
from .segment import SECTOR, encode_record, encode_segment, sectors_of

SEGMENT_BYTES: Final = 16 * 1024 * 1024
_CHUNK: Final = bytes(1024 * 1024)


class _Segment:
    """A segment that is open for writing."""

    __slots__ = ("end", "file", "last", "number", "path", "size")

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.number = number
        self.file = os.open(path, os.O_RDWR)
        self.size = os.fstat(self.file).st_size
        self.end = SECTOR
        """Where the next record goes."""
        self.last = 0
        """Of a full one: no record in it has a higher sequence."""


class Journal:
    """The writing end. `reserve` and `append` belong to one thread, `prepare` and `drop` to another; one `sync` at a time."""

    def __init__(self, read: JournalReader, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Go on above what was read, in an unused segment. Deletes the used ones: their records are durable elsewhere.

        Raises OSError.
        """
        self._folder = read.folder
        self._segment_bytes = segment_bytes
        self.sequence = read.highest
        """Of the last record."""
        self._synced = read.highest
        self.failure: OSError | None = None
        """Why an append or a sync failed: from then on nothing is certain."""
        self._making = threading.Lock()
        """Held while the next segment is made or taken."""
        self._closing = threading.Lock()
        """Held while a file is closed, or used by `drop`."""
        for leftover in self._folder.glob("*.new"):
            leftover.unlink()
        unused = read.unused or [create_segment(self._folder, read.numbers[-1] + 1, segment_bytes)]
        self._segment, *self._ready = [_Segment(segment_path(self._folder, number), number) for number in unused]
        self._full: list[_Segment] = []
        self._to_sync = [self._segment]
        sync_path(self._folder)
        self._floor = self._noted = 0
        """What the head of the segment in use says."""
        self._set_floor(self.sequence)
        for number in read.numbers:
            if number < self._segment.number:
                self._delete(segment_path(self._folder, number))

    @property
    def has_full(self) -> bool:
        """Whether there are segments that only wait for `drop`."""
        return bool(self._full)

    @property
    def is_prepared(self) -> bool:
        """Whether the next segment is ready."""
        return bool(self._ready)

    def reserve(self, payload_bytes: int) -> bool:
        """Make sure that the next record fits; whether it is the first one of a segment.

        Waits for a segment to be made only if none is ready. Raises OSError: nothing happened.
        """
        needed = sectors_of(payload_bytes) * SECTOR
        moved = False
        while self._segment.end + needed > self._segment.size:
            with self._making:
                self._make_ready(SECTOR + needed)
                self._move()
            moved = True
        return moved

    def append(self, payload: bytes) -> None:
        """Write the next record, for which `reserve` has made room. Raises nothing: if it fails, every later `sync` does."""
        self.sequence += 1
        if self.failure is not None:
            return
        segment = self._segment
        record = encode_record(self.sequence, self._synced, payload)
        try:
            written = os.pwrite(segment.file, record, segment.end)
        except OSError as error:
            self.failure = error
            return
        if written < len(record):
            self.failure = OSError(f"only {written} of {len(record)} bytes were written")
        segment.end += sectors_of(len(payload)) * SECTOR

    def sync(self) -> None:
        """Make every record appended so far durable. Raises OSError: nothing is certain any more, and it will raise for ever."""
        last, segments = self.sequence, self._to_sync[:]  # in this order: the record lies in one of these
        try:
            if self.failure is not None:
                raise self.failure
            for segment in segments:
                sync_data(segment.file)
        except OSError as error:
            self.failure = error
            raise
        self._synced = last
        for segment in segments[:-1]:
            with self._closing:
                self._to_sync.remove(segment)
                os.close(segment.file)

    def prepare(self) -> None:
        """Have a next segment ready. Raises OSError."""
        with self._making:
            self._make_ready()

    def note_synced(self) -> None:
        """When nothing waits to be synced, note in the segment's head what was: should the end of the journal ever read as zeros,
        the next reading knows better. Raises OSError."""
        if self._noted < self._synced == self.sequence and self.failure is None:
            self._write_head()

    def drop(self, sequence: int) -> None:
        """Delete the full segments that hold nothing above this sequence: all up to it is durable elsewhere. Raises OSError."""
        if self._full and self._full[0].last <= sequence:
            self._set_floor(sequence)
        while self._full and self._full[0].last <= sequence:
            self._delete(self._full[0].path)
            del self._full[0]  # its file is closed by `sync`

    def close(self, *, stored: bool) -> None:
        """`stored`: all is durable elsewhere, so then leave nothing to read, if an unused segment is there. Raises OSError."""
        try:
            if stored and self.failure is None and self._segment.end > SECTOR and self._ready:
                self._move()
                self.drop(self.sequence)
        finally:
            for segment in (*self._to_sync, *self._ready):
                os.close(segment.file)

    def forked(self) -> None:
        for segment in (*self._to_sync, *self._ready):
            with suppress(OSError):  # the parent was about to close it
                os.close(segment.file)

    def _make_ready(self, least_bytes: int = 0) -> None:
        if not self._ready:
            number = self._segment.number + 1
            create_segment(self._folder, number, max(self._segment_bytes, least_bytes))
            self._ready.append(_Segment(segment_path(self._folder, number), number))

    def _move(self) -> None:
        """Go on in the segment that is ready."""
        full = self._segment
        full.last = self.sequence
        self._segment = self._ready.pop(0)
        self._to_sync.append(self._segment)
        self._full.append(full)

    def _set_floor(self, sequence: int) -> None:
        """Note that all up to this sequence is durable elsewhere: should it be lost there, the next reading notices."""
        self._floor = sequence
        self._write_head()

    def _write_head(self) -> None:
        with self._closing:
            segment = self._segment
            self._noted = self._synced
            try:
                os.pwrite(segment.file, encode_segment(segment.number, segment.size, self._floor, self._noted), 0)
                sync_data(segment.file)
            except OSError as error:  # it may have been what syncs the records of this segment
                self.failure = error
                raise

    def _delete(self, path: Path) -> None:
        """Durable before the next one is deleted: segments never have a gap."""
        path.unlink()
        sync_path(self._folder)


def create_journal(folder: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
    """Make an empty journal in a folder that does not exist yet. Raises OSError."""
    folder.mkdir()
    create_segment(folder, 1, segment_bytes)


def create_segment(folder: Path, number: int, size: int) -> int:
    """Make an unused segment, durably. Returns its number. Raises OSError; then nothing is left of it."""
    size = -(-size // SECTOR) * SECTOR
    path = segment_path(folder, number)
    new = path.with_suffix(".new")
    try:
        with new.open("wb", buffering=0) as file:
            left = size - file.write(encode_segment(number, size, floor=0, noted=0))
            while left:
                left -= file.write(_CHUNK[:left])
            sync_file(file.fileno())
        new.rename(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    sync_path(folder)
    return number
