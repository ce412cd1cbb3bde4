"""PAXOS.ONCE uuid command ...: a command, or a transaction, that takes effect once, however often and wherever it is sent.

    PAXOS.ONCE uuid INCR k      one request under the uuid: the store remembers its outcome beside the data, in the same entry
    PAXOS.ONCE uuid MULTI       so that EXEC is
    ... MULTI REPEATED          so that EXEC is told how it ended, or has not happened and never will: nil

What is too old to be remembered: commands/once.py.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Protocol

from ....core.batch.request import digest_of
from ..commands.handler import HANDLER, encode
from ..commands.once import ONCE
from ..commands.spec import Spec
from ..commands.waits import wait_seconds
from ..reply import OK, error, unknown_command, wrong_arity
from ..resp import Request
from ..run import Run
from ..session.session import Session
from ..session.spec import SessionSpec
from ..session.table import TABLE
from ..session.transactions import NESTED
from .order import Order
from .requests import Command

NAME = "paxos.once"
_TEXT = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
NO_STAMP = b"?"
"""Which no key ever has: who watches for it finds a change."""
NO_UUID = error("PAXOS.ONCE: a uuid is needed, of 16 bytes or as text, as RFC 9562 has it: uuid7() is best, uuid4() will do")


class Starter(Protocol):
    """What starts the commands of a connection."""

    order: Order
    session: Session

    def answer(self, reply: bytes) -> bool: ...

    def refuse(self, reply: bytes, name: bytes = b"") -> bool: ...

    def count(self, spec: Spec, args: Request) -> None: ...

    def place(self, spec: Spec, args: Request, db: int) -> int | bytes:
        """The one entity that a command is on, or an error."""
        ...

    def fault(self, spec: Spec, args: Request) -> bytes | None:
        """The error for a command that has not the right number of words, or too many of them."""
        ...


class Once(Command):
    """A command under a uuid."""

    __slots__ = ()

    def __init__(self, order: Order, run: Run, args: list[bytes], session: Session, entity: int, uuid: bytes) -> None:
        proto = session.proto
        super().__init__(order, partial(session.host.once_window.run, run, uuid), args, proto, entity, False)
        self.uuid, self.digest = uuid, identity(proto, args)

    def payload(self) -> bytes:
        return packed(self._proto, self.uuid, self._args)


def identity(proto: int, words: list[bytes]) -> bytes:
    """What a repetition has to be like: its reply is one of the same protocol."""
    return digest_of(HANDLER, encode(proto, words))


def packed(proto: int, uuid: bytes, words: list[bytes]) -> bytes:
    """The payload for another node."""
    return encode(proto, [ONCE, uuid, *words])


def parse_uuid(word: bytes) -> bytes | None:
    """The 16 bytes of a uuid. (`uuid.UUID` takes five times as long, and more than what is one.)"""
    if len(word) == 16:
        return word if 1 <= word[6] >> 4 <= 8 and word[8] >> 6 == 2 else None
    return bytes.fromhex(word.replace(b"-", b"").decode()) if _TEXT.fullmatch(word) else None


def once(starter: Starter, spec: Spec, args: Request) -> bool:
    """PAXOS.ONCE; False: not yet."""
    uuid, words = parse_uuid(args[1]), args[2:]
    inner = TABLE.get(words[0]) or TABLE.get(words[0].lower())
    if inner is None or uuid is None:
        if inner is not None and inner.name == "multi":
            _never(starter.session)
        return starter.refuse(NO_UUID if uuid is None else unknown_command(words), args[0])
    if inner.name == "multi" and len(words) == 2 and words[1].upper() == b"REPEATED":
        return _multi(starter, spec, args, uuid, repeated=True)
    if not inner.fits(len(words)):
        if inner.name == "multi":
            _never(starter.session)
        return starter.refuse(wrong_arity(inner.name), args[0])
    if inner.name == "multi":
        return _multi(starter, spec, args, uuid, repeated=False)
    refusal = _refusal(inner, words) or starter.fault(inner, words)
    entity = starter.place(inner, words, starter.session.db) if refusal is None else refusal
    if isinstance(entity, bytes):
        return starter.refuse(entity, args[0])
    run = inner.run
    assert run is not None, "it is a command on data"
    starter.count(spec, args)
    command = Once(starter.order, run, words, starter.session, entity, uuid)
    command.began_s = starter.session.host.seconds()
    starter.order.start(command)
    return True


def _multi(starter: Starter, spec: Spec, args: Request, uuid: bytes, *, repeated: bool) -> bool:
    """Repeated: what was watched when it was sent first is not known any more, so it may only be told how that ended."""
    session = starter.session
    if session.transaction.open:
        return starter.refuse(NESTED, args[0])
    starter.count(spec, args)
    session.transaction.begin(session.db, session.proto, uuid)
    if repeated:
        session.transaction.watched[b""] = NO_STAMP
    return starter.answer(OK)


def _never(session: Session) -> None:
    """What follows a MULTI that is refused is meant to happen at once and together: it is to be refused too, by EXEC."""
    if not session.transaction.open:
        session.transaction.begin(session.db, session.proto)
        session.transaction.refuse()


def _refusal(inner: Spec, words: list[bytes]) -> bytes | None:
    name = inner.name.upper()
    if isinstance(inner, SessionSpec) or inner.run is None:
        return error(f"PAXOS.ONCE is for commands on data, and for MULTI: {name} is none, send it without")
    if inner.waits and wait_seconds(inner, words) is not None:
        return error(f"PAXOS.ONCE: {name} may wait, send it without, or its kind that does not wait")
    return None
