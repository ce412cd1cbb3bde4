"""How Redis keys lie among an entity's keys.

    b"k" + crc32c(key) + key         -> type (1 byte) + expires at (8 bytes, ms since 1970, 0: never) + value
    b"n"                             -> number of rows (8 bytes), expired ones that are still there included
    b"x" + expires at (8) + key      -> b"", for every row that expires: what is due comes first

The order by hash lets a scan of any node continue at any other: where it stands is a hash, not a cursor kept somewhere.

What is expired is decided by `view.now_ms`, the clock of the node that evaluates: reads hide such a row, writes replace
or drop it, `expire_due` drops what nobody writes. Numbers are big-endian.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from crc32c import crc32c

from ...core.batch.overlay import MAX_KEY_BYTES, View
from ...errors import TooLarge

ROW = b"k"
COUNT = b"n"
EXPIRY = b"x"
_AFTER_ROWS = b"l"
_AFTER_EXPIRY = b"y"
_STRING = b"\x01"
_NEVER = bytes(8)
_PLAIN = _STRING + _NEVER
_HEAD = len(_PLAIN)
PAGE_BYTES = 1_048_576
"""A page of a scan ends with the key that goes over this, in names or in values: all of them are read."""
MAX_NAME_BYTES = MAX_KEY_BYTES - 16
"""Longest key of a client: its longest form here, the one under EXPIRY, still has to be a key."""


def row_key(name: bytes) -> bytes:
    return ROW + crc32c(name).to_bytes(4, "big") + name


def get_value(view: View, name: bytes) -> bytes | None:
    """The value of a key that exists: the short way for reads."""
    row = view.get(row_key(name))
    if row is None:
        return None
    if row[1:_HEAD] != _NEVER and _expired(row, view.now_ms):
        return None
    return row[_HEAD:]


class Key:
    """One key as a command sees it: an expired row counts as none. Create it anew after other writes to the same key."""

    __slots__ = ("_name", "_row", "_view", "_where", "exists", "expires_ms")

    def __init__(self, view: View, name: bytes) -> None:
        self._view = view
        self._name = name
        self._where = row_key(name)
        row = self._row = view.get(self._where)
        self.exists = row is not None
        self.expires_ms = 0
        """When it expires, in ms since 1970; 0: never."""
        if row is not None and row[1:_HEAD] != _NEVER:
            if _expired(row, view.now_ms):
                self.exists = False
            else:
                self.expires_ms = _expires_ms(row)

    @property
    def value(self) -> bytes | None:
        return self._row[_HEAD:] if self._row is not None and self.exists else None

    def set(self, value: bytes, expires_ms: int = 0) -> None:
        """Write the key. Raises TooLarge for a key or value over the limits."""
        view, name = self._view, self._name
        if self._row is None:
            _check_name(name)
            _add_to_count(view, 1)
        else:
            self._leave_index()
        if expires_ms:
            at = expires_ms.to_bytes(8, "big")
            view.put(EXPIRY + at + name, b"")
            row = _STRING + at + value
        else:
            row = _PLAIN + value
        view.put(self._where, row)
        self._row = row
        self.exists = True
        self.expires_ms = expires_ms

    def delete(self) -> bool:
        """Drop the row, expired or not; returns whether the key existed."""
        if self._row is None:
            return False
        self._leave_index()
        self._view.delete(self._where)
        _add_to_count(self._view, -1)
        existed = self.exists
        self._row, self.exists, self.expires_ms = None, False, 0
        return existed

    def _leave_index(self) -> None:
        assert self._row is not None
        at = self._row[1:_HEAD]
        if at != _NEVER:
            self._view.delete(EXPIRY + at + self._name)


def set_many(view: View, pairs: Iterable[tuple[bytes, bytes]]) -> None:
    """Write keys, whatever they were before; the last value of a name wins. Costs two rows a key, where a Key costs four.

    Raises TooLarge like `Key.set`.
    """
    added = 0
    for name, value in pairs:
        where = row_key(name)
        row = view.get(where)
        if row is None:
            _check_name(name)
            added += 1
        elif row[1:_HEAD] != _NEVER:
            view.delete(EXPIRY + row[1:_HEAD] + name)
        view.put(where, _PLAIN + value)
    if added:
        _add_to_count(view, added)


def delete_many(view: View, names: Iterable[bytes]) -> int:
    """Drop keys, expired or not; returns how many existed."""
    dropped = existed = 0
    for name in names:
        where = row_key(name)
        row = view.get(where)
        if row is None:
            continue
        dropped += 1
        if row[1:_HEAD] == _NEVER:
            existed += 1
        else:
            view.delete(EXPIRY + row[1:_HEAD] + name)
            existed += not _expired(row, view.now_ms)
        view.delete(where)
    if dropped:
        _add_to_count(view, -dropped)
    return existed


def key_in(where: bytes, row: bytes) -> tuple[bytes, bytes, int] | None:
    """Name, value and when it expires (0: never) of the key that a row of an entity is; None: a count, or of the index."""
    return (where[5:], row[_HEAD:], _expires_ms(row)) if where.startswith(ROW) else None


def _check_name(name: bytes) -> None:
    if len(name) > MAX_NAME_BYTES:
        raise TooLarge(f"a key of {len(name)} bytes is over the limit of {MAX_NAME_BYTES}")


class Page(NamedTuple):
    """Some keys in the order of their hashes."""

    names: list[bytes]
    next_hash: int
    """Where the next page begins; 0: there is none."""


def scan_page(view: View, first_hash: int, count: int, max_name_bytes: int = PAGE_BYTES) -> Page:
    """The keys of at least `count` rows from a hash on, fewer if they are large. Keys of one hash stay together."""
    names: list[bytes] = []
    previous = b""
    name_bytes = row_bytes = 0
    for visited, (where, row) in enumerate(view.scan(ROW + first_hash.to_bytes(4, "big"), _AFTER_ROWS)):
        at = where[1:5]
        if at != previous and (visited >= count or name_bytes >= max_name_bytes or row_bytes >= PAGE_BYTES):
            return Page(names, int.from_bytes(at, "big"))
        previous = at
        name_bytes += len(where)
        row_bytes += len(row)
        if row[1:_HEAD] == _NEVER or not _expired(row, view.now_ms):
            names.append(where[5:])
    return Page(names, 0)


def number_of_keys(view: View) -> int:
    """Rows that are there, expired ones included."""
    return int.from_bytes(view.get(COUNT) or b"", "big")


def expire_due(view: View, limit: int, from_ms: int = 0) -> tuple[int, int]:
    """Drop up to `limit` rows that have expired, earliest first; returns how many there were, and when the last expired.

    `from_ms`: nothing that expired before this is looked for. Rows that were there still cost: a scan steps over each.
    """
    due = [where for where, _ in islice(view.scan(_expiry(from_ms), _expiry(view.now_ms)), limit)]
    for where in due:
        row = row_key(where[9:])
        found = view.get(row)
        assert found is not None, "a row and its place in the index are written together"
        assert found[1:_HEAD] == where[1:9], "they agree on when it expires"
        view.delete(row)
        view.delete(where)
    if not due:
        return 0, 0
    _add_to_count(view, -len(due))
    return len(due), int.from_bytes(due[-1][1:9], "big")


def first_expiry(scan: Callable[[bytes, bytes], Iterator[tuple[bytes, bytes]]], from_ms: int = 0) -> int | None:
    """When the first row expires, of those that do not before `from_ms`; None: there is none."""
    where, _ = next(scan(_expiry(from_ms), _AFTER_EXPIRY), (None, b""))
    return None if where is None else int.from_bytes(where[1:9], "big")


def _expiry(at_ms: int) -> bytes:
    return EXPIRY + at_ms.to_bytes(8, "big")


def _add_to_count(view: View, change: int) -> None:
    view.put(COUNT, (number_of_keys(view) + change).to_bytes(8, "big"))


def _expires_ms(row: bytes) -> int:
    return int.from_bytes(row[1:_HEAD], "big")


def _expired(row: bytes, now_ms: int) -> bool:
    return _expires_ms(row) < now_ms
