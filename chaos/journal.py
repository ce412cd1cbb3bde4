"""What clients write down: one line (JSON) before each call, one after it. A call without an end has an unknown outcome.

Times are seconds of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias

import msgspec

ALL_NODES = -1

Word: TypeAlias = str | int | None
"""An argument or a reply."""
Reply: TypeAlias = str | int | tuple[str | int | tuple[str | int, ...], ...] | None
"""A reply may also be members, or pairs of a member and what it has."""


class Outcome(Enum):
    """How a call ended."""

    DONE = "done"
    REFUSED = "refused"
    """Nothing happened."""
    UNKNOWN = "unknown"
    """It may have happened, or may still happen, or never."""
    WRONG = "wrong"
    """An answer that the store must not give."""


@dataclass(slots=True)
class Operation:
    """One call by one client, and how it ended."""

    client: int
    node: int
    """Whom it asked; ALL_NODES: one after the other."""
    key: str
    name: str
    arguments: list[Word]
    uuid: str
    """Calls under one uuid are attempts at one operation; empty: it has none."""
    called_s: float
    returned_s: float | None = None
    """None: no end is known."""
    outcome: Outcome = Outcome.UNKNOWN
    reply: Reply = None
    error: str = ""

    @property
    def kind(self) -> str:
        """What the key is used as: the first part of its name."""
        return self.key.partition(":")[0]

    @property
    def where(self) -> str:
        return "all nodes" if self.node == ALL_NODES else f"node {self.node}"

    def __str__(self) -> str:
        call = f"{self.name}({', '.join(map(str, self.arguments))})"
        end = str(self.reply) if self.outcome is Outcome.DONE else f"{self.outcome.value} {self.error}".strip()
        until = "…" if self.returned_s is None else f"{self.returned_s:.6f}"
        who = f"client {self.client} at {self.where}{self.uuid and f', uuid {self.uuid}'}"
        return f"{self.called_s:.6f} – {until} {who}: {self.key} {call} = {end}"


class Call(msgspec.Struct, tag="call", array_like=True):
    """The line before."""

    client: int
    node: int
    key: str
    name: str
    arguments: list[Word]
    uuid: str
    at_s: float


class Return(msgspec.Struct, tag="return", array_like=True):
    """The line after."""

    outcome: Literal["done", "refused", "unknown", "wrong"]
    reply: Reply
    error: str
    at_s: float


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Call | Return).decode


class Journal:
    """One client's file. A client makes one call at a time."""

    def __init__(self, path: Path, client: int) -> None:
        self._client = client
        self._file = path.open("ab", buffering=0)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def call(self, node: int, key: str, name: str, arguments: list[Word], uuid: str = "") -> None:
        """To be written before anything is sent."""
        self._write(Call(self._client, node, key, name, arguments, uuid, time.monotonic()))

    def end(self, outcome: Outcome, reply: Reply = None, error: str = "") -> None:
        """To be written when the answer is there."""
        self._write(Return(outcome.value, reply, error, time.monotonic()))

    def _write(self, line: Call | Return) -> None:
        self._file.write(_encode(line) + b"\n")


def read(paths: Iterable[Path]) -> list[Operation]:
    """All operations of these journals, by the time of their calls. Raises ValueError for what is no journal."""
    found: list[Operation] = []
    for path in paths:
        try:
            found += _read(path)
        except (msgspec.DecodeError, OSError) as error:
            raise ValueError(f"{path}: is no journal: {error}") from error
    found.sort(key=lambda operation: operation.called_s)
    return found


def _read(path: Path) -> list[Operation]:
    found: list[Operation] = []
    for number, text in enumerate(path.read_bytes().splitlines(), 1):
        line = _decode(text)
        if isinstance(line, Call):
            found.append(Operation(line.client, line.node, line.key, line.name, line.arguments, line.uuid, line.at_s))
        elif not found or found[-1].returned_s is not None:
            raise ValueError(f"{path}, line {number}: an end without a call")
        else:
            last = found[-1]
            last.returned_s, last.outcome, last.reply, last.error = line.at_s, Outcome(line.outcome), line.reply, line.error
    return found
