"""What was taken for a client that has gone goes back to where it was."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ....core.batch.overlay import View
from ....core.batch.request import Request
from ....errors import PaxosStoreError
from ..again import Again
from ..commands.handler import HANDLER, call, encode
from ..commands.table import TABLE

log = logging.getLogger(__name__)

TRIES = 5
PAUSE_S = 0.5
TAKING = frozenset(("blpop", "brpop", "blmpop", "bzpopmin", "bzpopmax", "bzmpop"))
"""What `undo` knows to give back."""

Parsed = bytes | None | list[Any]


def served_from(reply: bytes) -> bytes:
    """The key that a reply names first; empty: none."""
    found = parse(reply)
    return found[0] if isinstance(found, list) and found and isinstance(found[0], bytes) else b""


def undo(args: list[bytes], reply: bytes) -> list[bytes] | None:
    """The command that gives back what this one has taken, by its reply; None: it has taken nothing away.

    A list or sorted set gets its members back where they were, if nothing else has changed there. What BLMOVE has moved is where
    it was moved to, and a consumer group knows whom it has given an entry.
    """
    found = parse(reply)
    if not isinstance(found, list) or len(found) < 2 or not isinstance(found[0], bytes):
        return None
    name, key = args[0].lower(), found[0]
    if name in (b"blpop", b"brpop"):
        return [b"LPUSH" if name == b"blpop" else b"RPUSH", key, found[1]]
    if name == b"blmpop":
        left = args[3 + int(args[2])].upper() == b"LEFT"  # behind the timeout, the number of keys, and these
        return [b"LPUSH" if left else b"RPUSH", key, *reversed(found[1])]
    if name in (b"bzpopmin", b"bzpopmax"):
        return [b"ZADD", key, found[2], found[1]]
    if name == b"bzmpop":
        return [b"ZADD", key, *(word for member, score in found[1] for word in (score, member))]
    return None


def parse(reply: bytes) -> Parsed:
    """A reply as bytes, None and lists; scores and numbers as the bytes that they are."""
    found, _ = _parse(reply, 0)
    return found


def _parse(reply: bytes, at: int) -> tuple[Parsed, int]:
    end = reply.index(b"\r\n", at)
    kind, head, at = reply[at : at + 1], reply[at + 1 : end], end + 2
    if kind == b"$" and head != b"-1":
        size = int(head)
        return reply[at : at + size], at + size + 2
    if kind == b"*" and head != b"-1":
        items: list[Any] = []
        for _ in range(int(head)):
            item, at = _parse(reply, at)
            items.append(item)
        return items, at
    return (None if kind in b"$*_" else head), at


class GiveBack(Request):
    """Has it given back, and tries that some times."""

    __slots__ = ("_args", "_call_later", "_done", "_submit", "_tries")

    handler = HANDLER

    def __init__(
        self,
        entity: int,
        args: list[bytes],
        uuid: bytes,
        submit: Callable[[Request], None],
        call_later: Callable[[float, Callable[[], None]], object],
        done: Callable[[bool], None],
    ) -> None:
        """`uuid`: so that it happens once. `done` is told whether it is there again; else that is not known."""
        super().__init__(entity, uuid=uuid)
        self._args = args
        self._submit = submit
        self._call_later = call_later
        self._done = done
        self._tries = TRIES
        self.size = sum(map(len, args))

    def evaluate(self, view: View) -> bytes:
        run = TABLE[self._args[0]].run
        assert run is not None
        return call(run, view, self._args, 2)

    def payload(self) -> bytes:
        return encode(2, self._args)

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self._tries -= 1
        if error is not None and (error.retry or not error.outcome_known) and self._tries:
            self._call_later(PAUSE_S, self._again)
            return
        given = error is None and not reply.startswith(b"-")
        if not given:
            log.warning("what a client that has gone was to get is not known to be given back: %s", error or reply[:200])
        self._done(given)

    def _again(self) -> None:
        self._submit(Again(self, read_only=False, handler=self.handler, uuid=self.uuid))
