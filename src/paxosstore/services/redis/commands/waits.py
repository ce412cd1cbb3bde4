"""What is known of commands that may wait: for which keys, and for how long; and what trying one means."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ....core.batch.overlay import View
from ..floats import double
from ..layout.keys import LOOKUPS, Key
from ..reply import ReplyError
from ..resp import integer
from .spec import Spec

NOTHING = frozenset((b"*-1\r\n", b"$-1\r\n", b"_\r\n"))
"""What commands that may wait reply when there is nothing for them."""
THERE = b"+THERE\r\n"
"""What a look replies where there is a key to be served from: it has to be tried."""
FROM_THE_FIRST = frozenset(("blmove", "brpoplpush"))
"""Of their keys they take from the first alone."""
MAX_SECONDS = 1e9
"""Thirty years: a longer wait ends then."""
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[bytes]).decode


def waits_for(spec: Spec, args: list[bytes]) -> list[bytes]:
    """The keys that it can be served from."""
    names = spec.key_names(args)
    return names[:1] if spec.name in FROM_THE_FIRST else names


class _Empty:
    """A view of an entity that holds nothing, for a command that is to find nothing there."""

    entity = entry = now_ms = request = 0

    def get(self, key: bytes) -> None:
        return None

    def scan(self, start: bytes = b"", end: bytes | None = None, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        return iter(())

    def put(self, key: bytes, value: bytes) -> None:
        raise AssertionError("there is nothing to take, so there is nothing to write")

    def delete(self, key: bytes) -> None:
        raise AssertionError("there is nothing to delete")

    def clear(self) -> None:
        raise AssertionError("there is nothing to delete")

    def savepoint(self) -> tuple[int, int, int]:
        return 0, 0, 0

    def undo(self, savepoint: tuple[int, int, int]) -> None: ...

    def require_write(self) -> None: ...

    def publish(self, channel: bytes, payload: bytes, kind: int = 0) -> None:
        raise AssertionError("nothing has happened")


def _misused(spec: Spec, args: list[bytes]) -> bool:
    """Whether it would be refused wherever there is nothing: it is not to wait behind others to be told so."""
    assert spec.run is not None
    try:
        return spec.run(_Empty(), args, 2).startswith(b"-")
    except ReplyError:
        return True


def wait_seconds(spec: Spec, args: list[bytes]) -> float | None:
    """For how long it may wait, 0 for ever; None: it does not, or says so wrongly, as it will find out itself."""
    if spec.timeout_at:
        seconds = _seconds(args[spec.timeout_at])
        return None if seconds is None or _misused(spec, args) else seconds
    if spec.group == "stream" and "blocking" in spec.flags:
        return _block(args)
    return None


def _seconds(word: bytes) -> float | None:
    seconds = double(word)
    return None if seconds is None else min(max(seconds, 0.0), MAX_SECONDS)  # what is wrong is refused by `_misused`


def _block(args: list[bytes]) -> float | None:
    """XREAD and XREADGROUP: BLOCK milliseconds, before STREAMS."""
    for at, word in enumerate(args[:-1]):
        option = word.upper()
        if option == b"STREAMS":
            return None
        if option == b"BLOCK":
            ms = integer(args[at + 1])
            return None if ms is None or ms < 0 else min(ms / 1000.0, MAX_SECONDS)
    return None


def attempt(spec: Spec, view: View, args: list[bytes], proto: int) -> bytes:
    """Run it; as the read that it begins as, it only looks whether there is a key to be served from."""
    assert spec.run is not None
    if spec.writes and any(Key(view, name).exists for name in waits_for(spec, args)):
        view.require_write()
    LOOKUPS.reading = spec.reads
    reply = spec.run(view, args, proto)
    LOOKUPS.reading = False
    return reply + _encode(spec.resumed(view, args)) if spec.resumed is not None and reply in NOTHING else reply


def look(spec: Spec, view: View, args: list[bytes], proto: int) -> bytes:
    """What the read that a try begins as does at a peer: it takes nothing there, not even later.

    A copy of it may run long after its node has answered it itself: what it took then, nobody would be told.
    """
    if spec.writes and any(Key(view, name).exists for name in waits_for(spec, args)):
        return THERE
    return attempt(spec, view, args, proto)


def found_nothing(reply: bytes) -> list[bytes] | None:
    """Whether that is what an attempt has replied: the words to wait with, none if they are as they were; None: it has not."""
    head, end, words = reply[:6].partition(b"\r\n")
    if head + end not in NOTHING:
        return None
    rest = words + reply[6:]
    return _decode(rest) if rest else []
