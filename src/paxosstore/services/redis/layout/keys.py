"""Keys of any kind: their heads, their number, what expires, pages of a scan (the picture: __init__.py).

A key is there until an entry deletes it. When its time has passed (by `view.now_ms`), whoever meets it deletes it, a read by
becoming a write (`see`); `expire_due` deletes what nobody meets. So nobody is told that it is gone before it is, at all nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from crc32c import crc32c
from mypy_extensions import mypyc_attr

from ....core.batch.overlay import MAX_KEY_BYTES, View
from ....errors import TooLarge
from ..reply import WrongType

ROW: Final = b"k"
COUNT: Final = b"n"
EXPIRY: Final = b"x"
GARBAGE: Final = b"g"
TOMBSTONE: Final = b"t"
SCRIPTS: Final = b"s"
ONCE: Final = b"o"
"""The one row of its space: when what was done under which uuids (commands/once.py)."""
_AFTER_SCRIPTS: Final = b"t"
_AFTER_ROWS: Final = b"l"
_AFTER_EXPIRY: Final = b"y"
AFTER_GARBAGE: Final = b"h"

OLD_STRING: Final = 1
"""A string as it was written before there were stamps: its head has none."""
STRING, HASH, LIST, SET, ZSET, STREAM = range(2, 8)
KINDS: Final = {OLD_STRING: "string", STRING: "string", HASH: "hash", LIST: "list", SET: "set", ZSET: "zset", STREAM: "stream"}
"""What TYPE says of them."""

_NEVER: Final = bytes(8)
_STRING: Final = bytes((STRING,))
_PLAIN: Final = _STRING + _NEVER
_OLD_HEAD: Final = 9
STAMP_BYTES: Final = 12
_NO_STAMP: Final = bytes(STAMP_BYTES)
_HEAD: Final = _OLD_HEAD + STAMP_BYTES
VERSION_BYTES: Final = 8
MOST_DUE: Final = 256
"""A page of a scan ends with the key of which it has deleted so many that were due."""
PAGE_BYTES: Final = 1_048_576
"""A page of a scan ends with the key that goes over this, in names or in values: all of them are read."""
MANY: Final = 1_000
"""Where more keys than this are deleted at once, one mark for all absent keys stands for their tombstones."""
MAX_NAME_BYTES: Final = MAX_KEY_BYTES - 16
"""Longest key of a client: its longest form here, the one under EXPIRY, still has to be a key."""


class Lookups:
    """How many of the keys that commands have read were there, and how many were not: INFO's keyspace_hits and
    keyspace_misses, of all that is evaluated in this process. As in Redis, what a command looks up in order to change it is
    not counted: a `Key` is while `reading`, which holds for commands that read, and `with LOOKUPS` for what others do."""

    __slots__ = ("hits", "misses", "reading")

    def __init__(self) -> None:
        self.hits = self.misses = 0
        self.reading = False

    def note(self, found: bool) -> None:
        """A key was looked up for what it is."""
        if found:
            self.hits += 1
        else:
            self.misses += 1

    def add(self, others: Lookups) -> None:
        self.hits += others.hits
        self.misses += others.misses

    def __enter__(self) -> None:
        self.reading = True

    def __exit__(self, *how: object) -> None:
        self.reading = False


LOOKUPS: Final = Lookups()


@mypyc_attr(allow_interpreted_subclasses=True)
class Aside:
    """A view for reading, of another thread than the loop's: it counts for itself."""

    def __init__(self) -> None:
        self.lookups = Lookups()


def row_key(name: bytes) -> bytes:
    return ROW + crc32c(name).to_bytes(4, "big") + name


def stamp_now(view: View) -> bytes:
    """What a change in this request is marked with: later ones get a higher one, within an entry as well."""
    return view.entry.to_bytes(8, "big") + view.request.to_bytes(4, "big")


def stamp_of(view: View, name: bytes) -> bytes:
    """Another one whenever the key has been changed, deleted, flushed or made again in between: what WATCH compares."""
    where = row_key(name)
    row = see(view, name, where)
    if row is not None:
        return b"=" + (_NO_STAMP if row[0] == OLD_STRING else row[_OLD_HEAD:_HEAD])
    deleted = view.get(TOMBSTONE + where[1:3]) or _NO_STAMP
    return b"-" + max(deleted, _Count(view).marked)


def see(view: View, name: bytes, where: bytes) -> bytes | None:
    """The row of a key. One that is due is deleted by whoever meets it, with all that is known of it here, and there is none."""
    row = view.get(where)
    if row is None or row[1:_OLD_HEAD] == _NEVER or _expires_ms(row) >= view.now_ms:
        return row
    view.require_write()
    _delete_due(view, name, where, row)
    _Count(view).add(-1)
    return None


def kind_of(view: View, name: bytes) -> int:
    """0: there is no such key."""
    row = see(view, name, row_key(name))
    return 0 if row is None else row[0]


def get_value(view: View, name: bytes) -> bytes | None:
    """The value of a string that exists: the short way for reads. Raises WrongType."""
    row = see(view, name, row_key(name))
    (view.lookups if isinstance(view, Aside) else LOOKUPS).note(row is not None)
    if row is None:
        return None
    if row[0] == STRING:
        return row[_HEAD:]
    if row[0] == OLD_STRING:
        return row[_OLD_HEAD:]
    raise WrongType


class Key:
    """One key as a command sees it: one that is due is gone. Create it anew after other writes to the same key."""

    __slots__ = ("_row", "_where", "exists", "expires_ms", "kind", "name", "view")

    def __init__(self, view: View, name: bytes) -> None:
        self.view = view
        self.name = name
        self._where = row_key(name)
        row = self._row = see(view, name, self._where)
        self.exists = row is not None
        if isinstance(view, Aside):
            view.lookups.note(self.exists)
        elif LOOKUPS.reading:
            LOOKUPS.note(self.exists)
        self.kind = 0 if row is None else row[0]
        """0: there is none."""
        self.expires_ms = 0
        """When it expires, in ms since 1970; 0: never."""
        if row is not None:
            self.expires_ms = _expires_ms(row)

    @property
    def value(self) -> bytes | None:
        """A string's value. Raises WrongType."""
        if not self.exists:
            return None
        if self.kind > STRING:
            raise WrongType
        return self.body

    @property
    def body(self) -> bytes:
        """What stands behind the head of a key that exists."""
        assert self._row is not None
        assert self.exists
        return self._row[_OLD_HEAD if self.kind == OLD_STRING else _HEAD :]

    def set(self, value: bytes, expires_ms: int = 0) -> None:
        """Make it a string, whatever it was. Raises TooLarge for a key or value over the limits."""
        self.put(STRING, value, expires_ms)

    def put(self, kind: int, body: bytes, expires_ms: int) -> None:
        """Write the key; members that it had under another version, or as another kind, are gone. Raises TooLarge."""
        view, name = self.view, self.name
        if self._row is None:
            check_name(name)
            _Count(view).add(1)
        else:
            self._leave(kind, body)
        at = expires_ms.to_bytes(8, "big") if expires_ms else _NEVER
        if expires_ms:
            view.put(EXPIRY + at + name, b"")
        row = bytes((kind,)) + at + stamp_now(view) + body
        view.put(self._where, row)
        self._row = row
        self.exists, self.kind, self.expires_ms = True, kind, expires_ms

    def expire(self, expires_ms: int) -> None:
        """Let a key that exists end then; 0: never."""
        kind = STRING if self.kind == OLD_STRING else self.kind
        self.put(kind, self.body, expires_ms)

    def delete(self, *, emptied: bool = False) -> bool:
        """Drop the row; returns whether the key existed. `emptied`: its members are gone, or another key's."""
        if self._row is None:
            return False
        self._leave(self.kind if emptied else 0, self._row[_HEAD:])
        _drop(self.view, self._where)
        _Count(self.view).add(-1)
        self._row, self.exists, self.kind, self.expires_ms = None, False, 0, 0
        return True

    def _leave(self, kind: int, body: bytes) -> None:
        """What else there is of the row, as it is replaced by another one."""
        row = self._row
        assert row is not None
        at = row[1:_OLD_HEAD]
        if at != _NEVER:
            self.view.delete(EXPIRY + at + self.name)
        if row[0] > STRING and (kind != row[0] or body[:VERSION_BYTES] != row[_HEAD : _HEAD + VERSION_BYTES]):
            _let_go(self.view, row)


def set_many(view: View, pairs: Iterable[tuple[bytes, bytes]]) -> None:
    """Write strings, whatever was there before; the last value of a name wins. Costs two rows a key, where a Key costs four.

    Raises TooLarge like `Key.set`.
    """
    added = 0
    plain = _PLAIN + stamp_now(view)
    for name, value in pairs:
        where = row_key(name)
        row = view.get(where)
        if row is None:
            check_name(name)
            added += 1
        else:
            _leave_places(view, row, name)
        view.put(where, plain + value)
    if added:
        _Count(view).add(added)


def delete_many(view: View, names: Iterable[bytes]) -> int:
    """Drop keys, expired or not; returns how many existed."""
    dropped = existed = 0
    for name in (names := list(names)):
        where = row_key(name)
        row = view.get(where)
        if row is None:
            continue
        dropped += 1
        existed += row[1:_OLD_HEAD] == _NEVER or _expires_ms(row) >= view.now_ms
        _leave_places(view, row, name)
        if len(names) > MANY:
            view.delete(where)
        else:
            _drop(view, where)
    if dropped:
        count = _Count(view)
        count.add(-dropped)
        if len(names) > MANY:
            count.mark()
    return existed


def flush(view: View) -> None:
    """Drop every key; scripts and functions stay, and what is known of uuids. Where there is no key, nor a member of one that
    was, nothing changes, nor for who watches an absent key."""
    if not number_of_keys(view) and next(view.scan(GARBAGE, AFTER_GARBAGE), None) is None:
        return
    kept = list(view.scan(SCRIPTS, _AFTER_SCRIPTS))
    once = view.get(ONCE)
    view.clear()
    for where, row in kept if once is None else [*kept, (ONCE, once)]:
        view.put(where, row)
    _Count(view).mark()


def new_version(view: View) -> bytes:
    """The version of a collection that begins."""
    return _Count(view).version()


def _leave_places(view: View, row: bytes, name: bytes) -> None:
    if row[1:_OLD_HEAD] != _NEVER:
        view.delete(EXPIRY + row[1:_OLD_HEAD] + name)
    if row[0] > STRING:
        _let_go(view, row)


def _let_go(view: View, row: bytes) -> None:
    """Leave the members of a collection to who cleans up (garbage.py)."""
    view.put(GARBAGE + row[_HEAD : _HEAD + VERSION_BYTES], b"")


def _delete_due(view: View, name: bytes, where: bytes, row: bytes) -> None:
    """But for their number."""
    _leave_places(view, row, name)
    _drop(view, where)


def _drop(view: View, where: bytes) -> None:
    view.delete(where)
    view.put(TOMBSTONE + where[1:3], stamp_now(view))


class Found(NamedTuple):
    """A key as a row of an entity shows it."""

    name: bytes
    kind: int
    body: bytes
    expires_ms: int
    """0: never."""


def key_in(where: bytes, row: bytes) -> Found | None:
    """The key that a row of an entity is; None: the row is none, but a member, a count, or of an index."""
    if not where.startswith(ROW):
        return None
    return Found(where[5:], row[0], row[_OLD_HEAD if row[0] == OLD_STRING else _HEAD :], _expires_ms(row))


def check_name(name: bytes) -> None:
    """Raises TooLarge."""
    if len(name) > MAX_NAME_BYTES:
        raise TooLarge(f"a key of {len(name)} bytes is over the limit of {MAX_NAME_BYTES}")


class Page(NamedTuple):
    """Some keys in the order of their hashes."""

    keys: list[tuple[bytes, int]]
    """Names and kinds."""
    next_hash: int
    """Where the next page begins; 0: there is none."""


def scan_page(view: View, first_hash: int, count: int, max_name_bytes: int = PAGE_BYTES) -> Page:
    """The keys of at least `count` rows from a hash on, fewer if they are large or many are due. A hash stays together."""
    keys: list[tuple[bytes, int]] = []
    previous = b""
    name_bytes = row_bytes = due = 0
    for visited, (where, row) in enumerate(view.scan(ROW + first_hash.to_bytes(4, "big"), _AFTER_ROWS)):
        at = where[1:5]
        is_full = visited >= count or name_bytes >= max_name_bytes or row_bytes >= PAGE_BYTES or due >= MOST_DUE
        if at != previous and is_full:
            following = int.from_bytes(at, "big")
            break
        previous = at
        name_bytes += len(where)
        row_bytes += len(row)
        if row[1:_OLD_HEAD] != _NEVER and _expires_ms(row) < view.now_ms:
            view.require_write()
            _delete_due(view, where[5:], where, row)
            due += 1
        else:
            keys.append((where[5:], row[0]))
    else:
        following = 0
    if due:
        _Count(view).add(-due)
    return Page(keys, following)


def names_between(view: View, first_hash: int, after_hash: int) -> Iterator[bytes]:
    """The keys with first_hash <= hash < after_hash, those that are due included."""
    end = _AFTER_ROWS if after_hash >> 32 else ROW + after_hash.to_bytes(4, "big")
    for where, _ in view.scan(ROW + first_hash.to_bytes(4, "big"), end):
        yield where[5:]


def number_of_keys(view: View) -> int:
    """Those that are due included, until somebody meets them."""
    return int.from_bytes((view.get(COUNT) or b"")[:8], "big")


def expire_due(view: View, limit: int, from_ms: int = 0) -> tuple[int, int]:
    """Drop up to `limit` keys that have expired, earliest first; returns how many there were, and when the last expired.

    `from_ms`: nothing that expired before this is looked for. Rows that were there still cost: a scan steps over each.
    """
    due = [where for where, _ in islice(view.scan(_expiry(from_ms), _expiry(view.now_ms)), limit)]
    for where in due:
        row = row_key(where[9:])
        found = view.get(row)
        assert found is not None, "a row and its place in the index are written together"
        assert found[1:_OLD_HEAD] == where[1:9], "they agree on when it expires"
        _delete_due(view, where[9:], row, found)
    if not due:
        return 0, 0
    _Count(view).add(-len(due))
    return len(due), int.from_bytes(due[-1][1:9], "big")


def first_expiry(scan: Callable[[bytes, bytes], Iterator[tuple[bytes, bytes]]], from_ms: int = 0) -> int | None:
    """When the first row expires, of those that do not before `from_ms`; None: there is none."""
    where, _ = next(scan(_expiry(from_ms), _AFTER_EXPIRY), (None, b""))
    return None if where is None else int.from_bytes(where[1:9], "big")


def keys_counted(peek: Callable[[int, bytes, bytes], Iterator[tuple[bytes, bytes]]], entity: int) -> int:
    """Keys of an entity, seen from outside; those that are due included."""
    _, row = next(peek(entity, COUNT, COUNT + b"\0"), (b"", b""))
    return int.from_bytes(row[:8], "big")


def after_expiry(from_ms: int) -> tuple[bytes, bytes]:
    """Between which rows the keys are that expire from then on."""
    return _expiry(from_ms), _AFTER_EXPIRY


def _expiry(at_ms: int) -> bytes:
    return EXPIRY + at_ms.to_bytes(8, "big")


class _Count:
    """The row that says how many keys there are. Of before there were versions, it holds their number alone."""

    __slots__ = ("_row", "_view")

    def __init__(self, view: View) -> None:
        self._view = view
        self._row = (view.get(COUNT) or b"").ljust(16 + STAMP_BYTES, b"\0")

    @property
    def marked(self) -> bytes:
        """The stamp of the last change that may have deleted any key."""
        return self._row[16:]

    def add(self, change: int) -> None:
        row = self._row
        self._put((int.from_bytes(row[:8], "big") + change).to_bytes(8, "big") + row[8:])

    def mark(self) -> None:
        self._put(self._row[:16] + stamp_now(self._view))

    def version(self) -> bytes:
        row = self._row
        version = row[8:16]
        self._put(row[:8] + (int.from_bytes(version, "big") + 1).to_bytes(8, "big") + row[16:])
        return version

    def _put(self, row: bytes) -> None:
        self._row = row
        self._view.put(COUNT, row)


def _expires_ms(row: bytes) -> int:
    return int.from_bytes(row[1:_OLD_HEAD], "big")
