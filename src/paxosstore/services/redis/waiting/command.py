"""A command that waits: it tries, waits for what it needs (room.py), and tries again, until it has a reply or its time is
over.

A try is an ordinary request. The first one looks whether there is anything, as a read: only if there is, it becomes a write, so
who asks in vain again and again writes nothing to the log. Where a peer has to look, it does no more than that.

What a client is given is taken from the store only if it was decided for it. If the client has gone before the try is run, that
is refused; if it goes while the outcome is on its way, or this node does, what was taken is given back (takings.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from ....core.batch.overlay import NeedsWrite, View
from ....core.batch.request import Request
from ....errors import PaxosStoreError, RequestFailed
from ..again import Again
from ..commands.handler import LOOK, TRY, call, encode
from ..commands.spec import Spec
from ..commands.waits import FROM_THE_FIRST, THERE, attempt, found_nothing, waits_for
from ..connection.requests import Command, Leaving, Owner
from ..layout.keys import LIST, STREAM, ZSET
from ..reply import WRONG_TYPE, error, nil_array
from .giveback import TAKING, served_from
from .room import NEVER, PLACE_BYTES, Place, WaitingRoom
from .takings import Takings

KINDS = {"list": LIST, "sorted-set": ZSET, "stream": STREAM}
"""By the group of the command: the kind of keys that it takes from."""
UNBLOCKED = error("client unblocked via CLIENT UNBLOCK", "UNBLOCKED")


class Client(Owner, Protocol):
    """The connection that sent it."""

    def leaves_with(self, command: Command, leaving: Leaving) -> None:
        """This is to be told what becomes of the reply of a command, which has it next."""
        ...


class WaitingCommand(Command):
    """One command of one client, in its connection's place for the reply."""

    __slots__ = (
        "_client",
        "_drop",
        "_hung_up",
        "_minds_kind",
        "_place",
        "_room",
        "_saw",
        "_submit",
        "_takes",
        "_taking",
        "_takings",
        "_unblocked",
        "spec",
    )

    def __init__(
        self,
        client: Client,
        spec: Spec,
        args: list[bytes],
        proto: int,
        entity: int,
        *,
        room: WaitingRoom,
        until_s: float,
        submit: Callable[[Request], None],
        drop: Callable[[], None],
        takings: Takings,
    ) -> None:
        """`drop` ends the connection."""
        super().__init__(client, partial(attempt, spec), args, proto, entity, True)
        self._client = client
        self.waits = True
        self.spec = spec
        self._submit = submit
        self._drop = drop
        self._takings = takings
        self._takes = spec.name in TAKING
        self._taking = b""
        """The uuid of a try that may take something; empty: there is none."""
        self._saw = 0
        """The entry that a try has seen last."""
        self._room = room
        self._unblocked = False
        self._hung_up = False
        self._minds_kind = spec.name in FROM_THE_FIRST or spec.name == "xreadgroup"
        """It is told of a key of the wrong kind: that is where it moves to, or its group is gone. Others wait on."""
        self.began_s = room.seconds()
        self._place = Place(self, entity, waits_for(spec, args), KINDS[spec.group], until_s)
        self.size += PLACE_BYTES * len(self._place.keys)

    def begin(self) -> None:
        """Try, or wait behind others."""
        if self._room.enter(self._place):
            self._submit(self)

    def abandon(self) -> None:
        """The client has gone: this ends now, or when its try has."""
        if not self._place.trying:
            self._end(nil_array(self._proto), None)

    def hang_up(self) -> None:
        """The client sends nothing more. As in Redis it is given what is there, and taken to have gone when it would wait."""
        if not self._hung_up:
            self._hung_up = True
            if not self._place.trying or self._place.tested:
                self._drop()

    def unblock(self, as_error: bool) -> bool:
        self._unblocked = as_error
        self._room.expire(self._place)
        return True

    # -- a try

    def evaluate(self, view: View) -> bytes:
        return self.run_try(self, view)

    def run_try(self, request: Request, view: View) -> bytes:
        """Run the try that is this request."""
        if self._client.lost:
            raise RequestFailed("its client has gone: nothing was taken")
        self._saw = view.entry
        try:
            return call(self._run, view, self._args, self._proto)
        except NeedsWrite:
            request.uuid = self._begin(request.uuid)
            raise

    def _begin(self, uuid: bytes) -> bytes:
        """The try may take something from now on. Returns the uuid for it."""
        if self._takes and not self._taking:
            self._taking = self._takings.begin(self.entity, self._proto, self._args, self._saw, uuid)
        return self._taking or uuid

    def payload(self) -> bytes:
        return encode(self._proto, [LOOK if self.read_only else TRY, *self._args])

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        place, taking = self._place, self._taking
        self._taking = b""
        if error is None and reply == THERE and not self._client.lost:
            self._takings.settle(taking)
            self.retry()
            return
        words = found_nothing(reply) if error is None else None
        nothing = words is not None or (error is None and place.tested and reply == WRONG_TYPE and not self._minds_kind)
        self._args = words or self._args
        if error is not None and not error.outcome_known:
            self._takings.find_out(taking)
        elif nothing or error is not None or reply == THERE:
            self._takings.settle(taking)
        elif self._takes:
            taken = Taken(self._takings, self.entity, self._args, reply, taking)
            if self._client.lost:
                taken.is_lost()
            else:
                self._client.leaves_with(self, taken)
        if self._client.lost:
            self._end(reply, error)
        elif nothing:
            self._room.found_nothing(place)
            if self._hung_up:
                self._drop()
        elif place.probing and error is not None and error.outcome_known and error.retry:
            self._room.cut_off(place)
        else:
            self._end(reply, error)

    def _end(self, reply: bytes, error: PaxosStoreError | None) -> None:
        self._room.leave(self._place, served_from(reply) if error is None else b"")
        super().settle(reply, error)

    # -- what the room says

    def retry(self) -> None:
        self._try(read_only=not self.spec.writes)

    def look(self) -> None:
        self._try(read_only=True)

    def _try(self, *, read_only: bool) -> None:
        self.read_only, self.began_s = read_only, self._room.seconds()
        self._submit(Try(self, read_only=read_only, uuid=b"" if read_only else self._begin(b"")))

    def time_out(self) -> None:
        self.began_s = self._room.seconds()
        self._end(UNBLOCKED if self._unblocked else nil_array(self._proto), None)

    def fail(self, error: PaxosStoreError) -> None:
        self._end(b"", error)

    def drop(self) -> None:
        self._drop()


class Try(Again):
    """One more try."""

    __slots__ = ("_command",)

    def __init__(self, command: WaitingCommand, *, read_only: bool, uuid: bytes) -> None:
        super().__init__(command, read_only=read_only, handler=command.handler, uuid=uuid)
        self._command = command
        self.digest = b""  # whatever the try before was: nobody else has this uuid

    def evaluate(self, view: View) -> bytes:
        self._command.read_only = self.read_only  # it may have become a write
        return self._command.run_try(self, view)


class Taken:
    """What was taken, while its client does not have it."""

    __slots__ = ("_args", "_entity", "_reply", "_takings", "_uuid")

    def __init__(self, takings: Takings, entity: int, args: list[bytes], reply: bytes, uuid: bytes) -> None:
        self._takings = takings
        self._entity = entity
        self._args = args
        self._reply = reply
        self._uuid = uuid

    def leaves(self) -> None:
        """It is written to the client next."""
        self._takings.settle(self._uuid)

    def is_lost(self) -> None:
        """There is nobody to write it to."""
        self._takings.give_back(self._entity, self._args, self._reply, self._uuid)


def until(seconds: float, now_s: float) -> float:
    """When a wait of so many seconds is over; 0: it goes on for ever."""
    return now_s + seconds if seconds else NEVER
