"""How many disks a simulated cluster loses at a time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from paxosstore.core.batch.overlay import DATA, WriteBatch
from paxosstore.core.entry.ids import value_id
from paxosstore.core.entry.record import Record, Value
from paxosstore.core.interface.ready import Apply, SetStanding
from paxosstore.core.turn.standing import END, Disk, StandingRow, State
from paxosstore.sim.cluster import SimCluster
from paxosstore.sim.disk import SimDisk
from paxosstore.sim.losses import ENTITIES, Losses
from paxosstore.sim.node import SimNode

NODES = 5


def member(number: int, default: int = 0) -> SimNode:
    disk = SimDisk()
    row = StandingRow(State.MEMBER, tuple(Disk(other + 1, 1, 0) for other in range(NODES)), default=default)
    note(disk, row)
    return cast(SimNode, SimpleNamespace(number=number, store=disk, loses_disk=None, up=False))


def note(disk: SimDisk, row: StandingRow) -> None:
    disk.write({}, (), [SetStanding(row.encode())])
    disk.sync()


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


def put_back(met_by: int | None) -> str:
    """What is lacking where a copy of a disk that re-enters is put back, as this peer has met its original or nobody has, and
    becomes a member."""
    nodes = [member(number) for number in range(NODES)]
    disks = tuple(Disk(other + 1, 1, 0) for other in range(1, NODES))
    row = StandingRow(State.REENTERING, (Disk(id=99, starts=1, incarnation=7), *disks))
    copy = SimDisk()
    note(copy, row)
    if met_by is not None:
        note(nodes[met_by].store, StandingRow(State.MEMBER, (Disk(id=99, starts=2, incarnation=8), *disks), cursor=END))

    def change_disk(number: int, disk: SimDisk) -> None:
        nodes[number].store = disk

    cluster = SimpleNamespace(nodes=nodes, losses=[0] * NODES, change_disk=change_disk)
    losses = Losses(cast(SimCluster, cluster))
    losses._replace(nodes[0], copy)
    assert losses.lacks(nodes[0])
    note(copy, row._replace(state=State.MEMBER, cursor=END))
    return losses.lacks(nodes[0])


def test_a_copy_of_a_disk_that_nobody_has_met_may_stay() -> None:
    assert put_back(met_by=None) == ""  # seed 86006022


def test_a_copy_of_a_disk_that_somebody_has_met_counts_as_lost_until_it_is_found_out() -> None:
    assert put_back(met_by=1) == "is on a copy that is not found out"
