"""Commands on their way through the store, and where their replies wait for their turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from ...core.overlay import View
from ...core.request import Request
from ...errors import PaxosStoreError
from .commands import HANDLER, Run, encode
from .reply import OK, error, integer_reply, store_error


class Owner(Protocol):
    """The connection that sent a command."""

    def settled(self, command: Command) -> None:
        """The command has its reply."""
        ...

    def answered(self) -> None:
        """A reply that is made of several has come together."""
        ...


class Answer:
    """A reply that is known at once and waits only for those before it."""

    __slots__ = ("reply",)

    def __init__(self, reply: bytes) -> None:
        self.reply: bytes | None = reply


class Command(Request):
    """One command on one entity. It holds its connection's place for the reply."""

    __slots__ = ("_args", "_owner", "_proto", "_run", "reply")

    handler = HANDLER

    def __init__(self, owner: Owner, run: Run, args: list[bytes], proto: int, entity: int, read_only: bool) -> None:
        super().__init__(entity, read_only=read_only)
        self._owner = owner
        self._run = run
        self._args = args
        self.size = sum(map(len, args))
        self._proto = proto
        self.reply: bytes | None = None

    def evaluate(self, view: View) -> bytes:
        return self._run(view, self._args, self._proto)

    def payload(self) -> bytes:
        return encode(self._proto, self._args)

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self.reply = reply if error is None else store_error(error)
        self._owner.settled(self)


class Ended(NamedTuple):
    """How one part of a command on several entities ended."""

    reply: bytes
    known: bool
    """Whether that is certain: an error means that nothing happened."""

    @property
    def failed(self) -> bool:
        return self.reply.startswith(b"-")


class Part(Command):
    """What a command that concerns several entities does to one of them."""

    __slots__ = ("whole",)

    def __init__(self, whole: Whole, owner: Owner, run: Run, args: list[bytes], proto: int, entity: int, read_only: bool) -> None:
        super().__init__(owner, run, args, proto, entity, read_only)
        self.whole = whole

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        super().settle(reply, error)
        assert self.reply is not None
        self.whole.add(Ended(self.reply, error is None or error.outcome_known))


class Whole:
    """The reply to a command on several entities, made of one reply each. The entities are not changed atomically."""

    __slots__ = ("_merge", "_missing", "_owner", "_parts", "reply")

    def __init__(self, owner: Owner, parts: int, merge: Callable[[Sequence[Ended]], bytes]) -> None:
        self._owner = owner
        self._missing = parts
        self._merge = merge
        self._parts: list[Ended] = []
        self.reply: bytes | None = None

    def add(self, part: Ended) -> None:
        self._parts.append(part)
        self._missing -= 1
        if not self._missing:
            self.reply = self._merge(self._parts)
            self._owner.answered()


Slot = Answer | Command | Whole
"""A place in the order of a connection's replies."""


def merge_sum(parts: Sequence[Ended]) -> bytes:
    """Integer replies, added up; the first error if there is one."""
    error = next((part.reply for part in parts if part.failed), None)
    return error or integer_reply(sum([int(part.reply[1:]) for part in parts]))


def merge_ok(parts: Sequence[Ended]) -> bytes:
    """OK if everything was done, and a part's error only if certainly nothing was; all between is unknown."""
    failed = [part for part in parts if part.failed]
    unknown = [part for part in failed if not part.known]
    done = len(parts) - len(failed)
    if not failed:
        return OK
    if not done and not unknown:
        return failed[0].reply
    numbers = b"done in %d of %d entities, not in %d, unknown in %d" % (
        done,
        len(parts),
        len(failed) - len(unknown),
        len(unknown),
    )
    return error(b"outcome unknown: %b: %b" % (numbers, (unknown or failed)[0].reply[1:].rstrip()), "UNKNOWN")
