"""A key whose members are rows of their own: what a command does to it costs by the members it touches, not by all there are."""

from __future__ import annotations

from collections.abc import Iterator

from ....core.batch.overlay import View
from ..reply import WrongType
from .keys import VERSION_BYTES, Key, new_version

MEMBER = b"m"
LARGE = 1
"""Of the flags: it has had more, or longer, members than Redis keeps in a compact form (OBJECT ENCODING); that stays."""
_FIXED = 2 * VERSION_BYTES + 1


class Collection:
    """A hash, list, set, sorted set or stream, as it stands, or as it will once `save` is called.

    Members are known here by whatever bytes its kind puts behind their prefix. Read and change them by `get`, `put`,
    `delete`, `scan`; keep `size` right; call `save` once, behind the last change: it writes the key's own row, and drops a
    key that has no members left (unless `keep_empty`): all that was put has to be deleted by then.

    Raises WrongType if the key is of another kind.
    """

    __slots__ = ("_prefix", "extra", "flags", "key", "kind", "size", "view")

    def __init__(self, view: View, name: bytes, kind: int) -> None:
        self.view = view
        self.kind = kind
        key = self.key = Key(view, name)
        self._prefix = b""
        self.size = self.flags = 0
        self.extra = b""
        """What the kind keeps beside its members: the ends of a list, the last id of a stream."""
        if key.exists:
            if key.kind != kind:
                raise WrongType
            body = key.body
            self._prefix = MEMBER + body[:VERSION_BYTES]
            self.size = int.from_bytes(body[VERSION_BYTES : 2 * VERSION_BYTES], "big")
            self.flags = body[2 * VERSION_BYTES]
            self.extra = body[_FIXED:]

    @property
    def exists(self) -> bool:
        return bool(self._prefix)

    @property
    def prefix(self) -> bytes:
        """In front of the rows of its members; empty: it has none yet."""
        return self._prefix

    @property
    def is_large(self) -> bool:
        return bool(self.flags & LARGE)

    def get(self, member: bytes) -> bytes | None:
        return self.view.get(self._prefix + member) if self._prefix else None

    def put(self, member: bytes, value: bytes) -> None:
        """Write a member; `size` is the caller's to keep. Raises TooLarge."""
        if not self._prefix:
            self._prefix = MEMBER + new_version(self.view)
        self.view.put(self._prefix + member, value)

    def delete(self, member: bytes) -> None:
        self.view.delete(self._prefix + member)

    def scan(self, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Members with start <= member < end (None: to the last), ascending or descending, as they are now."""
        prefix = self._prefix
        if not prefix:
            return
        last = after(prefix) if end is None else prefix + end
        skip = len(prefix)
        for where, value in self.view.scan(prefix + start, last, reverse=reverse):
            yield where[skip:], value

    def drop(self) -> None:
        """Delete the key, however many members it has: they are cleaned up behind."""
        self.key.delete()
        self._prefix = b""
        self.size = 0

    def renew(self) -> None:
        """Begin anew, without the members that it has: they are cleaned up behind. `save` what it becomes."""
        self._prefix = MEMBER + new_version(self.view)
        self.size = 0

    def save(self, *, keep_empty: bool = False, expires_ms: int | None = None) -> None:
        """Write the key, changed as of now. `expires_ms`: None leaves its expiry as it is."""
        if not self.size and not keep_empty:
            self.key.delete(emptied=True)
            self._prefix = b""
            return
        if not self._prefix:
            self._prefix = MEMBER + new_version(self.view)
        body = self._prefix[1:] + self.size.to_bytes(8, "big") + bytes((self.flags,)) + self.extra
        self.key.put(self.kind, body, self.key.expires_ms if expires_ms is None else expires_ms)


def flags_in(body: bytes) -> int:
    """The flags in the body of a collection's key."""
    return body[2 * VERSION_BYTES]


def copy_members(view: View, body: bytes) -> bytes:
    """Copy the members of a collection, by the body of its key; returns the body of a key that has the copies."""
    version = new_version(view)
    prefix = MEMBER + body[:VERSION_BYTES]
    for where, value in view.scan(prefix, after(prefix)):
        view.put(MEMBER + version + where[len(prefix) :], value)
    return version + body[VERSION_BYTES:]


def after(prefix: bytes) -> bytes:
    """The first key that no key with this prefix reaches."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,))
