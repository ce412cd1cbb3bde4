"""The turns that a recorded node takes: one endless sequence for each seed, so whatever a disk holds must be a prefix of it."""

from __future__ import annotations

from hashlib import sha256
from random import Random
from typing import NamedTuple

import msgspec

from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.ready import (
    Apply,
    BeginInstall,
    Change,
    DropInstall,
    EndInstall,
    InstallRows,
    NewEntity,
    SetFloor,
    SetStanding,
    StopEntity,
)
from paxosstore.storage.api import Store
from paxosstore.storage.body import MsgpackBodyCodec
from paxosstore.storage.memory import MemoryStore

COUNTER = 1
"""Entity that gets one row in every turn: its highest row is the number of the last turn a store holds."""
ENTITIES = (2, 3, 4, 5, 6)
INSTALLED = 7
"""Entity that only gets copies."""
COPIED = (6, INSTALLED)
"""Entities that get copies: one of them applies entries as well, to its data and to the copy that has taken its place."""
CODEC = MsgpackBodyCodec()
SIZES = (20, 20, 20, 200, 200, 2_000, 2_000, 20_000, 60_000)
"""Bytes of a key's value, to draw from: some fit into a sector, some go over several blocks of a WAL."""


class Turn(NamedTuple):
    """The arguments of one write."""

    records: dict[tuple[int, int], Record]
    applies: list[Apply]
    changes: list[Change]


class Turns:
    """Draws the turns of a seed, one after the other."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._committed = dict.fromkeys((*ENTITIES, INSTALLED), 0)
        self._rows = dict.fromkeys(ENTITIES, Record())
        self._installing: set[int] = set()
        self._new = {*ENTITIES, COUNTER}
        self.number = 0
        """Of the turn drawn last; they are counted from 1."""

    def next(self) -> Turn:
        self.number += 1
        random = Random(f"{self._seed}/{self.number}")
        turn = Turn({(COUNTER, self.number): Record(promised=self.number)}, [], [])
        for entity in random.sample(ENTITIES, random.choice((0, 1, 1, 2, 3))):
            for _ in range(random.choice((1, 1, 2, 5))):
                self._advance(random, entity, turn)
        for entity in sorted(self._new & {entity for entity, _ in turn.records}):
            self._new.remove(entity)
            turn.changes.append(NewEntity(entity))
        if random.random() < 0.4:
            self._install(random, turn)
        if random.random() < 0.2:
            turn.changes.append(_mark(random, self.number))
        return turn

    def skip_to(self, number: int) -> None:
        """Draw until `number` was the last."""
        while self.number < number:
            self.next()

    def _advance(self, random: Random, entity: int, turn: Turn) -> None:
        """One step of an entity's open entry: promised, then accepted, then chosen and applied."""
        entry = self._committed[entity] + 1
        row = self._rows[entity]
        if row.is_empty:
            row = Record(prepared=4, promised=4)
        elif row.accepted == 0:
            value = Value(random.randbytes(16), CODEC.encode(_batch(random)))
            row = row._replace(accepted=4, value=value)
        else:
            row = row._replace(chosen=True)
            assert row.value is not None
            turn.applies.append(Apply(entity, entry, CODEC.decode(row.value.body)))
            self._committed[entity] = entry
        turn.records[entity, entry] = row
        self._rows[entity] = Record() if row.chosen else row

    def _install(self, random: Random, turn: Turn) -> None:
        """One step of a snapshot's installation (rule 16), or several; at times it begins anew half-way, or is given up."""
        entity = random.choice(COPIED)
        applied = {apply.entity for apply in turn.applies}
        if entity in self._new:
            self._new.remove(entity)
            turn.changes.append(NewEntity(entity))
        for _ in range(random.choice((1, 1, 3))):
            if entity not in self._installing or random.random() < 0.1:
                self._installing.add(entity)
                turn.changes.append(BeginInstall(entity))
            elif random.random() < 0.7 or entity in applied:
                rows = [(DATA + b"key%d" % random.randrange(20), random.randbytes(random.choice(SIZES[:7]))) for _ in range(3)]
                turn.changes.append(InstallRows(entity, rows))
            elif random.random() < 0.2:
                self._installing.remove(entity)
                turn.changes.append(DropInstall(entity))
            else:
                self._installing.remove(entity)
                self._committed[entity] += random.randrange(5)
                self._rows[entity] = Record()
                turn.changes.append(EndInstall(entity, self._committed[entity]))


def _mark(random: Random, number: int) -> Change:
    entity = random.randrange(10)
    return random.choice((SetStanding(b"%d" % number), SetFloor(entity, random.randrange(3)), StopEntity(entity, f"{number}")))


def _batch(random: Random) -> WriteBatch:
    batch = WriteBatch(cleared=random.random() < 0.05)
    for _ in range(random.randrange(6)):
        key = DATA + b"key%d" % random.randrange(20)
        batch.writes[key] = None if random.random() < 0.2 else random.randbytes(random.choice(SIZES[:7]))
    if random.random() < 0.3:
        batch.writes[DATA + b"large"] = random.randbytes(random.choice(SIZES))
    return batch


def highest(store: Store) -> int:
    """The number of the last turn that a store holds."""
    return store.load(COUNTER).max_plog


def fingerprint(store: Store) -> str:
    """Everything a store shows, as one hash, but for the PLog up to the committed entry: rows may have expired there."""
    digest = sha256(store.content_hash().encode())
    shown = (store.standing(), store.floors(-1, 99), store.entities(-1, 99))
    digest.update(msgspec.msgpack.encode(shown))
    for entity in range(10):
        digest.update(msgspec.msgpack.encode((store.load(entity), store.committed_entry(entity))))
        digest.update(msgspec.msgpack.encode(list(store.scan(entity, b"", b"\xff"))))
    return digest.hexdigest()


def applied_rows(store: Store) -> dict[tuple[int, int], Record]:
    """The PLog up to the committed entries: what of it has not expired."""
    return {
        (entity, entry): row
        for entity in ENTITIES
        for entry, row in store.read_log(entity, 1, store.committed_entry(entity), 1 << 40)
    }


class Reference:
    """What a store must show after so many turns of a seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._known: dict[int, str] = {}
        self._restart()

    def after(self, number: int) -> str:
        """The fingerprint after turn `number`."""
        if number not in self._known:
            self._known[number] = fingerprint(self._at(number))
        return self._known[number]

    def applied_rows(self, number: int) -> dict[tuple[int, int], Record]:
        """All of them, after turn `number`."""
        return applied_rows(self._at(number))

    def turn(self, number: int) -> Turn:
        turns = Turns(self.seed)
        turns.skip_to(number - 1)
        return turns.next()

    def _at(self, number: int) -> Store:
        if self._turns.number > number:
            self._restart()
        while self._turns.number < number:
            self._store.write(*self._turns.next())
            self._store.sync()
        return self._store

    def _restart(self) -> None:
        self._store = MemoryStore()
        self._turns = Turns(self.seed)
