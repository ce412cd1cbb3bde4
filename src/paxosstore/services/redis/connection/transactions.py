"""Transactions: commands are queued here, and EXEC makes one request of them, on one view, in one entry.

    WATCH k     a linearizable read: the stamps of the keys (layout/keys.py: stamp_of)
    MULTI
    SET k v     +QUEUED: encoded, checked as far as Redis checks
    EXEC        one request: stamps and commands. Where it is evaluated, the stamps are compared first, then the commands run

What the session does itself (SELECT, CLIENT, HELLO, …) it does when EXEC has succeeded, in its place among the replies.
A command that is refused for its size (TOOLARGE) refuses the whole EXEC, as does whatever the store refuses: nothing of it
has happened then. An error reply of a command, on the other hand, is a reply like any: the others have happened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol

from ....errors import PaxosStoreError
from ..commands.handler import encode, pack_transaction, run_transaction, stamps, unpack_replies
from ..commands.spec import Spec
from ..reply import OK, array, error, nil_array
from ..resp import Request
from ..session.session import Session
from ..session.spec import SessionSpec
from ..session.transaction import Step
from ..session.transactions import ABORTED, NO_EXEC, NOT_INSIDE, WATCH_INSIDE
from ..settings import RedisSettings
from . import once
from .order import Order
from .requests import Command

QUEUED = b"+QUEUED\r\n"
MODES = frozenset(("select", "hello"))
"""Commands that change how those after them are meant: which database, which protocol."""
MAX_OWN_BYTES = 262_144
"""When the session has answered so much within one EXEC, it does no more: nobody else is served meanwhile."""
TOO_MUCH = error(f"not done: what the session answers within EXEC is over the limit of {MAX_OWN_BYTES} bytes", "TOOLARGE")
FAILED = error("internal error: it is not known what this command did")

log = logging.getLogger(__name__)


class Starter(Protocol):
    """What starts the commands of a connection."""

    order: Order
    session: Session

    @property
    def settings(self) -> RedisSettings: ...

    def answer(self, reply: bytes) -> bool: ...

    def refuse(self, reply: bytes, name: bytes = b"") -> bool: ...

    def count(self, spec: Spec, args: Request) -> None: ...

    def took(self, name: bytes, words: list[bytes], began_s: float, reply: bytes) -> None:
        """A command that began then has this reply."""
        ...

    def place(self, spec: Spec, args: Request, db: int) -> int | bytes:
        """The one entity that a command is on, or an error."""
        ...

    def fault(self, spec: Spec, args: Request) -> bytes | None:
        """The error for a command that has not the right number of words, or too many of them."""
        ...


class Watch(Command):
    """Reads the stamps of keys, and has the session watch them."""

    __slots__ = ("_session",)

    def __init__(self, session: Session, order: Order, args: list[bytes], entity: int) -> None:
        super().__init__(order, stamps, args, 2, entity, read_only=True)
        self._session = session

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        if error is None and not self._put_off:
            found = unpack_replies(reply)
            assert found is not None
            self._session.transaction.watch(self.entity, dict(zip(self._args[1:], found, strict=True)))
            reply = OK
        elif error is not None:  # in Redis it never fails, so clients may not look: what was to be guarded is not done
            self._session.transaction.watch(self.entity, {b"": once.NO_STAMP})
        super().settle(reply, error)


class Exec(Command):
    """A transaction on its way."""

    __slots__ = ("_names", "_steps", "_times")

    def __init__(self, session: Session, order: Order) -> None:
        transaction = session.transaction
        assert transaction.entity is not None
        payloads = [step for step in transaction.steps if isinstance(step, bytes)]
        args = pack_transaction(transaction.watched, payloads)
        super().__init__(order, run_transaction, args, session.proto, transaction.entity, read_only=not transaction.writes)
        self._steps, self._names = transaction.steps, transaction.names
        self._times = session.host.times
        self.began_s = session.host.seconds()

    @property
    def words(self) -> list[bytes]:
        return [b"exec"]

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        if error is None and not self._put_off:
            found = unpack_replies(reply)
            for name, one in zip(self._names, found or (), strict=False):
                self._times.count(name, one)
            reply = nil_array(self._proto) if found is None else answers(self._steps, found)
        super().settle(reply, error)


class OnceExec(Exec):
    """A transaction under a uuid, which is of its commands alone: a repetition cannot know what was watched at first."""

    __slots__ = ()

    def __init__(self, session: Session, order: Order) -> None:
        super().__init__(session, order)
        self.uuid = session.transaction.uuid
        self.digest = once.identity(self._proto, self._args[2:])
        self._run = partial(session.host.once_window.run, self._run, self.uuid)

    def payload(self) -> bytes:
        return once.packed(self._proto, self.uuid, self._args)

    def settle(self, reply: bytes, error: PaxosStoreError | None) -> None:
        if error is None and reply.startswith(b"-"):  # its uuid was refused, and all of it
            Command.settle(self, reply, None)
        else:
            super().settle(reply, error)


def answers(steps: list[Step], found: list[bytes]) -> bytes:
    """The reply of EXEC: those of the handler, and between them what the session answers, which it does now."""
    done, replies = iter(found), list[bytes]()
    size = 0
    for step in steps:
        if isinstance(step, bytes):
            replies.append(next(done))
            continue
        replies.append(_own(step) if size <= MAX_OWN_BYTES else TOO_MUCH)
        size += len(replies[-1])
    return array(replies)


def _own(step: Callable[[], bytes]) -> bytes:
    try:
        return step()
    except Exception:  # the commands before it are done, and this is the node's turn: a mistake of ours ends neither
        log.exception("a command of the session failed within EXEC")
        return FAILED


def watch(starter: Starter, spec: Spec, args: Request) -> bool:
    """WATCH; False: not yet."""
    session = starter.session
    transaction = session.transaction
    if transaction.open:
        return _failed(starter, spec, args, WATCH_INSIDE)
    entity = starter.place(spec, args, session.db)
    refusal = entity if isinstance(entity, bytes) else transaction.elsewhere(entity)
    if refusal is None:
        refusal = _too_many_watched(starter, args)
    if refusal is not None or isinstance(entity, bytes):
        assert refusal is not None
        return starter.refuse(refusal, args[0])
    if not starter.order.may_read(entity):
        return False
    starter.count(spec, args)
    command = Watch(session, starter.order, args, entity)
    command.began_s = session.host.seconds()
    starter.order.start(command, alone=True)
    return True


def _too_many_watched(starter: Starter, args: Request) -> bytes | None:
    transaction, limits = starter.session.transaction, starter.settings
    names = set(args[1:]) - transaction.watched.keys()
    if len(transaction.watched) + len(names) > limits.max_keys:
        return error(f"more than {limits.max_keys} keys would be watched: see redis.max_keys", "TOOLARGE")
    size = transaction.held + sum(map(len, names))
    return _too_large(size, limits)


def _too_large(size: int, limits: RedisSettings) -> bytes | None:
    if size <= limits.max_transaction_bytes:
        return None
    text = f"a transaction of {size} bytes is over the limit of {limits.max_transaction_bytes}"
    return error(f"{text}: see redis.max_transaction_bytes", "TOOLARGE")


def queue(starter: Starter, spec: Spec, args: Request) -> bool:
    """A command between MULTI and EXEC."""
    transaction = starter.session.transaction
    refusal = starter.fault(spec, args)
    if refusal is None and "no_multi" in spec.flags:
        refusal = NOT_INSIDE
    if refusal is None:
        refusal = _queue(starter, spec, args)
    if refusal is not None:
        transaction.refuse()  # EXEC will say so
        return starter.refuse(refusal, spec.full_name(args))
    starter.count(spec, args)
    return starter.answer(QUEUED)


def _queue(starter: Starter, spec: Spec, args: Request) -> bytes | None:
    """Queue a command, or say why not."""
    transaction, limits = starter.session.transaction, starter.settings
    if len(transaction.steps) >= limits.max_transaction_commands:
        text = f"more than {limits.max_transaction_commands} commands in a transaction: see redis.max_transaction_commands"
        return error(text, "TOOLARGE")
    size = sum(map(len, args))
    refusal = _too_large(transaction.held + size, limits)
    if refusal is not None:
        return refusal
    if isinstance(spec, SessionSpec):
        transaction.add(partial(_answer, spec, starter.session, args), size)
        if spec.name in MODES:
            _look_ahead(starter.session, spec, args)
        return None
    entity = starter.place(spec, args, transaction.db)
    if isinstance(entity, bytes):
        return entity
    refusal = transaction.elsewhere(entity)
    if refusal is None:
        transaction.entity = entity
        transaction.writes = transaction.writes or spec.writes
        transaction.add(encode(transaction.proto, args), size, args[0])
    return refusal


def _answer(spec: SessionSpec, session: Session, args: Request) -> bytes:
    reply = spec.answer(session, args)
    session.host.times.count(spec.full_name(args), reply)
    return reply


def _look_ahead(session: Session, spec: SessionSpec, args: Request) -> None:
    """Find out what the session will be set to behind this command, if EXEC comes to it."""
    later, transaction = Session(session.host, session.id, session.share), session.transaction
    later.db, later.proto = transaction.db, transaction.proto
    spec.answer(later, args)
    transaction.db, transaction.proto = later.db, later.proto


def _failed(starter: Starter, spec: Spec, args: Request, reply: bytes) -> bool:
    """As in Redis, that counts as a call."""
    starter.count(spec, args)
    starter.took(args[0], args, starter.session.host.seconds(), reply)
    return starter.answer(reply)


def execute(starter: Starter, spec: Spec, args: Request) -> bool:
    """EXEC; False: not yet."""
    session, order = starter.session, starter.order
    transaction = session.transaction
    if not transaction.open:
        return _failed(starter, spec, args, NO_EXEC)
    if transaction.broken:
        transaction.clear()
        return _failed(starter, spec, args, ABORTED)
    entity = transaction.entity
    if entity is None:  # neither watched nor queued keys
        steps = transaction.steps
        transaction.clear()
        starter.count(spec, args)
        began_s = session.host.seconds()
        reply = answers(steps, [])
        starter.took(args[0], args, began_s, reply)
        return starter.answer(reply)
    if order.reads if transaction.writes else not order.may_read(entity):
        return False
    starter.count(spec, args)
    command = OnceExec(session, order) if transaction.uuid else Exec(session, order)
    alone = any(not isinstance(step, bytes) for step in transaction.steps)
    transaction.clear()
    order.start(command, alone=alone)  # what the session does changes what the commands behind mean
    return True
