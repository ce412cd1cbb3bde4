"""What a process has begun to take for its clients, in a file beside the data: one that is killed leaves there what it may have
taken for nobody.

    a pop is about to be proposed ─► noted, with its uuid ─► decided ─► crossed out ─► its reply is written

The file is never synced: what a process has written, the next one reads, killed or not. A machine that starts anew has another
boot id, and nothing in the file is believed then: a note may stand there that was crossed out, and what a client was given
would be given to another one.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

FILE: Final = "IN-DOUBT"
SLOTS: Final = 1_024
"""The first one says which boot of the machine they are of. What is begun beside the others is not noted."""
SLOT_BYTES: Final = 1_024
_HEAD_BYTES: Final = 6
"""The length, 2 bytes, 0: crossed out; the checksum, 4."""
_CROSSED_OUT: Final = bytes(2)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_encode: Final = msgspec.msgpack.Encoder().encode

log = logging.getLogger(__name__)


class Note(NamedTuple):
    """A command that may take something."""

    uuid: bytes
    entity: int
    proto: int
    words: list[bytes]
    floor: int
    """An entry that its entity had before."""


_decode: Final = msgspec.msgpack.Decoder(Note).decode


def boot_id() -> bytes:
    """Of this machine since it was started; empty: not known."""
    try:
        return _BOOT_ID.read_bytes().strip()
    except OSError:
        return b""


class InDoubt:
    """The notes of one process, and those that the one before it has left. For one thread. Raises nothing."""

    def __init__(self, directory: Path | None, boot: bytes | None = None) -> None:
        """`directory`: None, and what cannot be kept in a file is kept in memory alone."""
        self.notes: dict[bytes, Note] = {}
        """By their uuids, what is not crossed out; at first, what the process before this one has left."""
        self._slots: dict[bytes, int] = {}
        """Where they are."""
        self._free = list(range(SLOTS - 1, 0, -1))
        self._file = -1
        boot = boot_id() if boot is None else boot
        self._path = Path() if directory is None else directory / FILE
        if directory is not None and boot:
            try:
                self._open(boot)
            except OSError as error:
                self._give_up(error)

    def note(self, note: Note) -> bool:
        """Whether there was room for it: a note is small, and there are not too many of them."""
        body = _encode(note)
        if not self._free or len(body) > SLOT_BYTES - _HEAD_BYTES:
            return False
        slot = self._slots[note.uuid] = self._free.pop()
        self.notes[note.uuid] = note
        self._write(slot, _packed(body))
        return True

    def cross_out(self, uuid: bytes) -> None:
        """It is decided what became of it. Safe to repeat."""
        if self.notes.pop(uuid, None) is not None:
            slot = self._slots.pop(uuid)
            self._free.append(slot)
            self._write(slot, _CROSSED_OUT)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self, boot: bytes) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        found = os.pread(self._file, SLOTS * SLOT_BYTES, 0)
        if _unpacked(found[:SLOT_BYTES]) == boot:
            self._take_over(found)
        else:
            os.ftruncate(self._file, 0)  # before it says that its notes are of this boot
        os.posix_fallocate(self._file, 0, SLOTS * SLOT_BYTES)
        self._write(0, _packed(boot))

    def _take_over(self, found: bytes) -> None:
        for slot in range(1, SLOTS):
            body = _unpacked(found[slot * SLOT_BYTES : (slot + 1) * SLOT_BYTES])
            try:
                note = _decode(body) if body else None
            except msgspec.MsgspecError:
                note = None
            if note is not None and note.uuid not in self.notes:
                self.notes[note.uuid] = note
                self._slots[note.uuid] = slot
                self._free.remove(slot)

    def _write(self, slot: int, data: bytes) -> None:
        if self._file >= 0:
            try:
                os.pwrite(self._file, data, slot * SLOT_BYTES)
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """No note may stay that can be crossed out no more."""
        log.warning("%s cannot be written: what this process is taking when it is killed will stay lost: %s", self._path, error)
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        self.close()


def _packed(body: bytes) -> bytes:
    return len(body).to_bytes(2, "big") + crc32(body).to_bytes(4, "big") + body


def _unpacked(slot: bytes) -> bytes:
    """What a slot holds; empty: nothing that is whole."""
    size = int.from_bytes(slot[:2], "big")
    body = slot[_HEAD_BYTES : _HEAD_BYTES + size]
    return body if size and len(body) == size and crc32(body) == int.from_bytes(slot[2:_HEAD_BYTES], "big") else b""
