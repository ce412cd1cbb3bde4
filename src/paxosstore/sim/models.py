"""What an atomic object does with one operation after another: the promise that histories are held against.

A model of your own is a subclass of `Model` with `initial` and `apply`. The other methods only make the checker faster.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from enum import Enum
from typing import Generic, TypeVar

from .history import Operation, Value

State = TypeVar("State", bound=Hashable)


class Unseen(Enum):
    """Stands for every value that no reply shows and nothing compares with: which one it is makes no difference."""

    UNSEEN = "a value that nobody saw"

    def __repr__(self) -> str:
        return f"<{self.value}>"


UNSEEN = Unseen.UNSEEN


class Model(ABC, Generic[State]):
    """One object. It is made for the operations on one key, so that it may look at what was seen at all."""

    initial: State

    def __init__(self, operations: Sequence[Operation]) -> None:
        """Operations on one key, without those that were refused."""

    @abstractmethod
    def apply(self, state: State, operation: Operation) -> tuple[State, object]:
        """The state after it, and what it replies. The state is never changed in place. If more than one reply is right, this
        is the operation's own reply whenever that is among them. An unknown outcome has no reply, and must not need one."""

    def is_read(self, operation: Operation) -> bool:
        """Whether it changes no state in which its own reply is right. True, if wrong, makes wrong verdicts."""
        return False

    def effect(self, operation: Operation) -> Hashable:
        """What an operation of unknown outcome may have done. Equal effects are interchangeable; None explains no reply."""
        return operation.kind, operation.arguments

    def hopeless(self, state: State, operation: Operation) -> bool:
        """Whether its reply has become impossible, now and after whatever else may happen. False when in doubt."""
        return False


class Register(Model[Value | Unseen]):
    """`write(value)` -> None, `read()` -> the value; None before the first write."""

    initial: Value | Unseen = None

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._seen = {operation.reply for operation in operations if operation.kind == "read" and operation.returned is not None}

    def apply(self, state: Value | Unseen, operation: Operation) -> tuple[Value | Unseen, object]:
        if operation.kind == "read":
            return state, state
        if operation.kind == "write":
            return self._as_seen(operation.arguments[0]), None
        raise ValueError(f"not an operation of this model: {operation}")

    def is_read(self, operation: Operation) -> bool:
        return operation.kind == "read"

    def effect(self, operation: Operation) -> Hashable:
        value = self._as_seen(operation.arguments[0])
        return None if value is UNSEEN else (value,)

    def _as_seen(self, value: Value) -> Value | Unseen:
        return value if value in self._seen else UNSEEN


class CompareAndSet(Register):
    """A register that also knows `cas(expected, new)` -> whether it held what was expected, and so was set."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        super().__init__(operations)
        swaps = [operation for operation in operations if operation.kind == "cas"]
        self._seen |= {swap.arguments[0] for swap in swaps}
        self._some_failed = any(map(self.is_read, swaps))

    def apply(self, state: Value | Unseen, operation: Operation) -> tuple[Value | Unseen, object]:
        if operation.kind != "cas":
            return super().apply(state, operation)
        expected, new = operation.arguments
        return (self._as_seen(new), True) if state == expected else (state, False)

    def is_read(self, operation: Operation) -> bool:
        failed = operation.kind == "cas" and operation.returned is not None and not operation.reply
        return failed or operation.kind == "read"

    def effect(self, operation: Operation) -> Hashable:
        *expected, new = operation.arguments
        seen = self._as_seen(new)
        # An unseen value still makes the next comparison fail.
        return (*expected, seen) if self._some_failed or seen is not UNSEEN else None


class Counter(Model[float]):
    """`add(amount)` -> the new count, `read()` -> the count; 0 at first."""

    initial: float = 0

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._never_falls = all(_amount(operation) >= 0 for operation in operations)

    def apply(self, state: float, operation: Operation) -> tuple[float, object]:
        count = state + _amount(operation)
        return count, count

    def is_read(self, operation: Operation) -> bool:
        return operation.kind == "read"

    def effect(self, operation: Operation) -> Hashable:
        return _amount(operation) or None

    def hopeless(self, state: float, operation: Operation) -> bool:
        if not isinstance(operation.reply, int | float):
            return True
        return self._never_falls and state + _amount(operation) > operation.reply


def _amount(operation: Operation) -> float:
    if operation.kind == "read":
        return 0
    amount = operation.arguments[0]
    if operation.kind != "add" or not isinstance(amount, int | float):
        raise ValueError(f"not an operation of this model: {operation}")
    return amount


class AppendList(Model[tuple[Value | Unseen, ...]]):
    """`append(item)` -> the new length, or None if the store does not tell; `read()` -> all items; none at first."""

    initial: tuple[Value | Unseen, ...] = ()

    def __init__(self, operations: Sequence[Operation]) -> None:
        replies = [(operation.kind, operation.reply) for operation in operations if operation.returned is not None]
        self._seen = {item for kind, reply in replies if kind == "read" and isinstance(reply, tuple) for item in reply}
        self._lengths_told = any(kind == "append" and reply is not None for kind, reply in replies)

    def apply(self, state: tuple[Value | Unseen, ...], operation: Operation) -> tuple[tuple[Value | Unseen, ...], object]:
        if operation.kind == "read":
            return state, state
        if operation.kind == "append":
            longer = (*state, self._as_seen(operation.arguments[0]))
            return longer, None if operation.reply is None else len(longer)
        raise ValueError(f"not an operation of this model: {operation}")

    def is_read(self, operation: Operation) -> bool:
        return operation.kind == "read"

    def effect(self, operation: Operation) -> Hashable:
        item = self._as_seen(operation.arguments[0])
        # An unseen item still makes the list longer.
        return (item,) if self._lengths_told or item is not UNSEEN else None

    def hopeless(self, state: tuple[Value | Unseen, ...], operation: Operation) -> bool:
        reply = operation.reply
        if operation.kind == "read":
            return not isinstance(reply, tuple) or reply[: len(state)] != state
        return isinstance(reply, int) and reply <= len(state)

    def _as_seen(self, item: Value) -> Value | Unseen:
        return item if item in self._seen else UNSEEN
