"""A stream as rows: its entries, its ends, and the ids by which they are known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

import msgspec

from .....core.batch.overlay import View
from ...layout.collection import Collection
from ...layout.compact import limits
from ...layout.keys import STREAM
from ...reply import ReplyError, array, bulk, error

MAX_ID = 2**128 - 1
INVALID_ID = error("Invalid stream ID specified as stream command argument")
_ENTRY = b"e"
_AFTER_ENTRIES = b"f"
_PART = re.compile(rb"\+?([0-9]{1,40})")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes]).decode


def node_entries() -> int:
    """Trimming that may be inexact (~) drops so many at a time, as Redis's nodes hold."""
    return max(1, limits["stream-node-max-entries"])


def parse_id(text: bytes, missing: int = 0) -> int:
    """An id in full, or its milliseconds alone: `missing` is the sequence then. Raises ReplyError."""
    ms, dash, seq = text.partition(b"-")
    high = _number(ms)
    low = _number(seq) if dash else missing
    if high is None or low is None or len(text) > 127:
        raise ReplyError(INVALID_ID)
    return high << 64 | low


def parse_end(text: bytes, missing: int) -> int:
    """The same, or "-" and "+", the lowest and the highest."""
    return 0 if text == b"-" else MAX_ID if text == b"+" else parse_id(text, missing)


def _number(text: bytes) -> int | None:
    match = _PART.fullmatch(text)
    number = int(match[1]) if match else 2**64
    return number if number < 2**64 else None


def id_text(number: int) -> bytes:
    return b"%d-%d" % (number >> 64, number & (2**64 - 1))


def id_reply(number: int) -> bytes:
    return bulk(id_text(number))


def entry_reply(number: int, fields: list[bytes]) -> bytes:
    return array([id_reply(number), array([bulk(field) for field in fields])])


class Stream:
    """Raises WrongType. Call `save` behind the last change."""

    __slots__ = ("added", "last_id", "low_id", "max_deleted_id", "rows")

    def __init__(self, view: View, name: bytes) -> None:
        rows = self.rows = Collection(view, name, STREAM)
        extra = rows.extra.ljust(56, b"\0")
        self.last_id = int.from_bytes(extra[:16], "big")
        self.max_deleted_id = int.from_bytes(extra[16:32], "big")
        self.added = int.from_bytes(extra[32:40], "big")
        """Entries that were ever added."""
        self.low_id = int.from_bytes(extra[40:56], "big")
        """No entry has a lower id."""

    @property
    def exists(self) -> bool:
        return self.rows.exists

    @property
    def size(self) -> int:
        return self.rows.size

    def range(self, start: int, end: int = MAX_ID, *, reverse: bool = False) -> Iterator[tuple[int, list[bytes]]]:
        """Entries with start <= id <= end, as they are now."""
        start = max(start, self.low_id)
        if start > end or not self.rows.size:
            return
        last = _AFTER_ENTRIES if end == MAX_ID else _entry_key(end + 1)
        for member, row in self.rows.scan(_entry_key(start), last, reverse=reverse):
            yield int.from_bytes(member[1:], "big"), _decode(row)

    def first(self) -> int:
        """The lowest id of an entry; 0: there is none."""
        return next(self.range(0), (0, []))[0]

    def entry(self, number: int) -> list[bytes] | None:
        row = self.rows.get(_entry_key(number)) if number >= self.low_id else None
        return None if row is None else _decode(row)

    def add(self, number: int, fields: list[bytes]) -> None:
        """Raises TooLarge."""
        if not self.rows.size:
            self.low_id = number
        self.rows.put(_entry_key(number), _encode(fields))
        self.rows.size += 1
        self.added += 1
        self.last_id = number

    def remove(self, numbers: list[int]) -> int:
        """Delete entries as XDEL does; returns how many were there."""
        removed = 0
        for number in numbers:
            if self.entry(number) is None:
                continue
            is_first = self.first() == number
            self._drop(number)
            removed += 1
            self.max_deleted_id = max(self.max_deleted_id, number)
            if is_first:
                self.low_id = number + 1
        return removed

    def trim(self, count: int) -> int:
        """Delete so many from the front."""
        numbers = [number for number, _ in islice(self.range(0), count)]
        for number in numbers:
            self._drop(number)
        if numbers:
            self.low_id = numbers[-1] + 1
        return len(numbers)

    def has_deleted_since(self, start: int) -> bool:
        """Whether an entry may be missing from `start` on: counts of entries are not exact then."""
        return bool(self.rows.size) and start <= self.max_deleted_id != 0 and self.first() < self.max_deleted_id

    def entries_until(self, number: int) -> int | None:
        """How many entries were ever added up to this id, if that can be known."""
        if not self.added:
            return 0
        if number == self.last_id or (not self.size and number < self.last_id):
            return self.added
        if number > self.last_id:
            return None
        first = self.first()
        if self.max_deleted_id < first and number <= first:
            return self.added - self.size + (number == first)
        return None

    def save(self) -> None:
        self.rows.extra = b"".join(
            [
                self.last_id.to_bytes(16, "big"),
                self.max_deleted_id.to_bytes(16, "big"),
                self.added.to_bytes(8, "big"),
                self.low_id.to_bytes(16, "big"),
            ]
        )
        self.rows.save(keep_empty=True)

    def _drop(self, number: int) -> None:
        self.rows.delete(_entry_key(number))
        self.rows.size -= 1


def _entry_key(number: int) -> bytes:
    return _ENTRY + number.to_bytes(16, "big")
