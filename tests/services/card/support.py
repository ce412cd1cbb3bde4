"""A store of one process: what the card service needs of a node, without a network or a disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from paxosstore.core.batch.overlay import Overlay
from paxosstore.errors import PaxosStoreError
from paxosstore.services.card.rules import HANDLER, handle

NOW_MS = 1_700_000_000_123


class Data:
    """Applied data, as a `DataReader`."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, bytes], bytes] = {}

    def get(self, entity: int, key: bytes) -> bytes | None:
        return self.rows.get((entity, key))

    def scan(self, entity: int, start: bytes, end: bytes, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        pairs = ((key, row) for (of, key), row in self.rows.items() if of == entity and start <= key < end)
        return iter(sorted(pairs, reverse=reverse))

    def committed_entry(self, entity: int) -> int:
        return 0

    def view(self, entity: int, *, read_only: bool = False) -> Overlay:
        return Overlay(self, entity, NOW_MS, read_only=read_only)

    def apply(self, view: Overlay) -> None:
        for key, value in view.batch.writes.items():
            if value is None:
                self.rows.pop((view.entity, key), None)
            else:
                self.rows[view.entity, key] = value


@dataclass(frozen=True)
class Call:
    entity: int
    read_only: bool
    uuid: bytes
    timeout_ms: float | None


@dataclass
class FakeNode:
    """Runs a call at once, remembers uuids, and can be told to fail before or after it has run."""

    data: Data = field(default_factory=Data)
    outcomes: dict[bytes, bytes] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    fail_before: PaxosStoreError | None = None
    fail_after: PaxosStoreError | None = None

    async def call(
        self,
        entity: int,
        handler: str,
        payload: bytes,
        *,
        read_only: bool = False,
        uuid: bytes = b"",
        timeout_ms: float | None = None,
    ) -> bytes:
        assert handler == HANDLER
        self.calls.append(Call(entity, read_only, uuid, timeout_ms))
        if self.fail_before is not None:
            raise self.fail_before
        if uuid not in self.outcomes or not uuid:
            view = self.data.view(entity, read_only=read_only)
            self.outcomes[uuid] = handle(view, payload)
            self.data.apply(view)
        if self.fail_after is not None:
            raise self.fail_after
        return self.outcomes[uuid]
