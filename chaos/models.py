"""What keys promise: the clients' operations as the checker's, and the models that the checker does not bring itself."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from paxosstore.sim import history
from paxosstore.sim.collections import BLOCKING
from paxosstore.sim.history import Value
from paxosstore.sim.models import UNSEEN, AppendList, Counter, Model, Unseen

from . import kinds
from .clients import ADD_WATCHED, CALL, NOT_THAT_MUCH, TOKEN_LENGTH
from .journal import Operation, Outcome, Reply

_READS_OF_CARDS = {"exists", "missing", "not enough"}
"""Replies that say that nothing was changed."""


class _Shown(Model[Value | Unseen]):
    """A value or None. Values that no reply shows are all alike."""

    initial: Value | Unseen = None

    def __init__(self, operations: Sequence[history.Operation]) -> None:
        self._shown = {operation.reply for operation in operations if operation.returned is not None}

    def _as_shown(self, operation: history.Operation) -> Value | Unseen:
        value = operation.arguments[0]
        return value if value in self._shown else UNSEEN


class SwapRegister(_Shown):
    """read(), write(value), and swap(value) -> what it was."""

    def apply(self, state: Value | Unseen, operation: history.Operation) -> tuple[Value | Unseen, object]:
        if operation.kind == "read":
            return state, state
        return self._as_shown(operation), None if operation.kind == "write" else state

    def is_read(self, operation: history.Operation) -> bool:
        return operation.kind == "read"

    def effect(self, operation: history.Operation) -> Hashable:
        value = self._as_shown(operation)
        return None if value is UNSEEN else (value,)


class Once(_Shown):
    """put(value) -> "OK", or None if something is there; take() -> what was there, and it is gone; read()."""

    def apply(self, state: Value | Unseen, operation: history.Operation) -> tuple[Value | Unseen, object]:
        if operation.kind == "read":
            return state, state
        if operation.kind == "take":
            return None, state
        return (self._as_shown(operation), "OK") if state is None else (state, None)

    def is_read(self, operation: history.Operation) -> bool:
        return operation.kind == "read" or (operation.returned is not None and operation.reply is None)

    def effect(self, operation: history.Operation) -> Hashable:
        return operation.kind, None if operation.kind == "take" else self._as_shown(operation)


class Lease(_Shown):
    """lease(value, ms) -> "OK", or None if somebody has it; take() -> whose it was, and it is free; read().

    It may be over at any time, for clocks jump, and stays so (rule 20): who is told that nobody has it has seen it end.
    """

    def apply(self, state: Value | Unseen, operation: history.Operation) -> tuple[Value | Unseen, object]:
        leases, known = operation.kind == "lease", operation.returned is not None
        if known and (operation.reply == "OK" if leases else operation.reply is None):
            state = None
        if leases:
            won = state is None or not known
            return (self._as_shown(operation), "OK") if won else (state, None)
        return (None if operation.kind == "take" else state), state

    def is_read(self, operation: history.Operation) -> bool:
        if operation.kind == "read":
            return operation.returned is None or operation.reply is not None
        return operation.kind == "lease" and operation.returned is not None and operation.reply is None

    def effect(self, operation: history.Operation) -> Hashable:
        return operation.kind, None if operation.kind == "take" else self._as_shown(operation)


class Card(Model[int | None]):
    """A card of the card service: its balance, or None. Replies are the balance, or the code in a word."""

    initial: int | None = None

    def apply(self, state: int | None, operation: history.Operation) -> tuple[int | None, object]:
        kind, argument = operation.kind, operation.arguments[0]
        assert isinstance(argument, int)
        if kind == "insert":
            return (argument, "ok") if state is None else (state, "exists")
        if state is None:
            return None, "missing"
        if kind == "select":
            return state, state
        if kind == "delete":
            return None, "ok"
        balance = state + argument
        return (state, "not enough") if balance < 0 else (balance, balance)

    def is_read(self, operation: history.Operation) -> bool:
        return operation.kind == "select" or operation.reply in _READS_OF_CARDS


class Account(Model[int]):
    """An account of the application: its balance, 0 at first, which never goes below that."""

    initial: int = 0

    def apply(self, state: int, operation: history.Operation) -> tuple[int, object]:
        if operation.kind == "balance":
            return state, state
        amount = operation.arguments[0]
        assert isinstance(amount, int)
        return (state + amount, state + amount) if state + amount >= 0 else (state, NOT_THAT_MUCH)

    def is_read(self, operation: history.Operation) -> bool:
        return operation.kind == "balance" or operation.reply == NOT_THAT_MUCH


MODELS: dict[str, type[Model[Any]]] = {
    "register": SwapRegister,
    "counter": Counter,
    "once": Once,
    "list": AppendList,
    "lease": Lease,
    "card": Card,
    CALL: Account,
    **kinds.MODELS,
}
"""By the kind of a key."""

_NAMES = {"get": "read", "set": "write", "set if missing": "put", ADD_WATCHED: "add"}


def tokens(reply: Reply) -> tuple[str, ...]:
    """What a list holds. What is no whole token stays, and fits nothing."""
    text = "" if reply is None else str(reply)
    return tuple(text[at : at + TOKEN_LENGTH] for at in range(0, len(text), TOKEN_LENGTH))


def for_checker(operation: Operation, started_s: float) -> history.Operation:
    """The same operation in the checker's words; times in milliseconds since the start."""
    known = operation.outcome is Outcome.DONE
    return history.Operation(
        client=f"{operation.client} at {operation.where}",
        key=operation.key,
        kind=_NAMES.get(operation.name, operation.name),
        arguments=() if operation.name in BLOCKING else tuple(operation.arguments),  # a timeout is nothing to the model
        called=(operation.called_s - started_s) * 1000.0,
        returned=(operation.returned_s - started_s) * 1000.0 if known and operation.returned_s is not None else None,
        reply=_reply(operation) if known else None,
        uuid=operation.uuid or None,
        refused=operation.outcome is Outcome.REFUSED,
    )


def _reply(operation: Operation) -> Value:
    reply = operation.reply
    if operation.kind == "list":
        if operation.name == "get":
            return tokens(reply)
        assert not isinstance(reply, tuple)
        count, rest = divmod(int(reply or 0), TOKEN_LENGTH)
        return count if rest == 0 else reply
    if operation.kind == "counter":
        assert not isinstance(reply, tuple)
        return int(reply or 0)
    return None if operation.name == "set" else reply
