"""How many disks a simulated cluster loses at a time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.entry.ids import value_id
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.ready import Apply, SetStanding
from paxosstore.core.turn.standing import Disk, StandingRow, State
from paxosstore.sim.cluster import SimCluster
from paxosstore.sim.disk import SimDisk
from paxosstore.sim.losses import ENTITIES, Losses
from paxosstore.sim.node import SimNode

NODES = 5


def member(number: int, default: int = 0) -> SimNode:
    disk = SimDisk()
    row = StandingRow(State.MEMBER, tuple(Disk(other + 1, 1, 0) for other in range(NODES)), default=default)
    disk.write({}, (), [SetStanding(row.encode())])
    disk.sync()
    return cast(SimNode, SimpleNamespace(number=number, store=disk, loses_disk=None))


def write_first_entry(node: SimNode, entity: int) -> None:
    record = Record(1, 1, 1, Value(value_id(0, 1, 1), b"body"), True)
    node.store.write({(entity, 1): record}, [Apply(entity, 1, WriteBatch({DATA + b"key": b"1"}))])
    node.store.sync()


def test_who_has_a_default_floor_has_come_back_once_everything_is_written() -> None:
    nodes = [member(0), member(1), member(2), member(3, default=2), member(4, default=2)]
    losses = Losses(cast(SimCluster, SimpleNamespace(nodes=nodes, losses=[0] * NODES)))
    assert not losses.bearable(nodes[0])
    for entity in ENTITIES:
        assert not losses.bearable(nodes[0])
        write_first_entry(nodes[3], entity)
    assert losses.bearable(nodes[0])
