"""Commands on their way through the store, and where their replies wait for their turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from mypy_extensions import mypyc_attr

from ....core.batch.overlay import View
from ....core.batch.request import Request
from ....errors import PaxosStoreError
from ..again import Again
from ..beside.reads import LongReads
from ..commands.handler import HANDLER, call, encode
from ..meter import Metered, TooLong
from ..reply import OK, error, integer_reply, store_error
from ..room import Room
from ..run import Run

SMALL_BYTES: Final = 512
"""What is not larger is counted by number alone."""
LARGE_REPLY_BYTES: Final = 65_536
"""A reply that is not kept while there is no room."""
PARTS_AT_ONCE: Final = 256
"""Entities at which a command on many is under way at the same time."""


class Leaving(Protocol):
    """What is decided by whether a reply leaves."""

    def leaves(self) -> None:
        """It is written to the client next."""
        ...

    def is_lost(self) -> None:
        """There is nobody to write it to."""
        ...


class Owner(Protocol):
    """The connection that sent a command."""

    room: Room
    crowded: bool
    gone: bool

    @property
    def lost(self) -> bool:
        """There is nobody to reply to, though the connection may still have to be told so."""
        ...

    def settled(self, command: Command) -> None:
        """The command has its reply."""
        ...

    def deferred(self, command: Command) -> None:
        """The command, a read, was not evaluated: it has to be sent again."""
        ...

    def is_next(self, command: Command) -> bool:
        """Whether the client waits for the reply to this command alone: it has to be made, however much else there is."""
        ...

    def built(self, size: int) -> None:
        """Replies of so many bytes are there, or are there no more."""
        ...

    def answered(self, reply: bytes) -> None:
        """A reply that is made of several has come together."""
        ...

    def check_unread(self) -> None:
        """Raises Overloaded if the client has left so much unread that nothing may be made for it."""
        ...


class Answer:
    """A reply that is known at once and waits only for those before it."""

    __slots__ = ("reply",)

    def __init__(self, reply: bytes) -> None:
        self.reply: bytes | None = reply


@mypyc_attr(allow_interpreted_subclasses=True)  # by what waits, watches and goes in transactions
class Command(Request):
    """One command on one entity. It holds its connection's place for the reply."""

    __slots__ = (
        "_args",
        "_beside",
        "_built",
        "_is_long",
        "_owner",
        "_proto",
        "_put_off",
        "_run",
        "began_s",
        "counts_as_read",
        "place",
        "queued_read",
        "reply",
        "saw_entry",
        "saw_ms",
        "waits",
    )

    handler = HANDLER

    def __init__(
        self,
        owner: Owner,
        run: Run,
        args: list[bytes],
        proto: int,
        entity: int,
        read_only: bool,
        beside: LongReads | None = None,
    ) -> None:
        """`beside`: where it is done, if it is a read that turns out to be a long one."""
        super().__init__(entity, read_only=read_only)
        self._owner = owner
        self._run = run
        self._beside = beside
        self._is_long = False
        """It is no more tried, but done beside the loop."""
        self.saw_entry = self.saw_ms = 0
        self._args = args
        size = 0
        for word in args:
            size += len(word)
        self.size = size
        self._proto = proto
        self._built = 0
        """Bytes of its reply that its owner knows of."""
        self._put_off = False
        self.began_s = 0.0
        """When it came, of the loop's time; 0: nobody wants to know how long it takes."""
        self.place = 0
        """Its place among its connection's commands: those after it have a higher one."""
        self.counts_as_read = read_only
        """Among what its connection has under way."""
        self.queued_read = False
        """It reads, in a place among the writes."""
        self.reply: bytes | None = None
        self.waits = False
        """It may take for ever: until there is something for its client."""

    def evaluate(self, view: View) -> bytes:
        owner = self._owner
        if owner.crowded:
            if not self.read_only:
                owner.check_unread()
            elif not owner.is_next(self):
                self._put_off = True
                return b""
        if self._beside is not None and self.read_only:
            try:
                reply = call(self._run, Metered(view), self._args, self._proto)
            except TooLong:
                self._is_long, self.saw_entry, self.saw_ms = True, view.entry, view.now_ms
                return b""
        else:
            reply = call(self._run, view, self._args, self._proto)
        if len(reply) > SMALL_BYTES:
            if self.read_only and len(reply) > LARGE_REPLY_BYTES and owner.room.full:
                self._put_off = True
                return b""
            self._say(len(reply))
        return reply

    def payload(self) -> bytes:
        return encode(self._proto, self._args)

    @property
    def words(self) -> list[bytes]:
        return self._args

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        if self._put_off and error is None:
            self._owner.deferred(self)
            return
        if self._is_long and error is None:
            assert self._beside is not None
            self._is_long = False
            if self._owner.room.full and not self._owner.gone:
                self._owner.deferred(self)
            else:
                self._beside.begin(self)
            return
        self.finish(reply, error)

    def finish(self, reply: bytes, error: PaxosStoreError | None) -> None:
        """That is its outcome."""
        self.reply = reply if error is None else store_error(error)
        if self._built or len(self.reply) > SMALL_BYTES:
            self._say(len(self.reply) if len(self.reply) > SMALL_BYTES else 0)  # another one than was evaluated here
        self._owner.settled(self)

    def again(self) -> Request:
        """A read that was put off begins anew, as this request."""
        self.read_only = True
        self._put_off = self._is_long = False
        return Again(self, read_only=True, handler=self.handler)

    def run_by(self, run: Run) -> None:
        """That is what it does from now on, at this node: a part of it is done."""
        self._run = run

    # -- a long read

    def read(self, view: View) -> bytes:
        """What it replies. In any thread; raises ReplyError."""
        return self._run(view, self._args, self._proto)

    @property
    def wanted(self) -> bool:
        """Its client is still there."""
        return not self._owner.gone

    def in_one_go(self) -> None:
        """It is to be tried again, however long it takes."""
        beside, self._beside = self._beside, None
        assert beside is not None
        beside.submit(self.again())

    def abandon(self) -> None:
        """Its client has gone while it was under way alone."""

    def unblock(self, as_error: bool) -> bool:
        """Have it wait no longer; whether it was waiting."""
        return False

    def hang_up(self) -> None:
        """Its client sends nothing more: whoever waits is taken to have gone."""

    def _say(self, size: int) -> None:
        if size != self._built:
            self._owner.built(size - self._built)
            self._built = size


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

    def evaluate(self, view: View) -> bytes:
        return call(self._run, view, self._args, self._proto)  # its reply is small

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        super().settle(reply, error)
        assert self.reply is not None
        self.whole.add(Ended(self.reply, error is None or error.outcome_known))


class Whole:
    """The reply to a command on several entities, made of one reply each. The entities are not changed atomically."""

    __slots__ = ("_begun", "_entities", "_merge", "_owner", "_parts", "_sealed", "failed", "reply")

    def __init__(self, owner: Owner, entities: int, merge: Callable[[Sequence[Ended], int], bytes]) -> None:
        self._owner = owner
        self._entities = entities
        self._merge = merge
        self._parts: list[Ended] = []
        self._begun = 0
        self._sealed = False
        self.failed = False
        self.reply: bytes | None = None

    @property
    def under_way(self) -> int:
        return self._begun - len(self._parts)

    def begin(self) -> None:
        """One more part is under way."""
        self._begun += 1

    def add(self, part: Ended) -> None:
        """A part has ended."""
        self._parts.append(part)
        self.failed = self.failed or part.failed
        self._finish()

    def seal(self) -> None:
        """No further part will begin."""
        self._sealed = True
        self._finish()

    def _finish(self) -> None:
        if self._sealed and not self.under_way:
            self.reply = self._merge(self._parts, self._entities)
            self._owner.answered(self.reply)


class Spread:
    """A command on many entities that is sent to some of them at a time."""

    __slots__ = ("_args", "_entities", "_proto", "_run", "_writes", "over", "whole")

    def __init__(self, whole: Whole, run: Run, args: list[bytes], proto: int, entities: Iterable[int], writes: bool) -> None:
        self.whole = whole
        self._run = run
        self._args = args
        self._proto = proto
        self._entities = iter(entities)
        self._writes = writes
        self.over = False
        """It has been sent to all it will be sent to."""

    def next(self) -> int | None:
        """The entity that may be sent to now. What has failed at one is not tried at those that are left."""
        if self.over or (self.whole.under_way >= PARTS_AT_ONCE and not self.whole.failed):
            return None
        entity = None if self.whole.failed else next(self._entities, None)
        if entity is None:
            self.over = True
            self.whole.seal()
        return entity

    def part(self, owner: Owner, entity: int, behind_write: bool) -> Part:
        self.whole.begin()
        return Part(self.whole, owner, self._run, self._args, self._proto, entity, not self._writes and not behind_write)


Slot = Answer | Command | Whole
"""A place in the order of a connection's replies."""


def merge_by(gather: Callable[[Sequence[bytes]], bytes]) -> Callable[[Sequence[Ended], int], bytes]:
    """What a command makes of its replies; the first error if there is one."""

    def merge(parts: Sequence[Ended], entities: int) -> bytes:
        error = next((part.reply for part in parts if part.failed), None)
        return error or gather([part.reply for part in parts])

    return merge


def merge_sum(parts: Sequence[Ended], entities: int) -> bytes:
    """Integer replies, added up; the first error if there is one."""
    error = next((part.reply for part in parts if part.failed), None)
    return error or integer_reply(sum([int(part.reply[1:]) for part in parts]))


def merge_ok(parts: Sequence[Ended], entities: int) -> bytes:
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
        entities,
        entities - done - len(unknown),
        len(unknown),
    )
    return error(b"outcome unknown: %b: %b" % (numbers, (unknown or failed)[0].reply[1:].rstrip()), "UNKNOWN")
