"""Everything that lies on the disk is read once in `scrub_days`, so that damage is found while the peers can still mend it.

    a table's file ─► read past the system's memory, without the GIL ─► its range of keys read through RocksDB: every checksum
                      is looked at, RocksDB's of each block and large value, and ours of each row of the log
    what lies beside it in the store (journal, MANIFEST) ─► read as well, last: whether the disk still gives it. Its checksums are
                      looked at by the next start
    IDENTITY and its copy ─► what the directory said when it was opened is written anew, where that is not there any more

One file after the other, in a thread, within the background budget. Where it stands is kept in the file SCRUB of the data
directory: the number of the last file that is done, and when the round began. New files have higher numbers, so what is written
meanwhile is read as well. If SCRUB is lost, a round begins. What is found goes the way of all damage: whoever is told decides.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from ..core.turn.budget import Job
from ..errors import Damaged, NodeError
from .background import Background
from .damage import damaged
from .durable import forget_cached, sync_file
from .keys import PLOG, row_of
from .record_codec import decode_row
from .rocks_table import RocksTable
from .upkeep import Upkeep

log = logging.getLogger(__name__)

NAME = "SCRUB"
DAY_S = 86_400.0
LOOK_S = 60.0
"""How often it is looked whether a round is due."""
MISSES = 3
"""So many looks in a row a file cannot be read, on a disk that takes writes, until that is damage. A bad sector stays; whatever
goes away (a cable, a volume over the network, memory) would cost a store each time, on all nodes at once where they share it."""
CHUNK = 1 << 20
ROWS, ROWS_BYTES = 256, 1 << 18
"""Of a piece read through RocksDB, which holds the GIL meanwhile."""


def is_beside_tables(file: Path) -> bool:
    """Whether it belongs to a store, and is read by nothing else of a scrub. (RocksDB's LOG and LOCK hold nothing.)"""
    return file.is_file() and file.suffix not in (".sst", ".blob") and not file.name.startswith("LO")


class Scrub:
    """Reads one table again and again."""

    def __init__(
        self,
        table: RocksTable,
        position: Path,
        background: Background,
        days: Callable[[], float],
        found: Callable[[Damaged], None],
        clock: Callable[[], float] = time.time,
        others: Callable[[], Iterable[Path]] = tuple,
        mend: Callable[[], None] = lambda: None,
    ) -> None:
        """`found` is told of damage in single rows, in the scrub's thread; of that in blocks the table tells itself. `others`:
        files that are not the table's. `mend`: what a round ends with; may raise OSError. Raises OSError."""
        self._table = table
        self._position = position
        self._background = background
        self._days = days
        self._found = found
        self._clock = clock
        self._others = others
        self._mend = mend
        self._closing = False
        self.rounds = 0
        """How many were completed since the store was opened."""
        self.bytes = 0
        """Read since then."""
        self._missed: Path | None = None
        """The file that could not be read at the last look."""
        self._misses = 0
        self._broke_off = False
        """A round is to be gone on with, though no file of it is done."""
        self._done, self._began_s = self._kept()
        self._thread = Upkeep(self._look, "paxosstore-scrub", LOOK_S)
        self._thread.wake()

    def wake(self) -> None:
        """Look now whether a round is due."""
        self._thread.wake()

    def stop(self) -> None:
        """Have it end soon; `close` waits for that."""
        self._closing = True

    def close(self) -> None:
        self.stop()
        self._thread.close()

    def _look(self) -> None:
        if self._done == 0 and not self._broke_off and self._clock() - self._began_s < self._days() * DAY_S:
            return
        self._broke_off = True
        with suppress(NodeError, OSError):  # Damaged was told of; what else stands in the way others meet too
            self._round()
            self._broke_off = False

    def _round(self) -> None:
        if not self._done:
            self._began_s = self._clock()
        while not self._closing and (due := self._next_file()) is not None:
            number, path, start, end = due
            if not (self._read_cold(path) and self._read_rows(start, end)):
                return
            self._misses = 0
            self._keep(number)
        for path in self._others():
            if not self._read_cold(path):
                return
        if not self._closing:
            self._mend()
            self._keep(0)
            self.rounds += 1

    def _next_file(self) -> tuple[int, Path, bytes, bytes] | None:
        """(number, path, first key, last key) of the table's file with the lowest number that was not read in this round."""
        files = [
            (int("".join(filter(str.isdigit, name))), self._table.path / name.lstrip("/"), start, end)
            for name, start, end in self._table.files()
        ]
        return min((file for file in files if file[0] > self._done), default=None)

    def _read_cold(self, path: Path) -> bool:
        """From the disk, not from the system's memory; whether to go on. Raises Damaged."""
        try:
            file = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return True  # it was compacted meanwhile
        try:
            forget_cached(file)
            at = 0
            while self._background.rest(Job.SCRUB, self._wanted):
                with self._background.piece(Job.SCRUB) as piece:
                    size = piece.bytes = len(os.pread(file, CHUNK, at))
                at += size
                self.bytes += size
                if size < CHUNK:
                    return True
        except OSError as error:
            if error.errno == errno.EIO:
                self._miss(path, f"cannot be read at byte {at}: {error.strerror}")
            raise
        finally:
            os.close(file)
        return False

    def _miss(self, path: Path, what: str) -> None:
        """Raises Damaged if it has been so for long enough, OSError if the disk does not work at all."""
        self._misses = self._misses + 1 if path == self._missed else 1
        self._missed = path
        log.warning("%s: %s, for the %d. time", path, what, self._misses)
        if self._misses < MISSES:
            return
        probe = self._position.with_suffix(".probe")
        with probe.open("wb") as file:
            file.write(b"?")
            sync_file(file.fileno())
        probe.unlink()
        self._misses = 0
        found = damaged(path, what)
        self._found(found)
        raise found

    def _read_rows(self, start: bytes, end: bytes) -> bool:
        """Whether to go on. Raises Damaged."""
        while self._background.rest(Job.SCRUB, self._wanted):
            with self._background.piece(Job.SCRUB) as piece:
                rows = self._table.read_range(start, end + b"\0", ROWS, ROWS_BYTES)
                for key, value in rows:
                    piece.bytes += len(key) + len(value)
                    if key.startswith(PLOG):
                        self._check(key, value)
            if not rows:
                return True
            start = rows[-1][0] + b"\0"
        return False

    def _check(self, key: bytes, value: bytes) -> None:
        try:
            decode_row(*row_of(key[len(PLOG) :]), value, self._table.path)
        except Damaged as found:
            self._found(found)
            raise

    def _wanted(self) -> bool:
        return not self._closing

    # -- where it stands

    def _kept(self) -> tuple[int, float]:
        """(number of the last file that is done, when the round began); 0: no round is under way."""
        try:
            done, began_s = self._position.read_text("ascii").split()
            return int(done), min(float(began_s), self._clock())
        except (OSError, ValueError):
            return 0, 0.0

    def _keep(self, done: int) -> None:
        """Not synced: if it is lost, what was read is read once more."""
        self._done = done
        new = self._position.with_suffix(".new")
        with suppress(OSError):
            new.write_text(f"{done} {self._began_s:.0f}\n", "ascii")
            new.replace(self._position)
