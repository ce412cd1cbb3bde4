"""What leaves memory, in which order, and what must not (rule 18)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from paxosstore.core.batch.evaluate import Evaluated
from paxosstore.core.batch.overlay import WriteBatch
from paxosstore.core.entity.ahead import Ahead
from paxosstore.core.entity.entity import Entity
from paxosstore.core.entity.install import Install
from paxosstore.core.entity.logstate import OpenEntry
from paxosstore.core.entity.news import Chosen
from paxosstore.core.entity.writes import InFlight
from paxosstore.core.entry.machine import EntryMachine
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.event import Loaded
from paxosstore.core.turn.context import Context, Identity
from paxosstore.core.turn.entities import LOOKS, Entities
from paxosstore.core.turn.memory import ENTITY_BYTES, ENTRY_BYTES
from paxosstore.settings import ClusterSettings, TuningSettings
from paxosstore.storage.body import MsgpackBodyCodec

from .support import DictReader, Operation

DURABLE_TURN = 10
ACCEPTED = Record(4, 4, 4, Value(b"\0" * 16, b"v" * 100))


class Room:
    """Room for some entities, each with one entry applied."""

    def __init__(self, max_mem_entities: int = 100, max_mem_entries: int = 100, max_mem_bytes: int = 1_000_000_000) -> None:
        tuning = TuningSettings(max_mem_entities=max_mem_entities, max_mem_entries=max_mem_entries, max_mem_bytes=max_mem_bytes)
        identity = Identity(ClusterSettings("test"), tuning, 0, 1)
        self.context = Context(identity, DictReader(), MsgpackBodyCodec(), {})
        self.context.durable_turn = DURABLE_TURN
        self.entities = Entities(self.context)

    def load(self, number: int, leftover: Record | None = None) -> Entity:
        entity = self.entities.get(number)
        rows = [] if leftover is None else [(2, leftover)]
        entity.load(Loaded(number, 1, rows, 1 + len(rows), b""), 3, 0)
        entity.mailbox = None
        self.entities.attended(entity)
        return entity

    def evict(self) -> list[int]:
        """Which are left, the one that was used last at the end."""
        self.entities.evict()
        return [entity.id for entity in self.entities]


def test_what_was_not_used_for_longest_goes_first() -> None:
    room = Room(max_mem_entities=2)
    for number in (1, 2, 3):
        room.load(number)
    room.entities.get(1)
    assert room.evict() == [3, 1]
    assert room.context.counters.evictions == 1


def test_who_comes_back_is_loaded_again() -> None:
    room = Room(max_mem_entities=1)
    first = room.load(1)
    room.load(2)
    room.evict()
    room.context.loads.clear()
    assert room.entities.get(1) is not first
    assert list(room.context.loads) == [1]


def test_nobody_goes_while_there_is_room() -> None:
    room = Room(max_mem_entities=3)
    for number in (1, 2, 3):
        room.load(number)
    assert room.evict() == [1, 2, 3]


@pytest.mark.parametrize(
    "limits", [{"max_mem_entries": 2}, {"max_mem_bytes": 3 * (ENTITY_BYTES + ENTRY_BYTES + 100) - 1}], ids=["entries", "bytes"]
)
def test_open_entries_and_their_values_count(limits: dict[str, int]) -> None:
    """And what was accepted and is not asked about any more may go: it is loaded again."""
    room = Room(**limits)
    for number in (1, 2, 3):
        room.load(number, ACCEPTED)
    memory = room.entities.memory
    assert (memory.entries, memory.bytes) == (3, 3 * (ENTITY_BYTES + ENTRY_BYTES + 100))
    assert room.evict() == [2, 3]
    assert (memory.entries, memory.bytes) == (2, 2 * (ENTITY_BYTES + ENTRY_BYTES + 100))


def test_what_is_decided_is_counted_no_longer() -> None:
    room = Room()
    entity = room.load(1, ACCEPTED)
    entity.log.opened.clear()
    room.entities.attended(entity)
    assert (room.entities.memory.entries, room.entities.memory.bytes) == (0, ENTITY_BYTES)
    room.entities.forget(1)
    assert (room.entities.memory.entries, room.entities.memory.bytes) == (0, 0)


def opened() -> OpenEntry:
    return OpenEntry(EntryMachine(3, 0))


HELD: dict[str, Callable[[Room, Entity], object]] = {
    "it is being loaded": lambda room, entity: setattr(entity, "mailbox", []),
    "a request waits for the load": lambda room, entity: setattr(entity, "mailbox", [Operation(1, b"get c")]),
    "its data is being copied": lambda room, entity: setattr(entity, "install", Install(1, 0.0)),
    "a write waits": lambda room, entity: entity.writes.queue.append(Operation(1, b"incr c")),
    "a batch is under proposal": lambda room, entity: setattr(
        entity.writes, "in_flight", InFlight(Evaluated(2, WriteBatch(), [], []), Value(b"", b""), 1, 0.0)
    ),
    "a read waits": lambda room, entity: entity.reads.gathering.append(Operation(1, b"get c")),
    "requests are at a peer": lambda room, entity: setattr(entity.handover, "count", 1),
    "requests are on their way back": lambda room, entity: entity.handover.returned.append(Operation(1, b"incr c")),
    "a peer has to be told": lambda room, entity: entity.news.untold.update({1: [Chosen(1, opened(), 0.0)]}),
    "it was touched": lambda room, entity: room.entities.touch(entity),
    "a timer is due": lambda room, entity: entity.wake_at(5.0),
    "more is known to be chosen": lambda room, entity: entity.raise_max_chosen(2, 1),
    "an inventory has shown more": lambda room, entity: setattr(entity.catchup, "wanted", 2),
    "it waits to ask": lambda room, entity: setattr(entity.catchup, "waits", True),
    "memory alone knows more": lambda room, entity: setattr(entity.log, "ahead", Ahead(1)),
    "a turn that changed it is not durable": lambda room, entity: setattr(entity.log, "changed_turn", DURABLE_TURN + 1),
}


@pytest.mark.parametrize("why", HELD)
def test_what_must_stay(why: str) -> None:
    room = Room(max_mem_entities=1)
    held = room.load(1)
    HELD[why](room, held)
    room.load(2)
    assert room.evict() == [1], "the other one goes instead"
    assert room.context.counters.evictions_held == 1


def test_what_is_durable_may_go() -> None:
    room = Room(max_mem_entities=1)
    room.load(1).log.changed_turn = DURABLE_TURN
    room.load(2)
    assert room.evict() == [2]


def test_a_node_that_cannot_write_learns_nothing_so_nothing_is_kept_for_that() -> None:
    room = Room(max_mem_entities=1)
    room.context.cannot_write = "full"
    room.load(1).raise_max_chosen(2, 1)
    room.load(2)
    assert room.evict() == [2]


def test_a_turn_looks_at_some_only() -> None:
    room = Room(max_mem_entities=1)
    for number in range(LOOKS + 10):
        room.load(number).wake_at(5.0)
    assert len(room.evict()) == LOOKS + 10
    assert room.context.counters.evictions_held == LOOKS
