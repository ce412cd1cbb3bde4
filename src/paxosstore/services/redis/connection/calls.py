"""PAXOS.CALL handler entity uuid payload, PAXOS.READ handler entity payload: an application's own functions, from any client.

Replies are what the function returns, as bytes. Every error begins with its `code` in the one tree (errors.py), which says whose
fault it is, whether to repeat, and whether the outcome is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Protocol

from ....core.batch.overlay import View
from ....core.batch.request import Request as StoreRequest
from ....errors import InvalidRequest, PaxosStoreError, UnknownHandler
from ..again import Again
from ..commands.calls import ENTITIES, NO_UUID, PREFIX, Function
from ..commands.spec import Spec
from ..reply import bulk, error
from ..resp import Request, integer
from ..session.session import Session
from .once import parse_uuid
from .order import Order
from .requests import Command

CALL: str = "paxos.call"
READ: str = "paxos.read"
_MAX_SHOWN = 80
_MAX_NAMES = 15
"""So many of its handlers a node names to who asks for another one."""


class Desk(Protocol):
    """What calls need of the server."""

    calls: Mapping[str, Function]
    """The application's functions, by their names among the node's handlers."""
    has_app: bool
    """The node's file names an application."""

    submit: Callable[[StoreRequest], None]

    def later(self, seconds: float, call: Callable[[], None]) -> object:
        """Call it after so many seconds."""
        ...


class Starter(Protocol):
    """What starts the commands of a connection."""

    order: Order
    session: Session

    def refuse(self, reply: bytes, name: bytes = b"") -> bool: ...

    def count(self, spec: Spec, args: Request) -> None: ...


def told(failure: PaxosStoreError) -> bytes:
    """An error of the tree, by its code."""
    return error(str(failure), failure.code)


class Call(Command):
    """A function's call on its way: a write under a uuid, or a read."""

    __slots__ = ("_desk", "_function", "_once", "handler")

    def __init__(
        self, desk: Desk, order: Order, name: str, function: Function, args: Request, entity: int, uuid: bytes, proto: int
    ) -> None:
        super().__init__(order, self._apply, args, proto, entity, read_only=not uuid)
        self._desk = desk
        self._function = function
        self.handler = name  # type: ignore[misc]  # a class constant elsewhere, a slot here
        self.uuid = uuid
        self._once = uuid or NO_UUID
        """As the client says: a read that is handed over gets a `uuid`, too, for its answer to be known by."""

    def _apply(self, view: View, args: list[bytes], proto: int) -> bytes:
        return self._function(view, self.payload())

    def payload(self) -> bytes:
        return self._once + self._args[-1]

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        if error is None:
            super().settle(reply if self._put_off else bulk(reply), None)
        elif self.handler and isinstance(error, UnknownHandler):
            self._here()
        else:
            self._put_off = False
            super().settle(told(error), None)

    def _here(self) -> None:
        """The node that it was handed over to cannot run it: propose it from here."""
        self.handler = ""  # type: ignore[misc]  # see above
        request = Again(self, read_only=self.read_only, handler="", uuid=self.uuid)
        self._desk.later(0.0, partial(self._desk.submit, request))


def call(starter: Starter, desk: Desk, spec: Spec, args: Request) -> bool:
    """PAXOS.CALL and PAXOS.READ; False: not yet."""
    reads = spec.name == READ
    try:
        entity = _entity(spec, args[2])
        uuid = b"" if reads else _uuid(args[3])
        name, function = _function(desk, args[1])
    except PaxosStoreError as refused:
        return starter.refuse(told(refused), args[0])
    if reads and not starter.order.may_read(entity):
        return False
    starter.count(spec, args)
    command = Call(desk, starter.order, name, function, args, entity, uuid, starter.session.proto)
    command.began_s = starter.session.host.seconds()
    starter.order.start(command)
    return True


def _entity(spec: Spec, word: bytes) -> int:
    entity = integer(word)
    if entity is None or not 0 <= entity < ENTITIES:
        raise InvalidRequest(
            f"{spec.name.upper()}: {_shown(word)} is no entity of an application: those are 0 to {ENTITIES - 1}, the others are "
            "the cards' and the Redis databases'"
        )
    return entity


def _uuid(word: bytes) -> bytes:
    uuid = parse_uuid(word)
    if uuid is None:
        raise InvalidRequest(
            f"PAXOS.CALL: {_shown(word)} is no uuid: it has 16 bytes, or is text, as RFC 9562 has it: uuid7() is best, "
            "uuid4() will do"
        )
    return uuid


def _function(desk: Desk, word: bytes) -> tuple[str, Function]:
    name = PREFIX + word.decode("utf-8", "replace")
    function = desk.calls.get(name)
    if function is None:
        has = ", ".join([one.removeprefix(PREFIX) for one in islice(desk.calls, _MAX_NAMES)])
        remedy = f"it has {has}" if desk.has_app else "it has no application: set app.module in its file"
        raise UnknownHandler(f"this node has no handler {_shown(word)}: {remedy}")
    return name, function


def _shown(word: bytes) -> str:
    return repr(word[:_MAX_SHOWN])[1:]
