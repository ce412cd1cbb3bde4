"""Histories: what clients asked, when, and what they were told. Written by the simulator, and by clients of real processes.

A history is saved as JSON lines, one operation each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import IO, TypeAlias, Union

Value: TypeAlias = Union[bool, int, float, str, "tuple[Value, ...]", None]
"""What arguments and replies are made of: what JSON has, with tuples for its lists."""


class Contradiction(Exception):
    """One uuid was answered in two ways."""

    def __init__(self, attempts: list[Operation]) -> None:
        super().__init__(f"uuid {attempts[0].uuid} has more than one reply")
        self.attempts = attempts


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of one client. Times have any unit, but one clock, which no fault may touch. An operation precedes another
    if it returned before the other was called; equal times do not tell."""

    client: int | str
    key: str
    """What it is about. Operations on different keys have nothing to do with each other."""
    kind: str
    arguments: tuple[Value, ...]
    called: float
    returned: float | None = None
    """None: its outcome is unknown. It may have taken effect at any time after the call, or never."""
    reply: Value = None
    uuid: str | None = None
    """Calls with the same uuid are attempts at one operation. Only for what the store is to do once."""
    refused: bool = False
    """The client was told that nothing happened."""

    def __post_init__(self) -> None:
        if self.returned is not None and self.returned < self.called:
            raise ValueError(f"returned before it was called: {self}")
        object.__setattr__(self, "arguments", _frozen(self.arguments))
        object.__setattr__(self, "reply", _frozen(self.reply))

    def done(self, returned: float, reply: Value) -> Operation:
        """The same operation, answered."""
        return replace(self, returned=returned, reply=reply)

    def refuse(self) -> Operation:
        """The same operation, refused for certain."""
        return replace(self, refused=True)

    def unknown(self) -> Operation:
        """The same operation, without what the client was told."""
        return replace(self, returned=None, reply=None)

    def __str__(self) -> str:
        said = "refused" if self.refused else "outcome unknown" if self.returned is None else repr(self.reply)
        end = "" if self.returned is None else f"{self.returned:g}"
        arguments = ", ".join(map(repr, self.arguments))
        return f"[{self.called:g} .. {end}] client {self.client}: {self.kind}({arguments}) -> {said}"


def one_per_uuid(operations: Iterable[Operation]) -> list[Operation]:
    """Leaves out what was refused, and makes one operation of all attempts under one uuid: called when the first was, answered
    when one first was. Raises Contradiction, and ValueError if attempts under one uuid ask for different things."""
    singles: list[Operation] = []
    by_uuid: dict[str, list[Operation]] = {}
    for operation in operations:
        if not operation.refused:
            (singles if operation.uuid is None else by_uuid.setdefault(operation.uuid, [])).append(operation)
    return singles + [_merged(attempts) for attempts in by_uuid.values()]


def _merged(attempts: list[Operation]) -> Operation:
    first = min(attempts, key=lambda attempt: attempt.called)
    if len({(attempt.key, attempt.kind, attempt.arguments) for attempt in attempts}) > 1:
        raise ValueError(f"uuid {first.uuid} stands for different operations")
    if len({attempt.reply for attempt in attempts if attempt.returned is not None}) > 1:
        raise Contradiction(attempts)
    ends = [(attempt.returned, attempt.reply) for attempt in attempts if attempt.returned is not None]
    return first.done(*min(ends, key=lambda end: end[0])) if ends else first


def write_history(operations: Iterable[Operation], file: IO[str]) -> None:
    for operation in operations:
        file.write(json.dumps(asdict(operation)) + "\n")


def read_history(file: Iterable[str]) -> Iterator[Operation]:
    """Raises ValueError or TypeError for a line that is no operation."""
    for line in file:
        yield Operation(**json.loads(line))


def _frozen(value: object) -> object:
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value
